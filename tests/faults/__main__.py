"""Every fault, injected one after another on private servers: `python -m tests.faults`; docs/faults.md tells more."""

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence

from shared.logs import configure
from tests.faults.run.catalogue import catalogue
from tests.faults.run.chaos import chaos
from tests.faults.run.fault import Fault
from tests.faults.run.running import Row, run
from tests.faults.run.sites import Sites
from tests.faults.run.table import HEADER, failures, line, notes, total


def main() -> int:
    told = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as by Ctrl-C: servers and workers go too
    configure("critical")  # the workers' words are kept with their scenes; ours are the table
    if told.list:
        say("\n".join(each.name for each in catalogue()))
        return 0
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    say(f"seed {seed}")
    with Sites() as sites:
        if told.chaos:
            rows = [chaos(sites, told.minutes, seed, say)]
            say(HEADER)
            say(line(rows[0]))
        else:
            rows = _all(sites, _chosen(told.only), told.movements, seed)
    for each in [*notes(rows), *failures(rows)]:
        say(each)
    say(total(rows))
    return 0 if all(row.is_good or row.left_out for row in rows) else 1


def say(text: str) -> None:
    """At once: somebody is waiting."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _all(sites: Sites, faults: Sequence[Fault], movements: int, seed: int) -> list[Row]:
    began = time.monotonic()
    rows = []
    say(HEADER)
    for fault in faults:
        row = run(fault, sites, movements, seed)
        rows.append(row)
        say(line(row))
    say(f"{time.monotonic() - began:.0f} s in all")
    return rows


def _chosen(words: Sequence[str]) -> list[Fault]:
    """The faults whose names have one of the words in them; without any, all."""
    chosen = [each for each in catalogue() if not words or any(word in each.name for word in words)]
    if not chosen:
        sys.exit(f"no fault is called {' or '.join(words)}: --list names all")
    return chosen


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name all faults")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="those with NAME in their name")
    parser.add_argument("--movements", type=int, default=5_000, help="the load of each")
    parser.add_argument("--chaos", action="store_true", help="one after another at random, under one load")
    parser.add_argument("--minutes", type=float, default=10, help="how long chaos lasts")
    parser.add_argument("--seed", type=int, help="the same choices again")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
