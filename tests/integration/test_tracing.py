"""Traces through gate and ledger: making, repack, returns, transfers, cancellations, as of a time; mass balances."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from benchmarks import tracing
from services.desk.cli.tracing import tell
from services.desk.trace.goods import Goods, Kind, Way
from services.desk.trace.starting import (
    Start,
    start_from_customer,
    start_from_document,
    start_from_goods,
    start_from_movement,
)
from services.desk.trace.tracing import hold_still, trace
from services.desk.trace.walking import Limits
from shared.contracts.movement import Reference
from shared.db import transaction
from shared.errors import StockbookError
from tests.builders import SOURCE
from tests.receiving_builders import after, comes, goes, line, movement, moves
from tests.tracing_builders import Floor, made_cream, numbers


@pytest.fixture
def floor(engine: Engine) -> Floor:
    return made_cream(engine)


def _sold(floor: Floor) -> None:
    floor.tell(
        movement("delivery", goes("cream", 5, batch="C1"), id="D1", at=after(20), customer="Ann", document="note 1"),
        movement("delivery", goes("cream", 3, batch="C1"), id="D2", at=after(21), customer="Bob"),
        movement("sales_return", line("cream", 2), id="B1", at=after(30), against=Reference(id="D1")),
    )


def test_all_of_an_item_that_a_customer_got_is_found_but_for_what_was_cancelled(floor: Floor) -> None:
    _sold(floor)
    floor.tell(
        movement(
            "delivery", goes("cream", 1, batch="C1"), goes("oil", 1, batch="O2"), id="D3", at=after(22), customer="Ann"
        ),
        movement("delivery", goes("cream", 1, batch="C1"), id="D4", at=after(23), customer="Ann"),
    )
    floor.cancel("D4", after(23))
    with transaction(floor.engine) as connection:
        start = start_from_customer(connection, "cream", "Ann", None)
    assert start == Start("shop", [Goods("cream", "C1")], [(SOURCE, "D1"), (SOURCE, "D3")])


def test_what_a_customer_got_leads_to_the_suppliers_of_its_ingredients(floor: Floor) -> None:
    _sold(floor)
    with transaction(floor.engine) as connection:
        hold_still(connection)
        start = start_from_document(connection, "note 1", None)
        found = trace(connection, start, [Way.UP], Limits())
    assert (start.company, start.keys) == ("shop", [(SOURCE, "D1")])
    assert [f"{'  ' * depth}{text}" for branch in tell(found)[:2] for depth, text in branch.lines()] == [
        "D1 (2026-03-02, note 1)",
        "cream, batch C1 (manufactured 2026-03-02, free)",
        "  came from",
        "    made: 16 pcs by MAKE (2026-03-02)",
        "      oil, batch O1 (manufactured 2026-01-05, free): 4.8 pcs of 6 pcs",
        "        received: 6 pcs by R1 (2026-03-02, bill 1), from Rose Ltd, its lot 7/26",
        "      oil, batch O2 (manufactured 2026-03-02, free): 1.6 pcs of 2 pcs",
        "        received: 4 pcs by R2 (2026-03-02), from Oil & Sons",
        "      jar, untracked: 16 pcs of 20 pcs; of which receipt and supplier, nobody can tell",
    ]


def test_an_ingredient_leads_to_the_customers_and_to_what_is_left_and_where(floor: Floor) -> None:
    _sold(floor)
    floor.tell(
        movement("material_transfer", moves("cream", 4, target="on-the-way", batch="C1"), id="T1", at=after(40)),
        movement("material_issue", goes("cream", 1, batch="C1"), id="I", at=after(41), recipient="ward 3"),
        movement("scrap", goes("cream", 1, batch="C1"), id="S", at=after(42)),
    )
    assert floor.down("oil", "O1") == [
        "consumed: 6 pcs by MAKE (2026-03-02)",
        "  cream, batch C1: 16 pcs made, with 4.8 pcs of it",
        "    delivered: 5 pcs to Ann by D1 (2026-03-02, note 1); 2 pcs came back by B1 (2026-03-02)",
        "    delivered: 3 pcs to Bob by D2 (2026-03-02)",
        "    moved: 4 pcs to on-the-way by T1 (2026-03-02)",
        "    issued: 1 pcs to ward 3 by I (2026-03-02)",
        "    scrapped: 1 pcs by S (2026-03-02)",
        "    on hand: 4 pcs in north",
        "    in transit: 4 pcs in on-the-way",
        "  rest, untracked: 4 pcs made, with 1.2 pcs of it; where it went, nobody can tell",
    ]
    assert floor.balances("cream", "C1") == [
        "cream, batch C1: produced 16 + returned 2 = delivered 8 + issued 1 + scrapped 1 + on hand 8",
        "oil, batch O1: received 6 = consumed 6",
        "oil, batch O2: received 4 = consumed 2 + on hand 2",
    ]


def test_goods_are_followed_through_a_repack_and_a_box_that_holds_two_of_them(floor: Floor) -> None:
    floor.tell(
        movement("opening_stock", comes("cream", 9, batch="OLD"), id="R4"),
        movement(
            "repack",
            goes("cream", 4, batch="C1"),
            goes("cream", 4, batch="OLD"),
            comes("box", 2, batch="X1", rate=None, share="1"),
            comes("box", 2, batch="X2", rate=None, share="3"),
            id="PACK",
            at=after(20),
        ),
        movement("delivery", goes("box", 1, batch="X2"), id="D3", at=after(30), customer="Cid"),
    )
    found = floor.trace("oil", "O2", ways=[Way.DOWN]).walks[Way.DOWN]
    assert {(each.batch or each.item): depth for each, depth in found.depths.items()} == {
        "O2": 0,
        "C1": 1,
        "rest": 1,
        "X1": 2,
        "X2": 2,
    }
    assert numbers(set(floor.trace("box", "X2", ways=[Way.UP]).walks[Way.UP].depths)) == {
        "X2", "C1", "OLD", "O1", "O2", "jar",
    }  # fmt: skip
    parts = {each.produced.batch: each.part for each in found.links[Goods("cream", "C1")]}
    assert parts == {"X1": 1, "X2": 3}
    assert "        delivered: 1 pcs to Cid by D3 (2026-03-02)" in floor.down("oil", "O2")


def test_a_batch_that_is_repacked_into_itself_ends_the_way_and_balances(floor: Floor) -> None:
    floor.tell(
        movement(
            "repack", goes("cream", 8, batch="C1"), comes("cream", 7, batch="C1", rate=None), id="AGAIN", at=after(20)
        )
    )
    assert floor.down("cream", "C1") == [
        "consumed: 8 pcs by AGAIN (2026-03-02)",
        "  cream, batch C1: 7 pcs made, with 8 pcs of it",
        "    as above",
        "on hand: 15 pcs in north",
    ]
    assert floor.balances("cream", "C1", ways=[Way.DOWN]) == ["cream, batch C1: produced 23 = consumed 8 + on hand 15"]


def test_two_batches_that_went_into_each_other_are_above_and_below_each_other(floor: Floor) -> None:
    floor.tell(
        movement("repack", goes("cream", 8, batch="C1"), comes("box", 8, batch="X", rate=None), id="P1", at=after(20)),
        movement("repack", goes("box", 3, batch="X"), comes("cream", 3, batch="C1", rate=None), id="P2", at=after(30)),
    )
    for way in Way:
        for goods in (Goods("cream", "C1"), Goods("box", "X")):
            found = floor.trace(goods.item, goods.batch, ways=[way]).walks[way].depths
            assert {"C1", "X"} <= numbers(set(found))


def test_a_cancelled_making_leads_nowhere_and_its_goods_balance(floor: Floor) -> None:
    floor.cancel("MAKE", after(50))
    assert floor.down("oil", "O1") == ["on hand: 6 pcs in north"]
    assert floor.up("cream", "C1") == []
    assert floor.balances("cream", "C1") == ["cream, batch C1: nothing = on hand 0"]
    assert floor.balances("oil", "O1") == ["oil, batch O1: received 6 = on hand 6"]


def test_a_cancelled_delivery_and_a_cancelled_return_were_never_there(floor: Floor) -> None:
    _sold(floor)
    floor.cancel("D2", after(50))
    floor.cancel("B1", after(51))
    assert [each for each in floor.down("cream", "C1") if "delivered" in each] == [
        "delivered: 5 pcs to Ann by D1 (2026-03-02, note 1)"
    ]
    assert floor.balances("cream", "C1", ways=[Way.DOWN]) == ["cream, batch C1: produced 16 = delivered 5 + on hand 11"]


def test_as_of_a_time_only_what_took_effect_by_then_is_told_and_the_rest_stood_there(floor: Floor) -> None:
    _sold(floor)
    assert floor.down("cream", "C1", as_of=after(20)) == [
        "delivered: 5 pcs to Ann by D1 (2026-03-02, note 1)",
        "on hand: 11 pcs in north",
    ]
    assert floor.balances("cream", "C1", as_of=after(20), ways=[Way.DOWN]) == [
        "cream, batch C1: produced 16 = delivered 5 + on hand 11"
    ]
    assert floor.down("oil", "O1", as_of=after(9)) == ["on hand: 6 pcs in north"]


def test_what_came_back_without_an_original_stands_for_itself(floor: Floor) -> None:
    floor.tell(
        movement("delivery", goes("cream", 5, batch="C1"), id="D1", at=after(20), customer="Ann"),
        movement("sales_return", comes("cream", 1, batch="C1"), id="B2", at=after(30), customer="Dan"),
    )
    assert floor.down("cream", "C1") == [
        "delivered: 5 pcs to Ann by D1 (2026-03-02)",
        "came back: 1 pcs from Dan by B2 (2026-03-02)",
        "on hand: 12 pcs in north",
    ]


def test_what_was_sent_back_and_what_a_count_found_are_accounted_for(floor: Floor) -> None:
    floor.tell(
        movement("purchase_return", goes("oil", 1, batch="O2"), id="PR", at=after(20), against=Reference(id="R2")),
        movement("reconciliation", comes("cream", 14, batch="C1", rate=None), id="CNT", at=after(30)),
        # Told later: it left before the count, which finds one less of a difference.
        movement("delivery", goes("cream", 1, batch="C1"), id="LATE", at=after(15), customer="Eve"),
    )
    assert "sent back: 1 pcs to Oil & Sons by PR (2026-03-02)" in floor.down("oil", "O2")
    told = floor.down("cream", "C1")
    assert "delivered: 1 pcs to Eve by LATE (2026-03-02)" in told
    assert floor.balances("cream", "C1", ways=[Way.DOWN]) == [
        "cream, batch C1: produced 16 = delivered 1 + counted less 1 + on hand 14"
    ]
    floor.cancel("CNT", after(60))
    assert floor.balances("cream", "C1", ways=[Way.DOWN]) == ["cream, batch C1: produced 16 = delivered 1 + on hand 15"]


# --- units ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pumps(floor: Floor) -> Floor:
    """Two pumps of a motor each, and of oil; one of them is sold, comes back, and is sold again."""
    floor.tell(
        movement("purchase_receipt", comes("motor", serials="M1,M2,M3"), id="R5", supplier="Motors Inc"),
        movement(
            "manufacture",
            goes("motor", serials="M1"),
            goes("motor", serials="M2"),
            goes("oil", 1, batch="O2"),
            comes("pump", serials="P1,P2", rate=None),
            id="PUMPS",
            at=after(20),
        ),
        movement("delivery", goes("pump", serials="P1"), id="D5", at=after(30), customer="Fay"),
        movement("sales_return", line("pump", serials="P1"), id="B5", at=after(40), against=Reference(id="D5")),
        movement("delivery", goes("pump", serials="P1"), id="D6", at=after(50), customer="Gus"),
    )
    return floor


def test_a_unit_leads_to_all_units_and_batches_that_it_may_be_made_of(pumps: Floor) -> None:
    assert pumps.up("pump", serial="P2") == [
        "made: 1 pcs by PUMPS (2026-03-02)",
        "  motor, serial M1: 1 pcs",
        "    received: 1 pcs by R5 (2026-03-02), from Motors Inc",
        "  motor, serial M2: 1 pcs",
        "    received: 1 pcs by R5 (2026-03-02), from Motors Inc",
        "  oil, batch O2 (manufactured 2026-03-02, free): 1 pcs",
        "    received: 4 pcs by R2 (2026-03-02), from Oil & Sons",
    ]


def test_a_unit_has_its_whole_way_with_each_customer_that_held_it(pumps: Floor) -> None:
    found = pumps.trace("motor", serial="M1", ways=[Way.DOWN])
    assert numbers(set(found.walks[Way.DOWN].depths)) == {"M1", "P1", "P2"}
    unit = Goods("pump", serial="P1")
    kinds = [each.kind for each in found.walks[Way.DOWN].events[unit]]
    assert kinds == [Kind.PRODUCED, Kind.DELIVERED, Kind.RETURNED, Kind.DELIVERED]
    told = pumps.down("motor", serial="M1")
    assert "    delivered: 1 pcs to Fay by D5 (2026-03-02); 1 pcs came back by B5 (2026-03-02)" in told
    assert "    delivered: 1 pcs to Gus by D6 (2026-03-02)" in told
    assert "    on hand: 1 pcs in north" in told
    assert "pump, serial P1: produced 1 + returned 1 = delivered 2" in pumps.balances("motor", serial="M1")


def test_the_units_of_a_batch_are_traced_together(floor: Floor) -> None:
    floor.gate.define("batch", company="shop", item="motor", batch="MB")
    floor.tell(
        movement("purchase_receipt", comes("motor", serials="M1,M2", batch="MB"), id="R6"),
        movement("purchase_receipt", comes("motor", serials="M9"), id="R7"),
        movement("repack", goes("motor", serials="M2"), comes("pump", serials="P9", rate=None), id="P9", at=after(20)),
    )
    found = floor.trace("motor", "MB", ways=[Way.DOWN])
    assert numbers(set(found.start.goods)) == {"M1", "M2"}
    assert numbers(set(found.walks[Way.DOWN].depths)) == {"M1", "M2", "P9"}


# --- what it starts from, and what does not hold ----------------------------------------------------------------------


def test_a_movement_starts_a_trace_of_all_that_it_moved(pumps: Floor) -> None:
    with transaction(pumps.engine) as connection:
        hold_still(connection)
        start = start_from_movement(connection, (SOURCE, "PUMPS"), None)
    assert numbers(set(start.goods)) == {"M1", "M2", "O2", "P1", "P2"}


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"item": "oil", "batch": "O9"}, "there is no such batch"),
        ({"item": "oil", "serial": "O1"}, "there is no such serial"),
        ({"item": "motor", "batch": "B"}, "there is no such batch"),
        ({"item": "oil"}, "name a batch or a serial"),
        ({"item": "nothing", "batch": "O1"}, "there is no such item"),
    ],
)
def test_what_is_not_there_is_told_by_name(floor: Floor, named: dict[str, str], told: str) -> None:
    given: dict[str, str | None] = {"batch": None, "serial": None, "company": None, **named}
    with transaction(floor.engine) as connection, pytest.raises(StockbookError, match=told):
        start_from_goods(connection, named["item"], **{k: v for k, v in given.items() if k != "item"})


def test_documents_and_movements_that_nobody_posted_are_told_by_name(floor: Floor) -> None:
    with transaction(floor.engine) as connection:
        with pytest.raises(StockbookError, match="no movement with this document"):
            start_from_document(connection, "note 9", None)
        with pytest.raises(StockbookError, match="no such movement is posted"):
            start_from_movement(connection, (SOURCE, "D99"), None)


@pytest.fixture
def tampered(floor: Floor) -> Iterator[Floor]:
    """Somebody took a piece out of the ledger's bins."""
    with floor.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger.bin_batch SET quantity = quantity - 1 WHERE batch = 'C1'")
    yield floor
    with floor.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ledger.bin_batch SET quantity = quantity + 1 WHERE batch = 'C1'")


def test_goods_that_are_not_accounted_for_are_told(tampered: Floor) -> None:
    assert tampered.balances("cream", "C1", ways=[Way.DOWN]) == [
        "cream, batch C1: produced 16 = on hand 15: DOES NOT HOLD, 1 are missing"
    ]


def test_a_trace_that_is_cut_says_why(floor: Floor) -> None:
    _sold(floor)
    for limits, told in (
        (Limits(depth=1), "not all of it: there are more makings behind: --depth tells more"),
        (Limits(goods=2), "not all of it: there are more goods: --limit tells more"),
        (
            Limits(events=2),
            "not all of it: more happened than is told: --limit tells more, or trace what is made of it",
        ),
    ):
        floor_cut = Limits(0, limits.goods, limits.events) if limits.depth == 1 else limits
        assert told in [each.text for each in tell(floor.trace("cream", "C1", limits=floor_cut))]


# --- among very many --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(postgres: str) -> Iterator[Engine]:
    """The data of the benchmark, in small."""
    with tracing.furnished(postgres, 5_000) as engine:
        yield engine


@pytest.mark.parametrize("question", tracing.QUESTIONS)
def test_a_trace_among_many_movements_reads_no_large_table_from_end_to_end(many: Engine, question: str) -> None:
    asked = tracing.ask(many, question, 1)  # BenchmarkError where one was, or something does not add up
    assert asked.goods >= 1
    assert asked.events >= 2
