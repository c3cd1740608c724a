"""Movements of units, as the gate accepted them: each is taken in once, in whatever order they come.

Nothing is answered. What is told of coverage stands in the outbox, so a movement that comes again has nothing to add.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from services.aftercare.decide.facts import Unit
from services.aftercare.decide.judging import movement_key, unit_key
from services.aftercare.decide.moving import cancels, may_cover, moves_of, units_of
from services.aftercare.handlers.covering import AT_ONCE, tell_coverage
from services.aftercare.handlers.gate import Gate, Settled
from services.aftercare.store import answers, facts
from services.aftercare.store.cover import leave_untold
from shared.contracts.movement import MovementAllocated
from shared.service import Input, Result


def take_in(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Add what movements did to units; tell by what these are covered now; wake who lacked it."""
    given: dict[tuple[str, str], MovementAllocated] = {}
    for each in inputs:
        given.setdefault((each.value.source, each.value.id), each.value)
    new = facts.add_movements(connection, [(*key, it.company, it.recorded_at) for key, it in given.items()])
    movements = [given[key] for key in sorted(new)]
    units = {unit for each in movements for unit in units_of(each)}
    facts.hold_units(connection, units, have_moved=True)
    _add(movements, connection)
    concerned = sorted({unit for each in movements if may_cover(each) for unit in units_of(each)})
    leave_untold(connection, concerned[AT_ONCE:])
    told = tell_coverage(connection, concerned[:AT_ONCE])
    woke = answers.wake(connection, _brought(movements, units), gate.clock())
    counts = Settled().counts
    counts[Result.ACCEPTED, ""] = len(movements)
    counts[Result.TOLD_AGAIN, ""] = len(given) - len(movements)
    return Settled(told=told, woke=woke, counts=counts, is_all_told=len(concerned) <= AT_ONCE)


def _add(movements: Sequence[MovementAllocated], connection: Connection) -> None:
    undone = {(each.source, each.id): original for each in movements if (original := cancels(each)) is not None}
    moved = (each for each in movements if (each.source, each.id) not in undone)
    facts.add_moves(connection, (move for each in moved for move in moves_of(each)))
    times = {(each.source, each.id): each.recorded_at for each in movements}
    facts.add_cancelled(connection, ((original, by, times[by]) for by, original in undone.items()))


def _brought(movements: Sequence[MovementAllocated], units: Collection[Unit]) -> set[str]:
    return {*map(unit_key, units), *(movement_key(each.source, each.id) for each in movements)}
