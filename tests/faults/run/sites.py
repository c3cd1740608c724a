"""Where faults are injected: a site has servers of its own, and a template from which each fault gets its database.

There are three: one server of each kind; three RabbitMQ nodes, which hold every queue together; and a PostgreSQL with
a synchronous standby. A site is opened when the first fault asks for it and serves all others of its kind.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from kombu.connection import Connection

from services.desk.pipeline import Pipeline
from shared.broker import connect
from shared.broker.topology import TOPOLOGY
from shared.db import open_engine
from shared.migrate import migrate
from tests.faults.run import goods
from tests.faults.run.judging import WITNESS
from tests.faults.run.postgres import PrivatePostgres
from tests.servers import PrivateRabbitmq

_UNIQUE = itertools.count(1)
_AT_ONCE = 8  # a call of rabbitmqctl costs more than what it asks for
_ALL_RIGHTS = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}


class Kind(StrEnum):
    """Which servers a fault needs."""

    ALONE = "one server of each kind"
    NODES = "three RabbitMQ nodes"
    STANDBY = "PostgreSQL with a standby"


@dataclass(frozen=True, slots=True)
class Site:
    """Servers, the first of each being the one to which things happen, and the name of the template."""

    postgres: Sequence[PrivatePostgres]
    nodes: Sequence[PrivateRabbitmq]
    template: str
    _spare: list[str] = field(default_factory=list)

    @property
    def server(self) -> PrivatePostgres:
        return self.postgres[0]

    @property
    def node(self) -> PrivateRabbitmq:
        return self.nodes[0]

    @contextmanager
    def database(self) -> Iterator[str]:
        """The name of a database with masters and stock, dropped at the end."""
        name = f"fault_{os.getpid()}_{next(_UNIQUE)}"
        self.server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"')
        try:
            yield name
        finally:
            # One that is dead, or a standby still, cannot.
            for server in self.postgres:
                with suppress(sa.exc.DBAPIError):
                    server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def database_url(self, name: str) -> str:
        """A database of this site, by all servers that may hold it."""
        if len(self.postgres) == 1:
            return sa.make_url(self.server.url).set(database=name).render_as_string(hide_password=False)
        hosts = "&".join(f"host={each.address}" for each in self.postgres)
        waits = "target_session_attrs=read-write&connect_timeout=2&tcp_user_timeout=3000"
        return f"postgresql+psycopg2://stockbook@/{name}?{hosts}&{waits}"

    def virtual_host(self) -> str:
        """The name of a virtual host that nobody has used."""
        if not self._spare:
            names = [f"fault-{next(_UNIQUE)}" for _ in range(_AT_ONCE)]
            rights = [{"vhost": name, **_ALL_RIGHTS} for name in names]
            self.node.import_definitions(
                json.dumps({"vhosts": [{"name": name} for name in names], "permissions": rights})
            )
            self._spare.extend(names)
        return self._spare.pop()

    def clear(self, virtual_host: str) -> None:
        """Delete the queues of a virtual host that has served: hundreds of them would slow every restart down."""
        with suppress(Exception), Connection(self.nodes[-1].url + virtual_host) as connection:
            channel: Any = connection.channel()
            for name in (*(each.name for each in TOPOLOGY.queues), WITNESS):
                channel.queue_delete(name)

    def broker_url(self, virtual_host: str) -> str:
        return ";".join(f"{node.url}{virtual_host}" for node in self.nodes)


class Sites:
    """All sites, each opened when it is asked for and kept until the end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._open: dict[Kind, Site] = {}
        self._home = Path(tempfile.mkdtemp(prefix="stockbook-faults-"))
        self._home.chmod(0o755)  # the server's own account has to get through
        self._stack.callback(shutil.rmtree, self._home, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def get(self, kind: Kind) -> Site:
        if kind is Kind.STANDBY:
            return self._furnished(self._pair(), [self.get(Kind.ALONE).node])  # a new one each time: one of them dies
        if kind not in self._open:
            if kind is Kind.ALONE:
                self._open[kind] = self._furnished([self._primary()], [self._node()])
            else:
                alone = self.get(Kind.ALONE)
                self._open[kind] = Site(alone.postgres, self._cluster(), alone.template)
        return self._open[kind]

    def folder(self) -> Path:
        """A new folder for what one fault leaves."""
        folder = self._home / f"scene-{next(_UNIQUE)}"
        folder.mkdir()
        return folder

    def _primary(self) -> PrivatePostgres:
        return self._stack.enter_context(PrivatePostgres(self._home, f"p{next(_UNIQUE)}")).begin()

    def _pair(self) -> list[PrivatePostgres]:
        primary, standby = self._primary(), PrivatePostgres(self._home, f"p{next(_UNIQUE)}")
        return [primary, self._stack.enter_context(standby).follow(primary)]

    def _node(self) -> PrivateRabbitmq:
        home = self._home / f"rabbitmq-{next(_UNIQUE)}"
        home.mkdir()
        return self._stack.enter_context(PrivateRabbitmq(home))

    def _cluster(self) -> list[PrivateRabbitmq]:
        first = self._node()
        others = [self._stack.enter_context(PrivateRabbitmq(first.home)) for _ in range(2)]
        for each in others:
            each.ctl("stop_app")
            each.ctl("join_cluster", first.address)
            each.ctl("start_app")
        return [first, *others]

    def _furnished(self, postgres: Sequence[PrivatePostgres], nodes: Sequence[PrivateRabbitmq]) -> Site:
        template = f"template_{next(_UNIQUE)}"
        postgres[0].execute(f'CREATE DATABASE "{template}"')
        site = Site(postgres, nodes, template)
        _furnish(site.database_url(template))
        return site


def _furnish(url: str) -> None:
    """Masters and opening stock, worked on in this process."""
    engine = open_engine(url)
    migrate(engine)
    engine.dispose()
    with Pipeline(url) as pipeline:
        for events in (goods.masters(), goods.opening()):
            pipeline.publish(events)
            pipeline.settle()
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))


def declared(broker_url: str) -> None:
    """Have the pipeline's exchanges and queues stand before anybody publishes."""
    broker = connect(broker_url)
    broker.declare()
    broker.close()
