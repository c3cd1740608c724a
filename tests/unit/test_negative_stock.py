"""Stock below zero: where an item allows it, or where a source tells what has happened already."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.stock import Bin
from shared.contracts.movement import RequestedLine
from shared.purposes import Role
from shared.quantities import Rate, plain
from tests.builders import MORNING, SOURCE
from tests.receiving_builders import Shop, comes, facts, goes, item, line, moves, reasons

MINUTE = timedelta(minutes=1)
TEA = item("tea", allow_negative_stock=True, standard_rate=Decimal(2))
PLAIN = item("tea", standard_rate=Decimal(2))
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial")


def telling(*items: Any) -> Shop:
    """A shop whose only source is a till that tells facts."""
    shop = Shop(*items)
    shop.stock.telling = frozenset({SOURCE})
    return shop


def shortages(judged: Accepted | Rejected) -> list[tuple[int | None, dict[str, str]]]:
    """The remarks on an accepted movement, all of them on shortages."""
    assert isinstance(judged, Accepted), reasons(judged)
    assert all(each.code == "shortage" for each in judged.outcome.remarks)
    return [(each.line, each.facts) for each in judged.outcome.remarks]


def bin_of(shop: Shop, warehouse: str = "north") -> Bin:
    return shop.stock.bins["shop", "tea", warehouse]


@pytest.mark.parametrize("shop", [Shop(TEA), telling(PLAIN)])
def test_more_may_be_issued_than_is_there_and_the_source_is_told_how_much_was_short(shop: Shop) -> None:
    shop.accepted("opening_stock", comes("tea", 5))
    judged = shop.accepted("delivery", goes("tea", 8))
    assert shortages(judged) == [(1, {"item": "tea", "warehouse": "north", "wanted": "8", "short": "3"})]
    assert [(plain(leg.quantity), leg.standard_rate) for leg in judged.allocated.legs] == [("-8", Rate("2"))]
    assert (plain(bin_of(shop).quantity), bin_of(shop).short) == ("-3", True)


def test_more_may_not_be_issued_than_is_there_where_neither_item_nor_source_allows_it() -> None:
    shop = Shop(PLAIN)
    assert shop.refused("delivery", goes("tea", 1)) == [("insufficient_stock", 1)]
    shop.stock.telling = frozenset({"another till"})
    assert shop.refused("delivery", goes("tea", 1)) == [("insufficient_stock", 1)]


def test_all_that_is_there_is_no_shortage() -> None:
    shop = Shop(TEA)
    shop.accepted("opening_stock", comes("tea", 5))
    assert shortages(shop.ask("delivery", goes("tea", 5))) == []
    assert not bin_of(shop).short


def test_every_line_is_short_by_what_it_lacks_itself() -> None:
    shop = Shop(TEA)
    shop.accepted("opening_stock", comes("tea", 5))
    judged = shop.ask("delivery", goes("tea", 4), goes("tea", 4), goes("tea", 4))
    assert [(number, told["short"]) for number, told in shortages(judged)] == [(2, "3"), (3, "4")]


def test_a_shortage_stands_until_it_is_covered() -> None:
    shop = Shop(TEA)
    shop.accepted("delivery", goes("tea", 5))
    shop.accepted("purchase_receipt", comes("tea", 4))
    assert (plain(bin_of(shop).quantity), bin_of(shop).short) == ("-1", True)
    shop.accepted("purchase_receipt", comes("tea", 1))
    assert (plain(bin_of(shop).quantity), bin_of(shop).short) == ("0", False)
    shop.accepted("delivery", goes("tea", 1))
    assert bin_of(shop).short


def test_what_was_issued_beyond_stock_needs_a_rate_unless_it_is_a_fact() -> None:
    unrated = item("tea", allow_negative_stock=True)
    assert Shop(unrated).refused("delivery", goes("tea", 1)) == [("rate_missing", 1)]
    fact = telling(unrated).accepted("delivery", goes("tea", 1))
    assert [(leg.standard_rate, leg.amount) for leg in fact.allocated.legs] == [(None, None)]
    assert len(shortages(fact)) == 1
    rated = Shop(unrated)
    rated.accepted("opening_stock", comes("tea", 1))
    rated.accepted("delivery", goes("tea", 1))
    rated.accepted("delivery", goes("tea", 1))


def test_what_a_shortage_uses_up_at_once_leaves_no_rate_behind() -> None:
    shop = telling(item("tea"))
    shop.accepted("delivery", goes("tea", 2))
    shop.accepted("purchase_receipt", comes("tea", 2))
    assert shop.refused("material_receipt", comes("tea", 1, rate=None)) == [("rate_missing", 1)]
    shop.accepted("delivery", goes("tea", 2))
    shop.accepted("purchase_receipt", comes("tea", 3))
    shop.accepted("material_receipt", comes("tea", 1, rate=None))


@pytest.mark.parametrize(
    ("purpose", "asked"),
    [
        ("material_issue", [goes("tea", 3)]),
        ("scrap", [goes("tea", 3)]),
        ("sale", [goes("tea", 3, price="1")]),
        ("material_transfer", [moves("tea", 3)]),
        ("manufacture", [goes("tea", 3), line("cup", 1, target="south")]),
    ],
)
def test_whatever_takes_untracked_goods_may_go_short(purpose: str, asked: list[RequestedLine]) -> None:
    shop = Shop(TEA, item("cup"))
    judged = shop.accepted(purpose, *asked)
    assert [told["short"] for _, told in shortages(judged)] == ["3"]
    assert shop.quantity("tea") == "-3"
    assert Role.STOCK_ADJUSTMENT in judged.allocated.accounts


def test_what_a_transfer_takes_beyond_stock_arrives_all_the_same() -> None:
    shop = Shop(TEA)
    shop.accepted("material_transfer", moves("tea", 3))
    assert (shop.quantity("tea"), shop.quantity("tea", "south")) == ("-3", "3")


@pytest.mark.parametrize("what", ["cream", "phone"])
def test_tracked_goods_are_never_taken_beyond_stock_not_even_by_a_fact(what: str) -> None:
    shop = telling(CREAM, PHONE)
    shop.accepted("opening_stock", comes("cream", 1, batch="B1"), comes("phone", serials="S1"))
    assert shop.refused("delivery", goes(what, 2)) == [("insufficient_stock", 1)]


def test_a_fact_is_taken_from_what_is_reserved_and_a_request_is_not() -> None:
    for shop, short in ((telling(PLAIN), []), (Shop(PLAIN), None)):
        shop.accepted("opening_stock", comes("tea", 5))
        shop.stock.bins["shop", "tea", "north"] = bin_of(shop)._replace(reserved=Decimal(4))
        judged = shop.ask("delivery", goes("tea", 2))
        if short is None:
            assert facts(judged, "insufficient_stock")["available"] == "1"
        else:
            assert shortages(judged) == short


def test_a_bin_below_zero_has_nothing_for_who_may_not_go_short() -> None:
    shop = telling(PLAIN)
    shop.accepted("delivery", goes("tea", 5))
    shop.stock.telling = frozenset()
    judged = shop.ask("delivery", goes("tea", 1))
    assert facts(judged, "insufficient_stock")["available"] == "0"


def test_no_bin_lacks_more_than_a_message_can_carry() -> None:
    shop = Shop(item("tea", allow_negative_stock=True, standard_rate=Decimal("0.001")))
    shop.accepted("delivery", goes("tea", "999999999999"))
    assert shop.refused("delivery", goes("tea", 1)) == [("quantity_too_large", 1)]


def test_a_fact_out_of_order_is_late_and_not_short_of_what_came_since() -> None:
    shop = telling(PLAIN)
    shop.accepted("opening_stock", comes("tea", 5), at=MORNING + 2 * MINUTE)
    judged = shop.accepted("delivery", goes("tea", 5), at=MORNING)
    assert judged.allocated.effective_at == MORNING + 2 * MINUTE
    assert shortages(judged) == []


def test_a_refused_fact_leaves_no_shortage_behind() -> None:
    shop = telling(PLAIN)
    assert shop.refused("delivery", goes("tea", 1), goes("ghost", 1)) == [("unknown_item", 2)]
    assert shop.stock.bins == {}
