"""Pictures in a terminal: bars of what a report's rows add up to, company by company, on one scale each."""

import sys
from collections.abc import Iterable
from decimal import Decimal

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.desk.cli.showing import LOOK
from shared.printable import printable
from shared.quantities import ZERO
from shared.report import Picture, Report, Row, shown_value

_WIDTH = 40


def draw(report: Report, rows: Iterable[Row]) -> None:
    """Print the picture of a report below its table; nothing where there are no rows."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    for picture in pictures(report, rows):
        console.print()
        console.print(picture)


def pictures(report: Report, rows: Iterable[Row]) -> list[Table]:
    """A table of bars for each company, the values of a bar beside it; what there is none of has no bar."""
    if report.picture is None:
        return []
    sums = _sums(report, report.picture, rows)
    return [_drawn(report, report.picture, company, of_company) for company, of_company in sums.items()]


def _sums(report: Report, picture: Picture, rows: Iterable[Row]) -> dict[str, dict[str, Decimal]]:
    """The sum of each bar, by company."""
    names = [column.name for column in report.columns]
    company, by, of = (names.index(name) for name in ("company", picture.by, picture.of))
    sums: dict[str, dict[str, Decimal]] = {}
    for row in rows:
        bars = sums.setdefault(row[company], dict.fromkeys(picture.order, ZERO))
        if row[by] is not None:
            bars[row[by]] += row[of]
    return sums


def _drawn(report: Report, picture: Picture, company: str, sums: dict[str, Decimal]) -> Table:
    column = next(each for each in report.columns if each.name == picture.of)
    longest = max(map(abs, sums.values())) or Decimal(1)
    title = printable(f"{report.title} of {company}: {picture.of} by {picture.by}")
    table = Table(title=Text(title), show_header=False, box=None, pad_edge=False, **LOOK)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for name, value in sums.items():
        bar = Bar(float(longest), 0, float(abs(value)), width=_WIDTH, color="red" if value < 0 else "cyan")
        table.add_row(Text(name), bar, shown_value(column, value))
    return table
