"""A movement as it is requested, and as it is allocated: with stamps, legs, and the accounts that it books to."""

from datetime import date
from typing import Annotated, Literal

import msgspec

from shared.contracts.codec import Code, Contract, SourceName, Text, Time
from shared.purposes import Method, Role, Tracking
from shared.quantities import Money, Quantity, Rate

LINES_LIMIT = 5_000
SERIALS_LIMIT = 100_000
MOVEMENTS_LIMIT = 1_000
MESSAGE_LIMIT = 16 * 1024 * 1024

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Reference(Contract, frozen=True, kw_only=True):
    """Another movement; `source` is by default the own one."""

    source: SourceName | None = None
    id: Identifier


class AdditionalCost(Contract, frozen=True, kw_only=True):
    """A cost that is added to the value of what comes in, spread over the lines.

    `account` is credited; by default that of the role `expenses_in_valuation`. `spread` says in proportion to what: the
    lines' amounts, quantities or shares.
    """

    amount: Money
    account: Code | None = None
    spread: Literal["amount", "quantity", "share"] = "amount"


class Tender(Contract, frozen=True, kw_only=True):
    """How a sale was paid: an account, or a kind of tender (`cash`, `card`) that names one.

    `account` is debited. `kind` is the code of the account that is, where `account` is left out.
    """

    account: Code | None = None
    kind: Code | None = None
    amount: Money


class TicketMoney(Contract, frozen=True, kw_only=True):
    """The money side of a sale as a whole: what was tendered, and the cash rounding (given away where positive).

    `tenders` and `rounding` together are the sum of the lines' net and tax; without `tenders` the customer owes it.
    """

    tenders: list[Tender] = []
    rounding: Money | None = None


class Tax(Contract, frozen=True, kw_only=True):
    """A tax on one line; we compute none.

    `code` is the upstream's own name of the tax. `account` is credited; by default that of the role `tax`.
    """

    code: Code
    account: Code | None = None
    amount: Money


class RequestedLine(Contract, frozen=True, kw_only=True):
    """One line of a movement. `serials` is a list, or a text with one per line, commas, and ranges (`A001-A050`).

    `line` is its number, by default its place from 1. `scan` is a scanned code instead of the fields that it holds.
    `quantity` is counted in `unit`; of named serials it may be left out. `unit` is one of the item's, by default its
    stock unit. `source` is the warehouse that goods leave. `target` is the warehouse where they arrive. `rate` is money
    per `unit` of what comes in, by default the last one known. `allow_zero_rate` takes a rate of 0 as meant. `batch`
    left out is picked where goods leave, and made by the item's series where they come in. `manufactured_on`,
    `expires_on` and `supplier_batch` describe a batch that this line makes. `attributes` are kept with the batch or the
    serials that it brings. `against_line` is the line of the movement named in `against`. `scrap` marks what making
    leaves over. `share` is the line's part where costs are spread by shares. `price` is the price per `unit` of a sale,
    used where `net` is left out. `net` is the line's income without tax. `tax` comes on top of `net`. `account` of a
    sale's line without stock (a service, a bag) is credited with `net`.
    """

    line: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    item: Code | None = None
    scan: Text | None = None
    quantity: Quantity | None = None
    unit: Code | None = None
    source: Code | None = None
    target: Code | None = None
    rate: Rate | None = None
    allow_zero_rate: bool = False
    serials: list[Text] | str | None = None
    batch: Text | None = None
    manufactured_on: date | None = None
    expires_on: date | None = None
    supplier_batch: Text | None = None
    attributes: dict[Code, Text] = {}
    against_line: int | None = None
    scrap: bool = False
    share: Quantity | None = None
    price: Rate | None = None
    net: Money | None = None
    tax: list[Tax] = []
    account: Code | None = None


class MovementRequested(Contract, frozen=True, kw_only=True):
    """One business document. `id` and the source of its event name it for ever.

    `company` is by default that of its warehouses. `posting_at` is when it happened. `against` is the movement that
    this one returns, corrects or cancels. `opening` marks a count with which the books begin. `difference_account` is
    booked instead of the purpose's own account for the side that is not stock. `dry_run` tries the movement without
    effect. `additional_costs` are added to the value of what comes in. `money` is how a sale was paid. `lines` are what
    moves; there is at least one.
    """

    id: Identifier
    company: Code | None = None
    purpose: Code
    posting_at: Time
    document: Text | None = None
    actor: Text | None = None
    reason: Text | None = None
    customer: Text | None = None
    supplier: Text | None = None
    recipient: Text | None = None
    against: Reference | None = None
    opening: bool = False
    difference_account: Code | None = None
    dry_run: bool = False
    additional_costs: list[AdditionalCost] = []
    money: TicketMoney | None = None
    lines: list[RequestedLine] = []


class BinStamp(Contract, frozen=True, kw_only=True):
    """The movement's number in one (item, warehouse) bin: 1 for the first movement there, no gaps."""

    item: Code
    warehouse: Code
    stamp: int


class Leg(Contract, frozen=True, kw_only=True):
    """One change of stock: part of a line, in one bin and of one batch.

    `quantity` is signed, in stock units. What comes in from outside has an `amount` (in the company's currency), or
    none, and then takes the last rate known in the bin, else `standard_rate`. What arrives from another bin names in
    `arrives_from` the place (from 0) of the leaving leg, which stands earlier in the movement's `legs` and has the same
    quantity with the other sign. The legs of one movement stand in the order in which they are posted: all that leaves
    before all that arrives.
    """

    line: int
    item: Code
    warehouse: Code
    quantity: Quantity
    batch: Code | None = None
    serials: list[str] = []
    amount: Money | None = None
    standard_rate: Rate | None = None
    arrives_from: int | None = None
    tracking: Tracking = Tracking.NONE
    method: Method = Method.FIFO
    stock_account: Code


class AccountAmount(Contract, frozen=True, kw_only=True):
    """An amount on one side of an account; `line` where it belongs to a line."""

    account: Code
    amount: Money
    line: int | None = None


class MoneySides(Contract, frozen=True, kw_only=True):
    """The money side of a sale, with accounts resolved: the debits' sum equals the credits' sum."""

    debits: list[AccountAmount]
    credits: list[AccountAmount]


class MovementAllocated(Contract, frozen=True, kw_only=True):
    """A movement that was accepted: everything that ledger and accounting need, so that a replay gives the same.

    `accounts` holds the account of each role that its purpose books to (the movement's difference account already in
    place of the role's own) and always that of `stock_adjustment`; the stock accounts stand on the legs. `effective_at`
    orders and values, `posting_date` is its day in the company's time zone, `recorded_at` is when it was accepted.
    `digits` is the number of decimal places of the currency.
    """

    source: SourceName
    id: Identifier
    company: Code
    currency: Code
    digits: int
    perpetual: bool = True
    purpose: Code
    posting_at: Time
    effective_at: Time
    recorded_at: Time
    posting_date: date
    document: Text | None = None
    actor: Text | None = None
    reason: Text | None = None
    customer: Text | None = None
    supplier: Text | None = None
    recipient: Text | None = None
    stamps: list[BinStamp]
    legs: list[Leg]
    accounts: dict[Role, Code]
    money: MoneySides | None = None
    trace: str | None = None
