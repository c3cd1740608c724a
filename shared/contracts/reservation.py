"""Goods kept back for an order until a moment, and given up before it."""

from typing import Annotated

import msgspec

from shared.contracts.codec import Code, Contract, Text, Time
from shared.contracts.movement import Reference
from shared.quantities import Quantity


class ReservedLine(Contract, frozen=True, kw_only=True):
    """What is to be kept back in one warehouse: so much of an item, so much of one batch, or these serials.

    `line` is its number, by default its place from 1. `quantity` is counted in `unit`; of named serials it may be left
    out. `unit` is one of the item's, by default its stock unit. `batch` left out, the goods may be of any batch.
    `serials` is a list, or a text with one per line, commas, and ranges (`A001-A050`); left out, any units will do.
    """

    line: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    item: Code
    warehouse: Code
    quantity: Quantity | None = None
    unit: Code | None = None
    batch: Text | None = None
    serials: list[Text] | str | None = None


class ReservationRequested(Contract, frozen=True, kw_only=True):
    """Goods are to be kept back for an order; the source and the id of the event name the reservation for ever.

    It is answered at once by what there is: all of it is kept back, or nothing. `company` is by default that of the
    warehouses. `document` is the number of the order. `expires_at` is the moment from which it holds nothing any more;
    no more than 366 days ahead. `lines` are what is kept back.
    """

    company: Code | None = None
    document: Text | None = None
    customer: Text | None = None
    actor: Text | None = None
    reason: Text | None = None
    expires_at: Time
    lines: list[ReservedLine]


class ReservationReleased(Contract, frozen=True, kw_only=True):
    """A reservation is given up: what it still holds is free for everybody.

    `reservation` is the one that is meant; its `id` is that of the event which requested it.
    """

    reservation: Reference
    actor: Text | None = None
    reason: Text | None = None
