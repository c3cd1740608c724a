"""Unposted Sales: sales and returns that wait or were rejected, with the money that went over the counter all the same.

`amount` is what was tendered, else what the lines come to; what comes back counts less. It is empty where nothing says
how much it was. `why` are the codes of a rejection, or what is lacking. The cancellation of one stands there too, with
what was given back; not where it had been cancelled before.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy import Row as Found

from services.receiving.decide.series import count_serials
from shared.contracts.codec import Malformed, decoder, read, read_outline
from shared.contracts.movement import AccountAmount, MovementAllocated, MovementRequested, RequestedLine
from shared.db import columns, query
from shared.purposes import CANCELLATION, PURPOSES, Flow
from shared.quantities import ZERO, amount_of, currency_digits
from shared.report import Column, Filters, Kind, Report, Row
from shared.service import Key

_UNDONE = """
SELECT source, id, state, company, purpose, since, request, outcome, lacks FROM receiving.undone
WHERE purpose IS NULL OR purpose = ANY(:purposes) ORDER BY since, source, id
"""
_COMPANIES = "SELECT company, currency FROM receiving.companies"
_WAREHOUSES = "SELECT company, warehouse FROM receiving.warehouses"
_ACCEPTED = """
SELECT source, id, allocated FROM receiving.allocated
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
"""
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
_allocated = decoder(MovementAllocated)
_tickets = decoder(_Ticket)
_refusals = decoder(_Refused)


@dataclass(frozen=True, slots=True)
class _Books:
    """The currency of each company, and the companies that have a warehouse of each code."""

    currencies: Mapping[str, str]
    companies: Mapping[str, Collection[str]]


def _read(connection: Connection, filters: Filters) -> Iterable[Row]:
    books = _books(connection)
    undone = query(connection, _UNDONE, purposes=[*_WITH_MONEY, CANCELLATION.name])
    tickets = {(row.source, row.id): ticket for row in undone for ticket in _ticket(row, books)}
    about = {(row.source, row.id): key for row in undone if (key := _cancels(row)) is not None}
    accepted = _accepted(connection, books, set(about.values()) - tickets.keys())
    for row in undone:
        key = (row.source, row.id)
        ticket = tickets.get(key) or _given_back(row, {**accepted, **tickets}.get(about.get(key, key)))
        if ticket is not None and filters.company in (None, ticket[0]):
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


def _cancels(row: Found[Any]) -> Key | None:
    """The movement that a cancellation is about; None for any other, and where that does not matter any more."""
    asked = _asked(row)
    if not isinstance(asked, MovementRequested) or asked.purpose != CANCELLATION.name or asked.against is None:
        return None
    return None if "already_cancelled" in _why(row) else (asked.against.source or row.source, asked.against.id)


def _accepted(connection: Connection, books: _Books, keys: Collection[Key]) -> Mapping[Key, Row]:
    """Those of these movements that were accepted and have money, as if they stood on the report."""
    if not keys:
        return {}
    rows = query(connection, _ACCEPTED, **columns(sorted(keys), "source id"))
    found: Iterator[MovementAllocated] = (read(_allocated, bytes(row.allocated)) for row in rows)
    return {(each.source, each.id): _posted(each, books) for each in found if each.money is not None}


def _posted(movement: MovementAllocated, books: _Books) -> Row:
    money = movement.money
    amount = _of_lines(money.credits) - _of_lines(money.debits) if money is not None else None
    currency = books.currencies.get(movement.company)
    about = (movement.company, movement.source, movement.id, movement.document, movement.purpose, movement.posting_at)
    return (*about, "accepted", "", movement.customer, amount, currency, movement.recorded_at)


def _of_lines(side: Sequence[AccountAmount]) -> Decimal:
    return sum((each.amount for each in side if each.line is not None), ZERO)


def _given_back(row: Found[Any], ticket: Row | None) -> Row | None:
    """A cancellation, with the money of what it is about the other way round; none where that had no money."""
    asked = _asked(row)
    if ticket is None or not isinstance(asked, MovementRequested):
        return None
    company, document, customer, amount, currency = (ticket[each] for each in (0, 3, 8, 9, 10))
    about = (company, row.source, row.id, document, asked.purpose, asked.posting_at)
    given_back = -amount if isinstance(amount, Decimal) else None
    return (*about, row.state, _why(row), customer, given_back, currency, row.since)


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
