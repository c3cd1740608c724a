"""Cycle counts: opened, reported, accepted or cancelled, one message after another.

Whoever counts is told nothing of what is expected. What is accepted becomes a movement of the count's own source, which
goes on to the ledger like any other.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide import patience
from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Request
from services.receiving.decide.cycle_counts import against_taking_over, against_use, moment_of, read_report, taken_over
from services.receiving.decide.opening import company_of
from services.receiving.decide.stock import MovementKey, Stock
from services.receiving.handlers.answering import Outcome, answer
from services.receiving.handlers.asked import Judged, Judges
from services.receiving.handlers.gate import NAME, Gate
from services.receiving.handlers.judging import judge
from services.receiving.handlers.movements import brought_by, outputs_of
from services.receiving.store import cycle_counts, inbox
from services.receiving.store.locking import lock_stock
from services.receiving.store.waiting import Waiter
from shared import outbox
from shared.contracts.codec import changed, digest, write
from shared.contracts.counting import CountOpened
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.registry import (
    COUNT_ACCEPTED,
    COUNT_CANCELLED,
    COUNT_OPENED,
    COUNT_REPORTED,
)
from shared.errors import Reason
from shared.service import Key

_Asked = Sequence[tuple[Waiter, Any]]


def _open(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:  # noqa: ARG001 - one shape for all
    outcomes: dict[Key, Outcome] = {}
    brought: list[str] = []
    for each, told in asked:
        stock = cycle_counts.masters_of(connection, told.warehouse, told.company, told.items)
        company, reasons = _company(told, each, stock)
        if company is not None and not reasons:
            at = cycle_counts.open_count(connection, each.key, company, told, now)
            outcomes[each.key] = answer(each, company, [], at)
            brought.append(patience.count_key(*each.key))
        else:
            outcomes[each.key] = answer(each, company, reasons, now)
    return Judged(outcomes, brought)


def _company(told: CountOpened, each: Waiter, stock: Stock) -> tuple[str | None, list[Reason]]:
    """The company of a count, and what of its warehouse and items is not known."""
    asked = MovementRequested(
        id=each.id,
        company=told.company,
        purpose="",
        posting_at=each.since,
        lines=[RequestedLine(target=told.warehouse)],
    )
    company, reason = company_of(each.source, asked, stock)
    if company is None:
        return None, [reason] if reason is not None else []
    code = company.company
    reasons = [Reason("unknown_item", None, {"item": item}) for item in told.items if (code, item) not in stock.items]
    if (code, told.warehouse) not in stock.warehouses:
        reasons.append(Reason("unknown_warehouse", None, {"warehouse": told.warehouse}))
    return code, reasons


def _report(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:
    found = cycle_counts.lock_counts(connection, {_named(*each) for each in asked})
    outcomes: dict[Key, Outcome] = {}
    for each, told in asked:
        key = _named(each, told)
        opened = found.get(key)
        reasons = against_use(key, opened)
        if opened is not None and not reasons:
            items = {line.item for line in told.lines}
            stock = cycle_counts.masters_of(connection, opened.warehouse, opened.company, items)
            lines, reasons = read_report(told, opened, stock, now, gate.limits)
            if not reasons:
                cycle_counts.save_report(connection, key, each.key, told, lines, now)
        outcomes[each.key] = answer(each, opened.company if opened is not None else None, reasons, now)
    return Judged(outcomes)


def _accept(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:
    outcomes: dict[Key, Outcome] = {}
    brought: list[str] = []
    for each, told in asked:
        key = _named(each, told)
        opened = cycle_counts.lock_counts(connection, [key]).get(key)
        reasons = against_use(key, opened)
        if opened is None or reasons:
            outcomes[each.key] = answer(each, opened.company if opened is not None else None, reasons, now)
            continue
        # What is counted by then is what is to be locked.
        asked_for = taken_over(
            opened, cycle_counts.places_of(connection, opened, Stock()), now, told.actor, told.reason
        )
        stock = lock_stock(connection, [_request(key, asked_for)], gate.limits, now)
        places = cycle_counts.places_of(connection, opened, stock)
        if reasons := against_taking_over(key, places):
            outcomes[each.key] = answer(each, opened.company, reasons, now)
            continue
        movement = taken_over(opened, places, moment_of(opened, places, stock, now), told.actor, told.reason)
        (judged,) = judge(connection, [_request(key, movement)], stock, now, gate.limits)
        outcomes[each.key] = _answer(each, opened.company, judged)
        if isinstance(judged, Accepted):
            cycle_counts.save_result(connection, key, places)
            cycle_counts.end_count(connection, key, "accepted", now, told.actor, movement.id)
            _save(connection, judged)
            brought += brought_by(judged)
    return Judged(outcomes, brought)


def _request(key: MovementKey, movement: MovementRequested) -> Request:
    return Request(key[0], movement.id, digest(movement), movement)


def _answer(each: Waiter, company: str, judged: Accepted | Rejected) -> Outcome:
    """What the acceptance is told: what was taken over, or why not."""
    told = answer(each, company, [], judged.outcome.recorded_at)
    kind = each.kind.rpartition(".")[0]
    if isinstance(judged, Rejected):
        return changed(judged.outcome, source=each.source, id=each.id, kind=kind, attempt=each.attempt)
    return changed(told, allocated=judged.outcome.allocated, effective_at=judged.outcome.effective_at)


def _save(connection: Connection, judged: Accepted) -> None:
    """Store the movement's answers like those of any other; its outputs hang on no message that names it."""
    request, allocated, outcome = judged.request, write(judged.allocated), write(judged.outcome)
    row = inbox.MovementRow(
        request.source,
        request.id,
        request.digest,
        judged.allocated.company,
        judged.allocated.purpose,
        judged.outcome.recorded_at,
        judged.allocated.effective_at,
        allocated,
        outcome,
    )
    inbox.save_movements(connection, [row])
    outbox.add(connection, NAME, outputs_of((request.source, request.id), allocated, outcome))


def _cancel(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:  # noqa: ARG001 - as above
    outcomes: dict[Key, Outcome] = {}
    for each, told in asked:
        key = _named(each, told)
        opened = cycle_counts.lock_counts(connection, [key]).get(key)
        reasons = against_use(key, opened)
        if not reasons:
            cycle_counts.end_count(connection, key, "cancelled", now, told.actor)
        outcomes[each.key] = answer(each, opened.company if opened is not None else None, reasons, now)
    return Judged(outcomes)


def _named(each: Waiter, told: Any) -> MovementKey:
    return (told.count.source or each.source, told.count.id)


JUDGES: Judges = {COUNT_OPENED: _open, COUNT_REPORTED: _report, COUNT_ACCEPTED: _accept, COUNT_CANCELLED: _cancel}
