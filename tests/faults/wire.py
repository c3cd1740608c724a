"""A relay between a worker and the broker that swallows or delays, at some time, what a publisher should hear."""

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

CONFIRM_SELECT = b"\x00\x55\x00\x0a"
"""Class and method by which a channel asks for confirms: so a publisher is told from a consumer."""


@dataclass
class _Ends:
    ours: socket.socket
    theirs: socket.socket
    publishes: threading.Event = field(default_factory=threading.Event)


class Swallowing:
    """Of the first connection that publishes, all that the broker says after so many bytes is swallowed.

    With `late` (seconds) it is held back for as long instead. Other connections are let alone.
    """

    def __init__(self, url: str, after: int, late: float | None = None) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 5672)
        self._after = after
        self._late = late
        self._chosen: _Ends | None = None
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = target._replace(netloc=f"guest:guest@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self.swallowed = 0
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        for end in self._sockets:
            _shut(end)
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                ends = _Ends(ours, socket.create_connection(self._target))
                self._sockets += [ends.ours, ends.theirs]
                for relay in (self._outwards, self._inwards):
                    self._threads.append(threading.Thread(target=relay, args=(ends,)))
                    self._threads[-1].start()

    def _outwards(self, ends: _Ends) -> None:
        with suppress(OSError):
            while data := ends.ours.recv(65536):
                if self._chosen is None and CONFIRM_SELECT in data:
                    self._chosen = ends
                ends.theirs.sendall(data)
        self._part(ends)

    def _inwards(self, ends: _Ends) -> None:
        heard = 0
        with suppress(OSError):
            while data := ends.theirs.recv(65536):
                if ends is self._chosen:
                    heard += len(data)
                    if heard > self._after and not self._hold_back(len(data)):
                        continue
                ends.ours.sendall(data)
        self._part(ends)

    def _hold_back(self, size: int) -> bool:
        """Whether it goes on after all, later."""
        self.swallowed += size
        if self._late is None:
            return False
        until = time.monotonic() + self._late
        self._closing.wait(until - time.monotonic())
        return True

    @staticmethod
    def _part(ends: _Ends) -> None:
        _shut(ends.ours)
        _shut(ends.theirs)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
