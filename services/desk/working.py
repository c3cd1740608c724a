"""What commands work on that change something: the database, the broker, and whoever carries out what they ask for.

With a RabbitMQ that is workers elsewhere. Without, nobody else takes part: the services run inside the command, which
plays them until nothing is left to do.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Engine

from services.desk.pipeline import Pipeline
from services.desk.servers import database
from services.ledger import handlers as ledger
from shared.broker import Broker, connect
from shared.db import open_engine, transaction
from shared.errors import StockbookError
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Works:
    """The database and the broker; `pipeline` is None where workers elsewhere do the work."""

    engine: Engine
    broker: Broker
    pipeline: Pipeline | None = None

    def settle(self, timeout: float = 60.0) -> None:
        """Play the services until nothing is left to do, if they are inside; StockbookError if that does not end."""
        if self.pipeline is None:
            return
        deadline = time.monotonic() + timeout
        self.pipeline.settle(timeout)
        while self._can_release():
            if time.monotonic() > deadline:
                raise StockbookError("the ledger did not come to rest")
            self.pipeline.settle(timeout)

    def _can_release(self) -> bool:
        """Whether a movement waits in the ledger that is next: a bad one among them takes several sweeps to find."""
        with transaction(self.engine) as connection:
            return ledger.release(None)(connection).then is not None


@contextmanager
def works(settings: Settings) -> Iterator[Works]:
    """The works for the time of the block."""
    with database(settings) as url:
        if settings.broker_url is None:
            # Every turn sweeps: nothing that a command asks for waits for a second to pass.
            with Pipeline(url, settings=replace(settings, sweep_every=0.0)) as pipeline:
                yield Works(pipeline.engine, pipeline.broker, pipeline)
            return
        engine, broker = open_engine(url), connect(settings.broker_url)
        try:
            yield Works(engine, broker)
        finally:
            broker.close()
            engine.dispose()
