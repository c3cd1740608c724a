"""What several commands read from their options."""

import re
from datetime import UTC, date, datetime, time, timedelta

from shared.errors import StockbookError

_AGE = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_time(text: str) -> datetime:
    """A moment: `2026-01-31T12:00:00+01:00`, without a zone in UTC; of a day alone, its last moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise StockbookError("a time looks like 2026-01-31 or 2026-01-31T12:00:00", given=text) from error
    if len(text) <= len("2026-01-31"):
        moment = datetime.combine(moment.date(), time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_day(text: str) -> date:
    """A day: `2026-01-31`."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise StockbookError("a day looks like 2026-01-31", given=text) from error


def parse_age(text: str) -> timedelta:
    """A length of time: `90s`, `15m`, `2h`, `7d`."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise StockbookError("an age looks like 90s, 15m, 2h or 7d", given=text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def until(older_than: str | None, now: datetime) -> datetime | None:
    """The moment before which something is older than that; None without an age."""
    return now - parse_age(older_than) if older_than else None
