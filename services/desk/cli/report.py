"""`stockbook report`: what is in stock, what moved, what was booked, and what there is to do."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Connection

from services.desk.cli.options import parse_day, parse_time
from services.desk.cli.picturing import draw
from services.desk.cli.writing import Format, write_rows
from services.desk.reporting import REPORTS
from services.desk.servers import reading
from services.desk.store.chains import at_one_moment
from shared.errors import StockbookError
from shared.report import Filters, Report, Row, stream_report
from shared.settings import Settings

FORMAT: Any = typer.Option(Format.TABLE, "--format", help="How to write it.")
OUTPUT: Any = typer.Option(None, "--output", help="The file to write it to; standard output, if not given.")
PICTURE: Any = typer.Option(
    None, "--picture/--no-picture", help="Draw bars below a table; on a terminal, if not given."
)

_OPTIONS = {"from_day": "--from", "to_day": "--to"}


def report(
    name: str | None = typer.Argument(None, help="The report; without it, the list of reports."),
    company: str | None = typer.Option(None, help="Only of this company."),
    item: str | None = typer.Option(None, help="Only of this item."),
    warehouse: str | None = typer.Option(None, help="Only in this warehouse."),
    batch: str | None = typer.Option(None, help="Only of this batch."),
    serial: str | None = typer.Option(None, help="Only this serial."),
    account: str | None = typer.Option(None, help="Only of this account."),
    source: str | None = typer.Option(None, help="Only movements of this source."),
    identifier: str | None = typer.Option(None, "--id", help="Only movements of this id."),
    from_day: str | None = typer.Option(None, "--from", help="From this day on, in each company's time zone."),
    to_day: str | None = typer.Option(None, "--to", help="Up to this day, and on it."),
    on: str | None = typer.Option(
        None, help="How things stood at the end of this day, and judged by it, in each company's time zone."
    ),
    as_of: str | None = typer.Option(
        None, help="Leave out what takes effect later: a time (in UTC unless it names a zone), or a day, to its end."
    ),
    known_at: str | None = typer.Option(None, help="Leave out what was recorded later: a time, or a day, to its end."),
    known_since: str | None = typer.Option(
        None, help="Leave out what had been recorded by then: a time, or a day, to its end."
    ),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
    picture: bool | None = PICTURE,
) -> None:
    """Print a report: as a table, as CSV, as JSON or as XLSX."""
    if name is None:
        _list_reports()
        return
    times = (_time(as_of), _time(known_at), _time(known_since))
    days = (_day(from_day), _day(to_day), _day(on))
    filters = Filters(company, item, warehouse, batch, serial, account, *times, source, identifier, *days)
    show(find(name), filters, form, output, picture)


def show(report: Report, filters: Filters, form: Format, output: Path | None, picture: bool | None = None) -> None:
    """Print a report, row by row as it is read, as of one moment; below a table, on a terminal, its picture."""
    is_table = form is Format.TABLE and output is None
    if picture and (report.picture is None or not is_table):
        raise StockbookError("pictures are drawn below the printed tables of some reports", given=report.name)
    is_drawn = report.picture is not None and is_table and (sys.stdout.isatty() if picture is None else picture)
    with reading_at_one_moment() as connection:
        rows: Iterable[Row] = stream_report(report, connection, filters)
        rows = list(rows) if is_drawn else rows
        write_rows(report, rows, form, output)
        if is_drawn:
            draw(report, rows)


@contextmanager
def reading_at_one_moment() -> Iterator[Connection]:
    """A transaction that reads as of one moment, for as long as whoever takes the rows needs."""
    with reading(Settings.from_environment()) as connection:
        at_one_moment(connection)
        yield connection


def find(name: str) -> Report:
    """The report of a name; StockbookError where there is none."""
    if name not in REPORTS:
        raise StockbookError("there is no such report", given=name, reports=", ".join(REPORTS))
    return REPORTS[name]


def option(name: str) -> str:
    """The option by which a filter is given."""
    return _OPTIONS.get(name, f"--{name.replace('_', '-')}")


def _time(given: str | None) -> datetime | None:
    return None if given is None else parse_time(given)


def _day(given: str | None) -> date | None:
    return None if given is None else parse_day(given)


def _list_reports() -> None:
    width = max(map(len, REPORTS))
    for each in REPORTS.values():
        sys.stdout.write(f"{each.name:<{width}} {each.title}  ({' '.join(map(option, each.takes))})\n")
