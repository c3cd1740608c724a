"""Tamper evidence on a real history: what a superuser changes, removes or inserts is found, here and in the file."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from services.desk.audit import BrokenLink, broken_links, verifier
from services.desk.audit.export import Part, export
from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from services.desk.store.chains import at_one_moment
from shared.broker.interface import Consumer
from shared.chain import Chain
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import AUDIT_HEAD
from shared.db import query, run, transaction
from shared.errors import StockbookError
from shared.settings import Settings
from tests import servers
from tests.audit_builders import findings
from tests.commands import environment, invoke, told
from tests.receiving_builders import opened

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHOP = "VOLT"
"""A company of the examples: phones with serials, costs that came later, cancellations, closed books."""

COLUMNS = {
    "ledger.entry": (
        "company entry_id item warehouse stamp ordinal source id purpose line batch quantity value worth "
        "quantity_after value_after effective_at recorded_at posting_date document currency original booked "
        "revaluation part_of true_up dated_at rate"
    ),
    "ledger.entry_serial": "company item serial entry_id cost",
    "ledger.chain": "company position covers digest hash",
    "ledger.chain_head": "company position hash",
    "accounting.journal_entry": (
        "company journal_entry source id purpose posting_date effective_at recorded_at document currency revaluation"
    ),
    "accounting.transfer": "company journal_entry ordinal debit_account credit_account amount line ledger_entry",
    "accounting.journal_number": "company year number journal_entry",
    "accounting.chain": "company position covers digest hash",
    "accounting.chain_head": "company position hash",
}
NOT_COVERED = {"chain_head": {"recorded_at", "told_position", "told_at"}}
"""What of a head stands in no link: it says what was told when."""
IN_THE_FILE = [table for table in COLUMNS if not table.endswith("chain_head")]
ANOTHER: Mapping[str, str] = {
    "text": "coalesce({0}, '') || 'x'",
    "uuid": "gen_random_uuid()",
    "bigint": "coalesce({0}, 0) + 1000",
    "integer": "coalesce({0}, 0) + 1000",
    "smallint": "{0} + 1",
    "numeric": "coalesce({0}, 0) + 0.01",
    "timestamp with time zone": "coalesce({0}, now()) + interval '1 microsecond'",
    "date": "{0} + 1",
    "boolean": "NOT {0}",
    "json": '\'["rounding","0.01"]\'',
    "bytea": "sha256({0})",
}


@pytest.fixture(scope="module")
def history(postgres: str) -> Iterator[str]:
    """The URL of a database in which the examples were played; what a test does there is rolled back."""
    with servers.fresh_database(postgres) as url:
        env = environment(STOCKBOOK_DATABASE_URL=url)
        told("migrate", env=env)
        for file in sorted(EXAMPLES.glob("*/*.jsonl"), key=lambda each: (each.name[0], each)):
            told("publish", str(file), env=env)
        told("audit", "head", env=env)
        yield url


@pytest.fixture
def engine(history: str) -> Iterator[Engine]:
    with opened(history) as engine:
        yield engine


@pytest.fixture
def superuser(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no trigger stops anybody; it is rolled back."""
    with engine.connect() as connection:
        run(connection, "SET LOCAL session_replication_role = replica")
        yield connection
        connection.rollback()


def exported(connection: Connection, part: Part = Part(SHOP)) -> list[bytes]:  # noqa: B008 - an immutable value
    return [line.encode() for line in export(connection, part)]


def broken(connection: Connection) -> list[BrokenLink]:
    return list(broken_links(connection, SHOP))


# --- sound -----------------------------------------------------------------------------------------------------------


def test_a_history_that_nobody_touched_is_sound(engine: Engine) -> None:
    with transaction(engine) as connection:
        at_one_moment(connection)
        assert list(broken_links(connection)) == []
        assert findings(exported(connection)) == []


@pytest.mark.parametrize("name", ["audit.jsonl", "audit.jsonl.gz"])
def test_an_exported_file_is_checked_by_python_alone_without_our_packages(
    history: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / name
    told("audit", "export", "--company", SHOP, str(file), env=environment(STOCKBOOK_DATABASE_URL=history))
    alone = tmp_path / "verifier.py"
    alone.write_bytes(Path(verifier.__file__).read_bytes())
    command = [sys.executable, "-I", "-S", str(alone), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={}, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "audit: sound"
    opening = gzip.open if name.endswith(".gz") else open
    with opening(file, "rb") as packed:
        lines = packed.read().splitlines(keepends=True)
    forged = [
        line.replace(b'"value":"', b'"value":"1', 1) if number == 2 else line for number, line in enumerate(lines)
    ]
    file.write_bytes(b"".join(forged))
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={}, check=False)
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "audit: 2 findings"
    assert ": the row was changed: expected " in done.stdout.splitlines()[0]


def test_a_part_of_a_chain_is_checked_by_the_heads_on_both_sides(engine: Engine) -> None:
    with transaction(engine) as connection:
        whole = [json.loads(line) for line in exported(connection)]
        part = exported(connection, Part(SHOP, Chain.JOURNAL, 5, 9))
    hashes = [each["hash"] for each in whole[whole.index(_section(whole, "journal")) :] if "link" in each]
    heads = [verifier.Head(SHOP, "journal", position, hashes[position - 1]) for position in (4, 7, 9)]
    check = verifier.Check(heads)
    assert list(check.findings(part)) == []
    assert check.told[0].startswith(f"journal of {SHOP}: 5 links, 5 rows, 5 to 9")
    assert check.told[0].endswith("3 published heads reached")


def _section(values: list[dict[str, object]], chain: str) -> dict[str, object]:
    return next(each for each in values if each.get("chain") == chain)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (5, 3), (1, 10_000), (10_000, None)])
def test_a_part_that_there_is_not_is_refused(engine: Engine, first: int, last: int | None) -> None:
    with transaction(engine) as connection, pytest.raises(StockbookError, match="no such part"):
        exported(connection, Part(SHOP, Chain.LEDGER, first, last))


def test_a_company_that_there_is_not_is_refused(engine: Engine) -> None:
    with transaction(engine) as connection, pytest.raises(StockbookError, match="nothing of this company"):
        exported(connection, Part("NOBODY"))


# --- changed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", COLUMNS)
def test_no_column_is_left_out(engine: Engine, table: str) -> None:
    schema, _, name = table.partition(".")
    with transaction(engine) as connection:
        there = {
            row.column_name
            for row in query(
                connection,
                "SELECT column_name FROM information_schema.columns "
                "WHERE (table_schema, table_name) = (:schema, :name)",
                schema=schema,
                name=name,
            )
        }
    assert set(COLUMNS[table].split()) == there - NOT_COVERED.get(name, set())


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in COLUMNS.items() for column in columns.split()]
)
def test_a_superuser_who_changes_any_column_of_a_row_is_found(superuser: Connection, table: str, column: str) -> None:
    _change(superuser, table, column)
    found = broken(superuser)
    assert found != [], f"{table}.{column} was changed, and nobody noticed"
    assert len(found) <= 3
    schema = table.partition(".")[0]
    assert all(each.table.startswith(f"{schema}.") for each in found)
    if table in IN_THE_FILE:
        assert findings(exported(superuser)) != []


@pytest.mark.parametrize("column", ["value", "batch", "recorded_at", "booked"])
def test_a_row_that_was_changed_is_named_with_what_it_should_be(superuser: Connection, column: str) -> None:
    name, position = _change(superuser, "ledger.entry", column)
    (found,) = broken(superuser)
    assert (found.table, found.company, found.position, found.covers) == ("ledger.entry", SHOP, position, name)
    assert found.what == "the row was changed"
    assert found.expected.startswith("digest ")
    assert found.found.startswith("digest ")
    assert found.expected != found.found
    (in_file,) = findings(exported(superuser))
    assert (in_file.chain, in_file.position, in_file.row) == ("ledger", position, name)
    assert (in_file.what, f"digest {in_file.expected}") == (found.what, found.expected)


def _change(connection: Connection, table: str, column: str) -> tuple[str, int]:
    """Put another value into a column of one row; which entry it belongs to, and at which position."""
    schema, _, name = table.partition(".")
    ((kind,),) = query(
        connection,
        "SELECT data_type FROM information_schema.columns "
        "WHERE (table_schema, table_name, column_name) = (:schema, :name, :column)",
        schema=schema,
        name=name,
        column=column,
    )
    row = f"SELECT ctid FROM {table} WHERE company = '{SHOP}' ORDER BY ctid OFFSET 3 LIMIT 1"
    if name == "chain_head":
        row = row.replace("OFFSET 3 ", "")
    ((place,),) = query(connection, row.replace("ctid FROM", "cast(ctid AS text) FROM"))
    entry, position = "", 0
    if table == "ledger.entry":
        (own,) = query(
            connection,
            "SELECT cast(entry_id AS text), position FROM ledger.entry AS own JOIN ledger.chain "
            "ON (chain.company, covers) = (own.company, entry_id) WHERE own.ctid = cast(:place AS tid)",
            place=place,
        )
        entry, position = own.entry_id, own.position
    another = ANOTHER[kind].format(column)
    assert (
        run(connection, f"UPDATE {table} SET {column} = {another} WHERE ctid = cast(:place AS tid)", place=place) == 1
    )
    return entry, position


# --- removed and inserted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", COLUMNS)
def test_a_superuser_who_removes_a_row_is_found(superuser: Connection, table: str) -> None:
    order = "ORDER BY ctid DESC LIMIT 1" if table.endswith(("chain", "head")) else "ORDER BY ctid OFFSET 3 LIMIT 1"
    assert run(
        superuser,
        f"DELETE FROM {table} WHERE ctid = (SELECT ctid FROM {table} WHERE company = '{SHOP}' {order})",
    )
    assert broken(superuser) != []
    if table in IN_THE_FILE:
        assert findings(exported(superuser)) != [] or table.endswith(".chain")


def test_a_link_that_was_removed_in_the_middle_is_named(superuser: Connection) -> None:
    run(superuser, f"DELETE FROM ledger.chain WHERE company = '{SHOP}' AND position = 7")
    found = broken(superuser)
    assert [(each.table, each.what, each.expected, each.found) for each in found if each.table == "ledger.chain"] == [
        ("ledger.chain", "links are missing", "link 7", "link 8")
    ]
    assert [each.what for each in findings(exported(superuser))] == ["the link is missing", "the row was inserted"]


@pytest.mark.parametrize(
    ("table", "change", "what"),
    [
        ("ledger.entry", "entry_id = gen_random_uuid(), stamp = stamp + 1000", "the row was inserted"),
        ("ledger.entry_serial", "serial = 'FORGED'", "the row was changed"),
        ("ledger.entry_serial", "entry_id = gen_random_uuid()", "a part was inserted"),
        ("accounting.journal_entry", "journal_entry = gen_random_uuid(), id = 'FORGED'", "the row was inserted"),
        ("accounting.transfer", "ordinal = ordinal + 100", "the row was changed"),
        ("accounting.transfer", "journal_entry = gen_random_uuid()", "a part was inserted"),
    ],
)
def test_a_superuser_who_inserts_a_row_is_found(superuser: Connection, table: str, change: str, what: str) -> None:
    run(
        superuser,
        f"CREATE TEMPORARY TABLE forged ON COMMIT DROP AS SELECT * FROM {table} WHERE company = '{SHOP}' LIMIT 1",
    )
    run(superuser, f"UPDATE forged SET {change}")
    assert run(superuser, f"INSERT INTO {table} SELECT * FROM forged") == 1
    (found,) = broken(superuser)
    assert found.table.partition(".")[0] == table.partition(".")[0]
    # A part without its whole is in no file: there is nothing that it could stand with.
    assert found.what == what
    assert [each.what for each in findings(exported(superuser))] == ([] if what == "a part was inserted" else [what])


def test_two_entries_that_changed_places_in_the_chain_are_named(superuser: Connection) -> None:
    swap = "UPDATE ledger.chain SET covers = gen_random_uuid() WHERE (company, position) = ('{}', 5)"
    five, six = query(
        superuser,
        f"SELECT cast(covers AS text) FROM ledger.chain WHERE company = '{SHOP}' AND position IN (5, 6) "
        "ORDER BY position",
    )
    run(superuser, swap.format(SHOP))
    for position, covers in ((6, five.covers), (5, six.covers)):
        run(
            superuser,
            f"UPDATE ledger.chain SET covers = '{covers}' WHERE (company, position) = ('{SHOP}', {position})",
        )
    assert {(each.position, each.what) for each in broken(superuser)} == {
        (5, "the row was changed"),
        (6, "the row was changed"),
    }
    assert {each.position for each in findings(exported(superuser))} == {5, 6}


def test_who_makes_the_chain_anew_contradicts_the_head_that_was_published(superuser: Connection) -> None:
    ((hashed,),) = query(superuser, f"SELECT hash FROM ledger.chain WHERE company = '{SHOP}' AND position = 20")
    published = [verifier.Head(SHOP, "ledger", 20, bytes(hashed).hex())]
    assert findings(exported(superuser), published) == []
    _change(superuser, "ledger.entry", "value")
    _forge_all_links(superuser)
    assert broken(superuser) == []
    assert findings(exported(superuser)) == []
    assert [(each.position, each.what) for each in findings(exported(superuser), published)] == [
        (20, "it is not what was published")
    ]


def _forge_all_links(connection: Connection) -> None:
    """What somebody does who may do everything, and knows how chains are made."""
    last = verifier.beginning("ledger", SHOP)
    for row in query(
        connection,
        "SELECT position, encode(sha256(convert_to(content, 'UTF8')), 'hex') AS digest FROM ledger.chain "
        f"JOIN ledger.chain_content USING (company, covers) WHERE company = '{SHOP}' ORDER BY position",
    ):
        last = verifier.link_hash(last, row.position, row.digest)
        names = {"position": row.position, "digest": bytes.fromhex(row.digest), "hash": bytes.fromhex(last)}
        run(
            connection,
            f"UPDATE ledger.chain SET digest = :digest, hash = :hash WHERE (company, position) = ('{SHOP}', :position)",
            **names,
        )
    run(connection, f"UPDATE ledger.chain_head SET hash = :hash WHERE company = '{SHOP}'", hash=bytes.fromhex(last))


# --- the command -----------------------------------------------------------------------------------------------------


def test_verify_tells_what_contradicts_the_chains(history: str, postgres: str) -> None:
    with servers.fresh_database(postgres, template=sa.make_url(history).database) as url:
        env = environment(STOCKBOOK_DATABASE_URL=url)
        assert "verify: OK" in told("verify", "--only", "chains", env=env)
        with opened(url) as engine, transaction(engine) as connection:
            run(connection, "SET LOCAL session_replication_role = replica")
            name, position = _change(connection, "ledger.entry", "value")
        done = invoke("verify", "--only", "chains", "--format", "json", env=env)
    assert done.exit_code == 3
    assert all(each in done.stdout for each in (name, f'"position": "{position}"', "the row was changed"))


def test_the_heads_are_shown_with_what_waits(history: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=history)
    shown = json.loads(told("audit", "head", "--company", SHOP, "--format", "json", env=env))
    assert [(each["company"], each["chain"], each["waiting"]) for each in shown] == [
        (SHOP, "journal", 0),
        (SHOP, "ledger", 0),
    ]


def test_the_command_checks_a_file_against_a_head_and_says_so_by_its_exit_code(history: str, tmp_path: Path) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=history)
    file = str(tmp_path / "audit.jsonl.gz")
    assert "lines in" in told("audit", "export", "--company", SHOP, file, env=env)
    head = json.loads(told("audit", "head", "--company", SHOP, "--format", "json", env=env))[0]
    known = f"{head['chain']}:{head['position']}:{head['hash']}"
    assert told("audit", "verify", file, "--head", known, env=environment()).endswith("audit: sound\n")
    forged = f"{head['chain']}:{head['position']}:{'0' * 64}"
    assert invoke("audit", "verify", file, "--head", forged, env=environment()).exit_code == 3
    assert invoke("audit", "verify", str(tmp_path / "none"), env=environment()).exit_code == 1


def test_an_export_that_fails_leaves_no_file(history: str, tmp_path: Path) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=history)
    file = tmp_path / "audit.jsonl"
    failed = invoke("audit", "export", "--company", "NOBODY", str(file), env=env)
    assert isinstance(failed.exception, StockbookError)
    assert list(tmp_path.iterdir()) == []


def test_positions_without_a_chain_are_refused(history: str, tmp_path: Path) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=history)
    failed = invoke("audit", "export", "--company", SHOP, "--from", "3", str(tmp_path / "audit.jsonl"), env=env)
    assert isinstance(failed.exception, StockbookError)
    assert "--chain" in str(failed.exception)


def test_heads_are_heard_by_whoever_listens_and_again_when_they_are_asked_for(vhost_url: str, postgres: str) -> None:
    with servers.fresh_database(postgres) as url, ExitStack() as stack:
        told("migrate", env=environment(STOCKBOOK_DATABASE_URL=url))
        pipeline = stack.enter_context(Pipeline(url, vhost_url, settings=Settings(sweep_every=0.0)))
        listener = pipeline.broker.bind_temporary("stock.events", [AUDIT_HEAD])
        stack.callback(listener.close)
        lines = [line for file in sorted(EXAMPLES.glob("skincare/[12]-*.jsonl")) for line in file.open("rb")]
        pipeline.publish([read_event(line, "desk", datetime.now(UTC)) for line in lines])
        pipeline.settle()
        first = _heard(pipeline, listener)
        assert {(each["source"], each["chain"]) for each in first} == {("ledger", "ledger"), ("accounting", "journal")}
        assert _heard(pipeline, listener) == []
        env = environment(STOCKBOOK_DATABASE_URL=url, STOCKBOOK_BROKER_URL=vhost_url)
        assert told("audit", "head", "--publish", env=env) == "2 heads are told at the next sweep\n"
        again = _heard(pipeline, listener)
        reached = json.loads(told("audit", "head", "--format", "json", env=env))
    assert sorted((each["chain"], each["position"], each["hash"]) for each in again) == [
        (each["chain"], each["position"], each["hash"]) for each in reached
    ]


def _heard(pipeline: Pipeline, listener: Consumer) -> list[dict[str, Any]]:
    """The heads that are told in a few turns."""
    heads: list[dict[str, Any]] = []
    for _ in range(3):
        pipeline.turn(0.1)
        deliveries = listener.drain(10, 0.3)
        heads += [json.loads(bytes(raw)) for each in deliveries for raw in raw_movements(read_envelope(each.body).data)]
        listener.acknowledge(deliveries)
    return heads
