"""From a plan to what the ledger posts: legs in their order, and a stamp in each bin."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from services.receiving.decide.case import Case, Plan, Portion
from services.receiving.decide.stock import Bin, BinKey
from shared.contracts.movement import BinStamp, Leg
from shared.purposes import Tracking
from shared.quantities import ZERO, Money, Quantity, Rate


def legs_of(plan: Plan) -> list[Leg]:
    """All that leaves before all that arrives; what moves arrives in the order in which it left."""
    legs = [_leg(portion, -portion.quantity) for portion in plan.left]
    legs.extend(_leg(portion, portion.quantity, arrives_from=place) for place, portion in enumerate(plan.moved))
    legs.extend(_leg(portion, portion.quantity) for portion in (*plan.came, *plan.valued))
    return legs


def _leg(portion: Portion, quantity: Decimal, *, arrives_from: int | None = None) -> Leg:
    item, amount = portion.line.item, portion.amount
    return Leg(
        line=portion.line.number,
        item=item.item,
        warehouse=portion.warehouse.warehouse,
        quantity=Quantity(quantity),
        batch=portion.batch,
        serials=list(portion.serials),
        amount=Money(amount) if amount is not None else None,
        standard_rate=Rate(item.standard_rate) if amount is None and item.standard_rate is not None else None,
        arrives_from=arrives_from,
        share=Quantity(portion.share) if portion.share is not None else None,
        original=portion.original,
        counted=Quantity(portion.counted) if portion.counted is not None else None,
        rate=Rate(portion.rate) if portion.rate is not None else None,
        warranty_days=item.warranty_days if item.tracking is Tracking.SERIAL and quantity < ZERO else None,
        tracking=item.tracking,
        method=item.valuation_method,
        stock_account=portion.warehouse.account,
    )


def bins_touched(case: Case, legs: Sequence[Leg]) -> set[BinKey]:
    """The bins in which a movement takes a stamp: those of its legs, and those of what it names or counted."""
    return {_key(case, leg) for leg in legs} | case.also


def stamp_bins(case: Case, legs: Sequence[Leg], recorded_at: datetime) -> list[BinStamp]:
    """Number the movement in each of its bins, and note there when its last event was and that a rate is known.

    A rate is known from what stands in a bin: what comes and is used up at once by a shortage leaves none.
    """
    stamps = []
    moved = {_key(case, leg) for leg in legs}
    rated = _rated(case, legs)
    for key in sorted(bins_touched(case, legs)):
        stamp = case.stamp(key)
        before = case.bin(key)
        case.draft.bins[key] = before._replace(
            last_stamp=stamp,
            last_at=max(before.last_at, case.effective_at) if key in moved else before.last_at,
            last_recorded_at=recorded_at,
            rated_from=_rated_from(case, key, before) if key in rated else before.rated_from,
        )
        stamps.append(BinStamp(item=key[1], warehouse=key[2], stamp=stamp))
    return stamps


def _rated_from(case: Case, key: BinKey, there: Bin) -> datetime | None:
    """Since when a rate is known in a bin to which something of worth came; it stands there from this moment on."""
    outlook = case.past.get((*key, ""))
    kept_back = outlook.standing - (case.draft.stock.bins.get(key) or Bin()).quantity if outlook is not None else ZERO
    if there.quantity + kept_back <= ZERO:
        return there.rated_from
    return min(there.rated_from or case.effective_at, case.effective_at)


def _rated(case: Case, legs: Sequence[Leg]) -> set[BinKey]:
    """The bins to which something of worth comes: of an amount, or goods from where a rate is known."""
    consumed = any(_was_rated(case, _key(case, leg)) for leg in legs if leg.quantity < ZERO)
    returned = {key[1] for key in case.also if _was_rated(case, key)}
    rated = set()
    for leg in legs:
        if leg.amount is not None:
            gives = leg.amount > ZERO
        elif leg.arrives_from is not None:
            gives = _was_rated(case, _key(case, legs[leg.arrives_from]))
        elif leg.original is not None:
            gives = leg.quantity > ZERO and leg.item in returned
        else:
            gives = leg.quantity > ZERO and leg.share is not None and consumed
        if gives:
            rated.add(_key(case, leg))
    return rated


def _was_rated(case: Case, key: BinKey) -> bool:
    return case.is_rated(case.draft.stock.bins.get(key) or Bin())


def _key(case: Case, leg: Leg) -> BinKey:
    return (case.company.company, leg.item, leg.warehouse)
