"""Listening to what came of one's own events: bound before anything is sent, so that nothing is missed.

Outcomes are told once, to whoever is bound; while the connection is lost nobody is. Who misses one sends the event
again: it has no second effect, and is answered the same.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from shared.broker import Broker, Consumer, Delivery, QueueVanished
from shared.contracts.codec import decoder, read
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.manifest import SourceReconciled
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import (
    OUTCOME_ACCEPTED,
    OUTCOME_RECONCILED,
    OUTCOME_REJECTED,
    OUTCOME_TRIED,
    STRUCTS,
    Exchange,
)
from shared.contracts.trial import OutcomeTried
from shared.errors import Retryable

Outcome = OutcomeAccepted | OutcomeRejected | OutcomeTried | SourceReconciled

_AT_ONCE = 500
_PAUSE = 0.5  # seconds before a lost connection is made again
_READERS: Mapping[str, Any] = {
    kind: decoder(STRUCTS[kind]) for kind in (OUTCOME_ACCEPTED, OUTCOME_REJECTED, OUTCOME_TRIED, OUTCOME_RECONCILED)
}


class Listener:
    """Hears the outcomes of some sources; closed by whoever made it."""

    def __init__(self, broker: Broker, sources: Collection[str]) -> None:
        self._broker = broker
        self._keys = [f"{kind}.{source}" for kind in _READERS for source in sorted(sources)]
        self._consumer: Consumer | None = self._bind()

    def hear(self, timeout: float) -> list[Outcome]:
        """What is told within `timeout` seconds, at once if something has been told; perhaps nothing."""
        try:
            self._consumer = self._consumer or self._bind()
            deliveries = self._consumer.drain(_AT_ONCE, timeout)
            self._consumer.acknowledge(deliveries)
        except Retryable:
            self.close()
            time.sleep(min(_PAUSE, timeout))
            return []
        return [outcome for each in deliveries for outcome in _outcomes(each)]

    def close(self) -> None:
        """Let go."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _bind(self) -> Consumer:
        try:
            return self._broker.bind_temporary(Exchange.EVENTS.value, self._keys)
        except QueueVanished:  # no worker has ever been here
            self._broker.declare()
            return self._broker.bind_temporary(Exchange.EVENTS.value, self._keys)


def is_tried(outcome: Outcome) -> bool:
    """Whether it answers a dry run."""
    return isinstance(outcome, OutcomeTried) or (isinstance(outcome, OutcomeRejected) and outcome.dry_run)


def _outcomes(heard: Delivery) -> Iterator[Outcome]:
    envelope = read_envelope(heard.body)
    for raw in raw_movements(envelope.data):
        outcome: Outcome = read(_READERS[envelope.type], raw)
        yield outcome
