"""What workers tell about themselves, for Prometheus: each metric is one line of `Metric`, the rest is done with it.

The one idea: a worker has a `Meter`, and only its own thread writes to that; the registry belongs to the process and
is handed down, so that nothing is global. No label ever holds what comes from outside: no item, source or movement.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from shared.service import Handled, Level

Family: TypeAlias = Counter | Gauge | Histogram

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 350.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric: what it is, its name as it is exposed, what it tells, its labels behind `service`, and its buckets."""

    family: type[Counter] | type[Gauge] | type[Histogram]
    name: str
    text: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] = ()


class Metric(Enum):
    """Every metric, in the order of the page and of the dashboard."""

    SETS = Definition(Counter, "stockbook_sets_total", "Sets of inputs whose transaction was committed", ["type"])
    INPUTS = Definition(Counter, "stockbook_inputs_total", "Inputs in those sets: movements, definitions", ["type"])
    MESSAGES = Definition(Counter, "stockbook_messages_total", "Messages taken from the queue", ["type"])
    SET_SIZE = Definition(Histogram, "stockbook_set_size", "Inputs in a set", buckets=SIZES)
    RESULTS = Definition(Counter, "stockbook_results_total", "What became of inputs", ["result", "reason"])
    LAG = Definition(
        Histogram,
        "stockbook_lag_seconds",
        "From the acceptance of the oldest movement in a transaction until that has posted or booked it",
        buckets=LONG,
    )
    SET_TIME = Definition(Histogram, "stockbook_set_seconds", "From taking messages to acknowledging them", (), SHORT)
    TRANSACTION = Definition(
        Histogram, "stockbook_transaction_seconds", "One try of a set's transaction, commit included", (), SHORT
    )
    PUBLISH = Definition(
        Histogram, "stockbook_publish_seconds", "One try of publishing outputs, confirms included", (), SHORT
    )
    CHORE_TIME = Definition(Histogram, "stockbook_chore_seconds", "A piece of what is done between sets", (), SHORT)
    WAITING = Definition(Gauge, f"stockbook_{Level.WAITING}", "Movements that wait, counted up to 10,000")
    LONGEST_WAIT = Definition(Gauge, f"stockbook_{Level.LONGEST_WAIT}", "How long the first of them has waited")
    STUCK_BINS = Definition(Gauge, f"stockbook_{Level.STUCK_BINS}", "Bins that an operator has to look at")
    DIRTY_BINS = Definition(Gauge, f"stockbook_{Level.DIRTY_BINS}", "Bins of which some is still to be valued anew")
    LONGEST_DIRTY = Definition(
        Gauge, f"stockbook_{Level.LONGEST_DIRTY}", "How long ago the first thing was accepted that made one dirty"
    )
    PARKED = Definition(Gauge, f"stockbook_{Level.PARKED}", "What stands parked, counted up to 10,000")
    RETRIES = Definition(Counter, "stockbook_retries_total", "Tries that had to be repeated", ["kind"])
    HALVED = Definition(Counter, "stockbook_halved_sets_total", "Sets that were halved to find the input that fails")
    FAILED_STEPS = Definition(
        Counter, "stockbook_failed_steps_total", "Sweeps and releases that failed; the next sweep tries again"
    )
    SUBSCRIPTIONS = Definition(
        Counter, "stockbook_subscriptions_total", "Connections made to take messages: each after the first is a loss"
    )
    SWEEPS = Definition(Counter, "stockbook_sweeps_total", "Rounds of sweeps that ended")
    TICKS = Definition(Counter, "stockbook_ticks_total", "Signs of life of the worker's loop")
    READY = Definition(Gauge, "stockbook_ready", "1: subscribed, and the last turn succeeded")


class Metrics:
    """The metrics of one process, in a registry of their own, and the meters of its workers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.meters: list[Meter] = []
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._families = {metric: _family(metric.value, self.registry) for metric in Metric}

    def meter(self, service: str) -> "Meter":
        """A meter for one worker of a service."""
        meter = Meter(service, self._families)
        self.meters.append(meter)
        return meter


class Meter:
    """What one worker tells. Its thread writes; others may read `service`, `silence` and `is_ready`."""

    def __init__(self, service: str, families: Mapping[Metric, Family]) -> None:
        self.service = service
        self.is_ready = False
        self._families = families
        self._children: dict[tuple[Metric, tuple[str, ...]], Any] = {}
        self._last_tick = time.monotonic()
        for metric in Metric:
            # Shown from the beginning, so that the first event is an increase; but a level that nobody asked for yet
            # is not zero.
            if not metric.value.labels and metric.value.family is not Gauge:
                self._child(metric)
        self.ready(False)

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._last_tick

    def tick(self) -> None:
        """The worker's loop is alive, whatever it waits for."""
        self._last_tick = time.monotonic()
        self.add(Metric.TICKS)

    def ready(self, is_ready: bool) -> None:
        """Whether the worker is subscribed and its last turn succeeded."""
        self.is_ready = is_ready
        self.set(Metric.READY, is_ready)

    def committed(self, handled: Handled) -> None:
        """Take over what a transaction told, once it is committed."""
        for (result, reason), count in handled.counts.items():
            self.add(Metric.RESULTS, result, reason, amount=count)
        for level, value in handled.levels.items():
            self.set(_LEVELS[level], value)
        if handled.oldest is not None:
            self.observe(Metric.LAG, max(0.0, (datetime.now(UTC) - handled.oldest).total_seconds()))

    def set_done(self, kind: str, size: int) -> None:
        """A set of `size` inputs of one type was committed."""
        self.add(Metric.SETS, kind)
        self.add(Metric.INPUTS, kind, amount=size)
        self.observe(Metric.SET_SIZE, size)

    def add(self, metric: Metric, *labels: str, amount: float = 1) -> None:
        """Count; a count of nothing makes no series."""
        if amount:
            self._child(metric, *labels).inc(amount)

    def set(self, metric: Metric, value: float) -> None:
        """Set a gauge."""
        self._child(metric).set(value)

    def observe(self, metric: Metric, value: float) -> None:
        """Enter a value into a histogram."""
        self._child(metric).observe(value)

    def timed(self, metric: Metric) -> AbstractContextManager[object]:
        """Enter the seconds that the block takes, also where it raises."""
        timer: AbstractContextManager[object] = self._child(metric).time()
        return timer

    def _child(self, metric: Metric, *labels: str) -> Any:
        """The counter, gauge or histogram with these labels."""
        # Looked up once: `labels` of the library takes longer than counting does.
        child = self._children.get((metric, labels))
        if child is None:
            child = self._children[metric, labels] = self._families[metric].labels(self.service, *labels)
        return child


def _family(definition: Definition, registry: CollectorRegistry) -> Family:
    names = ("service", *definition.labels)
    if definition.family is Histogram:
        return Histogram(definition.name, definition.text, names, registry=registry, buckets=definition.buckets)
    return definition.family(definition.name, definition.text, names, registry=registry)


_LEVELS = {level: next(each for each in Metric if each.value.name == f"stockbook_{level}") for level in Level}
