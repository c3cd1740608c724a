"""Reservations through the whole pipeline, in one process: ledger and accounting know nothing of them; and the list."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from services.desk.verify import chosen, hold_still, verify
from shared.contracts.registry import MOVEMENT_REQUESTED, RESERVATION_RELEASED, RESERVATION_REQUESTED
from shared.db import open_engine, query, transaction
from shared.errors import StockbookError
from shared.settings import Settings
from tests import commands
from tests.receiving_builders import EVENING

MASTERS: list[tuple[str, dict[str, Any]]] = [
    ("company.defined.v1", {"company": "shop", "currency": "EUR"}),
    ("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}),
    ("item.defined.v1", {"company": "shop", "item": "tea"}),
    ("item.defined.v1", {"company": "shop", "item": "phone", "tracking": "serial"}),
]
UNTIL = EVENING + timedelta(hours=1)


def _movement(identifier: str, purpose: str, *lines: dict[str, Any], **fields: Any) -> tuple[str, dict[str, Any]]:
    about = {"id": identifier, "purpose": purpose, "posting_at": EVENING.isoformat(), "lines": list(lines)}
    return MOVEMENT_REQUESTED, {**about, **fields}


def _reservation(*lines: dict[str, Any], minutes: int = 60) -> tuple[str, dict[str, Any]]:
    until = (EVENING + timedelta(minutes=minutes)).isoformat()
    return RESERVATION_REQUESTED, {"document": "order 7", "customer": "Ada", "expires_at": until, "lines": list(lines)}


STOCK = _movement(
    "stocked",
    "opening_stock",
    {"item": "tea", "quantity": "10", "rate": "2", "target": "north"},
    {"item": "phone", "serials": "P1-P3", "rate": "100", "target": "north"},
)


@pytest.fixture
def pipeline(database: str) -> Iterator[Pipeline]:
    """The three services, and a shop with ten tea and three phones."""
    with Pipeline(database, clock=lambda: EVENING, settings=Settings(sweep_every=0.0)) as found:
        for number, (kind, data) in enumerate([*MASTERS, STOCK]):
            found.publish([make_event(kind, "web", data, f"master {number}")])
            found.settle()
        yield found


def _tell(pipeline: Pipeline, identifier: str, told: tuple[str, dict[str, Any]]) -> bool:
    """Send an event under an id; whether it was accepted."""
    pipeline.publish([make_event(*(told[0], "web", told[1]), event_id=identifier)])
    pipeline.settle()
    statement = "SELECT accepted FROM receiving.outcome WHERE id = :id"
    with transaction(pipeline.engine) as connection:
        return bool(query(connection, statement, id=told[1].get("id", identifier))[0].accepted)


def _sale(identifier: str, quantity: int, **fields: Any) -> tuple[str, dict[str, Any]]:
    return _movement(identifier, "delivery", {"item": "tea", "quantity": str(quantity), "source": "north"}, **fields)


def test_an_order_is_kept_delivered_and_booked_and_the_books_hold(pipeline: Pipeline, database: str) -> None:
    kept = _reservation({"item": "tea", "warehouse": "north", "quantity": "7"}, _phones("P1,P2"))
    assert _tell(pipeline, "R1", kept)
    assert not _tell(pipeline, "", _sale("D1", 4))
    assert _tell(pipeline, "", _sale("D2", 5, reservation={"id": "R1"}))
    phones = {"item": "phone", "quantity": "2", "source": "north"}
    assert _tell(pipeline, "", _movement("D3", "delivery", phones, reservation={"source": "web", "id": "R1"}))
    assert _tell(pipeline, "G1", (RESERVATION_RELEASED, {"reservation": {"id": "R1"}, "actor": "ann"}))
    assert _tell(pipeline, "", _sale("D4", 5))
    with transaction(pipeline.engine) as connection:
        booked = query(connection, "SELECT DISTINCT source, id FROM accounting.journal_entry ORDER BY id")
    assert [row.id for row in booked] == ["D2", "D3", "D4", "stocked"]
    engine = open_engine(database)
    with transaction(engine) as connection:
        scope = hold_still(connection, None, 10, timedelta(minutes=1))
        wrong = [each.check.name for each in verify(connection, scope, chosen((), quick=False)) if each.findings]
    engine.dispose()
    assert wrong == []


def _phones(serials: str) -> dict[str, Any]:
    return {"item": "phone", "warehouse": "north", "serials": serials}


@pytest.fixture
def listed(pipeline: Pipeline, database: str) -> dict[str, str]:
    """One of each state; the environment in which the list is asked for."""
    tea = {"item": "tea", "warehouse": "north"}
    assert _tell(pipeline, "R1", _reservation({**tea, "quantity": "2"}, minutes=1))
    assert _tell(pipeline, "R2", _reservation({**tea, "quantity": "3"}))
    assert _tell(pipeline, "R3", _reservation({**tea, "quantity": "3"}, _phones("P1")))
    assert _tell(pipeline, "R4", _reservation({**tea, "quantity": "1"}))
    assert _tell(pipeline, "", _sale("D1", 1, reservation={"id": "R4"}))
    assert _tell(pipeline, "G", (RESERVATION_RELEASED, {"reservation": {"id": "R4"}})) is False
    assert _tell(pipeline, "R5", _reservation({**tea, "quantity": "1"}))
    assert _tell(pipeline, "G5", (RESERVATION_RELEASED, {"reservation": {"id": "R5"}}))
    counted = _movement("C", "reconciliation", {"item": "tea", "quantity": "6", "target": "north"})
    assert _tell(pipeline, "", counted)
    return {"STOCKBOOK_DATABASE_URL": database}


def _states(env: dict[str, str], *options: str) -> dict[tuple[str, int], tuple[str, str]]:
    at = (EVENING + timedelta(minutes=5)).isoformat()
    told = json.loads(commands.told("reservations", "--at", at, "--format", "json", *options, env=env))
    return {(each["id"], each["line"]): (each["state"], each["short"]) for each in told}


def test_the_list_tells_what_is_kept_back_and_what_of_it_is_short(listed: dict[str, str]) -> None:
    kept = {("R2", 1): ("open", "0"), ("R3", 1): ("open", "0"), ("R3", 2): ("open", "0")}
    assert _states(listed) == kept
    everything = {("R1", 1): ("expired", "0"), ("R4", 1): ("delivered", "0"), ("R5", 1): ("released", "0"), **kept}
    assert _states(listed, "--state", "all") == everything
    assert _states(listed, "--state", "expired", "--state", "released").keys() == {("R1", 1), ("R5", 1)}
    assert _states(listed, "--item", "phone").keys() == {("R3", 2)}
    assert _states(listed, "--id", "R2", "--source", "web", "--warehouse", "north", "--company", "shop").keys() == {
        ("R2", 1)
    }
    at_once = commands.told("reservations", "--at", EVENING.isoformat(), "--format", "csv", env=listed)
    rows = {(row["id"], row["line"]): row for row in csv.DictReader(io.StringIO(at_once))}
    assert rows["R3", "1"]["short"] == "2"
    assert rows["R3", "1"]["state"] == "short"
    assert rows["R1", "1"]["state"] == "open"
    assert "Reservations" in commands.told("reservations", env=listed)


def test_a_state_that_there_is_not_is_refused_with_those_there_are(listed: dict[str, str]) -> None:
    done = commands.invoke("reservations", "--state", "lost", env=listed)
    assert isinstance(done.exception, StockbookError)
    assert "open, short, expired, delivered, released, all" in str(done.exception)


def test_what_is_available_leaves_out_what_is_reserved_until_that_has_expired(listed: dict[str, str]) -> None:
    at = {"now": EVENING.isoformat(), "then": UNTIL.isoformat()}
    told = {
        (item, when): commands.told("available", item, "north", "--at", moment, env=listed).splitlines()[0]
        for item in ("tea", "phone")
        for when, moment in at.items()
    }
    assert told["tea", "now"].startswith("0 pcs")
    assert told["tea", "then"].startswith("6 pcs")
    assert told["phone", "now"].startswith("2 pcs")
    assert told["phone", "then"].startswith("3 pcs")
