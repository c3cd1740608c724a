"""The history of one bin, gone through again: what each entry took, told by the entries that had brought it.

The one idea: nothing of this is kept when an entry is posted. The exact worth of every entry was recorded, and so was
whatever corrected it; so going through them once more, in the order of time, takes no valuation, but only a memory of
whose goods stand there.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import NamedTuple

from services.ledger.decide.explaining.holdings import HOLDINGS, Holding, SentBack
from services.ledger.decide.explaining.parts import PRECISE, Kind, Part, scaled_to, with_pending
from shared.purposes import Flow
from shared.quantities import ZERO, rate_of, share_of


class Step(NamedTuple):
    """An entry of a bin, or of a batch in it: what it changed there, with all that corrected it, but without true-ups.

    `original` is the entry that it revalues or sends back. `rate` is what a unit is worth at most after a write-down;
    of what is sent back, what a unit of its receipt was worth then. `is_provisional`: it is still to be valued anew, so
    the worth is not what it will be.
    """

    entry: str
    flow: Flow
    quantity: Decimal
    worth: Decimal
    original: str | None = None
    rate: Decimal | None = None
    is_provisional: bool = False


def retrace(steps: Iterable[Step], method: str, asked: Collection[str]) -> dict[str, list[Part]]:
    """What each of the asked entries took, if it left; of a count, what stood there before it.

    If it arrived: what it covered of what had been issued beyond stock, as that was valued, and as it came. `steps` are
    the entries of the bin, or of the batch in it, in the order of time, up to the last that is asked. `method` is one
    of HOLDINGS.
    """
    with localcontext(PRECISE):
        bin_ = _Bin(HOLDINGS[method](), asked)
        for step in steps:
            bin_.go_through(step)
    return bin_.told


@dataclass(slots=True)
class _Shortage:
    """What an entry issued beyond stock and nothing has covered yet."""

    entry: str
    quantity: Decimal
    worth: Decimal

    def part(self) -> Part:
        """What a bin lacks by it."""
        rate = rate_of(self.worth, self.quantity)
        return Part(Kind.ISSUED_BEFORE, self.entry, -self.quantity, -self.worth, rate=rate)


@dataclass(slots=True)
class _Bin:
    held: Holding
    asked: Collection[str]
    told: dict[str, list[Part]] = field(default_factory=dict)
    shortages: deque[_Shortage] = field(default_factory=deque)

    def go_through(self, step: Step) -> None:
        if step.flow is Flow.COUNT:
            self._count(step)
        elif step.quantity > 0:
            self._arrive(step)
        elif step.quantity < 0:
            self._leave(step)
        elif step.original is not None:
            self.held.correct(step.entry, step.original, step.worth)
        elif step.rate is not None:
            self.held.lower(step.entry, step.rate, step.worth)

    def _count(self, step: Step) -> None:
        """From here on, all that stands in the bin comes from the count."""
        lacking = [each.part() for each in self.shortages]
        quantity = self.held.quantity + step.quantity + sum((each.quantity for each in lacking), ZERO)
        worth = self.held.worth + step.worth + sum((each.worth for each in lacking), ZERO)
        if step.entry in self.asked:
            self.told[step.entry] = [*self.held.parts(), *lacking]
        self.held.clear()
        self.shortages.clear()
        if quantity > 0:
            self.held.arrive(step.entry, Kind.COUNTED, quantity, max(worth, ZERO))

    def _arrive(self, step: Step) -> None:
        covered = list(self._cover(step))
        if step.entry in self.asked:
            self.told[step.entry] = covered
        used = [part for part in covered if part.kind is Kind.COVERED]
        quantity = step.quantity + sum((each.quantity for each in used), ZERO)
        if quantity:
            worth = step.worth + sum((each.worth for each in used), ZERO)
            self.held.arrive(step.entry, Kind.ARRIVED, quantity, worth)

    def _cover(self, step: Step) -> Iterator[Part]:
        """What comes in covers what was issued beyond stock, oldest first: each piece as it was valued, and came."""
        quantity, worth = step.quantity, step.worth
        while self.shortages and quantity:
            oldest = self.shortages[0]
            piece = min(oldest.quantity, quantity)
            issued, came = share_of(oldest.worth, piece, oldest.quantity), share_of(worth, piece, quantity)
            yield Part(Kind.ISSUED_BEFORE, oldest.entry, piece, issued, rate=rate_of(issued, piece))
            yield Part(Kind.COVERED, None, -piece, -came, rate=rate_of(came, piece))
            oldest.quantity, oldest.worth = oldest.quantity - piece, oldest.worth - issued
            quantity, worth = quantity - piece, worth - came
            if not oldest.quantity:
                self.shortages.popleft()

    def _leave(self, step: Step) -> None:
        quantity, worth, tell = -step.quantity, -step.worth, step.entry in self.asked
        lacking = quantity - self.held.quantity
        if lacking <= 0:
            back = None if step.original is None or step.rate is None else SentBack(step.original, step.rate)
            parts = self.held.leave(quantity, None if step.is_provisional else worth, back, tell)
        else:
            beyond = max(ZERO, worth - self.held.worth)
            rate = rate_of(beyond, lacking)
            short = Part(Kind.BEYOND_STOCK, step.entry, lacking, beyond, rate=rate)
            parts = [*self.held.parts(), short] if tell else []
            self.held.clear()
            self.shortages.append(_Shortage(step.entry, lacking, beyond))
        if tell:
            self.told[step.entry] = with_pending(parts, worth) if step.is_provisional else scaled_to(parts, worth)
