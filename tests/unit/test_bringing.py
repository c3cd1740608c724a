"""What comes in and what may leave of it again: serials and batches, named or made, expired or held."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.case import Limits
from services.receiving.decide.stock import Batch, Serial
from shared.contracts.movement import RequestedLine
from shared.purposes import BatchState, SerialStatus
from shared.quantities import plain
from tests.builders import MORNING
from tests.receiving_builders import Shop, comes, facts, goes, item, moves, reasons, serials, taken

DAY = timedelta(days=1)
TODAY = MORNING.date()
YESTERDAY = TODAY - DAY
PHONE = item("phone", tracking="serial")
NUMBERED = item("phone", tracking="serial", serial_series="S-.###")
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True, shelf_life_days=30)
STRICT = item("cream", tracking="batch")
NAMED = item("cream", tracking="batch", batch_series="B.YY.-.##", shelf_life_days=30)
INCOMING = ("opening_stock", "material_receipt", "purchase_receipt")
NEW_GOODS = ("material_receipt", "purchase_receipt")
OUTGOING = ("material_issue", "scrap", "delivery", "sale")


def batch(shop: Shop, number: str, **fields: object) -> None:
    """A batch that was defined."""
    shop.stock.batches["shop", "cream", number] = Batch(**fields)  # type: ignore[arg-type]


def serial(shop: Shop, number: str) -> Serial:
    return shop.stock.serials["shop", "phone", number]


# --- serials ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [["S1", "S2", "S3"], "S1\nS2\nS3", " S1, S2 ,S3", "S1-S3", "S1,S2-S3"])
def test_a_receipt_creates_the_serials_that_it_names(given: str | list[str]) -> None:
    shop = Shop(PHONE)
    judged = shop.ask("purchase_receipt", comes("phone", serials=given), supplier="Foundry", document="PR-1")
    assert serials(judged) == ["S1", "S2", "S3"]
    assert shop.quantity("phone") == "3"
    created = serial(shop, "S2")
    assert (created.status, created.warehouse) == (SerialStatus.ACTIVE, "north")
    assert (created.supplier, created.supplier_document) == ("Foundry", "PR-1")


def test_a_member_of_a_list_that_looks_like_a_range_is_one_serial() -> None:
    assert serials(Shop(PHONE).ask("opening_stock", comes("phone", 1, serials=["A001-A050"]))) == ["A001-A050"]


def test_named_serials_are_counted_where_no_quantity_is_given_and_compared_where_one_is() -> None:
    shop = Shop(PHONE)
    assert shop.refused("opening_stock", comes("phone", 2, serials="A1-A3")) == [("serial_count_mismatch", 1)]
    shop.accepted("opening_stock", comes("phone", serials="A1-A3"))


@pytest.mark.parametrize("blank", [None, "", " , \n", []])
def test_blank_serials_are_made_from_the_series(blank: str | list[str] | None) -> None:
    judged = Shop(NUMBERED).accepted("opening_stock", comes("phone", 2, serials=blank))
    assert serials(judged) == ["S-001", "S-002"]
    assert [each.generated for each in judged.outcome.allocated] == [True]


def test_blank_serials_without_a_series_are_refused() -> None:
    shop = Shop(PHONE)
    assert shop.refused("opening_stock", comes("phone", 2)) == [("serials_missing", 1)]
    assert shop.stock.bins == {}


def test_a_series_skips_the_numbers_that_were_taken_by_hand() -> None:
    shop = Shop(NUMBERED)
    shop.accepted("opening_stock", comes("phone", serials="S-002"))
    assert serials(shop.ask("opening_stock", comes("phone", 3))) == ["S-001", "S-003", "S-004"]


def test_a_series_skips_the_numbers_that_a_later_line_of_the_same_movement_names() -> None:
    judged = Shop(NUMBERED).ask("opening_stock", comes("phone", 2), comes("phone", serials=["S-001"]))
    assert serials(judged) == ["S-002", "S-003", "S-001"]


def test_a_refusal_gives_its_numbers_back() -> None:
    shop = Shop(NUMBERED)
    shop.refused("opening_stock", comes("phone", 5), comes("ghost", 1))
    assert serials(shop.ask("opening_stock", comes("phone", 1))) == ["S-001"]


def test_two_series_with_one_text_in_front_share_a_counter() -> None:
    shop = Shop(NUMBERED, item("watch", tracking="serial", serial_series="S-.##.-W"))
    judged = shop.ask("opening_stock", comes("phone", 2), comes("watch", 2), comes("phone", 1))
    assert serials(judged) == ["S-001", "S-002", "S-03-W", "S-04-W", "S-005"]


def test_two_items_may_have_the_same_serial() -> None:
    shop = Shop(PHONE, item("watch", tracking="serial"))
    shop.accepted("opening_stock", comes("phone", serials="1"), comes("watch", serials="1"))


def test_a_serial_that_stands_in_stock_cannot_come_in_wherever_it_is_said_to() -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    judged = shop.ask("purchase_receipt", comes("phone", None, "south", serials=["S2", "S1"]))
    assert facts(judged, "serial_in_stock") == {"item": "phone", "serial": "S1", "warehouse": "north"}
    assert shop.refused("opening_stock", comes("phone", serials="S9"), comes("phone", serials="S9")) == [
        ("serial_in_stock", 2)
    ]


def test_a_serial_that_left_may_come_in_again_unless_its_item_forbids_it() -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    shop.accepted("delivery", goes("phone", serials="S1"), customer="Ada")
    shop.stock.items["shop", "phone"] = item("phone", tracking="serial", reuse_serials=False)
    assert shop.refused("material_receipt", comes("phone", serials="S1")) == [("serial_not_reusable", 1)]
    shop.stock.items["shop", "phone"] = PHONE
    shop.accepted("material_receipt", comes("phone", serials="S1"))
    assert (serial(shop, "S1").status, serial(shop, "S1").customer) == (SerialStatus.ACTIVE, None)


def test_a_registered_serial_comes_in_for_the_first_time_whatever_its_item_says_of_reuse() -> None:
    shop = Shop(item("phone", tracking="serial", reuse_serials=False))
    shop.stock.serials["shop", "phone", "S1"] = Serial(batch="B1", warranty_until=date(2030, 1, 1))
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    assert (serial(shop, "S1").batch, serial(shop, "S1").warranty_until) == ("B1", date(2030, 1, 1))


@pytest.mark.parametrize(
    ("purpose", "status"),
    [
        ("material_issue", SerialStatus.CONSUMED),
        ("scrap", SerialStatus.SCRAPPED),
        ("delivery", SerialStatus.DELIVERED),
        ("sale", SerialStatus.DELIVERED),
    ],
)
def test_a_serial_that_leaves_has_the_status_of_the_purpose(purpose: str, status: SerialStatus) -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    shop.accepted(purpose, goes("phone", serials="S1", **({"price": "9"} if purpose == "sale" else {})))
    assert (serial(shop, "S1").status, serial(shop, "S1").warehouse) == (status, None)
    assert shop.refused("scrap", goes("phone", serials="S1")) == [("serial_not_here", 1)]


def test_a_delivered_serial_tells_who_holds_it_and_how_long_it_is_in_warranty() -> None:
    shop = Shop(item("phone", tracking="serial", warranty_days=730))
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    shop.accepted("delivery", goes("phone", serials="S1"), customer="Ada", document="DN-7")
    sold = serial(shop, "S1")
    assert (sold.customer, sold.customer_document, sold.warranty_until) == ("Ada", "DN-7", date(2028, 3, 1))


def test_a_serial_in_a_transit_warehouse_is_in_transit() -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    shop.accepted("material_transfer", moves("phone", 1, target="on-the-way"))
    assert serial(shop, "S1").status is SerialStatus.IN_TRANSIT
    shop.accepted("material_transfer", moves("phone", 1, "on-the-way", "south"))
    assert serial(shop, "S1").status is SerialStatus.ACTIVE


def test_a_serial_elsewhere_or_unknown_is_refused_with_what_is_known_of_it() -> None:
    shop = Shop(PHONE)
    shop.accepted("opening_stock", comes("phone", serials="S1"))
    judged = shop.ask("delivery", goes("phone", None, "south", serials="S1,S2"))
    assert facts(judged, "serial_not_here")["stands"] == "north"
    assert facts(judged, "unknown_serial")["serial"] == "S2"


def test_a_batch_named_with_outgoing_serials_must_be_that_of_each_of_them() -> None:
    shop = Shop(item("phone", tracking="serial", create_batches_on_receipt=True))
    shop.accepted("opening_stock", comes("phone", serials="A1-A2", batch="B1"), comes("phone", serials="A3"))
    assert shop.refused("delivery", goes("phone", serials="A1-A3", batch="B1")) == [("serial_of_another_batch", 1)]
    shop.accepted("delivery", goes("phone", serials="A1-A2", batch="B1"))


def test_a_held_batch_of_many_serials_is_told_once() -> None:
    shop = Shop(item("phone", tracking="serial", create_batches_on_receipt=True))
    shop.accepted("opening_stock", comes("phone", serials="A01-A50", batch="B1"))
    shop.hold("phone", "B1")
    assert shop.refused("delivery", goes("phone", serials="A01-A50")) == [("batch_held", 1)]


def test_a_movement_beyond_the_limits_is_refused_without_being_worked_on() -> None:
    shop = Shop(NUMBERED, limits=Limits(lines=2, serials=3))
    assert shop.refused("opening_stock", *[comes("ghost", 1)] * 3) == [("too_many_lines", None)]
    for many in ({"quantity": 4}, {"quantity": 4, "serials": "A1-A4"}, {"serials": ["A"] * 4}):
        assert ("too_many_serials", 1) in shop.refused("opening_stock", comes("phone", **many))
    shop.accepted("opening_stock", comes("phone", 3))


@pytest.mark.parametrize("named", [{"serials": "S1"}, {"batch": "B1"}])
def test_an_untracked_item_takes_no_numbers(named: dict[str, str]) -> None:
    assert Shop(item("tea")).refused("opening_stock", comes("tea", 1, **named)) == [("not_tracked", 1)]


def test_a_batch_item_takes_no_serials_and_a_blank_number_is_none() -> None:
    shop = Shop(item("tea"), CREAM)
    assert shop.refused("opening_stock", comes("cream", 1, batch="B1", serials="S1")) == [("not_tracked", 1)]
    shop.accepted("opening_stock", comes("tea", 1, batch=" ", serials=""))


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_named_batch_must_exist_unless_its_item_lets_receipts_create_it() -> None:
    shop = Shop(STRICT)
    assert shop.refused("opening_stock", comes("cream", 1, batch="B1")) == [("unknown_batch", 1)]
    batch(shop, "B1")
    assert taken(shop.ask("opening_stock", comes("cream", 1, batch=" B1 "))) == [("B1", "1")]
    assert taken(Shop(CREAM).ask("opening_stock", comes("cream", 1, batch="B1"))) == [("B1", "1")]


def test_a_delivery_never_creates_a_batch() -> None:
    assert Shop(CREAM).refused("delivery", goes("cream", 1, batch="B1")) == [("unknown_batch", 1)]


def test_a_blank_batch_without_a_series_is_refused() -> None:
    assert Shop(CREAM).refused("opening_stock", comes("cream", 1)) == [("batch_missing", 1)]


def test_two_blank_lines_of_one_document_make_two_batches() -> None:
    shop = Shop(NAMED)
    batch(shop, "B26-02")
    judged = shop.accepted("purchase_receipt", comes("cream", 5), comes("cream", 7))
    assert taken(judged) == [("B26-01", "5"), ("B26-03", "7")]
    assert all(each.generated for each in judged.outcome.allocated)


def test_two_lines_that_name_one_new_batch_fill_the_same() -> None:
    shop = Shop(CREAM)
    shop.accepted("purchase_receipt", comes("cream", 5, batch="B1"), comes("cream", 7, rate="2", batch="B1"))
    assert plain(shop.stock.batch_stock["shop", "cream", "north", "B1"].quantity) == "12"


@pytest.mark.parametrize(
    ("stated", "expires_on", "made_on"),
    [
        ({}, TODAY + 30 * DAY, TODAY),
        ({"manufactured_on": date(2026, 2, 20)}, date(2026, 3, 22), date(2026, 2, 20)),
        ({"expires_on": date(2026, 3, 5)}, date(2026, 3, 5), None),
        ({"manufactured_on": TODAY, "expires_on": TODAY}, TODAY, TODAY),
        ({"manufactured_on": date(9999, 12, 30)}, date.max, date(9999, 12, 30)),
    ],
)
def test_a_batch_made_by_a_receipt_expires_a_shelf_life_after_it_was_made_unless_the_line_says_when(
    stated: dict[str, Any], expires_on: date, made_on: date | None
) -> None:
    shop = Shop(CREAM)
    shop.accepted("purchase_receipt", comes("cream", 1, batch="B1", supplier_batch="L9", **stated), supplier="Foundry")
    made = shop.stock.batches["shop", "cream", "B1"]
    assert (made.expires_on, made.manufactured_on) == (expires_on, made_on)
    assert (made.supplier, made.supplier_batch) == ("Foundry", "L9")


@pytest.mark.parametrize("recorded", [None, date(2026, 5, 1)])
def test_a_line_that_states_another_expiry_than_the_batch_has_is_refused(recorded: date | None) -> None:
    shop = Shop(STRICT)
    batch(shop, "B1", expires_on=recorded)
    stated = comes("cream", 1, batch="B1", expires_on=date(2026, 6, 1))
    assert shop.refused("opening_stock", stated) == [("batch_differs", 1)]


def test_a_batch_that_expires_before_it_was_made_is_refused() -> None:
    stated = comes("cream", 1, batch="B1", manufactured_on=TODAY + DAY, expires_on=TODAY)
    assert Shop(CREAM).refused("opening_stock", stated) == [("expires_before_made", 1)]


# --- expired and held -------------------------------------------------------------------------------------------------


def outgoing(purpose: str, **named: str) -> RequestedLine:
    return goes("cream", 1, **named, **({"price": "9"} if purpose == "sale" else {}))


def expired(**of: object) -> Shop:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 9, batch="OLD", expires_on=YESTERDAY))
    return shop


@pytest.mark.parametrize("purpose", OUTGOING)
def test_an_expired_batch_may_be_issued_and_scrapped_but_not_delivered_or_sold(purpose: str) -> None:
    judged = expired().ask(purpose, outgoing(purpose, batch="OLD"))
    assert isinstance(judged, Accepted) == (purpose in ("material_issue", "scrap"))
    if not isinstance(judged, Accepted):
        assert facts(judged, "batch_expired")["expires_on"] == "2026-03-01"


def test_an_expired_batch_may_be_transferred() -> None:
    expired().accepted("material_transfer", moves("cream", 1, batch="OLD"))


def test_an_expired_batch_may_not_be_issued_where_the_company_forbids_it() -> None:
    shop = expired()
    shop.stock.companies["shop"] = type(shop.company)("shop", "EUR", 2, issue_expired=False)
    assert shop.refused("material_issue", goes("cream", 1, batch="OLD")) == [("batch_expired", 1)]
    shop.accepted("scrap", goes("cream", 1, batch="OLD"))


@pytest.mark.parametrize("purpose", INCOMING)
def test_no_new_goods_come_into_an_expired_batch_but_opening_stock_records_it(purpose: str) -> None:
    shop = Shop(STRICT)
    batch(shop, "OLD", expires_on=YESTERDAY)
    batch(shop, "LAST", expires_on=TODAY)
    judged = shop.ask(purpose, comes("cream", 1, batch="OLD"))
    assert isinstance(judged, Accepted) == (purpose not in NEW_GOODS)
    shop.accepted(purpose, comes("cream", 1, batch="LAST"))


@pytest.mark.parametrize("state", [BatchState.HELD, BatchState.RECALLED])
def test_a_held_or_recalled_batch_leaves_only_by_scrap_or_into_quarantine(state: BatchState) -> None:
    shop = Shop(CREAM)
    shop.accepted("opening_stock", comes("cream", 9, batch="B1"))
    shop.hold("cream", "B1", state)
    for purpose in ("material_issue", "delivery", "sale"):
        assert shop.refused(purpose, outgoing(purpose, batch="B1")) == [(f"batch_{state.value}", 1)]
    assert shop.refused("material_transfer", moves("cream", 1, batch="B1")) == [(f"batch_{state.value}", 1)]
    shop.accepted("scrap", goes("cream", 1, batch="B1"))
    shop.accepted("material_transfer", moves("cream", 1, target="quarantine", batch="B1"))
    shop.hold("cream", "B1", BatchState.FREE)
    shop.accepted("delivery", goes("cream", 1, batch="B1"))


def test_a_transfer_does_not_fill_a_bin_beyond_what_a_message_can_tell() -> None:
    shop = Shop(item())
    for warehouse in ("north", "south"):
        shop.accepted("material_receipt", comes("tea", "600000000000", target=warehouse, rate="0.001"))
    assert shop.refused("material_transfer", moves("tea", "600000000000")) == [("quantity_too_large", 1)]


def test_a_batch_number_that_its_series_makes_too_long_is_refused() -> None:
    long = item("c" * 130, tracking="batch", batch_series="{item}.-BATCH-.YYYY.-.####")
    shop = Shop(long)
    assert shop.refused("material_receipt", comes("c" * 130, 1, rate="1")) == [("batch_too_long", 1)]


@pytest.mark.parametrize("given", [{"serials": "A1-A3"}, {"quantity": 3}])
def test_all_lines_together_have_no_more_serials_than_a_movement_may_have(given: dict[str, Any]) -> None:
    shop = Shop(NUMBERED, limits=Limits(serials_in_all=5))
    lines = [comes("phone", rate="1", **given), comes("phone", rate="1", **given)]
    judged = shop.ask("material_receipt", *lines)
    assert reasons(judged) == [("too_many_serials", None)]
    assert facts(judged, "too_many_serials") == {"serials": "6", "limit": "5"}
    shop.accepted("material_receipt", lines[0], comes("phone", 2, rate="1"))


def test_a_number_may_have_as_many_characters_as_a_message_can_carry_and_no_more() -> None:
    shop = Shop(PHONE, CREAM)
    shop.accepted("opening_stock", comes("phone", serials=["S" * 140]), comes("cream", 1, batch="B" * 140))
    longer = [comes("phone", serials=["S" * 141]), comes("cream", 1, batch="B" * 141)]
    judged = shop.ask("opening_stock", *longer)
    assert reasons(judged) == [("serial_too_long", 1), ("batch_too_long", 2)]
    assert facts(judged, "batch_too_long") == {"batch": "B" * 141, "limit": "140"}


def test_only_the_serials_that_are_repeated_are_told_as_such() -> None:
    judged = Shop(PHONE).ask("opening_stock", comes("phone", serials=["S1", "S2", "S3", "S2", "S1", "S1"]))
    assert facts(judged, "serial_repeated") == {"item": "phone", "serials": "S1, S2"}
