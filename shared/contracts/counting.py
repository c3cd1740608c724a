"""Cycle counts: what is expected in a place is set down, counted blind, compared, and taken over or given up."""

from typing import Annotated

import msgspec

from shared.contracts.codec import Code, Contract, Text, Time
from shared.contracts.movement import Reference
from shared.quantities import Quantity

ITEMS_LIMIT = 10_000


class CountOpened(Contract, frozen=True, kw_only=True):
    """A warehouse is to be counted; the source and the id of the event name the count for ever.

    What is expected there is set down at this moment, and told nobody who counts. `company` is by default that of the
    warehouse. `items` are what is to be counted; left out, all that stands there. `document` is the number of the
    count's own paper.
    """

    company: Code | None = None
    warehouse: Code
    items: Annotated[list[Code], msgspec.Meta(max_length=ITEMS_LIMIT)] = []
    document: Text | None = None
    actor: Text | None = None
    reason: Text | None = None


class CountedLine(Contract, frozen=True, kw_only=True):
    """What was found of an item, of one of its batches, or as serials.

    `line` is its number, by default its place from 1. `quantity` is counted in `unit`; of serials it may be left out.
    `unit` is one of the item's, by default its stock unit. `batch` is needed of an item with batches. `serials` is a
    list, or a text with one per line, commas, and ranges (`A001-A050`); an empty list says that none was found.
    """

    line: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    item: Code
    quantity: Quantity | None = None
    unit: Code | None = None
    batch: Text | None = None
    serials: list[Text] | str | None = None


class CountReported(Contract, frozen=True, kw_only=True):
    """What somebody has counted so far; several reports add up, and nothing is said of what was expected.

    `count` is the one that was opened. `counted_at` is when these goods were counted, by default when this is accepted.
    `recount` takes the place of what was reported before of the same items and batches. `lines` are what was found.
    """

    count: Reference
    counted_at: Time | None = None
    recount: bool = False
    actor: Text | None = None
    lines: list[CountedLine]


class CountAccepted(Contract, frozen=True, kw_only=True):
    """What was counted is taken over: a `reconciliation` of all that was reported, at this moment.

    `count` is the one that was opened. What was not reported stays as it is.
    """

    count: Reference
    actor: Text | None = None
    reason: Text | None = None


class CountCancelled(Contract, frozen=True, kw_only=True):
    """A count is given up: nothing comes of it. `count` is the one that was opened."""

    count: Reference
    actor: Text | None = None
    reason: Text | None = None
