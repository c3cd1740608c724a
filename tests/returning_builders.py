"""Builders for returns: a shop with goods of each kind, what it delivered, and which legs of that were returned."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from services.receiving.decide import patience
from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.originals import entry_id
from services.receiving.decide.stock import Serial
from shared.contracts.movement import RequestedLine
from shared.quantities import plain
from tests.receiving_builders import EVENING, Shop, comes, item, reasons

MINUTE = timedelta(minutes=1)
TEA = item("tea", units={"box": Decimal(12)})
PHONE = item("phone", tracking="serial", warranty_days=730, create_batches_on_receipt=True)
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)


def shop() -> Shop:
    """A hundred tea, ten cream in each of two batches, nine phones, the last two of a batch."""
    of = Shop(TEA, PHONE, CREAM)
    of.accepted(
        "purchase_receipt",
        comes("tea", 100),
        comes("cream", 10, batch="B1"),
        comes("cream", 10, batch="B2"),
        comes("phone", serials="S1-S7"),
        comes("phone", serials="S8-S9", batch="P1"),
        supplier="Foundry",
    )
    return of


def delivered(of: Shop, *lines: RequestedLine, **fields: Any) -> Accepted:
    """A delivery to Ada."""
    return of.accepted("delivery", *lines, **{"customer": "Ada", **fields})


def unit(of: Shop, number: str) -> Serial:
    """A phone by its number."""
    return of.stock.serials["shop", "phone", number]


def returned(judged: Accepted | Rejected, original: Accepted) -> list[tuple[int, str, str | None, list[str], int]]:
    """What each leg of a return brought or sent back: line, quantity, batch, serials, and which leg of the original."""
    assert isinstance(judged, Accepted), reasons(judged)
    places = {entry_id(original.allocated, place): place for place, _ in enumerate(original.allocated.legs)}
    assert all(leg.amount is None for leg in judged.allocated.legs)
    return [
        (leg.line, plain(leg.quantity), leg.batch, leg.serials, places[leg.original or ""])
        for leg in judged.allocated.legs
    ]


def waits(judged: Accepted | Rejected) -> list[str]:
    """What a refused movement waits for."""
    assert isinstance(judged, Rejected)
    wait = patience.wait_for(judged.outcome.reasons, "shop", EVENING, MINUTE, EVENING)
    return list(wait.lacks) if wait is not None else []
