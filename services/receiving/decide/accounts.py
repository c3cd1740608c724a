"""Which accounts a movement books to: the company's account of each role, and those that the movement names."""

from services.receiving.decide.case import Case
from services.receiving.decide.stock import Company
from shared.purposes import Role


def account_of(company: Company, role: Role) -> str:
    """The company's account of a role; by default it has the role's own name."""
    return company.roles.get(role, role.value)


def booked_accounts(case: Case) -> dict[Role, str]:
    """The account of each role that the movement books to, with its difference account in place; faults are noted."""
    roles = {role for role in (case.purpose.debit, case.purpose.credit) if role is not Role.STOCK}
    accounts = {role: account_of(case.company, role) for role in sorted(roles | {Role.STOCK_ADJUSTMENT})}
    named = case.movement.difference_account
    counter = case.purpose.counter
    if named is None or named == account_of(case.company, counter):
        return accounts
    if not case.purpose.takes_difference:
        fixed = account_of(case.company, counter)
        case.refuse("account_fixed", None, purpose=case.purpose.name, account=named, fixed=fixed)
    elif is_known(case.company, named):
        accounts[counter] = named
    else:
        case.refuse("unknown_account", None, account=named)
    return accounts


def is_known(company: Company, account: str) -> bool:
    """Whether a company has an account: one that it defined, or one that a role has by default."""
    return account in company.accounts or any(account == account_of(company, role) for role in Role)
