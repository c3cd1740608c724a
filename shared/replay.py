"""Replay: what a service lacks is taken from the stored outputs of the service before it.

A queue that vanished took its messages along. They were confirmed, so nobody sends them again; but each of them stands
in a view of the service that sent it, one view a type of message. Whoever misses its queue marks a replay as due, in a
row of `<schema>.replay` that outlives the worker; a sweep then goes through the keys of all these views together, page
by page, and works on those that are not in the service's own inbox. Rounds follow one another until one that began
`GRACE` after the mark found nothing missing from before that: for a moment, a queue that is being deleted still
confirms what it takes.

What is worked on here hangs on no message, so its outputs stand in the outbox until they are confirmed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from shared import outbox
from shared.contracts.codec import Malformed
from shared.contracts.envelope import Envelope, frame
from shared.db import query, run
from shared.parked import Parked, park
from shared.service import GiveUp, Handled, Handler, Input, Key, Result, Step

GRACE = 5.0
"""Seconds after the mark at which the last round may begin."""

PAGE = 500
"""How many movements are worked on at most in a transaction."""

LOOK = 5_000
"""How many keys are looked at for them: where nearly nothing is missing, a round through a long history ends soon."""

SECONDS = 0.3
"""How long a sweep goes on before the worker turns to its queue again."""

_DUE = """
INSERT INTO {schema}.replay DEFAULT VALUES
ON CONFLICT (is_due) DO UPDATE SET since = now(), began_at = now(), source = '', id = '', found = 0
"""
_ROUND = """
SELECT began_at, source, id, since + make_interval(secs => :grace) AS until FROM {schema}.replay WHERE began_at <= now()
"""
# What was parked is known too: an operator decides about it. The last row, without a body, is where the look ended.
# The inbox is asked key by key, whatever the planner thinks: as a join it might be read as a whole for each page.
_PAGE = """
WITH stored AS (
    SELECT * FROM ({feeds}) AS fed ORDER BY source, id LIMIT :look
), missing AS (
    SELECT source, id, kind, recorded_at, body FROM stored
    WHERE (SELECT own.id FROM {schema}.movement AS own WHERE (own.source, own.id) = (stored.source, stored.id)) IS NULL
    AND NOT EXISTS (
        SELECT FROM {schema}.parked
        WHERE (parked.source, parked.id, parked.kind) = (stored.source, stored.id, stored.kind))
    ORDER BY source, id LIMIT :page
)
SELECT source, id, kind, recorded_at < :until AS counts, body FROM missing
UNION ALL (SELECT source, id, kind, false, NULL FROM stored ORDER BY source DESC, id DESC LIMIT 1)
ORDER BY source, id, body NULLS LAST
"""
# Of each view no more than a page, in the order of its key: none of them is read or sorted as a whole.
_FEED = """(
    SELECT source, id, recorded_at, {column} AS body, '{kind}' AS kind FROM {view}
    WHERE (source, id) > (:source, :id) ORDER BY source, id LIMIT :look
)"""
# One worker at a time: who finds the row taken, or moved on, leaves the rest to the other.
_MINE = """
SELECT is_due FROM {schema}.replay WHERE (began_at, source, id) = (:began_at, :source, :id) FOR UPDATE SKIP LOCKED
"""
_ADVANCE = "UPDATE {schema}.replay SET source = :end_source, id = :end_id, found = found + :found"
_DONE = "DELETE FROM {schema}.replay WHERE found = 0 AND began_at >= :until"
_AGAIN = "UPDATE {schema}.replay SET began_at = greatest(now(), :until), source = '', id = '', found = 0"


@dataclass(frozen=True, slots=True)
class Feed:
    """Where the stored outputs of one type are, and what works on them.

    The view has `source`, `id`, `recorded_at`, and in `column` the message, of type `kind`.
    """

    view: str
    column: str
    kind: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class Replay:
    """How a service replays: from which feeds, no two of which hold one key.

    What cannot be worked on even alone is parked, unless the service has its own way to `give_up`.
    """

    schema: str
    feeds: Sequence[Feed]
    give_up: GiveUp | None = None


@dataclass(frozen=True, slots=True)
class _Missing:
    key: Key
    feed: Feed
    body: bytes
    counts: bool


@dataclass(frozen=True, slots=True)
class _Page:
    """A step of a round: from behind the key `start`, where the round of `began_at` stands, up to `end`."""

    began_at: datetime
    start: Key
    end: Key
    missing: Sequence[_Missing]
    deadline: float = field(compare=False)


def due(schema: str) -> Step:
    """A step that marks a replay as due; one that is under way begins anew."""

    def step(connection: Connection) -> Handled:
        run(connection, _DUE.format(schema=schema))
        return Handled()

    return step


def sweep(replay: Replay) -> Step:
    """A step that goes on with the replay that is due, if one is."""
    return lambda connection: _look(replay, monotonic() + SECONDS, connection)


def _look(replay: Replay, deadline: float, connection: Connection) -> Handled:
    """Find out what is missing on the next page. What is done about it is done in a transaction of its own."""
    rounds = query(connection, _sql(_ROUND, replay), grace=GRACE)
    if not rounds:
        return Handled()
    (current,) = rounds
    at = {"source": current.source, "id": current.id}
    rows = query(connection, _sql(_PAGE, replay), **at, until=current.until, look=LOOK, page=PAGE)
    start = (current.source, current.id)
    if not rows:
        return _end(replay, current, connection)
    feeds = {each.kind: each for each in replay.feeds}
    missing = [
        _Missing((row.source, row.id), feeds[row.kind], bytes(row.body), row.counts)
        for row in rows
        if row.body is not None
    ]
    end = missing[-1].key if len(missing) == PAGE else (rows[-1].source, rows[-1].id)
    return _work_on(replay, _Page(current.began_at, start, end, missing, deadline))


def _end(replay: Replay, current: Any, connection: Connection) -> Handled:
    """End the round, and with it the replay; or leave the next round to a later sweep."""
    if _is_mine(replay, current.began_at, (current.source, current.id), connection) and not run(
        connection, _sql(_DONE, replay), until=current.until
    ):
        run(connection, _sql(_AGAIN, replay), until=current.until)
    return Handled()


def _work_on(replay: Replay, page: _Page) -> Handled:
    return Handled(then=partial(_take, replay, page), otherwise=lambda error: _isolate(replay, page, error))


def _take(replay: Replay, page: _Page, connection: Connection) -> Handled:
    """Work on what is missing as on a set that a message brought; what this lets go on is the other sweeps' task."""
    if not _advance(replay, page, connection):
        return Handled()
    inputs = [_read(replay, each) for each in page.missing]
    malformed = [each for each in inputs if isinstance(each.value, Malformed)]
    park(connection, replay.schema, [_parked(each, each.value, "malformed") for each in malformed])
    readable = [each for each in inputs if not isinstance(each.value, Malformed)]
    handled = _handle(replay, readable, connection)
    outbox.add(connection, replay.schema, handled.outputs)
    released = sorted({(each.source, each.id) for each in handled.outputs})
    return _go_on(replay, page, replace(handled, released=released))


def _handle(replay: Replay, inputs: Sequence[Input], connection: Connection) -> Handled:
    """Have each feed's handler work on what is its own, in the order of the feeds; what all of them tell."""
    sets = [(feed.handler, [each for each in inputs if each.kind == feed.kind]) for feed in replay.feeds]
    done = [handler.work(own, connection) for handler, own in sets if own]
    counts: Counter[tuple[Result, str]] = Counter()
    for each in done:
        counts.update(each.counts)
    return Handled(
        [output for each in done for output in each.outputs],
        counts=counts,
        levels={level: value for each in done for level, value in each.levels.items()},
        oldest=min((each.oldest for each in done if each.oldest is not None), default=None),
    )


def _isolate(replay: Replay, page: _Page, error: Exception) -> Step:
    """Go on with the first half of what is missing; what stands alone is put aside, as a worker does with a message."""
    if len(page.missing) > 1:
        half = page.missing[: len(page.missing) // 2]
        return lambda _: _work_on(replay, replace(page, end=half[-1].key, missing=half))
    if not page.missing or replay.give_up is None:
        return partial(_park, replay, page, error)
    keep = partial(_keep, replay, page, error, replay.give_up)
    return lambda _: Handled(then=keep, otherwise=lambda _: partial(_park, replay, page, error))


def _keep(replay: Replay, page: _Page, error: Exception, give_up: GiveUp, connection: Connection) -> Handled:
    if _advance(replay, page, connection):
        give_up(_read(replay, page.missing[0]), error, connection)
    return _go_on(replay, page, Handled())


def _park(replay: Replay, page: _Page, error: Exception, connection: Connection) -> Handled:
    if _advance(replay, page, connection):
        spoiled = [_parked(_read(replay, each), error, "unprocessable") for each in page.missing]
        park(connection, replay.schema, spoiled)
    return _go_on(replay, page, Handled())


def _go_on(replay: Replay, page: _Page, handled: Handled) -> Handled:
    """The next page follows, or, where it is late, a later sweep."""
    if monotonic() >= page.deadline:
        return replace(handled, more=True)
    return replace(handled, then=partial(_look, replay, page.deadline))


def _advance(replay: Replay, page: _Page, connection: Connection) -> bool:
    """Move the round to the end of the page; false where another worker is at it."""
    if not _is_mine(replay, page.began_at, page.start, connection):
        return False
    end = {"end_source": page.end[0], "end_id": page.end[1]}
    run(connection, _sql(_ADVANCE, replay), **end, found=sum(each.counts for each in page.missing))
    return True


def _is_mine(replay: Replay, began_at: datetime, at: Key, connection: Connection) -> bool:
    return bool(query(connection, _sql(_MINE, replay), began_at=began_at, source=at[0], id=at[1]))


def _read(replay: Replay, missing: _Missing) -> Input:
    data = frame([missing.body])
    envelope = Envelope(specversion="1.0", id="replay", source=replay.schema, type=missing.feed.kind, data=data)
    (read,) = missing.feed.handler.read(envelope)
    return replace(read, source=missing.key[0], id=missing.key[1])


def _parked(spoiled: Input, error: Exception, reason: str) -> Parked:
    return Parked(reason, f"{type(error).__name__}: {error}", spoiled.raw, spoiled.kind, spoiled.source, spoiled.id)


def _sql(statement: str, replay: Replay) -> str:
    feeds = (_FEED.format(view=each.view, column=each.column, kind=each.kind) for each in replay.feeds)
    return statement.format(schema=replay.schema, feeds=" UNION ALL ".join(feeds))
