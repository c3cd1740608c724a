"""What accounting does with its messages: a set of posted movements becomes a set of journal entries."""

from collections.abc import Sequence

from sqlalchemy import Connection

from services.accounting.decide.journal import book
from services.accounting.store import Booking, add_journal, add_movements, stored_outputs
from shared import outbox, parked, replay
from shared.contracts.codec import write
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted
from shared.identity import derived_id
from shared.service import Handled, Handler, Input, Key, Output, Result, Service, movement_reader

SCHEMA = "accounting"


def service() -> Service:
    """Accounting, as the worker sees it. Only a replay leaves something in its outbox."""
    sweeps = (outbox.sweep(SCHEMA), replay.sweep(REPLAY), parked.sweep(SCHEMA))
    return Service(SCHEMA, HANDLERS, sweeps, replay=replay.due(SCHEMA))


def book_movements(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Book each movement once; one that was booked before has its stored output told again."""
    bookings = _distinct(inputs)
    new = add_movements(connection, bookings.values())
    fresh = [each for key, each in bookings.items() if key in new]
    add_journal(connection, [each.journal for each in fresh if each.journal])
    again = stored_outputs(connection, bookings.keys() - new)
    told = {each.key: each.output for each in fresh if each.output} | again
    return Handled(
        [Output(JOURNAL_POSTED, *key, body) for key, body in told.items()],
        counts={(Result.BOOKED, ""): len(fresh), (Result.TOLD_AGAIN, ""): len(again)},
        oldest=min((each.movement.recorded_at for each in fresh), default=None),
    )


def _distinct(inputs: Sequence[Input]) -> dict[Key, Booking]:
    """A booking for each key; of a movement that comes twice in a set, the first."""
    movements: dict[Key, MovementPosted] = {}
    for each in inputs:
        movements.setdefault((each.value.source, each.value.id), each.value)
    return {key: _booking(movement) for key, movement in movements.items()}


def _booking(movement: MovementPosted) -> Booking:
    journal = book(movement, derived_id(movement.recorded_at, movement.source, movement.id, "journal"))
    return Booking(movement, journal, write(journal) if journal else None)


HANDLERS = {MOVEMENT_POSTED: Handler(movement_reader(MovementPosted), book_movements)}
REPLAY = replay.Replay(SCHEMA, "ledger.posted", "posted", MOVEMENT_POSTED, HANDLERS[MOVEMENT_POSTED])
