"""Manifests: what a source says that it sent of a day is compared with what arrived, and the source is told.

One that may only be early, because something of it is still missing or waits, is looked at again at growing intervals,
and answered when it is complete or when its source's patience ends. One that is sent again once it was answered is
answered by how things stand now.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from services.receiving.decide.manifests import faults, may_still_come, reconcile
from services.receiving.handlers.gate import NAME, Gate, Settled, conflict, known_senders, log, told_again, turn_away
from services.receiving.store import inbox, manifests, waiting
from services.receiving.store.manifests import Kept, Known
from services.receiving.store.numbers import find
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope
from shared.contracts.manifest import SourceManifest, SourceReconciled
from shared.contracts.outcome import OutcomeRejected, Refusal
from shared.contracts.registry import OUTCOME_RECONCILED, OUTCOME_REJECTED, SOURCE_MANIFEST
from shared.errors import Reason
from shared.parked import park
from shared.patience import next_try
from shared.service import Handled, Input, Key, Output, Result, Step

TELL_AGAIN = timedelta(minutes=1)
"""After so long what was answered by a sweep is told again, if nothing says that it was told."""

_manifests = decoder(SourceManifest)


def read_manifest(envelope: Envelope) -> list[Input]:
    """The manifest of an event; wrong fields are kept as text, to be rejected."""
    raw = bytes(envelope.data)
    return [Input(envelope.source, envelope.type, _decoded(raw), raw, envelope.traceparent, envelope.id)]


def _decoded(raw: bytes) -> SourceManifest | str:
    try:
        return read(_manifests, raw)
    except Malformed as error:
        return str(error)


def answer_manifests(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Keep manifests, and answer each source, as far as nothing is to be waited for."""
    now = gate.clock()
    inputs, turned_away = turn_away(connection, inputs, known_senders(connection, inputs, gate))
    asked: dict[Key, Input] = {}
    for each in inputs:
        asked.setdefault(_key(each), each)
    refused = inbox.answered_definitions(connection, asked)
    known = manifests.known_manifests(connection, asked)
    digests = {key: digest(each.value) for key, each in asked.items()}
    digests |= {key: before.digest for key, before in known.items()}
    digests |= {key: before.digest for key, before in refused.items()}
    conflicts = [conflict(each, _key(each)) for each in inputs if digest(each.value) != digests[_key(each)]]
    park(connection, NAME, conflicts)
    new = _take(connection, [each for key, each in asked.items() if key not in refused and key not in known], gate, now)
    again = [each for key, each in asked.items() if key in known and _is_asked_again(each, known[key])]
    told = _tell(connection, [_answer(connection, each, now) for each in again])
    told += [Output(OUTCOME_REJECTED, *key, each.outcome) for key, each in refused.items() if not each.accepted]
    return told_again(new, told, len(told), len(conflicts), turned_away)


def answer_due(gate: Gate) -> Step:
    """A step that looks at the manifests that are due, one after another."""

    def look(connection: Connection) -> Handled:
        if not manifests.is_any_due(connection, gate.clock()):
            return Handled()
        # What cannot be looked at now must not keep the others waiting.
        return Handled(then=partial(_answer_next, gate), otherwise=lambda _: partial(_put_off_next, gate))

    return look


def _is_asked_again(each: Input, known: Known) -> bool:
    """Whether it says the same as one that was answered; one that still waits goes on waiting."""
    return known.is_answered and digest(each.value) == known.digest


def _take(connection: Connection, new: Sequence[Input], gate: Gate, now: datetime) -> Settled:
    """Keep what came for the first time, and answer what is complete, or whose source does not wait."""
    if not new:
        return Settled()
    patience = waiting.patience_of(connection, {each.source for each in new}, gate.limits.patience)
    refusals = {_key(each): _faults(each.value) for each in new}
    rejected = [_reject(connection, each, refusals[_key(each)], now) for each in new if refusals[_key(each)]]
    sound = [each for each in new if not refusals[_key(each)]]
    answers = []
    for each in sound:
        kept = Kept(each.source, each.id or "", each.raw, each.trace, now)
        manifests.add_manifest(connection, kept, digest(each.value), each.value)
        answer = _answer(connection, each, now)
        due_at = next_try(now, patience[each.source], now) if may_still_come(answer) else None
        if due_at is None:
            answers.append(answer)
        else:
            manifests.put_off(connection, _key(each), due_at)
    counts = Counter((Result.REJECTED, reasons[0].code) for reasons in refusals.values() if reasons)
    counts += Counter({(Result.ACCEPTED, ""): len(answers), (Result.WAITING, ""): len(sound) - len(answers)})
    return Settled([*rejected, *_tell(connection, answers)], counts=counts)


def _answer_next(gate: Gate, connection: Connection) -> Handled:
    """Answer the first that is due, or put it off once more; what was told is noted once it is confirmed."""
    now = gate.clock()
    kept = manifests.next_due(connection, now)
    if kept is None:
        return Handled()
    answer = _reconciled(connection, (kept.source, kept.id), read(_manifests, kept.request), now)
    patience = waiting.patience_of(connection, [kept.source], gate.limits.patience)[kept.source]
    due_at = next_try(kept.since, patience, now) if may_still_come(answer) else None
    if due_at is not None:
        manifests.put_off(connection, (kept.source, kept.id), due_at)
        return Handled(then=answer_due(gate))
    # No outbox: what was answered is answered anew until it is known that it was told.
    outputs = _tell(connection, [answer], now + TELL_AGAIN)
    return Handled(outputs, then=partial(_note_told, gate, answer), counts={(Result.RELEASED, ""): 1})


def _note_told(gate: Gate, answer: SourceReconciled, connection: Connection) -> Handled:
    manifests.note_told(connection, answer)
    return Handled(then=answer_due(gate))


def _put_off_next(gate: Gate, connection: Connection) -> Handled:
    now = gate.clock()
    kept = manifests.next_due(connection, now)
    if kept is not None:
        log.error("not compared", source=kept.source, id=kept.id, kind=SOURCE_MANIFEST, trace=kept.trace)
        manifests.put_off(connection, (kept.source, kept.id), now + TELL_AGAIN)
    return Handled(then=answer_due(gate))


def _answer(connection: Connection, each: Input, now: datetime) -> SourceReconciled:
    return _reconciled(connection, _key(each), each.value, now)


def _reconciled(connection: Connection, key: Key, manifest: SourceManifest, now: datetime) -> SourceReconciled:
    answer = reconcile(*key, manifest, find(connection, key[0], manifest), now)
    log.info("reconciled", source=key[0], id=key[1], result=answer.result, missing=answer.missing_count)
    return answer


def _tell(
    connection: Connection, answers: Sequence[SourceReconciled], told_again_at: datetime | None = None
) -> list[Output]:
    """What sources are told; each answer is kept too."""
    manifests.save_answers(connection, answers, told_again_at)
    return [Output(OUTCOME_RECONCILED, each.source, each.id, write(each)) for each in answers]


def _faults(value: SourceManifest | str) -> list[Reason]:
    return [Reason("malformed", None, {"problem": value})] if isinstance(value, str) else faults(value)


def _reject(connection: Connection, each: Input, reasons: Sequence[Reason], now: datetime) -> Output:
    """Refuse a manifest for good; it is kept among the definitions that were refused."""
    source, identifier = _key(each)
    kind = SOURCE_MANIFEST.rpartition(".")[0]
    told = [Refusal(code=reason.code, facts=dict(reason.facts)) for reason in reasons]
    outcome = write(OutcomeRejected(source=source, id=identifier, kind=kind, recorded_at=now, reasons=told))
    row = inbox.DefinitionRow(
        source, identifier, kind, digest(each.value), accepted=False, recorded_at=now, outcome=outcome
    )
    inbox.save_definitions(connection, [row])
    codes = [reason.code for reason in reasons]
    log.info("rejected", source=source, id=identifier, kind=kind, trace=each.trace, codes=codes)
    return Output(OUTCOME_REJECTED, source, identifier, outcome)


def _key(each: Input) -> Key:
    return (each.source, each.id or "")
