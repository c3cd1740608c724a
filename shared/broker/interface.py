"""What the services know of a broker: messages, deliveries, who gives and takes them, and what can go wrong.

There are two brokers behind it: RabbitMQ, and a small one inside the process for the embedded set-up. Every wait is
bounded, and every error says what to do next: those that derive from `Retryable` mean pause and try again (with a
new consumer, after `declare()` for `QueueVanished`), `Fatal` means stop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.errors import InvariantBroken, Retryable


class BrokerUnavailable(Retryable):
    """No broker answers, or the connection was lost. Deliveries taken through it will come again."""


class QueueVanished(Retryable):
    """A queue is not there, or not any more: declare the topology again and make a new consumer."""


class ConfirmTimeout(Retryable):
    """The broker took messages and did not confirm them in time: publish them again, some may arrive twice."""


class Refused(Retryable):
    """The broker did not take a message (its queue is full, or has lost its majority): publish again later."""


class Unroutable(Retryable):
    """No queue takes a message that must be taken. The topology has been declared again: publish again."""


class NotOutstanding(InvariantBroken):
    """A delivery is settled that this consumer did not give out, or that is settled already."""


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish. `message_id` is unique within one call of `publish`.

    `mandatory` asks for the message back if no queue takes it: so between services, never for events.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    mandatory: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came. `delivery_count` is how often it was given back before; `tag` means nothing to callers.

    `user` is the account that published it: the broker has compared it with the one that logged in. None: not told.
    """

    body: bytes
    routing_key: str
    headers: Mapping[str, Any]
    delivery_count: int
    redelivered: bool
    tag: Any
    user: str | None = None


def unroutable(returned: Sequence[Message]) -> Unroutable:
    """The error for messages that came back; it shows the first."""
    first = returned[0]
    return Unroutable(
        "no queue takes a message",
        exchange=first.exchange,
        routing_key=first.routing_key,
        message_id=first.message_id,
        returned=len(returned),
    )


class Consumer(Protocol):
    """Takes messages from one queue, and from its lanes. Used by one thread, closed by whoever made it."""

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        """Take up to `limit` messages, waiting at most `timeout` seconds for the first; none come: an empty list.

        After the first it takes what is there without waiting. Only if that was more than one message does it stay up
        to `linger` seconds for others, and only while they keep coming: a single message never waits for company.
        Raises `BrokerUnavailable` and `QueueVanished`; both mean that this consumer is done.
        """
        ...

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """These are done and never come again. Raises `BrokerUnavailable`, `NotOutstanding`."""
        ...

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back for anyone to take, one delivery up. Raises `BrokerUnavailable`, `NotOutstanding`."""
        ...

    def beat(self) -> None:
        """Keep the connection alive: call it each turn, at least every ten seconds. Raises `BrokerUnavailable`."""
        ...

    def close(self) -> None:
        """Let go; what was not acknowledged comes again. Never raises."""
        ...


class Publisher(Protocol):
    """Publishes messages that are sure to have arrived. Used by one thread, closed by whoever made it."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Return when the broker has confirmed every message and given none back.

        Raises `ConfirmTimeout`, `Refused`, `Unroutable`, `BrokerUnavailable` (and `Fatal`): then publish **all** of
        them again, through this same publisher, which connects anew. Some then arrive twice.
        """
        ...

    def beat(self) -> None:
        """Keep the connection alive: call it each turn, at least every ten seconds. Never raises for a lost one."""
        ...

    def close(self) -> None:
        """Let go. Never raises."""
        ...


class Broker(Protocol):
    """Where consumers and publishers come from. It may be used by several threads."""

    def declare(self) -> None:
        """Make the whole topology, or see that it stands. Raises `Fatal` where it stands otherwise or is forbidden."""
        ...

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        """Take from `queue`, at most `prefetch` messages unacknowledged (0: any number).

        If sources have lanes beside it, from all of these in turn, and few at a time: whatever `drain` is asked for.
        Raises `QueueVanished`, `BrokerUnavailable`.
        """
        ...

    def publisher(self) -> Publisher:
        """A publisher; it connects when it first publishes."""
        ...

    def depth(self, queue: str) -> int:
        """The number of messages that wait in `queue`, those in consumers' hands not counted."""
        ...

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        """Listen to an exchange through a queue that goes when its consumer does."""
        ...

    def close(self) -> None:
        """Let go of what the broker itself holds; consumers and publishers are closed by who made them."""
        ...
