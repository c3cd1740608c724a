"""Outcomes: what became of everything that was sent: accepted with what was allocated, or refused with every reason.

`outcome` is the message that the upstream was sent, as JSON. One that was judged anew stands where it was judged last.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import KNOWN, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("source"),
    Column("id"),
    Column("kind"),
    Column("purpose"),
    Column("result"),
    Column("effective_at", Kind.TIME),
    Column("recorded_at", Kind.TIME),
    Column("outcome"),
)
_SELECT = f"""
SELECT company, source, id, kind, purpose, CASE WHEN accepted THEN 'accepted' ELSE 'rejected' END AS result,
       effective_at, recorded_at, cast(outcome AS text) AS outcome
FROM receiving.outcome
WHERE {matching("company")} AND {KNOWN}
ORDER BY recorded_at, source, id
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(name="outcomes", title="Outcomes", columns=COLUMNS, takes=("company", "known_at"), read=_read)
