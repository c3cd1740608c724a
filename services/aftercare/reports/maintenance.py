"""Maintenance Visits: what was planned for each unit, what was done for it, and what is overdue, up to the next visit.

`state` is `done`, `overdue`, `planned`, or `unplanned` for a visit of no schedule. A visit that was not done in full
leaves the planned one open.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.maintenance import Visit, VisitState, visits
from services.aftercare.store.asked import Asked, asked
from shared.contracts.aftercare import VisitDone
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("schedule"),
    Column("planned_on", Kind.DATE),
    Column("state"),
    Column("overdue_days", Kind.COUNT),
    Column("person"),
    Column("done_at", Kind.TIME),
    Column("work"),
    Column("parts"),
    Column("readings"),
    Column("claim"),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        yield from (_row(each, visit) for visit in visits(each.dossier, each.day))


def _row(of: Asked, visit: Visit) -> Row:
    overdue = (of.day - visit.planned_on).days if visit.state is VisitState.OVERDUE and visit.planned_on else None
    done = [each.what for each in visit.done if isinstance(each.what, VisitDone)]
    last = done[-1] if done else None
    readings = ", ".join(f"{name} {value}" for name, value in sorted(last.readings.items())) if last else None
    return (
        *of.unit,
        visit.schedule,
        visit.planned_on,
        visit.state.value,
        overdue,
        (last.person if last is not None else None) or visit.person,
        last.at if last is not None else None,
        "; ".join(each.work for each in done) or None,
        last.parts.id if last is not None and last.parts is not None else None,
        readings or None,
        last.claim if last is not None else None,
    )


REPORT = Report(
    name="maintenance",
    title="Maintenance Visits",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
