"""The book of a reference that allocates as one would do by hand: every unit on a list of its own.

It knows nothing of bins, drafts or stamps kept; what stands where, since when, and how often a bin was touched is found
by walking through lists. Slow, and meant to be obvious.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Self

from services.receiving.decide.stock import Item
from shared.purposes import SerialStatus

Mark = tuple[datetime, int, int, int]
"""When something came: the moment, the bin's stamp, the line, the place in the line."""
Place = tuple[str, str]
"""An item in a warehouse."""
Part = tuple[str, str, int]
"""A part of a movement: the how manieth of what `left` or of what `came` by it."""


class Refused(Exception):  # noqa: N818 - what the movement is
    """The movement is not accepted."""


class BackDated(Refused):
    """The movement takes effect before what came behind it; this book is written forward only."""


@dataclass(slots=True)
class Unit:
    """One unit of an item: where it stands (None: it left, by a part, from a warehouse), since when, its last move."""

    item: str
    batch: str | None
    serial: str | None
    place: str | None
    came: Mark
    moved_by: int
    moved_at: datetime
    status: SerialStatus = SerialStatus.ACTIVE
    left_by: Part | None = None
    left_from: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a line took, brought or valued, of one batch; `original` is the part of another movement that it undoes."""

    line: int
    item: str
    warehouse: str
    quantity: int
    batch: str | None = None
    serials: tuple[str, ...] = ()
    original: Part | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted movement: when it took effect, what it did in which order, its number in each of its bins.

    Of these it moved or valued goods in some, and counted some. `short` is how many units lines took that were not
    there.
    """

    purpose: str
    effective_at: datetime
    left: tuple[Taken, ...]
    came: tuple[Taken, ...]
    valued: tuple[Taken, ...]
    stamps: Mapping[Place, int]
    moved: frozenset[Place]
    counted: frozenset[Place]
    short: tuple[tuple[int, int], ...]

    @property
    def taken(self) -> tuple[Taken, ...]:
        """All that it did."""
        return (*self.left, *self.came, *self.valued)


@dataclass(slots=True)
class Records:
    """All that ever was: the units, when batches came and went, and every accepted movement.

    `owed` is how many units were taken out of a bin that were not there; `rated` are the bins in which a rate is known,
    and since when. `returned` is how much of a part was returned, or which serials. `tells`: their source tells facts,
    never refused for want of stock.
    """

    items: Mapping[str, Item]
    tells: bool = False
    held: set[tuple[str, str]] = field(default_factory=set)
    documents: dict[str, Answer] = field(default_factory=dict)
    units: list[Unit] = field(default_factory=list)
    passed: list[tuple[str, str, Mark, int]] = field(default_factory=list)
    expiries: dict[tuple[str, str], date | None] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    owed: dict[Place, int] = field(default_factory=dict)
    rated: dict[Place, datetime] = field(default_factory=dict)
    returned: list[tuple[Part, int, tuple[str, ...]]] = field(default_factory=list)

    def trial(self) -> Self:
        """A copy to play a movement on."""
        return replace(
            self,
            units=[replace(each) for each in self.units],
            passed=list(self.passed),
            expiries=dict(self.expiries),
            counters=dict(self.counters),
            owed=dict(self.owed),
            rated=dict(self.rated),
            returned=list(self.returned),
        )

    def standing(self, item: str, place: str | None) -> list[Unit]:
        """The units of an item in a warehouse; None: those that left."""
        return [each for each in self.units if (each.item, each.place) == (item, place)]

    def known(self, item: str, serial: str) -> Unit:
        """The unit of a number; Refused where there is none."""
        for each in self.units:
            if (each.item, each.serial) == (item, serial):
                return each
        raise Refused

    def quantity(self, place: Place) -> int:
        """How much there is in a bin; below zero where it owes."""
        return len(self.standing(*place)) - self.owed.get(place, 0)

    def touched(self, place: Place) -> int:
        """How many movements took a stamp in a bin."""
        return sum(place in each.stamps for each in self.documents.values())

    def entered(self, item: str, batch: str) -> Mark:
        """When a batch first came into the company since it last left."""
        total, since = 0, None
        for mark, change in self.passing(item, batch):
            if since is None or total == 0 or (change > 0 and mark[0] < since[0]):
                since = mark
            total += change
        assert since is not None
        return since

    def passing(self, item: str, batch: str) -> Iterator[tuple[Mark, int]]:
        """When so much of a batch came into the company, or left it."""
        for its_item, its_batch, mark, change in self.passed:
            if (its_item, its_batch) == (item, batch):
                yield mark, change

    def returned_of(self, part: Part) -> tuple[int, set[str]]:
        """How much of a part was returned, and which serials."""
        found = [(quantity, serials) for its, quantity, serials in self.returned if its == part]
        return sum(quantity for quantity, _ in found), {number for _, serials in found for number in serials}
