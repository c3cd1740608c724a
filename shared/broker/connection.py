"""One connection to RabbitMQ with its channel, and what its failures mean.

The idea: a `Link` belongs to one thread, reads one frame at a time, and is dead after its first error. Nothing is
ever repaired on it: a late confirm or an old delivery tag would be credited to the wrong message.
"""

import math
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import amqp
from amqp.method_framing import frame_handler
from kombu.connection import Connection

from shared.broker.interface import BrokerUnavailable, QueueVanished
from shared.broker.tls import is_lasting, split_tls
from shared.errors import Fatal, Retryable

# Seconds; kombu's own default is none. After two to three of them without a word the broker gives a connection up, and
# what it holds to another worker: so what lies in a black hole is worked on within a minute.
HEARTBEAT = 12
FORBIDDEN = frozenset({403})
FORBIDDEN_OR_DIFFERENT = frozenset({403, 406})
_NO_SUCH_ACCOUNT_OR_VHOST = frozenset({403, 530})
_QUEUE_TROUBLE = frozenset({404, 406})

_PIECE = 16 * 1024
"""How many bytes are read at once, if so many have come; no larger, for the library copies what it leaves."""

_TRANSPORT = {
    "read_timeout": 10,
    "write_timeout": 5,  # a broker that has blocked its publishers does not read: no longer than the wait for confirms
    "socket_settings": {
        socket.TCP_USER_TIMEOUT: 20_000,  # milliseconds; the library's own is 1,000, too short for a busy network
        socket.TCP_KEEPIDLE: 10,  # a connection that went dead inside a frame is noticed by the system, in 25 s
        socket.TCP_KEEPINTVL: 5,
        socket.TCP_KEEPCNT: 3,
    },
}


class Forbidden(Fatal):
    """The account lacks a right."""


class Link:
    """An open connection and its channel. For one thread; after the first error it is abandoned."""

    def __init__(self, connection: Any, user: str | None = None) -> None:
        self._connection = connection
        self.named = {"user_id": user} if user else {}  # what is published here says so, and the broker checks it
        self._socket = connection.sock
        self._transport = connection.transport
        self._read_at_once()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self.channel = self.open_channel()

    def read(self, wait: float) -> bool:
        """Handle one frame if one comes within `wait` seconds; whether one came.

        One frame, not one message: a heartbeat must not make the caller wait for what follows it.
        """
        if not self._connection.connected:
            raise ConnectionResetError("the connection is closed")
        if not self._is_readable(wait):
            return False
        try:
            self._connection.blocking_read()
        except TimeoutError:
            return False
        return True

    def beat(self) -> None:
        """Read what has come (the broker's heartbeats are among it), then send a heartbeat if one is due."""
        while self.read(0):
            pass
        self._connection.heartbeat_tick()

    def open_channel(self) -> Any:
        """A channel beside the link's own, for whoever needs one to close by itself."""
        channel = self._connection.channel()
        channel.auto_decode = False  # else a content_encoding in a message turns its bytes into text
        return channel

    @contextmanager
    def talking(self, fatal: frozenset[int] = FORBIDDEN, **facts: object) -> Iterator[None]:
        """Whatever goes wrong inside is raised as one of our errors, and ends the link.

        `fatal` are the broker's reply codes that stop the worker; `facts` go into the error.
        """
        try:
            with meaningful_errors(fatal, **facts):
                yield
        except BaseException:
            self.abandon()
            raise

    def close(self) -> None:
        """Part in good manners: a bare end of the socket may take the last acknowledgements with it."""
        with suppress(amqp.AMQPError, OSError):
            self._connection.close()
        self.abandon()

    def abandon(self) -> None:
        """Drop the connection without a word."""
        self._connection.collect()

    def _read_at_once(self) -> None:
        """The library asks the system for each part of a frame, a dozen times a message; it keeps what it is given
        beyond that."""
        receive = self._transport._quick_recv
        self._transport._quick_recv = partial(_receive, receive)

    def _is_readable(self, wait: float) -> bool:
        if self._transport._read_buffer:
            return True
        decrypted = getattr(self._socket, "pending", None)
        return bool(decrypted and decrypted()) or bool(self._poll.poll(math.ceil(wait * 1000)))


def _receive(receive: Callable[[int], bytes], size: int) -> bytes:
    return receive(max(size, _PIECE))


def open_link(urls: Sequence[str], heartbeat: int = HEARTBEAT) -> Link:
    """Connect to the first of `urls` that answers. Raises `BrokerUnavailable`, `Fatal` (account or vhost refused)."""
    failures: list[Retryable] = []
    for url in urls:
        try:
            return _open_one(url, heartbeat)
        except Retryable as failure:
            failures.append(failure)
    raise BrokerUnavailable("no broker answers", tried=[str(failure) for failure in failures])


@contextmanager
def meaningful_errors(fatal: frozenset[int], **facts: object) -> Iterator[None]:
    """Raise the client library's errors as ours, with the broker's own words in the facts."""
    try:
        yield
    except (amqp.AMQPError, OSError) as error:
        code = getattr(error, "reply_code", None)
        words = getattr(error, "reply_text", None) or str(error) or type(error).__name__
        if code in fatal:
            refused = Forbidden if code in FORBIDDEN else Fatal
            raise refused("the broker refuses", reply=words, code=code, **facts) from error
        if code in _QUEUE_TROUBLE and isinstance(error, amqp.ChannelError):
            raise QueueVanished("the broker closed the channel", reply=words, code=code, **facts) from error
        raise BrokerUnavailable("the broker cannot be reached", reply=words, **facts) from error


def _open_one(url: str, heartbeat: int) -> Link:
    address, tls = split_tls(url)
    client = Connection(
        address,
        heartbeat=heartbeat,
        connect_timeout=5,
        ssl=tls,
        transport_options={**_TRANSPORT, "frame_handler": _forgiving_frame_handler},
    )
    with meaningful_errors(_NO_SUCH_ACCOUNT_OR_VHOST, broker=client.host, vhost=client.virtual_host):
        try:
            return Link(client.transport.establish_connection(), client.userid)
        except ssl.SSLError as error:
            if is_lasting(error):
                raise Fatal("no safe connection to the broker", broker=client.host, error=str(error)) from error
            raise


# What a stranger wrote around a message must not stop the consumer: the client library raises for text that is not
# UTF-8, for times beyond the year 9999, for tables nested too deep, and the message would come again for ever.

_METHOD, _HEADER = 1, 2
_DELIVER = struct.pack(">HH", 60, 60)
_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, RecursionError, struct.error, amqp.FrameSyntaxError)
_NO_PROPERTIES = b"\0\0"


def _forgiving_frame_handler(connection: Any, callback: Any) -> Callable[[tuple[int, int, bytes]], bool]:
    """The library's frame handler, with unreadable properties left out and unreadable routing keys cut to text."""
    handle = frame_handler(connection, callback)

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel, payload = frame
        if kind == _METHOD and payload[:4] == _DELIVER:
            return bool(handle((kind, channel, _readable_deliver(payload))))
        if kind != _HEADER:
            return bool(handle(frame))
        try:
            return bool(handle(frame))
        except _UNREADABLE:
            return bool(handle((kind, channel, payload[:12] + _NO_PROPERTIES)))

    return on_frame


def _readable_deliver(payload: bytes) -> bytes:
    """Method, consumer tag, delivery tag (8), redelivered (1), exchange, routing key; texts begin with their length."""
    exchange = 5 + payload[4] + 9
    start = exchange + 1 + payload[exchange]
    key = payload[start + 1 :]
    if key.isascii():
        return payload
    readable = key.decode(errors="ignore").encode()
    return payload[:start] + bytes((len(readable),)) + readable
