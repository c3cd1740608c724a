"""`stockbook counts`: cycle counts place by place, for who decides whether to count again or to take them over."""

from pathlib import Path
from typing import Any

import typer

from services.desk.cli.report import FORMAT, OUTPUT, reading_at_one_moment
from services.desk.cli.writing import Format, write_rows
from services.receiving.reports.cycle_counts import REPORT, STATES, lines
from shared.errors import StockbookError
from shared.report import Filters

ALL = "all"
_STATE: Any = typer.Option(STATES[0], "--state", help=f"Only counts that stand so: {', '.join(STATES)}, {ALL}.")


def counts(
    state: str = _STATE,
    different: bool = typer.Option(False, "--different", help="Only what differs, or was not counted."),
    company: str | None = typer.Option(None, help="Only of this company."),
    item: str | None = typer.Option(None, help="Only of this item."),
    warehouse: str | None = typer.Option(None, help="Only of this warehouse."),
    batch: str | None = typer.Option(None, help="Only of this batch."),
    source: str | None = typer.Option(None, help="Only counts of this source."),
    identifier: str | None = typer.Option(None, "--id", help="Only the count of this id."),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """List cycle counts: what was expected in each place when it was counted, what was counted, and what differs."""
    if state not in (*STATES, ALL):
        raise StockbookError("no count stands so", state=state, known=", ".join((*STATES, ALL)))
    filters = Filters(company=company, item=item, warehouse=warehouse, batch=batch, source=source, id=identifier)
    states = STATES if state == ALL else (state,)
    with reading_at_one_moment() as connection:
        write_rows(REPORT, lines(connection, filters, states, different=different), form, output)
