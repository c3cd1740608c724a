"""`stockbook reservations`: what is kept back for orders, what of it is short, and what has expired."""

from pathlib import Path
from typing import Any

import typer

from services.desk.cli.options import parse_time
from services.desk.cli.report import FORMAT, OUTPUT, reading_at_one_moment
from services.desk.cli.writing import Format, write_rows
from services.receiving.reports.reservations import KEPT, REPORT, STATES, lines
from shared.errors import StockbookError
from shared.report import Filters

ALL = "all"
_STATE: Any = typer.Option(
    None,
    "--state",
    help=f"Only what stands so, may be repeated: {', '.join(STATES)}, {ALL}; else {' and '.join(KEPT)}.",
)


def reservations(
    state: list[str] = _STATE,
    company: str | None = typer.Option(None, help="Only of this company."),
    item: str | None = typer.Option(None, help="Only of this item."),
    warehouse: str | None = typer.Option(None, help="Only in this warehouse."),
    batch: str | None = typer.Option(None, help="Only of this batch."),
    source: str | None = typer.Option(None, help="Only reservations of this source."),
    identifier: str | None = typer.Option(None, "--id", help="Only reservations of this id."),
    at: str | None = typer.Option(None, help="The moment that decides what has expired; now, if not given."),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """List reservations line by line: what is kept back, what of it cannot be met, and until when."""
    filters = Filters(company=company, item=item, warehouse=warehouse, batch=batch, source=source, id=identifier)
    with reading_at_one_moment() as connection:
        moment = parse_time(at) if at else None
        write_rows(REPORT, lines(connection, filters, _states(state), moment), form, output)


def _states(asked: list[str] | None) -> tuple[str, ...]:
    """The states that are meant; StockbookError for one that there is not."""
    for each in asked or ():
        if each not in (*STATES, ALL):
            raise StockbookError("no reservation stands so", state=each, known=", ".join((*STATES, ALL)))
    if not asked:
        return KEPT
    return STATES if ALL in asked else tuple(asked)
