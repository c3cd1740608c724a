"""Metrics and health over HTTP: `/metrics`, `/healthz` (is it alive?), `/readyz` (does it work?).

Alive means that the loop of every worker in the process gave a sign of life of late; a server that is away does not
make a worker dead, and restarting the worker would not bring the server back. Ready means that each of them is
subscribed and that its last turn succeeded.
"""

import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any, NamedTuple, cast

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.errors import Fatal
from shared.metrics import Meter, Metrics
from shared.settings import Settings

_JSON = "application/json"
_POLL = 0.1  # seconds until the server sees that it is to end


class _Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


@contextmanager
def listening(metrics: Metrics, settings: Settings) -> Iterator[int | None]:
    """Tell metrics and health for the time of the block; the port (None: the settings name none, nobody is told).

    Fatal where the address cannot be taken.
    """
    if settings.http_port is None:
        yield None
        return
    with _open(settings.http_host, settings.http_port, _pages(metrics, settings.stuck_after)) as server:
        thread = Thread(target=server.serve_forever, args=(_POLL,), name="http", daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _open(host: str, port: int, pages: Mapping[str, Callable[[], _Answer]]) -> "_Server":
    try:
        return _Server(host, port, pages)
    except OSError as error:
        told = "the address for metrics and health cannot be taken: name another in STOCKBOOK_HTTP_HOST and _PORT"
        raise Fatal(told, host=host, port=port, error=error) from error


def _pages(metrics: Metrics, stuck_after: float) -> Mapping[str, Callable[[], _Answer]]:
    return {
        "/metrics": lambda: _Answer(200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)),
        "/healthz": lambda: _judged(metrics, lambda meter: meter.silence < stuck_after),
        "/readyz": lambda: _judged(metrics, lambda meter: meter.is_ready),
    }


def _judged(metrics: Metrics, is_well: Callable[[Meter], bool]) -> _Answer:
    """200 where every worker is well, else 503; either way what each of them is, and for how long it was silent."""
    told = [
        {"service": meter.service, "ok": is_well(meter), "silent_seconds": round(meter.silence, 1)}
        for meter in metrics.meters
    ]
    status = 200 if all(each["ok"] for each in told) else 503
    return _Answer(status, _JSON, json.dumps({"workers": told}).encode() + b"\n")


class _Server(ThreadingTCPServer):
    """A thread a request; one that hangs keeps neither the others nor the process."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, pages: Mapping[str, Callable[[], _Answer]]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages = pages
        super().__init__((host, port), _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hung up, or never asked, is nobody's trouble."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Request(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:
        page = cast(_Server, self.server).pages.get(self.path.partition("?")[0])
        answer = page() if page is not None else _Answer(404, "text/plain", b"/metrics /healthz /readyz\n")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing: a line each time that somebody asks would drown the log."""
