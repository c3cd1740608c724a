"""Counts: what was found stands there from then on; what differs follows from that."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.receiving.decide.stock import Batch
from shared.contracts.movement import RequestedLine
from shared.purposes import BatchState, Role
from shared.quantities import Money, plain
from tests.builders import MORNING, SOURCE
from tests.counting_builders import CREAM, counts, stocked, told
from tests.receiving_builders import Shop, comes, facts, goes, item, line, reasons

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


# --- untracked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counted", "fields", "leg"),
    [
        ("8", {}, ("-2", "8", None)),
        ("12.5", {}, ("2.5", "12.5", None)),
        ("10", {}, ("0", "10", None)),
        ("0", {}, ("-10", "0", None)),
        ("8", {"rate": "2.75"}, ("-2", "8", Money("22.00"))),
        ("10", {"rate": "3"}, ("0", "10", Money("30.00"))),
        ("8", {"rate": "0"}, ("-2", "8", None)),
        ("8", {"rate": "0", "allow_zero_rate": True}, ("-2", "8", Money("0.00"))),
        ("2", {"unit": "box", "rate": "30"}, ("14", "24", Money("60.00"))),
    ],
)
def test_a_count_tells_what_is_there_how_that_differs_and_what_it_is_worth_if_that_was_counted_too(
    counted: str, fields: dict[str, Any], leg: tuple[str, str, Money | None]
) -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("tea", counted, **fields))
    assert told(judged) == [(*leg, None, [])]
    assert shop.quantity("tea") == leg[1]


def test_a_count_of_what_is_not_there_needs_a_rate() -> None:
    shop = stocked()
    shop.stock.items["shop", "cup"] = item("cup", standard_rate=Decimal(3))
    assert shop.refused("reconciliation", counts("tea", 1, "south")) == [("rate_missing", 1)]
    shop.accepted("reconciliation", counts("tea", 0, "south"))
    shop.accepted("reconciliation", counts("tea", 1, "south", rate="2"), counts("cup", 1, "south"))


def test_a_count_of_an_emptied_bin_takes_the_last_rate_known_there() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 10))
    assert told(shop.ask("reconciliation", counts("tea", 3))) == [("3", "3", None, None, [])]


def test_a_count_below_zero_or_at_a_rate_below_zero_is_refused() -> None:
    assert stocked().refused("reconciliation", counts("tea", -1), counts("cream", 1, batch="B1", rate="-1")) == [
        ("quantity_negative", 1),
        ("rate_negative", 2),
    ]


def test_a_count_of_a_bin_below_zero_says_what_is_there_after_all() -> None:
    shop = stocked()
    shop.stock.telling = frozenset({SOURCE})
    shop.accepted("delivery", goes("tea", 13))
    assert told(shop.ask("reconciliation", counts("tea", 2))) == [("5", "2", None, None, [])]
    counted = shop.stock.bins["shop", "tea", "north"]
    assert (plain(counted.quantity), counted.short) == ("2", False)


def test_a_rate_counted_where_none_was_known_is_known_from_then_on() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 1, "south", rate="2"))
    shop.accepted("material_receipt", comes("tea", 1, "south", None))


def test_no_difference_is_larger_than_a_message_can_carry() -> None:
    shop = Shop(item("tea", allow_negative_stock=True, standard_rate=Decimal("0.001")))
    shop.accepted("material_issue", goes("tea", "500000000000"))
    assert shop.refused("reconciliation", counts("tea", "500000000000")) == [("quantity_too_large", 1)]
    shop.accepted("reconciliation", counts("tea", "499999999999"))


def test_nothing_is_counted_that_no_message_could_carry() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", "999999999999"))
    assert shop.refused("reconciliation", counts("tea", "90000000000", unit="box")) == [("quantity_too_large", 1)]


# --- when a count was -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counted", ["10", "9"])
def test_a_count_takes_a_stamp_in_its_bin_and_is_its_last_event_with_a_difference_or_without(counted: str) -> None:
    shop = stocked()
    at = MORNING + 10 * MINUTE
    judged = shop.accepted("reconciliation", counts("tea", counted), at=at)
    bin_ = shop.stock.bins["shop", "tea", "north"]
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [("north", 2)]
    assert (bin_.last_stamp, bin_.last_at, bin_.counted_at) == (2, at, at)


def test_a_count_of_serials_that_finds_nothing_amiss_takes_a_stamp_without_any_leg() -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("phone", serials="S1-S3"))
    assert judged.allocated.legs == []
    assert [(each.item, each.warehouse, each.stamp) for each in judged.allocated.stamps] == [("phone", "north", 2)]
    bin_ = shop.stock.bins["shop", "phone", "north"]
    assert bin_.counted_at == bin_.last_at == judged.allocated.effective_at


def test_a_movement_that_is_late_never_passes_a_count() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 9), at=MORNING + 10 * MINUTE)
    passed = shop.accepted("delivery", goes("tea", 1), at=MORNING + 9 * MINUTE)
    assert passed.allocated.effective_at == MORNING + 9 * MINUTE
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 12 * MINUTE)
    late = shop.accepted("delivery", goes("tea", 1), at=MORNING + 10 * MINUTE)
    assert late.allocated.effective_at == MORNING + 12 * MINUTE


def test_a_count_takes_effect_when_it_was_counted_and_never_later() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 10 * MINUTE)
    for minutes in (9, 10):
        judged = shop.accepted("reconciliation", counts("tea", 9), at=MORNING + minutes * MINUTE)
        assert judged.allocated.effective_at == MORNING + minutes * MINUTE


def test_a_serial_that_left_another_bin_after_the_count_was_not_there_to_be_counted() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("phone", 0, "south"), at=MORNING + MINUTE)
    left = MORNING + 4 * MINUTE
    shop.accepted("delivery", goes("phone", serials="S1"), at=left)
    judged = shop.ask("reconciliation", counts("phone", None, "south", serials="S1"), at=MORNING + 2 * MINUTE)
    assert reasons(judged) == [("serial_moved_since", 1)]
    assert facts(judged, "serial_moved_since") == {"item": "phone", "serial": "S1", "at": left.isoformat()}


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_is_counted_for_itself_and_the_others_in_the_bin_stay() -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("cream", "2.5", batch="B1", rate="3"))
    assert told(judged) == [("-1.5", "2.5", Money("7.50"), "B1", [])]
    assert shop.quantity("cream") == "6.5"
    stock = shop.stock.batch_stock
    assert [plain(stock["shop", "cream", "north", batch].quantity) for batch in ("B1", "B2")] == ["2.5", "4"]
    assert shop.stock.batch_totals["shop", "cream", "B1"] == Decimal("2.5")


def test_the_batches_of_a_bin_are_no_more_together_than_a_message_can_carry() -> None:
    shop = stocked()
    assert shop.refused("reconciliation", counts("cream", "999999999996", batch="B1")) == [("quantity_too_large", 1)]
    shop.accepted("reconciliation", counts("cream", "999999999995", batch="B1"))


def test_two_batches_of_one_bin_are_counted_by_two_lines() -> None:
    judged = stocked().accepted("reconciliation", counts("cream", 3, batch="B1"), counts("cream", 5, batch="B2"))
    assert told(judged) == [("-1", "3", None, "B1", []), ("1", "5", None, "B2", [])]


def test_a_count_of_batches_names_a_batch_that_was_in_stock_once() -> None:
    shop = stocked()
    shop.stock.batches["shop", "cream", "NEW"] = Batch()
    judged = shop.ask(
        "reconciliation",
        counts("cream", 1),
        counts("cream", 1, batch="GHOST"),
        counts("cream", 1, batch="NEW"),
        counts("cream", 0, batch="NEW", target="south"),
    )
    assert reasons(judged) == [
        ("batch_missing", 1),
        ("unknown_batch", 2),
        ("count_cannot_open", 3),
        ("count_cannot_open", 4),
    ]
    assert facts(judged, "unknown_batch") == {"item": "cream", "batch": "GHOST", "use": "opening_stock"}
    assert facts(judged, "count_cannot_open") == {"item": "cream", "batch": "NEW", "use": "opening_stock"}


def test_a_batch_that_is_found_where_it_never_stood_needs_a_rate_where_none_is_known() -> None:
    shop = stocked()
    assert shop.refused("reconciliation", counts("cream", 1, "south", batch="B1")) == [("rate_missing", 1)]
    shop.accepted("reconciliation", counts("cream", 1, "south", batch="B1", rate="1"))
    shop.accepted("reconciliation", counts("cream", 1, "south", batch="B2"))


def test_a_batch_that_was_nowhere_and_is_found_enters_anew_and_one_that_is_elsewhere_does_not() -> None:
    shop = stocked()
    entered = shop.stock.batches["shop", "cream", "B1"].entered
    shop.accepted("reconciliation", counts("cream", 1, "south", batch="B1", rate="1"))
    assert shop.stock.batches["shop", "cream", "B1"].entered == entered
    shop.accepted("reconciliation", counts("cream", 0, "south", batch="B1"), counts("cream", 0, batch="B1"))
    assert shop.stock.batches["shop", "cream", "B1"].entered == entered
    shop.accepted("reconciliation", counts("cream", 0, batch="B1"))
    assert shop.stock.batches["shop", "cream", "B1"].entered == entered
    found = shop.accepted("reconciliation", counts("cream", 0, "south", batch="B1"), counts("cream", 2, batch="B1"))
    anew = shop.stock.batches["shop", "cream", "B1"].entered
    assert anew is not None
    assert (anew.at, anew.line) == (found.allocated.effective_at, 2)


@pytest.mark.parametrize("state", list(BatchState))
def test_expired_held_and_recalled_batches_are_counted_like_others(state: BatchState) -> None:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 4, batch="OLD", expires_on=MORNING.date() - DAY))
    shop.hold("cream", "OLD", state)
    shop.accepted("reconciliation", counts("cream", 5, batch="OLD"))
    shop.accepted("reconciliation", counts("cream", 3, batch="OLD"))


# --- the movement as a whole ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        (counts("tea", 1), counts("tea", 1)),
        (counts("cream", 1, batch="B1"), counts("cream", 2, batch="B1")),
        (counts("phone", serials="S1"), counts("phone", serials="S2")),
    ],
)
def test_nothing_is_counted_twice_in_one_movement(lines: tuple[RequestedLine, RequestedLine]) -> None:
    judged = stocked().ask("reconciliation", *lines)
    assert reasons(judged) == [("counted_twice", 2)]
    batch = {} if lines[1].batch is None else {"batch": lines[1].batch}
    assert facts(judged, "counted_twice") == {"item": lines[1].item, "warehouse": "north", **batch}


def test_one_item_is_counted_in_two_warehouses_by_one_movement() -> None:
    judged = stocked().accepted("reconciliation", counts("tea", 9), counts("tea", 1, "south", rate="2"))
    assert told(judged) == [("-1", "9", None, None, []), ("1", "1", Money("2.00"), None, [])]


def test_serials_that_are_missing_leave_before_any_are_found_and_counted_legs_come_last() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S1"))
    judged = shop.accepted("reconciliation", counts("tea", 9), counts("phone", serials="S1,S2", rate="1"))
    assert [(leg.line, plain(leg.quantity), leg.counted is not None) for leg in judged.allocated.legs] == [
        (2, "-1", False),
        (2, "1", False),
        (1, "-1", True),
        (2, "0", True),
    ]


def test_an_opening_count_books_to_temporary_opening_and_takes_no_tracked_items() -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("tea", 20, rate="2"), opening=True)
    assert judged.allocated.accounts[Role.STOCK_ADJUSTMENT] == "temporary_opening"
    assert shop.refused("reconciliation", counts("tea", 1), opening=True, difference_account="write_off") == [
        ("account_fixed", None)
    ]
    tracked = [counts("cream", 1, batch="B1"), counts("phone", serials="S9")]
    refused = shop.ask("reconciliation", *tracked, opening=True)
    assert reasons(refused) == [("opening_tracked", 1), ("opening_tracked", 2), ("count_cannot_open", 2)]
    assert facts(refused, "opening_tracked") == {"item": "cream", "use": "opening_stock"}


def test_a_count_books_to_the_difference_account_that_it_names() -> None:
    judged = stocked().accepted("reconciliation", counts("tea", 1), difference_account="write_off")
    assert judged.allocated.accounts[Role.STOCK_ADJUSTMENT] == "write_off"


def test_a_count_names_where_it_counted_as_its_target() -> None:
    judged = stocked().ask("reconciliation", line("tea", 1, source="north"))
    assert reasons(judged) == [("source_not_allowed", 1), ("target_missing", 1)]
