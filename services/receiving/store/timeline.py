"""Quantities over time: every change of a place, and the counts that hold; see `decide.timeline`.

Whoever reads or writes them for a place holds the lock of its bin.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.stock import BinKey
from services.receiving.decide.timeline import Change, Counted, Outlook, Place, changes_of
from shared.contracts.movement import MovementAllocated
from shared.db import columns, copy, query, run

# From what stands there now, back over all that came behind the moment: nothing before it is read.
_OUTLOOKS = """
SELECT place.*, head.quantity - later.quantity AS standing, least.quantity AS least, least.effective_at AS least_at,
    counted.effective_at, counted.stamp, counted.source, counted.id, counted.line,
    cast(counted.entry AS text) AS entry, counted.account, counted.posting_date
FROM unnest(cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:behind AS bigint[])) AS place (company, item, warehouse, batch, behind)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS quantity FROM (
        SELECT quantity FROM receiving.bin
        WHERE place.batch = ''
            AND (bin.company, bin.item, bin.warehouse) = (place.company, place.item, place.warehouse)
        UNION ALL
        SELECT quantity FROM receiving.batch_stock AS stock
        WHERE (stock.company, stock.item, stock.warehouse, stock.batch)
            = (place.company, place.item, place.warehouse, place.batch)
    ) AS found) AS head
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity), 0) AS quantity FROM receiving.change
    WHERE (change.company, change.item, change.warehouse, change.batch)
        = (place.company, place.item, place.warehouse, place.batch)
        AND (effective_at, stamp) > (:at, place.behind)) AS later
LEFT JOIN LATERAL (
    SELECT effective_at, stamp, source, id, line, entry, account, posting_date FROM receiving.count
    WHERE (count.company, count.item, count.warehouse, count.batch)
        = (place.company, place.item, place.warehouse, place.batch)
        AND (effective_at, stamp) > (:at, place.behind)
    ORDER BY effective_at, stamp LIMIT 1) AS counted ON true
LEFT JOIN LATERAL (
    SELECT effective_at, quantity FROM (
        SELECT effective_at, stamp, part, sum(quantity) OVER (ORDER BY effective_at, stamp, part) AS quantity
        FROM receiving.change
        WHERE (change.company, change.item, change.warehouse, change.batch)
            = (place.company, place.item, place.warehouse, place.batch)
            AND (effective_at, stamp) > (:at, place.behind)
            AND coalesce((effective_at, stamp) < (counted.effective_at, counted.stamp), true)
    ) AS running
    WHERE quantity < 0 ORDER BY quantity, effective_at LIMIT 1) AS least ON true
"""
# Behind all stamps of a moment.
_LAST = 2**63 - 1
_CHANGE_COLUMNS = "company, item, warehouse, batch, effective_at, stamp, part, quantity, line"
_COUNT_COLUMNS = """
company, item, warehouse, batch, effective_at, stamp, source, id, line, entry, account, posting_date
"""
_OWN = """
(company, item, warehouse, batch, effective_at, stamp) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:batch AS text[]),
    cast(:effective_at AS timestamptz[]), cast(:stamp AS bigint[])))
"""
_FORGET_CHANGES = f"DELETE FROM receiving.change WHERE {_OWN}"
_FORGET_COUNTS = f"DELETE FROM receiving.count WHERE {_OWN}"


def outlooks(
    connection: Connection, places: Collection[Place], at: datetime, stamps: Mapping[BinKey, int] | None = None
) -> dict[Place, Outlook]:
    """What stood in each of these places right behind a moment, and how little there was from then on.

    With `stamps`, right behind that number in the place's bin, and before whatever else takes effect at the moment.
    """
    if not places:
        return {}
    behind = [(*place, stamps[place[:3]] if stamps is not None else _LAST) for place in sorted(places)]
    rows = query(connection, _OUTLOOKS, **columns(behind, "company item warehouse batch behind"), at=at)
    return {(row.company, row.item, row.warehouse, row.batch): _outlook(row, at) for row in rows}


def _outlook(row: Row[Any], at: datetime) -> Outlook:
    count = None
    if row.source is not None:
        count = Counted(
            row.effective_at, row.stamp, row.source, row.id, row.line, row.entry, row.account, row.posting_date
        )
    if row.least is None:
        return Outlook(row.standing, row.standing, at, count)
    return Outlook(row.standing, row.standing + row.least, row.least_at, count)


def save_changes(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Append what accepted movements change of quantities over time."""
    rows = (change for each in accepted for change in changes_of(each.allocated))
    copy(connection, "receiving.change", _CHANGE_COLUMNS, map(_change, rows))


def _change(change: Change) -> tuple[Any, ...]:
    return (*change.place, *change[1:])


def save_counts(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Append the counts that accepted movements are."""
    rows = ((*place, *count) for each in accepted for place, count in each.counts)
    copy(connection, "receiving.count", _COUNT_COLUMNS, rows)


def forget(connection: Connection, allocated: MovementAllocated) -> None:
    """Forget what a movement changed of quantities over time, and that it counted anything, for it was cancelled.

    With a count goes all that it found later on. What the movement itself made later counts find stays.
    """
    stamps = {(each.item, each.warehouse): each.stamp for each in allocated.stamps}
    places = {(leg.item, leg.warehouse, leg.batch or "") for leg in allocated.legs}
    places |= {(item, warehouse, "") for item, warehouse in stamps}  # where serials were counted
    rows = [(allocated.company, *place, allocated.effective_at, stamps[place[0], place[1]]) for place in sorted(places)]
    own = columns(rows, "company item warehouse batch effective_at stamp")
    run(connection, _FORGET_CHANGES, **own)
    run(connection, _FORGET_COUNTS, **own)
