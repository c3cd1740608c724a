"""What is told of a leg so far: by its own entry, and by all that was added to it since.

The one idea: an entry is never changed, so what a leg came to is a sum. What trued up an earlier shortage when it
arrived is kept apart from it: the two are booked to different accounts, and change for different reasons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from services.ledger.decide.valuation import Costs
from shared.quantities import ZERO

Booked = Mapping[str, Decimal]
"""What goes to which other accounts than the purpose's own."""


@dataclass(slots=True)
class Told:
    """The sum of what is told of a leg.

    `worth` is the exact worth that left or came in, `costs` those of its serials as they are now. `rate` is the one
    that goods brought along which left for another bin and were too cheap to have a value. `true_up` and
    `true_up_booked` are what it trued up.
    """

    value: Decimal = ZERO
    worth: Decimal = ZERO
    booked: dict[str, Decimal] = field(default_factory=dict)
    costs: dict[str, Decimal] = field(default_factory=dict)
    rate: Decimal | None = None
    true_up: Decimal = ZERO
    true_up_booked: dict[str, Decimal] = field(default_factory=dict)

    def add(self, value: Decimal, worth: Decimal, booked: Booked, costs: Costs, *, true_up: bool = False) -> None:
        """An entry more; those of a leg are added in the order in which they were made."""
        if true_up:
            self.true_up += value
            add_up(self.true_up_booked, booked)
        else:
            self.value += value
            self.worth += worth
            add_up(self.booked, booked)
            self.costs.update(costs)

    def copy(self) -> "Told":
        """The same, to be added to without changing this one."""
        booked, trued = dict(self.booked), dict(self.true_up_booked)
        return replace(self, booked=booked, costs=dict(self.costs), true_up_booked=trued)

    @property
    def whole_booked(self) -> dict[str, Decimal]:
        """All that was booked apart."""
        return add_up(dict(self.booked), self.true_up_booked)

    @property
    def base(self) -> Decimal:
        """What came in before costs were added."""
        return self.worth - sum(self.booked.values(), ZERO)


def add_up(amounts: dict[str, Decimal], further: Booked, sign: int = 1) -> dict[str, Decimal]:
    """Add amounts, by account, to others; with sign -1 take them away. The changed ones come back."""
    for account, amount in further.items():
        amounts[account] = amounts.get(account, ZERO) + sign * amount
    return amounts


def without_zeros(amounts: Booked) -> dict[str, Decimal]:
    """The amounts that are not zero."""
    return {account: amount for account, amount in amounts.items() if amount}
