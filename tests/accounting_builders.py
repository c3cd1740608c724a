"""Builders for accounting: movements as the ledger posted them, and what is booked of them, short enough for a table.

Accounts are called like their roles, stock accounts like their warehouses.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from services.accounting.decide.journal import book, book_revaluation
from shared.contracts.journal import JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.stock import MovementPosted, PostedEntry, StockRevalued
from shared.purposes import Role
from shared.quantities import Money, Quantity

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
JOURNAL_ENTRY = "01900000-0000-7000-8000-000000000001"
ACCOUNTS: dict[Role, str] = {role: role.value for role in Role if role is not Role.STOCK}
Booked = tuple[str, str, str]
"""Debit, credit, amount."""


def entry(
    value: str,
    account: str = "stock",
    line: int = 1,
    arrives_from: int | None = None,
    *,
    apart: Mapping[str, str] | None = None,
    quantity: str = "1",
    entry_id: str | None = None,
    part_of: str | None = None,
    corrects: str | None = None,
) -> PostedEntry:
    """A ledger entry of a value, of which the amounts `apart` go to these accounts.

    To the journal, a quantity is either zero or not; of the one that is corrected, its sign counts.
    """
    parts = [AccountAmount(account=name, amount=Money(amount)) for name, amount in (apart or {}).items()]
    return PostedEntry(
        entry=entry_id or f"entry of line {line}",
        line=line,
        item="tea",
        warehouse=account,
        quantity=Quantity(quantity),
        value=Money(value),
        stamp=1,
        quantity_after=Quantity("1"),
        value_after=Money("0"),
        arrives_from=arrives_from,
        booked=parts,
        part_of=part_of,
        corrects=None if corrects is None else Quantity(corrects),
        stock_account=account,
    )


def true_up(value: str, counter: str, account: str = "stock") -> PostedEntry:
    """What an arrival books for goods that had been issued beyond stock."""
    return entry(value, account, apart={counter: value}, quantity="0")


def correction(
    value: str,
    corrects: str,
    account: str = "stock",
    line: int = 1,
    arrives_from: int | None = None,
    apart: Mapping[str, str] | None = None,
) -> PostedEntry:
    """What an entry of this quantity turned out to be worth beside its value."""
    own = f"entry of line {line}"
    return entry(value, account, line, arrives_from, apart=apart, quantity="0", part_of=own, corrects=corrects)


def posted(
    purpose: str,
    *entries: PostedEntry,
    money: MoneySides | None = None,
    accounts: dict[Role, str] = ACCOUNTS,
    perpetual: bool = True,
    trial: OutcomeAccepted | None = None,
    mirrors: str | None = None,
    identifier: str = "M1",
) -> MovementPosted:
    """A posted movement of a company whose accounts are called like their roles."""
    return MovementPosted(
        source="till",
        id=identifier,
        company="shop",
        currency="EUR",
        digits=2,
        perpetual=perpetual,
        purpose=purpose,
        mirrors=mirrors,
        effective_at=NOON,
        recorded_at=NOON,
        posting_date=date(2026, 3, 2),
        document="D-1",
        entries=list(entries),
        accounts=accounts,
        money=money,
        trial=trial,
        trace="trace",
    )


def revaluation(*movements: MovementPosted) -> StockRevalued:
    """A revaluation that corrects these movements, recorded a day after they were."""
    return StockRevalued(
        source="ledger",
        id="shop/tea/stock/1",
        company="shop",
        item="tea",
        warehouse="stock",
        number=1,
        recorded_at=NOON + timedelta(days=1),
        movements=list(movements),
        trace="trace of the cause",
    )


def sides(debits: list[tuple[str, str, int | None]], credits_: list[tuple[str, str, int | None]]) -> MoneySides:
    """The money of a ticket: (account, amount, line) on each side."""
    return MoneySides(
        debits=[AccountAmount(account=account, amount=Money(amount), line=line) for account, amount, line in debits],
        credits=[AccountAmount(account=account, amount=Money(amount), line=line) for account, amount, line in credits_],
    )


def transfers(movement: MovementPosted) -> list[JournalTransfer]:
    """What is booked of a movement."""
    journal = book(movement, JOURNAL_ENTRY)
    assert journal is not None
    return journal.transfers


def booked(movement: MovementPosted) -> list[Booked]:
    """The same in short."""
    return [_short(each) for each in transfers(movement)]


def corrected(purpose: str, *corrections: PostedEntry) -> list[Booked]:
    """What is booked of a movement's corrections, in short."""
    journal = book_revaluation(revaluation(posted(purpose, *corrections)))
    return [_short(each) for entry in journal for each in entry.transfers]


def _short(transfer: JournalTransfer) -> Booked:
    return transfer.debit, transfer.credit, str(transfer.amount)


def by_line(movement: MovementPosted) -> list[tuple[str, str, str, int | None]]:
    """The same, with the line of the ledger entry that each transfer books."""
    found = transfers(movement)
    assert [each.entry for each in found] == [f"entry of line {each.line}" for each in found]
    return [(each.debit, each.credit, str(each.amount), each.line) for each in found]
