"""`stockbook recalls` and `stockbook recall`: recalls at a glance, and one with whom to reach and its evidence."""

import getpass
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import Engine

from services.desk.cli.audit import bring_links_up_to_date
from services.desk.cli.branches import show
from services.desk.cli.recalling import tell
from services.desk.cli.report import FORMAT, OUTPUT
from services.desk.cli.showing import say
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.recall.evidence import Made, closing, digest, evidence, write_new
from services.desk.recall.finding import Findings, find_out, must_find
from services.desk.recall.listing import COLUMNS as EACH
from services.desk.recall.listing import STATES, lines
from services.desk.recall.rows import COLUMNS, document, rows
from services.desk.servers import database, reading
from services.desk.store.chains import Standing, standings
from services.desk.store.recalls import Marks, behind, goods_of, marks_of
from services.desk.trace.goods import Key
from services.desk.trace.tracing import hold_still
from shared.db import open_engine, transaction
from shared.errors import StockbookError
from shared.printable import printable_json
from shared.report import Filters
from shared.settings import Settings

ALL = "all"
PAUSE = 0.1
"""Seconds from look to look whether the ledger has posted what the gate accepted."""

_STATE: Any = typer.Option(STATES[0], "--state", help=f"Only recalls that stand so: {', '.join(STATES)}, {ALL}.")


def recalls(
    state: str = _STATE,
    company: str | None = typer.Option(None, help="Only of this company."),
    item: str | None = typer.Option(None, help="Only those that goods of this item belong to."),
    batch: str | None = typer.Option(None, help="Only those that goods of this batch belong to."),
    source: str | None = typer.Option(None, help="Only recalls of this source."),
    identifier: str | None = typer.Option(None, "--id", help="Only the recall of this id."),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
) -> None:
    """List recalls: how many goods and customers each has, what came back, and what is still out."""
    if state not in (*STATES, ALL):
        raise StockbookError("no recall stands so", state=state, known=", ".join((*STATES, ALL)))
    filters = Filters(company=company, item=item, batch=batch, source=source, id=identifier)
    states = STATES if state == ALL else (state,)
    with reading(Settings.from_environment()) as connection:
        hold_still(connection)
        write_rows(listing("Recalls", EACH), lines(connection, filters, states), form, output)


def recall(
    source: str = typer.Argument(help="The system that opened the recall."),
    identifier: str = typer.Argument(metavar="ID", help="The recall, by its id there."),
    form: Format = FORMAT,
    output: Path | None = OUTPUT,
    evidence_file: Path | None = typer.Option(None, "--evidence", help="Write the evidence to this file, a new one."),
    check: Path | None = typer.Option(None, "--check", help="Say whether this file closed the recall."),
    actor: str | None = typer.Option(None, help="Who makes the evidence; without it, the user of this computer."),
    reason: str = typer.Option("as the evidence file tells", help="Why the recall is to be closed."),
    release: bool = typer.Option(False, "--release", help="A false alarm: whoever closes it lets its goods go."),
    wait: float = typer.Option(5.0, min=0.0, help="How many seconds the ledger may take to post all."),
) -> None:
    """Say whom to reach about a recall, and what stands where; exit code 3: that is not all of it, or not that file."""
    key = (source, identifier)
    if check is not None:
        _check(key, check)
        return
    found, seconds, heads = _find(key, wait, with_heads=evidence_file is not None)
    if evidence_file is not None:
        _write_evidence(found, seconds, heads, evidence_file, (actor or getpass.getuser(), reason), release=release)
    elif output is not None and form is Format.TABLE:
        raise StockbookError("into a file goes one of the other forms", output=output, form=form.value)
    else:
        _FORMS.get(form, _write_list)(found, seconds, form, output)
    if not found.is_whole:
        raise typer.Exit(3)


def _find(key: Key, patience: float, *, with_heads: bool) -> tuple[Findings, float, Sequence[Standing]]:
    """All about a recall, in how many seconds it was found, and how far the chains had come at the same moment."""
    settings = Settings.from_environment()
    if with_heads:
        bring_links_up_to_date(settings)
    with database(settings) as url:
        engine = open_engine(url)
        try:
            began = time.perf_counter()
            marks = _let_it_post(engine, key, patience)
            with transaction(engine) as connection:
                hold_still(connection)
                found = find_out(connection, must_find(connection, key), marks)
                seconds = time.perf_counter() - began
                return found, seconds, standings(connection, found.recall.company) if with_heads else ()
        finally:
            engine.dispose()


def _let_it_post(engine: Engine, key: Key, patience: float) -> Marks:
    """Wait until all is posted that the gate has accepted of such goods by now, for so many seconds at most."""
    deadline = time.monotonic() + patience
    with transaction(engine) as connection:
        recall = must_find(connection, key)
        marks = marks_of(connection, recall.company, goods_of(connection, recall))
    while True:
        with transaction(engine) as connection:
            lacking = behind(connection, recall.company, marks).changes
        if not lacking or time.monotonic() > deadline:
            return marks
        time.sleep(PAUSE)


def _write_evidence(
    found: Findings, seconds: float, heads: Sequence[Standing], file: Path, why: tuple[str, str], *, release: bool
) -> None:
    """Write the file, and say by which message it closes the recall, or lets its goods go; `why`: who, and why."""
    made = Made(datetime.now(UTC), why[0], version("stockbook"))
    content = evidence(found, seconds, heads, made)
    write_new(file, content)
    told = [f"{file}", f"SHA-256 {digest(content)}"]
    if found.recall.closed_at is None or (release and found.recall.released_at is None):
        doing = "close the recall with" if found.recall.closed_at is None else "release its goods with"
        told += [doing, closing(found.recall, digest(content), *why, release=release)]
    if not found.is_whole:
        told += [f"not all of it: {', '.join(found.gaps)}"]
    say(told)


def _check(key: Key, file: Path) -> None:
    """Whether a file is the one whose digest closed a recall; typer.Exit with 3 where it is another."""
    with reading(Settings.from_environment()) as connection:
        recall = must_find(connection, key)
    if recall.evidence is None:
        raise StockbookError("the recall is not closed: no evidence was told of", source=key[0], id=key[1])
    if not file.is_file():
        raise StockbookError("there is no such file", file=file)
    found = digest(file.read_bytes())
    if found == recall.evidence:
        say([f"{file} is the evidence that closed the recall at {recall.closed_at:%Y-%m-%d %H:%M:%S}"])
        return
    if found == recall.released_evidence:
        say([f"{file} is the evidence that released its goods at {recall.released_at:%Y-%m-%d %H:%M:%S}"])
        return
    say([f"{file} is NOT the evidence that closed the recall: its SHA-256 is {found}, that was {recall.evidence}"])
    raise typer.Exit(3)


def _write_json(found: Findings, seconds: float, form: Format, output: Path | None) -> None:  # noqa: ARG001 - one shape
    text = printable_json(json.dumps(document(found, seconds), ensure_ascii=False, indent=2)) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _write_list(found: Findings, seconds: float, form: Format, output: Path | None) -> None:  # noqa: ARG001 - as above
    title = f"To reach about {found.recall.source} {found.recall.id}"
    write_rows(listing(title, COLUMNS), rows(found), form, output)


_FORMS: Mapping[Format, Callable[[Findings, float, Format, Path | None], None]] = {
    Format.TABLE: lambda found, seconds, *_: show(tell(found, seconds)),
    Format.JSON: _write_json,
}
