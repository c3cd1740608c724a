"""Closed books: hearing that they were closed or reopened, and locking them once all from before is valued and booked.

What is told of it hangs on no single message (a reopening may take effect by a closing that came later), so it goes
through the outbox.
"""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import Connection

from services.accounting.decide.periods import on_locked_days, refuse_locked
from services.accounting.store import numbers, periods
from services.accounting.store.periods import Closing
from shared import outbox
from shared.contracts.codec import write
from shared.contracts.journal import JournalPosted
from shared.contracts.period import PeriodLocked, PeriodReopening, PeriodUnlocked
from shared.contracts.registry import PERIOD_LOCKED, PERIOD_UNLOCKED
from shared.logs import logger
from shared.service import Handled, Input, Output, Step

SCHEMA = "accounting"
_AT_ONCE = 5_000

log = logger(SCHEMA)


def hear(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Keep closings and reopenings; what comes again has no second effect."""
    return _told(connection, [_unlocked(each) for each in periods.enter(connection, [i.value for i in inputs])])


def catch_up(connection: Connection) -> Handled:
    """While a replay is due: take from the gate what the lost queue held of closings and reopenings."""
    return _told(connection, _take_in(connection, None)) if periods.is_replay_due(connection) else Handled()


def refuse_locked_days(connection: Connection, journal: Sequence[JournalPosted]) -> None:
    """Raise InvariantBroken where a journal entry is of a locked day.

    A movement may be here before the word of the reopening that let it in: so the gate is asked first.
    """
    companies = {each.company for each in journal}
    late = on_locked_days(journal, periods.locked_through(connection, companies))
    if late:
        outbox.add(connection, SCHEMA, _take_in(connection, {each.company for each in late}))
        refuse_locked(late, periods.locked_through(connection, companies))


def lock_periods(connection: Connection) -> Handled:
    """Lock each closing for which all that was accepted before it is booked and numbered, and what it corrects too."""
    return _look_behind("", 0, connection)


def _look_behind(company: str, number: int, connection: Connection) -> Handled:
    """Find the first closing behind this one; what stands in its way is not in the way of those behind it."""
    found = periods.next_unlocked(connection, company, number)
    if found is None:
        return Handled()
    further = partial(_look_behind, *found)
    return Handled(then=partial(_lock_if_complete, *found, further), otherwise=lambda _: further)


def _lock_if_complete(company: str, number: int, further: Step, connection: Connection) -> Handled:
    closing = periods.hold_closing(connection, company, number)
    if closing is None:
        return Handled(then=further)
    missing = periods.still_waits_for(connection, closing)
    if missing is not None:
        if missing != closing.waits_for:
            facts = {"company": closing.company, "through": closing.through.isoformat()}
            log.info("not locked yet", **facts, waits_for=f"{missing.work.value} of {' '.join(missing.name)}")
        return Handled(then=further)
    while numbers.give_numbers(connection, [closing.company], _AT_ONCE):
        pass
    return _told(connection, [_lock(connection, closing)], further)


def _lock(connection: Connection, closing: Closing) -> Output:
    locked = PeriodLocked(
        source=closing.source,
        id=closing.id,
        company=closing.company,
        number=closing.number,
        through=closing.through,
        recorded_at=closing.recorded_at,
        locked_at=periods.lock(connection, closing),
        actor=closing.actor,
        reason=closing.reason,
    )
    log.info("locked", company=closing.company, through=closing.through.isoformat())
    return Output(PERIOD_LOCKED, closing.source, closing.id, write(locked))


def _take_in(connection: Connection, companies: Collection[str] | None) -> list[Output]:
    changes = periods.unheard(connection, companies)
    return [_unlocked(each) for each in periods.enter(connection, changes)] if changes else []


def _unlocked(reopening: PeriodReopening) -> Output:
    unlocked = PeriodUnlocked(
        source=reopening.source,
        id=reopening.id,
        company=reopening.company,
        number=reopening.number,
        open_from=reopening.open_from,
        recorded_at=reopening.recorded_at,
        actor=reopening.actor,
        reason=reopening.reason,
    )
    return Output(PERIOD_UNLOCKED, reopening.source, reopening.id, write(unlocked))


def _told(connection: Connection, outputs: Sequence[Output], then: Step | None = None) -> Handled:
    outbox.add(connection, SCHEMA, outputs)
    return Handled(outputs, [(each.source, each.id) for each in outputs], then)
