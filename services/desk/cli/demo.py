"""`stockbook demo`: the examples played through the services on servers of their own, and what came of them.

The clock stands at a fixed moment, so that it plays the same for ever. At the end the ledger and the accounts, which
two services keep apart from each other, must agree on what the stock is worth.
"""

import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from services.desk.cli.explain import DEPTH, LISTED, NODES
from services.desk.cli.showing import LOOK, allocation, batches, journal, only, remarks
from services.desk.cli.telling import tell
from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS, reason_text
from services.desk.servers import bring_up_to_date
from services.desk.store import CompanyValue, Outcome, outcomes, stock_values, unfinished
from services.ledger.decide.explaining.tree import Limits
from services.ledger.store.explaining import explain
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.embedded_postgres import EmbeddedPostgres
from shared.errors import StockbookError
from shared.logs import configure
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Key

CLOCK = datetime(2026, 4, 30, 18, 0, tzinfo=UTC)
WIDTH = 100
MADE = "manufacture"
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def demo(
    folder: Path = typer.Argument(EXAMPLES, help="Folders of events, one JSON event a line.", show_default=False),
) -> None:
    """Play the examples on a temporary PostgreSQL and show what came of them."""
    configure("warning")
    events = _read(folder)
    with EmbeddedPostgres(None, durable=False) as server:
        bring_up_to_date(server.url)
        with Pipeline(server.url, clock=lambda: CLOCK) as pipeline:
            pipeline.publish(events)
            pipeline.settle()
            with transaction(pipeline.engine) as connection:
                agreed = _show(connection, [key for event in events for key in event.keys])
    if not agreed:
        raise typer.Exit(1)


def _read(folder: Path) -> list[Event]:
    """The events of all files, folder by folder."""
    files = sorted(folder.glob("*/*.jsonl"))
    if not files:
        raise StockbookError("there are no examples here; they lie in the repository", folder=folder)
    return [read_event(line, file.parent.name, CLOCK) for file in files for line in file.read_bytes().splitlines()]


def _show(connection: Connection, keys: Sequence[Key]) -> bool:
    """Print everything; whether the books agree."""
    console = Console(width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH, highlight=False)
    told = outcomes(connection, keys)
    values = stock_values(connection)
    for value in values:
        console.print()
        console.rule(Text(f"{value.name} ({value.company})", style="bold"))
        _show_company(console, connection, value, [told[key] for key in keys if key in told])
    unanswered = [key for key in keys if key not in told]
    line, agreed = self_check(values, [*unfinished(connection, keys), *unanswered])
    console.print()
    sys.stdout.flush()
    sys.stdout.write(f"{line}\n")
    return agreed


def self_check(values: Sequence[CompanyValue], open_ends: Collection[Key]) -> tuple[str, bool]:
    """Whether every company's stock is worth what its stock accounts say, and all that was sent is finished."""
    agreed = bool(values) and not open_ends and all(value.stock == value.accounts for value in values)
    stock = _totals([(value.currency, value.stock) for value in values])
    accounts = _totals([(value.currency, value.accounts) for value in values])
    if agreed:
        return f"self-check: OK — stock value {stock} = stock accounts {accounts}", True
    wrong = [f"{value.company} {value.stock} and {value.accounts}" for value in values if value.stock != value.accounts]
    wrong += [f"{source} {identifier} is not finished" for source, identifier in open_ends]
    return f"self-check: FAILED — stock value {stock}, stock accounts {accounts}; {'; '.join(wrong)}", False


def _totals(amounts: Sequence[tuple[str, Decimal]]) -> str:
    """The sum of each currency: `EUR 1,234.50`."""
    sums: dict[str, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, ZERO) + amount
    return " + ".join(f"{currency} {amount:,.2f}" for currency, amount in sums.items()) or "0"


def _show_company(console: Console, connection: Connection, value: CompanyValue, told: Sequence[Outcome]) -> None:
    filters = Filters(company=value.company)
    of_company = [each for each in told if each.company == value.company and each.kind == "movement.requested"]
    purposes = {(row["source"], row["id"]): row["purpose"] for row in records(REPORTS["outcomes"], connection, filters)}
    _print(console, _movements(of_company, purposes))
    for key in [(each.source, each.id) for each in of_company if purposes.get((each.source, each.id)) == MADE]:
        _explain(console, connection, key)
    _print(console, only(REPORTS["stock-balance"], connection, filters, "item warehouse quantity value rate"))
    names = "item serial status warehouse customer warranty_until"
    _print(console, only(REPORTS["serial-status"], connection, filters, names))
    _print(console, batches(connection, filters, CLOCK.date()))
    _print(console, journal(connection, filters))
    _print(console, only(REPORTS["trial-balance"], connection, filters, "account debit credit balance"))
    _print(console, only(REPORTS["unposted"], connection, filters, "id customer amount state why"))
    shortages = only(REPORTS["shortages"], connection, filters, "item warehouse quantity worth id")
    _print(console, shortages if shortages.row_count else Text("No shortages: all that was issued was there, or came."))


def _explain(console: Console, connection: Connection, key: Key) -> None:
    """Print where the value of what was made came from."""
    console.print(Padding(Text(f"Where the value of {key[1]} came from", style="bold"), (1, 0, 0, 0)))
    for branch in tell(explain(connection, key, Limits(DEPTH, LISTED, NODES)))[1:]:
        for depth, line in branch.lines():
            console.print(Padding(Text(line), (0, 0, 0, 2 * depth)))


def _print(console: Console, shown: Table | Text) -> None:
    if isinstance(shown, Text) or shown.row_count:
        console.print(Padding(shown, (1, 0, 0, 0)))


def _movements(told: Sequence[Outcome], purposes: dict[Key, str]) -> Table:
    """Every movement with what it was given, or with all the reasons why not."""
    shown = Table(title="What was sent, and what came of it", header_style="bold", expand=True, **LOOK)
    for name in ("movement", "purpose", "allocated"):
        shown.add_column(name, overflow="fold", ratio=1 if name == "allocated" else None)
    for outcome in told:
        purpose = (purposes.get((outcome.source, outcome.id)) or "").replace("_", " ")
        if isinstance(outcome, OutcomeRejected):
            reasons = (reason_text(each.code, each.line, each.facts) for each in outcome.reasons)
            lines = [Text("refused", style="bold red"), *(Text(f"- {reason}") for reason in reasons)]
            shown.add_row(Text(outcome.id, style="red"), purpose, Group(*lines))
        else:
            shown.add_row(outcome.id, purpose, "\n".join([*map(allocation, outcome.allocated), *remarks(outcome)]))
    return shown
