"""Reports: what one is, how it is found, and how it is shown: as a table, as CSV, as JSON; `spreadsheet` has XLSX.

A report is one file in a package of reports, and found by listing the package; its module has one `Report` named
`REPORT`. What a report tells has stable column names; a column's kind says how its values are written.

Rows are read and written one after another, so a report of any length takes no more memory than a short one; only the
table for people is laid out as a whole.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from shared.errors import StockbookError
from shared.printable import printable, printable_cell, printable_json
from shared.quantities import plain

Row = Sequence[Any]


class Kind(StrEnum):
    """What a column's values are: str, Decimal (three kinds of it), date, datetime with a zone, int; or None."""

    TEXT = "text"
    QUANTITY = "quantity"
    MONEY = "money"
    RATE = "rate"
    DATE = "date"
    TIME = "time"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a report."""

    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a report down; None is no narrowing.

    `as_of` leaves out what takes effect later, `known_at` what was recorded later, and `known_since` what had been
    recorded by then. Days are those of each company's own time zone: `from_day` and `to_day` are the first and the last
    that a report is about; `on` leaves out what takes effect after it, and is the day by which expiry, age and warranty
    are judged.
    """

    company: str | None = None
    item: str | None = None
    warehouse: str | None = None
    batch: str | None = None
    serial: str | None = None
    account: str | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None
    known_since: datetime | None = None
    source: str | None = None
    id: str | None = None
    from_day: date | None = None
    to_day: date | None = None
    on: date | None = None

    @property
    def looks_back(self) -> bool:
        """Whether it asks how things stood at some time, or were known then; else how they stand now."""
        return self.as_of is not None or self.known_at is not None or self.on is not None

    def given(self) -> Mapping[str, Any]:
        """Every filter by its name, as the parameters of a statement."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Picture:
    """What bars are drawn of: the sums of the column `of`, for each value of the column `by`, in the order given."""

    by: str
    of: str
    order: Sequence[str]


@dataclass(frozen=True, slots=True)
class Report:
    """A report: `read` gives its rows, a value for each of `columns`; `takes` names the filters that it understands."""

    name: str
    title: str
    columns: Sequence[Column]
    takes: Sequence[str]
    read: Callable[[Connection, Filters], Iterable[Row]]
    picture: Picture | None = None


def stream_report(report: Report, connection: Connection, filters: Filters) -> Iterator[Row]:
    """The rows of a report, one after another, for as long as the transaction lasts.

    StockbookError, at once, for a filter that it does not take, or times or days in the wrong order.
    """
    _check(report, filters)
    return iter(report.read(connection, filters))


def read_report(report: Report, connection: Connection, filters: Filters) -> list[Row]:
    """All rows of a report; StockbookError as `stream_report` has it."""
    return list(stream_report(report, connection, filters))


def _check(report: Report, filters: Filters) -> None:
    for name, value in filters.given().items():
        if value is not None and name not in report.takes:
            takes = ", ".join(report.takes)
            raise StockbookError("the report takes no such filter", report=report.name, filter=name, takes=takes)
    since, until = filters.known_since, filters.known_at
    if since is not None and until is not None and since > until:
        raise StockbookError("known_since is later than known_at", known_since=since, known_at=until)
    first, last = filters.from_day, filters.to_day
    if first is not None and last is not None and first > last:
        raise StockbookError("the first day is later than the last", from_day=first, to_day=last)


def records(report: Report, connection: Connection, filters: Filters) -> list[dict[str, Any]]:
    """The rows of a report, each by the names of its columns."""
    names = [column.name for column in report.columns]
    return [dict(zip(names, row, strict=True)) for row in read_report(report, connection, filters)]


def find_reports(packages: Iterable[str]) -> dict[str, Report]:
    """All reports in these packages, by name; a module without one, or two of one name, is an error."""
    found: dict[str, Report] = {}
    for package in packages:
        paths = importlib.import_module(package).__path__
        for module in sorted(each.name for each in pkgutil.iter_modules(paths)):
            report: Report = importlib.import_module(f"{package}.{module}").REPORT
            if report.name in found:
                raise StockbookError("two reports have one name", name=report.name)
            found[report.name] = report
    return found


def matching(names: str) -> str:
    """The condition that rows match the given filters, for a statement whose columns are named like them."""
    return " AND ".join(f"(cast(:{name} AS text) IS NULL OR {name} = :{name})" for name in names.split())


KNOWN = "(cast(:known_at AS timestamptz) IS NULL OR recorded_at <= :known_at)"
"""The condition that rows were known at the time `known_at`."""

BY_THEN = f"(cast(:as_of AS timestamptz) IS NULL OR effective_at <= :as_of) AND {KNOWN}"
"""The condition that rows had taken effect by the time `as_of`, too."""

ON_DAY = "(cast(:on AS date) IS NULL OR posting_date <= :on)"
"""The condition that rows had taken effect by the end of the day `on`, in their company's time zone."""

IN_DAYS = (
    "(cast(:from_day AS date) IS NULL OR posting_date >= :from_day)"
    " AND (cast(:to_day AS date) IS NULL OR posting_date <= :to_day)"
)
"""The condition that rows take effect on one of the days asked for."""

SINCE = f"{BY_THEN} AND (cast(:known_since AS timestamptz) IS NULL OR recorded_at > :known_since)"
"""The condition that of these, rows were not known yet at the time `known_since`."""


def table(report: Report, rows: Iterable[Row], **options: Any) -> Table:
    """A report as a table for people; `options` go to rich."""
    shown = Table(title=report.title, header_style="bold", **options)
    for column in report.columns:
        right = column.kind in _NUMBERS
        shown.add_column(column.name.replace("_", " "), justify="right" if right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(shown_value(column, value) for column, value in zip(report.columns, row, strict=True)))
    return shown


def write_csv(report: Report, rows: Iterable[Row], out: TextIO) -> None:
    """A report as CSV with a header line. Spreadsheets run texts that look like formulas: those get an apostrophe."""
    out.write(",".join(column.name for column in report.columns) + "\n")
    out.writelines(f"{','.join(map(_cell, report.columns, row))}\n" for row in rows)


def write_json(report: Report, rows: Iterable[Row], out: TextIO) -> None:
    """A report as a JSON array, an object a row; decimals are strings, as in every message."""
    names = [column.name for column in report.columns]
    lead = "[\n  "
    for row in rows:
        text = json.dumps(dict(zip(names, map(_json, row), strict=True)), ensure_ascii=False)
        out.write(lead + printable_json(text))
        lead = ",\n  "
    out.write("[\n]\n" if lead.startswith("[") else "\n]\n")


_NUMBERS = (Kind.QUANTITY, Kind.MONEY, Kind.RATE, Kind.COUNT)
# Also as they are written in full width, which spreadsheets of some countries take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where a decimal comma is written, spreadsheets take lines apart at semicolons: within quotes they take nothing apart.
_SEPARATORS = re.compile(r'[,;|\t\n"]')
_LEAST_PLACES = 2


def shown_value(column: Column, value: Any) -> Text:
    """A value as people read it."""
    if value is None:
        return Text("")
    if isinstance(value, Decimal):
        places = _LEAST_PLACES if column.kind is Kind.MONEY else 0
        return Text(_grouped(value, places), style="red" if value < 0 else "")
    if isinstance(value, datetime):
        return Text(f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
    return Text(printable(str(value)))


def _grouped(value: Decimal, places: int) -> str:
    """A decimal with groups of thousands and no fewer than `places` decimals."""
    whole, _, rest = plain(value).partition(".")
    sign = "-" if whole.startswith("-") else ""
    rest = rest.ljust(places, "0")
    return f"{sign}{int(whole.removeprefix('-')):,}" + (f".{rest}" if rest else "")


def _cell(column: Column, value: Any) -> str:
    text = "" if value is None else str(_json(value))
    if column.kind is Kind.TEXT and text.startswith(_FORMULA):
        text = f"'{text}"
    text = printable_cell(text)
    return '"' + text.replace('"', '""') + '"' if _SEPARATORS.search(text) else text


def _json(value: Any) -> str | int | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)
