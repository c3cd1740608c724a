"""Publishing to RabbitMQ so that nothing is lost: pipelined confirms.

The idea: the broker numbers what is published on a channel from 1, and so do we; every number must be acknowledged
before `publish` returns. Waiting for each message by itself would cost a round trip per message, ten times the time.
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

import amqp

from shared.broker.connection import FORBIDDEN_OR_DIFFERENT, Link
from shared.broker.interface import (
    BrokerUnavailable,
    ConfirmTimeout,
    Message,
    QueueVanished,
    Refused,
    Unroutable,
    unroutable,
)

CONTENT_TYPE = "application/cloudevents+json"
WINDOW = 1_000
_PERSISTENT = 2
_GRACE = 0.5  # seconds


class RabbitPublisher:
    """A publisher on a link of its own, made when needed and dropped at the first error. See `interface.Publisher`."""

    def __init__(self, connect: Callable[[], Link], declare: Callable[[], None], confirm_timeout: float) -> None:
        self._connect = connect
        self._declare = declare
        self._confirm_timeout = confirm_timeout
        self._channel: _ConfirmingChannel | None = None

    def publish(self, messages: Sequence[Message]) -> None:
        """See `interface.Publisher`."""
        self.beat()  # a connection that was lost since the last time is noticed here, before anything is sent
        try:
            self._publish(messages)
        except BaseException:
            self._discard()
            raise

    def beat(self) -> None:
        """See `interface.Publisher`. A lost connection is just forgotten: between two publishes nothing hangs on it."""
        if self._channel is not None:
            try:
                self._channel.beat()
            except (BrokerUnavailable, QueueVanished):
                self._discard()

    def close(self) -> None:
        """See `interface.Publisher`."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.link.close()

    def _publish(self, messages: Sequence[Message]) -> None:
        if self._channel is None:
            self._channel = _ConfirmingChannel(self._connect(), self._confirm_timeout)
        try:
            returned = self._channel.publish(messages)
        except QueueVanished as error:
            self._declare_again()
            raise Unroutable("an exchange is missing", **error.facts) from error
        if returned:
            self._declare_again()
            raise unroutable(returned)

    def _declare_again(self) -> None:
        """Not at once: consumers of a queue that is back within milliseconds do not hear that it was gone."""
        sleep(_GRACE)
        self._declare()

    def _discard(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.link.abandon()


class _ConfirmingChannel:
    """A channel in confirm mode and the numbers that it still owes."""

    def __init__(self, link: Link, timeout: float) -> None:
        self.link = link
        self._timeout = timeout
        self._published = 0
        self._owed: dict[int, Message] = {}  # by number, ascending
        self._refused: list[Message] = []
        self._returned: set[str] = set()
        with link.talking():
            link.channel.confirm_select()
        link.channel.events["basic_ack"].add(self._on_ack)
        link.channel.events["basic_nack"].add(self._on_nack)
        link.channel.events["basic_return"].add(self._on_return)

    def publish(self, messages: Sequence[Message]) -> list[Message]:
        """Send all and wait for every confirm; those that no queue takes."""
        with self.link.talking(FORBIDDEN_OR_DIFFERENT):
            for message in messages:
                self._send(message)
                if len(self._owed) >= WINDOW:
                    self._settle(WINDOW // 2)
            self._settle(0)
        if self._refused:
            first = self._refused[0]
            raise Refused("the broker did not take a message", exchange=first.exchange, routing_key=first.routing_key)
        return [message for message in messages if message.message_id in self._returned]

    def beat(self) -> None:
        with self.link.talking():
            self.link.beat()

    def _send(self, message: Message) -> None:
        self._published += 1
        self._owed[self._published] = message  # before it leaves: sending may already read its confirm
        self.link.channel.basic_publish(
            amqp.Message(
                message.body,
                delivery_mode=_PERSISTENT,
                content_type=CONTENT_TYPE,
                message_id=message.message_id,
                **self.link.named,
                application_headers=dict(message.headers),
            ),
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=message.mandatory,
        )

    def _settle(self, at_most: int) -> None:
        """Read until `at_most` confirms are owed; each that comes renews the time allowed."""
        deadline = monotonic() + self._timeout
        while (owed := len(self._owed)) > at_most:
            left = deadline - monotonic()
            if left <= 0:
                raise ConfirmTimeout("the broker does not confirm", owed=owed, seconds=self._timeout)
            self.link.read(left)
            if len(self._owed) < owed:
                deadline = monotonic() + self._timeout

    def _on_ack(self, number: int, multiple: bool) -> None:
        self._settled(number, multiple)

    def _on_nack(self, number: int, multiple: bool) -> None:
        self._refused += self._settled(number, multiple)

    def _on_return(self, _error: Exception, _exchange: str, _routing_key: str, message: Any) -> None:
        """A return carries no number, only the message; its acknowledgement follows."""
        self._returned.add(message.properties["message_id"])

    def _settled(self, number: int, multiple: bool) -> list[Message]:
        if not multiple:
            return [self._owed.pop(number)]
        numbers = [owed for owed in self._owed if owed <= number]
        return [self._owed.pop(owed) for owed in numbers]
