"""Reports as XLSX, row by row: the file grows on disk, and no sheet is ever held as a whole.

A spreadsheet computes with what it is given, so what is text is written as text, whatever it looks like: no cell is a
formula. What a spreadsheet's numbers cannot hold exactly (more than 15 digits) is written as text, too.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from shared.printable import printable_cell
from shared.quantities import plain
from shared.report import Kind, Report, Row

ROWS_LIMIT = 1_048_576
"""Rows of a sheet, its head among them; what is more goes on to another sheet."""
TEXT_LIMIT = 32_767
"""Characters of a cell; a longer text ends with a remark."""

_DIGITS = 15
_FIRST_DAY = date(1900, 3, 1)  # before it, spreadsheets do not agree what day it was
_CUT = " … (cut: too long for a spreadsheet, CSV and JSON have all of it)"
_FORMATS = {
    Kind.TEXT: "@",
    Kind.QUANTITY: "General",
    Kind.MONEY: "#,##0.00##",
    Kind.RATE: "General",
    Kind.DATE: "yyyy-mm-dd",
    Kind.TIME: "yyyy-mm-dd hh:mm:ss",
    Kind.COUNT: "0",
}
_WIDTHS = {Kind.TEXT: 24, Kind.TIME: 20}
_WIDTH = 14
# Spreadsheets read _x0041_ as A; and no XML holds the last two characters of a plane.
_CODED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_UNWRITABLE = re.compile("[\ufffe\uffff]")


def write_xlsx(report: Report, rows: Iterable[Row], out: IO[bytes], rows_limit: int = ROWS_LIMIT) -> None:
    """A report as an XLSX file: a head that stays in sight, dates as dates, times in UTC, numbers as numbers."""
    book = Workbook(write_only=True)
    left = iter(rows)
    ahead = next(left, None)
    number = 0
    while ahead is not None or not number:
        number += 1
        sheet = _Sheet(book, report, number)
        for _ in range(rows_limit - 1):
            if ahead is None:
                break
            sheet.append(ahead)
            ahead = next(left, None)
    book.save(out)


class _Sheet:
    """One sheet, to which rows are appended; what a column's cells look like is made once, and shared."""

    def __init__(self, book: Workbook, report: Report, number: int) -> None:
        self._sheet: Any = book.create_sheet(_name(report, number))
        self._sheet.freeze_panes = "A2"
        for place, column in enumerate(report.columns, start=1):
            self._sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(column.kind, _WIDTH)
        self._text = self._look(Kind.TEXT)
        self._looks = [self._look(column.kind) for column in report.columns]
        self._head = self._look(Kind.TEXT, is_bold=True)
        self._sheet.append([self._cell(column.name, self._head) for column in report.columns])

    def append(self, row: Row) -> None:
        """Write a row, a value for each column; None is an empty cell."""
        cells = zip(row, self._looks, strict=True)
        self._sheet.append([None if value is None else self._cell(_value(value), look) for value, look in cells])

    def _look(self, kind: Kind, *, is_bold: bool = False) -> Any:
        cell: Any = WriteOnlyCell(self._sheet)
        cell.number_format = _FORMATS[kind]
        if is_bold:
            cell.font = Font(bold=True)
        return cell._style

    def _cell(self, value: Any, look: Any) -> Any:
        cell: Any = WriteOnlyCell(self._sheet, value)
        is_text = isinstance(value, str)
        if is_text:
            cell.data_type = "s"  # a text that begins with = would be a formula else
        # Text that stands in a column of numbers is shown as text, and stays text when somebody edits it.
        cell._style = self._text if is_text and look is not self._head else look
        return cell


def _name(report: Report, number: int) -> str:
    """What a sheet is called: no more than 31 characters."""
    name = (report.name or "list")[:24]
    return name if number == 1 else f"{name} {number}"


def _value(value: Any) -> Any:
    """What a spreadsheet is given of a value: a number, a date, a time in UTC without a zone, or a text."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if moment.date() >= _FIRST_DAY else moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value if value >= _FIRST_DAY else value.isoformat()
    if isinstance(value, Decimal | int):
        text = plain(Decimal(value))
        return value if len(text.lstrip("-0.").replace(".", "")) <= _DIGITS else text
    text = _UNWRITABLE.sub("\ufffd", _CODED.sub("_x005F_", printable_cell(str(value))))
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - len(_CUT)] + _CUT
