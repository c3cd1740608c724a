"""One movement while it is judged: what it asks for, the draft of its changes, and every reason against it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from services.receiving.decide.shelf import Shelf
from services.receiving.decide.stock import (
    BatchKey,
    BatchStock,
    BatchStockKey,
    Bin,
    BinKey,
    Company,
    Draft,
    Entered,
    Item,
    SerialKey,
    Warehouse,
)
from services.receiving.decide.timeline import Outlook, Place
from shared.contracts.movement import MovementAllocated, MovementRequested, RequestedLine
from shared.contracts.outcome import Remark
from shared.errors import Reason
from shared.purposes import Purpose
from shared.quantities import ZERO, plain


@dataclass(frozen=True, slots=True)
class Request:
    """A movement as it came in. `problem` instead of `movement`: its fields are wrong, the text says where.

    `number` is the one that its source gave it, where it could be read. `unread` are the reasons against scanned codes.
    """

    source: str
    id: str
    digest: bytes
    movement: MovementRequested | None = None
    problem: str | None = None
    trace: str | None = None
    attempt: int = 1
    number: int | None = None
    unread: tuple[Reason, ...] = ()


FACT_LENGTH = 1_000
"""Characters of a fact: a few bytes can name very many serials, and an answer should not grow by that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a line and a movement may ask for at most, and how long one waits whose source never said.

    `attributes` is how many characters a line may have of them, counted once for each of its serials.
    """

    lines: int = 5_000
    serials: int = 100_000
    serials_in_all: int = 500_000
    attributes: int = 16 * 1024 * 1024
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
    """What a line takes from, or brings into, one bin: so much of one batch, or these serials.

    `original` is the ledger entry that it returns, sends back or revalues. Of what was `counted` the quantity is the
    difference, signed; `rate`, per stock unit, is that of a write-down. `amount` is what it is worth, None where the
    ledger is to find that.
    """

    line: Line
    warehouse: Warehouse
    quantity: Decimal
    batch: str | None = None
    serials: Sequence[str] = ()
    generated: bool = False
    amount: Decimal | None = None
    share: Decimal | None = None
    original: str | None = None
    counted: Decimal | None = None
    rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a movement does to stock, in the order in which the ledger posts it.

    What leaves; what of that arrives elsewhere, in the same order; what comes from outside; what only changes its
    value, or was counted.
    """

    left: Sequence[Portion] = ()
    moved: Sequence[Portion] = ()
    came: Sequence[Portion] = ()
    valued: Sequence[Portion] = ()


@dataclass(frozen=True, slots=True)
class SerialEvent:
    """A serial came to a warehouse, left one, or went from one to another; (at, tie) orders a serial's events.

    `warranty_until` is the warranty that begins as it leaves.
    """

    key: SerialKey
    at: datetime
    tie: int
    source: str
    id: str
    left: bool
    came_to: str | None
    warranty_until: date | None = None


@dataclass(slots=True)
class Case:
    """A movement being judged; `effective_at` and `day` are known before any line is allocated.

    `dated_at` is when it counts in the books, where that is another time. Of one that is back-dated, `past` tells what
    was there at its moment, and the draft is one of the stock as of it; `today` are the bins as they are now. `counted`
    are the places that it counted, with their lines. `original` is the accepted movement that it names. `named` are the
    serials and batches, by item, that its lines name: no series makes these. `freed` is how much it has let go of what
    was reserved in a bin, or of a batch there. `also` are bins in which it takes a stamp even if nothing changes there:
    those of what it names, and those it counted. On `shelves` lie the batches of each bin that its lines pick from.
    `remarks` are what its source should know.
    """

    request: Request
    movement: MovementRequested
    purpose: Purpose
    company: Company
    draft: Draft
    limits: Limits
    effective_at: datetime
    day: date
    dated_at: datetime | None = None
    back_dated: bool = False
    past: Mapping[Place, Outlook] = field(default_factory=dict)
    today: Mapping[BinKey, Bin] = field(default_factory=dict)
    original: MovementAllocated | None = None
    reasons: list[Reason] = field(default_factory=list)
    events: list[SerialEvent] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)
    also: set[BinKey] = field(default_factory=set)
    counted: list[tuple[Place, int]] = field(default_factory=list)
    shelves: dict[BinKey, Shelf] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    freed: dict[BinKey | BatchStockKey, Decimal] = field(default_factory=dict)

    def refuse(self, code: str, line: Line | RequestedLine | int | None, **facts: object) -> None:
        """Note a reason against the movement; the facts are shown as text."""
        number = line if isinstance(line, int) or line is None else _number(line)
        self.reasons.append(Reason(code, number, {name: _shown(value) for name, value in facts.items()}))

    def remark(self, code: str, line: Line, **facts: object) -> None:
        """Note something that the source should know; the facts are shown as text."""
        shown = {name: _shown(value) for name, value in facts.items()}
        self.remarks.append(Remark(code=code, line=line.number, facts=shown))

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
        after = before.quantity + quantity
        self.draft.bins[key] = before._replace(quantity=after, short=before.short and after < ZERO)

    def free(self, key: BinKey, quantity: Decimal) -> None:
        """Let go of so much that is reserved in a bin of no batch in particular."""
        before = self.bin(key)
        self.draft.bins[key] = before._replace(reserved=max(before.reserved - quantity, ZERO))
        self.freed[key] = self.freed.get(key, ZERO) + quantity

    def free_batch(self, key: BatchStockKey, quantity: Decimal) -> None:
        """Let go of so much that is reserved of a batch."""
        before = self.draft.batch_stock.get(key) or BatchStock()
        self.draft.batch_stock[key] = before._replace(reserved=max(before.reserved - quantity, ZERO))
        self.freed[key] = self.freed.get(key, ZERO) + quantity

    def rate_is_known(self, item: Item, warehouse: Warehouse) -> bool:
        """Whether what has no rate of its own finds one in a bin: the last one there, or the item's standard rate."""
        return self.is_rated(self.bin(self.bin_key(item, warehouse))) or (item.standard_rate or ZERO) > ZERO

    def is_rated(self, there: Bin) -> bool:
        """Whether a rate is known in a bin at the movement's moment."""
        return there.rated_from is not None and there.rated_from <= self.effective_at

    def moved_since(self, line: Line, number: str) -> bool:
        """Whether a serial has an event behind the movement's moment; that speaks against it, and is noted."""
        serial = self.draft.stock.serials.get((self.company.company, line.item.item, number))
        if serial is None or serial.last_at is None or serial.last_at <= self.effective_at:
            return False
        self.refuse("serial_moved_since", line, item=line.item.item, serial=number, at=serial.last_at)
        return True

    def outlook(self, line: Line, warehouse: Warehouse, batch: str | None = None) -> Outlook | None:
        """What stood in a place at the movement's moment and from then on; None where nothing came behind it."""
        return self.past.get((*self.bin_key(line.item, warehouse), batch or ""))


def _number(line: Line | RequestedLine) -> int | None:
    return line.number if isinstance(line, Line) else line.line


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    text = str(value)
    return text if len(text) <= FACT_LENGTH else f"{text[: FACT_LENGTH - 2]} …"
