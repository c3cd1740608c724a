"""Where benchmarks run: durable servers, a database and a virtual host for each run, and worker processes.

The servers are private and gone at the end, unless STOCKBOOK_BENCH_DATABASE_URL and STOCKBOOK_BENCH_BROKER_URL name
others. The idea: masters and opening stock are played once into a template, so every run begins with the same
database, with fresh statistics, and without what an earlier run left.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import msgspec
import sqlalchemy as sa

from benchmarks import load
from benchmarks.processors import Reading, postmaster, reading
from services.desk.events import Event, make_event
from services.desk.pipeline import Pipeline
from services.desk.store import stock_values
from shared.broker import Broker, connect
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.movement import MovementRequested
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_REQUESTED
from shared.db import open_engine, transaction
from shared.embedded_postgres import EmbeddedPostgres
from shared.migrate import migrate
from tests import servers

SERVICES = ("receiving", "ledger", "accounting")
AFTERCARE = "aftercare"
"""The service that hears of serials alone: it runs where there are any."""
PATIENCE = 120.0
"""Seconds without a single journal entry after which a run has failed."""

Commands = Callable[[str], Sequence[str]]
"""The command that runs a worker of a service."""


_LARGE = 2**30  # bytes from which on a database is copied file by file, and not through the write-ahead log


class BenchmarkError(RuntimeError):
    """A run did not do what it should have done: its figure would be worth nothing."""


class NotHereError(RuntimeError):
    """A row cannot be measured on this machine; the text says why, and is told in its place."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Both servers, and the database that every run starts from; `families` and `broker_pid` for processor times."""

    server: str
    template: str
    broker: servers.Broker
    broker_pid: int | None
    families: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stage:
    """One run's own database and virtual host, its workers, and the listener that hears of journal entries."""

    url: str
    broker_url: str
    broker: Broker
    workers: Mapping[str, int]
    rig: Rig

    def reading(self, **processes: int) -> Reading:
        """The processor times of workers, servers, and further processes, now."""
        watched = {**processes, **self.workers}
        if self.rig.broker_pid is not None:
            watched["rabbitmq"] = self.rig.broker_pid
        return reading(watched, self.rig.families)


class Named(msgspec.Struct):
    """Of a movement that is told, its name alone."""

    source: str
    id: str


read_named = msgspec.json.Decoder(Named).decode


class Listener:
    """Counts the movements whose journal entries are committed and told.

    Of one worker each nothing is told twice. Where there are several, another may publish what its maker is about to:
    then each movement counts once (`doubles`).
    """

    def __init__(self, broker: Broker, *, doubles: bool = False) -> None:
        self._consumer = broker.bind_temporary("stock.events", [JOURNAL_POSTED])
        self._known: set[tuple[str, str]] | None = set() if doubles else None

    def wait_for(self, count: int) -> None:
        """Return when `count` more are heard of. BenchmarkError where none come any more."""
        while count > 0:
            heard = self.hear(PATIENCE)
            if not heard:
                raise BenchmarkError(f"no journal entry for {PATIENCE:g} s, {count} still to come")
            count -= heard
        if count < 0:
            raise BenchmarkError(f"{-count} journal entries more than were asked for: something was told twice")

    def hear(self, seconds: float) -> int:
        """How many are told of next; 0 where none is within so many seconds."""
        while deliveries := self._consumer.drain(100, seconds):
            told = [each for delivery in deliveries for each in raw_movements(read_envelope(delivery.body).data)]
            self._consumer.acknowledge(deliveries)
            if heard := self._count(told):
                return heard
        return 0

    def _count(self, told: Sequence[msgspec.Raw]) -> int:
        if self._known is None:
            return len(told)
        before = len(self._known)
        self._known.update((each.source, each.id) for each in map(read_named, told))
        return len(self._known) - before

    def close(self) -> None:
        """Let go."""
        self._consumer.close()


def our_worker(service: str) -> Sequence[str]:
    """A worker as it runs in earnest."""
    return [sys.executable, "-m", f"services.{service}"]


@contextmanager
def rig() -> Iterator[Rig]:
    """Both servers and the template; NoServerError says what is missing."""
    with ExitStack() as stack:
        server = os.environ.get("STOCKBOOK_BENCH_DATABASE_URL")
        if not server:
            server = stack.enter_context(EmbeddedPostgres(durable=True, binaries=servers.local_postgres())).url
        given = os.environ.get("STOCKBOOK_BENCH_BROKER_URL")
        if given:
            broker, broker_pid = servers.Broker(given), None
        else:
            node = stack.enter_context(servers.PrivateRabbitmq())
            broker, broker_pid = servers.Broker(node.url, node.ctl, node.import_definitions), node.pid
        template = stack.enter_context(servers.fresh_database(server))
        _furnish(template)
        pid = postmaster(server)
        yield Rig(server, template, broker, broker_pid, {} if pid is None else {"postgresql": pid})


@contextmanager
def database(rig: Rig) -> Iterator[str]:
    """A database of one's own with masters and opening stock."""
    strategy = "FILE_COPY" if _size(rig.template) > _LARGE else None
    with servers.fresh_database(rig.server, sa.make_url(rig.template).database, strategy) as url:
        settle_disk(url)
        yield url


@contextmanager
def with_past(rig: Rig, definitions: Sequence[Event], movements: Iterable[MovementRequested]) -> Iterator[Rig]:
    """A rig whose runs begin with more than masters and opening stock."""
    with database(rig) as url:
        play(url, definitions, movements)
        yield replace(rig, template=url)


@contextmanager
def stage(
    rig: Rig,
    warming: int,
    commands: Commands = our_worker,
    lanes: Sequence[str] = (),
    each: int = 1,
    beside: Sequence[str] = (),
) -> Iterator[tuple[Stage, Listener]]:
    """Workers in a place of their own, `each` of every service, which have worked on `warming` movements; `lanes`
    are sources, `beside` further services that run."""
    with database(rig) as url:
        broker_url = rig.broker.vhost()
        broker = connect(broker_url, lanes)
        broker.declare()
        listener = Listener(broker, doubles=each > 1)
        with _workers(commands, url, broker_url, lanes, each, beside) as workers:
            publisher = broker.publisher()
            publisher.publish(load.messages(load.movements(load.WARMING, warming), 1))
            publisher.close()
            listener.wait_for(warming)
            yield Stage(url, broker_url, broker, workers, rig), listener
        listener.close()


def _size(url: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return int(connection.execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one())


def settle_disk(url: str) -> None:
    """Write out what earlier work left dirty, so that nobody pays for it in his own time."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("CHECKPOINT"))


def check_books(url: str, timed: int) -> dict[str, float]:
    """See that `timed` movements went all the way and the accounts agree; how many movements each service took in a
    transaction, on average. BenchmarkError otherwise."""
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            sets = {}
            for service in SERVICES:
                statement = (
                    f"SELECT count(*), count(DISTINCT cast(xmin AS text)) FROM {service}.movement "
                    f"WHERE id LIKE '{load.TIMED}-%'"
                )
                count, transactions = connection.execute(sa.text(statement)).one()
                if count != timed:
                    raise BenchmarkError(f"{service} holds {count} movements instead of {timed}")
                sets[service] = round(count / max(transactions, 1), 1)
            for value in stock_values(connection):
                if value.stock != value.accounts:
                    raise BenchmarkError(f"stock is worth {value.stock}, its accounts say {value.accounts}")
            return sets
    finally:
        engine.dispose()


def _furnish(url: str) -> None:
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    play(url, load.definitions(), load.opening())


def play(url: str, definitions: Sequence[Event], movements: Iterable[MovementRequested]) -> None:
    """Have the services work on all of it, in this process, and leave fresh statistics."""
    with Pipeline(url) as pipeline:
        for start in range(0, len(definitions), 500):
            pipeline.publish(definitions[start : start + 500])
            pipeline.settle()
        for portion in _portions(movements):
            bulk = make_event(MOVEMENT_REQUESTED, load.SOURCE, {"movements": portion}, f"bulk-{portion[0].id}")
            pipeline.publish([bulk])
            pipeline.settle()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))


def _portions(movements: Iterable[MovementRequested]) -> Iterator[list[MovementRequested]]:
    """Movements that one message can hold, however many lines they have."""
    portion: list[MovementRequested] = []
    lines = 0
    for each in movements:
        portion.append(each)
        lines += len(each.lines)
        if len(portion) == 500 or lines >= 5_000:
            yield portion
            portion, lines = [], 0
    if portion:
        yield portion


@contextmanager
def _workers(
    commands: Commands, url: str, broker_url: str, lanes: Sequence[str], each: int, beside: Sequence[str]
) -> Iterator[Mapping[str, int]]:
    """`each` processes for every service, by name: `ledger`, `ledger 2`, …; all have ended when the block is left."""
    environment = {
        **os.environ,
        "STOCKBOOK_DATABASE_URL": url,
        "STOCKBOOK_BROKER_URL": broker_url,
        "STOCKBOOK_LANES": " ".join(lanes),
        "STOCKBOOK_LOG_LEVEL": "warning",
    }
    running = {
        f"{service} {number}" if number > 1 else service: subprocess.Popen(commands(service), env=environment)
        for service in (*SERVICES, *beside)
        for number in range(1, each + 1)
    }
    try:
        yield {name: process.pid for name, process in running.items()}
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
