"""What a service lacks of the stored outputs of the service before it, and what is left to do once it has them.

The one idea: the keys of what is missing are sorted by time once, by the server and without their messages, and stay
there when that transaction is over. So neither are they held in memory, nor is a snapshot kept for as long as it takes
to work on all of them; and in the order of time hardly a movement waits for another one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from shared.db import as_ours, columns, query, run
from shared.replay import Replay
from shared.service import Key

# What was parked is known: an operator decides about it.
_LACKING = """
DECLARE lacking SCROLL CURSOR WITH HOLD FOR
SELECT stored.source, stored.id, stored.kind, stored.recorded_at, stored.size FROM ({feeds}) AS stored
WHERE (cast(:since AS timestamptz) IS NULL OR stored.recorded_at >= :since)
    AND (cast(:source AS text) IS NULL OR (stored.source, stored.id) = (:source, :id))
    AND NOT EXISTS (
        SELECT FROM {schema}.movement AS own WHERE (own.source, own.id) = (stored.source, stored.id))
    AND NOT EXISTS (
        SELECT FROM {schema}.parked
        WHERE (parked.source, parked.id, parked.kind) = (stored.source, stored.id, stored.kind))
ORDER BY stored.recorded_at, stored.source, stored.id
"""
_FEED = "SELECT source, id, recorded_at, octet_length({column}) AS size, '{kind}' AS kind FROM {view}"
_COUNT = "MOVE FORWARD ALL IN lacking"
_REWIND = "MOVE ABSOLUTE 0 IN lacking"
_FETCH = "FETCH 1000 FROM lacking"
_TAKE_TIME = "SET LOCAL statement_timeout = 0"
_MESSAGES = """
SELECT source, id, {column} AS body FROM {view}
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
"""
_CHANGES = "SELECT DISTINCT recorded_at FROM receiving.period_changes ORDER BY recorded_at"
_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM {schema}.movement) AS empty"
_LEFT_IN_LEDGER = """
SELECT (SELECT count(*) FROM ledger.waiting) AS waiting, (SELECT count(*) FROM ledger.stuck_bins) AS stuck,
    (SELECT count(*) FROM ledger.dirty_bins) AS dirty
"""


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that a service lacks, of the type `kind`: when it was recorded, and how many bytes its message has."""

    key: Key
    kind: str
    recorded_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Lack:
    """How much a service lacks, and all of it in the order of time; to be gone through once."""

    count: int
    items: Iterator[Lacking]


@dataclass(frozen=True, slots=True)
class Left:
    """What the ledger cannot go on with: movements that wait, bins that are stuck, bins still to be valued anew."""

    waiting: int
    stuck: int
    dirty: int


@contextmanager
def lacking(engine: Engine, replay: Replay, since: datetime | None, key: Key | None) -> Iterator[Lack]:
    """What a service lacks just now, of all that was recorded `since` then, or of the one `key`; None: of all.

    Retryable where the database is away meanwhile.
    """
    feeds = (_FEED.format(view=each.view, column=each.column, kind=each.kind) for each in replay.feeds)
    statement = _LACKING.format(schema=replay.schema, feeds=" UNION ALL ".join(feeds))
    source, name = key or (None, None)
    with _held(engine) as connection:
        run(connection, _TAKE_TIME)
        run(connection, statement, since=since, source=source, id=name)
        connection.commit()
        count = run(connection, _COUNT)
        run(connection, _REWIND)
        connection.commit()
        yield Lack(count, _fetched(connection))


@contextmanager
def _held(engine: Engine) -> Iterator[Connection]:
    """A connection of its own, that is closed at the end: the cursor goes with it."""
    try:
        with engine.connect() as connection:
            try:
                yield connection
            finally:
                connection.invalidate()
    except DBAPIError as error:
        meant = as_ours(error)
        if meant is None:
            raise
        raise meant from error


def _fetched(connection: Connection) -> Iterator[Lacking]:
    while rows := query(connection, _FETCH):
        connection.commit()
        yield from (Lacking((row.source, row.id), row.kind, row.recorded_at, row.size) for row in rows)


def messages(connection: Connection, replay: Replay, wanted: Sequence[Lacking]) -> dict[str, dict[Key, bytes]]:
    """The stored messages of what is lacking, by type and key, those of a type in the given order."""
    found: dict[str, dict[Key, bytes]] = {}
    for feed in replay.feeds:
        keys = [each.key for each in wanted if each.kind == feed.kind]
        if keys:
            statement = _MESSAGES.format(view=feed.view, column=feed.column)
            stored = query(connection, statement, **columns(keys, "source id"))
            bodies = {(row.source, row.id): bytes(row.body) for row in stored}
            found[feed.kind] = {key: bodies[key] for key in keys}
    return found


def changes_of_periods(connection: Connection) -> list[datetime]:
    """When books were closed or reopened, in order."""
    return [row.recorded_at for row in query(connection, _CHANGES)]


def has_nothing(connection: Connection, schema: str) -> bool:
    """Whether nothing at all has arrived in a service."""
    return bool(query(connection, _IS_EMPTY.format(schema=schema))[0].empty)


def left_in_ledger(connection: Connection) -> Left:
    """What the ledger cannot go on with just now."""
    row = query(connection, _LEFT_IN_LEDGER)[0]
    return Left(row.waiting, row.stuck, row.dirty)
