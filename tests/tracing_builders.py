"""A shop whose goods are made, sold, moved and returned, through gate and ledger; and what a trace tells of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine

from services.desk.cli.tracing import tell
from services.desk.trace.goods import Goods, Way
from services.desk.trace.starting import start_from_goods
from services.desk.trace.tracing import Trace, hold_still, trace
from services.desk.trace.walking import Limits
from shared.contracts.movement import MovementAllocated, MovementRequested, Reference
from shared.contracts.registry import MOVEMENT_ALLOCATED
from shared.db import transaction
from tests.builders import deliver, revalue_all
from tests.receiving_builders import Gate, after, comes, decoded, define_shop, events, goes, movement

BATCHED = {"tracking": "batch", "create_batches_on_receipt": True}
UNITS = {"tracking": "serial", "serial_series": "S-.##"}
BOTH = (Way.UP, Way.DOWN)


class Floor:
    """A gate and a ledger on one database; items are defined by how they are tracked."""

    def __init__(self, engine: Engine, **items: dict[str, Any]) -> None:
        self.engine = engine
        self.gate = Gate(engine)
        define_shop(self.gate, *({"item": name, **fields} for name, fields in items.items()))

    def tell(self, *asked: MovementRequested) -> list[MovementAllocated]:
        """Have movements accepted and posted, one after another."""
        found: list[MovementAllocated] = []
        for each in asked:
            told = self.gate.send(*events([each]))
            allocated = [decoded(one) for one in told if one.kind == MOVEMENT_ALLOCATED]
            assert allocated, [decoded(one) for one in told]
            deliver(self.engine, *allocated)
            revalue_all(self.engine)
            found += allocated
        return found

    def cancel(self, name: str, at: datetime) -> None:
        """Have a movement cancelled."""
        self.tell(movement("cancellation", id=f"{name}-X", at=at, against=Reference(id=name)))

    def trace(
        self,
        item: str,
        batch: str | None = None,
        serial: str | None = None,
        ways: Sequence[Way] = BOTH,
        limits: Limits | None = None,
        as_of: datetime | None = None,
    ) -> Trace:
        """The trace of a batch or of a unit."""
        with transaction(self.engine) as connection:
            hold_still(connection)
            start = start_from_goods(connection, item, batch=batch, serial=serial, company=None)
            return trace(connection, start, ways, limits or Limits(), as_of)

    def up(self, item: str, batch: str | None = None, **how: Any) -> list[str]:
        """Where something came from, in lines."""
        return lines(self.trace(item, batch, ways=[Way.UP], **how))

    def down(self, item: str, batch: str | None = None, **how: Any) -> list[str]:
        """Where something went, in lines."""
        return lines(self.trace(item, batch, ways=[Way.DOWN], **how))

    def balances(self, item: str, batch: str | None = None, **how: Any) -> list[str]:
        """The balances of all that a trace found."""
        told = tell(self.trace(item, batch, **how))
        return [text for branch in told if branch.text == "mass balance" for _, text in list(branch.lines())[1:]]


def made_cream(engine: Engine) -> Floor:
    """Oil came of two suppliers; cream was made of both, and of jars that nobody can tell apart."""
    floor = Floor(engine, oil=BATCHED, cream=BATCHED, box=BATCHED, jar={}, rest={}, motor=UNITS, pump=UNITS)
    floor.gate.define(
        "batch", company="shop", item="oil", batch="O1", supplier_batch="7/26", manufactured_on=date(2026, 1, 5)
    )
    floor.tell(
        movement("purchase_receipt", comes("oil", 6, batch="O1"), id="R1", document="bill 1", supplier="Rose Ltd"),
        movement("purchase_receipt", comes("oil", 4, batch="O2"), id="R2", supplier="Oil & Sons"),
        movement("opening_stock", comes("jar", 50), id="R3"),
        movement(
            "manufacture",
            goes("oil", 6, batch="O1"),
            goes("oil", 2, batch="O2"),
            goes("jar", 20),
            comes("cream", 16, batch="C1", rate=None),
            comes("rest", 4, scrap=True, rate="1"),
            id="MAKE",
            at=after(10),
        ),
    )
    return floor


def lines(found: Trace) -> list[str]:
    """A trace of one way as it is told, without where it starts, and without balances."""
    (start,) = found.start.goods
    own = tell(found)[0]
    assert own.text.startswith(found.start.goods[0].item), start
    return [f"{'  ' * (depth - 2)}{text}" for depth, text in own.lines() if depth >= 2]


def numbers(goods: Sequence[Goods] | set[Goods]) -> set[str]:
    """Batches and serials by their numbers, untracked goods by their items."""
    return {each.batch or each.serial or each.item for each in goods}
