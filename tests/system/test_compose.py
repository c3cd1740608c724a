"""The pipeline as docker-compose.yml starts it: built, started with three ledgers, played through, taken down.

Everything is asked from outside, through the ports that are published on 127.0.0.1. The project has a name, passwords
and ports of its own, a password for each role and account, so that it meets nobody else's containers, and nobody in it
comes further by somebody else's password. Without a Docker engine these tests are skipped, on CI too: nothing else of
the project needs one.
"""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import amqp
import pytest
import sqlalchemy as sa
from amqp.exceptions import AccessRefused
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
from shared.errors import Fatal, Retryable
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Key
from tests import servers

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.jsonl"))
LEDGERS = 3
WORKERS = {"receiving": 1, "ledger": LEDGERS, "accounting": 1, "aftercare": 1}
BEGINNING = ("broker-definitions", "roles", "migrate")
PASSWORDS = {
    "POSTGRES": ("OWNER", "RECEIVING", "LEDGER", "ACCOUNTING", "AFTERCARE", "DESK"),
    "RABBITMQ": ("RECEIVING", "LEDGER", "ACCOUNTING", "AFTERCARE", "DESK"),
}
TILL = "till-of-tests"
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

    @property
    def broker_url(self) -> str:
        """The broker, for its administrator."""
        return self.broker_of("stockbook", self.environment["STOCKBOOK_RABBITMQ_PASSWORD"])

    @property
    def database_url(self) -> str:
        """The database, for its administrator."""
        return self.database_of("stockbook", self.environment["STOCKBOOK_POSTGRES_PASSWORD"])

    def broker_of(self, account: str, password: str) -> str:
        """The broker, for one of its accounts."""
        return f"amqp://{account}:{password}@127.0.0.1:{self.environment['STOCKBOOK_RABBITMQ_PORT']}//"

    def database_of(self, role: str, password: str) -> str:
        """The database, for one of its roles."""
        port = self.environment["STOCKBOOK_POSTGRES_PORT"]
        return f"postgresql+psycopg2://{role}:{password}@127.0.0.1:{port}/stockbook"

    def compose(self, *arguments: str, said: str | None = None) -> str:
        """Run docker-compose, `said` is its input; what it printed. AssertionError, with all of it, where it fails."""
        return _run([*self.command, *arguments], self.environment, said)

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
    ports = {server: servers.free_port() for server in ("POSTGRES", "RABBITMQ", "MANAGEMENT")}
    named = [f"{server}_{each}" for server, whose in PASSWORDS.items() for each in whose]
    told = {f"{each}_PASSWORD": secrets.token_hex(8) for each in (*PASSWORDS, *named)}
    told |= {f"{server}_PORT": str(port) for server, port in ports.items()} | {"IMAGE": f"{name}:latest"}
    with tempfile.TemporaryDirectory() as folder:
        told["RABBITMQ_SOURCES_FILE"] = _write_sources(Path(folder))
        settings = {f"STOCKBOOK_{key}": value for key, value in told.items()}
        stack = Stack(_compose_command(), os.environ | settings | {"COMPOSE_PROJECT_NAME": name})
        try:
            yield stack
        finally:
            stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")
            subprocess.run(["docker", "image", "rm", f"{name}:latest"], capture_output=True, check=False)
    assert stack.left() == []


def _write_sources(folder: Path) -> str:
    """The file of the accounts of upstreams, closed to all but us: one till, whose password is its own name."""
    file = folder / "sources.toml"
    file.write_text(f'[{TILL}]\npassword = "{TILL}"\n', encoding="utf-8")
    file.chmod(0o600)
    return str(file)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with project() as started:
        started.compose("up", "--detach", "--build", "--scale", f"ledger={LEDGERS}")
        servers.wait_until(lambda: _all_work(started), "every worker in its container", 120)
        yield started


@pytest.mark.parametrize("service", BEGINNING)
def test_what_only_prepares_ran_and_ended(stack: Stack, service: str) -> None:
    (container,) = stack.containers(service)
    assert _inspect(container, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"


@pytest.mark.parametrize(("service", "count"), WORKERS.items())
def test_as_many_workers_as_were_asked_for_take_from_the_queue(stack: Stack, service: str, count: int) -> None:
    assert _consumers(stack, service) == count


def test_no_worker_is_root_or_writes_into_its_image(stack: Stack) -> None:
    for service in WORKERS:
        for container in stack.containers(service):
            assert _inspect(container, "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}") == "true [ALL]"
            assert _run(["docker", "exec", container, "id", "-u"]).strip() == "10001"


def test_each_worker_comes_to_the_database_as_its_own_role_and_no_other(stack: Stack) -> None:
    wanted = {address: f"stockbook_{service}" for address, service in _addresses(stack).items()}

    def found() -> dict[str, str]:
        engine = open_engine(stack.database_url)
        with transaction(engine) as connection:
            asked = "SELECT DISTINCT host(client_addr), usename FROM pg_stat_activity WHERE client_addr IS NOT NULL"
            seen = [tuple(row) for row in connection.execute(sa.text(asked))]
        engine.dispose()
        roles = {address: role for address, role in seen if address in wanted}
        assert len(roles) == len([address for address, _ in seen if address in wanted]), seen
        return roles

    servers.wait_until(lambda: found() == wanted, "the workers' connections to the database")


def test_each_worker_comes_to_the_broker_under_its_own_account_and_no_other(stack: Stack) -> None:
    asked = ("exec", "-T", "rabbitmq", "rabbitmqctl", "-q", "list_connections", "peer_host", "user")
    seen = {tuple(line.split()) for line in stack.compose(*asked).splitlines()}
    addresses = _addresses(stack)
    found = {(address, user) for address, user in seen if address in addresses}
    assert found == {(address, f"stockbook-{service}") for address, service in addresses.items()}


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        ("ledger", "UPDATE receiving.bin SET quantity = 0"),
        ("ledger", "SELECT * FROM accounting.transfer"),
        ("ledger", "DELETE FROM ledger.entry"),
        ("accounting", "UPDATE accounting.transfer SET amount = 1"),
        ("receiving", "CREATE TABLE receiving.own ()"),
        ("desk", "INSERT INTO receiving.source VALUES ('own', 'fact', 0)"),
    ],
)
def test_no_role_does_what_is_not_its_work(stack: Stack, service: str, statement: str) -> None:
    password = stack.environment[f"STOCKBOOK_POSTGRES_{service.upper()}_PASSWORD"]
    engine = open_engine(stack.database_of(f"stockbook_{service}", password))
    with pytest.raises(Fatal, match="permission denied"), transaction(engine) as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def test_nobody_gets_in_with_the_password_of_another(stack: Stack) -> None:
    others = stack.environment["STOCKBOOK_POSTGRES_LEDGER_PASSWORD"]
    engine = open_engine(stack.database_of("stockbook_receiving", others))
    with pytest.raises(Retryable, match="password authentication failed"), transaction(engine):
        pass
    with pytest.raises(AccessRefused), Connection(stack.broker_of("stockbook-ledger", others)) as connection:
        connection.connect()


def test_a_till_publishes_its_movements_and_hears_of_them(stack: Stack) -> None:
    broker = connect(stack.broker_of(TILL, TILL))
    publisher = broker.publisher()
    send(publisher, [make_event(MOVEMENT_REQUESTED, TILL, {"id": "T-1", "purpose": "theft", "lines": []}).message()])
    publisher.close()
    key = (TILL, "T-1")
    assert isinstance(_settled(stack, [key])[key], OutcomeRejected)


@pytest.mark.parametrize(
    "act",
    [
        lambda channel: channel.basic_get("receiving"),
        lambda channel: channel.queue_purge("receiving"),
        lambda channel: channel.queue_declare("mine"),
        lambda channel: channel.exchange_declare("stock.intake", "topic", passive=False),
        lambda channel: _publish_as(channel, "stock.intake", "item.defined.v1"),
        lambda channel: _publish_as(channel, "stock.work", "movement.allocated.v1"),
        lambda channel: _publish_as(channel, "", "ledger"),
        lambda channel: channel.queue_bind(
            channel.queue_declare("", exclusive=True).queue, "stock.events", "outcome.accepted.v1.another"
        ),
    ],
    ids=["take", "purge", "declare", "exchange", "define", "allocate", "past the gate", "others' outcomes"],
)
def test_a_till_may_do_nothing_else(stack: Stack, act: Any) -> None:
    with Connection(stack.broker_of(TILL, TILL), transport_options={"confirm_publish": True}) as connection:
        channel = connection.channel()
        with pytest.raises(AccessRefused):
            act(channel)


def test_people_look_and_act_through_the_desk_which_starts_nothing_else(stack: Stack) -> None:
    began = [_inspect(stack.containers(each)[0], "{{.State.StartedAt}}") for each in BEGINNING]
    data = {"company": "DESK", "currency": "EUR"}
    event = {"specversion": "1.0", "id": "D1", "source": "people", "type": "company.defined.v1", "data": data}
    assert "1 event" in stack.compose("run", "--rm", "-T", "desk", "publish", "-", said=json.dumps(event))
    told = _settled(stack, [("people", "D1")])
    assert not isinstance(told["people", "D1"], OutcomeRejected)
    status = json.loads(stack.compose("run", "--rm", "-T", "desk", "status", "--format", "json"))
    assert status["needs_a_person"] == []
    assert stack.compose("run", "--rm", "-T", "desk", "verify").splitlines()[-1].startswith("verify: OK")
    assert [_inspect(stack.containers(each)[0], "{{.State.StartedAt}}") for each in BEGINNING] == began


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


def _run(command: Sequence[str], environment: Mapping[str, str] = os.environ, said: str | None = None) -> str:
    done = subprocess.run(command, env=environment, input=said, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout


def _inspect(container: str, template: str) -> str:
    return _run(["docker", "inspect", "--format", template, container]).strip()


def _addresses(stack: Stack) -> dict[str, str]:
    """The address of each worker, and its service."""
    ours = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return {_inspect(each, ours): service for service in WORKERS for each in stack.containers(service)}


def _publish_as(channel: Any, exchange: str, key: str) -> None:
    """Publish and wait for the confirm: a refusal closes the channel, and raises."""
    channel.basic_publish(amqp.Message(b"{}"), exchange=exchange, routing_key=key)


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
