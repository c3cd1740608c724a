"""Every bin carried out once more, from nothing, in the order of time: what comes of it is what stands in the books.

The one idea: the entries tell which movements a bin saw and when, the gate's messages what these were; the ledger's own
core, which is pure, says what each comes to. Compared are all that is told of each leg, what was noted on the way, and
what stands there in the end. It is read in one pass, in the order of bins and time, a portion at a time; from one
portion to the next only what stands in one bin is held.

What is still to be valued anew is provisional: a dirty bin is followed as far as it is settled. In a bin that is not as
it must be only the first difference is told, for all that follows hangs on it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row

from services.desk.verify.checking import OF_COMPANY, Finding, Scope, key_of, shown
from services.desk.verify.standing import Noted, noted_between, settled
from services.ledger.decide.effects import bin_of, entry_id
from services.ledger.decide.naming import Named
from services.ledger.decide.revaluing import Correction, Moment, Position, Standing, hangs_together, revalue
from services.ledger.decide.state import BinKey, Key, originals_of
from services.ledger.decide.told import Told
from services.ledger.decide.valuation import Stock
from services.ledger.store.originals import read_told
from services.ledger.store.revaluing import cancelled_among, named_by
from services.ledger.store.rows import KEYS, booked_amounts
from shared.contracts.codec import Malformed, decoder, read
from shared.contracts.movement import MovementAllocated
from shared.db import PORTION_ROWS, columns, query, stream
from shared.errors import InvariantBroken, Unprocessable
from shared.purposes import PURPOSES, Flow, Tracking

OF = OF_COMPANY.format("")

# What revalues or corrects what stands at a place stands there too, behind it. A count that found nothing is silent.
_LINES = f"""
SELECT company, item, warehouse, effective_at, stamp, revaluation, ordinal, source, id,
    cast(coalesce(part_of, entry_id) AS text) AS leg, part_of IS NULL AS is_own, quantity, value, worth,
    cast(booked AS text) AS booked, true_up, rate
FROM ledger.entry WHERE {OF}
UNION ALL
SELECT company, item, warehouse, effective_at, stamp, 0, 0, source, id, NULL, true, 0, 0, 0, NULL, false, NULL
FROM ledger.silent WHERE {OF}
ORDER BY company, item, warehouse, effective_at, stamp
"""
_DIRTY = f"""
SELECT DISTINCT ON (company, item, warehouse) company, item, warehouse, from_at, from_stamp FROM ledger.dirty
WHERE {OF} ORDER BY company, item, warehouse, from_at, from_stamp
"""
_ALLOCATED = f"""
SELECT source, id, allocated FROM receiving.movement
WHERE (source, id) IN (SELECT * FROM {KEYS}) AND allocated IS NOT NULL
"""
_BEGINNING = (datetime.min.replace(tzinfo=UTC), 0)
_BROKEN = (InvariantBroken, Unprocessable, Malformed, ArithmeticError, LookupError, ValueError, TypeError)
"""What the core raises where something is carried out that was never accepted on what stands there."""

_allocated = decoder(MovementAllocated)


@dataclass(slots=True)
class Bin:
    """A bin while it is carried out: what stands there, up to which place, and what of its time is at hand.

    `end` is the last place that is at hand, `dirty_from` the place behind which the bin is to be valued anew. `told` is
    what is told of each leg so far. `is_followed`: nothing was found in it; `is_over`: nothing comes after this.
    """

    key: BinKey
    dirty_from: Position | None
    standing: Standing = field(default_factory=lambda: Standing(Stock()))
    start: Position = _BEGINNING
    end: Position = _BEGINNING
    places: list[tuple[Position, Key]] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    is_followed: bool = True
    is_over: bool = False


def bins_are_what_they_come_to(connection: Connection, scope: Scope) -> Iterator[Finding]:
    """Carry out every bin once more, and tell where that comes to something else than what is told, noted or there."""
    for portion in _portions(connection, scope):
        yield from _carry_out(connection, portion)
        for each in portion:
            each.places, each.told, each.start = [], {}, each.end


# --- a portion of the time of bins -----------------------------------------------------------------------------------


def _portions(connection: Connection, scope: Scope) -> Iterator[list[Bin]]:
    """Bins with so much of their time as belongs together; the last one of a portion may go on in the next."""
    dirty = {row[:3]: tuple(row[3:]) for row in map(tuple, query(connection, _DIRTY, company=scope.company))}
    portion: list[Bin] = []
    size = 0
    for key, lines in groupby(stream(connection, _LINES, company=scope.company), key=lambda row: tuple(row[:3])):
        current = Bin((key[0], key[1], key[2]), dirty.get(key))
        portion.append(current)
        for place, rows in groupby(lines, key=lambda row: (row.effective_at, row.stamp)):
            if size >= PORTION_ROWS:
                yield portion
                portion, size = [current], 0
            size += _take(current, place, list(rows))
        current.is_over = True
    if portion:
        yield portion


def _take(current: Bin, place: Position, rows: list[Row[Any]]) -> int:
    """Note what stands at a place, and what is told of it; how much that is."""
    if current.dirty_from is not None and place > current.dirty_from:
        current.is_followed = False
        return 1
    current.end = place
    rows.sort(key=lambda row: (row.revaluation, row.ordinal))
    current.places += dict.fromkeys((place, (row.source, row.id)) for row in rows if row.is_own)
    for row in rows:
        if row.leg is not None:
            told = current.told.setdefault(row.leg, Told())
            booked = booked_amounts(row.booked) if row.booked and (row.is_own or not row.quantity) else {}
            told.add(row.value, row.worth, booked, {}, true_up=row.true_up)
            told.rate = told.rate if row.rate is None else row.rate
    return len(rows)


# --- carrying it out -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """What the movements of a portion are, which of them hold, and what they name."""

    movements: Mapping[Key, MovementAllocated | str]
    cancelled: Collection[Key]
    told: Mapping[str, Told]
    named: Mapping[str, Named]


def _carry_out(connection: Connection, portion: Sequence[Bin]) -> Iterator[Finding]:
    try:
        at_hand = _read(connection, portion)
    except _BROKEN as error:
        for each in portion:
            each.is_followed, each.dirty_from = False, None
        key = key_of("company item warehouse effective_at", (*portion[0].key, portion[0].end[0]))
        yield Finding("ledger.entry", key, "what these and the next name", "can be read", repr(error))
        return
    noted = noted_between(connection, [(each.key, each.start, each.end) for each in portion])
    for each in portion:
        if each.places and (each.is_followed or each.dirty_from is not None):
            yield from _go_through(each, at_hand, noted.get(each.key, ()))
    ended = [each for each in portion if each.is_over and each.is_followed]
    yield from settled(connection, {each.key: each.standing for each in ended})


def _go_through(current: Bin, at_hand: _Read, noted: Iterable[Noted]) -> Iterator[Finding]:
    """Carry out what of a bin's time is at hand, and look at what stands there wherever that was noted."""
    moments: list[Moment] = []
    for place, name in current.places:
        movement = at_hand.movements.get(name, "no such movement was accepted")
        if isinstance(movement, str):
            current.is_followed = False
            yield Finding("receiving.movement", key_of("source id", name), "allocated", "a message", movement)
            return
        if movement.mirrors is None and name not in at_hand.cancelled:
            moments.append(Moment(place, movement))
    for stop in (*noted, None):
        reached = [each for each in moments if stop is None or each.at <= stop.place]
        moments = moments[len(reached) :]
        found = list(_revalue(current, reached, at_hand)) if reached else []
        if not found and stop is not None and current.standing != stop.standing:
            found = list(stop.differences(current.standing))
        if found:
            current.is_followed, current.dirty_from = False, None
            yield from found
            return


def _revalue(current: Bin, moments: Sequence[Moment], at_hand: _Read) -> Iterator[Finding]:
    told = {**current.told, **at_hand.told}
    try:
        done = revalue(current.key, current.start, current.standing, moments, told, at_hand.named, {})
    except _BROKEN as error:
        names = "company item warehouse effective_at"
        key = key_of(names, (*current.key, moments[0].at[0]))
        yield Finding("ledger.entry", key, "movements from then on", "can be carried out", repr(error))
        return
    costs = done.standing.bin.costs
    for serial in [serial for serial, cost in costs.items() if cost is None]:
        del costs[serial]
    here = [each for each in done.corrections if each.key == current.key]
    for each in here:
        if each.movement is here[0].movement:
            yield _differs(each, told.get(entry_id(each.movement, each.number)) or Told())


def _differs(correction: Correction, told: Told) -> Finding:
    """What a leg comes to, and what is told of it."""
    movement = correction.movement
    name = (*correction.key, correction.stamp, entry_id(movement, correction.number), movement.source, movement.id)
    key = key_of("company item warehouse stamp entry_id source id", name)
    value = told.true_up if correction.true_up else told.value
    what = "true-up" if correction.true_up else "value"
    if correction.value:
        return Finding("ledger.entry", key, what, shown(value + correction.value), shown(value))
    if correction.worth:
        return Finding("ledger.entry", key, "worth", shown(told.worth + correction.worth), shown(told.worth))
    if correction.booked:
        apart = told.true_up_booked if correction.true_up else told.booked
        expected = {account: apart.get(account, 0) + more for account, more in correction.booked.items()}
        return Finding("ledger.entry", key, "booked", _amounts(expected), _amounts(apart))
    if correction.costs:
        known = {serial: told.costs[serial] for serial in correction.costs if serial in told.costs}
        return Finding("ledger.entry_serial", key, "costs", _amounts(correction.costs), _amounts(known))
    return Finding("ledger.entry", key, "rate", shown(correction.rate), shown(told.rate))


def _amounts(amounts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {shown(amount)}" for name, amount in sorted(amounts.items())) or "nothing"


# --- what is read for it ---------------------------------------------------------------------------------------------


def _read(connection: Connection, portion: Sequence[Bin]) -> _Read:
    names = {name for each in portion for _, name in each.places}
    movements = _movements(connection, names)
    cancelled = cancelled_among(connection, names)
    told = _told(connection, portion, movements)
    known = [each for each in movements.values() if isinstance(each, MovementAllocated)]
    holding = [each for each in known if each.mirrors is None and (each.source, each.id) not in cancelled]
    return _Read(movements, cancelled, told, _named(connection, portion, holding))


def _movements(connection: Connection, names: Collection[Key]) -> dict[Key, MovementAllocated | str]:
    """Movements as the gate allocated them, or why one cannot be read."""
    found: dict[Key, MovementAllocated | str] = {}
    for row in query(connection, _ALLOCATED, **columns(list(names), "source id")) if names else ():
        try:
            found[row.source, row.id] = read(_allocated, bytes(row.allocated))
        except Malformed as error:
            found[row.source, row.id] = str(error)
    return found


def _told(
    connection: Connection, portion: Sequence[Bin], movements: Mapping[Key, MovementAllocated | str]
) -> dict[str, Told]:
    """What is told of legs elsewhere on which something hangs, and of those with serials: these with their costs."""
    wanted: set[tuple[str, str]] = set()
    for each in portion:
        for _, name in each.places:
            movement = movements.get(name)
            if not isinstance(movement, MovementAllocated):
                continue
            together = hangs_together(movement)
            for number, leg in enumerate(movement.legs):
                is_here = bin_of(movement, leg) == each.key
                if leg.corrects is None and (leg.tracking is Tracking.SERIAL if is_here else together):
                    wanted.add((movement.company, entry_id(movement, number)))
    return read_told(connection, wanted)


def _named(connection: Connection, portion: Iterable[Bin], movements: Iterable[MovementAllocated]) -> dict[str, Named]:
    """The entries that movements name, with the serials that come back of them, and those that are named by others."""
    wanted: dict[str, dict[str, list[str]]] = {}
    here: dict[str, list[str]] = {}
    for each in portion:
        here.setdefault(each.key[0], []).extend(each.told)
    for movement in movements:
        own = originals_of(movement)
        for leg in movement.legs if own else ():
            if leg.original is not None and leg.original in own:
                back = leg.serials if leg.quantity > 0 and PURPOSES[movement.purpose].flow is not Flow.LAND else ()
                wanted.setdefault(movement.company, {}).setdefault(leg.original, []).extend(back)
    found: dict[str, Named] = {}
    for company, entries in here.items():
        found |= named_by(connection, company, wanted.get(company, {}), entries)
    return found
