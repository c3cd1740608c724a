"""Releasing: whoever waits and is due is tried again, in a transaction that hangs on no message.

If that fails for good, half of them are tried, the oldest first, and so on down to one, which is parked.
"""

from collections import Counter
from functools import partial

from sqlalchemy import Connection

from services.aftercare.handlers.gate import NAME, Gate, log
from services.aftercare.handlers.statements import try_again
from services.aftercare.store.answers import due_waiters, forget_waiting, is_anyone_due, standing
from shared import outbox
from shared.parked import Parked, park
from shared.service import Handled, Result, Step

_AT_ONCE = 200


def release(gate: Gate) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""

    def look(connection: Connection) -> Handled:
        return _attempt(gate, _AT_ONCE) if is_anyone_due(connection, gate.clock()) else Handled()

    return look


def look_around(gate: Gate) -> Step:
    """A step that tells how many wait, and for how long."""
    return lambda connection: Handled(levels=standing(connection, gate.clock()))


def _attempt(gate: Gate, limit: int) -> Handled:
    return Handled(then=partial(_try_oldest, gate, limit), otherwise=partial(_fewer, gate, limit))


def _fewer(gate: Gate, limit: int, error: Exception) -> Step:
    if limit > 1:
        return lambda _: _attempt(gate, limit // 2)
    return partial(_park_oldest, gate, error)


def _try_oldest(gate: Gate, limit: int, connection: Connection) -> Handled:
    waiters = due_waiters(connection, gate.clock(), limit)
    settled = try_again(waiters, connection, gate)
    outbox.add(connection, NAME, settled.outputs)
    released = [*settled.released, *((each.source, each.id) for each in settled.outputs)]
    more = len(waiters) == limit or settled.woke
    outputs = [*settled.outputs, *settled.told]
    return Handled(outputs, released, release(gate) if more else None, counts=Counter(settled.counts))


def _park_oldest(gate: Gate, error: Exception, connection: Connection) -> Handled:
    waiters = due_waiters(connection, gate.clock(), 1)
    told = f"{type(error).__name__}: {error}"
    park(connection, NAME, [Parked("unprocessable", told, w.request, w.kind, w.source, w.id) for w in waiters])
    forget_waiting(connection, [each.key for each in waiters])
    for each in waiters:
        log.error("unprocessable", source=each.source, id=each.id, kind=each.kind, trace=each.trace, error=told)
    return Handled(then=release(gate), counts={(Result.PARKED, "unprocessable"): len(waiters)})
