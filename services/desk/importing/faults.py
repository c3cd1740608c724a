"""What is wrong with rows: found all at once, and written to a file beside the one that was read."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StockbookError
from shared.printable import printable_cell

HEADER = ("row", "column", "code", "value", "message")
_VALUE_LENGTH = 200
_FORMULA = ("=", "+", "-", "@", "\t")
"""What a spreadsheet takes for the beginning of a formula."""
_NUMBER = re.compile(r"[-+][0-9.]+")


class Unreadable(StockbookError):  # noqa: N818 - what the file is
    """A file of which no row can be read: it is no table, or its columns are not those that are wanted."""


class BadCell(Exception):  # noqa: N818 - what the cell is
    """A value that cannot be what its column wants. `code` is stable, the text says what to write instead."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one row. `column` is empty where it is the row as a whole, and then so is `value`.

    `code` is one of our own, or the code of the reason for which a service refused it.
    """

    row: int
    column: str
    code: str
    value: str
    message: str


def errors_file(file: Path) -> Path:
    """Where the faults of a file are written."""
    return file.with_name(f"{file.name}.errors.csv")


def write_faults(faults: Iterable[Fault], path: Path) -> None:
    """Write faults in the order of their rows; without any, there is no file, also none of an earlier time."""
    ordered = sorted(faults, key=lambda each: (each.row, each.column))
    if not ordered:
        path.unlink(missing_ok=True)
        return
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(HEADER)
        writer.writerows((each.row, each.column, each.code, _shown(each.value), each.message) for each in ordered)


def _shown(value: str) -> str:
    """A value as a spreadsheet can show it without working it out."""
    text = printable_cell(value)
    text = text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
