"""Writing what allocation decided: bins, batches, serials and their stays, series; set-based, in one order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide.case import SerialEvent
from services.receiving.decide.stock import BatchKey, SerialKey, Stock
from shared.contracts.codec import write
from shared.db import columns, copy, run
from shared.purposes import Tracking

_BINS = """
UPDATE receiving.bin SET
    quantity = CASE WHEN each.counted THEN bin.quantity ELSE each.quantity END,
    last_stamp = each.last_stamp, last_at = each.last_at, last_recorded_at = each.last_recorded_at, rated = each.rated
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:quantity AS numeric[]),
    cast(:counted AS boolean[]), cast(:last_stamp AS bigint[]), cast(:last_at AS timestamptz[]),
    cast(:last_recorded_at AS timestamptz[]), cast(:rated AS boolean[]))
    AS each (company, item, warehouse, quantity, counted, last_stamp, last_at, last_recorded_at, rated)
WHERE (bin.company, bin.item, bin.warehouse) = (each.company, each.item, each.warehouse)
"""
_BATCH_COLUMNS = """
company, item, batch, entered_at, entered_stamp, entered_line, expires_on, manufactured_on, supplier, supplier_batch,
attributes
"""
_BATCHES_ENTERED = """
UPDATE receiving.batch SET
    entered_at = each.entered_at, entered_stamp = each.entered_stamp, entered_line = each.entered_line
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[]), cast(:entered_at AS timestamptz[]),
    cast(:entered_stamp AS bigint[]), cast(:entered_line AS integer[]))
    AS each (company, item, batch, entered_at, entered_stamp, entered_line)
WHERE (batch.company, batch.item, batch.batch) = (each.company, each.item, each.batch)
"""
_BATCH_STOCK = """
INSERT INTO receiving.batch_stock (company, item, warehouse, batch, quantity)
SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]),
    cast(:batch AS text[]), cast(:quantity AS numeric[]))
ON CONFLICT (company, item, warehouse, batch) DO UPDATE SET quantity = excluded.quantity
"""
_SERIES = """
UPDATE receiving.series SET last = each.last
FROM unnest(cast(:company AS text[]), cast(:prefix AS text[]), cast(:last AS bigint[])) AS each (company, prefix, last)
WHERE (series.company, series.prefix) = (each.company, each.prefix)
"""
_SERIAL_COLUMNS = """
company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
warranty_until, entered_at, entered_stamp, entered_line, entered_place, last_at, last_tie, attributes
"""
_MOVED_SERIALS = """
UPDATE receiving.serial SET
    status = each.status, warehouse = each.warehouse, batch = each.batch, supplier = each.supplier,
    supplier_document = each.supplier_document, customer = each.customer, customer_document = each.customer_document,
    warranty_until = each.warranty_until, entered_at = each.entered_at, entered_stamp = each.entered_stamp,
    entered_line = each.entered_line, entered_place = each.entered_place, last_at = each.last_at,
    last_tie = each.last_tie, attributes = coalesce(each.attributes, serial.attributes)
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:status AS text[]),
    cast(:warehouse AS text[]), cast(:batch AS text[]), cast(:supplier AS text[]), cast(:supplier_document AS text[]),
    cast(:customer AS text[]), cast(:customer_document AS text[]), cast(:warranty_until AS date[]),
    cast(:entered_at AS timestamptz[]), cast(:entered_stamp AS bigint[]), cast(:entered_line AS integer[]),
    cast(:entered_place AS integer[]), cast(:last_at AS timestamptz[]), cast(:last_tie AS integer[]),
    cast(:attributes AS json[]))
    AS each (company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
    warranty_until, entered_at, entered_stamp, entered_line, entered_place, last_at, last_tie, attributes)
WHERE (serial.company, serial.item, serial.serial) = (each.company, each.item, each.serial)
"""
_END_STAYS = """
UPDATE receiving.stay SET
    until_at = each.until_at, until_tie = each.until_tie, out_source = each.source, out_id = each.id
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:until_at AS timestamptz[]),
    cast(:until_tie AS integer[]), cast(:source AS text[]), cast(:id AS text[]))
    AS each (company, item, serial, until_at, until_tie, source, id)
WHERE (stay.company, stay.item, stay.serial) = (each.company, each.item, each.serial) AND stay.until_at = 'infinity'
"""
_STAY_COLUMNS = """
company, item, serial, from_at, from_tie, until_at, until_tie, warehouse, in_source, in_id, out_source, out_id
"""
_FOREVER = "infinity"


@dataclass(slots=True)
class _Stay:
    """A stay that begins in this set, and may end in it."""

    begun: SerialEvent
    ended: SerialEvent | None = None


def save_stock(connection: Connection, stock: Stock, events: Iterable[SerialEvent]) -> None:
    """Write what accepted movements changed in the stock."""
    _save_serials(connection, stock)
    _save_stays(connection, events)
    _save_batches(connection, stock)
    changed = stock.changed
    bins = [(*key, *_bin(stock, key)) for key in sorted(changed.bins)]
    if bins:
        names = "company item warehouse quantity counted last_stamp last_at last_recorded_at rated"
        run(connection, _BINS, **columns(bins, names))
    if changed.series:
        rows = [(*key, stock.series[key]) for key in sorted(changed.series)]
        run(connection, _SERIES, **columns(rows, "company prefix last"))


def _bin(stock: Stock, key: tuple[str, str, str]) -> tuple[Any, ...]:
    found = stock.bins[key]
    counted = stock.items[key[0], key[1]].tracking is Tracking.SERIAL
    return (found.quantity, counted, found.last_stamp, found.last_at, found.last_recorded_at, found.rated)


def _save_batches(connection: Connection, stock: Stock) -> None:
    """New batches are appended, those that came in again have entered anew; what stands where follows."""
    keys = sorted(stock.changed.batches)
    new = (_batch(stock, key) for key in keys if key not in stock.known_batches)
    copy(connection, "receiving.batch", _BATCH_COLUMNS, new)
    entered = [(*key, *_entered(stock, key)) for key in keys if key in stock.known_batches]
    if entered:
        names = "company item batch entered_at entered_stamp entered_line"
        run(connection, _BATCHES_ENTERED, **columns(entered, names))
    stocks = [(*key, stock.batch_stock[key].quantity) for key in sorted(stock.changed.batch_stock)]
    if stocks:
        run(connection, _BATCH_STOCK, **columns(stocks, "company item warehouse batch quantity"))


def _batch(stock: Stock, key: BatchKey) -> Sequence[Any]:
    batch = stock.batches[key]
    record = (batch.expires_on, batch.manufactured_on, batch.supplier, batch.supplier_batch)
    return (*key, *_entered(stock, key), *record, write(dict(batch.attributes or {})).decode())


def _entered(stock: Stock, key: BatchKey) -> tuple[Any, ...]:
    entered = stock.batches[key].entered
    return tuple(entered)[:3] if entered is not None else (None,) * 3


def _save_serials(connection: Connection, stock: Stock) -> None:
    """New serials are appended, known ones moved; a bin's quantity follows them.

    A serial, or a batch, that another worker made meanwhile is met in its key: the set is rolled back and decided anew.
    """
    keys = sorted(stock.changed.serials)
    new = (_serial(stock, key) for key in keys if key not in stock.known_serials)
    copy(connection, "receiving.serial", _SERIAL_COLUMNS, ([*row[:-1], row[-1] or "{}"] for row in new))
    moved = [_serial(stock, key) for key in keys if key in stock.known_serials]
    if moved:
        names = _SERIAL_COLUMNS.replace(",", "")
        run(connection, _MOVED_SERIALS, **columns(moved, names))


def _serial(stock: Stock, key: SerialKey) -> Sequence[Any]:
    serial = stock.serials[key]
    entered = tuple(serial.entered) if serial.entered is not None else (None,) * 4
    return (
        *key,
        serial.status.value,
        serial.warehouse,
        serial.batch,
        serial.supplier,
        serial.supplier_document,
        serial.customer,
        serial.customer_document,
        serial.warranty_until,
        *entered,
        serial.last_at,
        serial.last_tie,
        write(dict(serial.attributes)).decode() if serial.attributes else None,
    )


def _save_stays(connection: Connection, events: Iterable[SerialEvent]) -> None:
    """End the stays that events end, begin those that they begin; one that does both in a set is written once."""
    ending: list[SerialEvent] = []
    open_stays: dict[SerialKey, _Stay] = {}
    stays: list[_Stay] = []
    for event in events:
        if event.left:
            begun = open_stays.pop(event.key, None)
            if begun is None:
                ending.append(event)
            else:
                begun.ended = event
        if event.came_to is not None:
            stay = open_stays[event.key] = _Stay(event)
            stays.append(stay)
    if ending:
        rows = sorted((*each.key, each.at, each.tie, each.source, each.id) for each in ending)
        run(connection, _END_STAYS, **columns(rows, "company item serial until_at until_tie source id"))
    copy(connection, "receiving.stay", _STAY_COLUMNS, map(_stay, stays))


def _stay(stay: _Stay) -> Sequence[Any]:
    begun, ended = stay.begun, stay.ended
    until: tuple[datetime | str, int] = (ended.at, ended.tie) if ended is not None else (_FOREVER, 0)
    out = (ended.source, ended.id) if ended is not None else (None, None)
    return (*begun.key, begun.at, begun.tie, *until, begun.came_to, begun.source, begun.id, *out)
