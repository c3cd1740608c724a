"""Returns against a slow bookkeeping, over random histories: which units are still out, and what was given back."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import count, repeat
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.receiving.decide.allocation import Accepted
from services.receiving.decide.originals import entry_id
from shared.contracts.movement import RequestedLine, Tax
from shared.quantities import Money
from tests.receiving_builders import Shop, against, comes, goes, item, line, reasons

ITEMS = (
    item("tea"),
    item("cream", tracking="batch", create_batches_on_receipt=True),
    item("phone", tracking="serial"),
)
STOCK = {"tea": 60, "cream": 40, "phone": 30}
seeds = st.integers(0, 2**32)


@dataclass
class Unit:
    """One piece of a document's goods: by which of its lines and legs it moved, and whether it was returned."""

    item: str
    line: int
    leg: int
    batch: str | None
    serial: str | None
    back: bool = False


class Document:
    """A sale or a receipt, unit by unit."""

    def __init__(self, judged: Accepted) -> None:
        self.judged = judged
        self.units = [
            Unit(leg.item, leg.line, place, leg.batch, serial)
            for place, leg in enumerate(judged.allocated.legs)
            for serial in (leg.serials or repeat(None, abs(int(leg.quantity))))
        ]
        self.given: Counter[str] = Counter()

    def back(self, asked: Sequence[RequestedLine]) -> list[tuple[int, Unit]] | None:
        """The units that lines return, each with its line; None where one cannot have what it asks for."""
        found: list[tuple[int, Unit]] = []
        for number, each in enumerate(asked, 1):
            units = self._of(each, [unit for _, unit in found])
            if units is None:
                return None
            found += [(number, unit) for unit in units]
        return found

    def _of(self, asked: RequestedLine, taken: Sequence[Unit]) -> list[Unit] | None:
        out = [unit for unit in self.units if not unit.back and not any(unit is each for each in taken)]
        out = [unit for unit in out if unit.item == asked.item and asked.against_line in (None, unit.line)]
        if asked.batch is not None:
            out = [unit for unit in out if unit.batch == asked.batch]
        if asked.serials is not None:
            by_serial = {unit.serial: unit for unit in out}
            found = [by_serial.get(serial) for serial in asked.serials]
        else:
            found = [*out, *[None] * 100][: int(asked.quantity or 0)]
        return None if None in found else [unit for unit in found if unit is not None]

    def owed(self) -> Counter[str]:
        """What was given back if of every amount of every line the part that is back was, rounded to cents."""
        owed: Counter[str] = Counter()
        money = self.judged.allocated.money
        for each in money.credits if money is not None else ():
            units = [unit for unit in self.units if unit.line == each.line]
            part = Fraction(each.amount) * sum(unit.back for unit in units) / len(units)
            owed[each.account] += int(round(part, 2) * 100)
        return owed


class Trade:
    """A shop that sells, or buys, at random, and to which, or from which, anything may be returned."""

    def __init__(self, random: Random, purpose: str) -> None:
        self.random = random
        self.purpose = purpose
        self.returning = {"sale": "sales_return", "purchase_receipt": "purchase_return"}[purpose]
        self.sign = -1 if purpose == "sale" else 1
        self.documents: list[Document] = []
        self.numbers = count(100)
        self.shop = Shop(*ITEMS)
        self.shop.accepted(
            "opening_stock",
            comes("tea", 60),
            comes("cream", 13, batch="B1"),
            comes("cream", 27, batch="B2"),
            comes("phone", serials="S10-S39"),
        )

    def trade(self) -> None:
        """One more document, if there are the goods for it."""
        lines = [_LINES[self.purpose](self) for _ in range(self.random.randint(1, 3))]
        judged = self.shop.ask(self.purpose, *lines)
        if isinstance(judged, Accepted):
            self.documents.append(Document(judged))
        else:
            assert {code for code, _ in reasons(judged)} == {"insufficient_stock"}

    def sold(self) -> RequestedLine:
        cents = [Money(Decimal(self.random.randint(0, 9_999)) / 100) for _ in range(3)]
        taxes = [Tax(code=str(rate), amount=amount) for rate, amount in enumerate(cents[1:])]
        return goes(self.any_item(), self.random.randint(1, 7), net=str(cents[0]), tax=taxes)

    def bought(self) -> RequestedLine:
        what, quantity = self.any_item(), self.random.randint(1, 7)
        serials = [f"N{next(self.numbers)}" for _ in range(quantity)] if what == "phone" else None
        batch = self.random.choice(["B1", "B2"]) if what == "cream" else None
        return comes(what, quantity, serials=serials, batch=batch)

    def give_back(self) -> None:
        """Ask for something back of a document, and see that the answer is that of the bookkeeping."""
        document = self.random.choice(self.documents)
        lines = [self.any_return(document) for _ in range(self.random.choice([1, 1, 2, 3]))]
        self.returned(document, lines)

    def any_item(self) -> str:
        return self.random.choice(sorted(STOCK))

    def any_return(self, document: Document) -> RequestedLine:
        """A line that asks for some of a unit's kind; what it names is mostly that unit's own."""
        unit = self.random.choice(document.units)
        against_line = self.random.choice([None, None, None, unit.line, unit.line, 2])
        if unit.serial is not None and self.random.random() < 0.6:
            others = [each for each in document.units if each.serial and against_line in (None, each.line)]
            numbers = {unit.serial, *(each.serial or "" for each in self.random.sample(others, min(len(others), 2)))}
            return line(unit.item, serials=self.random.sample(sorted(numbers), len(numbers)), against_line=against_line)
        batch = self.random.choice([None, None, unit.batch, unit.batch and "B2"])
        what = unit.item if self.random.random() < 0.95 else self.any_item()
        named = batch if what == unit.item else None
        return line(what, self.random.randint(1, 3), batch=named, against_line=against_line)

    def returned(self, document: Document, lines: Sequence[RequestedLine]) -> None:
        expected = document.back(lines)
        judged = self.shop.ask(self.returning, *lines, against=against(document.judged))
        assert isinstance(judged, Accepted) == (expected is not None), (lines, reasons(judged))
        if expected is None or not isinstance(judged, Accepted):
            return
        for _, unit in expected:
            unit.back = True
        assert _moved(judged, document) == Counter((number, unit.leg, unit.serial) for number, unit in expected)
        money = judged.allocated.money
        for each in money.debits if money is not None else ():
            document.given[each.account] += int(each.amount * 100)
        assert document.given == document.owed()
        self.check_stock()

    def return_the_rest(self) -> None:
        """Return all that is still out of every document; then nothing more of it can be."""
        for document in self.documents:
            rest = Counter(unit.item for unit in document.units if not unit.back)
            if rest:
                self.returned(document, [line(what, quantity) for what, quantity in rest.items()])
            assert all(unit.back for unit in document.units)
            judged = self.shop.ask(self.returning, line("tea", 1), against=against(document.judged))
            assert reasons(judged) in ([("over_return", 1)], [("not_in_original", 1)])

    def check_stock(self) -> None:
        out = Counter(unit.item for each in self.documents for unit in each.units if not unit.back)
        for what, quantity in STOCK.items():
            assert self.shop.quantity(what) == str(quantity + self.sign * out[what])


_LINES: dict[str, Callable[[Trade], RequestedLine]] = {"sale": Trade.sold, "purchase_receipt": Trade.bought}


def _moved(judged: Accepted, document: Document) -> Counter[tuple[int, int, str | None]]:
    """The units that a return moved: by its lines, of the document's legs."""
    places = {entry_id(document.judged.allocated, leg): leg for leg in {unit.leg for unit in document.units}}
    return Counter(
        (leg.line, places[leg.original or ""], serial)
        for leg in judged.allocated.legs
        for serial in (leg.serials or repeat(None, abs(int(leg.quantity))))
    )


@pytest.mark.parametrize("purpose", ["sale", "purchase_receipt"])
@given(seeds)
def test_never_more_is_returned_than_went_and_all_of_it_brings_back_all_money_to_the_cent(
    purpose: str, seed: int
) -> None:
    trade = Trade(Random(seed), purpose)
    trade.trade()
    for _ in range(12):
        if trade.random.random() < 0.3 or not trade.documents:
            trade.trade()
        else:
            trade.give_back()
    trade.return_the_rest()
    trade.check_stock()
    for document in trade.documents:
        money = document.judged.allocated.money
        sold: Counter[str] = Counter()
        for each in money.credits if money is not None else ():
            sold[each.account] += int(each.amount * 100)
        assert document.given == sold
