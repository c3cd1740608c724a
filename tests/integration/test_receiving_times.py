"""Serials, batches and outcomes as of a time and as known at a time: where goods stood, and were thought to stand."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from services.desk.reporting import REPORTS
from shared.contracts.movement import MovementRequested, Reference
from shared.db import run, transaction
from shared.quantities import plain
from shared.report import Filters, records
from tests.builders import COMPANY, MORNING, deliver
from tests.receiving_builders import (
    GOODS,
    STOCKED,
    Gate,
    after,
    codes,
    comes,
    define_shop,
    goes,
    line,
    movement,
    moves,
    opened,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


def told(engine: Engine, name: str, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORTS[name], connection, Filters(**filters))


@pytest.fixture
def gate(engine: Engine) -> Gate:
    """A shop whose goods came at nine in the morning, which is known an hour later."""
    gate = Gate(engine, now=after(60))
    define_shop(gate, *GOODS, {"item": "lamp", "tracking": "serial", "warranty_days": 365})
    post_all(gate, STOCKED)
    return gate


def post_all(gate: Gate, *asked: MovementRequested) -> None:
    """Have the gate accept movements, and the ledger post them."""
    deliver(gate.engine, *gate.accepted(*asked))


# --- batches ----------------------------------------------------------------------------------------------------------


def test_a_batch_has_the_quantity_of_then_and_the_state_of_now(gate: Gate) -> None:
    post_all(gate, movement("opening_stock", comes("cream", 3, batch="B2"), id="O", at=after(61)))
    gate.now = after(90)
    post_all(
        gate,
        movement("delivery", goes("cream", 2, batch="B2"), id="D", at=after(62)),
        movement("material_receipt", comes("cream", 4, "south", batch="B2"), id="R", at=after(63)),
    )
    assert codes(gate.define("batch.held", company=COMPANY, item="cream", batch="B2")) == []

    def batch(name: str, **times: datetime) -> list[tuple[Any, ...]]:
        found = told(gate.engine, name, item="cream", batch="B2", **times)
        return [(row.get("warehouse"), plain(row["quantity"]), row["state"]) for row in found]

    assert batch("batch-status") == [(None, "5", "held")]
    assert batch("batch-status", as_of=after(62)) == [(None, "1", "held")]
    assert batch("batch-status", known_at=after(89)) == [(None, "3", "held")]
    assert batch("batch-status", as_of=after(1)) == [(None, "0", "held")]
    assert batch("batch-balance") == [("north", "1", "held"), ("south", "4", "held")]
    assert batch("batch-balance", as_of=after(62)) == [("north", "1", "held")]
    assert batch("batch-balance", as_of=after(62), known_at=after(89)) == [("north", "3", "held")]


def test_serials_that_name_a_batch_count_for_no_batch_neither_now_nor_then(gate: Gate) -> None:
    assert codes(gate.define("batch", company=COMPANY, item="phone", batch="PB")) == []
    post_all(gate, movement("opening_stock", comes("phone", serials="X1", batch="PB"), id="O", at=after(61)))
    for times in ({}, {"as_of": after(99)}):
        assert told(gate.engine, "batch-balance", item="phone", **times) == []
        assert [plain(row["quantity"]) for row in told(gate.engine, "batch-status", item="phone", **times)] == ["0"]


# --- serials ----------------------------------------------------------------------------------------------------------


def unit(gate: Gate, serial: str = "P1", **times: Any) -> tuple[str | None, ...]:
    """Where a phone is, and who holds it."""
    (row,) = told(gate.engine, "serial-status", serial=serial, **times)
    return (row["status"], row["warehouse"], row["customer"], row["customer_document"])


@pytest.fixture
def travelled(gate: Gate) -> Gate:
    """Unit P1 goes south, by way of the road, to Ada, and comes back; each step is known an hour later."""
    delivery = {"customer": "Ada", "document": "DN"}
    back = {"customer": "Ada", "document": "CN", "against": Reference(id="D")}
    steps = [
        movement("material_transfer", moves("phone", serials="P1", target="on-the-way"), id="T", at=after(2)),
        movement("material_transfer", moves("phone", serials="P1", source="on-the-way"), id="U", at=after(3)),
        movement("delivery", goes("phone", None, "south", serials="P1"), id="D", at=after(4), **delivery),
        movement("sales_return", line("phone", serials="P1"), id="B", at=after(5), **back),
    ]
    for minutes, step in enumerate(steps, start=62):
        gate.now = after(minutes)
        gate.accept(step)
    return gate


def test_a_unit_stands_where_its_last_event_by_then_left_it(travelled: Gate) -> None:
    seen = [unit(travelled, as_of=after(minutes)) for minutes in (-1, 1, 2, 3, 4, 5)]
    assert seen == [
        ("inactive", None, None, None),
        ("active", "north", None, None),
        ("in_transit", "on-the-way", None, None),
        ("active", "south", None, None),
        ("delivered", None, "Ada", "DN"),
        ("active", "south", None, None),
    ]
    assert unit(travelled) == seen[-1]
    assert [unit(travelled, known_at=after(minutes)) for minutes in (59, 61, 62, 63, 64, 65)] == seen


def test_a_unit_is_where_it_was_thought_to_be_then(travelled: Gate) -> None:
    assert unit(travelled, as_of=after(4), known_at=after(62)) == ("in_transit", "on-the-way", None, None)
    assert unit(travelled, as_of=after(1), known_at=after(65)) == ("active", "north", None, None)


def test_what_stands_in_a_warehouse_is_what_stood_there_then(travelled: Gate) -> None:
    def standing(warehouse: str, **times: datetime) -> list[str]:
        return [row["serial"] for row in told(travelled.engine, "serial-status", warehouse=warehouse, **times)]

    assert standing("north", as_of=after(1)) == ["P1", "P2", "P3"]
    assert standing("north", as_of=after(2)) == ["P2", "P3"]
    assert standing("on-the-way", as_of=after(2)) == ["P1"]
    assert standing("on-the-way", as_of=after(3)) == []


def test_what_arrives_at_the_moment_at_which_it_left_stands_where_it_arrived(gate: Gate) -> None:
    gate.accept(
        movement("material_transfer", moves("phone", serials="P1"), id="T", at=after(1)),
        movement("material_transfer", moves("phone", None, "south", "quarantine", serials="P1"), id="U", at=after(1)),
    )
    assert unit(gate, as_of=after(1)) == ("active", "quarantine", None, None)


@pytest.mark.parametrize(
    ("gone", "status"),
    [
        (movement("scrap", goes("phone", serials="P1"), id="G", at=after(2)), "scrapped"),
        (movement("material_issue", goes("phone", serials="P1"), id="G", at=after(2)), "consumed"),
        (movement("purchase_return", goes("phone", serials="P1"), id="G", at=after(2)), "returned_to_supplier"),
        (movement("reconciliation", line("phone", serials="P2-P3", target="north"), id="G", at=after(2)), "missing"),
        (movement("sale", goes("phone", serials="P1", price="1"), id="G", at=after(2)), "delivered"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.purpose,
)
def test_what_became_of_a_unit_follows_from_the_purpose_by_which_it_left(
    gate: Gate, gone: MovementRequested, status: str
) -> None:
    gate.accept(gone)
    now = unit(gate)
    assert now[0] == status
    assert unit(gate, as_of=after(2)) == now
    assert unit(gate, as_of=after(1)) == ("active", "north", None, None)


def test_a_warranty_that_a_later_delivery_began_is_not_told(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("lamp", serials="L1"), id="O", at=after(1)))
    gate.accept(movement("delivery", goes("lamp", serials="L1"), id="D", at=after(2)))

    def warranty(**times: datetime) -> date | None:
        (row,) = told(gate.engine, "serial-status", item="lamp", **times)
        found: date | None = row["warranty_until"]
        return found

    assert warranty() == MORNING.date() + timedelta(days=365)
    assert warranty(as_of=after(2)) == warranty()
    assert warranty(as_of=after(1)) is None


def test_a_stay_that_a_later_movement_cut_short_is_told_as_it_was_known_before(travelled: Gate) -> None:
    """Its row says who ended it last: who had ended it before stands where the next stay ends."""
    with transaction(travelled.engine) as connection:
        run(connection, _LATE_MOVEMENT, recorded_at=after(90))
        run(connection, _CUT_SHORT, at=after(3) + MINUTE / 3)
        run(connection, _NEXT_STAY, at=after(4))
    between = after(4) - MINUTE / 2
    assert unit(travelled, as_of=between, known_at=after(90)) == ("active", "quarantine", None, None)
    assert unit(travelled, as_of=between, known_at=after(89)) == ("active", "south", None, None)
    assert unit(travelled, as_of=after(4), known_at=after(89)) == ("delivered", None, "Ada", "DN")


_LATE_MOVEMENT = """
INSERT INTO receiving.movement (source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome)
SELECT source, 'late', digest, company, 'material_transfer', :recorded_at, effective_at, allocated, outcome
FROM receiving.movement WHERE id = 'U'
"""
_CUT_SHORT = "UPDATE receiving.stay SET until_at = :at, until_tie = 0, out_id = 'late' WHERE out_id = 'D'"
_NEXT_STAY = """
INSERT INTO receiving.stay (company, item, serial, from_at, from_tie, until_at, until_tie, warehouse,
    in_source, in_id, out_source, out_id)
SELECT company, item, serial, until_at, until_tie, :at, 0, 'quarantine', out_source, out_id, out_source, 'D'
FROM receiving.stay WHERE out_id = 'late'
"""


# --- outcomes ---------------------------------------------------------------------------------------------------------


def test_outcomes_as_known_at_a_time_are_those_that_had_been_told(gate: Gate) -> None:
    before = told(gate.engine, "outcomes")
    gate.now = after(61)
    gate.ask(movement("delivery", goes("tea", 99), id="refused", at=after(1)))
    assert [row["id"] for row in told(gate.engine, "outcomes")][-1] == "refused"
    assert told(gate.engine, "outcomes", known_at=after(60)) == before
