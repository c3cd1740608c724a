"""Tables in files: CSV in the forms that spreadsheets write, and XLSX, row by row.

The rows have the numbers that a spreadsheet shows, the header being the first; empty ones are passed over. A file of
any length takes no more memory than a short one.
"""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from services.desk.importing.cells import Broken, Cell, Formula, is_empty, shown
from services.desk.importing.faults import Unreadable

DELIMITERS = ",;\t|"
XLSX = (".xlsx", ".xlsm")
_BYTE_ORDER = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FIELD_LIMIT = 16 * 1024 * 1024
"""As long as a message may be: one cell can list very many serials."""


@dataclass(frozen=True, slots=True)
class Table:
    """The header, and the rows behind it, each with its number."""

    header: list[str]
    rows: Iterator[tuple[int, Sequence[Cell]]]


@contextmanager
def opened(file: Path, *, encoding: str | None = None, sheet: str | None = None) -> Iterator[Table]:
    """The table in a file, for the time of the block. Unreadable where it is none, then or at a later row.

    `encoding` is that of a CSV file, by default UTF-8. `sheet` is a sheet's name, by default the first.
    """
    if not file.is_file():
        raise Unreadable("there is no such file", file=file)
    if file.suffix.lower() in XLSX:
        with _workbook(file) as book:
            yield _table(_sheet_rows(_sheet(book, sheet)))
        return
    if sheet is not None:
        raise Unreadable("only a spreadsheet (.xlsx) has sheets", file=file)
    with file.open("rb") as raw:
        text = io.TextIOWrapper(raw, _encoding(raw, encoding), newline="")
        yield _table(_csv_rows(text, file))


def _table(rows: Iterator[tuple[int, Sequence[Cell]]]) -> Table:
    filled = ((number, row) for number, row in rows if not all(map(is_empty, row)))
    _, first = next(filled, (0, ()))
    header = [shown(cell).strip() for cell in first]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise Unreadable("the file is empty: its first row names the columns")
    return Table(header, filled)


def _encoding(raw: io.BufferedReader, given: str | None) -> str:
    """What the file says of itself, else what was given, else UTF-8; with or without a mark in front."""
    start = raw.peek(4)[:4]
    if start.startswith(b"PK\x03\x04"):
        raise Unreadable("this is no CSV file; if it is a spreadsheet, its name ends in .xlsx")
    found = _BYTE_ORDER.get(start[:2])
    if found is not None or given is None:
        return found or "utf-8-sig"
    try:
        "".encode(given)
    except LookupError:
        raise Unreadable("there is no such encoding", encoding=given) from None
    return "utf-8-sig" if given.lower().replace("-", "") == "utf8" else given


def _csv_rows(text: io.TextIOWrapper, file: Path) -> Iterator[tuple[int, Sequence[Cell]]]:
    previous = csv.field_size_limit(_FIELD_LIMIT)
    number = 0
    try:
        for number, row in enumerate(_csv_reader(text), start=1):
            yield number, row
    except UnicodeError:
        name = text.encoding.removesuffix("-sig").upper()
        hint = "save it as CSV UTF-8, or name its --encoding, such as cp1252"
        raise Unreadable(f"{file.name} is not {name} behind row {number}: {hint}") from None
    except csv.Error as error:
        raise Unreadable(f"{file.name} is no CSV behind row {number}: {error}") from None
    finally:
        csv.field_size_limit(previous)


def _csv_reader(text: io.TextIOWrapper) -> Iterable[list[str]]:
    """Cells are parted by what parts the header most often, or by what a first line `sep=;` says."""
    first = text.readline()
    if first.lower().startswith("sep=") and len(first.strip()) <= len("sep=;"):
        return csv.reader(_chained("\n", text), delimiter=first.strip()[4:] or "\t", strict=True)
    delimiter = max(DELIMITERS, key=first.count)
    return csv.reader(_chained(first, text), delimiter=delimiter, strict=True)


def _chained(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


@contextmanager
def _workbook(file: Path) -> Iterator[Any]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of charts and validations that are not read
            book = load_workbook(file, read_only=True, data_only=False, keep_links=False)
    except (InvalidFileException, BadZipFile, KeyError, ValueError, OSError) as error:
        raise Unreadable(f"{file.name} is no spreadsheet that can be read: {error}") from None
    try:
        yield book
    finally:
        book.close()


def _sheet(book: Any, name: str | None) -> Any:
    if name is not None and name not in book.sheetnames:
        raise Unreadable(f"there is no sheet {name!r}: there are {', '.join(book.sheetnames)}")
    sheet = book[name] if name is not None else book.worksheets[0]
    sheet.reset_dimensions()  # what a file says of its own size may be wrong, and then rows would be cut
    return sheet


def _sheet_rows(sheet: Any) -> Iterator[tuple[int, Sequence[Cell]]]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        yield number, [_cell(each) for each in row]


def _cell(cell: Any) -> Cell:
    if cell.data_type == "f":
        return Formula(str(cell.value))
    if cell.data_type == "e":
        return Broken(str(cell.value))
    value: Cell = cell.value
    return value
