"""Unposted Sales: sales and returns that wait or were rejected, with the money that went over the counter all the same.

`amount` is what was tendered, else what the lines come to; what comes back counts less. It is empty where nothing says
how much it was. `why` are the codes of a rejection, or what is lacking.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy import Row as Found

from services.receiving.decide.series import count_serials
from shared.contracts.codec import Malformed, decoder, read, read_outline
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.db import query
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, amount_of, currency_digits
from shared.report import Column, Filters, Kind, Report, Row

_UNDONE = """
SELECT source, id, state, company, purpose, since, request, outcome, lacks FROM receiving.undone
WHERE purpose IS NULL OR purpose = ANY(:purposes) ORDER BY since, source, id
"""
_COMPANIES = "SELECT company, currency FROM receiving.companies"
_WAREHOUSES = "SELECT company, warehouse FROM receiving.warehouses"
_WITH_MONEY = [each.name for each in PURPOSES.values() if each.has_money]


class _Ticket(msgspec.Struct):
    """What can be said of a movement whatever is wrong with it: its fields as they stand in the JSON."""

    company: Any = None
    document: Any = None
    purpose: Any = None
    customer: Any = None


class _Refused(msgspec.Struct):
    """The codes of an outcome."""

    reasons: list[Mapping[str, Any]] = []


_movements = decoder(MovementRequested)
_tickets = decoder(_Ticket)
_refusals = decoder(_Refused)


@dataclass(frozen=True, slots=True)
class _Books:
    """The currency of each company, and the companies that have a warehouse of each code."""

    currencies: Mapping[str, str]
    companies: Mapping[str, Collection[str]]


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    books = _books(connection)
    for row in query(connection, _UNDONE, purposes=_WITH_MONEY):
        for ticket in _ticket(row, books):
            if filters.company in (None, ticket[0]):
                yield ticket


def _books(connection: Connection) -> _Books:
    companies: dict[str, set[str]] = {}
    for row in query(connection, _WAREHOUSES):
        companies.setdefault(row.warehouse, set()).add(row.company)
    return _Books({row.company: row.currency for row in query(connection, _COMPANIES)}, companies)


def _ticket(row: Found[Any], books: _Books) -> Iterator[Row]:
    """A movement as the report tells it; none where it is neither a sale nor a return of one."""
    asked = _asked(row)
    purpose = row.purpose or asked.purpose
    if purpose in _WITH_MONEY:
        movement = asked if isinstance(asked, MovementRequested) else None
        company = row.company or _company(asked, books)
        currency = books.currencies.get(company or "")
        amount = _amount(movement, currency_digits(currency or "")) if movement is not None else None
        at: datetime | None = movement.posting_at if movement is not None else None
        about = (company, row.source, row.id, _text(asked.document), purpose, at)
        yield (*about, row.state, _why(row), _text(asked.customer), amount, currency, row.since)


def _asked(row: Found[Any]) -> MovementRequested | _Ticket:
    body = bytes(row.request or b"{}")
    try:
        return read(_movements, body)
    except Malformed:
        pass
    try:
        return read_outline(_tickets, body)
    except Malformed:
        return _Ticket()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _company(asked: MovementRequested | _Ticket, books: _Books) -> str | None:
    """The company that a movement names, else the one that has all of its warehouses."""
    if _text(asked.company) or not isinstance(asked, MovementRequested):
        return _text(asked.company)
    codes = {code for line in asked.lines for code in (line.source, line.target) if code is not None}
    having = [set(books.companies.get(code, ())) for code in codes]
    common = set.intersection(*having) if having else set()
    return common.pop() if len(common) == 1 else None


def _why(row: Found[Any]) -> str:
    if row.outcome is None:
        return ", ".join(row.lacks)
    reasons = read_outline(_refusals, bytes(row.outcome)).reasons
    return ", ".join(dict.fromkeys(str(each.get("code")) for each in reasons))


def _amount(movement: MovementRequested, digits: int) -> Decimal | None:
    """What a ticket brought in; below zero what it gave back. None where it states no money at all."""
    returned = PURPOSES[movement.purpose].flow is Flow.COME_BACK
    tenders = movement.money.tenders if movement.money is not None else []
    if tenders:
        paid = sum((each.amount for each in tenders), ZERO)
        return -paid if returned else paid
    amounts = [_line_amount(line, digits, returned=returned) for line in movement.lines if _states_money(line)]
    return sum(amounts, ZERO) if amounts else None


def _states_money(line: RequestedLine) -> bool:
    return line.net is not None or line.price is not None or bool(line.tax)


def _line_amount(line: RequestedLine, digits: int, *, returned: bool) -> Decimal:
    """Net and tax of a line; a line of a sale comes back where it has a target alone."""
    net: Decimal = line.net if line.net is not None else ZERO
    if line.net is None and line.price is not None:
        quantity = line.quantity if line.quantity is not None else Decimal(count_serials(line.serials or ()) or 1)
        net = amount_of(quantity, line.price, digits)
    amount = net + sum((tax.amount for tax in line.tax), ZERO)
    return -amount if returned or (line.target is not None and line.source is None) else amount


REPORT = Report(
    name="unposted",
    title="Unposted Sales",
    columns=(
        Column("company"),
        Column("source"),
        Column("id"),
        Column("document"),
        Column("purpose"),
        Column("posting_at", Kind.TIME),
        Column("state"),
        Column("why"),
        Column("customer"),
        Column("amount", Kind.MONEY),
        Column("currency"),
        Column("since", Kind.TIME),
    ),
    takes=("company",),
    read=_read,
)
