"""What is made of the answers to an import: rows that were taken, rows that were refused, rows without an answer."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

from services.desk.importing.answers import NO_OUTCOME, Answers
from services.desk.importing.columns import SUBJECTS
from services.desk.importing.opening import Movement
from services.desk.importing.staging import Staging
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.trial import OutcomeTried

BEGUN = datetime(2026, 3, 2, 12, tzinfo=UTC)
BEFORE, AFTER = BEGUN - timedelta(days=1), BEGUN + timedelta(seconds=1)


def items(*rows: int) -> Staging:
    staging = Staging(BytesIO(), SUBJECTS["items"], "desk", "0" * 16)
    for row in rows:
        staging.add_definition(row, {"company": "acme", "item": f"i{row}"})
    return staging


def opening() -> Staging:
    staging = Staging(BytesIO(), SUBJECTS["opening"], "desk", "0" * 16)
    lines = [{"item": "tea", "target": "shop"}, {"item": "lamp", "target": "shop", "serials": ["S1", "S2"]}]
    staging.add_movement(Movement("opening-1", {"id": "opening-1", "lines": lines}, [[2], [3, 4]]))
    return staging


def asked(staging: Staging, *, is_trial: bool = False) -> Answers:
    answers = Answers(staging, BEGUN, is_trial=is_trial)
    answers.sent(list(staging.events()))
    return answers


def named(staging: Staging) -> list[str]:
    return [name for each in staging.events() for _, name in each.keys]


def accepted(name: str, at: datetime = AFTER) -> OutcomeAccepted:
    return OutcomeAccepted(source="desk", id=name, kind="item.defined", recorded_at=at)


def rejected(name: str, *reasons: Refusal, at: datetime = AFTER, dry_run: bool = False) -> OutcomeRejected:
    return OutcomeRejected(
        source="desk", id=name, kind="item.defined", recorded_at=at, reasons=list(reasons), dry_run=dry_run
    )


def tried(name: str) -> OutcomeTried:
    return OutcomeTried(
        source="desk",
        id=name,
        company="acme",
        currency="EUR",
        recorded_at=AFTER,
        outcome=accepted(name),
        entries=[],
        transfers=[],
    )


def test_rows_are_counted_and_those_of_an_earlier_import_told_apart() -> None:
    staging = items(2, 3, 4)
    answers = asked(staging)
    first, second, third = named(staging)
    answers.hear([accepted(first), accepted(second, BEFORE), accepted("somebody else's")])
    assert (answers.taken, answers.taken_before, list(answers.open)) == (2, 1, [("desk", third)])


def test_a_row_without_an_answer_is_a_fault_of_its_own() -> None:
    answers = asked(items(7))
    assert [(each.row, each.code) for each in answers.missing("later")] == [(7, NO_OUTCOME)]


def test_every_reason_is_a_fault_of_its_row_with_what_it_is_about() -> None:
    staging = opening()
    answers = asked(staging)
    reasons = (
        Refusal(code="unknown_item", line=1, facts={"item": "tea"}),
        Refusal(code="serial_in_stock", line=2, facts={"item": "lamp", "serial": "S2"}),
    )
    answers.hear([rejected("opening-1", *reasons)])
    told = [(each.row, each.code, each.value) for each in answers.faults]
    assert told == [(2, "unknown_item", "tea"), (4, "serial_in_stock", "S2")]


def test_an_old_refusal_says_how_it_is_asked_anew() -> None:
    (name,) = named(items(2))
    definitions, movements = asked(items(2)), asked(opening())
    reason = Refusal(code="unknown_company", facts={"company": "acme"})
    definitions.hear([rejected(name, reason, at=BEFORE)])
    movements.hear([rejected("opening-1", reason, at=BEFORE)])
    assert "--again" in definitions.faults[0].message
    assert "stockbook rejected retry desk opening-1" in movements.faults[0].message


def test_while_movements_are_tried_only_answers_to_dry_runs_count() -> None:
    answers = asked(opening(), is_trial=True)
    answers.hear([accepted("opening-1")])
    assert answers.taken == 0
    answers.hear([tried("opening-1")])
    assert (answers.taken, answers.open) == (3, {})
