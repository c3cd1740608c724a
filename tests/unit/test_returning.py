"""What customers return: of the movement that it names, leg by leg, and never more than left by it."""

import time
from datetime import timedelta
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.stock import Warehouse
from shared.contracts.movement import Reference
from shared.purposes import BatchState
from shared.quantities import plain
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import (
    Shop,
    against,
    comes,
    company,
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
from tests.returning_builders import MINUTE, TEA, delivered, returned, shop, waits

DAY = timedelta(days=1)


# --- how much ---------------------------------------------------------------------------------------------------------


def test_a_delivery_comes_back_bit_by_bit_until_nothing_of_it_is_out() -> None:
    of = shop()
    out = delivered(of, goes("tea", 10))
    for quantity, remaining in (("4", "94"), ("5.5", "99.5"), ("0.5", "100")):
        judged = of.ask("sales_return", line("tea", quantity), against=against(out))
        assert returned(judged, out) == [(1, quantity, None, [], 0)]
        assert of.quantity("tea") == remaining
    judged = of.ask("sales_return", line("tea", "0.000001"), against=against(out))
    assert reasons(judged) == [("over_return", 1)]
    assert facts(judged, "over_return") == {"item": "tea", "wanted": "0.000001", "returnable": "0"}


def test_never_more_comes_back_than_was_delivered_less_returned() -> None:
    of = shop()
    out = delivered(of, goes("tea", 10))
    assert of.refused("sales_return", line("tea", 11), against=against(out)) == [("over_return", 1)]
    of.accepted("sales_return", line("tea", 4), against=against(out))
    judged = of.ask("sales_return", line("tea", 7), against=against(out))
    assert facts(judged, "over_return") == {"item": "tea", "wanted": "7", "returnable": "6"}
    of.accepted("sales_return", line("tea", 6), against=against(out))


def test_a_refused_return_leaves_what_may_come_back_as_it_was() -> None:
    of = shop()
    out = delivered(of, goes("tea", 10))
    of.refused("sales_return", line("tea", 10), line("ghost", 1), against=against(out))
    of.accepted("sales_return", line("tea", 10), against=against(out))


def test_another_delivery_of_the_same_goods_does_not_count() -> None:
    of = shop()
    out = delivered(of, goes("tea", 10))
    delivered(of, goes("tea", 10))
    assert of.refused("sales_return", line("tea", 11), against=against(out)) == [("over_return", 1)]


def test_a_return_in_boxes_is_counted_in_stock_units() -> None:
    of = shop()
    out = delivered(of, goes("tea", 13))
    assert of.refused("sales_return", line("tea", 2, unit="box"), against=against(out)) == [("over_return", 1)]
    assert returned(of.ask("sales_return", line("tea", 1, unit="box"), against=against(out)), out)[0][1] == "12"


# --- which legs -------------------------------------------------------------------------------------------------------


def test_one_line_takes_from_several_legs_in_the_order_of_the_original() -> None:
    of = shop()
    out = delivered(of, goes("cream", 14), goes("tea", 1), goes("cream", 3, batch="B2"))
    assert taken(out) == [("B1", "10"), ("B2", "4"), (None, "1"), ("B2", "3")]
    first = of.ask("sales_return", line("cream", 12), against=against(out))
    assert returned(first, out) == [(1, "10", "B1", [], 0), (1, "2", "B2", [], 1)]
    rest = of.ask("sales_return", line("cream", 5), against=against(out))
    assert returned(rest, out) == [(1, "2", "B2", [], 1), (1, "3", "B2", [], 3)]


def test_lines_of_one_return_see_what_those_before_them_took_of_the_same_leg() -> None:
    of = shop()
    out = delivered(of, goes("tea", 10))
    lines = [line("tea", 4), line("tea", 4), line("tea", 3)]
    judged = of.ask("sales_return", *lines, against=against(out))
    assert reasons(judged) == [("over_return", 3)]
    assert facts(judged, "over_return")["returnable"] == "2"
    judged = of.ask("sales_return", *lines[:2], line("tea", 2), against=against(out))
    assert returned(judged, out) == [(n, quantity, None, [], 0) for n, quantity in ((1, "4"), (2, "4"), (3, "2"))]


def test_a_line_may_name_the_line_of_the_original_that_it_returns() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5, line=10), goes("tea", 6, line=20), goes("cream", 1, line=30))
    judged = of.ask("sales_return", line("tea", 6, against_line=20), against=against(out))
    assert returned(judged, out) == [(1, "6", None, [], 1)]
    assert of.refused("sales_return", line("tea", 1, against_line=20), against=against(out)) == [("over_return", 1)]
    for wrong in (30, 99):
        judged = of.ask("sales_return", line("tea", 1, against_line=wrong), against=against(out))
        assert reasons(judged) == [("unknown_original_line", 1)]
        assert facts(judged, "unknown_original_line") == {"item": "tea", "against_line": str(wrong)}


def test_a_named_batch_comes_back_by_the_legs_that_had_it() -> None:
    of = shop()
    out = delivered(of, goes("cream", 14))
    assert returned(of.ask("sales_return", line("cream", 4, batch="B2"), against=against(out)), out) == [
        (1, "4", "B2", [], 1)
    ]
    assert of.refused("sales_return", line("cream", 1, batch="B2"), against=against(out)) == [("over_return", 1)]


def test_a_named_batch_and_a_named_line_of_the_original_belong_together() -> None:
    of = shop()
    out = delivered(of, goes("cream", 4, batch="B1"), goes("cream", 4, batch="B2"))
    crossed = of.ask("sales_return", line("cream", 1, batch="B2", against_line=1), against=against(out))
    assert reasons(crossed) == [("not_in_original", 1)]
    assert facts(crossed, "not_in_original") == {"item": "cream", "batch": "B2"}
    fitting = line("cream", 1, batch="B2", against_line=2)
    assert returned(of.ask("sales_return", fitting, against=against(out)), out) == [(1, "1", "B2", [], 1)]


def test_what_the_original_never_had_does_not_come_back_by_it() -> None:
    of = shop()
    out = delivered(of, goes("cream", 5, batch="B1"), goes("phone", serials="S1-S2"))
    lines = [line("tea", 1), line("cream", 1, batch="B2"), line("phone", serials="S2-S4")]
    judged = of.ask("sales_return", *lines, against=against(out))
    assert isinstance(judged, Rejected)
    assert [(each.code, each.line, each.facts) for each in judged.outcome.reasons] == [
        ("not_in_original", 1, {"item": "tea"}),
        ("not_in_original", 2, {"item": "cream", "batch": "B2"}),
        ("not_in_original", 3, {"item": "phone", "serials": "S3, S4"}),
    ]


# --- where to ---------------------------------------------------------------------------------------------------------


def test_goods_come_back_to_where_they_came_from_unless_the_line_names_another_warehouse() -> None:
    of = shop()
    of.accepted("material_transfer", moves("tea", 20))
    out = delivered(of, goes("tea", 5), goes("tea", 6, "south"))
    of.accepted("sales_return", line("tea", 8), against=against(out))
    assert (of.quantity("tea"), of.quantity("tea", "south")) == ("80", "17")
    of.accepted("sales_return", line("tea", 3, target="quarantine"), against=against(out))
    assert of.quantity("tea", "quarantine") == "3"


def test_a_return_takes_a_stamp_in_every_bin_of_its_original() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5), goes("cream", 1))
    judged = of.accepted("sales_return", line("tea", 5, target="south"), against=against(out))
    assert [(each.item, each.warehouse, each.stamp) for each in judged.allocated.stamps] == [
        ("cream", "north", 3),
        ("tea", "north", 3),
        ("tea", "south", 1),
    ]


def test_a_rate_is_known_where_a_return_came() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5))
    assert of.refused("material_receipt", comes("tea", 1, "south", None)) == [("rate_missing", 1)]
    of.accepted("sales_return", line("tea", 5, target="south"), against=against(out))
    of.accepted("material_receipt", comes("tea", 1, "south", None))


def test_a_return_names_no_source_and_fills_no_bin_beyond_what_a_message_can_tell() -> None:
    of = Shop(TEA)
    of.accepted("material_receipt", comes("tea", "600000000000", rate="0.001"))
    out = delivered(of, goes("tea", "600000000000"))
    of.accepted("material_receipt", comes("tea", "600000000000", rate="0.001"))
    assert of.refused("sales_return", goes("tea", 1), against=against(out)) == [("source_not_allowed", 1)]
    assert of.refused("sales_return", line("tea", "600000000000"), against=against(out)) == [("quantity_too_large", 1)]


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [BatchState.HELD, BatchState.RECALLED])
def test_returns_come_into_any_batch_held_recalled_or_expired(state: BatchState) -> None:
    of = shop()
    out = delivered(of, goes("cream", 5, batch="B1"))
    of.hold("cream", "B1", state)
    of.stock.batches["shop", "cream", "B1"] = of.stock.batches["shop", "cream", "B1"]._replace(
        expires_on=MORNING.date() - DAY
    )
    assert taken(of.ask("sales_return", line("cream", 5), against=against(out))) == [("B1", "5")]
    assert of.stock.batches["shop", "cream", "B1"].state is state


def test_a_batch_that_was_nowhere_enters_anew_and_one_that_was_somewhere_does_not() -> None:
    of = shop()
    out = delivered(of, goes("cream", 10, batch="B1"), goes("cream", 9, batch="B2"))
    before = {number: of.stock.batches["shop", "cream", number].entered for number in ("B1", "B2")}
    judged = of.accepted("sales_return", line("cream", 11), against=against(out))
    after = {number: of.stock.batches["shop", "cream", number].entered for number in ("B1", "B2")}
    assert after["B2"] == before["B2"]
    assert after["B1"] is not None
    assert (after["B1"].at, after["B1"].stamp) == (judged.allocated.effective_at, 3)
    assert plain(of.stock.batch_stock["shop", "cream", "north", "B1"].quantity) == "10"
    assert plain(of.stock.batch_totals["shop", "cream", "B2"]) == "2"


def test_a_disabled_item_comes_back_but_does_not_go_out_again() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5))
    of.stock.items["shop", "tea"] = item("tea", disabled=True)
    of.accepted("sales_return", line("tea", 5), against=against(out))
    assert of.refused("delivery", goes("tea", 5)) == [("item_disabled", 1)]


def test_a_return_of_five_thousand_lines_is_judged_within_seconds() -> None:
    of = shop()
    of.accepted("material_receipt", comes("tea", 10_000))
    out = delivered(of, *[goes("tea", 2)] * 5_000)
    started = time.process_time()
    of.accepted("sales_return", *[line("tea", 1)] * 5_000, against=against(out))
    assert time.process_time() - started < 3


# --- the original -----------------------------------------------------------------------------------------------------


def test_a_return_may_stand_in_one_set_with_its_original() -> None:
    of = shop()
    asked = [
        movement("delivery", goes("phone", 2), goes("tea", 5), id="D", at=MORNING + MINUTE),
        movement(
            "sales_return", line("phone", 2), line("tea", 3), id="R", at=MORNING + MINUTE, against=Reference(id="D")
        ),
        movement("sales_return", line("tea", 3), id="R2", at=MORNING + MINUTE, against=Reference(id="D")),
    ]
    out, back, more = decided([request(each) for each in asked], of.stock)
    assert isinstance(out, Accepted)
    assert returned(back, out) == [(1, "2", None, ["S1", "S2"], 0), (2, "3", None, [], 1)]
    assert back.allocated.against is not None  # type: ignore[union-attr]
    assert facts(more, "over_return")["returnable"] == "2"


@pytest.mark.parametrize("fields", [{}, {"company": "shop"}])
def test_a_return_whose_original_has_not_come_waits_for_it_alone(fields: dict[str, Any]) -> None:
    of = shop()
    judged = of.ask("sales_return", line("tea", 5), line("phone", 1), against=Reference(id="D"), **fields)
    assert reasons(judged) == [("unknown_original", None)]
    assert waits(judged) == [f"movement:{SOURCE}:D"]
    priced = line("tea", 5, target="north", net="5")
    assert of.refused("sales_return", priced, against=Reference(id="D")) == [("unknown_original", None)]
    of.accepted("delivery", goes("tea", 5), goes("phone", 1), id="D")
    of.accepted("sales_return", line("tea", 5), line("phone", 1), against=Reference(id="D"), **fields)


def test_nothing_comes_back_of_a_movement_that_was_refused() -> None:
    of = shop()
    of.stock.originals[SOURCE, "D"] = None
    assert of.refused("sales_return", line("tea", 5, target="north"), against=Reference(id="D")) == [
        ("original_rejected", None)
    ]


def test_only_what_went_to_a_customer_comes_back_and_a_return_is_not_returned() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5))
    back = of.accepted("sales_return", line("tea", 2), against=against(out))
    issued = of.accepted("material_issue", goes("tea", 5))
    for wrong in (back, issued):
        judged = of.ask("sales_return", line("tea", 1, target="north"), against=against(wrong))
        assert reasons(judged) == [("wrong_original", None)]
        assert facts(judged, "wrong_original")["purpose"] == wrong.allocated.purpose


def test_a_return_is_of_the_same_company_as_its_original() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5))
    of.stock.companies["twin"] = company("twin")
    of.stock.warehouses["twin", "abroad"] = Warehouse("twin", "abroad")
    judged = of.ask("sales_return", line("tea", 5, target="abroad"), against=against(out))
    assert reasons(judged) == [("original_elsewhere", None), ("unknown_item", 1)]
    assert facts(judged, "original_elsewhere")["company"] == "shop"


def test_nothing_comes_back_before_it_left() -> None:
    of = shop()
    out = delivered(of, goes("tea", 5), at=MORNING + 10 * MINUTE)
    early = of.ask("sales_return", line("tea", 5), against=against(out), at=MORNING + 4 * MINUTE)
    assert reasons(early) == [("before_its_original", None)]
    late = of.accepted("sales_return", line("tea", 5), against=against(out), at=MORNING + 6 * MINUTE)
    assert late.allocated.effective_at == MORNING + 10 * MINUTE
