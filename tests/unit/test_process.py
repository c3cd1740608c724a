"""A process of workers stops at a signal, wherever the signal is noticed."""

import signal
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from services.ledger import handlers as ledger
from shared import process
from shared.settings import Settings

NEVER_ASKED = "postgresql+psycopg2://nobody@127.0.0.1:1/none"


@pytest.fixture
def handlers_are_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class SignalledWorker:
    """A worker that gets the signal itself, so that it does not interrupt what the main thread waits for."""

    told: ClassVar[list[bool]] = []

    def __init__(self, *given: Any) -> None:
        self._stop: threading.Event = given[4]

    def run(self) -> None:
        signal.raise_signal(signal.SIGTERM)
        self.told.append(self._stop.wait(timeout=20))


@pytest.mark.usefixtures("handlers_are_put_back")
def test_a_signal_that_interrupts_no_wait_is_heard_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "Worker", SignalledWorker)
    monkeypatch.setattr(process, "_collect_rarely", lambda: None)
    assert process.serve([ledger.service(), ledger.service()], NEVER_ASKED, Settings())
    assert SignalledWorker.told == [True, True]
