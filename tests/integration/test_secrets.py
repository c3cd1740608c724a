"""Where passwords come from, and that nothing tells them: the lines S1 to S4 of docs/security.md.

Every password in here is marked, and whatever is said is searched for the mark, or a part of it.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer.main

from services.desk.cli import app
from shared.db import open_engine
from shared.errors import Fatal
from shared.migrate import migrate
from shared.settings import Settings, secret
from tests import servers
from tests.commands import environment, invoke, told

ROOT = Path(__file__).resolve().parents[2]
MARK = "qzj7marked"
PASSWORD = f"{MARK}Passw0rd"
SIGNS = f"{MARK}%2Fwith%40signs%23"
NOWHERE = "127.0.0.1:1"
MAIN = "from services.desk.cli import main; main()"
# As an error nobody thought of would: deep inside, with everything at hand.
BREAKS = "from shared.worker import Worker; Worker._turn = lambda self, timeout: {}[self._broker]; " + MAIN
WORKER = ("run", "ledger")


@pytest.fixture(scope="module")
def migrated(postgres: str) -> Iterator[str]:
    with servers.fresh_database(postgres) as url:
        engine = open_engine(url)
        migrate(engine)
        engine.dispose()
        yield url


@pytest.fixture
def wrong(guarded_server: str) -> str:
    """The address of a server that answers, with a marked password that is not the right one."""
    return sa.make_url(guarded_server).set(password=PASSWORD).render_as_string(hide_password=False)


def test_s1_an_address_in_a_file_does_what_it_does_in_the_environment(tmp_path: Path) -> None:
    for name in ("STOCKBOOK_DATABASE_URL", "STOCKBOOK_BROKER_URL"):
        file = tmp_path / name
        file.write_text(f"\n  amqp://me:{PASSWORD}@host//\n")
        assert secret({f"{name}_FILE": str(file)}, name) == f"amqp://me:{PASSWORD}@host//"
        assert secret({name: "x"}, name) == "x"
        assert secret({name: ""}, name) is None
    files = {f"{name}_FILE": str(tmp_path / name) for name in ("STOCKBOOK_DATABASE_URL", "STOCKBOOK_BROKER_URL")}
    assert Settings.from_environment(files).broker_url == f"amqp://me:{PASSWORD}@host//"


def test_s1_a_command_takes_its_address_from_a_file(tmp_path: Path, migrated: str) -> None:
    file = tmp_path / "address"
    file.write_text(f"{migrated}\n")
    assert "nothing needs a person" in told("status", env=environment(STOCKBOOK_DATABASE_URL_FILE=str(file)))


def test_s1_an_address_in_the_environment_and_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_text(f"postgresql://me:{PASSWORD}@host/db")
    both = {"STOCKBOOK_DATABASE_URL": f"postgresql://me:{PASSWORD}@other/db", "STOCKBOOK_DATABASE_URL_FILE": str(file)}
    with pytest.raises(Fatal, match=r"both set: which one is meant\?$"):
        Settings.from_environment(both)


def test_s1_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=f"STOCKBOOK_BROKER_URL_FILE names cannot be read .*{tmp_path}/missing"):
        Settings.from_environment({"STOCKBOOK_BROKER_URL_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize("command", ["status", "migrate", "roles", "periods", "report trial-balance", "parked list"])
def test_s2_a_command_tells_no_password_when_it_is_wrong(wrong: str, command: str) -> None:
    said = _said(*command.split(), STOCKBOOK_DATABASE_URL=wrong)
    assert "password authentication failed" in said
    assert MARK not in said


@pytest.mark.parametrize("command", ["status", "migrate", "roles --apply", "explain A"])
@pytest.mark.parametrize("password", [PASSWORD, SIGNS])
def test_s2_a_command_tells_no_password_when_the_database_is_away(command: str, password: str) -> None:
    more = {"STOCKBOOK_POSTGRES_LEDGER_PASSWORD": PASSWORD} if command.startswith("roles") else {}
    said = _said(*command.split(), STOCKBOOK_DATABASE_URL=f"postgresql://me:{password}@{NOWHERE}/db", **more)
    assert "Connection refused" in said
    assert MARK not in said


@pytest.mark.parametrize("command", ["publish -", "publish - --wait", "status"])
@pytest.mark.parametrize("password", [PASSWORD, SIGNS])
def test_s2_a_command_tells_no_password_when_the_broker_is_away(migrated: str, command: str, password: str) -> None:
    broker = f"amqp://me:{password}@{NOWHERE}//"
    said = _said(*command.split(), STOCKBOOK_DATABASE_URL=migrated, STOCKBOOK_BROKER_URL=broker)
    assert "cannot be reached" in said or "no broker answers" in said
    assert MARK not in said


@pytest.mark.rabbitmq
@pytest.mark.parametrize("command", ["publish -", "status"])
def test_s2_a_command_tells_no_password_when_the_broker_refuses_it(
    migrated: str, rabbitmq: servers.Broker, command: str
) -> None:
    broker = rabbitmq.url.replace("guest:guest", f"guest:{PASSWORD}")
    said = _said(*command.split(), STOCKBOOK_DATABASE_URL=migrated, STOCKBOOK_BROKER_URL=broker)
    assert "ACCESS_REFUSED" in said
    assert MARK not in said


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://me:{MARK}@{MARK}@host/db",
        f"postgresql://me:{MARK}/{MARK}@host/db",
        f"postgresql://me:12/{MARK}@host/db",
        f"postgresql://me:{MARK}#{MARK}@host/db",
        f"postgresql://me:{MARK}?{MARK}@host/db",
        f"postgresql://me:[{MARK}@host/db",
        f"postgresql://me:{MARK}@host:{MARK}/db",
        f"me:{MARK}@host/db",
        MARK,
        f"nosuch://me:{MARK}@host/db",
        f"host=host password={MARK}",
    ],
)
@pytest.mark.parametrize("name", ["STOCKBOOK_DATABASE_URL", "STOCKBOOK_BROKER_URL"])
def test_s2_an_address_that_cannot_be_read_is_not_told(migrated: str, name: str, address: str) -> None:
    said = _said("status", **{"STOCKBOOK_DATABASE_URL": migrated, name: address})
    assert said
    assert MARK not in said


def test_s2_settings_that_are_printed_show_no_password() -> None:
    address = f"postgresql://me:{PASSWORD}@host/db"
    read = Settings.from_environment({"STOCKBOOK_DATABASE_URL": address, "STOCKBOOK_BROKER_URL": address})
    assert PASSWORD in str(read.database_url)
    assert MARK not in repr(read)


def test_s2_sources_that_cannot_be_read_are_not_told() -> None:
    for text in (f'[till]\npassword = "{MARK}', f'[till]\npasword = "{MARK}"', f'till = "{MARK}"', f"x\n{MARK}"):
        said = _said("broker-definitions", STOCKBOOK_RABBITMQ_SOURCES=text)
        assert "STOCKBOOK_RABBITMQ_SOURCES" in said
        assert MARK not in said


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("code", "expected"), [(MAIN, "begun anew"), (BREAKS, "Traceback")], ids=["the broker is away", "something breaks"]
)
def test_s2_a_worker_tells_no_password_when_all_goes_wrong(guarded_server: str, code: str, expected: str) -> None:
    url = sa.make_url(guarded_server)
    with servers.fresh_database(guarded_server) as fresh:
        engine = open_engine(fresh)
        migrate(engine)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"CREATE ROLE marked LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        engine.dispose()
        try:
            marked = sa.make_url(fresh).set(username="marked", password=PASSWORD)
            env = {"STOCKBOOK_DATABASE_URL": marked.render_as_string(hide_password=False)}
            said, arguments = _worked(code, expected, STOCKBOOK_BROKER_URL=f"amqp://me:{PASSWORD}@{NOWHERE}//", **env)
        finally:
            engine = open_engine(url.render_as_string(hide_password=False))
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP ROLE marked")
            engine.dispose()
    assert MARK not in said
    assert "ledger" in arguments
    assert MARK not in arguments


@pytest.mark.timeout(180)
def test_s2_a_worker_tells_no_password_when_the_database_refuses_it(wrong: str) -> None:
    env = {"STOCKBOOK_BROKER_URL": f"amqp://me:{PASSWORD}@{NOWHERE}//", "STOCKBOOK_DATABASE_URL": wrong}
    said, _ = _worked(MAIN, "password authentication failed", **env)
    assert MARK not in said


def test_s3_no_command_takes_a_password_or_an_address_as_an_argument() -> None:
    names = {
        name for command in _commands(typer.main.get_command(app)) for param in command.params for name in _names(param)
    }
    assert {"--apply", "--output", "--wait"} <= names
    assert {name for name in names if re.search("passw|secret|url|dsn|address|token", name)} == set()


@pytest.mark.timeout(180)
def test_s3_a_worker_that_reads_its_address_from_a_file_has_it_in_no_argument_and_no_variable(
    tmp_path: Path, wrong: str
) -> None:
    files = {"STOCKBOOK_DATABASE_URL_FILE": wrong, "STOCKBOOK_BROKER_URL_FILE": f"amqp://me:{PASSWORD}@{NOWHERE}//"}
    for name, address in files.items():
        (tmp_path / name).write_text(address)
    env = environment(**{name: str(tmp_path / name) for name in files})
    process = subprocess.Popen([sys.executable, "-c", MAIN, *WORKER], env=env, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        seen = [_seen(process.pid, each) for each in ("cmdline", "environ")]
    finally:
        process.kill()
        process.communicate()
    assert b"ledger" in seen[0]
    assert all(MARK.encode() not in each for each in seen)


def test_s4_the_definitions_hold_digests_that_fit_and_no_password() -> None:
    sources = f'[till-1]\npassword = "{PASSWORD}till"\n[office]\ndefines = true\n'
    env = environment(STOCKBOOK_RABBITMQ_LEDGER_PASSWORD=PASSWORD, STOCKBOOK_RABBITMQ_SOURCES=sources)
    text = told("broker-definitions", env=env)
    assert MARK not in text
    digests = {user["name"]: user["password_hash"] for user in json.loads(text)["users"]}
    for name, password in {"stockbook-ledger": PASSWORD, "till-1": f"{PASSWORD}till"}.items():
        kept = base64.b64decode(digests.pop(name))
        assert kept[4:] == hashlib.sha256(kept[:4] + password.encode()).digest()
    assert set(digests.values()) == {""}


def test_s4_a_source_that_would_be_one_of_ours_gets_no_account() -> None:
    for name in ("stockbook", "stockbook-ledger", "Till", "a.b", "till_1"):
        said = _said("broker-definitions", STOCKBOOK_RABBITMQ_SOURCES=f'["{name}"]\npassword = "{PASSWORD}"')
        assert "no source has such a name" in said
        assert MARK not in said


def _said(*arguments: str, **env: str) -> str:
    """All that the command says, and the traceback of what ended it; it must not succeed."""
    given = '{"type": "item.defined.v1", "data": {"company": "C", "item": "I", "unit": "kg"}}\n'
    done = invoke(*arguments, env=environment(STOCKBOOK_LOG_LEVEL="debug", **env), given=given)
    assert done.exit_code != 0
    raised = "".join(traceback.format_exception(*done.exc_info)) if done.exc_info else ""
    # The lines of the source stand in a traceback, and those of this test hold the mark's name alone.
    return done.stdout + done.stderr + raised


def _worked(code: str, until: str, **env: str) -> tuple[str, str]:
    """What a worker says, at the level that says most, until it has said that; and its arguments, as `ps` has them."""
    command = [sys.executable, "-X", "dev", "-c", code, *WORKER]
    with tempfile.NamedTemporaryFile() as told:
        settings = environment(STOCKBOOK_LOG_LEVEL="debug", **env)
        process = subprocess.Popen(command, env=settings, cwd=ROOT, stdout=told, stderr=subprocess.STDOUT)
        arguments = _seen(process.pid, "cmdline").decode()
        try:
            servers.wait_until(lambda: until in Path(told.name).read_text(), f"{until}: {Path(told.name).read_text()}")
        finally:
            process.terminate()
            process.wait(timeout=60)
        return Path(told.name).read_text(), arguments


def _seen(pid: int, file: str) -> bytes:
    """What anybody, or who runs it, sees of a process, once it has become what it was started as."""
    folder = Path(f"/proc/{pid}")
    servers.wait_until(lambda: b"ledger" in (folder / "cmdline").read_bytes(), "the new process")
    return (folder / file).read_bytes()


def _commands(command: object) -> Iterator["typer.core.TyperCommand"]:
    children = getattr(command, "commands", {})
    yield command  # type: ignore[misc]
    for child in children.values():
        yield from _commands(child)


def _names(parameter: object) -> list[str]:
    return [*getattr(parameter, "opts", ()), *getattr(parameter, "secondary_opts", ())]
