"""Parking: what a worker cannot work on is kept in a table of its service, with the reason, and stops nothing.

Each service has a table `<schema>.parked`. The same body of the same sender parked again for the same reason is
counted, not repeated. Operators take messages out again to send them once more, replace a body (each replacement is
kept for ever in `<schema>.parked_edit`), or discard one, which only hides it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from shared.contracts.codec import write
from shared.db import columns, query, run
from shared.service import Handled, Level, Step

TOO_LARGE = "message_too_large"
"""The reason of what was parked by its beginning alone."""
PORTION_BYTES = 8 * 1024 * 1024
"""How much is taken out at once."""

_PARK = """
INSERT INTO {schema}.parked (parked_id, reason, error, kind, source, id, headers, body)
SELECT * FROM unnest(
    cast(:parked_id AS uuid[]), cast(:reason AS text[]), cast(:error AS text[]), cast(:kind AS text[]),
    cast(:source AS text[]), cast(:id AS text[]), cast(:headers AS json[]), cast(:body AS bytea[]))
ON CONFLICT (parked_id) DO UPDATE SET times = parked.times + 1, last_seen = now()
"""
# Of what is too large only the beginning was kept: until somebody replaces that, there is nothing to send.
_SENDABLE = f"""
(reason <> '{TOO_LARGE}' OR EXISTS (SELECT FROM {{schema}}.parked_edit AS each
    WHERE each.parked_id = parked.parked_id AND each.body_after = parked.body))
"""
_CHOSEN = """
(discarded_at IS NOT NULL) = :discarded
AND (cast(:reason AS text) IS NULL OR reason = :reason) AND (cast(:kind AS text) IS NULL OR kind = :kind)
AND (cast(:source AS text) IS NULL OR source = :source)
AND (cast(:until AS timestamptz) IS NULL OR first_seen <= :until)
AND (cast(:ids AS uuid[]) IS NULL OR parked_id = ANY(cast(:ids AS uuid[])))
"""
_COLUMNS = f"""
parked_id, reason, error, kind, source, id, headers, body, times, first_seen, last_seen,
discarded_at, discarded_by, discarded_because, {_SENDABLE} AS sendable
"""
_READ = f"SELECT {_COLUMNS} FROM {{schema}}.parked WHERE {_CHOSEN} ORDER BY first_seen, parked_id LIMIT :limit"
_BY_ID = f"""
SELECT {_COLUMNS} FROM {{schema}}.parked WHERE parked_id = ANY(cast(:ids AS uuid[])) ORDER BY first_seen, parked_id
"""
_TAKE = f"""
SELECT parked_id, octet_length(body) AS size FROM {{schema}}.parked WHERE {_CHOSEN} AND {_SENDABLE}
ORDER BY first_seen, parked_id LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_REMOVE = "DELETE FROM {schema}.parked WHERE parked_id = ANY(cast(:ids AS uuid[]))"
_IDS = """
SELECT parked_id FROM {schema}.parked WHERE starts_with(cast(parked_id AS text), :beginning) ORDER BY parked_id LIMIT 2
"""
_COUNTS = """
SELECT reason, count(*) AS messages, min(first_seen) AS oldest FROM {schema}.parked WHERE discarded_at IS NULL
GROUP BY reason ORDER BY reason
"""
_EDIT = """
WITH edited AS (
    UPDATE {schema}.parked SET body = :after
    WHERE parked_id = :parked_id AND body = :before AND discarded_at IS NULL RETURNING parked_id
)
INSERT INTO {schema}.parked_edit (parked_id, actor, because, body_before, body_after)
SELECT parked_id, :actor, :because, :before, :after FROM edited
"""
_EDITS = """
SELECT edited_at, actor, because, body_before, body_after FROM {schema}.parked_edit
WHERE parked_id = :parked_id ORDER BY edited_at
"""
_DISCARD = """
UPDATE {schema}.parked SET discarded_at = now(), discarded_by = :actor, discarded_because = :because
WHERE parked_id = :parked_id AND discarded_at IS NULL
"""
# For whoever watches. Bounded: what nobody looks after must not be counted every second.
_COUNT = "SELECT count(*) FROM (SELECT FROM {schema}.parked WHERE discarded_at IS NULL LIMIT 10000) AS parked"


@dataclass(frozen=True, slots=True)
class Parked:
    """One message, or one movement of it, that could not be worked on; names are given as far as they were readable.

    `whole` is the digest of the whole where `body` is only its beginning.
    """

    reason: str
    error: str
    body: bytes
    kind: str | None = None
    source: str | None = None
    id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""

    @property
    def parked_id(self) -> UUID:
        """The same for the same reason, names and body."""
        # A movement's body does not say whose it is, nor a definition's which: the names count too.
        names = "\0".join(name or "" for name in (self.reason, self.kind, self.source, self.id))
        told = f"{names}\0".encode() + self.body + self.whole.encode()
        return UUID(bytes=blake2b(told, digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class Discarded:
    """When a message was discarded, by whom and why."""

    at: datetime
    actor: str
    because: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it stands in the table. `sendable` is false where only its beginning was kept.

    `number` is the key of its row: that of the body with which it was parked, whatever was edited since.
    """

    number: UUID
    message: Parked
    times: int
    first_seen: datetime
    last_seen: datetime
    sendable: bool
    discarded: Discarded | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """A body that was replaced: when, by whom, why, and both bodies."""

    at: datetime
    actor: str
    because: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """Which parked messages are meant; None is no narrowing. `until`: parked for the first time then, or before."""

    reason: str | None = None
    kind: str | None = None
    source: str | None = None
    until: datetime | None = None
    ids: Collection[UUID] | None = None
    discarded: bool = False


def park(connection: Connection, schema: str, parked: Sequence[Parked]) -> None:
    """Keep messages that cannot be worked on; one that was discarded stays so when it comes again."""
    distinct = {each.parked_id: each for each in parked}
    if distinct:
        rows = [_row(parked_id, distinct[parked_id]) for parked_id in sorted(distinct)]
        names = "parked_id reason error kind source id headers body"
        run(connection, _PARK.format(schema=schema), **columns(rows, names))


def sweep(schema: str) -> Step:
    """A step that tells how much stands parked, up to 10,000; discarded ones are left out."""

    def step(connection: Connection) -> Handled:
        return Handled(levels={Level.PARKED: query(connection, _COUNT.format(schema=schema))[0][0]})

    return step


def read_parked(connection: Connection, schema: str, choice: Choice, limit: int | None = None) -> list[Kept]:
    """The chosen messages, the oldest first; `limit` None: all of them."""
    return _kept(query(connection, _READ.format(schema=schema), limit=limit, **_given(choice)))


def take_parked(connection: Connection, schema: str, choice: Choice, limit: int) -> list[Kept]:
    """Lock chosen messages that can be sent, the oldest first, and leave out those that others have locked.

    No more than `limit`, and, but for a single one that is larger, no more than 8 MiB.
    """
    found = query(connection, _TAKE.format(schema=schema), limit=limit, **_given(choice))
    size = 0
    taken: list[str] = []
    for row in found:
        size += row.size
        if taken and size > PORTION_BYTES:
            break
        taken.append(str(row.parked_id))
    return _kept(query(connection, _BY_ID.format(schema=schema), ids=taken)) if taken else []


def remove_parked(connection: Connection, schema: str, messages: Sequence[Kept]) -> None:
    """These are on their way again."""
    run(connection, _REMOVE.format(schema=schema), ids=[str(each.number) for each in messages])


def find_parked(connection: Connection, schema: str, beginning: str) -> list[UUID]:
    """The keys that begin with this text; two of them at most, which is enough to say that it is not clear."""
    return [row.parked_id for row in query(connection, _IDS.format(schema=schema), beginning=beginning)]


def count_parked(connection: Connection, schema: str) -> list[tuple[str, int, datetime]]:
    """Each reason, how many messages are parked for it, and since when; discarded ones are left out."""
    return [(row.reason, row.messages, row.oldest) for row in query(connection, _COUNTS.format(schema=schema))]


def edit_parked(connection: Connection, schema: str, edited: Kept, body: bytes, actor: str, because: str) -> bool:
    """Replace a message's body, and keep that it was done; False where it is not there any more as it was read."""
    about = {"parked_id": str(edited.number), "actor": actor, "because": because}
    return run(connection, _EDIT.format(schema=schema), before=edited.message.body, after=body, **about) == 1


def read_edits(connection: Connection, schema: str, parked_id: UUID) -> list[Edit]:
    """What was done to the bodies that were parked under this key, the first first."""
    rows = query(connection, _EDITS.format(schema=schema), parked_id=str(parked_id))
    return [Edit(row.edited_at, row.actor, row.because, bytes(row.body_before), bytes(row.body_after)) for row in rows]


def discard_parked(connection: Connection, schema: str, parked_id: UUID, actor: str, because: str) -> bool:
    """Hide a message for good; False where it is not there, or was discarded before."""
    about = {"parked_id": str(parked_id), "actor": actor, "because": because}
    return run(connection, _DISCARD.format(schema=schema), **about) == 1


def _given(choice: Choice) -> dict[str, object]:
    """A choice as the parameters of a statement."""
    given = {name: getattr(choice, name) for name in ("reason", "kind", "source", "until", "discarded")}
    return given | {"ids": None if choice.ids is None else [str(each) for each in choice.ids]}


def _kept(rows: Sequence[Row[Any]]) -> list[Kept]:
    return [
        Kept(
            number=row.parked_id,
            message=Parked(row.reason, row.error, bytes(row.body), row.kind, row.source, row.id, row.headers),
            times=row.times,
            first_seen=row.first_seen,
            last_seen=row.last_seen,
            sendable=row.sendable,
            discarded=row.discarded_at and Discarded(row.discarded_at, row.discarded_by, row.discarded_because),
        )
        for row in rows
    ]


def _row(parked_id: UUID, parked: Parked) -> tuple[object, ...]:
    headers = write({_storable(name): _storable(value) for name, value in parked.headers.items()}).decode()
    error = _storable(parked.error)[:4_000]
    return (str(parked_id), parked.reason, error, parked.kind, parked.source, parked.id, headers, parked.body)


def _storable(text: str) -> str:
    """What cannot be stored as text (NUL, half of a surrogate pair) must not keep a message from being parked."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
