"""Three questions as commands: which batches have expired, which serials are in warranty, which batch came back?

Each is a report, asked about a day or a movement; the report has more filters.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import typer
from sqlalchemy import Connection

from services.desk.cli.options import parse_day
from services.desk.cli.report import FORMAT, OUTPUT, find, reading_at_one_moment, show
from services.desk.cli.writing import Format, write_rows
from services.desk.reports.expiry import EXPIRED
from shared.errors import StockbookError
from shared.report import Filters, Row, read_report, stream_report

_ON = typer.Option(None, "--on", help="The day; today, if not given, by each company's own clock.")
_COMPANY = typer.Option(None, help="Only of this company.")


def expired(
    on: str | None = _ON,
    company: str | None = _COMPANY,
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """Say which batches in stock had expired on a day, how much there is of them, and what it is worth."""
    report = replace(find("expiry"), title="Expired Batches")
    filters = Filters(company=company, on=_day(on))
    with reading_at_one_moment() as connection:
        write_rows(report, expired_rows(connection, filters), form, output)


def in_warranty(
    on: str | None = _ON,
    company: str | None = _COMPANY,
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """Say which serials are in warranty on a day, who holds them, and until when."""
    show(find("in-warranty"), Filters(company=company, on=_day(on)), form, output)


def return_batch(
    source: str = typer.Argument(help="The system that reported the sales return."),
    identifier: str = typer.Argument(metavar="ID", help="The sales return, by its id there."),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """Say which batch came back with a sales return, who made it, and by which delivery it had left."""
    report = find("returned-batches")
    with reading_at_one_moment() as connection:
        rows = read_report(report, connection, Filters(source=source, id=identifier))
    if not rows:
        raise StockbookError("nothing came back by such a movement", source=source, id=identifier)
    write_rows(report, rows, form, output)


def expired_rows(connection: Connection, filters: Filters) -> Iterator[Row]:
    """The rows of the report `expiry` that tell of what has expired."""
    report = find("expiry")
    place = [column.name for column in report.columns].index("window")
    return (row for row in stream_report(report, connection, filters) if row[place] == EXPIRED)


def _day(given: str | None) -> date | None:
    return None if given is None else parse_day(given)
