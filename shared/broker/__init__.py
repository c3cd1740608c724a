"""The broker: how messages get from one service to the next. The only place that knows kombu.

Services ask `connect` for a broker and use it through `interface`; RabbitMQ and the broker inside the process behave
alike as far as one process can.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from shared.broker.brake import Brake
from shared.broker.connection import HEARTBEAT, Forbidden, Link, open_link
from shared.broker.consuming import RENEW_AFTER, RabbitConsumer
from shared.broker.declaring import complete, declare
from shared.broker.embedded import EmbeddedBroker
from shared.broker.interface import (
    Broker,
    BrokerUnavailable,
    ConfirmTimeout,
    Consumer,
    Delivery,
    Message,
    NotOutstanding,
    Publisher,
    QueueVanished,
    Refused,
    Unroutable,
)
from shared.broker.lanes import queues_with, with_lanes
from shared.broker.publishing import RabbitPublisher
from shared.errors import Fatal

__all__ = [
    "Broker",
    "BrokerUnavailable",
    "ConfirmTimeout",
    "Consumer",
    "Delivery",
    "EmbeddedBroker",
    "Message",
    "NotOutstanding",
    "Publisher",
    "QueueVanished",
    "RabbitBroker",
    "Refused",
    "Unroutable",
    "connect",
]

CONFIRM_TIMEOUT = 5.0  # seconds without any confirm
_LISTENING_PREFETCH = 1_000
_NO_HEARTBEAT = 0  # of a connection on which nothing is said for long


def connect(url: str | None, lanes: Iterable[str] = ()) -> Broker:
    """The broker at `url`: `amqp://…` or `amqps://…`, several separated by `;` for the nodes of a cluster.

    None or `embedded://` is a new broker inside this process: hand the one object to all who are to meet on it.
    `lanes` are the sources that have one. No connection is made yet. Raises `Fatal` for any other kind of URL.
    """
    if url is None or url.startswith("embedded:"):
        return EmbeddedBroker(lanes)
    urls = url.split(";")
    for scheme in (one.partition(":")[0] for one in urls):
        if scheme not in ("amqp", "amqps"):
            raise Fatal("a broker's URL begins with amqp://, amqps:// or embedded://", scheme=scheme)
    return RabbitBroker(urls, lanes=lanes)


class RabbitBroker:
    """RabbitMQ, 3.10 or newer. See `interface.Broker`.

    Every consumer and every publisher has a connection of its own: on a shared one a publish might read deliveries,
    and a broker that blocks publishers would block consumers too.
    """

    def __init__(
        self,
        urls: Sequence[str],
        heartbeat: int = HEARTBEAT,
        confirm_timeout: float = CONFIRM_TIMEOUT,
        renew_after: float = RENEW_AFTER,
        lanes: Iterable[str] = (),
    ) -> None:
        self._urls = tuple(urls)
        self._topology = with_lanes(lanes)
        self._heartbeat = heartbeat
        self._confirm_timeout = confirm_timeout
        self._renew_after = renew_after
        self._may_declare = True

    def declare(self) -> None:
        """See `interface.Broker`. An account that may not make all of it makes what it may, once that is missing."""
        if self._may_declare:
            link = self._link()
            try:
                declare(link, self._topology)
            except Forbidden:
                self._may_declare = False  # asked once: the broker notes each refusal in its log
            else:
                link.close()
                return
        complete(self._link, self._topology)

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        """See `interface.Broker`."""
        queues = queues_with(self._topology, queue)
        brake = Brake(partial(open_link, self._urls, _NO_HEARTBEAT)) if len(queues) > 1 else None
        return RabbitConsumer(self._link(), queues, prefetch, self._renew_after, brake)

    def publisher(self) -> Publisher:
        """See `interface.Broker`."""
        return RabbitPublisher(self._link, self.declare, self._confirm_timeout)

    def depth(self, queue: str) -> int:
        """See `interface.Broker`. It connects for the question alone: some milliseconds."""
        link = self._link()
        with link.talking(queue=queue):
            answer = link.channel.queue_declare(queue, passive=True)
        link.close()
        return int(answer.message_count)

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        """See `interface.Broker`. What is published while the connection is lost is not heard."""
        link = self._link()
        with link.talking(exchange=exchange):
            queue = link.channel.queue_declare(exclusive=True, auto_delete=False).queue  # goes with its connection
            for routing_key in routing_keys:
                link.channel.queue_bind(queue, exchange, routing_key)
        return RabbitConsumer(link, [queue], _LISTENING_PREFETCH, self._renew_after)

    def close(self) -> None:
        """See `interface.Broker`. There is nothing to let go of."""

    def _link(self) -> Link:
        return open_link(self._urls, self._heartbeat)
