"""Movements that wait in receiving: kept with what they lack, made due by whoever brings it, tried when due.

Whoever tries a movement locks its row and skips those that another worker tries; whoever makes one due skips them as
well. So nobody ever waits for these rows, and a movement that was just missed is tried again at its next interval.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from services.receiving.decide.patience import Wait
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import columns, copy, query, run
from shared.service import Key, Level

_KEYS = "(source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))"
_DIGESTS = f"SELECT source, id, digest FROM receiving.waiting WHERE {_KEYS}"
_PATIENCE = "SELECT source, patience FROM receiving.source WHERE source = ANY(:source)"
_DUE = """
SELECT source, id, kind, digest, request, trace, attempt, tries, since FROM receiving.waiting
WHERE due_at <= :now ORDER BY since, source, id LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_ANYONE_DUE = "SELECT EXISTS (SELECT FROM receiving.waiting WHERE due_at <= :now)"
# One that waits already is left alone: its row may be held by a worker that tries it, and needs the bins held here.
_ADD = """
INSERT INTO receiving.waiting (source, id, kind, digest, request, trace, attempt, tries, since, due_at, deadline)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:kind AS text[]), cast(:digest AS bytea[]),
    cast(:request AS bytea[]),
    cast(:trace AS text[]), cast(:attempt AS integer[]), cast(:tries AS integer[]), cast(:since AS timestamptz[]),
    cast(:due_at AS timestamptz[]), cast(:deadline AS timestamptz[]))
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
"""
_KEEP = """
UPDATE receiving.waiting SET tries = new.tries, due_at = new.due_at, deadline = new.deadline
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:tries AS integer[]), cast(:due_at AS timestamptz[]),
    cast(:deadline AS timestamptz[])) AS new (source, id, tries, due_at, deadline)
WHERE (waiting.source, waiting.id) = (new.source, new.id)
"""
_FORGET = f"DELETE FROM receiving.waiting WHERE {_KEYS}"
_FORGET_LACKS = f"DELETE FROM receiving.waiting_for WHERE {_KEYS}"
_ANY = "SELECT EXISTS (SELECT FROM receiving.waiting)"
# Bounded: a backlog must not be counted every second.
_STANDING = """
SELECT count(*) AS waiting, cast(extract(epoch FROM cast(:now AS timestamptz) - min(since)) AS float8) AS longest
FROM (SELECT since FROM receiving.waiting LIMIT 10000) AS waiting
"""
_WAKE = """
UPDATE receiving.waiting SET due_at = :now WHERE due_at > :now AND (source, id) IN (
    SELECT source, id FROM receiving.waiting WHERE (source, id) IN (
        SELECT source, id FROM receiving.waiting_for WHERE lack = ANY(:lacks))
    ORDER BY source, id FOR UPDATE SKIP LOCKED)
"""
_RETRY = f"""
INSERT INTO receiving.waiting (source, id, kind, digest, request, attempt, tries, since, due_at, deadline)
SELECT source, id, '{MOVEMENT_REQUESTED}', digest, request, attempt + 1, 0, :now, :now, :now
FROM receiving.movement WHERE {_KEYS} AND allocated IS NULL AND request IS NOT NULL
ORDER BY source, id
ON CONFLICT (source, id) DO NOTHING
RETURNING source, id
"""
_REQUEST = "SELECT request FROM receiving.movement WHERE (source, id) = (:movement_source, :movement_id)"


@dataclass(frozen=True, slots=True)
class Waiter:
    """A movement, or a definition, that was refused `tries` times for what may still come; `request` is its JSON."""

    source: str
    id: str
    kind: str
    digest: bytes
    request: bytes
    trace: str | None
    attempt: int
    tries: int
    since: datetime

    @property
    def key(self) -> Key:
        """What names the movement for ever."""
        return (self.source, self.id)


def waiting_digests(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """Those of these movements that wait, with the digests of what was asked."""
    rows = query(connection, _DIGESTS, **columns(sorted(keys), "source id"))
    return {(row.source, row.id): bytes(row.digest) for row in rows}


def patience_of(connection: Connection, sources: Iterable[str], default: timedelta) -> Mapping[str, timedelta]:
    """How long each of these sources lets its movements wait; `default` for one that was never defined."""
    names = sorted(set(sources))
    found = {row.source: timedelta(seconds=row.patience) for row in query(connection, _PATIENCE, source=names)}
    return {name: found.get(name, default) for name in names}


def due_waiters(connection: Connection, now: datetime, limit: int) -> list[Waiter]:
    """The movements that are to be tried now, the oldest first; locked until the end of the transaction."""
    rows = query(connection, _DUE, now=now, limit=limit)
    return [
        Waiter(
            row.source,
            row.id,
            row.kind,
            bytes(row.digest),
            bytes(row.request),
            row.trace,
            row.attempt,
            row.tries,
            row.since,
        )
        for row in rows
    ]


def is_anyone_due(connection: Connection, now: datetime) -> bool:
    """Whether any movement is to be tried now; a plain read."""
    return bool(query(connection, _ANYONE_DUE, now=now)[0][0])


def add_waiting(connection: Connection, waits: Iterable[tuple[Waiter, Wait]]) -> None:
    """Have movements wait that came in now; one that another worker made wait meanwhile waits as it does."""
    ordered = _ordered(waits)
    rows = [
        (
            *waiter.key,
            waiter.kind,
            waiter.digest,
            waiter.request,
            waiter.trace,
            waiter.attempt,
            waiter.tries,
            waiter.since,
            wait.due_at,
            wait.deadline,
        )
        for waiter, wait in ordered
    ]
    if rows:
        names = "source id kind digest request trace attempt tries since due_at deadline"
        added = {(row.source, row.id) for row in query(connection, _ADD, **columns(rows, names))}
        _note_lacks(connection, [each for each in ordered if each[0].key in added])


def keep_waiting(connection: Connection, waits: Iterable[tuple[Waiter, Wait]]) -> None:
    """Keep movements waiting that were tried once more; the caller holds their rows (`due_waiters`)."""
    ordered = _ordered(waits)
    rows = [(*waiter.key, waiter.tries, wait.due_at, wait.deadline) for waiter, wait in ordered]
    if rows:
        run(connection, _KEEP, **columns(rows, "source id tries due_at deadline"))
        run(connection, _FORGET_LACKS, **columns([waiter.key for waiter, _ in ordered], "source id"))
        _note_lacks(connection, ordered)


def _ordered(waits: Iterable[tuple[Waiter, Wait]]) -> list[tuple[Waiter, Wait]]:
    return sorted(waits, key=lambda each: each[0].key)


def _note_lacks(connection: Connection, waits: Iterable[tuple[Waiter, Wait]]) -> None:
    lacks = ((lack, *waiter.key) for waiter, wait in waits for lack in wait.lacks)
    copy(connection, "receiving.waiting_for", "lack, source, id", lacks)


def forget_waiting(connection: Connection, keys: Collection[Key]) -> None:
    """These movements wait no longer."""
    if keys:
        lists = columns(sorted(keys), "source id")
        run(connection, _FORGET_LACKS, **lists)
        run(connection, _FORGET, **lists)


def wake(connection: Connection, lacks: Collection[str], now: datetime) -> int:
    """Make due whoever lacks one of these; how many that are."""
    return run(connection, _WAKE, lacks=sorted(lacks), now=now) if lacks else 0


def retry_rejected(connection: Connection, keys: Collection[Key], now: datetime) -> list[Key]:
    """Have rejected movements judged again, as their next attempt; the keys of those that will be.

    Safe when done twice at once. What was accepted, waits already, or was never seen is left alone.
    """
    rows = query(connection, _RETRY, now=now, **columns(sorted(set(keys)), "source id"))
    return sorted((row.source, row.id) for row in rows)


def request_of(connection: Connection, key: Key) -> bytes | None:
    """What was asked, of a rejected movement, as JSON; None where that was not kept, or nothing is known of it."""
    rows = query(connection, _REQUEST, movement_source=key[0], movement_id=key[1])
    return bytes(rows[0].request) if rows and rows[0].request is not None else None


def standing(connection: Connection, now: datetime) -> Mapping[Level, float]:
    """How many movements wait (10,000 at most), and for how long the first of them has waited."""
    row = query(connection, _STANDING, now=now)[0]
    return {Level.WAITING: row.waiting, Level.LONGEST_WAIT: row.longest or 0.0}


def anyone_waits(connection: Connection) -> bool:
    """Whether any movement waits at all."""
    return bool(query(connection, _ANY)[0][0])
