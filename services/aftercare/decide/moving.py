"""What an accepted movement did to each of its units."""

from collections.abc import Iterator

from services.aftercare.decide.facts import Key, Move, Unit
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO


def cancels(allocated: MovementAllocated) -> Key | None:
    """The movement that this one cancels, if that is what it does."""
    if PURPOSES[allocated.purpose].flow is not Flow.CANCEL or allocated.against is None:
        return None
    return (allocated.against.source, allocated.against.id)


def may_cover(allocated: MovementAllocated) -> bool:
    """Whether it may change by what its units are covered: a delivery of what has a warranty, or what it undoes."""
    if cancels(allocated) is not None:
        return True
    return PURPOSES[allocated.purpose].to_customer and any(leg.warranty_days is not None for leg in allocated.legs)


def units_of(allocated: MovementAllocated) -> set[Unit]:
    """The units that a movement is about."""
    return {Unit(allocated.company, leg.item, serial) for leg in allocated.legs for serial in leg.serials}


def moves_of(allocated: MovementAllocated) -> Iterator[tuple[Unit, Move]]:
    """What it did to each unit; a unit that left one warehouse and came to another did both at once."""
    left: dict[Unit, Leg] = {}
    came: dict[Unit, Leg] = {}
    for leg in allocated.legs:
        where = left if leg.quantity < ZERO else came if leg.quantity > ZERO else {}
        where.update({Unit(allocated.company, leg.item, serial): leg for serial in leg.serials})
    stamps = {(each.item, each.warehouse): each.stamp for each in allocated.stamps}
    for unit in sorted({*left, *came}):
        out, into = left.get(unit), came.get(unit)
        yield unit, _move(allocated, out, into, max(stamps[leg.item, leg.warehouse] for leg in (out, into) if leg))


def _move(allocated: MovementAllocated, out: Leg | None, into: Leg | None, stamp: int) -> Move:
    return Move(
        (allocated.source, allocated.id),
        allocated.purpose,
        allocated.effective_at,
        allocated.recorded_at,
        allocated.posting_date,
        stamp,
        out.warehouse if out is not None else None,
        into.warehouse if into is not None else None,
        allocated.customer or allocated.supplier or allocated.recipient,
        allocated.document,
        allocated.actor,
        out.warranty_days if out is not None else None,
    )
