"""The synthetic load: a company with 200 items in 5 warehouses, and movements of one line each.

The idea: everything derives from a seed, so a publisher in another process makes the same movements without being
sent them. Movements are told apart by the first letter of their ids.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count, islice

from services.desk.events import Event, make_event
from shared.broker.interface import Message
from shared.contracts.masters import CompanyDefined, ItemDefined, WarehouseDefined
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.quantities import Quantity, Rate

COMPANY = "bench"
SOURCE = "till"
ITEMS = [f"item-{number:03d}" for number in range(200)]
WAREHOUSES = [f"store-{number}" for number in range(5)]
BINS = [(item, warehouse) for warehouse in WAREHOUSES for item in ITEMS]
OPENING, WARMING, TIMED, EARLIER = "o", "w", "m", "h"
"""Which part of a run a movement belongs to: the first letter of its id."""

OPENED = datetime(2026, 1, 5, 6, tzinfo=UTC)
"""When the opening stock comes in."""

_STARTED = {
    OPENING: OPENED,
    EARLIER: OPENED + timedelta(hours=1),
    WARMING: OPENED + timedelta(days=1),
    TIMED: OPENED + timedelta(days=2),
}
_LAYERS = 3
_RECEIPT_SHARE = 0.25
STEADY = 1 / 15
"""The share of receipts of 30 on average with which no more comes than goes, but for a little."""


def definitions() -> list[Event]:
    """The masters, in the order in which they must arrive."""
    items = [ItemDefined(company=COMPANY, item=item, name=f"Item {item}") for item in ITEMS]
    warehouses = [WarehouseDefined(company=COMPANY, warehouse=code, name=code) for code in WAREHOUSES]
    return [
        make_event("company.defined.v1", SOURCE, CompanyDefined(company=COMPANY, currency="EUR"), "company"),
        *(make_event("item.defined.v1", SOURCE, each, each.item) for each in items),
        *(make_event("warehouse.defined.v1", SOURCE, each, each.warehouse) for each in warehouses),
    ]


def opening() -> list[MovementRequested]:
    """Three receipts at three rates for each bin: enough that nothing is refused later."""
    drawn = random.Random(1)
    return [_receipt(OPENING, number, *each, 300, drawn) for number, each in enumerate(BINS * _LAYERS)]


def movements(part: str, number: int) -> list[MovementRequested]:
    """So many movements of one line, a quarter of them receipts and the others deliveries, spread over all bins."""
    return list(islice(stream(part), number))


def stream(part: str, receipts: float = _RECEIPT_SHARE) -> Iterator[MovementRequested]:
    """The same without an end; `receipts` is their share. With a quarter stock grows, and with it the layers of it that
    the ledger reads and writes with each movement: in the long run what comes is to be what goes (`STEADY`)."""
    drawn = random.Random(part)
    for number in count():
        yield _movement(part, number, drawn, receipts)


def messages(requested: Sequence[MovementRequested], size: int) -> list[Message]:
    """The movements as messages to the intake; `size` 1: one each, else so many in a bulk message."""
    if size == 1:
        return [make_event(MOVEMENT_REQUESTED, SOURCE, each).message() for each in requested]
    return [_bulk(portion).message() for portion in _portions(requested, size)]


def balanced(part: str, number: int, bins: Sequence[tuple[str, str]]) -> MovementRequested:
    """Movements with a line for each of the bins: of four in a row the first brings what the others take, so that
    stock stays as it is, however many there are."""
    brings = number % 4 == 0
    document = f"delivery note {number}" if brings else f"ticket {number}"
    return MovementRequested(
        id=_id(part, number),
        company=COMPANY,
        purpose="purchase_receipt" if brings else "delivery",
        posting_at=_posting_at(part, number),
        document=document,
        lines=[_brought(item, place, number) if brings else _taken(item, place) for item, place in bins],
    )


def _brought(item: str, warehouse: str, number: int) -> RequestedLine:
    rate = Rate(f"{(100 + number % 800) / 100:.2f}")
    return RequestedLine(item=item, quantity=Quantity(6), target=warehouse, rate=rate)


def _taken(item: str, warehouse: str) -> RequestedLine:
    return RequestedLine(item=item, quantity=Quantity(2), source=warehouse)


def _movement(part: str, number: int, drawn: random.Random, receipts: float) -> MovementRequested:
    item, warehouse = drawn.choice(ITEMS), drawn.choice(WAREHOUSES)
    if drawn.random() < receipts:
        return _receipt(part, number, item, warehouse, drawn.randint(10, 50), drawn)
    return delivery(part, number, item, warehouse, drawn.randint(1, 3), f"customer {drawn.randint(1, 500)}")


def delivery(part: str, number: int, item: str, warehouse: str, quantity: int, customer: str) -> MovementRequested:
    """What leaves from one bin."""
    return MovementRequested(
        id=_id(part, number),
        company=COMPANY,
        purpose="delivery",
        posting_at=_posting_at(part, number),
        document=f"ticket {number}",
        customer=customer,
        lines=[RequestedLine(item=item, quantity=Quantity(quantity), source=warehouse)],
    )


def _receipt(
    part: str, number: int, item: str, warehouse: str, quantity: int, drawn: random.Random
) -> MovementRequested:
    rate = Rate(f"{drawn.randint(100, 900) / 100:.2f}")
    return MovementRequested(
        id=_id(part, number),
        company=COMPANY,
        purpose="purchase_receipt",
        posting_at=_posting_at(part, number),
        document=f"delivery note {number}",
        supplier=f"supplier {drawn.randint(1, 50)}",
        lines=[RequestedLine(item=item, quantity=Quantity(quantity), target=warehouse, rate=rate)],
    )


def _id(part: str, number: int) -> str:
    return f"{part}-{number:07d}"


def _posting_at(part: str, number: int) -> datetime:
    return _STARTED[part] + timedelta(milliseconds=100 * number)


def _bulk(portion: Sequence[MovementRequested]) -> Event:
    return make_event(MOVEMENT_REQUESTED, SOURCE, {"movements": list(portion)}, f"bulk-{portion[0].id}")


def _portions(requested: Sequence[MovementRequested], size: int) -> Iterator[list[MovementRequested]]:
    remaining = iter(requested)
    while portion := list(islice(remaining, size)):
        yield portion
