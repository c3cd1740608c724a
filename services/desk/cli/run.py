"""`stockbook run` and `stockbook migrate`: the workers, and the database that they stand on."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum

import typer

from services.accounting import handlers as accounting
from services.desk.pipeline import utc_now
from services.desk.servers import bring_up_to_date, database
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.broker import Broker, connect
from shared.db import open_engine
from shared.errors import Fatal
from shared.logs import configure
from shared.service import Service
from shared.settings import Settings
from shared.worker import Worker


class Which(StrEnum):
    """Which worker to run."""

    RECEIVING = "receiving"
    LEDGER = "ledger"
    ACCOUNTING = "accounting"
    ALL = "all"


SERVICES: dict[Which, Callable[[], Service]] = {
    Which.RECEIVING: lambda: receiving.service(utc_now),
    Which.LEDGER: ledger.service,
    Which.ACCOUNTING: accounting.service,
}

_ALONE = (
    "the broker inside a process reaches no other process, so this worker alone would never hear of anything: "
    "set STOCKBOOK_BROKER_URL, or use `stockbook run all`"
)
_NOBODY_ELSE = (
    "stockbook: the broker is inside this process, so workers and publishers in other processes cannot reach it; "
    "they need STOCKBOOK_BROKER_URL\n"
)


def run(which: Which = typer.Argument(help="The worker to run; all: three threads in one process.")) -> None:
    """Run workers until SIGTERM or SIGINT; a set that was begun is finished first."""
    settings = Settings.from_environment()
    configure(settings.log_level)
    if settings.broker_url is None:
        if which is not Which.ALL:
            raise Fatal(_ALONE)
        sys.stderr.write(_NOBODY_ELSE)
    names = list(SERVICES) if which is Which.ALL else [which]
    with database(settings) as url:
        if not work([SERVICES[name]() for name in names], url, settings):
            raise typer.Exit(1)


def work(services: Sequence[Service], url: str, settings: Settings) -> bool:
    """Run workers, each in a thread and with connections of its own, until a signal; whether all ended well."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    broker = connect(settings.broker_url)
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=_work, args=(service, broker, url, settings, stop, failures), name=service.name)
        for service in services
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    broker.close()
    for failure in failures:
        sys.stderr.write(f"stockbook: {failure}\n")
    return not failures


def _work(
    service: Service,
    broker: Broker,
    url: str,
    settings: Settings,
    stop: threading.Event,
    failures: list[BaseException],
) -> None:
    engine = open_engine(url)
    try:
        Worker(service, broker, engine, settings, stop).run()
    except BaseException as failure:
        failures.append(failure)
        raise
    finally:
        stop.set()  # one worker that gives up takes the others with it: whoever started us starts all anew
        engine.dispose()


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
