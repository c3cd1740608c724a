"""What is judged by itself, because something else came behind it in time: on the stock as of its moment.

What may leave then is what was there and was not needed since: the least that there was from then on, up to the next
count. What changes then stays changed up to that count, which finds so much less or more; nothing behind it moves. So
the quantities of today change by what the movement and the counts after it come to, and by no more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.receiving.decide.case import Case, Request
from services.receiving.decide.lines import numbered
from services.receiving.decide.opening import bins_asked
from services.receiving.decide.stock import NEVER, BatchStock, Bin, BinKey, Changes, Draft, Stock
from services.receiving.decide.timeline import Outlook, Place, effects_of
from shared.contracts.movement import Leg, RequestedLine
from shared.purposes import Flow, Tracking
from shared.quantities import ZERO


@dataclass(frozen=True, slots=True)
class Aside:
    """A movement that is judged by itself, once what came before it is written.

    It is judged by what was in these `places` at a moment and from then on; of a cancellation they are found later.
    """

    request: Request
    at: datetime = NEVER
    places: frozenset[Place] = frozenset()


def set_aside(case: Case) -> Aside:
    """A back-dated movement, with every place whose quantity it may change."""
    return Aside(case.request, case.effective_at, frozenset(_places(case)))


def see_past(case: Case, past: Mapping[Place, Outlook]) -> None:
    """Have a back-dated movement judged on the stock as of its moment; what only its moment speaks against is noted."""
    case.past, case.today = past, case.draft.stock.bins
    case.draft = Draft(_as_of(case.draft.stock, past, case.purpose.flow))
    _refuse_later(case)


def absorb_past(stock: Stock, case: Case, legs: Sequence[Leg]) -> None:
    """Take over, in the stock of today, what a back-dated movement changed: quantities by what its legs come to."""
    company, draft = case.company.company, case.draft
    of_bins: dict[BinKey, Decimal] = {}
    for leg in legs:
        key = (company, leg.item, leg.warehouse)
        of_bins[key] = of_bins.get(key, ZERO) + leg.quantity
    for key, then in draft.bins.own.items():
        today = stock.bins.get(key) or Bin()
        quantity = today.quantity + of_bins.get(key, ZERO)
        short = (today.short or then.short) and quantity < ZERO
        reserved = today.reserved - case.freed.get(key, ZERO)
        draft.bins[key] = then._replace(quantity=quantity, short=short, reserved=reserved)
    effects = effects_of(company, legs)
    draft.batch_totals.own.clear()
    for place in draft.batch_stock.own:
        batch = (company, place[1], place[3])
        today_there = stock.batch_stock.get(place) or BatchStock()
        reserved = today_there.reserved - case.freed.get(place, ZERO)
        draft.batch_stock[place] = BatchStock(today_there.quantity + effects[place], reserved)
        draft.batch_totals[batch] = (draft.batch_totals.get(batch) or ZERO) + effects[place]
    stock.absorb(draft)


# --- the stock as of a moment -----------------------------------------------------------------------------------------


def _as_of(stock: Stock, past: Mapping[Place, Outlook], flow: Flow) -> Stock:
    """The stock with what was there at a moment; where something may leave, without what was needed since."""
    bins, batch_stock = dict(stock.bins), dict(stock.batch_stock)
    for place, outlook in past.items():
        quantity = outlook.standing if flow in _MOVING_NOTHING else outlook.least
        if place[3]:
            there = batch_stock.get(place) or BatchStock()
            batch_stock[place] = BatchStock(quantity, _reserved_then(quantity, there, outlook))
        else:
            today = bins.get(place[:3]) or Bin()
            bins[place[:3]] = today._replace(quantity=quantity, reserved=_reserved_then(quantity, today, outlook))
    return replace(stock, bins=bins, batch_stock=batch_stock, changed=Changes())


def _reserved_then(quantity: Decimal, today: Bin | BatchStock, outlook: Outlook) -> Decimal:
    """So much that no more is free then than today, unless a count came since: what is reserved must be left."""
    return ZERO if outlook.count is not None else max(quantity - (today.quantity - today.reserved), ZERO)


def _places(case: Case) -> Iterator[Place]:
    """The places whose quantity the lines of a movement may change."""
    for _, line, key in _bins(case):
        item = case.draft.stock.items.get(key[:2])
        if item is not None and item.tracking is Tracking.NONE:
            yield (*key, "")
        elif item is not None and item.tracking is Tracking.BATCH:
            yield from ((*key, batch) for batch in _batches(case, line))


def _batches(case: Case, line: RequestedLine) -> set[str]:
    """The batches that a line may be about: the one that it names, those of its original, or any that it may pick."""
    named = (line.batch or "").strip()
    if named:
        return {named}
    if case.original is not None and line.source is None:
        return {leg.batch for leg in case.original.legs if leg.item == line.item and leg.batch is not None}
    picked_in = (case.company.company, line.item or "", line.source or "")
    return case.draft.stock.batches_in.get(picked_in, set())


def _bins(case: Case) -> Iterator[tuple[int, RequestedLine, BinKey]]:
    for number, line in numbered(case.movement.lines):
        for key in bins_asked(line, case.original, case.company):
            yield number, line, key


# --- what only the moment speaks against ------------------------------------------------------------------------------


def _refuse_later(case: Case) -> None:
    """Serials: a count says what the whole set was, so nothing passes it, nor does one come before what moved since."""
    for number, line, key in _bins(case):
        item, there = case.draft.stock.items.get(key[:2]), case.bin(key)
        if item is None or item.tracking is not Tracking.SERIAL:
            continue
        facts = {"item": key[1], "warehouse": key[2]}
        if _is_about_all(case, line):
            if there.last_at > case.effective_at:
                case.refuse("moved_since", number, **facts, moved_at=there.last_at)
        elif case.purpose.flow is not Flow.WRITE_DOWN and there.counted_at > case.effective_at:
            case.refuse("counted_since", number, **facts, counted_at=there.counted_at)


def _is_about_all(case: Case, line: RequestedLine) -> bool:
    """Whether a line is about all serials that stand in a bin."""
    flow = case.purpose.flow
    return flow is Flow.COUNT or (flow is Flow.WRITE_DOWN and not line.serials)


_MOVING_NOTHING = frozenset({Flow.COUNT, Flow.WRITE_DOWN})
"""The flows that speak of what stands there; nothing leaves by them that is needed elsewhere."""
