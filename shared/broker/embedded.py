"""A broker inside the process, for the set-up that needs no RabbitMQ: the same topology, the same promises.

The idea: one lock for everything, and a queue that is a deque. It keeps its promises as long as the process lives
(unacknowledged messages come again, mandatory ones come back); what still waits when the process ends is gone. There
is no delivery limit: a message that kills its worker kills this broker too.
"""

import operator
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Condition
from time import monotonic

from shared.broker.interface import (
    BrokerUnavailable,
    Consumer,
    Delivery,
    Message,
    NotOutstanding,
    Publisher,
    QueueVanished,
    Unroutable,
    unroutable,
)
from shared.broker.lanes import SET, Turns, queues_with, with_lanes
from shared.broker.topology import Binding, Exchange, matches


@dataclass(slots=True)
class _Entry:
    """A message in a queue, and how often it was given back."""

    message: Message
    user: str | None = None
    returned: int = 0


_Ready = deque[_Entry]


class EmbeddedBroker:
    """A broker for the threads of one process. See `interface.Broker`."""

    def __init__(self, lanes: Iterable[str] = ()) -> None:
        self.changed = Condition()  # guards everything here and in the consumers
        self._topology = with_lanes(lanes)
        self._exchanges: dict[str, Exchange] = {}
        self._queues: dict[str, _Ready] = {}
        self._bindings: dict[Binding, None] = {}
        self._temporary = count(1)
        self._closed = False

    def declare(self) -> None:
        """See `interface.Broker`."""
        with self.changed:
            self._exchanges.update((exchange.name, exchange) for exchange in self._topology.exchanges)
            for queue in self._topology.queues:
                self._queues.setdefault(queue.name, deque())
            self._bindings.update(dict.fromkeys(self._topology.bindings))

    def consumer(self, queue: str, prefetch: int) -> Consumer:
        """See `interface.Broker`."""
        with self.changed:
            names = queues_with(self._topology, queue)
            return _EmbeddedConsumer(self, queue, [self._known(name) for name in names], prefetch)

    def publisher(self, user: str | None = None) -> Publisher:
        """See `interface.Broker`. Nobody logs in here: `user` is taken for the account that does."""
        return _EmbeddedPublisher(self, user)

    def depth(self, queue: str) -> int:
        """See `interface.Broker`."""
        with self.changed:
            return len(self._known(queue))

    def bind_temporary(self, exchange: str, routing_keys: Sequence[str]) -> Consumer:
        """See `interface.Broker`."""
        with self.changed:
            self.check_open()
            if exchange not in self._exchanges:
                raise QueueVanished("there is no such exchange", exchange=exchange)
            name = f"temporary.{next(self._temporary)}"
            queue = self._queues[name] = deque()
            self._bindings.update((Binding(exchange, key, name), None) for key in routing_keys)
            return _EmbeddedConsumer(self, name, [queue], prefetch=0, temporary=True)

    def close(self) -> None:
        """Nothing can be published or taken any more: who waits is woken with `BrokerUnavailable`."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    # What follows is for publishers and consumers, which hold the lock.

    def check_open(self) -> None:
        """Raises `BrokerUnavailable` once the broker is closed."""
        if self._closed:
            raise BrokerUnavailable("the broker in this process is closed")

    def put(self, message: Message, user: str | None = None) -> bool:
        """Put `message` into every queue that takes it; whether one did. Raises `Unroutable` without its exchange."""
        exchange = self._exchanges.get(message.exchange)
        if exchange is None:
            raise Unroutable("an exchange is missing", exchange=message.exchange)
        queues = self._route(exchange, message.routing_key)
        for name in queues:
            self._queues[name].append(_Entry(message, user))
        return bool(queues)

    def give_back(self, queue: _Ready, entries: Sequence[_Entry]) -> None:
        """Put `entries` in front again, in their order."""
        queue.extendleft(_Entry(entry.message, entry.user, entry.returned + 1) for entry in reversed(entries))
        self.changed.notify_all()

    def forget(self, name: str) -> None:
        """Remove a temporary queue."""
        del self._queues[name]
        self._bindings = {binding: None for binding in self._bindings if binding.queue != name}

    def _known(self, name: str) -> _Ready:
        self.check_open()
        if name not in self._queues:
            raise QueueVanished("there is no such queue", queue=name)
        return self._queues[name]

    def _route(self, exchange: Exchange, key: str) -> set[str]:
        fits = _FITS[exchange.kind]
        queues = {b.queue for b in self._bindings if b.exchange == exchange.name and fits(b.key, key)}
        alternate = exchange.arguments.get("alternate-exchange")
        if not queues and alternate:
            return self._route(self._exchanges[alternate], key)
        return queues


class _EmbeddedPublisher:
    """See `interface.Publisher`: a message that was put into its queues is confirmed."""

    def __init__(self, broker: EmbeddedBroker, user: str | None) -> None:
        self._broker = broker
        self._user = user

    def publish(self, messages: Sequence[Message]) -> None:
        try:
            self._publish(messages)
        except Unroutable:
            self._broker.declare()
            raise

    def beat(self) -> None:
        """There is no connection to keep alive."""

    def close(self) -> None:
        """There is no connection to close."""

    def _publish(self, messages: Sequence[Message]) -> None:
        with self._broker.changed:
            self._broker.check_open()
            returned = [each for each in messages if not self._broker.put(each, self._user) and each.mandatory]
            self._broker.changed.notify_all()
        if returned:
            raise unroutable(returned)


class _EmbeddedConsumer:
    """See `interface.Consumer`."""

    def __init__(
        self, broker: EmbeddedBroker, name: str, queues: Sequence[_Ready], prefetch: int, *, temporary: bool = False
    ) -> None:
        self._broker = broker
        self._name = name
        self._queues = queues
        self._turns = Turns(len(queues))
        self._prefetch = prefetch or sys.maxsize
        self._temporary = temporary
        self._tags = count(1)
        self._outstanding: dict[int, tuple[_Ready, _Entry]] = {}
        self._closed = False

    def drain(self, limit: int, timeout: float, linger: float = 0.0) -> list[Delivery]:
        with self._broker.changed:
            self._wait_for_one(timeout)
            if len(self._queues) > 1:
                return self._take_in_turn(min(limit, SET))
            taken = self._take(limit)
            deadline = monotonic() + linger
            while 1 < len(taken) < limit and self._wait_for_one(min(deadline - monotonic(), linger / 4)):
                taken += self._take(limit - len(taken))
            return taken

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        with self._broker.changed:
            self._withdraw(deliveries)
            self._broker.changed.notify_all()

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        with self._broker.changed:
            self._give_back(self._withdraw(deliveries))

    def beat(self) -> None:
        """There is no connection to keep alive."""

    def close(self) -> None:
        with self._broker.changed:
            if self._closed:
                return
            self._closed = True
            self._give_back(list(self._outstanding.values()))
            self._outstanding.clear()
            if self._temporary:
                self._broker.forget(self._name)

    def _wait_for_one(self, timeout: float) -> bool:
        """Whether a message can be taken, at once or within `timeout` seconds."""
        return self._broker.changed.wait_for(self._can_take, timeout)

    def _can_take(self) -> bool:
        self._check_open()
        return any(self._queues) and len(self._outstanding) < self._prefetch

    def _take(self, limit: int) -> list[Delivery]:
        (queue,) = self._queues
        room = min(limit, self._prefetch - len(self._outstanding), len(queue))
        return [self._hand_out(queue) for _ in range(room)]

    def _take_in_turn(self, limit: int) -> list[Delivery]:
        room = min(limit, self._prefetch - len(self._outstanding))
        return [self._hand_out(self._queues[number]) for number in self._turns.deal(self._queues, room, _size)]

    def _hand_out(self, queue: _Ready) -> Delivery:
        number = next(self._tags)
        entry = queue.popleft()
        self._outstanding[number] = (queue, entry)
        message = entry.message
        return Delivery(
            body=message.body,
            routing_key=message.routing_key,
            headers=dict(message.headers),
            delivery_count=entry.returned,
            redelivered=entry.returned > 0,
            tag=(self, number),
            user=entry.user,
        )

    def _give_back(self, held: Sequence[tuple[_Ready, _Entry]]) -> None:
        for queue in self._queues:
            self._broker.give_back(queue, [entry for origin, entry in held if origin is queue])

    def _withdraw(self, deliveries: Sequence[Delivery]) -> list[tuple[_Ready, _Entry]]:
        """Take `deliveries` out of this consumer's hands; the entries in the order in which they came."""
        self._check_open()
        numbers = sorted({number for consumer, number in (d.tag for d in deliveries) if consumer is self})
        if len(numbers) != len(deliveries) or not self._outstanding.keys() >= set(numbers):
            raise NotOutstanding("a delivery is not in this consumer's hands", queue=self._name)
        return [self._outstanding.pop(number) for number in numbers]

    def _check_open(self) -> None:
        self._broker.check_open()
        if self._closed:
            raise BrokerUnavailable("this consumer is closed", queue=self._name)


def _size(entry: _Entry) -> int:
    return len(entry.message.body)


_FITS: dict[str, Callable[[str, str], bool]] = {
    "topic": matches,
    "direct": operator.eq,
    "fanout": lambda _pattern, _key: True,
}
