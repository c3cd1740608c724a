"""The ledger's stuck bins, and who waits in them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from shared.db import columns, query
from shared.report import matching
from shared.service import Key

BinKey = tuple[str, str, str]

_STUCK = f"""
SELECT company, item, warehouse, source, id, reason, error, since, waiting FROM ledger.stuck_bins
WHERE {matching("company item warehouse")} ORDER BY since, company, item, warehouse
"""
_OF_MOVEMENTS = """
SELECT company, item, warehouse FROM ledger.stuck_bins
WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
ORDER BY company, item, warehouse
"""
_STAMPS = """
SELECT company, item, warehouse, stamp, last_stamp, source, id FROM ledger.waiters
WHERE (source, id) = (:movement_source, :movement_id) ORDER BY company, item, warehouse
"""
_BEHIND = """
SELECT company, item, warehouse, stamp, last_stamp, source, id FROM ledger.waiters
WHERE (company, item, warehouse) = (:company, :item, :warehouse) AND stamp > :stamp ORDER BY stamp LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A bin that stands still since a movement (`key`) could not be applied there; `waiting` counts that one too."""

    bin: BinKey
    key: Key
    reason: str
    error: str
    since: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting movement stands in a bin: its stamp there, and the last one that was applied."""

    bin: BinKey
    key: Key
    stamp: int
    last_stamp: int


def stuck_bins(
    connection: Connection, company: str | None = None, item: str | None = None, warehouse: str | None = None
) -> list[Stuck]:
    """The stuck bins that these narrow down, the oldest first."""
    rows = query(connection, _STUCK, company=company, item=item, warehouse=warehouse)
    return [
        Stuck(
            (row.company, row.item, row.warehouse),
            (row.source, row.id),
            row.reason,
            row.error,
            row.since,
            row.waiting,
        )
        for row in rows
    ]


def bins_stuck_by(connection: Connection, keys: Collection[Key]) -> list[BinKey]:
    """All bins that stand still for the sake of these movements."""
    rows = query(connection, _OF_MOVEMENTS, **columns(sorted(set(keys)), "source id"))
    return [(row.company, row.item, row.warehouse) for row in rows]


def places_of(connection: Connection, key: Key) -> list[Place]:
    """Where a waiting movement stands, in all of its bins."""
    return [_place(row) for row in query(connection, _STAMPS, movement_source=key[0], movement_id=key[1])]


def places_behind(connection: Connection, place: Place, limit: int) -> list[Place]:
    """The first movements that wait behind this one in its bin."""
    company, item, warehouse = place.bin
    names = {"company": company, "item": item, "warehouse": warehouse}
    return [_place(row) for row in query(connection, _BEHIND, stamp=place.stamp, limit=limit, **names)]


def _place(row: Row[Any]) -> Place:
    return Place((row.company, row.item, row.warehouse), (row.source, row.id), row.stamp, row.last_stamp)
