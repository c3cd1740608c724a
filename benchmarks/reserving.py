"""Throughput where very many reservations are open, by that where there are none: both measured in turns.

The idea: whoever takes goods reads totals, so it must not matter how many reservations they come from. They lie in the
same bins as the load, all open, and expire at different times after the run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import sqlalchemy as sa

from benchmarks import load, pipeline
from benchmarks.rig import Rig, database

# A thousandth each: there is opening stock enough for all of them and for the load.
_QUANTITY = "0.001"
_BINS = """
CREATE TEMPORARY TABLE place ON COMMIT DROP AS
SELECT row_number() OVER (ORDER BY item, warehouse) - 1 AS number, item, warehouse FROM receiving.bin
"""
_RESERVATIONS = """
INSERT INTO receiving.reservation (source, id, company, document, recorded_at, expires_at)
SELECT 'shop', 'r-' || number, :company, 'order ' || number, now(),
    now() + number * interval '1 second' + interval '1 day'
FROM generate_series(1, :count) AS number
"""
_LINES = f"""
INSERT INTO receiving.reservation_line
    (source, id, line, company, item, warehouse, batch, serials, quantity, open, expires_at)
SELECT 'shop', id, 1, reservation.company, item, warehouse, '', '{{}}', {_QUANTITY}, {_QUANTITY}, expires_at
FROM receiving.reservation JOIN place
    ON place.number = cast(substr(id, 3) AS integer) % (SELECT count(*) FROM place)
"""
_TOTALS = """
UPDATE receiving.bin SET reserved = kept.quantity, reserved_until = kept.expires_at
FROM (SELECT company, item, warehouse, sum(open) AS quantity, min(expires_at) AS expires_at
      FROM receiving.reservation_line GROUP BY company, item, warehouse) AS kept
WHERE (bin.company, bin.item, bin.warehouse) = (kept.company, kept.item, kept.warehouse)
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """Movements a second without reservations and with them, run by run, and processor microseconds a movement."""

    without: list[pipeline.Throughput]
    beside: list[pipeline.Throughput]

    @property
    def ratios(self) -> list[float]:
        """How much of the throughput is left, pair by pair."""
        return [after.rate / before.rate for before, after in zip(self.without, self.beside, strict=True)]

    def microseconds(self, process: str) -> tuple[float, float]:
        """What a movement takes of a process without reservations, and with them."""
        before, after = (
            median(dict(run.used.microseconds)[process] for run in runs) for runs in (self.without, self.beside)
        )
        return round(before, 1), round(after, 1)


def compare(rig: Rig, reservations: int, runs: int, movements: int) -> Compared:
    """Measure both in turns, so many times; whichever comes first changes from turn to turn."""
    without: list[pipeline.Throughput] = []
    beside: list[pipeline.Throughput] = []
    with _with_reservations(rig, reservations) as full:
        for number in range(runs):
            turn = [(rig, without), (full, beside)]
            for where, found in reversed(turn) if number % 2 else turn:
                found.append(pipeline.throughput(where, movements, 1))
    return Compared(without, beside)


@contextmanager
def _with_reservations(rig: Rig, count: int) -> Iterator[Rig]:
    """A rig whose runs begin with so many open reservations."""
    with database(rig) as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(_BINS))
            connection.execute(sa.text(_RESERVATIONS), {"company": load.COMPANY, "count": count})
            connection.execute(sa.text(_LINES))
            connection.execute(sa.text(_TOTALS))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
        yield replace(rig, template=url)
