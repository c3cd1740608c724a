"""A trace as a picture: suppliers, goods, makings, customers and places, and what went from one to the other.

Everything between two of them is one arrow, so a picture grows with the goods and not with what happened to them.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.desk.trace.goods import Event, Goods, Kind, Link, Way
from services.desk.trace.tracing import Trace
from shared.errors import StockbookError
from shared.quantities import ZERO, plain

MOST = 300
"""Nodes of a picture that somebody can still read."""


class Shape(StrEnum):
    """What a node stands for."""

    GOODS = "goods"
    MAKING = "making"
    PARTY = "party"
    PLACE = "place"


@dataclass(frozen=True, slots=True)
class Node:
    """Something in the picture; what is written on it, in lines."""

    shape: Shape
    lines: tuple[str, ...]
    start: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Nodes by a name of their own, and what is written on the arrows from one to another."""

    nodes: dict[str, Node]
    arrows: dict[tuple[str, str], str]


def picture_of(trace: Trace) -> Picture:
    """The picture of a trace. StockbookError where there is too much to be drawn."""
    drawing = _Drawing(trace)
    for way, walk in trace.walks.items():
        for goods in walk.depths:
            for event in walk.events.get(goods, ()):
                drawing.happened(way, event)
        for own in walk.links.values():
            for link in own:
                drawing.went_into(link)
    for goods, balance in trace.balances.items():
        if Way.DOWN in trace.walks and goods in trace.walks[Way.DOWN].depths:
            for place, quantity in balance.on_hand.items():
                drawing.stands(goods, place, quantity)
    picture = drawing.picture()
    if len(picture.nodes) > MOST:
        raise StockbookError("too much to draw: trace less, or write csv", nodes=len(picture.nodes), most=MOST)
    return picture


class _Drawing:
    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._nodes: dict[str, Node] = {}
        self._sums: dict[tuple[str, str], tuple[Decimal, str]] = {}
        for goods in trace.start.goods:
            self._goods(goods)

    def picture(self) -> Picture:
        arrows = {
            ends: f"{plain(quantity)} {unit}".strip() for ends, (quantity, unit) in self._sums.items() if quantity
        }
        linked = {end for ends in arrows for end in ends}
        nodes = {name: node for name, node in self._nodes.items() if name in linked or node.start}
        return Picture(nodes, arrows)

    def happened(self, way: Way, event: Event) -> None:
        """Where goods came from outside, or went to; what links them with others is told by the links."""
        if way is Way.UP and event.kind is Kind.RECEIVED:
            self._add(self._origin(event), self._goods(event.goods), event.quantity, event.goods)
        elif way is Way.DOWN and (end := self._end(event)) is not None:
            self._add(self._goods(event.goods), end, -event.quantity, event.goods)

    def went_into(self, link: Link) -> None:
        """A making between goods: the same arrow is told by several links, once for each pair."""
        making = self._making(link.key)
        made = link.made if link.produced.serial is None else Decimal(1)
        self._set(self._goods(link.consumed), making, link.quantity, link.consumed)
        self._set(making, self._goods(link.produced), made, link.produced)

    def stands(self, goods: Goods, place: str, quantity: Decimal) -> None:
        """What there is of goods in a warehouse."""
        state = "in transit" if place in self._trace.in_transit else "on hand"
        name = self._node(f"place {place}", Node(Shape.PLACE, (place, state)))
        self._add(self._goods(goods), name, quantity, goods)

    def _origin(self, event: Event) -> str:
        movement = self._trace.movements.get(event.key)
        batch = self._trace.batches.get(event.goods)
        supplier = (movement and movement.supplier) or (batch and batch.supplier)
        told = movement.purpose.replace("_", " ") if movement is not None else ""
        lot = f"lot {batch.supplier_batch}" if batch is not None and batch.supplier_batch else ""
        when = f"{event.key[1]}, {movement.posting_date}" if movement is not None else event.key[1]
        lines = tuple(filter(None, (supplier or told, when, lot)))
        return self._node(f"origin {event.key} {lot}", Node(Shape.PARTY, lines))

    def _end(self, event: Event) -> str | None:
        """With whom, or as what, goods ended; what came back of a delivery is taken from its customer."""
        movement = self._trace.movements.get(event.key)
        if event.kind in (Kind.DELIVERED, Kind.RETURNED):
            whom = (movement and movement.customer) or "customers without a name"
            return self._node(f"customer {whom}", Node(Shape.PARTY, (whom,)))
        if event.kind is Kind.ISSUED:
            whom = (movement and movement.recipient) or event.key[1]
            return self._node(f"issued {whom}", Node(Shape.PARTY, ("issued", whom)))
        if event.kind is Kind.SENT_BACK:
            whom = (movement and movement.supplier) or event.key[1]
            return self._node(f"back {whom}", Node(Shape.PARTY, ("sent back", whom)))
        return self._node("scrapped", Node(Shape.PARTY, ("scrapped",))) if event.kind is Kind.SCRAPPED else None

    def _goods(self, goods: Goods) -> str:
        number = f"serial {goods.serial}" if goods.serial else f"batch {goods.batch}" if goods.batch else "untracked"
        return self._node(f"goods {goods}", Node(Shape.GOODS, (goods.item, number), goods in self._trace.start.goods))

    def _making(self, key: tuple[str, str]) -> str:
        movement = self._trace.movements.get(key)
        lines = (key[1], *((str(movement.posting_date),) if movement is not None else ()))
        return self._node(f"making {key}", Node(Shape.MAKING, lines))

    def _node(self, name: str, node: Node) -> str:
        self._nodes.setdefault(name, node)
        return name

    def _add(self, start: str, end: str, quantity: Decimal, goods: Goods) -> None:
        before, unit = self._sums.get((start, end), (ZERO, self._trace.stock_units.get(goods.item, "")))
        self._sums[start, end] = (before + quantity, unit)

    def _set(self, start: str, end: str, quantity: Decimal, goods: Goods) -> None:
        self._sums[start, end] = (quantity, self._trace.stock_units.get(goods.item, ""))
