"""`python -m benchmarks.scaling [--quick]`: 1, 2, 4 and 8 workers of every service on one machine, and where time goes.

The idea: nobody is asked what he is doing, it is looked at. PostgreSQL's view of its sessions is sampled while the load
runs: a worker's session either waits for Python, which decides, or works, or waits for a lock or for the disk. How long
sets and confirms take, each worker tells at /metrics. On a machine of few cores more workers cannot be faster; what
shows is what they cost: waits for locks, tries that are repeated, smaller sets.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from statistics import median
from threading import Event, Thread
from time import perf_counter, sleep

import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.pipeline import WARMING, sending
from benchmarks.processors import used
from benchmarks.results import FOLDER
from benchmarks.rig import PATIENCE, SERVICES, BenchmarkError, Rig, check_books, our_worker, rig, settle_disk, stage
from shared.logs import configure
from tests.servers import free_port

WORKERS = (1, 2, 4, 8)
KINDS = {
    "decides": "its transaction waits for Python",
    "database": "PostgreSQL works",
    "locks": "waits for a lock",
    "disk": "waits for the disk",
    "inside": "waits for something else inside PostgreSQL",
    "broker": "publishes, until all is confirmed",
    "other": "decodes, encodes, acknowledges",
    "no work": "waits for messages, or sweeps",
}
"""What a worker's time goes to, in the order of the table."""

_LOOK = 0.02  # seconds between two looks at the sessions
_SESSIONS = """
SELECT pid, state, coalesce(wait_event_type, '') AS waits,
    substring(query FROM '(receiving|ledger|accounting)[.]') AS service
FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stockbook'
"""
_WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
_STORED = """
SELECT sum(pg_total_relation_size(pg_class.oid)) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND nspname IN ('receiving', 'ledger', 'accounting', 'aftercare')
"""


@dataclass(frozen=True, slots=True)
class Scaled:
    """One run: `each` workers of every service; movements a second; by service the shares of a worker's time (by kind),
    the tries that met another transaction and the movements in a transaction; by process microseconds a movement; bytes
    a movement in the write-ahead log, and in tables with their indexes."""

    each: int
    rate: float
    shares: Mapping[str, Mapping[str, float]]
    contended: Mapping[str, int]
    sets: Mapping[str, float]
    cpu_us: Mapping[str, float]
    elsewhere: float
    wal_bytes: int
    stored_bytes: int


def main(arguments: list[str]) -> None:
    """Measure, write `results/scaling.json` and `results/scaling.md`, and show the tables."""
    configure("warning")
    movements, runs = (4_000, 1) if "--quick" in arguments else (20_000, 3)
    found = []
    with rig() as where:
        # In turns, so that what else the machine does concerns all of them alike.
        for each in WORKERS * runs:
            found.append(scaled(where, each, movements))
            print(f"{each} of each: {found[-1].rate:.0f} movements/s", flush=True)
    (FOLDER / "scaling.json").write_text(json.dumps([asdict(run) for run in found], indent=2) + "\n")
    (FOLDER / "scaling.md").write_text(text := tables(found, movements))
    print(text)


def scaled(rig: Rig, each: int, movements: int) -> Scaled:
    """Send `movements`, one in a message, through `each` workers of every service."""
    workers: list[tuple[str, int]] = []

    def telling(service: str) -> Sequence[str]:
        workers.append((service, port := free_port()))
        return ["env", f"STOCKBOOK_HTTP_PORT={port}", *our_worker(service)]

    with stage(rig, WARMING, telling, each=each) as (on, listener):
        with sending(on.broker_url, movements, 1) as (pid, go), _looking(on.url) as seen:
            _wait_until_ready(workers)
            settle_disk(on.url)
            told, size, before = _told(workers), _size(on.url), on.reading(publisher=pid)
            started = perf_counter()
            seen.begin.set()
            go.set()
            listener.wait_for(movements)
            seconds = perf_counter() - started
            seen.end.set()
            spent = used(before, on.reading(publisher=pid), seconds, movements)
            told, size = _grown(told, _told(workers)), _grown(size, _size(on.url))
        return Scaled(
            each=each,
            rate=round(movements / seconds, 1),
            shares={name: _shares(name, seen, told, seconds * each, each) for name in SERVICES},
            contended={name: round(told.get(f"{name} contended", 0)) for name in SERVICES},
            sets=check_books(on.url, movements),
            cpu_us=_by_service(spent.microseconds),
            elsewhere=round(spent.elsewhere, 2),
            wal_bytes=round(size["wal"] / movements),
            stored_bytes=round(size["stored"] / movements),
        )


def tables(found: Sequence[Scaled], movements: int) -> str:
    """The medians of the runs, as the tables of docs/scaling.md."""
    numbers = sorted({run.each for run in found})
    of = {each: [run for run in found if run.each == each] for each in numbers}
    alone = median(run.rate for run in of[numbers[0]])
    lines = [
        _row("workers of each service", "movements/s", "times those of one", *_HEADS),
        _row(*["---"] * (3 + len(_HEADS))),
    ]
    for each, runs in of.items():
        rate = median(run.rate for run in runs)
        lines.append(_row(f"{each}", f"{rate:,.0f}", f"{rate / alone:.2f}", *_cells(runs)))
    lines += ["", _row("share of a worker's time", *KINDS), _row(*["---"] * (1 + len(KINDS)))]
    for each, runs in of.items():
        for service in SERVICES:
            shares = [median(run.shares[service][kind] for run in runs) for kind in KINDS]
            lines.append(_row(f"{service}, {each} of each", *(f"{share:.0%}" for share in shares)))
    busy = median(run.elsewhere for run in found)
    runs_each = len(of[numbers[0]])
    lines += ["", f"Medians of {runs_each} runs of {movements:,} movements; {busy:.0%} of the machine busy otherwise."]
    return "\n".join(lines) + "\n"


def _wait_until_ready(workers: Sequence[tuple[str, int]]) -> None:
    """Return when every worker takes part: the first ones may have done the warming without the others."""
    deadline = perf_counter() + PATIENCE
    for service, port in workers:
        while not _is_ready(port):
            if perf_counter() > deadline:
                raise BenchmarkError(f"a worker of {service} was never ready")
            sleep(_LOOK)


def _is_ready(port: int) -> bool:
    try:
        return _asked(port, "/readyz")[0] == 200
    except OSError:
        return False


class _Seen:
    """What the sessions of each service were found doing, look by look."""

    def __init__(self) -> None:
        self.begin, self.end = Event(), Event()
        self.looks = 0
        self.found: Counter[tuple[str, str]] = Counter()
        self._service: dict[int, str] = {}

    def look(self, connection: sa.Connection) -> None:
        """One look at all sessions."""
        self.looks += 1
        for session in connection.execute(sa.text(_SESSIONS)):
            # COMMIT and its like name no table, but the session is still that of the same worker.
            service = self._service[session.pid] = session.service or self._service.get(session.pid, "")
            if session.state == "idle in transaction":
                self.found[service, "decides"] += 1
            elif session.state == "active":
                self.found[service, _WAITS.get(session.waits, "inside")] += 1


_WAITS = {"": "database", "Lock": "locks", "IO": "disk", "Client": "decides"}
"""PostgreSQL's types of waits; `Client`: it waits for the next row of a COPY."""


@contextmanager
def _looking(url: str) -> Iterator[_Seen]:
    """Looks at the sessions from `begin` to `end`."""
    seen = _Seen()

    def look_on() -> None:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            seen.begin.wait()
            while not seen.end.wait(_LOOK):
                seen.look(connection)

    thread = Thread(target=look_on, name="looks", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        seen.end.set()
        seen.begin.set()
        thread.join()


_METRICS = {
    "stockbook_set_seconds_sum": "set",
    "stockbook_publish_seconds_sum": "publish",
    "stockbook_retries_total": "retries",
}


def _told(workers: Sequence[tuple[str, int]]) -> dict[str, float]:
    """What the workers told so far, added up: `ledger set`, `ledger publish`, `ledger contended`, …"""
    sums: dict[str, float] = defaultdict(float)
    for service, port in workers:
        _, page = _asked(port, "/metrics")
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name in _METRICS:
                    sums[f"{service} {sample.labels.get('kind', _METRICS[sample.name])}"] += sample.value
    return sums


def _asked(port: int, path: str) -> tuple[int, str]:
    """The status and the text of a worker's page."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def _size(url: str) -> dict[str, float]:
    """Bytes written to the log so far, and bytes of all tables with their indexes."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        asked = {"wal": _WAL, "stored": _STORED}
        return {name: float(connection.execute(sa.text(each)).scalar_one()) for name, each in asked.items()}


def _grown(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items()}


def _shares(service: str, seen: _Seen, told: Mapping[str, float], time: float, each: int) -> dict[str, float]:
    """Shares of a worker's time by kind: 1 together, but for what samples err by."""
    looks = max(1, seen.looks * each)
    shares = {kind: seen.found[service, kind] / looks for kind in ("decides", "database", "locks", "disk", "inside")}
    working = told[f"{service} set"] / time
    broker = told[f"{service} publish"] / time
    other = max(0.0, working - sum(shares.values()) - broker)
    shares |= {"broker": broker, "other": other, "no work": max(0.0, 1 - working)}
    return {kind: round(share, 3) for kind, share in shares.items()}


def _by_service(microseconds: Mapping[str, float]) -> dict[str, float]:
    """Of all workers of a service together: `ledger 2` is one of the ledger's."""
    sums: dict[str, float] = defaultdict(float)
    for name, each in microseconds.items():
        sums[name.partition(" ")[0]] += each
    return {name: round(each, 1) for name, each in sums.items()}


_HEADS = ("in a transaction", "tries repeated", "µs of processor", "bytes of log", "bytes of tables")
"""Movements in a transaction of receiving, ledger, accounting; tries in a run; the rest is a movement's."""


def _cells(runs: Sequence[Scaled]) -> list[str]:
    return [
        ", ".join(f"{median(run.sets[name] for run in runs):.0f}" for name in SERVICES),
        f"{median(sum(run.contended.values()) for run in runs):.0f}",
        f"{median(sum(run.cpu_us.values()) for run in runs):.0f}",
        f"{median(run.wal_bytes for run in runs):,.0f}",
        f"{median(run.stored_bytes for run in runs):,.0f}",
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main(sys.argv[1:])
