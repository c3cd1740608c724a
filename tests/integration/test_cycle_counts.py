"""Cycle counts on a real PostgreSQL: set down, counted blind while goods move, compared, taken over or given up."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.receiving.decide.cycle_counts import movement_id
from shared.contracts.movement import MovementAllocated
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.registry import COUNT_ACCEPTED, COUNT_OPENED, COUNT_REPORTED, MOVEMENT_ALLOCATED
from tests.builders import SOURCE, Session, until_blocked
from tests.cycle_count_builders import COUNT, accepted, cancelled, compared, event, found, opened, reported, sent
from tests.gate_builders import accepted_ids, finish, in_bins
from tests.receiving_builders import EVENING, Gate, codes, comes, decoded, goes, movement, rows

MINUTE = timedelta(minutes=1)


@pytest.fixture
def gate(engine: Engine, gate: Gate) -> Gate:
    """Ten tea, five cream of B1 and three phones in the north; what is told now happens now."""
    gate.now = EVENING
    return gate


def sell(gate: Gate, identifier: str, *lines: Any, **fields: Any) -> list[str]:
    """Sell something now; the codes against it."""
    told = gate.ask(movement("delivery", *lines, id=identifier, **{"at": gate.now, **fields}))
    return codes(told[0])


def standing(engine: Engine) -> dict[str, int]:
    """How much of each item stands in the north."""
    return {item: in_bins(engine, item).get("north", 0) for item in ("tea", "cream", "phone")}


# --- the picture and the differences ----------------------------------------------------------------------------------


def test_what_stands_there_is_set_down_and_nobody_who_counts_is_told(gate: Gate) -> None:
    told = [opened(gate), reported(gate, "R1", found("tea", 9), found("phone", serials="P1"))]
    assert [each.allocated for each in told if isinstance(each, OutcomeAccepted)] == [[], []]
    assert compared(gate.engine) == {
        ("tea", ""): ("10", "10", "9"),
        ("cream", "B1"): ("5", "5", None),
        ("phone", ""): ("3", "3", "1"),
    }


def test_partial_reports_add_up_and_a_recount_takes_their_place(gate: Gate) -> None:
    opened(gate)
    reported(gate, "R1", found("tea", 4), found("phone", serials="P1,P2"), found("cream", 5, batch="B1"))
    reported(gate, "R2", found("tea", 5), found("phone", serials="P2,P3"))
    assert {key: counted for key, (_, _, counted) in compared(gate.engine).items()} == {
        ("tea", ""): "9",
        ("phone", ""): "3",
        ("cream", "B1"): "5",
    }
    reported(gate, "R3", found("tea", 10), recount=True)
    reported(gate, "R4", found("phone", serials="P1"), recount=True)
    assert compared(gate.engine)["tea", ""] == ("10", "10", "10")
    assert compared(gate.engine)["phone", ""] == ("3", "3", "1")
    assert compared(gate.engine)["cream", "B1"] == ("5", "5", "5")


def test_a_report_that_comes_again_adds_nothing(gate: Gate) -> None:
    opened(gate)
    first = sent(gate, COUNT_REPORTED, "R1", **COUNT, lines=[found("tea", 4)])
    assert sent(gate, COUNT_REPORTED, "R1", **COUNT, lines=[found("tea", 4)]) == first
    assert compared(gate.engine)["tea", ""] == ("10", "10", "4")


def test_what_is_reported_is_compared_with_what_stood_there_at_that_moment(gate: Gate) -> None:
    opened(gate)
    gate.now = EVENING + 2 * MINUTE
    sell(gate, "D1", goes("tea", 3), goes("cream", 1), goes("phone", serials="P1"))
    gate.now = EVENING + 4 * MINUTE
    before = EVENING + MINUTE
    reported(gate, "R1", found("tea", 10), at=before)
    reported(gate, "R2", found("cream", 4, batch="B1"), found("phone", serials="P2,P3"))
    assert compared(gate.engine) == {
        ("tea", ""): ("10", "10", "10"),
        ("cream", "B1"): ("5", "4", "4"),
        ("phone", ""): ("3", "2", "2"),
    }


# --- taken over -------------------------------------------------------------------------------------------------------


def test_a_sale_before_the_report_and_one_after_it_are_no_difference(gate: Gate) -> None:
    opened(gate)
    gate.now = EVENING + MINUTE
    sell(gate, "D1", goes("tea", 2), goes("cream", 1), goes("phone", serials="P1"))
    gate.now = EVENING + 2 * MINUTE
    reported(gate, "R1", found("tea", 7), found("cream", 4, batch="B1"), found("phone", serials="P2,P3"))
    gate.now = EVENING + 3 * MINUTE
    sell(gate, "D2", goes("tea", 3), goes("cream", 2), goes("phone", serials="P2"))
    gate.now = EVENING + 4 * MINUTE
    told = accepted(gate)
    assert codes(told) == []
    assert standing(gate.engine) == {"tea": 4, "cream": 2, "phone": 1}  # one tea was missing, and nothing else
    changed = "SELECT item, quantity FROM receiving.change WHERE effective_at = :at"
    assert rows(gate.engine, changed, at=gate.now) == [("tea", -1)]


def test_a_sale_that_is_told_late_is_no_difference_either(gate: Gate) -> None:
    opened(gate)
    gate.now = EVENING + 30 * MINUTE
    reported(gate, "R1", found("tea", 8))
    gate.now = EVENING + 60 * MINUTE
    assert sell(gate, "D1", goes("tea", 2), at=EVENING + 10 * MINUTE) == []
    assert compared(gate.engine)["tea", ""] == ("10", "8", "8")
    assert codes(accepted(gate)) == []
    assert standing(gate.engine)["tea"] == 8


def test_a_sale_of_a_clock_that_is_fast_is_no_difference(gate: Gate) -> None:
    opened(gate)
    ahead = gate.now + 3 * MINUTE
    assert sell(gate, "D1", goes("tea", 2), goes("phone", serials="P1"), at=ahead) == []
    reported(gate, "R1", found("tea", 10), found("phone", serials="P1-P3"))
    assert compared(gate.engine)["tea", ""] == ("10", "10", "10")
    gate.now += MINUTE
    assert codes(accepted(gate)) == []
    assert standing(gate.engine) == {"tea": 8, "cream": 5, "phone": 2}
    assert rows(gate.engine, "SELECT DISTINCT effective_at FROM receiving.count") == [(ahead,)]


def test_of_two_who_accept_a_count_at_once_one_does(gate: Gate, pool: ThreadPoolExecutor) -> None:
    opened(gate)
    reported(gate, "R1", found("tea", 9))
    first = Session(gate.engine, gate.working_on(event(COUNT_ACCEPTED, "A1", **COUNT)), pool).hold()
    second = Session(gate.engine, gate.working_on(event(COUNT_ACCEPTED, "A2", **COUNT)), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["A1", movement_id((SOURCE, "C"))]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["count_ended"]
    assert standing(gate.engine)["tea"] == 9


def test_what_is_accepted_is_a_movement_of_the_source_that_goes_on_to_the_ledger(gate: Gate) -> None:
    opened(gate)
    reported(gate, "R1", found("tea", 12), found("phone", serials="P1,P3"))
    outputs = sent(gate, COUNT_ACCEPTED, "A", **COUNT, actor="ann", reason="weekly")
    name = movement_id((SOURCE, "C"))
    assert accepted_ids(outputs) == ["A", name]
    (allocated,) = [decoded(each) for each in outputs if each.kind == MOVEMENT_ALLOCATED]
    assert isinstance(allocated, MovementAllocated)
    assert (allocated.source, allocated.id, allocated.purpose, allocated.actor) == (
        SOURCE,
        name,
        "reconciliation",
        "ann",
    )
    assert sorted((leg.item, int(leg.quantity), tuple(leg.serials)) for leg in allocated.legs) == [
        ("phone", -1, ("P2",)),
        ("tea", 2, ()),
    ]
    assert standing(gate.engine) == {"tea": 12, "cream": 5, "phone": 2}
    assert rows(gate.engine, "SELECT count(*) FROM receiving.outbox") == [(0,)]
    assert sent(gate, COUNT_ACCEPTED, "A", **COUNT, actor="ann", reason="weekly")[-1].id == "A"
    assert standing(gate.engine)["tea"] == 12
    assert compared(gate.engine)["tea", ""] == ("10", "10", "12")  # what was expected stays what it was


def test_a_missing_unit_that_was_counted_is_found(gate: Gate) -> None:
    gate.accept(movement("reconciliation", comes("phone", serials="P2,P3", rate=None), id="M", at=EVENING))
    gate.now = EVENING + MINUTE
    opened(gate, "phone")
    reported(gate, "R1", found("phone", serials="P1-P3"))
    assert codes(accepted(gate)) == []
    assert standing(gate.engine)["phone"] == 3


def test_what_is_found_of_a_batch_that_was_not_there_is_taken_over(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("cream", 2, "south", batch="B2"), id="S", at=EVENING))
    opened(gate)
    reported(gate, "R1", found("cream", 1, batch="B2"))
    assert compared(gate.engine)["cream", "B2"] == ("0", "0", "1")
    assert codes(accepted(gate)) == []
    assert standing(gate.engine)["cream"] == 6


def test_a_count_that_cannot_be_taken_over_stays_open_to_be_counted_again(gate: Gate) -> None:
    opened(gate)
    reported(gate, "R1", found("tea", 0))
    gate.now = EVENING + MINUTE
    sell(gate, "D1", goes("tea", 2))  # so there was some
    assert codes(accepted(gate, "A1")) == ["quantity_negative"]
    reported(gate, "R2", found("tea", 8), recount=True)
    assert codes(accepted(gate, "A2")) == []
    assert standing(gate.engine)["tea"] == 8


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_count_that_is_over_takes_nothing_more(gate: Gate) -> None:
    opened(gate)
    reported(gate, "R1", found("tea", 9))
    assert codes(cancelled(gate)) == []
    assert standing(gate.engine)["tea"] == 10
    told = [reported(gate, "R2", found("tea", 9)), accepted(gate), cancelled(gate, "X2")]
    assert [codes(each) for each in told] == [["count_ended"]] * 3


def test_what_was_not_counted_is_not_taken_over_and_nothing_at_all_is_refused(gate: Gate) -> None:
    opened(gate)
    assert codes(accepted(gate)) == ["nothing_counted"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (found("phone", serials="P1"), "not_in_count"),
        (found("ghost", 1), "unknown_item"),
        (found("tea", -1), "quantity_negative"),
        (found("cream", 1), "batch_missing"),
        (found("tea", 1, serials="T1"), "not_tracked"),
    ],
)
def test_a_report_that_is_wrong_is_refused_as_a_whole(gate: Gate, line: dict[str, Any], code: str) -> None:
    opened(gate, "tea", "cream")
    assert code in codes(reported(gate, "R1", line, found("tea", 1, line=7)))
    assert compared(gate.engine)["tea", ""] == ("10", "10", None)


@pytest.mark.parametrize("minutes", [-1, 1])
def test_nothing_is_counted_before_the_count_is_opened_or_after_it_is_told(gate: Gate, minutes: int) -> None:
    opened(gate)
    told = reported(gate, "R1", found("tea", 1), at=gate.now + minutes * MINUTE)
    assert codes(told) == ["counted_at_out_of_range"]


def test_a_count_of_a_place_or_of_goods_that_are_not_known_is_refused(gate: Gate) -> None:
    assert codes(opened(gate, warehouse="nowhere")) == ["company_missing"]
    assert codes(opened(gate, "ghost", identifier="C2")) == ["unknown_item"]


def test_a_report_waits_for_its_count(engine: Engine, gate: Gate) -> None:
    patient = Gate(engine, patience=timedelta(minutes=5))
    assert sent(patient, COUNT_REPORTED, "R1", **COUNT, lines=[found("tea", 4)]) == []
    opened_ids = accepted_ids(sent(patient, COUNT_OPENED, "C", warehouse="north", items=[], actor="ann"))
    assert opened_ids == ["C", "R1"]
    assert compared(engine)["tea", ""] == ("10", "10", "4")
