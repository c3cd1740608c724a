"""The inboxes of receiving: what was answered to whom, so that the same question gets the same answer.

A key is inserted, with everything that belongs to it, at the end of its transaction. Two workers that decide the
same movement at once meet in the primary key: one of them is rolled back, tries again, and finds the other's answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Connection

from shared.db import columns, copy, query, run
from shared.service import Key


@dataclass(frozen=True, slots=True)
class Answered:
    """The stored answer to a key: the digest of what was asked, and the outputs; no `allocated`: it was rejected."""

    digest: bytes
    outcome: bytes
    allocated: bytes | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class MovementRow:
    """A movement's answer, to be stored; of a rejected one also what was asked, so that it can be judged again."""

    source: str
    id: str
    digest: bytes
    company: str | None
    purpose: str | None
    recorded_at: datetime
    effective_at: datetime | None
    allocated: bytes | None
    outcome: bytes
    attempt: int = 1
    request: bytes | None = None


@dataclass(frozen=True, slots=True)
class DefinitionRow:
    """A definition's answer, to be stored."""

    source: str
    id: str
    kind: str
    digest: bytes
    accepted: bool
    recorded_at: datetime
    outcome: bytes


_KEYS = "(source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))"
_MOVEMENTS = f"SELECT source, id, digest, allocated, outcome FROM receiving.movement WHERE {_KEYS}"
_DEFINITIONS = f"SELECT source, id, digest, accepted, outcome FROM receiving.definition WHERE {_KEYS}"


_COLUMNS = (
    "source",
    "id",
    "digest",
    "company",
    "purpose",
    "recorded_at",
    "effective_at",
    "allocated",
    "outcome",
    "attempt",
    "request",
)
_ATTEMPT = _COLUMNS.index("attempt")
_ANSWER_ANEW = """
UPDATE receiving.movement SET company = new.company, recorded_at = new.recorded_at, effective_at = new.effective_at,
    allocated = new.allocated, outcome = new.outcome, attempt = new.attempt, request = new.request
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:digest AS bytea[]), cast(:company AS text[]),
    cast(:purpose AS text[]), cast(:recorded_at AS timestamptz[]), cast(:effective_at AS timestamptz[]),
    cast(:allocated AS bytea[]), cast(:outcome AS bytea[]), cast(:attempt AS integer[]), cast(:request AS bytea[]))
    AS new (source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome, attempt, request)
WHERE (movement.source, movement.id) = (new.source, new.id) AND movement.allocated IS NULL
"""


_BURY = """
INSERT INTO receiving.tombstone (source, id, by_source, by_id)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:by_source AS text[]), cast(:by_id AS text[]))
ON CONFLICT (source, id) DO NOTHING
"""


def answered_movements(connection: Connection, keys: Iterable[Key]) -> Mapping[Key, Answered]:
    """The answers to those of these movements that were decided before."""
    rows = query(connection, _MOVEMENTS, **columns(sorted(set(keys)), "source id"))
    return {
        (row.source, row.id): Answered(
            bytes(row.digest),
            bytes(row.outcome),
            bytes(row.allocated) if row.allocated is not None else None,
            row.allocated is not None,
        )
        for row in rows
    }


def answered_definitions(connection: Connection, keys: Iterable[Key]) -> Mapping[Key, Answered]:
    """The answers to those of these definitions that were decided before."""
    rows = query(connection, _DEFINITIONS, **columns(sorted(set(keys)), "source id"))
    return {
        (row.source, row.id): Answered(bytes(row.digest), bytes(row.outcome), accepted=row.accepted) for row in rows
    }


def bury(connection: Connection, tombstones: Iterable[tuple[Key, Key]]) -> None:
    """Note movements (first of each pair) that were cancelled, by the second, before they came."""
    rows = sorted((*original, *by) for original, by in tombstones)
    if rows:
        run(connection, _BURY, **columns(rows, "source id by_source by_id"))


def save_movements(connection: Connection, rows: Sequence[MovementRow]) -> None:
    """Store the answers to movements; a further attempt replaces the rejection before it."""
    ordered = sorted(map(attrgetter(*_COLUMNS), rows))
    copy(connection, "receiving.movement", ", ".join(_COLUMNS), (row for row in ordered if row[_ATTEMPT] == 1))
    again = [row for row in ordered if row[_ATTEMPT] > 1]
    if again:
        run(connection, _ANSWER_ANEW, **columns(again, " ".join(_COLUMNS)))


def save_definitions(connection: Connection, rows: Sequence[DefinitionRow]) -> None:
    """Store the answers to definitions."""
    names = ("source", "id", "kind", "digest", "accepted", "recorded_at", "outcome")
    copy(connection, "receiving.definition", ", ".join(names), sorted(map(attrgetter(*names), rows)))
