"""Who waits for what may still come, and how it is tried again; shared/releasing.py has the rest."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from services.aftercare.handlers.gate import NAME, Gate
from services.aftercare.handlers.statements import try_again
from services.aftercare.store.answers import Waiter, due_waiters, forget_waiting, is_anyone_due, standing
from shared import outbox, releasing
from shared.releasing import Releasing
from shared.service import Handled, Step

_AT_ONCE = 200


def release(gate: Gate) -> Step:
    """A step that tries who is due, and comes again while it brings what others lack."""

    def again(waiters: Sequence[Waiter], connection: Connection) -> Handled:
        settled = try_again(waiters, connection, gate)
        outbox.add(connection, NAME, settled.outputs)
        released = [*settled.released, *((each.source, each.id) for each in settled.outputs)]
        outputs = [*settled.outputs, *settled.told]
        return Handled(outputs, released, more=bool(settled.woke), counts=Counter(settled.counts))

    return releasing.release(Releasing(NAME, _AT_ONCE, gate.clock, is_anyone_due, due_waiters, forget_waiting, again))


def look_around(gate: Gate) -> Step:
    """A step that tells how many wait, and for how long."""
    return lambda connection: Handled(levels=standing(connection, gate.clock()))
