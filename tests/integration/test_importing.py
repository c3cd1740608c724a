"""`stockbook import` through the embedded services: what rows become, what is refused, what a second import does."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import Result

from tests.commands import environment, invoke, told

MASTERS = [
    {"type": "company.defined.v1", "data": {"company": "acme", "currency": "EUR"}},
    {"type": "warehouse.defined.v1", "data": {"company": "acme", "warehouse": "shop"}},
    {"type": "item.defined.v1", "data": {"company": "acme", "item": "tea"}},
    {"type": "item.defined.v1", "data": {"company": "acme", "item": "leaf", "tracking": "batch"}},
    {"type": "item.defined.v1", "data": {"company": "acme", "item": "lamp", "tracking": "serial"}},
]
DAY = "2026-01-01"
OPENING = "company,document,posting_at,warehouse,item,quantity,rate,serial"


@pytest.fixture
def shop(database: str, tmp_path: Path) -> dict[str, str]:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    masters = tmp_path / "masters.jsonl"
    masters.write_text("\n".join(map(json.dumps, MASTERS)))
    told("publish", str(masters), env=env)
    return env


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def table(folder: Path, *lines: str, name: str = "table.csv") -> str:
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return str(folder / name)


def errors(file: str) -> list[tuple[str, str]]:
    path = Path(f"{file}.errors.csv")
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return [(row["row"], row["code"]) for row in csv.DictReader(lines)]


def last_line(done: Result) -> str:
    return str(done.stdout).splitlines()[-1]


def report(env: Mapping[str, str], *arguments: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(told("report", *arguments, "--format", "json", env=env))
    return found


def serials(env: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {row["serial"]: row for row in report(env, "serial-status")}


def test_good_rows_are_taken_and_bad_ones_stand_in_a_file_beside(shop: dict[str, str], folder: Path) -> None:
    file = table(
        folder, "company,item,serial,warranty_until", "acme,lamp,S1,2027-01-31", "acme,lamp,S2,soon", "acme,pot,S3,"
    )
    done = invoke("import", "serials", file, env=shop)
    assert done.exit_code == 1
    assert last_line(done) == f"1 of 3 rows taken, 2 with errors; see {file}.errors.csv"
    assert errors(file) == [("3", "not_a_day"), ("4", "unknown_item")]
    assert serials(shop).keys() == {"S1"}


def test_once_all_is_right_no_errors_are_left(shop: dict[str, str], folder: Path) -> None:
    file = table(folder, "company,item,serial,end_of_life", "acme,lamp,S1,soon")
    assert invoke("import", "serials", file, env=shop).exit_code == 1
    table(folder, "company,item,serial,end_of_life", "acme,lamp,S1,2030-12-31")
    assert told("import", "serials", file, env=shop) == "1 of 1 rows taken\n"
    assert errors(file) == []


def test_a_dry_run_finds_what_the_gate_would_and_changes_nothing(shop: dict[str, str], folder: Path) -> None:
    lines = [
        "company,item,serial,batch",
        "acme,lamp,S1,",
        "acme,pot,S2,",
        "acme,tea,S3,",
        "acme,lamp,S4,none",
        "x,lamp,S5,",
    ]
    file = table(folder, *lines)
    tried = invoke("import", "serials", file, "--dry-run", env=shop)
    found = errors(file)
    assert last_line(tried).startswith("5 rows, nothing was sent, 4 with errors")
    assert serials(shop) == {}
    invoke("import", "serials", file, env=shop)
    assert errors(file) == found
    assert [code for _, code in found] == ["unknown_item", "not_tracked", "unknown_batch", "unknown_company"]


def test_all_or_nothing_sends_nothing_while_a_row_is_wrong(shop: dict[str, str], folder: Path) -> None:
    file = table(folder, "company,item,serial", "acme,lamp,S1", "acme,pot,S2")
    done = invoke("import", "serials", file, "--all-or-nothing", env=shop)
    assert (done.exit_code, serials(shop)) == (1, {})
    assert last_line(done).startswith("nothing was sent: of 2 rows 1 have errors")
    table(folder, "company,item,serial", "acme,lamp,S1")
    assert told("import", "serials", file, "--all-or-nothing", env=shop) == "1 of 1 rows taken\n"


def test_serials_that_are_there_are_updated_and_keep_what_the_table_does_not_say(
    shop: dict[str, str], folder: Path
) -> None:
    first = "company,item,serial,supplier,warranty_until,attributes.plan,attributes.shelf"
    told("import", "serials", table(folder, first, "acme,lamp,S1,Lux,2027-01-31,trial,A3"), env=shop)
    told(
        "import",
        "serials",
        table(folder, "company,item,serial,end_of_life,attributes.plan", "acme,lamp,S1,2030-01-01,paid"),
        env=shop,
    )
    row = serials(shop)["S1"]
    assert (row["supplier"], row["warranty_until"], row["end_of_life"]) == ("Lux", "2027-01-31", "2030-01-01")


def test_items_keep_what_the_table_has_no_column_for_and_lose_what_a_cell_leaves_empty(
    shop: dict[str, str], folder: Path
) -> None:
    first = "company,item,name,standard_rate,shelf_life_days,units.box,units.bag,attributes.a,attributes.b"
    told("import", "items", table(folder, first, "acme,tea,Tea,2.5,90,12,3,x,y"), env=shop)
    told(
        "import",
        "items",
        table(folder, "item,name,shelf_life_days,units.box,attributes.a", "tea,Black tea,,,z"),
        "--company",
        "acme",
        env=shop,
    )
    file = table(folder, OPENING + ",unit", f"acme,,{DAY},shop,tea,2,,,bag", f"acme,O2,{DAY},shop,tea,1,,,box")
    done = invoke("import", "opening", file, env=shop)
    assert errors(file) == [("3", "unknown_unit")]
    assert done.exit_code == 1
    (row,) = report(shop, "stock-balance")
    assert (row["quantity"], row["value"]) == ("6", "15")


def test_whole_takes_back_what_the_table_has_no_column_for(shop: dict[str, str], folder: Path) -> None:
    told("import", "items", table(folder, "company,item,standard_rate", "acme,tea,2.5"), env=shop)
    told("import", "items", table(folder, "company,item,name", "acme,tea,Tea"), "--whole", env=shop)
    file = table(folder, OPENING, f"acme,O1,{DAY},shop,tea,1,,")
    assert invoke("import", "opening", file, env=shop).exit_code == 1
    assert errors(file) == [("2", "rate_missing")]


def test_warehouses_and_batches_are_imported(shop: dict[str, str], folder: Path) -> None:
    assert (
        told("import", "warehouses", table(folder, "company,warehouse,kind", "acme,lost,quarantine"), env=shop)
        == "1 of 1 rows taken\n"
    )
    header = "company,item,batch,manufactured_on,expires_on,supplier_batch"
    told("import", "batches", table(folder, header, "acme,leaf,007,2026-01-01,2026-12-31,L9"), env=shop)
    (row,) = report(shop, "batch-status")
    assert (row["batch"], row["expires_on"], row["supplier_batch"]) == ("007", "2026-12-31", "L9")


def test_opening_stock_is_booked_once_however_often_it_is_imported(shop: dict[str, str], folder: Path) -> None:
    lines = [
        OPENING,
        f"acme,O1,{DAY},shop,tea,10,2.5,",
        f"acme,O1,{DAY},shop,lamp,,9,001",
        f"acme,O1,{DAY},shop,lamp,,9,002",
    ]
    file = table(folder, *lines)
    assert told("import", "opening", file, env=shop) == "3 of 3 rows taken\n"
    balance = report(shop, "stock-balance")
    assert {(row["item"], row["quantity"], row["value"]) for row in balance} == {
        ("lamp", "2", "18"),
        ("tea", "10", "25"),
    }
    assert told("import", "opening", file, env=shop) == "3 of 3 rows taken (3 had been taken before)\n"
    assert told("import", "opening", table(folder, *lines, name="copy.csv"), env=shop).endswith("taken before)\n")
    assert report(shop, "stock-balance") == balance
    assert {row["account"]: row["balance"] for row in report(shop, "trial-balance")} == {
        "stock": "43",
        "temporary_opening": "-43",
    }


def test_a_document_that_was_imported_is_not_opened_again_with_another_content(
    shop: dict[str, str], folder: Path
) -> None:
    told("import", "opening", table(folder, OPENING, f"acme,O1,{DAY},shop,tea,10,2.5,"), env=shop)
    file = table(folder, OPENING, f"acme,O1,{DAY},shop,tea,11,2.5,", f"acme,O2,{DAY},shop,tea,1,2.5,")
    assert last_line(invoke("import", "opening", file, env=shop)).startswith("1 of 2 rows taken, 1 with errors")
    assert errors(file) == [("2", "opened_before")]
    assert [row["quantity"] for row in report(shop, "stock-balance")] == ["11"]


def test_opening_stock_is_tried_by_a_dry_run_of_its_movements(shop: dict[str, str], folder: Path) -> None:
    file = table(folder, OPENING, f"acme,O1,{DAY},shop,tea,10,2.5,", f"acme,O2,{DAY},shop,lamp,1,9,")
    assert last_line(invoke("import", "opening", file, "--dry-run", env=shop)).startswith(
        "2 rows, nothing was sent, 1 with"
    )
    assert errors(file) == [("3", "serials_missing")]
    assert report(shop, "stock-balance") == []


def test_a_refusal_of_an_earlier_import_says_so_and_how_it_is_asked_anew(shop: dict[str, str], folder: Path) -> None:
    file = table(folder, "company,item,serial", "acme,pot,S1")
    invoke("import", "serials", file, env=shop)
    told("import", "items", table(folder, "company,item,tracking", "acme,pot,serial", name="items.csv"), env=shop)
    assert "refused by an earlier import" in str(invoke("import", "serials", file, env=shop).stdout)
    assert told("import", "serials", file, "--again", env=shop) == "1 of 1 rows taken\n"


def test_opening_stock_cannot_be_sent_again_by_force(shop: dict[str, str], folder: Path) -> None:
    file = table(folder, OPENING, f"acme,O1,{DAY},shop,tea,10,2.5,")
    assert invoke("import", "opening", file, "--again", env=shop).exit_code == 2


def test_without_a_database_a_table_with_few_columns_is_refused(folder: Path) -> None:
    file = table(folder, "company,item", "acme,tea")
    done = invoke("import", "items", file, env=environment(STOCKBOOK_BROKER_URL="amqp://127.0.0.1:1//"))
    assert done.exit_code == 1
    assert "--whole" in str(done.exception)


def test_a_template_is_a_table_of_its_own_kind(folder: Path) -> None:
    assert told("import", "batches", "--template").startswith("company,item,batch,manufactured_on")
    told("import", "serials", str(folder / "serials.xlsx"), "--template")
    assert (folder / "serials.xlsx").read_bytes().startswith(b"PK")
