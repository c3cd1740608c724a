"""What holds in the ledger at every commit, while workers meet and die: seen in one snapshot, taken again and again."""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue

import pytest
from sqlalchemy import Engine

from shared.contracts.movement import MovementAllocated
from shared.db import open_engine, transaction
from shared.outbox import remove
from shared.service import Output, Step
from tests.builders import bodies, posting, rows, told
from tests.integration.test_ledger_stamps import a_busy_day, sweep

WORKERS = 4
# One statement: one snapshot. Entries of a bin without a gap up to its last stamp; who waits, waits for later; whoever
# waits has no outputs, and whoever has outputs does not wait.
BROKEN = """
SELECT 'gap', warehouse FROM ledger.bin LEFT JOIN (
    SELECT company, item, warehouse, count(DISTINCT stamp) AS stamps, max(stamp) AS highest
    FROM ledger.entry GROUP BY company, item, warehouse
) AS entries USING (company, item, warehouse)
WHERE (coalesce(stamps, 0), coalesce(highest, 0)) <> (last_stamp, last_stamp)
UNION ALL
SELECT 'overtaken', id FROM ledger.waiting_stamp JOIN ledger.bin USING (company, item, warehouse)
WHERE stamp <= last_stamp
UNION ALL
SELECT 'waits and is posted, or neither', movement.id FROM ledger.movement LEFT JOIN ledger.waiting USING (source, id)
WHERE (outputs IS NULL) <> (waiting.id IS NOT NULL)
UNION ALL
SELECT 'waits without a stamp', id FROM ledger.waiting
WHERE (source, id) NOT IN (SELECT source, id FROM ledger.waiting_stamp)
"""


class DeathError(Exception):
    """A worker that dies."""


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database, max_overflow=8)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_at_every_commit_of_workers_that_meet_and_die_the_stamps_are_sound(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    movements = a_busy_day(chance)[:400]
    frames = shuffled(movements, chance)
    looks = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        workers = [pool.submit(work, engine, frames, random.Random(seed + each)) for each in range(WORKERS)]
        while not all(map(Future.done, workers)):
            assert rows(engine, BROKEN) == []
            looks += 1
            wait(workers, timeout=0.01)
    heard = [output for worker in workers for output in worker.result()]
    deaths = sum(each is None for each in heard)
    heard += sweep(engine)
    assert bodies([each for each in heard if each is not None]) == told(movements)
    assert rows(engine, BROKEN) == []
    assert rows(engine, "SELECT FROM ledger.waiting UNION ALL SELECT FROM ledger.outbox") == []
    assert looks > 5
    assert deaths > 5


def shuffled(movements: list[MovementAllocated], chance: random.Random) -> SimpleQueue[list[MovementAllocated]]:
    """In small sets, in any order, some twice."""
    arriving = movements + chance.sample(movements, 40)
    chance.shuffle(arriving)
    frames: SimpleQueue[list[MovementAllocated]] = SimpleQueue()
    for start in range(0, len(arriving), 6):
        frames.put(arriving[start : start + 6])
    return frames


def work(engine: Engine, frames: SimpleQueue[list[MovementAllocated]], chance: random.Random) -> list[Output | None]:
    """Work on sets until there are none; a set whose worker died is delivered again. None stands for a death."""
    heard: list[Output | None] = []
    while True:
        try:
            movements = frames.get_nowait()
        except Empty:
            return heard
        try:
            carry_out_or_die(engine, posting(*movements), chance, heard)
        except DeathError:
            heard.append(None)
            frames.put(movements)


def carry_out_or_die(engine: Engine, step: Step, chance: random.Random, heard: list[Output | None]) -> None:
    """As a worker does it, which may die before each commit, before each publication and before what follows."""
    following: Step | None = step
    while following is not None:
        with transaction(engine) as connection:
            handled = following(connection)
            die(chance)
        die(chance)
        heard += handled.outputs
        with transaction(engine) as connection:
            remove(connection, "ledger", handled.released)
        die(chance)
        following = handled.then


def die(chance: random.Random) -> None:
    if chance.random() < 0.05:
        raise DeathError
