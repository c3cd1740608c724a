"""The slow reference itself, against figures that were worked out by hand or recorded in `tests/conformance`."""

from collections.abc import Sequence
from fractions import Fraction

from shared.contracts.movement import Leg, MovementAllocated
from shared.purposes import Method
from tests.builders import Receiving, cost, entry_of, leg, transfer
from tests.properties.reference_incoming import Told
from tests.properties.reference_stock import Lot
from tests.properties.reference_valuation import play

AVERAGE = Method.MOVING_AVERAGE


def entries(*movements: MovementAllocated) -> list[Told]:
    """The entries of the last movement."""
    return play(movements)[0][-1]


def values(*movements: MovementAllocated) -> list[str]:
    """Their values."""
    return [_plain(each.value) for each in entries(*movements)]


def booked(*movements: MovementAllocated) -> list[dict[str, str]]:
    """What of them is booked apart."""
    return [{account: _plain(part) for account, part in each.booked.items()} for each in entries(*movements)]


def lots(*movements: MovementAllocated, item: str = "tea", batch: str = "") -> list[str]:
    """What lies in the northern bin in the end: quantity@rate, oldest first."""
    found: Sequence[Lot] = play(movements)[1].bins[item, "north"].heaps[batch].lots
    return [f"{_plain(each.quantity)}@{_plain(each.rate)}" for each in found]


def _plain(number: Fraction) -> str:
    return f"{float(number):.9f}".rstrip("0").rstrip(".")


def _standing(quantity: int, serials: Sequence[str], amount: str) -> Leg:
    return leg(0, amount, serials=serials, counted=quantity)


def test_additional_costs_are_spread_by_amount_over_the_lines() -> None:
    legs = [leg(10, 30), leg(10, 10, item="nut", line=2)]
    receipt = Receiving().movement(*legs, purpose="purchase_receipt", costs=[cost(8)])
    assert values(receipt) == ["36", "12"]
    assert booked(receipt) == [{"expenses_in_valuation": "6"}, {"expenses_in_valuation": "2"}]


def test_the_last_line_that_has_a_weight_takes_the_rest_of_a_cost() -> None:
    legs = [leg(1, 1), leg(1, 1, item="nut", line=2), leg(1, 1, item="bolt", line=3), leg(1, 0, item="gift", line=4)]
    assert values(Receiving().movement(*legs, costs=[cost(1)])) == ["1.33", "1.33", "1.34", "0"]


def test_no_line_takes_more_of_a_cost_than_what_is_left() -> None:
    legs = [
        leg(1, 1, item=item, line=line) for line, item in enumerate(("tea", "nut", "bolt", "gift", "bike"), start=1)
    ]
    costs = [cost("0.03")]
    assert values(Receiving().movement(*legs, costs=costs)) == ["1.01", "1.01", "1.01", "1", "1"]


def test_a_line_without_a_rate_takes_the_one_known_before_the_movement() -> None:
    receiving = Receiving()
    first = receiving.movement(leg(1, 2))
    assert values(first, receiving.movement(leg(1, 5), leg(3, line=2))) == ["5", "6"]


def test_what_covers_a_shortage_trues_it_up_before_it_arrives() -> None:
    receiving = Receiving()
    history = [receiving.movement(leg(5, 10)), receiving.movement(leg(-8), purpose="delivery")]
    assert values(*history) == ["-16"]
    history.append(receiving.movement(leg(10, 30), purpose="purchase_receipt"))
    assert values(*history) == ["-3", "30"]
    assert booked(*history) == [{"cost_of_goods_sold": "-3"}, {}]
    assert [_plain(each.value_after) for each in entries(*history)] == ["-9", "21"]
    assert lots(*history) == ["7@3"]


def test_shortages_of_several_accounts_are_trued_up_apart_oldest_first() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(-2, standard_rate=1), purpose="scrap"),
        receiving.movement(leg(-2, standard_rate=2), purpose="delivery"),
        receiving.movement(leg(-2, standard_rate=3), purpose="scrap"),
        receiving.movement(leg(5, 10)),
    ]
    # 2@1 and 1@3 were written off for 5 and cost 6; 2@2 were sold for 4 and cost 4: no entry.
    assert values(*history) == ["-1", "10"]
    assert booked(*history) == [{"write_off": "-1"}, {}]
    assert entries(*history)[-1].value_after == -3


def test_a_sales_return_in_parts_brings_back_all_that_left() -> None:
    receiving = Receiving()
    history = [receiving.movement(leg(3, 10)), sold := receiving.movement(leg(-3), purpose="delivery")]
    found = []
    for _ in range(3):
        history.append(receiving.movement(leg(1, original=entry_of(sold)), purpose="sales_return"))
        found += values(*history)
    assert found == ["3.33", "3.34", "3.33"]


def test_serials_come_back_at_their_own_cost_in_their_delivery() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(1, 100, serials=["A"]), leg(1, 150, serials=["B"], line=2)),
        sold := receiving.movement(leg(-2, serials=["A", "B"]), purpose="delivery"),
        receiving.movement(leg(1, serials=["B"], original=entry_of(sold)), purpose="sales_return"),
    ]
    assert values(*history) == ["150"]


def test_fifo_sends_back_the_oldest_where_the_layer_of_the_receipt_is_gone() -> None:
    receiving = Receiving()
    history = [
        bought := receiving.movement(leg(10, 20), purpose="purchase_receipt"),
        receiving.movement(leg(10, 30), purpose="purchase_receipt"),
        receiving.movement(leg(-15), purpose="material_issue"),
        receiving.movement(leg(-4, original=entry_of(bought)), purpose="purchase_return"),
    ]
    assert values(*history) == ["-12"]
    assert booked(*history) == [{"cost_of_goods_sold": "-4"}]


def test_fifo_sends_back_from_the_layer_of_the_receipt() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(10, 20), purpose="purchase_receipt"),
        bought := receiving.movement(leg(10, 30), purpose="purchase_receipt"),
        receiving.movement(leg(-4, original=entry_of(bought)), purpose="purchase_return"),
    ]
    assert values(*history) == ["-12"]
    assert booked(*history) == [{}]
    assert lots(*history) == ["10@2", "6@3"]


def test_an_average_sends_back_at_the_rate_of_the_receipt() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(10, 20, method=AVERAGE), purpose="purchase_receipt"),
        bought := receiving.movement(leg(10, 40, method=AVERAGE), purpose="purchase_receipt", costs=[cost(10)]),
        receiving.movement(leg(-4, method=AVERAGE, original=entry_of(bought)), purpose="purchase_return"),
    ]
    # 4 of 10 that are worth 50; the supplier owes 4 of 10 for 40.
    assert values(*history) == ["-20"]
    assert booked(*history) == [{"cost_of_goods_sold": "-4"}]


def test_an_average_never_sends_back_more_than_is_there() -> None:
    receiving = Receiving()
    history = [
        bought := receiving.movement(leg(2, 20, method=AVERAGE), purpose="purchase_receipt"),
        receiving.movement(leg(8, 0, method=AVERAGE), purpose="purchase_receipt"),
        receiving.movement(leg(-7, method=AVERAGE), purpose="material_issue"),
        receiving.movement(leg(-1, method=AVERAGE, original=entry_of(bought)), purpose="purchase_return"),
    ]
    assert values(*history) == ["-6"]
    assert booked(*history) == [{"cost_of_goods_sold": "4"}]


def test_what_was_consumed_is_shared_out_among_the_products() -> None:
    receiving = Receiving()
    history = [receiving.movement(leg(100, 100, item="steel"))]
    products = [leg(1, item=item, share=1, line=line) for line, item in enumerate(("bike", "trike", "cart"), start=2)]
    scrap = leg(2, "4.00", item="chips", line=5)
    costs = [cost(5)]
    history.append(
        receiving.movement(leg(-100, item="steel"), *products, scrap, purpose="manufacture", costs=costs),
    )
    assert values(*history) == ["-100", "33.67", "33.67", "33.66", "4"]
    assert [each.get("expenses_in_valuation") for each in booked(*history)] == [None, "1.67", "1.67", "1.66", None]


def test_products_are_never_worth_less_than_nothing() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(1, 3, item="steel")),
        receiving.movement(
            leg(-1, item="steel"),
            leg(1, item="bike", share=1, line=2),
            leg(1, 5, item="chips", line=3),
            purpose="manufacture",
        ),
    ]
    assert values(*history) == ["-3", "0", "5"]


def test_thirds_of_a_product_leave_nothing_behind() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(100, 100, item="steel")),
        receiving.movement(leg(-100, item="steel"), leg(3, item="bike", share=1, line=2), purpose="manufacture"),
    ]
    found = []
    for _ in range(3):
        history.append(receiving.movement(leg(-1, item="bike"), purpose="material_issue"))
        found += values(*history)
    assert found == ["-33.33", "-33.34", "-33.33"]


def test_a_count_makes_one_layer_at_the_counted_rate() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(10, 20)),
        receiving.movement(leg(10, 30)),
        receiving.movement(leg(-2, "49.50", counted=18), purpose="reconciliation"),
    ]
    assert values(*history) == ["-0.5"]
    assert lots(*history) == ["18@2.75"]
    history.append(receiving.movement(leg(-3), purpose="material_issue"))
    assert values(*history) == ["-8.25"]


def test_a_count_without_difference_leaves_the_layers_alone() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(10, 20)),
        receiving.movement(leg(10, 30)),
        receiving.movement(leg(0, counted=20), purpose="reconciliation"),
    ]
    assert values(*history) == []
    assert lots(*history) == ["10@2", "10@3"]


def test_a_count_of_what_was_issued_beyond_stock_forgets_the_shortage() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(-3, standard_rate=2), purpose="delivery"),
        receiving.movement(leg(5, counted=2, standard_rate=2), purpose="reconciliation"),
    ]
    assert values(*history) == ["10"]
    assert values(*history, receiving.movement(leg(1, 9))) == ["9"]


def test_a_count_gives_serials_another_cost() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(3, 30, serials=["A", "B", "C"])),
        receiving.movement(leg(-1, serials=["C"]), _standing(2, ["A", "B"], "25.00"), purpose="reconciliation"),
    ]
    assert values(*history) == ["-10", "5"]
    history.append(receiving.movement(leg(-1, serials=["A"]), purpose="material_issue"))
    assert values(*history) == ["-12.5"]


def test_a_serial_is_found_again_at_its_last_cost_or_at_the_counted_rate() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(2, 30, serials=["A", "B"])),
        lost := receiving.movement(leg(-2, serials=["A", "B"]), purpose="reconciliation"),
        receiving.movement(leg(1, 40, serials=["A"], original=entry_of(lost)), purpose="reconciliation"),
    ]
    assert values(*history) == ["40"]
    again = receiving.movement(leg(1, serials=["B"], original=entry_of(lost)), purpose="reconciliation")
    assert values(*history, again) == ["15"]


def test_a_write_down_lowers_layers_and_raises_none() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(10, 20)),
        receiving.movement(leg(10, 40)),
        receiving.movement(leg(0, rate=3), purpose="write_down"),
    ]
    assert values(*history) == ["-10"]
    assert lots(*history) == ["10@2", "10@3"]


def test_a_landed_cost_is_as_if_the_receipt_had_cost_so_much() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(5, 25)),
        bought := receiving.movement(leg(10, 50)),
        receiving.movement(leg(5, 35)),
        receiving.movement(leg(0, original=entry_of(bought)), purpose="landed_cost", costs=[cost(20)]),
    ]
    assert values(*history) == ["20"]
    assert booked(*history) == [{"expenses_in_valuation": "20"}]
    assert lots(*history) == ["5@5", "15@7"]


def test_a_landed_cost_takes_no_more_off_a_receipt_than_it_is_worth() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(5, 25)),
        bought := receiving.movement(leg(10, 50)),
        receiving.movement(leg(0, original=entry_of(bought)), purpose="landed_cost", costs=[cost(-60)]),
    ]
    assert values(*history) == ["-50"]
    assert booked(*history) == [{"expenses_in_valuation": "-60", "stock_adjustment": "10"}]
    assert lots(*history) == ["5@5", "10@0"]


def test_costs_of_a_transfer_are_added_where_it_arrives() -> None:
    receiving = Receiving()
    history = [
        receiving.movement(leg(3, 10)),
        receiving.movement(*transfer(2, "north", "south"), purpose="material_transfer", costs=[cost(1)]),
    ]
    assert values(*history) == ["-6.67", "7.67"]


def test_goods_too_cheap_to_have_a_value_leave_nothing_behind() -> None:
    receiving = Receiving()
    history = [receiving.movement(leg(3, "0.01"))]
    found = []
    for _ in range(3):
        history.append(receiving.movement(leg(-1), purpose="material_issue"))
        found += values(*history)
    assert found == ["0", "-0.01", "0"]
