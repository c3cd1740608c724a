"""A movement's entries: first of what leaves, then of all else, each leg's behind those of what it trues up.

The one idea: a movement is applied to the books as they are, leg by leg, and every entry is told as its bin stands
right behind it. Nothing is refused here: whatever was accepted has its entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide import changes
from services.ledger.decide.changes import Change, Place, TrueUp, place_of
from services.ledger.decide.incoming import Incoming, fix
from services.ledger.decide.originals import Original
from services.ledger.decide.state import BinKey, Stamps, State
from services.ledger.decide.valuation import Arrival, Costs
from shared.contracts.movement import AccountAmount, Leg, MovementAllocated
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id
from shared.purposes import PURPOSES, Purpose, Role, Tracking
from shared.quantities import ZERO, Money, Quantity, to_money

Booked = Mapping[str, Decimal]
"""What goes to which other accounts than the purpose's own."""


class Entry(NamedTuple):
    """A stock ledger entry: what is told of it, its place in the movement, its exact worth, its serials' costs."""

    posted: PostedEntry
    ordinal: int
    worth: Decimal
    costs: Costs


class Applied(NamedTuple):
    """A movement with its entries and what is told of it."""

    movement: MovementAllocated
    entries: Sequence[Entry]
    posted: MovementPosted


@dataclass(slots=True)
class _Turn:
    """A movement while it is applied: its entries so far, and by the places of its legs what these changed and made."""

    movement: MovementAllocated
    purpose: Purpose
    stamps: Stamps
    books: State
    entries: list[Entry] = field(default_factory=list)
    changes: dict[int, Change] = field(default_factory=dict)
    made: dict[int, int] = field(default_factory=dict)


def apply(movement: MovementAllocated, stamps: Stamps, books: State) -> Applied:
    """Apply a movement, which has these stamps, to books that hold all that it needs, and change them.

    InvariantBroken where it touches a bin in which it has no stamp, names an entry that is not posted, or counts from
    another quantity than what stands there. A dry run may do all of that: it is tried on whatever is there.
    """
    purpose = PURPOSES.get(movement.purpose)
    if purpose is None:
        raise Unprocessable("no such purpose", "unknown_purpose", purpose=movement.purpose)
    turn = _Turn(movement, purpose, stamps, books)
    others: list[int] = []
    for number, leg in enumerate(movement.legs):
        if leg.quantity < 0 and leg.counted is None:
            _take_out(turn, number, leg)
        else:
            others.append(number)
    if others:
        _bring_in(turn, others)
    return Applied(movement, turn.entries, _posted(movement, turn.entries))


# --- what leaves -----------------------------------------------------------------------------------------------------


def _take_out(turn: _Turn, number: int, leg: Leg) -> None:
    original = _original(turn, leg)
    place = _place(turn, leg)
    entry = _entry_id(turn.movement, str(number))
    if changes.is_short(leg, place):
        change = changes.leave_beyond(leg, place, _account(turn.movement, turn.purpose.true_up), entry)
    else:
        change = changes.leave(leg, place, original)
    booked: Booked = {}
    if original is not None:
        gap = change.value + original.send_back(-leg.quantity, turn.movement.digits)
        booked = {_account(turn.movement, turn.purpose.gap): gap}
    turn.changes[number] = change
    turn.made[number] = len(turn.entries)
    _add_entry(turn, leg, place.key, entry, change, booked)


# --- all else --------------------------------------------------------------------------------------------------------


def _bring_in(turn: _Turn, numbers: Sequence[int]) -> None:
    legs = turn.movement.legs
    consumed = -sum((entry.posted.value for entry in turn.entries), ZERO)
    incoming = [_incoming(turn, legs[number]) for number in numbers]
    fix(turn.movement, turn.purpose.flow, consumed, incoming)
    for number, each in zip(numbers, incoming, strict=True):
        if each.arrives:
            _put_in(turn, number, each)
        elif each.leg.counted is not None:
            _count(turn, number, each)
        elif each.leg.original is not None:
            _land(turn, number, each)
        else:
            _write_down(turn, number, each)


def _incoming(turn: _Turn, leg: Leg) -> Incoming:
    left = None if leg.arrives_from is None else turn.changes[leg.arrives_from]
    return Incoming(leg, _place(turn, leg), left, _original(turn, leg))


def _put_in(turn: _Turn, number: int, incoming: Incoming) -> None:
    leg, place, worth = incoming.leg, incoming.place, incoming.worth
    covered = None
    if place.stock.quantity < 0:
        covered = changes.cover(place, leg.quantity, worth, _account(turn.movement, Role.STOCK_ADJUSTMENT))
        _true_up(turn, number, incoming, covered.true_ups)
    change = changes.arrive(leg, place, worth, incoming.costs, incoming.left, covered)
    entry = _entry_id(turn.movement, str(number))
    _add_entry(turn, leg, place.key, entry, change, incoming.booked)
    arrivals = turn.books.arrivals.get(place.key)
    if arrivals is not None:
        arrivals.append(Arrival(entry, leg.quantity, change.worth))


def _true_up(turn: _Turn, number: int, incoming: Incoming, true_ups: Sequence[TrueUp]) -> None:
    """Entries, of the movement that covers it, for what was worth something else."""
    for k, each in enumerate(true_ups):
        if each.change.value:
            entry = _entry_id(turn.movement, f"{number}.{k}")
            booked = {each.account: each.change.value}
            _add_entry(turn, incoming.leg, incoming.place.key, entry, each.change, booked, trues_up=True)


def _count(turn: _Turn, number: int, incoming: Incoming) -> None:
    leg, stock = incoming.leg, incoming.place.stock
    fits = leg.tracking is Tracking.SERIAL or stock.quantity + leg.quantity == leg.counted
    if not fits and turn.movement.trial is None:
        facts = {"movement": turn.movement.id, "line": leg.line, "counted": leg.counted, "before": stock.quantity}
        raise InvariantBroken("a count differs from what stands there by another quantity", **facts)
    change = changes.count(leg, incoming.place, incoming.worth)
    if change is not None:
        _add_entry(turn, leg, incoming.place.key, _entry_id(turn.movement, str(number)), change, {})


def _write_down(turn: _Turn, number: int, incoming: Incoming) -> None:
    change = changes.write_down(incoming.leg, incoming.place)
    if change is not None:
        _add_entry(turn, incoming.leg, incoming.place.key, _entry_id(turn.movement, str(number)), change, {})


def _land(turn: _Turn, number: int, incoming: Incoming) -> None:
    leg, key, original = incoming.leg, incoming.place.key, incoming.leg.original or ""
    arrivals = turn.books.arrivals.get(key, [])
    came = changes.arrivals_since(arrivals, original)
    change = changes.land(leg, incoming.place, incoming.worth, incoming.original, came)
    if came:
        first = came[0]
        arrivals[-len(came)] = Arrival(first.entry, first.quantity, first.worth + change.worth)
    if incoming.original is not None:
        incoming.original.correct(change.value, change.worth)
    booked = dict(incoming.booked)
    if gap := to_money(change.worth - incoming.worth, turn.movement.digits):
        adjustment = _account(turn.movement, Role.STOCK_ADJUSTMENT)
        booked[adjustment] = booked.get(adjustment, ZERO) + gap
    _add_entry(turn, leg, key, _entry_id(turn.movement, str(number)), change, booked)


# --- what all of them need -------------------------------------------------------------------------------------------


def _place(turn: _Turn, leg: Leg) -> Place:
    movement = turn.movement
    key = (movement.company, leg.item, leg.warehouse)
    if key not in turn.stamps and movement.trial is None:
        raise InvariantBroken("a leg has no stamp in its bin", movement=movement.id, line=leg.line, bin=key)
    return place_of(leg, key, turn.books, movement.digits)


def _original(turn: _Turn, leg: Leg) -> Original | None:
    """The entry that a leg names; a dry run may name one that is not posted yet, of which nothing is known."""
    if leg.original is None:
        return None
    original = turn.books.originals.get(leg.original)
    if original is None and turn.movement.trial is None:
        facts = {"movement": turn.movement.id, "line": leg.line, "entry": leg.original}
        raise InvariantBroken("a leg names an entry that is not posted", **facts)
    return original


def _account(movement: MovementAllocated, role: Role) -> str:
    """The account of a role; one that the movement does not name has the role's own name."""
    return movement.accounts.get(role, role.value)


def _entry_id(movement: MovementAllocated, place: str) -> str:
    return str(derived_id(movement.recorded_at, movement.source, movement.id, place))


def _add_entry(
    turn: _Turn, leg: Leg, key: BinKey, entry: str, change: Change, booked: Booked, *, trues_up: bool = False
) -> None:
    """Add an entry; one that trues up takes no more from the leg than where it arrives."""
    stamp = turn.stamps.get(key)
    posted = PostedEntry(
        entry=entry,
        line=leg.line,
        item=leg.item,
        warehouse=leg.warehouse,
        batch=leg.batch,
        serials=[] if trues_up else leg.serials,
        quantity=leg.quantity if change.quantity is leg.quantity else Quantity(change.quantity),
        value=Money(change.value),
        stamp=turn.books.last_stamps[key] + 1 if stamp is None else stamp,
        quantity_after=Quantity(change.quantity_after),
        value_after=Money(change.value_after),
        arrives_from=None if trues_up or leg.arrives_from is None else turn.made[leg.arrives_from],
        booked=_parts(booked) if booked else [],
        original=None if trues_up else leg.original,
        stock_account=leg.stock_account,
    )
    turn.entries.append(Entry(posted, len(turn.entries), change.worth, change.costs))
    if entry in turn.books.originals:
        turn.books.originals[entry] = _as_original(turn.entries[-1])


def _parts(booked: Booked) -> list[AccountAmount]:
    return [AccountAmount(account=account, amount=Money(part)) for account, part in booked.items() if part]


def _as_original(entry: Entry) -> Original:
    """What a movement needs that names this entry later."""
    posted = entry.posted
    booked = sum((part.amount for part in posted.booked), ZERO)
    cost = sum(entry.costs.values(), ZERO)
    return Original(abs(posted.quantity), posted.value, entry.worth, booked, cost, entry.costs)


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
        trial=movement.trial,
        trace=movement.trace,
    )
