"""How things stand in all services, in a few statements that stay quick however much there is.

How far movements are is looked up for those that were accepted within some time: an older one that is still on its way
stands in a stuck bin, is parked or waits, and is counted there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from shared.db import query
from shared.migrate import SERVICES
from shared.parked import count_parked

_NOW = "SELECT now() AS now"
_WAITING_AT_THE_GATE = "SELECT count(*) AS things, min(since) AS oldest, min(due_at) AS due FROM receiving.waiters"
_WAITING_IN_THE_LEDGER = """
SELECT count(*) AS things, min(recorded_at) AS oldest FROM ledger.waiting JOIN ledger.movement USING (source, id)
"""
_WAITING_IN_AFTERCARE = "SELECT count(*) AS things, min(since) AS oldest FROM aftercare.waiters"
_STUCK = "SELECT count(*) AS things, min(since) AS oldest FROM ledger.stuck_bins"
_DIRTY = "SELECT count(*) AS things, min(since) AS oldest FROM ledger.dirty_bins"
_OUTBOX = """
SELECT (SELECT count(*) FROM receiving.outbox) AS receiving, (SELECT count(*) FROM ledger.outbox) AS ledger,
    (SELECT count(*) FROM accounting.outbox) AS accounting, (SELECT count(*) FROM aftercare.outbox) AS aftercare
"""
_NEWEST = """
SELECT (SELECT max(recorded_at) FROM receiving.allocated WHERE recorded_at > :since) AS accepted,
    (SELECT max(recorded_at) FROM ledger.posted WHERE recorded_at > :since) AS posted,
    (SELECT max(recorded_at) FROM accounting.movement WHERE recorded_at > :since) AS booked
"""
_NOT_POSTED = """
SELECT count(*) AS things, min(recorded_at) AS oldest FROM receiving.allocated AS before
WHERE recorded_at > :since
    AND NOT EXISTS (SELECT FROM ledger.posted AS each WHERE (each.source, each.id) = (before.source, before.id))
"""
_NOT_BOOKED = """
SELECT count(*) AS things, min(recorded_at) AS oldest
FROM (SELECT source, id, recorded_at FROM ledger.posted UNION ALL SELECT source, id, recorded_at FROM ledger.revalued)
    AS before
WHERE recorded_at > :since
    AND NOT EXISTS (SELECT FROM accounting.movement AS each WHERE (each.source, each.id) = (before.source, before.id))
"""
_NOT_IN_AFTERCARE = """
SELECT count(*) AS things, min(recorded_at) AS oldest FROM receiving.units_allocated AS before
WHERE recorded_at > :since
    AND NOT EXISTS (SELECT FROM aftercare.movement AS each WHERE (each.source, each.id) = (before.source, before.id))
"""


@dataclass(frozen=True, slots=True)
class Heap:
    """So many things of a kind, and since when the oldest of them is there."""

    count: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class ParkedHeap:
    """What is parked in a service for one reason."""

    service: str
    reason: str
    count: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """When the newest movement was accepted, of all that are accepted, posted, booked; None: not within the time."""

    accepted: datetime | None
    posted: datetime | None
    booked: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand by the database, at `now`.

    `next_due` is when the first that waits at the gate is tried. `dirty_bins` are those of which some is still to be
    valued anew, the oldest since its cause was accepted. `not_booked` are movements and revaluations.
    `not_in_aftercare` are movements of serialized units.
    """

    now: datetime
    waiting_in_receiving: Heap
    next_due: datetime | None
    waiting_in_ledger: Heap
    stuck_bins: Heap
    dirty_bins: Heap
    parked: Sequence[ParkedHeap]
    outbox: dict[str, int]
    newest: Newest
    not_posted: Heap
    not_booked: Heap
    waiting_in_aftercare: Heap
    not_in_aftercare: Heap


def standing(connection: Connection, within: timedelta) -> Standing:
    """How things stand; how far movements are, of those that were accepted `within` this time."""
    now = database_time(connection)
    since = {"since": now - within}
    gate = query(connection, _WAITING_AT_THE_GATE)[0]
    newest = query(connection, _NEWEST, **since)[0]
    return Standing(
        now,
        Heap(gate.things, gate.oldest),
        gate.due,
        _heap(connection, _WAITING_IN_THE_LEDGER),
        _heap(connection, _STUCK),
        _heap(connection, _DIRTY),
        [ParkedHeap(name, *each) for name in SERVICES for each in count_parked(connection, name)],
        dict(query(connection, _OUTBOX)[0]._mapping),
        Newest(newest.accepted, newest.posted, newest.booked),
        _heap(connection, _NOT_POSTED, **since),
        _heap(connection, _NOT_BOOKED, **since),
        _heap(connection, _WAITING_IN_AFTERCARE),
        _heap(connection, _NOT_IN_AFTERCARE, **since),
    )


def database_time(connection: Connection) -> datetime:
    """When this transaction began, by the clock that rows are dated by."""
    moment: datetime = query(connection, _NOW)[0].now
    return moment


def _heap(connection: Connection, statement: str, **parameters: datetime) -> Heap:
    row = query(connection, statement, **parameters)[0]
    return Heap(row.things, row.oldest)
