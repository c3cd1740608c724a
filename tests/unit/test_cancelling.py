"""Cancelling movements of every purpose: as if they had never been, where nothing that came since speaks against it."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.originals import entry_id
from services.receiving.decide.stock import Returned
from shared.contracts.movement import AccountAmount, AdditionalCost, Leg, RequestedLine, Tax, Tender, TicketMoney
from shared.purposes import PURPOSES, SerialStatus, Tracking
from shared.quantities import Money, Quantity, plain
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import EVENING, Shop, against, comes, company, facts, goes, item, line, moves, reasons
from tests.undoing_builders import state

TEA = item("tea")
COAL = item("coal", allow_negative_stock=True, standard_rate=Decimal(1))
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial", warranty_days=730, create_batches_on_receipt=True)
KIT = item("kit", tracking="serial", serial_series="K-.##")


def stocked() -> Shop:
    """Ten tea, five cream of each of two batches, three phones, all in the north, from a supplier."""
    of = Shop(TEA, COAL, CREAM, PHONE, KIT)
    of.accepted(
        "purchase_receipt",
        comes("tea", 10),
        comes("cream", 5, batch="B1"),
        comes("cream", 5, batch="B2"),
        comes("phone", serials="S1-S3"),
        supplier="Foundry",
        document="PR-1",
    )
    return of


def sold(of: Shop) -> Accepted:
    """Four tea, two cream and two phones, delivered to Ada."""
    lines = [goes("tea", 4), goes("cream", 2, batch="B1"), goes("phone", serials="S1,S2")]
    return of.accepted("delivery", *lines, customer="Ada", document="DN-1")


def cancelled(of: Shop, judged: Accepted, **fields: Any) -> Accepted:
    return of.accepted("cancellation", **{"against": against(judged), **fields})


def refused(of: Shop, judged: Accepted, **fields: Any) -> list[tuple[str, int | None]]:
    return of.refused("cancellation", **{"against": against(judged), **fields})


COSTS = [AdditionalCost(amount=Money(3))]
PAID = TicketMoney(tenders=[Tender(kind="cash", amount=Money("11.90"))])
TAXED: dict[str, Any] = {"net": "10", "tax": [Tax(code="VAT", amount=Money("1.90"))]}
DELIVERY = ("delivery", [goes("tea", 4), goes("cream", 2, batch="B1"), goes("phone", serials="S1,S2")])
CASES: dict[str, tuple[str, list[RequestedLine], Mapping[str, Any]]] = {
    "opening stock": ("opening_stock", [comes("tea", 3, "south"), comes("phone", serials="S7-S8")], {}),
    "receipt": ("purchase_receipt", [comes("tea", 3), comes("cream", 4, batch="B3"), comes("phone", serials="S7")], {}),
    "issue": ("material_issue", [goes("tea", 3), goes("cream", 5, batch="B1"), goes("phone", serials="S3")], {}),
    "delivery": (*DELIVERY, {"customer": "Ada"}),
    "sale": ("sale", [goes("tea", 1, **TAXED)], {"money": PAID}),
    "scrap": ("scrap", [goes("cream", 6), goes("phone", 1)], {}),
    "transfer": ("material_transfer", [moves("tea", 3), moves("cream", 6), moves("phone", serials="S1,S3")], {}),
    "transit": ("material_transfer", [moves("phone", 1, target="on-the-way")], {}),
    "manufacture": ("manufacture", [goes("tea", 2), goes("phone", serials="S1"), comes("kit", 2, rate=None)], {}),
    "made of itself": ("repack", [goes("phone", serials="S1"), comes("phone", serials="S1", target="south")], {}),
    "count": ("reconciliation", [comes("tea", 7), comes("cream", 6, batch="B1", rate=None)], {}),
    "count of all": ("reconciliation", [comes("tea", 10), comes("cream", 0, batch="B1", rate=None)], {}),
    "count of serials": ("reconciliation", [comes("phone", serials="S1,S2")], {}),
    "count of nothing else": ("reconciliation", [comes("phone", serials="S1-S3", rate=None)], {}),
    "write-down": ("write_down", [goes("tea", rate="0.5"), goes("phone", serials="S1", rate="0.5")], {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_movement_that_was_cancelled_has_never_been(case: tuple[str, list[RequestedLine], Mapping[str, Any]]) -> None:
    purpose, lines, fields = case
    of = stocked()
    before = state(of.stock)
    judged = of.accepted(purpose, *lines, **fields)
    told = cancelled(of, judged)
    assert state(of.stock) == before
    assert told.allocated.mirrors == purpose
    assert [each.place for each in of.timeline.changes if each.effective_at == judged.allocated.effective_at] == []


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_leg_is_undone_by_one_in_the_same_place_the_other_way_round(
    case: tuple[str, list[RequestedLine], Mapping[str, Any]],
) -> None:
    purpose, lines, fields = case
    of = stocked()
    judged = of.accepted(purpose, *lines, **fields)
    told = cancelled(of, judged).allocated
    assert [place(leg) for leg in told.legs] == [place(leg) for leg in judged.allocated.legs]
    assert [leg.quantity for leg in told.legs] == [-leg.quantity for leg in judged.allocated.legs]
    assert [leg.original for leg in told.legs] == [
        entry_id(judged.allocated, each) for each, _ in enumerate(judged.allocated.legs)
    ]
    assert all(
        said is None
        for leg in told.legs
        for said in (leg.amount, leg.counted, leg.share, leg.rate, leg.standard_rate, leg.corrects)
    )


def place(leg: Leg) -> tuple[Any, ...]:
    about = (leg.line, leg.item, leg.warehouse, leg.batch, tuple(leg.serials), leg.arrives_from)
    return (*about, leg.tracking, leg.method, leg.stock_account)


def test_every_purpose_that_moves_stock_is_cancelled_somewhere_here() -> None:
    elsewhere = {"material_receipt", "purchase_return", "sales_return", "landed_cost", "cancellation"}
    assert {case[0] for case in CASES.values()} == set(PURPOSES) - elsewhere


# --- what is told -----------------------------------------------------------------------------------------------------


def test_a_cancellation_counts_when_its_movement_did_and_is_of_the_same_day_document_and_people() -> None:
    of = stocked()
    judged = sold(of)
    told = cancelled(of, judged, at=EVENING, actor="Eve", reason="rung up twice").allocated
    original = judged.allocated
    assert (told.effective_at, told.posting_date) == (original.effective_at, original.posting_date)
    assert (told.posting_at, told.purpose, told.mirrors) == (EVENING, "cancellation", "delivery")
    assert (told.document, told.customer, told.actor, told.reason) == ("DN-1", "Ada", "Eve", "rung up twice")
    assert told.against is not None
    assert (told.against.source, told.against.id) == (SOURCE, judged.request.id)
    assert told.accounts == original.accounts
    assert told.additional_costs == []


def test_a_cancellation_takes_the_next_number_in_every_bin_of_its_movement() -> None:
    of = stocked()
    out = sold(of)
    back = of.accepted("sales_return", line("tea", 1, target="south"), against=against(out))
    told = cancelled(of, back)
    assert {(each.item, each.warehouse): each.stamp for each in told.allocated.stamps} == {
        ("tea", "south"): 2,
        ("tea", "north"): 4,
        ("cream", "north"): 4,
        ("phone", "north"): 4,
    }


def test_a_source_is_told_what_came_back_and_what_left_again() -> None:
    of = stocked()
    moved = of.accepted("material_transfer", moves("tea", 3), moves("phone", serials="S1"))
    counted = of.accepted("reconciliation", comes("tea", 4))
    assert [(each.item, each.warehouse, plain(each.quantity)) for each in cancelled(of, counted).outcome.allocated] == [
        ("tea", "north", "3")
    ]
    told = cancelled(of, moved).outcome
    assert told.effective_at == moved.outcome.effective_at
    assert [(each.item, each.warehouse, plain(each.quantity), each.serials) for each in told.allocated] == [
        ("tea", "north", "3", []),
        ("phone", "north", "1", ["S1"]),
    ]


def test_the_money_of_a_sale_is_given_back() -> None:
    of = stocked()
    judged = of.accepted("sale", goes("tea", 1, **TAXED), money=PAID)
    told = cancelled(of, judged).allocated
    assert judged.allocated.money is not None
    assert told.money is not None
    assert told.money.credits == judged.allocated.money.debits == [AccountAmount(account="cash", amount=Money("11.90"))]
    assert told.money.debits == judged.allocated.money.credits
    assert len(told.money.debits) == 2


def test_a_sale_of_services_alone_is_cancelled_with_nothing_but_its_money() -> None:
    of = stocked()
    judged = of.accepted("sale", line("service", 1, net="5", account="income"), company="shop")
    told = cancelled(of, judged)
    assert (told.allocated.legs, told.allocated.stamps) == ([], [])
    assert told.allocated.money is not None
    assert [each.amount for each in told.allocated.money.debits] == [Money(5)]
    assert refused(of, judged) == [("already_cancelled", None)]


def test_a_dry_run_of_a_cancellation_changes_nothing_and_says_what_would_be() -> None:
    of = stocked()
    judged = sold(of)
    before = state(of.stock)
    tried = of.accepted("cancellation", against=against(judged), dry_run=True)
    assert tried.allocated.trial == tried.outcome
    assert state(of.stock) == before
    assert cancelled(of, judged).outcome.allocated == tried.outcome.allocated


# --- returns, exchanges, landed costs ---------------------------------------------------------------------------------


def test_what_was_returned_by_a_cancelled_return_may_be_returned_again() -> None:
    of = stocked()
    out = sold(of)
    lines = [line("tea", 4), line("cream", 2), line("phone", serials="S1,S2")]
    back = of.accepted("sales_return", *lines, against=against(out))
    before = state(of.stock)["serials"]
    assert of.refused("sales_return", line("tea", 1), against=against(out)) == [("over_return", 1)]
    cancelled(of, back)
    unit = of.stock.serials["shop", "phone", "S1"]
    assert (unit.status, unit.warehouse, unit.customer) == (SerialStatus.DELIVERED, None, "Ada")
    again = of.accepted("sales_return", *lines, against=against(out))
    assert [leg.original for leg in again.allocated.legs] == [leg.original for leg in back.allocated.legs]
    assert state(of.stock)["serials"].keys() == before.keys()
    assert {entry: plain(each.quantity) for entry, each in of.stock.returned.items()} == {
        entry_id(out.allocated, 0): "4",
        entry_id(out.allocated, 1): "2",
        entry_id(out.allocated, 2): "2",
    }


def test_of_a_cancelled_return_only_its_own_part_is_given_back() -> None:
    of = stocked()
    out = sold(of)
    first = of.accepted("sales_return", line("tea", 1), line("phone", serials="S1"), against=against(out))
    of.accepted("sales_return", line("tea", 2), line("phone", serials="S2"), against=against(out))
    cancelled(of, first)
    assert of.stock.returned[entry_id(out.allocated, 0)] == Returned(Decimal(2))
    assert of.stock.returned[entry_id(out.allocated, 2)] == Returned(Decimal(1), frozenset({"S2"}))


def test_what_was_sent_back_to_a_supplier_by_a_cancelled_return_stands_there_again() -> None:
    of = stocked()
    before = state(of.stock)
    lines = [line("tea", 4), line("cream", 2, batch="B2"), line("phone", serials="S2")]
    back = of.accepted("purchase_return", *lines, against=against(of.log[0]))
    assert of.stock.serials["shop", "phone", "S2"].status is SerialStatus.RETURNED_TO_SUPPLIER
    cancelled(of, back)
    assert state(of.stock) == before


def test_a_cancelled_exchange_takes_back_what_was_given_and_gives_back_what_was_taken() -> None:
    of = stocked()
    out = of.accepted("sale", goes("phone", serials="S1", net="10"), customer="Ada")
    before = state(of.stock)
    lines = [goes("phone", serials="S2", net="10"), line("phone", serials="S1", target="south", net="10")]
    exchange = of.accepted("sale", *lines, against=against(out), customer="Ada")
    assert of.stock.serials["shop", "phone", "S1"].warehouse == "south"
    cancelled(of, exchange)
    assert state(of.stock) == before


def test_a_unit_that_came_back_without_its_original_is_out_by_the_same_entry_again() -> None:
    of = stocked()
    sold(of)
    before = state(of.stock)
    back = of.accepted("sales_return", comes("phone", None, "south", None, serials="S2"))
    assert len(of.stock.returned) == 1
    cancelled(of, back)
    assert state(of.stock) == before


def test_a_landed_cost_is_cancelled_without_moving_anything_wherever_its_goods_are() -> None:
    of = stocked()
    landed = of.accepted("landed_cost", against=against(of.log[0]), additional_costs=COSTS)
    sold(of)
    told = cancelled(of, landed).allocated
    assert (told.mirrors, told.effective_at) == ("landed_cost", of.log[0].allocated.effective_at)
    assert all(leg.quantity == 0 and leg.original is not None for leg in told.legs)
    assert len(told.legs) == len(landed.allocated.legs)
    assert told.additional_costs == []


def test_the_cancellation_of_a_landed_cost_on_a_closed_receipt_is_dated_as_that_was() -> None:
    of = stocked()
    opened = MORNING.date() + timedelta(days=1)
    of.stock.companies["shop"] = company(open_from=opened)
    of.now = EVENING + timedelta(days=2)
    later = EVENING + timedelta(days=1)
    landed = of.accepted("landed_cost", against=against(of.log[0]), additional_costs=COSTS, at=later)
    told = cancelled(of, landed, at=later).allocated
    assert (told.posting_date, told.dated_at) == (opened, landed.allocated.dated_at)
    assert (told.effective_at, told.open_from) == (of.log[0].allocated.effective_at, opened)
    assert told.dated_at is not None


def test_the_cancellation_of_a_landed_cost_is_refused_where_the_day_it_was_dated_on_is_closed() -> None:
    of = stocked()
    of.now = EVENING + timedelta(days=3)
    of.stock.companies["shop"] = company(open_from=MORNING.date() + timedelta(days=1))
    later = EVENING + timedelta(days=1)
    landed = of.accepted("landed_cost", against=against(of.log[0]), additional_costs=COSTS, at=later)
    of.stock.companies["shop"] = company(open_from=MORNING.date() + timedelta(days=2))
    judged = of.ask("cancellation", against=against(landed), at=later)
    assert facts(judged, "period_closed") == {"day": "2026-03-03", "open_from": "2026-03-04"}


# --- what speaks against it -------------------------------------------------------------------------------------------


def test_what_a_cancellation_takes_away_must_not_be_needed_later() -> None:
    of = stocked()
    more = of.accepted("purchase_receipt", comes("tea", 5), comes("cream", 2, batch="B1"))
    of.accepted("delivery", goes("tea", 12), goes("cream", 6, batch="B1"), at=MORNING + timedelta(hours=1))
    of.accepted("purchase_receipt", comes("tea", 99), at=MORNING + timedelta(hours=2))
    judged = of.ask("cancellation", against=against(more))
    assert reasons(judged) == [("insufficient_stock", 1), ("insufficient_stock", 2)]
    assert facts(judged, "insufficient_stock") == {
        "item": "tea",
        "warehouse": "north",
        "wanted": "5",
        "available": "3",
        "at": (MORNING + timedelta(hours=1)).isoformat(),
    }


def test_what_is_needed_only_until_a_count_is_no_obstacle_behind_it() -> None:
    of = stocked()
    more = of.accepted("purchase_receipt", comes("tea", 5))
    counted = of.accepted("reconciliation", comes("tea", 14), at=MORNING + timedelta(hours=1))
    of.accepted("delivery", goes("tea", 14), at=MORNING + timedelta(hours=2))
    told = cancelled(of, more).allocated
    (correcting,) = [leg for leg in told.legs if leg.corrects is not None]
    assert told.legs[-1] == correcting
    assert (correcting.quantity, correcting.line) == (Quantity(5), 1)
    assert correcting.original == entry_id(counted.allocated, 0)
    assert correcting.corrects is not None
    assert (correcting.corrects.effective_at, correcting.corrects.stamp) == (counted.allocated.effective_at, 3)
    assert correcting.corrects.account == "stock_adjustment"
    assert of.quantity("tea") == "0"


def test_a_count_is_undone_with_all_that_it_found_later_on() -> None:
    of = stocked()
    counted = of.accepted("reconciliation", comes("tea", 14), at=MORNING + timedelta(hours=1))
    of.accepted("delivery", goes("tea", 3), at=MORNING + timedelta(minutes=30))
    assert (of.quantity("tea"), plain(counted.allocated.legs[0].quantity)) == ("14", "4")
    told = cancelled(of, counted).allocated
    assert [plain(leg.quantity) for leg in told.legs] == ["-7"]
    assert of.quantity("tea") == "7"


def test_a_cancelled_movement_takes_back_what_it_made_a_later_count_find() -> None:
    of = stocked()
    of.accepted("reconciliation", comes("tea", 10), at=MORNING + timedelta(hours=1))
    late = of.accepted("delivery", goes("tea", 3), at=MORNING + timedelta(minutes=30))
    assert [plain(leg.quantity) for leg in late.allocated.legs] == ["-3", "3"]
    told = cancelled(of, late).allocated
    assert [(plain(leg.quantity), leg.corrects is None) for leg in told.legs] == [("3", True), ("-3", False)]
    assert of.quantity("tea") == "10"


def test_a_count_of_the_same_moment_that_came_behind_keeps_what_it_found() -> None:
    of = stocked()
    at = MORNING + timedelta(hours=1)
    more = of.accepted("purchase_receipt", comes("tea", 5), at=at)
    of.accepted("reconciliation", comes("tea", 14), at=at)
    told = cancelled(of, more).allocated
    assert [(plain(leg.quantity), leg.corrects is None) for leg in told.legs] == [("-5", True), ("5", False)]
    assert of.quantity("tea") == "14"


def test_what_left_at_the_same_moment_needs_what_came_before_it() -> None:
    of = stocked()
    at = MORNING + timedelta(hours=1)
    more = of.accepted("purchase_receipt", comes("tea", 5), at=at)
    of.accepted("delivery", goes("tea", 12), at=at)
    of.accepted("purchase_receipt", comes("tea", 20), at=at)
    assert refused(of, more) == [("insufficient_stock", 1)]


def test_an_item_that_may_be_short_is_so_after_a_cancellation_and_the_source_is_told() -> None:
    of = stocked()
    receipt = of.accepted("purchase_receipt", comes("coal", 5))
    of.accepted("delivery", goes("coal", 4))
    told = cancelled(of, receipt)
    assert (of.quantity("coal"), of.stock.bins["shop", "coal", "north"].short) == ("-4", True)
    assert [(each.code, each.line, each.facts) for each in told.outcome.remarks] == [
        ("shortage", 1, {"item": "coal", "warehouse": "north", "wanted": "5", "short": "4"})
    ]


def test_a_fact_is_cancelled_even_where_untracked_stock_lacks_for_it_but_never_a_batch() -> None:
    of = stocked()
    receipt = of.accepted("purchase_receipt", comes("tea", 5, "south"))
    creams = of.accepted("purchase_receipt", comes("cream", 5, "south", batch="B3"))
    of.accepted("delivery", goes("tea", 4, "south"), goes("cream", 4, "south"))
    of.stock.telling = frozenset({SOURCE})
    cancelled(of, receipt)
    assert of.quantity("tea", "south") == "-4"
    assert refused(of, creams) == [("insufficient_stock", 1)]


def test_a_shortage_ends_where_what_was_issued_comes_back() -> None:
    of = stocked()
    of.accepted("delivery", goes("coal", 4))
    out = of.accepted("delivery", goes("coal", 5))
    cancelled(of, of.log[-2])
    assert (of.quantity("coal"), of.stock.bins["shop", "coal", "north"].short) == ("-5", True)
    cancelled(of, out)
    assert (of.quantity("coal"), of.stock.bins["shop", "coal", "north"].short) == ("0", False)


def test_a_movement_that_others_name_is_cancelled_only_after_these() -> None:
    of = stocked()
    out = sold(of)
    back = of.accepted("sales_return", line("tea", 1), against=against(out))
    judged = of.ask("cancellation", against=against(out))
    assert facts(judged, "named_by") == {"source": SOURCE, "id": back.request.id}
    cancelled(of, back)
    cancelled(of, out)
    assert of.quantity("tea") == "10"


def test_a_receipt_is_not_cancelled_while_a_landed_cost_revalues_it() -> None:
    of = stocked()
    landed = of.accepted("landed_cost", against=against(of.log[0]), additional_costs=COSTS)
    assert refused(of, of.log[0]) == [("named_by", None)]
    cancelled(of, landed)
    cancelled(of, of.log[0])
    assert of.quantity("tea") == "0"


def test_a_cancellation_is_told_every_reason_against_it_at_once() -> None:
    of = stocked()
    receipt = of.log[0]
    sold(of)
    of.accepted("landed_cost", against=against(receipt), additional_costs=COSTS)
    of.stock.companies["shop"] = company(open_from=MORNING.date() + timedelta(days=1))
    told = of.refused("cancellation", goes("tea", 1), against=against(receipt), customer="Bob")
    assert sorted(told, key=str) == [
        ("cancellation_says_more", None),
        ("insufficient_stock", 1),
        ("insufficient_stock", 2),
        ("named_by", None),
        ("period_closed", None),
        ("serial_moved_since", 4),
        ("serial_moved_since", 4),
    ]


def test_what_a_cancellation_says_again_of_its_movement_is_no_reason_against_it() -> None:
    of = stocked()
    out = sold(of)
    cancelled(of, out, customer="Ada", document="DN-1")


def test_a_unit_that_moved_on_and_came_back_by_a_cancellation_has_not_moved() -> None:
    of = stocked()
    receipt = of.accepted("purchase_receipt", comes("phone", None, "south", serials="S9"))
    out = of.accepted("delivery", goes("phone", None, "south", serials="S9"))
    judged = of.ask("cancellation", against=against(receipt))
    assert reasons(judged) == [("serial_moved_since", 1)]
    assert facts(judged, "serial_moved_since")["at"] == out.allocated.effective_at.isoformat()
    cancelled(of, out)
    cancelled(of, receipt)
    unit = of.stock.serials["shop", "phone", "S9"]
    assert (unit.status, unit.warehouse, unit.entered, unit.last_at) == (SerialStatus.INACTIVE, None, None, None)


def test_a_unit_whose_receipt_was_cancelled_may_come_in_at_an_earlier_time() -> None:
    of = stocked()
    receipt = of.accepted("purchase_receipt", comes("phone", None, "south", serials="S9"), at=EVENING)
    cancelled(of, receipt)
    again = of.accepted("purchase_receipt", comes("phone", None, "south", serials="S9"), at=MORNING)
    assert again.allocated.effective_at == MORNING
    assert of.stock.serials["shop", "phone", "S9"].warehouse == "south"


def test_nothing_is_cancelled_before_the_last_count_of_the_serials_of_its_bin() -> None:
    of = stocked()
    out = of.accepted("delivery", goes("phone", serials="S1"))
    counted = of.accepted("reconciliation", comes("phone", serials="S2,S3", rate=None))
    judged = of.ask("cancellation", against=against(out))
    assert reasons(judged) == [("counted_since", 1)]
    assert facts(judged, "counted_since")["counted_at"] == counted.allocated.effective_at.isoformat()
    cancelled(of, counted)
    cancelled(of, out)
    assert of.quantity("phone") == "3"


def test_a_write_down_is_cancelled_though_its_units_were_counted_or_left_since() -> None:
    of = stocked()
    written = of.accepted("write_down", goes("phone", serials="S1", rate="0.5"))
    of.accepted("delivery", goes("phone", serials="S1"))
    of.accepted("reconciliation", comes("phone", serials="S2,S3", rate=None))
    assert [plain(leg.quantity) for leg in cancelled(of, written).allocated.legs] == ["0"]


def test_a_rate_that_only_the_cancelled_receipt_knew_is_known_no_more() -> None:
    of = stocked()
    receipt = of.accepted("purchase_receipt", comes("tea", 3, "south", rate="2"))
    of.accepted("purchase_receipt", comes("tea", 1, "south", rate=None))
    cancelled(of, of.log[-1])
    cancelled(of, receipt)
    assert of.refused("purchase_receipt", comes("tea", 1, "south", rate=None)) == [("rate_missing", 1)]


def entered(of: Shop, batch: str) -> tuple[Any, ...] | None:
    """When a batch came into the company: the time, the number in the bin, the line."""
    found = of.stock.batches["shop", "cream", batch].entered
    return None if found is None else found[:3]


def status(of: Shop, serial: str) -> SerialStatus:
    return of.stock.serials["shop", "phone", serial].status


# --- records ----------------------------------------------------------------------------------------------------------


def test_a_batch_entered_when_it_would_have_without_the_cancelled_receipt() -> None:
    of = stocked()
    first = of.accepted("purchase_receipt", comes("cream", 1, "south", batch="B3"))
    second = of.accepted("purchase_receipt", comes("cream", 1, batch="B3"))
    assert entered(of, "B3") == (first.allocated.effective_at, 1, 1)
    cancelled(of, first)
    assert entered(of, "B3") == (second.allocated.effective_at, 2, 1)
    cancelled(of, second)
    assert entered(of, "B3") is None
    assert of.refused("reconciliation", comes("cream", 1, batch="B3")) == [("count_cannot_open", 1)]


def test_a_batch_that_never_left_after_all_entered_when_it_did_first() -> None:
    of = stocked()
    out = of.accepted("material_issue", goes("cream", 5, batch="B2"))
    again = of.accepted("purchase_receipt", comes("cream", 1, batch="B2"))
    assert entered(of, "B2") == (again.allocated.effective_at, 3, 1)
    cancelled(of, out)
    assert entered(of, "B2") == (of.log[0].allocated.effective_at, 1, 3)


def test_a_cancelled_delivery_gives_back_the_warranty_that_was_before() -> None:
    of = stocked()
    key = ("shop", "phone", "S1")
    of.stock.serials[key] = of.stock.serials[key]._replace(warranty_until=date(2027, 1, 1))
    first = sold(of)
    back = of.accepted("sales_return", line("phone", serials="S1"), against=against(first))
    of.stock.items["shop", "phone"] = item("phone", tracking="serial", warranty_days=10)
    second = of.accepted("delivery", goes("phone", serials="S1"), customer="Bob")
    assert of.stock.serials[key].warranty_until == MORNING.date() + timedelta(days=10)
    cancelled(of, second)
    unit = of.stock.serials[key]
    assert (unit.warranty_until, unit.status, unit.customer) == (date(2028, 3, 1), SerialStatus.ACTIVE, None)
    cancelled(of, back)
    assert (of.stock.serials[key].customer, of.stock.serials[key].customer_document) == ("Ada", "DN-1")


def test_units_counted_as_missing_or_found_are_again_where_they_were() -> None:
    of = stocked()
    of.accepted("material_issue", goes("phone", serials="S3"))
    before = state(of.stock)
    counted = of.accepted("reconciliation", comes("phone", serials="S2,S3", rate=None))
    assert [status(of, each) for each in ("S1", "S3")] == [SerialStatus.MISSING, SerialStatus.ACTIVE]
    cancelled(of, counted)
    assert state(of.stock) == before
    assert [status(of, each) for each in ("S1", "S3")] == [SerialStatus.ACTIVE, SerialStatus.CONSUMED]


def test_serials_and_batches_that_are_tracked_stay_so_by_their_kinds() -> None:
    of = stocked()
    told = cancelled(of, sold(of)).allocated
    assert [leg.tracking for leg in told.legs] == [Tracking.NONE, Tracking.BATCH, Tracking.SERIAL]
