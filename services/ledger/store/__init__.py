"""The ledger's tables: the inbox, the bins under their locks, the entries, and the movements that wait.

The one idea is the order in which everything is locked: movement keys, sorted; bins created, sorted; bins locked,
sorted; all else belongs to a movement or a bin and is never waited for. Each step is a statement of its own: a
statement that waited for a lock sees the locked rows as they are now, but all others as they were when it began.

What is locked stands here; what a bin's lock covers stands in `details`, `saving` and `waiting`.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from services.ledger.decide.state import BinKey, State
from services.ledger.decide.valuation import Stock
from services.ledger.store.details import read_batches, read_details
from services.ledger.store.originals import read_told
from services.ledger.store.revaluing import save_revaluations
from services.ledger.store.rows import BINS, KEYS, bin_columns, fetch, read_layers, read_shortages
from services.ledger.store.saving import mark, save_batches, save_bins, save_outputs, save_posting
from services.ledger.store.waiting import (
    add_waiting,
    forget_waiting,
    has_followers,
    loosen,
    standing,
    stick,
    waiters_in,
    waiters_within,
    waiting_movements,
)
from shared.contracts.movement import MovementAllocated
from shared.db import columns, run
from shared.service import Key

__all__ = [
    "add_movements",
    "add_waiting",
    "create_bins",
    "forget_waiting",
    "has_followers",
    "lock_bins",
    "loosen",
    "mark",
    "read_batches",
    "read_bins",
    "read_details",
    "read_told",
    "save_batches",
    "save_bins",
    "save_outputs",
    "save_posting",
    "save_revaluations",
    "standing",
    "stick",
    "stored_outputs",
    "waiters_in",
    "waiters_within",
    "waiting_movements",
]

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
WHERE (source, id) IN (SELECT * FROM {KEYS}) AND outputs IS NOT NULL
"""
_CREATE_BINS = f"""
INSERT INTO ledger.bin (company, item, warehouse)
SELECT * FROM {BINS} AS given (company, item, warehouse)
ORDER BY company, item, warehouse
ON CONFLICT (company, item, warehouse) DO NOTHING
"""
_READ_BINS = f"""
SELECT company, item, warehouse, last_stamp, quantity, worth, value, rate, cast(layers AS text),
    cast(shortages AS text), pending, latest_at, revaluations, pieces
FROM ledger.bin
WHERE (company, item, warehouse) IN (SELECT * FROM {BINS})
ORDER BY company, item, warehouse
"""
_LOCK_BINS = f"{_READ_BINS}FOR NO KEY UPDATE"


def add_movements(connection: Connection, movements: Iterable[MovementAllocated]) -> set[Key]:
    """Enter movements, distinct in their keys, into the inbox; the keys of those that were not there before."""
    rows = [(each.source, each.id, each.company, each.recorded_at) for each in movements]
    added = fetch(connection, _ADD_MOVEMENTS, **columns(rows, "source id company recorded_at"))
    return {(source, name) for source, name in added}


def stored_outputs(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """What was said of movements that arrived before; nothing of those that wait."""
    rows = fetch(connection, _STORED_OUTPUTS, **columns(list(keys), "source id")) if keys else ()
    return {(source, name): bytes(outputs) for source, name, outputs in rows}


def create_bins(connection: Connection, bins: Collection[BinKey]) -> None:
    """Make the rows of bins that nothing has moved in yet."""
    if bins:
        run(connection, _CREATE_BINS, **bin_columns(bins))


def lock_bins(connection: Connection, bins: Collection[BinKey]) -> State:
    """Lock bins until the end of the transaction, and read them as they are then, without batches and serials."""
    return _read(connection, _LOCK_BINS, bins)


def read_bins(connection: Connection, bins: Collection[BinKey]) -> State:
    """Bins as they are just now, without locks, batches and serials; nothing stands in one that is not there yet."""
    state = _read(connection, _READ_BINS, bins)
    for key in bins:
        state.last_stamps.setdefault(key, 0)
        state.bins.setdefault(key, Stock())
    return state


def _read(connection: Connection, statement: str, bins: Collection[BinKey]) -> State:
    state = State({}, {}, {})
    for company, item, warehouse, last_stamp, quantity, worth, value, rate, layers, shortages, pending, *numbers in (
        fetch(connection, statement, **bin_columns(bins)) if bins else ()
    ):
        key = (company, item, warehouse)
        state.last_stamps[key] = last_stamp
        state.latest[key], state.revaluations[key], state.pieces[key] = numbers
        short = read_shortages(shortages)
        state.bins[key] = Stock(quantity, worth, value, rate, read_layers(layers), shortages=short, pending=pending)
    return state
