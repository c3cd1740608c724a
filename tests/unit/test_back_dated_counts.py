"""What is inserted before a count ends there, and a late count is judged by what stood there then."""

from decimal import Decimal

import pytest

from services.receiving.decide.originals import entry_id
from shared.contracts.movement import Reference
from shared.quantities import plain
from tests.builders import MORNING, SOURCE
from tests.counting_builders import counts
from tests.past_builders import at, corrections, stocked, told
from tests.receiving_builders import comes, facts, goes, line, moves, reasons

# --- counts that come later -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "batch", "stood"), [("tea", None, 10), ("cream", "B1", 5)])
def test_the_next_count_finds_so_much_less_and_nothing_behind_it_moves(
    what: str, batch: str | None, stood: int
) -> None:
    shop = stocked()
    counted = shop.accepted(
        "reconciliation", counts(what, stood - 3, batch=batch), at=at(4), difference_account="write_off"
    )
    shop.accepted("delivery", goes(what, stood - 3, batch=batch), at=at(6))
    inserted = shop.accepted("delivery", goes(what, 2, batch=batch, line=7), at=at(2))
    (leg,) = corrections(inserted)
    assert (leg.line, leg.item, leg.warehouse, leg.batch, plain(leg.quantity)) == (7, what, "north", batch, "2")
    assert leg.original == entry_id(counted.allocated, 0)
    assert leg.corrects is not None
    assert (leg.corrects.account, leg.corrects.effective_at) == ("write_off", at(4))
    assert (leg.corrects.posting_date, leg.corrects.stamp) == (MORNING.date(), 2)
    like = inserted.allocated.legs[0]
    assert (leg.tracking, leg.method, leg.stock_account) == (like.tracking, like.method, like.stock_account)
    assert (leg.counted, leg.amount, leg.standard_rate, leg.arrives_from) == (None, None, None, None)
    left = {"tea": "0", "cream": "5"}
    assert shop.quantity(what) == left[what]


def test_what_a_count_found_ends_what_was_needed_before_it() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 0), at=at(4))
    shop.accepted("purchase_receipt", comes("tea", 5), at=at(5))
    shop.accepted("delivery", goes("tea", 5), at=at(6))
    inserted = shop.accepted("delivery", goes("tea", 10), at=at(2))
    assert [plain(leg.quantity) for leg in corrections(inserted)] == ["10"]
    assert shop.refused("delivery", goes("tea", 1), at=at(2)) == [("insufficient_stock", 1)]


def test_of_several_counts_the_next_one_alone_is_corrected() -> None:
    shop = stocked()
    first = shop.accepted("reconciliation", counts("tea", 9), at=at(4))
    second = shop.accepted("reconciliation", counts("tea", 9), at=at(6))
    before, between = (shop.accepted("purchase_receipt", comes("tea", 1), at=at(hour)) for hour in (2, 5))
    assert [leg.original for leg in corrections(before)] == [entry_id(first.allocated, 0)]
    assert [leg.original for leg in corrections(between)] == [entry_id(second.allocated, 0)]
    assert [plain(leg.quantity) for leg in (*corrections(before), *corrections(between))] == ["-1", "-1"]
    behind = shop.accepted("delivery", goes("tea", 1), at=at(6))
    assert corrections(behind) == []
    assert shop.quantity("tea") == "8"


def test_what_one_movement_does_in_one_place_is_corrected_once_by_what_it_comes_to() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 10), counts("cream", 5, batch="B2"), at=at(4))
    judged = shop.accepted("delivery", goes("tea", 1), goes("tea", 2), goes("cream", 1, batch="B2"), at=at(2))
    found = [(leg.line, leg.item, leg.batch, plain(leg.quantity)) for leg in corrections(judged)]
    assert found == [(1, "tea", None, "3"), (3, "cream", "B2", "1")]


def test_what_leaves_and_comes_back_in_one_place_leaves_its_counts_alone() -> None:
    shop = stocked()
    shop.accepted("sale", goes("tea", 5, price="1"), at=at(1), id="sold")
    shop.accepted("reconciliation", counts("tea", 5), at=at(4))
    lines = [goes("tea", 2, price="1"), line("tea", 2, target="north")]
    exchanged = shop.accepted("sale", *lines, against=Reference(id="sold"), at=at(2))
    assert corrections(exchanged) == []
    assert told(exchanged) == [("-2", "north", None), ("2", "north", None)]


def test_a_transfer_is_corrected_in_each_bin_that_was_counted() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 10), counts("tea", 0, "south"), at=at(4))
    judged = shop.accepted("material_transfer", moves("tea", 3), at=at(2))
    assert [(leg.warehouse, plain(leg.quantity)) for leg in corrections(judged)] == [("north", "3"), ("south", "-3")]
    assert (shop.quantity("tea"), shop.quantity("tea", "south")) == ("10", "0")


def test_what_a_count_found_later_on_is_nothing_that_can_be_returned_or_revalued() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 3), at=at(4))
    receipt = shop.accepted("purchase_receipt", comes("tea", 2), at=at(2), id="R")
    sale = shop.accepted("delivery", goes("tea", 2), at=at(2), id="D")
    assert [plain(leg.quantity) for leg in (*corrections(receipt), *corrections(sale))] == ["-2", "2"]
    back = shop.accepted("sales_return", line("tea", 2), against=Reference(id="D"), at=at(8))
    assert [leg.original for leg in back.allocated.legs] == [entry_id(sale.allocated, 0)]
    sent = shop.accepted("purchase_return", line("tea", 2), against=Reference(id="R"), at=at(9))
    assert [leg.original for leg in sent.allocated.legs] == [entry_id(receipt.allocated, 0)]


# --- counts that are late ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "batch", "stood"), [("tea", None, 10), ("cream", "B1", 5)])
def test_a_late_count_is_judged_by_what_stood_there_when_it_was_counted(
    what: str, batch: str | None, stood: int
) -> None:
    shop = stocked()
    shop.accepted("delivery", goes(what, 3, batch=batch), at=at(4))
    shop.accepted("purchase_receipt", comes(what, 4, batch=batch), at=at(5))
    late = shop.accepted("reconciliation", counts(what, stood + 1, batch=batch), at=at(2))
    (leg,) = late.allocated.legs
    assert (plain(leg.quantity), plain(leg.counted or Decimal())) == ("1", str(stood + 1))
    places = {"tea": str(stood + 2), "cream": str(stood + 2 + 5)}
    assert shop.quantity(what) == places[what]
    assert shop.stock.bins["shop", what, "north"].counted_at == at(2)
    assert shop.stock.bins["shop", what, "north"].last_at == at(5)


@pytest.mark.parametrize(("what", "batch", "stood"), [("tea", None, 10), ("cream", "B1", 5)])
def test_a_late_count_cannot_say_that_was_not_there_what_left_since(what: str, batch: str | None, stood: int) -> None:
    shop = stocked()
    shop.accepted("delivery", goes(what, stood - 1, batch=batch), at=at(4))
    judged = shop.ask("reconciliation", counts(what, stood - 2, batch=batch), at=at(2))
    assert reasons(judged) == [("insufficient_stock", 1)]
    lacking = facts(judged, "insufficient_stock")
    assert (lacking["wanted"], lacking["available"], lacking["at"]) == ("2", "1", at(4).isoformat())
    shop.accepted("reconciliation", counts(what, stood - 1, batch=batch), at=at(2))


def test_a_late_count_may_leave_a_shortage_where_one_is_allowed() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("coal", 9), at=at(4))
    judged = shop.accepted("reconciliation", counts("coal", 4), at=at(2))
    assert [(each.code, each.facts["wanted"], each.facts["short"]) for each in judged.outcome.remarks] == [
        ("shortage", "6", "5")
    ]
    there = shop.stock.bins["shop", "coal", "north"]
    assert (plain(there.quantity), there.short) == ("-5", True)
    judged = shop.accepted("reconciliation", counts("coal", 3), at=at(3))
    assert [(each.facts["wanted"], each.facts["short"]) for each in judged.outcome.remarks] == [("1", "1")]


def test_a_source_of_facts_cannot_count_away_of_a_batch_what_left_since() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("cream", 5, batch="B1"), at=at(4))
    shop.stock.telling = frozenset({SOURCE})
    assert shop.refused("reconciliation", counts("cream", 4, batch="B1"), at=at(2)) == [("insufficient_stock", 1)]


def test_a_late_count_corrects_the_next_one_and_is_corrected_itself() -> None:
    shop = stocked()
    later = shop.accepted("reconciliation", counts("tea", 6), at=at(6))
    late = shop.accepted("reconciliation", counts("tea", 8), at=at(4))
    assert [(leg.original, plain(leg.quantity)) for leg in corrections(late)] == [(entry_id(later.allocated, 0), "2")]
    inserted = shop.accepted("delivery", goes("tea", 1), at=at(2))
    assert [(leg.original, plain(leg.quantity)) for leg in corrections(inserted)] == [
        (entry_id(late.allocated, 0), "1")
    ]
    assert shop.quantity("tea") == "6"
    there = shop.stock.bins["shop", "tea", "north"]
    assert (there.counted_at, there.last_at) == (at(6), at(6))


def test_a_count_that_found_what_it_should_is_found_wrong_later_on() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), at=at(3))
    counted = shop.accepted("reconciliation", counts("tea", 9), at=at(4))
    assert told(counted) == [("0", "north", None)]
    inserted = shop.accepted("delivery", goes("tea", 2), at=at(2))
    assert [(leg.original, plain(leg.quantity)) for leg in corrections(inserted)] == [
        (entry_id(counted.allocated, 0), "2")
    ]


def test_a_late_count_needs_a_rate_that_was_known_then() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("tea", 5, "south"), at=at(4))
    assert shop.refused("reconciliation", counts("tea", 1, "south"), at=at(2)) == [("rate_missing", 1)]
    shop.accepted("reconciliation", counts("tea", 1, "south"), at=at(5))
    shop.accepted("reconciliation", counts("tea", 1, "south", rate="2"), at=at(2))


def test_a_late_count_does_not_bring_a_batch_into_being_that_came_later() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("cream", 5, batch="B3"), at=at(4))
    judged = shop.ask("reconciliation", counts("cream", 1, batch="B3", rate="1"), at=at(2))
    assert reasons(judged) == [("count_cannot_open", 1)]
    shop.accepted("reconciliation", counts("cream", 0, batch="B3"), at=at(2))


def test_a_late_count_is_of_a_batch_that_was_there_then_though_it_left_and_came_again() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("cream", 5, batch="B1"), at=at(4))
    shop.accepted("purchase_receipt", comes("cream", 5, batch="B1"), at=at(5))
    assert shop.stock.batches["shop", "cream", "B1"].entered == (at(5), 3, 1, 0)
    shop.accepted("reconciliation", counts("cream", 6, batch="B1"), at=at(2))
    assert shop.quantity("cream") == "11"
