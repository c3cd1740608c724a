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
    """What a purpose does to stock: the algorithm that allocates, values and books it.

    `IN` and `OUT` bring in and take out; `MOVE` does both, at the same value; `MAKE` consumes some goods and produces
    others. `COME_BACK` and `SEND_BACK` undo a part of an earlier movement. `COUNT` asserts what stands in a bin.
    `LAND` and `WRITE_DOWN` change values only: of what a receipt brought, of what stands in a bin. `CANCEL` undoes a
    whole movement, whatever its flow was.
    """

    IN = "in"
    OUT = "out"
    MOVE = "move"
    MAKE = "make"
    COME_BACK = "come_back"
    SEND_BACK = "send_back"
    COUNT = "count"
    LAND = "land"
    WRITE_DOWN = "write_down"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Purpose:
    """One row of the table.

    `debit` and `credit` are the roles that an entry of positive amount books to; of the two, the one that is not
    `Role.STOCK` is the counter side; `gap` is what its value may lack or have over goes to. `against` are the purposes
    of the movements that it may name. `takes_difference` lets a movement name another account for the counter side.
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
    takes_costs: bool = False
    has_money: bool = False
    against: tuple[str, ...] = ()
    gap: Role = Role.STOCK_ADJUSTMENT

    @property
    def counter(self) -> Role:
        """The role on the other side of stock; for a transfer that is stock again."""
        return self.credit if self.debit is Role.STOCK else self.debit

    @property
    def true_up(self) -> Role:
        """The role that bears the difference when what was issued beyond stock is covered at another rate."""
        return self.gap if self.flow is Flow.SEND_BACK or self.counter is Role.STOCK else self.counter


_RECEIPTS = ("purchase_receipt", "material_receipt", "opening_stock")
_TO_CUSTOMERS = ("delivery", "sale")

PURPOSES: dict[str, Purpose] = {
    purpose.name: purpose
    for purpose in (
        Purpose("opening_stock", Flow.IN, Role.STOCK, Role.TEMPORARY_OPENING, takes_costs=True),
        Purpose(
            "material_receipt",
            Flow.IN,
            Role.STOCK,
            Role.STOCK_ADJUSTMENT,
            takes_difference=True,
            brings_expired=False,
            takes_costs=True,
        ),
        Purpose(
            "purchase_receipt",
            Flow.IN,
            Role.STOCK,
            Role.STOCK_RECEIVED_NOT_BILLED,
            from_supplier=True,
            brings_expired=False,
            takes_costs=True,
        ),
        Purpose(
            "purchase_return",
            Flow.SEND_BACK,
            Role.STOCK_RECEIVED_NOT_BILLED,
            Role.STOCK,
            serial_status=SerialStatus.RETURNED_TO_SUPPLIER,
            takes_held=True,
            against=("purchase_receipt",),
            gap=Role.COST_OF_GOODS_SOLD,
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
        Purpose("write_down", Flow.WRITE_DOWN, Role.WRITE_OFF, Role.STOCK),
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
            against=_TO_CUSTOMERS,
        ),
        Purpose(
            "sales_return",
            Flow.COME_BACK,
            Role.STOCK,
            Role.COST_OF_GOODS_SOLD,
            has_money=True,
            against=_TO_CUSTOMERS,
        ),
        Purpose("material_transfer", Flow.MOVE, Role.STOCK, Role.STOCK, takes_costs=True),
        *(
            Purpose(
                name,
                Flow.MAKE,
                Role.STOCK,
                Role.STOCK,
                serial_status=SerialStatus.CONSUMED,
                takes_expired=False,
                brings_expired=False,
                takes_costs=True,
            )
            for name in ("manufacture", "repack")
        ),
        Purpose(
            "reconciliation",
            Flow.COUNT,
            Role.STOCK,
            Role.STOCK_ADJUSTMENT,
            takes_difference=True,
            serial_status=SerialStatus.MISSING,
        ),
        Purpose(
            "landed_cost",
            Flow.LAND,
            Role.STOCK,
            Role.EXPENSES_IN_VALUATION,
            takes_costs=True,
            against=_RECEIPTS,
        ),
    )
}

CANCELLATION = Purpose("cancellation", Flow.CANCEL, Role.STOCK, Role.STOCK, against=tuple(PURPOSES))
PURPOSES[CANCELLATION.name] = CANCELLATION
