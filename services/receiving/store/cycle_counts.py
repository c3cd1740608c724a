"""Cycle counts in PostgreSQL. The row of a count is the lock of all that belongs to it, taken before any bin's."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection

from services.receiving.decide.cycle_counts import Found, Opened, Place
from services.receiving.decide.stock import BatchStock, Bin, MovementKey, Stock
from services.receiving.store.masters import load_companies, load_items, load_warehouses
from shared.contracts.counting import CountOpened, CountReported
from shared.db import columns, copy, query, run
from shared.purposes import Tracking
from shared.quantities import ZERO

_LOCK = """
SELECT source, id, company, warehouse, items, opened_at, state, document FROM receiving.cycle_count
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
ORDER BY source, id FOR NO KEY UPDATE
"""
_OF_COUNT = "company = (SELECT :company) AND warehouse = :warehouse AND (:items = '{}'::text[] OR item = ANY(:items))"
# Nobody moves anything there until it is set down.
_STILL = f"""
SELECT last_recorded_at FROM receiving.bin WHERE {_OF_COUNT} ORDER BY company, item, warehouse FOR SHARE
"""
_SET_DOWN = f"""
INSERT INTO receiving.cycle_expected (source, id, item, batch, quantity, serials)
SELECT :source, :id, item, '', quantity, CASE WHEN tracking = 'serial' THEN ARRAY(
    SELECT serial FROM receiving.serial
    WHERE (serial.company, serial.item, serial.warehouse) = (bin.company, bin.item, bin.warehouse) ORDER BY serial
    ) ELSE '{{}}' END
FROM receiving.bin JOIN receiving.item USING (company, item)
WHERE tracking <> 'batch' AND quantity <> 0 AND {_OF_COUNT}
UNION ALL
SELECT :source, :id, item, batch, quantity, '{{}}' FROM receiving.batch_stock WHERE quantity <> 0 AND {_OF_COUNT}
"""
_REPLACE = """
UPDATE receiving.cycle_report SET replaced = true
WHERE (source, id) = (:count_source, :count_id)
    AND (item, batch) IN (SELECT * FROM unnest(cast(:item AS text[]), cast(:batch AS text[])))
"""
_PLACES = """
SELECT item, batch, tracking, counted, expected, counted_serials, expected_serials
FROM receiving.cycle_counts JOIN receiving.items USING (company, item)
WHERE (source, id) = (:source, :id) AND reports > 0 ORDER BY item, batch
"""
_END = """
UPDATE receiving.cycle_count SET state = :state, ended_at = :now, ended_by = :actor, movement = :movement
WHERE (source, id) = (:source, :id)
"""


def masters_of(connection: Connection, warehouse: str, company: str | None, items: Collection[str] = ()) -> Stock:
    """The companies that have such a warehouse, or the one that is meant, and these items of them."""
    stock = Stock(warehouses=load_warehouses(connection, [warehouse]))
    codes = {code for code, _ in stock.warehouses} | ({company} if company is not None else set())
    stock.companies = load_companies(connection, codes, locked=False)
    stock.items = load_items(connection, [(code, item) for code in codes for item in items], locked=False)
    return stock


def lock_counts(connection: Connection, keys: Collection[MovementKey]) -> dict[MovementKey, Opened]:
    """Those of these counts that are known, locked."""
    rows = query(connection, _LOCK, **columns(sorted(keys), "source id")) if keys else ()
    return {
        (row.source, row.id): Opened(
            (row.source, row.id),
            row.company,
            row.warehouse,
            frozenset(row.items),
            row.opened_at,
            row.state,
            row.document,
        )
        for row in rows
    }


def open_count(connection: Connection, key: MovementKey, company: str, told: CountOpened, now: datetime) -> datetime:
    """Set down what stands in a place, all at one moment; that moment."""
    place = {"company": company, "warehouse": told.warehouse, "items": list(told.items)}
    opened_at = now
    for row in query(connection, _STILL, **place):
        opened_at = max(opened_at, row.last_recorded_at)
    about = (told.document, told.actor, told.reason, opened_at)
    names = "source, id, company, warehouse, items, document, actor, reason, opened_at"
    copy(connection, "receiving.cycle_count", names, [(*key, company, told.warehouse, list(told.items), *about)])
    run(connection, _SET_DOWN, source=key[0], id=key[1], **place)
    return opened_at


def save_report(
    connection: Connection, key: MovementKey, by: MovementKey, told: CountReported, found: Sequence[Found], at: datetime
) -> None:
    """Append what was reported of a count; a recount takes the place of what was reported before."""
    if told.recount and found:
        places = columns([(each.item, each.batch) for each in found], "item batch")
        run(connection, _REPLACE, count_source=key[0], count_id=key[1], **places)
    rows = [
        (*key, each.item, each.batch, *by, each.quantity, list(each.serials), told.counted_at or at, told.actor)
        for each in found
    ]
    names = "source, id, item, batch, by_source, by_id, quantity, serials, counted_at, actor"
    copy(connection, "receiving.cycle_report", names, rows)


def places_of(connection: Connection, opened: Opened, stock: Stock) -> list[Place]:
    """What was counted, what stood there then, and what stands there now; `stock` has its bins locked."""
    rows = query(connection, _PLACES, source=opened.key[0], id=opened.key[1])
    places = []
    for row in rows:
        key = (opened.company, row.item, opened.warehouse)
        in_bin = (stock.bins.get(key) or Bin()).quantity
        standing = (stock.batch_stock.get((*key, row.batch)) or BatchStock()).quantity if row.batch else in_bin
        places.append(
            Place(
                row.item,
                row.batch,
                Tracking(row.tracking),
                row.counted if row.counted is not None else ZERO,
                row.expected,
                standing,
                frozenset(row.counted_serials or ()),
                frozenset(row.expected_serials),
                frozenset(stock.serials_in.get(key, ())),
            )
        )
    return places


def save_result(connection: Connection, key: MovementKey, places: Sequence[Place]) -> None:
    """Keep what was compared, as a count is taken over."""
    rows = [(*key, each.item, each.batch, each.expected, sorted(each.expected_serials)) for each in places]
    copy(connection, "receiving.cycle_result", "source, id, item, batch, expected, expected_serials", rows)


def end_count(
    connection: Connection, key: MovementKey, state: str, now: datetime, actor: str | None, movement: str | None = None
) -> None:
    """A count is over."""
    run(connection, _END, source=key[0], id=key[1], state=state, now=now, actor=actor, movement=movement)
