"""What commands write for programs as well: a list as a table, as CSV, as JSON or as XLSX, printed or into a file."""

import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from rich.console import Console

from shared.errors import StockbookError
from shared.report import Column, Report, Row, table, write_csv, write_json
from shared.spreadsheet import write_xlsx

_WIDE = 400  # columns of a table that goes into a file


class Format(StrEnum):
    """How a list is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"


def listing(title: str, columns: Sequence[Column]) -> Report:
    """What a list that is no report shows."""
    return Report(name="", title=title, columns=columns, takes=(), read=lambda *_: ())


def write_rows(report: Report, rows: Iterable[Row], form: Format, output: Path | None = None) -> None:
    """Print the rows of a report or of a list, or write them to a file, which is replaced once the new one is whole."""
    if output is not None:
        _write_file(report, rows, form, output)
    elif form is not Format.XLSX:
        _write_text(report, rows, form, sys.stdout)
    elif sys.stdout.isatty():
        raise StockbookError("a spreadsheet is nothing for a terminal: send it into a file", format=form.value)
    else:
        sys.stdout.flush()
        write_xlsx(report, rows, sys.stdout.buffer)


def _write_file(report: Report, rows: Iterable[Row], form: Format, output: Path) -> None:
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        if form is Format.XLSX:
            with unfinished.open("wb") as binary:
                write_xlsx(report, rows, binary)
        else:
            with unfinished.open("w", encoding="utf-8", newline="") as text:
                _write_text(report, rows, form, text)
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_text(report: Report, rows: Iterable[Row], form: Format, out: TextIO) -> None:
    if form is Format.CSV:
        write_csv(report, rows, out)
    elif form is Format.JSON:
        write_json(report, rows, out)
    else:
        Console(width=None if out.isatty() else _WIDE, file=out).print(table(report, rows))
