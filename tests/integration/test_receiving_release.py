"""Releasing at the gate: one that waits and cannot be worked on stops nobody else who waits."""

from datetime import timedelta
from typing import Any

from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from services.receiving.decide.case import Limits
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import query, run, transaction
from shared.settings import Settings

NOON = "2026-01-05T12:00:00Z"


def _movement(identifier: str, purpose: str, **line: Any) -> dict[str, Any]:
    return {"id": identifier, "purpose": purpose, "posting_at": NOON, "lines": [{"item": "tea", **line}]}


def _published(pipeline: Pipeline, kind: str, data: dict[str, Any]) -> None:
    pipeline.publish([make_event(kind, "till", data)])
    pipeline.settle()


def _open_shop(pipeline: Pipeline) -> None:
    _published(pipeline, "company.defined.v1", {"company": "shop", "currency": "EUR", "lateness": 86_400})
    _published(pipeline, "item.defined.v1", {"company": "shop", "item": "tea"})
    _published(pipeline, "warehouse.defined.v1", {"company": "shop", "warehouse": "north"})


def _spoil(pipeline: Pipeline, identifier: str) -> None:
    """Make what was asked unreadable: nothing that the services themselves would ever store."""
    with transaction(pipeline.engine) as connection:
        statement = "UPDATE receiving.waiting SET request = 'no movement' WHERE id = :identifier"
        assert run(connection, statement, identifier=identifier) == 1


def test_a_waiter_that_cannot_be_worked_on_is_parked_and_the_others_are_tried(database: str) -> None:
    patient = Limits(patience=timedelta(minutes=5))
    with Pipeline(database, settings=Settings(sweep_every=0.0), limits=patient) as pipeline:
        _open_shop(pipeline)
        for number in range(7):
            _published(pipeline, MOVEMENT_REQUESTED, _movement(f"D{number}", "delivery", quantity="1", source="north"))
        _spoil(pipeline, "D3")
        receipt = _movement("R1", "purchase_receipt", quantity="10", rate="2", target="north")
        _published(pipeline, MOVEMENT_REQUESTED, receipt)
        for _ in range(12):
            pipeline.turn()
        with transaction(pipeline.engine) as connection:
            accepted = query(connection, "SELECT id FROM receiving.outcome WHERE purpose IS NOT NULL AND accepted")
            parked = query(connection, "SELECT id, reason FROM receiving.parked")
            waiting = query(connection, "SELECT id FROM receiving.waiters")
    assert sorted(row.id for row in accepted) == ["D0", "D1", "D2", "D4", "D5", "D6", "R1"]
    assert [(row.id, row.reason) for row in parked] == [("D3", "unprocessable")]
    assert waiting == []
