"""Fixtures for all tests: a server for the session, and a database or virtual host of its own for each test.

No server is started before a test asks for it, so the pure tests need none.
"""

import os
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from tests import servers

settings.register_profile("default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("default"), max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("STOCKBOOK_HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a broker is marked `rabbitmq`."""
    for item in items:
        if "rabbitmq" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.rabbitmq)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server, started for this session unless the environment names one."""
    with servers.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def empty_database(postgres: str) -> Iterator[str]:
    """The URL of one database with all migrations applied: the template of the others; nobody writes to it."""
    from shared.migrate import migrate

    with servers.fresh_database(postgres) as url:
        engine = sa.create_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


@pytest.fixture
def database(postgres: str, empty_database: str) -> Iterator[str]:
    """The URL of a migrated, empty database of this test's own."""
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[servers.Broker]:
    """A RabbitMQ server. None to be had: a failure on CI, elsewhere a skip that says how to get one."""
    try:
        source = servers.rabbitmq()
        broker = source.__enter__()
    except servers.NoServerError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield broker
    source.__exit__(None, None, None)


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq: servers.Broker) -> str:
    """The broker's default virtual host, shared by all tests of the session."""
    return rabbitmq.url


@pytest.fixture
def vhost_url(rabbitmq: servers.Broker) -> str:
    """A virtual host of this test's own."""
    return rabbitmq.vhost()
