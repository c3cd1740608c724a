"""`stockbook conform`: recorded histories played through the services and compared with the record."""

import sys
from pathlib import Path
from textwrap import shorten

import typer

from services.desk.conform.playing import Result, clock, play
from services.desk.conform.scenario import load, load_pending
from services.desk.pipeline import Pipeline
from services.desk.servers import database
from shared.logs import configure
from shared.settings import Settings

SHOWN = 4
LONGEST = 160
"""How many differences of a scenario are printed, and how many characters of each."""


def conform(
    folder: Path = typer.Argument(help="Where the scenarios lie, *.json; pending.txt names those that may fail."),
    verbose: bool = typer.Option(False, "--verbose", help="Print every difference, of pending ones too."),
) -> None:
    """Play every scenario of a folder and say which differ from the record; exit code 0 if none does."""
    configure("critical")  # scenarios are full of refusals and surprises; what matters is printed here
    settings = Settings.from_environment()
    scenarios = load(folder)
    with database(settings, temporary=True) as url, Pipeline(url, settings.broker_url, clock, settings) as pipeline:
        results = play(scenarios, pipeline)
    lines, failed = judge(results, load_pending(folder), verbose=verbose)
    sys.stdout.write("\n".join(lines) + "\n")
    if failed:
        raise typer.Exit(1)


def judge(results: list[Result], pending: frozenset[str], *, verbose: bool = False) -> tuple[list[str], int]:
    """A line for each result and one at the end, and how many failed. A pending one that passes fails."""
    lines, verdicts = [], []
    for result in results:
        verdict, told = _verdict(result, result.scenario.name in pending, verbose)
        verdicts.append(verdict)
        lines.append(f"{verdict} {told}")
    unknown = sorted(pending - {result.scenario.name for result in results})
    lines += [f"FAIL {name}: pending.txt names it, and there is no such scenario" for name in unknown]
    passed, waiting = verdicts.count("PASS"), verdicts.count("PENDING")
    failed = len(verdicts) - passed - waiting + len(unknown)
    return [*lines, f"{passed} passed, {failed} failed, {waiting} pending"], failed


def _verdict(result: Result, pending: bool, verbose: bool) -> tuple[str, str]:
    name = result.scenario.name
    shown = len(result.differences) if verbose else SHOWN
    told = "; ".join(each if verbose else shorten(each, LONGEST) for each in result.differences[:shown])
    more = len(result.differences) - shown
    told += f"; and {more} more" if more > 0 else ""
    if pending and result.differences:
        return "PENDING", f"{name}: {told}" if verbose else name
    if pending:
        return "FAIL", f"{name}: it passes, strike it off pending.txt"
    if result.differences:
        return "FAIL", f"{name}: {told}"
    differs = f" (differs: {', '.join(result.scenario.rules)})" if result.scenario.rules else ""
    return "PASS", name + differs
