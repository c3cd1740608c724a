"""Parts: what a value is made of.

The one idea: parts are exact until they are shown. Shown in money they are differences of rounded sums, so that they
add up to what they are parts of, to the last minor unit, however many there are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from enum import StrEnum

from shared.quantities import ZERO, to_places

PRECISE = Context(prec=40)
"""What exact parts are reckoned in: a share of a share of a share keeps more digits than anything that is shown."""


class Kind(StrEnum):
    """What a part is."""

    ENTRY = "entry"  # all that an entry changed
    ARRIVED = "arrived"  # goods that an earlier entry brought
    COUNTED = "counted"  # goods of which a count said that they stand there
    GIVEN = "given"  # at the rate that came with them
    KNOWN_RATE = "known_rate"  # at the last rate known in the bin, else the standard rate
    ADDITIONAL_COST = "additional_cost"
    CORRECTED = "corrected"  # by a landed cost
    WRITTEN_DOWN = "written_down"
    DIFFERENCE = "difference"  # what a count found more, or less
    BEYOND_STOCK = "beyond_stock"  # issued before it was there, at the last rate known
    ISSUED_BEFORE = "issued_before"  # what an earlier entry issued beyond stock, as it was valued then
    COVERED = "covered"  # the same, as it came
    TRUED_UP = "trued_up"  # the difference of the two, where it is not known what was issued
    PENDING = "pending"  # what is told beyond all of that, until it is valued anew
    OTHER_PRODUCT = "other_product"  # what scrap and products with a rate of their own take of what was consumed
    GAP = "gap"  # what these take more than was consumed: it is booked to stock adjustment


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a value. `entry` is the earlier ledger entry that it came by, if any.

    `worth` is exact. `added` is what came to these goods while they stood in one bin (landed costs, a write-down, the
    count of a serial): its worth comes on top. `rate` is per unit, as it was told or known; `account` bears an
    additional cost.
    """

    kind: Kind
    entry: str | None
    quantity: Decimal
    worth: Decimal
    serials: tuple[str, ...] = ()
    added: tuple["Part", ...] = ()
    rate: Decimal | None = None
    account: str | None = None

    @property
    def total(self) -> Decimal:
        """Its worth, with what came to it."""
        return self.worth + sum((each.worth for each in self.added), ZERO)


def scaled(parts: Iterable[Part], worth: Decimal, quantity: Decimal) -> list[Part]:
    """Parts with all their worths and quantities multiplied by these."""
    return [
        replace(
            each,
            quantity=each.quantity * quantity,
            worth=each.worth * worth,
            added=tuple(scaled(each.added, worth, quantity)) if each.added else (),
        )
        for each in parts
    ]


def scaled_to(parts: Sequence[Part], worth: Decimal) -> list[Part]:
    """Parts that add up to `worth`: in proportion, or, where some are below zero, with the rest on the last."""
    whole = total_of(parts)
    if whole == worth or not parts:
        return list(parts)
    if whole and _of_one_sign([each.total for each in parts]):
        return scaled(parts, worth / whole, Decimal(1))
    return [*parts[:-1], replace(parts[-1], worth=parts[-1].worth + worth - whole)]


def with_pending(parts: Sequence[Part], worth: Decimal, serials: tuple[str, ...] = ()) -> list[Part]:
    """Parts that are as they will be, and what is told beyond them until then; `serials`: of which."""
    lacking = worth - total_of(parts)
    return [*parts, Part(Kind.PENDING, None, ZERO, lacking, serials)] if lacking else list(parts)


def total_of(parts: Iterable[Part]) -> Decimal:
    """What parts are worth together."""
    return sum((each.total for each in parts), ZERO)


def portions(amount: Decimal, parts: Sequence[Decimal], places: int) -> list[Decimal]:
    """Exact parts as they are shown: rounded, and adding up to an amount, which is nearly their sum. Not empty.

    Each is the rounded sum of all up to it, less that of all before it: in proportion, or, where some are below zero,
    as they are, with the rest on the last.
    """
    whole = sum(parts, ZERO)
    scale = amount / whole if whole and _of_one_sign(parts) else Decimal(1)
    shown = []
    reached, before = ZERO, ZERO
    for part in parts:
        reached += part
        rounded = to_places(reached * scale, places)
        shown.append(rounded - before)
        before = rounded
    shown[-1] += amount - before
    return shown


def _of_one_sign(numbers: Iterable[Decimal]) -> bool:
    signs = {number > 0 for number in numbers if number}
    return len(signs) == 1
