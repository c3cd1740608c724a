"""The inbox of statements: what was answered to whom, and who still waits for what may be on its way.

Two workers that decide the same statement at once meet in the primary key: one of them is rolled back, tries again, and
finds the other's answer. Whoever tries one that waits locks its row and skips those that another worker tries.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.db import columns, copy, query, run
from shared.service import Key, Level

_KEYS = "(source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))"
_ANSWERED = f"SELECT source, id, digest, accepted, outcome FROM aftercare.answer WHERE {_KEYS}"
_DIGESTS = f"SELECT source, id, digest FROM aftercare.waiting WHERE {_KEYS}"
_FORGET = f"DELETE FROM aftercare.waiting WHERE {_KEYS}"
_DUE = """
SELECT source, id, kind, digest, request, trace, since FROM aftercare.waiting
WHERE due_at <= :now ORDER BY since, source, id LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_ANYONE_DUE = "SELECT EXISTS (SELECT FROM aftercare.waiting WHERE due_at <= :now) AS is_due"
_KEEP = """
INSERT INTO aftercare.waiting (source, id, kind, digest, request, trace, lacks, since, due_at, deadline)
SELECT source, id, kind, digest, request, trace, string_to_array(lacks, chr(10)), since, due_at, deadline
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:kind AS text[]), cast(:digest AS bytea[]),
    cast(:request AS bytea[]), cast(:trace AS text[]), cast(:lacks AS text[]), cast(:since AS timestamptz[]),
    cast(:due_at AS timestamptz[]), cast(:deadline AS timestamptz[]))
    AS given (source, id, kind, digest, request, trace, lacks, since, due_at, deadline)
ON CONFLICT (source, id) DO UPDATE SET lacks = excluded.lacks, due_at = excluded.due_at, deadline = excluded.deadline
"""
_WAKE = """
UPDATE aftercare.waiting SET due_at = :now WHERE due_at > :now AND (source, id) IN (
    SELECT source, id FROM aftercare.waiting WHERE lacks && cast(:lacks AS text[])
    ORDER BY source, id FOR UPDATE SKIP LOCKED)
"""
# Bounded: a backlog must not be counted every second.
_STANDING = """
SELECT count(*) AS waiting, cast(extract(epoch FROM cast(:now AS timestamptz) - min(since)) AS float8) AS longest
FROM (SELECT since FROM aftercare.waiting LIMIT 10000) AS waiting
"""
_COLUMNS = "source, id, kind, digest, accepted, company, recorded_at, outcome"


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a statement: the digest of what was asked, and the outcome as it was told."""

    digest: bytes
    accepted: bool
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Waiter:
    """A statement as it came in, `since` when; and as it waits, if it has to."""

    source: str
    id: str
    kind: str
    digest: bytes
    request: bytes
    trace: str | None
    since: datetime

    @property
    def key(self) -> Key:
        """What names it for ever."""
        return (self.source, self.id)


@dataclass(frozen=True, slots=True)
class Wait:
    """What a statement lacks, when it is tried next, and when its source's patience ends."""

    lacks: Sequence[str]
    due_at: datetime
    deadline: datetime


def answered(connection: Connection, keys: Collection[Key]) -> Mapping[Key, Answer]:
    """The answers to those of these statements that were decided before."""
    rows = query(connection, _ANSWERED, **columns(sorted(keys), "source id"))
    return {(row.source, row.id): Answer(bytes(row.digest), row.accepted, bytes(row.outcome)) for row in rows}


def waiting_digests(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """Those of these statements that wait, with the digests of what was asked."""
    rows = query(connection, _DIGESTS, **columns(sorted(keys), "source id"))
    return {(row.source, row.id): bytes(row.digest) for row in rows}


def save_answers(connection: Connection, rows: Iterable[tuple[Waiter, Answer, str | None, datetime]]) -> None:
    """Store answers, with the company of each and when it was given."""
    told = (
        (*waiter.key, waiter.kind, answer.digest, answer.accepted, company, recorded_at, answer.outcome)
        for waiter, answer, company, recorded_at in sorted(rows, key=lambda row: row[0].key)
    )
    copy(connection, "aftercare.answer", _COLUMNS, told)


def keep_waiting(connection: Connection, waits: Iterable[tuple[Waiter, Wait]]) -> None:
    """Have statements wait, or wait on."""
    rows = [
        (
            *waiter.key,
            waiter.kind,
            waiter.digest,
            waiter.request,
            waiter.trace,
            "\n".join(wait.lacks),
            waiter.since,
            wait.due_at,
            wait.deadline,
        )
        for waiter, wait in sorted(waits, key=lambda each: each[0].key)
    ]
    if rows:
        run(connection, _KEEP, **columns(rows, "source id kind digest request trace lacks since due_at deadline"))


def due_waiters(connection: Connection, now: datetime, limit: int) -> list[Waiter]:
    """Those that are to be tried now, the oldest first; locked until the end of the transaction."""
    return [
        Waiter(row.source, row.id, row.kind, bytes(row.digest), bytes(row.request), row.trace, row.since)
        for row in query(connection, _DUE, now=now, limit=limit)
    ]


def is_anyone_due(connection: Connection, now: datetime) -> bool:
    """Whether any is to be tried now; a plain read."""
    return bool(query(connection, _ANYONE_DUE, now=now)[0].is_due)


def forget_waiting(connection: Connection, keys: Collection[Key]) -> None:
    """These wait no longer."""
    if keys:
        run(connection, _FORGET, **columns(sorted(keys), "source id"))


def wake(connection: Connection, lacks: Collection[str], now: datetime) -> int:
    """Make due whoever lacks one of these; how many that are."""
    return run(connection, _WAKE, lacks=sorted(lacks), now=now) if lacks else 0


def standing(connection: Connection, now: datetime) -> Mapping[Level, float]:
    """How many wait (10,000 at most), and for how long the first of them has waited."""
    row = query(connection, _STANDING, now=now)[0]
    return {Level.WAITING: row.waiting, Level.LONGEST_WAIT: row.longest or 0.0}
