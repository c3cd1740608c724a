"""Random histories for the gate: movements of all purposes over all kinds of items, drawn from what stands where.

Most of what they ask for can be had; some cannot, for every reason that the reference knows.
"""

from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from msgspec import structs

from services.receiving.decide.stock import Item
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.purposes import PURPOSES, Pick, Tracking
from tests.builders import MORNING
from tests.properties.reference_allocation import COMING, Book, Unit
from tests.receiving_builders import item, line, movement

MINUTE = timedelta(minutes=1)
EXPIRIES: dict[str, date | None] = {
    "X1": None,
    "X2": MORNING.date(),
    "X3": MORNING.date() + timedelta(days=2),
    "B-02": None,
}
PLACES = ("north", "north", "south", "quarantine")
HAND_MADE = ("H1", "H2", "H3", "h3", "S-01", "S-03", "S-06")

ITEMS: dict[str, Item] = {
    each.item: each
    for each in (
        item("tea"),
        *(
            item(f"{tracking}-{pick}", tracking=tracking, pick=pick, create_batches_on_receipt=True, **series)
            for tracking, series in (
                (Tracking.BATCH, {"batch_series": "B-.##"}),
                (Tracking.SERIAL, {"serial_series": "S-.##"}),
            )
            for pick in (Pick.FIFO, Pick.LIFO, Pick.FEFO)
        ),
    )
}


class History:
    """Draws what is asked next from what the reference's book holds."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.book = Book(ITEMS)
        self.clock = MORNING
        self._count = 0

    def next(self) -> MovementRequested:
        """The next movement, a little later than the one before, on another day now and then, or late."""
        self._count += 1
        purpose = self.random.choice(list(PURPOSES) if self.book.units else COMING)
        lines = [self._line(purpose) for _ in range(self.random.choice((1, 1, 2, 3)))]
        if purpose == "material_transfer" and self.random.random() < 0.2:
            lines.append(structs.replace(lines[-1], source=lines[-1].target, target=self._place()))
        return movement(purpose, *lines, id=f"M{self._count}", at=self._moment())

    def turn_hold(self) -> tuple[str, str] | None:
        """A batch to hold, or to release if it is held; None where there is none."""
        known = sorted(self.book.expiries)
        return self.random.choice(known) if known else None

    def _moment(self) -> datetime:
        draw = self.random.random()
        if draw < 0.1:
            return self.clock - self.random.randint(1, 7) * MINUTE
        self.clock += timedelta(hours=15) if draw < 0.15 else self.random.choice((0, 1, 3)) * MINUTE
        return self.clock

    def _line(self, purpose: str) -> RequestedLine:
        chosen = ITEMS[self.random.choice(list(ITEMS))]
        if purpose in COMING:
            return self._coming(chosen)
        money = {"price": "1"} if purpose == "sale" else {}
        return self._leaving(chosen, moved=purpose == "material_transfer", **money)

    def _coming(self, chosen: Item) -> RequestedLine:
        fields: dict[str, Any] = {"target": self._place(), "rate": "1"}
        if chosen.tracking is not Tracking.NONE and self.random.random() < 0.6:
            fields["batch"] = self.random.choice(list(EXPIRIES))
            fields["expires_on"] = EXPIRIES[fields["batch"]]
        if chosen.tracking is Tracking.SERIAL and self.random.random() < 0.5:
            return line(chosen.item, serials=self._some(list(HAND_MADE)), **fields)
        return line(chosen.item, self.random.randint(1, 5), **fields)

    def _leaving(self, chosen: Item, *, moved: bool, **fields: Any) -> RequestedLine:
        source = self._place()
        standing = [each for each in self.book.units if each.item == chosen.item and each.place is not None]
        if standing and self.random.random() < 0.9:
            source = str(self.random.choice(standing).place)
        if moved:
            fields["target"] = self._place()
        here = self.book.standing(chosen.item, source)
        if chosen.tracking is Tracking.SERIAL and here and self.random.random() < 0.5:
            return line(chosen.item, source=source, serials=self._serials(here), **fields)
        if chosen.tracking is not Tracking.NONE and self.random.random() < 0.4:
            fields["batch"] = self.random.choice([each.batch for each in here if each.batch] or list(EXPIRIES))
        if fields.get("batch"):
            here = [each for each in here if each.batch == fields["batch"]]
        wanted = self.random.randint(1, max(1, min(6, len(here) + 1)))
        if here and self.random.random() < 0.3:
            wanted = len(here)
        return line(chosen.item, wanted, source=source, **fields)

    def _serials(self, here: list[Unit]) -> list[str]:
        named = self._some([str(each.serial) for each in here])
        return [*named, "H9"] if self.random.random() < 0.05 else named

    def _some(self, numbers: list[str]) -> list[str]:
        return self.random.sample(numbers, self.random.randint(1, min(4, len(numbers))))

    def _place(self) -> str:
        return self.random.choice(PLACES)
