"""The movement that another one names: which it is, whether it may be named, and its ledger entries."""

from collections.abc import Iterator

from services.receiving.decide.stock import BinKey, Company, MovementKey, Stock
from shared.contracts.movement import Leg, MovementAllocated, MovementRequested
from shared.errors import Reason
from shared.identity import derived_id
from shared.purposes import Flow, Purpose


def original_of(source: str, movement: MovementRequested) -> MovementKey | None:
    """The movement that another one names; by default it is of the own source."""
    if movement.against is None:
        return None
    return (movement.against.source or source, movement.against.id)


def refusal_of_original(source: str, identifier: str, stock: Stock) -> Reason | None:
    """Why a movement is refused that was cancelled before it came."""
    by = stock.tombstones.get((source, identifier))
    return None if by is None else Reason("cancelled_before_acceptance", None, {"source": by[0], "id": by[1]})


def find_original(
    source: str, movement: MovementRequested, purpose: Purpose, company: Company, stock: Stock
) -> tuple[MovementAllocated | None, Reason | None]:
    """The accepted movement that one names, or why it may not name that; `unknown_original` may only be early."""
    key = original_of(source, movement)
    if key is None:
        lacking = Reason("against_missing", None, {"purpose": purpose.name})
        return None, lacking if purpose.flow is Flow.LAND else None
    if not purpose.against:
        return None, Reason("against_not_allowed", None, {"purpose": purpose.name, "against": key[1]})
    original = stock.originals.get(key)
    reason = _why_not(key, original, purpose, company, stock)
    return (original, None) if reason is None else (None, reason)


def _why_not(
    key: MovementKey, original: MovementAllocated | None, purpose: Purpose, company: Company, stock: Stock
) -> Reason | None:
    facts = {"source": key[0], "id": key[1]}
    if original is None:
        return Reason("original_rejected" if key in stock.originals else "unknown_original", None, facts)
    if original.company != company.company:
        return Reason("original_elsewhere", None, {**facts, "company": original.company})
    if key in stock.cancelled:
        return Reason("original_cancelled", None, facts)
    if original.purpose not in purpose.against:
        allowed = ", ".join(purpose.against)
        return Reason("wrong_original", None, {**facts, "purpose": original.purpose, "allowed": allowed})
    return None


def entry_id(movement: MovementAllocated, place: int) -> str:
    """The id of the ledger entry that a leg makes, by its place among the movement's legs."""
    return derived_id(movement.recorded_at, movement.source, movement.id, str(place))


def legs_with_entries(movement: MovementAllocated) -> Iterator[tuple[str, Leg]]:
    """The legs of a movement, each with the id of its ledger entry; not those by which later counts found otherwise."""
    own = ((place, leg) for place, leg in enumerate(movement.legs) if leg.corrects is None)
    return ((entry_id(movement, place), leg) for place, leg in own)


def bins_of(movement: MovementAllocated) -> set[BinKey]:
    """The bins in which a movement has a stamp."""
    return {(movement.company, each.item, each.warehouse) for each in movement.stamps}
