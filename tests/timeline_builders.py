"""Quantities over time, kept in a list: what the store tells the gate of the past, without a database.

Everything is added up from the first change on, so that it does not share the store's way of going back from today.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.stock import BinKey
from services.receiving.decide.timeline import Change, Counted, Outlook, Place, changes_of
from shared.contracts.movement import MovementAllocated
from shared.quantities import ZERO


@dataclass
class Timeline:
    """Every change of a quantity, and the counts that hold."""

    changes: list[Change] = field(default_factory=list)
    counts: list[tuple[Place, Counted]] = field(default_factory=list)

    def note(self, accepted: Accepted, cancelled: MovementAllocated | None = None) -> None:
        """Add what an accepted movement changed and counted; a cancellation has what it undoes forgotten."""
        if cancelled is not None:
            self.forget(cancelled)
        self.changes += changes_of(accepted.allocated)
        self.counts += accepted.counts

    def forget(self, allocated: MovementAllocated) -> None:
        """Take out what stands at the stamps of a movement."""
        at = allocated.effective_at
        own = {(allocated.company, each.item, each.warehouse, at, each.stamp) for each in allocated.stamps}
        self.changes = [each for each in self.changes if (*each.place[:3], each.effective_at, each.stamp) not in own]
        self.counts = [
            (place, count) for place, count in self.counts if (*place[:3], count.effective_at, count.stamp) not in own
        ]

    def outlooks(
        self, places: Collection[Place], at: datetime, stamps: Mapping[BinKey, int] | None = None
    ) -> dict[Place, Outlook]:
        """What stood in each place behind a moment (or a number in it), and how little until the next count."""
        return {place: self.outlook(place, at, stamps[place[:3]] if stamps else None) for place in places}

    def outlook(self, place: Place, at: datetime, behind: int | None = None) -> Outlook:
        """The same of one place."""

        def is_later(each: Change | Counted) -> bool:
            return each.effective_at > at or (each.effective_at == at and behind is not None and each.stamp > behind)

        later = sorted(count for where, count in self.counts if where == place and is_later(count))
        end = (later[0].effective_at, later[0].stamp) if later else None
        ordered = sorted(each for each in self.changes if each.place == place)
        standing = total(each.quantity for each in ordered if not is_later(each))
        least, least_at, quantity = standing, at, standing
        for each in ordered:
            if is_later(each) and (end is None or (each.effective_at, each.stamp) < end):
                quantity += each.quantity
                if quantity < least:
                    least, least_at = quantity, each.effective_at
        return Outlook(standing, least, least_at, later[0] if later else None)


def total(quantities: Iterable[Decimal]) -> Decimal:
    """Their sum."""
    return sum(quantities, ZERO)
