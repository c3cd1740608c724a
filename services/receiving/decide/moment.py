"""When a movement takes effect: as reported, or a moment later where a till was only slow to report it.

Tills report seconds or minutes out of order; that is not back-dating. A movement older than the last event of what it
touches, by no more than the company's lateness and on the same business day, takes effect at that last event. It never
passes a count, which says what was there at its own moment; nor does a count itself take effect later. Whatever is
older than that is back-dated: it takes effect before what came behind it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from services.receiving.decide.stock import NEVER, Company
from shared.errors import Reason


@dataclass(frozen=True, slots=True)
class Moment:
    """The effective time, its day in the company's time zone, and what speaks against it.

    `dated_at` is when it counts in the books, where that is another time; its day is the day then. `back_dated`:
    something that it touches has later events.
    """

    effective_at: datetime
    day: date
    reasons: tuple[Reason, ...] = ()
    dated_at: datetime | None = None
    back_dated: bool = False


def moment(
    posting_at: datetime, last_at: datetime, company: Company, now: datetime, *, fixed_from: datetime = NEVER
) -> Moment:
    """Judge the time of a movement; `last_at` is the last event of its bins and serials.

    Before `fixed_from` it may not take effect later than reported: at that time something was counted.
    """
    day = business_day(posting_at, company)
    if posting_at > now + company.lateness:
        return Moment(posting_at, day, (_reason("posting_in_future", posting_at=posting_at, now=now),))
    if company.open_from is not None and day < company.open_from:
        return Moment(posting_at, day, (_reason("period_closed", day=day, open_from=company.open_from),))
    if posting_at >= last_at:
        return Moment(posting_at, day)
    is_late = last_at - posting_at <= company.lateness and (fixed_from == NEVER or posting_at >= fixed_from)
    if is_late and business_day(last_at, company) == day:
        return Moment(last_at, day)
    return Moment(posting_at, day, back_dated=True)


def business_day(at: datetime, company: Company) -> date:
    """The day of a moment in the company's time zone."""
    try:
        return at.astimezone(_zone(company.time_zone)).date()
    except OverflowError:  # the first or the last hours of the calendar
        return at.date()


def day_begins(day: date, company: Company) -> datetime:
    """The first moment of a day in the company's time zone."""
    return datetime.combine(day, time.min, _zone(company.time_zone)).astimezone(UTC)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _reason(code: str, **facts: date | datetime) -> Reason:
    return Reason(code, None, {name: value.isoformat() for name, value in facts.items()})
