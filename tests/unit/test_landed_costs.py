"""Landed costs: a receipt turns out to have cost more, or less, while its goods still stand where they came in."""

from decimal import Decimal

import pytest

from shared.contracts.movement import AllocatedCost, Leg, MovementAllocated
from shared.purposes import Method
from shared.quantities import Money
from tests.builders import Receiving, cost, entry_of, leg, posted, transfer
from tests.ledger_builders import played, row, rows_of, shown_layers, stock_after

FIFO, LIFO, AVERAGE = Method.FIFO, Method.LIFO, Method.MOVING_AVERAGE
METHODS = [FIFO, LIFO, AVERAGE]
COSTS = "expenses_in_valuation"


def landed(receiving: Receiving, *legs: Leg, costs: list[AllocatedCost]) -> MovementAllocated:
    return receiving.movement(*legs, purpose="landed_cost", costs=costs)


def two_layers(receiving: Receiving, method: Method = FIFO) -> list[MovementAllocated]:
    """10 at 2.00 and 5 at 3.00."""
    return [receiving.movement(leg(10, 20, method=method)), receiving.movement(leg(5, 15, method=method))]


def three_phones(receiving: Receiving) -> MovementAllocated:
    return receiving.movement(leg(1, 100, serials=["A"]), leg(2, 240, serials=["B", "C"], line=2))


@pytest.mark.parametrize("method", METHODS)
def test_a_landed_cost_adds_to_what_the_receipt_brought(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(landed(receiving, leg(0, method=method, original=entry_of(movements[0])), costs=[cost(5)]))
    assert rows_of(movements)[2:] == [f"0 5.00 15 40.00 {COSTS} 5.00"]
    assert posted(movements)[2].entries[0].original == entry_of(movements[0])


@pytest.mark.parametrize("method", [FIFO, LIFO])
def test_the_layers_are_those_of_a_receipt_that_had_cost_as_much(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    movements.append(landed(receiving, leg(0, method=method, original=entry_of(movements[0])), costs=[cost(5)]))
    assert shown_layers(stock_after(movements)) == ["10 25 @2.5", "5 15 @3"]


def test_a_receipt_whose_layer_others_joined_gets_a_layer_of_its_own() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(quantity, 2 * quantity)) for quantity in (3, 4, 5)]
    assert shown_layers(stock_after(movements)) == ["12 24 @2"]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[1])), costs=[cost(4)]))
    assert shown_layers(stock_after(movements)) == ["3 6 @2", "4 12 @3", "5 10 @2"]


def test_a_receipt_that_comes_to_the_rate_of_its_neighbours_joins_them() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 9)), receiving.movement(leg(4, 8)), receiving.movement(leg(5, 15))]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[1])), costs=[cost(4)]))
    assert shown_layers(stock_after(movements)) == ["12 36 @3"]


def test_a_layer_that_was_there_before_the_receipt_keeps_its_exact_worth() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10)), receiving.movement(leg(-1)), receiving.movement(leg(3, 10))]
    assert shown_layers(stock_after(movements)) == ["5 16.666666667 @3.333333333"]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[2])), costs=[cost(2)]))
    assert shown_layers(stock_after(movements)) == ["2 6.666666667 @3.333333333", "3 12 @4"]


def test_a_second_landed_cost_finds_the_first() -> None:
    receiving = Receiving()
    movements = two_layers(receiving)
    movements += [landed(receiving, leg(0, original=entry_of(each)), costs=[cost(5)]) for each in movements[:2]]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[0])), costs=[cost(10)]))
    assert shown_layers(stock_after(movements)) == ["10 35 @3.5", "5 20 @4"]


def test_a_landed_cost_is_spread_over_the_lines_of_a_receipt_by_their_amounts() -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(3, 30), leg(1, 10, item="salt", line=2))
    legs = [leg(0, original=entry_of(receipt)), leg(0, item="salt", original=entry_of(receipt, 1), line=2)]
    movements = [receipt, landed(receiving, *legs, costs=[cost(8)])]
    assert rows_of(movements)[2:] == [f"0 6.00 3 36.00 {COSTS} 6.00", f"0 2.00 1 12.00 {COSTS} 2.00"]


def test_the_amounts_are_those_without_charges_and_without_landed_costs() -> None:
    receiving = Receiving()
    first = [leg(1, 30), leg(1, 10, item="salt", line=2)]
    receipt = receiving.movement(*first, purpose="purchase_receipt", costs=[cost(100, "quantity")])
    legs = [leg(0, original=entry_of(receipt)), leg(0, item="salt", original=entry_of(receipt, 1), line=2)]
    movements = [receipt, *(landed(receiving, *legs, costs=[cost(8)]) for _ in range(2))]
    told = [each.partition(COSTS)[2].strip() for each in rows_of(movements)]
    assert told == ["50.00", "50.00", "6.00", "2.00", "6.00", "2.00"]


@pytest.mark.parametrize(("spread", "parts"), [("quantity", ["6.00", "2.00"]), ("share", ["2.00", "6.00"])])
def test_a_landed_cost_is_spread_by_the_receipts_quantities_or_by_shares(spread: str, parts: list[str]) -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(3, 30), leg(1, 70, item="salt", line=2))
    legs = [
        leg(0, original=entry_of(receipt), share=1),
        leg(0, item="salt", original=entry_of(receipt, 1), share=3, line=2),
    ]
    costs = [AllocatedCost(account=COSTS, amount=Money("8"), spread=spread)]  # type: ignore[arg-type]
    movements = [receipt, landed(receiving, *legs, costs=costs)]
    assert [each.partition(COSTS)[2].strip() for each in rows_of(movements)[2:]] == parts


def test_a_landed_cost_falls_evenly_on_the_serials_of_the_receipt() -> None:
    receiving = Receiving()
    movements = [three_phones(receiving)]
    of_receipt = leg(0, serials=["B", "C"], original=entry_of(movements[0], 1))
    movements.append(landed(receiving, of_receipt, costs=[cost(5)]))
    entry = played(movements).applied[1].entries[0]
    assert row(entry.posted) == f"0 5.00 3 345.00 {COSTS} 5.00"
    assert dict(entry.costs) == {"B": Decimal("122.5"), "C": Decimal("122.5")}
    assert stock_after(movements).costs == {"A": 100, **entry.costs}


def test_a_landed_cost_revalues_a_batch() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(4, 8, batch="B1")), receiving.movement(leg(1, 7, batch="B2"))]
    movements.append(landed(receiving, leg(0, batch="B1", original=entry_of(movements[0])), costs=[cost(4)]))
    movements.append(receiving.movement(leg(-1, batch="B1")))
    assert rows_of(movements)[2:] == [f"0 4.00 5 19.00 {COSTS} 4.00", "-1 -3.00 4 16.00"]


@pytest.mark.parametrize("method", METHODS)
def test_a_price_that_was_too_high_is_taken_back(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    billed = AllocatedCost(account="stock_received_not_billed", amount=Money("-4"))
    movements.append(landed(receiving, leg(0, method=method, original=entry_of(movements[0])), costs=[billed]))
    assert rows_of(movements)[2:] == ["0 -4.00 15 31.00 stock_received_not_billed -4.00"]


@pytest.mark.parametrize("method", METHODS)
def test_no_receipt_is_worth_less_than_nothing_and_the_gap_goes_to_stock_adjustment(method: Method) -> None:
    receiving = Receiving()
    movements = two_layers(receiving, method)
    receipt = entry_of(movements[0])
    movements.append(landed(receiving, leg(0, method=method, original=receipt), costs=[cost(3)]))
    movements.append(landed(receiving, leg(0, method=method, original=receipt), costs=[cost(-30)]))
    assert rows_of(movements)[3:] == [f"0 -23.00 15 15.00 {COSTS} -30.00 stock_adjustment 7.00"]


def test_costs_that_cancel_each_other_out_are_not_booked() -> None:
    receiving = Receiving()
    movements = two_layers(receiving)
    movements.append(landed(receiving, leg(0, original=entry_of(movements[0])), costs=[cost(3), cost(-3)]))
    assert rows_of(movements)[2:] == ["0 0.00 15 35.00"]


def test_what_came_by_transfer_after_the_receipt_stays_as_it_is() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 8, warehouse="south")), receiving.movement(leg(3, 6))]
    movements.append(receiving.movement(*transfer(2, "south", "north"), purpose="material_transfer"))
    movements.append(landed(receiving, leg(0, original=entry_of(movements[1])), costs=[cost(3)]))
    assert shown_layers(stock_after(movements)) == ["3 9 @3", "2 8 @4"]


def test_the_last_known_rate_follows_a_revaluation() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 4))]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[0])), costs=[cost(2)]))
    movements.append(receiving.movement(leg(2)))
    assert rows_of(movements)[2:] == ["2 6.00 4 12.00"]


def test_a_landed_cost_where_nothing_is_goes_to_stock_adjustment() -> None:
    # Receiving lets no landed cost reach goods that have moved on; the ledger has an outcome all the same.
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 4)), receiving.movement(leg(-2))]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[0])), costs=[cost(2)]))
    assert rows_of(movements)[2:] == [f"0 0.00 0 0.00 {COSTS} 2.00 stock_adjustment -2.00"]


def test_a_landed_cost_on_goods_that_moved_on_makes_one_layer_of_what_is_there() -> None:
    receiving = Receiving()
    movements = [*two_layers(receiving), receiving.movement(leg(-7))]
    movements.append(landed(receiving, leg(0, original=entry_of(movements[0])), costs=[cost(3)]))
    stock = stock_after(movements)
    assert shown_layers(stock) == ["8 24 @3"]
    assert stock.worth == sum(each.worth for each in stock.layers)
