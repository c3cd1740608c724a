"""What stands on the broker: exchanges, queues and bindings as plain data, the one source for all that need it.

The idea: each exchange answers the question "what if nobody takes this message?" in its own way. At the gate
(`stock.intake`) it is kept in `stock.unrouted` for a person to see; between services (`stock.work`) it goes back to
its publisher, which is why that exchange has neither an alternate exchange nor a catch-all binding; what is told to
others (`stock.events`) may go unheard.

Only arguments that correctness needs stand here. Limits that operations may want to change are policies.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

INTAKE = "stock.intake"
WORK = "stock.work"
EVENTS = "stock.events"
DEAD = "stock.dead"
UNROUTED = "stock.unrouted"

RECEIVING = "receiving"
LEDGER = "ledger"
ACCOUNTING = "accounting"
AFTERCARE = "aftercare"

INTAKE_TYPES = (
    "movement.requested.v1",
    "company.defined.v1",
    "item.defined.v1",
    "warehouse.defined.v1",
    "batch.defined.v1",
    "serial.defined.v1",
    "accounts.defined.v1",
    "source.defined.v1",
    "batch.held.v1",
    "batch.released.v1",
    "period.closed.v1",
    "period.reopened.v1",
    "source.manifest.v1",
    "reservation.requested.v1",
    "reservation.released.v1",
    "count.opened.v1",
    "count.reported.v1",
    "count.accepted.v1",
    "count.cancelled.v1",
    "recall.opened.v1",
    "recall.reached.v1",
    "recall.closed.v1",
)
"""The types that receiving takes; a further type is a further line here."""

AFTERCARE_TYPES = (
    "coverage.added.v1",
    "coverage.ended.v1",
    "claim.opened.v1",
    "claim.updated.v1",
    "serial.moved.v1",
    "serial.attributed.v1",
    "maintenance.planned.v1",
    "maintenance.ended.v1",
    "visit.done.v1",
)
"""The types that aftercare takes."""

PARTITIONS = 64
DELIVERY_LIMIT = 20
"""A message that was given back this often goes to the dead at its next return: it kills whoever touches it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange; all of ours are durable. `kind` is `topic`, `direct` or `fanout`."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of `exchange` whose routing key fits `key` go to `queue`."""

    exchange: str
    key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Topology:
    """All that stands on the broker; queues only ever refer to exchanges that are named here."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def partition(key: str) -> str:
    """The last word of a routing key at the gate, `p00` to `p63`: equal keys go to one worker.

    It keeps hot rows with one worker, nothing more; a publisher that leaves it out is served all the same.
    """
    return f"p{zlib.crc32(key.encode()) % PARTITIONS:02d}"


@lru_cache(maxsize=8192)
def matches(pattern: str, key: str) -> bool:
    """Whether a topic exchange takes `key` for `pattern`: `*` is one word, `#` is any number of words, none too."""
    return _words_match(_words(pattern), _words(key))


def definitions(topology: "Topology", vhost: str = "/") -> dict[str, list[dict[str, Any]]]:
    """The same topology in the form of RabbitMQ's definitions file, for a broker that is set up at its start."""
    common = {"vhost": vhost, "durable": True, "auto_delete": False}
    return {
        "exchanges": [
            {"name": e.name, "type": e.kind, "internal": False, "arguments": dict(e.arguments), **common}
            for e in topology.exchanges
        ],
        "queues": [{"name": q.name, "arguments": dict(q.arguments), **common} for q in topology.queues],
        "bindings": [
            {
                "source": b.exchange,
                "vhost": vhost,
                "destination": b.queue,
                "destination_type": "queue",
                "routing_key": b.key,
                "arguments": {},
            }
            for b in topology.bindings
        ],
    }


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


def _words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_words_match(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _words_match(pattern[1:], words[1:])


def service_queue(name: str, service: str) -> Queue:
    """A queue that a service works on: replicated, and with dead letters that survive a crash of the broker.

    Dead letters are safe only with `at-least-once`, which in turn needs `reject-publish`.
    """
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": service,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(name, arguments)


def _kept(name: str) -> Queue:
    """A queue that nobody consumes: what lies there is for a person to look at."""
    return Queue(name, {"x-queue-type": "quorum"})


SERVICES = (RECEIVING, LEDGER, ACCOUNTING, AFTERCARE)

TOPOLOGY = Topology(
    exchanges=(
        Exchange(UNROUTED, "fanout"),
        Exchange(INTAKE, "topic", {"alternate-exchange": UNROUTED}),
        Exchange(WORK, "direct"),
        Exchange(EVENTS, "topic"),
        Exchange(DEAD, "direct"),
    ),
    queues=(
        _kept(UNROUTED),
        *(_kept(f"{service}.dead") for service in SERVICES),
        *(service_queue(service, service) for service in SERVICES),
    ),
    bindings=(
        Binding(UNROUTED, "", UNROUTED),
        *(Binding(DEAD, service, f"{service}.dead") for service in SERVICES),
        # `#` is none too: the type by itself and the type with its partition.
        *(Binding(INTAKE, f"{type_}.#", RECEIVING) for type_ in INTAKE_TYPES),
        *(Binding(INTAKE, f"{type_}.#", AFTERCARE) for type_ in AFTERCARE_TYPES),
        Binding(WORK, LEDGER, LEDGER),
        Binding(WORK, ACCOUNTING, ACCOUNTING),
        Binding(WORK, AFTERCARE, AFTERCARE),
    ),
)
