"""The journal entry of a posted movement: a set of transfers, so that it cannot but balance.

Each transfer is an amount above zero from a credited to a debited account. The row of the purpose says which roles a
positive amount debits and credits; a negative one swaps them. Nothing is netted: every ledger entry that changes value
keeps a transfer of its own, and the transfers on a stock account add up to the values of the entries on it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

from shared.contracts.journal import JournalPosted, JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken, Unprocessable
from shared.purposes import PURPOSES, Flow, Purpose, Role
from shared.quantities import ZERO, Money

_Side = tuple[str, Decimal, int | None]
"""An account, what is still to be booked on it, and the line that it belongs to."""


def book(posted: MovementPosted, journal_entry: UUID) -> JournalPosted | None:
    """The journal entry, of the given id, of a movement; None where its company keeps no perpetual accounting.

    Raises Unprocessable for a purpose that is not in the table, InvariantBroken where the movement lacks an account, a
    transfer between warehouses has an end without the other, or the money does not balance.
    """
    if not posted.perpetual:
        return None
    return JournalPosted(
        journal_entry=str(journal_entry),
        source=posted.source,
        id=posted.id,
        company=posted.company,
        currency=posted.currency,
        purpose=posted.purpose,
        effective_at=posted.effective_at,
        recorded_at=posted.recorded_at,
        posting_date=posted.posting_date,
        document=posted.document,
        transfers=[*_stock_transfers(posted), *_money_transfers(posted.money)],
        trace=posted.trace,
    )


def _stock_transfers(posted: MovementPosted) -> Iterator[JournalTransfer]:
    purpose = PURPOSES.get(posted.purpose)
    if purpose is None:
        raise Unprocessable("no such purpose", "unknown_purpose", purpose=posted.purpose)
    if purpose.flow is Flow.MOVE:
        return _moves(posted)
    return _changes(posted, purpose)


def _changes(posted: MovementPosted, purpose: Purpose) -> Iterator[JournalTransfer]:
    """What came in or went out: each entry's value between its stock account and the purpose's counter account."""
    for entry in posted.entries:
        if entry.value:
            counter = _account(posted, purpose.counter)
            if purpose.debit is Role.STOCK:
                yield _transfer(entry.stock_account, counter, entry.value, entry)
            else:
                yield _transfer(counter, entry.stock_account, -entry.value, entry)


def _moves(posted: MovementPosted) -> Iterator[JournalTransfer]:
    """What changed its warehouse: the value that left, booked by the arriving entry.

    The two ends are rounded apart and may differ by a cent; that goes to stock adjustment, on the arriving side.
    """
    for entry, left in _arrivals(posted.entries):
        if left.value:
            yield _transfer(entry.stock_account, left.stock_account, -left.value, entry)
        if gap := entry.value + left.value:
            yield _transfer(entry.stock_account, _account(posted, Role.STOCK_ADJUSTMENT), gap, entry)


def _arrivals(entries: Sequence[PostedEntry]) -> Iterator[tuple[PostedEntry, PostedEntry]]:
    """Each arriving entry with the one that left for it; every other entry has left for exactly one."""
    arriving = [(entry, entry.arrives_from) for entry in entries if entry.arrives_from is not None]
    leaving = [place for place, entry in enumerate(entries) if entry.arrives_from is None]
    arrived = sorted(place for _, place in arriving)
    if arrived != leaving:
        raise InvariantBroken("what leaves must arrive once", leaving=leaving, arrived=arrived)
    return ((entry, entries[place]) for entry, place in arriving)


def _account(posted: MovementPosted, role: Role) -> str:
    try:
        return posted.accounts[role]
    except KeyError:
        raise InvariantBroken("the movement names no account for the role", role=role, id=posted.id) from None


def _money_transfers(money: MoneySides | None) -> Iterator[JournalTransfer]:
    """The money of a sale: debits and credits, paired in their order; what is left of one meets the next of the other.

    A negative amount stands on the other side, behind that side's own.
    """
    if money is None:
        return
    debited = deque([*_sides(money.debits, 1), *_sides(money.credits, -1)])
    credited = deque([*_sides(money.credits, 1), *_sides(money.debits, -1)])
    while debited and credited:
        (debit, owed, debit_line), (credit, given, credit_line) = debited.popleft(), credited.popleft()
        amount = min(owed, given)
        line = _common_line(debit_line, credit_line)
        yield JournalTransfer(debit=debit, credit=credit, amount=Money(amount), line=line)
        if owed > amount:
            debited.appendleft((debit, owed - amount, debit_line))
        if given > amount:
            credited.appendleft((credit, given - amount, credit_line))
    if debited or credited:
        raise InvariantBroken("the money does not balance", debited=list(debited), credited=list(credited))


def _sides(amounts: Sequence[AccountAmount], sign: int) -> Iterator[_Side]:
    """The amounts that have this sign, as positive ones."""
    for each in amounts:
        if (amount := each.amount * sign) > ZERO:
            yield (each.account, amount, each.line)


def _common_line(debit: int | None, credit: int | None) -> int | None:
    """The line that a transfer belongs to: that of either side; none where it stands between two lines."""
    if debit is None or credit is None:
        return credit if debit is None else debit
    return debit if debit == credit else None


def _transfer(debit: str, credit: str, amount: Decimal, entry: PostedEntry) -> JournalTransfer:
    """A transfer that books a ledger entry; a negative amount swaps its sides."""
    if amount < ZERO:
        debit, credit, amount = credit, debit, -amount
    return JournalTransfer(debit=debit, credit=credit, amount=Money(amount), line=entry.line, entry=entry.entry)
