"""`stockbook try`: what the movements of a file would do, each by itself on the stock as it is; none takes effect."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import typer

from services.desk.cli import files
from services.desk.cli.asking import Tally, ask
from services.desk.cli.showing import say
from services.desk.events import Event, read_event
from services.desk.listening import Outcome
from services.desk.pipeline import utc_now
from shared.contracts.codec import Malformed, write
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_REQUESTED, OUTCOME_REJECTED, OUTCOME_TRIED
from shared.logs import configure
from shared.printable import printable_json
from shared.service import Key
from shared.settings import Settings


def try_movements(
    file: Path = typer.Argument(help="One JSON event a line, as for `publish`; only movements. -: stdin."),
    source: str = typer.Option("desk", help="The upstream that events speak for which name none themselves."),
    timeout: float = typer.Option(30, min=0, help="How many seconds to wait for answers over RabbitMQ."),
    as_json: bool = typer.Option(False, "--json", help="Print the answers as events in short, one JSON object a line."),
) -> None:
    """Say what each movement of a file would do, and do nothing.

    Each is tried by itself on the stock as it is now: none finds what another one of the file would bring or leave.
    Shown is what it would be given, its stock ledger entries and its journal, or every reason why it would be
    rejected. Exit code 1 if any would be, or has no answer.
    """
    settings = Settings.from_environment()
    configure("warning")
    tally = Tally(is_detailed=True, is_trial=True)
    with files.opened(file) as lines:
        count, sources = files.check(lines, file, _Once(source))
        with files.events(lines, lambda line: read_trial(line, source), count, "trying") as events:
            # Inside this process there is nothing to wait for: a dry run is answered, it never waits for what it lacks.
            ask(events, sources, settings, tally, timeout if settings.broker_url is not None else 0.0)
    tally.sort()
    if as_json:
        sys.stdout.writelines(f"{printable_json(line)}\n" for line in _json_lines(tally.answers))
        say(tally.missing(), sys.stderr)
    else:
        say(tally.told())
    if not tally.is_good:
        raise typer.Exit(1)


def read_trial(line: bytes, source: str) -> Event:
    """One event from JSON, all of its movements as dry runs; Malformed says why it cannot be tried."""
    event = read_event(line, source, utc_now())
    if event.kind != MOVEMENT_REQUESTED:
        raise Malformed(f"{event.kind} cannot be tried, only movements can: publish the definitions first")
    envelope = read_envelope(event.body)
    movements = [write({**msgspec.json.decode(raw), "dry_run": True}) for raw in raw_movements(envelope.data)]
    data = msgspec.Raw(movements[0]) if len(movements) == 1 else frame(movements)
    body = write_event(event.kind, envelope.source, event.id, data, envelope.time)
    if len(body) > MESSAGE_LIMIT:
        raise Malformed(f"{len(body)} bytes as dry runs; a message has {MESSAGE_LIMIT} at most")
    return replace(event, body=body)


class _Once:
    """Reads events of which no two have a movement in common: its answers could not be told apart."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._seen: set[Key] = set()

    def __call__(self, line: bytes) -> Event:
        event = read_trial(line, self._source)
        for key in event.keys:
            if key in self._seen:
                raise Malformed(f"{' '.join(key)} stands here twice; a movement can be tried once at a time")
            self._seen.add(key)
        return event


def _json_lines(answers: Sequence[Outcome]) -> list[str]:
    return [write({"type": _type_of(each), "data": each}).decode() for each in answers]


def _type_of(outcome: Outcome) -> str:
    return OUTCOME_REJECTED if isinstance(outcome, OutcomeRejected) else OUTCOME_TRIED
