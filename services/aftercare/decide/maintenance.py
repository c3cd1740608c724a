"""Maintenance schedules and visits: what is planned, what was done, and what is overdue.

A schedule's visits follow from it, so none is written down before it was done. The first one is an interval behind its
first day; a visit that did not do all that it was for leaves the planned one open.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.aftercare.decide.facts import Dossier, Said
from shared.contracts.aftercare import Completion, Interval, MaintenanceEnded, MaintenancePlanned, VisitDone

MOST_VISITS = 10_000
"""How many visits of one schedule are looked at."""


class VisitState(StrEnum):
    """What there is to say of a planned visit, or of one that nobody planned."""

    PLANNED = "planned"
    OVERDUE = "overdue"
    DONE = "done"
    UNPLANNED = "unplanned"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule as it stands; `last` is its last day."""

    said: Said
    plan: MaintenancePlanned
    last: date | None


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit: the planned day, the state by some day, and what was done for it, the last of it last."""

    schedule: str | None
    planned_on: date | None
    state: VisitState
    person: str | None
    done: tuple[Said, ...] = ()


def schedules(dossier: Dossier) -> dict[str, Schedule]:
    """The schedules of a unit by their names."""
    found: dict[str, Schedule] = {}
    for each in dossier.said:
        if isinstance(each.what, MaintenancePlanned):
            found[each.what.schedule] = Schedule(each, each.what, each.what.ends_on)
        elif isinstance(each.what, MaintenanceEnded) and each.what.schedule in found:
            before = found[each.what.schedule]
            last = each.what.ends_on if before.last is None else min(before.last, each.what.ends_on)
            found[each.what.schedule] = Schedule(before.said, before.plan, last)
    return found


def planned_days(schedule: Schedule) -> Iterator[date]:
    """The days of its visits, without end where it has none, as far as the calendar goes."""
    plan = schedule.plan
    for number in range(1, MOST_VISITS + 1):
        day = _later(plan.starts_on, plan.every * number, plan.interval)
        if day is None or (schedule.last is not None and day > schedule.last):
            return
        yield day


def is_planned(schedule: Schedule, day: date) -> bool:
    """Whether a visit is planned on a day."""
    return next((each for each in planned_days(schedule) if each >= day), None) == day


def visits(dossier: Dossier, today: date) -> list[Visit]:
    """All visits: of each schedule those that were done or due by today and the next one; then those of no schedule."""
    done = [(each, each.what) for each in dossier.said if isinstance(each.what, VisitDone)]
    found: list[Visit] = []
    for name, schedule in schedules(dossier).items():
        own = [(said, what) for said, what in done if what.schedule == name]
        found += _of_schedule(name, schedule, own, today)
    unplanned = (said for said, what in done if what.schedule is None)
    return [*found, *(_unplanned(None, said) for said in unplanned)]


def _of_schedule(name: str, schedule: Schedule, done: list[tuple[Said, VisitDone]], today: date) -> list[Visit]:
    by_day, others = _by_day(schedule, done)
    told: list[Visit] = []
    for day in planned_days(schedule):
        own = by_day.get(day, ())
        state = _state(own, day, today)
        told.append(Visit(name, day, state, schedule.plan.person, own))
        if state is VisitState.PLANNED and not any(each > day for each in by_day):
            break
    return [*told, *(_unplanned(name, said) for said in others)]


def _by_day(
    schedule: Schedule, done: list[tuple[Said, VisitDone]]
) -> tuple[Mapping[date, tuple[Said, ...]], list[Said]]:
    """What was done for each planned day, and what was done for none: one that names no day is for the first open."""
    by_day: dict[date, tuple[Said, ...]] = {}
    others: list[Said] = []
    for said, what in done:
        still_open = (each for each in planned_days(schedule) if not _is_full(by_day.get(each, ())))
        day = what.planned_on or next(still_open, None)
        if day is None:
            others.append(said)
        else:
            by_day[day] = (*by_day.get(day, ()), said)
    return by_day, others


def _state(done: tuple[Said, ...], day: date, today: date) -> VisitState:
    if _is_full(done):
        return VisitState.DONE
    return VisitState.OVERDUE if day < today else VisitState.PLANNED


def _is_full(done: tuple[Said, ...]) -> bool:
    return any(isinstance(each.what, VisitDone) and each.what.completion is Completion.FULL for each in done)


def _unplanned(schedule: str | None, said: Said) -> Visit:
    person = said.what.person if isinstance(said.what, VisitDone) else None
    return Visit(schedule, None, VisitState.UNPLANNED, person, (said,))


def _later(day: date, count: int, interval: Interval) -> date | None:
    """A day so many intervals later; of a month without such a day its last one. None: behind the calendar."""
    if interval in (Interval.DAYS, Interval.WEEKS):
        days = count * (7 if interval is Interval.WEEKS else 1)
        return day + timedelta(days=days) if days <= (date.max - day).days else None
    months = day.year * 12 + day.month - 1 + count * (12 if interval is Interval.YEARS else 1)
    year, month = divmod(months, 12)
    if year > date.max.year:
        return None
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
