"""Receiving's handlers: definitions and requested movements, a set at a time.

Each reads what it needs, calls one pure function, writes what that returned, and answers every source.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.receiving.decide.allocation import Accepted, Rejected, allocate
from services.receiving.decide.bringing import expiry
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.masters import Known, judge, stock_account
from services.receiving.store import inbox
from services.receiving.store.locking import lock_stock
from services.receiving.store.masters import load_known, save_definitions
from services.receiving.store.saving import save_stock
from shared.contracts import masters
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope, raw_movements
from shared.contracts.movement import MOVEMENTS_LIMIT, MovementRequested
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import (
    MASTERS,
    MOVEMENT_ALLOCATED,
    MOVEMENT_REQUESTED,
    OUTCOME_ACCEPTED,
    OUTCOME_REJECTED,
)
from shared.errors import Reason
from shared.logs import logger
from shared.parked import Parked, park
from shared.service import Handled, Handler, Input, Key, Output, Service

Clock = Callable[[], datetime]

NAME = "receiving"
_log = logger(NAME)


class _Named(msgspec.Struct):
    """The least of a movement: what names it, whatever else is wrong with it."""

    id: str


_movements = decoder(MovementRequested)
_named = decoder(_Named)
_definitions = {kind: decoder(struct) for kind, struct in MASTERS.items()}


def now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


def service(clock: Clock = now, limits: Limits = Limits()) -> Service:  # noqa: B008 - an immutable value
    """The receiving service; `clock` gives the time of acceptance."""
    definitions = Handler(read_definition, partial(define, clock=clock))
    movements = Handler(read_movements, partial(allocate_movements, clock=clock, limits=limits))
    handlers = {**dict.fromkeys(MASTERS, definitions), MOVEMENT_REQUESTED: movements}
    return Service(NAME, handlers, prefetch=1_000)


def read_movements(envelope: Envelope) -> list[Input]:
    """The movements of an event; one whose fields are wrong but whose id is readable is kept, to be rejected."""
    raw = raw_movements(envelope.data)
    if len(raw) > MOVEMENTS_LIMIT:
        raise Malformed(f"{len(raw)} movements in one message, {MOVEMENTS_LIMIT} at most")
    return [
        Input(envelope.source, envelope.type, _request(envelope, each), bytes(each), envelope.traceparent)
        for each in raw
    ]


def _request(envelope: Envelope, raw: msgspec.Raw) -> Request:
    try:
        movement = read(_movements, raw)
    except Malformed as error:
        identifier = read(_named, raw).id
        if not 0 < len(identifier) <= _IDENTIFIER_LENGTH:
            raise
        return Request(envelope.source, identifier, digest(bytes(raw)), problem=str(error), trace=envelope.traceparent)
    return Request(envelope.source, movement.id, digest(movement), movement, trace=envelope.traceparent)


def read_definition(envelope: Envelope) -> list[Input]:
    """The definition of an event; wrong fields are kept as `Malformed`, to be rejected."""
    try:
        value: Any = read(_definitions[envelope.type], envelope.data)
    except Malformed as error:
        value = error
    return [Input(envelope.source, envelope.type, (envelope.id, value), bytes(envelope.data), envelope.traceparent)]


def allocate_movements(inputs: Sequence[Input], connection: Connection, clock: Clock, limits: Limits) -> Handled:
    """Take or create the serials and batches that the requested movements need; answer each source."""
    asked = _first_of_each(inputs)
    answered = inbox.answered_movements(connection, asked)
    told = _without_conflicts(connection, inputs, asked, answered)
    new = [request for key, request in asked.items() if key not in answered]
    stock = lock_stock(connection, new, limits)
    decided = allocate(new, stock, clock(), limits)
    save_stock(connection, stock, [event for each in decided if isinstance(each, Accepted) for event in each.events])
    rows = [_movement_row(each) for each in decided]
    inbox.save_movements(connection, rows)
    for each in decided:
        _note(each)
    outputs = [output for row in rows for output in _outputs(row.source, row.id, row.allocated, row.outcome)]
    for source, identifier in told:
        stored = answered[source, identifier]
        outputs.extend(_outputs(source, identifier, stored.allocated, stored.outcome))
    return Handled(outputs)


def _first_of_each(inputs: Iterable[Input]) -> dict[Key, Request]:
    asked: dict[Key, Request] = {}
    for each in inputs:
        asked.setdefault((each.value.source, each.value.id), each.value)
    return asked


def _without_conflicts(
    connection: Connection,
    inputs: Sequence[Input],
    asked: Mapping[Key, Request],
    answered: Mapping[Key, inbox.Answered],
) -> list[Key]:
    """The keys whose stored answer is told again; an id with other content than before is parked, never applied."""
    told: dict[Key, None] = {}
    conflicts = []
    for each in inputs:
        key = (each.value.source, each.value.id)
        known = answered[key].digest if key in answered else asked[key].digest
        if each.value.digest != known:
            conflicts.append(_conflict(each, key))
        elif key in answered:
            told[key] = None
    park(connection, NAME, conflicts)
    return list(told)


def _conflict(each: Input, key: Key) -> Parked:
    _log.warning("conflicting_duplicate", source=key[0], movement=key[1], trace=each.trace)
    error = "this id was used before, with other content"
    return Parked("conflicting_duplicate", error, each.raw, each.kind, *key)


def _movement_row(decided: Accepted | Rejected) -> inbox.MovementRow:
    request, outcome = decided.request, decided.outcome
    allocated = decided.allocated if isinstance(decided, Accepted) else None
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
    )


def _outputs(source: str, identifier: str, allocated: bytes | None, outcome: bytes) -> list[Output]:
    if allocated is None:
        return [Output(OUTCOME_REJECTED, source, identifier, outcome)]
    return [
        Output(MOVEMENT_ALLOCATED, source, identifier, allocated),
        Output(OUTCOME_ACCEPTED, source, identifier, outcome),
    ]


def _note(decided: Accepted | Rejected) -> None:
    request = decided.request
    if isinstance(decided, Accepted):
        _log.debug("accepted", source=request.source, movement=request.id, trace=request.trace)
    else:
        codes = sorted({refusal.code for refusal in decided.outcome.reasons})
        _log.info("rejected", source=request.source, movement=request.id, trace=request.trace, codes=codes)


def define(inputs: Sequence[Input], connection: Connection, clock: Clock) -> Handled:
    """Take over the definitions of one kind that nothing speaks against; answer each source."""
    kind = inputs[0].kind
    asked: dict[Key, Any] = {}
    for each in inputs:
        asked.setdefault((each.source, each.value[0]), each.value[1])
    answered = inbox.answered_definitions(connection, asked)
    new = {key: value for key, value in asked.items() if key not in answered}
    readable = [value for value in new.values() if not isinstance(value, Malformed)]
    known = load_known(connection, readable)
    reasons = {key: _against(value, known) for key, value in new.items()}
    accepted = [value for key, value in new.items() if not reasons[key]]
    save_definitions(connection, [_completed(value, known) for value in accepted])
    at = clock()
    rows = [_definition_row(kind, key, new[key], reasons[key], at) for key in new]
    inbox.save_definitions(connection, rows)
    told = [(row.source, row.id, row.accepted, row.outcome) for row in rows]
    told += [(*key, each.accepted, each.outcome) for key, each in answered.items()]
    return Handled([_definition_output(*each) for each in told])


def _against(value: Any, known: Known) -> list[Reason]:
    if isinstance(value, Malformed):
        return [Reason("malformed", None, {"problem": str(value)})]
    return judge(value, known)


def _completed(definition: Any, known: Known) -> Any:
    """A definition with what it leaves to us: a batch's expiry from its shelf life, a warehouse's stock account."""
    if isinstance(definition, masters.BatchDefined) and definition.expires_on is None:
        item = known.items[definition.company, definition.item]
        return msgspec.structs.replace(definition, expires_on=expiry(item, definition.manufactured_on))
    if isinstance(definition, masters.WarehouseDefined):
        company = known.companies[definition.company]
        return msgspec.structs.replace(definition, account=stock_account(definition, company))
    return definition


def _definition_row(kind: str, key: Key, value: Any, reasons: Sequence[Reason], at: datetime) -> inbox.DefinitionRow:
    source, identifier = key
    named = kind.rpartition(".")[0]
    company = getattr(value, "company", None)
    outcome: OutcomeAccepted | OutcomeRejected
    if reasons:
        told = [Refusal(code=each.code, facts=dict(each.facts)) for each in reasons]
        outcome = OutcomeRejected(
            source=source, id=identifier, kind=named, company=company, recorded_at=at, reasons=told
        )
        _log.info("rejected", source=source, definition=identifier, kind=named, codes=[each.code for each in reasons])
    else:
        outcome = OutcomeAccepted(source=source, id=identifier, kind=named, company=company, recorded_at=at)
    content = value if not isinstance(value, Malformed) else str(value)
    return inbox.DefinitionRow(source, identifier, named, digest(content), not reasons, at, write(outcome))


def _definition_output(source: str, identifier: str, accepted: bool, outcome: bytes) -> Output:
    return Output(OUTCOME_ACCEPTED if accepted else OUTCOME_REJECTED, source, identifier, outcome)


_IDENTIFIER_LENGTH = 200
