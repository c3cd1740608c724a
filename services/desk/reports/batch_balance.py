"""Stock Balance by Batch: what is there of every batch, what it is worth, when it expires and where it came from.

Quantity and value are the ledger's, the dates and the origin are receiving's.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.report import Column, Filters, Kind, Report, Row, matching

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
_SELECT = f"""
SELECT company, item, warehouse, batch, balance.quantity, value,
       state, manufactured_on, expires_on, supplier, supplier_batch
FROM ledger.batch_balance AS balance
LEFT JOIN receiving.batch_status AS record USING (company, item, batch)
WHERE {matching("company item warehouse batch")}
ORDER BY company, item, expires_on NULLS LAST, batch, warehouse
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return query(connection, _SELECT, **filters.given())


REPORT = Report(
    name="batch-balance",
    title="Stock Balance by Batch",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch"),
    read=_read,
)
