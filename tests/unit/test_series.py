"""Numbers made from series, and the texts in which people list them."""

from datetime import date

import pytest

from services.receiving.decide.series import Series, TooMany, next_numbers, read_serials, series_of

DAY = date(2026, 3, 2)  # a Monday, the first day of week 10


def numbers(pattern: str, count: int = 2, last: int = 0, day: date = DAY) -> list[str]:
    series = series_of(pattern, day, {"item": "PHONE", "unit": "pcs"})
    return next_numbers(series, last, count, lambda _: False)[0]


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        ("SN-.####", ["SN-0001", "SN-0002"]),
        ("SN-####", ["SN-0001", "SN-0002"]),
        ("SN-", ["SN-00001", "SN-00002"]),
        ("S-.YY.-.MM.-.DD.-.##", ["S-26-03-02-01", "S-26-03-02-02"]),
        ("YYYY.-W.WW.-.#", ["2026-W10-1", "2026-W10-2"]),
        ("{item}.-.###", ["PHONE-001", "PHONE-002"]),
        ("{colour}.###", ["{colour}001", "{colour}002"]),
        ("A.##.-B", ["A01-B", "A02-B"]),
        ("A.##.-.##", ["A01-##", "A02-##"]),
        ("YYY.##", ["YYY01", "YYY02"]),
    ],
)
def test_a_series_makes_these_numbers(pattern: str, made: list[str]) -> None:
    assert numbers(pattern) == made


def test_a_counter_that_outgrows_its_width_goes_on_without_repeating() -> None:
    assert numbers("S.##", count=3, last=98) == ["S99", "S100", "S101"]


def test_the_week_of_a_day_at_the_turn_of_the_year_is_the_calendars() -> None:
    assert numbers("WW.-.#", day=date(2027, 1, 1)) == ["53-1", "53-2"]


def test_the_counter_belongs_to_the_text_in_front_of_it() -> None:
    short, long = series_of("S-.##.-x", DAY, {}), series_of("S-.####", DAY, {})
    assert (short.prefix, long.prefix) == ("S-", "S-")
    assert series_of("S-.YY.##", DAY, {}).prefix == "S-26"


def test_numbers_that_were_taken_by_hand_are_skipped_and_the_counter_stands_behind_them() -> None:
    assert next_numbers(Series("S", 1), 0, 3, {"S2", "S3"}.__contains__) == (["S1", "S4", "S5"], 5)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("A1\nA2", ["A1", "A2"]),
        ("A1, A2\r\n A3 ", ["A1", "A2", "A3"]),
        ("A1,,\n\n,A2", ["A1", "A2"]),
        ("", []),
        ("A001-A003", ["A001", "A002", "A003"]),
        ("A001 - A003", ["A001", "A002", "A003"]),
        ("A001-A001", ["A001"]),
        ("098-101", ["098", "099", "100", "101"]),
        ("X-7-X-9", ["X-7", "X-8", "X-9"]),
        ("A1, B1-B2\nC1", ["A1", "B1", "B2", "C1"]),
        # Not a range: another text, another width, the wrong way round, three parts.
        ("A001-B003", ["A001-B003"]),
        ("A1-A10", ["A1-A10"]),
        ("A003-A001", ["A003-A001"]),
        ("2026-03-02", ["2026-03-02"]),
        ("abc-Abc", ["abc-Abc"]),
    ],
)
def test_a_text_of_serials_names_these(given: str, named: list[str]) -> None:
    assert read_serials(given, 100) == named


def test_the_members_of_a_list_are_never_taken_for_ranges() -> None:
    assert read_serials(["A001-A050", " b ", "", "B,C"], 100) == ["A001-A050", "b", "B,C"]


def test_serials_keep_their_case_and_their_order() -> None:
    assert read_serials("b, A, a", 100) == ["b", "A", "a"]


@pytest.mark.parametrize("given", ["A000000000001-A999999999999", "A1-A4", "A1,A2,A3,A4", ["A"] * 4])
def test_a_list_beyond_the_limit_is_refused_without_being_written_out(given: str | list[str]) -> None:
    assert isinstance(read_serials(given, 3), TooMany)


def test_a_list_of_exactly_the_limit_is_read() -> None:
    assert read_serials("A1-A3", 3) == ["A1", "A2", "A3"]


def test_a_long_text_full_of_dashes_is_one_serial_and_is_read_at_once() -> None:
    given = "1-" * 500_000 + "1"
    assert read_serials(given, 3) == [given]
