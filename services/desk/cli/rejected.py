"""`stockbook rejected`: movements that were refused: which, why, and how to have them judged again."""

from collections.abc import Iterator, Sequence
from itertools import islice

import typer

from services.desk.cli.options import until
from services.desk.cli.showing import outcome_lines, say
from services.desk.cli.writing import Format, listing, write_rows
from services.desk.pipeline import utc_now
from services.desk.servers import reading
from services.desk.store import outcomes
from services.desk.store.refusals import Refusal, Refused, refusals
from services.desk.store.standing import database_time
from services.desk.working import Works, works
from services.receiving.store.waiting import request_of, retry_rejected, waiting_digests
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.errors import StockbookError
from shared.logs import configure
from shared.report import Column, Kind, Row
from shared.service import Key
from shared.settings import Settings

_AT_ONCE = 500
_MANY = 1_000
_LIST = listing(
    "Rejected",
    [
        *map(Column, ("source", "id", "purpose", "company")),
        Column("rejected_at", Kind.TIME),
        Column("attempt", Kind.COUNT),
        Column("codes"),
        Column("state"),
    ],
)

app = typer.Typer(help="Movements that were refused: look at them, have them judged again.")

_CODE = typer.Option(None, help="Only what was refused for this reason, perhaps among others.")
_SOURCE = typer.Option(None, help="Only of this upstream.")
_COMPANY = typer.Option(None, help="Only of this company.")
_OLDER = typer.Option(None, help="Only what was refused so long ago: 90s, 15m, 2h, 7d.")


@app.command("list")
def list_rejected(
    source: str | None = _SOURCE,
    code: str | None = _CODE,
    company: str | None = _COMPANY,
    older_than: str | None = _OLDER,
    limit: int = typer.Option(_MANY, min=1, help="How many to list at most."),
    form: Format = typer.Option(Format.TABLE, "--format", help="How to write it."),
) -> None:
    """List the movements that stand refused, the oldest first."""
    with reading(Settings.from_environment()) as connection:
        which = Refused(source, None, code, company, until(older_than, database_time(connection)))
        found = refusals(connection, which, limit)
    write_rows(_LIST, [_row(each) for each in found], form)


@app.command()
def show(
    source: str = typer.Argument(help="The upstream that sent it."),
    identifier: str = typer.Argument(metavar="ID", help="The movement's id."),
) -> None:
    """Show one refused movement: every reason with its facts, and what was asked."""
    key = (source, identifier)
    with reading(Settings.from_environment()) as connection:
        found = refusals(connection, Refused(source, [identifier]))
        if not found:
            raise StockbookError("no such movement stands refused", source=source, id=identifier)
        asked = request_of(connection, key)
    lines = [*outcome_lines(found[0].outcome), f"attempt {found[0].outcome.attempt}, {_state(found[0])}"]
    lines += ["asked", f"  {asked.decode('utf-8', 'backslashreplace')}"] if asked is not None else []
    say(lines)


@app.command()
def retry(
    names: list[str] | None = typer.Argument(None, metavar="[SOURCE ID...]", help="These movements of one upstream."),
    source: str | None = _SOURCE,
    code: str | None = _CODE,
    company: str | None = _COMPANY,
    older_than: str | None = _OLDER,
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list what would be judged again."),
) -> None:
    """Have refused movements judged again; the outcome of each then carries the next attempt."""
    which = _which(names, source, code, company)
    if not (names or source or code or company or older_than):
        raise StockbookError("say which: SOURCE ID..., --source, --code, --company or --older-than")
    configure("critical")  # what is refused again is told here
    with works(Settings.from_environment()) as at_work:
        with transaction(at_work.engine) as connection:
            moment = until(older_than, database_time(connection))
            found = refusals(connection, Refused(which.source, which.ids, which.code, which.company, moment))
        if dry_run:
            write_rows(_LIST, [_row(each) for each in found], Format.TABLE)
            return
        retried = list(_retry(at_work, [each.key for each in found if not each.waits]))
        lines = _told(at_work, retried)
    say([*lines, f"{len(retried)} of {len(found)} judged again"])


def _which(names: Sequence[str] | None, source: str | None, code: str | None, company: str | None) -> Refused:
    if not names:
        return Refused(source, None, code, company)
    if len(names) < 2 or source is not None:
        raise StockbookError("movements are named by SOURCE ID..., the upstream first", given=" ".join(names))
    return Refused(names[0], names[1:], code, company)


def _retry(at_work: Works, keys: Sequence[Key]) -> Iterator[Key]:
    """Make movements wait, due at once, portion by portion; those for which that was done."""
    rest = iter(keys)
    while portion := list(islice(rest, _AT_ONCE)):
        with transaction(at_work.engine) as connection:
            retried = retry_rejected(connection, portion, utc_now())
        yield from retried


def _told(at_work: Works, keys: Sequence[Key]) -> list[str]:
    """What came of them, where the services are inside; workers elsewhere tell their upstreams."""
    if at_work.pipeline is None:
        return []
    at_work.settle()
    with transaction(at_work.engine) as connection:
        found, waits = outcomes(connection, keys), waiting_digests(connection, keys)
    waiting = [f"waits {' '.join(key)}: for what it lacks" for key in keys if key in waits]
    return [line for key in keys if key not in waits for line in outcome_lines(found[key])] + waiting


def _row(each: Refusal) -> Row:
    outcome: OutcomeRejected = each.outcome
    codes = ", ".join(sorted({reason.code for reason in outcome.reasons}))
    about = (outcome.source, outcome.id, each.purpose, outcome.company, outcome.recorded_at, outcome.attempt)
    return (*about, codes, _state(each))


def _state(each: Refusal) -> str:
    return "is being judged again" if each.waits else "refused"
