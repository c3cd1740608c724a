"""Texts that attack: as names, numbers and reasons they go through the whole pipeline as data, and come out as data.

Every command is asked about them, in every form: what it prints has no control characters, no forged lines and no
formulas, its JSON has the texts unchanged, and every table stands as before.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from services.desk.cli import main
from services.desk.events import make_event
from services.desk.pipeline import Pipeline
from services.desk.reporting import REPORTS
from shared.broker import Message
from shared.broker.topology import INTAKE
from shared.db import open_engine
from shared.printable import printable
from shared.report import Kind
from tests import servers
from tests.commands import environment, invoke
from tests.receiving_builders import rows

TEXTS = (
    "'; DROP TABLE receiving.item CASCADE; --",
    '") ; DELETE FROM ledger.entry; --',
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31mred",
    'a\r\n{"event": "forged"}',
    '=HYPERLINK("http://example.org/?"&A1,"see")',
    "+1",
    "-2",
    "@sum(a1)",
    "a\t=1",
    "x;=1+1",
    "\u202egnp.exe",
    "line\u2028separated",
    "%s %(name)s {0} {name} :item",
    "[bold red]rich[/]",
    "\\N",
    "\\.",
    'a\\nb{"},{',
    "$(touch owned) `touch owned`",
    "<script>alert(1)</script>",
)
COMPANY = "=shop\x1b[1m"
CLOCK = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = "2026-03-02T08:00:00Z"


def definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "company.defined.v1", {"company": COMPANY, "name": TEXTS[0], "currency": "EUR"}
    yield "accounts.defined.v1", {"company": COMPANY, "accounts": [{"account": "=cash\x1b", "kind": "asset"}]}
    for text in TEXTS:
        of = {"company": COMPANY, "name": text, "unit": text, "attributes": {text: text}}
        yield "warehouse.defined.v1", {"company": COMPANY, "warehouse": text, "name": text}
        yield "item.defined.v1", {**of, "item": text}
        yield "item.defined.v1", {**of, "item": f"b{text}", "tracking": "batch", "create_batches_on_receipt": True}
        yield "item.defined.v1", {**of, "item": f"s{text}", "tracking": "serial"}


def movements() -> Iterator[dict[str, Any]]:
    for text in TEXTS:
        names = dict.fromkeys(("document", "actor", "reason", "customer", "supplier", "recipient"), text)
        about = {"purpose": "purchase_receipt", "posting_at": AT, "company": COMPANY, **names}
        line = {"quantity": "2", "rate": "1.5", "target": text, "attributes": {text: text}}
        lines = [
            {**line, "item": text},
            {**line, "item": f"b{text}", "batch": text, "supplier_batch": text},
            {**line, "item": f"s{text}", "serials": [f"1{text}", f"2{text}"]},
        ]
        yield {**about, "id": text, "lines": lines}
        left = [{"item": text, "quantity": "1", "source": text}]
        yield {**about, "id": f"out {text}", "purpose": "delivery", "lines": left}
        yield {**about, "id": f"no {text}", "purpose": text, "lines": [{"item": f"x{text}", "unit": text}]}
        yield {**about, "id": f"bad {text}", "posting_at": text, "lines": []}


@pytest.fixture(scope="module")
def shop(postgres: str, empty_database: str) -> Iterator[str]:
    """A database in which all of these happened: accepted, refused, parked; with one bin stuck, and one waiting."""
    with servers.fresh_database(postgres, template=sa.make_url(empty_database).database) as url:
        with Pipeline(url, clock=lambda: CLOCK) as pipeline:
            for number, (kind, data) in enumerate(definitions()):
                pipeline.publish([make_event(kind, "till", data, f"{kind} {number} {TEXTS[number % len(TEXTS)]}")])
            pipeline.publish([make_event("movement.requested.v1", "till", each) for each in movements()])
            pipeline.settle()
            _publish_what_is_parked(pipeline)
        yield url


def _publish_what_is_parked(pipeline: Pipeline) -> None:
    conflicts = [{"id": text, "purpose": "sale", "posting_at": AT} for text in TEXTS]
    pipeline.publish([make_event("movement.requested.v1", "till", each) for each in conflicts])
    publisher = pipeline.broker.publisher()
    for number, text in enumerate(TEXTS):
        event = {"specversion": "1.0", "id": text, "source": "till", "type": f"{text}.v1", "data": {}}
        for body in (text.encode(), json.dumps(event).encode()):
            publisher.publish([Message(INTAKE, "item.defined.v1", body, str(number), headers={text: text})])
    pipeline.settle()


@pytest.fixture
def engine(shop: str) -> Iterator[Engine]:
    engine = open_engine(shop)
    yield engine
    engine.dispose()


def printed(url: str, *arguments: str) -> str:
    """What a command printed; it is harmless, and so is what it said on standard error."""
    done = invoke(*arguments, env=environment(STOCKBOOK_DATABASE_URL=url))
    assert done.exit_code in (0, 3), f"{done.exception!r} {done.stderr}"
    assert obeyed(done.stdout, allowed="\n") == obeyed(done.stderr, allowed="\n") == []
    return str(done.stdout)


def obeyed(text: str, allowed: str) -> list[str]:
    """The characters of a text that a terminal would obey."""
    directions = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    found = (
        each
        for each in text
        if unicodedata.category(each) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(each) in directions
    )
    return [each for each in found if each not in allowed]


def test_they_were_posted_booked_refused_and_parked_as_what_they_are(engine: Engine) -> None:
    outcomes = rows(engine, "SELECT id FROM receiving.movement WHERE allocated IS NOT NULL")
    assert {identifier for (identifier,) in outcomes} == {*TEXTS, *(f"out {text}" for text in TEXTS)}
    refused = rows(engine, "SELECT id FROM receiving.movement WHERE allocated IS NULL")
    assert {identifier for (identifier,) in refused} == {f"{no} {text}" for no in ("no", "bad") for text in TEXTS}
    booked = rows(engine, "SELECT id FROM accounting.movement")
    assert len(booked) == len(outcomes)
    reasons = dict(rows(engine, "SELECT reason, count(*) FROM receiving.parked GROUP BY reason"))
    assert reasons == dict.fromkeys(("malformed", "conflicting_duplicate", "unknown_type"), len(TEXTS))
    (names,) = rows(engine, "SELECT array_agg(batch ORDER BY batch) FROM receiving.batch")
    assert sorted(names[0]) == sorted(text.strip() for text in TEXTS)
    suppliers = {supplier for (supplier,) in rows(engine, "SELECT DISTINCT supplier FROM receiving.serial")}
    assert suppliers == set(TEXTS)


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_of_them_is_harmless_as_a_table_and_unchanged_as_json(shop: str, name: str) -> None:
    shown = printed(shop, "report", name)
    told = json.loads(printed(shop, "report", name, "--format", "json"))
    assert "forged" not in [line.strip() for line in shown.splitlines()]
    for column in {"item", "id", "batch", "serial", "customer"} & {each.name for each in REPORTS[name].columns}:
        told_names = {row[column] for row in told if row[column] and ".defined." not in row[column]}
        assert told_names <= _all_names(), column


def _all_names() -> set[str]:
    before = ("", "b", "s", "1", "2", "x", "out ", "no ", "bad ")
    return {f"{each}{text}" for each in before for text in TEXTS}


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_report_of_them_in_csv_has_no_formulas_and_leaves_numbers_alone(shop: str, name: str) -> None:
    done = invoke("report", name, "--format", "csv", env=environment(STOCKBOOK_DATABASE_URL=shop))
    assert obeyed(done.stdout, allowed="\n\t\u202e\u2028") == []
    kinds = [each.kind for each in REPORTS[name].columns]
    found = list(csv.reader(io.StringIO(done.stdout)))[1:]
    told = json.loads(printed(shop, "report", name, "--format", "json"))
    assert len(found) == len(told)
    for row, record in zip(found, told, strict=True):
        for kind, cell, value in zip(kinds, row, record.values(), strict=True):
            if kind is Kind.TEXT:
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            else:
                assert cell == ("" if value is None else str(value))


def test_what_is_parked_is_shown_and_listed_without_effect(shop: str, engine: Engine) -> None:
    for form in ("table", "json"):
        printed(shop, "parked", "list", "--format", form)
    for (number,) in rows(engine, "SELECT cast(parked_id AS text) FROM receiving.parked"):
        shown = printed(shop, "parked", "show", number)
        assert not any(line.startswith('{"event": "forged"}') for line in shown.splitlines())


def test_what_was_refused_is_shown_and_listed_without_effect(shop: str) -> None:
    for form in ("table", "json"):
        printed(shop, "rejected", "list", "--format", form)
    for text in TEXTS:
        assert f"rejected till {printable('no ' + text)}\n" in printed(shop, "rejected", "show", "till", f"no {text}")
        printed(shop, "rejected", "show", "till", f"bad {text}")


def test_the_value_of_each_is_explained_without_effect(shop: str) -> None:
    for text in TEXTS:
        assert printed(shop, "explain", f"out {text}").count("\n") >= 2
        told = json.loads(printed(shop, "explain", f"out {text}", "--json"))
        assert told["entries"][0]["item"] == text


@pytest.mark.parametrize("arguments", [("status",), ("status", "--format", "json"), ("periods",)])
def test_how_things_stand_is_told_without_effect(shop: str, arguments: Sequence[str]) -> None:
    printed(shop, *arguments)


def test_what_may_be_picked_is_told_without_effect(shop: str) -> None:
    for text in TEXTS:
        for before in ("", "b", "s"):
            # An option would begin with a hyphen: what follows `--` is none.
            assert "may be picked in" in printed(shop, "available", "--company", COMPANY, "--", before + text, text)


def test_an_error_repeats_what_was_asked_without_effect(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = ["stockbook", "explain", "\x1b[2J\r\nstockbook: all is well"]
    env = environment(STOCKBOOK_DATABASE_URL=shop)
    with patch("sys.argv", hostile), patch.dict("os.environ", env, clear=True), pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_of_them_is_published_tried_and_logged_a_line_each(database: str) -> None:
    events: list[Mapping[str, Any]] = [{"type": kind, "data": data} for kind, data in definitions()]
    asked: list[dict[str, Any]] = [{"type": "movement.requested.v1", "data": each} for each in movements()]
    good = [each for each in asked if not str(each["data"]["id"]).startswith("bad ")]
    twice = [{**each, "data": {**each["data"], "document": "other"}} for each in good]
    file = "\n".join(map(json.dumps, [*events, *good, *twice])).encode()
    env = environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_LOG_LEVEL="debug")
    done = invoke("publish", "-", "--wait", "--timeout", "1", env=env, given=file)
    assert obeyed(done.stdout, allowed="\n") == obeyed(done.stderr, allowed="\n") == []
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {each["id"] for each in logged if each["event"] == "conflicting_duplicate"} >= set(TEXTS)
    assert all(line.isascii() for line in done.stderr.splitlines() if line.startswith("{"))
    tried = invoke("try", "-", env=env, given="\n".join(map(json.dumps, good)).encode())
    assert obeyed(tried.stdout, allowed="\n") == obeyed(tried.stderr, allowed="\n") == []
