"""What tests of brokers share: messages, a relay that can be cut, a client that writes what ours never would."""

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from kombu.connection import Connection

from shared.broker import Broker, Consumer, Delivery, Message
from shared.broker.topology import LEDGER, WORK


def message(number: int, exchange: str = WORK, key: str = LEDGER, mandatory: bool = True) -> Message:
    return Message(exchange, key, str(number).encode(), f"m{number}", mandatory)


def messages(count: int, start: int = 0, key: str = LEDGER) -> list[Message]:
    return [message(number, key=key) for number in range(start, start + count)]


def publish(broker: Broker, *sent: Message) -> None:
    publisher = broker.publisher()
    publisher.publish(sent)
    publisher.close()


def take(consumer: Consumer, count: int, within: float = 10) -> list[Delivery]:
    """Drain until `count` messages are there."""
    taken: list[Delivery] = []
    deadline = time.monotonic() + within
    while len(taken) < count and time.monotonic() < deadline:
        taken += consumer.drain(count - len(taken), timeout=0.2)
    return taken


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [int(delivery.body) for delivery in deliveries]


def wait_for_depth(broker: Broker, queue: str, depth: int) -> None:
    deadline = time.monotonic() + 10
    while broker.depth(queue) != depth:
        assert time.monotonic() < deadline, f"{queue} has {broker.depth(queue)} messages, not {depth}"
        time.sleep(0.02)


def delete_queue(url: str, queue: str) -> None:
    with Connection(url) as connection:
        connection.channel().queue_delete(queue)


class Wire:
    """A relay between us and the broker that can be cut, or can hold back what the broker says."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = target._replace(netloc=f"guest:guest@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self._ends: list[socket.socket] = []
        self._speaking = threading.Event()
        self._speaking.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def mute(self) -> None:
        """From now on nothing that the broker says arrives."""
        self._speaking.clear()

    def unmute(self) -> None:
        self._speaking.set()

    def cut(self) -> None:
        """Every connection ends now; new ones can be made."""
        for end in self._ends:
            shut(end)

    def close(self) -> None:
        shut(self._listener)
        self.unmute()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._ends):
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(self._target)
                self._ends += [ours, theirs]
                for way in ((ours, theirs, None), (theirs, ours, self._speaking)):
                    self._threads.append(threading.Thread(target=self._relay, args=way))
                    self._threads[-1].start()

    def _relay(self, source: socket.socket, target: socket.socket, allowed: threading.Event | None) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if allowed is not None:
                    allowed.wait()
                target.sendall(data)
        # Not closed: a socket that the other thread waits on would stay open behind our back.
        shut(source)
        shut(target)


def shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def stranger(url: str) -> Connection:
    """Somebody's own client. It waits for confirms, else RabbitMQ may lose what was sent just before the end."""
    return Connection(url, transport_options={"confirm_publish": True})


class Raw(str):
    """Text that goes over the wire as the bytes given: what a stranger's client may send."""

    __slots__ = ("raw",)
    raw: bytes

    def __new__(cls, raw: bytes) -> "Raw":
        text = super().__new__(cls, "raw")
        text.raw = raw
        return text

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002 - as text has it
        return self.raw


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value
