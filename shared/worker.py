"""The one loop of every service: drain, decode, one transaction, publish, acknowledge.

Whatever happens, a message is acknowledged only after the outputs of its transaction are confirmed; so killing a worker
anywhere loses nothing, and whatever is worked on twice finds its key taken and emits the stored outputs again.

What an error means: `Retryable` - a server is away or two workers met: the same set is tried again, moving no message.
`Fatal` - the worker ends. Anything else, out of a set's own transaction - one input spoils the set: it is halved until
that input stands alone, and is parked. What fails after that transaction parks nothing: the inputs had their effect.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from threading import Event
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Engine

from shared.broker.interface import Broker, Consumer, Delivery, QueueVanished
from shared.broker.lanes import in_hand
from shared.db import IDLE_TIMEOUT_MS, Contended, Lost, Taken, transaction
from shared.errors import Fatal, InvariantBroken, Retryable
from shared.frames import bounded, frames
from shared.logs import logger
from shared.metrics import Meter, Metric, Metrics
from shared.outbox import remove
from shared.pace import Pace
from shared.parked import Parked, park
from shared.reading import known_kind, read_delivery, sent_by
from shared.service import Handled, Input, Key, Output, Result, Service, Step
from shared.settings import Settings

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

CONTENTIONS = 5
"""How often a set that met another worker is tried before it is halved."""

TOO_LONG = IDLE_TIMEOUT_MS / 1000
"""How many seconds a transaction took at least that the database ended because nothing was asked of it meanwhile."""

PORTION_BYTES = 2 * 1024 * 1024
"""How much is worked on before it is acknowledged; a worker that is told to stop leaves what lies behind that."""

_SHOWN = 1_000


@dataclass(frozen=True, slots=True)
class _Portion:
    """Inputs of one type to work on together, and the messages to park in the same transaction."""

    inputs: Sequence[Input]
    parked: Sequence[Parked] = ()


class Worker:
    """One worker of a service; it belongs to one thread."""

    def __init__(
        self,
        service: Service,
        broker: Broker,
        engine: Engine,
        settings: Settings,
        stop: Event | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._service = service
        self._broker = broker
        self._engine = engine
        self._settings = settings
        self._stop = stop or Event()
        self._meter = meter or Metrics().meter(service.name)
        self._log = logger(service.name)
        self._publisher = broker.publisher()
        self._consumer: Consumer | None = None
        has_chore = service.chore is not None
        self._pace = Pace(time.monotonic(), sweep_every=settings.sweep_every, has_chore=has_chore)

    def run(self) -> None:
        """Work until told to stop; a set that was begun is finished first."""
        self._log.info("started")
        try:
            self._run()
        finally:
            self.close()
        self._log.info("stopped")

    def turn(self, timeout: float) -> int:
        """Sweep if it is time, then work on what arrives within `timeout` seconds; the number of messages that arrived.

        Raises Retryable where the connection that messages come by is lost: they will be delivered again, and the next
        turn makes a new connection.
        """
        try:
            return self._turn(timeout)
        except Retryable as error:
            self._meter.ready(False)
            self._drop_consumer()
            if isinstance(error, QueueVanished):
                self._follow(self._service.replay)
            raise

    def close(self) -> None:
        """Give back the connections; what was not acknowledged will be delivered again."""
        self._meter.ready(False)
        self._drop_consumer()
        self._publisher.close()

    def _run(self) -> None:
        pause = self._settings.pause
        while not self._stop.is_set():
            try:
                self.turn(timeout=1.0)
                pause = self._settings.pause
            except Retryable as error:
                self._log.warning("begun anew", error=str(error), pause=round(pause, 2))
                self._meter.add(Metric.RETRIES, "away")
                self._stop.wait(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, self._settings.longest_pause)

    def _turn(self, timeout: float) -> int:
        self._meter.tick()
        self._sweep()
        consumer = self._consumer or self._subscribe()
        waits = min(timeout, self._pace.waits(time.monotonic()))
        deliveries = consumer.drain(self._settings.set_size, waits, self._settings.linger)
        for portion in _by_suspicion(deliveries):
            if self._stop.is_set():
                break
            with self._meter.timed(Metric.SET_TIME):
                self._work(portion)
                consumer.acknowledge(portion)
        if deliveries:
            self._pace.messages_came(time.monotonic())
        done = self._do_chore()
        self._beat()
        self._meter.ready(True)
        return len(deliveries) + done

    def _do_chore(self) -> int:
        """Do a piece of the chore, if one is due; 1 if there is more. Messages do not wait long for it to end."""
        began = time.monotonic()
        chore = self._service.chore
        if chore is None or not self._pace.chore_is_due(began):
            return int(self._pace.has_more)
        self._pace.begin_piece()
        self._follow(chore(self._pace.chore_size))
        now = time.monotonic()
        self._pace.end_piece(began, now)
        if self._pace.has_more:
            self._meter.observe(Metric.CHORE_TIME, now - began)
        return int(self._pace.has_more)

    def _subscribe(self) -> Consumer:
        self._broker.declare()
        prefetch = in_hand(self._service.name, self._service.prefetch, self._settings.lanes)
        self._consumer = self._broker.consumer(self._service.name, prefetch)
        self._meter.add(Metric.SUBSCRIPTIONS)
        return self._consumer

    def _drop_consumer(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _beat(self) -> None:
        self._meter.tick()
        self._publisher.beat()
        if self._consumer is not None:
            self._consumer.beat()

    def _sweep(self) -> None:
        if not self._pace.sweep_is_due(time.monotonic()):
            return
        left = [self._follow(sweep) for sweep in self._service.sweeps]
        self._meter.add(Metric.SWEEPS)
        self._pace.swept(time.monotonic(), left=any(left))

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        inputs: list[Input] = []
        parked: list[Parked] = []
        kinds: Counter[str] = Counter()
        for delivery in deliveries:
            readable, unreadable = read_delivery(self._service, delivery)
            inputs += readable
            parked += unreadable
            kinds[known_kind(self._service, readable, unreadable)] += 1
        for kind, count in kinds.items():
            self._meter.add(Metric.MESSAGES, kind, amount=count)
        for each in parked:
            self._log.warning(each.reason, kind=each.kind, source=each.source, id=each.id, error=each.error[:_SHOWN])
        if parked and not inputs:
            self._insist(self._commit, partial(self._park, parked))
        for number, portion in enumerate(_portions(inputs, self._settings.set_size)):
            self._try(_Portion(portion, () if number else parked))

    def _try(self, portion: _Portion) -> None:
        """Work on a portion; halve it until the input that cannot be worked on stands alone, and park that."""
        alone = len(portion.inputs) == 1
        handled = self._worked_on(portion, alone=alone)
        if isinstance(handled, Handled):
            self._meter.set_done(portion.inputs[0].kind, len(portion.inputs))
            self._emit(handled)
            self._follow(handled.then, handled.otherwise)
        elif alone:
            self._give_up(portion, handled)
        else:
            self._halve(portion, handled)

    def _worked_on(self, portion: _Portion, *, alone: bool) -> Handled | Exception:
        """What a portion came to, or why it cannot be worked on."""
        try:
            return self._insist(self._commit_set, portion, alone=alone, ends=True)
        except (Retryable, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one input does, its neighbours go on
            return error

    def _halve(self, portion: _Portion, error: Exception) -> None:
        self._log.warning("set halved", inputs=len(portion.inputs), error=str(error)[:_SHOWN])
        self._meter.add(Metric.HALVED)
        middle = len(portion.inputs) // 2
        self._try(_Portion(portion.inputs[:middle], portion.parked))
        self._try(_Portion(portion.inputs[middle:]))

    def _handle(self, portion: _Portion, connection: Connection) -> Handled:
        park(connection, self._service.name, portion.parked)
        handled = self._service.handlers[portion.inputs[0].kind].work(portion.inputs, connection)
        if portion.parked:
            handled = replace(handled, counts=Counter(handled.counts) + _by_reason(portion.parked))
        return handled

    def _park(self, parked: Sequence[Parked], connection: Connection) -> Handled:
        park(connection, self._service.name, parked)
        return Handled(counts=_by_reason(parked))

    def _give_up(self, portion: _Portion, error: Exception) -> None:
        """Put the one input aside, in its service's own way or by parking it; all others go on."""
        spoiled = portion.inputs[0]
        reason = "invariant_broken" if isinstance(error, InvariantBroken) else "unprocessable"
        kind, source, name = spoiled.kind, spoiled.source, spoiled.id
        self._log.error(reason, kind=kind, source=source, id=name, trace=spoiled.trace, exc_info=error)
        told = f"{type(error).__name__}: {error}"
        row = Parked(reason, told, spoiled.raw, kind, source, name, sent_by(spoiled.user))
        aside = [] if self._is_put_aside(spoiled, error, reason) else [row]
        self._insist(self._commit, partial(self._park, [*portion.parked, *aside]))

    def _is_put_aside(self, spoiled: Input, error: Exception, reason: str) -> bool:
        """Whether the service has a way of its own to keep the input, and it works."""
        give_up = self._service.give_up
        if give_up is None:
            return False

        def step(connection: Connection) -> Handled:
            give_up(spoiled, error, connection)
            return Handled(counts={(Result.STUCK, reason): 1})

        try:
            self._insist(self._commit, step)
        except (Retryable, Fatal):
            raise
        except Exception as further:  # noqa: BLE001 - then it is parked
            self._log.error("not put aside", source=spoiled.source, id=spoiled.id, exc_info=further)
            return False
        return True

    def _follow(self, step: Step | None, otherwise: Callable[[Exception], Step] | None = None) -> bool:
        """A step, and those that follow from it; whether the last left more to do.

        What stops it stops nothing else: the sweeps take it up again.
        """
        more = False
        while step is not None:
            try:
                handled = self._insist(self._commit, step)
            except (Retryable, Fatal):
                raise
            except Exception as error:  # noqa: BLE001 - as above
                self._log.error("step failed", exc_info=error)
                self._meter.add(Metric.FAILED_STEPS)
                handled = Handled(then=otherwise(error) if otherwise is not None else None)
            self._emit(handled)
            step, otherwise, more = handled.then, handled.otherwise, handled.more
        return more

    def _emit(self, handled: Handled) -> None:
        """What was committed is published, confirmed, and taken out of the outbox."""
        if handled.outputs:
            self._insist(self._publish, handled.outputs)
        if handled.released:
            self._insist(self._release, handled.released)
        self._beat()

    def _commit_set(self, portion: _Portion) -> Handled:
        with self._meter.timed(Metric.TRANSACTION):
            return self._commit(partial(self._handle, portion))

    def _commit(self, step: Step) -> Handled:
        with transaction(self._engine) as connection:
            handled = step(connection)
        self._meter.committed(handled)
        if handled.more:
            self._pace.more_came()
        return handled

    def _publish(self, outputs: Sequence[Output]) -> None:
        messages = frames(outputs, self._service.name, _new_id, self._settings.frame_size, self._settings.frame_bytes)
        with self._meter.timed(Metric.PUBLISH):
            self._publisher.publish(messages)

    def _release(self, keys: Sequence[Key]) -> None:
        with transaction(self._engine) as connection:
            remove(connection, self._service.name, keys)

    def _insist(
        self, action: Callable[[_Given], _Result], given: _Given, *, alone: bool = False, ends: bool = False
    ) -> _Result:
        """Do it until it succeeds, keeping the heartbeat, while a server is away or other workers are in the way.

        Those are let by a few times, then InvariantBroken; an input that stands `alone` waits for them for ever, except
        for a key that is taken each time. What `ends` is given up as well where its transaction was lost each time, and
        after so long that the database ended it for idleness: between its statements the work itself takes that long.
        """
        pause = self._settings.pause
        met = slow = 0
        while True:
            began = time.monotonic()
            try:
                return action(given)
            except Contended as error:
                met += 1
                if met >= CONTENTIONS and (not alone or isinstance(error, Taken)):
                    raise InvariantBroken("other transactions stood in the way each time", **error.facts) from error
                self._wait(error, min(0.02 * met, self._settings.longest_pause))
            except Retryable as error:
                slow += ends and isinstance(error, Lost) and time.monotonic() - began > TOO_LONG
                if slow >= CONTENTIONS:
                    raise InvariantBroken("the work takes longer than a transaction may", **error.facts) from error
                self._engine.dispose()
                self._wait(error, pause)
                pause = min(pause * 2, self._settings.longest_pause)
            self._beat()

    def _wait(self, error: Retryable, pause: float) -> None:
        """Pause, more or less; a worker that is told to stop leaves the set, which will be delivered again."""
        self._log.warning("waiting", error=str(error)[:_SHOWN], pause=round(pause, 2))
        if isinstance(error, Contended):
            self._meter.add(Metric.RETRIES, "contended")
        else:
            self._meter.add(Metric.RETRIES, "away")
            self._meter.ready(False)
        if self._stop.wait(pause * random.uniform(0.5, 1.5)):
            raise error


def _by_reason(parked: Sequence[Parked]) -> Counter[tuple[Result, str]]:
    return Counter((Result.PARKED, each.reason) for each in parked)


def _by_suspicion(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """What was delivered before may have killed a worker: such messages go in small company, then alone.

    Alone, they go in any order: in the same one each time, all that stand behind the killer would die with it.
    """
    for suspicion, group in groupby(deliveries, key=lambda delivery: min(delivery.delivery_count, 2)):
        together = list(group)
        if suspicion == 2:
            random.shuffle(together)
        size = (len(together), max(1, len(together) // 2), 1)[suspicion]
        yield from bounded(together, size, PORTION_BYTES)


def _portions(inputs: Sequence[Input], size: int) -> Iterator[Sequence[Input]]:
    """Consecutive inputs of one type, `size` at most: so a definition takes effect before what was sent after it."""
    for _, group in groupby(inputs, key=lambda each: each.kind):
        together = list(group)
        for start in range(0, len(together), size):
            yield together[start : start + size]


def _new_id() -> str:
    return uuid4().hex
