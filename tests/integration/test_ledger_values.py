"""Values on a real PostgreSQL: what one set leaves behind, and the next one needs, survives in the tables.

Every test has the same measure: the messages are to the byte those of the same movements posted together in memory.
"""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from msgspec import structs
from sqlalchemy import Engine

from shared.contracts.codec import decoder, read
from shared.contracts.movement import Leg, MovementAllocated
from shared.contracts.stock import MovementPosted
from shared.db import open_engine, run, transaction
from shared.errors import InvariantBroken
from shared.purposes import Method
from shared.service import Output
from tests.builders import (
    Receiving,
    bodies,
    cost,
    deliver,
    entry_of,
    keep_allocated,
    leg,
    revalue_all,
    rows,
    told,
    transfer,
)
from tests.ledger_builders import row, table

METHODS = list(Method)
TABLES = ("movement", "bin", "bin_batch", "serial", "entry", "entry_serial", "waiting", "waiting_stamp", "outbox")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def one_by_one(engine: Engine, movements: Sequence[MovementAllocated]) -> dict[str, bytes]:
    return bodies([output for each in movements for output in deliver(engine, each)])


def eventful(receiving: Receiving, method: Method) -> list[MovementAllocated]:
    """Everything that may happen to an untracked item."""
    day: list[MovementAllocated] = []

    def add(*legs: Leg, purpose: str = "material_receipt", costs: Sequence[int] = ()) -> str:
        movement = receiving.movement(*legs, purpose=purpose, costs=[cost(each) for each in costs])
        day.append(movement)
        return entry_of(movement)

    receipt = add(leg(7, "20.00", method=method), purpose="purchase_receipt", costs=[3])
    other = add(leg(3, "10.01", method=method), purpose="purchase_receipt")
    add(leg(0, method=method, original=receipt), purpose="landed_cost", costs=[5])
    add(leg(0, method=method, original=receipt), purpose="landed_cost", costs=[-2, 1])
    add(leg(-2, method=method, original=receipt), purpose="purchase_return")
    sold = add(leg(-3, method=method), purpose="delivery")
    add(leg(-1, method=method, original=other), purpose="purchase_return")
    add(leg(1, method=method, original=sold), purpose="sales_return")
    add(leg(-8, method=method), purpose="delivery")
    add(leg(-1, method=method), purpose="scrap")
    add(leg(2, "9.99", method=method))
    add(leg(1, method=method, original=sold), purpose="sales_return")
    add(leg(5, "30.00", method=method), purpose="purchase_receipt", costs=[1])
    add(leg(0, method=method, rate="5.5"), purpose="write_down")
    add(*transfer(1, "north", "south", method=method), purpose="material_transfer", costs=[1])
    add(leg(-1, method=method), leg(4, method=method, item="cake", share=4, line=2), purpose="manufacture", costs=[2])
    add(leg(1, method=method, original=sold), purpose="sales_return")
    add(leg(2, method=method, counted=5), purpose="reconciliation")
    add(leg(0, method=method, counted=5), purpose="reconciliation")
    add(leg(-2, method=method), purpose="delivery")
    return day


def tracked(receiving: Receiving) -> list[MovementAllocated]:
    """Everything that may happen to serials and batches."""
    phones = receiving.movement(
        leg(3, 100, serials=list("ABC")), leg(2, 90, serials=list("DE"), line=2), costs=[cost(7)]
    )
    landed = receiving.movement(
        leg(0, serials=list("ABC"), original=entry_of(phones)),
        leg(0, serials=list("DE"), original=entry_of(phones, 1), line=2),
        purpose="landed_cost",
        costs=[cost(10)],
    )
    sold = receiving.movement(leg(-4, serials=list("ABCD")), purpose="delivery")
    back = [
        receiving.movement(leg(1, serials=[each], original=entry_of(sold)), purpose="sales_return") for each in "CAD"
    ]
    missing = receiving.movement(
        leg(-1, serials=["E"]), leg(0, 150, serials=list("ACD"), counted=3), purpose="reconciliation"
    )
    found = receiving.movement(leg(1, serials=["E"], original=entry_of(missing)), purpose="reconciliation")
    supplier = receiving.movement(leg(-1, serials=["D"], original=entry_of(phones, 1)), purpose="purchase_return")
    lowered = receiving.movement(leg(0, rate=40, serials=["A", "E"]), purpose="write_down")
    milk = receiving.movement(leg(5, 11, item="milk", batch="B1"), leg(2, 8, item="milk", batch="B2", line=2))
    milks = [
        receiving.movement(
            leg(0, item="milk", batch="B1", original=entry_of(milk)), purpose="landed_cost", costs=[cost(2)]
        ),
        receiving.movement(leg(-2, item="milk", batch="B1", original=entry_of(milk)), purpose="purchase_return"),
        receiving.movement(leg(-1, item="milk", batch="B2"), purpose="delivery"),
        receiving.movement(leg(-1, item="milk", batch="B1", counted=2), purpose="reconciliation"),
        receiving.movement(leg(0, item="milk", batch="B1", rate=1), purpose="write_down"),
    ]
    return [phones, landed, sold, *back, missing, found, supplier, lowered, milk, *milks]


# --- the same in whatever sets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_movement_is_told_in_the_same_words_alone_and_in_a_set(engine: Engine, method: Method) -> None:
    movements = eventful(Receiving(), method)
    assert one_by_one(engine, movements) == told(movements)
    together = eventful(Receiving("branch", "till-2"), method)
    assert bodies(deliver(engine, *together)) == told(together)
    values = "SELECT quantity, value, quantity_after, value_after, worth, cast(booked AS text) FROM ledger.entry"
    ordered = "ORDER BY effective_at, ordinal"
    apart = rows(engine, f"{values} WHERE company = 'shop' {ordered}")
    assert apart == rows(engine, f"{values} WHERE company = 'branch' {ordered}")


def test_serials_and_batches_are_told_in_the_same_words_alone_and_in_a_set(engine: Engine) -> None:
    movements = tracked(Receiving())
    assert one_by_one(engine, movements) == told(movements)
    together = tracked(Receiving("branch", "till-2"))
    assert bodies(deliver(engine, *together)) == told(together)
    standing = "SELECT item, warehouse, serial, cost FROM ledger.serial WHERE company = '{}' ORDER BY serial"
    assert rows(engine, standing.format("shop")) == rows(engine, standing.format("branch"))


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_arrival_in_any_sets_makes_the_same_entries(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    movements = [*eventful(Receiving("a", "till-a"), Method.FIFO), *tracked(Receiving("b", "till-b"))]
    expected = told_apart(movements)
    arriving = chance.sample(movements, len(movements))
    outputs: list[Output] = []
    while arriving:
        size = chance.randint(1, 6)
        outputs += deliver(engine, *arriving[:size])
        arriving = arriving[size:]
    assert {(each.source, each.id): each.body for each in outputs} == expected


def told_apart(movements: Sequence[MovementAllocated]) -> dict[tuple[str, str], bytes]:
    """What must be told of movements of several sources, each of which numbers its own."""
    sources = {each.source for each in movements}
    return {
        (source, name): body
        for source in sources
        for name, body in told([each for each in movements if each.source == source]).items()
    }


# --- what is stored --------------------------------------------------------------------------------------------------


def test_an_entry_keeps_what_it_returns_and_what_it_books_apart(engine: Engine) -> None:
    receiving = Receiving()
    receipt = receiving.movement(leg(4, 8), purpose="purchase_receipt", costs=[cost(2)])
    back = receiving.movement(leg(-1, original=entry_of(receipt)), purpose="purchase_return")
    one_by_one(engine, [receipt, back])
    stored = rows(engine, "SELECT entry_id, original, booked FROM ledger.entry ORDER BY stamp")
    assert stored == [
        (UUID(entry_of(receipt)), None, ["expenses_in_valuation", "2"]),
        (UUID(entry_of(back)), UUID(entry_of(receipt)), ["cost_of_goods_sold", "-0.5"]),
    ]
    assert rows(engine, "SELECT original FROM ledger.stock_ledger ORDER BY stamp") == [(None,), (stored[0][0],)]


def test_what_was_issued_beyond_stock_is_shown_until_it_is_covered(engine: Engine) -> None:
    receiving = Receiving()
    short = [
        receiving.movement(leg(-2, standard_rate=3), purpose="delivery"),
        receiving.movement(leg(-1, standard_rate=4), purpose="scrap"),
    ]
    one_by_one(engine, short)
    view = "SELECT item, warehouse, number, quantity, worth, account, entry_id FROM ledger.shortages ORDER BY number"
    scrapped = ("tea", "north", 1, 1, 4, "write_off", UUID(entry_of(short[1])))
    assert rows(engine, view) == [
        ("tea", "north", 0, 2, 6, "cost_of_goods_sold", UUID(entry_of(short[0]))),
        scrapped,
    ]
    deliver(engine, receiving.movement(leg(2, 7)))
    assert rows(engine, view) == [(*scrapped[:2], 0, *scrapped[3:])]
    deliver(engine, receiving.movement(leg(5, 20)))
    assert rows(engine, view) == []
    assert rows(engine, "SELECT quantity, value FROM ledger.stock_balance") == [(4, 16)]


def test_an_account_of_any_name_bears_what_is_covered_in_another_set(engine: Engine) -> None:
    receiving = Receiving()
    issue = receiving.movement(leg(-1, standard_rate=2), purpose="delivery")
    odd = 'Waren "A\\B", {x}\tund é'
    movements = [
        msgspec.structs.replace(issue, accounts=dict.fromkeys(issue.accounts, odd)),
        receiving.movement(leg(1, 5)),
    ]
    assert one_by_one(engine, movements) == told(movements)
    assert rows(engine, "SELECT booked ->> 0 FROM ledger.entry WHERE booked IS NOT NULL") == [(odd,)]


def test_a_bin_that_was_short_before_shortages_were_kept_is_trued_up_by_stock_adjustment(engine: Engine) -> None:
    receiving = Receiving()
    deliver(engine, receiving.movement(leg(-2, standard_rate=3), purpose="delivery"))
    with transaction(engine) as connection:
        run(connection, "UPDATE ledger.bin SET shortages = '[]'")
    (output,) = deliver(engine, receiving.movement(leg(3, 12)))
    entries = read(decoder(MovementPosted), output.body).entries
    assert [row(each) for each in entries] == table("""
        0  -2.00   -2  -8.00   stock_adjustment -2.00
        3  12.00    1   4.00
    """)


@pytest.mark.parametrize("broken", ["quantity = 0, worth = 0, value = 0", "quantity = 1, worth = 1, value = 1"])
def test_a_bin_that_is_not_short_remembers_no_shortage(engine: Engine, broken: str) -> None:
    deliver(engine, Receiving().movement(leg(-2, standard_rate=3), purpose="delivery"))
    with pytest.raises(sa.exc.IntegrityError, match="what_is_there_is_not_short"), transaction(engine) as connection:
        run(connection, f"UPDATE ledger.bin SET {broken}")


def test_a_count_without_difference_leaves_no_entry_and_takes_its_stamp(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10)), receiving.movement(leg(0, counted=3), purpose="reconciliation")]
    movements.append(receiving.movement(leg(-1)))
    assert one_by_one(engine, movements) == told(movements)
    assert rows(engine, "SELECT stamp FROM ledger.entry ORDER BY 1") == [(1,), (3,)]
    assert rows(engine, "SELECT last_stamp FROM ledger.bin") == [(3,)]


# --- what is named ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [[3], [1, 2], [2, 1], [1, 1, 1]], ids=str)
def test_two_returns_of_one_delivery_share_it_in_whatever_sets_they_come(engine: Engine, sets: list[int]) -> None:
    receiving = Receiving()
    deliver(engine, receiving.movement(leg(3, "10.00")))
    sold = receiving.movement(leg(-3), purpose="delivery")
    movements = [sold, *(receiving.movement(leg(1, original=entry_of(sold)), purpose="sales_return") for _ in range(2))]
    for size in sets:
        deliver(engine, *movements[:size])
        movements = movements[size:]
    values = rows(engine, "SELECT value FROM ledger.entry ORDER BY stamp")
    assert values == [(Decimal("10.00"),), (Decimal("-10.00"),), (Decimal("3.33"),), (Decimal("3.34"),)]


def test_a_return_into_another_warehouse_is_known_to_the_next_return(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, "10.00")), receiving.movement(leg(-3), purpose="delivery")]
    sold = entry_of(movements[1])
    movements += [
        receiving.movement(leg(1, warehouse=warehouse, original=sold), purpose="sales_return", also=[("tea", "north")])
        for warehouse in ("south", "north", "west")
    ]
    assert one_by_one(engine, movements) == told(movements)
    returned = rows(engine, "SELECT value FROM ledger.entry WHERE original IS NOT NULL ORDER BY effective_at")
    assert [str(value) for (value,) in returned] == ["3.33", "3.34", "3.33"]


def test_a_return_that_comes_before_its_delivery_waits_and_finds_it(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 10)), receiving.movement(leg(-3), purpose="delivery")]
    movements.append(receiving.movement(leg(2, original=entry_of(movements[1])), purpose="sales_return"))
    assert deliver(engine, movements[2]) == []
    assert deliver(engine, movements[1]) == []
    outputs = deliver(engine, movements[0])
    assert bodies(outputs) == told(movements)


def test_a_movement_that_names_an_unknown_entry_is_never_posted(engine: Engine) -> None:
    receiving = Receiving()
    unknown = entry_of(Receiving(source="elsewhere").movement(leg(1, 1)))
    movement = receiving.movement(leg(1, original=unknown), purpose="sales_return")
    with pytest.raises(InvariantBroken, match="not posted"):
        deliver(engine, movement)
    assert rows(engine, "SELECT FROM ledger.movement") == []


def test_a_landed_cost_is_worth_what_it_says_and_finds_its_layer_when_its_bin_is_valued_anew(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, 6)), receiving.movement(leg(4, 8)), receiving.movement(leg(5, 10))]
    for receipt, amount in ((movements[2], 5), (movements[1], 4), (movements[2], 10)):
        landed = receiving.movement(leg(0, original=entry_of(receipt)), purpose="landed_cost", costs=[cost(amount)])
        movements.append(structs.replace(landed, effective_at=receipt.effective_at))
    keep_allocated(engine, movements)
    assert one_by_one(engine, movements) == told(movements)
    assert rows(engine, "SELECT value, pending FROM ledger.bin") == [(29, 14)]
    assert revalue_all(engine) == []
    assert rows(engine, "SELECT layers, value, pending FROM ledger.bin") == [
        (["3", "6", "2", "4", "12", "3", "5", "25", "5"], 43, 0)
    ]
