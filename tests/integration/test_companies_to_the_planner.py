"""A company that PostgreSQL's statistics do not know yet is not slower than the others.

A planner that is told a company by name, and knows from its statistics that all rows are of others, takes every index
that begins with the company for as good as any: it may then read all of that company's rows for each one it looks for,
until the statistics are gathered again, which on a large table is late. Where several indexes of a table begin with
the company, statements therefore name it as `(SELECT :company)`, of which nothing is known but how many there are.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from services.desk.examples import played
from tests.commands import environment, invoke

STATEMENT = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
NAMED = re.compile(r"\bcompany = '")
SEVERAL = """
SELECT schemaname || '.' || tablename FROM pg_indexes
WHERE schemaname IN ('receiving', 'ledger', 'accounting', 'aftercare') AND indexdef LIKE '%USING btree (company%'
GROUP BY 1 HAVING count(*) > 1
"""
ASKED = [
    ("trace", "CREAM-ROSE", "--batch", "ROSE-2026-003"),
    ("trace", "PHONE-X2", "--serial", "X2-2601-0001"),
    ("available", "PHONE-X2", "FLOOR"),
    ("available", "CREAM-ROSE", "SHOP"),
]


class Plans:
    """The plans of all statements that are sent, each once, as they are made for tables of any size."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.found: list[Mapping[str, Any]] = []

    def look(self, _connection: object, cursor: Any, statement: str, parameters: Any, *_rest: object) -> None:
        if statement in self.seen or not STATEMENT.match(statement):
            return
        self.seen.add(statement)
        with cursor.connection.cursor() as beside:
            beside.execute(b"EXPLAIN (FORMAT JSON, VERBOSE) " + cursor.mogrify(statement, parameters))
            (told,) = beside.fetchone()
        plans = told if isinstance(told, list) else json.loads(told)
        self.found += [node for plan in plans for node in _nodes(plan["Plan"])]


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


@contextmanager
def _looking() -> Iterator[Plans]:
    plans = Plans()
    sa.event.listen(Engine, "before_cursor_execute", plans.look)
    try:
        yield plans
    finally:
        sa.event.remove(Engine, "before_cursor_execute", plans.look)


def _told(plans: Plans, tables: set[str]) -> dict[str, str]:
    """The tables of which a plan compares the company with a name, and how."""
    found = {}
    for node in plans.found:
        table = f"{node.get('Schema')}.{node.get('Relation Name')}"
        conditions = " ".join(str(node.get(each, "")) for each in ("Index Cond", "Recheck Cond", "Filter"))
        if table in tables and NAMED.search(conditions):
            found[table] = conditions
    return found


def test_no_statement_names_a_company_where_the_planner_chooses_between_indexes(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sa.create_engine(database).connect() as connection:
        tables = set(connection.scalars(sa.text(SEVERAL)))
    assert {"ledger.entry", "receiving.serial"} <= tables
    with _looking() as plans:
        with played(database):
            pass
        for question in ASKED:
            assert invoke(*question, env=environment(STOCKBOOK_DATABASE_URL=database)).exit_code == 0
    assert {"ledger.entry", "receiving.serial", "receiving.batch"} <= {
        f"{node.get('Schema')}.{node.get('Relation Name')}" for node in plans.found
    }
    assert _told(plans, tables) == {}
