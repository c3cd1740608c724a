"""What posting stands on: bins with their last stamps, the batches in them, and what movements name.

The one idea: a movement alone says what of the ledger it needs, so all of it can be read before anything is decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.ledger.decide.originals import Original
from services.ledger.decide.valuation import Arrival, Stock
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Method, Tracking

Key = tuple[str, str]
"""A movement: its source and its id there."""
BinKey = tuple[str, str, str]
"""A bin: company, item, warehouse."""
BatchKey = tuple[str, str, str, str]
"""A batch in a bin: company, item, warehouse, batch."""
Stamps = Mapping[BinKey, int]
"""The bins of a movement, and its number in each."""


@dataclass(frozen=True, slots=True)
class State:
    """Bins, with the stamp of the last movement that was applied in each, and the batches in them.

    `originals` has every entry that a movement names (None: it is not posted yet), by its id; `arrivals` every bin in
    whose layers a landed cost lies, with what came in there by the receipt and after it.
    """

    last_stamps: dict[BinKey, int]
    bins: dict[BinKey, Stock]
    batches: dict[BatchKey, Stock]
    originals: dict[str, Original | None] = field(default_factory=dict)
    arrivals: dict[BinKey, list[Arrival]] = field(default_factory=dict)

    def copy(self) -> "State":
        """The same state, to be changed without changing this one."""
        return State(
            dict(self.last_stamps),
            {key: stock.copy() for key, stock in self.bins.items()},
            {key: stock.copy() for key, stock in self.batches.items()},
            {key: known and known.copy() for key, known in self.originals.items()},
            {key: list(arrivals) for key, arrivals in self.arrivals.items()},
        )


def stamps_of(movement: MovementAllocated) -> dict[BinKey, int]:
    """A movement's bins and its number in each."""
    return {(movement.company, each.item, each.warehouse): each.stamp for each in movement.stamps}


def bins_of(movement: MovementAllocated) -> set[BinKey]:
    """The bins that a movement changes."""
    return {(movement.company, leg.item, leg.warehouse) for leg in movement.legs}


def batches_of(movement: MovementAllocated) -> list[BatchKey]:
    """The batches in bins that a movement changes; none for untracked items and serials."""
    company = movement.company
    return [(company, leg.item, leg.warehouse, leg.batch or "") for leg in movement.legs if has_batches(leg)]


def originals_of(movement: MovementAllocated) -> set[str]:
    """The entries that a movement names."""
    return {leg.original for leg in movement.legs if leg.original is not None}


def landed_layers_of(movement: MovementAllocated) -> list[tuple[BinKey, str]]:
    """The bins in whose layers a movement adds worth to what came in, each with the entry by which that came."""
    return [
        ((movement.company, leg.item, leg.warehouse), leg.original)
        for leg in movement.legs
        if leg.original is not None and not leg.quantity and _has_layers(leg)
    ]


def has_batches(leg: Leg) -> bool:
    """Whether a leg changes a batch in a bin."""
    return leg.tracking is Tracking.BATCH


def _has_layers(leg: Leg) -> bool:
    return leg.tracking is Tracking.NONE and leg.method is not Method.MOVING_AVERAGE
