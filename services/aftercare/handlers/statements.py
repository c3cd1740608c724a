"""Statements about units: judged by what is known of these, added to it, and answered."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection

from services.aftercare.decide.facts import Facts, Said, replaced_by
from services.aftercare.decide.judging import Verdict, day_of, judge, lacks, parts_of, unit_key, unit_of
from services.aftercare.decide.state import Known
from services.aftercare.handlers.covering import tell_coverage
from services.aftercare.handlers.gate import NAME, Gate, Settled, log
from services.aftercare.store import answers, facts
from services.aftercare.store import gate as outside
from services.aftercare.store.answers import Answer, Wait, Waiter
from shared.contracts.aftercare import ClaimOpened, Statement
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import OUTCOME_ACCEPTED, OUTCOME_REJECTED, STATEMENTS
from shared.errors import Reason
from shared.parked import Parked, park
from shared.patience import next_try
from shared.reading import sent_by
from shared.senders import Senders
from shared.service import Input, Key, Output, Result
from shared.strangers import turn_away

STATEMENT_LIMIT = 1024 * 1024
"""Bytes of a statement: all that may be in one is far less."""

_decoders = {kind: decoder(struct) for kind, struct in STATEMENTS.items()}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A statement as it came; `what` is Malformed where its fields are wrong."""

    waiter: Waiter
    what: Statement | Malformed

    @property
    def company(self) -> str | None:
        """The company that it names, where that could be read."""
        return None if isinstance(self.what, Malformed) else self.what.company


@dataclass(frozen=True, slots=True)
class _Judged:
    """A statement with what came of judging it; `said` is what is known from then on, of one that is accepted."""

    asked: _Asked
    verdict: Verdict
    said: Said | None = None


def read_statement(envelope: Envelope) -> list[Input]:
    """The statement of an event; wrong fields are kept as `Malformed`, to be rejected."""
    raw = bytes(envelope.data)
    if len(raw) > STATEMENT_LIMIT:
        raise Malformed(f"{len(raw)} bytes for one statement, {STATEMENT_LIMIT} at most")
    value = _decoded(envelope.type, raw)
    return [Input(envelope.source, envelope.type, (envelope.id, value), raw, envelope.traceparent, envelope.id)]


def take_statements(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Judge statements of one kind in their order, and answer each source; the same again has the same answer."""
    now = gate.clock()
    senders = Senders(outside.load_users(connection, {each.source for each in inputs}), gate.administrators)
    own, turned_away = turn_away(connection, NAME, inputs, senders)
    asked: dict[Key, _Asked] = {}
    for each in own:
        asked.setdefault(_key(each), _Asked(_newcomer(each, now), each.value[1]))
    answered = answers.answered(connection, asked)
    waits = answers.waiting_digests(connection, asked)
    known = {key: each.waiter.digest for key, each in asked.items()}
    known |= waits | {key: each.digest for key, each in answered.items()}
    conflicts = [_conflict(each) for each in own if _digest(each.value[1]) != known[_key(each)]]
    park(connection, NAME, conflicts)
    settled = _decide(connection, [each for key, each in asked.items() if key not in {*answered, *waits}], gate, now)
    settled.counts[Result.TOLD_AGAIN, ""] = len(answered)
    settled.counts[Result.PARKED, "conflicting_duplicate"] = len(conflicts)
    settled.counts.update({(Result.PARKED, code): count for code, count in turned_away.items()})
    again = [_output(key, each) for key, each in answered.items()]
    return Settled([*settled.outputs, *again], settled.told, settled.woke, settled.counts)


def try_again(waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge statements again that waited; one that was decided meanwhile just waits no longer."""
    over = answers.answered(connection, [each.key for each in waiters])
    answers.forget_waiting(connection, over.keys())
    asked = [_Asked(each, _decoded(each.kind, each.request)) for each in waiters if each.key not in over]
    settled = _decide(connection, asked, gate, gate.clock())
    answers.forget_waiting(connection, [(each.source, each.id) for each in settled.outputs])
    settled.counts[Result.RELEASED, ""] = len(settled.outputs)
    return settled


def _decide(connection: Connection, asked: Sequence[_Asked], gate: Gate, now: datetime) -> Settled:
    """Judge, add what is accepted, keep waiting who may only be early, and wake who lacked what came."""
    if not asked:
        return Settled()
    known = _known(connection, asked, gate)
    judged = [_judge(each, known) for each in asked]
    waits = _who_waits(connection, judged, gate, now)
    answers.keep_waiting(connection, waits.values())
    said = [each.said for each in judged if each.said is not None]
    facts.add_statements(connection, said)
    final = [each for each in judged if each.asked.waiter.key not in waits]
    told = {each.asked.waiter.key: _answer(each, known.now) for each in final}
    rows = ((each.asked.waiter, told[each.asked.waiter.key], each.asked.company, known.now) for each in final)
    answers.save_answers(connection, rows)
    units = {each.about for each in said} | {each.other for each in said if each.other is not None}
    covering = tell_coverage(connection, units) if units else []
    woke = answers.wake(connection, set(map(unit_key, units)), now)
    counts = Counter(_result(each.verdict, is_waiting=each.asked.waiter.key in waits) for each in judged)
    return Settled([_output(key, answer) for key, answer in told.items()], covering, woke, counts)


def _known(connection: Connection, asked: Sequence[_Asked], gate: Gate) -> Known:
    """All that these statements are judged by, under the locks of their units."""
    readable = [(each.waiter.source, each.what) for each in asked if not isinstance(each.what, Malformed)]
    units = {unit_of(what) for _, what in readable}
    units |= {other for _, what in readable if (other := replaced_by(what)) is not None}
    locked = facts.lock_units(connection, units)
    still = {unit for unit in units if not locked.get(unit, False)}
    registered = outside.registered(connection, still)
    facts.hold_units(connection, registered - set(locked), have_moved=False)
    parts = (parts_of(what, source) for source, what in readable)
    opened = {(what.company, what.claim) for _, what in readable if isinstance(what, ClaimOpened)}
    return Known(
        facts=facts.load_facts(connection, units) if units else Facts(),
        units={unit for unit, has_moved in locked.items() if has_moved},
        registered=registered,
        time_zones=outside.time_zones(connection, {what.company for _, what in readable}),
        claims=facts.taken_claims(connection, opened),
        movements=outside.accepted(connection, {each for each in parts if each is not None}),
        now=gate.clock(),  # after its locks, so that nothing was accepted later and committed before
    )


def _judge(asked: _Asked, known: Known) -> _Judged:
    """Judge a statement; one that is accepted is known to those after it."""
    what = asked.what
    if isinstance(what, Malformed):
        return _Judged(asked, Verdict([Reason("malformed", None, {"problem": str(what)})]))
    verdict = judge(what, asked.waiter.source, known)
    if verdict.reasons:
        return _Judged(asked, verdict)
    day = day_of(what.at, known.time_zones[what.company])
    said = Said(asked.waiter.key, unit_of(what), what, day, known.now, verdict.remarks)
    known.accept(said)
    return _Judged(asked, verdict, said)


def _who_waits(
    connection: Connection, judged: Iterable[_Judged], gate: Gate, now: datetime
) -> Mapping[Key, tuple[Waiter, Wait]]:
    """Those that lack nothing but what may still come, and whose source's patience lasts."""
    early = [(each.asked.waiter, lacked) for each in judged if (lacked := _lacks(each.asked, each.verdict))]
    patience = outside.patience_of(connection, {each.source for each, _ in early}, gate.patience) if early else {}
    found: dict[Key, tuple[Waiter, Wait]] = {}
    for waiter, lacked in early:
        due_at = next_try(waiter.since, patience[waiter.source], now)
        if due_at is not None:
            found[waiter.key] = (waiter, Wait(lacked, due_at, waiter.since + patience[waiter.source]))
            log.info("waits", source=waiter.source, id=waiter.id, trace=waiter.trace, lacks=lacked)
    return found


def _lacks(asked: _Asked, verdict: Verdict) -> list[str] | None:
    if isinstance(asked.what, Malformed) or not verdict.reasons:
        return None
    return lacks(asked.what, verdict.reasons)


def _result(verdict: Verdict, *, is_waiting: bool) -> tuple[Result, str]:
    if is_waiting:
        return Result.WAITING, ""
    return (Result.REJECTED, verdict.reasons[0].code) if verdict.reasons else (Result.ACCEPTED, "")


def _answer(judged: _Judged, at: datetime) -> Answer:
    waiter, verdict = judged.asked.waiter, judged.verdict
    kind, company = waiter.kind.rpartition(".")[0], judged.asked.company
    outcome: OutcomeAccepted | OutcomeRejected
    if verdict.reasons:
        codes = [each.code for each in verdict.reasons]
        log.info("rejected", source=waiter.source, id=waiter.id, kind=kind, trace=waiter.trace, codes=codes)
        told = [Refusal(code=each.code, facts=dict(each.facts)) for each in verdict.reasons]
        outcome = OutcomeRejected(
            source=waiter.source, id=waiter.id, kind=kind, company=company, recorded_at=at, reasons=told
        )
    else:
        outcome = OutcomeAccepted(
            source=waiter.source,
            id=waiter.id,
            kind=kind,
            company=company,
            recorded_at=at,
            remarks=list(verdict.remarks),
        )
    return Answer(waiter.digest, not verdict.reasons, write(outcome))


def _output(key: Key, answer: Answer) -> Output:
    return Output(OUTCOME_ACCEPTED if answer.accepted else OUTCOME_REJECTED, *key, answer.outcome)


def _newcomer(each: Input, now: datetime) -> Waiter:
    identifier, value = each.value
    return Waiter(each.source, identifier, each.kind, _digest(value), each.raw, each.trace, now)


def _decoded(kind: str, data: bytes) -> Statement | Malformed:
    try:
        statement: Statement = read(_decoders[kind], data)
    except Malformed as error:
        return error
    return _in_utc(statement)


def _in_utc(statement: Statement) -> Statement:
    """The same moment is the same content, whatever zone it was written in."""
    try:
        return msgspec.structs.replace(statement, at=statement.at.astimezone(UTC))
    except OverflowError:  # the first or the last hours of the calendar
        return statement


def _digest(value: Statement | Malformed) -> bytes:
    return digest(str(value) if isinstance(value, Malformed) else value)


def _conflict(each: Input) -> Parked:
    log.warning("conflicting_duplicate", source=each.source, id=each.id, trace=each.trace)
    error = "this id was used before, with other content"
    return Parked("conflicting_duplicate", error, each.raw, each.kind, each.source, each.id, sent_by(each.user))


def _key(each: Input) -> Key:
    return (each.source, each.value[0])
