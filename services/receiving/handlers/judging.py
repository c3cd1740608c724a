"""Judging a set on the locked stock, and writing what it changed.

What takes effect before others, or undoes something, is set aside: it is judged by itself, by what was in its places
from its moment on; so all that was accepted before it must have been written by then. The others come behind it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from services.receiving.decide.allocation import Accepted, Rejected, allocate, allocate_aside
from services.receiving.decide.cancelling import CANCELLATION, cancel, original_to_undo
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.past import Aside
from services.receiving.decide.stock import Stock
from services.receiving.decide.undoing import Traces
from services.receiving.store.cancelling import load_traces
from services.receiving.store.masters import note_booked
from services.receiving.store.saving import save_stock
from services.receiving.store.timeline import outlooks
from shared.contracts.movement import MovementRequested


def judge(
    connection: Connection, requests: Sequence[Request], stock: Stock, now: datetime, limits: Limits
) -> list[Accepted | Rejected]:
    """Judge movements in their order, and write what the accepted ones changed."""
    judged: list[Accepted | Rejected] = []
    while len(judged) < len(requests):
        together = allocate(requests[len(judged) :], stock, now, limits)
        decided = [each for each in together if not isinstance(each, Aside)]
        _save(connection, stock, decided)
        judged += decided
        if len(decided) < len(together):
            alone = try_alone(connection, requests[len(judged)], stock, now, limits)
            _save(connection, stock, [alone])
            judged.append(alone)
    # Once, and sorted: two workers never wait for each other's new accounts.
    note_booked(connection, stock.companies, (each.allocated for each in judged if isinstance(each, Accepted)))
    return judged


def try_alone(
    connection: Connection, request: Request, stock: Stock, now: datetime, limits: Limits
) -> Accepted | Rejected:
    """Judge one movement; nothing is written."""
    (judged,) = allocate([request], stock, now, limits)
    if not isinstance(judged, Aside):
        return judged
    if request.movement is not None and request.movement.purpose == CANCELLATION:
        return _cancel(connection, request, request.movement, stock, now)
    return allocate_aside(judged, outlooks(connection, judged.places, judged.at), stock, now, limits)


def _cancel(
    connection: Connection, request: Request, movement: MovementRequested, stock: Stock, now: datetime
) -> Accepted | Rejected:
    original = original_to_undo(request.source, movement, stock)
    traces = Traces() if original is None else load_traces(connection, stock, original)
    return cancel(request, traces, stock, now)


def _save(connection: Connection, stock: Stock, judged: Iterable[Accepted | Rejected]) -> None:
    accepted = [each for each in judged if isinstance(each, Accepted)]
    if accepted:
        save_stock(connection, stock, accepted)
