"""What the legs of a movement do to stock: first what leaves, then all else, each leg's behind what it trues up.

The one idea: a movement is carried out on the books as they are, leg by leg, and each effect is told as its bin stands
right behind it. Nothing is refused here: whatever was accepted has its effects. Where something is valued anew, only
the legs in one bin are carried out again; what is elsewhere is taken as it was told.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide import changes
from services.ledger.decide.changes import Change, Place, TrueUp, place_of
from services.ledger.decide.incoming import Incoming, fix
from services.ledger.decide.originals import Original
from services.ledger.decide.state import BinKey, State, landed_on_by
from services.ledger.decide.told import Booked, Told, add_up
from services.ledger.decide.valuation import Arrival
from shared.contracts.movement import Leg, MovementAllocated
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id
from shared.purposes import PURPOSES, Flow, Purpose, Role, Tracking
from shared.quantities import ZERO, to_money


class Effect(NamedTuple):
    """What a leg changed, and what of that is booked apart.

    `true_up` numbers those that only true up what was issued beyond stock, before the leg's own.
    """

    number: int
    change: Change
    booked: Booked
    true_up: int | None = None


@dataclass(slots=True)
class Turn:
    """A movement while it is carried out: its effects so far, and by the places of its legs what these changed.

    `here` is the only bin in which it is; None: it is everywhere. `told` is what is known of legs elsewhere. `late` are
    the bins that hold already what takes effect after it. `elsewhere` are the legs elsewhere that do not leave, with
    what they are worth now.
    """

    movement: MovementAllocated
    purpose: Purpose
    books: State
    here: BinKey | None = None
    told: Mapping[int, Told] = field(default_factory=dict)
    late: Collection[BinKey] = ()
    effects: list[Effect] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    elsewhere: list[Incoming] = field(default_factory=list)


def carry_out(
    movement: MovementAllocated, books: State, *, here: BinKey | None = None, told: Mapping[int, Told] | None = None
) -> Turn:
    """Carry out a movement on books that hold all that it needs, and change them.

    InvariantBroken where it names an entry that is not posted, or counts from another quantity than what stands there.
    A dry run may do all of that: it is tried on whatever is there.
    """
    turn = Turn(movement, purpose_of(movement), books, here, told or {}, late_bins(movement, books))
    if movement.mirrors is not None:
        for number, leg in enumerate(movement.legs):
            _undo(turn, number, leg)
        return turn
    _forget_arrivals(turn)
    others: list[int] = []
    for number, leg in enumerate(movement.legs):
        if leg.quantity < 0 and leg.counted is None and leg.corrects is None:
            _take_out(turn, number, leg)
        else:
            others.append(number)
    if others:
        _bring_in(turn, others)
    return turn


def purpose_of(movement: MovementAllocated) -> Purpose:
    """What a movement is for; of a cancellation, what that was for which it cancels."""
    name = movement.mirrors or movement.purpose
    purpose = PURPOSES.get(name)
    if purpose is None:
        raise Unprocessable("no such purpose", "unknown_purpose", purpose=name)
    return purpose


def entry_id(movement: MovementAllocated, number: int) -> str:
    """The id of the entry that a leg makes."""
    return derived_id(movement.recorded_at, movement.source, movement.id, str(number))


def bin_of(movement: MovementAllocated, leg: Leg) -> BinKey:
    """The bin in which a leg works."""
    return (movement.company, leg.item, leg.warehouse)


def account_of(movement: MovementAllocated, role: Role) -> str:
    """The account of a role; one that the movement does not name has the role's own name."""
    return movement.accounts.get(role, role.value)


def late_bins(movement: MovementAllocated, books: State) -> set[BinKey]:
    """The bins that hold already what takes effect after a movement; none where everything comes in the order of time.

    A cancellation always comes after something, a landed cost where more than arrivals came after its receipt.
    """
    keys = {key for leg in movement.legs if (key := bin_of(movement, leg)) in books.latest}
    if movement.mirrors is not None:
        return keys
    if purpose_of(movement).flow is Flow.LAND:
        landed = [(key, entry) for key, entry in landed_on_by(movement) if key in keys]
        return {key for key, entry in landed if not changes.arrivals_since(books.arrivals.get(key, []), entry)}
    return {key for key in keys if movement.effective_at < books.latest[key]}


def brought_rate(turn: Turn, effect: Effect) -> Decimal | None:
    """The rate that goods bring along which leave for another bin and are too cheap to have a value."""
    leaves = turn.purpose.flow is Flow.MOVE and effect.change.quantity < 0 and turn.movement.mirrors is None
    return effect.change.rate if leaves and not effect.change.value else None


def _forget_arrivals(turn: Turn) -> None:
    """What came in before a movement stands no longer by itself; what comes at the last known rate hangs on it."""
    if turn.books.arrivals and turn.purpose.flow is not Flow.LAND:
        for leg in turn.movement.legs:
            key = bin_of(turn.movement, leg)
            if key in turn.books.latest and key in turn.books.arrivals:
                turn.books.arrivals[key].clear()


# --- what leaves -----------------------------------------------------------------------------------------------------


def _take_out(turn: Turn, number: int, leg: Leg) -> None:
    place = _place(turn, leg)
    if place is None:
        told = turn.told.get(number) or Told()
        if (elsewhere := turn.books.originals.get(leg.original or "")) is not None:
            elsewhere.send_back(-leg.quantity, turn.movement.digits)  # what goes back with it takes the part behind it
        turn.changes[number] = Change(leg.quantity, told.worth, told.value, told.costs, ZERO, ZERO, told.rate)
        return
    original = _original(turn, leg)
    if changes.is_short(leg, place):
        account = account_of(turn.movement, turn.purpose.true_up)
        change = changes.leave_beyond(leg, place, account, entry_id(turn.movement, number))
    else:
        change = changes.leave(leg, place, original)
    booked: Booked = {}
    if original is not None:
        gap = change.value + original.send_back(-leg.quantity, turn.movement.digits)
        booked = {account_of(turn.movement, turn.purpose.gap): gap}
    turn.changes[number] = change
    _note(turn, number, change, booked)


# --- all else --------------------------------------------------------------------------------------------------------


def _bring_in(turn: Turn, numbers: Sequence[int]) -> None:
    legs = turn.movement.legs
    consumed = -sum((change.value for change in turn.changes.values()), ZERO)
    incoming = [_incoming(turn, number, legs[number]) for number in numbers if legs[number].corrects is None]
    fix(turn.movement, turn.purpose.flow, consumed, incoming)
    for each in incoming:
        if each.place is None:
            turn.elsewhere.append(each)
        elif each.arrives:
            _put_in(turn, each, each.place)
        elif each.leg.counted is not None:
            _count(turn, each, each.place)
        elif each.leg.original is not None:
            _land(turn, each, each.place)
        else:
            _write_down(turn, each, each.place)
    for number in numbers:
        if legs[number].corrects is not None and turn.here is None:
            _correct_count(turn, number, legs[number])


def _incoming(turn: Turn, number: int, leg: Leg) -> Incoming:
    left = None if leg.arrives_from is None else turn.changes[leg.arrives_from]
    place = _place(turn, leg)
    needed = place is not None or turn.purpose.flow is Flow.LAND
    original = _original(turn, leg) if needed else turn.books.originals.get(leg.original or "")
    return Incoming(number, leg, place, left, original, turn.told.get(number))


def _put_in(turn: Turn, incoming: Incoming, place: Place) -> None:
    leg, worth = incoming.leg, incoming.worth
    covered = None
    if place.stock.quantity < 0:
        covered = changes.cover(place, leg.quantity, worth, account_of(turn.movement, Role.STOCK_ADJUSTMENT))
        _true_up(turn, incoming.number, covered.true_ups)
    change = changes.arrive(leg, place, worth, incoming.costs, covered, incoming.left)
    _note(turn, incoming.number, change, incoming.booked)
    arrivals = turn.books.arrivals.get(place.key)
    if arrivals is not None and place.key not in turn.late:
        arrivals.append(Arrival(entry_id(turn.movement, incoming.number), leg.quantity, change.worth))


def _true_up(turn: Turn, number: int, true_ups: Sequence[TrueUp]) -> None:
    """Effects, of the movement that covers it, on what was worth something else."""
    for k, each in enumerate(true_ups):
        if each.change.value:
            turn.effects.append(Effect(number, each.change, {each.account: each.change.value}, k))


def _count(turn: Turn, incoming: Incoming, place: Place) -> None:
    leg = incoming.leg
    if place.key in turn.late:
        if leg.quantity:
            amount = to_money(changes.last_rate(leg, place.bin) * leg.quantity, place.digits)
            _note(turn, incoming.number, _shift(turn, leg, place, amount, {}), {})
        return
    if turn.here is None and turn.movement.trial is None:
        fits = leg.tracking is Tracking.SERIAL or place.stock.quantity + leg.quantity == leg.counted
        if not fits:
            facts = {"line": leg.line, "counted": leg.counted, "before": place.stock.quantity}
            raise InvariantBroken(
                "a count differs from what stands there by another quantity", movement=turn.movement.id, **facts
            )
    change = changes.count(leg, place, incoming.worth)
    if change is not None:
        _note(turn, incoming.number, change, {})


def _write_down(turn: Turn, incoming: Incoming, place: Place) -> None:
    """One that is late waits until what stood there then is valued anew."""
    change = None if place.key in turn.late else changes.write_down(incoming.leg, place)
    if change is not None:
        _note(turn, incoming.number, change, {})


def _land(turn: Turn, incoming: Incoming, place: Place) -> None:
    leg, key, original = incoming.leg, place.key, incoming.leg.original or ""
    if key in turn.late:
        place.owe(incoming.worth)
        value_after = place.bin.value + place.bin.pending
        change = Change(ZERO, incoming.worth, incoming.worth, {}, place.bin.quantity, value_after)
    else:
        arrivals = turn.books.arrivals.get(key, [])
        came = changes.arrivals_since(arrivals, original)
        change = changes.land(leg, place, incoming.worth, incoming.original, came)
        if came:
            first = came[0]
            arrivals[-len(came)] = Arrival(first.entry, first.quantity, first.worth + change.worth)
    if incoming.original is not None:
        incoming.original.correct(change.value, change.worth)
    booked = dict(incoming.booked)
    if gap := to_money(change.worth - incoming.worth, turn.movement.digits):
        add_up(booked, {account_of(turn.movement, Role.STOCK_ADJUSTMENT): gap})
    _note(turn, incoming.number, change, booked)


# --- what changes what was posted before -----------------------------------------------------------------------------


def _undo(turn: Turn, number: int, leg: Leg) -> None:
    """The reverse of all that is told of a leg; a later count finds the other way round what is undone before it."""
    if leg.corrects is not None:
        _correct_count(turn, number, leg)
        return
    place = _place(turn, leg)
    if place is None:
        return
    told = turn.books.told.get(leg.original or "") or Told()
    change = _shift(turn, leg, place, -(told.value + told.true_up), told.costs)
    _note(turn, number, change, add_up({}, told.whole_booked, -1))


def _correct_count(turn: Turn, number: int, leg: Leg) -> None:
    """What a later count finds more, or less, of: it is worth what its bin says now, until it is valued anew."""
    place = _place(turn, leg)
    if place is None or leg.corrects is None:
        return
    rate = changes.last_rate(leg, place.bin)
    value = to_money(rate * leg.quantity, place.digits)
    _note(turn, number, _shift(turn, leg, place, value, {}), {leg.corrects.account: value})


def _shift(turn: Turn, leg: Leg, place: Place, value: Decimal, costs: Mapping[str, Decimal]) -> Change:
    return changes.shift(leg, place, value, costs, account_of(turn.movement, Role.STOCK_ADJUSTMENT))


# --- what all of them need -------------------------------------------------------------------------------------------


def _place(turn: Turn, leg: Leg) -> Place | None:
    """Where a leg works; None where that is elsewhere."""
    key = bin_of(turn.movement, leg)
    return place_of(leg, key, turn.books, turn.movement.digits) if turn.here is None or key == turn.here else None


def _original(turn: Turn, leg: Leg) -> Original | None:
    """The entry that a leg names; a dry run may name one that is not posted yet, of which nothing is known."""
    if leg.original is None:
        return None
    original = turn.books.originals.get(leg.original)
    if original is None and turn.movement.trial is None:
        facts = {"movement": turn.movement.id, "line": leg.line, "entry": leg.original}
        raise InvariantBroken("a leg names an entry that is not posted", **facts)
    return original


def _note(turn: Turn, number: int, change: Change, booked: Booked) -> None:
    """A leg's own effect; who names its entry later, in the same set, finds it."""
    turn.effects.append(Effect(number, change, booked))
    originals = turn.books.originals
    if originals and (entry := entry_id(turn.movement, number)) in originals:
        originals[entry] = Original(
            abs(change.quantity),
            change.value,
            change.worth,
            sum(booked.values(), ZERO),
            sum(change.costs.values(), ZERO),
            change.costs,
        )
