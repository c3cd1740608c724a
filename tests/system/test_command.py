"""The command `stockbook` as a user runs it; in a process of its own where that is the point."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from services.desk.cli import app
from services.desk.cli.demo import self_check
from services.desk.store import CompanyValue
from shared.errors import StockbookError
from shared.quantities import ZERO, Money
from tests import servers
from tests.commands import data_folder, environment, invoke, told

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
COMMAND = [sys.executable, "-c", "from services.desk.cli import main; main()"]
SELF_CHECK = re.compile(r"self-check: OK — stock value (EUR [0-9,]+\.\d\d) = stock accounts (EUR [0-9,]+\.\d\d)")


def stockbook(
    *arguments: str, given: str | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        input=given,
        env=dict(env or environment()),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture(scope="module")
def shop(postgres: str) -> Iterator[dict[str, str]]:
    """A database of this module's own with the examples in it, but for the day of the closing; how to reach it."""
    with servers.fresh_database(postgres) as url:
        env = environment(STOCKBOOK_DATABASE_URL=url)
        told("migrate", env=env)
        for file in sorted(EXAMPLES.glob("*/[123]-*.jsonl")):
            told("publish", str(file), env=env)
        yield env


def test_without_any_address_the_data_stay_in_the_data_folder() -> None:
    with data_folder() as folder:
        env = environment(STOCKBOOK_DATA=str(folder / "data"))
        assert told("publish", str(EXAMPLES / "skincare" / "1-masters.jsonl"), env=env).startswith("23 accepted")
        assert len(rows(env, "batch-status")) == 7


def rows(env: Mapping[str, str], *arguments: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(told("report", *arguments, "--format", "json", env=env))
    return found


@pytest.fixture(scope="module")
def shown() -> str:
    return told("demo")


def test_the_demo_ends_with_books_that_agree(shown: str) -> None:
    last = SELF_CHECK.fullmatch(shown.splitlines()[-1])
    assert last is not None
    assert last[1] == last[2] == "EUR 7,525.09"


def test_the_demo_fits_a_hundred_columns(shown: str) -> None:
    assert max(map(len, shown.splitlines())) <= 100


def test_the_demo_shows_what_was_refused_with_every_reason(shown: str) -> None:
    refused = shown[shown.index("T1-000486") :]
    assert all(code in refused for code in ("serial_not_here", "unknown_serial", "insufficient_stock", "money_unbal"))


def test_the_demo_shows_a_shortage_where_it_arose_and_none_at_the_end(shown: str) -> None:
    sold_twice = shown[shown.index("T2-000031") :]
    assert "note: shortage in line 1: item CHARGER" in sold_twice
    assert shown.count("No shortages") == 2
    assert "Shortages\n" not in shown


def test_the_demo_explains_what_was_made_down_to_the_receipts_of_its_ingredients(shown: str) -> None:
    explained = shown[shown.index("Where the value of MAKE-3 came from") :]
    assert "+200 CREAM-ROSE in WORKSHOP, batch ROSE-2026-003: +522.66 EUR" in explained
    assert "10 of 50 SHEA-BUTTER from purchase_receipt PR-101" in explained
    assert "additional cost 6200 wages: 60.00" in explained
    assert "+504.84 as it was posted (recorded 2026-04-30 18:00)" in explained
    assert "-3.82 because of purchase_receipt PR-108 (recorded 2026-05-04 08:00)" in explained


def test_the_demo_shows_the_money_of_the_ticket_that_was_refused(shown: str) -> None:
    unposted = shown[shown.index("Unposted Sales") :]
    assert "T1-000486" in unposted
    assert "3,900.00" in unposted


def test_the_demo_shows_closed_books_as_they_were_before_the_last_day_and_as_they_are(shown: str) -> None:
    for day, who in (("2026-03-31", "ama"), ("2026-01-31", "mira")):
        closed = shown[shown.index(f"The books are closed through {day} by {who}") :]
        assert closed.splitlines()[0].rstrip().endswith("and locked.")
        balances = closed[closed.index(f"as of the end of {day}") :].partition("└")[0]
        cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in balances.splitlines() if "│" in line]
        assert len(cells) > 5
        assert [before for _, before, _ in cells] == [now for _, _, now in cells]


def test_the_demo_tells_what_the_last_day_made_worth_something_else(shown: str) -> None:
    became = shown[shown.index("What became known of stock") :].partition("└")[0]
    assert re.search(r"2026-04-14 │ MAKE-3 +│ corrected +│ CREAM-ROSE", became)
    assert re.search(r"2026-04-01 │ PR-104-LC +│ revalues PR-104 ", became)
    assert re.search(r"CNT-901-X +│ cancels CNT-901 ", became)


def test_the_demo_plays_the_same_every_time_and_leaves_nothing_behind(
    shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with data_folder() as folder:
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        assert told("demo") == shown
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert str(folder) not in running
        assert list(folder.iterdir()) == []


def test_books_that_disagree_fail_the_self_check() -> None:
    value = CompanyValue("AMA", "Ama", "EUR", stock=Money("10"), accounts=Money("9.99"))
    line, agreed = self_check([value], [])
    assert not agreed
    assert line.startswith("self-check: FAILED — stock value EUR 10.00, stock accounts EUR 9.99")


def test_a_movement_that_was_not_finished_fails_the_self_check() -> None:
    value = CompanyValue("AMA", "Ama", "EUR", stock=ZERO, accounts=ZERO)
    assert self_check([value], [])[1]
    line, agreed = self_check([value], [("till", "T-1")])
    assert not agreed
    assert line.endswith("till T-1 is not finished")


def test_closed_books_that_have_changed_fail_the_self_check() -> None:
    value = CompanyValue("AMA", "Ama", "EUR", stock=ZERO, accounts=ZERO)
    line, agreed = self_check([value], [], ["AMA has changed up to 2026-03-31, which is closed"])
    assert not agreed
    assert line.endswith("; AMA has changed up to 2026-03-31, which is closed")


def test_no_company_at_all_fails_the_self_check() -> None:
    assert not self_check([], [])[1]


def test_totals_of_two_currencies_are_kept_apart() -> None:
    values = [
        CompanyValue("A", "A", "EUR", Money("1"), Money("1")),
        CompanyValue("B", "B", "USD", Money("2"), Money("2")),
        CompanyValue("C", "C", "EUR", Money("3"), Money("3")),
    ]
    line, _ = self_check(values, [])
    assert line == "self-check: OK — stock value EUR 4.00 + USD 2.00 = stock accounts EUR 4.00 + USD 2.00"


def test_publish_tells_what_was_refused_and_why(shop: Mapping[str, str]) -> None:
    printed = told("publish", str(EXAMPLES / "electronics" / "2-movements.jsonl"), env=shop)
    assert "rejected volt-till-1 T1-000486\n  " in printed
    assert "\n  serial_not_here in line 1: item PHONE-PRO, serial 356938035643825" in printed


def test_publishing_a_file_again_changes_nothing(shop: Mapping[str, str]) -> None:
    before = rows(shop, "stock-ledger")
    told("publish", str(EXAMPLES / "skincare" / "2-movements.jsonl"), env=shop)
    assert rows(shop, "stock-ledger") == before


def test_nothing_of_a_file_with_a_bad_line_is_sent_and_every_bad_line_is_named(shop: Mapping[str, str]) -> None:
    good = '{"type": "company.defined.v1", "data": {"company": "NEW", "currency": "EUR"}}'
    text = "\n".join(
        [
            good,
            '{"type": "company.defined.v1", "data": {"company": "NEW", "currency": "euro"}}',
            "",
            "nonsense",
            '{"type": "journal.posted.v1", "data": {}}',
            '{"type": "movement.requested.v1", "data": {"id": "1", "purpose": "sale", "posting_at": "2026-01-01"}}',
        ]
    )
    done = invoke("publish", "-", given=text, env=shop)
    assert isinstance(done.exception, StockbookError)
    message = str(done.exception)
    assert message.startswith("nothing was sent")
    assert [int(number) for number in re.findall(r"^-:(\d+):", message, re.MULTILINE)] == [2, 4, 5, 6]
    assert "$.data.currency" in message or "$.currency" in message
    assert "NEW" not in told("report", "outcomes", "--format", "csv", env=shop)


def test_a_file_can_be_checked_without_sending_it(shop: Mapping[str, str]) -> None:
    given = '{"type": "company.defined.v1", "data": {"company": "CHECKED", "currency": "EUR"}}\n'
    assert told("publish", "-", "--check", given=given, env=shop) == "1 events, all well-formed\n"
    assert "CHECKED" not in told("report", "outcomes", "--format", "csv", env=shop)


def test_short_events_speak_for_the_given_source(shop: Mapping[str, str]) -> None:
    given = '{"type": "source.defined.v1", "data": {"source": "scanner"}}'
    told("publish", "-", "--source", "warehouse-7", given=given, env=shop)
    assert any(row["source"] == "warehouse-7" for row in rows(shop, "outcomes"))


def test_the_balance_as_of_a_day_leaves_out_what_came_later(shop: Mapping[str, str]) -> None:
    filters = ("stock-balance", "--item", "CASE", "--as-of")
    assert [row["quantity"] for row in rows(shop, *filters, "2026-01-07")] == ["30"]
    assert [row["quantity"] for row in rows(shop, *filters, "2026-01-08")] == ["80"]
    assert rows(shop, *filters, "2026-01-02T06:59:59") == []


def test_the_balance_as_of_now_is_the_balance(shop: Mapping[str, str]) -> None:
    now = {(row["item"], row["warehouse"]): row for row in rows(shop, "stock-balance")}
    summed = {(row["item"], row["warehouse"]): row for row in rows(shop, "stock-balance", "--as-of", "2026-12-31")}
    assert now == summed


def test_the_ledger_ends_with_the_balance(shop: Mapping[str, str]) -> None:
    balances = {(row["item"], row["warehouse"]): row["value"] for row in rows(shop, "stock-balance")}
    last = {(row["item"], row["warehouse"]): row["value_after"] for row in rows(shop, "stock-ledger")}
    assert last == balances


def test_the_trial_balance_adds_up_to_zero(shop: Mapping[str, str]) -> None:
    found = rows(shop, "trial-balance", "--company", "AMA")
    assert sum((Money(row["balance"]) for row in found), ZERO) == ZERO
    assert {row["company"] for row in found} == {"AMA"}


def test_the_trial_balance_is_the_sum_of_the_journal(shop: Mapping[str, str]) -> None:
    found = rows(shop, "journal", "--account", "cost_of_goods_sold")
    total = sum((Money(row["debit"]) - Money(row["credit"]) for row in found), ZERO)
    balances = rows(shop, "trial-balance", "--account", "cost_of_goods_sold")
    assert total == sum((Money(row["balance"]) for row in balances), ZERO) == Money("3828.62")


def test_one_serial_tells_its_whole_story(shop: Mapping[str, str]) -> None:
    (found,) = rows(shop, "serial-status", "--serial", "356938035650104")
    assert found["status"] == "delivered"
    assert (found["supplier"], found["customer"]) == ("Pro Import", "City Clinic")
    assert (found["supplier_document"], found["customer_document"]) == ("Pro Import 0088", "DN-2201")
    assert found["warranty_until"] == "2028-01-20"


def test_batches_come_with_their_expiry_and_origin(shop: Mapping[str, str]) -> None:
    (found,) = rows(shop, "batch-balance", "--item", "ROSE-OIL", "--batch", "RO-9")
    assert (found["quantity"], found["value"], found["expires_on"]) == ("0.25", "115.5", "2027-02-18")
    assert (found["supplier"], found["supplier_batch"]) == ("Natura Wholesale", "NW-5087")


def test_what_was_made_is_worth_what_was_consumed_and_paid_less_what_is_left_in_the_kettle(
    shop: Mapping[str, str],
) -> None:
    (made,) = rows(shop, "batch-balance", "--item", "CREAM-ROSE", "--batch", "ROSE-2026-003")
    consumed = Money("85.00") + Money("157.50") + Money("69.30") + Money("136.64")
    assert Money(made["value"]) == consumed + Money("60.00") - Money("3.60")


def test_freight_and_a_later_bill_are_in_the_value_of_what_was_received(shop: Mapping[str, str]) -> None:
    (butter,) = rows(shop, "batch-balance", "--item", "SHEA-BUTTER", "--batch", "SB-2603")
    assert Money(butter["value"]) == Money("214.00") + Money("10.70")
    (jars,) = rows(shop, "stock-balance", "--item", "JAR-50", "--as-of", "2026-04-09")
    assert Money(jars["value"]) == Money("36.36") + Money("153.60") + Money("15.00")


def test_what_was_short_was_covered_at_the_cost_of_the_sale_that_lacked_it(shop: Mapping[str, str]) -> None:
    assert rows(shop, "shortages") == []
    costs = rows(shop, "journal", "--company", "VOLT", "--account", "cost_of_goods_sold")
    assert [(row["debit"], row["credit"]) for row in costs if row["id"] == "PR-2005"] == [("0.6", "0")]


def test_a_count_finds_what_was_used_up_and_misses_what_should_be_there(shop: Mapping[str, str]) -> None:
    states = {row["serial"]: row["status"] for row in rows(shop, "serial-status", "--item", "PHONE-X2")}
    assert (states["X2-2601-0004"], states["X2-2601-0006"]) == ("active", "missing")
    assert states["X2-2602-0002"] == "returned_to_supplier"


def test_csv_has_a_header_and_a_line_a_row(shop: Mapping[str, str]) -> None:
    text = told("report", "batch-status", "--company", "AMA", "--format", "csv", env=shop)
    found = list(csv.DictReader(io.StringIO(text)))
    assert {row["batch"] for row in found} >= {"SB-2511", "RO-7", "ROSE-2026-001"}


def test_what_is_pickable_comes_in_pick_order_and_the_rest_with_its_reason(shop: Mapping[str, str]) -> None:
    lines = told("available", "CREAM-ROSE", "WORKSHOP", "--at", "2026-05-01", env=shop).splitlines()
    assert lines[0] == "260 pcs of CREAM-ROSE may be picked in WORKSHOP"
    assert "ROSE-2026-002" in lines[1]
    assert "ROSE-2026-003" in lines[2]
    assert lines[3].strip() == "-  ROSE-2026-001: 96, expires 2026-07-15, not pickable: batch_held"


def test_the_moment_decides_what_has_expired(shop: Mapping[str, str]) -> None:
    arguments = ("available", "CREAM-CALENDULA", "SHOP", "--at")
    assert told(*arguments, "2026-03-16", env=shop).startswith("8 pcs")
    expired = told(*arguments, "2026-03-17", env=shop)
    assert expired.startswith("0 pcs")
    assert "batch_expired" in expired


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "nope"), "there is no such report"),
        (("report", "journal", "--batch", "B1"), "the report takes no such filter"),
        (("report", "journal", "--as-of", "yesterday"), "a time looks like"),
        (("available", "CASE", "NOWHERE"), "there is no such warehouse"),
        (("available", "NOTHING", "SHOP"), "no such item"),
        (("publish", "no-such-file.jsonl"), "there is no such file"),
        (("conform", "no-such-folder"), "there are no scenarios here"),
        (("demo", "no-such-folder"), "there are no examples here"),
    ],
)
def test_an_error_says_what_is_wrong(arguments: tuple[str, ...], message: str, shop: Mapping[str, str]) -> None:
    done = invoke(*arguments, env=shop)
    assert isinstance(done.exception, StockbookError)
    assert str(done.exception).startswith(message)


def test_an_error_is_one_line_on_standard_error() -> None:
    done = stockbook("report", "nope")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"stockbook: there is no such report \(.*\)\n", done.stderr)


def test_every_command_has_help() -> None:
    names = [[str(command.name)] for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        commands = group.typer_instance.registered_commands
        names += [[str(group.name), each.name or each.callback.__name__] for each in commands if each.callback]
    assert ["parked", "edit"] in names
    for name in names:
        assert f"Usage: stockbook {' '.join(name)}" in told(*name, "--help")


def test_a_worker_alone_refuses_to_run_without_a_broker() -> None:
    assert "STOCKBOOK_BROKER_URL" in str(invoke("run", "ledger").exception)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_all_workers_stop_at_a_signal(number: signal.Signals) -> None:
    with data_folder() as folder:
        env = environment(STOCKBOOK_DATA=str(folder / "data"))
        process = subprocess.Popen([*COMMAND, "run", "all"], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(5)]
        process.send_signal(number)
        rest = process.communicate(timeout=30)[1]
    assert "STOCKBOOK_BROKER_URL" in lines[0]
    assert process.returncode == 0
    assert rest.count('"stopped"') == 4


def test_a_database_that_lacks_migrations_is_refused_until_it_is_migrated(postgres: str) -> None:
    with servers.fresh_database(postgres) as url:
        env = environment(STOCKBOOK_DATABASE_URL=url)
        assert "stockbook migrate" in str(invoke("report", "stock-balance", env=env).exception)
        assert "applied ledger/0001-ledger.sql" in told("migrate", env=env)
        assert told("migrate", env=env) == "the database is up to date\n"
        assert told("report", "stock-balance", "--format", "json", env=env).split() == ["[", "]"]


@pytest.mark.slow
def test_events_published_to_rabbitmq_are_worked_on_by_workers_elsewhere(database: str, vhost_url: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_BROKER_URL=vhost_url)
    workers = subprocess.Popen([*COMMAND, "run", "all"], env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        for file in sorted((EXAMPLES / "skincare").glob("*.jsonl")):
            assert told("publish", str(file), env=env).endswith("events published\n")
        servers.wait_until(lambda: _is_booked(env, "WD-902"), "the last movement in the journal")
    finally:
        workers.terminate()
        assert workers.wait(timeout=30) == 0


def _is_booked(env: Mapping[str, str], movement: str) -> bool:
    return any(row["id"] == movement for row in rows(env, "journal", "--company", "AMA"))


@pytest.mark.slow
def test_scenarios_conform_over_rabbitmq_too(database: str, vhost_url: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_BROKER_URL=vhost_url)
    printed = told("conform", str(ROOT / "tests" / "conformance"), env=env)
    assert re.fullmatch(r"\d+ passed, 0 failed, \d+ pending", printed.splitlines()[-1])
