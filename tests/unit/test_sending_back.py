"""What is sent back to a supplier: of a receipt, leg by leg, from where it stands; or taken like any issue."""

from datetime import timedelta
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from shared.contracts.movement import TicketMoney
from shared.purposes import BatchState, Role, SerialStatus
from shared.quantities import plain
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import Shop, against, comes, facts, goes, item, line, moves, reasons, serials, taken
from tests.returning_builders import CREAM, PHONE, TEA, delivered, returned, unit, waits

DAY = timedelta(days=1)


def received(of: Shop, *lines: Any) -> Accepted:
    return of.accepted("purchase_receipt", *lines, supplier="Foundry", document="PR-1")


def sent_back(of: Shop, receipt: Accepted, *lines: Any, **fields: Any) -> Accepted | Rejected:
    return of.ask("purchase_return", *lines, against=against(receipt), **fields)


# --- how much, and of which leg ---------------------------------------------------------------------------------------


def test_a_receipt_is_sent_back_bit_by_bit_and_never_more_of_it_than_came() -> None:
    of = Shop(TEA)
    received(of, comes("tea", 50))
    receipt = received(of, comes("tea", 10))
    assert returned(sent_back(of, receipt, line("tea", 4)), receipt) == [(1, "-4", None, [], 0)]
    judged = sent_back(of, receipt, line("tea", 7))
    assert facts(judged, "over_return") == {"item": "tea", "wanted": "7", "returnable": "6"}
    assert returned(sent_back(of, receipt, line("tea", "0.5", unit="box")), receipt) == [(1, "-6", None, [], 0)]
    assert of.quantity("tea") == "50"


def test_one_line_is_sent_back_of_several_legs_and_several_of_one() -> None:
    of = Shop(TEA, CREAM)
    receipt = received(of, comes("tea", 6), comes("tea", 4, rate="2"), comes("cream", 5, batch="B1"))
    judged = sent_back(of, receipt, line("tea", 7), line("tea", 2), line("cream", 2), line("cream", 3, batch="B1"))
    assert returned(judged, receipt) == [
        (1, "-6", None, [], 0),
        (1, "-1", None, [], 1),
        (2, "-2", None, [], 1),
        (3, "-2", "B1", [], 2),
        (4, "-3", "B1", [], 2),
    ]
    assert [(each.line, plain(each.quantity)) for each in judged.outcome.allocated][:2] == [(1, "6"), (1, "1")]  # type: ignore[union-attr]
    assert reasons(sent_back(of, receipt, line("tea", 2))) == [("over_return", 1)]


def test_a_line_may_name_the_line_of_the_receipt() -> None:
    of = Shop(TEA, CREAM)
    receipt = received(of, comes("tea", 6), comes("tea", 4), comes("cream", 1, batch="B1"))
    assert returned(sent_back(of, receipt, line("tea", 3, against_line=2)), receipt) == [(1, "-3", None, [], 1)]
    assert reasons(sent_back(of, receipt, line("tea", 3, against_line=3))) == [("unknown_original_line", 1)]


def test_what_the_receipt_never_brought_is_not_sent_back_by_it() -> None:
    of = Shop(TEA, CREAM, PHONE)
    received(of, comes("tea", 1), comes("cream", 1, batch="B2"), comes("phone", serials="S3"))
    receipt = received(of, comes("cream", 1, batch="B1"), comes("phone", serials="S1"))
    lines = [line("tea", 1), line("cream", 1, batch="B2"), line("phone", serials="S3,S1")]
    judged = sent_back(of, receipt, *lines)
    assert isinstance(judged, Rejected)
    assert [(each.code, each.line, each.facts) for each in judged.outcome.reasons] == [
        ("not_in_original", 1, {"item": "tea"}),
        ("not_in_original", 2, {"item": "cream", "batch": "B2"}),
        ("not_in_original", 3, {"item": "phone", "serials": "S3"}),
    ]


def test_what_is_sent_back_books_against_what_was_received_and_what_it_lacks_to_the_cost_of_goods() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 6))
    judged = sent_back(of, receipt, line("tea", 6))
    assert isinstance(judged, Accepted)
    assert judged.allocated.accounts == {
        Role.STOCK_RECEIVED_NOT_BILLED: "stock_received_not_billed",
        Role.COST_OF_GOODS_SOLD: "cost_of_goods_sold",
        Role.STOCK_ADJUSTMENT: "stock_adjustment",
    }
    assert judged.outcome.remarks == []


# --- from where -------------------------------------------------------------------------------------------------------


def test_goods_are_sent_back_from_where_they_came_to_unless_the_line_names_another_warehouse() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 6), comes("tea", 4, "south"))
    sent_back(of, receipt, line("tea", 8))
    assert (of.quantity("tea"), of.quantity("tea", "south")) == ("0", "2")
    of.accepted("material_transfer", moves("tea", 2, "south", "quarantine"))
    judged = sent_back(of, receipt, line("tea", 2, source="quarantine"))
    assert returned(judged, receipt) == [(1, "-2", None, [], 1)]
    assert isinstance(judged, Accepted)
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [
        ("north", 3),
        ("quarantine", 2),
        ("south", 4),
    ]


def test_a_return_to_a_supplier_names_no_target() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 6))
    assert reasons(sent_back(of, receipt, line("tea", 1, target="south"))) == [("target_not_allowed", 1)]


def test_what_was_issued_meanwhile_cannot_be_sent_back_and_the_whole_line_is_told() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 6), comes("tea", 4))
    of.accepted("material_issue", goes("tea", 8))
    judged = sent_back(of, receipt, line("tea", 7))
    assert reasons(judged) == [("insufficient_stock", 1)]
    assert {name: facts(judged, "insufficient_stock")[name] for name in ("warehouse", "wanted", "available")} == {
        "warehouse": "north",
        "wanted": "7",
        "available": "2",
    }
    assert waits(judged) == ["stock:shop:tea:north"]


def test_goods_gathered_in_one_warehouse_are_sent_back_from_there_as_a_whole() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 6), comes("tea", 4, "south"))
    of.accepted("material_transfer", moves("tea", 4, target="quarantine"), moves("tea", 4, "south", "quarantine"))
    judged = sent_back(of, receipt, line("tea", 9, source="quarantine"))
    assert facts(judged, "insufficient_stock")["wanted"] == "9"
    judged = sent_back(of, receipt, line("tea", 8, source="quarantine"))
    assert returned(judged, receipt) == [(1, "-6", None, [], 0), (1, "-2", None, [], 1)]


@pytest.mark.parametrize("told", [True, False])
def test_more_than_there_is_may_be_sent_back_where_negative_stock_is_taken(told: bool) -> None:
    of = Shop(TEA if told else item("tea", allow_negative_stock=True))
    of.stock.telling = frozenset({SOURCE} if told else ())
    receipt = received(of, comes("tea", 6), comes("tea", 4))
    of.accepted("material_issue", goes("tea", 8))
    judged = sent_back(of, receipt, line("tea", 7))
    assert returned(judged, receipt) == [(1, "-6", None, [], 0), (1, "-1", None, [], 1)]
    assert isinstance(judged, Accepted)
    assert [(each.code, each.facts["wanted"], each.facts["short"]) for each in judged.outcome.remarks] == [
        ("shortage", "7", "5")
    ]
    assert (of.quantity("tea"), of.stock.bins["shop", "tea", "north"].short) == ("-5", True)


def test_of_a_batch_there_must_be_enough_where_it_is_to_leave() -> None:
    of = Shop(CREAM)
    receipt = received(of, comes("cream", 6, batch="B1"), comes("cream", 4, batch="B2"))
    of.accepted("material_transfer", moves("cream", 3, batch="B1"))
    of.stock.telling = frozenset({SOURCE})
    judged = sent_back(of, receipt, line("cream", 7))
    assert reasons(judged) == [("insufficient_stock", 1)]
    assert facts(judged, "insufficient_stock")["batch"] == "B1"
    judged = sent_back(of, receipt, line("cream", 3, source="south"), line("cream", 5))
    assert returned(judged, receipt) == [
        (1, "-3", "B1", [], 0),
        (2, "-3", "B1", [], 0),
        (2, "-2", "B2", [], 1),
    ]


# --- batches and serials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [BatchState.HELD, BatchState.RECALLED])
@pytest.mark.parametrize("named", [{}, {"batch": "B1"}])
def test_a_held_recalled_or_expired_batch_may_be_sent_back(state: BatchState, named: dict[str, str]) -> None:
    of = Shop(CREAM)
    receipt = received(of, comes("cream", 6, batch="B1", expires_on=MORNING.date()))
    of.hold("cream", "B1", state)
    judged = sent_back(of, receipt, line("cream", 6, **named), at=MORNING + DAY - timedelta(hours=20))
    assert taken(judged) == [("B1", "6")]


def test_units_that_are_sent_back_have_gone_to_the_supplier_and_no_warranty_starts() -> None:
    of = Shop(PHONE)
    receipt = received(of, comes("phone", serials="S1-S3", batch="P1"))
    of.hold("phone", "P1")
    judged = sent_back(of, receipt, line("phone", serials="S2"), customer="Ada")
    assert returned(judged, receipt) == [(1, "-1", None, ["S2"], 0)]
    gone = unit(of, "S2")
    assert (gone.status, gone.warehouse, gone.batch) == (SerialStatus.RETURNED_TO_SUPPLIER, None, "P1")
    assert (gone.warranty_until, gone.customer, gone.supplier) == (None, None, "Foundry")
    assert isinstance(judged, Accepted)
    assert [(each.key[2], each.left, each.came_to) for each in judged.events] == [("S2", True, None)]


def test_a_unit_is_sent_back_once_and_only_from_where_it_stands() -> None:
    of = Shop(PHONE)
    receipt = received(of, comes("phone", serials="S1-S4"))
    sent_back(of, receipt, line("phone", serials="S1"))
    of.accepted("material_transfer", moves("phone", serials="S2"))
    delivered(of, goes("phone", serials="S3"))
    judged = sent_back(of, receipt, line("phone", serials="S1-S2"))
    assert facts(judged, "over_return") == {"item": "phone", "serials": "S1", "wanted": "2", "returnable": "1"}
    judged = sent_back(of, receipt, line("phone", serials="S2-S3"))
    assert reasons(judged) == [("serial_not_here", 1), ("serial_not_here", 1)]
    sent_back(of, receipt, line("phone", serials="S2", source="south"))
    assert unit(of, "S2").status is SerialStatus.RETURNED_TO_SUPPLIER


def test_a_unit_that_came_again_by_another_receipt_is_sent_back_by_that_one() -> None:
    of = Shop(PHONE)
    first = received(of, comes("phone", serials="S1"))
    sent_back(of, first, line("phone", serials="S1"))
    second = received(of, comes("phone", serials="S1"))
    assert reasons(sent_back(of, first, line("phone", serials="S1"))) == [("over_return", 1)]
    assert returned(sent_back(of, second, line("phone", 1)), second) == [(1, "-1", None, ["S1"], 0)]


def test_unnamed_units_are_the_receipts_that_stand_in_the_warehouse_and_are_free_to_leave() -> None:
    of = Shop(PHONE)
    receipt = received(of, comes("phone", serials="S1-S3"), comes("phone", serials="S4-S7"))
    of.accepted("material_transfer", moves("phone", serials="S2,S5"))
    delivered(of, goes("phone", serials="S3"))
    of.stock.serials["shop", "phone", "S4"] = unit(of, "S4")._replace(reserved_for="order 7")
    judged = sent_back(of, receipt, line("phone", 2), line("phone", 1), line("phone", 1, source="south"))
    assert returned(judged, receipt) == [
        (1, "-1", None, ["S1"], 0),
        (1, "-1", None, ["S6"], 1),
        (2, "-1", None, ["S7"], 1),
        (3, "-1", None, ["S2"], 0),
    ]


def test_too_few_units_in_the_warehouse_are_a_lack_and_too_few_of_the_receipt_an_over_return() -> None:
    of = Shop(PHONE)
    receipt = received(of, comes("phone", serials="S1-S4"))
    of.accepted("material_transfer", moves("phone", 3))
    judged = sent_back(of, receipt, line("phone", 2))
    assert reasons(judged) == [("insufficient_stock", 1)]
    told = facts(judged, "insufficient_stock")
    assert (told["warehouse"], told["wanted"], told["available"]) == ("north", "2", "1")
    assert waits(judged) == ["stock:shop:phone:north"]
    told = facts(sent_back(of, receipt, line("phone", 4, source="south")), "insufficient_stock")
    assert (told["warehouse"], told["wanted"], told["available"]) == ("south", "4", "3")
    judged = sent_back(of, receipt, line("phone", 5))
    assert facts(judged, "over_return") == {"item": "phone", "wanted": "5", "returnable": "1"}


def test_a_batch_named_with_unnamed_units_chooses_among_them() -> None:
    of = Shop(PHONE)
    receipt = received(of, comes("phone", serials="S1-S2"), comes("phone", serials="S3-S4", batch="P1"))
    assert serials(sent_back(of, receipt, line("phone", 1, batch="P1"))) == ["S3"]
    assert reasons(sent_back(of, receipt, line("phone", 2, batch="P1"))) == [("over_return", 1)]
    assert reasons(sent_back(of, receipt, line("phone", serials="S1", batch="P1"))) == [("serial_of_another_batch", 1)]


# --- the original -----------------------------------------------------------------------------------------------------


def test_only_a_purchase_receipt_is_sent_back() -> None:
    of = Shop(TEA)
    opened = of.accepted("opening_stock", comes("tea", 9))
    judged = sent_back(of, opened, line("tea", 1, source="north"))
    assert reasons(judged) == [("wrong_original", None)]
    assert facts(judged, "wrong_original")["allowed"] == "purchase_receipt"


@pytest.mark.parametrize("fields", [{}, {"company": "shop"}])
def test_a_return_to_a_supplier_waits_for_its_receipt(fields: dict[str, Any]) -> None:
    of = Shop(TEA)
    never = of.ask("purchase_receipt", comes("ghost", 1))
    judged = of.ask("purchase_return", line("tea", 1), against=against(never), **fields)
    assert reasons(judged) == [("unknown_original", None)]


def test_a_disabled_item_is_sent_back_with_its_receipt_and_without() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 9))
    of.stock.items["shop", "tea"] = item("tea", disabled=True)
    assert taken(sent_back(of, receipt, line("tea", 4))) == [(None, "4")]
    of.accepted("purchase_return", goes("tea", 5))


def test_a_return_to_a_supplier_has_no_money_side() -> None:
    of = Shop(TEA)
    receipt = received(of, comes("tea", 9))
    assert reasons(sent_back(of, receipt, line("tea", 4), money=TicketMoney())) == [("money_not_allowed", None)]


# --- without a receipt ------------------------------------------------------------------------------------------------


def test_without_its_receipt_goods_are_taken_like_any_issue_and_the_source_is_told() -> None:
    of = Shop(TEA, CREAM, PHONE)
    received(of, comes("tea", 9), comes("cream", 3, batch="B1"), comes("phone", serials="S1-S3"))
    of.hold("cream", "B1")
    lines = [goes("tea", 4), goes("cream", 1, batch="B1"), goes("phone", 1), goes("phone", serials="S3")]
    judged = of.accepted("purchase_return", *lines)
    assert [(plain(leg.quantity), leg.batch, leg.serials, leg.original) for leg in judged.allocated.legs] == [
        ("-4", None, [], None),
        ("-1", "B1", [], None),
        ("-1", None, ["S1"], None),
        ("-1", None, ["S3"], None),
    ]
    assert [(each.code, each.line) for each in judged.outcome.remarks] == [("unreferenced", n) for n in (1, 2, 3, 4)]
    assert unit(of, "S1").status is SerialStatus.RETURNED_TO_SUPPLIER


def test_without_its_receipt_a_line_names_its_warehouse_and_no_line_of_a_receipt() -> None:
    of = Shop(TEA)
    received(of, comes("tea", 9))
    assert of.refused("purchase_return", line("tea", 1), company="shop") == [("source_missing", 1)]
    assert of.refused("purchase_return", goes("tea", 1, against_line=1)) == [("unknown_original_line", 1)]
    assert of.refused("purchase_return", goes("tea", 10)) == [("insufficient_stock", 1)]
