"""The worker's loop against a broker that does what a test tells it: in what order it commits, publishes, acknowledges.

Nothing is stored here (the handlers write nothing, so any database does); what needs tables is tested on PostgreSQL.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine

from shared.broker import BrokerUnavailable, ConfirmTimeout, Consumer, Delivery, Message, Publisher
from shared.contracts.envelope import Envelope, raw_movements, read_envelope, write_event
from shared.contracts.movement import Reference
from shared.contracts.registry import JOURNAL_POSTED
from shared.db import Contended
from shared.errors import Fatal, Retryable
from shared.service import Handled, Handler, Input, Output, Service, Step
from shared.settings import Settings
from shared.worker import CONTENTIONS, PORTION_BYTES, Worker

QUICK = Settings(pause=0.001, longest_pause=0.002, linger=0, sweep_every=3600)


@dataclass
class Script:
    """A broker that hands out what it is given, and writes down what happens. Errors come up once, in their order."""

    deliveries: list[Delivery] = field(default_factory=list)
    publish_errors: list[Exception] = field(default_factory=list)
    drain_errors: list[Exception] = field(default_factory=list)
    beat_errors: list[Exception] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)

    def declare(self) -> None:
        self.happened.append("connect: declare")

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        self.happened.append(f"connect: {queue} {prefetch}")
        return _Consumer(self)

    def publisher(self) -> Publisher:
        return _Publisher(self)

    def depth(self, queue: str) -> int:
        raise NotImplementedError(queue)

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def without_beats(self) -> list[str]:
        return [each for each in self.happened if not each.endswith("beat") and not each.startswith("connect")]


@dataclass
class _Consumer:
    script: Script

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        self.script.waits.append((timeout, linger))
        _raise_next(self.script.drain_errors)
        taken, self.script.deliveries[:limit] = self.script.deliveries[:limit], []
        return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.script.happened.append("acknowledge " + " ".join(each.tag for each in deliveries))

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        raise NotImplementedError

    def beat(self) -> None:
        self.script.happened.append("consumer beat")
        _raise_next(self.script.beat_errors)

    def close(self) -> None:
        self.script.happened.append("close consumer")


@dataclass
class _Publisher:
    script: Script

    def publish(self, messages: Sequence[Message]) -> None:
        carried = [bytes(raw) for each in messages for raw in raw_movements(read_envelope(each.body).data)]
        self.script.happened.append("publish " + b" ".join(carried).decode())
        _raise_next(self.script.publish_errors)

    def beat(self) -> None:
        self.script.happened.append("publisher beat")

    def close(self) -> None:
        self.script.happened.append("close publisher")


def _raise_next(errors: list[Exception]) -> None:
    if errors:
        raise errors.pop(0)


Work = Callable[[Sequence[Input], Connection], Handled]


def service(script: Script, work: Work | None = None, sweeps: Sequence[Step] = ()) -> Service:
    """A service of two types of events, `a` and `b`, that writes down on what sets it worked and answers each input."""

    def noted(inputs: Sequence[Input], connection: Connection) -> Handled:
        script.happened.append("work " + " ".join(each.value for each in inputs))
        if work is not None:
            return work(inputs, connection)
        return Handled([output(each.value) for each in inputs])

    handler = Handler(_read, noted)
    return Service("ledger", {"a": handler, "b": handler}, sweeps)


def _read(envelope: Envelope) -> list[Input]:
    return [Input(envelope.source, envelope.type, envelope.id, bytes(envelope.data), id=envelope.id)]


def output(name: str) -> Output:
    return Output(JOURNAL_POSTED, "till", name, f"{len(name)}".encode())


def delivery(name: str, count: int = 0, kind: str = "a", data: str = "x") -> Delivery:
    body = write_event(kind, "till", name, Reference(id=data))
    return Delivery(body, "ledger", {}, count, count > 0, name)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    yield engine
    engine.dispose()


def turned(script: Script, engine: Engine, work: Work | None = None, turns: int = 1, **settings: Any) -> list[str]:
    """What happens in some turns of a worker."""
    worker = Worker(service(script, work), script, engine, _settings(**settings))
    for _ in range(turns):
        worker.turn(0)
    return script.without_beats()


def _settings(**changes: Any) -> Settings:
    same = {name: getattr(QUICK, name) for name in ("pause", "longest_pause", "linger", "sweep_every")}
    return Settings(**{**same, **changes})


# --- the order of things ---------------------------------------------------------------------------------------------


def test_a_set_is_acknowledged_after_its_outputs_were_published_once(engine: Engine) -> None:
    script = Script([delivery("m1"), delivery("m22")])
    assert turned(script, engine) == ["work m1 m22", "publish 2 3", "acknowledge m1 m22"]


def test_a_set_without_outputs_is_acknowledged_without_publishing(engine: Engine) -> None:
    script = Script([delivery("m1")])
    assert turned(script, engine, lambda *_: Handled()) == ["work m1", "acknowledge m1"]


def test_outputs_that_were_not_confirmed_are_published_again_before_the_acknowledgement(engine: Engine) -> None:
    script = Script([delivery("m1")], publish_errors=[ConfirmTimeout("late"), BrokerUnavailable("gone")])
    assert turned(script, engine) == ["work m1", "publish 2", "publish 2", "publish 2", "acknowledge m1"]


def test_an_error_in_publishing_that_cannot_be_waited_out_acknowledges_nothing_and_ends_the_worker(
    engine: Engine,
) -> None:
    script = Script([delivery("m1")], publish_errors=[Fatal("no permission")])
    with pytest.raises(Fatal):
        turned(script, engine)
    script = Script([delivery("m1")], publish_errors=[ZeroDivisionError()])
    with pytest.raises(ZeroDivisionError):
        turned(script, engine)
    assert script.without_beats() == ["work m1", "publish 2"]


def test_what_follows_from_a_set_is_carried_out_before_the_acknowledgement(engine: Engine) -> None:
    def third(connection: Connection) -> Handled:
        return Handled([output("333")])

    def second(connection: Connection) -> Handled:
        return Handled([output("22")], then=third)

    script = Script([delivery("m1")])
    happened = turned(script, engine, lambda *_: Handled([output("1")], then=second))
    assert happened == ["work m1", "publish 1", "publish 2", "publish 3", "acknowledge m1"]


def test_what_goes_wrong_after_the_transaction_of_a_set_does_not_undo_it(engine: Engine) -> None:
    def breaks(connection: Connection) -> Handled:
        raise ZeroDivisionError

    script = Script([delivery("m1"), delivery("m2")])
    happened = turned(script, engine, lambda *_: Handled([output("1")], then=breaks))
    assert happened == ["work m1 m2", "publish 1", "acknowledge m1 m2"]


def test_inputs_of_different_types_are_worked_on_apart_and_in_the_order_in_which_they_were_sent(
    engine: Engine,
) -> None:
    kinds = {"1": "a", "2": "a", "3": "b", "4": "a"}
    script = Script([delivery(name, kind=kind) for name, kind in kinds.items()])
    happened = turned(script, engine, lambda *_: Handled())
    assert happened == ["work 1 2", "work 3", "work 4", "acknowledge 1 2 3 4"]


def test_no_transaction_takes_more_than_a_set(engine: Engine) -> None:
    script = Script([delivery(str(n)) for n in range(5)])
    happened = turned(script, engine, lambda *_: Handled(), turns=3, set_size=2)
    assert [each for each in happened if each.startswith("work")] == ["work 0 1", "work 2 3", "work 4"]


def test_a_turn_waits_as_long_as_it_is_told_and_lingers_as_it_is_set(engine: Engine) -> None:
    script = Script()
    Worker(service(script), script, engine, _settings(linger=0.25)).turn(1.5)
    assert script.waits == [(1.5, 0.25)]


# --- what may be poison ----------------------------------------------------------------------------------------------


def test_messages_that_were_given_back_go_in_halves_and_then_alone(engine: Engine) -> None:
    counts = [0, 0, 1, 1, 1, 1, 7, 0]
    script = Script([delivery(str(n), count) for n, count in enumerate(counts)])
    happened = turned(script, engine, lambda *_: Handled())
    assert happened == [
        *("work 0 1", "acknowledge 0 1"),
        *("work 2 3", "acknowledge 2 3", "work 4 5", "acknowledge 4 5"),
        *("work 6", "acknowledge 6"),
        *("work 7", "acknowledge 7"),
    ]


def test_messages_that_go_alone_go_in_another_order_each_time(engine: Engine) -> None:
    script = Script([delivery(str(n), 2) for n in range(50)])
    happened = turned(script, engine, lambda *_: Handled())
    worked = [each for each in happened if each.startswith("work")]
    assert worked != [f"work {n}" for n in range(50)]
    assert sorted(worked) == sorted(f"work {n}" for n in range(50))


def test_a_single_message_that_was_given_back_once_is_still_worked_on(engine: Engine) -> None:
    assert turned(Script([delivery("m1", 1)]), engine, lambda *_: Handled()) == ["work m1", "acknowledge m1"]


# --- what is tried again ---------------------------------------------------------------------------------------------


def test_a_set_is_tried_again_as_it_is_while_a_server_is_away(engine: Engine) -> None:
    errors: list[Exception] = [Retryable("away")] * 20
    script = Script([delivery("m1"), delivery("m2")])

    def work(*_: object) -> Handled:
        _raise_next(errors)
        return Handled()

    assert turned(script, engine, work) == ["work m1 m2"] * 21 + ["acknowledge m1 m2"]


def test_a_set_that_meets_others_again_and_again_is_halved_and_an_input_alone_goes_on_for_ever(engine: Engine) -> None:
    errors: list[Exception] = [Contended("met")] * (CONTENTIONS + 20)
    script = Script([delivery("m1"), delivery("m2")])

    def work(*_: object) -> Handled:
        _raise_next(errors)
        return Handled()

    happened = turned(script, engine, work)
    assert happened == ["work m1 m2"] * CONTENTIONS + ["work m1"] * 21 + ["work m2", "acknowledge m1 m2"]


def test_a_broker_lost_while_draining_is_met_with_a_new_consumer(engine: Engine) -> None:
    script = Script([delivery("m1")], drain_errors=[BrokerUnavailable("gone")])
    worker = Worker(service(script), script, engine, QUICK)
    with pytest.raises(BrokerUnavailable):
        worker.turn(0)
    worker.turn(0)
    anew = ["connect: declare", "connect: ledger 16"]
    assert script.happened[:5] == [*anew, "close consumer", *anew]
    assert script.without_beats()[-1] == "acknowledge m1"


def test_a_connection_lost_between_publishing_and_acknowledging_leaves_the_message_to_come_again(
    engine: Engine,
) -> None:
    script = Script([delivery("m1")], beat_errors=[BrokerUnavailable("gone")])
    worker = Worker(service(script), script, engine, QUICK)
    with pytest.raises(BrokerUnavailable):
        worker.turn(0)
    script.deliveries.append(delivery("m1", 1))
    worker.turn(0)
    assert script.without_beats() == [
        *("work m1", "publish 2", "close consumer"),
        *("work m1", "publish 2", "acknowledge m1"),
    ]


def test_both_connections_are_kept_alive_when_nothing_comes_and_while_waiting_for_a_server(engine: Engine) -> None:
    script = Script()
    turned(script, engine)
    assert {"consumer beat", "publisher beat"} <= set(script.happened)
    errors: list[Exception] = [Retryable("away")] * 3
    script = Script([delivery("m1")])

    def work(*_: object) -> Handled:
        _raise_next(errors)
        return Handled()

    turned(script, engine, work)
    waited = script.happened[: script.happened.index("acknowledge m1")]
    assert waited.count("consumer beat") >= 3
    assert waited.count("publisher beat") >= 3


# --- sweeps ----------------------------------------------------------------------------------------------------------


def test_a_sweep_runs_at_the_start_and_then_only_from_time_to_time(engine: Engine) -> None:
    ran: list[int] = []

    def sweep(connection: Connection) -> Handled:
        ran.append(1)
        return Handled()

    script = Script()
    seldom = Worker(service(script, sweeps=[sweep]), script, engine, QUICK)
    for _ in range(3):
        seldom.turn(0)
    assert len(ran) == 1
    often = Worker(service(script, sweeps=[sweep]), script, engine, _settings(sweep_every=0.0))
    for _ in range(3):
        often.turn(0)
    assert len(ran) == 4


def test_a_sweep_that_breaks_stops_neither_the_others_nor_the_worker(engine: Engine) -> None:
    ran: list[int] = []

    def breaks(connection: Connection) -> Handled:
        ran.append(1)
        raise ZeroDivisionError

    def publishes(connection: Connection) -> Handled:
        return Handled([output("1")])

    script = Script([delivery("m1"), delivery("m2")])
    worker = Worker(service(script, sweeps=[breaks, publishes]), script, engine, _settings(sweep_every=0.0, set_size=1))
    worker.turn(0)
    worker.turn(0)
    once = ["publish 1", "work m{0}", "publish 2", "acknowledge m{0}"]
    assert script.without_beats() == [each.format(number) for number in (1, 2) for each in once]
    assert len(ran) == 2


# --- stopping --------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_told_to_stop_finishes_the_portion_and_leaves_the_rest(engine: Engine) -> None:
    stop = Event()

    def work(*_: object) -> Handled:
        stop.set()
        return Handled([output("1")])

    large = "x" * (PORTION_BYTES // 2)
    script = Script([delivery(name, data=large) for name in ("m1", "m2", "m3")])
    Worker(service(script, work), script, engine, QUICK, stop).run()
    assert script.without_beats() == ["work m1", "publish 1", "acknowledge m1", "close consumer", "close publisher"]


def test_a_worker_that_is_told_to_stop_waits_for_no_server(engine: Engine) -> None:
    stop = Event()

    def work(*_: object) -> Handled:
        stop.set()
        raise Retryable("away")

    script = Script([delivery("m1")])
    Worker(service(script, work), script, engine, _settings(pause=60.0), stop).run()
    assert script.without_beats() == ["work m1", "close consumer", "close publisher"]


def test_a_worker_that_cannot_go_on_closes_its_connections_and_says_why(engine: Engine) -> None:
    def work(*_: object) -> Handled:
        raise Fatal("no such table")

    script = Script([delivery("m1"), delivery("m2")])
    with pytest.raises(Fatal, match="no such table"):
        Worker(service(script, work), script, engine, QUICK).run()
    assert script.without_beats() == ["work m1 m2", "close consumer", "close publisher"]
