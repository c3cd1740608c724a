"""What comes back without its original: a unit by the entry by which it last left, all else at the last rate known."""

from decimal import Decimal

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.originals import entry_id
from services.receiving.decide.stock import Batch, Serial
from shared.contracts.movement import Reference, RequestedLine, Tender, TicketMoney
from shared.purposes import SerialStatus
from shared.quantities import Money, plain
from tests.receiving_builders import Shop, against, comes, facts, goes, item, line, reasons, taken
from tests.returning_builders import CREAM, PHONE, TEA, delivered, shop, unit, waits


def back(what: str, quantity: str | int | None = None, target: str = "north", **fields: str | int) -> RequestedLine:
    return line(what, quantity, target=target, **fields)


def remarks(judged: Accepted | Rejected) -> list[tuple[str, int | None]]:
    assert isinstance(judged, Accepted), reasons(judged)
    return [(each.code, each.line) for each in judged.outcome.remarks]


# --- what has no numbers ----------------------------------------------------------------------------------------------


def test_goods_without_an_original_come_back_at_the_last_rate_and_the_source_is_told() -> None:
    of = shop()
    judged = of.accepted("sales_return", back("tea", 5), back("cream", 2, batch="B1"))
    assert [(leg.original, leg.amount, leg.batch) for leg in judged.allocated.legs] == [
        (None, None, None),
        (None, None, "B1"),
    ]
    assert remarks(judged) == [("unreferenced", 1), ("unreferenced", 2)]
    assert judged.outcome.remarks[0].facts == {"item": "tea"}
    assert (of.quantity("tea"), of.quantity("cream"), judged.allocated.against) == ("105", "22", None)
    assert plain(of.stock.batch_stock["shop", "cream", "north", "B1"].quantity) == "12"


def test_a_return_with_its_original_is_not_remarked() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5))
    assert remarks(of.ask("sales_return", line("tea", 5), against=against(out))) == []


def test_goods_without_an_original_need_a_rate_where_they_come_to() -> None:
    of = shop()
    bare = [back("tea", 1, "south"), back("cream", 1, "south", batch="B1")]
    assert of.refused("sales_return", *bare) == [("rate_missing", 1), ("rate_missing", 2)]
    of.stock.items["shop", "tea"] = item("tea", standard_rate=Decimal("2.5"))
    leg = of.accepted("sales_return", bare[0]).allocated.legs[0]
    assert (leg.amount, leg.standard_rate) == (None, Decimal("2.5"))


def test_a_return_at_the_standard_rate_is_no_larger_than_a_message_can_carry() -> None:
    of = Shop(item("gold", standard_rate=Decimal(10) ** 9))
    assert of.refused("sales_return", back("gold", 1_000_000)) == [("amount_too_large", 1)]


def test_a_batch_that_comes_back_without_an_original_is_named_and_known() -> None:
    of = shop()
    assert of.refused("sales_return", back("cream", 1)) == [("batch_missing", 1)]
    judged = of.ask("sales_return", back("cream", 1, batch="GHOST"))
    assert reasons(judged) == [("unknown_batch", 1)]
    assert waits(judged) == ["batch:shop:cream:GHOST"]
    of.stock.batches["shop", "cream", "NEW"] = Batch()
    judged = of.ask("sales_return", back("cream", 1, batch="NEW"))
    assert taken(judged) == [("NEW", "1")]
    assert of.stock.batches["shop", "cream", "NEW"].entered is not None


def test_without_an_original_the_warehouse_is_named_and_no_line_of_one_can_be() -> None:
    of = shop()
    assert of.refused("sales_return", line("tea", 1), company="shop") == [("target_missing", 1)]
    judged = of.ask("sales_return", back("tea", 1, against_line=1))
    assert facts(judged, "unknown_original_line") == {"item": "tea", "against_line": "1"}


# --- serials ----------------------------------------------------------------------------------------------------------


def test_units_without_an_original_come_back_by_the_entries_by_which_they_last_left() -> None:
    of = shop()
    of.accepted("material_receipt", comes("phone", None, "south", serials="T1"))
    first = delivered(of, goes("phone", serials="S1-S3"))
    second = delivered(of, goes("phone", None, "south", serials="T1"), goes("phone", serials="S4"))
    judged = of.accepted("sales_return", back("phone", target="quarantine", serials="S2,T1,S1,S4"))
    assert [(leg.serials, leg.original) for leg in judged.allocated.legs] == [
        (["S2", "S1"], entry_id(first.allocated, 0)),
        (["T1"], entry_id(second.allocated, 0)),
        (["S4"], entry_id(second.allocated, 1)),
    ]
    assert remarks(judged) == [("unreferenced", 1)]
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [
        ("north", 4),
        ("quarantine", 1),
        ("south", 3),
    ]
    assert (unit(of, "T1").status, unit(of, "T1").warehouse) == (SerialStatus.ACTIVE, "quarantine")


def test_a_unit_comes_back_by_its_last_exit_whatever_that_was() -> None:
    of = shop()
    delivered(of, goes("phone", serials="S1"))
    of.accepted("sales_return", back("phone", serials="S1"))
    issued = of.accepted("material_issue", goes("phone", serials="S1"))
    leg = of.accepted("sales_return", back("phone", serials="S1")).allocated.legs[0]
    assert leg.original == entry_id(issued.allocated, 0)


def test_what_came_back_without_its_original_does_not_come_back_by_it_again() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S2"))
    of.accepted("sales_return", back("phone", serials="S1"))
    of.accepted("scrap", goes("phone", serials="S1"))
    assert of.refused("sales_return", line("phone", serials="S1"), against=against(out)) == [("over_return", 1)]
    assert of.refused("sales_return", line("phone", 2), against=against(out)) == [("over_return", 1)]
    of.accepted("sales_return", line("phone", 1), against=against(out))


def test_units_that_come_back_without_an_original_are_named() -> None:
    assert shop().refused("sales_return", back("phone", 1)) == [("serials_missing", 1)]


def test_a_unit_that_stands_in_stock_does_not_come_back_nor_twice_in_a_movement() -> None:
    of = shop()
    delivered(of, goes("phone", serials="S1"))
    judged = of.ask("sales_return", back("phone", serials="S1,S2"), back("phone", serials="S1"))
    assert reasons(judged) == [("serial_in_stock", 1), ("serial_in_stock", 2)]
    assert facts(judged, "serial_in_stock") == {"item": "phone", "serial": "S2", "warehouse": "north"}


def test_a_unit_that_nobody_knows_may_still_come() -> None:
    of = Shop(TEA, PHONE, CREAM)
    judged = of.ask("sales_return", back("phone", serials="S1"))
    assert reasons(judged) == [("unknown_serial", 1)]
    assert waits(judged) == ["stock:shop:phone:north"]


def test_a_registered_unit_that_never_left_comes_back_at_the_last_rate_if_there_is_one() -> None:
    of = shop()
    delivered(of, goes("phone", serials="S1"))
    of.stock.serials["shop", "phone", "R1"] = Serial()
    assert of.refused("sales_return", back("phone", target="south", serials="R1,S1")) == [("rate_missing", 1)]
    judged = of.accepted("sales_return", back("phone", serials="R1,S1"))
    legs = judged.allocated.legs
    assert [(leg.serials, leg.original is None, leg.amount) for leg in legs] == [
        (["R1"], True, None),
        (["S1"], False, None),
    ]
    assert unit(of, "R1").status is SerialStatus.ACTIVE


# --- exchange ---------------------------------------------------------------------------------------------------------


def test_an_exchange_takes_goods_back_and_hands_others_out_in_one_movement() -> None:
    of = shop()
    out = of.accepted("sale", goes("phone", serials="S1-S2", price="100"))
    lines = [line("phone", target="south", serials="S1"), goes("phone", 1, price="120")]
    judged = of.accepted("sale", *lines, against=against(out))
    legs = [(leg.line, plain(leg.quantity), leg.warehouse, leg.serials) for leg in judged.allocated.legs]
    assert legs == [(2, "-1", "north", ["S3"]), (1, "1", "south", ["S1"])]
    assert judged.allocated.legs[1].original == entry_id(out.allocated, 0)
    assert (unit(of, "S1").warehouse, unit(of, "S3").status) == ("south", SerialStatus.DELIVERED)
    assert of.refused("sale", lines[0], against=against(out)) == [("over_return", 1)]


def test_what_came_back_by_an_exchange_does_not_come_back_of_it() -> None:
    of = shop()
    lines = [back("tea", 9, price="1"), back("phone", serials="S1", price="1"), goes("tea", 2, price="1")]
    delivered(of, goes("phone", serials="S1"))
    exchanged = of.accepted("sale", *lines)
    judged = of.ask("sales_return", line("tea", 3), line("phone", serials="S1"), against=against(exchanged))
    assert reasons(judged) == [("over_return", 1), ("not_in_original", 2)]
    assert facts(judged, "over_return")["returnable"] == "2"


def test_an_exchange_without_an_original_takes_goods_back_unreferenced() -> None:
    of = shop()
    judged = of.accepted("sale", back("tea", 1, price="3"), goes("tea", 2, price="3"))
    assert [plain(leg.quantity) for leg in judged.allocated.legs] == ["-2", "1"]
    assert remarks(judged) == [("unreferenced", 1)]


def test_a_unit_does_not_come_back_by_the_movement_by_which_it_leaves() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1"))
    of.accepted("material_receipt", comes("phone", serials="S1"))
    lines = [goes("phone", serials="S1", price="1"), back("phone", serials="S1", price="1")]
    for fields in ({}, {"against": against(out)}):
        assert of.refused("sale", *lines, **fields) == [("serial_in_stock", 2)]
    unnamed = [goes("phone", serials="S1", price="1"), back("phone", 1, price="1")]
    assert of.refused("sale", *unnamed, against=against(out)) == [("over_return", 2)]


def test_only_a_line_with_a_target_alone_comes_back_in_a_sale() -> None:
    of = shop()
    assert of.refused("sale", goes("tea", 1, target="south", price="1")) == [("target_not_allowed", 1)]


@pytest.mark.parametrize("lines", [[goes("tea", 1, price="1")], [line(account="income", price="1")]])
def test_a_sale_that_takes_nothing_back_names_no_original(lines: list[RequestedLine]) -> None:
    of = shop()
    out = delivered(of, goes("tea", 1))
    judged = of.ask("sale", *lines, against=against(out), company="shop")
    assert reasons(judged) == [("against_not_allowed", None)]
    assert facts(judged, "against_not_allowed") == {"purpose": "sale", "against": out.allocated.id}


def test_an_exchange_waits_for_its_original_alone() -> None:
    paid = TicketMoney(tenders=[Tender(kind="cash", amount=Money("2"))])
    lines = [back("phone", 1), goes("tea", 1, price="5")]
    judged = shop().ask("sale", *lines, money=paid, against=Reference(id="S1"))
    assert reasons(judged) == [("unknown_original", None)]
