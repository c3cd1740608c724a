"""What made it necessary to correct an entry.

The one idea: a correction is recorded with what was accepted last of all that made it necessary. Where several
movements were accepted at that moment, it is one that takes effect before what it changed, but came after it, as its
stamp in one of the bins says: best of all in the entry's own.
"""

from collections.abc import Iterable, Sequence

from services.ledger.decide.explaining.recorded import Addition, Recorded
from services.ledger.decide.state import BinKey, Key, Stamps, stamps_of
from shared.contracts.movement import MovementAllocated
from shared.purposes import PURPOSES, Flow


def causes_of(
    addition: Addition,
    recorded: Recorded,
    accepted: Iterable[MovementAllocated],
    around: Sequence[MovementAllocated],
) -> list[MovementAllocated]:
    """The movements among the `accepted` that may have made an addition to an entry necessary; as a rule one.

    `around` are the movement of the entry, first, and those from which its value came. Where a movement was valued in
    its own place in time, itself is told.
    """
    if addition.by is not None:
        return [each for each in accepted if _key(each) == addition.by]
    movement = around[0]
    then = [each for each in accepted if each.recorded_at == addition.recorded_at]
    others = [each for each in then if _key(each) != recorded.key and each.effective_at <= recorded.effective_at]
    key: BinKey = (movement.company, recorded.item, recorded.warehouse)
    places = [
        [(movement, {key: recorded.stamp})],
        [(movement, stamps_of(movement))],
        [(each, stamps_of(each)) for each in around],
    ]
    for some in places:
        found = [each for each in others if any(_came_before(each, *place) for place in some)]
        if found:
            return found
    return [each for each in then if _key(each) == recorded.key] or others


def _came_before(cause: MovementAllocated, movement: MovementAllocated, stamps: Stamps) -> bool:
    """Whether it takes effect before a movement in a bin in which this has one of the stamps, and came after it."""
    if cause.effective_at > movement.effective_at:
        return False
    if cause.effective_at == movement.effective_at and not _stands_elsewhere(cause):
        return False
    own = stamps_of(cause)
    return any(own.get(key, 0) > stamp for key, stamp in stamps.items())


def _stands_elsewhere(movement: MovementAllocated) -> bool:
    """Whether its place in time is that of another movement: a receipt's, or that of what it cancels."""
    return movement.mirrors is not None or PURPOSES[movement.purpose].flow is Flow.LAND


def _key(movement: MovementAllocated) -> Key:
    return (movement.source, movement.id)
