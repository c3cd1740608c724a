"""What statements are judged by: the facts of the units that they are about, read under the locks of these units."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.aftercare.decide.facts import Dossier, Dossiers, Facts, Key, Said, Unit
from shared.contracts.aftercare import ClaimOpened

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Known:
    """What is known as a set of statements is judged; what is accepted of it is known to those after it.

    `units` are those that have moved, `registered` those that the gate knows and that never did. `claims` are the names
    of claims that are taken, by company. `movements` are accepted ones, of those that were asked for.
    """

    now: datetime = _NEVER
    facts: Facts = field(default_factory=Facts)
    units: set[Unit] = field(default_factory=set)
    registered: set[Unit] = field(default_factory=set)
    time_zones: Mapping[str, str] = field(default_factory=dict)
    claims: set[tuple[str, str]] = field(default_factory=set)
    movements: set[Key] = field(default_factory=set)

    def is_known(self, unit: Unit) -> bool:
        """Whether there is such a unit."""
        return unit in self.units or unit in self.registered

    def dossier(self, unit: Unit, as_of: datetime | None = None) -> Dossier:
        """All that is known of a unit, without what took effect later."""
        return self.dossiers(as_of).of(unit)

    def dossiers(self, as_of: datetime | None = None) -> Dossiers:
        """All units of which anything is known here, without what took effect later."""
        return Dossiers(self.facts, as_of)

    def accept(self, said: Said) -> None:
        """Add a statement that was accepted."""
        self.facts.say(said)
        if isinstance(said.what, ClaimOpened):
            self.claims.add((said.what.company, said.what.claim))
