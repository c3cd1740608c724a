"""P4: how long a movement takes while others come at a steady rate; and while a long past is valued anew meanwhile.

A process publishes so many movements at each tick of a clock, whether or not those before have arrived, and each is
timed from its tick on: whoever is held up makes those behind it late too, and all of that is counted. Where there is
a past, one in ten is a sale from a bin of it, the others are in bins of their own.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from statistics import quantiles
from time import perf_counter, sleep

import msgspec

from benchmarks import load, past
from benchmarks.processors import Used, peak_memory, used
from benchmarks.revaluing import Watch
from benchmarks.rig import PATIENCE, BenchmarkError, Rig, Stage, check_books, stage
from shared.broker import connect
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.movement import MovementRequested
from shared.contracts.registry import JOURNAL_POSTED

TICK = 0.01
TOUCHING = 10
"""One in so many movements is a sale from a bin of the past."""
_LEAD = 0.2  # seconds between the word to begin and the first tick
_SETTLING = 1.0  # seconds after which a steady rate is measured
_LOOK = 0.1  # seconds between two looks at how far the ledger is
_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from the tick until the journal entry is received: the median, and of the slowest in a hundred."""

    p50: float
    p99: float
    samples: int


@dataclass(frozen=True, slots=True)
class Steady:
    """One run, at so many movements a second: in bins of their own and in those of the past, while nothing else was to
    be done and while the past was valued anew; the seconds that took, and peak memory (MiB) by service."""

    rate: float
    idle: Latency
    idle_touching: Latency
    during: Latency
    during_touching: Latency
    seconds: float
    memory: dict[str, float]


@dataclass(slots=True)
class _Stream:
    """A stream of movements that has begun: so many at each tick, numbered; and when each was heard of."""

    at_once: int
    started: float
    heard: dict[int, float] = field(default_factory=dict)

    def due(self, number: int) -> float:
        return self.started + number // self.at_once * TICK

    def latency(self, begin: float, end: float, *, touching: bool | None = None) -> Latency:
        """Of the movements that were due between two moments; `touching`: of those alone that do, or do not."""
        found = [
            (at - self.due(number)) * 1_000
            for number, at in self.heard.items()
            if begin <= self.due(number) < end and touching in {None, _touches(number)}
        ]
        if len(found) < 2:
            raise BenchmarkError(f"only {len(found)} samples: it was over too soon")
        parts = quantiles(found, n=100)
        return Latency(round(parts[49], 1), round(parts[98], 1), len(found))


@dataclass(frozen=True, slots=True)
class Half:
    """One run without anything else: at so many movements a second, how long one takes; microseconds of processor time
    a movement by process, and the share of the machine that was busy with other things."""

    rate: float
    latency: Latency
    used: Used


def half_load(rig: Rig, rate: float, seconds: float) -> Half:
    """Send movements of one line at a rate, and nothing else, for so many seconds."""
    with stage(rig, 1_000) as (on, listener):
        listener.close()
        with _hearing(on, None, max(1, round(rate * TICK))) as ear:
            started = ear.stream.started
            ear.listen(until=started)
            before = on.reading(publisher=ear.publisher_pid, listener=os.getpid())
            ear.listen(until=started + seconds)
            after, heard = on.reading(publisher=ear.publisher_pid, listener=os.getpid()), len(ear.stream.heard)
            ear.stop()
        check_books(on.url, ear.sent)
        latency = ear.stream.latency(started + min(_SETTLING, seconds / 4), started + seconds)
        return Half(ear.stream.at_once / TICK, latency, used(before, after, seconds, max(heard, 1)))


def cascade(rig: Rig, kind: str, entries: int, rate: float, calm: float) -> Steady:
    """Send movements at a rate to a rig with a past; `calm` seconds later what is told late of it."""
    with stage(rig, 500) as (on, listener):
        listener.close()
        watch = Watch(on)
        late = on.broker.publisher()
        with _hearing(on, kind, max(1, round(rate * TICK))) as ear:
            ear.listen(until=ear.stream.started + calm)
            begun = perf_counter()
            late.publish(load.messages([past.late(entries)], 1))
            over = ear.listen_until_clean(watch)
            ear.stop()
        late.close()
        sent = ear.sent
        watch.wait_until_booked()
        check_books(on.url, sent)
        watch.check(entries)
        stream, first = ear.stream, ear.stream.started + 1
        return Steady(
            rate=stream.at_once / TICK,
            idle=stream.latency(first, begun, touching=False),
            idle_touching=stream.latency(first, begun, touching=True),
            during=stream.latency(begun, over, touching=False),
            during_touching=stream.latency(begun, over, touching=True),
            seconds=over - begun,
            memory={service: peak_memory(worker) for service, worker in on.workers.items()},
        )


class _Named(msgspec.Struct):
    id: str


_named = msgspec.json.Decoder(_Named)


class _Ear:
    """Hears of journal entries, and when."""

    def __init__(self, on: Stage, stream: _Stream, publisher: Connection, publisher_pid: int) -> None:
        self.stream = stream
        self.sent = 0
        self.publisher_pid = publisher_pid
        self._publisher = publisher
        self._consumer = on.broker.bind_temporary("stock.events", [JOURNAL_POSTED])

    def listen(self, until: float) -> None:
        while (left := until - perf_counter()) > 0:
            self._hear(min(left, 0.05))

    def listen_until_clean(self, watch: Watch) -> float:
        """Listen until nothing is to be valued anew; when that was."""
        deadline = perf_counter() + PATIENCE * 10
        while not watch.is_clean():
            if perf_counter() > deadline:
                raise BenchmarkError("the past is not valued anew")
            self.listen(perf_counter() + _LOOK)
        return perf_counter()

    def stop(self) -> None:
        """No more movements; listen until the last of them was heard of."""
        self._publisher.send("stop")
        while not self._publisher.poll():
            self.listen(perf_counter() + _LOOK)
        self.sent = int(str(self._publisher.recv()))
        deadline = perf_counter() + PATIENCE
        while len(self.stream.heard) < self.sent:
            if perf_counter() > deadline:
                raise BenchmarkError(f"{self.sent - len(self.stream.heard)} movements are not heard of")
            self.listen(perf_counter() + _LOOK)

    def close(self) -> None:
        self._consumer.close()

    def _hear(self, seconds: float) -> None:
        deliveries = self._consumer.drain(100, seconds)
        now = perf_counter()
        for each in deliveries:
            for raw in raw_movements(read_envelope(each.body).data):
                part, _, number = _named.decode(raw).id.partition("-")
                if part == load.TIMED:
                    self.stream.heard.setdefault(int(number), now)
        self._consumer.acknowledge(deliveries)


@contextmanager
def _hearing(on: Stage, kind: str | None, at_once: int) -> Iterator[_Ear]:
    """A process that publishes from now on, and who hears of it."""
    ours, theirs = _spawning.Pipe()
    process = _spawning.Process(target=_publish, args=(on.broker_url, kind, at_once, theirs), daemon=True)
    process.start()
    theirs.close()
    ours.recv()
    ear = _Ear(on, _Stream(at_once, perf_counter() + _LEAD), ours, process.pid or 0)
    ours.send(ear.stream.started)
    try:
        yield ear
    finally:
        ear.close()
        process.terminate()
        process.join(10)


def _publish(broker_url: str, kind: str | None, at_once: int, owner: Connection) -> None:
    """What the publisher process does: a tick after the other, until it is told to stop; then it says how many it sent.

    The clock is that of the whole machine. A tick that is missed is made up for at once.
    """
    publisher = connect(broker_url).publisher()
    publisher.publish([])  # it connects
    movements = _movements(kind)
    owner.send("ready")
    tick = float(str(owner.recv()))
    sent = 0
    while not owner.poll():
        messages = load.messages([next(movements) for _ in range(at_once)], 1)
        sleep(max(0.0, tick - perf_counter()))
        publisher.publish(messages)
        sent += at_once
        tick += TICK
    publisher.close()
    owner.send(sent)


def _movements(kind: str | None) -> Iterator[MovementRequested]:
    """The load's own movements, between which there are sales from the bins of a past, where there is one."""
    if kind is None:
        yield from load.stream(load.TIMED)
        return
    for number, pair in enumerate(zip(load.stream(load.TIMED), past.sales(kind, load.TIMED), strict=False)):
        yield pair[_touches(number)]


def _touches(number: int) -> bool:
    return number % TOUCHING == TOUCHING - 1
