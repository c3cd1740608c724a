"""What an explanation reads: entries, the movements that made them as they were allocated, and the history of bins.

The one idea: entries are append-only, and whatever an entry came from was posted before it; so plain reads without
locks tell the same whenever they are done. What the ledger does not keep for itself (the method, what arrives from
where, given rates) stands in the movements as the gate allocated them.
"""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from sqlalchemy import Connection

from services.ledger.decide.explaining.bins import Step, retrace
from services.ledger.decide.explaining.entries import Known, Recorded, histories, related
from services.ledger.decide.explaining.parts import Part
from services.ledger.decide.explaining.serials import SerialStep, retrace_serials
from services.ledger.decide.explaining.tree import Limits, Node, grow, root
from services.ledger.decide.state import Key, stamps_of
from services.ledger.store.rows import KEYS, fetch
from shared.contracts.codec import decoder, read
from shared.contracts.movement import Leg, MovementAllocated
from shared.db import columns, run
from shared.errors import StockbookError
from shared.purposes import PURPOSES, Flow, Tracking
from shared.quantities import ZERO, rate_of

# Between two statements there may be much to reckon.
_BE_PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"
_MOVEMENTS = f"SELECT source, id, allocated FROM receiving.allocated WHERE (source, id) IN (SELECT * FROM {KEYS})"
_COLUMNS = """
cast(entry_id AS text), source, id, purpose, line, item, warehouse, batch, stamp, ordinal, quantity, value, worth,
posting_date, recorded_at, cast(original AS text), cast(booked AS text)
"""
_ENTRIES = f"""
SELECT {_COLUMNS} FROM ledger.entry
WHERE (company, entry_id) IN (SELECT * FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])))
"""
_OF_MOVEMENT = f"""
SELECT {_COLUMNS} FROM ledger.entry
WHERE (company, item, warehouse, stamp) IN (SELECT * FROM unnest(
    cast(:company AS text[]), cast(:item AS text[]), cast(:warehouse AS text[]), cast(:stamp AS bigint[])))
ORDER BY ordinal
"""
_CORRECTIONS = f"""
SELECT {_COLUMNS} FROM ledger.entry
WHERE quantity = 0 AND (company, original) IN (
    SELECT * FROM unnest(cast(:company AS text[]), cast(:entry AS uuid[])))
ORDER BY recorded_at, stamp, ordinal
"""
# The account of a truing up is the only one that it was booked to.
_BIN = """
SELECT stamp, cast(entry_id AS text), purpose, quantity, worth, cast(original AS text),
    quantity < 0 AND quantity_after < 0,
    CASE WHEN quantity = 0 THEN booked ->> 0 END
FROM ledger.entry
WHERE (company, item, warehouse) = (:company, :item, :warehouse) AND stamp <= :stamp
    AND (cast(:batch AS text) IS NULL OR batch = :batch)
ORDER BY stamp, ordinal
"""
_SERIALS = """
SELECT serial, cast(entry_id AS text), purpose, quantity, cost
FROM unnest(cast(:serial AS text[])) AS wanted (serial)
JOIN ledger.entry_serial USING (serial) JOIN ledger.entry USING (company, item, entry_id)
WHERE (company, item, warehouse) = (:company, :item, :warehouse) AND stamp <= :stamp
ORDER BY stamp, ordinal
"""

_movements = decoder(MovementAllocated)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A movement, and where the value of each of its entries came from.

    `entries` has every entry that is named, also those that the movement returns or revalues. `later` are the entries
    that have corrected one of the movement's since, by that one.
    """

    movement: MovementAllocated
    entries: Mapping[str, Recorded]
    roots: Sequence[Node]
    later: Mapping[str, Sequence[Recorded]]


@dataclass(frozen=True, slots=True)
class _Place:
    """A bin, or a batch in it, and how what leaves there is valued."""

    item: str
    warehouse: str
    batch: str | None
    method: str


@dataclass(frozen=True, slots=True)
class _Row:
    """An entry among the others of its bin."""

    stamp: int
    entry: str
    purpose: str
    quantity: Decimal
    worth: Decimal
    original: str | None
    is_short: bool
    account: str | None

    @property
    def is_lowered(self) -> bool:
        return self.quantity == 0 and PURPOSES[self.purpose].flow is Flow.WRITE_DOWN


def explain(connection: Connection, key: Key, limits: Limits) -> Explanation:
    """Where the value of a movement's entries came from. StockbookError where it was not accepted."""
    run(connection, _BE_PATIENT)
    movements = _movements_of(connection, [key])
    if not movements:
        raise StockbookError("no such movement was accepted", source=key[0], id=key[1])
    movement = movements[0]
    archive = _Archive(connection, movement.company)
    archive.learn(movement)
    roots = [root(entry, archive.known) for entry in archive.entries_of(movement)]
    grow(roots, archive.known, movement.digits, limits, archive.read_for)
    archive.read_entries(node.part.entry for each in roots for node in each.walk() if node.part.entry)
    archive.read_entries(leg.original for leg in movement.legs if leg.original)
    later: dict[str, list[Recorded]] = {}
    for each in archive.corrections([node.part.entry for node in roots if node.part.entry]):
        later.setdefault(each.original or "", []).append(each)
    return Explanation(movement, archive.known.entries, roots, later)


class _Archive:
    """What was read of a company's entries and movements."""

    def __init__(self, connection: Connection, company: str) -> None:
        self.known = Known()
        self._connection = connection
        self._company = company
        self._movements: dict[Key, MovementAllocated] = {}
        self._read_steps: dict[_Place, tuple[Sequence[int], Sequence[Step]]] = {}

    def learn(self, movement: MovementAllocated) -> None:
        """Take in a movement."""
        self._movements[movement.source, movement.id] = movement
        self.known.learn(movement)

    def entries_of(self, movement: MovementAllocated) -> list[str]:
        """Read the entries that a movement made, in their order."""
        stamps = [(*key, stamp) for key, stamp in stamps_of(movement).items()]
        names = "company item warehouse stamp"
        return [each.entry for each in self._recorded(_OF_MOVEMENT, **columns(stamps, names))]

    def read_for(self, parts: Sequence[Part]) -> None:
        """Read all that opening parts takes."""
        self._read_with_movements(part.entry for part in parts if part.entry)
        self._read_with_movements(each for part in parts for each in related(part, self.known))
        asked = {each for part in parts for each in histories(part, self.known)}
        self._read_histories(asked - self.known.told.keys())

    def read_entries(self, names: Iterable[str]) -> None:
        """Read entries, as far as they exist and are not known."""
        missing = set(names) - self.known.entries.keys()
        if missing:
            self._recorded(_ENTRIES, **self._named(missing))

    def corrections(self, names: Collection[str]) -> list[Recorded]:
        """The entries that changed the value of these later, the oldest first."""
        return self._recorded(_CORRECTIONS, **self._named(names)) if names else []

    def _named(self, names: Iterable[str]) -> Mapping[str, str]:
        return columns([(self._company, name) for name in names], "company entry")

    def _recorded(self, statement: str, **parameters: object) -> list[Recorded]:
        rows = fetch(self._connection, statement, **parameters)
        # The columns stand in the order of the fields, which no checker can see.
        found = [Recorded(*row, booked=_pairs(booked)) for *row, booked in rows]  # type: ignore[misc]
        self.known.entries.update((each.entry, each) for each in found)
        return found

    def _read_with_movements(self, names: Iterable[str]) -> None:
        wanted = set(names)
        self.read_entries(wanted)
        keys = {self.known.entries[each].key for each in wanted if each in self.known.entries}
        for movement in _movements_of(self._connection, keys - self._movements.keys()):
            self.learn(movement)

    # The history of bins.

    def _read_histories(self, names: Collection[str]) -> None:
        """Go through the history of each bin in which one of these entries stands, up to the last of them."""
        asked: dict[_Place, list[Recorded]] = {}
        for name in names:
            recorded = self.known.entries[name]
            asked.setdefault(_place(recorded, self._leg_of(recorded)), []).append(recorded)
        for place, entries in asked.items():
            last = max(each.stamp for each in entries)
            wanted = {each.entry for each in entries}
            if place.method == Tracking.SERIAL:
                told = retrace_serials(self._serial_steps(place, last, wanted), wanted)
            else:
                told = retrace(self._steps(place, last), place.method, wanted)
            self.known.told.update(told)

    def _leg_of(self, recorded: Recorded) -> Leg:
        """The leg of an entry; of one that trues up, the one that covers what it does."""
        if recorded.entry in self.known.legs:
            return self.known.legs[recorded.entry]
        legs = self._movements[recorded.key].legs
        return next(each for each in legs if (each.line, each.item) == (recorded.line, recorded.item))

    def _serial_steps(self, place: _Place, stamp: int, entries: Iterable[str]) -> Iterator[SerialStep]:
        serials = {serial for each in entries for serial in self.known.legs[each].serials}
        parameters = {"serial": sorted(serials), "item": place.item, "warehouse": place.warehouse, "stamp": stamp}
        for serial, entry, purpose, *amounts in fetch(self._connection, _SERIALS, company=self._company, **parameters):
            yield SerialStep(serial, entry, PURPOSES[purpose].flow, *amounts)

    def _steps(self, place: _Place, last: int) -> Iterator[Step]:
        """The history of a bin up to a stamp; once read, it serves all that is asked of earlier entries."""
        stamps, steps = self._read_steps.get(place, ((), ()))
        if not stamps or stamps[-1] < last:
            rows = self._rows(place, last)
            stamps, steps = self._read_steps[place] = ([row.stamp for row in rows], self._as_steps(rows))
        return islice(steps, bisect_right(stamps, last))

    def _rows(self, place: _Place, last: int) -> list[_Row]:
        bin_ = {"company": self._company, "item": place.item, "warehouse": place.warehouse, "batch": place.batch}
        return [_Row(*row) for row in fetch(self._connection, _BIN, stamp=last, **bin_)]

    def _as_steps(self, rows: Sequence[_Row]) -> list[Step]:
        """Entries with what other tables say of them: rates of write-downs and receipts, and accounts."""
        lowered = [row.entry for row in rows if row.is_lowered]
        short = {row.entry for row in rows if row.is_short}
        self._read_with_movements([*lowered, *short])
        rates = self._rates_of_receipts({row.entry: row.original for row in rows if row.original and row.quantity < 0})
        rates.update((entry, self.known.legs[entry].rate) for entry in lowered)
        accounts = {entry: self._account(entry) for entry in short}
        return [
            Step(
                row.entry,
                PURPOSES[row.purpose].flow,
                row.quantity,
                row.worth,
                row.original,
                rates.get(row.entry),
                accounts.get(row.entry, row.account),
            )
            for row in rows
        ]

    def _rates_of_receipts(self, receipts: Mapping[str, str]) -> dict[str, Decimal | None]:
        """What a unit of each receipt was worth when a part of it was sent back, by the entry that did."""
        self.read_entries([*receipts, *receipts.values()])
        later = self.corrections(set(receipts.values()))
        rates: dict[str, Decimal | None] = {}
        for entry, receipt in receipts.items():
            sent, came = self.known.entries[entry], self.known.entries[receipt]
            added = [each.value for each in later if each.original == receipt and each.recorded_at <= sent.recorded_at]
            rates[entry] = rate_of(abs(came.value + sum(added, ZERO)), abs(came.quantity))
        return rates

    def _account(self, entry: str) -> str:
        """The account that bears the difference of what an entry issued beyond stock."""
        movement = self._movements[self.known.entries[entry].key]
        role = PURPOSES[movement.purpose].true_up
        return movement.accounts.get(role, role.value)


def _movements_of(connection: Connection, keys: Collection[Key]) -> list[MovementAllocated]:
    rows = fetch(connection, _MOVEMENTS, **columns(list(keys), "source id")) if keys else ()
    return [read(_movements, bytes(allocated)) for _, _, allocated in rows]


def _place(recorded: Recorded, leg: Leg) -> _Place:
    method = leg.method if leg.tracking is Tracking.NONE else leg.tracking
    batch = recorded.batch if leg.tracking is Tracking.BATCH else None
    return _Place(recorded.item, recorded.warehouse, batch, method)


def _pairs(booked: str | None) -> tuple[tuple[str, Decimal], ...]:
    """The accounts and amounts of a flat list."""
    texts = iter(json.loads(booked) if booked else ())
    return tuple((account, Decimal(amount)) for account, amount in zip(texts, texts, strict=True))
