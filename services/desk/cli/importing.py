"""`stockbook import`: items, warehouses, batches, serials and opening stock from CSV and XLSX.

Rows become messages as any source would send them, through the gate and nowhere else. All rows are read before the
first message is sent; what is wrong with any of them stands in one file, with what the gate refuses.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo
from enum import StrEnum
from hashlib import file_digest
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection

from services.desk.cli.asking import ask
from services.desk.cli.showing import say
from services.desk.events import Event
from services.desk.importing.answers import NO_OUTCOME, Answers
from services.desk.importing.cells import Ways
from services.desk.importing.columns import SUBJECTS, Subject, fields_of
from services.desk.importing.completing import lacking, opened_before
from services.desk.importing.faults import Fault, Unreadable, errors_file, write_faults
from services.desk.importing.reading import Plan, read_rows
from services.desk.importing.staging import Staging
from services.desk.importing.tables import opened
from services.desk.importing.template import print_template, write_template
from services.desk.pipeline import utc_now
from services.desk.servers import database, reading
from shared.contracts.codec import Malformed, SourceName, decoder, read, write
from shared.errors import StockbookError
from shared.logs import configure
from shared.settings import Settings

FAULTS_SHOWN = 20
UNANSWERED = 3
"""The exit code where some messages have no answer yet."""

MISSING = "no answer in time: import the same file again, nothing is taken twice; see also `stockbook parked`"

Bars = Callable[[str, int | None], Callable[[int], None]]

What = StrEnum("What", {name: name for name in SUBJECTS})  # type: ignore[misc]  # its members are the subjects

_source_name = decoder(SourceName)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What whoever imports asks for."""

    subject: Subject
    file: Path
    source: str
    company: str | None
    ways: Ways
    encoding: str | None
    sheet: str | None
    is_dry_run: bool
    all_or_nothing: bool
    is_whole: bool
    again: bool
    timeout: float


def import_table(
    what: What = typer.Argument(help="What the rows are."),
    file: Path | None = typer.Argument(None, help="A CSV or XLSX file; its first row names the columns."),
    template: bool = typer.Option(False, "--template", help="Write an empty table: to FILE, or as CSV on the screen."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Check every row as far as can be; nothing takes effect."),
    all_or_nothing: bool = typer.Option(False, "--all-or-nothing", help="Send nothing if any row is found wrong."),
    company: str | None = typer.Option(None, help="The company of all rows, where the table has no such column."),
    source: str = typer.Option("desk", help="The upstream for which the messages speak."),
    time_zone: str = typer.Option("UTC", help="The zone of times that name none."),
    encoding: str | None = typer.Option(None, help="Of a CSV file that is not UTF-8, such as cp1252."),
    sheet: str | None = typer.Option(None, help="The sheet of an XLSX file; by default the first."),
    as_written: bool = typer.Option(False, "--as-written", help="Take numbers in columns of text as they stand."),
    whole: bool = typer.Option(False, "--whole", help="What the table has no column for is taken back to nothing."),
    again: bool = typer.Option(False, "--again", help="Send all rows anew, also those that were answered before."),
    timeout: float = typer.Option(70, min=0, help="How many seconds to wait for answers, once all is sent."),
) -> None:
    """Import a table: rows of what is there already update it. What is wrong stands in FILE.errors.csv.

    Good rows are taken, whatever others are. Exit code 0 if all were, 1 if not, 3 if some have no answer yet: then
    import the same file again, for nothing is taken twice.
    """
    subject = SUBJECTS[what.value]
    if template:
        write_template(subject, file) if file is not None else print_template(subject, sys.stdout)
        return
    if file is None:
        raise typer.BadParameter("say which file, or --template", param_hint="FILE")
    if again and not subject.key:
        raise typer.BadParameter(
            "opening stock is never taken twice; see `stockbook rejected retry`", param_hint="--again"
        )
    configure("warning")
    wishes = Wishes(
        subject,
        file,
        _checked_source(source),
        company,
        Ways(_zone(time_zone), as_written),
        encoding,
        sheet,
        dry_run,
        all_or_nothing,
        whole,
        again,
        timeout,
    )
    code = _import(wishes, Settings.from_environment())
    if code:
        raise typer.Exit(code)


def _checked_source(source: str) -> str:
    try:
        return read(_source_name, write(source))
    except Malformed:
        raise StockbookError("a source is lower case letters, digits and -", given=source) from None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise StockbookError("there is no such time zone", time_zone=name) from None


def _import(wishes: Wishes, settings: Settings) -> int:
    """Read, send and hear; the exit code."""
    begun = utc_now()
    if not wishes.file.is_file():
        raise Unreadable("there is no such file", file=wishes.file)
    with ExitStack() as stack:
        if settings.broker_url is None:
            settings = replace(settings, database_url=stack.enter_context(database(settings)))
        spool = stack.enter_context(TemporaryFile())
        bars = stack.enter_context(_bars())
        salt = uuid4().hex if wishes.again else ""
        staging = Staging(spool, wishes.subject, wishes.source, _content(wishes.file), salt)
        result = _read(wishes, settings, staging, bars)
        if wishes.is_dry_run or wishes.all_or_nothing:
            _try(wishes, settings, staging, bars, result)
        if not wishes.is_dry_run and not (wishes.all_or_nothing and result.faults):
            answers = Answers(staging, begun, heard=bars("importing", staging.count))
            _ask(staging.events(), answers, wishes, settings)
            result.note(answers)
    errors = errors_file(wishes.file)
    write_faults(result.faults, errors)
    say(_told(wishes, result, errors))
    return result.exit_code


@dataclass(slots=True)
class Result:
    """How many rows there were, how many were taken, also by an earlier import, and what is wrong with others."""

    rows: int
    faults: list[Fault]
    taken: int = 0
    taken_before: int = 0

    @property
    def exit_code(self) -> int:
        """What the command says to a script."""
        return UNANSWERED if any(each.code == NO_OUTCOME for each in self.faults) else int(bool(self.faults))

    def note(self, answers: Answers) -> None:
        """Take over what was answered, and what was not."""
        self.taken, self.taken_before = answers.taken, answers.taken_before
        self.faults += [*answers.faults, *answers.missing(MISSING)]


def _read(wishes: Wishes, settings: Settings, staging: Staging, bars: Bars) -> Result:
    with opened(wishes.file, encoding=wishes.encoding, sheet=wishes.sheet) as table, ExitStack() as stack:
        has_database = settings.database_url is not None
        connection = stack.enter_context(reading(settings)) if has_database else None
        plan = _plan(wishes, table.header, connection)
        found = read_rows(table, plan, staging, bars("reading", None))
        if connection is not None and not wishes.subject.key:
            found.faults += _opened_before(connection, wishes, staging)
        return Result(found.rows, found.faults)


def _plan(wishes: Wishes, header: list[str], connection: Connection | None) -> Plan:
    subject = wishes.subject
    given = {"company": wishes.company} if wishes.company is not None else {}
    fields = fields_of(subject, header, frozenset(given))
    lacks = lacking(subject, fields)
    if lacks and connection is None and not wishes.is_whole:
        raise Unreadable(
            "nobody knows what is kept of what the table has no column for: name STOCKBOOK_DATABASE_URL, or say "
            "--whole, and it is taken back to nothing",
            lacking=", ".join(lacks),
        )
    judges = bool(subject.key) and (wishes.is_dry_run or wishes.all_or_nothing)
    return Plan(subject, fields, given, wishes.ways, connection, bool(lacks) and not wishes.is_whole, judges)


def _opened_before(connection: Connection, wishes: Wishes, staging: Staging) -> Iterator[Fault]:
    """Withhold documents that were imported before with another content: their stock would be there twice."""
    for name, before in opened_before(connection, wishes.source, staging.movements()).items():
        message = (
            f"this document was imported before, with another content, as {wishes.source} {before}: cancel that, or "
            "give what is new a document of its own"
        )
        yield Fault(staging.row_of(name), "", "opened_before", before, message)
        staging.withdraw(name)


def _try(wishes: Wishes, settings: Settings, staging: Staging, bars: Bars, result: Result) -> None:
    """Have movements tried; definitions know no dry run, and were judged while they were read."""
    if wishes.subject.key:
        return
    answers = Answers(staging, utc_now(), is_trial=True, heard=bars("trying", staging.count))
    _ask(staging.events(is_trial=True), answers, wishes, settings)
    result.faults += [*answers.faults, *answers.missing(MISSING)]


def _ask(events: Iterator[Event], answers: Answers, wishes: Wishes, settings: Settings) -> None:
    patience = wishes.timeout if settings.broker_url is not None else 0.0
    ask(events, [wishes.source], settings, answers, patience)


def _content(file: Path) -> str:
    with file.open("rb") as content:
        return file_digest(content, "blake2b").hexdigest()


@contextmanager
def _bars() -> Iterator[Bars]:
    """Bars on standard error: called with what is being done and how much of it, one tells how far it is."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as progress:

        def bar(doing: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(doing, total=total)
            return lambda count: progress.advance(task, count)

        yield bar


def _told(wishes: Wishes, result: Result, errors: Path) -> Iterator[str]:
    """What came of it in lines of text, with the first faults."""
    for each in sorted(result.faults, key=lambda fault: fault.row)[:FAULTS_SHOWN]:
        where = f" {each.column}" if each.column else ""
        value = f" {each.value!r}" if each.value else ""
        yield f"row {each.row}{where}: {each.code}{value}: {each.message}"
    if len(result.faults) > FAULTS_SHOWN:
        yield f"and {len(result.faults) - FAULTS_SHOWN} more"
    yield _summary(wishes, result) + (f"; see {errors}" if result.faults else "")


def _summary(wishes: Wishes, result: Result) -> str:
    bad = len({each.row for each in result.faults})
    wrong = f", {bad} with errors" if bad else ""
    if wishes.is_dry_run:
        return f"{result.rows} rows, nothing was sent{wrong}"
    if wishes.all_or_nothing and not result.taken and result.faults:
        return f"nothing was sent: of {result.rows} rows {bad} have errors"
    before = f" ({result.taken_before} had been taken before)" if result.taken_before else ""
    return f"{result.taken} of {result.rows} rows taken{before}{wrong}"
