"""Master data: what a company, its sources, accounts, items, warehouses, batches and serials are.

A definition states the whole of its noun; the same noun defined again is replaced, except for what its history
forbids (tracking, unit and valuation method once entries exist).
"""

from datetime import date
from typing import Annotated, Literal

import msgspec

from shared.contracts.codec import FEW, TEXT_LIMIT, Attributes, Code, Contract, SourceName, Text
from shared.purposes import AccountKind, Method, Pick, Role, Tracking
from shared.quantities import Quantity, Rate

DEFINITIONS_LIMIT = 1_000
"""As many definitions may travel in one event."""

Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=31_536_000)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
Words = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=TEXT_LIMIT)]
"""A text that says something."""


class CompanyDefined(Contract, frozen=True, kw_only=True):
    """A company: its currency, its clock, and how late or early a movement may be reported (`lateness`, seconds).

    `time_zone` is an IANA name like `Europe/Berlin`; days begin and end by it. `perpetual` books every movement at
    once; without it there is a stock ledger and no journal. `open_from` is the first day of the open books.
    `issue_expired` allows what has expired to be issued.
    """

    company: Code
    name: Text = ""
    currency: Currency
    time_zone: Code = "UTC"
    perpetual: bool = True
    lateness: Seconds = 300
    open_from: date | None = None
    issue_expired: bool = True


class Account(Contract, frozen=True, kw_only=True):
    """One account and its kind."""

    account: Code
    name: Text = ""
    kind: AccountKind


class AccountsDefined(Contract, frozen=True, kw_only=True):
    """Accounts of a company, and which of them plays which role; a role not named keeps its account.

    `accounts` are added to those that the company has, or replace those of the same code. `roles` maps a role to an
    account; by default each role has an account of its own name.
    """

    company: Code
    accounts: list[Account] = []
    roles: dict[Role, Code] = {}


class SourceDefined(Contract, frozen=True, kw_only=True):
    """An upstream system: whether it may be refused (`request`) or tells what has happened (`fact`).

    `mode` is `request` where it may be refused, `fact` where it tells what has happened: then it is never refused for
    want of untracked goods. `patience` is how long (seconds) its movements may wait for what they need. `user` is the
    account of the broker that alone may send what names this source; without one, whoever may publish at all.
    """

    source: SourceName
    mode: Literal["request", "fact"] = "request"
    patience: Seconds = 60
    user: Code | None = None


class ItemDefined(Contract, frozen=True, kw_only=True):
    """An item: its units, how it is tracked, valued and picked. `units` maps a unit to its factor in stock units.

    `unit` is the unit in which stock is kept. `whole_units` refuses fractions of it. `serial_series` and `batch_series`
    make the numbers of what comes in without one, like `TEA-.YYYY.-.####`. `create_batches_on_receipt` lets a receipt
    name a batch that was never defined. `standard_rate` stands in where no other rate is known. `shelf_life_days` runs
    from making to expiry. `warranty_days` runs from delivery. `pick` is the order in which units leave where a line
    names none. `allow_negative_stock` lets more leave than is there, of untracked items. `reuse_serials` lets a serial
    that left come in again. `disabled` refuses every movement of the item but returns. `gtin` is the number of its bar
    code. `reorder_level` is the stock at which, or below, it is to be ordered again. `reorder_quantity` is the least
    that is ordered at a time.
    """

    company: Code
    item: Code
    name: Text = ""
    unit: Code = "pcs"
    units: Annotated[dict[Code, Quantity], msgspec.Meta(max_length=FEW)] = {}
    whole_units: bool = False
    tracking: Tracking = Tracking.NONE
    serial_series: Text | None = None
    batch_series: Text | None = None
    create_batches_on_receipt: bool = False
    valuation_method: Method = Method.FIFO
    standard_rate: Rate | None = None
    shelf_life_days: Days | None = None
    warranty_days: Days | None = None
    pick: Pick = Pick.FIFO
    allow_negative_stock: bool = False
    reuse_serials: bool = True
    disabled: bool = False
    gtin: Text | None = None
    reorder_level: Quantity | None = None
    reorder_quantity: Quantity | None = None
    attributes: Attributes = {}


class WarehouseDefined(Contract, frozen=True, kw_only=True):
    """A warehouse; `account` is its stock account, by default the company's account for the role `stock`.

    `parent` is the warehouse that it is a part of. `kind` is a `store`, a place on the way between two (`transit`), or
    one where goods are locked away (`quarantine`).
    """

    company: Code
    warehouse: Code
    name: Text = ""
    parent: Code | None = None
    kind: Literal["store", "transit", "quarantine"] = "store"
    account: Code | None = None


class BatchDefined(Contract, frozen=True, kw_only=True):
    """A batch of an item; without `expires_on` it expires a shelf life after `manufactured_on`.

    `manufactured_at` is where it was made.
    """

    company: Code
    item: Code
    batch: Code
    manufactured_on: date | None = None
    manufactured_at: Text | None = None
    expires_on: date | None = None
    supplier: Text | None = None
    supplier_batch: Text | None = None
    attributes: Attributes = {}


class SerialDefined(Contract, frozen=True, kw_only=True):
    """A serial registered, or its record updated; naming a `warehouse` is refused: only movements move stock.

    `batch` is the batch whose expiry and hold reach it. `warranty_until` is the last day of its warranty. `end_of_life`
    is the day on which it should be taken out of use.
    """

    company: Code
    item: Code
    serial: Code
    warehouse: Code | None = None
    batch: Code | None = None
    supplier: Text | None = None
    warranty_until: date | None = None
    end_of_life: date | None = None
    attributes: Attributes = {}


class BatchHeld(Contract, frozen=True, kw_only=True):
    """A batch may no longer leave, except by scrap, purchase return or transfer into quarantine."""

    company: Code
    item: Code
    batch: Code
    actor: Text | None = None
    reason: Text | None = None


class BatchReleased(Contract, frozen=True, kw_only=True):
    """A held batch is free again."""

    company: Code
    item: Code
    batch: Code
    actor: Text | None = None
    reason: Text | None = None


class PeriodClosed(Contract, frozen=True, kw_only=True):
    """The books of a company are closed: nothing may take effect any more up to a day, and on it.

    `through` is the last closed day, in the company's time zone; it has ended. `actor` is who closes them.
    """

    company: Code
    through: date
    actor: Words
    reason: Text = ""


class PeriodReopened(Contract, frozen=True, kw_only=True):
    """Closed books of a company are open again, from a day on.

    `open_from` is the first open day, in the company's time zone; it was closed. `actor` is who opens them.
    """

    company: Code
    open_from: date
    actor: Words
    reason: Words


Master = (
    CompanyDefined
    | AccountsDefined
    | SourceDefined
    | ItemDefined
    | WarehouseDefined
    | BatchDefined
    | SerialDefined
    | BatchHeld
    | BatchReleased
    | PeriodClosed
    | PeriodReopened
)
