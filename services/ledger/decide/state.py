"""What posting stands on: bins with their last stamps, the batches in them, and what movements name.

The one idea: a movement alone says what of the ledger it needs, so all of it can be read before anything is decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.ledger.decide.originals import Original
from services.ledger.decide.told import Told
from services.ledger.decide.valuation import Arrival, Stock
from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Tracking

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

    `originals` has every entry that a movement names (None: it is not posted yet), by its id; `arrivals` what came in
    by a receipt and after it in every bin in which a landed cost revalues that, as long as nothing else happened there.
    `told` has what is told of every entry that a cancellation undoes; `latest` of each bin the latest time at which
    something takes effect there, so that what takes effect before is late. Neither is known where everything comes in
    the order of time. `revaluations` and `pieces` number, in each bin, what changes what was posted before, and what is
    told of that.
    """

    last_stamps: dict[BinKey, int]
    bins: dict[BinKey, Stock]
    batches: dict[BatchKey, Stock]
    originals: dict[str, Original | None] = field(default_factory=dict)
    arrivals: dict[BinKey, list[Arrival]] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    latest: dict[BinKey, datetime] = field(default_factory=dict)
    revaluations: dict[BinKey, int] = field(default_factory=dict)
    pieces: dict[BinKey, int] = field(default_factory=dict)

    def next_revaluation(self, key: BinKey) -> int:
        """The number in a bin of what changes what was posted there before."""
        self.revaluations[key] += 1
        return self.revaluations[key]

    def next_piece(self, key: BinKey) -> int:
        """The number in a bin of what is told of such changes."""
        self.pieces[key] += 1
        return self.pieces[key]

    def copy(self) -> "State":
        """The same state, to be changed without changing this one."""
        return State(
            dict(self.last_stamps),
            {key: stock.copy() for key, stock in self.bins.items()},
            {key: stock.copy() for key, stock in self.batches.items()},
            {key: known and known.copy() for key, known in self.originals.items()},
            {key: list(arrivals) for key, arrivals in self.arrivals.items()},
            {entry: told.copy() for entry, told in self.told.items()},
            dict(self.latest),
            dict(self.revaluations),
            dict(self.pieces),
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
    """The entries that a movement names because its value hangs on theirs."""
    if movement.mirrors is not None:
        return set()
    return {leg.original for leg in movement.legs if leg.original is not None and leg.corrects is None}


def undone_by(movement: MovementAllocated) -> set[str]:
    """The entries that a movement undoes."""
    if movement.mirrors is None:
        return set()
    return {leg.original for leg in movement.legs if leg.original is not None and leg.corrects is None}


def landed_on_by(movement: MovementAllocated) -> list[tuple[BinKey, str]]:
    """The bins in which a movement adds worth to what came in, each with the entry by which that came."""
    if movement.mirrors is not None:
        return []
    return [
        ((movement.company, leg.item, leg.warehouse), leg.original)
        for leg in movement.legs
        if leg.original is not None and not leg.quantity and leg.counted is None
    ]


def has_batches(leg: Leg) -> bool:
    """Whether a leg changes a batch in a bin."""
    return leg.tracking is Tracking.BATCH
