"""What is traced: goods, what happened to them, and the makings between them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.ledger.decide.making import Piece
from shared.purposes import PURPOSES, Flow, SerialStatus
from shared.quantities import ZERO

Key = tuple[str, str]
"""A movement: its source and its id there."""


class Goods(NamedTuple):
    """A batch, a unit, or, without either, an untracked item."""

    item: str
    batch: str | None = None
    serial: str | None = None

    @property
    def is_tracked(self) -> bool:
        """Whether it can be told apart from others of its item."""
        return self.batch is not None or self.serial is not None


class Kind(StrEnum):
    """What happened to goods."""

    RECEIVED = "received"
    PRODUCED = "produced"
    RETURNED = "returned"
    CONSUMED = "consumed"
    DELIVERED = "delivered"
    ISSUED = "issued"
    SCRAPPED = "scrapped"
    SENT_BACK = "sent back"
    ADJUSTED = "adjusted"
    MOVED = "moved"


class Way(StrEnum):
    """In which direction: to what goods came from, or to what came of them."""

    UP = "up"
    DOWN = "down"


class Event(NamedTuple):
    """A change of goods in a warehouse, by a movement that holds; `original`: the entry that it returns or corrects."""

    goods: Goods
    kind: Kind
    key: Key
    line: int
    entry: str
    warehouse: str
    quantity: Decimal
    effective_at: datetime
    original: str | None = None


class Side(NamedTuple):
    """An entry of a making: what it consumed has no piece, what it produced has one. `serials`, as far as asked for."""

    entry: str
    item: str
    batch: str | None
    quantity: Decimal
    piece: Piece | None = None
    serials: tuple[str, ...] = ()

    def goods(self) -> list[tuple[Goods, Decimal]]:
        """What it is made up of, each with its quantity (above zero)."""
        if self.serials:
            return [(Goods(self.item, serial=serial), Decimal(1)) for serial in self.serials]
        return [(Goods(self.item, self.batch), abs(self.quantity))]


class Making(NamedTuple):
    """A making with those of its sides that were asked for, by entry."""

    key: Key
    effective_at: datetime
    sides: Mapping[str, Side]


class Link(NamedTuple):
    """Goods went into others: `quantity` is all that the making consumed of them, `part` what went into those.

    `made` is how much there is of what they went into; of units all that were made in the same line.
    """

    key: Key
    consumed: Goods
    produced: Goods
    quantity: Decimal
    part: Decimal
    made: Decimal


def kind_of(purpose: str, quantity: Decimal, *, undoes: str | None = None, corrects: bool = False) -> Kind:
    """What an entry is there for; one that undoes another is of that one's kind. `corrects`: a count found it later."""
    if corrects:
        return Kind.ADJUSTED
    if undoes is not None:
        return kind_of(undoes, -quantity)
    row = PURPOSES[purpose]
    if row.flow is Flow.MAKE:
        return Kind.PRODUCED if quantity > ZERO else Kind.CONSUMED
    if row.flow is Flow.OUT:
        return _left(row.name, quantity)
    return _KINDS.get(row.flow, Kind.ADJUSTED)


def _left(purpose: str, quantity: Decimal) -> Kind:
    """What left; of an exchange some comes back."""
    row = PURPOSES[purpose]
    if quantity > ZERO:
        return Kind.RETURNED
    if row.to_customer:
        return Kind.DELIVERED
    return Kind.SCRAPPED if row.serial_status is SerialStatus.SCRAPPED else Kind.ISSUED


_KINDS = {
    Flow.IN: Kind.RECEIVED,
    Flow.MOVE: Kind.MOVED,
    Flow.COME_BACK: Kind.RETURNED,
    Flow.SEND_BACK: Kind.SENT_BACK,
    Flow.COUNT: Kind.ADJUSTED,
}
"""By flow, but for those that both bring and take. What a cancellation undoes without an entry is a count."""
PURPOSES_OF_WAY: Mapping[Way, list[str]] = {
    Way.UP: [row.name for row in PURPOSES.values() if row.flow not in (Flow.MOVE, Flow.SEND_BACK)],
    Way.DOWN: [row.name for row in PURPOSES.values() if row.flow is not Flow.IN],
}
"""Of which purposes is what happened to goods that lie this way."""
