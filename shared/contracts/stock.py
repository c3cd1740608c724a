"""What the ledger tells: a movement posted, with its entries and their values; and what became worth something else."""

from datetime import date

from shared.contracts.codec import Code, Contract, Identifier, SourceName, Text, Time
from shared.contracts.movement import AccountAmount, MoneySides
from shared.contracts.outcome import OutcomeAccepted
from shared.purposes import Role
from shared.quantities import Money, Quantity


class PostedEntry(Contract, frozen=True, kw_only=True):
    """A stock ledger entry: the change of quantity and value in one bin, and what stands there after it.

    `quantity` is below zero where goods leave, and zero where only the value changes. `value` is the change of the
    bin's rounded value. `arrives_from` is the place (from 0) in `entries` of the entry from whose bin this one arrived.
    `booked` are the parts of the value that go to other accounts than the purpose's own: additional costs, what a
    return lacks, the truing up of what was issued beyond stock; an amount above zero is credited there. `original` is
    the entry that this one returns, sends back, cancels or, for a landed cost, revalues. `part_of` is the entry to
    whose total this one belongs: a true-up to that of what arrives, a correction to that of what it corrects.
    `corrects` is the quantity of what a revaluation corrects, whose sign says which way it went.
    """

    entry: str
    line: int
    item: Code
    warehouse: Code
    batch: Code | None = None
    serials: list[str] = []
    quantity: Quantity
    value: Money
    stamp: int
    quantity_after: Quantity
    value_after: Money
    arrives_from: int | None = None
    booked: list[AccountAmount] = []
    original: str | None = None
    part_of: str | None = None
    corrects: Quantity | None = None
    stock_account: Code


class MovementPosted(Contract, frozen=True, kw_only=True):
    """A movement in the stock ledger or, as `trial.posted`, only tried: its entries, and what to book.

    `entries` stand in the order in which they were posted. `effective_at` is when it counts in the books: that may be
    later than when it takes effect, where that day is closed. `mirrors` is the purpose of what it cancels. `trial` is
    what the source of a dry run would be told; nothing but a dry run has one.
    """

    source: SourceName
    id: Identifier
    company: Code
    currency: Code
    digits: int
    perpetual: bool = True
    purpose: Code
    mirrors: Code | None = None
    effective_at: Time
    recorded_at: Time
    posting_date: date
    document: Text | None = None
    customer: Text | None = None
    supplier: Text | None = None
    entries: list[PostedEntry]
    accounts: dict[Role, Code]
    money: MoneySides | None = None
    trial: OutcomeAccepted | None = None
    trace: str | None = None


class StockRevalued(Contract, frozen=True, kw_only=True):
    """What earlier movements turned out to be worth, because something was inserted, cancelled or revalued before them.

    `source` (that of the ledger) and `id` name it for ever. It is the piece of work of this `number` in one bin, which
    corrects what stands there and what that went into. `movements` are the corrected ones, each with nothing but the
    entries (all of quantity zero) that correct it, dated where they count; each is booked as the movement was.
    `recorded_at` is when the last thing was accepted that made it necessary.
    """

    source: SourceName
    id: Identifier
    company: Code
    item: Code
    warehouse: Code
    number: int
    recorded_at: Time
    movements: list[MovementPosted]
    trace: str | None = None
