"""Builders for replays: a history with all that makes one hard, and what has to be equal once it is told again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from services.accounting import handlers as accounting
from services.desk.events import Event, make_event, read_event
from services.desk.pipeline import Pipeline
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from shared.broker import Broker, EmbeddedBroker
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.db import open_engine
from shared.migrate import migrate
from shared.quantities import Rate
from shared.settings import Settings
from tests import commands, servers
from tests.builders import COMPANY, SOURCE, rows
from tests.integration.test_confluence import (
    BACK_DATED,
    TABLES,
    copied,
    declared,
    publish,
    shown,
    standing_still,
    work_off,
)
from tests.properties.histories import masters
from tests.properties.past_histories import History
from tests.receiving_builders import movement

LEFT_OVER = (
    *("ledger.waiting", "ledger.outbox", "ledger.stuck", "ledger.parked", "ledger.dirty", "ledger.replay"),
    *("accounting.outbox", "accounting.parked", "accounting.replay", "accounting.unnumbered"),
)
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LATER = datetime(2026, 3, 10, 6, tzinfo=UTC)
"""When all is recorded: so every day of it can be closed."""
FIRST_DAY = date(2026, 3, 2)
SECOND_DAY = date(2026, 3, 3)
DAY = timedelta(days=1)
QUICK = Settings(sweep_every=0.0, pause=0.01)

SAME_BYTES = TABLES | {
    "ledger.cancelled": "source, id",
    "ledger.silent": "company, item, warehouse, effective_at, stamp",
    "accounting.books": "company",
}
"""What comes back to the byte where nothing was told late, in the order of its key."""
CORRECTED_TOO = {
    "ledger.revaluation": "source, id",
    "ledger.checkpoint": "company, item, warehouse, effective_at, stamp",
}
# What a later count finds is told with the movement because of which it does, and corrected with the count; what was
# cancelled is worth what it was when it was, and so is its cancellation. So legs are named by the count, or by what was
# cancelled.
_LEGS = """
SELECT entry.*, coalesce(undoing.original, entry.part_of, entry.entry_id) AS leg FROM ledger.entry
LEFT JOIN ledger.entry AS undoing ON undoing.entry_id = coalesce(entry.part_of, entry.entry_id)
    AND undoing.purpose = 'cancellation'
"""
SAME_WORTH = {name: statement for name, statement in BACK_DATED.items() if name != "bookings"} | {
    "bins, to the last layer": """SELECT company, item, warehouse, last_stamp, quantity, worth, value, rate, pending,
        latest_at, cast(layers AS text), cast(shortages AS text) FROM ledger.bin""",
    "legs": f"""SELECT company, item, warehouse, batch, leg, sum(quantity), sum(value)
        FROM ({_LEGS}) AS entry GROUP BY 1, 2, 3, 4, 5 HAVING sum(quantity) <> 0 OR sum(value) <> 0""",
    "bookings": f"""SELECT debit_credit.posting_date, coalesce(whole.id, corrects_id, entry.id), account,
            sum(debit - credit)
        FROM accounting.debit_credit JOIN ({_LEGS}) AS entry ON entry.entry_id = ledger_entry
        LEFT JOIN ledger.entry AS whole ON whole.entry_id = leg
        LEFT JOIN ledger.corrections ON corrections.entry_id = entry.entry_id
        GROUP BY 1, 2, 3 HAVING sum(debit - credit) <> 0""",
    "accounts by day": """SELECT company, account, posting_date, sum(debit - credit) FROM accounting.debit_credit
        GROUP BY 1, 2, 3 HAVING sum(debit - credit) <> 0""",
    "what was posted at first": """SELECT company, entry_id, quantity, effective_at, recorded_at FROM ledger.entry
        WHERE revaluation = 0 AND NOT true_up""",
    "cancelled": "SELECT source, id, by_source, by_id FROM ledger.cancelled",
    "posted": "SELECT source, id, company, recorded_at FROM ledger.posted",
    "booked": "SELECT source, id, company, recorded_at FROM accounting.movement WHERE source <> 'ledger'",
    "locked": "SELECT company, locked_through, changes FROM accounting.books",
    "closings": """SELECT company, number, source, id, through, open_from, ended_by,
        locked_at IS NOT NULL OR ended_by > 0 FROM accounting.period""",
    "gaps in numbers": """SELECT company, year, count(*), max(number) FROM accounting.journal_number
        GROUP BY 1, 2 HAVING count(*) <> max(number)""",
}
"""What is equal however often something was valued anew on the way."""


@dataclass
class Till:
    """Tells histories to a pipeline, at times that go on."""

    pipeline: Pipeline
    random: Random
    receipts: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def masters(self, histories: Sequence[History]) -> None:
        items = [{"company": COMPANY, **each} for history in histories for each in history.goods()]
        events = [make_event("item.defined.v1", SOURCE, each, f"item {each['item']}") for each in items]
        self.send([*masters(patience=0, lateness=60), *events])

    def send(self, events: Sequence[Event]) -> None:
        """Have them worked on, and perhaps some of what is to be valued anew."""
        self.pipeline.publish(events)
        for _ in range(self.random.randint(1, 4)):
            self.pipeline.turn()

    def day(self, histories: Sequence[History], sets: int, day: timedelta) -> None:
        for _ in range(sets):
            asked = [self._moved(each, day) for history in histories for each in history.next_set()]
            self.send([make_event(MOVEMENT_REQUESTED, SOURCE, each) for each in asked])
            self.told += [each.id for each in asked]
            self.receipts += [each.id for each in asked if each.purpose == "purchase_receipt" and not day]

    def _moved(self, asked: MovementRequested, day: timedelta) -> MovementRequested:
        """The same on another day, at other rates."""
        return structs.replace(
            asked, posting_at=asked.posting_at + day, lines=[self._priced(each) for each in asked.lines]
        )

    def _priced(self, line: RequestedLine) -> RequestedLine:
        return line if line.rate is None else structs.replace(line, rate=Rate(f"{self.random.randint(50, 400) / 100}"))

    def land(self, count: int, day: timedelta) -> None:
        """What receipts cost besides, known on another day."""
        at = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + day + timedelta(hours=20)
        for number, of in enumerate(self.random.sample(self.receipts, count)):
            data = {"id": f"{of} cost {number} {day.days}", "company": COMPANY, "purpose": "landed_cost"}
            costs = [{"amount": f"{self.random.randint(1, 900) / 100}"}]
            more = {"posting_at": at.isoformat(), "against": {"id": of}, "additional_costs": costs}
            self.send([make_event(MOVEMENT_REQUESTED, SOURCE, {**data, **more, "lines": [{"against_line": 1}]})])

    def cancel(self, count: int, day: timedelta) -> None:
        at = datetime.combine(FIRST_DAY, datetime.min.time(), UTC) + day + timedelta(hours=21)
        for of in self.random.sample(self.told, count):
            asked = movement("cancellation", id=f"not {of}", at=at, against={"id": of})
            self.send([make_event(MOVEMENT_REQUESTED, SOURCE, asked)])

    def close(self, through: date, name: str) -> None:
        """Close the books, without waiting for what is to be valued anew before."""
        data = {"company": COMPANY, "through": through.isoformat(), "actor": "ann", "reason": "the day is over"}
        self.send([make_event("period.closed.v1", SOURCE, data, name)])

    def reopen(self, day: date, name: str) -> None:
        data = {"company": COMPANY, "open_from": day.isoformat(), "actor": "bob", "reason": "an invoice came late"}
        self.send([make_event("period.reopened.v1", SOURCE, data, name)])


def told_late(url: str, seed: int, histories: int = 4, sets: int = 10) -> None:
    """Two days told out of order, with costs, cancellations, counts, a reopened month and days that stay locked."""
    random = Random(seed)
    with Pipeline(url, clock=clock(), settings=QUICK) as pipeline:
        till = Till(pipeline, random)
        of = [History(random, number) for number in range(histories)]
        till.masters(of)
        till.day(of, sets, timedelta())
        till.land(3, timedelta())
        till.cancel(8, timedelta())
        pipeline.settle()
        till.close(FIRST_DAY, "close 1")
        till.day(of, sets // 2, DAY)
        till.land(3, DAY)
        pipeline.settle()
        till.reopen(FIRST_DAY, "reopen 1")
        till.day(of, 2, timedelta())
        pipeline.settle()
        till.close(FIRST_DAY, "close 2")
        till.day(of, sets // 2, DAY)
        till.land(3, DAY)
        till.cancel(8, DAY)
        pipeline.settle()
        for _ in range(3):
            pipeline.turn()


def clock() -> Callable[[], datetime]:
    """A clock that goes on with each look at it."""
    moments = (LATER + timedelta(milliseconds=number) for number in count())
    return lambda: next(moments)


def examples(url: str) -> None:
    """Both shops of the examples, to the end of the month."""
    with Pipeline(url, settings=QUICK) as pipeline:
        for file in sorted(EXAMPLES.glob("*/*.jsonl"), key=lambda each: each.name):
            pipeline.publish([read_event(line, "desk", LATER) for line in file.read_bytes().splitlines() if line])
            pipeline.settle()
        for _ in range(3):
            pipeline.turn()


def in_order(url: str, events: Sequence[Event]) -> None:
    """A day that nothing is told late of."""
    with Pipeline(url, clock=clock(), settings=QUICK) as pipeline:
        pipeline.publish([*masters(patience=0)])
        pipeline.settle()
        for start in range(0, len(events), 40):
            pipeline.publish(events[start : start + 40])
            pipeline.settle()


@contextmanager
def lost(server: str, url: str, *schemas: str) -> Iterator[str]:
    """A copy of a database that has lost these schemas, and has them again as the migrations make them: empty."""
    with servers.fresh_database(server, template=sa.make_url(url).database) as copy:
        with opened(copy) as engine:
            with engine.begin() as connection:
                for each in schemas:
                    connection.exec_driver_sql(f"DROP SCHEMA {each} CASCADE")
                    connection.exec_driver_sql(f"DELETE FROM public.stockbook_migration WHERE service = '{each}'")
            assert migrate(engine)
        yield copy


@contextmanager
def opened(url: str) -> Iterator[sa.Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def bytes_of(url: str, tables: Mapping[str, str] = SAME_BYTES) -> dict[str, list[str]]:
    """All rows of these tables, as COPY tells them."""
    with opened(url) as engine:
        return {table: copied(engine, f"SELECT * FROM {table} ORDER BY {key}") for table, key in tables.items()}


def worth_of(url: str) -> dict[str, list[str]]:
    """What everything is worth, at each time, in each account and leg."""
    with opened(url) as engine:
        return {name: sorted(map(shown, rows(engine, statement))) for name, statement in SAME_WORTH.items()}


def counted(url: str, statement: str) -> Any:
    with opened(url) as engine:
        return rows(engine, f"SELECT count(*) FROM {statement}")[0][0]


def changed(url: str, *statements: str) -> None:
    """Do what no trigger lets anybody do."""
    with opened(url) as engine, engine.begin() as connection:
        for each in ("SET LOCAL session_replication_role = replica", *statements):
            connection.exec_driver_sql(each)


class Works:
    """The three services on a database, worked one after the other, and what lies between them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.broker: Broker = declared(EmbeddedBroker())

    def receive(self, events: Sequence[Event]) -> None:
        publish(self.broker, [each.message() for each in events])
        work_off(partial(receiving.service, standing_still), self.broker, self.url)

    def post(self) -> None:
        work_off(ledger.service, self.broker, self.url)

    def book(self) -> None:
        work_off(accounting.service, self.broker, self.url)

    def lose(self, queue: str) -> int:
        """What lies in a queue is gone; how many messages that were."""
        consumer = self.broker.consumer(queue, 0)
        taken = consumer.drain(100_000, 0.0)
        consumer.acknowledge(taken)
        consumer.close()
        return len(taken)


def replay(url: str, *arguments: str, broker_url: str | None = None) -> str:
    return commands.told("replay", *arguments, env=environment(url, broker_url))


def environment(url: str, broker_url: str | None = None) -> dict[str, str]:
    broker = {"STOCKBOOK_BROKER_URL": broker_url} if broker_url else {}
    return commands.environment(STOCKBOOK_DATABASE_URL=url, **broker)


def assert_at_rest(url: str) -> None:
    assert {table: counted(url, table) for table in LEFT_OVER} == dict.fromkeys(LEFT_OVER, 0)
