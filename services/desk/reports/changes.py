"""Changes: why the same balance of stock was another one when less was known, entry by entry.

What was recorded after `known_since`, up to `known_at`, and takes effect up to `as_of`. In each bin the entries add up
to the difference of the two balances. One that corrects, revalues or cancels another names the movement of that one; a
correction was recorded with what made it necessary.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import SINCE, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("effective_at", Kind.TIME),
    Column("posting_date", Kind.DATE),
    Column("recorded_at", Kind.TIME),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("corrects_source"),
    Column("corrects_id"),
)
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM (
    SELECT * FROM ledger.stock_ledger WHERE {matching("company item warehouse batch")} AND {SINCE}
) AS change
LEFT JOIN ledger.corrections USING (company, entry_id)
ORDER BY company, item, warehouse, recorded_at, takes_effect_at, stamp, revaluation, ordinal
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="changes",
    title="What Became Known of Stock",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "as_of", "known_since", "known_at"),
    read=_read,
)
