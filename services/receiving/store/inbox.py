"""The inboxes of receiving: what was answered to whom, so that the same question gets the same answer.

A key is inserted, with everything that belongs to it, at the end of its transaction. Two workers that decide the
same movement at once meet in the primary key: one of them is rolled back, tries again, and finds the other's answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from shared.db import columns, copy, query
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
    """A movement's answer, to be stored."""

    source: str
    id: str
    digest: bytes
    company: str | None
    purpose: str | None
    recorded_at: datetime
    effective_at: datetime | None
    allocated: bytes | None
    outcome: bytes


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


def save_movements(connection: Connection, rows: Sequence[MovementRow]) -> None:
    """Store the answers to movements."""
    names = "source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome"
    ordered = sorted(rows, key=lambda row: (row.source, row.id))
    copy(
        connection,
        "receiving.movement",
        names,
        (
            (
                row.source,
                row.id,
                row.digest,
                row.company,
                row.purpose,
                row.recorded_at,
                row.effective_at,
                row.allocated,
                row.outcome,
            )
            for row in ordered
        ),
    )


def save_definitions(connection: Connection, rows: Sequence[DefinitionRow]) -> None:
    """Store the answers to definitions."""
    names = "source, id, kind, digest, accepted, recorded_at, outcome"
    ordered = sorted(rows, key=lambda row: (row.source, row.id))
    copy(
        connection,
        "receiving.definition",
        names,
        ((row.source, row.id, row.kind, row.digest, row.accepted, row.recorded_at, row.outcome) for row in ordered),
    )
