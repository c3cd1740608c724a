"""Builders for counts: a shop with goods of each kind in the north, lines that count, and the legs of a count."""

from decimal import Decimal
from typing import Any

from services.receiving.decide.allocation import Accepted, Rejected
from shared.contracts.movement import Leg, RequestedLine
from shared.quantities import Money, plain
from tests.builders import Number
from tests.receiving_builders import Shop, comes, item, line, reasons

TEA = item("tea", units={"box": Decimal(12)})
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial", units={"box": Decimal(2)})


def counts(what: str, quantity: Number | None = None, target: str = "north", **fields: Any) -> RequestedLine:
    """A line that says what was counted."""
    return line(what, quantity, target=target, **fields)


def stocked() -> Shop:
    """Ten tea, four cream in each of two batches, three phones, all in the north."""
    shop = Shop(TEA, CREAM, PHONE)
    shop.accepted(
        "opening_stock",
        comes("tea", 10, rate="2"),
        comes("cream", 4, batch="B1"),
        comes("cream", 4, batch="B2"),
        comes("phone", serials="S1-S3", rate="100"),
    )
    return shop


def told(judged: Accepted | Rejected) -> list[tuple[str, str | None, Money | None, str | None, list[str]]]:
    """The legs of an accepted count: quantity, how much was counted, amount, batch and serials of each."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [_told(leg) for leg in judged.allocated.legs]


def _told(leg: Leg) -> tuple[str, str | None, Money | None, str | None, list[str]]:
    counted = plain(leg.counted) if leg.counted is not None else None
    return (plain(leg.quantity), counted, leg.amount, leg.batch, leg.serials)
