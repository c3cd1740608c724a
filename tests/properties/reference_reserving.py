"""What may leave where goods are reserved, slowly: try every way to take it, and see whether all orders can be met.

The one idea: a way is allowed if what it leaves can still meet every reservation, less what it delivers of its own. No
totals are kept; everything is gone through each time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, product

Goods = Mapping[str, int]
"""How much stands there of each batch; of each unit 1; of untracked goods under ''."""


@dataclass(frozen=True)
class Order:
    """What a reservation of one item still keeps back: of batches or units by name, and of any."""

    named: Mapping[str, int] = field(default_factory=dict)
    any: int = 0

    def without(self, taken: Goods) -> "Order":
        """What it keeps back when so much was delivered of it: what is named first."""
        named = {name: kept - min(kept, taken.get(name, 0)) for name, kept in self.named.items()}
        rest = sum(taken.values()) - (sum(self.named.values()) - sum(named.values()))
        return Order(named, self.any - min(self.any, rest))


def all_are_met(there: Goods, orders: Mapping[str, Order]) -> bool:
    """Whether what is there is enough for all orders at once."""
    named: Counter[str] = Counter()
    for order in orders.values():
        named.update(order.named)
    enough = all(there.get(name, 0) >= kept for name, kept in named.items())
    return enough and sum(there.values()) >= named.total() + sum(order.any for order in orders.values())


def may_reserve(there: Goods, orders: Mapping[str, Order], wanted: Order) -> bool:
    """Whether an order can be met beside all others."""
    return all_are_met(there, {**orders, "": wanted})


def may_leave(there: Goods, orders: Mapping[str, Order], taken: Goods, against: str | None) -> bool:
    """Whether just this may be taken."""
    if any(there.get(name, 0) < quantity for name, quantity in taken.items()):
        return False
    return all_are_met(left(there, taken), delivered(orders, taken, against))


def may_leave_somehow(there: Goods, orders: Mapping[str, Order], quantity: int, against: str | None) -> bool:
    """Whether so much may be taken in any way."""
    return any(may_leave(there, orders, taken, against) for taken in _ways(there, quantity))


def left(there: Goods, taken: Goods) -> Goods:
    """What is left of it."""
    return {name: quantity - taken.get(name, 0) for name, quantity in there.items()}


def delivered(orders: Mapping[str, Order], taken: Goods, against: str | None) -> Mapping[str, Order]:
    """The orders when so much was delivered to one of them."""
    return {name: order.without(taken) if name == against else order for name, order in orders.items()}


def _ways(there: Goods, quantity: int) -> Iterator[Goods]:
    if all(each <= 1 for each in there.values()):
        standing = [name for name, each in there.items() if each]
        yield from (dict.fromkeys(chosen, 1) for chosen in combinations(standing, quantity))
        return
    for parts in product(*(range(min(each, quantity) + 1) for each in there.values())):
        if sum(parts) == quantity:
            yield dict(zip(there, parts, strict=True))
