"""Requested movements: allocated, refused, or kept waiting; a set at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.receiving.decide import patience
from services.receiving.decide.allocation import Accepted, Rejected
from services.receiving.decide.cancelling import CANCELLATION
from services.receiving.decide.case import Request
from services.receiving.decide.manifests import Sums, sums_of
from services.receiving.decide.originals import original_of
from services.receiving.handlers.gate import (
    NAME,
    Gate,
    Settled,
    conflict,
    known_senders,
    log,
    newcomer,
    tally,
    told_again,
    turn_away,
    wake,
    who_waits,
)
from services.receiving.handlers.judging import judge
from services.receiving.handlers.scanning import read_scans
from services.receiving.handlers.trials import try_out
from services.receiving.store import inbox, waiting
from services.receiving.store.locking import lock_stock
from services.receiving.store.numbers import Numbered, note_numbers
from services.receiving.store.waiting import Waiter
from shared.contracts.codec import Malformed, decoder, digest, read, read_outline, write
from shared.contracts.envelope import Envelope, raw_movements
from shared.contracts.manifest import is_number
from shared.contracts.movement import MOVEMENTS_LIMIT, MovementRequested, has_units
from shared.contracts.registry import MOVEMENT_ALLOCATED, OUTCOME_ACCEPTED, OUTCOME_REJECTED, UNITS_ALLOCATED
from shared.parked import park
from shared.quantities import ZERO
from shared.service import Input, Key, Output

_IDENTIFIER_LENGTH = 200


class _Named(msgspec.Struct):
    """The least of a movement: what names it, and whether it is only tried, whatever else is wrong with it."""

    id: str
    number: Any = None
    dry_run: Any = False


_movements = decoder(MovementRequested)
_named = decoder(_Named)


@dataclass(frozen=True, slots=True)
class _Try:
    """A request, and how it waits if it has to."""

    request: Request
    waiter: Waiter


def read_movements(envelope: Envelope) -> list[Input]:
    """The movements of an event; one whose fields are wrong but whose id is readable is kept, to be rejected."""
    raw = raw_movements(envelope.data)
    if not raw:
        raise Malformed("no movements in the message, so nobody could be answered")
    if len(raw) > MOVEMENTS_LIMIT:
        raise Malformed(f"{len(raw)} movements in one message, {MOVEMENTS_LIMIT} at most")
    return [_input(envelope, bytes(each)) for each in raw]


def _input(envelope: Envelope, raw: bytes) -> Input:
    source, kind, trace = envelope.source, envelope.type, envelope.traceparent
    try:
        request = _request(source, raw, trace)
    except Malformed as error:
        return Input(source, kind, error, raw, trace)
    return Input(source, kind, request, raw, trace, request.id)


def _request(source: str, raw: bytes, trace: str | None, attempt: int = 1) -> Request:
    try:
        movement = _in_utc(read(_movements, raw))
    except Malformed as error:
        named = read_outline(_named, raw)
        if not 0 < len(named.id) <= _IDENTIFIER_LENGTH or "\0" in named.id:
            raise
        number = named.number if is_number(named.number) else None
        return Request(source, named.id, digest(raw), None, str(error), trace, attempt, number)
    return Request(source, movement.id, digest(movement), movement, None, trace, attempt, movement.number)


def _in_utc(movement: MovementRequested) -> MovementRequested:
    """The same moment is the same content, whatever zone it was written in."""
    if movement.posting_at.tzinfo is UTC:
        return movement
    try:
        return msgspec.structs.replace(movement, posting_at=movement.posting_at.astimezone(UTC))
    except OverflowError:  # the first or the last hours of the calendar
        return movement


def allocate_movements(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Take or create the serials and batches that the requested movements need; answer each source."""
    now = gate.clock()
    inputs, turned_away = turn_away(connection, inputs, known_senders(connection, inputs, gate))
    trials = [each.value for each in inputs if _is_trial(each)]
    inputs = [each for each in inputs if not _is_trial(each)]
    asked: dict[Key, _Try] = {}
    for each in inputs:
        request: Request = each.value
        asked.setdefault(_key(each), _Try(request, newcomer(each, request.id, request.digest, now)))
    answered = inbox.answered_movements(connection, asked)
    waits = waiting.waiting_digests(connection, asked)
    conflicts = _park_conflicts(connection, inputs, asked, answered, waits)
    new = [each for key, each in asked.items() if key not in answered and key not in waits]
    settled = _decide(connection, new, gate, now, trials=trials)
    told = [output for key, each in answered.items() for output in outputs_of(key, each.allocated, each.outcome)]
    return told_again(settled, told, len(answered), conflicts, turned_away)


def try_again(waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge movements again that waited; one that another worker decided meanwhile just waits no longer."""
    decided = inbox.answered_movements(connection, [each.key for each in waiters])
    retried = {key for key, each in decided.items() if not each.accepted}
    over = {each.key for each in waiters if each.key in decided and not (each.key in retried and each.attempt > 1)}
    waiting.forget_waiting(connection, over)
    tries = [
        _Try(_request(each.source, each.request, each.trace, each.attempt), each)
        for each in waiters
        if each.key not in over
    ]
    return _decide(connection, tries, gate, gate.clock(), waited=True)


def _is_trial(each: Input) -> bool:
    """Whether a movement is only to be tried; one that cannot be read as a whole may still say so."""
    request: Request = each.value
    if request.movement is not None:
        return request.movement.dry_run
    return read_outline(_named, each.raw).dry_run is True


def _park_conflicts(
    connection: Connection,
    inputs: Sequence[Input],
    asked: Mapping[Key, _Try],
    answered: Mapping[Key, inbox.Answered],
    waits: Mapping[Key, bytes],
) -> int:
    known = {key: each.request.digest for key, each in asked.items()}
    known |= waits
    known |= {key: each.digest for key, each in answered.items()}
    conflicts = [conflict(each, _key(each)) for each in inputs if each.value.digest != known[_key(each)]]
    park(connection, NAME, conflicts)
    return len(conflicts)


def _decide(
    connection: Connection,
    tries: Sequence[_Try],
    gate: Gate,
    now: datetime,
    *,
    trials: Sequence[Request] = (),
    waited: bool = False,
) -> Settled:
    """Judge, write what was decided, keep waiting who may only be early, make due who lacked what came."""
    if not tries and not trials:
        return Settled()
    requests = read_scans(connection, [each.request for each in tries], gate.limits)
    trials = read_scans(connection, trials, gate.limits)
    stock = lock_stock(connection, [*requests, *trials], gate.limits, now)
    if not waited:
        note_numbers(connection, _numbered(requests, now))
    decided = judge(connection, requests, stock, now, gate.limits)
    tried = try_out(connection, trials, stock, now, gate.limits)
    accepted = [each for each in decided if isinstance(each, Accepted)]
    by_key = {each.waiter.key: each for each in tries}
    pairs = [(by_key[judged.request.source, judged.request.id], judged) for judged in decided]
    refused = [(each.waiter, judged.outcome) for each, judged in pairs if isinstance(judged, Rejected)]
    waits = who_waits(connection, refused, gate, now, waited=waited)
    final = [(each, judged) for each, judged in pairs if each.waiter.key not in waits]
    rows = [_row(each, judged) for each, judged in final]
    inbox.save_movements(connection, rows)
    inbox.bury(connection, _tombstones(judged for _, judged in final))
    if waited:
        waiting.forget_waiting(connection, [(row.source, row.id) for row in rows])
    for _, judged in final:
        _note(judged)
    woke = wake(connection, lambda: {lack for each in accepted for lack in brought_by(each)}, now)
    outputs = [output for row in rows for output in outputs_of((row.source, row.id), row.allocated, row.outcome)]
    counts = tally([judged.outcome for _, judged in final], len(waits), woke, waited=waited)
    return Settled([*outputs, *tried.outputs], woke, counts + tried.counts)


def _numbered(requests: Iterable[Request], now: datetime) -> Iterator[Numbered]:
    """The movements that came with a number, whatever becomes of them."""
    for request in requests:
        if request.number is not None:
            asked = request.movement
            purpose, sums = (asked.purpose, sums_of(asked)) if asked is not None else (None, Sums())
            yield Numbered(request.source, request.number, request.id, now, purpose, sums)


def _tombstones(final: Iterable[Accepted | Rejected]) -> Iterator[tuple[Key, Key]]:
    """The originals that never came, and the cancellations that waited for them; a return of one does not bury it."""
    for judged in final:
        request = judged.request
        if isinstance(judged, Rejected) and judged.purpose == CANCELLATION and request.movement is not None:
            original = original_of(request.source, request.movement)
            if original is not None and any(each.code == "unknown_original" for each in judged.outcome.reasons):
                yield original, (request.source, request.id)


def brought_by(accepted: Accepted) -> list[str]:
    """What others may have lacked until this movement was accepted."""
    allocated = accepted.allocated
    company = allocated.company
    brought = [patience.movement_key(allocated.source, allocated.id)]
    for leg in allocated.legs:
        if leg.quantity > ZERO:
            brought.append(patience.stock_key(company, leg.item, leg.warehouse))
        if leg.quantity > ZERO and leg.batch is not None:
            brought.append(patience.batch_key(company, leg.item, leg.batch))
    brought += [patience.leaving_key(*event.key) for event in accepted.events if event.left]
    return brought


def _row(tried: _Try, judged: Accepted | Rejected) -> inbox.MovementRow:
    request, outcome = judged.request, judged.outcome
    allocated = judged.allocated if isinstance(judged, Accepted) else None
    return inbox.MovementRow(
        request.source,
        request.id,
        request.digest,
        outcome.company,
        request.movement.purpose if request.movement is not None else None,
        outcome.recorded_at,
        allocated.effective_at if allocated is not None else None,
        write(allocated) if allocated is not None else None,
        write(outcome),
        request.attempt,
        tried.waiter.request if allocated is None else None,
    )


def outputs_of(key: Key, allocated: bytes | None, outcome: bytes) -> list[Output]:
    """What is published of a movement that was decided, from what is stored of it."""
    if allocated is None:
        return [Output(OUTCOME_REJECTED, *key, outcome)]
    units = [Output(UNITS_ALLOCATED, *key, allocated)] if has_units(allocated) else []
    return [Output(MOVEMENT_ALLOCATED, *key, allocated), *units, Output(OUTCOME_ACCEPTED, *key, outcome)]


def _note(judged: Accepted | Rejected) -> None:
    request = judged.request
    if isinstance(judged, Accepted):
        log.debug("accepted", source=request.source, id=request.id, trace=request.trace)
    else:
        codes = sorted({refusal.code for refusal in judged.outcome.reasons})
        log.info("rejected", source=request.source, id=request.id, trace=request.trace, codes=codes)


def _key(each: Input) -> Key:
    return (each.value.source, each.value.id)
