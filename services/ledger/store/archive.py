"""What an explanation knows: ledger entries as they are told now, and the movements that made them.

The one idea: an entry and all that belongs to it are read together, once. What the ledger does not keep for itself (the
method, what arrives from where, given rates) stands in the movements as the gate allocated them.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import groupby

from sqlalchemy import Connection

from services.ledger.decide.explaining.entries import Known
from services.ledger.decide.explaining.recorded import Recorded, Row, as_it_is_now
from services.ledger.decide.revaluing import Position
from services.ledger.decide.state import Key, stamps_of
from services.ledger.store.revaluing import movements_of
from services.ledger.store.rows import BIN, bin_names, booked_amounts, fetch
from shared.contracts.movement import MovementAllocated
from shared.db import columns
from shared.errors import InvariantBroken
from shared.quantities import ZERO

_GIVEN = "unnest(cast(:company AS text[]), cast(:entry AS uuid[])) AS given (company, entry_id)"
# What a count finds later on is told by another movement: the count's own is that of its stamp.
_COUNTED = """
SELECT source, id FROM ledger.entry AS at
WHERE (at.company, at.item, at.warehouse) = (entry.company, entry.item, entry.warehouse)
    AND (at.effective_at, at.stamp, at.revaluation) = (entry.effective_at, entry.stamp, 0) AND at.part_of IS NULL
UNION ALL
SELECT source, id FROM ledger.silent AS at
WHERE (at.company, at.item, at.warehouse) = (entry.company, entry.item, entry.warehouse)
    AND (at.effective_at, at.stamp) = (entry.effective_at, entry.stamp)
LIMIT 1
"""
_LEGS = f"""
SELECT cast(given.entry_id AS text), cast(entry.entry_id AS text), entry.source, entry.id, purpose, line, item,
    warehouse, batch, effective_at, stamp, quantity, value, worth, posting_date, recorded_at, cast(original AS text),
    revaluation, true_up, counted.source, counted.id, cast(booked AS text)
FROM {_GIVEN} CROSS JOIN LATERAL (
    SELECT * FROM ledger.entry AS own WHERE (own.company, own.entry_id) = (given.company, given.entry_id)
    UNION ALL
    SELECT * FROM ledger.entry AS part WHERE (part.company, part.part_of) = (given.company, given.entry_id)
) AS entry
LEFT JOIN LATERAL ({_COUNTED}) AS counted ON entry.part_of IS NOT NULL AND entry.quantity <> 0
ORDER BY given.entry_id, revaluation, ordinal
"""
# A landed cost has no quantity; nor has what cancels it.
_LANDED_ON = f"""
SELECT cast(later.entry_id AS text) FROM {_GIVEN}
JOIN ledger.entry AS later ON (later.company, later.original) = (given.company, given.entry_id)
WHERE quantity = 0 AND purpose <> 'cancellation' AND NOT EXISTS (
    SELECT FROM ledger.cancelled WHERE (cancelled.source, cancelled.id) = (later.source, later.id))
ORDER BY recorded_at, stamp, revaluation
"""
_DIRTY_FROM = f"SELECT from_at, from_stamp FROM ledger.dirty WHERE {BIN} ORDER BY from_at, from_stamp LIMIT 1"


class Archive:
    """What was read of a company's entries and movements."""

    def __init__(self, connection: Connection, company: str) -> None:
        self.known = Known()
        self.movements: dict[Key, MovementAllocated] = {}
        self._connection = connection
        self._company = company
        self._dirty_from: dict[tuple[str, str], Position | None] = {}

    def learn(self, movement: MovementAllocated) -> None:
        """Take in a movement."""
        self.movements[movement.source, movement.id] = movement
        self.known.learn(movement)

    def entries_of(self, movement: MovementAllocated) -> list[str]:
        """Read the entries of a movement's legs that changed anything, in their order."""
        names = self.known.places[movement.source, movement.id]
        self.read_entries(names)
        return [each for each in names if each in self.known.entries]

    def read_entries(self, names: Iterable[str]) -> None:
        """Read entries, as far as they exist and are not known."""
        missing = set(names) - self.known.entries.keys()
        rows = fetch(self._connection, _LEGS, **self._named(missing)) if missing else ()
        found = [(Row._make([*row, booked_amounts(booked)]), (source, name)) for *row, source, name, booked in rows]
        for leg, group in groupby(found, key=lambda each: each[0].leg):
            told = list(group)
            rows_of_leg = [row for row, _ in told]
            if all(row.entry != leg for row in rows_of_leg):
                rows_of_leg.insert(0, self._nothing_posted(leg, *told[0]))
            self.known.entries[leg] = as_it_is_now(rows_of_leg)

    def read_with_movements(self, names: Iterable[str]) -> None:
        """Read entries with the movements that made them."""
        wanted = set(names)
        self.read_entries(wanted)
        self._read_movements({self.known.entries[each].key for each in wanted if each in self.known.entries})

    def landed_on(self, names: Collection[str]) -> list[Recorded]:
        """The entries of landed costs that revalued these, the oldest first."""
        rows = fetch(self._connection, _LANDED_ON, **self._named(names)) if names else ()
        later = [entry for (entry,) in rows]
        self.read_entries(later)
        return [self.known.entries[each] for each in later]

    def movement_of(self, entry: str) -> MovementAllocated:
        """The movement that made an entry, which was read with it."""
        return self.movements[self.known.entries[entry].key]

    def dirty_from(self, item: str, warehouse: str) -> Position | None:
        """The place in the time of a bin behind which it is still to be valued anew; None: all of it was."""
        key = (item, warehouse)
        if key not in self._dirty_from:
            rows = fetch(self._connection, _DIRTY_FROM, **bin_names((self._company, *key)))
            self._dirty_from[key] = next(((at, stamp) for at, stamp in rows), None)
        return self._dirty_from[key]

    def _read_movements(self, keys: Collection[Key]) -> None:
        for movement in movements_of(self._connection, set(keys) - self.movements.keys()).values():
            self.learn(movement)

    def _named(self, names: Iterable[str]) -> Mapping[str, str]:
        return columns([(self._company, name) for name in names], "company entry")

    def _nothing_posted(self, entry: str, added: Row, counted: tuple[str | None, str | None]) -> Row:
        """A leg that changed nothing when it was posted, and made no entry: there is only what was added later."""
        key = (counted[0] or added.source, counted[1] or added.id)
        self._read_movements([key])
        movement, leg = self.movements[key], self.known.legs.get(entry)
        if leg is None:
            raise InvariantBroken("an entry belongs to no leg of its movement", movement=key, entry=entry)
        stamp = stamps_of(movement)[self._company, leg.item, leg.warehouse]
        return Row(
            leg=entry,
            entry=entry,
            source=movement.source,
            id=movement.id,
            purpose=movement.purpose,
            line=leg.line,
            item=leg.item,
            warehouse=leg.warehouse,
            batch=leg.batch,
            effective_at=movement.effective_at,
            stamp=stamp,
            quantity=ZERO,
            value=ZERO,
            worth=ZERO,
            posting_date=movement.posting_date,
            recorded_at=movement.recorded_at,
            original=leg.original,
            revaluation=0,
            true_up=False,
            booked={},
        )
