"""The ceiling: how fast the very rows of the three services can be stored by whoever does nothing else.

The rows are read back from a run's own database and written again, by one bare psycopg2 connection, into a fresh one:
no logic, no broker, no locks, the text of each COPY made beforehand. As in the pipeline each service's rows of a set
are a transaction of their own: three commits a set. Bins, batches, serials and their stays are left out (they are
updated, which COPY cannot do), and so are numbers and links of chains, which are given when it is quiet: so the ceiling
is rather too high than too low.
"""

import io
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its name

from benchmarks import load
from benchmarks.processors import Used, reading, used
from benchmarks.rig import Rig, database

TABLES = {
    "receiving": ("receiving.movement", "receiving.change"),
    "ledger": ("ledger.movement", "ledger.entry", "ledger.entry_serial"),
    "accounting": ("accounting.movement", "accounting.journal_entry", "accounting.transfer"),
}
"""What each service appends for a movement."""

_READ = "COPY (SELECT id, {table}.* FROM {table} WHERE id LIKE '{part}-%' ORDER BY id) TO STDOUT"
# Those that do not name their movement.
_READ_OTHERS = {
    "receiving.change": """
COPY (
    SELECT named.id, change.* FROM receiving.change JOIN (
        SELECT DISTINCT company, item, warehouse, effective_at, stamp, id FROM ledger.entry
        WHERE id LIKE '{part}-%' AND revaluation = 0) AS named USING (company, item, warehouse, effective_at, stamp)
    ORDER BY named.id, company, item, warehouse, batch, part
) TO STDOUT
""",
    "ledger.entry_serial": """
COPY (
    SELECT entry.id, entry_serial.* FROM ledger.entry_serial JOIN ledger.entry USING (company, entry_id)
    WHERE entry.id LIKE '{part}-%' ORDER BY entry.id, ordinal, serial
) TO STDOUT
""",
    "accounting.transfer": """
COPY (
    SELECT journal_entry.id, transfer.* FROM accounting.transfer JOIN accounting.journal_entry
    USING (company, journal_entry) WHERE journal_entry.id LIKE '{part}-%' ORDER BY journal_entry.id, ordinal
) TO STDOUT
""",
}

Rows = Mapping[str, str]
"""What one movement stores: the lines of each table in COPY's text form."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Movements a second, and processor time by process."""

    rate: float
    used: Used


def stored_rows(url: str) -> list[Rows]:
    """The rows of all timed movements in a run's database, movement by movement."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    with psycopg2.connect(dsn(url)) as connection, connection.cursor() as cursor:
        for table in (table for tables in TABLES.values() for table in tables):
            for line in _read(cursor, table):
                name, _, row = line.partition("\t")
                found[name][table] = found[name].get(table, "") + row
    connection.close()
    return [found[name] for name in sorted(found)]


def measure(rig: Rig, rows: Sequence[Rows], counts: Mapping[int, int], tries: int = 1) -> dict[int, Stored]:
    """Store rows in sets of each size in `counts`, so many movements as it says; the middle one of some tries."""
    return {
        size: _middle([_measure_once(rig, rows[:count], size) for _ in range(tries)]) for size, count in counts.items()
    }


def _middle(tries: list[Stored]) -> Stored:
    return sorted(tries, key=lambda each: each.rate)[len(tries) // 2]


def _measure_once(rig: Rig, rows: Sequence[Rows], size: int) -> Stored:
    with database(rig) as url:
        before = reading({"psycopg2": os.getpid()}, rig.families)
        seconds = _store(url, rows, size)
        after = reading({"psycopg2": os.getpid()}, rig.families)
    return Stored(len(rows) / seconds, used(before, after, seconds, len(rows)))


def _store(url: str, rows: Sequence[Rows], size: int) -> float:
    """Write the rows; the seconds that it took."""
    sets = [_transactions(rows[start : start + size]) for start in range(0, len(rows), size)]
    connection = psycopg2.connect(dsn(url))
    with connection.cursor() as cursor:
        started = perf_counter()
        for transactions in sets:
            for copies in transactions:
                for table, text in copies:
                    cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO(text))
                connection.commit()
        seconds = perf_counter() - started
    connection.close()
    return seconds


def _transactions(portion: Sequence[Rows]) -> list[list[tuple[str, str]]]:
    """The COPYs of a set, by service."""
    texts = [
        [(table, "".join(rows.get(table, "") for rows in portion)) for table in tables] for tables in TABLES.values()
    ]
    return [[(table, text) for table, text in copies if text] for copies in texts]


def _read(cursor: Cursor, table: str) -> list[str]:
    statement = _READ_OTHERS.get(table, _READ)
    out = io.StringIO()
    cursor.copy_expert(statement.format(table=table, part=load.TIMED), out)
    return out.getvalue().splitlines(keepends=True)


def dsn(url: str) -> str:
    """The address as psycopg2 takes it."""
    return sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
