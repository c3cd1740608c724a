"""Counts of serials: the whole set that stands in a warehouse, who is missing of it, and who is found again."""

from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.case import Limits
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import Serial
from shared.purposes import SerialStatus
from shared.quantities import Money
from tests.counting_builders import counts, stocked, told
from tests.receiving_builders import Shop, comes, facts, goes, item, moves, reasons


def serial(shop: Shop, number: str) -> Serial:
    return shop.stock.serials["shop", "phone", number]


def entry_of(judged: Accepted, number: str) -> str:
    """The ledger entry by which a serial left."""
    return next(entry for entry, leg in legs_with_entries(judged.allocated) if number in leg.serials)


def test_a_serial_that_was_not_counted_is_missing() -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("phone", serials="S1,S3"))
    assert told(judged) == [("-1", None, None, None, ["S2"])]
    assert shop.quantity("phone") == "2"
    lost = serial(shop, "S2")
    assert (lost.status, lost.warehouse, lost.left_from) == (SerialStatus.MISSING, None, "north")
    assert lost.left_by == entry_of(judged, "S2")
    assert [(each.key[2], each.left, each.came_to) for each in judged.events] == [("S2", True, None)]
    assert shop.refused("delivery", goes("phone", serials="S2")) == [("serial_not_here", 1)]


@pytest.mark.parametrize("none", [{"quantity": 0}, {"serials": []}, {"quantity": 0, "serials": ""}])
def test_all_serials_are_missing_where_none_was_found(none: dict[str, Any]) -> None:
    shop = stocked()
    judged = shop.accepted("reconciliation", counts("phone", **none))
    assert told(judged) == [("-3", None, None, None, ["S1", "S2", "S3"])]
    assert shop.quantity("phone") == "0"


def test_serials_are_counted_one_by_one_and_not_by_their_number_alone() -> None:
    shop = stocked()
    assert shop.refused("reconciliation", counts("phone", 3)) == [("serials_missing", 1)]
    assert shop.refused("reconciliation", counts("phone", 3, serials=[])) == [("serials_missing", 1)]
    assert shop.refused("reconciliation", counts("phone", 3, serials="S1,S2")) == [("serial_count_mismatch", 1)]
    assert shop.refused("reconciliation", counts("phone")) == [("quantity_missing", 1)]


def test_a_serial_that_left_and_is_found_comes_in_again_worth_what_it_was_when_it_left() -> None:
    shop = stocked()
    delivered = shop.accepted("delivery", goes("phone", serials="S1,S2"), customer="Ada")
    issued = shop.accepted("material_issue", goes("phone", serials="S3"))
    judged = shop.accepted("reconciliation", counts("phone", None, "south", serials="S3,S1,S2"))
    assert told(judged) == [("1", None, None, None, ["S3"]), ("2", None, None, None, ["S1", "S2"])]
    assert [leg.original for leg in judged.allocated.legs] == [entry_of(issued, "S3"), entry_of(delivered, "S1")]
    assert {(each.item, each.warehouse) for each in judged.allocated.stamps} == {("phone", "north"), ("phone", "south")}
    found = serial(shop, "S1")
    assert (found.status, found.warehouse, found.customer) == (SerialStatus.ACTIVE, "south", None)
    assert found.entered is not None
    assert (found.entered.at, found.entered.line, found.entered.place) == (judged.allocated.effective_at, 1, 1)
    assert [(each.key[2], each.left, each.came_to) for each in judged.events] == [
        ("S3", False, "south"),
        ("S1", False, "south"),
        ("S2", False, "south"),
    ]


def test_a_serial_that_is_missing_may_be_found_again_and_again() -> None:
    shop = stocked()
    for _ in range(2):
        lost = shop.accepted("reconciliation", counts("phone", serials="S1,S3"))
        found = shop.accepted("reconciliation", counts("phone", serials="S1-S3"))
        assert [leg.original for leg in found.allocated.legs] == [entry_of(lost, "S2")]
    assert shop.quantity("phone") == "3"


def test_a_serial_found_in_a_transit_warehouse_is_in_transit() -> None:
    shop = stocked()
    shop.accepted("scrap", goes("phone", serials="S1"))
    shop.accepted("reconciliation", counts("phone", None, "on-the-way", serials="S1"))
    assert serial(shop, "S1").status is SerialStatus.IN_TRANSIT


def test_a_counted_rate_values_who_stayed_and_who_was_found_and_not_who_is_missing() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S3"))
    judged = shop.accepted("reconciliation", counts("phone", serials="S3,S1", rate="109.995"))
    assert told(judged) == [
        ("-1", None, None, None, ["S2"]),
        ("1", None, Money("110.00"), None, ["S3"]),
        ("0", "1", Money("110.00"), None, ["S1"]),
    ]


def test_a_counted_rate_of_serials_is_per_unit_of_the_line() -> None:
    judged = stocked().accepted("reconciliation", counts("phone", "1.5", serials="S1-S3", unit="box", rate="90"))
    assert told(judged) == [("0", "3", Money("135.00"), None, ["S1", "S2", "S3"])]
    worthless = stocked().accepted("reconciliation", counts("phone", serials="S1-S3", allow_zero_rate=True))
    assert told(worthless) == [("0", "3", Money("0.00"), None, ["S1", "S2", "S3"])]


def test_a_serial_that_left_before_exits_were_remembered_is_found_at_a_rate_that_is_known() -> None:
    shop = stocked()
    shop.stock.serials["shop", "phone", "OLD"] = Serial(SerialStatus.DELIVERED)
    assert shop.refused("reconciliation", counts("phone", None, "south", serials="OLD")) == [("rate_missing", 1)]
    judged = shop.accepted("reconciliation", counts("phone", 4, serials="S1-S3,OLD"))
    assert [(leg.serials, leg.original, leg.amount) for leg in judged.allocated.legs] == [(["OLD"], None, None)]


def test_a_count_never_brings_a_serial_into_being_and_names_what_does() -> None:
    shop = stocked()
    shop.stock.serials["shop", "phone", "REGISTERED"] = Serial()
    for number in ("GHOST", "REGISTERED"):
        judged = shop.ask("reconciliation", counts("phone", serials=["S1", number]))
        assert reasons(judged) == [("count_cannot_open", 1)]
        assert facts(judged, "count_cannot_open") == {"item": "phone", "serial": number, "use": "opening_stock"}
    shop.stock.items["shop", "phone"] = item("phone", tracking="serial", serial_series="N-.#")
    assert shop.refused("reconciliation", counts("phone", 4)) == [("serials_missing", 1)]


def test_a_serial_that_stands_in_another_warehouse_cannot_be_counted_here() -> None:
    shop = stocked()
    shop.accepted("material_transfer", moves("phone", serials="S1"))
    judged = shop.ask("reconciliation", counts("phone", serials="S1-S3"))
    assert reasons(judged) == [("serial_elsewhere", 1)]
    assert facts(judged, "serial_elsewhere") == {"item": "phone", "serial": "S1", "warehouse": "south"}


def test_two_warehouses_counted_by_one_movement_cannot_swap_their_serials() -> None:
    shop = stocked()
    shop.accepted("material_transfer", moves("phone", serials="S1"))
    north, south = counts("phone", serials="S1-S3"), counts("phone", 0, "south")
    assert shop.refused("reconciliation", north, south) == [("serial_elsewhere", 1)]
    assert shop.refused("reconciliation", south, north) == [("serial_elsewhere", 2)]


def test_a_serial_is_not_found_in_two_warehouses_at_once() -> None:
    shop = stocked()
    shop.accepted("scrap", goes("phone", serials="S1"))
    both = [counts("phone", serials="S1-S3"), counts("phone", None, "south", serials="S1")]
    assert shop.refused("reconciliation", *both) == [("serial_elsewhere", 2)]


def test_a_reserved_serial_may_be_missing() -> None:
    shop = stocked()
    shop.stock.serials["shop", "phone", "S1"] = serial(shop, "S1")._replace(reserved_for="order 7")
    assert told(shop.ask("reconciliation", counts("phone", serials="S2,S3"))) == [("-1", None, None, None, ["S1"])]


def test_a_count_of_serials_is_of_all_that_stand_there_whatever_their_batch() -> None:
    judged = stocked().ask("reconciliation", counts("phone", serials="S1-S3", batch="P1"))
    assert reasons(judged) == [("batch_not_allowed", 1)]
    assert facts(judged, "batch_not_allowed") == {"item": "phone", "batch": "P1"}


def test_no_serials_are_worth_more_than_a_message_can_carry() -> None:
    shop = Shop(item("phone", tracking="serial"))
    shop.accepted("opening_stock", comes("phone", serials="S0001-S1001"))
    assert shop.refused("reconciliation", counts("phone", serials="S0001-S1001", rate="999999999999")) == [
        ("amount_too_large", 1)
    ]
    shop.accepted("reconciliation", counts("phone", serials="S0001-S1000", rate="999999999999"))


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [(Limits(serials=2), Limits(serials=3)), (Limits(serials_in_all=2), Limits(serials_in_all=3))],
)
def test_no_more_serials_are_missing_at_once_than_a_movement_may_have(narrow: Limits, wide: Limits) -> None:
    shop = stocked()
    shop.limits = narrow
    judged = shop.ask("reconciliation", counts("phone", 0))
    assert [code for code, _ in reasons(judged)] == ["too_many_serials"]
    assert facts(judged, "too_many_serials") == {"serials": "3", "limit": "2"}
    shop.limits = wide
    shop.accepted("reconciliation", counts("phone", 0))
