"""What tests of explanations share: movements put into the books, what is told of them, and what must hold of it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from services.desk.cli.telling import tell
from services.desk.events import Event, read_event
from services.ledger.decide.explaining.entries import OPENED
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.tree import Limits, Node
from services.ledger.store.explaining import Explanation, explain
from shared.contracts.movement import MovementAllocated
from shared.db import transaction
from shared.purposes import Flow
from shared.quantities import ZERO
from tests.builders import COMPANY, SOURCE, deliver, keep_allocated, revalue_all
from tests.properties.dice import SMALLEST

EVERYTHING = Limits()

MASTERS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("company", {"company": COMPANY, "currency": "EUR"}),
    ("source", {"source": SOURCE, "patience": 3_600}),
    ("warehouse", {"company": COMPANY, "warehouse": "north"}),
    ("warehouse", {"company": COMPANY, "warehouse": "south"}),
    ("item", {"company": COMPANY, "item": "oil", "valuation_method": "fifo", "unit": "kg"}),
    ("item", {"company": COMPANY, "item": "jar", "valuation_method": "moving_average"}),
    ("item", {"company": COMPANY, "item": "dregs", "valuation_method": "fifo"}),
    ("item", {"company": COMPANY, "item": "tea", "valuation_method": "fifo", "allow_negative_stock": True}),
    ("item", {"company": COMPANY, "item": "cream", "tracking": "batch", "create_batches_on_receipt": True}),
    ("item", {"company": COMPANY, "item": "phone", "tracking": "serial"}),
)


# --- what is asked of the services -----------------------------------------------------------------------------------


def event(kind: str, data: Mapping[str, object], source: str = SOURCE, **names: str) -> Event:
    body = json.dumps({"type": f"{kind}.v1", "source": source, "data": data, **names}).encode()
    return read_event(body, source, datetime(2026, 3, 2, tzinfo=UTC))


def set_up() -> list[Event]:
    """The masters of a workshop."""
    return [event(f"{kind}.defined", data, id=f"{kind} {place}") for place, (kind, data) in enumerate(MASTERS)]


def goods(item: str, quantity: object, **more: object) -> dict[str, object]:
    return {"item": item, "quantity": str(quantity), **more}


def bought(item: str, quantity: object, rate: str, **more: object) -> dict[str, object]:
    return goods(item, quantity, rate=rate, target="north", **more)


# --- what is told ----------------------------------------------------------------------------------------------------


def post(engine: Engine, movements: Sequence[MovementAllocated]) -> None:
    """Have the ledger post movements, which the gate has kept, and value anew what is to be."""
    keep_allocated(engine, movements)
    for start in range(0, len(movements), 50):
        deliver(engine, *movements[start : start + 50])
    revalue_all(engine)


def explained(engine: Engine, name: str, limits: Limits = EVERYTHING) -> Explanation:
    with transaction(engine) as connection:
        return explain(connection, (SOURCE, name), limits)


def lines(engine: Engine, name: str, limits: Limits = EVERYTHING) -> list[str]:
    """What is told of the entries of a movement."""
    branches = tell(explained(engine, name, limits))[1:]
    return ["  " * depth + line for branch in branches for depth, line in branch.lines()]


def check(explanation: Explanation) -> int:
    """At every node the parts add up, to the last minor unit, and so do the steps; how many nodes there are.

    What was cancelled, or cancels, came from nowhere.
    """
    count = 0
    for each in explanation.roots:
        recorded = explanation.entries[each.part.entry or ""]
        assert abs(each.value) == abs(recorded.total)
        assert abs(each.quantity) == abs(recorded.quantity)
        _check_steps(recorded, explanation)
        if explanation.cancelled_by or explanation.mirrors:
            assert (each.parts, each.closed) == ((), False)
            continue
        assert sum(node.value for node in each.walk() if not node.parts) == each.value
        for node in each.walk():
            _check_node(node, explanation)
            count += 1
    return count


def _check_steps(recorded: Recorded, explanation: Explanation) -> None:
    steps = [each.addition for each in explanation.steps.get(recorded.entry, ())]
    if steps:
        assert sum((each.value for each in steps), ZERO) == recorded.total
        assert sum((each.quantity for each in steps), ZERO) == recorded.quantity


def _check_node(node: Node, explanation: Explanation) -> None:
    if node.part.kind not in OPENED or not node.parts:
        assert node.part.kind not in OPENED or not node.value, "its value came from somewhere"
        return
    assert sum(part.value for part in node.parts) == node.value
    recorded = explanation.entries[node.part.entry or ""]
    if recorded.flow is not Flow.MAKE or recorded.quantity < 0:  # what is made is of other items
        assert abs(sum(part.quantity for part in node.parts) - node.quantity) <= SMALLEST
