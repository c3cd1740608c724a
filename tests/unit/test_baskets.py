"""How grocery baskets become movements: nothing is lost, nothing is sold that was not received, and time goes on."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import baskets
from benchmarks.baskets import Bought, Product
from shared.contracts.codec import decoder, read, write
from shared.contracts.movement import MovementRequested
from shared.purposes import Tracking

PRODUCTS = {
    11: Product("PRODUCE", "TROPICAL FRUIT"),
    12: Product("GROCERY", "FLUID MILK PRODUCTS"),
    13: Product("GROCERY", "SOFT DRINKS"),
    20: Product("DRUG GM", "HAIR CARE PRODUCTS"),
    30: Product("FUEL", "COUPON/MISC ITEMS"),
}
MONDAY, NEW_YEAR = datetime(2016, 12, 26, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC)
_requested = decoder(MovementRequested)


@st.composite
def years(draw: st.DrawFn) -> list[Bought]:
    """Baskets in the order of time, each of one store, at one moment, with each product once."""
    bought: list[Bought] = []
    at = NEW_YEAR
    for number in range(draw(st.integers(0, 8))):
        at += timedelta(hours=draw(st.integers(0, 400)))
        store = draw(st.integers(1, 3))
        for product in sorted(draw(st.sets(st.sampled_from([*PRODUCTS, 99]), min_size=1))):
            quantity, cents = draw(st.integers(0, 5)), draw(st.integers(0, 2_000))
            week = (at - MONDAY).days // 7 + 1
            bought.append(Bought(number + 500, store, number, product, quantity, cents, week, at))
    return bought


@given(years())
def test_what_is_received_is_what_is_sold_of_each_product_in_each_store(bought: Sequence[Bought]) -> None:
    received: Counter[tuple[str | None, str | None]] = Counter()
    sold: Counter[tuple[str | None, str | None]] = Counter()
    for line in (line for each in baskets.receipts(bought, PRODUCTS) for line in each.lines):
        received[line.target, line.item] += int(line.quantity or 0)
    for line in (line for each in baskets.sales(bought) for line in each.lines):
        sold[line.source, line.item] += int(line.quantity or 0)
    assert received == sold == _sold(bought)


@given(years())
def test_a_batch_covers_what_is_sold_in_its_week_and_has_not_expired_then(bought: Sequence[Bought]) -> None:
    covered: Counter[tuple[str | None, str | None, str]] = Counter()
    for receipt in baskets.receipts(bought, PRODUCTS):
        for line in receipt.lines:
            if line.batch is not None and line.manufactured_on is not None:
                covered[line.target, line.item, line.batch] += int(line.quantity or 0)
                sold_at = [each.at.date() for each in bought if f"week-{each.week:02d}" == line.batch]
                assert line.manufactured_on <= min(sold_at)
                assert max(sold_at) <= line.manufactured_on + baskets.SHELF_LIFE
    wanted: Counter[tuple[str | None, str | None, str]] = Counter()
    for each in bought:
        if each.quantity and each.product in {11, 12}:
            wanted[f"{each.store}", f"{each.product}", f"week-{each.week:02d}"] += each.quantity
    assert covered == wanted


@given(years())
def test_no_line_moves_nothing_and_no_basket_is_empty(bought: Sequence[Bought]) -> None:
    for each in (*baskets.receipts(bought, PRODUCTS), *baskets.sales(bought)):
        assert each.lines
        assert all(line.quantity is not None and line.quantity > 0 for line in each.lines)


@given(years())
def test_sales_follow_one_another_and_all_receipts_in_time(bought: Sequence[Bought]) -> None:
    received = [each.posting_at for each in baskets.receipts(bought, PRODUCTS)]
    sold = [each.posting_at for each in baskets.sales(bought)]
    assert sold == sorted(sold)
    assert not received or max(received) < min(sold)


@given(years())
def test_tenders_pay_exactly_what_the_lines_come_to(bought: Sequence[Bought]) -> None:
    for sale in baskets.sales(bought):
        assert sale.money is not None
        tendered = sum((each.amount for each in sale.money.tenders), Decimal(0))
        assert tendered == sum((line.net for line in sale.lines if line.net is not None), Decimal(0))
        assert all(each.amount > 0 for each in sale.money.tenders)


@given(years())
def test_every_movement_can_be_read_as_it_is_sent_and_has_a_name_of_its_own(bought: Sequence[Bought]) -> None:
    made = [*baskets.receipts(bought, PRODUCTS), *baskets.sales(bought)]
    assert [read(_requested, write(each)) for each in made] == made
    assert len({each.id for each in made}) == len(made)


def test_receipts_of_a_large_store_are_cut_into_several() -> None:
    bought = [Bought(1, 7, number, number, 1, 100, 1, NEW_YEAR) for number in range(1, 2_502)]
    assert [len(each.lines) for each in baskets.receipts(bought, {})] == [1_000, 1_000, 501]


def test_a_rate_of_nothing_is_meant() -> None:
    given_away = Bought(1, 7, 1, 13, 2, 0, 1, NEW_YEAR)
    (receipt,) = baskets.receipts([given_away], PRODUCTS)
    assert receipt.lines[0].rate == 0
    assert receipt.lines[0].allow_zero_rate


@pytest.mark.parametrize(
    ("number", "tracking"),
    [
        (11, Tracking.BATCH),
        (12, Tracking.BATCH),
        (13, Tracking.NONE),
        (20, Tracking.SERIAL),
        (30, Tracking.NONE),
        (99, Tracking.NONE),
        (100, Tracking.SERIAL),
    ],
)
def test_what_is_perishable_has_batches_and_one_in_ten_of_the_rest_serials(number: int, tracking: Tracking) -> None:
    assert baskets.tracking_of(number, PRODUCTS.get(number)) is tracking


def test_every_product_that_is_sold_is_defined_once_and_its_stores_with_it() -> None:
    bought = [Bought(1, store, store, product, 1, 100, 1, NEW_YEAR) for store in (4, 5) for product in (11, 20, 99)]
    named = [event.id for event in baskets.definitions(bought, PRODUCTS)]
    assert named == ["grocer", "outlet-4", "outlet-5", "product-11", "product-20", "product-99"]


def _sold(bought: Sequence[Bought]) -> Counter[tuple[str | None, str | None]]:
    sold: Counter[tuple[str | None, str | None]] = Counter()
    for each in bought:
        if each.quantity:
            sold[f"{each.store}", f"{each.product}"] += each.quantity
    return sold
