"""`python -m tests.fuzz --inputs N --seed S --target decoding|intake|rabbitmq`: figures and findings."""

import argparse
import logging
import sys

import structlog

from tests.fuzz import corpus, decoding, intake
from tests.fuzz.tally import Tally

TARGETS = {"decoding": decoding.run, "intake": intake.run, "rabbitmq": intake.run_on_rabbitmq}


def main() -> int:
    """Run a target, print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", choices=TARGETS, default="decoding")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gather", action="store_true", help="Only write the corpus anew, out of such inputs.")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if asked.gather:
        sys.stdout.write(f"{corpus.gather(asked.seed, asked.inputs)} inputs in the corpus\n")
        return 0
    tally = Tally(asked.target, asked.seed)
    TARGETS[asked.target](tally, asked.inputs)
    tally.end()
    sys.stdout.writelines(f"{line}\n" for line in tally.lines())
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
