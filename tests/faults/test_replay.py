"""A queue that vanishes with all that lay in it: its service takes that from what the one before it has stored."""

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Engine
from structlog.testing import capture_logs

from services.accounting import handlers as accounting
from services.ledger import handlers as ledger
from shared import replay
from shared.broker import EmbeddedBroker
from shared.broker.topology import ACCOUNTING, LEDGER, RECEIVING
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import JOURNAL_POSTED, JOURNAL_REVALUED, MOVEMENT_POSTED, STOCK_REVALUED
from shared.contracts.stock import StockRevalued
from shared.db import columns, open_engine, run, transaction
from shared.service import Handled, Handler, Input, Result, Service
from shared.settings import Settings
from shared.worker import Worker
from tests.accounting_builders import correction
from tests.builders import MORNING, Receiving, carry_out, chain, deliver, leg, rows
from tests.closing_builders import hearing
from tests.faults.plant import BEFORE, Plant, delete_queue, load
from tests.faults.victim import At, Fault, Plan
from tests.revaluing_builders import revalued, worth
from tests.revaluing_builders import store as store_revaluations

SERVICES: dict[str, Callable[[], Service]] = {LEDGER: ledger.service, ACCOUNTING: accounting.service}
STORE = """
INSERT INTO receiving.movement (source, id, digest, company, recorded_at, effective_at, allocated, outcome)
SELECT source, id, '', company, recorded_at, recorded_at, convert_to(allocated, 'UTF8'), '' FROM unnest(
    cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:recorded_at AS timestamptz[]),
    cast(:allocated AS text[])) AS given (source, id, company, recorded_at, allocated)
"""


# --- with all workers in processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("service", [pytest.param(LEDGER, marks=pytest.mark.slow), ACCOUNTING])
def test_a_queue_deleted_under_load_with_all_that_is_in_it_costs_nothing(plant: Plant, service: str) -> None:
    others = {RECEIVING, LEDGER, ACCOUNTING} - {service}
    with plant.working(*others):
        slow = plant.start(service)
        plant.shop.publish(load(120))
        plant.until(lambda: plant.count(f"{service}.movement") > BEFORE, "the service works")
        slow.send_signal(signal.SIGSTOP)
        plant.shop.publish(load(300)[120:])
        plant.until(lambda: plant.shop.broker.depth(service) > 3, "something lies in the queue")
        assert delete_queue(plant.shop.broker_url, service) > 3
        slow.send_signal(signal.SIGCONT)
        plant.settle()
        plant.end(slow)
    plant.check()


@pytest.mark.slow
@pytest.mark.parametrize("step", [At.INSERTED, At.PUBLISHING, At.PUBLISHED])
def test_a_ledger_killed_in_the_middle_of_its_replay_goes_on_with_it_when_it_is_started_again(
    plant: Plant, step: At
) -> None:
    with plant.working(RECEIVING, ACCOUNTING):
        plant.shop.publish(load(240))
        plant.until(lambda: plant.count("receiving.allocated") == 240 + BEFORE, "all is allocated")
        plant.until(lambda: plant.shop.broker.depth(LEDGER) > 3, "something lies in the queue")
        plant.until(lambda: plant.shop.broker.depth(RECEIVING) == 0, "receiving has done its work")
        delete_queue(plant.shop.broker_url, LEDGER)
        plant.shop.rows("INSERT INTO ledger.replay DEFAULT VALUES RETURNING since")
        victim = plant.start_victim(Plan(LEDGER, [Fault(step)]))
        plant.until_killed(victim)
        assert plant.count("ledger.replay") == 1
        with plant.working(LEDGER):
            plant.settle()
    plant.check()


# --- step by step ----------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged, as it was said."""
    with capture_logs() as said:
        yield said


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first round may be the last."""
    monkeypatch.setattr(replay, "GRACE", 0.0)


def store(engine: Engine, movements: Sequence[MovementAllocated]) -> None:
    """As receiving stores what it allocated."""
    table = [(each.source, each.id, each.company, each.recorded_at, write(each).decode()) for each in movements]
    with transaction(engine) as connection:
        run(connection, STORE, **columns(table, "source id company recorded_at allocated"))


def sweep(engine: Engine, broker: EmbeddedBroker, *services: Service, times: int = 2) -> None:
    """So many sweeps of a worker of each service, and what messages they bring."""
    for service in services:
        worker = Worker(service, broker, engine, Settings(sweep_every=0.0, pause=0.01))
        for _ in range(times):
            worker.turn(0.0)
        worker.close()


def vanish(engine: Engine, service: str) -> None:
    step = SERVICES[service]().replay
    assert step is not None
    assert carry_out(engine, service, step) == []


def many(count: int) -> list[MovementAllocated]:
    receiving = Receiving()
    return [receiving.movement(leg(1, 2, warehouse=f"w{number % 7}")) for number in range(count)]


@pytest.mark.usefixtures("at_once")
def test_what_both_services_lack_is_posted_and_booked_in_whatever_order_its_keys_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PAGE", 10)
    movements = [*many(95), *chain(Receiving(source="web"))]
    store(engine, movements)
    deliver(engine, *random.Random(1).sample(movements[:95], 30))
    vanish(engine, LEDGER)
    vanish(engine, ACCOUNTING)
    sweep(engine, EmbeddedBroker(), ledger.service(), accounting.service(), times=4)
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(99,)]
    assert rows(engine, "SELECT count(*), count(DISTINCT (source, id)) FROM accounting.journal_entry") == [(99, 99)]
    for table in ("ledger.replay", "accounting.replay", "ledger.outbox", "accounting.outbox", "ledger.waiting"):
        assert rows(engine, f"SELECT FROM {table}") == []


@pytest.mark.usefixtures("at_once")
def test_nothing_is_replayed_unless_a_queue_vanished(engine: Engine) -> None:
    store(engine, many(3))
    sweep(engine, EmbeddedBroker(), ledger.service())
    assert rows(engine, "SELECT FROM ledger.movement") == []


def test_a_replay_goes_on_until_a_round_that_began_late_enough_finds_nothing_old(engine: Engine) -> None:
    movements = many(4)
    store(engine, movements[:2])
    vanish(engine, LEDGER)
    sweep(engine, EmbeddedBroker(), ledger.service(), times=5)
    # Still confirmed into the queue while it was being deleted.
    store(engine, movements[2:])
    sweep(engine, EmbeddedBroker(), ledger.service())
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(2,)]
    run_late(engine)
    sweep(engine, EmbeddedBroker(), ledger.service(), times=1)
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(4,)]
    assert rows(engine, "SELECT count(*) FROM ledger.replay") == [(1,)], "it found something: one more round"
    sweep(engine, EmbeddedBroker(), ledger.service(), times=3)
    assert rows(engine, "SELECT FROM ledger.replay") == []


def run_late(engine: Engine) -> None:
    """The time of grace is over."""
    with transaction(engine) as connection:
        earlier = "UPDATE ledger.replay SET since = since - :by, began_at = began_at - :by"
        run(connection, earlier, by=timedelta(seconds=replay.GRACE))


@pytest.mark.usefixtures("at_once")
def test_a_queue_that_vanishes_again_begins_the_replay_anew(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PAGE", 1)
    monkeypatch.setattr(replay, "SECONDS", 1e-9)
    movements = many(3)
    store(engine, movements[1:])
    vanish(engine, LEDGER)
    sweep(engine, EmbeddedBroker(), ledger.service(), times=1)
    store(engine, movements[:1])  # its key lies before the one that the round has come to
    vanish(engine, LEDGER)
    assert rows(engine, "SELECT source, id, found FROM ledger.replay") == [("", "", 0)]
    sweep(engine, EmbeddedBroker(), ledger.service(), times=12)
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(3,)]


def spoiled(service: Service, *names: str) -> Service:
    """A service that cannot work on sets with one of these movements in them."""

    def work(given: Handler, inputs: Sequence[Input], connection: Connection) -> Handled:
        if {each.id for each in inputs} & set(names):
            raise ValueError("spoiled")
        return given.work(inputs, connection)

    handlers = {kind: Handler(each.read, partial(work, each)) for kind, each in service.handlers.items()}
    settings = {LEDGER: ledger.REPLAY, ACCOUNTING: accounting.REPLAY}[service.name]
    feeds = [replace(each, handler=handlers[each.kind]) for each in settings.feeds]
    return Service(service.name, handlers, (replay.sweep(replace(settings, feeds=feeds)),))


@pytest.mark.usefixtures("at_once")
def test_a_movement_that_spoils_its_page_is_put_aside_alone_in_the_way_of_its_service(
    engine: Engine, logs: list[Any]
) -> None:
    """The ledger's way is to let it wait in its bins, where it is tried again; here it is fine the second time."""
    store(engine, many(40))
    vanish(engine, LEDGER)
    sweep(engine, EmbeddedBroker(), spoiled(ledger.service(), "M18", "M36"), times=3)
    assert {str(each.get("exc_info")) for each in logs if each["event"] == "step failed"} == {"spoiled"}
    assert rows(engine, "SELECT FROM ledger.replay") == []
    sweep(engine, EmbeddedBroker(), ledger.service())
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(40,)]
    assert rows(engine, "SELECT FROM ledger.parked") == []


@pytest.mark.usefixtures("at_once")
def test_a_posted_movement_that_cannot_be_booked_is_parked_and_the_replay_ends(engine: Engine) -> None:
    movements = many(9)
    deliver(engine, *movements)
    vanish(engine, ACCOUNTING)
    sweep(engine, EmbeddedBroker(), spoiled(accounting.service(), "M5"), times=4)
    assert rows(engine, "SELECT reason, id, times FROM accounting.parked") == [("unprocessable", "M5", 1)]
    assert rows(engine, "SELECT count(*) FROM accounting.movement") == [(8,)]
    assert rows(engine, "SELECT FROM accounting.replay") == []


def corrections(count: int) -> list[StockRevalued]:
    """So many revaluations, each of which makes a delivery dearer by a euro."""
    dearer = worth("D", "delivery", correction("-1.00", "-2"))
    return [revalued(number, dearer) for number in range(1, count + 1)]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("page", [4, 10, 500])
def test_accounting_takes_what_it_lacks_of_movements_and_of_revaluations_in_one_round(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """The keys of revaluations lie between those of the two sources: pages hold either, or both."""
    monkeypatch.setattr(replay, "PAGE", page)
    before, behind = Receiving("twin", source="a-till"), Receiving(source="till")
    deliver(engine, *chain(before), *chain(behind))
    told = store_revaluations(engine, *corrections(23))
    chance = random.Random(1)
    for output in chance.sample(told, 7):
        carry_out(engine, ACCOUNTING, hearing(output))
    vanish(engine, ACCOUNTING)
    sweep(engine, EmbeddedBroker(), accounting.service(), times=4)
    assert rows(engine, "SELECT source, count(*) FROM accounting.movement GROUP BY 1 ORDER BY 1") == [
        ("a-till", 4),
        ("ledger", 23),
        ("till", 4),
    ]
    booked = "SELECT count(DISTINCT journal_entry), sum(amount) FROM accounting.journal WHERE revaluation IS NOT NULL"
    assert rows(engine, booked) == [(23, 23)]
    for table in ("accounting.replay", "accounting.outbox", "accounting.parked"):
        assert rows(engine, f"SELECT FROM {table}") == []


@pytest.mark.usefixtures("at_once")
def test_what_a_replay_books_of_either_kind_is_told_by_messages_of_its_own_kind(engine: Engine) -> None:
    deliver(engine, *many(2))
    store_revaluations(engine, *corrections(2))
    vanish(engine, ACCOUNTING)
    with transaction(engine) as connection:
        look = replay.sweep(accounting.REPLAY)(connection)
    assert look.then is not None
    with transaction(engine) as connection:
        taken = look.then(connection)
    expected = [
        (JOURNAL_POSTED, "M1"),
        (JOURNAL_POSTED, "M2"),
        (JOURNAL_REVALUED, "tea/1"),
        (JOURNAL_REVALUED, "tea/2"),
    ]
    assert [(each.kind, each.id) for each in taken.outputs] == expected
    assert rows(engine, "SELECT kind, id FROM accounting.outbox ORDER BY 1, 2") == expected
    assert taken.counts == {(Result.BOOKED, ""): 4, (Result.TOLD_AGAIN, ""): 0}
    assert taken.oldest == MORNING + timedelta(seconds=1)


@pytest.mark.usefixtures("at_once")
def test_a_revaluation_that_cannot_be_booked_is_parked_alone_as_what_it_is_and_the_replay_ends(engine: Engine) -> None:
    deliver(engine, *many(5))
    store_revaluations(engine, *corrections(5))
    vanish(engine, ACCOUNTING)
    sweep(engine, EmbeddedBroker(), spoiled(accounting.service(), "tea/3", "M2"), times=4)
    parked = "SELECT kind, id, times FROM accounting.parked ORDER BY kind"
    assert rows(engine, parked) == [(MOVEMENT_POSTED, "M2", 1), (STOCK_REVALUED, "tea/3", 1)]
    assert rows(engine, "SELECT count(*) FROM accounting.movement") == [(8,)]
    assert rows(engine, "SELECT FROM accounting.replay") == []


@pytest.mark.usefixtures("at_once")
def test_a_worker_that_finds_another_at_the_replay_leaves_it_alone(engine: Engine) -> None:
    store(engine, many(3))
    vanish(engine, LEDGER)
    with transaction(engine) as connection:
        look = replay.sweep(ledger.REPLAY)(connection)
        assert look.then is not None
    with engine.connect() as other:
        run(other, "SELECT FROM ledger.replay FOR UPDATE")
        with transaction(engine) as connection:
            assert look.then(connection) == Handled()
        other.rollback()
    assert rows(engine, "SELECT FROM ledger.movement") == []
    sweep(engine, EmbeddedBroker(), ledger.service())
    assert rows(engine, "SELECT count(*) FROM ledger.posted") == [(3,)]


@pytest.mark.usefixtures("at_once")
def test_outputs_of_a_replay_stand_in_the_outbox_until_they_are_confirmed(engine: Engine) -> None:
    store(engine, many(3))
    vanish(engine, LEDGER)
    with transaction(engine) as connection:
        look = replay.sweep(ledger.REPLAY)(connection)
    assert look.then is not None
    with transaction(engine) as connection:
        taken = look.then(connection)
    assert [each.id for each in taken.outputs] == ["M1", "M2", "M3"]
    assert rows(engine, "SELECT id FROM ledger.outbox ORDER BY id") == [("M1",), ("M2",), ("M3",)]
    assert list(taken.released) == [("till", "M1"), ("till", "M2"), ("till", "M3")]
