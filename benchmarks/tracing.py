"""A trace among very many movements: who got anything of an ingredient, and what a unit is made of.

The idea: goods are made in two steps of many batches and sold to very many customers; so whatever is asked, its answer
is small and what must not be looked at is large. The rows are those that the services would have written, made inside
the database; nothing else is left out of what a trace reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import sqlalchemy as sa

from benchmarks.rig import BenchmarkError
from services.desk.trace.goods import Way
from services.desk.trace.starting import start_from_goods
from services.desk.trace.tracing import hold_still, trace
from services.desk.trace.walking import Limits
from shared.db import open_engine, transaction
from shared.migrate import migrate
from tests import servers

RAW, BULK, JAR, LAMP = "raw", "bulk", "jar", "lamp"
LARGE = ("ledger.entry", "ledger.entry_serial", "ledger.making", "receiving.movement", "receiving.serial")
QUESTIONS = {
    "an ingredient, down": (RAW, "batch", Way.DOWN),
    "a product, up": (JAR, "batch", Way.UP),
    "a product, down": (JAR, "batch", Way.DOWN),
    "a unit, up": (LAMP, "serial", Way.UP),
    "a unit, down": (LAMP, "serial", Way.DOWN),
}

# One row for each entry: which movement, which goods, how much, where. A batch of raw goods goes into some of bulk, of
# that into several of jars and lamps, and of those most are sold.
_ENTRIES = """
CREATE TABLE plan AS
SELECT row_number() OVER () AS number, * FROM (
    SELECT 'R' || n AS id, 'purchase_receipt' AS purpose, 'raw' AS item, 'raw-' || n AS batch, NULL AS serial,
        1000 AS quantity, 1 AS line, n AS day, false AS made
    FROM generate_series(1, :raws) AS n
    UNION ALL
    SELECT 'B' || n, 'manufacture', 'raw', 'raw-' || (n * 7919 + part * 104729) % :raws + 1, NULL, -10, part,
        1000 + n, false
    FROM generate_series(1, :bulks) AS n, generate_series(1, 4) AS part
    UNION ALL
    SELECT 'B' || n, 'manufacture', 'bulk', 'bulk-' || n, NULL, 100, 5, 1000 + n, true
    FROM generate_series(1, :bulks) AS n
    UNION ALL
    SELECT 'J' || n, 'manufacture', 'bulk', 'bulk-' || (n * 7919 + part * 104729) % :bulks + 1, NULL, -5, part,
        2000 + n, false
    FROM generate_series(1, :jars) AS n, generate_series(1, 2) AS part
    UNION ALL
    SELECT 'J' || n, 'manufacture', 'jar', 'jar-' || n, NULL, 30, 3, 2000 + n, true FROM generate_series(1, :jars) AS n
    UNION ALL
    SELECT 'L' || n, 'manufacture', 'bulk', 'bulk-' || (n * 7919) % :bulks + 1, NULL, -1, 1, 3000 + n, false
    FROM generate_series(1, :lamps) AS n
    UNION ALL
    SELECT 'L' || n, 'manufacture', 'lamp', NULL, 'lamp-' || n, 1, 2, 3000 + n, true
    FROM generate_series(1, :lamps) AS n
    UNION ALL
    SELECT 'S' || n, 'delivery', 'lamp', NULL, 'lamp-' || n, -1, 1, 4000 + n, false
    FROM generate_series(1, :lamps) AS n WHERE n % 10 > 0
    UNION ALL
    SELECT 'D' || n, 'delivery', 'jar', 'jar-' || n % :jars + 1, NULL, -1, 1, 5000 + n, false
    FROM generate_series(1, :sold) AS n
) AS each
"""
_IDS = """
ALTER TABLE plan ADD COLUMN entry_id uuid;
UPDATE plan SET entry_id = cast(lpad(to_hex(number), 32, '0') AS uuid)
"""
_FILL = """
INSERT INTO ledger.entry (company, entry_id, item, warehouse, stamp, ordinal, source, id, purpose, line, batch,
    quantity, value, worth, quantity_after, value_after, effective_at, recorded_at, posting_date, currency)
SELECT 'shop', entry_id, item, 'store', number, 0, 'till', id, purpose, line, batch, quantity, quantity, quantity, 0, 0,
    at, at, cast(at AS date), 'EUR'
FROM plan CROSS JOIN LATERAL (SELECT timestamptz '2026-01-01Z' + day * interval '1 minute') AS moment (at);
INSERT INTO ledger.entry_serial (company, item, serial, entry_id, cost)
SELECT 'shop', item, serial, entry_id, 1 FROM plan WHERE serial IS NOT NULL;
INSERT INTO ledger.making (company, source, id, entry_id, before, after, whole)
SELECT 'shop', 'till', id, entry_id, CASE WHEN made THEN 0 END, CASE WHEN made THEN 1 END, CASE WHEN made THEN 1 END
FROM plan WHERE purpose = 'manufacture';
INSERT INTO receiving.company (company, name, currency, time_zone, perpetual, lateness, issue_expired)
VALUES ('shop', 'shop', 'EUR', 'UTC', true, 300, true);
INSERT INTO receiving.item (company, item, name, unit, units, whole_units, tracking, create_batches_on_receipt,
    valuation_method, pick, allow_negative_stock, reuse_serials, disabled, attributes)
SELECT 'shop', item, item, 'pcs', '{}', false, CASE item WHEN 'lamp' THEN 'serial' ELSE 'batch' END, true, 'fifo',
    'fefo', false, true, false, '{}' FROM (SELECT DISTINCT item FROM plan) AS items;
INSERT INTO receiving.warehouse (company, warehouse, name, kind, account)
VALUES ('shop', 'store', 'store', 'store', 'stock');
INSERT INTO receiving.batch (company, item, batch, supplier, supplier_batch, manufactured_on)
SELECT DISTINCT 'shop', item, batch, 'a supplier', 'lot ' || batch, date '2026-01-01'
FROM plan WHERE batch IS NOT NULL;
INSERT INTO receiving.serial (company, item, serial, status)
SELECT DISTINCT 'shop', item, serial, 'delivered' FROM plan WHERE serial IS NOT NULL;
INSERT INTO ledger.serial (company, item, warehouse, serial, cost)
SELECT 'shop', item, 'store', serial, 1 FROM plan WHERE serial IS NOT NULL
GROUP BY item, serial HAVING sum(quantity) > 0;
INSERT INTO receiving.batch_stock (company, item, warehouse, batch, quantity)
SELECT 'shop', item, 'store', batch, sum(quantity) FROM plan WHERE batch IS NOT NULL GROUP BY item, batch;
INSERT INTO ledger.bin_batch (company, item, warehouse, batch, quantity, worth, value)
SELECT company, item, warehouse, batch, quantity, quantity, quantity FROM receiving.batch_stock;
INSERT INTO receiving.movement (source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome)
SELECT 'till', id, '', 'shop', min(purpose), now(), now(), convert_to(cast(json_build_object('source', 'till', 'id', id,
    'company', 'shop', 'purpose', min(purpose), 'posting_date', '2026-01-01', 'document', 'No. ' || id,
    'customer', 'customer ' || id, 'legs', json_agg(json_build_object('item', item, 'batch', batch, 'line', line,
    'quantity', cast(quantity AS text), 'warehouse', 'store', 'tracking', 'batch', 'stock_account', 'stock')))
    AS text), 'UTF8'), '' FROM plan GROUP BY id;
DROP TABLE plan
"""
_READ_FROM_END_TO_END = """
SELECT schemaname || '.' || relname AS name, seq_scan AS times FROM pg_stat_xact_user_tables WHERE seq_scan > 0
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: how long its answers took, in milliseconds, and how much the largest told of."""

    milliseconds: list[float]
    goods: int
    events: int


@contextmanager
def furnished(server: str, movements: int) -> Iterator[sa.Engine]:
    """A database with about so many movements: nine in ten are deliveries."""
    sizes = {"raws": movements // 250, "bulks": movements // 100, "jars": movements // 25, "lamps": movements // 100}
    sold = movements - sizes["raws"] - sizes["bulks"] - sizes["jars"] - 2 * sizes["lamps"]
    with servers.fresh_database(server) as url:
        engine = open_engine(url)
        try:
            migrate(engine)
            _fill(engine, sizes | {"sold": sold})
            yield engine
        finally:
            engine.dispose()


def _fill(engine: sa.Engine, sizes: dict[str, int]) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = 0")
        statement = _ENTRIES
        for name, size in sizes.items():
            statement = statement.replace(f":{name}", str(size))
        for each in (statement, *_IDS.split(";"), *_FILL.split(";")):
            connection.exec_driver_sql(each.replace("%", "%%"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("SET statement_timeout = 0")
        connection.exec_driver_sql("VACUUM ANALYZE")


def ask(engine: sa.Engine, name: str, runs: int) -> Asked:
    """Ask a question of several goods. BenchmarkError where a large table was read from end to end."""
    item, kind, way = QUESTIONS[name]
    times: list[float] = []
    goods = events = 0
    for number in range(1, runs + 1):
        number_of = f"{item}-{number * 13}"
        named = {"batch": number_of if kind == "batch" else None, "serial": number_of if kind == "serial" else None}
        with transaction(engine) as connection:
            begun = perf_counter()
            hold_still(connection)
            before = _scans(connection)
            start = start_from_goods(connection, item, company=None, **named)
            found = trace(connection, start, [way], Limits())
            times.append((perf_counter() - begun) * 1000)
            _check_scans(before, _scans(connection))
        if any(walk.cut for walk in found.walks.values()) or not all(each.holds for each in found.balances.values()):
            raise BenchmarkError(f"the trace of {number_of} is not complete, or does not add up")
        goods = max(goods, len(found.walks[way].depths))
        events = max(events, sum(map(len, found.walks[way].events.values())))
    return Asked(times, goods, events)


def _scans(connection: sa.Connection) -> dict[str, int]:
    """How often each large table was read from end to end, as far as the server has not counted it elsewhere yet."""
    return {row.name: row.times for row in connection.exec_driver_sql(_READ_FROM_END_TO_END) if row.name in LARGE}


def _check_scans(before: dict[str, int], after: dict[str, int]) -> None:
    if scanned := sorted(name for name, times in after.items() if times > before.get(name, 0)):
        raise BenchmarkError(f"read from end to end: {', '.join(scanned)}")
