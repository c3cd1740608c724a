"""Texts from outside do nothing where they are shown: on a terminal, in JSON, in the cells of a spreadsheet."""

import csv
import io
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from shared.printable import printable, printable_cell, printable_json
from shared.report import Column, Kind, Report, table, write_csv, write_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40) | st.text(
    "=+-@\t\r\n;,|\"' a1\x1b\x7f\x9b\u202e\u2028＝", max_size=8
)
HALVES = st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=8)
DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
REPORT = Report("things", "Things", (Column("text"), Column("count", Kind.COUNT)), (), lambda *_: ())


def is_obeyed(character: str) -> bool:
    """Whether a terminal does something else with a character than to show it."""
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or direction in DIRECTIONS


@given(TEXTS | HALVES)
def test_a_printable_text_is_one_line_of_characters_that_can_be_seen(text: str) -> None:
    assert [each for each in printable(text) if is_obeyed(each)] == []


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"]), max_size=40))
def test_a_text_that_can_be_seen_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    assert printable("a\x1b[2Jb\r\n\u202ec\x9bd\u2028") == r"a\x1b[2Jb\r\n\u202ec\x9bd\u2028"


@given(TEXTS)
def test_json_says_the_same_whatever_is_escaped_in_it(text: str) -> None:
    out = io.StringIO()
    write_json(REPORT, [(text, 1)], out)
    assert json.loads(out.getvalue()) == [{"text": text, "count": 1}]
    assert [each for each in out.getvalue() if is_obeyed(each) and each != "\n"] == []
    assert printable_json(json.dumps(text)) == json.dumps(text)


@given(TEXTS, st.integers(-(10**9), 10**9))
def test_no_cell_is_a_formula_and_no_number_is_changed(text: str, number: int) -> None:
    out = io.StringIO()
    write_csv(REPORT, [(text, number), ("next", 2)], out)
    rows = list(csv.reader(io.StringIO(out.getvalue())))
    assert rows[0] == ["text", "count"]
    assert rows[2] == ["next", "2"]
    cell, shown = rows[1]
    assert shown == str(number)
    assert not re.match(r"[=+\-@\t\r\n＝＋－＠]", cell)
    assert cell.removeprefix("'") == printable_cell(text).removeprefix("'")
    assert [each for each in out.getvalue() if unicodedata.category(each) == "Cc" and each not in "\n\t"] == []


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_cell_is_not_taken_apart_where_other_separators_are_usual(separator: str) -> None:
    out = io.StringIO()
    write_csv(REPORT, [(f"a{separator}=1+1", 1)], out)
    cells = next(csv.reader([out.getvalue().splitlines()[1]], delimiter=separator))
    assert [cell for cell in cells if cell.startswith("=")] == []


def test_a_table_shows_what_a_terminal_would_obey() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(table(REPORT, [("a\x1b[31m\nb\u202e[red]", 1)]))
    assert r"a\x1b[31m\nb\u202e[red]" in out.getvalue()
