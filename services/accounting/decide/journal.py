"""The journal entry of a posted movement: a set of transfers, so that it cannot but balance.

Each transfer is an amount above zero from a credited to a debited account; a negative amount swaps the two. What an
entry of the ledger books apart goes to the accounts that it names; the rest of its value goes where its purpose's flow
says. Nothing is netted, so the transfers on a stock account add up to the values of the entries on it.

What an account gets is a sum over the entries. So a movement, what corrected it, and its cancellation add up to nothing
on every account if their entries do: corrections are booked as what they correct, a cancellation as what it mirrors.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from shared.contracts.journal import JournalPosted, JournalTransfer
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.stock import MovementPosted, PostedEntry, StockRevalued
from shared.errors import InvariantBroken, Unprocessable
from shared.identity import derived_id
from shared.purposes import PURPOSES, Flow, Purpose, Role
from shared.quantities import ZERO, Money

_Side = TypeVar("_Side")
"""Whatever has an amount on one side."""


def book(posted: MovementPosted, journal_entry: str) -> JournalPosted | None:
    """The journal entry, of the given id, of a movement; None where its company keeps no perpetual accounting.

    Raises Unprocessable for a purpose that is not in the table, InvariantBroken where the movement lacks an account, a
    transfer between warehouses has an end without the other, a cancellation does not say what it mirrors, or the money
    does not balance.
    """
    return _book(posted, journal_entry, posted.recorded_at) if posted.perpetual else None


def book_revaluation(revalued: StockRevalued) -> list[JournalPosted]:
    """The journal entries of a revaluation, one for each movement that it corrects by more than nothing.

    They are recorded with the revaluation: as known before, the movements were worth what they were booked at. Raises
    what `book` raises, and InvariantBroken for a movement that is corrected twice, or in its money.
    """
    times = Counter((each.source, each.id) for each in revalued.movements)
    wrong = [each.id for each in revalued.movements if each.money is not None or times[each.source, each.id] > 1]
    if wrong:
        raise InvariantBroken("a revaluation corrects the stock of each movement once", id=revalued.id, wrong=wrong)
    corrected = (each for each in revalued.movements if each.perpetual)
    journal = (_book(each, _correction_id(revalued, each), revalued.recorded_at) for each in corrected)
    return [each for each in journal if each.transfers]


def _correction_id(revalued: StockRevalued, corrected: MovementPosted) -> str:
    return derived_id(revalued.recorded_at, revalued.source, revalued.id, corrected.source, corrected.id)


def _book(posted: MovementPosted, journal_entry: str, recorded_at: datetime) -> JournalPosted:
    return JournalPosted(
        journal_entry=journal_entry,
        source=posted.source,
        id=posted.id,
        company=posted.company,
        currency=posted.currency,
        purpose=posted.purpose,
        effective_at=posted.effective_at,
        recorded_at=recorded_at,
        posting_date=posted.posting_date,
        document=posted.document,
        transfers=[*_stock_transfers(posted), *_money_transfers(posted.money)],
        trace=posted.trace,
    )


def _stock_transfers(posted: MovementPosted) -> Iterator[JournalTransfer]:
    purpose = _booked_as(posted)
    for entry in posted.entries:
        for part in entry.booked:
            if part.amount:
                yield _transfer(entry.stock_account, part.account, part.amount, entry)
    yield from ALGORITHMS[purpose.flow](posted, purpose)


def _booked_as(posted: MovementPosted) -> Purpose:
    """The purpose by which a movement is booked: of a cancellation that of what it undoes."""
    name = posted.mirrors or posted.purpose
    if name not in PURPOSES:
        raise Unprocessable("no such purpose", "unknown_purpose", purpose=name)
    return PURPOSES[name]


def _changes(posted: MovementPosted, purpose: Purpose) -> Iterator[JournalTransfer]:
    """What came in, went out or was revalued: each entry between its stock account and the purpose's counter account.

    Its sign alone says which of them is debited, so what comes back within a sale is booked as what leaves is.
    """
    for entry in posted.entries:
        if rest := _rest(entry):
            yield _transfer(entry.stock_account, _account(posted, purpose.counter), rest, entry)


def _moves(posted: MovementPosted, _: Purpose) -> Iterator[JournalTransfer]:
    """What changed its warehouse: the value that left, booked by the arriving entry.

    The two ends are rounded apart and may differ by a cent; that goes to stock adjustment, on the arriving side. Of a
    cancellation the signs are turned, and nothing else: the entry that names the other one is the one that arrived.
    """
    for entry, left in _arrivals(posted.entries):
        moved = -_rest(left) if left else ZERO
        if left and moved:
            yield _transfer(entry.stock_account, left.stock_account, moved, entry)
        if gap := _rest(entry) - moved:
            yield _transfer(entry.stock_account, _account(posted, Role.STOCK_ADJUSTMENT), gap, entry)


def _arrivals(entries: Sequence[PostedEntry]) -> Iterator[tuple[PostedEntry, PostedEntry | None]]:
    """Each arriving entry with the one that left for it; what leaves has left for exactly one.

    A correction may arrive alone: what left is worth the same as before, what arrived is rounded otherwise.
    """
    arrived = sorted(entry.arrives_from for entry in entries if entry.arrives_from is not None)
    leaving = [place for place, entry in enumerate(entries) if entry.arrives_from is None and _leaves(entry)]
    if arrived != leaving:
        raise InvariantBroken("what leaves must arrive once", leaving=leaving, arrived=arrived)
    for entry in entries:
        if entry.arrives_from is not None:
            yield entry, entries[entry.arrives_from]
        elif entry.corrects is not None and entry.corrects > ZERO:
            yield entry, None


def _leaves(entry: PostedEntry) -> bool:
    """Whether an entry without a beginning needs an end: goods left, or value did.

    What is booked apart as a whole needs none: a true-up, a count's later difference, and what corrects one of these.
    """
    if entry.corrects is None:
        return bool(_rest(entry) or (entry.quantity and entry.part_of is None))
    return entry.corrects <= ZERO and bool(_rest(entry) or (entry.corrects and not entry.booked))


def _makes(posted: MovementPosted, _: Purpose) -> Iterator[JournalTransfer]:
    """What was consumed and what came of it, paired in their order, from stock account to stock account.

    A transfer is booked by the later of its two entries: that is the arriving one, since all that leaves stands first.
    What finds no partner goes to stock adjustment.
    """
    entries = posted.entries
    rests = [(place, _rest(entry)) for place, entry in enumerate(entries)]
    taking = deque((place, rest) for place, rest in rests if rest > ZERO)
    giving = deque((place, -rest) for place, rest in rests if rest < ZERO)
    for taker, giver, amount in _pairs(taking, giving):
        later = entries[max(taker, giver)]
        yield _transfer(entries[taker].stock_account, entries[giver].stock_account, amount, later)
    for place, gap in (*taking, *((giver, -amount) for giver, amount in giving)):
        adjustment = _account(posted, Role.STOCK_ADJUSTMENT)
        yield _transfer(entries[place].stock_account, adjustment, gap, entries[place])


def _nothing(posted: MovementPosted, _: Purpose) -> Iterator[JournalTransfer]:
    """What a cancellation has of its own: how it changed later counts, which is booked apart as a whole."""
    rests = {entry.entry: str(rest) for entry in posted.entries if (rest := _rest(entry))}
    if rests:
        raise InvariantBroken("a cancellation is booked by the purpose that it mirrors", id=posted.id, rests=rests)
    yield from ()


def _rest(entry: PostedEntry) -> Decimal:
    """What of an entry's value is not booked apart."""
    return entry.value - sum((part.amount for part in entry.booked), ZERO)


def _account(posted: MovementPosted, role: Role) -> str:
    try:
        return posted.accounts[role]
    except KeyError:
        raise InvariantBroken("the movement names no account for the role", role=role, id=posted.id) from None


def _money_transfers(money: MoneySides | None) -> Iterator[JournalTransfer]:
    """The money of a sale: debits and credits, paired in their order.

    A negative amount stands on the other side, behind that side's own.
    """
    if money is None:
        return
    debited = deque([*_sides(money.debits, 1), *_sides(money.credits, -1)])
    credited = deque([*_sides(money.credits, 1), *_sides(money.debits, -1)])
    for debit, credit, amount in _pairs(debited, credited):
        line = _common_line(debit.line, credit.line)
        yield JournalTransfer(debit=debit.account, credit=credit.account, amount=Money(amount), line=line)
    if debited or credited:
        raise InvariantBroken("the money does not balance", debited=list(debited), credited=list(credited))


def _sides(amounts: Sequence[AccountAmount], sign: int) -> Iterator[tuple[AccountAmount, Decimal]]:
    """The amounts that have this sign, as positive ones."""
    for each in amounts:
        if (amount := each.amount * sign) > ZERO:
            yield (each, amount)


def _pairs(
    debited: deque[tuple[_Side, Decimal]], credited: deque[tuple[_Side, Decimal]]
) -> Iterator[tuple[_Side, _Side, Decimal]]:
    """Both sides, paired in their order, with the amount of each pair; what finds no partner stays where it is.

    What is left of one meets the next of the other. All amounts are above zero.
    """
    while debited and credited:
        (debit, owed), (credit, given) = debited.popleft(), credited.popleft()
        amount = min(owed, given)
        if owed > amount:
            debited.appendleft((debit, owed - amount))
        if given > amount:
            credited.appendleft((credit, given - amount))
        yield debit, credit, amount


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


ALGORITHMS: Mapping[Flow, Callable[[MovementPosted, Purpose], Iterator[JournalTransfer]]] = {
    Flow.IN: _changes,
    Flow.OUT: _changes,
    Flow.COME_BACK: _changes,
    Flow.SEND_BACK: _changes,
    Flow.COUNT: _changes,
    Flow.LAND: _changes,
    Flow.WRITE_DOWN: _changes,
    Flow.MOVE: _moves,
    Flow.MAKE: _makes,
    Flow.CANCEL: _nothing,
}
"""How each flow books what its entries do not book apart."""
