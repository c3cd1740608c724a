"""Shortages: what was issued beyond stock and is not covered yet, oldest first, by which movement and at which worth.

`worth` is exact; `account` bears the difference when something covers the shortage at another rate.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("quantity", Kind.QUANTITY),
    Column("worth", Kind.MONEY),
    Column("account"),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("line", Kind.COUNT),
    Column("effective_at", Kind.TIME),
)
_SELECT = f"""
SELECT company, item, warehouse, short.quantity, short.worth, short.account,
       issue.source, issue.id, issue.purpose, issue.line, issue.effective_at
FROM ledger.shortages AS short
JOIN (SELECT company, entry_id, source, id, purpose, line, effective_at FROM ledger.stock_ledger) AS issue
    USING (company, entry_id)
WHERE {matching("company item warehouse")}
ORDER BY company, item, warehouse, number
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="shortages", title="Shortages", columns=COLUMNS, takes=("company", "item", "warehouse"), read=_read
)
