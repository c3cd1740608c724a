"""What a movement left behind, found by going through all that was accepted from the first day on, in plain lists.

The store keeps stays and counts as it goes; here they are made anew from the movements, so that both can be compared.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.case import SerialEvent
from services.receiving.decide.histories import History, Passages, Said, Stay
from services.receiving.decide.originals import bins_of
from services.receiving.decide.stock import NEVER, BatchKey, BinKey, Returned, SerialKey, Stock
from services.receiving.decide.timeline import effects_of, place_of
from services.receiving.decide.undoing import Arrival, Event, Traces
from shared.contracts.movement import MovementAllocated
from shared.purposes import Tracking
from shared.quantities import ZERO
from tests.timeline_builders import Timeline, total


def standing_movements(log: Sequence[Accepted]) -> list[Accepted]:
    """What was accepted without the cancellations, and without what they cancelled."""
    undone = {(each.undone.source, each.undone.id) for each in log if each.undone is not None}
    return [each for each in log if each.undone is None and (each.request.source, each.request.id) not in undone]


def stays_of(log: Sequence[Accepted]) -> dict[SerialKey, list[Stay]]:
    """The stays of all units, as what still stands of a history tells them."""
    stays: dict[SerialKey, list[Stay]] = {}
    for each in standing_movements(log):
        for event in each.events:
            _note(stays.setdefault(event.key, []), event)
    return stays


def _note(stays: list[Stay], event: SerialEvent) -> None:
    name = (event.source, event.id)
    if event.left:
        stays[-1] = stays[-1]._replace(
            until_at=event.at, until_tie=event.tie, left_by=name, warranty_until=event.warranty_until
        )
    if event.came_to is not None:
        stays.append(Stay(event.came_to, event.at, event.tie, name))


def traces_of(
    original: MovementAllocated,
    log: Sequence[Accepted],
    timeline: Timeline,
    stock: Stock,
    said: Mapping[SerialKey, Sequence[Said]] | None = None,
) -> Traces:
    """What a movement left behind, and what came after it."""
    company, name = original.company, (original.source, original.id)
    stamps = {(company, each.item, each.warehouse): each.stamp for each in original.stamps}
    others = [each for each in standing_movements(log) if (each.request.source, each.request.id) != name]
    places = {place for leg in original.legs if (place := place_of(company, leg)) is not None}
    stays = stays_of(log)
    moved = {(company, leg.item, number) for leg in original.legs if leg.quantity for number in leg.serials}
    counts = _last_counts(original, others)
    return Traces(
        timeline.outlooks(effects_of(company, original.legs).keys(), original.effective_at, stamps),
        {
            place: total(
                each.quantity
                for each in timeline.changes
                if (each.place, each.effective_at, each.stamp) == (place, original.effective_at, stamps[place[:3]])
            )
            for place in places
        },
        counts,
        {key: History(stays[key], (said or {}).get(key, ())) for key in moved},
        Passages({(each.request.source, each.request.id): each.allocated for each in log}),
        _of_batches(original, stamps, timeline),
        {
            key: _first_arrival(key, original, others, timeline)
            for key in bins_of(original) - counts.keys()
            if stock.bins[key].rated_from == original.effective_at and _brings(original, key)
        },
    )


def _last_counts(original: MovementAllocated, others: Sequence[Accepted]) -> dict[BinKey, Event]:
    found: dict[BinKey, Event] = {}
    for each in others:
        for place, count in each.counts:
            event = Event(count.effective_at, count.stamp)
            if place[:3] in bins_of(original) and event > found.get(place[:3], Event(NEVER, 0)):
                found[place[:3]] = event
    return found


def _brings(original: MovementAllocated, key: BinKey) -> bool:
    return any((leg.item, leg.warehouse) == key[1:] and leg.quantity > ZERO for leg in original.legs)


def _first_arrival(
    key: BinKey, original: MovementAllocated, others: Sequence[Accepted], timeline: Timeline
) -> datetime | None:
    """When anything else came to a bin first."""
    stamp = next(each.stamp for each in original.stamps if (each.item, each.warehouse) == key[1:])
    own = (original.effective_at, stamp)
    quantities = (each for each in timeline.changes if each.place[:3] == key and each.quantity > ZERO)
    units = (event for each in others for event in each.events if event.came_to == key[2] and event.key[:2] == key[:2])
    times = [each.effective_at for each in quantities if (each.effective_at, each.stamp) != own]
    times += [each.at for each in units]
    return min((at for at in times if at >= original.effective_at), default=None)


def _of_batches(
    original: MovementAllocated, stamps: Mapping[BinKey, int], timeline: Timeline
) -> dict[BatchKey, list[Arrival]]:
    moved = (leg for leg in original.legs if leg.tracking is Tracking.BATCH and leg.quantity != ZERO)
    found: dict[BatchKey, list[Arrival]] = {(original.company, leg.item, leg.batch or ""): [] for leg in moved}
    for each in timeline.changes:
        company, item, warehouse, batch = each.place
        own = (each.effective_at, each.stamp) == (original.effective_at, stamps.get((company, item, warehouse)))
        if (company, item, batch) in found and not own:
            arrival = Arrival(each.effective_at, each.stamp, each.part, each.line, warehouse, each.quantity)
            found[company, item, batch].append(arrival)
    return found


def state(stock: Stock) -> Mapping[str, Any]:
    """What stands where, the records of units and batches, and what was returned; without what only grows."""
    bins = {key: (each.quantity, each.short, each.counted_at) for key, each in stock.bins.items()}
    return {
        "bins": {key: each for key, each in bins.items() if each != (ZERO, False, NEVER)},
        "batches": {key: each.quantity for key, each in stock.batch_stock.items() if each.quantity},
        "totals": {key: each for key, each in stock.batch_totals.items() if each},
        "serials": {key: each for key, each in stock.serials.items() if each.last_at is not None},
        "returned": {entry: each for entry, each in stock.returned.items() if each != Returned()},
        "naming": {key: by for key, by in stock.naming.items() if by},
    }
