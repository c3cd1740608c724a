"""What a movement leaves on the disk: tables with their indexes and the write-ahead log, and what could be taken away.

The idea: sizes are read before and after, relation by relation, so nothing is estimated. The services work on all of it
in this process, in bulk: their sets are as large as under load.
"""

import gzip
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile

import psycopg2
import sqlalchemy as sa

from benchmarks import baskets, load
from benchmarks.ceiling import dsn
from benchmarks.rig import Rig, database, play, rig, with_past
from shared.contracts.movement import MovementRequested
from shared.logs import configure

SCHEMAS = ("receiving", "ledger", "accounting", "aftercare")
MESSAGES = {
    "receiving": "coalesce(octet_length(allocated), 0) + octet_length(outcome)",
    "ledger": "coalesce(octet_length(outputs), 0)",
    "accounting": "coalesce(octet_length(outputs), 0)",
}
"""What each service keeps of the messages that it sent of a movement: they are sent again from there."""

_RELATIONS = f"""
SELECT nspname || '.' || relname AS name, pg_table_size(of_table.oid) AS rows, pg_indexes_size(of_table.oid) AS indexes
FROM pg_class AS of_table JOIN pg_namespace AS schema ON schema.oid = relnamespace
WHERE nspname IN {SCHEMAS} AND relkind = 'r'
"""
_LOG = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn AS log, (SELECT wal_fpi FROM pg_stat_wal) AS pages"


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes a line: of the rows of each table and of all its indexes, of the log, of the messages that each service
    keeps, and of all tables as compressed text. `pages` are those that stand in the log whole, also a line: the first
    time that one is changed after a checkpoint."""

    movements: int
    lines: int
    rows: Mapping[str, float]
    indexes: Mapping[str, float]
    log: float
    pages: float
    messages: Mapping[str, float]
    archive: float

    @property
    def tables(self) -> float:
        """Tables with their indexes."""
        return sum(self.rows.values()) + sum(self.indexes.values())


class _Measured:
    """The sizes of a database at one moment."""

    def __init__(self, url: str) -> None:
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            found = connection.execute(sa.text(_RELATIONS)).all()
            self.rows = {each.name: int(each.rows) for each in found}
            self.indexes = {each.name: int(each.indexes) for each in found}
            self.log, self.pages = map(int, connection.execute(sa.text(_LOG)).one())
            self.messages = {
                service: int(
                    connection.execute(sa.text(f"SELECT coalesce(sum({kept}), 0) FROM {service}.movement")).scalar_one()
                )
                for service, kept in MESSAGES.items()
            }
        self.archive = _compressed(url, sorted(self.rows))


def taken(where: Rig, movements: Iterable[MovementRequested]) -> Taken:
    """What these movements take in a database that has what they need."""
    asked = list(movements)
    lines = sum(len(each.lines) for each in asked)
    with database(where) as url:
        before = _Measured(url)
        play(url, [], asked)
        after = _Measured(url)
    return Taken(
        len(asked),
        lines,
        _each(before.rows, after.rows, lines),
        _each(before.indexes, after.indexes, lines),
        (after.log - before.log) / lines,
        (after.pages - before.pages) / lines,
        _each(before.messages, after.messages, lines),
        (after.archive - before.archive) / lines,
    )


def of_baskets(where: Rig, count: int | None) -> Taken:
    """What the first `count` baskets of the year take, or all, beside what came in for them."""
    bought, products = baskets.read_bought(count), baskets.read_products()
    with with_past(where, baskets.definitions(bought, products), baskets.receipts(bought, products)) as ready:
        return taken(ready, baskets.sales(bought))


def _each(before: Mapping[str, int], after: Mapping[str, int], lines: int) -> dict[str, float]:
    return {name: (size - before.get(name, 0)) / lines for name, size in after.items()}


def _compressed(url: str, tables: Sequence[str]) -> int:
    """How large the rows of these tables are as text, compressed."""
    connection = psycopg2.connect(dsn(url))
    with TemporaryFile() as file:
        with connection.cursor() as cursor, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as out:
            for table in tables:
                cursor.copy_expert(f"COPY {table} TO STDOUT", out)
        connection.close()
        return file.tell()


def show(name: str, found: Taken) -> None:
    """Print what was found, and the tables that take most."""
    print(f"{name}: {found.movements:,} movements of {found.lines / found.movements:.1f} lines; bytes a line:")
    messages = sum(found.messages.values())
    print(f"  tables and indexes {found.tables:,.0f}, of these messages {messages:,.0f}")
    print(f"  log {found.log:,.0f}, with {found.pages:.2f} whole pages")
    print(f"  all rows as compressed text {found.archive:,.0f}")
    by_size = sorted(found.rows, key=lambda table: -(found.rows[table] + found.indexes[table]))
    for table in by_size[:12]:
        print(f"  {table:<28}{found.rows[table]:8,.0f} rows{found.indexes[table]:8,.0f} indexes")


def main(arguments: Sequence[str]) -> None:
    """Measure so many movements of one line and so many baskets, or all of the year, and print it."""
    configure("warning")
    count = int(arguments[0]) if arguments else None
    with rig() as where:
        show("one line each", taken(where, load.movements(load.TIMED, count or 20_000)))
        if lack := baskets.lacking():
            sys.exit(lack)
        show("baskets", of_baskets(where, count))


if __name__ == "__main__":
    main(sys.argv[1:])
