"""What a trace reads of the services' tables: by key, for all goods of a step together.

What was cancelled, and what cancels, happened to nothing: it is left out of the events, and counted in the sums, where
it adds up to nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from services.desk.trace.balance import Sum
from services.desk.trace.goods import PURPOSES_OF_WAY, Event, Goods, Key, Making, Side, Way, kind_of
from services.ledger.decide.making import Piece
from shared.db import columns, query
from shared.purposes import BatchState, SerialStatus

_BATCHES = "unnest(cast(:item AS text[]), cast(:batch AS text[])) AS given (item, batch)"
_SERIALS = "unnest(cast(:item AS text[]), cast(:serial AS text[])) AS given (item, serial)"
_KEYS = "unnest(cast(:source AS text[]), cast(:id AS text[])) AS given (source, id)"
# A correction of a count is part of that: with the count it is undone.
_HOLDS = """
entry.purpose <> 'cancellation'
    AND NOT EXISTS (SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = (entry.source, entry.id))
    AND (entry.part_of IS NULL OR NOT EXISTS (
        SELECT FROM ledger.entry AS whole JOIN ledger.cancelled USING (source, id)
        WHERE (whole.company, whole.entry_id) = (entry.company, entry.part_of)))
"""
_OF_BATCHES = f"""
{_BATCHES} JOIN ledger.entry
    ON entry.company = (SELECT :company) AND entry.item = given.item AND entry.batch = given.batch
    AND entry.quantity <> 0
"""
_OF_SERIALS = f"""
{_SERIALS} JOIN ledger.entry_serial AS own
    ON own.company = (SELECT :company) AND own.item = given.item AND own.serial = given.serial
JOIN ledger.entry ON entry.company = own.company AND entry.entry_id = own.entry_id AND entry.quantity <> 0
"""
_TOLD = """
entry.revaluation > 0 AS corrects, entry.purpose, entry.source, entry.id, entry.line, cast(entry.entry_id AS text),
    entry.warehouse, entry.effective_at, cast(entry.original AS text), entry.stamp, entry.ordinal
"""
_THEN = f"""
WHERE entry.purpose = ANY(:purposes) AND (cast(:as_of AS timestamptz) IS NULL OR entry.effective_at <= :as_of)
    AND (:down OR entry.quantity > 0) AND {_HOLDS}
LIMIT :most
"""
_EVENTS_OF_BATCHES = f"""
SELECT * FROM (
    SELECT given.item, given.batch, NULL AS serial, entry.quantity, {_TOLD} FROM {_OF_BATCHES} {_THEN}
) AS found ORDER BY effective_at, stamp, ordinal
"""
_EVENTS_OF_SERIALS = f"""
SELECT * FROM (
    SELECT given.item, NULL AS batch, given.serial, sign(entry.quantity) AS quantity, {_TOLD} FROM {_OF_SERIALS} {_THEN}
) AS found ORDER BY effective_at, stamp, ordinal
"""
# Of the side that is on the way all serials; the other one is found by its entries.
_MAKINGS = f"""
SELECT * FROM (
    SELECT making.source, making.id, cast(making.entry_id AS text) AS entry, before, after, whole, entry.item, batch,
        entry.quantity, effective_at, serial, ordinal
    FROM {_KEYS}
    JOIN ledger.making ON making.company = (SELECT :company) AND (making.source, making.id) = (given.source, given.id)
    JOIN ledger.entry ON (entry.company, entry.entry_id) = (making.company, making.entry_id)
    LEFT JOIN ledger.entry_serial AS own
        ON (own.company, own.entry_id) = (making.company, making.entry_id) AND (making.whole IS NULL) = :up
    LIMIT :most
) AS found ORDER BY source, id, ordinal, serial
"""
_SUMS = """
SELECT given.item, {names}, entry.warehouse, entry.purpose, undone.purpose AS undoes, entry.revaluation > 0 AS corrects,
    coalesce(sum({quantity}) FILTER (WHERE cast(:as_of AS timestamptz) IS NULL OR entry.effective_at <= :as_of), 0)
        AS quantity,
    coalesce(sum({quantity}) FILTER (WHERE entry.effective_at > :as_of), 0) AS later
FROM {entries}
LEFT JOIN ledger.entry AS undone ON entry.purpose = 'cancellation' AND undone.company = entry.company
    AND undone.entry_id = entry.original
GROUP BY given.item, {names}, entry.warehouse, entry.purpose, undone.purpose, entry.revaluation > 0,
    sign(entry.quantity)
"""
_SUMS_OF_BATCHES = _SUMS.format(names="given.batch, cast(NULL AS text)", quantity="entry.quantity", entries=_OF_BATCHES)
_SUMS_OF_SERIALS = _SUMS.format(
    names="cast(NULL AS text), given.serial", quantity="sign(entry.quantity)", entries=_OF_SERIALS
)
_BATCHES_ON_HAND = f"""
SELECT given.item, given.batch, NULL AS serial, held.warehouse, held.quantity
FROM {_BATCHES} JOIN receiving.batch_stock AS stock
    ON stock.company = (SELECT :company) AND stock.item = given.item AND stock.batch = given.batch
JOIN ledger.bin_batch AS held ON (held.company, held.item, held.warehouse, held.batch)
    = (stock.company, stock.item, stock.warehouse, stock.batch)
WHERE held.quantity <> 0
"""
_SERIALS_ON_HAND = f"""
SELECT given.item, NULL AS batch, given.serial, place.warehouse, 1 AS quantity
FROM {_SERIALS} CROSS JOIN LATERAL (
    SELECT DISTINCT entry.warehouse FROM ledger.entry_serial AS own JOIN ledger.entry USING (company, entry_id)
    WHERE own.company = (SELECT :company) AND own.item = given.item AND own.serial = given.serial
) AS place
WHERE EXISTS (
    SELECT FROM ledger.serial AS held WHERE held.company = (SELECT :company) AND held.item = given.item
        AND held.warehouse = place.warehouse AND held.serial = given.serial OFFSET 0)
"""
_MOVEMENTS = f"""
SELECT source, id, purpose, posting_date, document, customer, supplier, recipient, reason,
    against ->> 'source' AS of_source, against ->> 'id' AS of_id
FROM {_KEYS} JOIN receiving.movement USING (source, id)
CROSS JOIN LATERAL json_to_record(cast(convert_from(allocated, 'UTF8') AS json))
    AS told (posting_date date, document text, customer text, supplier text, recipient text, reason text, against json)
"""
_BATCH_RECORDS = f"""
SELECT item, batch, state, manufactured_on, manufactured_at, expires_on, supplier, supplier_batch
FROM {_BATCHES} JOIN receiving.batch USING (item, batch) WHERE company = (SELECT :company)
"""
_SERIAL_RECORDS = f"""
SELECT item, serial, status, batch, supplier, supplier_document, customer, customer_document
FROM {_SERIALS} JOIN receiving.serial USING (item, serial) WHERE company = (SELECT :company)
"""
_UNITS = """
SELECT item, unit FROM unnest(cast(:item AS text[])) AS given (item)
JOIN receiving.item USING (item) WHERE company = (SELECT :company)
"""
_IN_TRANSIT = "SELECT warehouse FROM receiving.warehouse WHERE company = (SELECT :company) AND kind = 'transit'"


class Movement(NamedTuple):
    """A document: when, of whom, for whom, and what it is called; `of_source`, `of_id`: the one that it returns."""

    purpose: str
    posting_date: date
    document: str | None
    customer: str | None
    supplier: str | None
    recipient: str | None
    reason: str | None
    of_source: str | None
    of_id: str | None


class Batch(NamedTuple):
    """What is known of a batch."""

    state: BatchState
    manufactured_on: date | None
    manufactured_at: str | None
    expires_on: date | None
    supplier: str | None
    supplier_batch: str | None


class Unit(NamedTuple):
    """What is known of a unit today."""

    status: SerialStatus
    batch: str | None
    supplier: str | None
    supplier_document: str | None
    customer: str | None
    customer_document: str | None


class Books:
    """The books of one company up to a moment (None: all of them), as a walk reads them."""

    def __init__(self, connection: Connection, company: str, as_of: datetime | None) -> None:
        self._connection = connection
        self._company = company
        self._as_of = as_of

    def events(self, goods: Collection[Goods], way: Way, most: int) -> tuple[Sequence[Event], bool]:
        """What happened to goods, in the order of time; of more than `most`, some, and true."""
        limits = {"purposes": PURPOSES_OF_WAY[way], "as_of": self._as_of, "down": way is Way.DOWN, "most": most + 1}
        found = self._of_both(_EVENTS_OF_BATCHES, _EVENTS_OF_SERIALS, goods, **limits)
        return [_event(*row) for row in found[:most]], len(found) > most

    def makings(self, keys: Collection[Key], way: Way, most: int) -> tuple[Sequence[Making], bool]:
        """Makings with the side that lies that way; of more than `most` rows, none, and true."""
        names = columns(sorted(keys), "source id")
        found = self._query(_MAKINGS, **names, up=way is Way.UP, most=most + 1)
        return ([], True) if len(found) > most else (_makings(found), False)

    def sums(self, goods: Collection[Goods]) -> list[Sum]:
        """What all entries of goods come to."""
        found = self._of_both(_SUMS_OF_BATCHES, _SUMS_OF_SERIALS, goods, as_of=self._as_of)
        return [Sum(Goods(*row[:3]), *row[3:]) for row in found]

    def on_hand(self, goods: Collection[Goods]) -> dict[Goods, dict[str, Decimal]]:
        """What stands of goods in which warehouse, now."""
        found: dict[Goods, dict[str, Decimal]] = {}
        for item, batch, serial, warehouse, quantity in self._of_both(_BATCHES_ON_HAND, _SERIALS_ON_HAND, goods):
            found.setdefault(Goods(item, batch, serial), {})[warehouse] = Decimal(quantity)
        return found

    def in_transit(self) -> set[str]:
        """The warehouses where goods are on their way."""
        return {row.warehouse for row in self._query(_IN_TRANSIT)}

    def movements(self, keys: Iterable[Key]) -> dict[Key, Movement]:
        """Documents, with whom they name; a return that names nobody is of whom its original names."""
        found = self._movements(set(keys))
        lacking = [each for each in found.values() if each.of_id and not (each.customer or each.supplier)]
        originals = self._movements({(each.of_source or "", each.of_id or "") for each in lacking})
        return {key: _with_parties(each, originals) for key, each in found.items()}

    def _movements(self, keys: Collection[Key]) -> dict[Key, Movement]:
        rows = self._query(_MOVEMENTS, **columns(sorted(keys), "source id")) if keys else ()
        return {(source, name): Movement(*about) for source, name, *about in rows}

    def batches(self, goods: Iterable[Goods]) -> dict[Goods, Batch]:
        """The records of those goods that are batches."""
        rows = self._query(_BATCH_RECORDS, **_named_batches(goods))
        return {Goods(row.item, row.batch): Batch(BatchState(row.state), *_rest(row)) for row in rows}

    def units(self, goods: Iterable[Goods]) -> dict[Goods, Unit]:
        """The records of those goods that are units."""
        rows = self._query(_SERIAL_RECORDS, **_named_serials(goods))
        return {Goods(row.item, serial=row.serial): Unit(SerialStatus(row.status), *_rest(row)) for row in rows}

    def stock_units(self, items: Iterable[str]) -> Mapping[str, str]:
        """In what items are counted or measured."""
        rows = self._query(_UNITS, **columns([(item,) for item in sorted(set(items))], "item"))
        return {row.item: row.unit for row in rows}

    def _query(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """Rows to be unpacked: their types are the statement's."""
        return query(self._connection, statement, company=self._company, **parameters)

    def _of_both(self, of_batches: str, of_serials: str, goods: Collection[Goods], **parameters: Any) -> list[Any]:
        """What is found of batches, and of units, where there are any."""
        found: list[Any] = []
        if any(each.serial is None for each in goods):
            found += self._query(of_batches, **_named_batches(goods), **parameters)
        if any(each.serial is not None for each in goods):
            found += self._query(of_serials, **_named_serials(goods), **parameters)
        return found


def _named_batches(goods: Iterable[Goods]) -> Mapping[str, str]:
    rows = sorted((each.item, each.batch) for each in goods if each.serial is None and each.batch is not None)
    return columns(rows, "item batch")


def _named_serials(goods: Iterable[Goods]) -> Mapping[str, str]:
    return columns(sorted((each.item, each.serial) for each in goods if each.serial is not None), "item serial")


def _with_parties(movement: Movement, originals: Mapping[Key, Movement]) -> Movement:
    original = originals.get((movement.of_source or "", movement.of_id or ""))
    if original is None:
        return movement
    return movement._replace(
        customer=movement.customer or original.customer, supplier=movement.supplier or original.supplier
    )


def _rest(row: Row[Any]) -> Sequence[Any]:
    """What stands behind the names and the state."""
    return list(row)[3:]


def _event(
    item: str,
    batch: str | None,
    serial: str | None,
    quantity: Decimal,
    corrects: bool,
    purpose: str,
    source: str,
    name: str,
    *place: Any,
) -> Event:
    line, entry, warehouse, effective_at, original, *_ = place
    kind = kind_of(purpose, quantity, corrects=corrects)
    goods = Goods(item, batch, serial)
    return Event(goods, kind, (source, name), line, entry, warehouse, quantity, effective_at, original)


def _makings(rows: Iterable[Row[Any]]) -> list[Making]:
    makings: dict[Key, Making] = {}
    serials: dict[str, list[str]] = {}
    sides: dict[Key, dict[str, Side]] = {}
    for row in rows:
        key = (row.source, row.id)
        piece = Piece(row.before, row.after, row.whole) if row.whole is not None else None
        own = sides.setdefault(key, {})
        own.setdefault(row.entry, Side(row.entry, row.item, row.batch, row.quantity, piece))
        makings.setdefault(key, Making(key, row.effective_at, own))
        if row.serial is not None:
            serials.setdefault(row.entry, []).append(row.serial)
    for own in sides.values():
        for entry, side in own.items():
            if entry in serials:
                own[entry] = side._replace(serials=tuple(serials[entry]))
    return list(makings.values())
