"""Aftercare's handlers: movements of units as the gate accepted them, and statements about units.

Statements are answered as the gate answers; what was refused only for what may still be on its way waits, and is
released when it comes.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from services.aftercare.handlers.covering import tell_untold
from services.aftercare.handlers.gate import NAME, PATIENCE, Clock, Gate, Settled, utc_now
from services.aftercare.handlers.movements import take_in
from services.aftercare.handlers.releasing import look_around, release
from services.aftercare.handlers.statements import read_statement, take_statements
from shared import outbox, parked, replay
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import STATEMENTS, UNITS_ALLOCATED
from shared.service import Handled, Handler, Input, Service, movement_reader

__all__ = ["REPLAY", "service"]

_Settling = Callable[[Sequence[Input], Connection, Gate], Settled]


def service(clock: Clock = utc_now, patience: timedelta = PATIENCE, administrators: Collection[str] = ()) -> Service:
    """The aftercare service; `clock` gives the time at which statements are accepted."""
    gate = Gate(clock, patience, administrators)
    statements = Handler(read_statement, _then_release(take_statements, gate))
    handlers = {**dict.fromkeys(STATEMENTS, statements), UNITS_ALLOCATED: _movements(gate)}
    sweeps = (
        release(gate),
        outbox.sweep(NAME),
        replay.sweep(REPLAY),
        tell_untold,
        look_around(gate),
        parked.sweep(NAME),
    )
    return Service(
        NAME,
        handlers,
        sweeps,
        prefetch=200,
        replay=replay.due(NAME),
        asks_who_sent=True,
        administrators=administrators,
    )


def _movements(gate: Gate) -> Handler:
    return Handler(movement_reader(MovementAllocated), _then_release(take_in, gate))


def _then_release(settle: _Settling, gate: Gate) -> Callable[[Sequence[Input], Connection], Handled]:
    """Work on a set; and where it brought what others lacked, try those next."""

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        settled = settle(inputs, connection, gate)
        outputs = [*settled.outputs, *settled.told]
        then = tell_untold if not settled.is_all_told else release(gate) if settled.woke else None
        return Handled(outputs, settled.released, then, counts=settled.counts)

    return work


REPLAY = replay.Replay(
    NAME, (replay.Feed("receiving.units_allocated", "allocated", UNITS_ALLOCATED, _movements(Gate())),)
)
