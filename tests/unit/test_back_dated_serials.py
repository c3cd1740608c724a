"""What happened to a serial is only told on: in the past, but behind its last event, and behind the last count."""

import pytest

from shared.contracts.movement import Reference, RequestedLine
from tests.counting_builders import counts
from tests.past_builders import at, corrections, stocked
from tests.receiving_builders import comes, facts, goes, line, moves, reasons


def test_a_serial_whose_events_all_lie_before_may_move_in_the_past() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S1"), at=at(6))
    judged = shop.accepted("material_transfer", moves("phone", serials="S2"), at=at(2))
    assert [(each.at, each.left, each.came_to) for each in judged.events] == [(at(2), True, "south")]
    assert (shop.quantity("phone"), shop.quantity("phone", "south")) == ("1", "1")
    shop.accepted("delivery", goes("phone", serials="S2", source="south"), at=at(3))
    assert corrections(judged) == []


def test_a_serial_that_never_moved_may_come_in_the_past_and_one_that_left_may_come_back_then() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S1"), at=at(2), id="D")
    shop.accepted("delivery", goes("phone", serials="S3"), at=at(8))
    shop.accepted("purchase_receipt", comes("phone", serials="S9"), at=at(3))
    shop.accepted("sales_return", line("phone", serials="S1"), against=Reference(id="D"), at=at(4))
    assert shop.stock.serials["shop", "phone", "S1"].entered == (at(4), 5, 1, 0)
    assert shop.quantity("phone") == "3"


@pytest.mark.parametrize(
    ("purpose", "asked"),
    [
        ("delivery", goes("phone", serials="S1")),
        ("material_transfer", moves("phone", serials="S1")),
        ("material_receipt", comes("phone", serials="S1")),
        ("sales_return", line("phone", serials="S1", target="south")),
        ("write_down", goes("phone", serials="S1", rate="1")),
    ],
)
def test_what_happened_to_a_serial_is_only_told_on(purpose: str, asked: RequestedLine) -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S1"), at=at(6))
    judged = shop.ask(purpose, asked, at=at(2))
    assert reasons(judged) == [("serial_moved_since", 1)]
    assert facts(judged, "serial_moved_since") == {"item": "phone", "serial": "S1", "at": at(6).isoformat()}


def test_serials_that_moved_since_are_not_picked() -> None:
    shop = stocked()
    shop.accepted("material_transfer", moves("phone", serials="S1"), at=at(4))
    shop.accepted("material_transfer", moves("phone", serials="S1", source="south", target="north"), at=at(5))
    judged = shop.accepted("delivery", goes("phone", 2), at=at(2))
    assert [each.serials for each in judged.outcome.allocated] == [["S2", "S3"]]
    assert shop.refused("delivery", goes("phone", 1), at=at(2)) == [("insufficient_stock", 1)]
    assert shop.quantity("phone") == "1"


def test_serials_that_moved_since_do_not_come_back_unnamed() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S1,S2"), at=at(1), id="D")
    shop.accepted("sales_return", line("phone", serials="S1"), against=Reference(id="D"), at=at(6))
    judged = shop.accepted("sales_return", line("phone", 1), against=Reference(id="D"), at=at(2))
    assert [each.serials for each in judged.outcome.allocated] == [["S2"]]


def test_serials_that_moved_since_are_not_sent_back_unnamed() -> None:
    shop = stocked()
    shop.accepted("purchase_receipt", comes("phone", serials="S8,S9"), at=at(1), id="R")
    shop.accepted("material_transfer", moves("phone", serials="S8"), at=at(4))
    shop.accepted("material_transfer", moves("phone", serials="S8", source="south", target="north"), at=at(5))
    judged = shop.accepted("purchase_return", line("phone", 1), against=Reference(id="R"), at=at(2))
    assert [each.serials for each in judged.outcome.allocated] == [["S9"]]


def test_nothing_passes_a_count_of_serials() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("phone", serials="S1-S3"), at=at(4))
    judged = shop.ask("delivery", goes("phone", serials="S1"), at=at(2))
    assert reasons(judged) == [("counted_since", 1)]
    assert facts(judged, "counted_since") == {
        "item": "phone",
        "warehouse": "north",
        "counted_at": at(4).isoformat(),
    }
    assert shop.refused("material_receipt", comes("phone", serials="S9"), at=at(2)) == [("counted_since", 1)]
    shop.accepted("opening_stock", comes("phone", None, "south", serials="S8"), at=at(5))
    back = moves("phone", serials="S8", source="south", target="north")
    assert shop.refused("material_transfer", back, at=at(3)) == [("counted_since", 1), ("serial_moved_since", 1)]
    shop.accepted("delivery", goes("phone", serials="S1"), at=at(4))


def test_a_count_of_serials_is_not_late() -> None:
    shop = stocked()
    shop.accepted("opening_stock", comes("phone", serials="S9"), at=at(4))
    judged = shop.ask("reconciliation", counts("phone", serials="S1-S3"), at=at(2))
    assert reasons(judged) == [("moved_since", 1)]
    assert facts(judged, "moved_since") == {"item": "phone", "warehouse": "north", "moved_at": at(4).isoformat()}
    shop.accepted("delivery", goes("tea", 1), at=at(6))
    shop.accepted("reconciliation", counts("phone", serials="S1-S3,S9"), counts("tea", 9), at=at(4))


def test_serials_are_written_down_by_their_names_whatever_was_counted_since() -> None:
    shop = stocked()
    shop.accepted("reconciliation", counts("phone", serials="S1-S3"), at=at(4))
    shop.accepted("write_down", goes("phone", serials="S1", rate="1"), at=at(2))


def test_all_serials_of_a_bin_are_written_down_only_as_they_stand_and_named_ones_before_that_too() -> None:
    shop = stocked()
    shop.accepted("delivery", goes("phone", serials="S3"), at=at(4))
    assert shop.refused("write_down", goes("phone", rate="1"), at=at(2)) == [("moved_since", 1)]
    shop.accepted("write_down", goes("phone", serials="S1,S2", rate="1"), at=at(2))
