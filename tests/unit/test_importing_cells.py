"""What a cell may hold, and what becomes of it: nothing is guessed, and what a spreadsheet spoils is refused."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from services.desk.importing.cells import (
    Broken,
    Cell,
    Formula,
    Reader,
    Ways,
    read_choice,
    read_count,
    read_day,
    read_number,
    read_text,
    read_time,
    read_truth,
)
from services.desk.importing.faults import BadCell
from shared.quantities import Quantity, Rate

STRICT = Ways(UTC)
AS_WRITTEN = Ways(UTC, as_written=True)
NIGHT, NOON = (datetime.combine(date(2026, 1, 31), time(hour)) for hour in (0, 12))  # as a spreadsheet has them


def code_of(read: Reader, cell: Cell, ways: Ways = STRICT) -> str:
    with pytest.raises(BadCell) as caught:
        read(cell, ways)
    return caught.value.code


def test_a_text_keeps_its_zeros_and_loses_only_blanks_around_it() -> None:
    assert read_text(" 00123\u00a0", STRICT) == "00123"


@pytest.mark.parametrize("cell", [123, 123.0, 0])
def test_a_number_where_a_text_belongs_is_refused_unless_numbers_are_taken_as_they_stand(cell: int | float) -> None:
    assert code_of(read_text, cell) == "number_for_text"
    assert read_text(cell, AS_WRITTEN) == str(int(cell))


@pytest.mark.parametrize("cell", [10**15, 9.50601e15])
def test_a_number_of_more_than_fifteen_digits_is_refused_even_then(cell: int | float) -> None:
    assert code_of(read_text, cell, AS_WRITTEN) == "digits_lost"
    assert code_of(read_number(Quantity), cell) == "digits_lost"


@pytest.mark.parametrize("cell", ["9.50601E+12", "9,50601e+12"])
def test_a_long_number_that_a_spreadsheet_has_rounded_is_refused(cell: str) -> None:
    assert code_of(read_text, cell) == "digits_lost"
    assert read_text(cell, AS_WRITTEN) == cell


def test_a_serial_that_only_looks_a_little_like_a_rounded_number_is_a_text() -> None:
    assert read_text("1E5", STRICT) == "1E5"


@pytest.mark.parametrize(
    ("cell", "told"),
    [("12.50", "12.5"), (12.1, "12.1"), (0.1 + 0.2, "0.3"), (7, "7"), ("-3", "-3"), (1e-05, "0.00001")],
)
def test_a_number_is_what_the_spreadsheet_shows(cell: Cell, told: str) -> None:
    assert read_number(Rate)(cell, STRICT) == told


@pytest.mark.parametrize("cell", ["1,5", "1.234,50", "1 000", "1e3", "٣", "NaN", "", True, date(2026, 1, 1), 1 / 3])
def test_what_is_no_plain_decimal_is_no_number(cell: Cell) -> None:
    assert code_of(read_number(Quantity), cell) == "not_a_number"


def test_a_comma_is_told_to_be_a_point() -> None:
    with pytest.raises(BadCell, match="write a point for a comma"):
        read_number(Rate)("1,5", STRICT)


def test_a_whole_number_may_come_as_a_float_and_a_fraction_may_not() -> None:
    assert read_count(30.0, STRICT) == 30
    assert code_of(read_count, 30.5) == "not_a_whole_number"


@pytest.mark.parametrize(("cell", "told"), [("Yes", True), ("0", False), (1, True), (False, False), (" TRUE ", True)])
def test_yes_and_no_may_be_written_in_three_ways(cell: Cell, told: bool) -> None:
    assert read_truth(cell, STRICT) is told


def test_another_word_is_neither_yes_nor_no() -> None:
    assert code_of(read_truth, "ja") == "not_yes_or_no"


@pytest.mark.parametrize("cell", ["2026-01-31", date(2026, 1, 31), NIGHT])
def test_a_day_may_come_as_a_text_or_as_a_spreadsheet_keeps_it(cell: Cell) -> None:
    assert read_day(cell, STRICT) == "2026-01-31"


@pytest.mark.parametrize("cell", ["31.01.2026", "01/02/2026", "20260131", 46053, NOON, time(12)])
def test_a_day_that_could_be_read_in_two_ways_is_refused(cell: Cell) -> None:
    assert code_of(read_day, cell) == "not_a_day"


def test_a_time_without_a_zone_is_in_that_of_the_import() -> None:
    berlin = Ways(ZoneInfo("Europe/Berlin"))
    assert read_time("2026-07-01", berlin) == "2026-07-01T00:00:00+02:00"
    assert read_time(NOON, berlin) == "2026-01-31T12:00:00+01:00"
    assert read_time("2026-01-01T08:30:00Z", berlin) == "2026-01-01T08:30:00+00:00"


@pytest.mark.parametrize("cell", ["yesterday", 46053.5, "8:30"])
def test_what_is_no_moment_is_no_time(cell: Cell) -> None:
    assert code_of(read_time, cell) == "not_a_time"


def test_a_choice_is_one_of_its_words_in_any_case() -> None:
    assert read_choice(["fifo", "lifo"])(" FIFO ", STRICT) == "fifo"
    assert code_of(read_choice(["fifo", "lifo"]), "fefo") == "not_one_of"


@pytest.mark.parametrize("read", [read_text, read_number(Quantity), read_count, read_truth, read_day, read_time])
def test_a_formula_and_a_cell_in_error_are_named_as_such(read: Reader) -> None:
    assert code_of(read, Formula("=A1&B1")) == "formula"
    assert code_of(read, Broken("#REF!")) == "cell_error"
