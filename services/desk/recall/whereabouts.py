"""What stands of recalled goods and where, what left otherwise than to customers since, and who had supplied them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from services.desk.recall.reaching import Lot, lot_of
from services.desk.store.recalls import Recalled
from services.desk.trace.goods import Event, Goods, Key, Kind, Way
from services.desk.trace.tracing import Trace
from shared.quantities import ZERO

QUARANTINE = "quarantine"
QUARANTINED = "quarantined"
_LEFT = (Kind.SCRAPPED, Kind.SENT_BACK, Kind.CONSUMED, Kind.ADJUSTED)


class Place(NamedTuple):
    """What stands of a batch, or of its units, in a warehouse of a kind; `frozen`: it does not leave."""

    warehouse: str
    kind: str | None
    item: str
    batch: str | None
    serials: tuple[str, ...]
    quantity: Decimal
    unit: str | None
    frozen: bool


class Left(NamedTuple):
    """What one movement did with a batch or its units; found by a count it is above zero, or below."""

    what: str
    key: Key
    document: str | None
    posting_date: date | None
    item: str
    batch: str | None
    serials: tuple[str, ...]
    quantity: Decimal
    unit: str | None
    warehouse: str


class Supply(NamedTuple):
    """A receipt of goods, or of what they were made of (`depth` makings before), and their supplier's name for them."""

    depth: int
    item: str
    batch: str | None
    serials: tuple[str, ...]
    quantity: Decimal
    unit: str | None
    key: Key
    document: str | None
    posting_date: date | None
    supplier: str | None
    supplier_batch: str | None
    manufactured_on: date | None
    manufactured_at: str | None
    expires_on: date | None


def places(down: Trace, goods: Iterable[Recalled], warehouses: Mapping[str, str]) -> list[Place]:
    """What stands where, warehouse by warehouse."""
    frozen = {each.goods for each in goods if each.frozen}
    found: dict[tuple[str, str, str, bool], list[tuple[Goods, Decimal]]] = {}
    for each, balance in down.balances.items():
        item, batch = lot_of(down, each)
        for warehouse, quantity in balance.on_hand.items():
            if quantity:
                found.setdefault((warehouse, item, batch or "", each in frozen), []).append((each, quantity))
    return [_place(down, *about, warehouses, own) for about, own in sorted(found.items(), key=lambda each: each[0])]


def _place(
    down: Trace,
    warehouse: str,
    item: str,
    batch: str,
    frozen: bool,
    warehouses: Mapping[str, str],
    own: Sequence[tuple[Goods, Decimal]],
) -> Place:
    quantity = sum((each for _, each in own), ZERO)
    unit = down.stock_units.get(item)
    return Place(warehouse, warehouses.get(warehouse), item, batch or None, _serials(own), quantity, unit, frozen)


def left_since(down: Trace, recalled_at: datetime, warehouses: Mapping[str, str]) -> list[Left]:
    """What went another way than to customers since a recall, or was set apart, in the order in which it did."""
    found: dict[tuple[Key, str, Lot, str], list[Event]] = {}
    for event in _in_order(down, Way.DOWN):
        apart = event.kind is Kind.MOVED and event.quantity > ZERO and warehouses.get(event.warehouse) == QUARANTINE
        if event.effective_at > recalled_at and (apart or event.kind in _LEFT):
            what = QUARANTINED if apart else event.kind.value
            found.setdefault((event.key, what, lot_of(down, event.goods), event.warehouse), []).append(event)
    return [_left(down, *about, events) for about, events in found.items()]


def _left(down: Trace, key: Key, what: str, lot: Lot, warehouse: str, events: Sequence[Event]) -> Left:
    own = [(each.goods, each.quantity) for each in events]
    quantity = sum((each for _, each in own), ZERO)
    told = quantity if events[0].kind is Kind.ADJUSTED else abs(quantity)
    about = (*document_of(down, key), *lot, _serials(own), told, down.stock_units.get(lot[0]), warehouse)
    return Left(what, key, *about)


def supplies(up: Trace) -> list[Supply]:
    """Every receipt that goods came from, theirs first, then those of what they were made of."""
    depths = up.walks[Way.UP].depths
    found: dict[tuple[int, Lot, Key], list[Event]] = {}
    for event in _in_order(up, Way.UP):
        if event.kind is Kind.RECEIVED:
            found.setdefault((depths[event.goods], lot_of(up, event.goods), event.key), []).append(event)
    ordered = sorted(found.items(), key=lambda each: (each[0][0], each[0][1][0], each[0][1][1] or ""))
    return [_supply(up, *about, events) for about, events in ordered]


def _supply(up: Trace, depth: int, lot: Lot, key: Key, events: Sequence[Event]) -> Supply:
    own = [(each.goods, each.quantity) for each in events]
    movement, goods = up.movements.get(key), events[0].goods
    batch, unit = up.batches.get(goods), up.units.get(goods)
    supplier = (movement and movement.supplier) or (batch and batch.supplier) or (unit and unit.supplier)
    return Supply(
        depth,
        *lot,
        _serials(own),
        sum((each for _, each in own), ZERO),
        up.stock_units.get(lot[0]),
        key,
        *document_of(up, key),
        supplier,
        batch and batch.supplier_batch,
        batch and batch.manufactured_on,
        batch and batch.manufactured_at,
        batch and batch.expires_on,
    )


def document_of(trace: Trace, key: Key) -> tuple[str | None, date | None]:
    """What a movement is called, and its day."""
    movement = trace.movements.get(key)
    return (movement.document, movement.posting_date) if movement is not None else (None, None)


def _in_order(trace: Trace, way: Way) -> list[Event]:
    happened = [event for own in trace.walks[way].events.values() for event in own]
    return sorted(happened, key=lambda each: (each.effective_at, each.key, each.line, each.goods.serial or ""))


def _serials(own: Iterable[tuple[Goods, Decimal]]) -> tuple[str, ...]:
    return tuple(sorted({goods.serial for goods, _ in own if goods.serial is not None}))
