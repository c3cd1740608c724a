"""`stockbook demo`: the examples played through the services on servers of their own, and what came of them.

At the end the ledger and the accounts, which two services keep apart from each other, must agree on what the stock is
worth, and what was closed must be as it was.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import typer
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from services.desk.cli.explain import DEPTH, LISTED, NODES
from services.desk.cli.showing import LOOK, allocation, balances_then, batches, changes, journal, only, remarks, say
from services.desk.cli.telling import tell
from services.desk.examples import CLOCK, EXAMPLES, LAST_DAY, played
from services.desk.reporting import REPORTS, reason_text
from services.desk.servers import bring_up_to_date
from services.desk.store import CompanyValue, Outcome, outcomes, stock_values, unfinished
from services.desk.store.periods import Closing, State, closings
from services.ledger.decide.explaining.tree import Limits
from services.ledger.store.explaining import explain
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_REQUESTED, PERIOD_CLOSED
from shared.db import transaction
from shared.embedded_postgres import EmbeddedPostgres
from shared.logs import configure
from shared.printable import printable
from shared.quantities import ZERO
from shared.report import Filters, records
from shared.service import Key

WIDTH = 100
MADE = "manufacture"
SHOWN = [kind.rpartition(".v")[0] for kind in (MOVEMENT_REQUESTED, PERIOD_CLOSED)]


def demo(
    folder: Path = typer.Argument(EXAMPLES, help="Folders of events, one JSON event a line.", show_default=False),
) -> None:
    """Play the examples on a temporary PostgreSQL and show what came of them."""
    configure("warning")
    with EmbeddedPostgres(None, durable=False) as server:
        bring_up_to_date(server.url)
        with played(server.url, folder) as (pipeline, events), transaction(pipeline.engine) as connection:
            agreed = _show(connection, [key for event in events for key in event.keys])
    if not agreed:
        raise typer.Exit(1)


def _show(connection: Connection, keys: Sequence[Key]) -> bool:
    """Print everything; whether the books agree."""
    console = Console(width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH, highlight=False)
    told = outcomes(connection, keys)
    values = stock_values(connection)
    changed: list[str] = []
    for value in values:
        console.print()
        console.rule(Text(f"{value.name} ({value.company})", style="bold"))
        _show_company(console, connection, value, [told[key] for key in keys if key in told])
        changed += _show_last_day(console, connection, value.company)
    unanswered = [key for key in keys if key not in told]
    line, agreed = self_check(values, [*unfinished(connection, keys), *unanswered], changed)
    console.print()
    sys.stdout.flush()
    say([line])
    return agreed


def self_check(
    values: Sequence[CompanyValue], open_ends: Collection[Key], changed: Sequence[str] = ()
) -> tuple[str, bool]:
    """Whether all stock is worth what its accounts say, and all that was sent is finished; `changed`: closed books."""
    equal = all(value.stock == value.accounts for value in values)
    agreed = bool(values) and equal and not open_ends and not changed
    stock = _totals([(value.currency, value.stock) for value in values])
    accounts = _totals([(value.currency, value.accounts) for value in values])
    if agreed:
        return f"self-check: OK — stock value {stock} = stock accounts {accounts}", True
    wrong = [f"{value.company} {value.stock} and {value.accounts}" for value in values if value.stock != value.accounts]
    wrong += [f"{source} {identifier} is not finished" for source, identifier in open_ends]
    wrong += changed
    return f"self-check: FAILED — stock value {stock}, stock accounts {accounts}; {'; '.join(wrong)}", False


def _totals(amounts: Sequence[tuple[str, Decimal]]) -> str:
    """The sum of each currency: `EUR 1,234.50`."""
    sums: dict[str, Decimal] = {}
    for currency, amount in amounts:
        sums[currency] = sums.get(currency, ZERO) + amount
    return " + ".join(f"{currency} {amount:,.2f}" for currency, amount in sums.items()) or "0"


def _show_company(console: Console, connection: Connection, value: CompanyValue, told: Sequence[Outcome]) -> None:
    filters = Filters(company=value.company)
    of_company = [each for each in told if each.company == value.company and each.kind in SHOWN]
    purposes = {(row["source"], row["id"]): row["purpose"] for row in records(REPORTS["outcomes"], connection, filters)}
    _print(console, _movements(of_company, purposes))
    for key in [(each.source, each.id) for each in of_company if purposes.get((each.source, each.id)) == MADE]:
        _explain(console, connection, key)
    _print(console, only(REPORTS["stock-balance"], connection, filters, "item warehouse quantity value rate"))
    names = "item serial status warehouse customer warranty_until"
    _print(console, only(REPORTS["serial-status"], connection, filters, names))
    _print(console, batches(connection, filters, LAST_DAY.date()))
    _print(console, journal(connection, filters))
    _print(console, only(REPORTS["trial-balance"], connection, filters, "account debit credit balance"))
    _print(console, only(REPORTS["unposted"], connection, filters, "id customer amount state why"))
    claims = "claim item serial customer complaint covered why resolution"
    _print(console, only(REPORTS["warranty-claims"], connection, filters, claims))
    shortages = only(REPORTS["shortages"], connection, filters, "item warehouse quantity worth id")
    _print(console, shortages if shortages.row_count else Text("No shortages: all that was issued was there, or came."))


def _show_last_day(console: Console, connection: Connection, company: str) -> list[str]:
    """Print what the last day changed, and closed books as they were and as they are; where these are not the same."""
    filters = Filters(company=company)
    _print(console, changes(connection, replace(filters, known_since=CLOCK)))
    changed = []
    for closing in closings(connection, company):
        _print(console, Text(_closed(closing)))
        if closing.ends_at is not None:
            as_of = replace(filters, as_of=closing.ends_at - timedelta(microseconds=1))
            title = f"as of the end of {closing.through}"
            shown, are_the_same = balances_then(connection, as_of, CLOCK, title)
            _print(console, shown)
            changed += [] if are_the_same else [f"{company} has changed up to {closing.through}, which is closed"]
    return changed


def _closed(closing: Closing) -> str:
    locked = "and locked" if closing.state is State.LOCKED else "and not locked"
    return f"The books are closed through {closing.through} by {closing.actor} ({closing.reason}), {locked}."


def _explain(console: Console, connection: Connection, key: Key) -> None:
    """Print where the value of what was made came from."""
    console.print(Padding(Text(f"Where the value of {key[1]} came from", style="bold"), (1, 0, 0, 0)))
    for branch in tell(explain(connection, key, Limits(DEPTH, LISTED, NODES)))[1:]:
        for depth, line in branch.lines():
            console.print(Padding(Text(printable(line)), (0, 0, 0, 2 * depth)))


def _print(console: Console, shown: Table | Text) -> None:
    if isinstance(shown, Text) or shown.row_count:
        console.print(Padding(shown, (1, 0, 0, 0)))


def _movements(told: Sequence[Outcome], purposes: dict[Key, str]) -> Table:
    """Every movement with what it was given, or with all the reasons why not."""
    shown = Table(title="What was sent, and what came of it", header_style="bold", expand=True, **LOOK)
    for name in ("movement", "purpose", "allocated"):
        shown.add_column(name, overflow="fold", ratio=1 if name == "allocated" else None)
    for outcome in told:
        purpose = (purposes.get((outcome.source, outcome.id)) or outcome.kind).replace("_", " ").replace(".", " ")
        if isinstance(outcome, OutcomeRejected):
            reasons = (reason_text(each.code, each.line, each.facts) for each in outcome.reasons)
            lines = [Text("refused", style="bold red"), *(Text(f"- {printable(reason)}") for reason in reasons)]
            shown.add_row(Text(printable(outcome.id), style="red"), purpose, Group(*lines))
        else:
            given = map(printable, [*map(allocation, outcome.allocated), *remarks(outcome)])
            shown.add_row(Text(printable(outcome.id)), purpose, Text("\n".join(given)))
    return shown
