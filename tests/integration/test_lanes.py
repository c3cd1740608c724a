"""Lanes over both brokers: a source's own way to the gate, taken from in turn, and what happens when one vanishes."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest

from services.desk.cli.status import ask_queues, queues_that_need_a_person
from shared.broker import Broker, Consumer, Delivery, Message, NotOutstanding, QueueVanished, RabbitBroker, connect
from shared.broker import brake as braking
from shared.broker.brake import FULL
from shared.broker.lanes import SET, SET_BYTES, intake_of, lane_of
from shared.broker.topology import INTAKE, LEDGER, RECEIVING, UNROUTED
from tests.brokers import delete_queue, messages, publish, take, wait_for_depth

KEY = "movement.requested.v1"
LOUD, QUIET = "till-1", "till-2"
LANES = (LOUD, QUIET)


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def either(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Either broker, with two lanes, ready."""
    broker = connect(None if request.param == "embedded" else request.getfixturevalue("vhost_url"), LANES)
    broker.declare()
    yield broker
    broker.close()


@pytest.fixture
def rabbit(vhost_url: str) -> Broker:
    broker = connect(vhost_url, LANES)
    broker.declare()
    return broker


def requested(source: str, count: int, size: int = 10, exchange: str | None = None) -> list[Message]:
    """Messages of a source to its lane, each with a body that begins with the source and its number."""
    bodies = [f"{source} {number} ".ljust(size).encode() for number in range(count)]
    to = exchange or intake_of(source)
    return [Message(to, KEY, body, f"{source}-{number}") for number, body in enumerate(bodies)]


def senders(deliveries: list[Delivery]) -> list[str]:
    return [each.body.split()[0].decode() for each in deliveries]


def order(deliveries: list[Delivery], source: str) -> list[int]:
    return [int(each.body.split()[1]) for each in deliveries if each.body.split()[0] == source.encode()]


def drained(consumer: Consumer, timeout: float = 5) -> list[Delivery]:
    """What a worker takes at once."""
    deliveries = consumer.drain(500, timeout)
    consumer.acknowledge(deliveries)
    return deliveries


def test_receiving_takes_from_all_lanes_and_from_the_common_queue(either: Broker) -> None:
    publish(either, *requested(LOUD, 3), *requested(QUIET, 2), *requested("office", 2, exchange=INTAKE))
    taken = take(either.consumer(RECEIVING, prefetch=100), 7)
    assert Counter(senders(taken)) == {LOUD: 3, QUIET: 2, "office": 2}
    assert (order(taken, LOUD), order(taken, QUIET)) == ([0, 1, 2], [0, 1])


def test_behind_a_flood_another_source_is_in_the_next_set(either: Broker) -> None:
    publish(either, *requested(LOUD, 600))
    wait_for_depth(either, lane_of(LOUD), 600)
    consumer = either.consumer(RECEIVING, prefetch=1_000)
    flood = drained(consumer)
    assert 1 <= len(flood) <= SET
    publish(either, *requested(QUIET, 5), *requested("office", 1, exchange=INTAKE))
    time.sleep(0.1)  # until the broker has sent them
    taken = drained(consumer)
    assert Counter(senders(taken))[QUIET] == 5
    assert "office" in senders(taken)
    assert len(taken) <= SET


def test_two_floods_share_a_set(either: Broker) -> None:
    publish(either, *requested(LOUD, 300), *requested(QUIET, 300))
    wait_for_depth(either, lane_of(QUIET), 300)
    consumer = either.consumer(RECEIVING, prefetch=1_000)
    taken = [each for _ in range(4) for each in drained(consumer)]
    share = Counter(senders(taken))
    assert abs(share[LOUD] - share[QUIET]) <= 0.4 * len(taken)
    assert order(taken, LOUD) == list(range(share[LOUD]))


def test_a_set_of_large_messages_is_a_small_one(either: Broker) -> None:
    publish(either, *requested(LOUD, 20, size=SET_BYTES // 4), *requested(QUIET, 1, size=SET_BYTES * 2))
    wait_for_depth(either, lane_of(QUIET), 1)
    consumer = either.consumer(RECEIVING, prefetch=1_000)
    while taken := consumer.drain(500, timeout=0.5):
        consumer.acknowledge(taken)
        assert len(taken) <= 4
        assert QUIET not in senders(taken) or len(taken) == 1


def test_what_is_not_acknowledged_comes_again_from_its_own_lane_in_order(either: Broker) -> None:
    publish(either, *requested(LOUD, 5), *requested(QUIET, 5))
    consumer = either.consumer(RECEIVING, prefetch=100)
    taken = take(consumer, 10)
    consumer.acknowledge(taken[4:])
    back = {source: order(taken[:4], source) for source in LANES}
    consumer.close()
    for source in LANES:
        wait_for_depth(either, lane_of(source), len(back[source]))
    again = take(either.consumer(RECEIVING, prefetch=100), 4)
    assert {source: order(again, source) for source in LANES} == back
    assert all(each.redelivered for each in again)


def test_deliveries_of_several_lanes_are_given_back_and_settled_once(either: Broker) -> None:
    publish(either, *requested(LOUD, 3), *requested(QUIET, 3))
    consumer = either.consumer(RECEIVING, prefetch=100)
    taken = take(consumer, 6)
    consumer.requeue(taken)
    with pytest.raises(NotOutstanding):
        consumer.acknowledge(taken)
    again = take(consumer, 6)
    assert sorted(senders(again)) == sorted(senders(taken))
    assert {each.delivery_count for each in again} == {1}
    consumer.acknowledge(again)
    assert consumer.drain(10, timeout=0.2) == []


def test_what_a_lane_does_not_know_is_kept_for_a_person(either: Broker) -> None:
    publish(either, Message(intake_of(LOUD), "movement.requested.v9", b"x", "1"))
    assert len(take(either.consumer(UNROUTED, 10), 1)) == 1


def test_without_lanes_nothing_of_them_stands_on_the_broker(vhost_url: str) -> None:
    broker = connect(vhost_url)
    broker.declare()
    with pytest.raises(QueueVanished):
        broker.depth(lane_of(LOUD))


# --- a lane vanishes -------------------------------------------------------------------------------------------------


def test_a_lane_deleted_during_the_flood_of_another_is_noticed_and_comes_back(rabbit: Broker, vhost_url: str) -> None:
    publish(rabbit, *requested(LOUD, 2_000))
    consumer = rabbit.consumer(RECEIVING, prefetch=1_000)
    first = drained(consumer)
    delete_queue(vhost_url, lane_of(QUIET))
    worked_on = len(first)
    with pytest.raises(QueueVanished, match=lane_of(QUIET)):
        while True:
            worked_on += len(drained(consumer))
    assert worked_on < 2_000  # it did not wait for the end of the flood
    consumer.close()

    rabbit.declare()
    publish(rabbit, *requested(QUIET, 1))
    consumer = rabbit.consumer(RECEIVING, prefetch=1_000)
    time.sleep(0.1)
    taken = drained(consumer)
    assert QUIET in senders(taken)
    while more := drained(consumer, timeout=0.5):
        taken += more
    assert len(taken) + worked_on == 2_001  # and nothing of the flood was lost by it


def test_a_lane_deleted_and_declared_again_at_once_is_served_again_during_a_flood(vhost_url: str) -> None:
    # RabbitMQ tells the consumer nothing, and gives the new queue's messages to it all the same: they do not arrive.
    broker = RabbitBroker([vhost_url], renew_after=0.3, lanes=LANES)
    broker.declare()
    consumer = broker.consumer(RECEIVING, prefetch=1_000)
    publish(broker, *requested(QUIET, 1), *requested(LOUD, 1_000))
    consumer.acknowledge(take(consumer, 1))
    delete_queue(vhost_url, lane_of(QUIET))
    broker.declare()
    publish(broker, *requested(QUIET, 1))
    deadline = time.monotonic() + 10
    heard = 0
    while not heard:
        assert time.monotonic() < deadline
        try:
            taken = drained(consumer)
        except QueueVanished:
            consumer = broker.consumer(RECEIVING, prefetch=1_000)
            continue
        heard = senders(taken).count(QUIET)
        publish(broker, *requested(LOUD, len(taken)))


# --- holding back ----------------------------------------------------------------------------------------------------


def test_while_the_services_behind_are_full_a_flood_trickles_and_others_pass(
    rabbit: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(braking, "ASK_EVERY", 0.0)
    publish(rabbit, *messages(FULL))
    publish(rabbit, *requested(LOUD, 600))
    wait_for_depth(rabbit, lane_of(LOUD), 600)
    consumer = rabbit.consumer(RECEIVING, prefetch=1_000)
    drained(consumer)
    time.sleep(0.1)
    consumer.beat()  # reads what has come
    trickle = [len(drained(consumer)) for _ in range(5)]
    assert trickle == [1] * 5
    publish(rabbit, *requested(QUIET, 1))
    time.sleep(0.1)
    consumer.beat()
    assert QUIET in senders(drained(consumer))

    taken = take(ledger := rabbit.consumer(LEDGER, prefetch=16), FULL)
    ledger.acknowledge(taken)
    wait_for_depth(rabbit, LEDGER, 0)
    assert len(drained(consumer)) > 1


def test_who_cannot_be_asked_holds_nothing_back(rabbit: Broker, vhost_url: str) -> None:
    publish(rabbit, *requested(LOUD, 600))
    wait_for_depth(rabbit, lane_of(LOUD), 600)
    delete_queue(vhost_url, LEDGER)
    consumer = rabbit.consumer(RECEIVING, prefetch=1_000)
    taken = [len(drained(consumer)) for _ in range(5)]
    assert sum(taken) > 100


# --- seen at the desk ------------------------------------------------------------------------------------------------


def test_the_status_shows_lanes_and_a_long_one_needs_nobody(rabbit: Broker, vhost_url: str) -> None:
    publish(rabbit, *requested(LOUD, 3))
    wait_for_depth(rabbit, lane_of(LOUD), 3)
    queues = ask_queues(vhost_url, LANES)
    assert queues is not None
    assert queues.depths[lane_of(LOUD)] == 3
    assert queues.depths[lane_of(QUIET)] == 0
    assert list(queues_that_need_a_person(queues)) == []
