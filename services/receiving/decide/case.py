"""One movement while it is judged: what it asks for, the draft of its changes, and every reason against it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from services.receiving.decide.stock import (
    BatchKey,
    Bin,
    BinKey,
    Company,
    Draft,
    Entered,
    Item,
    SerialKey,
    Warehouse,
)
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.errors import Reason
from shared.purposes import Purpose
from shared.quantities import plain


@dataclass(frozen=True, slots=True)
class Request:
    """A movement as it came in. `problem` instead of `movement`: its fields are wrong, the text says where."""

    source: str
    id: str
    digest: bytes
    movement: MovementRequested | None = None
    problem: str | None = None
    trace: str | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What a line and a movement may ask for at most, and how long one waits whose source never said."""

    lines: int = 5_000
    serials: int = 100_000
    serials_in_all: int = 500_000
    patience: timedelta = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its names resolved. `entered` is in the line's own unit, `quantity` in the item's stock unit.

    `serials` None: none were named.
    """

    number: int
    requested: RequestedLine
    item: Item
    entered: Decimal
    quantity: Decimal
    source: Warehouse | None
    target: Warehouse | None
    serials: Sequence[str] | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """What a line takes from, or brings into, one bin: so much of one batch, or these serials."""

    line: Line
    warehouse: Warehouse
    quantity: Decimal
    batch: str | None = None
    serials: Sequence[str] = ()
    generated: bool = False


@dataclass(frozen=True, slots=True)
class SerialEvent:
    """A serial came to a warehouse, left one, or went from one to another; (at, tie) orders a serial's events."""

    key: SerialKey
    at: datetime
    tie: int
    source: str
    id: str
    left: bool
    came_to: str | None


@dataclass(slots=True)
class Case:
    """A movement being judged; `effective_at` and `day` are known before any line is allocated.

    `named` are the serials and batches, by item, that its lines name: no series makes these.
    """

    request: Request
    movement: MovementRequested
    purpose: Purpose
    company: Company
    draft: Draft
    limits: Limits
    effective_at: datetime
    day: date
    reasons: list[Reason] = field(default_factory=list)
    events: list[SerialEvent] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)

    def refuse(self, code: str, line: Line | RequestedLine | int | None, **facts: object) -> None:
        """Note a reason against the movement; the facts are shown as text."""
        number = line if isinstance(line, int) or line is None else _number(line)
        self.reasons.append(Reason(code, number, {name: _shown(value) for name, value in facts.items()}))

    def bin_key(self, item: Item, warehouse: Warehouse) -> BinKey:
        """The bin of an item in a warehouse."""
        return (self.company.company, item.item, warehouse.warehouse)

    def batch_key(self, item: Item, batch: str) -> BatchKey:
        """A batch of an item."""
        return (self.company.company, item.item, batch)

    def bin(self, key: BinKey) -> Bin:
        """A bin as it stands within this movement."""
        return self.draft.bins.get(key) or Bin()

    def stamp(self, key: BinKey) -> int:
        """This movement's number in a bin."""
        return (self.draft.stock.bins.get(key) or Bin()).last_stamp + 1

    def entered(self, line: Line, warehouse: Warehouse, place: int = 0) -> Entered:
        """The moment of a line's entry, for picking."""
        return Entered(self.effective_at, self.stamp(self.bin_key(line.item, warehouse)), line.number, place)

    def add(self, key: BinKey, quantity: Decimal) -> None:
        """Change a bin's quantity."""
        before = self.bin(key)
        self.draft.bins[key] = before._replace(quantity=before.quantity + quantity)


def _number(line: Line | RequestedLine) -> int | None:
    return line.number if isinstance(line, Line) else line.line


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
