"""What a broker promises. The first part holds for RabbitMQ and for the broker inside the process alike, the second for
RabbitMQ: lost connections, vanished queues, confirms that never come, messages that a stranger made unreadable.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import amqp
import pytest
from kombu.connection import Connection

from shared.broker import (
    Broker,
    BrokerUnavailable,
    ConfirmTimeout,
    Consumer,
    Delivery,
    EmbeddedBroker,
    Message,
    NotOutstanding,
    QueueVanished,
    RabbitBroker,
    Refused,
    Unroutable,
    connect,
)
from shared.broker.topology import ACCOUNTING, DELIVERY_LIMIT, EVENTS, INTAKE, LEDGER, RECEIVING, UNROUTED, WORK
from shared.errors import Fatal, Retryable


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def bare(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Either broker, with nothing declared."""
    broker = connect(None if request.param == "embedded" else request.getfixturevalue("vhost_url"))
    yield broker
    broker.close()


@pytest.fixture
def either(bare: Broker) -> Broker:
    """Either broker, ready."""
    bare.declare()
    return bare


@pytest.fixture
def rabbit(vhost_url: str) -> RabbitBroker:
    """RabbitMQ, ready."""
    broker = RabbitBroker([vhost_url])
    broker.declare()
    return broker


def message(number: int, exchange: str = WORK, key: str = LEDGER, mandatory: bool = True) -> Message:
    return Message(exchange, key, str(number).encode(), f"m{number}", mandatory)


def messages(count: int, start: int = 0, key: str = LEDGER) -> list[Message]:
    return [message(number, key=key) for number in range(start, start + count)]


def publish(broker: Broker, *sent: Message) -> None:
    publisher = broker.publisher()
    publisher.publish(sent)
    publisher.close()


def take(consumer: Consumer, count: int, within: float = 10) -> list[Delivery]:
    """Drain until `count` messages are there."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + within
    while len(taken) < count and time.monotonic() < deadline:
        taken += consumer.drain(count - len(taken), timeout=0.2)
    return taken


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [int(delivery.body) for delivery in deliveries]


def wait_for_depth(broker: Broker, queue: str, depth: int) -> None:
    deadline = time.monotonic() + 10
    while broker.depth(queue) != depth:
        assert time.monotonic() < deadline, f"{queue} has {broker.depth(queue)} messages, not {depth}"
        time.sleep(0.02)


# --- both brokers ----------------------------------------------------------------------------------------------------


def test_what_is_published_arrives_in_order_with_its_body_key_and_headers(either: Broker) -> None:
    sent = [
        Message(INTAKE, f"movement.requested.v1.p{n:02d}", bytes([n, 0, 255]), str(n), headers={"trace": f"t{n}"})
        for n in range(50)
    ]
    publish(either, *sent)
    taken = take(either.consumer(RECEIVING, prefetch=100), 50)
    assert [(d.routing_key, d.body, d.headers["trace"]) for d in taken] == [
        (m.routing_key, m.body, m.headers["trace"]) for m in sent
    ]
    assert {(d.delivery_count, d.redelivered) for d in taken} == {(0, False)}


def test_an_empty_body_arrives_as_no_bytes(either: Broker) -> None:
    publish(either, Message(WORK, LEDGER, b"", "1", mandatory=True))
    assert [d.body for d in take(either.consumer(LEDGER, 10), 1)] == [b""]


def test_a_mandatory_message_that_no_queue_takes_is_unroutable_and_names_its_key(either: Broker) -> None:
    publisher = either.publisher()
    with pytest.raises(Unroutable) as returned:
        publisher.publish([message(1), message(2, key="nobody"), message(3)])
    assert returned.value.facts["routing_key"] == "nobody"
    assert returned.value.facts["message_id"] == "m2"
    assert numbers(take(either.consumer(LEDGER, 10), 2)) == [1, 3]
    publisher.publish([message(4)])


def test_an_event_that_nobody_hears_is_published_all_the_same(either: Broker) -> None:
    publish(either, message(1, exchange=EVENTS, key="journal.posted.v1", mandatory=False))


def test_an_unknown_type_at_the_gate_is_kept_as_unrouted_even_if_mandatory(either: Broker) -> None:
    publish(either, message(1, exchange=INTAKE, key="movement.requested.v9.p01"))
    taken = take(either.consumer(UNROUTED, 10), 1)
    assert [d.routing_key for d in taken] == ["movement.requested.v9.p01"]
    assert either.depth(RECEIVING) == 0


@pytest.mark.parametrize("key", ["item.defined.v1", "item.defined.v1.p63", "batch.held.v1", "period.closed.v1.p00"])
def test_receiving_gets_a_type_with_and_without_its_partition(either: Broker, key: str) -> None:
    publish(either, message(1, exchange=INTAKE, key=key))
    assert [d.routing_key for d in take(either.consumer(RECEIVING, 10), 1)] == [key]


def test_publishing_before_anything_was_declared_declares_it(bare: Broker) -> None:
    publisher = bare.publisher()
    with pytest.raises(Unroutable):
        publisher.publish([message(1)])
    publisher.publish([message(1)])
    assert numbers(take(bare.consumer(LEDGER, 10), 1)) == [1]


def test_a_queue_that_is_not_declared_has_vanished(bare: Broker) -> None:
    with pytest.raises(QueueVanished):
        bare.consumer(LEDGER, 10)
    with pytest.raises(QueueVanished):
        bare.depth(LEDGER)
    with pytest.raises(QueueVanished):
        bare.bind_temporary(EVENTS, ["outcome.#"])


def test_declaring_twice_changes_nothing(either: Broker) -> None:
    publish(either, *messages(3))
    either.declare()
    assert numbers(take(either.consumer(LEDGER, 10), 3)) == [0, 1, 2]


def test_drain_returns_nothing_after_its_timeout_and_not_later(either: Broker) -> None:
    consumer = either.consumer(LEDGER, 10)
    begun = time.monotonic()
    assert consumer.drain(10, timeout=0.3, linger=5) == []
    assert 0.28 < time.monotonic() - begun < 2


def test_a_single_message_does_not_wait_for_company(either: Broker) -> None:
    consumer = either.consumer(LEDGER, 10)
    publish(either, message(1))
    begun = time.monotonic()
    assert numbers(consumer.drain(10, timeout=9, linger=9)) == [1]
    assert time.monotonic() - begun < 2


def test_lingering_ends_when_nothing_more_is_arriving(either: Broker) -> None:
    publish(either, *messages(5))
    wait_for_depth(either, LEDGER, 5)
    consumer = either.consumer(LEDGER, 10)
    begun = time.monotonic()
    taken = consumer.drain(10, timeout=5, linger=4)
    assert time.monotonic() - begun < 3
    assert numbers(taken + take(consumer, 5 - len(taken))) == [0, 1, 2, 3, 4]


def test_lingering_gathers_what_keeps_arriving(either: Broker) -> None:
    consumer, publisher = either.consumer(LEDGER, 100), either.publisher()

    def send() -> None:
        publisher.publish(messages(5))
        for number in range(5, 10):
            time.sleep(0.05)
            publisher.publish([message(number)])

    sender = threading.Thread(target=send)
    sender.start()
    while len(first := consumer.drain(100, timeout=5, linger=2)) == 1:  # the first may have come alone
        pass
    sender.join()
    assert numbers(first)[-1] == 9


def test_lingering_ends_after_its_time_though_more_keeps_arriving(either: Broker) -> None:
    stop = threading.Event()

    def send() -> None:
        publisher, number = either.publisher(), 0
        while not stop.is_set():
            publisher.publish(messages(2, start=number))
            number += 2
            time.sleep(0.01)
        publisher.close()

    sender = threading.Thread(target=send)
    sender.start()
    consumer = either.consumer(LEDGER, 10_000)
    timer = threading.Timer(10, stop.set)
    timer.start()
    begun = time.monotonic()
    while len(consumer.drain(10_000, timeout=5, linger=0.4)) == 1:  # one that came alone does not linger
        begun = time.monotonic()
    lasted = time.monotonic() - begun
    stop.set()
    timer.cancel()
    sender.join()
    assert lasted < 4


def test_drain_takes_no_more_than_its_limit_and_keeps_the_rest(either: Broker) -> None:
    publish(either, *messages(10))
    wait_for_depth(either, LEDGER, 10)
    consumer = either.consumer(LEDGER, 100)
    assert numbers(consumer.drain(4, timeout=5, linger=1)) == [0, 1, 2, 3]
    assert numbers(take(consumer, 6)) == [4, 5, 6, 7, 8, 9]


def test_no_more_than_the_prefetch_is_unacknowledged(either: Broker) -> None:
    publish(either, *messages(10))
    consumer = either.consumer(LEDGER, prefetch=3)
    held = take(consumer, 3)
    assert consumer.drain(10, timeout=0.2) == []
    consumer.acknowledge(held)
    assert numbers(take(consumer, 3)) == [3, 4, 5]


def test_what_was_acknowledged_at_once_does_not_come_again(either: Broker) -> None:
    publish(either, *messages(20))
    first = either.consumer(LEDGER, prefetch=100)
    taken = take(first, 20)
    first.acknowledge(taken[:15])
    first.close()
    again = take(either.consumer(LEDGER, 100), 5)
    assert numbers(again) == [15, 16, 17, 18, 19]


def test_acknowledging_some_leaves_those_between_unacknowledged(either: Broker) -> None:
    publish(either, *messages(6))
    first = either.consumer(LEDGER, prefetch=100)
    taken = take(first, 6)
    first.acknowledge([taken[1], taken[3], taken[5]])
    first.close()
    again = either.consumer(LEDGER, 100)
    assert numbers(take(again, 3)) == [0, 2, 4]
    assert again.drain(10, timeout=0.2) == []


def test_what_a_closed_consumer_held_comes_again_with_a_count(either: Broker) -> None:
    publish(either, *messages(3))
    first = either.consumer(LEDGER, prefetch=100)
    take(first, 3)
    first.close()
    again = take(either.consumer(LEDGER, 100), 3)
    assert numbers(again) == [0, 1, 2]
    assert {(d.delivery_count, d.redelivered) for d in again} == {(1, True)}


def test_what_is_requeued_comes_again_with_a_count(either: Broker) -> None:
    publish(either, *messages(3))
    consumer = either.consumer(LEDGER, prefetch=100)
    taken = take(consumer, 3)
    consumer.requeue(taken[1:2])
    again = take(consumer, 1)
    assert [(int(d.body), d.delivery_count) for d in again] == [(1, 1)]
    consumer.acknowledge([taken[0], taken[2], *again])
    consumer.close()
    wait_for_depth(either, LEDGER, 0)


def test_a_delivery_is_settled_once_and_by_the_consumer_that_took_it(either: Broker) -> None:
    publish(either, *messages(2))
    first, second = either.consumer(LEDGER, prefetch=1), either.consumer(LEDGER, prefetch=1)
    [delivery] = take(first, 1)
    take(second, 1)
    with pytest.raises(NotOutstanding):
        second.acknowledge([delivery])
    first.acknowledge([delivery])
    with pytest.raises(NotOutstanding):
        first.acknowledge([delivery])


def test_two_consumers_share_a_queue_without_taking_anything_twice(either: Broker) -> None:
    publish(either, *messages(40))
    first, second = either.consumer(LEDGER, prefetch=20), either.consumer(LEDGER, prefetch=20)
    assert sorted(numbers(take(first, 20) + take(second, 20))) == list(range(40))


def test_the_depth_counts_what_waits_and_not_what_is_held(either: Broker) -> None:
    publish(either, *messages(5))
    wait_for_depth(either, LEDGER, 5)
    consumer = either.consumer(LEDGER, prefetch=2)
    take(consumer, 2)
    wait_for_depth(either, LEDGER, 3)


def test_a_listener_hears_what_it_bound_to_and_nothing_else(either: Broker) -> None:
    listener = either.bind_temporary(EVENTS, ["outcome.*.v1.till-7", "journal.#"])
    heard = ["outcome.accepted.v1.till-7", "outcome.rejected.v1.till-7", "journal.posted.v1"]
    for number, key in enumerate([*heard, "outcome.accepted.v1.till-8", "stock.revalued.v1"]):
        publish(either, message(number, exchange=EVENTS, key=key, mandatory=False))
    assert [d.routing_key for d in take(listener, 3)] == heard
    assert listener.drain(10, timeout=0.2) == []


def test_two_listeners_each_hear_everything(either: Broker) -> None:
    listeners = [either.bind_temporary(EVENTS, ["#"]) for _ in range(2)]
    publish(either, *(message(n, exchange=EVENTS, key="journal.posted.v1", mandatory=False) for n in range(3)))
    assert [numbers(take(listener, 3)) for listener in listeners] == [[0, 1, 2], [0, 1, 2]]


def test_publishing_nothing_is_no_error(either: Broker) -> None:
    either.publisher().publish([])


def test_a_publisher_is_usable_again_after_it_was_closed(either: Broker) -> None:
    publisher = either.publisher()
    publisher.publish([message(1)])
    publisher.close()
    publisher.publish([message(2)])
    assert numbers(take(either.consumer(LEDGER, 10), 2)) == [1, 2]


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


class Wire:
    """A relay between us and the broker that can be cut, or can hold back what the broker says."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = target._replace(netloc=f"guest:guest@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self._ends: list[socket.socket] = []
        self._speaking = threading.Event()
        self._speaking.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def mute(self) -> None:
        """From now on nothing that the broker says arrives."""
        self._speaking.clear()

    def unmute(self) -> None:
        self._speaking.set()

    def cut(self) -> None:
        """Every connection ends now; new ones can be made."""
        for end in self._ends:
            shut(end)

    def close(self) -> None:
        shut(self._listener)
        self.unmute()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._target)
                self._ends += [ours, theirs]
                for way in ((ours, theirs, None), (theirs, ours, self._speaking)):
                    self._threads.append(threading.Thread(target=self._relay, args=way))
                    self._threads[-1].start()

    def _relay(self, source: socket.socket, target: socket.socket, allowed: threading.Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if allowed is not None:
                    allowed.wait()
                target.sendall(data)
        # Not closed: a socket that the other thread waits on would stay open behind our back.
        shut(source)
        shut(target)


def shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(vhost_url: str) -> Iterator[Wire]:
    wire = Wire(vhost_url)
    yield wire
    wire.close()


def delete_queue(url: str, queue: str) -> None:
    with Connection(url) as connection:
        connection.channel().queue_delete(queue)


def drained_until_it_fails(consumer: Consumer, within: float = 10) -> Exception:
    """Drain and acknowledge until drain raises; what it raised."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            consumer.acknowledge(consumer.drain(100, timeout=0.2))
        except (QueueVanished, BrokerUnavailable) as error:
            return error
    raise AssertionError("the consumer goes on draining")


def test_a_queue_deleted_under_load_is_noticed_by_both_sides_and_flow_goes_on(
    rabbit: RabbitBroker, vhost_url: str
) -> None:
    noticed, stop, after_return = threading.Event(), threading.Event(), list[int]()

    def load() -> None:
        publisher, number = rabbit.publisher(), 0
        while not stop.is_set():
            batch = messages(50, start=number, key=ACCOUNTING)
            number += 50
            try:
                publisher.publish(batch)
            except Unroutable:
                noticed.set()
                continue
            except Retryable:  # in the moment of the deletion RabbitMQ may close the connection (541) or not confirm
                continue
            if noticed.is_set():
                after_return.extend(range(number - 50, number))
        publisher.close()

    loader = threading.Thread(target=load)
    loader.start()
    try:
        consumer = rabbit.consumer(ACCOUNTING, prefetch=500)
        consumer.acknowledge(take(consumer, 500))
        delete_queue(vhost_url, ACCOUNTING)
        assert isinstance(drained_until_it_fails(consumer), QueueVanished)
        consumer.close()
        assert noticed.wait(20)

        rabbit.declare()
        consumer = rabbit.consumer(ACCOUNTING, prefetch=500)
        consumer.acknowledge(first := take(consumer, 500))
    finally:
        stop.set()
        loader.join()
    arrived = numbers(first)
    while more := consumer.drain(500, timeout=0.5):
        consumer.acknowledge(more)
        arrived += numbers(more)
    assert after_return
    assert set(after_return) <= set(arrived)


def test_a_queue_deleted_and_declared_again_at_once_is_served_again(rabbit: RabbitBroker, vhost_url: str) -> None:
    # RabbitMQ tells the consumer nothing, and gives the new queue's messages to it all the same: they do not arrive.
    broker = RabbitBroker([vhost_url], renew_after=0.5)
    consumer, publisher = broker.consumer(LEDGER, prefetch=100), broker.publisher()
    publisher.publish(messages(50))
    consumer.acknowledge(take(consumer, 50))
    delete_queue(vhost_url, LEDGER)
    broker.declare()
    publisher.publish(messages(50, start=50))
    try:
        arrived = take(consumer, 50)
    except QueueVanished:
        arrived = take(broker.consumer(LEDGER, prefetch=100), 50)
    assert numbers(arrived) == list(range(50, 100))


def test_a_consumer_that_hears_nothing_for_long_misses_nothing(rabbit: RabbitBroker, vhost_url: str) -> None:
    broker = RabbitBroker([vhost_url], renew_after=0)
    consumer, listener = broker.consumer(LEDGER, prefetch=100), broker.bind_temporary(EVENTS, ["#"])
    for number in range(20):
        publish(broker, message(number), message(number, exchange=EVENTS, mandatory=False))
        consumer.acknowledge(taken := take(consumer, 1))
        listener.acknowledge(heard := take(listener, 1))
        assert numbers(taken) == numbers(heard) == [number]
        assert consumer.drain(10, timeout=0.01) == []


def test_what_arrived_before_its_queue_was_deleted_is_still_handed_out(rabbit: RabbitBroker, vhost_url: str) -> None:
    publish(rabbit, *messages(10))
    consumer = rabbit.consumer(LEDGER, prefetch=100)
    held = take(consumer, 1)
    wait_for_depth(rabbit, LEDGER, 0)  # the other nine are with the consumer by now
    delete_queue(vhost_url, LEDGER)
    held += take(consumer, 9)
    assert numbers(held) == list(range(10))
    consumer.acknowledge(held)
    with pytest.raises(QueueVanished):
        consumer.drain(10, timeout=1)


def test_a_cut_connection_is_told_to_the_consumer_and_a_new_one_goes_on(rabbit: RabbitBroker, wire: Wire) -> None:
    publish(rabbit, *messages(5))
    broker = RabbitBroker([wire.url])
    consumer = broker.consumer(LEDGER, prefetch=100)
    held = take(consumer, 5)
    wire.cut()
    with pytest.raises(BrokerUnavailable):
        consumer.drain(10, timeout=5)
    with pytest.raises(BrokerUnavailable):
        consumer.acknowledge(held)
    with pytest.raises(BrokerUnavailable):
        consumer.beat()
    consumer.close()
    second = broker.consumer(LEDGER, prefetch=100)
    again = take(second, 5)
    assert numbers(again) == [0, 1, 2, 3, 4]
    with pytest.raises(NotOutstanding):
        second.acknowledge(held)
    second.acknowledge(again)
    second.close()
    wait_for_depth(rabbit, LEDGER, 0)


def test_a_consumer_that_waits_hears_at_once_that_the_connection_is_cut(rabbit: RabbitBroker, wire: Wire) -> None:
    consumer = RabbitBroker([wire.url]).consumer(LEDGER, prefetch=100)
    timer = threading.Timer(0.1, wire.cut)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable):
        consumer.drain(10, timeout=30)
    assert time.monotonic() - begun < 2


def test_a_publisher_whose_connection_was_cut_while_idle_publishes_without_an_error(
    rabbit: RabbitBroker, wire: Wire
) -> None:
    publisher = RabbitBroker([wire.url]).publisher()
    publisher.publish([message(1)])
    wire.cut()
    time.sleep(0.1)
    publisher.publish([message(2)])
    assert numbers(take(rabbit.consumer(LEDGER, 10), 2)) == [1, 2]


def test_a_confirm_that_never_comes_ends_the_wait_and_a_late_one_counts_for_nothing(
    rabbit: RabbitBroker, wire: Wire
) -> None:
    publisher = RabbitBroker([wire.url], confirm_timeout=0.5).publisher()
    publisher.publish([message(0)])
    wire.mute()
    begun = time.monotonic()
    with pytest.raises(ConfirmTimeout):
        publisher.publish(messages(3, start=1))
    assert 0.4 < time.monotonic() - begun < 2
    wire.unmute()
    publisher.publish(messages(3, start=1))
    # The broker had taken them, only its word was lost: they are there twice, and none is missing.
    assert sorted(numbers(take(rabbit.consumer(LEDGER, 10), 7))) == [0, 1, 1, 2, 2, 3, 3]


def test_no_broker_at_the_address_is_unavailable_and_the_password_stays_secret(rabbit: RabbitBroker) -> None:
    with pytest.raises(BrokerUnavailable) as failure:
        RabbitBroker(["amqp://shop:secret@127.0.0.1:1//"]).declare()
    assert "127.0.0.1:1" in str(failure.value)
    assert "secret" not in str(failure.value)


def test_the_next_node_is_tried_when_the_first_does_not_answer(rabbit: RabbitBroker, vhost_url: str) -> None:
    broker = connect(f"amqp://guest:guest@127.0.0.1:1//;{vhost_url}")
    publish(broker, message(1))
    assert numbers(take(rabbit.consumer(LEDGER, 10), 1)) == [1]


def test_a_wrong_password_is_fatal(vhost_url: str) -> None:
    parts = urlsplit(vhost_url)
    with pytest.raises(Fatal, match="ACCESS_REFUSED"):
        connect(f"amqp://guest:wrong@{parts.hostname}:{parts.port}{parts.path}").declare()


def test_a_virtual_host_that_does_not_exist_is_fatal(vhost_url: str) -> None:
    parts = urlsplit(vhost_url)
    with pytest.raises(Fatal, match="not found"):
        connect(f"amqp://guest:guest@{parts.hostname}:{parts.port}/no-such-place").declare()


def test_a_queue_that_stands_otherwise_is_fatal_with_the_words_of_the_broker(vhost_url: str) -> None:
    with Connection(vhost_url) as connection:
        connection.channel().queue_declare(LEDGER, durable=True, auto_delete=False)
    with pytest.raises(Fatal, match=r"PRECONDITION_FAILED.*queue .ledger."):
        connect(vhost_url).declare()


def test_a_full_queue_refuses_and_the_same_publisher_goes_on(rabbit: RabbitBroker, vhost_url: str) -> None:
    with Connection(vhost_url) as connection:
        channel = connection.channel()
        small = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare("small", durable=True, auto_delete=False, arguments=small)
        channel.queue_bind("small", WORK, "small")
    publisher = rabbit.publisher()
    with pytest.raises(Refused) as refusal:
        publisher.publish([*messages(5, key="small"), message(9)])
    assert refusal.value.facts["routing_key"] == "small"
    publisher.publish([message(10)])
    assert numbers(take(rabbit.consumer(LEDGER, 10), 2)) == [9, 10]


def test_more_messages_than_the_window_are_all_confirmed(rabbit: RabbitBroker) -> None:
    publish(rabbit, *messages(3_500))
    wait_for_depth(rabbit, LEDGER, 3_500)


def test_a_body_of_many_frames_arrives_whole(rabbit: RabbitBroker) -> None:
    body = bytes(range(256)) * 4 * 1024 * 5
    publish(rabbit, Message(WORK, LEDGER, body, "big", mandatory=True))
    [delivery] = take(rabbit.consumer(LEDGER, 10), 1)
    assert delivery.body == body


def test_a_message_that_kills_its_workers_goes_to_the_dead_of_its_service(rabbit: RabbitBroker) -> None:
    publish(rabbit, message(1))
    consumer = rabbit.consumer(LEDGER, prefetch=10)
    for count in range(DELIVERY_LIMIT + 1):
        [delivery] = take(consumer, 1)
        assert delivery.delivery_count == count
        consumer.requeue([delivery])
    assert consumer.drain(1, timeout=0.3) == []
    assert numbers(take(rabbit.consumer(f"{LEDGER}.dead", 10), 1)) == [1]


def test_beating_keeps_idle_connections_alive(rabbit: RabbitBroker, vhost_url: str) -> None:
    broker = RabbitBroker([vhost_url], heartbeat=1)
    consumer, publisher = broker.consumer(LEDGER, prefetch=10), broker.publisher()
    publisher.publish([message(1)])
    connections: set[int] = set()
    for _ in range(20):  # four heartbeats; two missed ones end a connection
        time.sleep(0.2)
        consumer.beat()
        publisher.beat()
        connections.add(id(publisher._channel))  # type: ignore[attr-defined]
    assert len(connections) == 1
    publisher.publish([message(2)])
    assert numbers(take(consumer, 2)) == [1, 2]


def test_a_listener_goes_when_its_consumer_does(rabbit: RabbitBroker) -> None:
    listener = rabbit.bind_temporary(WORK, ["heard"])
    publish(rabbit, message(1, key="heard"))
    listener.close()
    with pytest.raises(Unroutable):
        publish(rabbit, message(2, key="heard"))


def stranger(url: str) -> Connection:
    """Somebody's own client. It waits for confirms, else RabbitMQ may lose what was sent just before the end."""
    return Connection(url, transport_options={"confirm_publish": True})


class Raw(str):
    """Text that goes over the wire as the bytes given: what a stranger's client may send."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> "Raw":
        text = super().__new__(cls, "raw")
        text.raw = raw
        return text

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002 - as text has it
        return self.raw


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


PUBLISH_AS_STRANGER: dict[str, Callable[[amqp.Channel], object]] = {
    "a content type that is not UTF-8": lambda channel: channel.basic_publish(
        amqp.Message(b"1", content_type=Raw(b"\xff\xfe")), exchange=WORK, routing_key=LEDGER
    ),
    "a content encoding": lambda channel: channel.basic_publish(
        amqp.Message(b"1", content_encoding="utf-8"), exchange=WORK, routing_key=LEDGER
    ),
    "a header that is not UTF-8": lambda channel: channel.basic_publish(
        amqp.Message(b"1", application_headers={"trace": b"\xff"}), exchange=WORK, routing_key=LEDGER
    ),
    "headers nested deeply": lambda channel: channel.basic_publish(
        amqp.Message(b"1", application_headers={"deep": nested(400)}), exchange=WORK, routing_key=LEDGER
    ),
    "a delivery count that is no number": lambda channel: channel.basic_publish(
        amqp.Message(b"1", application_headers={"x-delivery-count": "many"}), exchange=WORK, routing_key=LEDGER
    ),
    "a routing key that is not UTF-8": lambda channel: channel.basic_publish(
        amqp.Message(b"1"), exchange=INTAKE, routing_key=Raw(b"movement.requested.v1.\xff\xc3")
    ),
    "a routing key with half a surrogate": lambda channel: channel.basic_publish(
        amqp.Message(b"1"), exchange=INTAKE, routing_key="movement.requested.v1.\udc80"
    ),
}


@pytest.mark.parametrize("strange", PUBLISH_AS_STRANGER)
def test_whatever_a_stranger_wrote_around_a_body_stops_nothing(
    rabbit: RabbitBroker, vhost_url: str, strange: str
) -> None:
    with stranger(vhost_url) as connection:
        channel = connection.channel()
        PUBLISH_AS_STRANGER[strange](channel)
        queue = RECEIVING if "routing key" in strange else LEDGER
        key = "movement.requested.v1" if queue == RECEIVING else LEDGER
        channel.basic_publish(amqp.Message(b"2"), exchange=INTAKE if queue == RECEIVING else WORK, routing_key=key)
    consumer = rabbit.consumer(queue, prefetch=10)
    taken = take(consumer, 2)
    assert [d.body for d in taken] == [b"1", b"2"]
    assert [d.delivery_count for d in taken] == [0, 0]
    assert all(d.routing_key.encode().startswith(key.encode()) for d in taken)
    consumer.acknowledge(taken)


def test_a_time_beyond_the_year_9999_in_a_header_stops_nothing(rabbit: RabbitBroker, vhost_url: str) -> None:
    # Milliseconds where AMQP has seconds. No Python client writes it, so the frames are made by hand.
    table = b"\x04when" + b"T" + struct.pack(">Q", 1_700_000_000_000)
    with stranger(vhost_url) as connection:
        channel = connection.channel()
        strange = amqp.Message(b"1")
        properties = struct.pack(">HI", 1 << 13, len(table)) + table
        strange._serialize_properties = lambda: properties
        channel.basic_publish(strange, exchange=WORK, routing_key=LEDGER)
        channel.basic_publish(amqp.Message(b"2"), exchange=WORK, routing_key=LEDGER)
    assert [d.body for d in take(rabbit.consumer(LEDGER, 10), 2)] == [b"1", b"2"]


def test_both_brokers_route_every_key_alike(rabbit: RabbitBroker) -> None:
    embedded = EmbeddedBroker()
    embedded.declare()
    words = ["a", "b", "", "a.b", "a.b.c", "b.a", "c.b.a", "a..b", "a.a.b.b"]
    patterns = ["#", "*", "a.#", "a.*", "*.b", "#.b", "a.#.b", "*.#", "#.*.b", "a.b", "*.*", "", "a..b"]
    brokers: list[Broker] = [rabbit, embedded]
    heard: list[dict[str, list[str]]] = []
    for broker in brokers:
        listeners = {pattern: broker.bind_temporary(EVENTS, [pattern]) for pattern in patterns}
        publish(broker, *(Message(EVENTS, key, b"", str(n)) for n, key in enumerate(words)))
        publish(broker, Message(EVENTS, "end", b"", "end"))
        heard.append({p: [d.routing_key for d in listener.drain(99, 0.3, 0.1)] for p, listener in listeners.items()})
    assert heard[0] == heard[1]
