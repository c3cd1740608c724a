"""`stockbook replay`: what a service lacks is taken from the stored outputs of the service before it.

On a system at work it asks the workers for it. In here it is done where there are no others, where they have none to
spare, or where not all of it is meant.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from enum import StrEnum

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine

from services.desk.cli.options import parse_time
from services.desk.cli.status import NEEDS_A_PERSON
from services.desk.replaying import Choice, Found, Replayed, count_unheard, find, refuse_half, replay_now
from services.desk.servers import database
from services.desk.store.lacking import left_in_ledger
from shared.broker import Broker, connect
from shared.db import open_engine, transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.parked import count_parked
from shared.printable import printable
from shared.replay import due
from shared.settings import Settings

SHOWN = 20
BEGINNING = "beginning"


class Which(StrEnum):
    """What to replay."""

    LEDGER = "ledger"
    ACCOUNTING = "accounting"
    AFTERCARE = "aftercare"
    ALL = "all"


def replay(
    which: Which = typer.Argument(help="The service that lacks something; all: the ledger, accounting, aftercare."),
    start: str = typer.Option(BEGINNING, "--from", metavar="TIME", help="Only what was recorded since then."),
    source: str | None = typer.Option(None, help="Only one movement: its source. With --id."),
    name: str | None = typer.Option(None, "--id", help="Only one movement: its id. With --source."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only count and name what is missing."),
    now: bool = typer.Option(
        False, "--now", help="Do it in here; so it is without a broker, and with --from, --source and --id."
    ),
    quiet: bool = typer.Option(False, "--quiet", help="Tell nobody: all of it was told before. Implies --now."),
) -> None:
    """Take from stored outputs what a service lacks: close a gap, or rebuild a service. May be repeated."""
    if (source is None) != (name is None):
        raise StockbookError("a movement is named by --source and --id, both")
    choice = Choice(since_of(start), (source, name) if source is not None and name is not None else None)
    services = list(Replayed) if which is Which.ALL else [Replayed(which.value)]
    settings = Settings.from_environment()
    configure("warning")
    with _opened(settings) as engine:
        if dry_run:
            sys.stdout.writelines(f"{line}\n" for each in services for line in _lack(engine, each, choice))
            return
        is_marked = settings.broker_url is not None and not now and not quiet and choice == Choice()
        if Replayed.LEDGER in services:
            refuse_half(engine, is_marked=is_marked)
        if is_marked:
            _mark(engine, services)
        elif not _do(engine, services, choice, None if quiet else settings.broker_url):
            raise typer.Exit(NEEDS_A_PERSON)


def since_of(text: str) -> datetime | None:
    """The moment that `--from` means: of a day alone its first one, in UTC; None: the beginning of all."""
    if text == BEGINNING:
        return None
    moment = parse_time(text)
    if len(text) <= len("2026-01-31"):
        return datetime.combine(date.fromisoformat(text), time_of_day.min, UTC)
    return moment


@contextmanager
def _opened(settings: Settings) -> Iterator[Engine]:
    with database(settings) as url:
        engine = open_engine(url)
        try:
            yield engine
        finally:
            engine.dispose()


def _lack(engine: Engine, service: Replayed, choice: Choice) -> Iterator[str]:
    """What a service lacks, for people."""
    yield from _lines(service, find(engine, service, choice, SHOWN))
    if service is Replayed.ACCOUNTING and (count := count_unheard(engine)):
        yield _unheard(count)


def _unheard(count: int) -> str:
    return f"accounting has not heard of {count} of the closings and reopenings of books"


def _lines(service: Replayed, found: Found) -> Iterator[str]:
    if not found.count:
        yield f"{service} lacks nothing"
        return
    first, last = found.named[0].recorded_at, found.last_at or found.named[0].recorded_at
    yield f"{service} lacks {found.count}, recorded from {_moment(first)} to {_moment(last)}:"
    for each in found.named:
        yield f"  {_moment(each.recorded_at)}  {printable(' '.join(each.key))}  {each.kind}"
    if found.count > len(found.named):
        yield f"  and {found.count - len(found.named)} more"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _mark(engine: Engine, services: Sequence[Replayed]) -> None:
    with transaction(engine) as connection:
        for each in services:
            due(each.value)(connection)
    *others, last = (each.value for each in services)
    names = " and ".join([", ".join(others), last]) if others else last
    sys.stdout.write(f"marked: the workers of {names} take what they lack at their next sweep\n")


def _do(engine: Engine, services: Sequence[Replayed], choice: Choice, broker_url: str | None) -> bool:
    """Replay in here; whether nothing is left that needs a person."""
    broker = connect(broker_url) if broker_url is not None else None
    try:
        left = [line for each in services for line in _replay(engine, each, choice, broker)]
    finally:
        if broker is not None:
            broker.close()
    sys.stdout.write("".join(f"{line}\n" for line in left))
    return not left


def _replay(engine: Engine, service: Replayed, choice: Choice, broker: Broker | None) -> list[str]:
    """Replay one service, and say how much it was; what is left."""
    parked_before = _parked(engine, service)
    began = time.monotonic()
    with _progress(service) as progress:
        done = replay_now(engine, service, choice, broker, progress)
    took = max(time.monotonic() - began, 0.001)
    sys.stdout.write(f"{service}: {done} replayed in {took:.1f} s, {done / took:,.0f}/s\n")
    return list(_left(engine, service, _parked(engine, service) - parked_before))


def _left(engine: Engine, service: Replayed, parked: int) -> Iterator[str]:
    if parked > 0:
        yield f"{parked} parked: stockbook parked list --service {service}"
    if service is Replayed.ACCOUNTING and (count := count_unheard(engine)):
        yield _unheard(count)
    if service is Replayed.LEDGER:
        with transaction(engine) as connection:
            left = left_in_ledger(connection)
        if left.stuck:
            yield f"{left.stuck} stuck in the ledger: stockbook stuck list"
        if left.waiting:
            yield f"{left.waiting} waiting in the ledger for what is not there"
        if left.dirty:
            yield f"{left.dirty} to be valued anew: stockbook report dirty-bins"


def _parked(engine: Engine, service: Replayed) -> int:
    with transaction(engine) as connection:
        return sum(count for _, count, _ in count_parked(connection, service))


@contextmanager
def _progress(service: Replayed) -> Iterator[Callable[[int, int], None]]:
    """How far it is, on a terminal; elsewhere nothing is shown."""
    console = Console(stderr=True)
    shown = (TextColumn(str(service)), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*shown, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(service.value, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
