"""Valuing anew: what stood in one bin from a place in its time on, and what that turned out to be worth.

The one idea: the movements of a bin are carried out once more in the order of time, on what stood there before, and
what each of its legs comes to is compared with what was told of it. The differences are corrections; nothing that was
told is changed. What goes on from there into other bins is corrected at once with it, so that every journal balances,
and these bins are to be valued anew from there on. Cancelled movements are left out, with what cancelled them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide.effects import Turn, bin_of, brought_rate, carry_out, entry_id
from services.ledger.decide.incoming import Incoming
from services.ledger.decide.naming import Named
from services.ledger.decide.state import BatchKey, BinKey, State, batches_of, originals_of, stamps_of
from services.ledger.decide.told import Told, add_up, without_zeros
from services.ledger.decide.valuation import Costs, Stock
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, to_money

Position = tuple[datetime, int]
"""A place in the time of a bin: when, and the stamp there."""

_JOINT = (Flow.MOVE, Flow.MAKE)
"""The flows in which what arrives is worth what left in other bins."""


@dataclass(slots=True)
class Standing:
    """What stands in a bin, and of each batch in it."""

    bin: Stock
    batches: dict[BatchKey, Stock] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        """Whether what follows is worth the same; what serials cost is not compared."""
        return isinstance(other, Standing) and _essence(self) == _essence(other)

    __hash__ = None  # type: ignore[assignment]  # it changes


def _essence(standing: Standing) -> tuple[object, ...]:
    bin_ = standing.bin
    batches = {key: (held.quantity, held.worth) for key, held in standing.batches.items() if held.quantity}
    return (bin_.quantity, bin_.worth, bin_.value, bin_.rate, bin_.layers, bin_.shortages, batches)


class Moment(NamedTuple):
    """A movement at its place in the time of a bin; of a landed cost that is the place of its receipt."""

    at: Position
    movement: MovementAllocated


class Correction(NamedTuple):
    """By how much a leg comes to something else than was told.

    `stamp` is that of its movement in the leg's bin `key`. `costs` are those of its serials, `rate` is what it brings
    along, from now on. `true_up`: it concerns what the leg trued up.
    """

    movement: MovementAllocated
    number: int
    key: BinKey
    stamp: int
    value: Decimal
    worth: Decimal
    booked: Mapping[str, Decimal]
    costs: Costs
    true_up: bool = False
    rate: Decimal | None = None

    @property
    def leg(self) -> Leg:
        """The leg that is corrected."""
        return self.movement.legs[self.number]


@dataclass(slots=True)
class Revaluation:
    """What came of valuing anew a piece of a bin's time.

    `end` is the last place that was reached, `standing` what stands right behind it. `agrees`: that is what was there
    before, so that what follows keeps its worth. `marks` are bins, and times from which they are to be valued anew.
    """

    end: Position
    standing: Standing
    corrections: list[Correction] = field(default_factory=list)
    marks: set[tuple[BinKey, datetime]] = field(default_factory=set)
    agrees: bool = False
    seen: int = 0


def revalue(
    key: BinKey,
    start: Position,
    standing: Standing,
    moments: Sequence[Moment],
    told: Mapping[str, Told],
    named: Mapping[str, Named],
    stops: Mapping[Position, Standing],
) -> Revaluation:
    """Carry out movements once more in one bin, behind a place where this stood there, and compare.

    `told` has what was told of all legs in the bin, and of those elsewhere on which they hang; `named` the entries that
    these movements name, and those of them that are named by others. It ends early where what stands there agrees with
    one of the `stops`, or where something arrives that may hang on what was just corrected elsewhere.
    """
    piece = Revaluation(start, standing)
    arrivals = State({}, {}, {})
    for place, moment in enumerate(moments):
        if piece.corrections and _may_come_back(key, moment.movement, piece):
            return piece
        following = moments[place + 1].movement if place + 1 < len(moments) else None
        _carry_out(key, moment, _lands(following), piece, told, named, arrivals)
        piece.end, piece.seen = moment.at, place + 1
        is_last_there = place + 1 == len(moments) or moments[place + 1].at != moment.at
        if is_last_there and moment.at in stops and stops[moment.at] == piece.standing:
            piece.agrees = True
            return piece
    return piece


def _lands(movement: MovementAllocated | None) -> bool:
    return movement is not None and _flow(movement) is Flow.LAND


def _flow(movement: MovementAllocated) -> Flow:
    return PURPOSES[movement.purpose].flow


def _may_come_back(key: BinKey, movement: MovementAllocated, piece: Revaluation) -> bool:
    """Whether a movement brings something from elsewhere, after something was corrected elsewhere."""
    if _flow(movement) not in _JOINT or not any(each.key != key for each in piece.corrections):
        return False
    here = [leg for leg in movement.legs if bin_of(movement, leg) == key]
    return any(leg.quantity > 0 for leg in here) and len(here) < len(movement.legs)


def _carry_out(
    key: BinKey,
    moment: Moment,
    is_landed_on: bool,
    piece: Revaluation,
    told: Mapping[str, Told],
    named: Mapping[str, Named],
    kept: State,
) -> None:
    movement, standing = moment.movement, piece.standing
    for batch in batches_of(movement):
        if batch[:3] == key:
            standing.batches.setdefault(batch, Stock())
    books = State({}, {key: standing.bin}, standing.batches)
    if _flow(movement) is Flow.LAND:
        books.arrivals.update(kept.arrivals)
    elif is_landed_on:
        books.arrivals[key] = []
    kept.arrivals.clear()
    kept.arrivals.update(books.arrivals)
    at = (movement.effective_at, stamps_of(movement))
    for original in originals_of(movement) if named else ():
        if original in named:
            books.originals[original] = named[original].at(*at)
    ids = {number: entry_id(movement, number) for number in _concerned(key, movement)}
    turn = carry_out(movement, books, here=key, told={n: told[each] for n, each in ids.items() if each in told})
    changed = _compare(key, moment, turn, ids, told, piece)
    _remember(key, turn, ids, named, piece, changed=changed)


def _concerned(key: BinKey, movement: MovementAllocated) -> Iterator[int]:
    """The legs in a bin; and those elsewhere, where all of them hang together."""
    together = hangs_together(movement)
    for number, leg in enumerate(movement.legs):
        if leg.corrects is None and (together or bin_of(movement, leg) == key):
            yield number


def hangs_together(movement: MovementAllocated) -> bool:
    """Whether what one leg of a movement is worth may hang on its legs in other bins."""
    flow = _flow(movement)
    return flow in _JOINT or flow is Flow.LAND or bool(movement.additional_costs)


# --- what differs -----------------------------------------------------------------------------------------------------


def _compare(
    key: BinKey, moment: Moment, turn: Turn, ids: Mapping[int, str], told: Mapping[str, Told], piece: Revaluation
) -> bool:
    """Note what differs from what was told; whether anything does."""
    movement = turn.movement
    now: dict[int, Told] = {}
    for effect in turn.effects:
        change = effect.change
        of_leg = now.setdefault(effect.number, Told())
        of_leg.add(change.value, change.worth, effect.booked, change.costs, true_up=effect.true_up is not None)
        of_leg.rate = brought_rate(turn, effect)
    found: list[Correction] = []
    for number, entry in ids.items():
        leg = movement.legs[number]
        if bin_of(movement, leg) == key:
            before = told.get(entry) or Told()
            standing = turn.books.bins[key].costs
            found += _differences(movement, number, moment.at[1], before, now.get(number) or Told(), standing)
    if _flow(movement) in _JOINT:
        stamps = stamps_of(movement)
        for each in turn.elsewhere:
            found += _fed(movement, each, stamps, told.get(ids[each.number]) or Told())
    piece.corrections += found
    piece.marks |= {(each.key, movement.effective_at) for each in found if each.key != key}
    if any(each.rate is not None for each in found):
        arriving = {bin_of(movement, leg) for leg in movement.legs if leg.arrives_from is not None}
        piece.marks |= {(each, movement.effective_at) for each in arriving - {key}}
    return bool(found)


def _differences(
    movement: MovementAllocated,
    number: int,
    stamp: int,
    before: Told,
    now: Told,
    standing: Mapping[str, Decimal | None],
) -> Iterator[Correction]:
    leg = movement.legs[number]
    key = bin_of(movement, leg)
    value = now.value - before.value
    booked = {} if leg.counted is not None else without_zeros(add_up(dict(now.booked), before.booked, -1))
    costs = _other_costs(leg, before.costs, now.costs, standing) if leg.serials else {}
    rate = _other_rate(before, now)
    if value or booked or costs or rate is not None:
        yield Correction(movement, number, key, stamp, value, now.worth - before.worth, booked, costs, rate=rate)
    value = now.true_up - before.true_up
    booked = without_zeros(add_up(dict(now.true_up_booked), before.true_up_booked, -1))
    if value or booked:
        yield Correction(movement, number, key, stamp, value, ZERO, booked, {}, true_up=True)


def _other_rate(before: Told, now: Told) -> Decimal | None:
    """The rate that goods without value bring along now, if it is another one; zero where they bring none any more."""
    rate = now.rate or ZERO
    return None if now.value or rate == (before.rate or ZERO) else rate


def _other_costs(leg: Leg, before: Costs, now: Costs, standing: Mapping[str, Decimal | None]) -> Costs:
    """What serials cost now, where that is not as it was told; what revalues them may not have touched some of them."""
    if leg.quantity:
        return now if now != before else {}
    touched = {serial: cost for serial in (*before, *now) if (cost := standing.get(serial)) is not None}
    return {serial: cost for serial, cost in touched.items() if before.get(serial) != cost}


def _fed(movement: MovementAllocated, incoming: Incoming, stamps: Mapping[BinKey, int], told: Told) -> list[Correction]:
    """How much more, or less, arrives elsewhere."""
    if not incoming.arrives:
        return []
    key = bin_of(movement, incoming.leg)
    worth = incoming.worth - told.worth
    booked = without_zeros(add_up(dict(incoming.booked), told.booked, -1))
    costs = dict(incoming.costs) if incoming.costs != told.costs else {}
    if not worth and not booked and not costs:
        return []
    value = to_money(worth, movement.digits)
    return [Correction(movement, incoming.number, key, stamps[key], value, worth, booked, costs)]


# --- what hangs on it -------------------------------------------------------------------------------------------------


def _remember(
    key: BinKey,
    turn: Turn,
    ids: Mapping[int, str],
    named: Mapping[str, Named],
    piece: Revaluation,
    *,
    changed: bool,
) -> None:
    """Keep the entries that others name as they are now; where they changed, those are to be valued anew too."""
    movement = turn.movement
    if _flow(movement) is Flow.LAND:
        for original in {leg.original or "" for leg in movement.legs if bin_of(movement, leg) == key}:
            if original in named:
                named[original].land(turn.books.originals[original])
                piece.marks |= named[original].followers()
    elif named:
        for effect in turn.effects:
            known = named.get(ids[effect.number]) if effect.true_up is None else None
            if known is not None and known.take(effect.change, effect.booked):
                piece.marks |= known.followers()
    if changed and (_flow(movement) is Flow.LAND or (movement.additional_costs and _flow(movement) not in _JOINT)):
        elsewhere = {bin_of(movement, leg) for leg in movement.legs} - {key}
        piece.marks |= {(each, movement.effective_at) for each in elsewhere}
