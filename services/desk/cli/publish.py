"""`stockbook publish`: events from a file, checked to the last line before the first one is sent."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.desk.cli.showing import outcome_lines
from services.desk.events import Event, read_event
from services.desk.listening import Listener, Outcome
from services.desk.pipeline import Pipeline, utc_now
from services.desk.sending import send
from services.desk.servers import database
from services.desk.store import outcomes
from shared.broker import Broker, connect
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
    wait: bool = typer.Option(
        False, "--wait", help="Wait for every outcome and show it. Exit code 1 if any is a refusal, or does not come."
    ),
    timeout: float = typer.Option(70, min=0, help="How many seconds to wait, once everything is sent."),
    check: bool = typer.Option(False, "--check", help="Only check the file; send nothing."),
) -> None:
    """Publish a file of events. A line that is wrong is named by its number, and then nothing at all is sent."""
    settings = Settings.from_environment()
    configure("warning")
    with _opened(file) as lines:
        count, sources = _check(lines, file, source)
        if check:
            sys.stdout.write(f"{count} events, all well-formed\n")
            return
        with _progress() as progress:
            events = iter(progress.track(_events(lines, source), total=count, description="publishing"))
            told, is_good = _publish(events, sources, settings, timeout if wait else None)
    sys.stdout.write("\n".join(told) + "\n")
    if wait and not is_good:
        raise typer.Exit(1)


def _publish(
    events: Iterator[Event], sources: set[str], settings: Settings, patience: float | None
) -> tuple[list[str], bool]:
    """Publish all; what there is to say about it, and whether nothing was refused and nothing is missing.

    `patience`: how many seconds to wait for outcomes; None: not at all.
    """
    tally = Tally(is_detailed=patience is not None)
    if settings.broker_url is None:
        _play(events, settings, tally, patience or 0.0)
    elif patience is None:
        broker = connect(settings.broker_url)
        return [f"{_send(events, broker)} events published"], True
    else:
        _send_and_hear(events, connect(settings.broker_url), sources, tally, patience)
    return tally.told(), tally.is_good


def _check(lines: BinaryIO, file: Path, source: str) -> tuple[int, set[str]]:
    """Read every line; how many events there are, and of which sources. StockbookError with the first errors' lines."""
    errors: list[str] = []
    sources: set[str] = set()
    count = 0
    for number, line in _lines(lines):
        count += 1
        try:
            sources |= {name for name, _ in read_event(line, source, utc_now()).keys}
        except Malformed as error:
            errors.append(f"{file}:{number}: {error}")
            if len(errors) == ERRORS_SHOWN:
                errors.append("further lines were not read")
                break
    if errors:
        raise StockbookError("nothing was sent:\n" + "\n".join(errors))
    return count, sources


def _send(events: Iterator[Event], broker: Broker, after_each: Callable[[Sequence[Event]], None] | None = None) -> int:
    """Publish to RabbitMQ, where workers elsewhere take it up; how many events there were."""
    publisher = broker.publisher()
    count = 0
    while chunk := list(islice(events, CHUNK)):
        send(publisher, [event.message() for event in chunk])
        count += len(chunk)
        if after_each is not None:
            after_each(chunk)
    publisher.close()
    return count


def _send_and_hear(events: Iterator[Event], broker: Broker, sources: set[str], tally: "Tally", patience: float) -> None:
    """The same, and listen to what is told of it, from before the first event until all is told."""
    listener = Listener(broker, sources)

    def hear_what_is_there(chunk: Sequence[Event]) -> None:
        tally.sent(chunk)
        while heard := listener.hear(0):
            tally.hear(heard)

    try:
        _send(events, broker, hear_what_is_there)
        until = time.monotonic() + patience
        while tally.open and (left := until - time.monotonic()) > 0:
            tally.hear(listener.hear(min(left, 1.0)))
    finally:
        listener.close()


def _play(events: Iterator[Event], settings: Settings, tally: "Tally", patience: float) -> None:
    """Play the events through the services inside this process, and wait for those that are early."""
    with database(settings) as url, Pipeline(url, settings=settings) as pipeline:
        while chunk := list(islice(events, CHUNK)):
            pipeline.publish(chunk)
            pipeline.settle()
            tally.sent(chunk)
            tally.ask(pipeline)
        if tally.open and patience:
            sys.stderr.write(f"{len(tally.open)} lack something that may still come: waiting up to {patience:g} s\n")
        until = time.monotonic() + patience
        while tally.open and time.monotonic() < until:
            pipeline.turn(_PAUSE)
            pipeline.settle()
            tally.ask(pipeline)


@dataclass(slots=True)
class Tally:
    """What came of the events so far: `told` has the outcomes in lines of text, `open` are without one.

    `is_detailed`: everything is told, what was accepted and what is open too; else only what was refused.
    """

    is_detailed: bool
    accepted: int = 0
    refused: int = 0
    outcomes: list[str] = field(default_factory=list)
    open: dict[Key, None] = field(default_factory=dict)
    _sent: set[Key] = field(default_factory=set)

    @property
    def is_good(self) -> bool:
        """Nothing was refused, and nothing is missing."""
        return not self.refused and not self.open

    def sent(self, events: Sequence[Event]) -> None:
        """These are on their way; their outcomes are awaited."""
        keys = dict.fromkeys(key for event in events for key in event.keys if key not in self._sent)
        self.open |= keys
        self._sent |= keys.keys()

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """Take note of outcomes; what others sent, and what was told before, is passed over."""
        for outcome in outcomes:
            key = (outcome.source, outcome.id)
            if key not in self.open:
                continue
            del self.open[key]
            is_refusal = isinstance(outcome, OutcomeRejected)
            self.refused += is_refusal
            self.accepted += not is_refusal
            if is_refusal or self.is_detailed:
                self.outcomes += outcome_lines(outcome)

    def ask(self, pipeline: Pipeline) -> None:
        """Look up the outcomes of all that have none yet, in the order of sending."""
        with transaction(pipeline.engine) as connection:
            found = outcomes(connection, self.open)
        self.hear([found[key] for key in self.open if key in found])

    def told(self) -> list[str]:
        """What came of them, and how many there are of each kind."""
        missing = [f"no outcome {' '.join(key)}" for key in self.open] if self.is_detailed else []
        summary = f"{self.accepted} accepted, {self.refused} rejected"
        return [*self.outcomes, *missing, summary + (f", {len(self.open)} without an outcome yet" if self.open else "")]


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
