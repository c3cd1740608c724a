"""An empty table with every column there is, and what each means."""

import csv
from pathlib import Path
from typing import TextIO

from services.desk.importing.columns import Column, Subject
from services.desk.importing.tables import XLSX

_ROWS = 1_000
"""So many rows of a spreadsheet are formatted as text, so that 00123 stays what it is."""


def header(subject: Subject) -> list[str]:
    """The columns; one that is spread over a map stands there once, with a name to be replaced."""
    return [f"{each.name}.NAME" if each.is_spread else each.name for each in subject.columns.values()]


def write_template(subject: Subject, file: Path) -> None:
    """Write it to a file: a spreadsheet, or CSV, as its name says."""
    if file.suffix.lower() in XLSX:
        _write_spreadsheet(subject, file)
        return
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        print_template(subject, out)


def print_template(subject: Subject, out: TextIO) -> None:
    """Write it as CSV."""
    csv.writer(out).writerow(header(subject))


def about(column: Column) -> str:
    """What a column takes, in a sentence or two."""
    needed = "Needed. " if column.is_needed else ""
    return f"{needed}{column.form[:1].upper()}{column.form[1:]}. {column.meaning}".strip()


def _write_spreadsheet(subject: Subject, file: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.comments import Comment
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = subject.name
    sheet.freeze_panes = "A2"
    for place, (title, column) in enumerate(zip(header(subject), subject.columns.values(), strict=True), start=1):
        cell = sheet.cell(1, place, title)
        cell.font = Font(bold=True)
        cell.comment = Comment(about(column), "stockbook")
        sheet.column_dimensions[get_column_letter(place)].width = max(12, len(title) + 2)
        for row in range(2, _ROWS + 2) if column.form == "text" else ():
            sheet.cell(row, place).number_format = "@"
    book.save(file)
