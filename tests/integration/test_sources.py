"""`stockbook sources`: what each source owes, over real tables; and a manifest's whole way through the services."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from services.desk.events import make_event
from services.desk.listening import Listener
from services.desk.pipeline import Pipeline
from services.desk.store.sources import Source, sources
from services.receiving.decide.manifests import NUMBERS_LIMIT, Sums, faults
from services.receiving.store.numbers import Numbered, note_numbers
from shared.contracts.codec import changed, decoder, read
from shared.contracts.manifest import SourceManifest, SourceReconciled
from shared.contracts.registry import MOVEMENT_REQUESTED, SOURCE_MANIFEST
from shared.db import open_engine, run, transaction
from tests.builders import SOURCE
from tests.commands import environment, invoke, told
from tests.integration.test_manifests import parked_as
from tests.manifest_builders import digest_for, manifest, numbered, tell
from tests.receiving_builders import EVENING, Gate, events

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "publishing.md").read_text("utf-8")
MASTERS: list[tuple[str, dict[str, Any]]] = [
    ("company.defined.v1", {"company": "shop", "currency": "EUR"}),
    ("warehouse.defined.v1", {"company": "shop", "warehouse": "north"}),
    ("item.defined.v1", {"company": "shop", "item": "tea"}),
]
_names = (f"source-{number}" for number in count(1))


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def gate(engine: Engine) -> Gate:
    """A gate at which nothing is defined: whatever comes is refused, and has arrived."""
    return Gate(engine)


def known(engine: Engine, source: str = SOURCE) -> Source:
    with transaction(engine) as connection:
        (found,) = sources(connection, source)
    return found


def arrived(engine: Engine, source: str, *numbers: int) -> None:
    """Numbers of a source that is defined; nothing else of them is written."""
    with transaction(engine) as connection:
        run(connection, "INSERT INTO receiving.source VALUES (:source, 'request', 0, NULL)", source=source)
        note_numbers(connection, [Numbered(source, each, f"T-{each}", EVENING, "sale", Sums()) for each in numbers])


# --- what is known of a source ---------------------------------------------------------------------------------------


def test_what_did_not_arrive_between_the_lowest_and_the_highest_number_is_owed(engine: Engine, gate: Gate) -> None:
    gate.ask(*(numbered(number) for number in (1040, 1045, 1046, 1050)))
    found = known(engine)
    assert (found.gaps, found.last_number, found.rejected) == ([(1041, 1044), (1047, 1049)], 1050, 4)


def test_what_a_manifest_named_is_owed_beyond_what_arrived_and_its_unused_numbers_are_not(
    engine: Engine, gate: Gate
) -> None:
    gate.ask(numbered(10), numbered(12))
    tell(gate, manifest(8, 15, unused=[(9, 9), (11, 11), (14, 14)]))
    assert known(engine).gaps == [(8, 8), (13, 13), (15, 15)]


def test_a_source_of_which_only_a_manifest_came_owes_all_of_it(engine: Engine, gate: Gate) -> None:
    tell(gate, manifest(3, 5))
    found = known(engine)
    assert (found.gaps, found.last_number, found.accepted) == ([(3, 5)], None, 0)
    assert found.manifest is not None
    assert (found.manifest.day.isoformat(), found.manifest.result) == ("2026-03-02", "differs")


def test_a_parked_number_has_arrived_and_shows_that_those_before_it_did_not(engine: Engine, gate: Gate) -> None:
    gate.ask(numbered(1))
    parked_as(engine, "malformed", b'{"number":4}')
    parked_as(engine, "malformed", b'{"number":2,"id":""}')
    found = known(engine)
    assert (found.gaps, found.parked) == ([(3, 3)], 2)


def test_a_number_used_twice_is_found_and_no_gap(engine: Engine, gate: Gate) -> None:
    gate.ask(numbered(1, "A"), numbered(1, "B"), numbered(2))
    assert (known(engine).repeated, known(engine).gaps) == ([1], [])


def test_a_source_without_numbers_is_counted_all_the_same(engine: Engine, gate: Gate) -> None:
    gate.define("source", source="web", patience=3_600)
    gate.send(*events([changed(numbered(1), number=None)], "web"))
    found = known(engine, "web")
    assert (found.waiting, found.accepted, found.rejected, found.gaps, found.last_number) == (1, 0, 0, [], None)


def test_a_source_was_last_heard_when_its_last_number_or_manifest_came_however_long_ago(
    engine: Engine, gate: Gate
) -> None:
    gate.ask(numbered(1))
    assert known(engine).last_heard == EVENING
    gate.now += timedelta(hours=1)
    tell(gate, manifest(1, 1))
    assert known(engine).last_heard == EVENING + timedelta(hours=1)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.sets(st.integers(1, 30)), others=st.sets(st.integers(1, 30)))
def test_the_gaps_are_those_that_counting_finds(engine: Engine, numbers: set[int], others: set[int]) -> None:
    names = [next(_names), next(_names)]
    for name, each in zip(names, (numbers, others), strict=True):
        arrived(engine, name, *each)
    for name, each in zip(names, (numbers, others), strict=True):
        with transaction(engine) as connection:
            found = sources(connection, name)
        missing = [number for number in range(min(each), max(each)) if number not in each] if each else []
        assert [number for source in found for number in every(source.gaps)] == missing


def every(spans: Any) -> list[int]:
    return [number for first, last in spans for number in range(first, last + 1)]


# --- through the services --------------------------------------------------------------------------------------------


def written(*lines: tuple[str, Any]) -> str:
    """Events as a file holds them; movements of till-1."""
    return "".join(
        json.dumps({"type": kind, "source": "till-1", "data": data}) + "\n" if isinstance(data, dict) else f"{data}\n"
        for kind, data in lines
    )


def receipt(number: int, quantity: str = "2") -> tuple[str, dict[str, Any]]:
    line = {"item": "tea", "quantity": quantity, "target": "north", "rate": "1"}
    about = {"purpose": "material_receipt", "posting_at": "2026-03-02T09:00:00Z"}
    return MOVEMENT_REQUESTED, {"id": f"T-{number}", "number": number, **about, "lines": [line]}


def said(first: int, last: int, **more: Any) -> tuple[str, dict[str, Any]]:
    numbers = {"first_number": first, "last_number": last, "count": last - first + 1}
    return SOURCE_MANIFEST, {"day": "2026-03-02", **numbers, **more}


def test_a_till_is_told_what_it_owes_sends_it_and_is_square(database: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    totals = [{"purpose": "material_receipt", "count": 6, "quantity": "12"}]
    day = said(1040, 1045, totals=totals, digest=digest_for(*range(1040, 1046)))
    given_ = written(*MASTERS, receipt(1040), receipt(1045), day)
    done = invoke("publish", "-", "--wait", env=env, given=given_)
    assert done.exit_code == 1
    assert "you owe us 1041–1044: 4 missing" in done.stdout
    assert "quantity_differs of material_receipt: 12 told, 4 found" in done.stdout
    assert done.stdout.endswith("5 accepted, 0 rejected, 1 differs\n")

    listed = invoke("sources", "--format", "json", env=env)
    assert listed.exit_code == 3
    (row,) = [each for each in json.loads(listed.stdout) if each["source"] == "till-1"]
    assert (row["owes"], row["you_owe_us"], row["accepted"], row["result"]) == (4, "1041–1044", 2, "differs")
    shown = invoke("sources", "show", "till-1", "--day", "2026-03-02", env=env)
    assert shown.exit_code == 3
    assert "  you owe us 1041–1044: 4 missing\n" in shown.stdout
    assert "2026-03-02, 1040–1045: 2 of 6 arrived, 2 accepted" in shown.stdout

    again = written(*map(receipt, range(1041, 1045)), day)
    assert told("publish", "-", "--wait", env=env, given=again).endswith("4 accepted, 0 rejected, 1 agrees\n")
    assert "agrees" in told("sources", "--source", "till-1", env=env)
    assert "6 of 6 arrived, 6 accepted" in told("sources", "show", "till-1", env=env)


def test_what_a_table_shows_of_many_gaps_is_cut_and_json_has_them_all(engine: Engine, database: str) -> None:
    arrived(engine, "till-1", *range(1, 40, 2))
    env = environment(STOCKBOOK_DATABASE_URL=database)
    assert "2, 4, 6, 8, 10 and 14 more" in invoke("sources", env=env).stdout
    (row,) = json.loads(invoke("sources", "--format", "json", env=env).stdout)
    assert row["you_owe_us"] == ", ".join(map(str, range(2, 39, 2)))


def test_a_source_or_a_day_that_nobody_knows_is_an_error(database: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    assert "no such source" in str(invoke("sources", "--source", "nobody", env=env).exception)
    assert "no such source" in str(invoke("sources", "show", "nobody", env=env).exception)
    invoke("publish", "-", env=env, given=written(*MASTERS, said(1, 0)))
    missing = invoke("sources", "show", "till-1", "--day", "2026-03-03", env=env)
    assert "no manifest of this day" in str(missing.exception)
    assert told("sources", "show", "till-1", env=env).count("agrees") == 1


def test_a_manifest_is_answered_to_its_own_source_alone(database: str) -> None:
    with Pipeline(database) as pipeline:
        own, other = Listener(pipeline.broker, ["till-1"]), Listener(pipeline.broker, ["till-2"])
        pipeline.publish([make_event(SOURCE_MANIFEST, "till-1", manifest(1, 0), "m-1")])
        pipeline.settle()
        (answer,) = own.hear(0)
        assert isinstance(answer, SourceReconciled)
        assert (answer.id, answer.result) == ("m-1", "agrees")
        assert other.hear(0) == []


def test_over_rabbitmq_too_a_manifest_is_answered_and_then_the_services_have_come_to_rest(
    database: str, vhost_url: str
) -> None:
    with Pipeline(database, vhost_url) as pipeline:
        listener = Listener(pipeline.broker, ["till-1"])
        masters = [make_event(kind, "till-1", data) for kind, data in MASTERS]
        pipeline.publish([*masters, make_event(*_of_till(receipt(1))), make_event(*_of_till(said(1, 2)), "m-1")])
        pipeline.settle()
        heard = [each for each in listener.hear(1) if isinstance(each, SourceReconciled)]
        assert [(each.id, [(gap.first, gap.last) for gap in each.missing]) for each in heard] == [("m-1", [(2, 2)])]


def _of_till(told: tuple[str, dict[str, Any]]) -> tuple[str, str, dict[str, Any]]:
    return told[0], "till-1", told[1]


def test_the_command_waits_for_the_answer_as_long_as_the_source_waits_for_its_movements(database: str) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    patient = ("source.defined.v1", {"source": "till-1", "patience": 1})
    done = invoke("publish", "-", "--wait", env=env, given=written(*MASTERS, patient, said(1, 1)))
    assert "you owe us 1: 1 missing" in done.stdout
    assert "waiting up to" in done.stderr


# --- the page about publishing ---------------------------------------------------------------------------------------


def test_the_manifest_on_the_page_has_no_faults_and_the_command_beside_it_makes_its_digest() -> None:
    (block,) = [each for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "first_number" in each]
    on_the_page = read(decoder(SourceManifest), block.encode())
    assert faults(on_the_page) == []
    (command,) = re.findall(r"^ +(printf .* sha256sum)$", PAGE, re.MULTILINE)
    made = subprocess.run(["/bin/sh", "-c", command], check=True, capture_output=True, text=True)
    assert made.stdout.split()[0] == on_the_page.digest


def test_the_page_says_about_how_many_numbers_a_manifest_may_be() -> None:
    assert f"| numbers in a manifest | {NUMBERS_LIMIT:,} | rejected, `manifest_too_long` |" in PAGE
