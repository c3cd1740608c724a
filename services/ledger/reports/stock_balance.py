"""Stock Balance: quantity and value in every bin, now, as of a time, or as known at a time.

Now is read from the bins; then is the sum of the entries that had taken effect, or were known, by then.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.quantities import rate_of
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

_WANTED = matching("company item warehouse")
_NOW = f"""
SELECT company, item, warehouse, quantity, value
FROM ledger.stock_balance WHERE {_WANTED} ORDER BY company, item, warehouse
"""
_THEN = f"""
SELECT company, item, warehouse, sum(quantity) AS quantity, sum(value) AS value
FROM ledger.stock_ledger WHERE {_WANTED} AND {BY_THEN}
GROUP BY company, item, warehouse ORDER BY company, item, warehouse
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    rows = stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())
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
    takes=("company", "item", "warehouse", "as_of", "known_at"),
    read=_read,
)
