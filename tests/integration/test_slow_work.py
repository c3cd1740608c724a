"""Work that takes longer than a transaction may: it ends by itself, alone, and its neighbours go on."""

import time
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Connection, Engine

from shared.broker import EmbeddedBroker, Message
from shared.broker.topology import LEDGER, WORK
from shared.contracts.envelope import Envelope, write_event
from shared.contracts.movement import Reference
from shared.db import Lost, open_engine, query, run, transaction
from shared.errors import Retryable
from shared.service import Handled, Handler, Input, Service
from shared.settings import Settings
from shared.worker import CONTENTIONS, Worker
from tests.receiving_builders import rows
from tests.servers import free_port

QUICK = Settings(pause=0.001, longest_pause=0.002, linger=0.05, sweep_every=3600)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def things(*names: str) -> list[Message]:
    events = [(name, write_event("thing", "till", name, Reference(id=name))) for name in names]
    return [Message(WORK, LEDGER, body, name, mandatory=True) for name, body in events]


def test_an_input_that_takes_too_long_each_time_is_parked_and_its_neighbours_go_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.worker.TOO_LONG", 0.2)
    tries: list[list[str]] = []

    def read(envelope: Envelope) -> list[Input]:
        return [Input(envelope.source, envelope.type, envelope.id, bytes(envelope.data), id=envelope.id)]

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        tries.append([each.value for each in inputs])
        run(connection, "SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        time.sleep(0.3 if "slow" in tries[-1] else 0)
        query(connection, "SELECT 1")
        return Handled()

    broker = EmbeddedBroker()
    broker.declare()
    worker = Worker(Service("ledger", {"thing": Handler(read, work)}), broker, engine, QUICK)
    broker.publisher().publish(things("one", "slow", "two"))
    worker.turn(0.1)
    worker.close()
    assert rows(engine, "SELECT reason, id FROM ledger.parked") == [("invariant_broken", "slow")]
    assert tries.count(["slow"]) == CONTENTIONS
    done = [name for each in tries if "slow" not in each for name in each]
    assert sorted(done) == ["one", "two"]
    assert broker.depth(LEDGER) == 0


def test_a_database_that_cannot_be_reached_for_long_is_away_and_no_transaction_was_lost() -> None:
    nobody = open_engine(f"postgresql+psycopg2://stockbook@127.0.0.1:{free_port()}/stockbook")
    with pytest.raises(Retryable) as raised, transaction(nobody):
        pass
    assert not isinstance(raised.value, Lost)
