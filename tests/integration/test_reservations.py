"""Reservations on a real PostgreSQL: kept back, delivered, given up, expired; and what they mean for all else."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import MovementRequested
from shared.contracts.movement import Reference as Original
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from tests.gate_builders import accepted_ids
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
    named,
    rows,
)
from tests.reservation_builders import (
    LATER,
    against,
    asked,
    assert_totals,
    given_up,
    of,
    open_lines,
    release,
    reserve,
    told_short,
)


@pytest.fixture(autouse=True)
def _totals(engine: Engine) -> Iterator[None]:
    """Whatever happens, the totals in the bins fit the lines of the reservations."""
    yield
    assert_totals(engine)


def delivery(identifier: str, *lines: Any, minutes: int = 5, **fields: Any) -> MovementRequested:
    return movement("delivery", *lines, id=identifier, at=after(minutes), **fields)


def judged(gate: Gate, identifier: str, *lines: Any, **fields: Any) -> list[str]:
    """The codes against a delivery; none if it is accepted."""
    return codes(gate.ask(delivery(identifier, *lines, **fields))[0])


def available(gate: Gate, identifier: str, *lines: Any, **fields: Any) -> list[str]:
    """How much a delivery that is refused could have had, line by line."""
    (told,) = gate.ask(delivery(identifier, *lines, **fields))
    assert isinstance(told, OutcomeRejected), told
    return [each.facts["available"] for each in told.reasons]


# --- what is kept back ------------------------------------------------------------------------------------------------


def test_what_is_reserved_is_told_and_others_cannot_take_it(gate: Gate) -> None:
    told = reserve(gate, "R1", of("tea", 7), of("cream", 2), of("phone", 1))
    assert isinstance(told, OutcomeAccepted)
    assert [(each.line, each.item, str(each.quantity)) for each in told.allocated] == [
        (1, "tea", "7"),
        (2, "cream", "2"),
        (3, "phone", "1"),
    ]
    assert available(gate, "D1", goes("tea", 4), goes("cream", 4), goes("phone", 3)) == ["3", "3", "2"]
    assert judged(gate, "D2", goes("tea", 3), goes("cream", 3), goes("phone", 2)) == []


def test_all_of_a_reservation_is_kept_back_or_nothing(gate: Gate) -> None:
    told = reserve(gate, "R1", of("tea", 7), of("cream", 6), of("phone", 4), of("ghost", 1))
    assert codes(told) == ["insufficient_stock", "insufficient_stock", "unknown_item"]
    assert rows(gate.engine, "SELECT count(*) FROM receiving.reservations") == [(0,)]
    assert judged(gate, "D1", goes("tea", 10)) == []


def test_what_one_has_reserved_another_cannot_reserve(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7), of("cream", 5, batch="B1"), of("phone", serials="P1"))
    told = reserve(gate, "R2", of("tea", 4), of("cream", 1), of("phone", serials="P1,P2"))
    assert codes(told) == ["insufficient_stock", "insufficient_stock", "serial_reserved"]
    assert isinstance(reserve(gate, "R3", of("tea", 3), of("phone", 2)), OutcomeAccepted)


def test_a_box_is_reserved_in_stock_units(gate: Gate) -> None:
    gate.define("item", company="shop", item="tea", units={"box": "4"})
    reserve(gate, "R1", of("tea", 2, unit="box"))
    assert available(gate, "D1", goes("tea", 3)) == ["2"]


@pytest.mark.parametrize("after_now", [timedelta(0), timedelta(days=-1), timedelta(days=367)])
def test_a_reservation_ends_within_a_year_and_not_before_it_begins(gate: Gate, after_now: timedelta) -> None:
    assert codes(reserve(gate, "R1", of("tea", 1), expires_at=EVENING + after_now)) == ["expiry_out_of_range"]


# --- delivered against it ---------------------------------------------------------------------------------------------


def test_what_a_reservation_keeps_back_is_free_to_who_names_it_partly_and_then_wholly(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7))
    gate.accept(delivery("D1", goes("tea", 5), **against("R1")))
    assert open_lines(gate.engine) == {("R1", 1): ("2", "5")}
    assert judged(gate, "D2", goes("tea", 4)) == ["insufficient_stock"]
    gate.accept(delivery("D3", goes("tea", 5, **against("R1"))))
    assert open_lines(gate.engine) == {("R1", 1): ("0", "7")}
    assert rows(gate.engine, "SELECT quantity, reserved FROM receiving.stock WHERE item = 'tea'") == [(0, 0)]


def test_two_deliveries_of_one_set_take_no_more_of_a_reservation_than_it_keeps_back(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 4))
    reserve(gate, "R2", of("tea", 4))
    first, second = gate.ask(
        delivery("D1", goes("tea", 3), **against("R1")), delivery("D2", goes("tea", 4), **against("R1"))
    )
    assert (codes(first), codes(second)) == ([], ["insufficient_stock"])
    assert open_lines(gate.engine) == {("R1", 1): ("1", "3"), ("R2", 1): ("4", "0")}


def test_units_that_are_reserved_by_name_go_to_their_order_alone_and_first(gate: Gate) -> None:
    reserve(gate, "R1", of("phone", serials="P2,P3"))
    assert judged(gate, "D1", goes("phone", serials="P2")) == ["serial_reserved"]
    (other,) = gate.ask(delivery("D2", goes("phone", 1)))
    assert named(other) == ["P1"]
    (own,) = gate.ask(delivery("D3", goes("phone", 1), **against("R1")))
    assert named(own) == ["P2"]
    (named_,) = gate.ask(delivery("D4", goes("phone", serials="P3"), **against("R1")))
    assert named(named_) == ["P3"]
    assert open_lines(gate.engine) == {("R1", 1): ("0", "2")}


def test_any_units_that_are_reserved_keep_as_many_from_who_names_others(gate: Gate) -> None:
    reserve(gate, "R1", of("phone", 2))
    assert judged(gate, "D1", goes("phone", serials="P1,P2")) == ["insufficient_stock"]
    assert judged(gate, "D2", goes("phone", serials="P2")) == []
    (own,) = gate.ask(delivery("D3", goes("phone", serials="P3"), **against("R1")))
    assert named(own) == ["P3"]
    assert open_lines(gate.engine) == {("R1", 1): ("1", "1")}


def test_a_batch_that_is_reserved_is_not_picked_by_others_and_first_by_its_order(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("cream", 4, batch="B2"), id="more", at=after(1)))
    reserve(gate, "R1", of("cream", 3, batch="B2"), of("cream", 1))
    (other,) = gate.ask(delivery("D1", goes("cream", 5)))
    assert [(each.batch, str(each.quantity)) for each in other.allocated] == [("B1", "5")]  # type: ignore[union-attr]
    assert available(gate, "D2", goes("cream", 1)) == ["0"]
    assert judged(gate, "D3", goes("cream", 2, batch="B2")) == ["insufficient_stock"]
    (own,) = gate.ask(delivery("D4", goes("cream", 4), **against("R1")))
    assert [(each.batch, str(each.quantity)) for each in own.allocated] == [("B2", "4")]  # type: ignore[union-attr]
    assert open_lines(gate.engine) == {("R1", 1): ("0", "3"), ("R1", 2): ("0", "1")}


def test_what_is_reserved_of_any_batch_is_left_of_those_that_may_be_picked(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("cream", 4, batch="B2"), id="more", at=after(1)))
    gate.define("batch.held", company="shop", item="cream", batch="B2")
    assert codes(reserve(gate, "R0", of("cream", 6))) == ["insufficient_stock"]
    assert codes(reserve(gate, "R1", of("cream", 1, batch="B2"))) == ["batch_held"]
    reserve(gate, "R2", of("cream", 4))
    assert available(gate, "D1", goes("cream", 2, batch="B1")) == ["1"]
    gate.define("batch.released", company="shop", item="cream", batch="B2")
    assert judged(gate, "D2", goes("cream", 5, batch="B1")) == []


def test_a_transfer_and_a_making_take_against_a_reservation_as_well(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 10))
    moved = movement("material_transfer", moves("tea", 4), id="T", at=after(5))
    assert codes(gate.ask(moved)[0]) == ["insufficient_stock"]
    gate.accept(movement("material_transfer", moves("tea", 4), id="T2", at=after(5), **against("R1")))
    lines = [goes("tea", 2), comes("cream", 1, batch="B3", rate=None)]
    gate.accept(movement("manufacture", *lines, id="M", at=after(6), **against("R1")))
    assert open_lines(gate.engine) == {("R1", 1): ("4", "6")}
    gate.accept(delivery("D", goes("tea", 4, "south"), minutes=7))  # what was moved is free where it came


@pytest.mark.parametrize(
    ("purpose", "asked_line"),
    [("purchase_receipt", comes("tea", 1)), ("reconciliation", comes("tea", 1)), ("write_down", goes("tea", rate="1"))],
)
def test_what_takes_no_goods_names_no_reservation(gate: Gate, purpose: str, asked_line: Any) -> None:
    reserve(gate, "R1", of("tea", 1))
    (told,) = gate.ask(movement(purpose, asked_line, id="M", at=after(5), **against("R1")))
    assert "reservation_not_allowed" in codes(told)


def test_a_dry_run_frees_nothing(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7))
    gate.send(*events([delivery("D1", goes("tea", 7), dry_run=True, **against("R1"))]))
    assert open_lines(gate.engine) == {("R1", 1): ("7", "0")}


# --- its end ----------------------------------------------------------------------------------------------------------


def test_from_its_expiry_on_a_reservation_keeps_nothing_back(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7), of("cream", 2, batch="B1"), of("phone", serials="P1"), of("phone", 1))
    gate.now = LATER - timedelta(microseconds=1)
    assert available(gate, "D1", goes("tea", 4), goes("cream", 4), goes("phone", 2)) == ["3", "3", "1"]
    gate.now = LATER
    assert told_short(gate.engine, LATER)["R1", 1] == ("0", "0", "expired")
    assert judged(gate, "D2", goes("tea", 10), goes("cream", 5), goes("phone", serials="P1-P3")) == []
    assert set(open_lines(gate.engine).values()) == {("0", "0")}


def test_a_delivery_against_a_reservation_that_has_expired_is_judged_like_any_other(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7))
    gate.now = LATER
    reserve(gate, "R2", of("tea", 8), expires_at=LATER + timedelta(hours=1))
    assert available(gate, "D1", goes("tea", 3), **against("R1")) == ["2"]
    assert judged(gate, "D2", goes("tea", 2), **against("R1")) == []
    assert open_lines(gate.engine)["R1", 1] == ("0", "0")


def test_a_sweep_lets_go_of_what_has_expired_and_nothing_else(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7), of("phone", serials="P1"))
    reserve(gate, "R2", of("tea", 2), expires_at=LATER + timedelta(hours=1))
    gate.now = LATER
    for sweep in gate._service.sweeps:
        gate.follow(sweep)
    assert open_lines(gate.engine) == {("R1", 1): ("0", "0"), ("R1", 2): ("0", "0"), ("R2", 1): ("2", "0")}
    assert rows(gate.engine, "SELECT count(*) FROM receiving.reserved_serials") == [(0,)]


def test_who_gives_a_reservation_up_frees_what_is_left_of_it_once(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7), of("cream", 2, batch="B1"), of("phone", serials="P1,P2"))
    gate.accept(delivery("D1", goes("tea", 2), goes("phone", serials="P1"), **against("R1")))
    assert isinstance(release(gate, "G1", "R1"), OutcomeAccepted)
    assert judged(gate, "D2", goes("tea", 8), goes("cream", 5), goes("phone", 2)) == []
    again = release(gate, "G2", "R1")
    assert isinstance(again, OutcomeRejected)
    assert [(each.code, each.facts["state"]) for each in again.reasons] == [("reservation_ended", "released")]


def test_what_has_expired_or_was_delivered_cannot_be_given_up(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 2))
    reserve(gate, "R2", of("tea", 2))
    gate.accept(delivery("D1", goes("tea", 2), **against("R1")))
    gate.now = LATER
    states = [told.reasons[0].facts["state"] for told in (release(gate, "G1", "R1"), release(gate, "G2", "R2"))]  # type: ignore[union-attr]
    assert states == ["delivered", "expired"]


def test_of_two_releases_in_one_set_the_second_finds_it_ended(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 2))
    told = [decoded(each) for each in gate.send(given_up("G1", "R1"), given_up("G2", "R1"))]
    assert [codes(each) for each in told] == [[], ["reservation_ended"]]


# --- out of order, and again ------------------------------------------------------------------------------------------


def test_a_delivery_waits_for_the_reservation_that_it_names(engine: Engine, gate: Gate) -> None:
    patient = Gate(engine, patience=timedelta(minutes=5))
    assert patient.send(*events([delivery("D1", goes("tea", 7), **against("R1"))])) == []
    outputs = patient.send(asked("R1", of("tea", 7)))
    assert accepted_ids(outputs) == ["R1", "D1"]
    assert open_lines(engine) == {("R1", 1): ("0", "7")}


def test_a_delivery_against_what_was_never_reserved_is_refused_in_the_end(gate: Gate) -> None:
    assert judged(gate, "D1", goes("tea", 7), **against("R1")) == ["unknown_reservation"]


def test_a_release_waits_for_its_reservation_and_a_reservation_never_for_goods(engine: Engine, gate: Gate) -> None:
    patient = Gate(engine, patience=timedelta(minutes=5))
    assert patient.send(given_up("G1", "R1")) == []
    assert codes(reserve(patient, "R0", of("tea", 11))) == ["insufficient_stock"]
    assert accepted_ids(patient.send(asked("R1", of("tea", 7)))) == ["R1", "G1"]
    assert open_lines(engine) == {("R1", 1): ("0", "0")}


def test_who_waits_for_goods_is_tried_when_a_reservation_is_given_up(engine: Engine, gate: Gate) -> None:
    patient = Gate(engine, patience=timedelta(minutes=5))
    patient.send(asked("R1", of("tea", 7)))
    assert patient.send(*events([delivery("D1", goes("tea", 8))])) == []
    assert accepted_ids(patient.send(given_up("G1", "R1"))) == ["G1", "D1"]


def test_the_same_reservation_again_is_told_again_and_keeps_back_no_more(gate: Gate) -> None:
    first = gate.send(asked("R1", of("tea", 4)))
    assert gate.send(asked("R1", of("tea", 4)), asked("R1", of("tea", 4))) == first
    assert gate.send(asked("R1", of("tea", 5))) == first
    assert open_lines(gate.engine) == {("R1", 1): ("4", "0")}
    assert rows(gate.engine, "SELECT reason, times FROM receiving.parked") == [("conflicting_duplicate", 1)]


# --- what is there, and what was there --------------------------------------------------------------------------------


def test_a_count_is_never_refused_for_a_reservation_and_the_later_one_is_told_short(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 4))
    reserve(gate, "R2", of("tea", 5))
    gate.accept(movement("reconciliation", comes("tea", 6, rate=None), id="C", at=after(5)))
    assert told_short(gate.engine) == {("R1", 1): ("4", "0", "open"), ("R2", 1): ("5", "3", "short")}
    assert available(gate, "D1", goes("tea", 1), minutes=6) == ["0"]
    gate.accept(delivery("D2", goes("tea", 5), minutes=6, **against("R2")))
    assert told_short(gate.engine)["R1", 1] == ("4", "3", "short")


def test_a_reserved_unit_that_was_not_found_is_short_and_is_free_when_it_is_found(gate: Gate) -> None:
    reserve(gate, "R1", of("phone", serials="P1,P2"))
    gate.accept(movement("reconciliation", comes("phone", serials="P2,P3", rate=None), id="C", at=after(5)))
    assert told_short(gate.engine) == {("R1", 1): ("2", "1", "short")}
    gate.accept(movement("reconciliation", comes("phone", serials="P1-P3", rate=None), id="C2", at=after(6)))
    assert judged(gate, "D1", goes("phone", serials="P1"), minutes=7) == []
    assert judged(gate, "D2", goes("phone", serials="P2"), minutes=7) == ["serial_reserved"]
    gate.now = LATER
    assert judged(gate, "D3", goes("phone", serials="P2"), minutes=7) == []


def test_what_is_reserved_of_a_batch_outlives_that_none_of_it_is_there(gate: Gate) -> None:
    reserve(gate, "R1", of("cream", 4, batch="B1"))
    gate.accept(movement("reconciliation", comes("cream", 0, batch="B1", rate=None), id="C", at=after(5)))
    gate.accept(movement("purchase_receipt", comes("cream", 5, batch="B1"), id="more", at=after(6)))
    assert available(gate, "D1", goes("cream", 2, batch="B1"), minutes=7) == ["1"]
    assert judged(gate, "D2", goes("cream", 4), minutes=7, **against("R1")) == []


def test_a_fact_takes_what_is_reserved(gate: Gate) -> None:
    gate.define("source", source="till-2", mode="fact")
    reserve(gate, "R1", of("tea", 8))
    (told,) = gate.ask(delivery("D1", goes("tea", 5)), source="till-2")
    assert codes(told) == []
    assert told_short(gate.engine) == {("R1", 1): ("8", "3", "short")}


def test_what_is_told_late_takes_no_more_than_was_there_and_is_not_reserved_today(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("tea", 90), id="more", at=after(60)))
    reserve(gate, "R1", of("tea", 95))
    assert available(gate, "D1", goes("tea", 6), minutes=5) == ["5"]
    assert judged(gate, "D2", goes("tea", 4), minutes=5) == []
    assert judged(gate, "D3", goes("tea", 6), minutes=5, **against("R1")) == []
    assert open_lines(gate.engine) == {("R1", 1): ("89", "6")}


def test_what_a_count_has_found_since_does_not_speak_against_what_is_told_late(gate: Gate) -> None:
    gate.accept(movement("reconciliation", comes("tea", 7, rate=None), id="C", at=after(60)))
    reserve(gate, "R1", of("tea", 7))
    assert judged(gate, "D1", goes("tea", 10), minutes=5) == []
    assert told_short(gate.engine) == {("R1", 1): ("7", "0", "open")}


def test_what_was_delivered_stays_so_when_the_delivery_is_cancelled(gate: Gate) -> None:
    reserve(gate, "R1", of("tea", 7), of("phone", serials="P1"))
    gate.accept(delivery("D1", goes("tea", 7), goes("phone", serials="P1"), **against("R1")))
    gate.accept(movement("cancellation", id="X", at=after(6), against=Original(id="D1")))
    assert open_lines(gate.engine) == {("R1", 1): ("0", "7"), ("R1", 2): ("0", "1")}
    assert judged(gate, "D2", goes("tea", 10), goes("phone", serials="P1"), minutes=7) == []


def test_a_receipt_whose_goods_are_reserved_is_not_cancelled(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("tea", 5), comes("phone", serials="Q1"), id="B", at=after(5)))
    reserve(gate, "R1", of("tea", 11), of("phone", serials="Q1"))
    cancelled = movement("cancellation", id="X", at=after(6), against=Original(id="B"))
    (told,) = gate.ask(cancelled)
    assert codes(told) == ["insufficient_stock", "serial_reserved"]
    assert isinstance(told, OutcomeRejected)
    assert told.reasons[0].facts["available"] == "4"
    release(gate, "G1", "R1")
    assert codes(gate.ask(movement("cancellation", id="X2", at=after(6), against=Original(id="B")))[0]) == []


def test_goods_that_are_sent_back_are_not_those_that_are_reserved(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("tea", 5), id="B", at=after(5)))
    reserve(gate, "R1", of("tea", 12))
    back = movement("purchase_return", line("tea", 4), id="P", at=after(6), against=Original(id="B"))
    assert codes(gate.ask(back)[0]) == ["insufficient_stock"]
