"""P1, P1b and P3: the pipeline from end to end, as it runs in earnest; and the same with any other movements.

A publisher process, three worker processes, RabbitMQ and PostgreSQL share the machine. The clock runs from the moment
at which the publisher is told to begin until the last journal entry was heard of: committed, and told.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from time import perf_counter, sleep

from benchmarks import load
from benchmarks.ceiling import Rows, stored_rows
from benchmarks.processors import Used, peak_memory, used
from benchmarks.rig import Commands, Rig, check_books, our_worker, settle_disk, stage
from shared.broker import connect
from shared.contracts.movement import MovementRequested

Requested = Callable[[], Sequence[MovementRequested]]
"""Makes the movements of a run; it is sent to the publisher's process, so it stands in a module."""
WARMING = 1_000
_PAUSE = 0.02  # seconds between two single movements: the system is idle again
_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Throughput:
    """One run: movements a second, processor time by process, movements in a transaction and peak memory (MiB) by
    service; and what was stored, where that was asked for."""

    rate: float
    used: Used
    sets: dict[str, float]
    memory: dict[str, float]
    rows: Sequence[Rows]


def throughput(
    rig: Rig,
    movements: int,
    size: int,
    commands: Commands = our_worker,
    warming: int = WARMING,
    requested: Requested | None = None,
    beside: Sequence[str] = (),
    *,
    keeping: bool = False,
) -> Throughput:
    """Send `movements`, `size` in a message, through the three services: the load's own, or those that are
    `requested`. `beside`: further services that run. `keeping`: what was stored is told."""
    with stage(rig, warming, commands, beside=beside) as (on, listener):
        with sending(on.broker_url, movements, size, requested) as (pid, go):
            settle_disk(on.url)
            before = on.reading(publisher=pid, listener=os.getpid())
            started = perf_counter()
            go.set()
            listener.wait_for(movements)
            seconds = perf_counter() - started
            after = on.reading(publisher=pid, listener=os.getpid())
        memory = {service: peak_memory(worker) for service, worker in on.workers.items()}
        spent = used(before, after, seconds, movements)
        rows = stored_rows(on.url) if keeping else []
        return Throughput(movements / seconds, spent, check_books(on.url, movements), memory, rows)


def latencies(rig: Rig, samples: int) -> list[float]:
    """Milliseconds from giving a movement to the publisher until its journal entry is received, one at a time."""
    with stage(rig, 100) as (on, listener):
        publisher = on.broker.publisher()
        found = []
        for message in load.messages(load.movements(load.TIMED, samples), 1):
            sleep(_PAUSE)
            started = perf_counter()
            publisher.publish([message])
            listener.wait_for(1)
            found.append((perf_counter() - started) * 1000)
        publisher.close()
        check_books(on.url, samples)
        return found


@contextmanager
def sending(
    broker_url: str, movements: int, size: int, requested: Requested | None = None
) -> Iterator[tuple[int, Event]]:
    """A process with everything ready to be sent, and the event that lets it begin."""
    ready, go, done = _spawning.Event(), _spawning.Event(), _spawning.Event()
    made = requested or partial(load.movements, load.TIMED, movements)
    process = _spawning.Process(target=_publish, args=(broker_url, made, size, ready, go, done), daemon=True)
    process.start()
    ready.wait()
    try:
        yield process.pid or 0, go
    finally:
        done.set()
        process.join(10)
        process.terminate()


def _publish(broker_url: str, requested: Requested, size: int, ready: Event, go: Event, done: Event) -> None:
    """What the publisher process does; it stays until its processor time has been read."""
    messages = load.messages(requested(), size)
    publisher = connect(broker_url).publisher()
    publisher.publish([])  # it connects
    ready.set()
    go.wait()
    publisher.publish(messages)
    done.wait()
    publisher.close()
