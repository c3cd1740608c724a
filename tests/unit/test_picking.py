"""What is picked where a line names nothing: the order, what is passed over, how a quantity is split."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest

from services.receiving.decide.picking import Pickable, in_order, spread
from services.receiving.decide.stock import Entered
from shared.purposes import BatchState, Pick
from tests.builders import MORNING
from tests.receiving_builders import Shop, comes, company, facts, goes, item, moves, serials, taken

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CREAM = item("cream", tracking="batch", create_batches_on_receipt=True)
FEFO_CREAM = item("cream", tracking="batch", create_batches_on_receipt=True, pick="fefo")
LIFO_CREAM = item("cream", tracking="batch", create_batches_on_receipt=True, pick="lifo")
PHONE = item("phone", tracking="serial")
LIFO_PHONE = item("phone", tracking="serial", pick="lifo")


def unit(number: str, entered: Entered, expires_on: date | None = None) -> Pickable:
    return Pickable(number, Decimal(1), expires_on, entered)


def shop(cream: object = CREAM, **batches: date | None) -> Shop:
    """A shop with ten of each of these batches, that came in in this order."""
    of = Shop(cream)  # type: ignore[arg-type]
    for batch, expires_on in batches.items():
        of.accepted("opening_stock", comes("cream", 10, batch=batch, expires_on=expires_on))
    return of


TIED = [
    unit("A", Entered(MORNING, 1, 1)),
    unit("B", Entered(MORNING, 1, 1, 1)),
    unit("C", Entered(MORNING, 1, 2)),
    unit("D", Entered(MORNING, 2, 1)),
    unit("Z", Entered(MORNING + MINUTE, 1, 1)),
    unit("a", Entered(MORNING + MINUTE, 1, 1)),
]


def test_fifo_goes_by_time_then_stamp_then_line_then_place_then_number() -> None:
    for order in permutations(TIED, 6):
        assert in_order(order, Pick.FIFO) == TIED


def test_lifo_is_the_fifo_order_read_backwards_with_all_ties() -> None:
    assert in_order(TIED, Pick.LIFO) == TIED[::-1]


def test_fefo_goes_by_expiry_then_by_entry_and_what_keeps_for_ever_comes_last() -> None:
    early, late = date(2026, 4, 1), date(2026, 5, 1)
    first, second, third = (Entered(MORNING + n * MINUTE, 1, 1) for n in range(3))
    ordered = [unit("A", third, early), unit("B", first, late), unit("C", second, late), unit("D", first)]
    assert in_order(ordered[::-1], Pick.FEFO) == ordered


def test_a_quantity_is_split_over_the_first_in_order_and_the_last_is_cut() -> None:
    pickable = [Pickable(number, Decimal(4), None, Entered(MORNING, 1, 1)) for number in "ABC"]
    assert spread(Decimal(9), pickable) == [("A", Decimal(4)), ("B", Decimal(4)), ("C", Decimal(1))]
    assert spread(Decimal(4), pickable) == [("A", Decimal(4))]


def test_a_fifo_delivery_takes_the_first_batch_whole_and_the_rest_of_the_next() -> None:
    assert taken(shop(B2=None, B1=None).ask("delivery", goes("cream", "12.5"))) == [("B2", "10"), ("B1", "2.5")]


def test_a_lifo_delivery_takes_the_last_batch_first() -> None:
    assert taken(shop(LIFO_CREAM, B1=None, B2=None).ask("delivery", goes("cream", 11))) == [("B2", "10"), ("B1", "1")]


def test_a_fefo_delivery_takes_what_expires_first_whenever_it_came() -> None:
    of = shop(FEFO_CREAM, LATE=date(2026, 6, 1), EARLY=date(2026, 5, 1), EVER=None)
    assert taken(of.ask("sale", goes("cream", 21, price="1"))) == [("EARLY", "10"), ("LATE", "10"), ("EVER", "1")]


def test_two_lines_of_one_document_pick_one_after_the_other() -> None:
    judged = shop(B1=None, B2=None).ask("delivery", goes("cream", 6), goes("cream", 6))
    assert taken(judged) == [("B1", "6"), ("B1", "4"), ("B2", "2")]


def test_a_serial_item_picks_the_places_of_a_line_in_the_order_listed() -> None:
    of = Shop(PHONE)
    of.accepted("opening_stock", comes("phone", serials=["Z", "A", "M"]), comes("phone", serials=["B"]))
    assert serials(of.ask("delivery", goes("phone", 4))) == ["Z", "A", "M", "B"]


def test_a_lifo_serial_item_picks_the_last_place_of_the_last_line_first() -> None:
    of = Shop(LIFO_PHONE)
    of.accepted("opening_stock", comes("phone", serials=["Z", "A", "M"]), comes("phone", serials=["B"]))
    assert serials(of.ask("delivery", goes("phone", 3))) == ["B", "M", "A"]


def test_a_batch_is_picked_on_its_expiry_day_and_passed_over_the_day_after() -> None:
    of = shop(B1=MORNING.date(), B2=None)
    assert taken(of.ask("delivery", goes("cream", 1))) == [("B1", "1")]
    of.now += DAY
    assert taken(of.ask("delivery", goes("cream", 1), at=MORNING + DAY)) == [("B2", "1")]


def test_expiry_is_judged_at_the_effective_time_whatever_the_clock_says() -> None:
    of = shop(B1=MORNING.date(), B2=None)
    of.now += 30 * DAY
    assert taken(of.ask("delivery", goes("cream", 1))) == [("B1", "1")]


def test_even_a_purpose_that_may_take_expired_stock_does_not_pick_it() -> None:
    of = shop(OLD=MORNING.date() - DAY, NEW=None)
    assert taken(of.ask("scrap", goes("cream", 1))) == [("NEW", "1")]
    assert facts(of.ask("scrap", goes("cream", 10)), "insufficient_stock")["available"] == "9"


@pytest.mark.parametrize("state", [BatchState.HELD, BatchState.RECALLED])
@pytest.mark.parametrize("purpose", ["delivery", "scrap", "material_issue"])
def test_a_held_or_recalled_batch_is_never_picked(state: BatchState, purpose: str) -> None:
    of = shop(B1=None, B2=None)
    of.hold("cream", "B1", state)
    assert taken(of.ask(purpose, goes("cream", 1))) == [("B2", "1")]


def test_a_transfer_into_quarantine_does_not_pick_a_held_batch_either() -> None:
    of = shop(B1=None, B2=None)
    of.hold("cream", "B1")
    assert taken(of.ask("material_transfer", moves("cream", 1, target="quarantine")))[0] == ("B2", "1")


def test_what_is_reserved_is_not_picked() -> None:
    of = Shop(CREAM, PHONE)
    of.accepted("opening_stock", comes("cream", 10, batch="B1"), comes("phone", serials=["S1", "S2"]))
    key = ("shop", "cream", "north", "B1")
    of.stock.batch_stock[key] = of.stock.batch_stock[key]._replace(reserved=Decimal(7))
    serial = ("shop", "phone", "S1")
    of.stock.serials[serial] = of.stock.serials[serial]._replace(reserved_for="order 7")
    assert of.refused("delivery", goes("cream", 4)) == [("insufficient_stock", 1)]
    assert taken(of.ask("delivery", goes("cream", 3))) == [("B1", "3")]
    assert serials(of.ask("delivery", goes("phone", 1))) == ["S2"]


def test_the_expiry_and_hold_of_a_batch_reach_the_serials_that_name_it() -> None:
    of = Shop(item("phone", tracking="serial", create_batches_on_receipt=True))
    of.accepted("opening_stock", comes("phone", serials="A1", batch="OLD", expires_on=date(2026, 3, 1)))
    of.accepted("opening_stock", comes("phone", serials="B1", batch="HELD"), comes("phone", serials="C1"))
    of.hold("phone", "HELD")
    assert serials(of.ask("delivery", goes("phone", 1))) == ["C1"]


def test_a_transfer_does_not_make_a_batch_or_a_serial_young() -> None:
    of = Shop(CREAM, PHONE)
    of.accepted("opening_stock", comes("cream", 1, batch="B1"), comes("phone", serials="S1"))
    of.accepted("opening_stock", comes("cream", 1, "south", batch="B2"), comes("phone", None, "south", serials="S2"))
    of.accepted("material_transfer", moves("cream", 1), moves("phone", 1))
    assert taken(of.ask("delivery", goes("cream", 1, "south"))) == [("B1", "1")]
    assert serials(of.ask("delivery", goes("phone", 1, "south"))) == ["S1"]


def test_a_batch_that_left_wholly_and_comes_back_is_young() -> None:
    of = shop(B1=None, B2=None)
    of.accepted("delivery", goes("cream", 10, batch="B1"))
    of.accepted("material_receipt", comes("cream", 10, batch="B1"))
    assert taken(of.ask("delivery", goes("cream", 1))) == [("B2", "1")]


def test_a_batch_that_left_one_warehouse_while_some_stands_in_another_stays_old() -> None:
    of = shop(B1=None, B2=None)
    of.accepted("material_transfer", moves("cream", 1, batch="B1"))
    of.accepted("delivery", goes("cream", 9, batch="B1"))
    of.accepted("material_receipt", comes("cream", 9, batch="B1"))
    assert taken(of.ask("delivery", goes("cream", 1))) == [("B1", "1")]


def test_a_serial_that_left_and_comes_back_is_young() -> None:
    of = Shop(PHONE)
    of.accepted("opening_stock", comes("phone", serials=["S1", "S2"]))
    of.accepted("delivery", goes("phone", serials="S1"))
    of.accepted("material_receipt", comes("phone", serials="S1"))
    assert serials(of.ask("delivery", goes("phone", 1))) == ["S2"]


def test_serials_are_picked_among_those_of_the_batch_that_the_line_names() -> None:
    of = Shop(item("phone", tracking="serial", create_batches_on_receipt=True))
    of.accepted("opening_stock", comes("phone", serials="A1-A2", batch="B1"), comes("phone", serials="A3", batch="B2"))
    assert serials(of.ask("delivery", goes("phone", 1, batch="B2"))) == ["A3"]
    assert of.refused("delivery", goes("phone", 1, batch="B2")) == [("insufficient_stock", 1)]


@pytest.mark.parametrize("tracked", ["batch", "serial"])
def test_an_item_to_be_picked_by_hand_is_refused_where_nothing_is_named(tracked: str) -> None:
    of = Shop(item("tin", tracking=tracked, pick="explicit", create_batches_on_receipt=True))
    named = {"batch": "B1"} if tracked == "batch" else {"serials": "S1"}
    of.accepted("opening_stock", comes("tin", 1, **named))
    assert of.refused("delivery", goes("tin", 1)) == [("batch_missing" if tracked == "batch" else "serials_missing", 1)]
    of.accepted("delivery", goes("tin", 1, **named))


def test_expiry_goes_by_the_day_of_the_companys_time_zone() -> None:
    of = Shop(CREAM, of=company(time_zone="Asia/Tokyo"))
    of.accepted("opening_stock", comes("cream", 10, batch="B1", expires_on=MORNING.date()))
    late = datetime(2026, 3, 2, 14, 59, tzinfo=UTC)
    assert of.refused("delivery", goes("cream", 1), at=late + MINUTE) == [("insufficient_stock", 1)]
    assert taken(of.ask("delivery", goes("cream", 1), at=late)) == [("B1", "1")]
