"""The money side of a sale: what was sold and taxed on one side, what was tendered or is owed on the other.

Net per line, tax per code, tenders and cash rounding must add up; no tax is computed here. Given only a price, the net
is price times quantity, rounded, and what is not tendered at all is owed by the customer.
"""

from decimal import Decimal

from services.receiving.decide.accounts import account_of, is_known
from services.receiving.decide.case import Case
from services.receiving.decide.lines import numbered
from services.receiving.decide.series import count_serials
from shared.contracts.movement import AccountAmount, MoneySides, RequestedLine, Tender
from shared.purposes import Role
from shared.quantities import ZERO, Money, amount_of, fits

AMOUNT_LIMIT = Decimal(10) ** 15
"""No amount may be as large: `Money` has 15 digits before its point."""


TENDERS = ("cash", "card")
"""Kinds of tender that have an account by default, of their own name; any other kind is an account of the company."""


def money_sides(case: Case) -> MoneySides | None:
    """Both sides of a sale's money with their accounts; None for other purposes, or where a reason was noted."""
    if not case.purpose.has_money:
        if case.movement.money is not None:
            case.refuse("money_not_allowed", None, purpose=case.purpose.name)
        return None
    before = len(case.reasons)
    sold = [each for number, line in numbered(case.movement.lines) for each in _line_credits(case, number, line)]
    due = sum((each.amount for each in sold), ZERO)
    check_size(case, None, due)
    debits = _debits(case, due)
    if len(case.reasons) > before:
        return None
    return MoneySides(debits=_without_zero(debits), credits=_without_zero(sold))


def _line_credits(case: Case, number: int, line: RequestedLine) -> list[AccountAmount]:
    net = _net(case, number, line)
    income = _account(case, number, line.account, account_of(case.company, Role.INCOME))
    booked = [AccountAmount(account=income, amount=Money(net), line=number)]
    for tax in line.tax:
        account = _account(case, number, tax.account, account_of(case.company, Role.TAX))
        booked.append(AccountAmount(account=account, amount=_checked(case, number, tax.amount), line=number))
    return booked


def _net(case: Case, number: int, line: RequestedLine) -> Decimal:
    if line.net is not None:
        return _checked(case, number, line.net)
    if line.price is None:
        case.refuse("price_missing", number)
        return ZERO
    if line.price < ZERO:
        case.refuse("price_negative", number, price=line.price)
    net = amount_of(_entered(line), line.price, case.company.digits)
    check_size(case, number, net)
    return net


def check_size(case: Case, number: int | None, amount: Decimal) -> None:
    """Refuse an amount that no message could carry."""
    if abs(amount) >= AMOUNT_LIMIT:
        case.refuse("amount_too_large", number, amount=amount, limit=AMOUNT_LIMIT)


def _entered(line: RequestedLine) -> Decimal:
    """The quantity that a price is for; of named serials it is their count, and a line of services is one."""
    if line.quantity is not None:
        return line.quantity
    return Decimal(count_serials(line.serials or ()) or 1)


def _debits(case: Case, due: Decimal) -> list[AccountAmount]:
    money = case.movement.money
    tenders = money.tenders if money is not None else []
    rounding = money.rounding if money is not None and money.rounding is not None else Money(0)
    debits = [_tendered(case, tender) for tender in tenders]
    _checked(case, None, rounding)
    if tenders:
        tendered = sum((debit.amount for debit in debits), ZERO)
        if tendered + rounding != due:
            case.refuse("money_unbalanced", None, due=due, tendered=tendered, rounding=rounding)
    else:
        debits.append(AccountAmount(account=account_of(case.company, Role.RECEIVABLE), amount=Money(due - rounding)))
    debits.append(AccountAmount(account=account_of(case.company, Role.CASH_ROUNDING), amount=rounding))
    return debits


def _tendered(case: Case, tender: Tender) -> AccountAmount:
    """A tender books to the account that it names; a kind of tender (`cash`, `card`) is an account of that code."""
    if tender.account is None and tender.kind is None:
        case.refuse("tender_without_account", None, amount=tender.amount)
    named = tender.account or (None if tender.kind in TENDERS else tender.kind)
    account = _account(case, None, named, tender.kind or account_of(case.company, Role.RECEIVABLE))
    return AccountAmount(account=account, amount=_checked(case, None, tender.amount))


def _account(case: Case, number: int | None, named: str | None, default: str) -> str:
    if named is not None and not is_known(case.company, named):
        case.refuse("unknown_account", number, account=named)
    return named or default


def _checked(case: Case, number: int | None, amount: Money) -> Money:
    if not fits(amount, case.company.digits):
        case.refuse("too_many_places", number, amount=amount, currency=case.company.currency)
    return amount


def _without_zero(amounts: list[AccountAmount]) -> list[AccountAmount]:
    return [each for each in amounts if each.amount != ZERO]
