"""Additional costs: which movements take them, their accounts, and how they are to be spread."""

from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from shared.contracts.movement import AdditionalCost, AllocatedCost, RequestedLine
from shared.purposes import PURPOSES, AccountKind, Flow, Role
from shared.quantities import Money, Quantity, plain
from tests.receiving_builders import Shop, comes, company, facts, goes, item, line, moves, reasons

TEA = item("tea")
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PLACES: dict[Flow, dict[str, str]] = {
    Flow.MOVE: {"source": "north", "target": "south"},
    Flow.IN: {"target": "north"},
    Flow.COUNT: {"target": "north"},
    Flow.COME_BACK: {"target": "north"},
}
TAKING = ("opening_stock", "material_receipt", "purchase_receipt", "material_transfer", "manufacture", "repack")


def cost(amount: str, **fields: Any) -> AdditionalCost:
    return AdditionalCost(amount=Money(amount), **fields)


def brings(
    *costs: AdditionalCost, lines: tuple[RequestedLine, ...] = (comes("tea", 1),), **of: Any
) -> Accepted | Rejected:
    """Judge a receipt with additional costs."""
    return Shop(TEA, **of).ask("material_receipt", *lines, additional_costs=list(costs))


def told(judged: Accepted | Rejected) -> list[AllocatedCost]:
    assert isinstance(judged, Accepted), reasons(judged)
    return judged.allocated.additional_costs


def test_a_cost_has_the_account_that_it_names_or_that_of_its_role() -> None:
    of = company(accounts={"4711": AccountKind.EXPENSE}, roles={Role.EXPENSES_IN_VALUATION: "4711"})
    judged = brings(cost("5"), cost("2.50", account="temporary_opening", spread="quantity"), of=of)
    assert told(judged) == [
        AllocatedCost(account="4711", amount=Money("5"), spread="amount"),
        AllocatedCost(account="temporary_opening", amount=Money("2.50"), spread="quantity"),
    ]
    assert [each.account for each in told(brings(cost("5")))] == ["expenses_in_valuation"]


def test_a_cost_of_nothing_is_left_out() -> None:
    assert [plain(each.amount) for each in told(brings(cost("0"), cost("1"), cost("0.00")))] == ["1"]


@pytest.mark.parametrize(
    ("costs", "refused"),
    [
        ([cost("-1")], [("cost_negative", None)]),
        ([cost("1.001")], [("too_many_places", None)]),
        ([cost("1", account="ghost")], [("unknown_account", None)]),
        ([cost("1", spread="share")], [("share_missing", None)]),
        ([cost("999999999999999"), cost("1")], [("amount_too_large", None)]),
        ([cost("-1.001", account="ghost"), cost("1", account="fog")], [
            ("too_many_places", None), ("cost_negative", None), ("unknown_account", None), ("unknown_account", None),
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_costs_is_told_all_at_once(
    costs: list[AdditionalCost], refused: list[tuple[str, None]]
) -> None:
    assert reasons(brings(*costs)) == refused


def test_what_is_wrong_with_costs_is_told_with_what_was_said() -> None:
    wrong = brings(cost("-1.001", account="ghost"), cost("2", spread="share"))
    assert isinstance(wrong, Rejected)
    assert {each.code: each.facts for each in wrong.outcome.reasons} == {
        "too_many_places": {"amount": "-1.001", "currency": "EUR"},
        "cost_negative": {"amount": "-1.001"},
        "unknown_account": {"account": "ghost"},
        "share_missing": {"amount": "2"},
    }


def test_costs_are_spread_by_shares_where_one_line_has_a_share() -> None:
    lines = (comes("tea", 1, share=Quantity("2")), comes("tea", 1))
    judged = brings(cost("1", spread="share"), lines=lines)
    assert [each.spread for each in told(judged)] == ["share"]
    assert isinstance(judged, Accepted)
    assert [leg.share for leg in judged.allocated.legs] == [Quantity("2"), None]


def test_a_share_below_zero_is_refused_whatever_moves() -> None:
    shop = Shop(TEA)
    shop.accepted("opening_stock", comes("tea", 9))
    wrong = Quantity("-1")
    for purpose, asked in (
        ("opening_stock", comes("tea", 1, share=wrong)),
        ("material_transfer", moves("tea", 1, share=wrong)),
        ("delivery", goes("tea", 1, share=wrong)),
    ):
        judged = shop.ask(purpose, asked)
        assert reasons(judged) == [("share_negative", 1)]
        assert facts(judged, "share_negative") == {"share": "-1"}


def test_the_batches_of_one_line_of_a_transfer_have_parts_of_its_share() -> None:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 1, batch="B1"), comes("cream", 2, batch="B2"))
    judged = shop.accepted(
        "material_transfer", moves("cream", 3, share=Quantity("1")), additional_costs=[cost("1", spread="share")]
    )
    assert [(plain(leg.quantity), leg.share) for leg in judged.allocated.legs] == [
        ("-1", None),
        ("-2", None),
        ("1", Quantity("0.333333")),
        ("2", Quantity("0.666667")),
    ]


@pytest.mark.parametrize("purpose", sorted(set(PURPOSES) - {"landed_cost", "cancellation"}))
def test_only_what_brings_goods_anew_takes_additional_costs(purpose: str) -> None:
    shop = Shop(TEA)
    shop.accepted("opening_stock", comes("tea", 9))
    flow = PURPOSES[purpose].flow
    places = PLACES.get(flow, {"source": "north"})
    lines = [line("tea", None if flow is Flow.WRITE_DOWN else 1, rate="1", price="1", **places)]
    if flow is Flow.MAKE:
        lines.append(line("tea", 1, target="south"))
    judged = shop.ask(purpose, *lines, additional_costs=[cost("1")])
    assert reasons(judged) == ([] if purpose in TAKING else [("costs_not_allowed", None)])
