"""A cycle count through the whole pipeline, in one process: booked like any count; and what the list tells of it."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from services.desk.store import stock_values
from services.desk.verify import chosen, hold_still, verify
from services.receiving.decide.cycle_counts import movement_id
from shared.db import open_engine, query, transaction
from shared.errors import StockbookError
from shared.settings import Settings
from tests import commands
from tests.receiving_builders import EVENING

TEA = {"item": "tea", "quantity": "10", "rate": "2", "target": "north"}
PHONES = {"item": "phone", "serials": "P1-P3", "rate": "100", "target": "north"}


class Clock:
    """A clock that is set by hand."""

    now: datetime = EVENING

    def __call__(self) -> datetime:
        return self.now


class Shop:
    """The three services in one process, told one event after another, each a minute later."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self.pipeline, self.clock = pipeline, clock

    def tell(self, kind: str, identifier: str = "", **data: Any) -> None:
        self.pipeline.publish([make_event(f"{kind}.v1", "office", data, identifier or None)])
        self.pipeline.settle()
        self.clock.now += timedelta(minutes=1)

    def move(self, identifier: str, purpose: str, *lines: dict[str, Any]) -> None:
        at = self.clock.now.isoformat()
        self.tell("movement.requested", id=identifier, purpose=purpose, posting_at=at, lines=list(lines))


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    """Ten tea and three phones; in a count a tea and a phone are missing, two teas are sold before and after it."""
    clock = Clock()
    with Pipeline(database, clock=clock, settings=Settings(sweep_every=0.0)) as pipeline:
        found = Shop(pipeline, clock)
        found.tell("company.defined", company="shop", currency="EUR")
        found.tell("warehouse.defined", company="shop", warehouse="north")
        found.tell("item.defined", company="shop", item="tea")
        found.tell("item.defined", company="shop", item="phone", tracking="serial")
        found.move("stocked", "opening_stock", TEA, PHONES)
        found.tell("count.opened", "C", warehouse="north", actor="ann")
        found.move("D1", "delivery", {"item": "tea", "quantity": "2", "source": "north"})
        counted = [{"item": "tea", "quantity": "7"}, {"item": "phone", "serials": "P1,P3"}]
        found.tell("count.reported", "R", count={"id": "C"}, lines=counted)
        found.move("D2", "delivery", {"item": "tea", "quantity": "2", "source": "north"})
        yield found


def _listed(database: str, *options: str) -> dict[str, tuple[Any, ...]]:
    told = commands.told("counts", "--format", "json", *options, env={"STOCKBOOK_DATABASE_URL": database})
    names = ("frozen", "expected", "counted", "difference", "missing", "found", "state")
    return {each["item"]: tuple(each[name] for name in names) for each in json.loads(told)}


def test_the_list_tells_what_differs_and_only_who_asks_for_it(shop: Shop, database: str) -> None:
    different = {
        "tea": ("10", "8", "7", "-1", None, None, "open"),
        "phone": ("3", "3", "2", "-1", "P2", None, "open"),
    }
    assert _listed(database) == different
    again = {"count": {"id": "C"}, "recount": True}
    shop.tell("count.reported", "R2", **again, lines=[{"item": "tea", "quantity": "6"}])
    assert _listed(database, "--different", "--item", "tea") == {}
    assert _listed(database, "--different").keys() == {"phone"}
    assert _listed(database, "--state", "accepted") == {}
    assert _listed(database, "--state", "all", "--id", "C", "--warehouse", "north").keys() == {"tea", "phone"}
    outcomes = commands.told("report", "outcomes", "--format", "csv", env={"STOCKBOOK_DATABASE_URL": database})
    assert "expected" not in outcomes


def test_a_count_that_is_accepted_is_booked_and_the_books_hold(shop: Shop, database: str) -> None:
    shop.tell("count.accepted", "A", count={"id": "C"}, actor="ann", reason="weekly")
    with transaction(shop.pipeline.engine) as connection:
        statement = "SELECT item, quantity, value FROM ledger.entry WHERE id = :id ORDER BY item"
        entries = query(connection, statement, id=movement_id(("office", "C")))
        assert [tuple(row) for row in entries] == [("phone", -1, -100), ("tea", -1, -2)]
        assert all(value.stock == value.accounts for value in stock_values(connection))
    assert _listed(database, "--state", "accepted")["tea"] == ("10", "8", "7", "-1", None, None, "accepted")
    engine = open_engine(database)
    with transaction(engine) as connection:
        scope = hold_still(connection, None, 10, timedelta(minutes=1))
        wrong = [each.findings for each in verify(connection, scope, chosen((), quick=False)) if each.findings]
    engine.dispose()
    assert wrong == []


def test_a_state_that_there_is_not_is_refused(database: str) -> None:
    done = commands.invoke("counts", "--state", "lost", env={"STOCKBOOK_DATABASE_URL": database})
    assert isinstance(done.exception, StockbookError)
