"""The guards of the schema: triggers, their functions, and named constraints are there, as the migrations made them.

The one idea: what must be there is read off the migrations that the program was shipped with, so a guard that is added
is looked for at once. Who has the rights of an owner can take a guard away and put it back; that nothing happened in
between is for the other checks to find.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from services.desk.verify.checking import NOTHING, Finding, Scope, key_of
from shared.db import query
from shared.migrate import SERVICES, migrations

_TRIGGERS = """
SELECT of_table.nspname || '.' || relname AS of_table, tgname AS name, tgenabled AS state,
    does.nspname || '.' || proname AS function
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace AS of_table ON of_table.oid = relnamespace
JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_namespace AS does ON does.oid = pronamespace
WHERE NOT tgisinternal AND of_table.nspname = ANY(:schemas)
"""
_FUNCTIONS = """
SELECT nspname || '.' || proname AS name, prosrc AS body
FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE nspname = ANY(:schemas)
"""
_CONSTRAINTS = """
SELECT nspname || '.' || relname AS of_table, conname AS name, convalidated AS is_valid
FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = ANY(:schemas)
"""
_INDEXES = """
SELECT nspname || '.' || relname AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = ANY(:schemas) AND indisvalid
"""

_TEXT = re.compile(r"\$\$(.*?)\$\$", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+\.\w+)\([^)]*\).*?\$\$(.*?)\$\$", re.DOTALL)
_TRIGGER = re.compile(
    r"CREATE (?:CONSTRAINT )?TRIGGER (\w+)\s.*?\sON (\w+\.\w+)\s.*?EXECUTE FUNCTION (\w+\.\w+)", re.DOTALL
)
_NO_TRIGGER = re.compile(r"DROP TRIGGER (?:IF EXISTS )?(\w+) ON (\w+\.\w+)")
_TABLE = re.compile(r"(?:CREATE|ALTER) TABLE (?:IF NOT EXISTS |ONLY )*(\w+)\.(\w+)")
_CONSTRAINT = re.compile(r"(?:(DROP) )?CONSTRAINT (?:IF EXISTS )?(\w+)")
_UNIQUE = re.compile(r"CREATE UNIQUE INDEX (\w+)\s+ON (\w+)\.\w+", re.DOTALL)
_NO_INDEX = re.compile(r"DROP INDEX (?:IF EXISTS )?(\w+\.\w+)")
# A trigger that fires only for a replica does not fire for us.
_FIRES = ("O", "A")

Named = tuple[str, str]
"""What belongs to a table: the table, and its name there."""


@dataclass(slots=True)
class Guards:
    """What the migrations make, by name: triggers with their functions, functions with their bodies."""

    triggers: dict[Named, str] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    constraints: set[Named] = field(default_factory=set)
    indexes: set[str] = field(default_factory=set)


def guards_stand(connection: Connection, scope: Scope) -> Iterator[Finding]:  # noqa: ARG001 - they guard all companies
    """Every trigger fires, every function of one does what it did, every named constraint and unique index holds."""
    wanted = guards_of(each.text for each in migrations())
    schemas = {"schemas": list(SERVICES)}
    triggers = {(row.of_table, row.name): row for row in query(connection, _TRIGGERS, **schemas)}
    for (table, name), function in sorted(wanted.triggers.items()):
        found = triggers.get((table, name))
        if found is None or found.state not in _FIRES:
            yield _finding(table, "trigger", name, "fires", NOTHING if found is None else "disabled")
        elif found.function != function:
            yield _finding(table, "trigger", name, f"calls {function}", f"calls {found.function}")
    bodies = {row.name: row.body for row in query(connection, _FUNCTIONS, **schemas)}
    for name, body in sorted(wanted.functions.items()):
        if bodies.get(name) != body:
            yield _finding("pg_proc", "function", name, "as it was made", "another" if name in bodies else NOTHING)
    valid = {(row.of_table, row.name): row.is_valid for row in query(connection, _CONSTRAINTS, **schemas)}
    for table, name in sorted(wanted.constraints):
        if not valid.get((table, name)):
            yield _finding(table, "constraint", name, "holds", "not valid" if (table, name) in valid else NOTHING)
    there = {row.name for row in query(connection, _INDEXES, **schemas)}
    for name in sorted(wanted.indexes - there):
        yield _finding("pg_index", "unique index", name, "holds", NOTHING)


def guards_of(texts: Iterable[str]) -> Guards:
    """What migrations make, that are applied in this order."""
    guards = Guards()
    for text in texts:
        guards.functions.update(_FUNCTION.findall(text))
        for statement in _COMMENT.sub("", _TEXT.sub("", text)).split(";"):
            _note(guards, statement)
    return guards


def _note(guards: Guards, statement: str) -> None:
    guards.triggers |= {(table, name): function for name, table, function in _TRIGGER.findall(statement)}
    for name, table in _NO_TRIGGER.findall(statement):
        guards.triggers.pop((table, name), None)
    guards.indexes |= {f"{schema}.{name}" for name, schema in _UNIQUE.findall(statement)}
    guards.indexes -= set(_NO_INDEX.findall(statement))
    table = _TABLE.search(statement)
    if table is None:
        return
    owner = f"{table[1]}.{table[2]}"
    if "CREATE" in table[0] and "PRIMARY KEY" in statement:
        guards.constraints.add((owner, f"{table[2]}_pkey"))
    for dropped, name in _CONSTRAINT.findall(statement):
        if dropped:
            guards.constraints.discard((owner, name))
        else:
            guards.constraints.add((owner, name))


def _finding(table: str, kind: str, name: str, expected: str, found: str) -> Finding:
    return Finding(table, key_of(kind.replace(" ", "_"), (name,)), kind, expected, found)
