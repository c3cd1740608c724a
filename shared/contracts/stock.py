"""What the ledger tells: a movement posted, with the entries that it made and their values."""

from datetime import date

from shared.contracts.codec import Code, Contract, SourceName, Text, Time
from shared.contracts.movement import Identifier, MoneySides
from shared.purposes import Role
from shared.quantities import Money, Quantity


class PostedEntry(Contract, frozen=True, kw_only=True):
    """A stock ledger entry: the change of quantity and value in one bin, and what stands there after it.

    `arrives_from` is the place (from 0) in `entries` of the entry from whose bin this one arrived. `value` is the
    change of the bin's rounded value.
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
    stock_account: Code


class MovementPosted(Contract, frozen=True, kw_only=True):
    """A movement in the stock ledger: its entries in the order in which they were posted, and what to book."""

    source: SourceName
    id: Identifier
    company: Code
    currency: Code
    digits: int
    perpetual: bool = True
    purpose: Code
    effective_at: Time
    recorded_at: Time
    posting_date: date
    document: Text | None = None
    customer: Text | None = None
    supplier: Text | None = None
    entries: list[PostedEntry]
    accounts: dict[Role, Code]
    money: MoneySides | None = None
    trace: str | None = None
