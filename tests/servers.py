"""Where the tests find their PostgreSQL and their RabbitMQ.

The first that is there: an address in the environment (STOCKBOOK_TEST_DATABASE_URL, STOCKBOOK_TEST_BROKER_URL), a
Docker engine, binaries of this machine started privately; for PostgreSQL, at last, the wheel's. A server that is
started here listens on 127.0.0.1 or a unix socket only and is gone when its `with` block ends, even by kill -9.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from amqp.exceptions import NotFound
from kombu.connection import Connection

from shared.embedded_postgres import EmbeddedPostgres

POSTGRES_IMAGE = "postgres:17"
RABBITMQ_IMAGE = "rabbitmq:4-management"
# Without a rabbitmqctl the tests share the default virtual host; what the pipeline declares there is removed.
QUEUES = ("receiving", "ledger", "accounting", "aftercare")
LANES = ("till", "till-1", "till-2")
SHARED_QUEUES = (
    *QUEUES,
    *(f"{name}.dead" for name in QUEUES),
    *(f"receiving.lane.{name}" for name in LANES),
    "stock.unrouted",
    "stock.audit",
)
SHARED_EXCHANGES = (
    "stock.intake",
    *(f"stock.intake.{name}" for name in LANES),
    "stock.work",
    "stock.events",
    "stock.dead",
    "stock.unrouted",
)
VIRTUAL_HOSTS_AT_ONCE = 8  # a call of rabbitmqctl takes a second, whatever it asks for
_UNIQUE = itertools.count(1)


class NoServerError(RuntimeError):
    """No such server can be had here; the message says how to get one."""


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server on which databases may be created."""
    given = os.environ.get("STOCKBOOK_TEST_DATABASE_URL")
    if given:
        yield given
    elif docker_answers():
        with _postgres_container() as url:
            yield url
    else:
        with EmbeddedPostgres(durable=False, binaries=local_postgres()) as server:
            yield server.url


@contextmanager
def fresh_database(server: str, template: str | None = None, strategy: str | None = None) -> Iterator[str]:
    """The URL of a new database on `server`, a copy of `template` where one is named; dropped at the end. `strategy`:
    how PostgreSQL is to copy."""
    name = f"stockbook_{os.getpid()}_{next(_UNIQUE)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        copied = f' TEMPLATE "{template}"' if template else ""
        copied += f" STRATEGY {strategy}" if strategy else ""
        connection.execute(sa.text(f'CREATE DATABASE "{name}"{copied}'))
    try:
        yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def local_postgres() -> Path | None:
    """The newest PostgreSQL installed on this machine, as Debian lays it out; None: there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


@contextmanager
def _postgres_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(POSTGRES_IMAGE).with_exposed_ports(5432).with_env("POSTGRES_PASSWORD", "stockbook")
    container = container.with_command("postgres -c fsync=off -c synchronous_commit=off -c full_page_writes=off")
    with container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(5432)
        url = f"postgresql+psycopg2://postgres:stockbook@{host}:{port}/postgres"
        wait_until(lambda: _database_answers(url), "PostgreSQL in its container")
        yield url


def _database_answers(url: str) -> bool:
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return bool(connection.scalar(sa.text("SELECT true")))


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Broker:
    """A RabbitMQ server: its URL (default virtual host), and its rabbitmqctl where that can be reached."""

    url: str
    ctl: Callable[..., str] | None = None
    import_definitions: Callable[[str], object] | None = None
    _spare: list[str] = field(default_factory=list)

    def vhost(self) -> str:
        """A virtual host that nobody has used, as a URL; without rabbitmqctl the default one, emptied."""
        if self.import_definitions is None:
            _empty_default_virtual_host(self.url)
            return self.url
        if not self._spare:
            self._spare = self._make_virtual_hosts(self.import_definitions)
        return f"{self.url.rstrip('/')}/{self._spare.pop()}"

    def _make_virtual_hosts(self, import_definitions: Callable[[str], object]) -> list[str]:
        names = [f"test-{os.getpid()}-{next(_UNIQUE)}" for _ in range(VIRTUAL_HOSTS_AT_ONCE)]
        all_rights = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "vhosts": [{"name": name} for name in names],
            "permissions": [{"vhost": name, **all_rights} for name in names],
        }
        import_definitions(json.dumps(definitions))
        return names


@contextmanager
def rabbitmq() -> Iterator[Broker]:
    """A RabbitMQ server; NoServerError where none can be had."""
    given = os.environ.get("STOCKBOOK_TEST_BROKER_URL")
    if given:
        yield Broker(given)
    elif docker_answers():
        with _rabbitmq_container() as broker:
            yield broker
    else:
        with PrivateRabbitmq() as node:
            yield Broker(node.url, node.ctl, node.import_definitions)


class PrivateRabbitmq:
    """One RabbitMQ node of our own, from the binaries of this machine, all of it in one temporary folder.

    `home` holds the Erlang cookie: nodes that shall form a cluster share one. `kill` and `start` again make a crash.
    """

    # Stops the node when the pipe to its owner closes. Arguments: rabbitmq-server, its output, its pid file, leftovers.
    KEEPER = r"""
"$1" </dev/null >"$2" 2>&1 & script=$!
read -r _
if [ -s "$3" ]; then kill -TERM "$(cat "$3")"; else kill -TERM $script; fi 2>/dev/null
wait
[ -z "$4" ] || rm -rf "$4"
"""

    def __init__(self, home: Path | None = None) -> None:
        self._scripts = rabbitmq_scripts()
        self._temporary = home is None
        self.home = home or Path(tempfile.mkdtemp(prefix="stockbook-rabbitmq-"))
        # epmd is shared by all nodes of a machine, so a node's name must be nobody else's.
        self.name = f"stockbook-{os.getpid()}-{next(_UNIQUE)}"
        self.folder = self.home / self.name
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self._distribution_port = free_port()
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the node, for the first time or after a stop or kill; returns when it takes connections."""
        self._lay_out()
        arguments = [
            str(self._scripts / "rabbitmq-server"),
            str(self.folder / "out"),
            str(self._pid_file),
            str(self.home) if self._temporary else "",
        ]
        keeper = ["/bin/sh", "-c", self.KEEPER, "keeper", *arguments]
        self._keeper = subprocess.Popen(
            keeper, stdin=subprocess.PIPE, env=self._environment(), cwd=self.folder, start_new_session=True
        )
        try:
            wait_until(lambda: broker_answers(self.url), f"RabbitMQ node {self.name}")
        except NoServerError:
            out = self.folder / "out"
            tail = out.read_text(errors="replace")[-2000:] if out.exists() else ""
            self.stop()
            raise NoServerError(f"RabbitMQ did not start:\n{tail}") from None

    def stop(self) -> None:
        """Stop the node in good order, and wait for it."""
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    def kill(self) -> None:
        """Kill -9: a crash. The node's data stay, and `start` recovers them."""
        os.kill(self.pid, signal.SIGKILL)
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.wait()
            self._keeper = None
        self._pid_file.unlink()

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        return int(self._pid_file.read_text())

    @property
    def address(self) -> str:
        """The node's Erlang name, for `join_cluster`."""
        return f"{self.name}@localhost"

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node; returns what it printed, raises CalledProcessError."""
        command = [str(self._scripts / "rabbitmqctl"), "-q", "-n", self.address, *arguments]
        environment = self._environment()
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, cwd=self.folder, timeout=60
        ).stdout

    def import_definitions(self, definitions: str) -> None:
        """Add what a definitions document (JSON) names."""
        file = self.folder / "definitions.json"
        file.write_text(definitions)
        self.ctl("import_definitions", str(file))

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    def _lay_out(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        cookie = self.home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        (self.folder / "enabled_plugins").write_text("[].")
        (self.folder / "advanced.config").write_text("[].")
        (self.folder / "rabbitmq.conf").touch()

    def _environment(self) -> dict[str, str]:
        here = {
            "HOME": self.home,  # where the cookie is looked for
            "RABBITMQ_NODENAME": self.address,
            "RABBITMQ_MNESIA_BASE": self.folder / "mnesia",
            "RABBITMQ_LOG_BASE": self.folder / "log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "enabled_plugins",
            "RABBITMQ_PID_FILE": self._pid_file,
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.folder / "advanced.config",
            "RABBITMQ_FEATURE_FLAGS_FILE": self.folder / "feature_flags",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": self._distribution_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The port between nodes listens on all addresses otherwise.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "LC_ALL": "C.UTF-8",
        }
        return {"PATH": os.environ.get("PATH", os.defpath), **{name: str(value) for name, value in here.items()}}


def rabbitmq_scripts() -> Path:
    """The folder of rabbitmq-server and rabbitmqctl themselves; the wrappers in /usr/sbin insist on their own user."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found:
        raise NoServerError(
            "no RabbitMQ at hand: name one in STOCKBOOK_TEST_BROKER_URL (amqp://guest:guest@127.0.0.1:5672/), "
            "start Docker, or install the package rabbitmq-server"
        )
    return found[-1].parent


@contextmanager
def _rabbitmq_container() -> Iterator[Broker]:
    # testcontainers' own RabbitMqContainer needs another client library, only to ask whether the server answers.
    from testcontainers.core.container import DockerContainer

    with DockerContainer(RABBITMQ_IMAGE).with_exposed_ports(5672) as container:
        url = f"amqp://guest:guest@{container.get_container_host_ip()}:{container.get_exposed_port(5672)}/"
        wait_until(lambda: broker_answers(url), "RabbitMQ in its container")

        def ctl(*arguments: str) -> str:
            return _execute(container, ["rabbitmqctl", "-q", *arguments])

        def import_definitions(definitions: str) -> None:
            write = f"printf %s {shlex.quote(definitions)} >/tmp/definitions.json"
            _execute(container, ["sh", "-c", f"{write} && rabbitmqctl -q import_definitions /tmp/definitions.json"])

        yield Broker(url, ctl, import_definitions)


def _execute(container: Any, command: list[str]) -> str:
    code, output = container.get_wrapped_container().exec_run(command)
    if code:
        raise NoServerError(f"{command[0]} in the container: {output!r}")
    return str(output.decode())


def _empty_default_virtual_host(url: str) -> None:
    with Connection(url, connect_timeout=5) as connection:
        for name in SHARED_QUEUES:
            with contextlib.suppress(NotFound):
                connection.channel().queue_delete(name)
        for name in SHARED_EXCHANGES:
            with contextlib.suppress(NotFound):
                connection.channel().exchange_delete(name)


# --- both ------------------------------------------------------------------------------------------------------------


def docker_answers() -> bool:
    """Is there a Docker engine? Asked only where its address is known: importing the client takes half a second."""
    if "DOCKER_HOST" not in os.environ and not Path("/var/run/docker.sock").exists():
        return False
    import docker

    try:
        return bool(docker.from_env().ping())
    except docker.errors.DockerException:
        return False


def broker_answers(url: str) -> bool:
    """Does a RabbitMQ there take a connection? kombu's OperationalError where it does not."""
    with Connection(url, connect_timeout=5) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        return bool(connection.connected)


def wait_until(answers: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Ask until the answer is yes; NoServerError with the last error after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answers():
                return
            problem = "no answer"
        except Exception as error:  # noqa: BLE001 - a server that is starting fails in many ways
            problem = repr(error)
        if time.monotonic() > deadline:
            raise NoServerError(f"{what} did not answer within {seconds:g} s: {problem}")
        time.sleep(0.1)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
