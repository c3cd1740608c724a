"""How old stock is, pure: what is there came with the latest receipts, since the oldest leaves first.

The idea: every place (a lot in a warehouse) is a queue of layers, each a quantity with the day on which it came into
the company. What leaves takes from the oldest; what moves to another warehouse takes its layers along, days and all.
Where units are told apart each is a lot of its own, so what is said of it is exact, whatever left first. What leaves
beyond stock is owed, and the next to arrive pays it.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from shared.quantities import ZERO

LIMITS = (30, 60, 90, 180, 365)
OVER = f"over {LIMITS[-1]}"
SHORT = "short"
AGES = (*(f"{first}-{last}" for first, last in zip((0, *(n + 1 for n in LIMITS)), LIMITS, strict=False)), OVER)


@dataclass(frozen=True, slots=True)
class Layer:
    """A quantity above zero that came on a day."""

    day: date
    quantity: Decimal


@dataclass(slots=True)
class Place:
    """What stands in one place, the oldest first, or what was issued there beyond stock."""

    layers: deque[Layer] = field(default_factory=deque)
    owed: Decimal = ZERO

    def arrive(self, layers: Sequence[Layer]) -> None:
        """Put layers where their days belong; those of one day become one."""
        for layer in layers:
            paid = min(self.owed, layer.quantity)
            self.owed -= paid
            if rest := layer.quantity - paid:
                self._insert(Layer(layer.day, rest))

    def leave(self, quantity: Decimal) -> list[Layer]:
        """Take this much of the oldest; what was there of it."""
        taken: list[Layer] = []
        while quantity and self.layers:
            oldest = self.layers.popleft()
            part = min(quantity, oldest.quantity)
            taken.append(Layer(oldest.day, part))
            quantity -= part
            if rest := oldest.quantity - part:
                self.layers.appendleft(Layer(oldest.day, rest))
        self.owed += quantity
        return taken

    def _insert(self, layer: Layer) -> None:
        place = len(self.layers)
        while place and self.layers[place - 1].day > layer.day:
            place -= 1
        if place and self.layers[place - 1].day == layer.day:
            self.layers[place - 1] = Layer(layer.day, self.layers[place - 1].quantity + layer.quantity)
        else:
            self.layers.insert(place, layer)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of quantity in a place, on a day; `moved` names the movement and line by which goods change places."""

    warehouse: str
    lot: str | None
    quantity: Decimal
    day: date
    moved: tuple[str, str, int] | None = None


class Item:
    """The places of one item, and how they come to be what they are; changes come in the order of time."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, str | None], Place] = {}
        self._movement: tuple[str, str] | None = None
        self._on_the_way: dict[tuple[int, str | None], Place] = {}

    def take(self, change: Change) -> None:
        """Carry out a change; of a movement that changes places, all that leaves comes before what arrives."""
        place = self.places.setdefault((change.warehouse, change.lot), Place())
        way = self._way(change)
        if change.quantity < ZERO:
            way.arrive(place.leave(-change.quantity))
        else:
            known = way.leave(change.quantity)
            place.arrive([*known, *([Layer(change.day, way.owed)] if way.owed else [])])

    def _way(self, change: Change) -> Place:
        """What is on the way by the change's movement and line: nothing of what another movement took."""
        if change.moved is None:
            return Place()
        source, identifier, line = change.moved
        if self._movement != (source, identifier):
            self._movement, self._on_the_way = (source, identifier), {}
        return self._on_the_way.setdefault((line, change.lot), Place())


def age(came: date, day: date) -> str:
    """How many days ago it came, as one of `AGES`; what came on the day itself is 0 days old."""
    days = (day - came).days
    return next((name for name, last in zip(AGES, LIMITS, strict=False) if days <= last), OVER)


def by_age(layers: Sequence[Layer], day: date) -> Iterator[tuple[str, list[Layer]]]:
    """Layers by their age on a day, the youngest first; ages without any are left out."""
    return _grouped(layers, lambda layer: age(layer.day, day))


def _grouped(layers: Sequence[Layer], name_of: Callable[[Layer], str]) -> Iterator[tuple[str, list[Layer]]]:
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        found.setdefault(name_of(layer), []).append(layer)
    yield from ((name, found[name]) for name in AGES if name in found)
