"""What happened in a bin, in the order of time: every leg that holds, as it is told now.

The one idea: everything that belongs to a leg was recorded at the leg's own place. So the entries of a bin, in the
order of their places, have only to be added up leg by leg; and what was cancelled is left out, with what cancelled it.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide.revaluing import Position
from shared.purposes import PURPOSES, Flow


class BinRow(NamedTuple):
    """An entry among the others of its bin. `leg` is the entry to whose total it belongs; `is_own`: that is itself.

    `is_cancelled`: its movement was.
    """

    effective_at: datetime
    stamp: int
    leg: str
    is_own: bool
    purpose: str
    quantity: Decimal
    value: Decimal
    worth: Decimal
    original: str | None
    is_cancelled: bool


@dataclass(slots=True)
class Happened:
    """A leg in its bin, with what it changed there. Not frozen: entries are added to it."""

    effective_at: datetime
    stamp: int
    entry: str
    flow: Flow
    quantity: Decimal
    value: Decimal
    worth: Decimal
    original: str | None
    is_void: bool

    @property
    def place(self) -> Position:
        """Its place in the time of the bin."""
        return (self.effective_at, self.stamp)

    @property
    def holds(self) -> bool:
        """Whether it changed anything: a count that found no difference left all as it was, and so did a write-down."""
        return not self.is_void and bool(self.quantity or self.value or self.flow not in _MAY_CHANGE_NOTHING)


_MAY_CHANGE_NOTHING = (Flow.COUNT, Flow.WRITE_DOWN)


def in_time(rows: Iterable[BinRow], void: Container[int]) -> list[Happened]:
    """The legs of a bin that hold, in the order of time, a landed cost right behind its receipt.

    `rows` are the bin's entries by effective_at, stamp, revaluation and ordinal, without true-ups; so that a leg's own
    entry, if it made any, comes before what was added to it. `void` are the stamps of cancelled movements.
    """
    legs: dict[str, Happened] = {}
    for row in rows:
        known = legs.get(row.leg)
        if known is None:
            legs[row.leg] = _first(row, void)
        else:
            known.quantity += row.quantity
            known.value += row.value
            known.worth += row.worth
    return [each for each in legs.values() if each.holds]


def _first(row: BinRow, void: Container[int]) -> Happened:
    """What is known first of a leg; one that made no entry is told by what was added to it."""
    if row.is_own:
        flow = PURPOSES[row.purpose].flow
        is_void = row.is_cancelled or flow is Flow.CANCEL
    else:
        # What has a quantity is what a count finds since another movement was inserted or cancelled before it.
        flow = Flow.COUNT if row.quantity else PURPOSES[row.purpose].flow
        is_void = row.stamp in void
    return Happened(
        row.effective_at, row.stamp, row.leg, flow, row.quantity, row.value, row.worth, row.original, is_void
    )
