"""Closed books, pure: what is told of closings, in which order they take effect, what is refused on locked days."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from services.accounting.decide.journal import book
from services.accounting.decide.periods import day_before, next_in_order, on_locked_days, refuse_locked
from services.receiving.decide.periods import Asked, Books, Change, changes_told, closed_through
from services.receiving.decide.stock import NEVER
from shared.contracts.codec import Malformed, decoder, read
from shared.contracts.masters import PeriodClosed, PeriodReopened
from shared.contracts.period import PeriodClosing, PeriodReopening
from shared.errors import InvariantBroken
from tests.accounting_builders import JOURNAL_ENTRY, entry, posted
from tests.receiving_builders import company

NOW = datetime(2026, 3, 2, 18, tzinfo=UTC)
FEBRUARY = PeriodClosed(company="shop", through=date(2026, 2, 28), actor="ann", reason="done")
LATE = PeriodReopened(company="shop", open_from=date(2026, 2, 15), actor="bob", reason="an invoice")


def told(*changes: Change, zone: str = "UTC", recorded_at: datetime = NEVER) -> list[PeriodClosing | PeriodReopening]:
    """What accounting is told of these changes of books that were changed four times before."""
    asked = [Asked("office", f"C{place}", each, "trace") for place, each in enumerate(changes)]
    return changes_told(asked, {"shop": Books(None, 4, recorded_at)}, {"shop": company(time_zone=zone)}, NOW)


def test_the_changes_of_a_company_s_books_are_numbered_without_a_gap() -> None:
    assert [each.number for each in told(FEBRUARY, LATE, FEBRUARY)] == [5, 6, 7]


def test_a_closing_tells_when_its_last_day_ends_where_the_company_is() -> None:
    for zone, ends in (("UTC", (28 + 1, 0)), ("Europe/Berlin", (28, 23)), ("America/New_York", (28 + 1, 5))):
        (closing,) = told(FEBRUARY, zone=zone)
        day, hour = ends
        assert isinstance(closing, PeriodClosing)
        assert closing.ends_at == datetime(2026, 2, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def test_no_closing_is_recorded_before_a_movement_that_was_accepted_before_it() -> None:
    ahead = NOW + timedelta(seconds=3)
    assert [each.recorded_at for each in told(FEBRUARY, LATE, recorded_at=ahead)] == [ahead, ahead]
    assert [each.recorded_at for each in told(FEBRUARY)] == [NOW]


def test_who_closes_and_reopens_and_why_is_told() -> None:
    closing, reopening = told(FEBRUARY, LATE)
    assert (closing.source, closing.id, closing.actor, closing.reason, closing.trace) == (
        "office", "C0", "ann", "done", "trace",
    )  # fmt: skip
    assert (reopening.source, reopening.id, reopening.actor, reopening.reason, reopening.trace) == (
        "office", "C1", "bob", "an invoice", "trace",
    )  # fmt: skip


def test_a_reopening_leaves_the_days_before_it_closed() -> None:
    assert [closed_through(each) for each in told(FEBRUARY, LATE)] == [date(2026, 2, 28), date(2026, 2, 14)]
    (whole,) = told(msgspec.structs.replace(LATE, open_from=date.min))
    assert closed_through(whole) is None
    assert [day_before(day) for day in (date(2026, 2, 15), date.min)] == [date(2026, 2, 14), None]


@pytest.mark.parametrize("said", ["", " ", "\n\t"])
def test_who_reopens_the_books_says_so_and_why(said: str) -> None:
    for kind, fields in ((PeriodClosed, ("actor",)), (PeriodReopened, ("actor", "reason"))):
        whole = {"company": "shop", "through": "2026-02-28", "open_from": "2026-02-28", "actor": "ann", "reason": "x"}
        read(decoder(kind), msgspec.json.encode(whole))
        for field in fields:
            with pytest.raises(Malformed, match=field):
                read(decoder(kind), msgspec.json.encode({**whole, field: said}))
            with pytest.raises(Malformed, match=field):
                read(decoder(kind), msgspec.json.encode({name: each for name, each in whole.items() if name != field}))


@pytest.mark.parametrize(
    ("last", "numbers", "due"),
    [(0, [], []), (0, [1, 2], [1, 2]), (0, [2], []), (3, [4, 6, 7], [4]), (3, [5, 6], [])],
)
def test_a_change_takes_effect_when_all_before_it_have(last: int, numbers: list[int], due: list[int]) -> None:
    assert list(next_in_order(last, numbers)) == due


def test_only_an_entry_of_a_locked_day_of_its_own_company_is_refused() -> None:
    journal = book(posted("purchase_receipt", entry("1.00")), JOURNAL_ENTRY)
    assert journal is not None
    day = journal.posting_date
    for locked in ({}, {"shop": day_before(day) or day}, {"twin": day}):
        refuse_locked([journal], locked)
    assert on_locked_days([journal], {"shop": day}) == [journal]
    with pytest.raises(InvariantBroken, match="locked"):
        refuse_locked([journal], {"shop": day})
