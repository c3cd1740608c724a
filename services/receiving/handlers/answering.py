"""What is sent under the id of its event, and answered once: definitions, and whatever else is asked one at a time.

Definitions of one type may come several in an event, each under an id of its own: a definition is the same one either
way. The same again is told again, other content is parked, what waits goes on waiting; every answer is kept with the
definitions'. What is decided, and what that writes, is not said here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.handlers.gate import NAME, conflict, log, newcomer
from services.receiving.store import inbox, waiting
from services.receiving.store.waiting import Waiter
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope, raw_definitions, read_definition
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import NAMED_BY_EVENT, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.errors import Reason
from shared.parked import park
from shared.service import Input, Key, Output

Outcome = OutcomeAccepted | OutcomeRejected

_decoders = {kind: decoder(struct) for kind, struct in NAMED_BY_EVENT.items()}


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is `new` and to be judged, what was answered and is told again, and how many were parked."""

    new: Mapping[Key, tuple[Waiter, Any]]
    answered: Mapping[Key, inbox.Answered]
    conflicts: int

    def told_again(self) -> list[Output]:
        return [output_of(*key, each.outcome, accepted=each.accepted) for key, each in self.answered.items()]


def read_named(envelope: Envelope) -> list[Input]:
    """What an event says; wrong fields are kept as `Malformed`, to be rejected."""
    raw = bytes(envelope.data)
    value = (envelope.id, _decoded(envelope.type, raw))
    return [Input(envelope.source, envelope.type, value, raw, envelope.traceparent, envelope.id)]


def read_definitions(envelope: Envelope) -> list[Input]:
    """The definition that an event is, or those that it carries; one without a readable id is `Malformed` itself."""
    several = raw_definitions(envelope.data)
    if several is None:
        return read_named(envelope)
    if not several:
        raise Malformed("no definitions in the message, so nobody could be answered")
    if len(several) > DEFINITIONS_LIMIT:
        raise Malformed(f"{len(several)} definitions in one message, {DEFINITIONS_LIMIT} at most")
    return [_one_of_several(envelope, bytes(each)) for each in several]


def sort_out(connection: Connection, inputs: Sequence[Input], now: datetime) -> Sorted:
    """Which inputs are new, by what was answered and what waits; other content under a known id is parked."""
    contents = [_digest(each.value[1]) for each in inputs]
    asked: dict[Key, tuple[Waiter, Any]] = {}
    for each, content in zip(inputs, contents, strict=True):
        identifier, value = each.value
        asked.setdefault(key_of(each), (newcomer(each, identifier, content, now), value))
    answered = inbox.answered_definitions(connection, asked)
    waits = waiting.waiting_digests(connection, asked)
    digests = {key: first.digest for key, (first, _) in asked.items()}
    digests |= waits | {key: each.digest for key, each in answered.items()}
    said = zip(inputs, contents, strict=True)
    conflicts = [conflict(each, key_of(each)) for each, content in said if content != digests[key_of(each)]]
    park(connection, NAME, conflicts)
    new = {key: each for key, each in asked.items() if key not in answered and key not in waits}
    return Sorted(new, answered, len(conflicts))


def undecided(connection: Connection, waiters: Sequence[Waiter]) -> list[tuple[Waiter, Any]]:
    """Waiters, with what they sent; one that was decided meanwhile just waits no longer."""
    over = inbox.answered_definitions(connection, [each.key for each in waiters])
    waiting.forget_waiting(connection, over.keys())
    return [(each, _decoded(each.kind, each.request)) for each in waiters if each.key not in over]


def answer(each: Waiter, company: str | None, reasons: Sequence[Reason], at: datetime) -> Outcome:
    """What its source is told: accepted, or every reason against it."""
    kind = each.kind.rpartition(".")[0]
    about: dict[str, Any] = {"source": each.source, "id": each.id, "kind": kind, "company": company}
    if not reasons:
        return OutcomeAccepted(**about, recorded_at=at, attempt=each.attempt)
    told = [Refusal(code=reason.code, facts=dict(reason.facts)) for reason in reasons]
    return OutcomeRejected(**about, recorded_at=at, reasons=told, attempt=each.attempt)


def malformed(problem: Malformed) -> Reason:
    """The reason against what cannot be read."""
    return Reason("malformed", None, {"problem": str(problem)})


def refused(pairs: Iterable[tuple[Waiter, Outcome]]) -> list[tuple[Waiter, OutcomeRejected]]:
    """Those that were refused."""
    return [(each, told) for each, told in pairs if isinstance(told, OutcomeRejected)]


def save_answers(connection: Connection, decided: Sequence[tuple[Waiter, Outcome]], *, waited: bool) -> list[Output]:
    """Keep answers, and forget who waited for one; what is told of them."""
    rows = [_row(each, outcome) for each, outcome in decided]
    inbox.save_definitions(connection, rows)
    if waited:
        waiting.forget_waiting(connection, [(row.source, row.id) for row in rows])
    return [output_of(row.source, row.id, row.outcome, accepted=row.accepted) for row in rows]


def output_of(source: str, identifier: str, outcome: bytes, *, accepted: bool) -> Output:
    """What is told of a stored answer."""
    return Output(OUTCOME_ACCEPTED if accepted else OUTCOME_REJECTED, source, identifier, outcome)


def key_of(each: Input) -> Key:
    """What names an input for ever."""
    return (each.source, each.value[0])


def _one_of_several(envelope: Envelope, raw: bytes) -> Input:
    """One of several, as it would have come alone."""
    source, kind, trace = envelope.source, envelope.type, envelope.traceparent
    try:
        named = read_definition(raw)
    except Malformed as error:
        return Input(source, kind, error, raw, trace)
    said = bytes(named.data)
    return Input(source, kind, (named.id, _decoded(kind, said)), said, trace, named.id)


def _decoded(kind: str, data: bytes) -> Any:
    try:
        return read(_decoders[kind], data)
    except Malformed as error:
        return error


def _row(each: Waiter, outcome: Outcome) -> inbox.DefinitionRow:
    accepted = isinstance(outcome, OutcomeAccepted)
    if isinstance(outcome, OutcomeRejected):
        codes = [reason.code for reason in outcome.reasons]
        log.info("rejected", source=each.source, id=each.id, kind=outcome.kind, trace=each.trace, codes=codes)
    return inbox.DefinitionRow(
        each.source, each.id, outcome.kind, each.digest, accepted, outcome.recorded_at, write(outcome)
    )


def _digest(value: Any) -> bytes:
    return digest(str(value) if isinstance(value, Malformed) else value)
