"""The ledger's chore: what is to be valued anew is, a piece at a time, between two sets of movements.

The one idea: a piece is one transaction. It corrects what stands in one bin and, at once, what arrived from there in
others, whose locks it takes together with that bin's, in the one order; then these are to be valued anew themselves.
Whatever is earliest comes first, so what a bin gets from another is settled, as a rule, before the bin is. A death
between two pieces leaves everything balanced, and the rest for later.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from services.ledger import store
from services.ledger.decide.corrections import Cause, entries_of, told_of
from services.ledger.decide.effects import bin_of, entry_id
from services.ledger.decide.posting import Mark
from services.ledger.decide.revaluing import Moment, Position, Revaluation, Standing, hangs_together, revalue
from services.ledger.decide.state import BinKey, State, originals_of
from services.ledger.decide.valuation import Stock
from services.ledger.store import checkpoints
from services.ledger.store import revaluing as pieces
from services.ledger.store.revaluing import Item
from shared import outbox
from shared.contracts.movement import MovementAllocated
from shared.errors import InvariantBroken
from shared.logs import logger
from shared.purposes import PURPOSES, Flow, Tracking
from shared.service import Handled, Output, Result, Step

SCHEMA = "ledger"
PAUSE = 10.0
"""Seconds for which a bin that cannot be valued anew lets others go first."""
SHORTEST = 50
"""How many movements are read for a piece at least."""
AT_ONCE = 100
"""How many other bins are locked for one piece at most, unless a single movement needs more."""

log = logger(SCHEMA)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of a bin's time: what stood there before it, and the movements in it that hold.

    `end` is the last place in it, also of those that were cancelled; `complete`: nothing comes after it. `serials` are
    those that cancelled movements named: they cost what they did before.
    """

    key: BinKey
    start: Position
    standing: Standing
    moments: Sequence[Moment]
    end: Position
    last_stamp: int
    serials: Collection[str]
    complete: bool


class Revaluing:
    """The chore of one worker: what is to be valued anew from the earliest time on comes first.

    It reads as much for a piece as was of use in the one before, and twice as much. Where goods go to and fro between
    bins a piece ends soon, whatever was read for it: at what may hang on what it has just corrected elsewhere.

    Of several workers all would take the same bin, wait for the one that has it, and find the work done. So whoever
    was outrun goes on with an item drawn by lot, until nothing of it is left or somebody is faster there too.
    """

    def __init__(self, reach: int = SHORTEST) -> None:
        self._reach = reach
        self._item: Item | None = None

    def __call__(self, size: int) -> Step:
        """A step that values anew up to `size` movements of one bin."""

        def look(connection: Connection) -> Handled:
            key = self._next(connection)
            if key is None:
                return Handled()
            work = partial(self._work_on, key, min(size, self._reach))
            return Handled(then=work, otherwise=partial(_postponed, key))

        return look

    def _next(self, connection: Connection) -> BinKey | None:
        key = None if self._item is None else pieces.next_dirty_of(connection, self._item)
        if key is None:
            self._item = None
            key = pieces.next_dirty(connection)
        return key

    def _work_on(self, key: BinKey, size: int, connection: Connection) -> Handled:
        worked = _value_piece(connection, key, size)
        if worked is None:
            self._item = pieces.any_dirty_item(connection)
            return Handled(more=True)
        handled, seen = worked
        self._reach = max(2 * seen, SHORTEST)
        return handled


def _postponed(key: BinKey, error: Exception) -> Step:
    log.error("not valued anew", bin=key, exc_info=error)

    def step(connection: Connection) -> Handled:
        pieces.postpone(connection, key, PAUSE)
        return Handled(counts={(Result.STUCK, "not_revalued"): 1}, more=True)

    return step


def _value_piece(connection: Connection, key: BinKey, size: int) -> tuple[Handled, int] | None:
    """Value anew a piece of a bin, and how many movements that were; None where another worker was faster."""
    dirt = pieces.dirt_of(connection, key)
    if not dirt:
        return None
    piece = _read_piece(connection, key, dirt[0].at, size)
    state = store.lock_bins(connection, {key, *_reached_by(piece)})
    before, dirt = dirt, pieces.dirt_of(connection, key)
    if dirt[:1] != before[:1]:
        return None
    if state.last_stamps[key] != piece.last_stamp or dirt != before:
        piece = _read_piece(connection, key, dirt[0].at, size)
        if not state.bins.keys() >= _reached_by(piece):
            return None
    done = _revalue(connection, piece, dirt)
    outputs = _save(connection, piece, done, dirt, state)
    counts = {(Result.REVALUED, ""): len(done.corrections)}
    return Handled(outputs, [(each.source, each.id) for each in outputs], counts=counts, more=True), done.seen


def _merged(causes: Sequence[Cause]) -> Cause:
    """Several causes as one: whatever was closed for any of them is."""
    dated = [(each.open_from, each.dated_at) for each in causes if each.open_from is not None]
    moved = any(each.moved for each in causes)
    return Cause(max(each.recorded_at for each in causes), moved, *max(dated, default=(None, None)))


# --- reading ----------------------------------------------------------------------------------------------------------


def _read_piece(connection: Connection, key: BinKey, at: Position, size: int) -> _Piece:
    (last_stamp,) = store.read_bins(connection, [key]).last_stamps.values()
    start, standing = checkpoints.start_of(connection, key, at)
    line = pieces.timeline(connection, key, start, size)
    keys = {name for _, name in line.places}
    movements = pieces.movements_of(connection, keys)
    left_out = pieces.cancelled_among(connection, keys)
    moments: list[Moment] = []
    reached: set[BinKey] = set()
    serials: set[str] = set()
    for place, name in line.places:
        movement = movements[name]
        if movement.mirrors is None and name not in left_out:
            reached.update(_fed_by(key, movement))
            if len(reached) > AT_ONCE and moments:
                end = moments[-1].at
                return _Piece(key, start, standing, moments, end, last_stamp, serials, complete=False)
            moments.append(Moment(place, movement))
        else:
            serials.update(serial for leg in movement.legs if bin_of(movement, leg) == key for serial in leg.serials)
    end = line.places[-1][0] if line.places else start
    return _Piece(key, start, standing, moments, end, last_stamp, serials, complete=line.complete)


def _reached_by(piece: _Piece) -> set[BinKey]:
    return {each for moment in piece.moments for each in _fed_by(piece.key, moment.movement)}


def _fed_by(key: BinKey, movement: MovementAllocated) -> Iterator[BinKey]:
    """The other bins in which what arrives may come to something else."""
    if PURPOSES[movement.purpose].flow in (Flow.MOVE, Flow.MAKE):
        for leg in movement.legs:
            if leg.quantity > 0 and (other := bin_of(movement, leg)) != key:
                yield other


def _revalue(connection: Connection, piece: _Piece, dirt: Sequence[pieces.Dirt]) -> Revaluation:
    """Everything that was told of these movements is read under the lock of their bin."""
    key, company = piece.key, piece.key[0]
    told_to: set[tuple[str, str]] = set()
    here: set[str] = set()
    wanted: dict[str, list[str]] = {}
    serials = set(piece.serials)
    tracked = bool(serials)
    for moment in piece.moments:
        movement = moment.movement
        together = hangs_together(movement)
        _want(wanted, key, movement)
        for number, leg in enumerate(movement.legs):
            is_here = bin_of(movement, leg) == key
            if leg.corrects is not None or not (is_here or together):
                continue
            entry = entry_id(movement, number)
            told_to.add((company, entry))
            if is_here:
                here.add(entry)
                tracked = tracked or leg.tracking is Tracking.SERIAL
                serials.update(leg.serials if leg.tracking is Tracking.SERIAL else ())
    told = store.read_told(connection, told_to)
    named = pieces.named_by(connection, company, wanted, here)
    piece.standing.bin.costs.update(pieces.costs_at(connection, key, piece.start, serials))
    stops: dict[Position, Standing] = {}
    if not tracked and not any(each.cause.moved for each in dirt):
        # At the moment of a change nothing agrees until all that takes effect then was seen.
        changed = {each.at[0] for each in dirt}
        noted = checkpoints.stops_between(connection, key, piece.start, piece.end)
        stops = {place: standing for place, standing in noted.items() if place[0] not in changed}
    return revalue(key, piece.start, piece.standing, piece.moments, told, named, stops)


def _want(wanted: dict[str, list[str]], key: BinKey, movement: MovementAllocated) -> None:
    """The entries that a movement names by a leg in a bin, with the serials that come back of them by any leg."""
    named = originals_of(movement)
    if PURPOSES[movement.purpose].flow is not Flow.LAND:
        named &= {leg.original for leg in movement.legs if bin_of(movement, leg) == key}
    for leg in movement.legs if named else ():
        if leg.original is not None and leg.original in named:
            wanted.setdefault(leg.original, []).extend(leg.serials if leg.quantity > 0 else ())


# --- writing ----------------------------------------------------------------------------------------------------------


def _save(
    connection: Connection, piece: _Piece, done: Revaluation, dirt: Sequence[pieces.Dirt], state: State
) -> list[Output]:
    """Append the corrections; say how far the bin is done, and where else something is to be valued anew."""
    key = piece.key
    cause = _merged([each.cause for each in dirt if each.at <= done.end] or [dirt[0].cause])
    is_whole = done.seen == len(piece.moments) and not done.agrees
    end = piece.end if is_whole else done.end
    corrections = done.corrections
    batches = {(*each.key, each.leg.batch or "") for each in corrections if each.leg.tracking is Tracking.BATCH}
    state.batches.update(store.read_batches(connection, batches))
    entries = entries_of(corrections, cause, state)
    told = told_of(key, entries, cause, state)
    pieces.save_corrections(connection, entries, cause)
    pieces.save_costs(connection, key, done.standing.bin.costs)
    is_done = is_whole and piece.complete
    if is_done:
        _settle(connection, key, done.standing, state)
    store.save_bins(connection, state, {key, *(each.key for each in corrections)})
    if state.batches:
        store.save_batches(connection, state.batches)
    pieces.clean(connection, key, dirt, end, agrees=done.agrees)
    if end > piece.start or is_done:
        checkpoints.note_standing(connection, key, piece.start, end, done.standing, is_last=is_done)
    if not done.agrees and not is_done:
        pieces.go_on(connection, key, end, cause)
    elif not pieces.dirt_of(connection, key) and state.bins[key].pending:
        raise InvariantBroken("something is pending in a bin that agrees", bin=key, pending=state.bins[key].pending)
    dated = (cause.open_from, cause.dated_at)
    marks = [Mark(other, at, cause.recorded_at, False, *dated) for other, at in done.marks]
    store.mark(connection, [each for each in marks if each.key != key or (done.agrees and each.from_at >= end[0])])
    outputs = pieces.save_revaluations(connection, told)
    outbox.add(connection, SCHEMA, outputs)
    return outputs


def _settle(connection: Connection, key: BinKey, standing: Standing, state: State) -> None:
    """All of a bin was valued anew: what stands there now is what came of that, and nothing is pending."""
    state.bins[key] = _settled(key, state.bins[key], standing.bin)
    if standing.batches or any(batch[:3] == key for batch in state.batches):
        there = pieces.batches_in(connection, key)
        for batch in there.keys() | standing.batches.keys():
            before = state.batches.get(batch) or there.get(batch) or Stock()
            state.batches[batch] = _settled(batch, before, standing.batches.get(batch) or Stock())


def _settled(key: Collection[str], before: Stock, now: Stock) -> Stock:
    if before.quantity != now.quantity or before.value + before.pending != now.value:
        facts = {"quantity": now.quantity, "found": before.quantity, "value": now.value}
        told = before.value + before.pending
        raise InvariantBroken("what stands in a bin is not what its entries say", bin=key, told=told, **facts)
    return now
