"""Builders: movements as the services hand them on, with everything filled in that does not matter to a test.

`Receiving` numbers movements as the gate would, so that a test names only what moves. Behind it stands what carries
out a handler's steps as a worker would, and holds a transaction open for as long as a test wants it.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import Engine

from services.ledger.decide.posting import State, batches_of, post, stamps_of
from services.ledger.decide.state import landed_on_by, originals_of
from services.ledger.decide.valuation import Stock
from services.ledger.handlers import post_allocated
from services.ledger.handlers.revaluing import Revaluing
from shared.contracts.codec import write
from shared.contracts.movement import AllocatedCost, BinStamp, Leg, MovementAllocated
from shared.contracts.registry import MOVEMENT_ALLOCATED
from shared.contracts.stock import MovementPosted
from shared.db import columns, query, run, transaction
from shared.identity import derived_id
from shared.outbox import remove
from shared.purposes import Method, Role, Tracking
from shared.quantities import Money, Quantity, Rate
from shared.service import Handled, Input, Output, Step

COMPANY = "shop"
PATIENCE = 10.0
SOURCE = "till"
NEVER = datetime.min.replace(tzinfo=UTC)
MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)
ACCOUNTS: dict[Role, str] = {role: role.value for role in Role if role is not Role.STOCK}
Number = str | int | Decimal


def leg(
    quantity: Number,
    amount: Number | None = None,
    *,
    item: str = "tea",
    warehouse: str = "north",
    method: Method = Method.FIFO,
    batch: str | None = None,
    serials: Sequence[str] = (),
    line: int = 1,
    standard_rate: Number | None = None,
    arrives_from: int | None = None,
    share: Number | None = None,
    original: str | None = None,
    counted: Number | None = None,
    rate: Number | None = None,
) -> Leg:
    """One leg: below zero it leaves. A batch or serials say how the item is tracked."""
    tracking = Tracking.SERIAL if serials else Tracking.BATCH if batch else Tracking.NONE
    return Leg(
        line=line,
        item=item,
        warehouse=warehouse,
        quantity=Quantity(quantity),
        batch=batch,
        serials=list(serials),
        amount=None if amount is None else Money(amount),
        standard_rate=None if standard_rate is None else Rate(standard_rate),
        arrives_from=arrives_from,
        share=None if share is None else Quantity(share),
        original=original,
        counted=None if counted is None else Quantity(counted),
        rate=None if rate is None else Rate(rate),
        tracking=tracking,
        method=method,
        stock_account=f"stock {warehouse}",
    )


def transfer(
    quantity: Number,
    source: str,
    target: str,
    *,
    item: str = "tea",
    method: Method = Method.FIFO,
    batch: str | None = None,
    serials: Sequence[str] = (),
) -> list[Leg]:
    """The two legs of a transfer, for a movement of its own."""
    leaves = leg(-Decimal(quantity), item=item, warehouse=source, method=method, batch=batch, serials=serials)
    arrives = leg(quantity, item=item, warehouse=target, method=method, batch=batch, serials=serials, arrives_from=0)
    return [leaves, arrives]


class Receiving:
    """Numbers movements: the next id, the next stamp in each bin, a second later than the one before."""

    def __init__(self, company: str = COMPANY, source: str = SOURCE) -> None:
        self.company = company
        self.source = source
        self._stamps: Counter[tuple[str, str]] = Counter()
        self._count = 0

    def movement(
        self,
        *legs: Leg,
        purpose: str = "material_receipt",
        also: Sequence[tuple[str, str]] = (),
        costs: Sequence[AllocatedCost] = (),
    ) -> MovementAllocated:
        """The next movement; `also` are bins (item, warehouse) in which it only takes a stamp."""
        self._count += 1
        bins = sorted({(each.item, each.warehouse) for each in legs} | set(also))
        self._stamps.update(bins)
        at = MORNING + timedelta(seconds=self._count)
        return MovementAllocated(
            source=self.source,
            id=f"M{self._count}",
            company=self.company,
            currency="EUR",
            digits=2,
            purpose=purpose,
            posting_at=at,
            effective_at=at,
            recorded_at=at,
            posting_date=at.date(),
            stamps=[BinStamp(item=item, warehouse=place, stamp=self._stamps[item, place]) for item, place in bins],
            legs=list(legs),
            accounts=ACCOUNTS,
            additional_costs=list(costs),
        )


def entry_of(movement: MovementAllocated, place: int = 0) -> str:
    """The id of the ledger entry of a movement's leg."""
    return derived_id(movement.recorded_at, movement.source, movement.id, str(place))


def cost(amount: Number, spread: Literal["amount", "quantity", "share"] = "amount") -> AllocatedCost:
    """An additional cost."""
    return AllocatedCost(account="expenses_in_valuation", amount=Money(amount), spread=spread)


def join(receiving: Receiving) -> list[MovementAllocated]:
    """Two movements, each in a bin of its own, and one that comes after both."""
    both = [leg(-1, warehouse="a"), leg(-1, warehouse="b")]
    return [
        receiving.movement(leg(1, 3, warehouse="a")),
        receiving.movement(leg(1, 4, warehouse="b")),
        receiving.movement(*both),
    ]


def chain(receiving: Receiving) -> list[MovementAllocated]:
    """Movements each of which comes after the one before it, in another bin."""
    return [
        receiving.movement(leg(2, 5, warehouse="a")),
        receiving.movement(*transfer(2, "a", "b")),
        receiving.movement(*transfer(1, "b", "c")),
        receiving.movement(leg(-1, warehouse="c")),
    ]


def empty_ledger(movements: Iterable[MovementAllocated]) -> State:
    """The bins and batches of these movements, and what they name, before any of them."""
    known = list(movements)
    bins = {key for each in known for key in stamps_of(each)}
    batches = {key for each in known for key in batches_of(each)}
    return State(
        dict.fromkeys(bins, 0),
        {key: Stock() for key in bins},
        {key: Stock() for key in batches},
        dict.fromkeys(entry for each in known for entry in originals_of(each)),
        {key: [] for each in known for key, _ in landed_on_by(each)},
    )


def stored_ledger(movements: Iterable[MovementAllocated]) -> State:
    """The same as it is read from the tables: with what is known there of the time of each bin."""
    state = empty_ledger(movements)
    for key in state.bins:
        state.latest[key], state.revaluations[key], state.pieces[key] = NEVER, 0, 0
    return state


def posted(movements: Sequence[MovementAllocated]) -> list[MovementPosted]:
    """What the ledger tells of movements that it posts one after another, starting empty."""
    return [each.posted for each in post(movements, empty_ledger(movements)).applied]


def inputs(movements: Sequence[MovementAllocated]) -> list[Input]:
    """Movements as a handler is given them."""
    return [Input(each.source, MOVEMENT_ALLOCATED, each, write(each)) for each in movements]


def carry_out(engine: Engine, schema: str, step: Step) -> list[Output]:
    """Carry out a step and those that follow from it, as a worker whose broker always confirms; what was published."""
    published: list[Output] = []
    following: Step | None = step
    while following is not None:
        with transaction(engine) as connection:
            handled = following(connection)
        published += handled.outputs
        with transaction(engine) as connection:
            remove(connection, schema, handled.released)
        following = handled.then
    return published


def posting(*movements: MovementAllocated) -> Step:
    """The step in which the ledger posts a set."""
    return lambda connection: post_allocated(inputs(movements), connection)


def deliver(engine: Engine, *movements: MovementAllocated) -> list[Output]:
    """Have the ledger post a set, and what it releases; what was published."""
    return carry_out(engine, "ledger", posting(*movements))


_KEEP = """
INSERT INTO receiving.movement (source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome)
SELECT source, id, '', company, purpose, recorded_at, effective_at, allocated, ''
FROM unnest(cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:purpose AS text[]),
    cast(:recorded_at AS timestamptz[]), cast(:effective_at AS timestamptz[]), cast(:allocated AS bytea[]))
    AS given (source, id, company, purpose, recorded_at, effective_at, allocated)
ON CONFLICT (source, id) DO NOTHING
"""


def keep_allocated(engine: Engine, movements: Sequence[MovementAllocated]) -> None:
    """Let receiving have allocated movements: the ledger looks them up when it values something anew."""
    rows = [
        (each.source, each.id, each.company, each.purpose, each.recorded_at, each.effective_at, write(each))
        for each in movements
    ]
    names = "source id company purpose recorded_at effective_at allocated"
    with transaction(engine) as connection:
        run(connection, _KEEP, **columns(rows, names))


def revalue_next(size: int) -> Step:
    """A piece of valuing anew of at most this size, in the bin that is to be valued anew from the earliest time on."""
    return Revaluing(reach=size)(size)


def revalue_all(engine: Engine, size: int = 50) -> list[Output]:
    """Have the ledger value anew, in pieces of about this size, until nothing is left to; what was published."""
    published: list[Output] = []
    while rows(engine, "SELECT FROM ledger.dirty WHERE not_before <= now() LIMIT 1"):
        published += carry_out(engine, "ledger", revalue_next(size))
    return published


def follow(engine: Engine, handled: Handled) -> list[Output]:
    """Publish what a committed step left to publish, and carry out what follows."""
    return [*handled.outputs, *(carry_out(engine, "ledger", handled.then) if handled.then else [])]


def told(movements: Sequence[MovementAllocated]) -> dict[str, bytes]:
    """The messages that the ledger must send of movements, in whatever order they come, by id."""
    return {each.movement.id: write(each.posted) for each in post(movements, stored_ledger(movements)).applied}


def names(outputs: Sequence[Output]) -> list[str]:
    """The ids of movements, as they were published."""
    return [each.id for each in outputs]


def bodies(outputs: Sequence[Output]) -> dict[str, bytes]:
    """Messages by the id of their movement."""
    return {each.id: each.body for each in outputs}


def rows(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    """What a statement finds, in a transaction of its own."""
    with transaction(engine) as connection:
        return [tuple(row) for row in query(connection, statement)]


class Session:
    """A transaction in a thread: it carries out a step, then is held open until it is told to commit or to die."""

    def __init__(self, engine: Engine, step: Step, pool: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._decided = threading.Event()
        self._go = threading.Event()
        self._done: Future[Handled] = pool.submit(self._run, step)

    def hold(self) -> "Session":
        """Wait until the step is carried out."""
        assert self._decided.wait(PATIENCE), "the step was not carried out: it is blocked"
        return self

    def let_go(self) -> None:
        """Commit as soon as the step is carried out."""
        self._go.set()

    def commit(self) -> Handled:
        """Commit, and no more: what is to be published, and what follows, is the caller's."""
        self.let_go()
        return self._done.result(PATIENCE)

    def _run(self, step: Step) -> Handled:
        with transaction(self._engine) as connection:
            handled = step(connection)
            self._decided.set()
            assert self._go.wait(PATIENCE)
        return handled


def until_blocked(engine: Engine, sessions: int = 1) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + PATIENCE
    while rows(engine, blocked) != [(sessions,)]:
        assert time.monotonic() < deadline, "nobody is blocked"
        time.sleep(0.005)
