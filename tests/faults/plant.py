"""What the tests of faults share: a shop whose workers are processes that may die, and who hears what is told of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from services.accounting.decide.journal import book
from services.desk.events import Event
from services.desk.pipeline import Pipeline
from services.ledger.decide.posting import in_order, stamps_of
from shared.broker import Broker, Consumer, Message, connect
from shared.broker.topology import EVENTS, WORK
from shared.contracts.codec import Contract, decoder, read, write
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_POSTED, OUTCOME_ACCEPTED
from shared.db import open_engine
from shared.identity import derived_id
from shared.settings import Settings
from tests import builders
from tests.faults.victim import Plan
from tests.integration.test_pipeline import ROOT, Shop, masters, mixed, opening, sent

_Stored = TypeVar("_Stored", bound=Contract)

TOLD = (f"{OUTCOME_ACCEPTED}.till", MOVEMENT_POSTED, JOURNAL_POSTED)
"""What is told of every accepted movement, by routing key: one message of each service."""
BEFORE = 4
"""Movements that were booked before a test begins: the opening stock."""
SMALL = {"STOCKBOOK_SET_SIZE": "20", "STOCKBOOK_FRAME_SIZE": "10"}
"""Many sets and many messages out of a few hundred movements."""


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

    def settle(self, seconds: float = 60) -> None:
        """Wait until everything is booked, nothing is on its way, and nothing waits to be told."""
        self.until(lambda: self.shop.open_ends() == 0, "all booked", seconds)
        self.until(self._is_quiet, "at rest", seconds)

    def check(self) -> None:
        """Nothing lost, one effect each, in balance; and all of it was told, in one wording however often.

        Every worker has ended: what they gave back unacknowledged (doubles, all of it) is worked on here.
        """
        with Pipeline(self.shop.database_url, self.shop.broker_url, settings=Settings(pause=0.01)) as pipeline:
            self.until(lambda: not pipeline.turn(0.1) and self._is_quiet(), "all drained")
        assert self.shop.rows("SELECT reason, error FROM receiving.parked") == []
        self.shop.check()
        self.ear.listen()
        booked = {name for (name,) in self.shop.rows("SELECT id FROM accounting.movement")}
        for kind in TOLD:
            assert {name: len(wordings) for name, wordings in self.ear.told[kind].items() if name in booked} == (
                dict.fromkeys(booked, 1)
            ), kind
        self._check_bytes()

    def _check_bytes(self) -> None:
        """What is stored is to the byte what comes of posting and booking in the order of the stamps, one by one."""
        allocated = {each.id: each for each in self._stored(MovementAllocated, "allocated FROM receiving.allocated")}
        order = in_order({(each.source, each.id): stamps_of(each) for each in allocated.values()}, defaultdict(int))
        posted = builders.posted([allocated[name] for _, name in order])
        assert len(posted) == len(allocated)
        assert self._bodies("id, posted FROM ledger.posted") == {each.id: write(each) for each in posted}
        booked = {each.id: book(each, derived_id(each.recorded_at, each.source, each.id, "journal")) for each in posted}
        journal = {name: write(entry) for name, entry in booked.items() if entry is not None}
        assert self._bodies("id, outputs FROM accounting.movement") == journal

    def _stored(self, struct: type[_Stored], what: str) -> list[_Stored]:
        reader = decoder(struct)
        return [read(reader, bytes(body)) for (body,) in self.shop.rows(f"SELECT {what}")]

    def _bodies(self, what: str) -> dict[str, bytes]:
        return {name: bytes(body) for name, body in self.shop.rows(f"SELECT {what}")}

    def _has_started(self, process: subprocess.Popen[bytes]) -> bool:
        return '"started"' in self.running[process].read_text()

    def _is_quiet(self) -> bool:
        busy = ("receiving.outbox", "ledger.outbox", "accounting.outbox", "ledger.waiting", "receiving.waiting")
        replays = ("ledger.replay", "accounting.replay")
        return not any(self.shop.rows(f"SELECT FROM {table}") for table in (*busy, *replays)) and not any(
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
        self._listener: Consumer = broker.bind_temporary(EVENTS, TOLD)
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

    def doubles(self, kind: str) -> int:
        """How many movements were told of more than once."""
        return sum(wordings.total() > 1 for wordings in self.told[kind].values())

    def close(self) -> None:
        self._listener.close()


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
