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
from services.receiving.handlers.answering import (
    Outcome,
    answer,
    key_of,
    malformed,
    refused,
    save_answers,
    sort_out,
    undecided,
)
from services.receiving.handlers.gate import (
    Gate,
    Settled,
    known_senders,
    tally,
    told_again,
    turn_away,
    wake,
    who_waits,
)
from services.receiving.store import periods
from services.receiving.store.masters import load_known, save_definitions
from services.receiving.store.waiting import Waiter
from shared.contracts import masters
from shared.contracts.codec import Malformed
from shared.contracts.outcome import OutcomeAccepted
from shared.contracts.registry import PERIOD_CLOSED, PERIOD_REOPENED
from shared.errors import Reason
from shared.gs1 import GTIN_LENGTH
from shared.service import Input, Key, Output

_NOBODY_BARRED: Mapping[Key, Sequence[Reason]] = {}


def define(inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Take over the definitions of one kind that nothing speaks against; answer each source."""
    now = gate.clock()
    senders = known_senders(connection, inputs, gate, also=_sources_defined(inputs))
    inputs, turned_away = turn_away(connection, inputs, senders)
    users: dict[Key, str | None] = {}
    for each in inputs:
        users.setdefault(key_of(each), each.user)
    known = sort_out(connection, inputs, now)
    barred = {key: _against_definers(value, users[key], senders) for key, (_, value) in known.new.items()}
    settled = _judge(connection, list(known.new.values()), gate, now, barred=barred)
    told = periods.outputs_of(connection, known.answered) if _is_of_periods(inputs) else []
    told += known.told_again()
    return told_again(settled, told, len(known.answered), known.conflicts, turned_away)


def try_again(waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge definitions of one kind again that waited; one that was decided meanwhile just waits no longer."""
    return _judge(connection, undecided(connection, waiters), gate, gate.clock(), waited=True)


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
    outcomes: dict[Key, Outcome] = {}
    for each, value in asked:
        reasons = barred.get(each.key) or _against(value, known)
        outcomes[each.key] = answer(each, getattr(value, "company", None), reasons, now)
    early = refused((each, outcomes[each.key]) for each, _ in asked)
    waits = who_waits(connection, early, gate, now, waited=waited)
    accepted = [(each, value) for each, value in asked if isinstance(outcomes[each.key], OutcomeAccepted)]
    save_definitions(connection, [_completed(value, known) for _, value in accepted], known.now)
    told = _change_books(connection, accepted, known)
    decided = [(each, outcomes[each.key]) for each, _ in asked if each.key not in waits]
    told += save_answers(connection, decided, waited=waited)
    woke = wake(connection, lambda: {lack for _, value in accepted for lack in _brought(value)}, now)
    return Settled(told, woke, tally([outcome for _, outcome in decided], len(waits), woke, waited=waited))


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


def _against(value: Any, known: Known) -> list[Reason]:
    if isinstance(value, Malformed):
        return [malformed(value)]
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
