"""`stockbook verify`: whether all that is kept fits together, on a live system, and which rows do not.

Exit code 0: it does. 3: it does not, and every wrong row is named. 1: it could not be looked at.
"""

import sys
import time
from dataclasses import asdict
from enum import StrEnum

import msgspec
import typer

from services.desk.cli.options import parse_age
from services.desk.servers import reading
from services.desk.verify import CHECKS, Finding, Looked, chosen, count_entries, hold_still, verify
from shared.contracts.codec import write
from shared.printable import printable, printable_json
from shared.settings import Settings

FINDINGS = 3
_NAMES = ", ".join(check.name for check in CHECKS)


class VerifyFormat(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"


def verify_books(
    company: str | None = typer.Option(None, help="Only the books of this company."),
    only: list[str] = typer.Option([], help=f"Only this check; may be given several times: {_NAMES}."),
    quick: bool = typer.Option(False, "--quick", help="Leave out what goes through every row and message."),
    late: str = typer.Option("15m", help="How long something may be on its way, or wait, unnoticed."),
    limit: int = typer.Option(100, min=1, help="How many findings of each check are told."),
    form: VerifyFormat = typer.Option(VerifyFormat.TEXT, "--format", help="How to write it."),
) -> None:
    """Look whether all books fit together. Exit code 0: they do; 3: they do not, and every wrong row is named."""
    checks, began = chosen(only, quick=quick), time.monotonic()
    looked: list[Looked] = []
    with reading(Settings.from_environment()) as connection:
        scope = hold_still(connection, company, limit, parse_age(late))
        for each in verify(connection, scope, checks):
            looked.append(each)
            if form is VerifyFormat.TEXT:
                _tell(each)
        entries = count_entries(connection, scope)
    seconds = time.monotonic() - began
    if form is VerifyFormat.TEXT:
        sys.stdout.write(f"{summary(looked, entries, seconds)}\n")
    else:
        whole = write(_whole(looked, entries, seconds))
        sys.stdout.write(printable_json(msgspec.json.format(whole).decode()) + "\n")
    if any(each.findings for each in looked):
        raise typer.Exit(FINDINGS)


def summary(looked: list[Looked], entries: int, seconds: float) -> str:
    """What came of it, in a line."""
    wrong = [each for each in looked if each.findings]
    if not wrong:
        return f"verify: OK — {_number(len(looked), 'check')}, {entries:,} entries in {seconds:.1f} s"
    findings = sum(len(each.findings) for each in wrong)
    more = "at least " if any(each.more for each in wrong) else ""
    return f"verify: {more}{_number(findings, 'finding')} in {_number(len(wrong), 'check')}"


def _tell(looked: Looked) -> None:
    state = "wrong" if looked.findings else "ok"
    sys.stdout.write(f"{state:<6}{looked.check.name:<12}{looked.seconds:>7.1f} s  {looked.check.what}\n")
    for finding in looked.findings:
        sys.stdout.write(f"  {printable(_line(finding))}\n")
    if looked.more:
        sys.stdout.write("  … and more: --limit\n")
    sys.stdout.flush()


def _line(finding: Finding) -> str:
    key = ", ".join(f"{name} {value}" for name, value in finding.key.items())
    return f"{finding.table} ({key}): {finding.what} must be {finding.expected}, is {finding.found}"


def _whole(looked: list[Looked], entries: int, seconds: float) -> dict[str, object]:
    return {
        "ok": not any(each.findings for each in looked),
        "entries": entries,
        "seconds": round(seconds, 1),
        "checks": [
            {
                "check": each.check.name,
                "findings": len(each.findings),
                "more": each.more,
                "seconds": round(each.seconds, 1),
            }
            for each in looked
        ],
        "findings": [{"check": each.check.name, **asdict(finding)} for each in looked for finding in each.findings],
    }


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
