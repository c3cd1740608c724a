"""Counts, write-downs and shortages on a real PostgreSQL: what is read for them, and what the schema holds them to."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from services.receiving.store import available
from shared.contracts.outcome import OutcomeAccepted
from shared.db import run, transaction
from tests.builders import COMPANY
from tests.gate_builders import in_bins
from tests.receiving_builders import (
    Gate,
    after,
    codes,
    comes,
    goes,
    line,
    movement,
    named,
    rows,
)

# --- counts and shortages ---------------------------------------------------------------------------------------------


def test_a_count_knows_all_serials_of_its_bin_however_few_are_named(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("phone", 40), id="many", at=after(1)))
    counted = movement("reconciliation", comes("phone", serials=["P2", "S-07"], rate=None), id="C", at=after(2))
    gate.accept(counted)
    assert in_bins(gate.engine, "phone") == {"north": 2}
    missing = rows(gate.engine, "SELECT count(*) FROM receiving.serial_status WHERE status = 'missing'")
    assert missing == [(41,)]
    statement = "SELECT counted_at, last_at, last_stamp FROM receiving.bin WHERE item = 'phone'"
    assert rows(gate.engine, statement) == [(after(2), after(2), 3)]


def test_what_is_picked_behind_a_count_in_one_set_is_among_those_that_were_counted(gate: Gate) -> None:
    gate.accept(movement("opening_stock", comes("phone", 5), id="many", at=after(1)))
    counted = movement("reconciliation", comes("phone", serials=["S-04", "S-05"], rate=None), id="C", at=after(2))
    told = gate.accept(counted, movement("delivery", goes("phone", 1), id="D", at=after(3)))
    assert named(told[1]) == ["S-04"]


def test_a_counted_batch_that_was_gone_enters_anew(gate: Gate) -> None:
    gate.accept(movement("delivery", goes("cream", 5), id="all", at=after(1)))
    counted = movement("reconciliation", comes("cream", 2, batch="B1", rate="1"), id="C", at=after(2))
    gate.accept(counted)
    statement = "SELECT entered_at, entered_stamp FROM receiving.batch WHERE batch = 'B1'"
    assert rows(gate.engine, statement) == [(after(2), 3)]
    assert in_bins(gate.engine, "cream") == {"north": 2}


def test_all_serials_of_a_bin_are_written_down_where_none_is_named(gate: Gate) -> None:
    asked = movement("write_down", line("phone", source="north", rate="0.5"), id="W", at=after(1))
    (told,) = gate.accepted(asked)
    assert [each.serials for each in told.legs] == [["P1", "P2", "P3"]]


def test_a_source_that_tells_facts_is_never_short_of_untracked_stock_and_others_are(gate: Gate) -> None:
    gate.define("source", source="pos", mode="fact", patience=0)
    sold = [movement("delivery", goes("tea", 12), id=f"D{n}", at=after(n)) for n in (1, 2)]
    assert codes(gate.ask(sold[0])[0]) == ["insufficient_stock"]
    (told,) = gate.ask(sold[1], source="pos")
    assert isinstance(told, OutcomeAccepted)
    assert [(each.code, each.facts["short"]) for each in told.remarks] == [("shortage", "2")]
    bins = "SELECT quantity, short FROM receiving.bin WHERE item = 'tea'"
    assert rows(gate.engine, bins) == [(Decimal(-2), True)]
    with transaction(gate.engine) as connection:
        assert available(connection, COMPANY, "tea", "north", after(3)).free == 0
    gate.accept(movement("purchase_receipt", comes("tea", 2), id="covers", at=after(3)))
    assert rows(gate.engine, bins) == [(Decimal(0), False)]


def test_the_schema_keeps_stock_below_zero_for_shortages_and_exits_whole(gate: Gate) -> None:
    for statement in (
        "UPDATE receiving.bin SET quantity = -1 WHERE item = 'tea'",
        "UPDATE receiving.serial SET left_from = 'north' WHERE serial = 'P1'",
        f"INSERT INTO receiving.returned (company, entry, quantity) VALUES ('{COMPANY}', gen_random_uuid(), -1)",
    ):
        with pytest.raises(DBAPIError) as refused, gate.engine.begin() as connection:
            run(connection, statement)
        assert getattr(refused.value.orig, "pgcode", None) == "23514", statement
    with transaction(gate.engine) as connection:
        run(connection, "UPDATE receiving.bin SET quantity = -1, short = true WHERE item = 'tea'")


# --- what plain movements cost ----------------------------------------------------------------------------------------


def test_plain_movements_ask_for_no_originals_and_no_exits(gate: Gate) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(gate.engine, "before_cursor_execute", note)
    lines = [goes("tea", 1), goes("cream", 1), goes("phone", 1), goes("phone", serials=["P3"])]
    gate.accept(movement("delivery", *lines, id="D", at=after(1)))
    gate.accept(movement("purchase_receipt", comes("tea", 1), comes("phone", serials="Z1-Z9"), id="P", at=after(2)))
    event.remove(gate.engine, "before_cursor_execute", note)
    assert statements
    assert [each for each in statements if "receiving.returned" in each or "left_from IS NOT NULL" in each] == []
    # The inbox is asked once a set, by its own keys.
    assert len([each for each in statements if "FROM receiving.movement" in each]) == 2
    # A source is asked for twice a set: who may speak for it, and what holds for it.
    assert len([each for each in statements if "receiving.source" in each]) == 4
