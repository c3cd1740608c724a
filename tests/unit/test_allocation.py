"""The gate: a movement is accepted as a whole, with stamps and legs, or refused with every reason against it."""

import time
from datetime import timedelta
from decimal import Decimal

import pytest

from services.receiving.decide.allocation import Accepted, Rejected, allocate
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.stock import Stock, Warehouse
from shared.contracts.movement import AdditionalCost, Reference, TicketMoney
from shared.purposes import Role
from shared.quantities import Money, plain
from tests.builders import MORNING
from tests.receiving_builders import (
    EVENING,
    Shop,
    comes,
    decided,
    facts,
    goes,
    item,
    line,
    movement,
    moves,
    reasons,
    request,
    taken,
)

MINUTE = timedelta(minutes=1)
TEA = item("tea", units={"box": Decimal(12), "crumb": Decimal("0.0000004")})
CUP = item("cup", whole_units=True, units={"box": Decimal(12)})
PHONE = item("phone", tracking="serial")
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)


def stocked(quantity: str = "10") -> Shop:
    shop = Shop(TEA)
    shop.accepted("opening_stock", comes("tea", quantity))
    return shop


# --- all reasons at once ----------------------------------------------------------------------------------------------


def test_a_movement_with_five_faults_in_three_lines_is_refused_for_all_five_with_their_lines() -> None:
    shop = Shop(TEA, CUP, PHONE)
    refused = shop.refused(
        "purchase_receipt",
        line("tea", "-1", rate="-2"),
        line("ghost", 1, target="north", rate="1"),
        comes("phone", 2, serials=["S1"], target="nowhere"),
        company="shop",
    )
    assert refused == [
        ("target_missing", 1),
        ("quantity_not_positive", 1),
        ("unknown_item", 2),
        ("unknown_warehouse", 3),
        ("serial_count_mismatch", 3),
    ]


def test_what_one_line_lacks_and_what_the_whole_movement_may_not_are_told_together() -> None:
    refused = stocked().refused(
        "delivery",
        goes("tea", 11),
        goes("tea", 3),
        difference_account="other",
        against=Reference(id="M0"),
        money=TicketMoney(),
    )
    assert sorted(refused, key=str) == [
        ("account_fixed", None),
        ("against_not_allowed", None),
        ("insufficient_stock", 1),
        ("money_not_allowed", None),
    ]


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_quantity_is_judged_even_where_the_item_is_not_known(quantity: int) -> None:
    asked = [goes("ghost", quantity), line(quantity=quantity, source="north")]
    assert stocked().refused("delivery", *asked) == [
        ("unknown_item", 1),
        ("quantity_not_positive", 1),
        ("item_missing", 2),
        ("quantity_not_positive", 2),
    ]


def test_a_refusal_shows_the_values_that_offended() -> None:
    judged = stocked().ask("delivery", goes("tea", "10.5"), at=MORNING + MINUTE)
    assert facts(judged, "insufficient_stock") == {
        "item": "tea",
        "warehouse": "north",
        "wanted": "10.5",
        "available": "10",
        "at": "2026-03-02T09:01:00+00:00",
    }


def test_reasons_name_lines_by_their_own_numbers() -> None:
    refused = stocked().refused("delivery", goes("tea", 99, line=70), goes("ghost", 1, line=30))
    assert refused == [("unknown_item", 30), ("insufficient_stock", 70)]


def test_a_refused_movement_leaves_nothing_behind() -> None:
    shop = Shop(TEA, CREAM, item("phone", tracking="serial", serial_series="S.##"))
    shop.refused("opening_stock", comes("tea", 1), comes("cream", 1, batch="B1"), comes("phone", 1), comes("ghost", 1))
    stock = shop.stock
    assert (stock.bins, stock.batches, stock.batch_stock, stock.serials, stock.series) == ({}, {}, {}, {}, {})
    assert not any(getattr(stock.changed, name) for name in type(stock.changed).__slots__)


# --- sufficiency ------------------------------------------------------------------------------------------------------


def test_all_that_is_there_may_leave_and_nothing_more() -> None:
    shop = stocked("10.5")
    assert shop.refused("delivery", goes("tea", "10.500001")) == [("insufficient_stock", 1)]
    shop.accepted("delivery", goes("tea", "10.5"))
    assert shop.quantity("tea") == "0"


def test_the_lines_of_one_document_together_may_not_take_more_than_there_is() -> None:
    shop = stocked()
    assert shop.refused("delivery", goes("tea", 4), goes("tea", 4), goes("tea", 3)) == [("insufficient_stock", 3)]
    shop.accepted("delivery", goes("tea", 4), goes("tea", 4), goes("tea", 2))


def test_the_same_batch_on_three_lines_of_one_document_together_may_not_exceed_it() -> None:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 10, batch="B1"), comes("cream", 10, batch="B2"))
    three = [goes("cream", 4, batch="B1"), goes("cream", 4, batch="B1"), goes("cream", 3, batch="B1")]
    judged = shop.ask("delivery", *three)
    assert reasons(judged) == [("insufficient_stock", 3)]
    assert (facts(judged, "insufficient_stock")["batch"], facts(judged, "insufficient_stock")["available"]) == (
        "B1",
        "2",
    )


def test_stock_in_another_warehouse_does_not_count() -> None:
    assert stocked().refused("delivery", goes("tea", 1, "south")) == [("insufficient_stock", 1)]


def test_what_arrives_by_a_movement_cannot_leave_by_the_same() -> None:
    shop = stocked()
    shop.stock.warehouses["shop", "west"] = Warehouse("shop", "west")
    assert shop.refused("material_transfer", moves("tea", 5), moves("tea", 5, "south", "west")) == [
        ("insufficient_stock", 2)
    ]


def test_a_serial_moves_only_once_in_a_movement() -> None:
    shop = Shop(PHONE)
    shop.stock.warehouses["shop", "west"] = Warehouse("shop", "west")
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    onward = [moves("phone", serials="S1"), moves("phone", None, "south", "west", serials="S1")]
    assert shop.refused("material_transfer", *onward) == [("serial_not_here", 2)]
    assert shop.refused("delivery", goes("phone", serials="S1"), goes("phone", serials="S1")) == [
        ("serial_not_here", 2)
    ]


def test_each_movement_of_a_set_is_judged_on_what_those_before_it_left() -> None:
    shop = stocked()
    asked = [request(movement("delivery", goes("tea", 4), id=f"D{n}", at=MORNING + MINUTE)) for n in range(3)]
    judged = allocate(asked, shop.stock, EVENING, Limits())
    assert [type(each) for each in judged] == [Accepted, Accepted, Rejected]


# --- units and places -------------------------------------------------------------------------------------------------


def test_a_quantity_in_a_unit_is_converted_and_its_rate_is_per_that_unit() -> None:
    shop = Shop(TEA)
    judged = shop.accepted("purchase_receipt", comes("tea", "2.5", rate="24", unit="box"))
    assert [(plain(leg.quantity), leg.amount) for leg in judged.allocated.legs] == [("30", Money("60.00"))]
    assert shop.refused("delivery", goes("tea", 3, unit="box")) == [("insufficient_stock", 1)]
    shop.accepted("delivery", goes("tea", 30, unit="pcs"))


def test_half_a_box_of_whole_units_is_whole_and_half_a_unit_is_not() -> None:
    shop = Shop(CUP)
    assert taken(shop.ask("opening_stock", comes("cup", "0.5", unit="box"))) == [(None, "6")]
    assert shop.refused("opening_stock", comes("cup", "0.5")) == [("whole_quantity_required", 1)]


def test_a_box_of_serialized_units_holds_twelve_serials() -> None:
    shop = Shop(item("phone", tracking="serial", units={"box": Decimal(12)}))
    assert shop.refused("opening_stock", comes("phone", 1, unit="box", serials="S1")) == [("serial_count_mismatch", 1)]
    shop.accepted("opening_stock", comes("phone", 1, unit="box", serials="S01-S12"))
    assert shop.quantity("phone") == "12"


def test_a_stock_quantity_has_six_places_and_one_that_rounds_to_nothing_is_refused() -> None:
    shop = Shop(TEA)
    assert taken(shop.ask("opening_stock", comes("tea", "0.000001"))) == [(None, "0.000001")]
    assert taken(shop.ask("opening_stock", comes("tea", "4", unit="crumb"))) == [(None, "0.000002")]
    assert shop.refused("opening_stock", comes("tea", "1", unit="crumb")) == [("quantity_too_small", 1)]


def test_no_bin_grows_beyond_what_a_message_can_carry() -> None:
    shop = Shop(TEA)
    assert shop.refused("opening_stock", comes("tea", "999999999999", unit="box")) == [("quantity_too_large", 1)]
    shop.accepted("opening_stock", comes("tea", "999999999999"))
    assert shop.refused("opening_stock", comes("tea", "1")) == [("quantity_too_large", 1)]


def test_no_amount_is_larger_than_a_message_can_carry() -> None:
    shop = Shop(TEA, item("gold", standard_rate=Decimal(10) ** 9))
    assert shop.refused("opening_stock", comes("tea", "999999999", rate="1000001")) == [("amount_too_large", 1)]
    assert shop.refused("opening_stock", comes("gold", "1000000", rate=None)) == [("amount_too_large", 1)]


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [None, "0"])
def test_what_comes_in_needs_a_rate_and_a_rate_of_zero_is_none(rate: str | None) -> None:
    assert Shop(TEA).refused("material_receipt", comes("tea", 1, rate=rate)) == [("rate_missing", 1)]


def test_a_rate_of_zero_is_taken_where_the_line_says_so() -> None:
    judged = Shop(TEA).accepted("material_receipt", comes("tea", 1, rate="0", allow_zero_rate=True))
    assert judged.allocated.legs[0].amount == Money("0")


def test_a_line_without_rate_is_taken_where_the_bin_or_the_item_knows_one() -> None:
    shop = Shop(TEA, item("cup", standard_rate=Decimal("2.5")))
    shop.accepted("material_receipt", comes("cup", 1, rate=None))
    shop.accepted("opening_stock", comes("tea", 1))
    shop.accepted("delivery", goes("tea", 1))
    assert shop.accepted("material_receipt", comes("tea", 1, rate=None)).allocated.legs[0].amount is None


def test_a_rate_comes_back_with_a_return_but_not_with_worthless_goods() -> None:
    shop = Shop(TEA, CUP)
    shop.accepted("opening_stock", comes("tea", 1), comes("cup", 1, rate="0", allow_zero_rate=True))
    shop.accepted("delivery", goes("tea", 1), goes("cup", 1), id="D")
    back = [line("tea", 1, target="south"), line("cup", 1, target="south")]
    shop.accepted("sales_return", *back, against=Reference(id="D"))
    known = [comes("tea", 1, "south", None), comes("cup", 1, "south", None)]
    assert shop.refused("material_receipt", *known) == [("rate_missing", 2)]


def test_a_rate_travels_with_a_transfer_but_worthless_goods_bring_none() -> None:
    shop = Shop(TEA, CUP)
    shop.accepted("opening_stock", comes("tea", 1), comes("cup", 1, rate="0", allow_zero_rate=True))
    shop.accepted("material_transfer", moves("tea", 1), moves("cup", 1))
    known = [comes("tea", 1, "south", None), comes("cup", 1, "south", None)]
    assert shop.refused("material_receipt", *known) == [("rate_missing", 2)]


# --- stamps and records -----------------------------------------------------------------------------------------------


def test_a_movement_takes_the_next_stamp_in_each_of_its_bins_once() -> None:
    shop = stocked()
    judged = shop.accepted("material_transfer", moves("tea", 1), moves("tea", 1))
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [("north", 2), ("south", 1)]


def test_all_that_leaves_stands_before_all_that_arrives() -> None:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 2, batch="B1"), comes("cream", 2, batch="B2"))
    legs = shop.accepted("material_transfer", moves("cream", 3), moves("cream", 1)).allocated.legs
    assert [(leg.line, plain(leg.quantity), leg.batch, leg.arrives_from) for leg in legs] == [
        (1, "-2", "B1", None),
        (1, "-1", "B2", None),
        (2, "-1", "B2", None),
        (1, "2", "B1", 0),
        (1, "1", "B2", 1),
        (2, "1", "B2", 2),
    ]


def test_a_movement_is_never_recorded_before_what_its_bins_already_hold() -> None:
    shop = Shop(TEA, CUP)
    shop.now = EVENING + 5 * MINUTE
    shop.accepted("opening_stock", comes("tea", 9))
    shop.now = EVENING
    both = shop.accepted("opening_stock", comes("tea", 1), comes("cup", 1))
    shop.now = EVENING + MINUTE
    after = shop.accepted("opening_stock", comes("cup", 1))
    assert both.allocated.recorded_at == after.allocated.recorded_at == EVENING + 5 * MINUTE


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_opening_stock_with_another_account_is_refused() -> None:
    shop = Shop(TEA)
    judged = shop.ask("opening_stock", comes("tea", 1), difference_account="stock_adjustment")
    assert facts(judged, "account_fixed")["fixed"] == "temporary_opening"
    shop.accepted("opening_stock", comes("tea", 1), difference_account="temporary_opening")


def test_an_issue_books_to_the_difference_account_that_it_names_if_the_company_has_it() -> None:
    shop = stocked()
    judged = shop.accepted("material_issue", goes("tea", 1), difference_account="write_off")
    assert judged.allocated.accounts[Role.STOCK_ADJUSTMENT] == "write_off"
    assert shop.refused("material_issue", goes("tea", 1), difference_account="ghost") == [("unknown_account", None)]


# --- what a movement may not say --------------------------------------------------------------------------------------


def test_what_is_not_supported_is_refused_and_never_left_out() -> None:
    costs = [AdditionalCost(amount=Money("1"))]
    refused = stocked().refused("delivery", goes("tea", 1), additional_costs=costs, opening=True)
    assert sorted(code for code, _ in refused) == ["costs_not_allowed", "opening_not_allowed"]


def test_a_movement_that_could_not_be_read_is_refused_with_the_place_that_is_wrong() -> None:
    (judged,) = decided([Request("till", "M1", b"", problem="expected str at $.purpose")], Stock())
    assert reasons(judged) == [("malformed", None)]
    assert facts(judged, "malformed") == {"problem": "expected str at $.purpose"}


def test_a_movement_of_five_thousand_lines_is_judged_within_seconds() -> None:
    items = [item(f"item {number}") for number in range(5_000)]
    shop, lines = Shop(*items), [comes(each.item, 1) for each in items]
    started = time.process_time()
    shop.accepted("opening_stock", *lines)
    assert time.process_time() - started < 3


def test_five_thousand_lines_that_correct_others_are_judged_within_seconds() -> None:
    items = [f"item {number}" for number in range(5_000)]
    shop = Shop(*map(item, items))
    shop.accepted("opening_stock", *[comes(each, 9) for each in items], id="R")
    started = time.process_time()
    shop.accepted("landed_cost", against=Reference(id="R"), additional_costs=[AdditionalCost(amount=Money("1"))])
    shop.accepted("reconciliation", *[line(each, 8, target="north") for each in items])
    shop.accepted("sale", *[goes(each, 1, price="1") for each in items], id="S")
    shop.accepted("sale", *[line(each, 1, target="north") for each in items], against=Reference(id="S"))
    assert time.process_time() - started < 10
