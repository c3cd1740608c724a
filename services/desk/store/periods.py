"""Closed books, as the desk shows them: every closing, what became of it, and what it still waits for."""

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
# What accounting looks for before it locks, all of it: movements, then bins, then revaluations.
_NOT_BOOKED = """
SELECT source AS first, id AS second, count(*) OVER () AS things, CASE
        WHEN EXISTS (SELECT FROM ledger.posted WHERE (posted.source, posted.id) = (accepted.source, accepted.id))
            THEN 'not booked' ELSE 'not posted'
    END AS lack
FROM receiving.accepted
WHERE company = :company AND recorded_at > :since AND (recorded_at <= :recorded_at OR effective_at < :ends_at)
    AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (accepted.source, accepted.id))
ORDER BY recorded_at, source, id LIMIT 1
"""
_DIRTY = """
SELECT item AS first, warehouse AS second, count(*) OVER () AS things, 'to be valued anew' AS lack
FROM ledger.dirty_bins
WHERE company = :company AND (since <= :recorded_at OR from_at < :ends_at) ORDER BY since, item, warehouse LIMIT 1
"""
_NOT_CORRECTED = """
WITH told AS MATERIALIZED (
    SELECT source, id, recorded_at, revalued FROM ledger.revalued
    WHERE company = :company AND recorded_at > :since AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (revalued.source, revalued.id))
)
SELECT source AS first, id AS second, count(*) OVER () AS things, 'not booked' AS lack FROM told
WHERE recorded_at <= :recorded_at OR EXISTS (
    SELECT FROM json_array_elements(cast(convert_from(revalued, 'UTF8') AS json) -> 'movements') AS corrected
    WHERE cast(corrected ->> 'posting_date' AS date) <= :through)
ORDER BY recorded_at, source, id LIMIT 1
"""


class State(StrEnum):
    """What became of a closing; an untold one is closed at the gate, and accounting has not heard of it."""

    UNTOLD = "untold"
    CLOSED = "closed"
    LOCKED = "locked"
    REOPENED = "reopened"


class Lack(StrEnum):
    """What is still to be done: with a movement, with what came of a revaluation, or with a bin."""

    NOT_POSTED = "not posted"
    NOT_BOOKED = "not booked"
    DIRTY = "to be valued anew"


@dataclass(frozen=True, slots=True)
class Missing:
    """Of so many things from before a closing something is still to be done: the name of the first, and what it lacks.

    They are movements or revaluations, named by source and id, or bins, named by item and warehouse.
    """

    count: int
    first: Key
    lack: Lack


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing of a company's books through a day: by whom, when and why, and what became of it.

    `ends_at` is the moment at which that day ends; None while accounting has not heard of it.
    """

    company: str
    through: date
    ends_at: datetime | None
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
        row.ends_at,
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
    closing = row._asdict()
    for statement in (_NOT_BOOKED, _DIRTY, _NOT_CORRECTED):
        for each in query(connection, statement, **closing):
            return Missing(each.things, (each.first, each.second), Lack(each.lack))
    return None
