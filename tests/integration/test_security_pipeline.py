"""The whole pipeline with as few rights as it needs: each worker in a process, a role and an account of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.desk.cli.demo import self_check
from services.desk.events import read_event
from services.desk.reporting import REPORTS
from services.desk.sending import send
from services.desk.store import is_revaluing, outcomes, stock_values, unfinished
from shared.broker import connect
from shared.broker.topology import LEDGER
from shared.contracts.outcome import OutcomeRejected
from shared.db import open_engine, transaction
from shared.service import Key
from tests import servers
from tests.brokers import delete_queue
from tests.commands import environment, invoke, told
from tests.secured import Database, GuardedBroker, database_of_roles, guarded, source

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.jsonl"))
SERVICES = ("receiving", "ledger", "accounting", "aftercare")
TILL = "till-under-rights"
READER_PASSWORD = "reads-only"
COMMAND = [sys.executable, "-c", "from services.desk.cli import main; main()"]
pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(240)]


@dataclass(frozen=True, slots=True)
class Site:
    """Both servers, and a running worker of each service."""

    database: Database
    broker: GuardedBroker

    def environment(self, role: str, account: str) -> dict[str, str]:
        return environment(
            STOCKBOOK_DATABASE_URL=self.database.url(role),
            STOCKBOOK_BROKER_URL=self.broker.url(account),
            STOCKBOOK_LOG_LEVEL="warning",
        )

    @property
    def desk(self) -> dict[str, str]:
        return self.environment("stockbook_desk", "stockbook-desk")


@pytest.fixture(scope="module")
def site(guarded_server: str, rabbitmq: servers.Broker) -> Iterator[Site]:
    with database_of_roles(guarded_server) as database:
        site = Site(database, guarded(rabbitmq, source(TILL)))
        connect(site.broker.url("stockbook")).declare()
        with _workers(site):
            yield site


@pytest.fixture(scope="module")
def booked(site: Site) -> list[Key]:
    """The examples, published by the desk and worked on to their end; their keys."""
    keys = _publish_examples(site)
    _settle(site, keys)
    return keys


def test_a_day_is_booked_to_the_cent_though_no_worker_may_do_more_than_its_own_work(
    site: Site, booked: list[Key]
) -> None:
    engine = open_engine(site.database.url("stockbook_desk"))
    with transaction(engine) as connection:
        came = outcomes(connection, booked)
        line, agreed = self_check(stock_values(connection), unfinished(connection, booked))
    engine.dispose()
    assert came.keys() == set(booked)
    refused = {each.id for each in came.values() if isinstance(each, OutcomeRejected)}
    assert refused == {"DN-404", "DN-405-X", "PR-107", "T1-000486", "T2-000030"}
    assert agreed, line


def test_a_till_is_answered_when_it_publishes_under_its_own_account(site: Site) -> None:
    sale = '{"type": "movement.requested.v1", "data": {"id": "S-1", "purpose": "giveaway", "company": "NOBODY", '
    sale += '"posting_at": "2026-01-05T10:00:00Z", "lines": [{"item": "X", "quantity": "1", "source": "Y"}]}}\n'
    env = environment(STOCKBOOK_BROKER_URL=site.broker.url(TILL))
    done = invoke("publish", "-", "--source", TILL, "--wait", env=env, given=sale)
    assert "0 accepted, 1 rejected" in done.stdout, done.stderr


def test_a_worker_has_its_vanished_queue_back_without_a_right_to_make_any_other(site: Site) -> None:
    delete_queue(site.broker.root, LEDGER)
    broker = connect(site.broker.root)
    servers.wait_until(lambda: broker.depth(LEDGER) == 0, "the ledger's queue", 30)


@pytest.mark.parametrize("report", sorted(REPORTS))
def test_a_reader_can_have_every_report(site: Site, report: str) -> None:
    engine = open_engine(site.database.admin)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "DO $$ BEGIN CREATE ROLE ann LOGIN IN ROLE stockbook_readers; EXCEPTION WHEN duplicate_object THEN NULL; "
            f"END $$; ALTER ROLE ann PASSWORD '{READER_PASSWORD}'"
        )
    engine.dispose()
    site.database.passwords["ann"] = READER_PASSWORD
    asked = ["report", report]
    if report in ("changes", "account-changes"):
        asked += ["--as-of", "2026-12-31", "--known-since", "2026-01-01"]
    told(*asked, env=environment(STOCKBOOK_DATABASE_URL=site.database.url("ann")))


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("periods",),
        ("parked", "list"),
        ("rejected", "list"),
        ("rejected", "retry", "--code", "unknown_item"),
        ("stuck", "redrive", "--all"),
        ("parked", "redrive", "--all"),
        ("explain", "T1-000481", "--source", "volt-till-1"),
        ("replay", "ledger"),
        ("verify",),
        ("audit", "head"),
        ("sources",),
    ],
    ids=" ".join,
)
def test_the_desk_can_look_at_everything_and_have_it_tried_again(
    site: Site, booked: list[Key], arguments: tuple[str, ...]
) -> None:
    done = invoke(*arguments, env=site.desk)
    assert done.exit_code in (0, 3), f"{done.exception!r} {done.stderr}"


@contextmanager
def _workers(site: Site) -> Iterator[None]:
    """A process a service, each with its own role and account; all of them are well at the end."""
    running = [_start(site.environment(f"stockbook_{each}", f"stockbook-{each}"), each) for each in SERVICES]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        ends = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(SERVICES), ends


def _start(env: Mapping[str, str], service: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "run", service], env=dict(env), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _publish_examples(site: Site) -> list[Key]:
    now = datetime.now(UTC)
    lines = [(file.parent.name, line) for file in EXAMPLES for line in file.read_bytes().splitlines()]
    events = [read_event(line, source, now) for source, line in lines]
    publisher = connect(site.broker.url("stockbook-desk")).publisher()
    send(publisher, [event.message() for event in events])
    publisher.close()
    return [key for event in events for key in event.keys]


def _settle(site: Site, keys: list[Key]) -> None:
    engine = open_engine(site.database.url("stockbook_desk"))

    def nothing_is_left() -> bool:
        with transaction(engine) as connection:
            return not unfinished(connection, keys) and not is_revaluing(connection)

    servers.wait_until(nothing_is_left, "the pipeline", 120)
    engine.dispose()
