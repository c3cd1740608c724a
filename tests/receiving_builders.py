"""Builders for receiving: masters and requests with everything filled in that does not matter to a test.

`Shop` asks the pure core, one movement after another on the stock that the others left; `Gate` asks the service on a
PostgreSQL, as a worker would, and tries again where it met another worker.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import Engine

from services.receiving import handlers
from services.receiving.decide.allocation import Accepted, Rejected, allocate, allocate_aside
from services.receiving.decide.cancelling import CANCELLATION, cancel, original_to_undo
from services.receiving.decide.case import Limits, Request
from services.receiving.decide.originals import legs_with_entries
from services.receiving.decide.past import Aside
from services.receiving.decide.stock import Company, Item, Stock, Warehouse
from services.receiving.decide.undoing import Traces
from shared.contracts.codec import decoder, digest, read
from shared.contracts.envelope import read_envelope, write_event
from shared.contracts.movement import Leg, MovementAllocated, MovementRequested, Reference, RequestedLine
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.contracts.registry import (
    MOVEMENT_ALLOCATED,
    MOVEMENT_REQUESTED,
    OUTCOME_ACCEPTED,
    OUTCOME_REJECTED,
    TRIAL_ALLOCATED,
    UNITS_ALLOCATED,
)
from shared.db import Contended, open_engine, query, transaction
from shared.outbox import remove
from shared.purposes import BatchState, Method, Pick, Tracking
from shared.quantities import Money, Quantity, Rate, plain
from shared.service import Handled, Input, Output, Step
from tests.builders import COMPANY, MORNING, SOURCE, Number
from tests.timeline_builders import Timeline
from tests.undoing_builders import traces_of

EVENING = datetime(2026, 3, 2, 18, tzinfo=UTC)
WAREHOUSES = {"north": "store", "south": "store", "on-the-way": "transit", "quarantine": "quarantine"}
_NUMBERS: Mapping[str, type[Quantity] | type[Rate] | type[Money]] = {
    "quantity": Quantity,
    "rate": Rate,
    "price": Rate,
    "net": Money,
}


def company(code: str = COMPANY, **fields: Any) -> Company:
    """A company in euros whose tills may be five minutes late."""
    return Company(code, "EUR", 2, **{"lateness": timedelta(minutes=5), **fields})


def item(code: str = "tea", **fields: Any) -> Item:
    """An item of the shop; `tracking` and `pick` may be given by their names."""
    kinds = {"tracking": Tracking, "pick": Pick, "valuation_method": Method}
    named: dict[str, Any] = {name: kinds[name](value) for name, value in fields.items() if name in kinds}
    return Item(COMPANY, code, **{**fields, **named})


def line(what: str | None = None, quantity: Number | None = None, **fields: Any) -> RequestedLine:
    """A line of a movement; numbers are given as one likes."""
    given = {"item": what, "quantity": quantity, **fields}
    numbers = {name: kind(str(given[name])) for name, kind in _NUMBERS.items() if given.get(name) is not None}
    return RequestedLine(**{**given, **numbers})


def comes(
    what: str, quantity: Number | None = None, target: str = "north", rate: Number | None = "1", **f: Any
) -> RequestedLine:
    """A line that comes in."""
    return line(what, quantity, target=target, rate=rate, **f)


def goes(what: str, quantity: Number | None = None, source: str = "north", **fields: Any) -> RequestedLine:
    """A line that leaves."""
    return line(what, quantity, source=source, **fields)


def moves(
    what: str, quantity: Number | None = None, source: str = "north", target: str = "south", **f: Any
) -> RequestedLine:
    """A line of a transfer."""
    return line(what, quantity, source=source, target=target, **f)


def movement(purpose: str, *lines: RequestedLine, at: datetime = MORNING, **fields: Any) -> MovementRequested:
    """A requested movement; its company follows from its warehouses."""
    return MovementRequested(**{"id": "M1", "purpose": purpose, "posting_at": at, "lines": list(lines), **fields})


def against(judged: Accepted | Rejected) -> Reference:
    """The reference by which another movement of the same source names one."""
    return Reference(id=judged.request.id)


def request(asked: MovementRequested, source: str = SOURCE) -> Request:
    """A movement as the core is given it."""
    return Request(source, asked.id, digest(asked), asked)


class Shop:
    """A company with these items and four warehouses, whose movements are judged by the pure core."""

    def __init__(self, *items: Item, of: Company | None = None, limits: Limits | None = None) -> None:
        self.company = of or company()
        code = self.company.company
        self.stock = Stock(
            companies={code: self.company},
            items={(each.company, each.item): each for each in items},
            warehouses={(code, name): Warehouse(code, name, kind) for name, kind in WAREHOUSES.items()},
        )
        self.limits = limits or Limits()
        self.now = EVENING
        self.timeline = Timeline()
        self.log: list[Accepted] = []
        self._ids = count(1)

    def ask(
        self, purpose: str, *lines: RequestedLine, at: datetime | None = None, **fields: Any
    ) -> Accepted | Rejected:
        """Judge a movement; each is reported a second after the one before unless `at` says otherwise."""
        number = next(self._ids)
        moment = at or MORNING + timedelta(seconds=number)
        asked = movement(purpose, *lines, at=moment, **{"id": f"M{number}", **fields})
        return self.judge(request(asked))

    def judge(self, asked: Request) -> Accepted | Rejected:
        """Judge one request; what is set aside by what was there at its moment and from then on."""
        judged = self.judge_first(asked)
        if not isinstance(judged, Aside):
            return judged
        if asked.movement is not None and asked.movement.purpose == CANCELLATION:
            original = original_to_undo(asked.source, asked.movement, self.stock)
            traces = Traces() if original is None else traces_of(original, self.log, self.timeline, self.stock)
            return self._note(cancel(asked, traces, self.stock, self.now))
        past = self.timeline.outlooks(judged.places, judged.at)
        return self._note(allocate_aside(judged, past, self.stock, self.now, self.limits))

    def judge_first(self, asked: Request) -> Accepted | Rejected | Aside:
        """Judge one request, if it is not set aside."""
        (judged,) = allocate([asked], self.stock, self.now, self.limits)
        return judged if isinstance(judged, Aside) else self._note(judged)

    def _note(self, judged: Accepted | Rejected) -> Accepted | Rejected:
        if isinstance(judged, Accepted) and judged.allocated.trial is None:
            self.timeline.note(judged, judged.undone)
            self.log.append(judged)
        return judged

    def accepted(self, purpose: str, *lines: RequestedLine, **fields: Any) -> Accepted:
        """Judge a movement that nothing speaks against."""
        judged = self.ask(purpose, *lines, **fields)
        assert isinstance(judged, Accepted), reasons(judged)
        return judged

    def refused(self, purpose: str, *lines: RequestedLine, **fields: Any) -> list[tuple[str, int | None]]:
        """Judge a movement that is refused: the codes with their lines."""
        return reasons(self.ask(purpose, *lines, **fields))

    def quantity(self, what: str, warehouse: str = "north") -> str:
        """How much of an item stands in a warehouse."""
        found = self.stock.bins.get((self.company.company, what, warehouse))
        return plain(found.quantity) if found is not None else "0"

    def hold(self, what: str, batch: str, state: BatchState = BatchState.HELD) -> None:
        """Hold, recall or release a batch."""
        key = (self.company.company, what, batch)
        self.stock.batches[key] = self.stock.batches[key]._replace(state=state)


def decided(requests: Sequence[Request], stock: Stock, now: datetime = EVENING) -> list[Accepted | Rejected]:
    """Movements judged together, none of which is set aside."""
    judged = allocate(requests, stock, now, Limits())
    told = [each for each in judged if not isinstance(each, Aside)]
    assert len(told) == len(requests), "set aside"
    return told


def reasons(judged: Accepted | Rejected) -> list[tuple[str, int | None]]:
    """The codes of a refusal with their lines, none for what was accepted."""
    return [(each.code, each.line) for each in judged.outcome.reasons] if isinstance(judged, Rejected) else []


def facts(judged: Accepted | Rejected, code: str) -> Mapping[str, str]:
    """The facts of the first reason of a code."""
    assert isinstance(judged, Rejected)
    return next(each.facts for each in judged.outcome.reasons if each.code == code)


def taken(judged: Accepted | Rejected) -> list[tuple[str | None, str]]:
    """What an accepted movement took or brought: each portion's batch and quantity."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [(each.batch, plain(each.quantity)) for each in judged.outcome.allocated]


def serials(judged: Accepted | Rejected) -> list[str]:
    """The serials that an accepted movement took, brought or made, in the order told."""
    assert isinstance(judged, Accepted), reasons(judged)
    return [number for each in judged.outcome.allocated for number in each.serials]


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    MOVEMENT_ALLOCATED: decoder(MovementAllocated),
    TRIAL_ALLOCATED: decoder(MovementAllocated),
    UNITS_ALLOCATED: decoder(MovementAllocated),
    OUTCOME_ACCEPTED: decoder(OutcomeAccepted),
    OUTCOME_REJECTED: decoder(OutcomeRejected),
}


def decoded(output: Output) -> Any:
    """An output as its struct."""
    return read(_DECODERS[output.kind], output.body)


class Gate:
    """One worker's receiving on a database; `now` is its clock. Without `patience` nothing waits for what may come."""

    def __init__(self, engine: Engine, now: datetime = EVENING, patience: timedelta = timedelta(0)) -> None:
        self.engine = engine
        self.now = now
        self.met = 0
        self._service = handlers.service(lambda: self.now, Limits(patience=patience))
        self._ids = count(1)

    def define(self, noun: str, /, **data: Any) -> OutcomeAccepted | OutcomeRejected:
        """Send one definition (`item`, `batch.held`, ...); its outcome."""
        dotted = noun if "." in noun else f"{noun}.defined"
        event = write_event(f"{dotted}.v1", SOURCE, f"D{next(self._ids)}", msgspec.Raw(_json(data)))
        outcome = decoded(self.send(event)[-1])
        assert isinstance(outcome, OutcomeAccepted | OutcomeRejected)
        return outcome

    def ask(self, *asked: MovementRequested, source: str = SOURCE) -> list[OutcomeAccepted | OutcomeRejected]:
        """Send movements as one set; the outcomes in the order asked."""
        told = {each.id: decoded(each) for each in self.send(*events(asked, source)) if each.kind in _OUTCOMES}
        return [told[each.id] for each in asked]

    def accept(self, *asked: MovementRequested) -> list[OutcomeAccepted]:
        """Send movements as one set that nothing speaks against."""
        told = self.ask(*asked)
        assert [each for each in told if isinstance(each, OutcomeRejected)] == []
        return [each for each in told if isinstance(each, OutcomeAccepted)]

    def accepted(self, *asked: MovementRequested) -> list[MovementAllocated]:
        """The same; what went on to the ledger of each."""
        told = {each.id: decoded(each) for each in self.send(*events(asked)) if each.kind == MOVEMENT_ALLOCATED}
        return [told[each.id] for each in asked]

    def send(self, *bodies: bytes) -> list[Output]:
        """Work on events of one type as one set; what was published, also of what it released."""
        return self.follow(self.working_on(*bodies))

    def sweep(self) -> list[Output]:
        """Try who waits and is due; what was published."""
        return self.follow(self._service.sweeps[0])

    def working_on(self, *bodies: bytes) -> Step:
        """The step in which events of one type are worked on as one set."""
        envelopes = [read_envelope(body) for body in bodies]
        handler = self._service.handlers[envelopes[0].type]
        inputs: list[Input] = [each for envelope in envelopes for each in handler.read(envelope)]
        return lambda connection: handler.work(inputs, connection)

    def follow(self, step: Step | None) -> list[Output]:
        """Carry out a step and those that follow from it; what was published."""
        published: list[Output] = []
        following = step
        while following is not None:
            handled = self._insist(following)
            published += handled.outputs
            with transaction(self.engine) as connection:
                remove(connection, "receiving", handled.released)
            following = handled.then
        return published

    def _insist(self, step: Step) -> Handled:
        for _ in range(_MEETINGS):
            try:
                with transaction(self.engine) as connection:
                    return step(connection)
            except Contended:
                self.met += 1
        raise AssertionError("other workers stood in the way each time")


_MEETINGS = 50
_OUTCOMES = (OUTCOME_ACCEPTED, OUTCOME_REJECTED)


def events(asked: Sequence[MovementRequested], source: str = SOURCE) -> list[bytes]:
    """Movements as an upstream sends them, one event each."""
    return [write_event(MOVEMENT_REQUESTED, source, f"event of {each.id}", each) for each in asked]


def _json(data: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(data, enc_hook=str)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """An engine for as many workers as a test starts."""
    engine = open_engine(url, max_overflow=16)
    try:
        yield engine
    finally:
        engine.dispose()


def define_shop(gate: Gate, *items: Mapping[str, Any]) -> None:
    """Define the company, its warehouses and these items."""
    assert isinstance(gate.define("company", company=COMPANY, currency="EUR"), OutcomeAccepted)
    for name, kind in WAREHOUSES.items():
        assert isinstance(gate.define("warehouse", company=COMPANY, warehouse=name, kind=kind), OutcomeAccepted)
    for each in items:
        told = gate.define("item", **{"company": COMPANY, "item": "tea", **each})
        assert isinstance(told, OutcomeAccepted), told


# Goods of each kind, and a movement that brings some of them; `define_shop(gate, *GOODS)` defines them.
GOODS: tuple[Mapping[str, Any], ...] = (
    {"item": "tea"},
    {"item": "phone", "tracking": "serial", "serial_series": "S-.##"},
    {"item": "cream", "tracking": "batch", "create_batches_on_receipt": True, "pick": "fefo"},
)
STOCKED = movement(
    "opening_stock",
    comes("tea", 10),
    comes("cream", 5, batch="B1", expires_on=date(2026, 4, 1)),
    comes("phone", serials="P1-P3"),
    id="stocked",
)


def after(minutes: int) -> datetime:
    """So many minutes after the goods came."""
    return MORNING + timedelta(minutes=minutes)


def named(told: OutcomeAccepted | OutcomeRejected) -> list[str]:
    """The serials that an accepted movement took, brought or made."""
    assert isinstance(told, OutcomeAccepted), told
    return [number for each in told.allocated for number in each.serials]


def rows(engine: Engine, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    with transaction(engine) as connection:
        return [tuple(row) for row in query(connection, statement, **parameters)]


def codes(told: OutcomeAccepted | OutcomeRejected) -> list[str]:
    """The codes of a refusal, none for what was accepted."""
    return [each.code for each in told.reasons] if isinstance(told, OutcomeRejected) else []


def assert_sound(engine: Engine) -> None:
    """No stock below zero that is not short; batches make up their bins, serials theirs; stays fit each other.

    Stamps have no gaps; of no ledger entry more was returned than it moved.
    """
    assert rows(engine, "SELECT * FROM receiving.bin WHERE quantity < 0 AND NOT short") == []
    assert rows(engine, _BINS_UNLIKE_SERIALS) == []
    assert rows(engine, _BINS_UNLIKE_BATCHES) == []
    assert rows(engine, _STAYS_UNLIKE_SERIALS) == []
    assert rows(engine, _OVERLAPPING_STAYS) == []
    stamps: dict[tuple[str, str, str], list[int]] = {}
    entries: dict[str, Leg] = {}
    for (body,) in rows(engine, "SELECT allocated FROM receiving.movement WHERE allocated IS NOT NULL"):
        allocated: MovementAllocated = read(_DECODERS[MOVEMENT_ALLOCATED], bytes(body))
        entries.update(legs_with_entries(allocated))
        for each in allocated.stamps:
            stamps.setdefault((allocated.company, each.item, each.warehouse), []).append(each.stamp)
    for entry, quantity, numbers in rows(
        engine, "SELECT cast(entry AS text), quantity, serials FROM receiving.returned"
    ):
        assert quantity <= abs(entries[entry].quantity)
        assert set(numbers) <= set(entries[entry].serials)
    last = rows(engine, "SELECT company, item, warehouse, last_stamp FROM receiving.bin WHERE last_stamp > 0")
    assert {key: sorted(found) for key, found in stamps.items()} == {
        (company, item, warehouse): list(range(1, stamp + 1)) for company, item, warehouse, stamp in last
    }


_BINS_UNLIKE_SERIALS = """
SELECT bin.item, bin.warehouse FROM receiving.bin JOIN receiving.item USING (company, item)
WHERE tracking = 'serial' AND quantity <> (SELECT count(*) FROM receiving.serial
    WHERE (serial.company, serial.item, serial.warehouse) = (bin.company, bin.item, bin.warehouse))
"""
_BINS_UNLIKE_BATCHES = """
SELECT bin.item, bin.warehouse FROM receiving.bin JOIN receiving.item USING (company, item)
WHERE tracking = 'batch' AND quantity <> (SELECT coalesce(sum(stock.quantity), 0) FROM receiving.batch_stock AS stock
    WHERE (stock.company, stock.item, stock.warehouse) = (bin.company, bin.item, bin.warehouse))
"""
_STAYS_UNLIKE_SERIALS = """
SELECT * FROM (SELECT company, item, serial, warehouse FROM receiving.serial WHERE warehouse IS NOT NULL) AS standing
FULL JOIN (SELECT company, item, serial, warehouse FROM receiving.stay WHERE until_at = 'infinity') AS stays
    USING (company, item, serial, warehouse)
WHERE standing IS NULL OR stays IS NULL
"""
_OVERLAPPING_STAYS = """
SELECT one.serial FROM receiving.stay AS one JOIN receiving.stay AS other USING (company, item, serial)
WHERE (one.from_at, one.from_tie) < (other.from_at, other.from_tie)
  AND (one.until_at, one.until_tie) > (other.from_at, other.from_tie)
"""
