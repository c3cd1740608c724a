"""What a service never got is named, and taken from the stored outputs of the service before it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from services.desk import replaying
from services.desk.cli.replay import since_of
from services.desk.events import Event, make_event
from services.desk.pipeline import Pipeline
from shared import replay as workers_own
from shared.broker import EmbeddedBroker, connect
from shared.broker.topology import ACCOUNTING, EVENTS, LEDGER
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import (
    JOURNAL_POSTED,
    JOURNAL_REVALUED,
    MOVEMENT_ALLOCATED,
    MOVEMENT_POSTED,
    STOCK_REVALUED,
)
from shared.errors import StockbookError
from tests import commands, servers
from tests.builders import SOURCE, rows
from tests.integration.test_confluence import differences
from tests.properties.histories import any_day, masters, sent
from tests.receiving_builders import after, comes, goes, movement
from tests.replaying_builders import (
    QUICK,
    Works,
    assert_at_rest,
    bytes_of,
    changed,
    counted,
    environment,
    opened,
    replay,
    worth_of,
)

NEEDS_A_PERSON = 3
NOWHERE = "amqp://nobody@127.0.0.1:1//"
Loss = Callable[[Works], int]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    with capture_logs():
        yield


def no_loss(_: Works) -> int:
    return 1


def three_parts(url: str, loss_before_ledger: Loss, loss_before_accounting: Loss) -> Works:
    """A day in three parts, of the second of which something is lost on the way."""
    works = Works(url)
    works.receive(masters(patience=0))
    day = sent(any_day(Random(3), 240))
    for number, part in enumerate((day[:80], day[80:160], day[160:])):
        works.receive(part)
        assert number != 1 or loss_before_ledger(works)
        works.post()
        assert number != 1 or loss_before_accounting(works)
        works.book()
    return works


@pytest.fixture
def undisturbed(postgres: str, empty_database: str) -> Iterator[str]:
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        three_parts(url, no_loss, no_loss)
        replay(url, "accounting")  # numbers what is booked
        yield url


def test_what_the_ledger_never_got_is_named_and_then_posted_with_all_that_waits_for_it(
    database: str, undisturbed: str
) -> None:
    three_parts(database, lambda works: works.lose(LEDGER), no_loss)
    assert counted(database, "ledger.movement") == 160
    assert counted(database, "ledger.waiting") > 20
    told = replay(database, "all", "--dry-run").splitlines()
    assert told[0] == "ledger lacks 80, recorded from 2026-03-02 18:00:00 to 2026-03-02 18:00:00:"
    assert told[1:21] == [f"  2026-03-02 18:00:00  till M{n:04d}  {MOVEMENT_ALLOCATED}" for n in range(81, 101)]
    assert told[21:23] == ["  and 60 more", "accounting lacks nothing"]
    assert counted(database, "ledger.movement") == 160, "a dry run changes nothing"
    assert replay(database, "all").splitlines()[0].startswith("ledger: 80 replayed in ")
    assert differences(bytes_of(database), bytes_of(undisturbed)) == []
    assert_at_rest(database)
    lacks = [f"{service} lacks nothing" for service in ("ledger", "accounting", "aftercare")]
    assert replay(database, "all", "--dry-run").splitlines() == lacks


def test_what_accounting_never_got_is_booked(database: str, undisturbed: str) -> None:
    three_parts(database, no_loss, lambda works: works.lose(ACCOUNTING))
    assert replay(database, "ledger", "--dry-run") == "ledger lacks nothing\n"
    told = replay(database, "accounting", "--dry-run").splitlines()
    assert (told[0].split(",")[0], told[1]) == (
        "accounting lacks 80",
        f"  2026-03-02 18:00:00  till M0081  {MOVEMENT_POSTED}",
    )
    replay(database, "accounting")
    assert differences(bytes_of(database), bytes_of(undisturbed)) == []
    assert_at_rest(database)


def revalued_day() -> list[list[Event]]:
    """What is sold dear, and then turns out to have been bought for less; it is told set by set."""
    asked = [
        movement("purchase_receipt", comes("tea", 10, rate="5"), id="dear", at=after(60)),
        movement("delivery", goes("tea", 4), id="sold", at=after(90)),
        movement("purchase_receipt", comes("tea", 10, rate="3"), id="cheap", at=after(30)),
    ]
    return [masters(patience=0, lateness=0), *(sent([each]) for each in asked)]


def test_a_revaluation_that_accounting_never_got_is_booked_as_what_it_is(database: str) -> None:
    works = Works(database)
    for events in revalued_day():
        works.receive(events)
        works.post()
    assert works.lose(ACCOUNTING) >= 3
    told = replay(database, "accounting", "--dry-run")
    assert told.startswith("accounting lacks 4,")
    assert STOCK_REVALUED in told
    replay(database, "accounting")
    sold = "SELECT amount, revaluation IS NOT NULL FROM accounting.journal WHERE id = 'sold' ORDER BY 2"
    with opened(database) as engine:
        assert rows(engine, sold) == [(20, False), (8, True)]
    assert_at_rest(database)


def test_rows_of_the_journal_that_somebody_deleted_come_back(database: str, undisturbed: str) -> None:
    three_parts(database, no_loss, no_loss)
    replay(database, "accounting")
    newest = "(SELECT journal_entry FROM accounting.journal_number ORDER BY number DESC LIMIT 50)"
    keys = f"(SELECT source, id FROM accounting.journal_entry WHERE journal_entry IN {newest})"
    changed(
        database,
        f"DELETE FROM accounting.movement WHERE (source, id) IN {keys}",
        f"DELETE FROM accounting.transfer WHERE journal_entry IN {newest}",
        f"DELETE FROM accounting.journal_entry WHERE journal_entry IN {newest}",
        f"DELETE FROM accounting.journal_number WHERE journal_entry IN {newest}",
    )
    assert counted(database, "accounting.movement") == 190
    replay(database, "accounting")
    assert differences(bytes_of(database), bytes_of(undisturbed)) == []
    assert worth_of(database) == worth_of(undisturbed)


def test_a_closing_of_which_accounting_never_heard_locks_its_days(database: str) -> None:
    works = Works(database)
    for events in revalued_day():
        works.receive(events)
        works.post()
    works.book()
    closed = {"company": "shop", "through": "2026-03-01", "actor": "ann", "reason": "over"}
    works.receive([make_event("period.closed.v1", SOURCE, closed, "C1")])
    assert works.lose(ACCOUNTING) == 1
    assert replay(database, "accounting", "--dry-run").splitlines() == [
        "accounting lacks nothing",
        "accounting has not heard of 1 of the closings and reopenings of books",
    ]
    replay(database, "accounting")
    assert counted(database, "accounting.period WHERE locked_at IS NOT NULL") == 1


def test_a_closing_that_accounting_cannot_hear_of_holds_nothing_up_and_is_told(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("each time")

    works = Works(database)
    for events in revalued_day():
        works.receive(events)
        works.post()
    closed = {"company": "shop", "through": "2026-03-01", "actor": "ann", "reason": "over"}
    works.receive([make_event("period.closed.v1", SOURCE, closed, "C1")])
    monkeypatch.setattr(replaying, "HALVES", 3)
    monkeypatch.setattr(replaying, "hear", fails)
    done = commands.invoke("replay", "accounting", env=environment(database))
    assert done.exit_code == NEEDS_A_PERSON
    assert done.stdout.splitlines()[1:] == ["accounting has not heard of 1 of the closings and reopenings of books"]
    assert counted(database, "accounting.journal_number") == 4


def test_only_what_was_recorded_since_then_is_replayed_or_only_the_one_that_is_named(database: str) -> None:
    works = Works(database)
    for events in revalued_day():
        works.receive(events)
    works.lose(LEDGER)
    changed(database, "UPDATE receiving.movement SET recorded_at = recorded_at + interval '1 day' WHERE id = 'cheap'")
    assert replay(database, "ledger", "--from", "2026-03-03", "--dry-run").count(MOVEMENT_ALLOCATED) == 1
    assert replay(database, "ledger", "--from", "beginning", "--dry-run").count(MOVEMENT_ALLOCATED) == 3
    assert replay(database, "ledger", "--source", SOURCE, "--id", "dear").startswith("ledger: 1 replayed in ")
    with opened(database) as engine:
        assert rows(engine, "SELECT id FROM ledger.posted") == [("dear",)]
    # It waits for what was sold before: the one that is older than asked for.
    done = commands.invoke("replay", "ledger", "--from", "2026-03-02T18:00:01Z", env=environment(database))
    assert done.exit_code == NEEDS_A_PERSON
    assert done.stdout.splitlines()[1:] == ["1 waiting in the ledger for what is not there"]
    replay(database, "ledger")
    assert counted(database, "ledger.posted") == 3
    assert isinstance(
        commands.invoke("replay", "ledger", "--id", "dear", env=environment(database)).exception, StockbookError
    )


def test_a_day_alone_means_from_its_first_moment_on() -> None:
    assert since_of("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert since_of("2026-01-31T12:00:00+01:00") == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert since_of("beginning") is None
    with pytest.raises(StockbookError):
        since_of("yesterday")


# --- on a system at work ----------------------------------------------------------------------------------------------


def test_where_there_are_workers_they_are_asked_for_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    works = Works(database)
    for events in revalued_day():
        works.receive(events)
    done = commands.invoke("replay", "all", env=environment(database, NOWHERE))
    assert "rebuilt in the order of time" in str(done.exception), "workers take what they lack in any order"
    works.post()
    works.book()
    works.receive(sent([movement("delivery", goes("tea", 1), id="late", at=after(100))]))
    works.lose(LEDGER)
    told = replay(database, "all", broker_url=NOWHERE)
    assert told == "marked: the workers of ledger, accounting and aftercare take what they lack at their next sweep\n"
    assert counted(database, "ledger.movement") == 3
    assert counted(database, "ledger.replay") == counted(database, "accounting.replay") == 1
    monkeypatch.setattr(workers_own, "GRACE", 0.0)
    with Pipeline(database, settings=QUICK) as pipeline:
        for _ in range(12):
            pipeline.turn()
    assert counted(database, "accounting.journal_entry") == 5
    assert_at_rest(database)


def test_what_is_replayed_is_told_unless_nobody_is_to_be_told(
    postgres: str, empty_database: str, vhost_url: str
) -> None:
    broker = connect(vhost_url)
    broker.declare()
    kinds = (MOVEMENT_POSTED, STOCK_REVALUED, JOURNAL_POSTED, JOURNAL_REVALUED)
    ear = broker.bind_temporary(EVENTS, kinds)

    def heard() -> dict[str, int]:
        counts = dict.fromkeys(kinds, 0)
        while deliveries := ear.drain(100, 0.5):
            ear.acknowledge(deliveries)
            for envelope in map(read_envelope, (each.body for each in deliveries)):
                counts[envelope.type] += len(raw_movements(envelope.data))
        return counts

    for arguments, expected in ((["--quiet"], [0, 0, 0, 0]), (["--now"], [3, 1, 3, 1])):
        with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
            works = Works(url)
            for events in revalued_day():
                works.receive(events)
            replay(url, "all", *arguments, broker_url=vhost_url)
            assert list(heard().values()) == expected
            assert counted(url, "accounting.journal_entry") == 4
            assert_at_rest(url)
    ear.close()
    broker.close()


def test_what_could_not_be_told_stands_in_the_outbox(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between a commit and a confirm, a replay leaves it there, and a worker's next sweep tells it."""
    works = Works(database)
    for events in revalued_day():
        works.receive(events)
    works.lose(LEDGER)

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    embedded = EmbeddedBroker()
    publisher = embedded.publisher()
    monkeypatch.setattr(publisher, "publish", dies)
    monkeypatch.setattr(embedded, "publisher", lambda: publisher)
    with opened(database) as engine, pytest.raises(KeyboardInterrupt):
        choice = replaying.Choice()
        replaying.replay_now(engine, replaying.Replayed.LEDGER, choice, embedded, lambda *_: None)
    with opened(database) as engine:
        assert rows(engine, "SELECT id FROM ledger.posted ORDER BY 1") == [("cheap",), ("dear",), ("sold",)]
        assert rows(engine, "SELECT id FROM ledger.outbox ORDER BY 1") == [("cheap",), ("dear",), ("sold",)]
