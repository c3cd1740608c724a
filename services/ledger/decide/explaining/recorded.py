"""A leg as the ledger tells of it now: its own entry, with all that was added to that since.

The one idea: an entry is never changed, so what a leg came to is a sum; and what was added, told one after another, is
how it came to that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from services.ledger.decide.revaluing import Position
from services.ledger.decide.state import Key
from services.ledger.decide.told import add_up, without_zeros
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO


class Row(NamedTuple):
    """A ledger entry as it was recorded. `leg` is the entry to whose total it belongs; by default itself."""

    leg: str
    entry: str
    source: str
    id: str
    purpose: str
    line: int
    item: str
    warehouse: str
    batch: str | None
    effective_at: datetime
    stamp: int
    quantity: Decimal
    value: Decimal
    worth: Decimal
    posting_date: date
    recorded_at: datetime
    original: str | None
    revaluation: int
    true_up: bool
    booked: Mapping[str, Decimal]

    @property
    def was_posted(self) -> bool:
        """Whether its movement made it, and not something that came later."""
        return self.entry == self.leg or self.revaluation == 0

    @property
    def found_later(self) -> bool:
        """Whether it is what a count finds since something was inserted or cancelled before it."""
        return self.entry != self.leg and bool(self.quantity)


_Reason = tuple[datetime, date, Key | None]
"""When something was told, the day on which it counts, and by what, where that is known."""


class Addition(NamedTuple):
    """What was told of a leg at one time, and the day on which that counts.

    `by` is the movement that changed what a count finds. Of any other addition but the first, only the time says what
    made it necessary: it was recorded with that.
    """

    recorded_at: datetime
    posting_date: date
    quantity: Decimal
    value: Decimal
    by: Key | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A leg with all that is told of it. `effective_at` and `stamp` are its place in the time of its bin.

    `booked` are the parts of its value that went to accounts of their own. `trued_up` is what it trued up when it
    arrived, which is no part of `value`, `worth` and `booked`. `additions` tell how it came to all of that.
    """

    entry: str
    source: str
    id: str
    purpose: str
    line: int
    item: str
    warehouse: str
    batch: str | None
    effective_at: datetime
    stamp: int
    quantity: Decimal
    value: Decimal
    worth: Decimal
    posting_date: date
    recorded_at: datetime
    original: str | None = None
    booked: tuple[tuple[str, Decimal], ...] = ()
    trued_up: Decimal = ZERO
    additions: Sequence[Addition] = ()

    @property
    def key(self) -> Key:
        """The movement that made it."""
        return (self.source, self.id)

    @property
    def place(self) -> Position:
        """Its place in the time of its bin."""
        return (self.effective_at, self.stamp)

    @property
    def flow(self) -> Flow:
        """What its movement did to stock."""
        return PURPOSES[self.purpose].flow

    @property
    def total(self) -> Decimal:
        """All that it changed the value of its bin by."""
        return self.value + self.trued_up


def as_it_is_now(rows: Sequence[Row]) -> Recorded:
    """A leg, by all that was recorded of it in the order in which it was; one of them is its own entry."""
    (own,) = (each for each in rows if each.entry == each.leg)
    goods = [each for each in rows if not each.true_up]
    booked: dict[str, Decimal] = {}
    for each in goods:
        if not each.found_later:  # that is booked as a whole to the count's account
            add_up(booked, each.booked)
    return Recorded(
        entry=own.entry,
        source=own.source,
        id=own.id,
        purpose=own.purpose,
        line=own.line,
        item=own.item,
        warehouse=own.warehouse,
        batch=own.batch,
        effective_at=own.effective_at,
        stamp=own.stamp,
        quantity=sum((each.quantity for each in goods), ZERO),
        value=sum((each.value for each in goods), ZERO),
        worth=sum((each.worth for each in goods), ZERO),
        posting_date=own.posting_date,
        recorded_at=own.recorded_at,
        original=own.original,
        booked=tuple(without_zeros(booked).items()),
        trued_up=sum((each.value for each in rows if each.true_up), ZERO),
        additions=_additions(own, rows),
    )


def _additions(own: Row, rows: Sequence[Row]) -> list[Addition]:
    """What was posted, and what was added later; what was recorded at one time for one reason is one addition."""
    changed_by = {(each.recorded_at, each.posting_date): (each.source, each.id) for each in rows if each.found_later}
    posted = [each for each in rows if each.was_posted]
    together: dict[_Reason, list[Row]] = {}
    for each in rows:
        if not each.was_posted:
            told = (each.recorded_at, each.posting_date)
            # What a count finds later on is corrected because of the movement that it finds it by.
            by = (each.source, each.id) if each.found_later else changed_by.get(told)
            together.setdefault((*told, by), []).append(each)
    first = _addition((own.recorded_at, own.posting_date, None), posted)
    later = (_addition(reason, some) for reason, some in together.items())
    return [first, *(each for each in later if each.quantity or each.value)]


def _addition(reason: _Reason, rows: Sequence[Row]) -> Addition:
    recorded_at, posting_date, by = reason
    quantity = sum((each.quantity for each in rows), ZERO)
    return Addition(recorded_at, posting_date, quantity, sum((each.value for each in rows), ZERO), by)
