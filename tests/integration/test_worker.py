"""The worker's loop with a real PostgreSQL, over both brokers: what is parked, what is tried again, and that every
effect happens once and every output is heard.

The service under test enters the names that it is given into a table of its own and tells of each.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from structlog.testing import capture_logs

from shared import outbox
from shared.broker import (
    Broker,
    BrokerUnavailable,
    ConfirmTimeout,
    Consumer,
    Delivery,
    EmbeddedBroker,
    Message,
    Publisher,
    connect,
)
from shared.broker.topology import DELIVERY_LIMIT, EVENTS, WORK
from shared.contracts.codec import Contract, Identifier, SourceName, decoder, read, write
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.registry import JOURNAL_POSTED, OUTCOME_ACCEPTED
from shared.db import columns, copy, open_engine, query, run, transaction
from shared.errors import Fatal
from shared.parked import Parked, park
from shared.service import Handled, Handler, Input, Output, Service, Step, movement_reader
from shared.settings import Settings
from shared.worker import CONTENTIONS, Worker

KIND = "thing.named.v1"
QUICK = Settings(pause=0.01, longest_pause=0.05)
ENTER = """
INSERT INTO effect SELECT * FROM unnest(cast(:source AS text[]), cast(:id AS text[]))
ON CONFLICT (source, id) DO NOTHING
"""


class Thing(Contract, frozen=True, kw_only=True):
    """What the service under test takes."""

    source: SourceName
    id: Identifier
    trace: str | None = None


Work = Callable[[Sequence[Input], Connection], Handled]


def enter(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Enter each name once; tell of each, whether it was new or not."""
    run(connection, ENTER, **columns([(each.source, each.value.id) for each in inputs], "source id"))
    return told(inputs)


def told(inputs: Sequence[Input]) -> Handled:
    return Handled([Output(JOURNAL_POSTED, each.source, each.value.id, each.raw) for each in inputs])


def things(*names: str, source: str = "till") -> bytes:
    """A frame of things."""
    return write_event(KIND, "receiving", "-".join(names)[:100], frame([thing(name, source) for name in names]))


def thing(name: str, source: str = "till") -> bytes:
    return write(Thing(source=source, id=name))


@dataclass
class Rig:
    """A broker, a database, and what can be asked of them."""

    broker: Broker
    engine: Engine
    listener: Consumer

    def publish(self, *bodies: bytes, headers: dict[str, str] | None = None) -> None:
        publisher = self.broker.publisher()
        publisher.publish([Message(WORK, "ledger", body, str(n), True, headers or {}) for n, body in enumerate(bodies)])
        publisher.close()

    def worker(
        self,
        work: Work = enter,
        broker: Broker | None = None,
        sweeps: Sequence[Step] = (),
        limit: int | None = None,
    ) -> Worker:
        service = Service("ledger", {KIND: Handler(movement_reader(Thing), work)}, sweeps, message_limit=limit)
        return Worker(service, broker or self.broker, self.engine, QUICK)

    def work(self, *, messages: int = 1, **options: Any) -> None:
        """Turn a worker until it has worked on so many messages and acknowledged them."""
        worker = self.worker(**options)
        while messages > 0:
            messages -= worker.turn(5.0)
        worker.close()
        assert self.broker.depth("ledger") == 0

    def effects(self) -> Counter[str]:
        with transaction(self.engine) as connection:
            return Counter(row.id for row in query(connection, "SELECT id FROM effect"))

    def parked(self) -> list[Any]:
        with transaction(self.engine) as connection:
            return list(query(connection, "SELECT * FROM ledger.parked ORDER BY first_seen, id"))

    def heard(self) -> Counter[str]:
        """How often each name was told of, since the last time."""
        names = decoder(Thing)
        deliveries: list[Delivery] = []
        while more := self.listener.drain(1_000, 0.0 if isinstance(self.broker, EmbeddedBroker) else 0.2):
            deliveries += more
        frames = [raw_movements(read_envelope(each.body).data) for each in deliveries]
        return Counter(read(names, raw).id for each in frames for raw in each)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged, as it was said."""
    with capture_logs() as said:
        yield said


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def rig(request: pytest.FixtureRequest, database: str) -> Iterator[Rig]:
    yield from _rig(None if request.param == "embedded" else request.getfixturevalue("vhost_url"), database)


@pytest.fixture
def embedded(database: str) -> Iterator[Rig]:
    """For what is about the database alone."""
    yield from _rig(None, database)


@pytest.fixture
def rabbit(vhost_url: str, database: str) -> Iterator[Rig]:
    yield from _rig(vhost_url, database)


def _rig(broker_url: str | None, database: str) -> Iterator[Rig]:
    broker, engine = connect(broker_url), open_engine(database)
    broker.declare()
    with transaction(engine) as connection:
        run(connection, "CREATE TABLE effect (source text, id text CHECK (id <> 'bad'), PRIMARY KEY (source, id))")
        run(connection, "CREATE TABLE hot (id text PRIMARY KEY, times int NOT NULL)")
        run(connection, "INSERT INTO hot VALUES ('a', 0), ('b', 0)")
    listener = broker.bind_temporary(EVENTS, [JOURNAL_POSTED, f"{OUTCOME_ACCEPTED}.#"])
    yield Rig(broker, engine, listener)
    listener.close()
    broker.close()
    engine.dispose()


# --- what is parked --------------------------------------------------------------------------------------------------


def test_one_bad_row_in_a_set_of_500_is_parked_alone(rig: Rig, logs: list[Any]) -> None:
    names = [f"t{number}" for number in range(499)]
    names.insert(123, "bad")
    rig.publish(things(*names[:250]), b"junk", things(*names[250:]), things("of the next set"))
    rig.work(messages=4)
    good = Counter([*names, "of the next set"]) - Counter(["bad"])
    assert rig.effects() == good
    assert rig.heard() == good
    row, junk = sorted(rig.parked(), key=lambda each: str(each.reason), reverse=True)
    assert (junk.reason, bytes(junk.body), junk.times) == ("malformed", b"junk", 1)
    assert (row.reason, row.kind, row.source, row.id, row.times) == ("unprocessable", KIND, "till", "bad", 1)
    assert bytes(row.body) == thing("bad")
    assert "effect_id_check" in row.error
    (alarm,) = (each for each in logs if each["log_level"] == "error")
    assert (alarm["event"], alarm["source"], alarm["id"]) == ("unprocessable", "till", "bad")


def test_what_cannot_be_read_is_parked_with_what_is_known_of_it_and_its_neighbours_go_on(rig: Rig) -> None:
    other_version = write_event("thing.named.v2", "receiving", "e2", frame([]))
    no_frame = write_event(KIND, "receiving", "e3", frame([])).replace(b"[]", b'"none"')
    rig.publish(things("t1"), b"\xff{", other_version, no_frame, things("t2"), headers={"trace": "a\0b"})
    rig.work(messages=5)
    assert rig.effects() == Counter(["t1", "t2"])
    assert {(row.reason, row.kind, row.source, row.id, bytes(row.body)) for row in rig.parked()} == {
        ("malformed", None, None, None, b"\xff{"),
        ("unknown_type", "thing.named.v2", "receiving", "e2", other_version),
        ("malformed", KIND, "receiving", "e3", no_frame),
    }
    assert {(row.headers["routing_key"], row.headers["trace"]) for row in rig.parked()} == {("ledger", r"a\0b")}


def test_one_malformed_thing_of_a_frame_is_parked_alone_with_the_path_of_the_error(rig: Rig) -> None:
    bad = b'{"source":"till","id":7}'
    rig.publish(write_event(KIND, "receiving", "e1", frame([thing("t1"), bad, thing("t2")])))
    rig.work()
    assert rig.effects() == rig.heard() == Counter(["t1", "t2"])
    (row,) = rig.parked()
    assert (row.reason, bytes(row.body)) == ("malformed", bad)
    assert "$.id" in row.error


def test_nothing_but_bad_messages_is_acknowledged_too(rig: Rig) -> None:
    rig.publish(b"", b"[]", b"", b"null")
    rig.work(messages=4)
    assert sorted((bytes(row.body), row.times) for row in rig.parked()) == [(b"", 1), (b"[]", 1), (b"null", 1)]


def test_a_message_beyond_the_limit_of_the_gate_is_parked_by_its_beginning(embedded: Rig) -> None:
    names = [f"t{number}" for number in range(200)]
    embedded.publish(things(*names), things("t1"))
    embedded.work(messages=2, limit=2_000)
    (row,) = embedded.parked()
    assert row.reason == "message_too_large"
    assert things(*names).startswith(bytes(row.body))
    assert embedded.effects() == Counter(["t1"])


def test_the_same_message_parked_again_is_counted_and_that_of_another_sender_is_not_the_same(embedded: Rig) -> None:
    same = Parked("conflicting_duplicate", "e", b"{}", KIND, "till", "1")
    others = [
        Parked("conflicting_duplicate", "e", b"{}", KIND, source, name)
        for source, name in (("web", "1"), ("till", "2"))
    ]
    for parked in ([same, *others], [same], [same, same]):
        with transaction(embedded.engine) as connection:
            park(connection, "ledger", parked)
    assert sorted((row.source, row.id, row.times) for row in embedded.parked()) == [
        ("till", "1", 3),
        ("till", "2", 1),
        ("web", "1", 1),
    ]


def test_text_that_no_database_takes_is_parked_all_the_same(embedded: Rig) -> None:
    odd = Parked("malformed", "NUL \0 and \ud800" + "x" * 10_000, b"\0\xff", headers={"k\0": "\udfff"})
    with transaction(embedded.engine) as connection:
        park(connection, "ledger", [odd])
    (row,) = embedded.parked()
    assert row.error.startswith(r"NUL \0 and \ud800xxx")
    assert bytes(row.body) == b"\0\xff"
    assert row.headers == {r"k\0": r"\udfff"}


def test_a_message_that_kills_its_worker_ends_alone_and_then_among_the_dead(rabbit: Rig) -> None:
    class CrashError(BaseException):
        """A worker that dies on the spot."""

    sets: list[list[str]] = []

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        sets.append([each.value.id for each in inputs])
        if "killer" in sets[-1]:
            raise CrashError
        return enter(inputs, connection)

    rabbit.publish(*(things(name) for name in ("t1", "t2", "killer", "t3")))
    for _ in range(3 * DELIVERY_LIMIT):
        worker = rabbit.worker(work)
        try:
            while worker.turn(0.05):
                pass
        except CrashError:
            continue
        finally:
            worker.close()
        if rabbit.broker.depth("ledger.dead"):
            break
    assert rabbit.broker.depth("ledger.dead") == 1
    assert rabbit.effects() == Counter(["t1", "t2", "t3"])
    assert rabbit.broker.depth("ledger") == 0
    assert sets[0] == ["t1", "t2", "killer", "t3"]
    assert {len(each) for each in sets[1:3]} == {2}
    assert sum("killer" in each for each in sets) == DELIVERY_LIMIT + 1


# --- what is told again ----------------------------------------------------------------------------------------------


@dataclass
class Faulty:
    """A broker whose publishers or consumers fail once, after they have done what they were asked."""

    broker: Broker
    publish_error: Exception | None = None
    acknowledge_error: Exception | None = None

    def declare(self) -> None:
        self.broker.declare()

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        return _FaultyConsumer(self.broker.consumer(queue, prefetch), self)

    def publisher(self) -> Publisher:
        return _FaultyPublisher(self.broker.publisher(), self)

    def depth(self, queue: str) -> int:
        return self.broker.depth(queue)

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        return self.broker.bind_temporary(exchange, routing_keys)

    def close(self) -> None:
        self.broker.close()


@dataclass
class _FaultyPublisher:
    publisher: Publisher
    fault: Faulty

    def publish(self, messages: Sequence[Message]) -> None:
        self.publisher.publish(messages)
        error, self.fault.publish_error = self.fault.publish_error, None
        if error is not None:
            raise error

    def beat(self) -> None:
        self.publisher.beat()

    def close(self) -> None:
        self.publisher.close()


@dataclass
class _FaultyConsumer:
    consumer: Consumer
    fault: Faulty

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        return self.consumer.drain(limit, timeout, linger)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        error, self.fault.acknowledge_error = self.fault.acknowledge_error, None
        if error is not None:
            raise error
        self.consumer.acknowledge(deliveries)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        self.consumer.requeue(deliveries)

    def beat(self) -> None:
        self.consumer.beat()

    def close(self) -> None:
        self.consumer.close()


def test_outputs_whose_confirm_was_lost_are_told_again_and_the_effect_happens_once(rig: Rig) -> None:
    rig.publish(things("t1", "t2"))
    rig.work(broker=Faulty(rig.broker, publish_error=ConfirmTimeout("never came")))
    assert rig.effects() == Counter(["t1", "t2"])
    assert rig.heard() == Counter({"t1": 2, "t2": 2})


def test_a_message_whose_acknowledgement_was_lost_comes_again_and_its_effect_does_not(rig: Rig) -> None:
    rig.publish(things("t1", "t2"))
    worker = rig.worker(broker=Faulty(rig.broker, acknowledge_error=BrokerUnavailable("reset")))
    with pytest.raises(BrokerUnavailable):
        worker.turn(5.0)
    assert rig.effects() == Counter(["t1", "t2"])
    while not worker.turn(1.0):
        pass
    worker.close()
    assert rig.broker.depth("ledger") == 0
    assert rig.effects() == Counter(["t1", "t2"])
    assert rig.heard() == Counter({"t1": 2, "t2": 2})


def test_a_frame_that_arrives_twice_has_one_effect(rig: Rig) -> None:
    rig.publish(things("t1", "t2"), things("t2", "t1"), things("t2", "t3"))
    rig.work(messages=3)
    assert rig.effects() == Counter(["t1", "t2", "t3"])
    assert set(rig.heard()) == {"t1", "t2", "t3"}


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["statement", "copy", "commit"])
def test_a_database_session_lost_in_mid_flight_moves_no_message(rig: Rig, moment: str) -> None:
    calls: list[int] = []

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        calls.append(len(inputs))
        if moment == "commit":
            enter(inputs, connection)
        if len(calls) < 3:
            _terminate(connection)
        if moment == "statement":
            enter(inputs, connection)
        if moment == "copy":
            copy(connection, "effect", "source, id", [(each.source, each.value.id) for each in inputs])
        return told(inputs)

    rig.publish(things("t1", "t2"))
    worker = rig.worker(work)
    assert worker.turn(5.0) == 1
    worker.close()
    assert calls == [2, 2, 2]
    assert rig.effects() == rig.heard() == Counter(["t1", "t2"])
    assert rig.broker.depth("ledger") == 0
    assert rig.parked() == []


def _terminate(connection: Connection) -> None:
    (row,) = query(connection, "SELECT pg_backend_pid() AS pid")
    other = sa.create_engine(connection.engine.url)
    with other.connect() as elsewhere:
        elsewhere.execute(sa.text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": row.pid})
    other.dispose()


def test_a_key_that_another_worker_took_meanwhile_is_decided_anew(embedded: Rig) -> None:
    calls: list[int] = []

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        calls.append(len(inputs))
        known = {row.id for row in query(connection, "SELECT id FROM effect")}
        if len(calls) == 1:
            with transaction(embedded.engine) as rival:
                run(rival, "INSERT INTO effect VALUES ('till', 't2')")
        copy(
            connection,
            "effect",
            "source, id",
            [("till", each.value.id) for each in inputs if each.value.id not in known],
        )
        return told(inputs)

    embedded.publish(things("t1", "t2"))
    embedded.work(work=work)
    assert calls == [2, 2]
    assert embedded.effects() == embedded.heard() == Counter(["t1", "t2"])


def test_a_key_that_is_taken_each_time_parks_its_input_alone_as_a_broken_invariant(embedded: Rig) -> None:
    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        copy(connection, "effect", "source, id", [("till", each.value.id.upper()) for each in inputs])
        return told(inputs)

    embedded.publish(things("t1", "t2", "T2", "t3"))
    embedded.work(work=work)
    assert embedded.effects() == Counter(["T1", "T2", "T3"])
    (row,) = embedded.parked()
    assert (row.reason, row.id) == ("invariant_broken", "T2")
    assert "effect_pkey" in row.error


def test_a_deadlock_is_tried_again(embedded: Rig) -> None:
    calls: list[int] = []
    rival_waits = threading.Event()

    def rival() -> None:
        with transaction(embedded.engine) as connection:
            run(connection, "SET LOCAL deadlock_timeout = '10s'")
            run(connection, "UPDATE hot SET times = times + 1 WHERE id = 'b'")
            rival_waits.set()
            run(connection, "UPDATE hot SET times = times + 1 WHERE id = 'a'")

    thread = threading.Thread(target=rival)

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        calls.append(len(inputs))
        run(connection, "SET LOCAL deadlock_timeout = '50ms'")
        run(connection, "UPDATE hot SET times = times + 1 WHERE id = 'a'")
        if len(calls) == 1:
            thread.start()
            rival_waits.wait(5)
        run(connection, "UPDATE hot SET times = times + 1 WHERE id = 'b'")
        return enter(inputs, connection)

    embedded.publish(things("t1", "t2"))
    embedded.work(work=work)
    thread.join(5)
    assert calls == [2, 2]
    assert embedded.effects() == embedded.heard() == Counter(["t1", "t2"])


def test_an_input_alone_waits_for_a_lock_however_long_it_is_held(embedded: Rig) -> None:
    calls: list[int] = []
    holder = embedded.engine.connect()
    holder.execute(sa.text("UPDATE hot SET times = 1 WHERE id = 'a'"))

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        calls.append(len(inputs))
        if len(calls) == CONTENTIONS + 3:
            holder.close()
        run(connection, "SET LOCAL lock_timeout = '5ms'")
        run(connection, "UPDATE hot SET times = times + 1 WHERE id = 'a'")
        return enter(inputs, connection)

    embedded.publish(things("t1"))
    embedded.work(work=work)
    assert len(calls) == CONTENTIONS + 3
    assert embedded.effects() == Counter(["t1"])
    assert embedded.parked() == []


def test_a_set_that_takes_too_long_is_halved(embedded: Rig) -> None:
    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        run(connection, "SET LOCAL statement_timeout = '20ms'")
        query(connection, "SELECT pg_sleep(:seconds)", seconds=5 if len(inputs) > 2 else 0)
        return enter(inputs, connection)

    embedded.publish(things("t1", "t2", "t3", "t4"))
    embedded.work(work=work)
    assert embedded.effects() == Counter(["t1", "t2", "t3", "t4"])
    assert embedded.parked() == []


@pytest.mark.parametrize("statement", ["SELECT * FROM not_there", "SELECT not_there FROM effect"])
def test_a_database_that_was_not_migrated_ends_the_worker_and_moves_no_message(embedded: Rig, statement: str) -> None:
    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        query(connection, statement)
        return enter(inputs, connection)

    embedded.publish(things("t1", "t2"))
    with pytest.raises(Fatal, match="not_there"):
        embedded.worker(work).run()
    assert embedded.parked() == []
    embedded.work()
    assert embedded.effects() == Counter(["t1", "t2"])


def test_a_secret_and_the_content_of_a_statement_stay_out_of_the_errors(embedded: Rig, database: str) -> None:
    url = sa.make_url(database).set(username="nobody", password="hunter2", host="127.0.0.1", port=1, query={})
    engine = open_engine(url.render_as_string(hide_password=False))
    worker = Worker(Service("ledger", {}), embedded.broker, engine, QUICK)
    assert "hunter2" not in repr(engine.url)
    worker.close()
    with pytest.raises(sa.exc.IntegrityError) as refused, transaction(embedded.engine) as connection:
        run(connection, "INSERT INTO effect VALUES (:source, 'bad')", source="a customer")
    assert "[parameters" not in str(refused.value)


# --- the outbox ------------------------------------------------------------------------------------------------------


def fill(rig: Rig, count: int) -> Counter[str]:
    """Two outputs of each of so many movements."""
    names = [f"t{number:03d}" for number in range(count)]
    outputs = [Output(kind, "till", name, thing(name)) for name in names for kind in (JOURNAL_POSTED, OUTCOME_ACCEPTED)]
    with transaction(rig.engine) as connection:
        outbox.add(connection, "ledger", outputs)
        outbox.add(connection, "ledger", outputs)
    return Counter(output.id for output in outputs)


def left(rig: Rig) -> int:
    with transaction(rig.engine) as connection:
        return len(query(connection, "SELECT FROM ledger.outbox"))


@pytest.mark.parametrize("limit", [1, 3, 500])
def test_all_that_stands_in_the_outbox_is_told_whatever_the_size_of_a_sweep(embedded: Rig, limit: int) -> None:
    expected = fill(embedded, 7)
    worker = embedded.worker(sweeps=[outbox.sweep("ledger", limit)])
    worker.turn(0)
    worker.close()
    assert embedded.heard() == expected
    assert left(embedded) == 0


def test_an_output_leaves_the_outbox_only_after_its_confirm(rig: Rig) -> None:
    expected = fill(rig, 3)
    refusing = Faulty(rig.broker, publish_error=Fatal("no permission"))
    worker = rig.worker(broker=refusing, sweeps=[outbox.sweep("ledger", 2)])
    with pytest.raises(Fatal):
        worker.turn(0)
    assert left(rig) == 6
    worker.turn(0)
    worker.close()
    assert left(rig) == 0
    assert rig.heard() >= expected


def test_sweeps_of_two_workers_at_once_lose_nothing(rig: Rig) -> None:
    expected = fill(rig, 60)
    start = threading.Barrier(2)
    failures: list[BaseException] = []

    def sweep() -> None:
        worker = rig.worker(sweeps=[outbox.sweep("ledger", 4)])
        try:
            start.wait(5)
            worker.turn(0)
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            worker.close()

    threads = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert left(rig) == 0
    assert rig.heard() >= expected


def test_a_body_of_the_outbox_is_told_byte_by_byte(rig: Rig) -> None:
    body = json.dumps({"source": "till", "id": "ä\\\t\U0001f9f4"}, ensure_ascii=False).encode()
    with transaction(rig.engine) as connection:
        outbox.add(connection, "ledger", [Output(JOURNAL_POSTED, "till", "x", body)])
    worker = rig.worker(sweeps=[outbox.sweep("ledger")])
    worker.turn(0)
    worker.close()
    (delivery,) = rig.listener.drain(10, 5)
    assert [bytes(raw) for raw in raw_movements(read_envelope(delivery.body).data)] == [body]


def test_a_sweep_that_left_something_comes_again_at_once_while_nothing_else_comes(embedded: Rig) -> None:
    left_behind = [3]

    def sweep(connection: Connection) -> Handled:
        left_behind[0] -= 1
        return Handled(more=left_behind[0] > 0)

    worker = embedded.worker(sweeps=[sweep])
    for _ in range(3):
        worker.turn(0)
    assert left_behind == [0]
    worker.turn(0)
    assert left_behind == [0], "and then it has its time again"
    worker.close()


def test_while_messages_come_in_a_sweep_that_left_something_waits_for_its_time(embedded: Rig) -> None:
    swept = []

    def sweep(connection: Connection) -> Handled:
        swept.append(True)
        return Handled(more=True)

    service = Service("ledger", {KIND: Handler(movement_reader(Thing), enter)}, [sweep])
    worker = Worker(service, embedded.broker, embedded.engine, replace(QUICK, sweep_every=600))
    for name in "abcdef":
        embedded.publish(things(name))
        assert worker.turn(0) == 1
    assert len(swept) == 2, "the first turn and the one after it began alone"
    worker.close()
