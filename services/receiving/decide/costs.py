"""Additional costs: what a movement adds to the value of what comes in, with their accounts."""

from services.receiving.decide.accounts import account_of, named_account
from services.receiving.decide.case import Case
from services.receiving.decide.money import check_size
from shared.contracts.movement import AllocatedCost
from shared.purposes import Flow, Role
from shared.quantities import ZERO, fits


def allocated_costs(case: Case) -> list[AllocatedCost]:
    """The additional costs with their accounts, those of zero left out; what is wrong with them is noted.

    A landed cost is nothing but its costs, and may take away from the value of a receipt; any other only adds to it.
    """
    costs = case.movement.additional_costs
    landing = case.purpose.flow is Flow.LAND
    # What is made has a share in any case.
    shared = case.purpose.flow is Flow.MAKE or any(line.share for line in case.movement.lines)
    if costs and not case.purpose.takes_costs:
        case.refuse("costs_not_allowed", None, purpose=case.purpose.name)
    if landing and not costs:
        case.refuse("costs_missing", None, purpose=case.purpose.name)
    for cost in costs:
        if not fits(cost.amount, case.company.digits):
            case.refuse("too_many_places", None, amount=cost.amount, currency=case.company.currency)
        if cost.amount < ZERO and not landing:
            case.refuse("cost_negative", None, amount=cost.amount)
        if cost.spread == "share" and not shared:
            case.refuse("share_missing", None, amount=cost.amount)
    check_size(case, None, sum((abs(cost.amount) for cost in costs), ZERO))
    default = account_of(case.company, Role.EXPENSES_IN_VALUATION)
    accounts = [named_account(case, None, cost.account, default) for cost in costs]
    return [
        AllocatedCost(account=account, amount=cost.amount, spread=cost.spread)
        for cost, account in zip(costs, accounts, strict=True)
        if cost.amount
    ]
