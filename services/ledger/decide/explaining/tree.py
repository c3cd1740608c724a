"""The explanation as a tree: under each part what it is made of, in money that adds up to it.

The one idea: the tree grows level by level, and asks for what many parts need at once; so the history of a bin is gone
through a few times a level, however many of its entries the level asks about. Where goods are averaged again and again
it could grow without end: what is worth most is opened first, and what is worth nothing never.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from services.ledger.decide.explaining.entries import OPENED, Known, parts_of, whole_of
from services.ledger.decide.explaining.parts import PRECISE, Part, portions
from shared.quantities import QUANTITY_PLACES, ZERO, to_quantity

FIRST_PORTION = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How far to go: levels back, parts listed under one, nodes in all (below the roots); None is no limit."""

    depth: int | None = None
    parts: int | None = None
    nodes: int | None = None


@dataclass(slots=True)
class Node:
    """A part as it is shown: rounded. `parts` add up to `value`, with `rest`, the value of the `more` not listed.

    `closed`: it has parts, but was not opened. Not frozen: it is opened after it was found.
    """

    part: Part
    quantity: Decimal
    value: Decimal
    parts: Sequence["Node"] = ()
    more: int = 0
    rest: Decimal = ZERO
    closed: bool = field(init=False)

    def __post_init__(self) -> None:
        self.closed = self.part.kind in OPENED

    def unfold(self, known: Known, digits: int, limit: int | None) -> None:
        """Find its parts, and list the largest of them."""
        self.closed = False
        with localcontext(PRECISE):
            found = _nodes(parts_of(self.part, known), self.value, digits)
        self.parts = found if limit is None else _largest(found, limit)
        self.more = len(found) - len(self.parts)
        self.rest = sum((each.value for each in found), ZERO) - sum((each.value for each in self.parts), ZERO)

    def walk(self) -> Iterator["Node"]:
        """It, and all nodes below it."""
        pending = [self]
        while pending:
            node = pending.pop()
            yield node
            pending += node.parts


def root(entry: str, known: Known) -> Node:
    """The tree of an entry, not opened yet: what left is told without its sign."""
    part, recorded = whole_of(entry, known), known.entries[entry]
    sign = 1 if part.quantity == recorded.quantity else -1
    return Node(part, part.quantity, sign * recorded.total)


def grow(
    roots: Sequence[Node], known: Known, digits: int, limits: Limits, read: Callable[[Sequence[Part]], None]
) -> None:
    """Open all roots, and what is below them. `read` makes known all that opening these parts takes."""
    level = list(roots)
    found = depth = 0
    while level and depth != limits.depth:
        most = limits.nodes if depth else None
        for some in _more_and_more(level):
            if most is not None and found >= most:
                return
            read([node.part for node in some])
            for node in some:
                if most is None or found < most:
                    node.unfold(known, digits, limits.parts)
                    found += len(node.parts)
        level = sorted(
            (part for node in level for part in node.parts if part.closed and part.value),
            key=lambda node: -abs(node.value),
        )
        depth += 1


def _more_and_more(nodes: Sequence[Node]) -> Iterator[Sequence[Node]]:
    """Nodes in portions, each twice as large as the one before: nobody knows how many parts they will have."""
    start, size = 0, FIRST_PORTION
    while start < len(nodes):
        yield nodes[start : start + size]
        start, size = start + size, 2 * size


def _nodes(parts: Sequence[Part], value: Decimal, digits: int) -> list[Node]:
    if not parts:
        return []
    quantity = to_quantity(sum((each.quantity for each in parts), ZERO))
    quantities = portions(quantity, [each.quantity for each in parts], QUANTITY_PLACES)
    values = portions(value, [each.total for each in parts], digits)
    return [Node(*each) for each in zip(parts, quantities, values, strict=True) if each[1] or each[2]]


def _largest(nodes: Sequence[Node], limit: int) -> list[Node]:
    """Those of the largest value, in the order in which they were."""
    places = heapq.nlargest(limit, range(len(nodes)), key=lambda place: abs(nodes[place].value))
    return [nodes[place] for place in sorted(places)]
