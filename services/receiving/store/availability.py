"""What may be picked of an item in a warehouse, in pick order, and why the rest may not; a plain read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection

from services.receiving.decide.moment import business_day
from services.receiving.decide.picking import Pickable, in_order, why_not
from services.receiving.decide.stock import NEVER, Batch, Entered
from services.receiving.store.masters import load_companies, load_items
from shared.db import query
from shared.errors import StockbookError
from shared.purposes import BatchState, Tracking
from shared.quantities import ZERO

_BIN = """
SELECT quantity, reserved FROM receiving.bin WHERE (company, item, warehouse) = ((SELECT :company), :item, :warehouse)
"""
_BATCHES = """
SELECT stock.batch AS number, stock.quantity - stock.reserved AS free, NULL AS reserved_for,
       false AS recalled, batch.state, batch.expires_on, batch.entered_at, batch.entered_stamp, batch.entered_line,
       0 AS entered_place
FROM receiving.batch_stock AS stock JOIN receiving.batch USING (company, item, batch)
WHERE (stock.company, stock.item, stock.warehouse) = ((SELECT :company), :item, :warehouse) AND stock.quantity > 0
"""
_SERIALS = """
SELECT serial.serial AS number, 1 AS free, serial.reserved_for, serial.recalls > 0 AS recalled, batch.state,
       batch.expires_on,
       serial.entered_at, serial.entered_stamp, serial.entered_line, serial.entered_place
FROM receiving.serial LEFT JOIN receiving.batch USING (company, item, batch)
WHERE (serial.company, serial.item, serial.warehouse) = ((SELECT :company), :item, :warehouse)
"""
# What has expired is kept back no more, though nobody may have let it go yet.
_EXPIRED = """
SELECT batch, serials, open FROM receiving.reservation_line
WHERE (company, item, warehouse) = ((SELECT :company), :item, :warehouse) AND open > 0 AND expires_at <= :at
"""
_OF_TRACKING = {Tracking.BATCH: _BATCHES, Tracking.SERIAL: _SERIALS}


@dataclass(frozen=True, slots=True)
class Available:
    """What is there: `pickable` in pick order, `rest` with a code each; of an untracked item only how much is free.

    `free` leaves out what is reserved of any batch, or of any units, which no pickable one shows.
    """

    tracking: Tracking
    unit: str
    free: Decimal
    pickable: Sequence[Pickable] = ()
    rest: Sequence[tuple[Pickable, str]] = ()


def available(connection: Connection, company: str, item: str, warehouse: str, at: datetime) -> Available:
    """What may be picked at a moment; StockbookError where company or item is unknown."""
    key = {"company": company, "item": item, "warehouse": warehouse}
    companies = load_companies(connection, [company], locked=False)
    found = load_items(connection, [(company, item)], locked=False).get((company, item))
    if found is None:
        raise StockbookError("no such item", company=company, item=item)
    bins, expired = query(connection, _BIN, **key), _expired(connection, key, at)
    reserved = bins[0].reserved - expired.of_any if bins else ZERO
    if found.tracking is Tracking.NONE:
        free = bins[0].quantity - reserved if bins else ZERO
        return Available(found.tracking, found.unit, max(free, ZERO))
    day = business_day(at, companies[company])
    pickable: list[Pickable] = []
    rest: list[tuple[Pickable, str]] = []
    for row in query(connection, _OF_TRACKING[found.tracking], **key):
        freed = expired.of_batches.get(row.number, ZERO)
        each = Pickable(row.number, Decimal(row.free) + freed, row.expires_on, _entered(row))
        reserved -= 1 if row.reserved_for is not None else 0
        reserved_for = None if row.number in expired.units else row.reserved_for
        code = _why_not(row.state, row.expires_on, reserved_for, each.quantity, day)
        code = "serial_recalled" if row.recalled else code
        if code is None:
            pickable.append(each)
        else:
            rest.append((each, code))
    free = sum((each.quantity for each in pickable), ZERO) - reserved
    return Available(found.tracking, found.unit, max(free, ZERO), in_order(pickable, found.pick), rest)


@dataclass(frozen=True, slots=True)
class _Expired:
    """What was reserved in a bin until a moment: of no batch or unit in particular, of batches, and units by name."""

    of_any: Decimal
    of_batches: Mapping[str, Decimal]
    units: frozenset[str]


def _expired(connection: Connection, key: Mapping[str, str], at: datetime) -> _Expired:
    rows = query(connection, _EXPIRED, at=at, **key)
    of_batches: dict[str, Decimal] = {}
    for row in rows:
        if row.batch:
            of_batches[row.batch] = of_batches.get(row.batch, ZERO) + row.open
    of_any = sum((row.open for row in rows if not row.batch and not row.serials), ZERO)
    return _Expired(of_any, of_batches, frozenset(number for row in rows for number in row.serials))


def _entered(row: object) -> Entered:
    at = getattr(row, "entered_at", None)
    if at is None:
        return Entered(NEVER, 0, 0)
    return Entered(at, row.entered_stamp, row.entered_line, row.entered_place)  # type: ignore[attr-defined]  # a row


def _why_not(
    state: str | None, expires_on: date | None, reserved_for: str | None, free: Decimal, day: date
) -> str | None:
    if reserved_for is not None or free <= ZERO:
        return "reserved"
    return None if state is None else why_not(Batch(expires_on, BatchState(state)), day)
