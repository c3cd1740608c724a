"""What was issued beyond stock: remembered piece by piece, and trued up by what covers it.

An entry that trues up has no quantity; its whole value goes to the account that bore the issue.
"""

from decimal import Decimal

import msgspec
import pytest

from services.ledger.decide.posting import post
from services.ledger.decide.valuation import Stock
from shared.contracts.movement import AccountAmount, MovementAllocated
from shared.identity import derived_id
from shared.purposes import Method, Role
from shared.quantities import Money
from tests.builders import COMPANY, Receiving, empty_ledger, entry_of, leg, posted, transfer
from tests.ledger_builders import check, shown_layers, shown_shortages, stock_after

METHODS = list(Method)
TEA = (COMPANY, "tea", "north")


def short_by_three(receiving: Receiving, method: Method = Method.FIFO) -> list[MovementAllocated]:
    """5 at 2.00, of which 8 are issued."""
    return [
        receiving.movement(leg(5, 10, method=method)),
        receiving.movement(leg(-8, method=method), purpose="material_issue"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_dearer_receipt_trues_up_what_was_issued_and_comes_in_with_all_its_amount(method: Method) -> None:
    receiving = Receiving()
    movements = short_by_three(receiving, method)
    movements.append(receiving.movement(leg(10, 30, method=method), purpose="purchase_receipt"))
    check(
        movements,
        """
         5   10.00    5   10.00
        -8  -16.00   -3   -6.00
         0   -3.00   -3   -9.00   stock_adjustment -3.00    # 3 pieces at 3.00, not at 2.00
        10   30.00    7   21.00
        """,
    )


def test_a_cheaper_receipt_gives_back_what_was_issued_too_dear() -> None:
    receiving = Receiving()
    movements = short_by_three(receiving)
    movements.append(receiving.movement(leg(4, "5.00")))
    check(
        movements,
        """
         5   10.00    5   10.00
        -8  -16.00   -3   -6.00
         0    2.25   -3   -3.75   stock_adjustment 2.25     # 3 pieces at 1.25, not at 2.00
         4    5.00    1    1.25
        """,
    )


def test_what_remains_of_the_receipt_is_one_layer_at_its_rate() -> None:
    receiving = Receiving()
    movements = [*short_by_three(receiving), receiving.movement(leg(10, 30))]
    assert shown_layers(stock_after(movements)) == ["7 21 @3"]
    assert not stock_after(movements).shortages


def test_a_receipt_at_the_rate_of_the_issue_needs_no_true_up() -> None:
    receiving = Receiving()
    movements = [*short_by_three(receiving), receiving.movement(leg(4, 8))]
    check(
        movements,
        """
         5   10.00    5   10.00
        -8  -16.00   -3   -6.00
         4    8.00    1    2.00
        """,
    )


def test_a_true_up_of_less_than_half_a_cent_makes_no_entry_but_changes_the_worth() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-1, standard_rate="0.333")), receiving.movement(leg(3, 1))]
    check(
        movements,
        """
        -1  -0.33   -1   -0.33
         3   1.00    2    0.67
        """,
    )
    stock = stock_after(movements)
    assert stock.worth == Decimal("0.666666667")
    assert shown_layers(stock) == ["2 0.666666667 @0.333333334"]


def test_a_receipt_of_less_than_what_lacks_covers_the_oldest_part() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(-2, standard_rate=3), purpose="delivery"),
        receiving.movement(leg(-4, standard_rate=5), purpose="material_issue"),
        receiving.movement(leg(3, 18), purpose="purchase_receipt"),
    ]
    check(
        movements,
        """
        -2   -6.00   -2   -6.00
        -4  -20.00   -6  -26.00
         0   -6.00   -6  -32.00   cost_of_goods_sold -6.00    # 2 at 6.00, not at 3.00
         0   -1.00   -6  -33.00   stock_adjustment -1.00      # 1 at 6.00, not at 5.00
         3   18.00   -3  -15.00
        """,
    )
    stock = stock_after(movements)
    assert shown_shortages(stock) == ["3 15 stock_adjustment"]
    assert stock.shortages[0].entry == entry_of(movements[1])


def test_pieces_of_one_account_are_trued_up_together_whatever_lies_between_them() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(-1, standard_rate=2), purpose="delivery"),
        receiving.movement(leg(-1, standard_rate=2), purpose="scrap"),
        receiving.movement(leg(-1, standard_rate=4), purpose="sale"),
        receiving.movement(leg(5, 25)),
    ]
    told = posted(movements)
    assert [(str(each.value), each.booked[0].account) for each in told[3].entries[:2]] == [
        ("-4.00", "cost_of_goods_sold"),  # 5 - 2 and 5 - 4
        ("-3.00", "write_off"),
    ]
    assert str(told[3].entries[-1].value_after) == "10.00"


def test_two_receipts_cover_what_one_issue_lacked() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(-3, standard_rate=1), purpose="delivery"),
        receiving.movement(leg(1, 2)),
        receiving.movement(leg(2, 7)),
    ]
    check(
        movements,
        """
        -3  -3.00   -3   -3.00
         0  -1.00   -3   -4.00   cost_of_goods_sold -1.00
         1   2.00   -2   -2.00
         0  -5.00   -2   -7.00   cost_of_goods_sold -5.00
         2   7.00    0    0.00
        """,
    )


def test_what_covers_exactly_leaves_nothing_whatever_the_rates_round_to() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-1, standard_rate="3.333333333"), purpose="delivery") for _ in range(3)]
    movements.append(receiving.movement(leg(3, 10)))
    stock = stock_after(movements)
    assert not any((stock.quantity, stock.worth, stock.value))
    assert (list(stock.layers), list(stock.shortages)) == ([], [])


def test_goods_worth_nothing_cover_as_well() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-3), purpose="delivery"), receiving.movement(leg(3, 10))]
    check(
        movements,
        """
        -3    0.00   -3     0.00
         0  -10.00   -3   -10.00   cost_of_goods_sold -10.00
         3   10.00    0     0.00
        """,
    )


def test_a_transfer_covers_what_was_issued_where_it_arrives() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(4, 12, warehouse="north")),
        receiving.movement(leg(-1, warehouse="south", standard_rate=2), purpose="delivery"),
        receiving.movement(*transfer(3, "north", "south"), purpose="material_transfer"),
    ]
    check(
        movements,
        """
         4   12.00    4   12.00
        -1   -2.00   -1   -2.00
        -3   -9.00    1    3.00
         0   -1.00   -1   -3.00   cost_of_goods_sold -1.00
         3    9.00    2    6.00
        """,
    )
    true_up, arrived = posted(movements)[2].entries[1:]
    assert (true_up.arrives_from, arrived.arrives_from) == (None, 0)


def test_an_entry_counts_the_places_of_entries_and_not_of_legs() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(4, 12, warehouse="north"), leg(4, 12, warehouse="west")),
        receiving.movement(leg(-1, warehouse="south", standard_rate=2), purpose="delivery"),
        receiving.movement(
            leg(-1, warehouse="north"),
            leg(-2, warehouse="west", line=2),
            leg(1, warehouse="south", arrives_from=0),
            leg(2, warehouse="south", arrives_from=1, line=2),
            purpose="material_transfer",
        ),
    ]
    applied = posted(movements)[2]
    assert [each.arrives_from for each in applied.entries] == [None, None, None, 0, 1]
    assert [each.line for each in applied.entries] == [1, 2, 1, 1, 2]


def test_a_transfer_beyond_stock_is_borne_by_stock_adjustment_and_a_purchase_return_by_cost_of_goods_sold() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(2, 4), purpose="purchase_receipt"),
        receiving.movement(*transfer(3, "north", "south"), purpose="material_transfer"),
        receiving.movement(leg(-1), purpose="purchase_return"),
    ]
    assert shown_shortages(stock_after(movements)) == ["1 2 stock_adjustment", "1 2 cost_of_goods_sold"]


def test_the_difference_account_of_an_issue_bears_its_truing_up() -> None:
    receiving = Receiving()
    issue = receiving.movement(leg(-1, standard_rate=2), purpose="material_issue")
    issue = msgspec.structs.replace(issue, accounts={**issue.accounts, Role.STOCK_ADJUSTMENT: "samples"})
    told = posted([issue, receiving.movement(leg(1, 5))])
    assert told[1].entries[0].booked == [AccountAmount(account="samples", amount=Money("-3.00"))]


def test_true_ups_of_a_leg_are_numbered_behind_its_place() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(-1, standard_rate=2), purpose="delivery"),
        receiving.movement(leg(-1, standard_rate=5), purpose="scrap"),
        receiving.movement(leg(-1, standard_rate=2), purpose="material_issue"),
        receiving.movement(leg(1, 1, item="salt"), leg(3, 15, line=2)),
    ]
    covering = movements[3]
    name = (covering.recorded_at, covering.source, covering.id)
    # The scrap was worth what it turned out to be: it makes no entry, and keeps its number.
    expected = [derived_id(*name, place) for place in ("0", "1.0", "1.2", "1")]
    assert [each.entry for each in posted(movements)[3].entries] == expected


def test_a_true_up_tells_nothing_of_the_goods_that_arrive() -> None:
    receiving = Receiving()
    sold = receiving.movement(leg(-2, standard_rate=3), purpose="delivery")
    back = receiving.movement(leg(1, original=entry_of(sold)), purpose="sales_return")
    received = receiving.movement(leg(1, 4))
    told = posted([sold, back, received])
    assert [each.original for each in told[1].entries] == [entry_of(sold)]
    true_up = told[2].entries[0]
    assert not any((true_up.quantity, true_up.original, true_up.serials))


def test_what_nobody_remembers_is_borne_by_stock_adjustment() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(-1, standard_rate=9), purpose="delivery"), receiving.movement(leg(3, 12))]
    state = empty_ledger(movements)
    state.bins[TEA] = Stock(Decimal(-1), Decimal(-3), Decimal(-3), Decimal(3))
    entries = [entry.posted for each in post(movements, state).applied for entry in each.entries]
    told = [(str(each.value), [(part.account, str(part.amount)) for part in each.booked]) for each in entries]
    assert told == [
        ("-3.00", []),
        ("-1.00", [("stock_adjustment", "-1.00")]),
        ("-1.00", [("cost_of_goods_sold", "-1.00")]),
        ("12.00", []),
    ]
    assert entries[-1].value_after == 4


def test_no_part_of_what_arrives_is_worth_less_than_nothing_however_small_the_pieces() -> None:
    receiving = Receiving()
    smallest = Decimal("0.000001")
    movements = [receiving.movement(leg(-smallest, standard_rate=1), purpose="delivery") for _ in range(7)]
    movements.append(receiving.movement(leg(smallest * 8, "0.01")))
    stock = stock_after(movements)
    assert stock.quantity == smallest
    assert stock.worth >= 0
    assert sum(each.worth for each in stock.layers) == stock.worth


def test_pieces_whose_parts_are_all_rounded_up_leave_nothing_and_not_less() -> None:
    # A piece of 3 is worth 0.0000000015, which rounds up; five of such leave less than nothing for the last one.
    receiving = Receiving()
    pieces = (3, 3, 3, 3, 19_999_987)
    movements = [receiving.movement(leg(-piece), purpose="delivery") for piece in pieces]
    movements.append(receiving.movement(leg(20_000_000, "0.01")))
    stock = stock_after(movements)
    assert stock.quantity == 1
    assert stock.worth == 0
