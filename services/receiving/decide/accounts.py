"""Which accounts a movement books to: the company's account of each role, and those that the movement names."""

from services.receiving.decide.case import Case
from services.receiving.decide.stock import Company
from shared.purposes import Flow, Role


def account_of(company: Company, role: Role) -> str:
    """The company's account of a role; by default it has the role's own name."""
    return company.roles.get(role, role.value)


def booked_accounts(case: Case) -> dict[Role, str]:
    """The account of each role that the movement books to, with its difference account in place; faults are noted."""
    purpose = case.purpose
    roles = {purpose.debit, purpose.credit, purpose.gap, purpose.true_up, Role.STOCK_ADJUSTMENT} - {Role.STOCK}
    accounts = {role: account_of(case.company, role) for role in sorted(roles)}
    named = case.movement.difference_account
    counter = purpose.counter
    opening = case.movement.opening and purpose.flow is Flow.COUNT
    own = account_of(case.company, Role.TEMPORARY_OPENING if opening else counter)
    if opening:
        accounts[counter] = own
    if named is None or named == own:
        return accounts
    if opening or not purpose.takes_difference:
        case.refuse("account_fixed", None, purpose=purpose.name, account=named, fixed=own)
    elif is_known(case.company, named):
        accounts[counter] = named
    else:
        case.refuse("unknown_account", None, account=named)
    return accounts


def is_known(company: Company, account: str) -> bool:
    """Whether a company has an account: one that it defined, or one that a role has by default."""
    return account in company.accounts or any(account == account_of(company, role) for role in Role)
