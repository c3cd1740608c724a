"""The judge of the faults sees what it is there to see: each thing that must not be is put into sound books by hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import sqlalchemy as sa

from services.desk.pipeline import Pipeline
from shared.broker import Broker
from shared.contracts.registry import JOURNAL_POSTED, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.db import open_engine
from shared.service import Key
from tests import servers
from tests.faults.run import goods
from tests.faults.run.judging import DOUBLED, LOST, STUCK, UNBALANCED, Case, Verdict, judge
from tests.faults.run.loading import Upstream
from tests.faults.run.running import Row
from tests.faults.run.table import failures, line, total

COUNT = 60
OF_ONE = "(source, id) = (SELECT source, id FROM ledger.movement WHERE id = 'M7')"
# The same entry once more, under another id.
_AGAIN = """
SELECT again.* FROM ledger.entry CROSS JOIN LATERAL jsonb_populate_record(
    entry, jsonb_build_object('entry_id', gen_random_uuid(), 'ordinal', 99)) AS again WHERE entry.id = 'M7'
"""
_PARK = """
INSERT INTO accounting.parked (parked_id, reason, error, headers, body)
VALUES (gen_random_uuid(), 'malformed', '', '{}', '')
"""


@dataclass(frozen=True, slots=True)
class Books:
    """The books of a small load, and what is known of it."""

    engine: sa.Engine
    case: Case

    def spoil(self, *statements: str) -> Verdict:
        """Change rows as only a superuser can, whatever triggers and keys say; then judge."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            for statement in statements:
                assert connection.exec_driver_sql(statement).rowcount > 0, statement
        return judge(self.case)


@pytest.fixture(scope="module")
def played(postgres: str, empty_database: str) -> Iterator[tuple[str, goods.Shopping, list[Key]]]:
    """A database with a small load in it, and what is known of that."""
    shopping = goods.Shopping(seed=5)
    events = [goods.item(goods.LATE_ITEM), *shopping.events(shopping.draw(COUNT))]
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        with Pipeline(url) as pipeline:
            for told in (goods.masters(), goods.opening(), events):
                pipeline.publish(told)
                pipeline.settle()
        yield url, shopping, [key for each in events for key in each.keys]


@pytest.fixture
def books(postgres: str, played: tuple[str, goods.Shopping, list[Key]]) -> Iterator[Books]:
    template, shopping, keys = played
    names = [name for _, name in keys]
    told = {JOURNAL_POSTED: names, OUTCOME_ACCEPTED: names, OUTCOME_REJECTED: []}
    with servers.fresh_database(postgres, template=sa.make_url(template).database) as url:
        engine = open_engine(url)
        yield Books(engine, Case(engine, keys, shopping, {"ledger": 0}, told))
        engine.dispose()


def test_sound_books_are_found_good(books: Books) -> None:
    verdict = judge(books.case)
    assert verdict.is_good, verdict.notes


SPOILT: list[tuple[str, list[str]]] = [
    (LOST, [f"DELETE FROM accounting.movement WHERE {OF_ONE}"]),
    (LOST, [f"DELETE FROM ledger.movement WHERE {OF_ONE}"]),
    (LOST, ["DELETE FROM receiving.movement WHERE id = 'M7'"]),
    (DOUBLED, [f"INSERT INTO ledger.entry {_AGAIN}"]),
    (DOUBLED, ["INSERT INTO ledger.serial SELECT company, item, 'elsewhere', serial, cost FROM ledger.serial LIMIT 1"]),
    (UNBALANCED, ["UPDATE ledger.bin SET quantity = quantity + 1 WHERE item = 'fifo-3' AND warehouse = 'north'"]),
    (UNBALANCED, ["UPDATE ledger.bin SET value = value + 1 WHERE item = 'fifo-3' AND warehouse = 'north'"]),
    (UNBALANCED, ["UPDATE ledger.bin SET last_stamp = last_stamp + 1 WHERE item = 'fifo-3' AND warehouse = 'north'"]),
    (UNBALANCED, ["UPDATE accounting.transfer SET amount = amount + 1 WHERE debit_account = 'stock'"]),
    (
        UNBALANCED,
        [
            f"UPDATE {table} SET quantity = quantity + 1 WHERE item = 'fifo-3' AND warehouse = 'north'"
            for table in ("ledger.bin", "receiving.bin")
        ],
    ),
    (STUCK, ["INSERT INTO ledger.outbox (source, id, kind, body) VALUES ('till', 'M7', 'movement.posted.v1', '')"]),
    (STUCK, ["INSERT INTO ledger.replay DEFAULT VALUES"]),
    (STUCK, ["INSERT INTO ledger.waiting (source, id, body) VALUES ('till', 'M7', '')"]),
    (STUCK, [_PARK]),
]


@pytest.mark.parametrize(("kind", "statements"), SPOILT, ids=[f"{kind}: {each[0]}"[:70] for kind, each in SPOILT])
def test_what_must_not_be_is_counted_under_its_name(books: Books, kind: str, statements: list[str]) -> None:
    assert books.spoil(*statements).counts[kind] > 0


def test_what_is_left_in_a_queue_is_stuck(books: Books) -> None:
    case = Case(books.engine, books.case.keys, books.case.shopping, {"ledger": 2, "witness": 9}, books.case.told)
    assert judge(case).counts == {STUCK: 1}


def test_a_movement_of_whose_booking_nobody_heard_is_lost(books: Books) -> None:
    told = {**books.case.told, JOURNAL_POSTED: [name for name in books.case.told[JOURNAL_POSTED] if name != "M7"]}
    case = Case(books.engine, books.case.keys, books.case.shopping, {}, told)
    assert judge(case).counts == {LOST: 1}


# --- the table -------------------------------------------------------------------------------------------------------


def row(**fields: object) -> Row:
    return Row("a fault", 5_000, **fields)  # type: ignore[arg-type]


def wrong(kind: str) -> Verdict:
    verdict = Verdict()
    verdict.add(kind, "something", ["M1", "M2"])
    return verdict


def test_the_last_line_adds_up_what_is_wrong_in_all_faults() -> None:
    rows = [row(), row(verdict=wrong(DOUBLED)), row(verdict=wrong(STUCK)), row(left_out="no history")]
    assert total(rows) == "3 faults: lost 0, doubled 2, unbalanced 0, stuck 2"


@pytest.mark.parametrize(
    "fields", [{"failure": "it did not happen"}, {"seconds": 61.0}, {"verdict": wrong(LOST)}], ids=str
)
def test_a_row_with_anything_wrong_is_not_good(fields: dict[str, object]) -> None:
    assert row().is_good
    assert not row(**fields).is_good


def test_what_the_sums_do_not_show_is_told_by_name() -> None:
    assert failures([row(), row(seconds=75.0), row(verdict=wrong(LOST)), row(left_out="why")]) == [
        "failed: a fault: 75 s"
    ]
    assert "M1, M2" in line(row(verdict=wrong(LOST)))


# --- the upstream ----------------------------------------------------------------------------------------------------


def test_an_event_that_comes_twice_is_published_twice_though_each_call_takes_it_once() -> None:
    published: list[list[str]] = []
    upstream = Upstream(cast(Broker, _Recording(published.append)), rate=1.0)
    event = goods.item("tea")
    upstream.publish([event, event])
    assert published == [["tea"], ["tea"]]
    assert upstream.keys == [("till", "tea")] * 2


class _Recording:
    """A broker that says what is published in each call."""

    def __init__(self, say: Callable[[list[str]], None]) -> None:
        self._say = say

    def publisher(self) -> "_Recording":
        return self

    def publish(self, messages: list[object]) -> None:
        self._say([each.message_id for each in messages])  # type: ignore[attr-defined]

    def close(self) -> None:
        """Nothing is open."""
