"""Dry runs in accounting: answered with all that they would have done, and nothing stays of them."""

from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine

from services.accounting.handlers import HANDLERS
from shared.contracts.codec import decoder, read, write
from shared.contracts.envelope import frame, read_envelope, write_event
from shared.contracts.movement import MoneySides
from shared.contracts.outcome import OutcomeAccepted, Remark
from shared.contracts.registry import MOVEMENT_POSTED, OUTCOME_TRIED, TRIAL_POSTED
from shared.contracts.stock import MovementPosted
from shared.contracts.trial import OutcomeTried
from shared.db import open_engine, query, transaction
from shared.errors import InvariantBroken
from shared.service import Output
from tests.accounting_builders import NOON, entry, posted, sides, transfers

ALLOCATED = OutcomeAccepted(
    source="till",
    id="M1",
    kind="movement.requested",
    recorded_at=NOON,
    effective_at=NOON,
    remarks=[Remark(code="shortage", line=1)],
)
LEDGER_ENTRY = "01900000-0000-7000-8000-000000000002"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


def receipt(value: str = "5.00", trial: OutcomeAccepted | None = ALLOCATED, perpetual: bool = True) -> MovementPosted:
    return posted("purchase_receipt", entry(value, entry_id=LEDGER_ENTRY), trial=trial, perpetual=perpetual)


def handle(engine: Engine, kind: str, *movements: MovementPosted) -> Sequence[Output]:
    """What accounting says of a frame from the ledger."""
    event = read_envelope(write_event(kind, "ledger", "E1", frame([write(each) for each in movements])))
    with transaction(engine) as connection:
        return HANDLERS[kind].work(HANDLERS[kind].read(event), connection).outputs


def answers(engine: Engine, *movements: MovementPosted) -> list[OutcomeTried]:
    """What the sources of dry runs are told."""
    outputs = handle(engine, TRIAL_POSTED, *movements)
    assert {(each.kind, each.source, each.id) for each in outputs} == {(OUTCOME_TRIED, "till", "M1")}
    return [read(decoder(OutcomeTried), each.body) for each in outputs]


def amounts(answer: OutcomeTried) -> list[str]:
    return [f"{each.amount:.2f}" for each in answer.transfers]


def stored(engine: Engine) -> dict[str, int]:
    """How much stands in each table that has anything in it."""
    tables = ("movement", "journal_entry", "transfer", "outbox", "parked")
    with transaction(engine) as connection:
        found = {name: len(query(connection, f"SELECT FROM accounting.{name}")) for name in tables}
    return {name: count for name, count in found.items() if count}


def paid_in_cash() -> MoneySides:
    return sides([("cash", "119.00", None)], [("income", "100.00", 1), ("vat", "19.00", 1)])


def test_a_dry_run_is_answered_with_all_that_it_would_have_done(engine: Engine) -> None:
    movement = posted("sale", entry("-60.00"), money=paid_in_cash(), trial=ALLOCATED)
    (answer,) = answers(engine, movement)
    assert (answer.source, answer.id, answer.company, answer.currency) == ("till", "M1", "shop", "EUR")
    assert answer.recorded_at == NOON
    assert answer.outcome == ALLOCATED
    assert answer.entries == movement.entries
    assert answer.transfers == transfers(movement)
    assert amounts(answer) == ["60.00", "100.00", "19.00"]


def test_a_dry_run_leaves_nothing_behind_and_its_id_free(engine: Engine) -> None:
    answers(engine, receipt("6.00"))
    assert stored(engine) == {}
    assert len(handle(engine, MOVEMENT_POSTED, receipt("5.00", trial=None))) == 1
    assert stored(engine) == {"movement": 1, "journal_entry": 1, "transfer": 1}


def test_every_try_of_an_id_is_answered_even_within_a_set(engine: Engine) -> None:
    tries = [receipt("5.00"), receipt("6.00"), receipt("6.00")]
    assert [amounts(each) for each in answers(engine, *tries)] == [["5.00"], ["6.00"], ["6.00"]]


def test_a_dry_run_of_an_id_that_was_booked_is_answered_by_itself(engine: Engine) -> None:
    handle(engine, MOVEMENT_POSTED, receipt("5.00", trial=None))
    before = stored(engine)
    assert [amounts(each) for each in answers(engine, receipt("7.00"))] == [["7.00"]]
    assert stored(engine) == before


def test_a_dry_run_without_perpetual_accounting_would_book_nothing(engine: Engine) -> None:
    (answer,) = answers(engine, receipt(perpetual=False))
    assert (len(answer.entries), answer.transfers) == (1, [])


def test_a_dry_run_that_comes_as_a_fact_is_never_booked(engine: Engine) -> None:
    with pytest.raises(InvariantBroken, match="never booked"):
        handle(engine, MOVEMENT_POSTED, receipt())
    assert stored(engine) == {}


def test_a_fact_that_comes_as_a_dry_run_is_not_answered(engine: Engine) -> None:
    with pytest.raises(InvariantBroken, match="would be told"):
        handle(engine, TRIAL_POSTED, receipt(trial=None))
