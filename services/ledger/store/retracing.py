"""The histories of bins, read in the order of time and gone through again, for whatever is asked of their entries."""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from sqlalchemy import Connection

from services.ledger.decide.explaining.bins import Step, retrace
from services.ledger.decide.explaining.parts import Part
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.serials import SerialRow, retrace_serials, serials_in_time
from services.ledger.decide.explaining.timeline import BinRow, Happened, in_time
from services.ledger.decide.revaluing import Position
from services.ledger.store.archive import Archive
from services.ledger.store.rows import BIN, fetch
from shared.contracts.movement import Leg
from shared.purposes import Flow, Tracking
from shared.quantities import ZERO, rate_of

_BIN = f"""
SELECT effective_at, stamp, cast(coalesce(part_of, entry_id) AS text), part_of IS NULL, purpose, quantity, value, worth,
    cast(original AS text), by_id IS NOT NULL
FROM ledger.entry LEFT JOIN ledger.cancelled USING (source, id)
WHERE {BIN} AND (effective_at, stamp) <= (:at, :stamp) AND NOT true_up
    AND (cast(:batch AS text) IS NULL OR batch = :batch)
ORDER BY effective_at, stamp, revaluation, ordinal
"""
# The stamps of movements in a bin that were cancelled: for legs that made no entry, but were corrected.
_VOID = f"""
SELECT stamp FROM ledger.entry JOIN ledger.cancelled USING (source, id)
WHERE {BIN} AND part_of IS NULL AND revaluation = 0
UNION
SELECT stamp FROM ledger.silent JOIN ledger.cancelled USING (source, id) WHERE {BIN}
"""
_SERIALS = f"""
SELECT effective_at, stamp, serial, cast(coalesce(part_of, entry_id) AS text), part_of IS NULL, purpose, quantity, cost,
    by_id IS NOT NULL
FROM unnest(cast(:serial AS text[])) AS wanted (serial)
JOIN ledger.entry_serial USING (serial) JOIN ledger.entry USING (company, item, entry_id)
LEFT JOIN ledger.cancelled USING (source, id)
WHERE {BIN} AND (effective_at, stamp) <= (:at, :stamp)
ORDER BY effective_at, stamp, revaluation, ordinal, serial
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """A bin, or a batch in it, and how what leaves there is valued."""

    item: str
    warehouse: str
    batch: str | None
    method: str


class Retracing:
    """Tells what entries took, by going through the histories of their bins; what it tells, the archive knows."""

    def __init__(self, connection: Connection, company: str, archive: Archive) -> None:
        self._connection = connection
        self._company = company
        self._archive = archive
        self._void: dict[tuple[str, str], frozenset[int]] = {}
        self._read_steps: dict[_Place, tuple[Sequence[Position], Sequence[Step]]] = {}

    def read(self, names: Collection[str]) -> None:
        """Go through the history of each bin in which one of these entries stands, up to the last of them."""
        known = self._archive.known
        asked: dict[_Place, list[Recorded]] = {}
        for name in names:
            recorded = known.entries[name]
            asked.setdefault(_place(recorded, known.legs[name]), []).append(recorded)
        for place, entries in asked.items():
            last = max(each.place for each in entries)
            wanted = {each.entry for each in entries}
            if place.method == Tracking.SERIAL:
                known.told.update(self._retrace_serials(place, last, wanted))
            else:
                known.told.update(retrace(self._steps(place, last), place.method, wanted))

    def _steps(self, place: _Place, last: Position) -> Iterator[Step]:
        """The history of a bin up to a place in its time; once read, it serves all that is asked of earlier entries."""
        places, steps = self._read_steps.get(place, ((), ()))
        if not places or places[-1] < last:
            happened = self._happened(place, last)
            dirty_from = self._archive.dirty_from(place.item, place.warehouse)
            places, steps = [each.place for each in happened], self._as_steps(happened, dirty_from)
            self._read_steps[place] = (places, steps)
        return islice(steps, bisect_right(places, last))

    def _happened(self, place: _Place, last: Position) -> list[Happened]:
        parameters = self._bin(place, last) | {"batch": place.batch}
        rows = (BinRow(*row) for row in fetch(self._connection, _BIN, **parameters))
        return in_time(rows, self._void_in(place))

    def _as_steps(self, happened: Sequence[Happened], dirty_from: Position | None) -> list[Step]:
        """Legs with what other tables say of them: the rates of write-downs, and of the receipts that are sent back."""
        lowered = [each.entry for each in happened if each.flow is Flow.WRITE_DOWN]
        self._archive.read_with_movements(lowered)
        rates = self._rates_of_receipts({each.entry: each for each in happened if each.flow is Flow.SEND_BACK})
        rates.update((entry, self._archive.known.legs[entry].rate) for entry in lowered)
        return [
            Step(
                each.entry,
                each.flow,
                each.quantity,
                each.worth,
                each.original,
                rates.get(each.entry),
                dirty_from is not None and each.place > dirty_from,
            )
            for each in happened
        ]

    def _rates_of_receipts(self, sent: Mapping[str, Happened]) -> dict[str, Decimal | None]:
        """What a unit of each receipt is worth of which a part was sent back, by the entry that did."""
        named = {each.original for each in sent.values() if each.original is not None}
        self._archive.read_entries(named)
        added: dict[str | None, Decimal] = {}
        for each in self._archive.landed_on(named):
            added[each.original] = added.get(each.original, ZERO) + each.value
        entries = self._archive.known.entries
        values = {entry: entries[entry].value + added.get(entry, ZERO) for entry in named}
        return {
            each.entry: rate_of(abs(values[each.original]), abs(entries[each.original].quantity))
            for each in sent.values()
            if each.original is not None
        }

    def _retrace_serials(self, place: _Place, last: Position, wanted: Collection[str]) -> dict[str, list[Part]]:
        legs = self._archive.known.legs
        serials = sorted({serial for each in wanted for serial in legs[each].serials})
        rows = [SerialRow(*row) for row in fetch(self._connection, _SERIALS, serial=serials, **self._bin(place, last))]
        stated = {each.leg for each in rows} - {each.leg for each in rows if each.quantity}
        self._archive.read_entries(stated)
        entries = self._archive.known.entries
        without_effect = {each for each in stated if each in entries and not entries[each].value}
        kept = [each for each in rows if each.leg not in without_effect]
        dirty_from = self._archive.dirty_from(place.item, place.warehouse)
        return retrace_serials(serials_in_time(kept, self._void_in(place), dirty_from), wanted)

    def _void_in(self, place: _Place) -> frozenset[int]:
        """The stamps of cancelled movements in a bin."""
        key = (place.item, place.warehouse)
        if key not in self._void:
            names = {"company": self._company, "item": place.item, "warehouse": place.warehouse}
            self._void[key] = frozenset(stamp for (stamp,) in fetch(self._connection, _VOID, **names))
        return self._void[key]

    def _bin(self, place: _Place, last: Position) -> dict[str, object]:
        names = {"company": self._company, "item": place.item, "warehouse": place.warehouse}
        return {**names, "at": last[0], "stamp": last[1]}


def _place(recorded: Recorded, leg: Leg) -> _Place:
    method = leg.method if leg.tracking is Tracking.NONE else leg.tracking
    batch = recorded.batch if leg.tracking is Tracking.BATCH else None
    return _Place(recorded.item, recorded.warehouse, batch, method)
