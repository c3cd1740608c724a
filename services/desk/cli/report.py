"""`stockbook report`: what is in stock, what moved and what was booked."""

import sys
from datetime import datetime

import typer

from services.desk.cli.options import parse_time
from services.desk.cli.showing import Format, write_rows
from services.desk.reporting import REPORTS
from services.desk.servers import reading
from shared.errors import StockbookError
from shared.report import Filters, Report, read_report
from shared.settings import Settings


def report(
    name: str | None = typer.Argument(None, help="The report; without it, the list of reports."),
    company: str | None = typer.Option(None, help="Only of this company."),
    item: str | None = typer.Option(None, help="Only of this item."),
    warehouse: str | None = typer.Option(None, help="Only in this warehouse."),
    batch: str | None = typer.Option(None, help="Only of this batch."),
    serial: str | None = typer.Option(None, help="Only this serial."),
    account: str | None = typer.Option(None, help="Only of this account."),
    as_of: str | None = typer.Option(
        None, help="Leave out what takes effect later: a time (in UTC unless it names a zone), or a day, to its end."
    ),
    known_at: str | None = typer.Option(None, help="Leave out what was recorded later: a time, or a day, to its end."),
    known_since: str | None = typer.Option(
        None, help="Leave out what had been recorded by then: a time, or a day, to its end."
    ),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """Print a report: as a table, as CSV or as JSON."""
    if name is None:
        _list_reports()
        return
    found = _find(name)
    times = {"as_of": _time(as_of), "known_at": _time(known_at), "known_since": _time(known_since)}
    filters = Filters(company, item, warehouse, batch, serial, account, **times)
    with reading(Settings.from_environment()) as connection:
        rows = read_report(found, connection, filters)
    write_rows(found, rows, form)


def _time(given: str | None) -> datetime | None:
    return None if given is None else parse_time(given)


def _find(name: str) -> Report:
    if name not in REPORTS:
        raise StockbookError("there is no such report", given=name, reports=", ".join(REPORTS))
    return REPORTS[name]


def _list_reports() -> None:
    for each in REPORTS.values():
        options = " ".join(f"--{name.replace('_', '-')}" for name in each.takes)
        sys.stdout.write(f"{each.name:<16} {each.title}  ({options})\n")
