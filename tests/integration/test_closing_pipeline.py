"""Closing books from end to end: what an upstream sends, what the workers make of it, and what everybody hears."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from services.accounting.store import periods
from services.accounting.store.periods import Awaited, Closing
from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import MOVEMENT_REQUESTED, PERIOD_LOCKED, PERIOD_UNLOCKED, Exchange
from shared.service import Key
from shared.settings import Settings
from tests.builders import rows
from tests.receiving_builders import comes, movement

NOW = datetime(2026, 3, 1, 6, tzinfo=UTC)
FEBRUARY = "2026-02-28"


class _Named(msgspec.Struct):
    company: str


_named = decoder(_Named)


class Shop:
    """All services, and somebody who listens to what is told of locks."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        keys = [PERIOD_LOCKED, PERIOD_UNLOCKED]
        self._heard = pipeline.broker.bind_temporary(Exchange.EVENTS.value, keys)

    def send(self, kind: str, identifier: str, **data: Any) -> None:
        self.pipeline.publish([make_event(kind, "office", data, identifier)])
        self.pipeline.settle()

    def receive(self, identifier: str, at: datetime, warehouse: str) -> None:
        asked = movement("purchase_receipt", comes("tea", 1, warehouse), id=identifier, at=at)
        self.pipeline.publish([make_event(MOVEMENT_REQUESTED, "office", asked)])
        self.pipeline.settle()

    def define(self, company: str) -> None:
        self.send("company.defined.v1", f"{company} 1", company=company, currency="EUR")
        self.send("warehouse.defined.v1", f"{company} 2", company=company, warehouse=f"in {company}")
        self.send("item.defined.v1", f"{company} 3", company=company, item="tea")

    def hear(self) -> list[Key]:
        """The kinds of what was told since, with the company of each."""
        for _ in range(3):
            self.pipeline.turn()
        deliveries = self._heard.drain(100, 0.0)
        self._heard.acknowledge(deliveries)
        envelopes = [read_envelope(each.body) for each in deliveries]
        return [(each.type, read(_named, raw).company) for each in envelopes for raw in raw_movements(each.data)]


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    with Pipeline(database, clock=lambda: NOW, settings=Settings(pause=0.01, sweep_every=0.0)) as pipeline:
        yield Shop(pipeline)


def test_a_month_is_booked_closed_locked_reopened_and_closed_again(shop: Shop) -> None:
    shop.define("acme")
    shop.receive("in time", NOW - timedelta(days=2), "in acme")
    shop.send("period.closed.v1", "C1", company="acme", through=FEBRUARY, actor="ann")
    assert shop.hear() == [(PERIOD_LOCKED, "acme")]
    shop.receive("too late", NOW - timedelta(days=1), "in acme")
    shop.receive("in March", NOW, "in acme")
    shop.send("period.closed.v1", "C1", company="acme", through=FEBRUARY, actor="ann")
    assert shop.hear() == []
    shop.send("period.reopened.v1", "R1", company="acme", open_from="2026-02-28", actor="ann", reason="too late")
    assert shop.hear() == [(PERIOD_UNLOCKED, "acme")]
    shop.send("period.closed.v1", "C2", company="acme", through=FEBRUARY, actor="ann")
    assert shop.hear() == [(PERIOD_LOCKED, "acme")]
    assert rows(shop.pipeline.engine, "SELECT id, year, number FROM accounting.journal ORDER BY number") == [
        ("in time", 2026, 1),
        ("in March", 2026, 2),
    ]
    refused = "SELECT outcome -> 'reasons' -> 0 ->> 'code' FROM receiving.outcome WHERE id = 'too late'"
    assert rows(shop.pipeline.engine, refused) == [("period_closed",)]
    for table in ("receiving.parked", "accounting.parked", "accounting.outbox", "accounting.unnumbered"):
        assert rows(shop.pipeline.engine, f"SELECT * FROM {table}") == []
    assert rows(shop.pipeline.engine, "SELECT locked_through FROM accounting.books") == [(date(2026, 2, 28),)]


def test_a_closing_that_cannot_be_looked_at_stops_no_other_company_s(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for company in ("acme", "twin"):
        shop.define(company)
    looked = periods.still_waits_for

    def fails_for_acme(connection: Connection, closing: Closing) -> Awaited | None:
        if closing.company == "acme":
            raise ValueError("a look that fails each time")
        return looked(connection, closing)

    with capture_logs(), monkeypatch.context() as patched:
        patched.setattr(periods, "still_waits_for", fails_for_acme)
        for company in ("acme", "twin"):
            shop.send("period.closed.v1", f"close {company}", company=company, through=FEBRUARY, actor="ann")
        assert shop.hear() == [(PERIOD_LOCKED, "twin")]
    assert shop.hear() == [(PERIOD_LOCKED, "acme")]
