"""Reservations of several workers at once: of the last unit there is one taker, and the totals are right in the end."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import MovementRequested
from shared.contracts.registry import OUTCOME_ACCEPTED
from tests.builders import Session, until_blocked
from tests.gate_builders import BOUGHT, accepted_ids, finish
from tests.receiving_builders import EVENING, Gate, after, codes, comes, decoded, events, goes, movement
from tests.reservation_builders import against, asked, assert_totals, given_up, of, open_lines, reserve, told_short


@pytest.fixture(autouse=True)
def _totals(engine: Engine) -> Iterator[None]:
    """Whatever happens, the totals in the bins fit the lines of the reservations."""
    yield
    assert_totals(engine)


def delivery(identifier: str, *lines: Any, **fields: Any) -> MovementRequested:
    return movement("delivery", *lines, id=identifier, at=after(5), **fields)


# --- two workers ------------------------------------------------------------------------------------------------------


def test_of_two_who_want_the_last_unit_one_reserves_it_and_the_other_cannot_sell_it(
    gate: Gate, pool: ThreadPoolExecutor
) -> None:
    first = Session(gate.engine, gate.working_on(asked("R1", of("tea", 10), of("phone", 3))), pool).hold()
    sale = delivery("D1", goes("tea", 1), goes("phone", serials="P1"))
    second = Session(gate.engine, gate.working_on(*events([sale])), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["R1"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["insufficient_stock", "insufficient_stock"]


def test_of_two_who_reserve_the_last_unit_one_gets_it(gate: Gate, pool: ThreadPoolExecutor) -> None:
    first = Session(gate.engine, gate.working_on(asked("R1", of("phone", 3))), pool).hold()
    second = Session(gate.engine, gate.working_on(asked("R2", of("phone", serials="P1"))), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["R1"]
    (told,) = finish(gate, second.commit())
    assert codes(decoded(told)) == ["insufficient_stock"]


def test_what_is_given_up_while_it_is_delivered_ends_once(gate: Gate, pool: ThreadPoolExecutor) -> None:
    reserve(gate, "R1", of("tea", 10))
    sale = delivery("D1", goes("tea", 4), **against("R1"))
    first = Session(gate.engine, gate.working_on(*events([sale])), pool).hold()
    second = Session(gate.engine, gate.working_on(given_up("G1", "R1")), pool)
    until_blocked(gate.engine)
    assert accepted_ids(finish(gate, first.commit())) == ["D1"]
    (told,) = finish(gate, second.commit())
    assert told.kind == OUTCOME_ACCEPTED
    assert open_lines(gate.engine) == {("R1", 1): ("0", "4")}
    assert codes(gate.ask(delivery("D2", goes("tea", 6)))[0]) == []


# --- all at once ------------------------------------------------------------------------------------------------------


def test_four_workers_that_reserve_deliver_and_give_up_at_once_leave_every_order_met(gate: Gate) -> None:
    gate.accept(BOUGHT)

    def work(seed: int) -> None:
        worker, random = Gate(gate.engine), Random(seed)
        for number in range(25):
            worker.now = EVENING + timedelta(minutes=number)
            worker.send(*_random(random, f"{seed} {number}"))

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    states = {state for _, _, state in told_short(gate.engine, EVENING + timedelta(minutes=24)).values()}
    assert "short" not in states
    assert any(delivered != "0" for _, delivered in open_lines(gate.engine).values())


_ORDERS = [f"R{number}" for number in range(25)]


def _random(random: Random, identifier: str) -> list[bytes]:
    """Some events of one kind: reservations, releases, or movements that take and bring, against some order or none."""
    item, place = random.choice(["tea", "cream", "phone"]), random.choice(["north", "south"])
    what = random.random()
    if what < 0.4:
        named: dict[str, Any] = {}
        if random.random() < 0.5 and item != "tea":
            unit = random.choice(["P1", "P2", "Q1", "Q2"])
            named = {"batch": random.choice(["B1", "B2"])} if item == "cream" else {"serials": unit}
        until = EVENING + timedelta(minutes=random.randint(26, 40) if random.random() < 0.7 else 12)
        return [
            asked(random.choice(_ORDERS), of(item, None if "serials" in named else 1, place, **named), expires_at=until)
        ]
    if what < 0.5:
        return [given_up(f"G {identifier}", random.choice(_ORDERS))]
    if what < 0.6:
        back = {"batch": "B1"} if item == "cream" else {"serials": f"N {identifier}"} if item == "phone" else {}
        return events([movement("purchase_receipt", comes(item, 1, place, **back), id=identifier, at=after(5))])
    sales = [
        delivery(f"{identifier} {part}", goes(item, random.randint(1, 2), place), **_against(random))
        for part in range(2)
    ]
    return events(sales)


def _against(random: Random) -> dict[str, Any]:
    return dict(against(random.choice(_ORDERS))) if random.random() < 0.7 else {}
