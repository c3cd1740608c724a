"""What workers tell over HTTP: whether they live, whether they work, and exactly what they did.

Workers run on the broker inside the process and a real PostgreSQL, or on a database that is not there.
"""

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import msgspec
import pytest
from sqlalchemy import Connection, Engine
from structlog.testing import capture_logs

from services.accounting import handlers as accounting
from services.desk.events import Event, read_event
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared import chaining
from shared.broker import Broker, Message, connect
from shared.broker.topology import INTAKE, WORK
from shared.contracts.codec import write
from shared.contracts.envelope import Envelope, frame, write_event
from shared.contracts.movement import MovementAllocated, Reference
from shared.contracts.registry import MOVEMENT_ALLOCATED, MOVEMENT_POSTED
from shared.contracts.registry import MOVEMENT_REQUESTED as REQUESTED
from shared.db import Contended, open_engine
from shared.errors import Fatal, Retryable
from shared.health import listening
from shared.metrics import Metrics
from shared.service import Handled, Handler, Input, Service
from shared.settings import Settings
from shared.worker import Worker
from tests.builders import Receiving, leg
from tests.servers import free_port, wait_until
from tests.unit.test_metrics import Samples, samples

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PATIENT = 1.0
"""Seconds after which a silent worker counts as dead here."""
QUICK = Settings(pause=0.02, longest_pause=0.05, sweep_every=0.0, http_port=0, stuck_after=PATIENT)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with capture_logs() as said:
        yield said


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = connect(None)
    broker.declare()
    yield broker
    broker.close()


@dataclass
class Page:
    """The HTTP server of a process."""

    port: int

    def status(self, path: str) -> int:
        return self.ask(path)[0]

    def ask(self, path: str) -> tuple[int, bytes]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()


@contextmanager
def told(metrics: Metrics, settings: Settings = QUICK) -> Iterator[Page]:
    with listening(metrics, settings) as port:
        assert port is not None
        yield Page(port)


@contextmanager
def running(worker: Worker, stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


Work = Callable[[Sequence[Input], Connection], Handled]


def doing(work: Work) -> Service:
    """A service that takes the ledger's messages and does with them what a test wants."""

    def read(envelope: Envelope) -> list[Input]:
        return [Input(envelope.source, envelope.type, None, bytes(envelope.data), id=envelope.id)]

    return Service("ledger", {MOVEMENT_ALLOCATED: Handler(read, work)})


def something(name: str = "e1") -> bytes:
    return write_event(MOVEMENT_ALLOCATED, "receiving", name, Reference(id=name))


def publish(broker: Broker, exchange: str, key: str, *bodies: bytes) -> None:
    publisher = broker.publisher()
    publisher.publish([Message(exchange, key, body, str(number)) for number, body in enumerate(bodies)])
    publisher.close()


# --- alive and ready -------------------------------------------------------------------------------------------------


def test_a_worker_whose_loop_hangs_is_not_alive_after_a_while_and_lives_again_when_it_goes_on(
    broker: Broker, engine: Engine
) -> None:
    begun, go_on, stop = threading.Event(), threading.Event(), threading.Event()

    def hangs(*_: object) -> Handled:
        begun.set()
        go_on.wait(20)
        return Handled()

    metrics = Metrics()
    meter = metrics.meter("ledger")
    settings = dataclasses.replace(QUICK, stuck_after=2.5)  # more than an idle turn takes
    with told(metrics, settings) as page, running(Worker(doing(hangs), broker, engine, settings, stop, meter), stop):
        wait_until(lambda: page.status("/readyz") == 200, "the worker", 5)
        publish(broker, WORK, "ledger", something())
        assert begun.wait(5)
        assert page.status("/healthz") == 200
        wait_until(lambda: page.status("/healthz") == 503, "the end of its patience", 6)
        (worker,) = json.loads(page.ask("/healthz")[1])["workers"]
        assert (worker["service"], worker["ok"]) == ("ledger", False)
        assert worker["silent_seconds"] >= 2.5
        go_on.set()
        wait_until(lambda: page.status("/healthz") == 200, "life", 4)
    assert page_is_gone(page)


def test_a_worker_that_waits_for_an_absent_database_is_alive_and_not_ready(broker: Broker) -> None:
    engine = open_engine(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port()}/none")
    stop, metrics = threading.Event(), Metrics()
    meter = metrics.meter("accounting")
    with told(metrics) as page, running(Worker(accounting.service(), broker, engine, QUICK, stop, meter), stop):
        seen = set()
        deadline = time.monotonic() + 2.5 * PATIENT
        while time.monotonic() < deadline:
            seen.add((page.status("/healthz"), page.status("/readyz")))
            time.sleep(0.02)
        assert seen == {(200, 503)}
        found = samples(metrics)
        assert found["stockbook_retries_total", "away", "accounting"] >= 5
        assert found["stockbook_ready", "accounting"] == 0
    engine.dispose()


def test_a_worker_that_loses_its_database_is_unready_until_a_turn_succeeds(broker: Broker, engine: Engine) -> None:
    away, stop = threading.Event(), threading.Event()

    def sweep(connection: Connection) -> Handled:
        if away.is_set():
            raise Retryable("the database is away")
        return Handled()

    metrics = Metrics()
    service = Service("ledger", {}, sweeps=[sweep])
    settings = dataclasses.replace(QUICK, stuck_after=60.0)
    with (
        told(metrics, settings) as page,
        running(Worker(service, broker, engine, settings, stop, metrics.meter("ledger")), stop),
    ):
        assert page.status("/healthz") == 200
        wait_until(lambda: page.status("/readyz") == 200, "an idle turn", 5)
        away.set()
        wait_until(lambda: page.status("/readyz") == 503, "the loss", 5)
        assert page.status("/healthz") == 200
        away.clear()
        wait_until(lambda: page.status("/readyz") == 200, "the return", 5)
    assert samples(metrics)["stockbook_ready", "ledger"] == 0  # it has ended


def test_one_sick_worker_of_a_process_is_told_apart_from_the_well_ones() -> None:
    metrics = Metrics()
    well, sick = metrics.meter("receiving"), metrics.meter("ledger")
    with told(metrics) as page:
        well.ready(True)
        time.sleep(PATIENT + 0.1)
        well.tick()
        for path in ("/healthz", "/readyz"):
            status, body = page.ask(path)
            found = {each["service"]: each["ok"] for each in json.loads(body)["workers"]}
            assert (status, found) == (503, {"receiving": True, "ledger": False})
        sick.tick()
        sick.ready(True)
        assert [page.status(path) for path in ("/healthz", "/readyz")] == [200, 200]


def test_a_page_that_is_not_there_is_not_found_and_a_slow_asker_keeps_nobody_waiting() -> None:
    metrics = Metrics()
    metrics.meter("ledger")
    with told(metrics) as page, socket.create_connection(("127.0.0.1", page.port)) as silent:
        silent.sendall(b"GET /metr")
        assert page.status("/") == 404
        assert page.status("/metrics?name[]=up") == 200
        silent.close()  # hanging up in the middle of a request is no error
    assert page_is_gone(page)


def test_without_a_port_nobody_listens() -> None:
    with listening(Metrics(), Settings()) as port:
        assert port is None


def test_a_port_that_is_taken_ends_the_process_and_says_which() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(Fatal, match=f"port: {port}"),
            listening(Metrics(), dataclasses.replace(QUICK, http_port=port)),
        ):
            pass
        done = subprocess.run(
            [sys.executable, "-m", "services.accounting"],
            env=environment(
                STOCKBOOK_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
                STOCKBOOK_BROKER_URL="amqp://nobody@127.0.0.1:1//",
                STOCKBOOK_HTTP_PORT=str(port),
            ),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "STOCKBOOK_HTTP_HOST" in done.stderr
    assert f"port: {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_workers_of_one_process_share_a_port_and_end_with_it(database: str) -> None:
    page = Page(free_port())
    env = environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_HTTP_PORT=str(page.port))
    command = [sys.executable, "-c", "from services.desk.cli import main; main()", "run", "all"]
    process = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: page.status("/readyz") == 200, "the workers", 30)
        status, body = page.ask("/metrics")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
    text = body.decode()
    assert status == 200
    for service in ("receiving", "ledger", "accounting"):
        assert f'stockbook_ready{{service="{service}"}} 1.0' in text
    assert "process_resident_memory_bytes" in text


# --- what is counted -------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    """The three services on one database, turned by hand, and what they told since the last time."""

    broker: Broker
    metrics: Metrics
    workers: Mapping[str, Worker]
    before: Samples

    def send(self, *events: Event) -> None:
        publisher = self.broker.publisher()
        publisher.publish([each.message() for each in events])
        publisher.close()

    def turn(self, service: str) -> dict[str, float]:
        """What one turn of a service added to its counters, by their names and labels: `results waiting`."""
        self.workers[service].turn(0)
        now = samples(self.metrics)
        added = {key: value - self.before.get(key, 0) for key, value in now.items() if service in key}
        self.before = now
        named = {" ".join(part for part in key if part and part != service): count for key, count in added.items()}
        return {
            name.removeprefix("stockbook_").replace("_total", "").replace("_seconds_count", ""): count
            for name, count in named.items()
            if count and re.match(r"stockbook_(?!ticks|sweeps|subscr|\w+_seconds_sum)\w+_(total|count|sum)\b", name)
        }

    def level(self, name: str, service: str) -> float:
        return samples(self.metrics)[f"stockbook_{name}", service]


def without_heads(service: Service) -> Service:
    """One that publishes nothing but what comes of a set: when the heads of chains are told hangs on the clock."""
    sweeps = [each for each in service.sweeps if getattr(each, "func", None) is not chaining.tell_heads]
    assert len(sweeps) == len(service.sweeps) - 1
    return replace(service, sweeps=sweeps)


@pytest.fixture
def watched(broker: Broker, engine: Engine) -> Iterator[Watched]:
    metrics = Metrics()
    services = (receiving.service(), *map(without_heads, (ledger.service(), accounting.service())))
    workers = {each.name: Worker(each, broker, engine, QUICK, meter=metrics.meter(each.name)) for each in services}
    yield Watched(broker, metrics, workers, samples(metrics))
    for worker in workers.values():
        worker.close()


def event(kind: str, data: Mapping[str, Any], **names: str) -> Event:
    return read_event(json.dumps({"type": kind, "data": data, **names}).encode(), "till", NOW)


def masters(patience: int = 0) -> list[Event]:
    return [
        event("company.defined.v1", {"company": "shop", "currency": "EUR"}, id="company"),
        event("source.defined.v1", {"source": "till", "patience": patience}, id="source"),
        event("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}, id="north"),
        event("item.defined.v1", {"company": "shop", "item": "tea"}, id="tea"),
    ]


def movement(name: str, purpose: str, **line: str) -> dict[str, Any]:
    return {"id": name, "purpose": purpose, "posting_at": NOW.isoformat(), "lines": [{"item": "tea", **line}]}


def receipt(name: str, quantity: int = 10) -> dict[str, Any]:
    return movement(name, "purchase_receipt", quantity=str(quantity), rate="2", target="north")


def sale(name: str, quantity: int = 1) -> dict[str, Any]:
    return movement(name, "delivery", quantity=str(quantity), source="north")


def asked(*movements: Mapping[str, Any]) -> Event:
    return event("movement.requested.v1", {"movements": movements})


def test_every_part_of_a_known_set_is_counted_exactly_once_in_each_service(watched: Watched) -> None:
    kinds = ("company.defined.v1", "source.defined.v1", "warehouse.defined.v1", "item.defined.v1")
    watched.send(*masters())
    assert watched.turn("receiving") == {
        **{f"{name} {kind}": 1 for name in ("messages", "sets", "inputs") for kind in kinds},
        "results accepted": 4,
        "set_size_count": 4,
        "set_size_sum": 4,
        "set": 1,
        "transaction": 4,
        "publish": 4,
    }
    watched.send(asked(receipt("R1"), sale("D1"), sale("D2", 100)), asked(receipt("R1")), asked(receipt("R1", 7)))
    other_type = write_event("movement.invented.v1", "till", "e9", Reference(id="x"))
    nameless = write_event(REQUESTED, "till", "e8", Reference(id="x")).replace(b'"id":"x"', b'"no":"x"')
    publish(watched.broker, INTAKE, REQUESTED, b"\xff{", other_type, nameless)
    assert watched.turn("receiving") == {
        f"messages {REQUESTED}": 4,
        "messages unknown": 2,
        "results accepted": 2,
        "results insufficient_stock rejected": 1,
        "results malformed parked": 2,
        "results unknown_type parked": 1,
        "results conflicting_duplicate parked": 1,
        **one_set(REQUESTED, 5),
    }
    for service, kind, result in (("ledger", MOVEMENT_ALLOCATED, "posted"), ("accounting", MOVEMENT_POSTED, "booked")):
        frame_of_two = {f"messages {kind}": 1, f"results {result}": 2, "lag": 1, **one_set(kind, 2)}
        assert watched.turn(service) == frame_of_two
    watched.send(asked(receipt("R1")))
    for service, kind in (("receiving", REQUESTED), ("ledger", MOVEMENT_ALLOCATED), ("accounting", MOVEMENT_POSTED)):
        assert watched.turn(service) == {f"messages {kind}": 1, "results told_again": 1, **one_set(kind, 1)}
    watched.turn("receiving")
    assert watched.level("parked", "receiving") == 4
    assert watched.level("parked", "ledger") == 0


def one_set(kind: str, size: int) -> dict[str, float]:
    """What is counted of every set, whatever becomes of its inputs."""
    sizes = {f"inputs {kind}": size, "set_size_sum": size}
    return {f"sets {kind}": 1, **sizes, "set_size_count": 1, "set": 1, "transaction": 1, "publish": 1}


def test_what_waits_at_the_gate_is_counted_when_it_comes_when_it_is_woken_and_when_it_waits_no_longer(
    watched: Watched,
) -> None:
    watched.send(*masters(patience=600))
    watched.turn("receiving")
    watched.send(asked(sale("D1"), sale("D2")))
    assert results(watched.turn("receiving")) == {"waiting": 2}
    watched.turn("receiving")
    assert watched.level("waiting", "receiving") == 2
    assert 0 < watched.level("longest_wait_seconds", "receiving") < 60
    watched.send(asked(receipt("R1", 1)))
    woken = {"accepted": 2, "woken": 2, "released": 1}  # the other one is tried, and waits again
    assert results(watched.turn("receiving")) == woken
    watched.turn("receiving")
    assert watched.level("waiting", "receiving") == 1


def test_what_comes_early_to_the_ledger_is_counted_as_waiting_then_as_released_and_posted(watched: Watched) -> None:
    gate = Receiving()
    first, second = gate.movement(leg(2, 5)), gate.movement(leg(-1))
    allocate(watched, second)
    assert results(watched.turn("ledger")) == {"waiting": 1}
    watched.turn("ledger")
    assert watched.level("waiting", "ledger") == 1
    accepted = (datetime.now(UTC) - second.recorded_at).total_seconds()
    assert watched.level("longest_wait_seconds", "ledger") == pytest.approx(accepted, abs=60)
    allocate(watched, first)
    added = watched.turn("ledger")
    assert results(added) == {"posted": 2, "released": 1}
    assert added["lag"] == 1
    watched.turn("ledger")
    assert (watched.level("waiting", "ledger"), watched.level("longest_wait_seconds", "ledger")) == (0, 0)


def test_a_movement_that_cannot_be_applied_is_counted_as_stuck_and_its_set_as_halved(watched: Watched) -> None:
    gate = Receiving()
    good, bad = gate.movement(leg(2, 5, warehouse="a")), gate.movement(leg(2, 5, warehouse="b"))
    unstamped = msgspec.structs.replace(bad, legs=[*bad.legs, leg(1, 1, warehouse="c")])
    allocate(watched, good, unstamped)
    added = watched.turn("ledger")
    assert results(added) == {"posted": 1, "invariant_broken stuck": 1}
    assert (added["halved_sets"], added[f"sets {MOVEMENT_ALLOCATED}"], added["set_size_sum"]) == (1, 1, 1)
    watched.turn("ledger")
    assert watched.level("stuck_bins", "ledger") == 1


def allocate(watched: Watched, *movements: MovementAllocated) -> None:
    body = write_event(MOVEMENT_ALLOCATED, "receiving", "e1", frame([write(each) for each in movements]))
    publish(watched.broker, WORK, "ledger", body)


def results(added: Mapping[str, float]) -> dict[str, float]:
    return {name.removeprefix("results "): count for name, count in added.items() if name.startswith("results ")}


def test_a_set_that_is_tried_again_counts_each_try_and_its_result_once(broker: Broker, engine: Engine) -> None:
    errors: list[Exception] = [Retryable("away"), Contended("met"), Contended("met")]

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        if errors:
            raise errors.pop(0)
        return Handled(counts={})

    metrics = Metrics()
    worker = Worker(doing(work), broker, engine, QUICK, meter=metrics.meter("ledger"))
    publish(broker, WORK, "ledger", something("e1"), something("e2"))
    worker.turn(0)
    worker.close()
    found = samples(metrics)
    assert found["stockbook_retries_total", "away", "ledger"] == 1
    assert found["stockbook_retries_total", "contended", "ledger"] == 2
    assert found["stockbook_transaction_seconds_count", "ledger"] == 4
    assert found["stockbook_sets_total", "ledger", MOVEMENT_ALLOCATED] == 1
    assert found["stockbook_inputs_total", "ledger", MOVEMENT_ALLOCATED] == 2


def test_a_sweep_that_fails_is_counted_and_so_is_a_new_subscription(broker: Broker, engine: Engine) -> None:
    outcomes: list[Exception] = [ZeroDivisionError()]

    def sweep(connection: Connection) -> Handled:
        if outcomes:
            raise outcomes.pop(0)
        return Handled()

    metrics = Metrics()
    service = Service("ledger", {}, sweeps=[sweep])
    worker = Worker(service, broker, engine, QUICK, meter=metrics.meter("ledger"))
    worker.turn(0)
    worker.turn(0)
    found = samples(metrics)
    assert found["stockbook_failed_steps_total", "ledger"] == 1
    assert found["stockbook_sweeps_total", "ledger"] == 2
    assert found["stockbook_subscriptions_total", "ledger"] == 1
    worker.close()
    worker.turn(0)
    assert samples(metrics)["stockbook_subscriptions_total", "ledger"] == 2
    worker.close()


def environment(**more: str) -> dict[str, str]:
    """Ours, without addresses."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STOCKBOOK_")} | more


def page_is_gone(page: Page) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", page.port)) != 0
