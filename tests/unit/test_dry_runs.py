"""Dry runs: a movement is judged like any other, and nothing of it is left behind."""

from copy import deepcopy
from decimal import Decimal

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Request
from shared.contracts.movement import AdditionalCost, Reference, RequestedLine
from shared.quantities import Money
from tests.builders import SOURCE
from tests.receiving_builders import (
    Shop,
    comes,
    decided,
    goes,
    item,
    line,
    movement,
    moves,
    reasons,
    request,
    serials,
)

TEA = item("tea", allow_negative_stock=True, standard_rate=Decimal(2))
PHONE = item("phone", tracking="serial", serial_series="S-.##")
CREAM = item("cream", tracking="batch", batch_series="C.##")
COSTS = [AdditionalCost(amount=Money("1"))]


def stocked() -> Shop:
    shop = Shop(TEA, PHONE, CREAM)
    shop.accepted("purchase_receipt", comes("tea", 5), comes("phone", 3), comes("cream", 5), id="R")
    shop.accepted("delivery", goes("phone", 1), goes("tea", 1), id="D")
    return shop


ASKED: list[tuple[str, list[RequestedLine], dict[str, object]]] = [
    ("purchase_receipt", [comes("phone", 2), comes("cream", 1)], {"additional_costs": COSTS}),
    ("delivery", [goes("tea", 9), goes("phone", 1), goes("cream", 1)], {}),
    ("material_transfer", [moves("phone", 2), moves("cream", 2)], {}),
    ("manufacture", [goes("tea", 1), line("phone", 1, target="south")], {}),
    ("reconciliation", [line("phone", 0, target="north"), line("tea", 1, target="north", rate="3")], {}),
    ("write_down", [line("cream", source="north", rate="0.5", batch="C01")], {}),
    ("sales_return", [line("phone", 1), line("tea", 1)], {"against": Reference(id="D")}),
    ("purchase_return", [line("cream", 1)], {"against": Reference(id="R")}),
    ("landed_cost", [line(against_line=3)], {"against": Reference(id="R"), "additional_costs": COSTS}),
]


@pytest.mark.parametrize(("purpose", "asked", "fields"), ASKED)
def test_a_movement_that_is_only_tried_is_told_what_it_would_do_and_does_nothing(
    purpose: str, asked: list[RequestedLine], fields: dict[str, object]
) -> None:
    shop = stocked()
    before = deepcopy(shop.stock)
    tried = shop.accepted(purpose, *asked, **fields, dry_run=True, id="T")
    assert shop.stock == before
    assert tried.allocated.trial == tried.outcome
    again = shop.accepted(purpose, *asked, **fields, id="T", at=tried.allocated.posting_at)
    assert again.allocated.trial is None
    assert (again.allocated.legs, again.allocated.stamps) == (tried.allocated.legs, tried.allocated.stamps)
    assert again.outcome == tried.outcome
    assert shop.stock != before


def test_a_refusal_says_whether_the_movement_was_only_tried() -> None:
    shop = stocked()
    for dry_run in (True, False):
        judged = shop.ask("delivery", goes("phone", 9), dry_run=dry_run)
        assert isinstance(judged, Rejected)
        assert (judged.outcome.dry_run, reasons(judged)) == (dry_run, [("insufficient_stock", 1)])


@pytest.mark.parametrize("wrong", [{"purpose": "theft"}, {"company": "ghost"}, {"purpose": "cancellation"}])
def test_a_trial_that_cannot_be_judged_at_all_says_that_it_was_one(wrong: dict[str, str]) -> None:
    judged = stocked().ask(**{"purpose": "delivery", **wrong}, dry_run=True)  # type: ignore[arg-type]
    assert isinstance(judged, Rejected)
    assert judged.outcome.dry_run


def test_what_could_not_be_read_is_no_trial() -> None:
    (judged,) = decided([Request(SOURCE, "M1", b"", problem="wrong")], stocked().stock)
    assert isinstance(judged, Rejected)
    assert not judged.outcome.dry_run


def test_a_movement_of_the_same_set_does_not_see_what_another_only_tried() -> None:
    shop = stocked()
    receipt = movement("opening_stock", comes("phone", 1), id="T", dry_run=True)
    asked = [receipt, movement("opening_stock", comes("phone", 1), id="A")]
    tried, done = decided([request(each) for each in asked], shop.stock)
    assert serials(tried) == serials(done) == ["S-04"]
    assert (SOURCE, "T") not in shop.stock.originals
    assert isinstance(tried, Accepted)
