"""What was made of what, as far as the gate has accepted it: which goods went into a making, and which came out of it.

The one idea: a making stands between its goods, so it takes a row for each of them, and no row for each pair. Like all
that tells what *is*, it is written in the transaction that accepts the making, under the locks of its goods, and
deleted with what is cancelled: whoever holds a batch's lock sees all that was made of it, posted or not.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.recalls import Goods, Reached
from shared.contracts.movement import Leg, MovementAllocated
from shared.db import columns, copy, query, run
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO

_FORGET = "DELETE FROM receiving.making WHERE (company, source, id) = ((SELECT :company), :source, :id)"
# A batch of an item that is kept in serials is its units. UNION lets go of what was found before, so that it ends. Each
# step is a look-up by key (OFFSET 0), also where the planner knows nothing of a table that has just been filled.
_DESCENDANTS = """
WITH RECURSIVE begin (item, tracking, number) AS (
    SELECT * FROM unnest(cast(:item AS text[]), cast(:tracking AS text[]), cast(:number AS text[]))
), own (item, tracking, number) AS (
    SELECT item, 'serial', serial FROM receiving.serial
    WHERE company = (SELECT :company) AND (item, batch) IN (SELECT item, number FROM begin WHERE tracking = 'batch')
), descendant (item, tracking, number) AS (
    SELECT * FROM (SELECT * FROM begin UNION ALL SELECT * FROM own) AS start
    UNION
    SELECT made.item, made.tracking, made.number
    FROM descendant CROSS JOIN LATERAL (
        SELECT source, id FROM receiving.making AS took
        WHERE (took.company, took.item, took.tracking, took.number)
            = ((SELECT :company), descendant.item, descendant.tracking, descendant.number)
            AND took.number <> '' AND NOT took.produced
        OFFSET 0
    ) AS movement
    CROSS JOIN LATERAL (
        SELECT item, tracking, number FROM receiving.making AS came
        WHERE (came.company, came.source, came.id) = ((SELECT :company), movement.source, movement.id) AND came.produced
        OFFSET 0
    ) AS made
)
SELECT item, tracking, number, (item, tracking, number) NOT IN (SELECT * FROM own) AS made
FROM (SELECT * FROM descendant EXCEPT SELECT * FROM begin) AS found ORDER BY item, tracking, number
"""
_COLUMNS = "company, source, id, produced, item, tracking, number"


def descendants(connection: Connection, company: str, goods: Iterable[Goods]) -> list[Reached]:
    """The units of these batches, all that was made of these goods, of what was made of that, and so on; sorted.

    The goods themselves are none of them, also where they went into themselves. What was made of an untracked product
    nobody can tell: it ends the way.
    """
    rows = query(connection, _DESCENDANTS, company=company, **columns(list(goods), "item tracking number"))
    return [Reached(Goods(row.item, Tracking(row.tracking), row.number), row.made) for row in rows]


def save_makings(connection: Connection, accepted: Iterable[Accepted]) -> None:
    """Note what accepted makings took and made, and forget those that were cancelled."""
    made: list[Sequence[object]] = []
    for each in accepted:
        if each.undone is not None and _makes(each.undone):
            name = {"company": each.undone.company, "source": each.undone.source, "id": each.undone.id}
            run(connection, _FORGET, **name)
        elif each.undone is None and _makes(each.allocated):
            made += _rows(each.allocated)
    copy(connection, "receiving.making", _COLUMNS, made)


def _makes(movement: MovementAllocated) -> bool:
    return PURPOSES[movement.purpose].flow is Flow.MAKE


def _rows(movement: MovementAllocated) -> list[Sequence[object]]:
    """Each of the goods once on a side: they may stand in several lines."""
    legs = (leg for leg in movement.legs if leg.quantity and leg.corrects is None)
    goods = dict.fromkeys((leg.quantity > ZERO, leg.item, leg.tracking, number) for leg in legs for number in _of(leg))
    return [(movement.company, movement.source, movement.id, *each) for each in goods]


def _of(leg: Leg) -> Iterator[str]:
    if leg.tracking is Tracking.SERIAL:
        yield from leg.serials
    else:
        yield leg.batch or ""
