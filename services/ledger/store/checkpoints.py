"""Checkpoints: what stood in a bin right behind some places of its time.

The one idea: they are noted as movements come in, one in some hundred, so that what is valued anew need not begin with
the first movement of all, and may end where what stands there agrees with what was noted before.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from services.ledger.decide.revaluing import Position, Standing
from services.ledger.decide.state import BinKey
from services.ledger.decide.valuation import Stock
from services.ledger.store.rows import (
    BIN,
    BINS,
    bin_columns,
    bin_names,
    fetch,
    read_batches,
    read_layers,
    read_shortages,
    write_batches,
    write_layers,
    write_shortages,
)
from shared.contracts.movement import MovementAllocated
from shared.db import columns, run

EVERY = 500
"""How many movements of a bin lie between two checkpoints."""

_CHECKPOINT = """
effective_at, stamp, quantity, worth, value, rate, cast(layers AS text), cast(shortages AS text), cast(batches AS text)
"""
_START = f"""
SELECT {_CHECKPOINT} FROM ledger.checkpoint WHERE {BIN} AND (effective_at, stamp) <= (:at, :stamp)
ORDER BY effective_at DESC, stamp DESC LIMIT 1
"""
_STOPS = f"""
SELECT {_CHECKPOINT} FROM ledger.checkpoint
WHERE {BIN} AND (effective_at, stamp) > (:at, :stamp) AND (effective_at, stamp) <= (:end_at, :end_stamp)
"""
_FORGET_CHECKPOINTS = f"""
DELETE FROM ledger.checkpoint
WHERE {BIN} AND (effective_at, stamp) > (:at, :stamp)
    AND (:to_the_end OR (effective_at, stamp) <= (:end_at, :end_stamp))
"""
# A landed cost stands right behind its receipt: what was noted there was noted without it.
_FORGET_LANDED = """
DELETE FROM ledger.checkpoint AS noted
USING unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]),
    cast(:effective_at AS timestamptz[]), cast(:stamp AS bigint[])) AS given (company, item, warehouse, at, stamp)
WHERE (noted.company, noted.item, noted.warehouse) = (given.company, given.item, given.warehouse)
    AND (noted.effective_at, noted.stamp) >= (given.at, given.stamp)
"""
_ADD_CHECKPOINT = """
INSERT INTO ledger.checkpoint (company, item, warehouse, effective_at, stamp, quantity, worth, value, rate, layers,
    shortages, batches)
VALUES (:company, :item, :warehouse, :at, :stamp, :quantity, :worth, :value, :rate, :layers, :shortages, :batches)
ON CONFLICT (company, item, warehouse, effective_at, stamp) DO NOTHING
"""
# What stands in bins now stands there behind all that was posted: unless some of it takes effect later.
_ADD_CHECKPOINTS = f"""
INSERT INTO ledger.checkpoint (company, item, warehouse, effective_at, stamp, quantity, worth, value, rate, layers,
    shortages, batches)
SELECT company, item, warehouse, latest_at, last_stamp, quantity, worth, value, rate, layers, shortages, (
    SELECT coalesce(json_agg(part ORDER BY batch, place), '[]')
    FROM ledger.bin_batch CROSS JOIN LATERAL (VALUES
        (1, batch), (2, cast(bin_batch.quantity AS text)), (3, cast(bin_batch.worth AS text)),
        (4, cast(bin_batch.value AS text))) AS parts (place, part)
    WHERE (bin_batch.company, bin_batch.item, bin_batch.warehouse) = (bin.company, bin.item, bin.warehouse)
        AND bin_batch.quantity <> 0)
FROM ledger.bin WHERE (company, item, warehouse) IN (SELECT * FROM {BINS})
ON CONFLICT (company, item, warehouse, effective_at, stamp) DO NOTHING
"""
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def start_of(connection: Connection, key: BinKey, at: Position) -> tuple[Position, Standing]:
    """The last place up to this one of which it is known what stood there, and that."""
    for when, stamp, *held in fetch(connection, _START, **bin_names(key), at=at[0], stamp=at[1]):
        return (when, stamp), _standing(key, held)
    return (_BEGINNING, 0), Standing(Stock())


def stops_between(connection: Connection, key: BinKey, at: Position, end: Position) -> dict[Position, Standing]:
    """Places of which it is noted what stood there, before anything is valued anew."""
    places = {"at": at[0], "stamp": at[1], "end_at": end[0], "end_stamp": end[1]}
    return {
        (when, stamp): _standing(key, held)
        for when, stamp, *held in fetch(connection, _STOPS, **bin_names(key), **places)
    }


def _standing(key: BinKey, held: Sequence[Any]) -> Standing:
    quantity, worth, value, rate, layers, shortages, batches = held
    stock = Stock(quantity, worth, value, rate, read_layers(layers), shortages=read_shortages(shortages))
    return Standing(stock, read_batches(batches, key))


def note_standing(
    connection: Connection, key: BinKey, start: Position, end: Position, standing: Standing, *, is_last: bool
) -> None:
    """What stands in a bin right behind a place, instead of all that was noted since another one.

    Behind the last place of all nothing else holds: what was inserted into the past was noted there as if it came last.
    """
    places = {"at": start[0], "stamp": start[1], "end_at": end[0], "end_stamp": end[1], "to_the_end": is_last}
    run(connection, _FORGET_CHECKPOINTS, **bin_names(key), **places)
    stock = standing.bin
    held = {"quantity": stock.quantity, "worth": stock.worth, "value": stock.value, "rate": stock.rate}
    lists = {"layers": write_layers(stock.layers), "shortages": write_shortages(stock.shortages)}
    batches = write_batches(standing.batches)
    run(connection, _ADD_CHECKPOINT, **bin_names(key), at=end[0], stamp=end[1], **held, **lists, batches=batches)


def forget_landed(connection: Connection, landed: Collection[tuple[BinKey, Position]]) -> None:
    """What was noted of bins from these places on, where a landed cost has come to stand, does not hold."""
    if landed:
        rows = sorted((*key, *at) for key, at in landed)
        run(connection, _FORGET_LANDED, **columns(rows, "company item warehouse effective_at stamp"))


def add_checkpoints(connection: Connection, movements: Iterable[MovementAllocated]) -> None:
    """Note what stands now in the bins in which one of these movements is one in `EVERY`."""
    bins = {
        (each.company, stamp.item, stamp.warehouse)
        for each in movements
        for stamp in each.stamps
        if not stamp.stamp % EVERY
    }
    if bins:
        run(connection, _ADD_CHECKPOINTS, **bin_columns(bins))
