"""Builders for revaluations: what the ledger tells of them, and what it keeps of them in its tables."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import structs
from sqlalchemy import Engine

from shared.contracts.codec import write
from shared.contracts.registry import STOCK_REVALUED
from shared.contracts.stock import MovementPosted, PostedEntry, StockRevalued
from shared.db import run, transaction
from shared.service import Output
from tests.accounting_builders import NOON, posted, revaluation
from tests.builders import COMPANY

LATER = NOON + timedelta(days=1)
_STORE = """
INSERT INTO ledger.revaluation (source, id, company, item, warehouse, number, recorded_at, outputs)
VALUES (:source, :id, :company, :item, :warehouse, :number, :recorded_at, :outputs)
"""
_MAKE_DIRTY = """
INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at)
VALUES (:company, :item, :warehouse, :from_at, 1, :recorded_at)
"""
_MAKE_CLEAN = "DELETE FROM ledger.dirty WHERE warehouse = :warehouse"


def worth(identifier: str, purpose: str, *entries: PostedEntry, company: str = COMPANY) -> MovementPosted:
    """A posted movement, or what corrects one, whose entries have ids as the ledger gives them."""
    named = [structs.replace(each, entry=str(UUID(int=place))) for place, each in enumerate(entries, 1)]
    return structs.replace(posted(purpose, *named, identifier=identifier), company=company)


def revalued(number: int, *movements: MovementPosted, at: datetime = LATER, company: str = COMPANY) -> StockRevalued:
    """The revaluation of this number, recorded at this time."""
    known = revaluation(*movements)
    return structs.replace(known, id=f"tea/{number}", number=number, recorded_at=at, company=company)


def telling(known: StockRevalued) -> Output:
    """What the ledger sends of a revaluation."""
    return Output(STOCK_REVALUED, known.source, known.id, write(known))


def store(engine: Engine, *revaluations: StockRevalued) -> list[Output]:
    """Keep revaluations as the ledger does; what it sends of them."""
    with transaction(engine) as connection:
        for each in revaluations:
            fields = {name: getattr(each, name) for name in ("source", "id", "company", "item", "warehouse", "number")}
            run(connection, _STORE, **fields, recorded_at=each.recorded_at, outputs=write(each))
    return [telling(each) for each in revaluations]


def make_dirty(
    engine: Engine,
    warehouses: Iterable[str],
    since: datetime,
    from_at: datetime | None = None,
    company: str = COMPANY,
) -> None:
    """The bins of tea in these warehouses are to be valued anew, as is known since then; by default from then on."""
    with transaction(engine) as connection:
        for each in warehouses:
            names = {"company": company, "item": "tea", "warehouse": each}
            run(connection, _MAKE_DIRTY, **names, from_at=from_at or since, recorded_at=since)


def make_clean(engine: Engine, warehouse: str) -> None:
    """The bin of tea in this warehouse has been valued anew."""
    with transaction(engine) as connection:
        run(connection, _MAKE_CLEAN, warehouse=warehouse)
