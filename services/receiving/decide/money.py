"""The money of a sale: what was sold and taxed on one side, what was tendered or is owed on the other.

Net per line, tax per code, tenders and cash rounding must add up; no tax is computed here. Given only a price, the net
is price times quantity, rounded, and what is not tendered at all is owed by the customer. The money of a return is the
mirror of it. In an exchange what comes back stands among the debits, and is due the less.
"""

from collections.abc import Iterable
from decimal import Decimal

from services.receiving.decide.accounts import TENDERS, account_of, named_account
from services.receiving.decide.case import Case, Plan
from services.receiving.decide.lines import comes_back, numbered
from services.receiving.decide.refunds import refunds
from services.receiving.decide.series import count_serials
from shared.contracts.movement import AccountAmount, MoneySides, RequestedLine, Tender, TicketMoney
from shared.purposes import PURPOSES, Flow, Role
from shared.quantities import ZERO, Money, amount_of, fits

AMOUNT_LIMIT = Decimal(10) ** 15
"""No amount may be as large: `Money` has 15 digits before its point."""


def money_sides(case: Case, planned: Plan) -> MoneySides | None:
    """Both sides of a movement's money with their accounts; None where it has none, or where a reason was noted."""
    if not _has_money(case):
        if _says_money(case):
            case.refuse("money_not_allowed", None, purpose=case.purpose.name)
        return None
    _check_against(case)
    debits, credits_ = _returned(case, planned), _sold(case)
    returns = case.purpose.flow is Flow.COME_BACK
    paying, owing = (credits_, debits) if returns else (debits, credits_)
    _pay(case, paying, owing)
    return None if case.reasons else MoneySides(debits=_without_zero(debits), credits=_without_zero(credits_))


def _has_money(case: Case) -> bool:
    """Whether a movement has a money side: a return has one where its original had, else where it says so."""
    if case.purpose.flow is not Flow.COME_BACK:
        return case.purpose.has_money
    return _says_money(case) if case.original is None else PURPOSES[case.original.purpose].has_money


def _says_money(case: Case) -> bool:
    """Whether a movement says anything of money; on the lines of one that never has any, it is not looked for."""
    lines = case.movement.lines if case.purpose.has_money else ()
    return case.movement.money is not None or any(_states_money(line) for line in lines)


def _states_money(line: RequestedLine) -> bool:
    return bool(line.tax) or any(said is not None for said in (line.net, line.price, line.account))


def _check_against(case: Case) -> None:
    """A sale names an original only for what comes back of it."""
    against = case.movement.against
    if against is not None and not any(comes_back(case, line) for line in case.movement.lines):
        case.refuse("against_not_allowed", None, purpose=case.purpose.name, against=against.id)


def _sold(case: Case) -> list[AccountAmount]:
    """The income and taxes of the lines that sell."""
    lines = [(number, line) for number, line in numbered(case.movement.lines) if not comes_back(case, line)]
    return [each for number, line in lines for each in _stated(case, number, line)]


def _returned(case: Case, planned: Plan) -> list[AccountAmount]:
    """The income and taxes that the lines which come back take away again: as stated, else their part of the sale."""
    lines = [(number, line) for number, line in numbered(case.movement.lines) if comes_back(case, line)]
    parts = refunds(case, planned) if any(_takes_its_part(case, line) for _, line in lines) else {}
    return [
        each
        for number, line in lines
        for each in (parts.get(number, ()) if _takes_its_part(case, line) else _stated(case, number, line))
    ]


def _takes_its_part(case: Case, line: RequestedLine) -> bool:
    """Whether a line gives back its part of what the original came to: it says nothing else."""
    return comes_back(case, line) and case.movement.against is not None and not _states_money(line)


def _stated(case: Case, number: int, line: RequestedLine) -> list[AccountAmount]:
    net = _net(case, number, line)
    income = named_account(case, number, line.account, account_of(case.company, Role.INCOME))
    booked = [AccountAmount(account=income, amount=Money(net), line=number)]
    for tax in line.tax:
        account = named_account(case, number, tax.account, account_of(case.company, Role.TAX))
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


def _pay(case: Case, paying: list[AccountAmount], owing: list[AccountAmount]) -> None:
    """Add tenders and rounding to the side that pays what the other owes; without tenders the customer's account is
    that side, or the other one where it is owed the other way round.
    """
    money = case.movement.money or TicketMoney()
    due = _total(owing) - _total(paying)
    check_size(case, None, due)
    tenders = [_tendered(case, tender) for tender in money.tenders]
    rounding = _checked(case, None, Money(0) if money.rounding is None else money.rounding)
    owed = due - rounding - _total(tenders)
    if not tenders:
        account = named_account(case, None, None, account_of(case.company, Role.RECEIVABLE))
        receivable = AccountAmount(account=account, amount=Money(abs(owed)))
        (paying if owed >= ZERO else owing).append(receivable)
    elif owed and _is_due(case):
        case.refuse("money_unbalanced", None, due=due, tendered=_total(tenders), rounding=rounding)
    account = named_account(case, None, None, account_of(case.company, Role.CASH_ROUNDING))
    paying += [*tenders, AccountAmount(account=account, amount=rounding)]


def _is_due(case: Case) -> bool:
    """Whether it is known what is due: the part of what does not come back after all is not."""
    return not (case.reasons and any(_takes_its_part(case, line) for line in case.movement.lines))


def _tendered(case: Case, tender: Tender) -> AccountAmount:
    """A tender books to the account that it names; a kind of tender (`cash`, `card`) is an account of that code."""
    if tender.account is None and tender.kind is None:
        case.refuse("tender_without_account", None, amount=tender.amount)
    named = tender.account or (None if tender.kind in TENDERS else tender.kind)
    account = named_account(case, None, named, tender.kind or account_of(case.company, Role.RECEIVABLE))
    return AccountAmount(account=account, amount=_checked(case, None, tender.amount))


def _checked(case: Case, number: int | None, amount: Money) -> Money:
    if not fits(amount, case.company.digits):
        case.refuse("too_many_places", number, amount=amount, currency=case.company.currency)
    return amount


def _total(amounts: Iterable[AccountAmount]) -> Decimal:
    return sum((each.amount for each in amounts), ZERO)


def _without_zero(amounts: list[AccountAmount]) -> list[AccountAmount]:
    return [each for each in amounts if each.amount != ZERO]
