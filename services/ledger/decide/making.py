"""What of consumed goods went into which product: a making's entries, and the part of all that each product has.

The one idea: products divide one span, from nothing to all that was consumed, and each has a piece of it. Of any
quantity a product gets what it comes to at the end of its piece less what it comes to at the beginning, so all parts
add up to the quantity, whatever is rounded, and a making takes a row for each entry, not for each pair of them.
"""

from collections.abc import Collection, Sequence
from decimal import Context, Decimal
from itertools import accumulate
from typing import NamedTuple

from services.ledger.decide.effects import entry_id
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow
from shared.quantities import QUANTITY_PLACES, ZERO

# Weights are products of two quantities: more digits than the default has.
_WIDE = Context(prec=80)
_STEP = 10**QUANTITY_PLACES


class Piece(NamedTuple):
    """A product's piece of what was consumed: from `before` to `after`, of `whole`."""

    before: Decimal
    after: Decimal
    whole: Decimal

    def of(self, quantity: Decimal) -> Decimal:
        """So much of a quantity, not below zero; over all pieces of a whole these add up to it."""
        steps = int(_WIDE.multiply(quantity, Decimal(_STEP)))
        return _WIDE.divide(Decimal(self._until(self.after, steps) - self._until(self.before, steps)), Decimal(_STEP))

    def _until(self, place: Decimal, steps: int) -> int:
        numerator, denominator = place.as_integer_ratio()
        whole, of_whole = self.whole.as_integer_ratio()
        return steps * numerator * of_whole // (denominator * whole)


class Made(NamedTuple):
    """An entry of a making: what it produced has a piece, what it consumed has none."""

    entry: str
    piece: Piece | None


def makes(purpose: str) -> bool:
    """Whether goods of this purpose become others."""
    return purpose in _MAKING


def made_by(movement: MovementAllocated, entries: Collection[str]) -> list[Made]:
    """The entries of a making, of those that were posted of it, in the order of its legs."""
    named = [(entry_id(movement, place), leg) for place, leg in enumerate(movement.legs) if leg.quantity]
    posted = [(entry, leg) for entry, leg in named if entry in entries and leg.corrects is None]
    products = [leg for _, leg in posted if leg.quantity > ZERO]
    pieces = iter(pieces_of(products))
    return [Made(entry, next(pieces) if leg.quantity > ZERO else None) for entry, leg in posted]


def pieces_of(products: Sequence[Leg]) -> list[Piece]:
    """The pieces of products, one behind the other, as large as their weights."""
    ends = list(accumulate(weights_of(products), _WIDE.add))
    return [Piece(before, after, ends[-1]) for before, after in zip([ZERO, *ends], ends, strict=False)]


def weights_of(products: Sequence[Leg]) -> list[Decimal]:
    """What products weigh in relation to each other: their quantities, and among those that have shares, these.

    So products with shares have together what their quantities are in relation to the others' (scrap, and what has a
    rate of its own), and divide that by their shares.
    """
    sharing = [each for each in products if each.share is not None]
    quantity = sum((each.quantity for each in sharing), ZERO)
    shares = sum((each.share or ZERO for each in sharing), ZERO)
    if not shares or shares == quantity:
        return [each.share if each.share is not None and shares else each.quantity for each in products]
    return [
        _WIDE.multiply(each.quantity, shares) if each.share is None else _WIDE.multiply(each.share, quantity)
        for each in products
    ]


_MAKING = frozenset(name for name, row in PURPOSES.items() if row.flow is Flow.MAKE)
