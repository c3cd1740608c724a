"""Returns and landed costs on a real PostgreSQL: what is read of the movements that they name, and written.

An original was accepted long before, stands in the same set, comes later, or never.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from shared.contracts.movement import Reference
from tests.builders import COMPANY
from tests.gate_builders import BOUGHT, DELIVERED, accepted_ids, finish, held, in_bins, landing, returned, returning
from tests.receiving_builders import (
    EVENING,
    Gate,
    after,
    codes,
    comes,
    events,
    goes,
    line,
    movement,
    named,
    rows,
)

PATIENT = timedelta(minutes=5)


# --- originals that were accepted before ------------------------------------------------------------------------------


def test_a_return_finds_its_original_of_long_before_and_is_kept_with_its_entries(gate: Gate) -> None:
    gate.accept(DELIVERED)
    gate.accept(returning("R1", line("tea", 1), line("cream", 1), line("phone", serials=["P1"])))
    assert in_bins(gate.engine, "tea") == {"north": 7}
    assert in_bins(gate.engine, "cream") == {"north": 3}
    assert in_bins(gate.engine, "phone") == {"north": 2}
    assert returned(gate.engine) == [(1, []), (1, []), (1, ["P1"])]
    gate.accept(returning("R2", line("tea", 2), line("phone", 1), minutes=3))
    assert returned(gate.engine) == [(1, []), (2, ["P1", "P2"]), (3, [])]
    assert codes(gate.ask(returning("R3", line("tea", 2), minutes=4))[0]) == ["over_return"]
    assert codes(gate.ask(returning("R4", line("phone", serials=["P1"]), minutes=4))[0]) == ["over_return"]


def test_a_return_takes_a_stamp_in_every_bin_of_its_original(gate: Gate) -> None:
    gate.accept(DELIVERED)
    (allocated,) = gate.accepted(returning("R1", line("tea", 1, target="south")))
    places = {(each.item, each.warehouse): each.stamp for each in allocated.stamps}
    assert places == {("tea", "south"): 1, ("tea", "north"): 3, ("cream", "north"): 3, ("phone", "north"): 3}


def test_a_serial_remembers_by_which_entry_and_from_where_it_left(gate: Gate) -> None:
    gate.accept(DELIVERED)
    statement = "SELECT cast(left_by AS text), left_from FROM receiving.serial WHERE serial IN ('P1', 'P2')"
    (one, other) = rows(gate.engine, statement)
    assert one == other
    assert one[1] == "north"
    (back,) = gate.accepted(movement("sales_return", comes("phone", None, "south", None, serials="P2"), id="R"))
    assert [(each.original, each.serials) for each in back.legs] == [(one[0], ["P2"])]
    assert {(each.item, each.warehouse) for each in back.stamps} == {("phone", "north"), ("phone", "south")}
    assert returned(gate.engine) == [(1, ["P2"])]
    assert codes(gate.ask(returning("R2", line("phone", serials=["P2"])))[0]) == ["over_return"]


def test_serials_that_come_back_one_by_one_without_their_original_are_all_kept_with_its_entry(gate: Gate) -> None:
    gate.accept(DELIVERED)
    for number in ("P1", "P2"):
        gate.accept(movement("sales_return", comes("phone", None, "south", None, serials=[number]), id=number))
    assert returned(gate.engine) == [(2, ["P1", "P2"])]


def test_a_batch_that_was_delivered_to_the_last_comes_back_without_being_named(gate: Gate) -> None:
    gate.accept(movement("delivery", goes("cream", 5), id="all", at=after(1)))
    gate.accept(returning("R1", line("cream", 2, target="south"), of="all"))
    assert in_bins(gate.engine, "cream") == {"south": 2}
    assert rows(gate.engine, "SELECT entered_at, entered_stamp FROM receiving.batch") == [(after(2), 1)]


def test_what_was_received_is_sent_back_from_where_it_came(gate: Gate) -> None:
    gate.accept(BOUGHT)
    against: dict[str, Any] = {"at": after(2), "against": Reference(id="bought")}
    gate.accept(movement("purchase_return", line("tea", 2), line("cream", 4), line("phone", 2), id="back", **against))
    assert in_bins(gate.engine, "tea") == {"north": 10, "south": 4}
    assert in_bins(gate.engine, "cream") == {"north": 5}
    assert in_bins(gate.engine, "phone") == {"north": 3, "south": 1}
    assert returned(gate.engine) == [(2, []), (2, ["Q1", "Q2"]), (4, [])]
    status = "SELECT serial FROM receiving.serial_status WHERE status = 'returned_to_supplier' ORDER BY serial"
    assert rows(gate.engine, status) == [("Q1",), ("Q2",)]


def test_those_that_are_picked_behind_a_purchase_return_in_one_set_are_those_that_it_leaves(gate: Gate) -> None:
    gate.accept(BOUGHT)
    gate.accept(movement("purchase_receipt", comes("phone", None, "south", serials="T1"), id="later", at=after(1)))
    back = movement("purchase_return", line("phone", 3), id="back", at=after(2), against=Reference(id="bought"))
    told = gate.accept(back, movement("delivery", goes("phone", 1, "south"), id="D", at=after(3)))
    assert [named(each) for each in told] == [["Q1", "Q2", "Q3"], ["T1"]]


def test_a_return_of_one_item_brings_nothing_else_of_its_original_into_disorder(gate: Gate) -> None:
    gate.accept(DELIVERED)
    gate.accept(returning("R1", line("tea", 1)))
    assert in_bins(gate.engine, "phone") == {"north": 1}
    assert in_bins(gate.engine, "cream") == {"north": 2}


def test_an_original_of_another_source_or_company_is_told_apart(gate: Gate) -> None:
    gate.send(*events([DELIVERED], "web"))
    assert codes(gate.ask(returning("R1", line("tea", 1)))[0]) == ["unknown_original"]
    abroad = movement(
        "sales_return", line("tea", 1), id="R2", at=after(2), against=Reference(id="delivered", source="web")
    )
    gate.accept(abroad)
    gate.define("company", company="twin", currency="USD")
    other = movement("sales_return", line("tea", 1), id="R3", company="twin", against=abroad.against, at=after(2))
    assert codes(gate.ask(other)[0]) == ["original_elsewhere", "unknown_item"]


def test_a_landed_cost_finds_items_and_warehouses_that_nothing_else_names(gate: Gate) -> None:
    gate.accept(BOUGHT)
    (landed,) = gate.accepted(landing("L1", "12", "bought"))
    assert [(each.item, each.warehouse, int(each.quantity)) for each in landed.legs] == [
        ("tea", "south", 0),
        ("cream", "south", 0),
        ("phone", "south", 0),
    ]
    gate.accept(landing("L2", "-1", "bought", minutes=4))
    gate.accept(movement("delivery", goes("tea", 1, "south"), id="D", at=after(5)))
    gate.accept(landing("L3", "1", "bought", minutes=6))
    assert rows(gate.engine, "SELECT sum(quantity) FROM receiving.bin WHERE warehouse = 'south'") == [(12,)]


def test_goods_that_are_gone_are_revalued_without_being_looked_for(gate: Gate) -> None:
    gate.accept(movement("purchase_receipt", comes("cream", 2, "south", batch="B2"), id="first", at=after(1)))
    gate.accept(movement("delivery", goes("cream", 2, "south", batch="B2"), id="gone", at=after(2)))
    (landed,) = gate.accepted(landing("L", "1", "first", minutes=5))
    assert [(leg.batch, int(leg.quantity)) for leg in landed.legs] == [("B2", 0)]
    assert landed.effective_at == after(1)


# --- originals in the same set ----------------------------------------------------------------------------------------


def test_an_original_in_the_same_set_is_returned_with_whatever_was_picked_for_it(gate: Gate) -> None:
    told = gate.accept(DELIVERED, returning("R1", line("tea", 4), line("cream", 3), line("phone", 2)))
    assert named(told[1]) == ["P1", "P2"]
    assert [in_bins(gate.engine, what) for what in ("tea", "cream", "phone")] == [
        {"north": 10},
        {"north": 5},
        {"north": 3},
    ]
    assert returned(gate.engine) == [(2, ["P1", "P2"]), (3, []), (4, [])]


def test_a_batch_that_comes_back_in_one_set_with_its_delivery_keeps_its_age_while_some_of_it_is_there(
    gate: Gate,
) -> None:
    gate.define("item", company=COMPANY, item="soap", tracking="batch", create_batches_on_receipt=True)
    old = [comes("soap", 2, batch="B1"), comes("soap", 2, batch="B2")]
    gate.accept(movement("opening_stock", *old, id="soap"))
    partly = movement("delivery", goes("soap", 1, batch="B1"), id="partly", at=after(1))
    wholly = movement("delivery", goes("soap", 2, batch="B2"), id="wholly", at=after(1))
    backs = [returning(f"R {each.id}", line("soap", 1), of=each.id) for each in (partly, wholly)]
    told = gate.accept(partly, wholly, *backs, movement("delivery", goes("soap", 3), id="next", at=after(3)))
    assert [(each.batch, int(each.quantity)) for each in told[4].allocated] == [("B1", 2), ("B2", 1)]
    entered = "SELECT batch, entered_at FROM receiving.batch WHERE item = 'soap' ORDER BY batch"
    (_, of_old), (_, of_new) = rows(gate.engine, entered)
    assert of_old < of_new


def test_a_receipt_in_the_same_set_is_sent_back_and_revalued(gate: Gate) -> None:
    back = movement("purchase_return", line("tea", 1), id="back", at=after(2), against=Reference(id="bought"))
    told = gate.ask(BOUGHT, landing("L1", "5", "bought"), back, landing("L2", "5", "bought", minutes=4))
    assert [codes(each) for each in told] == [[], [], [], []]


def test_a_movement_that_names_only_its_original_has_its_company_also_in_one_set(gate: Gate) -> None:
    bag = movement("sale", line(quantity=1, price="1", account="income"), id="bag", at=after(2), company=None)
    chained = returning("R", line("tea", 1), of="delivered")
    told = gate.ask(DELIVERED, chained, bag)
    assert [codes(each) for each in told] == [[], [], ["company_missing"]]


def test_a_return_in_front_of_its_original_in_one_set_waits_for_it(gate: Gate) -> None:
    patient = Gate(gate.engine, patience=PATIENT)
    told = patient.send(*events([returning("R1", line("tea", 1)), DELIVERED]))
    assert accepted_ids(told) == ["delivered", "R1"]
    assert rows(gate.engine, "SELECT id FROM receiving.waiters") == []


# --- originals that come later ----------------------------------------------------------------------------------------


def test_a_return_waits_for_its_original_and_is_woken_by_it(gate: Gate) -> None:
    patient = Gate(gate.engine, patience=PATIENT)
    assert patient.send(*events([returning("R1", line("tea", 1))])) == []
    assert rows(gate.engine, "SELECT lacks FROM receiving.waiters") == [(["movement:till:delivered"],)]
    assert accepted_ids(patient.send(*events([DELIVERED]))) == ["delivered", "R1"]


def test_a_return_whose_original_another_worker_has_not_committed_waits_and_is_tried_again(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    patient = Gate(gate.engine, patience=PATIENT)
    deciding = held(patient, DELIVERED, pool)
    assert patient.send(*events([returning("R1", line("tea", 1))])) == []
    assert accepted_ids(finish(patient, deciding.commit())) == ["delivered"]
    patient.now = EVENING + timedelta(seconds=2)
    assert accepted_ids(patient.sweep()) == ["R1"]


def test_a_return_whose_original_never_came_does_not_bury_it(gate: Gate) -> None:
    assert codes(gate.ask(returning("R1", line("tea", 1)))[0]) == ["unknown_original"]
    gate.accept(DELIVERED)
    assert rows(gate.engine, "SELECT * FROM receiving.tombstone") == []


def test_a_rejected_original_is_said_to_be_until_it_is_retried(gate: Gate) -> None:
    assert codes(gate.ask(movement("delivery", goes("tea", 99), id="delivered", at=after(1)))[0])
    assert codes(gate.ask(returning("R1", line("tea", 1), company=COMPANY))[0]) == ["original_rejected"]
