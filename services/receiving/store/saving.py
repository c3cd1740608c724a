"""Writing what allocation decided: bins, batches, serials and their stays, series, returns; set-based, in one order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.case import SerialEvent
from services.receiving.decide.stock import BatchKey, BinKey, SerialKey, Stock
from services.receiving.store.cancelling import save_cancellations
from services.receiving.store.makings import save_makings
from services.receiving.store.references import save_naming
from services.receiving.store.reservations import save_deliveries
from services.receiving.store.timeline import save_changes, save_counts
from shared.contracts.codec import write
from shared.db import columns, copy, run
from shared.purposes import Tracking

_BINS = """
UPDATE receiving.bin SET
    quantity = CASE WHEN each.counted THEN bin.quantity ELSE each.quantity END,
    last_stamp = each.last_stamp, last_at = each.last_at, last_recorded_at = each.last_recorded_at,
    rated_from = each.rated_from, short = each.short, counted_at = each.counted_at, reserved = each.reserved
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:quantity AS numeric[]),
    cast(:counted AS boolean[]), cast(:last_stamp AS bigint[]), cast(:last_at AS timestamptz[]),
    cast(:last_recorded_at AS timestamptz[]), cast(:rated_from AS timestamptz[]), cast(:short AS boolean[]),
    cast(:counted_at AS timestamptz[]), cast(:reserved AS numeric[]))
    AS each (company, item, warehouse, quantity, counted, last_stamp, last_at, last_recorded_at, rated_from, short,
    counted_at, reserved)
WHERE (bin.company, bin.item, bin.warehouse) = (each.company, each.item, each.warehouse)
"""
_BIN_NAMES = (
    "company item warehouse quantity counted last_stamp last_at last_recorded_at rated_from short counted_at reserved"
)
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
INSERT INTO receiving.batch_stock (company, item, warehouse, batch, quantity, reserved)
SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]),
    cast(:batch AS text[]), cast(:quantity AS numeric[]), cast(:reserved AS numeric[]))
ON CONFLICT (company, item, warehouse, batch) DO UPDATE SET
    quantity = excluded.quantity, reserved = excluded.reserved
"""
_SERIES = """
UPDATE receiving.series SET last = each.last
FROM unnest(cast(:company AS text[]), cast(:prefix AS text[]), cast(:last AS bigint[])) AS each (company, prefix, last)
WHERE (series.company, series.prefix) = (each.company, each.prefix)
"""
_SERIAL_COLUMNS = """
company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
warranty_until, entered_at, entered_stamp, entered_line, entered_place, last_at, last_tie, left_by, left_from,
reserved_for, attributes
"""
_MOVED_SERIALS = """
UPDATE receiving.serial SET
    status = each.status, warehouse = each.warehouse, batch = each.batch, supplier = each.supplier,
    supplier_document = each.supplier_document, customer = each.customer, customer_document = each.customer_document,
    warranty_until = each.warranty_until, entered_at = each.entered_at, entered_stamp = each.entered_stamp,
    entered_line = each.entered_line, entered_place = each.entered_place, last_at = each.last_at,
    last_tie = each.last_tie, left_by = each.left_by, left_from = each.left_from, reserved_for = each.reserved_for,
    attributes = coalesce(each.attributes, serial.attributes)
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:status AS text[]),
    cast(:warehouse AS text[]), cast(:batch AS text[]), cast(:supplier AS text[]), cast(:supplier_document AS text[]),
    cast(:customer AS text[]), cast(:customer_document AS text[]), cast(:warranty_until AS date[]),
    cast(:entered_at AS timestamptz[]), cast(:entered_stamp AS bigint[]), cast(:entered_line AS integer[]),
    cast(:entered_place AS integer[]), cast(:last_at AS timestamptz[]), cast(:last_tie AS integer[]),
    cast(:left_by AS uuid[]), cast(:left_from AS text[]), cast(:reserved_for AS text[]), cast(:attributes AS json[]))
    AS each (company, item, serial, status, warehouse, batch, supplier, supplier_document, customer, customer_document,
    warranty_until, entered_at, entered_stamp, entered_line, entered_place, last_at, last_tie, left_by, left_from,
    reserved_for, attributes)
WHERE (serial.company, serial.item, serial.serial) = (each.company, each.item, each.serial)
"""
_END_STAYS = """
UPDATE receiving.stay SET
    until_at = each.until_at, until_tie = each.until_tie, out_source = each.source, out_id = each.id,
    warranty_until = each.warranty_until
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:until_at AS timestamptz[]),
    cast(:until_tie AS integer[]), cast(:source AS text[]), cast(:id AS text[]), cast(:warranty_until AS date[]))
    AS each (company, item, serial, until_at, until_tie, source, id, warranty_until)
WHERE (stay.company, stay.item, stay.serial) = (each.company, each.item, each.serial) AND stay.until_at = 'infinity'
"""
_STAY_COLUMNS = """
company, item, serial, from_at, from_tie, until_at, until_tie, warehouse, in_source, in_id, out_source, out_id,
warranty_until
"""
_RETURNED = """
INSERT INTO receiving.returned (company, entry, quantity, serials)
SELECT * FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[]), cast(:quantity AS numeric[]),
    cast(:serials AS json[]))
ON CONFLICT (company, entry) DO UPDATE SET quantity = excluded.quantity, serials = excluded.serials
"""
_FOREVER = "infinity"


@dataclass(slots=True)
class _Stay:
    """A stay that begins in this set, and may end in it."""

    begun: SerialEvent
    ended: SerialEvent | None = None


def save_stock(connection: Connection, stock: Stock, accepted: Sequence[Accepted]) -> None:
    """Write what accepted movements changed in the stock, today and over time."""
    _save_serials(connection, stock)
    _save_stays(connection, [event for each in accepted if each.undone is None for event in each.events])
    _save_batches(connection, stock)
    changed = stock.changed
    bins = [(*key, *_bin(stock, key)) for key in sorted(changed.bins)]
    if bins:
        run(connection, _BINS, **columns(bins, _BIN_NAMES))
    if changed.series:
        rows = [(*key, stock.series[key]) for key in sorted(changed.series)]
        run(connection, _SERIES, **columns(rows, "company prefix last"))
    if changed.returned:
        _save_returned(connection, stock, accepted)
    save_deliveries(connection, stock)
    save_cancellations(connection, accepted)
    save_makings(connection, accepted)
    save_changes(connection, accepted)
    save_counts(connection, accepted)
    save_naming(connection, (each.allocated for each in accepted))
    stock.settle()


def _bin(stock: Stock, key: BinKey) -> tuple[Any, ...]:
    """A bin's row; `counted`: its quantity follows its serials. Nobody read the item where there is only a stamp."""
    found, item = stock.bins[key], stock.items.get(key[:2])
    counted = item is not None and item.tracking is Tracking.SERIAL
    times = (found.last_stamp, found.last_at, found.last_recorded_at)
    return (found.quantity, counted, *times, found.rated_from, found.short, found.counted_at, found.reserved)


def _save_returned(connection: Connection, stock: Stock, accepted: Iterable[Accepted]) -> None:
    """What came back or was sent back of ledger entries, each of the company of those who return it, or do not."""
    returns = [movement for each in accepted for movement in (each.allocated, each.undone) if movement is not None]
    returning = ((leg.original, each.company) for each in returns for leg in each.legs)
    companies = {entry: company for entry, company in returning if entry in stock.changed.returned}
    found = ((company, entry, stock.returned[entry]) for entry, company in sorted(companies.items()))
    rows = [(company, entry, each.quantity, _list(each.serials)) for company, entry, each in found]
    run(connection, _RETURNED, **columns(rows, "company entry quantity serials"))


def _list(serials: Iterable[str]) -> str:
    return write(sorted(serials)).decode()


def _save_batches(connection: Connection, stock: Stock) -> None:
    """New batches are appended, those that came in again have entered anew; what stands where follows."""
    keys = sorted(stock.changed.batches)
    new = (_batch(stock, key) for key in keys if key not in stock.known_batches)
    copy(connection, "receiving.batch", _BATCH_COLUMNS, new)
    entered = [(*key, *_entered(stock, key)) for key in keys if key in stock.known_batches]
    if entered:
        names = "company item batch entered_at entered_stamp entered_line"
        run(connection, _BATCHES_ENTERED, **columns(entered, names))
    held = ((key, stock.batch_stock[key]) for key in sorted(stock.changed.batch_stock))
    stocks = [(*key, each.quantity, each.reserved) for key, each in held]
    if stocks:
        run(connection, _BATCH_STOCK, **columns(stocks, "company item warehouse batch quantity reserved"))


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
        serial.left_by,
        serial.left_from,
        serial.reserved_for,
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
        rows = [
            (*each.key, each.at, each.tie, each.source, each.id, each.warranty_until)
            for each in sorted(ending, key=attrgetter("key"))
        ]
        run(connection, _END_STAYS, **columns(rows, "company item serial until_at until_tie source id warranty_until"))
    copy(connection, "receiving.stay", _STAY_COLUMNS, map(_stay, stays))


def _stay(stay: _Stay) -> Sequence[Any]:
    begun, ended = stay.begun, stay.ended
    until: tuple[datetime | str, int] = (ended.at, ended.tie) if ended is not None else (_FOREVER, 0)
    out = (ended.source, ended.id, ended.warranty_until) if ended is not None else (None, None, None)
    return (*begun.key, begun.at, begun.tie, *until, begun.came_to, begun.source, begun.id, *out)
