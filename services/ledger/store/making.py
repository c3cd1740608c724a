"""Which entries a making consists of, and each product's piece of what it consumed: appended as it is posted.

A cancellation takes the pieces of what it undoes, whose rows stand here by then: both have stamps in the same bins.
"""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Connection

from services.ledger.decide.entries import Applied
from services.ledger.decide.making import made_by, makes
from shared.db import columns, copy, run

_COLUMNS = "company, source, id, entry_id, before, after, whole"
_UNDO = f"""
INSERT INTO ledger.making ({_COLUMNS})
SELECT given.company, given.source, given.id, given.entry_id, before, after, whole
FROM unnest(cast(:company AS text[]), cast(:source AS text[]), cast(:id AS text[]), cast(:entry_id AS uuid[]),
    cast(:of_source AS text[]), cast(:of_id AS text[]), cast(:original AS uuid[]))
    AS given (company, source, id, entry_id, of_source, of_id, original)
JOIN ledger.making AS undone ON (undone.company, undone.source, undone.id, undone.entry_id)
    = (given.company, given.of_source, given.of_id, given.original)
"""


def save_makings(connection: Connection, applied: Iterable[Applied]) -> None:
    """Note of what was made of what, as far as anything was."""
    concerned = [each for each in applied if makes(each.movement.mirrors or each.movement.purpose)]
    if not concerned:
        return
    made = [row for each in concerned if each.movement.mirrors is None for row in _made(each)]
    copy(connection, "ledger.making", _COLUMNS, made)
    undone = [row for each in concerned if each.movement.mirrors is not None for row in _undone(each)]
    if undone:
        run(connection, _UNDO, **columns(undone, "company source id entry_id of_source of_id original"))


def _made(applied: Applied) -> Iterator[Sequence[object]]:
    movement = applied.movement
    for each in made_by(movement, {entry.posted.entry for entry in applied.entries}):
        yield (movement.company, movement.source, movement.id, each.entry, *(each.piece or (None, None, None)))


def _undone(applied: Applied) -> Iterator[Sequence[object]]:
    movement, cancelled = applied.movement, applied.movement.against
    for entry in applied.entries:
        if cancelled is not None and entry.posted.original is not None and entry.posted.quantity:
            name = (movement.company, movement.source, movement.id, entry.posted.entry)
            yield (*name, cancelled.source, cancelled.id, entry.posted.original)
