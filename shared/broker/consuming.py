"""Taking messages from RabbitMQ.

The idea: the library's callback only puts a message aside, and `drain` hands out what lies there. So no work is ever
done inside the library, where an exception of ours would tear the connection. Of several queues it hands out in turn,
few at a time.

RabbitMQ does not always tell a consumer that it lost its queue: one that is deleted and declared again within some
milliseconds counts the old consumer as its own, gives it messages, and none of them arrives. So who has nothing of a
queue in hand and hears nothing from it for a while subscribes anew.
"""

from collections import deque
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import Any

from shared.broker.brake import REST, Brake
from shared.broker.connection import Link
from shared.broker.interface import Delivery, NotOutstanding, QueueVanished
from shared.broker.lanes import SET, SMALLEST_WINDOW, Turns, window

RENEW_AFTER = 10.0  # seconds without a message
_subscriptions = count(1)


class RabbitConsumer:
    """A consumer of queues on a link of its own. See `interface.Consumer`."""

    def __init__(
        self,
        link: Link,
        queues: Sequence[str],
        prefetch: int,
        renew_after: float = RENEW_AFTER,
        brake: Brake | None = None,
    ) -> None:
        self._link = link
        self._queue = queues[0]
        self._is_shared = len(queues) > 1
        self._turns = Turns(len(queues))
        self._brake = brake
        self._renew_after = renew_after
        self._renewed = monotonic()
        share = window(prefetch, len(queues))
        with link.talking(queue=self._queue):
            self._subscriptions = [_Subscription(link, queue, share) for queue in queues]

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        """See `interface.Consumer`."""
        limit = min(limit, SET) if self._is_shared else limit
        if self._brake is not None:
            self._brake.look(flooded=any(len(each.arrived) >= SMALLEST_WINDOW for each in self._subscriptions))
        with self._link.talking(queue=self._queue):
            self._read_what_is_there(limit)
            self._renew_the_most_silent()
            self._wait_for_first(timeout)
            self._read_what_is_there(limit)
            self._wait_for_company(limit, linger)
        if (vanished := self._vanished()) is not None:
            if vanished.arrived:  # still worked on: it is nowhere else any more
                return vanished.hand_out(limit)
            raise QueueVanished("the queue was deleted under its consumer", queue=vanished.queue)
        return self._in_turn(limit) if self._is_shared else self._subscriptions[0].hand_out(limit)

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""
        own = self._own(deliveries)
        with self._link.talking(queue=self._queue):
            for each, tags in own:
                each.acknowledge(tags)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""
        own = self._own(deliveries)
        with self._link.talking(queue=self._queue):
            for each, tags in own:
                each.requeue(tags)

    def beat(self) -> None:
        """See `interface.Consumer`."""
        with self._link.talking(queue=self._queue):
            self._link.beat()

    def close(self) -> None:
        """See `interface.Consumer`."""
        if self._brake is not None:
            self._brake.close()
        self._link.close()

    def _arrived(self) -> int:
        return sum(len(each.arrived) for each in self._subscriptions)

    def _vanished(self) -> "_Subscription | None":
        return next((each for each in self._subscriptions if each.cancelled), None)

    def _renew_the_most_silent(self) -> None:
        """One of many queues at a time: to subscribe is work for a broker, and most lanes are silent mostly."""
        most = min(self._subscriptions, key=lambda each: each.heard)
        now = monotonic()
        if now - max(most.heard, self._renewed) > self._renew_after and not (most.in_hand() or most.cancelled):
            most.renew()
            self._renewed = now

    def _read_what_is_there(self, limit: int) -> None:
        """Of several queues all that is under way, no more than their windows: else a flood hides what is behind it."""
        while (self._is_shared or self._arrived() < limit) and self._link.read(0):
            pass

    def _wait_for_first(self, timeout: float) -> None:
        deadline = monotonic() + timeout
        while not (any(self._ready()) or self._vanished()):
            left = max(0.0, deadline - monotonic())
            came = self._link.read(min(left, REST) if self._holds_back() else left)
            if not came and monotonic() >= deadline:
                break

    def _wait_for_company(self, limit: int, linger: float) -> None:
        """Stay while more keeps coming: a pause of a quarter of `linger` ends it."""
        deadline = monotonic() + linger
        while 1 < self._arrived() < limit:
            left = min(deadline - monotonic(), linger / 4)
            if left <= 0 or not self._link.read(left):
                break

    def _in_turn(self, limit: int) -> list[Delivery]:
        ready = self._ready()
        if self._holds_back():
            limit = min(limit, sum(map(bool, ready)))
        order = self._turns.deal(ready, limit, _size)
        return [delivery for number in order for delivery in self._subscriptions[number].hand_out(1)]

    def _ready(self) -> list[Sequence[Any]]:
        """By queue what may be handed out of it now."""
        if not self._holds_back():
            return [each.arrived for each in self._subscriptions]
        rested = monotonic() - REST
        return [each.arrived if each.heard <= rested else () for each in self._subscriptions]

    def _holds_back(self) -> bool:
        return self._brake is not None and self._brake.is_on

    def _own(self, deliveries: Sequence[Delivery]) -> list[tuple["_Subscription", list[int]]]:
        """The tags of `deliveries` by subscription, ascending; all of them must be in this consumer's hands."""
        given = {each.tag for each in deliveries}
        own = [(each, sorted(tag for number, tag in given if number == each.number)) for each in self._subscriptions]
        if sum(len(tags) for _, tags in own) != len(deliveries) or not all(
            each.outstanding.issuperset(tags) for each, tags in own
        ):
            raise NotOutstanding("a delivery is not in this consumer's hands", queue=self._queue)
        return [(each, tags) for each, tags in own if tags]


class _Subscription:
    """One queue on a channel of its own, and what of it is here; whoever calls is `talking` on the link."""

    def __init__(self, link: Link, queue: str, prefetch: int) -> None:
        self.queue = queue
        self.outstanding: set[int] = set()
        self.cancelled = False
        self._link = link
        self._prefetch = prefetch
        self._subscribe()

    def in_hand(self) -> bool:
        return bool(self.outstanding or self.arrived)

    def renew(self) -> None:
        self._channel.close()  # what was delivered on it and did not arrive goes back to its queue
        self._subscribe()

    def hand_out(self, limit: int) -> list[Delivery]:
        deliveries = [self._delivery(self.arrived.popleft()) for _ in range(min(limit, len(self.arrived)))]
        if deliveries:
            self.heard = monotonic()
        return deliveries

    def acknowledge(self, tags: Sequence[int]) -> None:
        if len(tags) == sum(tag <= tags[-1] for tag in self.outstanding):
            self._channel.basic_ack(tags[-1], multiple=True)
        else:
            for tag in tags:
                self._channel.basic_ack(tag)
        self.outstanding.difference_update(tags)

    def requeue(self, tags: Sequence[int]) -> None:
        for tag in tags:
            self._channel.basic_reject(tag, requeue=True)
        self.outstanding.difference_update(tags)

    def _subscribe(self) -> None:
        self.number = next(_subscriptions)  # part of every tag: one of another channel is never acknowledged here
        self.arrived: deque[Any] = deque()
        self.heard = monotonic()
        self._channel = self._link.open_channel()
        self._channel.basic_qos(0, self._prefetch, False)
        # Without on_cancel the consumer of a quorum queue does not hear that its queue was deleted.
        self._channel.basic_consume(self.queue, callback=self.arrived.append, on_cancel=self._on_cancel)

    def _on_cancel(self, _consumer_tag: str) -> None:
        self.cancelled = True

    def _delivery(self, message: Any) -> Delivery:
        about = message.delivery_info
        headers = message.properties.get("application_headers") or {}
        returned = headers.get("x-delivery-count", 0)
        self.outstanding.add(about["delivery_tag"])
        return Delivery(
            body=message.body or b"",  # the library gives an empty body as text
            routing_key=about["routing_key"],
            headers=headers,
            delivery_count=returned if isinstance(returned, int) else 0,  # a stranger may have set it to anything
            redelivered=about["redelivered"],
            tag=(self.number, about["delivery_tag"]),
            user=message.properties.get("user_id"),
        )


def _size(message: Any) -> int:
    return len(message.body or b"")
