"""Rows become messages, or everything that is wrong with them; rows of opening stock become movements."""

import csv
from collections.abc import Sequence
from datetime import UTC
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.desk.events import parts
from services.desk.importing.cells import Cell, Ways
from services.desk.importing.columns import SUBJECTS, fields_of
from services.desk.importing.faults import Fault, Unreadable, errors_file, write_faults
from services.desk.importing.page import PAGE, page
from services.desk.importing.reading import Found, Plan, read_rows
from services.desk.importing.staging import Staging
from services.desk.importing.tables import Table
from services.desk.importing.template import header
from shared.contracts.envelope import read_envelope
from shared.contracts.outcome import Refusal

NOBODY: frozenset[str] = frozenset()


class Imported:
    """What a table comes to."""

    def __init__(self, subject: str, title: str, *rows: Sequence[Cell], salt: str = "") -> None:
        chosen = SUBJECTS[subject]
        titles = title.split()
        self.staging = Staging(BytesIO(), chosen, "desk", "0123456789abcdef", salt)
        plan = Plan(chosen, fields_of(chosen, titles, NOBODY), {}, Ways(UTC))
        self.found: Found = read_rows(Table(titles, iter(enumerate(rows, 2))), plan, self.staging, lambda _: None)

    @property
    def said(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(raw) for each in self.staging.events() for raw in parts(read_envelope(each.body))]

    @property
    def ids(self) -> list[str]:
        return [name for each in self.staging.events() for _, name in each.keys]

    @property
    def faults(self) -> list[tuple[int, str, str]]:
        return [(each.row, each.column, each.code) for each in self.found.faults]


def test_a_row_says_what_its_cells_say_and_an_empty_cell_says_nothing() -> None:
    imported = Imported(
        "items",
        "company item Standard_Rate whole_units units.box attributes.colour attributes.Size pick",
        ["acme", "tea", 2.5, "yes", 12, "green", "", None],
    )
    assert imported.said == [
        {
            "company": "acme",
            "item": "tea",
            "standard_rate": "2.5",
            "whole_units": True,
            "units": {"box": "12"},
            "attributes": {"colour": "green"},
        }
    ]


def test_all_errors_of_all_rows_are_told_and_good_rows_are_kept() -> None:
    imported = Imported(
        "items",
        "company item standard_rate tracking",
        ["acme", "tea", "x", "maybe"],
        ["", "cup", "1"],
        ["acme", "mug", "1", "none", "what?"],
        ["acme", "pot", "1"],
        ["acme", 123, "1"],
    )
    assert imported.faults == [
        (2, "standard_rate", "not_a_number"),
        (2, "tracking", "not_one_of"),
        (3, "company", "missing"),
        (4, "", "too_many_cells"),
        (6, "item", "number_for_text"),
    ]
    assert [each["item"] for each in imported.said] == ["pot"]


def test_a_noun_that_two_rows_name_is_a_mistake_of_the_second() -> None:
    imported = Imported("serials", "company item serial", ["a", "i", "S1"], ["a", "i", "S2"], ["a", "i", " S1 "])
    assert imported.faults == [(4, "serial", "twice")]
    assert "row 2" in imported.found.faults[0].message


def test_what_the_gate_would_not_read_is_refused_with_its_column() -> None:
    imported = Imported("items", "company item shelf_life_days", ["acme", "tea", -1], ["acme", "x" * 141, 1])
    assert imported.faults == [(2, "shelf_life_days", "malformed"), (3, "item", "malformed")]


def test_a_nul_in_a_text_is_refused() -> None:
    assert Imported("items", "company item name", ["acme", "tea", "a\0b"]).faults == [(2, "", "malformed")]


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("company item colour", "no column 'colour'"),
        ("company item trackin", "did you mean tracking"),
        ("company item item", "twice: item"),
        ("item name", "missing: company"),
        ("company item attributes", "no column 'attributes'"),
        ("company item name.x", "no column 'name.x'"),
        ("company item attributes.a attributes.a", "twice: attributes.a"),
    ],
)
def test_a_table_with_other_columns_is_refused_as_a_whole(title: str, told: str) -> None:
    with pytest.raises(Unreadable, match=told):
        fields_of(SUBJECTS["items"], title.split(), NOBODY)


def test_serials_have_no_column_for_a_warehouse() -> None:
    with pytest.raises(Unreadable, match="no column 'warehouse'"):
        fields_of(SUBJECTS["serials"], "company item serial warehouse".split(), NOBODY)


def test_ids_are_the_same_each_time_and_others_for_another_content_or_salt() -> None:
    rows = [["acme", "tea"], ["acme", "cup"]]
    first = Imported("items", "company item", *rows).ids
    assert first == Imported("items", "company item", *rows).ids
    assert len({*first, *Imported("items", "company item", ["acme", "pot"], ["acme", "mug"]).ids}) == 4
    assert not {*first} & {*Imported("items", "company item", *rows, salt="again").ids}


def test_a_message_knows_its_row() -> None:
    imported = Imported("items", "company item", ["acme", "tea"], ["acme", "cup"])
    assert [imported.staging.row_of(name) for name in imported.ids] == [2, 3]


OPENING = "company document posting_at warehouse item quantity rate serial serials"
DAY = "2026-01-01"


def opening(*rows: Sequence[Cell]) -> Imported:
    return Imported("opening", OPENING, *rows)


def test_rows_of_a_document_are_one_movement_wherever_they_stand() -> None:
    imported = opening(
        ["acme", "O1", DAY, "shop", "tea", "1", "2"],
        ["acme", "O2", DAY, "shop", "tea", "2", "2"],
        ["acme", "O1", DAY, "shop", "cup", "3", "2"],
        ["acme", "", DAY, "shop", "tea", "4", "2"],
        ["other", "O1", DAY, "shop", "tea", "5", "2"],
    )
    assert [(each.get("document"), [line["quantity"] for line in each["lines"]]) for each in imported.said] == [
        ("O1", ["1", "3"]),
        ("O2", ["2"]),
        (None, ["4"]),
        ("O1", ["5"]),
    ]
    assert {each["purpose"] for each in imported.said} == {"opening_stock"}
    assert imported.said[0]["lines"][0] == {"item": "tea", "target": "shop", "quantity": "1", "rate": "2"}


def test_serials_in_rows_that_are_otherwise_alike_are_one_line() -> None:
    imported = opening(
        ["acme", "O1", DAY, "shop", "lamp", "1", "9", "S1"],
        ["acme", "O1", DAY, "shop", "lamp", "", "9", "S2"],
        ["acme", "O1", DAY, "shop", "lamp", "", "8", "S3"],
        ["acme", "O1", DAY, "shop", "lamp", "", "9", "", "A1-A5"],
    )
    (movement,) = imported.said
    assert [line["serials"] for line in movement["lines"]] == [["S1", "S2"], ["S3"], "A1-A5"]


def test_a_reason_is_told_of_the_row_of_the_serial_that_it_names() -> None:
    staging = opening(
        ["acme", "O1", DAY, "shop", "tea", "1", "2"],
        ["acme", "O1", DAY, "shop", "lamp", "", "9", "S1"],
        ["acme", "O1", DAY, "shop", "lamp", "", "9", "S2"],
    ).staging
    (name,) = staging.movements()
    of_serial = Refusal(code="serial_in_stock", line=2, facts={"serial": "S2"})
    of_line, of_all = Refusal(code="unknown_item", line=2), Refusal(code="period_closed")
    assert [staging.row_of(name, each) for each in (of_serial, of_line, of_all)] == [4, 3, 2]


def test_a_bad_row_withholds_its_document_and_no_other() -> None:
    imported = opening(
        ["acme", "O1", DAY, "shop", "tea", "1", "2"],
        ["acme", "O1", DAY, "shop", "tea", "many", "2"],
        ["acme", "O2", DAY, "shop", "tea", "3", "2"],
    )
    assert imported.faults == [(3, "quantity", "not_a_number"), (2, "", "withheld")]
    assert [each["document"] for each in imported.said] == ["O2"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (["acme", "O1", "2026-01-02", "shop", "tea", "1", "2"], (3, "posting_at", "not_one_document")),
        (["acme", "O1", DAY, "shop", "lamp", "2", "2", "S2"], (3, "quantity", "one_serial")),
        (["acme", "O1", DAY, "shop", "lamp", "", "2", "S2", "S3"], (3, "serials", "one_or_several")),
        (["acme", "O1", DAY, "store", "lamp", "", "2", "S1"], (3, "serial", "twice")),
    ],
)
def test_a_row_that_disagrees_with_its_document_is_refused(row: list[Cell], fault: tuple[int, str, str]) -> None:
    assert fault in opening(["acme", "O1", DAY, "shop", "lamp", "", "2", "S1"], row).faults


def test_a_document_of_more_lines_than_a_movement_may_have_becomes_several() -> None:
    imported = opening(*(["acme", "O1", DAY, "shop", f"i{number}", "1", "2"] for number in range(5_001)))
    assert [len(each["lines"]) for each in imported.said] == [5_000, 1]
    assert len(set(imported.ids)) == 2


def test_the_same_document_in_another_file_is_the_same_movement() -> None:
    alone = opening(["acme", "O1", DAY, "shop", "tea", "1", "2"])
    among = opening(["acme", "O2", DAY, "shop", "tea", "1", "2"], ["acme", "O1", DAY, "shop", "tea", "1", "2"])
    assert alone.ids == among.ids[1:]
    other = opening(["acme", "O1", DAY, "shop", "tea", "9", "2"]).ids[0]
    assert other not in alone.ids
    assert other.rpartition("-")[0] == alone.ids[0].rpartition("-")[0]


def test_faults_are_written_in_the_order_of_their_rows_and_do_nothing_in_a_spreadsheet(tmp_path: Path) -> None:
    path = errors_file(tmp_path / "items.csv")
    write_faults([Fault(9, "name", "twice", "=1+1", "b"), Fault(2, "rate", "not_a_number", "-x", "a")], path)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    assert path.name == "items.csv.errors.csv"
    assert rows[0] == ["row", "column", "code", "value", "message"]
    assert [row[:4] for row in rows[1:]] == [["2", "rate", "not_a_number", "'-x"], ["9", "name", "twice", "'=1+1"]]


def test_without_faults_no_file_of_an_earlier_time_is_left(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.errors.csv"
    path.write_text("old")
    write_faults([], path)
    assert not path.exists()


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
def test_a_template_has_columns_that_can_be_imported(subject: Any) -> None:
    fields = fields_of(subject, header(subject), NOBODY)
    assert [each.column.name for each in fields] == list(subject.columns)
    assert all(each.column.meaning for each in fields)


def test_the_page_about_columns_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make docs`"
