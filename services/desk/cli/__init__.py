"""The command `stockbook`: one file a group of commands, wired here.

Addresses come from STOCKBOOK_DATABASE_URL and STOCKBOOK_BROKER_URL; with neither set, everything runs embedded.
"""

import os
import sys

import typer

from services.desk.cli import (
    audit,
    available,
    conform,
    counts,
    demo,
    explain,
    importing,
    labels,
    parked,
    periods,
    publish,
    questions,
    recalls,
    rejected,
    replay,
    report,
    reservations,
    rights,
    run,
    sources,
    status,
    stuck,
    trace,
    trying,
    units,
    verify,
)
from shared.embedded_postgres import EmbeddedPostgresError
from shared.errors import StockbookError
from shared.printable import printable

app = typer.Typer(
    name="stockbook",
    help="Serialized and batch inventory with perpetual accounting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("migrate")(run.migrate)
app.command("publish")(publish.publish)
app.command("import")(importing.import_table)
app.command("labels")(labels.labels)
app.command("try")(trying.try_movements)
app.command("available")(available.available)
app.command("explain")(explain.explain_movement)
app.command("trace")(trace.trace_goods)
app.command("report")(report.report)
app.command("unit")(units.unit)
app.command("serials")(units.serials)
app.command("reservations")(reservations.reservations)
app.command("counts")(counts.counts)
app.command("recalls")(recalls.recalls)
app.command("recall")(recalls.recall)
app.command("expired")(questions.expired)
app.command("in-warranty")(questions.in_warranty)
app.command("return-batch")(questions.return_batch)
app.command("roles")(rights.roles)
app.command("broker-definitions")(rights.broker_definitions)
app.command("conform")(conform.conform)
app.command("demo")(demo.demo)
app.command("status")(status.status)
app.command("periods")(periods.periods)
app.command("replay")(replay.replay)
app.command("verify")(verify.verify_books)
app.add_typer(stuck.app, name="stuck")
app.add_typer(audit.app, name="audit")
app.add_typer(parked.app, name="parked")
app.add_typer(rejected.app, name="rejected")
app.add_typer(sources.app, name="sources")


def main() -> None:
    """Run the command; an error that is ours is one line on standard error, and exit code 1."""
    try:
        app(prog_name="stockbook")
    except (StockbookError, EmbeddedPostgresError) as error:
        sys.stderr.write(f"stockbook: {printable(str(error))}\n")
        sys.exit(1)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
