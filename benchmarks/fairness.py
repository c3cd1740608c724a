"""How long the movements of a quiet source take while another floods the gate: with lanes, and without.

Twenty sources. One sends a few movements a second, at the ticks of a clock; then another sends twenty times its share
at the same time: all that the pipeline could do at its best, were there nobody else. What counts is by how much the
slowest in a hundred of the quiet one's are slower then. Both draw from the same bins.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from multiprocessing.connection import Connection
from statistics import quantiles
from time import perf_counter, sleep

import msgspec

from benchmarks import load
from benchmarks.processors import used
from benchmarks.rig import PATIENCE, SERVICES, BenchmarkError, Rig, Stage, check_books, read_named, stage
from benchmarks.steady import Latency
from services.desk.events import make_event
from shared.broker import connect
from shared.broker.interface import Consumer, Message
from shared.broker.lanes import intake_of, lane_of
from shared.broker.topology import EVENTS, INTAKE, RECEIVING
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_REQUESTED, OUTCOME_ACCEPTED

SOURCES = [f"till-{number:02d}" for number in range(1, 21)]
QUIET, LOUD = SOURCES[0], SOURCES[-1]
RATE = 20
"""Movements a second of the quiet source."""
TICK = 0.01
_APART = 5_000  # where the quiet one's numbers begin, in another part of the same load
_LEAD = 0.3  # seconds between the word to begin and the first tick
_SETTLING = 1.0  # seconds after which a phase is measured
_LOOK = 0.25  # seconds between two looks at the queues
_TOLD = (JOURNAL_POSTED, f"{OUTCOME_ACCEPTED}.{QUIET}")
_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Fairness:
    """One run: until the quiet one's journal entry and until its outcome were heard of, alone and during the flood.

    `flood` is what the loud one sent a second, `booked` what of both was booked a second meanwhile, `left` what lay at
    the gate at the end; `deepest` is the most that was seen in the queues between the services. `cpu_us`: microseconds
    of processor time a movement during the flood; `elsewhere`: of the machine's, what went to others in either phase.
    """

    idle: Latency
    idle_outcome: Latency
    during: Latency
    during_outcome: Latency
    flood: float
    booked: float
    left: int
    deepest: dict[str, int]
    cpu_us: dict[str, float]
    elsewhere: tuple[float, float]

    @property
    def times(self) -> float:
        """By how much the slowest in a hundred are slower during the flood."""
        return round(self.during.p99 / self.idle.p99, 1)


def fairness(rig: Rig, flood: float, calm: float, seconds: float, *, lanes: bool) -> Fairness:
    """`calm` seconds of the quiet source alone, then `seconds` of both, the loud one at `flood` movements a second."""
    with stage(rig, 500, lanes=SOURCES if lanes else ()) as (on, listener):
        listener.close()
        at_once = max(1, round(flood * TICK))
        with (
            _sending(on, QUIET, 1 / RATE, 1, lanes=lanes) as quiet,
            _sending(on, LOUD, TICK, at_once, lanes=lanes) as loud,
            _hearing(on, quiet) as ear,
        ):
            quiet.begin()
            alone = _Phase(on, ear)
            ear.listen(quiet.started + calm)
            alone.end()
            loud.begin()
            both = _Phase(on, ear, publisher=loud.pid)
            ear.listen(loud.started + seconds, looking=True)
            both.end()
            ear.stop(loud)
            left = on.broker.depth(lane_of(LOUD) if lanes else RECEIVING)
            ear.stop(quiet)
            ear.listen_for(quiet.sent + loud.sent)
        check_books(on.url, quiet.sent + loud.sent)
        return Fairness(
            idle=ear.latency(JOURNAL_POSTED, quiet.started + _SETTLING, alone.ended),
            idle_outcome=ear.latency(OUTCOME_ACCEPTED, quiet.started + _SETTLING, alone.ended),
            during=ear.latency(JOURNAL_POSTED, loud.started + _SETTLING, both.ended),
            during_outcome=ear.latency(OUTCOME_ACCEPTED, loud.started + _SETTLING, both.ended),
            flood=round(loud.sent / (both.ended - loud.started)),
            booked=round(both.booked / both.seconds),
            left=left,
            deepest=ear.deepest,
            cpu_us=dict(both.used.microseconds),
            elsewhere=(round(alone.used.elsewhere, 2), round(both.used.elsewhere, 2)),
        )


@dataclass(slots=True)
class _Sender:
    """A process that sends a source's movements from `started` on; `sent` tells how many, once it was stopped."""

    pid: int
    process: Connection
    started: float = 0.0
    sent: int = 0

    def begin(self) -> None:
        self.started = perf_counter() + _LEAD
        self.process.send(self.started)


@dataclass(slots=True)
class _Ear:
    """Hears when the quiet one's movements were answered and booked."""

    on: Stage
    quiet: _Sender
    heard: dict[str, dict[int, float]] = field(default_factory=lambda: {JOURNAL_POSTED: {}, OUTCOME_ACCEPTED: {}})
    deepest: dict[str, int] = field(default_factory=dict)
    booked: int = 0
    _consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        self._consumer = self.on.broker.bind_temporary(EVENTS, _TOLD)

    def listen(self, until: float, *, looking: bool = False) -> None:
        """Listen, and look meanwhile at the queues between the services."""
        look_at = perf_counter()
        while (left := until - perf_counter()) > 0:
            self._hear(min(left, 0.05))
            if looking and perf_counter() > look_at:
                look_at = perf_counter() + _LOOK
                for queue in SERVICES[1:]:
                    self.deepest[queue] = max(self.deepest.get(queue, 0), self.on.broker.depth(queue))

    def stop(self, sender: _Sender) -> None:
        """No more of these; listen until the process has understood."""
        sender.process.send("stop")
        while not sender.process.poll():
            self._hear(0.05)
        sender.sent = int(str(sender.process.recv()))

    def listen_for(self, count: int) -> None:
        """Listen until so many were booked, of both."""
        deadline = perf_counter() + PATIENCE
        while self.booked < count:
            if perf_counter() > deadline:
                raise BenchmarkError(f"{count - self.booked} movements are not heard of")
            self._hear(0.05)

    def latency(self, kind: str, begin: float, end: float) -> Latency:
        """Of the movements that were due between two moments."""
        due = {number: self.quiet.started + number / RATE for number in self.heard[kind]}
        found = [(at - due[number]) * 1_000 for number, at in self.heard[kind].items() if begin <= due[number] < end]
        parts = quantiles(found, n=100)
        return Latency(round(parts[49], 1), round(parts[98], 1), len(found))

    def close(self) -> None:
        self._consumer.close()

    def _hear(self, seconds: float) -> None:
        deliveries = self._consumer.drain(100, seconds)
        now = perf_counter()
        for each in deliveries:
            kind = JOURNAL_POSTED if each.routing_key == JOURNAL_POSTED else OUTCOME_ACCEPTED
            for named in map(read_named, raw_movements(read_envelope(each.body).data)):
                self.booked += kind == JOURNAL_POSTED and named.source in SOURCES
                if named.source == QUIET:
                    self.heard[kind].setdefault(int(named.id.partition("-")[2]) - _APART, now)
        self._consumer.acknowledge(deliveries)


class _Phase:
    """A part of a run: what was booked in it, and what was used, from now on until its end."""

    def __init__(self, on: Stage, ear: _Ear, **processes: int) -> None:
        self._on, self._ear, self._processes = on, ear, {"listener": os.getpid(), **processes}
        self._booked = ear.booked
        self._began, self._before = perf_counter(), on.reading(**self._processes)

    def end(self) -> None:
        self.ended, self.booked = perf_counter(), self._ear.booked - self._booked
        self.seconds = self.ended - self._began
        self.used = used(self._before, self._on.reading(**self._processes), self.seconds, max(self.booked, 1))


@contextmanager
def _hearing(on: Stage, quiet: _Sender) -> Iterator[_Ear]:
    ear = _Ear(on, quiet)
    try:
        yield ear
    finally:
        ear.close()


@contextmanager
def _sending(on: Stage, source: str, tick: float, at_once: int, *, lanes: bool) -> Iterator[_Sender]:
    """A process that sends `at_once` movements of a source at each tick, once it is told to begin."""
    ours, theirs = _spawning.Pipe()
    exchange = intake_of(source) if lanes else INTAKE
    told = (on.broker_url, source, exchange, tick, at_once, theirs)
    process = _spawning.Process(target=_send, args=told, daemon=True)
    process.start()
    theirs.close()
    ours.recv()
    try:
        yield _Sender(process.pid or 0, ours)
    finally:
        process.terminate()
        process.join(10)


def _send(broker_url: str, source: str, exchange: str, tick: float, at_once: int, owner: Connection) -> None:
    """What the process does, until it is told to stop; then it says how many it sent. A tick that is missed is made up
    for at once."""
    publisher = connect(broker_url).publisher()
    publisher.publish([])  # it connects
    messages = _messages(source, exchange, tick / at_once)
    next_ones = list(islice(messages, at_once))
    owner.send("ready")
    due = float(str(owner.recv()))
    sent = 0
    while not owner.poll():
        sleep(max(0.0, due - perf_counter()))
        publisher.publish(next_ones)
        sent += at_once
        due += tick
        next_ones = list(islice(messages, at_once))
    publisher.close()
    owner.send(sent)


def _messages(source: str, exchange: str, every: float) -> Iterator[Message]:
    """Movements that happened when they are sent, as far as their clock goes: none is told late."""
    begin = _APART if source == QUIET else 0
    for number, each in enumerate(islice(load.stream(load.TIMED), begin, None)):
        posting_at = load.OPENED + timedelta(days=2, seconds=number * every)
        event = make_event(MOVEMENT_REQUESTED, source, msgspec.structs.replace(each, posting_at=posting_at))
        yield replace(event.message(), exchange=exchange)
