"""Reservations in PostgreSQL: their lines are covered by the locks of their bins, where the totals stand.

Nobody reads them but by their names. What has expired is let go by whoever locks its bin next, or by a sweep: the bin
says before which moment there is nothing to look for.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from services.receiving.decide.case import Request
from services.receiving.decide.reserving import Kept, Standing
from services.receiving.decide.stock import BinKey, MovementKey, Reserved, Stock
from services.receiving.store.needs import Needs
from shared.db import columns, copy, query, run

EXPIRED_AT_ONCE = 10_000
"""So many lines are let go by one statement."""
_BINS_AT_ONCE = 10

_KEYS = "(source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))"
_BINS = """
(company, item, warehouse) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[])))
"""
_LOCK_BINS = f"SELECT FROM receiving.bin WHERE {_BINS} ORDER BY company, item, warehouse FOR NO KEY UPDATE"
_DUE_BINS = """
SELECT company, item, warehouse FROM receiving.bin WHERE reserved_until <= :now AND reserved_until < 'infinity'
ORDER BY company, item, warehouse LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
"""
_NAMED = f"""
SELECT source, id, line.line, line.company, line.item, line.warehouse, line.batch, line.serials, line.quantity,
    line.open, line.delivered
FROM receiving.reservation AS known LEFT JOIN LATERAL (
    SELECT * FROM receiving.reservation_line AS each
    WHERE (each.source, each.id) = (known.source, known.id) AND open > 0) AS line USING (source, id)
WHERE {_KEYS} ORDER BY source, id, line.line
"""
_STANDING = f"""
SELECT source, id, known.company, known.expires_at, released_at IS NOT NULL AS is_released,
    sum(line.open) > 0 AS is_open, bool_and(line.delivered = line.quantity) AS is_delivered,
    array_agg(line.item ORDER BY line.line) AS items, array_agg(line.warehouse ORDER BY line.line) AS warehouses
FROM receiving.reservation AS known JOIN receiving.reservation_line AS line USING (source, id)
WHERE {_KEYS} GROUP BY source, id
"""
# What is let go: of no batch or unit in particular in a bin, of a batch there, or of units by their names.
_LET_GO = """
WITH gone AS MATERIALIZED (
    SELECT source, id, line, company, item, warehouse, batch, serials, open FROM receiving.reservation_line
    WHERE {which} AND open > 0 LIMIT {limit}
), ended AS (
    UPDATE receiving.reservation_line AS line SET open = 0 FROM gone
    WHERE (line.source, line.id, line.line) = (gone.source, gone.id, gone.line)
), unit AS (
    UPDATE receiving.serial SET reserved_for = NULL
    FROM (SELECT company, item, unnest(serials) AS serial, source || ':' || id AS whose FROM gone) AS kept
    WHERE (serial.company, serial.item, serial.serial) = (kept.company, kept.item, kept.serial)
        AND reserved_for = whose
    RETURNING serial.company, serial.item, serial.warehouse
), batch AS (
    UPDATE receiving.batch_stock AS stock SET reserved = stock.reserved - freed.quantity
    FROM (SELECT company, item, warehouse, batch, sum(open) AS quantity FROM gone WHERE batch <> ''
          GROUP BY company, item, warehouse, batch) AS freed
    WHERE (stock.company, stock.item, stock.warehouse, stock.batch)
        = (freed.company, freed.item, freed.warehouse, freed.batch)
), bins AS (
    UPDATE receiving.bin SET reserved = bin.reserved - freed.quantity
    FROM (SELECT company, item, warehouse, sum(quantity) AS quantity FROM (
              SELECT company, item, warehouse, open AS quantity FROM gone WHERE batch = '' AND serials = '{{}}'
              UNION ALL SELECT company, item, warehouse, 1 FROM unit) AS each
          GROUP BY company, item, warehouse) AS freed
    WHERE (bin.company, bin.item, bin.warehouse) = (freed.company, freed.item, freed.warehouse)
)
SELECT count(*) AS lines FROM gone
"""
_EXPIRE = _LET_GO.format(which=f"{_BINS} AND expires_at <= :now", limit=EXPIRED_AT_ONCE)
_RELEASE = _LET_GO.format(which=_KEYS, limit="ALL")
_NEXT = f"""
UPDATE receiving.bin SET reserved_until = coalesce((
    SELECT min(expires_at) FROM receiving.reservation_line AS line
    WHERE (line.company, line.item, line.warehouse) = (bin.company, bin.item, bin.warehouse) AND open > 0), 'infinity')
WHERE {_BINS}
"""
_MARK_RELEASED = f"UPDATE receiving.reservation SET released_at = :now WHERE {_KEYS}"
_DELIVERED = """
UPDATE receiving.reservation_line AS line SET open = each.open, delivered = each.delivered
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:line AS integer[]), cast(:open AS numeric[]),
    cast(:delivered AS numeric[])) AS each (source, id, line, open, delivered)
WHERE (line.source, line.id, line.line) = (each.source, each.id, each.line)
"""
_KEEP_IN_BINS = """
UPDATE receiving.bin SET reserved = each.reserved, reserved_until = least(bin.reserved_until, each.expires_at)
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:reserved AS numeric[]),
    cast(:expires_at AS timestamptz[])) AS each (company, item, warehouse, reserved, expires_at)
WHERE (bin.company, bin.item, bin.warehouse) = (each.company, each.item, each.warehouse)
"""
_KEEP_OF_BATCHES = """
UPDATE receiving.batch_stock AS stock SET reserved = each.reserved
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:reserved AS numeric[])) AS each (company, item, warehouse, batch, reserved)
WHERE (stock.company, stock.item, stock.warehouse, stock.batch)
    = (each.company, each.item, each.warehouse, each.batch)
"""
_KEEP_UNITS = """
UPDATE receiving.serial SET reserved_for = each.reserved_for
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[]), cast(:reserved_for AS text[]))
    AS each (company, item, serial, reserved_for)
WHERE (serial.company, serial.item, serial.serial) = (each.company, each.item, each.serial)
"""
_COLUMNS = "source, id, company, document, customer, actor, reason, recorded_at, expires_at"
_LINE_COLUMNS = "source, id, line, company, item, warehouse, batch, serials, quantity, open, expires_at"


@dataclass(frozen=True, slots=True)
class Found:
    """A reservation that is to be released: how it stands, and its bins."""

    standing: Standing
    bins: frozenset[BinKey]


# --- read for movements -----------------------------------------------------------------------------------------------


def load_reservations(connection: Connection, stock: Stock, needs: Needs, requests: Iterable[Request]) -> None:
    """Read the reservations that movements name, as far as their bins are locked; their units are needed, too."""
    keys = {key for each in requests for key in _named(each)}
    if not keys:
        return
    for row in query(connection, _NAMED, **columns(sorted(keys), "source id")):
        lines = stock.reservations.setdefault((row.source, row.id), ())
        key = (row.company, row.item, row.warehouse)
        if row.line is not None and key in stock.bins:
            of = Reserved(row.line, key, row.quantity, row.open, row.delivered, row.batch or None, tuple(row.serials))
            stock.reservations[row.source, row.id] = (*lines, of)
            needs.serials.update((row.company, row.item, number) for number in row.serials)


def _named(request: Request) -> set[MovementKey]:
    movement = request.movement
    if movement is None:
        return set()
    named = [movement.reservation, *(line.reservation for line in movement.lines)]
    return {(each.source or request.source, each.id) for each in named if each is not None}


def expire(connection: Connection, bins: Collection[BinKey], now: datetime) -> int:
    """Let go of all that has expired in these bins, which are locked; how many lines that are."""
    keys = columns(sorted(bins), "company item warehouse")
    lines, found = 0, EXPIRED_AT_ONCE
    while found == EXPIRED_AT_ONCE:
        found = query(connection, _EXPIRE, now=now, **keys)[0].lines
        lines += found
    run(connection, _NEXT, **keys)
    return lines


def lock_due_bins(connection: Connection, now: datetime) -> list[BinKey]:
    """Some bins in which a reservation has expired; those that somebody else holds are left to him."""
    rows = query(connection, _DUE_BINS, now=now, limit=_BINS_AT_ONCE)
    return [(row.company, row.item, row.warehouse) for row in rows]


# --- written ----------------------------------------------------------------------------------------------------------


def save_deliveries(connection: Connection, stock: Stock) -> None:
    """Note what was delivered against reservations."""
    rows = [
        (*key, each.line, each.open, each.delivered)
        for key in sorted(stock.changed.reservations)
        for each in stock.reservations[key]
    ]
    if rows:
        run(connection, _DELIVERED, **columns(rows, "source id line open delivered"))


def save_reservations(connection: Connection, stock: Stock, kept: Sequence[Kept]) -> None:
    """Append reservations, and note in their bins what is kept back there."""
    if not kept:
        return
    copy(connection, "receiving.reservation", _COLUMNS, (_row(each) for each in kept))
    copy(connection, "receiving.reservation_line", _LINE_COLUMNS, (row for each in kept for row in _line_rows(each)))
    earliest: dict[BinKey, datetime] = {}
    for each in kept:
        expires_at = each.asked.reservation.expires_at
        for line in each.lines:
            earliest[line.bin] = min(earliest.get(line.bin, expires_at), expires_at)
    bins = [(*key, stock.bins[key].reserved, earliest[key]) for key in sorted(earliest)]
    run(connection, _KEEP_IN_BINS, **columns(bins, "company item warehouse reserved expires_at"))
    batches = [(*key, stock.batch_stock[key].reserved) for key in sorted(stock.changed.batch_stock)]
    if batches:
        run(connection, _KEEP_OF_BATCHES, **columns(batches, "company item warehouse batch reserved"))
    units = [(*key, stock.serials[key].reserved_for) for key in sorted(stock.changed.serials)]
    if units:
        run(connection, _KEEP_UNITS, **columns(units, "company item serial reserved_for"))
    stock.settle()


def _row(kept: Kept) -> tuple[object, ...]:
    request, told = kept.asked.request, kept.asked.reservation
    about = (told.document, told.customer, told.actor, told.reason)
    return (request.source, request.id, kept.company, *about, kept.outcome.recorded_at, told.expires_at)


def _line_rows(kept: Kept) -> Iterable[tuple[object, ...]]:
    request = kept.asked.request
    for each in kept.lines:
        goods = (each.batch or "", list(each.serials), each.quantity, each.open)
        yield (request.source, request.id, each.line, *each.bin, *goods, kept.asked.reservation.expires_at)


# --- released ---------------------------------------------------------------------------------------------------------


def lock_named(connection: Connection, keys: Collection[MovementKey], now: datetime) -> dict[MovementKey, Found]:
    """Those of these reservations that are known, their bins locked, with nothing in these that has expired."""
    bins = sorted({key for each in _find(connection, keys).values() for key in each.bins})
    if not bins:
        return {}
    query(connection, _LOCK_BINS, **columns(bins, "company item warehouse"))
    expire(connection, bins, now)
    return _find(connection, keys)


def _find(connection: Connection, keys: Collection[MovementKey]) -> dict[MovementKey, Found]:
    rows = query(connection, _STANDING, **columns(sorted(keys), "source id")) if keys else ()
    return {
        (row.source, row.id): Found(
            Standing(row.company, row.is_open, row.is_delivered, row.is_released),
            frozenset((row.company, *each) for each in zip(row.items, row.warehouses, strict=True)),
        )
        for row in rows
    }


def let_go(connection: Connection, keys: Collection[MovementKey], now: datetime) -> None:
    """Let go of all that these reservations keep back; their bins are locked."""
    if keys:
        named = columns(sorted(keys), "source id")
        run(connection, _RELEASE, **named)
        run(connection, _MARK_RELEASED, now=now, **named)
