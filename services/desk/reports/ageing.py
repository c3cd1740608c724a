"""Ageing: how long stock has been there, by the day on which it came into the company.

Of untracked goods, and within a batch, the oldest are taken to have left first, whatever values them; serials are told
one by one. A transfer does not make goods younger; what is made, found or comes back is new on that day. The value of a
bin (of a batch in it) is shared by quantity, of serials by their own costs: the last age takes what rounding leaves, so
the report adds up to the stock balance. `short` is what was issued beyond stock. Days are those of each company's time
zone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from services.desk.ageing import AGES, SHORT, Change, Item, Layer, by_age
from services.desk.store.days import judged
from shared.db import stream
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, currency_digits, spread
from shared.report import BY_THEN, ON_DAY, Column, Filters, Kind, Picture, Report, Row, matching

COLUMNS = (
    Column("company"),
    Column("item"),
    Column("warehouse"),
    Column("batch"),
    Column("age"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("currency"),
    Column("oldest_on", Kind.DATE),
    Column("newest_on", Kind.DATE),
)
# What was cancelled, and what cancelled it, has never been: of both only the values count, which add up to nothing.
_SELECT = f"""
WITH entry AS (
    SELECT * FROM ledger.stock_ledger WHERE {matching("company item")} AND {BY_THEN} AND {ON_DAY}
)
SELECT company, item, warehouse, CASE WHEN kept.tracking = 'batch' THEN entry.batch END AS batch, serial, cost,
    cast(entry_id AS text) AS entry, source, id, line, purpose, posting_date, entry.quantity, entry.value, currency,
    purpose = 'cancellation' AND original IS NOT NULL OR EXISTS (
        SELECT FROM ledger.stock_ledger AS undoing
        WHERE (undoing.company, undoing.original) = (entry.company, coalesce(entry.part_of, entry.entry_id))
            AND undoing.purpose = 'cancellation'
            AND (cast(:known_at AS timestamptz) IS NULL OR undoing.recorded_at <= :known_at)
    ) AS is_undone
FROM entry
LEFT JOIN (SELECT company, item, tracking FROM receiving.items) AS kept USING (company, item)
LEFT JOIN (SELECT company, serial, entry_id, cost FROM ledger.serial_ledger) AS unit USING (company, entry_id)
ORDER BY company, item, takes_effect_at, recorded_at, source, id, ordinal, entry_id, serial
"""
_MOVES = {each.name for each in PURPOSES.values() if each.flow is Flow.MOVE}


@dataclass(slots=True)
class _Bin:
    """A bin, or a batch in it: what it is worth, and what the units in it cost."""

    value: Decimal = ZERO
    layers: list[Layer] = field(default_factory=list)
    weights: list[Decimal] = field(default_factory=list)
    owed: Decimal = ZERO


def _read(connection: Connection, filters: Filters) -> Iterator[Row]:
    days = {each.company: each.day for each in judged(connection, filters)}
    rows = stream(connection, _SELECT, **filters.given())
    for (company, item), entries in groupby(rows, key=lambda row: (row.company, row.item)):
        bins, currency = _bins(entries)
        for (warehouse, batch), each in sorted(bins.items(), key=lambda found: (found[0][0], found[0][1] or "")):
            if filters.warehouse in (None, warehouse) and filters.batch in (None, batch):
                for told in _aged(each, days[company], currency_digits(currency)):
                    yield (company, item, warehouse, batch, *told[:3], currency, *told[3:])


def _bins(entries: Iterator[Any]) -> tuple[dict[tuple[str, str | None], _Bin], str]:
    """The bins of one item, and the currency of its values."""
    bins: dict[tuple[str, str | None], _Bin] = {}
    goods, costs = Item(), dict[str | None, Decimal]()
    currency, last = "", None
    for row in entries:
        currency = row.currency
        if row.entry != last:
            bins.setdefault((row.warehouse, row.batch), _Bin()).value += row.value
            last = row.entry
        if row.serial is not None and not row.is_undone:
            costs[row.serial] = row.cost
        if row.quantity and not row.is_undone:
            goods.take(_change(row))
    for (warehouse, lot), place in goods.places.items():
        found = bins[warehouse, None] if (warehouse, lot) not in bins else bins[warehouse, lot]
        found.layers += place.layers
        found.weights += [layer.quantity * costs.get(lot, Decimal(1)) for layer in place.layers]
        found.owed += place.owed
    return bins, currency


def _change(row: Any) -> Change:
    quantity = row.quantity if row.serial is None else Decimal(1).copy_sign(row.quantity)
    moved = (row.source, row.id, row.line) if row.purpose in _MOVES else None
    return Change(row.warehouse, row.serial or row.batch, quantity, row.posting_date, moved)


def _aged(each: _Bin, day: date, digits: int) -> Iterator[Row]:
    """Age, quantity, value, and the days of the oldest and the newest; the values add up to that of the bin."""
    weights = {id(layer): weight for layer, weight in zip(each.layers, each.weights, strict=True)}
    ages = list(by_age(each.layers, day))
    if not ages:
        if each.owed or each.value:
            yield SHORT if each.owed else None, -each.owed, each.value, None, None
        return
    values = spread(each.value, [sum((weights[id(layer)] for layer in found), ZERO) for _, found in ages], digits)
    for (name, found), value in zip(ages, values, strict=True):
        quantity = sum((layer.quantity for layer in found), ZERO) - (each.owed if name == ages[-1][0] else ZERO)
        came = [layer.day for layer in found]
        yield name, quantity, value, min(came), max(came)


REPORT = Report(
    name="ageing",
    title="Ageing",
    columns=COLUMNS,
    takes=("company", "item", "warehouse", "batch", "on", "as_of", "known_at"),
    read=_read,
    picture=Picture("age", "value", (*AGES, SHORT)),
)
