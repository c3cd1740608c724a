"""What comes in is worth: amounts, shares of what was consumed, additional costs; and what of it is booked apart."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from shared.contracts.movement import AccountAmount, AllocatedCost, Leg
from shared.purposes import Method
from shared.quantities import Money
from tests.builders import Receiving, cost, entry_of, leg, posted, transfer
from tests.ledger_builders import check, played, row, rows_of, stock_after

COSTS = "expenses_in_valuation"


def made(*legs: Leg, costs: Sequence[AllocatedCost] = (), steel: int = 100) -> list[str]:
    """The entries of a manufacture of 10 pieces of steel, worth so much, into these legs."""
    receiving = Receiving()
    receipt = receiving.movement(leg(10, steel, item="steel"))
    making = receiving.movement(leg(-10, item="steel"), *legs, purpose="manufacture", costs=costs)
    return [row(each) for each in posted([receipt, making])[1].entries[1:]]


def bought(*legs: Leg, costs: Sequence[AllocatedCost]) -> list[str]:
    """The entries of a purchase receipt of these legs with costs."""
    return rows_of([Receiving().movement(*legs, purpose="purchase_receipt", costs=costs)])


def bikes(quantity: int, share: str | None, line: int = 2, item: str = "bike") -> Leg:
    return leg(quantity, item=item, line=line, share=share)


# --- making ----------------------------------------------------------------------------------------------------------


def test_a_product_is_worth_what_was_consumed() -> None:
    assert made(bikes(3, "3")) == ["3 100.00 3 100.00"]


def test_products_share_what_was_consumed_and_the_last_takes_the_rest() -> None:
    shared = made(bikes(1, "1"), bikes(1, "1", 3, "trike"), bikes(1, "1", 4, "cart"))
    assert shared == ["1 33.33 1 33.33", "1 33.33 1 33.33", "1 33.34 1 33.34"]


def test_the_last_product_with_a_share_takes_the_rest() -> None:
    shared = made(bikes(1, "1"), bikes(2, "2", 3, "trike"), bikes(1, "0", 4, "cart"), steel=10)
    assert shared == ["1 3.33 1 3.33", "2 6.67 2 6.67", "1 0.00 1 0.00"]


def test_scrap_and_products_with_a_rate_take_theirs_first() -> None:
    told = made(bikes(2, "2"), leg(1, 7, item="chips", line=3), leg(1, 13, item="frame", line=4, share="5"))
    assert told == ["2 80.00 2 80.00", "1 7.00 1 7.00", "1 13.00 1 13.00"]


def test_scrap_without_a_rate_takes_the_last_one_known_from_the_pool() -> None:
    told = made(bikes(2, "2"), leg(1, item="chips", line=3, standard_rate=4))
    assert told == ["2 96.00 2 96.00", "1 4.00 1 4.00"]


def test_where_nothing_is_left_to_share_a_product_is_worth_nothing() -> None:
    told = made(bikes(2, "2"), leg(1, 130, item="frame", line=3))
    assert told == ["2 0.00 2 0.00", "1 130.00 1 130.00"]


def test_costs_of_making_go_into_the_products_that_share() -> None:
    told = made(bikes(2, "2"), leg(1, 10, item="chips", line=3), costs=[cost(30)])
    assert told == [f"2 120.00 2 120.00 {COSTS} 30.00", "1 10.00 1 10.00"]


def test_costs_of_making_are_booked_by_what_the_products_are_worth() -> None:
    told = made(bikes(1, "3"), bikes(1, "1", 3, "trike"), costs=[cost(20)])
    assert told == [f"1 90.00 1 90.00 {COSTS} 15.00", f"1 30.00 1 30.00 {COSTS} 5.00"]


def test_costs_of_making_what_is_worth_nothing_are_booked_by_quantity() -> None:
    told = made(bikes(3, "1"), bikes(1, "1", 3, "trike"), leg(1, 200, item="frame", line=4), costs=[cost(8)])
    assert told == [f"3 0.00 3 0.00 {COSTS} 6.00", f"1 0.00 1 0.00 {COSTS} 2.00", "1 200.00 1 200.00"]


def test_costs_of_making_at_given_rates_alone_are_booked_on_what_is_made() -> None:
    told = made(leg(1, 90, item="frame", line=2), leg(1, 30, item="trike", line=3), costs=[cost(20)])
    assert told == [f"1 90.00 1 90.00 {COSTS} 15.00", f"1 30.00 1 30.00 {COSTS} 5.00"]


def test_making_nothing_consumes_all_the_same() -> None:
    assert made(costs=[cost(5)]) == []


def test_a_product_that_is_also_consumed_is_shared_out_from_what_left() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 12, item="glue"))]
    repack = receiving.movement(leg(-3, item="glue"), bikes(6, "6", item="glue"), purpose="repack")
    check(
        [*movements, repack],
        """
         4  12.00   4  12.00
        -3  -9.00   1   3.00
         6   9.00   7  12.00
        """,
    )


def test_each_serial_of_a_product_costs_its_part() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(10, 100, item="steel")),
        receiving.movement(
            leg(-10, item="steel"),
            leg(3, serials=["A", "B", "C"], share=3, line=2),
            purpose="manufacture",
            costs=[cost(5)],
        ),
    ]
    costs = played(movements).applied[1].entries[1].costs
    assert dict(costs) == dict.fromkeys("ABC", Decimal(35))


# --- additional costs ------------------------------------------------------------------------------------------------


def test_a_cost_is_spread_by_amount_and_joins_the_worth() -> None:
    told = bought(leg(3, 30), leg(5, 10, item="salt", line=2), costs=[cost(8)])
    assert told == [f"3 36.00 3 36.00 {COSTS} 6.00", f"5 12.00 5 12.00 {COSTS} 2.00"]


def test_a_cost_over_three_equal_lines_leaves_the_rest_to_the_last() -> None:
    told = bought(*(leg(1, 20, item=item, line=line) for line, item in enumerate("abc", 1)), costs=[cost(10)])
    assert [each.split(COSTS)[1].strip() for each in told] == ["3.33", "3.33", "3.34"]


def test_the_last_line_with_a_weight_takes_the_rest() -> None:
    told = bought(leg(1, 1), leg(1, 2, item="salt", line=2), leg(1, 0, item="air", line=3), costs=[cost("0.10")])
    assert told == [f"1 1.03 1 1.03 {COSTS} 0.03", f"1 2.07 1 2.07 {COSTS} 0.07", "1 0.00 1 0.00"]


def test_a_cost_is_spread_by_quantity() -> None:
    told = bought(leg(3, 30), leg(1, 10, item="salt", line=2), costs=[cost(8, "quantity")])
    assert told == [f"3 36.00 3 36.00 {COSTS} 6.00", f"1 12.00 1 12.00 {COSTS} 2.00"]


def test_a_cost_is_spread_by_shares() -> None:
    told = bought(leg(3, 30, share=1), leg(1, 10, item="salt", line=2, share=3), costs=[cost(8, "share")])
    assert told == [f"3 32.00 3 32.00 {COSTS} 2.00", f"1 16.00 1 16.00 {COSTS} 6.00"]


@pytest.mark.parametrize("spread", ["amount", "share"])
def test_a_cost_without_anything_to_spread_by_is_spread_by_quantity(spread: str) -> None:
    costs = [AllocatedCost(account=COSTS, amount=Money("8"), spread=spread)]  # type: ignore[arg-type]
    told = bought(leg(3, 0), leg(1, 0, item="salt", line=2), costs=costs)
    assert told == [f"3 6.00 3 6.00 {COSTS} 6.00", f"1 2.00 1 2.00 {COSTS} 2.00"]


def test_a_cost_is_rounded_by_line_and_then_over_the_legs_of_a_line() -> None:
    told = bought(
        leg(1, 10, batch="B1"),
        leg(1, 10, batch="B2"),
        leg(1, 20, item="salt", line=2),
        costs=[cost("0.05")],
    )
    # 0.025 rounds to 0.02 for the first line, of which each batch has a half.
    assert [each.partition(COSTS)[2].strip() for each in told] == ["0.01", "0.01", "0.03"]


def test_costs_of_several_accounts_are_booked_apart_and_those_of_one_together() -> None:
    freight = AllocatedCost(account="freight", amount=Money("4"))
    told = bought(leg(2, 10), costs=[freight, cost(1), cost(2)])
    assert told == [f"2 17.00 2 17.00 freight 4.00 {COSTS} 3.00"]


def test_a_part_of_nothing_is_not_booked() -> None:
    (entry,) = posted([Receiving().movement(leg(1, 1), purpose="purchase_receipt", costs=[cost(0)])])[0].entries
    assert entry.booked == []


def test_costs_are_spread_by_the_worth_before_any_of_them_is_added() -> None:
    costs = [cost(10, "quantity"), cost(10)]
    told = bought(leg(9, 10), leg(1, 10, item="salt", line=2), costs=costs)
    assert told == [f"9 24.00 9 24.00 {COSTS} 14.00", f"1 16.00 1 16.00 {COSTS} 6.00"]


def test_costs_are_spread_evenly_on_the_serials_of_a_line() -> None:
    movement = Receiving().movement(leg(3, 30, serials=["A", "B", "C"]), purpose="purchase_receipt", costs=[cost(5)])
    entry = played([movement]).applied[0].entries[0]
    assert dict(entry.costs) == dict.fromkeys("ABC", Decimal("11.666666667"))
    assert str(entry.posted.value) == "35.00"


def test_a_booked_part_names_no_line() -> None:
    (entry,) = posted([Receiving().movement(leg(1, 1), purpose="purchase_receipt", costs=[cost(3)])])[0].entries
    assert entry.booked == [AccountAmount(account=COSTS, amount=Money("3.00"), line=None)]


def test_a_transfer_arrives_with_its_costs() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(10, 20))]
    movements.append(
        receiving.movement(*transfer(4, "north", "south"), purpose="material_transfer", costs=[cost("1.50")])
    )
    check(
        movements,
        """
        10  20.00   10  20.00
        -4  -8.00    6  12.00
         4   9.50    4   9.50   expenses_in_valuation 1.50
        """,
    )


def test_serials_take_the_costs_of_their_transfer_along_evenly() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(1, 100, serials=["A"]), leg(1, 160, serials=["B"], line=2)),
        receiving.movement(
            *transfer(2, "north", "south", serials=["A", "B"]), purpose="material_transfer", costs=[cost(8)]
        ),
    ]
    assert dict(played(movements).applied[1].entries[1].costs) == {"A": 104, "B": 164}


def test_costs_cover_what_was_issued_beyond_stock_with_the_goods() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-1, standard_rate=3), purpose="delivery")]
    movements.append(receiving.movement(leg(2, 6), purpose="purchase_receipt", costs=[cost(2)]))
    check(
        movements,
        """
        -1  -3.00   -1  -3.00
         0  -1.00   -1  -4.00   cost_of_goods_sold -1.00
         2   8.00    1   4.00   expenses_in_valuation 2.00
        """,
    )


# --- the order within a movement -------------------------------------------------------------------------------------


def test_the_last_known_rate_is_the_one_from_before_the_movement() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 5)), receiving.movement(leg(1, 9), leg(1, line=2))]
    assert [row(each) for each in posted(movements)[1].entries] == ["1 9.00 2 14.00", "1 5.00 3 19.00"]


def test_what_leaves_goes_before_what_arrives_wherever_it_stands() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 4)), receiving.movement(leg(2, 10), leg(-2, line=2), purpose="sale")]
    told = posted(movements)[1].entries
    assert [row(each) for each in told] == ["-2 -4.00 0 0.00", "2 10.00 2 10.00"]
    assert [each.entry for each in told] == [entry_of(movements[1], 1), entry_of(movements[1], 0)]


@pytest.mark.parametrize("method", list(Method))
def test_a_cost_makes_the_layer_dearer(method: Method) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8, method=method), purpose="purchase_receipt", costs=[cost(2)])]
    assert stock_after(movements).rate == Decimal("2.5")
