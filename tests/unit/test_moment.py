"""When a movement takes effect: lateness, days in a time zone, what lies too far ahead or behind."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from services.receiving.decide.moment import business_day, day_begins, moment
from services.receiving.decide.stock import NEVER, Company
from tests.receiving_builders import company

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATENESS = timedelta(minutes=5)
SHOP = company()
LISBON_SUMMER = company(time_zone="Europe/Lisbon")
TOKYO = company(time_zone="Asia/Tokyo")


def codes(posting_at: datetime, last_at: datetime = NEVER, now: datetime = NOON, of: object = None) -> list[str]:
    return [each.code for each in moment(posting_at, last_at, of or SHOP, now).reasons]  # type: ignore[arg-type]


def is_back_dated(posting_at: datetime, last_at: datetime, of: Company = SHOP) -> bool:
    judged = moment(posting_at, last_at, of, NOON)
    assert judged.back_dated == (judged.effective_at < last_at)
    return judged.back_dated


def test_a_movement_takes_effect_when_it_was_reported_to_have_happened() -> None:
    judged = moment(NOON - 3 * SECOND, NOON - 4 * SECOND, SHOP, NOON)
    assert (judged.effective_at, judged.day, judged.reasons) == (NOON - 3 * SECOND, date(2026, 3, 2), ())


def test_a_movement_at_the_very_moment_of_the_last_is_not_late() -> None:
    assert moment(NOON, NOON, SHOP, NOON).effective_at == NOON


@pytest.mark.parametrize("late", [SECOND, LATENESS])
def test_a_movement_late_by_no_more_than_the_lateness_takes_effect_at_the_last_moment(late: timedelta) -> None:
    judged = moment(NOON - late, NOON, SHOP, NOON)
    assert (judged.effective_at, judged.reasons) == (NOON, ())


def test_a_movement_late_by_more_than_the_lateness_is_back_dating() -> None:
    reported = NOON - LATENESS - SECOND
    judged = moment(reported, NOON, SHOP, NOON)
    assert (judged.effective_at, judged.reasons, judged.back_dated) == (reported, (), True)
    assert not moment(reported + SECOND, NOON, SHOP, NOON).back_dated


def test_a_movement_late_over_midnight_is_back_dating_however_little_it_is_late() -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert is_back_dated(midnight - SECOND, midnight)
    assert not is_back_dated(midnight, midnight + SECOND)


def test_midnight_is_that_of_the_companys_time_zone() -> None:
    midnight_in_tokyo = datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert is_back_dated(midnight_in_tokyo - SECOND, midnight_in_tokyo, TOKYO)
    midnight_in_utc = datetime(2026, 3, 2, tzinfo=UTC)
    assert not is_back_dated(midnight_in_utc - SECOND, midnight_in_utc, TOKYO)


def test_the_posting_day_is_that_of_the_companys_time_zone_in_summer_too() -> None:
    half_past_eleven = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)
    assert moment(half_past_eleven, NEVER, LISBON_SUMMER, half_past_eleven).day == date(2026, 7, 2)
    in_winter = half_past_eleven.replace(month=1)
    assert moment(in_winter, NEVER, LISBON_SUMMER, in_winter).day == date(2026, 1, 1)


def test_a_time_written_with_another_offset_is_the_same_moment() -> None:
    abroad = NOON.astimezone(timezone(timedelta(hours=14)))
    assert moment(abroad, NOON, SHOP, NOON).effective_at == NOON
    assert business_day(abroad, SHOP) == date(2026, 3, 2)


@pytest.mark.parametrize(("fixed_ago", "passes"), [(SECOND, False), (2 * SECOND, True), (3 * SECOND, True)])
def test_a_late_movement_takes_effect_later_unless_something_was_fixed_after_it(
    fixed_ago: timedelta, passes: bool
) -> None:
    judged = moment(NOON - 2 * SECOND, NOON, SHOP, NOON, fixed_from=NOON - fixed_ago)
    assert (judged.effective_at == NOON, judged.back_dated) == (passes, not passes)


def test_what_is_fixed_does_not_concern_a_movement_that_is_not_late() -> None:
    assert moment(NOON, NOON, SHOP, NOON, fixed_from=NOON).effective_at == NOON


@pytest.mark.parametrize(
    ("of", "begins"),
    [
        (SHOP, datetime(2026, 7, 1, tzinfo=UTC)),
        (LISBON_SUMMER, datetime(2026, 6, 30, 23, tzinfo=UTC)),
        (TOKYO, datetime(2026, 6, 30, 15, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_of_the_companys_time_zone(of: Company, begins: datetime) -> None:
    first = day_begins(date(2026, 7, 1), of)
    assert first == begins
    assert (business_day(first, of), business_day(first - SECOND, of)) == (date(2026, 7, 1), date(2026, 6, 30))


def test_a_movement_ahead_of_the_clock_is_taken_up_to_the_lateness_and_refused_beyond_it() -> None:
    assert codes(NOON + LATENESS) == []
    assert codes(NOON + LATENESS + SECOND) == ["posting_in_future"]


def test_the_day_on_which_the_books_open_is_open_and_the_day_before_is_closed() -> None:
    opened = company(open_from=date(2026, 3, 2))
    assert codes(datetime(2026, 3, 1, 23, 59, tzinfo=UTC), last_at=NOON, of=opened) == ["period_closed"]
    assert codes(datetime(2026, 3, 2, tzinfo=UTC), of=opened) == []
    assert codes(datetime(2026, 3, 1, 23, 59, tzinfo=UTC), of=opened) == ["period_closed"]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Lima"])
def test_the_ends_of_the_calendar_are_judged_like_any_other_time(zone: str) -> None:
    of = company(time_zone=zone)
    assert codes(datetime(9999, 12, 31, 23, 59, tzinfo=UTC), of=of) == ["posting_in_future"]
    assert is_back_dated(datetime(1, 1, 1, 0, 1, tzinfo=UTC), NOON, of)
    before_the_first = datetime(1, 1, 1, tzinfo=timezone(timedelta(minutes=4)))
    assert moment(before_the_first, NEVER, of, NOON).effective_at == NEVER
