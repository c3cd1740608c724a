"""What tests of the gate on PostgreSQL begin with: a shop with goods in it, that must be sound when they are done."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from services.desk.examples import played
from services.desk.servers import bring_up_to_date
from tests import servers
from tests.receiving_builders import GOODS, STOCKED, Gate, assert_sound, define_shop, opened
from tests.secured import secured_postgres


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine
        assert_sound(engine)


@pytest.fixture
def gate(engine: Engine) -> Gate:
    gate = Gate(engine)
    define_shop(gate, *GOODS)
    gate.accept(STOCKED)
    return gate


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(scope="session")
def shops(postgres: str) -> Iterator[Engine]:
    """Both shops of the examples after their last day; nobody writes to it."""
    with servers.fresh_database(postgres) as url:
        bring_up_to_date(url)
        with played(url) as (pipeline, _):
            yield pipeline.engine


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[str]:
    """The administrator's URL of a server that asks everybody for a password."""
    with secured_postgres() as server:
        yield server
