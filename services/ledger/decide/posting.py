"""Posting: which movements are next, and what becomes of them.

The one idea: a bin's movements are numbered by stamps without a gap, so what may be applied now follows from the bins'
last stamps alone, and whoever applies it, in whatever set, makes the same entries.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.ledger.decide.corrections import found_later
from services.ledger.decide.entries import Applied, apply
from services.ledger.decide.state import BatchKey, BinKey, Key, Stamps, State, batches_of, bins_of, stamps_of
from shared.contracts.movement import MovementAllocated
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.errors import InvariantBroken

__all__ = [
    "Applied",
    "BatchKey",
    "BinKey",
    "Key",
    "Mark",
    "Posting",
    "Stamps",
    "State",
    "batches_of",
    "in_order",
    "post",
    "stamps_of",
    "try_out",
]


class Mark(NamedTuple):
    """A bin is to be valued anew from a time on, because of something that was recorded then.

    `moved`: goods came or went in it, which stands as if they had done so now. What changes of days before `open_from`
    is dated `dated_at`; None: it reaches none of them.
    """

    key: BinKey
    from_at: datetime
    recorded_at: datetime
    moved: bool
    open_from: date | None = None
    dated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Posting:
    """What became of movements: each as it was applied, the bins that advanced, and the state after all of them.

    `marks` are the bins in which something takes effect before what stands there already, `found_later` what later
    counts find because of that.
    """

    applied: Sequence[Applied]
    advanced: Sequence[BinKey]
    state: State
    marks: Sequence[Mark] = ()
    found_later: Sequence[StockRevalued] = ()


def post(movements: Sequence[MovementAllocated], state: State) -> Posting:
    """Apply movements in the given order (that of `in_order`) to a state that holds all that they need.

    InvariantBroken where one is not next in all of its bins, touches a bin in which it has no stamp, names an entry
    that is not posted, or counts from another quantity than what stands there.
    """
    books = state.copy()
    applied: list[Applied] = []
    marks: dict[Mark, None] = {}
    for movement in movements:
        applied.append(_apply_next(movement, books))
        marks |= dict.fromkeys(_marks(applied[-1]))
        _remember_latest(movement, books.latest)
    advanced = [key for key, stamp in books.last_stamps.items() if stamp != state.last_stamps[key]]
    return Posting(applied, advanced, books, list(marks), found_later(applied, books))


def try_out(movement: MovementAllocated, state: State) -> MovementPosted:
    """What would be told of a dry run if it were applied now, whatever its stamps, to a state that has all its bins.

    There is an outcome even where the state is not the one that it was accepted on.
    """
    return apply(movement, stamps_of(movement), state.copy()).posted


def in_order(stamps: Mapping[Key, Stamps], last_stamps: Stamps) -> list[Key]:
    """The movements that can be applied one after another, in such an order; `last_stamps` has all their bins.

    Counts for each movement the bins in which it is not yet next, so that the time grows with the number of stamps.
    InvariantBroken where a stamp was taken before, or two movements have the same one.
    """
    standing = _standing(stamps)
    lacking = {key: _lacking(key, own, last_stamps) for key, own in stamps.items()}
    ready = deque(key for key, count in lacking.items() if count == 0)
    order = []
    while ready:
        key = ready.popleft()
        order.append(key)
        for bin_key, stamp in stamps[key].items():
            follower = standing.get((bin_key, stamp + 1))
            if follower is not None:
                lacking[follower] -= 1
                if lacking[follower] == 0:
                    ready.append(follower)
    return order


def _standing(stamps: Mapping[Key, Stamps]) -> dict[tuple[BinKey, int], Key]:
    standing: dict[tuple[BinKey, int], Key] = {}
    for key, own in stamps.items():
        for place in own.items():
            other = standing.setdefault(place, key)
            if other != key:
                raise InvariantBroken("two movements have one stamp", bin=place[0], stamp=place[1], one=other, two=key)
    return standing


def _lacking(key: Key, stamps: Stamps, last_stamps: Stamps) -> int:
    """In how many of its bins a movement is not yet next."""
    lacking = 0
    for bin_key, stamp in stamps.items():
        last = last_stamps[bin_key]
        if last >= stamp:
            raise InvariantBroken("a stamp was taken before", movement=key, bin=bin_key, stamp=stamp, last=last)
        lacking += stamp != last + 1
    return lacking


def _apply_next(movement: MovementAllocated, books: State) -> Applied:
    stamps = stamps_of(movement)
    for bin_key, stamp in stamps.items():
        if books.last_stamps[bin_key] != stamp - 1:
            raise InvariantBroken("a movement is applied out of order", movement=movement.id, bin=bin_key, stamp=stamp)
        books.last_stamps[bin_key] = stamp
    return apply(movement, stamps, books)


def _marks(applied: Applied) -> Iterator[Mark]:
    """The bins in which a movement takes effect before something else."""
    movement = applied.movement
    open_from = movement.open_from if movement.dated_at is not None else None
    for key in sorted(applied.late):
        yield Mark(key, movement.effective_at, movement.recorded_at, True, open_from, movement.dated_at)


def _remember_latest(movement: MovementAllocated, latest: dict[BinKey, datetime]) -> None:
    for key in bins_of(movement):
        if key in latest:
            latest[key] = max(latest[key], movement.effective_at)
