"""Booking: a set of posted movements becomes a set of journal entries.

A dry run comes to its end here: it is answered with what would have been posted and booked, and nothing is stored.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from services.accounting.decide.journal import book
from services.accounting.handlers.periods import refuse_locked_days
from services.accounting.store.journal import Booking, add_journal, add_movements, stored_outputs
from shared.contracts.codec import write
from shared.contracts.journal import JournalPosted
from shared.contracts.registry import JOURNAL_POSTED, OUTCOME_TRIED
from shared.contracts.stock import MovementPosted
from shared.contracts.trial import OutcomeTried
from shared.errors import InvariantBroken
from shared.identity import derived_id
from shared.service import Handled, Input, Key, Output, Result


def book_movements(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Book each movement once; one that was booked before has its stored output told again.

    Raises InvariantBroken for a movement of a locked day.
    """
    bookings = _distinct(inputs)
    new = add_movements(connection, bookings.values())
    fresh = [each for key, each in bookings.items() if key in new]
    journal = [each.journal for each in fresh if each.journal]
    refuse_locked_days(connection, journal)
    add_journal(connection, journal)
    again = stored_outputs(connection, bookings.keys() - new)
    told = {each.key: each.output for each in fresh if each.output} | again
    return Handled(
        [Output(JOURNAL_POSTED, *key, body) for key, body in told.items()],
        counts={(Result.BOOKED, ""): len(fresh), (Result.TOLD_AGAIN, ""): len(again)},
        oldest=min((each.movement.recorded_at for each in fresh), default=None),
    )


def answer_trials(inputs: Sequence[Input], _: Connection) -> Handled:
    """Tell the source of each dry run what it would have done; one that comes again is answered again."""
    return Handled([_answer(each.value) for each in inputs])


def _distinct(inputs: Sequence[Input]) -> dict[Key, Booking]:
    """A booking for each key; of a movement that comes twice in a set, the first."""
    movements: dict[Key, MovementPosted] = {}
    for each in inputs:
        movements.setdefault((each.value.source, each.value.id), each.value)
    return {key: _booking(movement) for key, movement in movements.items()}


def _booking(movement: MovementPosted) -> Booking:
    if movement.trial is not None:
        raise InvariantBroken("a dry run is never booked", source=movement.source, id=movement.id)
    journal = _journal(movement)
    return Booking(movement, journal, write(journal) if journal else None)


def _answer(movement: MovementPosted) -> Output:
    if movement.trial is None:
        raise InvariantBroken("a dry run says what its source would be told", source=movement.source, id=movement.id)
    journal = _journal(movement)
    tried = OutcomeTried(
        source=movement.source,
        id=movement.id,
        company=movement.company,
        currency=movement.currency,
        recorded_at=movement.recorded_at,
        outcome=movement.trial,
        entries=movement.entries,
        transfers=journal.transfers if journal else [],
    )
    return Output(OUTCOME_TRIED, movement.source, movement.id, write(tried))


def _journal(movement: MovementPosted) -> JournalPosted | None:
    return book(movement, derived_id(movement.recorded_at, movement.source, movement.id, "journal"))
