"""The gate: every requested movement is accepted with its serials, batches and stamps, or rejected with all reasons.

Movements are judged in the order given, each on what those before it left; those that take effect before others are
set aside, and judged by themselves on the stock as of their moment. After this, ledger and accounting can fail only
technically; so whatever they need travels in the accepted movement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.receiving.decide.accounts import booked_accounts
from services.receiving.decide.case import Case, Limits, Plan, Request, SerialEvent
from services.receiving.decide.costs import allocated_costs
from services.receiving.decide.flows import plan
from services.receiving.decide.legs import bins_touched, legs_of, stamp_bins
from services.receiving.decide.lines import moves_stock
from services.receiving.decide.money import money_sides
from services.receiving.decide.opening import company_of, open_case
from services.receiving.decide.originals import legs_with_entries, refusal_of_original
from services.receiving.decide.past import Aside, absorb_past, see_past, set_aside
from services.receiving.decide.reserved import refuse_needless
from services.receiving.decide.stock import Company, Serial, Stock
from services.receiving.decide.timeline import (
    Counted,
    Outlook,
    Place,
    correcting_legs,
    effects_of,
    first_legs,
    place_of,
)
from shared.contracts.movement import Leg, MovementAllocated, MovementName
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected, Refusal
from shared.errors import InvariantBroken, Reason
from shared.purposes import CANCELLATION, PURPOSES, Flow
from shared.quantities import ZERO, Quantity

KIND = "movement.requested"


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted movement: what goes on to the ledger, what its source is told, what happened to its serials.

    `counts` are the places that it counted. `undone` is what it cancels, whose doings are to be forgotten.
    """

    request: Request
    allocated: MovementAllocated
    outcome: OutcomeAccepted
    events: Sequence[SerialEvent]
    counts: Sequence[tuple[Place, Counted]] = ()
    undone: MovementAllocated | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected movement, with every reason."""

    request: Request
    outcome: OutcomeRejected
    purpose: str | None = None


def allocate(
    requests: Sequence[Request], stock: Stock, now: datetime, limits: Limits
) -> list[Accepted | Rejected | Aside]:
    """Judge movements one after another; `stock` takes over what each accepted one changes.

    They are judged up to the first that is set aside, because it is back-dated or cancels: that one comes last, for
    `allocate_aside`, and those behind it are not judged yet.
    """
    judged: list[Accepted | Rejected | Aside] = []
    for request in requests:
        judged.append(_judge(request, stock, now, limits))
        if isinstance(judged[-1], Aside):
            break
    return judged


def allocate_aside(
    aside: Aside, past: Mapping[Place, Outlook], stock: Stock, now: datetime, limits: Limits
) -> Accepted | Rejected:
    """Judge a movement by itself that was set aside; `past` are the outlooks of its places as of its moment."""
    judged = _judge(aside.request, stock, now, limits, past)
    if isinstance(judged, Aside):
        raise InvariantBroken("a movement was set aside twice", source=aside.request.source, id=aside.request.id)
    return judged


def _judge(
    request: Request, stock: Stock, now: datetime, limits: Limits, past: Mapping[Place, Outlook] | None = None
) -> Accepted | Rejected | Aside:
    movement = request.movement
    if movement is None:
        return rejected(request, None, now, [Reason("malformed", None, {"problem": request.problem or ""})])
    cancelled = refusal_of_original(request.source, request.id, stock)
    if cancelled is not None:
        return rejected(request, None, now, [cancelled])
    purpose = PURPOSES.get(movement.purpose)
    if purpose is CANCELLATION:
        return Aside(request)
    company, reason = company_of(request.source, movement, stock)
    reasons = [reason] if reason is not None else []
    if purpose is None:
        known = ", ".join(sorted(PURPOSES))
        reasons.append(Reason("unknown_purpose", None, {"purpose": movement.purpose, "known": known}))
    if purpose is None or company is None:
        return rejected(request, company, now, reasons)
    case = open_case(request, movement, purpose, company, stock, now, limits)
    if case.back_dated and past is None:
        return set_aside(case)
    if case.back_dated and past is not None:
        see_past(case, past)
    return _judge_case(case, stock, now)


def _judge_case(case: Case, stock: Stock, now: datetime) -> Accepted | Rejected:
    _refuse_unsupported(case)
    planned = plan(case)
    accounts = booked_accounts(case)
    costs = allocated_costs(case)
    money = money_sides(case, planned)
    if case.reasons:
        return rejected(case.request, case.company, now, case.reasons)
    legs = [*(own := legs_of(planned)), *_corrections(case, own)]
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
        dated_at=case.dated_at,
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
        if case.back_dated:
            absorb_past(stock, case, legs)
        else:
            stock.absorb(case.draft)
        _note_named(case, stock, allocated)
    return Accepted(case.request, allocated, outcome, case.events, _counts(case, allocated))


def _note_named(case: Case, stock: Stock, allocated: MovementAllocated) -> None:
    """Have those after it find it by its name, and the one that it names know of it."""
    key = (case.request.source, case.request.id)
    stock.originals[key] = allocated
    if case.original is not None:
        stock.naming.setdefault((case.original.source, case.original.id), set()).add(key)


def _corrections(case: Case, legs: Sequence[Leg]) -> list[Leg]:
    """What later counts find less or more, because a back-dated movement changed something before them."""
    company = case.company.company
    return correcting_legs(effects_of(company, legs), case.past, first_legs(company, legs)) if case.past else []


def _counts(case: Case, allocated: MovementAllocated) -> list[tuple[Place, Counted]]:
    """The places that a movement counted; the difference found in each is a ledger entry, but for serials."""
    if not case.counted:
        return []
    entries = {place_of(allocated.company, leg): entry for entry, leg in legs_with_entries(allocated)}
    stamps = {(each.item, each.warehouse): each.stamp for each in allocated.stamps}
    account = allocated.accounts[case.purpose.counter]
    return [
        (
            place,
            Counted(
                allocated.effective_at,
                stamps[place[1], place[2]],
                allocated.source,
                allocated.id,
                line,
                entries.get(place),
                account,
                allocated.posting_date,
            ),
        )
        for place, line in case.counted
    ]


def _against(original: MovementAllocated | None) -> MovementName | None:
    return MovementName(source=original.source, id=original.id) if original is not None else None


def _remember_exits(case: Case, allocated: MovementAllocated) -> None:
    """Note of each serial that left by which ledger entry it did: should it come back, it is worth as much."""
    if case.purpose.flow is Flow.MOVE or not any(leg.serials for leg in allocated.legs):
        return
    for entry, leg in legs_with_entries(allocated):
        for number in leg.serials if leg.quantity < ZERO else ():
            key = (case.company.company, leg.item, number)
            serial = case.draft.serials.get(key) or Serial()
            case.draft.serials[key] = serial._replace(left_by=entry, left_from=leg.warehouse)


def _refuse_unsupported(case: Case) -> None:
    """What a movement may say but its purpose does not do: never silently left out."""
    movement = case.movement
    case.reasons += case.request.unread
    if movement.opening and case.purpose.flow is not Flow.COUNT:
        case.refuse("opening_not_allowed", None, purpose=case.purpose.name)
    refuse_needless(case, None, None)
    for place, line in enumerate(movement.lines, 1):
        refuse_needless(case, line, line.line or place)
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


def rejected(request: Request, company: Company | None, now: datetime, reasons: Sequence[Reason]) -> Rejected:
    """A movement refused for these reasons, told in the order of its lines."""
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
