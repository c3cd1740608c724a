"""`stockbook try`: what movements would do, told by the services themselves, while nothing anywhere changes."""

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs
from typer.testing import Result

from services.accounting.handlers.numbering import number_entries
from services.accounting.store.chain import CHAINED as JOURNAL
from services.desk.cli.asking import Tally
from services.desk.cli.trying import read_trial
from services.desk.events import read_event
from services.desk.pipeline import Pipeline
from services.ledger.store.chain import CHAINED as LEDGER
from shared import chaining
from shared.broker.topology import RECEIVING
from shared.contracts.codec import Malformed, decoder, read, write
from shared.contracts.envelope import raw_movements, read_envelope
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import OUTCOME_REJECTED, OUTCOME_TRIED
from shared.contracts.trial import OutcomeTried
from shared.db import open_engine
from shared.errors import StockbookError
from shared.settings import Settings
from tests import commands
from tests.builders import carry_out, rows

CHAINING = {"ledger": chaining.sweeps(LEDGER), "accounting": chaining.sweeps(JOURNAL)}
DAY = "2026-03-02"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""


def event(kind: str, **data: object) -> str:
    return json.dumps({"type": kind, "source": "till", "data": data})


def movement(name: str, purpose: str, *lines: Mapping[str, object], at: str = "12:00", **more: object) -> str:
    return event("movement.requested.v1", **requested(name, purpose, *lines, at=at, **more))


def requested(
    name: str, purpose: str, *lines: Mapping[str, object], at: str = "12:00", **more: object
) -> dict[str, object]:
    return {
        "id": name,
        "company": "shop",
        "purpose": purpose,
        "posting_at": f"{DAY}T{at}:00Z",
        "lines": list(lines),
        **more,
    }


def line(item: str, quantity: object, **more: object) -> dict[str, object]:
    return {"item": item, "quantity": str(quantity), **more}


MASTERS = [
    event("company.defined.v1", company="shop", currency="EUR"),
    event("accounts.defined.v1", company="shop", accounts=[{"account": "stock north", "kind": "asset"}]),
    event("warehouse.defined.v1", company="shop", warehouse="north", account="stock north"),
    event("source.defined.v1", source="till", patience=3600),
    event("item.defined.v1", company="shop", item="tea", valuation_method="fifo"),
    event("item.defined.v1", company="shop", item="lamp", tracking="serial", serial_series="L-.###"),
    event("item.defined.v1", company="shop", item="leaf", tracking="batch", batch_series="LF-.##"),
    event("item.defined.v1", company="shop", item="blend", tracking="batch", batch_series="BL-.##"),
]
STOCK = [
    movement("R1", "purchase_receipt", line("tea", 10, target="north", rate="2"), at="08:00"),
    movement("R2", "purchase_receipt", line("tea", 10, target="north", rate="3"), at="08:10"),
    movement("R3", "purchase_receipt", line("lamp", 2, target="north", rate="40"), at="08:20"),
    movement("R4", "purchase_receipt", line("leaf", 8, target="north", rate="1.25"), at="08:30"),
    movement("S1", "sale", line("lamp", 1, source="north", net="60"), at="09:00"),
]
SALE = movement("S2", "sale", line("tea", 12, source="north", net="50"))
TOO_MUCH = movement("S3", "sale", line("tea", 21, source="north", net="1"), line("nut", 1, source="north", net="1"))
MAKING = movement(
    "M1",
    "manufacture",
    line("leaf", 4, source="north"),
    line("tea", 5, source="north"),
    line("blend", 6, target="north"),
    additional_costs=[{"amount": "3.00"}],
)
RETURN = movement("B1", "sales_return", line("lamp", 1), against={"id": "S1"})


@dataclass(frozen=True)
class Shop:
    """A database with a little stock in it, and the command that works on it."""

    engine: Engine
    env: dict[str, str]

    def try_(self, *events: str, options: tuple[str, ...] = ()) -> Result:
        """`stockbook try` of these events."""
        done = commands.invoke("try", "-", *options, env=self.env, given="\n".join(events))
        assert done.exception is None or isinstance(done.exception, SystemExit | StockbookError), done.output
        return done

    def tried(self, *events: str) -> list[str]:
        """The lines that it prints."""
        return str(self.try_(*events).stdout).splitlines()

    def answers(self, *events: str) -> list[dict[str, Any]]:
        """The answers as it writes them for a script."""
        return [json.loads(each) for each in self.try_(*events, options=("--json",)).stdout.splitlines()]

    def everything(self) -> dict[tuple[str, str], list[str]]:
        """All that stands in any table."""
        tables = [(schema, name) for schema, name in rows(self.engine, TABLES)]
        return {
            (schema, name): [
                row for (row,) in rows(self.engine, f"SELECT t::text FROM {schema}.{name} AS t ORDER BY 1")
            ]
            for schema, name in tables
        }


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    engine = open_engine(database)
    env = commands.environment(STOCKBOOK_DATABASE_URL=database)
    told = commands.told("publish", "-", env=env, given="\n".join([*MASTERS, *STOCK]))
    assert told == f"{len(MASTERS) + len(STOCK)} accepted, 0 rejected\n"
    # Or sweeps would, while something is tried.
    carry_out(engine, "accounting", number_entries)
    for schema, (chain_entries, tell_heads) in CHAINING.items():
        carry_out(engine, schema, chain_entries)
        carry_out(engine, schema, tell_heads)
    yield Shop(engine, env)
    engine.dispose()


def test_a_sale_that_would_go_is_told_with_its_entries_and_its_journal(shop: Shop) -> None:
    done = shop.try_(SALE)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "would be accepted till S2",
        "  12 tea in north",
        "  stock ledger, EUR",
        "    -12 tea in north: -26.00",
        "  journal, EUR",
        "    debit cost_of_goods_sold, credit stock north: 26.00",
        "    debit receivable, credit income: 50.00",
        "1 would be accepted, 0 would be rejected",
    ]


def test_what_would_be_rejected_is_told_with_every_reason_and_ends_with_code_1(shop: Shop) -> None:
    done = shop.try_(TOO_MUCH, SALE)
    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    facts = "item tea, warehouse north, wanted 21, available 20, at 2026-03-02T12:00:00+00:00"
    assert lines[lines.index("would be rejected till S3") :][:3] == [
        "would be rejected till S3",
        f"  insufficient_stock in line 1: {facts}",
        "  unknown_item in line 2: item nut",
    ]
    assert lines[-1] == "1 would be accepted, 1 would be rejected"


def test_a_making_is_told_with_what_it_would_make_and_what_that_would_be_worth(shop: Shop) -> None:
    lines = shop.tried(MAKING)
    assert "  6 blend in north, new batch BL-01" in lines
    # Four leaves at 1.25, five teas at 2.00, and 3.00 for the work.
    assert "    +6 blend in north, batch BL-01: +18.00" in lines
    assert "    debit stock north, credit expenses_in_valuation: 3.00" in lines


def test_a_return_is_told_with_what_comes_back_of_goods_and_of_money(shop: Shop) -> None:
    lines = shop.tried(RETURN)
    assert "    +1 lamp in north, serials L-001: +40.00" in lines
    assert "    debit income, credit receivable: 60.00" in lines


def test_a_movement_that_is_tried_changes_nothing_in_any_table(shop: Shop) -> None:
    before = shop.everything()
    assert before["ledger", "entry"]
    receipt = movement("R5", "purchase_receipt", line("lamp", 3, target="north", rate="41"))
    done = shop.try_(SALE, TOO_MUCH, MAKING, RETURN, receipt)
    assert done.stdout.splitlines()[-1] == "4 would be accepted, 1 would be rejected"
    assert shop.everything() == before


def test_each_is_tried_on_the_stock_as_it_is_and_finds_nothing_of_the_others(shop: Shop) -> None:
    all_of_it = line("tea", 20, source="north", net="1")
    bought = movement("R9", "purchase_receipt", line("tea", 5, target="north", rate="2"))
    more = movement("S9", "sale", line("tea", 25, source="north", net="1"))
    lines = shop.tried(movement("S7", "sale", all_of_it), movement("S8", "sale", all_of_it), bought, more)
    assert {"would be accepted till S7", "would be accepted till S8", "would be rejected till S9"} <= set(lines)


def test_the_answers_stand_in_the_order_of_the_file_whatever_was_answered_first(shop: Shop) -> None:
    verdicts = [each for each in shop.tried(SALE, TOO_MUCH, RETURN, MAKING) if each.startswith("would")]
    assert [each.split()[-1] for each in verdicts] == ["S2", "S3", "B1", "M1"]
    assert [each["data"]["id"] for each in shop.answers(SALE, TOO_MUCH, RETURN)] == ["S2", "S3", "B1"]


def test_many_movements_in_one_event_are_tried_each_by_itself(shop: Shop) -> None:
    sale = line("tea", 20, source="north", net="1")
    both = event("movement.requested.v1", movements=[requested("S7", "sale", sale), requested("S8", "sale", sale)])
    lines = shop.tried(both)
    assert lines[-1] == "2 would be accepted, 0 would be rejected"


def test_what_is_tried_does_not_wait_for_what_it_lacks(shop: Shop) -> None:
    # The till has an hour's patience: sent for good, this one would wait for the receipt of its goods.
    assert shop.try_(TOO_MUCH).exit_code == 1
    assert rows(shop.engine, "SELECT count(*) FROM receiving.waiting") == [(0,)]


def test_the_name_of_what_was_tried_stays_free_and_its_numbers_are_given_to_it_later(shop: Shop) -> None:
    receipt = movement("R5", "purchase_receipt", line("lamp", 2, target="north", rate="41"))
    assert "  2 lamp in north, new serials L-003, L-004" in shop.tried(receipt)
    told = commands.told("publish", "-", "--wait", env=shop.env, given=receipt).splitlines()
    assert told == ["accepted till R5", "  2 lamp in north, new serials L-003, L-004", "1 accepted, 0 rejected"]


@pytest.mark.parametrize("sent", [SALE, MAKING, RETURN])
def test_what_was_tried_is_what_is_posted_and_booked_when_it_is_sent(shop: Shop, sent: str) -> None:
    (answer,) = shop.answers(sent)
    tried = read(decoder(OutcomeTried), write(answer["data"]))
    commands.told("publish", "-", env=shop.env, given=sent)
    entries = "SELECT item, batch, quantity, value FROM ledger.stock_ledger WHERE id = '{}' ORDER BY item"
    journal = "SELECT debit_account, credit_account, amount FROM accounting.journal WHERE id = '{}' ORDER BY ordinal"
    posted = sorted((each.item, each.batch, each.quantity, each.value) for each in tried.entries)
    booked = [(each.debit, each.credit, each.amount) for each in tried.transfers]
    assert posted
    assert booked
    assert rows(shop.engine, entries.format(tried.id)) == posted
    assert rows(shop.engine, journal.format(tried.id)) == booked


def test_a_script_gets_each_answer_as_an_event_in_short(shop: Shop) -> None:
    done = shop.try_(SALE, TOO_MUCH, options=("--json",))
    answers = {each["type"]: each["data"] for each in map(json.loads, done.stdout.splitlines())}
    assert done.exit_code == 1
    tried = read(decoder(OutcomeTried), write(answers[OUTCOME_TRIED]))
    assert (tried.source, tried.id, tried.company, tried.currency) == ("till", "S2", "shop", "EUR")
    assert [each["code"] for each in answers[OUTCOME_REJECTED]["reasons"]] == ["insufficient_stock", "unknown_item"]
    assert answers[OUTCOME_REJECTED]["dry_run"] is True


def test_what_cannot_be_tried_is_named_by_its_line_and_nothing_is_sent(shop: Shop) -> None:
    before = shop.everything()
    done = shop.try_(SALE, MASTERS[4], SALE, "nonsense")
    assert isinstance(done.exception, StockbookError)
    told = str(done.exception).splitlines()
    assert told[0] == "nothing was sent:"
    assert told[1].startswith("-:2: item.defined.v1 cannot be tried, only movements can")
    assert told[2].startswith("-:3: till S2 stands here twice")
    assert told[3].startswith("-:4: ")
    assert len(told) == 4
    assert shop.everything() == before


def test_a_movement_that_comes_twice_in_one_event_is_named_too(shop: Shop) -> None:
    sale = requested("S7", "sale", line("tea", 1, source="north", net="1"))
    done = shop.try_(event("movement.requested.v1", movements=[sale, sale]))
    assert "till S7 stands here twice" in str(done.exception)


def test_every_movement_of_an_event_becomes_a_dry_run_and_is_else_as_it_was() -> None:
    sale = requested("S7", "sale", line("tea", "1.50", source="north"), unheard_of={"a": ["1.50", 2, None]})
    many = event("movement.requested.v1", movements=[sale, {**sale, "id": "S8"}])
    made = read_trial(many.encode(), "desk")
    assert made.keys == [("till", "S7"), ("till", "S8")]
    envelope = read_envelope(made.body)
    assert (envelope.source, envelope.id) == ("till", made.id)
    assert [json.loads(bytes(each)) for each in raw_movements(envelope.data)] == [
        {**sale, "dry_run": True},
        {**sale, "id": "S8", "dry_run": True},
    ]


def test_an_event_that_fits_but_not_as_dry_runs_is_named() -> None:
    def filled(length: int) -> bytes:
        sale = requested("S7", "sale", line("tea", 1, source="north"), filling="x" * length)
        return write({"type": "movement.requested.v1", "time": f"{DAY}T12:00:00Z", "data": sale})

    room = MESSAGE_LIMIT - len(read_event(filled(0), "desk", NOW).body)
    assert len(read_event(filled(room), "desk", NOW).body) == MESSAGE_LIMIT
    with pytest.raises(Malformed, match="as dry runs"):
        read_trial(filled(room), "desk")


def test_what_is_sent_for_good_meanwhile_is_no_answer_to_a_dry_run() -> None:
    tally = Tally(is_detailed=True, is_trial=True)
    tally.sent([read_trial(SALE.encode(), "desk")])
    kind, reasons = "movement.requested", [Refusal(code="unknown_item", line=1)]
    refused = OutcomeRejected(source="till", id="S2", kind=kind, recorded_at=NOW, reasons=reasons)
    tally.hear([OutcomeAccepted(source="till", id="S2", kind=kind, recorded_at=NOW), refused])
    assert list(tally.open) == [("till", "S2")]
    tally.hear([msgspec.structs.replace(refused, dry_run=True)])
    assert tally.told() == [
        "would be rejected till S2",
        "  unknown_item in line 1",
        "0 would be accepted, 1 would be rejected",
    ]


def test_a_dry_run_that_is_published_is_answered_as_what_it_is(shop: Shop) -> None:
    given = "\n".join([movement("S8", "sale", line("tea", 1, source="north", net="5"), dry_run=True), SALE])
    lines = commands.told("publish", "-", "--wait", env=shop.env, given=given).splitlines()
    assert {"would be accepted till S8", "accepted till S2"} <= set(lines)
    assert lines[-1] == "1 accepted, 0 rejected, 1 would be accepted"


@contextmanager
def workers(database: str, broker_url: str) -> Iterator[None]:
    """The three services at work over RabbitMQ, in a thread of their own."""
    stop, ready = threading.Event(), threading.Event()

    def work() -> None:
        with Pipeline(database, broker_url, settings=Settings(pause=0.01)) as pipeline:
            ready.set()
            while not stop.is_set():
                pipeline.turn(0.02)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            assert ready.wait(10)
            yield
        finally:
            stop.set()
            done.result(10)


def test_over_rabbitmq_the_workers_elsewhere_answer_and_change_nothing(
    shop: Shop, database: str, vhost_url: str
) -> None:
    before = shop.everything()
    over_rabbit = Shop(shop.engine, shop.env | {"STOCKBOOK_BROKER_URL": vhost_url})
    with workers(database, vhost_url):
        done = over_rabbit.try_(SALE, TOO_MUCH, MAKING, RETURN, options=("--timeout", "20"))
    lines = done.stdout.splitlines()
    assert done.exit_code == 1
    assert lines[-1] == "3 would be accepted, 1 would be rejected"
    assert lines[lines.index("would be accepted till S2") :][3] == "    -12 tea in north: -26.00"
    assert shop.everything() == before


def test_what_no_worker_answers_is_missing_when_the_time_is_over(shop: Shop, vhost_url: str) -> None:
    # No worker was ever here: the command itself makes what it listens to.
    over_rabbit = Shop(shop.engine, shop.env | {"STOCKBOOK_BROKER_URL": vhost_url})
    done = over_rabbit.try_(SALE, options=("--timeout", "0.3"))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "no outcome till S2",
        "0 would be accepted, 0 would be rejected, 1 without an outcome yet",
    ]
    done = over_rabbit.try_(SALE, options=("--timeout", "0", "--json"))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "no outcome till S2\n")
    with Pipeline(shop.env["STOCKBOOK_DATABASE_URL"], vhost_url) as pipeline:
        assert pipeline.broker.depth(RECEIVING) == 2
