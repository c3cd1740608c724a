"""Dry runs at the gate: judged like any other movement, answered at once, and without a trace in any table."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from shared.contracts.envelope import write_event
from shared.contracts.movement import AdditionalCost, MovementRequested, Reference
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_REQUESTED, OUTCOME_REJECTED, TRIAL_ALLOCATED
from shared.quantities import Money, plain
from shared.service import Output, Result
from tests.builders import SOURCE
from tests.receiving_builders import (
    Gate,
    after,
    codes,
    comes,
    decoded,
    events,
    goes,
    line,
    movement,
    moves,
    rows,
)


def tried(purpose: str, *lines: Any, id: str = "T", **fields: Any) -> MovementRequested:  # noqa: A002 - its name
    return movement(purpose, *lines, id=id, dry_run=True, **{"at": after(5), **fields})


def told(gate: Gate, *asked: MovementRequested) -> list[Output]:
    return gate.send(*events(asked))


def everything(engine: Engine) -> dict[str, list[str]]:
    """All rows of all tables of the schema, as text."""
    tables = rows(engine, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'receiving'")
    return {
        table: sorted(text for (text,) in rows(engine, f"SELECT cast(each AS text) FROM receiving.{table} AS each"))
        for (table,) in tables
    }


AGAINST: dict[str, Any] = {"against": Reference(id="delivered")}
COSTS = [AdditionalCost(amount=Money(3))]
TRIALS = {
    "receipt": tried("purchase_receipt", comes("tea", 1, "south"), comes("phone", 2, "on-the-way")),
    "new batch": tried("purchase_receipt", comes("cream", 1, "south", batch="NEW")),
    "issue": tried("delivery", goes("tea", 1), goes("phone", 1), goes("cream", 1)),
    "sale": tried("sale", goes("tea", 1, price="2")),
    "transfer": tried("material_transfer", moves("tea", 1), moves("phone", 1), moves("cream", 1)),
    "return": tried("sales_return", line("tea", 1), line("phone", 1), line("cream", 1, target="south"), **AGAINST),
    "unreferenced return": tried("sales_return", comes("phone", None, "on-the-way", None, serials="P1")),
    "count": tried("reconciliation", comes("tea", 1, "south", rate="1"), comes("phone", serials="P1", rate=None)),
    "landed cost": tried("landed_cost", against=Reference(id="bought"), additional_costs=COSTS),
    "write-down": tried("write_down", line("tea", source="north", rate="0.5")),
    "second dry run of an id": tried("delivery", goes("tea", 2)),
    "id of another one": tried("delivery", goes("tea", 1), id="stocked"),
}
REFUSED = {
    "too much": (tried("delivery", goes("tea", 99)), "insufficient_stock"),
    "of an unknown item": (tried("delivery", goes("ghost", 1)), "unknown_item"),
    "of an unknown original": (tried("sales_return", line("tea", 1), against=Reference(id="x")), "unknown_original"),
    "cancelling": (tried("cancellation", against=Reference(id="never")), "unknown_original"),
}


@pytest.mark.parametrize("what", TRIALS)
def test_what_would_be_accepted_goes_on_as_a_trial_and_leaves_no_trace(gate: Gate, what: str) -> None:
    gate.accept(movement("delivery", goes("tea", 2), goes("phone", 1), goes("cream", 2), id="delivered", at=after(1)))
    gate.accept(movement("purchase_receipt", comes("tea", 1, "quarantine"), id="bought", at=after(1)))
    before = everything(gate.engine)
    (output,) = told(gate, TRIALS[what])
    assert everything(gate.engine) == before
    assert (output.kind, output.id) == (TRIAL_ALLOCATED, TRIALS[what].id)
    allocated = decoded(output)
    assert allocated.legs
    assert (allocated.trial.id, allocated.trial.kind) == (TRIALS[what].id, "movement.requested")


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_be_refused_is_answered_at_once_and_leaves_no_trace(gate: Gate, what: str) -> None:
    asked, code = REFUSED[what]
    patient = Gate(gate.engine, patience=timedelta(minutes=5))
    before = everything(gate.engine)
    (output,) = told(patient, asked)
    assert everything(gate.engine) == before
    outcome = decoded(output)
    assert output.kind == OUTCOME_REJECTED
    assert outcome.dry_run
    assert codes(outcome) == [code]


def test_a_dry_run_that_is_malformed_is_answered_as_one_and_its_id_stays_free(gate: Gate) -> None:
    before = everything(gate.engine)
    spoiled = b'{"id": "T", "dry_run": true, "purpose": "delivery", "posting_at": "yesterday"}'
    (output,) = gate.send(write_event(MOVEMENT_REQUESTED, SOURCE, "e", msgspec.Raw(spoiled)))
    assert everything(gate.engine) == before
    outcome = decoded(output)
    assert isinstance(outcome, OutcomeRejected)
    assert (outcome.dry_run, codes(outcome)) == (True, ["malformed"])
    gate.accept(movement("delivery", goes("tea", 1), id="T", at=after(1)))


def test_an_id_that_was_tried_is_free_and_one_that_was_used_can_be_tried(gate: Gate) -> None:
    told(gate, tried("delivery", goes("tea", 1), id="D"))
    gate.accept(movement("delivery", goes("tea", 2), id="D", at=after(1)))
    (output,) = told(gate, tried("delivery", goes("tea", 3), id="D"))
    assert output.kind == TRIAL_ALLOCATED
    assert rows(gate.engine, "SELECT * FROM receiving.parked") == []
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(8,)]


def test_dry_runs_are_judged_each_by_itself_on_what_the_others_of_their_set_left(gate: Gate) -> None:
    one, other = (tried("delivery", goes("tea", 6), id=name) for name in ("one", "other"))
    taken = movement("delivery", goes("tea", 4), id="real", at=after(1))
    outputs = told(gate, one, taken, other)
    assert sorted(each.id for each in outputs if each.kind == TRIAL_ALLOCATED) == ["one", "other"]
    (output,) = told(gate, tried("delivery", goes("tea", 7)))
    assert [(each.code, each.facts["available"]) for each in decoded(output).reasons] == [("insufficient_stock", "6")]


def test_a_dry_run_and_the_movement_itself_in_one_set_are_both_answered(gate: Gate) -> None:
    real = movement("delivery", goes("tea", 4), id="D", at=after(1))
    outputs = told(gate, real, tried("delivery", goes("tea", 4), id="D"))
    assert [plain(leg.quantity) for each in outputs if each.kind == TRIAL_ALLOCATED for leg in decoded(each).legs] == [
        "-4"
    ]
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(6,)]
    assert rows(gate.engine, "SELECT * FROM receiving.parked") == []


def test_what_was_only_tried_is_nobodys_original_and_wakes_nobody(gate: Gate) -> None:
    patient = Gate(gate.engine, patience=timedelta(minutes=5))
    returned = movement("sales_return", line("tea", 1), id="R", at=after(6), against=Reference(id="T"))
    assert [each.kind for each in told(patient, tried("delivery", goes("tea", 1)), returned)] == [TRIAL_ALLOCATED]
    assert [each.kind for each in told(patient, tried("delivery", goes("tea", 1)))] == [TRIAL_ALLOCATED]
    assert rows(gate.engine, "SELECT id, tries FROM receiving.waiters") == [("R", 1)]


def test_dry_runs_are_counted_as_tried_with_what_speaks_against_them(gate: Gate) -> None:
    asked = [tried("delivery", goes("tea", quantity), id=quantity) for quantity in ("1", "99")]
    with gate.engine.begin() as connection:
        handled = gate.working_on(*events(asked))(connection)
    assert dict(handled.counts) == {(Result.TRIED, ""): 1, (Result.TRIED, "insufficient_stock"): 1}
