"""What a recall says of itself at the gate: what it is about, who was reached, and what is kept back of it for orders.

Of a batch whose item is kept in serials there is one row, and one for each unit that it had then: the units are what is
found anywhere, the batch is only what they were named by.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from services.desk.trace.goods import Goods, Key
from shared.db import columns, query
from shared.purposes import Tracking
from shared.report import Filters

_NAMES = """
source, id, company, mock, document, actor, reason, since, recorded_at, closed_at, closed_by, closed_reason, evidence,
released_at, released_by, released_reason, released_evidence, state
"""
_RECALL = f"SELECT {_NAMES} FROM receiving.recalls WHERE (source, id) = (:source, :id)"
_RECALLS = f"""
SELECT {_NAMES} FROM receiving.recalls AS recall
WHERE state = ANY(:states) AND (cast(:company AS text) IS NULL OR company = :company)
    AND (cast(:source AS text) IS NULL OR source = :source) AND (cast(:id AS text) IS NULL OR id = :id)
    AND (cast(:item AS text) IS NULL AND cast(:batch AS text) IS NULL OR EXISTS (
        SELECT FROM receiving.recalled_goods AS goods
        LEFT JOIN receiving.serial AS unit ON goods.tracking = 'serial'
            AND (unit.company, unit.item, unit.serial) = (goods.company, goods.item, goods.number)
        WHERE (goods.source, goods.id) = (recall.source, recall.id)
            AND (cast(:item AS text) IS NULL OR goods.item = :item)
            AND (cast(:batch AS text) IS NULL
                OR CASE goods.tracking WHEN 'batch' THEN goods.number ELSE unit.batch END = :batch)))
ORDER BY recorded_at, source, id
"""
_GOODS = """
WITH meant AS (
    SELECT company, item, tracking, number, named FROM receiving.recalled_goods WHERE (source, id) = (:source, :id)
)
SELECT meant.item, meant.tracking, master.tracking AS kept_in, number, named, unit.batch AS of_batch,
    coalesce(unit.recalls > 0 OR batch.state = 'recalled', false) AS frozen
FROM meant
JOIN receiving.item AS master ON (master.company, master.item) = (meant.company, meant.item)
LEFT JOIN receiving.serial AS unit ON meant.tracking = 'serial'
    AND (unit.company, unit.item, unit.serial) = (meant.company, meant.item, number)
LEFT JOIN receiving.batch AS batch ON (batch.company, batch.item) = (meant.company, meant.item)
    AND batch.batch = CASE meant.tracking WHEN 'batch' THEN number ELSE unit.batch END
ORDER BY NOT named, meant.item, of_batch NULLS FIRST, number
"""
_CONTACTS = """
SELECT customer, reached_at, recorded_at, answer, actor, by_source, by_id
FROM receiving.recalls_reached WHERE (source, id) = (:source, :id) ORDER BY reached_at, recorded_at, by_source, by_id
"""
# Told since, and refused for it: what had been handed out by then is with somebody of whom no entry tells.
_REFUSED = """
SELECT DISTINCT movement.source, movement.id
FROM receiving.movement
CROSS JOIN LATERAL json_array_elements(cast(convert_from(outcome, 'UTF8') AS json) -> 'reasons') AS reason
JOIN receiving.recalled_goods AS goods ON (goods.source, goods.id) = (:source, :id)
    AND (goods.company, goods.item) = (movement.company, reason -> 'facts' ->> 'item')
    AND goods.number = reason -> 'facts' ->> goods.tracking
WHERE allocated IS NULL AND movement.recorded_at >= :recorded_at
    AND reason ->> 'code' IN ('batch_recalled', 'serial_recalled')
ORDER BY movement.source, movement.id
"""
_KINDS = "SELECT warehouse, kind FROM receiving.warehouses WHERE company = :company"
# Of one that has expired nothing is kept back, whatever is open.
_RESERVED = """
SELECT source, id, line, document, customer, item, warehouse, nullif(batch, '') AS batch, serials, open, expires_at
FROM receiving.reservations AS kept
WHERE company = :company AND item = ANY(:items) AND open > 0 AND expires_at > now() AND (
    (item, batch) IN (SELECT * FROM unnest(cast(:item AS text[]), cast(:batch AS text[])))
    OR EXISTS (SELECT FROM unnest(serials) AS own (serial)
        WHERE (kept.item, own.serial) IN (SELECT * FROM unnest(cast(:unit_item AS text[]), cast(:serial AS text[])))))
ORDER BY recorded_at, source, id, line
"""
_MARKS = """
SELECT item, warehouse, last_stamp FROM receiving.bin
WHERE company = :company AND item = ANY(:items) ORDER BY item, warehouse
"""
_BEHIND = """
SELECT cast(coalesce(sum(mark.stamp - coalesce(bin.last_stamp, 0)), 0) AS integer) AS changes, count(*) AS bins
FROM unnest(cast(:item AS text[]), cast(:warehouse AS text[]), cast(:stamp AS bigint[]))
    AS mark (item, warehouse, stamp)
LEFT JOIN ledger.bin ON (bin.company, bin.item, bin.warehouse) = (:company, mark.item, mark.warehouse)
WHERE mark.stamp > coalesce(bin.last_stamp, 0)
"""

Marks = Sequence[tuple[str, str, int]]
"""How far the gate had come in bins: the item, the warehouse, and the last stamp that it had given there."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A recall as it was accepted, and how it ended. `since`: when it was asked for; `state`: open or closed."""

    source: str
    id: str
    company: str
    mock: bool
    document: str | None
    actor: str
    reason: str
    since: datetime
    recorded_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closed_reason: str | None
    evidence: str | None
    released_at: datetime | None
    released_by: str | None
    released_reason: str | None
    released_evidence: str | None
    state: str

    @property
    def key(self) -> Key:
        """By which it is known."""
        return self.source, self.id


class Recalled(NamedTuple):
    """What is recalled: `named`, or made of what was. `kept_in`: how its item is tracked; `of_batch`: a unit's batch.

    `frozen`: it does not leave. An untracked item has no number, and is never frozen.
    """

    item: str
    tracking: Tracking
    kept_in: Tracking
    number: str
    named: bool
    of_batch: str | None
    frozen: bool

    @property
    def batch(self) -> str | None:
        """The batch that it is, or belongs to."""
        return self.number if self.tracking is Tracking.BATCH else self.of_batch

    @property
    def goods(self) -> Goods | None:
        """As a trace knows it; None of a batch that is kept in units."""
        if self.tracking is Tracking.SERIAL:
            return Goods(self.item, serial=self.number)
        if self.tracking is Tracking.NONE:
            return Goods(self.item)
        return None if self.kept_in is Tracking.SERIAL else Goods(self.item, self.number)


class Contact(NamedTuple):
    """Somebody was told of a recall, and answered."""

    customer: str
    reached_at: datetime
    recorded_at: datetime
    answer: str
    actor: str | None
    by_source: str
    by_id: str


class Reserved(NamedTuple):
    """A line of a reservation that names recalled goods: `open` of it is kept back, and cannot be delivered."""

    source: str
    id: str
    line: int
    document: str | None
    customer: str | None
    item: str
    warehouse: str
    batch: str | None
    serials: Sequence[str]
    open: Decimal
    expires_at: datetime


class Behind(NamedTuple):
    """How many changes of how many bins the gate had accepted, and the ledger has not posted yet."""

    changes: int
    bins: int


def find_recall(connection: Connection, key: Key) -> Recall | None:
    """The recall of a source and an id; None where there is none."""
    rows = _rows(connection, _RECALL, source=key[0], id=key[1])
    return Recall(*rows[0]) if rows else None


def find_recalls(connection: Connection, filters: Filters, states: Sequence[str]) -> list[Recall]:
    """Recalls in these states, in the order in which they were accepted; of an item or a batch, those that reach it."""
    return [Recall(*row) for row in _rows(connection, _RECALLS, **filters.given(), states=list(states))]


def goods_of(connection: Connection, recall: Recall) -> list[Recalled]:
    """All that a recall is about: what it names first."""
    rows = _rows(connection, _GOODS, source=recall.source, id=recall.id)
    return [Recalled(item, Tracking(own), Tracking(kept_in), *rest) for item, own, kept_in, *rest in rows]


def contacts_of(connection: Connection, recall: Recall) -> list[Contact]:
    """Who was reached, in the order in which they were."""
    return [Contact(*row) for row in _rows(connection, _CONTACTS, source=recall.source, id=recall.id)]


def refused_since(connection: Connection, recall: Recall) -> list[Key]:
    """The movements that were refused for a recall, as they stand now."""
    found = _rows(connection, _REFUSED, source=recall.source, id=recall.id, recorded_at=recall.recorded_at)
    return [(source, name) for source, name in found]


def kinds_of_warehouses(connection: Connection, company: str) -> Mapping[str, str]:
    """Of each warehouse, whether it is a store, on the way, or a quarantine."""
    return {row.warehouse: row.kind for row in _rows(connection, _KINDS, company=company)}


def reserved_of(connection: Connection, company: str, goods: Sequence[Recalled]) -> list[Reserved]:
    """What is kept back for orders of these goods, by their numbers."""
    batches = [(each.item, each.number) for each in goods if each.tracking is Tracking.BATCH]
    units = [(each.item, each.number) for each in goods if each.tracking is Tracking.SERIAL]
    named = {**columns(batches, "item batch"), **columns(units, "unit_item serial")}
    found = _rows(connection, _RESERVED, company=company, items=_items(goods), **named)
    return [Reserved(*row) for row in found]


def marks_of(connection: Connection, company: str, goods: Iterable[Recalled]) -> Marks:
    """How far the gate has come in the bins of these goods' items; untracked ones say nothing of what is recalled."""
    items = _items(each for each in goods if each.tracking is not Tracking.NONE)
    return [
        (item, warehouse, stamp) for item, warehouse, stamp in _rows(connection, _MARKS, company=company, items=items)
    ]


def behind(connection: Connection, company: str, marks: Marks) -> Behind:
    """What the ledger has not posted yet of all that the gate had accepted then."""
    rows = _rows(connection, _BEHIND, company=company, **columns(marks, "item warehouse stamp"))
    return Behind(*rows[0])


def _items(goods: Iterable[Recalled]) -> list[str]:
    return sorted({each.item for each in goods})


def _rows(connection: Connection, statement: str, **parameters: Any) -> Sequence[Any]:
    """Rows to be unpacked: their types are the statement's."""
    return query(connection, statement, **parameters)
