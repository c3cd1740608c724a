"""What statements are judged by beside the facts, and what a set leaves to do."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.logs import logger
from shared.service import Key, Output, Result

NAME = "aftercare"
PATIENCE = timedelta(seconds=60)
"""How long a statement waits whose source never said."""

log = logger(NAME)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Gate:
    """The clock, the patience of sources that were never defined, and the accounts that are believed for others."""

    clock: Clock = utc_now
    patience: timedelta = PATIENCE
    administrators: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What a set came to: answers, what is told of coverage (in the outbox too), and how many it made due.

    `is_all_told`: there is no coverage left to tell of, because it is of too many units at once.
    """

    outputs: Sequence[Output] = ()
    told: Sequence[Output] = ()
    woke: int = 0
    counts: Counter[tuple[Result, str]] = field(default_factory=Counter)
    is_all_told: bool = True

    @property
    def released(self) -> list[Key]:
        """The keys of what stands in the outbox."""
        return sorted({(each.source, each.id) for each in self.told})
