"""What stock is worth: how each method puts worth in, takes it out, and changes it where it stands.

The one idea: worth is exact (9 places), and value is always its rounding to the currency's minor unit. An entry's
value is the difference of two such roundings, so nothing drifts however often stock comes and goes. The methods differ
only in what they know beside quantity and worth (layers, costs of serials), and in how much worth leaves with a part of
the stock; all that they share is said once for all of them, in `changes`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from shared.purposes import Method, Tracking
from shared.quantities import ZERO, rate_of, share_of, worth_of

Costs = Mapping[str, Decimal]
"""Serials and their own costs, 9 places, in the order in which they are listed."""


class Layer(NamedTuple):
    """What came in at one rate, as far as it is still there. `rate` stays that of the receipt.

    A tuple, like all that is made for each leg: a frozen dataclass takes several times as long to make.
    """

    quantity: Decimal
    worth: Decimal
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Shortage:
    """What an entry issued beyond stock and nothing has covered yet, and the account that bears a difference."""

    quantity: Decimal
    worth: Decimal
    account: str
    entry: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """What an entry brought into a bin, at its present worth."""

    entry: str
    quantity: Decimal
    worth: Decimal


@dataclass(slots=True)
class Stock:
    """What stands in one bin, or of one batch in a bin.

    Not frozen: five hundred issues from one bin must not copy its layers five hundred times. `rate` is the last one
    known, value / quantity after the last entry that left stock. `costs` holds the serials that were looked up or
    moved; None for one that has left. A quantity below zero was issued beyond stock, and so is its worth; `shortages`
    says by what, oldest first. `pending` is what its entries add up to beyond its value, while some of it is still to
    be valued anew.
    """

    quantity: Decimal = ZERO
    worth: Decimal = ZERO
    value: Decimal = ZERO
    rate: Decimal | None = None
    layers: deque[Layer] = field(default_factory=deque)
    costs: dict[str, Decimal | None] = field(default_factory=dict)
    shortages: deque[Shortage] = field(default_factory=deque)
    pending: Decimal = ZERO

    def copy(self) -> "Stock":
        """The same stock, to be changed without changing this one."""
        layers, costs, shortages = self.layers.copy(), self.costs.copy(), self.shortages.copy()
        return Stock(self.quantity, self.worth, self.value, self.rate, layers, costs, shortages, self.pending)


@dataclass(frozen=True, slots=True)
class Valuation:
    """A method: what it does to one stock. Quantities are above zero; the caller keeps quantity, worth and value.

    `arrive(stock, quantity, worth, costs)` puts in. `leave(stock, quantity, serials)` takes a part out, no more than is
    there, of worth neither; what it was worth, and the costs of the serials. `lower(stock, rate, serials)` lets nothing
    be worth more than `rate` a unit; how much worth is lost, and the costs. `land(stock, worth, arrivals, serials)`
    adds worth to what came with the first of the arrivals (the newest in the stock), or to these serials; the costs.

    `send_back(stock, quantity, value, whole)` takes out a part of a receipt of `whole` that is worth `value` now; None:
    it goes as everything leaves. `count(stock, quantity, worth)` makes one whole of what stands there; None: it is.
    """

    arrive: Callable[[Stock, Decimal, Decimal, Costs], None]
    leave: Callable[[Stock, Decimal, Sequence[str]], tuple[Decimal, Costs]]
    lower: Callable[[Stock, Decimal, Sequence[str]], tuple[Decimal, Costs]]
    land: Callable[[Stock, Decimal, Sequence[Arrival], Sequence[str]], Costs]
    send_back: Callable[[Stock, Decimal, Decimal, Decimal], Decimal] | None = None
    count: Callable[[Stock, Decimal, Decimal], None] | None = None


# --- layers ----------------------------------------------------------------------------------------------------------


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
        part = min(quantity, layer.quantity)
        worth, rest = _split(layer, part)
        if rest is not None:
            put_back(rest)
        quantity -= part
        taken += worth
    return taken


def _split(layer: Layer, quantity: Decimal) -> tuple[Decimal, Layer | None]:
    """The worth of a part of a layer, and the layer that remains."""
    if quantity == layer.quantity:
        return layer.worth, None
    worth = share_of(layer.worth, quantity, layer.quantity)
    return worth, Layer(layer.quantity - quantity, layer.worth - worth, layer.rate)


def _take_layers_at_rate(stock: Stock, quantity: Decimal, value: Decimal, whole: Decimal) -> Decimal:
    """From the layers at the receipt's rate, oldest first; what they lack from the oldest of all."""
    rate = rate_of(value, whole)
    kept: deque[Layer] = deque()
    taken = ZERO
    for layer in stock.layers:
        part = min(quantity, layer.quantity) if layer.rate == rate else ZERO
        worth, rest = _split(layer, part)
        if rest is not None:
            kept.append(rest)
        quantity -= part
        taken += worth
    stock.layers = kept
    return taken + _take_layers(quantity, kept.popleft, kept.appendleft)


def _make_one_layer(stock: Stock, quantity: Decimal, worth: Decimal) -> None:
    stock.layers.clear()
    if quantity:
        stock.layers.append(Layer(quantity, worth, rate_of(worth, quantity)))


def _lower_layers(stock: Stock, rate: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    lowered = ZERO
    for place, layer in enumerate(stock.layers):
        worth = worth_of(layer.quantity, rate)
        if worth < layer.worth:
            lowered += layer.worth - worth
            stock.layers[place] = Layer(layer.quantity, worth, rate)
    return lowered, {}


def _land_in_layers(stock: Stock, worth: Decimal, arrivals: Sequence[Arrival], _serials: Sequence[str]) -> Costs:
    """As if the first of the arrivals had come with that worth more: they are put in again, in their order."""
    left = stock.layers.copy()
    taken = [_take_arrival(left, each) for each in reversed(arrivals)]
    again = [each for each in reversed(taken) if each is not None]
    if len(again) < max(len(arrivals), 1):
        # More than arrivals came after it, which only a dry run may meet: it looks at a bin as it is just now.
        _make_one_layer(stock, stock.quantity, stock.worth + worth)
        return {}
    stock.layers = left
    for each in again:
        _add_layer(stock, each.quantity, each.worth + worth, {})
        worth = ZERO
    return {}


def _take_arrival(layers: deque[Layer], arrival: Arrival) -> Arrival | None:
    """Take what came in out of the newest layer, of which it is a part; None where it is not."""
    if not layers or layers[-1].quantity < arrival.quantity:
        return None
    layer = layers.pop()
    if layer.quantity == arrival.quantity:
        return Arrival(arrival.entry, layer.quantity, layer.worth)
    layers.append(Layer(layer.quantity - arrival.quantity, layer.worth - arrival.worth, layer.rate))
    return arrival


# --- averages --------------------------------------------------------------------------------------------------------


def _keep_no_account(_stock: Stock, _quantity: Decimal, _worth: Decimal, _costs: Costs) -> None:
    """An average needs no more than quantity and worth."""


def _take_average(stock: Stock, quantity: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    return share_of(stock.worth, quantity, stock.quantity), {}


def _take_at_rate(stock: Stock, quantity: Decimal, value: Decimal, whole: Decimal) -> Decimal:
    return min(share_of(value, quantity, whole), stock.worth)


def _lower_average(stock: Stock, rate: Decimal, _serials: Sequence[str]) -> tuple[Decimal, Costs]:
    return max(ZERO, stock.worth - worth_of(stock.quantity, rate)), {}


def _keep_no_arrivals(_stock: Stock, _worth: Decimal, _arrivals: Sequence[Arrival], _serials: Sequence[str]) -> Costs:
    """As above: what came when does not matter."""
    return {}


# --- serials ---------------------------------------------------------------------------------------------------------


def _add_serials(stock: Stock, _quantity: Decimal, _worth: Decimal, costs: Costs) -> None:
    stock.costs.update(costs)


def _take_serials(stock: Stock, quantity: Decimal, serials: Sequence[str]) -> tuple[Decimal, Costs]:
    """Each serial leaves with its own cost, as far as worth is left; the last one out of the bin with what remains."""
    remaining = stock.worth
    costs = {}
    for serial, cost in own_costs(stock, serials).items():
        costs[serial] = min(cost, remaining)
        remaining -= costs[serial]
        stock.costs[serial] = None
    if quantity == stock.quantity and serials:
        costs[serials[-1]] += remaining
    return stock.worth - remaining, costs


def _lower_serials(stock: Stock, rate: Decimal, serials: Sequence[str]) -> tuple[Decimal, Costs]:
    """Only what stands there: what was taken out before, as it turned out later, is worth what it left with."""
    before = {serial: cost for serial in serials if (cost := stock.costs.get(serial)) is not None}
    costs = {serial: min(cost, rate) for serial, cost in before.items()}
    stock.costs.update(costs)
    lowered = sum(before.values(), ZERO) - sum(costs.values(), ZERO)
    return min(lowered, stock.worth), costs


def _land_on_serials(stock: Stock, worth: Decimal, _arrivals: Sequence[Arrival], serials: Sequence[str]) -> Costs:
    """Evenly on each of them."""
    part = rate_of(worth, Decimal(max(len(serials), 1)))
    costs = {serial: max(ZERO, cost + part) for serial, cost in own_costs(stock, serials).items()}
    stock.costs.update(costs)
    return costs


def own_costs(stock: Stock, serials: Sequence[str]) -> dict[str, Decimal]:
    """The costs of serials in a bin that holds something; one that is not known there costs the average."""
    average = rate_of(stock.worth, stock.quantity)
    costs = {}
    for serial in serials:
        cost = stock.costs.get(serial)
        costs[serial] = average if cost is None else cost
    return costs


_AVERAGE = Valuation(_keep_no_account, _take_average, _lower_average, _keep_no_arrivals, _take_at_rate)

METHODS: dict[str, Valuation] = {
    Method.FIFO: Valuation(
        _add_layer, _take_oldest, _lower_layers, _land_in_layers, _take_layers_at_rate, _make_one_layer
    ),
    Method.LIFO: Valuation(_add_layer, _take_newest, _lower_layers, _land_in_layers, count=_make_one_layer),
    Method.MOVING_AVERAGE: _AVERAGE,
    Tracking.BATCH: _AVERAGE,  # of the batch in that warehouse
    Tracking.SERIAL: Valuation(_add_serials, _take_serials, _lower_serials, _land_on_serials),
}
