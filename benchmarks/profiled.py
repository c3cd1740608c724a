"""P9: what a worker's time goes to, by the kind of work, from a profiler run of its own.

`python -m benchmarks.profiled SERVICE FILE` is a worker as it runs in earnest, but under cProfile, which makes Python
slower by more than what is written in C: so its speed is not told, and what Python does shows rather too large.

The idea: a function belongs to the kind of its module, and what has none (a builtin, the standard library) to whoever
called it, in proportion. So nothing is counted twice, and the shares add up to one.
"""

import cProfile
import pstats
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from benchmarks.pipeline import throughput
from benchmarks.rig import SERVICES, Rig, rig
from services.accounting import handlers as accounting
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.logs import configure
from shared.process import serve_from_environment

SERVICE = {"receiving": receiving.service, "ledger": ledger.service, "accounting": accounting.service}
DECISIONS, SQL, ANSWERS, AMQP, JSON, REST = "decisions", "SQL", "PostgreSQL", "AMQP", "JSON", "the rest"
KINDS = {
    DECISIONS: "pure decisions",
    SQL: "statements and rows, as far as Python makes them",
    ANSWERS: "until PostgreSQL has answered",
    AMQP: "taking, publishing and acknowledging messages",
    JSON: "decoding and encoding",
    REST: "handlers, the loop, metrics",
}
"""What a worker's time goes to. To wait for messages and confirms is not among it."""
WAITS = "waits"

# The first that a path contains tells the kind; None: that of whoever calls it.
_PATHS = {
    "/decide/": DECISIONS,
    "/store/": SQL,
    "/shared/db": SQL,
    "/shared/outbox": SQL,
    "/shared/chaining": SQL,
    "/sqlalchemy/": SQL,
    "/psycopg2/": SQL,
    "/shared/broker/": AMQP,
    "/kombu/": AMQP,
    "/amqp/": AMQP,
    "/vine/": AMQP,
    "/shared/contracts/": JSON,
    "/shared/reading": JSON,
    "/shared/frames": JSON,
    "/msgspec/": JSON,
    "/shared/quantities": None,
    "/shared/purposes": None,
    "/services/": REST,
    "/shared/": REST,
}
# The same of what is written in C, by its name.
_BUILTINS = {
    "psycopg2": ANSWERS,
    "msgspec": JSON,
    "_socket.socket": WAITS,
    "select.": WAITS,
}

Function = tuple[str, int, str]
Calls = tuple[int, int, float, float]
Stats = Mapping[Function, tuple[int, int, float, float, Mapping[Function, Calls]]]
"""As pstats keeps it: of each function the calls, own and total seconds; and the same of it by caller."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Of each service the share of its time by kind; and the share of the whole that it waited for the broker."""

    shares: Mapping[str, Mapping[str, float]]
    waits: Mapping[str, float]


def profile(where: Rig, movements: int) -> Profile:
    """Send so many movements of one line to workers under a profiler."""
    with TemporaryDirectory() as folder:
        files = {service: f"{folder}/{service}" for service in SERVICES}
        throughput(where, movements, 1, lambda service: _profiled_worker(service, files[service]))
        found = {service: by_kind(_read(file)) for service, file in files.items()}
    return Profile(
        shares={service: _shares(seconds) for service, seconds in found.items()},
        waits={service: round(seconds[WAITS] / sum(seconds.values()), 3) for service, seconds in found.items()},
    )


def by_kind(stats: Stats) -> dict[str, float]:
    """Seconds by kind, and those spent waiting for the broker."""
    seconds = dict.fromkeys((*KINDS, WAITS), 0.0)
    known: dict[Function, Mapping[str, float]] = {}
    for function, (_, _, own, _, _) in stats.items():
        for kind, part in _parts(function, stats, known).items():
            seconds[kind] += own * part
    return seconds


def _parts(function: Function, stats: Stats, known: dict[Function, Mapping[str, float]]) -> Mapping[str, float]:
    """Which part of a function's own time belongs to which kind: 1 together."""
    if function not in known:
        kind = _kind_of(function)
        # Whoever is met again on the way to those who call it counts as the rest.
        known[function] = {kind or REST: 1.0}
        if kind is None:
            known[function] = _parts_of_callers(function, stats, known)
    return known[function]


def _parts_of_callers(
    function: Function, stats: Stats, known: dict[Function, Mapping[str, float]]
) -> Mapping[str, float]:
    callers = stats[function][4] if function in stats else {}
    whole = sum(own for _, _, own, _ in callers.values())
    if not whole:
        return {REST: 1.0}
    parts: defaultdict[str, float] = defaultdict(float)
    for caller, (_, _, own, _) in callers.items():
        for kind, part in _parts(caller, stats, known).items():
            parts[kind] += part * own / whole
    return parts


def _kind_of(function: Function) -> str | None:
    path, _, name = function
    kinds, where = (_BUILTINS, name) if path == "~" else (_PATHS, path)
    return next((kind for piece, kind in kinds.items() if piece in where), None)


def _shares(seconds: Mapping[str, float]) -> dict[str, float]:
    whole = sum(seconds[kind] for kind in KINDS)
    return {kind: round(seconds[kind] / whole, 3) for kind in KINDS}


def _read(file: str) -> Stats:
    return pstats.Stats(file).stats  # type: ignore[attr-defined, no-any-return]


def _profiled_worker(service: str, file: str) -> Sequence[str]:
    return [sys.executable, "-m", "benchmarks.profiled", service, file]


def work(service: str, file: str) -> int:
    """Be a worker until told to stop, then write what its thread's time went to; its exit code."""
    profiler = cProfile.Profile()
    # The worker's thread begins to be watched with its first call.
    threading.setprofile(lambda *_: profiler.enable())
    code = serve_from_environment(SERVICE[service]())
    profiler.dump_stats(file)
    return code


def main(arguments: Sequence[str]) -> None:
    """Measure this row alone, with so many movements, and print it."""
    configure("warning")
    with rig() as where:
        found = profile(where, int(arguments[0]) if arguments else 4_000)
    for service, shares in found.shares.items():
        told = ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())
        print(f"{service}: {told}; waits for the broker {found.waits[service]:.0%} of all")


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SERVICE:
        sys.exit(work(*sys.argv[1:]))
    main(sys.argv[1:])
