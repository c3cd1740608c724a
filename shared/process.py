"""A process of workers: each in a thread of its own, with its own connections, until a signal says stop."""

import gc
import signal
import sys
import threading
from collections.abc import Sequence

from shared.broker import Broker, connect
from shared.broker.lanes import takes_from_lanes
from shared.db import open_engine
from shared.errors import Fatal
from shared.health import listening
from shared.logs import configure
from shared.metrics import Meter, Metrics
from shared.service import Service
from shared.settings import Settings
from shared.worker import Worker


def serve(services: Sequence[Service], database_url: str, settings: Settings) -> bool:
    """Run a worker of each service until SIGTERM or SIGINT; whether all of them ended well.

    A set that was begun is finished first. A worker that gives up takes the others with it: whoever started the process
    starts all of them anew. Metrics and health are told meanwhile, where the settings name a port. Fatal where that
    port cannot be taken.
    """
    configure(settings.log_level)
    _collect_rarely()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    takes = takes_from_lanes(each.name for each in services)
    broker = connect(settings.broker_url, settings.lanes if takes else ())
    metrics = Metrics()
    failures: list[BaseException] = []
    threads = [
        threading.Thread(
            target=_work,
            args=(service, broker, database_url, settings, stop, metrics.meter(service.name), failures),
        )
        for service in services
    ]
    with listening(metrics, settings):
        for thread in threads:
            thread.start()
        for thread in threads:
            _wait_for(thread)
    broker.close()
    for failure in failures:
        sys.stderr.write(f"stockbook: {failure}\n")
    return not failures


def _wait_for(thread: threading.Thread) -> None:
    """Wait in steps: a signal that comes just before a wait begins is handled only when that wait has ended."""
    while thread.is_alive():
        thread.join(timeout=0.5)


def _collect_rarely() -> None:
    """A set makes tens of thousands of objects, hardly a cycle: looking for those took a tenth of a worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def serve_from_environment(service: Service) -> int:
    """What `python -m services.<name>` does: one worker on the servers that the environment names; its exit code."""
    try:
        settings = Settings.from_environment()
        if settings.database_url is None or settings.broker_url is None:
            sys.stderr.write("stockbook: a worker needs STOCKBOOK_DATABASE_URL and STOCKBOOK_BROKER_URL\n")
            return 2
        return 0 if serve([service], settings.database_url, settings) else 1
    except Fatal as error:
        sys.stderr.write(f"stockbook: {error}\n")
        return 1


def _work(
    service: Service,
    broker: Broker,
    url: str,
    settings: Settings,
    stop: threading.Event,
    meter: Meter,
    failures: list[BaseException],
) -> None:
    engine = open_engine(url)
    try:
        Worker(service, broker, engine, settings, stop, meter).run()
    except BaseException as failure:
        failures.append(failure)
        raise
    finally:
        stop.set()
        engine.dispose()
