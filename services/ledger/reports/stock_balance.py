"""Stock Balance: quantity and value in every bin, now or as of a time.

Now is read from the bins; as of a time is the sum of the entries that had taken effect by then.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.quantities import rate_of
from shared.report import Column, Filters, Kind, Report, Row, matching

_WANTED = matching("company item warehouse")
_NOW = f"""
SELECT company, item, warehouse, quantity, value
FROM ledger.stock_balance WHERE {_WANTED} ORDER BY company, item, warehouse
"""
_AS_OF = f"""
SELECT company, item, warehouse, sum(quantity) AS quantity, sum(value) AS value
FROM ledger.stock_ledger WHERE {_WANTED} AND effective_at <= :as_of
GROUP BY company, item, warehouse ORDER BY company, item, warehouse
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    rows = query(connection, _AS_OF if filters.as_of else _NOW, **filters.given())
    for row in rows:
        yield (*row, rate_of(row.value, row.quantity) if row.quantity else None)


REPORT = Report(
    name="stock-balance",
    title="Stock Balance",
    columns=(
        Column("company"),
        Column("item"),
        Column("warehouse"),
        Column("quantity", Kind.QUANTITY),
        Column("value", Kind.MONEY),
        Column("rate", Kind.RATE),
    ),
    takes=("company", "item", "warehouse", "as_of"),
    read=_read,
)
