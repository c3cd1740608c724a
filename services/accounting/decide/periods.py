"""Closed books: which closings and reopenings take effect, and what may not be booked any more.

They are numbered by the gate and may come in any order: each takes effect when all before it have.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from shared.contracts.journal import JournalPosted
from shared.contracts.period import PeriodClosing, PeriodReopening
from shared.errors import InvariantBroken

Change = PeriodClosing | PeriodReopening


def next_in_order(last: int, numbers: Sequence[int]) -> Sequence[int]:
    """Those of these numbers, ascending, that follow on the `last` one without a gap."""
    return [number for place, number in enumerate(numbers, 1) if number == last + place]


def day_before(day: date) -> date | None:
    """The last day that stays locked where the books are open from a day on; None: the calendar has none."""
    return day - timedelta(days=1) if day > date.min else None


def on_locked_days(journal: Sequence[JournalPosted], locked: Mapping[str, date]) -> list[JournalPosted]:
    """The journal entries of locked days; `locked` is the last one of each company that has any."""
    return [each for each in journal if each.company in locked and each.posting_date <= locked[each.company]]


def refuse_locked(journal: Sequence[JournalPosted], locked: Mapping[str, date]) -> None:
    """Raise InvariantBroken where a journal entry is of a locked day: the gate had closed it."""
    for each in on_locked_days(journal, locked):
        facts = {"posting_date": each.posting_date, "locked_through": locked[each.company]}
        raise InvariantBroken("nothing is booked on a locked day", source=each.source, id=each.id, **facts)
