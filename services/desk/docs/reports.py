"""The page about reports: what each is for, what narrows it down, its columns, and what it prints of the examples.

What a report is for is the docstring of its module; the rest is taken from the report, and from a database in which the
examples have been played, so the page and the reports cannot disagree.
"""

import io
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import Connection

from services.desk.cli.picturing import pictures
from services.desk.cli.questions import expired_rows
from services.desk.cli.report import option
from services.desk.docs import ROOT
from services.desk.examples import LAST_DAY, played
from services.desk.reporting import REPORTS
from services.desk.servers import bring_up_to_date
from shared.db import transaction
from shared.embedded_postgres import EmbeddedPostgres
from shared.logs import configure
from shared.report import Column, Filters, Kind, Report, Row, read_report, shown_value

PAGE = Path("docs/reports.md")
ROWS_SHOWN = 6
CELL_SHOWN = 60

_DAY = LAST_DAY.date()
_ASKED: Mapping[str, Mapping[str, Any]] = {
    "ageing": {"company": "AMA", "on": _DAY},
    "batch-ledger": {"batch": "ROSE-2026-003"},
    "changes": {"company": "AMA", "known_since": LAST_DAY.replace(day=1)},
    "account-changes": {"company": "AMA", "known_since": LAST_DAY.replace(day=1)},
    "expiry": {"company": "AMA", "on": _DAY},
    "general-ledger": {"company": "AMA", "account": "1325 on the way", "from_day": date(2026, 4, 21)},
    "gross-margin": {"company": "VOLT", "from_day": date(2026, 2, 6), "to_day": date(2026, 2, 14)},
    "outcomes": {"company": "VOLT"},
    "received-not-billed": {"company": "VOLT"},
    "returned-batches": {"company": "AMA"},
    "serial-status": {"item": "PHONE-PRO"},
    "stock-against-ledger": {"on": date(2026, 3, 31)},
    "stock-ledger": {"item": "CHARGER"},
}
_MEANINGS = {
    "company": "only of this company",
    "item": "only of this item",
    "warehouse": "only in this warehouse",
    "batch": "only of this batch",
    "serial": "only this serial",
    "account": "only of this account",
    "source": "only movements of this source",
    "id": "only movements of this id",
    "from_day": "from this day on, by posting date",
    "to_day": "up to this day and on it, by posting date",
    "on": "how things stood at the end of this day, and judged by it: a day in each company's own time zone",
    "as_of": "without what takes effect later: a time, or a day to its end in UTC",
    "known_at": "without what was recorded later: a time, or a day to its end in UTC",
    "known_since": "without what had been recorded by then",
}
_FORMS = {
    Kind.TEXT: "text",
    Kind.QUANTITY: "quantity, up to 6 places",
    Kind.MONEY: "money",
    Kind.RATE: "up to 9 places",
    Kind.DATE: "day",
    Kind.TIME: "time",
    Kind.COUNT: "whole number",
}
_HEAD = """\
# Reports

<!-- Written by `make docs` from the reports and the examples; not by hand. -->

    stockbook report                                      # the list
    stockbook report ageing --company AMA --on 2026-05-04
    stockbook report ageing --format csv > ageing.csv     # or json; exact, with every digit
    stockbook report ageing --format xlsx --output ageing.xlsx
    stockbook report stock-balance --as-of 2026-01-31 --known-at 2026-02-05

Column names stay as they are. CSV and JSON have decimals as they are kept, times in UTC, and nothing for what is not
there. XLSX has numbers, days and times (in UTC) as such; what has more than 15 digits, which a spreadsheet would
round, is text, and so is all that looks like a formula: CSV puts an apostrophe before it. Rows are written as they are
read, so a report of any length takes no more memory than a short one; only the table for people is laid out as a whole.
On a terminal, ageing and expiry have bars below their table (`--no-picture` leaves them out).

A report is read as of one moment, whatever comes in meanwhile. Masters (names, levels, the record of a batch) are those
of now, whatever time is asked for.
"""


def page(connection: Connection) -> str:
    """The page as Markdown, of a database in which the examples have been played."""
    text = [_HEAD, *_filters(), *_index(), *_questions(connection)]
    for report in REPORTS.values():
        text += _section(connection, report)
    return "\n".join(text).rstrip("\n") + "\n"


def _filters() -> Iterator[str]:
    yield "## What narrows a report down\n"
    yield "| option | |\n|---|---|"
    yield from (f"| `{option(name)}` | {meaning} |" for name, meaning in _MEANINGS.items())
    yield ""


def _index() -> Iterator[str]:
    yield "## All reports\n"
    yield "| report | what it tells |\n|---|---|"
    yield from (f"| [{each.name}](#{each.name}) | {_purpose(each)} |" for each in REPORTS.values())
    yield ""


def _questions(connection: Connection) -> Iterator[str]:
    yield "## Three questions\n"
    yield "**Which batches have expired?** The rows of [expiry](#expiry) that have.\n"
    yield _command(f"expired --on {_DAY}")
    yield from _table(REPORTS["expiry"].columns, expired_rows(connection, Filters(on=_DAY)))
    yield "**Which serials are in warranty?** All of [in-warranty](#in-warranty).\n"
    yield _command(f"in-warranty --on {_DAY} --company VOLT")
    yield from _report(connection, "in-warranty", Filters(on=_DAY, company="VOLT"))
    yield "**Which batch came back with a sales return?** One movement of [returned-batches](#returned-batches).\n"
    yield _command("return-batch ama-office SR-801")
    yield from _report(connection, "returned-batches", Filters(source="ama-office", id="SR-801"))


def _section(connection: Connection, report: Report) -> Iterator[str]:
    asked = _ASKED.get(report.name, {"on": _DAY} if "on" in report.takes else {})
    yield f"## {report.name}\n"
    yield f"{_docstring(report)}\n"
    taken = ", ".join(f"`{option(name)}`" for name in report.takes)
    yield f"Narrowed down by {taken}.\n" if taken else ""
    yield f"Columns: {', '.join(f'`{column.name}` ({_FORMS[column.kind]})' for column in report.columns)}.\n"
    given = "".join(f" {option(name)} {_quoted(value)}" for name, value in asked.items())
    yield _command(f"report {report.name}{given}")
    yield from _report(connection, report.name, Filters(**asked))


def _report(connection: Connection, name: str, filters: Filters) -> Iterator[str]:
    rows = read_report(REPORTS[name], connection, filters)
    yield from _table(REPORTS[name].columns, rows)
    for picture in pictures(REPORTS[name], rows):
        out = io.StringIO()
        Console(file=out, width=100).print(picture)
        lines = out.getvalue().splitlines()
        yield "\n".join(("```", *(line.rstrip() for line in lines), "```\n"))


def _table(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """The first rows; how many more there are."""
    found = list(rows)
    if not found:
        yield "*(nothing)*\n"
        return
    right = (Kind.QUANTITY, Kind.MONEY, Kind.RATE, Kind.COUNT)
    yield f"| {' | '.join(column.name for column in columns)} |"
    yield f"|{'|'.join('--:' if column.kind in right else '---' for column in columns)}|"
    for row in found[:ROWS_SHOWN]:
        yield f"| {' | '.join(_cell(column, value) for column, value in zip(columns, row, strict=True))} |"
    yield ""
    if len(found) > ROWS_SHOWN:
        yield f"… and {len(found) - ROWS_SHOWN} more.\n"


def _cell(column: Column, value: Any) -> str:
    text = shown_value(column, value).plain
    text = text if len(text) <= CELL_SHOWN else f"{text[: CELL_SHOWN - 1]}…"
    return text.replace("|", "\\|")


def _command(text: str) -> str:
    return f"```console\n$ stockbook {text}\n```\n"


def _quoted(value: Any) -> str:
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f'"{text}"' if " " in text else text


def _docstring(report: Report) -> str:
    return str(sys.modules[report.read.__module__].__doc__).strip()


def _purpose(report: Report) -> str:
    """What stands behind the title in its docstring."""
    return " ".join(_docstring(report).partition("\n\n")[0].partition(": ")[2].split())


def main() -> None:
    """Write the page anew, from the examples played on a server of their own."""
    configure("warning")
    with EmbeddedPostgres(None, durable=False) as server:
        bring_up_to_date(server.url)
        with played(server.url) as (pipeline, _), transaction(pipeline.engine) as connection:
            (ROOT / PAGE).write_text(page(connection), "utf-8")
    print(f"1 file: {PAGE}")


if __name__ == "__main__":
    main()
