"""Which accounts a movement books to: the company's account of each role, and those that the movement names.

An account that holds stock says what stock is worth, so nothing else is booked there: only the legs of stock are, each
to the account of its warehouse.
"""

from collections.abc import Iterator, Sequence
from functools import cache

from services.receiving.decide.case import Case
from services.receiving.decide.stock import Company
from shared.contracts.movement import MovementAllocated
from shared.purposes import Flow, Purpose, Role

TENDERS = ("cash", "card")
"""Kinds of tender that have an account by default, of their own name; any other kind is an account of the company."""


def account_of(company: Company, role: Role) -> str:
    """The company's account of a role; by default it has the role's own name."""
    return company.roles.get(role, role.value)


def booked_accounts(case: Case) -> dict[Role, str]:
    """The account of each role that the movement books to, with its difference account in place; faults are noted."""
    purpose = case.purpose
    accounts = {role: account_of(case.company, role) for role in _roles_of(purpose)}
    named = case.movement.difference_account
    counter = purpose.counter
    opening = case.movement.opening and purpose.flow is Flow.COUNT
    own = account_of(case.company, Role.TEMPORARY_OPENING if opening else counter)
    if opening:
        accounts[counter] = own
    if named is None or named == own:
        pass
    elif opening or not purpose.takes_difference:
        case.refuse("account_fixed", None, purpose=purpose.name, account=named, fixed=own)
    elif is_known(case.company, named) or holds_stock(case.company, named):
        accounts[counter] = named
    else:
        case.refuse("unknown_account", None, account=named)
    for role, account in accounts.items():
        if holds_stock(case.company, account):
            case.refuse("account_holds_stock", None, account=account, role=role.value)
    return accounts


@cache
def _roles_of(purpose: Purpose) -> Sequence[Role]:
    roles = {purpose.debit, purpose.credit, purpose.gap, purpose.true_up, Role.STOCK_ADJUSTMENT}
    return sorted(roles - {Role.STOCK})


def named_account(case: Case, line: int | None, named: str | None, default: str) -> str:
    """The account that a movement names, else the default one; what is wrong with it is noted."""
    account = named or default
    if holds_stock(case.company, account):
        case.refuse("account_holds_stock", line, account=account)
    elif named is not None and not is_known(case.company, named):
        case.refuse("unknown_account", line, account=named)
    return account


def is_known(company: Company, account: str) -> bool:
    """Whether a company has an account: one that it defined, or one that a role has by default."""
    return account in company.accounts or any(account == account_of(company, role) for role in Role)


def holds_stock(company: Company, account: str) -> bool:
    """Whether an account holds stock: a warehouse's does, and the one that warehouses have by default."""
    return account in company.stock_accounts or account == account_of(company, Role.STOCK)


def serves(company: Company, account: str) -> str | None:
    """What an account is for beside stock: a role, a kind of tender, or `bookings` that were made; None: nothing."""
    roles = (role.value for role in Role if role is not Role.STOCK and account_of(company, role) == account)
    if account in TENDERS:
        return account
    return next(roles, "bookings" if account in company.booked else None)


def accounts_named(allocated: MovementAllocated) -> Iterator[str]:
    """Every account beside those of stock that a movement books to, or may still book to when it is corrected."""
    yield from allocated.accounts.values()
    yield from (cost.account for cost in allocated.additional_costs)
    if allocated.money is not None:
        yield from (each.account for each in (*allocated.money.debits, *allocated.money.credits))
