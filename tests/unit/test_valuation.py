"""What stock is worth, method by method, as tables that an accountant can check.

A row is a quantity in, with its amount, or a quantity out; then the value of its entry and what the bin holds after it.
"""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from services.ledger.decide.posting import post
from services.ledger.decide.valuation import Layer
from shared.contracts.movement import Leg, MovementAllocated
from shared.contracts.stock import PostedEntry
from shared.purposes import Method
from tests.builders import COMPANY, Receiving, empty_ledger, leg, posted, transfer

FIFO, LIFO, AVERAGE = Method.FIFO, Method.LIFO, Method.MOVING_AVERAGE
METHODS = [FIFO, LIFO, AVERAGE]


@dataclass(frozen=True)
class Row:
    """One movement of a table, and what is expected of its entry."""

    quantity: str
    amount: str | None
    value: str
    quantity_after: str
    value_after: str


def table(text: str) -> list[Row]:
    """Rows of a table: quantity, amount (-: none), value, then quantity and value of the bin."""
    cells = [line.split() for line in text.strip().splitlines()]
    return [Row(row[0], None if row[1] == "-" else row[1], *row[2:]) for row in cells]


def played(*legs: Leg) -> list[PostedEntry]:
    """The entries of movements of one leg each."""
    receiving = Receiving()
    return [entry for each in posted([receiving.movement(one) for one in legs]) for entry in each.entries]


def check(rows: list[Row], method: Method = FIFO, batch: str | None = None) -> None:
    entries = played(*(leg(row.quantity, row.amount, method=method, batch=batch) for row in rows))
    told = [(each.quantity, each.value, each.quantity_after, each.value_after) for each in entries]
    expected = [(row.quantity, row.value, row.quantity_after, row.value_after) for row in rows]
    assert told == [tuple(map(Decimal, row)) for row in expected]


def values(movements: list[MovementAllocated]) -> list[list[str]]:
    return [[str(entry.value) for entry in each.entries] for each in posted(movements)]


def layers_after(*legs: Leg) -> list[Layer]:
    receiving = Receiving()
    movements = [receiving.movement(one) for one in legs]
    return list(post(movements, empty_ledger(movements)).state.bins[COMPANY, "tea", "north"].layers)


def layer(quantity: str, worth: str, rate: str) -> Layer:
    return Layer(Decimal(quantity), Decimal(worth), Decimal(rate))


def test_fifo_issue_takes_the_oldest_layer_first() -> None:
    check(
        table("""
         10  100.00   100.00   10  100.00
         10  140.00   140.00   20  240.00
        -13  -       -142.00    7   98.00
         -4  -        -56.00    3   42.00
         -3  -        -42.00    0    0.00
        """)
    )


def test_lifo_issue_takes_the_newest_layer_first() -> None:
    check(
        table("""
         10  100.00   100.00   10  100.00
         10  140.00   140.00   20  240.00
        -13  -       -170.00    7   70.00
          1   15.00    15.00    8   85.00
         -2  -        -25.00    6   60.00
        """),
        LIFO,
    )


def test_moving_average_issue_takes_its_share_of_all_that_is_there() -> None:
    check(
        table("""
         10  100.00   100.00   10  100.00
         10  140.00   140.00   20  240.00
        -13  -       -156.00    7   84.00
          1   20.00    20.00    8  104.00
         -2  -        -26.00    6   78.00
        """),
        AVERAGE,
    )


@pytest.mark.parametrize("method", METHODS)
def test_thirds_leave_nothing_behind(method: Method) -> None:
    check(
        table("""
          3  100.00   100.00    3  100.00
         -1  -        -33.33    2   66.67
         -1  -        -33.34    1   33.33
         -1  -        -33.33    0    0.00
        """),
        method,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_screws_at_less_than_a_cent_issued_one_by_one_leave_nothing_behind(method: Method) -> None:
    entries = played(leg(100, "0.40", method=method), *(leg(-1, method=method) for _ in range(100)))
    assert entries[-1].value_after == 0
    assert sum(each.value for each in entries[1:]) == Decimal("-0.40")
    assert {str(each.value) for each in entries[1:]} == {"0.00", "-0.01"}


def test_value_follows_worth_half_to_even() -> None:
    check(
        table("""
          8    0.25    0.25    8    0.25
         -4  -        -0.13    4    0.12
         -2  -        -0.06    2    0.06
         -1  -        -0.03    1    0.03
        """)
    )


def test_a_receipt_at_the_newest_layers_rate_joins_it() -> None:
    assert layers_after(leg(3, 6), leg(4, 8), leg(1, 3)) == [layer("7", "14", "2"), layer("1", "3", "3")]


def test_a_receipt_at_an_older_layers_rate_is_a_layer_of_its_own() -> None:
    assert len(layers_after(leg(3, 6), leg(1, 3), leg(4, 8))) == 3


def test_a_part_of_a_layer_takes_its_share_and_leaves_the_rest_in_place() -> None:
    assert layers_after(leg(3, 10), leg(1, 5), leg(-1)) == [
        layer("2", "6.666666667", "3.333333333"),
        layer("1", "5", "5"),
    ]


def test_a_batch_is_valued_by_its_own_average() -> None:
    entries = played(leg(6, 12, batch="B1"), leg(3, "7.80", batch="B1"), leg(5, 50, batch="B2"), leg(-1, batch="B1"))
    assert str(entries[-1].value) == "-2.20"
    assert entries[-1].value_after == Decimal("67.60")
    assert entries[-1].quantity_after == 13


def test_a_batch_has_an_average_in_each_warehouse() -> None:
    entries = played(
        leg(2, 4, batch="B1"), leg(2, 8, batch="B1", warehouse="south"), leg(-1, batch="B1", warehouse="south")
    )
    assert str(entries[-1].value) == "-4.00"


def test_the_value_of_a_bin_is_the_sum_of_its_batches_values() -> None:
    # Each batch is worth 0.125 after its issue, and rounds to 0.12; their sum would round to 0.25.
    entries = played(
        *(leg(2, "0.25", batch=batch) for batch in ("B1", "B2")), *(leg(-1, batch=batch) for batch in ("B1", "B2"))
    )
    assert [str(each.value) for each in entries[2:]] == ["-0.13", "-0.13"]
    assert str(entries[-1].value_after) == "0.24"


def test_the_worth_of_a_bin_is_the_sum_of_its_batches_worths() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, "0.25", batch=batch)) for batch in ("B1", "B2")]
    movements.append(receiving.movement(leg(-1, batch="B1")))
    assert post(movements, empty_ledger(movements)).state.bins[COMPANY, "tea", "north"].worth == Decimal("0.375")


def test_a_serial_leaves_at_its_own_cost() -> None:
    entries = played(leg(1, 100, serials=["A"]), leg(1, 160, serials=["B"]), leg(-1, serials=["B"]))
    assert str(entries[-1].value) == "-160.00"
    assert str(entries[-1].value_after) == "100.00"


def test_the_last_serial_out_of_a_bin_takes_the_remainder() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10, serials=["A", "B", "C"]))]
    movements += [receiving.movement(leg(-1, serials=[serial])) for serial in "ABC"]
    applied = post(movements, empty_ledger(movements)).applied
    assert [str(each.entries[0].posted.value) for each in applied] == ["10.00", "-3.33", "-3.34", "-3.33"]
    costs = [dict(each.entries[0].costs) for each in applied[1:]]
    assert costs == [
        {"A": Decimal("3.333333333")},
        {"B": Decimal("3.333333333")},
        {"C": Decimal("3.333333334")},
    ]


def test_serials_never_take_more_than_the_bin_is_worth() -> None:
    # Each was moved at 0.004, which is a value of nothing.
    receiving = Receiving()
    movements = [
        receiving.movement(leg(5, "0.02", warehouse=place, serials=[f"{place}{n}" for n in range(5)])) for place in "ab"
    ]
    movements += [receiving.movement(*transfer(1, place, "south", serials=[f"{place}0"])) for place in "ab"]
    movements += [receiving.movement(leg(-1, warehouse="south", serials=[f"{place}0"])) for place in "ab"]
    applied = post(movements, empty_ledger(movements)).applied
    assert [dict(each.entries[-1].costs) for each in applied[2:4]] == [
        {"a0": Decimal("0.004")},
        {"b0": Decimal("0.004")},
    ]
    assert [dict(each.entries[0].costs) for each in applied[4:]] == [{"a0": 0}, {"b0": 0}]
    assert all(entry.posted.value_after >= 0 for each in applied for entry in each.entries)


def test_a_transfer_of_several_layers_arrives_as_one() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(10, 20)), receiving.movement(leg(5, 15))]
    movements += [receiving.movement(*transfer(15, "north", "south"))]
    posting = post(movements, empty_ledger(movements))
    assert [str(each.value) for each in posting.applied[-1].posted.entries] == ["-35.00", "35.00"]
    arrived = posting.state.bins[COMPANY, "tea", "south"].layers
    assert list(arrived) == [layer("15", "35.00", "2.333333333")]


@pytest.mark.parametrize("method", METHODS)
def test_a_transfer_carries_the_rounded_value_not_the_exact_worth(method: Method) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10, method=method))]
    movements += [receiving.movement(*transfer(1, "north", "south", method=method)) for _ in range(3)]
    assert values(movements)[1:] == [["-3.33", "3.33"], ["-3.34", "3.34"], ["-3.33", "3.33"]]


def test_serials_keep_their_own_costs_through_a_transfer() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(1, 100, serials=["A"]), leg(1, 160, serials=["B"], line=2)),
        receiving.movement(*transfer(2, "north", "south", serials=["A", "B"])),
        receiving.movement(leg(-1, warehouse="south", serials=["B"])),
        receiving.movement(leg(-1, warehouse="south", serials=["A"])),
    ]
    assert values(movements)[1:] == [["-260.00", "260.00"], ["-160.00"], ["-100.00"]]


def test_a_batch_arrives_in_its_own_batch() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(2, 4, batch="B1"), leg(2, 8, batch="B2", line=2)),
        receiving.movement(*transfer(1, "north", "south", batch="B1")),
        receiving.movement(*transfer(1, "north", "south", batch="B2")),
        receiving.movement(leg(-1, warehouse="south", batch="B2")),
    ]
    assert values(movements)[1:] == [["-2.00", "2.00"], ["-4.00", "4.00"], ["-4.00"]]


def test_what_comes_without_a_rate_takes_the_last_one_known_in_the_bin() -> None:
    entries = played(leg(2, 5), leg(-2), leg(3, standard_rate=9))
    assert str(entries[-1].value) == "7.50"


def test_the_last_known_rate_follows_every_entry_that_leaves_stock() -> None:
    entries = played(leg(1, 2), leg(1, 6), leg(-1), leg(1))
    assert str(entries[-1].value) == "6.00"


def test_what_comes_without_any_known_rate_takes_the_standard_rate_else_nothing() -> None:
    entries = played(leg(3, standard_rate="1.335"), leg(3, item="salt"), leg(2, 0, item="air"))
    assert [str(each.value) for each in entries] == ["4.00", "0.00", "0.00"]


def test_a_known_rate_of_zero_is_no_rate() -> None:
    entries = played(leg(1, 0), leg(1, standard_rate=4))
    assert str(entries[-1].value) == "4.00"


@pytest.mark.parametrize("method", METHODS)
def test_an_issue_beyond_stock_takes_what_is_there_and_the_rest_at_the_last_rate(method: Method) -> None:
    check(
        table("""
          2   10.00    10.00    2   10.00
         -5  -        -25.00   -3  -15.00
         -1  -         -5.00   -4  -20.00
        """),
        method,
    )


def test_an_issue_from_nothing_takes_the_standard_rate_else_nothing() -> None:
    entries = played(leg(-2, standard_rate=3), leg(-2, item="salt"))
    assert [str(each.value) for each in entries] == ["-6.00", "0.00"]


def test_unknown_serials_beyond_stock_leave_at_the_last_rate() -> None:
    entries = played(leg(1, 7, serials=["A"]), leg(-2, serials=["A", "X"]))
    assert (str(entries[-1].value), str(entries[-1].value_after)) == ("-14.00", "-7.00")


def test_serials_that_leave_beyond_stock_have_their_own_cost_else_the_last_rate() -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 7, serials=["A"])), receiving.movement(leg(1, 9, serials=["B"]))]
    movements.append(receiving.movement(leg(-3, serials=["A", "B", "X"])))
    posting = post(movements, empty_ledger(movements))
    assert dict(posting.applied[-1].entries[0].costs) == {"A": 7, "B": 9, "X": 8}
    assert posting.state.bins[COMPANY, "tea", "north"].costs == {"A": None, "B": None, "X": None}


def test_a_receipt_without_a_rate_takes_the_last_one_that_stock_was_worth_something_at() -> None:
    check(
        table("""
         100     0.40    0.40     100    0.40
         -99     -      -0.40       1    0.00
        100000   -     400.00  100001  400.00
        """)
    )


def test_goods_too_cheap_to_have_a_value_bring_their_rate_along() -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg("100", "0.40")),
        receiving.movement(*transfer("1", "north", "south")),
        receiving.movement(leg("1000", None, warehouse="south")),
    ]
    assert values(movements)[1:] == [["0.00", "0.00"], ["4.00"]]
