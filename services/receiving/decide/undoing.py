"""Undoing a movement: what its cancellation changes, and what of what happened since speaks against it.

Each of its legs is undone by one in the same place: what left comes back to where it stood, what came leaves. For what
happened since it is as if the movement had never been, so quantities may not go below zero from its moment on, up to
the next count, which finds what it found; and a unit goes back only by its last event.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from services.receiving.decide.case import Request, SerialEvent
from services.receiving.decide.histories import History, Passages, record_without
from services.receiving.decide.lines import QUANTITY_LIMIT
from services.receiving.decide.originals import bins_of, legs_with_entries
from services.receiving.decide.stock import (
    NEVER,
    BatchKey,
    BatchStock,
    Bin,
    BinKey,
    Draft,
    Entered,
    Item,
    Returned,
    Serial,
    SerialKey,
    Stock,
)
from services.receiving.decide.timeline import (
    Outlook,
    Place,
    correcting_legs,
    effects_of,
    first_legs,
    place_of,
)
from shared.contracts.movement import BinStamp, Leg, MoneySides, MovementAllocated
from shared.contracts.outcome import Remark
from shared.errors import Reason
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO, Quantity, plain


class Event(NamedTuple):
    """Where something stands in the time of a bin."""

    at: datetime
    stamp: int


class Arrival(NamedTuple):
    """What came to a batch in a warehouse, or left it, at a place in the time of that bin and by which line first.

    `part` is as of a `Change`.
    """

    at: datetime
    stamp: int
    part: int
    line: int
    warehouse: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Traces:
    """What a movement left behind, and what came after it.

    `outlooks` are those of its places right behind it; `found` is how much its counts found more than was thought, in
    all. `counts` are the last counts of its bins, its own left out. `histories` are those of its units, `passages` how
    these went by their movements. `batches` is what happened to its batches anywhere, its own doing left out.
    `arrivals`, of bins in which no rate was known before it, are when anything else came first since, if it did.
    """

    outlooks: Mapping[Place, Outlook] = field(default_factory=dict)
    found: Mapping[Place, Decimal] = field(default_factory=dict)
    counts: Mapping[BinKey, Event] = field(default_factory=dict)
    histories: Mapping[SerialKey, History] = field(default_factory=dict)
    passages: Passages = field(default_factory=lambda: Passages({}))
    batches: Mapping[BatchKey, Sequence[Arrival]] = field(default_factory=dict)
    arrivals: Mapping[BinKey, datetime | None] = field(default_factory=dict)


@dataclass(slots=True)
class Undoing:
    """A movement while it is undone: the draft of what that changes, and every reason against it."""

    request: Request
    original: MovementAllocated
    traces: Traces
    draft: Draft
    legs: list[Leg] = field(default_factory=list)
    stamps: list[BinStamp] = field(default_factory=list)
    recorded_at: datetime = NEVER
    events: list[SerialEvent] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    def refuse(self, code: str, line: int, **facts: str) -> None:
        """Note a reason against the cancellation."""
        self.reasons.append(Reason(code, line, facts))

    def bin_key(self, leg: Leg) -> BinKey:
        """The bin of a leg."""
        return (self.original.company, leg.item, leg.warehouse)

    def bin(self, key: BinKey) -> Bin:
        """A bin as it stands within this cancellation."""
        return self.draft.bins.get(key) or Bin()

    def item(self, leg: Leg) -> Item | None:
        """The item of a leg."""
        return self.draft.stock.items.get((self.original.company, leg.item))


def undo(request: Request, original: MovementAllocated, traces: Traces, stock: Stock, now: datetime) -> Undoing:
    """Undo a movement in a draft; where a reason was noted, that is worth nothing."""
    undoing = Undoing(request, original, traces, Draft(stock))
    own = _undone_legs(original, traces.found)
    effects = effects_of(original.company, own)
    undoing.legs = [*own, *correcting_legs(effects, traces.outlooks, first_legs(original.company, own))]
    _refuse_shortages(undoing, effects)
    _refuse_moved_serials(undoing)
    _change_quantities(undoing)
    _change_serials(undoing)
    _change_batches(undoing)
    _give_back_returned(undoing)
    _stamp(undoing, now)
    return undoing


def mirrored_money(money: MoneySides | None) -> MoneySides | None:
    """The money of a movement, given back."""
    return None if money is None else MoneySides(debits=money.credits, credits=money.debits)


def _undone_legs(original: MovementAllocated, found: Mapping[Place, Decimal]) -> list[Leg]:
    """The legs the other way round, of a count with all that it found; not those by which later counts found less."""
    return [
        Leg(
            line=leg.line,
            item=leg.item,
            warehouse=leg.warehouse,
            quantity=Quantity(-_moved(original.company, leg, found)),
            batch=leg.batch,
            serials=leg.serials,
            arrives_from=leg.arrives_from,
            original=entry,
            tracking=leg.tracking,
            method=leg.method,
            stock_account=leg.stock_account,
        )
        for entry, leg in legs_with_entries(original)
    ]


def _moved(company: str, leg: Leg, found: Mapping[Place, Decimal]) -> Decimal:
    """What a leg came to; of a count also what it found later on."""
    place = place_of(company, leg)
    if leg.counted is None or place is None:
        return leg.quantity
    return found.get(place, leg.quantity)


# --- what speaks against it -------------------------------------------------------------------------------------------


def _refuse_shortages(undoing: Undoing, effects: Mapping[Place, Decimal]) -> None:
    """What leaves was there, and is not needed, from the movement's moment on."""
    first = first_legs(undoing.original.company, undoing.legs)
    for place, quantity in effects.items():
        if quantity >= ZERO:
            continue
        outlook = undoing.traces.outlooks[place]
        available = outlook.least if outlook.count is not None else min(outlook.least, _free_today(undoing, place))
        if available + quantity >= ZERO:
            continue
        leg, wanted = first[place], -quantity
        facts = {"item": leg.item, "warehouse": leg.warehouse, "wanted": plain(wanted)}
        if _may_be_short(undoing, leg):
            short = plain(wanted - max(outlook.least, ZERO))
            undoing.remarks.append(Remark(code="shortage", line=leg.line, facts={**facts, "short": short}))
        else:
            batch = {} if leg.batch is None else {"batch": leg.batch}
            facts |= {"available": plain(max(available, ZERO)), "at": outlook.least_at.isoformat()}
            undoing.refuse("insufficient_stock", leg.line, **facts, **batch)


def _free_today(undoing: Undoing, place: Place) -> Decimal:
    """What stands in a place today, and is not reserved."""
    batch_stock = undoing.draft.batch_stock.get(place) or BatchStock()
    there = batch_stock if place[3] else undoing.bin(place[:3])
    return there.quantity - there.reserved


def _may_be_short(undoing: Undoing, leg: Leg) -> bool:
    """Whether more may go than is there: what a source tells as a fact has happened, and so has its undoing."""
    item = undoing.item(leg)
    allowed = item is not None and item.allow_negative_stock
    return leg.tracking is Tracking.NONE and (allowed or undoing.request.source in undoing.draft.stock.telling)


def _refuse_moved_serials(undoing: Undoing) -> None:
    """A unit goes back by its last event alone; and no set of units changes before it was counted as a whole."""
    original = undoing.original
    stamps = {(original.company, each.item, each.warehouse): each.stamp for each in original.stamps}
    counted: set[BinKey] = set()
    for leg in undoing.legs:
        if leg.tracking is not Tracking.SERIAL or not leg.quantity:
            continue
        key = undoing.bin_key(leg)
        count = undoing.traces.counts.get(key)
        if count is not None and count > (original.effective_at, stamps[key]) and key not in counted:
            counted.add(key)
            facts = {"item": leg.item, "warehouse": leg.warehouse, "counted_at": count.at.isoformat()}
            undoing.refuse("counted_since", leg.line, **facts)
        if leg.quantity < ZERO:
            _refuse_reserved(undoing, leg)
        for serial in leg.serials:
            _refuse_moved(undoing, leg, serial)


def _refuse_reserved(undoing: Undoing, leg: Leg) -> None:
    """A unit that is reserved does not go; nor do others, where any of them are."""
    records = undoing.draft.stock.serials
    for number in leg.serials:
        record = records.get((undoing.original.company, leg.item, number))
        if record is not None and record.reserved_for is not None:
            undoing.refuse("serial_reserved", leg.line, serial=number, order=record.reserved_for)
    there = undoing.bin(undoing.bin_key(leg))
    free = there.quantity - there.reserved
    if there.reserved > ZERO and free + leg.quantity < ZERO:
        facts = {"item": leg.item, "warehouse": leg.warehouse, "wanted": plain(-leg.quantity)}
        facts |= {"available": plain(max(free, ZERO)), "at": undoing.original.effective_at.isoformat()}
        undoing.refuse("insufficient_stock", leg.line, **facts)


def _refuse_moved(undoing: Undoing, leg: Leg, serial: str) -> None:
    original = undoing.original
    last = undoing.traces.histories[original.company, leg.item, serial].last_event
    if last is not None and last[2] != (original.source, original.id):
        undoing.refuse("serial_moved_since", leg.line, item=leg.item, serial=serial, at=last[0].isoformat())


# --- what it changes --------------------------------------------------------------------------------------------------


def _change_quantities(undoing: Undoing) -> None:
    for leg in undoing.legs:
        key = undoing.bin_key(leg)
        before = undoing.bin(key)
        after = before.quantity + leg.quantity
        undoing.draft.bins[key] = before._replace(quantity=after, short=after < ZERO)
        if leg.tracking is Tracking.BATCH and leg.batch is not None:
            stock = undoing.draft.batch_stock.get((*key, leg.batch)) or BatchStock()
            undoing.draft.batch_stock[*key, leg.batch] = stock._replace(quantity=stock.quantity + leg.quantity)
            batch = (*key[:2], leg.batch)
            undoing.draft.batch_totals[batch] = (undoing.draft.batch_totals.get(batch) or ZERO) + leg.quantity
    for leg in undoing.legs:
        quantity = undoing.bin(undoing.bin_key(leg)).quantity
        if abs(quantity) >= QUANTITY_LIMIT:
            facts = {"item": leg.item, "quantity": plain(quantity), "limit": plain(QUANTITY_LIMIT)}
            undoing.refuse("quantity_too_large", leg.line, **facts)


def _change_serials(undoing: Undoing) -> None:
    """Each unit is again what it was without the movement: its record follows from what else happened to it."""
    original, stock, traces = undoing.original, undoing.draft.stock, undoing.traces
    for key in _units(undoing):
        record, history = stock.serials[key], traces.histories[key]
        last = history.last_event
        if last is not None and last[2] == (original.source, original.id):
            after = record_without(original, key, record, history, traces.passages, stock.warehouses)
            undoing.draft.serials[key] = after
            undoing.events.append(_event(undoing, key, record, after, last[1] + 1))


def _units(undoing: Undoing) -> Iterator[SerialKey]:
    """The units that came or left by the movement, each once."""
    moved = (leg for leg in undoing.legs if leg.quantity)
    keys = ((undoing.original.company, leg.item, serial) for leg in moved for serial in leg.serials)
    return iter(dict.fromkeys(keys))


def _event(undoing: Undoing, key: SerialKey, before: Serial, after: Serial, tie: int) -> SerialEvent:
    request = undoing.request
    return SerialEvent(
        key,
        undoing.original.effective_at,
        tie,
        request.source,
        request.id,
        left=before.warehouse is not None,
        came_to=after.warehouse,
    )


def _change_batches(undoing: Undoing) -> None:
    """A batch entered the company when it did without the movement; one that never came in otherwise never did."""
    company = undoing.original.company
    corrected = _corrected(undoing)
    moved = (leg for leg in undoing.legs if leg.tracking is Tracking.BATCH and leg.quantity)
    for key in {(company, leg.item, leg.batch or "") for leg in moved}:
        record = undoing.draft.batches.get(key)
        if record is not None:
            entered = _entered([*undoing.traces.batches.get(key, ()), *corrected.get(key, ())])
            undoing.draft.batches[key] = record._replace(entered=entered)


def _corrected(undoing: Undoing) -> Mapping[BatchKey, list[Arrival]]:
    """What counts that came later find of batches, now that the movement is undone."""
    found: dict[BatchKey, list[Arrival]] = {}
    for leg in undoing.legs:
        if leg.corrects is not None and leg.batch is not None:
            place = (leg.corrects.effective_at, leg.corrects.stamp, _FOUND_LATER)
            arrival = Arrival(*place, leg.line, leg.warehouse, leg.quantity)
            found.setdefault((undoing.original.company, leg.item, leg.batch), []).append(arrival)
    return found


def _entered(history: Sequence[Arrival]) -> Entered | None:
    """When a batch came into the company for the last time that there was nothing of it."""
    total, entry = ZERO, None
    for together in _together(history):
        change = sum((each.quantity for each in together), ZERO)
        if total <= ZERO < total + change:
            entry = min((each for each in together if each.quantity > ZERO), key=attrgetter("line"))
        total += change
    return Entered(entry.at, entry.stamp, entry.line) if entry is not None else None


def _together(history: Sequence[Arrival]) -> Iterator[list[Arrival]]:
    """A history step by step. What happens in several warehouses at one moment is one step: it may be only moved."""
    for _, same in groupby(sorted(history), key=attrgetter("at")):
        arrivals = list(same)
        if len({each.warehouse for each in arrivals}) > 1:
            yield arrivals
        else:
            yield from (step for _, of in groupby(arrivals, key=attrgetter("stamp")) for step in _steps(list(of)))


def _steps(of_movement: list[Arrival]) -> list[list[Arrival]]:
    """What a movement did in one warehouse: what left, and what came after that; but a count found all at once."""
    if any(each.part >= _FOUND_LATER for each in of_movement):
        return [of_movement]
    return [[each] for each in of_movement]


def _give_back_returned(undoing: Undoing) -> None:
    """What was returned by the movement may be returned again."""
    if PURPOSES[undoing.original.purpose].flow not in _RETURNING:
        return
    for leg in undoing.original.legs:
        if leg.original is not None and leg.corrects is None:
            before = undoing.draft.returned.get(leg.original) or Returned()
            left = before.quantity - abs(leg.quantity)
            undoing.draft.returned[leg.original] = Returned(left, before.serials.difference(leg.serials))


def _stamp(undoing: Undoing, now: datetime) -> None:
    """Number the cancellation in all bins in which the movement has a number; what it counted there is forgotten."""
    keys = sorted(bins_of(undoing.original))
    undoing.recorded_at = max([now, *(undoing.bin(key).last_recorded_at for key in keys)])
    for key in keys:
        before = undoing.bin(key)
        count = undoing.traces.counts.get(key)
        undoing.draft.bins[key] = before._replace(
            last_stamp=before.last_stamp + 1,
            last_recorded_at=undoing.recorded_at,
            counted_at=count.at if count is not None else NEVER,
            rated_from=undoing.traces.arrivals.get(key, before.rated_from),
        )
        undoing.stamps.append(BinStamp(item=key[1], warehouse=key[2], stamp=before.last_stamp + 1))


_FOUND_LATER = 2
"""The least part of what a count found later on."""
_RETURNING = frozenset({Flow.COME_BACK, Flow.SEND_BACK, Flow.OUT})
"""The flows by which goods are returned of a ledger entry that their legs name."""
