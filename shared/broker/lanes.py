"""Lanes: a way through the gate for one source alone, so that the flood of another never stands in front of it.

The idea: a lane is an exchange and a queue of one source, and receiving takes from all queues in turn. A source without
a lane goes through the common queue, which is one among them. Nothing that is right or wrong depends on any of this.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from shared.broker.topology import (
    INTAKE,
    RECEIVING,
    TOPOLOGY,
    UNROUTED,
    Binding,
    Exchange,
    Topology,
    service_queue,
)
from shared.errors import Fatal

_Message = TypeVar("_Message")

SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_LANE = f"{RECEIVING}.lane."
_AT_THE_GATE = [each for each in TOPOLOGY.bindings if each.exchange == INTAKE]

SET = 25
"""How many messages of several queues are handed out together at most: who comes next waits for them."""

SET_BYTES = 32 * 1024
"""How large they are together at most; a message that is larger goes alone."""

MANY = 8
"""Of a queue in which so many messages wait, or half a set by bytes, none goes with those of the others."""

FRAMES = 2
"""How many frames a worker behind receiving holds."""

SMALLEST_WINDOW = 16
"""How many messages of a queue are under way to a worker at least, however many lanes there are."""


def intake_of(source: str) -> str:
    """The exchange to which a source publishes that has a lane."""
    return f"{INTAKE}.{source}"


def lane_of(source: str) -> str:
    """The queue of a source that has a lane."""
    return f"{_LANE}{source}"


def with_lanes(sources: Iterable[str]) -> Topology:
    """The topology with a lane for each of `sources`: what others than receiving take at the gate, they take there too.

    Raises Fatal for what is no source's name.
    """
    lanes = [_checked(source) for source in sorted(set(sources))]
    exchanges = (Exchange(intake_of(each), "topic", {"alternate-exchange": UNROUTED}) for each in lanes)
    queues = (service_queue(lane_of(each), RECEIVING) for each in lanes)
    bindings = (
        Binding(intake_of(each), common.key, lane_of(each) if common.queue == RECEIVING else common.queue)
        for each in lanes
        for common in _AT_THE_GATE
    )
    return Topology((*TOPOLOGY.exchanges, *exchanges), (*TOPOLOGY.queues, *queues), (*TOPOLOGY.bindings, *bindings))


def queues_with(topology: Topology, queue: str) -> tuple[str, ...]:
    """`queue`, and its lanes if it has any: what a consumer of it takes from."""
    lanes = (each.name for each in topology.queues if each.name.startswith(_LANE))
    return (queue, *lanes) if queue == RECEIVING else (queue,)


def in_hand(queue: str, prefetch: int, lanes: Collection[str]) -> int:
    """How many messages of `queue` a worker holds that may hold `prefetch`: few frames, where there are lanes.

    Receiving then makes small frames, and what is in a worker's hands stands in front of all that comes.
    """
    return min(prefetch, FRAMES) if lanes and not takes_from_lanes([queue]) else prefetch


def takes_from_lanes(services: Iterable[str]) -> bool:
    """Whether lanes are the business of any of these services; all others work on where one is missing."""
    return not {each.queue for each in _AT_THE_GATE}.isdisjoint(services)


def is_lane(queue: str) -> bool:
    """Whether a queue is the lane of a source."""
    return queue.startswith(_LANE)


def window(prefetch: int, queues: int) -> int:
    """How many messages of each of so many queues a worker holds that may hold `prefetch` (0: any number) in all."""
    return prefetch if queues == 1 or not prefetch else max(prefetch // queues, SMALLEST_WINDOW)


class Turns:
    """Whose turn it is, among so many queues: his who was given the least, in bytes.

    Each is charged what it is given, from the charge on of whoever was served last: who was silent for long comes next,
    and has saved nothing up. (Start-time fair queueing: Goyal, Vin, Cheng, 1996.)
    """

    def __init__(self, queues: int) -> None:
        self._charged = [0] * queues
        self._level = 0

    def deal(self, queues: Sequence[Sequence[_Message]], limit: int, size: Callable[[_Message], int]) -> Iterator[int]:
        """From which of the queues to take the first message, one after the other: `limit`, and `SET_BYTES`, at most.

        Whoever asks takes that message before he asks for the next. One that is too large goes alone. Queues in which
        much waits and those in which little does are never in one set: who sends little would else wait for the work
        on what a flood fills it up with. What that puts last is not lost: it was charged less.
        """
        floods = {number for number, queue in enumerate(queues) if _is_flood(queue, size)}
        filled, is_of_floods = 0, None
        for given in range(limit):
            waiting = [number for number, queue in enumerate(queues) if queue]
            alike = [number for number in waiting if is_of_floods in (None, number in floods)]
            if not alike:
                return
            number = min(alike, key=lambda each: (self._begins(each), each in floods))
            filled += (length := size(queues[number][0]))
            if given and filled > SET_BYTES:
                return
            is_of_floods = number in floods
            self._level = min(map(self._begins, waiting))
            self._charged[number] = self._begins(number) + max(length, 1)
            yield number

    def _begins(self, queue: int) -> int:
        return max(self._charged[queue], self._level)


def _is_flood(queue: Sequence[_Message], size: Callable[[_Message], int]) -> bool:
    return len(queue) >= MANY or sum(map(size, queue)) > SET_BYTES // 2


def _checked(source: str) -> str:
    if not SOURCE_NAME.fullmatch(source):
        raise Fatal("no source has such a name: STOCKBOOK_LANES names sources, with blanks between", source=source)
    return source
