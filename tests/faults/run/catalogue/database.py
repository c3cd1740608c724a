"""A PostgreSQL that goes, ends sessions, refuses to write, fails over; and others who lock what the workers want."""

import time
from contextlib import suppress

import sqlalchemy as sa

from tests.faults.run.fault import Fault
from tests.faults.run.postgres import terminate_backends, wait_for
from tests.faults.run.scene import Scene
from tests.faults.run.sites import Kind

HELD = 5.0
"""Seconds for which the server refuses."""
ENOUGH = 3
"""So many deadlocks have to be seen."""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# Some bins that everybody wants, in the order that is not the workers'.
_BINS = "SELECT item, warehouse FROM {schema}.bin WHERE item LIKE 'fifo-%' ORDER BY item DESC, warehouse DESC"
_LOCK = "SELECT FROM {schema}.bin WHERE (item, warehouse) = (:item, :warehouse) FOR UPDATE"


def faults() -> list[Fault]:
    return [
        Fault("PostgreSQL restarted", restart, repeatable=True),
        Fault("PostgreSQL killed -9 and started", kill, repeatable=True),
        Fault("every session terminated, again and again", terminate, quick=True, repeatable=True),
        Fault("a read-only server", refuse_to_write, repeatable=True),
        Fault("primary killed -9, synchronous standby promoted", _fail_over, site=Kind.STANDBY),
        Fault("deadlocks provoked", lock_against_the_order, repeatable=True),
        Fault("serialization failures provoked", demand_serializable, repeatable=True),
    ]


def restart(scene: Scene) -> None:
    scene.server.stop()
    scene.server.start()


def kill(scene: Scene) -> None:
    scene.server.kill()
    scene.server.start()
    wait_for(scene.server)


def terminate(scene: Scene) -> None:
    ended = 0
    for _ in range(10):
        ended += terminate_backends(scene.server, scene.database)
        time.sleep(0.2)
    assert ended > 0


def refuse_to_write(scene: Scene) -> None:
    """As a primary does that has been demoted."""
    scene.server.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        time.sleep(HELD)
        scene.until_said("read-only")
    finally:
        scene.server.execute("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


def demand_serializable(scene: Scene) -> None:
    """Transactions that met are refused by the server, whatever locks they hold."""
    name = scene.database
    scene.server.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    terminate_backends(scene.server, name)
    try:
        scene.until_said("could not serialize")
        time.sleep(HELD)
    finally:
        scene.server.execute(f'ALTER DATABASE "{name}" RESET default_transaction_isolation')
        terminate_backends(scene.server, name)


def lock_against_the_order(scene: Scene) -> None:
    """A stranger locks bins one by one, from the last to the first, and the workers from the first to the last."""
    url = scene.site.database_url(scene.database)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = time.monotonic() + 30
    seen = _deadlocks(scene)
    while _deadlocks(scene) < seen + ENOUGH and time.monotonic() < deadline:
        for schema in ("receiving", "ledger"):
            with suppress(sa.exc.DBAPIError):
                _lock_all(engine, schema)
    assert _deadlocks(scene) > seen, "nobody met the stranger"


def _deadlocks(scene: Scene) -> int:
    ((count,),) = scene.rows(_DEADLOCKS)
    return int(count)


def _lock_all(engine: sa.Engine, schema: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
        for item, warehouse in connection.execute(sa.text(_BINS.format(schema=schema))).all():
            connection.execute(sa.text(_LOCK.format(schema=schema)), {"item": item, "warehouse": warehouse})
            time.sleep(0.02)


def _fail_over(scene: Scene) -> None:
    """Whatever was committed stands on the standby too; the workers find out by themselves who is primary now."""
    primary, standby = scene.site.postgres
    primary.kill()
    time.sleep(1)
    standby.promote()
