"""Waiting: what came before something that it needs, what that is, and until when it waits for it."""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import Column, Filters, Kind, Report, Row

_SELECT = """
SELECT source, id, kind, since, due_at, deadline, tries, array_to_string(lacks, ', ') AS lacks
FROM receiving.waiters ORDER BY since, source, id
"""


def _read(connection: Connection, _filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT)


REPORT = Report(
    name="waiting",
    title="Waiting",
    columns=(
        Column("source"),
        Column("id"),
        Column("kind"),
        Column("since", Kind.TIME),
        Column("due_at", Kind.TIME),
        Column("deadline", Kind.TIME),
        Column("tries", Kind.COUNT),
        Column("lacks"),
    ),
    takes=(),
    read=_read,
)
