"""A trace in words: a line for each of the goods and each thing that happened to it, under what it belongs to."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from services.desk.cli.branches import Branch
from services.desk.trace.balance import CAME, WENT, Balance
from services.desk.trace.goods import Event, Goods, Key, Kind, Link, Way
from services.desk.trace.tracing import Trace
from shared.quantities import plain

_CUT = {
    "depth": "there are more makings behind: --depth tells more",
    "goods": "there are more goods: --limit tells more",
    "events": "more happened than is told: --limit tells more, or trace what is made of it",
}
_ORIGINS = (Kind.RECEIVED, Kind.PRODUCED, Kind.ADJUSTED)
_ENDS = {
    Kind.DELIVERED: "delivered",
    Kind.RETURNED: "came back",
    Kind.ISSUED: "issued",
    Kind.SCRAPPED: "scrapped",
    Kind.SENT_BACK: "sent back",
    Kind.MOVED: "moved",
}


def tell(trace: Trace) -> list[Branch]:
    """A branch for each of the goods that it starts from, then all balances, and what was left out."""
    told = [Branch(f"{movement_named(trace, key)}") for key in trace.start.keys]
    ways = {way: _Way(trace, way) for way in trace.walks}
    told += [_start(trace, ways, goods) for goods in trace.start.goods]
    told.append(
        Branch("mass balance", [Branch(balanced(named(goods), balance)) for goods, balance in trace.balances.items()])
    )
    cut = sorted({reason for walk in trace.walks.values() for reason in walk.cut})
    return told + [Branch(f"not all of it: {_CUT[reason]}") for reason in cut]


def _start(trace: Trace, ways: dict[Way, "_Way"], goods: Goods) -> Branch:
    if not goods.is_tracked:
        return Branch(f"{named(goods)}: nobody can tell one of it from another")
    branches = []
    if Way.UP in ways:
        branches.append(Branch("came from", list(ways[Way.UP].upward(goods))))
    if Way.DOWN in ways:
        branches.append(Branch("went to", list(ways[Way.DOWN].downward(goods))))
    return Branch(named(goods) + known(trace, goods), branches)


class _Way:
    """One way, told; what was told before is not told again."""

    def __init__(self, trace: Trace, way: Way) -> None:
        self._trace, self._walk = trace, trace.walks[way]
        self._told: set[Goods] = set()

    def upward(self, goods: Goods) -> Iterator[Branch]:
        """Where goods came from."""
        if goods in self._told:
            yield Branch("as above")
            return
        self._told.add(goods)
        for key, events in _by_movement(self._events(goods, _ORIGINS)):
            about, quantity = movement_named(self._trace, key), self._quantity(goods, events)
            kind = events[0].kind
            if kind is Kind.PRODUCED:
                yield Branch(f"made: {quantity} by {about}", list(self._consumed(goods, key)))
            elif kind is Kind.RECEIVED:
                yield Branch(f"received: {quantity} by {about}{self._from(goods, key)}")
            else:
                yield Branch(f"found by a count: {quantity} by {about}")

    def _consumed(self, goods: Goods, key: Key) -> Iterator[Branch]:
        for link in self._links(goods, key):
            part = self._part(link, link.consumed)
            if link.consumed.is_tracked:
                text = f"{named(link.consumed)}{known(self._trace, link.consumed)}: {part}"
                yield Branch(text, list(self.upward(link.consumed)))
            else:
                yield Branch(f"{named(link.consumed)}: {part}; of which receipt and supplier, nobody can tell")

    def downward(self, goods: Goods) -> Iterator[Branch]:
        """Where goods went, and where the rest stands."""
        if goods in self._told:
            yield Branch("as above")
            return
        self._told.add(goods)
        for key, events in _by_movement(self._events(goods, (*_ENDS, Kind.CONSUMED, Kind.ADJUSTED))):
            if events[0].kind is Kind.CONSUMED:
                text = f"consumed: {self._quantity(goods, events)} by {movement_named(self._trace, key)}"
                yield Branch(text, list(self._produced(goods, key)))
            elif told := self._end(goods, key, events):
                yield Branch(told)
        yield from (Branch(each) for each in _standing(self._trace, goods))

    def _produced(self, goods: Goods, key: Key) -> Iterator[Branch]:
        for link in self._links(goods, key):
            made = f"{named(link.produced)}: {measured(self._trace, link.produced, link.made)} made"
            part = f"with {measured(self._trace, goods, link.part)} of it"
            if link.produced.is_tracked:
                yield Branch(f"{made}, {part}", list(self.downward(link.produced)))
            else:
                yield Branch(f"{made}, {part}; where it went, nobody can tell")

    def _end(self, goods: Goods, key: Key, events: Sequence[Event]) -> str:
        """What happened by one movement; empty for what is told elsewhere."""
        kind = events[0].kind
        told = [each for each in events if not self._trace.is_told_with(each)]
        if kind is Kind.MOVED:
            told = [each for each in told if each.quantity > 0]
        if not told:
            return ""
        quantity, about = self._quantity(goods, told), movement_named(self._trace, key)
        if kind is Kind.ADJUSTED:
            total = sum((each.quantity for each in told), Decimal(0))
            return f"counted: {quantity} {'more' if total > 0 else 'less'} by {about}"
        if kind is Kind.MOVED:
            return f"moved: {quantity} to {', '.join(sorted({each.warehouse for each in told}))} by {about}"
        return f"{_ENDS[kind]}: {quantity}{self._to(kind, key)} by {about}{self._back(goods, told)}"

    def _to(self, kind: Kind, key: Key) -> str:
        movement = self._trace.movements.get(key)
        if movement is None:
            return ""
        if kind is Kind.RETURNED:
            return f" from {movement.customer}" if movement.customer else ""
        whom = movement.supplier if kind is Kind.SENT_BACK else movement.customer or movement.recipient
        return f" to {whom}" if whom else ""

    def _back(self, goods: Goods, events: Iterable[Event]) -> str:
        """What came back of a delivery."""
        back = _by_movement(each for event in events for each in self._trace.returns_of(event))
        told = [f"{self._quantity(goods, own)} came back by {movement_named(self._trace, key)}" for key, own in back]
        return f"; {', '.join(told)}" if told else ""

    def _from(self, goods: Goods, key: Key) -> str:
        movement, batch = self._trace.movements.get(key), self._trace.batches.get(goods)
        supplier = (movement and movement.supplier) or (batch and batch.supplier)
        lot = f", its lot {batch.supplier_batch}" if batch is not None and batch.supplier_batch else ""
        return f", from {supplier}{lot}" if supplier else lot

    def _events(self, goods: Goods, kinds: Sequence[Kind]) -> list[Event]:
        return [each for each in self._walk.events.get(goods, ()) if each.kind in kinds]

    def _links(self, goods: Goods, key: Key) -> list[Link]:
        return [each for each in self._walk.links.get(goods, ()) if each.key == key]

    def _quantity(self, goods: Goods, events: Iterable[Event]) -> str:
        return measured(self._trace, goods, abs(sum((each.quantity for each in events), Decimal(0))))

    def _part(self, link: Link, goods: Goods) -> str:
        part = measured(self._trace, goods, link.part)
        return part if link.part == link.quantity else f"{part} of {measured(self._trace, goods, link.quantity)}"


def named(goods: Goods) -> str:
    """Goods, as they are called."""
    if goods.serial is not None:
        return f"{goods.item}, serial {goods.serial}"
    return f"{goods.item}, batch {goods.batch}" if goods.batch is not None else f"{goods.item}, untracked"


def known(trace: Trace, goods: Goods) -> str:
    """What a batch's record says, in brackets."""
    batch = trace.batches.get(goods)
    if batch is None:
        return ""
    place = f" at {batch.manufactured_at}" if batch.manufactured_at else ""
    parts = [f"manufactured {batch.manufactured_on or ''}{place}" if batch.manufactured_on or place else ""]
    parts += [f"expires {batch.expires_on}" if batch.expires_on else "", batch.state.value]
    return f" ({', '.join(filter(None, parts))})"


def _standing(trace: Trace, goods: Goods) -> Iterator[str]:
    """Where the rest stands; what is on its way stands apart."""
    on_hand = {place: quantity for place, quantity in sorted(trace.balances[goods].on_hand.items()) if quantity}
    for place, quantity in on_hand.items():
        state = "in transit" if place in trace.in_transit else "on hand"
        yield f"{state}: {measured(trace, goods, quantity)} in {place}"


def balanced(name: str, balance: Balance) -> str:
    """All that came, and all that went and is there: `produced 200 = delivered 30 + on hand 170`."""
    came = [f"{kind} {plain(balance.of(kind))}" for kind in CAME if balance.of(kind)]
    went = [f"{kind} {plain(balance.of(kind))}" for kind in WENT if balance.of(kind)]
    counted = balance.of(Kind.ADJUSTED)
    if counted:
        side = came if counted > 0 else went
        side.append(f"counted {'more' if counted > 0 else 'less'} {plain(abs(counted))}")
    if balance.standing or not went:
        went.append(f"on hand {plain(balance.standing)}")
    told = f"{name}: {' + '.join(came) or 'nothing'} = {' + '.join(went)}"
    if balance.holds:
        return told
    moved = balance.of(Kind.MOVED)
    if moved:
        told += f", and transfers that come to {plain(moved)}"
    wrong = "are missing" if balance.difference > 0 else "are too many"
    return f"{told}: DOES NOT HOLD, {plain(abs(balance.difference))} {wrong}"


def movement_named(trace: Trace, key: Key) -> str:
    """A movement: its id, day and document, which is not told twice."""
    movement = trace.movements.get(key)
    if movement is None:
        return f"{key[0]} {key[1]}"
    document = f", {movement.document}" if movement.document and movement.document != key[1] else ""
    return f"{key[1]} ({movement.posting_date}{document})"


def measured(trace: Trace, goods: Goods, quantity: Decimal) -> str:
    return f"{plain(quantity)} {trace.stock_units.get(goods.item, '')}".rstrip()


def _by_movement(events: Iterable[Event]) -> list[tuple[Key, list[Event]]]:
    """Events of one movement and kind together, in the order in which the first of them happened."""
    found: dict[tuple[Key, Kind], list[Event]] = {}
    for event in events:
        found.setdefault((event.key, event.kind), []).append(event)
    return [(key, own) for (key, _), own in found.items()]
