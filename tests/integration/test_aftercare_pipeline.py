"""Aftercare in the whole pipeline: from a delivery to a claim and its replacement, and when its worker is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from services.aftercare import handlers as aftercare
from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from services.desk.replaying import Choice, Replayed, replay_now
from services.desk.reporting import REPORTS
from services.desk.sending import send
from services.desk.store import outcomes, unfinished
from shared.broker import Broker, EmbeddedBroker, connect
from shared.broker.topology import AFTERCARE, EVENTS
from shared.contracts.aftercare import CoverageChanged
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import COVERAGE_CHANGED
from shared.db import open_engine, query, transaction
from shared.report import Filters, records
from shared.settings import Settings
from shared.worker import Worker
from tests.brokers import delete_queue
from tests.commands import environment, invoke, told

NOW = datetime.now(UTC)
SOLD = NOW - timedelta(days=30)
_changes = decoder(CoverageChanged)


def event(kind: str, data: Mapping[str, Any], **names: str) -> Event:
    return read_event(json.dumps({"type": kind, "data": data, **names}).encode(), "till", NOW)


def masters(patience: int = 60) -> list[Event]:
    item = {"item": "lamp", "tracking": "serial", "warranty_days": 365}
    return [
        event("company.defined.v1", {"company": "shop", "currency": "EUR"}, id="company"),
        event("source.defined.v1", {"source": "till", "patience": patience}, id="source"),
        event("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}, id="north"),
        event("item.defined.v1", {"company": "shop", **item}, id="lamp"),
    ]


def movement(name: str, purpose: str, at: datetime, *lines: Mapping[str, Any], **more: Any) -> Event:
    data = {"id": name, "purpose": purpose, "posting_at": at.isoformat(), "lines": list(lines), **more}
    return event("movement.requested.v1", data)


def receipt(name: str, *serials: str) -> Event:
    line = {"item": "lamp", "serials": list(serials), "rate": "30", "target": "north"}
    return movement(name, "purchase_receipt", SOLD - timedelta(days=1), line)


def delivery(name: str, *serials: str, after: timedelta = timedelta(0)) -> Event:
    line = {"item": "lamp", "serials": list(serials), "source": "north"}
    return movement(name, "delivery", SOLD + after, line, customer="Ama")


def said(kind: str, name: str, serial: str, at: datetime, **data: Any) -> Event:
    return event(kind, {"company": "shop", "item": "lamp", "serial": serial, "at": at.isoformat(), **data}, id=name)


def claim(name: str, serial: str) -> Event:
    return said("claim.opened.v1", name, serial, SOLD + timedelta(days=9), claim=name, complaint="it flickers")


def replaced(name: str, of: str, serial: str, by: str) -> Event:
    fields = {"claim": of, "state": "resolved", "resolution": "replaced", "replacement": {"serial": by}}
    return said("claim.updated.v1", name, serial, SOLD + timedelta(days=20), **fields)


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in query(connection, statement)]


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    yield engine
    engine.dispose()


def test_who_sends_in_order_and_has_no_patience_is_not_refused_for_the_way_of_its_delivery(database: str) -> None:
    with Pipeline(database) as pipeline:
        pipeline.publish(masters(patience=0))
        pipeline.settle()
        pipeline.publish([claim("C1", "L1"), receipt("R1", "L1"), delivery("D1", "L1")])
        pipeline.settle()
        with transaction(pipeline.engine) as connection:
            (found,) = outcomes(connection, [("till", "C1")]).values()
    assert isinstance(found, OutcomeAccepted)


def test_from_the_delivery_to_the_replacement_and_back_in_time(database: str) -> None:
    moved = said("serial.moved.v1", "MV1", "L2", SOLD + timedelta(days=25), custodian="Ward 4", due_back="2020-01-01")
    on_loan = said("serial.moved.v1", "MV2", "L2", SOLD + timedelta(days=25), custodian="Ward 4", place="2nd floor")
    plan = said("serial.attributed.v1", "AT1", "L2", SOLD + timedelta(days=21), attributes={"plan": "trial"})
    with Pipeline(database) as pipeline:
        # What is said of units comes before their movements: it waits for these.
        pipeline.publish([*masters(), claim("C1", "L1"), receipt("R1", "L1", "L2", "L3"), delivery("D1", "L1")])
        pipeline.publish([delivery("D2", "L2", after=timedelta(days=20)), replaced("U1", "C1", "L1", "L2"), plan])
        pipeline.publish([said("serial.moved.v1", "MV3", "L3", NOW, custodian="nobody"), moved, on_loan])
        pipeline.settle()
        with transaction(pipeline.engine) as connection:
            found = outcomes(connection, [("till", name) for name in ("C1", "U1", "MV1", "MV2", "MV3", "AT1")])
            claims = records(REPORTS["warranty-claims"], connection, Filters())
            covers = records(REPORTS["coverage"], connection, Filters(serial="L2"))
            before = records(REPORTS["coverage"], connection, Filters(serial="L2", as_of=SOLD + timedelta(days=5)))
    refused = {name[1]: each.reasons[0].code for name, each in found.items() if isinstance(each, OutcomeRejected)}
    assert refused == {"MV1": "ends_before_it_starts"}
    assert ("till", "MV3") not in found  # it waits: the unit in stock may still be issued
    accepted = found["till", "C1"]
    assert isinstance(accepted, OutcomeAccepted)
    assert accepted.remarks[0].code == "covered"
    assert [(each["claim"], each["state"], each["covered"], each["replacement"]) for each in claims] == [
        ("C1", "resolved", "yes", "L2")
    ]
    first = (SOLD + timedelta(days=20)).date()
    assert [(each["starts_on"], each["ends_on"], each["replaced_serial"]) for each in covers] == [
        (first, SOLD.date() + timedelta(days=365), "L1"),
        (first, first + timedelta(days=365), None),
    ]
    assert before == []


def test_the_commands_tell_of_a_unit_and_find_units_by_what_holds_of_them(database: str) -> None:
    trial = {"attributes": {"plan": "trial"}, "expires_on": (SOLD + timedelta(days=12)).date().isoformat()}
    with Pipeline(database) as pipeline:
        pipeline.publish([*masters(), receipt("R1", "L1", "L2"), delivery("D1", "L1", "L2")])
        pipeline.publish([claim("C1", "L1"), said("serial.attributed.v1", "A1", "L1", SOLD, **trial)])
        pipeline.publish([said("serial.attributed.v1", "A2", "L2", SOLD, attributes={"plan": "pro"})])
        pipeline.settle()
    env = environment(STOCKBOOK_DATABASE_URL=database)
    lines = told("unit", "lamp", "L1", env=env).splitlines()
    assert lines[0] == "lamp L1 (shop): delivered Ama"
    assert lines[1].startswith(f"  seller coverage D1 from {SOLD.date()} until {SOLD.date() + timedelta(days=365)}")
    history = json.loads(told("unit", "lamp", "L1", "--format", "json", env=env))
    assert [each["what"] for each in history] == ["purchase_receipt", "delivery", "serial.attributed", "claim.opened"]
    before = str((SOLD - timedelta(days=1)).date())
    early = json.loads(told("unit", "lamp", "L1", "--as-of", before, "--format", "json", env=env))
    assert [each["what"] for each in early] == ["purchase_receipt"]
    assert json.loads(told("serials", "--where", "plan=trial", "--format", "json", env=env)) == []
    day = (SOLD + timedelta(days=12)).date().isoformat()
    then = json.loads(told("serials", "--where", "plan=trial", "--as-of", day, "--format", "json", env=env))
    assert [(each["serial"], each["days_left"]) for each in then] == [("L1", 0)]
    assert (
        str(invoke("unit", "lamp", "L9", env=env).exception)
        == "nothing is known of such a unit (item: lamp, serial: L9)"
    )


def test_what_aftercare_lacks_is_taken_from_what_the_gate_stored(database: str) -> None:
    with Pipeline(database) as pipeline:
        pipeline.publish([*masters(), receipt("R1", "L1", "L2"), delivery("D1", "L1")])
        pipeline.settle()
        before = rows(pipeline.engine, "SELECT * FROM aftercare.coverage")
        _forget(pipeline.engine)
        assert replay_now(pipeline.engine, Replayed.AFTERCARE, Choice(), None, lambda _done, _of: None) == 2
        assert rows(pipeline.engine, "SELECT * FROM aftercare.coverage") == before != []
        assert replay_now(pipeline.engine, Replayed.AFTERCARE, Choice(), None, lambda _done, _of: None) == 0


def _forget(engine: Engine) -> None:
    """As if nothing had ever arrived."""
    tables = "movement unit move cancelled cover outbox".split()
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for table in tables:
            connection.exec_driver_sql(f"DELETE FROM aftercare.{table}")


def test_a_worker_whose_queue_vanished_takes_what_lay_in_it_from_the_gate(database: str) -> None:
    with Pipeline(database) as pipeline:
        pipeline.publish([*masters(), receipt("R1", "L1")])
        pipeline.settle()
        _forget(pipeline.engine)
        service = aftercare.service()
        assert service.replay is not None
        with transaction(pipeline.engine) as connection:
            service.replay(connection)
        worker = Worker(service, EmbeddedBroker(), pipeline.engine, Settings(sweep_every=0.0))
        for _ in range(3):
            worker.turn(0.0)
        worker.close()
        assert rows(pipeline.engine, "SELECT serial, has_moved FROM aftercare.units") == [("L1", True)]


# --- over RabbitMQ ---------------------------------------------------------------------------------------------------

COUNT = 150
FIRST = 20


@contextmanager
def process(name: str, database_url: str, broker_url: str) -> Iterator[subprocess.Popen[bytes]]:
    url = sa.make_url(database_url).render_as_string(hide_password=False)
    told = {"STOCKBOOK_DATABASE_URL": url, "STOCKBOOK_BROKER_URL": broker_url, "STOCKBOOK_LOG_LEVEL": "warning"}
    started = subprocess.Popen([sys.executable, "-m", f"services.{name}"], env={**os.environ, **told})
    try:
        yield started
    finally:
        started.kill()
        started.wait(10)


def wait_until(holds: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.mark.timeout(240)
def test_a_worker_that_is_killed_loses_nothing_and_tells_nothing_else(database: str, vhost_url: str) -> None:
    serials = [f"L{number}" for number in range(COUNT)]
    broker = connect(vhost_url)
    broker.declare()
    listener = broker.bind_temporary(EVENTS, [COVERAGE_CHANGED])
    claims = [claim(f"C{serial}", serial) for serial in serials]
    with opened(database) as engine, process("receiving", database, vhost_url):
        with process("aftercare", database, vhost_url) as victim:
            publish(broker, [*masters(), receipt("R1", *serials)])
            pairs = [(claims[n], delivery(f"D{serial}", serial)) for n, serial in enumerate(serials)]
            publish(broker, [each for pair in pairs[:FIRST] for each in pair])
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.answer")[0][0] > 0)
            publish(broker, [each for pair in pairs[FIRST:] for each in pair])
            victim.send_signal(signal.SIGKILL)
            victim.wait(10)
        keys = [key for each in claims for key in each.keys]
        with transaction(engine) as connection:
            assert unfinished(connection, keys) != []
        with process("aftercare", database, vhost_url):
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.answer") == [(COUNT,)])
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.movement") == [(COUNT + 1,)])
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.outbox") == [(0,)])
            wait_until(lambda: broker.depth(AFTERCARE) == 0)
        with transaction(engine) as connection:
            answers = outcomes(connection, keys).values()
        assert {each.remarks[0].code for each in answers if isinstance(each, OutcomeAccepted)} == {"covered"}
        assert rows(engine, "SELECT count(*) FROM aftercare.statement") == [(COUNT,)]
        assert rows(engine, "SELECT count(*), count(DISTINCT serial) FROM aftercare.coverage") == [(COUNT, COUNT)]
        assert rows(engine, "SELECT * FROM aftercare.waiting") == rows(engine, "SELECT * FROM aftercare.parked") == []
    heard = {change.serial: change.number for change in changes_heard(listener)}
    assert heard == dict.fromkeys(serials, 1)
    broker.close()


def test_a_queue_that_is_deleted_is_made_again_and_what_lay_in_it_is_not_lost(database: str, vhost_url: str) -> None:
    broker = connect(vhost_url)
    broker.declare()
    with opened(database) as engine, process("receiving", database, vhost_url):
        publish(broker, [*masters(), receipt("R1", "L1", "L2"), delivery("D1", "L1")])
        wait_until(lambda: broker.depth(AFTERCARE) > 0)
        wait_until(lambda: rows(engine, "SELECT count(*) FROM receiving.units_allocated") == [(2,)])
        with process("aftercare", database, vhost_url):
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.movement") == [(2,)])
            _forget(engine)
            delete_queue(vhost_url, AFTERCARE)
            wait_until(lambda: rows(engine, "SELECT count(*) FROM aftercare.movement") == [(2,)])
            assert rows(engine, "SELECT serial FROM aftercare.coverage") == [("L1",)]
    broker.close()


def publish(broker: Broker, events: list[Event]) -> None:
    publisher = broker.publisher()
    send(publisher, [each.message() for each in events])
    publisher.close()


def changes_heard(listener: Any) -> Iterator[CoverageChanged]:
    while deliveries := listener.drain(500, 1.0):
        for each in deliveries:
            yield from (read(_changes, raw) for raw in raw_movements(read_envelope(each.body).data))
        listener.acknowledge(deliveries)
