"""What accounting does with its messages: a set of posted movements becomes a set of journal entries."""

from collections.abc import Sequence

from sqlalchemy import Connection

from services.accounting.decide.journal import book
from services.accounting.store import Booking, add_journal, add_movements, stored_outputs
from shared.contracts.codec import write
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted
from shared.identity import derived_id
from shared.service import Handled, Handler, Input, Key, Output, Service, movement_reader


def service() -> Service:
    """Accounting, as the worker sees it. It releases nothing later, so it has no sweeps."""
    return Service("accounting", HANDLERS)


def book_movements(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Book each movement once; one that was booked before has its stored output told again."""
    bookings = _distinct(inputs)
    new = add_movements(connection, bookings.values())
    fresh = [each for key, each in bookings.items() if key in new]
    add_journal(connection, [each.journal for each in fresh if each.journal])
    told = {each.key: each.output for each in fresh if each.output}
    told |= stored_outputs(connection, bookings.keys() - new)
    return Handled([Output(JOURNAL_POSTED, *key, body) for key, body in told.items()])


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
