"""What comes in is worth: of one movement, every leg that does not leave, with what is booked to other accounts.

The one idea: all of it is fixed at once, after what leaves has left and before anything arrives. So the last rate known
in a bin is the one from before the movement, what was consumed can be shared out, and a cost be spread over all lines.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from services.ledger.decide.changes import Change, Place, last_rate
from services.ledger.decide.originals import Original
from services.ledger.decide.told import Told
from services.ledger.decide.valuation import Costs
from shared.contracts.movement import AllocatedCost, Leg, MovementAllocated
from shared.purposes import Flow
from shared.quantities import ZERO, amount_of, rate_of, spread, worth_of


@dataclass(slots=True)
class Incoming:
    """A leg that does not leave: where it works, and what it names.

    `place` None: it works elsewhere, and only what it is worth is looked for; what that does not hang on is as it was
    `told`. `left` is the change by the leg from which it arrives, `original` the entry that it returns or revalues.
    `worth` and `costs` (of each serial) are what comes in, what is there after a count, or what a revaluation adds;
    `booked` is what of it goes to which other accounts. The last three are found here.
    """

    number: int
    leg: Leg
    place: Place | None
    left: Change | None = None
    original: Original | None = None
    told: Told | None = None
    worth: Decimal = ZERO
    costs: Costs = field(default_factory=dict)
    booked: dict[str, Decimal] = field(default_factory=dict)

    @property
    def arrives(self) -> bool:
        """Whether it brings goods, and is no count."""
        return self.leg.quantity > 0 and self.leg.counted is None


Weights = Callable[[Incoming], Decimal]


def fix(movement: MovementAllocated, flow: Flow, consumed: Decimal, incoming: Sequence[Incoming]) -> None:
    """Find what the legs of a movement that do not leave are worth, all of them; `consumed` is the value that left."""
    for each in incoming:
        _fix_alone(each, movement.digits)
    if flow is Flow.MAKE:
        _share_out(movement, consumed, [each for each in incoming if each.arrives])
    elif movement.additional_costs:
        lands = flow is Flow.LAND
        _add_costs(movement, [each for each in incoming if lands or each.arrives], VALUES if lands else WORTHS)


# --- each leg by itself ----------------------------------------------------------------------------------------------


def _fix_alone(incoming: Incoming, digits: int) -> None:
    """A leg's worth before costs are added, and before it has its share of what was consumed."""
    leg = incoming.leg
    if incoming.left is not None:
        incoming.worth, incoming.costs = -incoming.left.value, incoming.left.costs
    elif incoming.place is None and leg.amount is None:
        if incoming.original is not None and leg.quantity > 0:
            incoming.original.come_back(
                leg.quantity, leg.serials, digits
            )  # what comes back with it takes the part behind it
        _as_told(incoming)
    elif leg.counted is not None and incoming.place is not None:
        incoming.worth = _counted(leg, incoming.place)
    elif incoming.original is not None and leg.quantity > 0:
        came_back = incoming.original.come_back(leg.quantity, leg.serials, digits)
        if leg.amount is None:
            incoming.worth = came_back
            incoming.costs = {serial: incoming.original.costs.get(serial, ZERO) for serial in leg.serials}
        else:
            _bring(incoming, leg.amount)
    elif leg.quantity > 0 and leg.amount is not None:
        _bring(incoming, leg.amount)
    elif leg.quantity > 0 and incoming.place is not None:
        _bring(incoming, amount_of(leg.quantity, last_rate(leg, incoming.place.bin), digits))


def _as_told(incoming: Incoming) -> None:
    """What works elsewhere is worth there what it was told to be."""
    told = incoming.told or Told()
    incoming.worth = told.base
    each = rate_of(told.worth - told.base, Decimal(len(told.costs))) if told.costs else ZERO
    incoming.costs = {serial: cost - each for serial, cost in told.costs.items()}


def _counted(leg: Leg, place: Place) -> Decimal:
    """What is worth what was counted: the amount, else the average before, else the last rate."""
    stock, digits = place.stock, place.digits
    counted: Decimal = leg.counted or ZERO
    if leg.amount is not None and counted:
        return leg.amount
    if stock.quantity <= 0:
        return amount_of(counted, last_rate(leg, place.bin), digits)
    if counted == stock.quantity:
        return stock.worth
    return worth_of(counted, rate_of(stock.worth, stock.quantity))


def _bring(incoming: Incoming, worth: Decimal) -> None:
    """So much comes in, evenly on each serial."""
    leg = incoming.leg
    incoming.worth = worth
    incoming.costs = dict.fromkeys(leg.serials, rate_of(worth, leg.quantity)) if leg.serials else {}


# --- making ----------------------------------------------------------------------------------------------------------


def _share_out(movement: MovementAllocated, consumed: Decimal, made: Sequence[Incoming]) -> None:
    """What was consumed, and what it cost to make, less what has a worth of its own, is shared by the products."""
    sharing = [each for each in made if _has_share(each.leg)]
    costs = movement.additional_costs
    if sharing:
        given = sum((each.worth for each in made if not _has_share(each.leg)), ZERO)
        pool = max(ZERO, consumed + sum((cost.amount for cost in costs), ZERO) - given)
        parts = spread(pool, [each.leg.share or ZERO for each in sharing], movement.digits)
        for each, part in zip(sharing, parts, strict=True):
            _bring(each, part)
    carrying = sharing or made
    if not carrying:
        return
    for cost in costs:
        weights = _weighing(carrying, lambda each: each.worth)
        for each, part in zip(carrying, spread(cost.amount, weights, movement.digits), strict=True):
            _book(each, cost.account, part)


def _has_share(leg: Leg) -> bool:
    """Whether a product is worth a share, and not what its rate says."""
    return leg.amount is None and leg.share is not None


# --- additional costs ------------------------------------------------------------------------------------------------


def _add_costs(movement: MovementAllocated, incoming: Sequence[Incoming], kinds: Mapping[str, Weights]) -> None:
    """Each cost is spread over the lines, each line's part over its legs, by their worth before costs."""
    if not incoming:
        return
    lines = _by_line(incoming)
    spreading = {kind: _Spreading(lines, kinds[kind]) for kind in {cost.spread for cost in movement.additional_costs}}
    parts = [spreading[cost.spread].parts(cost, movement.digits) for cost in movement.additional_costs]
    for each, own in zip((each for line in lines for each in line), zip(*parts, strict=True), strict=True):
        _add_parts(each, movement.additional_costs, own)


def _by_line(incoming: Sequence[Incoming]) -> list[list[Incoming]]:
    lines: dict[int, list[Incoming]] = {}
    for each in incoming:
        lines.setdefault(each.leg.line, []).append(each)
    return list(lines.values())


class _Spreading:
    """How one kind of cost is spread over lines and legs: their weights, taken before any cost is added."""

    def __init__(self, lines: Sequence[Sequence[Incoming]], weight: Weights) -> None:
        weights = iter(_weighing([each for line in lines for each in line], weight))
        self._lines = [[next(weights) for _ in line] for line in lines]
        self._quantities = [[_quantity(each) for each in line] for line in lines]

    def parts(self, cost: AllocatedCost, digits: int) -> list[Decimal]:
        """The part of each leg, line by line."""
        of_lines = spread(cost.amount, [sum(line, ZERO) for line in self._lines], digits)
        legs = zip(of_lines, self._lines, self._quantities, strict=True)
        return [part for whole, own, other in legs for part in spread(whole, own if any(own) else other, digits)]


def _weighing(incoming: Iterable[Incoming], weight: Weights) -> list[Decimal]:
    """The weight of each leg; the quantities where none has any."""
    weights = [weight(each) for each in incoming]
    return weights if any(weights) else [_quantity(each) for each in incoming]


def _quantity(incoming: Incoming) -> Decimal:
    """How much came: now, or with the receipt that is revalued."""
    return incoming.leg.quantity or (incoming.original.quantity if incoming.original else ZERO)


def _add_parts(incoming: Incoming, costs: Sequence[AllocatedCost], parts: Sequence[Decimal]) -> None:
    for cost, part in zip(costs, parts, strict=True):
        _book(incoming, cost.account, part)
    added = sum(parts, ZERO)
    incoming.worth += added
    if incoming.costs:
        each = rate_of(added, Decimal(len(incoming.costs)))
        incoming.costs = {serial: cost + each for serial, cost in incoming.costs.items()}


def _book(incoming: Incoming, account: str, part: Decimal) -> None:
    incoming.booked[account] = incoming.booked.get(account, ZERO) + part


def _share(incoming: Incoming) -> Decimal:
    return incoming.leg.share or ZERO


WORTHS: dict[str, Weights] = {"amount": lambda each: each.worth, "quantity": _quantity, "share": _share}
"""What an additional cost of what comes in is spread by."""
VALUES: dict[str, Weights] = WORTHS | {
    "amount": lambda each: max(ZERO, each.original.counterpart) if each.original else ZERO
}
"""What a landed cost is spread by: the amounts are those of the receipt."""
