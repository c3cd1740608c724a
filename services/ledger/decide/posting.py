"""Posting: which movements are next, and the entries that they make.

The one idea: a bin's movements are numbered by stamps without a gap, so what may be applied now follows from the bins'
last stamps alone, and whoever applies it, in whatever set, makes the same entries.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.ledger.decide.valuation import Change, Costs, Stock, value_leg
from shared.contracts.movement import Leg, MovementAllocated
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken
from shared.identity import derived_id
from shared.purposes import Tracking
from shared.quantities import Money, Quantity

Key = tuple[str, str]
"""A movement: its source and its id there."""
BinKey = tuple[str, str, str]
"""A bin: company, item, warehouse."""
BatchKey = tuple[str, str, str, str]
"""A batch in a bin: company, item, warehouse, batch."""
Stamps = Mapping[BinKey, int]
"""The bins of a movement, and its number in each."""


@dataclass(frozen=True, slots=True)
class State:
    """Bins, with the stamp of the last movement that was applied in each, and the batches in them."""

    last_stamps: dict[BinKey, int]
    bins: dict[BinKey, Stock]
    batches: dict[BatchKey, Stock]

    def copy(self) -> "State":
        """The same state, to be changed without changing this one."""
        bins = {key: stock.copy() for key, stock in self.bins.items()}
        batches = {key: stock.copy() for key, stock in self.batches.items()}
        return State(dict(self.last_stamps), bins, batches)


@dataclass(frozen=True, slots=True)
class Entry:
    """A stock ledger entry: what is told of it, its place in the movement, its exact worth, its serials' costs."""

    posted: PostedEntry
    ordinal: int
    worth: Decimal
    costs: Costs


@dataclass(frozen=True, slots=True)
class Applied:
    """A movement with its entries and what is told of it."""

    movement: MovementAllocated
    entries: Sequence[Entry]
    posted: MovementPosted


@dataclass(frozen=True, slots=True)
class Posting:
    """What became of movements: each as it was applied, the bins that advanced, and the state after all of them."""

    applied: Sequence[Applied]
    advanced: Sequence[BinKey]
    state: State


def post(movements: Sequence[MovementAllocated], state: State) -> Posting:
    """Apply movements in the given order (that of `in_order`) to a state that holds all their bins and batches.

    InvariantBroken where one is not next in all of its bins, or touches a bin in which it has no stamp.
    """
    books = state.copy()
    applied = [_apply(movement, books) for movement in movements]
    advanced = [key for key, stamp in books.last_stamps.items() if stamp != state.last_stamps[key]]
    return Posting(applied, advanced, books)


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


def stamps_of(movement: MovementAllocated) -> dict[BinKey, int]:
    """A movement's bins and its number in each."""
    return {(movement.company, each.item, each.warehouse): each.stamp for each in movement.stamps}


def batches_of(movement: MovementAllocated) -> list[BatchKey]:
    """The batches in bins that a movement changes; none for untracked items and serials."""
    company = movement.company
    return [(company, leg.item, leg.warehouse, leg.batch or "") for leg in movement.legs if _has_batches(leg)]


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


def _apply(movement: MovementAllocated, books: State) -> Applied:
    stamps = stamps_of(movement)
    for bin_key, stamp in stamps.items():
        if books.last_stamps[bin_key] != stamp - 1:
            raise InvariantBroken("a movement is applied out of order", movement=movement.id, bin=bin_key, stamp=stamp)
        books.last_stamps[bin_key] = stamp
    changes: list[Change] = []
    entries = [_post_leg(movement, leg, stamps, changes, books) for leg in movement.legs]
    return Applied(movement, entries, _posted(movement, entries))


def _post_leg(movement: MovementAllocated, leg: Leg, stamps: Stamps, changes: list[Change], books: State) -> Entry:
    """The entry of the next leg; its change joins `changes`, those of the legs before it."""
    bin_key = (movement.company, leg.item, leg.warehouse)
    stamp = stamps.get(bin_key)
    if stamp is None:
        raise InvariantBroken("a leg has no stamp in its bin", movement=movement.id, line=leg.line, bin=bin_key)
    bin_ = books.bins[bin_key]
    batch = books.batches[(*bin_key, leg.batch or "")] if _has_batches(leg) else None
    left = None if leg.arrives_from is None else changes[leg.arrives_from]
    change = value_leg(leg, bin_, batch, left, movement.digits)
    ordinal = len(changes)
    changes.append(change)
    entry_id = derived_id(movement.recorded_at, movement.source, movement.id, str(ordinal))
    posted = PostedEntry(
        entry=str(entry_id),
        line=leg.line,
        item=leg.item,
        warehouse=leg.warehouse,
        batch=leg.batch,
        serials=leg.serials,
        quantity=leg.quantity,
        value=Money(change.value),
        stamp=stamp,
        quantity_after=Quantity(bin_.quantity),
        value_after=Money(bin_.value),
        arrives_from=leg.arrives_from,
        stock_account=leg.stock_account,
    )
    return Entry(posted, ordinal, change.worth, change.costs)


def _has_batches(leg: Leg) -> bool:
    return leg.tracking is Tracking.BATCH


def _posted(movement: MovementAllocated, entries: Sequence[Entry]) -> MovementPosted:
    return MovementPosted(
        source=movement.source,
        id=movement.id,
        company=movement.company,
        currency=movement.currency,
        digits=movement.digits,
        perpetual=movement.perpetual,
        purpose=movement.purpose,
        effective_at=movement.effective_at,
        recorded_at=movement.recorded_at,
        posting_date=movement.posting_date,
        document=movement.document,
        customer=movement.customer,
        supplier=movement.supplier,
        entries=[entry.posted for entry in entries],
        accounts=movement.accounts,
        money=movement.money,
        trace=movement.trace,
    )
