"""`stockbook publish`: events from a file, checked to the last line before the first one is sent."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline, utc_now
from services.desk.reporting import reason_text
from services.desk.sending import send
from services.desk.servers import database
from services.desk.store import outcomes
from shared.broker import connect
from shared.contracts.codec import Malformed
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.service import Key
from shared.settings import Settings

CHUNK = 500
_PAUSE = 0.2  # seconds between two looks at who waits
ERRORS_SHOWN = 20


def publish(
    file: Path = typer.Argument(help="One JSON event a line: a CloudEvent, or in short its type and data. -: stdin."),
    source: str = typer.Option("desk", help="The upstream that events speak for which name none themselves."),
    wait: float = typer.Option(
        70, min=0, help="Embedded: how many seconds to wait for events that lack something which may still come."
    ),
    check: bool = typer.Option(False, "--check", help="Only check the file; send nothing."),
) -> None:
    """Publish a file of events. A line that is wrong is named by its number, and then nothing at all is sent."""
    settings = Settings.from_environment()
    configure("warning")
    with _opened(file) as lines:
        count = _check(lines, file, source)
        if check:
            sys.stdout.write(f"{count} events, all well-formed\n")
            return
        with _progress() as progress:
            events = progress.track(_events(lines, source), total=count, description="publishing")
            told = _send(iter(events), settings) if settings.broker_url else _play(iter(events), settings, wait)
    sys.stdout.write("\n".join(told) + "\n")


def _check(lines: BinaryIO, file: Path, source: str) -> int:
    """Read every line; how many events there are. StockbookError with the first errors, each with its line."""
    errors, count = [], 0
    for number, line in _lines(lines):
        count += 1
        try:
            read_event(line, source, utc_now())
        except Malformed as error:
            errors.append(f"{file}:{number}: {error}")
            if len(errors) == ERRORS_SHOWN:
                errors.append("further lines were not read")
                break
    if errors:
        raise StockbookError("nothing was sent:\n" + "\n".join(errors))
    return count


def _send(events: Iterator[Event], settings: Settings) -> list[str]:
    """Publish to RabbitMQ: who sent it hears of the outcomes there."""
    publisher = connect(settings.broker_url).publisher()
    count = 0
    while chunk := list(islice(events, CHUNK)):
        send(publisher, [event.message() for event in chunk])
        count += len(chunk)
    publisher.close()
    return [f"{count} events published"]


def _play(events: Iterator[Event], settings: Settings, wait: float) -> list[str]:
    """Play the events through the services inside this process; what came of them."""
    tally = Tally()
    with database(settings) as url, Pipeline(url, settings=settings) as pipeline:
        while chunk := list(islice(events, CHUNK)):
            pipeline.publish(chunk)
            pipeline.settle()
            tally.count(pipeline, [key for event in chunk for key in event.keys])
        if tally.open and wait:
            sys.stderr.write(f"{len(tally.open)} lack something that may still come: waiting up to {wait:g} s\n")
        until = time.monotonic() + wait
        while tally.open and time.monotonic() < until:
            pipeline.turn(_PAUSE)
            pipeline.settle()
            tally.count(pipeline, ())
    return tally.told()


@dataclass(slots=True)
class Tally:
    """What came of the events so far; `open` are those that wait."""

    accepted: int = 0
    refused: list[OutcomeRejected] = field(default_factory=list)
    open: list[Key] = field(default_factory=list)

    def count(self, pipeline: Pipeline, keys: Sequence[Key]) -> None:
        """Ask for the outcomes of these, and of those that were open."""
        asked = list(dict.fromkeys([*self.open, *keys]))
        with transaction(pipeline.engine) as connection:
            found = outcomes(connection, asked)
        refused = [each for key in asked if isinstance(each := found.get(key), OutcomeRejected)]
        self.refused += refused
        self.accepted += len(found) - len(refused)
        self.open = [key for key in asked if key not in found]

    def told(self) -> list[str]:
        """Every refusal with its reasons, and how many there are of each kind."""
        lines = [line for outcome in self.refused for line in _refusal(outcome)]
        summary = f"{self.accepted} accepted, {len(self.refused)} rejected"
        return [*lines, summary + (f", {len(self.open)} without an outcome yet" if self.open else "")]


def _refusal(outcome: OutcomeRejected) -> list[str]:
    reasons = (reason_text(reason.code, reason.line, reason.facts) for reason in outcome.reasons)
    return [f"rejected {outcome.source} {outcome.id}", *(f"  {reason}" for reason in reasons)]


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """The file, or a copy of standard input: it is read twice."""
    if str(file) != "-":
        if not file.is_file():
            raise StockbookError("there is no such file", file=file)
        with file.open("rb") as lines:
            yield lines
        return
    with TemporaryFile() as copy:
        copy.writelines(sys.stdin.buffer)
        yield copy


def _lines(lines: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that hold anything, with their numbers."""
    lines.seek(0)
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


def _events(lines: BinaryIO, source: str) -> Iterator[Event]:
    return (read_event(line, source, utc_now()) for _, line in _lines(lines))


def _progress() -> Progress:
    """A bar on standard error, where somebody can see it."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
