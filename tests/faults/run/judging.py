"""What must hold when a fault is over and everything has come to rest, counted: lost, doubled, unbalanced, stuck.

It is read from the tables, from what stands in the queues, from what a queue of our own heard of `stock.events`, and
from what the load says that its movements change; none of the services is asked.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from services.desk.store import stock_values, unfinished
from shared.broker import Broker
from shared.broker.topology import EVENTS
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.registry import JOURNAL_POSTED, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.db import query, transaction
from shared.service import Key
from tests.faults.run.goods import UNFORESEEN, Shopping

WITNESS = "witness"
"""The queue that hears what is told of every movement."""
HEARD = (f"{OUTCOME_ACCEPTED}.#", f"{OUTCOME_REJECTED}.#", JOURNAL_POSTED)
LOST, DOUBLED, UNBALANCED, STUCK = "lost", "doubled", "unbalanced", "stuck"

# Each finds rows that must not be there; the first two columns name a movement where there are two.
_CHECKS: Mapping[str, Mapping[str, str]] = {
    LOST: {
        "accepted and not posted": (
            "SELECT source, id FROM receiving.allocated EXCEPT SELECT source, id FROM ledger.posted"
        ),
        "posted and not booked": (
            "SELECT source, id FROM ledger.posted EXCEPT SELECT source, id FROM accounting.movement"
        ),
        "of units, and not in aftercare": (
            "SELECT source, id FROM receiving.units_allocated EXCEPT SELECT source, id FROM aftercare.movement"
        ),
    },
    DOUBLED: {
        "booked twice": (
            "SELECT source, id FROM accounting.journal_entry WHERE revaluation IS NULL GROUP BY source, id "
            "HAVING count(*) > 1"
        ),
        "entered otherwise than allocated": """
            SELECT source, id, item, warehouse, asked, entered FROM (
                SELECT source, id, leg.item, leg.warehouse, sum(leg.quantity) AS asked FROM receiving.allocated
                CROSS JOIN LATERAL jsonb_to_recordset(cast(convert_from(allocated, 'UTF8') AS jsonb) -> 'legs')
                    AS leg (item text, warehouse text, quantity numeric, original text)
                GROUP BY source, id, leg.item, leg.warehouse
            ) AS allocated RIGHT JOIN (
                SELECT source, id, item, warehouse, sum(quantity) AS entered FROM ledger.entry
                GROUP BY source, id, item, warehouse
            ) AS posted USING (source, id, item, warehouse)
            WHERE coalesce(asked, 0) <> entered""",
        "a serial in two places": (
            "SELECT item, serial FROM ledger.serial GROUP BY company, item, serial HAVING count(*) > 1"
        ),
    },
    UNBALANCED: {
        "stamps with a gap": """
            WITH given AS (
                SELECT company, stamps.* FROM receiving.allocated CROSS JOIN LATERAL jsonb_to_recordset(
                    cast(convert_from(allocated, 'UTF8') AS jsonb) -> 'stamps')
                    AS stamps (item text, warehouse text, stamp bigint)
            )
            SELECT item, warehouse FROM receiving.stock FULL JOIN ledger.stock_balance USING (company, item, warehouse)
            LEFT JOIN (
                SELECT company, item, warehouse, count(*) AS movements, count(DISTINCT stamp) AS stamps,
                    max(stamp) AS highest
                FROM given GROUP BY company, item, warehouse
            ) AS counted USING (company, item, warehouse)
            WHERE (stock.last_stamp, stock_balance.last_stamp, stamps, highest)
                IS DISTINCT FROM (movements, movements, movements, movements)""",
        "a bin that is not its entries": """
            SELECT item, warehouse, stock.quantity, stock_balance.quantity, entries.quantity, stock_balance.value,
                entries.value
            FROM receiving.stock FULL JOIN ledger.stock_balance USING (company, item, warehouse)
            LEFT JOIN (
                SELECT company, item, warehouse, sum(quantity) AS quantity, sum(value) AS value
                FROM ledger.stock_ledger GROUP BY company, item, warehouse
            ) AS entries USING (company, item, warehouse)
            WHERE stock_balance.quantity IS DISTINCT FROM stock.quantity
                OR (stock_balance.quantity, stock_balance.value) IS DISTINCT FROM (entries.quantity, entries.value)""",
        "value that is still pending": "SELECT item, warehouse, pending FROM ledger.bin WHERE pending <> 0",
        "debits that are not credits": (
            "SELECT journal_entry FROM accounting.debit_credit GROUP BY journal_entry HAVING sum(debit) <> sum(credit)"
        ),
    },
    STUCK: {
        "a stuck bin": "SELECT item, warehouse, reason, left(error, 200) FROM ledger.stuck_bins",
        "waits at the gate": "SELECT source, id FROM receiving.waiting",
        "waits in the ledger": "SELECT source, id FROM ledger.waiting",
        "not told by receiving": "SELECT source, id FROM receiving.outbox",
        "not told by the ledger": "SELECT source, id FROM ledger.outbox",
        "not told by accounting": "SELECT source, id FROM accounting.outbox",
        "not told by aftercare": "SELECT source, id FROM aftercare.outbox",
        "waits in aftercare": "SELECT source, id FROM aftercare.waiting",
        "a replay of aftercare": "SELECT since FROM aftercare.replay",
        "a dirty bin": "SELECT item, warehouse FROM ledger.dirty",
        "a replay of the ledger": "SELECT since FROM ledger.replay",
        "a replay of accounting": "SELECT since FROM accounting.replay",
        "revalued and not booked": (
            "SELECT source, id FROM ledger.revalued EXCEPT SELECT source, id FROM accounting.movement"
        ),
        "a closing that is not locked": (
            "SELECT number FROM accounting.period WHERE through IS NOT NULL AND locked_at IS NULL AND ended_by IS NULL"
        ),
    },
}
_PARKED = " UNION ALL ".join(
    f"SELECT '{each}' AS service, source, id, reason, left(error, 200) FROM {each}.parked WHERE discarded_at IS NULL"
    for each in ("receiving", "ledger", "accounting", "aftercare")
)
_DONE = """
SELECT (SELECT count(*) FROM ledger.revaluation) AS pieces, (SELECT count(*) FROM accounting.movement) AS booked
"""
_STOCK = "SELECT item, warehouse, quantity FROM ledger.stock_balance"
_BOOKED = "SELECT source, id FROM accounting.journal_entry WHERE revaluation IS NULL"
_REFUSED = "SELECT source, id FROM receiving.movement WHERE allocated IS NULL"


@dataclass
class Verdict:
    """How much is wrong, and what it is: the first few of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, what: str, found: Sequence[object]) -> None:
        if found:
            self.counts[kind] += len(found)
            self.notes.append(f"{kind}: {what}: {len(found)}, such as {', '.join(map(str, found[:3]))}")

    @property
    def is_good(self) -> bool:
        return not self.counts.total()


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: a database, its queues, the load, and which reasons for parking belong to the fault."""

    engine: sa.Engine
    keys: Collection[Key]
    shopping: Shopping
    depths: Mapping[str, int]
    told: Mapping[str, Collection[str]]
    parkable: Collection[str] = ()


def judge(case: Case) -> Verdict:
    """Count what is lost, doubled, unbalanced and stuck."""
    verdict = Verdict()
    with transaction(case.engine) as connection:
        lost: set[tuple[Any, ...]] = {("unfinished", *key) for key in unfinished(connection, case.keys)}
        for what, statement in _CHECKS[LOST].items():
            lost |= {(what, *row) for row in query(connection, statement)}
        verdict.add(LOST, "not worked on to the end", sorted(lost))
        for kind in (DOUBLED, UNBALANCED, STUCK):
            for what, statement in _CHECKS[kind].items():
                verdict.add(kind, what, [tuple(row) for row in query(connection, statement)])
        values = [each for each in stock_values(connection) if each.stock != each.accounts]
        verdict.add(UNBALANCED, "stock is worth something else than its accounts", values)
        verdict.add(UNBALANCED, "a bin holds something else than was moved", _unforeseen(case, connection))
        parked = [tuple(row) for row in query(connection, _PARKED) if row.reason not in case.parkable]
        verdict.add(STUCK, "parked", parked)
        verdict.add(LOST, "not told", _untold(case, connection))
    waiting = [f"{queue} ({depth})" for queue, depth in case.depths.items() if depth and queue != WITNESS]
    verdict.add(STUCK, "a queue that is not empty", waiting)
    return verdict


def at_rest(engine: sa.Engine, keys: Collection[Key]) -> list[str]:
    """What is still to be done, in words, which change as long as any of it is; nothing, when all is at rest."""
    with transaction(engine) as connection:
        busy = [what for what, statement in _CHECKS[STUCK].items() if query(connection, f"{statement} LIMIT 1")]
        if busy:
            done = query(connection, _DONE)[0]
            return [*busy, f"{done.pieces} pieces valued anew, {done.booked} booked"]
        open_ends = len(unfinished(connection, keys))  # of hundreds of thousands that takes seconds
    return [f"{open_ends} unfinished"] * bool(open_ends)


def declare_witness(broker_url: str) -> None:
    """A queue that survives what happens, bound to what the services tell of every movement."""
    from kombu.connection import Connection

    with Connection(broker_url) as connection:
        channel: Any = connection.channel()
        channel.queue_declare(WITNESS, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
        for key in HEARD:
            channel.queue_bind(WITNESS, EVENTS, key)


def hear(broker: Broker) -> dict[str, set[str]]:
    """What was told of which movements: by type, their ids."""
    told: dict[str, set[str]] = {key.removesuffix(".#"): set() for key in HEARD}
    consumer = broker.consumer(WITNESS, 2_000)
    while deliveries := consumer.drain(2_000, 1.0):
        for each in deliveries:
            envelope = read_envelope(each.body)
            told[envelope.type] |= {_id(raw) for raw in raw_movements(envelope.data)}
        consumer.acknowledge(deliveries)
    consumer.close()
    return told


def _unforeseen(case: Case, connection: sa.Connection) -> list[object]:
    """Bins that hold something else than the movements that were booked bring there."""
    booked = [row.id for row in query(connection, _BOOKED)]
    expected = case.shopping.expected(booked)
    rows = query(connection, _STOCK)
    held = {(row.item, row.warehouse): int(row.quantity) for row in rows if row.item not in UNFORESEEN}
    places = sorted(held.keys() | expected.keys())
    return [
        (*place, held.get(place, 0), expected.get(place, 0))
        for place in places
        if held.get(place, 0) != expected.get(place, 0)
    ]


def _untold(case: Case, connection: sa.Connection) -> list[object]:
    """Movements of the load whose source never heard of them, or whose booking nobody heard of."""
    asked = set(case.keys)
    booked = {row.id for row in query(connection, _BOOKED) if (row.source, row.id) in asked}
    refused = {row.id for row in query(connection, _REFUSED) if (row.source, row.id) in asked}
    return [
        *_missing(JOURNAL_POSTED, booked, case.told),
        *_missing(OUTCOME_ACCEPTED, booked, case.told),
        *_missing(OUTCOME_REJECTED, refused, case.told),
    ]


def _missing(kind: str, names: Iterable[str], told: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    return [(kind, name) for name in sorted(set(names) - set(told[kind]))]


class _Named(msgspec.Struct):
    id: str


def _id(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=_Named).id
