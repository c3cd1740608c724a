"""Stock Balance by Batch: what is there of every batch, what it is worth, when it expires and where it came from.

Quantity and value are the ledger's: of now, as of a time, or as known at a time. The record of the batch is
receiving's, and always that of now.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("state"),
    Column("manufactured_on", Kind.DATE),
    Column("expires_on", Kind.DATE),
    Column("supplier"),
    Column("supplier_batch"),
)
_WANTED = matching("company item warehouse batch")
_SELECT = f"""
SELECT company, item, warehouse, batch, balance.quantity, value,
       state, manufactured_on, expires_on, supplier, supplier_batch
FROM {{balance}} AS balance
LEFT JOIN receiving.batch_status AS record USING (company, item, batch)
WHERE {_WANTED}
ORDER BY company, item, expires_on NULLS LAST, batch, warehouse
"""
_NOW = _SELECT.format(balance="ledger.batch_balance")
_THEN = _SELECT.format(
    balance=f"""(
    SELECT company, item, warehouse, batch, sum(quantity) AS quantity, sum(value) AS value FROM ledger.batch_ledger
    WHERE {_WANTED} AND {BY_THEN} GROUP BY company, item, warehouse, batch
)"""
)


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())


REPORT = Report(
    name="batch-balance",
    title="Stock Balance by Batch",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "as_of", "known_at"),
    read=_read,
)
