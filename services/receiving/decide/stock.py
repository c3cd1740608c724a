"""What allocation judges by: masters and stock as they were locked, and a draft of what one movement changes.

`Stock` holds plain dicts of immutable records. A movement is judged on a `Draft`, which reads through to the stock and
keeps its changes to itself; only an accepted movement's draft is absorbed, so a rejection leaves nothing behind.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar

from shared.contracts.movement import MovementAllocated
from shared.purposes import AccountKind, BatchState, Method, Pick, Role, SerialStatus, Tracking
from shared.quantities import ZERO

NEVER = datetime.min.replace(tzinfo=UTC)

BinKey = tuple[str, str, str]
"""Company, item, warehouse."""
BatchKey = tuple[str, str, str]
"""Company, item, batch."""
SerialKey = tuple[str, str, str]
"""Company, item, serial."""
BatchStockKey = tuple[str, str, str, str]
"""Company, item, warehouse, batch."""
MovementKey = tuple[str, str]
"""Source, and the movement's id there."""
SeriesKey = tuple[str, str]
"""Company, and the text in front of the counter."""


@dataclass(frozen=True, slots=True)
class Company:
    """A company, with the account of each role that it set and the kinds of its accounts.

    `stock_accounts` are those of its warehouses; `booked` are the others that accepted movements book to.
    """

    company: str
    currency: str
    digits: int
    time_zone: str = "UTC"
    perpetual: bool = True
    lateness: timedelta = timedelta(0)
    open_from: date | None = None
    issue_expired: bool = True
    roles: Mapping[Role, str] = field(default_factory=dict)
    accounts: Mapping[str, AccountKind] = field(default_factory=dict)
    stock_accounts: frozenset[str] = frozenset()
    booked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """An item; `units` maps a unit to its factor in stock units."""

    company: str
    item: str
    unit: str = "pcs"
    units: Mapping[str, Decimal] = field(default_factory=dict)
    whole_units: bool = False
    tracking: Tracking = Tracking.NONE
    serial_series: str | None = None
    batch_series: str | None = None
    create_batches_on_receipt: bool = False
    valuation_method: Method = Method.FIFO
    standard_rate: Decimal | None = None
    shelf_life_days: int | None = None
    warranty_days: int | None = None
    pick: Pick = Pick.FIFO
    allow_negative_stock: bool = False
    reuse_serials: bool = True
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse and its stock account."""

    company: str
    warehouse: str
    kind: str = "store"
    account: str = Role.STOCK.value


class Bin(NamedTuple):
    """One item in one warehouse; of a serialized item the quantity is the count of its serials.

    `short`: more was issued than was there, which the item allows or a source told as a fact. `last_at` is the latest
    event there, `counted_at` the time of the last count. A rate is known from `rated_from` on; None, if there is none.
    """

    quantity: Decimal = ZERO
    reserved: Decimal = ZERO
    last_stamp: int = 0
    last_at: datetime = NEVER
    last_recorded_at: datetime = NEVER
    rated_from: datetime | None = None
    short: bool = False
    counted_at: datetime = NEVER


class Entered(NamedTuple):
    """When a unit or batch first entered the company since it last left: what FIFO orders by."""

    at: datetime
    stamp: int
    line: int
    place: int = 0


class Batch(NamedTuple):
    """A batch; `entered` is when it came into the company since it last left, None while it never did."""

    expires_on: date | None = None
    state: BatchState = BatchState.FREE
    entered: Entered | None = None
    manufactured_on: date | None = None
    supplier: str | None = None
    supplier_batch: str | None = None
    attributes: Mapping[str, str] | None = None


class BatchStock(NamedTuple):
    """So much of a batch in one warehouse."""

    quantity: Decimal = ZERO
    reserved: Decimal = ZERO


class Serial(NamedTuple):
    """A serialized unit: its place (None: nowhere in stock), its last event; `last_tie` numbers those of a moment.

    `left_by` is the ledger entry by which it last left the company's stock, and `left_from` the warehouse. `recalled`:
    by itself; the recall of its batch is the batch's.
    """

    status: SerialStatus = SerialStatus.INACTIVE
    warehouse: str | None = None
    batch: str | None = None
    supplier: str | None = None
    supplier_document: str | None = None
    customer: str | None = None
    customer_document: str | None = None
    warranty_until: date | None = None
    entered: Entered | None = None
    last_at: datetime | None = None
    last_tie: int = 0
    reserved_for: str | None = None
    attributes: Mapping[str, str] | None = None
    left_by: str | None = None
    left_from: str | None = None
    recalled: bool = False


class Reserved(NamedTuple):
    """A line of a reservation: so much of an item in a bin, of one batch there (None: of any), or these serials.

    `open` is what it still keeps back; it may hold less of what was lost since.
    """

    line: int
    bin: BinKey
    quantity: Decimal
    open: Decimal
    delivered: Decimal = ZERO
    batch: str | None = None
    serials: tuple[str, ...] = ()


class Returned(NamedTuple):
    """How much of a ledger entry came back or was sent back so far, and which of its serials."""

    quantity: Decimal = ZERO
    serials: frozenset[str] = frozenset()


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Layer(Generic[_Key, _Value]):
    """A dict whose changes stay its own until they are absorbed."""

    __slots__ = ("below", "own")

    def __init__(self, below: dict[_Key, _Value]) -> None:
        self.below = below
        self.own: dict[_Key, _Value] = {}

    def get(self, key: _Key) -> _Value | None:
        """The value as it stands now."""
        found = self.own.get(key)
        return self.below.get(key) if found is None else found

    def __setitem__(self, key: _Key, value: _Value) -> None:
        self.own[key] = value


class BatchLayer(Layer[BatchStockKey, BatchStock]):
    """How much of batches stands where; `changed` are those of each bin that were changed, in that order."""

    __slots__ = ("changed",)

    def __init__(self, below: dict[BatchStockKey, BatchStock]) -> None:
        super().__init__(below)
        self.changed: dict[BinKey, list[str]] = defaultdict(list)

    def __setitem__(self, key: BatchStockKey, value: BatchStock) -> None:
        self.own[key] = value
        self.changed[key[:3]].append(key[3])


@dataclass(slots=True)
class Stock:
    """Everything that a set of movements may need, locked; and which of it has changed.

    `batch_totals` holds the quantity of a batch in all warehouses, for batches that something comes into.
    `known_serials` and `known_batches` are in the database, under these locks: whoever makes another of that name
    meanwhile is met in its key. `originals` are the decided movements that others name, None for a rejected one;
    `returned` tells of their ledger entries what was returned. `tombstones` are movements that were cancelled before
    they came, and by which. Of the originals, `cancelled` says which were since, and by which, and `naming` which
    others name them. `telling` are the sources that tell facts. `reservations` are those that movements name, with
    their lines in the bins that are locked.
    """

    companies: dict[str, Company] = field(default_factory=dict)
    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    warehouses: dict[tuple[str, str], Warehouse] = field(default_factory=dict)
    bins: dict[BinKey, Bin] = field(default_factory=dict)
    batches: dict[BatchKey, Batch] = field(default_factory=dict)
    batch_stock: dict[BatchStockKey, BatchStock] = field(default_factory=dict)
    batch_totals: dict[BatchKey, Decimal] = field(default_factory=dict)
    serials: dict[SerialKey, Serial] = field(default_factory=dict)
    series: dict[SeriesKey, int] = field(default_factory=dict)
    serials_in: dict[BinKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    batches_in: dict[BinKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    pick_orders: dict[BinKey, Sequence[str]] = field(default_factory=dict, compare=False)
    originals: dict[MovementKey, MovementAllocated | None] = field(default_factory=dict)
    returned: dict[str, Returned] = field(default_factory=dict)
    reservations: dict[MovementKey, tuple[Reserved, ...]] = field(default_factory=dict)
    telling: frozenset[str] = frozenset()
    tombstones: dict[MovementKey, MovementKey] = field(default_factory=dict)
    cancelled: dict[MovementKey, MovementKey] = field(default_factory=dict)
    naming: dict[MovementKey, set[MovementKey]] = field(default_factory=dict)
    known_serials: set[SerialKey] = field(default_factory=set)
    known_batches: set[BatchKey] = field(default_factory=set)
    changed: "Changes" = field(default_factory=lambda: Changes())  # noqa: PLW0108 - defined below

    def companies_of(self, warehouse: str) -> list[str]:
        """The companies that have a warehouse of this code."""
        return [company for company, code in self.warehouses if code == warehouse]

    def index(self) -> "Stock":
        """Note which serials and batches exist and stand in which bin; call it once everything is loaded."""
        self.known_serials = set(self.serials)
        self.known_batches = set(self.batches)
        for (company, item, serial), record in self.serials.items():
            if record.warehouse is not None:
                self.serials_in[company, item, record.warehouse].add(serial)
        for company, item, warehouse, batch in self.batch_stock:
            self.batches_in[company, item, warehouse].add(batch)
        return self

    def settle(self) -> None:
        """Note that all that changed was written."""
        self.known_serials |= self.changed.serials
        self.known_batches |= self.changed.batches
        self.changed = Changes()

    def absorb(self, draft: "Draft") -> None:
        """Take over what an accepted movement changed."""
        for (company, item, serial), record in draft.serials.own.items():
            before = self.serials.get((company, item, serial))
            if before is not None and before.warehouse is not None:
                self.serials_in[company, item, before.warehouse].discard(serial)
            if record.warehouse is not None:
                self.serials_in[company, item, record.warehouse].add(serial)
                self.pick_orders.pop((company, item, record.warehouse), None)
        for company, item, warehouse, batch in draft.batch_stock.own:
            if batch not in self.batches_in[company, item, warehouse]:
                self.batches_in[company, item, warehouse].add(batch)
                self.pick_orders.pop((company, item, warehouse), None)
        changed = {(company, item) for company, item, _ in draft.batches.own}
        for key in [key for key in self.pick_orders if key[:2] in changed]:
            del self.pick_orders[key]
        for name in Changes.__slots__:
            if own := getattr(draft, name).own:
                getattr(self, name).update(own)
                getattr(self.changed, name).update(own)


@dataclass(slots=True)
class Changes:
    """The keys of all records that accepted movements changed."""

    bins: set[BinKey] = field(default_factory=set)
    batches: set[BatchKey] = field(default_factory=set)
    batch_stock: set[BatchStockKey] = field(default_factory=set)
    batch_totals: set[BatchKey] = field(default_factory=set)
    serials: set[SerialKey] = field(default_factory=set)
    series: set[SeriesKey] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)
    reservations: set[MovementKey] = field(default_factory=set)


class Draft:
    """One movement's changes over a stock."""

    __slots__ = (
        "batch_stock",
        "batch_totals",
        "batches",
        "bins",
        "reservations",
        "returned",
        "serials",
        "series",
        "stock",
    )

    def __init__(self, stock: Stock) -> None:
        self.stock = stock
        self.bins = Layer(stock.bins)
        self.batches = Layer(stock.batches)
        self.batch_stock = BatchLayer(stock.batch_stock)
        self.batch_totals = Layer(stock.batch_totals)
        self.serials = Layer(stock.serials)
        self.series = Layer(stock.series)
        self.returned = Layer(stock.returned)
        self.reservations = Layer(stock.reservations)
