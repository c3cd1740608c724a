"""Revaluations in the books, on a real PostgreSQL: what is corrected has entries of its own, once, numbered as all."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from msgspec import structs
from sqlalchemy import Engine

from services.accounting import handlers as accounting
from services.accounting.handlers import HANDLERS
from services.accounting.handlers.numbering import number_entries
from services.accounting.store.journal import Booking, add_journal
from services.desk.reporting import REPORTS
from shared.broker import EmbeddedBroker
from shared.broker.topology import EVENTS
from shared.contracts.codec import decoder, read, write
from shared.contracts.envelope import frame, raw_movements, read_envelope, write_event
from shared.contracts.journal import JournalPosted, JournalRevalued
from shared.contracts.registry import JOURNAL_REVALUED, MOVEMENT_POSTED, STOCK_REVALUED
from shared.contracts.stock import MovementPosted, StockRevalued
from shared.db import open_engine, run, transaction
from shared.errors import InvariantBroken
from shared.frames import frames
from shared.identity import derived_id
from shared.report import Filters, records
from shared.service import Handled, Result
from shared.settings import Settings
from shared.worker import Worker
from tests.accounting_builders import NOON, correction, entry
from tests.builders import MORNING, Receiving, carry_out, deliver, keep_allocated, leg, revalue_all, rows, transfer
from tests.closing_builders import hearing
from tests.revaluing_builders import LATER, revalued, telling, worth

HOUR = timedelta(hours=1)
RECEIPT = worth("R", "purchase_receipt", entry("100.00"))
DELIVERY = worth("D", "delivery", entry("-40.00", quantity="-2"))
DEARER = worth("D", "delivery", correction("-5.00", "-2"))
CHEAPER = worth("D", "delivery", correction("2.00", "-2"))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def book(engine: Engine, *told: MovementPosted | StockRevalued) -> Handled:
    """Book movements, or revaluations, as a set that came in a frame."""
    kind = STOCK_REVALUED if isinstance(told[0], StockRevalued) else MOVEMENT_POSTED
    event = write_event(kind, "ledger", "E1", frame([write(each) for each in told]))
    inputs = HANDLERS[kind].read(read_envelope(event))
    with transaction(engine) as connection:
        return HANDLERS[kind].work(inputs, connection)


def journal(engine: Engine) -> list[tuple[Any, ...]]:
    """Movement, revaluation, debit, credit and amount of each transfer."""
    return rows(
        engine,
        "SELECT id, revaluation, debit_account, credit_account, amount FROM accounting.journal"
        " ORDER BY recorded_at, id, ordinal",
    )


def balances(engine: Engine) -> dict[str, Decimal]:
    return dict(rows(engine, "SELECT account, balance FROM accounting.trial_balance"))


def said(handled: Handled) -> list[JournalRevalued]:
    assert {each.kind for each in handled.outputs} <= {JOURNAL_REVALUED}
    return [read(decoder(JournalRevalued), each.body) for each in handled.outputs]


# --- what is stored and told -----------------------------------------------------------------------------------------


def test_what_is_corrected_stands_in_the_journal_beside_what_was_booked_and_names_the_revaluation(
    engine: Engine,
) -> None:
    book(engine, RECEIPT, DELIVERY)
    book(engine, revalued(1, DEARER))
    assert journal(engine) == [
        ("D", None, "cost_of_goods_sold", "stock", Decimal("40.00")),
        ("R", None, "stock", "stock_received_not_billed", Decimal("100.00")),
        ("D", "tea/1", "cost_of_goods_sold", "stock", Decimal("5.00")),
    ]
    assert balances(engine) == {"cost_of_goods_sold": 45, "stock": 55, "stock_received_not_billed": -100}


def test_an_entry_that_corrects_is_the_movement_s_own_recorded_with_the_revaluation(engine: Engine) -> None:
    dated = structs.replace(DEARER, effective_at=NOON + HOUR, posting_date=date(2026, 3, 3))
    book(engine, revalued(1, dated))
    expected = derived_id(LATER, "ledger", "tea/1", "till", "D")
    found = rows(
        engine,
        "SELECT journal_entry, company, source, id, purpose, posting_date, effective_at, recorded_at, document,"
        " currency FROM accounting.journal",
    )
    assert found == [
        (UUID(expected), "shop", "till", "D", "delivery", date(2026, 3, 3), NOON + HOUR, LATER, "D-1", "EUR"),
    ]


def test_the_message_tells_every_entry_of_the_revaluation_as_it_is_stored(engine: Engine) -> None:
    (told,) = said(book(engine, revalued(1, DEARER, worth("R", "purchase_receipt", correction("3.00", "5")))))
    assert (told.source, told.id, told.company, told.recorded_at) == ("ledger", "tea/1", "shop", LATER)
    assert told.trace == "trace of the cause"
    assert [(each.id, each.purpose, each.recorded_at) for each in told.entries] == [
        ("D", "delivery", LATER),
        ("R", "purchase_receipt", LATER),
    ]
    stored = rows(
        engine,
        "SELECT journal_entry::text, id, line, debit_account, credit_account, amount, ledger_entry::text"
        " FROM accounting.journal ORDER BY id, ordinal",
    )
    assert stored == [
        (each.journal_entry, each.id, transfer.line, transfer.debit, transfer.credit, transfer.amount, transfer.entry)
        for each in told.entries
        for transfer in each.transfers
    ]


def test_a_transfer_s_correction_moves_value_between_the_stock_accounts(engine: Engine) -> None:
    ends = [correction("-2.00", "-4", "depot"), correction("2.01", "4", "shop", arrives_from=0)]
    book(engine, revalued(1, worth("T", "material_transfer", *ends)))
    assert balances(engine) == {"depot": -2, "shop": Decimal("2.01"), "stock_adjustment": Decimal("-0.01")}


@pytest.mark.parametrize(
    "known",
    [
        revalued(1, worth("D", "delivery", correction("0.00", "-2"))),
        revalued(1, structs.replace(DEARER, perpetual=False)),
        revalued(1),
    ],
    ids=["of nothing", "without perpetual accounting", "of no movement"],
)
def test_a_revaluation_with_nothing_to_book_is_known_but_neither_booked_nor_told(
    engine: Engine, known: StockRevalued
) -> None:
    assert [said(book(engine, known)), said(book(engine, known))] == [[], []]
    assert rows(engine, "SELECT source, id, company, outputs FROM accounting.movement") == [
        ("ledger", "tea/1", "shop", None)
    ]
    assert rows(engine, "SELECT FROM accounting.journal_entry") == []


# --- once ------------------------------------------------------------------------------------------------------------


def test_a_revaluation_that_comes_again_is_told_again_and_booked_once(engine: Engine) -> None:
    first = book(engine, revalued(1, DEARER))
    again = book(engine, revalued(1, CHEAPER), revalued(2, CHEAPER), revalued(2, CHEAPER))
    assert [each.body for each in again.outputs if each.id == "tea/1"] == [each.body for each in first.outputs]
    assert sorted(each.id for each in again.outputs) == ["tea/1", "tea/2"]
    assert again.counts == {(Result.BOOKED, ""): 1, (Result.TOLD_AGAIN, ""): 1}
    assert [(name, amount) for _, name, _, _, amount in journal(engine)] == [("tea/1", 5), ("tea/2", 2)]


def test_corrections_that_are_booked_before_their_movement_end_in_the_same_balances(engine: Engine) -> None:
    book(engine, revalued(1, DEARER))
    book(engine, revalued(2, CHEAPER))
    book(engine, RECEIPT, DELIVERY)
    assert balances(engine) == {"cost_of_goods_sold": 43, "stock": 57, "stock_received_not_billed": -100}


def test_a_set_with_a_revaluation_that_cannot_be_booked_leaves_nothing_behind(engine: Engine) -> None:
    loose = worth("T", "material_transfer", correction("-2.00", "-4", "depot"))
    with pytest.raises(InvariantBroken, match="must arrive once"):
        book(engine, revalued(1, DEARER), revalued(2, loose))
    assert rows(engine, "SELECT FROM accounting.movement") == []
    assert rows(engine, "SELECT FROM accounting.journal_entry") == []


@pytest.mark.parametrize("is_revaluation", [False, True])
def test_the_schema_too_refuses_to_book_a_movement_twice_for_one_reason(engine: Engine, is_revaluation: bool) -> None:
    book(engine, DELIVERY)
    book(engine, revalued(1, DEARER))
    made = JournalPosted(
        journal_entry=derived_id(NOON, "another"), source="till", id="D", company="shop", currency="EUR",
        purpose="delivery", effective_at=NOON, recorded_at=NOON, posting_date=NOON.date(), transfers=[],
    )  # fmt: skip
    key = ("ledger", "tea/1") if is_revaluation else ("till", "D")
    with pytest.raises(psycopg2.Error, match="each_books_a_movement_once"), engine.begin() as connection:
        add_journal(connection, [Booking(key, "shop", NOON, [made], None, is_revaluation)])
    with transaction(engine) as connection:
        add_journal(connection, [Booking(("ledger", "tea/2"), "shop", NOON, [made], None, True)])


def test_a_movement_its_corrections_and_its_cancellation_leave_nothing_on_any_account(engine: Engine) -> None:
    undone = structs.replace(worth("C", "cancellation", entry("43.00", quantity="2")), mirrors="delivery")
    book(engine, DELIVERY)
    book(engine, revalued(1, DEARER), revalued(2, CHEAPER))
    book(engine, undone)
    assert balances(engine) == {"cost_of_goods_sold": 0, "stock": 0}
    assert rows(engine, "SELECT purpose FROM accounting.journal WHERE id = 'C'") == [("cancellation",)]


# --- numbers and locked days -----------------------------------------------------------------------------------------


def number(engine: Engine) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        number_entries(connection)
    return rows(engine, "SELECT year, number, id, revaluation FROM accounting.journal ORDER BY year, number")


def test_entries_that_correct_are_numbered_with_all_others_without_gaps(engine: Engine) -> None:
    book(engine, RECEIPT, DELIVERY)
    book(engine, revalued(1, DEARER))
    last_year = structs.replace(DEARER, posting_date=date(2025, 12, 31))
    book(engine, revalued(2, last_year, at=LATER + HOUR), revalued(3, CHEAPER, at=LATER + 2 * HOUR))
    assert [each[:2] for each in number(engine)] == [(2025, 1), (2026, 1), (2026, 2), (2026, 3), (2026, 4)]
    assert [each[2:] for each in number(engine)][:1] == [("D", "tea/2")]
    assert [each[2:] for each in number(engine)][3:] == [("D", "tea/1"), ("D", "tea/3")]
    assert rows(engine, "SELECT FROM accounting.unnumbered") == []


def test_a_correction_dated_on_a_locked_day_is_never_booked_and_one_on_the_first_open_day_is(engine: Engine) -> None:
    with transaction(engine) as connection:
        run(connection, "INSERT INTO accounting.books VALUES ('shop', '2026-03-02', 1)")
    with pytest.raises(InvariantBroken, match="locked day"):
        book(engine, revalued(1, DEARER))
    assert rows(engine, "SELECT FROM accounting.movement") == []
    book(engine, revalued(1, structs.replace(DEARER, posting_date=date(2026, 3, 3))))
    assert [name for _, name, *_ in journal(engine)] == ["tea/1"]


# --- what people see -------------------------------------------------------------------------------------------------


def told(engine: Engine, name: str, **filters: Any) -> list[dict[str, Any]]:
    with transaction(engine) as connection:
        return records(REPORTS[name], connection, Filters(**filters))


def test_in_the_journal_report_corrections_stand_behind_what_was_known_before_and_are_marked(engine: Engine) -> None:
    at_once = worth("C", "cancellation", entry("-100.00", quantity="-1"))
    cancelled = structs.replace(at_once, mirrors="purchase_receipt")
    back = worth("B", "sales_return", entry("20.00", quantity="1"))
    late = worth("A", "purchase_receipt", entry("7.00"))
    late = structs.replace(late, recorded_at=LATER)
    book(engine, cancelled, back, late, RECEIPT, DELIVERY)
    twice = worth("R", "purchase_receipt", correction("1.00", "1"), correction("3.00", "1"))
    book(engine, revalued(2, CHEAPER), revalued(1, DEARER, twice), revalued(3, CHEAPER, at=LATER + HOUR))
    found = [(row["id"], row["revaluation"]) for row in told(engine, "journal", account="stock")]
    assert found == [
        ("D", None),
        ("R", None),
        ("B", None),
        ("C", None),
        ("A", None),
        ("D", "tea/1"),
        ("D", "tea/2"),
        ("R", "tea/1"),
        ("R", "tea/1"),
        ("D", "tea/3"),
    ]


@pytest.mark.parametrize(
    ("known_at", "as_of", "expected"),
    [
        (None, None, 45),
        (LATER - HOUR, None, 40),
        (LATER, None, 45),
        (None, NOON - HOUR, None),
        (None, NOON, 45),
    ],
)
def test_an_account_balances_with_what_was_known_by_then(
    engine: Engine, known_at: datetime | None, as_of: datetime | None, expected: int | None
) -> None:
    book(engine, RECEIPT, DELIVERY)
    book(engine, revalued(1, DEARER))
    found = told(engine, "trial-balance", account="cost_of_goods_sold", known_at=known_at, as_of=as_of)
    assert [row["balance"] for row in found] == ([] if expected is None else [expected])


def test_account_changes_tell_correction_by_correction_why_a_balance_is_another_one_now(engine: Engine) -> None:
    book(engine, RECEIPT, DELIVERY)
    book(engine, revalued(1, DEARER), revalued(2, CHEAPER))
    found = told(engine, "account-changes", account="cost_of_goods_sold", as_of=NOON, known_since=NOON)
    assert sorted((row["id"], row["purpose"], row["debit"] - row["credit"]) for row in found) == [
        ("D", "delivery", -2),
        ("D", "delivery", 5),
    ]


def test_debits_equal_credits_in_every_entry_that_corrects(engine: Engine) -> None:
    ends = [correction("-2.00", "-4", "depot"), correction("2.01", "4", "shop", arrives_from=0)]
    made = [correction("-5.00", "-1", "depot"), correction("4.00", "1", "shop", line=2, apart={"wages": "-1.00"})]
    book(engine, revalued(1, worth("T", "material_transfer", *ends), worth("M", "manufacture", *made), DEARER))
    sums = "SELECT id, revaluation, sum(debit) - sum(credit) FROM accounting.debit_credit GROUP BY 1, 2 ORDER BY 1"
    assert rows(engine, sums) == [("D", "tea/1", 0), ("M", "tea/1", 0), ("T", "tea/1", 0)]


# --- between the services --------------------------------------------------------------------------------------------


def test_a_worker_takes_revaluations_from_its_queue_and_tells_whoever_listens(engine: Engine) -> None:
    broker = EmbeddedBroker()
    broker.declare()
    listener = broker.bind_temporary(EVENTS, [JOURNAL_REVALUED])
    sent = [telling(revalued(1, DEARER)), telling(revalued(2, CHEAPER))]
    broker.publisher().publish(frames(sent, "ledger", iter(["E1", "E2"]).__next__, 500, 1_000_000))
    worker = Worker(accounting.service(), broker, engine, Settings())
    worker.turn(0.0)
    worker.close()
    (heard,) = listener.drain(10, 0.0)
    told = [read(decoder(JournalRevalued), raw) for raw in raw_movements(read_envelope(heard.body).data)]
    assert [(each.id, [entry.id for entry in each.entries]) for each in told] == [("tea/1", ["D"]), ("tea/2", ["D"])]
    assert balances(engine) == {"cost_of_goods_sold": 3, "stock": -3}


def test_after_a_back_dated_receipt_the_stock_accounts_hold_what_the_bins_do_and_the_sale_is_dearer(
    engine: Engine,
) -> None:
    """It is older than what was moved on and then sold in part, so it was moved and sold first."""
    receiving = Receiving()
    movements = [
        receiving.movement(leg(4, 8), purpose="purchase_receipt"),
        receiving.movement(*transfer(2, "north", "south"), purpose="material_transfer"),
        receiving.movement(leg(-1, warehouse="south"), purpose="delivery"),
        structs.replace(
            receiving.movement(leg(1, 3), purpose="purchase_receipt"), effective_at=MORNING - HOUR, posting_at=MORNING
        ),
    ]
    keep_allocated(engine, movements)
    for output in [*deliver(engine, *movements), *revalue_all(engine, 1)]:
        carry_out(engine, "accounting", hearing(output))
    held = {
        f"stock {place}": value for place, value in rows(engine, "SELECT warehouse, value FROM ledger.stock_balance")
    }
    assert held == {"stock north": 6, "stock south": Decimal("2.5")}
    assert balances(engine) == held | {"cost_of_goods_sold": Decimal("2.5"), "stock_received_not_billed": -11}
    corrected = "SELECT DISTINCT id FROM accounting.journal WHERE revaluation IS NOT NULL ORDER BY 1"
    assert rows(engine, corrected) == [("M2",), ("M3",)]
