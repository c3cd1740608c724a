"""Recalls and those who take the goods, at once: whatever is delivered was accepted before the recall of it was."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import MovementRequested
from tests.builders import Session, until_blocked
from tests.gate_builders import accepted_ids, finish
from tests.recall_builders import batch, goods_of, opened, states, units
from tests.receiving_builders import (
    EVENING,
    Gate,
    after,
    codes,
    comes,
    decoded,
    define_shop,
    events,
    goes,
    movement,
    rows,
)

BATCHED = {"tracking": "batch", "create_batches_on_receipt": True}
RECALLS = 1_000
WORKERS = 4


@pytest.fixture
def gate(engine: Engine) -> Gate:
    gate = Gate(engine)
    items: dict[str, dict[str, Any]] = {"oil": BATCHED, "cream": BATCHED, "pump": {"tracking": "serial"}}
    define_shop(gate, *({"item": name, **fields} for name, fields in items.items()))
    return gate


class Worker(Gate):
    """A worker with a clock that goes on."""

    @property
    def now(self) -> datetime:
        return EVENING + timedelta(seconds=time.monotonic() - _BEGAN)

    @now.setter
    def now(self, now: datetime) -> None:
        """It goes on whatever it is set to."""


_BEGAN = time.monotonic()


def stock(gate: Gate) -> None:
    gate.accept(
        movement("opening_stock", comes("oil", 9, batch="O1"), comes("pump", serials="P1-P3"), id="stock"),
    )


def sale(identifier: str, *lines: Any) -> MovementRequested:
    return movement("delivery", *lines, id=identifier, at=after(30), customer="Ada")


def cream(identifier: str) -> MovementRequested:
    made = [goes("oil", 1, batch="O1"), comes("cream", 1, batch="C1", rate=None)]
    return movement("manufacture", *made, id=identifier, at=after(10))


# --- two at once ------------------------------------------------------------------------------------------------------


def test_a_sale_that_waits_for_a_recall_is_refused(gate: Gate, pool: ThreadPoolExecutor) -> None:
    stock(gate)
    first = Session(gate.engine, gate.working_on(opened("R1", batch("oil", "O1"), units("pump", "P1"))), pool).hold()
    second = Session(gate.engine, gate.working_on(*events([sale("D1", goes("oil", 1, batch="O1"))])), pool)
    third = Session(gate.engine, gate.working_on(*events([sale("D2", goes("pump", 3))])), pool)
    until_blocked(gate.engine, 2)
    assert accepted_ids(finish(gate, first.commit())) == ["R1"]
    assert codes(decoded(finish(gate, second.commit())[0])) == ["batch_recalled"]
    assert codes(decoded(finish(gate, third.commit())[0])) == ["insufficient_stock"]


def test_a_recall_that_waits_for_a_making_finds_what_it_makes(gate: Gate, pool: ThreadPoolExecutor) -> None:
    stock(gate)
    first = Session(gate.engine, gate.working_on(*events([cream("M1")])), pool).hold()
    waits = pool.submit(lambda: gate.send(opened("R1", batch("oil", "O1"))))
    until_blocked(gate.engine)
    finish(gate, first.commit())
    assert accepted_ids(waits.result(30)) == ["R1"]
    assert goods_of(gate.engine, "R1") == [("cream", "batch", "C1", False), ("oil", "batch", "O1", True)]
    assert states(gate.engine, "cream") == {"C1": "recalled"}
    assert gate.met == 0, "it goes on with its locks where more was made than it had found"


def test_a_recall_that_waits_for_a_unit_to_move_follows_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    stock(gate)
    moved = movement(
        "material_transfer", goes("pump", serials="P1", target="south"), id="T1", at=after(10)
    )  # fmt: skip
    first = Session(gate.engine, gate.working_on(*events([moved])), pool).hold()
    waits = pool.submit(lambda: gate.send(opened("R1", units("pump", "P1"))))
    until_blocked(gate.engine)
    finish(gate, first.commit())
    assert accepted_ids(waits.result(30)) == ["R1"]
    assert codes(gate.ask(sale("D1", goes("pump", None, "south", serials="P1")))[0]) == ["serial_recalled"]


def test_recalls_are_not_kept_waiting_by_those_who_go_on_making(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("oil", 10_000, batch="O1"), id="stock"))
    over = Event()

    def work(number: int) -> None:
        worker, count = Worker(gate.engine), 0
        while not over.is_set():
            made = [goes("oil", 1, batch="O1"), comes("cream", 1, batch=f"C{number}-{count}", rate=None)]
            worker.send(*events([movement("manufacture", *made, id=f"M{number}-{count}", at=after(10))]))
            count += 1

    with ThreadPoolExecutor(3) as workers:
        making = [workers.submit(work, number) for number in range(3)]
        until_many(gate)
        asks = Worker(gate.engine)
        assert accepted_ids(asks.send(opened("R1", batch("oil", "O1")))) == ["R1"]
        over.set()
        for each in making:
            each.result(30)
    assert rows(gate.engine, "SELECT count(*) FROM receiving.batch WHERE item = 'cream' AND state <> 'recalled'") == [
        (0,)
    ]
    assert asks.met <= 2


def until_many(gate: Gate) -> None:
    deadline = time.monotonic() + 30
    while rows(gate.engine, "SELECT count(*) < 20 FROM receiving.batch WHERE item = 'cream'") == [(True,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- all at once ------------------------------------------------------------------------------------------------------


def test_of_a_thousand_recalls_that_race_with_sales_and_makings_none_is_passed_by(gate: Gate) -> None:
    numbers = range(RECALLS)
    for start in range(0, RECALLS, 250):
        part = numbers[start : start + 250]
        lines = [comes("oil", 9, batch=f"O{number}") for number in part]
        lines += [comes("pump", serials=f"P{number}-1,P{number}-2") for number in part]
        gate.accept(movement("opening_stock", *lines, id=f"stock {start}"))
    random = Random(7)
    work = [*(("recall", number) for number in numbers), *(("take", number) for number in numbers for _ in range(3))]
    random.shuffle(work)
    sets = [work[start : start + 20] for start in range(0, len(work), 20)]
    with ThreadPoolExecutor(WORKERS) as workers:
        list(workers.map(lambda each: _work_on(Worker(gate.engine), each[1], each[0]), enumerate(sets)))
    assert rows(gate.engine, "SELECT count(*) FROM receiving.recalls") == [(RECALLS,)]
    assert rows(gate.engine, _PASSED_BY) == []
    assert rows(gate.engine, "SELECT DISTINCT state FROM receiving.batch") == [("recalled",)], "and all that was made"
    told = rows(
        gate.engine, "SELECT allocated IS NOT NULL, count(*) > 100 FROM receiving.movement GROUP BY 1 ORDER BY 1"
    )
    assert told == [(False, True), (True, True)], "some came before their recall and some behind it"


def _work_on(worker: Worker, tasks: list[tuple[str, int]], place: int) -> None:
    """Recalls of one set together, and all others: sold by batch, made into something, sold by unit."""
    recalls = [opened(f"R{number}", batch("oil", f"O{number}"), units("pump", f"P{number}-1"))
               for what, number in tasks if what == "recall"]  # fmt: skip
    taken = [_taking(number, f"{place}-{at}") for at, (what, number) in enumerate(tasks) if what == "take"]
    for each in sorted([recalls, events(taken)], key=lambda _: place % 2):
        if each:
            worker.send(*each)


def _taking(number: int, name: str) -> MovementRequested:
    goods = goes("oil", 1, batch=f"O{number}")
    match sum(name.encode()) % 3:
        case 0:
            return sale(name, goods)
        case 1:
            made = comes("cream", 1, batch=f"C{number}", rate=None)
            return movement("manufacture", goods, made, id=name, at=after(10))
    return sale(name, goes("pump", serials=f"P{number}-1"))


# What was delivered, or went into something, of recalled goods, and was accepted after the recall.
_PASSED_BY = """
SELECT movement.id, recall.id FROM receiving.movement
CROSS JOIN LATERAL json_array_elements(cast(convert_from(allocated, 'UTF8') AS json) -> 'legs') AS legs (leg)
JOIN receiving.recall_goods AS goods ON goods.item = leg ->> 'item' AND (
    goods.number = leg ->> 'batch' OR cast(leg -> 'serials' AS jsonb) ? goods.number)
JOIN receiving.recall ON (recall.source, recall.id) = (goods.source, goods.id)
WHERE allocated IS NOT NULL AND cast(leg ->> 'quantity' AS numeric) < 0 AND movement.recorded_at > recall.recorded_at
"""
