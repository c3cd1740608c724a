"""`stockbook periods`: which days of which books are closed and locked, by whom, and what a closing waits for."""

import typer

from services.desk.cli.writing import Format, listing, write_rows
from services.desk.servers import reading
from services.desk.store.periods import Closing, State, closings
from shared.report import Column, Kind, Row
from shared.settings import Settings

_LIST = listing(
    "Closed books",
    [
        Column("company"),
        Column("through", Kind.DATE),
        Column("state"),
        Column("closed_at", Kind.TIME),
        Column("closed_by"),
        Column("reason"),
        Column("locked_at", Kind.TIME),
        Column("waits_for"),
        Column("reopened_from", Kind.DATE),
        Column("reopened_at", Kind.TIME),
        Column("reopened_by"),
        Column("reopened_because"),
    ],
)


def periods(
    company: str | None = typer.Option(None, help="Only of this company."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """Show how far the books of each company are closed and locked, since when, and by whom."""
    with reading(Settings.from_environment()) as connection:
        found = closings(connection, company)
    write_rows(_LIST, [_row(each) for each in found], form)


def _row(closing: Closing) -> Row:
    return (
        closing.company,
        closing.through,
        closing.state.value,
        closing.closed_at,
        closing.actor,
        closing.reason,
        closing.locked_at,
        _waits_for(closing),
        closing.reopened_from,
        closing.reopened_at,
        closing.reopened_by,
        closing.reopened_because,
    )


def _waits_for(closing: Closing) -> str | None:
    if closing.state is State.UNTOLD:
        return "accounting has not heard of it"
    if closing.state is not State.CLOSED:
        return None
    if closing.missing is None:
        return "the next sweep of accounting"
    more = f", and {closing.missing.count - 1} more" if closing.missing.count > 1 else ""
    return f"{' '.join(closing.missing.first)}: {closing.missing.lack.value}{more}"
