"""Whose goods stand in a bin: layers of one entry each, or a pool in which every arrival keeps its share.

The one idea: worths follow what was recorded of each entry, and never a valuation of their own. A pool is scaled
lazily: an issue out of ten thousand arrivals changes two factors, and nothing is worked out for each of them before
somebody asks.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from services.ledger.decide.explaining.parts import Kind, Part
from shared.purposes import Method, Tracking
from shared.quantities import ZERO, rate_of, share_of, worth_of

ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class SentBack:
    """What is sent back: the entry of its receipt, and what a unit of that is worth now."""

    receipt: str
    rate: Decimal


class Holding(Protocol):
    """What stands in a bin, or of one batch there; nothing of it was issued beyond stock."""

    quantity: Decimal
    worth: Decimal

    def arrive(self, entry: str, kind: Kind, quantity: Decimal, worth: Decimal) -> None:
        """Put in what an entry brought."""

    def leave(self, quantity: Decimal, worth: Decimal | None, back: SentBack | None, tell: bool) -> list[Part]:
        """Take out no more than is there, which was recorded with this worth; its parts, where they are wanted.

        None: what was recorded is still to be valued anew.
        """

    def correct(self, entry: str, original: str, worth: Decimal) -> None:
        """Add worth to what the original brought: it is still there, nothing was taken since."""

    def lower(self, entry: str, rate: Decimal, worth: Decimal) -> None:
        """Write down to `rate` a unit: by `worth`, which is below zero, in all."""

    def parts(self) -> list[Part]:
        """All that stands there."""

    def clear(self) -> None:
        """Let nothing stand there."""


# --- layers ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Layer:
    """What is left of what one entry brought. `worth` is with all that came to it later, which stands in `added`."""

    entry: str
    kind: Kind
    quantity: Decimal
    worth: Decimal
    rate: Decimal
    added: dict[str, tuple[Kind, Decimal]] = field(default_factory=dict)

    def add(self, kind: Kind, entry: str, worth: Decimal) -> None:
        self.added[entry] = (kind, worth)
        self.worth += worth

    def take(self, quantity: Decimal) -> Part:
        """Take out a part of it, or all."""
        kept = (self.quantity - quantity) / self.quantity
        worth = share_of(self.worth, quantity, self.quantity)
        left = {entry: (kind, part * kept) for entry, (kind, part) in self.added.items()}
        added = tuple(Part(kind, entry, ZERO, part - left[entry][1]) for entry, (kind, part) in self.added.items())
        self.quantity -= quantity
        self.worth -= worth
        self.added = left
        return Part(self.kind, self.entry, quantity, worth - sum((each.worth for each in added), ZERO), added=added)


class Layers:
    """FIFO and LIFO. What came in at the newest layer's rate is a layer of its own here, behind that one."""

    def __init__(self, newest_first: bool) -> None:
        self.quantity = ZERO
        self.worth = ZERO
        self._newest_first = newest_first
        self._layers: deque[_Layer] = deque()

    def arrive(self, entry: str, kind: Kind, quantity: Decimal, worth: Decimal) -> None:
        """A new newest layer."""
        self._layers.append(_Layer(entry, kind, quantity, worth, rate_of(worth, quantity)))
        self.quantity += quantity
        self.worth += worth

    def leave(self, quantity: Decimal, _worth: Decimal | None, back: SentBack | None, _tell: bool) -> list[Part]:
        """The oldest layers, or the newest; what FIFO sends back first from the layers at its receipt's rate."""
        at_rate = list(self._take_at_rate(quantity, back.rate)) if back and not self._newest_first else []
        lacking = quantity - sum((each.quantity for each in at_rate), ZERO)
        return [*at_rate, *self._take_in_order(lacking)]

    def correct(self, entry: str, original: str, worth: Decimal) -> None:
        """The original's layer, which has a rate as if it had come with that worth."""
        layer = next((each for each in self._layers if each.entry == original), None)
        if layer is not None:
            layer.add(Kind.CORRECTED, entry, worth)
            layer.rate = rate_of(layer.worth, layer.quantity)
            self.worth += worth

    def lower(self, entry: str, rate: Decimal, _worth: Decimal) -> None:
        """Each layer that is worth more."""
        for layer in self._layers:
            lowered = worth_of(layer.quantity, rate) - layer.worth
            if lowered < 0:
                layer.add(Kind.WRITTEN_DOWN, entry, lowered)
                layer.rate = rate
                self.worth += lowered

    def parts(self) -> list[Part]:
        """Every layer, the oldest first."""
        copies = [
            _Layer(each.entry, each.kind, each.quantity, each.worth, each.rate, each.added) for each in self._layers
        ]
        return [each.take(each.quantity) for each in copies]

    def clear(self) -> None:
        """No layers."""
        self.quantity = self.worth = ZERO
        self._layers.clear()

    def _take_at_rate(self, quantity: Decimal, rate: Decimal) -> Iterator[Part]:
        for layer in self._layers:
            if layer.rate == rate and quantity:
                yield (part := self._take(layer, min(quantity, layer.quantity)))
                quantity -= part.quantity
        self._layers = deque(each for each in self._layers if each.quantity)

    def _take_in_order(self, quantity: Decimal) -> Iterator[Part]:
        end = -1 if self._newest_first else 0
        while quantity:
            layer = self._layers[end]
            yield (part := self._take(layer, min(quantity, layer.quantity)))
            quantity -= part.quantity
            if not layer.quantity:
                del self._layers[end]

    def _take(self, layer: _Layer, quantity: Decimal) -> Part:
        part = layer.take(quantity)
        self.quantity -= quantity
        self.worth -= part.total
        return part


# --- pools -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Share:
    """What an entry has in a pool, but for the pool's factors. `original` is the arrival that it corrects."""

    kind: Kind
    quantity: Decimal
    worth: Decimal
    original: str | None = None
    corrections: list[str] = field(default_factory=list)


Amounts = Mapping[str, tuple[Decimal, Decimal]]
"""Quantity and worth of each share."""


class Pool:
    """Moving average and batches: what leaves is the same part of everything that is there.

    Quantity and worth have a factor each, since what is sent back leaves at the rate of its receipt.
    """

    def __init__(self) -> None:
        self.quantity = ZERO
        self.worth = ZERO
        self._shares: dict[str, _Share] = {}
        self._quantity_factor = ONE
        self._worth_factor = ONE

    def arrive(self, entry: str, kind: Kind, quantity: Decimal, worth: Decimal) -> None:
        """A share of its own."""
        self._add(entry, _Share(kind, quantity, worth))

    def leave(self, quantity: Decimal, worth: Decimal | None, back: SentBack | None, tell: bool) -> list[Part]:
        """A part of every share; what is sent back is first of all the share of its receipt."""
        shares, before = self._shares, self._amounts() if tell else {}
        if worth is None:
            worth = worth_of(quantity, back.rate) if back else share_of(self.worth, quantity, self.quantity)
        self._take(quantity, min(worth, self.worth), back)
        return _parts(shares, before, self._amounts()) if tell else []

    def correct(self, entry: str, original: str, worth: Decimal) -> None:
        """A share without quantity, told with the original's."""
        if original in self._shares:
            self._shares[original].corrections.append(entry)
            self._add(entry, _Share(Kind.CORRECTED, ZERO, worth, original))

    def lower(self, entry: str, _rate: Decimal, worth: Decimal) -> None:
        """A share below zero, without quantity: no arrival in particular is lowered."""
        self._add(entry, _Share(Kind.WRITTEN_DOWN, ZERO, worth))

    def parts(self) -> list[Part]:
        """Every share, in the order in which they came."""
        return _parts(self._shares, self._amounts(), {})

    def clear(self) -> None:
        """No shares."""
        self.quantity = self.worth = ZERO
        self._quantity_factor = self._worth_factor = ONE
        self._shares = {}

    def _add(self, entry: str, share: _Share) -> None:
        self.quantity += share.quantity
        self.worth += share.worth
        share.quantity /= self._quantity_factor
        share.worth /= self._worth_factor
        self._shares[entry] = share

    def _amounts(self) -> Amounts:
        return {
            entry: (each.quantity * self._quantity_factor, each.worth * self._worth_factor)
            for entry, each in self._shares.items()
        }

    def _take(self, quantity: Decimal, worth: Decimal, back: SentBack | None) -> None:
        left = (self.quantity - quantity, self.worth - worth)
        if not left[0]:
            self.clear()
            return
        if back is not None and back.receipt in self._shares:
            own = self._take_of_receipt(self._shares[back.receipt], quantity, worth)
            quantity, worth = quantity - own[0], worth - own[1]
        self._keep_of_all(quantity, worth)
        self.quantity, self.worth = left

    def _take_of_receipt(self, receipt: _Share, quantity: Decimal, worth: Decimal) -> tuple[Decimal, Decimal]:
        """Take a share as far as it goes, with its corrections; how much that was."""
        there = receipt.quantity * self._quantity_factor
        if not there:
            return ZERO, ZERO
        part = min(ONE, quantity / there)
        shares = [receipt, *(self._shares[each] for each in receipt.corrections)]
        whole = sum((each.worth for each in shares), ZERO) * self._worth_factor
        worth_part = min(part, max(ZERO, worth / whole)) if whole else part
        receipt.quantity *= ONE - part
        for each in shares:
            each.worth *= ONE - worth_part
        self.quantity -= there * part
        self.worth -= whole * worth_part
        return there * part, whole * worth_part

    def _keep_of_all(self, quantity: Decimal, worth: Decimal) -> None:
        """Take the same part of every share."""
        part = quantity / self.quantity
        self._quantity_factor *= ONE - part
        self._worth_factor *= ONE - (worth / self.worth if self.worth else part)
        if not self._worth_factor:
            self._worth_factor = ONE
            for each in self._shares.values():
                each.worth = ZERO


def _parts(shares: Mapping[str, _Share], before: Amounts, after: Amounts) -> list[Part]:
    """What went out of shares, with the corrections of each; without what is too little to make a difference."""
    gone = {}
    for entry, (quantity, worth) in before.items():
        left = after.get(entry, _NOTHING)
        gone[entry] = (quantity - left[0], worth - left[1])
    parts = []
    for entry, share in shares.items():
        if share.original is None:
            added = tuple(Part(Kind.CORRECTED, each, *gone[each]) for each in share.corrections)
            part = Part(share.kind, entry, *gone[entry], added=added)
            if part.quantity > _TRACE or abs(part.total) > _TRACE:
                parts.append(part)
    return parts


_NOTHING = (ZERO, ZERO)
_TRACE = Decimal("1e-12")

HOLDINGS: dict[str, Callable[[], Holding]] = {
    Method.FIFO: lambda: Layers(newest_first=False),
    Method.LIFO: lambda: Layers(newest_first=True),
    Method.MOVING_AVERAGE: Pool,
    Tracking.BATCH: Pool,  # of the batch in that warehouse
}
