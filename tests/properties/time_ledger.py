"""The ledger at work on a history: movements are posted a few at a time, in between some is valued anew, all is booked.

After each transaction the books must balance, whatever is still to be valued anew.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count, cycle
from typing import Any

import sqlalchemy as sa
from msgspec import structs

from services.accounting.decide.journal import book, book_revaluation
from services.ledger.handlers import service
from shared.contracts.codec import decoder, read, write
from shared.contracts.journal import JournalPosted
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_POSTED
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import columns, query, run, transaction
from shared.identity import derived_id
from shared.service import Output
from tests import servers
from tests.builders import carry_out, deliver
from tests.properties.reference_stock import NOTHING
from tests.properties.reference_time import Standing, Total
from tests.properties.shop_floor import Heap

Plan = Sequence[tuple[int, int, int]]
"""Again and again: how many movements come at once, how often something is valued anew then, and how much of it."""
PIECES = 1000
"""More than any history of these needs."""

_ACCEPT = """
INSERT INTO receiving.movement (source, id, digest, company, purpose, recorded_at, effective_at, allocated, outcome)
SELECT source, id, '', company, purpose, recorded_at, effective_at, allocated, ''
FROM unnest(
    cast(:source AS text[]), cast(:id AS text[]), cast(:company AS text[]), cast(:purpose AS text[]),
    cast(:recorded_at AS timestamptz[]), cast(:effective_at AS timestamptz[]), cast(:allocated AS bytea[])
) AS given (source, id, company, purpose, recorded_at, effective_at, allocated)
"""
_ENTRIES = """
SELECT cast(entry_id AS text), cast(part_of AS text), item, warehouse, coalesce(batch, ''), effective_at, quantity,
    value, cast(booked AS text)
FROM ledger.entry WHERE company = :company
"""
# By item, warehouse and batch; the batch of a bin itself is null.
_HELD = """
SELECT item, warehouse, null, quantity, value, pending FROM ledger.bin WHERE company = :company
UNION ALL
SELECT item, warehouse, batch, quantity, value, pending FROM ledger.bin_batch WHERE company = :company
"""
_DIRTY = "SELECT item, warehouse, from_at, from_stamp FROM ledger.dirty WHERE company = :company"

_GIVE_UP = "DELETE FROM ledger.dirty WHERE company = :company"

_posted = decoder(MovementPosted)
_revalued = decoder(StockRevalued)


@dataclass(frozen=True)
class Entry:
    """What the ledger keeps of an entry."""

    entry: str
    part_of: str | None
    heap: Heap
    effective_at: datetime
    quantity: Fraction
    value: Fraction
    booked: dict[str, Fraction]


@dataclass
class Ledger:
    """The ledger of one company, and the journal that accounting makes of what it tells.

    `told`: by movement, what was posted and what corrects it, each recorded when it became known; `outputs`: the
    messages. `open_from`: nothing that is told counts before that day.
    """

    engine: sa.Engine
    company: str
    outputs: list[Output] = field(default_factory=list)
    told: list[MovementPosted] = field(default_factory=list)
    journal: list[JournalPosted] = field(default_factory=list)
    open_from: date = date.min

    def play(self, history: Sequence[MovementAllocated], plan: Plan) -> None:
        """Post a history as planned; what is left to be valued anew in the end is not."""
        ahead = list(history)
        for size, times, piece in cycle(plan):
            for together in _of_one_period(ahead[:size]):
                self._close(together[0])
                self._post(together)
            for _ in range(times):
                self._value_anew(piece)
            ahead = ahead[size:]
            if not ahead:
                return

    def settle(self, piece: int) -> None:
        """Value anew whatever is to be."""
        for _ in range(PIECES):
            if not self.dirty():
                return
            self._value_anew(piece)
        raise AssertionError(f"it never ends: {self.dirty()}")

    def give_up(self) -> None:
        """Leave it as it is: nothing of it is valued anew any more."""
        with transaction(self.engine) as connection:
            run(connection, _GIVE_UP, company=self.company)

    def dirty(self) -> list[tuple[Any, ...]]:
        """What is still to be valued anew."""
        return self._rows(_DIRTY)

    def pending(self) -> list[tuple[Any, ...]]:
        """The bins, and batches in them, whose entries say something else than what stands there."""
        return [row for row in self._rows(_HELD) if row[-1]]

    def entries(self) -> list[Entry]:
        """All that was posted."""
        return list(map(_entry, self._rows(_ENTRIES)))

    def totals(self) -> dict[str, Total]:
        """What each leg came to: its entry, with all that belongs to it."""
        entries = {each.entry: each for each in self.entries()}
        found: dict[str, Total] = {}
        for each in entries.values():
            root = each.entry
            while root in entries and (part_of := entries[root].part_of) is not None:
                root = part_of
            found[root] = found.get(root, Total()) + Total(each.quantity, each.value, each.booked)
        return {root: total for root, total in found.items() if total != Total()}

    def standing(self) -> dict[datetime, Standing]:
        """What stands everywhere, by the entries, right behind each moment at which some take effect."""
        found: dict[datetime, Standing] = {}
        now: dict[Heap, tuple[Fraction, Fraction]] = {}
        for each in sorted(self.entries(), key=lambda entry: entry.effective_at):
            quantity, value = now.get(each.heap, (NOTHING, NOTHING))
            now[each.heap] = (quantity + each.quantity, value + each.value)
            found[each.effective_at] = {heap: held for heap, held in now.items() if any(held)}
        return found

    def accounts(self) -> dict[str, Fraction]:
        """What was booked on each account; debits are above zero."""
        found: dict[str, Fraction] = {}
        for transfer in (transfer for each in self.journal for transfer in each.transfers):
            amount = Fraction(transfer.amount)
            found[transfer.debit] = found.get(transfer.debit, NOTHING) + amount
            found[transfer.credit] = found.get(transfer.credit, NOTHING) - amount
        return {account: amount for account, amount in found.items() if amount}

    # --- working ------------------------------------------------------------------------------------------------------

    def _post(self, movements: Sequence[MovementAllocated]) -> None:
        rows = [
            (each.source, each.id, each.company, each.purpose, each.recorded_at, each.effective_at, write(each))
            for each in movements
        ]
        names = "source id company purpose recorded_at effective_at allocated"
        with transaction(self.engine) as connection:
            run(connection, _ACCEPT, **columns(rows, names))
        self._hear(deliver(self.engine, *movements))

    def _close(self, movement: MovementAllocated) -> None:
        """Books that are closed are locked when what was accepted before is settled; nothing is dated there again."""
        if movement.open_from is not None and movement.open_from > self.open_from:
            self.settle(1)
            self.open_from = movement.open_from

    def _value_anew(self, piece: int) -> None:
        chore = service().chore
        assert chore is not None
        self._hear(carry_out(self.engine, "ledger", chore(piece)))

    def _hear(self, outputs: Sequence[Output]) -> None:
        before = len(self.told)
        self.outputs += outputs
        for output in outputs:
            if output.kind == MOVEMENT_POSTED:
                posted = read(_posted, output.body)
                self.told.append(posted)
                made = book(posted, derived_id(posted.recorded_at, posted.source, posted.id))
                self.journal += [made] if made else []
            else:
                revalued = read(_revalued, output.body)
                self.told += [structs.replace(each, recorded_at=revalued.recorded_at) for each in revalued.movements]
                self.journal += book_revaluation(revalued)
        assert all(each.posting_date >= self.open_from for each in self.told[before:])
        self._balance()

    def _balance(self) -> None:
        """Bins hold what their entries say, and the stock accounts what the bins hold."""
        with transaction(self.engine) as connection:
            entries = list(map(_entry, query(connection, _ENTRIES, company=self.company)))
            held = [tuple(row) for row in query(connection, _HELD, company=self.company)]
        said: dict[tuple[str, str, str | None], tuple[Fraction, Fraction]] = {}
        for each in entries:
            item, place, batch = each.heap
            for heap in ((item, place, None), each.heap) if batch else ((item, place, None),):
                quantity, value = said.get(heap, (NOTHING, NOTHING))
                said[heap] = (quantity + each.quantity, value + each.value)
        in_stock: dict[str, Fraction] = {}
        for item, place, batch, amount, worth, pending in held:
            found = (Fraction(amount), Fraction(worth) + Fraction(pending))
            assert said.get((item, place, batch), (NOTHING, NOTHING)) == found, (item, place, batch)
            if batch is None:
                in_stock[place] = in_stock.get(place, NOTHING) + found[1]
        accounts = self.accounts()
        assert {place: accounts.get(f"stock {place}", NOTHING) for place in in_stock} == in_stock

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.engine) as connection:
            return [tuple(row) for row in query(connection, statement, company=self.company)]


Opening = Callable[[], AbstractContextManager[Ledger]]


@contextmanager
def ledgers(postgres: str, empty_database: str) -> Iterator[Opening]:
    """Opens the ledger of another company each time, one beside the other in one database."""
    numbers = count(1)

    @contextmanager
    def open_ledger() -> Iterator[Ledger]:
        ledger = Ledger(engine, f"shop-{next(numbers)}")
        try:
            yield ledger
        finally:
            ledger.give_up()

    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        engine = sa.create_engine(url)
        yield open_ledger
        engine.dispose()


def _of_one_period(movements: Sequence[MovementAllocated]) -> Iterator[list[MovementAllocated]]:
    """Movements in parts between which no books were closed."""
    together: list[MovementAllocated] = []
    for movement in movements:
        if together and together[-1].open_from != movement.open_from:
            yield together
            together = []
        together.append(movement)
    if together:
        yield together


def _entry(row: Sequence[Any]) -> Entry:
    entry, part_of, item, place, batch, effective_at, quantity, value, booked = row
    heap = (item, place, batch)
    return Entry(entry, part_of, heap, effective_at, Fraction(quantity), Fraction(value), _booked(booked))


def _booked(text: str | None) -> dict[str, Fraction]:
    """By account, what of an entry is booked apart."""
    texts: Collection[str] = json.loads(text) if text else ()
    pairs = zip(list(texts)[::2], list(texts)[1::2], strict=True)
    return {account: Fraction(Decimal(amount)) for account, amount in pairs}
