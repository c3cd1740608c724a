"""Which statements are accepted: one function a kind, with all that speaks against it; and what its source is told.

A reason that names what may still be on its way is waited for (`lacks`): a claim may be faster than the delivery of its
unit.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.aftercare.decide.claims import COVERED, NOT_COVERED, claims, may_follow, may_still_follow
from services.aftercare.decide.coverage import best, coverage, why_not
from services.aftercare.decide.custody import custody, may_be_moved
from services.aftercare.decide.facts import Dossier, Key, Unit, replaced_by
from services.aftercare.decide.maintenance import is_planned, schedules
from services.aftercare.decide.state import Known
from shared.contracts import aftercare
from shared.contracts.aftercare import ClaimState, Resolution, Statement
from shared.contracts.outcome import Remark
from shared.errors import Reason
from shared.purposes import SerialStatus

TOLERANCE = timedelta(minutes=5)
"""How far a sender's clock may be ahead."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of judging a statement: accepted where there are no `reasons`; what its source is told then."""

    reasons: Sequence[Reason] = ()
    remarks: tuple[Remark, ...] = ()


def judge(what: Statement, source: str, known: Known) -> Verdict:
    """Judge a statement by what is known of its unit."""
    reasons = list(_of_all(what, known))
    if any(each.code in ("unknown_company", "unknown_serial") for each in reasons):
        return Verdict(reasons)
    case = _Case(what, source, known)
    reasons += _AGAINST[type(what)](what, case)
    return Verdict(reasons) if reasons else Verdict(remarks=tuple(_remarks(what, case)))


def unit_of(what: Statement) -> Unit:
    """The unit that a statement is about."""
    return Unit(what.company, what.item, what.serial)


def day_of(at: datetime, time_zone: str) -> date:
    """The day of a moment in a time zone."""
    try:
        return at.astimezone(ZoneInfo(time_zone)).date()
    except OverflowError:  # the first or the last hours of the calendar
        return at.date()


def unit_key(unit: Unit) -> str:
    """What a statement lacks that knows of something of a unit which has not come yet."""
    return "unit:" + ":".join(unit)


def movement_key(source: str, identifier: str) -> str:
    """What a visit lacks whose parts left by a movement that is not known yet."""
    return f"movement:{source}:{identifier}"


def lacks(what: Statement, reasons: Sequence[Reason]) -> list[str] | None:
    """What a refused statement waits for; None: it is refused for good."""
    if not all(each.code in _MAY_WAIT and each.facts.get("waits", "yes") == "yes" for each in reasons):
        return None
    found = {key for each in reasons for key in _MAY_WAIT[each.code](what, each.facts)}
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Case:
    what: Statement
    source: str
    known: Known

    @property
    def unit(self) -> Unit:
        return unit_of(self.what)

    @property
    def then(self) -> Dossier:
        """The unit as of the moment of the statement."""
        return self.known.dossier(self.unit, self.what.at)

    @property
    def now(self) -> Dossier:
        """The unit by all that is known."""
        return self.known.dossier(self.unit)

    @property
    def day(self) -> date:
        return day_of(self.what.at, self.known.time_zones[self.what.company])


def _of_all(what: Statement, known: Known) -> Iterator[Reason]:
    if what.at > known.now + TOLERANCE:
        yield _reason("at_in_future", at=what.at.isoformat(), now=known.now.isoformat())
    if what.company not in known.time_zones:
        yield _reason("unknown_company", company=what.company)
    elif not known.is_known(unit_of(what)):
        yield _reason("unknown_serial", item=what.item, serial=what.serial)


def _coverage_added(what: aftercare.CoverageAdded, case: _Case) -> Iterator[Reason]:
    if any(_adds(each.what, what.reference) for each in case.now.said):
        yield _reason("reference_used", reference=what.reference)
    yield from _ends_before(what.starts_on, what.ends_on)


def _coverage_ended(what: aftercare.CoverageEnded, case: _Case) -> Iterator[Reason]:
    covers = coverage(case.unit, case.known.dossiers())
    if not any(each.reference == what.reference and each.inherited_from is None for each in covers):
        yield _reason("unknown_coverage", reference=what.reference)


def _claim_opened(what: aftercare.ClaimOpened, case: _Case) -> Iterator[Reason]:
    if (what.company, what.claim) in case.known.claims:
        yield _reason("claim_used", claim=what.claim)
    # Of a unit of which nothing but its number is known, nobody can say that it stands in stock.
    status = custody(case.then).status
    if status is SerialStatus.ACTIVE or (status is SerialStatus.INACTIVE and case.now.standing()):
        yield _reason("unit_in_stock", item=what.item, serial=what.serial, status=status.value)


def _claim_updated(what: aftercare.ClaimUpdated, case: _Case) -> Iterator[Reason]:
    claim = claims(case.now).get(what.claim)
    if claim is None:
        yield _reason("unknown_claim", claim=what.claim)
    elif what.at < claim.since:
        yield _reason("before_last_update", claim=what.claim, at=what.at.isoformat(), since=claim.since.isoformat())
    elif not may_follow(claim.state, what.state):
        waits = "yes" if may_still_follow(claim.state, what.state) else "no"
        yield _reason("claim_state", claim=what.claim, state=claim.state.value, wanted=what.state.value, waits=waits)
    yield from _resolution(what)
    if what.replacement is not None:
        yield from _replacement(what, case)


def _resolution(what: aftercare.ClaimUpdated) -> Iterator[Reason]:
    if (what.state is ClaimState.RESOLVED) != (what.resolution is not None):
        given = what.resolution.value if what.resolution is not None else "none"
        yield _reason("resolution_wrong", state=what.state.value, resolution=given)
    if (what.resolution is Resolution.REPLACED) != (what.replacement is not None):
        given = what.replacement.serial if what.replacement is not None else "none"
        resolution = what.resolution.value if what.resolution is not None else "none"
        yield _reason("replacement_wrong", resolution=resolution, replacement=given)


def _replacement(what: aftercare.ClaimUpdated, case: _Case) -> Iterator[Reason]:
    other = replaced_by(what)
    if other is None:
        return
    if not case.known.is_known(other):
        yield _reason("unknown_serial", item=other.item, serial=other.serial)
    elif other == case.unit:
        yield _reason("replacement_wrong", resolution=Resolution.REPLACED.value, replacement=other.serial)
    elif case.known.dossier(other).replaces:
        yield _reason("replacement_used", item=other.item, serial=other.serial)


def _serial_moved(what: aftercare.SerialMoved, case: _Case) -> Iterator[Reason]:
    if not may_be_moved(case.then):
        status = custody(case.then).status
        code = "unit_in_stock" if status is SerialStatus.ACTIVE else "unit_gone"
        yield _reason(code, item=what.item, serial=what.serial, status=status.value)
    if what.due_back is not None and what.due_back < case.day:
        yield _reason("ends_before_it_starts", starts=case.day.isoformat(), ends=what.due_back.isoformat())


def _serial_attributed(what: aftercare.SerialAttributed, case: _Case) -> Iterator[Reason]:
    if not (what.attributes or what.removed or what.end_of_life):
        yield _reason("nothing_said")
    yield from _ends_before(case.day, what.expires_on)


def _maintenance_planned(what: aftercare.MaintenancePlanned, case: _Case) -> Iterator[Reason]:
    if what.schedule in schedules(case.now):
        yield _reason("schedule_used", schedule=what.schedule)
    yield from _ends_before(what.starts_on, what.ends_on)


def _maintenance_ended(what: aftercare.MaintenanceEnded, case: _Case) -> Iterator[Reason]:
    if what.schedule not in schedules(case.now):
        yield _reason("unknown_schedule", schedule=what.schedule)


def _visit_done(what: aftercare.VisitDone, case: _Case) -> Iterator[Reason]:
    schedule = schedules(case.now).get(what.schedule) if what.schedule is not None else None
    if what.schedule is not None and schedule is None:
        yield _reason("unknown_schedule", schedule=what.schedule)
    day = what.planned_on
    if day is not None and (not is_planned(schedule, day) if schedule is not None else what.schedule is None):
        yield _reason("visit_not_planned", schedule=what.schedule or "none", planned_on=day.isoformat())
    if what.claim is not None and what.claim not in claims(case.now):
        yield _reason("unknown_claim", claim=what.claim)
    parts = parts_of(what, case.source)
    if parts is not None and parts not in case.known.movements:
        yield _reason("unknown_movement", source=parts[0], id=parts[1])


def parts_of(what: Statement, source: str) -> Key | None:
    """The movement by which the parts of a visit left stock; its source is by default that of the statement."""
    if not isinstance(what, aftercare.VisitDone) or what.parts is None:
        return None
    return (what.parts.source or source, what.parts.id)


def _remarks(what: Statement, case: _Case) -> Iterator[Remark]:
    """Of a claim: whether the unit was covered when it was made, by what, or why not."""
    if not isinstance(what, aftercare.ClaimOpened):
        return
    covers = coverage(case.unit, case.known.dossiers(what.at))
    by = best(covers, case.day)
    if by is None:
        yield Remark(code=NOT_COVERED, facts=why_not(covers, case.day))
        return
    until = {"until": by.last.isoformat()} if by.last is not None else {}
    yield Remark(code=COVERED, facts={"kind": by.kind.value, "reference": by.reference, "day": str(case.day), **until})


def _adds(what: Statement, reference: str) -> bool:
    return isinstance(what, aftercare.CoverageAdded) and what.reference == reference


def _ends_before(starts: date, ends: date | None) -> Iterator[Reason]:
    if ends is not None and ends < starts:
        yield _reason("ends_before_it_starts", starts=starts.isoformat(), ends=ends.isoformat())


def _reason(code: str, **facts: str) -> Reason:
    return Reason(code, None, facts)


_AGAINST: Mapping[type, Callable[[Any, _Case], Iterator[Reason]]] = {
    aftercare.CoverageAdded: _coverage_added,
    aftercare.CoverageEnded: _coverage_ended,
    aftercare.ClaimOpened: _claim_opened,
    aftercare.ClaimUpdated: _claim_updated,
    aftercare.SerialMoved: _serial_moved,
    aftercare.SerialAttributed: _serial_attributed,
    aftercare.MaintenancePlanned: _maintenance_planned,
    aftercare.MaintenanceEnded: _maintenance_ended,
    aftercare.VisitDone: _visit_done,
}
"""What may speak against each kind of statement."""


def _own(what: Statement, _: Mapping[str, str]) -> Collection[str]:
    return [unit_key(unit_of(what))]


_MAY_WAIT: Mapping[str, Callable[[Statement, Mapping[str, str]], Collection[str]]] = {
    "at_in_future": lambda what, _: [f"time:{what.at.astimezone(UTC).isoformat()}"],
    "unknown_company": lambda what, _: [f"company:{what.company}"],
    "unknown_serial": lambda what, facts: [unit_key(Unit(what.company, facts["item"], facts["serial"]))],
    "unit_in_stock": _own,
    "unknown_coverage": _own,
    "unknown_claim": _own,
    "claim_state": _own,
    "unknown_schedule": _own,
    "unknown_movement": lambda _, facts: [movement_key(facts["source"], facts["id"])],
}
"""What a refusal waits for, by its code; a code that is not here is final at once, and so is one that says so."""
