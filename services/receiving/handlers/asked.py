"""What is asked one at a time under the id of its event, and answered once: reservations and cycle counts.

What all of it has in common stands here: the same again is told again, other content is parked, what is refused for
what may still come waits, and every answer is kept with the definitions'. What is decided, and written, is a judge's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

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
from services.receiving.store import inbox, waiting
from services.receiving.store.waiting import Waiter
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import OUTCOME_ACCEPTED, OUTCOME_REJECTED, STRUCTS
from shared.errors import Reason
from shared.parked import park
from shared.service import Input, Key, Output

Outcome = OutcomeAccepted | OutcomeRejected

AT_ONCE = frozenset({"insufficient_stock", "serial_not_here", "unknown_serial"})
"""What is answered at once, though it may come to be otherwise: who asks for goods wants to know what there is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of each, and what others may have lacked until now."""

    outcomes: Mapping[Key, Outcome]
    brought: Sequence[str] = ()


Judge = Callable[[Connection, Sequence[tuple[Waiter, Any]], Gate, datetime], Judged]
"""Judges some of one kind, with what was sent, in their order; and writes what that changes."""
Judges = Mapping[str, Judge]
"""The judge of each kind."""


def read_asked(envelope: Envelope) -> list[Input]:
    """What an event asks; wrong fields are kept as `Malformed`, to be rejected."""
    raw = bytes(envelope.data)
    value = (envelope.id, _decoded(envelope.type, raw))
    return [Input(envelope.source, envelope.type, value, raw, envelope.traceparent, envelope.id)]


def _decoded(kind: str, data: bytes) -> Any:
    try:
        return read(decoder(STRUCTS[kind]), data)
    except Malformed as error:
        return error


def take_asked(judges: Judges, inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Judge what is asked, all of one kind, and answer each source."""
    now = gate.clock()
    inputs, turned_away = turn_away(connection, inputs, known_senders(connection, inputs, gate))
    asked: dict[Key, tuple[Waiter, Any]] = {}
    for each in inputs:
        identifier, value = each.value
        asked.setdefault(_key(each), (newcomer(each, identifier, _digest(value), now), value))
    answered = inbox.answered_definitions(connection, asked)
    waits = waiting.waiting_digests(connection, asked)
    digests = {key: first.digest for key, (first, _) in asked.items()}
    digests |= waits | {key: each.digest for key, each in answered.items()}
    conflicts = [conflict(each, _key(each)) for each in inputs if _digest(each.value[1]) != digests[_key(each)]]
    park(connection, NAME, conflicts)
    new = [each for key, each in asked.items() if key not in answered and key not in waits]
    settled = _settle(judges, connection, new, gate, now)
    told = [_output(*key, each.outcome, accepted=each.accepted) for key, each in answered.items()]
    return told_again(settled, told, len(answered), len(conflicts), turned_away)


def try_again(judges: Judges, waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge some of one kind again that waited; one that was decided meanwhile just waits no longer."""
    over = inbox.answered_definitions(connection, [each.key for each in waiters])
    waiting.forget_waiting(connection, over.keys())
    asked = [(each, _decoded(each.kind, each.request)) for each in waiters if each.key not in over]
    return _settle(judges, connection, asked, gate, gate.clock(), waited=True)


def _settle(
    judges: Judges,
    connection: Connection,
    asked: Sequence[tuple[Waiter, Any]],
    gate: Gate,
    now: datetime,
    *,
    waited: bool = False,
) -> Settled:
    if not asked:
        return Settled()
    sound = [each for each in asked if not isinstance(each[1], Malformed)]
    judged = judges[asked[0][0].kind](connection, sound, gate, now)
    outcomes = {each.key: judged.outcomes.get(each.key) or _malformed(each, value, now) for each, value in asked}
    refused = [(each, told) for each, _ in asked if _may_come(told := outcomes[each.key])]
    waits = who_waits(connection, _rejections(refused), gate, now, waited=waited)
    rows = [_row(each, outcomes[each.key]) for each, _ in asked if each.key not in waits]
    inbox.save_definitions(connection, rows)
    if waited:
        waiting.forget_waiting(connection, [(row.source, row.id) for row in rows])
    woke = wake(connection, lambda: judged.brought, now)
    final = [outcomes[row.source, row.id] for row in rows]
    outputs = [_output(row.source, row.id, row.outcome, accepted=row.accepted) for row in rows]
    return Settled(outputs, woke, tally(final, len(waits), woke, waited=waited))


def _may_come(told: Outcome) -> bool:
    """Whether it was refused, and not for what stands in stock."""
    return isinstance(told, OutcomeRejected) and not any(each.code in AT_ONCE for each in told.reasons)


def _rejections(pairs: Iterable[tuple[Waiter, Outcome]]) -> list[tuple[Waiter, OutcomeRejected]]:
    return [(each, told) for each, told in pairs if isinstance(told, OutcomeRejected)]


def _malformed(each: Waiter, problem: Malformed, at: datetime) -> Outcome:
    return answer(each, None, [Reason("malformed", None, {"problem": str(problem)})], at)


def answer(each: Waiter, company: str | None, reasons: Sequence[Reason], at: datetime) -> Outcome:
    """What its source is told: accepted, or every reason against it."""
    kind = each.kind.rpartition(".")[0]
    about: dict[str, Any] = {"source": each.source, "id": each.id, "kind": kind, "company": company}
    if not reasons:
        return OutcomeAccepted(**about, recorded_at=at, attempt=each.attempt)
    told = [Refusal(code=reason.code, facts=dict(reason.facts)) for reason in reasons]
    return OutcomeRejected(**about, recorded_at=at, reasons=told, attempt=each.attempt)


def _row(each: Waiter, outcome: Outcome) -> inbox.DefinitionRow:
    accepted = isinstance(outcome, OutcomeAccepted)
    if isinstance(outcome, OutcomeRejected):
        codes = [reason.code for reason in outcome.reasons]
        log.info("rejected", source=each.source, id=each.id, kind=outcome.kind, trace=each.trace, codes=codes)
    return inbox.DefinitionRow(
        each.source, each.id, outcome.kind, each.digest, accepted, outcome.recorded_at, write(outcome)
    )


def _output(source: str, identifier: str, outcome: bytes, *, accepted: bool) -> Output:
    return Output(OUTCOME_ACCEPTED if accepted else OUTCOME_REJECTED, source, identifier, outcome)


def _key(each: Input) -> Key:
    return (each.source, each.value[0])


def _digest(value: Any) -> bytes:
    return digest(str(value) if isinstance(value, Malformed) else value)
