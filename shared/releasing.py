"""Releasing: who waits and is due is tried again, in transactions that hang on no message.

The oldest are tried together. If that fails for good, half of them are tried, and so on down to one, which is parked:
so nobody waits for ever behind one that cannot be worked on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from shared.logs import logger
from shared.parked import Parked, park
from shared.service import Handled, Key, Result, Step


class Waiting(Protocol):
    """What waits: what was asked, of which type, under which name."""

    @property
    def kind(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def request(self) -> bytes: ...
    @property
    def trace(self) -> str | None: ...
    @property
    def key(self) -> Key: ...


_Waiter = TypeVar("_Waiter", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Releasing(Generic[_Waiter]):
    """How the waiters of a service are found and tried, `at_once` at most.

    `try_again` says what is to be told, and in `more` whether others are due by it.
    """

    schema: str
    at_once: int
    clock: Callable[[], datetime]
    is_anyone_due: Callable[[Connection, datetime], bool]
    due: Callable[[Connection, datetime, int], list[_Waiter]]
    forget: Callable[[Connection, Sequence[Key]], None]
    try_again: Callable[[Sequence[_Waiter], Connection], Handled]


def release(waiters: Releasing[_Waiter]) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""

    def look(connection: Connection) -> Handled:
        if not waiters.is_anyone_due(connection, waiters.clock()):
            return Handled()
        return _attempt(waiters, waiters.at_once)

    return look


def _attempt(waiters: Releasing[_Waiter], limit: int) -> Handled:
    """Try the oldest ones next, so many at most; fewer where that fails."""
    return Handled(then=partial(_try_oldest, waiters, limit), otherwise=partial(_fewer, waiters, limit))


def _fewer(waiters: Releasing[_Waiter], limit: int, error: Exception) -> Step:
    if limit > 1:
        return lambda _: _attempt(waiters, limit // 2)
    return partial(_park_oldest, waiters, error)


def _try_oldest(waiters: Releasing[_Waiter], limit: int, connection: Connection) -> Handled:
    oldest = waiters.due(connection, waiters.clock(), limit)
    handled = waiters.try_again(oldest, connection)
    goes_on = handled.more or len(oldest) == limit
    return replace(handled, then=release(waiters) if goes_on else None, more=False)


def _park_oldest(waiters: Releasing[_Waiter], error: Exception, connection: Connection) -> Handled:
    oldest = waiters.due(connection, waiters.clock(), 1)
    told = f"{type(error).__name__}: {error}"
    rows = [Parked("unprocessable", told, each.request, each.kind, each.source, each.id) for each in oldest]
    park(connection, waiters.schema, rows)
    waiters.forget(connection, [each.key for each in oldest])
    for each in oldest:
        named = {"source": each.source, "id": each.id, "kind": each.kind, "trace": each.trace}
        logger(waiters.schema).error("unprocessable", **named, error=told)
    return Handled(then=release(waiters), counts={(Result.PARKED, "unprocessable"): len(oldest)})
