"""Comparing what came of a scenario with the record, and judging the run."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from services.desk.cli.conform import judge
from services.desk.conform.compare import Actual, differences
from services.desk.conform.playing import Result
from services.desk.conform.scenario import Scenario, read_scenario, unknown_rules

RECEIPT = {"movement": "m1", "item": "BOLT", "warehouse": "STORES", "batch": None, "qty": "2", "value_change": "8"}


def scenario(movements: Any = ({"id": "m1", "purpose": "material_receipt"},), **expected: Any) -> Scenario:
    return read_scenario({"name": "a_day", "movements": list(movements), "expected": expected})


_numbers = count(1)


def entry(**fields: Any) -> dict[str, Any]:
    place = {"id": "m1", "item": "BOLT", "warehouse": "STORES", "batch": None, "quantity": "2", "value": "8"}
    itself = {"entry": f"entry {next(_numbers)}", "part_of": None, "revaluation": 0, "corrects_id": None}
    row = place | itself | fields
    return row | {"quantity": Decimal(row["quantity"]), "value": Decimal(row["value"])}


def booked(movement: str, account: str, debit: str, credit: str, entry: object = None) -> dict[str, Any]:
    amounts = {"debit": Decimal(debit), "credit": Decimal(credit)}
    return {"id": movement, "account": account, "ledger_entry": entry, **amounts}


def serial(**fields: Any) -> dict[str, Any]:
    nothing = {"warehouse": None, "batch": None, "customer": None, "warranty_until": None}
    return {"item": "PHONE", "serial": "A1", "status": "delivered", **nothing, **fields}


def recorded_serial(**fields: Any) -> dict[str, Any]:
    nothing = {"warehouse": None, "batch": None, "customer": None, "warranty_expiry": None}
    return {"item": "PHONE", "serial": "A1", "status": "Delivered", **nothing, **fields}


def test_the_same_entries_make_no_difference() -> None:
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=[entry()])) == []


def test_another_value_is_told_with_both_sides() -> None:
    found = differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=[entry(value="7.99")]))
    assert found == ["stock_ledger m1 BOLT STORES: expected qty 2 value 8, got qty 2 value 7.99"]


def test_entries_of_a_movement_in_a_bin_are_added_up() -> None:
    rows = [entry(quantity="5", value="10"), entry(quantity="-3", value="-2")]
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=rows)) == []


def test_entries_of_a_cancellation_are_counted_with_what_it_cancels() -> None:
    rows = [entry(), entry(id="m2", quantity="-2", value="-8")]
    assert differences(scenario(), {"m2": "m1"}, Actual(stock_ledger=rows)) == []
    assert len(differences(scenario(), {}, Actual(stock_ledger=rows))) == 2


def test_a_correction_counts_with_the_movement_whose_entry_it_corrects() -> None:
    rows = [entry(entry="whole", value="10"), entry(quantity="0", value="-2", part_of="whole", revaluation=1)]
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=rows)) == []


def test_what_a_count_found_otherwise_later_counts_with_the_count_and_so_does_what_corrects_it() -> None:
    inserted = {"id": "m3", "revaluation": 1, "corrects_id": "m1"}
    rows = [
        entry(entry="counted", quantity="5", value="20"),
        entry(**inserted, entry="later", quantity="-3", value="-15", part_of="counted"),
        entry(id="m3", quantity="0", value="3", part_of="later", revaluation=2, corrects_id="m3"),
    ]
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=rows)) == []


def test_a_count_without_an_entry_gets_what_it_found_later() -> None:
    rows = [entry(id="m3", part_of="nothing", revaluation=1, corrects_id="m1")]
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=rows)) == []


def test_a_landed_cost_its_correction_and_its_cancellation_count_with_the_receipt() -> None:
    counted_with = {"m2": "m1", "m3": "m1"}
    landed = {"id": "m2", "quantity": "0", "revaluation": 1, "corrects_id": "m1"}
    rows = [
        entry(value="7"),
        entry(**landed, entry="cost", value="3"),
        entry(id="m2", quantity="0", value="-1", part_of="cost", revaluation=2, corrects_id="m2"),
        entry(id="m3", quantity="0", value="-1", revaluation=3, corrects_id="m2"),
    ]
    assert differences(scenario(stock_ledger=[RECEIPT]), counted_with, Actual(stock_ledger=rows)) == []


def test_what_a_cancelled_movement_was_corrected_by_is_cancelled_with_it() -> None:
    rows = [
        entry(entry="whole"),
        entry(quantity="0", value="3", part_of="whole", revaluation=1),
        entry(id="m2", quantity="-2", value="-11"),
    ]
    assert differences(scenario(), {"m2": "m1"}, Actual(stock_ledger=rows)) == []


def test_batches_are_told_apart_only_where_the_record_names_them() -> None:
    rows = [entry(batch="B1", quantity="1", value="3"), entry(batch="B2", quantity="1", value="5")]
    named = [RECEIPT | {"batch": "B1", "qty": "1", "value_change": "4"}]
    named += [RECEIPT | {"batch": "B2", "qty": "1", "value_change": "4"}]
    assert differences(scenario(stock_ledger=[RECEIPT]), {}, Actual(stock_ledger=rows)) == []
    assert len(differences(scenario(stock_ledger=named), {}, Actual(stock_ledger=rows))) == 2


def test_a_plain_count_has_the_change_of_the_quantity_in_its_bin() -> None:
    count = {"id": "m2", "purpose": "stock_reconciliation"}
    rows = [
        RECEIPT | {"qty_after": "2"},
        RECEIPT | {"movement": "m2", "qty": "0", "qty_after": "7", "value_change": "20"},
    ]
    counted = scenario([{"id": "m1", "purpose": "material_receipt"}, count], stock_ledger=rows)
    actual = Actual(stock_ledger=[entry(), entry(id="m2", quantity="5", value="20")])
    assert differences(counted, {}, actual) == []


def test_recorded_values_are_rounded_half_to_even_before_they_are_compared() -> None:
    balance = {"item": "BOLT", "warehouse": "STORES", "batch": "B1", "qty": "3", "value": "9.125"}
    right = {"item": "BOLT", "warehouse": "STORES", "batch": "B1", "quantity": Decimal(3), "value": Decimal("9.12")}
    assert differences(scenario(batch_balances=[balance]), {}, Actual(batch_balances=[right])) == []
    wrong = right | {"value": Decimal("9.13")}
    assert len(differences(scenario(batch_balances=[balance]), {}, Actual(batch_balances=[wrong]))) == 1


def test_the_journal_is_compared_net_by_movement_and_account() -> None:
    expected = [
        {"movement": "m1", "role": "stock:STORES", "debit": "8", "credit": "0"},
        {"movement": "m1", "role": "stock_adjustment", "debit": "0", "credit": "8"},
    ]
    rows = [
        booked("m1", "stock:STORES", "10", "0"),
        booked("m1", "stock_adjustment", "0", "10"),
        booked("m1", "stock_adjustment", "2", "0"),
        booked("m1", "stock:STORES", "0", "2"),
        booked("m1", "stock:SHOP", "5", "5"),
    ]
    assert differences(scenario(journal=expected), {}, Actual(journal=rows)) == []
    assert differences(scenario(journal=expected), {}, Actual(journal=rows[:2])) == [
        "journal m1 stock:STORES: expected net 8, got net 10",
        "journal m1 stock_adjustment: expected net -8, got net -10",
    ]


def test_what_books_a_ledger_entry_counts_where_the_entry_does_and_money_with_its_movement() -> None:
    expected = [
        {"movement": "m1", "role": "stock_adjustment", "debit": "0", "credit": "5"},
        {"movement": "m3", "role": "stock_adjustment", "debit": "2", "credit": "0"},
    ]
    counted, later = UUID(int=1), UUID(int=2)
    entries = [
        entry(entry=str(counted), quantity="0", value="0"),
        entry(id="m3", entry=str(later), part_of=str(counted), quantity="0", value="0", revaluation=1),
    ]
    rows = [
        booked("m1", "stock_adjustment", "0", "8", counted),
        booked("m3", "stock_adjustment", "3", "0", later),
        booked("m4", "stock_adjustment", "2", "0"),
    ]
    actual = Actual(stock_ledger=entries, journal=rows)
    assert differences(scenario(journal=expected), {"m4": "m3"}, actual) == []


def test_a_movement_must_be_rejected_exactly_where_the_record_says_so() -> None:
    expected = scenario(rejected=[{"movement": "m1", "reason": "too little"}])
    assert differences(expected, {}, Actual(rejected={"m1": "insufficient_stock"})) == []
    assert differences(expected, {}, Actual()) == ["m1 was accepted, expected rejected (too little)"]
    assert differences(scenario(), {}, Actual(rejected={"m1": "late"})) == ["m1 was rejected (late), expected accepted"]


def test_a_movement_without_an_outcome_is_a_difference() -> None:
    expected = scenario(rejected=[{"movement": "m1", "reason": "too little"}])
    assert differences(expected, {}, Actual(silent=["m1"])) == ["m1 has no outcome"]


def test_statuses_are_compared_without_regard_to_case_and_an_empty_one_is_inactive() -> None:
    assert differences(scenario(serials=[recorded_serial()]), {}, Actual(serials=[serial()])) == []
    inactive = scenario(serials=[recorded_serial(status="")])
    assert differences(inactive, {}, Actual(serials=[serial(status="inactive")])) == []


def test_a_serial_is_compared_field_by_field() -> None:
    expected = scenario(serials=[recorded_serial(warranty_expiry="2027-01-06", customer="Customer One")])
    actual = Actual(serials=[serial(warranty_until=date(2027, 1, 5), customer="Customer One")])
    assert differences(expected, {}, actual) == [
        "serials PHONE A1: expected warranty_expiry 2027-01-06, got 2027-01-05"
    ]


def test_a_serial_too_many_or_too_few_is_a_difference() -> None:
    assert differences(scenario(), {}, Actual(serials=[serial()])) == ["serials PHONE A1: not expected, is there"]
    assert differences(scenario(serials=[recorded_serial()]), {}, Actual()) == ["serials PHONE A1: expected, not there"]


def test_of_many_serials_the_recorded_ones_and_the_count_are_compared() -> None:
    expected = scenario(serials=[recorded_serial()], serials_count="2")
    both = [serial(), serial(serial="A2", status="active")]
    assert differences(expected, {}, Actual(serials=both)) == []
    assert differences(expected, {}, Actual(serials=both[:1])) == ["serials: expected 2 of them, got 1"]


def test_an_expiry_from_the_wall_clock_is_never_met() -> None:
    expected = scenario(batches=[{"item": "MILK", "batch": "B1", "expiry": "wall clock day + 180 days"}])
    rows = [{"item": "MILK", "batch": "B1", "expires_on": date(2026, 7, 4)}]
    assert len(differences(expected, {}, Actual(batches=rows))) == 1


def test_sections_that_differ_on_purpose_replace_the_recorded_ones() -> None:
    raw = {
        "name": "a_day",
        "movements": [{"id": "m1", "purpose": "material_receipt"}],
        "expected": {"stock_ledger": [RECEIPT], "rejected": []},
        "differs": [{"rule": "D5", "expected": {"stock_ledger": [], "rejected": [{"movement": "m1", "reason": "no"}]}}],
    }
    found = read_scenario(raw)
    assert found.rules == ("D5",)
    assert differences(found, {}, Actual(rejected={"m1": "same_warehouse"})) == []


def test_a_rule_outside_the_closed_list_is_noticed() -> None:
    assert unknown_rules(replace(scenario(), rules=("D1", "D22"))) == ["D22"]


def judged(result: Result, *pending: str) -> tuple[list[str], int]:
    return judge([result], frozenset(pending))


def test_a_scenario_without_differences_passes_and_names_the_rules_by_which_it_differs() -> None:
    lines, failed = judged(Result(replace(scenario(), rules=("D4", "D6")), []))
    assert (lines, failed) == (["PASS a_day (differs: D4, D6)", "1 passed, 0 failed, 0 pending"], 0)


def test_a_failed_scenario_tells_its_first_differences() -> None:
    lines, failed = judged(Result(scenario(), [f"difference {number}" for number in range(6)]))
    assert failed == 1
    assert lines[0] == "FAIL a_day: difference 0; difference 1; difference 2; difference 3; and 2 more"


def test_a_pending_scenario_may_differ_and_may_not_pass() -> None:
    assert judged(Result(scenario(), ["it differs"]), "a_day") == (
        ["PENDING a_day", "0 passed, 0 failed, 1 pending"],
        0,
    )
    lines, failed = judged(Result(scenario(), []), "a_day")
    assert failed == 1
    assert lines[0].startswith("FAIL a_day: it passes")


def test_a_pending_name_without_a_scenario_fails() -> None:
    lines, failed = judged(Result(scenario(), []), "another_day")
    assert failed == 1
    assert lines[-1] == "1 passed, 1 failed, 0 pending"
