"""Random histories of a few units: bought, moved, sold, returned, made, lost and found, and now and then cancelled."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.stock import Serial
from shared.contracts.movement import MovementRequested, Reference, RequestedLine
from tests.builders import MORNING
from tests.receiving_builders import EVENING, Shop, item, line, movement, request

PLACES = ("north", "south", "on-the-way")
PEOPLE = ("Ada", "Bob", None)
WARRANTY = 365


@dataclass
class History:
    """Draws movements of units of its own from what a shop knows of them; some are refused."""

    random: Random
    number: int
    clock: datetime = MORNING
    shop: Shop = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.shop = Shop(item(self.item, tracking="serial", warranty_days=WARRANTY, create_batches_on_receipt=True))
        self.shop.now = EVENING

    @property
    def item(self) -> str:
        """The code of its one item."""
        return f"phone-{self.number}"

    def next(self) -> MovementRequested:
        """Some movement of one or a few units, a little later than the one before or at the same time."""
        self._count += 1
        self.clock += self.random.choice((0, 1, 1, 7)) * timedelta(minutes=1)
        draw = self.random.choice(_DRAWS) if self._count > 2 else History._bought
        return draw(self)

    def cancellation(self, of: str) -> MovementRequested:
        """The cancellation of a movement."""
        self._count += 1
        return movement("cancellation", id=f"{self.number}-{self._count}", at=self.clock, against=Reference(id=of))

    def take(self, asked: MovementRequested) -> bool:
        """Have the shop judge a movement; whether it was accepted."""
        return isinstance(self.shop.judge(request(asked)), Accepted)

    # --- movements ----------------------------------------------------------------------------------------------------

    def _ask(self, purpose: str, *lines: RequestedLine, **fields: Any) -> MovementRequested:
        document = self.random.choice((None, f"{purpose} {self._count}"))
        return movement(
            purpose, *lines, id=f"{self.number}-{self._count}", at=self.clock, **{"document": document, **fields}
        )

    def _bought(self) -> MovementRequested:
        purpose = self.random.choice(("purchase_receipt", "purchase_receipt", "material_receipt", "opening_stock"))
        supplier = self.random.choice(("Foundry", "Smithy", None)) if purpose == "purchase_receipt" else None
        batch = self.random.choice((None, None, "L1", "L2"))
        return self._ask(purpose, *[self._coming(batch) for _ in range(self._few())], supplier=supplier)

    def _coming(self, batch: str | None = None) -> RequestedLine:
        numbers = [f"U{self.random.randint(1, 8)}" for _ in range(2)]
        return self._line(sorted(set(numbers)), target=self._place(), rate="1", batch=batch)

    def _sold(self) -> MovementRequested:
        purpose = self.random.choice(("delivery", "sale", "material_issue", "scrap"))
        price = {"price": "9"} if purpose == "sale" else {}
        customer = self.random.choice(PEOPLE) if purpose in ("delivery", "sale") else None
        return self._ask(purpose, self._leaving(**price), customer=customer)

    def _moved(self) -> MovementRequested:
        return self._ask("material_transfer", self._leaving(target=self._place()))

    def _made(self) -> MovementRequested:
        leaving = self._leaving()
        again = leaving.serials if self.random.random() < 0.5 else [f"U{self.random.randint(1, 8)}"]
        return self._ask("repack", leaving, self._line(again, target=self._place(), rate="1"))

    def _returned(self) -> MovementRequested:
        purpose, originals = self.random.choice(
            (("sales_return", ("delivery", "sale")), ("purchase_return", ("purchase_receipt",)))
        )
        known = [each for each in self.shop.log if each.allocated.purpose in originals]
        if not known or self.random.random() < 0.2:
            away = self._units(lambda each: each.warehouse is None) or ["U1"]
            return self._ask("sales_return", self._line(self._some(away), target=self._place()))
        of = self.random.choice(known)
        numbers = [number for leg in of.allocated.legs for number in leg.serials]
        return self._ask(purpose, self._line(self._some(numbers)), against=Reference(id=of.request.id))

    def _counted(self) -> MovementRequested:
        place = self._place()
        there = [each for each in self._units(lambda each: each.warehouse == place) if self.random.random() < 0.7]
        away = self._units(lambda each: each.warehouse is None and each.left_by is not None)
        found = self._some(away) if away and self.random.random() < 0.6 else []
        rate = self.random.choice((None, "2"))
        return self._ask("reconciliation", self._line([*there, *found], target=place, rate=rate))

    def _leaving(self, **fields: Any) -> RequestedLine:
        place = self._place()
        here = self._units(lambda each: each.warehouse == place)
        return self._line(self._some(here or ["U1"]), source=place, **fields)

    def _line(self, numbers: Any, **fields: Any) -> RequestedLine:
        return line(self.item, serials=numbers, **fields)

    def _units(self, like: Any) -> list[str]:
        units: dict[str, Serial] = {key[2]: each for key, each in sorted(self.shop.stock.serials.items())}
        return [number for number, each in units.items() if like(each)]

    def _some(self, numbers: list[str]) -> list[str]:
        return self.random.sample(numbers, self.random.randint(1, min(3, len(numbers))))

    def _few(self) -> int:
        return self.random.choice((1, 1, 2))

    def _place(self) -> str:
        return self.random.choice(PLACES)


_DRAWS = (
    History._bought,
    History._sold,
    History._sold,
    History._sold,
    History._moved,
    History._moved,
    History._made,
    History._returned,
    History._returned,
    History._returned,
    History._counted,
)
