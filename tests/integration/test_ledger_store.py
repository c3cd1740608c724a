"""The ledger on a real PostgreSQL: what is stored of a set, what waits and is released, what the schema refuses."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from services.ledger.handlers import post_allocated, service
from shared.contracts.codec import write
from shared.contracts.movement import BinStamp, MovementAllocated
from shared.db import open_engine, run, transaction
from shared.errors import InvariantBroken
from shared.purposes import Method
from tests.builders import (
    Receiving,
    bodies,
    carry_out,
    chain,
    deliver,
    inputs,
    join,
    leg,
    names,
    posted,
    rows,
    told,
    transfer,
)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def at_rest(engine: Engine) -> bool:
    return not any(rows(engine, f"SELECT FROM ledger.{table}") for table in ("waiting", "waiting_stamp", "outbox"))


# --- what is stored --------------------------------------------------------------------------------------------------


def test_a_set_is_stored_as_entries_balances_and_outputs(engine: Engine) -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(10, 100)),
        receiving.movement(leg(10, 140)),
        receiving.movement(leg(-13), purpose="material_issue"),
    ]
    outputs = deliver(engine, *movements)
    assert bodies(outputs) == told(movements)
    ledger = "SELECT stamp, ordinal, id, purpose, quantity, value, quantity_after, value_after FROM ledger.stock_ledger"
    assert rows(engine, f"{ledger} ORDER BY stamp") == [
        (1, 0, "M1", "material_receipt", 10, 100, 10, 100),
        (2, 0, "M2", "material_receipt", 10, 140, 20, 240),
        (3, 0, "M3", "material_issue", -13, -142, 7, 98),
    ]
    balance = "SELECT item, warehouse, quantity, value, rate, last_stamp FROM ledger.stock_balance"
    assert rows(engine, balance) == [("tea", "north", 7, 98, 14, 3)]
    stored = rows(engine, "SELECT source, id, company, posted FROM ledger.posted ORDER BY id")
    assert [(source, name, company, bytes(body)) for source, name, company, body in stored] == [
        ("till", each.id, "shop", each.body) for each in outputs
    ]
    assert at_rest(engine)


@pytest.mark.parametrize("method", list(Method))
def test_what_is_left_in_a_bin_is_valued_in_the_next_set_as_in_the_same(engine: Engine, method: Method) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(3, amount, method=method)) for amount in ("10.00", "10.00", "11.11")]
    movements += [receiving.movement(leg("-1.234567", method=method)) for _ in range(3)]
    movements += [receiving.movement(*transfer(2, "north", "south", method=method)), receiving.movement(leg(1))]
    outputs = [output for each in movements for output in deliver(engine, each)]
    assert bodies(outputs) == told(movements)


def test_batches_and_serials_keep_their_own_cost_from_set_to_set(engine: Engine) -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(6, 12, batch="B1"), leg(1, 50, batch="B2", line=2)),
        receiving.movement(leg(3, "7.80", batch="B1")),
        receiving.movement(leg(2, 321, item="drill", serials=["A", "B"])),
        receiving.movement(leg(1, 200, item="drill", serials=["C"])),
        receiving.movement(*transfer(2, "north", "south", item="drill", serials=["C", "A"])),
        receiving.movement(*transfer(2, "north", "south", batch="B1")),
        receiving.movement(leg(-1, item="drill", warehouse="south", serials=["C"])),
        receiving.movement(leg(-1, batch="B1")),
    ]
    outputs = [output for each in movements for output in deliver(engine, each)]
    assert bodies(outputs) == told(movements)
    batches = rows(engine, "SELECT warehouse, batch, quantity, value FROM ledger.batch_balance ORDER BY 1, 2")
    assert batches == [
        ("north", "B1", 6, Decimal("13.20")),
        ("north", "B2", 1, 50),
        ("south", "B1", 2, Decimal("4.40")),
    ]
    standing = rows(engine, "SELECT warehouse, serial, cost FROM ledger.serial ORDER BY 1, 2")
    assert standing == [("north", "B", Decimal("160.5")), ("south", "A", Decimal("160.5"))]
    history = "SELECT s.serial, s.cost FROM ledger.entry_serial s JOIN ledger.entry USING (company, entry_id)"
    assert rows(engine, f"{history} WHERE serial = 'C' ORDER BY stamp") == [("C", 200)] * 4


def test_a_serial_may_come_into_one_bin_before_it_has_left_another(engine: Engine) -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(1, 100, serials=["A"])),
        receiving.movement(leg(-1, serials=["A"])),
        receiving.movement(leg(1, 70, warehouse="south", serials=["A"])),
    ]
    outputs = deliver(engine, movements[2]) + deliver(engine, movements[1]) + deliver(engine, movements[0])
    assert bodies(outputs) == told(movements)
    assert rows(engine, "SELECT warehouse, serial, cost FROM ledger.serial") == [("south", "A", 70)]


def test_a_movement_without_stock_is_posted_without_entries(engine: Engine) -> None:
    movement = Receiving().movement(purpose="sale")
    assert [each.body for each in deliver(engine, movement)] == [write(posted([movement])[0])]
    assert rows(engine, "SELECT FROM ledger.entry") == []


def test_an_issue_beyond_stock_is_stored(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 5)), receiving.movement(leg(-3)), receiving.movement(leg(2, 12))]
    for movement in movements[:2]:
        deliver(engine, movement)
    assert rows(engine, "SELECT quantity, value FROM ledger.stock_balance") == [(-2, -10)]
    deliver(engine, movements[2])
    assert rows(engine, "SELECT quantity, value FROM ledger.stock_balance") == [(0, 0)]


# --- waiting and release ---------------------------------------------------------------------------------------------


def test_an_early_movement_waits_and_is_released_by_the_one_before_it(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-1))]
    assert deliver(engine, movements[1]) == []
    assert rows(engine, "SELECT id FROM ledger.waiting") == [("M2",)]
    assert rows(engine, "SELECT id, outputs FROM ledger.movement") == [("M2", None)]
    outputs = deliver(engine, movements[0])
    assert bodies(outputs) == told(movements)
    assert names(outputs) == ["M1", "M2"]
    assert at_rest(engine)


def cross(receiving: Receiving) -> list[MovementAllocated]:
    return [
        receiving.movement(leg(2, 5, warehouse="a"), leg(2, 7, warehouse="b")),
        receiving.movement(*transfer(1, "a", "b")),
        receiving.movement(*transfer(2, "b", "a")),
    ]


def diamond(receiving: Receiving) -> list[MovementAllocated]:
    return [
        receiving.movement(leg(2, 5, warehouse="a"), leg(2, 7, warehouse="b")),
        receiving.movement(leg(-1, warehouse="a")),
        receiving.movement(leg(-1, warehouse="b")),
        receiving.movement(*transfer(1, "a", "b")),
    ]


@pytest.mark.parametrize("shape", [join, chain, cross, diamond])
@pytest.mark.parametrize("order", ["forwards", "backwards", "last first"])
def test_every_shape_of_dependence_is_resolved_in_every_order(engine: Engine, shape: Any, order: str) -> None:
    movements = shape(Receiving())
    arriving = {
        "forwards": movements,
        "backwards": movements[::-1],
        "last first": [movements[-1], *movements[:-1]],
    }[order]
    outputs = [output for each in arriving for output in deliver(engine, each)]
    assert bodies(outputs) == told(movements)
    assert at_rest(engine)


def test_a_set_that_closes_a_gap_takes_the_waiting_movement_along(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-1)), receiving.movement(leg(-1))]
    deliver(engine, movements[1])
    with transaction(engine) as connection:
        handled = post_allocated(inputs([movements[0], movements[2]]), connection)
    assert bodies(handled.outputs) == told(movements)
    assert handled.released == [("till", "M2")]
    assert handled.then is None


def test_a_released_movement_stands_in_the_outbox_until_it_is_confirmed(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-1))]
    deliver(engine, movements[1])
    with transaction(engine) as connection:
        handled = post_allocated(inputs(movements[:1]), connection)
    assert rows(engine, "SELECT id FROM ledger.outbox") == [("M2",)]
    assert names(carry_out(engine, "ledger", service().sweeps[1])) == ["M2"]
    assert names(handled.outputs) == ["M1", "M2"]
    assert at_rest(engine)


def test_a_stamp_without_a_leg_holds_back_and_releases_what_comes_behind_it(engine: Engine) -> None:
    receiving = Receiving()
    movements = [
        receiving.movement(leg(2, 5)),
        receiving.movement(leg(1, 1, item="salt"), also=[("tea", "north")]),
        receiving.movement(leg(-1)),
    ]
    assert names(deliver(engine, movements[0], movements[2])) == ["M1"]
    assert names(deliver(engine, movements[1])) == ["M2", "M3"]


def test_more_waiters_than_are_looked_at_at_once_are_released_in_rounds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.store.waiting.REACH", 3)
    receiving = Receiving()
    movements = [receiving.movement(leg(1, 1)) for _ in range(20)]
    deliver(engine, *movements[1:])
    assert names(deliver(engine, movements[0])) == [each.id for each in movements]


def test_movements_of_other_bins_do_not_wait_for_a_gap(engine: Engine) -> None:
    receiving = Receiving()
    receiving.movement(leg(1, 1))
    stuck, free = receiving.movement(leg(1, 1)), receiving.movement(leg(1, 1, item="salt"))
    assert names(deliver(engine, stuck, free)) == ["M3"]


# --- once ------------------------------------------------------------------------------------------------------------


def test_a_movement_that_comes_again_has_its_stored_output_told_again(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-1))]
    first = deliver(engine, movements[0])
    assert deliver(engine, *movements)[0] == first[0]
    assert rows(engine, "SELECT count(*) FROM ledger.entry") == [(2,)]
    assert rows(engine, "SELECT quantity, value FROM ledger.stock_balance") == [(1, Decimal("2.5"))]


def test_a_waiting_movement_that_comes_again_goes_on_waiting(engine: Engine) -> None:
    receiving = Receiving()
    movements = [receiving.movement(leg(2, 5)), receiving.movement(leg(-1))]
    assert deliver(engine, movements[1]) + deliver(engine, movements[1]) == []
    assert names(deliver(engine, movements[0])) == ["M1", "M2"]


def test_a_movement_twice_in_one_set_has_one_effect_and_the_first_wins(engine: Engine) -> None:
    movement = Receiving().movement(leg(2, 5))
    other = msgspec.structs.replace(movement, document="another")
    assert [each.body for each in deliver(engine, movement, other)] == [write(posted([movement])[0])]
    assert rows(engine, "SELECT quantity, document FROM ledger.entry") == [(2, None)]


def stamped(name: str, *stamps: tuple[str, int]) -> MovementAllocated:
    """A movement with the given stamps, by warehouse."""
    movement = Receiving().movement(*(leg(1, 1, warehouse=warehouse) for warehouse, _ in stamps))
    own = [BinStamp(item="tea", warehouse=warehouse, stamp=stamp) for warehouse, stamp in stamps]
    return msgspec.structs.replace(movement, id=name, stamps=own)


@pytest.mark.parametrize(
    ("stored", "newcomer"),
    [
        ([stamped("applied", ("a", 1))], stamped("new", ("a", 1))),
        ([stamped("waits", ("a", 5))], stamped("new", ("a", 5))),
        ([stamped("waits", ("a", 5), ("b", 1))], stamped("new", ("a", 5))),
        ([stamped("waits", ("a", 1), ("b", 2))], stamped("new", ("a", 1))),
        ([], [stamped("one", ("a", 1)), stamped("two", ("a", 1))]),
    ],
    ids=["applied", "both wait", "both wait, in other bins too", "the newcomer would be applied", "in one set"],
)
def test_two_movements_with_one_stamp_are_never_swallowed(engine: Engine, stored: Any, newcomer: Any) -> None:
    deliver(engine, *stored)
    before = rows(engine, "SELECT source, id, outputs IS NULL FROM ledger.movement")
    with pytest.raises(InvariantBroken):
        deliver(engine, *(newcomer if isinstance(newcomer, list) else [newcomer]))
    assert rows(engine, "SELECT source, id, outputs IS NULL FROM ledger.movement") == before


# --- the schema refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["entry", "entry_serial"])
@pytest.mark.parametrize("change", ["UPDATE {} SET item = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_entries_can_only_be_appended(engine: Engine, table: str, change: str) -> None:
    deliver(engine, Receiving().movement(leg(1, 100, serials=["A"])))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), transaction(engine) as connection:
        run(connection, change.format(f"ledger.{table}"))
    assert rows(engine, f"SELECT item FROM ledger.{table}") == [("tea",)]


@pytest.mark.parametrize(
    ("broken", "constraint"),
    [
        ("quantity = 0", "no_quantity_no_value"),
        ("value = -1", "stock_is_never_worth_less_than_nothing"),
        ("worth = -0.001", "stock_is_never_worth_less_than_nothing"),
        ("worth = 0.0000000001", "bin_worth_check"),
        ("quantity = 'NaN'", "bin_quantity_check"),
    ],
)
def test_a_bin_holds_no_impossible_stock(engine: Engine, broken: str, constraint: str) -> None:
    deliver(engine, Receiving().movement(leg(1, 100)))
    with pytest.raises(sa.exc.IntegrityError, match=constraint), transaction(engine) as connection:
        run(connection, f"UPDATE ledger.bin SET {broken}")


def test_an_entry_of_a_bin_has_a_stamp_of_its_own(engine: Engine) -> None:
    deliver(engine, Receiving().movement(leg(1, 100)))
    again = """
        INSERT INTO ledger.entry SELECT (jsonb_populate_record(entry, '{"id": "M9",
            "entry_id": "01900000-0000-7000-8000-000000000001"}')).* FROM ledger.entry
    """
    with engine.connect() as connection, pytest.raises(sa.exc.IntegrityError, match="entry_in_time"):
        run(connection, again)
