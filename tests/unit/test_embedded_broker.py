"""What is particular to the broker inside the process; what both brokers promise is in integration/test_broker.py."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from shared.broker import BrokerUnavailable, EmbeddedBroker, Message, RabbitBroker, Unroutable, connect
from shared.broker.topology import ACCOUNTING, LEDGER, WORK
from shared.errors import Fatal


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker()
    broker.declare()
    yield broker
    broker.close()


def message(number: int, key: str = LEDGER) -> Message:
    return Message(WORK, key, str(number).encode(), str(number), mandatory=True)


def after(seconds: float, action: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_no_url_and_the_embedded_url_each_give_a_broker_of_their_own() -> None:
    first, second = connect(None), connect("embedded://")
    assert isinstance(first, EmbeddedBroker)
    assert isinstance(second, EmbeddedBroker)
    first.declare()
    second.declare()
    first.publisher().publish([message(1)])
    assert (first.depth(LEDGER), second.depth(LEDGER)) == (1, 0)


def test_amqp_urls_give_rabbitmq_without_connecting() -> None:
    assert isinstance(connect("amqp://guest:guest@127.0.0.1:1//;amqps://127.0.0.1:2//"), RabbitBroker)


def test_an_unknown_kind_of_url_is_fatal_and_does_not_show_the_password() -> None:
    with pytest.raises(Fatal, match="redis") as refusal:
        connect("redis://shop:secret@127.0.0.1/0")
    assert "secret" not in str(refusal.value)


def test_a_waiting_consumer_wakes_as_soon_as_a_message_arrives(broker: EmbeddedBroker) -> None:
    consumer = broker.consumer(LEDGER, prefetch=10)
    sent: list[float] = []

    def send() -> None:
        sent.append(time.monotonic())
        broker.publisher().publish([message(1)])

    timer = after(0.05, send)
    assert len(consumer.drain(10, timeout=5)) == 1
    timer.join()
    assert time.monotonic() - sent[0] < 0.5


def test_a_consumer_that_waits_is_woken_when_the_broker_closes(broker: EmbeddedBroker) -> None:
    consumer = broker.consumer(LEDGER, prefetch=10)
    timer = after(0.05, broker.close)
    with pytest.raises(BrokerUnavailable):
        consumer.drain(10, timeout=5)
    timer.join()


def test_a_returned_message_does_not_keep_its_neighbours_back(broker: EmbeddedBroker) -> None:
    with pytest.raises(Unroutable) as returned:
        broker.publisher().publish([message(1), message(2, key="nobody"), message(3)])
    assert returned.value.facts["routing_key"] == "nobody"
    assert [d.body for d in broker.consumer(LEDGER, 10).drain(10, timeout=0)] == [b"1", b"3"]


def test_a_closed_temporary_queue_takes_no_more_messages(broker: EmbeddedBroker) -> None:
    listener = broker.bind_temporary(WORK, ["heard"])
    broker.publisher().publish([message(1, key="heard")])
    listener.close()
    with pytest.raises(Unroutable):
        broker.publisher().publish([message(2, key="heard")])


def test_closing_a_consumer_twice_gives_its_messages_back_once(broker: EmbeddedBroker) -> None:
    broker.publisher().publish([message(1)])
    consumer = broker.consumer(LEDGER, 10)
    consumer.drain(10, timeout=0)
    consumer.close()
    consumer.close()
    assert broker.depth(LEDGER) == 1


def test_nothing_is_lost_or_doubled_between_two_stages_with_several_threads_each(broker: EmbeddedBroker) -> None:
    total, stop = 2_000, threading.Event()

    def relay() -> None:
        consumer, publisher = broker.consumer(LEDGER, prefetch=50), broker.publisher()
        while not stop.is_set():
            deliveries = consumer.drain(20, timeout=0.05)
            if deliveries:
                publisher.publish([message(int(d.body), key=ACCOUNTING) for d in deliveries])
                consumer.acknowledge(deliveries)

    threads = [threading.Thread(target=relay) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(0, total, 100):
        broker.publisher().publish([message(number) for number in range(start, start + 100)])
    last, arrived = broker.consumer(ACCOUNTING, prefetch=0), list[int]()
    deadline = time.monotonic() + 20
    while len(arrived) < total and time.monotonic() < deadline:
        arrived += [int(d.body) for d in last.drain(500, timeout=1)]
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(arrived) == list(range(total))
    assert broker.depth(LEDGER) == 0
