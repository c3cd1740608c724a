"""Who publishes the load: an upstream in a thread of its own, which keeps every event until the broker confirmed it.

It goes on while a fault happens, and keeps back its last events until that is over: so there is something to do
before, meanwhile and afterwards.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from services.desk.events import Event
from shared.broker import Broker, Message
from shared.errors import Retryable
from shared.service import Key

KEPT_BACK = 0.3
"""The share of the load that is published after the fault."""
AHEAD = 800
"""Movements by which it is ahead of the books, at most: what is measured is how fast a fault is over, not a backlog."""
_PAUSE = 0.2
_LOOK = 0.1


class Upstream(threading.Thread):
    """Publishes events in order, so many movements in a second at most, and no more than `ahead` of those `done`.

    `keys` and `sent` are what was confirmed; `retries` how often it was refused or unheard.
    `holding` is set when all is published that comes before the end of the fault.
    """

    def __init__(self, broker: Broker, rate: float, done: Callable[[], int] = lambda: 0) -> None:
        super().__init__(name="upstream", daemon=True)
        self._done = done
        self._broker = broker
        self.rate = rate
        self.holding = threading.Event()
        self._over = threading.Event()
        self._quit = threading.Event()
        self._events: Iterator[Sequence[Event]] = iter(())
        self.keys: list[Key] = []
        self.sent: list[Event] = []
        self._known: set[Key] = set()
        self.ahead = AHEAD
        self.retries = 0
        self.failure: BaseException | None = None

    def begin(self, events: Sequence[Event]) -> None:
        """Publish these, the last of them after `go_on`."""
        first = int(len(events) * (1 - KEPT_BACK))
        self._events = self._waves(events[:first], events[first:])
        self.start()

    def begin_endless(self, more: Iterator[Sequence[Event]]) -> None:
        """Publish portion by portion until `stop`."""
        self._events = more
        self.start()

    @property
    def count(self) -> int:
        """How many movements and definitions are published, none counted twice."""
        return len(self._known)

    def go_on(self) -> None:
        """The fault is over: publish what was kept back."""
        self._over.set()

    def stop(self) -> None:
        """Publish nothing more; the wave that was begun is finished."""
        self._quit.set()
        self._over.set()
        self.finish()

    def finish(self, seconds: float = 300) -> None:
        """Wait until all is confirmed."""
        if self.ident is not None:
            self.join(seconds)
        if self.failure is not None:
            raise self.failure
        if self.is_alive():
            raise TimeoutError(f"not all of the load was confirmed within {seconds:g} s")

    def publish(self, events: Sequence[Event]) -> None:
        """Publish in the caller's thread, until all is confirmed."""
        publisher = self._broker.publisher()
        self._insist(publisher.publish, events)
        publisher.close()
        self._note(events)

    def run(self) -> None:
        publisher = self._broker.publisher()
        try:
            for wave in self._events:
                began = time.monotonic()
                self._insist(publisher.publish, wave)
                self._note(wave)
                movements = sum(len(each.keys) for each in wave)
                self._quit.wait(max(0.0, movements / self.rate - (time.monotonic() - began)))
                while not self._quit.is_set() and self.count - self._done() > self.ahead:
                    self._quit.wait(_LOOK)
                if self._quit.is_set():
                    return
        except BaseException as failure:  # noqa: BLE001 - told to whoever waits
            self.failure = failure
        finally:
            publisher.close()

    def _waves(self, first: Sequence[Event], last: Sequence[Event]) -> Iterator[Sequence[Event]]:
        yield from _portions(first, 8)
        self.holding.set()
        self._over.wait()
        yield from _portions(last, 8)

    def _insist(self, publish: Callable[[Sequence[Message]], None], events: Sequence[Event]) -> None:
        deadline = time.monotonic() + 180
        # Message ids are unique within one call; the same event twice is published in two of them.
        portions = _without_doubles([each.message() for each in events])
        while True:
            try:
                while portions:
                    publish(portions[0])
                    portions.pop(0)
                return
            except Retryable:
                self.retries += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)

    def _note(self, events: Sequence[Event]) -> None:
        self.keys += [key for each in events for key in each.keys]
        self.sent += events
        self._known.update(key for each in events for key in each.keys)


def _portions(events: Sequence[Event], size: int) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), size):
        yield events[start : start + size]


def _without_doubles(messages: Sequence[Message]) -> list[list[Message]]:
    portions: list[dict[str, Message]] = [{}]
    for each in messages:
        for portion in portions:
            if each.message_id not in portion:
                portion[each.message_id] = each
                break
        else:
            portions.append({each.message_id: each})
    return [list(portion.values()) for portion in portions]
