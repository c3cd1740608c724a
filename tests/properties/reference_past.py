"""Quantities over time as one would add them up by hand: from what was told of accepted movements, leg by leg.

It knows nothing of outlooks, heads or tables. A count that was corrected finds at its moment what it finds, so what the
correcting legs say is added there, whenever they came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Tracking
from shared.quantities import ZERO

Place = tuple[str, str, str]
"""Item, warehouse, and batch ('' of an item without)."""
When = tuple[datetime, int, int, int]
"""The moment, the stamp in the bin; whether it is a count's correction; the place in the movement, or when it came."""


@dataclass(frozen=True)
class Step:
    """A change in a place, and how much stands there after it; of a count how much was counted."""

    when: When
    quantity: Decimal
    after: Decimal
    counted: Decimal | None
    by: str


def places(accepted: Sequence[MovementAllocated]) -> list[Place]:
    """Every place that is named by a leg of untracked goods or of batches."""
    return sorted({_place(leg) for each in accepted for leg in each.legs if leg.tracking is not Tracking.SERIAL})


def steps(accepted: Sequence[MovementAllocated], place: Place) -> list[Step]:
    """What happened in a place, in the order of time."""
    found = sorted(_changes(accepted, place), key=lambda each: each[0])
    after, told = ZERO, []
    for when, leg, by in found:
        after += leg.quantity
        told.append(Step(when, leg.quantity, after, leg.counted, by))
    return told


def faults(accepted: Sequence[MovementAllocated], *, may_be_short: set[Place]) -> list[str]:
    """What cannot have been: stock below zero where that is not allowed, or a count that does not hold at its moment.

    All that a count found, at first and later on, it found at once.
    """
    found = []
    for place in places(accepted):
        for _, together in groupby(steps(accepted, place), lambda each: each.when[:2]):
            behind = list(together)
            counted = [each.counted for each in behind if each.counted is not None]
            if counted and behind[-1].after != counted[0]:
                found.append(f"{place} does not hold {behind}")
            if place not in may_be_short and min(each.after for each in behind[-1 if counted else 0 :]) < ZERO:
                found.append(f"{place} is below zero by {behind}")
    return found


def would_lack(accepted: Sequence[MovementAllocated], place: Place, at: datetime, wanted: Decimal) -> bool:
    """Whether an issue at a moment would leave less than nothing, then or until the next count."""
    history = steps(accepted, place)
    left = ([each.after for each in history if each.when[0] <= at] or [ZERO])[-1:]
    for each in history:
        if each.when[0] > at:
            if each.counted is not None or each.when[2]:
                break
            left.append(each.after)
    return min(left) < wanted


def rows_of(accepted: Sequence[MovementAllocated]) -> list[tuple[str, str, str, datetime, int, int, Decimal]]:
    """What the table of changes must hold: of each movement in a place what leaves, and what comes; and corrections."""
    found: dict[tuple[str, str, str, datetime, int, int], Decimal] = {}
    for each in accepted:
        for leg in each.legs:
            if leg.tracking is not Tracking.SERIAL and leg.quantity:
                stamp = _stamp(each, leg)
                part = int(leg.quantity > ZERO)
                key = (*_place(leg), each.effective_at, stamp, part)
                if leg.corrects is not None:
                    key = (*_place(leg), leg.corrects.effective_at, leg.corrects.stamp, stamp + 1)
                found[key] = found.get(key, ZERO) + leg.quantity
    return sorted((*key, quantity) for key, quantity in found.items())


def _changes(accepted: Sequence[MovementAllocated], place: Place) -> Iterator[tuple[When, Leg, str]]:
    for number, each in enumerate(accepted):
        for index, leg in enumerate(each.legs):
            if leg.tracking is Tracking.SERIAL or _place(leg) != place:
                continue
            if leg.corrects is not None:
                yield (leg.corrects.effective_at, leg.corrects.stamp, 1, number), leg, each.id
            else:
                yield (each.effective_at, _stamp(each, leg), 0, index), leg, each.id


def _place(leg: Leg) -> Place:
    return (leg.item, leg.warehouse, leg.batch or "")


def _stamp(movement: MovementAllocated, leg: Leg) -> int:
    (stamp,) = (each.stamp for each in movement.stamps if (each.item, each.warehouse) == (leg.item, leg.warehouse))
    return stamp
