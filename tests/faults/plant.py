"""What the tests of faults share: a shop whose workers are processes that may die, and who hears what is told of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from services.accounting.decide.journal import book, book_revaluation
from services.desk.events import Event
from services.desk.pipeline import Pipeline
from shared.broker import Broker, Consumer, Message, connect
from shared.broker.topology import EVENTS, WORK
from shared.contracts.codec import Contract, decoder, read, write
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.journal import JournalRevalued
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import (
    JOURNAL_POSTED,
    JOURNAL_REVALUED,
    MOVEMENT_POSTED,
    OUTCOME_ACCEPTED,
    STOCK_REVALUED,
)
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import open_engine
from shared.identity import derived_id
from shared.settings import Settings
from tests import builders
from tests.faults.undisturbed import in_order_of_stamps
from tests.faults.victim import Plan
from tests.integration.test_pipeline import ROOT, Shop, masters, mixed, opening, sent

_Stored = TypeVar("_Stored", bound=Contract)

TOLD = (f"{OUTCOME_ACCEPTED}.till", MOVEMENT_POSTED, JOURNAL_POSTED)
"""What is told of every accepted movement, by routing key: one message of each service."""
TOLD_ANEW = (STOCK_REVALUED, JOURNAL_REVALUED)
"""What is told of every revaluation."""
BEFORE = 4
"""Movements that were booked before a test begins: the opening stock."""
COMES_BACK = 0.5
"""Seconds within which a broker gives back what a process held that has ended."""
SMALL = {"STOCKBOOK_SET_SIZE": "20", "STOCKBOOK_FRAME_SIZE": "10"}
"""Many sets and many messages out of a few hundred movements."""
_NOT_BOOKED = "SELECT source, id FROM ledger.revalued EXCEPT SELECT source, id FROM accounting.movement"
_CORRECTIONS = "SELECT DISTINCT revaluation AS id FROM accounting.journal_entry WHERE revaluation IS NOT NULL"


@dataclass
class Plant:
    """A shop, its processes, and what was told of its movements."""

    shop: Shop
    ear: "Ear"
    environment: Mapping[str, str]
    folder: Path
    running: dict[subprocess.Popen[bytes], Path] = field(default_factory=dict)

    def start(self, service: str, **environment: str) -> subprocess.Popen[bytes]:
        """A worker as it is in earnest."""
        return self._run("-m", f"services.{service}", **environment)

    def start_victim(self, plan: Plan) -> subprocess.Popen[bytes]:
        """A worker to which happens what is planned."""
        return self._run("-m", "tests.faults.victim", plan.written())

    @contextmanager
    def working(self, *services: str) -> Iterator[None]:
        """Workers that are let alone."""
        processes = [self.start(service) for service in services]
        yield
        self.end(*processes)

    def end(self, *processes: subprocess.Popen[bytes]) -> None:
        """Told to stop, they end well."""
        for process in processes:
            self.until(partial(self._has_started, process), "a worker")  # before, a signal ends it like any process
            process.send_signal(signal.SIGTERM)
        assert [process.wait(20) for process in processes] == [0] * len(processes), self.said()[-2_000:]
        for process in processes:
            del self.running[process]

    def said(self) -> str:
        """All that the processes said, one after the other."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("said-*")))

    def until_killed(self, victim: subprocess.Popen[bytes], seconds: float = 30) -> None:
        """Wait for the fault; work must have been left."""
        self.until(lambda: victim.poll() is not None, "the fault", seconds)
        assert victim.returncode == -signal.SIGKILL, self.said()[-2_000:]

    def until_stopped(self, victim: subprocess.Popen[bytes], seconds: float = 30) -> None:
        look = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        self.until(lambda: os.waitid(os.P_PID, victim.pid, look) is not None, "the stop", seconds)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"{what}: not within {seconds} s\n{self.said()[-2_000:]}"
            self.ear.listen()
            time.sleep(0.02)

    def count(self, table: str) -> int:
        ((count,),) = self.shop.rows(f"SELECT count(*) FROM {table}")
        return int(count)

    def prepare(self, events: Sequence[Event]) -> None:
        """Have events worked on, all of them, before any worker is started."""
        with Pipeline(self.shop.database_url, self.shop.broker_url, settings=Settings(pause=0.01)) as pipeline:
            pipeline.publish(events)
            pipeline.settle()
        self.shop.keys += [key for each in events for key in each.keys]

    def allocated(self) -> list[MovementAllocated]:
        """What was accepted, in an order in which the ledger may post it."""
        return in_order_of_stamps(self._stored(MovementAllocated, "allocated FROM receiving.allocated"))

    def settle(self, seconds: float = 60) -> None:
        """Wait until everything is booked, nothing is on its way, nothing waits to be told or valued anew."""
        self.until(lambda: self.shop.open_ends() == 0, "all booked", seconds)
        self.until(self._is_quiet, "at rest", seconds)

    def check(self) -> None:
        """Nothing lost, one effect each, in balance; and all of it was told, in one wording however often.

        Every worker has ended: what they gave back unacknowledged (doubles, all of it) is worked on here.
        """
        self.until(self._drained, "all drained")
        assert self.shop.rows("SELECT reason, error FROM receiving.parked") == []
        self.shop.check()
        assert self.shop.rows("SELECT item, warehouse, pending FROM ledger.bin WHERE pending <> 0") == []
        self.ear.listen()
        self._check_told()
        self._check_posted()
        self._check_booked()

    def _drained(self) -> bool:
        """Work on what is there; whether nothing came back behind it. What the dead held, a broker gives back later."""
        with Pipeline(self.shop.database_url, self.shop.broker_url, settings=Settings(pause=0.01)) as pipeline:
            self.until(lambda: not pipeline.turn(0.1) and self._is_quiet(), "all worked on")
        time.sleep(COMES_BACK)
        return self._is_quiet()

    def _check_told(self) -> None:
        """Each service told of every movement, and of every revaluation that changes something, in one wording."""
        accepted = self._names("receiving.allocated")
        for kind in TOLD:
            assert self.ear.wordings(kind, accepted) == dict.fromkeys(accepted, 1), kind
        told = {STOCK_REVALUED: "ledger.revalued", JOURNAL_REVALUED: f"({_CORRECTIONS}) AS corrections"}
        for kind, where in told.items():
            assert self.ear.wordings(kind, self.ear.told[kind]) == dict.fromkeys(self._names(where), 1), kind

    def _check_posted(self) -> None:
        """What is stored is to the byte what comes of posting in the order of the stamps, one by one.

        Once something was valued anew, what is posted hangs on how far that has come: nobody can foretell its bytes.
        """
        if not self.count("ledger.revaluation"):
            assert self._bodies("id, posted FROM ledger.posted") == builders.told(self.allocated())

    def _check_booked(self) -> None:
        """What is stored is to the byte what comes of booking what the ledger tells, one by one."""
        posted = self._stored(MovementPosted, "posted FROM ledger.posted")
        revalued = self._stored(StockRevalued, "revalued FROM ledger.revalued")
        booked = {each.id: book(each, derived_id(each.recorded_at, each.source, each.id, "journal")) for each in posted}
        corrected = {each.id: _corrected(each) for each in revalued}
        journal = {name: write(told) for name, told in (booked | corrected).items() if told is not None}
        stored = "id, outputs FROM accounting.movement WHERE outputs IS NOT NULL"
        assert self._bodies(stored) == journal

    def _names(self, where: str) -> set[str]:
        return {name for (name,) in self.shop.rows(f"SELECT id FROM {where}")}

    def _stored(self, struct: type[_Stored], what: str) -> list[_Stored]:
        reader = decoder(struct)
        return [read(reader, bytes(body)) for (body,) in self.shop.rows(f"SELECT {what}")]

    def _bodies(self, what: str) -> dict[str, bytes]:
        return {name: bytes(body) for name, body in self.shop.rows(f"SELECT {what}")}

    def _has_started(self, process: subprocess.Popen[bytes]) -> bool:
        return '"started"' in self.running[process].read_text()

    def _is_quiet(self) -> bool:
        busy = ("receiving.outbox", "ledger.outbox", "accounting.outbox", "ledger.waiting", "receiving.waiting")
        later = ("ledger.replay", "accounting.replay", "ledger.dirty", f"({_NOT_BOOKED}) AS not_booked")
        return not any(self.shop.rows(f"SELECT FROM {table} LIMIT 1") for table in (*busy, *later)) and not any(
            map(self.shop.broker.depth, ("receiving", "ledger", "accounting"))
        )

    def _run(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        said = self.folder / f"said-{len(list(self.folder.iterdir())):02}"
        with said.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env={**self.environment, **environment},
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )
        self.running[process] = said
        return process


@contextmanager
def opened(database: str, vhost_url: str, folder: Path) -> Iterator[Plant]:
    """A plant with masters and stock, and no worker; at the end its processes are gone."""
    with Pipeline(database, vhost_url, settings=Settings(pause=0.01)) as pipeline:
        ear = Ear(pipeline.broker)
        pipeline.publish([*masters(), *opening()])
        pipeline.settle()
    engine = open_engine(database)
    told = {"STOCKBOOK_DATABASE_URL": database, "STOCKBOOK_BROKER_URL": vhost_url, **SMALL}
    shop = Shop(connect(vhost_url), engine, broker_url=vhost_url)
    plant = Plant(shop, ear, {**os.environ, **told}, folder)
    try:
        yield plant
    finally:
        for process in plant.running:
            process.kill()
            process.wait(10)
        ear.close()
        engine.dispose()


class Ear:
    """Hears what is told of movements: by routing key and id, each wording and how often it was used."""

    def __init__(self, broker: Broker) -> None:
        self._listener: Consumer = broker.bind_temporary(EVENTS, (*TOLD, *TOLD_ANEW))
        self.told: defaultdict[str, defaultdict[str, Counter[bytes]]] = defaultdict(lambda: defaultdict(Counter))

    def listen(self) -> Self:
        """Hear what was told since the last time; call it often enough to keep the connection."""
        self._listener.beat()
        while deliveries := self._listener.drain(1_000, 0.0):
            for each in deliveries:
                for raw in raw_movements(read_envelope(each.body).data):
                    self.told[each.routing_key][_id(raw)][bytes(raw)] += 1
            self._listener.acknowledge(deliveries)
        return self

    def wordings(self, kind: str, names: Collection[str]) -> dict[str, int]:
        """In how many wordings each of these was told."""
        return {name: len(self.told[kind][name]) for name in names if name in self.told[kind]}

    def doubles(self, kind: str) -> int:
        """How many movements were told of more than once."""
        return sum(wordings.total() > 1 for wordings in self.told[kind].values())

    def close(self) -> None:
        self._listener.close()


def _corrected(revalued: StockRevalued) -> JournalRevalued | None:
    """What accounting tells of a revaluation, if it changes anything."""
    names = {name: getattr(revalued, name) for name in ("source", "id", "company", "recorded_at", "trace")}
    journal = book_revaluation(revalued)
    return JournalRevalued(**names, entries=journal) if journal else None


class _Named(msgspec.Struct):
    id: str


def _id(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=_Named).id


def load(count: int, doubled: bool = False) -> list[Event]:
    """So many movements, one event each, or two."""
    return [sent(each) for each in mixed(count) for _ in range(1 + doubled)]


def disorder(broker: Broker, queue: str, chance: random.Random, copies: int = 1, size: int = 5) -> int:
    """Take all that waits in a queue between services, and put it back in any order, in other frames, so many times.

    It is what many workers and a broker that redelivers may do. Returns the number of movements.
    """
    consumer, publisher = broker.consumer(queue, 0), broker.publisher()
    movements: list[bytes] = []
    kinds: set[str] = set()
    while deliveries := consumer.drain(1_000, 0.3):
        for each in deliveries:
            envelope = read_envelope(each.body)
            kinds.add(envelope.type)
            movements += [bytes(raw) for raw in raw_movements(envelope.data)]
        consumer.acknowledge(deliveries)
    (kind,) = kinds
    shuffled = movements * copies
    chance.shuffle(shuffled)
    frames = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    publisher.publish([_message(kind, queue, number, each) for number, each in enumerate(frames)])
    publisher.close()
    consumer.close()
    return len(movements)


def _message(kind: str, queue: str, number: int, movements: Sequence[bytes]) -> Message:
    return Message(WORK, queue, write_event(kind, "test", str(number), frame(movements)), str(number), mandatory=True)


def delete_queue(url: str, queue: str) -> int:
    """Delete a queue, whatever is in it; how many messages went with it."""
    from kombu.connection import Connection

    with Connection(url) as connection:
        deleted: Any = connection.channel().queue_delete(queue)
    return int(deleted)
