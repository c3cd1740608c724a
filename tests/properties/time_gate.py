"""The gate over time, slowly: what receiving knows when it judges a movement, by walking through all that it accepted.

It keeps nothing but the movements in the order of their acceptance. What stood where at a moment, which serials a later
movement needs, what a count found: all of it is read off them anew each time, in their order in time.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import structs

from shared.contracts.movement import CorrectedCount, Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO, Quantity
from tests.builders import entry_of
from tests.properties.shop_floor import UNTRACKED, Floor, Heap, heap_of


class Refused(Exception):  # noqa: N818 - what the movement is
    """Receiving would not accept it."""


class Event(NamedTuple):
    """A movement that holds, by its place in time: when it takes effect, and the how manieth it was accepted.

    `counts` are the places in which all serials were counted.
    """

    at: datetime
    number: int
    name: str
    legs: Sequence[Leg]
    counts: Collection[str]

    @property
    def when(self) -> tuple[datetime, int]:
        return (self.at, self.number)


Differences = dict[tuple[str, int], Decimal]
"""What counts found: by the name of the movement, and the place of the leg."""


@dataclass
class Gate:
    """All that was accepted, and in which places each of it counted the serials; `beyond_stock`: of untracked goods
    more may leave than is there."""

    beyond_stock: bool
    accepted: list[MovementAllocated] = field(default_factory=list)
    counting: dict[str, Collection[str]] = field(default_factory=dict)

    def accept(self, movement: MovementAllocated, counts: Collection[str]) -> None:
        self.accepted.append(movement)
        self.counting[movement.id] = counts

    def movement(self, name: str) -> MovementAllocated:
        (found,) = (each for each in self.accepted if each.id == name)
        return found

    def holding(self) -> list[Event]:
        """What was not cancelled, in its order in time."""
        cancelled = [each.against.id for each in self.accepted if _is_cancellation(each) and each.against is not None]
        return sorted(
            Event(each.effective_at, number, each.id, _own_legs(each), self.counting[each.id])
            for number, each in enumerate(self.accepted)
            if not _is_cancellation(each) and each.id not in cancelled
        )

    # --- what is there ------------------------------------------------------------------------------------------------

    def floor(self, at: datetime, *, up_to_the_next_count: bool) -> Floor:
        """What a movement of that moment finds: of quantities, what nothing needs up to the next count, or all of them.

        Of serials, those that nothing moved since, in places that were not counted since.
        """
        floor, events = Floor(), self.holding()
        for event in events:
            if event.at <= at:
                _walk(floor, structs.replace(self.movement(event.name), legs=list(event.legs)))
        if up_to_the_next_count:
            for heap in floor.held:
                floor.held[heap] = _least(events, heap, at)
        fixed = self._fixed_since(events, at)
        for place, standing in floor.standing.items():
            counted = any(place in event.counts for event in events if event.at > at)
            floor.standing[place] = [] if counted else [each for each in standing if each not in fixed]
            floor.held["serial", place, ""] = Decimal(len(floor.standing[place]))
        floor.gone = {serial: left for serial, left in floor.gone.items() if serial not in fixed}
        self._take_what_was_returned(floor, events)
        floor.made = len(self._all_serials())
        return floor

    def unborn(self) -> list[str]:
        """The serials that never were: whatever moved them was cancelled."""
        moved = {serial for event in self.holding() for leg in event.legs if leg.quantity for serial in leg.serials}
        return [serial for serial in self._all_serials() if serial not in moved]

    def _all_serials(self) -> list[str]:
        return list(dict.fromkeys(each for movement in self.accepted for leg in movement.legs for each in leg.serials))

    def _fixed_since(self, events: Sequence[Event], at: datetime) -> set[str]:
        moving = (leg for event in events if event.at > at for leg in event.legs if leg.quantity)
        return {serial for leg in moving for serial in leg.serials}

    def _take_what_was_returned(self, floor: Floor, events: Sequence[Event]) -> None:
        """Whenever it came back or was sent back: it cannot do so twice."""
        left = {each.entry: each for each in floor.left}
        received = {each.entry: each for each in floor.received}
        for leg in (leg for event in events for leg in event.legs if leg.original is not None and leg.quantity):
            if leg.original in left:
                left[leg.original].open -= leg.quantity
            elif leg.original in received:
                received[leg.original].open += leg.quantity
                received[leg.original].sent += leg.serials

    # --- whether it may be --------------------------------------------------------------------------------------------

    def judge(self, at: datetime, legs: Sequence[Leg], counts: Collection[str]) -> list[Leg]:
        """The legs for later counts of a movement that takes effect at that moment; Refused where it cannot."""
        events = self.holding()
        new = Event(at, len(self.accepted), "new", legs, counts)
        later = [event for event in events if event.at > at]
        self._judge_serials(new, later)
        return self._judge_quantities(events, sorted([*events, new]), legs)

    def judge_cancelling(self, movement: MovementAllocated) -> list[Leg]:
        """The same of a movement that is to be as if it never had been."""
        events = self.holding()
        (gone,) = (event for event in events if event.name == movement.id)
        remaining = [event for event in events if event is not gone]
        if self._is_named(movement, remaining):
            raise Refused
        self._judge_serials(gone, [event for event in remaining if event.when > gone.when])
        return self._judge_quantities(events, remaining, gone.legs)

    def differences(self) -> Differences:
        """What each count finds as of now."""
        return _differences(self.holding())

    def _is_named(self, movement: MovementAllocated, others: Sequence[Event]) -> bool:
        entries = {entry_of(movement, place) for place in range(len(movement.legs))}
        named = {leg.original for event in others for leg in event.legs}
        against = [self.movement(event.name).against for event in others]
        return bool(entries & named) or movement.id in [name.id for name in against if name is not None]

    def _judge_serials(self, event: Event, later: Sequence[Event]) -> None:
        """Nothing is told of a serial that was moved since, nor of a place whose serials were counted since."""
        moving = [leg for leg in event.legs if leg.serials and leg.quantity]
        serials = {serial for leg in moving for serial in leg.serials}
        places = {leg.warehouse for leg in moving}
        for other in later:
            moved = {serial for leg in other.legs if leg.quantity for serial in leg.serials}
            touched = {leg.warehouse for leg in other.legs if leg.serials} | {*other.counts}
            if moved & serials or places & {*other.counts} or touched & {*event.counts}:
                raise Refused

    def _judge_quantities(self, before: Sequence[Event], after: Sequence[Event], legs: Sequence[Leg]) -> list[Leg]:
        heaps = {heap_of(leg): leg for leg in reversed(legs) if leg.tracking is not Tracking.SERIAL}
        for heap in heaps:
            allowed = self.beyond_stock and heap[0] in UNTRACKED
            if not allowed and any(quantity < ZERO for _, quantity in _running(after, heap)):
                raise Refused
        now, then = _differences(after), _differences(before)
        return [
            self._correcting(heaps, name, place, now[name, place] - found)
            for (name, place), found in then.items()
            if (name, place) in now and now[name, place] != found
        ]

    def _correcting(self, heaps: dict[Heap, Leg], name: str, place: int, quantity: Decimal) -> Leg:
        """What a count finds that stands behind something new: in which of the new legs, the first says."""
        counted = self.movement(name)
        leg = counted.legs[place]
        like = heaps[heap_of(leg)]
        stamps = {(each.item, each.warehouse): each.stamp for each in counted.stamps}
        corrects = CorrectedCount(
            account=counted.accounts[PURPOSES[counted.purpose].counter],
            effective_at=counted.effective_at,
            posting_date=counted.posting_date,
            stamp=stamps[leg.item, leg.warehouse],
        )
        blank = Leg(
            line=like.line,
            item=like.item,
            warehouse=like.warehouse,
            quantity=Quantity(quantity),
            batch=like.batch,
            tracking=like.tracking,
            method=like.method,
            stock_account=like.stock_account,
        )
        return structs.replace(blank, original=entry_of(counted, place), corrects=corrects)


def undoing(movement: MovementAllocated, differences: Differences) -> list[Leg]:
    """The legs that undo a movement, each in the place of what it undoes."""
    return [
        structs.replace(
            leg,
            quantity=Quantity(-differences.get((movement.id, place), leg.quantity)),
            original=entry_of(movement, place),
            amount=None,
            counted=None,
            share=None,
            rate=None,
            standard_rate=None,
        )
        for place, leg in enumerate(_own_legs(movement))
    ]


def _is_cancellation(movement: MovementAllocated) -> bool:
    return PURPOSES[movement.purpose].flow is Flow.CANCEL


def _own_legs(movement: MovementAllocated) -> list[Leg]:
    return [leg for leg in movement.legs if leg.corrects is None]


def _walk(floor: Floor, movement: MovementAllocated) -> None:
    """Let a movement that was accepted happen once more."""
    for leg in movement.legs:
        if leg.quantity < ZERO and leg.counted is None:
            if leg.serials:
                floor.take_serials(leg.warehouse, leg.serials)
            else:
                floor.take(*heap_of(leg), -leg.quantity)
    floor.settle(movement)


def _running(events: Sequence[Event], heap: Heap) -> Iterator[tuple[Event, Decimal]]:
    """What stands in a heap behind each leg that changes it; a count says it."""
    quantity = ZERO
    for event in events:
        for leg in event.legs:
            if heap_of(leg) == heap:
                quantity = quantity + leg.quantity if leg.counted is None else leg.counted
                yield event, quantity


def _least(events: Sequence[Event], heap: Heap, at: datetime) -> Decimal:
    """The least that stands there from a moment on, up to the next count."""
    standing, later = ZERO, list[Decimal]()
    for event, quantity in _running(events, heap):
        if event.at <= at:
            standing = quantity
        elif any(leg.counted is not None for leg in event.legs if heap_of(leg) == heap):
            break
        else:
            later.append(quantity)
    return min([standing, *later])


def _differences(events: Sequence[Event]) -> Differences:
    held: dict[Heap, Decimal] = {}
    found: Differences = {}
    for event in events:
        for place, leg in enumerate(event.legs):
            heap = heap_of(leg)
            before = held.get(heap, ZERO)
            if leg.counted is None:
                held[heap] = before + leg.quantity
            elif leg.tracking is not Tracking.SERIAL:
                held[heap] = leg.counted
                found[event.name, place] = leg.counted - before
    return found
