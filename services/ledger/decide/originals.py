"""Ledger entries that movements name: what they are worth now, and how much of them came back.

The one idea: whatever names an entry is posted behind it, so all that is known of it - its own value, what corrected
it, what was returned of it - stands in one place that every posting keeps up to date, in whatever set it takes place.
Parts are cumulative: each is what all parts so far are worth, less what those before it were worth, so that the whole
brings back neither more nor less than all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from services.ledger.decide.valuation import Costs
from shared.quantities import ZERO, spread


@dataclass(slots=True)
class Original:
    """What is known of an entry that a movement returns, sends back or revalues.

    `quantity` (without its sign), `value`, `worth` and `booked` (all that it booked apart) are the entry's own; `cost`
    is the sum of the costs of its serials, of which `costs` holds those that were looked up. `corrected` is what later
    entries added to its value, `corrected_worth` to its worth. `returned` is how much of it came back or was sent back,
    `returned_cost` the cost of the serials among that. `stamp` is that of its movement in its bin.
    """

    quantity: Decimal
    value: Decimal
    worth: Decimal
    booked: Decimal
    cost: Decimal
    costs: Costs
    corrected: Decimal = ZERO
    corrected_worth: Decimal = ZERO
    returned: Decimal = ZERO
    returned_cost: Decimal = ZERO
    stamp: int = 0

    def copy(self) -> "Original":
        """The same, to be changed without changing this one."""
        return replace(self)

    @property
    def present_value(self) -> Decimal:
        """What it is worth now, without a sign."""
        return abs(self.value + self.corrected)

    @property
    def present_worth(self) -> Decimal:
        """What a receipt is worth now, exactly."""
        return self.worth + self.corrected_worth

    @property
    def counterpart(self) -> Decimal:
        """What a receipt booked to the counter account of its purpose."""
        return self.value - self.booked

    def come_back(self, quantity: Decimal, serials: Sequence[str], digits: int) -> Decimal:
        """What a part is worth that comes back now; serials weigh what they cost, unless all of them cost nothing."""
        if self.cost:
            before, whole = self.returned_cost, self.cost
            part = sum((self.costs.get(serial, ZERO) for serial in serials), ZERO)
        else:
            before, whole, part = self.returned, self.quantity, quantity
        self._note(quantity, serials)
        return _part(self.present_value, before, part, whole, digits)

    def send_back(self, quantity: Decimal, digits: int) -> Decimal:
        """What the supplier owes for a part of a receipt that is sent back now."""
        before = self.returned
        self._note(quantity, ())
        return _part(self.counterpart, before, quantity, self.quantity, digits)

    def correct(self, value: Decimal, worth: Decimal) -> None:
        """A later entry corrected it."""
        self.corrected += value
        self.corrected_worth += worth

    def _note(self, quantity: Decimal, serials: Sequence[str]) -> None:
        self.returned += quantity
        self.returned_cost += sum((self.costs.get(serial, ZERO) for serial in serials), ZERO)


def _part(amount: Decimal, before: Decimal, part: Decimal, whole: Decimal, digits: int) -> Decimal:
    """An amount's share for a part, where the parts before it had theirs."""
    return _share(amount, before + part, whole, digits) - _share(amount, before, whole, digits)


def _share(amount: Decimal, part: Decimal, whole: Decimal, digits: int) -> Decimal:
    return spread(amount, [part, whole - part], digits)[0]
