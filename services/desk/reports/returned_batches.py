"""Returned Batches: which batch came back with each sales return, who made it, and by which delivery it had left.

Units come one by one, each with the batch that its own record names. Returns that were cancelled have never been. The
record of a batch is that of now.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.purposes import PURPOSES
from shared.report import BY_THEN, IN_DAYS, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("source"),
    Column("id"),
    Column("purpose"),
    Column("document"),
    Column("posting_date", Kind.DATE),
    Column("line", Kind.COUNT),
    Column("customer"),
    Column("item"),
    Column("batch"),
    Column("serial"),
    Column("quantity", Kind.QUANTITY),
    Column("warehouse"),
    Column("delivered_by_source"),
    Column("delivered_by_id"),
    Column("expires_on", Kind.DATE),
    Column("state"),
    Column("manufactured_on", Kind.DATE),
    Column("supplier"),
    Column("supplier_batch"),
)
# Of one movement, its legs say in which bins its entries stand, and when: all that is read then are those.
_PLACES = """
JOIN (
    SELECT DISTINCT source, id, leg ->> 'item' AS item, leg ->> 'warehouse' AS warehouse,
        effective_at AS takes_effect_at
    FROM receiving.allocated JOIN receiving.accepted USING (source, id)
    CROSS JOIN LATERAL json_array_elements(cast(convert_from(allocated, 'UTF8') AS json) -> 'legs') AS leg
    WHERE (source, id) = (:source, :id)
) AS place USING (source, id, item, warehouse, takes_effect_at)
"""
_SELECT = f"""
WITH back AS (
    SELECT company, source, id, purpose, document, posting_date, line, item, entry.batch AS told_batch, warehouse,
        entry_id, quantity, original
    FROM ledger.stock_ledger AS entry {{places}}
    WHERE purpose = ANY(:purposes) AND quantity > 0 AND revaluation = 0
        AND {matching("company item warehouse source id")} AND {BY_THEN} AND {IN_DAYS}
)
SELECT company, source, id, purpose, document, posting_date, line,
    cast(convert_from(told.allocated, 'UTF8') AS json) ->> 'customer' AS customer, item, batch, serial,
    CASE WHEN serial IS NULL THEN back.quantity ELSE 1 END AS quantity, warehouse,
    delivered_by_source, delivered_by_id, expires_on, state,
    manufactured_on, supplier, supplier_batch
FROM back
LEFT JOIN (SELECT company, entry_id, serial FROM ledger.serial_ledger) AS unit USING (company, entry_id)
LEFT JOIN (SELECT company, item, serial, batch AS own_batch FROM receiving.serial_status) AS known
    USING (company, item, serial)
CROSS JOIN LATERAL (SELECT coalesce(told_batch, own_batch)) AS named (batch)
LEFT JOIN (
    SELECT company, item, batch, expires_on, state, manufactured_on, supplier, supplier_batch
    FROM receiving.batch_status
) AS record USING (company, item, batch)
LEFT JOIN (
    SELECT company, entry_id AS original, source AS delivered_by_source, id AS delivered_by_id FROM ledger.stock_ledger
) AS left_by USING (company, original)
LEFT JOIN (SELECT source, id, allocated FROM receiving.allocated) AS told USING (source, id)
WHERE {matching("batch serial")} AND NOT EXISTS (
    SELECT FROM ledger.stock_ledger AS undoing
    WHERE (undoing.company, undoing.original) = (back.company, back.entry_id)
        AND undoing.purpose = 'cancellation'
        AND (cast(:known_at AS timestamptz) IS NULL OR undoing.recorded_at <= :known_at)
)
ORDER BY company, posting_date, source, id, line, item, batch, serial
"""
_ALL = _SELECT.format(places="")
_ONE = _SELECT.format(places=_PLACES)
# What comes back stands in the lines of a return, and in those of a sale that is an exchange.
_PURPOSES = [each.name for each in PURPOSES.values() if each.has_money]


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    is_one = filters.source is not None and filters.id is not None
    return stream(connection, _ONE if is_one else _ALL, purposes=_PURPOSES, **filters.given())


REPORT = Report(
    name="returned-batches",
    title="Returned Batches",
    columns=COLUMNS,
    takes=(
        *("company", "item", "warehouse", "batch", "serial", "source", "id"),
        *("from_day", "to_day", "as_of", "known_at"),
    ),
    read=_read,
)
