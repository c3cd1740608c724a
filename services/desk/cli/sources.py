"""`stockbook sources`: what each source sent, what became of it, and which of its numbers did not arrive.

Exit code 0: nothing is missing, and no latest manifest differs. 3: a source owes us something, or has to be asked.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime

import typer

from services.desk.cli.options import parse_age
from services.desk.cli.reconciling import VERDICTS, reconciled_lines
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.servers import reading
from services.desk.store.sources import Source, day_of, sources
from services.receiving.decide.spans import Span, size, told
from shared.errors import StockbookError
from shared.printable import printable
from shared.report import Column, Kind, Row
from shared.settings import Settings

NEEDS_A_PERSON = 3
SPANS_SHOWN = 5
_LIST = listing(
    "Sources",
    [
        Column("source"),
        Column("last_number", Kind.COUNT),
        Column("owes", Kind.COUNT),
        Column("you_owe_us"),
        Column("used_twice"),
        Column("last_heard", Kind.TIME),
        *(Column(name, Kind.COUNT) for name in ("accepted", "rejected", "waiting", "parked")),
        Column("last_manifest", Kind.DATE),
        Column("result"),
    ],
)

app = typer.Typer(help="What each source sent, and which of its numbers did not arrive.", invoke_without_command=True)


@app.callback()
def list_sources(
    context: typer.Context,
    source: str | None = typer.Option(None, help="Only this upstream."),
    within: str = typer.Option("1d", help="How far back to look for when a source without numbers was last heard."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """List all sources. Exit code 0: nothing is missing; 3: a source owes something, or its manifest differs."""
    if context.invoked_subcommand is not None:
        return
    longest = parse_age(within)
    with reading(Settings.from_environment()) as connection:
        found = sources(connection, source, longest)
    if source is not None and not found:
        raise StockbookError("no such source is known", source=source)
    most = SPANS_SHOWN if form is Format.TABLE else None
    write_rows(_LIST, [_row(each, most) for each in found], form)
    if any(_needs_a_person(each) for each in found):
        raise typer.Exit(NEEDS_A_PERSON)


@app.command()
def show(
    source: str = typer.Argument(help="The upstream."),
    day: datetime | None = typer.Option(None, formats=["%Y-%m-%d"], help="The day of a manifest; else the last one."),
) -> None:
    """Show what a source owes, and how a day compares with its manifest. Exit code 3: it owes something, or differs."""
    with reading(Settings.from_environment()) as connection:
        found = sources(connection, source)
        if not found:
            raise StockbookError("no such source is known", source=source)
        last = found[0].manifest
        meant = day.date() if day is not None else last.day if last is not None else None
        said = day_of(connection, source, meant) if meant is not None else None
    if day is not None and said is None:
        raise StockbookError("the source sent no manifest of this day", source=source, day=day.date())
    lines = list(_tell(found[0]))
    if said is not None:
        lines.append(f"manifest {said.id}, taken {said.recorded_at:%Y-%m-%d %H:%M:%S}")
        answer = said.answer
        about = [VERDICTS[answer.result], *reconciled_lines(answer)] if answer is not None else ["not answered yet"]
        lines += [f"  {line}" for line in about]
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")
    if found[0].gaps or (said is not None and said.answer is not None and said.answer.result == "differs"):
        raise typer.Exit(NEEDS_A_PERSON)


def _row(source: Source, most: int | None) -> Row:
    manifest = source.manifest
    return (
        source.source,
        source.last_number,
        size(source.gaps),
        _spans(source.gaps, most),
        _spans([(number, number) for number in source.repeated], most),
        source.last_heard,
        source.accepted,
        source.rejected,
        source.waiting,
        source.parked,
        manifest.day if manifest is not None else None,
        _result(source),
    )


def _result(source: Source) -> str | None:
    if source.manifest is None:
        return None
    return VERDICTS[source.manifest.result] if source.manifest.result is not None else "not answered yet"


def _needs_a_person(source: Source) -> bool:
    return bool(source.gaps or source.repeated or (source.manifest is not None and source.manifest.result == "differs"))


def _tell(source: Source) -> Iterator[str]:
    numbered = "nothing with a number" if source.last_number is None else f"last number {source.last_number}"
    heard = f", last heard {source.last_heard:%Y-%m-%d %H:%M:%S}" if source.last_heard is not None else ""
    yield f"{source.source}: {numbered}{heard}"
    yield f"  {source.accepted} accepted, {source.rejected} rejected, {source.waiting} waiting, {source.parked} parked"
    if source.gaps:
        yield f"  you owe us {_spans(source.gaps)}: {size(source.gaps)} missing"
    if source.repeated:
        yield f"  one number of several movements: {_spans([(each, each) for each in source.repeated])}"


def _spans(spans: Sequence[Span], most: int | None = None) -> str | None:
    """Spans in words, so many at most."""
    if not spans:
        return None
    more = f" and {len(spans) - most} more" if most is not None and len(spans) > most else ""
    return ", ".join(map(told, spans[:most])) + more
