"""The services in one process and one thread, turned round-robin.

It is what plays examples, scenarios and files without any set-up; with a RabbitMQ at hand it does the same over that.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from services.accounting import handlers as accounting
from services.aftercare import handlers as aftercare
from services.desk.events import Event
from services.desk.sending import send
from services.desk.store import is_revaluing, unfinished
from services.ledger import handlers as ledger
from services.receiving import handlers as receiving
from services.receiving.decide.case import Limits
from shared.broker import Broker, connect
from shared.db import open_engine, transaction
from shared.errors import Retryable, StockbookError
from shared.service import Key
from shared.settings import Settings
from shared.worker import Worker

_SHORT = 0.02  # seconds that a turn waits for messages that are still on their way


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


class Pipeline:
    """All services, over one database that has been migrated. For one thread; closed by `with`.

    `broker_url` None: a broker inside the process, and nobody else takes part. `clock` is what receiving goes by. What
    is published here comes in order, so a source that defined no patience has none.
    """

    def __init__(
        self,
        database_url: str,
        broker_url: str | None = None,
        clock: Callable[[], datetime] = utc_now,
        settings: Settings | None = None,
        limits: Limits = Limits(patience=timedelta(0)),
    ) -> None:
        settings = settings or Settings()
        self.engine: Engine = open_engine(database_url)
        self.broker: Broker = connect(broker_url, settings.lanes)
        self._embedded = broker_url is None
        self._publisher = self.broker.publisher()
        gate = receiving.service(clock, limits, settings.administrators)
        beside = aftercare.service(clock, limits.patience, settings.administrators)
        services = (gate, ledger.service(), accounting.service(), beside)
        self._workers = [Worker(service, self.broker, self.engine, settings) for service in services]
        self._published: list[Key] = []

    def __enter__(self) -> Self:
        self.broker.declare()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give back every connection."""
        for worker in self._workers:
            worker.close()
        self._publisher.close()
        self.broker.close()
        self.engine.dispose()

    def publish(self, events: Sequence[Event]) -> None:
        """Send events to the intake, in order; they have arrived there when this returns."""
        if events:
            send(self._publisher, [event.message() for event in events])
            self._published += [key for event in events for key in event.keys]

    def turn(self, timeout: float = 0.0) -> int:
        """One round over the services; the number of messages that were worked on."""
        return sum(worker.turn(timeout) for worker in self._workers)

    def settle(self, timeout: float = 60.0) -> None:
        """Work until nothing is left to do. StockbookError after `timeout` seconds without getting there.

        With the broker inside the process that is when a round finds nothing to do. Over RabbitMQ others may take part,
        so it is when all that was published here has been refused, parked or booked, and nothing is valued anew.
        """
        deadline = time.monotonic() + timeout
        while not self._is_settled():
            if time.monotonic() > deadline:
                open_ends, revaluing = self._open_ends()
                facts = {"left": len(open_ends), "first": open_ends[:3], "revaluing": revaluing}
                raise StockbookError("the services did not come to rest", **facts)
        self._published.clear()

    def _is_settled(self) -> bool:
        try:
            if self.turn(0.0 if self._embedded else _SHORT):
                return False
        except Retryable:
            time.sleep(_SHORT)  # a lost connection: what was taken through it comes again
            return False
        return self._embedded or not any(self._open_ends())

    def _open_ends(self) -> tuple[list[Key], bool]:
        """What was published here and is not finished; and whether something is still to be valued anew."""
        with transaction(self.engine) as connection:
            return unfinished(connection, self._published), is_revaluing(connection)
