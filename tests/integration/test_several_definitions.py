"""Several definitions in one event: each is answered, parked or kept waiting as if it had come alone."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from services.desk.events import Event, make_event, make_frame
from services.desk.listening import Listener, Outcome
from services.desk.pipeline import Pipeline
from services.receiving.decide.case import Limits
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.db import query, transaction
from shared.settings import Settings

OFFICE = "office"
KIND = "serial.defined.v1"
SHOP = (
    ("company.defined.v1", {"company": "acme", "currency": "EUR"}),
    ("item.defined.v1", {"company": "acme", "item": "lamp", "tracking": "serial"}),
)
SERIALS = "SELECT serial, supplier FROM receiving.serial ORDER BY serial"
WAITING = "SELECT id FROM receiving.waiting ORDER BY id"
PARKED = "SELECT reason, id FROM receiving.parked ORDER BY reason, id"


class Desk:
    """The services in this process, what is sent to them, and what they tell the office."""

    def __init__(self, pipeline: Pipeline, listener: Listener) -> None:
        self.pipeline = pipeline
        self._listener = listener
        self.send(*(make_event(kind, OFFICE, data, f"shop {place}") for place, (kind, data) in enumerate(SHOP)))

    def send(self, *events: Event) -> list[tuple[str, str]]:
        """Have events worked on; the id of each answer, and `taken` or the code of the first reason against it."""
        self.pipeline.publish(events)
        self.pipeline.settle()
        return self.told()

    def told(self) -> list[tuple[str, str]]:
        """What was told since the last time."""
        heard: list[Outcome] = []
        while more := self._listener.hear(0):
            heard += more
        return sorted((each.id, _verdict(each)) for each in heard)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.pipeline.engine) as connection:
            return [tuple(row) for row in query(connection, statement)]


def _verdict(outcome: Outcome) -> str:
    if isinstance(outcome, OutcomeRejected):
        return outcome.reasons[0].code
    assert isinstance(outcome, OutcomeAccepted)
    return "taken"


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    settings = Settings(sweep_every=0.0)
    with (
        Pipeline(database, settings=settings, limits=Limits()) as pipeline,
        closing(Listener(pipeline.broker, [OFFICE])) as listener,
    ):
        yield Desk(pipeline, listener)


def serial(number: str, **fields: Any) -> dict[str, Any]:
    return {"company": "acme", "item": "lamp", "serial": number, **fields}


def named(name: object, data: object) -> dict[str, Any]:
    return {"id": name, "data": data}


def several(*parts: dict[str, Any], kind: str = KIND) -> Event:
    return make_frame(kind, OFFICE, [str(each["id"]) for each in parts], [json.dumps(each).encode() for each in parts])


def alone(name: str, data: dict[str, Any]) -> Event:
    return make_event(KIND, OFFICE, data, name)


def test_each_of_several_has_a_fate_of_its_own(desk: Desk) -> None:
    told = desk.send(
        several(
            named("good", serial("S1")),
            named("wrong", serial("S2", warranty_until="soon")),
            named(7, serial("S3")),
            named("good", serial("S1")),
            named("good", serial("S4")),
            named("refused", serial("S5", warehouse="shop")),
            named("early", serial("S6", item="pot")),
            named("last", serial("S7")),
        )
    )
    assert told == [
        ("good", "taken"),
        ("last", "taken"),
        ("refused", "warehouse_not_allowed"),
        ("wrong", "malformed"),
    ]
    assert desk.rows(PARKED) == [("conflicting_duplicate", "good"), ("malformed", None)]
    assert desk.rows(WAITING) == [("early",)]
    assert desk.rows(SERIALS) == [("S1", None), ("S7", None)]


def test_one_of_several_that_waits_is_taken_when_what_it_lacks_comes(desk: Desk) -> None:
    event = several(named("first", serial("P1", item="pot")), named("second", serial("P2", item="pot")))
    assert desk.send(event) == []
    assert desk.send(event) == []
    assert desk.rows(WAITING) == [("first",), ("second",)]
    pot = make_event("item.defined.v1", OFFICE, {"company": "acme", "item": "pot", "tracking": "serial"}, "pot")
    assert desk.send(pot) == [("first", "taken"), ("pot", "taken"), ("second", "taken")]
    assert desk.rows(WAITING) == []


def test_a_definition_is_the_same_one_alone_and_among_others(desk: Desk) -> None:
    assert desk.send(alone("a", serial("S1", supplier="Lux")), several(named("b", serial("S2"))))
    again = [several(named("a", serial("S1", supplier="Lux")), named("c", serial("S3"))), alone("b", serial("S2"))]
    assert desk.send(*again) == [("a", "taken"), ("b", "taken"), ("c", "taken")]
    assert desk.rows(PARKED) == []
    assert desk.rows("SELECT count(*) FROM receiving.serial_said") == [(1,)]
    assert desk.send(several(named("a", serial("S1", supplier="Nox")), named("d", serial("S4")))) == [
        ("a", "taken"),
        ("d", "taken"),
    ]
    assert desk.rows(PARKED) == [("conflicting_duplicate", "a")]
    assert desk.rows(SERIALS)[0] == ("S1", "Lux")


def test_a_refusal_is_the_same_alone_and_among_others(desk: Desk) -> None:
    wrong = serial("S1", warranty_until="soon")
    assert desk.send(several(named("a", wrong))) == [("a", "malformed")]
    assert desk.send(alone("a", wrong)) == [("a", "malformed")]
    assert desk.rows(PARKED) == []


@pytest.mark.parametrize("count", [0, 1_001])
def test_none_or_too_many_are_parked_as_a_whole(desk: Desk, count: int) -> None:
    event = several(*(named(f"d{number}", serial(f"S{number}")) for number in range(count)))
    assert desk.send(event) == []
    assert desk.rows(PARKED) == [("malformed", event.id)]
    assert desk.rows(SERIALS) == []


def test_definitions_of_one_noun_among_several_take_effect_in_their_order(desk: Desk) -> None:
    parts: Sequence[dict[str, Any]] = [named(f"d{number}", serial("S1", supplier=str(number))) for number in range(20)]
    assert {verdict for _, verdict in desk.send(several(*parts))} == {"taken"}
    assert desk.rows(SERIALS) == [("S1", "19")]


def test_companies_accounts_and_warehouses_come_several_in_an_event_too(desk: Desk) -> None:
    accounts = [{"account": "1400", "name": "Goods", "kind": "asset"}]
    events = [
        several(
            named("c1", {"company": "one", "currency": "EUR"}),
            named("c2", {"company": "two", "currency": "JPY"}),
            kind="company.defined.v1",
        ),
        several(
            named("a1", {"company": "one", "accounts": accounts}),
            named("a2", {"company": "two", "accounts": [{"account": "1500", "kind": "asset"}]}),
            kind="accounts.defined.v1",
        ),
        several(
            named("w1", {"company": "one", "warehouse": "north", "account": "1400"}),
            named("w2", {"company": "two", "warehouse": "south", "account": "1400"}),
            kind="warehouse.defined.v1",
        ),
    ]
    assert desk.send(*events) == [(name, "taken") for name in ("a1", "a2", "c1", "c2", "w1")]
    assert desk.rows(WAITING) == [("w2",)]
