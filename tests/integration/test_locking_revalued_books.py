"""Locking closed books waits for what is still to be valued anew, and for what came of that to be booked."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import Engine
from structlog.testing import capture_logs

from services.accounting.handlers.periods import lock_periods
from shared.contracts.registry import PERIOD_LOCKED
from shared.contracts.stock import MovementPosted
from shared.service import Output
from tests import commands
from tests.accounting_builders import correction
from tests.builders import carry_out
from tests.closing_builders import FEBRUARY, IN_MARCH, MID_FEBRUARY, Company
from tests.receiving_builders import comes, goes, movement, opened, rows
from tests.revaluing_builders import make_clean, make_dirty, revalued, store, worth

HOUR = timedelta(hours=1)
RECEIPT = movement("purchase_receipt", comes("tea", 5), id="receipt", at=MID_FEBRUARY)
DELIVERY = movement("delivery", goes("tea", 2), id="delivery", at=MID_FEBRUARY + HOUR)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def company(engine: Engine) -> Company:
    return Company(engine)


def in_february(value: str = "-1.00") -> MovementPosted:
    """What corrects a delivery of the closed month."""
    dearer = worth("delivery", "delivery", correction(value, "-2"))
    return structs.replace(dearer, effective_at=MID_FEBRUARY + HOUR, posting_date=MID_FEBRUARY.date())


def in_march() -> MovementPosted:
    """What corrects a delivery of the open month."""
    dearer = worth("sold in March", "delivery", correction("-1.00", "-2"))
    return structs.replace(dearer, effective_at=IN_MARCH, posting_date=IN_MARCH.date())


def is_locked(outputs: Sequence[Output]) -> bool:
    assert {each.kind for each in outputs} <= {PERIOD_LOCKED}
    return bool(outputs)


def waits_for(company: Company) -> list[tuple[Any, ...]]:
    """What accounting waits for: source and id, or item and warehouse."""
    names = "waits_for_source, waits_for_id, waits_for_item, waits_for_warehouse"
    return rows(company.engine, f"SELECT {names} FROM accounting.period")


def close(company: Company) -> datetime:
    """Close February, and have accounting hear of it; when that was recorded."""
    company.hand(company.close())
    return company.gate.now


# --- bins that are to be valued anew ---------------------------------------------------------------------------------


def test_a_bin_that_is_to_be_valued_anew_holds_a_closing_up_until_it_has_been(company: Company) -> None:
    company.book(RECEIPT, DELIVERY)
    make_dirty(company.engine, ["north", "south"], close(company))
    assert not is_locked(company.sweep())
    assert waits_for(company) == [(None, None, "tea", "north")]
    make_clean(company.engine, "north")
    assert not is_locked(company.sweep())
    assert waits_for(company) == [(None, None, "tea", "south")]
    make_clean(company.engine, "south")
    assert is_locked(company.sweep())
    assert waits_for(company) == [(None, None, None, None)]
    assert company.locked() == [(FEBRUARY,)]


def test_what_makes_a_bin_dirty_after_the_closing_does_not_hold_it_up(company: Company) -> None:
    make_dirty(company.engine, ["north"], close(company) + timedelta(microseconds=1))
    assert is_locked(company.sweep())


def test_a_bin_that_is_dirty_from_a_closed_day_on_holds_it_up_whatever_made_it_dirty_last(company: Company) -> None:
    """It may be to be valued anew for two reasons, and is known to be since the later one."""
    make_dirty(company.engine, ["north"], close(company) + HOUR, from_at=MID_FEBRUARY)
    assert not is_locked(company.sweep())
    assert not is_locked(company.sweep())
    make_clean(company.engine, "north")
    assert is_locked(company.sweep())


def test_a_bin_that_became_dirty_for_another_reason_while_it_was_waited_for_does_not_hold_it_up(
    company: Company,
) -> None:
    at = close(company)
    make_dirty(company.engine, ["north"], at)
    assert not is_locked(company.sweep())
    make_clean(company.engine, "north")
    make_dirty(company.engine, ["north"], at + HOUR)
    assert is_locked(company.sweep())


def test_the_bins_and_revaluations_of_another_company_do_not_hold_it_up(company: Company) -> None:
    at = close(company)
    make_dirty(company.engine, ["north"], at, company="twin")
    store(company.engine, revalued(1, structs.replace(in_february(), company="twin"), at=at, company="twin"))
    assert is_locked(company.sweep())


def test_movements_are_waited_for_before_bins(company: Company) -> None:
    allocated = company.accept(RECEIPT, DELIVERY)
    make_dirty(company.engine, ["north"], close(company))
    posted = company.post(allocated)
    company.hand(posted[:1])
    assert not is_locked(company.sweep())
    assert waits_for(company) == [(allocated[1].source, "delivery", None, None)]
    company.hand(posted[1:])
    assert not is_locked(company.sweep())
    assert waits_for(company) == [(None, None, "tea", "north")]


# --- what came of it -------------------------------------------------------------------------------------------------


def test_a_closing_waits_until_what_was_valued_anew_before_it_is_booked(company: Company) -> None:
    company.book(RECEIPT, DELIVERY)
    at = close(company)
    told = store(company.engine, revalued(1, in_february(), at=at), revalued(2, in_march(), at=at - HOUR))
    assert not is_locked(company.sweep())
    company.hand(told[:1])
    assert not is_locked(company.sweep())
    assert waits_for(company) == [("ledger", "tea/2", None, None)]
    company.hand(told[1:])
    assert is_locked(company.sweep())


def test_what_is_valued_anew_for_something_after_the_closing_alone_does_not_hold_it_up(company: Company) -> None:
    told = store(company.engine, revalued(1, in_march(), at=close(company) + HOUR))
    assert is_locked(company.sweep())
    company.hand(told)


def test_what_is_valued_anew_also_for_something_before_the_closing_holds_it_up(company: Company) -> None:
    """One revaluation may answer to two causes, and is recorded with the later one."""
    told = store(company.engine, revalued(1, in_march(), in_february(), at=close(company) + HOUR))
    assert not is_locked(company.sweep())
    company.hand(told)
    assert is_locked(company.sweep())


def test_a_revaluation_without_anything_to_book_is_waited_for_and_then_done(company: Company) -> None:
    told = store(company.engine, revalued(1, in_february("0.00"), at=close(company)))
    assert not is_locked(company.sweep())
    assert company.hand(told) == []
    assert is_locked(company.sweep())


def test_all_that_was_corrected_has_its_number_when_the_days_are_locked(company: Company) -> None:
    company.book(RECEIPT, DELIVERY)
    told = store(company.engine, revalued(1, in_february(), at=close(company)))
    company.hand(told)
    assert is_locked(carry_out(company.engine, "accounting", lock_periods))
    assert rows(company.engine, "SELECT number FROM accounting.journal ORDER BY 1") == [(1,), (2,), (3,)]
    numbered = "SELECT number IS NOT NULL FROM accounting.journal WHERE revaluation = 'tea/1'"
    assert rows(company.engine, numbered) == [(True,)]


# --- what people see -------------------------------------------------------------------------------------------------


def test_what_a_closing_waits_for_is_logged_when_it_is_another_thing(company: Company) -> None:
    at = close(company)
    make_dirty(company.engine, ["north"], at)
    told = store(company.engine, revalued(1, in_february(), at=at))
    with capture_logs() as said:
        company.sweep()
        company.sweep()
        make_clean(company.engine, "north")
        company.sweep()
        company.hand(told)
        company.sweep()
    assert [(each["event"], each.get("waits_for")) for each in said] == [
        ("not locked yet", "valuing anew of tea north"),
        ("not locked yet", "booking of ledger tea/1"),
        ("locked", None),
    ]


def test_the_command_shows_movements_then_bins_then_revaluations_that_a_closing_waits_for(
    company: Company, database: str
) -> None:
    def shown() -> str:
        env = commands.environment(STOCKBOOK_DATABASE_URL=database)
        (row,) = msgspec.json.decode(commands.told("periods", "--format", "json", env=env))
        return str(row["waits_for"])

    allocated = company.accept(RECEIPT, DELIVERY)
    at = close(company)
    make_dirty(company.engine, ["north", "south"], at)
    store(company.engine, revalued(3, in_march(), at=at + HOUR))
    told = store(company.engine, revalued(1, in_february(), at=at), revalued(2, in_february(), at=at + HOUR))
    posted = company.post(allocated)
    company.hand(posted[:1])
    assert shown() == f"{allocated[1].source} delivery: not booked"
    company.hand(posted[1:])
    assert shown() == "tea north: to be valued anew, and 1 more"
    make_clean(company.engine, "north")
    make_clean(company.engine, "south")
    assert shown() == "ledger tea/1: not booked, and 1 more"
    company.hand(told)
    assert shown() == "the next sweep of accounting"
