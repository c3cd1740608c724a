"""Accounting's handlers: what was posted or revalued is booked, dry runs are answered, and closed books are locked.

Sweeps number journal entries, chain them and lock what was closed, off the path of movements.
"""

from services.accounting.handlers.booking import answer_trials, book_movements, book_revaluations
from services.accounting.handlers.numbering import number_entries
from services.accounting.handlers.periods import SCHEMA, catch_up, hear, lock_periods
from services.accounting.store.chain import CHAINED
from shared import chaining, outbox, parked, replay
from shared.contracts.period import PeriodClosing, PeriodReopening
from shared.contracts.registry import (
    MOVEMENT_POSTED,
    PERIOD_CLOSING,
    PERIOD_REOPENING,
    STOCK_REVALUED,
    TRIAL_POSTED,
)
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.service import Handler, Service, movement_reader

__all__ = ["HANDLERS", "book_movements", "book_revaluations", "service"]

HANDLERS = {
    MOVEMENT_POSTED: Handler(movement_reader(MovementPosted), book_movements),
    STOCK_REVALUED: Handler(movement_reader(StockRevalued), book_revaluations),
    TRIAL_POSTED: Handler(movement_reader(MovementPosted), answer_trials),
    PERIOD_CLOSING: Handler(movement_reader(PeriodClosing), hear),
    PERIOD_REOPENING: Handler(movement_reader(PeriodReopening), hear),
}
REPLAY = replay.Replay(
    SCHEMA,
    (
        replay.Feed("ledger.posted", "posted", MOVEMENT_POSTED, HANDLERS[MOVEMENT_POSTED]),
        replay.Feed("ledger.revalued", "revalued", STOCK_REVALUED, HANDLERS[STOCK_REVALUED]),
    ),
)


def service() -> Service:
    """Accounting, as the worker sees it."""
    sweeps = (
        outbox.sweep(SCHEMA),
        catch_up,
        replay.sweep(REPLAY),
        number_entries,
        lock_periods,
        parked.sweep(SCHEMA),
        *chaining.sweeps(CHAINED),
    )
    return Service(SCHEMA, HANDLERS, sweeps, replay=replay.due(SCHEMA))
