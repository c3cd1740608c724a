"""The command that verifies: what it says of books that are right and wrong, and that it looks at one moment only."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from services.desk.pipeline import Pipeline
from services.desk.verify import CHECKS, Check, Finding, Scope, chosen, count_entries, hold_still, verify
from services.desk.verify.guards import guards_of
from shared.contracts.movement import MovementRequested
from shared.contracts.registry import MOVEMENT_ALLOCATED
from shared.db import stream, transaction
from shared.errors import StockbookError
from shared.purposes import Role
from shared.settings import Settings
from tests import servers
from tests.builders import deliver, revalue_all
from tests.commands import environment, invoke
from tests.integration.test_closing_pipeline import FEBRUARY, NOW, Shop
from tests.receiving_builders import (
    GOODS,
    STOCKED,
    Gate,
    after,
    comes,
    decoded,
    define_shop,
    events,
    goes,
    movement,
    opened,
)
from tests.verifying_builders import Clock, book, findings, shops_after_the_last_day

CABLE = "company = 'VOLT' AND item = 'CABLE' AND warehouse = 'FLOOR'"


@pytest.fixture(scope="module")
def shops(postgres: str) -> Iterator[str]:
    with shops_after_the_last_day(postgres) as url:
        yield url


@pytest.fixture
def wrong(postgres: str, shops: str) -> Iterator[str]:
    """The shops, with two wrong rows in one of them."""
    with servers.fresh_database(postgres, template=sa.make_url(shops).database) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(f"UPDATE ledger.bin SET quantity = 54 WHERE {CABLE}")
            connection.exec_driver_sql("DELETE FROM accounting.journal_number WHERE company = 'VOLT' AND number = 7")
        yield url


def _run(url: str, *options: str) -> tuple[int, str]:
    done = invoke("verify", *options, env=environment(STOCKBOOK_DATABASE_URL=url))
    return done.exit_code, done.stdout


# --- the command ------------------------------------------------------------------------------------------------------


def test_of_books_that_are_right_the_last_line_says_so_and_nothing_fails(shops: str) -> None:
    code, told = _run(shops)
    assert code == 0
    assert told.splitlines()[-1].startswith(f"verify: OK — {len(CHECKS)} checks, 114 entries in ")
    assert [line.split()[:2] for line in told.splitlines()[:-1]] == [["ok", check.name] for check in CHECKS]


def test_of_wrong_books_each_row_is_named_and_the_exit_code_says_so(wrong: str) -> None:
    code, told = _run(wrong, "--only", "sums", "--only", "numbers", "--only", "values")
    assert code == 3
    assert "  ledger.bin (company VOLT, item CABLE, warehouse FLOOR): quantity must be 55, is 54" in told.splitlines()
    assert told.splitlines()[-1] == "verify: 3 findings in 2 checks"


def test_findings_are_told_as_json_with_the_check_that_found_them(wrong: str) -> None:
    code, told = _run(wrong, "--only", "sums", "--format", "json")
    whole: dict[str, Any] = json.loads(told)
    assert (code, whole["ok"], whole["entries"]) == (3, False, 114)
    assert [(each["check"], each["findings"], each["more"]) for each in whole["checks"]] == [("sums", 1, False)]
    assert whole["findings"] == [
        {
            "check": "sums",
            "table": "ledger.bin",
            "key": {"company": "VOLT", "item": "CABLE", "warehouse": "FLOOR"},
            "what": "quantity",
            "expected": "55",
            "found": "54",
        }
    ]


def test_a_company_is_looked_at_without_the_faults_of_another(wrong: str) -> None:
    assert _run(wrong, "--company", "AMA")[0] == 0
    assert _run(wrong, "--company", "VOLT")[0] == 3


def test_no_more_findings_are_told_than_were_asked_for_and_that_there_are_more_is(wrong: str) -> None:
    code, told = _run(wrong, "--only", "numbers", "--limit", "1")
    assert code == 3
    assert told.splitlines()[-2:] == ["  … and more: --limit", "verify: at least 1 finding in 1 check"]


def test_a_quick_look_leaves_out_what_goes_through_every_message() -> None:
    assert {check.name for check in CHECKS} - {check.name for check in chosen((), quick=True)} == {
        "chains",
        "messages",
        "journal",
        "units",
        "replay",
    }


def test_a_check_that_there_is_none_of_is_refused_with_those_there_are(shops: str) -> None:
    done = invoke("verify", "--only", "everything", env=environment(STOCKBOOK_DATABASE_URL=shops))
    assert isinstance(done.exception, StockbookError)
    assert "everything" in str(done.exception)
    assert "sums" in str(done.exception)


def test_a_check_that_cannot_go_on_is_a_finding_and_the_next_one_is_carried_out(shops: str) -> None:
    def fails(_: Any, __: Scope) -> Iterator[Finding]:
        yield from ()
        raise LookupError("nothing there")

    checks = [Check("failing", "", fails), *chosen(["sums"], quick=False)]
    engine = sa.create_engine(shops, poolclass=sa.NullPool)
    with transaction(engine) as connection:
        failed, sums = verify(connection, hold_still(connection, None, 10, timedelta(minutes=1)), checks)
    assert [each.found for each in failed.findings] == ["LookupError('nothing there')"]
    assert list(sums.findings) == []


# --- a live system ----------------------------------------------------------------------------------------------------


@pytest.fixture
def gate(database: str) -> Iterator[Gate]:
    with opened(database) as engine:
        gate = Gate(engine)
        define_shop(gate, *GOODS)
        yield gate


def _accept(gate: Gate, *asked: MovementRequested) -> list[Any]:
    return [decoded(each) for each in gate.send(*events(asked)) if each.kind == MOVEMENT_ALLOCATED]


def test_what_is_on_its_way_between_two_services_is_no_finding_until_it_is_late(gate: Gate, database: str) -> None:
    quiet = [check.name for check in CHECKS if check.name != "unattended"]
    sold = [goes("tea", 2), goes("cream", 1, batch="B1"), goes("phone", serials=["P1"])]
    allocated = _accept(gate, STOCKED, movement("delivery", *sold, id="sold", at=after(5)))
    assert findings(database, *quiet) == {}
    posted = deliver(gate.engine, *allocated[:1])
    assert findings(database, *quiet) == {}
    posted += deliver(gate.engine, *allocated[1:])
    assert findings(database, *quiet) == {}
    late = {each.table: each.found for each in findings(database, "unattended")["unattended"]}
    accepted = "accepted 2026-03-02 18:00:00+00"
    assert late == {"ledger.movement": accepted, "aftercare.movement": accepted}
    book(gate.engine, posted)
    assert findings(database, *quiet) == {}


def test_a_bin_that_is_still_to_be_valued_anew_is_no_finding(gate: Gate, database: str) -> None:
    quiet = [check.name for check in CHECKS if check.name != "unattended"]
    dearer = movement("purchase_receipt", comes("tea", 5, rate="7"), id="late", at=after(-60))
    for asked in (STOCKED, movement("delivery", goes("tea", 12), id="sold", at=after(60)), dearer):
        book(gate.engine, deliver(gate.engine, *_accept(gate, asked)))
    with gate.engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM ledger.dirty")) == 1
    assert findings(database, *quiet) == {}
    book(gate.engine, revalue_all(gate.engine))
    assert findings(database, *quiet) == {}


def test_what_a_movement_books_to_a_stock_account_beside_its_stock_is_a_finding(gate: Gate, database: str) -> None:
    received, issued = _accept(gate, STOCKED, movement("material_issue", goes("tea", 2), id="out", at=after(5)))
    astray = msgspec.structs.replace(issued, accounts={**issued.accounts, Role.STOCK_ADJUSTMENT: "stock"})
    book(gate.engine, deliver(gate.engine, received))
    assert findings(database, "accounts") == {}
    book(gate.engine, deliver(gate.engine, astray))
    (found,) = findings(database, "accounts")["accounts"]
    assert (found.table, found.key) == ("accounting.transfer", {"company": "shop", "account": "stock"})
    assert Decimal(found.found) - Decimal(found.expected) == 2


def test_a_day_may_be_booked_on_between_its_reopening_and_its_next_closing(database: str) -> None:
    clock, settings = Clock(NOW), Settings(pause=0.01, sweep_every=0.0)
    with Pipeline(database, clock=clock, settings=settings) as pipeline:
        shop = Shop(pipeline)
        shop.define("acme")
        shop.receive("in time", NOW - timedelta(days=2), "in acme")
        shop.send("period.closed.v1", "C1", company="acme", through=FEBRUARY, actor="ann")
        clock.now += timedelta(hours=1)
        shop.send("period.reopened.v1", "R1", company="acme", open_from=FEBRUARY, actor="ann", reason="too late")
        assert findings(database, "periods") == {}
        clock.now += timedelta(hours=1)
        shop.receive("after all", NOW - timedelta(days=1), "in acme")
        assert findings(database, "periods") == {}
        shop.send("period.closed.v1", "C2", company="acme", through=FEBRUARY, actor="ann")
        shop.hear()
    assert findings(database) == {}


def test_everything_is_looked_at_as_it_was_when_the_looking_began(gate: Gate) -> None:
    book(gate.engine, deliver(gate.engine, *_accept(gate, STOCKED)))
    with transaction(gate.engine) as connection:
        scope = hold_still(connection, None, 10, timedelta(days=9_000))
        lines = stream(connection, "SELECT company, item FROM ledger.entry")
        first = next(lines)
        book(
            gate.engine, deliver(gate.engine, *_accept(gate, movement("delivery", goes("tea", 2), id="s", at=after(5))))
        )
        assert len([first, *lines]) == count_entries(connection, scope) == 3
        assert [each.check.name for each in verify(connection, scope, CHECKS) if each.findings] == []


def test_whoever_verifies_can_change_nothing(gate: Gate) -> None:
    with pytest.raises(StockbookError, match="read-only"), transaction(gate.engine) as connection:
        hold_still(connection, None, 10, timedelta(minutes=1))
        connection.exec_driver_sql("DELETE FROM receiving.company")


# --- guards -----------------------------------------------------------------------------------------------------------


def test_what_a_later_migration_takes_away_is_not_looked_for() -> None:
    made = """
    -- A comment; with a semicolon.
    CREATE TABLE a.t (x text, PRIMARY KEY (x), CONSTRAINT one CHECK (x <> ''), CONSTRAINT two CHECK (x <> ';'));
    CREATE FUNCTION a.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN; RETURN NULL; END $$;
    CREATE TRIGGER guard BEFORE UPDATE ON a.t FOR EACH STATEMENT EXECUTE FUNCTION a.f();
    CREATE TRIGGER other BEFORE DELETE ON a.t FOR EACH STATEMENT EXECUTE FUNCTION a.f();
    CREATE UNIQUE INDEX once ON a.t (x);
    """
    taken = """
    DROP TRIGGER other ON a.t;
    ALTER TABLE a.t DROP CONSTRAINT two;
    DROP INDEX a.once;
    CREATE OR REPLACE FUNCTION a.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    """
    guards = guards_of([made, taken])
    assert guards.triggers == {("a.t", "guard"): "a.f"}
    assert guards.constraints == {("a.t", "t_pkey"), ("a.t", "one")}
    assert guards.functions == {"a.f": " BEGIN RETURN NEW; END "}
    assert guards.indexes == set()
