"""The slow reference of time itself: against recorded figures, by hand, and against the ledger's posting in order.

The figures named after a scenario were recorded; they stand in `tests/conformance`.
"""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import chain

from hypothesis import given
from msgspec import structs

from shared.contracts.movement import CorrectedCount, Leg, MovementAllocated
from shared.purposes import Method, Role
from shared.quantities import ZERO, Quantity
from tests.builders import ACCOUNTS, cost, entry_of, leg, posted, transfer
from tests.properties.reference_time import in_time, outcome
from tests.properties.shop_floor import Heap, heap_of
from tests.properties.time_builders import Days
from tests.properties.time_histories import History, dated_histories

AVERAGE = Method.MOVING_AVERAGE


def correcting(quantity: int, counted: MovementAllocated) -> Leg:
    """A leg that says what a count then finds; what it says is of no use to the reference."""
    stamp = CorrectedCount(
        account=ACCOUNTS[Role.STOCK_ADJUSTMENT],
        effective_at=counted.effective_at,
        posting_date=counted.posting_date,
        stamp=counted.stamps[0].stamp,
    )
    return structs.replace(leg(quantity, original=entry_of(counted)), corrects=stamp)


# --- recorded ---------------------------------------------------------------------------------------------------------


def test_a_back_dated_receipt_revalues_what_fifo_issued_after_it() -> None:
    """backdated_receipt_fifo"""
    days = Days()
    days.tell(10, "material_receipt", leg(10, 50))
    sold = days.tell(12, "delivery", leg(-6))
    days.tell(8, "material_receipt", leg(4, 32))
    assert days.values(sold) == ["-42.00"]
    assert days.balance() == "8 worth 40.00"
    assert days.accounts() == {
        "stock north": "40.00",
        "stock_adjustment": "-82.00",
        "cost_of_goods_sold": "42.00",
    }


def test_a_back_dated_receipt_revalues_what_left_at_the_moving_average() -> None:
    """backdated_receipt_moving_average"""
    days = Days()
    days.tell(10, "material_receipt", leg(10, 50, method=AVERAGE))
    sold = days.tell(12, "delivery", leg(-6, method=AVERAGE))
    days.tell(8, "material_receipt", leg(4, 32, method=AVERAGE))
    assert days.values(sold) == ["-35.14"]
    assert days.balance() == "8 worth 46.86"


def test_a_back_dated_issue_takes_the_layers_from_a_later_one() -> None:
    """backdated_issue_fifo"""
    days = Days()
    days.tell(5, "material_receipt", leg(5, 10))
    days.tell(6, "material_receipt", leg(10, 30))
    later = days.tell(9, "material_issue", leg(-5))
    earlier = days.tell(7, "material_issue", leg(-3))
    assert (days.values(earlier), days.values(later)) == (["-6.00"], ["-13.00"])
    assert days.balance() == "7 worth 21.00"


def test_a_back_dated_receipt_of_a_batch_revalues_that_batch_alone() -> None:
    """backdated_batch_receipt"""
    days = Days()
    days.tell(5, "material_receipt", leg(10, 20, batch="B1"), leg(10, 70, batch="B2", line=2))
    one = days.tell(8, "material_issue", leg(-4, batch="B1"))
    other = days.tell(9, "material_issue", leg(-4, batch="B2"))
    days.tell(6, "material_receipt", leg(10, 30, batch="B1"))
    assert (days.values(one), days.values(other)) == (["-10.00"], ["-28.00"])
    assert (days.balance(batch="B1"), days.balance(batch="B2")) == ("16 worth 40.00", "6 worth 42.00")


def test_a_landed_cost_revalues_what_was_issued_of_the_receipt() -> None:
    """landed_cost_after_receipt"""
    days = Days()
    bought = days.tell(5, "purchase_receipt", leg(10, 50))
    used = days.tell(6, "material_issue", leg(-4))
    landed = days.tell(5, "landed_cost", leg(0, original=entry_of(bought)), costs=(cost(20),), against=bought)
    assert (days.values(bought), days.values(landed), days.values(used)) == (["50.00"], ["20.00"], ["-28.00"])
    assert days.balance() == "6 worth 42.00"
    assert days.accounts() == {
        "stock north": "42.00",
        "stock_received_not_billed": "-50.00",
        "expenses_in_valuation": "-20.00",
        "stock_adjustment": "28.00",
    }


def test_a_landed_cost_follows_its_goods_through_making_into_the_cost_of_sales() -> None:
    """landed_cost_through_manufacture"""
    days = Days()
    bought = days.tell(5, "purchase_receipt", leg(10, 50, item="steel"))
    product = leg(4, item="bike", warehouse="south", line=2, share=1)
    made = days.tell(6, "manufacture", leg(-10, item="steel"), product)
    sold = days.tell(7, "delivery", leg(-1, item="bike", warehouse="south"))
    days.tell(5, "landed_cost", leg(0, item="steel", original=entry_of(bought)), costs=(cost(30),), against=bought)
    assert (days.values(made), days.values(sold)) == (["-80.00", "80.00"], ["-20.00"])
    assert days.balance("bike", "south") == "3 worth 60.00"


def test_a_back_dated_receipt_of_material_revalues_the_product_and_what_was_sold_of_it() -> None:
    """manufacture_revalued_by_backdated_receipt"""
    days = Days()
    days.tell(5, "material_receipt", leg(10, 20, item="steel"))
    product = leg(2, item="bike", warehouse="south", line=2, share=1)
    made = days.tell(7, "manufacture", leg(-10, item="steel"), product)
    sold = days.tell(8, "delivery", leg(-1, item="bike", warehouse="south"))
    days.tell(4, "material_receipt", leg(5, 20, item="steel"))
    assert (days.values(made), days.values(sold)) == (["-30.00", "30.00"], ["-15.00"])
    assert days.balance("steel") == "5 worth 10.00"
    assert days.balance("bike", "south") == "1 worth 15.00"


def test_what_was_issued_beyond_stock_costs_what_a_receipt_dated_before_it_says() -> None:
    """negative_stock_covered_backdated"""
    days = Days()
    days.tell(4, "material_receipt", leg(1, 2))
    used = days.tell(6, "material_issue", leg(-4))
    days.tell(5, "material_receipt", leg(10, 30))
    assert days.values(used) == ["-11.00"]
    assert days.balance() == "7 worth 21.00"


def test_a_count_keeps_what_it_found_and_its_difference_takes_what_was_inserted_before_it() -> None:
    """reconcile_then_backdated_receipt"""
    days = Days()
    days.tell(5, "material_receipt", leg(10, 20))
    counted = days.tell(7, "reconciliation", leg(-2, 16, counted=8))
    used = days.tell(8, "material_issue", leg(-1))
    assert days.values(counted) == ["-4.00"]
    inserted = days.tell(6, "material_receipt", leg(5, 20), correcting(-5, counted))
    assert days.values(counted) == ["-24.00"]
    assert (days.values(inserted), days.values(used)) == (["20.00", "0.00"], ["-2.00"])
    assert days.balance() == "7 worth 14.00"


def test_what_comes_back_of_a_delivery_that_was_revalued_has_the_new_value() -> None:
    """sales_return_after_repost"""
    days = Days()
    days.tell(10, "material_receipt", leg(10, 50))
    sold = days.tell(12, "delivery", leg(-6))
    back = days.tell(13, "sales_return", leg(2, original=entry_of(sold)), against=sold)
    assert days.values(back) == ["10.00"]
    days.tell(8, "material_receipt", leg(6, 48))
    assert (days.values(sold), days.values(back)) == (["-48.00"], ["16.00"])
    assert days.balance() == "12 worth 66.00"


def test_what_takes_effect_at_one_time_is_ordered_as_it_was_told() -> None:
    """same_timestamp_order"""
    days = Days()
    days.tell(5, "material_receipt", leg(5, 10))
    first = days.tell(5, "material_issue", leg(-3))
    days.tell(5, "material_receipt", leg(5, 20))
    second = days.tell(5, "material_issue", leg(-4))
    assert (days.values(first), days.values(second)) == (["-6.00"], ["-12.00"])
    assert days.balance() == "3 worth 12.00"


def test_a_cancelled_delivery_leaves_stock_and_books_as_they_were() -> None:
    """cancel_delivery_serial"""
    days = Days()
    days.tell(5, "purchase_receipt", leg(2, 180, serials=["A1", "A2"]))
    sold = days.tell(6, "delivery", leg(-1, serials=["A1"]))
    days.cancel(sold)
    assert days.values(sold) == ["0.00"]
    assert days.balance() == "2 worth 180.00"
    assert days.accounts() == {"stock north": "180.00", "stock_received_not_billed": "-180.00"}


# --- worked out by hand -----------------------------------------------------------------------------------------------


def test_once_a_receipt_is_cancelled_what_left_after_it_is_worth_what_it_would_have_been() -> None:
    days = Days()
    wrong = days.tell(1, "material_receipt", leg(5, 100))
    days.tell(2, "material_receipt", leg(5, 10))
    used = days.tell(3, "material_issue", leg(-4))
    assert days.values(used) == ["-80.00"]
    days.cancel(wrong)
    assert days.values(used) == ["-8.00"]
    assert days.balance() == "1 worth 2.00"


def test_once_a_count_is_cancelled_what_it_hid_is_there_again() -> None:
    days = Days()
    days.tell(1, "material_receipt", leg(10, 20))
    counted = days.tell(2, "reconciliation", leg(-7, counted=3))
    used = days.tell(3, "material_issue", leg(-2))
    assert days.balance() == "1 worth 2.00"
    days.cancel(counted)
    assert days.values(used) == ["-4.00"]
    assert days.balance() == "8 worth 16.00"


def test_a_landed_cost_stands_before_what_took_effect_with_its_receipt() -> None:
    days = Days()
    bought = days.tell(1, "purchase_receipt", leg(4, 8))
    used = days.tell(1, "material_issue", leg(-1))
    for amount in (4, 8):
        line = leg(0, original=entry_of(bought))
        days.tell(1, "landed_cost", line, costs=(cost(amount),), against=bought)
    assert days.values(used) == ["-5.00"]
    assert days.balance() == "3 worth 15.00"


def test_what_was_transferred_and_came_back_at_one_time_has_the_value_of_what_was_inserted() -> None:
    days = Days()
    days.tell(2, "material_receipt", leg(4, 8))
    there = days.tell(3, "material_transfer", *transfer(4, "north", "south"))
    back = days.tell(3, "material_transfer", *transfer(2, "south", "north"))
    days.tell(1, "material_receipt", leg(2, 10))
    assert days.values(there) == ["-14.00", "14.00"]
    assert days.values(back) == ["-7.00", "7.00"]
    assert days.balance() == "4 worth 11.00"


def test_what_is_covered_earlier_is_trued_up_by_that_receipt_alone() -> None:
    days = Days()
    used = days.tell(2, "delivery", leg(-3, standard_rate=1))
    late = days.tell(5, "purchase_receipt", leg(10, 40))
    assert (days.values(used), days.values(late)) == (["-3.00"], ["31.00"])
    early = days.tell(3, "purchase_receipt", leg(3, 6))
    assert (days.values(used), days.values(early), days.values(late)) == (["-3.00"], ["3.00"], ["40.00"])
    assert days.balance() == "10 worth 40.00"


# --- random -----------------------------------------------------------------------------------------------------------


@given(dated_histories())
def test_posted_in_time_a_history_is_worth_what_the_reference_says(history: History) -> None:
    """The ledger's own posting, to which nothing is ever back-dated, of the same movements in the same order."""
    expected = outcome(history.movements)
    told = posted(_renumbered(in_time(history.movements)))
    assert len(told) == len(expected.posted)
    for each, (_, entries) in zip(told, expected.posted, strict=True):
        found = [
            (entry.entry, *map(Fraction, (entry.quantity, entry.value, entry.value_after))) for entry in each.entries
        ]
        assert found == [(entry.entry, entry.quantity, entry.value, entry.value_after) for entry in entries]


@given(dated_histories())
def test_what_receiving_tells_adds_up_to_what_is_there(history: History) -> None:
    standing = outcome(history.movements).standing()
    there = {heap: quantity for heap, (quantity, _) in standing[max(standing)].items() if quantity} if standing else {}
    told: dict[Heap, Decimal] = {}
    for each in chain.from_iterable(movement.legs for movement in history.movements):
        told[heap_of(each)] = told.get(heap_of(each), ZERO) + each.quantity
    assert {heap: quantity for heap, quantity in told.items() if quantity} == there


@given(dated_histories())
def test_every_movement_takes_the_next_stamp_in_each_of_its_bins(history: History) -> None:
    last: Counter[tuple[str, str]] = Counter()
    for movement in history.movements:
        assert {(each.item, each.warehouse) for each in movement.stamps} >= {
            (each.item, each.warehouse) for each in movement.legs
        }
        for each in movement.stamps:
            last[each.item, each.warehouse] += 1
            assert each.stamp == last[each.item, each.warehouse]


def _renumbered(movements: list[MovementAllocated]) -> list[MovementAllocated]:
    """Movements as they would have been accepted in this order: the next stamps, and what counts then find."""
    stamps: Counter[tuple[str, str]] = Counter()
    held: dict[Heap, Decimal] = {}
    found = []
    for movement in movements:
        stamps.update((each.item, each.warehouse) for each in movement.stamps)
        now = [structs.replace(each, stamp=stamps[each.item, each.warehouse]) for each in movement.stamps]
        legs = []
        for each in movement.legs:
            before, change = held.get(heap_of(each), ZERO), each.quantity
            if each.counted is not None and not each.serials:
                change = Quantity(each.counted - before)
            held[heap_of(each)] = before + change
            legs.append(structs.replace(each, quantity=change))
        found.append(structs.replace(movement, stamps=now, legs=legs))
    return found
