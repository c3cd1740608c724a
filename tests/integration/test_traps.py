"""The traps that users of stock systems fall into, each played as it happens in a shop.

After each of them stock and accounts must agree, nothing may be lost and nothing counted twice.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from services.desk.events import Event, read_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS
from services.desk.store import outcomes, stock_values
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from shared.db import query, transaction
from shared.report import Filters, records
from tests.receiving_builders import Gate, opened
from tests.receiving_builders import line as asked_line
from tests.receiving_builders import movement as asked

OPENING = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Shop:
    """A shop with tills of both kinds, whose services take turns in the test's own thread."""

    pipeline: Pipeline
    sources: dict[str, str] = field(default_factory=dict)

    def send(self, purpose: str, identifier: str, *lines: Mapping[str, Any], source: str = "till", **more: Any) -> Any:
        """Send a movement; what its source was told."""
        at = more.pop("at", OPENING)
        data = {"id": identifier, "purpose": purpose, "posting_at": at.isoformat(), "lines": list(lines), **more}
        self.play(_event("movement.requested.v1", data, source))
        return self.told(source, identifier)

    def play(self, *events: Event) -> None:
        self.pipeline.publish(events)
        self.pipeline.settle()

    def told(self, source: str, identifier: str) -> OutcomeAccepted | OutcomeRejected | None:
        with transaction(self.pipeline.engine) as connection:
            return outcomes(connection, [(source, identifier)]).get((source, identifier))

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with transaction(self.pipeline.engine) as connection:
            return [tuple(row) for row in query(connection, statement)]

    def report(self, name: str) -> list[Mapping[str, Any]]:
        with transaction(self.pipeline.engine) as connection:
            return list(records(REPORTS[name], connection, Filters(company="shop")))

    def stock(self, item: str) -> tuple[str, str]:
        ((quantity, value),) = self.rows(f"SELECT quantity, value FROM ledger.stock_balance WHERE item = '{item}'")
        return f"{quantity:f}", f"{value:f}"

    def account(self, name: str) -> Decimal:
        found = self.rows(f"SELECT balance FROM accounting.trial_balance WHERE account = '{name}'")
        return found[0][0] if found else Decimal(0)

    def check(self) -> None:
        with transaction(self.pipeline.engine) as connection:
            assert [each.stock == each.accounts for each in stock_values(connection)] == [True]
        assert self.rows("SELECT FROM ledger.waiting UNION ALL SELECT FROM ledger.parked") == []
        assert self.rows(_BINS_UNLIKE_RECEIVING) == []


_BINS_UNLIKE_RECEIVING = """
SELECT FROM receiving.stock FULL JOIN ledger.stock_balance USING (company, item, warehouse)
WHERE (stock.quantity, stock.last_stamp) IS DISTINCT FROM (stock_balance.quantity, stock_balance.last_stamp)
"""


def _event(kind: str, data: Mapping[str, Any], source: str = "till", **more: str) -> Event:
    return read_event(json.dumps({"type": kind, "data": data, **more}).encode(), source, NOON)


def _masters() -> list[Event]:
    items: list[dict[str, Any]] = [
        {"item": "tea"},
        {"item": "cream", "tracking": "batch", "create_batches_on_receipt": True},
        {"item": "lamp", "tracking": "serial", "warranty_days": 365},
    ]
    return [
        _event("company.defined.v1", {"company": "shop", "currency": "EUR"}, id="company"),
        _event("source.defined.v1", {"source": "till", "patience": 0}, id="till"),
        _event("source.defined.v1", {"source": "web", "patience": 0}, id="web"),
        *(_event("source.defined.v1", {"source": name, "mode": "fact"}, id=name) for name in ("pos-1", "pos-2")),
        _event("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}, id="north"),
        *(_event("item.defined.v1", {"company": "shop", **item}, id=item["item"]) for item in items),
    ]


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    with Pipeline(database, clock=lambda: NOON + 60 * MINUTE) as pipeline:
        shop = Shop(pipeline)
        shop.play(*_masters())
        shop.send("purchase_receipt", "R1", comes("tea", 10, "2.00"), supplier="grower")
        shop.send("purchase_receipt", "R2", comes("cream", 6, "4.00", batch="B1"), supplier="dairy")
        shop.send("purchase_receipt", "R3", comes("lamp", 2, "30.00", serials=["L1", "L2"]), supplier="smith")
        yield shop
        shop.check()


def comes(item: str, quantity: int, rate: str, **more: Any) -> dict[str, Any]:
    return {"item": item, "quantity": str(quantity), "rate": rate, "target": "north", **more}


def goes(item: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {"item": item, "quantity": str(quantity), "source": "north", **more}


def codes(told: Any) -> list[str]:
    assert isinstance(told, OutcomeAccepted | OutcomeRejected)
    return [each.code for each in told.reasons] if isinstance(told, OutcomeRejected) else []


def test_a_till_that_posts_the_same_ticket_twice_sells_once(shop: Shop) -> None:
    ticket = {"id": "T1", "purpose": "sale", "posting_at": NOON.isoformat(), "lines": [goes("tea", 3, price="5.00")]}
    first, again = (_event("movement.requested.v1", ticket, id=f"event {n}") for n in (1, 2))
    in_bulk = _event("movement.requested.v1", {"movements": [ticket, ticket]}, id="event 3")
    shop.play(first, again, in_bulk)
    shop.play(first)
    assert shop.stock("tea") == ("7", "14.00")
    assert (shop.account("income"), shop.account("receivable")) == (Decimal("-15.00"), Decimal("15.00"))
    assert shop.rows("SELECT FROM receiving.parked") == []


def test_a_ticket_number_used_for_another_ticket_is_parked_and_neither_lost_nor_applied(shop: Shop) -> None:
    assert codes(shop.send("sale", "T1", goes("tea", 3, price="5.00"), at=NOON)) == []
    assert codes(shop.send("sale", "T1", goes("tea", 4, price="5.00"), at=NOON)) == []  # what the first was told
    assert shop.stock("tea") == ("7", "14.00")
    assert shop.rows("SELECT reason, id FROM receiving.parked") == [("conflicting_duplicate", "T1")]


def test_of_two_web_shops_selling_the_last_unit_at_once_one_is_refused(shop: Shop) -> None:
    shop.send("material_issue", "use", goes("tea", 9), at=NOON)
    barrier = threading.Barrier(2)

    def sell(name: str, database_url: str) -> list[str]:
        with opened(database_url) as engine:
            gate = Gate(engine, NOON + MINUTE)
            barrier.wait()
            told = gate.ask(
                asked("sale", asked_line("tea", 1, source="north", price="5"), id=name, at=NOON), source="web"
            )
            return codes(told[0])

    url = shop.pipeline.engine.url.render_as_string(hide_password=False)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(partial(sell, database_url=url), ("W1", "W2")))
    assert sorted(told) == [[], ["insufficient_stock"]]
    (sold,) = shop.rows("SELECT id, allocated FROM receiving.allocated WHERE source = 'web'")
    shop.play(*_again("web", sold[0]))
    assert shop.stock("tea") == ("0", "0.00")


def _again(source: str, name: str) -> list[Event]:
    """The same ticket once more: its stored answer goes on to the ledger."""
    line = {"item": "tea", "quantity": "1", "source": "north", "price": "5"}
    ticket = {"id": name, "purpose": "sale", "posting_at": NOON.isoformat(), "lines": [line]}
    return [_event("movement.requested.v1", ticket, source)]


def test_two_tills_that_both_sold_the_last_unit_are_believed_and_the_shortage_is_shown_until_it_is_covered(
    shop: Shop,
) -> None:
    shop.send("material_issue", "use", goes("tea", 9), at=NOON)
    told = [shop.send("sale", "T1", goes("tea", 1, price="5"), source=name, at=NOON) for name in ("pos-1", "pos-2")]
    assert [[each.code for each in one.remarks] for one in told] == [[], ["shortage"]]
    assert shop.stock("tea") == ("-1", "-2.00")
    (short,) = shop.report("shortages")
    assert (short["item"], short["source"], short["id"], short["quantity"]) == ("tea", "pos-2", "T1", 1)
    shop.send("purchase_receipt", "R9", comes("tea", 5, "3.00"), at=NOON + MINUTE)
    assert shop.stock("tea") == ("4", "12.00")
    assert shop.report("shortages") == []
    # Two units were sold that cost 2.00 and, as it turned out, 3.00.
    assert shop.account("cost_of_goods_sold") == Decimal("5.00")
    assert shop.account("stock_received_not_billed") == Decimal("-119.00")


def test_a_count_while_tickets_are_on_their_way_stands_and_finds_what_a_late_ticket_took(shop: Shop) -> None:
    assert codes(shop.send("sale", "T1", goes("tea", 1, price="5"), at=NOON - 2 * MINUTE)) == []
    # Counted at noon, after the sale of 11:59 that the till has not told yet: eight are left, nine in the books.
    assert codes(shop.send("reconciliation", "C1", counted("tea", 8), at=NOON)) == []
    assert shop.account("stock_adjustment") == Decimal("2.00")
    late = shop.send("sale", "T2", goes("tea", 1, price="5"), at=NOON - MINUTE)
    assert codes(late) == []
    # It is what the count found lacking: nothing is lost any more, and as much is there.
    assert shop.stock("tea") == ("8", "16.00")
    assert shop.account("stock_adjustment") == Decimal("0.00")
    assert shop.account("cost_of_goods_sold") == Decimal("4.00")
    assert shop.report("unposted") == []
    assert codes(shop.send("sale", "T3", goes("tea", 1, price="5"), at=NOON + MINUTE)) == []
    assert shop.stock("tea") == ("7", "14.00")


def counted(item: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {"item": item, "quantity": str(quantity), "target": "north", **more}


def test_a_return_without_its_receipt_comes_back_at_the_cost_of_its_last_sale_and_says_so(shop: Shop) -> None:
    shop.send("sale", "T1", goes("lamp", 1, serials=["L2"], price="80"), customer="Ann", at=NOON)
    told = shop.send(
        "sales_return", "X1", comes_back("lamp", 1, serials=["L2"], price="80"), customer="Ann", at=NOON + MINUTE
    )
    assert [each.code for each in told.remarks] == ["unreferenced"]
    assert shop.stock("lamp") == ("2", "60.00")
    assert not any(map(shop.account, ("cost_of_goods_sold", "income", "receivable")))
    again = shop.send("sales_return", "X2", comes_back("lamp", 1, serials=["L2"]), at=NOON + 2 * MINUTE)
    assert codes(again) == ["serial_in_stock"]
    # Tea has no numbers: it comes back at the last rate known.
    told = shop.send("sales_return", "X3", comes_back("tea", 1), at=NOON + 3 * MINUTE)
    assert [each.code for each in told.remarks] == ["unreferenced"]
    assert shop.stock("tea") == ("11", "22.00")


def comes_back(item: str, quantity: int, **more: Any) -> dict[str, Any]:
    return {"item": item, "quantity": str(quantity), "target": "north", **more}


def test_a_receipt_cannot_be_returned_twice_by_splitting_it(shop: Shop) -> None:
    shop.send("sale", "T1", goes("tea", 3, price="5"), at=NOON)
    back = partial(shop.send, "sales_return", against={"id": "T1"})
    assert codes(back("X1", {"item": "tea", "quantity": "2"}, at=NOON + MINUTE)) == []
    assert codes(back("X2", {"item": "tea", "quantity": "2"}, at=NOON + 2 * MINUTE)) == ["over_return"]
    assert codes(back("X3", {"item": "tea", "quantity": "1"}, at=NOON + 3 * MINUTE)) == []
    assert shop.stock("tea") == ("10", "20.00")
    assert not any(map(shop.account, ("cost_of_goods_sold", "income", "receivable")))


def test_the_same_batch_on_three_lines_of_one_document_is_judged_and_valued_as_their_sum(shop: Shop) -> None:
    three = [goes("cream", each, batch="B1") for each in (1, 2, 3)]
    assert codes(shop.send("delivery", "D0", *three, goes("cream", 1, batch="B1"), at=NOON)) == ["insufficient_stock"]
    assert shop.stock("cream") == ("6", "24.00")
    assert codes(shop.send("delivery", "D1", *three, at=NOON)) == []
    assert shop.stock("cream") == ("0", "0.00")
    assert shop.rows("SELECT line, quantity, value FROM ledger.stock_ledger WHERE id = 'D1' ORDER BY line") == [
        (1, -1, Decimal("-4.00")),
        (2, -2, Decimal("-8.00")),
        (3, -3, Decimal("-12.00")),
    ]
    back = shop.send(
        "sales_return", "X1", *(comes_back("cream", 2) for _ in three), against={"id": "D1"}, at=NOON + MINUTE
    )
    assert codes(back) == []
    assert shop.stock("cream") == ("6", "24.00")
    came = [comes("cream", 1, "5.00", batch="B2") for _ in three]
    assert codes(shop.send("purchase_receipt", "R9", *came, at=NOON + 2 * MINUTE)) == []
    assert shop.rows("SELECT quantity, value FROM ledger.batch_balance WHERE batch = 'B2'") == [(3, Decimal("15.00"))]
