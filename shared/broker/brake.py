"""Holding back: how little is taken from the lanes while the services behind receiving have enough to do.

The idea: receiving may be faster than who comes after it. A flood that it let through would then stand in their queues,
in front of everybody. So while there is a flood it asks what waits there; and as long as that is much, each lane gives
one message now and then. Who sends little does not notice. Whatever goes wrong with the question, nothing is held back.
"""

from collections.abc import Callable
from time import monotonic

from shared.broker.connection import Link
from shared.broker.topology import ACCOUNTING, LEDGER
from shared.errors import StockbookError

BEHIND = (LEDGER, ACCOUNTING)
FULL = 4
"""How many frames that nobody has taken yet are enough."""

ASK_EVERY = 0.1
ASK_AGAIN_AFTER = 10.0  # seconds, where there was no answer

REST = 0.02
"""For how long (seconds) a lane rests after each message that it gave."""


class Brake:
    """Tells whether to hold back. It asks on a connection of its own, made when there is a flood for the first time."""

    def __init__(self, connect: Callable[[], Link]) -> None:
        self.is_on = False
        self._connect = connect
        self._link: Link | None = None
        self._ask_at = 0.0

    def look(self, *, flooded: bool) -> None:
        """Ask, if it is time and there is a flood; without one nothing is held back. Never raises for an answer that
        does not come."""
        if not flooded:
            self.is_on = False
        elif monotonic() >= self._ask_at:
            self.is_on = self._is_full()

    def close(self) -> None:
        """Let go."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _is_full(self) -> bool:
        self._ask_at = monotonic() + ASK_EVERY
        try:
            self._link = self._link or self._connect()
            return any(_depth(self._link, queue) >= FULL for queue in BEHIND)
        except StockbookError:
            self._link = None
            self._ask_at = monotonic() + ASK_AGAIN_AFTER
            return False


def _depth(link: Link, queue: str) -> int:
    with link.talking(queue=queue):
        return int(link.channel.queue_declare(queue, passive=True).message_count)
