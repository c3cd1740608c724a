"""All that is known of a unit: its movements, and the statements about it; whatever is asked follows from these.

The idea: nothing is ever changed, so it does not matter in which order facts arrive. How things stand at some time, or
were known to stand, follows from the facts of then. A movement that was cancelled is none from then on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from shared.contracts.aftercare import ClaimUpdated, Resolution, Statement
from shared.contracts.outcome import Remark
from shared.purposes import PURPOSES

Key = tuple[str, str]
"""Source, and the id there."""


class Unit(NamedTuple):
    """A serialized unit."""

    company: str
    item: str
    serial: str


class Rank(NamedTuple):
    """Where a fact stands among all facts: by when it took effect, then when it was accepted, then its name."""

    at: datetime
    recorded_at: datetime
    stamp: int
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class Move:
    """What one movement did to a unit: the warehouse that it `left`, that to which it `came`, or both.

    `day` is its day in the company's time zone. `stamp` is its number in the bin. `party` is the customer, supplier or
    recipient. `warranty_days` are those of the item. `cancelled_at` is when its cancellation was accepted.
    """

    key: Key
    purpose: str
    effective_at: datetime
    recorded_at: datetime
    day: date
    stamp: int = 0
    left: str | None = None
    came: str | None = None
    party: str | None = None
    document: str | None = None
    actor: str | None = None
    warranty_days: int | None = None
    cancelled_by: Key | None = None
    cancelled_at: datetime | None = None

    @property
    def rank(self) -> Rank:
        """Where it stands among all facts."""
        return Rank(self.effective_at, self.recorded_at, self.stamp, *self.key)

    @property
    def is_delivery(self) -> bool:
        """Whether a customer has the unit by it."""
        return self.came is None and PURPOSES[self.purpose].to_customer


@dataclass(frozen=True, slots=True)
class Said:
    """A statement that was accepted: `day` is that of its `at` in the company's time zone.

    `about` is the unit, and `other` the one that replaced it, where it says so. `remarks` are what its source was told.
    """

    key: Key
    about: Unit
    what: Statement
    day: date
    recorded_at: datetime
    remarks: tuple[Remark, ...] = ()

    @property
    def rank(self) -> Rank:
        """Where it stands among all facts."""
        return Rank(self.what.at, self.recorded_at, 0, *self.key)

    @property
    def other(self) -> Unit | None:
        """The unit that the customer got for this one."""
        return replaced_by(self.what)


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of a unit, in its order; and the statements by which it replaced others."""

    unit: Unit
    moves: Sequence[Move] = ()
    said: Sequence[Said] = ()
    replaces: Sequence[Said] = ()

    def standing(self) -> Sequence[Move]:
        """The movements that were not cancelled."""
        return [each for each in self.moves if each.cancelled_at is None]


def replaced_by(what: Statement) -> Unit | None:
    """The unit that the customer got for that of a statement, if it says so."""
    if not isinstance(what, ClaimUpdated) or what.resolution is not Resolution.REPLACED or what.replacement is None:
        return None
    return Unit(what.company, what.replacement.item or what.item, what.replacement.serial)


@dataclass(slots=True)
class Facts:
    """Facts by unit, in whatever order they come; `replacing` are statements by the unit that replaced another one."""

    moves: dict[Unit, list[Move]] = field(default_factory=dict)
    said: dict[Unit, list[Said]] = field(default_factory=dict)
    replacing: dict[Unit, list[Said]] = field(default_factory=dict)

    def move(self, unit: Unit, move: Move) -> None:
        """Add a movement of a unit."""
        self.moves.setdefault(unit, []).append(move)

    def say(self, said: Said) -> None:
        """Add a statement."""
        self.said.setdefault(said.about, []).append(said)
        if said.other is not None:
            self.replacing.setdefault(said.other, []).append(said)


@dataclass(slots=True, eq=False)
class Dossiers:
    """The dossiers of units, made as they are asked for; without what took effect later, or was accepted later."""

    facts: Facts
    as_of: datetime | None = None
    known_at: datetime | None = None
    _made: dict[Unit, Dossier] = field(default_factory=dict)

    def of(self, unit: Unit) -> Dossier:
        """All that is known of a unit; of one that is not known, nothing is."""
        found = self._made.get(unit)
        if found is None:
            moves = _moves_then(self.facts.moves.get(unit, ()), self.as_of, self.known_at)
            said, replacing = (self._then(each.get(unit, ())) for each in (self.facts.said, self.facts.replacing))
            found = self._made[unit] = Dossier(unit, list(moves), said, replacing)
        return found

    def _then(self, said: Iterable[Said]) -> list[Said]:
        found = [each for each in said if _is_then(each.rank, self.as_of, self.known_at)]
        return sorted(found, key=lambda each: each.rank)


def _moves_then(moves: Iterable[Move], as_of: datetime | None, known_at: datetime | None) -> Iterator[Move]:
    for each in sorted(moves, key=lambda each: each.rank):
        if _is_then(each.rank, as_of, known_at):
            unknown = each.cancelled_at is not None and known_at is not None and each.cancelled_at > known_at
            yield replace(each, cancelled_at=None, cancelled_by=None) if unknown else each


def _is_then(rank: Rank, as_of: datetime | None, known_at: datetime | None) -> bool:
    return (as_of is None or rank.at <= as_of) and (known_at is None or rank.recorded_at <= known_at)
