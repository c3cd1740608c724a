"""What both kinds of handlers go by, and what they leave to do: the clock, the limits, who waits and who was woken."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from services.receiving.decide.case import Limits
from services.receiving.decide.patience import Wait, wait_for
from services.receiving.decide.senders import Senders
from services.receiving.store import waiting
from services.receiving.store.senders import load_users
from services.receiving.store.waiting import Waiter
from shared import strangers
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.logs import logger
from shared.parked import Parked
from shared.reading import sent_by
from shared.service import Input, Key, Output, Result

NAME = "receiving"
log = logger(NAME)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of a real service."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Gate:
    """What requests are judged by besides the stock. `administrators` are the accounts that define sources."""

    clock: Clock = utc_now
    limits: Limits = Limits()  # noqa: RUF009 - an immutable value
    administrators: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What a set came to: what its sources are told, how many who waited it made due, and what became of each."""

    outputs: Sequence[Output] = ()
    woke: int = 0
    counts: Counter[tuple[Result, str]] = field(default_factory=Counter)


def known_senders(connection: Connection, inputs: Sequence[Input], gate: Gate, also: Iterable[str] = ()) -> Senders:
    """Who may speak for the sources of a set, and for these."""
    return Senders(load_users(connection, {*also, *(each.source for each in inputs)}), gate.administrators)


def turn_away(
    connection: Connection, inputs: Sequence[Input], senders: Senders
) -> tuple[Sequence[Input], Counter[str]]:
    """What its own source has sent; the others are parked, and how many that are by the reasons.

    They are not answered: the source that they name has not asked, and what it will ask by these ids is its own.
    """
    return strangers.turn_away(connection, NAME, inputs, senders)


def newcomer(each: Input, identifier: str, content: bytes, now: datetime) -> Waiter:
    """Something that comes in for the first time, as it will wait if it has to; `content` is its digest."""
    return Waiter(each.source, identifier, each.kind, content, each.raw, each.trace, 1, 0, now)


def who_waits(
    connection: Connection,
    refused: Iterable[tuple[Waiter, OutcomeRejected]],
    gate: Gate,
    now: datetime,
    *,
    waited: bool,
) -> dict[Key, Wait]:
    """Those who were refused for nothing else than what may still come, and whose source's patience lasts; kept so.

    `waited`: all of them waited before.
    """
    pairs = list(refused)
    if not pairs:
        return {}
    patience = waiting.patience_of(connection, {each.source for each, _ in pairs}, gate.limits.patience)
    kept: list[tuple[Waiter, Wait]] = []
    for each, outcome in pairs:
        wait = wait_for(outcome.reasons, outcome.company, each.since, patience[each.source], now)
        if wait is not None:
            kept.append((replace(each, tries=each.tries + 1), wait))
            log.info("waits", source=each.source, id=each.id, trace=each.trace, lacks=wait.lacks)
    keep = waiting.keep_waiting if waited else waiting.add_waiting
    keep(connection, kept)
    return {each.key: wait for each, wait in kept}


def wake(connection: Connection, brought: Callable[[], Collection[str]], now: datetime) -> int:
    """Make due whoever lacks what was brought, how many; `brought` is only asked where anyone waits at all."""
    return waiting.wake(connection, brought(), now) if waiting.anyone_waits(connection) else 0


def tally(
    final: Sequence[OutcomeAccepted | OutcomeRejected], waits: int, woken: int, *, waited: bool
) -> Counter[tuple[Result, str]]:
    """What became of a set, counted; a refusal by the first of its reasons. `waited`: all of them waited before."""
    counts = Counter(
        (Result.ACCEPTED, "") if isinstance(each, OutcomeAccepted) else (Result.REJECTED, each.reasons[0].code)
        for each in final
    )
    counts[Result.WOKEN, ""] = woken
    if waited:
        counts[Result.RELEASED, ""] = len(final)
    else:
        counts[Result.WAITING, ""] = waits
    return counts


def told_again(
    settled: Settled, outputs: Sequence[Output], movements: int, conflicts: int, turned_away: Counter[str]
) -> Settled:
    """A set, and what is told of those that came before: `outputs` of so many; and how many were parked, and why."""
    counts = Counter(
        {
            (Result.TOLD_AGAIN, ""): movements,
            (Result.PARKED, "conflicting_duplicate"): conflicts,
            **{(Result.PARKED, code): count for code, count in turned_away.items()},
        }
    )
    return Settled([*settled.outputs, *outputs], settled.woke, settled.counts + counts)


def conflict(each: Input, key: Key) -> Parked:
    """An id that comes again with other content is parked, never applied."""
    log.warning("conflicting_duplicate", source=key[0], id=key[1], trace=each.trace)
    error = "this id was used before, with other content"
    return Parked("conflicting_duplicate", error, each.raw, each.kind, *key, sent_by(each.user))
