"""The walk from goods to goods: what some came from, or what came of them, one step of all goods at a time.

The one idea: a batch is one thing, whatever happened to it when; whoever took of it may have got any of it. So each of
the goods is looked at once, by the shortest way to it, and goods that went into themselves end the walk like others.
Untracked goods end it too: of which receipt they are, or what was made of them, nobody can tell.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from services.desk.trace.goods import Event, Goods, Key, Kind, Link, Making, Way
from shared.quantities import ZERO


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a walk goes: makings one behind the other, goods, and things that happened to them."""

    depth: int = 50
    goods: int = 5_000
    events: int = 100_000


class Reader(Protocol):
    """What the books say. Of either, no more than `most` rows are read; then the second value is true."""

    def events(self, goods: Collection[Goods], way: Way, most: int) -> tuple[Sequence[Event], bool]:
        """What happened to goods, in the order of time, as far as it lies that way."""

    def makings(self, keys: Collection[Key], way: Way, most: int) -> tuple[Sequence[Making], bool]:
        """Makings: of the side that lies that way all, with serials."""


@dataclass(slots=True)
class Walk:
    """What was found one way: goods with the number of makings to them, what happened to each, and what links them.

    `cut` says why it does not go on everywhere, if so.
    """

    way: Way
    depths: dict[Goods, int]
    events: dict[Goods, list[Event]] = field(default_factory=dict)
    links: dict[Goods, list[Link]] = field(default_factory=dict)
    makings: dict[Key, Making] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)

    def ahead(self, link: Link) -> Goods:
        """The goods to which a link leads, on this way."""
        return link.consumed if self.way is Way.UP else link.produced


def walk(starts: Sequence[Goods], way: Way, limits: Limits, reader: Reader) -> Walk:
    """Go that way from some goods, as far as it leads or the limits allow."""
    found = Walk(way, dict.fromkeys(starts, 0))
    rows = limits.events
    frontier = list(found.depths)
    while frontier:
        tracked = [goods for goods in frontier if goods.is_tracked]
        events, too_many = reader.events(tracked, way, rows) if tracked else ((), False)
        rows -= len(events)
        _note(found, events)
        if too_many:
            found.cut.add("events")
            break
        joints = _joints(found, tracked)
        if joints and found.depths[frontier[0]] == limits.depth:
            found.cut.add("depth")
            break
        makings, too_many = reader.makings({each.key for each in joints}, way, rows) if joints else ((), False)
        if too_many:
            found.cut.add("events")
            break
        rows = max(0, rows - sum(len(side.serials) or 1 for each in makings for side in each.sides.values()))
        found.makings |= {each.key: each for each in makings}
        frontier = _step(found, _links(found, joints), limits)
    return found


def _note(found: Walk, events: Iterable[Event]) -> None:
    for event in events:
        found.events.setdefault(event.goods, []).append(event)


def _joints(found: Walk, goods: Iterable[Goods]) -> list[Event]:
    """The events by which goods are linked with others that way."""
    kind = Kind.PRODUCED if found.way is Way.UP else Kind.CONSUMED
    return [event for each in goods for event in found.events.get(each, ()) if event.kind is kind]


def _links(found: Walk, joints: Iterable[Event]) -> Iterator[Link]:
    """A link for each pair of goods, of which several entries may be in one making."""
    own: dict[tuple[Goods, Key], list[Event]] = {}
    for event in joints:
        own.setdefault((event.goods, event.key), []).append(event)
    for (goods, key), events in own.items():
        if key in found.makings:
            making = found.makings[key]
            yield from _upward(making, goods, events) if found.way is Way.UP else _downward(making, goods, events)


def _upward(making: Making, produced: Goods, events: Sequence[Event]) -> list[Link]:
    products = [making.sides[event.entry] for event in events]
    pieces = [side.piece for side in products if side.piece is not None]
    made = sum((side.quantity for side in products), ZERO)
    taken: dict[Goods, tuple[Decimal, Decimal]] = {}
    for side in making.sides.values():
        for goods, quantity in side.goods() if side.piece is None else ():
            part = sum((piece.of(quantity) for piece in pieces), ZERO)
            _add(taken, goods, quantity, part)
    return [Link(making.key, goods, produced, quantity, part, made) for goods, (quantity, part) in taken.items()]


def _downward(making: Making, consumed: Goods, events: Sequence[Event]) -> list[Link]:
    quantities = [abs(event.quantity) for event in events]
    given: dict[Goods, tuple[Decimal, Decimal]] = {}
    for side in making.sides.values():
        if side.piece is not None:
            part = sum(map(side.piece.of, quantities), ZERO)
            for goods, _ in side.goods():
                _add(given, goods, part, side.quantity)
    whole = sum(quantities, ZERO)
    return [Link(making.key, consumed, goods, whole, part, made) for goods, (part, made) in given.items()]


def _add(sums: dict[Goods, tuple[Decimal, Decimal]], goods: Goods, one: Decimal, other: Decimal) -> None:
    """Goods may stand in several entries of one side."""
    before = sums.get(goods, (ZERO, ZERO))
    sums[goods] = (before[0] + one, before[1] + other)


def _step(found: Walk, links: Iterable[Link], limits: Limits) -> list[Goods]:
    """Note links, and the goods that are new; these are looked at next."""
    new: list[Goods] = []
    for link in links:
        behind = link.produced if found.way is Way.UP else link.consumed
        ahead = found.ahead(link)
        if ahead not in found.depths:
            if len(found.depths) >= limits.goods:
                found.cut.add("goods")
                continue
            found.depths[ahead] = found.depths[behind] + 1
            new.append(ahead)
        found.links.setdefault(behind, []).append(link)
    return new
