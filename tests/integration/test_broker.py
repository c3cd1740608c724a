"""What every broker promises: RabbitMQ and the one inside the process alike."""

import threading
import time
from collections.abc import Iterator

import pytest

from shared.broker import Broker, Consumer, Message, NotOutstanding, QueueVanished, Unroutable, connect
from shared.broker.topology import EVENTS, INTAKE, LEDGER, RECEIVING, UNROUTED, WORK
from tests.brokers import message, messages, numbers, publish, take, wait_for_depth


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


def test_both_brokers_route_every_key_alike(vhost_url: str) -> None:
    brokers = [connect(vhost_url), connect(None)]
    words = ["a", "b", "", "a.b", "a.b.c", "b.a", "c.b.a", "a..b", "a.a.b.b"]
    patterns = ["#", "*", "a.#", "a.*", "*.b", "#.b", "a.#.b", "*.#", "#.*.b", "a.b", "*.*", "", "a..b"]
    heard: list[dict[str, list[str]]] = []
    for broker in brokers:
        broker.declare()
        listeners = {pattern: broker.bind_temporary(EVENTS, [pattern]) for pattern in patterns}
        publish(broker, *(Message(EVENTS, key, b"", str(n)) for n, key in enumerate(words)))
        heard.append({pattern: keys_heard(listener) for pattern, listener in listeners.items()})
    assert heard[0] == heard[1]


def keys_heard(listener: Consumer) -> list[str]:
    keys: list[str] = []
    while more := listener.drain(99, timeout=0.1):
        keys += [delivery.routing_key for delivery in more]
    return keys
