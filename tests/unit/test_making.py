"""Making: goods are consumed and others produced, at given rates or for a share of what was consumed."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from shared.contracts.movement import AdditionalCost, RequestedLine
from shared.purposes import BatchState, SerialStatus
from shared.quantities import Money, Quantity, plain
from tests.builders import MORNING, Number
from tests.receiving_builders import Shop, comes, facts, goes, item, line, reasons, serials, taken

DAY = timedelta(days=1)
STEEL = item("steel", units={"bar": Decimal(5)})
BIKE = item("bike", units={"pair": Decimal(2)})
FRAME = item("frame", tracking="serial", serial_series="F-.##")
MILK = item("milk", tracking="batch", create_batches_on_receipt=True)
CHEESE = item("cheese", tracking="batch", batch_series="C.##", create_batches_on_receipt=True, shelf_life_days=30)
MAKING = ("manufacture", "repack")


def made(what: str, quantity: Number | None = None, target: str = "south", **fields: Any) -> RequestedLine:
    """A line of what was produced; its share may be given as one likes."""
    share = fields.pop("share", None)
    return line(what, quantity, target=target, share=Quantity(str(share)) if share is not None else None, **fields)


def stocked() -> Shop:
    """A hundred steel, two frames, four milk in each of two batches, all in the north."""
    shop = Shop(STEEL, BIKE, FRAME, MILK, CHEESE, item("dust", standard_rate=Decimal("0.1")))
    shop.accepted(
        "opening_stock",
        comes("steel", 100),
        comes("frame", serials="A1,A2", rate="50"),
        comes("milk", 4, batch="M1"),
        comes("milk", 4, batch="M2"),
    )
    return shop


def legs(judged: Accepted | Rejected) -> list[tuple[int, str, str, str | None, Money | None]]:
    """The legs of an accepted making: line, item, quantity, share and amount of each."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [
        (leg.line, leg.item, plain(leg.quantity), plain(leg.share) if leg.share is not None else None, leg.amount)
        for leg in judged.allocated.legs
    ]


@pytest.mark.parametrize("purpose", MAKING)
def test_all_that_is_consumed_leaves_before_anything_that_is_made_arrives(purpose: str) -> None:
    shop = stocked()
    judged = shop.accepted(purpose, made("bike", 3), goes("steel", 40), goes("frame", 2))
    assert legs(judged) == [
        (2, "steel", "-40", None, None),
        (3, "frame", "-2", None, None),
        (1, "bike", "3", "3", None),
    ]
    assert all(leg.arrives_from is None for leg in judged.allocated.legs)
    assert (shop.quantity("steel"), shop.quantity("bike", "south")) == ("60", "3")
    assert shop.stock.serials["shop", "frame", "A1"].status is SerialStatus.CONSUMED


def test_what_is_made_shares_by_its_share_and_by_its_stock_quantity_where_it_has_none() -> None:
    judged = stocked().accepted(
        "manufacture",
        goes("steel", 10),
        made("bike", 3, unit="pair"),
        made("dust", 9, share="1.5"),
        made("frame", 2, share=0),
    )
    assert [(what, share) for _, what, _, share, _ in legs(judged)[1:]] == [
        ("bike", "6"),
        ("dust", "1.5"),
        ("frame", "0"),
    ]


@pytest.mark.parametrize("scrap", [False, True])
def test_what_is_made_at_a_given_rate_has_an_amount_and_no_share(scrap: bool) -> None:
    given = made("bike", 3, rate="1.115", share=7, scrap=scrap)
    free = made("dust", 3, allow_zero_rate=True, scrap=scrap)
    judged = stocked().accepted("manufacture", goes("steel", 10), given, free, made("bike", 1, target="north"))
    assert [(share, amount) for _, _, _, share, amount in legs(judged)[1:]] == [
        (None, Money("3.34")),
        (None, Money("0")),
        ("1", None),
    ]


def test_scrap_without_a_rate_takes_one_that_is_known() -> None:
    shop = stocked()
    judged = shop.accepted("manufacture", goes("steel", 10), made("bike", 1), made("dust", 5, scrap=True))
    assert legs(judged)[2] == (3, "dust", "5", None, None)
    assert shop.refused("manufacture", goes("steel", 1), made("bike", 1), made("steel", 1, scrap=True)) == [
        ("rate_missing", 3)
    ]


def test_what_was_made_has_a_rate_known_from_then_on() -> None:
    shop = stocked()
    assert shop.refused("material_receipt", comes("bike", 1, "south", None)) == [("rate_missing", 1)]
    shop.accepted("manufacture", goes("steel", 10), made("bike", 3))
    shop.accepted("material_receipt", comes("bike", 1, "south", None))


def test_what_was_made_of_goods_without_a_rate_has_none_unless_it_was_given_one() -> None:
    shop = stocked()
    shop.accepted("opening_stock", comes("steel", 9, "south", "0", allow_zero_rate=True))
    shop.accepted("manufacture", goes("steel", 1, "south"), made("bike", 1), made("frame", 1, rate="2"))
    assert shop.refused("material_receipt", comes("bike", 1, "south", None)) == [("rate_missing", 1)]
    shop.accepted("material_receipt", comes("frame", 1, "south", None))


@pytest.mark.parametrize("purpose", MAKING)
def test_making_consumes_something_and_makes_something(purpose: str) -> None:
    shop = stocked()
    judged = shop.ask(purpose, goes("steel", 1))
    assert reasons(judged) == [("nothing_made", None)]
    assert facts(judged, "nothing_made") == {"purpose": purpose}
    assert shop.refused(purpose, made("bike", 1)) == [("nothing_consumed", None)]
    assert shop.refused(purpose, company="shop") == [("no_lines", None)]


def test_a_line_of_making_either_consumes_or_makes() -> None:
    shop = stocked()
    both = shop.ask("manufacture", goes("steel", 1, target="south"), goes("steel", 1), made("bike", 1))
    assert reasons(both) == [("target_not_allowed", 1)]
    neither = shop.ask("manufacture", line("steel", 1), goes("steel", 1), made("bike", 1))
    assert reasons(neither) == [("target_missing", 1)]


@pytest.mark.parametrize("wrong", [{"rate": "-1"}, {"share": -1}, {"share": -1, "rate": "1"}])
def test_what_is_made_has_neither_a_rate_nor_a_share_below_zero(wrong: dict[str, Any]) -> None:
    code = "share_negative" if "share" in wrong else "rate_negative"
    assert stocked().refused("manufacture", goes("steel", 1), made("bike", 1, **wrong)) == [(code, 2)]


def test_more_is_not_consumed_than_there_is_and_nothing_that_the_same_movement_makes() -> None:
    shop = stocked()
    asked = [made("steel", 50, target="north"), goes("steel", 101)]
    assert shop.refused("repack", *asked) == [("insufficient_stock", 2)]


def test_one_item_may_be_consumed_and_made_in_one_bin() -> None:
    shop = stocked()
    judged = shop.accepted("repack", goes("steel", 20, unit="bar"), made("steel", 90, target="north"))
    assert [quantity for _, _, quantity, _, _ in legs(judged)] == ["-100", "90"]
    assert shop.quantity("steel") == "90"
    assert [(each.warehouse, each.stamp) for each in judged.allocated.stamps] == [("north", 2)]


def test_one_unit_may_be_consumed_and_made_anew_by_one_movement() -> None:
    shop = stocked()
    judged = shop.accepted("manufacture", goes("frame", serials="A1"), made("frame", serials="A1", target="south"))
    again = shop.stock.serials["shop", "frame", "A1"]
    assert (again.status, again.warehouse) == (SerialStatus.ACTIVE, "south")
    assert again.entered is not None
    assert (again.entered.at, again.entered.line) == (judged.allocated.effective_at, 2)
    assert [(each.left, each.came_to, each.tie) for each in judged.events] == [(True, None, 0), (False, "south", 1)]
    assert (shop.quantity("frame"), shop.quantity("frame", "south")) == ("1", "1")


def test_a_batch_that_is_used_up_and_made_anew_enters_anew() -> None:
    shop = stocked()
    judged = shop.accepted("repack", goes("milk", 4, batch="M1"), made("milk", 3, batch="M1"))
    entered = shop.stock.batches["shop", "milk", "M1"].entered
    assert entered is not None
    assert (entered.at, entered.line) == (judged.allocated.effective_at, 2)


def test_numbers_of_what_is_made_come_from_its_series() -> None:
    shop = stocked()
    judged = shop.accepted("manufacture", goes("steel", 10), made("frame", 2), made("cheese", 5), made("cheese", 6))
    assert serials(judged) == ["F-01", "F-02"]
    assert taken(judged)[1:] == [(None, "2"), ("C01", "5"), ("C02", "6")]
    assert [each.generated for each in judged.outcome.allocated] == [False, True, True, True]
    fresh = shop.stock.batches["shop", "cheese", "C01"]
    assert (fresh.manufactured_on, fresh.expires_on, fresh.supplier) == (
        MORNING.date(),
        MORNING.date() + 30 * DAY,
        None,
    )


def test_what_is_made_may_be_named() -> None:
    shop = stocked()
    judged = shop.accepted(
        "manufacture", goes("milk", 1), made("frame", serials="X1-X2"), made("cheese", 5, batch="K1"), supplier="Nobody"
    )
    assert serials(judged) == ["X1", "X2"]
    assert taken(judged) == [("M1", "1"), (None, "2"), ("K1", "5")]
    assert shop.stock.serials["shop", "frame", "X1"].supplier is None


@pytest.mark.parametrize("state", ["expired", BatchState.HELD, BatchState.RECALLED])
def test_expired_held_and_recalled_materials_are_not_consumed(state: str) -> None:
    shop = stocked()
    if isinstance(state, BatchState):
        shop.hold("milk", "M1", state)
    else:
        key = ("shop", "milk", "M1")
        shop.stock.batches[key] = shop.stock.batches[key]._replace(expires_on=MORNING.date() - DAY)
    assert shop.refused("manufacture", goes("milk", 1, batch="M1"), made("bike", 1)) == [(f"batch_{state}", 1)]
    assert taken(shop.ask("manufacture", goes("milk", 2), made("bike", 1)))[0] == ("M2", "2")


def test_nothing_is_made_into_an_expired_batch() -> None:
    shop = stocked()
    old: dict[str, Any] = {"manufactured_on": MORNING.date() - 2 * DAY, "expires_on": MORNING.date() - DAY}
    assert shop.refused("manufacture", goes("steel", 1), made("cheese", 1, batch="K1", **old)) == [("batch_expired", 2)]


def test_additional_costs_of_making_need_no_shares() -> None:
    cost = AdditionalCost(amount=Money("7"), spread="share")
    judged = stocked().accepted("manufacture", goes("steel", 1), made("bike", 1), additional_costs=[cost])
    assert [(each.account, each.amount) for each in judged.allocated.additional_costs] == [
        ("expenses_in_valuation", Money("7"))
    ]


def test_a_refused_making_gives_its_numbers_back_and_consumes_nothing() -> None:
    shop = stocked()
    shop.refused("manufacture", goes("frame", serials="A1"), made("frame", 2), made("ghost", 1))
    assert shop.stock.series == {}
    assert shop.stock.serials["shop", "frame", "A1"].status is SerialStatus.ACTIVE
    assert shop.quantity("frame") == "2"
