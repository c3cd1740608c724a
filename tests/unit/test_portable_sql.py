"""What of the SQL is not the same on other databases: the page of scaling lists it, and this finds it in the tree.

Read are all migrations and, out of the syntax trees, all texts of the modules in which SQL stands. A construct that is
used and not on the page fails, and so does one on the page that is used nowhere, or elsewhere than it says.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text("utf-8")

PLACES = {
    "migrations": ("services/*/migrations/*.sql",),
    "workers": (
        "services/receiving/store/**/*.py",
        "services/ledger/store/**/*.py",
        "services/accounting/store/**/*.py",
        "services/aftercare/store/**/*.py",
        *(f"shared/{name}.py" for name in ("db", "chaining", "outbox", "parked", "replay")),
    ),
    "people": (
        "services/*/reports/**/*.py",
        "services/desk/store/**/*.py",
        "services/desk/verify/**/*.py",
        "services/desk/trace/**/*.py",
        "shared/granting.py",
        "shared/migrate.py",
    ),
}
"""Where SQL stands, by who runs it: once a version, with each set of movements, when somebody asks."""

USED = {
    "FOR UPDATE": r"\bFOR UPDATE\b",
    "FOR NO KEY UPDATE": r"\bFOR NO KEY UPDATE\b",
    "FOR SHARE": r"\bFOR (KEY )?SHARE\b",
    "SKIP LOCKED": r"\bSKIP LOCKED\b",
    "COPY": r"\bCOPY\s",
    "unnest": r"\bunnest\s*\(",
    "WITH ORDINALITY": r"\bWITH ORDINALITY\b",
    "ON CONFLICT": r"\bON CONFLICT\b",
    "WITH … AS (INSERT, UPDATE, DELETE)": r"\bAS\s+((NOT\s+)?MATERIALIZED\s+)?\(\s*(INSERT|UPDATE|DELETE)\b",
    "WITH RECURSIVE": r"\bWITH RECURSIVE\b",
    "DISTINCT ON": r"\bDISTINCT ON\b",
    "LATERAL": r"\bLATERAL\b",
    "CREATE TRIGGER": r"\bCREATE (OR REPLACE )?(CONSTRAINT )?TRIGGER\b",
    "REFERENCING NEW TABLE": r"\bREFERENCING\s+(NEW|OLD)\s+TABLE\b",
    "LANGUAGE plpgsql": r"\bLANGUAGE plpgsql\b",
    "CREATE INDEX … WHERE": r"\bCREATE (UNIQUE )?INDEX\b[^;]*\bWHERE\b",
    "USING brin": r"\bUSING brin\b",
    "USING gin": r"\bUSING gin\b",
    "GENERATED AS IDENTITY": r"\bGENERATED (ALWAYS|BY DEFAULT) AS IDENTITY\b",
    "CREATE TEMPORARY TABLE": r"\bCREATE TEMP(ORARY)? TABLE\b",
    "NULLS NOT DISTINCT": r"\bNULLS NOT DISTINCT\b",
    "fillfactor": r"\bfillfactor\b",
    "json": r"\bjson\b",
    "infinity": r"'-?infinity'",
    "trim_scale": r"\b(trim|min)_scale\s*\(",
    "sha256": r"\bsha256\s*\(",
    "make_interval": r"\bmake_interval\s*\(",
    "SET LOCAL": r"\bset_config\s*\(|\bSET LOCAL\b",
    "COLLATE": r"\bCOLLATE\b",
    "DECLARE … CURSOR": r"\bDECLARE\b.*\bCURSOR\b",
    "REPEATABLE READ": r"\bREPEATABLE READ\b",
    "LOCK TABLE": r"\bLOCK TABLE\b",
    "catalogs": r"\bpg_(catalog|class|namespace|proc|trigger|roles|authid|database|constraint|attribute)\b",
}
"""What other databases do not have, or have in another way, or which only PostgreSQL calls so."""

UNUSED = {
    "advisory locks": r"\bpg_(try_)?advisory\w*",
    "LISTEN and NOTIFY": r"^\s*(LISTEN|NOTIFY)\s|\bpg_notify\b",
    "sequences": r"\bCREATE SEQUENCE\b|\bnextval\s*\(|\b(big)?serial\s+(PRIMARY|NOT NULL)",
    "generated columns": r"\)\s+STORED\b",
    "foreign keys": r"\bFOREIGN KEY\b|\bREFERENCES\s+\w+\.",
    "deferred constraints": r"\bDEFERRABLE\b",
    "exclusion constraints": r"\bEXCLUDE\s+(USING|\()",
    "extensions": r"\bCREATE EXTENSION\b",
    "row versions": r"\b(xmin|ctid)\b",
    "NOWAIT": r"\bNOWAIT\b",
    "MERGE": r"\bMERGE INTO\b",
    "partitions": r"\bPARTITION (OF|BY (RANGE|LIST|HASH))\b",
    "security definers": r"\bSECURITY DEFINER\b",
}
"""What would be in the way, and is not there."""


@cache
def sql(place: str) -> list[str]:
    """All SQL of a place, without comments; of modules every text, so that none is missed."""
    paths = sorted(path for pattern in PLACES[place] for path in ROOT.glob(pattern))
    return [text for path in paths for text in _texts(path)]


def found(pattern: str, among: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.MULTILINE | re.DOTALL) for text in among)


def listed() -> dict[str, set[str]]:
    """The constructs on the page, with the places that it names."""
    [table] = re.findall(r"<!-- sql -->\n(.+?)\n\n", PAGE, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): set(row[1].split(", ")) for row in rows}


def test_every_place_has_sql() -> None:
    assert [place for place in PLACES if not found(r"\bSELECT\b", sql(place))] == []


def test_the_page_lists_the_constructs_that_are_looked_for() -> None:
    assert listed().keys() == USED.keys()


@pytest.mark.parametrize("construct", USED)
def test_a_construct_stands_where_the_page_says(construct: str) -> None:
    assert {place for place in PLACES if found(USED[construct], sql(place))} == listed()[construct]


@pytest.mark.parametrize("construct", UNUSED)
def test_what_the_page_calls_unused_is_used_nowhere(construct: str) -> None:
    assert construct in PAGE
    assert [place for place in PLACES if found(UNUSED[construct], sql(place))] == []


@pytest.mark.parametrize(
    ("construct", "text"),
    [
        ("advisory locks", "SELECT pg_advisory_xact_lock(1)"),
        ("LISTEN and NOTIFY", "LISTEN work"),
        ("sequences", "CREATE TABLE a (b bigserial PRIMARY KEY)"),
        ("generated columns", "b integer GENERATED ALWAYS AS (a + 1) STORED"),
        ("foreign keys", "item text REFERENCES receiving.item (item)"),
        ("row versions", "SELECT xmin FROM ledger.bin"),
        ("partitions", "CREATE TABLE a (b date) PARTITION BY RANGE (b)"),
    ],
)
def test_what_is_unused_would_be_found(construct: str, text: str) -> None:
    assert found(UNUSED[construct], [text])


def _texts(path: Path) -> Iterator[str]:
    """The text of a migration, or those of a module that are no docstrings."""
    if path.suffix == ".sql":
        yield re.sub(r"--[^\n]*", "", path.read_text("utf-8"))
        return
    tree = ast.parse(path.read_text("utf-8"))
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value
