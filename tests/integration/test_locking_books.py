"""Locking closed books: not before all that was accepted is booked, once, and then nothing in them changes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from services.accounting.handlers import service
from services.accounting.handlers.periods import catch_up, lock_periods
from services.accounting.store.journal import Booking, add_journal
from shared import outbox
from shared.contracts.codec import decoder, read, write
from shared.contracts.journal import JournalPosted
from shared.contracts.movement import MovementRequested
from shared.contracts.registry import JOURNAL_POSTED, PERIOD_LOCKED, PERIOD_UNLOCKED
from shared.db import query, run, transaction
from shared.errors import InvariantBroken
from shared.service import Output
from tests import commands
from tests.builders import COMPANY, carry_out
from tests.closing_builders import FEBRUARY, IN_MARCH, MID_FEBRUARY, Company, booking, hearing, told
from tests.receiving_builders import comes, goes, movement, opened, rows

JANUARY = date(2026, 1, 31)
RECEIPT = movement("purchase_receipt", comes("tea", 5), id="receipt", at=MID_FEBRUARY)
DELIVERY = movement("delivery", goes("tea", 2), id="delivery", at=MID_FEBRUARY + timedelta(hours=1))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def company(engine: Engine) -> Company:
    return Company(engine)


def march(identifier: str = "march") -> MovementRequested:
    return movement("purchase_receipt", comes("tea", 1, "south"), id=identifier, at=IN_MARCH)


def close_and_lock(company: Company) -> None:
    company.hand(company.close())
    assert kinds(company.sweep()) == [PERIOD_LOCKED]


def kinds(outputs: Sequence[Output]) -> list[str]:
    return [each.kind for each in outputs]


# --- when a closing becomes a lock -----------------------------------------------------------------------------------


def test_a_closing_is_locked_when_all_that_was_accepted_before_it_is_booked_and_told_once(company: Company) -> None:
    allocated = company.accept(RECEIPT, DELIVERY)
    company.hand(company.close(reason="the month is done"))
    assert company.sweep() == []  # nothing is posted
    posted = company.post(allocated)
    assert company.sweep() == []  # nothing is booked
    company.hand(posted[:1])
    assert company.sweep() == []  # one is
    assert company.locked() == []
    company.hand(posted[1:])
    (locked,) = company.sweep()
    ((at,),) = rows(company.engine, "SELECT locked_at FROM accounting.periods")
    said = told(locked)
    assert (said.company, said.number, said.through, said.actor, said.reason) == (
        COMPANY, 1, FEBRUARY, "ann", "the month is done",
    )  # fmt: skip
    assert (said.source, said.id, said.recorded_at, said.locked_at) == ("office", "C1", company.gate.now, at)
    assert company.locked() == [(FEBRUARY,)]
    assert company.sweep() == []


def test_what_is_accepted_after_a_closing_does_not_hold_it_up(company: Company) -> None:
    closing = company.close()
    company.gate.now += timedelta(minutes=1)
    company.accept(march())
    company.hand(closing)
    assert kinds(company.sweep()) == [PERIOD_LOCKED]


def test_a_movement_of_a_closed_day_holds_it_up_whatever_the_clocks_said(company: Company) -> None:
    (allocated,) = company.accept(RECEIPT)
    (closing,) = company.close()
    early = msgspec.structs.replace(told(closing), recorded_at=allocated.recorded_at - timedelta(hours=1))
    company.hand([replace(closing, body=write(early))])
    assert company.sweep() == []
    company.hand(company.post([allocated]))
    assert kinds(company.sweep()) == [PERIOD_LOCKED]


def test_what_waits_in_the_ledger_for_an_earlier_movement_holds_a_closing_up(company: Company) -> None:
    receipt, delivery = company.accept(RECEIPT, DELIVERY)
    company.hand(company.close())
    assert company.post([delivery]) == []
    assert company.sweep() == []
    company.hand(company.post([receipt]))
    assert kinds(company.sweep()) == [PERIOD_LOCKED]


def test_another_company_s_movements_and_locks_are_its_own(company: Company) -> None:
    company.gate.define("company", company="twin", currency="EUR")
    company.gate.define("warehouse", company="twin", warehouse="abroad")
    company.gate.define("item", company="twin", item="tea")
    abroad = movement("purchase_receipt", comes("tea", 5, "abroad"), id="abroad", at=MID_FEBRUARY)
    allocated = company.accept(abroad)
    close_and_lock(company)
    company.hand(company.post(allocated))
    assert company.sweep() == []
    assert rows(company.engine, "SELECT company FROM accounting.books WHERE locked_through IS NOT NULL") == [(COMPANY,)]


def test_a_company_without_a_journal_is_locked_as_well(company: Company) -> None:
    company.gate.define("company", company=COMPANY, currency="EUR", perpetual=False)
    company.book(RECEIPT)
    close_and_lock(company)


def test_of_two_closings_each_is_locked_and_told(company: Company) -> None:
    company.hand([*company.close(JANUARY), *company.close(FEBRUARY, "C2")])
    assert [told(each).through for each in company.sweep()] == [JANUARY, FEBRUARY]
    assert company.locked() == [(FEBRUARY,)]


# --- messages that come twice, late, or not at all -------------------------------------------------------------------


def test_a_closing_that_comes_twice_is_kept_and_told_once(company: Company) -> None:
    closing = company.close()
    company.hand([*closing, *closing])
    assert kinds(company.sweep()) == [PERIOD_LOCKED]
    assert company.hand(closing) == []
    assert company.sweep() == []
    assert rows(company.engine, "SELECT count(*) FROM accounting.period") == [(1,)]


def test_changes_take_effect_in_the_order_of_the_gate_whatever_comes_first(company: Company) -> None:
    first = company.close()
    reopening = company.reopen(date(2026, 2, 14))
    second = company.close(identifier="C2")
    assert company.hand(second) == []
    assert company.hand(reopening) == []
    assert company.sweep() == []
    assert kinds(company.hand(first)) == [PERIOD_UNLOCKED]
    assert [told(each).number for each in company.sweep()] == [3]


def test_a_lock_that_was_committed_and_not_published_is_published_by_a_later_sweep(company: Company) -> None:
    company.hand(company.close())
    step: Any = lock_periods
    while step is not None:  # killed each time before it publishes
        with transaction(company.engine) as connection:
            step = step(connection).then
    assert company.locked() == [(FEBRUARY,)]
    assert kinds(carry_out(company.engine, "accounting", outbox.sweep("accounting"))) == [PERIOD_LOCKED]
    assert carry_out(company.engine, "accounting", outbox.sweep("accounting")) == []


def test_a_lock_that_was_not_committed_is_none(company: Company) -> None:
    company.hand(company.close())
    step = lock_periods
    with pytest.raises(KeyboardInterrupt), transaction(company.engine) as connection:
        first = step(connection).then
        assert first is not None
        first(connection)
        raise KeyboardInterrupt
    assert company.locked() == []
    assert kinds(company.sweep()) == [PERIOD_LOCKED]


def test_what_was_lost_with_the_queue_is_taken_from_the_gate(company: Company) -> None:
    company.close()
    assert carry_out(company.engine, "accounting", catch_up) == []
    assert rows(company.engine, "SELECT * FROM accounting.period") == []
    due = service().replay
    assert due is not None
    carry_out(company.engine, "accounting", due)
    company.reopen(date(2026, 2, 14))
    assert kinds(carry_out(company.engine, "accounting", catch_up)) == [PERIOD_UNLOCKED]
    assert carry_out(company.engine, "accounting", catch_up) == []
    assert rows(company.engine, "SELECT number FROM accounting.period ORDER BY number") == [(1,), (2,)]


# --- nothing changes in what is locked -------------------------------------------------------------------------------


def test_nothing_is_booked_on_a_locked_day(company: Company) -> None:
    close_and_lock(company)
    (posted,) = company.post(company.accept(march()))
    back = msgspec.structs.replace(told(posted), posting_date=FEBRUARY)
    with pytest.raises(InvariantBroken, match="locked day"):
        company.hand([replace(posted, body=write(back))])
    assert rows(company.engine, "SELECT * FROM accounting.movement") == []
    company.hand([replace(posted, body=write(msgspec.structs.replace(back, posting_date=date(2026, 3, 1))))])


def test_the_schema_too_refuses_what_would_be_booked_on_a_locked_day(company: Company) -> None:
    close_and_lock(company)
    (posted,) = company.post(company.accept(march()))
    (output,) = (
        each for each in carry_out(company.engine, "accounting", hearing(posted)) if each.kind == JOURNAL_POSTED
    )
    journal = read(decoder(JournalPosted), output.body)
    back = msgspec.structs.replace(
        journal, posting_date=FEBRUARY, journal_entry=journal.journal_entry[:-1] + "0", id="x"
    )
    with pytest.raises(psycopg2.Error, match="locked through 2026-02-28"), transaction(company.engine) as connection:
        add_journal(connection, [Booking(("till", "x"), COMPANY, back.recorded_at, [back], None)])
    inserted = """
        INSERT INTO accounting.journal_entry SELECT company, gen_random_uuid(), source, 'y', purpose, '2026-01-05',
            effective_at, recorded_at, document, currency FROM accounting.journal_entry
    """
    with pytest.raises(DBAPIError, match="locked through 2026-02-28"), transaction(company.engine) as connection:
        run(connection, inserted)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounting.books SET locked_through = '2026-01-31'",
        "UPDATE accounting.books SET locked_through = NULL",
        "DELETE FROM accounting.books",
        "DELETE FROM accounting.period",
        "TRUNCATE accounting.period",
        "UPDATE accounting.period SET locked_at = NULL",
        "UPDATE accounting.period SET actor = 'eve'",
        "UPDATE accounting.period SET through = '2026-01-31'",
    ],
)
def test_nobody_undoes_a_lock_by_hand(company: Company, change: str) -> None:
    close_and_lock(company)
    with (
        pytest.raises(DBAPIError, match=r"locked through|append-only|history"),
        transaction(company.engine) as connection,
    ):
        run(connection, change)
    assert company.locked() == [(FEBRUARY,)]


# --- reopening -------------------------------------------------------------------------------------------------------


def test_a_reopening_ends_a_lock_which_stays_in_the_history_with_who_and_why(company: Company) -> None:
    close_and_lock(company)
    company.gate.now += timedelta(days=1)
    (unlocked,) = company.hand(company.reopen(date(2026, 2, 14)))
    said = told(unlocked)
    assert unlocked.kind == PERIOD_UNLOCKED
    assert (said.company, said.number, said.open_from, said.actor, said.reason, said.recorded_at) == (
        COMPANY, 2, date(2026, 2, 14), "bob", "an invoice came late", company.gate.now,
    )  # fmt: skip
    assert company.locked() == [(date(2026, 2, 13),)]
    history = "SELECT through, locked_at IS NOT NULL, reopened_from, reopened_at, reopened_by, reopened_because"
    assert rows(company.engine, f"{history} FROM accounting.periods") == [
        (FEBRUARY, True, date(2026, 2, 14), company.gate.now, "bob", "an invoice came late")
    ]
    company.book(RECEIPT)
    assert company.sweep() == []
    company.hand(company.close(identifier="C2"))
    assert [told(each).number for each in company.sweep()] == [3]
    assert company.locked() == [(FEBRUARY,)]


def test_a_reopening_ends_the_locks_of_later_days_and_leaves_those_of_earlier_ones(company: Company) -> None:
    company.hand([*company.close(JANUARY), *company.close(FEBRUARY, "C2")])
    company.sweep()
    company.hand(company.reopen(date(2026, 2, 1)))
    assert company.locked() == [(JANUARY,)]
    standing = "SELECT through, reopened_from FROM accounting.periods ORDER BY through"
    assert rows(company.engine, standing) == [(JANUARY, None), (FEBRUARY, date(2026, 2, 1))]


def test_a_closing_that_is_reopened_before_it_was_locked_never_is(company: Company) -> None:
    allocated = company.accept(RECEIPT)
    company.hand([*company.close(), *company.reopen(date(2026, 2, 1))])
    company.hand(company.post(allocated))
    assert company.sweep() == []
    assert company.locked() == []


def test_books_reopened_to_the_beginning_of_the_calendar_are_not_locked_at_all(company: Company) -> None:
    close_and_lock(company)
    company.hand(company.reopen(date.min))
    assert company.locked() == []


def test_a_movement_that_comes_before_the_word_of_the_reopening_that_let_it_in_is_booked(company: Company) -> None:
    close_and_lock(company)
    reopening = company.reopen(date(2026, 2, 14))
    posted = company.post(company.accept(RECEIPT, DELIVERY))
    assert kinds(carry_out(company.engine, "accounting", booking(posted))) == [JOURNAL_POSTED] * 2
    assert company.locked() == [(date(2026, 2, 13),)]
    assert kinds(carry_out(company.engine, "accounting", outbox.sweep("accounting"))) == [PERIOD_UNLOCKED]
    assert company.hand(reopening) == []


# --- what people see -------------------------------------------------------------------------------------------------


def test_the_command_shows_what_is_closed_by_whom_and_what_it_waits_for(company: Company, database: str) -> None:
    def shown() -> list[dict[str, Any]]:
        env = commands.environment(STOCKBOOK_DATABASE_URL=database)
        found: list[dict[str, Any]] = msgspec.json.decode(commands.told("periods", "--format", "json", env=env))
        return found

    assert shown() == []
    allocated = company.accept(RECEIPT, DELIVERY)
    closing = company.close()
    assert [(each["state"], each["waits_for"]) for each in shown()] == [("untold", "accounting has not heard of it")]
    company.hand(closing)
    (row,) = shown()
    assert (row["through"], row["state"], row["closed_by"]) == ("2026-02-28", "closed", "ann")
    waits_for = row["waits_for"]
    assert ": not posted, and 1 more" in waits_for
    posted = company.post(allocated)
    company.hand(posted[:1])
    assert shown()[0]["waits_for"] == f"{posted[1].source} delivery: not booked"
    company.hand(posted[1:])
    assert shown()[0]["waits_for"] == "the next sweep of accounting"
    company.sweep()
    (row,) = shown()
    assert (row["state"], row["waits_for"], row["locked_at"] is not None) == ("locked", None, True)
    company.hand(company.reopen(date(2026, 2, 14)))
    (row,) = shown()
    assert (row["state"], row["reopened_from"], row["reopened_by"]) == ("reopened", "2026-02-14", "bob")


def test_a_missing_movement_is_looked_for_again_only_when_the_last_one_is_there(company: Company) -> None:
    allocated = company.accept(RECEIPT)
    company.hand(company.close())
    company.sweep()
    assert rows(company.engine, "SELECT waits_for_id FROM accounting.period") == [("receipt",)]
    company.hand(company.post(allocated))
    company.sweep()
    with transaction(company.engine) as connection:
        assert [row.waits_for_id for row in query(connection, "SELECT waits_for_id FROM accounting.period")] == [None]
