"""Receiving on a real PostgreSQL: what is read for judging and written after it, set by set."""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine

from services.receiving.store import available
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import MOVEMENT_ALLOCATED, OUTCOME_ACCEPTED, UNITS_ALLOCATED
from shared.db import run, transaction
from tests.builders import COMPANY, MORNING, SOURCE
from tests.properties.allocation_histories import ITEMS, History
from tests.properties.reference_allocation import Answer, Taken
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

FAR_AHEAD = MORNING + timedelta(days=1_000)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    with opened(database) as engine:
        yield engine


@pytest.fixture
def gate(engine: Engine) -> Gate:
    gate = Gate(engine)
    define_shop(gate, *GOODS)
    return gate


# --- the store against the reference ----------------------------------------------------------------------------------


def answer(told: OutcomeAccepted | OutcomeRejected) -> tuple[Any, ...] | None:
    if isinstance(told, OutcomeRejected):
        return None
    taken = tuple(
        Taken(each.line, each.item, each.warehouse, int(each.quantity), each.batch, tuple(each.serials))
        for each in told.allocated
    )
    return (told.effective_at, taken)


def expected(given: Answer | None) -> tuple[Any, ...] | None:
    return None if given is None else (given.effective_at, given.taken)


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_worked_on_in_sets_agree_with_the_reference(engine: Engine, seed: int) -> None:
    tells = seed % 2 == 1
    gate, history = Gate(engine, FAR_AHEAD), History(Random(seed), tells=tells)
    define_shop(gate, *(_definition(name) for name in ITEMS))
    assert codes(gate.define("source", source=SOURCE, mode="fact" if tells else "request", patience=0)) == []
    for _ in range(25):
        asked = [history.next() for _ in range(1)]
        answers = [history.book.ask(asked[0])]
        for _ in range(history.random.randint(0, 7)):
            asked.append(history.next())
            answers.append(history.book.ask(asked[-1]))
        assert [answer(each) for each in gate.ask(*asked)] == [expected(each) for each in answers]
        _turn_hold(gate, history)
    standing = {(each.item, each.serial, each.place) for each in history.book.units if each.serial and each.place}
    found = rows(engine, "SELECT item, serial, warehouse FROM receiving.serial WHERE warehouse IS NOT NULL")
    assert set(found) == standing
    assert_sound(engine)


def _definition(name: str) -> dict[str, Any]:
    each = ITEMS[name]
    series = {"serial_series": each.serial_series, "batch_series": each.batch_series}
    fixed = {"item": name, "tracking": each.tracking.value, "pick": each.pick.value}
    allowed = ("create_batches_on_receipt", "allow_negative_stock")
    return {**fixed, **series, **{what: getattr(each, what) for what in allowed}}


def _turn_hold(gate: Gate, history: History) -> None:
    batch = history.turn_hold()
    if batch is not None and history.random.random() < 0.3:
        history.book.held ^= {batch}
        noun = "batch.held" if batch in history.book.held else "batch.released"
        assert codes(gate.define(noun, company=COMPANY, item=batch[0], batch=batch[1])) == []


# --- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_movement_again_gets_the_same_answer_and_has_no_second_effect(gate: Gate) -> None:
    first = gate.send(*events([STOCKED]))
    assert gate.send(*events([STOCKED])) == first
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(10,)]


def test_a_movement_twice_in_one_set_has_one_effect_and_one_answer(gate: Gate) -> None:
    told = gate.send(*events([STOCKED, STOCKED]))
    assert [each.kind for each in told] == [MOVEMENT_ALLOCATED, UNITS_ALLOCATED, OUTCOME_ACCEPTED]
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(10,)]


def test_a_refused_movement_stays_refused_when_it_could_be_had_by_now(gate: Gate) -> None:
    early = movement("delivery", goes("tea", 1), id="early")
    assert codes(gate.ask(early)[0]) == ["insufficient_stock"]
    gate.accept(STOCKED)
    assert codes(gate.ask(early)[0]) == ["insufficient_stock"]


@pytest.mark.parametrize("together", [True, False])
def test_another_content_under_a_known_id_is_parked_and_never_applied(gate: Gate, together: bool) -> None:
    other = movement("opening_stock", comes("tea", 11), id="stocked")
    if together:
        gate.send(*events([STOCKED, other]))
    else:
        gate.send(*events([STOCKED]))
        gate.send(*events([other]))
    assert rows(gate.engine, "SELECT reason, id FROM receiving.parked") == [("conflicting_duplicate", "stocked")]
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(10,)]


def test_one_id_from_two_sources_names_two_movements(gate: Gate) -> None:
    for source in ("till-1", "till-2"):
        gate.send(*events([movement("opening_stock", comes("tea", 1), id="M1")], source))
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'tea'") == [(2,)]


# --- what is read for picking -----------------------------------------------------------------------------------------


def test_serials_are_picked_among_those_of_the_named_batch_however_many_others_are_older(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="watch", tracking="serial", create_batches_on_receipt=True)
    gate.accept(movement("opening_stock", comes("watch", serials="A1-A9", batch="B1"), id="old"))
    gate.accept(movement("opening_stock", comes("watch", serials="C1-C9", batch="B2"), id="new", at=after(1)))
    told = gate.accept(movement("delivery", goes("watch", 2, batch="B2"), id="D", at=after(2)))
    assert named(told[0]) == ["C1", "C2"]


def test_a_set_over_midnight_picks_for_each_movement_what_its_day_allows(gate: Gate) -> None:
    gate.now = FAR_AHEAD
    gate.define("item", company=COMPANY, item="watch", tracking="serial", create_batches_on_receipt=True, pick="fefo")
    last_day = comes("watch", serials="A1-A2", batch="B1", expires_on=MORNING.date())
    gate.accept(movement("opening_stock", last_day, comes("watch", serials="C1-C2"), id="both"))
    told = gate.accept(
        movement("delivery", goes("watch", 1), id="today", at=after(1)),
        movement("delivery", goes("watch", 1), id="tomorrow", at=MORNING + timedelta(days=1)),
    )
    assert [named(each) for each in told] == [["A1"], ["C1"]]


def test_ties_between_warehouses_are_broken_by_number_whatever_the_language_of_the_database(gate: Gate) -> None:
    gate.accept(
        movement("opening_stock", comes("phone", None, "north", serials=["b"]), id="1"),
        movement("opening_stock", comes("phone", None, "south", serials=["C"]), id="2"),
        movement("material_transfer", moves("phone", 1, "south", "north"), id="3"),
    )
    assert named(gate.accept(movement("delivery", goes("phone", 1), id="4"))[0]) == ["C"]


def test_a_batch_that_leaves_wholly_and_comes_back_within_one_set_is_young(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="soap", tracking="batch", create_batches_on_receipt=True)
    gate.accept(movement("opening_stock", comes("soap", 1, batch="B1"), comes("soap", 1, batch="B2"), id="both"))
    told = gate.accept(
        movement("delivery", goes("soap", 1, batch="B1"), id="out", at=after(1)),
        movement("material_receipt", comes("soap", 1, batch="B1"), id="back", at=after(2)),
        movement("delivery", goes("soap", 1), id="next", at=after(3)),
    )
    assert [each.batch for each in told[2].allocated] == ["B2"]


def test_what_is_available_is_told_in_pick_order_with_why_the_rest_is_not_and_locks_nothing(gate: Gate) -> None:
    gate.accept(STOCKED)
    extra = [comes("cream", 2, batch="B0"), comes("cream", 3, batch="OLD", expires_on=date(2026, 3, 1))]
    gate.accept(movement("opening_stock", *extra, comes("cream", 4, batch="HELD"), id="more", at=after(1)))
    gate.define("batch.held", company=COMPANY, item="cream", batch="HELD")
    with transaction(gate.engine) as locked:
        run(locked, "SELECT * FROM receiving.company, receiving.item, receiving.bin, receiving.batch FOR UPDATE")
        with transaction(gate.engine) as connection:
            run(connection, "SET LOCAL lock_timeout = '200ms'")
            cream = available(connection, COMPANY, "cream", "north", after(2))
            phone = available(connection, COMPANY, "phone", "north", after(2))
            tea = available(connection, COMPANY, "tea", "north", after(2))
    assert [(each.number, int(each.quantity)) for each in cream.pickable] == [("B1", 5), ("B0", 2)]
    assert {(each.number, why) for each, why in cream.rest} == {("OLD", "batch_expired"), ("HELD", "batch_held")}
    assert ([each.number for each in phone.pickable], int(tea.free)) == (["P1", "P2", "P3"], 10)


# --- series -----------------------------------------------------------------------------------------------------------


def test_a_series_skips_what_was_taken_by_hand_long_before_and_in_the_same_set(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("phone", serials=["S-05", "S-06"]), id="long before"))
    told = gate.accept(
        movement("opening_stock", comes("phone", serials=["S-01", "S-02", "S-03"]), id="by hand"),
        movement("opening_stock", comes("phone", 2), id="made"),
    )
    assert named(told[1]) == ["S-04", "S-07"]


def test_a_refused_movement_gives_its_numbers_back_to_the_next_set(gate: Gate) -> None:
    assert codes(gate.ask(movement("opening_stock", comes("phone", 3), comes("ghost", 1), id="no"))[0])
    assert named(gate.accept(movement("opening_stock", comes("phone", 1), id="yes"))[0]) == ["S-01"]


def test_two_items_with_one_text_in_front_of_their_counters_share_it_over_sets(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="watch", tracking="serial", serial_series="S-.###")
    told = [
        gate.accept(movement("opening_stock", comes(what, 1), id=str(n)))[0]
        for n, what in enumerate(("phone", "watch", "phone"))
    ]
    assert [named(each) for each in told] == [["S-01"], ["S-002"], ["S-03"]]


def test_ten_thousand_serials_are_made_in_one_receipt(gate: Gate) -> None:
    started = time.monotonic()
    told = gate.accept(movement("opening_stock", comes("phone", 10_000), id="many"))
    assert time.monotonic() - started < 8
    assert len(set(named(told[0]))) == 10_000
    assert rows(gate.engine, "SELECT quantity FROM receiving.stock WHERE item = 'phone'") == [(10_000,)]
    assert_sound(gate.engine)


# --- masters ----------------------------------------------------------------------------------------------------------


def test_a_held_batch_stays_until_it_is_released(gate: Gate) -> None:
    gate.accept(STOCKED)
    batch = {"company": COMPANY, "item": "cream", "batch": "B1"}
    assert codes(gate.define("batch.held", **batch)) == []
    sold = [movement("delivery", goes("cream", 1, batch="B1"), id=f"D{n}", at=after(n)) for n in (1, 2)]
    assert codes(gate.ask(sold[0])[0]) == ["batch_held"]
    assert codes(gate.define("batch.released", **batch)) == []
    assert codes(gate.ask(sold[1])[0]) == []


def test_tracking_is_fixed_once_an_item_has_entries_and_a_refused_movement_makes_none(gate: Gate) -> None:
    gate.ask(movement("delivery", goes("tea", 1), id="refused"))
    assert codes(gate.define("item", company=COMPANY, item="tea", tracking="batch")) == []
    assert codes(gate.define("item", company=COMPANY, item="tea", tracking="none")) == []
    gate.accept(STOCKED)
    assert codes(gate.define("item", company=COMPANY, item="tea", tracking="batch")) == ["tracking_fixed"]


def test_numbers_are_defined_trimmed_as_movements_name_them(gate: Gate) -> None:
    gate.define("item", company=COMPANY, item="soap", tracking="batch")
    assert codes(gate.define("batch", company=COMPANY, item="soap", batch=" B1 ")) == []
    assert codes(gate.define("batch.held", company=COMPANY, item="soap", batch="B1 ")) == []
    assert codes(gate.define("serial", company=COMPANY, item="phone", serial=" P9 ", batch=" ")) == []
    told = gate.accept(movement("opening_stock", comes("soap", 1, batch="B1 "), comes("phone", serials="P9"), id="1"))
    assert [(each.batch, each.serials) for each in told[0].allocated] == [("B1", []), (None, ["P9"])]
    assert rows(gate.engine, "SELECT serial FROM receiving.serial") == [("P9",)]


def test_a_serials_record_is_updated_without_touching_its_place_or_its_count(gate: Gate) -> None:
    gate.accept(STOCKED)
    updated = {"serial": "P1", "supplier": "Foundry", "attributes": {"plan": "trial"}}
    assert codes(gate.define("serial", company=COMPANY, item="phone", **updated)) == []
    assert codes(gate.define("serial", company=COMPANY, item="phone", serial="P1", warehouse="south"))
    statement = "SELECT status, warehouse, supplier, attributes FROM receiving.serial_status WHERE serial = 'P1'"
    assert rows(gate.engine, statement) == [("active", "north", "Foundry", {"plan": "trial"})]
    assert_sound(gate.engine)


def test_a_serials_history_tells_each_of_its_stays(gate: Gate) -> None:
    gate.accept(STOCKED)
    gate.accept(
        movement("material_transfer", moves("phone", serials="P1"), id="T", at=after(1)),
        movement(
            "delivery", goes("phone", None, "south", serials="P1"), id="D", at=after(1), customer="Ada", document="DN"
        ),
        movement("material_receipt", comes("phone", serials="P1"), id="R", at=after(2)),
    )
    stays = rows(
        gate.engine,
        "SELECT warehouse, in_id, out_id FROM receiving.stay WHERE serial = 'P1' ORDER BY from_at, from_tie",
    )
    assert stays == [("north", "stocked", "T"), ("south", "T", "D"), ("north", "R", None)]
    gate.accept(movement("delivery", goes("phone", serials="P2"), id="D2", at=after(3), customer="Ada", document="DN2"))
    status = "SELECT status, customer, customer_document FROM receiving.serial_status WHERE serial = :serial"
    assert rows(gate.engine, status, serial="P1") == [("active", None, None)]
    assert rows(gate.engine, status, serial="P2") == [("delivered", "Ada", "DN2")]


def test_companies_do_not_see_each_others_stock(gate: Gate) -> None:
    gate.accept(STOCKED)
    gate.define("company", company="twin", currency="USD")
    gate.define("warehouse", company="twin", warehouse="north")
    gate.define("item", company="twin", item="tea")
    asked = movement("delivery", goes("tea", 1), id="D", company="twin", at=after(1))
    assert codes(gate.ask(asked)[0]) == ["insufficient_stock"]
    assert codes(gate.ask(movement("delivery", goes("tea", 1), id="E", at=after(1)))[0]) == ["company_missing"]
    assert codes(gate.ask(movement("delivery", goes("tea", 1), id="F", company=COMPANY, at=after(1)))[0]) == []
