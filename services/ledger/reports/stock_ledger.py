"""Stock Ledger, also batch by batch: every entry, in the order in which it takes effect.

Among entries of one time those that were known first stand first. `quantity_after` and `value_after` are the bin's,
when the entry was posted.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import query
from shared.report import BY_THEN, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("effective_at", Kind.TIME),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("quantity_after", Kind.QUANTITY),
    Column("value_after", Kind.MONEY),
    Column("currency"),
    Column("posting_date", Kind.DATE),
    Column("recorded_at", Kind.TIME),
    Column("stamp", Kind.COUNT),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM ledger.stock_ledger
WHERE {matching("company item warehouse batch")}
  AND {BY_THEN}
ORDER BY company, effective_at, recorded_at, stamp, ordinal, source, id
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return query(connection, _SELECT, **filters.given())


REPORT = Report(
    name="stock-ledger",
    title="Stock Ledger",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "as_of", "known_at"),
    read=_read,
)
