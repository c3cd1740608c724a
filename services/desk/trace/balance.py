"""Mass balance: all that came of some goods, and all that went, is what there is.

The two sides have nothing to do with each other: the one is added up from the ledger's entries, the other is what the
ledger holds in its bins. Entries of movements that were cancelled count, with those that cancel them: they add up to
nothing, or something is wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from services.desk.trace.goods import Goods, Kind, kind_of
from shared.quantities import ZERO

CAME = (Kind.RECEIVED, Kind.PRODUCED, Kind.RETURNED)
WENT = (Kind.CONSUMED, Kind.DELIVERED, Kind.ISSUED, Kind.SCRAPPED, Kind.SENT_BACK)


class Sum(NamedTuple):
    """All entries of some goods in a warehouse, of one purpose, that have the same sign and undo the same or nothing.

    `quantity` up to the moment that is asked for, `later` after it. `corrects`: they are what counts found later on.
    """

    goods: Goods
    warehouse: str
    purpose: str
    undoes: str | None
    corrects: bool
    quantity: Decimal
    later: Decimal


@dataclass(slots=True)
class Balance:
    """What happened to goods up to a moment, by kind and with its sign, and what stands where at that moment.

    That is what stands there now, less what came since.
    """

    sums: dict[Kind, Decimal] = field(default_factory=dict)
    on_hand: dict[str, Decimal] = field(default_factory=dict)

    def of(self, kind: Kind) -> Decimal:
        """How much, not below zero where all is as it should be; of what was counted, the difference."""
        found = self.sums.get(kind, ZERO)
        return -found if kind in WENT else found

    @property
    def standing(self) -> Decimal:
        """What stands anywhere."""
        return sum(self.on_hand.values(), ZERO)

    @property
    def difference(self) -> Decimal:
        """How much more came than went and is there: nothing, where it holds."""
        return sum(self.sums.values(), ZERO) - self.standing

    @property
    def holds(self) -> bool:
        """Whether all is accounted for; what moved neither came nor went."""
        return not self.difference and not self.sums.get(Kind.MOVED, ZERO)


def balances(
    goods: Iterable[Goods], sums: Iterable[Sum], on_hand: Mapping[Goods, Mapping[str, Decimal]]
) -> dict[Goods, Balance]:
    """The balance of each of these goods; `on_hand` is what stands in which warehouse now."""
    found = {each: Balance(on_hand=dict(on_hand.get(each, {}))) for each in goods}
    for each in sums:
        balance = found[each.goods]
        sign = each.quantity or each.later
        kind = kind_of(each.purpose, sign, undoes=each.undoes, corrects=each.corrects)
        balance.sums[kind] = balance.sums.get(kind, ZERO) + each.quantity
        if each.later:
            balance.on_hand[each.warehouse] = balance.on_hand.get(each.warehouse, ZERO) - each.later
    return found


def added(several: Iterable[Balance]) -> Balance:
    """The balance of several goods together."""
    whole = Balance()
    for each in several:
        for kind, quantity in each.sums.items():
            whole.sums[kind] = whole.sums.get(kind, ZERO) + quantity
        for warehouse, quantity in each.on_hand.items():
            whole.on_hand[warehouse] = whole.on_hand.get(warehouse, ZERO) + quantity
    return whole
