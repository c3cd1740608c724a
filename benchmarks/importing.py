"""`stockbook import serials`: a table of many serials, through RabbitMQ and the workers, until every row is answered.

The clock runs over the command as a user starts it. `python -m benchmarks.importing [ROWS]` measures this row alone.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import sqlalchemy as sa

from benchmarks import load
from benchmarks.commands import stockbook
from benchmarks.processors import Used, used
from benchmarks.rig import PATIENCE, BenchmarkError, Rig, Stage, rig, stage
from services.desk.events import make_event
from shared.contracts.masters import ItemDefined
from shared.db import open_engine, transaction
from shared.logs import configure
from shared.purposes import Tracking

ITEM = "imported"
ROWS = 100_000
_ITEM_IS_THERE = f"SELECT FROM receiving.items WHERE item = '{ITEM}'"
_SERIALS = f"SELECT count(*) FROM receiving.serial WHERE item = '{ITEM}' AND warranty_until = '2027-01-31'"


@dataclass(frozen=True, slots=True)
class Import:
    """One run: seconds, processor time a row by process (`import` is the command), its peak memory (MiB)."""

    rows: int
    seconds: float
    used: Used
    memory: float


def imported(where: Rig, rows: int) -> Import:
    """Import so many serials into a database without any."""
    with stage(where, 100) as (on, _), TemporaryDirectory() as folder:
        file = Path(folder) / "serials.csv"
        _write(file, rows)
        _define_item(on)
        before = on.reading()
        ran = stockbook(["import", "serials", str(file)], on.url, on.broker_url)
        spent = used(before, on.reading(), ran.seconds, rows)
        if _count(on.url, _SERIALS) != rows:
            raise BenchmarkError(f"not all of {rows} rows were imported: {ran.output}")
        busy = max(0.0, spent.elsewhere - ran.processor / (ran.seconds * (os.cpu_count() or 1)))
        microseconds = {"import": round(ran.processor * 1e6 / rows, 1), **spent.microseconds}
        return Import(rows, ran.seconds, Used(microseconds, busy), ran.memory)


def _write(file: Path, rows: int) -> None:
    with file.open("w") as out:
        out.write("company,item,serial,supplier,warranty_until,attributes.colour\n")
        out.writelines(f"{load.COMPANY},{ITEM},SN-{number:07},Units Ltd,2027-01-31,red\n" for number in range(rows))


def _define_item(on: Stage) -> None:
    item = ItemDefined(company=load.COMPANY, item=ITEM, tracking=Tracking.SERIAL)
    publisher = on.broker.publisher()
    publisher.publish([make_event("item.defined.v1", load.SOURCE, item, ITEM).message()])
    publisher.close()
    deadline = perf_counter() + PATIENCE
    while not _count(on.url, f"SELECT count(*) FROM ({_ITEM_IS_THERE}) AS there"):
        if perf_counter() > deadline:
            raise BenchmarkError("the item was never defined")
        sleep(0.05)


def _count(url: str, statement: str) -> int:
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            return int(connection.execute(sa.text(statement)).scalar_one())
    finally:
        engine.dispose()


def main(arguments: list[str]) -> None:
    """Measure this row alone, and print it."""
    configure("warning")
    rows = int(arguments[0]) if arguments else ROWS
    with rig() as where:
        run = imported(where, rows)
    spent = ", ".join(f"{name} {us * rows / 1e6:.1f}" for name, us in run.used.microseconds.items())
    print(f"{rows:,} serials in {run.seconds:.1f} s, {run.memory:.0f} MiB; processor seconds: {spent};")
    print(f"{run.used.elsewhere:.0%} of the machine busy with other things")


if __name__ == "__main__":
    main(sys.argv[1:])
