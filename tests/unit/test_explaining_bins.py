"""What the entries of one bin took, method by method, as tables that an accountant can check.

A row is an entry: its name, what its movement does, how much it changed quantity and worth, and maybe the entry that it
revalues or sends back (`of`), or a rate (`at`). What an entry took, or covered, is told in one line a part.
"""

from decimal import Decimal

import pytest

from services.ledger.decide.explaining.bins import Step, retrace
from services.ledger.decide.explaining.parts import Kind, Part, total_of
from shared.purposes import Flow, Method, Tracking
from shared.quantities import plain, to_places

FIFO, LIFO, AVERAGE = Method.FIFO, Method.LIFO, Method.MOVING_AVERAGE
BATCH = Tracking.BATCH


def steps(table: str) -> list[Step]:
    return [_step(*row.split()) for row in table.strip().splitlines()]


def _step(name: str, flow: str, quantity: str, worth: str, *more: str) -> Step:
    options = dict(zip(more[::2], more[1::2], strict=True))
    rate = Decimal(options["at"]) if "at" in options else None
    return Step(name, Flow(flow), Decimal(quantity), Decimal(worth), options.get("of"), rate)


def told(method: str, table: str, asked: str) -> list[str]:
    """What an entry took: quantity, entry and worth of each part, with what was added to it."""
    return [_line(each) for each in retrace(steps(table), method, {asked})[asked]]


def _line(part: Part) -> str:
    kind = "" if part.kind is Kind.ARRIVED else f"{part.kind.value} "
    added = "".join(f" + {_line(each)}" for each in part.added)
    return f"{kind}{_number(part.quantity)} {part.entry} {_number(part.worth)}{added}"


def _number(value: Decimal) -> str:
    return plain(to_places(value, 9))


TWO_RECEIPTS = """
R1 in   10  100
R2 in   10  140
"""


@pytest.mark.parametrize(
    ("method", "worth", "parts"),
    [
        (FIFO, "-142", ["10 R1 100", "3 R2 42"]),
        (LIFO, "-170", ["10 R2 140", "3 R1 30"]),
        (AVERAGE, "-156", ["6.5 R1 65", "6.5 R2 91"]),
        (BATCH, "-156", ["6.5 R1 65", "6.5 R2 91"]),
    ],
)
def test_an_issue_takes_by_the_method_of_its_item(method: str, worth: str, parts: list[str]) -> None:
    assert told(method, f"{TWO_RECEIPTS}D1 out -13 {worth}", "D1") == parts


def test_layers_of_one_rate_stay_apart_and_the_oldest_is_told_first() -> None:
    table = """
    R1 in   5  10
    R2 in   5  10
    D1 out -7 -14
    D2 out -3  -6
    """
    assert told(FIFO, table, "D1") == ["5 R1 10", "2 R2 4"]
    assert told(FIFO, table, "D2") == ["3 R2 6"]


def test_every_arrival_keeps_its_share_of_an_average_while_goods_leave() -> None:
    table = """
    R1 in   10  100
    R2 in   30  500
    D1 out -20 -300
    R3 in   20  100
    D2 out -20 -200
    """
    assert told(AVERAGE, table, "D2") == ["2.5 R1 25", "7.5 R2 125", "10 R3 50"]


def test_what_leaves_last_takes_the_rest_of_everything() -> None:
    table = f"{TWO_RECEIPTS}D1 out -19 -228\nD2 out -1 -12"
    assert told(AVERAGE, table, "D2") == ["0.5 R1 5", "0.5 R2 7"]


def test_nothing_of_what_was_there_before_is_left_after_all_has_gone() -> None:
    table = f"{TWO_RECEIPTS}D1 out -20 -240\nR3 in 4 8\nD2 out -1 -2"
    assert [told(method, table, "D2") for method in (FIFO, LIFO, AVERAGE)] == [["1 R3 2"]] * 3


def test_a_count_becomes_the_source_of_all_that_stands_there() -> None:
    table = f"{TWO_RECEIPTS}C1 count -4 -48\nD1 out -8 -96"
    for method in (FIFO, LIFO, AVERAGE):
        assert told(method, table, "D1") == ["counted 8 C1 96"]
        assert told(method, table, "C1") == ["10 R1 100", "10 R2 140"]


def test_a_count_below_zero_forgets_what_was_issued_beyond_stock() -> None:
    table = """
    D1 out   -3  -6
    C1 count  8  16
    D2 out   -5 -10
    """
    assert told(FIFO, table, "C1") == ["issued_before -3 D1 -6"]
    assert told(FIFO, table, "D2") == ["counted 5 C1 10"]


def test_goods_that_were_counted_below_zero_mix_with_others_at_what_they_are_worth() -> None:
    table = """
    D1 out   -3  -6
    C1 count  8  16
    R1 in     5  30
    D2 out   -5 -20
    """
    assert told(AVERAGE, table, "D2") == ["counted 2.5 C1 5", "2.5 R1 15"]


def test_nothing_stands_there_after_a_count_of_nothing() -> None:
    table = f"{TWO_RECEIPTS}C1 count -20 -240\nR3 in 1 5\nD1 out -1 -5"
    assert told(AVERAGE, table, "D1") == ["1 R3 5"]


def test_a_landed_cost_is_told_with_the_receipt_that_it_revalues() -> None:
    table = f"{TWO_RECEIPTS}L1 land 0 20 of R1\nD1 out -5 -60"
    assert told(FIFO, table, "D1") == ["5 R1 50 + corrected 0 L1 10"]
    average = f"{TWO_RECEIPTS}L1 land 0 20 of R1\nD1 out -5 -65"
    assert told(AVERAGE, average, "D1") == ["2.5 R1 25 + corrected 0 L1 5", "2.5 R2 35"]


def test_what_is_left_of_a_receipt_keeps_its_share_of_a_landed_cost() -> None:
    table = f"{TWO_RECEIPTS}L1 land 0 20 of R1\nD1 out -5 -60\nD2 out -5 -60"
    assert told(FIFO, table, "D2") == ["5 R1 50 + corrected 0 L1 10"]


def test_a_write_down_lowers_the_layers_that_are_worth_more_and_an_average_as_a_whole() -> None:
    table = f"{TWO_RECEIPTS}W1 write_down 0 -20 at 12"
    assert told(FIFO, f"{table}\nD1 out -15 -160", "D1") == ["10 R1 100", "5 R2 70 + written_down 0 W1 -10"]
    table = f"{TWO_RECEIPTS}W1 write_down 0 -40 at 10"
    assert told(AVERAGE, f"{table}\nD1 out -5 -50", "D1") == ["2.5 R1 25", "2.5 R2 35", "written_down 0 W1 -10"]


def test_two_write_downs_of_a_layer_are_told_apart() -> None:
    table = """
    R1 in          10 100
    W1 write_down   0 -20 at 8
    W2 write_down   0 -30 at 5
    D1 out         -5 -25
    """
    assert told(LIFO, table, "D1") == ["5 R1 50 + written_down 0 W1 -10 + written_down 0 W2 -15"]


BEYOND = """
R1 in   5  10
D1 out -8 -16
R2 in  10  30
"""


@pytest.mark.parametrize("method", [FIFO, LIFO, AVERAGE])
def test_what_is_issued_beyond_stock_is_told_apart_and_trued_up_by_what_covers_it(method: str) -> None:
    assert told(method, BEYOND, "D1") == ["5 R1 10", "beyond_stock 3 D1 6"]
    assert told(method, BEYOND, "R2") == ["issued_before 3 D1 6", "covered -3 None -9"]


@pytest.mark.parametrize("method", [FIFO, LIFO, AVERAGE])
def test_what_covered_a_shortage_does_not_stand_in_the_bin(method: str) -> None:
    assert told(method, f"{BEYOND}D2 out -7 -21", "D2") == ["7 R2 21"]


def test_a_shortage_that_is_covered_in_part_remains_in_part() -> None:
    table = """
    D1 out -10 -20
    R1 in    4  12
    D2 out  -2  -4
    R2 in    9  27
    """
    assert told(FIFO, table, "R1") == ["issued_before 4 D1 8", "covered -4 None -12"]
    expected = ["issued_before 6 D1 12", "covered -6 None -18", "issued_before 2 D2 4", "covered -2 None -6"]
    assert told(FIFO, table, "R2") == expected


def test_what_arrives_where_nothing_is_lacking_covers_nothing() -> None:
    assert told(FIFO, TWO_RECEIPTS, "R2") == []


def test_fifo_sends_back_from_the_layers_at_the_rate_of_the_receipt_then_from_the_oldest() -> None:
    table = f"{TWO_RECEIPTS}R3 in 10 100\nB1 send_back -12 -160 of R2 at 14\nD1 out -2 -20"
    assert told(FIFO, table, "B1") == ["10 R2 140", "2 R1 20"]
    assert told(FIFO, table, "D1") == ["2 R1 20"]


def test_lifo_sends_back_the_newest_whatever_its_rate() -> None:
    assert told(LIFO, f"{TWO_RECEIPTS}B1 send_back -2 -28 of R1 at 10", "B1") == ["2 R2 28"]


def test_an_average_sends_back_the_share_of_the_receipt_and_then_of_all() -> None:
    table = f"{TWO_RECEIPTS}B1 send_back -4 -56 of R2 at 14\nD1 out -16 -184"
    assert told(AVERAGE, table, "B1") == ["4 R2 56"]
    assert told(AVERAGE, table, "D1") == ["10 R1 100", "6 R2 84"]
    mixed = f"{TWO_RECEIPTS}D0 out -10 -120\nB1 send_back -6 -84 of R2 at 14\nD1 out -4 -36"
    assert told(AVERAGE, mixed, "B1") == ["1 R1 14", "5 R2 70"]
    assert told(AVERAGE, mixed, "D1") == ["4 R1 36"]
    again = mixed.replace("D1 out -4 -36", "B2 send_back -2 -28 of R2 at 14\nD1 out -2 -8")
    assert told(AVERAGE, again, "B2") == ["2 R1 28"]
    assert told(AVERAGE, again, "D1") == ["2 R1 8"]


def test_no_more_worth_is_sent_back_than_stands_there() -> None:
    table = f"{TWO_RECEIPTS}W1 write_down 0 -200 at 2\nB1 send_back -5 -40 of R2 at 14\nR3 in 15 30\nD1 out -15 -15"
    assert told(AVERAGE, table, "B1") == ["5 R2 40"]
    assert told(AVERAGE, table, "D1") == ["5 R1 50", "2.5 R2 50", "written_down 0 W1 -100", "7.5 R3 15"]


def test_what_was_sent_back_took_its_landed_cost_along() -> None:
    table = f"{TWO_RECEIPTS}L1 land 0 20 of R2\nB1 send_back -5 -80 of R2 at 16\nD1 out -15 -180"
    assert told(BATCH, table, "B1") == ["5 R2 70 + corrected 0 L1 10"]
    assert told(BATCH, table, "D1") == ["10 R1 100", "5 R2 70 + corrected 0 L1 10"]


def test_goods_that_lost_all_their_worth_are_still_there() -> None:
    table = f"{TWO_RECEIPTS}B1 send_back -4 -240 of R2 at 60\nR3 in 4 8\nD1 out -10 -4"
    assert told(AVERAGE, table, "D1") == ["5 R1 0", "3 R2 0", "2 R3 4"]


def test_goods_that_cost_nothing_are_told_by_their_quantity() -> None:
    table = """
    R1 in   2 0
    R2 in   2 0
    D1 out -2 0
    """
    assert told(AVERAGE, table, "D1") == ["1 R1 0", "1 R2 0"]
    assert told(FIFO, table, "D1") == ["2 R1 0"]


def test_parts_add_up_to_what_was_recorded_where_a_change_of_worth_left_no_entry() -> None:
    table = """
    R1 in    3  10
    R2 in    3  10
    D1 out  -4 -13.329999
    """
    assert total_of(retrace(steps(table), FIFO, {"D1"})["D1"]) == Decimal("13.329999")


def test_shares_stay_exact_over_tens_of_thousands_of_issues() -> None:
    first, second = Step("R1", Flow.IN, Decimal(1), Decimal(3)), Step("R2", Flow.IN, Decimal(1), Decimal(5))
    history = [first, second]
    for place in range(20_000):
        history.append(Step(f"D{place}", Flow.OUT, Decimal(-1), Decimal(-4)))
        history.append(Step(f"S{place}", Flow.IN, Decimal(1), Decimal(4)))
    history.append(Step("last", Flow.OUT, Decimal(-2), Decimal(-8)))
    parts = retrace(history, AVERAGE, {"last"})["last"]
    assert sum(each.quantity for each in parts) == pytest.approx(2, abs=Decimal("1e-9"))
    assert total_of(parts) == pytest.approx(8, abs=Decimal("1e-20"))
    assert [each.entry for each in parts[-2:]] == ["S19998", "S19999"]
    assert [_number(each.quantity) for each in parts[-2:]] == ["0.5", "1"]
