"""Recalls: goods and all that was made of them are kept from leaving, their holders reached, and all accounted for."""

from typing import Annotated

import msgspec

from shared.contracts.codec import Code, Contract, Text, Time
from shared.contracts.masters import Words
from shared.contracts.movement import Reference

GOODS_LIMIT = 1_000

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""The digest of a file, in hexadecimal digits."""


class RecalledGoods(Contract, frozen=True, kw_only=True):
    """What is recalled: a batch, which of an item with serials is all of its units; or these serials; or both.

    `serials` is a list, or a text with one per line, commas, and ranges (`A001-A050`).
    """

    item: Code
    batch: Text | None = None
    serials: list[Text] | str | None = None


class RecallOpened(Contract, frozen=True, kw_only=True):
    """Goods are recalled, with all that was made of them; the source and the id of the event name the recall for ever.

    From the moment at which it is accepted none of them leaves any more, wherever they stand, except by scrap, purchase
    return or transfer into quarantine; counts and cancellations go on saying what is so. It never waits for what is not
    known. `mock`: an exercise, which finds all of it and stops nothing. `goods` are what
    it begins with. `document` is the number of the recall's own papers. `actor` opens it for this `reason`.
    """

    company: Code
    goods: Annotated[list[RecalledGoods], msgspec.Meta(min_length=1, max_length=GOODS_LIMIT)]
    mock: bool = False
    document: Text | None = None
    actor: Words
    reason: Words


class RecallReached(Contract, frozen=True, kw_only=True):
    """Somebody who holds recalled goods was told, and what they answered; goods that come back are movements.

    `recall` is the one that was opened. `customer` is who was told, as the movements name them. `reached_at` is when,
    by default when this is accepted. `answer` is what they said: how many are left with them, what they did with them.
    """

    recall: Reference
    customer: Words
    reached_at: Time | None = None
    answer: Text = ""
    actor: Text | None = None


class RecallClosed(Contract, frozen=True, kw_only=True):
    """A recall is over. What stands in stock of its goods goes on being kept from leaving, unless it is released.

    `recall` is the one that was opened. `evidence` is the SHA-256 of the file that tells all of it. `release`: it was a
    false alarm, and what no other recall is about is free again, or held if it was so before; that may be said later of
    a recall that was closed without.
    """

    recall: Reference
    evidence: Sha256
    release: bool = False
    actor: Words
    reason: Words
