"""The rules of the house that neither the linter nor import-linter can say.

Read from the syntax trees: what pure modules may import and call, where SQL may stand, what no file may name.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PURE = (
    "shared/quantities.py",
    "shared/purposes.py",
    "shared/errors.py",
    "shared/identity.py",
    "shared/gs1.py",
    "shared/chain.py",
    "shared/patience.py",
    "shared/senders.py",
    "shared/contracts/**/*.py",
    "services/*/decide/**/*.py",
    "services/*/decide.py",
)
PURE_IN_SHARED = (
    "shared.quantities",
    "shared.purposes",
    "shared.errors",
    "shared.identity",
    "shared.gs1",
    "shared.chain",
    "shared.patience",
    "shared.senders",
    "shared.contracts",
)
THIRD_PARTY = {"shared/contracts": {"msgspec"}, "shared/gs1.py": {"biip"}}
# A decision that asks the clock, draws an id or logs is not the same twice.
IMPURE_MODULES = {"asyncio", "io", "logging", "os", "random", "secrets", "socket", "subprocess", "threading", "time"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "open", "print", "input"}

SQL_STANDS_IN = (
    "services/*/store.py",
    "services/*/store/**/*.py",
    "services/*/reports/**/*.py",
    "services/desk/verify.py",
    "services/desk/verify/**/*.py",
    "services/desk/trace.py",
    "services/desk/trace/**/*.py",
    "shared/db.py",
    "shared/granting.py",
    "shared/migrate.py",
    "shared/chaining.py",
    "shared/outbox.py",
    "shared/parked.py",
    "shared/replay.py",
)
# Outside of these, a connection is passed on and never used.
HANDED_ON = {"Connection", "Engine", "URL"}
STATEMENT = re.compile(
    r"\s*(SELECT\s.*\bFROM|INSERT\s+INTO|UPDATE\s+[\w.]+\s+SET|DELETE\s+FROM|COPY\s+[\w.]+\s*\(|"
    r"WITH\s+\w+.*\bAS\s*\(|(CREATE|ALTER|DROP|LOCK)\s+(TABLE|SCHEMA|VIEW|ROLE|INDEX))\b",
    re.DOTALL,
)

# In pieces, so that this file does not name them either.
MACHINE_PATHS = re.compile("/" + "(work|home/[a-z]|root|Users)/" + r"|[A-Z]:\\" + "Users")


def files(*patterns: str) -> list[Path]:
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names that a module imports: `from a import b` is a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """The string constants that are no docstrings."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node


def test_there_are_pure_modules_to_judge() -> None:
    assert len(files(*PURE)) >= 3


@pytest.mark.parametrize("path", files(*PURE), ids=name_of)
def test_a_pure_module_imports_only_the_standard_library_and_pure_modules(path: Path) -> None:
    assert [name for name in imported(parsed(path)) if not _may_import(path, name)] == []


@pytest.mark.parametrize("path", files(*PURE), ids=name_of)
def test_a_pure_module_asks_no_clock_and_touches_nothing_outside(path: Path) -> None:
    tree = parsed(path)
    modules = [name for name in imported(tree) if name.split(".")[0] in IMPURE_MODULES]
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    called = [call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls]
    assert modules + [name for name in called if name in IMPURE_CALLS] == []


@pytest.mark.parametrize("path", files("services/**/*.py", "shared/**/*.py"), ids=name_of)
def test_sql_stands_only_in_stores_reports_and_their_helpers(path: Path) -> None:
    if path in files(*SQL_STANDS_IN):
        return
    tree = parsed(path)
    database = [name for name in imported(tree) if name.split(".")[0] in {"sqlalchemy", "psycopg2"}]
    used = [name for name in database if name.rpartition(".")[2] not in HANDED_ON]
    statements = [f"line {text.lineno}" for text in texts(tree) if STATEMENT.match(str(text.value))]
    assert used + statements == []


def test_no_file_names_a_place_of_one_machine() -> None:
    named = [
        f"{name_of(path)}:{number}"
        for path in _written_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]
    assert named == []


def _may_import(path: Path, name: str) -> bool:
    top = name.partition(".")[0]
    own_decisions = ".".join([*path.relative_to(ROOT).parts[:2], "decide"])
    allowed = {
        package for place, packages in THIRD_PARTY.items() if name_of(path).startswith(place) for package in packages
    }
    return (
        top in sys.stdlib_module_names
        or top in allowed
        or any(name == pure or name.startswith(f"{pure}.") for pure in (*PURE_IN_SHARED, own_decisions))
    )


def _written_files() -> list[Path]:
    """All that people write: every text below the source folders, and the files at the top."""
    folders = ("services", "shared", "tests", "benchmarks", "docs", "deploy", "examples", ".ci")
    below = [path for folder in folders for path in ROOT.glob(f"{folder}/**/*") if "__pycache__" not in path.parts]
    return [path for path in (*below, *ROOT.glob("*")) if path.is_file()]
