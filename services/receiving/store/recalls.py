"""Recalls in PostgreSQL: their goods are found and locked, kept from leaving, and let go.

Locks are taken in the order of `store.locking`: bins, batches, serials. A unit that stands in a bin may be picked under
the bin's lock alone, so that is locked too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from services.receiving.decide.recalls import Goods, Reached, Standing
from services.receiving.decide.stock import MovementKey
from services.receiving.store.makings import descendants
from shared.contracts.recall import RecallClosed, RecallOpened, RecallReached
from shared.db import Contended, columns, copy, query, run
from shared.purposes import Tracking

Asked = Mapping[MovementKey, tuple[str, Sequence[Goods]]]
"""Of each recall its company, and what it begins with."""

_UNITS = """
(company, item, serial) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:number AS text[])))
"""
_BATCHES = """
(company, item, batch) IN
    (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:number AS text[])))
"""
_KNOWN = f"""
SELECT company, item, 'batch' AS tracking, batch AS number FROM receiving.batch WHERE {_BATCHES}
UNION ALL SELECT company, item, 'serial', serial FROM receiving.serial WHERE {_UNITS}
"""
_LOCK_BINS = f"""
SELECT company, item, warehouse FROM receiving.bin
WHERE (company, item, warehouse) IN (SELECT company, item, warehouse FROM receiving.serial WHERE {_UNITS})
ORDER BY company, item, warehouse FOR SHARE
"""
_LOCK_BATCHES = f"SELECT FROM receiving.batch WHERE {_BATCHES} ORDER BY company, item, batch FOR NO KEY UPDATE"
_LOCK_UNITS = f"""
SELECT company, item, warehouse FROM receiving.serial WHERE {_UNITS} ORDER BY company, item, serial FOR NO KEY UPDATE
"""
_LAST_RECORDED = """
SELECT max(last_recorded_at) AS at FROM receiving.bin
WHERE (company, item) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:item AS text[])))
"""
_FREEZE_BATCHES = f"""
UPDATE receiving.batch SET state = 'recalled', recalls = recalls + 1, was_held = was_held OR state = 'held'
WHERE {_BATCHES}
"""
_FREEZE_UNITS = f"UPDATE receiving.serial SET recalls = recalls + 1 WHERE {_UNITS}"
_FREE_BATCHES = f"""
UPDATE receiving.batch SET
    recalls = recalls - 1, was_held = was_held AND recalls > 1,
    state = CASE WHEN recalls > 1 THEN 'recalled' WHEN was_held THEN 'held' ELSE 'free' END
WHERE {_BATCHES}
"""
_FREE_UNITS = f"UPDATE receiving.serial SET recalls = recalls - 1 WHERE {_UNITS}"
_LOCK_RECALLS = """
SELECT source, id, company, mock, recorded_at, closed_at IS NOT NULL AS closed, released_at IS NOT NULL AS released
FROM receiving.recall WHERE (source, id) IN (SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[])))
ORDER BY source, id FOR NO KEY UPDATE
"""
_GOODS = "SELECT item, tracking, number FROM receiving.recall_goods WHERE (source, id) = (:source, :id)"
_CLOSE = """
UPDATE receiving.recall SET closed_at = :at, closed_by = :actor, closed_reason = :reason, evidence = :evidence
WHERE (source, id) = (:source, :id)
"""
_RELEASE = """
UPDATE receiving.recall SET
    released_at = :at, released_by = :actor, released_reason = :reason, released_evidence = :evidence
WHERE (source, id) = (:source, :id)
"""
_KEY = "company item number"


def known_goods(connection: Connection, company: str, goods: Iterable[Goods]) -> set[Goods]:
    """Those of these batches and units that there are."""
    rows = query(connection, _KNOWN, **columns([(company, each.item, each.number) for each in goods], _KEY))
    return {Goods(row.item, Tracking(row.tracking), row.number) for row in rows}


def reached_by(connection: Connection, asked: Asked) -> dict[MovementKey, list[Reached]]:
    """All that each recall reaches besides what it begins with."""
    return {key: descendants(connection, *begin) for key, begin in asked.items()}


def lock_goods(connection: Connection, asked: Asked) -> dict[MovementKey, list[Reached]]:
    """All that each recall reaches besides what it begins with, locked together with that: nothing of it leaves.

    What was made until the locks were held is locked as well, until there is no more of it: what is locked makes
    nothing. Contended where units go elsewhere meanwhile.
    """
    locked: set[tuple[str, Goods]] = set()
    while True:
        found = reached_by(connection, asked)
        begin = {(company, each) for company, goods in asked.values() for each in goods}
        wanted = begin | {(asked[key][0], each.goods) for key, reached in found.items() for each in reached}
        if wanted <= locked:
            return found
        _lock(connection, wanted - locked)
        locked |= wanted


def _lock(connection: Connection, goods: Collection[tuple[str, Goods]]) -> None:
    units = _lists(goods, Tracking.SERIAL)
    bins = {tuple(row) for row in query(connection, _LOCK_BINS, **units)}
    query(connection, _LOCK_BATCHES, **_lists(goods, Tracking.BATCH))
    standing = {tuple(row) for row in query(connection, _LOCK_UNITS, **units) if row.warehouse is not None}
    if not standing <= bins:
        raise Contended("units moved while they were recalled")


def last_recorded(connection: Connection, company: str, items: Collection[str], now: datetime) -> datetime:
    """The moment from which goods of these items are recalled: now, and not before anything accepted of them."""
    rows = query(connection, _LAST_RECORDED, **columns(sorted((company, item) for item in items), "company item"))
    moments: list[datetime] = [now, *(row.at for row in rows if row.at is not None)]
    return max(moments)


def save_recall(
    connection: Connection,
    key: MovementKey,
    told: RecallOpened,
    goods: Sequence[Goods],
    reached: Sequence[Reached],
    times: tuple[datetime, datetime],
) -> None:
    """Note a recall with its goods, and keep these from leaving unless it is a mock; `times`: asked for, accepted.

    The units of a batch are what is named by it.
    """
    about = (told.company, told.mock, told.document, told.actor, told.reason)
    names = "source, id, company, mock, document, actor, reason, since, recorded_at"
    copy(connection, "receiving.recall", names, [(*key, *about, *times)])
    about_all = [*((each, True) for each in goods), *((each.goods, not each.made) for each in reached)]
    rows = [(*key, told.company, *each, named) for each, named in about_all]
    copy(connection, "receiving.recall_goods", "source, id, company, item, tracking, number, named", rows)
    if not told.mock:
        _change(connection, told.company, (each for each, _ in about_all), _FREEZE_BATCHES, _FREEZE_UNITS)


def lock_recalls(connection: Connection, keys: Collection[MovementKey]) -> dict[MovementKey, Standing]:
    """Those of these recalls that are known, locked."""
    rows = query(connection, _LOCK_RECALLS, **columns(sorted(keys), "source id")) if keys else ()
    return {
        (row.source, row.id): Standing(
            (row.source, row.id), row.company, row.mock, row.recorded_at, row.closed, row.released
        )
        for row in rows
    }


def save_reached(connection: Connection, key: MovementKey, by: MovementKey, told: RecallReached, now: datetime) -> None:
    """Note who was told of a recall."""
    row = (*key, *by, told.customer, told.reached_at or now, now, told.answer, told.actor)
    names = "source, id, by_source, by_id, customer, reached_at, recorded_at, answer, actor"
    copy(connection, "receiving.recall_reached", names, [row])


def close_recall(connection: Connection, standing: Standing, told: RecallClosed, now: datetime) -> None:
    """A recall is over; where it was a false alarm, its goods are let go, also when that is found out later."""
    source, identifier = standing.key
    about = {"source": source, "id": identifier, "at": now, "actor": told.actor}
    about |= {"reason": told.reason, "evidence": told.evidence}
    if not standing.is_closed:
        run(connection, _CLOSE, **about)
    if told.release and not standing.mock:
        run(connection, _RELEASE, **about)
        _let_go(connection, standing)


def _let_go(connection: Connection, standing: Standing) -> None:
    source, identifier = standing.key
    rows = query(connection, _GOODS, source=source, id=identifier)
    goods = [Goods(row.item, Tracking(row.tracking), row.number) for row in rows]
    locked = {(standing.company, each) for each in goods}
    query(connection, _LOCK_BATCHES, **_lists(locked, Tracking.BATCH))
    query(connection, _LOCK_UNITS, **_lists(locked, Tracking.SERIAL))
    _change(connection, standing.company, goods, _FREE_BATCHES, _FREE_UNITS)


def _change(connection: Connection, company: str, goods: Iterable[Goods], batches: str, units: str) -> None:
    of = {(company, each) for each in goods}
    run(connection, batches, **_lists(of, Tracking.BATCH))
    run(connection, units, **_lists(of, Tracking.SERIAL))


def _lists(goods: Iterable[tuple[str, Goods]], tracking: Tracking) -> Mapping[str, str]:
    """The batches, or the units, of goods of companies, as columns in their order."""
    return columns(
        sorted((company, each.item, each.number) for company, each in goods if each.tracking is tracking), _KEY
    )
