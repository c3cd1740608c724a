"""Service History: everything that happened to each unit, in order: movements, claims, visits, hand-overs.

A movement that was cancelled stands where it was, and `cancelled_by` says by which.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.facts import Unit
from services.aftercare.decide.history import Line, history
from services.aftercare.store.asked import asked
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("at", Kind.TIME),
    Column("what"),
    Column("told"),
    Column("document"),
    Column("actor"),
    Column("cancelled_by"),
    Column("source"),
    Column("id"),
    Column("recorded_at", Kind.TIME),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        yield from (_row(each.unit, line) for line in history(each.dossier))


def _row(unit: Unit, line: Line) -> Row:
    by = " ".join(line.cancelled_by) if line.cancelled_by is not None else None
    return (*unit, line.at, line.what, line.told, line.document, line.actor, by, *line.key, line.recorded_at)


REPORT = Report(
    name="unit-history",
    title="Service History",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
