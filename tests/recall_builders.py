"""Builders for recalls: opened, noted and closed at a gate, and how goods stand then."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from shared.contracts.envelope import write_event
from shared.contracts.movement import Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.recall import RecallClosed, RecalledGoods, RecallOpened, RecallReached
from shared.contracts.registry import RECALL_CLOSED, RECALL_OPENED, RECALL_REACHED
from tests.builders import COMPANY, SOURCE
from tests.receiving_builders import Gate, decoded, rows

EVIDENCE = "ab" * 32


def batch(item: str, number: str) -> RecalledGoods:
    """A batch that is recalled."""
    return RecalledGoods(item=item, batch=number)


def units(item: str, serials: str) -> RecalledGoods:
    """Units that are recalled."""
    return RecalledGoods(item=item, serials=serials)


def opened(identifier: str, *goods: RecalledGoods, source: str = SOURCE, **fields: Any) -> bytes:
    """A recall as it is opened."""
    told = {"company": COMPANY, "actor": "ama", "reason": "a rash", "goods": list(goods), **fields}
    return write_event(RECALL_OPENED, source, identifier, RecallOpened(**told))


def reached(identifier: str, recall: str, customer: str, at: datetime | None = None, **fields: Any) -> bytes:
    """That somebody was told."""
    told = RecallReached(recall=Reference(id=recall), customer=customer, reached_at=at, **fields)
    return write_event(RECALL_REACHED, SOURCE, identifier, told)


def closed(identifier: str, recall: str, **fields: Any) -> bytes:
    """A recall as it is closed."""
    told = {"recall": Reference(id=recall), "evidence": EVIDENCE, "actor": "ama", "reason": "done", **fields}
    return write_event(RECALL_CLOSED, SOURCE, identifier, RecallClosed(**told))


def tell(gate: Gate, event: bytes) -> OutcomeAccepted | OutcomeRejected:
    """Send one of these; the answer."""
    told = decoded(gate.send(event)[0])
    assert isinstance(told, OutcomeAccepted | OutcomeRejected)
    return told


def recall(gate: Gate, identifier: str, *goods: RecalledGoods, **fields: Any) -> OutcomeAccepted:
    """Open a recall that nothing speaks against."""
    told = tell(gate, opened(identifier, *goods, **fields))
    assert isinstance(told, OutcomeAccepted), told
    return told


def goods_of(engine: Engine, identifier: str) -> Sequence[tuple[str, str, str, bool]]:
    """What a recall is about: item, tracking, number, whether it began with that."""
    statement = "SELECT item, tracking, number, named FROM receiving.recalled_goods WHERE id = :id ORDER BY 1, 2, 3"
    return [tuple(row) for row in rows(engine, statement, id=identifier)]


def states(engine: Engine, item: str) -> dict[str, str]:
    """How the batches of an item stand."""
    found = rows(engine, "SELECT batch, state FROM receiving.batch WHERE item = :item", item=item)
    return {row[0]: row[1] for row in found}


def recalled_units(engine: Engine, item: str) -> list[str]:
    """The units of an item that are recalled by themselves."""
    statement = "SELECT serial FROM receiving.serial WHERE item = :item AND recalls > 0 ORDER BY serial"
    return [number for (number,) in rows(engine, statement, item=item)]
