"""Reports of stock on a small shop: cases that can be checked by hand."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine

from services.desk.servers import bring_up_to_date
from tests import servers
from tests.reporting_builders import Books, books_on, comes, goes, line, lines, told

MARCH_31 = date(2026, 3, 31)
LATER = datetime(2026, 3, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(postgres: str) -> Iterator[Engine]:
    """Tea in layers, cream in two batches, three phones; at last a receipt of January that nobody had written down."""
    with servers.fresh_database(postgres) as url:
        bring_up_to_date(url)
        with books_on(url) as books:
            _play(books)
            yield books.engine


def _play(books: Books) -> None:
    books.define("item", item="tea", reorder_level="25", reorder_quantity="5", name="Green tea", unit="bag")
    books.define("item", item="soap", reorder_level="10")
    books.define("item", item="milk", reorder_level="10", disabled=True)
    books.define("item", item="cream", tracking="batch", shelf_life_days=60, reorder_level="6")
    books.define("item", item="phone", tracking="serial", warranty_days=365)
    books.define("batch", item="cream", batch="C1", manufactured_on="2026-01-01", supplier="Dairy", supplier_batch="L7")
    books.define("batch", item="cream", batch="C2", manufactured_on="2026-02-20")
    books.book("R1", "purchase_receipt", "2026-01-10", comes("tea", 10, 2))
    books.book("R2", "purchase_receipt", "2026-02-01", comes("cream", 5, 4, batch="C1"))
    phones = [comes("phone", 2, 100, serials=["S1", "S2"]), comes("phone", 1, 130, serials=["S3"])]
    books.book("R3", "purchase_receipt", "2026-02-01", *phones)
    books.book("D1", "delivery", "2026-02-05", goes("phone", 1, serials=["S1"]), customer="Ada", document="DN-1")
    books.book("D2", "delivery", "2026-02-10", goes("cream", 2, batch="C1"), customer="Ben")
    books.book("R4", "purchase_receipt", "2026-03-01", comes("tea", 10, 3), comes("cream", 10, 5, batch="C2"))
    books.book("B1", "sales_return", "2026-03-04", line("cream", 1), against={"id": "D2"}, customer="Ben")
    books.book("D3", "delivery", "2026-03-05", goes("tea", 4))
    books.book("T1", "material_transfer", "2026-03-06", goes("tea", 8, target="south"))
    books.book("T2", "material_transfer", "2026-03-07", goes("tea", 3, target="van"))
    books.book("T3", "material_transfer", "2026-03-07", goes("cream", 4, target="locked", batch="C1"))
    books.book("T4", "material_transfer", "2026-03-07", goes("phone", 1, target="south", serials=["S3"]))
    books.book("D4", "delivery", "2026-03-08", goes("cream", 5, batch="C2"))
    books.clock.now = LATER
    books.book("R0", "purchase_receipt", "2026-01-05", comes("tea", 1, 5))


def test_stock_is_as_old_as_its_receipts_say_also_where_it_was_taken_to(engine: Engine) -> None:
    # Of 21 bags the four oldest left on 5 March: one of the 5th and three of the 10th of January. South got the next
    # eight, of which seven are 80 days old and one 30; the van, and what is left, are of the 1st of March.
    assert told(engine, "ageing", "item warehouse batch age quantity value oldest_on", on=MARCH_31) == lines("""
        cream locked C1   0-30   1  4    2026-03-04
        cream locked C1   31-60  3  12   2026-02-01
        cream north  C2   0-30   5  25   2026-03-01
        phone north  -    31-60  1  100  2026-02-01
        phone south  -    31-60  1  130  2026-02-01
        tea   north  -    0-30   6  18   2026-03-01
        tea   south  -    0-30   1  2.12 2026-03-01
        tea   south  -    61-90  7  14.88 2026-01-10
        tea   van    -    0-30   3  9    2026-03-01
    """)


def test_a_filter_of_a_warehouse_does_not_change_how_old_the_goods_in_it_are(engine: Engine) -> None:
    found = told(engine, "ageing", "age quantity", on=MARCH_31, warehouse="south", item="tea")
    assert found == ["0-30 1", "61-90 7"]


def test_a_batch_is_good_on_its_last_day_and_expired_on_the_next(engine: Engine) -> None:
    columns = "batch warehouse expires_on days_left window quantity value supplier_batch"
    assert told(engine, "expiry", columns, on=date(2026, 3, 2)) == lines("""
        C1 north 2026-03-02 0  within_30_days 3  12 L7
        C2 north 2026-04-21 50 within_60_days 10 50 -
    """)
    assert told(engine, "expiry", columns, on=date(2026, 3, 8)) == lines("""
        C1 locked 2026-03-02 -6 expired        4 16 L7
        C2 north  2026-04-21 44 within_60_days 5 25 -
    """)
    assert [row.split()[4] for row in told(engine, "expiry", columns, on=date(2026, 1, 15))] == []


def test_the_day_of_a_moment_is_that_of_the_companys_clock(engine: Engine) -> None:
    # The 2nd of March ends in Berlin at 23:00 in UTC.
    for moment, window in (
        (datetime(2026, 3, 2, 22, 59, tzinfo=UTC), "within_30_days"),
        (datetime(2026, 3, 2, 23, 0, tzinfo=UTC), "expired"),
    ):
        assert told(engine, "expiry", "window", batch="C1", as_of=moment) == [window]


def test_the_ledger_of_a_batch_tells_what_stood_there_of_it_after_each_entry(engine: Engine) -> None:
    columns = "warehouse posting_date id quantity value quantity_after value_after"
    assert told(engine, "batch-ledger", columns, batch="C1") == lines("""
        locked 2026-03-07 T3  4  16 4 16
        north  2026-02-01 R2  5  20 5 20
        north  2026-02-10 D2 -2  -8 3 12
        north  2026-03-04 B1  1   4 4 16
        north  2026-03-07 T3 -4 -16 0  0
    """)


def test_what_came_before_the_first_day_counts_though_it_is_not_shown(engine: Engine) -> None:
    days = {"from_day": date(2026, 3, 4), "to_day": date(2026, 3, 6)}
    assert told(engine, "batch-ledger", "id quantity_after", batch="C1", **days) == ["B1 4"]


def test_a_serial_is_in_warranty_from_its_delivery_to_the_last_day(engine: Engine) -> None:
    columns = "serial status customer customer_document warranty_until days_left"
    found = lines("S1 delivered Ada DN-1 2027-02-05 365")
    assert told(engine, "in-warranty", columns, on=date(2026, 2, 4)) == []
    assert told(engine, "in-warranty", columns, on=date(2026, 2, 5)) == found
    assert told(engine, "in-warranty", "serial days_left", on=date(2027, 2, 5)) == ["S1 0"]
    assert told(engine, "in-warranty", "serial", on=date(2027, 2, 6)) == []


def test_what_is_locked_away_is_not_there_to_be_sold_and_what_is_in_transit_comes(engine: Engine) -> None:
    columns = "item unit on_hand in_transit reorder_level reorder_quantity to_order"
    assert told(engine, "reorder", columns) == lines("""
        cream pcs 5  0 6  - 1
        soap  pcs 0  0 10 - 10
        tea   bag 14 3 25 5 8
    """)
    assert told(engine, "reorder", "item on_hand to_order", on=date(2026, 3, 1), item="tea") == ["tea 21 5"]


def test_what_is_at_its_level_is_to_be_ordered_and_what_is_above_is_not(engine: Engine) -> None:
    as_of = {"item": "cream", "known_at": LATER}
    assert told(engine, "reorder", "on_hand to_order", on=date(2026, 3, 7), **as_of) == []
    assert told(engine, "reorder", "on_hand to_order", on=date(2026, 3, 8), **as_of) == ["5 1"]


def test_a_return_names_its_batch_and_the_delivery_that_it_left_by(engine: Engine) -> None:
    columns = "id customer item batch quantity delivered_by_id expires_on supplier supplier_batch"
    found = lines("B1 Ben cream C1 1 D2 2026-03-02 Dairy L7")
    assert told(engine, "returned-batches", columns) == found
    assert told(engine, "returned-batches", columns, source="till", id="B1") == found
    assert told(engine, "returned-batches", columns, source="till", id="D2") == []


def test_what_was_not_known_yet_changes_no_report_of_then(engine: Engine) -> None:
    known = {"known_at": datetime(2026, 3, 15, tzinfo=UTC), "on": MARCH_31, "item": "tea"}
    assert told(engine, "ageing", "warehouse age quantity value", **known) == lines("""
        north 0-30  5 15
        south 0-30  2 4.5
        south 61-90 6 13.5
        van   0-30  3 9
    """)
    assert told(engine, "reorder", "on_hand in_transit to_order", **known) == ["13 3 9"]
