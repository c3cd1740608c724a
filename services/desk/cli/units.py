"""`stockbook unit` and `stockbook serials`: one unit with all that happened to it, and units by their attributes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer
from sqlalchemy import Connection

from services.aftercare.decide.coverage import coverage
from services.aftercare.decide.custody import attributes, custody, end_of_life
from services.aftercare.store.asked import Asked, asked
from services.desk.cli.options import parse_time
from services.desk.cli.report import FORMAT, OUTPUT, find, reading_at_one_moment
from services.desk.cli.writing import Format, write_rows
from shared.errors import StockbookError
from shared.printable import printable
from shared.report import Filters, Row, read_report, stream_report

_COMPANY = typer.Option(None, help="Only of this company.")
_AS_OF = typer.Option(None, "--as-of", help="Leave out what takes effect later: a time, or a day, to its end.")
_KNOWN_AT = typer.Option(None, "--known-at", help="Leave out what was recorded later: a time, or a day, to its end.")
_WHERE = typer.Option([], "--where", metavar="NAME=VALUE", help="Only units of which this holds; each of several.")


def unit(
    item: str = typer.Argument(help="The item's code."),
    serial: str = typer.Argument(help="The serial number."),
    company: str | None = _COMPANY,
    as_of: str | None = _AS_OF,
    known_at: str | None = _KNOWN_AT,
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """Tell how a unit stands, by what it is covered, and all that happened to it."""
    filters = _filters(company, item, serial, as_of, known_at)
    with reading_at_one_moment() as connection:
        found = list(asked(connection, filters))
        rows = read_report(find("unit-history"), connection, filters)
    if not rows:
        raise StockbookError("nothing is known of such a unit", item=item, serial=serial)
    if form is Format.TABLE and output is None:
        for each in found:
            typer.echo("\n".join(printable(line) for line in _standing(each)) + "\n")
    write_rows(find("unit-history"), rows, form, output)


def serials(
    where: list[str] = _WHERE,
    company: str | None = _COMPANY,
    item: str | None = typer.Option(None, help="Only of this item."),
    as_of: str | None = _AS_OF,
    known_at: str | None = _KNOWN_AT,
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """List units by their attributes, those whose time has not run out."""
    wanted = dict(map(_pair, where))
    with reading_at_one_moment() as connection:
        rows = list(_with(connection, wanted, _filters(company, item, None, as_of, known_at)))
    write_rows(find("attributes"), rows, form, output)


def _with(connection: Connection, wanted: dict[str, str], filters: Filters) -> Iterator[Row]:
    """The attributes of all units that have every one that is wanted; without any, of all units."""
    by_unit: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in stream_report(find("attributes"), connection, filters):
        by_unit[tuple(row[:3])].append(row)
    return (row for rows in by_unit.values() if _have(rows, wanted) for row in rows)


def _have(rows: Iterable[Row], wanted: dict[str, str]) -> bool:
    return wanted.items() <= {row[3]: row[4] for row in rows}.items()


def _pair(given: str) -> tuple[str, str]:
    name, is_given, value = given.partition("=")
    if not is_given or not name:
        raise StockbookError("a condition is a name, =, and a value", given=given)
    return name, value


def _filters(
    company: str | None, item: str | None, serial: str | None, as_of: str | None, known_at: str | None
) -> Filters:
    then, known = (None if each is None else parse_time(each) for each in (as_of, known_at))
    return Filters(company=company, item=item, serial=serial, as_of=then, known_at=known)


def _standing(of: Asked) -> Iterator[str]:
    """How a unit stands, a line for each thing that there is to say."""
    holds = custody(of.dossier)
    where = [each for each in (holds.place, holds.custodian) if each]
    yield f"{of.unit.item} {of.unit.serial} ({of.unit.company}): {holds.status.value} {', '.join(where)}".rstrip()
    if holds.due_back is not None:
        yield f"  due back {holds.due_back}" + (" (overdue)" if holds.due_back < of.day else "")
    for each in coverage(of.unit, of.dossiers):
        until = f"until {each.last}" if each.last is not None else "without end"
        state = "" if each.covers(of.day) else ", not on this day"
        taken = f", from {each.inherited_from.serial}" if each.inherited_from is not None else ""
        yield f"  {each.kind.value} coverage {each.reference} from {each.first} {until}{taken}{state}"
    for name, held in attributes(of.dossier, of.day).items():
        yield f"  {name}={held.value}" + (f" until {held.until}" if held.until is not None else "")
    if (last := end_of_life(of.dossier)) is not None:
        yield f"  end of life {last}"
