"""What hangs on how long each side waits for the other: heartbeats, sockets, sessions of the database."""

import socket
from collections.abc import Iterator

import pytest

from shared.broker import RabbitBroker
from shared.broker.connection import HEARTBEAT, Link, open_link
from shared.broker.topology import LEDGER
from shared.db import open_engine
from tests.brokers import message, take
from tests.builders import rows


@pytest.fixture
def link(vhost_url: str) -> Iterator[Link]:
    link = open_link([vhost_url])
    yield link
    link.close()


def test_every_connection_has_a_heartbeat_and_a_patient_socket(link: Link) -> None:
    connection = link.channel.connection
    assert connection.heartbeat == HEARTBEAT
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 10_000  # milliseconds
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


class Counting(RabbitBroker):
    """A broker that remembers the connections it made."""

    def __init__(self, url: str) -> None:
        super().__init__([url])
        self.made: list[Link] = []

    def _link(self) -> Link:
        self.made.append(super()._link())
        return self.made[-1]


def test_a_worker_publishes_and_consumes_on_two_connections(vhost_url: str) -> None:
    broker = Counting(vhost_url)
    broker.declare()
    broker.made.clear()
    consumer, publisher = broker.consumer(LEDGER, prefetch=10), broker.publisher()
    publisher.publish([message(1)])
    consumer.acknowledge(take(consumer, 1))
    publisher.publish([message(2)])
    assert len({id(each.channel.connection) for each in broker.made}) == len(broker.made) == 2
    publisher.close()
    consumer.close()


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"])
def test_a_session_gives_up_before_the_broker_gives_up_its_worker(database: str, limit: str) -> None:
    engine = open_engine(database)
    ((milliseconds,),) = rows(engine, f"SELECT cast(setting AS int) FROM pg_settings WHERE name = '{limit}'")
    engine.dispose()
    assert 0 < milliseconds < 2 * HEARTBEAT * 1_000  # a silence that the broker bears
