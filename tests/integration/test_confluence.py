"""Confluence: in whatever order, how often and in what company movements arrive, the books come out the same.

What receiving accepted has its order in its stamps, so ledger and accounting must end in the same bytes. At the gate
itself the order of arrival decides; there, a day on which nothing is scarce must end with the same stock, the same
serials and the same accounts. Each test prints its seed; STOCKBOOK_CONFLUENCE_SEED has it drawn again.
"""

import io
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.accounting import handlers as accounting
from services.desk.events import Event
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from services.receiving.decide.patience import Wait, wait_for
from services.receiving.store.waiting import Waiter, add_waiting, due_waiters
from shared.broker import Broker, EmbeddedBroker, Message, connect
from shared.broker.topology import ACCOUNTING, INTAKE, LEDGER, RECEIVING, WORK
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.movement import MovementAllocated, MovementRequested
from shared.contracts.outcome import Refusal
from shared.contracts.registry import MOVEMENT_ALLOCATED, MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted
from shared.db import open_engine
from shared.quantities import plain
from shared.service import Handled, Key, Service
from shared.settings import Settings
from shared.worker import Worker
from tests import servers
from tests.builders import COMPANY, MORNING, SOURCE, Session, rows
from tests.properties.histories import any_day, masters, one_way_day, sent
from tests.receiving_builders import EVENING, Gate, define_shop, events, goes, movement

SEED = "STOCKBOOK_CONFLUENCE_SEED"
THOROUGH = os.environ.get("STOCKBOOK_HYPOTHESIS_PROFILE") == "thorough"
ONE_DAY = 1_000
SHORT_DAY, ROUNDS = (ONE_DAY, 4) if THOROUGH else (200, 2)
PATIENCE = 30
NEVER = 3_600.0  # seconds between two sweeps, where it shall be seen that none is needed

Databases = Callable[[], AbstractContextManager[str]]
Opens = Callable[[], Service]


@pytest.fixture
def chance() -> Random:
    seed = os.environ.get(SEED) or str(secrets.randbits(32))
    sys.stdout.write(f"to draw this again: {SEED}={seed}\n")  # pytest shows it where the test fails
    return Random(int(seed))


@pytest.fixture
def databases(postgres: str, empty_database: str) -> Databases:
    """Makes migrated, empty databases."""
    return partial(servers.fresh_database, postgres, template=sa.make_url(empty_database).database)


@pytest.fixture(autouse=True)
def nothing_fails() -> Iterator[None]:
    """Workers may meet, and try again; no step fails and nothing is put aside."""
    with capture_logs() as said:
        yield
    assert [line for line in said if line["log_level"] in ("error", "critical")] == []


# --- workers, each in a thread and with an engine of its own ---------------------------------------------------------


def work_off(service: Opens, broker: Broker, url: str, workers: int = 1) -> None:
    """Have so many workers work until nothing arrives any more. They sweep once, before they begin."""

    def work(_: int) -> None:
        with a_worker(service, broker, url, NEVER) as worker:
            while worker.turn(0.1):
                pass

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))


@contextmanager
def working(services: Sequence[Opens], broker: Broker, url: str, workers: int) -> Iterator[None]:
    """So many workers of each service, until the block ends."""
    stop = threading.Event()

    def work(service: Opens) -> None:
        with a_worker(service, broker, url, 0.2, stop) as worker:
            while not stop.is_set():
                worker.turn(0.1)

    with ThreadPoolExecutor(len(services) * workers) as pool:
        running = [pool.submit(work, service) for service in services for _ in range(workers)]
        try:
            yield
        finally:
            stop.set()
    for each in running:
        each.result()


@contextmanager
def a_worker(
    service: Opens, broker: Broker, url: str, sweep_every: float, stop: threading.Event | None = None
) -> Iterator[Worker]:
    settings = Settings(pause=0.02, sweep_every=sweep_every, set_size=120, frame_size=60)
    with closing_engine(url) as engine, closing(Worker(service(), broker, engine, settings, stop)) as worker:
        yield worker


@contextmanager
def closing_engine(url: str) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def declared(broker: Broker) -> Broker:
    broker.declare()
    return broker


def publish(broker: Broker, messages: Iterable[Message]) -> None:
    publisher = broker.publisher()
    publisher.publish(list(messages))
    publisher.close()


# --- behind the gate: the same bytes ---------------------------------------------------------------------------------

TABLES = {
    "ledger.entry": "company, entry_id",
    "ledger.entry_serial": "company, item, serial, entry_id",
    "ledger.bin": "company, item, warehouse",
    "ledger.bin_batch": "company, item, warehouse, batch",
    "ledger.serial": "company, item, warehouse, serial",
    "ledger.movement": "source, id",
    "accounting.journal_entry": "company, journal_entry",
    "accounting.transfer": "company, journal_entry, ordinal",
    "accounting.movement": "source, id",
}
"""What must come out the same, to the byte, in the order of its key."""
LEFT_OVER = ("ledger.waiting", "ledger.waiting_stamp", "ledger.outbox", "ledger.stuck", "ledger.parked")
_READERS: Mapping[str, Any] = {LEDGER: decoder(MovementAllocated), ACCOUNTING: decoder(MovementPosted)}
_KINDS = {LEDGER: MOVEMENT_ALLOCATED, ACCOUNTING: MOVEMENT_POSTED}


def test_a_thousand_movements_shuffled_and_doubled_give_the_same_bytes_with_one_worker_and_with_three(
    databases: Databases, chance: Random
) -> None:
    allocated = accepted_by_receiving(databases, any_day(chance, ONE_DAY))
    assert len(allocated) == ONE_DAY
    expected = books(databases, 1, allocated)
    assert len(expected["accounting.journal_entry"]) == ONE_DAY
    for workers in (1, 3) * (ROUNDS // 2):
        assert differences(books(databases, workers, allocated, chance), expected) == []


def accepted_by_receiving(databases: Databases, movements: Sequence[Any]) -> dict[Key, bytes]:
    """What receiving hands on of these movements, given in order to one worker, by its key."""
    broker = declared(EmbeddedBroker())
    with databases() as url:
        publish(broker, [each.message() for each in (*masters(patience=0), *sent(movements))])
        work_off(partial(receiving.service, standing_still), broker, url)
    return told(broker, LEDGER)


def books(
    databases: Databases, workers: int, allocated: Mapping[Key, bytes], chance: Random | None = None
) -> Mapping[str, Sequence[str]]:
    """What ledger and accounting make of these movements, so many workers of each; `chance` as `framed` has it."""
    broker = declared(EmbeddedBroker())
    with databases() as url:
        publish(broker, framed(LEDGER, allocated, chance))
        work_off(ledger.service, broker, url, workers)
        publish(broker, framed(ACCOUNTING, told(broker, ACCOUNTING), chance))
        work_off(accounting.service, broker, url, workers)
        with closing_engine(url) as engine:
            assert [table for table in LEFT_OVER if rows(engine, f"SELECT FROM {table}")] == []
            return {table: copied(engine, f"SELECT * FROM {table} ORDER BY {key}") for table, key in TABLES.items()}


def told(broker: Broker, queue: str) -> dict[Key, bytes]:
    """What a service told the next one, by movement; what was told twice was the same."""
    consumer = broker.consumer(queue, 0)
    said: dict[Key, bytes] = {}
    deliveries = consumer.drain(100_000, 0.0)
    for raw in (bytes(raw) for each in deliveries for raw in raw_movements(read_envelope(each.body).data)):
        value = read(_READERS[queue], raw)
        assert said.setdefault((value.source, value.id), raw) == raw
    consumer.acknowledge(deliveries)
    consumer.close()
    return said


def framed(queue: str, movements: Mapping[Key, bytes], chance: Random | None) -> list[Message]:
    """Movements for a service; with `chance` all of them twice, in any order, in frames of any size."""
    bodies = list(movements.values())
    cuts = [0, len(bodies)]
    if chance is not None:
        bodies += bodies
        chance.shuffle(bodies)
        cuts = sorted({0, len(bodies), *chance.sample(range(len(bodies)), len(bodies) // 20)})
    events = [frame(bodies[start:end]) for start, end in pairwise(cuts)]
    return [
        Message(WORK, queue, write_event(_KINDS[queue], "test", f"frame {n}", each), f"{n}", mandatory=True)
        for n, each in enumerate(events)
    ]


def copied(engine: sa.Engine, statement: str) -> list[str]:
    """The result of a query as COPY tells it, line by line."""
    told = io.BytesIO()
    with engine.begin() as connection, closing(connection.connection.cursor()) as cursor:
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT", told)
    return told.getvalue().decode().splitlines()


def differences(found: Mapping[str, Sequence[str]], expected: Mapping[str, Sequence[str]]) -> list[str]:
    """Where two ends differ, the first lines that only one of them has."""
    return [
        f"{name}: {' expected ' if line in wanted else ' found '} {line}"
        for name, wanted in expected.items()
        if found[name] != wanted
        for line in sorted({*found[name]} ^ {*wanted})[:4] or ["other order"]
    ]


# --- at the gate: the same stock, serials and accounts ---------------------------------------------------------------

STATE = {
    "bins": "SELECT company, item, warehouse, quantity, value, rate, last_stamp FROM ledger.stock_balance",
    "bins at the gate": "SELECT company, item, warehouse, quantity, last_stamp FROM receiving.stock",
    "batches": "SELECT company, item, warehouse, batch, quantity, value FROM ledger.batch_balance",
    "batch records": "SELECT company, item, batch, state, expires_on, quantity FROM receiving.batch_status",
    "serials": """SELECT company, item, serial, status, warehouse, batch, supplier, supplier_document, customer,
        customer_document, warranty_until FROM receiving.serial_status""",
    "costs of serials": "SELECT company, item, warehouse, serial, cost FROM ledger.serial",
    "accounts": "SELECT company, account, debit, credit, balance FROM accounting.trial_balance",
    "bookings": "SELECT source, id, posting_date, line, account, debit, credit FROM accounting.debit_credit",
}
"""What must come out the same at the end of a day, whatever the order of its rows."""
BACK_DATED = STATE | {
    "accounts": "SELECT company, account, balance FROM accounting.trial_balance",
    "bookings": """SELECT source, id, posting_date, line, account, sum(debit - credit) FROM accounting.debit_credit
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(debit - credit) <> 0""",
    "bins at each time": """SELECT company, item, warehouse, batch, effective_at, sum(quantity), sum(value)
        FROM ledger.stock_ledger GROUP BY 1, 2, 3, 4, 5 HAVING sum(quantity) <> 0 OR sum(value) <> 0""",
}
"""The same where it took corrections to get there."""
AMISS = {
    "refused": "SELECT id, cast(outcome AS text) FROM receiving.outcome WHERE NOT accepted",
    "waits": "SELECT id, lacks FROM receiving.waiters",
    "parked": "SELECT id, reason, error FROM receiving.parked",
    "dirty": "SELECT company, item, warehouse FROM ledger.dirty",
    "pending": "SELECT company, item, warehouse, pending FROM ledger.bin WHERE pending <> 0",
    "deadlocks": "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database() AND deadlocks > 0",
}


def standing_still() -> datetime:
    """A clock by which nobody is ever due for having waited long enough."""
    return EVENING


def going_on() -> Callable[[], datetime]:
    """The evening of that day, from now on."""
    began = time.monotonic()
    return lambda: EVENING + timedelta(seconds=time.monotonic() - began)


def test_a_day_in_any_order_wakes_whoever_came_early_and_ends_like_the_day_in_order(
    databases: Databases, chance: Random
) -> None:
    """With one worker nobody is missed: neither time nor sweeps are needed."""
    movements = one_way_day(chance, SHORT_DAY)
    expected = end_of_ordered_day(databases, movements)
    for _ in range(ROUNDS):
        broker = declared(EmbeddedBroker())
        with databases() as url:
            publish(broker, arriving([*masters(PATIENCE), *sent(movements)], chance))
            work_off(partial(receiving.service, standing_still), broker, url)
            assert differences(end_of_day(broker, url), expected) == []


def test_a_day_on_which_nobody_may_be_late_is_worth_in_any_order_what_it_is_in_order(
    databases: Databases, chance: Random
) -> None:
    """Whatever comes after something that happened later is back-dated; values are a matter of time, at any rates."""
    movements = one_way_day(chance, SHORT_DAY, any_rate=True)
    expected = end_of_ordered_day(databases, movements, BACK_DATED, lateness=0)
    for _ in range(ROUNDS):
        broker = declared(EmbeddedBroker())
        with databases() as url:
            publish(broker, [each.message() for each in masters(PATIENCE, 0)])
            publish(broker, arriving(sent(movements), chance))
            work_off(partial(receiving.service, standing_still), broker, url)
            assert differences(end_of_day(broker, url, BACK_DATED), expected) == []


@pytest.mark.parametrize("known", [True, False], ids=["goods known before", "goods defined meanwhile"])
def test_three_workers_at_the_gate_end_a_day_in_any_order_like_one_in_order(
    databases: Databases, chance: Random, known: bool
) -> None:
    movements = one_way_day(chance, SHORT_DAY)
    expected = end_of_ordered_day(databases, movements)
    first, later = (masters(PATIENCE), []) if known else ([], masters(PATIENCE))
    for _ in range(ROUNDS // 2):
        broker = declared(EmbeddedBroker())
        with databases() as url:
            publish(broker, (each.message() for each in first))
            work_off(partial(receiving.service, standing_still), broker, url)
            publish(broker, arriving([*later, *sent(movements)], chance))
            with working([partial(receiving.service, going_on())], broker, url, 3):
                settle(url, "receiving.movement", len(movements))
            assert differences(end_of_day(broker, url), expected) == []


def test_three_workers_of_each_service_over_rabbitmq_end_a_day_in_any_order_like_one_in_order(
    databases: Databases, vhost_url: str, chance: Random
) -> None:
    movements = one_way_day(chance, ONE_DAY)
    expected = end_of_ordered_day(databases, movements)
    broker = declared(connect(vhost_url))
    services: list[Opens] = [partial(receiving.service, going_on()), ledger.service, accounting.service]
    with databases() as url:
        with working(services, broker, url, 3):
            publish(broker, arriving([*masters(PATIENCE), *sent(movements)], chance))
            settle(url, "accounting.movement", len(movements))
            settled(lambda: not any(map(broker.depth, (RECEIVING, LEDGER, ACCOUNTING))))
        assert differences(end_of_day(broker, url), expected) == []
    broker.close()


def test_a_movement_that_comes_again_does_not_wait_for_the_worker_that_tries_it(database: str) -> None:
    """That worker may need the bins that are held here."""
    with closing_engine(database) as engine, ThreadPoolExecutor(2) as pool:
        gate = Gate(engine)
        define_shop(gate, {"item": "tea"})
        gate.define("source", source=SOURCE, patience=PATIENCE)
        gate.send(*events([movement("delivery", goes("tea", 1), id="early")]))
        due = EVENING + timedelta(seconds=PATIENCE)
        tried: list[Waiter] = []

        def is_tried(connection: sa.Connection) -> Handled:
            tried.extend(due_waiters(connection, due, 10))
            return Handled()

        def comes_again(connection: sa.Connection) -> Handled:
            add_waiting(connection, [(tried[0], Wait(("something else",), due, due))])
            return Handled()

        trying = Session(engine, is_tried, pool).hold()
        Session(engine, comes_again, pool).hold().commit()
        trying.commit()
        assert rows(engine, "SELECT id, lacks FROM receiving.waiters") == [("early", ["stock:shop:tea:north"])]


def test_however_often_it_was_woken_a_movement_is_tried_again_after_as_long_as_it_has_waited() -> None:
    refusals = [Refusal(code="unknown_item", facts={"item": "tea"})]
    patience = timedelta(seconds=PATIENCE)
    waited = [timedelta(seconds=seconds) for seconds in (0, 0.5, 3, 14, 16, 29)]
    waits = [wait_for(refusals, COMPANY, MORNING, patience, MORNING + each) for each in waited]
    assert [(each.due_at - MORNING).total_seconds() for each in waits if each] == [1, 1.5, 6, 28, 30, 30]
    assert wait_for(refusals, COMPANY, MORNING, patience, MORNING + patience) is None


def end_of_ordered_day(
    databases: Databases,
    movements: Sequence[MovementRequested],
    state: Mapping[str, str] = STATE,
    lateness: int = 86_400,
) -> Mapping[str, Sequence[str]]:
    broker = declared(EmbeddedBroker())
    with databases() as url:
        publish(broker, (each.message() for each in (*masters(0, lateness), *sent(movements))))
        work_off(partial(receiving.service, standing_still), broker, url)
        end = end_of_day(broker, url, state)
    assert [end[name] for name in AMISS] == [[]] * len(AMISS)
    return end


def arriving(events: Sequence[Event], chance: Random) -> list[Message]:
    """Events as they arrive that were sent in any order, some of them twice."""
    doubled = [*events, *chance.sample(events, len(events) // 3)]
    chance.shuffle(doubled)
    return [Message(INTAKE, each.message().routing_key, each.body, f"{n}") for n, each in enumerate(doubled)]


def end_of_day(broker: Broker, url: str, state: Mapping[str, str] = STATE) -> Mapping[str, Sequence[str]]:
    """What went amiss, and what stands where and in the books, once everything is worked off."""
    work_off(ledger.service, broker, url)
    work_off(accounting.service, broker, url)
    with closing_engine(url) as engine:
        return {name: sorted(map(shown, rows(engine, query))) for name, query in {**AMISS, **state}.items()}


def shown(row: tuple[Any, ...]) -> str:
    """A row as one reads it: a number is the same with more zeros behind."""
    return repr(tuple(plain(each) if isinstance(each, Decimal) else each for each in row))


def settle(url: str, table: str, count: int) -> None:
    """Wait until so many movements stand in a table and nobody waits at the gate."""
    wanted = f"SELECT count(*) = {count} AND NOT EXISTS (SELECT FROM receiving.waiting) FROM {table}"
    with closing_engine(url) as engine:
        settled(lambda: rows(engine, wanted) == [(True,)])


def settled(holds: Callable[[], bool]) -> None:
    """Wait for it, longer than anybody has patience; what is amiss then is for the caller to see."""
    deadline = time.monotonic() + PATIENCE + 15
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
