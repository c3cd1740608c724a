"""Releasing: whoever waits and is due is tried again, in a transaction that hangs on no message.

They are tried together. If that fails for good, half of them are tried, the oldest first, and so on down to one, which
is parked: so nobody waits for ever behind one that cannot be worked on.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from sqlalchemy import Connection

from services.receiving.handlers import asked, cycle_counts, definitions, movements, reservations
from services.receiving.handlers.gate import NAME, Gate, Settled, log
from services.receiving.store.waiting import Waiter, due_waiters, forget_waiting, is_anyone_due, standing
from shared import outbox
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.parked import Parked, park
from shared.service import Handled, Result, Step

_AT_ONCE = 500


def release(gate: Gate) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""

    def look(connection: Connection) -> Handled:
        return _attempt(gate, _AT_ONCE) if is_anyone_due(connection, gate.clock()) else Handled()

    return look


def look_around(gate: Gate) -> Step:
    """A step that tells how many wait, and for how long."""
    return lambda connection: Handled(levels=standing(connection, gate.clock()))


def _attempt(gate: Gate, limit: int) -> Handled:
    """Try the oldest ones next, so many at most; fewer where that fails."""
    return Handled(then=partial(_try_oldest, gate, limit), otherwise=partial(_fewer, gate, limit))


def _fewer(gate: Gate, limit: int, error: Exception) -> Step:
    if limit > 1:
        return lambda _: _attempt(gate, limit // 2)
    return partial(_park_oldest, gate, error)


def _try_oldest(gate: Gate, limit: int, connection: Connection) -> Handled:
    waiters = due_waiters(connection, gate.clock(), limit)
    settled = [
        _try_again(kind, list(same), connection, gate)
        for kind, same in groupby(sorted(waiters, key=_definitions_first), lambda each: each.kind)
    ]
    outputs = [output for each in settled for output in each.outputs]
    outbox.add(connection, NAME, outputs)
    more = len(waiters) == limit or any(each.woke for each in settled)
    counts = sum((each.counts for each in settled), Counter())
    released = [(each.source, each.id) for each in outputs]
    return Handled(outputs, released, release(gate) if more else None, counts=counts)


def _park_oldest(gate: Gate, error: Exception, connection: Connection) -> Handled:
    waiters = due_waiters(connection, gate.clock(), 1)
    told = f"{type(error).__name__}: {error}"
    park(connection, NAME, [Parked("unprocessable", told, w.request, w.kind, w.source, w.id) for w in waiters])
    forget_waiting(connection, [each.key for each in waiters])
    for each in waiters:
        log.error("unprocessable", source=each.source, id=each.id, kind=each.kind, trace=each.trace, error=told)
    return Handled(then=release(gate), counts={(Result.PARKED, "unprocessable"): len(waiters)})


def _definitions_first(waiter: Waiter) -> tuple[bool, str]:
    return (waiter.kind == MOVEMENT_REQUESTED, waiter.kind)


def _try_again(kind: str, waiters: list[Waiter], connection: Connection, gate: Gate) -> Settled:
    try_again = _TRY_AGAIN.get(kind, definitions.try_again)
    return try_again(waiters, connection, gate)


_TRY_AGAIN: Mapping[str, Callable[[Sequence[Waiter], Connection, Gate], Settled]] = {
    MOVEMENT_REQUESTED: movements.try_again,
    **dict.fromkeys(reservations.JUDGES, partial(asked.try_again, reservations.JUDGES)),
    **dict.fromkeys(cycle_counts.JUDGES, partial(asked.try_again, cycle_counts.JUDGES)),
}
