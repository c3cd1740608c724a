"""Who waits for what may still come, and how it is tried again, definitions first; shared/releasing.py has the rest."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby

from sqlalchemy import Connection

from services.receiving.handlers import asked, cycle_counts, definitions, movements, recalls, reservations
from services.receiving.handlers.gate import NAME, Gate, Settled
from services.receiving.store.waiting import Waiter, due_waiters, forget_waiting, is_anyone_due, standing
from shared import outbox, releasing
from shared.contracts.registry import COUNT_ACCEPTED, COUNT_CANCELLED, MOVEMENT_REQUESTED, RECALL_CLOSED
from shared.releasing import Releasing
from shared.service import Handled, Step

_AT_ONCE = 500


def release(gate: Gate) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""
    again = partial(_try_again, gate)
    return releasing.release(Releasing(NAME, _AT_ONCE, gate.clock, is_anyone_due, due_waiters, forget_waiting, again))


def look_around(gate: Gate) -> Step:
    """A step that tells how many wait, and for how long."""
    return lambda connection: Handled(levels=standing(connection, gate.clock()))


def _try_again(gate: Gate, waiters: Sequence[Waiter], connection: Connection) -> Handled:
    settled = [
        _TRY_AGAIN.get(kind, definitions.try_again)(list(same), connection, gate)
        for kind, same in groupby(sorted(waiters, key=_definitions_first), lambda each: each.kind)
    ]
    outputs = [output for each in settled for output in each.outputs]
    outbox.add(connection, NAME, outputs)
    released = [(each.source, each.id) for each in outputs]
    counts = sum((each.counts for each in settled), Counter())
    return Handled(outputs, released, more=any(each.woke for each in settled), counts=counts)


def _definitions_first(waiter: Waiter) -> tuple[bool, bool, str]:
    """What ends something comes behind what else is said of it."""
    return (waiter.kind == MOVEMENT_REQUESTED, waiter.kind in _ENDS, waiter.kind)


_ENDS = frozenset({COUNT_ACCEPTED, COUNT_CANCELLED, RECALL_CLOSED})


_TRY_AGAIN: Mapping[str, Callable[[Sequence[Waiter], Connection, Gate], Settled]] = {
    MOVEMENT_REQUESTED: movements.try_again,
    **dict.fromkeys(reservations.JUDGES, partial(asked.try_again, reservations.JUDGES)),
    **dict.fromkeys(cycle_counts.JUDGES, partial(asked.try_again, cycle_counts.JUDGES)),
    **dict.fromkeys(recalls.JUDGES, partial(asked.try_again, recalls.JUDGES)),
}
