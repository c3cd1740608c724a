"""What several commands read from their options."""

from datetime import UTC, datetime, time

from shared.errors import StockbookError


def parse_time(text: str) -> datetime:
    """A moment: `2026-01-31T12:00:00+01:00`, without a zone in UTC; of a day alone, its last moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise StockbookError("a time looks like 2026-01-31 or 2026-01-31T12:00:00", given=text) from error
    if len(text) <= len("2026-01-31"):
        moment = datetime.combine(moment.date(), time.max)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
