"""The servers that the tests stand on: what the fixtures promise holds."""

import pytest
import sqlalchemy as sa
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from tests import servers


def test_a_fresh_database_holds_nothing_of_another(postgres: str) -> None:
    with servers.fresh_database(postgres) as first, servers.fresh_database(postgres) as second:
        _execute(first, "CREATE TABLE only_here (a int)")
        assert _scalar(second, "SELECT to_regclass('only_here')") is None


def test_a_database_from_the_template_has_the_schema_of_every_service(database: str) -> None:
    assert (
        _scalar(database, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('receiving','ledger','accounting')") == 3
    )


def test_a_fresh_database_is_dropped_even_while_somebody_is_connected(postgres: str) -> None:
    with servers.fresh_database(postgres) as url:
        left_open = sa.create_engine(url).connect()
    assert _scalar(postgres, f"SELECT count(*) FROM pg_database WHERE datname = '{sa.make_url(url).database}'") == 0
    left_open.invalidate()


def test_virtual_hosts_do_not_see_each_others_queues(rabbitmq: servers.Broker) -> None:
    with Connection(rabbitmq.vhost()) as first:
        first.SimpleQueue("mine").put("hello")
    with Connection(rabbitmq.vhost()) as second:
        queue = second.SimpleQueue("mine")
        assert queue.qsize() == 0


@pytest.mark.slow
@pytest.mark.rabbitmq
def test_a_killed_private_node_starts_again_with_its_messages(rabbitmq: servers.Broker) -> None:
    try:
        node = servers.PrivateRabbitmq()
    except servers.NoServerError as error:
        pytest.skip(str(error))
    with node:
        with Connection(node.url, transport_options={"confirm_publish": True}) as connection:
            connection.SimpleQueue("kept").put("hello")
        node.kill()
        with pytest.raises(OperationalError, match="refused"):
            servers.broker_answers(node.url)
        node.start()
        with Connection(node.url) as connection:
            assert connection.SimpleQueue("kept").get(timeout=5).payload == "hello"
    assert not node.home.exists()


def _execute(url: str, statement: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(statement))


def _scalar(url: str, statement: str) -> object:
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return connection.scalar(sa.text(statement))
