"""What an explanation reads, and how it comes about.

The one idea: entries are append-only, and whatever an entry came from takes effect before it; so a plain reading of the
bins in the order of time tells it, without locks. As corrections may be added meanwhile, all of it is read as it was at
one moment. What was cancelled has no part in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from services.ledger.decide.explaining.causes import causes_of
from services.ledger.decide.explaining.entries import histories, related
from services.ledger.decide.explaining.parts import Part
from services.ledger.decide.explaining.recorded import Addition, Recorded
from services.ledger.decide.explaining.tree import Limits, Node, grow, root
from services.ledger.decide.revaluing import Position
from services.ledger.decide.state import Key
from services.ledger.store.archive import Archive
from services.ledger.store.retracing import Retracing
from services.ledger.store.revaluing import movements_of
from services.ledger.store.rows import KEYS, fetch
from shared.contracts.movement import MovementAllocated
from shared.db import columns, run
from shared.errors import StockbookError

_HOLD_STILL = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
# Between two statements there may be much to reckon.
_BE_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
_CANCELLED_BY = f"SELECT by_source, by_id FROM ledger.cancelled WHERE (source, id) IN (SELECT * FROM {KEYS})"
_ACCEPTED = """
SELECT source, id FROM receiving.accepted
JOIN unnest(cast(:recorded_at AS timestamptz[])) AS told (recorded_at) USING (recorded_at)
WHERE company = (SELECT :company) AND effective_at <= :until
"""


@dataclass(frozen=True, slots=True)
class Caused:
    """What was added to an entry at one time, and the movements that may have made it necessary; as a rule one."""

    addition: Addition
    causes: Sequence[MovementAllocated]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A movement, and where the value of each of its entries came from.

    `entries` has every entry that is named, also those that the movement returns or revalues. `later` are the landed
    costs that have revalued one of the movement's entries, by that one; `steps` how such an entry came to what it is
    told to be now, where that is not what was posted. `cancelled_by` and `mirrors` are movements that it was cancelled
    by, and cancels: both count for nothing, so they came from nowhere. `provisional` are the bins, by item and
    warehouse, of which some that is told here is still to be valued anew, and from when on.
    """

    movement: MovementAllocated
    entries: Mapping[str, Recorded]
    roots: Sequence[Node]
    later: Mapping[str, Sequence[Recorded]]
    steps: Mapping[str, Sequence[Caused]]
    cancelled_by: MovementAllocated | None
    mirrors: MovementAllocated | None
    provisional: Mapping[tuple[str, str], datetime]


def hold_still(connection: Connection) -> None:
    """Let a transaction that has read nothing yet see the books as they are at one moment, whoever changes them."""
    run(connection, _HOLD_STILL)


def explain(connection: Connection, key: Key, limits: Limits) -> Explanation:
    """Where the value of a movement's entries came from. StockbookError where it was not accepted.

    While the ledger is at work, in a transaction that holds still.
    """
    run(connection, _BE_PATIENT)
    movement = movements_of(connection, [key]).get(key)
    if movement is None:
        raise StockbookError("no such movement was accepted", source=key[0], id=key[1])
    archive = Archive(connection, movement.company)
    archive.learn(movement)
    roots = [root(entry, archive.known) for entry in archive.entries_of(movement)]
    cancelled_by, mirrors = _cancelled_by(connection, key), _mirrored(connection, movement)
    if cancelled_by or mirrors:
        for each in roots:
            each.closed = False
    else:
        _grow(connection, archive, roots, movement, limits)
    archive.read_entries(node.part.entry for each in roots for node in each.walk() if node.part.entry)
    archive.read_entries(leg.original for leg in movement.legs if leg.original)
    return Explanation(
        movement,
        archive.known.entries,
        roots,
        _later(archive, roots),
        _steps(connection, archive, roots, movement),
        cancelled_by,
        mirrors,
        _provisional(archive),
    )


def _grow(
    connection: Connection, archive: Archive, roots: Sequence[Node], movement: MovementAllocated, limits: Limits
) -> None:
    known, retracing = archive.known, Retracing(connection, movement.company, archive)

    def read(parts: Sequence[Part]) -> None:
        archive.read_with_movements(part.entry for part in parts if part.entry)
        archive.read_with_movements(each for part in parts for each in related(part, known))
        retracing.read({each for part in parts for each in histories(part, known)} - known.told.keys())

    grow(roots, known, movement.digits, limits, read)


def _later(archive: Archive, roots: Sequence[Node]) -> dict[str, list[Recorded]]:
    later: dict[str, list[Recorded]] = {}
    for each in archive.landed_on([node.part.entry for node in roots if node.part.entry]):
        later.setdefault(each.original or "", []).append(each)
    return later


# --- cancelled, and still to be valued anew --------------------------------------------------------------------------


def _cancelled_by(connection: Connection, key: Key) -> MovementAllocated | None:
    by = [(source, name) for source, name in fetch(connection, _CANCELLED_BY, **columns([key], "source id"))]
    return next(iter(movements_of(connection, by).values()), None)


def _mirrored(connection: Connection, movement: MovementAllocated) -> MovementAllocated | None:
    if movement.mirrors is None or movement.against is None:
        return None
    key = (movement.against.source, movement.against.id)
    return movements_of(connection, [key]).get(key)


def _provisional(archive: Archive) -> dict[tuple[str, str], datetime]:
    """The bins in which something that was read stands behind the place from which on they are to be valued anew."""
    last: dict[tuple[str, str], Position] = {}
    for each in archive.known.entries.values():
        key = (each.item, each.warehouse)
        last[key] = max(last.get(key, each.place), each.place)
    dirty = {key: archive.dirty_from(*key) for key in sorted(last)}
    return {key: begins[0] for key, begins in dirty.items() if begins is not None and last[key] > begins}


# --- how an entry came to what it is ---------------------------------------------------------------------------------


def _steps(
    connection: Connection, archive: Archive, roots: Sequence[Node], movement: MovementAllocated
) -> dict[str, list[Caused]]:
    """What was added to entries after they were posted, with what made it necessary."""
    told = [archive.known.entries[node.part.entry] for node in roots if node.part.entry]
    corrected = [each for each in told if len(each.additions) > 1]
    accepted = _accepted(connection, movement, [each for one in corrected for each in one.additions[1:]])
    around = [movement, *(each for each in archive.movements.values() if each is not movement)]
    return {
        each.entry: [
            Caused(each.additions[0], ()),
            *(Caused(addition, causes_of(addition, each, accepted, around)) for addition in each.additions[1:]),
        ]
        for each in corrected
    }


def _accepted(
    connection: Connection, movement: MovementAllocated, additions: Sequence[Addition]
) -> list[MovementAllocated]:
    """The movements that were accepted when something was added, and take effect no later than this one."""
    keys = {each.by for each in additions if each.by is not None}
    times = sorted({each.recorded_at for each in additions if each.by is None})
    if times:
        asked = {"company": movement.company, "until": movement.effective_at}
        rows = fetch(connection, _ACCEPTED, **asked, **columns([(each,) for each in times], "recorded_at"))
        keys |= {(source, name) for source, name in rows}
    return list(movements_of(connection, keys).values()) if keys else []
