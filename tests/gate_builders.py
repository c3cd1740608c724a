"""Builders for the gate on a database: goods that were bought and delivered, what names them, and workers at work."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine

from shared.contracts.movement import AdditionalCost, MovementRequested, Reference
from shared.contracts.registry import OUTCOME_ACCEPTED
from shared.quantities import Money
from shared.service import Handled, Output
from tests.builders import Session
from tests.receiving_builders import Gate, after, comes, events, goes, movement, rows

DELIVERED = movement(
    "delivery", goes("tea", 4), goes("cream", 3), goes("phone", 2), id="delivered", at=after(1), customer="Ada"
)
BOUGHT = movement(
    "purchase_receipt",
    comes("tea", 6, "south", rate="2"),
    comes("cream", 4, "south", batch="B2"),
    comes("phone", None, "south", serials="Q1-Q3"),
    id="bought",
    at=after(1),
)


def returning(
    identifier: str, *lines: Any, of: str = "delivered", minutes: int = 2, **fields: Any
) -> MovementRequested:
    """What a customer returns of a movement, by default of `DELIVERED`."""
    return movement("sales_return", *lines, id=identifier, at=after(minutes), against=Reference(id=of), **fields)


def landing(identifier: str, amount: str, of: str, minutes: int = 3) -> MovementRequested:
    """A cost that all lines of a receipt share."""
    cost = AdditionalCost(amount=Money(amount))
    fields: dict[str, Any] = {"at": after(minutes), "against": Reference(id=of), "additional_costs": [cost]}
    return movement("landed_cost", id=identifier, **fields)


def in_bins(engine: Engine, item: str) -> dict[str, int]:
    """How much of an item stands where."""
    statement = "SELECT warehouse, quantity FROM receiving.stock WHERE item = :item AND quantity <> 0"
    return {warehouse: int(quantity) for warehouse, quantity in rows(engine, statement, item=item)}


def returned(engine: Engine) -> list[tuple[int, list[str]]]:
    """What was returned of all ledger entries, in the order of quantities."""
    found = rows(engine, "SELECT quantity, serials FROM receiving.returned")
    return sorted((int(quantity), serials) for quantity, serials in found)


def held(gate: Gate, asked: MovementRequested, pool: ThreadPoolExecutor) -> Session:
    """A worker that has decided a movement, and not committed yet."""
    return Session(gate.engine, gate.working_on(*events([asked])), pool).hold()


def finish(gate: Gate, handled: Handled) -> list[Output]:
    """What a committed set published, and what followed from it."""
    return [*handled.outputs, *gate.follow(handled.then)]


def accepted_ids(outputs: list[Output]) -> list[str]:
    """The movements whose sources were told that they are accepted."""
    return [each.id for each in outputs if each.kind == OUTCOME_ACCEPTED]
