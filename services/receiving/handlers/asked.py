"""What is asked one at a time under the id of its event, and answered once: reservations, cycle counts and recalls.

What is refused for what may still come waits; for what stands in stock it is answered at once. What is decided, and
what that writes, is a judge's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.handlers.answering import (
    Outcome,
    answer,
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
from services.receiving.store.waiting import Waiter
from shared.contracts.codec import Malformed
from shared.contracts.outcome import OutcomeRejected
from shared.service import Input, Key

AT_ONCE = frozenset({"insufficient_stock", "serial_not_here", "unknown_serial"})
"""What is answered at once, though it may come to be otherwise: who asks for goods wants to know what there is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of each, and what others may have lacked until now; `at_once`: nothing of it waits."""

    outcomes: Mapping[Key, Outcome]
    brought: Sequence[str] = ()
    at_once: bool = False


Judge = Callable[[Connection, Sequence[tuple[Waiter, Any]], Gate, datetime], Judged]
"""Judges some of one kind, with what was sent, in their order; and writes what that changes."""
Judges = Mapping[str, Judge]
"""The judge of each kind."""


def take_asked(judges: Judges, inputs: Sequence[Input], connection: Connection, gate: Gate) -> Settled:
    """Judge what is asked, all of one kind, and answer each source."""
    now = gate.clock()
    inputs, turned_away = turn_away(connection, inputs, known_senders(connection, inputs, gate))
    known = sort_out(connection, inputs, now)
    settled = _settle(judges, connection, list(known.new.values()), gate, now)
    return told_again(settled, known.told_again(), len(known.answered), known.conflicts, turned_away)


def try_again(judges: Judges, waiters: Sequence[Waiter], connection: Connection, gate: Gate) -> Settled:
    """Judge some of one kind again that waited; one that was decided meanwhile just waits no longer."""
    return _settle(judges, connection, undecided(connection, waiters), gate, gate.clock(), waited=True)


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
    rejected = refused((each, outcomes[each.key]) for each, _ in asked)
    early = [(each, told) for each, told in rejected if not (judged.at_once or _is_of_stock(told))]
    waits = who_waits(connection, early, gate, now, waited=waited)
    decided = [(each, outcomes[each.key]) for each, _ in asked if each.key not in waits]
    outputs = save_answers(connection, decided, waited=waited)
    woke = wake(connection, lambda: judged.brought, now)
    return Settled(outputs, woke, tally([told for _, told in decided], len(waits), woke, waited=waited))


def _is_of_stock(told: OutcomeRejected) -> bool:
    """Whether it was refused for what stands in stock."""
    return any(each.code in AT_ONCE for each in told.reasons)


def _malformed(each: Waiter, problem: Malformed, at: datetime) -> Outcome:
    return answer(each, None, [malformed(problem)], at)
