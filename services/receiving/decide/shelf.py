"""What one movement may pick of the batches in one bin: looked up once, however many of its lines pick there.

The one idea: a line changes a few batches. The draft tells which, so the shelf follows it, and knows where something is
left and how much there is in all without going through what was used up.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from shared.quantities import ZERO


class Shelf:
    """Batches in the order in which to pick them. `free` tells how much of one may be taken now.

    `changed` grows by each batch of the bin, on the shelf or not, that the movement changes.
    """

    __slots__ = ("_changed", "_first", "_free", "_left", "_order", "_place", "_seen", "_total")

    def __init__(self, order: Sequence[str], free: Callable[[str], Decimal], changed: Sequence[str]) -> None:
        self._order, self._free, self._changed = order, free, changed
        self._left = [max(free(number), ZERO) for number in order]
        self._total = sum(self._left, ZERO)
        self._place: dict[str, int] = {}
        self._first = 0
        self._seen = len(changed)

    def total(self) -> Decimal:
        """How much may be taken in all."""
        self._follow()
        return self._total

    def __iter__(self) -> Iterator[tuple[str, Decimal]]:
        """Each batch of which something may be taken, and how much, in order."""
        self._follow()
        for place in range(self._first, len(self._order)):
            if self._left[place] > ZERO:
                yield self._order[place], self._left[place]

    def _follow(self) -> None:
        for number in self._changed[self._seen :]:
            place = self._places().get(number)
            if place is not None:
                left = max(self._free(number), ZERO)
                self._total += left - self._left[place]
                self._left[place] = left
                self._first = min(self._first, place)
        self._seen = len(self._changed)
        while self._first < len(self._order) and self._left[self._first] == ZERO:
            self._first += 1

    def _places(self) -> dict[str, int]:
        """The place of each batch; nobody needs them for a single line."""
        if not self._place:
            self._place = {number: place for place, number in enumerate(self._order)}
        return self._place
