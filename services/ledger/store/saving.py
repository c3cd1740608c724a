"""What posting leaves behind: entries by COPY, the bins that advanced, their batches and serials, and what was told."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from sqlalchemy import Connection

from services.ledger.decide.entries import Applied
from services.ledger.decide.posting import Mark, Posting
from services.ledger.decide.state import BatchKey, BinKey, State, bins_of, stamps_of
from services.ledger.decide.valuation import Stock
from services.ledger.store.checkpoints import add_checkpoints, forget_landed
from services.ledger.store.making import save_makings
from services.ledger.store.rows import write_booked, write_layers, write_shortages
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, run
from shared.service import Key

_SAVE_BINS = """
UPDATE ledger.bin SET last_stamp = new.last_stamp, quantity = new.quantity, worth = new.worth, value = new.value,
    rate = new.rate, layers = new.layers, shortages = new.shortages, pending = new.pending, latest_at = new.latest_at,
    revaluations = new.revaluations, pieces = new.pieces
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:last_stamp AS bigint[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]), cast(:rate AS numeric[]),
    cast(:layers AS json[]), cast(:shortages AS json[]), cast(:pending AS numeric[]),
    cast(:latest_at AS timestamptz[]), cast(:revaluations AS bigint[]), cast(:pieces AS bigint[])
) AS new (company, item, warehouse, last_stamp, quantity, worth, value, rate, layers, shortages, pending, latest_at,
    revaluations, pieces)
WHERE bin.company = new.company AND bin.item = new.item AND bin.warehouse = new.warehouse
"""
_SAVE_BATCHES = """
INSERT INTO ledger.bin_batch (company, item, warehouse, batch, quantity, worth, value, pending)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]), cast(:pending AS numeric[]))
ON CONFLICT (company, item, warehouse, batch) DO UPDATE SET
    quantity = excluded.quantity, worth = excluded.worth, value = excluded.value, pending = excluded.pending
"""
_SAVE_SERIALS = """
INSERT INTO ledger.serial (company, item, warehouse, serial, cost)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[]),
    cast(:cost AS numeric[]))
ON CONFLICT (company, item, warehouse, serial) DO UPDATE SET cost = excluded.cost
"""
_REMOVE_SERIALS = """
DELETE FROM ledger.serial
WHERE (company, item, warehouse, serial) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[])))
"""
ENTRY_COLUMNS = (
    "company, entry_id, item, warehouse, stamp, ordinal, source, id, purpose, line, batch, quantity, value, worth, "
    "quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency, original, "
    "booked, revaluation, part_of, true_up, dated_at, rate"
)
SERIAL_COLUMNS = "company, item, serial, entry_id, cost"
_SILENT_COLUMNS = "company, item, warehouse, effective_at, stamp, source, id"
_MARK = """
INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at, moved, open_from, dated_at)
SELECT company, item, warehouse, from_at, 0, max(recorded_at), bool_or(moved), max(open_from), max(dated_at)
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:from_at AS timestamptz[]),
    cast(:recorded_at AS timestamptz[]), cast(:moved AS boolean[]), cast(:open_from AS date[]),
    cast(:dated_at AS timestamptz[])
) AS new (company, item, warehouse, from_at, recorded_at, moved, open_from, dated_at)
GROUP BY company, item, warehouse, from_at
ORDER BY company, item, warehouse, from_at
ON CONFLICT (company, item, warehouse, from_at, from_stamp) DO UPDATE SET
    recorded_at = greatest(dirty.recorded_at, excluded.recorded_at), moved = dirty.moved OR excluded.moved,
    open_from = greatest(dirty.open_from, excluded.open_from), dated_at = greatest(dirty.dated_at, excluded.dated_at)
"""
# A cancelled return leaves to the others what it had.
_MARK_LATER_RETURNS = """
INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at)
SELECT later.company, later.item, later.warehouse, later.effective_at, 0, max(given.recorded_at)
FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[]), cast(:effective_at AS timestamptz[]),
    cast(:recorded_at AS timestamptz[])) AS given (company, entry_id, effective_at, recorded_at)
CROSS JOIN LATERAL (
    SELECT given.entry_id UNION ALL
    SELECT undone.original FROM ledger.entry AS undone
    WHERE (undone.company, undone.entry_id) = (given.company, given.entry_id) AND undone.original IS NOT NULL
) AS named (entry_id)
JOIN ledger.entry AS later ON (later.company, later.original) = (given.company, named.entry_id)
WHERE later.effective_at > given.effective_at AND later.quantity <> 0
GROUP BY later.company, later.item, later.warehouse, later.effective_at
ORDER BY later.company, later.item, later.warehouse, later.effective_at
ON CONFLICT (company, item, warehouse, from_at, from_stamp) DO UPDATE SET
    recorded_at = greatest(dirty.recorded_at, excluded.recorded_at)
"""
# As text, which is half as long as bytes written out.
_SAVE_OUTPUTS = """
UPDATE ledger.movement SET outputs = convert_to(new.outputs, 'UTF8')
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:outputs AS text[])) AS new (source, id, outputs)
WHERE movement.source = new.source AND movement.id = new.id
"""


def save_posting(connection: Connection, posting: Posting) -> None:
    """Write the entries of a posting, and the bins that it advanced, with their batches and serials.

    What takes effect before what stands there already is noted: from there on it is to be valued anew.
    """
    applied, state = posting.applied, posting.state
    copy(connection, "ledger.entry", ENTRY_COLUMNS, [row for each in applied for row in _entry_rows(each, state)])
    copy(connection, "ledger.entry_serial", SERIAL_COLUMNS, (row for each in applied for row in _serial_rows(each)))
    if posting.advanced:
        save_bins(connection, state, posting.advanced)
    if state.batches:
        save_batches(connection, state.batches)
    _save_serials(connection, posting)
    save_makings(connection, applied)
    copy(connection, "ledger.silent", _SILENT_COLUMNS, (row for each in applied for row in _silent_rows(each)))
    cancelled = [(each.movement.against, each.movement) for each in applied if each.movement.mirrors is not None]
    if cancelled:
        rows = [(name.source, name.id, by.source, by.id) for name, by in cancelled if name is not None]
        copy(connection, "ledger.cancelled", "source, id, by_source, by_id", rows)
    mark(connection, posting.marks)
    forget_landed(connection, {each for every in applied for each in _landed(every)})
    add_checkpoints(connection, [each.movement for each in applied])
    _mark_later_returns(connection, [each.movement for each in applied])


def save_bins(connection: Connection, state: State, keys: Iterable[BinKey]) -> None:
    """Write bins as they stand in a state."""
    names = "company item warehouse last_stamp quantity worth value rate layers shortages pending latest_at"
    rows = [_bin_row(key, state) for key in keys]
    run(connection, _SAVE_BINS, **columns(rows, f"{names} revaluations pieces"))


def save_batches(connection: Connection, batches: Mapping[BatchKey, Stock]) -> None:
    """Write batches in bins."""
    rows = [(*key, held.quantity, held.worth, held.value, held.pending) for key, held in batches.items()]
    run(connection, _SAVE_BATCHES, **columns(rows, "company item warehouse batch quantity worth value pending"))


def mark(connection: Connection, marks: Iterable[Mark]) -> None:
    """Note from where on bins are to be valued anew."""
    rows = [(*each.key, each.from_at, each.recorded_at, each.moved, each.open_from, each.dated_at) for each in marks]
    if rows:
        run(connection, _MARK, **columns(rows, "company item warehouse from_at recorded_at moved open_from dated_at"))


def _mark_later_returns(connection: Connection, movements: Iterable[MovementAllocated]) -> None:
    """What comes back later of the same entry takes what those before it leave of its value."""
    rows = sorted(
        {
            (movement.company, leg.original, movement.effective_at, movement.recorded_at)
            for movement in movements
            for leg in movement.legs
            if leg.original is not None and leg.quantity and leg.corrects is None
        }
    )
    if rows:
        run(connection, _MARK_LATER_RETURNS, **columns(rows, "company entry effective_at recorded_at"))


def save_outputs(connection: Connection, outputs: Mapping[Key, bytes]) -> None:
    """Keep what is said of movements that were applied."""
    if outputs:
        rows = [(*key, body.decode()) for key, body in outputs.items()]
        run(connection, _SAVE_OUTPUTS, **columns(rows, "source id outputs"))


def _save_serials(connection: Connection, posting: Posting) -> None:
    moved = [(*key, serial, cost) for key in posting.advanced for serial, cost in posting.state.bins[key].costs.items()]
    gone = [row[:4] for row in moved if row[4] is None]
    here = [row for row in moved if row[4] is not None]
    if gone:
        run(connection, _REMOVE_SERIALS, **columns(gone, "company item warehouse serial"))
    if here:
        run(connection, _SAVE_SERIALS, **columns(here, "company item warehouse serial cost"))


def _entry_rows(applied: Applied, state: State) -> Iterable[tuple[object, ...]]:
    """The rows of a movement's entries; those that change what stands at another stamp take a number in their bin."""
    movement = applied.movement
    for entry in applied.entries:
        posted = entry.posted
        effective_at, posting_date = movement.effective_at, movement.posting_date
        if entry.corrects_count is not None:
            effective_at, posting_date = entry.corrects_count.effective_at, entry.corrects_count.posting_date
        yield (
            movement.company,
            posted.entry,
            posted.item,
            posted.warehouse,
            posted.stamp if entry.at_stamp is None else entry.at_stamp,
            entry.ordinal,
            movement.source,
            movement.id,
            movement.purpose,
            posted.line,
            posted.batch,
            posted.quantity,
            posted.value,
            entry.worth,
            posted.quantity_after,
            posted.value_after,
            effective_at,
            movement.recorded_at,
            posting_date,
            movement.document,
            movement.currency,
            posted.original,
            write_booked((part.account, part.amount) for part in posted.booked),
            0 if entry.at_stamp is None else state.next_revaluation((movement.company, posted.item, posted.warehouse)),
            posted.part_of,
            posted.part_of is not None and entry.corrects_count is None,
            movement.dated_at,
            entry.rate,
        )


def _landed(applied: Applied) -> Iterator[tuple[BinKey, tuple[datetime, int]]]:
    """Where in the time of its bins a landed cost has come to stand."""
    movement = applied.movement
    for each in applied.entries:
        if each.at_stamp is not None and each.corrects_count is None:
            key = (movement.company, each.posted.item, each.posted.warehouse)
            yield key, (movement.effective_at, each.at_stamp)


def _silent_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    """The bins in which a movement has a leg, but made no entry in its own place."""
    movement = applied.movement
    made = {
        (movement.company, each.posted.item, each.posted.warehouse)
        for each in applied.entries
        if each.posted.part_of is None
    }
    stamps = stamps_of(movement)
    for key in bins_of(movement) - made:
        yield (*key, movement.effective_at, stamps[key], movement.source, movement.id)


def _serial_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    for entry in applied.entries:
        for serial, cost in entry.costs.items():
            yield (applied.movement.company, entry.posted.item, serial, entry.posted.entry, cost)


def _bin_row(key: BinKey, state: State) -> tuple[object, ...]:
    stock = state.bins[key]
    held = (stock.quantity, stock.worth, stock.value, stock.rate)
    lists = (write_layers(stock.layers), write_shortages(stock.shortages))
    numbers = (state.latest[key], state.revaluations[key], state.pieces[key])
    return (*key, state.last_stamps[key], *held, *lists, stock.pending, *numbers)
