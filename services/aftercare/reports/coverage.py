"""Coverage: by what every unit is covered, from when and until when; also what has ended, and what is still to begin.

As of a time, what had been told of the unit by then. `state` is by that day: `covers`, `ended` or `to_begin`.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from services.aftercare.decide.coverage import Cover, coverage
from services.aftercare.decide.custody import custody
from services.aftercare.store.asked import Asked, asked
from shared.report import Column, Filters, Kind, Report, Row

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("serial"),
    Column("state"),
    Column("kind"),
    Column("reference"),
    Column("starts_on", Kind.DATE),
    Column("ends_on", Kind.DATE),
    Column("days_left", Kind.COUNT),
    Column("terms"),
    Column("custodian"),
    Column("replaced_item"),
    Column("replaced_serial"),
    Column("source"),
    Column("id"),
)


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    for each in asked(connection, filters):
        for cover in coverage(each.unit, each.dossiers):
            yield _row(each, cover)


def _row(of: Asked, cover: Cover) -> Row:
    covers = cover.covers(of.day)
    left = (cover.last - of.day).days if covers and cover.last is not None else None
    inherited = cover.inherited_from
    return (
        *of.unit,
        "covers" if covers else "to_begin" if cover.first > of.day else "ended",
        cover.kind.value,
        cover.reference,
        cover.first,
        cover.last,
        left,
        cover.terms,
        custody(of.dossier).custodian,
        inherited.item if inherited is not None else None,
        inherited.serial if inherited is not None else None,
        *cover.by,
    )


REPORT = Report(
    name="coverage",
    title="Coverage",
    columns=COLUMNS,
    takes=("company", "item", "serial", "on", "as_of", "known_at"),
    read=_read,
)
