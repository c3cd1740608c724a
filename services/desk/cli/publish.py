"""`stockbook publish`: events from a file, checked to the last line before the first one is sent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
from services.desk.servers import database
from services.desk.store import outcomes
from shared.broker import connect
from shared.contracts.codec import Malformed
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.settings import Settings

CHUNK = 500
ERRORS_SHOWN = 20


def publish(
    file: Path = typer.Argument(help="One JSON event a line: a CloudEvent, or in short its type and data. -: stdin."),
    source: str = typer.Option("desk", help="The upstream that events speak for which name none themselves."),
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
            told = _send(iter(events), settings) if settings.broker_url else _play(iter(events), settings)
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
        publisher.publish([event.message() for event in chunk])
        count += len(chunk)
    publisher.close()
    return [f"{count} events published"]


def _play(events: Iterator[Event], settings: Settings) -> list[str]:
    """Play the events through the services inside this process; what came of them."""
    accepted, told, waiting = 0, [], 0
    with database(settings) as url, Pipeline(url, settings=settings) as pipeline:
        while chunk := list(islice(events, CHUNK)):
            pipeline.publish(chunk)
            pipeline.settle()
            keys = [key for event in chunk for key in event.keys]
            with transaction(pipeline.engine) as connection:
                found = outcomes(connection, keys)
            refused = [each for key in keys if isinstance(each := found.get(key), OutcomeRejected)]
            told += [line for each in refused for line in _refusal(each)]
            accepted += len(found) - len(refused)
            waiting += len(set(keys)) - len(found)
    summary = f"{accepted} accepted, {sum(not line.startswith(' ') for line in told)} rejected"
    return [*told, summary + (f", {waiting} without an outcome yet" if waiting else "")]


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
