"""Taking messages from RabbitMQ.

The idea: the library's callback only puts a message aside, and `drain` hands out what lies there. So no work is ever
done inside the library, where an exception of ours would tear the connection.

RabbitMQ does not always tell a consumer that it lost its queue: one that is deleted and declared again within some
milliseconds counts the old consumer as its own, gives it messages, and none of them arrives. So a consumer that has
nothing in hand and hears nothing for a while subscribes anew.
"""

from collections import deque
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import Any

from shared.broker.connection import Link
from shared.broker.interface import Delivery, NotOutstanding, QueueVanished

RENEW_AFTER = 10.0  # seconds without a message
_subscriptions = count(1)


class RabbitConsumer:
    """A consumer of one queue on a link of its own. See `interface.Consumer`."""

    def __init__(self, link: Link, queue: str, prefetch: int, renew_after: float = RENEW_AFTER) -> None:
        self._link = link
        self._queue = queue
        self._prefetch = prefetch
        self._renew_after = renew_after
        self._outstanding: set[int] = set()
        self._cancelled = False
        with link.talking(queue=queue):
            self._subscribe()

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        """See `interface.Consumer`."""
        with self._link.talking(queue=self._queue):
            self._renew_if_silent()
            self._wait_for_first(timeout)
            while len(self._arrived) < limit and self._link.read(0):
                pass
            self._wait_for_company(limit, linger)
        # What came before its queue vanished is still worked on: it is nowhere else any more.
        if self._cancelled and not self._arrived:
            raise QueueVanished("the queue was deleted under its consumer", queue=self._queue)
        deliveries = [self._hand_out() for _ in range(min(limit, len(self._arrived)))]
        if deliveries:
            self._heard = monotonic()
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""
        tags = self._own(deliveries)
        if not tags:
            return
        with self._link.talking(queue=self._queue):
            if len(tags) == sum(tag <= tags[-1] for tag in self._outstanding):
                self._link.channel.basic_ack(tags[-1], multiple=True)
            else:
                for tag in tags:
                    self._link.channel.basic_ack(tag)
        self._outstanding.difference_update(tags)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""
        tags = self._own(deliveries)
        with self._link.talking(queue=self._queue):
            for tag in tags:
                self._link.channel.basic_reject(tag, requeue=True)
        self._outstanding.difference_update(tags)

    def beat(self) -> None:
        """See `interface.Consumer`."""
        with self._link.talking(queue=self._queue):
            self._link.beat()

    def close(self) -> None:
        """See `interface.Consumer`."""
        self._link.close()

    def _on_cancel(self, _consumer_tag: str) -> None:
        self._cancelled = True

    def _subscribe(self) -> None:
        self._number = next(_subscriptions)  # part of every tag: one of another channel is never acknowledged here
        self._arrived: deque[Any] = deque()
        self._heard = monotonic()
        self._link.channel.basic_qos(0, self._prefetch, False)
        # Without on_cancel the consumer of a quorum queue does not hear that its queue was deleted.
        self._link.channel.basic_consume(self._queue, callback=self._arrived.append, on_cancel=self._on_cancel)

    def _renew_if_silent(self) -> None:
        in_hand = self._outstanding or self._arrived
        if not (in_hand or self._cancelled) and monotonic() - self._heard > self._renew_after:
            self._link.renew_channel()
            self._subscribe()

    def _wait_for_first(self, timeout: float) -> None:
        deadline = monotonic() + timeout
        while not (self._arrived or self._cancelled) and self._link.read(max(0.0, deadline - monotonic())):
            pass

    def _wait_for_company(self, limit: int, linger: float) -> None:
        """Stay while more keeps coming: a pause of a quarter of `linger` ends it."""
        deadline = monotonic() + linger
        while 1 < len(self._arrived) < limit:
            left = min(deadline - monotonic(), linger / 4)
            if left <= 0 or not self._link.read(left):
                break

    def _hand_out(self) -> Delivery:
        message = self._arrived.popleft()
        about = message.delivery_info
        headers = message.properties.get("application_headers") or {}
        returned = headers.get("x-delivery-count", 0)
        self._outstanding.add(about["delivery_tag"])
        return Delivery(
            body=message.body or b"",  # the library gives an empty body as text
            routing_key=about["routing_key"],
            headers=headers,
            delivery_count=returned if isinstance(returned, int) else 0,  # a stranger may have set it to anything
            redelivered=about["redelivered"],
            tag=(self._number, about["delivery_tag"]),
            user=message.properties.get("user_id"),
        )

    def _own(self, deliveries: Sequence[Delivery]) -> list[int]:
        """The tags of `deliveries`, ascending; all of them must be in this consumer's hands."""
        tags = sorted({tag for number, tag in (d.tag for d in deliveries) if number == self._number})
        if len(tags) != len(deliveries) or not self._outstanding.issuperset(tags):
            raise NotOutstanding("a delivery is not in this consumer's hands", queue=self._queue)
        return tags
