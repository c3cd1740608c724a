"""What both kinds of handlers go by, and what they leave to do: the clock, the limits, who waits and who was woken."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from services.receiving.decide.case import Limits
from services.receiving.decide.patience import Wait, wait_for
from services.receiving.store import waiting
from services.receiving.store.waiting import Waiter
from shared.contracts.outcome import OutcomeRejected
from shared.logs import logger
from shared.parked import Parked
from shared.service import Input, Key, Output

NAME = "receiving"
log = logger(NAME)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Gate:
    """What requests are judged by besides the stock."""

    clock: Clock = utc_now
    limits: Limits = Limits()  # noqa: RUF009 - an immutable value


@dataclass(frozen=True, slots=True)
class Settled:
    """What a set came to: what its sources are told, and whether it made anyone due who waited."""

    outputs: Sequence[Output] = ()
    woke: bool = False


def newcomer(each: Input, identifier: str, content: bytes, now: datetime) -> Waiter:
    """Something that comes in for the first time, as it will wait if it has to; `content` is its digest."""
    return Waiter(each.source, identifier, each.kind, content, each.raw, each.trace, 1, 0, now)


def who_waits(
    connection: Connection, refused: Iterable[tuple[Waiter, OutcomeRejected]], gate: Gate, now: datetime
) -> dict[Key, Wait]:
    """Those who were refused for nothing else than what may still come, and whose source's patience lasts; kept so."""
    pairs = list(refused)
    if not pairs:
        return {}
    patience = waiting.patience_of(connection, {each.source for each, _ in pairs}, gate.limits.patience)
    kept: list[tuple[Waiter, Wait]] = []
    for each, outcome in pairs:
        wait = wait_for(outcome.reasons, outcome.company, each.tries, each.since, patience[each.source], now)
        if wait is not None:
            kept.append((replace(each, tries=each.tries + 1), wait))
            log.info("waits", source=each.source, id=each.id, trace=each.trace, lacks=wait.lacks)
    waiting.keep_waiting(connection, kept)
    return {each.key: wait for each, wait in kept}


def wake(connection: Connection, brought: Callable[[], Collection[str]], now: datetime) -> bool:
    """Make due whoever lacks what was brought; `brought` is only asked where anyone waits at all."""
    return waiting.anyone_waits(connection) and waiting.wake(connection, brought(), now)


def conflict(each: Input, key: Key) -> Parked:
    """An id that comes again with other content is parked, never applied."""
    log.warning("conflicting_duplicate", source=key[0], id=key[1], trace=each.trace)
    error = "this id was used before, with other content"
    return Parked("conflicting_duplicate", error, each.raw, each.kind, *key)
