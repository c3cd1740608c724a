"""Sending messages so that they arrive: what could not be confirmed is sent again, a few times."""

import time
from collections.abc import Sequence

from shared.broker import Message, Publisher
from shared.errors import Retryable

PAUSES = (0.1, 0.5, 2.0)
"""Seconds before the second, third and fourth try."""


def send(publisher: Publisher, messages: Sequence[Message]) -> None:
    """Publish messages, all of them confirmed when this returns; after a retry some may have arrived twice.

    Raises the last try's `Retryable`.
    """
    for pause in PAUSES:
        try:
            publisher.publish(messages)
            return
        except Retryable:
            time.sleep(pause)
    publisher.publish(messages)
