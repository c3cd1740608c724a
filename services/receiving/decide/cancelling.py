"""Cancellations: a word on another movement, which undoes it as a whole, at its own moment.

This is about whether it may be: who names it, whether its day is open, what the cancellation says. What its undoing
does to stock, and what of that speaks against it, is told by `undoing`. A cancellation whose original never comes
within its source's patience stays as a tombstone: the original, should it arrive later, is refused.
"""

from collections.abc import Iterator
from datetime import datetime

from services.receiving.decide.allocation import KIND, Accepted, Rejected, rejected
from services.receiving.decide.case import Request
from services.receiving.decide.originals import legs_with_entries, original_of
from services.receiving.decide.stock import Company, MovementKey, Stock
from services.receiving.decide.undoing import Traces, Undoing, mirrored_money, undo
from shared import purposes
from shared.contracts.movement import MovementAllocated, MovementName, MovementRequested
from shared.contracts.outcome import Allocated, OutcomeAccepted
from shared.errors import InvariantBroken, Reason
from shared.quantities import Quantity

CANCELLATION = purposes.CANCELLATION.name


def cancel(request: Request, traces: Traces, stock: Stock, now: datetime) -> Accepted | Rejected:
    """Judge a cancellation; `traces` are those of what it undoes, and `stock` takes over what that changes."""
    movement = request.movement
    if movement is None:
        raise InvariantBroken("a cancellation that cannot be read was judged", source=request.source, id=request.id)
    reasons = refusals(request.source, movement, stock, now)
    original = original_to_undo(request.source, movement, stock)
    if original is None:
        return rejected(request, None, now, reasons)
    company = stock.companies[original.company]
    undoing = undo(request, original, traces, stock, now)
    if reasons or undoing.reasons:
        return rejected(request, company, now, [*reasons, *undoing.reasons])
    outcome = _told(undoing)
    allocated = _allocated(undoing, movement, company, outcome)
    if not movement.dry_run:
        _take_over(undoing, allocated)
    return Accepted(request, allocated, outcome, undoing.events, undone=original)


def original_to_undo(source: str, movement: MovementRequested, stock: Stock) -> MovementAllocated | None:
    """The accepted movement that a cancellation undoes; None where there is nothing that it could undo."""
    key = original_of(source, movement)
    return None if key is None or any(_why_never(key, movement, stock)) else stock.originals[key]


def refusals(source: str, movement: MovementRequested, stock: Stock, now: datetime) -> list[Reason]:
    """Every reason against a cancellation beside what stands where; `unknown_original` may only be early."""
    key = original_of(source, movement)
    if key is None:
        return [Reason("against_missing", None, {"purpose": CANCELLATION})]
    never = list(_why_never(key, movement, stock))
    original = stock.originals.get(key)
    if never or original is None:
        return never
    company = stock.companies[original.company]
    return [
        *_in_time(movement, original, company, now),
        *_named_by(key, stock),
        *_says_more(movement, original),
    ]


def _why_never(key: MovementKey, movement: MovementRequested, stock: Stock) -> Iterator[Reason]:
    """Why nothing can be undone: it is not known, was refused, or cancelled before; or it is no such movement."""
    facts = {"source": key[0], "id": key[1]}
    original, cancelled = stock.originals.get(key), stock.cancelled.get(key)
    if original is None:
        yield Reason("original_rejected" if key in stock.originals else "unknown_original", None, facts)
        return
    if movement.company not in (None, original.company):
        yield Reason("original_elsewhere", None, {**facts, "company": original.company})
    if original.mirrors is not None:
        yield Reason("cancel_of_cancellation", None, facts)
    if cancelled is not None:
        yield Reason("already_cancelled", None, {**facts, "by_source": cancelled[0], "by": cancelled[1]})


def _in_time(
    movement: MovementRequested, original: MovementAllocated, company: Company, now: datetime
) -> Iterator[Reason]:
    """It counts on the day of what it undoes, which is open; and nobody cancels from the future."""
    if movement.posting_at > now + company.lateness:
        facts = {"posting_at": movement.posting_at.isoformat(), "now": now.isoformat()}
        yield Reason("posting_in_future", None, facts)
    if company.open_from is not None and original.posting_date < company.open_from:
        facts = {"day": original.posting_date.isoformat(), "open_from": company.open_from.isoformat()}
        yield Reason("period_closed", None, facts)


def _named_by(key: MovementKey, stock: Stock) -> Iterator[Reason]:
    """What returned of it, or revalued it, would be left without what it is about."""
    for source, identifier in sorted(stock.naming.get(key, ())):
        yield Reason("named_by", None, {"source": source, "id": identifier})


def _says_more(movement: MovementRequested, original: MovementAllocated) -> Iterator[Reason]:
    """A cancellation is of the whole, and says nothing of goods, money or people that its original did not say."""
    bare = MovementRequested(
        id=movement.id,
        number=movement.number,
        company=movement.company,
        purpose=movement.purpose,
        posting_at=movement.posting_at,
        actor=movement.actor,
        reason=movement.reason,
        against=movement.against,
        dry_run=movement.dry_run,
    )
    said = [name for name in movement.__struct_fields__ if getattr(movement, name) != getattr(bare, name)]
    more = [name for name in said if getattr(original, name, None) != getattr(movement, name)]
    if more:
        yield Reason("cancellation_says_more", None, {"fields": ", ".join(more)})


# --- what is told -----------------------------------------------------------------------------------------------------


def _allocated(
    undoing: Undoing, movement: MovementRequested, company: Company, outcome: OutcomeAccepted
) -> MovementAllocated:
    """The original the other way round, at its own moment and of its own day; who cancels it says why."""
    original, request = undoing.original, undoing.request
    return MovementAllocated(
        source=request.source,
        id=request.id,
        company=original.company,
        currency=original.currency,
        digits=original.digits,
        perpetual=original.perpetual,
        purpose=CANCELLATION,
        posting_at=movement.posting_at,
        effective_at=original.effective_at,
        recorded_at=undoing.recorded_at,
        posting_date=original.posting_date,
        open_from=company.open_from,
        dated_at=original.dated_at,
        document=original.document,
        actor=movement.actor,
        reason=movement.reason,
        customer=original.customer,
        supplier=original.supplier,
        recipient=original.recipient,
        against=MovementName(source=original.source, id=original.id),
        mirrors=original.purpose,
        stamps=undoing.stamps,
        legs=undoing.legs,
        accounts=original.accounts,
        money=mirrored_money(original.money),
        trial=outcome if movement.dry_run else None,
        trace=request.trace,
    )


def _told(undoing: Undoing) -> OutcomeAccepted:
    """What the source is told: what comes back, and what leaves again; of a count its difference."""
    request, original = undoing.request, undoing.original
    own = [leg for leg in undoing.legs if leg.corrects is None and leg.arrives_from is None]
    counted = {entry for entry, leg in legs_with_entries(original) if leg.counted is not None}
    return OutcomeAccepted(
        source=request.source,
        id=request.id,
        kind=KIND,
        company=original.company,
        recorded_at=undoing.recorded_at,
        effective_at=original.effective_at,
        allocated=[
            Allocated(
                line=leg.line,
                item=leg.item,
                warehouse=leg.warehouse,
                quantity=leg.quantity if leg.original in counted else Quantity(abs(leg.quantity)),
                batch=leg.batch,
                serials=leg.serials,
            )
            for leg in own
        ],
        remarks=undoing.remarks,
        attempt=request.attempt,
    )


def _take_over(undoing: Undoing, allocated: MovementAllocated) -> None:
    """Have those after it find it; what it cancels names nothing any more."""
    stock, original = undoing.draft.stock, undoing.original
    key, name = (allocated.source, allocated.id), (original.source, original.id)
    stock.absorb(undoing.draft)
    stock.originals[key] = allocated
    stock.cancelled[name] = key
    if original.against is not None:
        stock.naming.get((original.against.source, original.against.id), set()).discard(name)
