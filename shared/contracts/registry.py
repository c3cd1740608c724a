"""Which struct an event's type carries, and where events of that type are published.

A message is one struct, one line here and one handler. A dry run travels in the same structs as a fact, but under types
of its own (`trial.*`), which only the services hear: nobody can take it for something that happened.
"""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts import (
    aftercare,
    audit,
    counting,
    journal,
    manifest,
    masters,
    movement,
    outcome,
    period,
    recall,
    reservation,
    stock,
    trial,
)
from shared.contracts.codec import Contract


class Exchange(StrEnum):
    """The exchanges: from outside, from service to service, and for whoever listens."""

    INTAKE = "stock.intake"
    WORK = "stock.work"
    EVENTS = "stock.events"


@dataclass(frozen=True, slots=True)
class Route:
    """Where an event goes; `by_source` puts the upstream's name behind the routing key, one event an upstream."""

    exchange: Exchange
    key: str
    mandatory: bool = False
    by_source: bool = False


MOVEMENT_REQUESTED = "movement.requested.v1"
MOVEMENT_ALLOCATED = "movement.allocated.v1"
MOVEMENT_POSTED = "movement.posted.v1"
TRIAL_ALLOCATED = "trial.allocated.v1"
TRIAL_POSTED = "trial.posted.v1"
STOCK_REVALUED = "stock.revalued.v1"
JOURNAL_POSTED = "journal.posted.v1"
JOURNAL_REVALUED = "journal.revalued.v1"
PERIOD_CLOSED = "period.closed.v1"
PERIOD_REOPENED = "period.reopened.v1"
PERIOD_CLOSING = "period.closing.v1"
PERIOD_REOPENING = "period.reopening.v1"
PERIOD_LOCKED = "period.locked.v1"
PERIOD_UNLOCKED = "period.unlocked.v1"
OUTCOME_ACCEPTED = "outcome.accepted.v1"
OUTCOME_REJECTED = "outcome.rejected.v1"
OUTCOME_TRIED = "outcome.tried.v1"
AUDIT_HEAD = "audit.head.v1"
OUTCOME_RECONCILED = "outcome.reconciled.v1"
SOURCE_MANIFEST = "source.manifest.v1"
UNITS_ALLOCATED = "units.allocated.v1"
COVERAGE_CHANGED = "coverage.changed.v1"
RESERVATION_REQUESTED = "reservation.requested.v1"
RESERVATION_RELEASED = "reservation.released.v1"
COUNT_OPENED = "count.opened.v1"
COUNT_REPORTED = "count.reported.v1"
COUNT_ACCEPTED = "count.accepted.v1"
COUNT_CANCELLED = "count.cancelled.v1"
RECALL_OPENED = "recall.opened.v1"
RECALL_REACHED = "recall.reached.v1"
RECALL_CLOSED = "recall.closed.v1"

MASTERS: dict[str, type[masters.Master]] = {
    "company.defined.v1": masters.CompanyDefined,
    "accounts.defined.v1": masters.AccountsDefined,
    "source.defined.v1": masters.SourceDefined,
    "item.defined.v1": masters.ItemDefined,
    "warehouse.defined.v1": masters.WarehouseDefined,
    "batch.defined.v1": masters.BatchDefined,
    "serial.defined.v1": masters.SerialDefined,
    "batch.held.v1": masters.BatchHeld,
    "batch.released.v1": masters.BatchReleased,
    PERIOD_CLOSED: masters.PeriodClosed,
    PERIOD_REOPENED: masters.PeriodReopened,
}

STATEMENTS: dict[str, type[aftercare.Statement]] = {
    "coverage.added.v1": aftercare.CoverageAdded,
    "coverage.ended.v1": aftercare.CoverageEnded,
    "claim.opened.v1": aftercare.ClaimOpened,
    "claim.updated.v1": aftercare.ClaimUpdated,
    "serial.moved.v1": aftercare.SerialMoved,
    "serial.attributed.v1": aftercare.SerialAttributed,
    "maintenance.planned.v1": aftercare.MaintenancePlanned,
    "maintenance.ended.v1": aftercare.MaintenanceEnded,
    "visit.done.v1": aftercare.VisitDone,
}
"""What aftercare takes from upstreams."""
KIND_OF_STATEMENT = {struct: kind for kind, struct in STATEMENTS.items()}

NAMED_BY_EVENT: dict[str, type[Contract]] = {
    **MASTERS,
    **STATEMENTS,
    SOURCE_MANIFEST: manifest.SourceManifest,
    RESERVATION_REQUESTED: reservation.ReservationRequested,
    RESERVATION_RELEASED: reservation.ReservationReleased,
    COUNT_OPENED: counting.CountOpened,
    COUNT_REPORTED: counting.CountReported,
    COUNT_ACCEPTED: counting.CountAccepted,
    COUNT_CANCELLED: counting.CountCancelled,
    RECALL_OPENED: recall.RecallOpened,
    RECALL_REACHED: recall.RecallReached,
    RECALL_CLOSED: recall.RecallClosed,
}
"""What an upstream sends one at a time, under the id of its event."""

STRUCTS: dict[str, type[Contract]] = {
    **NAMED_BY_EVENT,
    MOVEMENT_REQUESTED: movement.MovementRequested,
    MOVEMENT_ALLOCATED: movement.MovementAllocated,
    MOVEMENT_POSTED: stock.MovementPosted,
    TRIAL_ALLOCATED: movement.MovementAllocated,
    TRIAL_POSTED: stock.MovementPosted,
    STOCK_REVALUED: stock.StockRevalued,
    JOURNAL_POSTED: journal.JournalPosted,
    JOURNAL_REVALUED: journal.JournalRevalued,
    PERIOD_CLOSING: period.PeriodClosing,
    PERIOD_REOPENING: period.PeriodReopening,
    PERIOD_LOCKED: period.PeriodLocked,
    PERIOD_UNLOCKED: period.PeriodUnlocked,
    OUTCOME_ACCEPTED: outcome.OutcomeAccepted,
    OUTCOME_REJECTED: outcome.OutcomeRejected,
    OUTCOME_TRIED: trial.OutcomeTried,
    AUDIT_HEAD: audit.AuditHead,
    OUTCOME_RECONCILED: manifest.SourceReconciled,
    UNITS_ALLOCATED: movement.MovementAllocated,
    COVERAGE_CHANGED: aftercare.CoverageChanged,
}

ROUTES: dict[str, tuple[Route, ...]] = {
    MOVEMENT_ALLOCATED: (Route(Exchange.WORK, "ledger", mandatory=True),),
    MOVEMENT_POSTED: (
        Route(Exchange.WORK, "accounting", mandatory=True),
        Route(Exchange.EVENTS, MOVEMENT_POSTED),
    ),
    TRIAL_ALLOCATED: (Route(Exchange.WORK, "ledger", mandatory=True),),
    TRIAL_POSTED: (Route(Exchange.WORK, "accounting", mandatory=True),),
    STOCK_REVALUED: (
        Route(Exchange.WORK, "accounting", mandatory=True),
        Route(Exchange.EVENTS, STOCK_REVALUED),
    ),
    JOURNAL_POSTED: (Route(Exchange.EVENTS, JOURNAL_POSTED),),
    JOURNAL_REVALUED: (Route(Exchange.EVENTS, JOURNAL_REVALUED),),
    PERIOD_CLOSING: (Route(Exchange.WORK, "accounting", mandatory=True),),
    PERIOD_REOPENING: (Route(Exchange.WORK, "accounting", mandatory=True),),
    PERIOD_LOCKED: (Route(Exchange.EVENTS, PERIOD_LOCKED),),
    PERIOD_UNLOCKED: (Route(Exchange.EVENTS, PERIOD_UNLOCKED),),
    OUTCOME_ACCEPTED: (Route(Exchange.EVENTS, OUTCOME_ACCEPTED, by_source=True),),
    OUTCOME_REJECTED: (Route(Exchange.EVENTS, OUTCOME_REJECTED, by_source=True),),
    OUTCOME_TRIED: (Route(Exchange.EVENTS, OUTCOME_TRIED, by_source=True),),
    AUDIT_HEAD: (Route(Exchange.EVENTS, AUDIT_HEAD),),
    OUTCOME_RECONCILED: (Route(Exchange.EVENTS, OUTCOME_RECONCILED, by_source=True),),
    UNITS_ALLOCATED: (Route(Exchange.WORK, "aftercare", mandatory=True),),
    COVERAGE_CHANGED: (Route(Exchange.EVENTS, COVERAGE_CHANGED),),
}
"""What the services publish; an upstream publishes to the intake, with the event's type as its routing key."""
