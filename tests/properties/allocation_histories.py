"""Random histories for the gate: movements of all purposes over all kinds of items, drawn from what stands where.

Most of what they ask for can be had; some cannot, for every reason that the reference knows.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from msgspec import structs

from services.receiving.decide.stock import Item
from shared.contracts.movement import AdditionalCost, MovementRequested, Reference, RequestedLine
from shared.purposes import PURPOSES, Flow, Pick, Tracking
from shared.quantities import Money
from tests.builders import COMPANY, MORNING
from tests.properties.reference_allocation import COMING, MAKING, Answer, Book, Taken, Unit
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
RETURNING = ("sales_return", "purchase_return")
_PURPOSES = [name for name, purpose in PURPOSES.items() if purpose.flow is not Flow.CANCEL]

ITEMS: dict[str, Item] = {
    each.item: each
    for each in (
        item("tea"),
        item("coal", allow_negative_stock=True),
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

    def __init__(self, random: Random, *, tells: bool = False) -> None:
        self.random = random
        self.book = Book(ITEMS, tells=tells)
        self.clock = MORNING
        self._count = 0

    def next(self) -> MovementRequested:
        """The next movement that takes effect behind all others of its bins."""
        asked = self.draw()
        while self.book.is_back_dated(asked):
            asked = self.draw()
        return asked

    def draw(self) -> MovementRequested:
        """A movement a little later than the one before, on another day now and then, or late."""
        self._count += 1
        purpose = self.random.choice(_PURPOSES if self.book.units else COMING)
        fields: dict[str, Any] = {"company": COMPANY, "id": f"M{self._count}", "at": self._moment()}
        original = self._original(purpose)
        if original is not None:
            fields["against"] = Reference(id=original[0])
        if purpose == "landed_cost":
            fields["additional_costs"] = [AdditionalCost(amount=Money("1"))]
        lines = self._lines(purpose, original[1] if original is not None else None)
        return movement(purpose, *lines, **fields)

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

    def _original(self, purpose: str) -> tuple[str, Answer] | None:
        """The movement that one of this purpose names, most often one that it may name."""
        if purpose != "landed_cost" and self.random.random() > {"sale": 0.1}.get(purpose, 0.8):
            return None
        allowed = PURPOSES[purpose].against
        sure = allowed if self.random.random() < 0.95 else tuple(PURPOSES)
        found = [(key, each) for key, each in self.book.documents.items() if each.purpose in sure]
        return self.random.choice(found) if found and allowed else None

    # --- lines --------------------------------------------------------------------------------------------------------

    def _lines(self, purpose: str, original: Answer | None) -> list[RequestedLine]:
        if purpose == "landed_cost":
            return self._landing(original)
        many = self.random.choice((1, 1, 2, 3))
        if purpose in RETURNING:
            return [self._returned(purpose, original) for _ in range(many)]
        lines = [self._line(purpose) for _ in range(many)]
        if purpose in MAKING and self.random.random() < 0.95:
            lines += [self._coming(self._item(), **self._made())]
        if purpose == "sale" and (original is not None or self.random.random() < 0.1):
            lines.append(self._returned(purpose, original))
        if purpose == "material_transfer" and self.random.random() < 0.2:
            lines.append(structs.replace(lines[-1], source=lines[-1].target, target=self._place()))
        return lines

    def _line(self, purpose: str) -> RequestedLine:
        if purpose in COMING:
            return self._coming(self._item(), rate=self.random.choice(("1", "1", "1", None)))
        if purpose == "reconciliation":
            return self._counted(self._item())
        if purpose == "write_down":
            return self._written(self._item())
        money = {"price": "1"} if purpose == "sale" else {}
        return self._leaving(self._item(), moved=purpose == "material_transfer", **money)

    def _item(self) -> Item:
        return ITEMS[self.random.choice(list(ITEMS))]

    def _made(self) -> Mapping[str, Any]:
        return {"rate": self.random.choice((None, "2"))}

    def _coming(self, chosen: Item, **given: Any) -> RequestedLine:
        fields: dict[str, Any] = {"target": self._place(), **given}
        if chosen.tracking is not Tracking.NONE and self.random.random() < 0.6:
            fields["batch"] = self.random.choice(list(EXPIRIES))
            fields["expires_on"] = EXPIRIES[fields["batch"]]
        if chosen.tracking is Tracking.SERIAL and self.random.random() < 0.5:
            return line(chosen.item, serials=self._some(list(HAND_MADE)), **fields)
        return line(chosen.item, self.random.randint(1, 5), **fields)

    def _leaving(self, chosen: Item, *, moved: bool, **fields: Any) -> RequestedLine:
        source = self._standing(chosen)
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

    def _counted(self, chosen: Item) -> RequestedLine:
        """A count that is nearly right."""
        target = self._standing(chosen)
        here = self.book.standing(chosen.item, target)
        fields: dict[str, Any] = {"target": target, "rate": self.random.choice((None, None, "2"))}
        if chosen.tracking is Tracking.SERIAL:
            there = [str(each.serial) for each in here if self.random.random() < 0.9]
            lost = [str(each.serial) for each in self.book.standing(chosen.item, self._where_else())]
            found = self.random.sample(lost, min(len(lost), self.random.choice((0, 0, 1, 2))))
            return line(chosen.item, serials=[*found, *there, *self._now_and_then("H9")], **fields)
        if chosen.tracking is Tracking.BATCH:
            fields["batch"] = self.random.choice([str(each.batch) for each in here] or list(EXPIRIES))
            here = [each for each in here if each.batch == fields["batch"]]
        return line(chosen.item, max(0, len(here) + self.random.choice((0, 0, -2, -1, 1, 3, -9))), **fields)

    def _where_else(self) -> str | None:
        return self.random.choice((None, None, None, "south"))

    def _now_and_then(self, number: str) -> list[str]:
        return [number] if self.random.random() < 0.05 else []

    def _written(self, chosen: Item) -> RequestedLine:
        source = self._standing(chosen)
        here = self.book.standing(chosen.item, source)
        fields: dict[str, Any] = {"source": source, "rate": "0.5"}
        if chosen.tracking is Tracking.SERIAL and here and self.random.random() < 0.7:
            fields["serials"] = self._serials(here)
        if chosen.tracking is not Tracking.NONE and (not here or not here[0].serial or self.random.random() < 0.3):
            fields["batch"] = self.random.choice([each.batch for each in here if each.batch] or list(EXPIRIES))
        return line(chosen.item, **fields)

    def _returned(self, purpose: str, original: Answer | None) -> RequestedLine:
        """A line that returns a part of what the original moved, or something without one."""
        side, warehouse = ("came", "source") if purpose == "purchase_return" else ("left", "target")
        fields: dict[str, Any] = {"price": "1"} if purpose == "sale" else {}
        parts: Sequence[Taken] = getattr(original, side) if original is not None else ()
        if original is None or purpose == "sale" or self.random.random() < 0.3:
            fields[warehouse] = self._place()
        if not parts:
            return self._unreferenced(purpose, fields)
        part = self.random.choice(parts)
        fields["against_line"] = self.random.choice((None, None, part.line, 9 if self.random.random() < 0.1 else None))
        if part.batch is not None and self.random.random() < 0.3:
            fields["batch"] = part.batch
        if part.serials and self.random.random() < 0.5:
            return line(part.item, serials=self._some([*part.serials]), **fields)
        return line(part.item, self.random.randint(1, part.quantity + (self.random.random() < 0.2)), **fields)

    def _unreferenced(self, purpose: str, fields: dict[str, Any]) -> RequestedLine:
        chosen = self._item()
        if purpose == "purchase_return":
            return self._leaving(chosen, moved=False)
        if chosen.tracking is Tracking.BATCH:
            fields["batch"] = self.random.choice([batch for _, batch in self.book.expiries] or ["X1"])
        if chosen.tracking is Tracking.SERIAL:
            away = [str(each.serial) for each in self.book.standing(chosen.item, None)]
            return line(chosen.item, serials=[*self._some(away or ["H9"]), *self._now_and_then("H9")], **fields)
        return line(chosen.item, self.random.randint(1, 3), **fields)

    def _landing(self, receipt: Answer | None) -> list[RequestedLine]:
        """The lines of a receipt that cost more: all of them, or some."""
        brought = [each.line for each in receipt.came] if receipt is not None else []
        if not brought or self.random.random() < 0.4:
            return []
        chosen = self.random.sample(brought, self.random.randint(1, len(brought)))
        return [line(against_line=number) for number in [*chosen, *([9] if self.random.random() < 0.05 else [])]]

    def _standing(self, chosen: Item) -> str:
        """A warehouse where some of an item stand, most often."""
        standing = [each for each in self.book.units if each.item == chosen.item and each.place is not None]
        if standing and self.random.random() < 0.9:
            return str(self.random.choice(standing).place)
        return self._place()

    def _serials(self, here: list[Unit]) -> list[str]:
        return [*self._some([str(each.serial) for each in here]), *self._now_and_then("H9")]

    def _some(self, numbers: list[str]) -> list[str]:
        return self.random.sample(numbers, self.random.randint(1, min(4, len(numbers))))

    def _place(self) -> str:
        return self.random.choice(PLACES)
