"""Series and lists of serials, for every pattern and every list."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.receiving.decide.series import Series, TooMany, next_numbers, read_serials, series_of

LIMIT = 1_000
literals = st.text("ABC-/_ xyz", max_size=6)
plain_numbers = st.text("abcXYZ019/_.", min_size=1, max_size=8)
days = st.dates(date(1, 1, 1), date(9999, 12, 31))


@given(st.builds(Series, literals, st.integers(1, 5), literals), st.integers(0, 200), st.integers(0, 50), st.data())
def test_a_series_makes_as_many_new_numbers_as_asked_and_moves_its_counter_to_the_last(
    series: Series, last: int, count: int, data: st.DataObject
) -> None:
    taken = data.draw(st.sets(st.integers(last + 1, last + 80).map(series.number), max_size=30))
    made, after = next_numbers(series, last, count, taken.__contains__)
    assert len(set(made)) == count
    assert not taken & set(made)
    assert [series.number(each) for each in range(last + 1, after + 1) if series.number(each) not in taken] == made
    assert not made or made[-1] == series.number(after)


@given(literals, st.integers(1, 6), literals, days)
def test_a_literal_pattern_is_written_as_it_stands(text: str, width: int, behind: str, day: date) -> None:
    assert series_of(f"{text}.{'#' * width}.{behind}", day, {}) == Series(text, width, behind)


@given(st.lists(st.sampled_from(["YYYY", "YY", "MM", "DD", "WW", "-", "{item}"])), days)
def test_the_dates_of_a_pattern_are_those_of_the_day_and_all_stand_in_front(parts: list[str], day: date) -> None:
    week = f"{day.isocalendar().week:02d}"
    shown = {"YYYY": f"{day.year:04d}", "YY": f"{day.year:04d}"[2:], "MM": f"{day.month:02d}", "DD": f"{day.day:02d}"}
    expected = "".join({**shown, "WW": week, "{item}": "tea"}.get(part, part) for part in parts)
    assert series_of(".".join([*parts, "##"]), day, {"item": "tea"}) == Series(expected, 2, "")


@given(st.lists(plain_numbers, max_size=20), st.sampled_from([",", "\n", " ,\r\n", ",,"]))
def test_a_text_of_serials_without_dashes_reads_back_as_its_list(numbers: list[str], between: str) -> None:
    assert read_serials(between.join(numbers), LIMIT) == read_serials(numbers, LIMIT) == numbers


@given(st.text("AB-/", max_size=5), st.integers(1, 6), st.integers(0, 900_000), st.integers(0, 99))
def test_a_range_reads_as_the_numbers_from_its_first_to_its_last(text: str, width: int, first: int, more: int) -> None:
    first %= 10**width
    last = min(first + more, 10**width - 1)
    series = Series(text, width)
    numbers = [series.number(each) for each in range(first, last + 1)]
    assert read_serials(f"{numbers[0]}-{numbers[-1]}", LIMIT) == numbers


@given(st.one_of(st.text(max_size=60), st.lists(st.text(max_size=9), max_size=9)), st.integers(0, 5))
def test_whatever_is_given_the_serials_are_trimmed_and_no_more_than_the_limit(
    given_: str | list[str], limit: int
) -> None:
    serials = read_serials(given_, limit)
    if isinstance(serials, TooMany):
        assert serials.count > limit
    else:
        assert len(serials) <= limit
        assert all(serial and serial == serial.strip() for serial in serials)
