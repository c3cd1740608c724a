"""`stockbook publish`: events from a file, checked to the last line before the first one is sent."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from services.desk.cli import files
from services.desk.cli.asking import Tally, ask, send_all
from services.desk.cli.showing import say
from services.desk.events import Event, read_event
from services.desk.pipeline import utc_now
from shared.broker import connect
from shared.logs import configure
from shared.settings import Settings


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

    def read(line: bytes) -> Event:
        return read_event(line, source, utc_now())

    with files.opened(file) as lines:
        count, sources = files.check(lines, file, read)
        if check:
            sys.stdout.write(f"{count} events, all well-formed\n")
            return
        with files.events(lines, read, count, "publishing") as events:
            told, is_good = _publish(events, sources, settings, timeout if wait else None)
    say(told)
    if wait and not is_good:
        raise typer.Exit(1)


def _publish(
    events: Iterator[Event], sources: set[str], settings: Settings, patience: float | None
) -> tuple[list[str], bool]:
    """Publish all; what there is to say about it, and whether nothing was refused and nothing is missing.

    `patience`: how many seconds to wait for outcomes; None: not at all.
    """
    if settings.broker_url is not None and patience is None:
        return [f"{send_all(events, connect(settings.broker_url))} events published"], True
    tally = Tally(is_detailed=patience is not None)
    ask(events, sources, settings, tally, patience or 0.0)
    return tally.told(), tally.is_good
