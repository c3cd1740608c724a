"""Threads that value bins anew while another posts what is told late: nothing is overlooked, nobody waits in a circle.

A piece of work notes what hangs on it in bins whose locks it does not hold. So each test looks at what becomes of that
where somebody is at work in such a bin.
"""

import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy import Engine

from services.desk.pipeline import Pipeline
from shared.contracts.codec import decoder, read
from shared.contracts.movement import MovementAllocated
from shared.db import open_engine
from tests import servers
from tests.builders import Receiving, carry_out, deliver, entry_of, keep_allocated, leg, revalue_next, rows
from tests.faults import late
from tests.faults.undisturbed import Totals, in_order_of_stamps, totals
from tests.integration.test_pipeline import masters, opening, sent

ROUNDS = 3
WORKERS = 4
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
ENTRY_VALUE = "SELECT sum(value) FROM ledger.entry WHERE '{0}' IN (cast(entry_id AS text), cast(part_of AS text))"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database, max_overflow=WORKERS)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def accepted(postgres: str, empty_database: str) -> tuple[list[MovementAllocated], dict[str, Totals]]:
    """All that one gate accepts of a past and what is told late of it, and what that comes to in peace."""
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url, Pipeline(url) as shop:
        for events in (
            [*masters(), *opening(), *late.goods()],
            [sent(*late.past(ROUNDS))],
            map(sent, late.told_late(ROUNDS)),
        ):
            shop.publish(list(events))
            shop.settle()
        reader = decoder(MovementAllocated)
        allocated = rows(shop.engine, "SELECT allocated FROM receiving.allocated")
        return in_order_of_stamps(read(reader, bytes(body)) for (body,) in allocated), totals(shop.engine)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 9))])
def test_workers_that_value_anew_while_more_is_told_come_to_what_one_does_and_never_deadlock(
    engine: Engine, accepted: tuple[list[MovementAllocated], dict[str, Totals]], seed: int
) -> None:
    movements, in_peace = accepted
    names = [each["id"] for each in late.told_late(ROUNDS)]
    told_late = sorted((each for each in movements if each.id in names), key=lambda each: names.index(each.id))
    keep_allocated(engine, movements)
    deliver(engine, *(each for each in movements if each.id not in names))
    told = threading.Event()
    # A transaction that has to be repeated fails the test.
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(value_anew, engine, random.Random(seed * WORKERS + n), told) for n in range(WORKERS)]
        tell(engine, told_late, random.Random(seed))
        told.set()
        assert min(worker.result(60) for worker in workers) > 10
    come_to = totals(engine)
    assert {name: come_to[name] for name in ("stock", "ledger")} == {
        name: in_peace[name] for name in ("stock", "ledger")
    }
    assert rows(engine, "SELECT FROM ledger.bin WHERE pending <> 0") == []
    engine.dispose()
    assert rows(engine, DEADLOCKS) == [(0,)]


def value_anew(engine: Engine, chance: random.Random, told: threading.Event) -> int:
    """Do pieces of work until all is told and nothing is left; how many."""
    pieces = 0
    while True:
        is_last = told.is_set()
        if rows(engine, "SELECT FROM ledger.dirty LIMIT 1"):
            carry_out(engine, "ledger", revalue_next(chance.choice((1, 2, 5))))
            pieces += 1
        elif is_last:
            return pieces
        else:
            told.wait(0.005)


def tell(engine: Engine, movements: Sequence[MovementAllocated], chance: random.Random) -> None:
    """Post what is told late, some at a time, while there is something to be valued anew."""
    remaining = list(movements)
    while remaining:
        size = chance.randint(1, 3)
        deliver(engine, *remaining[:size])
        remaining = remaining[size:]
        threading.Event().wait(chance.uniform(0.0, 0.2))


def test_what_is_noted_of_a_bin_while_somebody_is_at_work_in_it_is_done_later(engine: Engine) -> None:
    """What was sold in the north came back to the south. It turns out to have been dearer while that is valued anew."""
    receiving = Receiving()
    bought = receiving.movement(leg(10, 10))
    early = receiving.movement(leg(1, 1, warehouse="south"))
    sold = receiving.movement(leg(-1), purpose="delivery")
    back = leg(1, warehouse="south", original=entry_of(sold))
    returned = receiving.movement(back, purpose="sales_return", also=[("tea", "north")])
    late_here = before(receiving.movement(leg(1, 9, warehouse="south")), early)
    late_there = before(receiving.movement(leg(1, 4)), bought)
    keep_allocated(engine, movements := [bought, early, sold, returned, late_here, late_there])
    deliver(engine, *movements[:-1])

    def value_there_anew(*executed: object) -> None:
        """Behind all that the one at work has read, and before it says that it is done."""
        if str(executed[2]).lstrip().startswith("DELETE FROM ledger.dirty") and not noted:
            noted.append(True)
            deliver(other, late_there)
            carry_out(other, "ledger", revalue_next(50))

    noted: list[bool] = []
    other = open_engine(engine.url.render_as_string(hide_password=False))
    sa.event.listen(engine, "before_cursor_execute", value_there_anew)
    while rows(engine, "SELECT FROM ledger.dirty"):
        carry_out(engine, "ledger", revalue_next(50))
    other.dispose()
    assert noted
    assert rows(engine, ENTRY_VALUE.format(entry_of(sold))) == [(-4,)]
    assert rows(engine, ENTRY_VALUE.format(entry_of(returned))) == [(4,)]


def before(movement: MovementAllocated, other: MovementAllocated) -> MovementAllocated:
    """The same, told late: it takes effect a moment before another."""
    at = other.effective_at - timedelta(milliseconds=1)
    return replace(movement, effective_at=at, posting_at=at)
