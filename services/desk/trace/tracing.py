"""A trace, put together: walks from where it starts, and what is known of all that they found."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from services.desk.trace.balance import Balance, balances
from services.desk.trace.goods import Event, Goods, Key, Kind, Way
from services.desk.trace.reading import Batch, Books, Movement, Unit
from services.desk.trace.starting import Start
from services.desk.trace.walking import Limits, Walk, walk
from shared.db import run

# A trace may take many looks: all of them at one moment, and none for ever.
_HOLD_STILL = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BE_PATIENT = "SET LOCAL statement_timeout = '120s'"
# Everything is looked up by its key. Of how much a step finds the server knows little, and it may well be that it would
# rather read a large table from end to end. Sums need no order either.
_LOOK_UP = """
SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
SET LOCAL enable_sort = off
"""


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found from a start: the walks by way, balances of all goods that can be told apart, and their records.

    `returned`: what came back, by goods and the entry by which they had left; `delivered`: the entries of deliveries.
    """

    start: Start
    as_of: datetime | None
    limits: Limits
    walks: Mapping[Way, Walk]
    balances: Mapping[Goods, Balance]
    movements: Mapping[Key, Movement]
    batches: Mapping[Goods, Batch]
    units: Mapping[Goods, Unit]
    stock_units: Mapping[str, str]
    in_transit: Collection[str]
    returned: Mapping[tuple[Goods, str], Sequence[Event]] = field(default_factory=dict)
    delivered: Collection[str | None] = ()

    def returns_of(self, event: Event) -> Sequence[Event]:
        """What came back of what went out by an event."""
        return self.returned.get((event.goods, event.entry), ()) if event.kind is Kind.DELIVERED else ()

    def is_told_with(self, event: Event) -> bool:
        """Whether it brought back what another event, which was found too, had taken out."""
        return event.kind is Kind.RETURNED and event.original in self.delivered


def hold_still(connection: Connection) -> None:
    """Let a transaction that has read nothing yet see all as it is now."""
    for statement in (_HOLD_STILL, _BE_PATIENT, _LOOK_UP):
        run(connection, statement)


def trace(
    connection: Connection, start: Start, ways: Sequence[Way], limits: Limits, as_of: datetime | None = None
) -> Trace:
    """Follow goods these ways, up to what took effect at a moment (None: whatever did)."""
    books = Books(connection, start.company, as_of)
    walks = {way: walk(start.goods, way, limits, books) for way in ways}
    found = list(dict.fromkeys(goods for each in walks.values() for goods in each.depths))
    tracked = [goods for goods in found if goods.is_tracked]
    events = [event for each in walks.values() for own in each.events.values() for event in own]
    down = [event for own in walks[Way.DOWN].events.values() for event in own] if Way.DOWN in walks else []
    return Trace(
        start,
        as_of,
        limits,
        walks,
        balances(tracked, books.sums(tracked), books.on_hand(tracked)),
        books.movements([*start.keys, *(event.key for event in events)]),
        books.batches(tracked),
        books.units(tracked),
        books.stock_units(goods.item for goods in found),
        books.in_transit(),
        _returned(down),
        {event.entry for event in down if event.kind is Kind.DELIVERED},
    )


def _returned(events: Sequence[Event]) -> dict[tuple[Goods, str], list[Event]]:
    """What came back of goods, by the entry by which they had left."""
    returned: dict[tuple[Goods, str], list[Event]] = {}
    for event in events:
        if event.kind is Kind.RETURNED and event.original is not None:
            returned.setdefault((event.goods, event.original), []).append(event)
    return returned
