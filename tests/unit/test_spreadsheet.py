"""Reports as XLSX, read back: nothing is a formula, nothing is rounded, nothing is lost."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.cli.writing import Format, write_rows
from shared.errors import StockbookError
from shared.quantities import plain
from shared.report import Column, Kind, Report, write_csv, write_json
from shared.spreadsheet import TEXT_LIMIT, write_xlsx

COLUMNS = (
    Column("text"),
    Column("quantity", Kind.QUANTITY),
    Column("money", Kind.MONEY),
    Column("day", Kind.DATE),
    Column("time", Kind.TIME),
    Column("count", Kind.COUNT),
)
EMPTY = (None,) * len(COLUMNS)


def book(*rows: Sequence[Any], rows_limit: int | None = None, name: str = "stock-balance") -> Any:
    """The file that is written of rows, opened."""
    return openpyxl.load_workbook(io.BytesIO(written(*rows, rows_limit=rows_limit, name=name)))


def written(*rows: Sequence[Any], rows_limit: int | None = None, name: str = "stock-balance") -> bytes:
    out = io.BytesIO()
    limit = {} if rows_limit is None else {"rows_limit": rows_limit}
    write_xlsx(Report(name, "A Title", COLUMNS, (), lambda *_: ()), iter(rows), out, **limit)
    return out.getvalue()


def cell(place: int, value: Any) -> Any:
    """The cell that comes of a value in a column."""
    row = [*EMPTY]
    row[place] = value
    return book(row).active.cell(2, place + 1)


def test_the_head_has_the_names_of_the_columns_and_stays_in_sight() -> None:
    sheet = book().active
    assert [each.value for each in sheet[1]] == [column.name for column in COLUMNS]
    assert sheet.freeze_panes == "A2"
    assert sheet.title == "stock-balance"


@pytest.mark.parametrize(
    "text", ["=1+1", '=HYPERLINK("http://x")', "+49 30", "-5", "@sum(a1)", "＝1", "00123", "1e5", ""]
)
def test_a_text_is_a_text_whatever_it_looks_like(text: str) -> None:
    found = cell(0, text)
    assert (found.value or "", found.data_type if text else "s", found.number_format if text else "@") == (
        text,
        "s",
        "@",
    )


def test_no_cell_of_the_file_is_a_formula() -> None:
    with zipfile.ZipFile(io.BytesIO(written(("=1+1", None, None, None, None, None)))) as packed:
        assert b"<f>" not in packed.read("xl/worksheets/sheet1.xml")


def test_numbers_days_and_times_are_what_they_are() -> None:
    berlin = timezone(timedelta(hours=1))
    row = ("tea", Decimal("-2.5"), Decimal("1234.50"), date(2026, 3, 9), datetime(2026, 1, 2, 9, tzinfo=berlin), 7)
    found = [each.value for each in book(row).active[2]]
    assert found == ["tea", -2.5, 1234.5, datetime(2026, 3, 9), datetime(2026, 1, 2, 8), 7]  # noqa: DTZ001


def test_nothing_is_an_empty_cell() -> None:
    assert [each.value for each in book(EMPTY).active[2]] == [None] * len(COLUMNS)


@pytest.mark.parametrize("text", ["1234567890123456.78", "0.1234567890123456", "123456789012.123456"])
def test_a_number_that_a_spreadsheet_would_round_is_a_text(text: str) -> None:
    found = cell(1, Decimal(text))
    assert (found.value, found.data_type) == (text, "s")


@given(number=st.decimals(-(10**12), 10**12, places=3))
def test_a_number_comes_back_as_it_was(number: Decimal) -> None:
    found = cell(2, number).value
    shown = plain(number) if isinstance(found, str) else plain(Decimal(f"{found:.15g}"))
    assert (found if isinstance(found, str) else shown) == plain(number)


def test_a_day_that_spreadsheets_do_not_know_is_a_text() -> None:
    assert cell(3, date(1799, 12, 31)).value == "1799-12-31"
    assert cell(4, datetime(1799, 12, 31, 12, tzinfo=UTC)).value == "1799-12-31T12:00:00Z"


def test_what_no_file_can_hold_is_written_so_that_it_can_be_seen() -> None:
    assert cell(0, "a\x00\x1b\ud800b").value == "a\\x00\\x1b\\ud800b"
    assert cell(0, "a\ufffeb").value == "a\ufffdb"


def test_a_text_that_a_spreadsheet_takes_for_a_coded_character_is_coded_itself() -> None:
    assert cell(0, "_x0041_").value == "_x005F_x0041_"


def test_a_text_that_is_too_long_ends_with_a_remark() -> None:
    found = cell(0, "x" * (TEXT_LIMIT + 1)).value
    assert len(found) == TEXT_LIMIT
    assert found.endswith("(cut: too long for a spreadsheet, CSV and JSON have all of it)")
    assert cell(0, "x" * TEXT_LIMIT).value == "x" * TEXT_LIMIT


def test_rows_that_do_not_fit_a_sheet_go_on_to_another() -> None:
    rows = [(str(number), *EMPTY[1:]) for number in range(5)]
    sheets = book(*rows, rows_limit=3).worksheets
    assert [sheet.title for sheet in sheets] == ["stock-balance", "stock-balance 2", "stock-balance 3"]
    assert [[each.value for each in sheet["A"]] for sheet in sheets] == [
        ["text", "0", "1"],
        ["text", "2", "3"],
        ["text", "4"],
    ]
    assert len(book(*rows[:4], rows_limit=3).worksheets) == 2


def test_a_list_without_a_name_has_a_sheet_all_the_same() -> None:
    assert book(name="").active.title == "list"


# --- printed, and row by row ------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_spreadsheet_is_not_printed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    with pytest.raises(StockbookError, match="nothing for a terminal"):
        write_rows(Report("things", "Things", COLUMNS, (), lambda *_: ()), [EMPTY], Format.XLSX)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_a_row_is_written_before_the_next_is_read(write: Callable[..., None]) -> None:
    out = io.StringIO()
    written_before = []

    def rows() -> Iterator[Sequence[Any]]:
        for text in ("first", "second", "third"):
            written_before.append(out.getvalue())
            yield (text, *EMPTY[1:])

    write(Report("things", "Things", COLUMNS, (), lambda *_: ()), rows(), out)
    assert ["first" in each for each in written_before] == [False, True, True]
    assert ["second" in each for each in written_before] == [False, False, True]
