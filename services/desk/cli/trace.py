"""`stockbook trace`: where a batch, a unit or what a document moved came from, and where it went."""

import json
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import typer
from sqlalchemy import Connection

from services.desk.cli.branches import show
from services.desk.cli.options import parse_time
from services.desk.cli.tracing import tell
from services.desk.cli.writing import listing
from services.desk.servers import reading
from services.desk.trace.drawing import mermaid, svg
from services.desk.trace.goods import Way
from services.desk.trace.picture import picture_of
from services.desk.trace.rows import COLUMNS, document, rows
from services.desk.trace.starting import (
    Start,
    start_from_customer,
    start_from_document,
    start_from_goods,
    start_from_movement,
)
from services.desk.trace.tracing import Trace, hold_still, trace
from services.desk.trace.walking import Limits
from shared.errors import StockbookError
from shared.printable import printable_json
from shared.report import write_csv
from shared.settings import Settings

_USUAL = Limits()


class Form(StrEnum):
    """How a trace is written."""

    TREE = "tree"
    JSON = "json"
    CSV = "csv"
    MERMAID = "mermaid"
    SVG = "svg"


def trace_goods(
    item: str | None = typer.Argument(None, metavar="[ITEM]", help="The item, with --batch, --serial or --customer."),
    batch: str | None = typer.Option(None, help="The batch; of an item with serials, all of its units."),
    serial: str | None = typer.Option(None, help="The unit."),
    customer: str | None = typer.Option(None, help="All of the item that this customer ever got."),
    document: str | None = typer.Option(None, help="Instead of an item: all that movements with this document moved."),
    movement: tuple[str, str] | None = typer.Option(
        None, metavar="SOURCE ID", help="Instead of an item: all that this movement moved."
    ),
    company: str | None = typer.Option(None, help="Needed where several have such an item or document."),
    up: bool = typer.Option(False, "--up", help="Only where it came from."),
    down: bool = typer.Option(False, "--down", help="Only where it went."),
    both: bool = typer.Option(False, "--both", help="Both, as without any of these."),
    as_of: str | None = typer.Option(None, help="Only what took effect up to this time, or the end of this day."),
    depth: int = typer.Option(_USUAL.depth, min=1, max=1_000, help="How many makings one behind the other."),
    limit: int = typer.Option(_USUAL.goods, min=1, max=1_000_000, help="How many goods at most, each way."),
    form: Form = typer.Option(Form.TREE, "--format", help="How it is written."),
) -> None:
    """Follow goods to suppliers and customers, through making, transfers and returns; exit code 3: some are missing."""
    ways = _ways(up=up and not both, down=down and not both)
    moment = parse_time(as_of) if as_of else None
    limits = Limits(depth, limit, max(_USUAL.events, limit * 20))
    with reading(Settings.from_environment()) as connection:
        hold_still(connection)
        start = _start(connection, item, (batch, serial, customer), document, movement, company)
        found = trace(connection, start, ways, limits, moment)
    _FORMS[form](found)
    if not all(each.holds for each in found.balances.values()):
        raise typer.Exit(3)


def _ways(*, up: bool, down: bool) -> list[Way]:
    return [way for way, wanted in ((Way.UP, up or not down), (Way.DOWN, down or not up)) if wanted]


def _start(
    connection: Connection,
    item: str | None,
    of: tuple[str | None, str | None, str | None],
    document: str | None,
    movement: tuple[str, str] | None,
    company: str | None,
) -> Start:
    if sum(each is not None for each in (item, document, movement)) != 1:
        raise StockbookError(
            "say one of these: an item with --batch, --serial or --customer, --document, or --movement"
        )
    batch, serial, customer = of
    if item is None and any(each is not None for each in of):
        raise StockbookError("--batch, --serial and --customer belong to an item")
    if item is not None and customer is not None:
        if batch is not None or serial is not None:
            raise StockbookError("--customer says of the item what --batch and --serial do: name one of them")
        return start_from_customer(connection, item, customer, company)
    if item is not None:
        return start_from_goods(connection, item, batch=batch, serial=serial, company=company)
    if movement is not None:
        return start_from_movement(connection, movement, company)
    return start_from_document(connection, document or "", company)


def _write_json(found: Trace) -> None:
    sys.stdout.write(printable_json(json.dumps(document(found), ensure_ascii=False, indent=2)) + "\n")


_FORMS: Mapping[Form, Callable[[Trace], Any]] = {
    Form.TREE: lambda found: show(tell(found)),
    Form.JSON: _write_json,
    Form.CSV: lambda found: write_csv(listing("Trace", COLUMNS), rows(found), sys.stdout),
    Form.MERMAID: lambda found: sys.stdout.write(mermaid(picture_of(found))),
    Form.SVG: lambda found: sys.stdout.write(svg(picture_of(found))),
}
