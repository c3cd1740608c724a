"""Definitions: master data taken over, a set of one kind at a time."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from services.receiving.decide import patience
from services.receiving.decide.bringing import expiry
from services.receiving.decide.masters import Known, judge, stock_account
from services.receiving.decide.periods import Asked, changes_told
from services.receiving.decide.senders import Senders, against_definer, take_over
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
from services.receiving.store import inbox, periods, waiting
from services.receiving.store.masters import load_known, save_definitions
from services.receiving.store.waiting import Waiter
from shared.contracts import masters
from shared.contracts.codec import Malformed, decoder, digest, read, write
from shared.contracts.envelope import Envelope
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import MASTERS, OUTCOME_ACCEPTED, OUTCOME_REJECTED, PERIOD_CLOSED, PERIOD_REOPENED
from shared.errors import Reason
from shared.gs1 import GTIN_LENGTH
from shared.parked import park
from shared.service import Input, Key, Output

Outcome = OutcomeAccepted | OutcomeRejected

_NOBODY_BARRED: Mapping[Key, Sequence[Reason]] = {}

_definitions = {kind: decoder(struct) for kind, struct in MASTERS.items()}


def read_definition(envelope: Envelope) -> list[Input]:
    """The definition of an event; wrong fields are kept as `Malformed`, to be rejected."""
    value = _decoded(envelope.type, bytes(envelope.data))
    source, kind, trace = envelope.source, envelope.type, envelope.traceparent
    return [Input(source, kind, (envelope.id, value), bytes(envelope.data), trace, envelope.id)]


def _decoded(kind: str, data: bytes) -> Any:
    try:
        return read(_definitions[kind], data)
    except Malformed as error:
        return error


def define(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Take over the definitions of one kind that nothing speaks against; answer each source."""
    now = gate.clock()
    senders = known_senders(connection, inputs, gate, also=_sources_defined(inputs))
    inputs, turned_away = turn_away(connection, inputs, senders)
    asked: dict[Key, tuple[Waiter, Any]] = {}
    users: dict[Key, str | None] = {}
    for each in inputs:
        identifier, value = each.value
        asked.setdefault(_key(each), (newcomer(each, identifier, _digest(value), now), value))
        users.setdefault(_key(each), each.user)
    answered = inbox.answered_definitions(connection, asked)
    waits = waiting.waiting_digests(connection, asked)
    known_digests = {key: first.digest for key, (first, _) in asked.items()}
    known_digests |= waits | {key: each.digest for key, each in answered.items()}
    conflicts = [conflict(each, _key(each)) for each in inputs if _digest(each.value[1]) != known_digests[_key(each)]]
    park(connection, NAME, conflicts)
    new = {key: each for key, each in asked.items() if key not in {*answered, *waits}}
    barred = {key: _against_definers(value, users[key], senders) for key, (_, value) in new.items()}
    settled = _judge(connection, list(new.values()), gate, now, barred=barred)
    told = periods.outputs_of(connection, answered) if _is_of_periods(inputs) else []
    told += [_output(*key, each.outcome, accepted=each.accepted) for key, each in answered.items()]
    return told_again(settled, told, len(answered), len(conflicts), turned_away)


def try_again(waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge definitions of one kind again that waited; one that was decided meanwhile just waits no longer."""
    over = inbox.answered_definitions(connection, [each.key for each in waiters])
    waiting.forget_waiting(connection, over.keys())
    asked = [(each, _decoded(each.kind, each.request)) for each in waiters if each.key not in over]
    return _judge(connection, asked, gate, gate.clock(), waited=True)


def _sources_defined(inputs: Sequence[Input]) -> Iterator[str]:
    return (value.source for _, value in (each.value for each in inputs) if isinstance(value, masters.SourceDefined))


def _against_definers(value: Any, user: str | None, senders: Senders) -> list[Reason]:
    """Why the sender may not define this; one that may is known to those after it."""
    reasons = against_definer(value, user, senders)
    if not reasons:
        take_over(value, senders)
    return reasons


def _judge(
    connection: Connection,
    asked: Sequence[tuple[Waiter, Any]],
    gate: Gate,
    now: datetime,
    *,
    barred: Mapping[Key, Sequence[Reason]] = _NOBODY_BARRED,
    waited: bool = False,
) -> Settled:
    if not asked:
        return Settled()
    known = load_known(connection, [value for _, value in asked if not isinstance(value, Malformed)])
    known.now = gate.clock()  # after its locks, so that nothing was accepted later and committed before
    outcomes = {
        each.key: _outcome(each, value, barred.get(each.key) or _against(value, known), now) for each, value in asked
    }
    refused = [(each, o) for each, _ in asked if isinstance(o := outcomes[each.key], OutcomeRejected)]
    waits = who_waits(connection, refused, gate, now, waited=waited)
    accepted = [value for each, value in asked if isinstance(outcomes[each.key], OutcomeAccepted)]
    save_definitions(connection, [_completed(value, known) for value in accepted], known.now)
    told = _change_books(connection, [each for each in asked if _is_accepted(outcomes[each[0].key])], known)
    rows = [_row(each, outcomes[each.key]) for each, _ in asked if each.key not in waits]
    inbox.save_definitions(connection, rows)
    if waited:
        waiting.forget_waiting(connection, [(row.source, row.id) for row in rows])
    woke = wake(connection, lambda: {lack for value in accepted for lack in _brought(value)}, now)
    outputs = [*told, *(_output(row.source, row.id, row.outcome, accepted=row.accepted) for row in rows)]
    final = [outcomes[row.source, row.id] for row in rows]
    return Settled(outputs, woke, tally(final, len(waits), woke, waited=waited))


def _change_books(connection: Connection, accepted: Sequence[tuple[Waiter, Any]], known: Known) -> list[Output]:
    """Close and reopen books, one change after another; what accounting is told of each."""
    asked = [
        Asked(each.source, each.id, value, each.trace)
        for each, value in accepted
        if isinstance(value, masters.PeriodClosed | masters.PeriodReopened)
    ]
    if not asked:
        return []
    told = changes_told(asked, known.books, known.companies, known.now)
    periods.save_changes(connection, told)
    return periods.outputs_of(connection, [(each.source, each.id) for each in told])


def _is_of_periods(inputs: Sequence[Input]) -> bool:
    return bool(inputs) and inputs[0].kind in (PERIOD_CLOSED, PERIOD_REOPENED)


def _is_accepted(outcome: Outcome) -> bool:
    return isinstance(outcome, OutcomeAccepted)


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


def _brought(definition: masters.Master) -> list[str]:
    """What others may have lacked until this definition came."""
    match definition:
        case masters.CompanyDefined(company=company):
            return [patience.company_key(company)]
        case masters.AccountsDefined(company=company):
            return [patience.account_key(company, each.account) for each in definition.accounts]
        case masters.ItemDefined(company=company, item=item, gtin=gtin):
            known = [] if gtin is None else [patience.gtin_key(company, gtin.zfill(GTIN_LENGTH))]
            return [patience.item_key(company, item), *known]
        case masters.WarehouseDefined(warehouse=warehouse):
            return [patience.warehouse_key(warehouse)]
        case masters.BatchDefined(company=company, item=item, batch=batch):
            return [patience.batch_key(company, item, batch.strip())]
    return []


def _outcome(each: Waiter, value: Any, reasons: Sequence[Reason], at: datetime) -> Outcome:
    kind = each.kind.rpartition(".")[0]
    company = getattr(value, "company", None)
    if not reasons:
        return OutcomeAccepted(
            source=each.source, id=each.id, kind=kind, company=company, recorded_at=at, attempt=each.attempt
        )
    told = [Refusal(code=reason.code, facts=dict(reason.facts)) for reason in reasons]
    return OutcomeRejected(
        source=each.source, id=each.id, kind=kind, company=company, recorded_at=at, reasons=told, attempt=each.attempt
    )


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
