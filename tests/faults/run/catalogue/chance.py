"""Faults one after another, as chance has it: the same seed makes the same choices."""

import random
import time
from collections.abc import Iterator, Sequence

from services.desk.events import Event
from tests.faults.run.fault import Fault
from tests.faults.run.scene import Scene

AT_ONCE = 8
"""Faults that strike in the table's own line."""
PORTION = 500


def at_random(faults: Sequence[Fault]) -> Fault:
    """A fault that is several others in a row."""

    def strike(scene: Scene) -> None:
        for _ in range(AT_ONCE):
            scene.chance.choice(faults).strike(scene)
            time.sleep(scene.chance.uniform(0.2, 1.0))

    parkable = frozenset(reason for each in faults for reason in each.parkable)
    return Fault(f"{AT_ONCE} faults at random", strike, parkable=parkable)


def endless(scene: Scene) -> Iterator[Sequence[Event]]:
    """A load without end, a few messages at a time."""
    while True:
        events = scene.shopping.events(scene.shopping.draw(PORTION))
        for start in range(0, len(events), 5):
            yield events[start : start + 5]


def choices(faults: Sequence[Fault], seed: int) -> Iterator[tuple[Fault, float]]:
    """Which fault strikes next, and for how many seconds there is peace after it."""
    chance = random.Random(seed)
    while True:
        yield chance.choice(faults), chance.uniform(1.0, 5.0)
