"""Closed books in accounting: what the gate told of them, how far they are locked, and what a lock waits for.

The row of a company's books is held by whoever changes how far they are locked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row

from services.accounting.decide.periods import Change, day_before, next_in_order
from shared.contracts.codec import decoder, read
from shared.contracts.period import PeriodClosing, PeriodReopening
from shared.contracts.registry import PERIOD_CLOSING, PERIOD_REOPENING
from shared.db import columns, query, run
from shared.service import Key

LOOK_TIMEOUT_MS = 50_000
"""A look through all that was accepted since the last lock may take longer than what stands between two movements."""

_LOCKED = """
SELECT company, locked_through FROM accounting.books WHERE company = ANY(:company) AND locked_through IS NOT NULL
"""
_ENTER = """
INSERT INTO accounting.period (company, number, source, id, through, ends_at, open_from, actor, reason, recorded_at)
SELECT * FROM unnest(cast(:company AS text[]), cast(:number AS bigint[]), cast(:source AS text[]), cast(:id AS text[]),
    cast(:through AS date[]), cast(:ends_at AS timestamptz[]), cast(:open_from AS date[]), cast(:actor AS text[]),
    cast(:reason AS text[]), cast(:recorded_at AS timestamptz[]))
    AS given (company, number, source, id, through, ends_at, open_from, actor, reason, recorded_at)
ORDER BY company, number
ON CONFLICT (source, id) DO NOTHING
"""
_MAKE_BOOKS = """
INSERT INTO accounting.books (company) SELECT each FROM unnest(cast(:company AS text[])) AS each ORDER BY each
ON CONFLICT (company) DO NOTHING
"""
_HOLD_BOOKS = """
SELECT company, changes FROM accounting.books WHERE company = ANY(:company) ORDER BY company FOR NO KEY UPDATE
"""
_COMING = """
SELECT company, number, source, id, open_from, actor, reason, recorded_at
FROM accounting.period WHERE company = :company AND number > :last ORDER BY number
"""
_END = """
UPDATE accounting.period SET ended_by = :number
WHERE company = :company AND number < :number AND through >= :open_from AND ended_by IS NULL
"""
_REOPEN = """
UPDATE accounting.books SET changes = :number,
    locked_through = CASE WHEN locked_through >= :open_from THEN cast(:still AS date) ELSE locked_through END
WHERE company = :company
"""
_TAKE_EFFECT = "UPDATE accounting.books SET changes = :number WHERE company = :company"
_UNHEARD = """
SELECT kind, told FROM receiving.period_changes AS told_by_gate
WHERE (cast(:company AS text[]) IS NULL OR company = ANY(:company)) AND NOT EXISTS (
    SELECT FROM accounting.period WHERE (period.company, period.number) = (told_by_gate.company, told_by_gate.number))
"""
_IS_REPLAY_DUE = "SELECT is_due FROM accounting.replay"
_NEXT_UNLOCKED = """
SELECT company, number FROM accounting.period
WHERE through IS NOT NULL AND locked_at IS NULL AND ended_by IS NULL AND (company, number) > (:company, :number)
ORDER BY company, number LIMIT 1
"""
_HOLD_CLOSING = """
SELECT period.company, number, source, id, through, ends_at, actor, reason, recorded_at, waits_for_source, waits_for_id,
    coalesce((
        SELECT max(recorded_at) - interval '1 day' FROM accounting.period AS before
        WHERE before.company = period.company AND before.locked_at IS NOT NULL), '-infinity') AS since
FROM accounting.period JOIN accounting.books USING (company)
WHERE (company, number) = (:company, :number)
    AND through IS NOT NULL AND locked_at IS NULL AND ended_by IS NULL AND number <= changes
FOR NO KEY UPDATE SKIP LOCKED
"""
_IS_BOOKED = "SELECT FROM accounting.movement WHERE (source, id) = (:source, :id)"
_TAKE_TIME = f"SET LOCAL statement_timeout = {LOOK_TIMEOUT_MS}"
# All that was accepted before the closing: by its time, or because its day was open only then. What was recorded before
# the last lock was booked then; the day between is for clocks that differ.
_MISSING = """
SELECT source, id FROM receiving.accepted
WHERE company = :company AND recorded_at > :since AND (recorded_at <= :recorded_at OR effective_at < :ends_at)
    AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (accepted.source, accepted.id))
LIMIT 1
"""
_WAITS_FOR = """
UPDATE accounting.period SET waits_for_source = :source, waits_for_id = :id
WHERE (company, number) = (:company, :number)
"""
_LOCK = """
UPDATE accounting.period SET locked_at = now(), waits_for_source = NULL, waits_for_id = NULL
WHERE (company, number) = (:company, :number) RETURNING locked_at
"""
_LOCK_BOOKS = """
UPDATE accounting.books SET locked_through = greatest(locked_through, :through) WHERE company = :company
"""
_COLUMNS = "company number source id through ends_at open_from actor reason recorded_at"
_READERS: Mapping[str, Any] = {PERIOD_CLOSING: decoder(PeriodClosing), PERIOD_REOPENING: decoder(PeriodReopening)}


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing that is no lock yet; `since` when there may be something that it waits for.

    `waits_for` is a movement that was found missing.
    """

    company: str
    number: int
    source: str
    id: str
    through: date
    ends_at: datetime
    actor: str
    reason: str
    recorded_at: datetime
    since: datetime
    waits_for: Key | None


def locked_through(connection: Connection, companies: Collection[str]) -> dict[str, date]:
    """The last locked day of each of these companies that has any."""
    rows = query(connection, _LOCKED, company=sorted(companies)) if companies else ()
    return {row.company: row.locked_through for row in rows}


def enter(connection: Connection, changes: Sequence[Change]) -> list[PeriodReopening]:
    """Keep closings and reopenings, and have those take effect whose turn it is; the reopenings among these."""
    run(connection, _ENTER, **columns([_row(each) for each in changes], _COLUMNS))
    companies = sorted({each.company for each in changes})
    run(connection, _MAKE_BOOKS, **columns([[each] for each in companies], "company"))
    held = query(connection, _HOLD_BOOKS, company=companies)
    return [each for row in held for each in _take_effect(connection, row.company, row.changes)]


def _take_effect(connection: Connection, company: str, last: int) -> list[PeriodReopening]:
    coming = query(connection, _COMING, company=company, last=last)
    due = next_in_order(last, [row.number for row in coming])
    reopenings = [_reopening(row) for row in coming[: len(due)] if row.open_from is not None]
    for each in reopenings:
        facts = {"company": company, "number": each.number, "open_from": each.open_from}
        run(connection, _END, **facts)
        run(connection, _REOPEN, **facts, still=day_before(each.open_from))
    if due:
        run(connection, _TAKE_EFFECT, company=company, number=due[-1])
    return reopenings


def unheard(connection: Connection, companies: Collection[str] | None = None) -> list[Change]:
    """What the gate told of these companies' books, or of all, and has not come here yet."""
    rows = query(connection, _UNHEARD, company=sorted(companies) if companies is not None else None)
    return [read(_READERS[row.kind], bytes(row.told)) for row in rows]


def is_replay_due(connection: Connection) -> bool:
    """Whether the queue was missed, so that something told may have been lost with it."""
    return bool(query(connection, _IS_REPLAY_DUE))


def next_unlocked(connection: Connection, company: str, number: int) -> tuple[str, int] | None:
    """Company and number of the first closing behind this one that is no lock yet."""
    rows = query(connection, _NEXT_UNLOCKED, company=company, number=number)
    return (rows[0].company, rows[0].number) if rows else None


def hold_closing(connection: Connection, company: str, number: int) -> Closing | None:
    """A closing that is in effect and no lock yet, held with its company's books; None where another holds them."""
    for row in query(connection, _HOLD_CLOSING, company=company, number=number):
        waits_for = (row.waits_for_source, row.waits_for_id) if row.waits_for_id is not None else None
        return Closing(
            row.company,
            row.number,
            row.source,
            row.id,
            row.through,
            row.ends_at,
            row.actor,
            row.reason,
            row.recorded_at,
            row.since,
            waits_for,
        )
    return None


def still_waits_for(connection: Connection, closing: Closing) -> Key | None:
    """A movement that was accepted before the closing and is not booked; it is looked for only when the last one is."""
    if closing.waits_for is not None and not _is_booked(connection, closing.waits_for):
        return closing.waits_for
    run(connection, _TAKE_TIME)
    within = {"since": closing.since, "recorded_at": closing.recorded_at, "ends_at": closing.ends_at}
    for row in query(connection, _MISSING, company=closing.company, **within):
        named = {"source": row.source, "id": row.id}
        run(connection, _WAITS_FOR, **named, company=closing.company, number=closing.number)
        return (row.source, row.id)
    return None


def lock(connection: Connection, closing: Closing) -> datetime:
    """Lock the days of a closing; since when they are."""
    (locked,) = query(connection, _LOCK, company=closing.company, number=closing.number)
    run(connection, _LOCK_BOOKS, company=closing.company, through=closing.through)
    at: datetime = locked.locked_at
    return at


def _is_booked(connection: Connection, key: Key) -> bool:
    return bool(query(connection, _IS_BOOKED, source=key[0], id=key[1]))


def _row(change: Change) -> tuple[object, ...]:
    closing = change if isinstance(change, PeriodClosing) else None
    reopening = change if isinstance(change, PeriodReopening) else None
    return (
        change.company,
        change.number,
        change.source,
        change.id,
        closing.through if closing else None,
        closing.ends_at if closing else None,
        reopening.open_from if reopening else None,
        change.actor,
        change.reason,
        change.recorded_at,
    )


def _reopening(row: Row[Any]) -> PeriodReopening:
    return PeriodReopening(
        source=row.source,
        id=row.id,
        company=row.company,
        number=row.number,
        open_from=row.open_from,
        actor=row.actor,
        reason=row.reason,
        recorded_at=row.recorded_at,
    )
