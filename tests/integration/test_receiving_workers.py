"""Workers of receiving that meet on one PostgreSQL, and what its schema refuses whoever writes."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.db import run, transaction
from tests.receiving_builders import (
    GOODS,
    STOCKED,
    Gate,
    after,
    assert_sound,
    codes,
    comes,
    define_shop,
    events,
    goes,
    movement,
    moves,
    named,
    opened,
    rows,
)


@pytest.fixture
def gate(database: str) -> Iterator[Gate]:
    with opened(database) as engine:
        gate = Gate(engine)
        define_shop(gate, *GOODS)
        yield gate


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each of these returns, begun at the same moment, each in a thread of its own."""
    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def asking(gate: Gate, asked: MovementRequested) -> Callable[[], OutcomeAccepted | OutcomeRejected]:
    return lambda: Gate(gate.engine).ask(asked)[0]


@pytest.mark.parametrize("round_", range(3))
def test_one_serial_received_in_two_warehouses_at_once_is_taken_once(gate: Gate, round_: int) -> None:
    asked = [
        movement("purchase_receipt", comes("phone", None, place, serials=["A1", "A2"]), id=place)
        for place in ("north", "south")
    ]
    told = at_once(*(asking(gate, each) for each in asked))
    assert sorted(map(codes, told)) == [[], ["serial_in_stock", "serial_in_stock"]]
    assert_sound(gate.engine)


def test_two_tills_cannot_both_sell_the_last_unit(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("tea", 1), comes("phone", serials="P1"), id="last"))
    for what in ("tea", "phone"):
        asked = [movement("sale", goes(what, 1, price="1"), id=f"{what} {n}", at=after(1)) for n in range(2)]
        told = at_once(*(asking(gate, each) for each in asked))
        assert sorted(map(codes, told)) == [[], ["insufficient_stock"]]
    assert_sound(gate.engine)


def test_a_batch_created_in_two_warehouses_at_once_is_one_batch_as_the_first_made_it(gate: Gate) -> None:
    told = at_once(
        *(
            asking(gate, movement("opening_stock", comes("cream", 1, place, batch="NEW", expires_on=day), id=place))
            for place, day in (("north", date(2026, 5, 1)), ("south", date(2026, 6, 1)))
        )
    )
    assert sorted(map(codes, told)) == [[], ["batch_differs"]]
    assert len(rows(gate.engine, "SELECT 1 FROM receiving.batch_stock WHERE batch = 'NEW' AND quantity = 1")) == 1


def test_series_used_by_many_workers_at_once_make_every_number_once_and_nobody_tries_twice(gate: Gate) -> None:
    workers = [Gate(gate.engine) for _ in range(8)]
    asked = [
        movement("opening_stock", comes("phone", 5, place), id=f"{place} {n}")
        for n in range(4)
        for place in ("north", "south")
    ]
    told = at_once(*(partial(worker.ask, each) for worker, each in zip(workers, asked, strict=True)))
    assert [worker.met for worker in workers] == [0] * 8
    assert sorted(number for each in told for number in named(each[0])) == [f"S-{n:02d}" for n in range(1, 41)]
    assert_sound(gate.engine)


def test_one_movement_given_to_two_workers_at_once_has_one_effect_and_both_tell_it(gate: Gate) -> None:
    told = at_once(*(lambda: Gate(gate.engine).send(*events([STOCKED])) for _ in range(4)))
    assert all(each == told[0] for each in told)
    assert_sound(gate.engine)


def test_eight_workers_with_random_movements_leave_sound_stock(gate: Gate) -> None:
    def work(seed: int) -> None:
        worker, random = Gate(gate.engine), Random(seed)
        for count in range(12):
            asked = [_random_movement(random, f"{seed} {count} {n}") for n in range(random.randint(1, 6))]
            worker.ask(*asked)

    at_once(*(partial(work, seed) for seed in range(8)))
    taken = rows(gate.engine, "SELECT DISTINCT purpose FROM receiving.outcome WHERE accepted AND purpose <> ''")
    assert {purpose for (purpose,) in taken} == set(_RANDOM_PURPOSES)
    assert_sound(gate.engine)


_RANDOM_PURPOSES = (
    "opening_stock",
    "purchase_receipt",
    "material_receipt",
    "delivery",
    "material_transfer",
    "manufacture",
    "reconciliation",
    "sales_return",
    "write_down",
)


def _random_movement(random: Random, identifier: str) -> MovementRequested:
    purpose = random.choice(_RANDOM_PURPOSES)
    items = random.sample(["tea", "cream", "phone"], random.randint(1, 3))
    lines = [_random_line(random, purpose, what) for what in items]
    if purpose == "manufacture":
        lines.append(comes(items[0], 2, random.choice(["north", "south"]), batch="B1" if items[0] == "cream" else None))
    return movement(purpose, *lines, id=identifier)


def _random_line(random: Random, purpose: str, what: str) -> RequestedLine:
    source, target = random.sample(["north", "south", "on-the-way"], 2)
    fields: dict[str, Any] = {"batch": random.choice(["B1", "B2"])} if what == "cream" else {}
    if what == "phone" and (random.random() < 0.5 or purpose == "sales_return"):
        fields = {"serials": random.sample([f"H{n}" for n in range(12)], 2)}
    if purpose == "write_down":
        return goes(what, None, source, rate="0.5", **fields)
    if purpose == "reconciliation" and what == "phone":
        return comes(what, None, target, serials=random.sample([f"H{n}" for n in range(12)], random.randint(0, 2)))
    if purpose in ("delivery", "manufacture"):
        return goes(what, 2, source, **fields)
    if purpose == "material_transfer":
        return moves(what, 2, source, target, **fields)
    return comes(what, 2, target, **fields)


# --- what the schema refuses ------------------------------------------------------------------------------------------

_STAY = "INSERT INTO receiving.stay (company, item, serial, warehouse, in_source, in_id, from_at, from_tie"
FORBIDDEN = (
    "UPDATE receiving.bin SET quantity = -0.000001 WHERE item = 'tea'",
    "UPDATE receiving.bin SET reserved = -1 WHERE item = 'tea'",
    "UPDATE receiving.batch_stock SET quantity = -1",
    "UPDATE receiving.serial SET warehouse = NULL WHERE serial = 'P1'",
    "UPDATE receiving.serial SET status = 'delivered' WHERE serial = 'P1'",
    "UPDATE receiving.serial SET status = 'sold', warehouse = NULL WHERE serial = 'P1'",
    "UPDATE receiving.serial SET entered_at = NULL WHERE serial = 'P1'",
    "UPDATE receiving.serial SET warehouse = 'nowhere' WHERE serial = 'P1'",
    "INSERT INTO receiving.serial (company, item, serial, status) VALUES ('shop', 'phone', 'P1', 'inactive')",
    "INSERT INTO receiving.serial (company, item, serial, status) VALUES ('shop', 'phone', '', 'inactive')",
    (
        "INSERT INTO receiving.serial (company, item, serial, status, warehouse, entered_at)"
        " VALUES ('shop', 'phone', 'P9', 'active', 'nowhere', now())"
    ),
    f"{_STAY}) VALUES ('shop', 'phone', 'P1', 'south', 's', 'i', now(), 0)",
    (
        f"{_STAY}, until_at, out_id) VALUES ('shop', 'phone', 'P1', 'south', 's', 'i',"
        " '2026-03-02 09:00+00', 0, now(), 'o')"
    ),
    f"{_STAY}, until_at, out_id) VALUES ('shop', 'phone', 'P1', 'south', 's', 'i', now(), 0, '2000-01-01', 'o')",
    "UPDATE receiving.stay SET out_id = 'D1' WHERE serial = 'P1'",
    "UPDATE receiving.batch SET state = 'lost'",
    "UPDATE receiving.item SET tracking = 'both'",
    "UPDATE receiving.item SET batch_series = 'B.##' WHERE item = 'phone'",
    "UPDATE receiving.item SET allow_negative_stock = true WHERE item = 'phone'",
    "UPDATE receiving.warehouse SET kind = 'attic'",
    "UPDATE receiving.movement SET allocated = NULL",
)


def test_the_schema_refuses_what_the_core_would_never_write(gate: Gate) -> None:
    gate.accept(STOCKED)
    assert {statement: _refusal(gate.engine, statement) for statement in FORBIDDEN} == dict.fromkeys(FORBIDDEN, "23")


def _refusal(engine: Engine, statement: str) -> str | None:
    """The class of the error that a statement ends in; 23 is a violated constraint."""
    try:
        with engine.begin() as connection:
            run(connection, statement)
    except DBAPIError as error:
        return str(getattr(error.orig, "pgcode", None))[:2]
    return None


def test_the_quantity_of_a_serial_bin_follows_its_serials_whoever_writes_them(gate: Gate) -> None:
    gate.accept(STOCKED, movement("opening_stock", comes("phone", None, "south", serials="Q1"), id="south"))
    with transaction(gate.engine) as connection:
        run(connection, "UPDATE receiving.serial SET warehouse = 'south' WHERE serial IN ('P1', 'P2')")
        run(connection, "UPDATE receiving.serial SET warehouse = NULL, status = 'scrapped' WHERE serial = 'P3'")
    stock = "SELECT warehouse, quantity FROM receiving.stock WHERE item = 'phone' ORDER BY warehouse"
    assert rows(gate.engine, stock) == [("north", 0), ("south", 3)]
