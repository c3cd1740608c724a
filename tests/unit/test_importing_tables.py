"""Tables as spreadsheets write them: encodings, separators, marks in front, sheets; and what is none."""

from datetime import date, datetime, time
from pathlib import Path

import pytest
from openpyxl import Workbook

from services.desk.importing.cells import Cell, Formula
from services.desk.importing.faults import Unreadable
from services.desk.importing.tables import opened

SINCE = datetime.combine(date(2026, 1, 31), time())


def read(
    file: Path, encoding: str | None = None, sheet: str | None = None
) -> tuple[list[str], list[tuple[int, list[Cell]]]]:
    with opened(file, encoding=encoding, sheet=sheet) as table:
        return table.header, [(number, list(row)) for number, row in table.rows]


def csv_file(folder: Path, content: bytes) -> Path:
    file = folder / "table.csv"
    file.write_bytes(content)
    return file


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = "stock"
    sheet.append(["item", "serial", "since", "total"])
    sheet.append(["lamp", "00123", SINCE, "=1+1"])
    sheet.append([])
    sheet.append(["lamp", 124, None, 1.5])
    book.create_sheet("other").append(["nothing"])
    file = tmp_path / "table.xlsx"
    book.save(file)
    return file


@pytest.mark.parametrize(
    "content",
    [
        "item,name\ntea,Grün\n".encode(),
        "item,name\r\ntea,Grün".encode("utf-8-sig"),
        "item;name\ntea;Grün\n".encode(),
        "sep=;\r\nitem;name\r\ntea;Grün\r\n".encode(),
        "item\tname\ntea\tGrün\n".encode("utf-16"),
        "item|name\n\ntea|Grün\n\n".encode(),
        'item,name\n"tea","Grün"\n'.encode(),
    ],
    ids=["plain", "mark in front", "semicolons", "named separator", "utf-16 with tabs", "bars, empty rows", "quoted"],
)
def test_a_table_is_read_however_a_spreadsheet_has_written_it(tmp_path: Path, content: bytes) -> None:
    header, rows = read(csv_file(tmp_path, content))
    assert header == ["item", "name"]
    assert [row for _, row in rows] == [["tea", "Grün"]]


def test_rows_have_the_numbers_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    _, rows = read(csv_file(tmp_path, b'a,b\n1,"x\ny"\n\n,\n2,z\n'))
    assert rows == [(2, ["1", "x\ny"]), (5, ["2", "z"])]


def test_another_encoding_is_refused_with_the_row_behind_which_it_begins_and_read_once_it_is_named(
    tmp_path: Path,
) -> None:
    file = csv_file(tmp_path, "item,name\ntea,plain\nleaf,Grün\n".encode("cp1252"))
    with pytest.raises(Unreadable, match=r"not UTF-8 .*--encoding"):
        read(file)
    assert read(file, "cp1252")[1][-1] == (3, ["leaf", "Grün"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n\n,,\n", "is empty"),
        (b"PK\x03\x04...", "ends in .xlsx"),
        (b'a,b\n"x"y,z\n', "is no CSV behind row 1"),
    ],
)
def test_what_is_no_table_is_refused_with_a_reason(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(Unreadable, match=told):
        read(csv_file(tmp_path, content))


def test_an_unknown_encoding_and_a_sheet_of_a_csv_file_are_refused(tmp_path: Path) -> None:
    file = csv_file(tmp_path, b"a\n1\n")
    with pytest.raises(Unreadable, match="no such encoding"):
        read(file, "utf-99")
    with pytest.raises(Unreadable, match="sheets"):
        read(file, sheet="stock")


def test_a_cell_may_hold_as_many_serials_as_a_message(tmp_path: Path) -> None:
    serials = ",".join(f"S{number:06}" for number in range(100_000))
    assert read(csv_file(tmp_path, f'serials\n"{serials}"\n'.encode()))[1] == [(2, [serials])]


def test_a_spreadsheet_keeps_texts_numbers_days_and_formulas_apart(workbook: Path) -> None:
    header, rows = read(workbook)
    assert header == ["item", "serial", "since", "total"]
    assert rows == [
        (2, ["lamp", "00123", SINCE, Formula("=1+1")]),
        (4, ["lamp", 124, None, 1.5]),
    ]


def test_a_sheet_may_be_named(workbook: Path) -> None:
    assert read(workbook, sheet="other")[0] == ["nothing"]
    with pytest.raises(Unreadable, match="stock, other"):
        read(workbook, sheet="third")


def test_a_file_that_only_calls_itself_a_spreadsheet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.xlsx"
    file.write_bytes(b"item,name\n")
    with pytest.raises(Unreadable, match="no spreadsheet"):
        read(file)
