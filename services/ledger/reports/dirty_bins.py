"""Dirty Bins: those of which some is still to be valued anew, the longest known first.

What was inserted, cancelled or revalued at `from_at` changes what came after it. `since` is when that was accepted; the
values from there on are provisional until the bin is clean again.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("from_at", Kind.TIME),
    Column("since", Kind.TIME),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM ledger.dirty_bins
WHERE {matching("company item warehouse")}
ORDER BY since, company, item, warehouse
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="dirty-bins", title="Dirty Bins", columns=COLUMNS, takes=("company", "item", "warehouse"), read=_read
)
