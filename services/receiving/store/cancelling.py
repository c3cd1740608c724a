"""What is read of a movement that is to be undone, and what is written when it was.

All of it stands under locks that its bins, batches and serials give. Stays, quantities over time and returns tell what
is: there a cancelled movement has never been. What it had told of serials is kept among the events that are void.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.histories import History, Passages, Said, Stay
from services.receiving.decide.originals import bins_of
from services.receiving.decide.stock import BatchKey, BinKey, SerialKey, Stock
from services.receiving.decide.timeline import Place, effects_of, place_of
from services.receiving.decide.undoing import Arrival, Event, Traces
from services.receiving.store.references import load_originals
from services.receiving.store.timeline import forget, outlooks
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, query, run
from shared.errors import InvariantBroken
from shared.purposes import Tracking
from shared.quantities import ZERO

_SERIALS = """
(company, item, serial) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:serial AS text[])))
"""
_STAYS = f"""
SELECT company, item, serial, warehouse, from_at, from_tie, in_source, in_id,
    CASE WHEN out_id IS NOT NULL THEN until_at END AS until_at, until_tie, out_source, out_id, warranty_until
FROM receiving.stay WHERE {_SERIALS} ORDER BY company, item, serial, from_at, from_tie
"""
_SAID = f"""
SELECT company, item, serial, recorded_at, batch, supplier, warranty_until
FROM receiving.serial_said WHERE {_SERIALS} ORDER BY company, item, serial, number
"""
# The total of all that a count found, at the time and since.
_FOUND = """
SELECT place.*, sum(quantity) AS found
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:stamp AS bigint[])) AS place (company, item, warehouse, batch, stamp)
JOIN receiving.change USING (company, item, warehouse, batch, stamp)
WHERE effective_at = :at
GROUP BY place.company, place.item, place.warehouse, place.batch, place.stamp
"""
_LAST_COUNTS = """
SELECT DISTINCT ON (company, item, warehouse) company, item, warehouse, effective_at, stamp
FROM receiving.count
WHERE (company, item, warehouse) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[])))
    AND (source, id) <> (:movement_source, :movement_id)
ORDER BY company, item, warehouse, effective_at DESC, stamp DESC
"""
_OF_BATCHES = """
SELECT company, item, batch, effective_at, stamp, part, line, warehouse, change.quantity
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:batch AS text[])) AS wanted (company, item, batch)
JOIN receiving.batch_stock USING (company, item, batch)
JOIN receiving.change USING (company, item, warehouse, batch)
"""
# The first arrival in each bin from a moment on that still counts: of quantities, and of serials.
_FIRST_ARRIVALS = """
SELECT bin.*, least(
    (SELECT min(effective_at) FROM receiving.change
     WHERE (change.company, change.item, change.warehouse) = (bin.company, bin.item, bin.warehouse)
         AND effective_at >= :at AND (effective_at, stamp) <> (:at, bin.stamp) AND quantity > 0),
    (SELECT min(from_at) FROM receiving.stay
     WHERE (stay.company, stay.item, stay.warehouse) = (bin.company, bin.item, bin.warehouse)
         AND from_at >= :at AND (in_source, in_id) <> (:movement_source, :movement_id))
) AS first_at
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:stamp AS bigint[]))
    AS bin (company, item, warehouse, stamp)
"""
_VOID_COLUMNS = """
company, item, serial, source, id, effective_at, tie, arrives, warehouse, warranty_until, void_since
"""
_MAKE_VOID = f"""
INSERT INTO receiving.void_event ({_VOID_COLUMNS})
SELECT company, item, serial, in_source, in_id, from_at, from_tie, true, warehouse, NULL, :void_since
FROM receiving.stay WHERE {_SERIALS} AND (in_source, in_id) = (:movement_source, :movement_id)
UNION ALL
SELECT company, item, serial, out_source, out_id, until_at, until_tie, false, warehouse, warranty_until, :void_since
FROM receiving.stay WHERE {_SERIALS} AND (out_source, out_id) = (:movement_source, :movement_id)
"""
_FORGET_STAYS = f"""
DELETE FROM receiving.stay WHERE {_SERIALS} AND (in_source, in_id) = (:movement_source, :movement_id)
"""
_REOPEN_STAYS = f"""
UPDATE receiving.stay SET
    until_at = 'infinity', until_tie = 0, out_source = NULL, out_id = NULL, warranty_until = NULL
WHERE {_SERIALS} AND (out_source, out_id) = (:movement_source, :movement_id)
"""
_FORGET_NAMING = """
DELETE FROM receiving.naming WHERE (source, id, by_source, by_id) = (:of_source, :of_id, :movement_source, :movement_id)
"""


def load_traces(connection: Connection, stock: Stock, original: MovementAllocated) -> Traces:
    """What a movement left behind and what came after it; all that was accepted so far has been written."""
    serials = sorted(_serials_moved(original))
    stays = _stays(connection, serials)
    by = {key for each in stays.values() for stay in each for key in (stay.came_by, stay.left_by) if key is not None}
    movements = {key: each for key, each in load_originals(connection, by - stock.originals.keys()).items() if each}
    movements |= {key: each for key in by if (each := stock.originals.get(key)) is not None}
    said, counts = _said(connection, serials), _last_counts(connection, original)
    return Traces(
        outlooks(connection, effects_of(original.company, original.legs), original.effective_at, _stamps(original)),
        _found(connection, original),
        counts,
        {key: History(stays[key], said.get(key, ())) for key in serials},
        Passages(movements),
        _of_batches(connection, original),
        _first_arrivals(connection, stock, original, counts),
    )


def save_cancellations(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Have cancelled movements leave nothing behind but what was told of them."""
    for each in accepted:
        if each.undone is not None:
            forget(connection, each.undone)
            _forget_events(connection, each, each.undone)
            _note_cancelled(connection, each.allocated, each.undone)


def _stamps(original: MovementAllocated) -> dict[BinKey, int]:
    return {(original.company, each.item, each.warehouse): each.stamp for each in original.stamps}


def _serials_moved(original: MovementAllocated) -> set[SerialKey]:
    moved = (leg for leg in original.legs if leg.quantity)
    return {(original.company, leg.item, number) for leg in moved for number in leg.serials}


def _named(original: MovementAllocated) -> dict[str, str]:
    return {"movement_source": original.source, "movement_id": original.id}


# --- what is read -----------------------------------------------------------------------------------------------------


def _stays(connection: Connection, serials: Sequence[SerialKey]) -> Mapping[SerialKey, list[Stay]]:
    found: dict[SerialKey, list[Stay]] = {key: [] for key in serials}
    for row in query(connection, _STAYS, **columns(serials, "company item serial")) if serials else ():
        found[row.company, row.item, row.serial].append(_stay(row))
    unmoved = [key for key, stays in found.items() if not stays]
    if unmoved:
        raise InvariantBroken("a serial moved, and there is no stay of it", item=unmoved[0][1], serial=unmoved[0][2])
    return found


def _stay(row: Row[Any]) -> Stay:
    left_by = (row.out_source, row.out_id) if row.out_id is not None else None
    came_by = (row.in_source, row.in_id)
    ended = (row.until_at, row.until_tie, left_by, row.warranty_until)
    return Stay(row.warehouse, row.from_at, row.from_tie, came_by, *ended)


def _said(connection: Connection, serials: Sequence[SerialKey]) -> Mapping[SerialKey, list[Said]]:
    found: dict[SerialKey, list[Said]] = {}
    for row in query(connection, _SAID, **columns(serials, "company item serial")) if serials else ():
        found.setdefault((row.company, row.item, row.serial), []).append(
            Said(row.recorded_at, row.batch, row.supplier, row.warranty_until)
        )
    return found


def _found(connection: Connection, original: MovementAllocated) -> Mapping[Place, Any]:
    stamps = _stamps(original)
    counted = [place_of(original.company, leg) for leg in original.legs if leg.counted is not None]
    rows = [(*place, stamps[place[:3]]) for place in counted if place is not None]
    if not rows:
        return {}
    places = columns(sorted(rows), "company item warehouse batch stamp")
    found = query(connection, _FOUND, **places, at=original.effective_at)
    # What found nothing, and nothing since, has no row.
    return {place: ZERO for place in counted if place is not None} | {tuple(row[:4]): row.found for row in found}


def _last_counts(connection: Connection, original: MovementAllocated) -> Mapping[BinKey, Event]:
    bins = sorted(bins_of(original))
    if not bins:
        return {}
    rows = query(connection, _LAST_COUNTS, **columns(bins, "company item warehouse"), **_named(original))
    return {(row.company, row.item, row.warehouse): Event(row.effective_at, row.stamp) for row in rows}


def _of_batches(connection: Connection, original: MovementAllocated) -> Mapping[BatchKey, list[Arrival]]:
    """What happened to the batches that a movement moved, without what it did itself."""
    moved = (leg for leg in original.legs if leg.tracking is Tracking.BATCH and leg.quantity)
    batches = sorted({(original.company, leg.item, leg.batch or "") for leg in moved})
    stamps = _stamps(original)
    found: dict[BatchKey, list[Arrival]] = {key: [] for key in batches}
    for row in query(connection, _OF_BATCHES, **columns(batches, "company item batch")) if batches else ():
        own = stamps.get((row.company, row.item, row.warehouse)) == row.stamp
        if not (own and row.effective_at == original.effective_at):
            arrival = Arrival(row.effective_at, row.stamp, row.part, row.line, row.warehouse, row.quantity)
            found[row.company, row.item, row.batch].append(arrival)
    return found


def _first_arrivals(
    connection: Connection, stock: Stock, original: MovementAllocated, counts: Mapping[BinKey, Event]
) -> Mapping[BinKey, datetime | None]:
    """Of the bins in which no rate was known before a movement brought goods, when anything else came first since.

    What came since had a rate, or would not have come without. A bin that was counted is left alone: that may be why.
    """
    stamps = _stamps(original)
    brought = {(original.company, leg.item, leg.warehouse) for leg in original.legs if leg.quantity > ZERO}
    first = {key for key in brought if stock.bins[key].rated_from == original.effective_at}
    rated = sorted(first - counts.keys())
    if not rated:
        return {}
    bins = columns([(*key, stamps[key]) for key in rated], "company item warehouse stamp")
    rows = query(connection, _FIRST_ARRIVALS, **bins, **_named(original), at=original.effective_at)
    return {(row.company, row.item, row.warehouse): row.first_at for row in rows}


# --- what is written --------------------------------------------------------------------------------------------------


def _forget_events(connection: Connection, accepted: Accepted, undone: MovementAllocated) -> None:
    """Units are where they were: the stays that the movement began are none, those that it ended go on."""
    serials = columns(sorted({event.key for event in accepted.events}), "company item serial")
    if not accepted.events:
        return
    run(connection, _MAKE_VOID, **serials, **_named(undone), void_since=accepted.allocated.recorded_at)
    copy(connection, "receiving.void_event", _VOID_COLUMNS, _own_events(accepted, undone))
    run(connection, _FORGET_STAYS, **serials, **_named(undone))
    run(connection, _REOPEN_STAYS, **serials, **_named(undone))


def _own_events(accepted: Accepted, undone: MovementAllocated) -> Iterable[tuple[Any, ...]]:
    """A cancellation's own departures and arrivals."""
    stands = {
        (undone.company, leg.item, number): leg.warehouse
        for leg in undone.legs
        if leg.quantity > ZERO
        for number in leg.serials
    }
    void_since = accepted.allocated.recorded_at
    for event in accepted.events:
        about = (*event.key, event.source, event.id, event.at, event.tie)
        if event.left:
            yield (*about, False, stands[event.key], None, void_since)
        if event.came_to is not None:
            yield (*about, True, event.came_to, None, void_since)


def _note_cancelled(connection: Connection, cancellation: MovementAllocated, undone: MovementAllocated) -> None:
    row = (undone.source, undone.id, cancellation.source, cancellation.id)
    copy(connection, "receiving.cancelled", "source, id, by_source, by_id", [row])
    if undone.against is not None:
        named = {"of_source": undone.against.source, "of_id": undone.against.id}
        run(connection, _FORGET_NAMING, **named, **_named(undone))
