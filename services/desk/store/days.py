"""The day by which each company's goods are judged: whether they have expired, how old they are, what is covered."""

from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from shared.db import columns, query
from shared.report import Filters

_COMPANIES = """
SELECT company, time_zone, now() AS now FROM receiving.companies
WHERE cast(:company AS text) IS NULL OR company = :company ORDER BY company
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """A company, the day by which its goods are judged, and the last moment of that day there."""

    company: str
    day: date
    until: datetime


def judged(connection: Connection, filters: Filters) -> list[Judged]:
    """The day of each company: the one asked for, else that of the moment asked for, else today, by its own clock."""
    return [
        _judged(row.company, ZoneInfo(row.time_zone), row.now, filters)
        for row in query(connection, _COMPANIES, company=filters.company)
    ]


JUDGED = "unnest(cast(:companies AS text[]), cast(:days AS date[])) AS judged (company, day)"
"""The days as a part of a statement; `days_given` are its parameters."""


def days_given(connection: Connection, filters: Filters) -> dict[str, str]:
    """The parameters of `JUDGED`."""
    return dict(columns([(each.company, each.day) for each in judged(connection, filters)], "companies days"))


def _judged(company: str, zone: ZoneInfo, now: datetime, filters: Filters) -> Judged:
    day = filters.on or (filters.as_of or now).astimezone(zone).date()
    return Judged(company, day, datetime.combine(day, time.max, zone))
