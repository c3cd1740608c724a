"""Whatever can be read is answered: odd texts, dates and numbers end in an outcome, never in an error."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Any, TypeVar

import pytest

from shared.contracts.codec import decoder, read, write
from shared.contracts.movement import (
    AdditionalCost,
    MovementAllocated,
    MovementRequested,
    Reference,
    RequestedLine,
    Tax,
    Tender,
    TicketMoney,
)
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.purposes import PURPOSES, Flow
from shared.quantities import Money, Quantity
from tests.builders import COMPANY, MORNING
from tests.receiving_builders import (
    GOODS,
    STOCKED,
    Gate,
    assert_sound,
    codes,
    comes,
    define_shop,
    goes,
    line,
    movement,
    opened,
    rows,
)

MANY = "999999999999"
UNITS = {"huge": MANY, "box": "12", "crumb": "0.000001"}
ODD_GOODS: tuple[dict[str, Any], ...] = (
    {"item": "tiny", "whole_units": True, "units": UNITS, "standard_rate": "0.000000001"},
    {"item": "long", "tracking": "serial", "serial_series": "é" * 80 + ".{item}.YYYY.MM.#", "units": UNITS},
    {"item": "dear", "tracking": "batch", "batch_series": "B" * 100, "create_batches_on_receipt": True,
     "units": UNITS, "shelf_life_days": 36_500, "standard_rate": MANY},
)  # fmt: skip
TEXTS = [
    "",
    " ",
    "B1",
    "B" * 140,
    "B" * 1000,
    "\U0001f600" * 140,
    "\u202eabc",
    "a\tb\\n\n{}\",'",
    "\\N",
    "%s",
    ":x",
    "S-02-S-09",
]
QUANTITIES = [None, "0", "-1", "-0", "0.000001", MANY, f"{MANY}.999999"]
SERIALS = [[], TEXTS[:3], "A1-A3", "A1,A1", "1" * 200 + "-" + "1" * 200]
DATES = [None, date.min, date.max, MORNING.date()]
TIMES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(1900, 1, 1, tzinfo=UTC),
    MORNING + timedelta(days=1),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))),
]
ODD_MONEY = TicketMoney(
    tenders=[Tender(kind="cash", amount=Money("999999999999999"))], rounding=Money("-999999999999999.999")
)
EARLIER = (
    STOCKED,
    movement("purchase_receipt", comes("tea", 99), comes("cream", 50, batch="B1"), comes("phone", 30), id="bought"),
    movement("material_receipt", comes("tea", 1, "on-the-way"), id="set apart"),
    movement("delivery", goes("tea", 5), goes("cream", 3), goes("phone", 3), id="sold"),
)
_RETURNED = ["tea", "phone", "cream"]
_ALL = [*_RETURNED, "tiny", "long", "dear"]
_COMING = (Flow.IN, Flow.COUNT, Flow.COME_BACK)
_RATED = (Flow.IN, Flow.COUNT, Flow.WRITE_DOWN)
_Value = TypeVar("_Value")


@pytest.mark.parametrize("seed", range(2))
def test_odd_movements_are_all_answered_and_what_is_accepted_can_be_read(database: str, seed: int) -> None:
    with opened(database) as engine:
        gate, draw = Gate(engine), Draw(Random(seed))
        define_shop(gate, *GOODS, *ODD_GOODS)
        gate.accept(*EARLIER)
        told: list[OutcomeAccepted | OutcomeRejected] = []
        for number in range(90):
            told += gate.ask(*(draw.movement(f"{number} {place}") for place in range(draw.random.randint(1, 4))))
        assert sum(isinstance(each, OutcomeAccepted) for each in told) > 50
        reader = decoder(MovementAllocated)
        for (body,) in rows(engine, "SELECT allocated FROM receiving.allocated"):
            read(reader, bytes(body))
        assert_sound(engine)


def test_a_negative_quantity_of_serials_is_refused_and_spares_its_neighbours(database: str) -> None:
    with opened(database) as engine:
        gate = Gate(engine)
        define_shop(gate, *GOODS)
        gate.accept(STOCKED)
        asked = [movement("delivery", goes("phone", quantity), id=quantity) for quantity in ("-5", "3")]
        assert [codes(each) for each in gate.ask(*asked)] == [["quantity_not_positive"], []]


def test_a_batch_made_at_the_end_of_the_calendar_expires_with_it(database: str) -> None:
    with opened(database) as engine:
        gate = Gate(engine)
        define_shop(gate, *ODD_GOODS)
        made = {"company": COMPANY, "item": "dear", "batch": "B1", "manufactured_on": "9999-12-30"}
        assert codes(gate.define("batch", **made)) == []
        assert rows(engine, "SELECT expires_on FROM receiving.batch_status") == [(date.max,)]
        gate.accept(movement("opening_stock", comes("dear", "0.5", batch="B1"), id="1"))


class Draw:
    """Draws movements that are mostly sound, with something odd here and there."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def movement(self, identifier: str) -> MovementRequested:
        purpose = self.random.choice(list(PURPOSES))
        flow = PURPOSES[purpose].flow
        lines = [
            self._line(purpose, flow) for _ in range(self.random.choice((1, 1, 2, 3)) if flow is not Flow.LAND else 1)
        ]
        if flow is Flow.MAKE:
            lines.append(self._line("material_receipt", Flow.IN))
        asked = movement(
            purpose,
            *lines,
            against=self._against(purpose),
            additional_costs=[self._cost()] if flow is Flow.LAND else self._or_odd([], [[self._cost()]]),
            opening=self._or_odd(False, [True]),
            id=identifier,
            at=self._or_odd(MORNING, TIMES),
            company=self._or_odd(COMPANY, [None, "x"]),
            customer=self._or_odd(None, TEXTS),
            document=self._or_odd(None, TEXTS),
            difference_account=self._or_odd(None, ["stock", "x"]),
            money=self._or_odd(None, [ODD_MONEY]),
        )
        return read(decoder(MovementRequested), write(asked))

    def _against(self, purpose: str) -> Reference | None:
        """A movement that one of this purpose may name, if it may name any."""
        sound = [each.id for each in EARLIER if each.purpose in PURPOSES[purpose].against]
        found = self._or_odd(sound if purpose != "sale" else [], [[], ["ghost"], [each.id for each in EARLIER]])
        return Reference(id=self.random.choice(found)) if found else None

    def _cost(self) -> AdditionalCost:
        return AdditionalCost(
            amount=Money(self._or_odd("1.5", ["-1", "0", "0.001", "999999999999999", "-999999999999999"])),
            account=self._or_odd(None, ["stock", "x"]),
            spread=self._or_odd("amount", ["quantity", "share"]),
        )

    def _line(self, purpose: str, flow: Flow) -> RequestedLine:
        if flow is Flow.LAND:
            return line(against_line=self._or_odd(1, [2, 0, -(10**18), 10**30]), share=self._share())
        what = self.random.choice(_RETURNED if flow in (Flow.COME_BACK, Flow.SEND_BACK) else _ALL)
        places = ["nowhere", None, "quarantine"]
        of_batch = what in ("cream", "dear")
        batch = self.random.choice(TEXTS if flow is Flow.IN else ["B1", "B1", *TEXTS[:4]]) if of_batch else None
        named = what in ("phone", "long") and self.random.random() < (0.6 if flow in (Flow.IN, Flow.COUNT) else 0.1)
        serials = [self.random.choice(TEXTS)] if named else None
        fields = {
            "source": self._or_odd(None if flow in _COMING else "north", places),
            "target": self._or_odd({Flow.MOVE: "south"}.get(flow, "north" if flow in _COMING else None), places),
            "rate": self._or_odd("1" if flow in _RATED else None, ["0", "-1", MANY, "0.000000001"]),
            "allow_zero_rate": self._or_odd(False, [True]),
            "scrap": self._or_odd(False, [True]),
            "share": self._share(),
            "against_line": self._or_odd(None, [1, 10**30]),
            "unit": self._or_odd(None, [*UNITS, "nil"]),
            "batch": self._or_odd(batch, TEXTS),
            "serials": self._or_odd(serials, SERIALS),
            "manufactured_on": self._or_odd(None, DATES),
            "expires_on": self._or_odd(None, DATES),
            "attributes": self._or_odd({}, [{"a": text} for text in TEXTS]),
            "price": self._or_odd("1" if purpose == "sale" else None, [MANY, "-1"]),
            "tax": self._or_odd([], [[Tax(code="v", amount=Money("999999999999999"))]]),
            "account": self._or_odd(None, ["stock", "x"]),
        }
        sound = None if flow is Flow.WRITE_DOWN else self.random.choice(["1", "1", "1", "2", "2", "0.5"])
        quantity = self._or_odd(sound, QUANTITIES)
        return line(self._or_odd(what, ["ghost", None]), quantity, **fields)

    def _share(self) -> Quantity | None:
        return self._or_odd(None, [Quantity("-1"), Quantity("0"), Quantity("0.000001"), Quantity(f"{MANY}.999999")])

    def _or_odd(self, sound: _Value, odd: Sequence[_Value]) -> _Value:
        return sound if self.random.random() < 0.97 else self.random.choice(odd)
