"""The slow reference for coverage: day by day, whoever covered a unit then, told from the beginning of time.

It knows no intervals. It walks through the days; on each it carries out what happened on it, in order, on the set of
promises that the unit has, each of which holds for a set of days written out one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

LAST = 60
"""The last day of the reference's world."""


@dataclass(frozen=True)
class Happening:
    """Something that happened: at a moment of the order of time, to a unit."""

    moment: int
    day: int
    unit: int
    what: Literal["delivered", "returned", "added", "ended", "replaced"]
    name: str = ""
    first: int = 0
    last: int = LAST
    other: int = 0


@dataclass(frozen=True)
class _Promise:
    name: str
    days: frozenset[int]
    by_delivery: bool
    inherited: bool = False


def covered_days(happenings: Sequence[Happening], units: int) -> Mapping[int, Mapping[str, frozenset[int]]]:
    """Of each unit the days on which each of its promises holds, by their names; promises without a day are none."""
    promises: dict[int, list[_Promise]] = {unit: [] for unit in range(units)}
    for each in sorted(happenings, key=lambda each: each.moment):
        own = promises[each.unit]
        if each.what == "delivered":
            promises[each.unit] = [_before(p, each.day) if p.by_delivery else p for p in own]
            promises[each.unit].append(_Promise(each.name, _days(each.day, each.last), by_delivery=True))
        elif each.what == "added":
            own.append(_Promise(each.name, _days(each.first, each.last), by_delivery=False))
        elif each.what == "ended":
            promises[each.unit] = [
                _before(p, each.last + 1) if p.name == each.name and not p.inherited else p for p in own
            ]
        elif each.what == "replaced":
            taken = [p for p in (_from(p, each.day) for p in own) if p.days]
            promises[each.other] += [replace(p, by_delivery=False, inherited=True) for p in taken]
            promises[each.unit] = [_before(p, each.day) for p in own]
    return {unit: _by_name(own) for unit, own in promises.items()}


def _by_name(promises: Sequence[_Promise]) -> dict[str, frozenset[int]]:
    found: dict[str, frozenset[int]] = {}
    for each in promises:
        if each.days:
            found[each.name] = found.get(each.name, frozenset()) | each.days
    return found


def _days(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, min(last, LAST) + 1))


def _before(promise: _Promise, day: int) -> _Promise:
    return replace(promise, days=frozenset(each for each in promise.days if each < day))


def _from(promise: _Promise, day: int) -> _Promise:
    return replace(promise, days=frozenset(each for each in promise.days if each >= day))
