"""Masters as they are kept, for whoever states a part of one; and what a definition would be judged by."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide.masters import Known
from services.receiving.store.masters import load_companies, load_items
from shared.contracts.masters import BatchDefined, ItemDefined, SerialDefined, WarehouseDefined
from shared.db import columns, query
from shared.purposes import BatchState
from shared.quantities import plain

Definition = ItemDefined | WarehouseDefined | BatchDefined | SerialDefined

_ITEMS = """
SELECT company, item, name, unit, units, whole_units, tracking, serial_series, batch_series, create_batches_on_receipt,
    valuation_method, standard_rate, shelf_life_days, warranty_days, pick, allow_negative_stock, reuse_serials,
    disabled, gtin, reorder_level, reorder_quantity, attributes
FROM receiving.item
WHERE (company, item) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[])))
"""
_WAREHOUSES = """
SELECT company, warehouse, name, parent, kind, account FROM receiving.warehouse
WHERE (company, warehouse) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:warehouse AS text[])))
"""
_BATCHES = """
SELECT company, item, batch, manufactured_on, manufactured_at, expires_on, supplier, supplier_batch, attributes
FROM receiving.batch
WHERE (company, item, batch) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[])))
"""
_KEPT = {"items": _ITEMS, "warehouses": _WAREHOUSES, "batches": _BATCHES}

_ITEMS_MOVED = """
SELECT DISTINCT company, item FROM receiving.stock
WHERE last_stamp > 0 AND (company, item) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[])))
"""
_WAREHOUSE_ACCOUNTS = """
SELECT company, warehouse, account, EXISTS (
    SELECT FROM receiving.stock
    WHERE (stock.company, stock.warehouse) = (each.company, each.warehouse) AND last_stamp > 0) AS moved
FROM receiving.warehouses AS each
WHERE (company, warehouse) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:warehouse AS text[])))
"""
_BATCH_STATES = """
SELECT company, item, batch, state FROM receiving.batch
WHERE (company, item, batch) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[])))
"""
_OPENED = """
SELECT id FROM receiving.accepted
WHERE source = :source AND EXISTS (SELECT FROM unnest(cast(:start AS text[])) AS start WHERE starts_with(id, start))
    AND NOT EXISTS (SELECT FROM receiving.cancelled
        WHERE (cancelled.source, cancelled.id) = (accepted.source, accepted.id))
"""


def kept(
    connection: Connection, subject: str, key: Sequence[str], keys: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """What is kept of these items, warehouses or batches, as a message would say it."""
    rows = query(connection, _KEPT[subject], **columns(keys, " ".join(key)))
    told = [{name: _value(value) for name, value in row._mapping.items() if value is not None} for row in rows]
    return {tuple(each[name] for name in key): each for each in told}


def known_of(connection: Connection, definitions: Sequence[Definition]) -> Known:
    """What definitions would be judged by, looked at without a lock: it may be otherwise when they come."""
    known = Known(companies=load_companies(connection, {each.company for each in definitions}, locked=False))
    items = sorted({(each.company, each.item) for each in definitions if not isinstance(each, WarehouseDefined)})
    if items:
        known.items = load_items(connection, items, locked=False)
        rows = query(connection, _ITEMS_MOVED, **columns(items, "company item"))
        known.items_moved = {(row.company, row.item) for row in rows}
    warehouses = sorted({(each.company, each.warehouse) for each in definitions if isinstance(each, WarehouseDefined)})
    if warehouses:
        rows = query(connection, _WAREHOUSE_ACCOUNTS, **columns(warehouses, "company warehouse"))
        known.warehouse_accounts = {(row.company, row.warehouse): row.account for row in rows}
        known.warehouses_moved = {(row.company, row.warehouse) for row in rows if row.moved}
    named = (each for each in definitions if isinstance(each, BatchDefined | SerialDefined) and each.batch)
    batches = sorted({(each.company, each.item, (each.batch or "").strip()) for each in named})
    if batches:
        rows = query(connection, _BATCH_STATES, **columns(batches, "company item batch"))
        known.batches = {(row.company, row.item, row.batch): BatchState(row.state) for row in rows}
    return known


def accepted_beginning(connection: Connection, source: str, beginnings: Sequence[str]) -> list[str]:
    """The ids of a source's accepted movements, not cancelled, that begin with any of these."""
    return [row.id for row in query(connection, _OPENED, source=source, **columns([(b,) for b in beginnings], "start"))]


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, date) else value
