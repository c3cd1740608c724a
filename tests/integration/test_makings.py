"""What was made of what, as both services keep it: written with the making, gone or undone with its cancellation."""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from services.desk.trace.goods import Goods, Way
from services.desk.trace.starting import Start
from services.desk.trace.tracing import hold_still, trace
from services.desk.trace.walking import Limits
from services.receiving.decide.recalls import Goods as Recalled
from services.receiving.store.makings import descendants
from shared.contracts.registry import MOVEMENT_ALLOCATED
from shared.db import transaction
from shared.migrate import Migration, migrations
from shared.purposes import Tracking
from tests import servers
from tests.builders import COMPANY, deliver, inputs, revalue_all
from tests.properties.past_histories import BATCHES
from tests.properties.past_histories import History as Days
from tests.properties.serial_histories import WARRANTY
from tests.properties.serial_histories import History as Units
from tests.receiving_builders import Gate, after, comes, decoded, define_shop, events, goes, movement, opened, rows
from tests.tracing_builders import BATCHED, UNITS, Floor

EDGES = """
SELECT id, consumed_item, consumed_batch, produced_item, produced_batch, quantity FROM ledger.edges
ORDER BY id, consumed_item, consumed_batch, produced_item, produced_batch
"""
MAKINGS = "SELECT * FROM ledger.making ORDER BY source, id, entry_id"
LAST = {"receiving": "0010", "ledger": "0009"}
"""The migrations that make the tables."""
GOODS = "SELECT id, produced, item, tracking, number FROM receiving.making ORDER BY id, produced, item, number"


@pytest.fixture
def floor(engine: Engine) -> Floor:
    floor = Floor(engine, oil=BATCHED, cream=BATCHED, box=BATCHED, jar={}, dust={}, pump=UNITS, motor=UNITS)
    floor.tell(
        movement("opening_stock", comes("oil", 9, batch="O1"), comes("oil", 9, batch="O2"), comes("jar", 9), id="R"),
        movement("opening_stock", comes("pump", serials="P1,P2"), id="RP"),
    )
    return floor


def _make(floor: Floor) -> None:
    made = [comes("cream", 2, batch="C1", rate=None), comes("cream", 1, batch="C2", rate=None)]
    floor.tell(movement("manufacture", goes("oil", 1, batch="O1"), goes("jar", 6), *made, id="MAKE", at=after(10)))


def test_each_product_has_its_part_of_each_input_and_the_parts_of_an_input_add_up_to_it(floor: Floor) -> None:
    _make(floor)
    assert rows(floor.engine, EDGES) == [
        ("MAKE", "jar", None, "cream", "C1", 4),
        ("MAKE", "jar", None, "cream", "C2", 2),
        ("MAKE", "oil", "O1", "cream", "C1", Decimal("0.666666")),
        ("MAKE", "oil", "O1", "cream", "C2", Decimal("0.333334")),
    ]


def test_a_cancellation_appends_edges_that_undo_those_of_the_making(floor: Floor) -> None:
    _make(floor)
    before = rows(floor.engine, MAKINGS)
    floor.cancel("MAKE", after(20))
    assert [each for each in rows(floor.engine, MAKINGS) if each[2] == "MAKE"] == before
    sums = "SELECT sum(quantity), count(*) FROM ledger.edges GROUP BY consumed_item, produced_batch"
    assert set(rows(floor.engine, sums)) == {(0, 2)}


def test_a_movement_that_makes_nothing_leaves_nothing_there(floor: Floor) -> None:
    floor.tell(movement("delivery", goes("oil", 1, batch="O1"), id="D", at=after(10)))
    assert rows(floor.engine, MAKINGS) == []
    assert rows(floor.engine, GOODS) == []


def test_nobody_changes_what_the_ledger_says_was_made(floor: Floor) -> None:
    _make(floor)
    for statement in ("UPDATE ledger.making SET whole = 9", "DELETE FROM ledger.making", "TRUNCATE ledger.making"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), floor.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_a_making_that_waited_for_its_goods_is_noted_when_it_is_posted_and_once(floor: Floor) -> None:
    (receipt,) = floor.gate.accepted(movement("purchase_receipt", comes("oil", 3, batch="O9"), id="R9"))
    made = comes("cream", 3, batch="C9", rate=None)
    (making,) = floor.gate.accepted(movement("repack", goes("oil", 3, batch="O9"), made, id="P9", at=after(10)))
    deliver(floor.engine, making)
    assert rows(floor.engine, MAKINGS) == []
    deliver(floor.engine, receipt)
    assert [each[-1] for each in rows(floor.engine, EDGES)] == [3]
    deliver(floor.engine, making)
    assert len(rows(floor.engine, MAKINGS)) == 2
    assert inputs([making])


# --- at the gate ------------------------------------------------------------------------------------------------------


def _descendants(engine: Engine, item: str, batch: str) -> list[Recalled]:
    with transaction(engine) as connection:
        found = descendants(connection, COMPANY, [Recalled(item, Tracking.BATCH, batch)])
    return [each.goods for each in found if each.made]


def test_the_gate_knows_what_was_accepted_before_anybody_posts_it(floor: Floor) -> None:
    made = [comes("cream", 2, batch="C1", rate=None), comes("dust", 1, scrap=True, rate="1")]
    pumps = comes("pump", serials="P8,P9", rate=None)
    floor.gate.accept(
        movement("manufacture", goes("oil", 1, batch="O1"), *made, id="M1", at=after(10)),
        movement("repack", goes("cream", 2, batch="C1"), pumps, comes("box", 1, batch="X", rate=None), id="M2",
                 at=after(20)),
    )  # fmt: skip
    assert _descendants(floor.engine, "oil", "O1") == [
        ("box", Tracking.BATCH, "X"),
        ("cream", Tracking.BATCH, "C1"),
        ("dust", Tracking.NONE, ""),
        ("pump", Tracking.SERIAL, "P8"),
        ("pump", Tracking.SERIAL, "P9"),
    ]
    assert _descendants(floor.engine, "oil", "O2") == []
    assert rows(floor.engine, MAKINGS) == []


def test_what_was_made_of_an_untracked_product_is_no_descendant(floor: Floor) -> None:
    floor.gate.accept(
        movement("manufacture", goes("oil", 1, batch="O1"), comes("dust", 1, rate="1"), id="M1", at=after(10)),
        movement("repack", goes("dust", 1), comes("box", 1, batch="X", rate=None), id="M2", at=after(20)),
    )
    assert _descendants(floor.engine, "oil", "O1") == [("dust", Tracking.NONE, "")]


def test_batches_that_went_into_each_other_are_descendants_of_each_other_and_the_search_ends(floor: Floor) -> None:
    floor.gate.accept(
        movement("repack", goes("oil", 3, batch="O1"), comes("box", 3, batch="X", rate=None), id="M1", at=after(10)),
        movement("repack", goes("box", 2, batch="X"), comes("oil", 2, batch="O1", rate=None), id="M2", at=after(20)),
    )
    assert _descendants(floor.engine, "oil", "O1") == [("box", Tracking.BATCH, "X")]
    assert _descendants(floor.engine, "box", "X") == [("oil", Tracking.BATCH, "O1")]


def test_what_was_made_of_a_batch_of_units_is_what_was_made_of_them(floor: Floor) -> None:
    floor.gate.define("batch", company=COMPANY, item="motor", batch="MB")
    floor.gate.accept(
        movement("purchase_receipt", comes("motor", serials="M1,M2", batch="MB"), id="R6"),
        movement("repack", goes("motor", serials="M2"), comes("pump", serials="P7", rate=None), id="M1", at=after(20)),
    )
    assert _descendants(floor.engine, "motor", "MB") == [("pump", Tracking.SERIAL, "P7")]


def test_a_cancelled_making_has_made_nothing(floor: Floor) -> None:
    _make(floor)
    assert _descendants(floor.engine, "oil", "O1") == [("cream", Tracking.BATCH, "C1"), ("cream", Tracking.BATCH, "C2")]
    floor.cancel("MAKE", after(20))
    assert _descendants(floor.engine, "oil", "O1") == []
    assert rows(floor.engine, GOODS) == []


# --- what was made before it was kept ---------------------------------------------------------------------------------


def test_what_was_made_before_is_filled_by_the_migrations_as_it_would_have_been_written(
    floor: Floor, postgres: str
) -> None:
    _make(floor)
    floor.cancel("MAKE", after(20))
    shared = [comes("cream", 5, batch="C3", rate=None, share="1"), comes("cream", 7, batch="C4", rate=None, share="2")]
    taken = [goes("oil", 3, batch="O2"), goes("oil", 3, batch="O1"), goes("pump", serials="P1,P2")]
    made = [*shared, comes("motor", serials="M7,M8", rate=None), comes("dust", 3, scrap=True, rate="1")]
    floor.tell(movement("manufacture", *taken, *made, id="SHARED", at=after(30)))
    with servers.fresh_database(postgres) as url, opened(url) as engine:
        _migrate(engine, lambda each: each.service in LAST and each.name[:4] < LAST[each.service])
        for table in ("receiving.movement", "receiving.cancelled", "ledger.entry"):
            _copy(floor.engine, engine, table)
        _migrate(engine, lambda each: each.name[:4] == LAST.get(each.service))
        assert rows(engine, GOODS) == rows(floor.engine, GOODS)
        assert rows(engine, MAKINGS) == rows(floor.engine, MAKINGS)
        assert len(rows(engine, MAKINGS)) == 4 + 4 + 7
        assert rows(engine, EDGES) == rows(floor.engine, EDGES)


def _migrate(engine: Engine, chosen: Callable[[Migration], bool]) -> None:
    with transaction(engine) as connection:
        for each in migrations():
            if chosen(each):
                connection.exec_driver_sql(each.text.replace("%", "%%"))


def _copy(source: Engine, target: Engine, table: str) -> None:
    """Put the rows of a table of one database into that of another one, as far as it has the columns."""
    schema, name = table.split(".")
    names = "SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = ('{}', '{}')"
    there = {each for (each,) in rows(target, names.format(schema, name))}
    with source.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings().all()
    with transaction(target) as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for row in found:
            kept: dict[str, Any] = {key: value for key, value in row.items() if key in there}
            marks = ", ".join(f"%({key})s" for key in kept)
            connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", kept)


# --- random histories -------------------------------------------------------------------------------------------------

HELD_EDGES = """
SELECT DISTINCT edges.consumed_item, coalesce(took.serial, consumed_batch), produced_item,
    coalesce(made.serial, produced_batch)
FROM ledger.edges
LEFT JOIN ledger.entry_serial AS took ON (took.company, took.entry_id) = (edges.company, edges.consumed_entry)
LEFT JOIN ledger.entry_serial AS made ON (made.company, made.entry_id) = (edges.company, edges.produced_entry)
WHERE NOT EXISTS (SELECT FROM ledger.cancelled WHERE cancelled.id = edges.id OR cancelled.by_id = edges.id)
"""
Named = tuple[str, str | None]


def _below(edges: list[tuple[Named, Named]], start: Named) -> set[Named]:
    """All that something went into: edge by edge, again and again."""
    found = {start}
    while new := {far for near, far in edges if near in found and near[1] is not None} - found:
        found |= new
    return found


def _agree(engine: Engine, goods: list[Goods]) -> int:
    """Trace and gate find below each of the goods what the edges say, and all balances hold; how many edges."""
    edges = [((a, b), (c, d)) for a, b, c, d in rows(engine, HELD_EDGES)]
    for each in goods:
        start = (each.item, each.batch or each.serial)
        expected = _below(edges, start)
        with transaction(engine) as connection:
            hold_still(connection)
            found = trace(connection, Start(COMPANY, [each]), list(Way), Limits())
        below = {(one.item, one.batch or one.serial) for one in found.walks[Way.DOWN].depths}
        above = {(one.item, one.batch or one.serial) for one in found.walks[Way.UP].depths}
        assert below == expected
        assert above == {start} | _below([(far, near) for near, far in edges], start)
        assert [one for one, balance in found.balances.items() if not balance.holds] == []
        if each.batch is not None:
            known = {(one.item, one.number or None) for one in _descendants(engine, each.item, each.batch)}
            assert known == expected - {start}
    return len(edges)


def _work(engine: Engine, gate: Gate, asked: list[bytes]) -> None:
    told = gate.send(*asked)
    deliver(engine, *(decoded(each) for each in told if each.kind == MOVEMENT_ALLOCATED))
    revalue_all(engine, 5)


@pytest.mark.parametrize("seed", range(4))
def test_of_goods_that_are_told_late_trace_and_gate_find_what_the_edges_say(engine: Engine, seed: int) -> None:
    gate, days = Gate(engine), Days(Random(seed), seed)
    define_shop(gate, *days.goods())
    for _ in range(25):
        _work(engine, gate, events(days.next_set()))
    batches = [Goods(f"cream-{seed}", batch) for batch in BATCHES]
    units = [Goods(f"phone-{seed}", serial=f"S{seed}-{number:02d}") for number in range(1, 8)]
    assert _agree(engine, [*batches, *units]) > 0


@pytest.mark.parametrize("seed", range(3))
def test_of_units_some_of_which_is_cancelled_trace_and_edges_agree(engine: Engine, seed: int) -> None:
    gate, random = Gate(engine), Random(seed)
    units = Units(random, seed)
    define_shop(gate, {"item": units.item, "tracking": "serial", "warranty_days": WARRANTY})
    asked: list[str] = []
    for _ in range(40):
        following = units.next()
        if units.take(following):
            asked.append(following.id)
        _work(engine, gate, events([following]))
        if random.random() < 0.3 and asked:
            cancelling = units.cancellation(random.choice(asked[-4:]))
            units.take(cancelling)
            _work(engine, gate, events([cancelling]))
    found = rows(engine, "SELECT DISTINCT item, serial FROM ledger.entry_serial")
    _agree(engine, [Goods(item, serial=serial) for item, serial in found])
    assert rows(engine, "SELECT FROM ledger.cancelled LIMIT 1")
