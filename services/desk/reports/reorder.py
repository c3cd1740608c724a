"""Reorder: the items of which no more is there than their reorder level, and how much to order.

What counts is what stands in stores and what is in transit between them, not what is in quarantine; the levels are
those that the items have now. `to_order` is what lacks up to the level, but no less than the item's reorder quantity.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from shared.db import stream
from shared.report import BY_THEN, ON_DAY, Column, Filters, Kind, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("name"),
    Column("unit"),
    Column("on_hand", Kind.QUANTITY),
    Column("in_transit", Kind.QUANTITY),
    Column("reorder_level", Kind.QUANTITY),
    Column("reorder_quantity", Kind.QUANTITY),
    Column("to_order", Kind.QUANTITY),
)
_SELECT = f"""
WITH stock AS (
    SELECT company, item, coalesce(sum(quantity) FILTER (WHERE kind = 'store'), 0) AS on_hand,
        coalesce(sum(quantity) FILTER (WHERE kind = 'transit'), 0) AS in_transit
    FROM {{balance}} AS balance
    JOIN (SELECT company, warehouse, kind FROM receiving.warehouses) AS place USING (company, warehouse)
    GROUP BY company, item
), kept AS (
    SELECT company, item, name, unit, coalesce(on_hand, 0) AS on_hand, coalesce(in_transit, 0) AS in_transit,
        reorder_level, reorder_quantity
    FROM receiving.items LEFT JOIN stock USING (company, item)
    WHERE reorder_level IS NOT NULL AND NOT disabled AND {matching("company item")}
)
SELECT company, item, name, unit, on_hand, in_transit, reorder_level, reorder_quantity,
    greatest(coalesce(reorder_quantity, 0), reorder_level - on_hand - in_transit) AS to_order
FROM kept WHERE on_hand + in_transit <= reorder_level
ORDER BY company, item
"""
_NOW = _SELECT.format(balance="ledger.stock_balance")
_THEN = _SELECT.format(
    balance=f"""(
    SELECT company, item, warehouse, sum(quantity) AS quantity FROM ledger.stock_ledger
    WHERE {matching("company item")} AND {BY_THEN} AND {ON_DAY} GROUP BY company, item, warehouse
)"""
)


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    return stream(connection, _THEN if filters.looks_back else _NOW, **filters.given())


REPORT = Report(
    name="reorder",
    title="Reorder",
    columns=COLUMNS,
    takes=("company", "item", "on", "as_of", "known_at"),
    read=_read,
)
