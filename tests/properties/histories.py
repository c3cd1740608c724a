"""Random days of a shop: hundreds of mixed movements of all purposes over every kind of item, drawn from one seed.

The one idea is the book of what stands where: whatever a movement asks for can be had when the movements come in the
order drawn. A day that goes `one_way` can be had in any order: each movement takes from one warehouse only, goods go
from the dock towards the counter and never back, and so whatever a movement takes comes by movements that wait for
nothing behind it. There every line says what it moves. An item costs the same each time, unless it may cost anything:
then what it is worth is a matter of time.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Literal

from msgspec import structs

from services.desk.events import Event, make_event
from shared.contracts.movement import MovementRequested, RequestedLine, Tax, Tender, TicketMoney
from shared.contracts.registry import MOVEMENT_REQUESTED
from shared.purposes import PURPOSES, Flow
from shared.quantities import Money
from tests.builders import COMPANY, MORNING, SOURCE
from tests.receiving_builders import line, movement

STEP = timedelta(seconds=25)  # a thousand movements between nine and four
PLACES = ("dock", "north", "road", "south", "counter")
"""The warehouses, in the order in which goods go through them on a day that goes one way."""

_ACCOUNTS = {"bank": "asset", "samples": "expense", "services": "income", **{f"stock {p}": "asset" for p in PLACES}}
_EXPIRIES = {f"C{n}": date(2026, 3, 2) + timedelta(days=n) for n in range(1, 6)}
_WAYS = {flow: [each.name for each in PURPOSES.values() if each.flow is flow] for flow in Flow}


@dataclass(frozen=True, slots=True)
class Goods:
    """An item, how its lines name what they move, and what it costs; `whole`: it is counted, not weighed."""

    item: str
    rate: str
    naming: Literal["nothing", "batch", "serial"] = "nothing"
    whole: bool = True
    explicit: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)


GOODS = (
    Goods("tea", "2.50", more={"valuation_method": "fifo", "standard_rate": "2.50"}),
    Goods("soap", "1.20", more={"valuation_method": "lifo"}),
    Goods(
        "salt", "0.80", whole=False, more={"valuation_method": "moving_average", "unit": "kg", "units": {"bag": "5"}}
    ),
    Goods("cream", "4.00", "batch", more={"tracking": "batch", "create_batches_on_receipt": True, "pick": "fefo"}),
    Goods("serum", "7.40", "batch", whole=False, more={"tracking": "batch"}),
    Goods("phone", "120.00", "serial", more={"tracking": "serial", "warranty_days": 365}),
    # What these lines move is picked, or numbered by a series.
    Goods("pills", "3.10", explicit=False, more={"tracking": "batch", "batch_series": "P-.###", "pick": "lifo"}),
    Goods("lamp", "30.00", explicit=False, more={"tracking": "serial", "serial_series": "L-.#####", "pick": "fifo"}),
)
_DEFINED_BATCHES = {"serum": [f"S{n}" for n in range(1, 31)], "phone": ["PB1", "PB2"]}


def masters(patience: int = 60, lateness: int = 86_400) -> list[Event]:
    """The company, whose tills may be late by a whole day, its source with this patience (seconds), and its goods."""
    accounts = [{"account": account, "kind": kind} for account, kind in _ACCOUNTS.items()]
    company = {"company": COMPANY, "currency": "EUR", "lateness": lateness}
    return [
        _definition("company", COMPANY, company),
        _definition("source", SOURCE, {"source": SOURCE, "patience": patience}),
        _definition("accounts", "accounts", {"company": COMPANY, "accounts": accounts}),
        *(_definition("warehouse", place, _warehouse(place)) for place in PLACES),
        *(_definition("item", each.item, {"company": COMPANY, "item": each.item, **each.more}) for each in GOODS),
        *(
            _definition("batch", batch, {"company": COMPANY, "item": item, "batch": batch, "expires_on": "2026-05-01"})
            for item, batches in _DEFINED_BATCHES.items()
            for batch in batches
        ),
    ]


def _definition(noun: str, name: str, data: Mapping[str, Any]) -> Event:
    return make_event(f"{noun}.defined.v1", SOURCE, data, f"{noun} {name}")


def _warehouse(place: str) -> dict[str, str]:
    kind = "transit" if place == "road" else "store"
    return {"company": COMPANY, "warehouse": place, "kind": kind, "account": f"stock {place}"}


def sent(movements: Sequence[MovementRequested]) -> list[Event]:
    """Movements as the till sends them, one event each."""
    return [make_event(MOVEMENT_REQUESTED, SOURCE, each) for each in movements]


def any_day(random: Random, count: int) -> list[MovementRequested]:
    """So many movements that can all be had in this order, and mostly in this order alone."""
    return _draw(_Day(random, GOODS), count)


def one_way_day(random: Random, count: int, *, any_rate: bool = False) -> list[MovementRequested]:
    """So many movements that can all be had in any order, if those that come early wait; no two at one time."""
    return _draw(_Day(random, [each for each in GOODS if each.explicit], one_way=True, any_rate=any_rate), count)


def _draw(day: "_Day", count: int) -> list[MovementRequested]:
    return [day.next() for _ in range(count)]


class _Day:
    """Draws what happens next from the book of what stands where, by batch or serial ("" where a line names none)."""

    def __init__(
        self, random: Random, goods: Sequence[Goods], *, one_way: bool = False, any_rate: bool = False
    ) -> None:
        self.random = random
        self.goods = goods
        self.one_way = one_way
        self.any_rate = any_rate
        self._standing: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
        self._gone: list[str] = []
        self._count = 0
        self._serials = 0

    def next(self) -> MovementRequested:
        """The next movement, a little later than the one before."""
        self._count += 1
        sources = [place for place in PLACES if self._at(place)]
        (flow,) = self.random.choices([Flow.IN, Flow.OUT, Flow.MOVE], [4, 4, 3] if sources else [1, 0, 0])
        source = self.random.choice(sources) if sources else PLACES[0]
        if flow is Flow.MOVE and self.one_way and source == PLACES[-1]:
            flow = Flow.OUT
        lines = self._coming() if flow is Flow.IN else self._leaving(source, self._target(source, flow))
        purpose = self.random.choice(_WAYS[flow])
        parties = {"customer": f"customer {self._count}", "supplier": f"supplier {self._count % 5}"}
        fields: dict[str, Any] = {"id": f"M{self._count:04d}", "document": f"D-{self._count}", **parties}
        if PURPOSES[purpose].takes_difference and self._chance(0.2):
            fields["difference_account"] = "samples"
        if PURPOSES[purpose].has_money:
            lines, fields["money"] = self._sold(lines)
        return movement(purpose, *lines, at=self._moment(), **fields)

    def _moment(self) -> datetime:
        """When it happened; where the order is not to be changed, some is reported late."""
        late = timedelta(minutes=self.random.randint(1, 90)) if not self.one_way and self._chance(0.1) else timedelta()
        return MORNING + self._count * STEP - late

    def _coming(self) -> list[RequestedLine]:
        return [self._comes(self.random.choice(self.goods)) for _ in range(self.random.randint(1, 3))]

    def _comes(self, goods: Goods) -> RequestedLine:
        target = self.random.choice(PLACES)
        fields: dict[str, Any] = {"target": target, **self._rate(goods)}
        if goods.naming == "serial":
            serials = [self._new_serial(goods) for _ in range(self.random.randint(1, 4))]
            batch = self.random.choice((None, *_DEFINED_BATCHES[goods.item]))
            self._add(goods, target, dict.fromkeys(serials, Decimal(1)))
            return line(goods.item, serials=serials, batch=batch, **fields)
        if goods.naming == "batch":
            fields["batch"] = self.random.choice(_DEFINED_BATCHES.get(goods.item, tuple(_EXPIRIES)))
            fields["expires_on"] = _EXPIRIES.get(fields["batch"])
        quantity = self._quantity(goods, Decimal(20))
        if "units" in goods.more and self._chance(0.3):
            factor = Decimal(goods.more["units"]["bag"])
            fields |= {"unit": "bag", "rate": factor * Decimal(fields["rate"])}
            self._add(goods, target, {"": quantity * factor})
        else:
            self._add(goods, target, {fields.get("batch", ""): quantity})
        return line(goods.item, quantity, **fields)

    def _rate(self, goods: Goods) -> dict[str, Any]:
        """What it costs; where the order is not to be changed, any other rate, the last one known, or nothing."""
        if self.one_way and not self.any_rate:
            return {"rate": goods.rate}
        if self.one_way:
            return {"rate": Decimal(goods.rate) * self.random.randint(5_000, 15_000) / 10_000}
        if "standard_rate" in goods.more and self._chance(0.2):
            return {"rate": None}
        if "units" not in goods.more and self._chance(0.05):
            return {"allow_zero_rate": True}
        return {"rate": Decimal(goods.rate) * self.random.randint(8_000, 12_000) / 10_000}

    def _new_serial(self, goods: Goods) -> str:
        """A serial that never was, or one that left before."""
        if self._gone and not self.one_way and self._chance(0.2):
            return self._gone.pop(self.random.randrange(len(self._gone)))
        self._serials += 1
        return f"{goods.item} {self._serials}"

    def _leaving(self, source: str, target: str | None) -> list[RequestedLine]:
        """Lines out of a warehouse, or out of any where the order is not to be changed; what moves arrives at last."""
        lines: list[RequestedLine] = []
        arriving: list[tuple[Goods, str, dict[str, Decimal]]] = []
        for _ in range(self.random.randint(1, 3)):
            if not self._at(source):
                break
            goods = self.random.choice(self._at(source))
            taken = self._take(goods, source)
            lines.append(self._leaves(goods, taken, source=source, target=target))
            if target is not None:
                arriving.append((goods, target, taken))
            elif goods.naming == "serial":
                self._gone += taken
            others = [place for place in PLACES if self._at(place) and place != target]
            source = source if self.one_way or not others else self.random.choice(others)
        for each in arriving:
            self._add(*each)
        return lines

    def _leaves(self, goods: Goods, taken: Mapping[str, Decimal], **places: str | None) -> RequestedLine:
        if goods.naming == "serial":
            return line(goods.item, serials=list(taken), **places)
        ((batch, quantity),) = taken.items()
        return line(goods.item, quantity, batch=batch or None, **places)

    def _take(self, goods: Goods, source: str) -> dict[str, Decimal]:
        """Some of what stands there, now and then all of it: several serials, else of one batch."""
        there = self._standing[goods.item, source]
        if goods.naming == "serial":
            return {serial: there.pop(serial) for serial in self._some(list(there))}
        lot = self.random.choice(list(there))
        quantity = there[lot] if self._chance(0.2) else self._quantity(goods, min(there[lot], Decimal(6)))
        there[lot] -= quantity
        if not there[lot]:
            del there[lot]
        return {lot: quantity}

    def _some(self, serials: list[str]) -> list[str]:
        return self.random.sample(serials, self.random.randint(1, min(3, len(serials))))

    def _target(self, source: str, flow: Flow) -> str | None:
        if flow is not Flow.MOVE:
            return None
        onward = PLACES[PLACES.index(source) + 1 :]
        return self.random.choice(onward if self.one_way else [place for place in PLACES if place != source])

    def _sold(self, lines: Sequence[RequestedLine]) -> tuple[list[RequestedLine], TicketMoney | None]:
        """The lines with their money, one of services now and then, and how all of it was paid."""
        services = [line(account="services")] if self._chance(0.3) else []
        sold = [structs.replace(each, net=self._amount(), tax=self._taxes()) for each in (*lines, *services)]
        due = sum((each.net + sum(tax.amount for tax in each.tax) for each in sold if each.net), Decimal(0))
        if self._chance(0.5):
            return sold, None
        tenders = [Tender(kind="cash", amount=Money(1)), Tender(account="bank", amount=Money(due - 1))]
        return sold, TicketMoney(tenders=tenders)

    def _taxes(self) -> list[Tax]:
        return [Tax(code="vat", amount=self._amount())] if self._chance(0.7) else []

    def _amount(self) -> Money:
        return Money(Decimal(self.random.randint(1, 9_999)) / 100)

    def _quantity(self, goods: Goods, limit: Decimal) -> Decimal:
        if goods.whole:
            return Decimal(self.random.randint(1, int(limit)))
        return Decimal(self.random.randint(1, int(limit * 4))) / 4

    def _at(self, place: str) -> list[Goods]:
        return [each for each in self.goods if self._standing[each.item, place]]

    def _add(self, goods: Goods, place: str, lots: Mapping[str, Decimal]) -> None:
        there = self._standing[goods.item, place]
        for lot, quantity in lots.items():
            there[lot] = there.get(lot, Decimal(0)) + quantity

    def _chance(self, share: float) -> bool:
        return self.random.random() < share
