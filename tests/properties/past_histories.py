"""Random histories of quantities that are not told in the order in which they happened.

Few goods, few places and few moments, so that much happens at one moment and many counts lie between. No two moments
are so near that a movement is only late.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from services.receiving.decide.stock import Item
from shared.contracts.movement import MovementRequested, RequestedLine
from tests.builders import MORNING
from tests.receiving_builders import Shop, item, line, movement

SPAN = 30
"""So many moments there are, ten minutes apart."""
STEP = timedelta(minutes=10)
GOODS: dict[str, dict[str, Any]] = {
    "tea": {},
    "coal": {"allow_negative_stock": True, "standard_rate": "2"},
    "cream": {"tracking": "batch", "create_batches_on_receipt": True, "pick": "fifo"},
    "phone": {"tracking": "serial"},
}
PLACES = ("north", "north", "south")
BATCHES = ("B1", "B2", "B3")


def shop_of(history: "History") -> Shop:
    """A shop of the items of a history."""
    return Shop(*(_item(**each) for each in history.goods()))


def _item(**fields: Any) -> Item:
    given = {"standard_rate": Decimal(fields["standard_rate"])} if "standard_rate" in fields else {}
    return item(fields.pop("item"), **{**fields, **given})


@dataclass
class History:
    """Draws movements of goods of its own; what is to happen is anyone's guess, so many are refused."""

    random: Random
    number: int
    _count: int = 0

    def goods(self) -> list[dict[str, Any]]:
        """The definitions of its items."""
        series = {"phone": {"serial_series": f"S{self.number}-.##"}}
        return [{"item": self._named(kind), **given, **series.get(kind, {})} for kind, given in GOODS.items()]

    def next_set(self) -> list[MovementRequested]:
        """Some movements that come together."""
        return [self._next() for _ in range(self.random.randint(1, 7))]

    def _next(self) -> MovementRequested:
        self._count += 1
        first = self._count <= 4
        at = MORNING + self.random.randrange(SPAN // 3 if first else SPAN) * STEP
        if first or self._perhaps(0.2):
            purpose, lines = "purchase_receipt", self._lines(self._comes)
        elif self._perhaps(0.45):
            purpose, lines = "delivery", self._lines(self._goes)
        elif self._perhaps(0.4):
            purpose, lines = "material_transfer", self._lines(self._moves)
        elif self._perhaps(0.3):
            purpose, lines = "repack", [self._goes(), self._comes()]
        else:
            purpose, lines = "reconciliation", self._lines(self._counts)
        return movement(purpose, *lines, id=f"{self.number}-{self._count}", at=at)

    def _lines(self, draw: Any) -> list[RequestedLine]:
        return [draw() for _ in range(self.random.choice((1, 1, 1, 1, 2)))]

    def _comes(self) -> RequestedLine:
        kind, fields = self._kind(), {"target": self._place(), "rate": "1"}
        if kind == "cream":
            fields["batch"] = self.random.choice(BATCHES)
        return line(self._named(kind), self.random.randint(3, 9 if kind != "phone" else 4), **fields)

    def _goes(self, **fields: Any) -> RequestedLine:
        kind, source = self._kind(), self._place()
        if kind == "cream" and self._perhaps(0.5):
            fields["batch"] = self.random.choice(BATCHES)
        if kind == "phone" and self._perhaps(0.5):
            return line(
                self._named(kind), serials=[f"S{self.number}-{self.random.randint(1, 9):02d}"], source=source, **fields
            )
        return line(self._named(kind), self.random.randint(1, 3 if kind != "phone" else 2), source=source, **fields)

    def _moves(self) -> RequestedLine:
        asked = self._goes()
        return line(
            asked.item,
            asked.quantity,
            source=asked.source,
            target="south" if asked.source == "north" else "north",
            batch=asked.batch,
            serials=asked.serials,
        )

    def _counts(self) -> RequestedLine:
        kind, fields = self.random.choice(("tea", "tea", "coal", "cream", "cream")), {"target": self._place()}
        if kind == "cream":
            fields["batch"] = self.random.choice(BATCHES)
        return line(self._named(kind), self.random.randint(0, 9), rate=self.random.choice((None, "1")), **fields)

    def _kind(self) -> str:
        return self.random.choice(list(GOODS))

    def _named(self, kind: str) -> str:
        return f"{kind}-{self.number}"

    def _place(self) -> str:
        return self.random.choice(PLACES)

    def _perhaps(self, chance: float) -> bool:
        return self.random.random() < chance
