"""Stock Ledger, also batch by batch: every entry, in the order in which it takes effect.

Among movements of one time those that were known first stand first; what corrects, revalues or cancels an entry names
its movement, and a correction stands right behind what it corrects. `quantity_after` and `value_after` are the bin's in
this order, all batches together; `quantity_when_posted` and `value_when_posted` what it was thought to hold when the
entry was posted. `effective_at` is when the entry counts: later than it takes effect where that day was closed.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
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
    Column("revaluation", Kind.COUNT),
    Column("corrects_source"),
    Column("corrects_id"),
    Column("takes_effect_at", Kind.TIME),
    Column("entry"),
    Column("part_of"),
    Column("quantity_when_posted", Kind.QUANTITY),
    Column("value_when_posted", Kind.MONEY),
)
# All entries of a bin are added up before those of a batch are chosen. A correction has the time and the stamp of what
# it corrects, and was recorded later: the place is as old as its first entry.
_SELECT = f"""
SELECT {", ".join(column.name for column in COLUMNS)}
FROM (
    SELECT company, source, id, purpose, document, line, item, warehouse, batch, effective_at, takes_effect_at,
        posting_date, recorded_at, stamp, revaluation, ordinal, entry_id, cast(entry_id AS text) AS entry,
        cast(part_of AS text) AS part_of, currency, quantity, value,
        quantity_after AS quantity_when_posted, value_after AS value_when_posted,
        sum(quantity) OVER so_far AS quantity_after, sum(value) OVER so_far AS value_after,
        min(recorded_at) OVER (PARTITION BY company, item, warehouse, takes_effect_at, stamp) AS known_from
    FROM ledger.stock_ledger
    WHERE {matching("company item warehouse")} AND {BY_THEN}
    WINDOW so_far AS (
        PARTITION BY company, item, warehouse ORDER BY takes_effect_at, stamp, revaluation, ordinal
        ROWS UNBOUNDED PRECEDING)
) AS shown LEFT JOIN ledger.corrections USING (company, entry_id)
WHERE {matching("batch")}
ORDER BY company, takes_effect_at, known_from, stamp, revaluation, ordinal, source, id
"""


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _SELECT, **filters.given())


REPORT = Report(
    name="stock-ledger",
    title="Stock Ledger",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "as_of", "known_at"),
    read=_read,
)
