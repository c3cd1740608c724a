"""The table of purposes: one row says what a kind of movement does to stock, serials and accounts.

Allocation, posting and journal read the row; none of them asks for a purpose by name. A purpose that needs an
algorithm of its own names it in the row, and each service has one entry for it in a dict at the foot of its module.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an account is for; a company maps each role to one of its accounts."""

    STOCK = "stock"
    TEMPORARY_OPENING = "temporary_opening"
    STOCK_ADJUSTMENT = "stock_adjustment"
    WRITE_OFF = "write_off"
    STOCK_RECEIVED_NOT_BILLED = "stock_received_not_billed"
    COST_OF_GOODS_SOLD = "cost_of_goods_sold"
    EXPENSES_IN_VALUATION = "expenses_in_valuation"
    INCOME = "income"
    TAX = "tax"
    RECEIVABLE = "receivable"
    CASH_ROUNDING = "cash_rounding"


class AccountKind(StrEnum):
    """The five kinds of account."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"


ROLE_KINDS = {
    Role.STOCK: AccountKind.ASSET,
    Role.TEMPORARY_OPENING: AccountKind.EQUITY,
    Role.STOCK_ADJUSTMENT: AccountKind.EXPENSE,
    Role.WRITE_OFF: AccountKind.EXPENSE,
    Role.STOCK_RECEIVED_NOT_BILLED: AccountKind.LIABILITY,
    Role.COST_OF_GOODS_SOLD: AccountKind.EXPENSE,
    Role.EXPENSES_IN_VALUATION: AccountKind.EXPENSE,
    Role.INCOME: AccountKind.INCOME,
    Role.TAX: AccountKind.LIABILITY,
    Role.RECEIVABLE: AccountKind.ASSET,
    Role.CASH_ROUNDING: AccountKind.EXPENSE,
}
"""The kind of each role's default account; the default account's code is the role's own name."""


class Tracking(StrEnum):
    """How units of an item are told apart."""

    NONE = "none"
    SERIAL = "serial"
    BATCH = "batch"


class Method(StrEnum):
    """How an untracked item is valued; tracked items have their own ways."""

    FIFO = "fifo"
    LIFO = "lifo"
    MOVING_AVERAGE = "moving_average"


class Pick(StrEnum):
    """In which order units are picked where a line names none."""

    FEFO = "fefo"
    FIFO = "fifo"
    LIFO = "lifo"
    EXPLICIT = "explicit"


class SerialStatus(StrEnum):
    """The inventory state of a serial, derived from its last event."""

    INACTIVE = "inactive"
    ACTIVE = "active"
    IN_TRANSIT = "in_transit"
    HELD = "held"
    DELIVERED = "delivered"
    IN_USE = "in_use"
    CONSUMED = "consumed"
    RETURNED_TO_SUPPLIER = "returned_to_supplier"
    SCRAPPED = "scrapped"
    MISSING = "missing"


class BatchState(StrEnum):
    """Whether a batch may leave: a held or recalled one leaves only by scrap, purchase return or to quarantine."""

    FREE = "free"
    HELD = "held"
    RECALLED = "recalled"


class Flow(StrEnum):
    """What a purpose does to stock."""

    IN = "in"
    OUT = "out"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Purpose:
    """One row of the table.

    `debit` and `credit` are the roles that an entry of positive amount books to; of the two, the one that is not
    `Role.STOCK` is the counter side. `takes_difference` lets a movement name another account for the counter side.
    """

    name: str
    flow: Flow
    debit: Role
    credit: Role
    takes_difference: bool = False
    serial_status: SerialStatus = SerialStatus.ACTIVE
    from_supplier: bool = False
    to_customer: bool = False
    takes_expired: bool = True
    takes_held: bool = False
    brings_expired: bool = True
    has_money: bool = False

    @property
    def counter(self) -> Role:
        """The role on the other side of stock; for a transfer that is stock again."""
        return self.credit if self.debit is Role.STOCK else self.debit


PURPOSES: dict[str, Purpose] = {
    purpose.name: purpose
    for purpose in (
        Purpose("opening_stock", Flow.IN, Role.STOCK, Role.TEMPORARY_OPENING),
        Purpose(
            "material_receipt",
            Flow.IN,
            Role.STOCK,
            Role.STOCK_ADJUSTMENT,
            takes_difference=True,
            brings_expired=False,
        ),
        Purpose(
            "purchase_receipt",
            Flow.IN,
            Role.STOCK,
            Role.STOCK_RECEIVED_NOT_BILLED,
            from_supplier=True,
            brings_expired=False,
        ),
        Purpose(
            "material_issue",
            Flow.OUT,
            Role.STOCK_ADJUSTMENT,
            Role.STOCK,
            takes_difference=True,
            serial_status=SerialStatus.CONSUMED,
        ),
        Purpose(
            "scrap",
            Flow.OUT,
            Role.WRITE_OFF,
            Role.STOCK,
            serial_status=SerialStatus.SCRAPPED,
            takes_held=True,
        ),
        Purpose(
            "delivery",
            Flow.OUT,
            Role.COST_OF_GOODS_SOLD,
            Role.STOCK,
            serial_status=SerialStatus.DELIVERED,
            to_customer=True,
            takes_expired=False,
        ),
        Purpose(
            "sale",
            Flow.OUT,
            Role.COST_OF_GOODS_SOLD,
            Role.STOCK,
            serial_status=SerialStatus.DELIVERED,
            to_customer=True,
            takes_expired=False,
            has_money=True,
        ),
        Purpose("material_transfer", Flow.MOVE, Role.STOCK, Role.STOCK),
    )
}
