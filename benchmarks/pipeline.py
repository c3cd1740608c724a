"""P1, P1b and P3: the pipeline from end to end, as it runs in earnest.

A publisher process, three worker processes, RabbitMQ and PostgreSQL share the machine. The clock runs from the moment
at which the publisher is told to begin until the last journal entry was heard of: committed, and told.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from time import perf_counter, sleep

from benchmarks import load
from benchmarks.ceiling import Rows, stored_rows
from benchmarks.processors import Used, peak_memory, used
from benchmarks.rig import Commands, Rig, check_books, our_worker, settle_disk, stage
from shared.broker import connect

WARMING = 1_000
_PAUSE = 0.02  # seconds between two single movements: the system is idle again
_spawning = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Throughput:
    """One run: movements a second, processor time by process, movements in a transaction and peak memory (MiB) by
    service, and what was stored."""

    rate: float
    used: Used
    sets: dict[str, float]
    memory: dict[str, float]
    rows: Sequence[Rows]


def throughput(
    rig: Rig, movements: int, size: int, commands: Commands = our_worker, warming: int = WARMING
) -> Throughput:
    """Send `movements`, `size` in a message, through the three services."""
    with stage(rig, warming, commands) as (on, listener):
        with _publisher(on.broker_url, movements, size) as (pid, go):
            settle_disk(on.url)
            before = on.reading(publisher=pid, listener=os.getpid())
            started = perf_counter()
            go.set()
            listener.wait_for(movements)
            seconds = perf_counter() - started
            after = on.reading(publisher=pid, listener=os.getpid())
        memory = {service: peak_memory(worker) for service, worker in on.workers.items()}
        spent = used(before, after, seconds, movements)
        return Throughput(movements / seconds, spent, check_books(on.url, movements), memory, stored_rows(on.url))


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
def _publisher(broker_url: str, movements: int, size: int) -> Iterator[tuple[int, Event]]:
    """A process with everything ready to be sent, and the event that lets it begin."""
    ready, go, done = _spawning.Event(), _spawning.Event(), _spawning.Event()
    process = _spawning.Process(target=_publish, args=(broker_url, movements, size, ready, go, done), daemon=True)
    process.start()
    ready.wait()
    try:
        yield process.pid or 0, go
    finally:
        done.set()
        process.join(10)
        process.terminate()


def _publish(broker_url: str, movements: int, size: int, ready: Event, go: Event, done: Event) -> None:
    """What the publisher process does; it stays until its processor time has been read."""
    messages = load.messages(load.movements(load.TIMED, movements), size)
    publisher = connect(broker_url).publisher()
    publisher.publish([])  # it connects
    ready.set()
    go.wait()
    publisher.publish(messages)
    done.wait()
    publisher.close()
