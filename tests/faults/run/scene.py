"""One fault's own shop: a database and a virtual host, workers on them, an upstream that keeps publishing.

What a fault needs in order to strike is here: the servers, the workers, and ways to wait for what shows that it has.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import sqlalchemy as sa

from services.desk.store import unfinished
from shared.broker import Broker, connect
from shared.broker.topology import SERVICES, TOPOLOGY
from shared.db import open_engine, query, transaction
from shared.errors import Retryable
from tests.faults.run import goods
from tests.faults.run.crew import Crew
from tests.faults.run.goods import Asked, Shopping
from tests.faults.run.judging import Case, Verdict, at_rest, declare_witness, hear, judge
from tests.faults.run.loading import Upstream
from tests.faults.run.postgres import PrivatePostgres
from tests.faults.run.relay import Relay
from tests.faults.run.sites import Site, Sites, declared
from tests.integration.test_pipeline import ROOT
from tests.servers import PrivateRabbitmq

RATE = 900.0
"""Movements that the upstream publishes in a second, at most."""
SETTLE = 120.0
"""Seconds in which nothing gets less after which what is left is called stuck."""
SMALL = {"STOCKBOOK_SET_SIZE": "60", "STOCKBOOK_FRAME_SIZE": "50"}
"""Many sets and many messages out of some thousand movements."""


class DidNotHappenError(AssertionError):
    """The fault could not be seen to strike: what holds afterwards says nothing."""


@dataclass
class Scene:
    """A shop, its workers and its servers.

    `chance` is the fault's own: the same seed, the same choices. `recovered` are recoveries that were measured while
    the fault went on, as where a server stays away. `relay` is what the workers reach the broker through, if anything.
    """

    site: Site
    database: str
    virtual_host: str
    engine: sa.Engine
    broker: Broker
    crew: Crew
    upstream: Upstream
    shopping: Shopping
    chance: random.Random
    parkable: set[str] = field(default_factory=set)
    stack: ExitStack = field(default_factory=ExitStack)
    relay: Relay | None = None
    recovered: list[float] = field(default_factory=list)
    _probes: int = 0

    @property
    def server(self) -> PrivatePostgres:
        return self.site.server

    @property
    def node(self) -> PrivateRabbitmq:
        return self.site.node

    @property
    def broker_url(self) -> str:
        return self.site.broker_url(self.virtual_host)

    @property
    def database_url(self) -> str:
        return self.site.database_url(self.database)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement; tried again while the server is away, for two minutes."""
        deadline = time.monotonic() + SETTLE
        while True:
            try:
                with transaction(self.engine) as connection:
                    return [tuple(row) for row in query(connection, statement)]
            except Retryable:
                if time.monotonic() > deadline:
                    raise
                self.engine.dispose()
                time.sleep(0.1)

    def count(self, what: str) -> int:
        ((count,),) = self.rows(f"SELECT count(*) FROM {what}")
        return int(count)

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Wait until it holds; `DidNotHappenError` if it does not."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise DidNotHappenError(f"{what}: not within {seconds:g} s; {self.last_words()}")
            time.sleep(0.1)

    def until_said(self, words: str, seconds: float = 60) -> None:
        """Wait until some worker says so."""
        self.until(lambda: words in self.crew.said(), f"a worker says {words!r}", seconds)

    def last_words(self) -> str:
        return self.crew.said()[-300:].replace("\n", " ")

    def publish(self, movements: Sequence[Asked], largest: int = 20, source: str = goods.SOURCE) -> None:
        """Publish further movements, until all are confirmed."""
        portions = [movements[start : start + largest] for start in range(0, len(movements), largest)]
        self.upstream.publish([goods.sent(each, source) for each in portions])

    def receipts(self, name: str, count: int, item: str = goods.FIFO[0]) -> list[Asked]:
        """Movements that are not drawn, each of one unit, and count nevertheless."""
        return [
            self.shopping.keep(
                goods.movement(f"{name}-{n}", "purchase_receipt", [goods.arriving(item, "north", 1, 2.0)]),
                {(item, "north"): 1},
            )
            for n in range(count)
        ]

    def stockbook(self, *arguments: str) -> subprocess.Popen[bytes]:
        """An operator's command, begun."""
        command = [sys.executable, "-c", "from services.desk.cli import main; main()", *arguments]
        environment = {**os.environ, **self.crew.environment}
        return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def operate(self, *arguments: str) -> str:
        """What an operator's command says; it must end well."""
        command = self.stockbook(*arguments)
        said = command.communicate(timeout=120)[0].decode()
        assert command.returncode == 0, f"stockbook {' '.join(arguments)}: {said}"
        return said

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl on the first node."""
        return self.node.ctl(*arguments)

    def depths(self) -> dict[str, int]:
        """What lies in each queue; what workers have in hand is not counted."""
        return {each.name: self.broker.depth(each.name) for each in TOPOLOGY.queues}

    def lies_in_queues(self) -> bool:
        """Whether anything lies there for a service."""
        return any(self.broker.depth(service) for service in SERVICES)

    def is_done(self, keys: Collection[tuple[str, str]]) -> bool:
        with suppress(Retryable), transaction(self.engine) as connection:
            return not unfinished(connection, keys)
        self.engine.dispose()
        return False

    def recovery(self) -> float:
        """Seconds until a movement that is sent now is booked; infinite where it is not within two minutes."""
        began = time.monotonic()
        self._probes += 1
        (probe,) = self.receipts(f"probe-{self._probes}", 1)
        self.publish([probe])
        with suppress(DidNotHappenError):
            self.until(partial(self.is_done, [(goods.SOURCE, probe["id"])]), "the probe is booked", SETTLE)
            return time.monotonic() - began
        return float("inf")

    def settle(self) -> None:
        """Wait until all is at rest for a moment, or nothing goes on any more: what is not is found by the judge."""
        deadline = time.monotonic() + SETTLE
        quiet, left = 0, [""]
        while quiet < 3 and time.monotonic() < deadline:
            began = time.monotonic()
            try:
                before, left = left, at_rest(self.engine, self.upstream.keys)
                quiet = 0 if left or self.lies_in_queues() else quiet + 1
                deadline = time.monotonic() + SETTLE if left != before else deadline
            except Retryable:
                quiet = 0
                self.engine.dispose()
            # Where there are hundreds of thousands of movements, a look takes what the workers need.
            time.sleep(max(0.2, 4 * (time.monotonic() - began)))

    def verdict(self) -> Verdict:
        """What is wrong now that all is at rest; no worker runs any more."""
        told = hear(self.broker)
        case = Case(self.engine, self.upstream.keys, self.shopping, self.depths(), told, self.parkable)
        return judge(case)


@contextmanager
def opened(sites: Sites, site: Site, seed: int, environment: Mapping[str, str]) -> Iterator[Scene]:
    """A shop with masters and stock, and no worker yet; at the end its processes are gone."""
    with site.database() as database:
        virtual_host = site.virtual_host()
        broker_url, database_url = site.broker_url(virtual_host), site.database_url(database)
        declared(broker_url)
        declare_witness(broker_url.partition(";")[0])
        told = {"STOCKBOOK_DATABASE_URL": database_url, "STOCKBOOK_BROKER_URL": broker_url, **SMALL, **environment}
        broker, engine = connect(broker_url), open_engine(database_url)
        crew = Crew(told, sites.folder())
        upstream = Upstream(broker, RATE, lambda: _done(engine))
        shopping, chance = Shopping(seed), random.Random(seed)
        scene = Scene(site, database, virtual_host, engine, broker, crew, upstream, shopping, chance)
        try:
            yield scene
        finally:
            crew.kill_all()
            scene.stack.close()
            with suppress(Exception):
                upstream.stop()
            engine.dispose()
            broker.close()
            site.clear(virtual_host)


_DONE = ("accounting.movement WHERE id NOT LIKE 'open %'", "receiving.movement WHERE allocated IS NULL")


def _done(engine: sa.Engine) -> int:
    """Movements of the load that are booked or refused; while the database is away, nobody waits for them."""
    with suppress(Retryable), transaction(engine) as connection:
        return sum(int(query(connection, f"SELECT count(*) AS done FROM {what}")[0].done) for what in _DONE)
    return 1_000_000
