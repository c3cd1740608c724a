"""Batch-Wise Stock Ledger: every entry of every batch, and what stood there of the batch after it.

`quantity_after` and `value_after` are those of the batch in its warehouse, in the order in which entries take effect;
of an earlier first day, what came before it is counted and not shown. What corrects, revalues or cancels an entry names
its movement. Goods that are tracked by serials stand in no batch here, though their serials may name one.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, IN_DAYS, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("batch"),
    Column("warehouse"),
    Column("posting_date", Kind.DATE),
    Column("effective_at", Kind.TIME),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("line", Kind.COUNT),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("quantity_after", Kind.QUANTITY),
    Column("value_after", Kind.MONEY),
    Column("currency"),
    Column("corrects_source"),
    Column("corrects_id"),
    Column("recorded_at", Kind.TIME),
    Column("entry"),
)
_PLACE = "company, item, warehouse, batch"
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM (
    SELECT company, item, batch, warehouse, posting_date, effective_at, source, id, purpose, document, line,
        told.quantity, told.value, sum(told.quantity) OVER so_far AS quantity_after,
        sum(told.value) OVER so_far AS value_after, currency, recorded_at, entry_id, cast(entry_id AS text) AS entry,
        takes_effect_at, stamp, revaluation, ordinal
    FROM (
        SELECT * FROM ledger.stock_ledger WHERE {matching("company item warehouse batch")} AND {BY_THEN}
    ) AS told JOIN (SELECT {_PLACE} FROM ledger.batch_balance) AS kept USING ({_PLACE})
    WINDOW so_far AS (
        PARTITION BY {_PLACE} ORDER BY takes_effect_at, stamp, revaluation, ordinal ROWS UNBOUNDED PRECEDING)
) AS shown LEFT JOIN ledger.corrections USING (company, entry_id)
WHERE {IN_DAYS}
ORDER BY company, item, batch, warehouse, takes_effect_at, stamp, revaluation, ordinal
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="batch-ledger",
    title="Batch-Wise Stock Ledger",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "from_day", "to_day", "as_of", "known_at"),
    read=_read,
)
