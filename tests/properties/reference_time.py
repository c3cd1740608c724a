"""What the ledger must come to, in whatever order it was told: the movements that hold, posted in their order in time.

What was cancelled never was, a landed cost stands right behind its receipt, and a count finds whatever is lacking then.
So nothing is back-dated here, and the slow reference of valuation does the rest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from msgspec import structs

from shared.contracts.movement import MovementAllocated
from shared.purposes import PURPOSES, Flow, Role
from tests.builders import entry_of
from tests.properties.reference_incoming import Told
from tests.properties.reference_stock import NOTHING
from tests.properties.reference_valuation import play
from tests.properties.shop_floor import Heap, heap_of

Amounts = Mapping[str, Fraction]
"""By account: what is not zero."""
Standing = Mapping[Heap, tuple[Fraction, Fraction]]
"""Quantity and value of whatever stands somewhere."""


@dataclass(frozen=True)
class Total:
    """What a leg came to, with all that it trued up: quantity, value, and what of that is booked apart."""

    quantity: Fraction = NOTHING
    value: Fraction = NOTHING
    booked: Amounts = field(default_factory=dict)

    def __add__(self, other: "Total") -> "Total":
        booked = dict(self.booked)
        for account, amount in other.booked.items():
            booked[account] = booked.get(account, NOTHING) + amount
        booked = {account: amount for account, amount in booked.items() if amount}
        return Total(self.quantity + other.quantity, self.value + other.value, booked)


@dataclass(frozen=True)
class Outcome:
    """The movements that hold, in their order in time, each with its entries."""

    posted: Sequence[tuple[MovementAllocated, Sequence[Told]]]

    def totals(self) -> dict[str, Total]:
        """By the id of a leg's entry; what came to nothing at all is left out."""
        found: dict[str, Total] = {}
        for movement, told in self.posted:
            names = {id(leg): entry_of(movement, place) for place, leg in enumerate(movement.legs)}
            for each in told:
                name = names[id(each.leg)]
                found[name] = found.get(name, Total()) + Total(each.quantity, each.value, each.booked)
        return {name: total for name, total in found.items() if total != Total()}

    def standing(self) -> dict[datetime, Standing]:
        """What stands everywhere right behind each moment at which something happened."""
        found: dict[datetime, Standing] = {}
        now: dict[Heap, tuple[Fraction, Fraction]] = {}
        for movement, told in self.posted:
            for each in told:
                quantity, value = now.get(heap_of(each.leg), (NOTHING, NOTHING))
                now[heap_of(each.leg)] = (quantity + each.quantity, value + each.value)
            found[movement.effective_at] = {heap: held for heap, held in now.items() if any(held)}
        return found

    def accounts(self) -> Amounts:
        """What all of it adds up to on each account; debits are above zero."""
        found: dict[str, Fraction] = {}
        for movement, told in self.posted:
            for account, amount in (*_booked(movement, told), *_money(movement)):
                found[account] = found.get(account, NOTHING) + amount
        return {account: amount for account, amount in found.items() if amount}


def outcome(history: Sequence[MovementAllocated]) -> Outcome:
    """What movements come to that were accepted in this order."""
    movements = in_time(history)
    return Outcome(list(zip(movements, play(movements)[0], strict=True)) if movements else [])


def in_time(history: Sequence[MovementAllocated]) -> list[MovementAllocated]:
    """The movements that hold, in their order in time, without legs that only say what a count then finds."""
    gone = {(each.source, name) for each in history for name in _undone(each)}
    accepted = {(each.source, each.id): number for number, each in enumerate(history)}

    def place(movement: MovementAllocated) -> tuple[datetime, int, int]:
        number = accepted[movement.source, movement.id]
        if PURPOSES[movement.purpose].flow is not Flow.LAND or movement.against is None:
            return (movement.effective_at, number, -1)
        return (movement.effective_at, accepted[movement.against.source, movement.against.id], number)

    holding = [each for each in history if (each.source, each.id) not in gone]
    return [_without_corrections(each) for each in sorted(holding, key=place)]


def _undone(movement: MovementAllocated) -> Iterator[str]:
    """The ids of a cancellation and of what it cancels; nothing of any other movement."""
    if PURPOSES[movement.purpose].flow is Flow.CANCEL and movement.against is not None:
        yield from (movement.id, movement.against.id)


def _without_corrections(movement: MovementAllocated) -> MovementAllocated:
    return structs.replace(movement, legs=[leg for leg in movement.legs if leg.corrects is None])


def _booked(movement: MovementAllocated, told: Sequence[Told]) -> Iterator[tuple[str, Fraction]]:
    """What the entries of a movement change on which account; of goods that moved or were made, the sum decides."""
    purpose = PURPOSES[movement.purpose]
    within = purpose.flow in (Flow.MOVE, Flow.MAKE)
    rest = movement.accounts[Role.STOCK_ADJUSTMENT if within else purpose.counter]
    for each in told:
        yield each.leg.stock_account, each.value
        for account, amount in each.booked.items():
            yield account, -amount
        yield rest, sum(each.booked.values(), -each.value)


def _money(movement: MovementAllocated) -> Iterator[tuple[str, Fraction]]:
    if movement.money is not None:
        yield from ((each.account, Fraction(each.amount)) for each in movement.money.debits)
        yield from ((each.account, -Fraction(each.amount)) for each in movement.money.credits)
