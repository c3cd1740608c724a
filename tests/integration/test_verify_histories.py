"""Of histories that the services played nothing is ever wrong: neither in the end nor while they are at work.

Random ones, told out of order and cancelled; and what many small examples of each purpose leave behind. They are read
in the smallest portions, with checkpoints behind every movement.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from services.desk.conform.playing import clock, play
from services.desk.conform.scenario import load
from services.desk.pipeline import Pipeline
from services.desk.verify import CHECKS, replaying
from services.ledger.store import checkpoints
from shared import db
from shared.db import transaction
from shared.migrate import migrate
from tests import servers
from tests.played_histories import play_goods, play_units
from tests.properties.test_time_properties import plans
from tests.properties.time_histories import History, dated_histories
from tests.properties.time_ledger import Ledger, Opening, Plan, ledgers
from tests.receiving_builders import opened
from tests.verifying_builders import book, findings

pytestmark = pytest.mark.timeout(600)
few = settings(max_examples=20)
SCENARIOS = Path(__file__).resolve().parents[1] / "conformance"
# What a ledger that is played without the gate has.
WITHOUT_A_GATE = ("inboxes", "sums", "values", "accounts", "transfers", "messages", "journal", "replay")
FURNISH = """
INSERT INTO receiving.company (company, name, currency, time_zone, perpetual, lateness, issue_expired)
SELECT company, company, min(currency), 'UTC', true, 0, true FROM ledger.entry GROUP BY company
ON CONFLICT DO NOTHING;
INSERT INTO receiving.warehouse (company, warehouse, name, kind, account)
SELECT DISTINCT company, warehouse, warehouse, 'store', 'stock ' || warehouse FROM ledger.bin ON CONFLICT DO NOTHING;
INSERT INTO receiving.cancelled SELECT * FROM ledger.cancelled ON CONFLICT DO NOTHING
"""


@pytest.fixture(scope="module", autouse=True)
def in_small_portions() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "EVERY", 1)
        patch.setattr(db, "PORTION_ROWS", 2)
        patch.setattr(replaying, "PORTION_ROWS", 2)
        yield


@pytest.fixture(scope="module")
def opening(postgres: str, empty_database: str) -> Iterator[Opening]:
    with ledgers(postgres, empty_database) as opening:
        yield opening


@few
@given(history=dated_histories(), plan=plans)
def test_nothing_is_wrong_in_a_ledger_that_was_told_late_and_cancelled_neither_midway_nor_when_it_is_settled(
    opening: Opening, history: History, plan: Plan
) -> None:
    with opening() as ledger:
        ledger.play(history.of(ledger.company).movements, plan)
        _book_and_verify(ledger)
        ledger.settle(2)
        _book_and_verify(ledger)


def _book_and_verify(ledger: Ledger) -> None:
    book(ledger.engine, ledger.outputs)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(FURNISH)
    url = ledger.engine.url.render_as_string(hide_password=False)
    assert findings(url, *WITHOUT_A_GATE, company=ledger.company) == {}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_wrong_behind_a_gate_that_is_told_of_goods_late(database: str, seed: int) -> None:
    with opened(database) as engine:
        play_goods(engine, seed, 15, piece=3)
        assert _count(engine, "ledger.entry") > 30
    assert findings(database, *_all_but("unattended")) == {}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_wrong_behind_a_gate_that_is_told_of_units_some_of_it_cancelled(database: str, seed: int) -> None:
    with opened(database) as engine:
        play_units(engine, seed, 40, piece=3)
        assert _count(engine, "ledger.cancelled") > 0
    assert findings(database, *_all_but("unattended")) == {}


def test_nothing_is_wrong_after_all_small_examples(postgres: str) -> None:
    with servers.fresh_database(postgres) as url:
        with Pipeline(url, clock=clock) as pipeline:
            migrate(pipeline.engine)
            play(load(SCENARIOS), pipeline)
        assert findings(url) == {}


def _count(engine: sa.Engine, table: str) -> int:
    with transaction(engine) as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def _all_but(name: str) -> list[str]:
    return [each.name for each in CHECKS if each.name != name]
