"""What stood in a place over time, and what a movement changes of it that takes effect before others.

A place is an untracked item in a bin, or a batch there. What is inserted before a count ends at it: the count found
what it found, so its difference is so much less, and nothing behind it moves. Serials need none of this: what happened
to each is its own history.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from shared.contracts.movement import CorrectedCount, Leg, MovementAllocated
from shared.purposes import Tracking
from shared.quantities import ZERO, Quantity

Place = tuple[str, str, str, str]
"""Company, item, warehouse, batch; the batch of an untracked item is ''."""


class Counted(NamedTuple):
    """A count of a place that holds: `entry` is the ledger entry of its difference, none for serials.

    `stamp` is its number in the bin; `account` is the one on the other side of stock.
    """

    effective_at: datetime
    stamp: int
    source: str
    id: str
    line: int
    entry: str | None
    account: str
    posting_date: date


@dataclass(frozen=True, slots=True)
class Outlook:
    """What stood in a place right behind a moment, and how little of it there was until the next count.

    `least` is the lowest of all quantities from then on, those within a movement included, first reached at `least_at`;
    what the `count` found, and all behind it, is left out.
    """

    standing: Decimal
    least: Decimal
    least_at: datetime
    count: Counted | None = None


class Change(NamedTuple):
    """What a movement changes of the quantity in a place, at its moment there.

    `part` 0 is what leaves, 1 what comes after that; beyond that it is what a count found later on, because something
    was inserted before it: one more than the stamp of that. `line` is the first that says so.
    """

    place: Place
    effective_at: datetime
    stamp: int
    part: int
    quantity: Decimal
    line: int


def place_of(company: str, leg: Leg) -> Place | None:
    """The place whose quantity a leg changes; none for serials."""
    return None if leg.tracking is Tracking.SERIAL else (company, leg.item, leg.warehouse, leg.batch or "")


def effects_of(company: str, legs: Iterable[Leg]) -> dict[Place, Decimal]:
    """How much more stands in each place behind these legs."""
    effects: dict[Place, Decimal] = {}
    for leg in legs:
        place = place_of(company, leg)
        if place is not None:
            effects[place] = effects.get(place, ZERO) + leg.quantity
    return effects


def first_legs(company: str, legs: Iterable[Leg]) -> dict[Place, Leg]:
    """The first of these legs in each place."""
    first: dict[Place, Leg] = {}
    for leg in legs:
        place = place_of(company, leg)
        if place is not None:
            first.setdefault(place, leg)
    return first


def correcting_legs(
    effects: Mapping[Place, Decimal], outlooks: Mapping[Place, Outlook], like: Mapping[Place, Leg]
) -> list[Leg]:
    """What the next count of each place found less (or more) than was thought, since a movement changed it before.

    `effects` are the movement's own, `like` is any of its legs in each place.
    """
    found = ((place, quantity, outlooks[place].count) for place, quantity in effects.items() if place in outlooks)
    return [_correcting(like[place], quantity, count) for place, quantity, count in found if quantity and count]


def _correcting(like: Leg, quantity: Decimal, count: Counted) -> Leg:
    return Leg(
        line=like.line,
        item=like.item,
        warehouse=like.warehouse,
        quantity=Quantity(-quantity),
        batch=like.batch,
        original=count.entry,
        corrects=CorrectedCount(
            account=count.account,
            effective_at=count.effective_at,
            posting_date=count.posting_date,
            stamp=count.stamp,
        ),
        tracking=like.tracking,
        method=like.method,
        stock_account=like.stock_account,
    )


def changes_of(allocated: MovementAllocated) -> Iterator[Change]:
    """What an accepted movement changes of quantities over time.

    A cancellation changes only what later counts found: what it undoes is forgotten, and it stands nowhere itself.
    """
    stamps = {(each.item, each.warehouse): each.stamp for each in allocated.stamps}
    own: dict[tuple[Place, int], tuple[Decimal, int]] = {}
    for leg in allocated.legs:
        place = place_of(allocated.company, leg)
        if place is None or not leg.quantity:
            continue
        if leg.corrects is not None:
            part = stamps[leg.item, leg.warehouse] + 1
            yield Change(place, leg.corrects.effective_at, leg.corrects.stamp, part, leg.quantity, leg.line)
        elif allocated.mirrors is None:
            key = (place, int(leg.quantity > ZERO))
            quantity, line = own.get(key, (ZERO, leg.line))
            own[key] = (quantity + leg.quantity, line)
    for (place, part), (quantity, line) in own.items():
        yield Change(place, allocated.effective_at, stamps[place[1], place[2]], part, quantity, line)
