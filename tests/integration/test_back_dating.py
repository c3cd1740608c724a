"""Back-dating on a real PostgreSQL: what the past is read from, what is kept of it, and who meets whom there."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from services.receiving.store.timeline import _LAST, _OUTLOOKS, outlooks
from shared.contracts.movement import MovementAllocated, MovementRequested, Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import MOVEMENT_ALLOCATED, TRIAL_ALLOCATED
from shared.db import transaction
from shared.quantities import plain
from tests.builders import MORNING, SOURCE, Session, until_blocked
from tests.gate_builders import accepted_ids, finish, held, in_bins
from tests.receiving_builders import (
    EVENING,
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

PATIENT = timedelta(minutes=5)


def sold(identifier: str, quantity: int, minutes: int, what: str = "tea", **fields: Any) -> MovementRequested:
    return movement("delivery", goes(what, quantity, **fields), id=identifier, at=after(minutes))


def counted(identifier: str, what: str, quantity: int, minutes: int, **fields: Any) -> MovementRequested:
    lines = [comes(what, quantity, rate=None, **fields)]
    return movement("reconciliation", *lines, id=identifier, at=after(minutes))


def bought(identifier: str, what: str, quantity: int | None, minutes: int, **fields: Any) -> MovementRequested:
    return movement("purchase_receipt", comes(what, quantity, **fields), id=identifier, at=after(minutes))


def told_facts(outcome: OutcomeAccepted | OutcomeRejected) -> dict[str, str]:
    assert isinstance(outcome, OutcomeRejected)
    return outcome.reasons[0].facts


def corrections(told: MovementAllocated) -> list[tuple[str, str]]:
    return [(leg.original or "", plain(leg.quantity)) for leg in told.legs if leg.corrects is not None]


def changes(gate: Gate, what: str) -> list[tuple[Any, ...]]:
    """What is kept of an item's past: when, at which stamp and part of it, how much."""
    statement = """
        SELECT batch, effective_at, stamp, part, quantity FROM receiving.change
        WHERE item = :item AND warehouse = 'north' ORDER BY batch, effective_at, stamp, part
    """
    return [(*row[:-1], int(row[-1])) for row in rows(gate.engine, statement, item=what)]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_every_change_of_a_quantity_is_kept_where_it_counts(gate: Gate) -> None:
    gate.accept(sold("D1", 2, 20), bought("R1", "tea", 5, 40))
    gate.accept(sold("D2", 3, 10))
    assert changes(gate, "tea") == [
        ("", MORNING, 1, 1, 10),
        ("", after(10), 4, 0, -3),
        ("", after(20), 2, 0, -2),
        ("", after(40), 3, 1, 5),
    ]
    assert in_bins(gate.engine, "tea") == {"north": 10}


def test_of_one_movement_what_leaves_a_place_and_what_comes_there_are_kept_apart(gate: Gate) -> None:
    made = [
        goes("cream", 1),
        goes("cream", 2),
        goes("tea", 1),
        comes("cream", 2, batch="B1"),
        comes("cream", 3, batch="B2"),
    ]
    gate.accept(movement("repack", *made, id="M", at=after(10)))
    assert changes(gate, "cream") == [
        ("B1", MORNING, 1, 1, 5),
        ("B1", after(10), 2, 0, -3),
        ("B1", after(10), 2, 1, 2),
        ("B2", after(10), 2, 1, 3),
    ]


def test_serials_have_their_own_history_and_are_kept_nowhere_else(gate: Gate) -> None:
    gate.accept(sold("D", 1, 10, "phone"), counted("C", "phone", 2, 20, serials="P2,P3"))
    assert changes(gate, "phone") == []
    statement = (
        "SELECT item, batch, effective_at, stamp, source, id, line, entry, account, posting_date FROM receiving.count"
    )
    assert rows(gate.engine, statement) == [
        ("phone", "", after(20), 3, SOURCE, "C", 1, None, "stock_adjustment", date(2026, 3, 2))
    ]


def test_a_count_is_kept_with_a_difference_or_without_and_what_it_found_later_stands_with_it(gate: Gate) -> None:
    (told,) = gate.accepted(counted("C", "cream", 5, 20, batch="B1"))
    (entry,) = rows(gate.engine, "SELECT cast(entry AS text) FROM receiving.count")
    assert changes(gate, "cream") == [("B1", MORNING, 1, 1, 5)]
    (late,) = gate.accepted(sold("D", 2, 10, "cream"))
    assert corrections(late) == [(*entry, "2")]
    assert changes(gate, "cream")[1:] == [("B1", after(10), 3, 0, -2), ("B1", after(20), 2, 4, 2)]
    assert told.stamps[0].stamp == 2
    assert in_bins(gate.engine, "cream") == {"north": 5}


def test_what_is_refused_or_only_tried_is_kept_nowhere(gate: Gate) -> None:
    gate.accept(sold("D", 8, 20))
    before = changes(gate, "tea")
    assert codes(gate.ask(sold("E", 3, 10))[0]) == ["insufficient_stock"]
    (output,) = gate.send(*events([movement("delivery", goes("tea", 2), id="F", at=after(10), dry_run=True)]))
    assert output.kind == TRIAL_ALLOCATED
    tried = decoded(output)
    assert (tried.effective_at, [plain(leg.quantity) for leg in tried.legs]) == (after(10), ["-2"])
    assert changes(gate, "tea") == before


# --- what is looked up ------------------------------------------------------------------------------------------------


def look(gate: Gate, place: tuple[str, str, str], minutes: float) -> tuple[int, int, datetime, str | None]:
    with transaction(gate.engine) as connection:
        found = outlooks(connection, [("shop", *place)], MORNING + timedelta(minutes=minutes))["shop", *place]
    return (int(found.standing), int(found.least), found.least_at, found.count.id if found.count else None)


def test_a_place_is_seen_as_it_stood_and_as_little_as_there_was_until_the_next_count(gate: Gate) -> None:
    gate.accept(sold("D1", 4, 20), bought("R1", "tea", 9, 30), sold("D2", 12, 40), counted("C", "tea", 1, 50))
    gate.accept(sold("D3", 1, 60))
    place = ("tea", "north", "")
    assert look(gate, place, -1) == (0, 0, after(-1), "C")
    assert look(gate, place, 10) == (10, 3, after(40), "C")
    assert look(gate, place, 20) == (6, 3, after(40), "C")
    assert look(gate, place, 45) == (3, 3, after(45), "C")
    assert look(gate, place, 50) == (1, 0, after(60), None)
    assert look(gate, place, 70) == (0, 0, after(70), None)
    assert look(gate, ("tea", "south", ""), 10) == (0, 0, after(10), None)
    assert look(gate, ("cream", "north", "B1"), 10) == (5, 5, after(10), None)
    assert look(gate, ("cream", "north", "NEW"), 10) == (0, 0, after(10), None)


def test_what_came_at_the_very_moment_counts_as_before_and_a_movement_leaves_before_it_brings(gate: Gate) -> None:
    gate.accept(sold("D1", 9, 10))
    gate.accept(movement("repack", goes("tea", 1), comes("tea", 3), id="M", at=after(20)))
    place = ("tea", "north", "")
    assert look(gate, place, 10) == (1, 0, after(20), None)
    assert look(gate, place, 20) == (3, 3, after(20), None)


def test_movements_of_one_moment_before_a_count_of_that_moment_count_and_those_behind_it_do_not(gate: Gate) -> None:
    gate.accept(sold("D1", 2, 10), counted("C", "tea", 4, 10), sold("D2", 4, 10))
    assert look(gate, ("tea", "north", ""), 5) == (10, 8, after(10), "C")


# --- what is judged by more than stands there today -------------------------------------------------------------------


def test_a_batch_that_is_gone_is_picked_for_a_time_when_it_was_there(gate: Gate) -> None:
    gate.accept(counted("C", "cream", 0, 30, batch="B1"))
    (told,) = gate.accepted(sold("D", 4, 10, "cream"))
    assert [(leg.batch, plain(leg.quantity)) for leg in told.legs] == [("B1", "-4"), ("B1", "4")]
    assert in_bins(gate.engine, "cream") == {}


def test_a_batch_that_is_gone_is_picked_though_the_set_began_in_order(gate: Gate) -> None:
    gate.accept(counted("C", "cream", 0, 30, batch="B1"))
    told = gate.ask(bought("R", "cream", 1, 40, batch="B2"), sold("D", 4, 10, "cream"))
    assert [codes(each) for each in told] == [[], []]


def test_serials_are_picked_among_all_that_stood_there_since(gate: Gate) -> None:
    there, back = moves("phone", serials="P1,P2"), moves("phone", serials="P1,P2", source="south", target="north")
    gate.accept(movement("material_transfer", there, id="T1", at=after(20)))
    gate.accept(movement("material_transfer", back, id="T2", at=after(30)))
    (told,) = gate.accepted(sold("D", 1, 10, "phone"))
    assert [leg.serials for leg in told.legs] == [["P3"]]
    assert codes(gate.ask(sold("E", 1, 10, "phone"))[0]) == ["insufficient_stock"]


def test_serials_that_are_late_for_a_set_mate_are_picked_among_all(gate: Gate) -> None:
    gate.accept(movement("material_transfer", moves("phone", serials="P1"), id="T1", at=after(3)))
    back = moves("phone", serials="P1", source="south", target="north")
    gate.accept(movement("material_transfer", back, id="T2", at=after(4)))
    told = gate.ask(bought("R", "phone", 1, 10), sold("D", 1, 2, "phone"))
    assert [codes(each) for each in told] == [[], []]
    assert isinstance(told[1], OutcomeAccepted)
    assert told[1].effective_at == after(2)
    assert [each.serials for each in told[1].allocated] == [["P2"]]


def test_serials_of_one_bin_are_picked_among_all_where_another_bin_makes_the_movement_back_dated(gate: Gate) -> None:
    gate.accept(sold("D0", 1, 60))
    gate.accept(movement("material_transfer", moves("phone", serials="P1"), id="T1", at=after(12)))
    back = moves("phone", serials="P1", source="south", target="north")
    gate.accept(movement("material_transfer", back, id="T2", at=after(13)))
    asked = movement("delivery", goes("tea", 1), goes("phone", 1), id="D", at=after(10))
    (told,) = gate.accepted(asked)
    assert (told.effective_at, [leg.serials for leg in told.legs]) == (after(10), [[], ["P2"]])


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (sold("D", 1, 10, "phone", serials="P1"), "serial_moved_since", {"item": "phone", "serial": "P1"}),
        (bought("D", "phone", None, 25, serials="Q9"), "counted_since", {"item": "phone", "warehouse": "north"}),
        (counted("D", "phone", 3, 15, serials="P1-P3"), "moved_since", {"item": "phone", "warehouse": "north"}),
    ],
)
def test_serials_are_told_on_and_counted_in_order(
    gate: Gate, asked: MovementRequested, code: str, said: dict[str, str]
) -> None:
    gate.accept(sold("S", 1, 20, "phone", serials="P1"), counted("C", "phone", 2, 30, serials="P2,P3"))
    (told,) = gate.ask(asked)
    assert code in codes(told)
    assert isinstance(told, OutcomeRejected)
    (facts,) = [each.facts for each in told.reasons if each.code == code]
    assert said.items() <= facts.items()
    assert after(20 if code == "serial_moved_since" else 30).isoformat() in facts.values()


def test_serials_enter_leave_and_come_back_in_the_past(gate: Gate) -> None:
    gate.accept(sold("S", 1, 60, "phone", serials="P1"))
    gate.accept(bought("R", "phone", None, 10, serials="Q1,Q2"))
    gate.accept(sold("D", 1, 20, "phone", serials="Q1"))
    back = movement("sales_return", line("phone", serials="Q1"), id="B", at=after(30), against=Reference(id="D"))
    gate.accept(back)
    stays = (
        "SELECT from_at, until_at IS NOT NULL, in_id, out_id FROM receiving.stay WHERE serial = 'Q1' ORDER BY from_at"
    )
    assert rows(gate.engine, stays) == [(after(10), True, "R", "D"), (after(30), True, "B", None)]
    assert in_bins(gate.engine, "phone") == {"north": 4}


def test_a_rate_is_known_from_the_time_of_what_brought_it(gate: Gate) -> None:
    gate.accept(bought("R1", "tea", 1, 30, target="south"))
    bare = movement("material_receipt", comes("tea", 1, "south", rate=None), id="M1", at=after(20))
    assert codes(gate.ask(bare)[0]) == ["rate_missing"]
    gate.accept(bought("R2", "tea", 1, 10, target="south"))
    gate.accept(movement("material_receipt", comes("tea", 1, "south", rate=None), id="M2", at=after(20)))
    statement = "SELECT rated_from FROM receiving.bin WHERE item = 'tea' AND warehouse = 'south'"
    assert rows(gate.engine, statement) == [(after(10),)]


# --- sets and waiting -------------------------------------------------------------------------------------------------


def test_each_of_a_set_is_judged_on_what_those_before_it_left_be_they_back_dated_or_not(gate: Gate) -> None:
    asked = [sold("D1", 6, 20), sold("D2", 3, 10), sold("D3", 3, 10), sold("D4", 2, 30), sold("D5", 1, 5)]
    told = [codes(each) for each in gate.ask(*asked)]
    assert told == [[], [], ["insufficient_stock"], ["insufficient_stock"], []]


def test_what_a_cancellation_makes_room_for_may_stand_behind_it_in_its_set(gate: Gate) -> None:
    sold_out = sold("D1", 10, 20)
    undone = movement("cancellation", id="C1", at=after(25), against=Reference(id="D1"))
    told = [codes(each) for each in gate.ask(sold_out, undone, sold("D2", 10, 30))]
    assert told == [[], [], []]


def test_what_goes_on_to_the_ledger_goes_in_the_order_in_which_it_was_judged(gate: Gate) -> None:
    told = gate.send(*events([sold("D1", 1, 20), sold("D2", 1, 10), sold("D3", 1, 30)]))
    allocated = [decoded(each) for each in told if each.kind == MOVEMENT_ALLOCATED]
    assert [(each.id, each.stamps[0].stamp) for each in allocated] == [("D1", 2), ("D2", 3), ("D3", 4)]


def test_a_back_dated_movement_finds_what_it_names_in_its_own_set_and_is_found_there(gate: Gate) -> None:
    gate.accept(sold("D0", 1, 60))
    out = movement("delivery", goes("tea", 4, "south"), id="D1", at=after(10))
    back = movement("sales_return", line("tea", 1), id="B1", at=after(20), against=Reference(id="D1"))
    again = movement("sales_return", line("tea", 1, target="north"), id="B2", at=after(20), against=Reference(id="D1"))
    late = movement("sales_return", line("tea", 1), id="B3", at=after(70), against=Reference(id="D2"))
    told = gate.ask(bought("R1", "tea", 9, 1, target="south"), out, back, again, sold("D2", 1, 10), late)
    assert [codes(each) for each in told] == [[], [], [], [], [], []]
    assert in_bins(gate.engine, "tea") == {"north": 10, "south": 6}


def test_a_dry_run_is_judged_behind_what_was_set_aside(gate: Gate) -> None:
    tried = movement("delivery", goes("tea", 3), id="T", at=after(10), dry_run=True)
    told = {each.id: decoded(each) for each in gate.send(*events([sold("D1", 5, 20), tried, sold("D2", 3, 5)]))}
    assert isinstance(told["T"], OutcomeRejected)
    assert (codes(told["T"]), told["T"].dry_run) == (["insufficient_stock"], True)
    assert codes(told["D2"]) == []


def test_a_back_dated_issue_waits_for_the_receipt_that_was_there_before_it(gate: Gate) -> None:
    gate.accept(sold("D0", 10, 60))
    patient = Gate(gate.engine, patience=PATIENT)
    assert patient.send(*events([sold("D1", 2, 10)])) == []
    assert accepted_ids(patient.send(*events([bought("R0", "tea", 5, 70)]))) == ["R0"]
    assert rows(gate.engine, "SELECT id FROM receiving.waiters") == [("D1",)]
    assert accepted_ids(patient.send(*events([bought("R1", "tea", 2, 5)]))) == ["R1", "D1"]


def test_a_back_dated_movement_that_comes_twice_has_one_effect_and_one_answer(gate: Gate) -> None:
    gate.accept(sold("D0", 1, 60))
    first = gate.send(*events([sold("D1", 2, 10)]))
    assert gate.send(*events([sold("D1", 2, 10)])) == first
    assert in_bins(gate.engine, "tea") == {"north": 7}


# --- two workers ------------------------------------------------------------------------------------------------------


def test_of_two_issues_of_the_same_past_stock_at_once_one_is_refused(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(sold("D0", 6, 60))
    first = held(gate, sold("D1", 3, 10), pool)
    second = Session(gate.engine, gate.working_on(*events([sold("D2", 3, 20)])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["D1"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["insufficient_stock"]
    assert told_facts(decoded(told))["at"] == after(60).isoformat()


def test_an_issue_of_today_sees_what_was_taken_in_the_past_meanwhile(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(sold("D0", 6, 60))
    first = held(gate, sold("D1", 3, 10), pool)
    second = Session(gate.engine, gate.working_on(*events([sold("D2", 3, 70)])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["D1"]
    assert codes(decoded(finish(gate, second.commit())[0])) == ["insufficient_stock"]


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_movements_in_order_do_not_ask_for_the_past_and_write_theirs_at_once(gate: Gate) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(gate.engine, "before_cursor_execute", note)
    lines = [goes("tea", 1), goes("cream", 1), goes("phone", 1)]
    gate.accept(*(movement("delivery", *lines, id=f"D{n}", at=after(n)) for n in (3, 1, 2)))
    event.remove(gate.engine, "before_cursor_execute", note)
    assert statements
    assert [each for each in statements if "receiving.change" in each or "receiving.count" in each] == []


def test_a_place_with_a_long_past_is_seen_by_what_came_behind_the_moment_alone(gate: Gate) -> None:
    gate.accept(bought("R", "tea", 5_000, 1))
    gate.accept(*(sold(f"D{n}", 1, 2 + n) for n in range(400)))
    place = {"company": "{shop}", "item": "{tea}", "warehouse": "{north}", "batch": '{""}'}
    parameters: dict[str, Any] = {**place, "behind": f"{{{_LAST}}}", "at": after(398)}
    ((found,),) = rows(gate.engine, f"EXPLAIN (ANALYZE, FORMAT JSON) {_OUTLOOKS}", **parameters)
    looked_at = list(_read(found[0]["Plan"], "change"))
    assert len(looked_at) == 2
    assert max(looked_at) <= 5


def _read(plan: dict[str, Any], table: str) -> Iterator[int]:
    """How many rows of a table each node of a plan looked at."""
    if plan.get("Relation Name") == table:
        yield plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
    for each in plan.get("Plans", []):
        yield from _read(each, table)


def test_a_day_that_was_closed_takes_nothing_back_dated(gate: Gate) -> None:
    gate.now = EVENING + timedelta(days=3)
    gate.accept(movement("delivery", goes("tea", 1), id="D", at=MORNING + timedelta(days=2)))
    closing = {"company": "shop", "through": date(2026, 3, 2), "actor": "ann"}
    assert codes(gate.define("period.closed", **closing)) == []
    assert codes(gate.ask(sold("E", 1, 10))[0]) == ["period_closed"]
    gate.accept(movement("delivery", goes("tea", 1), id="F", at=MORNING + timedelta(days=1)))
