"""What aftercare reads of the gate's views: sources and their patience, companies, registered units, movements."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from sqlalchemy import Connection

from services.aftercare.decide.facts import Key, Unit
from shared.db import columns, query

PASSAGE = timedelta(seconds=10)
"""How long a statement waits at least: what happened to its unit comes another way, through receiving."""

_SOURCES = "SELECT source, user_name, patience FROM receiving.sources WHERE source = ANY(:source)"
_TIME_ZONES = "SELECT company, time_zone FROM receiving.companies WHERE company = ANY(:company)"
_ALL_TIME_ZONES = "SELECT company, time_zone FROM receiving.companies"
_REGISTERED = """
SELECT company, item, serial FROM receiving.serial_status
WHERE status = 'inactive' AND (company, item, serial) IN (
    SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_ACCEPTED = """
SELECT source, id FROM receiving.accepted
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
"""


def load_users(connection: Connection, sources: Iterable[str]) -> dict[str, str]:
    """The user of each of these sources that has one."""
    rows = query(connection, _SOURCES, source=sorted(set(sources)))
    return {row.source: row.user_name for row in rows if row.user_name is not None}


def patience_of(connection: Connection, sources: Iterable[str], default: timedelta) -> dict[str, timedelta]:
    """How long the statements of each of these sources wait; `default` for one that was never defined.

    A source without patience says that it sends in order; in what order that comes here is not its doing.
    """
    names = sorted(set(sources))
    rows = query(connection, _SOURCES, source=names)
    found = {row.source: max(timedelta(seconds=row.patience), PASSAGE) for row in rows}
    return {name: found.get(name, default) for name in names}


def time_zones(connection: Connection, companies: Collection[str] | None = None) -> dict[str, str]:
    """The time zones of these companies, of those that are defined; None: of all."""
    if companies is None:
        return {row.company: row.time_zone for row in query(connection, _ALL_TIME_ZONES)}
    return {row.company: row.time_zone for row in query(connection, _TIME_ZONES, company=sorted(companies))}


def registered(connection: Connection, units: Collection[Unit]) -> set[Unit]:
    """Those of these units that the gate knows and that are in nobody's stock, and never were."""
    rows = query(connection, _REGISTERED, **columns(sorted(units), "company item serial")) if units else []
    return {Unit(row.company, row.item, row.serial) for row in rows}


def accepted(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Those of these movements that were accepted."""
    rows = query(connection, _ACCEPTED, **columns(sorted(keys), "source id")) if keys else []
    return {(row.source, row.id) for row in rows}
