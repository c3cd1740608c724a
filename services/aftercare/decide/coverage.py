"""By what a unit is covered, and until when: told anew from its facts, one after another in their order.

A delivery begins the seller's coverage, as long as the item's warranty says, and ends the one that an earlier delivery
began: who buys a unit that came back has a warranty of his own. A return changes nothing, and a delivery that was
cancelled never was. A unit that replaces another one takes over what is left of that one's coverage, whose own ends.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.aftercare.decide.facts import Dossier, Dossiers, Key, Move, Rank, Said, Unit
from shared.contracts.aftercare import CoverageAdded, CoverageEnded, CoverageKind

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cover:
    """A coverage from its `first` day to its `last`, both covered; None: without end.

    `by` is what began it. `inherited_from` is the unit that was replaced.
    """

    kind: CoverageKind
    reference: str
    first: date
    last: date | None
    by: Key
    terms: str = ""
    inherited_from: Unit | None = None
    is_by_delivery: bool = False

    def covers(self, day: date) -> bool:
        """Whether it covers a day."""
        return self.first <= day and (self.last is None or day <= self.last)


def coverage(unit: Unit, dossiers: Dossiers) -> list[Cover]:
    """Every coverage of a unit, the first to begin first."""
    found = _coverage(unit, dossiers, None)
    return sorted(found, key=lambda each: (each.first, each.kind, each.reference, each.by))


def best(covers: Iterable[Cover], day: date) -> Cover | None:
    """Of those that cover a day the one that lasts longest."""
    return max((each for each in covers if each.covers(day)), key=_lasts, default=None)


def why_not(covers: Iterable[Cover], day: date) -> dict[str, str]:
    """Why a unit is not covered on a day: it never was, not yet, or no more."""
    known = list(covers)
    over = [each.last for each in known if each.last is not None and each.last < day]
    coming = [each.first for each in known if each.first > day]
    if over:
        return {"why": "coverage_ended", "day": day.isoformat(), "until": max(over).isoformat()}
    if coming:
        return {"why": "coverage_not_begun", "day": day.isoformat(), "from": min(coming).isoformat()}
    return {"why": "no_coverage", "day": day.isoformat()}


def _lasts(cover: Cover) -> tuple[bool, date, str]:
    return (cover.last is None, cover.last or date.max, cover.reference)


def _coverage(unit: Unit, dossiers: Dossiers, before: Rank | None) -> list[Cover]:
    """What the facts before one come to. Each replacement looks only at what was before it, so no circle is endless."""
    covers: list[Cover] = []
    for rank, fact in sorted(_facts(dossiers.of(unit)), key=lambda each: each[0]):
        if before is not None and rank >= before:
            break
        covers = [each for each in _after(fact, unit, covers, dossiers) if each.last is None or each.first <= each.last]
    return covers


def _facts(dossier: Dossier) -> Iterator[tuple[Rank, Move | Said]]:
    yield from ((each.rank, each) for each in dossier.standing() if each.is_delivery and each.warranty_days is not None)
    yield from ((each.rank, each) for each in (*dossier.said, *dossier.replaces))


def _after(fact: Move | Said, unit: Unit, covers: list[Cover], dossiers: Dossiers) -> list[Cover]:
    """The coverage once a fact is added."""
    if isinstance(fact, Move):
        begins = _by_delivery(fact)
        return [*(_cut(each, fact.day - _DAY) if each.is_by_delivery else each for each in covers), begins]
    what = fact.what
    if isinstance(what, CoverageAdded):
        return [*covers, Cover(what.kind, what.reference, what.starts_on, what.ends_on, fact.key, what.terms)]
    if isinstance(what, CoverageEnded):
        return [_cut(each, what.ends_on) if _is_named(each, what.reference) else each for each in covers]
    if fact.other is None:
        return covers
    if fact.about == unit:
        return [_cut(each, fact.day - _DAY) for each in covers]
    left = _coverage(fact.about, dossiers, fact.rank)
    return [*covers, *(_inherited(each, fact) for each in left if each.last is None or each.last >= fact.day)]


def _by_delivery(move: Move) -> Cover:
    last = _later(move.day, move.warranty_days or 0)
    reference = move.document or move.key[1]
    return Cover(CoverageKind.SELLER, reference, move.day, last, move.key, is_by_delivery=True)


def _later(day: date, days: int) -> date:
    """A day so many days later; the calendar has a last one."""
    return day + timedelta(days=min(days, (date.max - day).days))


def _is_named(cover: Cover, reference: str) -> bool:
    return cover.reference == reference and cover.inherited_from is None


def _cut(cover: Cover, last: date) -> Cover:
    return replace(cover, last=last if cover.last is None else min(cover.last, last))


def _inherited(cover: Cover, by: Said) -> Cover:
    return replace(cover, first=max(cover.first, by.day), inherited_from=by.about, is_by_delivery=False)
