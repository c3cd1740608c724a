"""`stockbook labels`: labels of batches and serials, with codes that `scan` takes, as PDF, PNG or ZPL."""

import sys
from pathlib import Path

import typer
from sqlalchemy import Connection

from services.desk.labels.wording import Unit, label_of
from services.desk.servers import reading
from services.desk.store.labels import batches_called, generated_by, in_stock, serials_called
from shared.errors import StockbookError
from shared.logs import configure
from shared.settings import Settings

_EXTRA = "labels need two libraries more: pip install 'stockbook[labels]'"


def labels(
    file: Path = typer.Argument(help="Where to: .pdf, .png (one a page) or .zpl."),
    serial: list[str] = typer.Option([], help="Serials; several by repeating the option."),
    batch: list[str] = typer.Option([], help="Batches, likewise."),
    item: str | None = typer.Option(None, help="Alone: all units of it in stock; else: only units of this item."),
    movement: tuple[str, str] = typer.Option(("", ""), help="All units that this movement (SOURCE ID) numbered."),
    company: str | None = typer.Option(None, help="Only units of this company."),
    symbol: str = typer.Option("datamatrix", help="The code: datamatrix, code128 or qr."),
    size: str = typer.Option("a4-24", help="The paper: a4-24, a4-14, a4-65, or single labels 100x50, 62x29, 50x25."),
    plain: bool = typer.Option(False, "--plain", help="The code says the number alone: shorter, for small labels."),
    copies: int = typer.Option(1, min=1, max=1_000, help="So many labels of each unit."),
    skip: int = typer.Option(0, min=0, max=1_000, help="So many labels of the first sheet were used before."),
    dpi: int = typer.Option(300, min=150, max=1_200, help="Dots per inch of the printer."),
) -> None:
    """Write labels of units: GS1 where the item has a GTIN, else their numbers, each also to be read by people."""
    configure("warning")
    try:
        from services.desk.labels.sheets import FORMS, PAPERS, write
        from services.desk.labels.symbols import Symbol
    except ImportError:
        raise StockbookError(_EXTRA) from None
    if file.suffix.lower() not in FORMS:
        raise typer.BadParameter(f"one of {', '.join(FORMS)} is wanted", param_hint="FILE")
    if symbol not in list(Symbol):
        raise typer.BadParameter(f"one of {', '.join(Symbol)} is wanted", param_hint="--symbol")
    if size not in PAPERS:
        raise typer.BadParameter(f"one of {', '.join(PAPERS)} is wanted", param_hint="--size")
    with reading(Settings.from_environment()) as connection:
        units = _units(connection, serial, batch, item, movement, company)
    if not units:
        raise StockbookError("there is nothing to label")
    wanted = [label_of(each, is_plain=plain) for each in units for _ in range(copies)]
    count = write(wanted, Symbol(symbol), PAPERS[size], file, dpi, skip)
    sys.stdout.write(f"{len(wanted)} labels of {len(units)} units on {count} pages: {file}\n")


def _units(
    connection: Connection,
    serial: list[str],
    batch: list[str],
    item: str | None,
    movement: tuple[str, str],
    company: str | None,
) -> list[Unit]:
    """The units that were asked for. StockbookError where one that was named is not there."""
    source, identifier = movement
    units: list[Unit] = []
    if source:
        units += generated_by(connection, (source, identifier))
    found = serials_called(connection, serial, company, item) + batches_called(connection, batch, company, item)
    lacking = sorted({*serial} - {each.serial for each in found}) + sorted({*batch} - {each.batch for each in found})
    if lacking:
        raise StockbookError("there is no such unit", numbers=", ".join(lacking))
    units += found
    if item is not None and not (serial or batch or source):
        units += in_stock(connection, company, item)
    elif not (serial or batch or source):
        raise StockbookError("say which: --serial, --batch, --item, or --movement SOURCE ID")
    return units
