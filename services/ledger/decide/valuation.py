"""What stock is worth: a leg of a movement changes the worth of what stands in a bin, and its value follows.

The one idea: worth is exact (9 places), and value is always its rounding to the currency's minor unit. An entry's
value is the difference of two such roundings, so nothing drifts however often stock comes and goes. The methods differ
only in how much worth leaves with a part of the stock; all that they share (what leaves last takes everything, worth is
never below zero, what was issued beyond stock is covered first) is said once for all of them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from shared.contracts.movement import Leg
from shared.purposes import Method, Tracking
from shared.quantities import ZERO, amount_of, rate_of, share_of, to_money, worth_of

Costs = Mapping[str, Decimal]
"""Serials and their own costs, 9 places, in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What came in at one rate, as far as it is still there. `rate` stays that of the receipt."""

    quantity: Decimal
    worth: Decimal
    rate: Decimal


@dataclass(slots=True)
class Stock:
    """What stands in one bin, or of one batch in a bin.

    Not frozen: five hundred issues from one bin must not copy its layers five hundred times. `rate` is the last one
    known, value / quantity after the last entry that left stock. `costs` holds the serials that were looked up or
    moved; None for one that has left. A quantity below zero was issued beyond stock, and so is its worth.
    """

    quantity: Decimal = ZERO
    worth: Decimal = ZERO
    value: Decimal = ZERO
    rate: Decimal | None = None
    layers: deque[Layer] = field(default_factory=deque)
    costs: dict[str, Decimal | None] = field(default_factory=dict)

    def copy(self) -> "Stock":
        """The same stock, to be changed without changing this one."""
        return Stock(self.quantity, self.worth, self.value, self.rate, self.layers.copy(), self.costs.copy())


@dataclass(frozen=True, slots=True)
class Change:
    """What a leg changed: exact worth, value, the costs of its serials; and the rate known in its bin before."""

    worth: Decimal
    value: Decimal
    costs: Costs
    rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Valuation:
    """A method: `arrive(stock, quantity, worth, costs)` puts in, `leave(stock, quantity, serials)` takes a part out.

    Quantities are above zero, and no more leaves than is there, of worth neither: stock is never worth less than
    nothing. The caller keeps quantity, worth and value.
    """

    arrive: Callable[[Stock, Decimal, Decimal, Costs], None]
    leave: Callable[[Stock, Decimal, Sequence[str]], tuple[Decimal, Costs]]


def value_leg(leg: Leg, bin_: Stock, batch: Stock | None, left: Change | None, digits: int) -> Change:
    """Apply a leg to its bin, and to the batch there where the item has batches; what that changed.

    `left` is the change by the leg from which this one arrives: the value that left comes in as worth. `digits` is the
    number of places of the currency. There is an outcome for every leg.
    """
    stock = bin_ if batch is None else batch
    worth, value, rate = stock.worth, stock.value, bin_.rate
    costs: Costs = {}
    if leg.quantity > 0:
        costs = _arrive(leg, bin_, stock, left, digits)
    elif leg.quantity < 0:
        costs = _leave(leg, bin_, stock)
    stock.quantity += leg.quantity
    stock.value = to_money(stock.worth, digits)
    change = Change(stock.worth - worth, stock.value - value, costs, rate)
    if batch is not None:
        bin_.quantity += leg.quantity
        bin_.worth += change.worth
        bin_.value += change.value
    if bin_.quantity > 0 and bin_.value > 0:
        bin_.rate = rate_of(bin_.value, bin_.quantity)
    elif left is not None and not bin_.rate:
        bin_.rate = left.rate  # goods too cheap to have a value bring at least their rate
    return change


def _arrive(leg: Leg, bin_: Stock, stock: Stock, left: Change | None, digits: int) -> Costs:
    quantity: Decimal = leg.quantity
    worth, costs = _incoming(leg, bin_, left, digits)
    if stock.quantity < 0:
        quantity, worth = _cover(stock, quantity, worth)
    stock.worth += worth
    if quantity:
        METHODS[_method(leg)].arrive(stock, quantity, worth, costs)
    return costs


def _incoming(leg: Leg, bin_: Stock, left: Change | None, digits: int) -> tuple[Decimal, Costs]:
    """The worth that comes in, and the own cost of each serial."""
    if left is not None:
        return -left.value, left.costs
    if leg.amount is not None:
        worth: Decimal = leg.amount
    else:
        worth = amount_of(leg.quantity, _last_rate(leg, bin_), digits)
    return worth, dict.fromkeys(leg.serials, rate_of(worth, leg.quantity)) if leg.serials else {}


def _cover(stock: Stock, quantity: Decimal, worth: Decimal) -> tuple[Decimal, Decimal]:
    """Stock that was issued beyond what was there is taken out of what comes in, at its rate; what remains of that."""
    after = stock.quantity + quantity
    stock.worth = share_of(stock.worth, min(after, ZERO), stock.quantity)
    remains = max(after, ZERO)
    return remains, share_of(worth, remains, quantity)


def _leave(leg: Leg, bin_: Stock, stock: Stock) -> Costs:
    quantity = -leg.quantity
    if quantity > stock.quantity:
        return _leave_beyond(leg, bin_, stock)
    worth, costs = METHODS[_method(leg)].leave(stock, quantity, leg.serials)
    # What leaves last takes all the worth.
    stock.worth = ZERO if quantity == stock.quantity else stock.worth - worth
    return costs


def _leave_beyond(leg: Leg, bin_: Stock, stock: Stock) -> Costs:
    """All that is there leaves with all its worth; what is lacking leaves at the last known rate."""
    rate = _last_rate(leg, bin_)
    lacking = -leg.quantity - max(stock.quantity, ZERO)
    stock.worth = min(stock.worth, ZERO) - worth_of(lacking, rate)
    stock.layers.clear()
    costs = {serial: _or(stock.costs.get(serial), rate) for serial in leg.serials}
    stock.costs.update(dict.fromkeys(leg.serials))
    return costs


def _last_rate(leg: Leg, bin_: Stock) -> Decimal:
    return bin_.rate or _or(leg.standard_rate, ZERO)


def _or(known: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if known is None else known


def _method(leg: Leg) -> str:
    return leg.method if leg.tracking is Tracking.NONE else leg.tracking


def _add_layer(stock: Stock, quantity: Decimal, worth: Decimal, _costs: Costs) -> None:
    """A new newest layer; one at the newest layer's rate joins it."""
    layers = stock.layers
    rate = rate_of(worth, quantity)
    if layers and layers[-1].rate == rate:
        newest = layers.pop()
        quantity, worth = newest.quantity + quantity, newest.worth + worth
    layers.append(Layer(quantity, worth, rate))


def _take_oldest(stock: Stock, quantity: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    return _take_layers(quantity, stock.layers.popleft, stock.layers.appendleft), {}


def _take_newest(stock: Stock, quantity: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    return _take_layers(quantity, stock.layers.pop, stock.layers.append), {}


def _take_layers(quantity: Decimal, take: Callable[[], Layer], put_back: Callable[[Layer], None]) -> Decimal:
    """The worth of whole layers from one end, and of a part of the last one that is reached."""
    taken = ZERO
    while quantity:
        layer = take()
        if layer.quantity <= quantity:
            quantity -= layer.quantity
            taken += layer.worth
        else:
            worth = share_of(layer.worth, quantity, layer.quantity)
            put_back(Layer(layer.quantity - quantity, layer.worth - worth, layer.rate))
            return taken + worth
    return taken


def _keep_no_account(stock: Stock, quantity: Decimal, worth: Decimal, costs: Costs) -> None:
    """An average needs no more than quantity and worth."""


def _take_average(stock: Stock, quantity: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    return share_of(stock.worth, quantity, stock.quantity), {}


def _add_serials(stock: Stock, _quantity: Decimal, _worth: Decimal, costs: Costs) -> None:
    stock.costs.update(costs)


def _take_serials(stock: Stock, quantity: Decimal, serials: Sequence[str]) -> tuple[Decimal, Costs]:
    """Each serial leaves with its own cost, as far as worth is left; the last one out of the bin with what remains."""
    average = rate_of(stock.worth, stock.quantity)
    remaining = stock.worth
    costs = {}
    for serial in serials:
        costs[serial] = min(_or(stock.costs.get(serial), average), remaining)
        remaining -= costs[serial]
        stock.costs[serial] = None
    if quantity == stock.quantity and serials:
        costs[serials[-1]] += remaining
    return stock.worth - remaining, costs


_AVERAGE = Valuation(_keep_no_account, _take_average)

METHODS: dict[str, Valuation] = {
    Method.FIFO: Valuation(_add_layer, _take_oldest),
    Method.LIFO: Valuation(_add_layer, _take_newest),
    Method.MOVING_AVERAGE: _AVERAGE,
    Tracking.BATCH: _AVERAGE,  # of the batch in that warehouse
    Tracking.SERIAL: Valuation(_add_serials, _take_serials),
}
