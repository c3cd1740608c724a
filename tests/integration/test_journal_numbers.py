"""The numbers of journal entries: 1, 2, 3 in each year of a company, without gaps, given once and for ever."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from services.accounting.handlers import numbering
from services.accounting.handlers.numbering import number_entries
from services.accounting.handlers.periods import lock_periods
from services.accounting.store import numbers
from shared.contracts.codec import write
from shared.contracts.registry import MOVEMENT_POSTED
from shared.db import Contended, run, transaction
from shared.service import Handled, Output
from tests.accounting_builders import entry, posted
from tests.builders import Session, carry_out
from tests.closing_builders import FEBRUARY, MID_FEBRUARY, Company, booking
from tests.receiving_builders import comes, movement, opened, rows

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = date(2026, 3, 2)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def output(identifier: str, *, day: date = TODAY, minute: int = 0, company: str = "shop") -> Output:
    """A posted movement, recorded so many minutes after noon."""
    recorded_at = NOON + timedelta(minutes=minute)
    base = posted("purchase_receipt", entry("1.00", entry_id="01900000-0000-7000-8000-000000000001"))
    fields: dict[str, Any] = {"id": identifier, "posting_date": day, "recorded_at": recorded_at, "company": company}
    return Output(MOVEMENT_POSTED, "till", identifier, write(msgspec.structs.replace(base, **fields)))


def book(engine: Engine, *outputs: Output) -> None:
    carry_out(engine, "accounting", booking(outputs))


def number(engine: Engine) -> None:
    carry_out(engine, "accounting", number_entries)


def numbered(engine: Engine) -> list[tuple[Any, ...]]:
    """Company, year, number and movement of every entry that has one."""
    return rows(
        engine,
        "SELECT company, year, number, id FROM accounting.journal WHERE number IS NOT NULL"
        " ORDER BY company, year, number",
    )


def assert_without_gaps(engine: Engine, entries: int) -> None:
    """Every entry has a number, and those of each year of a company are 1 to as many as there are."""
    assert rows(engine, "SELECT count(*), count(DISTINCT journal_entry) FROM accounting.journal_number") == [
        (entries, entries)
    ]
    assert rows(engine, "SELECT count(*) FROM accounting.unnumbered") == [(0,)]
    wrong = """
        SELECT company, year FROM accounting.journal_number GROUP BY company, year
        HAVING min(number) <> 1 OR max(number) <> count(*)
    """
    assert rows(engine, wrong) == []


def test_entries_are_numbered_in_the_order_in_which_they_were_recorded(engine: Engine) -> None:
    book(engine, output("late", minute=2), output("early", minute=1))
    assert numbered(engine) == []
    number(engine)
    book(engine, output("earlier still", minute=0))
    number(engine)
    assert numbered(engine) == [
        ("shop", 2026, 1, "early"),
        ("shop", 2026, 2, "late"),
        ("shop", 2026, 3, "earlier still"),
    ]


def test_each_year_of_each_company_has_numbers_of_its_own_by_the_posting_date(engine: Engine) -> None:
    old, new = date(2025, 12, 31), date(2026, 1, 1)
    book(
        engine,
        output("1", day=old),
        output("2", day=new, minute=1),
        output("3", day=old, minute=2),
        output("4", day=new, minute=3, company="twin"),
    )
    number(engine)
    assert numbered(engine) == [
        ("shop", 2025, 1, "1"),
        ("shop", 2025, 2, "3"),
        ("shop", 2026, 1, "2"),
        ("twin", 2026, 1, "4"),
    ]


def test_an_entry_keeps_its_number_and_none_is_given_twice(engine: Engine) -> None:
    book(engine, output("1"), output("2", minute=1))
    number(engine)
    before = numbered(engine)
    book(engine, output("1"))
    number(engine)
    assert numbered(engine) == before
    for change in (
        "UPDATE accounting.journal_number SET number = number + 1",
        "DELETE FROM accounting.journal_number",
        "TRUNCATE accounting.journal_number",
    ):
        with pytest.raises(DBAPIError, match="append-only"), transaction(engine) as connection:
            run(connection, change)


@pytest.mark.parametrize("numbers_given", [(2,), (1, 3), (4,)])
def test_the_schema_refuses_a_gap(engine: Engine, numbers_given: tuple[int, ...]) -> None:
    if numbers_given == (4,):
        book(engine, output("1"), output("2", minute=1))
        number(engine)
    values = ", ".join(f"('shop', 2026, {each}, gen_random_uuid())" for each in numbers_given)
    with pytest.raises(DBAPIError, match="have no gaps"), transaction(engine) as connection:
        run(connection, f"INSERT INTO accounting.journal_number VALUES {values}")


def test_one_who_is_killed_while_numbering_leaves_no_gap(engine: Engine) -> None:
    book(engine, output("1"), output("2", minute=1))
    with pytest.raises(KeyboardInterrupt), transaction(engine) as connection:
        number_entries(connection)
        raise KeyboardInterrupt
    assert numbered(engine) == []
    number(engine)
    assert_without_gaps(engine, 2)


def test_many_are_numbered_a_portion_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbering, "AT_ONCE", 3)
    book(engine, *(output(str(minute), minute=minute) for minute in range(8)))
    number(engine)
    assert [identifier for _, _, _, identifier in numbered(engine)] == [str(minute) for minute in range(8)]


def test_who_finds_another_numbering_a_company_leaves_it_to_that_one(engine: Engine, pool: ThreadPoolExecutor) -> None:
    book(engine, output("1"), output("2", minute=1))
    first = Session(engine, number_entries, pool).hold()
    book(engine, output("3", minute=2), output("4", company="twin"))
    number(engine)
    assert numbered(engine) == [("twin", 2026, 1, "4")]
    first.commit()
    number(engine)
    assert [(company, each) for company, _, each, _ in numbered(engine)] == [
        ("shop", 1),
        ("shop", 2),
        ("shop", 3),
        ("twin", 1),
    ]


def test_a_number_follows_on_those_that_another_gave_in_between(engine: Engine, pool: ThreadPoolExecutor) -> None:
    book(engine, output("1"), output("2", minute=1))

    def held_up(connection: Connection) -> Handled:
        """One whose transaction began before the other's, and that takes the books after it."""
        run(connection, "SELECT count(*) FROM accounting.journal_number")
        number(engine)
        book(engine, output("3", minute=2))
        return number_entries(connection)

    Session(engine, held_up, pool).commit()
    assert_without_gaps(engine, 3)


def test_workers_that_book_and_number_at_once_and_die_now_and_then_leave_no_gap(engine: Engine) -> None:
    def work(seed: int) -> None:
        random = Random(seed)
        for turn in range(15):
            day = date(random.choice([2025, 2026]), 3, 2)
            company = random.choice(["shop", "twin"])
            book(
                engine, *(output(f"{seed} {turn} {place}", day=day, minute=turn, company=company) for place in range(5))
            )
            _number_or_die(engine, random)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    number(engine)
    assert_without_gaps(engine, 4 * 15 * 5)


def _number_or_die(engine: Engine, random: Random) -> None:
    try:
        with transaction(engine) as connection:
            number_entries(connection)
            if random.random() < 0.4:
                raise KeyboardInterrupt
    except (KeyboardInterrupt, Contended):
        pass


def test_a_locked_period_has_all_its_numbers(engine: Engine) -> None:
    company = Company(engine)
    company.book(*(movement("purchase_receipt", comes("tea", 1), id=str(n), at=MID_FEBRUARY) for n in range(3)))
    company.hand(company.close(FEBRUARY))
    with transaction(engine) as connection:
        assert numbers.take_books(connection) == ["shop"]  # nobody numbered before
    carry_out(engine, "accounting", lock_periods)
    assert company.locked() == [(FEBRUARY,)]
    assert_without_gaps(engine, 3)


def test_the_books_of_a_company_are_not_locked_while_another_numbers_them(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    company = Company(engine)
    company.book(movement("purchase_receipt", comes("tea", 1), id="1", at=MID_FEBRUARY))
    company.hand(company.close(FEBRUARY))
    numbering_ = Session(engine, number_entries, pool).hold()
    company.sweep()
    assert company.locked() == []
    numbering_.commit()
    company.sweep()
    assert company.locked() == [(FEBRUARY,)]
    assert_without_gaps(engine, 1)


def test_an_entry_of_value_zero_has_a_number_too(engine: Engine) -> None:
    base = posted("purchase_receipt", entry("0"))
    free = Output(MOVEMENT_POSTED, "till", "free", write(msgspec.structs.replace(base, id="free")))
    book(engine, free)
    number(engine)
    assert numbered(engine) == [("shop", 2026, 1, "free")]
