"""What the shop of the faults has and does: its masters, its opening stock, and a load of mixed movements.

The load is drawn by a seed, and says of every movement what it changes: so what stands in each bin in the end is known
without asking any of the services. What comes in is more than what goes out, and much stands everywhere from the
beginning: nothing is refused, in whatever order it arrives.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.desk.events import Event, make_event
from shared.contracts.registry import MOVEMENT_REQUESTED

COMPANY, SOURCE, HASTY = "shop", "till", "scanner"
"""The till's movements wait for what they lack, the scanner's are answered at once."""
PATIENCE = 90  # seconds; longer than any fault lasts, so what is early is never refused for that
LATENESS = 1_800  # seconds; longer than a fault takes, so only what is meant to be back-dated is
WAREHOUSES = ("north", "south", "east", "west")
FIFO = tuple(f"fifo-{n}" for n in range(12))
AVERAGE = tuple(f"average-{n}" for n in range(12))
BATCHED = tuple(f"batched-{n}" for n in range(6))
SERIALIZED = tuple(f"serialized-{n}" for n in range(6))
PLAIN = FIFO + AVERAGE
GOODS = PLAIN + BATCHED + SERIALIZED
COUNTED = "counted"
"""An item that is counted: what its counts find depends on what came before them, so nobody foretells its stock."""
LATE_ITEM = "defined-late"
"""An item that becomes known when some of its movements wait already."""
UNFORESEEN = frozenset({COUNTED})
_OPENED = {
    **dict.fromkeys(PLAIN, 3_000),
    **dict.fromkeys(BATCHED, 1_000),
    **dict.fromkeys(SERIALIZED, 60),
    COUNTED: 500,
}

Asked = dict[str, Any]
Bin = tuple[str, str]
Effect = Mapping[Bin, int]


def masters() -> list[Event]:
    """All that has to be known before the first movement."""
    kinds: list[tuple[Iterable[str], dict[str, Any]]] = [
        (FIFO, {"valuation_method": "fifo"}),
        ((*AVERAGE, COUNTED), {"valuation_method": "moving_average"}),
        (BATCHED, {"tracking": "batch", "create_batches_on_receipt": True}),
        (SERIALIZED, {"tracking": "serial"}),
    ]
    return [
        definition("company", {"currency": "EUR", "lateness": LATENESS}),
        make_event("source.defined.v1", SOURCE, {"source": SOURCE, "patience": PATIENCE}, "source"),
        make_event("source.defined.v1", HASTY, {"source": HASTY, "patience": 0}, "source"),
        *(definition("warehouse", {"warehouse": each}, each) for each in WAREHOUSES),
        *(item(each, **fields) for items, fields in kinds for each in items),
    ]


def item(name: str, **fields: Any) -> Event:
    if fields.get("tracking") == "serial":
        fields["serial_series"] = f"{name.upper()}-.#######"
    return definition("item", {"item": name, **fields}, name)


def definition(kind: str, data: Mapping[str, Any], name: str = "") -> Event:
    return make_event(f"{kind}.defined.v1", SOURCE, {"company": COMPANY, **data}, name or kind)


def opening() -> list[Event]:
    """Much of everything everywhere, three days ago: before whatever is back-dated."""
    at = datetime.now(UTC) - timedelta(days=3)
    return [
        sent([movement(f"open {name} {place}", "purchase_receipt", [arriving(name, place, quantity, 2.5)], at)])
        for name, quantity in _OPENED.items()
        for place in WAREHOUSES
    ]


def opening_stock() -> Counter[Bin]:
    """What stands in each bin before the load."""
    return Counter({(name, place): quantity for name, quantity in _OPENED.items() for place in WAREHOUSES})


def sent(movements: Sequence[Asked], source: str = SOURCE) -> Event:
    """Movements as one event, in bulk if there are several."""
    if len(movements) == 1:
        return make_event(MOVEMENT_REQUESTED, source, movements[0])
    return _bulk(source, movements)


def _bulk(source: str, movements: Sequence[Asked]) -> Event:
    event = make_event(MOVEMENT_REQUESTED, source, {"movements": movements}, f"bulk {movements[0]['id']}")
    keys = [(source, each["id"]) for each in movements]
    return Event(event.kind, event.id, event.body, str(movements[0]["company"]), keys)


def movement(name: str, purpose: str, lines: list[Asked], at: datetime | None = None, **more: Any) -> Asked:
    at = at or datetime.now(UTC)
    return {"id": name, "company": COMPANY, "purpose": purpose, "posting_at": at.isoformat(), "lines": lines, **more}


def arriving(name: str, place: str, quantity: int, rate: float) -> Asked:
    line: Asked = {"item": name, "quantity": str(quantity), "rate": f"{rate:.4f}", "target": place}
    return {**line, "batch": f"{name}-B{quantity % 3}"} if name in BATCHED else line


def leaving(name: str, place: str, quantity: int) -> Asked:
    return {"item": name, "quantity": str(quantity), "source": place}


# --- the load --------------------------------------------------------------------------------------------------------


@dataclass
class Shopping:
    """Draws movements, and remembers of each what it changes; `cancels` and `events` are told by name."""

    seed: int
    effects: dict[str, Effect] = field(default_factory=dict)
    cancels: dict[str, str] = field(default_factory=dict)
    _left: list[Asked] = field(default_factory=list)
    _arrived: list[Asked] = field(default_factory=list)
    _drawn: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def draw(self, count: int) -> list[Asked]:
        """So many further movements."""
        return [self._draw() for _ in range(count)]

    def draw_back_dated(self, count: int) -> list[Asked]:
        """So many further movements, all of them told late."""
        return [self._draw(Shopping._back_dated) for _ in range(count)]

    def events(self, asked: Sequence[Asked], largest: int = 12) -> list[Event]:
        """Movements in this order, some to a message, and in the middle what makes the late item known."""
        events: list[Event] = []
        start = 0
        while start < len(asked):
            size = self._chance.randint(1, largest)
            events.append(sent(asked[start : start + size]))
            start += size
        # Defined again, it is the same definition: one that was answered before.
        events.insert(len(events) // 2, item(LATE_ITEM))
        return events

    def keep(self, asked: Asked, effect: Effect) -> Asked:
        """Have a movement that was not drawn here counted too."""
        self.effects[asked["id"]] = effect
        return asked

    def expected(self, accepted: Iterable[str]) -> dict[Bin, int]:
        """What stands in each bin when these movements, and no others, took effect."""
        stock = opening_stock()
        known = {name for name in accepted if name in self.effects}
        for name in known:
            stock.update(self.effects[name])
        for name in known & self.cancels.keys():
            if self.cancels[name] in known:
                stock.subtract(self.effects[self.cancels[name]])
        return {place: quantity for place, quantity in stock.items() if place[0] not in UNFORESEEN}

    def _draw(self, kind: "Drawn | None" = None) -> Asked:
        self._drawn += 1
        kinds, weights = zip(*_KINDS.items(), strict=True)
        draw = kind or self._chance.choices(kinds, weights)[0]
        asked, effect = draw(self, f"M{self._drawn}")
        return self.keep(asked, effect)

    def _places(self) -> tuple[str, str]:
        first, second = self._chance.sample(WAREHOUSES, 2)
        return first, second

    def _receipt(self, name: str) -> tuple[Asked, Effect]:
        goods, (place, _) = self._chance.choice(GOODS), self._places()
        quantity = self._chance.randint(2, 4)
        asked = movement(name, "purchase_receipt", [arriving(goods, place, quantity, self._rate())])
        if goods in PLAIN:
            self._arrived.append(asked)
        return asked, {(goods, place): quantity}

    def _delivery(self, name: str) -> tuple[Asked, Effect]:
        goods, (place, _) = self._chance.choice(GOODS), self._places()
        asked = movement(name, "delivery", [leaving(goods, place, 1)])
        self._left.append(asked)
        return asked, {(goods, place): -1}

    def _sale(self, name: str) -> tuple[Asked, Effect]:
        """A ticket of two items, paid in cash."""
        goods, (place, _) = self._chance.sample(GOODS, 2), self._places()
        lines = [{**leaving(each, place, 1), "net": "4.20"} for each in goods]
        return movement(name, "sale", lines, customer="C1"), {(each, place): -1 for each in goods}

    def _transfer(self, name: str) -> tuple[Asked, Effect]:
        goods, (source, target) = self._chance.choice(GOODS), self._places()
        line = {**leaving(goods, source, 1), "target": target}
        return movement(name, "material_transfer", [line]), {(goods, source): -1, (goods, target): 1}

    def _return(self, name: str) -> tuple[Asked, Effect]:
        if not self._left:
            return self._delivery(name)
        of = self._left.pop(self._chance.randrange(len(self._left)))
        (line,) = of["lines"]
        back = {"item": line["item"], "quantity": "1", "target": line["source"]}
        asked = movement(name, "sales_return", [back], against={"id": of["id"]})
        return asked, {(line["item"], line["source"]): 1}

    def _repack(self, name: str) -> tuple[Asked, Effect]:
        (consumed, made), (place, _) = self._chance.sample(PLAIN, 2), self._places()
        output = {"item": made, "quantity": "1", "target": place}
        asked = movement(name, "repack", [leaving(consumed, place, 1), output])
        return asked, {(consumed, place): -1, (made, place): 1}

    def _count(self, name: str) -> tuple[Asked, Effect]:
        """An item that is counted, sold from, and counted again."""
        place, _ = self._places()
        if self._chance.random() < 0.5:
            return movement(name, "delivery", [leaving(COUNTED, place, 1)]), {}
        found = {"item": COUNTED, "quantity": str(self._chance.randint(480, 520)), "target": place}
        return movement(name, "reconciliation", [found]), {}

    def _late_item(self, name: str) -> tuple[Asked, Effect]:
        place, _ = self._places()
        asked = movement(name, "purchase_receipt", [arriving(LATE_ITEM, place, 1, 1.0)])
        return asked, {(LATE_ITEM, place): 1}

    def _back_dated(self, name: str) -> tuple[Asked, Effect]:
        """Told hours later: it takes effect before what stands there already."""
        goods, (place, _) = self._chance.choice(PLAIN), self._places()
        at = datetime.now(UTC) - timedelta(hours=self._chance.randint(2, 40))
        if self._chance.random() < 0.5:
            return movement(name, "delivery", [leaving(goods, place, 1)], at), {(goods, place): -1}
        line = arriving(goods, place, 3, self._rate())
        return movement(name, "purchase_receipt", [line], at), {(goods, place): 3}

    def _cancellation(self, name: str) -> tuple[Asked, Effect]:
        if not self._arrived:
            return self._receipt(name)
        of = self._arrived.pop(self._chance.randrange(len(self._arrived)))
        self.cancels[name] = of["id"]
        asked = movement(name, "cancellation", [], against={"id": of["id"]}, actor="mira", reason="rung up twice")
        return asked, {}

    def _landed_cost(self, name: str) -> tuple[Asked, Effect]:
        if not self._arrived:
            return self._receipt(name)
        of = self._arrived.pop(self._chance.randrange(len(self._arrived)))
        costs = [{"amount": f"{self._chance.randint(100, 999) / 100:.2f}"}]
        return movement(name, "landed_cost", [], against={"id": of["id"]}, additional_costs=costs), {}

    def _rate(self) -> float:
        """Hardly ever whole cents."""
        return self._chance.randint(10_000, 60_000) / 10_000


Drawn = Callable[[Shopping, str], tuple[Asked, Effect]]
_KINDS: Mapping[Drawn, int] = {
    Shopping._receipt: 310,
    Shopping._delivery: 243,
    Shopping._sale: 100,
    Shopping._transfer: 180,
    Shopping._return: 90,
    Shopping._repack: 30,
    Shopping._count: 20,
    Shopping._late_item: 8,
    Shopping._back_dated: 8,
    Shopping._cancellation: 7,
    Shopping._landed_cost: 4,
}
"""How often each is drawn, of a thousand."""
