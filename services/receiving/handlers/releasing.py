"""Releasing: whoever waits and is due is tried again, in a transaction that hangs on no message."""

from collections import Counter
from itertools import groupby

from sqlalchemy import Connection

from services.receiving.handlers import definitions, movements
from services.receiving.handlers.gate import NAME, Gate, Settled
from services.receiving.store.waiting import Waiter, due_waiters, standing
from shared import outbox
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.service import Handled, Step

_AT_ONCE = 500


def release(gate: Gate) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""

    def step(connection: Connection) -> Handled:
        waiters = due_waiters(connection, gate.clock(), _AT_ONCE)
        settled = [
            _try_again(kind, list(same), connection, gate)
            for kind, same in groupby(sorted(waiters, key=_definitions_first), lambda each: each.kind)
        ]
        outputs = [output for each in settled for output in each.outputs]
        outbox.add(connection, NAME, outputs)
        more = len(waiters) == _AT_ONCE or any(each.woke for each in settled)
        counts = sum((each.counts for each in settled), Counter())
        return Handled(outputs, [(each.source, each.id) for each in outputs], step if more else None, counts=counts)

    return step


def look_around(gate: Gate) -> Step:
    """A step that tells how many wait, and for how long."""
    return lambda connection: Handled(levels=standing(connection, gate.clock()))


def _definitions_first(waiter: Waiter) -> tuple[bool, str]:
    return (waiter.kind == MOVEMENT_REQUESTED, waiter.kind)


def _try_again(kind: str, waiters: list[Waiter], connection: Connection, gate: Gate) -> Settled:
    try_again = movements.try_again if kind == MOVEMENT_REQUESTED else definitions.try_again
    return try_again(waiters, connection, gate)
