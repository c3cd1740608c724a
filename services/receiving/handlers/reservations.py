"""Reservations: goods kept back for an order, or given up, a set at a time; and what has expired is let go.

Whether there is enough is answered at once, by what there is: only what is not defined yet is waited for. A reservation
that nobody gives up ends by itself, so nothing depends on a sender who is gone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide import patience
from services.receiving.decide.reserving import Kept, against_release, asked_for, reserve
from services.receiving.decide.stock import BinKey, MovementKey
from services.receiving.handlers.answering import Outcome, answer
from services.receiving.handlers.asked import Judged, Judges
from services.receiving.handlers.gate import Gate, log, wake
from services.receiving.store import reservations
from services.receiving.store.locking import lock_stock
from services.receiving.store.waiting import Waiter
from shared.contracts.registry import RESERVATION_RELEASED, RESERVATION_REQUESTED
from shared.contracts.reservation import ReservationReleased
from shared.service import Handled, Key, Step


def expire_due(gate: Gate) -> Step:
    """A step that lets go of what has expired, some bins at a time, and has those tried who lack it."""

    def look(connection: Connection) -> Handled:
        now = gate.clock()
        bins = reservations.lock_due_bins(connection, now)
        if not bins:
            return Handled()
        lines = reservations.expire(connection, bins, now)
        log.info("expired", lines=lines, bins=len(bins))
        wake(connection, lambda: _stock_keys(bins), now)
        return Handled(then=expire_due(gate))

    return look


def _keep(connection: Connection, asked: Sequence[tuple[Waiter, Any]], gate: Gate, now: datetime) -> Judged:
    """Keep goods back, one reservation after another."""
    wanted = [asked_for(each.source, each.id, value, now, each.attempt) for each, value in asked]
    stock = lock_stock(connection, [each.request for each in wanted], gate.limits, now)
    judged = {(each.request.source, each.request.id): reserve(each, stock, now, gate.limits) for each in wanted}
    kept = [each for each in judged.values() if isinstance(each, Kept)]
    reservations.save_reservations(connection, stock, kept)
    outcomes = {key: each.outcome if isinstance(each, Kept) else each for key, each in judged.items()}
    names = [(each.asked.request.source, each.asked.request.id) for each in kept]
    return Judged(outcomes, [patience.reservation_key(*key) for key in names])


def _let_go(connection: Connection, asked: Sequence[tuple[Waiter, Any]], gate: Gate, now: datetime) -> Judged:  # noqa: ARG001 - one shape for both
    """Give reservations up; a second release in the set finds that the first one has ended it."""
    found = reservations.lock_named(connection, {_named(each, value) for each, value in asked}, now)
    outcomes: dict[Key, Outcome] = {}
    gone: set[MovementKey] = set()
    for each, value in asked:
        key = _named(each, value)
        standing = found[key].standing if key in found else None
        if standing is not None and key in gone:
            standing = standing.as_released()
        reasons = against_release(key, standing)
        gone |= set() if reasons else {key}
        outcomes[each.key] = answer(each, standing.company if standing is not None else None, reasons, now)
    reservations.let_go(connection, gone, now)
    return Judged(outcomes, sorted(_stock_keys(bin_ for key in gone for bin_ in found[key].bins)))


def _named(each: Waiter, value: ReservationReleased) -> MovementKey:
    return (value.reservation.source or each.source, value.reservation.id)


def _stock_keys(bins: Iterable[BinKey]) -> set[str]:
    return {patience.stock_key(*each) for each in bins}


JUDGES: Judges = {RESERVATION_REQUESTED: _keep, RESERVATION_RELEASED: _let_go}
