"""Closed books in accounting: what the gate told of them, how far they are locked, and what a lock waits for.

The row of a company's books is held by whoever changes how far they are locked.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
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
    waits_for_item, waits_for_warehouse, coalesce((
        SELECT max(recorded_at) - interval '1 day' FROM accounting.period AS before
        WHERE before.company = period.company AND before.locked_at IS NOT NULL), '-infinity') AS since
FROM accounting.period JOIN accounting.books USING (company)
WHERE (company, number) = (:company, :number)
    AND through IS NOT NULL AND locked_at IS NULL AND ended_by IS NULL AND number <= changes
FOR NO KEY UPDATE SKIP LOCKED
"""
_NOT_BOOKED = """
SELECT FROM (VALUES (:source, :id)) AS named (source, id)
WHERE NOT EXISTS (SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (named.source, named.id))
"""
_STILL_DIRTY = """
SELECT FROM ledger.dirty_bins
WHERE (company, item, warehouse) = (:company, :item, :warehouse) AND (since <= :recorded_at OR from_at < :ends_at)
"""
_TAKE_TIME = f"SET LOCAL statement_timeout = {LOOK_TIMEOUT_MS}"
# All that was accepted before the closing: by its time, or because its day was open only then. What was recorded before
# the last lock was booked then; the day between is for clocks that differ.
_MISSING = """
SELECT source AS first, id AS second FROM receiving.accepted
WHERE company = :company AND recorded_at > :since AND (recorded_at <= :recorded_at OR effective_at < :ends_at)
    AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (accepted.source, accepted.id))
LIMIT 1
"""
# The ledger makes a bin dirty as it posts what changes its past, and tells what it found as it makes it clean again. It
# may do so for something before the closing and for something after it at once, and knows it since the latter.
_DIRTY = """
SELECT item AS first, warehouse AS second FROM ledger.dirty_bins
WHERE company = :company AND (since <= :recorded_at OR from_at < :ends_at) ORDER BY since, item, warehouse LIMIT 1
"""
# So is what it tells of that: but it corrects the days of the closing.
_NOT_CORRECTED = """
WITH told AS MATERIALIZED (
    SELECT source, id, recorded_at, revalued FROM ledger.revalued
    WHERE company = :company AND recorded_at > :since AND NOT EXISTS (
        SELECT FROM accounting.movement WHERE (movement.source, movement.id) = (revalued.source, revalued.id))
)
SELECT source AS first, id AS second FROM told
WHERE recorded_at <= :recorded_at OR EXISTS (
    SELECT FROM json_array_elements(cast(convert_from(revalued, 'UTF8') AS json) -> 'movements') AS corrected
    WHERE cast(corrected ->> 'posting_date' AS date) <= :through)
LIMIT 1
"""
_WAITS_FOR = """
UPDATE accounting.period SET waits_for_source = :source, waits_for_id = :id, waits_for_item = :item,
    waits_for_warehouse = :warehouse
WHERE (company, number) = (:company, :number)
"""
_LOCK = """
UPDATE accounting.period SET locked_at = now(), waits_for_source = NULL, waits_for_id = NULL, waits_for_item = NULL,
    waits_for_warehouse = NULL
WHERE (company, number) = (:company, :number) RETURNING locked_at
"""
_LOCK_BOOKS = """
UPDATE accounting.books SET locked_through = greatest(locked_through, :through) WHERE company = :company
"""
_COLUMNS = "company number source id through ends_at open_from actor reason recorded_at"
_READERS: Mapping[str, Any] = {PERIOD_CLOSING: decoder(PeriodClosing), PERIOD_REOPENING: decoder(PeriodReopening)}


class Work(StrEnum):
    """What a lock may wait for: that a movement or a revaluation is booked, or that a bin is valued anew."""

    BOOKING = "booking"
    VALUING = "valuing anew"


_NAMES = {Work.BOOKING: ("source", "id"), Work.VALUING: ("item", "warehouse")}
_UNNAMED = dict.fromkeys(name for names in _NAMES.values() for name in names)
_LOOKS: Sequence[tuple[Work, str]] = ((Work.BOOKING, _MISSING), (Work.VALUING, _DIRTY), (Work.BOOKING, _NOT_CORRECTED))


@dataclass(frozen=True, slots=True)
class Awaited:
    """What has to be done before a lock; its name is that of a movement or a revaluation, or of a bin."""

    work: Work
    name: Key

    def named(self) -> dict[str, str]:
        """Its name, by the columns that hold it."""
        first, second = _NAMES[self.work]
        return {first: self.name[0], second: self.name[1]}


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing that is no lock yet; `since` when there may be something that it waits for.

    `waits_for` is what was found to be done.
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
    waits_for: Awaited | None


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
            _awaited(row),
        )
    return None


def still_waits_for(connection: Connection, closing: Closing) -> Awaited | None:
    """What is to be done before the closing is a lock; something else is looked for only when the last one is done."""
    awaited = closing.waits_for
    if awaited is not None and _is_undone(connection, closing, awaited):
        return awaited
    run(connection, _TAKE_TIME)
    found = next(_undone(connection, closing), None)
    if found is not None:
        run(connection, _WAITS_FOR, **_UNNAMED | found.named(), **_facts(closing))
    return found


def _is_undone(connection: Connection, closing: Closing, awaited: Awaited) -> bool:
    statement = _NOT_BOOKED if awaited.work is Work.BOOKING else _STILL_DIRTY
    return bool(query(connection, statement, **awaited.named(), **_facts(closing)))


def _undone(connection: Connection, closing: Closing) -> Iterator[Awaited]:
    """What is still to be done, each in a statement of its own, in the order in which one thing leads to the next.

    What is booked was posted before: by then its bins were dirty, or what came of it was told. Once all was booked that
    was accepted before the closing, it stays so, and is not looked through again.
    """
    is_booked = closing.waits_for is not None and closing.waits_for.work is Work.VALUING
    for work, statement in _LOOKS[1 if is_booked else 0 :]:
        for row in query(connection, statement, **_facts(closing)):
            yield Awaited(work, (row.first, row.second))


def lock(connection: Connection, closing: Closing) -> datetime:
    """Lock the days of a closing; since when they are."""
    (locked,) = query(connection, _LOCK, company=closing.company, number=closing.number)
    run(connection, _LOCK_BOOKS, company=closing.company, through=closing.through)
    at: datetime = locked.locked_at
    return at


def _facts(closing: Closing) -> dict[str, Any]:
    return {
        "company": closing.company,
        "number": closing.number,
        "through": closing.through,
        "since": closing.since,
        "recorded_at": closing.recorded_at,
        "ends_at": closing.ends_at,
    }


def _awaited(row: Row[Any]) -> Awaited | None:
    if row.waits_for_id is not None:
        return Awaited(Work.BOOKING, (row.waits_for_source, row.waits_for_id))
    if row.waits_for_item is not None:
        return Awaited(Work.VALUING, (row.waits_for_item, row.waits_for_warehouse))
    return None


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
