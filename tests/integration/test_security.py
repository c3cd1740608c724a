"""What each role may do in the database, and what it may not: the lines P1 to P16 of docs/security.md, one by one."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from shared.db import open_engine, transaction
from shared.errors import Retryable
from shared.migrate import migrate
from shared.roles import ROLES, SCHEMAS, Role
from tests.commands import told
from tests.secured import Database, database_of_roles, log_of

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {f"stockbook_{schema}": schema for schema in SCHEMAS}
WORKING = (*SERVICES, "stockbook_desk")
READER, STRANGER = "reader_of_tests", "stranger_of_tests"
NO_RIGHT = "42501"
REFUSED_BY_TRIGGER = "23001"

PARKED = (
    "INSERT INTO {}.parked (parked_id, reason, error, headers, body) VALUES (gen_random_uuid(), 'r', 'e', '{{}}', 'x')"
)


@pytest.fixture(scope="module")
def site(guarded_server: str) -> Iterator[Database]:
    """A migrated database under the roles, with a member of the readers and somebody whom nobody knows."""
    with database_of_roles(guarded_server) as database:
        database.passwords.update({READER: "reads", STRANGER: "strange"})
        make = [f"CREATE ROLE {name} LOGIN PASSWORD '{database.passwords[name]}'" for name in (READER, STRANGER)]
        _execute(database.admin, *make, f"GRANT stockbook_readers TO {READER}")
        yield database
        for engine in _ENGINES.values():
            engine.dispose()
        _execute(database.admin, f"DROP ROLE {READER}, {STRANGER}")
        _engine(database.admin).dispose()


@pytest.fixture(scope="module")
def tables(site: Database) -> Mapping[str, list[str]]:
    """The tables of each schema."""
    listed = "SELECT schemaname, format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = ANY(:schemas)"
    found = _query(site.admin, listed, schemas=list(SCHEMAS))
    return {schema: [name for its, name in found if its == schema] for schema in SCHEMAS}


@pytest.fixture(scope="module")
def append_only(site: Database) -> Mapping[str, list[str]]:
    """The tables of each schema that a trigger guards against every change."""
    listed = """
        SELECT nspname, format('%I.%I', nspname, relname) FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
        JOIN pg_proc ON pg_proc.oid = tgfoid WHERE proname = 'refuse_change' AND tgtype & 56 = 56
    """
    found = _query(site.admin, listed)
    return {schema: [name for its, name in found if its == schema] for schema in SCHEMAS}


def test_p1_nobody_connects_but_the_roles(site: Database) -> None:
    for name in (*WORKING, "stockbook_owner", READER):
        assert _code(site, name, "SELECT 1") is None
    with pytest.raises(psycopg2.OperationalError, match="does not have CONNECT privilege"):
        _raw(site, STRANGER)


def test_p1_nobody_connects_without_the_right_password(site: Database) -> None:
    engine = open_engine(sa.make_url(site.url("stockbook_ledger")).set(password="wrong").render_as_string(False))
    with pytest.raises(Retryable, match="password authentication failed"), transaction(engine):
        pass


@pytest.mark.parametrize(("role", "schema"), SERVICES.items())
def test_p2_a_service_works_on_its_own_tables(
    site: Database, tables: Mapping[str, list[str]], append_only: Mapping[str, list[str]], role: str, schema: str
) -> None:
    for table in tables[schema]:
        column = _column(site, table)
        assert _code(site, role, f"SELECT FROM {table}") is None
        assert _code(site, role, f"INSERT INTO {table} ({column}) SELECT null WHERE false") is None
        if table not in append_only[schema]:
            assert _code(site, role, f"UPDATE {table} SET {column} = {column} WHERE false") is None, table
    assert _code(site, role, PARKED.format(schema), f"DELETE FROM {schema}.parked") is None


@pytest.mark.parametrize("role", SERVICES)
def test_p3_a_service_writes_nothing_of_another(site: Database, tables: Mapping[str, list[str]], role: str) -> None:
    others = [table for schema, names in tables.items() if schema != SERVICES[role] for table in names]
    assert len(others) > 20
    for table in others:
        assert {_code(site, role, change) for change in _changes(site, table)} == {NO_RIGHT}, table


@pytest.mark.parametrize("role", SERVICES)
def test_p4_a_service_reads_nothing_of_another_but_the_views_that_it_needs(site: Database, role: str) -> None:
    listed = """
        SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = ANY(:schemas) AND relkind IN ('r', 'p', 'v', 'm')
    """
    others = [name for (name,) in _query(site.admin, listed, schemas=[s for s in SCHEMAS if s != SERVICES[role]])]
    readable = {name for name in others if _code(site, role, f"SELECT FROM {name} LIMIT 1") is None}
    assert readable == _named_by(SERVICES[role])


@pytest.mark.parametrize("role", WORKING)
@pytest.mark.parametrize("change", ["UPDATE {} SET {column} = {column}", "DELETE FROM {}", "TRUNCATE {}"])
def test_p5_no_worker_and_no_desk_has_a_right_to_change_what_is_append_only(
    site: Database, append_only: Mapping[str, list[str]], role: str, change: str
) -> None:
    guarded = [table for names in append_only.values() for table in names]
    assert {"ledger.entry", "accounting.journal_entry", "accounting.transfer"} <= set(guarded)
    for table in guarded:
        assert _code(site, role, change.format(table, column=_column(site, table))) == NO_RIGHT, table


@pytest.mark.parametrize("change", ["UPDATE {} SET {column} = {column}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_p6_the_owner_too_is_refused_by_the_trigger(
    site: Database, append_only: Mapping[str, list[str]], change: str
) -> None:
    for table in (table for names in append_only.values() for table in names):
        statement = change.format(table, column=_column(site, table))
        assert _code(site, "stockbook_owner", statement) == REFUSED_BY_TRIGGER, table


@pytest.mark.parametrize("role", [*WORKING, READER])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (a int)",
        "CREATE TABLE ledger.mine (a int)",
        "CREATE TABLE accounting.mine (a int)",
        "CREATE TABLE receiving.mine (a int)",
        "CREATE TEMPORARY TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "CREATE VIEW ledger.mine AS SELECT 1",
        "CREATE FUNCTION ledger.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE ledger.entry DISABLE TRIGGER append_only",
        "ALTER TABLE ledger.bin ADD COLUMN mine int",
        "DROP TRIGGER append_only ON ledger.entry",
        "DROP TABLE ledger.entry",
        "DROP SCHEMA ledger CASCADE",
        "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "CREATE TRIGGER mine BEFORE INSERT ON ledger.entry FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()",
        "CREATE INDEX mine ON ledger.bin (item)",
        "GRANT SELECT ON ledger.bin TO PUBLIC",
        "CREATE EXTENSION plpgsql_check",
    ],
)
def test_p7_nobody_who_works_here_makes_or_alters_anything(site: Database, role: str, statement: str) -> None:
    code = _code(site, role, statement)
    if statement.startswith(("GRANT", "CREATE EXTENSION")):
        assert code is None or code in (NO_RIGHT, "0A000", "58P01")
        assert not _query(site.admin, "SELECT FROM pg_class WHERE relname = 'bin' AND relacl::text LIKE '%{=r%'")
    else:
        assert code == NO_RIGHT


@pytest.mark.parametrize("role", [*WORKING, READER, "stockbook_owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "SET ROLE stockbook",
        "SET ROLE pg_write_all_data",
        "ALTER ROLE stockbook PASSWORD 'mine'",
    ],
)
def test_p8_nobody_turns_guards_off_or_becomes_another(site: Database, role: str, statement: str) -> None:
    assert _code(site, role, statement) == NO_RIGHT


@pytest.mark.parametrize("role", [*WORKING, READER])
@pytest.mark.parametrize("other", [role.name for role in ROLES if role.logs_in])
def test_p8_nobody_becomes_another_role_of_ours(site: Database, role: str, other: str) -> None:
    assert _code(site, role, f"SET ROLE {other}") == (None if role == other else NO_RIGHT)


@pytest.mark.parametrize("role", [*WORKING, READER, "stockbook_owner"])
@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/mine'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT rolpassword FROM pg_authid",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "ALTER SYSTEM SET log_statement = 'none'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stockbook'",
    ],
)
def test_p9_nobody_reaches_the_server_itself(site: Database, role: str, statement: str) -> None:
    keep_open = _engine(site.admin)
    with keep_open.connect() as connection:
        connection.execute(sa.text("SELECT 1"))  # somebody who could be thrown out
        if statement.startswith(("CREATE DATABASE", "ALTER SYSTEM")):  # not inside a transaction
            with _engine(site.url(role)).connect() as alone:
                alone.execution_options(isolation_level="AUTOCOMMIT")
                assert _failure(alone, statement) == NO_RIGHT
        else:
            assert _code(site, role, statement) == NO_RIGHT


def test_p10_readers_see_every_view_and_no_table(site: Database, tables: Mapping[str, list[str]]) -> None:
    listed = "SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname = ANY(:schemas)"
    views = [name for (name,) in _query(site.admin, listed, schemas=list(SCHEMAS))]
    assert len(views) > 25
    assert {name: _code(site, READER, f"SELECT * FROM {name} LIMIT 1") for name in views} == dict.fromkeys(views)
    for table in (table for names in tables.values() for table in names):
        assert _code(site, READER, f"SELECT FROM {table}") == NO_RIGHT
        assert {_code(site, READER, change) for change in _changes(site, table)} == {NO_RIGHT}


def test_p11_the_desk_reads_everything_and_writes_only_what_is_tried_again(
    site: Database, tables: Mapping[str, list[str]]
) -> None:
    everything = [table for names in tables.values() for table in names]
    assert {_code(site, "stockbook_desk", f"SELECT FROM {table} LIMIT 1") for table in everything} == {None}
    changed = {t for t in everything if any(_code(site, "stockbook_desk", c) is None for c in _changes(site, t))}
    assert changed == {
        *(f"{schema}.{name}" for schema in SCHEMAS for name in ("parked", "parked_edit")),
        "ledger.replay",
        "accounting.replay",
        "aftercare.replay",
        "ledger.stuck",
        "ledger.head_asked",
        "accounting.head_asked",
        "receiving.waiting",
    }


def test_p12_a_ledger_worker_taken_over_can_spoil_a_bin(site: Database) -> None:
    bin_ = "INSERT INTO ledger.bin (company, item, warehouse, last_stamp, quantity, worth, value) "
    assert _code(site, "stockbook_ledger", f"{bin_} VALUES ('C', 'I', 'W', 1, 5, 10, 10)") is None
    assert _code(site, "stockbook_ledger", "UPDATE ledger.bin SET value = value + 1") is None


def test_p13_what_a_migration_makes_can_be_used_by_its_roles_at_once(site: Database) -> None:
    owner = _engine(site.url("stockbook_owner"))
    with owner.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE ledger.made_later (a int)")
        connection.exec_driver_sql(
            "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.made_later "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        )
        connection.exec_driver_sql("CREATE VIEW ledger.seen_later AS SELECT a FROM ledger.made_later")
    migrate(owner)  # nothing is new in the files, but the rights follow all the same
    assert _code(site, "stockbook_ledger", "INSERT INTO ledger.made_later VALUES (1)") is None
    assert _code(site, "stockbook_ledger", "UPDATE ledger.made_later SET a = 2") == NO_RIGHT
    assert _code(site, READER, "SELECT FROM ledger.seen_later") is None
    assert _code(site, READER, "SELECT FROM ledger.made_later") == NO_RIGHT
    assert _code(site, "stockbook_accounting", "SELECT FROM ledger.seen_later") == NO_RIGHT
    _execute(site.url("stockbook_owner"), "DROP VIEW ledger.seen_later", "DROP TABLE ledger.made_later")


def test_p13_what_an_administrator_migrates_belongs_to_the_owner_role_all_the_same(site: Database) -> None:
    _execute(
        site.admin, "DELETE FROM public.stockbook_migration WHERE service = 'accounting' AND name = '0003-replay.sql'"
    )
    _execute(site.admin, "DROP TABLE accounting.replay, accounting.outbox CASCADE")
    engine = _engine(site.admin)
    assert migrate(engine) == ["accounting/0003-replay.sql"]
    owners = _query(site.admin, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'accounting'")
    assert owners == [("stockbook_owner",)]
    assert told("roles", env=site.environment()) == "-- nothing is lacking\n"


def test_p14_what_was_granted_by_hand_is_named_and_taken_away(site: Database) -> None:
    _execute(site.admin, "GRANT UPDATE ON ledger.entry TO stockbook_ledger", "GRANT SELECT ON ledger.bin TO PUBLIC")
    _execute(site.admin, "ALTER TABLE ledger.bin OWNER TO stockbook", "ALTER ROLE stockbook_desk SUPERUSER")
    _execute(site.admin, "GRANT pg_write_all_data, stockbook_owner TO stockbook_ledger")
    shown = told("roles", env=site.environment()).splitlines()
    assert "ALTER TABLE ledger.bin OWNER TO stockbook_owner;" in shown
    assert "REVOKE UPDATE ON TABLE ledger.entry FROM stockbook_ledger;" in shown
    assert "REVOKE SELECT ON TABLE ledger.bin FROM PUBLIC;" in shown
    assert {"REVOKE pg_write_all_data FROM stockbook_ledger;", "REVOKE stockbook_owner FROM stockbook_ledger;"} <= {
        *shown
    }
    assert [line for line in shown if line.startswith("ALTER ROLE stockbook_desk LOGIN NOSUPERUSER")]
    told("roles", "--apply", env=site.environment())
    assert told("roles", env=site.environment()) == "-- nothing is lacking\n"
    assert _code(site, "stockbook_ledger", "UPDATE ledger.entry SET value = value") == NO_RIGHT
    assert _code(site, "stockbook_ledger", "UPDATE ledger.bin SET value = value") is None
    assert _code(site, "stockbook_ledger", "SET ROLE stockbook_owner") == NO_RIGHT
    assert _code(site, "stockbook_desk", "DELETE FROM ledger.bin") == NO_RIGHT


def test_p15_the_server_never_hears_a_password(site: Database) -> None:
    engine = _engine(site.admin)
    with engine.connect() as connection:
        log = log_of(connection)
        kept = {
            name: str(word) for name, word in connection.execute(sa.text("SELECT rolname, rolpassword FROM pg_authid"))
        }
    assert log.count("ALTER ROLE stockbook_ledger PASSWORD 'SCRAM-SHA-256$") >= 1
    for role in (each.name for each in ROLES if each.logs_in):
        assert site.passwords[role] not in log
        assert kept[role].startswith("SCRAM-SHA-256$")
    assert kept["stockbook_readers"] == "None"


@pytest.mark.parametrize(("role", "schema"), SERVICES.items())
def test_p16_a_role_reads_of_other_services_what_the_source_text_of_its_own_names(role: str, schema: str) -> None:
    assert _named_by(schema) == set(_role(role).reads)


def _role(name: str) -> Role:
    return next(role for role in ROLES if role.name == name)


def _named_by(schema: str) -> set[str]:
    """What a service's statements and feeds name of the schemas of others."""
    others = "|".join(each for each in SCHEMAS if each != schema)
    named: set[str] = set()
    for file in (ROOT / "services" / schema).rglob("*.py"):
        for text in re.findall(r'"""[^"]*"""|"[^"\n]*"', file.read_text("utf-8")):
            if "FROM" in text or re.fullmatch(rf'"({others})\.[a-z_]+"', text):
                named |= set(re.findall(rf"\b(?:{others})\.[a-z_]+", text))
    return named


def _changes(site: Database, table: str) -> list[str]:
    """Statements that change nothing, but need the rights to."""
    column = _column(site, table)
    return [
        f"INSERT INTO {table} ({column}) SELECT null WHERE false",
        f"UPDATE {table} SET {column} = null WHERE false",
        f"DELETE FROM {table} WHERE false",
    ]


def _column(site: Database, table: str) -> str:
    key = (site.admin, table)
    if key not in _COLUMNS:
        schema, _, name = table.partition(".")
        listed = """
            SELECT table_schema || '.' || table_name, quote_ident(min(column_name)) FROM information_schema.columns
            WHERE is_generated = 'NEVER' AND is_identity = 'NO' AND table_schema = :schema AND table_name = :name
            GROUP BY 1
        """
        ((_, _COLUMNS[key]),) = _query(site.admin, listed, schema=schema, name=name)
    return _COLUMNS[key]


_COLUMNS: dict[tuple[str, str], str] = {}
_ENGINES: dict[str, sa.Engine] = {}


def _code(site: Database, role: str, *statements: str) -> str | None:
    """The SQLSTATE with which the first of the statements fails; None: all are carried out, and taken back."""
    with _engine(site.url(role)).connect() as connection:
        failures = (_failure(connection, statement) for statement in statements)
        return next((failure for failure in failures if failure is not None), None)


def _failure(connection: sa.Connection, statement: str) -> str | None:
    try:
        connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        connection.rollback()
        return str(getattr(error.orig, "pgcode", "") or error)
    return None


def _engine(url: str) -> sa.Engine:
    if url not in _ENGINES:
        _ENGINES[url] = sa.create_engine(url, pool_size=2)
    return _ENGINES[url]


def _raw(site: Database, role: str) -> "psycopg2.extensions.connection":
    url = sa.make_url(site.url(role))
    return psycopg2.connect(host=url.host, port=url.port, user=url.username, password=url.password, dbname=url.database)


def _query(url: str, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
    with _engine(url).connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement), parameters)]


def _execute(url: str, *statements: str) -> None:
    with _engine(url).begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
