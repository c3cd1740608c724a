"""Random histories that are not told in the order in which they happened, as receiving would allocate them.

A movement may take effect before others that were accepted already, as a landed cost does, and any may be cancelled.
The moments are few, so that many movements have the same.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from hypothesis import strategies as st
from msgspec import structs

from shared.contracts.movement import AccountAmount, AllocatedCost, Leg, MoneySides, MovementAllocated, MovementName
from shared.purposes import PURPOSES
from shared.quantities import ZERO, Money, Quantity, plain
from tests.builders import entry_of
from tests.properties.allocated_histories import CURRENCIES, DIGITS, STEPS, Shop
from tests.properties.dice import Dice
from tests.properties.shop_floor import ITEMS, PLACES, Left, Received
from tests.properties.time_gate import Gate, Refused, undoing

FIRST = datetime(2026, 2, 2, 6, tzinfo=UTC)
APART = timedelta(hours=8)
RECEIPTS = ("purchase_receipt", "material_receipt", "opening_stock")
THEMES = (
    ("receive",),
    ("receive", "issue", "reconcile"),
    ("receive", "issue", "cancel", "land"),
    ("receive", "transfer", "make"),
    ("receive", "deliver", "return_from_customer", "return_to_supplier"),
)
"""What a history mostly is about."""
MORE = st.integers(0, 15).map(bool)
STATED = ("reconcile", "write_down")
"""What is said of all that stands somewhere, whatever needs it later."""


class TimeShop(Shop):
    """Draws movements of any moment. `_at` is that of the next one, `_latest` the last one of all before it."""

    def __init__(self, dice: Dice, items: Sequence[str], digits: int, beyond_stock: bool) -> None:
        super().__init__(dice, items, digits, beyond_stock)
        self._gate = Gate(beyond_stock)
        self._at = self._latest = FIRST
        self._open_from: date | None = None
        self._unborn: list[str] = []

    @property
    def gate(self) -> Gate:
        return self._gate

    def step(self, kinds: Sequence[str]) -> MovementAllocated:
        """A movement of one of these kinds, at any moment at which there can be one; else goods are received."""
        kind = self._dice.pick(kinds)
        moment = self._moment()
        self._latest = max(self._latest, moment)
        for each, at in ((kind, moment), (kind, self._latest), ("receive", self._latest)):
            self._at = at
            self._floor = self._gate.floor(at, up_to_the_next_count=kind not in STATED)
            self._unborn = self._gate.unborn()
            with suppress(Refused):
                if movement := TIME_STEPS[each](self):
                    return movement
        raise AssertionError("what happens now was refused")

    def close(self) -> None:
        """From here on, nothing may take effect before some day of those that there were."""
        days = (self._latest.date() - (self._open_from or FIRST.date())).days
        self._open_from = self._latest.date() - timedelta(days=self._dice.number(0, days))

    def count_serials(self) -> MovementAllocated | None:
        """All serials of a place are counted, and all of them are there."""
        place = self._dice.pick(PLACES)
        return self._movement("reconciliation", [], counts=[place]) if "serial" in self._items else None

    def reconcile(self) -> MovementAllocated | None:
        return super().reconcile() or self.count_serials()

    def land(self) -> MovementAllocated | None:
        """What some lines of a receipt cost besides, whatever became of it and whenever it was."""
        names = [each.name for each in self._gate.holding()]
        receipts = [each for each in map(self._gate.movement, names) if each.purpose in RECEIPTS]
        if not receipts:
            return None
        receipt = self._dice.pick(receipts)
        places = [place for place, leg in enumerate(receipt.legs) if leg.corrects is None]
        legs = [self._landing(receipt, place) for place in sorted(self._dice.some(places))]
        self._at = receipt.effective_at
        return self._movement("landed_cost", legs, costs=self._dice.landed_costs(), named=receipt)

    def cancel(self) -> MovementAllocated | None:
        """Any movement that nothing stands on, in open days."""
        found = []
        for event in self._gate.holding():
            movement = self._gate.movement(event.name)
            if self._open_from is not None and movement.posting_date < self._open_from:
                continue
            try:
                found.append((movement, self._gate.judge_cancelling(movement)))
            except Refused:
                continue
        return self._cancellation(*self._dice.pick(found)) if found else None

    def _moment(self) -> datetime:
        """Now, a little later, or any moment of an open day."""
        where = self._dice.pick(("now", "later", "past", "past"))
        if where == "now":
            return self._latest
        if where == "later":
            return self._latest + self._dice.number(1, 3) * APART
        moments = [FIRST + number * APART for number in range((self._latest - FIRST) // APART + 1)]
        return self._dice.pick([each for each in moments if each.date() >= (self._open_from or each.date())])

    def _new_serials(self) -> list[str]:
        """Now and then with one whose only receipts were cancelled."""
        again = self._dice.some(self._unborn, most=1) if self._unborn and self._dice.coin() else []
        self._unborn = [each for each in self._unborn if each not in again]
        return [*super()._new_serials(), *again]

    def _landing(self, receipt: MovementAllocated, place: int) -> Leg:
        share = self._dice.share_of_costs()
        return structs.replace(
            receipt.legs[place],
            quantity=Quantity(ZERO),
            amount=None,
            standard_rate=None,
            share=None if share is None else Quantity(share),
            original=entry_of(receipt, place),
        )

    def _movement(
        self,
        purpose: str,
        legs: Sequence[Leg],
        costs: Sequence[AllocatedCost] = (),
        originals: Sequence[Left | Received] = (),
        *,
        named: MovementAllocated | None = None,
        counts: Collection[str] = (),
    ) -> MovementAllocated:
        """The next movement, if receiving accepts it, with what later counts find because of it."""
        if PURPOSES[purpose].against and originals:
            named = self._gate.movement(originals[0].movement)
        if purpose == "reconciliation":
            counts = {*counts, *(leg.warehouse for leg in legs if leg.serials)}
        correcting = self._gate.judge(self._at, legs, counts)
        also = [(each.leg.item, each.leg.warehouse) for each in originals] + [("serial", place) for place in counts]
        also += [(each.item, each.warehouse) for each in (named.stamps if named else ())]
        movement = self._receiving.movement(*legs, *correcting, purpose=purpose, costs=costs, also=also)
        movement = structs.replace(movement, accounts=self._accounts(purpose), money=self._money(purpose))
        return self._accept(movement, self._at, self._at.date(), named, counts)

    def _cancellation(self, cancelled: MovementAllocated, correcting: Sequence[Leg]) -> MovementAllocated:
        legs = [*undoing(cancelled, self._gate.differences()), *correcting]
        bins = [(each.item, each.warehouse) for each in cancelled.stamps]
        movement = self._receiving.movement(*legs, purpose="cancellation", also=bins)
        money = cancelled.money and MoneySides(debits=cancelled.money.credits, credits=cancelled.money.debits)
        movement = structs.replace(movement, mirrors=cancelled.purpose, accounts=cancelled.accounts, money=money)
        movement = structs.replace(movement, dated_at=cancelled.dated_at)
        return self._accept(movement, cancelled.effective_at, cancelled.posting_date, cancelled, ())

    def _accept(
        self,
        movement: MovementAllocated,
        at: datetime,
        day: date,
        named: MovementAllocated | None,
        counts: Collection[str],
    ) -> MovementAllocated:
        """Say when it takes effect, and when it counts, where that day is closed."""
        dated_at = movement.dated_at
        if self._open_from is not None and day < self._open_from:
            day, dated_at = self._open_from, datetime.combine(self._open_from, time(), UTC)
        movement = structs.replace(
            movement,
            posting_at=at,
            effective_at=at,
            posting_date=day,
            open_from=self._open_from,
            dated_at=dated_at,
            against=MovementName(source=named.source, id=named.id) if named else None,
            digits=self._digits,
            currency=CURRENCIES[self._digits],
        )
        self._gate.accept(movement, counts)
        return movement

    def _money(self, purpose: str) -> MoneySides | None:
        """How a sale was paid."""
        if not PURPOSES[purpose].has_money or self._dice.coin():
            return None
        paid = Money(Decimal(self._dice.number(1, 100)))
        side = {"debits": "till", "credits": "income"}
        return MoneySides(**{name: [AccountAmount(account=account, amount=paid)] for name, account in side.items()})


TIME_STEPS: dict[str, Callable[[TimeShop], MovementAllocated | None]] = {
    **STEPS,
    "reconcile": TimeShop.reconcile,
    "land": TimeShop.land,
    "cancel": TimeShop.cancel,
}


class History:
    """Movements in the order in which they were told; shown as one reads them, a line a movement."""

    def __init__(self, movements: Sequence[MovementAllocated]) -> None:
        self.movements = movements

    def of(self, company: str) -> "History":
        """The same in another company, told by another source."""
        entries: dict[str | None, str] = {}
        moved: list[MovementAllocated] = []
        for movement in self.movements:
            against = movement.against and structs.replace(movement.against, source=company)
            legs = [structs.replace(leg, original=entries.get(leg.original)) for leg in movement.legs]
            moved.append(structs.replace(movement, company=company, source=company, against=against, legs=legs))
            entries |= {entry_of(movement, place): entry_of(moved[-1], place) for place in range(len(legs))}
        return History(moved)

    def __repr__(self) -> str:
        return "\n" + "\n".join(map(_told, self.movements)) + "\n"


@st.composite
def dated_histories(
    draw: st.DrawFn, kinds: Sequence[str] = (), items: Sequence[str] = (), least: int = 1, most: int = 15
) -> History:
    """What happened in a shop, by these kinds of steps and of these goods, else of some."""
    digits = draw(DIGITS)
    dice = Dice(draw, digits)
    shop = TimeShop(dice, items or dice.some(ITEMS, most=2), digits, beyond_stock=dice.coin())
    kinds = kinds or [*dice.pick(THEMES), *dice.some(list(TIME_STEPS), most=4)]
    closing = dice.number(1, 6) if dice.coin() else None
    while len(shop.gate.accepted) < most and draw(_goes_on(shop, kinds, least, closing)):
        continue
    return History(shop.gate.accepted)


@st.composite
def _goes_on(draw: st.DrawFn, shop: TimeShop, kinds: Sequence[str], least: int, closing: int | None) -> bool:
    """One step, or none any more: a draw of its own, so that one that does not matter is left out as a whole."""
    told = len(shop.gate.accepted)
    if told >= least and not draw(MORE):
        return False
    if told == closing:
        shop.close()
    shop.step(kinds)
    return True


def _told(movement: MovementAllocated) -> str:
    number = (movement.effective_at - FIRST) // APART
    head = f"{movement.id} at {number}: {movement.mirrors or ''} {movement.purpose}".replace(":  ", ": ")
    against = f" of {movement.against.id}" if movement.against else ""
    dated = f" dated {movement.posting_date} (open from {movement.open_from})" if movement.dated_at else ""
    costs = "".join(f" +{cost.amount:f} by {cost.spread} to {cost.account}" for cost in movement.additional_costs)
    legs = "".join(f"\n    {_leg_told(leg)}" for leg in movement.legs)
    return f"{head}{against}{dated}{costs}{legs}"


def _leg_told(leg: Leg) -> str:
    name = f"{leg.line}. {plain(leg.quantity)} {leg.item}" + (f"/{leg.batch}" if leg.batch else "")
    said = {
        "serials": ",".join(leg.serials) or None,
        "amount": leg.amount,
        "standard": leg.standard_rate,
        "from": leg.arrives_from,
        "share": leg.share,
        "counted": leg.counted,
        "rate": leg.rate,
        "original": leg.original and leg.original[-6:],
        "corrects": leg.corrects and leg.corrects.stamp,
    }
    return f"{name} {leg.warehouse} " + " ".join(f"{key}={value}" for key, value in said.items() if value is not None)
