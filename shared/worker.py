"""The one loop of every service: drain, decode, one transaction, publish, acknowledge.

Whatever happens, a message is acknowledged only after the outputs of its transaction are confirmed; so killing a worker
anywhere loses nothing, and whatever is worked on twice finds its key taken and emits the stored outputs again.

What an error means: `Retryable` - a server is away or two workers met: the same set is tried again, moving no message.
Anything else - one input spoils the set: it is halved until that input stands alone, and is parked.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import Event
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Engine

from shared.broker.interface import Broker, Consumer, Delivery
from shared.contracts.codec import Malformed
from shared.contracts.envelope import read_envelope
from shared.contracts.movement import MESSAGE_LIMIT
from shared.db import Contended, transaction
from shared.errors import Fatal, InvariantBroken, Retryable
from shared.frames import frames
from shared.logs import logger
from shared.outbox import remove
from shared.parked import Parked, park
from shared.service import Handled, Input, Output, Service, Step
from shared.settings import Settings

_Given = TypeVar("_Given")
_Result = TypeVar("_Result")

CONTENTIONS = 5
"""How often a set that met another worker is tried again before it is halved."""


@dataclass(frozen=True, slots=True)
class _Portion:
    """Inputs of one type to work on together, and the messages to park in the same transaction."""

    inputs: Sequence[Input]
    parked: Sequence[Parked] = ()


class Worker:
    """One worker of a service; it belongs to one thread."""

    def __init__(
        self, service: Service, broker: Broker, engine: Engine, settings: Settings, stop: Event | None = None
    ) -> None:
        self._service = service
        self._broker = broker
        self._engine = engine
        self._settings = settings
        self._stop = stop or Event()
        self._log = logger(service.name)
        self._publisher = broker.publisher()
        self._consumer: Consumer | None = None
        self._swept = 0.0

    def run(self) -> None:
        """Work until told to stop; a set that was begun is finished first."""
        self._log.info("started")
        pause = self._settings.pause
        while not self._stop.is_set():
            try:
                self.turn(timeout=1.0)
                pause = self._settings.pause
            except Retryable as error:
                self._log.warning("broker away", error=str(error), pause=pause)
                self._drop_consumer()
                self._stop.wait(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, self._settings.longest_pause)
        self.close()
        self._log.info("stopped")

    def turn(self, timeout: float) -> int:
        """Sweep if it is time, then work on what arrives within `timeout` seconds; the number of messages.

        Raises Retryable where the connection that messages come by is lost: they will be delivered again.
        """
        self._sweep()
        consumer = self._consumer or self._subscribe()
        deliveries = consumer.drain(self._settings.set_size, timeout, self._settings.linger)
        for portion in _by_suspicion(deliveries):
            self._work(portion)
            consumer.acknowledge(portion)
        consumer.beat()
        return len(deliveries)

    def close(self) -> None:
        """Give back the connections; what was not acknowledged will be delivered again."""
        self._drop_consumer()
        self._publisher.close()

    def _subscribe(self) -> Consumer:
        self._broker.declare()
        self._consumer = self._broker.consumer(self._service.name, self._service.prefetch)
        return self._consumer

    def _drop_consumer(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _sweep(self) -> None:
        if time.monotonic() - self._swept < self._settings.sweep_every:
            return
        for sweep in self._service.sweeps:
            self._carry_out(sweep)
        self._swept = time.monotonic()

    def _work(self, deliveries: Sequence[Delivery]) -> None:
        inputs: list[Input] = []
        parked: list[Parked] = []
        for delivery in deliveries:
            self._read(delivery, inputs, parked)
        if parked and not inputs:
            self._carry_out(lambda connection: self._park(connection, parked))
        for number, portion in enumerate(_portions(inputs, self._settings.set_size)):
            self._try(_Portion(portion, () if number else parked))

    def _read(self, delivery: Delivery, inputs: list[Input], parked: list[Parked]) -> None:
        """Decode one message into its inputs, or into a message to park."""
        if len(delivery.body) > MESSAGE_LIMIT:
            shown = delivery.body[:1_000]
            parked.append(Parked("message_too_large", f"{len(delivery.body)} bytes, {MESSAGE_LIMIT} at most", shown))
            return
        try:
            envelope = read_envelope(delivery.body)
            handler = self._service.handlers.get(envelope.type)
            if handler is None:
                error = f"{self._service.name} takes no {envelope.type}"
                parked.append(Parked("unknown_type", error, delivery.body, envelope.type, envelope.source, envelope.id))
            else:
                inputs.extend(handler.read(envelope))
        except Malformed as error:
            parked.append(Parked("malformed", str(error), delivery.body))

    def _try(self, portion: _Portion) -> None:
        """Work on a portion; halve it until the input that cannot be worked on stands alone, and park that."""
        try:
            self._carry_out(lambda connection: self._handle(connection, portion))
        except (Retryable, Fatal):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one input does, its neighbours go on
            if len(portion.inputs) == 1:
                self._give_up(portion, error)
                return
            self._log.warning("set halved", inputs=len(portion.inputs), error=str(error))
            middle = len(portion.inputs) // 2
            self._try(_Portion(portion.inputs[:middle], portion.parked))
            self._try(_Portion(portion.inputs[middle:]))

    def _handle(self, connection: Connection, portion: _Portion) -> Handled:
        park(connection, self._service.name, portion.parked)
        return self._service.handlers[portion.inputs[0].kind].work(portion.inputs, connection)

    def _park(self, connection: Connection, parked: Sequence[Parked]) -> Handled:
        park(connection, self._service.name, parked)
        return Handled()

    def _give_up(self, portion: _Portion, error: Exception) -> None:
        """Park the one input: later movements of its bins wait for it, all others go on."""
        spoiled = portion.inputs[0]
        reason = "invariant_broken" if isinstance(error, InvariantBroken) else "unprocessable"
        self._log.error(reason, source=spoiled.source, kind=spoiled.kind, trace=spoiled.trace, exc_info=error)
        movement = getattr(spoiled.value, "id", None)
        row = Parked(reason, f"{type(error).__name__}: {error}", spoiled.raw, spoiled.kind, spoiled.source, movement)
        self._carry_out(lambda connection: self._park(connection, [*portion.parked, row]))

    def _carry_out(self, step: Step) -> None:
        """A step, and those that follow from it: commit, publish, confirmed, out of the outbox."""
        following: Step | None = step
        while following is not None:
            handled = self._insist(self._commit, following)
            if handled.outputs:
                self._insist(self._publish, handled.outputs)
            if handled.released:
                self._insist(self._release, handled)
            following = handled.then

    def _commit(self, step: Step) -> Handled:
        with transaction(self._engine) as connection:
            return step(connection)

    def _publish(self, outputs: Sequence[Output]) -> None:
        messages = frames(outputs, self._service.name, _new_id, self._settings.frame_size, self._settings.frame_bytes)
        self._publisher.publish(messages)

    def _release(self, handled: Handled) -> None:
        with transaction(self._engine) as connection:
            remove(connection, self._service.name, handled.released)

    def _insist(self, action: Callable[[_Given], _Result], given: _Given) -> _Result:
        """Do it until it succeeds, keeping the heartbeat, while a server is away."""
        pause = self._settings.pause
        met = 0
        while True:
            try:
                return action(given)
            except Contended as error:
                met += 1
                if met == CONTENTIONS:
                    raise InvariantBroken("other workers stood in the way each time", error=error.facts) from error
                time.sleep(random.uniform(0, 0.02 * met))
            except Retryable as error:
                self._log.warning("waiting", error=str(error), pause=round(pause, 2))
                self._engine.dispose()
                if self._stop.wait(pause * random.uniform(0.5, 1.5)):
                    raise
                pause = min(pause * 2, self._settings.longest_pause)
            if self._consumer is not None:
                self._consumer.beat()


def _by_suspicion(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """What was delivered before may have killed a worker: such messages go in small company, then alone."""
    for suspicion, group in groupby(deliveries, key=lambda delivery: min(delivery.delivery_count, 2)):
        together = list(group)
        size = (len(together), max(1, len(together) // 2), 1)[suspicion]
        for start in range(0, len(together), size):
            yield together[start : start + size]


def _portions(inputs: Sequence[Input], size: int) -> Iterator[Sequence[Input]]:
    """Consecutive inputs of one type, `size` at most: so a definition takes effect before what was sent after it."""
    for _, group in groupby(inputs, key=lambda each: each.kind):
        together = list(group)
        for start in range(0, len(together), size):
            yield together[start : start + size]


def _new_id() -> str:
    return uuid4().hex
