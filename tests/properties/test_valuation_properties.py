"""Valuation and posting against a slow reference, over random histories of all methods with transfers."""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.decide.posting import Key, Posting, State, in_order, post, stamps_of
from shared.contracts.codec import write
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Method
from shared.quantities import to_money
from tests.builders import COMPANY, Receiving, empty_ledger, leg, posted, transfer
from tests.properties.reference_valuation import play

PLACES = ("north", "south", "transit")
ITEMS = ("fifo", "lifo", "moving_average", "batch", "serial")
BATCHES = ("B1", "B2")
SMALLEST = Decimal("0.000001")

quantities = st.one_of(
    st.integers(1, 12).map(Decimal),
    st.integers(1, 5_000_000).map(lambda millionths: millionths * SMALLEST),
)
amounts = st.one_of(
    st.none(),
    st.integers(0, 5).map(lambda cents: Decimal(cents) / 100),
    st.integers(0, 100_000).map(lambda cents: Decimal(cents) / 100),
)
rates = st.one_of(st.none(), st.integers(0, 5_000_000).map(lambda millionths: millionths * SMALLEST))


class Shop:
    """Draws what happens next from what is there; it knows quantities, batches and serials, no values."""

    def __init__(self, draw: Callable[..., object], beyond_stock: bool) -> None:
        self._draw = draw
        self._beyond_stock = beyond_stock
        self._receiving = Receiving()
        self._held: dict[tuple[str, str, str], Decimal] = {}
        self._serials: dict[str, list[str]] = {place: [] for place in PLACES}
        self._made = 0

    def step(self) -> MovementAllocated:
        item, place = self._pick(ITEMS), self._pick(PLACES)
        legs = self._leaving(item, place) if self._draw(st.booleans()) else None
        return self._receiving.movement(*(legs or [self._arriving(item, place)]))

    def clear(self) -> list[MovementAllocated]:
        """Movements that take out whatever is there."""
        out = [
            leg(-held, item=item, warehouse=place, batch=batch or None, method=_method(item))
            for (item, place, batch), held in self._held.items()
            if held > 0
        ]
        out += [
            leg(-1, item="serial", warehouse=place, serials=[each])
            for place, standing in self._serials.items()
            for each in standing
        ]
        return [self._receiving.movement(each) for each in out]

    def _arriving(self, item: str, place: str) -> Leg:
        amount, rate = self._draw(amounts), self._draw(rates)
        if item == "serial":
            serials = self._make_serials()
            self._serials[place] += serials
            return leg(
                len(serials), amount, item=item, warehouse=place, serials=serials, standard_rate=rate  # type: ignore[arg-type]
            )
        batch = self._pick(BATCHES) if item == "batch" else ""
        quantity = self._draw(quantities)
        self._move(item, place, batch, quantity)  # type: ignore[arg-type]
        return leg(
            quantity,  # type: ignore[arg-type]
            amount,  # type: ignore[arg-type]
            item=item,
            warehouse=place,
            batch=batch or None,
            method=_method(item),
            standard_rate=rate,  # type: ignore[arg-type]
        )

    def _leaving(self, item: str, place: str) -> list[Leg] | None:
        """An issue or a transfer; None where there is nothing to take."""
        target = self._pick([None, *(each for each in PLACES if each != place)])
        if item == "serial":
            return self._leaving_serials(place, target)
        batch = self._pick(BATCHES) if item == "batch" else ""
        quantity = self._part(item, place, batch)
        if not quantity:
            return None
        self._move(item, place, batch, -quantity)
        if target is None:
            return [leg(-quantity, item=item, warehouse=place, batch=batch or None, method=_method(item))]
        self._move(item, target, batch, quantity)
        return transfer(quantity, place, target, item=item, batch=batch or None, method=_method(item))

    def _leaving_serials(self, place: str, target: str | None) -> list[Leg] | None:
        standing = self._serials[place]
        if not standing:
            return None
        count = self._draw(st.integers(1, len(standing)))
        taken = random.Random(str(self._draw(st.integers(0, 99)))).sample(standing, count)  # type: ignore[arg-type]
        self._serials[place] = [each for each in standing if each not in taken]
        if target is None:
            return [leg(-len(taken), item="serial", warehouse=place, serials=taken)]
        self._serials[target] += taken
        return transfer(len(taken), place, target, item="serial", serials=taken)

    def _part(self, item: str, place: str, batch: str) -> Decimal:
        held = self._held.get((item, place, batch), Decimal(0))
        if self._beyond_stock and item != "batch":
            return self._draw(quantities)  # type: ignore[return-value]
        thousandths = self._draw(st.one_of(st.just(1000), st.integers(1, 1000)))
        return (held * thousandths / 1000).quantize(SMALLEST)  # type: ignore[operator, no-any-return]

    def _make_serials(self) -> list[str]:
        count = self._draw(st.integers(1, 4))
        self._made += count  # type: ignore[operator]
        return [f"S{self._made - number}" for number in range(count)]  # type: ignore[call-overload]

    def _move(self, item: str, place: str, batch: str, quantity: Decimal) -> None:
        self._held[item, place, batch] = self._held.get((item, place, batch), Decimal(0)) + quantity

    def _pick[Choice](self, choices: Sequence[Choice]) -> Choice:
        return self._draw(st.sampled_from(choices))  # type: ignore[return-value]
