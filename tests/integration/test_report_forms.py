"""Reports as people and programs take them: columns by their names, every form read back, pictures, and the page."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa

from services.desk.cli.writing import Format, write_rows
from services.desk.docs.reports import PAGE, page
from services.desk.reporting import REPORTS
from shared.db import transaction
from shared.quantities import plain
from shared.report import Column, Filters, Kind, read_report
from tests import commands

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2026, 5, 4)
COLUMNS = {
    "ageing": "company item warehouse batch age quantity value currency oldest_on newest_on",
    "batch-balance": "company item warehouse batch quantity value state manufactured_on expires_on supplier"
    " supplier_batch",
    "batch-ledger": "company item batch warehouse posting_date effective_at source id purpose document line quantity"
    " value quantity_after value_after currency corrects_source corrects_id recorded_at entry",
    "expiry": "company item warehouse batch expires_on days_left window quantity value currency state manufactured_on"
    " supplier supplier_batch",
    "general-ledger": "company account posting_date year number source id purpose document line against debit credit"
    " balance currency effective_at recorded_at ledger_entry revaluation",
    "gross-margin": "company posting_date source id purpose document line item quantity income cost margin"
    " margin_percent currency",
    "in-warranty": "company item serial status warehouse batch customer customer_document warranty_until days_left",
    "received-not-billed": "company account supplier source id purpose document posting_date line item warehouse batch"
    " quantity open_quantity amount open currency",
    "reorder": "company item name unit on_hand in_transit reorder_level reorder_quantity to_order",
    "returned-batches": "company source id purpose document posting_date line customer item batch serial quantity"
    " warehouse delivered_by_source delivered_by_id expires_on state manufactured_on supplier supplier_batch",
    "serial-status": "company item serial status warehouse batch supplier supplier_document customer customer_document"
    " warranty_until end_of_life",
    "stock-against-ledger": "company account warehouses stock_value account_balance difference currency",
}
"""Programs read columns by these names: one may be added, none renamed."""


@pytest.mark.parametrize("name", COLUMNS)
def test_the_names_of_columns_stay(name: str) -> None:
    assert " ".join(column.name for column in REPORTS[name].columns) == COLUMNS[name]


def test_the_page_is_what_the_reports_say_of_the_examples(shops: sa.Engine) -> None:
    with transaction(shops) as connection:
        assert (ROOT / PAGE).read_text("utf-8") == page(connection), "run `make docs`"


@pytest.mark.parametrize("name", COLUMNS)
def test_every_report_reads_back_the_same_in_every_form(shops: sa.Engine, name: str, tmp_path: Path) -> None:
    report = REPORTS[name]
    with transaction(shops) as connection:
        rows = read_report(report, connection, Filters(on=DAY) if "on" in report.takes else Filters())
    files = {form: tmp_path / f"report.{form.value}" for form in Format}
    for form, file in files.items():
        write_rows(report, iter(rows), form, file)
    expected = [[_written(value) for value in row] for row in rows]
    assert expected
    names = COLUMNS[name].split()
    assert json.loads(files[Format.JSON].read_text("utf-8")) == [dict(zip(names, row, strict=True)) for row in expected]
    head, *cells = csv.reader(io.StringIO(files[Format.CSV].read_text("utf-8")))
    assert (head, cells) == (names, [["" if value is None else str(value) for value in row] for row in expected])
    sheet = openpyxl.load_workbook(files[Format.XLSX]).worksheets[0]
    columns = report.columns
    found = [[*map(_read_from_sheet, columns, row)] for row in sheet.iter_rows(values_only=True, min_row=2)]
    assert found == expected
    assert len(files[Format.TABLE].read_text("utf-8").splitlines()) >= len(expected) + 4
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def _written(value: Any) -> Any:
    """A value as JSON and CSV have it."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


def _read_from_sheet(column: Column, value: Any) -> Any:
    """What a spreadsheet has, as JSON and CSV have it."""
    if value is None or isinstance(value, str):
        return value
    if column.kind is Kind.DATE:
        return value.date().isoformat()
    if column.kind is Kind.TIME:
        return _written(value.replace(tzinfo=UTC))
    return value if column.kind is Kind.COUNT else plain(Decimal(f"{value:.15g}"))


# --- on the command line ----------------------------------------------------------------------------------------------


def environment(engine: sa.Engine) -> dict[str, str]:
    return commands.environment(STOCKBOOK_DATABASE_URL=engine.url.render_as_string(hide_password=False))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_printed_is_what_is_written_to_a_file(shops: sa.Engine, form: str, tmp_path: Path) -> None:
    asked = ("report", "expiry", "--on", DAY.isoformat(), "--format", form)
    file = tmp_path / "report"
    file.write_text("what stood there before")
    assert commands.told(*asked, "--output", str(file), env=environment(shops)) == ""
    printed = commands.invoke(*asked, env=environment(shops)).stdout_bytes
    if form == "csv":
        assert printed == file.read_bytes()
        return
    sheets = [openpyxl.load_workbook(io.BytesIO(each)).worksheets[0] for each in (printed, file.read_bytes())]
    assert list(sheets[0].values) == list(sheets[1].values)


def test_a_report_that_fails_leaves_the_file_as_it_was(shops: sa.Engine, tmp_path: Path) -> None:
    file = tmp_path / "report"
    file.write_text("what stood there before")
    asked = ("report", "expiry", "--account", "cash", "--format", "csv", "--output", str(file))
    assert commands.invoke(*asked, env=environment(shops)).exit_code != 0
    assert file.read_text() == "what stood there before"
    assert list(tmp_path.iterdir()) == [file]


def test_the_bars_of_a_picture_are_as_long_as_what_they_stand_for(shops: sa.Engine) -> None:
    asked = ("report", "ageing", "--company", "AMA", "--on", DAY.isoformat())
    told = commands.told(*asked, "--picture", env=environment(shops))
    drawn = told.split("Ageing of AMA: value by age")[1].splitlines()[1:]
    bars = {line.split()[0]: (line.count("█"), line.split()[-1]) for line in drawn if line.strip()}
    assert bars["0-30"] == (40, "1,105.66")
    assert bars["61-90"] == (10, "295.21")
    assert bars["31-60"] == (0, "0.00")


@pytest.mark.parametrize("options", [(), ("--no-picture",), ("--format", "csv")])
def test_where_there_is_no_terminal_there_is_no_picture_unless_it_is_asked_for(
    shops: sa.Engine, options: tuple[str, ...]
) -> None:
    assert "█" not in commands.told("report", "ageing", "--on", DAY.isoformat(), *options, env=environment(shops))


@pytest.mark.parametrize("asked", [("journal",), ("ageing", "--format", "csv"), ("ageing", "--output", "x")], ids=str)
def test_a_picture_is_refused_where_there_is_no_table_to_draw_it_below(
    shops: sa.Engine, asked: tuple[str, ...]
) -> None:
    done = commands.invoke("report", *asked, "--picture", env=environment(shops))
    assert "pictures are drawn below the printed tables of some reports" in str(done.exception)


def test_the_batches_that_have_expired_are_asked_for_by_day(shops: sa.Engine) -> None:
    def batches(day: str) -> list[str]:
        printed = commands.told("expired", "--on", day, "--format", "csv", env=environment(shops))
        return [row["batch"] for row in csv.DictReader(io.StringIO(printed))]

    assert batches("2026-03-16") == []
    assert batches("2026-03-17") == ["CAL-2025-011"]
    assert batches("2026-07-16") == ["CAL-2025-011", "ROSE-2026-001", "ROSE-2026-001"]


def test_the_serials_in_warranty_are_asked_for_by_day(shops: sa.Engine) -> None:
    def serials(day: str) -> list[str]:
        asked = ("in-warranty", "--on", day, "--company", "VOLT", "--format", "json")
        return [row["serial"] for row in json.loads(commands.told(*asked, env=environment(shops)))]

    assert serials("2026-01-16") == []
    assert serials("2026-01-17") == ["356938035643825", "X2-2601-0001", "X2-2601-0002", "X2-2601-0003"]
    assert len(serials("2028-01-17")) == 9
    assert len(serials("2028-01-18")) == 5
    assert serials("2028-01-21") == []


def test_the_batch_of_a_sales_return_is_asked_for_by_its_name(shops: sa.Engine) -> None:
    printed = commands.told("return-batch", "ama-office", "SR-801", "--format", "json", env=environment(shops))
    found = [(row["batch"], row["quantity"], row["delivered_by_id"]) for row in json.loads(printed)]
    assert found == [("ROSE-2026-002", "6", "DN-405")]
    for name in ("DN-405", "SR-999"):
        done = commands.invoke("return-batch", "ama-office", name, env=environment(shops))
        assert "nothing came back by such a movement" in str(done.exception)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-02-03T10:00"])
def test_what_is_no_day_is_refused(text: str) -> None:
    for asked in (("expired", "--on", text), ("report", "general-ledger", "--from", text)):
        assert "a day looks like" in str(commands.invoke(*asked).exception)
