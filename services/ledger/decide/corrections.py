"""Telling of corrections: entries without quantity, told with the movements that they correct.

A correction counts when what it corrects does; where that is in closed days, on the first open one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from services.ledger.decide.effects import entry_id
from services.ledger.decide.entries import Applied, parts, posted_of
from services.ledger.decide.revaluing import Correction
from services.ledger.decide.state import BinKey, State
from shared.contracts.codec import changed
from shared.contracts.movement import MovementAllocated
from shared.contracts.stock import MovementPosted, PostedEntry, StockRevalued
from shared.identity import derived_id
from shared.quantities import ZERO, Money, Quantity

SOURCE = "ledger"
"""The source of what the ledger tells of its own accord."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What made it necessary to value something anew: when it was recorded last, and how closed days are dated.

    `moved`: goods came or went in the bin itself, which stands as if they had done so now.
    """

    recorded_at: datetime
    moved: bool = False
    open_from: date | None = None
    dated_at: datetime | None = None


class Dated(NamedTuple):
    """When something counts; `dated_at` where that is not when it takes effect."""

    posting_date: date
    dated_at: datetime | None


class CorrectingEntry(NamedTuple):
    """An entry that corrects another: what is told of it, its number in its bin, and when it counts."""

    correction: Correction
    posted: PostedEntry
    revaluation: int
    dated: Dated


def entries_of(corrections: Sequence[Correction], cause: Cause, books: State) -> list[CorrectingEntry]:
    """The entries of corrections; `books` has their bins, which take account of them."""
    entries = []
    for each in corrections:
        stock = books.bins[each.key]
        stock.pending += each.value
        if each.leg.batch is not None and (batch := books.batches.get((*each.key, each.leg.batch))) is not None:
            batch.pending += each.value
        number = books.next_revaluation(each.key)
        posted = PostedEntry(
            entry=derived_id(cause.recorded_at, SOURCE, *each.key, str(number)),
            line=each.leg.line,
            item=each.leg.item,
            warehouse=each.leg.warehouse,
            batch=each.leg.batch,
            serials=list(each.costs),
            quantity=Quantity(ZERO),
            value=Money(each.value),
            stamp=each.stamp,
            quantity_after=Quantity(stock.quantity),
            value_after=Money(stock.value + stock.pending),
            booked=parts(each.booked),
            part_of=entry_id(each.movement, each.number),
            corrects=each.leg.quantity,
            stock_account=each.leg.stock_account,
        )
        entries.append(CorrectingEntry(each, posted, number, _dated(each.movement, cause)))
    return entries


def _dated(movement: MovementAllocated, cause: Cause) -> Dated:
    if cause.open_from is not None and movement.posting_date < cause.open_from:
        return Dated(cause.open_from, cause.dated_at)
    return Dated(movement.posting_date, movement.dated_at)


def told_of(key: BinKey, entries: Sequence[CorrectingEntry], cause: Cause, books: State) -> list[StockRevalued]:
    """What is told of a piece of work in a bin: nothing, where nothing came to another value."""
    of_movements: dict[tuple[str, str], list[CorrectingEntry]] = {}
    for each in entries:
        if not each.posted.value and not each.posted.booked:
            continue  # it only says what serials cost, or what cheap goods bring along
        of_movements.setdefault((each.correction.movement.source, each.correction.movement.id), []).append(each)
    corrected = [_corrected(group) for group in of_movements.values()]
    return [_told(key, corrected, cause.recorded_at, books)] if corrected else []


def _corrected(group: list[CorrectingEntry]) -> MovementPosted:
    """A movement with what corrects it: in the order of its legs, so that what leaves stands before what arrives."""
    group.sort(key=lambda each: each.correction.number)
    places = {each.correction.number: place for place, each in enumerate(group) if not each.correction.true_up}
    movement, dated = group[0].correction.movement, group[0].dated
    posted = [changed(each.posted, arrives_from=_arrives_from(each, places)) for each in group]
    return changed(
        posted_of(movement, posted),
        effective_at=dated.dated_at or movement.effective_at,
        posting_date=dated.posting_date,
        money=None,
    )


def _arrives_from(entry: CorrectingEntry, places: dict[int, int]) -> int | None:
    origin = entry.correction.leg.arrives_from
    return places.get(origin) if origin is not None and not entry.correction.true_up else None


def found_later(applied: Iterable[Applied], books: State) -> list[StockRevalued]:
    """What counts find later on, because of what was inserted or cancelled before them, dated as they are."""
    told = []
    for each in applied:
        for entry in each.entries:
            count = entry.corrects_count
            if count is None:
                continue
            key = (each.movement.company, entry.posted.item, entry.posted.warehouse)
            corrected = changed(
                posted_of(each.movement, [entry.posted]),
                purpose="reconciliation",
                mirrors=None,
                effective_at=count.effective_at,
                posting_date=count.posting_date,
                money=None,
            )
            told.append(_told(key, [corrected], each.movement.recorded_at, books))
    return told


def _told(key: BinKey, movements: list[MovementPosted], recorded_at: datetime, books: State) -> StockRevalued:
    number = books.next_piece(key)
    return StockRevalued(
        source=SOURCE,
        id=derived_id(recorded_at, SOURCE, "piece", *key, str(number)),
        company=key[0],
        item=key[1],
        warehouse=key[2],
        number=number,
        recorded_at=recorded_at,
        movements=movements,
    )
