"""`stockbook audit`: the heads of the chains, and audit files: written here, and checked by anybody."""

import gzip
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import typer

from services.desk.audit import verifier
from services.desk.audit.export import Part, export
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.servers import reading
from services.desk.store.chains import Standing, ask, at_one_moment, standings
from services.desk.working import works
from shared.chain import Chain
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.report import Column, Kind, Row
from shared.settings import Settings

_LIST = listing(
    "Heads of the chains",
    [
        Column("company"),
        Column("chain"),
        Column("position", Kind.COUNT),
        Column("hash"),
        Column("recorded_at", Kind.TIME),
        Column("told_position", Kind.COUNT),
        Column("told_at", Kind.TIME),
        Column("waiting", Kind.COUNT),
    ],
)

app = typer.Typer(help="Tamper evidence: heads of the chains of entries, audit files, and their check.")

_COMPANY = typer.Option(None, help="Only of this company.")


@app.command()
def head(
    company: str | None = _COMPANY,
    publish: bool = typer.Option(False, "--publish", help="Have the heads told now, as audit.head.v1 events."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """Show how far each chain has come; keep that elsewhere, and nothing before it changes unnoticed."""
    settings = Settings.from_environment()
    if publish:
        with works(settings) as at_work:
            with transaction(at_work.engine) as connection:
                asked = ask(connection, company)
            at_work.settle()
        sys.stdout.write(f"{asked} heads are told {'now' if at_work.pipeline else 'at the next sweep'}\n")
        return
    bring_links_up_to_date(settings)
    with reading(settings) as connection:
        found = standings(connection, company)
    write_rows(_LIST, [_row(each) for each in found], form)


@app.command("export")
def export_file(
    file: Path = typer.Argument(help="Where to write it; packed by gzip if its name ends in .gz."),
    company: str = typer.Option(..., help="The company's code."),
    chain: Chain | None = typer.Option(None, help="Only this chain."),
    first: int | None = typer.Option(None, "--from", min=1, help="From this position on; with --chain."),
    last: int | None = typer.Option(None, "--to", min=1, help="Up to this position; with --chain."),
) -> None:
    """Write the entries of a company, with the links that cover them, for somebody to check without us."""
    if chain is None and (first is not None or last is not None):
        raise StockbookError("positions are those of one chain: say --chain too")
    settings = Settings.from_environment()
    bring_links_up_to_date(settings)
    with reading(settings) as connection, _new(file) as out:
        at_one_moment(connection)
        lines = 0
        for line in export(connection, Part(company, chain, first, last)):
            out.write(line.encode())
            lines += 1
        waiting = sum(each.waiting for each in standings(connection, company))
    left_out = f"; {waiting} entries have no link yet, and are not in it" if waiting else ""
    sys.stdout.write(f"{lines} lines in {file}{left_out}\n")


@app.command()
def verify(
    file: Path = typer.Argument(help="An audit file."),
    heads: list[str] = typer.Option([], "--head", help="A published head: CHAIN:POSITION:HASH, or a file of heads."),
) -> None:
    """Check an audit file without the database. Exit code 0: it is sound; 3: it is not; 1: it is no audit file."""
    raise typer.Exit(verifier.verify(str(file), heads))


def bring_links_up_to_date(settings: Settings) -> None:
    """Where the services run inside the command, nobody else gives links to what has none yet."""
    if settings.broker_url is None:
        configure("warning")
        with works(settings) as at_work:
            at_work.settle()


def _row(standing: Standing) -> Row:
    hashed = standing.hash.hex() if standing.hash else None
    told = (standing.told_position or None, standing.told_at, standing.waiting)
    return (standing.company, standing.chain.value, standing.position, hashed, standing.recorded_at, *told)


@contextmanager
def _new(file: Path) -> Iterator[IO[bytes]]:
    """A file that is there only once it is whole."""
    part = file.with_name(f"{file.name}.part")
    try:
        with gzip.open(part, "wb", 6) if file.suffix == ".gz" else part.open("wb") as out:
            yield cast("IO[bytes]", out)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
