"""Movements that came before their turn, and bins that are stuck.

The one idea: a waiting movement is only remembered; what comes next follows from the last stamps of the bins alone. Its
rows are touched only by who holds all of its bins.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from services.ledger.decide.state import BinKey, Stamps
from services.ledger.store.rows import BINS, KEYS, bin_columns, fetch
from shared.contracts.codec import decoder, read
from shared.contracts.movement import MovementAllocated
from shared.db import columns, run
from shared.errors import InvariantBroken
from shared.service import Key, Level

REACH = 1_000
"""How far behind a bin's last stamp waiting movements are looked at; those further on are found in a later round."""

# Of each movement that stands near in one of these bins all stamps, also those in other bins.
_WAITERS_NEAR = """
SELECT source, id, company, item, warehouse, stamp FROM ledger.waiting_stamp
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:reach AS bigint[]))
        AS given (company, item, warehouse, reach)
    JOIN ledger.waiting_stamp AS near USING (company, item, warehouse)
    WHERE near.stamp <= given.reach
)
"""
# The same in one statement, without locks, with the last stamp of each of their bins.
_WAITERS_IN = f"""
SELECT source, id, company, item, warehouse, stamp, last_stamp
FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse)
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM {BINS} AS given (company, item, warehouse)
    JOIN ledger.bin AS reached USING (company, item, warehouse)
    JOIN ledger.waiting_stamp AS near USING (company, item, warehouse)
    WHERE near.stamp <= reached.last_stamp + {REACH}
)
"""
# In all bins those that are next in at least one: whatever can be applied now is among them.
_WAITERS_ANYWHERE = """
SELECT source, id, company, item, warehouse, stamp, last_stamp
FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse)
WHERE (source, id) IN (
    SELECT near.source, near.id
    FROM ledger.waiting_stamp AS near JOIN ledger.bin AS reached USING (company, item, warehouse)
    WHERE near.stamp = reached.last_stamp + 1
)
"""
# A movement that stands in a stuck bin is left alone, until an operator has it tried again.
_NOT_STUCK = """
AND (source, id) NOT IN (SELECT waiting_stamp.source, waiting_stamp.id
    FROM ledger.stuck JOIN ledger.waiting_stamp USING (company, item, warehouse))
"""
_STICK = f"""
INSERT INTO ledger.stuck (company, item, warehouse, source, id, reason, error)
SELECT company, item, warehouse, :movement_source, :movement_id, :reason, :error
FROM {BINS} AS given (company, item, warehouse)
ORDER BY company, item, warehouse
ON CONFLICT (company, item, warehouse) DO NOTHING
"""
# In one order: two operators may do it at once.
_LOOSEN = f"""
DELETE FROM ledger.stuck WHERE (company, item, warehouse) IN (
    SELECT company, item, warehouse FROM ledger.stuck WHERE (company, item, warehouse) IN (SELECT * FROM {BINS})
    ORDER BY company, item, warehouse FOR UPDATE
)
"""
_WAITING_BODIES = f"SELECT body FROM ledger.waiting WHERE (source, id) IN (SELECT * FROM {KEYS})"
_FORGET_WAITING = f"DELETE FROM ledger.waiting WHERE (source, id) IN (SELECT * FROM {KEYS})"
_FORGET_STAMPS = f"DELETE FROM ledger.waiting_stamp WHERE (source, id) IN (SELECT * FROM {KEYS})"
_ADD_WAITING = """
INSERT INTO ledger.waiting (source, id, body)
SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:body AS bytea[]))
"""
_ADD_STAMPS = """
INSERT INTO ledger.waiting_stamp (company, item, warehouse, stamp, source, id)
SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:stamp AS bigint[]),
    cast(:source AS text[]), cast(:id AS text[]))
ON CONFLICT (company, item, warehouse, stamp) DO NOTHING
"""
_FOLLOWERS = f"""
SELECT coalesce(bool_or(stamp = last_stamp + 1), false), coalesce(bool_or(stamp <= last_stamp), false)
FROM ledger.bin JOIN ledger.waiting_stamp USING (company, item, warehouse)
WHERE (company, item, warehouse) IN (SELECT * FROM {BINS}) AND stamp <= last_stamp + 1
"""
# Bounded: a backlog must not be counted every second.
_STANDING = """
SELECT count(*), cast(extract(epoch FROM now() - min(recorded_at)) AS float8), (SELECT count(*) FROM ledger.stuck)
FROM (SELECT source, id FROM ledger.waiting LIMIT 10000) AS waiting JOIN ledger.movement USING (source, id)
"""
_DIRTY = """
SELECT count(*), cast(extract(epoch FROM now() - min(since)) AS float8)
FROM (SELECT since FROM ledger.dirty_bins LIMIT 10000) AS dirty
"""

_movements = decoder(MovementAllocated)


def waiters_within(connection: Connection, last_stamps: Stamps) -> dict[Key, dict[BinKey, int]]:
    """The waiting movements all of whose bins are among these, which are locked; those too far ahead are left out."""
    if not last_stamps:
        return {}
    rows = [(*key, last_stamp + REACH) for key, last_stamp in last_stamps.items()]
    stamps: dict[Key, dict[BinKey, int]] = {}
    for source, name, company, item, warehouse, stamp in fetch(
        connection, _WAITERS_NEAR + _NOT_STUCK, **columns(rows, "company item warehouse reach")
    ):
        stamps.setdefault((source, name), {})[company, item, warehouse] = stamp
    return {key: own for key, own in stamps.items() if own.keys() <= last_stamps.keys()}


def waiters_in(
    connection: Connection, bins: Collection[BinKey] | None
) -> tuple[dict[Key, dict[BinKey, int]], dict[BinKey, int]]:
    """The waiting movements that stand in `bins` (None: in any), and the last stamps of all their bins; no locks."""
    stamps: dict[Key, dict[BinKey, int]] = {}
    last_stamps: dict[BinKey, int] = {}
    if bins is None:
        rows = fetch(connection, _WAITERS_ANYWHERE + _NOT_STUCK)
    else:
        rows = fetch(connection, _WAITERS_IN + _NOT_STUCK, **bin_columns(bins))
    for source, name, company, item, warehouse, stamp, last_stamp in rows:
        stamps.setdefault((source, name), {})[company, item, warehouse] = stamp
        last_stamps[company, item, warehouse] = last_stamp
    return stamps, last_stamps


def waiting_movements(connection: Connection, keys: Collection[Key]) -> dict[Key, MovementAllocated]:
    """Movements that wait, as they arrived; their bins are locked."""
    rows = fetch(connection, _WAITING_BODIES, **columns(list(keys), "source id")) if keys else ()
    movements = (read(_movements, bytes(body)) for (body,) in rows)
    return {(each.source, each.id): each for each in movements}


def forget_waiting(connection: Connection, keys: Sequence[Key]) -> None:
    """Movements that waited were applied."""
    if keys:
        run(connection, _FORGET_WAITING, **columns(keys, "source id"))
        run(connection, _FORGET_STAMPS, **columns(keys, "source id"))


def add_waiting(connection: Connection, waiting: Mapping[Key, bytes], stamps: Mapping[Key, Stamps]) -> None:
    """Remember movements that must wait, as they arrived. InvariantBroken where another one waits with such a stamp."""
    if not waiting:
        return
    run(connection, _ADD_WAITING, **columns([(*key, body) for key, body in waiting.items()], "source id body"))
    rows = [(*bin_key, stamp, *key) for key in waiting for bin_key, stamp in stamps[key].items()]
    if run(connection, _ADD_STAMPS, **columns(rows, "company item warehouse stamp source id")) != len(rows):
        raise InvariantBroken("another waiting movement has one of these stamps", movements=list(waiting))


def has_followers(connection: Connection, advanced: Sequence[BinKey]) -> bool:
    """Whether a waiting movement is next in one of these bins, after all that was written.

    InvariantBroken where one waits for a stamp that was just taken.
    """
    if not advanced:
        return False
    ((is_next, is_overtaken),) = fetch(connection, _FOLLOWERS, **bin_columns(advanced))
    if is_overtaken:
        raise InvariantBroken("a movement was applied with the stamp of one that waits", bins=list(advanced))
    return bool(is_next)


def stick(connection: Connection, key: Key, bins: Collection[BinKey], reason: str, error: str) -> None:
    """Mark bins as stuck, for the sake of a movement that waits in them."""
    shown = error.replace("\0", "\\0")[:4_000]
    names = {"movement_source": key[0], "movement_id": key[1], "reason": reason, "error": shown}
    run(connection, _STICK, **names, **bin_columns(bins))


def loosen(connection: Connection, bins: Collection[BinKey]) -> int:
    """Have what waits in stuck bins tried again, at the next sweep; how many bins were stuck."""
    return run(connection, _LOOSEN, **bin_columns(bins)) if bins else 0


def standing(connection: Connection) -> Mapping[Level, float]:
    """How many movements wait, and bins are dirty (10,000 at most), since when the first of each; what is stuck."""
    ((waiting, longest, stuck),) = fetch(connection, _STANDING)
    ((dirty, longest_dirty),) = fetch(connection, _DIRTY)
    return {
        Level.WAITING: waiting,
        Level.LONGEST_WAIT: longest or 0.0,
        Level.STUCK_BINS: stuck,
        Level.DIRTY_BINS: dirty,
        Level.LONGEST_DIRTY: longest_dirty or 0.0,
    }
