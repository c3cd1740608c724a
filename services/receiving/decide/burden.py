"""How much a set asks for at once: a line of forty characters may make a hundred thousand serials, so bytes say little.

A set that would hold more serials than one line may have is not begun: its worker halves it, down to one movement.
"""

from collections.abc import Iterable

from services.receiving.decide.case import Limits
from services.receiving.decide.series import count_serials
from services.receiving.decide.stock import Company, Stock
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.errors import StockbookError
from shared.purposes import Tracking
from shared.quantities import ZERO


class TooMuchTogether(StockbookError):  # noqa: N818 - what the set is
    """A set of several movements that must be worked on in parts."""


def insist_on_bearable(asked: Iterable[tuple[MovementRequested, Company]], stock: Stock, limits: Limits) -> None:
    """Raises TooMuchTogether where several movements have more serials together than a line may have."""
    counts = [_serials(movement, company, stock, limits) for movement, company in asked]
    if sum(1 for count in counts if count) > 1 and sum(counts) > limits.serials:
        raise TooMuchTogether("too many serials in one set", serials=sum(counts), limit=limits.serials)


def _serials(movement: MovementRequested, company: Company, stock: Stock, limits: Limits) -> int:
    """How many serials a movement names or asks for; none where it is too many, for then it is refused unread."""
    count = sum(_of_line(line, company, stock) for line in movement.lines)
    return count if count <= limits.serials_in_all else 0


def _of_line(line: RequestedLine, company: Company, stock: Stock) -> int:
    if line.serials is not None:
        return count_serials(line.serials)
    item = stock.items.get((company.company, line.item or ""))
    if item is None or item.tracking is not Tracking.SERIAL or line.quantity is None or line.quantity < ZERO:
        return 0
    return int(line.quantity)
