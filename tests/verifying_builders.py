"""A database with a rich history in it, what verifying finds there, and tables of what is made wrong in it.

Such a table tells of each corruption in one line what must be found (check, table, key, what, expected → found), and
below it the statements that make it so. A key has a name; `{name}` in a statement is the condition that finds its row,
`…` a value that follows from all else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from services.accounting.handlers import book_movements, book_revaluations
from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from services.desk.servers import bring_up_to_date
from services.desk.verify import Finding, Scope, chosen, hold_still, verify
from shared.contracts.codec import decoder, read
from shared.contracts.registry import MOVEMENT_POSTED, STOCK_REVALUED
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import open_engine, transaction
from shared.service import Input, Output
from shared.settings import Settings
from tests import servers

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FIRST_DAYS = datetime(2026, 4, 30, 18, tzinfo=UTC)
LAST_DAY = datetime(2026, 5, 4, 8, tzinfo=UTC)
LATE = timedelta(minutes=15)
LIMIT = 100
ANYTHING = "…"
_HEAD = re.compile(r"(?P<check>\w+): (?P<table>\S+) \((?P<key>[^)]*)\) (?P<what>.+?): (?P<expected>.*) → (?P<found>.*)")

Keys = Mapping[str, Mapping[str, str]]
"""Keys of rows by their names."""


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: datetime = FIRST_DAYS

    def __call__(self) -> datetime:
        return self.now


@contextmanager
def shops_after_the_last_day(postgres: str) -> Iterator[str]:
    """The URL of a database with both shops of the examples: serials, batches, made goods, closed books, corrections.

    The clock stands still, so each movement and entry has always the same id.
    """
    with servers.fresh_database(postgres) as url:
        bring_up_to_date(url)
        clock = Clock()
        with Pipeline(url, clock=clock, settings=replace(Settings(), sweep_every=0.0)) as pipeline:
            for day in ("1", "2", "3", "4"):
                clock.now = LAST_DAY if day == "4" else FIRST_DAYS
                for file in sorted(EXAMPLES.glob(f"*/{day}-*.jsonl")):
                    lines = file.read_bytes().splitlines()
                    pipeline.publish([read_event(line, file.parent.name, FIRST_DAYS) for line in lines])
                pipeline.settle()
            for _ in range(3):
                pipeline.turn()
        yield url


def findings(
    url: str, *only: str, company: str | None = None, limit: int = LIMIT, quick: bool = False
) -> dict[str, list[Finding]]:
    """What verifying finds, by check; those that find nothing are left out."""
    engine = open_engine(url)
    try:
        with transaction(engine) as connection:
            scope = hold_still(connection, company, limit, LATE)
            looked = verify(connection, scope, chosen(only, quick=quick))
            return {each.check.name: list(each.findings) for each in looked if each.findings}
    finally:
        engine.dispose()


def book(engine: sa.Engine, outputs: Sequence[Output]) -> None:
    """Have accounting book what the ledger told."""
    for kind, work, reader in _BOOKING:
        inputs = [Input(each.source, kind, read(reader, each.body), each.body) for each in outputs if each.kind == kind]
        with transaction(engine) as connection:
            if inputs:
                work(inputs, connection)


_BOOKING: Sequence[tuple[str, Any, Any]] = (
    (MOVEMENT_POSTED, book_movements, decoder(MovementPosted)),
    (STOCK_REVALUED, book_revaluations, decoder(StockRevalued)),
)

# --- what is made wrong ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corruption:
    """Statements that make something wrong, and the finding that must tell it."""

    check: str
    table: str
    key: str
    what: str
    expected: str
    found: str
    statements: Sequence[str]

    def __str__(self) -> str:
        return f"{self.check}: {self.table} ({self.key}) {self.what}: {self.found}"


def corruptions(table: str) -> list[Corruption]:
    """The corruptions of a table."""
    told: list[tuple[dict[str, str], list[str]]] = []
    for line in filter(None, map(str.rstrip, table.splitlines())):
        if line.startswith("        "):
            told[-1][1][-1] += f" {line.strip()}"
        elif line.startswith("    "):
            told[-1][1].append(line.strip())
        else:
            head = _HEAD.fullmatch(line)
            assert head, line
            told.append((head.groupdict(), []))
    return [Corruption(**head, statements=statements) for head, statements in told]


def found_in(connection: sa.Connection, corruption: Corruption, keys: Keys) -> list[Finding]:
    """What is found of a corruption, in a transaction that is not committed: no trigger stops it."""
    connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    conditions = {name: _condition(key) for name, key in keys.items()}
    for each in corruption.statements:
        statement = re.sub(r"{([\w ]+)}", lambda name: conditions[name[1]], each)
        assert connection.exec_driver_sql(statement.replace("%", "%%")).rowcount, statement
    now = datetime.now(UTC)
    (looked,) = verify(connection, Scope(None, LIMIT, now, now - LATE), chosen([corruption.check], quick=False))
    return list(looked.findings)


def tells(finding: Finding, corruption: Corruption, keys: Keys) -> bool:
    """Whether a finding is the one that a corruption must bring about."""
    wanted = (corruption.what, corruption.expected, corruption.found)
    there = (finding.what, finding.expected, finding.found)
    return (
        finding.table == corruption.table
        and keys[corruption.key].items() <= finding.key.items()
        and all(one in (ANYTHING, other) for one, other in zip(wanted, there, strict=True))
        and finding.expected != finding.found
    )


def _condition(key: Mapping[str, str]) -> str:
    return " AND ".join(f"{name} = '{value}'" for name, value in key.items())
