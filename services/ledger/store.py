"""The ledger's tables: the inbox, the bins under their locks, the entries, and the movements that wait.

The one idea is the order in which everything is locked: movement keys, sorted; bins created, sorted; bins locked,
sorted; all else belongs to a movement or a bin and is never waited for. Each step is a statement of its own: a
statement that waited for a lock sees the locked rows as they are now, but all others as they were when it began.
"""

import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection

from services.ledger.decide.posting import (
    Applied,
    BatchKey,
    BinKey,
    Posting,
    Stamps,
    State,
    batches_of,
)
from services.ledger.decide.valuation import Layer, Stock
from shared.contracts.codec import decoder, read
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, query, run
from shared.errors import InvariantBroken
from shared.purposes import Tracking
from shared.quantities import plain
from shared.service import Key, Level

REACH = 1_000
"""How far behind a bin's last stamp waiting movements are looked at; those further on are found in a later round."""

_KEYS = "unnest(cast(:source AS text[]), cast(:id AS text[]))"
_BINS = "unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]))"

_ADD_MOVEMENTS = """
INSERT INTO ledger.movement (source, id, company, recorded_at)
SELECT * FROM unnest(
    cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:recorded_at AS timestamptz[])
) AS given (source, id, company, recorded_at)
ORDER BY source, id
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
"""
_STORED_OUTPUTS = f"""
SELECT source, id, outputs FROM ledger.movement
WHERE (source, id) IN (SELECT * FROM {_KEYS}) AND outputs IS NOT NULL
"""
_CREATE_BINS = f"""
INSERT INTO ledger.bin (company, item, warehouse)
SELECT * FROM {_BINS} AS given (company, item, warehouse)
ORDER BY company, item, warehouse
ON CONFLICT (company, item, warehouse) DO NOTHING
"""
_LOCK_BINS = f"""
SELECT company, item, warehouse, last_stamp, quantity, worth, value, rate, cast(layers AS text)
FROM ledger.bin
WHERE (company, item, warehouse) IN (SELECT * FROM {_BINS})
ORDER BY company, item, warehouse
FOR NO KEY UPDATE
"""
# Of each movement that stands near in one of these bins all stamps, also those in other bins.
_WAITERS_NEAR = """
SELECT source, id, company, item, warehouse, stamp FROM ledger.waiting_stamp
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:reach AS bigint[]))
        AS given (company, item, warehouse, reach)
    JOIN ledger.waiting_stamp AS near USING (company, item, warehouse)
    WHERE near.stamp <= given.reach
)
"""
# The same in one statement, without locks, with the last stamp of each of their bins.
_WAITERS_IN = f"""
SELECT source, id, company, item, warehouse, stamp, last_stamp
FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse)
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM {_BINS} AS given (company, item, warehouse)
    JOIN ledger.bin AS reached USING (company, item, warehouse)
    JOIN ledger.waiting_stamp AS near USING (company, item, warehouse)
    WHERE near.stamp <= reached.last_stamp + {REACH}
)
"""
# In all bins those that are next in at least one: whatever can be applied now is among them.
_WAITERS_ANYWHERE = """
SELECT source, id, company, item, warehouse, stamp, last_stamp
FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse)
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM ledger.waiting_stamp AS near JOIN ledger.bin AS reached USING (company, item, warehouse)
    WHERE near.stamp = reached.last_stamp + 1
)
"""
# A movement that stands in a stuck bin is left alone, until an operator has it tried again.
_NOT_STUCK = """
AND (source, id) NOT IN (SELECT waiting_stamp.source, waiting_stamp.id
    FROM ledger.stuck JOIN ledger.waiting_stamp USING (company, item, warehouse))
"""
_STICK = f"""
INSERT INTO ledger.stuck (company, item, warehouse, source, id, reason, error)
SELECT company, item, warehouse, :movement_source, :movement_id, :reason, :error
FROM {_BINS} AS given (company, item, warehouse)
ORDER BY company, item, warehouse
ON CONFLICT (company, item, warehouse) DO NOTHING
"""
# In one order: two operators may do it at once.
_LOOSEN = f"""
DELETE FROM ledger.stuck WHERE (company, item, warehouse) IN (
    SELECT company, item, warehouse FROM ledger.stuck WHERE (company, item, warehouse) IN (SELECT * FROM {_BINS})
    ORDER BY company, item, warehouse FOR UPDATE
)
"""
_WAITING_BODIES = f"SELECT body FROM ledger.waiting WHERE (source, id) IN (SELECT * FROM {_KEYS})"
_BATCHES = """
SELECT company, item, warehouse, batch, quantity, worth, value FROM ledger.bin_batch
WHERE (company, item, warehouse, batch) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[])))
"""
_SERIALS = """
SELECT company, item, warehouse, serial, cost FROM ledger.serial
WHERE (company, item, warehouse, serial) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:serial AS text[])))
"""
_SAVE_BINS = """
UPDATE ledger.bin SET last_stamp = new.last_stamp, quantity = new.quantity, worth = new.worth, value = new.value,
    rate = new.rate, layers = new.layers
FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:last_stamp AS bigint[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]), cast(:rate AS numeric[]),
    cast(:layers AS json[])
) AS new (company, item, warehouse, last_stamp, quantity, worth, value, rate, layers)
WHERE bin.company = new.company AND bin.item = new.item AND bin.warehouse = new.warehouse
"""
_SAVE_BATCHES = """
INSERT INTO ledger.bin_batch (company, item, warehouse, batch, quantity, worth, value)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:quantity AS numeric[]), cast(:worth AS numeric[]), cast(:value AS numeric[]))
ON CONFLICT (company, item, warehouse, batch)
DO UPDATE SET quantity = excluded.quantity, worth = excluded.worth, value = excluded.value
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
_ENTRY_COLUMNS = (
    "company, entry_id, item, warehouse, stamp, ordinal, source, id, purpose, line, batch, quantity, value, worth, "
    "quantity_after, value_after, effective_at, recorded_at, posting_date, document, currency"
)
_SERIAL_COLUMNS = "company, item, serial, entry_id, cost"
# As text, which is half as long as bytes written out.
_SAVE_OUTPUTS = """
UPDATE ledger.movement SET outputs = convert_to(new.outputs, 'UTF8')
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:outputs AS text[])) AS new (source, id, outputs)
WHERE movement.source = new.source AND movement.id = new.id
"""
_FORGET_WAITING = f"DELETE FROM ledger.waiting WHERE (source, id) IN (SELECT * FROM {_KEYS})"
_FORGET_STAMPS = f"DELETE FROM ledger.waiting_stamp WHERE (source, id) IN (SELECT * FROM {_KEYS})"
_ADD_WAITING = """
INSERT INTO ledger.waiting (source, id, body)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:body AS bytea[]))
"""
_ADD_STAMPS = """
INSERT INTO ledger.waiting_stamp (company, item, warehouse, stamp, source, id)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:stamp AS bigint[]),
    cast(:source AS text[]), cast(:id AS text[]))
ON CONFLICT (company, item, warehouse, stamp) DO NOTHING
"""
_FOLLOWERS = f"""
SELECT coalesce(bool_or(stamp = last_stamp + 1), false), coalesce(bool_or(stamp <= last_stamp), false)
FROM ledger.bin JOIN ledger.waiting_stamp USING (company, item, warehouse)
WHERE (company, item, warehouse) IN (SELECT * FROM {_BINS}) AND stamp <= last_stamp + 1
"""
# Bounded: a backlog must not be counted every second.
_STANDING = """
SELECT count(*), cast(extract(epoch FROM now() - min(recorded_at)) AS float8), (SELECT count(*) FROM ledger.stuck)
FROM (SELECT source, id FROM ledger.waiting LIMIT 10000) AS waiting JOIN ledger.movement USING (source, id)
"""

_movements = decoder(MovementAllocated)


def add_movements(connection: Connection, movements: Iterable[MovementAllocated]) -> set[Key]:
    """Enter movements, distinct in their keys, into the inbox; the keys of those that were not there before."""
    rows = [(each.source, each.id, each.company, each.recorded_at) for each in movements]
    added = _fetch(connection, _ADD_MOVEMENTS, **columns(rows, "source id company recorded_at"))
    return {(source, name) for source, name in added}


def stored_outputs(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """What was said of movements that arrived before; nothing of those that wait."""
    rows = _fetch(connection, _STORED_OUTPUTS, **columns(list(keys), "source id")) if keys else ()
    return {(source, name): bytes(outputs) for source, name, outputs in rows}


def create_bins(connection: Connection, bins: Collection[BinKey]) -> None:
    """Make the rows of bins that nothing has moved in yet."""
    if bins:
        run(connection, _CREATE_BINS, **_bins(bins))


def lock_bins(connection: Connection, bins: Collection[BinKey]) -> State:
    """Lock bins until the end of the transaction, and read them as they are then, without batches and serials."""
    last_stamps: dict[BinKey, int] = {}
    stocks: dict[BinKey, Stock] = {}
    for company, item, warehouse, last_stamp, quantity, worth, value, rate, layers in (
        _fetch(connection, _LOCK_BINS, **_bins(bins)) if bins else ()
    ):
        key = (company, item, warehouse)
        last_stamps[key] = last_stamp
        stocks[key] = Stock(quantity, worth, value, rate, _read_layers(layers))
    return State(last_stamps, stocks, {})


def waiters_within(connection: Connection, last_stamps: Stamps) -> dict[Key, dict[BinKey, int]]:
    """The waiting movements all of whose bins are among these, which are locked; those too far ahead are left out."""
    if not last_stamps:
        return {}
    rows = [(*key, last_stamp + REACH) for key, last_stamp in last_stamps.items()]
    stamps: dict[Key, dict[BinKey, int]] = {}
    for source, name, company, item, warehouse, stamp in _fetch(
        connection, _WAITERS_NEAR + _NOT_STUCK, **columns(rows, "company item warehouse reach")
    ):
        stamps.setdefault((source, name), {})[company, item, warehouse] = stamp
    return {key: own for key, own in stamps.items() if own.keys() <= last_stamps.keys()}


def waiters_in(
    connection: Connection, bins: Collection[BinKey] | None
) -> tuple[dict[Key, dict[BinKey, int]], dict[BinKey, int]]:
    """The waiting movements that stand in `bins` (None: in any), and the last stamps of all their bins; no locks."""
    stamps: dict[Key, dict[BinKey, int]] = {}
    last_stamps: dict[BinKey, int] = {}
    if bins is None:
        rows = _fetch(connection, _WAITERS_ANYWHERE + _NOT_STUCK)
    else:
        rows = _fetch(connection, _WAITERS_IN + _NOT_STUCK, **_bins(bins))
    for source, name, company, item, warehouse, stamp, last_stamp in rows:
        stamps.setdefault((source, name), {})[company, item, warehouse] = stamp
        last_stamps[company, item, warehouse] = last_stamp
    return stamps, last_stamps


def waiting_movements(connection: Connection, keys: Collection[Key]) -> dict[Key, MovementAllocated]:
    """Movements that wait, as they arrived; their bins are locked."""
    rows = _fetch(connection, _WAITING_BODIES, **columns(list(keys), "source id")) if keys else ()
    movements = (read(_movements, bytes(body)) for (body,) in rows)
    return {(each.source, each.id): each for each in movements}


def read_details(connection: Connection, movements: Iterable[MovementAllocated], state: State) -> None:
    """Add to a state the batches that movements change, and the costs of the serials that leave; bins are locked."""
    batches: set[BatchKey] = set()
    serials: list[tuple[str, str, str, str]] = []
    for movement in movements:
        batches.update(batches_of(movement))
        for leg in movement.legs:
            if leg.tracking is Tracking.SERIAL and leg.quantity < 0:
                serials += [(movement.company, leg.item, leg.warehouse, serial) for serial in leg.serials]
    state.batches.update((key, Stock()) for key in batches)
    if batches:
        rows = _fetch(connection, _BATCHES, **columns(list(batches), "company item warehouse batch"))
        state.batches.update(
            ((company, item, warehouse, batch), Stock(*held)) for company, item, warehouse, batch, *held in rows
        )
    if serials:
        for company, item, warehouse, serial, cost in _fetch(
            connection, _SERIALS, **columns(serials, "company item warehouse serial")
        ):
            state.bins[company, item, warehouse].costs[serial] = cost


def save_posting(connection: Connection, posting: Posting) -> None:
    """Write the entries of a posting, and the bins that it advanced, with their batches and serials."""
    applied, state = posting.applied, posting.state
    copy(connection, "ledger.entry", _ENTRY_COLUMNS, (row for each in applied for row in _entry_rows(each)))
    copy(connection, "ledger.entry_serial", _SERIAL_COLUMNS, (row for each in applied for row in _serial_rows(each)))
    if posting.advanced:
        rows = [_bin_row(key, state.last_stamps[key], state.bins[key]) for key in posting.advanced]
        names = "company item warehouse last_stamp quantity worth value rate layers"
        run(connection, _SAVE_BINS, **columns(rows, names))
    if state.batches:
        batch_rows = [(*key, held.quantity, held.worth, held.value) for key, held in state.batches.items()]
        names = "company item warehouse batch quantity worth value"
        run(connection, _SAVE_BATCHES, **columns(batch_rows, names))
    _save_serials(connection, posting)


def save_outputs(connection: Connection, outputs: Mapping[Key, bytes]) -> None:
    """Keep what is said of movements that were applied."""
    if outputs:
        rows = [(*key, body.decode()) for key, body in outputs.items()]
        run(connection, _SAVE_OUTPUTS, **columns(rows, "source id outputs"))


def forget_waiting(connection: Connection, keys: Sequence[Key]) -> None:
    """Movements that waited were applied."""
    if keys:
        run(connection, _FORGET_WAITING, **columns(keys, "source id"))
        run(connection, _FORGET_STAMPS, **columns(keys, "source id"))


def add_waiting(connection: Connection, waiting: Mapping[Key, bytes], stamps: Mapping[Key, Stamps]) -> None:
    """Remember movements that must wait, as they arrived. InvariantBroken where another one waits with such a stamp."""
    if not waiting:
        return
    run(connection, _ADD_WAITING, **columns([(*key, body) for key, body in waiting.items()], "source id body"))
    rows = [(*bin_key, stamp, *key) for key in waiting for bin_key, stamp in stamps[key].items()]
    if run(connection, _ADD_STAMPS, **columns(rows, "company item warehouse stamp source id")) != len(rows):
        raise InvariantBroken("another waiting movement has one of these stamps", movements=list(waiting))


def stick(connection: Connection, key: Key, bins: Collection[BinKey], reason: str, error: str) -> None:
    """Mark bins as stuck, for the sake of a movement that waits in them."""
    shown = error.replace("\0", "\\0")[:4_000]
    names = {"movement_source": key[0], "movement_id": key[1], "reason": reason, "error": shown}
    run(connection, _STICK, **names, **_bins(bins))


def loosen(connection: Connection, bins: Collection[BinKey]) -> int:
    """Have what waits in stuck bins tried again, at the next sweep; how many bins were stuck."""
    return run(connection, _LOOSEN, **_bins(bins)) if bins else 0


def standing(connection: Connection) -> Mapping[Level, float]:
    """How many movements wait (10,000 at most), how long ago the first of them was accepted, what is stuck."""
    ((waiting, longest, stuck),) = _fetch(connection, _STANDING)
    return {Level.WAITING: waiting, Level.LONGEST_WAIT: longest or 0.0, Level.STUCK_BINS: stuck}


def has_followers(connection: Connection, advanced: Sequence[BinKey]) -> bool:
    """Whether a waiting movement is next in one of these bins, after all that was written.

    InvariantBroken where one waits for a stamp that was just taken.
    """
    if not advanced:
        return False
    ((is_next, is_overtaken),) = _fetch(connection, _FOLLOWERS, **_bins(advanced))
    if is_overtaken:
        raise InvariantBroken("a movement was applied with the stamp of one that waits", bins=list(advanced))
    return bool(is_next)


def _fetch(connection: Connection, statement: str, **parameters: object) -> Sequence[Any]:
    """Rows to be unpacked: their types are the statement's."""
    return query(connection, statement, **parameters)


def _save_serials(connection: Connection, posting: Posting) -> None:
    moved = [(*key, serial, cost) for key in posting.advanced for serial, cost in posting.state.bins[key].costs.items()]
    gone = [row[:4] for row in moved if row[4] is None]
    here = [row for row in moved if row[4] is not None]
    if gone:
        run(connection, _REMOVE_SERIALS, **columns(gone, "company item warehouse serial"))
    if here:
        run(connection, _SAVE_SERIALS, **columns(here, "company item warehouse serial cost"))


def _entry_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    movement = applied.movement
    for entry in applied.entries:
        posted = entry.posted
        yield (
            movement.company,
            posted.entry,
            posted.item,
            posted.warehouse,
            posted.stamp,
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
            movement.effective_at,
            movement.recorded_at,
            movement.posting_date,
            movement.document,
            movement.currency,
        )


def _serial_rows(applied: Applied) -> Iterable[tuple[object, ...]]:
    for entry in applied.entries:
        for serial, cost in entry.costs.items():
            yield (applied.movement.company, entry.posted.item, serial, entry.posted.entry, cost)


def _bin_row(key: BinKey, last_stamp: int, stock: Stock) -> tuple[object, ...]:
    return (*key, last_stamp, stock.quantity, stock.worth, stock.value, stock.rate, _write_layers(stock.layers))


def _bins(bins: Iterable[BinKey]) -> Mapping[str, str]:
    return columns(list(bins), "company item warehouse")


def _write_layers(layers: Iterable[Layer]) -> str:
    # By hand: plain decimals need no escaping, and the encoder of the library takes most of a set's time.
    numbers = [f'"{plain(number)}"' for each in layers for number in (each.quantity, each.worth, each.rate)]
    return f"[{','.join(numbers)}]"


def _read_layers(text: str) -> deque[Layer]:
    numbers = iter([Decimal(number) for number in json.loads(text)])
    return deque(map(Layer, numbers, numbers, numbers))
