"""How the desk tells things: all reports there are (the services' and the desk's own), and reasons in a line of text."""

from collections.abc import Mapping

from shared.report import find_reports

PACKAGES = (
    "services.receiving.reports",
    "services.ledger.reports",
    "services.accounting.reports",
    "services.desk.reports",
)

REPORTS = find_reports(PACKAGES)


def reason_text(code: str, line: int | None, facts: Mapping[str, str]) -> str:
    """A reason in one line, as people read it."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    where = f" in line {line}" if line is not None else ""
    return f"{code}{where}" + (f": {told}" if told else "")
