"""A movement as it is requested, and as it is allocated: with stamps, legs, and the accounts that it books to."""

from datetime import date
from typing import Annotated, Literal

import msgspec

from shared.contracts.codec import FEW, Attributes, Code, Contract, Identifier, SourceName, Text, Time, write
from shared.contracts.manifest import Number
from shared.contracts.masters import Days
from shared.contracts.outcome import OutcomeAccepted
from shared.purposes import Method, Role, Tracking
from shared.quantities import Money, Quantity, Rate

LINES_LIMIT = 5_000
SERIALS_LIMIT = 100_000
MOVEMENTS_LIMIT = 1_000
MESSAGE_LIMIT = 16 * 1024 * 1024


class Reference(Contract, frozen=True, kw_only=True):
    """Another movement, or a reservation; `source` is by default the own one."""

    source: SourceName | None = None
    id: Identifier


class AdditionalCost(Contract, frozen=True, kw_only=True):
    """A cost that is added to the value of what comes in, spread over the lines.

    `amount` is below zero only for a landed cost. `account` is credited; by default that of the role
    `expenses_in_valuation`. `spread` says in proportion to what: the lines' amounts, quantities or shares; each line's
    part is rounded, and the last line takes the rest.
    """

    amount: Money
    account: Code | None = None
    spread: Literal["amount", "quantity", "share"] = "amount"


class Tender(Contract, frozen=True, kw_only=True):
    """How a sale was paid: an account, or a kind of tender (`cash`, `card`) that names one.

    `account` is debited, or credited where it pays back. `kind` is the code of the account that is, where `account` is
    left out.
    """

    account: Code | None = None
    kind: Code | None = None
    amount: Money


class TicketMoney(Contract, frozen=True, kw_only=True):
    """The money side of a sale, or of what is returned of one: what was tendered, and the cash rounding.

    `tenders` and `rounding` together are the sum of the lines' net and tax, less those of lines that come back; below
    zero where more comes back than is sold. `tenders` of a sales return are what is paid back, above zero. `tenders`
    left out, the customer owes that sum, or is owed it. `rounding` is given away where positive.
    """

    tenders: Annotated[list[Tender], msgspec.Meta(max_length=FEW)] = []
    rounding: Money | None = None


class Tax(Contract, frozen=True, kw_only=True):
    """A tax on one line; we compute none.

    `code` is the upstream's own name of the tax. `account` is credited; by default that of the role `tax`.
    """

    code: Code
    account: Code | None = None
    amount: Money


class RequestedLine(Contract, frozen=True, kw_only=True):
    """One line of a movement.

    `line` is its number, by default its place from 1. `scan` is a scanned code instead of the fields that it holds.
    `quantity` is counted in `unit`; of named serials it may be left out, and a write-down has none. `unit` is one of
    the item's, by default its stock unit. `source` is the warehouse that goods leave, or where they are written down;
    what is sent back to a supplier leaves by default where it came in. `target` is the warehouse where goods arrive (a
    sale's line that has one comes back), or where they were counted; what is returned goes by default to where it left.
    `rate` is money per `unit`: of what comes in, by default the last one known; of what was counted, by default the
    average before; of what is written down, what a unit is worth at most from then on. `allow_zero_rate` takes a rate
    of 0 as meant. `serials` is a list, or a text with one per line, commas, and ranges (`A001-A050`); of a count they
    are all that stand there. `batch` left out is picked where goods leave, and made by the item's series where they
    come in; a count of an item's batches names each. `manufactured_on`, `expires_on` and `supplier_batch` describe a
    batch that this line makes. `attributes` are kept with the batch or the serials that it brings. `against_line` is a
    line of the movement named in `against`; left out, its lines of the item are taken in their order; a landed cost
    that names any concerns those alone. `scrap` marks what making leaves over: it is worth its `rate`, and takes no
    share. `share` is the line's part where costs are spread by shares; of what is made also its part of what was
    consumed, by default its quantity. `price` is the price per `unit` of a sale, used where `net` is left out. `net` is
    the line's income without tax; what is returned of a sale may leave it out, with `price` and `tax`, and then gives
    back its part of the sale's. `tax` comes on top of `net`. `account` of a sale's line without stock (a service, a
    bag) is credited with `net`. `reservation` is the one against which it takes goods, by default the movement's.
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
    attributes: Attributes = {}
    against_line: int | None = None
    scrap: bool = False
    share: Quantity | None = None
    price: Rate | None = None
    net: Money | None = None
    tax: Annotated[list[Tax], msgspec.Meta(max_length=FEW)] = []
    account: Code | None = None
    reservation: Reference | None = None


class MovementRequested(Contract, frozen=True, kw_only=True):
    """One business document. `id` and the source of its event name it for ever.

    `number` is its number in the source's own sequence, where that keeps one: so it can be told what did not arrive.
    `company` is by default that of its warehouses, or of the movement that it names. `posting_at` is when it happened;
    a cancellation takes effect when what it cancels did, whatever it says. `against` is the movement that this one
    returns, revalues or cancels. `reservation` is the one against which its lines take goods: what it keeps back of
    them is free to them, and taken first. `opening` marks a count with which the books begin, of untracked items.
    `difference_account` is booked instead of the purpose's own account for the side that is not stock. `dry_run` tries
    the movement without effect: the answer is `outcome.tried`, or `outcome.rejected`. `additional_costs` are added to
    the value of what comes in. `money` is how a sale was paid, or what was paid back. `lines` are what moves; only a
    landed cost can do without any, and a cancellation needs none.
    """

    id: Identifier
    number: Number | None = None
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
    reservation: Reference | None = None
    opening: bool = False
    difference_account: Code | None = None
    dry_run: bool = False
    additional_costs: Annotated[list[AdditionalCost], msgspec.Meta(max_length=FEW)] = []
    money: TicketMoney | None = None
    lines: list[RequestedLine] = []


class BinStamp(Contract, frozen=True, kw_only=True):
    """The movement's number in one (item, warehouse) bin: 1 for the first movement there, no gaps."""

    item: Code
    warehouse: Code
    stamp: int


class CorrectedCount(Contract, frozen=True, kw_only=True):
    """A count that found another difference than it was thought to: where it stands, and what its difference books to.

    `effective_at`, `posting_date` and `stamp` (in the bin of the leg) are the count's own; `account` is the one on the
    other side of stock.
    """

    account: Code
    effective_at: Time
    posting_date: date
    stamp: int


class Leg(Contract, frozen=True, kw_only=True):
    """One change of stock: part of a line, in one bin and of one batch.

    `quantity` is signed, in stock units; zero where only the value changes. `amount` is what goods are worth that come
    in from outside or were counted. `standard_rate` values those without an amount, and what leaves beyond stock, where
    the bin knows no last rate. `arrives_from` is the place (from 0) of the leg by which goods left another bin: it
    stands earlier in the movement's `legs` and has the same quantity with the other sign. `share` of what is made is
    its part of what was consumed; of any other leg, its part of additional costs that are spread by shares. `original`
    is the ledger entry by which left or came what comes back, is sent back, is revalued or is cancelled. `counted` is
    how much stands there from then on: all in the bin, all of the batch there, or the whole set of serials. `rate` is
    what a stock unit of what is written down is worth at most. `corrects` is a later count, of which `original` is the
    entry: what this movement changes before it, it finds the other way round. `warranty_days` is how long a unit of the
    item is covered from its delivery on.

    The legs of one movement stand in the order in which they are posted: all that leaves before all that arrives.
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
    share: Quantity | None = None
    original: str | None = None
    counted: Quantity | None = None
    rate: Rate | None = None
    corrects: CorrectedCount | None = None
    warranty_days: Days | None = None
    tracking: Tracking = Tracking.NONE
    method: Method = Method.FIFO
    stock_account: Code


class AllocatedCost(Contract, frozen=True, kw_only=True):
    """An additional cost with its account resolved.

    `spread` is in proportion to what it is spread over the legs that come in.
    """

    account: Code
    amount: Money
    spread: Literal["amount", "quantity", "share"] = "amount"


class MovementName(Contract, frozen=True, kw_only=True):
    """What names a movement for ever: its source, and its id there."""

    source: SourceName
    id: Identifier


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
    """A movement that was accepted or, as `trial.allocated`, only tried: all that ledger and accounting need.

    A replay of it gives the same. `accounts` holds the account of each role that its purpose books to (the movement's
    difference account already in place of the role's own) and always that of `stock_adjustment`; the stock accounts
    stand on the legs. `effective_at` orders and values, `posting_date` is its day in the company's time zone,
    `recorded_at` is when it was accepted. `digits` is the number of decimal places of the currency. `against` is the
    movement that it returns, revalues or cancels; `mirrors` is the purpose of the one that it cancels, each of whose
    legs it undoes by a leg in the same place. `additional_costs` are spread over what comes in. `open_from` is the
    first open day of the company's books when it was accepted; none, if nothing was closed. `dated_at` is the first
    moment of that day, where what it changes of closed days is dated then: only a landed cost on a closed receipt, or
    the cancellation of one, reaches back so far, and `posting_date` is then that day too. `trial` is what the source
    of a dry run would be told; nothing but a dry run has one.
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
    open_from: date | None = None
    dated_at: Time | None = None
    document: Text | None = None
    actor: Text | None = None
    reason: Text | None = None
    customer: Text | None = None
    supplier: Text | None = None
    recipient: Text | None = None
    against: MovementName | None = None
    mirrors: Code | None = None
    stamps: list[BinStamp]
    legs: list[Leg]
    accounts: dict[Role, Code]
    additional_costs: list[AllocatedCost] = []
    money: MoneySides | None = None
    trial: OutcomeAccepted | None = None
    trace: str | None = None


_OF_UNITS = write({"tracking": Tracking.SERIAL})[1:-1]


def has_units(allocated: bytes) -> bool:
    """Whether an allocated movement, as it was written, is of serialized units: quotes inside a text are escaped."""
    return _OF_UNITS in allocated
