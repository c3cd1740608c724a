"""Accounting's handlers: posted movements become journal entries, dry runs are answered, and closed books are locked.

Sweeps give journal entries their numbers and lock what was closed, off the path of movements.
"""

from services.accounting.handlers.booking import answer_trials, book_movements
from services.accounting.handlers.numbering import number_entries
from services.accounting.handlers.periods import SCHEMA, catch_up, hear, lock_periods
from shared import outbox, parked, replay
from shared.contracts.period import PeriodClosing, PeriodReopening
from shared.contracts.registry import MOVEMENT_POSTED, PERIOD_CLOSING, PERIOD_REOPENING, TRIAL_POSTED
from shared.contracts.stock import MovementPosted
from shared.service import Handler, Service, movement_reader

__all__ = ["HANDLERS", "book_movements", "service"]

HANDLERS = {
    MOVEMENT_POSTED: Handler(movement_reader(MovementPosted), book_movements),
    TRIAL_POSTED: Handler(movement_reader(MovementPosted), answer_trials),
    PERIOD_CLOSING: Handler(movement_reader(PeriodClosing), hear),
    PERIOD_REOPENING: Handler(movement_reader(PeriodReopening), hear),
}
REPLAY = replay.Replay(SCHEMA, "ledger.posted", "posted", MOVEMENT_POSTED, HANDLERS[MOVEMENT_POSTED])


def service() -> Service:
    """Accounting, as the worker sees it."""
    sweeps = (
        outbox.sweep(SCHEMA),
        catch_up,
        replay.sweep(REPLAY),
        number_entries,
        lock_periods,
        parked.sweep(SCHEMA),
    )
    return Service(SCHEMA, HANDLERS, sweeps, replay=replay.due(SCHEMA))
