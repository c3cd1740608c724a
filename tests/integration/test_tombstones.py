"""A cancellation whose original never came: the original, arriving later, is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from services.receiving.decide.case import Limits
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import query, transaction
from shared.settings import Settings

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PATIENCE = timedelta(seconds=60)


class Day:
    """A shop whose clock is set by hand."""

    def __init__(self, database: str) -> None:
        self.now = NOON
        limits = Limits(patience=PATIENCE)
        self.pipeline = Pipeline(database, clock=lambda: self.now, settings=Settings(sweep_every=0.0), limits=limits)
        self.publish("company.defined.v1", company="shop", currency="EUR")
        self.publish("item.defined.v1", company="shop", item="tea")
        self.publish("warehouse.defined.v1", company="shop", warehouse="north")

    def publish(self, kind: str, **data: Any) -> None:
        self.pipeline.publish([make_event(kind, "till", data)])
        self.pipeline.settle()

    def receipt(self) -> None:
        lines = [{"item": "tea", "quantity": "1", "rate": "2", "target": "north"}]
        self.ask("R1", "purchase_receipt", lines=lines)

    def cancellation(self) -> None:
        self.ask("C1", "cancellation", against={"id": "R1"})

    def ask(self, identifier: str, purpose: str, **fields: Any) -> None:
        posting_at = NOON.isoformat()
        self.publish(MOVEMENT_REQUESTED, id=identifier, purpose=purpose, posting_at=posting_at, **fields)

    def passes(self, time: timedelta) -> None:
        self.now += time
        self.pipeline.settle()

    def stock(self) -> int:
        """How much stands there."""
        with transaction(self.pipeline.engine) as connection:
            return int(query(connection, "SELECT sum(quantity) FROM receiving.stock")[0][0])

    def told(self) -> dict[str, list[str]]:
        """The reasons against each movement that was answered; none for an accepted one."""
        with transaction(self.pipeline.engine) as connection:
            rows = query(connection, "SELECT id, outcome FROM receiving.outcome WHERE kind = 'movement.requested'")
        return {row.id: [each["code"] for each in row.outcome.get("reasons", [])] for row in rows}


@pytest.fixture
def day(database: str) -> Iterator[Day]:
    day = Day(database)
    yield day
    day.pipeline.close()


def test_a_cancellation_waits_for_its_original(day: Day) -> None:
    day.cancellation()
    assert day.told() == {}
    day.receipt()
    assert day.told() == {"R1": [], "C1": []}
    assert day.stock() == 0


def test_an_original_that_comes_after_its_cancellation_gave_up_is_refused(day: Day) -> None:
    day.cancellation()
    day.passes(PATIENCE)
    assert day.told() == {"C1": ["unknown_original"]}
    day.receipt()
    assert day.told() == {"C1": ["unknown_original"], "R1": ["cancelled_before_acceptance"]}
