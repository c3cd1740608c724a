"""Batch Status: the record of every batch, in stock or not: dates, origin, whether it may leave."""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.report import Column, Filters, Kind, Report, Row, matching

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
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM receiving.batch_status
WHERE {matching("company item batch")}
ORDER BY company, item, batch
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return query(connection, _SELECT, **filters.given())


REPORT = Report(
    name="batch-status", title="Batch Status", columns=COLUMNS, takes=("company", "item", "batch"), read=_read
)
