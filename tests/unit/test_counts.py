"""Counts and write-downs: what was found is what stands there, and nothing is worth more than it is said to be."""

from decimal import Decimal

import pytest

from shared.contracts.movement import Leg, MovementAllocated
from shared.errors import InvariantBroken
from shared.purposes import Method
from tests.builders import Receiving, entry_of, leg, posted, transfer
from tests.ledger_builders import check, played, row, rows_of, shown_layers, stock_after

FIFO, LIFO, AVERAGE = Method.FIFO, Method.LIFO, Method.MOVING_AVERAGE
METHODS = [FIFO, LIFO, AVERAGE]


def counted(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="reconciliation")


def written_down(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="write_down")


def two_layers(receiving: Receiving, method: Method = FIFO) -> list[MovementAllocated]:
    """10 at 2.00 and 5 at 3.00."""
    return [receiving.movement(leg(10, 20, method=method)), receiving.movement(leg(5, 15, method=method))]


# --- counts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_count_without_a_rate_keeps_the_average(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(counted(receiving, leg(-3, method=method, counted=12)))
    movements.append(receiving.movement(leg(-4, method=method)))
    check(
        movements,
        """
        10   20.00   10   20.00
         5   15.00   15   35.00
        -3   -7.00   12   28.00    # 12 at 2.333333333
        -4   -9.33    8   18.67
        """,
    )


def test_a_count_makes_one_layer_of_all() -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving), counted(receiving, leg(1, counted=16))]
    assert shown_layers(stock_after(movements)) == ["16 37.333333328 @2.333333333"]


@pytest.mark.parametrize("method", METHODS)
def test_a_count_with_a_rate_is_worth_its_amount(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(counted(receiving, leg(1, 40, method=method, counted=16)))
    assert rows_of(movements)[2:] == ["1 5.00 16 40.00"]


def test_a_count_at_another_rate_alone_is_an_entry_without_quantity() -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving), counted(receiving, leg(0, 60, counted=15))]
    assert rows_of(movements)[2:] == ["0 25.00 15 60.00"]
    assert shown_layers(stock_after(movements)) == ["15 60 @4"]


@pytest.mark.parametrize("amount", [None, 35])
def test_a_count_without_difference_changes_nothing_at_all(amount: int | None) -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving), counted(receiving, leg(0, amount, counted=15))]
    assert posted(movements)[2].entries == []
    assert shown_layers(stock_after(movements)) == ["10 20 @2", "5 15 @3"]


def test_a_count_whose_amount_is_the_value_leaves_the_exact_worth_as_it_is() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(3, 10)),
        receiving.movement(leg(-1)),
        counted(receiving, leg(0, "6.67", counted=2)),
    ]
    assert posted(movements)[2].entries == []
    assert stock_after(movements).worth == Decimal("6.666666667")


@pytest.mark.parametrize("method", METHODS)
def test_nothing_counted_is_worth_nothing(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(counted(receiving, leg(-15, method=method, counted=0)))
    assert rows_of(movements)[2:] == ["-15 -35.00 0 0.00"]
    assert not stock_after(movements).layers


def test_what_is_counted_where_nothing_was_takes_the_last_rate_else_the_standard_rate() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-2))]
    movements.append(counted(receiving, leg(3, counted=3), leg(2, counted=2, item="salt", standard_rate=4, line=2)))
    assert rows_of(movements)[2:] == ["3 7.50 3 7.50", "2 8.00 2 8.00"]


def test_a_count_of_what_was_issued_beyond_stock_forgets_what_lacked() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-3, standard_rate=2), purpose="delivery")]
    movements.append(counted(receiving, leg(5, counted=2, standard_rate=2)))
    check(
        [*movements, receiving.movement(leg(1, 9))],
        """
        -3  -6.00   -3  -6.00
         5  10.00    2   4.00
         1   9.00    3  13.00
        """,
    )
    assert not stock_after(movements).shortages


def test_a_batch_is_counted_by_itself() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8, batch="B1"), leg(5, 25, batch="B2", line=2))]
    movements.append(counted(receiving, leg(-1, batch="B1", counted=3), leg(1, 24, batch="B2", counted=6, line=2)))
    check(
        movements,
        """
         4   8.00   4   8.00
         5  25.00   9  33.00
        -1  -2.00   8  31.00
         1  -1.00   9  30.00
        """,
    )


def test_a_count_from_another_quantity_than_what_stands_there_is_a_broken_invariant() -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving), counted(receiving, leg(2, counted=16))]
    with pytest.raises(InvariantBroken, match="another quantity"):
        posted(movements)


def three_phones(receiving: Receiving) -> MovementAllocated:
    return receiving.movement(leg(1, 100, serials=["A"]), leg(2, 240, serials=["B", "C"], line=2))


def test_missing_serials_leave_at_their_own_cost_and_found_ones_come_back_with_it() -> None:
    receiving = Receiving()
    movements = [three_phones(receiving), receiving.movement(leg(-1, serials=["B"]), purpose="delivery")]
    legs = [leg(-1, serials=["A"]), leg(1, serials=["B"], original=entry_of(movements[1]))]
    movements.append(counted(receiving, *legs))
    assert rows_of(movements)[3:] == ["-1 -100.00 1 120.00", "1 120.00 2 240.00"]


def test_serials_counted_at_a_rate_are_worth_it_each() -> None:
    receiving = Receiving()
    stay = leg(0, 220, serials=["A", "B"], counted=2)
    movements = [three_phones(receiving), counted(receiving, leg(-1, serials=["C"]), stay)]
    check(
        movements,
        """
         1   100.00   1   100.00
         2   240.00   3   340.00
        -1  -120.00   2   220.00
        """,
    )
    movements.append(counted(receiving, leg(0, 250, serials=["A", "B"], counted=2)))
    applied = played(movements).applied[2].entries[0]
    assert row(applied.posted) == "0 30.00 2 250.00"
    assert dict(applied.costs) == {"A": 125, "B": 125}
    assert stock_after(movements).costs == {"A": 125, "B": 125, "C": None}


def test_serials_counted_at_what_they_are_worth_together_keep_their_costs() -> None:
    receiving = Receiving()
    movements = [three_phones(receiving), counted(receiving, leg(0, 340, serials=["A", "B", "C"], counted=3))]
    assert posted(movements)[1].entries == []
    assert stock_after(movements).costs == {"A": 100, "B": 120, "C": 120}


# --- write-downs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [FIFO, LIFO])
def test_only_layers_that_are_worth_more_are_written_down(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(written_down(receiving, leg(0, rate="2.5", method=method)))
    assert rows_of(movements)[2:] == ["0 -2.50 15 32.50"]
    assert shown_layers(stock_after(movements)) == ["10 20 @2", "5 12.5 @2.5"]


def test_an_average_is_written_down_as_a_whole() -> None:
    receiving = Receiving()
    movements = two_layers(receiving, AVERAGE)
    movements.append(written_down(receiving, leg(0, rate="2.5", method=AVERAGE)))
    movements.append(written_down(receiving, leg(0, rate="2", method=AVERAGE)))
    assert rows_of(movements)[2:] == ["0 -5.00 15 30.00"]  # 2.333333333 is below 2.5, and above 2


def test_a_batch_is_written_down_by_itself() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8, batch="B1"), leg(5, 25, batch="B2", line=2))]
    movements.append(written_down(receiving, leg(0, rate=1, batch="B2")))
    assert rows_of(movements)[2:] == ["0 -20.00 9 13.00"]


def test_serials_are_written_down_one_by_one() -> None:
    receiving = Receiving()
    movements = [three_phones(receiving), written_down(receiving, leg(0, rate=110, serials=["A", "B"]))]
    entry = played(movements).applied[1].entries[0]
    assert row(entry.posted) == "0 -10.00 3 330.00"
    assert dict(entry.costs) == {"A": 100, "B": 110}
    assert stock_after(movements).costs == {"A": 100, "B": 110, "C": 120}


@pytest.mark.parametrize("method", METHODS)
def test_a_write_down_never_raises_and_makes_no_entry_where_it_lowers_nothing(method: Method) -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving, method), written_down(receiving, leg(0, rate=3, method=method))]
    assert posted(movements)[2].entries == []
    assert stock_after(movements).value == 35


def test_a_write_down_of_less_than_half_a_cent_does_nothing() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 2)), written_down(receiving, leg(0, rate="1.996"))]
    assert posted(movements)[1].entries == []
    assert stock_after(movements).worth == 2
    assert shown_layers(stock_after(movements)) == ["1 2 @2"]


def test_nothing_is_written_down_of_serials_that_have_left() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 5, serials=["A"])), receiving.movement(leg(-1, serials=["A"]))]
    movements.append(written_down(receiving, leg(0, rate=1, serials=["A"])))
    assert posted(movements)[2].entries == []


def test_no_more_is_written_down_than_serials_are_worth_together() -> None:
    # Each was moved at 0.004, which is a value of nothing.
    receiving = Receiving()
    movements = [
        receiving.movement(leg(5, "0.02", warehouse=place, serials=[f"{place}{n}" for n in range(5)])) for place in "ab"
    ]
    movements += [receiving.movement(*transfer(1, place, "south", serials=[f"{place}0"])) for place in "ab"]
    movements.append(written_down(receiving, leg(0, rate="0.001", warehouse="south", serials=["a0", "b0"])))
    assert stock_after(movements, warehouse="south").worth == 0


@pytest.mark.parametrize("quantity", [1, 3])
def test_nothing_is_written_down_where_nothing_is(quantity: int) -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(1, 5)),
        receiving.movement(leg(-quantity)),
        written_down(receiving, leg(0, rate=1)),
    ]
    assert posted(movements)[2].entries == []
