"""What takes effect before others is judged on the stock as of its moment, and changes it from then on."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.receiving.decide.allocation import Accepted, allocate
from services.receiving.decide.past import Aside
from shared.contracts.movement import AdditionalCost, Reference
from shared.quantities import Money, plain
from tests.builders import MORNING, SOURCE
from tests.counting_builders import counts
from tests.past_builders import asks, at, corrections, stocked, told
from tests.receiving_builders import Shop, comes, company, facts, goes, item, line, moves, reasons, taken

DAY = timedelta(days=1)


# --- how much may leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "batch"), [("tea", None), ("cream", "B1")])
def test_what_was_needed_since_cannot_leave_before_that(what: str, batch: str | None) -> None:
    shop = stocked()
    there = int(shop.quantity(what)) if batch is None else 5
    shop.accepted("delivery", goes(what, there - 2, batch=batch), at=at(4))
    judged = shop.ask("delivery", goes(what, 3, batch=batch), at=at(2))
    assert reasons(judged) == [("insufficient_stock", 1)]
    lacking = facts(judged, "insufficient_stock")
    assert (lacking["wanted"], lacking["available"], lacking["at"]) == ("3", "2", at(4).isoformat())
    assert lacking.get("batch") == batch
    fitting = shop.accepted("delivery", goes(what, 2, batch=batch), at=at(2))
    assert (fitting.allocated.effective_at, fitting.allocated.posting_date) == (at(2), MORNING.date())
    assert shop.refused("delivery", goes(what, 1, batch=batch), at=at(1)) == [("insufficient_stock", 1)]


def test_what_came_since_was_not_there_then() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 10), at=at(2))
    shop.accepted("purchase_receipt", comes("tea", 50), at=at(4))
    judged = shop.ask("delivery", goes("tea", 1), at=at(3))
    assert facts(judged, "insufficient_stock")["at"] == at(3).isoformat()
    shop.accepted("purchase_receipt", comes("tea", 1), at=at(3))
    shop.accepted("delivery", goes("tea", 1), at=at(3))
    assert shop.quantity("tea") == "50"


def test_the_least_within_a_later_movement_counts_too() -> None:
    shop = stocked()
    out = shop.accepted("sale", goes("tea", 9, price="1"), at=at(2), id="sold")
    exchanged = [goes("tea", 1, price="1"), line("tea", 9, target="north")]
    shop.accepted("sale", *exchanged, at=at(4), against=Reference(id=out.request.id))
    assert shop.quantity("tea") == "9"
    assert shop.refused("delivery", goes("tea", 1), at=at(3)) == [("insufficient_stock", 1)]


def test_what_is_back_dated_stands_from_then_on_in_the_stock_of_today() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 4), at=at(4))
    inserted = shop.accepted("material_transfer", moves("tea", 5), at=at(2))
    assert [(each.warehouse, each.stamp) for each in inserted.allocated.stamps] == [("north", 3), ("south", 1)]
    assert (shop.quantity("tea"), shop.quantity("tea", "south")) == ("1", "5")
    there = shop.stock.bins["shop", "tea", "north"]
    assert (there.last_at, there.last_stamp) == (at(4), 3)
    assert there.last_recorded_at == inserted.allocated.recorded_at
    assert told(inserted) == [("-5", "north", None), ("5", "south", None)]


def test_lines_of_one_movement_take_of_the_same_past_stock() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 4), at=at(4))
    assert shop.refused("delivery", goes("tea", 4), goes("tea", 3), at=at(2)) == [("insufficient_stock", 2)]
    shop.accepted("delivery", goes("tea", 4), goes("tea", 2), at=at(2))
    assert shop.quantity("tea") == "0"


def test_a_day_that_is_closed_takes_nothing_however_much_was_there() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), at=at(26))
    shop.stock.companies["shop"] = company(open_from=at(24).date())
    assert shop.refused("delivery", goes("tea", 1), at=at(2)) == [("period_closed", None)]


def test_all_that_speaks_against_a_back_dated_movement_is_told_at_once() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 10), goes("phone", serials="S1"), at=at(4))
    lines = [goes("tea", 1), goes("phone", serials="S1"), goes("ghost", 1), goes("tea", 1, "nowhere")]
    codes = [("insufficient_stock", 1), ("serial_moved_since", 2), ("unknown_item", 3), ("unknown_warehouse", 4)]
    assert shop.refused("delivery", *lines, at=at(2), company="shop") == codes


def test_a_refused_back_dated_movement_changes_nothing() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 9), goes("cream", 9), at=at(4))
    before = (dict(shop.stock.bins), dict(shop.stock.batch_stock), dict(shop.stock.batches))
    assert shop.refused("delivery", goes("cream", 1), goes("tea", 2), at=at(2)) == [("insufficient_stock", 2)]
    assert (shop.stock.bins, shop.stock.batch_stock, shop.stock.batches) == before


# --- stock below zero -------------------------------------------------------------------------------------------------


def test_more_than_was_there_may_leave_where_the_item_allows_it_and_the_bin_is_short_at_any_later_moment() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("coal", 8), at=at(4))
    judged = shop.accepted("delivery", goes("coal", 5), at=at(2))
    assert [(each.code, each.facts["wanted"], each.facts["short"]) for each in judged.outcome.remarks] == [
        ("shortage", "5", "3")
    ]
    there = shop.stock.bins["shop", "coal", "north"]
    assert (plain(there.quantity), there.short) == ("-3", True)
    shop.accepted("purchase_receipt", comes("coal", 3), at=at(1))
    there = shop.stock.bins["shop", "coal", "north"]
    assert (plain(there.quantity), there.short) == ("0", False)


def test_a_source_of_facts_may_take_what_was_not_there_and_others_may_not() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 8), at=at(4))
    assert shop.refused("delivery", goes("tea", 5), at=at(2)) == [("insufficient_stock", 1)]
    shop.stock.telling = frozenset({SOURCE})
    shop.accepted("delivery", goes("tea", 5), at=at(2))
    assert (shop.quantity("tea"), shop.stock.bins["shop", "tea", "north"].short) == ("-3", True)
    assert shop.refused("delivery", goes("cream", 11), at=at(2)) == [("insufficient_stock", 1)]


def test_a_bin_that_is_short_today_stays_so_when_nothing_changes_there_but_before_a_count() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("coal", 5), at=at(4))
    shop.accepted("delivery", goes("coal", 9), at=at(6))
    shop.accepted("delivery", goes("coal", 1), at=at(2))
    there = shop.stock.bins["shop", "coal", "north"]
    assert (plain(there.quantity), there.short) == ("-4", True)


def test_a_bin_that_was_short_only_for_a_while_is_not_short_today() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("coal", 10), at=at(4))
    shop.accepted("delivery", goes("coal", 12), at=at(2))
    there = shop.stock.bins["shop", "coal", "north"]
    assert (plain(there.quantity), there.short) == ("8", False)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_what_is_picked_is_of_what_was_there_then_and_not_needed_since() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("cream", 3, batch="B1"), at=at(4))
    assert taken(shop.ask("delivery", goes("cream", 3), at=at(2))) == [("B1", "2"), ("B2", "1")]
    soon = date(2026, 3, 20)
    shop.accepted("purchase_receipt", comes("cream", 5, batch="B0", expires_on=soon), at=at(5))
    assert taken(shop.ask("delivery", goes("cream", 4), at=at(3))) == [("B2", "4")]
    assert shop.refused("delivery", goes("cream", 1), at=at(3)) == [("insufficient_stock", 1)]


def test_what_goes_out_in_an_exchange_is_picked_of_what_was_there_then_and_not_of_what_came_back() -> None:
    shop = stocked()
    shop.accepted("sale", goes("cream", 1, batch="B2", price="1"), at=at(1), id="sold")
    shop.accepted("delivery", goes("cream", 4, batch="B1"), at=at(4))
    shop.accepted("purchase_receipt", comes("cream", 5, batch="B1"), at=at(5))
    lines = [goes("cream", 2, price="1"), line("cream", 1, target="north")]
    judged = shop.accepted("sale", *lines, against=Reference(id="sold"), at=at(2))
    assert taken(judged) == [("B1", "1"), ("B2", "1"), ("B2", "1")]
    assert shop.quantity("cream") == "9"


def test_what_comes_back_of_a_batch_is_found_by_the_count_behind_it() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("cream", 3, batch="B1"), at=at(1), id="D")
    shop.accepted("reconciliation", counts("cream", 2, batch="B1"), at=at(4))
    judged = shop.accepted("sales_return", line("cream", 1), against=Reference(id="D"), at=at(2))
    assert [(leg.batch, plain(leg.quantity)) for leg in corrections(judged)] == [("B1", "-1")]
    assert shop.quantity("cream") == "7"


def test_goods_of_a_batch_are_sent_back_of_what_was_there_then() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("cream", 3, batch="B9"), at=at(1), id="R")
    shop.accepted("delivery", goes("cream", 2, batch="B9"), at=at(4))
    back = {"against": Reference(id="R"), "at": at(2)}
    assert shop.refused("purchase_return", line("cream", 2), **back) == [("insufficient_stock", 1)]
    assert told(shop.accepted("purchase_return", line("cream", 1), **back)) == [("-1", "north", "B9")]


def test_a_batch_that_is_gone_today_is_picked_where_a_count_came_between() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("cream", 0, batch="B1"), at=at(4))
    judged = shop.accepted("delivery", goes("cream", 6), at=at(2))
    assert taken(judged) == [("B1", "5"), ("B2", "1")]
    assert [(leg.batch, plain(leg.quantity)) for leg in corrections(judged)] == [("B1", "5")]
    stock = shop.stock.batch_stock
    assert [plain(stock["shop", "cream", "north", batch].quantity) for batch in ("B1", "B2")] == ["0", "4"]
    assert shop.quantity("cream") == "4"
    assert [plain(shop.stock.batch_totals["shop", "cream", batch]) for batch in ("B1", "B2")] == ["0", "4"]


def test_a_batch_is_expired_or_not_by_the_day_on_which_it_took_effect() -> None:
    shop = stocked()
    shop.now = at(24 * 40)
    shop.accepted("delivery", goes("cream", 1, batch="B2"), at=at(24 * 35))
    assert taken(shop.ask("delivery", goes("cream", 1), at=at(24 * 20))) == [("B1", "1")]
    assert taken(shop.ask("delivery", goes("cream", 1), at=at(24 * 33))) == [("B2", "1")]


def test_a_batch_that_came_earlier_by_a_back_dated_receipt_is_older_from_then_on() -> None:
    shop = Shop(item("cream", tracking="batch", create_batches_on_receipt=True))
    shop.now = at(48)
    for hour, batch in ((2, "B1"), (4, "B2")):
        shop.accepted("purchase_receipt", comes("cream", 1, batch=batch), at=at(hour))
    assert shop.stock.batches["shop", "cream", "B2"].entered == (at(4), 2, 1, 0)
    shop.accepted("purchase_receipt", comes("cream", 1, batch="B2", line=9), at=at(1))
    assert shop.stock.batches["shop", "cream", "B2"].entered == (at(1), 3, 9, 0)
    shop.accepted("purchase_receipt", comes("cream", 1, batch="B1"), at=at(3))
    assert shop.stock.batches["shop", "cream", "B1"].entered == (at(2), 1, 1, 0)
    assert taken(shop.ask("delivery", goes("cream", 1), at=at(6))) == [("B2", "1")]


def test_a_batch_that_comes_anew_by_a_back_dated_receipt_is_made_on_that_day() -> None:
    shop = Shop(item("cream", tracking="batch", batch_series="B-.DD.-.#", shelf_life_days=10))
    shop.now = at(48)
    shop.accepted("purchase_receipt", comes("cream", 1), at=at(24))
    shop.accepted("purchase_receipt", comes("cream", 1), at=at(2))
    assert shop.stock.batches["shop", "cream", "B-02-1"].expires_on == MORNING.date() + 10 * DAY


# --- rates ------------------------------------------------------------------------------------------------------------


def test_a_rate_is_known_only_from_when_something_of_worth_came() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("tea", 5, "south"), at=at(4))
    assert shop.refused("material_receipt", comes("tea", 1, "south", rate=None), at=at(3)) == [("rate_missing", 1)]
    shop.accepted("purchase_receipt", comes("tea", 5, "south"), at=at(2))
    shop.accepted("material_receipt", comes("tea", 1, "south", rate=None), at=at(3))
    assert shop.refused("material_receipt", comes("tea", 1, "south", rate=None), at=at(1)) == [("rate_missing", 1)]


def test_a_rate_is_known_of_what_stood_there_even_if_all_of_it_left_later() -> None:
    shop = Shop(item("tea", allow_negative_stock=True, standard_rate=Decimal(1)))
    shop.now = at(48)
    shop.accepted("delivery", goes("tea", 5), at=at(4))
    shop.accepted("purchase_receipt", comes("tea", 5), at=at(2))
    assert shop.quantity("tea") == "0"
    shop.stock.items["shop", "tea"] = item("tea")
    shop.accepted("material_receipt", comes("tea", 1, rate=None), at=at(3))


# --- values alone -----------------------------------------------------------------------------------------------------


def test_a_write_down_is_of_what_stood_there_whatever_left_since() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 10), goes("cream", 5, batch="B1"), at=at(4))
    lines = [goes("tea", rate="0.5"), goes("cream", batch="B1", rate="0.5")]
    judged = shop.accepted("write_down", *lines, at=at(2))
    assert [plain(leg.quantity) for leg in judged.allocated.legs] == ["0", "0"]
    assert shop.refused("write_down", *lines, at=at(5)) == [("nothing_there", 1), ("nothing_there", 2)]
    assert (shop.quantity("tea"), shop.quantity("cream")) == ("0", "5")


def test_a_landed_cost_is_not_set_aside_though_it_takes_effect_before_others() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("phone", serials="S1"), counts("tea", 1), at=at(4))
    costs = [AdditionalCost(amount=Money("5"))]
    asked = asks("landed_cost", hour=6, against=Reference(id="M1"), additional_costs=costs)
    (judged,) = allocate([asked], shop.stock, shop.now, shop.limits)
    assert isinstance(judged, Accepted)
    assert judged.allocated.effective_at == at(0)
    assert corrections(judged) == []


# --- in a set ---------------------------------------------------------------------------------------------------------


def test_what_is_back_dated_is_set_aside_and_those_behind_it_wait() -> None:
    shop = stocked()
    judged = allocate(
        [
            asks("delivery", goes("tea", 1), hour=4, id="now"),
            asks("delivery", goes("tea", 1), hour=2, id="before"),
            asks("delivery", goes("tea", 9), hour=6, id="later"),
        ],
        shop.stock,
        shop.now,
        shop.limits,
    )
    assert [type(each).__name__ for each in judged] == ["Accepted", "Aside"]
    aside = judged[1]
    assert isinstance(aside, Aside)
    assert aside.at == at(2)
    assert set(aside.places) == {("shop", "tea", "north", "")}
    assert shop.quantity("tea") == "9"


def test_a_back_dated_movement_says_which_places_it_may_change() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), goes("cream", 1), goes("phone", 1), at=at(4))
    lines = [
        moves("tea", 1),
        moves("cream", 1, batch="B2"),
        moves("cream", 1),
        moves("phone", 1),
        goes("ghost", 1),
    ]
    (judged,) = allocate([asks("material_transfer", *lines, hour=2)], shop.stock, shop.now, shop.limits)
    assert isinstance(judged, Aside)
    whats = [("tea", ""), ("cream", "B1"), ("cream", "B2")]
    assert set(judged.places) == {("shop", what, place, batch) for what, batch in whats for place in ("north", "south")}


def test_a_trial_of_a_back_dated_movement_says_what_it_would_do_and_does_nothing() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("tea", 9), at=at(4))
    tried = shop.accepted("delivery", goes("tea", 2), at=at(2), dry_run=True)
    assert tried.allocated.trial is not None
    assert [plain(leg.quantity) for leg in corrections(tried)] == ["2"]
    assert (shop.quantity("tea"), shop.stock.bins["shop", "tea", "north"].last_stamp) == ("9", 2)
    done = shop.accepted("delivery", goes("tea", 2), at=at(2))
    assert done.allocated.legs == tried.allocated.legs


def test_stock_today_has_room_for_what_comes_in_the_past() -> None:
    shop = stocked()
    most = "999999999980"
    shop.accepted("opening_stock", comes("tea", most, rate="0.001"), at=at(4))
    assert shop.refused("opening_stock", comes("tea", 10, rate="1"), at=at(2)) == [("quantity_too_large", 1)]
    shop.accepted("opening_stock", comes("tea", 9, rate="1"), at=at(2))
