"""Returns and counts of several workers at once: they meet in the locks of bins, and each sees what the other left."""

from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from shared.contracts.movement import MovementRequested, Reference
from tests.builders import Session, until_blocked
from tests.gate_builders import BOUGHT, DELIVERED, accepted_ids, finish, held, landing, returned, returning
from tests.receiving_builders import (
    Gate,
    after,
    codes,
    comes,
    decoded,
    events,
    goes,
    line,
    movement,
    rows,
)

# --- two workers ------------------------------------------------------------------------------------------------------


def test_of_two_returns_of_one_original_at_once_one_wins(gate: Gate, pool: ThreadPoolExecutor) -> None:
    gate.accept(DELIVERED)
    first = held(gate, returning("R1", line("tea", 3), line("phone", 1)), pool)
    second = Session(gate.engine, gate.working_on(*events([returning("R2", line("tea", 3))])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["R1"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["over_return"]
    assert returned(gate.engine) == [(1, ["P1"]), (3, [])]


def test_a_sale_that_comes_while_a_bin_is_counted_is_judged_by_the_count(gate: Gate, pool: ThreadPoolExecutor) -> None:
    counted = movement("reconciliation", comes("tea", 3, rate=None), comes("phone", serials=["P3"], rate=None), id="C")
    counting = held(gate, counted, pool)
    sold = movement("delivery", goes("tea", 4), id="D", at=after(1))
    selling = Session(gate.engine, gate.working_on(*events([sold])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, counting.commit())) == ["C"]
    (told,) = finish(gate, selling.commit())
    assert codes(decoded(told)) == ["insufficient_stock"]


def test_a_count_that_comes_while_a_sale_is_decided_sees_what_that_leaves(gate: Gate, pool: ThreadPoolExecutor) -> None:
    selling = held(gate, movement("delivery", goes("phone", 1), goes("tea", 4), id="D", at=after(1)), pool)
    lines = [comes("phone", serials=["P2"], rate=None), comes("tea", 6, rate=None)]
    counted = movement("reconciliation", *lines, id="C", at=after(2))
    counting = Session(gate.engine, gate.working_on(*events([counted])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, selling.commit())) == ["D"]
    told = finish(gate, counting.commit())[0]
    legs = [(each.item, int(each.quantity), each.serials) for each in decoded(told).legs]
    assert legs == [("phone", -1, ["P3"]), ("tea", 0, [])]


def test_a_found_serial_that_left_from_elsewhere_meanwhile_is_met_and_counted_again(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    gate.accept(DELIVERED)
    back = returning("R", line("phone", target="south", serials=["P1"]))
    again = movement("delivery", goes("phone", None, "south", serials=["P1"]), id="D", at=after(3))
    moving = Session(gate.engine, gate.working_on(*events([back, again])), pool).hold()
    counter = Gate(gate.engine)
    counted = movement("reconciliation", comes("phone", None, "quarantine", None, serials=["P1"]), id="C", at=after(4))
    counting = pool.submit(counter.accepted, counted)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, moving.commit())) == ["R", "D"]
    (found,) = counting.result()
    assert counter.met == 1
    assert {each.warehouse for each in found.stamps} == {"quarantine", "south"}
    (exit_,) = rows(gate.engine, "SELECT cast(left_by AS text) FROM receiving.serial WHERE serial = 'P1'")
    assert [(each.serials, each.original) for each in found.legs] == [(["P1"], exit_[0])]


# --- all at once ------------------------------------------------------------------------------------------------------


def test_six_workers_that_sell_return_count_and_revalue_at_once_leave_sound_stock(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    gate.accept(BOUGHT, DELIVERED)

    def work(seed: int) -> None:
        worker, random = Gate(gate.engine), Random(seed)
        for number in range(12):
            worker.ask(*(_random(random, f"{seed} {number} {place}") for place in range(random.randint(1, 5))))

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))
    taken = rows(gate.engine, "SELECT DISTINCT purpose FROM receiving.outcome WHERE accepted AND purpose <> ''")
    assert {purpose for (purpose,) in taken} >= set(_RANDOM)


_RANDOM = ("delivery", "sales_return", "purchase_receipt", "purchase_return", "reconciliation", "write_down")


def _random(random: Random, identifier: str) -> MovementRequested:
    purpose = random.choice([*_RANDOM, "landed_cost"])
    item, place, other = random.choice(["tea", "cream", "phone"]), *random.sample(["north", "south"], 2)
    if purpose == "landed_cost":
        return landing(identifier, "1", "bought")
    against = random.choice([None, Reference(id="bought" if purpose == "purchase_return" else "delivered")])
    fields: dict[str, Any] = {"against": against} if purpose.endswith("return") else {}
    tracked: dict[str, Any] = {}
    if item == "cream":
        tracked = {"batch": random.choice(["B1", "B2"])}
    elif item == "phone" and (against is None or random.random() < 0.5):
        tracked = {"serials": random.sample(["P1", "P2", "P3", "Q1", "Q2", "Q3"], random.randint(1, 3))}
    quantity = None if "serials" in tracked or purpose == "write_down" else random.randint(1, 3)
    if purpose in ("delivery", "purchase_return", "write_down"):
        rate = "1" if purpose == "write_down" else None
        return movement(
            purpose, goes(item, quantity, place, rate=rate, **tracked), id=identifier, at=after(5), **fields
        )
    rate = "1" if purpose == "purchase_receipt" else None
    return movement(purpose, comes(item, quantity, other, rate, **tracked), id=identifier, at=after(5), **fields)
