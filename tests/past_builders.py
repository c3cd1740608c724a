"""Builders for what takes effect before others: a shop with goods since the morning, and times after it."""

from datetime import date, datetime, timedelta
from typing import Any

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Request
from shared.contracts.movement import Leg, RequestedLine
from shared.quantities import plain
from tests.builders import MORNING
from tests.receiving_builders import (
    Shop,
    comes,
    item,
    movement,
    reasons,
    request,
)

TEA = item("tea")
COAL = item("coal", allow_negative_stock=True)
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True, pick="fefo")
PHONE = item("phone", tracking="serial")


def at(hour: int) -> datetime:
    """So many hours after the morning."""
    return MORNING + timedelta(hours=hour)


def stocked(**fields: Any) -> Shop:
    """Ten tea, ten coal, five cream of B1 (which expires first) and five of B2, three phones, since the morning."""
    shop = Shop(TEA, COAL, CREAM, PHONE, **fields)
    shop.now = at(48)
    shop.accepted(
        "opening_stock",
        comes("tea", 10),
        comes("coal", 10),
        comes("cream", 5, batch="B1", expires_on=date(2026, 4, 1)),
        comes("cream", 5, batch="B2", expires_on=date(2026, 5, 1)),
        comes("phone", serials="S1-S3"),
        at=at(0),
    )
    return shop


def told(judged: Accepted | Rejected) -> list[tuple[str, str, str | None]]:
    """Quantity, warehouse and batch of each leg."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [(plain(leg.quantity), leg.warehouse, leg.batch) for leg in judged.allocated.legs]


def corrections(judged: Accepted | Rejected) -> list[Leg]:
    """The legs by which later counts find otherwise; they stand behind all others."""
    assert isinstance(judged, Accepted), reasons(judged)
    legs = judged.allocated.legs
    found = [leg for leg in legs if leg.corrects is not None]
    assert legs[len(legs) - len(found) :] == found
    return found


def asks(purpose: str, *lines: RequestedLine, hour: int, **fields: Any) -> Request:
    """A movement as it comes in."""
    return request(movement(purpose, *lines, at=at(hour), **{"id": f"{purpose} {hour}", **fields}))
