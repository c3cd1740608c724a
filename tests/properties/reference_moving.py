"""One movement of the reference: what comes and what leaves, unit by unit; on it stands what corrects earlier ones."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime

from services.receiving.decide.stock import Item
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.purposes import Pick, SerialStatus, Tracking
from tests.properties.reference_book import Answer, Mark, Part, Place, Records, Refused, Taken, Unit

MAKING = ("manufacture", "repack")
FORBIDS_EXPIRED = ("delivery", "sale", *MAKING)
TAKES_HELD = ("scrap", "purchase_return")
STATUS = {
    "material_issue": SerialStatus.CONSUMED,
    "scrap": SerialStatus.SCRAPPED,
    "delivery": SerialStatus.DELIVERED,
    "sale": SerialStatus.DELIVERED,
    "manufacture": SerialStatus.CONSUMED,
    "repack": SerialStatus.CONSUMED,
    "reconciliation": SerialStatus.MISSING,
    "purchase_return": SerialStatus.RETURNED_TO_SUPPLIER,
}


class Play:
    """One movement, played on a trial copy of the book at a moment."""

    def __init__(self, book: Records, movement: MovementRequested, original: Answer | None, at: datetime) -> None:
        self.book = book
        self.movement = movement
        self.original = original
        self.at = at
        self.number = len(book.documents) + 1
        self.left: list[Taken] = []
        self.came: list[Taken] = []
        self.valued: list[Taken] = []
        self.arriving: list[tuple[Unit, str]] = []
        self.short: list[tuple[int, int]] = []
        self.counted: set[Place] = set()
        self.stamped: set[Place] = set(original.stamps) if original is not None else set()
        self.rating: set[Place] = set()
        self.returning: set[Place] = set()
        self.making: set[Place] = set()
        named = ((line.item, number) for line in movement.lines for number in (*(line.serials or ()), line.batch))
        self.named = {(item, number) for item, number in named if number}

    def lines(self) -> Iterator[tuple[int, RequestedLine]]:
        """The lines with their numbers."""
        return enumerate(self.movement.lines, 1)

    def done(self) -> Answer:
        """The movement, when all of it was played."""
        moved = {(each.item, each.warehouse) for each in (*self.left, *self.came, *self.valued)} | self.counted
        for unit, target in self.arriving:
            moved.add((unit.item, target))
            self.stand(unit, target)
        for place in self._rating():
            if self.book.quantity(place) > 0:
                self.book.rated[place] = min(self.at, self.book.rated.get(place, self.at))
        return Answer(
            purpose=self.movement.purpose,
            effective_at=self.at,
            left=tuple(self.left),
            came=tuple(self.came),
            valued=tuple(self.valued),
            stamps={place: self.book.touched(place) + 1 for place in moved | self.stamped},
            moved=frozenset(moved),
            counted=frozenset(self.counted),
            short=tuple(self.short),
        )

    def _rating(self) -> set[Place]:
        """Where something of worth came: at a rate, or from where one is known."""
        rating = set(self.rating)
        known = {item for item, _ in self.rated & (self.stamped | self.counted)}
        rating |= {place for place in self.returning if place[0] in known}
        consumed = {(each.item, each.warehouse) for each in self.left}
        return rating | (self.making if consumed & self.rated else set())

    @property
    def rated(self) -> set[Place]:
        """The bins in which a rate is known at the moment."""
        return {place for place, since in self.book.rated.items() if since <= self.at}

    def mark(self, item: str, warehouse: str, line: int, place: int = 0) -> Mark:
        """When something comes by a line."""
        return (self.at, self.book.touched((item, warehouse)) + 1, line, place)

    def rate_is_known(self, place: Place) -> None:
        """What has no rate takes the last one of its bin."""
        if place not in self.rated:
            raise Refused

    # --- coming -------------------------------------------------------------------------------------------------------

    def comes(self, number: int, line: RequestedLine) -> None:
        """New goods come, as the line names them or as their series makes them."""
        item, target = self.book.items[str(line.item)], str(line.target)
        quantity, batch = quantity_of(line), line.batch
        if item.tracking is Tracking.BATCH and batch is None:
            batch = self._make(item, 1)[0]
        if batch is not None:
            expires_on = self.book.expiries.setdefault((item.item, batch), line.expires_on)
            if self.movement.purpose != "opening_stock" and expires_on is not None and expires_on < self.at.date():
                raise Refused
        serials: list[str] = []
        if item.tracking is Tracking.SERIAL:
            serials = list(line.serials) if isinstance(line.serials, list) else self._make(item, quantity)
        if line.rate is not None:
            self.rating.add((item.item, target))
        elif self.movement.purpose in MAKING:
            self.making.add((item.item, target))
        else:
            self.rate_is_known((item.item, target))
        for place in range(quantity):
            self.add(number, item, target, batch, serials[place] if serials else None, place)
        self.came.append(Taken(number, item.item, target, quantity, batch, tuple(serials)))

    def add(self, number: int, item: Item, target: str, batch: str | None, serial: str | None, place: int) -> None:
        """One unit enters the company; one of that number may have left it before."""
        before = [each for each in self.book.units if serial and (each.item, each.serial) == (item.item, serial)]
        if any(each.place is not None for each in before):
            raise Refused
        if serial is not None and batch is None and before:
            batch = before[-1].batch
        mark = self.mark(item.item, target, number, place)
        self.book.units = [each for each in self.book.units if each not in before]
        self.book.units.append(Unit(item.item, batch, serial, None, mark, self.number, self.at))
        self.stand(self.book.units[-1], target)
        if item.tracking is Tracking.BATCH and batch is not None:
            self.book.passed.append((item.item, batch, (*mark[:3], 0), 1))

    def come_again(self, number: int, unit: Unit, target: str, place: int) -> None:
        """A unit that stands nowhere, and did so before this movement, comes in again."""
        if unit.place is not None or unit.moved_by == self.number:
            raise Refused
        unit.came, unit.moved_by, unit.moved_at = self.mark(unit.item, target, number, place), self.number, self.at
        unit.status = SerialStatus.ACTIVE
        self.stand(unit, target)

    def stand(self, unit: Unit, target: str) -> None:
        """A unit comes to stand in a warehouse, unless one is owed there: then it is gone already."""
        owed = self.book.owed.get((unit.item, target), 0)
        if owed:
            self.book.owed[unit.item, target] = owed - 1
        else:
            unit.place = target

    def _make(self, item: Item, count: int) -> list[str]:
        """The next numbers of the item's series; all series of one kind share a counter here."""
        serialized = item.tracking is Tracking.SERIAL
        made: list[str] = []
        prefix = "S-" if serialized else "B-"
        while len(made) < count:
            self.book.counters[prefix] = self.book.counters.get(prefix, 0) + 1
            number = f"{prefix}{self.book.counters[prefix]:02d}"
            existing = {each.serial for each in self.book.units if each.item == item.item}
            if not serialized:
                existing = {batch for its_item, batch in self.book.expiries if its_item == item.item}
            if number not in existing and (item.item, number) not in self.named:
                made.append(number)
        return made

    # --- leaving ------------------------------------------------------------------------------------------------------

    def leaves(self, number: int, line: RequestedLine) -> None:
        """Goods leave, as the line names them or as they are picked."""
        item, source = self.book.items[str(line.item)], str(line.source)
        if source == line.target:
            raise Refused
        units = self._named(item, line) if line.serials else self._picked(item, line)
        wanted = quantity_of(line)
        if item.tracking is Tracking.NONE:
            units += self.owe(number, item, source, wanted - len(units))
        if len(units) < wanted or any(not self._may_leave(line, each) for each in units):
            raise Refused
        if (item.item, source) in self.rated and line.target is not None:
            self.rating.add((item.item, line.target))
        if item.tracking is Tracking.BATCH:
            for batch in dict.fromkeys(each.batch for each in units):
                self.take(number, line, source, batch, [each for each in units if each.batch == batch])
        else:
            self.take(number, line, source, line.batch, units)

    def owe(self, number: int, item: Item, source: str, lacking: int) -> list[Unit]:
        """Units that are taken though they are not there, where the item or the source allows that."""
        if lacking <= 0 or not (self.book.tells or item.allow_negative_stock):
            return []
        place = (item.item, source)
        if not self.book.tells and place not in self.rated:
            raise Refused
        self.book.owed[place] = self.book.owed.get(place, 0) + lacking
        self.short.append((number, lacking))
        mark = self.mark(item.item, source, number)
        owed = [Unit(item.item, None, None, None, mark, self.number, self.at) for _ in range(lacking)]
        self.book.units += owed
        return owed

    def take(
        self,
        number: int,
        line: RequestedLine,
        source: str,
        batch: str | None,
        units: Sequence[Unit],
        original: Part | None = None,
    ) -> None:
        """Units of one batch leave by a part of the movement."""
        serials = tuple(each.serial for each in units if each.serial is not None)
        item = str(line.item)
        moved = self.movement.purpose == "material_transfer" and line.target is not None
        for unit in units:
            unit.place, unit.moved_by, unit.moved_at = None, self.number, self.at
            unit.status = STATUS.get(self.movement.purpose, SerialStatus.ACTIVE)
            if moved:
                self.arriving.append((unit, str(line.target)))
                continue
            unit.left_by, unit.left_from = (self.movement.id, "left", len(self.left)), source
            if unit.serial is None and unit.batch is not None:
                self.book.passed.append((item, unit.batch, (self.at, 0, 0, 0), -1))
        self.left.append(Taken(number, item, source, len(units), batch, serials, original))

    def here(self, item: str, source: str) -> list[Unit]:
        """The units that stand in a warehouse and did so before this movement."""
        return [each for each in self.book.standing(item, source) if each.moved_by != self.number]

    def _named(self, item: Item, line: RequestedLine) -> list[Unit]:
        here = {each.serial: each for each in self.here(item.item, str(line.source))}
        if any(number not in here for number in line.serials or ()):
            raise Refused
        units = [here[number] for number in line.serials or ()]
        if line.batch is not None and any(each.batch != line.batch for each in units):
            raise Refused
        return units

    def _picked(self, item: Item, line: RequestedLine) -> list[Unit]:
        here = self.here(item.item, str(line.source))
        if line.batch is not None:
            here = [each for each in here if each.batch == line.batch]
        if line.batch is None or item.tracking is Tracking.SERIAL:
            here = [each for each in here if self._is_sound(each)]
        ordered = sorted(here, key=lambda each: self._age(item, each))
        if item.pick is Pick.LIFO:
            ordered.reverse()
        if item.pick is Pick.FEFO:
            ordered.sort(key=lambda each: self._expiry(each) or date.max)
        return ordered[: quantity_of(line)]

    def _age(self, item: Item, unit: Unit) -> tuple[Mark, str]:
        if item.tracking is Tracking.BATCH and unit.batch is not None:
            return (self.book.entered(item.item, unit.batch), unit.batch)
        return (unit.came, unit.serial or "")

    def _may_leave(self, line: RequestedLine, unit: Unit) -> bool:
        held = (unit.item, unit.batch) in self.book.held
        if held and self.movement.purpose not in TAKES_HELD and line.target != "quarantine":
            return False
        return not self._is_expired(unit) or self.movement.purpose not in FORBIDS_EXPIRED

    def _is_sound(self, unit: Unit) -> bool:
        return not self._is_expired(unit) and (unit.item, unit.batch) not in self.book.held

    def _is_expired(self, unit: Unit) -> bool:
        expires_on = self._expiry(unit)
        return expires_on is not None and expires_on < self.at.date()

    def _expiry(self, unit: Unit) -> date | None:
        return None if unit.batch is None else self.book.expiries.get((unit.item, unit.batch))


def quantity_of(line: RequestedLine) -> int:
    """How many units a line is about."""
    return int(line.quantity) if line.quantity is not None else len(line.serials or ())
