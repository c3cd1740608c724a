"""What is told of a unit beside its stock life: coverage, claims, custody, attributes, maintenance and visits.

Each is a statement about one unit (company, item, serial) as of the moment `at`. Statements are added to one another
and never replaced: how a unit stands at any time, or was known to stand, follows from all of them and from its
movements.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated

import msgspec

from shared.contracts.codec import FEW, Attributes, Code, Contract, Identifier, SourceName, Text, Time
from shared.contracts.masters import Words
from shared.contracts.movement import Reference

Often = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class CoverageKind(StrEnum):
    """Who answers for a unit, and by what."""

    MANUFACTURER = "manufacturer"
    SELLER = "seller"
    EXTENSION = "extension"
    SERVICE_CONTRACT = "service_contract"


class ClaimState(StrEnum):
    """How far a claim is."""

    OPEN = "open"
    IN_WORK = "in_work"
    WAITING = "waiting"
    RESOLVED = "resolved"
    CLOSED = "closed"


class Resolution(StrEnum):
    """What came of a claim."""

    REPAIRED = "repaired"
    REPLACED = "replaced"
    REFUNDED = "refunded"
    REFUSED = "refused"


class Interval(StrEnum):
    """What a schedule counts in."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class Completion(StrEnum):
    """Whether a visit did all that it was for; one that did not leaves the planned visit open."""

    FULL = "full"
    PARTIAL = "partial"


class AboutUnit(Contract, frozen=True, kw_only=True):
    """What every statement says: of which unit it is, as of when, and by whom. `at` is when it happened."""

    company: Code
    item: Code
    serial: Code
    at: Time
    actor: Text | None = None


class CoverageAdded(AboutUnit, frozen=True, kw_only=True):
    """A unit is covered from a day on: by its manufacturer, its seller, an extension or a service contract.

    `at` is when it was agreed. `reference` names this coverage, once for a unit. `kind` is who answers, and by what.
    `starts_on` is its first day, `ends_on` its last one; left out, it has no end. `terms` are what it covers.
    """

    reference: Code
    kind: CoverageKind
    starts_on: date
    ends_on: date | None = None
    terms: Text = ""


class CoverageEnded(AboutUnit, frozen=True, kw_only=True):
    """A coverage of a unit ends earlier than was agreed.

    `at` is when that was agreed. `reference` is the coverage's. `ends_on` is its last day.
    """

    reference: Code
    ends_on: date
    reason: Text = ""


class ClaimOpened(AboutUnit, frozen=True, kw_only=True):
    """A customer complains about a unit.

    `at` is when the complaint was made: by that day it is decided whether the unit is covered. `claim` names it, once
    in a company. `complaint` is what is wrong.
    """

    claim: Code
    customer: Text | None = None
    complaint: Words
    document: Text | None = None


class Replacement(Contract, frozen=True, kw_only=True):
    """The unit that a customer got for another one; `item` is by default that of the other one."""

    item: Code | None = None
    serial: Code


class ClaimUpdated(AboutUnit, frozen=True, kw_only=True):
    """A claim goes on.

    `at` is when it did so. `claim` is its name. `state` is its state from then on. `resolution` is what came of it, for
    a claim that is resolved. `replacement` is the unit that the customer got, for one that was replaced: it is covered
    by what is left of the coverage of the other one. `note` is what was found or done.
    """

    claim: Code
    state: ClaimState
    resolution: Resolution | None = None
    replacement: Replacement | None = None
    note: Text = ""


class SerialMoved(AboutUnit, frozen=True, kw_only=True):
    """A unit that is not in stock has another custodian or place: no stock moves, and no value.

    `at` is when it was handed over. `custodian` is who has it from then on, `place` where it is; what is left out is
    not known any more. `due_back` is the last day of a loan.
    """

    custodian: Text | None = None
    place: Text | None = None
    due_back: date | None = None
    document: Text | None = None


class SerialAttributed(AboutUnit, frozen=True, kw_only=True):
    """Attributes of a unit, with the last day on which they hold: a plan, a subscription, a licence.

    `at` is since when they hold. `attributes` are set, each in the place of what it was. `expires_on` is the last day
    of these; left out, they hold for good. `removed` are names that hold no more. `end_of_life` is the day on which the
    unit should be taken out of use.
    """

    attributes: Attributes = {}
    expires_on: date | None = None
    removed: Annotated[list[Code], msgspec.Meta(max_length=FEW)] = []
    end_of_life: date | None = None


class MaintenancePlanned(AboutUnit, frozen=True, kw_only=True):
    """A unit is to be visited at regular intervals.

    `at` is when that was planned. `schedule` names it, once for a unit. The first visit is one interval behind
    `starts_on`, and none is later than `ends_on`; left out, there is no last one. `every` is how many of the `interval`
    lie between two visits. `person` is who is to go.
    """

    schedule: Code
    starts_on: date
    ends_on: date | None = None
    every: Often
    interval: Interval
    person: Text | None = None


class MaintenanceEnded(AboutUnit, frozen=True, kw_only=True):
    """A schedule ends: of its visits none is due that was planned later.

    `at` is when that was decided. `schedule` is its name. `ends_on` is its last day.
    """

    schedule: Code
    ends_on: date
    reason: Text = ""


class VisitDone(AboutUnit, frozen=True, kw_only=True):
    """A unit was visited, or was serviced in a workshop.

    `at` is when. `schedule` names the schedule that it belongs to, if any; `planned_on` is the planned day that it is
    for, by default the first one that is open. `completion` says whether that is done. `claim` is the claim that it is
    for. `person` is who did it. `work` is what was done. `parts` is the movement by which the parts left stock.
    `readings` are what was read off or measured, by name.
    """

    schedule: Code | None = None
    planned_on: date | None = None
    completion: Completion = Completion.FULL
    claim: Code | None = None
    person: Text | None = None
    work: Words
    parts: Reference | None = None
    readings: Attributes = {}


class Covered(Contract, frozen=True, kw_only=True):
    """One coverage of a unit.

    `reference` names it: as it was added, or the document or movement by which the unit was delivered. `kind` is who
    answers, and by what. `starts_on` is its first day, `ends_on` its last one; left out, it has no end. `terms` are
    what it covers. `source` and `id` name what began it. `inherited_from` is the serial that was replaced by this one,
    and `inherited_item` that one's item.
    """

    kind: CoverageKind
    reference: Text
    starts_on: date
    ends_on: date | None = None
    terms: Text = ""
    source: SourceName
    id: Identifier
    inherited_item: Code | None = None
    inherited_from: Code | None = None


class CoverageChanged(Contract, frozen=True, kw_only=True):
    """By what a unit is covered, as it is known now; told whenever that changes.

    `source` (that of aftercare) and `id` name this message; `number` counts those of the unit, and the last one holds.
    `coverage` is all of it, the first to begin first. `recorded_at` is when the last of what it follows from was
    accepted.
    """

    source: SourceName
    id: Identifier
    company: Code
    item: Code
    serial: Code
    number: int
    recorded_at: Time
    coverage: list[Covered]


Statement = (
    CoverageAdded
    | CoverageEnded
    | ClaimOpened
    | ClaimUpdated
    | SerialMoved
    | SerialAttributed
    | MaintenancePlanned
    | MaintenanceEnded
    | VisitDone
)
