"""TLS to both servers, with certificates made on the spot: the lines T1 to T6 of docs/security.md."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from services.desk.store import outcomes
from shared.broker import BrokerUnavailable, connect
from shared.contracts.outcome import OutcomeAccepted
from shared.db import open_engine, query, transaction
from shared.errors import Fatal
from shared.migrate import migrate
from shared.settings import Settings
from tests import servers
from tests.commands import data_folder, environment
from tests.secured import Certificates, SecuredRabbitmq, authority, secured_postgres

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from services.desk.cli import main; main()"]
UNTRUSTED = "no safe connection to the broker"
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def certificates(folder: Path) -> Certificates:
    """Servers that are called localhost, and a client."""
    made = authority(folder / "ours")
    for name, hosts in {"rabbitmq": ["DNS:localhost"], "postgres": ["DNS:localhost"], "client": []}.items():
        made.sign(name, *hosts)
    return made


@pytest.fixture(scope="module")
def strangers(folder: Path) -> Certificates:
    """An authority whom neither server trusts, and a client of its."""
    made = authority(folder / "strangers")
    made.sign("client")
    return made


@pytest.fixture(scope="module")
def rabbit(certificates: Certificates) -> Iterator[SecuredRabbitmq]:
    try:
        node = SecuredRabbitmq(certificates)
    except servers.NoServerError as error:
        pytest.skip(f"a container cannot be given certificates here: {error}")
    with node:
        yield node


@pytest.fixture(scope="module")
def database(certificates: Certificates) -> Iterator[sa.URL]:
    """The address of a server that takes nothing but TLS, checked in full."""
    if servers.local_postgres() is None:
        pytest.skip("the wheel's PostgreSQL speaks no TLS: install PostgreSQL")
    with secured_postgres(certificates) as url:
        checked = {"sslmode": "verify-full", "sslrootcert": str(certificates.ca)}
        yield sa.make_url(url).set(host="localhost", query=checked)


def test_t1_the_pipeline_works_over_tls_to_both_servers(
    rabbit: SecuredRabbitmq, database: sa.URL, certificates: Certificates
) -> None:
    url = database.render_as_string(hide_password=False)
    told = Settings.from_environment(
        {
            "STOCKBOOK_DATABASE_URL": url,
            "STOCKBOOK_BROKER_URL": rabbit.tls_url("localhost"),
            "STOCKBOOK_BROKER_CA": str(certificates.ca),
        }
    )
    assert told.database_url is not None
    engine = open_engine(told.database_url)
    migrate(engine)
    with transaction(engine) as connection:
        assert query(connection, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
    engine.dispose()
    lines = [line for file in ("1-masters", "2-movements") for line in _example(file)]
    events = [read_event(line, "skincare", datetime.now(UTC)) for line in lines]
    with Pipeline(told.database_url, told.broker_url) as pipeline:
        pipeline.publish(events)
        pipeline.settle()
        with transaction(pipeline.engine) as connection:
            found = outcomes(connection, [key for event in events for key in event.keys])
    assert sum(isinstance(outcome, OutcomeAccepted) for outcome in found.values()) > 30


def test_t2_a_broker_of_another_authority_is_refused(rabbit: SecuredRabbitmq, strangers: Certificates) -> None:
    with pytest.raises(Fatal, match=rf"{UNTRUSTED}.*certificate verify failed"):
        connect(rabbit.tls_url("localhost", cacertfile=strangers.ca)).declare()


def test_t2_a_broker_that_no_authority_of_the_system_knows_is_refused(rabbit: SecuredRabbitmq) -> None:
    with pytest.raises(Fatal, match=rf"{UNTRUSTED}.*certificate verify failed"):
        connect(rabbit.tls_url("localhost")).declare()


def test_t2_a_broker_with_another_hosts_name_is_refused(rabbit: SecuredRabbitmq, certificates: Certificates) -> None:
    connect(rabbit.tls_url("localhost", cacertfile=certificates.ca)).declare()
    with pytest.raises(Fatal, match=rf"{UNTRUSTED}.*IP address mismatch"):
        connect(rabbit.tls_url("127.0.0.1", cacertfile=certificates.ca)).declare()


def test_t2_a_worker_ends_and_says_why_in_a_line(
    rabbit: SecuredRabbitmq, strangers: Certificates, migrated: str
) -> None:
    done = _worker(migrated, rabbit.tls_url("localhost"), STOCKBOOK_BROKER_CA=str(strangers.ca))
    assert done.returncode == 1
    assert f"stockbook: {UNTRUSTED}" in done.stderr
    assert "certificate verify failed" in done.stderr.splitlines()[-1]


def test_t3_a_database_of_another_authority_is_refused(database: sa.URL, strangers: Certificates) -> None:
    _refused(database.update_query_dict({"sslrootcert": str(strangers.ca)}), "certificate verify failed")


def test_t3_a_database_with_another_hosts_name_is_refused(database: sa.URL) -> None:
    _refused(database.set(host="127.0.0.1"), "does not match host name")


def test_t3_a_worker_ends_and_says_why_in_a_line(database: sa.URL, strangers: Certificates) -> None:
    url = database.update_query_dict({"sslrootcert": str(strangers.ca)}).render_as_string(hide_password=False)
    done = _worker(url, "amqp://127.0.0.1:1//")
    assert done.returncode == 1
    assert done.stderr.startswith("stockbook: no safe connection to the database")


def test_t4_a_missing_authority_is_named(folder: Path, rabbit: SecuredRabbitmq, database: sa.URL) -> None:
    missing = folder / "missing.crt"
    with pytest.raises(Fatal, match=rf"cannot be read \(file: {missing}"):
        connect(rabbit.tls_url("localhost", cacertfile=missing)).declare()
    _refused(database.update_query_dict({"sslrootcert": str(missing)}), str(missing))


def test_t4_an_authority_that_is_no_certificate_is_refused(
    folder: Path, rabbit: SecuredRabbitmq, database: sa.URL
) -> None:
    nonsense = folder / "nonsense.crt"
    nonsense.write_text("this is no certificate")
    with pytest.raises(Fatal, match=UNTRUSTED):
        connect(rabbit.tls_url("localhost", cacertfile=nonsense)).declare()
    _refused(database.update_query_dict({"sslrootcert": str(nonsense)}), str(nonsense))


def test_t5_a_certificate_of_ours_is_shown_and_accepted(rabbit: SecuredRabbitmq, certificates: Certificates) -> None:
    told = Settings.from_environment(
        {
            "STOCKBOOK_BROKER_URL": rabbit.tls_url("localhost"),
            "STOCKBOOK_BROKER_CA": str(certificates.ca),
            "STOCKBOOK_BROKER_CERT": str(certificates.certificate("client")),
            "STOCKBOOK_BROKER_KEY": str(certificates.key("client")),
        }
    )
    broker = connect(told.broker_url)
    broker.declare()
    consumer = broker.consumer("ledger", 1)
    servers.wait_until(lambda: "CN=client" in rabbit.ctl("list_connections", "peer_cert_subject"), "our certificate")
    consumer.close()


def test_t5_a_certificate_that_the_broker_does_not_trust_is_refused(
    rabbit: SecuredRabbitmq, certificates: Certificates, strangers: Certificates
) -> None:
    own = {"certfile": strangers.certificate("client"), "keyfile": strangers.key("client")}
    broker = connect(rabbit.tls_url("localhost", cacertfile=certificates.ca, **own))
    deadline = time.monotonic() + 60
    with pytest.raises(Fatal, match=rf"{UNTRUSTED}.*alert"):
        while time.monotonic() < deadline:
            with contextlib.suppress(BrokerUnavailable):  # the connection may end before its reason has come
                broker.declare()


def test_t6_a_broker_that_speaks_no_tls_is_refused(rabbit: SecuredRabbitmq, certificates: Certificates) -> None:
    plain = rabbit.tls_url("localhost", cacertfile=certificates.ca).replace(str(rabbit.tls_port), str(rabbit.port))
    with pytest.raises(Fatal, match=UNTRUSTED):
        connect(plain).declare()


def test_t6_a_database_that_speaks_no_tls_is_refused(guarded_server: str) -> None:
    _refused(sa.make_url(guarded_server).update_query_dict({"sslmode": "require"}), "does not support SSL")


def test_t6_certificates_for_a_broker_without_tls_are_a_mistake() -> None:
    with pytest.raises(Fatal, match="certificates are for amqps://"):
        Settings.from_environment({"STOCKBOOK_BROKER_URL": "amqp://host//", "STOCKBOOK_BROKER_CA": "ca.crt"})


@pytest.fixture(scope="module")
def migrated(postgres: str) -> Iterator[str]:
    with servers.fresh_database(postgres) as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


def _example(name: str) -> list[bytes]:
    return (ROOT / "examples" / "skincare" / f"{name}.jsonl").read_bytes().splitlines()


def _refused(url: sa.URL, why: str) -> None:
    engine = open_engine(url.render_as_string(hide_password=False))
    with pytest.raises(Fatal, match="no safe connection to the database") as told, transaction(engine):
        pass
    assert why in str(told.value)
    engine.dispose()


def _worker(database_url: str, broker_url: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(STOCKBOOK_DATABASE_URL=database_url, STOCKBOOK_BROKER_URL=broker_url, **more)
    command = [*COMMAND, "run", "ledger"]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
