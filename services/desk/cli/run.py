"""`stockbook run` and `stockbook migrate`: the workers, and the database that they stand on."""

import sys
from collections.abc import Callable
from enum import StrEnum

import typer

from services.accounting import handlers as accounting
from services.aftercare import handlers as aftercare
from services.desk.pipeline import utc_now
from services.desk.servers import bring_up_to_date, database
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.errors import Fatal
from shared.process import serve
from shared.service import Service
from shared.settings import Settings


class Which(StrEnum):
    """Which worker to run."""

    RECEIVING = "receiving"
    LEDGER = "ledger"
    ACCOUNTING = "accounting"
    AFTERCARE = "aftercare"
    ALL = "all"


SERVICES: dict[Which, Callable[[Settings], Service]] = {
    Which.RECEIVING: lambda settings: receiving.service(utc_now, administrators=settings.administrators),
    Which.LEDGER: lambda _: ledger.service(),
    Which.ACCOUNTING: lambda _: accounting.service(),
    Which.AFTERCARE: lambda settings: aftercare.service(administrators=settings.administrators),
}

_ALONE = (
    "the broker inside a process reaches no other process, so this worker alone would never hear of anything: "
    "set STOCKBOOK_BROKER_URL, or use `stockbook run all`"
)
_NOBODY_ELSE = (
    "stockbook: the broker is inside this process, so workers and publishers in other processes cannot reach it; "
    "they need STOCKBOOK_BROKER_URL\n"
)


def run(which: Which = typer.Argument(help="The worker to run; all: a thread each in one process.")) -> None:
    """Run workers until SIGTERM or SIGINT; a set that was begun is finished first."""
    settings = Settings.from_environment()
    if settings.broker_url is None:
        if which is not Which.ALL:
            raise Fatal(_ALONE)
        sys.stderr.write(_NOBODY_ELSE)
    names = list(SERVICES) if which is Which.ALL else [which]
    with database(settings) as url:
        if not serve([SERVICES[name](settings) for name in names], url, settings):
            raise typer.Exit(1)


def migrate() -> None:
    """Bring the database up to date."""
    settings = Settings.from_environment()
    if settings.database_url is None:
        with database(settings):
            sys.stdout.write(f"the embedded database in {settings.data_folder} is up to date\n")
        return
    for name in bring_up_to_date(settings.database_url):
        sys.stdout.write(f"applied {name}\n")
    sys.stdout.write("the database is up to date\n")
