"""What valuing anew needs: which bin is next, what stood there, its movements in the order of time, what was told.

The one idea: all of it is read plainly, in pieces of bounded size; what must not change meanwhile is covered by the
lock of the bin.
"""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection

from services.ledger.decide.corrections import Cause, CorrectingEntry
from services.ledger.decide.naming import Named, Return
from services.ledger.decide.revaluing import Position
from services.ledger.decide.state import BatchKey, BinKey, Key, stamps_of
from services.ledger.decide.valuation import Stock
from services.ledger.store.originals import read_named
from services.ledger.store.rows import BIN, KEYS, bin_names, fetch, write_booked
from services.ledger.store.saving import ENTRY_COLUMNS, SERIAL_COLUMNS
from shared.contracts.codec import decoder, read, write
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import STOCK_REVALUED
from shared.contracts.stock import StockRevalued
from shared.db import columns, copy, run
from shared.service import Output

_NEXT = """
SELECT company, item, warehouse FROM ledger.dirty WHERE not_before <= now()
ORDER BY from_at, company, item, warehouse LIMIT 1
"""
_NEXT_OF = """
SELECT company, item, warehouse FROM ledger.dirty
WHERE company = (SELECT :company) AND item = :item AND not_before <= now() ORDER BY from_at, warehouse LIMIT 1
"""
_ITEMS = "SELECT DISTINCT company, item FROM ledger.dirty WHERE not_before <= now() LIMIT 1000"
_DIRTY = f"""
SELECT from_at, from_stamp, recorded_at, moved, open_from, dated_at FROM ledger.dirty
WHERE {BIN} ORDER BY from_at, from_stamp
"""
# Behind a place (at, stamp); what revalues what stands at a stamp comes right behind it.
_ENTRIES_BEHIND = f"""
SELECT effective_at, stamp, source, id FROM ledger.entry
WHERE {BIN} AND (effective_at, stamp) > (:at, :stamp) AND part_of IS NULL
ORDER BY effective_at, stamp, revaluation, ordinal LIMIT :limit
"""
_SILENT_BEHIND = f"""
SELECT effective_at, stamp, source, id FROM ledger.silent
WHERE {BIN} AND (effective_at, stamp) > (:at, :stamp) ORDER BY effective_at, stamp LIMIT :limit
"""
_CANCELLED = f"SELECT source, id FROM ledger.cancelled WHERE (source, id) IN (SELECT * FROM {KEYS})"
_ALLOCATED = f"SELECT allocated FROM receiving.allocated WHERE (source, id) IN (SELECT * FROM {KEYS})"
# The last that was said in this bin, up to a place, of serials that stand there then, by something that holds.
_SAID = """
SELECT own.cost, entry.quantity FROM ledger.entry_serial AS own JOIN ledger.entry USING (company, entry_id)
LEFT JOIN ledger.entry AS whole ON (whole.company, whole.entry_id) = (entry.company, entry.part_of)
WHERE own.company = (SELECT :company) AND own.item = :item AND own.serial = given.serial
    AND entry.warehouse = :warehouse
    AND (entry.effective_at, entry.stamp) <= (:at, :stamp) AND entry.purpose <> 'cancellation' AND NOT EXISTS (
        SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = (entry.source, entry.id))
"""
# A correction stands with what it corrects: before a landed cost, where that is the receipt.
_LAST = """
ORDER BY entry.effective_at DESC, entry.stamp DESC,
    CASE WHEN entry.part_of IS NULL THEN entry.revaluation ELSE coalesce(whole.revaluation, 0) END DESC,
    entry.revaluation DESC, entry.ordinal DESC LIMIT 1
"""
_COSTS = f"""
SELECT serial, known.cost FROM unnest(cast(:serials AS text[])) AS given (serial)
CROSS JOIN LATERAL ({_SAID} {_LAST}) AS known
CROSS JOIN LATERAL ({_SAID} AND entry.quantity <> 0 {_LAST}) AS moved
WHERE moved.quantity > 0
"""
_NAMED = """
SELECT cast(later.original AS text), own.item, own.warehouse, later.effective_at, later.stamp, abs(later.quantity),
    later.item, later.warehouse, later.source, later.id,
    ARRAY(SELECT serial FROM ledger.entry_serial AS back
          WHERE (back.company, back.entry_id) = (later.company, later.entry_id))
FROM unnest(cast(:entry AS uuid[])) AS given (entry_id)
JOIN ledger.entry AS own ON own.company = (SELECT :company) AND own.entry_id = given.entry_id
LEFT JOIN ledger.entry AS later ON later.company = (SELECT :company) AND later.original = given.entry_id
    AND later.purpose <> 'cancellation' AND NOT EXISTS (
        SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = (later.source, later.id))
WHERE later.entry_id IS NOT NULL OR given.entry_id = ANY(cast(:wanted AS uuid[]))
"""
# Those bins' batches, and what serials cost where they still stand.
_BATCHES_IN = f"""
SELECT company, item, warehouse, batch, quantity, worth, value, pending FROM ledger.bin_batch WHERE {BIN}
"""
_SAVE_COSTS = f"""
UPDATE ledger.serial SET cost = new.cost
FROM unnest(cast(:serial AS text[]), cast(:new_cost AS numeric[])) AS new (serial, cost)
WHERE {BIN} AND serial.serial = new.serial AND serial.cost <> new.cost
"""
# Only what was read: others may note something of a bin while it is at work.
_CLEAN = f"""
DELETE FROM ledger.dirty
WHERE {BIN} AND (from_at, from_stamp, recorded_at) IN (SELECT * FROM unnest(
    cast(:from_at AS timestamptz[]), cast(:from_stamp AS bigint[]), cast(:recorded_at AS timestamptz[])))
"""
_GO_ON = """
INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at, moved, open_from, dated_at)
VALUES (:company, :item, :warehouse, :at, :stamp, :recorded_at, :moved, :open_from, :dated_at)
ON CONFLICT (company, item, warehouse, from_at, from_stamp) DO NOTHING
"""
_POSTPONE = f"UPDATE ledger.dirty SET not_before = now() + make_interval(secs => :pause) WHERE {BIN}"
_ADD_REVALUATIONS = """
INSERT INTO ledger.revaluation (source, id, company, item, warehouse, number, recorded_at, outputs)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:item AS text[]),
    cast(:warehouse AS text[]), cast(:number AS bigint[]), cast(:recorded_at AS timestamptz[]),
    cast(:outputs AS bytea[]))
"""

_movements = decoder(MovementAllocated)


Item = tuple[str, str]
"""Company and item."""


class Dirt(NamedTuple):
    """A bin is to be valued anew behind this place, because of this."""

    at: Position
    cause: Cause


class Timeline(NamedTuple):
    """The movements of a bin behind a place, in the order of time; `complete`: there are no more."""

    places: Sequence[tuple[Position, Key]]
    complete: bool


def next_dirty(connection: Connection) -> BinKey | None:
    """The bin that is to be valued anew from the earliest time on."""
    for company, item, warehouse in fetch(connection, _NEXT):
        return (company, item, warehouse)
    return None


def next_dirty_of(connection: Connection, item: Item) -> BinKey | None:
    """The bin of an item that is to be valued anew from the earliest time on."""
    company, code = item
    for row in fetch(connection, _NEXT_OF, company=company, item=code):
        return (row[0], row[1], row[2])
    return None


def any_dirty_item(connection: Connection) -> Item | None:
    """One of the items of which something is to be valued anew, drawn by lot."""
    items = [(row[0], row[1]) for row in fetch(connection, _ITEMS)]
    return random.choice(items) if items else None


def dirt_of(connection: Connection, key: BinKey) -> list[Dirt]:
    """From where on a bin is to be valued anew, the earliest place first."""
    return [Dirt((at, stamp), Cause(*cause)) for at, stamp, *cause in fetch(connection, _DIRTY, **bin_names(key))]


def timeline(connection: Connection, key: BinKey, at: Position, limit: int) -> Timeline:
    """About so many movements of a bin behind a place; those that were cancelled are among them."""
    names = {**bin_names(key), "at": at[0], "stamp": at[1], "limit": limit}
    entries = fetch(connection, _ENTRIES_BEHIND, **names)
    silent = fetch(connection, _SILENT_BEHIND, **names)
    cut = [(rows[-1][0], rows[-1][1]) for rows in (entries, silent) if len(rows) == limit]
    places: dict[tuple[Position, Key], None] = {}
    for when, stamp, source, name in sorted([*entries, *silent], key=lambda row: (row[0], row[1])):
        if not cut or (when, stamp) < min(cut):
            places[(when, stamp), (source, name)] = None
    if cut and not places:  # all of them belong to one movement
        return timeline(connection, key, at, limit * 2)
    return Timeline(list(places), not cut)


def movements_of(connection: Connection, keys: Collection[Key]) -> dict[Key, MovementAllocated]:
    """Movements as they were allocated."""
    rows = fetch(connection, _ALLOCATED, **columns(list(keys), "source id")) if keys else ()
    found = (read(_movements, bytes(body)) for (body,) in rows)
    return {(each.source, each.id): each for each in found}


def cancelled_among(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Those of the movements that were cancelled."""
    rows = fetch(connection, _CANCELLED, **columns(list(keys), "source id")) if keys else ()
    return {(source, name) for source, name in rows}


def costs_at(connection: Connection, key: BinKey, at: Position, serials: Collection[str]) -> dict[str, Decimal]:
    """What serials cost that stand in a bin at a place."""
    if not serials:
        return {}
    rows = fetch(connection, _COSTS, **bin_names(key), at=at[0], stamp=at[1], serials=list(serials))
    return dict(rows)


def named_by(
    connection: Connection, company: str, wanted: Mapping[str, Collection[str]], here: Iterable[str]
) -> dict[str, Named]:
    """The entries that are `wanted`, with the serials that are looked for, and those of `here` that others name."""
    entries = list({*wanted, *here})
    rows = fetch(connection, _NAMED, company=company, entry=entries, wanted=list(wanted)) if entries else ()
    later = movements_of(connection, {(row[8], row[9]) for row in rows if row[8] is not None})
    names = {(company, row[0]) for row in rows}
    back = {(company, row[1], serial, row[0]) for row in rows for serial in (*row[10], *wanted.get(row[0], ()))}
    originals = read_named(connection, names, sorted(back)) if names else {}
    named: dict[str, Named] = {}
    for entry, item, warehouse, when, stamp, quantity, to_item, to_warehouse, source, name, serials in rows:
        known = named.setdefault(entry, Named((company, item, warehouse), originals[entry]))
        if quantity:
            own = stamps_of(later[source, name]).get(known.key, stamp)
            known.returns.append(Return(when, own, quantity, serials, (company, to_item, to_warehouse)))
    return named


# --- writing ----------------------------------------------------------------------------------------------------------


def clean(connection: Connection, key: BinKey, dirt: Iterable[Dirt], end: Position, *, agrees: bool) -> None:
    """A bin was valued anew up to a place, or just so far that what stands there `agrees` with what was noted of it.

    What is to be done behind a place where everything agrees is still to be done: it was begun and not ended.
    """
    done = [(*each.at, each.cause.recorded_at) for each in dirt if each.at < end or (each.at == end and not agrees)]
    if done:
        run(connection, _CLEAN, **bin_names(key), **columns(done, "from_at from_stamp recorded_at"))


def go_on(connection: Connection, key: BinKey, end: Position, cause: Cause) -> None:
    """A bin is to be valued anew behind a place, for the same cause as before."""
    facts = {
        "recorded_at": cause.recorded_at,
        "moved": cause.moved,
        "open_from": cause.open_from,
        "dated_at": cause.dated_at,
    }
    run(connection, _GO_ON, **bin_names(key), at=end[0], stamp=end[1], **facts)


def postpone(connection: Connection, key: BinKey, pause: float) -> None:
    """A bin could not be valued anew: others come first for a while."""
    run(connection, _POSTPONE, **bin_names(key), pause=pause)


def batches_in(connection: Connection, key: BinKey) -> dict[BatchKey, Stock]:
    """All batches that ever were in a bin, as they are there now."""
    return {
        (company, item, warehouse, batch): Stock(quantity, worth, value, pending=pending)
        for company, item, warehouse, batch, quantity, worth, value, pending in fetch(
            connection, _BATCHES_IN, **bin_names(key)
        )
    }


def save_costs(connection: Connection, key: BinKey, costs: Mapping[str, Decimal | None]) -> None:
    """What serials cost, as far as they still stand in the bin."""
    rows = [(serial, cost) for serial, cost in costs.items() if cost is not None]
    if rows:
        run(connection, _SAVE_COSTS, **bin_names(key), **columns(rows, "serial new_cost"))


def save_corrections(connection: Connection, entries: Sequence[CorrectingEntry], cause: Cause) -> None:
    """Append entries that correct others."""
    copy(connection, "ledger.entry", ENTRY_COLUMNS, [_row(each, cause) for each in entries])
    serials = (
        (each.correction.key[0], each.posted.item, serial, each.posted.entry, cost)
        for each in entries
        for serial, cost in each.correction.costs.items()
    )
    copy(connection, "ledger.entry_serial", SERIAL_COLUMNS, serials)


def _row(entry: CorrectingEntry, cause: Cause) -> tuple[object, ...]:
    correction, posted = entry.correction, entry.posted
    movement = correction.movement
    return (
        movement.company,
        posted.entry,
        posted.item,
        posted.warehouse,
        posted.stamp,
        correction.number,
        movement.source,
        movement.id,
        movement.purpose,
        posted.line,
        posted.batch,
        posted.quantity,
        posted.value,
        correction.worth,
        posted.quantity_after,
        posted.value_after,
        movement.effective_at,
        cause.recorded_at,
        entry.dated.posting_date,
        movement.document,
        movement.currency,
        None,
        write_booked(correction.booked.items()),
        entry.revaluation,
        posted.part_of,
        correction.true_up,
        entry.dated.dated_at,
        correction.rate,
    )


def save_revaluations(connection: Connection, told: Sequence[StockRevalued]) -> list[Output]:
    """Keep what is told of pieces of work in bins; the outputs."""
    bodies = [write(each) for each in told]
    rows = [
        (each.source, each.id, each.company, each.item, each.warehouse, each.number, each.recorded_at, body)
        for each, body in zip(told, bodies, strict=True)
    ]
    if rows:
        names = "source id company item warehouse number recorded_at outputs"
        run(connection, _ADD_REVALUATIONS, **columns(rows, names))
    return [Output(STOCK_REVALUED, each.source, each.id, body) for each, body in zip(told, bodies, strict=True)]
