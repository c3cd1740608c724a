"""Where the nodes of a picture stand: in layers, so that arrows lead from one layer to a later one.

The one idea (Sugiyama's): arrows that would close a circle are turned round, each node stands one layer behind the last
of those that lead to it, an arrow over several layers gets a place in each, and a node stands about where its
neighbours do, so that few arrows cross.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Arrow = tuple[str, str]
SWEEPS = 6


@dataclass(frozen=True, slots=True)
class Layout:
    """The names in each layer, from top to bottom, and of each arrow the places on its way, with both its ends.

    Places on the way of an arrow that is no node have names of their own.
    """

    layers: Sequence[Sequence[str]]
    ways: Mapping[Arrow, Sequence[str]]


def layout(nodes: Sequence[str], arrows: Iterable[Arrow]) -> Layout:
    """Layers for nodes, which have names of their own; an arrow from a node to itself has no part in it."""
    forward = _without_circles(nodes, [each for each in arrows if each[0] != each[1]])
    layer = _layers(nodes, set(forward.values()))
    ways: dict[Arrow, list[str]] = {}
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in nodes:
        rows[layer[name]].append(name)
    for arrow, (start, end) in forward.items():
        between = [f"{start}\0{end}\0{place}" for place in range(layer[start] + 1, layer[end])]
        for place, name in enumerate(between, start=layer[start] + 1):
            if name not in rows[place]:
                rows[place].append(name)
        way = [start, *between, end]
        ways[arrow] = way if arrow == (start, end) else way[::-1]
    return Layout(_ordered(rows, ways.values()), ways)


def _without_circles(nodes: Sequence[str], arrows: Sequence[Arrow]) -> dict[Arrow, Arrow]:
    """Each arrow, turned round where it leads back to a node on the way to it."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for start, end in arrows:
        after[start].append(end)
    turned: set[Arrow] = set()
    done: set[str] = set()
    for root in nodes:
        if root in done:
            continue
        on_the_way = {root: iter(after[root])}
        while on_the_way:
            name = next(reversed(on_the_way))
            following = next(on_the_way[name], None)
            if following is None:
                done.add(name)
                del on_the_way[name]
            elif following in on_the_way:
                turned.add((name, following))
            elif following not in done:
                on_the_way[following] = iter(after[following])
    return {arrow: arrow[::-1] if arrow in turned else arrow for arrow in arrows}


def _layers(nodes: Sequence[str], arrows: Iterable[Arrow]) -> dict[str, int]:
    after: dict[str, list[str]] = {name: [] for name in nodes}
    before = dict.fromkeys(nodes, 0)
    for start, end in arrows:
        after[start].append(end)
        before[end] += 1
    layer = dict.fromkeys(nodes, 0)
    ready = [name for name in nodes if not before[name]]
    for name in ready:
        for following in after[name]:
            layer[following] = max(layer[following], layer[name] + 1)
            before[following] -= 1
            if not before[following]:
                ready.append(following)
    return layer


def _ordered(rows: Sequence[Sequence[str]], ways: Iterable[Sequence[str]]) -> list[list[str]]:
    """Rows in which each name stands about where its neighbours do, from the one side and from the other by turns."""
    near: dict[str, list[str]] = {}
    for way in ways:
        for one, other in pairwise(way):
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
    ordered = [list(row) for row in rows]
    place = {name: number for row in ordered for number, name in enumerate(row)}
    row_of = {name: number for number, row in enumerate(ordered) for name in row}
    for sweep in range(SWEEPS):
        numbers = range(len(ordered)) if sweep % 2 == 0 else range(len(ordered) - 1, -1, -1)
        for number in numbers:
            looked_at = number - 1 if sweep % 2 == 0 else number + 1
            middle = {
                name: _middle([place[each] for each in near.get(name, ()) if row_of[each] == looked_at], place[name])
                for name in ordered[number]
            }
            ordered[number].sort(key=lambda name, middle=middle: (middle[name], place[name]))  # type: ignore[misc]
            place.update({name: spot for spot, name in enumerate(ordered[number])})
    return ordered


def _middle(places: Sequence[int], otherwise: int) -> float:
    return sum(places) / len(places) if places else otherwise
