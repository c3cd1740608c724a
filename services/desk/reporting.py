"""How the desk tells things: all reports there are, and the reasons of a refusal in a line of text."""

from collections.abc import Mapping

from shared.report import find_reports

PACKAGES = (
    "services.receiving.reports",
    "services.ledger.reports",
    "services.accounting.reports",
    "services.aftercare.reports",
    "services.desk.reports",
)

REPORTS = find_reports(PACKAGES)


def reason_text(code: str, line: int | None, facts: Mapping[str, str]) -> str:
    """A reason in one line, as people read it."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    where = f" in line {line}" if line is not None else ""
    return f"{code}{where}" + (f": {told}" if told else "")
