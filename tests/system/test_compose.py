"""The pipeline as docker-compose.yml starts it: built, started with three ledgers, played through, taken down.

Everything is asked from outside, through the ports that are published on 127.0.0.1. The project has a name, passwords
and ports of its own, so that it meets nobody else's containers. Without a Docker engine these tests are skipped, on CI
too: nothing else of the project needs one.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection

from services.desk.cli.demo import self_check
from services.desk.events import Event, make_event, read_event
from services.desk.reporting import REPORTS
from services.desk.sending import send
from services.desk.store import Outcome, is_revaluing, outcomes, stock_values, unfinished
from shared.broker import connect
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import open_engine, transaction
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Key
from tests import servers

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.jsonl"))
LEDGERS = 3
WORKERS = {"receiving": 1, "ledger": LEDGERS, "accounting": 1}
MASTERS = {
    "company.defined.v1": {"company": "LOAD", "currency": "EUR"},
    "warehouse.defined.v1": {"company": "LOAD", "warehouse": "YARD"},
    "item.defined.v1": {"company": "LOAD", "item": "SAND", "unit": "kg"},
}
# The first build fetches base images and wheels.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(frozen=True, slots=True)
class Stack:
    """One project of docker-compose: how to command it, and where its servers are."""

    command: Sequence[str]
    environment: Mapping[str, str]
    broker_url: str
    database_url: str

    def compose(self, *arguments: str) -> str:
        """Run docker-compose; what it printed. AssertionError, with all that it said, where it fails."""
        return _run([*self.command, *arguments], self.environment)

    def containers(self, service: str) -> list[str]:
        """The ids of a service's containers, those that ended too."""
        label = f"label=com.docker.compose.service={service}"
        return _run(["docker", "ps", "-aq", "--filter", self._ours, "--filter", label]).split()

    def left(self) -> list[str]:
        """Every container, volume and network of the project that exists."""
        kinds = (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"])
        return [name for kind in kinds for name in _run(["docker", *kind, "--filter", self._ours]).split()]

    @property
    def _ours(self) -> str:
        return f"label=com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}"


@contextmanager
def project() -> Iterator[Stack]:
    """A project that has not been started; taken down at the end, with its volumes and its image."""
    name = f"stockbook-test-{secrets.token_hex(4)}"
    passwords = {"POSTGRES": secrets.token_hex(8), "RABBITMQ": secrets.token_hex(8)}
    ports = {server: servers.free_port() for server in ("POSTGRES", "RABBITMQ", "MANAGEMENT")}
    told = {f"{server}_PASSWORD": password for server, password in passwords.items()}
    told |= {f"{server}_PORT": str(port) for server, port in ports.items()} | {"IMAGE": f"{name}:latest"}
    stack = Stack(
        _compose_command(),
        os.environ | {f"STOCKBOOK_{key}": value for key, value in told.items()} | {"COMPOSE_PROJECT_NAME": name},
        f"amqp://stockbook:{passwords['RABBITMQ']}@127.0.0.1:{ports['RABBITMQ']}//",
        f"postgresql+psycopg2://stockbook:{passwords['POSTGRES']}@127.0.0.1:{ports['POSTGRES']}/stockbook",
    )
    try:
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
        subprocess.run(["docker", "image", "rm", f"{name}:latest"], capture_output=True, check=False)
    assert stack.left() == []


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with project() as started:
        started.compose("up", "--detach", "--build", "--scale", f"ledger={LEDGERS}")
        servers.wait_until(lambda: _all_work(started), "every worker in its container", 120)
        yield started


def test_the_migration_ran_and_ended(stack: Stack) -> None:
    (container,) = stack.containers("migrate")
    assert _inspect(container, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"


@pytest.mark.parametrize(("service", "count"), WORKERS.items())
def test_as_many_workers_as_were_asked_for_take_from_the_queue(stack: Stack, service: str, count: int) -> None:
    assert _consumers(stack, service) == count


def test_no_worker_is_root_or_writes_into_its_image(stack: Stack) -> None:
    for service in WORKERS:
        for container in stack.containers(service):
            assert _inspect(container, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}") == "true [ALL]"
            assert _run(["docker", "exec", container, "id", "-u"]).strip() == "10001"


def test_no_port_can_be_reached_from_another_machine(stack: Stack) -> None:
    addresses = "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}"
    for service in ("postgres", "rabbitmq", *WORKERS):
        for container in stack.containers(service):
            published = _inspect(container, addresses).split()
            assert set(published) == (set() if service in WORKERS else {"127.0.0.1"})


def test_the_examples_come_out_of_the_containers_booked_to_the_cent(stack: Stack) -> None:
    now = datetime.now(UTC)
    lines = [(file.parent.name, line) for file in EXAMPLES for line in file.read_bytes().splitlines()]
    events = [read_event(line, source, now) for source, line in lines]
    _publish(stack, events)
    keys = [key for event in events for key in event.keys]
    told = _settled(stack, keys)
    assert told.keys() == set(keys)
    refused = {outcome.id for outcome in told.values() if isinstance(outcome, OutcomeRejected)}
    assert refused == {"DN-404", "DN-405-X", "PR-107", "T1-000486", "T2-000030"}
    _assert_books_agree(stack, keys)


def test_a_ledger_stopped_under_load_leaves_nothing_unbooked(stack: Stack) -> None:
    _publish(stack, [make_event(kind, "load", data) for kind, data in MASTERS.items()])
    keys = _receive_until_stopped(stack, stack.containers("ledger")[0])
    told = _settled(stack, keys)
    assert [outcome for outcome in told.values() if isinstance(outcome, OutcomeRejected)] == []
    (balance,) = _report(stack, "stock-balance", "LOAD")
    assert (balance["quantity"], balance["value"]) == (Decimal(len(keys)), Decimal(2 * len(keys)))
    _assert_books_agree(stack, keys)
    assert _consumers(stack, "ledger") == LEDGERS - 1
    stack.compose("up", "--detach", "--scale", f"ledger={LEDGERS}")
    servers.wait_until(lambda: _all_work(stack), "the third ledger again")


def test_taking_it_down_leaves_nothing_behind() -> None:
    with project() as started:
        started.compose("up", "--detach", "postgres")
        assert len(started.left()) >= 3  # its container, its volume, its network
    assert started.left() == []


def _compose_command() -> list[str]:
    """`docker compose`, or `docker-compose` where only that is installed; skips where there is no engine."""
    if not servers.docker_answers():
        pytest.skip("no Docker engine answers: start Docker, or name its socket in DOCKER_HOST")
    plugin = ["docker", "compose"]
    if shutil.which("docker") and subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode:
        plugin = ["docker-compose"]
    if shutil.which(plugin[0]) is None:
        pytest.skip("a Docker engine answers, but there is neither `docker compose` nor `docker-compose`")
    return [*plugin, "--project-directory", str(ROOT), "--file", str(ROOT / "docker-compose.yml")]


def _run(command: Sequence[str], environment: Mapping[str, str] = os.environ) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def _inspect(container: str, template: str) -> str:
    return _run(["docker", "inspect", "--format", template, container]).strip()


def _all_work(stack: Stack) -> bool:
    """Whether every worker takes from its queue and, where its container tells of its health, is healthy."""
    health = "{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"
    containers = [container for service in WORKERS for container in stack.containers(service)]
    return all(_consumers(stack, service) == count for service, count in WORKERS.items()) and all(
        _inspect(container, health) == "healthy" for container in containers
    )


def _consumers(stack: Stack, queue: str) -> int:
    with Connection(stack.broker_url, connect_timeout=5) as connection:
        return int(connection.channel().queue_declare(queue, passive=True).consumer_count)


def _publish(stack: Stack, events: Sequence[Event]) -> None:
    publisher = connect(stack.broker_url).publisher()
    send(publisher, [event.message() for event in events])
    publisher.close()


def _receive_until_stopped(stack: Stack, container: str) -> list[Key]:
    """Publish receipts of a kilogram at 2.00 each, before, while and after the container stops; their keys."""
    keys: list[Key] = []

    def publish(count: int) -> None:
        events = [_receipt(f"R-{len(keys) + number}") for number in range(count)]
        _publish(stack, events)
        keys.extend(key for event in events for key in event.keys)

    publish(500)
    stopping = subprocess.Popen(["docker", "stop", "-t", "30", container], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while stopping.poll() is None and time.monotonic() < deadline:
        publish(50)
    assert stopping.wait(timeout=1) == 0
    assert _inspect(container, "{{.State.ExitCode}}") == "0"
    publish(500)
    return keys


def _receipt(movement: str) -> Event:
    line = {"item": "SAND", "quantity": "1", "target": "YARD", "rate": "2"}
    data = {"id": movement, "purpose": "material_receipt", "posting_at": datetime.now(UTC).isoformat(), "lines": [line]}
    return make_event(MOVEMENT_REQUESTED, "load", data)


def _settled(stack: Stack, keys: Sequence[Key]) -> dict[Key, Outcome]:
    """Wait until all of these are refused or booked, with all that they change; what came of them."""
    engine = open_engine(stack.database_url)

    def nothing_is_left() -> bool:
        with transaction(engine) as connection:
            left, revaluing = unfinished(connection, keys), is_revaluing(connection)
        assert left == [], f"{len(left)} of {len(keys)} are not finished"
        assert not revaluing, "some values are still to be worked out anew"
        return True

    try:
        servers.wait_until(nothing_is_left, "the pipeline", 120)
        with transaction(engine) as connection:
            return outcomes(connection, keys)
    finally:
        engine.dispose()


def _report(stack: Stack, name: str, company: str | None = None) -> list[dict[str, Any]]:
    engine = open_engine(stack.database_url)
    with transaction(engine) as connection:
        found = records(REPORTS[name], connection, Filters(company=company))
    engine.dispose()
    return found


def _assert_books_agree(stack: Stack, keys: Sequence[Key]) -> None:
    """All is finished, stock is worth what its accounts say, and debits are credits: per movement and in all."""
    engine = open_engine(stack.database_url)
    with transaction(engine) as connection:
        line, agreed = self_check(stock_values(connection), unfinished(connection, keys))
    engine.dispose()
    assert agreed, line
    trial = _report(stack, "trial-balance")
    assert trial
    assert sum((row["balance"] for row in trial), ZERO) == ZERO
    differences: dict[Key, Decimal] = {}
    for row in _report(stack, "journal"):
        key = row["source"], row["id"]
        differences[key] = differences.get(key, ZERO) + (row["debit"] or ZERO) - (row["credit"] or ZERO)
    assert {key: difference for key, difference in differences.items() if difference} == {}
