"""`stockbook parked`: what the services could not work on: look at it, send it again, put it right, or discard it."""

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import typer
from sqlalchemy import Connection, Engine

from services.desk.cli.options import until
from services.desk.cli.showing import say
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.redriving import Pace, check_body, message_of, redrive
from services.desk.servers import reading
from services.desk.store.standing import database_time
from services.desk.working import Works, works
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.migrate import SERVICES
from shared.parked import Choice, Kept, count_parked, discard_parked, edit_parked, find_parked, read_edits, read_parked
from shared.report import Column, Kind, Row
from shared.settings import Settings

_SHORT = 100
_SHORT_ID = 8
_MANY = 1_000
_NAMES = (*map(Column, ("service", "id", "reason", "type", "source", "movement")), Column("times", Kind.COUNT))
_TIMES = (Column("first_seen", Kind.TIME), Column("last_seen", Kind.TIME))
_LIST = listing("Parked", [*_NAMES, *_TIMES, Column("error")])
_DISCARDED = listing("Discarded", [*_NAMES, Column("discarded_at", Kind.TIME), Column("actor"), Column("because")])
_GOES = listing("What would be sent", [*_NAMES, Column("exchange"), Column("routing_key"), Column("note")])

app = typer.Typer(help="What the services could not work on: look at it, send it again, put it right, discard it.")


class Name(StrEnum):
    """A service."""

    RECEIVING = "receiving"
    LEDGER = "ledger"
    ACCOUNTING = "accounting"
    AFTERCARE = "aftercare"


_SERVICE = typer.Option(None, help="Only of this service.")
_REASON = typer.Option(None, help="Only what was parked for this reason.")
_TYPE = typer.Option(None, "--type", help="Only of this type, such as movement.requested.v1.")
_SOURCE = typer.Option(None, help="Only of this upstream.")
_OLDER = typer.Option(None, help="Only what was parked for the first time so long ago: 90s, 15m, 2h, 7d.")
_ID = typer.Argument(help="The message's id, or how it begins.")
_ACTOR = typer.Option(..., help="Who does it.")
_BECAUSE = typer.Option(..., "--reason", help="Why.")


@app.command("list")
def list_parked(
    service: Name | None = _SERVICE,
    reason: str | None = _REASON,
    kind: str | None = _TYPE,
    source: str | None = _SOURCE,
    older_than: str | None = _OLDER,
    discarded: bool = typer.Option(False, "--discarded", help="What was discarded, with who did it and why."),
    limit: int = typer.Option(_MANY, min=1, help="How many to list at most, of each service."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """List what is parked, the oldest first."""
    with reading(Settings.from_environment()) as connection:
        choice = Choice(reason, kind, source, until(older_than, database_time(connection)), None, discarded)
        found = [(name, each) for name in _names(service) for each in read_parked(connection, name, choice, limit)]
    rows = [_row(name, each, short=form is Format.TABLE) for name, each in found]
    write_rows(_DISCARDED if discarded else _LIST, rows, form)


@app.command()
def show(
    identifier: str = _ID,
    service: Name | None = _SERVICE,
    body: bool = typer.Option(False, "--body", help="Only the body, as it is: to be edited in a file."),
) -> None:
    """Show one message: what is known of it, its error, its body, and what was done to that."""
    with reading(Settings.from_environment()) as connection:
        name, found = _one(connection, identifier, service)
        edits = list(_tell_edits(connection, name, found.number))
    if body and not sys.stdout.isatty():
        sys.stdout.buffer.write(found.message.body)
    elif body:
        say(_readable(found.message.body).splitlines())
    else:
        say([*_tell(name, found), *edits])


@app.command("redrive")
def redrive_parked(
    identifiers: list[str] | None = typer.Argument(None, metavar="[ID]...", help="Only these; or how they begin."),
    service: Name | None = _SERVICE,
    reason: str | None = _REASON,
    kind: str | None = _TYPE,
    source: str | None = _SOURCE,
    older_than: str | None = _OLDER,
    everything: bool = typer.Option(False, "--all", help="Everything; needed where nothing narrows it down."),
    rate: float | None = typer.Option(None, min=0.01, help="How many in a second at most."),
    limit: int | None = typer.Option(None, min=1, help="How many in all."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list what would be sent, and where to."),
) -> None:
    """Send messages again to where they came from; each leaves the list when the broker has confirmed it."""
    if not (identifiers or service or reason or kind or source or older_than or everything):
        raise StockbookError("say which: ids, --service, --reason, --type, --source, --older-than, or --all")
    configure("critical")  # what is parked again is told here
    with works(Settings.from_environment()) as at_work:
        with transaction(at_work.engine) as connection:
            now = database_time(connection)
            ids = [_find(connection, each, service)[1] for each in identifiers] if identifiers else None
        choice = Choice(reason, kind, source, until(older_than, now) or now, ids)
        if dry_run:
            write_rows(_GOES, _plan(at_work.engine, _names(service), choice, limit), Format.TABLE)
            return
        told = _send(at_work, _names(service), choice, Pace(rate, limit))
    say(told)


@app.command()
def edit(
    identifier: str = _ID,
    file: Path = typer.Argument(help="The new body; -: standard input."),
    actor: str = _ACTOR,
    because: str = _BECAUSE,
    service: Name | None = _SERVICE,
) -> None:
    """Replace a message's body; the old one is kept, with who did it, when and why. Then redrive it."""
    body = _read(file)
    _insist_on(actor, because)
    with reading(Settings.from_environment()) as connection:
        name, found = _one(connection, identifier, service)
        check_body(found.message, body)
        if not edit_parked(connection, name, found, body, actor, because):
            raise StockbookError("it was discarded, or somebody else has just taken or changed it", id=found.number)
    sys.stdout.write(f"replaced; stockbook parked redrive {found.number} sends it\n")


@app.command()
def discard(
    identifier: str = _ID, actor: str = _ACTOR, because: str = _BECAUSE, service: Name | None = _SERVICE
) -> None:
    """Hide a message for good. It is never deleted: `stockbook parked list --discarded` shows it."""
    _insist_on(actor, because)
    with reading(Settings.from_environment()) as connection:
        name, number = _find(connection, identifier, service)
        if not discard_parked(connection, name, number, actor, because):
            raise StockbookError("it was discarded before", id=number)
    sys.stdout.write(f"discarded {number}\n")


def _names(service: Name | None) -> Sequence[str]:
    return SERVICES if service is None else [service]


def _send(at_work: Works, services: Sequence[str], choice: Choice, pace: Pace) -> list[str]:
    """Send what was chosen again; what there is to say about it."""
    publisher = at_work.broker.publisher()
    told, left = [], pace.limit
    for name in services:
        sent = sum(map(len, redrive(at_work.engine, publisher, name, choice, Pace(pace.rate, left))))
        left = None if left is None else left - sent
        told += [f"{sent} sent again to {name}"] if sent else []
    publisher.close()
    if at_work.pipeline is None or not told:
        return told or ["nothing to send again"]
    at_work.settle()
    with transaction(at_work.engine) as connection:
        parked = sum(count for name in SERVICES for _, count, _ in count_parked(connection, name))
    return [*told, f"{parked} parked now"]


def _plan(engine: Engine, services: Sequence[str], choice: Choice, limit: int | None) -> list[Row]:
    """What would be sent where."""
    with transaction(engine) as connection:
        found = [(name, each) for name in services for each in read_parked(connection, name, choice, limit)]
    rows: list[Row] = []
    for name, kept in found[:limit]:
        message = message_of(name, kept)
        note = None if kept.sendable else "it is not sent: only its beginning was kept, edit it first"
        rows.append((*_about(name, kept, short=True), message.exchange, message.routing_key, note))
    return rows


def _row(service: str, kept: Kept, *, short: bool) -> Row:
    about = _about(service, kept, short=short)
    if kept.discarded is not None:
        return (*about, kept.discarded.at, kept.discarded.actor, kept.discarded.because)
    return (*about, kept.first_seen, kept.last_seen, kept.message.error[: _SHORT if short else None])


def _about(service: str, kept: Kept, *, short: bool) -> tuple[object, ...]:
    number = str(kept.number)[:_SHORT_ID] if short else str(kept.number)
    message = kept.message
    return (service, number, message.reason, message.kind, message.source, message.id, kept.times)


def _find(connection: Connection, identifier: str, service: Name | None) -> tuple[str, UUID]:
    """The service and the whole id of the one message whose id begins so."""
    beginning = identifier.lower()
    found = [(name, number) for name in _names(service) for number in find_parked(connection, name, beginning)]
    if len(found) != 1:
        what = "the ids of several parked messages begin so" if found else "there is no such parked message"
        raise StockbookError(what, id=identifier)
    return found[0]


def _one(connection: Connection, identifier: str, service: Name | None) -> tuple[str, Kept]:
    name, number = _find(connection, identifier, service)
    choices = (Choice(ids=[number]), Choice(ids=[number], discarded=True))
    return name, next(each for choice in choices for each in read_parked(connection, name, choice))


def _insist_on(actor: str, because: str) -> None:
    if not actor.strip() or not because.strip():
        raise StockbookError("say who does it and why: --actor and --reason")


def _read(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    if not file.is_file():
        raise StockbookError("there is no such file", file=file)
    return file.read_bytes()


def _tell(service: str, kept: Kept) -> Iterator[str]:
    message = kept.message
    yield f"{kept.number} in {service}: {message.reason}"
    yield f"  {message.kind or 'no type'} of {message.source or 'an unknown sender'}, id {message.id or 'unknown'}"
    yield f"  parked {kept.times} times, first {_time(kept.first_seen)}, last {_time(kept.last_seen)}"
    if kept.discarded is not None:
        about = kept.discarded
        yield f"  discarded {_time(about.at)} by {about.actor}: {about.because}"
    yield from (f"  header {name}: {text}" for name, text in sorted(message.headers.items()))
    yield "error"
    yield from (f"  {line}" for line in message.error.splitlines())
    yield "body" if kept.sendable else "body, only its beginning"
    yield from (f"  {line}" for line in _readable(message.body).splitlines())


def _tell_edits(connection: Connection, service: str, number: UUID) -> Iterator[str]:
    for each in read_edits(connection, service, number):
        yield f"body replaced {_time(each.at)} by {each.actor}: {each.because}; before that it was"
        yield from (f"  {line}" for line in _readable(each.before).splitlines())


def _readable(body: bytes) -> str:
    """JSON with a line for each field; anything else as it is, as far as it is text."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
