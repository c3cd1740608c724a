"""Ledger and journal are rebuilt from what the gate stored, after they were lost."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.desk import replaying
from services.desk.pipeline import Pipeline
from services.desk.store.lacking import Lacking
from shared.broker.topology import ACCOUNTING, LEDGER
from shared.contracts.registry import (
    MOVEMENT_REQUESTED,
)
from shared.errors import StockbookError
from tests import commands, servers
from tests.builders import SOURCE, rows
from tests.integration.test_confluence import differences
from tests.properties.histories import any_day, sent
from tests.receiving_builders import after, comes, goes, movement
from tests.replaying_builders import (
    CORRECTED_TOO,
    QUICK,
    SAME_BYTES,
    assert_at_rest,
    bytes_of,
    changed,
    clock,
    counted,
    environment,
    examples,
    in_order,
    lost,
    opened,
    replay,
    told_late,
    worth_of,
)

ROOT = Path(__file__).resolve().parents[2]
IN_PAGES = "from services.desk import replaying; replaying.PAGE = 20; from services.desk.cli import main; main()"
BOTH = (LEDGER, ACCOUNTING)
NEEDS_A_PERSON = 3
NOWHERE = "amqp://nobody@127.0.0.1:1//"
Histories = Callable[[str], str]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(scope="module")
def histories(postgres: str, empty_database: str) -> Iterator[Histories]:
    """The URL of a database with a history, by its name: each is played once, and nobody writes to it after that."""
    play: dict[str, Callable[[str], None]] = {
        "a day in order": lambda url: in_order(url, sent(any_day(Random(7), 260))),
        "the examples": examples,
        "told late": partial(told_late, seed=2),
        "told late otherwise": partial(told_late, seed=5, histories=3),
    }
    played: dict[str, str] = {}
    with ExitStack() as databases, capture_logs():

        def played_once(name: str) -> str:
            if name not in played:
                fresh = servers.fresh_database(postgres, template=sa.make_url(empty_database).database)
                played[name] = databases.enter_context(fresh)
                play[name](played[name])
            return played[name]

        yield played_once


def test_what_came_in_order_is_rebuilt_to_the_byte(postgres: str, histories: Histories) -> None:
    before = histories("a day in order")
    with lost(postgres, before, *BOTH) as url:
        assert replay(url, "all").startswith("ledger: 260 replayed in ")
        tables = SAME_BYTES | CORRECTED_TOO
        assert differences(bytes_of(url, tables), bytes_of(before, tables)) == []
        assert_at_rest(url)


@pytest.mark.parametrize("page", [500, pytest.param(9, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", ["the examples", "told late", pytest.param("told late otherwise", marks=pytest.mark.slow)]
)
def test_what_was_told_late_is_worth_the_same_in_every_leg_account_and_at_each_time(
    postgres: str, histories: Histories, monkeypatch: pytest.MonkeyPatch, name: str, page: int
) -> None:
    """However often something is valued anew on the way; and books that were closed are locked as they were."""
    monkeypatch.setattr(replaying, "PAGE", page)
    before = histories(name)
    expected = worth_of(before)
    assert len(expected["closings"]) > 1
    assert counted(before, "ledger.entry WHERE revaluation > 0") > 5
    assert counted(before, "ledger.entry WHERE dated_at IS NOT NULL") > 0
    with lost(postgres, before, *BOTH) as url:
        replay(url, "all")
        assert differences(worth_of(url), expected) == []
        assert_at_rest(url)


@pytest.mark.parametrize("name", ["told late", "the examples"])
def test_a_journal_alone_is_rebuilt_to_the_byte_revaluations_and_all(
    postgres: str, histories: Histories, name: str
) -> None:
    before = histories(name)
    with lost(postgres, before, ACCOUNTING) as url:
        replay(url, "accounting")
        assert differences(bytes_of(url), bytes_of(before)) == []
        assert worth_of(url) == worth_of(before)
        assert_at_rest(url)


def test_a_ledger_is_not_rebuilt_beneath_a_journal_that_stays(postgres: str, histories: Histories) -> None:
    with lost(postgres, histories("told late"), LEDGER) as url:
        for arguments in (["ledger"], ["all", "--now"], ["ledger", "--from", "2026-01-01"]):
            done = commands.invoke("replay", *arguments, env=environment(url, NOWHERE))
            assert isinstance(done.exception, StockbookError)
            assert "both are rebuilt together" in str(done.exception)
        assert counted(url, "ledger.replay") == counted(url, "ledger.movement") == 0


def test_a_shop_goes_on_after_its_books_were_rebuilt(postgres: str, histories: Histories) -> None:
    with lost(postgres, histories("a day in order"), *BOTH) as url:
        replay(url, "all")
        at = datetime(2026, 3, 2, 20, tzinfo=UTC)
        more = [movement("purchase_receipt", comes("tea", 3, rate="9"), id="next", at=at)]
        more += [movement("delivery", goes("tea", 3), id="last", at=at + timedelta(hours=1))]
        with Pipeline(url, clock=clock(), settings=QUICK) as pipeline:
            pipeline.publish(sent(more))
            pipeline.settle()
            pipeline.turn()
        booked = "accounting.journal WHERE id IN ('next', 'last') AND number > 260"
        assert counted(url, booked) >= 2
        unequal = """(SELECT company, account, sum(value) AS value FROM ledger.stock_balance
            JOIN receiving.warehouses USING (company, warehouse) GROUP BY 1, 2) AS stock
            JOIN accounting.trial_balance USING (company, account) WHERE value <> balance"""
        assert counted(url, unequal) == 0
        assert_at_rest(url)


def test_a_rebuild_that_is_killed_again_and_again_ends_like_one_that_is_let_alone(
    postgres: str, histories: Histories
) -> None:
    before = histories("a day in order")
    with lost(postgres, before, *BOTH) as url:
        for table, count in (("ledger.movement", 30), ("ledger.movement", 170), ("accounting.movement", 90)):
            killed_at(url, table, count)
            assert 0 < counted(url, "ledger.movement") <= 260
        assert 0 < counted(url, "accounting.movement") < 260
        replay(url, "all")
        assert differences(bytes_of(url), bytes_of(before)) == []
        assert counted(url, "ledger.waiting") == counted(url, "accounting.unnumbered") == 0


def killed_at(url: str, table: str, count: int) -> None:
    """Rebuild in a process of its own, and kill it as soon as so many rows are there."""
    command = [sys.executable, "-c", IN_PAGES, "replay", "all"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(url), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        with opened(url) as engine:
            while rows(engine, f"SELECT count(*) FROM {table}")[0][0] < count:
                assert process.poll() is None
                assert time.monotonic() < deadline
    finally:
        process.kill()
    assert process.wait(10) == -signal.SIGKILL


def test_two_who_rebuild_at_once_end_like_one(postgres: str, histories: Histories) -> None:
    before = histories("a day in order")

    def rebuild(url: str) -> None:
        with opened(url) as engine:
            for each in replaying.Replayed:
                replaying.replay_now(engine, each, replaying.Choice(), None, lambda *_: None)

    with lost(postgres, before, *BOTH) as url, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(rebuild, [url, url])) == [None, None]
        assert differences(bytes_of(url), bytes_of(before)) == []
        assert_at_rest(url)


def test_what_cannot_be_worked_on_is_put_aside_and_told_and_all_others_are_replayed(
    postgres: str, histories: Histories
) -> None:
    with lost(postgres, histories("a day in order"), *BOTH) as url:
        changed(url, "UPDATE receiving.movement SET allocated = '{\"id\": 5}' WHERE id = 'M0250'")
        done = commands.invoke("replay", "all", env=environment(url))
        assert done.exit_code == NEEDS_A_PERSON
        waiting = counted(url, "ledger.waiting")
        assert done.stdout.splitlines()[3:] == [
            "1 parked: stockbook parked list --service ledger",
            f"{waiting} waiting in the ledger for what is not there",
        ]
        assert counted(url, "ledger.parked WHERE reason = 'malformed'") == 1
        assert counted(url, "ledger.posted") == counted(url, "accounting.journal_entry") == 259 - waiting
        assert 240 < 259 - waiting < 259
        again = commands.invoke("replay", "all", env=environment(url)).stdout
        assert again.startswith("ledger: 0 replayed"), "what was parked is not tried again"


# --- pages ------------------------------------------------------------------------------------------------------------


def some(minutes: Sequence[int], size: int = 10) -> list[Lacking]:
    return [Lacking((SOURCE, str(n)), MOVEMENT_REQUESTED, after(at), size) for n, at in enumerate(minutes)]


def paged(items: Sequence[Lacking], *cuts: int) -> list[list[str]]:
    return [[each.key[1] for each in page] for page in replaying.pages(items, [after(each) for each in cuts])]


def test_no_page_has_movements_from_before_a_closing_and_from_after_it() -> None:
    assert paged(some([1, 2, 3, 4, 5]), 2, 4) == [["0", "1"], ["2", "3"], ["4"]]
    assert paged(some([5, 6]), 1, 2) == [["0", "1"]]
    assert paged([], 1) == []


def test_no_page_has_more_movements_or_bytes_than_it_may_unless_one_alone_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAGE", 3)
    assert paged(some([1] * 7)) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    monkeypatch.setattr(replaying, "PAGE_BYTES", 25)
    assert paged(some([1] * 5)) == [["0", "1"], ["2", "3"], ["4"]]
    assert paged(some([1, 1], size=100)) == [["0"], ["1"]]
