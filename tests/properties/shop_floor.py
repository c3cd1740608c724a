"""What stands where while a random history is drawn: quantities, batches, serials and what may come back; no values.

The one idea is what receiving knows when it accepts a movement: nothing is asked of the ledger that it would not ask.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO
from tests.builders import entry_of

PLACES = ("north", "south")
BATCHES = ("B1", "B2")
UNTRACKED = ("fifo", "lifo", "moving_average")
ITEMS = (*UNTRACKED, "batch", "serial")

Heap = tuple[str, str, str]
"""What is valued as one: item, warehouse, and the batch or nothing."""


@dataclass
class Left:
    """An entry by which goods left; `open`: how much of it did not come back."""

    entry: str
    movement: str
    leg: Leg
    sold: bool
    open: Decimal

    def take_back(self, quantity: Decimal) -> Decimal:
        self.open -= quantity
        return quantity


@dataclass
class Received:
    """An entry by which goods came by a receipt; `open`: how much was not sent back, `sent`: which serials were."""

    entry: str
    movement: str
    leg: Leg
    when: int
    purchased: bool
    landable: bool
    open: Decimal
    sent: list[str] = field(default_factory=list)


@dataclass
class Floor:
    """Everything that receiving knows. `now` counts the movements.

    `touched` and `rated` say when a heap was last taken from, counted or written down, and when something last came
    into a bin at the rate that was known there; `came` when a serial last arrived somewhere.
    """

    held: dict[Heap, Decimal] = field(default_factory=dict)
    standing: dict[str, list[str]] = field(default_factory=lambda: {place: [] for place in PLACES})
    gone: dict[str, Left] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    now: int = 0
    touched: dict[Heap, int] = field(default_factory=dict)
    rated: dict[tuple[str, str], int] = field(default_factory=dict)
    came: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def there(self, item: str, place: str, batch: str = "") -> Decimal:
        return self.held.get((item, place, batch), ZERO)

    def take(self, item: str, place: str, batch: str, quantity: Decimal) -> Decimal:
        """A line was drawn that takes this: the lines after it cannot have it."""
        self.held[item, place, batch] = self.there(item, place, batch) - quantity
        return quantity

    def take_serials(self, place: str, serials: list[str]) -> list[str]:
        self.standing[place] = [each for each in self.standing[place] if each not in serials]
        self.take("serial", place, "", Decimal(len(serials)))
        return serials

    def may_come_back(self, left: Left) -> bool:
        return bool(self.away(left) if left.leg.serials else left.open)

    def away(self, left: Left) -> list[str]:
        """The serials of an entry that are still where it brought them."""
        return [each for each in left.leg.serials if self.gone.get(each) is left]

    def new_serials(self, count: int) -> list[str]:
        self.made += count
        return [f"S{self.made - number}" for number in range(count)]

    def settle(self, movement: MovementAllocated) -> None:
        """The movement has happened; what its legs took was noted when they were drawn."""
        self.now += 1
        for place, leg in enumerate(movement.legs):
            if leg.counted is not None or leg.quantity <= 0:
                self._touch(movement, place, leg)
            else:
                self._arrive(movement, place, leg)

    def landable(self) -> list[list[Received]]:
        """By receipt, the lines whose goods stand as they came: nothing was taken, counted or valued by them since."""
        receipts: dict[str, list[Received]] = {}
        for each in self.received:
            if self._is_untouched(each):
                receipts.setdefault(each.movement, []).append(each)
        return list(receipts.values())

    def _is_untouched(self, received: Received) -> bool:
        heap = heap_of(received.leg)
        serials = received.leg.serials
        there = all(each in self.standing[heap[1]] and self.came[each] == received.when for each in serials)
        drawn = max(self.touched.get(heap, 0), self.rated.get(heap[:2], 0) - 1)
        return received.landable and there and drawn < received.when

    def _touch(self, movement: MovementAllocated, place: int, leg: Leg) -> None:
        heap = heap_of(leg)
        takes_others = leg.tracking is Tracking.SERIAL and PURPOSES[movement.purpose].flow is not Flow.COUNT
        if leg.counted is not None or leg.rate is not None or (leg.quantity and not takes_others):
            self.touched[heap] = self.now
        if leg.counted is not None and leg.tracking is not Tracking.SERIAL:
            self.held[heap] = leg.counted
        elif leg.quantity < 0:
            sold = movement.purpose in ("delivery", "sale")
            left = Left(entry_of(movement, place), movement.id, leg, sold, -leg.quantity)
            self.left.append(left)
            self.gone |= dict.fromkeys(leg.serials, left)

    def _arrive(self, movement: MovementAllocated, place: int, leg: Leg) -> None:
        heap = heap_of(leg)
        flow = PURPOSES[movement.purpose].flow
        if flow is Flow.IN:
            purchased, landable = movement.purpose == "purchase_receipt", self.there(*heap) >= 0
            entry = entry_of(movement, place)
            self.received.append(Received(entry, movement.id, leg, self.now, purchased, landable, leg.quantity))
        shares = leg.share is not None and flow is Flow.MAKE
        if leg.amount is None and leg.arrives_from is None and leg.original is None and not shares:
            self.rated[heap[:2]] = self.now
        self.held[heap] = self.there(*heap) + leg.quantity
        self.standing[leg.warehouse] += leg.serials
        self.came |= dict.fromkeys(leg.serials, self.now)
        for serial in leg.serials:
            self.gone.pop(serial, None)


def heap_of(leg: Leg) -> Heap:
    """What a leg changes."""
    return (leg.item, leg.warehouse, leg.batch or "" if leg.tracking is Tracking.BATCH else "")
