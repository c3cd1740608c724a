"""The gate: every requested movement is accepted with its serials, batches and stamps, or rejected with all reasons.

Movements are judged in the order given, each on what those before it left. After this, ledger and accounting can
fail only technically; so whatever they need travels in the accepted movement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.receiving.decide.accounts import booked_accounts
from services.receiving.decide.cancelling import CANCELLATION, refusal_of_cancellation, refusal_of_original
from services.receiving.decide.case import Case, Limits, Plan, Request, SerialEvent
from services.receiving.decide.costs import allocated_costs
from services.receiving.decide.flows import plan
from services.receiving.decide.legs import bins_touched, legs_of, stamp_bins
from services.receiving.decide.lines import moves_stock
from services.receiving.decide.money import money_sides
from services.receiving.decide.opening import company_of, open_case
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.stock import Company, Serial, Stock
from shared.contracts.movement import MovementAllocated, MovementName
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected, Refusal
from shared.errors import Reason
from shared.purposes import PURPOSES, Flow
from shared.quantities import ZERO, Quantity

KIND = "movement.requested"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted movement: what goes on to the ledger, what its source is told, what happened to its serials."""

    request: Request
    allocated: MovementAllocated
    outcome: OutcomeAccepted
    events: Sequence[SerialEvent]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected movement, with every reason."""

    request: Request
    outcome: OutcomeRejected
    purpose: str | None = None


def allocate(requests: Sequence[Request], stock: Stock, now: datetime, limits: Limits) -> list[Accepted | Rejected]:
    """Judge movements one after another; `stock` takes over what each accepted one changes."""
    return [_judge(request, stock, now, limits) for request in requests]


def _judge(request: Request, stock: Stock, now: datetime, limits: Limits) -> Accepted | Rejected:
    movement = request.movement
    if movement is None:
        return _rejected(request, None, now, [Reason("malformed", None, {"problem": request.problem or ""})])
    cancelled = refusal_of_original(request.source, request.id, stock)
    if cancelled is not None:
        return _rejected(request, None, now, [cancelled])
    if movement.purpose == CANCELLATION:
        return _rejected(request, None, now, [refusal_of_cancellation(request.source, movement, stock)])
    purpose = PURPOSES.get(movement.purpose)
    company, reason = company_of(request.source, movement, stock)
    reasons = [reason] if reason is not None else []
    if purpose is None:
        known = ", ".join(sorted(PURPOSES))
        reasons.append(Reason("unknown_purpose", None, {"purpose": movement.purpose, "known": known}))
    if purpose is None or company is None:
        return _rejected(request, company, now, reasons)
    return _judge_case(open_case(request, movement, purpose, company, stock, now, limits), now)


def _judge_case(case: Case, now: datetime) -> Accepted | Rejected:
    _refuse_unsupported(case)
    planned = plan(case)
    accounts = booked_accounts(case)
    costs = allocated_costs(case)
    money = money_sides(case, planned)
    if case.reasons:
        return _rejected(case.request, case.company, now, case.reasons)
    legs = legs_of(planned)
    recorded_at = max([now, *(case.bin(key).last_recorded_at for key in bins_touched(case, legs))])
    stamps = stamp_bins(case, legs, recorded_at)
    outcome = _told(case, planned, recorded_at)
    allocated = MovementAllocated(
        source=case.request.source,
        id=case.request.id,
        company=case.company.company,
        currency=case.company.currency,
        digits=case.company.digits,
        perpetual=case.company.perpetual,
        purpose=case.purpose.name,
        posting_at=case.movement.posting_at,
        effective_at=case.effective_at,
        recorded_at=recorded_at,
        posting_date=case.day,
        open_from=case.company.open_from,
        document=case.movement.document,
        actor=case.movement.actor,
        reason=case.movement.reason,
        customer=case.movement.customer,
        supplier=case.movement.supplier,
        recipient=case.movement.recipient,
        against=_against(case.original),
        stamps=stamps,
        legs=legs,
        accounts=accounts,
        additional_costs=costs,
        money=money,
        trial=outcome if case.movement.dry_run else None,
        trace=case.request.trace,
    )
    if not case.movement.dry_run:
        _remember_exits(case, allocated)
        case.draft.stock.absorb(case.draft)
        case.draft.stock.originals[case.request.source, case.request.id] = allocated
    return Accepted(case.request, allocated, outcome, case.events)


def _against(original: MovementAllocated | None) -> MovementName | None:
    return MovementName(source=original.source, id=original.id) if original is not None else None


def _remember_exits(case: Case, allocated: MovementAllocated) -> None:
    """Note of each serial that left by which ledger entry it did: should it come back, it is worth as much."""
    if case.purpose.flow is Flow.MOVE:
        return
    for entry, leg in legs_with_entries(allocated):
        for number in leg.serials if leg.quantity < ZERO else ():
            key = (case.company.company, leg.item, number)
            serial = case.draft.serials.get(key) or Serial()
            case.draft.serials[key] = serial._replace(left_by=entry, left_from=leg.warehouse)


def _refuse_unsupported(case: Case) -> None:
    """What a movement may say but its purpose does not do: never silently left out."""
    movement = case.movement
    if movement.opening and case.purpose.flow is not Flow.COUNT:
        case.refuse("opening_not_allowed", None, purpose=case.purpose.name)
    for place, line in enumerate(movement.lines, 1):
        if line.scan is not None:
            case.refuse("scan_unsupported", line.line or place, scan=line.scan)
        if not moves_stock(case, line) and (line.source or line.target or line.serials or line.batch):
            case.refuse("stock_on_account_line", line.line or place, account=line.account)


def _told(case: Case, planned: Plan, recorded_at: datetime) -> OutcomeAccepted:
    """What the source is told: what each line took, brought, made or found."""
    return OutcomeAccepted(
        source=case.request.source,
        id=case.request.id,
        kind=KIND,
        company=case.company.company,
        recorded_at=recorded_at,
        effective_at=case.effective_at,
        allocated=[
            Allocated(
                line=portion.line.number,
                item=portion.line.item.item,
                warehouse=portion.warehouse.warehouse,
                quantity=Quantity(portion.quantity),
                batch=portion.batch,
                serials=list(portion.serials),
                generated=portion.generated,
            )
            for portion in (*planned.left, *planned.came, *planned.valued)
        ],
        remarks=case.remarks,
        attempt=case.request.attempt,
    )


def _rejected(request: Request, company: Company | None, now: datetime, reasons: Sequence[Reason]) -> Rejected:
    outcome = OutcomeRejected(
        source=request.source,
        id=request.id,
        kind=KIND,
        company=company.company if company is not None else None,
        recorded_at=now,
        reasons=[
            Refusal(code=each.code, line=each.line, facts=dict(each.facts))
            for each in sorted(reasons, key=lambda reason: reason.line or 0)
        ],
        dry_run=request.movement is not None and request.movement.dry_run,
        attempt=request.attempt,
    )
    return Rejected(request, outcome, request.movement.purpose if request.movement is not None else None)
