"""Booking: a set of posted movements, or of revaluations, becomes a set of journal entries.

A dry run comes to its end here: it is answered with what would have been posted and booked, and nothing is stored.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection

from services.accounting.decide.journal import book, book_revaluation
from services.accounting.handlers.periods import refuse_locked_days
from services.accounting.store.journal import Booking, add_bookings, add_journal, stored_outputs
from shared.contracts.codec import write
from shared.contracts.journal import JournalPosted, JournalRevalued
from shared.contracts.registry import JOURNAL_POSTED, JOURNAL_REVALUED, OUTCOME_TRIED
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.contracts.trial import OutcomeTried
from shared.errors import InvariantBroken
from shared.identity import derived_id
from shared.service import Handled, Input, Key, Output, Result


def book_movements(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Book each movement once; one that was booked before has its stored output told again.

    Raises InvariantBroken for a movement of a locked day.
    """
    return _book(inputs, _booking, JOURNAL_POSTED, connection)


def book_revaluations(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Book what each revaluation corrects, once; of one that was booked before the stored output is told again.

    Raises InvariantBroken for a correction on a locked day: the ledger dates it on the first open one.
    """
    return _book(inputs, _correcting, JOURNAL_REVALUED, connection)


def answer_trials(inputs: Sequence[Input], _: Connection) -> Handled:
    """Tell the source of each dry run what it would have done; one that comes again is answered again."""
    return Handled([_answer(each.value) for each in inputs])


def _book(inputs: Sequence[Input], booking: Callable[[Any], Booking], telling: str, connection: Connection) -> Handled:
    bookings = [booking(each) for each in _distinct(inputs).values()]
    new = add_bookings(connection, bookings)
    fresh = [each for each in bookings if each.key in new]
    refuse_locked_days(connection, [entry for each in fresh for entry in each.journal])
    add_journal(connection, fresh)
    again = stored_outputs(connection, {each.key for each in bookings} - new)
    told = {each.key: each.output for each in fresh if each.output} | again
    return Handled(
        [Output(telling, *key, body) for key, body in told.items()],
        counts={(Result.BOOKED, ""): len(fresh), (Result.TOLD_AGAIN, ""): len(again)},
        oldest=min((each.recorded_at for each in fresh), default=None),
    )


def _distinct(inputs: Sequence[Input]) -> dict[Key, Any]:
    """What comes twice in a set counts once: the first."""
    found: dict[Key, Any] = {}
    for each in inputs:
        found.setdefault((each.value.source, each.value.id), each.value)
    return found


def _booking(movement: MovementPosted) -> Booking:
    if movement.trial is not None:
        raise InvariantBroken("a dry run is never booked", source=movement.source, id=movement.id)
    journal = _journal(movement)
    key = (movement.source, movement.id)
    told = write(journal) if journal else None
    return Booking(key, movement.company, movement.recorded_at, [journal] if journal else [], told)


def _correcting(revalued: StockRevalued) -> Booking:
    journal = book_revaluation(revalued)
    told = JournalRevalued(
        source=revalued.source,
        id=revalued.id,
        company=revalued.company,
        recorded_at=revalued.recorded_at,
        entries=journal,
        trace=revalued.trace,
    )
    key = (revalued.source, revalued.id)
    return Booking(key, revalued.company, revalued.recorded_at, journal, write(told) if journal else None, True)


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
