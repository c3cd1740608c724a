"""Opening a case: its company, the movement that it names, and the moment at which it takes effect."""

from datetime import timedelta

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.stock import Warehouse
from shared.contracts.movement import AdditionalCost, Reference
from shared.quantities import Money
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import EVENING, Shop, comes, company, facts, goes, item, line, moves, reasons

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
TEA = item("tea")
CUP = item("cup")
PHONE = item("phone", tracking="serial")


def stocked() -> Shop:
    shop = Shop(TEA, CUP, PHONE)
    shop.accepted("opening_stock", comes("tea", 10))
    return shop


def delivered() -> Shop:
    """Ten tea, of which the delivery D took five, ten minutes later."""
    shop = stocked()
    shop.accepted("delivery", goes("tea", 5), id="D", at=MORNING + 10 * MINUTE)
    return shop


# --- companies --------------------------------------------------------------------------------------------------------


def two_companies() -> Shop:
    shop = stocked()
    shop.stock.companies["twin"] = company("twin")
    for code in ("abroad", "north"):
        shop.stock.warehouses["twin", code] = Warehouse("twin", code)
    return shop


def test_the_company_is_that_of_the_warehouses() -> None:
    assert two_companies().accepted("material_transfer", moves("tea", 1, "north", "south")).allocated.company == "shop"


def test_a_movement_between_companies_is_refused() -> None:
    shop = two_companies()
    assert shop.refused("material_transfer", moves("tea", 1, "south", "abroad")) == [("companies_mixed", None)]
    assert shop.refused("material_transfer", moves("tea", 1, "north", "abroad"), company="shop") == [
        ("companies_mixed", 1)
    ]


def test_a_warehouse_code_of_two_companies_needs_the_company_named() -> None:
    shop = two_companies()
    assert shop.refused("delivery", goes("tea", 1)) == [("company_missing", None)]
    shop.accepted("delivery", goes("tea", 1), company="shop")


def test_an_unknown_warehouse_does_not_hide_the_company_of_the_others() -> None:
    shop = two_companies()
    assert shop.refused("material_transfer", moves("tea", 1, "south", "nowhere")) == [("unknown_warehouse", 1)]


def test_a_company_that_is_not_known_is_waited_for_whatever_else_is_said() -> None:
    judged = stocked().ask("delivery", goes("tea", 1), company="ghost", against=Reference(id="M1"))
    assert reasons(judged) == [("unknown_company", None)]
    assert facts(judged, "unknown_company") == {"company": "ghost"}


def test_a_movement_without_warehouses_is_of_the_company_of_the_movement_that_it_names() -> None:
    shop = two_companies()
    back = shop.accepted("sales_return", line("tea", 1), against=_delivery(shop))
    assert back.allocated.company == "shop"


def _delivery(shop: Shop) -> Reference:
    return Reference(id=shop.accepted("delivery", goes("tea", 5), company="shop").request.id)


def test_warehouses_say_the_company_before_the_movement_that_is_named_does() -> None:
    shop = two_companies()
    named = _delivery(shop)
    judged = shop.ask("sales_return", line("tea", 1, target="abroad"), against=named)
    assert facts(judged, "original_elsewhere")["company"] == "shop"


@pytest.mark.parametrize(("refused", "code"), [(True, "original_rejected"), (False, "unknown_original")])
def test_a_movement_of_no_company_is_refused_for_the_original_that_it_lacks(refused: bool, code: str) -> None:
    shop = stocked()
    if refused:
        shop.stock.originals[SOURCE, "D"] = None
    judged = shop.ask("sales_return", line("tea", 1), against=Reference(id="D"))
    assert reasons(judged) == [(code, None)]
    assert facts(judged, code) == {"source": SOURCE, "id": "D"}


# --- when it takes effect ---------------------------------------------------------------------------------------------


def test_a_late_movement_takes_effect_at_the_last_event_of_its_bins() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 10 * MINUTE)
    late = shop.accepted("delivery", goes("tea", 1), at=MORNING + 6 * MINUTE)
    assert late.allocated.effective_at == MORNING + 10 * MINUTE
    assert late.allocated.posting_at == MORNING + 6 * MINUTE
    back_dated = shop.accepted("delivery", goes("tea", 1), at=MORNING + 4 * MINUTE)
    assert back_dated.allocated.effective_at == MORNING + 4 * MINUTE


def test_one_late_bin_moves_the_whole_movement() -> None:
    shop = Shop(TEA, CUP)
    shop.accepted("opening_stock", comes("tea", 9), at=MORNING)
    shop.accepted("opening_stock", comes("cup", 9, "south"), at=MORNING + MINUTE)
    both = shop.accepted("delivery", goes("tea", 1), goes("cup", 1, "south"), at=MORNING)
    assert both.allocated.effective_at == MORNING + MINUTE


def test_a_serial_that_left_later_than_its_new_bin_knows_makes_its_return_late() -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    shop.accepted("delivery", goes("phone", serials="S1"), at=MORNING + 4 * MINUTE)
    back = shop.accepted("material_receipt", comes("phone", None, "south", serials="S1"), at=MORNING + MINUTE)
    assert back.allocated.effective_at == MORNING + 4 * MINUTE
    assert [each.tie for each in back.events] == [1]


def test_a_movement_of_bins_that_were_never_counted_may_be_late_however_early_it_was() -> None:
    shop = stocked()
    shop.accepted("reconciliation", line("cup", 0, target="south"), at=MORNING + 10 * MINUTE)
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 10 * MINUTE)
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 6 * MINUTE)


def test_a_movement_is_not_late_for_what_happened_in_other_bins() -> None:
    shop = stocked()
    shop.accepted("opening_stock", comes("cup", 1), at=MORNING + 20 * MINUTE)
    judged = shop.accepted("delivery", goes("tea", 1), at=MORNING + MINUTE)
    assert judged.allocated.effective_at == MORNING + MINUTE


# --- the movement that it names ---------------------------------------------------------------------------------------


def returns(shop: Shop, after: timedelta, **fields: str) -> Accepted | Rejected:
    """A return of the delivery, so long after the morning."""
    return shop.ask("sales_return", line("tea", 1, **fields), against=Reference(id="D"), at=MORNING + after)


@pytest.mark.parametrize("after", [5 * MINUTE, 9 * MINUTE])
def test_a_movement_reported_before_what_it_names_takes_effect_with_it_where_it_is_only_late(after: timedelta) -> None:
    judged = returns(delivered(), after, target="south")
    assert isinstance(judged, Accepted)
    assert judged.allocated.effective_at == MORNING + 10 * MINUTE


def test_a_movement_from_before_what_it_names_is_refused() -> None:
    judged = returns(delivered(), 5 * MINUTE - SECOND, target="south")
    assert reasons(judged) == [("before_its_original", None)]
    assert facts(judged, "before_its_original") == {
        "posting_at": "2026-03-02T09:04:59+00:00",
        "original_at": "2026-03-02T09:10:00+00:00",
    }


def test_a_movement_that_names_no_warehouse_is_late_for_the_bins_of_its_item_in_what_it_names() -> None:
    shop = delivered()
    shop.accepted("delivery", goes("tea", 1), at=MORNING + 14 * MINUTE)
    shop.accepted("opening_stock", comes("cup", 1), at=MORNING + 16 * MINUTE)
    judged = returns(shop, 11 * MINUTE)
    assert isinstance(judged, Accepted)
    assert judged.allocated.effective_at == MORNING + 14 * MINUTE


def test_a_movement_does_not_pass_a_count_to_be_later_than_what_it_names() -> None:
    shop = delivered()
    shop.accepted("reconciliation", line("tea", 0, target="south"), at=MORNING + 9 * MINUTE)
    assert reasons(returns(shop, 8 * MINUTE, target="south")) == [("before_its_original", None)]


def test_a_movement_is_not_late_over_midnight_for_what_it_names() -> None:
    shop = Shop(TEA, of=company(time_zone="UTC"))
    midnight = MORNING.replace(hour=0)
    shop.accepted("opening_stock", comes("tea", 10), at=midnight - MINUTE)
    shop.accepted("delivery", goes("tea", 5), id="D", at=midnight + MINUTE)
    judged = shop.ask("sales_return", line("tea", 1, target="south"), against=Reference(id="D"), at=midnight - MINUTE)
    assert reasons(judged) == [("before_its_original", None)]


def test_a_movement_from_before_what_it_names_is_told_that_its_day_is_closed_too() -> None:
    shop = delivered()
    shop.stock.companies["shop"] = company(open_from=MORNING.date())
    codes = [("period_closed", None), ("before_its_original", None)]
    assert reasons(returns(shop, -DAY, target="south")) == codes
    shop.stock.companies["shop"] = company(open_from=MORNING.date() + DAY)
    assert reasons(returns(shop, 9 * MINUTE, target="south")) == codes[:1]


def test_what_is_wrong_with_the_time_is_told_together_with_the_original_that_is_missing() -> None:
    judged = stocked().ask(
        "landed_cost",
        against=Reference(id="GHOST"),
        company="shop",
        at=EVENING + DAY,
        additional_costs=[AdditionalCost(amount=Money("1"))],
    )
    assert reasons(judged) == [("unknown_original", None), ("posting_in_future", None)]


def test_a_movement_takes_a_stamp_in_every_bin_of_what_it_names_and_is_the_last_event_only_where_goods_move() -> None:
    shop = delivered()
    judged = returns(shop, 20 * MINUTE, target="south")
    assert isinstance(judged, Accepted)
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [("north", 3), ("south", 1)]
    bins = shop.stock.bins
    assert bins["shop", "tea", "north"].last_at == MORNING + 10 * MINUTE
    assert bins["shop", "tea", "south"].last_at == MORNING + 20 * MINUTE
