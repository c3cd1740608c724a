"""Closed books, as the desk shows them: every closing, what became of it, and what it still waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from shared.db import query
from shared.service import Key

_CLOSINGS = """
SELECT gate.company, gate.number, gate.through, gate.recorded_at, gate.actor, gate.reason,
    books.number IS NOT NULL AS is_heard, books.ends_at, books.locked_at, books.reopened_from, books.reopened_at,
    books.reopened_by, books.reopened_because, coalesce((
        SELECT max(recorded_at) - interval '1 day' FROM accounting.periods AS before
        WHERE before.company = gate.company AND before.locked_at IS NOT NULL), '-infinity') AS since
FROM receiving.period_changes AS gate
LEFT JOIN accounting.periods AS books ON (books.company, books.number) = (gate.company, gate.number)
WHERE gate.through IS NOT NULL AND (cast(:company AS text) IS NULL OR gate.company = :company)
ORDER BY gate.company, gate.number
"""
# What accounting looks for before it locks, all of it.
_NOT_BOOKED = """
SELECT source, id, count(*) OVER () AS movements,
    EXISTS (SELECT FROM ledger.posted WHERE (posted.source, posted.id) = (accepted.source, accepted.id)) AS is_posted
FROM receiving.accepted
WHERE company = :company AND recorded_at > :since AND (recorded_at <= :recorded_at OR effective_at < :ends_at)
    AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (accepted.source, accepted.id))
ORDER BY recorded_at, source, id LIMIT 1
"""


class State(StrEnum):
    """What became of a closing; an untold one is closed at the gate, and accounting has not heard of it."""

    UNTOLD = "untold"
    CLOSED = "closed"
    LOCKED = "locked"
    REOPENED = "reopened"


@dataclass(frozen=True, slots=True)
class Missing:
    """So many movements are not booked that were accepted before a closing; the first, and whether it is posted."""

    count: int
    first: Key
    is_posted: bool


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing of a company's books through a day: by whom, when and why, and what became of it."""

    company: str
    through: date
    state: State
    closed_at: datetime
    actor: str
    reason: str
    locked_at: datetime | None
    reopened_from: date | None
    reopened_at: datetime | None
    reopened_by: str | None
    reopened_because: str | None
    missing: Missing | None


def closings(connection: Connection, company: str | None) -> list[Closing]:
    """All closings of a company, or of all, in their order."""
    return [_closing(connection, row) for row in query(connection, _CLOSINGS, company=company)]


def _closing(connection: Connection, row: Row[Any]) -> Closing:
    state = _state(row)
    return Closing(
        row.company,
        row.through,
        state,
        row.recorded_at,
        row.actor,
        row.reason,
        row.locked_at,
        row.reopened_from,
        row.reopened_at,
        row.reopened_by,
        row.reopened_because,
        _missing(connection, row) if state is State.CLOSED else None,
    )


def _state(row: Row[Any]) -> State:
    if not row.is_heard:
        return State.UNTOLD
    if row.reopened_at is not None:
        return State.REOPENED
    return State.CLOSED if row.locked_at is None else State.LOCKED


def _missing(connection: Connection, row: Row[Any]) -> Missing | None:
    within = {"since": row.since, "recorded_at": row.recorded_at, "ends_at": row.ends_at}
    found: Sequence[Row[Any]] = query(connection, _NOT_BOOKED, company=row.company, **within)
    return next((Missing(each.movements, (each.source, each.id), each.is_posted) for each in found), None)
