"""`stockbook stuck`: the ledger's bins in which a movement cannot be applied; all that comes after it there waits."""

import sys
from collections.abc import Iterator

import typer
from sqlalchemy import Connection

from services.desk.cli.showing import say
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.servers import reading
from services.desk.store.stuck import Place, Stuck, bins_stuck_by, places_behind, places_of, stuck_bins
from services.desk.working import works
from services.ledger.store import loosen, waiting_movements
from shared.contracts.movement import MovementAllocated
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.quantities import plain
from shared.report import Column, Kind
from shared.settings import Settings

SHOWN = 20
_SHORT = 120
_LIST = listing(
    "Stuck bins",
    [
        *map(Column, ("company", "item", "warehouse", "source", "id", "reason")),
        Column("since", Kind.TIME),
        Column("waiting", Kind.COUNT),
        Column("error"),
    ],
)

app = typer.Typer(help="Bins in which a movement cannot be applied: look at them, have them tried again.")

_ITEM = typer.Argument(help="The item's code.")
_WAREHOUSE = typer.Argument(help="The warehouse's code.")
_COMPANY = typer.Option(None, help="Its company; needed where several have such a bin.")


@app.command("list")
def list_stuck(
    company: str | None = typer.Option(None, help="Only of this company."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """List the stuck bins, the oldest first, each with how many movements wait there."""
    with reading(Settings.from_environment()) as connection:
        found = stuck_bins(connection, company)
    short = _SHORT if form is Format.TABLE else None
    rows = [(*each.bin, *each.key, each.reason, each.since, each.waiting, each.error[:short]) for each in found]
    write_rows(_LIST, rows, form)


@app.command()
def show(item: str = _ITEM, warehouse: str = _WAREHOUSE, company: str | None = _COMPANY) -> None:
    """Show one stuck bin: the movement that cannot be applied, why, and who waits behind it."""
    with reading(Settings.from_environment()) as connection:
        found = _one(stuck_bins(connection, company, item, warehouse))
        lines = list(_tell(connection, found))
    say(lines)


@app.command()
def redrive(
    item: str | None = typer.Argument(None, help="The item's code."),
    warehouse: str | None = typer.Argument(None, help="The warehouse's code."),
    company: str | None = _COMPANY,
    everything: bool = typer.Option(False, "--all", help="All stuck bins; with --company, all of that company."),
) -> None:
    """Have what is stuck tried again, with all other bins in which the same movement is stuck."""
    if everything == (item is not None and warehouse is not None):
        raise StockbookError("say which bin by ITEM and WAREHOUSE, or --all")
    configure("critical")  # what fails again is told here
    with works(Settings.from_environment()) as at_work:
        with transaction(at_work.engine) as connection:
            chosen = stuck_bins(connection, company, item, warehouse)
            if not everything and len(chosen) > 1:
                _one(chosen)
            loosened = loosen(connection, bins_stuck_by(connection, {each.key for each in chosen}))
        if at_work.pipeline is None:
            sys.stdout.write(f"{_bins(loosened)} will be tried again at the ledger's next sweep\n")
            return
        at_work.settle()
        with transaction(at_work.engine) as connection:
            left = len(stuck_bins(connection))
    sys.stdout.write(f"{_bins(loosened)} tried again; {left} stuck now\n")


def _bins(count: int) -> str:
    return "1 bin" if count == 1 else f"{count} bins"


def _one(found: list[Stuck]) -> Stuck:
    if not found:
        raise StockbookError("this bin is not stuck; `stockbook stuck list` names those that are")
    if len(found) > 1:
        companies = ", ".join(each.bin[0] for each in found)
        raise StockbookError("several companies have such a stuck bin: say --company", companies=companies)
    return found[0]


def _tell(connection: Connection, stuck: Stuck) -> Iterator[str]:
    company, item, warehouse = stuck.bin
    yield f"bin {item} in {warehouse} of {company}: stuck since {stuck.since:%Y-%m-%d %H:%M:%S}, {stuck.reason}"
    yield from _tell_movement(waiting_movements(connection, [stuck.key]).get(stuck.key), stuck)
    yield "error"
    yield from (f"  {line}" for line in stuck.error.splitlines())
    for place in places_of(connection, stuck.key):
        yield from _tell_place(connection, place)


def _tell_movement(movement: MovementAllocated | None, stuck: Stuck) -> Iterator[str]:
    yield f"movement {' '.join(stuck.key)}"
    if movement is None:
        yield "  it does not wait any more: redrive, and the bin goes on"
        return
    document = f", document {movement.document}" if movement.document else ""
    yield f"  {movement.purpose}{document}, effective {movement.effective_at:%Y-%m-%d %H:%M:%S}"
    for leg in movement.legs:
        amount = f", amount {plain(leg.amount)} {movement.currency}" if leg.amount is not None else ""
        batch = f", batch {leg.batch}" if leg.batch else ""
        sign = "+" if leg.quantity > 0 else ""
        yield f"  line {leg.line}: {sign}{plain(leg.quantity)} {leg.item} in {leg.warehouse}{batch}{amount}"


def _tell_place(connection: Connection, place: Place) -> Iterator[str]:
    """Where the movement stands in one of its bins, and the first of those behind it."""
    _, item, warehouse = place.bin
    yield f"{item} in {warehouse}: it has stamp {place.stamp}, the last one that was applied is {place.last_stamp}"
    behind = places_behind(connection, place, SHOWN + 1)
    yield from (f"  behind it {each.stamp}: {' '.join(each.key)}" for each in behind[:SHOWN])
    if len(behind) > SHOWN:
        yield "  and more"
    if not behind:
        yield "  nobody waits behind it"
