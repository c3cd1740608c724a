"""P8: memory of each worker over very many messages, under a steady P1: whether it stays as it is.

Here the publisher never gets far ahead, so that neither the queue nor a list of messages takes memory: it sends the
next movements when the journal entries of those before are heard of. Memory is looked at again and again on the way.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import mean
from time import perf_counter

from benchmarks import load
from benchmarks.pipeline import WARMING
from benchmarks.processors import Used, resident_memory, used
from benchmarks.rig import PATIENCE, BenchmarkError, Rig, check_books, rig, stage
from shared.logs import configure

AHEAD = 10_000
"""How many movements may be on their way."""
LOOKS = 100
_PORTION = 500


@dataclass(frozen=True, slots=True)
class Resident:
    """One run: seconds, what each worker had resident (MiB) at each of the looks, which lie equally far apart, and
    processor time a movement, by process: that of the publisher is also the listener's."""

    movements: int
    seconds: float
    samples: Mapping[str, Sequence[float]]
    used: Used

    @property
    def most(self) -> float:
        """The most that any worker had."""
        return max(max(each) for each in self.samples.values())

    @property
    def growth(self) -> dict[str, float]:
        """How much more each had in the last fifth than in the second one: by then its pools and caches are full."""
        fifth = max(1, len(next(iter(self.samples.values()))) // 5)
        return {
            name: round(mean(each[-fifth:]) - mean(each[fifth : 2 * fifth]), 1) for name, each in self.samples.items()
        }


def resident(where: Rig, movements: int) -> Resident:
    """Send so many movements of one line, and look how much memory the workers have meanwhile."""
    with stage(where, WARMING) as (on, listener):
        publisher = on.broker.publisher()
        stream = islice(load.stream(load.TIMED, load.STEADY), movements)
        samples: dict[str, list[float]] = {service: [] for service in on.workers}
        sent = heard = looks = 0
        before = on.reading(publisher=os.getpid())
        started = perf_counter()
        while heard < movements:
            if sent - heard < AHEAD and (portion := list(islice(stream, _PORTION))):
                publisher.publish(load.messages(portion, 1))
                sent += len(portion)
                new = listener.hear(0)
            else:
                new = listener.hear(PATIENCE)
                if not new:
                    raise BenchmarkError(f"no journal entry for {PATIENCE:g} s, {movements - heard} still to come")
            heard += new
            if heard * LOOKS // movements > looks:
                looks = heard * LOOKS // movements
                for service, pid in on.workers.items():
                    samples[service].append(resident_memory(pid))
        seconds = perf_counter() - started
        spent = used(before, on.reading(publisher=os.getpid()), seconds, movements)
        publisher.close()
        check_books(on.url, movements)
        return Resident(movements, seconds, samples, spent)


def main(arguments: Sequence[str]) -> None:
    """Measure this row alone, with so many movements, and print it."""
    configure("warning")
    with rig() as where:
        run = resident(where, int(arguments[0]) if arguments else 100_000)
    print(f"{run.movements:,} movements in {run.seconds:.0f} s; at most {run.most:.0f} MiB, growth {run.growth}")
    for service, samples in run.samples.items():
        print(f"  {service}: {' '.join(f'{each:.0f}' for each in samples[:: max(1, len(samples) // 20)])}")


if __name__ == "__main__":
    main(sys.argv[1:])
