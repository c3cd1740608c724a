"""A relay between workers and a broker, whose connections may be reset, or go dead without a word."""

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_AT_ONCE = struct.pack("ii", 1, 0)  # closed so, a connection is reset


@dataclass(eq=False)
class _Pair:
    ours: socket.socket
    theirs: socket.socket
    dead: threading.Event = field(default_factory=threading.Event)


class Relay:
    """Passes on everything, until it is told otherwise; `url` is the broker's through it."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "127.0.0.1", target.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = target._replace(netloc=f"guest:guest@127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self._pairs: list[_Pair] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()
        for pair in self._pairs:
            for end in (pair.ours, pair.theirs):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def reset(self) -> int:
        """Reset every connection, on both sides; how many there were."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in (pair.ours, pair.theirs):
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    end.shutdown(socket.SHUT_RD)  # wakes whoever reads from it
                end.close()
        return len(pairs)

    def swallow(self) -> int:
        """From now on, all that is said on the present connections is swallowed; how many there are."""
        for pair in self._pairs:
            pair.dead.set()
        return len(self._pairs)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                pair = _Pair(ours, socket.create_connection(self._target))
                self._pairs.append(pair)
                for source, target in ((pair.ours, pair.theirs), (pair.theirs, pair.ours)):
                    threading.Thread(target=self._pass_on, args=(pair, source, target), daemon=True).start()

    @staticmethod
    def _pass_on(pair: _Pair, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not pair.dead.is_set():
                    target.sendall(data)
        # Where the one side parts, the other is told; but a dead connection tells nobody anything.
        if not pair.dead.is_set():
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
