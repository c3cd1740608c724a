"""The whole pipeline, from the intake to the journal: in one thread over either broker, in many threads, in processes
that are told to stop or are killed. After each the same must hold (`Shop.check`): nothing lost, nothing twice, and
everything in balance.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from kombu.connection import Connection as RabbitConnection
from structlog.testing import capture_logs

from services.accounting import handlers as accounting
from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from services.desk.store import stock_values, unfinished
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.broker import Broker, Consumer, Delivery, EmbeddedBroker, Message, connect
from shared.broker.topology import ACCOUNTING, AFTERCARE, EVENTS, INTAKE, LEDGER, RECEIVING, UNROUTED
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import JOURNAL_POSTED, MOVEMENT_POSTED, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.db import open_engine, query, transaction
from shared.service import Key, Service
from shared.settings import Settings
from shared.worker import Worker
from tests import servers

ROOT = Path(__file__).parent.parent.parent
NOW = datetime.now(UTC)  # one moment for all movements: whatever order they come in, none is back-dated
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RATES = {"tea": "2.50", "soap": "1.20", "cream": "4.00", "lamp": "30.00"}
"""Every item costs the same each time, so that the value of any quantity is known whatever the order."""
SERVICES: Mapping[str, Callable[[], Service]] = {
    RECEIVING: receiving.service,
    LEDGER: ledger.service,
    ACCOUNTING: accounting.service,
}


# --- what a shop sends -----------------------------------------------------------------------------------------------


def event(kind: str, data: Mapping[str, Any], **names: str) -> Event:
    return read_event(json.dumps({"type": kind, "data": data, **names}).encode(), "till", NOW)


def masters(patience: int = 60) -> list[Event]:
    items: list[dict[str, Any]] = [
        {"item": "tea", "valuation_method": "fifo"},
        {"item": "soap", "valuation_method": "moving_average"},
        {"item": "cream", "tracking": "batch", "create_batches_on_receipt": True},
        {"item": "lamp", "tracking": "serial", "serial_series": "L-.#####"},
    ]
    return [
        event("company.defined.v1", {"company": "shop", "currency": "EUR"}, id="company"),
        event("source.defined.v1", {"source": "till", "patience": patience}, id="source"),
        event("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}, id="north"),
        event("warehouse.defined.v1", {"company": "shop", "warehouse": "south"}, id="south"),
        *(event("item.defined.v1", {"company": "shop", **item}, id=item["item"]) for item in items),
    ]


def movement(identifier: str, purpose: str, *lines: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": identifier, "purpose": purpose, "posting_at": NOW.isoformat(), "lines": list(lines), **more}


def sent(*movements: Mapping[str, Any], **names: str) -> Event:
    """Movements as one event, in bulk if there are several."""
    return event("movement.requested.v1", movements[0] if len(movements) == 1 else {"movements": movements}, **names)


def receipt(identifier: str, item: str = "tea", quantity: object = 10, **more: Any) -> dict[str, Any]:
    line = {"item": item, "quantity": str(quantity), "rate": RATES[item], "target": "north"}
    if item == "cream":
        line["batch"] = "C1"
    return movement(identifier, "purchase_receipt", {**line, **more})


def delivery(identifier: str, item: str = "tea", quantity: object = 1) -> dict[str, Any]:
    return movement(identifier, "delivery", {"item": item, "quantity": str(quantity), "source": "north"})


def transfer(identifier: str, item: str = "tea", quantity: object = 1) -> dict[str, Any]:
    line = {"item": item, "quantity": str(quantity), "source": "north", "target": "south"}
    return movement(identifier, "material_transfer", line)


def mixed(count: int) -> list[dict[str, Any]]:
    """Receipts, deliveries and transfers of all items in turn; they want no more than `opening` brings."""
    items = list(RATES)
    kinds = [receipt, delivery, transfer, delivery]
    return [kinds[n // len(items) % len(kinds)](f"M{n}", items[n % len(items)], 1) for n in range(count)]


def opening(quantity: int = 300) -> list[Event]:
    return [sent(receipt(f"open {item}", item, quantity)) for item in RATES]


# --- what must hold --------------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A broker, a database, and what was sent to them."""

    broker: Broker
    engine: sa.Engine
    keys: list[Key] = field(default_factory=list)
    broker_url: str = ""

    @property
    def database_url(self) -> str:
        return self.engine.url.render_as_string(hide_password=False)

    def publish(self, events: Sequence[Event]) -> None:
        publisher = self.broker.publisher()
        publisher.publish([each.message() for each in events])
        publisher.close()
        self.keys += [key for each in events for key in each.keys]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.engine) as connection:
            return [tuple(row) for row in query(connection, statement)]

    def open_ends(self) -> int:
        with transaction(self.engine) as connection:
            return len(unfinished(connection, self.keys))

    def settle(self, seconds: float = 40) -> None:
        """Wait until all that was sent is refused, parked or booked, and every queue is empty."""
        wait_until(lambda: self.open_ends() == 0, seconds)
        wait_until(lambda: not any(map(self.broker.depth, SERVICES)), seconds)

    def booked(self) -> int:
        return int(self.rows("SELECT count(*) FROM accounting.movement")[0][0])

    def check(self, parked: int = 0) -> None:
        """Nothing lost, one effect each, stamps without a gap, and every total the same on both sides."""
        assert self.open_ends() == 0
        accepted = self._keys("receiving.allocated")
        assert self._keys("ledger.posted") == accepted
        assert self._keys("accounting.movement") == accepted | self._keys("ledger.revalued")
        of_movements = "FROM accounting.journal_entry WHERE revaluation IS NULL"
        assert self.rows(f"SELECT count(*), count(DISTINCT (source, id)) {of_movements}") == [
            (len(accepted), len(accepted))
        ]
        assert self.rows(_STAMPS) == []
        assert self.rows(_BINS) == []
        assert self.rows(_UNBALANCED) == []
        with transaction(self.engine) as connection:
            assert [each.stock == each.accounts for each in stock_values(connection)] == [True]
        assert [table for table in _LEFTOVERS if self.rows(f"SELECT FROM {table}")] == []
        assert len(self.rows("SELECT FROM receiving.parked")) == parked
        assert [self.broker.depth(queue) for queue in (*SERVICES, *(f"{name}.dead" for name in SERVICES))] == [0] * 6

    def stock(self) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
        return {
            (item, warehouse): (quantity, value)
            for item, warehouse, quantity, value in self.rows(
                "SELECT item, warehouse, quantity, value FROM ledger.stock_balance"
            )
        }

    def _keys(self, table: str) -> set[Key]:
        return {(source, name) for source, name in self.rows(f"SELECT source, id FROM {table}")}


# In every bin the stamps that receiving gave are 1, 2, 3 … without a gap, and the ledger has come as far. What a
# movement entered stands at its own stamp, unless it changes what stands at another.
_STAMPS = """
WITH given AS (
    SELECT company, source, id, stamps.* FROM receiving.allocated CROSS JOIN LATERAL jsonb_to_recordset(
        cast(convert_from(allocated, 'UTF8') AS jsonb) -> 'stamps') AS stamps (item text, warehouse text, stamp bigint)
)
SELECT company, item, warehouse FROM receiving.stock FULL JOIN ledger.stock_balance USING (company, item, warehouse)
LEFT JOIN (
    SELECT company, item, warehouse, count(*) AS movements, count(DISTINCT stamp) AS stamps, max(stamp) AS highest
    FROM given GROUP BY company, item, warehouse
) AS counted USING (company, item, warehouse)
WHERE (stock.last_stamp, stock_balance.last_stamp, stamps, highest)
    IS DISTINCT FROM (movements, movements, movements, movements)
UNION ALL
SELECT company, item, warehouse FROM ledger.stock_ledger AS entered LEFT JOIN given
    USING (company, item, warehouse, source, id, stamp)
WHERE given.stamp IS NULL AND revaluation = 0
"""
# Every bin holds what its entries add up to, and what receiving thinks it does.
_BINS = """
SELECT company, item, warehouse FROM receiving.stock FULL JOIN ledger.stock_balance USING (company, item, warehouse)
LEFT JOIN (
    SELECT company, item, warehouse, sum(quantity) AS quantity, sum(value) AS value
    FROM ledger.stock_ledger GROUP BY company, item, warehouse
) AS entries USING (company, item, warehouse)
WHERE stock_balance.quantity IS DISTINCT FROM stock.quantity
    OR (stock_balance.quantity, stock_balance.value) IS DISTINCT FROM (entries.quantity, entries.value)
"""


_UNBALANCED = "SELECT FROM accounting.debit_credit GROUP BY journal_entry HAVING sum(debit) <> sum(credit)"
_LEFTOVERS = (
    *("receiving.waiting", "receiving.outbox"),
    *("ledger.waiting", "ledger.waiting_stamp", "ledger.outbox", "ledger.parked", "ledger.dirty"),
    *("accounting.outbox", "accounting.parked"),
)


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def expected_stock(movements: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    quantities: Counter[tuple[str, str]] = Counter()
    for each in movements:
        for line in each["lines"]:
            if "source" in line:
                quantities[line["item"], line["source"]] -= int(line["quantity"])
            if "target" in line:
                quantities[line["item"], line["target"]] += int(line["quantity"])
    return {key: (Decimal(held), held * Decimal(RATES[key[0]])) for key, held in quantities.items()}


def movements_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [json.loads(bytes(raw)) for each in events for raw in raw_movements(read_envelope(each.body).data)]


# --- in one thread, over either broker -------------------------------------------------------------------------------


@dataclass
class Desk(Shop):
    """A shop whose services take turns in the test's own thread, and who listens to what they tell."""

    pipeline: Pipeline = field(kw_only=True)
    listener: Consumer = field(kw_only=True)

    def play(self, *events: Event) -> None:
        self.pipeline.publish(events)
        self.keys += [key for each in events for key in each.keys]
        self.pipeline.settle()

    def play_raw(self, *bodies: bytes, key: str = "movement.requested.v1") -> None:
        """Messages as a stranger might send them, and a movement behind them that shows that they were worked on."""
        publisher = self.broker.publisher()
        publisher.publish([Message(INTAKE, key, body, str(n)) for n, body in enumerate(bodies)])
        publisher.close()
        self.play(sent(receipt(f"behind {time.monotonic_ns()}")))

    def heard(self) -> list[Delivery]:
        deliveries: list[Delivery] = []
        while more := self.listener.drain(1_000, 0.0 if isinstance(self.broker, EmbeddedBroker) else 0.2):
            deliveries += more
        return deliveries

    def outcomes(self) -> list[OutcomeAccepted | OutcomeRejected]:
        """What the till was told since the last time, in the order in which it was told."""
        return [outcome for each in self.heard() for outcome in _outcomes(each)]


def _outcomes(heard: Delivery) -> list[OutcomeAccepted | OutcomeRejected]:
    reader = _READERS.get(heard.routing_key)
    return [read(reader, raw) for raw in raw_movements(read_envelope(heard.body).data)] if reader else []


_READERS: Mapping[str, Any] = {
    f"{OUTCOME_ACCEPTED}.till": decoder(OutcomeAccepted),
    f"{OUTCOME_REJECTED}.till": decoder(OutcomeRejected),
}


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged, as it was said."""
    with capture_logs() as said:
        yield said


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def desk(request: pytest.FixtureRequest, database: str) -> Iterator[Desk]:
    broker_url = None if request.param == "embedded" else request.getfixturevalue("vhost_url")
    with Pipeline(database, broker_url, settings=Settings(pause=0.01)) as pipeline:
        keys = [MOVEMENT_POSTED, JOURNAL_POSTED, f"{OUTCOME_ACCEPTED}.till", f"{OUTCOME_REJECTED}.till"]
        listener = pipeline.broker.bind_temporary(EVENTS, keys)
        yield Desk(pipeline.broker, pipeline.engine, pipeline=pipeline, listener=listener)
        listener.close()


def test_a_movement_goes_from_the_intake_to_the_journal(desk: Desk) -> None:
    desk.play(*masters(), sent(receipt("R1", quantity=10), traceparent=TRACE))
    assert desk.rows("SELECT id, item, warehouse, stamp, quantity, value FROM ledger.stock_ledger") == [
        ("R1", "tea", "north", 1, 10, Decimal("25.00"))
    ]
    assert desk.rows("SELECT id, debit_account, credit_account, amount FROM accounting.journal") == [
        ("R1", "stock", "stock_received_not_billed", Decimal("25.00"))
    ]
    told = Counter(each.routing_key for each in desk.heard())
    assert told.keys() == {f"{OUTCOME_ACCEPTED}.till", MOVEMENT_POSTED, JOURNAL_POSTED}
    desk.check()


def test_the_source_is_told_of_its_movements_and_definitions_and_of_nobody_elses(desk: Desk) -> None:
    desk.play(*masters(), sent(receipt("L1", "lamp", 2)), event("source.defined.v1", {"source": "web"}, source="web"))
    told = {each.id: each for each in desk.outcomes()}
    assert told.keys() == {"company", "source", "north", "south", *RATES, "L1"}
    assert told["tea"].kind == "item.defined"
    accepted = told["L1"]
    assert isinstance(accepted, OutcomeAccepted)
    assert [(each.serials, each.generated) for each in accepted.allocated] == [(["L-00001", "L-00002"], True)]


def test_definitions_and_movements_take_effect_in_the_order_of_the_file(desk: Desk) -> None:
    company, source, north, _, tea, soap, *_ = masters(patience=0)
    first, second, early = sent(receipt("R1")), sent(receipt("R2", "soap")), sent(receipt("R0", "soap"))
    desk.play(company, source, north, tea, first, early, soap, second)
    told = [(each.id, isinstance(each, OutcomeAccepted)) for each in desk.outcomes()]
    assert sorted(told) == sorted(
        [*((name, True) for name in ("company", "source", "north", "tea", "R1", "soap", "R2")), ("R0", False)]
    )
    desk.check()


def test_a_hundred_movements_of_one_message_are_a_hundred_movements(desk: Desk) -> None:
    movements = [receipt(f"R{n}", quantity=n + 1) for n in range(100)]
    desk.play(*masters(), sent(*movements))
    assert len([each for each in desk.outcomes() if each.id.startswith("R")]) == 100
    assert desk.stock() == expected_stock(movements)
    desk.check()


def test_the_same_again_is_told_the_same_and_has_no_second_effect(desk: Desk) -> None:
    accepted, refused = sent(receipt("R1")), sent(movement("X1", "theft"))
    desk.play(*masters(), accepted, refused)
    first = {each.id: each for each in desk.outcomes()}
    bulk = sent(receipt("R1"), movement("X1", "theft"), receipt("R1"), receipt("R2"), receipt("R2"))
    desk.play(accepted, masters()[0], refused, bulk)
    again = desk.outcomes()
    assert {each.id for each in again} == {"R1", "X1", "R2", "company"}
    assert all(each == first[each.id] for each in again if each.id != "R2")
    assert isinstance(first["X1"], OutcomeRejected)
    assert desk.stock() == expected_stock([receipt("R1"), receipt("R2")])
    desk.check()


def test_the_same_id_with_other_content_is_parked_and_never_applied(desk: Desk) -> None:
    desk.play(*masters(), sent(receipt("R1", quantity=10)))
    desk.play(sent(receipt("R1", quantity=11)), sent(receipt("R2", quantity=1), receipt("R2", quantity=2)))
    desk.play(event("item.defined.v1", {"company": "shop", "item": "tea", "name": "Tea"}, id="tea"))
    assert desk.rows("SELECT reason, kind, source, id, times FROM receiving.parked ORDER BY kind, id") == [
        ("conflicting_duplicate", "item.defined.v1", "till", "tea", 1),
        ("conflicting_duplicate", "movement.requested.v1", "till", "R1", 1),
        ("conflicting_duplicate", "movement.requested.v1", "till", "R2", 1),
    ]
    assert desk.stock() == expected_stock([receipt("R1", quantity=10), receipt("R2", quantity=1)])
    desk.check(parked=3)


def test_the_same_movement_of_two_sources_is_two_movements(desk: Desk) -> None:
    desk.play(*masters(), sent(receipt("R1")), sent(receipt("R1"), source="web"))
    assert desk.stock() == expected_stock([receipt("R1"), receipt("R2")])
    desk.check()


def test_what_cannot_be_read_is_parked_and_what_has_an_id_is_rejected_with_the_path(desk: Desk) -> None:
    desk.play(*masters())
    desk.outcomes()
    good = sent(receipt("R1")).body
    nul = json.dumps({**receipt("X2"), "document": "a\0"})
    bulk = json.dumps([receipt("R2"), {"id": 5}, {**receipt("X1"), "posting_at": "today"}, receipt("R3")])
    desk.play_raw(
        good,
        b"\xff\xfe",
        b"{}",
        good.replace(b"movement.requested.v1", b"movement.requested.v2"),
        good.replace(b'"till"', b'"Till"'),
        _enveloped(f'{{"movements":{bulk}}}'),
        _enveloped(nul),
        _enveloped(json.dumps({**receipt("X3"), "lines": [{"quantity": 1.5}]})),
        _enveloped("[" * 100_000 + "]" * 100_000),
    )
    desk.play_raw(_enveloped('{"company":7}', "company.defined.v1", "X4"), key="company.defined.v1.p01")
    told = {each.id: each for each in desk.outcomes()}
    refusals = {
        name: [(reason.code, reason.facts["problem"].partition("$")[2]) for reason in each.reasons]
        for name, each in told.items()
        if isinstance(each, OutcomeRejected)
    }
    assert refusals == {
        "X1": [("malformed", ".posting_at`")],
        "X2": [("malformed", "")],
        "X3": [("malformed", ".lines[0].quantity`")],
        "X4": [("malformed", ".company`")],
    }
    assert {"R1", "R2", "R3"} <= told.keys() - refusals.keys()
    parked = desk.rows("SELECT reason, body, id FROM receiving.parked ORDER BY reason, body")
    assert Counter(reason for reason, _, _ in parked) == {"malformed": 5, "unknown_type": 1}
    assert b'{"id": 5}' in [bytes(body) for _, body, _ in parked]
    desk.check(parked=6)


def test_a_type_that_nobody_knows_stays_at_the_gate_where_a_person_sees_it(desk: Desk) -> None:
    desk.play(*masters())
    desk.play_raw(sent(receipt("R1")).body, key="movement.requested.v2.p01")
    wait_until(lambda: desk.broker.depth(UNROUTED) == 1)
    assert desk.rows("SELECT FROM receiving.parked") == []


def _enveloped(data: str, kind: str = "movement.requested.v1", name: str = "e") -> bytes:
    names = {"specversion": "1.0", "id": name, "source": "till", "type": kind}
    return (json.dumps(names)[:-1] + f', "data": {data}}}').encode()


def test_a_message_that_is_too_large_is_parked_and_stops_nothing(desk: Desk) -> None:
    desk.play(*masters())
    large = json.dumps({**receipt("R1"), "later": "x" * MESSAGE_LIMIT})
    desk.play_raw(_enveloped(large), sent(receipt("R2")).body)
    assert desk.rows("SELECT reason, length(body) < 10000 FROM receiving.parked") == [("message_too_large", True)]
    assert desk.stock()["tea", "north"] == (Decimal(20), Decimal("50.00"))
    desk.check(parked=1)


def test_a_rejection_is_logged_with_its_source_its_id_its_trace_and_its_codes(desk: Desk, logs: list[Any]) -> None:
    desk.play(*masters())
    body = json.loads(sent(movement("X1", "theft")).body)
    desk.play_raw(json.dumps({**body, "traceparent": TRACE}).encode())
    (line,) = (each for each in logs if each["event"] == "rejected")
    assert (line["service"], line["source"], line["id"], line["trace"]) == ("receiving", "till", "X1", TRACE)
    assert "unknown_purpose" in line["codes"]


# --- in threads, over RabbitMQ ---------------------------------------------------------------------------------------


@pytest.fixture
def shop(vhost_url: str, database: str) -> Iterator[Shop]:
    broker, engine = connect(vhost_url), open_engine(database)
    broker.declare()
    yield Shop(broker, engine, broker_url=vhost_url)
    engine.dispose()


@contextmanager
def working(shop: Shop, *names: str, workers: int = 1) -> Iterator[None]:
    """Workers of these services in threads of their own."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(name: str) -> None:
        engine = open_engine(shop.database_url)
        try:
            Worker(SERVICES[name](), shop.broker, engine, Settings(pause=0.02, sweep_every=0.5), stop).run()
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            engine.dispose()

    threads = [threading.Thread(target=work, args=(name,)) for name in names for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def test_two_workers_of_each_service_and_500_shuffled_movements_are_in_balance(shop: Shop) -> None:
    chance = random.Random()
    first, movements = opening(), mixed(500)
    doubled = [sent(each) for each in movements + chance.sample(movements, 60)]
    chance.shuffle(doubled)
    with working(shop, *SERVICES, workers=2):
        shop.publish(masters() + first)
        shop.settle()
        for start in range(0, len(doubled), 100):
            shop.publish(doubled[start : start + 100])
        shop.settle()
    assert shop.booked() == 4 + 500
    assert shop.stock() == expected_stock([*movements_of(first), *movements])
    shop.check()


def test_connections_that_are_ended_in_mid_flight_lose_nothing(
    shop: Shop, rabbitmq: servers.Broker, logs: list[Any]
) -> None:
    movements = mixed(300)
    with working(shop, *SERVICES):
        shop.publish(masters() + opening())
        shop.settle()
        for start in range(0, 300, 20):
            shop.publish([sent(each) for each in movements[start : start + 20]])
            shop.rows(_END_SESSIONS)
            if start == 160 and rabbitmq.ctl is not None:
                virtual_host = shop.broker_url.rpartition("/")[2]
                rabbitmq.ctl("close_all_connections", "--vhost", virtual_host, "a test")
        shop.settle()
    assert sum("the connection to the database was lost" in each.get("error", "") for each in logs) > 3
    assert rabbitmq.ctl is None or any("the broker cannot be reached" in each.get("error", "") for each in logs)
    assert shop.booked() == 4 + 300
    shop.check()


_END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_the_ledger_declares_a_queue_again_that_was_deleted_under_its_load(shop: Shop, logs: list[Any]) -> None:
    """The queue is deleted while it is empty: what is in a queue that is deleted is gone with it."""
    movements = mixed(100)
    with working(shop, RECEIVING, LEDGER):
        with working(shop, ACCOUNTING):
            shop.publish(masters() + opening())
            shop.settle()
        with RabbitConnection(shop.broker_url) as connection:
            connection.channel().queue_delete(ACCOUNTING)
        shop.publish([sent(each) for each in movements])
        wait_until(lambda: any("no queue takes a message" in each.get("error", "") for each in logs))
        with working(shop, ACCOUNTING):
            shop.settle()
    assert shop.booked() == 4 + 100
    shop.check()


# --- in processes, over RabbitMQ -------------------------------------------------------------------------------------

COMMANDS = {
    **{name: ("-m", f"services.{name}") for name in SERVICES},
    "all": ("-c", "from services.desk.cli import main; main()", "run", "all"),
}


@dataclass
class Processes:
    """Worker processes; what they say goes into one file."""

    environment: Mapping[str, str]
    said: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with self.said.open("ab") as out:
            command = [sys.executable, *COMMANDS[name]]
            process = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=out, stderr=out)
        self.running.append(process)
        return process

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said.read_text().splitlines()]

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
        assert [process.wait(15) for process in self.running] == [0] * len(self.running)
        self.running.clear()


SECRET = "hunter2-hunter2"


@pytest.fixture
def processes(shop: Shop, tmp_path: Path) -> Iterator[Processes]:
    started = Processes(_environment(shop.database_url, shop.broker_url), tmp_path / "said")
    yield started
    for process in started.running:
        process.kill()
        process.wait(10)


def _environment(database_url: str, broker_url: str) -> dict[str, str]:
    url = sa.make_url(database_url)
    url = url if url.password else url.set(password=SECRET)  # a server that trusts us does not look at it
    told = {
        "STOCKBOOK_DATABASE_URL": url.render_as_string(hide_password=False),
        "STOCKBOOK_BROKER_URL": broker_url,
        "STOCKBOOK_LOG_LEVEL": "debug",
    }
    return {**os.environ, **told}


def test_workers_told_to_stop_under_load_end_well_and_others_finish_what_they_left(
    shop: Shop, processes: Processes
) -> None:
    movements = mixed(1_200)
    shop.publish([*masters(), *opening()])
    process = processes.start("all")
    shop.settle()
    refused = json.loads(sent(movement("X1", "theft")).body)
    shop.publish([sent(each) for each in movements])
    publisher = shop.broker.publisher()
    body = json.dumps({**refused, "traceparent": TRACE}).encode()
    publisher.publish([Message(INTAKE, "movement.requested.v1", body, "X1")])
    publisher.close()
    wait_until(lambda: shop.booked() > 4)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(20) == 0
    assert time.monotonic() - began < 10
    assert shop.open_ends() > 0
    processes.running.clear()

    processes.start("all")
    shop.settle()
    processes.stop()
    assert shop.booked() == 4 + 1_200
    shop.check()
    _check_logs(processes)


def _check_logs(processes: Processes) -> None:
    """Every line is JSON, tells who speaks, and keeps the secret."""
    assert SECRET not in processes.said.read_text()
    lines = processes.lines()
    assert all({"event", "level", "timestamp", "service"} <= line.keys() for line in lines)
    assert {line["service"] for line in lines if line["event"] == "stopped"} == {*SERVICES, AFTERCARE}
    (rejected,) = (line for line in lines if line["event"] == "rejected")
    assert (rejected["source"], rejected["id"], rejected["trace"]) == ("till", "X1", TRACE)


def test_each_service_killed_under_load_and_started_again_books_everything_once(
    shop: Shop, processes: Processes
) -> None:
    victims = {name: processes.start(name) for name in SERVICES}
    shop.publish(masters() + opening())
    shop.settle()
    movements = mixed(750)
    for round_, (name, victim) in enumerate(victims.items()):
        count = partial(shop.rows, f"SELECT count(*) FROM {name}.movement")
        before = count()
        shop.publish([sent(each) for each in movements[250 * round_ : 250 * (round_ + 1)]])
        while count() == before:
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        victim.wait(10)
        assert shop.open_ends() > 0
        processes.running.remove(victim)
        processes.start(name)
    shop.settle()
    processes.stop()
    assert shop.booked() == 4 + 750
    shop.check()


@pytest.mark.parametrize("wrong", ["broker password", "broker address", "database address"])
def test_a_worker_that_reaches_no_server_says_so_without_the_password(
    shop: Shop, processes: Processes, wrong: str
) -> None:
    database, broker = shop.database_url, shop.broker_url
    if wrong == "database address":
        database = f"postgresql+psycopg2://worker:{SECRET}@127.0.0.1:1/stockbook"
    elif wrong == "broker address":
        broker = f"amqp://worker:{SECRET}@127.0.0.1:1/"
    else:
        broker = sa.make_url(broker).set(password=SECRET).render_as_string(hide_password=False)
    lost = Processes(_environment(database, broker), processes.said)
    process = lost.start(LEDGER)
    if wrong == "broker password":
        assert process.wait(20) == 1
        assert "the broker refuses" in lost.said.read_text()
    else:
        complaint = "the database is away" if wrong == "database address" else "no broker answers"
        wait_until(lambda: complaint in lost.said.read_text())
        lost.stop()
    assert SECRET not in lost.said.read_text()
