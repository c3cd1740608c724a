"""What a return of a sale gives back where it states no money: its part of the sale's own net and taxes.

A line of the sale is given back bit by bit, in proportion to its quantity. Each time as much as makes up, rounded, the
part that is returned by then, so that a line returned as a whole gives back all that it came to.
"""

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal

from services.receiving.decide.case import Case, Plan
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import Returned
from shared.contracts.movement import AccountAmount
from shared.quantities import ZERO, Money, spread


def refunds(case: Case, planned: Plan) -> Mapping[int, list[AccountAmount]]:
    """By the number of each line that returns some of the original, the accounts and amounts that it gives back."""
    original = case.original
    if original is None or original.money is None:
        return {}
    amounts: dict[int | None, list[AccountAmount]] = defaultdict(list)
    for each in original.money.credits:
        amounts[each.line].append(each)
    line_of: dict[str | None, int] = {}
    quantities: dict[int, Decimal] = defaultdict(Decimal)
    returned: dict[int, Decimal] = defaultdict(Decimal)
    for entry, leg in legs_with_entries(original):
        if leg.quantity < ZERO:
            line_of[entry] = leg.line
            quantities[leg.line] -= leg.quantity
            returned[leg.line] += (case.draft.stock.returned.get(entry) or Returned()).quantity
    given: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for portion in planned.came:
        line = line_of[portion.original]
        before, now = returned[line], returned[line] + portion.quantity
        returned[line] = now
        for each in amounts[line]:
            parts = [_part(each.amount, quantity, quantities[line], original.digits) for quantity in (before, now)]
            given[portion.line.number][each.account] += parts[1] - parts[0]
    return {
        number: [AccountAmount(account=account, amount=Money(amount), line=number) for account, amount in by.items()]
        for number, by in given.items()
    }


def _part(amount: Decimal, quantity: Decimal, whole: Decimal, digits: int) -> Decimal:
    """The part of an amount that belongs to a part of a quantity, rounded."""
    return spread(amount, [quantity, whole - quantity], digits)[0]
