"""Asking the services: events are sent, and the answer to each is heard.

The one idea: who asks listens before anything is sent, so that no answer is missed. With a RabbitMQ the answers come
from workers elsewhere; without, the services run inside this process, and are turned until there is nothing left to do.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

from services.desk.cli.reconciling import VERDICTS
from services.desk.cli.showing import outcome_lines, verdict
from services.desk.events import Event
from services.desk.listening import Listener, Outcome, is_tried
from services.desk.pipeline import Pipeline
from services.desk.sending import send
from services.desk.servers import database
from shared.broker import Broker, connect
from shared.contracts.outcome import OutcomeRejected
from shared.service import Key
from shared.settings import Settings

CHUNK = 500
"""As many answers are asked for at once."""
AHEAD = 5_000
"""As many answers may be on their way before more is asked: behind what lies at the gate everybody else waits."""
CALM = 0.5
"""Seconds without an answer after which no more are expected for now."""
_PAUSE = 0.2  # seconds between two looks at who waits


class Hearer(Protocol):
    """Whoever asks: is told what was sent and what was answered; `open` is what has no answer yet."""

    open: dict[Key, None]

    def sent(self, events: Sequence[Event]) -> None:
        """These are on their way; their answers are awaited."""
        ...

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """These answers came."""
        ...


@dataclass(slots=True)
class Tally:
    """What came of the events so far: how many of each verdict, the answers, and who is `open`, without one.

    `is_detailed`: every answer is kept; else only bad ones. `is_trial`: only answers to dry runs count.
    """

    is_detailed: bool
    is_trial: bool = False
    verdicts: Counter[str] = field(default_factory=Counter)
    answers: list[Outcome] = field(default_factory=list)
    open: dict[Key, None] = field(default_factory=dict)
    _sent: dict[Key, int] = field(default_factory=dict)
    _bad: int = 0

    @property
    def is_good(self) -> bool:
        """Nothing was refused, no manifest differs, and nothing is missing."""
        return not self._bad and not self.open

    def sent(self, events: Sequence[Event]) -> None:
        """These are on their way; their answers are awaited."""
        for key in (key for event in events for key in event.keys if key not in self._sent):
            self._sent[key] = len(self._sent)
            self.open[key] = None

    def hear(self, outcomes: Iterable[Outcome]) -> None:
        """Take note of answers; those to others, and what was told before, are passed over."""
        for outcome in outcomes:
            key = (outcome.source, outcome.id)
            if key not in self.open or (self.is_trial and not is_tried(outcome)):
                continue
            del self.open[key]
            self.verdicts[verdict(outcome)] += 1
            is_bad = isinstance(outcome, OutcomeRejected) or verdict(outcome) == VERDICTS["differs"]
            self._bad += is_bad
            if is_bad or self.is_detailed:
                self.answers.append(outcome)

    def sort(self) -> None:
        """Put the answers in the order in which their events were sent."""
        self.answers.sort(key=lambda each: self._sent[each.source, each.id])

    def told(self) -> list[str]:
        """What came of them in lines of text, and how many there are of each verdict."""
        answers = [line for outcome in self.answers for line in outcome_lines(outcome)]
        return [*answers, *(self.missing() if self.is_detailed else []), self.summary()]

    def missing(self) -> list[str]:
        """Those that are open, a line each."""
        return [f"no outcome {' '.join(key)}" for key in self.open]

    def summary(self) -> str:
        """How many there are of each verdict."""
        usual = (f"would be {each}" if self.is_trial else each for each in ("accepted", "rejected"))
        kinds = dict.fromkeys([*usual, *sorted(self.verdicts)])
        told = ", ".join(f"{self.verdicts[kind]} {kind}" for kind in kinds)
        return told + (f", {len(self.open)} without an outcome yet" if self.open else "")


def ask(
    events: Iterator[Event], sources: Collection[str], settings: Settings, tally: Hearer, patience: float = 0.0
) -> None:
    """Send all events and note in `tally` what is told of them, until all is told.

    `patience`: how many seconds to wait for what is missing once all is sent.
    """
    if settings.broker_url is None:
        _play(events, sources, settings, tally, patience)
    else:
        _send_and_hear(events, sources, connect(settings.broker_url), tally, patience)


def send_all(
    events: Iterator[Event], broker: Broker, after_each: Callable[[Sequence[Event]], None] | None = None
) -> int:
    """Publish to RabbitMQ, where workers elsewhere take it up; how many events there were."""
    publisher = broker.publisher()
    count = 0
    for chunk in _chunks(events):
        send(publisher, [event.message() for event in chunk])
        count += len(chunk)
        if after_each is not None:
            after_each(chunk)
    publisher.close()
    return count


def _send_and_hear(
    events: Iterator[Event], sources: Collection[str], broker: Broker, tally: Hearer, patience: float
) -> None:
    with closing(Listener(broker, sources)) as listener:
        most = AHEAD

        def hear(chunk: Sequence[Event]) -> None:
            nonlocal most
            tally.sent(chunk)
            _hear_what_is_there(listener, tally)
            if len(tally.open) > most:
                _let_catch_up(listener, tally)
                most = max(AHEAD, len(tally.open) + AHEAD // 2)

        send_all(events, broker, hear)
        until = time.monotonic() + patience
        while tally.open and (left := until - time.monotonic()) > 0:
            tally.hear(listener.hear(min(left, 1.0)))


def _play(
    events: Iterator[Event], sources: Collection[str], settings: Settings, tally: Hearer, patience: float
) -> None:
    """Play the events through the services inside this process, and wait for those that are early."""
    with (
        database(settings) as url,
        Pipeline(url, settings=settings) as pipeline,
        closing(Listener(pipeline.broker, sources)) as listener,
    ):
        for chunk in _chunks(events):
            pipeline.publish(chunk)
            pipeline.settle()
            tally.sent(chunk)
            _hear_what_is_there(listener, tally)
        if tally.open and patience:
            sys.stderr.write(f"{len(tally.open)} lack something that may still come: waiting up to {patience:g} s\n")
        until = time.monotonic() + patience
        while tally.open and time.monotonic() < until:
            pipeline.turn(_PAUSE)
            pipeline.settle()
            _hear_what_is_there(listener, tally)


def _let_catch_up(listener: Listener, tally: Hearer) -> None:
    """Hear answers until few are still to come, or none come any more: those that are left wait for something."""
    while (left := len(tally.open)) > AHEAD // 2:
        tally.hear(listener.hear(CALM))
        if len(tally.open) == left:
            return


def _hear_what_is_there(listener: Listener, tally: Hearer) -> None:
    while heard := listener.hear(0):
        tally.hear(heard)


def _chunks(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Consecutive events, until `CHUNK` answers or more are asked for."""
    chunk: list[Event] = []
    count = 0
    for event in events:
        chunk.append(event)
        count += len(event.keys)
        if count >= CHUNK:
            yield chunk
            chunk, count = [], 0
    if chunk:
        yield chunk
