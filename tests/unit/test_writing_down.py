"""Write-downs: a highest worth a unit for what stands in a bin, of a batch there, or as serials there."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.case import Limits
from shared.contracts.movement import RequestedLine
from shared.purposes import BatchState, Role, SerialStatus
from shared.quantities import Rate, plain
from tests.builders import MORNING, Number
from tests.receiving_builders import Shop, comes, facts, goes, item, line, reasons

TEA = item("tea", units={"box": Decimal(12)})
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
PHONE = item("phone", tracking="serial", create_batches_on_receipt=True)


def lowers(what: str, rate: Number | None = "1", source: str = "north", **fields: Any) -> RequestedLine:
    """A line that writes down what stands somewhere."""
    return line(what, source=source, rate=rate, **fields)


def stocked() -> Shop:
    """Ten tea, four cream in each of two batches, three phones, the last of a batch, all in the north."""
    shop = Shop(TEA, CREAM, PHONE)
    shop.accepted(
        "opening_stock",
        comes("tea", 10, rate="2"),
        comes("cream", 4, batch="B1"),
        comes("cream", 4, batch="B2"),
        comes("phone", serials="S2,S1", rate="100"),
        comes("phone", serials="S3", rate="100", batch="P1"),
    )
    return shop


def told(judged: Accepted | Rejected) -> list[tuple[str, Rate | None, str | None, list[str]]]:
    """The legs of an accepted write-down: quantity, rate, batch and serials of each."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [(plain(leg.quantity), leg.rate, leg.batch, leg.serials) for leg in judged.allocated.legs]


@pytest.mark.parametrize(
    ("written", "leg"),
    [
        (lowers("tea", "1.5"), ("0", Rate("1.5"), None, [])),
        (lowers("tea", "20", unit="box"), ("0", Rate("1.666666667"), None, [])),
        (lowers("tea", "0", allow_zero_rate=True), ("0", Rate("0"), None, [])),
        (lowers("tea", None, allow_zero_rate=True), ("0", Rate("0"), None, [])),
        (lowers("cream", "1", batch="B2"), ("0", Rate("1"), "B2", [])),
        (lowers("phone", "50", serials="S2,S1"), ("0", Rate("50"), None, ["S2", "S1"])),
        (lowers("phone", "50"), ("0", Rate("50"), None, ["S1", "S2", "S3"])),
        (lowers("phone", "50", batch="P1"), ("0", Rate("50"), "P1", ["S3"])),
    ],
)
def test_a_write_down_has_a_rate_per_stock_unit_and_moves_nothing(
    written: RequestedLine, leg: tuple[str, Rate, str | None, list[str]]
) -> None:
    shop = stocked()
    before = dict(shop.stock.serials)
    judged = shop.accepted("write_down", written)
    assert told(judged) == [leg]
    assert (shop.quantity("tea"), shop.quantity("cream"), shop.quantity("phone")) == ("10", "8", "3")
    assert (shop.stock.serials, judged.events) == (before, [])
    assert judged.allocated.accounts[Role.WRITE_OFF] == "write_off"


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (lowers("tea", None), "rate_missing"),
        (lowers("tea", "0"), "rate_missing"),
        (lowers("tea", "-1"), "rate_negative"),
        (lowers("tea", quantity=3), "quantity_not_allowed"),
        (lowers("tea", unit="barrel"), "unknown_unit"),
        (lowers("tea", target="south"), "target_not_allowed"),
        (lowers("tea", source="south"), "nothing_there"),
        (lowers("cream"), "batch_missing"),
        (lowers("cream", batch="GHOST"), "unknown_batch"),
        (lowers("cream", batch="B1", source="south"), "nothing_there"),
        (lowers("phone", source="south"), "nothing_there"),
        (lowers("phone", batch="P9"), "nothing_there"),
        (lowers("phone", serials="S1,S9"), "unknown_serial"),
        (lowers("phone", serials="S1", source="south"), "serial_not_here"),
        (lowers("phone", serials="S1,S3", batch="P1"), "serial_of_another_batch"),
    ],
)
def test_a_write_down_of_what_is_not_there_or_to_no_rate_is_refused(written: RequestedLine, code: str) -> None:
    assert stocked().refused("write_down", written) == [(code, 1)]


def test_a_write_down_without_rate_of_what_is_not_there_is_refused_for_both() -> None:
    assert stocked().refused("write_down", lowers("tea", None, "south")) == [("rate_missing", 1), ("nothing_there", 1)]


def test_what_is_not_there_is_told_by_its_names() -> None:
    judged = stocked().ask("write_down", lowers("cream", batch="GHOST"))
    assert facts(judged, "unknown_batch") == {"item": "cream", "batch": "GHOST"}
    judged = stocked().ask("write_down", lowers("cream", batch="B1", source="south"))
    assert facts(judged, "nothing_there") == {"item": "cream", "warehouse": "south", "batch": "B1"}


def test_a_bin_below_zero_has_nothing_to_write_down() -> None:
    shop = Shop(item("tea", allow_negative_stock=True, standard_rate=Decimal(2)))
    shop.accepted("delivery", goes("tea", 1))
    assert shop.refused("write_down", lowers("tea")) == [("nothing_there", 1)]


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        (lowers("tea", "1"), lowers("tea", "2"), {}),
        (lowers("cream", "1", batch="B1"), lowers("cream", "2", batch="B1"), {"batch": "B1"}),
        (lowers("phone", "1", serials="S1,S2"), lowers("phone", "2", serials="S3,S2"), {"serial": "S2"}),
        (lowers("phone", "1", batch="P1"), lowers("phone", "2"), {"serial": "S3"}),
    ],
)
def test_nothing_is_written_down_twice_by_one_movement(
    one: RequestedLine, other: RequestedLine, named: dict[str, str]
) -> None:
    judged = stocked().ask("write_down", one, other)
    assert reasons(judged) == [("written_down_twice", 2)]
    assert facts(judged, "written_down_twice") == {"item": str(one.item), "warehouse": "north", **named}


def test_two_batches_and_other_serials_are_written_down_by_further_lines() -> None:
    lines = [lowers("cream", batch="B1"), lowers("cream", batch="B2"), lowers("phone", serials="S1")]
    judged = stocked().accepted("write_down", *lines, lowers("phone", serials="S2"))
    assert [leg.line for leg in judged.allocated.legs] == [1, 2, 3, 4]


def test_what_was_written_down_keeps_its_quantities_and_states() -> None:
    shop = stocked()
    shop.accepted("write_down", lowers("tea"), lowers("cream", batch="B1"), lowers("phone", serials="S1"))
    assert [shop.quantity(what) for what in ("tea", "cream", "phone")] == ["10", "8", "3"]
    assert shop.stock.serials["shop", "phone", "S1"].status is SerialStatus.ACTIVE


@pytest.mark.parametrize("state", list(BatchState))
def test_expired_held_and_recalled_goods_are_written_down_like_others(state: BatchState) -> None:
    shop = Shop(CREAM, PHONE)
    old: dict[str, Any] = {"expires_on": MORNING.date() - timedelta(days=1)}
    shop.accepted(
        "opening_stock", comes("cream", 4, batch="B1", **old), comes("phone", serials="S1", batch="B1", **old)
    )
    shop.hold("cream", "B1", state)
    shop.hold("phone", "B1", state)
    serial = shop.stock.serials["shop", "phone", "S1"]
    shop.stock.serials["shop", "phone", "S1"] = serial._replace(reserved_for="order 7")
    shop.accepted("write_down", lowers("cream", batch="B1"), lowers("phone", serials="S1"))


@pytest.mark.parametrize("limits", [Limits(serials=2), Limits(serials_in_all=2)])
def test_no_more_serials_are_written_down_than_a_movement_may_have(limits: Limits) -> None:
    shop = stocked()
    shop.limits = limits
    assert [code for code, _ in shop.refused("write_down", lowers("phone"))] == ["too_many_serials"]


def test_no_rate_is_larger_than_a_message_can_carry() -> None:
    shop = Shop(item("tea", units={"crumb": Decimal("0.001")}))
    shop.accepted("opening_stock", comes("tea", 1))
    assert shop.refused("write_down", lowers("tea", "1000000000", unit="crumb")) == [("amount_too_large", 1)]
    shop.accepted("write_down", lowers("tea", "999999999", unit="crumb"))


def test_a_write_down_that_is_late_takes_effect_at_the_last_event_of_its_bin() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("tea", 1), at=MORNING + timedelta(minutes=4))
    late = shop.accepted("write_down", lowers("tea"), at=MORNING + timedelta(minutes=1))
    assert late.allocated.effective_at == MORNING + timedelta(minutes=4)
