"""`stockbook available`: what is pickable in a warehouse, in pick order, and why the rest is not."""

from datetime import datetime

import typer
from sqlalchemy import Connection

from services.desk.cli.options import parse_time
from services.desk.cli.showing import say
from services.desk.pipeline import utc_now
from services.desk.servers import reading
from services.desk.store import companies_of_warehouse
from services.receiving import store as receiving
from services.receiving.store.availability import Available
from shared.errors import StockbookError
from shared.purposes import Tracking
from shared.quantities import plain
from shared.settings import Settings


def available(
    item: str = typer.Argument(help="The item's code."),
    warehouse: str = typer.Argument(help="The warehouse's code."),
    company: str | None = typer.Option(None, help="Its company; needed where several have such a warehouse."),
    at: str | None = typer.Option(None, help="The moment that decides what has expired; now, if not given."),
) -> None:
    """Say what may be picked, in the order in which it is picked, and why the rest may not."""
    moment = parse_time(at) if at else utc_now()
    with reading(Settings.from_environment()) as connection:
        lines = tell(item, warehouse, _ask(connection, company, item, warehouse, moment))
    say(lines)


def tell(item: str, warehouse: str, found: Available) -> list[str]:
    """The answer in lines of text."""
    lines = [f"{plain(found.free)} {found.unit} of {item} may be picked in {warehouse}"]
    if found.tracking is Tracking.NONE:
        return lines
    for place, each in enumerate(found.pickable, start=1):
        expiry = f", expires {each.expires_on}" if each.expires_on else ""
        lines.append(f"{place:>5}. {each.number}: {plain(each.quantity)}{expiry}")
    for each, code in found.rest:
        expiry = f", expires {each.expires_on}" if each.expires_on else ""
        lines.append(f"    -  {each.number}: {plain(each.quantity)}{expiry}, not pickable: {code}")
    return lines


def _ask(connection: Connection, company: str | None, item: str, warehouse: str, at: datetime) -> Available:
    companies = companies_of_warehouse(connection, warehouse)
    if company is None and len(companies) > 1:
        raise StockbookError("several companies have such a warehouse: say --company", companies=", ".join(companies))
    if not companies or company not in (None, *companies):
        raise StockbookError("there is no such warehouse", warehouse=warehouse, company=company or "any")
    return receiving.available(connection, company or companies[0], item, warehouse, at)
