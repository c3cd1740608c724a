"""What is left to chance in a random history: quantities, amounts and costs, mostly such that they meet again.

Rates are few, so that layers join and come back, and some are so low that goods have no value.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import TypeVar

from hypothesis import strategies as st

from shared.contracts.movement import AllocatedCost
from shared.quantities import Money, to_money

SMALLEST = Decimal("0.000001")
RATES = tuple(map(Decimal, ("2", "3.333333333", "0.777", "0.125", "0.004", "0")))
ACCOUNTS = ("expenses_in_valuation", "freight", "stock_adjustment")
QUANTITIES = st.integers(1, 12).map(Decimal) | st.integers(1, 5_000_000).map(lambda millionths: millionths * SMALLEST)
SHARES = st.integers(0, 4).map(Decimal) | QUANTITIES
TINY, ANY = st.integers(0, 5), st.integers(0, 100_000)
TINY_OR_ANY = TINY | ANY
COIN = st.booleans()

T = TypeVar("T")


class Dice:
    """Draws for one history, in a currency of so many digits."""

    def __init__(self, draw: st.DrawFn, digits: int) -> None:
        self._draw = draw
        self._digits = digits

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.number(0, len(choices) - 1)]

    def number(self, least: int, most: int) -> int:
        return self._draw(_integers(least, most)) if least < most else least

    def coin(self) -> bool:
        return self._draw(COIN)

    def rarely(self) -> bool:
        return self.number(0, 4) == 4

    def lines(self, first: int = 1) -> range:
        """The numbers of some lines: mostly few."""
        return range(first, first + (self.number(4, 6) if self.rarely() else self.number(1, 3)))

    def some(self, things: Sequence[T], most: int | None = None) -> list[T]:
        """At least one of them, in any order; none where there is none."""
        left = list(things)
        count = min(len(left), most or len(left))
        return [left.pop(self.number(0, len(left) - 1)) for _ in range(self.number(1, count))] if left else []

    def quantity(self) -> Decimal:
        return self._draw(QUANTITIES)

    def part(self, quantity: Decimal) -> Decimal:
        """All of it, a whole number, or a fraction; all where it is not above one."""
        kind = self.pick(("all", "whole", "fraction"))
        if kind == "all" or quantity <= 1:
            return quantity
        if kind == "whole":
            return Decimal(self.number(1, int(quantity)))
        return (quantity * self.number(1, 999) / 1000).quantize(SMALLEST)

    def amount(self, quantity: Decimal) -> Decimal | None:
        """What a line costs: so much a unit, any money, hardly any, or nothing that it says."""
        kind = self.pick(("rate", "rate", "rate", "none", "tiny", "any"))
        if kind == "rate":
            return to_money(quantity * self.pick(RATES), self._digits)
        return None if kind == "none" else self._money(TINY if kind == "tiny" else ANY)

    def rate(self) -> Decimal:
        return self.pick(RATES) if self.coin() else self.number(0, 5_000_000) * SMALLEST

    def standard_rate(self) -> Decimal | None:
        return self.pick((None, *RATES))

    def share(self) -> Decimal:
        """A share in what is made."""
        return self._draw(SHARES)

    def share_of_costs(self) -> Decimal | None:
        return self.pick((None, Decimal(1), Decimal(2), Decimal(0)))

    def costs(self) -> list[AllocatedCost]:
        """One or two additional costs."""
        return [self._cost(self._money(TINY_OR_ANY)) for _ in range(self.number(1, 2))]

    def landed_costs(self) -> list[AllocatedCost]:
        """The same, but some below zero."""
        return [self._cost(self._money(TINY_OR_ANY) * self.pick((1, -1))) for _ in range(self.number(1, 2))]

    def _cost(self, amount: Decimal) -> AllocatedCost:
        return AllocatedCost(
            account=self.pick(ACCOUNTS), amount=Money(amount), spread=self.pick(("amount", "quantity", "share"))
        )

    def _money(self, minor_units: st.SearchStrategy[int]) -> Decimal:
        return Decimal(self._draw(minor_units)).scaleb(-self._digits)


@cache
def _integers(least: int, most: int) -> st.SearchStrategy[int]:
    """Making a strategy costs more than drawing from it."""
    return st.integers(least, most)
