"""The books of companies, closed and reopened: what each change is numbered, when it counts, and what is told of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from services.receiving.decide.moment import day_begins
from services.receiving.decide.stock import Company
from shared.contracts import masters
from shared.contracts.period import PeriodClosing, PeriodReopening

Change = masters.PeriodClosed | masters.PeriodReopened
Told = PeriodClosing | PeriodReopening


@dataclass(frozen=True, slots=True)
class Books:
    """The books of a company, locked: no movement of it is being decided.

    `begin` is the day before which its definition opens none. `last_change` is the number of the last closing or
    reopening, and `last_recorded_at` the latest time at which a movement was accepted.
    """

    begin: date | None
    last_change: int
    last_recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """An accepted closing or reopening, and what names it."""

    source: str
    id: str
    change: Change
    trace: str | None = None


def changes_told(
    asked: Sequence[Asked], books: Mapping[str, Books], companies: Mapping[str, Company], now: datetime
) -> list[Told]:
    """What accounting is told of closings and reopenings, in the order in which they were accepted.

    None is recorded before a movement that was accepted before it, whatever clock that went by.
    """
    current = dict(books)
    told: list[Told] = []
    for each in asked:
        before = current[each.change.company]
        after = replace(before, last_change=before.last_change + 1, last_recorded_at=max(now, before.last_recorded_at))
        current[each.change.company] = after
        told.append(_told(each, after, companies[each.change.company]))
    return told


def _told(asked: Asked, books: Books, company: Company) -> Told:
    change, number, at = asked.change, books.last_change, books.last_recorded_at
    if isinstance(change, masters.PeriodReopened):
        return PeriodReopening(
            source=asked.source,
            id=asked.id,
            company=change.company,
            number=number,
            open_from=change.open_from,
            actor=change.actor,
            reason=change.reason,
            recorded_at=at,
            trace=asked.trace,
        )
    return PeriodClosing(
        source=asked.source,
        id=asked.id,
        company=change.company,
        number=number,
        through=change.through,
        ends_at=day_begins(change.through + timedelta(days=1), company),
        actor=change.actor,
        reason=change.reason,
        recorded_at=at,
        trace=asked.trace,
    )


def closed_through(told: Told) -> date | None:
    """The last day that is closed from then on; None: there is none."""
    if isinstance(told, PeriodClosing):
        return told.through
    return told.open_from - timedelta(days=1) if told.open_from > date.min else None
