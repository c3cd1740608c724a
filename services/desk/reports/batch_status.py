"""Batch Status: the record of every batch, in stock or not: dates, origin, whether it may leave.

As of a time, or as known at a time, the quantity is what the ledger posted by then; the record is always that of now.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("batch"),
    Column("state"),
    Column("manufactured_on", Kind.DATE),
    Column("expires_on", Kind.DATE),
    Column("supplier"),
    Column("supplier_batch"),
    Column("quantity", Kind.QUANTITY),
)
_RECORD = [column.name for column in COLUMNS if column.kind is not Kind.QUANTITY]
_WANTED = matching("company item batch")
_NOW = f"""
SELECT {", ".join(_RECORD)}, quantity
FROM receiving.batch_status WHERE {_WANTED} ORDER BY company, item, batch
"""
_THEN = f"""
SELECT {", ".join(_RECORD)}, coalesce(held.quantity, 0) AS quantity
FROM receiving.batch_status LEFT JOIN (
    SELECT company, item, batch, sum(quantity) AS quantity FROM ledger.batch_ledger
    WHERE {_WANTED} AND {BY_THEN} GROUP BY company, item, batch
) AS held USING (company, item, batch)
WHERE {_WANTED} ORDER BY company, item, batch
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())


REPORT = Report(
    name="batch-status",
    title="Batch Status",
    columns=COLUMNS,
    takes=("company", "item", "batch", "as_of", "known_at"),
    read=_read,
)
