"""The ledger again, slowly: what movements make of bins, and the entries that they leave behind.

It follows the rules and not the code: what a bin holds stands in `reference_stock`, what comes in is worth in
`reference_incoming`, and here each leg is carried out in its turn: all that leaves, then all else.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from fractions import Fraction

from shared.contracts.movement import Leg, MovementAllocated
from shared.identity import derived_id
from shared.purposes import PURPOSES, Role, Tracking
from tests.properties import reference_stock as stock
from tests.properties.reference_incoming import Booked, Books, Coming, Told, billed, book, incoming
from tests.properties.reference_stock import NOTHING, Bin, Costs, Heap


def play(movements: Sequence[MovementAllocated]) -> tuple[list[list[Told]], Books]:
    """The entries of movements applied in the given order, at least one, and the books in the end."""
    books = Books(movements[0].digits)
    return [_play(movement, books) for movement in movements], books


def _play(movement: MovementAllocated, books: Books) -> list[Told]:
    start = len(books.entries)
    turns = [_Turn(movement, place, leg, books) for place, leg in enumerate(movement.legs)]
    for turn in turns:
        if turn.leaves:
            turn.leave()
    left = books.entries[start:]
    coming = incoming(movement, left, books)
    for turn in turns:
        if not turn.leaves:
            turn.come(coming.get(turn.place, Coming(NOTHING)), left)
    return books.entries[start:]


@dataclass(frozen=True)
class _Balance:
    worth: Fraction
    value: Fraction
    rate: Fraction


@dataclass
class _Turn:
    """One leg of a movement, and where it takes place."""

    movement: MovementAllocated
    place: int
    leg: Leg
    books: Books
    bin: Bin = field(init=False)
    heap: Heap = field(init=False)

    def __post_init__(self) -> None:
        self.bin = self.books.bin(self.leg.item, self.leg.warehouse)
        self.heap = self.bin.heap_of(self.leg)

    @property
    def leaves(self) -> bool:
        return self.leg.quantity < 0 and self.leg.counted is None

    def leave(self) -> None:
        before = self._now()
        quantity = -Fraction(self.leg.quantity)
        gone = Coming(NOTHING)
        if quantity > self.heap.quantity:
            account = self.movement.accounts[PURPOSES[self.movement.purpose].true_up]
            stock.take_beyond(self.heap, quantity, self.bin.rate_for(self.leg), account)
        elif self.leg.original is None or self.leg.tracking is Tracking.SERIAL:
            gone.costs = stock.take(self.heap, self.leg, quantity)
        else:
            original = self.books.entry(self.leg.original)
            stock.take_at(self.heap, self.leg, quantity, self.books.value_now(original), original.quantity)
        if self.leg.original is not None:
            value = self._now().value - before.value
            gone.booked = self._beside_the_supplier(self.books.entry(self.leg.original), quantity, value)
        self._tell(before, -quantity, gone)

    def come(self, coming: Coming, left: Sequence[Told]) -> None:
        if self.leg.counted is not None:
            self._count(Fraction(self.leg.counted), coming.worth)
        elif self.leg.quantity > 0:
            self._true_up(coming.worth)
            self._arrive(coming, left)
        elif self.leg.rate is not None:
            self._write_down(Fraction(self.leg.rate))
        else:
            self._land(coming)

    def _beside_the_supplier(self, original: Told, quantity: Fraction, value: Fraction) -> Booked:
        """Of goods that are sent back, what the supplier does not owe."""
        sent = self.books.sent_back(original)
        first, last = (
            round(billed(original) * part / original.quantity, self.movement.digits) for part in (sent, sent + quantity)
        )
        booked: Booked = {}
        book(booked, self.movement.accounts[Role.COST_OF_GOODS_SOLD], value + last - first)
        return booked

    def _true_up(self, worth: Fraction) -> None:
        """What is to cover a shortage costs something else than was thought: told by account, before it arrives."""
        changes = stock.true_ups(self.heap, Fraction(self.leg.quantity), worth)
        for number, (account, change) in enumerate(changes.items()):
            before = self._now()
            self.heap.trued_up += change
            if value := self._now().value - before.value:
                self._tell(before, NOTHING, Coming(change, booked={account: value}), true_up=number)

    def _arrive(self, coming: Coming, left: Sequence[Told]) -> None:
        before = self._now()
        quantity = Fraction(self.leg.quantity)
        stock.bring(self.heap, self.leg, self._name(), quantity, coming.worth, coming.costs)
        cheap = self.leg.arrives_from is not None and not coming.worth
        known = left[self.leg.arrives_from].known if cheap and self.leg.arrives_from is not None else NOTHING
        self._tell(before, quantity, coming, known=known)

    def _count(self, counted: Fraction, worth: Fraction) -> None:
        before, held = self._now(), self.heap.quantity
        if self.leg.tracking is Tracking.SERIAL:
            change = worth - stock.total(self.heap.costs[serial] for serial in self.leg.serials)
            if self._value_at(self.heap.worth + change) != before.value:
                costs = dict.fromkeys(self.leg.serials, stock.nano(worth / counted))
                stock.revalue(self.heap, costs, change)
                self._tell(before, NOTHING, Coming(NOTHING, self._costs()))
        elif counted != held or self._value_at(worth) != before.value:
            stock.count(self.heap, counted, worth)
            self._tell(before, counted - held, Coming(NOTHING))

    def _write_down(self, rate: Fraction) -> None:
        """What would lower no value lowers nothing."""
        before, heap = self._now(), deepcopy(self.heap)
        stock.write_down(self.heap, self.leg, rate)
        if self._now().value != before.value:
            self._tell(before, NOTHING, Coming(NOTHING, self._costs()))
        else:
            vars(self.heap).update(vars(heap))

    def _land(self, coming: Coming) -> None:
        """Neither receipt nor stock is worth less than nothing: what cannot be taken off is booked as an adjustment."""
        before = self._now()
        original = self.books.entry(self.leg.original)
        present = original.worth + stock.total(each.worth for each in self.books.corrections(original))
        change = max(coming.worth, -present, -self.heap.worth) if self.heap.quantity > 0 else NOTHING
        stock.land(self.heap, self.leg, original.entry, change)
        gap = round(change - coming.worth, self.movement.digits)
        book(coming.booked, self.movement.accounts[Role.STOCK_ADJUSTMENT], gap)
        self._tell(before, NOTHING, Coming(change, self._costs(), coming.booked))

    def _costs(self) -> Costs:
        return {serial: self.heap.costs[serial] for serial in self.leg.serials if serial in self.heap.costs}

    def _value_at(self, worth: Fraction) -> Fraction:
        """The value of the bin if this heap, which is never worth less than nothing, had that worth."""
        digits = self.bin.digits
        return self.bin.value + round(max(worth, NOTHING), digits) - round(self.heap.worth, digits)

    def _now(self) -> _Balance:
        return _Balance(self.heap.worth, self.bin.value, self.bin.rate)

    def _name(self, true_up: int | None = None) -> str:
        place = str(self.place) if true_up is None else f"{self.place}.{true_up}"
        return derived_id(self.movement.recorded_at, self.movement.source, self.movement.id, place)

    def _tell(
        self,
        before: _Balance,
        quantity: Fraction,
        coming: Coming,
        known: Fraction = NOTHING,
        true_up: int | None = None,
    ) -> None:
        """The entry of what just happened; `known` is a rate for a bin that never had one."""
        self.bin.learn_rate(known)
        now = self._now()
        whole = true_up is None
        self.books.entries.append(
            Told(
                entry=self._name(true_up),
                leg=self.leg,
                stamp=self._stamp(),
                quantity=quantity,
                worth=now.worth - before.worth,
                value=now.value - before.value,
                quantity_after=self.bin.quantity,
                value_after=now.value,
                costs=coming.costs,
                booked=coming.booked,
                known=before.rate,
                original=self.leg.original if whole else None,
                arrives_from=self.leg.arrives_from if whole else None,
                returned=coming.returned,
            )
        )

    def _stamp(self) -> int:
        bin_ = (self.leg.item, self.leg.warehouse)
        (stamp,) = (each.stamp for each in self.movement.stamps if (each.item, each.warehouse) == bin_)
        return stamp
