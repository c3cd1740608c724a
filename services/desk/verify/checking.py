"""What a check is: its name, what must hold, and what finds the rows of which that is not true.

The one idea: the database looks through its own tables and hands over only what is wrong, no more of it than is asked
for; what it cannot reckon is streamed in portions. So whatever there is to look through, little of it is held.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DataError

from shared.db import query
from shared.quantities import plain

NOTHING = "nothing"
"""What is expected, or found, where there is no row, or no value in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A row that is not as it must be: its table and key, what of it is wrong, what must stand there and what does."""

    table: str
    key: Mapping[str, str]
    what: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked at: one company or all, and no more than `limit` findings of each check.

    `now` is when the looking began. What has been under way since before `late` should have come to its end.
    """

    company: str | None
    limit: int
    now: datetime
    late: datetime


Run = Callable[[Connection, Scope], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold, and how to find what it does not hold of.

    `is_thorough`: it goes through every message, and takes minutes where others take seconds.
    """

    name: str
    what: str
    run: Run
    is_thorough: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that finds wrong rows of a table.

    Its columns `what`, `expected` and `found` tell of a row what is wrong; all others are its key. It takes the
    parameters :company (null: all), :late and :now.
    """

    table: str
    statement: str


OF_COMPANY = "(cast(:company AS text) IS NULL OR {0}company = :company)"
"""The condition that a row belongs to what is looked at, for a table of that name (with its point)."""


def asking(*questions: Question) -> Run:
    """A check that asks these, one after another."""

    def run(connection: Connection, scope: Scope) -> Iterator[Finding]:
        for each in questions:
            yield from ask(connection, scope, each)

    return run


def ask(connection: Connection, scope: Scope, question: Question) -> Iterator[Finding]:
    """What a question finds, up to one more than is to be shown."""
    bounded = f"SELECT * FROM ({question.statement}) AS wrong LIMIT :limit"
    limits = {"company": scope.company, "late": scope.late, "now": scope.now, "limit": scope.limit + 1}
    for row in query(connection, bounded, **limits):
        yield _finding(question.table, row)


def ask_bodies(connection: Connection, scope: Scope, question: Question) -> Iterator[Finding] | None:
    """What a question finds that reads stored messages; None where one of them is no JSON, and it cannot be asked."""
    try:
        with connection.begin_nested():
            return iter(list(ask(connection, scope, question)))
    except DataError:
        return None


def shown(value: object) -> str:
    """A value as findings show it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def key_of(names: str, values: Sequence[object]) -> dict[str, str]:
    """The key of a row: values by their names."""
    return {name: shown(value) for name, value in zip(names.split(), values, strict=True)}


def _finding(table: str, row: Row[Any]) -> Finding:
    told = row._asdict()
    what, expected, found = (shown(told.pop(name)) for name in ("what", "expected", "found"))
    return Finding(table, {name: shown(value) for name, value in told.items()}, what, expected, found)
