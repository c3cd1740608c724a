"""Allocation as one would do it by hand: every unit on a list of its own, everything counted anew each time.

It reads requested movements of whole quantities and knows nothing of bins, drafts or stamps kept; what stands where,
since when, and how often a bin was touched is found by walking through lists. Slow, and meant to be obvious.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from services.receiving.decide.stock import Item
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.purposes import Pick, SerialStatus, Tracking

LATENESS = timedelta(minutes=5)
COMING = ("opening_stock", "material_receipt", "purchase_receipt")
STATUS = {
    "material_issue": SerialStatus.CONSUMED,
    "scrap": SerialStatus.SCRAPPED,
    "delivery": SerialStatus.DELIVERED,
    "sale": SerialStatus.DELIVERED,
}
Mark = tuple[datetime, int, int, int]
"""When something came: the moment, the bin's stamp, the line, the place in the line."""


class Refused(Exception):  # noqa: N818 - what the movement is
    """The movement is not accepted."""


@dataclass(slots=True)
class Unit:
    """One unit of an item: where it stands (None: it left), and when it came into the company."""

    item: str
    batch: str | None
    serial: str | None
    place: str | None
    came: Mark
    moved_by: int = 0
    status: SerialStatus = SerialStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Taken:
    """What a line took or brought, in one batch."""

    line: int
    item: str
    warehouse: str
    quantity: int
    batch: str | None
    serials: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An accepted movement: when it took effect, what it took and brought, its number in each bin (item, warehouse)."""

    effective_at: datetime
    taken: tuple[Taken, ...]
    stamps: Mapping[tuple[str, str], int]


@dataclass(slots=True)
class Book:
    """All that ever was: the units, when batches came and went, and every accepted movement."""

    items: Mapping[str, Item]
    units: list[Unit] = field(default_factory=list)
    passed: list[tuple[str, str, Mark, int]] = field(default_factory=list)
    expiries: dict[tuple[str, str], date | None] = field(default_factory=dict)
    held: set[tuple[str, str]] = field(default_factory=set)
    counters: dict[str, int] = field(default_factory=dict)
    accepted: list[tuple[set[tuple[str, str]], set[tuple[str, str]], datetime]] = field(default_factory=list)

    def ask(self, movement: MovementRequested) -> Answer | None:
        """Play a movement; None, and nothing has happened, where it is refused."""
        trial = replace(
            self,
            units=[replace(each) for each in self.units],
            passed=list(self.passed),
            expiries=dict(self.expiries),
            counters=dict(self.counters),
        )
        try:
            answer = _Play(trial, movement).play()
        except Refused:
            return None
        self.units, self.passed = trial.units, trial.passed
        self.expiries, self.counters = trial.expiries, trial.counters
        bins = set(answer.stamps)
        serials = {(each.item, number) for each in answer.taken for number in each.serials}
        self.accepted.append((bins, serials, answer.effective_at))
        return answer

    def standing(self, item: str, place: str | None) -> list[Unit]:
        """The units of an item in a warehouse; None: those that left."""
        return [each for each in self.units if (each.item, each.place) == (item, place)]

    def touched(self, item: str, place: str) -> int:
        """How many movements touched a bin."""
        return sum((item, place) in bins for bins, _, _ in self.accepted)

    def entered(self, item: str, batch: str) -> Mark:
        """When a batch came into the company since it last left."""
        total, since = 0, None
        for its_item, its_batch, mark, change in self.passed:
            if (its_item, its_batch) == (item, batch):
                since = mark if total == 0 else since
                total += change
        assert since is not None
        return since


class _Play:
    """One movement, played on a trial copy of the book."""

    def __init__(self, book: Book, movement: MovementRequested) -> None:
        self.book = book
        self.movement = movement
        self.number = len(book.accepted) + 1
        self.taken: list[Taken] = []
        self.arriving: list[tuple[Unit, str]] = []
        self.named = {
            (line.item, number) for line in movement.lines for number in (*(line.serials or ()), line.batch) if number
        }

    def play(self) -> Answer:
        self.at = self._effective_at()
        for number, line in enumerate(self.movement.lines, 1):
            if self.movement.purpose in COMING:
                self._comes(number, line)
            else:
                self._leaves(number, line)
        bins = {(each.item, each.warehouse) for each in self.taken}
        for unit, target in self.arriving:
            unit.place = target
            bins.add((unit.item, target))
        return Answer(self.at, tuple(self.taken), {bin_: self.book.touched(*bin_) + 1 for bin_ in bins})

    def _effective_at(self) -> datetime:
        last = max(self._events(), default=self.movement.posting_at)
        late = last - self.movement.posting_at
        if late <= timedelta(0):
            return self.movement.posting_at
        if late > LATENESS or last.date() != self.movement.posting_at.date():
            raise Refused
        return last

    def _events(self) -> Iterator[datetime]:
        lines = self.movement.lines
        bins = {(line.item, place) for line in lines for place in (line.source, line.target)}
        serials = {(line.item, number) for line in lines for number in line.serials or ()}
        for its_bins, its_serials, at in self.book.accepted:
            if bins & its_bins or serials & its_serials:
                yield at

    # --- coming -------------------------------------------------------------------------------------------------------

    def _comes(self, number: int, line: RequestedLine) -> None:
        item, target = self.book.items[str(line.item)], str(line.target)
        quantity = self._quantity(line)
        batch = line.batch
        if item.tracking is Tracking.BATCH and batch is None:
            batch = self._make(item, 1)[0]
        if batch is not None:
            expires_on = self.book.expiries.setdefault((item.item, batch), line.expires_on)
            if self.movement.purpose != "opening_stock" and expires_on is not None and expires_on < self.at.date():
                raise Refused
        serials: list[str] = []
        if item.tracking is Tracking.SERIAL:
            serials = list(line.serials) if isinstance(line.serials, list) else self._make(item, quantity)
        for place in range(quantity):
            mark = (self.at, self.book.touched(item.item, target) + 1, number, place)
            self._add(item, target, batch, serials[place] if serials else None, mark)
        self.taken.append(Taken(number, item.item, target, quantity, batch, tuple(serials)))

    def _add(self, item: Item, target: str, batch: str | None, serial: str | None, mark: Mark) -> None:
        before = [each for each in self.book.units if serial and (each.item, each.serial) == (item.item, serial)]
        if any(each.place is not None for each in before):
            raise Refused
        if serial is not None and batch is None and before:
            batch = before[-1].batch
        self.book.units = [each for each in self.book.units if each not in before]
        self.book.units.append(Unit(item.item, batch, serial, target, mark, self.number))
        if item.tracking is Tracking.BATCH and batch is not None:
            self.book.passed.append((item.item, batch, (*mark[:3], 0), 1))

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

    def _leaves(self, number: int, line: RequestedLine) -> None:
        item, source = self.book.items[str(line.item)], str(line.source)
        if source == line.target:
            raise Refused
        units = self._named(item, line) if line.serials else self._picked(item, line)
        if len(units) < self._quantity(line) or any(not self._may_leave(line, each) for each in units):
            raise Refused
        self._take(number, line, item, source, units)

    def _here(self, item: Item, line: RequestedLine) -> list[Unit]:
        standing = self.book.standing(item.item, str(line.source))
        return [each for each in standing if each.moved_by != self.number]

    def _named(self, item: Item, line: RequestedLine) -> list[Unit]:
        here = {each.serial: each for each in self._here(item, line)}
        if any(number not in here for number in line.serials or ()):
            raise Refused
        units = [here[number] for number in line.serials or ()]
        if line.batch is not None and any(each.batch != line.batch for each in units):
            raise Refused
        return units

    def _picked(self, item: Item, line: RequestedLine) -> list[Unit]:
        here = self._here(item, line)
        if line.batch is not None:
            here = [each for each in here if each.batch == line.batch]
        if line.batch is None or item.tracking is Tracking.SERIAL:
            here = [each for each in here if self._is_sound(each)]
        ordered = sorted(here, key=lambda each: self._age(item, each))
        if item.pick is Pick.LIFO:
            ordered.reverse()
        if item.pick is Pick.FEFO:
            ordered.sort(key=lambda each: self._expiry(each) or date.max)
        return ordered[: self._quantity(line)]

    def _age(self, item: Item, unit: Unit) -> tuple[Mark, str]:
        if item.tracking is Tracking.BATCH and unit.batch is not None:
            return (self.book.entered(item.item, unit.batch), unit.batch)
        return (unit.came, unit.serial or "")

    def _take(self, number: int, line: RequestedLine, item: Item, source: str, units: list[Unit]) -> None:
        for unit in units:
            unit.place = None
            unit.moved_by = self.number
            unit.status = STATUS.get(self.movement.purpose, SerialStatus.ACTIVE)
            if line.target is not None:
                self.arriving.append((unit, line.target))
            elif item.tracking is Tracking.BATCH and unit.batch is not None:
                self.book.passed.append((item.item, unit.batch, (self.at, 0, 0, 0), -1))
        if item.tracking is Tracking.BATCH:
            for batch in dict.fromkeys(str(each.batch) for each in units):
                part = sum(each.batch == batch for each in units)
                self.taken.append(Taken(number, item.item, source, part, batch, ()))
        else:
            serials = tuple(each.serial for each in units if each.serial is not None)
            self.taken.append(Taken(number, item.item, source, len(units), line.batch, serials))

    def _may_leave(self, line: RequestedLine, unit: Unit) -> bool:
        held = (unit.item, unit.batch) in self.book.held
        if held and self.movement.purpose != "scrap" and line.target != "quarantine":
            return False
        return not self._is_expired(unit) or self.movement.purpose not in ("delivery", "sale")

    def _is_sound(self, unit: Unit) -> bool:
        return not self._is_expired(unit) and (unit.item, unit.batch) not in self.book.held

    def _is_expired(self, unit: Unit) -> bool:
        expires_on = self._expiry(unit)
        return expires_on is not None and expires_on < self.at.date()

    def _expiry(self, unit: Unit) -> date | None:
        return None if unit.batch is None else self.book.expiries.get((unit.item, unit.batch))

    @staticmethod
    def _quantity(line: RequestedLine) -> int:
        return int(line.quantity) if line.quantity is not None else len(line.serials or ())
