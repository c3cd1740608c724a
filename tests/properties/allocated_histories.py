"""Random histories of a shop as receiving would allocate them: movements of all purposes, over goods of all methods.

What happens next is drawn from what is there, so that receiving would have accepted it. The goods of a history are few,
so that its movements meet in the same bins.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from hypothesis import strategies as st
from msgspec import structs

from shared.contracts.movement import AllocatedCost, Leg, MovementAllocated
from shared.purposes import PURPOSES, Method, Role
from shared.quantities import ZERO
from tests.builders import ACCOUNTS, Receiving, leg
from tests.properties.dice import Dice
from tests.properties.shop_floor import BATCHES, ITEMS, PLACES, UNTRACKED, Floor, Left, Received

CURRENCIES = {2: "EUR", 0: "JPY", 3: "KWD"}
DIGITS = st.sampled_from((2, 2, 2, 0, 3))
RECEIPTS = ("purchase_receipt", "purchase_receipt", "material_receipt", "opening_stock")


class Shop:
    """Draws movements; a step is a movement, or None where the stock allows none of its kind."""

    def __init__(self, dice: Dice, items: Sequence[str], digits: int, beyond_stock: bool) -> None:
        self._dice = dice
        self._items = items
        self._digits = digits
        self._beyond_stock = beyond_stock
        self._receiving = Receiving()
        self._floor = Floor()

    def step(self, kinds: Sequence[str]) -> MovementAllocated:
        return STEPS[self._dice.pick(kinds)](self) or self.receive()

    def clear(self) -> list[MovementAllocated]:
        """Movements that take out whatever is there, and bring what is lacking."""
        legs = [
            _leg(item, -held, place, 1, batch=batch, amount=Decimal(1) if held < 0 else None)
            for (item, place, batch), held in self._floor.held.items()
            if held and item != "serial"
        ]
        legs += [
            _leg("serial", Decimal(-1), place, 1, serials=[serial])
            for place, standing in self._floor.standing.items()
            for serial in standing
        ]
        return [self._movement("scrap" if each.quantity < 0 else "material_receipt", [each]) for each in legs]

    def receive(self) -> MovementAllocated:
        legs = [self._new_goods(line) for line in self._dice.lines()]
        return self._movement(self._dice.pick(RECEIPTS), legs, costs=self._costs())

    def issue(self) -> MovementAllocated | None:
        legs = self._leaving()
        return self._movement(self._dice.pick(("material_issue", "scrap")), legs) if legs else None

    def deliver(self) -> MovementAllocated | None:
        """A delivery, or a sale; a sale may bring back what was sold before."""
        legs = self._leaving()
        if not legs:
            return None
        if self._dice.coin():
            return self._movement("delivery", legs)
        back = self._coming_back(line=9) if self._dice.coin() else []
        return self._movement("sale", [*legs, *(each for each, _ in back)], originals=[left for _, left in back])

    def transfer(self) -> MovementAllocated | None:
        leaving = self._leaving()
        arriving = [
            _leg(
                each.item,
                -each.quantity,
                PLACES[1 - PLACES.index(each.warehouse)],
                each.line,
                batch=each.batch,
                serials=each.serials,
                arrives_from=place,
                share=self._dice.share_of_costs(),
            )
            for place, each in enumerate(leaving)
        ]
        return self._movement("material_transfer", [*leaving, *arriving], costs=self._costs()) if leaving else None

    def make(self) -> MovementAllocated | None:
        """Goods are consumed; others are made of them, some at a rate of their own (scrap, by-products)."""
        consumed = self._leaving()
        if not consumed:
            return None
        made = [self._new_goods(line) for line in self._dice.lines(first=11)]
        made = [each if self._dice.rarely() else _sharing(each, self._dice.share()) for each in made]
        return self._movement(self._dice.pick(("manufacture", "repack")), [*consumed, *made], costs=self._costs())

    def return_from_customer(self) -> MovementAllocated | None:
        back: list[tuple[Leg, Left | None]] = [*self._coming_back(line=1)]
        if self._dice.rarely():
            back += [(each, None) for each in self._coming_back_from_nowhere(line=9)]
        legs, originals = [each for each, _ in back], [left for _, left in back if left]
        return self._movement("sales_return", legs, originals=originals) if legs else None

    def return_to_supplier(self) -> MovementAllocated | None:
        purchased = [each for each in self._floor.received if each.purchased]
        if not purchased:
            return None
        movement = self._dice.pick(purchased).movement
        lines = [each for each in purchased if each.movement == movement]
        chosen = [self._dice.pick(lines) for _ in range(self._dice.number(1, 3))]
        back = [(self._sending_back(received, line), received) for line, received in enumerate(chosen, start=1)]
        legs, originals = [each for each, _ in back if each], [received for each, received in back if each]
        return self._movement("purchase_return", legs, originals=originals) if legs else None

    def reconcile(self) -> MovementAllocated | None:
        heaps = [(item, place, batch) for item in self._items for place in PLACES for batch in _batches(item)]
        legs: list[Leg] = []
        originals: list[Left] = []
        for line, (item, place, batch) in enumerate(self._dice.some(heaps, most=3), start=1):
            if item == "serial":
                legs += self._counted_serials(place, line, originals)
            else:
                legs.append(self._counted(item, place, batch, line))
        legs.sort(key=lambda each: 2 if each.counted is not None else int(each.quantity > 0))
        return self._movement("reconciliation", legs, originals=originals) if legs else None

    def write_down(self) -> MovementAllocated | None:
        heaps = [heap for heap, held in self._floor.held.items() if held > 0 or (held and self._dice.rarely())]
        legs = []
        for line, (item, place, batch) in enumerate(self._dice.some(heaps, most=3), start=1):
            serials = self._dice.some(self._floor.standing[place]) if item == "serial" else []
            legs.append(_leg(item, ZERO, place, line, batch=batch, serials=serials, rate=self._dice.rate()))
        return self._movement("write_down", legs) if legs else None

    def land(self) -> MovementAllocated | None:
        """What some lines of a receipt cost besides, whose stock nothing was taken from since."""
        receipts = self._floor.landable()
        if not receipts:
            return None
        lines = self._dice.pick(receipts)
        chosen = self._dice.some(range(len(lines)))
        legs = [
            _leg(
                each.leg.item,
                ZERO,
                each.leg.warehouse,
                each.leg.line,
                batch=each.leg.batch,
                serials=each.leg.serials,
                share=self._dice.share_of_costs(),
                original=each.entry,
            )
            for each in (lines[number] for number in sorted(chosen))
        ]
        return self._movement("landed_cost", legs, costs=self._dice.landed_costs())

    def _new_goods(self, line: int) -> Leg:
        item, place = self._dice.pick(self._items), self._dice.pick(PLACES)
        serials = self._new_serials() if item == "serial" else []
        quantity = Decimal(len(serials)) if serials else self._dice.quantity()
        return _leg(
            item,
            quantity,
            place,
            line,
            batch=self._dice.pick(_batches(item)),
            serials=serials,
            amount=self._dice.amount(quantity),
            standard_rate=self._dice.standard_rate(),
            share=self._dice.share_of_costs(),
        )

    def _new_serials(self) -> list[str]:
        """New ones; now and then one that left comes in again with them."""
        known = list(self._floor.gone)
        again = self._dice.some(known, most=1) if self._dice.rarely() else []
        for serial in again:
            del self._floor.gone[serial]
        return [*self._floor.new_serials(self._dice.number(1, 4)), *again]

    def _leaving(self) -> list[Leg]:
        """What some lines take."""
        return [each for line in self._dice.lines() for each in self._leaving_by(line)]

    def _leaving_by(self, line: int) -> list[Leg]:
        """What a line takes, of one or of several batches; nothing where there is nothing."""
        item, place = self._dice.pick(self._items), self._dice.pick(PLACES)
        if item == "serial":
            serials = self._floor.take_serials(place, self._dice.some(self._floor.standing[place]))
            return [_leg(item, Decimal(-len(serials)), place, line, serials=serials)] if serials else []
        legs = []
        for batch in self._dice.some(_batches(item)):
            quantity = self._floor.take(item, place, batch, self._leaving_quantity(item, place, batch))
            rate = self._dice.standard_rate()
            legs += [_leg(item, -quantity, place, line, batch=batch, standard_rate=rate)] if quantity else []
        return legs

    def _leaving_quantity(self, item: str, place: str, batch: str) -> Decimal:
        if self._beyond_stock and item in UNTRACKED and self._dice.coin():
            return self._dice.quantity()
        return self._dice.part(max(self._floor.there(item, place, batch), ZERO))

    def _coming_back(self, line: int) -> list[tuple[Leg, Left]]:
        """Legs that return one original movement, with the entry of each; an entry may come back in several legs."""
        sold = [each for each in self._floor.left if each.sold and self._floor.may_come_back(each)]
        if not sold:
            return []
        movement = self._dice.pick(sold).movement
        entries = [each for each in sold if each.movement == movement]
        back: list[tuple[Leg, Left]] = []
        for number in range(self._dice.number(1, 3)):
            left = self._dice.pick(entries)
            named = {serial for each, _ in back for serial in each.serials}
            serials = self._dice.some([each for each in self._floor.away(left) if each not in named])
            quantity = Decimal(len(serials)) if left.leg.serials else left.take_back(self._dice.part(left.open))
            if quantity:
                place = self._dice.pick((left.leg.warehouse, *PLACES))
                back.append((_leg_like(left, quantity, place, line + number, serials), left))
        return back

    def _coming_back_from_nowhere(self, line: int) -> list[Leg]:
        """A return that names no sale."""
        items = [each for each in self._items if each in UNTRACKED]
        return [
            _leg(item, self._dice.quantity(), self._dice.pick(PLACES), line, standard_rate=self._dice.standard_rate())
            for item in self._dice.some(items, most=1)
        ]

    def _sending_back(self, received: Received, line: int) -> Leg | None:
        """What goes back of a receipt's line, mostly from where it came in; now and then its receipt is not named."""
        brought = received.leg
        place = self._dice.pick((brought.warehouse, *PLACES))
        if brought.serials:
            standing = self._floor.standing[place]
            there = [each for each in standing if each in brought.serials and each not in received.sent]
            serials = self._floor.take_serials(place, self._dice.some(there))
            received.sent += serials
            quantity = Decimal(len(serials))
        else:
            serials, batch = [], brought.batch or ""
            there_now = max(self._floor.there(brought.item, place, batch), ZERO)
            beyond = self._beyond_stock and not batch and self._dice.coin()
            quantity = self._dice.part(received.open if beyond else min(there_now, received.open))
            received.open -= self._floor.take(brought.item, place, batch, quantity)
        if not quantity:
            return None
        going = _leg_like(received, -quantity, place, line, serials)
        return structs.replace(going, original=None) if self._dice.rarely() else going

    def _counted(self, item: str, place: str, batch: str, line: int) -> Leg:
        held = self._floor.there(item, place, batch)
        counted = self._dice.pick((max(held, ZERO), self._dice.quantity(), ZERO))
        return _leg(
            item,
            counted - held,
            place,
            line,
            batch=batch,
            counted=counted,
            amount=self._dice.amount(counted),
            standard_rate=self._dice.standard_rate(),
        )

    def _counted_serials(self, place: str, line: int, originals: list[Left]) -> list[Leg]:
        """The whole set that stands there: some are missing, some are found, some get a rate, some keep their cost."""
        standing = self._floor.standing[place]
        missing = self._dice.some(standing) if self._dice.coin() else []
        staying = [each for each in standing if each not in missing]
        rated = self._dice.some(staying) if self._dice.coin() else []
        lost = [serial for serial, left in self._floor.gone.items() if left not in originals]
        found = self._dice.some(lost, most=2) if self._dice.coin() else []
        legs = []
        if missing:
            self._floor.take_serials(place, missing)
            legs.append(_leg("serial", Decimal(-len(missing)), place, line, serials=missing))
        for serial in found:
            left = self._floor.gone[serial]
            amount = self._dice.amount(Decimal(1)) if self._dice.coin() else None
            legs.append(structs.replace(_leg_like(left, Decimal(1), place, line, [serial]), amount=amount))
            originals.append(left)
        if rated:
            count = Decimal(len(rated))
            amount = self._dice.amount(count) or ZERO
            legs.append(_leg("serial", ZERO, place, line, serials=rated, counted=count, amount=amount))
        return legs

    def _costs(self) -> list[AllocatedCost]:
        return self._dice.costs() if self._dice.coin() else []

    def _movement(
        self,
        purpose: str,
        legs: Sequence[Leg],
        costs: Sequence[AllocatedCost] = (),
        originals: Sequence[Left | Received] = (),
    ) -> MovementAllocated:
        """The next movement, with a stamp in the bin of each original; some purposes book to another account."""
        also = [(each.leg.item, each.leg.warehouse) for each in originals]
        movement = self._receiving.movement(*legs, purpose=purpose, costs=costs, also=also)
        accounts, currency = self._accounts(purpose), CURRENCIES[self._digits]
        movement = structs.replace(movement, accounts=accounts, digits=self._digits, currency=currency)
        self._floor.settle(movement)
        return movement

    def _accounts(self, purpose: str) -> dict[Role, str]:
        """The accounts of a movement; one that may name another for the side that is not stock sometimes does."""
        accounts = dict(ACCOUNTS)
        if PURPOSES[purpose].takes_difference and self._dice.coin():
            accounts[PURPOSES[purpose].counter] = "samples"
        return accounts


def _leg(
    item: str,
    quantity: Decimal,
    place: str,
    line: int,
    *,
    batch: str | None = None,
    serials: Sequence[str] = (),
    amount: Decimal | None = None,
    standard_rate: Decimal | None = None,
    arrives_from: int | None = None,
    share: Decimal | None = None,
    original: str | None = None,
    counted: Decimal | None = None,
    rate: Decimal | None = None,
) -> Leg:
    """A leg of goods whose name says how they are valued."""
    return leg(
        quantity,
        amount,
        item=item,
        warehouse=place,
        method=Method(item) if item in UNTRACKED else Method.FIFO,
        batch=batch or None,
        serials=serials,
        line=line,
        standard_rate=standard_rate,
        arrives_from=arrives_from,
        share=share,
        original=original,
        counted=counted,
        rate=rate,
    )


def _leg_like(original: Left | Received, quantity: Decimal, place: str, line: int, serials: Sequence[str]) -> Leg:
    """A part of an original, coming or going."""
    like = original.leg
    return _leg(like.item, quantity, place, line, batch=like.batch, serials=serials, original=original.entry)


def _sharing(made: Leg, share: Decimal) -> Leg:
    """A product without a rate of its own."""
    return structs.replace(made, amount=None, share=leg(1, share=share).share)


def _batches(item: str) -> tuple[str, ...]:
    return BATCHES if item == "batch" else ("",)


STEPS: dict[str, Callable[[Shop], MovementAllocated | None]] = {
    "receive": Shop.receive,
    "issue": Shop.issue,
    "deliver": Shop.deliver,
    "transfer": Shop.transfer,
    "make": Shop.make,
    "return_from_customer": Shop.return_from_customer,
    "return_to_supplier": Shop.return_to_supplier,
    "reconcile": Shop.reconcile,
    "write_down": Shop.write_down,
    "land": Shop.land,
}


@st.composite
def histories(
    draw: st.DrawFn, beyond_stock: bool = False, cleared: bool = False, kinds: Sequence[str] = ()
) -> list[MovementAllocated]:
    """What happened in a shop, by these kinds of steps, else by some of all kinds, which then meet each other often.

    `beyond_stock`: untracked goods are issued even where there are none. `cleared`: in the end nothing is left there.
    """
    digits = draw(DIGITS)
    dice = Dice(draw, digits)
    shop = Shop(dice, dice.some(ITEMS, most=3), digits, beyond_stock)
    kinds = kinds or dice.some(list(STEPS), most=5)
    movements = [shop.step(kinds) for _ in range(dice.number(1, 25))]
    return movements + (shop.clear() if cleared else [])
