"""Coverage of random histories: as a day-by-day reference says, in whatever order it is heard, whenever it is asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.aftercare.decide.coverage import Cover, coverage
from services.aftercare.decide.facts import Dossiers, Facts, Move, Said, Unit
from shared.contracts.aftercare import (
    ClaimState,
    ClaimUpdated,
    CoverageAdded,
    CoverageEnded,
    CoverageKind,
    Replacement,
    Resolution,
)
from tests.aftercare_builders import NOON, day, said, statement
from tests.properties.reference_coverage import LAST, Happening, covered_days

UNITS = 4
_WHAT = st.sampled_from(["delivered", "delivered", "returned", "added", "ended", "replaced", "cancelled"])


@dataclass
class History:
    """Facts as aftercare has them, and the same as the reference has them; `cancelled` are moments of deliveries."""

    happenings: list[Happening] = field(default_factory=list)
    adding: list[Callable[[Facts], None]] = field(default_factory=list)
    cancelled: dict[int, int] = field(default_factory=dict)

    def standing(self, known: int | None = None) -> list[Happening]:
        """What had happened, as it was known at a moment."""
        gone = {moment for moment, by in self.cancelled.items() if known is None or by <= known}
        then = (each for each in self.happenings if known is None or each.moment <= known)
        return [each for each in then if each.moment not in gone]

    def facts(self, order: Sequence[int] | None = None) -> Facts:
        """The facts, heard in some order."""
        found = Facts()
        for place in order if order is not None else range(len(self.adding)):
            self.adding[place](found)
        return found


def unit(number: int) -> Unit:
    return Unit("shop", "phone", f"P{number}")


@st.composite
def histories(draw: st.DrawFn) -> History:
    made = History()
    today, replacements = 0, set[int]()
    for moment in range(1, draw(st.integers(1, 14))):
        today += draw(st.integers(0, 5))
        which, what = draw(st.integers(0, UNITS - 1)), draw(_WHAT)
        if what == "cancelled":
            open_ones = [
                each for each in made.happenings if each.what == "delivered" and each.moment not in made.cancelled
            ]
            if open_ones:
                made.cancelled[draw(st.sampled_from(open_ones)).moment] = moment
            continue
        other = draw(st.integers(0, UNITS - 1))
        if what == "replaced" and (other == which or other in replacements):
            continue
        name = f"R{moment}"
        if what == "ended":
            names = [
                each.name for each in made.happenings if each.unit == which and each.what in ("added", "delivered")
            ]
            name = draw(st.sampled_from(names)) if names else name
        first = today + draw(st.integers(-5, 10))
        last = today + draw(st.integers(0, 30)) if what != "added" else first + draw(st.integers(0, 30))
        replacements |= {other} if what == "replaced" else set()
        made.happenings.append(Happening(moment, today, which, what, name, max(first, 0), max(last, 0), other))  # type: ignore[arg-type]
    for each in made.happenings:
        made.adding.append(_adding(each, made.cancelled.get(each.moment)))
    return made


def _adding(each: Happening, cancelled: int | None) -> Callable[[Facts], None]:
    at = NOON + timedelta(days=each.day, seconds=each.moment)
    of = unit(each.unit)
    if each.what in ("delivered", "returned"):
        is_delivery = each.what == "delivered"
        move = Move(
            ("shop", each.name),
            "delivery" if is_delivery else "sales_return",
            at,
            _recorded(each.moment),
            at.date(),
            1,
            "north" if is_delivery else None,
            None if is_delivery else "north",
            warranty_days=each.last - each.day if is_delivery else None,
            cancelled_by=("shop", "X") if cancelled is not None else None,
            cancelled_at=_recorded(cancelled) if cancelled is not None else None,
        )
        return lambda facts: facts.move(of, move)
    told: Said
    if each.what == "added":
        what = statement(
            CoverageAdded,
            at,
            of,
            reference=each.name,
            kind=CoverageKind.EXTENSION,
            starts_on=day(each.first),
            ends_on=day(each.last),
        )
    elif each.what == "ended":
        what = statement(CoverageEnded, at, of, reference=each.name, ends_on=day(each.last))
    else:
        what = statement(
            ClaimUpdated,
            at,
            of,
            claim="C",
            state=ClaimState.RESOLVED,
            resolution=Resolution.REPLACED,
            replacement=Replacement(serial=unit(each.other).serial),
        )
    told = said(what, _recorded(each.moment))
    return lambda facts: facts.say(told)


def _recorded(moment: int) -> datetime:
    return NOON + timedelta(days=LAST, seconds=moment)


def days_of(covers: Sequence[Cover]) -> dict[str, frozenset[int]]:
    """The days on which each coverage holds, by its name."""
    found: dict[str, frozenset[int]] = {}
    for each in covers:
        last = LAST if each.last is None else min((each.last - NOON.date()).days, LAST)
        days = frozenset(range((each.first - NOON.date()).days, last + 1))
        if days:
            found[each.reference] = found.get(each.reference, frozenset()) | days
    return found


def told(facts: Facts, known: int | None = None) -> dict[int, dict[str, frozenset[int]]]:
    dossiers = Dossiers(facts, known_at=None if known is None else _recorded(known))
    return {number: days_of(coverage(unit(number), dossiers)) for number in range(UNITS)}


@given(histories())
def test_coverage_is_what_a_reference_finds_day_by_day(history: History) -> None:
    assert told(history.facts()) == covered_days(history.standing(), UNITS)


@given(histories(), st.integers(0, 14))
def test_coverage_as_known_at_a_time_is_what_it_was_then(history: History, known: int) -> None:
    assert told(history.facts(), known) == covered_days(history.standing(known), UNITS)


@given(histories(), st.integers())
def test_the_order_in_which_facts_arrive_makes_no_difference(history: History, seed: int) -> None:
    order = list(range(len(history.adding)))
    Random(seed).shuffle(order)
    dossiers = (Dossiers(history.facts()), Dossiers(history.facts(order)))
    for number in range(UNITS):
        in_order, shuffled = (coverage(unit(number), each) for each in dossiers)
        assert in_order == shuffled
