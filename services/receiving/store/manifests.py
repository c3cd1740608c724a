"""Manifests in PostgreSQL: what sources said that they sent of a day, and the last answer to each.

One that is not answered yet, or of which the answer may not have been told, has a due time: a sweep looks at it then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from json import dumps

from sqlalchemy import Connection

from services.receiving.decide.manifests import unused
from shared.contracts.codec import write
from shared.contracts.manifest import SourceManifest, SourceReconciled
from shared.db import columns, query, run
from shared.service import Key

_KNOWN = """
SELECT source, id, digest, answered_at IS NOT NULL AS is_answered FROM receiving.manifest
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
"""
_ADD = """
INSERT INTO receiving.manifest
    (source, id, digest, day, first_number, last_number, unused, request, trace, recorded_at)
VALUES (:source, :id, :digest, :day, :first_number, :last_number, cast(:unused AS json), :request, :trace, :recorded_at)
"""
_PUT_OFF = "UPDATE receiving.manifest SET due_at = :due_at WHERE (source, id) = (:source, :id)"
_ANSWER = """
UPDATE receiving.manifest SET answered_at = :as_of, result = :result, answer = :answer, due_at = :due_at
WHERE (source, id) = (:source, :id)
"""
# One that was answered again since keeps its due time: that answer is told by whoever gave it.
_TOLD = """
UPDATE receiving.manifest SET due_at = NULL WHERE (source, id) = (:source, :id) AND answered_at = :as_of
"""
_ANYONE_DUE = "SELECT EXISTS (SELECT FROM receiving.manifest WHERE due_at <= :now)"
_NEXT_DUE = """
SELECT source, id, request, trace, recorded_at FROM receiving.manifest WHERE due_at <= :now
ORDER BY due_at, source, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A manifest that came before: the digest of what it said, and whether it was answered or still waits for that."""

    digest: bytes
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest as it came: `request` is its JSON, `since` when it was taken."""

    source: str
    id: str
    request: bytes
    trace: str | None
    since: datetime


def known_manifests(connection: Connection, keys: Collection[Key]) -> Mapping[Key, Known]:
    """Those of these manifests that came before."""
    rows = query(connection, _KNOWN, **columns(sorted(keys), "source id"))
    return {(row.source, row.id): Known(bytes(row.digest), row.is_answered) for row in rows}


def add_manifest(connection: Connection, kept: Kept, content: bytes, manifest: SourceManifest) -> None:
    """Keep a manifest without faults; `content` is its digest."""
    about = {"source": kept.source, "id": kept.id, "digest": content, "request": kept.request, "trace": kept.trace}
    numbers = {"day": manifest.day, "first_number": manifest.first_number, "last_number": manifest.last_number}
    run(connection, _ADD, unused=dumps(unused(manifest)), recorded_at=kept.since, **about, **numbers)


def put_off(connection: Connection, key: Key, due_at: datetime) -> None:
    """Look at a manifest later."""
    run(connection, _PUT_OFF, source=key[0], id=key[1], due_at=due_at)


def save_answers(
    connection: Connection, answers: Sequence[SourceReconciled], told_again_at: datetime | None = None
) -> None:
    """Keep the latest answers; they are told again at a time, unless it is noted before that they were told."""
    for each in answers:
        about = {"source": each.source, "id": each.id, "as_of": each.as_of, "result": each.result}
        run(connection, _ANSWER, answer=write(each), due_at=told_again_at, **about)


def note_told(connection: Connection, answer: SourceReconciled) -> None:
    """An answer has been told: nobody has to look at its manifest again."""
    run(connection, _TOLD, source=answer.source, id=answer.id, as_of=answer.as_of)


def is_any_due(connection: Connection, now: datetime) -> bool:
    """Whether any manifest is to be looked at now; a plain read."""
    return bool(query(connection, _ANYONE_DUE, now=now)[0][0])


def next_due(connection: Connection, now: datetime) -> Kept | None:
    """The manifest that has been due for the longest; locked until the end of the transaction."""
    rows = query(connection, _NEXT_DUE, now=now)
    return (
        Kept(rows[0].source, rows[0].id, bytes(rows[0].request), rows[0].trace, rows[0].recorded_at) if rows else None
    )
