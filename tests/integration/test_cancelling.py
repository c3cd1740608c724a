"""Cancellations on a real PostgreSQL: what they leave in its tables, and who meets them there."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.desk.reporting import REPORTS
from services.receiving.decide.stock import NEVER
from shared.contracts.movement import AdditionalCost, MovementAllocated, MovementRequested, Reference
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import OUTCOME_REJECTED, TRIAL_ALLOCATED
from shared.db import transaction
from shared.quantities import Money, plain
from shared.report import Filters, records
from tests.builders import COMPANY, MORNING, SOURCE, Session, until_blocked
from tests.gate_builders import BOUGHT, DELIVERED, accepted_ids, finish, held, in_bins, landing, returning
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
# Everything that tells what is, and nothing that only tells what was said.
STATE = {
    "bins": """
        SELECT item, warehouse, trim_scale(quantity), short, nullif(counted_at, '0001-01-01 Z'), rated_from
        FROM receiving.bin WHERE quantity <> 0 OR short OR counted_at > '0001-01-01 Z' OR rated_from IS NOT NULL""",
    "batch stock": "SELECT item, warehouse, batch, trim_scale(quantity) FROM receiving.batch_stock WHERE quantity <> 0",
    "entered": "SELECT item, batch, entered_at, entered_stamp FROM receiving.batch WHERE entered_at IS NOT NULL",
    "serials": "SELECT * FROM (SELECT serial.*, NULL AS attributes FROM receiving.serial) AS each "
    "WHERE last_at IS NOT NULL",
    "stays": "SELECT * FROM receiving.stay",
    "changes": "SELECT * FROM receiving.change",
    "counts": "SELECT * FROM receiving.count",
    "returned": "SELECT entry, quantity, cast(serials AS text) FROM receiving.returned WHERE quantity > 0",
    "naming": "SELECT * FROM receiving.naming",
}


def state(engine: Engine) -> dict[str, list[str]]:
    return {what: sorted(map(str, rows(engine, statement))) for what, statement in STATE.items()}


def cancelling(of: str, identifier: str | None = None, minutes: int = 60, **fields: Any) -> MovementRequested:
    """A cancellation of a movement, an hour after the goods came."""
    reference = Reference(id=of)
    return movement("cancellation", id=identifier or f"not {of}", at=after(minutes), against=reference, **fields)


def cancelled(gate: Gate, of: str, **fields: Any) -> MovementAllocated:
    (allocated,) = gate.accepted(cancelling(of, **fields))
    return allocated


def reasons(gate: Gate, asked: MovementRequested) -> list[Refusal]:
    """Why a movement is refused."""
    (told,) = gate.ask(asked)
    assert isinstance(told, OutcomeRejected)
    return told.reasons


def refused(gate: Gate, asked: MovementRequested) -> list[str]:
    return codes(gate.ask(asked)[0])


CASES: Mapping[str, MovementRequested] = {
    each.purpose if each.id == "M" else each.id: each
    for each in (
        movement("opening_stock", comes("tea", 1, "south"), comes("phone", 2, "south"), id="M", at=after(5)),
        movement("material_receipt", comes("tea", 3), comes("cream", 2, batch="B9"), id="M", at=after(5)),
        movement("purchase_receipt", comes("phone", serials="P7"), id="M", at=after(5), supplier="Foundry"),
        movement("purchase_return", line("tea", 2), line("phone", 1), id="M", at=after(5),
                 against=Reference(id="bought")),
        movement("material_issue", goes("tea", 3), goes("cream", 2), goes("phone", 1), id="M", at=after(5)),
        movement("scrap", goes("cream", 2, batch="B1"), id="M", at=after(5)),
        movement("write_down", goes("tea", rate="0.5"), goes("phone", serials="P3", rate="0.1"), id="M", at=after(5)),
        movement("delivery", goes("tea", 6), goes("phone", serials="P3"), id="M", at=after(5), customer="Bob"),
        movement("sale", goes("phone", 1, price="9"), id="M", at=after(5), customer="Bob"),
        movement("sales_return", line("tea", 2), line("cream", 3), line("phone", serials="P1"), id="M", at=after(5),
                 against=Reference(id="delivered")),
        movement("sales_return", comes("phone", None, "south", None, serials="P1,P2"), id="unreferenced", at=after(5)),
        movement("sale", goes("phone", 1, price="9"), line("phone", serials="P1", target="south", price="9"),
                 id="exchange", at=after(5), against=Reference(id="delivered")),
        movement("material_transfer", moves("tea", 2), moves("cream", 2), moves("phone", 1), id="M", at=after(5)),
        movement("manufacture", goes("tea", 2), goes("phone", serials="P3"), comes("phone", 2, rate=None), id="M",
                 at=after(5)),
        movement("repack", goes("phone", serials="P3"), comes("phone", None, "south", serials="P3"), id="M",
                 at=after(5)),
        movement("reconciliation", comes("tea", 1), comes("cream", 9, batch="B1"), comes("phone", serials="P2"), id="M",
                 at=after(5)),
        movement("reconciliation", comes("tea", 6), comes("phone", serials="P3"), id="count of the same", at=after(5)),
        landing("M", "7", "bought", 5),
    )
}  # fmt: skip


@pytest.fixture
def busy(gate: Gate) -> Gate:
    """A shop that has delivered to Ada, and bought."""
    gate.accept(DELIVERED)
    gate.accept(BOUGHT)
    return gate


@pytest.mark.parametrize("what", CASES)
def test_a_cancelled_movement_has_never_been_for_all_that_tells_what_is(busy: Gate, what: str) -> None:
    asked = CASES[what]
    before = state(busy.engine)
    (original,) = busy.accepted(asked)
    assert what == "write_down" or state(busy.engine) != before
    told = cancelled(busy, asked.id)
    assert state(busy.engine) == before
    assert (told.mirrors, told.effective_at) == (asked.purpose, original.effective_at)
    assert [leg.quantity for leg in told.legs] == [-leg.quantity for leg in original.legs]
    assert rows(busy.engine, "SELECT id, by_id FROM receiving.cancelled") == [(asked.id, told.id)]
    assert refused(busy, cancelling(asked.id, "again")) == ["already_cancelled"]
    assert refused(busy, cancelling(told.id, "and back")) == ["cancel_of_cancellation"]


def test_a_whole_day_is_cancelled_backwards(busy: Gate) -> None:
    (landed,) = busy.accepted(landing("landed", "7", "bought"))
    busy.accept(returning("R", line("tea", 2), line("phone", 1), minutes=5))
    for each in ("R", landed.id, "bought", "delivered", "stocked"):
        cancelled(busy, each)
    left = state(busy.engine)
    assert {what: found for what, found in left.items() if found} == {}
    assert rows(busy.engine, "SELECT DISTINCT status FROM receiving.serial_status") == [("inactive",)]


def test_what_was_cancelled_is_reported_anew_of_an_earlier_time(busy: Gate) -> None:
    busy.accept(movement("purchase_receipt", comes("phone", serials="P9"), id="wrong", at=after(30)))
    cancelled(busy, "wrong")
    (allocated,) = busy.accepted(movement("purchase_receipt", comes("phone", serials="P9"), id="right", at=after(20)))
    assert allocated.effective_at == after(20)
    assert in_bins(busy.engine, "phone") == {"north": 2, "south": 3}


def test_a_movement_and_its_cancellation_may_come_in_one_set(busy: Gate) -> None:
    before = state(busy.engine)
    issue = movement("material_issue", goes("tea", 1), goes("cream", 2), goes("phone", 1), id="I", at=after(5))
    busy.accept(issue, cancelling("I"))
    assert state(busy.engine) == before


def test_a_return_and_its_cancellation_may_come_in_one_set_and_give_back_what_may_be_returned(busy: Gate) -> None:
    before = state(busy.engine)
    busy.accept(returning("R", line("tea", 4), line("phone", 2), minutes=5), cancelling("R"))
    assert state(busy.engine) == before
    busy.accept(returning("R2", line("tea", 4), line("phone", 2), minutes=6))


def test_a_cancellation_and_the_return_that_stood_in_its_way_are_undone_in_one_set(busy: Gate) -> None:
    busy.accept(returning("R", line("tea", 4), line("phone", 2), minutes=5))
    busy.accept(cancelling("R"), cancelling("delivered"))
    assert in_bins(busy.engine, "tea") == {"north": 10, "south": 6}
    assert rows(busy.engine, "SELECT * FROM receiving.naming") == []


def test_a_back_dated_movement_is_cancelled_with_what_it_made_a_later_count_find(busy: Gate) -> None:
    busy.accept(movement("reconciliation", comes("tea", 6), comes("cream", 2, batch="B1"), id="count", at=after(30)))
    before = state(busy.engine)
    late = movement("material_issue", goes("tea", 1), goes("cream", 1, batch="B1"), id="late", at=after(20))
    (allocated,) = busy.accepted(late)
    assert [plain(leg.quantity) for leg in allocated.legs] == ["-1", "-1", "1", "1"]
    told = cancelled(busy, "late")
    assert [plain(leg.quantity) for leg in told.legs] == ["1", "1", "-1", "-1"]
    after_all = state(busy.engine)
    assert {what for what in before if before[what] != after_all[what]} == {"changes"}
    assert total_changes(busy.engine) == {"tea north": 6, "cream north B1": 2, "tea south": 6, "cream south B2": 4}


def test_a_count_is_cancelled_with_all_that_it_found_since(busy: Gate) -> None:
    busy.accept(movement("reconciliation", comes("tea", 9), id="count", at=after(30)))
    busy.accept(movement("material_issue", goes("tea", 2), id="late", at=after(20)))
    told = cancelled(busy, "count")
    assert [plain(leg.quantity) for leg in told.legs] == ["-5"]
    assert in_bins(busy.engine, "tea") == {"north": 4, "south": 6}
    assert total_changes(busy.engine)["tea north"] == 4
    assert counted(busy.engine) == {}


def total_changes(engine: Engine) -> dict[str, int]:
    statement = "SELECT trim(concat_ws(' ', item, warehouse, batch)), sum(quantity) FROM receiving.change GROUP BY 1"
    return {where: int(quantity) for where, quantity in rows(engine, statement) if quantity}


def counted(engine: Engine) -> dict[str, datetime]:
    """The bins that were counted, and when that was last."""
    found = rows(engine, "SELECT item || ' ' || warehouse, counted_at FROM receiving.bin WHERE last_stamp > 0")
    return {where: at for where, at in found if at > NEVER}


def test_a_bin_was_counted_last_by_the_last_count_that_holds(busy: Gate) -> None:
    busy.accept(movement("reconciliation", comes("phone", serials="P3", rate=None), id="first", at=after(10)))
    busy.accept(movement("reconciliation", comes("phone", serials="P3", rate=None), id="second", at=after(20)))
    issue = movement("material_issue", goes("phone", serials="P3"), id="I", at=after(15))
    assert refused(busy, issue) == ["counted_since"]
    cancelled(busy, "second")
    assert counted(busy.engine) == {"phone north": after(10)}
    busy.accept(movement("material_issue", goes("phone", serials="P3"), id="I2", at=after(15)))
    assert refused(busy, cancelling("delivered")) == ["counted_since"]
    cancelled(busy, "I2")
    cancelled(busy, "first")
    cancelled(busy, "delivered", identifier="D")


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_receipt_whose_goods_were_used_is_not_cancelled(busy: Gate) -> None:
    told = reasons(busy, cancelling("stocked"))
    assert {each.code for each in told} == {"insufficient_stock", "serial_moved_since"}
    wanting = {each.facts["item"]: each.facts for each in told if each.code == "insufficient_stock"}
    assert wanting["tea"] == {
        "item": "tea",
        "warehouse": "north",
        "wanted": "10",
        "available": "6",
        "at": after(1).isoformat(),
    }
    assert (wanting["cream"]["batch"], wanting["cream"]["available"]) == ("B1", "2")


def test_a_movement_that_another_names_is_not_cancelled_and_one_that_was_cancelled_is_not_named(busy: Gate) -> None:
    busy.accept(returning("R", line("tea", 1), minutes=5))
    told = reasons(busy, cancelling("delivered"))
    assert [(each.code, each.facts) for each in told] == [("named_by", {"source": SOURCE, "id": "R"})]
    cancelled(busy, "R")
    busy.accept(cancelling("delivered", "D"))
    assert refused(busy, returning("R2", line("tea", 1), minutes=6)) == ["original_cancelled"]
    cancelled(busy, "bought")
    assert refused(busy, landing("L", "1", "bought", 6)) == ["original_cancelled"]


def test_a_cancellation_of_a_closed_day_is_refused(gate: Gate) -> None:
    gate.now = EVENING + timedelta(days=1)
    through = MORNING.date()
    assert isinstance(gate.define("period.closed", company=COMPANY, through=through, actor="Eve"), OutcomeAccepted)
    told = reasons(gate, cancelling("stocked", minutes=24 * 60))
    assert [(each.code, each.facts) for each in told] == [
        ("period_closed", {"day": "2026-03-02", "open_from": "2026-03-03"})
    ]


def test_a_movement_that_was_refused_is_not_cancelled(gate: Gate) -> None:
    assert refused(gate, movement("delivery", goes("tea", 99), id="D")) == ["insufficient_stock"]
    assert refused(gate, cancelling("D")) == ["original_rejected"]
    assert refused(gate, cancelling("never")) == ["unknown_original"]
    assert refused(gate, movement("cancellation", id="C")) == ["against_missing"]


def test_a_refused_cancellation_leaves_everything_as_it_was(busy: Gate) -> None:
    before = state(busy.engine)
    assert refused(busy, cancelling("stocked")) != []
    assert state(busy.engine) == before
    assert rows(busy.engine, "SELECT * FROM receiving.cancelled") == []


def test_a_cancellation_that_lacks_stock_waits_and_is_accepted_when_it_comes(busy: Gate) -> None:
    patient = Gate(busy.engine, patience=PATIENT)
    busy.accept(movement("purchase_receipt", comes("tea", 5, "quarantine"), id="more", at=after(5)))
    busy.accept(movement("delivery", goes("tea", 5, "quarantine"), id="gone", at=after(6)))
    assert patient.send(*events([cancelling("more")])) == []
    assert rows(busy.engine, "SELECT id, lacks FROM receiving.waiters") == [
        ("not more", [f"stock:{COMPANY}:tea:quarantine"])
    ]
    assert accepted_ids(patient.send(*events([cancelling("gone")]))) == ["not gone", "not more"]
    assert in_bins(busy.engine, "tea") == {"north": 6, "south": 6}


def test_a_dry_run_of_a_cancellation_is_answered_and_leaves_nothing(busy: Gate) -> None:
    before, movements = state(busy.engine), rows(busy.engine, "SELECT count(*) FROM receiving.movement")
    (output,) = busy.send(*events([cancelling("delivered", dry_run=True)]))
    assert output.kind == TRIAL_ALLOCATED
    told = decoded(output)
    assert (told.mirrors, told.trial.id) == ("delivery", "not delivered")
    (output,) = busy.send(*events([cancelling("stocked", dry_run=True)]))
    assert (output.kind, decoded(output).dry_run) == (OUTCOME_REJECTED, True)
    assert (state(busy.engine), rows(busy.engine, "SELECT count(*) FROM receiving.movement")) == (before, movements)
    assert rows(busy.engine, "SELECT * FROM receiving.cancelled") == []


def test_a_duplicate_of_a_cancellation_is_told_the_same_and_does_nothing(busy: Gate) -> None:
    first = busy.send(*events([cancelling("delivered")]))
    before = state(busy.engine)
    assert [each.body for each in busy.send(*events([cancelling("delivered")]))] == [each.body for each in first]
    assert state(busy.engine) == before


# --- serials: what was known when -------------------------------------------------------------------------------------


def status(engine: Engine, serial: str, **times: Any) -> tuple[Any, ...]:
    with transaction(engine) as connection:
        (row,) = records(REPORTS["serial-status"], connection, Filters(serial=serial, **times))
    return (row["status"], row["warehouse"], row["customer"], row["warranty_until"])


def test_whoever_asks_what_was_known_is_told_of_a_cancelled_delivery_until_it_was_cancelled(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="phone", tracking="serial", serial_series="S-.##", warranty_days=365)
    gate.now = sold_at = EVENING + timedelta(minutes=1)
    gate.accept(movement("delivery", goes("phone", serials="P1"), id="D", at=after(10), customer="Ada"))
    gate.now = cancelled_at = EVENING + timedelta(minutes=2)
    cancelled(gate, "D")
    gate.now = EVENING + timedelta(minutes=3)
    gate.accept(movement("material_transfer", moves("phone", serials="P1"), id="T", at=after(20)))
    delivered = ("delivered", None, "Ada", date(2027, 3, 2))
    in_north, in_south = ("active", "north", None, None), ("active", "south", None, None)
    second = timedelta(seconds=1)
    assert status(gate.engine, "P1") == in_south
    assert status(gate.engine, "P1", known_at=EVENING) == in_north
    assert status(gate.engine, "P1", known_at=sold_at) == delivered
    assert status(gate.engine, "P1", known_at=cancelled_at - second) == delivered
    assert status(gate.engine, "P1", known_at=cancelled_at) == in_north
    assert status(gate.engine, "P1", known_at=gate.now) == in_south
    assert status(gate.engine, "P1", as_of=after(15)) == in_north
    assert status(gate.engine, "P1", as_of=after(15), known_at=sold_at) == delivered
    assert status(gate.engine, "P1", as_of=after(5), known_at=sold_at) == in_north


def test_a_unit_whose_receipt_was_cancelled_had_never_come_as_of_any_time_once_that_is_known(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("phone", serials="P9"), id="R", at=after(1)))
    gate.accept(movement("material_transfer", moves("phone", serials="P9"), id="T", at=after(2)))
    gate.now = EVENING + timedelta(minutes=1)
    cancelled(gate, "T")
    cancelled(gate, "R")
    for minutes in (0, 1, 2, 3):
        assert status(gate.engine, "P9", as_of=after(minutes)) == ("inactive", None, None, None)
    assert status(gate.engine, "P9", as_of=after(1), known_at=EVENING) == ("active", "north", None, None)
    assert status(gate.engine, "P9", as_of=after(3), known_at=EVENING) == ("active", "south", None, None)


def test_every_arrival_and_departure_stays_to_be_seen_with_what_undid_it(gate: Gate) -> None:
    gate.accept(movement("material_transfer", moves("phone", serials="P1"), id="T", at=after(2)))
    cancelled(gate, "T")
    statement = """
        SELECT id, tie, warehouse, void_since IS NOT NULL FROM receiving.serial_event WHERE serial = 'P1'
        ORDER BY effective_at, tie, warehouse IS NOT NULL"""
    assert rows(gate.engine, statement) == [
        ("stocked", 0, "north", False),
        ("T", 0, None, True),
        ("T", 0, "south", True),
        ("not T", 1, None, True),
        ("not T", 1, "north", True),
    ]


def test_what_a_definition_said_holds_again_when_a_movement_that_said_otherwise_is_cancelled(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="phone", tracking="serial", warranty_days=365)
    said = {"company": COMPANY, "item": "phone", "serial": "P1"}
    gate.define("serial", **said, supplier="Old Foundry", warranty_until=date(2030, 1, 1))
    gate.accept(movement("delivery", goes("phone", serials="P1"), id="D", at=after(5), customer="Ada"))
    gate.accept(movement("material_receipt", comes("phone", serials="P9"), id="other", at=after(5)))
    statement = "SELECT supplier, warranty_until FROM receiving.serial_status WHERE serial = 'P1'"
    assert rows(gate.engine, statement) == [("Old Foundry", date(2027, 3, 2))]
    cancelled(gate, "D")
    assert rows(gate.engine, statement) == [("Old Foundry", date(2030, 1, 1))]


def test_what_a_definition_said_since_is_kept_when_a_movement_is_cancelled(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="phone", tracking="serial", warranty_days=365)
    gate.accept(movement("delivery", goes("phone", serials="P1"), id="D", at=after(5), customer="Ada"))
    gate.now += timedelta(seconds=1)
    said = {"company": COMPANY, "item": "phone", "serial": "P1", "attributes": {"plan": "gold"}}
    gate.define("serial", **said, warranty_until=date(2031, 1, 1), end_of_life=date(2040, 1, 1))
    cancelled(gate, "D")
    statement = """
        SELECT status, warranty_until, end_of_life, cast(attributes AS text)
        FROM receiving.serial_status WHERE serial = 'P1'"""
    assert rows(gate.engine, statement) == [("active", date(2031, 1, 1), date(2040, 1, 1), '{"plan": "gold"}')]


# --- several workers --------------------------------------------------------------------------------------------------


def test_of_a_return_and_a_cancellation_at_once_one_wins(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(DELIVERED)
    first = held(gate, returning("R", line("tea", 1), minutes=5), pool)
    second = Session(gate.engine, gate.working_on(*events([cancelling("delivered")])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["R"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["named_by"]


def test_of_a_cancellation_and_a_return_at_once_one_wins(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(DELIVERED)
    first = held(gate, cancelling("delivered"), pool)
    second = Session(gate.engine, gate.working_on(*events([returning("R", line("tea", 1), minutes=5)])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["not delivered"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["original_cancelled"]


def test_of_two_cancellations_at_once_one_wins(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(DELIVERED)
    first = held(gate, cancelling("delivered", "one"), pool)
    second = Session(gate.engine, gate.working_on(*events([cancelling("delivered", "other")])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["one"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["already_cancelled"]


def test_a_sale_without_goods_is_returned_or_cancelled_and_never_both(gate: Gate, pool: ThreadPoolExecutor) -> None:
    service = line("advice", 1, net="5", account="income")
    gate.accept(movement("sale", service, id="S", at=after(1), company=COMPANY))
    first = held(gate, cancelling("S"), pool)
    back = movement("sales_return", service, id="R", at=after(5), against=Reference(id="S"))
    second = Session(gate.engine, gate.working_on(*events([back])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["not S"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["original_cancelled"]


def test_what_leaves_while_its_receipt_is_cancelled_is_judged_without_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(movement("purchase_receipt", comes("tea", 5, "south"), id="R", at=after(1)))
    first = held(gate, cancelling("R"), pool)
    sold = movement("delivery", goes("tea", 1, "south"), id="D", at=after(5))
    second = Session(gate.engine, gate.working_on(*events([sold])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["not R"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["insufficient_stock"]


# --- costs ------------------------------------------------------------------------------------------------------------


def test_a_cancelled_landed_cost_may_be_told_again_otherwise(busy: Gate) -> None:
    busy.accept(landing("L", "7", "bought", 5))
    cancelled(busy, "L")
    cost = AdditionalCost(amount=Money(8))
    busy.accept(movement("landed_cost", id="L2", at=after(6), against=Reference(id="bought"), additional_costs=[cost]))
    assert refused(busy, cancelling("bought")) == ["named_by"]
