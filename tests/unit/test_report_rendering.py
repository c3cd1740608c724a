"""Reports as tables, CSV and JSON; no database is needed to write rows."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, cast

import pytest
from rich.console import Console
from sqlalchemy import Connection

from services.desk.reporting import REPORTS
from shared.errors import StockbookError
from shared.report import Column, Filters, Kind, Report, read_report, records, table, write_csv, write_json

COLUMNS = (
    Column("item"),
    Column("quantity", Kind.QUANTITY),
    Column("value", Kind.MONEY),
    Column("expires_on", Kind.DATE),
    Column("effective_at", Kind.TIME),
    Column("line", Kind.COUNT),
)
ROW = ("CREAM", Decimal("-2.500"), Decimal("1234.5"), date(2026, 3, 9), datetime(2026, 1, 2, 9, tzinfo=UTC), 1)
NOWHERE = cast(Connection, None)


def report(rows: Sequence[Sequence[Any]] = (ROW,)) -> Report:
    return Report("things", "Things", COLUMNS, ("item",), lambda *_: rows)


def csv_rows(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    out = io.StringIO()
    write_csv(report(), rows, out)
    return list(csv.reader(io.StringIO(out.getvalue())))


def shown(rows: Sequence[Sequence[Any]]) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(report(), rows))
    return cast(io.StringIO, console.file).getvalue()


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-5", "@sum(a1)", "\tcmd"])
def test_a_text_that_looks_like_a_formula_gets_an_apostrophe_in_csv(text: str) -> None:
    assert csv_rows([(text, *ROW[1:])])[1][0] == f"'{text}"


def test_a_carriage_return_does_not_end_a_line_of_csv() -> None:
    assert [row[0] for row in csv_rows([("\rcmd", *ROW[1:]), ("a\r\nb", *ROW[1:])])] == ["item", "'\ncmd", "a\nb"]


def test_a_negative_number_stays_a_number_in_csv() -> None:
    assert csv_rows([ROW])[1][1] == "-2.5"


def test_csv_begins_with_the_column_names_and_leaves_nothing_for_none() -> None:
    rows = csv_rows([("CREAM", Decimal(1), None, None, None, None)])
    assert rows == [
        ["item", "quantity", "value", "expires_on", "effective_at", "line"],
        ["CREAM", "1", "", "", "", ""],
    ]


def test_csv_quotes_what_holds_commas_quotes_and_line_ends() -> None:
    text = 'a "b", c\nd'
    assert csv_rows([(text, *ROW[1:])])[1][0] == text


def test_json_has_decimals_as_strings_and_times_in_utc() -> None:
    out = io.StringIO()
    write_json(report(), [ROW], out)
    assert json.loads(out.getvalue()) == [
        {
            "item": "CREAM",
            "quantity": "-2.5",
            "value": "1234.5",
            "expires_on": "2026-03-09",
            "effective_at": "2026-01-02T09:00:00Z",
            "line": 1,
        }
    ]


def test_json_of_no_rows_is_an_empty_array() -> None:
    out = io.StringIO()
    write_json(report(), [], out)
    assert json.loads(out.getvalue()) == []


def test_a_table_groups_thousands_and_shows_money_with_two_places() -> None:
    text = shown([ROW])
    assert "1,234.50" in text
    assert "-2.5" in text
    assert "-2.50" not in text


def test_a_table_shows_brackets_of_a_text_as_they_are() -> None:
    assert "[red]CREAM" in shown([("[red]CREAM", *ROW[1:])])


def test_a_filter_that_a_report_does_not_take_is_refused_by_name() -> None:
    with pytest.raises(StockbookError, match="account"):
        read_report(report(), NOWHERE, Filters(account="cash"))


def test_times_in_the_wrong_order_are_refused_and_equal_ones_are_not() -> None:
    timed = Report("things", "Things", COLUMNS, ("known_since", "known_at"), lambda *_: ())
    one, other = datetime(2026, 1, 2, 9, tzinfo=UTC), datetime(2026, 1, 2, 10, tzinfo=UTC)
    with pytest.raises(StockbookError, match="known_since is later than known_at"):
        read_report(timed, NOWHERE, Filters(known_since=other, known_at=one))
    assert read_report(timed, NOWHERE, Filters(known_since=one, known_at=one)) == []


def test_only_a_time_as_of_which_or_at_which_something_was_known_looks_back() -> None:
    then = datetime(2026, 1, 2, 9, tzinfo=UTC)
    assert Filters(as_of=then).looks_back
    assert Filters(known_at=then).looks_back
    assert not Filters(known_since=then).looks_back


def test_records_name_the_values_of_a_row() -> None:
    assert records(report(), NOWHERE, Filters(item="CREAM"))[0]["expires_on"] == date(2026, 3, 9)


def test_every_report_is_found_under_its_name() -> None:
    assert {
        "stock-balance",
        "stock-ledger",
        "batch-balance",
        "batch-status",
        "serial-status",
        "outcomes",
        "unposted",
        "shortages",
        "journal",
        "trial-balance",
        "changes",
        "account-changes",
    } <= REPORTS.keys()


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_the_columns_of_a_report_have_different_names(name: str) -> None:
    names = [column.name for column in REPORTS[name].columns]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_takes_only_filters_that_there_are(name: str) -> None:
    assert set(REPORTS[name].takes) <= Filters().given().keys()
