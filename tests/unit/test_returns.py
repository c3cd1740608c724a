"""What comes back from customers and what is sent back to suppliers, at the value of the entry that is named."""

import pytest

from shared.contracts.movement import Leg, MovementAllocated
from shared.errors import InvariantBroken
from shared.purposes import Method
from tests.builders import Receiving, cost, entry_of, leg, posted
from tests.ledger_builders import check, played, row, shown_layers, stock_after

FIFO, LIFO, AVERAGE = Method.FIFO, Method.LIFO, Method.MOVING_AVERAGE
METHODS = [FIFO, LIFO, AVERAGE]


def received(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="purchase_receipt")


def delivered(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="delivery")


def sent_back(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="purchase_return")


def came_back(receiving: Receiving, *legs: Leg) -> MovementAllocated:
    return receiving.movement(*legs, purpose="sales_return")


# --- purchase returns ------------------------------------------------------------------------------------------------


def test_fifo_sends_back_from_the_layers_at_the_rate_of_the_receipt() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20)), received(receiving, leg(10, 30)), received(receiving, leg(5, 10))]
    movements.append(sent_back(receiving, leg(-4, original=entry_of(movements[1]))))
    check(
        movements,
        """
        10   20.00   10   20.00
        10   30.00   20   50.00
         5   10.00   25   60.00
        -4  -12.00   21   48.00
        """,
    )
    assert shown_layers(stock_after(movements)) == ["10 20 @2", "6 18 @3", "5 10 @2"]


def test_fifo_takes_the_oldest_layer_at_that_rate_first() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20)), received(receiving, leg(10, 30)), received(receiving, leg(5, 10))]
    movements.append(sent_back(receiving, leg(-11, original=entry_of(movements[2]))))
    assert shown_layers(stock_after(movements)) == ["10 30 @3", "4 8 @2"]


def test_fifo_takes_what_the_layers_at_that_rate_lack_from_the_oldest() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(3, 15)), received(receiving, leg(4, 8)), delivered(receiving, leg(-5))]
    movements.append(sent_back(receiving, leg(-2, original=entry_of(movements[0]))))
    check(
        movements,
        """
         3   15.00    3   15.00
         4    8.00    7   23.00
        -5  -19.00    2    4.00
        -2   -4.00    0    0.00   cost_of_goods_sold 6.00    # the supplier owes 10.00
        """,
    )


def test_what_the_layer_is_worth_less_than_the_supplier_owes_goes_to_cost_of_goods_sold() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20)), received(receiving, leg(10, 30)), delivered(receiving, leg(-15))]
    movements.append(sent_back(receiving, leg(-4, original=entry_of(movements[0]))))
    check(
        movements,
        """
         10   20.00   10   20.00
         10   30.00   20   50.00
        -15  -35.00    5   15.00
         -4  -12.00    1    3.00   cost_of_goods_sold -4.00    # the supplier owes 8.00
        """,
    )


def test_moving_average_sends_back_at_the_rate_of_the_receipt_and_not_at_the_average() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20, method=AVERAGE)), received(receiving, leg(10, 40, method=AVERAGE))]
    movements.append(sent_back(receiving, leg(-4, method=AVERAGE, original=entry_of(movements[1]))))
    check(
        movements,
        """
        10   20.00   10   20.00
        10   40.00   20   60.00
        -4  -16.00   16   44.00
        """,
    )


def test_moving_average_never_sends_back_more_worth_than_is_there() -> None:
    receiving = Receiving()
    movements = [
        received(receiving, leg(10, 90, method=AVERAGE)),
        delivered(receiving, leg(-9, method=AVERAGE)),
        received(receiving, leg(9, 0, method=AVERAGE)),
    ]
    movements.append(sent_back(receiving, leg(-8, method=AVERAGE, original=entry_of(movements[0]))))
    check(
        movements,
        """
        10   90.00   10   90.00
        -9  -81.00    1    9.00
         9    0.00   10    9.00
        -8   -9.00    2    0.00   cost_of_goods_sold 63.00    # the supplier owes 72.00
        """,
    )


def test_what_is_sent_back_last_takes_all_the_worth_with_it() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(4, 8, method=AVERAGE)), received(receiving, leg(4, 24, method=AVERAGE))]
    movements.append(delivered(receiving, leg(-6, method=AVERAGE)))
    movements.append(sent_back(receiving, leg(-2, method=AVERAGE, original=entry_of(movements[0]))))
    check(
        movements,
        """
         4    8.00    4    8.00
         4   24.00    8   32.00
        -6  -24.00    2    8.00
        -2   -8.00    0    0.00   cost_of_goods_sold -4.00
        """,
    )


def test_a_batch_is_sent_back_at_the_rate_of_the_receipt() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(5, 10, batch="B1")), received(receiving, leg(5, 20, batch="B1"))]
    movements.append(received(receiving, leg(5, 5, batch="B2")))
    movements.append(sent_back(receiving, leg(-2, batch="B1", original=entry_of(movements[1]))))
    check(
        movements,
        """
         5   10.00    5   10.00
         5   20.00   10   30.00
         5    5.00   15   35.00
        -2   -8.00   13   27.00
        """,
    )


def test_lifo_sends_back_the_newest() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20, method=LIFO)), received(receiving, leg(10, 30, method=LIFO))]
    movements.append(sent_back(receiving, leg(-4, method=LIFO, original=entry_of(movements[0]))))
    check(
        movements,
        """
        10   20.00   10   20.00
        10   30.00   20   50.00
        -4  -12.00   16   38.00   cost_of_goods_sold -4.00    # the supplier owes 8.00
        """,
    )


def test_a_serial_is_sent_back_at_its_own_cost() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(1, 100, serials=["A"]), leg(2, 300, serials=["B", "C"], line=2))]
    movements.append(sent_back(receiving, leg(-1, serials=["C"], original=entry_of(movements[0], 1))))
    check(
        movements,
        """
         1   100.00    1   100.00
         2   300.00    3   400.00
        -1  -150.00    2   250.00
        """,
    )


def test_a_purchase_return_that_names_no_receipt_just_leaves() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20)), received(receiving, leg(10, 30)), sent_back(receiving, leg(-12))]
    assert [row(each) for each in posted(movements)[2].entries] == ["-12 -26.00 8 24.00"]


@pytest.mark.parametrize("method", METHODS)
def test_the_supplier_owes_no_charges_and_thirds_cumulatively(method: Method) -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(3, 10, method=method), purpose="purchase_receipt", costs=[cost("2.00")])
    back = [sent_back(receiving, leg(-1, method=method, original=entry_of(receipt))) for _ in range(3)]
    check(
        [receipt, *back],
        """
         3   12.00    3   12.00   expenses_in_valuation 2.00
        -1   -4.00    2    8.00   cost_of_goods_sold -0.67    # owed: 3.33
        -1   -4.00    1    4.00   cost_of_goods_sold -0.66    # 6.67 - 3.33
        -1   -4.00    0    0.00   cost_of_goods_sold -0.67    # 10.00 - 6.67
        """,
    )


def test_more_is_sent_back_than_is_there_of_what_is_there_and_the_rest_at_the_last_rate() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(4, 8)), delivered(receiving, leg(-3))]
    movements.append(sent_back(receiving, leg(-2, original=entry_of(movements[0]))))
    movements.append(received(receiving, leg(1, 5)))
    check(
        movements,
        """
         4    8.00    4    8.00
        -3   -6.00    1    2.00
        -2   -4.00   -1   -2.00
         0   -3.00   -1   -5.00   cost_of_goods_sold -3.00
         1    5.00    0    0.00
        """,
    )


# --- sales returns ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_return_brings_back_its_share_of_what_the_delivery_was_worth(method: Method) -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(10, 20, method=method)), delivered(receiving, leg(-4, method=method))]
    movements.append(received(receiving, leg(6, 24, method=method)))
    movements.append(came_back(receiving, leg(2, method=method, original=entry_of(movements[1]))))
    check(
        movements,
        """
        10   20.00   10   20.00
        -4   -8.00    6   12.00
         6   24.00   12   36.00
         2    4.00   14   40.00
        """,
    )


def test_returns_in_thirds_bring_back_all_of_it() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(3, 10)), delivered(receiving, leg(-3))]
    movements += [came_back(receiving, leg(1, original=entry_of(movements[1]))) for _ in range(3)]
    check(
        movements,
        """
         3   10.00    3   10.00
        -3  -10.00    0    0.00
         1    3.33    1    3.33
         1    3.34    2    6.67
         1    3.33    3   10.00
        """,
    )


def test_legs_of_one_return_see_those_before_them() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(3, 10)), delivered(receiving, leg(-3))]
    thirds = [leg(1, original=entry_of(movements[1]), line=line) for line in (1, 2, 3)]
    movements.append(came_back(receiving, *thirds))
    assert [str(each.value) for each in posted(movements)[2].entries] == ["3.33", "3.34", "3.33"]


def test_serials_come_back_at_their_own_costs() -> None:
    receiving = Receiving()
    movements = [
        received(receiving, leg(1, 100, serials=["A"]), leg(1, 160, serials=["B"], line=2)),
        delivered(receiving, leg(-2, serials=["A", "B"])),
    ]
    movements.append(came_back(receiving, leg(1, serials=["B"], original=entry_of(movements[1]))))
    movements.append(came_back(receiving, leg(1, serials=["A"], original=entry_of(movements[1]))))
    applied = played(movements).applied
    assert [str(each.entries[0].posted.value) for each in applied[2:]] == ["160.00", "100.00"]
    assert [dict(each.entries[0].costs) for each in applied[2:]] == [{"B": 160}, {"A": 100}]


def test_serials_that_come_back_one_by_one_bring_back_all_of_it() -> None:
    receiving = Receiving()
    movements = [
        received(receiving, leg(3, 10, serials=list("ABC"))),
        delivered(receiving, leg(-3, serials=list("ABC"))),
    ]
    sold = entry_of(movements[1])
    movements += [came_back(receiving, leg(1, serials=[each], original=sold)) for each in "BCA"]
    assert [str(each.entries[0].value) for each in posted(movements)[2:]] == ["3.33", "3.34", "3.33"]


def test_serials_that_cost_nothing_weigh_the_same() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(2, 0, serials=["A", "B"])), delivered(receiving, leg(-2, serials=["A", "B"]))]
    movements.append(came_back(receiving, leg(1, serials=["A"], original=entry_of(movements[1]))))
    assert [row(each) for each in posted(movements)[2].entries] == ["1 0.00 1 0.00"]


def test_a_serial_found_at_a_counted_rate_is_worth_that_and_its_neighbour_what_it_was() -> None:
    receiving = Receiving()
    movements = [
        received(receiving, leg(2, 100, serials=["A", "B"])),
        receiving.movement(leg(-2, serials=["A", "B"]), purpose="reconciliation"),
    ]
    missing = entry_of(movements[1])
    movements.append(receiving.movement(leg(1, 70, serials=["A"], original=missing), purpose="reconciliation"))
    movements.append(receiving.movement(leg(1, serials=["B"], original=missing), purpose="reconciliation"))
    assert [str(each.entries[0].value) for each in posted(movements)[2:]] == ["70.00", "50.00"]


def test_a_return_may_go_to_another_warehouse() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(2, 5)), delivered(receiving, leg(-2))]
    back = leg(2, warehouse="south", original=entry_of(movements[1]))
    movements.append(receiving.movement(back, purpose="sales_return", also=[("tea", "north")]))
    assert [row(each) for each in posted(movements)[2].entries] == ["2 5.00 2 5.00"]


def test_a_return_that_names_nothing_takes_the_last_rate() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(2, 5)), delivered(receiving, leg(-1)), came_back(receiving, leg(1))]
    assert [row(each) for each in posted(movements)[2].entries] == ["1 2.50 2 5.00"]


def test_an_exchange_takes_back_and_gives_out_in_one_movement() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(2, 6)), receiving.movement(leg(-1), purpose="sale")]
    movements.append(receiving.movement(leg(-1), leg(1, original=entry_of(movements[1]), line=2), purpose="sale"))
    assert [row(each) for each in posted(movements)[2].entries] == ["-1 -3.00 0 0.00", "1 3.00 1 3.00"]


# --- what is named ---------------------------------------------------------------------------------------------------


def test_an_entry_tells_which_one_it_returns() -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(2, 5)), delivered(receiving, leg(-2))]
    movements.append(came_back(receiving, leg(1, original=entry_of(movements[1]))))
    movements.append(sent_back(receiving, leg(-1, original=entry_of(movements[0]))))
    assert [each.original for told in posted(movements) for each in told.entries] == [
        None,
        None,
        entry_of(movements[1]),
        entry_of(movements[0]),
    ]


@pytest.mark.parametrize("quantity", [1, -1])
def test_a_leg_that_names_an_unknown_entry_is_a_broken_invariant(quantity: int) -> None:
    receiving = Receiving()
    unknown = entry_of(received(Receiving(source="elsewhere"), leg(1, 1)))
    movements = [received(receiving, leg(2, 5)), came_back(receiving, leg(quantity, original=unknown))]
    with pytest.raises(InvariantBroken, match="not posted"):
        posted(movements)


@pytest.mark.parametrize("method", [FIFO, AVERAGE])
def test_a_receipt_that_was_revalued_is_sent_back_at_its_present_value(method: Method) -> None:
    receiving = Receiving()
    movements = [received(receiving, leg(4, 8, method=method)), received(receiving, leg(1, 9, method=method))]
    receipt = entry_of(movements[0])
    landed = leg(0, method=method, original=receipt)
    movements.append(receiving.movement(landed, purpose="landed_cost", costs=[cost(2)]))
    movements.append(sent_back(receiving, leg(-2, method=method, original=receipt)))
    check(
        movements,
        """
         4    8.00    4    8.00
         1    9.00    5   17.00
         0    2.00    5   19.00   expenses_in_valuation 2.00
        -2   -5.00    3   14.00   cost_of_goods_sold -1.00    # the supplier owes 4.00
        """,
    )
