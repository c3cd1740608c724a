"""One worker in a process of its own, to which something happens at a chosen step: it is killed there, or it stops.

Nothing of it is in the product: the broker, the engine and the service are wrapped here, and whoever comes to the step
for the nth time sends the signal to its own process. `python -m tests.faults.victim PLAN`, the plan in JSON.
"""

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from services.accounting import handlers as accounting
from services.aftercare import handlers as aftercare
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.broker import Broker, Consumer, Delivery, Message, Publisher, RabbitBroker
from shared.broker.topology import ACCOUNTING, AFTERCARE, LEDGER, RECEIVING
from shared.contracts.registry import STOCK_REVALUED
from shared.db import open_engine
from shared.logs import configure, logger
from shared.service import Handled, Handler, Input, Service, Step
from shared.settings import Settings
from shared.worker import Worker

SERVICES: Mapping[str, Callable[[], Service]] = {
    RECEIVING: receiving.service,
    LEDGER: ledger.service,
    ACCOUNTING: accounting.service,
    AFTERCARE: aftercare.service,
}


class At(StrEnum):
    """The steps of a set, or of a piece of a chore, in their order; each is where the worker has come to."""

    RECEIVED = "after receive"
    INSERTED = "after the keys were inserted"
    DECIDED = "inside the transaction"
    COMMITTING = "before commit"
    COMMITTED = "after commit"
    PUBLISHING = "before publish"
    PUBLISHED = "after publish"
    RELEASING = "between commit and release"
    RELEASED = "after the commit of a release"
    ACKNOWLEDGING = "before ack"
    BEGINNING = "before a piece"


@dataclass(frozen=True)
class Fault:
    """What happens when the worker comes to a step for the nth time; `kind`: while it works on messages of this type.

    While it does a piece of its chore the ledger works on what that is told by.
    """

    at: At
    nth: int = 1
    signal: int = signal.SIGKILL
    kind: str = ""


@dataclass(frozen=True)
class Plan:
    """Whose worker it is and what happens to it.

    `heartbeat` and `idle` (seconds) are after what time the broker gives up a connection that says nothing, and
    PostgreSQL a transaction in which nothing is done. `piece` is the largest piece of a chore that it does. `skew` is
    by how many seconds the clock of a gate is fast.
    """

    service: str
    faults: Sequence[Fault] = ()
    heartbeat: int = 30
    idle: int = 20
    piece: int = 1_000_000
    skew: float = 0.0

    def written(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Plan":
        told = json.loads(text)
        return cls(**{**told, "faults": [Fault(**{**each, "at": At(each["at"])}) for each in told["faults"]]})


@dataclass
class Fate:
    """Counts how often each step was reached, and lets happen what is planned; `kind` is what is being worked on."""

    faults: Sequence[Fault]
    kind: str = ""
    reached: Counter[tuple[At, str]] = field(default_factory=Counter)

    def at(self, step: At) -> None:
        for kind in {"", self.kind}:
            self.reached[step, kind] += 1
        for fault in self.faults:
            if fault.at is step and fault.kind in ("", self.kind) and fault.nth == self.reached[step, fault.kind]:
                os.kill(os.getpid(), fault.signal)


def main() -> None:
    run(Plan.read(sys.argv[1]))


def run(plan: Plan) -> None:
    """Be the worker on the servers that the environment names."""
    settings = Settings.from_environment()
    assert settings.database_url is not None
    assert settings.broker_url is not None
    configure(settings.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    fate = Fate(plan.faults)
    engine = open_engine(settings.database_url)
    transactions = Transactions(fate)
    transactions.watch(engine, plan.idle)
    rabbit = RabbitBroker(settings.broker_url.split(";"), heartbeat=plan.heartbeat, lanes=settings.lanes)
    broker = FatedBroker(rabbit, fate)
    service = fated(service_of(plan), fate, transactions, plan.piece)
    Worker(service, broker, engine, settings, stop).run()
    logger("victim").info("ended", pieces=fate.reached[At.DECIDED, STOCK_REVALUED])


def service_of(plan: Plan) -> Service:
    """The service as it is in earnest, but for its clock."""
    if not plan.skew:
        return SERVICES[plan.service]()
    return receiving.service(lambda: datetime.now(UTC) + timedelta(seconds=plan.skew))


# --- the transaction -------------------------------------------------------------------------------------------------


@dataclass
class Transactions:
    """What happens around the commits of sets and of releases; those of sweeps that find nothing are left alone."""

    fate: Fate
    kind: str = ""
    committing: bool = False

    def watch(self, engine: sa.Engine, idle: int) -> None:
        sa.event.listen(engine, "connect", lambda connection, _: _limit_idleness(connection, idle))
        sa.event.listen(engine, "after_cursor_execute", self._executed)
        sa.event.listen(engine, "commit", self._before_commit)
        sa.event.listen(engine, "rollback", self._forget)
        sa.event.listen(engine, "checkin", self._after_commit)

    def _executed(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if any(statement.lstrip().startswith(f"INSERT INTO {name}.movement ") for name in SERVICES):
            self.fate.at(At.INSERTED)

    def _before_commit(self, _connection: object) -> None:
        if self.kind == "set":
            self.fate.at(At.COMMITTING)
        self.committing = bool(self.kind)

    def _after_commit(self, _connection: object, _record: object) -> None:
        """The connection goes back to the pool: the first that happens after a commit."""
        if self.committing:
            self.fate.at(At.COMMITTED if self.kind == "set" else At.RELEASED)
        self._forget()

    def _forget(self, _connection: object = None) -> None:
        self.kind, self.committing = "", False


def _limit_idleness(connection: Any, seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{seconds}s'")
    connection.commit()


# --- the service -----------------------------------------------------------------------------------------------------


def fated(service: Service, fate: Fate, transactions: Transactions, largest_piece: int) -> Service:
    """The same service, whose sets, releases and pieces of a chore say where they are."""

    def handler(kind: str, given: Handler) -> Handler:
        def work(inputs: Sequence[Input], connection: sa.Connection) -> Handled:
            fate.kind = kind
            handled = given.work(inputs, connection)
            transactions.kind = "set"
            fate.at(At.DECIDED)
            return releasing(handled)

        return Handler(given.read, work)

    def releasing(handled: Handled) -> Handled:
        return handled if handled.then is None else replace(handled, then=release(handled.then))

    def release(step: Step) -> Step:
        def carry_out(connection: sa.Connection) -> Handled:
            fate.at(At.RELEASING)
            handled = step(connection)
            transactions.kind = "release" if handled.released else ""
            return releasing(handled)

        return carry_out

    def chore(size: int) -> Step:
        assert service.chore is not None
        look = service.chore(min(size, largest_piece))

        def begin(connection: sa.Connection) -> Handled:
            found = look(connection)
            if found.then is None:
                return found
            fate.kind = STOCK_REVALUED
            fate.at(At.BEGINNING)
            return replace(found, then=piece(found.then))

        return begin

    def piece(step: Step) -> Step:
        def carry_out(connection: sa.Connection) -> Handled:
            handled = step(connection)
            transactions.kind = "set" if handled.outputs else ""
            if handled.outputs:
                fate.at(At.DECIDED)
            return handled

        return carry_out

    handlers = {kind: handler(kind, each) for kind, each in service.handlers.items()}
    return replace(service, handlers=handlers, chore=chore if service.chore is not None else None)


# --- the broker ------------------------------------------------------------------------------------------------------


@dataclass
class FatedBroker:
    """A broker whose consumers and publishers say where they are."""

    broker: Broker
    fate: Fate

    def declare(self) -> None:
        self.broker.declare()

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        return _FatedConsumer(self.broker.consumer(queue, prefetch), self.fate)

    def publisher(self) -> Publisher:
        return _FatedPublisher(self.broker.publisher(), self.fate)

    def depth(self, queue: str) -> int:
        return self.broker.depth(queue)

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        return self.broker.bind_temporary(exchange, routing_keys)

    def close(self) -> None:
        self.broker.close()


@dataclass
class _FatedConsumer:
    consumer: Consumer
    fate: Fate

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        deliveries = self.consumer.drain(limit, timeout, linger)
        self.fate.kind = ""
        if deliveries:
            self.fate.at(At.RECEIVED)
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        self.fate.at(At.ACKNOWLEDGING)
        self.consumer.acknowledge(deliveries)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        self.consumer.requeue(deliveries)

    def beat(self) -> None:
        self.consumer.beat()

    def close(self) -> None:
        self.consumer.close()


@dataclass
class _FatedPublisher:
    publisher: Publisher
    fate: Fate

    def publish(self, messages: Sequence[Message]) -> None:
        self.fate.at(At.PUBLISHING)
        self.publisher.publish(messages)
        self.fate.at(At.PUBLISHED)

    def beat(self) -> None:
        self.publisher.beat()

    def close(self) -> None:
        self.publisher.close()


if __name__ == "__main__":
    main()
