"""Entries that other movements name, while what stood around them is valued anew.

The one idea: what came back of an entry before another part of it does is a matter of time. So the returns of an entry
are kept with their places, and whoever returns a part finds the entry as it was at its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide.changes import Change
from services.ledger.decide.originals import Original
from services.ledger.decide.state import BinKey
from services.ledger.decide.told import Booked
from shared.errors import InvariantBroken
from shared.quantities import ZERO


class Return(NamedTuple):
    """A part of an entry that came back or was sent back: when, the stamp in the entry's bin, and where it went."""

    effective_at: datetime
    stamp: int
    quantity: Decimal
    serials: Sequence[str]
    key: BinKey


@dataclass(slots=True)
class Named:
    """An entry that others name: its bin, what is known of it, and its returns."""

    key: BinKey
    original: Original
    returns: list[Return] = field(default_factory=list)

    def at(self, effective_at: datetime, stamps: Mapping[BinKey, int]) -> Original:
        """The entry as a movement finds it that takes effect then, with these stamps."""
        place = (effective_at, stamps.get(self.key, 0))
        before = [each for each in self.returns if (each.effective_at, each.stamp) < place]
        costs = self.original.costs
        return replace(
            self.original,
            returned=sum((each.quantity for each in before), ZERO),
            returned_cost=sum((costs.get(serial, ZERO) for each in before for serial in each.serials), ZERO),
        )

    def followers(self) -> set[tuple[BinKey, datetime]]:
        """Where its returns went, and when."""
        return {(each.key, each.effective_at) for each in self.returns}

    def land(self, landed: Original | None) -> None:
        """A landed cost revalued it."""
        if landed is None:
            raise InvariantBroken("a landed cost names an entry that is not posted", bin=self.key)
        self.original = replace(self.original, corrected=landed.corrected, corrected_worth=landed.corrected_worth)

    def take(self, change: Change, booked: Booked) -> bool:
        """It was carried out once more; whether it came to something else. Whatever revalued it comes again."""
        before = self.original
        self.original = replace(
            before,
            value=change.value,
            worth=change.worth,
            booked=sum(booked.values(), ZERO),
            cost=sum(change.costs.values(), ZERO),
            costs=dict(change.costs),
            corrected=ZERO,
            corrected_worth=ZERO,
        )
        now = self.original
        same = (now.value, now.booked, now.cost) == (before.value, before.booked, before.cost)
        return not same or any(now.costs.get(serial) != cost for serial, cost in before.costs.items())
