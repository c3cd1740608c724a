"""What a line says its goods are worth: by a rate of its own, or else by the last one known where they come.

A rate of 0 is none unless the line says that it is meant.
"""

from decimal import Decimal

from services.receiving.decide.case import Case, Line
from services.receiving.decide.lines import factor_of
from services.receiving.decide.money import check_size
from services.receiving.decide.stock import Warehouse
from shared.quantities import ZERO, amount_of, rate_of

RATE_LIMIT = Decimal(10) ** 12
"""No rate may be as large: a `Rate` has 12 digits before its point."""


def stated_amount(case: Case, line: Line) -> Decimal | None:
    """What a line comes to at its own rate, None where it has none."""
    rate = _own_rate(case, line)
    if rate is None:
        return None
    amount = amount_of(line.entered, rate, case.company.digits)
    check_size(case, line.number, amount)
    return amount


def stated_rate(case: Case, line: Line) -> Decimal | None:
    """A line's own rate per stock unit, None where it has none."""
    rate = _own_rate(case, line)
    factor = factor_of(line.item, line.requested.unit)
    if rate is None or factor is None:
        return None
    stock_rate = rate_of(rate, factor)
    if stock_rate >= RATE_LIMIT:
        case.refuse("amount_too_large", line, amount=stock_rate, limit=RATE_LIMIT)
    return stock_rate


def take_known_rate(case: Case, line: Line, warehouse: Warehouse) -> None:
    """A line without a rate of its own is worth the last one known in a bin, or the standard rate; one must be."""
    item = line.item
    if not case.rate_is_known(item, warehouse):
        case.refuse("rate_missing", line, item=item.item)
    check_size(case, line.number, amount_of(line.quantity, item.standard_rate or ZERO, case.company.digits))


def _own_rate(case: Case, line: Line) -> Decimal | None:
    rate = line.requested.rate
    if rate is not None and rate < ZERO:
        case.refuse("rate_negative", line, rate=rate)
    return (rate or ZERO) if rate or line.requested.allow_zero_rate else None
