"""Workers of the ledger that meet: in every order of commits nothing is lost, nothing is done twice, nothing deadlocks.

The facts about PostgreSQL on which the order of the ledger's statements rests come first. No sweep runs unless a test
runs it.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from queue import Empty, SimpleQueue
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from services.ledger import store
from services.ledger.decide.posting import stamps_of
from services.ledger.handlers import post_allocated, service
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_POSTED
from shared.db import open_engine, query, run, transaction
from shared.service import Output
from tests.builders import (
    COMPANY,
    PATIENCE,
    SOURCE,
    Receiving,
    Session,
    bodies,
    carry_out,
    chain,
    deliver,
    follow,
    inputs,
    join,
    leg,
    names,
    posting,
    rows,
    told,
    transfer,
    until_blocked,
)

BIN = (COMPANY, "tea", "north")
KEY = (SOURCE, "M1")


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def sweep(engine: Engine) -> list[Output]:
    """Sweep once; what is told of movements."""
    told = [output for step in service().sweeps for output in carry_out(engine, "ledger", step)]
    return [each for each in told if each.kind == MOVEMENT_POSTED]


def waiting(engine: Engine) -> list[str]:
    return [name for (name,) in rows(engine, "SELECT id FROM ledger.waiting ORDER BY id")]


# --- facts about PostgreSQL ------------------------------------------------------------------------------------------


def blocked_by(
    engine: Engine, pool: ThreadPoolExecutor, first: Callable[[Connection], object], then: Callable[[Connection], Any]
) -> Any:
    """What `then` returns, whose first statement waits for a transaction that did `first` and then commits."""
    with engine.connect() as one:
        with one.begin():
            first(one)
            result = pool.submit(lambda: _in_transaction(engine, then))
            until_blocked(engine)
        return result.result(PATIENCE)


def _in_transaction(engine: Engine, work: Callable[[Connection], Any]) -> Any:
    with transaction(engine) as connection:
        return work(connection)


def insert_bin(connection: Connection) -> None:
    store.create_bins(connection, [BIN])


def insert_waiter(connection: Connection, name: str = "M2", stamp: int = 2) -> None:
    insert = "INSERT INTO ledger.waiting_stamp VALUES (:company, :item, :warehouse, :stamp, :source, :id)"
    company, item, warehouse = BIN
    run(connection, insert, company=company, item=item, warehouse=warehouse, stamp=stamp, source=SOURCE, id=name)


def test_an_update_from_two_matching_rows_touches_a_row_once(engine: Engine) -> None:
    with transaction(engine) as connection:
        insert_bin(connection)
        run(connection, "UPDATE ledger.bin SET last_stamp = last_stamp + 1 FROM (VALUES (1), (2)) AS twice (n)")
    assert rows(engine, "SELECT last_stamp FROM ledger.bin") == [(1,)]


def test_a_locking_read_that_waited_sees_the_bin_as_it_is_but_only_the_next_statement_sees_the_waiter(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    with transaction(engine) as connection:
        insert_bin(connection)

    def advance(connection: Connection) -> None:
        run(connection, "UPDATE ledger.bin SET last_stamp = 1")
        insert_waiter(connection)

    joined = """
        SELECT b.last_stamp, w.id FROM ledger.bin AS b
        LEFT JOIN ledger.waiting_stamp AS w USING (company, item, warehouse) FOR NO KEY UPDATE OF b
    """

    def look(connection: Connection) -> object:
        together = [tuple(row) for row in query(connection, joined)]
        return together, [tuple(row) for row in query(connection, joined)]

    assert blocked_by(engine, pool, advance, look) == ([(1, None)], [(1, "M2")])


def test_the_ledgers_own_lock_sees_the_newest_stamp_and_the_statement_behind_it_the_newest_waiter(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    with transaction(engine) as connection:
        insert_bin(connection)

    def advance(connection: Connection) -> None:
        run(connection, "UPDATE ledger.bin SET last_stamp = 1, quantity = 7")
        insert_waiter(connection)

    def look(connection: Connection) -> object:
        state = store.lock_bins(connection, [BIN])
        return state.last_stamps, state.bins[BIN].quantity, store.waiters_within(connection, state.last_stamps)

    assert blocked_by(engine, pool, advance, look) == ({BIN: 1}, 7, {(SOURCE, "M2"): {BIN: 2}})


def test_an_insert_that_waited_and_did_nothing_does_not_see_the_row_but_the_next_statement_does(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    insert = "INSERT INTO ledger.outbox VALUES ('till', 'M1', 'kind', 'body') ON CONFLICT DO NOTHING RETURNING id"
    both = f"WITH added AS ({insert}) SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM ledger.outbox)"

    def look(connection: Connection) -> object:
        together = [tuple(row) for row in query(connection, both)]
        return together, len(query(connection, "SELECT FROM ledger.outbox"))

    assert blocked_by(engine, pool, lambda connection: run(connection, insert), look) == ([(0, 0)], 1)


def test_a_locking_read_misses_a_bin_that_is_created_while_it_waits(engine: Engine, pool: ThreadPoolExecutor) -> None:
    other = (COMPANY, "tea", "south")
    with transaction(engine) as connection:
        insert_bin(connection)

    def create(connection: Connection) -> None:
        store.lock_bins(connection, [BIN])
        store.create_bins(connection, [other])

    def look(connection: Connection) -> object:
        first = store.lock_bins(connection, [BIN, other])
        return set(first.bins), set(store.lock_bins(connection, [BIN, other]).bins)

    assert blocked_by(engine, pool, create, look) == ({BIN}, {BIN, other})


# --- two workers, every order of their commits -----------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations((0, 1))))
@pytest.mark.parametrize("follows", ["at once", "after both commits"])
def test_a_waiting_join_is_released_whichever_of_its_predecessors_commits_last(
    engine: Engine, pool: ThreadPoolExecutor, order: tuple[int, int], follows: str
) -> None:
    movements = join(Receiving())
    assert deliver(engine, movements[2]) == []
    sessions = [Session(engine, posting(each), pool).hold() for each in movements[:2]]
    outputs: list[Output] = []
    committed = []
    for number in order:
        committed.append(sessions[number].commit())
        if follows == "at once":
            outputs += follow(engine, committed.pop())
    for handled in committed:
        outputs += follow(engine, handled)
    assert bodies(outputs) == told(movements)
    assert names(outputs).count("M3") == 1
    assert waiting(engine) == []


@pytest.mark.parametrize("order", list(permutations((0, 1))))
def test_a_join_that_comes_while_its_predecessors_are_uncommitted_is_applied_by_itself(
    engine: Engine, pool: ThreadPoolExecutor, order: tuple[int, int]
) -> None:
    movements = join(Receiving())
    sessions = [Session(engine, posting(each), pool).hold() for each in movements[:2]]
    joining = Session(engine, posting(movements[2]), pool)
    until_blocked(engine)
    outputs = [output for number in order for output in follow(engine, sessions[number].commit())]
    outputs += follow(engine, joining.hold().commit())
    assert bodies(outputs) == told(movements)
    assert waiting(engine) == []


@pytest.mark.parametrize("order", list(permutations((0, 1))))
def test_predecessors_that_come_while_a_join_decides_to_wait_release_it(
    engine: Engine, pool: ThreadPoolExecutor, order: tuple[int, int]
) -> None:
    movements = join(Receiving())
    joining = Session(engine, posting(movements[2]), pool).hold()
    sessions = [Session(engine, posting(each), pool) for each in movements[:2]]
    until_blocked(engine, 2)
    outputs = follow(engine, joining.commit())
    for session in sessions:
        session.hold()
    outputs += [output for number in order for output in follow(engine, sessions[number].commit())]
    assert bodies(outputs) == told(movements)
    assert waiting(engine) == []


def test_two_workers_that_release_the_same_movement_apply_it_once(engine: Engine, pool: ThreadPoolExecutor) -> None:
    movements = join(Receiving())
    deliver(engine, movements[2])
    looks = [Session(engine, posting(each), pool).hold().commit().then for each in movements[:2]]
    assert looks[0] is not None
    assert looks[1] is not None
    releases = [Session(engine, look, pool).hold().commit().then for look in looks if look]
    assert releases[0] is not None
    assert releases[1] is not None
    first = Session(engine, releases[0], pool).hold()
    second = Session(engine, releases[1], pool)
    until_blocked(engine)
    assert names(first.commit().outputs) == ["M3"]
    nothing = second.hold().commit()
    assert (nothing.outputs, nothing.then) == ([], None)
    assert rows(engine, "SELECT count(*) FROM ledger.entry") == [(4,)]


def test_a_movement_given_to_two_workers_is_told_by_the_second_when_the_first_dies_after_its_commit(
    engine: Engine, pool: ThreadPoolExecutor
) -> None:
    movement = Receiving().movement(leg(1, 3))
    first = Session(engine, posting(movement), pool).hold()
    second = Session(engine, posting(movement), pool)
    until_blocked(engine)
    first.commit()
    assert bodies(second.hold().commit().outputs) == told([movement])
    assert rows(engine, "SELECT count(*) FROM ledger.entry") == [(1,)]


# --- deaths ----------------------------------------------------------------------------------------------------------


def test_a_death_between_commit_and_release_is_repaired_by_one_sweep(engine: Engine) -> None:
    movements = chain(Receiving())
    deliver(engine, *movements[1:])
    with transaction(engine) as connection:
        handled = post_allocated(inputs(movements[:1]), connection)
    # The worker dies here: what follows is never carried out, and the redelivered input finds its key taken.
    assert handled.then is not None
    assert names(deliver(engine, movements[0])) == ["M1"]
    assert waiting(engine) == ["M2", "M3", "M4"]

    outputs = [*handled.outputs, *sweep(engine)]
    assert bodies(outputs) == told(movements)
    assert waiting(engine) == []
    assert sweep(engine) == []


def test_a_death_between_the_commit_of_a_release_and_its_publishing_is_repaired_from_the_outbox(engine: Engine) -> None:
    movements = join(Receiving())
    deliver(engine, movements[2])
    deliver(engine, movements[0])
    with transaction(engine) as connection:
        look = post_allocated(inputs(movements[1:2]), connection).then
    assert look is not None
    with transaction(engine) as connection:
        apply = look(connection).then
    assert apply is not None
    with transaction(engine) as connection:
        assert names(apply(connection).outputs) == ["M3"]

    assert names(deliver(engine, movements[2])) == ["M3"]
    assert names(sweep(engine)) == ["M3"]
    assert rows(engine, "SELECT FROM ledger.outbox") == []


def test_a_sweep_leaves_waiting_what_is_not_next(engine: Engine) -> None:
    movements = chain(Receiving())
    deliver(engine, *movements[2:])
    assert sweep(engine) == []
    assert waiting(engine) == ["M3", "M4"]


# --- many workers ----------------------------------------------------------------------------------------------------

WORKERS, HOT, COUNT, DOUBLES = 8, 6, 600, 60


def a_busy_day(chance: random.Random) -> list[MovementAllocated]:
    """Receipts, issues and transfers among a few bins, in stamp order."""
    receiving = Receiving()
    places = [f"w{number}" for number in range(HOT)]
    movements = [receiving.movement(*(leg(10_000, 12_345, warehouse=place) for place in places))]
    for _ in range(COUNT - 1):
        source, target = chance.sample(places, 2)
        legs = {
            "in": [leg(chance.randint(1, 9), chance.randint(0, 99), warehouse=source)],
            "out": [leg(-chance.randint(1, 9), warehouse=source)],
            "move": transfer(chance.randint(1, 9), source, target),
        }[chance.choice(["in", "out", "move"])]
        movements.append(receiving.movement(*legs))
    return movements


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_workers_make_the_entries_of_one_without_a_gap_and_without_a_deadlock(
    engine: Engine, pool: ThreadPoolExecutor, seed: int
) -> None:
    chance = random.Random(seed)
    movements = a_busy_day(chance)
    arriving = movements + chance.sample(movements, DOUBLES)
    chance.shuffle(arriving)
    frames: SimpleQueue[list[MovementAllocated]] = SimpleQueue()
    while arriving:
        size = chance.randint(1, 12)
        frames.put(arriving[:size])
        arriving = arriving[size:]
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    before = rows(engine, deadlocks)

    # A transaction that has to be repeated fails the test: with one order of locks for all there is none.
    workers = [pool.submit(_work, engine, frames) for _ in range(WORKERS)]
    outputs = [output for worker in workers for output in worker.result(60)]

    assert bodies(outputs) == told(movements)
    stamps = "SELECT warehouse, array_agg(DISTINCT stamp ORDER BY stamp), max(last_stamp) FROM ledger.entry"
    for _, taken, last in rows(engine, f"{stamps} JOIN ledger.bin USING (company, item, warehouse) GROUP BY 1"):
        assert taken == list(range(1, last + 1))
    assert rows(engine, "SELECT count(*) FROM ledger.movement WHERE outputs IS NOT NULL") == [(COUNT,)]
    assert waiting(engine) == []
    assert rows(engine, "SELECT FROM ledger.outbox") == []
    assert sweep(engine) == []
    engine.dispose()
    assert rows(engine, deadlocks) == before


Blocking = Callable[[Connection, Sequence[MovementAllocated]], object]


def key_taken(connection: Connection, movements: Sequence[MovementAllocated]) -> None:
    store.add_movements(connection, movements)


def bin_created(connection: Connection, movements: Sequence[MovementAllocated]) -> None:
    store.create_bins(connection, [key for each in movements for key in stamps_of(each)])


def bin_locked(connection: Connection, movements: Sequence[MovementAllocated]) -> None:
    store.lock_bins(connection, [key for each in movements for key in stamps_of(each)])


@pytest.mark.parametrize("blocking", [key_taken, bin_created, bin_locked])
def test_workers_in_the_same_rows_that_another_holds_up_halfway_never_deadlock(
    engine: Engine, pool: ThreadPoolExecutor, blocking: Blocking
) -> None:
    # Whoever takes rows in an order of its own has some that the others want by the time that it goes on.
    receiving = Receiving()
    sets = [[receiving.movement(leg(1, 1, warehouse=f"w{number}")) for number in range(50)] for _ in range(6)]
    if blocking is key_taken:
        sets = sets[:1] * 6
    if blocking is bin_locked:
        _in_transaction(engine, lambda connection: bin_created(connection, sets[0]))
    with engine.connect() as holding:
        blocking(holding, sets[0][25:26])
        sessions: list[Session] = []
        for movements in sets:
            sessions.append(Session(engine, posting(*movements), pool))
            until_blocked(engine, len(sessions))
        holding.rollback()
    for session in sessions:
        session.let_go()
    outputs = [output for session in sessions for output in follow(engine, session.commit())]
    distinct = {each.id: each for movements in sets for each in movements}
    assert bodies(outputs) == told(list(distinct.values()))


def _work(engine: Engine, frames: "SimpleQueue[list[MovementAllocated]]") -> list[Output]:
    outputs: list[Output] = []
    while True:
        try:
            outputs += deliver(engine, *frames.get_nowait())
        except Empty:
            return outputs
