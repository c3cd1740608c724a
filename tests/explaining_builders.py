"""What tests of explanations share: movements put into the books, what is told of them, and what must hold of it."""

from collections.abc import Sequence

from sqlalchemy import Engine

from services.desk.cli.telling import tell
from services.ledger.decide.explaining.entries import OPENED
from services.ledger.decide.explaining.tree import Limits, Node
from services.ledger.store.explaining import Explanation, explain
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.db import copy, transaction
from shared.purposes import Flow
from tests.builders import SOURCE, deliver
from tests.properties.dice import SMALLEST

EVERYTHING = Limits()


def post(engine: Engine, movements: Sequence[MovementAllocated]) -> None:
    """Have the ledger post movements, which the gate has kept."""
    for start in range(0, len(movements), 50):
        deliver(engine, *movements[start : start + 50])
    keep(engine, movements)


def keep(engine: Engine, movements: Sequence[MovementAllocated]) -> None:
    names = "source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome"
    kept = [
        (each.source, each.id, b"", each.company, each.purpose, each.recorded_at, each.effective_at, write(each), b"{}")
        for each in movements
    ]
    with transaction(engine) as connection:
        copy(connection, "receiving.movement", names, kept)


def explained(engine: Engine, name: str, limits: Limits = EVERYTHING) -> Explanation:
    with transaction(engine) as connection:
        return explain(connection, (SOURCE, name), limits)


def lines(engine: Engine, name: str, limits: Limits = EVERYTHING) -> list[str]:
    """What is told of the entries of a movement."""
    branches = tell(explained(engine, name, limits))[1:]
    return ["  " * depth + line for branch in branches for depth, line in branch.lines()]


def check(explanation: Explanation) -> int:
    """At every node the parts add up, to the last minor unit; how many nodes there are."""
    count = 0
    for each in explanation.roots:
        recorded = explanation.entries[each.part.entry or ""]
        assert abs(each.value) == abs(recorded.value)
        assert abs(each.quantity) == abs(recorded.quantity)
        assert sum(node.value for node in each.walk() if not node.parts) == each.value
        for node in each.walk():
            _check_node(node, explanation)
            count += 1
    return count


def _check_node(node: Node, explanation: Explanation) -> None:
    if node.part.kind not in OPENED or not node.parts:
        assert node.part.kind not in OPENED or not node.value, "its value came from somewhere"
        return
    assert sum(part.value for part in node.parts) == node.value
    recorded = explanation.entries[node.part.entry or ""]
    if recorded.flow is not Flow.MAKE or recorded.quantity < 0:  # what is made is of other items
        assert abs(sum(part.quantity for part in node.parts) - node.quantity) <= SMALLEST
