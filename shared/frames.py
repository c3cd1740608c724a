"""Frames: the outputs of a set, put together into as few messages as their size allows.

Movements of one type (and, where an upstream listens for its own, of one source) travel together; the order in which
they were given is kept.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

from shared.broker.interface import Message
from shared.contracts.envelope import frame, write_event
from shared.contracts.registry import ROUTES, Route
from shared.service import Output


class Carried(Protocol):
    """What is put together with others, by its size."""

    @property
    def body(self) -> bytes:
        """Its bytes."""
        ...


_Carried = TypeVar("_Carried", bound=Carried)


def frames(
    outputs: Sequence[Output], sender: str, new_id: Callable[[], str], size: int, size_bytes: int
) -> list[Message]:
    """The messages that carry `outputs`, by the routes of their types; `sender` is the service, for the envelope."""
    return [
        _message(kind, route, portion, sender, new_id())
        for kind, each_kind in groupby(sorted(outputs, key=_kind), _kind)
        for route, routed in _routed(kind, list(each_kind))
        for portion in bounded(routed, size, size_bytes)
    ]


def bounded(carried: Iterable[_Carried], size: int, size_bytes: int) -> Iterator[list[_Carried]]:
    """Consecutive portions of `size` and of `size_bytes` at most; a single one that is larger goes alone."""
    portion: list[_Carried] = []
    filled = 0
    for each in carried:
        if portion and (len(portion) == size or filled + len(each.body) > size_bytes):
            yield portion
            portion, filled = [], 0
        portion.append(each)
        filled += len(each.body)
    if portion:
        yield portion


def _kind(output: Output) -> str:
    return output.kind


def _source(output: Output) -> str:
    return output.source


def _routed(kind: str, outputs: list[Output]) -> Iterator[tuple[Route, list[Output]]]:
    for route in ROUTES[kind]:
        if route.by_source:
            for _, own in groupby(sorted(outputs, key=_source), _source):
                yield route, list(own)
        else:
            yield route, outputs


def _message(kind: str, route: Route, outputs: Sequence[Output], sender: str, event_id: str) -> Message:
    body = write_event(kind, sender, event_id, frame([output.body for output in outputs]))
    key = f"{route.key}.{outputs[0].source}" if route.by_source else route.key
    return Message(route.exchange.value, key, body, event_id, mandatory=route.mandatory)
