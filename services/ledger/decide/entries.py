"""A movement's entries: what its legs did, as it is told and kept."""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide.effects import Effect, Turn, bin_of, brought_rate, carry_out, entry_id
from services.ledger.decide.state import BinKey, Stamps, State
from services.ledger.decide.told import Booked
from services.ledger.decide.valuation import Costs
from shared.contracts.movement import AccountAmount, CorrectedCount, Leg, MovementAllocated
from shared.contracts.stock import MovementPosted, PostedEntry
from shared.errors import InvariantBroken
from shared.identity import derived_id
from shared.purposes import Flow
from shared.quantities import Money, Quantity


class Entry(NamedTuple):
    """A stock ledger entry: what is told of it, its place in the movement, its exact worth, its serials' costs.

    `at_stamp` is set where it changes what stands at another stamp of its bin than that of its movement.
    `corrects_count` is the later count to which it belongs; it is told apart. `rate` is what goods bring along that
    leave for another bin and are too cheap to have a value.
    """

    posted: PostedEntry
    ordinal: int
    worth: Decimal
    costs: Costs
    at_stamp: int | None = None
    corrects_count: CorrectedCount | None = None
    rate: Decimal | None = None


class Applied(NamedTuple):
    """A movement with its entries and what is told of it; `late` are the bins where it takes effect before others."""

    movement: MovementAllocated
    entries: Sequence[Entry]
    posted: MovementPosted
    late: Collection[BinKey] = ()


def apply(movement: MovementAllocated, stamps: Stamps, books: State) -> Applied:
    """Apply a movement, which has these stamps, to books that hold all that it needs, and change them.

    InvariantBroken as `carry_out`, and where it touches a bin in which it has no stamp.
    """
    for leg in movement.legs:
        key = bin_of(movement, leg)
        if key not in stamps and movement.trial is None:
            raise InvariantBroken("a leg has no stamp in its bin", movement=movement.id, line=leg.line, bin=key)
    turn = carry_out(movement, books)
    entries = _entries(turn, stamps)
    for each in entries:
        _make_known(each, books)
    own = [each.posted for each in entries if not each.corrects_count]
    return Applied(movement, entries, posted_of(movement, own), turn.late)


def _make_known(entry: Entry, books: State) -> None:
    """Whoever names an entry later, in the same set, or undoes it, finds it."""
    posted = entry.posted
    original = books.originals.get(posted.entry)
    if original is not None:
        original.stamp = posted.stamp
    told = books.told.get(posted.part_of or posted.entry)
    if told is None:
        return
    if entry.corrects_count is not None:  # booked to its account whole: of the count it is a part like any other
        told.add(posted.value, entry.worth, {}, {})
    else:
        booked = {part.account: part.amount for part in posted.booked}
        told.add(posted.value, entry.worth, booked, entry.costs, true_up=posted.part_of is not None)


def posted_of(movement: MovementAllocated, entries: Sequence[PostedEntry]) -> MovementPosted:
    """What is told of a movement, with these entries."""
    return MovementPosted(
        source=movement.source,
        id=movement.id,
        company=movement.company,
        currency=movement.currency,
        digits=movement.digits,
        perpetual=movement.perpetual,
        purpose=movement.purpose,
        mirrors=movement.mirrors,
        effective_at=movement.dated_at or movement.effective_at,
        recorded_at=movement.recorded_at,
        posting_date=movement.posting_date,
        document=movement.document,
        customer=movement.customer,
        supplier=movement.supplier,
        entries=list(entries),
        accounts=movement.accounts,
        money=movement.money,
        trial=movement.trial,
        trace=movement.trace,
    )


def parts(booked: Booked) -> list[AccountAmount]:
    """What is booked apart, as it is told."""
    return [AccountAmount(account=account, amount=Money(part)) for account, part in booked.items() if part]


def _entries(turn: Turn, stamps: Stamps) -> list[Entry]:
    """An entry for each effect; those that arrive name the place of the one from which they do."""
    entries: list[Entry] = []
    made: dict[int, int] = {}
    for effect in turn.effects:
        if effect.true_up is None:
            made[effect.number] = len(entries)
        entries.append(_entry(turn, effect, stamps, made, len(entries)))
    return entries


def _entry(turn: Turn, effect: Effect, stamps: Stamps, made: Mapping[int, int], ordinal: int) -> Entry:
    """An entry; one that trues up takes no more from the leg than where it arrives."""
    movement, leg, change = turn.movement, turn.movement.legs[effect.number], effect.change
    own = effect.true_up is None
    key = bin_of(movement, leg)
    stamp = stamps.get(key)
    posted = PostedEntry(
        entry=entry_id(movement, effect.number) if own else _true_up_id(movement, effect),
        line=leg.line,
        item=leg.item,
        warehouse=leg.warehouse,
        batch=leg.batch,
        serials=leg.serials if own else [],
        quantity=leg.quantity if change.quantity is leg.quantity else Quantity(change.quantity),
        value=Money(change.value),
        stamp=turn.books.last_stamps[key] + 1 if stamp is None else stamp,
        quantity_after=Quantity(change.quantity_after),
        value_after=Money(change.value_after),
        arrives_from=made[leg.arrives_from] if own and leg.arrives_from is not None else None,
        booked=parts(effect.booked) if effect.booked else [],
        original=leg.original if own and leg.corrects is None else None,
        part_of=_part_of(movement, leg, effect),
        stock_account=leg.stock_account,
    )
    return Entry(
        posted, ordinal, change.worth, change.costs, _at_stamp(turn, leg), leg.corrects, brought_rate(turn, effect)
    )


def _true_up_id(movement: MovementAllocated, effect: Effect) -> str:
    return derived_id(movement.recorded_at, movement.source, movement.id, f"{effect.number}.{effect.true_up}")


def _part_of(movement: MovementAllocated, leg: Leg, effect: Effect) -> str | None:
    """The entry to whose total one belongs: a true-up to what arrives, what a count finds later to the count's."""
    if effect.true_up is not None:
        return entry_id(movement, effect.number)
    return leg.original if leg.corrects is not None else None


def _at_stamp(turn: Turn, leg: Leg) -> int | None:
    """Where in its bin one counts that revalues a receipt, or is found by a count later on."""
    if leg.corrects is not None:
        return leg.corrects.stamp
    if turn.purpose.flow is Flow.LAND and turn.movement.mirrors is None and leg.original is not None:
        original = turn.books.originals.get(leg.original)
        return original.stamp if original is not None else None
    return None
