"""The whole intake, on servers: whatever is sent to the gate ends as accepted, rejected or parked with a known code.

What was accepted is posted and booked; nothing stays in a queue, nothing is stuck, nothing is unsound.
"""

import re
import struct
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import amqp
import sqlalchemy as sa

from services.accounting import handlers as accounting
from services.aftercare import handlers as aftercare
from services.desk.events import make_event
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from services.receiving.decide.case import Limits
from shared.broker import Broker, EmbeddedBroker, Message, connect
from shared.broker.topology import INTAKE, SERVICES, UNROUTED
from shared.db import open_engine
from shared.errors import Retryable
from shared.metrics import Metric, Metrics
from shared.migrate import migrate
from shared.settings import Settings
from shared.worker import Worker
from tests import servers
from tests.brokers import Raw
from tests.fuzz.making import Made, make
from tests.fuzz.tally import PARKED, Tally
from tests.receiving_builders import assert_sound, rows

CLOCK = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT_ONCE = 500
DEFINED_AGAIN = 1_000
"""After so many inputs the shop is defined once more: what came may have closed its books or disabled its goods."""

SHOP: Sequence[tuple[str, dict[str, Any]]] = (
    ("company.defined.v1", {"company": "shop", "currency": "EUR"}),
    ("period.reopened.v1", {"company": "shop", "open_from": "2020-01-01", "actor": "a", "reason": "r"}),
    ("source.defined.v1", {"source": "till", "patience": 0}),
    ("source.defined.v1", {"source": "office", "patience": 0}),
    ("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}),
    ("warehouse.defined.v1", {"company": "shop", "warehouse": "south"}),
    ("warehouse.defined.v1", {"company": "shop", "warehouse": "quarantine", "kind": "quarantine"}),
    ("item.defined.v1", {"company": "shop", "item": "tea", "units": {"box": "6"}, "standard_rate": "2"}),
    (
        "item.defined.v1",
        {"company": "shop", "item": "soap", "valuation_method": "moving_average", "standard_rate": "1"},
    ),
    ("item.defined.v1", {"company": "shop", "item": "phone", "tracking": "serial", "serial_series": "S-.######"}),
    ("item.defined.v1", {"company": "shop", "item": "lamp", "tracking": "serial"}),
    ("item.defined.v1", {"company": "shop", "item": "cream", "tracking": "batch", "create_batches_on_receipt": True}),
)
_CODES = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
_PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
_UNFINISHED = """
SELECT 'stuck ' || item FROM ledger.stuck UNION ALL SELECT 'waiting in the ledger ' || id FROM ledger.waiting
UNION ALL SELECT 'dirty ' || item FROM ledger.dirty UNION ALL SELECT 'parked in the ledger ' || error FROM ledger.parked
UNION ALL SELECT 'parked in accounting ' || error FROM accounting.parked
UNION ALL SELECT 'not in aftercare ' || source || ' ' || id FROM (
    SELECT source, id FROM receiving.units_allocated EXCEPT SELECT source, id FROM aftercare.movement) AS untold
UNION ALL SELECT 'not booked ' || id FROM (SELECT source, id FROM receiving.movement WHERE allocated IS NOT NULL
    EXCEPT SELECT source, id FROM accounting.movement) AS missing
"""


class Plant:
    """The three services on a broker and a database of their own; turned by hand."""

    def __init__(self, broker: Broker, database_url: str) -> None:
        self.broker = broker
        self.engine = open_engine(database_url)
        self.metrics = Metrics()
        self._publisher = broker.publisher()
        self._definitions = 0
        settings = Settings(sweep_every=0.2)
        gate = receiving.service(lambda: CLOCK, Limits(patience=timedelta(0)), {"boss"})
        self._workers = [
            Worker(each, broker, self.engine, settings, meter=self.metrics.meter(each.name))
            for each in (gate, ledger.service(), accounting.service(), aftercare.service())
        ]
        broker.declare()

    def define(self) -> None:
        """Define the shop; each time under new ids."""
        self._definitions += 1
        for number, (kind, data) in enumerate(SHOP):
            event = make_event(kind, "fuzz", data, f"shop {self._definitions}.{number}")
            self._publisher.publish([event.message()])

    def settle(self) -> None:
        """Work until three rounds have found nothing to do."""
        quiet = 0
        while quiet < 3:
            try:
                quiet = 0 if sum(worker.turn(0.0) for worker in self._workers) else quiet + 1
            except Retryable:
                quiet = 0

    def results(self) -> dict[str, int]:
        """What became of the inputs at the gate: `accepted`, `rejected CODE`, `parked CODE`, ..."""
        return {
            f"{each.labels['result']} {each.labels['reason']}".strip(): int(each.value)
            for family in self.metrics.registry.collect()
            for each in family.samples
            if each.name == Metric.RESULTS.value.name and each.labels["service"] == "receiving"
        }

    def faults(self) -> Iterator[str]:
        """What is not as it should be once everything has settled."""
        known = set(_CODES.findall(_PAGE.read_text("utf-8")))
        for result in self.results():
            kind, _, code = result.partition(" ")
            if (kind == "parked" and code not in PARKED) or (code and code not in known):
                yield f"{result}: no code for that"
        yield from (f"unprocessable: {error}" for (error,) in rows(self.engine, _SPOILED))
        yield from (unfinished for (unfinished,) in rows(self.engine, _UNFINISHED))
        yield from (f"{depth} left in {name}" for name in SERVICES if (depth := self.broker.depth(name)))
        try:
            assert_sound(self.engine)
        except AssertionError as error:
            yield f"unsound: {traceback.format_exception(error)[-2].strip()} {str(error)[:500]}"

    def close(self) -> None:
        """Give back the connections."""
        for worker in self._workers:
            worker.close()
        self._publisher.close()
        self.broker.close()
        self.engine.dispose()


_SPOILED = "SELECT DISTINCT error FROM receiving.parked WHERE reason IN ('unprocessable', 'invariant_broken')"


@contextmanager
def database() -> Iterator[str]:
    """A migrated database on a server of this run."""
    with servers.postgres() as server, servers.fresh_database(server) as url:
        engine = sa.create_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


def run(tally: Tally, count: int) -> None:
    """Have so many inputs worked on, a set at a time, through the broker inside the process."""
    with database() as url:
        plant = Plant(EmbeddedBroker(), url)
        play(plant, tally, count)
        plant.close()


def play(plant: Plant, tally: Tally, count: int) -> None:
    """Send inputs to an embedded broker and have them worked on; then look whether all is well."""
    random = Random(tally.seed)
    assert isinstance(plant.broker, EmbeddedBroker)
    while tally.inputs < count:
        if tally.inputs % DEFINED_AGAIN == 0:
            plant.define()
        portion = [make(random) for _ in range(min(AT_ONCE, count - tally.inputs))]
        portion.sort(key=lambda made: made.routing_key)  # of one type they make larger sets
        for number, made in enumerate(portion):
            # The fanout behind the gate would keep what has no known routing key: here all of it is to be judged.
            message = Message(INTAKE, "movement.requested.v1", made.body, str(number), headers=dict(made.headers))
            plant.broker.publisher(made.user).publish([message])
        with tally.timed(f"inputs {tally.inputs} and following"):
            plant.settle()
        tally.inputs += len(portion)
        if tally.inputs >= count // 5:
            tally.warm()
    tally.results.update(plant.results())
    tally.findings += plant.faults()


def run_on_rabbitmq(tally: Tally, count: int) -> None:
    """The same through a real RabbitMQ, with whatever properties, headers and routing keys a client can send."""
    with database() as url, servers.rabbitmq() as server:
        broker_url = server.vhost()
        plant = Plant(connect(broker_url), url)
        play_on_rabbitmq(plant, broker_url, tally, count)
        plant.close()


def play_on_rabbitmq(plant: Plant, broker_url: str, tally: Tally, count: int) -> None:
    """Send inputs as a stranger's client would and have them worked on; then look whether all is well."""
    random = Random(tally.seed)
    plant.define()
    unsent = 0
    while tally.inputs < count:
        portion = [make(random) for _ in range(min(AT_ONCE, count - tally.inputs))]
        unsent += sum(not sent for sent in _send(broker_url, portion, random))
        with tally.timed(f"inputs {tally.inputs} and following"):
            plant.settle()
        tally.inputs += len(portion)
        tally.warm()
    while any(map(plant.broker.depth, SERVICES)):
        plant.settle()
    tally.results.update(plant.results())
    tally.results.update({"not sent": unsent, "unrouted": plant.broker.depth(UNROUTED)})
    tally.findings += plant.faults()
    tally.findings += [f"{name}.dead is not empty" for name in SERVICES if plant.broker.depth(f"{name}.dead")]


def _send(url: str, portion: Sequence[Made], random: Random) -> Iterator[bool]:
    """Publish with confirms; False for what the client or the broker would not take."""
    address = sa.engine.make_url(url)
    with amqp.Connection(
        f"{address.host}:{address.port}", address.username, address.password, virtual_host=address.database
    ) as connection:
        for made in portion:
            channel = connection.channel()
            try:
                message = amqp.Message(made.body, application_headers=dict(made.headers), **_properties(random))
                channel.basic_publish_confirm(message, exchange=INTAKE, routing_key=_routing_key(made, random))
                yield True
            except (ValueError, TypeError, OverflowError, AttributeError, struct.error, amqp.AMQPError):
                yield False
            with suppress(amqp.AMQPError):
                channel.close()


def _properties(random: Random) -> dict[str, Any]:
    """Properties of a message as a careless or hostile client may set them."""
    if random.random() < 0.5:
        return {}
    odd = {
        "content_type": random.choice(("text/plain", "application/cloudevents+json", "x" * 255, Raw(b"\xff\xfe"))),
        "content_encoding": random.choice(("gzip", "utf-16", "binary", Raw(b"\xff"))),
        "delivery_mode": random.choice((0, 1, 2, 255)),
        "priority": random.choice((0, 255)),
        "correlation_id": random.choice(("", "\0", Raw(b"\xc0"))),
        "expiration": "60000",
        "message_id": random.choice(("", "x" * 255, "\u202e")),
        "timestamp": random.choice((0, 2**40, 2**63)),
        "type": Raw(b"\x80"),
        "user_id": random.choice(("guest", "till", "")),
    }
    return {name: odd[name] for name in random.sample(sorted(odd), random.choice((1, 3)))}


def _routing_key(made: Made, random: Random) -> str:
    if random.random() < 0.9:
        return made.routing_key
    return random.choice(("movement.requested.v1.", "movement.requested.v1.\u202e", Raw(b"movement.requested.v1.\xff")))
