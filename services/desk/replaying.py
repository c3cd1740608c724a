"""Replaying: what a service lacks is taken from the stored outputs of the service before it, by a worker in here.

The one idea: it is the service's own worker, fed from those outputs in the order of time instead of from its queue. So
whatever arrives twice has no second effect, what spoils its set is put aside alone, workers elsewhere may go on
meanwhile, and whoever is killed in the middle begins again with what is still missing.

What was told late is valued anew before the next page is worked on, and no page has movements from before a closing of
books and from after it: so each correction counts on the day on which it counted at first.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from sqlalchemy import Connection, Engine

from services.accounting import handlers as accounting
from services.accounting.handlers.numbering import number_entries
from services.accounting.handlers.periods import hear, lock_periods
from services.accounting.store.periods import unheard
from services.aftercare import handlers as aftercare
from services.desk.store.lacking import (
    Lacking,
    changes_of_periods,
    has_nothing,
    lacking,
    left_in_ledger,
    messages,
)
from services.ledger import handlers as ledger
from shared import outbox
from shared.broker import Broker, Consumer, Delivery, Message, Publisher, QueueVanished
from shared.broker.topology import ACCOUNTING, AFTERCARE, LEDGER
from shared.contracts.envelope import Envelope, frame, write_event
from shared.db import transaction
from shared.errors import StockbookError
from shared.replay import Replay
from shared.service import Handled, Handler, Input, Key, Service, Step
from shared.settings import Settings
from shared.worker import Worker

PAGE = 500
"""How many movements are worked on together at most."""
PAGE_BYTES = 8 * 1024 * 1024
"""How large their messages are together, unless one alone is larger."""
HALVES = 40
"""How often the ledger tries in the end what does not change anything: half of it each time."""


class Replayed(StrEnum):
    """The services that can be replayed, in this order."""

    LEDGER = LEDGER
    ACCOUNTING = ACCOUNTING
    AFTERCARE = AFTERCARE


@dataclass(frozen=True, slots=True)
class Choice:
    """What to replay: all that was recorded `since` then, or the one `key`; without either, all that there is."""

    since: datetime | None = None
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a service lacks: how much of it, the first of them by name, and when the last one was recorded."""

    count: int
    named: Sequence[Lacking]
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Course:
    """How a service is replayed: where from, what its worker does besides, and what there is to do at the end.

    `left` is what changes as long as there is some of that to do; None: nothing is left.
    """

    replay: Replay
    service: Callable[[], Service]
    sweeps: Sequence[Step]
    at_the_end: Sequence[Step]
    left: Callable[[Connection], object | None]


def find(engine: Engine, name: Replayed, choice: Choice, shown: int) -> Found:
    """What a service lacks, the first `shown` by name; nothing is changed."""
    with lacking(engine, COURSES[name].replay, choice.since, choice.key) as lack:
        named: list[Lacking] = []
        last: Lacking | None = None
        for last in lack.items:
            if len(named) < shown:
                named.append(last)
        return Found(lack.count, named, last.recorded_at if last else None)


def count_unheard(engine: Engine) -> int:
    """How many closings and reopenings of books there were of which accounting has not heard."""
    with transaction(engine) as connection:
        return len(unheard(connection, None))


def refuse_half(engine: Engine, *, is_marked: bool) -> None:
    """Raise StockbookError where the ledger has nothing, and would not be rebuilt as it was.

    A ledger that begins anew may come to the same worth by other revaluations than those that are booked; and workers
    that are asked for it take what they lack in any order, also across closings of books.
    """
    with transaction(engine) as connection:
        if not has_nothing(connection, LEDGER):
            return
        if not has_nothing(connection, ACCOUNTING):
            raise StockbookError(
                "the ledger is empty and accounting is not: what is told of revaluations may be divided otherwise the "
                "second time, so both are rebuilt together; empty the schema accounting too, and replay all"
            )
        if is_marked:
            raise StockbookError("the ledger is empty: it is rebuilt in the order of time, by --now or --quiet")


def replay_now(
    engine: Engine, name: Replayed, choice: Choice, broker: Broker | None, progress: Callable[[int, int], None]
) -> int:
    """Have a service work on all that it lacks, and on what comes of that; how much it lacked.

    What it has to tell is told through `broker`, and stands in its outbox until it is confirmed; None: nobody is told.
    `progress` gets how much is done, and of how much, after each page.
    """
    course = COURSES[name]
    feed = _Feed(broker)
    service = _fed_by(feed, course.service(), is_told=broker is not None)
    done = 0
    with (
        closing(Worker(replace(service, sweeps=course.sweeps), feed, engine, Settings())) as worker,
        lacking(engine, course.replay, choice.since, choice.key) as lack,
    ):
        progress(0, lack.count)
        for page in pages(lack.items, _cuts(engine)):
            feed.give(_stored(engine, course.replay, page))
            _work_off(worker)
            done += len(page)
            progress(done, lack.count)
    _finish(engine, replace(service, sweeps=course.at_the_end), feed, course)
    return done


def _cuts(engine: Engine) -> Sequence[datetime]:
    with transaction(engine) as connection:
        return changes_of_periods(connection)


def pages(items: Iterable[Lacking], cuts: Sequence[datetime]) -> Iterator[list[Lacking]]:
    """What is to be worked on together: not too many, not too large, and all on one side of each closing."""
    page: list[Lacking] = []
    size = era = 0
    for each in items:
        own_era = bisect_left(cuts, each.recorded_at)
        if page and (len(page) == PAGE or size + each.size > PAGE_BYTES or own_era != era):
            yield page
            page, size = [], 0
        page.append(each)
        size, era = size + each.size, own_era
    if page:
        yield page


def _stored(engine: Engine, given: Replay, page: Sequence[Lacking]) -> dict[str, dict[Key, bytes]]:
    with transaction(engine) as connection:
        return messages(connection, given, page)


def _work_off(worker: Worker) -> None:
    """Until all that was given is done, and nothing is to be valued anew that can be."""
    while worker.turn(0.0):
        pass


def _finish(engine: Engine, service: Service, feed: "_Feed", course: _Course) -> None:
    """Until nothing is left, or it stays as it is: a bad one among many is found by halves."""
    rounds, before = 0, None
    with closing(Worker(service, feed, engine, Settings(sweep_every=0.0))) as worker:
        while rounds < HALVES:
            _work_off(worker)
            with transaction(engine) as connection:
                left = course.left(connection)
            if left is None:
                return
            rounds, before = rounds + 1 if left == before else 0, left


def _fed_by(feed: "_Feed", service: Service, *, is_told: bool) -> Service:
    """The same service, fed; what it tells stands in its outbox until it is confirmed: no message brought it."""

    def named(handler: Handler, envelope: Envelope) -> list[Input]:
        """What cannot be read has its name from where it is stored: so it is known, once it is parked."""
        keys = feed.keys(envelope.type)
        read = zip(handler.read(envelope), keys, strict=True)
        return [replace(each, source=source, id=name) for each, (source, name) in read]

    def kept(handler: Handler, inputs: Sequence[Input], connection: Connection) -> Handled:
        handled = handler.work(inputs, connection)
        outbox.add(connection, service.name, handled.outputs)
        return replace(handled, released=sorted({(each.source, each.id) for each in handled.outputs}))

    handlers = {
        kind: Handler(partial(named, each), partial(kept, each) if is_told else each.work)
        for kind, each in service.handlers.items()
    }
    return replace(service, handlers=handlers)


def _hear_what_was_told(connection: Connection) -> Handled:
    """Closings and reopenings come back once all from before them is booked, and lock as they did."""
    changes = unheard(connection, None)
    inputs = [Input(each.source, "", each, b"", id=each.id) for each in changes]
    return hear(inputs, connection) if inputs else Handled()


def _can_be_released(connection: Connection) -> object | None:
    """What waits, as long as some of it is next."""
    return None if ledger.release(None)(connection).then is None else left_in_ledger(connection)


def _unheard(connection: Connection) -> object | None:
    return len(unheard(connection, None)) or None


def _nothing(_: Connection) -> object | None:
    return None


# --- what feeds the worker --------------------------------------------------------------------------------------------


class _Feed:
    """A broker that gives what it was given, and nothing else; what is published goes to `broker`, or nowhere."""

    def __init__(self, broker: Broker | None) -> None:
        self._broker = broker
        self._given: deque[Delivery] = deque()
        self._page: Mapping[str, Mapping[Key, bytes]] = {}

    def give(self, page: Mapping[str, Mapping[Key, bytes]]) -> None:
        """What the next turns of the worker work on: messages by type and key."""
        self._page = page
        for kind, stored in page.items():
            event = write_event(kind, "replay", "replay", frame(list(stored.values())))
            self._given.append(Delivery(event, "", {}, 0, False, None))

    def keys(self, kind: str) -> Sequence[Key]:
        """The keys of what was given of a type, in their order."""
        return list(self._page[kind])

    def declare(self) -> None:
        """See `interface.Broker`."""
        if self._broker is not None:
            self._broker.declare()

    def consumer(self, _queue: str, _prefetch: int) -> Consumer:
        """See `interface.Broker`."""
        return _Fed(self._given)

    def publisher(self) -> Publisher:
        """See `interface.Broker`."""
        return self._broker.publisher() if self._broker is not None else _Nobody()

    def depth(self, _queue: str) -> int:
        """See `interface.Broker`."""
        return len(self._given)

    def bind_temporary(self, exchange: str, _routing_keys: Sequence[str]) -> Consumer:
        """See `interface.Broker`: there is nothing to listen to."""
        raise QueueVanished("nobody listens to a replay", exchange=exchange)

    def close(self) -> None:
        """See `interface.Broker`."""


class _Fed:
    """Gives what it was given; nothing of it comes again, for what is still missing then is found the next time."""

    def __init__(self, given: deque[Delivery]) -> None:
        self._given = given

    def drain(self, limit: int, _timeout: float, _linger: float = 0.0) -> list[Delivery]:
        """See `interface.Consumer`."""
        return [self._given.popleft() for _ in range(min(limit, len(self._given)))]

    def acknowledge(self, _deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See `interface.Consumer`."""
        self._given.extendleft(reversed(deliveries))

    def beat(self) -> None:
        """See `interface.Consumer`."""

    def close(self) -> None:
        """See `interface.Consumer`."""


class _Nobody:
    """Whom nobody has to tell anything."""

    def publish(self, messages: Sequence[Message]) -> None:
        """See `interface.Publisher`."""

    def beat(self) -> None:
        """See `interface.Publisher`."""

    def close(self) -> None:
        """See `interface.Publisher`."""


_RELEASE = ledger.release(None)
COURSES: Mapping[Replayed, _Course] = {
    Replayed.LEDGER: _Course(ledger.REPLAY, ledger.service, [_RELEASE], [_RELEASE], _can_be_released),
    Replayed.ACCOUNTING: _Course(
        accounting.REPLAY,
        accounting.service,
        [],
        [_hear_what_was_told, number_entries, lock_periods],
        _unheard,
    ),
    Replayed.AFTERCARE: _Course(aftercare.REPLAY, aftercare.service, [], [], _nothing),
}
