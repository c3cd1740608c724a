"""A source may not act for another: what is not sent by the user of its source is parked, answered by nobody, and has
no effect, whatever it is and however it is packed.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import amqp
import pytest
from sqlalchemy import Engine

from services.desk.events import Event, make_event
from services.desk.redriving import Pace, redrive
from services.receiving import handlers as receiving
from shared.broker import Broker, EmbeddedBroker, Publisher, connect
from shared.broker.topology import EVENTS
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import MASTERS
from shared.db import open_engine
from shared.parked import Choice
from shared.settings import Settings
from shared.worker import Worker
from tests import servers
from tests.receiving_builders import rows

RECEIPT: dict[str, Any] = {
    "id": "R1",
    "purpose": "material_receipt",
    "posting_at": "2026-03-02T08:00:00Z",
    "lines": [{"item": "tea", "quantity": "1", "rate": "1", "target": "north"}],
}
DAY = "2026-03-01"
DEFINITIONS: dict[str, dict[str, Any]] = {
    "company.defined.v1": {"company": "other", "currency": "EUR"},
    "accounts.defined.v1": {"company": "shop", "accounts": [{"account": "1", "kind": "asset"}]},
    "source.defined.v1": {"source": "till", "user": "eve"},
    "item.defined.v1": {"company": "shop", "item": "soap"},
    "warehouse.defined.v1": {"company": "shop", "warehouse": "south"},
    "batch.defined.v1": {"company": "shop", "item": "cream", "batch": "B1"},
    "serial.defined.v1": {"company": "shop", "item": "lamp", "serial": "S1"},
    "batch.held.v1": {"company": "shop", "item": "cream", "batch": "B0"},
    "batch.released.v1": {"company": "shop", "item": "cream", "batch": "B0"},
    "period.closed.v1": {"company": "shop", "through": DAY, "actor": "eve"},
    "period.reopened.v1": {"company": "shop", "open_from": DAY, "actor": "eve", "reason": "because"},
}


@dataclass
class Gate:
    """Receiving on an embedded broker that believes whatever user a publisher names."""

    broker: EmbeddedBroker
    engine: Engine
    worker: Worker

    def send(self, user: str | None, *events: Event) -> list[tuple[str, str, str]]:
        """Publish as an account, and have it worked on; the outcomes that were told: type, source, id."""
        self.broker.publisher(user).publish([each.message() for each in events])
        return self.work()

    def work(self) -> list[tuple[str, str, str]]:
        listener = self.broker.bind_temporary(EVENTS, ["outcome.#"])
        while self.worker.turn(0.0):
            pass
        heard = [read_envelope(each.body) for each in listener.drain(1_000, 0.0)]
        listener.close()
        return [(each.type, *_name(bytes(raw))) for each in heard for raw in raw_movements(each.data)]

    def parked(self) -> list[tuple[Any, ...]]:
        return parked(self.engine)


def parked(engine: Engine) -> list[tuple[Any, ...]]:
    return rows(engine, "SELECT reason, source, id, headers ->> 'user' FROM receiving.parked ORDER BY id")


def decided(engine: Engine) -> int:
    return len(rows(engine, "SELECT FROM receiving.movement"))


def _name(raw: bytes) -> tuple[str, str]:
    told = json.loads(raw)
    return told["source"], told["id"]


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def gate(engine: Engine) -> Iterator[Gate]:
    """A shop in which `ann` speaks for the till, as `boss` has said; whoever else there is has no user."""
    broker = EmbeddedBroker()
    broker.declare()
    worker = Worker(receiving.service(administrators={"boss"}), broker, engine, Settings(sweep_every=0.0))
    gate = Gate(broker, engine, worker)
    told = gate.send(
        "boss",
        make_event("source.defined.v1", "office", {"source": "till", "user": "ann", "patience": 0}, "d1"),
        make_event("company.defined.v1", "office", {"company": "shop", "currency": "EUR"}, "d2"),
        make_event("warehouse.defined.v1", "office", {"company": "shop", "warehouse": "north"}, "d3"),
        make_event("item.defined.v1", "office", {"company": "shop", "item": "tea"}, "d4"),
    )
    assert [kind for kind, *_ in told] == ["outcome.accepted.v1"] * 4
    yield gate
    worker.close()


@pytest.mark.parametrize("user", ["eve", None])
@pytest.mark.parametrize(
    "data",
    [RECEIPT, {"movements": [RECEIPT, {**RECEIPT, "id": "R2"}]}, {**RECEIPT, "dry_run": True}],
    ids=["one", "bulk", "dry run"],
)
def test_what_another_sends_in_the_name_of_a_source_has_no_effect_and_no_answer(
    gate: Gate, data: dict[str, Any], user: str | None
) -> None:
    assert gate.send(user, make_event("movement.requested.v1", "till", data, "e1")) == []
    parked = gate.parked()
    assert {(reason, source, sent_by) for reason, source, _, sent_by in parked} == {("not_your_source", "till", user)}
    assert [identifier for _, _, identifier, _ in parked] == [each["id"] for each in data.get("movements", [data])]
    assert rows(gate.engine, "SELECT * FROM receiving.movement") == []


@pytest.mark.parametrize("kind", sorted(MASTERS))
def test_no_definition_is_taken_from_another_than_the_user_of_its_source(gate: Gate, kind: str) -> None:
    assert gate.send("eve", make_event(kind, "till", DEFINITIONS[kind], "x1")) == []
    assert gate.parked() == [("not_your_source", "till", "x1", "eve")]
    assert rows(gate.engine, "SELECT * FROM receiving.definition WHERE id = 'x1'") == []


@pytest.mark.parametrize("user", ["ann", None])
@pytest.mark.parametrize("source", ["receiving", "ledger", "accounting"])
def test_nobody_speaks_under_the_name_of_a_service(gate: Gate, source: str, user: str | None) -> None:
    for kind, data in (("movement.requested.v1", RECEIPT), ("item.defined.v1", DEFINITIONS["item.defined.v1"])):
        assert gate.send(user, make_event(kind, source, data, "R1")) == []
    assert gate.parked() == [("source_reserved", source, "R1", user)] * 2
    assert rows(gate.engine, "SELECT * FROM receiving.outcome WHERE id = 'R1'") == []
    told = gate.send("ann", make_event("movement.requested.v1", "till", RECEIPT))
    assert told == [("outcome.accepted.v1", "till", "R1")]


def test_an_id_that_another_tried_to_take_is_still_that_of_its_source(gate: Gate) -> None:
    forged = {**RECEIPT, "lines": [{**RECEIPT["lines"][0], "quantity": "1000"}]}
    gate.send("eve", make_event("movement.requested.v1", "till", forged))
    told = gate.send("ann", make_event("movement.requested.v1", "till", RECEIPT))
    assert told == [("outcome.accepted.v1", "till", "R1")]
    assert rows(gate.engine, "SELECT quantity FROM receiving.bin") == [(1,)]


def test_in_one_set_each_is_believed_or_not_by_itself(gate: Gate) -> None:
    for user, source, name in (("eve", "till", "forged"), ("eve", "web", "unbound"), ("ann", "till", "own")):
        event = make_event("movement.requested.v1", source, {**RECEIPT, "id": name})
        gate.broker.publisher(user).publish([event.message()])
    assert gate.work() == [("outcome.accepted.v1", "till", "own"), ("outcome.accepted.v1", "web", "unbound")]
    assert gate.parked() == [("not_your_source", "till", "forged", "eve")]


def test_who_is_no_administrator_is_refused_a_source_and_told_so(gate: Gate) -> None:
    grab = make_event("source.defined.v1", "web", {"source": "web", "user": "eve"}, "grab")
    assert gate.send("eve", grab) == [("outcome.rejected.v1", "web", "grab")]
    assert rows(gate.engine, "SELECT source, user_name FROM receiving.source") == [("till", "ann")]


def test_a_source_defined_anew_is_spoken_for_by_its_new_user_at_once(gate: Gate) -> None:
    gate.send("boss", make_event("source.defined.v1", "office", {"source": "till", "user": "bob"}, "d9"))
    assert gate.send("ann", make_event("movement.requested.v1", "till", RECEIPT)) == []
    told = gate.send("bob", make_event("movement.requested.v1", "till", RECEIPT))
    assert told == [("outcome.accepted.v1", "till", "R1")]


@pytest.mark.parametrize(("user", "told"), [("eve", []), ("ann", [("outcome.accepted.v1", "till", "R1")])])
def test_what_is_redriven_is_judged_as_sent_by_whom_it_was_sent_by_first(
    gate: Gate, user: str, told: list[tuple[str, str, str]]
) -> None:
    gate.send("boss", make_event("source.defined.v1", "office", {"source": "till", "user": "nobody"}, "d9"))
    gate.send(user, make_event("movement.requested.v1", "till", RECEIPT))
    gate.send("boss", make_event("source.defined.v1", "office", {"source": "till", "user": "ann"}, "d10"))
    operator: Publisher = gate.broker.publisher("boss")
    assert sum(map(len, redrive(gate.engine, operator, "receiving", Choice(), Pace()))) == 1
    assert gate.work() == told
    assert [row[-1] for row in gate.parked()] == ([] if told else [user])


def test_rabbitmq_lets_nobody_name_another_user_and_tells_the_gate_who_it_was(
    rabbitmq: servers.Broker, vhost_url: str, engine: Engine
) -> None:
    if rabbitmq.ctl is None:
        pytest.skip("accounts are made by rabbitmqctl")
    vhost = vhost_url.rpartition("/")[2]
    accounts = {name: f"{vhost}-{name}" for name in ("ann", "eve")}
    for account in accounts.values():
        rabbitmq.ctl("add_user", account, "secret")
        rabbitmq.ctl("set_permissions", "-p", vhost, account, ".*", ".*", ".*")

    def as_user(name: str) -> Broker:
        return connect(vhost_url.replace("guest:guest@", f"{accounts[name]}:secret@"))

    broker = connect(vhost_url)
    broker.declare()
    worker = Worker(receiving.service(administrators={"guest"}), broker, engine, Settings())
    listener = broker.bind_temporary(EVENTS, ["outcome.#"])
    publish(broker, make_event("source.defined.v1", "office", {"source": "till", "user": accounts["ann"]}, "d1"))
    publish(as_user("eve"), make_event("movement.requested.v1", "till", RECEIPT))
    publish(as_user("ann"), make_event("movement.requested.v1", "till", {**RECEIPT, "purpose": "theft", "id": "own"}))
    with closing(worker):
        servers.wait_until(lambda: worker.turn(0.2) == 0 and len(parked(engine)) == 1 and decided(engine) == 1, "work")
    told = [each.routing_key for each in listener.drain(10, 1)]
    assert told == ["outcome.accepted.v1.office", "outcome.rejected.v1.till"]
    assert parked(engine) == [("not_your_source", "till", "R1", accounts["eve"])]
    host = vhost_url.partition("@")[2].partition("/")[0]
    with amqp.Connection(host, accounts["eve"], "secret", virtual_host=vhost) as connection:
        channel = connection.channel()
        channel.confirm_select()
        forged = amqp.Message(b"{}", user_id=accounts["ann"])
        with pytest.raises(amqp.PreconditionFailed, match="user_id"):
            channel.basic_publish_confirm(forged, exchange="stock.intake", routing_key="movement.requested.v1")


def publish(broker: Broker, *events: Event) -> None:
    with closing(broker.publisher()) as publisher:
        publisher.publish([each.message() for each in events])
