"""Which units come back: those that a line names, or the first of the original that are still out."""

from datetime import date

from shared.purposes import SerialStatus
from tests.receiving_builders import (
    against,
    comes,
    facts,
    goes,
    item,
    line,
    reasons,
    serials,
)
from tests.returning_builders import delivered, returned, shop, unit, waits


def test_a_unit_that_comes_back_is_active_again_and_keeps_its_warranty_and_its_supplier() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S2,S8"), document="DN-1")
    judged = of.accepted("sales_return", line("phone", serials="S8"), against=against(out))
    assert returned(judged, out) == [(1, "1", None, ["S8"], 0)]
    back = unit(of, "S8")
    assert (back.status, back.warehouse, back.batch) == (SerialStatus.ACTIVE, "north", "P1")
    assert (back.customer, back.customer_document) == (None, None)
    assert (back.warranty_until, back.supplier) == (date(2028, 3, 1), "Foundry")
    assert back.entered is not None
    assert (back.entered.at, back.entered.stamp) == (judged.allocated.effective_at, 3)
    assert [(each.key[2], each.left, each.came_to) for each in judged.events] == [("S8", False, "north")]
    assert (unit(of, "S2").status, of.quantity("phone")) == (SerialStatus.DELIVERED, "8")


def test_a_unit_that_comes_back_to_a_transit_warehouse_is_in_transit() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S2"))
    of.accepted("sales_return", line("phone", 1, target="on-the-way"), against=against(out))
    assert unit(of, "S2").status is SerialStatus.IN_TRANSIT


def test_named_units_come_back_by_the_legs_that_had_them_and_are_picked_in_the_order_listed() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S3"), goes("phone", serials="S4-S9"))
    judged = of.ask("sales_return", line("phone", serials="S5,S1,S3,S4"), against=against(out))
    assert returned(judged, out) == [(1, "2", None, ["S5", "S4"], 1), (1, "2", None, ["S1", "S3"], 0)]
    assert serials(of.ask("delivery", goes("phone", 3))) == ["S5", "S4", "S1"]


def test_a_named_unit_belongs_to_the_line_of_the_original_that_is_named() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S3"), goes("phone", serials="S4-S9"))
    assert of.refused("sales_return", line("phone", serials="S4", against_line=1), against=against(out)) == [
        ("not_in_original", 1)
    ]
    of.accepted("sales_return", line("phone", serials="S4", against_line=2), against=against(out))
    judged = of.ask("sales_return", line("phone", serials="S5", against_line=9), against=against(out))
    assert reasons(judged) == [("unknown_original_line", 1)]
    of.accepted("material_receipt", comes("tea", 1))
    other = delivered(of, goes("tea", 1))
    judged = of.ask("sales_return", line("phone", serials="S5"), against=against(other))
    assert facts(judged, "not_in_original") == {"item": "phone"}


def test_units_that_were_returned_already_are_told_together() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S5"))
    of.accepted("sales_return", line("phone", serials="S1-S3"), against=against(out))
    of.accepted("scrap", goes("phone", serials="S1-S3"))
    judged = of.ask("sales_return", line("phone", serials="S1-S4"), against=against(out))
    assert reasons(judged) == [("over_return", 1)]
    assert facts(judged, "over_return") == {
        "item": "phone",
        "serials": "S1, S2, S3",
        "wanted": "4",
        "returnable": "1",
    }


def test_units_that_were_returned_and_units_that_never_left_by_it_are_told_apart() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S3"))
    of.accepted("sales_return", line("phone", serials="S1"), against=against(out))
    judged = of.ask("sales_return", line("phone", serials="S1-S5"), against=against(out))
    assert reasons(judged) == [("not_in_original", 1), ("over_return", 1)]
    assert facts(judged, "not_in_original") == {"item": "phone", "serials": "S4, S5"}
    assert facts(judged, "over_return") == {"item": "phone", "serials": "S1", "wanted": "5", "returnable": "2"}


def test_a_unit_comes_back_once_in_a_movement() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S5"))
    twice = [line("phone", serials="S1-S2"), line("phone", serials="S2-S3")]
    assert of.refused("sales_return", *twice, against=against(out)) == [("over_return", 2)]


def test_unnamed_units_are_the_originals_in_their_order_without_those_that_came_back() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S3,S1,S2"), goes("phone", serials="S5-S7"))
    of.accepted("sales_return", line("phone", serials="S1"), against=against(out))
    of.accepted("material_receipt", comes("phone", serials="S2,S5"))
    delivered(of, goes("phone", serials="S5"))
    judged = of.ask("sales_return", line("phone", 2), line("phone", 1), against=against(out))
    assert returned(judged, out) == [
        (1, "1", None, ["S3"], 0),
        (1, "1", None, ["S6"], 1),
        (2, "1", None, ["S7"], 1),
    ]
    judged = of.ask("sales_return", line("phone", 1), against=against(out))
    assert facts(judged, "over_return") == {"item": "phone", "wanted": "1", "returnable": "0"}


def test_a_unit_that_stands_in_stock_by_other_ways_cannot_come_back_and_may_yet_leave() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1"))
    of.accepted("material_receipt", comes("phone", None, "south", serials="S1"))
    judged = of.ask("sales_return", line("phone", serials="S1"), against=against(out))
    assert reasons(judged) == [("serial_in_stock", 1)]
    assert facts(judged, "serial_in_stock")["warehouse"] == "south"
    assert waits(judged) == ["leaving:shop:phone:S1"]


def test_a_unit_that_went_out_again_is_out_by_that_delivery_alone() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1"))
    of.accepted("material_receipt", comes("phone", serials="S1"))
    again = delivered(of, goes("phone", serials="S1"))
    assert of.refused("sales_return", line("phone", serials="S1"), against=against(out)) == [("over_return", 1)]
    of.accepted("sales_return", line("phone", serials="S1"), against=against(again))


def test_a_batch_named_with_units_is_that_of_each_of_them() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S6-S9"))
    judged = of.ask("sales_return", line("phone", serials="S7-S8", batch="P1"), against=against(out))
    assert reasons(judged) == [("serial_of_another_batch", 1)]
    assert facts(judged, "serial_of_another_batch") == {"serial": "S7", "batch": "P1", "its": "none"}
    judged = of.ask("sales_return", line("phone", serials="S8", batch="P2"), against=against(out))
    assert facts(judged, "serial_of_another_batch") == {"serial": "S8", "batch": "P2", "its": "P1"}
    assert serials(of.ask("sales_return", line("phone", 2, batch="P1"), against=against(out))) == ["S8", "S9"]
    assert {key[1] for key in of.stock.batch_stock} == {"cream"}


def test_units_come_back_whatever_their_item_says_of_reuse_and_picking() -> None:
    of = shop()
    out = delivered(of, goes("phone", serials="S1-S2"))
    of.stock.items["shop", "phone"] = item("phone", tracking="serial", reuse_serials=False, pick="explicit")
    of.accepted("sales_return", line("phone", 1), against=against(out))
