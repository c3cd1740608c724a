"""What movements come to in the end: in the ledger and in the journal, however they came to it.

Corrections depend on what was told when, and so on who was killed when. What they add up to does not: of each entry
its quantity and value with all that corrects it, of each movement what all of its journal entries book to an account
on a day. What was cancelled counts together with what cancelled it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Engine

from services.ledger.decide.posting import in_order, stamps_of
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_POSTED, STOCK_REVALUED
from shared.db import open_engine
from shared.service import Output
from tests.builders import carry_out, deliver, keep_allocated, revalue_all, rows
from tests.closing_builders import hearing

Totals = list[tuple[Any, ...]]

# Each entry with the one that it belongs to in the end.
_ROOTS = """
SELECT company, entry_id, item, warehouse, coalesce(batch, '') AS batch, quantity, value,
    CASE WHEN purpose = 'cancellation' THEN coalesce(part_of, original) ELSE coalesce(part_of, entry_id) END AS root
FROM ledger.entry
"""
_IN_LEDGER = f"""
SELECT cast(root AS text), item, warehouse, batch, sum(quantity), sum(value) FROM ({_ROOTS}) AS entries
GROUP BY 1, 2, 3, 4 HAVING sum(quantity) <> 0 OR sum(value) <> 0 ORDER BY 1
"""
# What is booked without an entry is a movement's money; that of a cancellation belongs to what it cancels.
_IN_JOURNAL = f"""
SELECT coalesce(owner.source, cancelled.source, booked.source), coalesce(owner.id, cancelled.id, booked.id),
    booked.posting_date, booked.account, sum(booked.debit - booked.credit)
FROM accounting.debit_credit AS booked
LEFT JOIN ({_ROOTS}) AS entries ON (entries.company, entries.entry_id) = (booked.company, booked.ledger_entry)
LEFT JOIN ledger.entry AS owner ON (owner.company, owner.entry_id) = (entries.company, entries.root)
LEFT JOIN ledger.cancelled ON (cancelled.by_source, cancelled.by_id) = (booked.source, booked.id)
GROUP BY 1, 2, 3, 4 HAVING sum(booked.debit) <> sum(booked.credit) ORDER BY 1, 2, 3, 4
"""
_STOCK = "SELECT item, warehouse, quantity, value FROM ledger.stock_balance ORDER BY item, warehouse"


def totals(engine: Engine) -> dict[str, Totals]:
    """What everything in a database comes to, where nothing is to be valued anew any more."""
    return {
        "stock": rows(engine, _STOCK),
        "ledger": rows(engine, _IN_LEDGER),
        "journal": rows(engine, _IN_JOURNAL),
    }


def undisturbed(database: str, movements: Sequence[MovementAllocated]) -> dict[str, Totals]:
    """The same of an empty database, after one ledger posted movements in order, valued anew, and all was booked."""
    engine = open_engine(database)
    try:
        keep_allocated(engine, movements)
        told = [*_post(engine, movements), *revalue_all(engine, 1_000)]
        for kind in (MOVEMENT_POSTED, STOCK_REVALUED):
            for portion in _portions([each for each in told if each.kind == kind], 100):
                carry_out(engine, "accounting", hearing(*portion))
        return totals(engine)
    finally:
        engine.dispose()


def in_order_of_stamps(movements: Iterable[MovementAllocated]) -> list[MovementAllocated]:
    """Movements in an order in which a ledger may post them, beginning with the first of each bin."""
    known = {(each.source, each.id): each for each in movements}
    order = in_order({key: stamps_of(each) for key, each in known.items()}, defaultdict(int))
    assert len(order) == len(known)
    return [known[key] for key in order]


def _post(engine: Engine, movements: Sequence[MovementAllocated]) -> Iterator[Output]:
    for portion in _portions(movements, 100):
        yield from deliver(engine, *portion)


def _portions(given: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(given), size):
        yield given[start : start + size]
