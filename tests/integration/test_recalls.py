"""Recalls at the gate: what one reaches, what leaves no more, what may still be done with it, and how it ends."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.receiving.store.availability import available
from shared.contracts.movement import MovementRequested, Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.recall import RecalledGoods
from shared.db import transaction
from tests.builders import COMPANY
from tests.gate_builders import accepted_ids
from tests.recall_builders import (
    EVIDENCE,
    batch,
    closed,
    goods_of,
    opened,
    reached,
    recall,
    recalled_units,
    states,
    tell,
    units,
)
from tests.receiving_builders import EVENING, Gate, after, codes, comes, define_shop, goes, movement, moves, rows

BATCHED = {"tracking": "batch", "create_batches_on_receipt": True}
UNITS = {"tracking": "serial"}


@pytest.fixture
def gate(engine: Engine) -> Gate:
    """Oil goes into cream, cream into boxes; oil and parts into pumps, pumps into motors; a phone is of a batch."""
    gate = Gate(engine)
    items: dict[str, dict[str, Any]] = {"oil": BATCHED, "cream": BATCHED, "box": BATCHED, "dust": {}}
    items |= {"pump": UNITS, "motor": UNITS, "phone": {**UNITS, "create_batches_on_receipt": True}}
    define_shop(gate, *({"item": name, **fields} for name, fields in items.items()))
    gate.accept(
        movement("opening_stock", comes("oil", 20, batch="O1"), comes("oil", 20, batch="O2"), id="oil"),
        movement("opening_stock", comes("phone", serials="H1-H4", batch="L1"), id="phones"),
        make("creams", goes("oil", 2, batch="O1"), comes("cream", 9, batch="C1", rate=None), at=1),
        make("other creams", goes("oil", 2, batch="O2"), comes("cream", 9, batch="C2", rate=None), at=1),
        make("boxes", goes("cream", 2, batch="C1"), comes("box", 4, batch="X1", rate=None), at=2),
        make("pumps", goes("oil", 1, batch="O1"), comes("pump", serials="P1-P3", rate=None), at=2),
        make("motors", goes("pump", serials="P1"), comes("motor", serials="M1", rate=None), at=3),
        make("dust", goes("oil", 1, batch="O1"), comes("dust", 5, rate=None), at=3),
    )
    return gate


def make(identifier: str, *lines: Any, at: int) -> MovementRequested:
    return movement("manufacture", *lines, id=identifier, at=after(at))


def sells(gate: Gate, identifier: str, *lines: Any, minutes: int = 50) -> list[str]:
    """The codes against a delivery, none where it is accepted."""
    return codes(gate.ask(movement("delivery", *lines, id=identifier, at=after(minutes), customer="Ada"))[0])


# --- what one reaches -------------------------------------------------------------------------------------------------


def test_a_recall_reaches_all_that_was_made_of_a_batch_through_several_makings(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    assert goods_of(gate.engine, "R1") == [
        ("box", "batch", "X1", False),
        ("cream", "batch", "C1", False),
        ("dust", "none", "", False),
        ("motor", "serial", "M1", False),
        ("oil", "batch", "O1", True),
        ("pump", "serial", "P1", False),
        ("pump", "serial", "P2", False),
        ("pump", "serial", "P3", False),
    ]
    assert states(gate.engine, "cream") == {"C1": "recalled", "C2": "free"}
    assert states(gate.engine, "oil") == {"O1": "recalled", "O2": "free"}
    assert recalled_units(gate.engine, "pump") == ["P1", "P2", "P3"]
    assert recalled_units(gate.engine, "motor") == ["M1"]


def test_a_recall_of_units_leaves_others_of_their_kind_alone(gate: Gate) -> None:
    recall(gate, "R1", units("pump", "P1-P2"))
    assert [number for _, _, number, _ in goods_of(gate.engine, "R1")] == ["M1", "P1", "P2"]
    assert sells(gate, "D1", goes("pump", serials="P3")) == []


def test_the_units_of_a_recalled_batch_are_recalled_by_themselves_too(gate: Gate) -> None:
    recall(gate, "R1", batch("phone", "L1"))
    named = [("phone", "serial", number, True) for number in ("H1", "H2", "H3", "H4")]
    assert goods_of(gate.engine, "R1") == [("phone", "batch", "L1", True), *named]
    assert sells(gate, "D1", goes("phone", serials="H1")) == ["serial_recalled", "batch_recalled"]


def test_a_unit_stays_recalled_whatever_batch_it_is_said_to_be_of_later(gate: Gate) -> None:
    gate.accept(movement("delivery", goes("phone", serials="H2"), id="D", at=after(20), customer="Ada"))
    gate.define("batch", company=COMPANY, item="phone", batch="L9")
    recall(gate, "R1", batch("phone", "L1"))
    told = gate.define("serial", company=COMPANY, item="phone", serial="H1", batch="L9")
    assert isinstance(told, OutcomeAccepted)
    gate.accept(movement("material_receipt", comes("phone", serials="H2", batch="L9"), id="B", at=after(40)))
    assert sells(gate, "D1", goes("phone", serials="H1")) == ["serial_recalled"]
    assert sells(gate, "D2", goes("phone", serials="H2")) == ["serial_recalled"]


def test_a_recall_that_names_a_batch_and_some_serials_is_of_both(gate: Gate) -> None:
    recall(gate, "R1", RecalledGoods(item="phone", batch="L1", serials="H1"), RecalledGoods(item="pump", serials="P3"))
    assert [number for _, _, number, named in goods_of(gate.engine, "R1") if named] == [
        "L1",
        "H1",
        "H2",
        "H3",
        "H4",
        "P3",
    ]


def test_a_mock_recall_finds_all_of_it_and_stops_nothing(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"), mock=True)
    assert len(goods_of(gate.engine, "R1")) == 8
    assert set(states(gate.engine, "cream").values()) == {"free"}
    assert sells(gate, "D1", goes("cream", 1, batch="C1"), goes("pump", serials="P2")) == []


# --- what leaves no more ----------------------------------------------------------------------------------------------


def test_nothing_recalled_is_delivered_consumed_issued_or_moved_to_another_store(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    lines = [goes("cream", 1, batch="C1"), goes("pump", serials="P2")]
    moved = [moves("cream", 1, batch="C1"), moves("pump", serials="P2")]
    asked = [
        movement("delivery", *lines, id="D1", at=after(30), customer="Ada"),
        movement("material_issue", *lines, id="I1", at=after(30)),
        movement("manufacture", *lines, comes("dust", 1, rate=None), id="M1", at=after(30)),
        movement("material_transfer", *moved, id="T1", at=after(30)),
    ]
    for each in gate.ask(*asked):
        assert codes(each) == ["batch_recalled", "serial_recalled"], each


def test_what_happened_before_a_recall_and_is_told_only_behind_it_is_refused_too(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    late = movement("delivery", goes("cream", 1, batch="C1"), id="D1", at=after(5), customer="Ada")
    assert codes(gate.ask(late)[0]) == ["batch_recalled"]


def test_nothing_recalled_is_picked(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    (told,) = gate.accept(movement("delivery", goes("cream", 9), id="D1", at=after(30), customer="Ada"))
    assert [(each.batch, str(each.quantity)) for each in told.allocated] == [("C2", "9")]
    assert sells(gate, "D2", goes("pump", 1)) == ["insufficient_stock"]


def test_what_may_be_picked_leaves_out_what_is_recalled_and_says_why(gate: Gate) -> None:
    recall(gate, "R1", units("pump", "P2"), batch("cream", "C1"))
    with transaction(gate.engine) as connection:
        pumps = available(connection, COMPANY, "pump", "north", EVENING)
        creams = available(connection, COMPANY, "cream", "north", EVENING)
    assert [each.number for each in pumps.pickable] == ["P3"]
    assert [(each.number, code) for each, code in pumps.rest] == [("P2", "serial_recalled")]
    assert [(each.number, code) for each, code in creams.rest] == [("C1", "batch_recalled")]


def test_what_is_recalled_is_scrapped_sent_back_put_into_quarantine_and_taken_back(gate: Gate) -> None:
    gate.accept(
        movement("purchase_receipt", comes("pump", serials="P9"), comes("cream", 3, batch="C9"), id="B", supplier="Q"),
        movement("delivery", goes("pump", serials="P3"), goes("cream", 1, batch="C1"), id="D", customer="Ada"),
    )
    recall(gate, "R1", batch("oil", "O1"), batch("cream", "C9"), units("pump", "P9"))
    quarantine = {"target": "quarantine"}
    back = movement(
        "sales_return", comes("pump", serials="P3", rate=None), comes("cream", 1, batch="C1", rate=None), id="S",
        at=after(40), against=Reference(id="D"),
    )  # fmt: skip
    gate.accept(
        back,
        movement("scrap", goes("cream", 1, batch="C1"), goes("pump", serials="P3"), id="W", at=after(41)),
        movement("purchase_return", goes("cream", 3, batch="C9"), goes("pump", serials="P9"), id="PR", at=after(41)),
        movement("material_transfer", moves("cream", 2, batch="C1", **quarantine),
                 moves("pump", serials="P2", **quarantine), id="T", at=after(42)),
    )  # fmt: skip
    assert sells(gate, "D2", goes("pump", None, "quarantine", serials="P2")) == ["serial_recalled"]


def test_a_unit_that_comes_back_during_a_recall_stays_recalled(gate: Gate) -> None:
    gate.accept(movement("delivery", goes("pump", serials="P3"), id="D", at=after(20), customer="Ada"))
    recall(gate, "R1", units("pump", "P3"))
    back = comes("pump", serials="P3", rate=None)
    gate.accept(movement("sales_return", back, id="S", at=after(40), against=Reference(id="D")))
    assert sells(gate, "D2", goes("pump", serials="P3")) == ["serial_recalled"]


def test_a_recalled_batch_is_neither_held_nor_released(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    for noun in ("batch.held", "batch.released"):
        told = gate.define(noun, company=COMPANY, item="oil", batch="O1")
        assert codes(told) == ["batch_recalled"]


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_recall_is_recorded_behind_all_that_was_accepted_of_its_goods_whatever_a_clock_says(gate: Gate) -> None:
    gate.now = EVENING + timedelta(minutes=3)
    (sold,) = gate.accept(movement("delivery", goes("cream", 1, batch="C1"), id="D", at=after(20), customer="Ada"))
    gate.now = EVENING
    assert recall(gate, "R1", batch("oil", "O1")).recorded_at >= sold.recorded_at == EVENING + timedelta(minutes=3)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_all_that_speaks_against_a_recall_is_told_at_once(gate: Gate) -> None:
    told = tell(gate, opened("R1", batch("oil", "O7"), batch("salt", "S1"), units("pump", "P7"), batch("oil", " ")))
    assert isinstance(told, OutcomeRejected)
    assert [(each.code, dict(each.facts)) for each in told.reasons] == [
        ("goods_missing", {"item": "oil"}),
        ("unknown_item", {"item": "salt"}),
        ("unknown_batch", {"item": "oil", "batch": "O7"}),
        ("unknown_serial", {"item": "pump", "serial": "P7"}),
    ]
    assert goods_of(gate.engine, "R1") == []


def test_a_recall_of_an_unknown_company_is_refused(gate: Gate) -> None:
    assert codes(tell(gate, opened("R1", batch("oil", "O1"), company="nobody"))) == ["unknown_company"]


def test_a_recall_of_more_units_than_one_may_name_is_refused(gate: Gate) -> None:
    assert codes(tell(gate, opened("R1", units("pump", "P000001-P900000")))) == ["too_many_serials"]


def test_a_recall_is_answered_at_once_also_where_movements_wait(engine: Engine) -> None:
    gate = Gate(engine, patience=timedelta(minutes=1))
    define_shop(gate, {"item": "oil", **BATCHED})
    assert codes(tell(gate, opened("R1", batch("oil", "O1")))) == ["unknown_batch"]


def test_who_was_told_of_a_recall_that_is_still_on_its_way_is_noted_before_it_is_closed(engine: Engine) -> None:
    gate = Gate(engine, patience=timedelta(minutes=1))
    define_shop(gate, {"item": "oil", **BATCHED})
    gate.accept(movement("opening_stock", comes("oil", 2, batch="O1"), id="oil"))
    assert gate.send(closed("E1", "R1")) == gate.send(reached("N1", "R1", "Ada")) == []
    assert accepted_ids(gate.send(opened("R1", batch("oil", "O1")))) == ["R1", "N1", "E1"]


# --- who was told, and the end ----------------------------------------------------------------------------------------


def test_who_was_told_is_noted_each_time(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    gate.now = EVENING + timedelta(hours=1)
    assert isinstance(tell(gate, reached("N1", "R1", "Ada", EVENING, answer="two jars left")), OutcomeAccepted)
    assert isinstance(tell(gate, reached("N2", "R1", "Ada", answer="sent back")), OutcomeAccepted)
    told = rows(gate.engine, "SELECT customer, reached_at, answer FROM receiving.recalls_reached ORDER BY by_id")
    assert told == [("Ada", EVENING, "two jars left"), ("Ada", gate.now, "sent back")]


def test_nobody_was_told_before_the_recall_or_in_the_future(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    for minutes in (-1, 1):
        told = tell(gate, reached(f"N{minutes}", "R1", "Ada", EVENING + timedelta(minutes=minutes)))
        assert codes(told) == ["reached_at_out_of_range"]


def test_nothing_is_noted_of_a_recall_that_is_closed_or_not_known(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    assert isinstance(tell(gate, closed("E1", "R1")), OutcomeAccepted)
    assert codes(tell(gate, reached("N1", "R1", "Ada"))) == ["recall_closed"]
    assert codes(tell(gate, closed("E2", "R1"))) == ["recall_closed"]
    assert codes(tell(gate, closed("E3", "R9"))) == ["unknown_recall"]
    assert rows(gate.engine, "SELECT state, evidence, released_at FROM receiving.recalls") == [
        ("closed", EVIDENCE, None)
    ]


def test_what_was_recalled_leaves_no_more_when_the_recall_is_closed(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    tell(gate, closed("E1", "R1"))
    assert sells(gate, "D1", goes("cream", 1, batch="C1"), goes("pump", serials="P2")) == [
        "batch_recalled",
        "serial_recalled",
    ]


def test_a_false_alarm_lets_go_of_what_no_other_recall_is_about_and_what_was_held_is_held_again(gate: Gate) -> None:
    gate.define("batch.held", company=COMPANY, item="oil", batch="O1")
    recall(gate, "R1", batch("oil", "O1"))
    recall(gate, "R2", batch("cream", "C1"), units("pump", "P1"))
    tell(gate, closed("E1", "R1", release=True))
    assert states(gate.engine, "oil") == {"O1": "held", "O2": "free"}
    assert states(gate.engine, "cream")["C1"] == "recalled"
    assert recalled_units(gate.engine, "pump") == ["P1"]
    tell(gate, closed("E2", "R2", release=True))
    assert states(gate.engine, "cream")["C1"] == "free"
    assert recalled_units(gate.engine, "pump") == recalled_units(gate.engine, "motor") == []
    assert sells(gate, "D1", goes("cream", 1, batch="C1"), goes("pump", serials="P2")) == []


def test_a_false_alarm_may_be_found_out_when_the_recall_is_closed(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    tell(gate, closed("E1", "R1"))
    assert isinstance(tell(gate, closed("E2", "R1", release=True, evidence="cd" * 32)), OutcomeAccepted)
    assert states(gate.engine, "oil")["O1"] == "free"
    assert codes(tell(gate, closed("E3", "R1", release=True))) == ["recall_closed"]
    told = rows(gate.engine, "SELECT closed_by, evidence, released_evidence FROM receiving.recalls")
    assert told == [("ama", EVIDENCE, "cd" * 32)]


def test_a_false_alarm_may_be_told_by_a_gate_whose_clock_is_behind(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    tell(gate, closed("E1", "R1"))
    gate.now = EVENING - timedelta(minutes=3)
    assert isinstance(tell(gate, closed("E2", "R1", release=True)), OutcomeAccepted)


def test_of_two_ends_of_a_recall_in_one_set_the_first_counts(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    told = gate.send(closed("E1", "R1", release=True), closed("E2", "R1", release=True))
    assert accepted_ids(told) == ["E1"]
    assert states(gate.engine, "oil")["O1"] == "free"


def test_the_end_of_a_mock_lets_go_of_nothing(gate: Gate) -> None:
    recall(gate, "R1", batch("oil", "O1"))
    recall(gate, "R2", batch("oil", "O1"), mock=True)
    tell(gate, closed("E2", "R2", release=True))
    assert states(gate.engine, "oil")["O1"] == "recalled"


def test_a_recall_told_twice_is_one(gate: Gate) -> None:
    first = tell(gate, opened("R1", batch("oil", "O1")))
    assert tell(gate, opened("R1", batch("oil", "O1"))) == first
    tell(gate, closed("E1", "R1", release=True))
    assert states(gate.engine, "oil")["O1"] == "free"
