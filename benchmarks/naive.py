"""The yardstick beside the ceiling: the same three stages as every task framework would run them.

One message, one transaction, one confirm: a worker takes a message, works on its movement alone with the very same
handlers, commits, publishes each output by itself, waits until it is confirmed, and acknowledges.
`python -m benchmarks.naive SERVICE` is such a worker.
"""

import signal
import sys
from collections.abc import Sequence
from threading import Event
from uuid import uuid4

from sqlalchemy import Engine

from services.accounting import handlers as accounting
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.broker import Broker, Publisher, connect
from shared.contracts.envelope import read_envelope
from shared.db import open_engine, transaction
from shared.frames import frames
from shared.logs import configure
from shared.outbox import remove
from shared.service import Input, Service, Step
from shared.settings import Settings

SERVICES = {"receiving": receiving.service, "ledger": ledger.service, "accounting": accounting.service}
PREFETCH = 4
"""As task frameworks have it by default."""


def naive_worker(service: str) -> Sequence[str]:
    """The command that runs a naive worker."""
    return [sys.executable, "-m", "benchmarks.naive", service]


def run(service: Service, broker: Broker, engine: Engine, stop: Event) -> None:
    """Work until told to stop, one message after another."""
    broker.declare()
    consumer, publisher = broker.consumer(service.name, PREFETCH), broker.publisher()
    while not stop.is_set():
        for delivery in consumer.drain(1, 1.0):
            envelope = read_envelope(delivery.body)
            for each in service.handlers[envelope.type].read(envelope):
                _work(service, each, engine, publisher)
            consumer.acknowledge([delivery])
        consumer.beat()
    consumer.close()
    publisher.close()


def _work(service: Service, given: Input, engine: Engine, publisher: Publisher) -> None:
    following: Step | None = lambda connection: service.handlers[given.kind].work([given], connection)  # noqa: E731 - a step
    while following is not None:
        with transaction(engine) as connection:
            handled = following(connection)
        for message in frames(handled.outputs, service.name, lambda: uuid4().hex, 1, 1):
            publisher.publish([message])
        if handled.released:
            with transaction(engine) as connection:
                remove(connection, service.name, handled.released)
        following = handled.then


def main() -> None:
    """Run the worker that the command line names on the servers that the environment names."""
    settings = Settings.from_environment()
    configure(settings.log_level)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    engine = open_engine(settings.database_url or "")
    run(SERVICES[sys.argv[1]](), connect(settings.broker_url), engine, stop)
    engine.dispose()


if __name__ == "__main__":
    main()
