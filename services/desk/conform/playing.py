"""Playing scenarios through the services, and reading what came of them.

Scenarios do not meet, so all are played side by side: first every definition, kind by kind, then the first movement
of each, the second of each, and so on; the services come to rest between two of these waves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from services.desk.conform.compare import Actual, differences
from services.desk.conform.scenario import Scenario, unknown_rules
from services.desk.conform.translate import Play, Step, translate
from services.desk.events import Event, make_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS, reason_text
from services.desk.store import Outcome, outcomes
from shared.contracts.outcome import OutcomeRejected
from shared.db import transaction
from shared.report import Filters, records
from shared.service import Key

CLOCK = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
"""What receiving's clock shows during a run: all recorded times lie before it."""

NO_MESSAGE = "there is no such message"


@dataclass(frozen=True, slots=True)
class Result:
    """How a scenario went: nothing differs, or this does."""

    scenario: Scenario
    differences: Sequence[str]


def clock() -> datetime:
    """The time at which every scenario is played."""
    return CLOCK


def play(scenarios: Sequence[Scenario], pipeline: Pipeline) -> list[Result]:
    """Play all scenarios and compare each with its record. The pipeline's clock is `clock`."""
    plays = {scenario.name: translate(scenario) for scenario in scenarios}
    for wave in _waves(list(plays.values())):
        pipeline.publish(wave)
        pipeline.settle()
    with transaction(pipeline.engine) as connection:
        told = outcomes(connection, _keys(plays))
        return [Result(each, _compare(each, plays[each.name], told, connection)) for each in scenarios]


def _waves(plays: Sequence[Play]) -> Iterator[list[Event]]:
    setups = [(play, step) for play in plays for step in play.setup]
    for kind in dict.fromkeys(step.kind for _, step in setups):
        yield [_event(play, step) for play, step in setups if step.kind == kind]
    rows = [list(play.steps.values()) for play in plays]
    for place in range(max(map(len, rows), default=0)):
        steps = [(play, row[place]) for play, row in zip(plays, rows, strict=True) if place < len(row)]
        yield [_event(play, step) for play, step in steps if step is not None]


def _event(play: Play, step: Step) -> Event:
    return make_event(step.kind, play.source, step.data, step.id, CLOCK)


def _keys(plays: Mapping[str, Play]) -> list[Key]:
    return [
        (play.source, step.id)
        for play in plays.values()
        for step in (*play.setup, *play.steps.values())
        if step is not None
    ]


def _compare(scenario: Scenario, play: Play, told: Mapping[Key, Outcome], connection: Connection) -> list[str]:
    strange = [f"{rule} is not in the list of differences that are meant" for rule in unknown_rules(scenario)]
    refused = [
        f"{step.kind} {step.id!r} was rejected ({reasons})"
        for step in play.setup
        if (reasons := _refusal(told.get((play.source, step.id))))
    ]
    return strange + refused + differences(scenario, play.counted_with, _actual(play, told, connection))


def _actual(play: Play, told: Mapping[Key, Outcome], connection: Connection) -> Actual:
    results = {movement: told.get((play.source, movement)) for movement in play.steps}
    rejected = {movement: reasons for movement, outcome in results.items() if (reasons := _refusal(outcome))}
    no_message = {movement: NO_MESSAGE for movement, step in play.steps.items() if step is None}
    filters = Filters(company=play.company)
    return Actual(
        rejected=rejected | no_message,
        silent=[movement for movement, result in results.items() if result is None and movement not in no_message],
        stock_ledger=records(REPORTS["stock-ledger"], connection, filters),
        journal=records(REPORTS["journal"], connection, filters),
        balances=records(REPORTS["stock-balance"], connection, filters),
        batch_balances=records(REPORTS["batch-balance"], connection, filters),
        batches=records(REPORTS["batch-status"], connection, filters),
        serials=records(REPORTS["serial-status"], connection, filters),
    )


def _refusal(outcome: Outcome | None) -> str:
    if not isinstance(outcome, OutcomeRejected):
        return ""
    return "; ".join(reason_text(reason.code, reason.line, reason.facts) for reason in outcome.reasons)
