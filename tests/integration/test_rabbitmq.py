"""RabbitMQ: lost connections, vanished queues, confirms that never come, messages that a stranger made unreadable."""

import struct
import threading
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import amqp
import pytest
from kombu.connection import Connection

from shared.broker import (
    BrokerUnavailable,
    ConfirmTimeout,
    Consumer,
    Message,
    NotOutstanding,
    QueueVanished,
    RabbitBroker,
    Refused,
    Unroutable,
    connect,
)
from shared.broker.topology import ACCOUNTING, DELIVERY_LIMIT, EVENTS, INTAKE, LEDGER, RECEIVING, WORK
from shared.errors import Fatal, Retryable
from tests.brokers import (
    Raw,
    Wire,
    delete_queue,
    message,
    messages,
    nested,
    numbers,
    publish,
    stranger,
    take,
    wait_for_depth,
)


@pytest.fixture
def rabbit(vhost_url: str) -> RabbitBroker:
    """RabbitMQ, ready."""
    broker = RabbitBroker([vhost_url])
    broker.declare()
    return broker


@pytest.fixture
def wire(vhost_url: str) -> Iterator[Wire]:
    wire = Wire(vhost_url)
    yield wire
    wire.close()


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
