"""Accounting on a real PostgreSQL: each movement is booked once, whoever brings it, and what is booked stays."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DBAPIError

from services.accounting.handlers import HANDLERS, book_movements
from shared.contracts.codec import decoder, read, write
from shared.contracts.envelope import frame, read_envelope, write_event
from shared.contracts.journal import JournalPosted
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.db import open_engine, query, run, transaction
from shared.purposes import PURPOSES, Role
from shared.quantities import Money, Quantity
from shared.service import Handled, Input

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
ENTRY = "01900000-0000-7000-8000-00000000000{}"
SALE_MONEY = MoneySides(
    debits=[AccountAmount(account="cash", amount=Money("119.00"))],
    credits=[
        AccountAmount(account="income", amount=Money("100.00"), line=1),
        AccountAmount(account="vat", amount=Money("19.00"), line=1),
    ],
)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database, max_overflow=8)
    yield engine
    engine.dispose()


def posted(
    number: str = "M1",
    purpose: str = "purchase_receipt",
    values: Sequence[str] = ("100.00",),
    *,
    company: str = "shop",
    source: str = "till",
    document: str | None = "D-1",
    perpetual: bool = True,
    money: MoneySides | None = None,
    entry: str = ENTRY,
) -> MovementPosted:
    """A posted movement with an entry of each value; accounts are called like their roles."""
    entries = [
        PostedEntry(
            entry=entry.format(line),
            line=line,
            item="tea",
            warehouse="shop",
            quantity=Quantity("1"),
            value=Money(value),
            stamp=1,
            quantity_after=Quantity("1"),
            value_after=Money("0"),
            stock_account="stock",
        )
        for line, value in enumerate(values, 1)
    ]
    return MovementPosted(
        source=source,
        id=number,
        company=company,
        currency="EUR",
        digits=2,
        perpetual=perpetual,
        purpose=purpose,
        effective_at=NOON,
        recorded_at=NOON,
        posting_date=date(2026, 3, 2),
        document=document,
        entries=entries,
        accounts={role: role.value for role in Role if role is not Role.STOCK},
        money=money,
    )


def inputs(*movements: MovementPosted) -> list[Input]:
    """The movements as they come out of a frame."""
    event = write_event(MOVEMENT_POSTED, "ledger", "E1", frame([write(each) for each in movements]))
    return HANDLERS[MOVEMENT_POSTED].read(read_envelope(event))


def book(engine: Engine, *movements: MovementPosted) -> Handled:
    with transaction(engine) as connection:
        return book_movements(inputs(*movements), connection)


def rows(engine: Engine, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        found: Sequence[Row[Any]] = query(connection, statement, **parameters)
        return [tuple(row) for row in found]


def told(handled: Handled) -> dict[str, bytes]:
    """What is to be published, by the movement's id."""
    assert len({(each.source, each.id) for each in handled.outputs}) == len(handled.outputs)
    return {each.id: each.body for each in handled.outputs}


# --- what is stored and told -----------------------------------------------------------------------------------------


def test_a_sale_stands_in_the_journal_line_by_line(engine: Engine) -> None:
    book(engine, posted("S1", "sale", ["-60.00"], money=SALE_MONEY))
    assert rows(
        engine,
        "SELECT ordinal, line, debit_account, credit_account, amount, ledger_entry::text FROM accounting.journal"
        " ORDER BY ordinal",
    ) == [
        (1, 1, "cost_of_goods_sold", "stock", Decimal("60.00"), ENTRY.format(1)),
        (2, 1, "cash", "income", Decimal("100.00"), None),
        (3, 1, "cash", "vat", Decimal("19.00"), None),
    ]


def test_the_journal_says_which_movement_was_booked_and_when(engine: Engine) -> None:
    book(engine, posted("S1"))
    assert rows(
        engine,
        "SELECT company, source, id, purpose, posting_date, effective_at, recorded_at, document, currency"
        " FROM accounting.journal",
    ) == [("shop", "till", "S1", "purchase_receipt", date(2026, 3, 2), NOON, NOON, "D-1", "EUR")]


def test_the_message_tells_what_the_tables_hold(engine: Engine) -> None:
    (output,) = book(engine, posted("S1", "sale", ["-60.00"], money=SALE_MONEY)).outputs
    journal = read(decoder(JournalPosted), output.body)
    assert (output.kind, output.source, output.id) == (JOURNAL_POSTED, "till", "S1")
    stored = rows(
        engine,
        "SELECT journal_entry::text, line, debit_account, credit_account, amount, ledger_entry::text"
        " FROM accounting.journal ORDER BY ordinal",
    )
    assert stored == [
        (journal.journal_entry, each.line, each.debit, each.credit, each.amount, each.entry)
        for each in journal.transfers
    ]


@pytest.mark.parametrize("document", [None, "", "tab\there", "line\nfeed\r", "back\\slash \\N", 'it\'s "quoted" ü 茶'])
def test_any_text_is_stored_as_it_came(engine: Engine, document: str | None) -> None:
    book(engine, posted("odd 'id' \\ \t", document=document))
    assert rows(engine, "SELECT id, document FROM accounting.journal") == [("odd 'id' \\ \t", document)]


def test_a_movement_of_value_zero_has_an_entry_without_transfers(engine: Engine) -> None:
    assert "M1" in told(book(engine, posted(values=["0.00"])))
    assert rows(engine, "SELECT id, ordinal, amount FROM accounting.journal") == [("M1", None, None)]
    assert rows(engine, "SELECT * FROM accounting.debit_credit") == []


def test_without_perpetual_accounting_a_movement_is_known_but_neither_booked_nor_told(engine: Engine) -> None:
    movement = posted(perpetual=False)
    assert [told(book(engine, movement)), told(book(engine, movement))] == [{}, {}]
    assert rows(engine, "SELECT id, outputs FROM accounting.movement") == [("M1", None)]
    assert rows(engine, "SELECT * FROM accounting.journal") == []


# --- once ------------------------------------------------------------------------------------------------------------


def test_a_movement_that_comes_again_is_told_again_and_booked_once(engine: Engine) -> None:
    first = told(book(engine, posted("M1"), posted("M2")))
    again = told(book(engine, posted("M2"), posted("M3")))
    assert again["M2"] == first["M2"]
    assert set(again) == {"M2", "M3"}
    assert rows(engine, "SELECT id, count(*) FROM accounting.journal GROUP BY id ORDER BY id") == [
        ("M1", 1),
        ("M2", 1),
        ("M3", 1),
    ]


def test_what_is_told_again_is_what_was_stored_not_what_came_now(engine: Engine) -> None:
    first = told(book(engine, posted("M1", values=["5"])))
    assert told(book(engine, posted("M1", values=["6"]))) == first
    assert rows(engine, "SELECT amount FROM accounting.journal") == [(Decimal(5),)]


def test_a_movement_that_was_not_booked_is_not_told_when_it_comes_again_otherwise(engine: Engine) -> None:
    book(engine, posted("M1", perpetual=False))
    assert told(book(engine, posted("M1"))) == {}


def test_a_movement_twice_in_one_set_is_booked_and_told_once(engine: Engine) -> None:
    handled = book(engine, posted("M1"), posted("M2"), posted("M1"))
    assert sorted(told(handled)) == ["M1", "M2"]
    assert rows(engine, "SELECT count(*) FROM accounting.journal") == [(2,)]


def test_the_same_id_of_two_sources_is_two_movements(engine: Engine) -> None:
    assert len(book(engine, posted("M1", source="till"), posted("M1", source="web")).outputs) == 2
    assert rows(engine, "SELECT source FROM accounting.journal ORDER BY source") == [("till",), ("web",)]


def test_an_empty_set_does_nothing(engine: Engine) -> None:
    assert list(book(engine).outputs) == []


def test_a_set_that_fails_leaves_nothing_behind(engine: Engine) -> None:
    with pytest.raises(psycopg2.DataError, match="no uuid"):
        book(engine, posted("M1"), posted("M2", entry="no uuid"))
    assert rows(engine, "SELECT id FROM accounting.movement UNION SELECT id FROM accounting.journal") == []
    assert "M1" in told(book(engine, posted("M1")))


@pytest.mark.parametrize("first_commits", [True, False])
def test_of_two_sessions_with_one_movement_the_second_waits_and_books_only_if_the_first_did_not(
    engine: Engine, first_commits: bool
) -> None:
    """A frozen worker's movement is delivered to another; whichever way it ends, both tell the same."""
    with ThreadPoolExecutor(1) as pool, engine.connect() as frozen:
        first = told(book_movements(inputs(posted("M1"), posted("M2")), frozen))
        second = pool.submit(book, engine, posted("M2"), posted("M3"))
        _wait_for_a_blocked_session(engine)
        assert not second.done()
        (frozen.commit if first_commits else frozen.rollback)()
        assert told(second.result(timeout=10)) == {"M2": first["M2"]} | told(book(engine, posted("M3")))
    expected = [("M1",), ("M2",), ("M3",)] if first_commits else [("M2",), ("M3",)]
    assert rows(engine, "SELECT id FROM accounting.journal ORDER BY id") == expected


def test_many_sessions_with_the_same_movements_in_any_order_book_each_once(engine: Engine) -> None:
    movements = [posted(f"M{number}") for number in range(120)]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = rows(engine, deadlocks)

    def work(seed: int) -> dict[str, bytes]:
        shuffled = random.Random(seed).sample(movements, len(movements))
        found: dict[str, bytes] = {}
        for start in range(0, len(shuffled), 15):
            found |= told(book(engine, *shuffled[start : start + 15]))
        return found

    with ThreadPoolExecutor(4) as pool:
        everything = list(pool.map(work, range(4)))
    assert all(each == everything[0] for each in everything)
    assert len(everything[0]) == len(movements)
    assert rows(engine, "SELECT count(*), count(DISTINCT id) FROM accounting.journal") == [(120, 120)]
    assert rows(engine, deadlocks) == before


def _wait_for_a_blocked_session(engine: Engine) -> None:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(500):
        if rows(engine, statement) == [(1,)]:
            return
        time.sleep(0.01)
    raise AssertionError("no session came to wait")


# --- what is booked stays, and balances ------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["journal_entry", "transfer"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounting.{} SET company = company",
        "DELETE FROM accounting.{}",
        "DELETE FROM accounting.{} WHERE false",
        "TRUNCATE accounting.{}",
        "TRUNCATE accounting.{} CASCADE",
    ],
)
def test_what_is_booked_can_neither_be_changed_nor_removed(engine: Engine, table: str, change: str) -> None:
    book(engine, posted())
    with pytest.raises(DBAPIError, match=f"accounting.{table} is append-only"), transaction(engine) as connection:
        run(connection, change.format(table))
    assert rows(engine, "SELECT amount FROM accounting.journal") == [(Decimal(100),)]


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity", "-Infinity", "1000000000000000"])
def test_the_schema_refuses_an_amount_that_is_not_above_zero(engine: Engine, amount: str) -> None:
    with pytest.raises(DBAPIError, match="transfer_amount_check"), transaction(engine) as connection:
        _insert_transfer(connection, amount)


def test_the_largest_amount_of_a_message_fits_into_the_schema(engine: Engine) -> None:
    with transaction(engine) as connection:
        _insert_transfer(connection, "999999999999999.999")
    assert rows(engine, "SELECT amount FROM accounting.transfer") == [(Decimal("999999999999999.999"),)]


def _insert_transfer(connection: Connection, amount: str) -> None:
    run(
        connection,
        "INSERT INTO accounting.transfer VALUES ('shop', cast(:entry AS uuid), 1, 'a', 'b', cast(:amount AS numeric))",
        entry=ENTRY.format(1),
        amount=amount,
    )


def test_the_trial_balance_of_each_company_adds_up_to_zero(engine: Engine) -> None:
    chance = random.Random(7)
    movements = [
        posted(
            f"M{number}",
            chance.choice([name for name in PURPOSES if name not in ("material_transfer", "cancellation")]),
            [f"{chance.randint(-9999, 9999) / 100:.2f}" for _ in range(chance.randint(0, 4))],
            company=chance.choice(["shop", "depot"]),
            money=chance.choice([None, SALE_MONEY]),
        )
        for number in range(60)
    ]
    book(engine, *movements)
    balances = "SELECT company, sum(balance), sum(debit) > 0 FROM accounting.trial_balance GROUP BY 1 ORDER BY 1"
    assert rows(engine, balances) == [("depot", 0, True), ("shop", 0, True)]
    values = {
        company: sum(entry.value for each in movements if each.company == company for entry in each.entries)
        for company in ("shop", "depot")
    }
    stock = "SELECT company, balance FROM accounting.trial_balance WHERE account = 'stock'"
    assert dict(rows(engine, stock)) == values


def test_the_trial_balance_keeps_debits_and_credits_apart(engine: Engine) -> None:
    book(engine, posted("M1", values=["100.00"]), posted("M2", "delivery", ["-30.00"]))
    found = rows(engine, "SELECT account, debit, credit, balance FROM accounting.trial_balance ORDER BY account")
    assert found == [
        ("cost_of_goods_sold", 30, 0, 30),
        ("stock", 100, 30, 70),
        ("stock_received_not_billed", 0, 100, -100),
    ]


def test_debits_equal_credits_in_every_entry_of_the_classical_view(engine: Engine) -> None:
    book(engine, posted("S1", "sale", ["-60.00", "-0.01"], money=SALE_MONEY))
    lines = rows(
        engine,
        "SELECT line, account, debit, credit FROM accounting.debit_credit ORDER BY ordinal, debit DESC",
    )
    assert lines == [
        (1, "cost_of_goods_sold", Decimal("60.00"), 0),
        (1, "stock", 0, Decimal("60.00")),
        (2, "cost_of_goods_sold", Decimal("0.01"), 0),
        (2, "stock", 0, Decimal("0.01")),
        (1, "cash", 100, 0),
        (1, "income", 0, 100),
        (1, "cash", 19, 0),
        (1, "vat", 0, 19),
    ]
