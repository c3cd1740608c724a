"""The decision that says by which test each guarantee and each trap is shown: what it names exists, nothing is left."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/decisions/0008-guarantees-and-their-tests.md"
NAMED = re.compile(r"`(\w+/\w+\.py)::(\w+)`")
ROW = re.compile(r"^\| (?!-)(?P<what>[^|]+) \| (?P<shown>.+) \|$", re.MULTILINE)
HEADERS = {"guarantee", "trap", "mistake", "fault"}
LATER = "not yet"


def rows() -> list[tuple[str, str]]:
    found = [(row["what"].strip(), row["shown"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    return [(what, shown) for what, shown in found if what not in HEADERS]


@lru_cache
def names_in(file: str) -> set[str]:
    path = ROOT / "tests" / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_the_page_has_its_tables() -> None:
    assert len(rows()) > 30


@pytest.mark.parametrize(("what", "shown"), rows(), ids=[what for what, _ in rows()])
def test_every_row_names_tests_that_exist_or_says_that_there_is_none_yet(what: str, shown: str) -> None:
    named = NAMED.findall(shown)
    assert named or LATER in shown
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []


def test_nothing_in_the_page_looks_like_a_test_and_is_not_checked() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("::") == len(NAMED.findall(text))
    assert text.count("test_") == len(NAMED.findall(text)) * 2
