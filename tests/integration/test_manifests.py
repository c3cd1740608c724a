"""Manifests at the gate, on PostgreSQL: a source is told exactly what is missing, extra, different or not accepted."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Engine

from services.receiving.decide.case import Limits
from services.receiving.handlers import manifests as handlers
from services.receiving.handlers.gate import Gate as Judging
from services.receiving.store import numbers
from shared.contracts.codec import changed, write
from shared.contracts.envelope import write_event
from shared.contracts.manifest import NotAccepted, SourceReconciled
from shared.contracts.movement import MovementRequested
from shared.contracts.outcome import OutcomeRejected
from shared.contracts.registry import MOVEMENT_REQUESTED, SOURCE_MANIFEST
from shared.db import run, transaction
from shared.parked import Parked, park
from shared.service import Output, Step
from tests.builders import PATIENCE, SOURCE, until_blocked
from tests.gate_builders import held
from tests.manifest_builders import answers, digest_for, event, manifest, numbered, spans, tell, total
from tests.receiving_builders import Gate, after, codes, comes, events, goes, movement, rows

MINUTE = timedelta(seconds=60)


def sent(gate: Gate, *asked: MovementRequested) -> None:
    gate.ask(*asked)


def patient(engine: Engine) -> Gate:
    """A gate whose sources wait a minute."""
    return Gate(engine, patience=MINUTE)


def sweep(gate: Gate) -> list[Output]:
    """What is told when the gate looks at the manifests that are due."""
    return gate.follow(due(gate))


def due(gate: Gate) -> Step:
    return handlers.answer_due(Judging(lambda: gate.now, Limits(patience=MINUTE)))


def parked_as(engine: Engine, reason: str, body: bytes, identifier: str | None = None, **headers: str) -> None:
    with transaction(engine) as connection:
        park(connection, "receiving", [Parked(reason, "", body, MOVEMENT_REQUESTED, SOURCE, identifier, headers)])


def parked_here(engine: Engine) -> list[int]:
    with transaction(engine) as connection:
        return sorted(each.number for each in numbers.parked_numbers(connection, SOURCE))


def test_a_day_of_which_all_arrived_and_was_accepted_agrees(gate: Gate) -> None:
    sent(gate, *(numbered(number) for number in (1, 2, 3)))
    said = manifest(1, 3, digest=digest_for(1, 2, 3), totals=[total(count=3, quantity=3)])
    answer = tell(gate, said)
    assert (answer.result, answer.expected, answer.arrived, answer.accepted) == ("agrees", 3, 3, 3)
    assert answer.as_of == gate.now
    assert answer == SourceReconciled(
        source=SOURCE,
        id="manifest-1",
        day=said.day,
        first_number=1,
        last_number=3,
        as_of=gate.now,
        result="agrees",
        expected=3,
        arrived=3,
        accepted=3,
    )


def test_what_is_missing_is_told_as_spans_of_numbers(gate: Gate) -> None:
    sent(gate, *(numbered(number) for number in (1040, 1045, 1047)))
    answer = tell(gate, manifest(1039, 1048))
    assert answer.result == "differs"
    assert spans(answer) == [(1039, 1039), (1041, 1044), (1046, 1046), (1048, 1048)]
    assert (answer.missing_count, answer.arrived, answer.accepted) == (7, 3, 3)
    assert [(each.code, each.expected, each.found) for each in answer.different] == [("count_differs", "10", "3")]


def test_a_day_without_movements_agrees(gate: Gate) -> None:
    assert tell(gate, manifest(1, 0)).result == "agrees"


def test_numbers_of_other_sources_and_movements_without_a_number_are_left_out(gate: Gate) -> None:
    gate.ask(numbered(1), source="other-till")
    gate.ask(movement("material_receipt", comes("tea", 1), id="unnumbered", at=after(1)))
    assert spans(tell(gate, manifest(1, 1))) == [(1, 1)]


def test_what_was_refused_arrived_and_is_told_with_why(gate: Gate) -> None:
    refused = movement("delivery", goes("tea", 99), id="T-2", at=after(1), number=2)
    sent(gate, numbered(1), refused)
    answer = tell(gate, manifest(1, 2))
    assert (answer.result, answer.missing, answer.arrived, answer.accepted) == ("not_accepted", [], 2, 1)
    assert answer.not_accepted == [NotAccepted(number=2, id="T-2", state="rejected", codes=["insufficient_stock"])]


def test_a_malformed_movement_arrived_if_its_number_can_be_read(gate: Gate) -> None:
    raw = b'{"id":"T-1","number":1,"purpose":7}'
    gate.send(write_event(MOVEMENT_REQUESTED, SOURCE, "e", msgspec.Raw(raw)))
    answer = tell(gate, manifest(1, 1))
    assert answer.not_accepted == [NotAccepted(number=1, id="T-1", state="rejected", codes=["malformed"])]
    assert answer.result == "not_accepted"


@pytest.mark.parametrize("number", ['"1"', "0", "-1", "1.5", "true", "9007199254740992"])
def test_a_number_that_is_none_is_refused_and_counts_for_nothing(gate: Gate, number: str) -> None:
    raw = f'{{"id":"T-1","number":{number},"purpose":"delivery","posting_at":"2026-03-02T09:00:00Z"}}'.encode()
    (output,) = gate.send(write_event(MOVEMENT_REQUESTED, SOURCE, "e", msgspec.Raw(raw)))
    assert b"$.number" in output.body
    assert rows(gate.engine, "SELECT * FROM receiving.numbers") == []


def test_what_waits_arrived_and_its_manifest_waits_with_it(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    assert gate.send(*events([movement("delivery", goes("tea", 99), id="T-1", at=after(1), number=1)])) == []
    assert gate.send(event(manifest(1, 1))) == []
    gate.now += MINUTE
    (answer,) = answers(sweep(gate))
    assert isinstance(answer, SourceReconciled)
    assert answer.not_accepted == [NotAccepted(number=1, id="T-1", state="waiting")]
    assert (answer.result, answer.arrived, answer.accepted) == ("not_accepted", 1, 0)


def test_what_was_parked_arrived_as_far_as_its_number_can_be_read(engine: Engine, gate: Gate) -> None:
    sent(gate, numbered(1))
    parked_as(engine, "unprocessable", write(numbered(2)), "T-2")
    parked_as(engine, "malformed", b'{"number":3,"id":""}')
    parked_as(engine, "malformed", b'{"movements":[{"number":4,"id":"T-4"},{"number":"5"},7]}', "event")
    parked_as(engine, "malformed", b'{"data":{"number":6,"id":"T-6"},"id":"event"}', "event")
    for unreadable in (b"", b"\xff", b'{"number":', b"[" * 100_000, b'{"movements":7}'):
        parked_as(engine, "malformed", unreadable)
    answer = tell(gate, manifest(1, 6))
    assert spans(answer) == [(5, 5)]
    assert [(each.number, each.id, each.state, each.codes) for each in answer.not_accepted] == [
        (2, "T-2", "parked", ["unprocessable"]),
        (3, None, "parked", ["malformed"]),
        (4, "T-4", "parked", ["malformed"]),
        (6, "T-6", "parked", ["malformed"]),
    ]
    assert (answer.arrived, answer.accepted) == (5, 1)


def test_an_unreadable_copy_says_nothing_once_its_number_has_arrived(engine: Engine, gate: Gate) -> None:
    parked_as(engine, "malformed", b'{"number":1}')
    assert tell(gate, manifest(1, 1)).result == "not_accepted"
    sent(gate, numbered(1))
    assert tell(gate, manifest(1, 1), "manifest-2").result == "agrees"


def test_an_id_used_again_for_other_content_is_told_while_the_first_one_counts(gate: Gate) -> None:
    sent(gate, numbered(1))
    gate.send(*events([numbered(1, quantity=2)]))
    answer = tell(gate, manifest(1, 1, totals=[total(quantity=1)], digest=digest_for(1)))
    assert answer.not_accepted == [NotAccepted(number=1, id="T-1", state="parked", codes=["conflicting_duplicate"])]
    assert (answer.result, answer.different, answer.arrived, answer.accepted) == ("not_accepted", [], 1, 1)


def test_an_id_used_again_under_another_number_arrived_there_and_was_not_accepted(gate: Gate) -> None:
    sent(gate, numbered(1))
    gate.send(*events([numbered(2, "T-1")]))
    answer = tell(gate, manifest(1, 2))
    assert (answer.missing, answer.arrived, answer.accepted) == ([], 2, 1)
    assert [(each.number, each.id) for each in answer.not_accepted] == [(2, "T-1")]


def test_what_another_user_sent_under_a_sources_name_is_not_taken_for_its_own(engine: Engine, gate: Gate) -> None:
    with transaction(engine) as connection:
        run(connection, "INSERT INTO receiving.source VALUES ('till', 'request', 0, 'till-user')")
    parked_as(engine, "not_your_source", write(numbered(1)), "T-1", user="mallory")
    parked_as(engine, "malformed", b'{"number":2}', user="mallory")
    parked_as(engine, "malformed", b'{"number":3}', user="till-user")
    assert parked_here(engine) == [3]
    with transaction(engine) as connection:
        run(connection, "UPDATE receiving.source SET user_name = NULL")
    assert parked_here(engine) == [2, 3]  # what was turned away once was not sent by it, whoever may speak for it now


def test_a_number_of_two_movements_is_told_and_neither_is_refused(gate: Gate) -> None:
    assert [each.attempt for each in gate.accept(numbered(1, "A"), numbered(1, "B"))] == [1, 1]
    answer = tell(gate, manifest(1, 1))
    assert [(each.number, each.ids) for each in answer.repeated] == [(1, ["A", "B"])]
    assert (answer.result, answer.arrived, answer.accepted) == ("differs", 2, 2)


def test_a_movement_under_a_number_said_to_be_unused_is_extra(gate: Gate) -> None:
    sent(gate, *(numbered(number) for number in (1, 2, 3)))
    answer = tell(gate, manifest(1, 3, unused=[(2, 2)]))
    assert [(each.number, each.id) for each in answer.extra] == [(2, "T-2")]
    assert answer.missing == []


def test_with_a_list_an_id_under_another_number_is_found(gate: Gate) -> None:
    sent(gate, numbered(1), numbered(2, "wrong"), numbered(4))
    answer = tell(gate, manifest(1, 4, listed=[(1, "T-1"), (2, "T-2"), (3, "T-3")]))
    assert spans(answer) == [(2, 3)]
    assert [(each.number, each.id) for each in answer.extra] == [(2, "wrong"), (4, "T-4")]


def test_each_total_that_differs_is_told_by_purpose(gate: Gate) -> None:
    sold = movement("sale", goes("tea", 2, net="3.50", tax=[]), id="T-3", at=after(2), number=3)
    sent(gate, numbered(1, quantity=4), numbered(2), sold)
    wrong = [total(count=3, quantity="5.5"), total("sale", quantity=2, net="3.49", tax="0.10"), total("scrap", count=1)]
    told = {
        (each.code, each.purpose): (each.expected, each.found)
        for each in tell(gate, manifest(1, 3, totals=wrong)).different
    }
    assert told == {
        ("count_differs", "material_receipt"): ("3", "2"),
        ("quantity_differs", "material_receipt"): ("5.5", "5"),
        ("net_differs", "sale"): ("3.49", "3.5"),
        ("tax_differs", "sale"): ("0.1", "0"),
        ("count_differs", "scrap"): ("1", "0"),
    }


def test_a_digest_of_other_ids_differs_and_only_where_all_numbers_are_there(gate: Gate) -> None:
    sent(gate, numbered(1), numbered(2, "other"))
    (different,) = tell(gate, manifest(1, 2, digest=digest_for(1, 2))).different
    assert different.code == "digest_differs"
    assert [each.code for each in tell(gate, manifest(1, 3, digest=digest_for(1, 2, 3)), "2").different] == [
        "count_differs"
    ]


# --- patience, and being sent again ----------------------------------------------------------------------------------


def test_a_manifest_before_its_last_movements_waits_and_is_answered_once_they_came(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    sent(gate, numbered(1))
    assert gate.send(event(manifest(1, 2))) == []
    assert sweep(gate) == []  # not due yet
    gate.now += timedelta(seconds=1)
    assert sweep(gate) == []  # looked at, and still incomplete
    sent(gate, numbered(2))
    gate.now += timedelta(seconds=10)
    (answer,) = answers(sweep(gate))
    assert isinstance(answer, SourceReconciled)
    assert (answer.result, answer.as_of) == ("agrees", gate.now)
    gate.now += timedelta(hours=1)
    assert sweep(gate) == []  # told once


def test_a_manifest_that_stays_incomplete_is_answered_when_patience_ends(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    gate.send(event(manifest(1, 1)))
    for _ in range(59):
        gate.now += timedelta(seconds=1)
        assert sweep(gate) == []
    gate.now += timedelta(seconds=1)
    (answer,) = answers(sweep(gate))
    assert isinstance(answer, SourceReconciled)
    assert spans(answer) == [(1, 1)]


def test_a_manifest_to_which_nothing_can_come_is_answered_at_once(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    sent(gate, numbered(1), numbered(2))
    assert tell(gate, manifest(1, 2, unused=[(2, 2)])).result == "differs"


def test_an_answer_of_which_nobody_knows_that_it_was_told_is_told_again(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    gate.send(event(manifest(1, 1)))
    gate.now += MINUTE
    with transaction(engine) as connection:
        step = due(gate)(connection).then
        assert step is not None
        assert len(step(connection).outputs) == 1  # and killed before that was noted
    assert sweep(gate) == []
    gate.now += handlers.TELL_AGAIN
    assert len(sweep(gate)) == 1
    gate.now += handlers.TELL_AGAIN
    assert sweep(gate) == []


def test_a_manifest_that_cannot_be_compared_is_put_off_and_the_others_are_answered(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    gate.send(event(manifest(1, 1), "bad"))
    gate.now += timedelta(seconds=1)
    gate.send(event(manifest(1, 1), "good"))
    gate.now += MINUTE
    with transaction(engine) as connection:
        otherwise = due(gate)(connection).otherwise
    assert otherwise is not None
    assert [each.id for each in gate.follow(otherwise(ValueError()))] == ["good"]
    gate.now += handlers.TELL_AGAIN
    assert [each.id for each in sweep(gate)] == ["bad"]


def test_a_manifest_sent_again_is_answered_by_how_things_stand_now(gate: Gate) -> None:
    said = manifest(1, 2)
    sent(gate, numbered(1))
    assert tell(gate, said).result == "differs"
    sent(gate, numbered(2))
    gate.now += timedelta(minutes=5)
    answer = tell(gate, said)
    assert (answer.result, answer.as_of) == ("agrees", gate.now)
    assert rows(gate.engine, "SELECT result FROM receiving.manifest") == [("agrees",)]


def test_a_manifest_that_waits_goes_on_waiting_when_it_is_delivered_again(engine: Engine, gate: Gate) -> None:
    gate = patient(engine)
    assert gate.send(event(manifest(1, 1))) == []
    assert gate.send(event(manifest(1, 1))) == []
    gate.now += MINUTE
    assert len(sweep(gate)) == 1


def test_a_manifests_id_with_other_content_is_parked_and_changes_nothing(gate: Gate) -> None:
    sent(gate, numbered(1))
    tell(gate, manifest(1, 1))
    assert gate.send(event(manifest(1, 2))) == []
    assert rows(gate.engine, "SELECT reason, kind, id FROM receiving.parked") == [
        ("conflicting_duplicate", SOURCE_MANIFEST, "manifest-1")
    ]
    assert tell(gate, manifest(1, 1)).result == "agrees"


def test_a_manifest_twice_in_one_set_is_answered_once(gate: Gate) -> None:
    assert len(gate.send(event(manifest(1, 0)), event(manifest(1, 0)))) == 1


def test_a_later_manifest_of_a_day_takes_the_place_of_the_one_before(gate: Gate) -> None:
    sent(gate, numbered(1))
    tell(gate, manifest(1, 2))
    gate.now += timedelta(seconds=1)
    tell(gate, manifest(1, 2, unused=[(2, 2)]), "manifest-2")
    assert rows(gate.engine, "SELECT id, result FROM receiving.manifests") == [("manifest-2", "agrees")]


# --- refusals ---------------------------------------------------------------------------------------------------------


def refused(outputs: Sequence[Output]) -> list[str]:
    (outcome,) = answers(outputs)
    assert isinstance(outcome, OutcomeRejected)
    assert (outcome.kind, outcome.id) == ("source.manifest", "manifest-1")
    return [each.code for each in outcome.reasons]


def test_a_manifest_that_contradicts_itself_is_refused_and_told_so_again(gate: Gate) -> None:
    said = event(manifest(1, 3, count=2))
    assert refused(gate.send(said)) == ["manifest_count_wrong"]
    assert refused(gate.send(said)) == ["manifest_count_wrong"]
    assert rows(gate.engine, "SELECT * FROM receiving.manifest") == []


def test_a_manifest_with_wrong_fields_is_refused_with_their_path(gate: Gate) -> None:
    outputs = gate.send(write_event(SOURCE_MANIFEST, SOURCE, "manifest-1", msgspec.Raw(b'{"day":"2026-02-30"}')))
    assert refused(outputs) == ["malformed"]
    assert b"$.day" in outputs[0].body


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_movement_sent_again_keeps_its_number_once(gate: Gate) -> None:
    sent(gate, numbered(1))
    gate.send(*events([numbered(1)]))
    assert rows(gate.engine, "SELECT source, number, id, quantity FROM receiving.numbers") == [(SOURCE, 1, "T-1", 1)]


def test_two_workers_that_refuse_one_movement_at_once_note_its_number_once(
    engine: Engine, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    first = held(gate, changed(numbered(1), purpose="nonsense"), pool)
    other = Gate(engine)
    second = pool.submit(other.ask, changed(numbered(1), purpose="nonsense"))
    until_blocked(engine)
    first.commit()
    (outcome,) = second.result(PATIENCE)
    assert codes(outcome) == ["unknown_purpose"]
    assert other.met == 1
    assert rows(engine, "SELECT number, id FROM receiving.numbers") == [(1, "T-1")]


def test_a_number_is_content_of_its_movement(gate: Gate) -> None:
    sent(gate, numbered(1))
    gate.send(*events([changed(numbered(1), number=None)]))
    assert rows(gate.engine, "SELECT reason FROM receiving.parked") == [("conflicting_duplicate",)]


def test_a_cancellation_may_have_a_number(gate: Gate) -> None:
    sent(gate, numbered(1))
    (told,) = gate.ask(movement("cancellation", id="X", number=2, at=after(2), against={"id": "T-1"}))
    assert not isinstance(told, OutcomeRejected)


def test_a_dry_run_uses_no_number_up(gate: Gate) -> None:
    gate.send(*events([numbered(1, dry_run=True)]))
    assert rows(gate.engine, "SELECT * FROM receiving.numbers") == []


def test_the_table_of_numbers_is_append_only(engine: Engine, gate: Gate) -> None:
    sent(gate, numbered(1))
    with pytest.raises(Exception, match="append-only"), transaction(engine) as connection:
        run(connection, "DELETE FROM receiving.numbered")
