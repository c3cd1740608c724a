"""A trace as rows and as a document: everything that was found, for a spreadsheet or a script.

A row is one of: something that happened to goods, a link between goods, goods on hand, a balance that does not hold.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from services.desk.trace.balance import Balance
from services.desk.trace.goods import Event, Goods, Kind, Link
from services.desk.trace.tracing import Trace
from services.desk.trace.walking import Walk
from shared.quantities import plain
from shared.report import Column, Row
from shared.report import Kind as Values

COLUMNS = (
    Column("way"),
    Column("depth", Values.COUNT),
    Column("item"),
    Column("batch"),
    Column("serial"),
    Column("what"),
    Column("quantity", Values.QUANTITY),
    Column("unit"),
    Column("warehouse"),
    Column("source"),
    Column("id"),
    Column("line", Values.COUNT),
    Column("posting_date", Values.DATE),
    Column("document"),
    Column("supplier"),
    Column("supplier_batch"),
    Column("manufactured_on", Values.DATE),
    Column("manufactured_at"),
    Column("customer"),
    Column("recipient"),
    Column("from_item"),
    Column("from_batch"),
    Column("from_serial"),
    Column("from_quantity", Values.QUANTITY),
)
"""`went into`: so much of what the last columns name went into these goods; of units, into all of their line."""


def rows(trace: Trace) -> Iterator[Row]:
    """What was found, way by way and goods by goods; then what stands where."""
    names = [column.name for column in COLUMNS]
    for told in _told(trace):
        yield [told.get(name) for name in names]


def document(trace: Trace) -> dict[str, Any]:
    """The trace as JSON has it."""
    return {
        "company": trace.start.company,
        "as_of": trace.as_of.isoformat() if trace.as_of is not None else None,
        "movements": [{"source": source, "id": name} for source, name in trace.start.keys],
        "starts": [_names(goods) for goods in trace.start.goods],
        **{way.value: _walk(trace, walk) for way, walk in trace.walks.items()},
        "goods": [_record(trace, goods, balance) for goods, balance in trace.balances.items()],
        "complete": not any(walk.cut for walk in trace.walks.values()),
        "balanced": all(balance.holds for balance in trace.balances.values()),
    }


# --- rows -------------------------------------------------------------------------------------------------------------


def _told(trace: Trace) -> Iterator[dict[str, Any]]:
    for way, walk in trace.walks.items():
        for goods, depth in walk.depths.items():
            about = {"way": way.value, "depth": depth, **_names(goods), "unit": trace.stock_units.get(goods.item)}
            yield from (about | _event(trace, event) for event in walk.events.get(goods, ()))
        for links in walk.links.values():
            yield from (_link(trace, walk, link) for link in links)
    for goods, balance in trace.balances.items():
        about = {**_names(goods), "unit": trace.stock_units.get(goods.item)}
        for warehouse, quantity in sorted(balance.on_hand.items()):
            what = "in transit" if warehouse in trace.in_transit else "on hand"
            if quantity:
                yield about | {"what": what, "quantity": quantity, "warehouse": warehouse}
        if not balance.holds:
            yield about | {"what": "not accounted for", "quantity": balance.difference}


def _event(trace: Trace, event: Event) -> dict[str, Any]:
    told: dict[str, Any] = {
        "what": event.kind.value,
        "quantity": event.quantity,
        "warehouse": event.warehouse,
        "line": event.line,
    }
    told |= _movement(trace, event)
    batch = trace.batches.get(event.goods)
    if batch is not None and event.kind in (Kind.RECEIVED, Kind.PRODUCED):
        told |= {name: getattr(batch, name) for name in ("supplier_batch", "manufactured_on", "manufactured_at")}
        told["supplier"] = told["supplier"] or batch.supplier
    return told


def _link(trace: Trace, walk: Walk, link: Link) -> dict[str, Any]:
    """A link stands with the goods that it leads to; what they are made of, or went into, stands beside."""
    source, name = link.key
    movement = trace.movements.get(link.key)
    return {
        "way": walk.way.value,
        "depth": walk.depths[walk.ahead(link)],
        **_names(link.produced),
        "what": "went into",
        "quantity": link.made,
        "unit": trace.stock_units.get(link.produced.item),
        "source": source,
        "id": name,
        "posting_date": movement.posting_date if movement is not None else None,
        "document": movement.document if movement is not None else None,
        **{f"from_{field}": value for field, value in _names(link.consumed).items()},
        "from_quantity": link.part,
    }


def _movement(trace: Trace, event: Event) -> dict[str, Any]:
    named: dict[str, Any] = {"source": event.key[0], "id": event.key[1]}
    movement = trace.movements.get(event.key)
    fields = ("posting_date", "document", "supplier", "customer", "recipient")
    return named | {name: getattr(movement, name, None) for name in fields}


def _names(goods: Goods) -> dict[str, str | None]:
    return {"item": goods.item, "batch": goods.batch, "serial": goods.serial}


# --- as JSON ----------------------------------------------------------------------------------------------------------


def _walk(trace: Trace, walk: Walk) -> dict[str, Any]:
    happened = [
        _plain(_names(goods) | _event(trace, event) | {"entry": event.entry, "original": event.original})
        for goods in walk.depths
        for event in walk.events.get(goods, ())
    ]
    links = [_plain(_link(trace, walk, link)) for own in walk.links.values() for link in own]
    goods = [_names(goods) | {"depth": depth} for goods, depth in walk.depths.items()]
    return {"goods": goods, "events": happened, "links": links, "cut": sorted(walk.cut)}


def _record(trace: Trace, goods: Goods, balance: Balance) -> dict[str, Any]:
    known = trace.batches.get(goods) or trace.units.get(goods)
    sums = {kind.value: plain(balance.of(kind)) for kind in Kind if balance.of(kind)}
    on_hand = [
        {"warehouse": place, "quantity": plain(quantity), "in_transit": place in trace.in_transit}
        for place, quantity in sorted(balance.on_hand.items())
        if quantity
    ]
    about = {"unit": trace.stock_units.get(goods.item), "on_hand": on_hand}
    holds = {"holds": balance.holds, "difference": plain(balance.difference)}
    return (
        _plain(_names(goods))
        | _plain(known._asdict() if known is not None else {})
        | about
        | {"balance": {"sums": sums, "standing": plain(balance.standing), **holds}}
    )


def _plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """Without what nobody knows; dates and numbers as texts."""
    return {name: _text(value) for name, value in told.items() if value is not None}


def _text(value: Any) -> Any:
    if isinstance(value, str | int):
        return str(value) if isinstance(value, str) else value
    return value.isoformat() if hasattr(value, "isoformat") else plain(value)
