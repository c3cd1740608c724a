"""The examples played through the services: two shops' days, by a clock that stands still, so always the same.

All but the last day is played at one moment and the last day at another: what the last day changed can be told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from shared.errors import StockbookError
from shared.settings import Settings

CLOCK = datetime(2026, 4, 30, 18, 0, tzinfo=UTC)
"""When all but the last day is played."""
LAST_DAY = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass
class _Clock:
    now: datetime = CLOCK

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def played(url: str, folder: Path = EXAMPLES, *, last_day: bool = True) -> Iterator[tuple[Pipeline, list[Event]]]:
    """The services on an empty database after they have worked on the events of a folder, and these events."""
    *before, last = _read(folder)
    clock = _Clock()
    # Every turn sweeps: what is closed is locked when the services have come to rest.
    with Pipeline(url, clock=clock, settings=replace(Settings(), sweep_every=0.0)) as pipeline:
        pipeline.publish([event for day in before for event in day])
        pipeline.settle()
        if last_day:
            clock.now = LAST_DAY
            pipeline.publish(last)
            pipeline.settle()
        yield pipeline, [event for day in (*before, last if last_day else []) for event in day]


def _read(folder: Path) -> list[list[Event]]:
    """The events of all files day by day: files whose names begin with the same number tell one day."""
    days: dict[str, list[Event]] = {}
    for file in sorted(folder.glob("*/*.jsonl"), key=lambda file: (_day(file), file)):
        lines = file.read_bytes().splitlines()
        days.setdefault(_day(file), []).extend(read_event(line, file.parent.name, CLOCK) for line in lines)
    if not days:
        raise StockbookError("there are no examples here; they lie in the repository", folder=folder)
    return list(days.values())


def _day(file: Path) -> str:
    return file.name.partition("-")[0]
