"""Cancellations: a word on another movement, which may come before it.

One whose original never comes within its source's patience stays as a tombstone: the original, should it arrive
later, is refused. An accepted original cannot be cancelled yet.
"""

from services.receiving.decide.originals import original_of
from services.receiving.decide.stock import Stock
from shared.contracts.movement import MovementRequested
from shared.errors import Reason

CANCELLATION = "cancellation"


def refusal_of_cancellation(source: str, movement: MovementRequested, stock: Stock) -> Reason:
    """Why a cancellation is refused; `unknown_original` may only be early."""
    original = original_of(source, movement)
    if original is None:
        return Reason("against_missing", None, {"purpose": CANCELLATION})
    facts = {"source": original[0], "id": original[1]}
    if original not in stock.originals:
        return Reason("unknown_original", None, facts)
    accepted = stock.originals[original] is not None
    return Reason("cancelling_unsupported" if accepted else "original_rejected", None, facts)


def refusal_of_original(source: str, identifier: str, stock: Stock) -> Reason | None:
    """Why a movement is refused that was cancelled before it came."""
    by = stock.tombstones.get((source, identifier))
    return None if by is None else Reason("cancelled_before_acceptance", None, {"source": by[0], "id": by[1]})
