"""Landed costs: a receipt's goods are worth more, or less, from the receipt on, whatever became of them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Limits
from services.receiving.decide.originals import entry_id, legs_with_entries
from shared.contracts.movement import AdditionalCost, Reference, RequestedLine
from shared.quantities import ZERO, Money, Quantity
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import EVENING, Shop, comes, company, facts, goes, item, line, moves, reasons

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
Spread = Literal["amount", "quantity", "share"]
TEA = item("tea")
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial")


def stocked() -> Shop:
    """Ten tea, four cream of a batch and two phones, by the purchase receipt R in the north."""
    shop = Shop(TEA, CREAM, PHONE)
    lines = [comes("tea", 10, rate="2"), comes("cream", 4, batch="B1"), comes("phone", serials="S1,S2", rate="100")]
    shop.accepted("purchase_receipt", *lines, id="R")
    return shop


def lands(
    shop: Shop,
    *lines: RequestedLine,
    against: str = "R",
    amount: str = "12",
    spread: Spread = "amount",
    **fields: Any,
) -> Accepted | Rejected:
    """Judge a landed cost."""
    costs = [AdditionalCost(amount=Money(amount), spread=spread)]
    return shop.ask("landed_cost", *lines, against=Reference(id=against), additional_costs=costs, **fields)


def of_line(number: int, share: str | None = None, **fields: Any) -> RequestedLine:
    return line(against_line=number, share=Quantity(share) if share is not None else None, **fields)


def revalued(judged: Accepted | Rejected) -> list[tuple[int, str, str | None, list[str], Quantity | None]]:
    """What an accepted landed cost revalues: line and item of the receipt, batch, serials, share."""
    assert isinstance(judged, Accepted), reasons(judged)
    assert all(leg.quantity == 0 and leg.amount is None for leg in judged.allocated.legs)
    return [(leg.line, leg.item, leg.batch, leg.serials, leg.share) for leg in judged.allocated.legs]


# --- what is revalued -------------------------------------------------------------------------------------------------


def test_a_landed_cost_revalues_every_line_of_its_receipt() -> None:
    shop = stocked()
    judged = lands(shop)
    assert revalued(judged) == [
        (1, "tea", None, [], None),
        (2, "cream", "B1", [], None),
        (3, "phone", None, ["S1", "S2"], None),
    ]
    assert isinstance(judged, Accepted)
    receipt = shop.stock.originals[SOURCE, "R"]
    assert receipt is not None
    assert [leg.original for leg in judged.allocated.legs] == [entry_id(receipt, place) for place in range(3)]
    assert [each.stamp for each in judged.allocated.stamps] == [2, 2, 2]
    assert judged.allocated.against is not None
    assert judged.allocated.against.id == "R"


def test_a_landed_cost_revalues_the_lines_that_it_names_by_their_shares() -> None:
    judged = lands(stocked(), of_line(3, "2.5"), of_line(1), spread="share")
    assert revalued(judged) == [(1, "tea", None, [], None), (3, "phone", None, ["S1", "S2"], Quantity("2.5"))]
    assert isinstance(judged, Accepted)
    assert [each.item for each in judged.allocated.stamps] == ["cream", "phone", "tea"]


def test_nothing_moves_by_a_landed_cost() -> None:
    shop = stocked()
    before = (dict(shop.stock.serials), dict(shop.stock.batches), dict(shop.stock.batch_stock))
    judged = lands(shop)
    assert (shop.stock.serials, shop.stock.batches, shop.stock.batch_stock) == before
    assert isinstance(judged, Accepted)
    assert judged.events == []
    assert (shop.quantity("tea"), shop.quantity("cream"), shop.quantity("phone")) == ("10", "4", "2")


def test_a_receipt_may_cost_more_again_and_less_again() -> None:
    shop = stocked()
    for amount in ("12", "3", "-15"):
        assert len(revalued(lands(shop, amount=amount))) == 3


@pytest.mark.parametrize("purpose", ["material_receipt", "opening_stock"])
def test_any_receipt_may_have_a_landed_cost_and_nothing_else_may(purpose: str) -> None:
    shop = stocked()
    shop.accepted(purpose, comes("tea", 1, "south"), id="R2")
    assert len(revalued(lands(shop, against="R2"))) == 1
    shop.accepted("material_transfer", moves("tea", 1, "south", "north"), id="T")
    assert reasons(lands(shop, against="T")) == [("wrong_original", None)]


# --- what its lines may say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ([of_line(4)], [("unknown_original_line", 1)]),
        ([of_line(1), of_line(2), of_line(1)], [("line_repeated", 3)]),
        ([line(share=Quantity("1"))], [("against_line_missing", 1)]),
        ([of_line(1, "-1")], [("share_negative", 1)]),
        ([of_line(1, line=7), of_line(2, line=7)], [("line_repeated", 7)]),
        ([of_line(1, item="tea")], [("landed_line_names_goods", 1)]),
        ([of_line(1, quantity=1)], [("landed_line_names_goods", 1)]),
        ([of_line(1, serials=[])], [("landed_line_names_goods", 1)]),
    ],
)
def test_a_line_of_a_landed_cost_names_a_line_of_the_receipt_and_its_share_alone(
    named: list[RequestedLine], refused: list[tuple[str, int]]
) -> None:
    assert reasons(lands(stocked(), *named)) == refused


def test_a_line_that_names_goods_is_told_by_which_fields() -> None:
    goods = of_line(1, item="tea", rate="2", target="north", batch="B")
    assert facts(lands(stocked(), goods), "landed_line_names_goods") == {"fields": "item, target, rate, batch"}


def test_costs_spread_by_shares_need_one() -> None:
    assert reasons(lands(stocked(), spread="share")) == [("share_missing", None)]
    assert reasons(lands(stocked(), of_line(1, "0"), spread="share")) == [("share_missing", None)]


def test_a_landed_cost_without_receipt_or_costs_is_refused() -> None:
    shop = stocked()
    assert shop.refused("landed_cost", company="shop") == [("against_missing", None), ("costs_missing", None)]
    assert shop.refused("landed_cost", against=Reference(id="R")) == [("costs_missing", None)]
    assert reasons(lands(shop, against="GHOST")) == [("unknown_original", None)]


def test_a_landed_cost_has_no_more_lines_than_a_movement_may_have() -> None:
    shop = stocked()
    shop.limits = Limits(lines=1)
    assert reasons(lands(shop, of_line(1), of_line(9))) == [("too_many_lines", None)]


# --- goods that moved on ----------------------------------------------------------------------------------------------


def _count(what: str, quantity: int, **fields: Any) -> Callable[[Shop], Accepted]:
    return lambda shop: shop.accepted("reconciliation", line(what, quantity, target="north", **fields))


MOVED_ON: list[Callable[[Shop], Accepted]] = [
    lambda shop: shop.accepted("delivery", goes("tea", 1)),
    lambda shop: shop.accepted("material_transfer", moves("tea", 1)),
    _count("tea", 10),
    lambda shop: shop.accepted("write_down", line("tea", source="north", rate="1")),
    lambda shop: shop.accepted("material_receipt", comes("tea", 1, rate=None)),
    lambda shop: shop.accepted("delivery", goes("cream", 1)),
    _count("cream", 4, batch="B1"),
    lambda shop: shop.accepted("write_down", line("cream", source="north", rate="1", batch="B1")),
    lambda shop: shop.accepted("material_receipt", comes("cream", 1, rate=None, batch="B2")),
    lambda shop: shop.accepted("delivery", goes("phone", serials="S2")),
    lambda shop: shop.accepted("material_transfer", moves("phone", serials="S1")),
    _count("phone", 2, serials="S1,S2"),
    lambda shop: shop.accepted("write_down", line("phone", source="north", rate="1")),
]


@pytest.mark.parametrize("move", MOVED_ON)
def test_goods_that_moved_on_or_were_valued_since_are_revalued_like_the_others(
    move: Callable[[Shop], Accepted],
) -> None:
    shop = stocked()
    move(shop)
    before = {what: shop.quantity(what) for what in ("tea", "cream", "phone")}
    assert len(revalued(lands(shop))) == 3
    assert len(revalued(lands(shop, of_line(2)))) == 1
    assert {what: shop.quantity(what) for what in before} == before


def test_a_landed_cost_brings_nothing_back_of_what_was_used_up() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 10), goes("cream", 4), goes("phone", 2))
    judged = lands(shop)
    assert isinstance(judged, Accepted)
    assert [(leg.quantity, leg.batch, leg.serials) for leg in judged.allocated.legs] == [
        (ZERO, None, []),
        (ZERO, "B1", []),
        (ZERO, None, ["S1", "S2"]),
    ]
    assert judged.events == []
    assert [shop.quantity(what) for what in ("tea", "cream", "phone")] == ["0", "0", "0"]


# --- when it takes effect ---------------------------------------------------------------------------------------------


def test_a_landed_cost_takes_effect_when_its_receipt_did_whatever_came_since() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("tea", 5, rate="3"), at=MORNING + 10 * MINUTE)
    receipt = shop.stock.originals[SOURCE, "R"]
    assert receipt is not None
    for posted in (MORNING - DAY, MORNING + 5 * MINUTE, EVENING):
        judged = lands(shop, at=posted)
        assert isinstance(judged, Accepted)
        assert judged.allocated.effective_at == receipt.effective_at
        assert (judged.allocated.posting_at, judged.allocated.posting_date) == (posted, MORNING.date())
    assert shop.stock.bins["shop", "tea", "north"].last_at == MORNING + 10 * MINUTE


def test_a_landed_cost_of_a_closed_day_takes_effect_then_and_is_dated_on_the_first_open_one() -> None:
    shop = stocked()
    tomorrow = MORNING.date() + DAY
    shop.stock.companies["shop"] = company(open_from=tomorrow, time_zone="Asia/Tokyo")
    shop.now = EVENING + DAY
    judged = lands(shop, at=EVENING)
    assert isinstance(judged, Accepted)
    assert judged.allocated.posting_date == tomorrow
    assert judged.allocated.dated_at == datetime(2026, 3, 2, 15, tzinfo=UTC)
    receipt = shop.stock.originals[SOURCE, "R"]
    assert receipt is not None
    assert judged.allocated.effective_at == receipt.effective_at
    assert judged.allocated.open_from == tomorrow
    assert reasons(lands(shop, at=MORNING)) == [("period_closed", None)]


def test_a_landed_cost_of_an_open_day_counts_when_it_takes_effect() -> None:
    shop = stocked()
    shop.stock.companies["shop"] = company(open_from=MORNING.date())
    judged = lands(shop, at=EVENING)
    assert isinstance(judged, Accepted)
    assert (judged.allocated.dated_at, judged.allocated.posting_date) == (None, MORNING.date())


def test_a_landed_cost_from_the_future_is_refused() -> None:
    assert reasons(lands(stocked(), at=EVENING + DAY)) == [("posting_in_future", None)]


def test_the_entries_of_a_receipt_are_named_by_the_places_of_its_legs() -> None:
    shop = stocked()
    receipt = shop.stock.originals[SOURCE, "R"]
    assert receipt is not None
    assert [(entry, leg.line) for entry, leg in legs_with_entries(receipt)] == [
        (entry_id(receipt, 0), 1),
        (entry_id(receipt, 1), 2),
        (entry_id(receipt, 2), 3),
    ]
