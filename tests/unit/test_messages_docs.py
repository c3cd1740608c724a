"""The pages for upstreams, written from the code: they are current, and what they say is what the code takes."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from services.desk.docs import FOLDER, ROOT, render
from services.desk.docs.meanings import ALWAYS, meanings
from services.desk.docs.page import anchor
from services.desk.docs.samples import Sample, read_samples
from services.desk.docs.schemas import NUMBERS, STANDING, event_schema
from services.desk.events import TYPES, parts, read_event
from services.receiving.decide.case import Limits
from shared.broker.topology import TOPOLOGY, matches
from shared.contracts import masters
from shared.contracts.codec import Contract, Malformed, Time, decoder, read
from shared.contracts.envelope import read_envelope, write_event
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.movement import MESSAGE_LIMIT, MOVEMENTS_LIMIT
from shared.contracts.registry import ROUTES, STRUCTS, Exchange

SCHEMAS = {kind: event_schema(kind) for kind in STRUCTS}
SAMPLES = [sample for samples in read_samples(ROOT).values() for sample in samples]
LINES = [(file, line) for file in sorted((ROOT / "examples").glob("**/*.jsonl")) for line in file.open("rb")]
MOMENTS = decoder(dict[str, Time])
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def validate(event: Sample) -> None:
    """ValidationError where an event is not what the schema of its type says."""
    Draft202012Validator(SCHEMAS[event["type"]]).validate(event)


def decode(event: Sample) -> None:
    """Malformed where an event is not what the services take."""
    envelope = read_envelope(json.dumps(event).encode())
    for raw in parts(envelope):
        read(decoder(STRUCTS[envelope.type]), raw)


def sold(**fields: Any) -> Sample:
    """An event of one movement, good but for what is given."""
    movement = {"id": "T-1", "purpose": "sale", "posting_at": "2026-03-02T09:00:00Z", "lines": [{"item": "tea"}]}
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "till",
        "type": "movement.requested.v1",
        "data": movement | fields,
    }


def name_of_line(line: tuple[Path, bytes]) -> str:
    return line[0].relative_to(ROOT / "examples").as_posix()


# --- what is generated is current ------------------------------------------------------------------------------------


def test_docs_messages_is_what_the_code_generates_now() -> None:
    written = {path.relative_to(ROOT): path.read_text("utf-8") for path in (ROOT / FOLDER).glob("*")}
    generated = render()
    stale = sorted(str(name) for name in written.keys() | generated if written.get(name) != generated.get(name))
    assert stale == [], "run `make docs`"


def test_every_type_has_a_schema_a_section_and_an_example() -> None:
    page = render()[FOLDER / "README.md"]
    for kind in STRUCTS:
        assert FOLDER / f"{kind}.schema.json" in render()
        assert f"### {kind}\n" in page
    assert {sample["type"] for sample in SAMPLES} == set(STRUCTS)


def test_every_link_of_the_page_leads_somewhere() -> None:
    page = render()[FOLDER / "README.md"]
    anchors = [anchor(title) for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)]
    assert len(anchors) == len(set(anchors))
    for target in re.findall(r"\]\(([^)]+)\)", page):
        if target.startswith("#"):
            assert target.removeprefix("#") in anchors
        elif not target.startswith("https:"):
            assert (ROOT / FOLDER / target).resolve().is_file(), target


@pytest.mark.parametrize("kind", STRUCTS)
def test_every_field_has_a_meaning(kind: str) -> None:
    parts = {**SCHEMAS[kind]["$defs"], "the envelope": SCHEMAS[kind]}
    silent = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, schema in part.get("properties", {}).items()
        if not schema.get("description")
    ]
    assert silent == [], "say it in the docstring of the struct, in a sentence that begins with `field`"


def test_no_meaning_is_kept_for_a_field_that_no_struct_has() -> None:
    fields = {
        field
        for schema in SCHEMAS.values()
        for part in schema["$defs"].values()
        for field in part.get("properties", {})
    }
    assert sorted(set(ALWAYS) - fields) == []


def test_a_sentence_belongs_to_the_fields_that_it_begins_with() -> None:
    class Parcel(Contract, frozen=True, kw_only=True):
        """A parcel; `weight` is in grams.

        `width` and `height` are in millimetres, unlike `weight`. Only `label` is shown. `weight` is not zero.
        """

    assert meanings(Parcel, ["weight", "width", "height", "label", "item", "colour"]) == {
        "weight": "`weight` is in grams. `weight` is not zero.",
        "width": "`width` and `height` are in millimetres, unlike `weight`.",
        "height": "`width` and `height` are in millimetres, unlike `weight`.",
        "label": "Only `label` is shown.",
        "item": ALWAYS["item"],
    }


def named(number: int = 1, **fields: Any) -> Sample:
    """One of several definitions, good but for what is given."""
    return {"id": f"d-{number}", "data": {"company": "AMA", "item": "mixer", "serial": f"S{number}"} | fields}


def several(*definitions: Any, **fields: Any) -> Sample:
    """An event of several serials."""
    return sold() | {"type": "serial.defined.v1", "data": {"definitions": list(definitions)} | fields}


# --- schemas say what the code takes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STRUCTS)
def test_a_schema_is_a_draft_2020_12_schema_whose_references_resolve(kind: str) -> None:
    schema = SCHEMAS[kind]
    Draft202012Validator.check_schema(schema)
    for reference in references(schema):
        assert resolved(reference, {"": schema}) is not None


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['type']}-{sample['id']}")
def test_every_example_on_the_page_fits_its_schema_and_decodes(sample: Sample) -> None:
    validate(sample)
    decode(sample)


@pytest.mark.parametrize("file", sorted((ROOT / "tests" / "contracts").glob("*.json")), ids=lambda file: str(file.name))
def test_every_sample_that_must_decode_for_ever_fits_its_schema(file: Path) -> None:
    validate(json.loads(file.read_bytes()))


def test_there_are_lines_of_examples_to_judge() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize("line", LINES, ids=name_of_line)
def test_every_event_of_the_examples_fits_its_schema(line: tuple[Path, bytes]) -> None:
    validate(json.loads(read_event(line[1], "desk", NOW).body))


@pytest.mark.parametrize(
    "event",
    [
        sold(lines=[{"item": "tea", "quantity": 1}]),
        sold(lines=[{"item": "tea", "quantity": "1e3"}]),
        sold(lines=[{"item": "tea", "quantity": "1.0000001"}]),
        sold(lines=[{"item": "tea", "rate": ".5"}]),
        sold(lines=[{"item": ""}]),
        sold(lines=[{"line": 0}]),
        sold(lines={}),
        sold(id=""),
        sold(id="x" * 201),
        sold(document="x" * 1001),
        sold(posting_at="2026-03-02T09:00:00"),
        sold(posting_at="yesterday"),
        sold(posting_at=None),
        sold(opening="yes"),
        sold(additional_costs=[{"amount": "1.00", "spread": "weight"}]),
        sold(against={"source": "Till 3", "id": "T-0"}),
        sold() | {"specversion": "0.3"},
        sold() | {"source": "Till"},
        sold() | {"id": None},
        sold() | {"data": {"movements": [sold()["data"], {"id": "T-2"}]}},
        sold() | {"data": {"movements": None}},
        sold() | {"data": {"movements": []}},
        sold() | {"data": {"movements": [sold()["data"]] * 1001}},
        sold() | {"type": "accounts.defined.v1", "data": {"company": "AMA", "roles": {"bank": "1200"}}},
        sold() | {"type": "company.defined.v1", "data": {"company": "AMA", "currency": "euro"}},
        sold() | {"type": "item.defined.v1", "data": {"company": "AMA", "item": "tea", "tracking": "both"}},
        sold() | {"type": "item.defined.v1", "data": {"company": "AMA", "item": "tea", "shelf_life_days": -1}},
        sold() | {"type": "batch.defined.v1", "data": {"company": "AMA", "item": "tea", "batch": ""}},
        several(),
        several(named(), named(serial="")),
        several(named(), {"id": "d-2"}),
        several(named(), {"data": named()["data"]}),
        several(named() | {"id": ""}),
        several(named() | {"id": "x" * 141}),
        several(named()["data"]),
        several(*[named()] * 1001),
        sold() | {"type": "count.opened.v1", "data": {"definitions": [named()]}},
    ],
    ids=lambda event: json.dumps(event["data"])[:60],
)
def test_what_the_command_refuses_to_send_the_schema_refuses_too(event: Sample) -> None:
    with pytest.raises(Malformed):
        read_event(json.dumps(event).encode(), "till", NOW)
    with pytest.raises(ValidationError):
        validate(event)


@pytest.mark.parametrize(
    "event",
    [
        sold(lines=[]),
        sold(company=None, colour="red"),
        sold(lines=[{"serials": "A001-A050, B7"}, {"serials": ["A001"]}]),
        sold(posting_at="2026-03-02T09:00:00.123456-05:30"),
        sold() | {"data": {"movements": [sold()["data"]] * 1000}},
        sold() | {"data": sold()["data"] | {"movements": [sold()["data"]], "purpose": 7}},
        sold() | {"type": "company.defined.v1", "data": {"company": "AMA", "currency": "EUR", "open_from": None}},
        several(*[named()] * 1000),
        several(named(colour="red"), named(2) | {"more": 1}, company=7),
        sold() | {"type": "serial.defined.v1", "data": named()["data"] | {"definitions": 7}},
    ],
    ids=lambda event: json.dumps(event["data"])[:60],
)
def test_what_the_services_take_the_schema_takes_too(event: Sample) -> None:
    decode(event)
    validate(event)


@given(text=st.text(alphabet="0123456789.-+eE \n٣", max_size=24), number=st.sampled_from(sorted(NUMBERS, key=str)))
def test_the_pattern_of_a_number_takes_what_the_number_takes(text: str, number: Any) -> None:
    try:
        number.parse(text)
        takes = True
    except ValueError:
        takes = False
    # Python's `$` also stands before a line end at the end; that of a schema does not.
    pattern = STANDING[number.__name__]["pattern"].replace("$", r"\Z")
    assert (re.search(pattern, text) is not None) == takes


@given(at=st.datetimes(), minutes=st.integers(-23 * 60, 23 * 60), spelling=st.sampled_from(["T", "t"]))
def test_the_pattern_of_a_time_takes_what_the_decoder_takes(at: datetime, minutes: int, spelling: str) -> None:
    for text in (at.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat(), f"{at.isoformat()}Z"):
        written = text.replace("T", spelling)
        read(MOMENTS, json.dumps({"at": written}).encode())
        assert re.search(STANDING["Time"]["pattern"], written)
    with pytest.raises(Malformed):
        read(MOMENTS, json.dumps({"at": at.isoformat()}).encode())
    assert not re.search(STANDING["Time"]["pattern"], at.isoformat())


# --- the page about publishing ---------------------------------------------------------------------------------------


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    stated = dict(re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", limits(), re.MULTILINE))
    assert stated["a message"] == f"{MESSAGE_LIMIT // 2**20} MiB"
    assert stated["movements in an event"] == f"{MOVEMENTS_LIMIT:,}"
    assert stated["definitions in an event"] == f"{DEFINITIONS_LIMIT:,}"
    assert stated["lines in a movement"] == f"{Limits().lines:,}"
    assert stated["serials in a line"] == f"{Limits().serials:,}"
    fields = SCHEMAS["movement.requested.v1"]["$defs"]["MovementRequested"]["properties"]
    assert stated["a movement's `id`"] == f"{fields['id']['maxLength']} characters"
    text, code = (fields[name]["anyOf"][0]["maxLength"] for name in ("document", "company"))
    assert stated["other text, a code"] == f"{text:,} characters, {code}"


def test_every_code_of_a_limit_is_one_that_is_given() -> None:
    codes = set(
        re.findall(r"`(\w+_\w+|malformed)`", "".join(row.rpartition(" | ")[2] for row in limits().splitlines()))
    )
    told = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "reasons.md").read_text("utf-8"), re.MULTILINE))
    assert {"too_many_lines", "message_too_large", "malformed"} <= codes
    assert codes <= told


def limits() -> str:
    page = (ROOT / "docs" / "publishing.md").read_text("utf-8")
    return page.partition("## Limits\n")[2].partition("\n## ")[0].partition("*Rejected*")[0]


# --- the AsyncAPI document --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render()[FOLDER / "asyncapi.json"])
    return document


def test_every_reference_of_the_asyncapi_document_resolves(asyncapi: dict[str, Any]) -> None:
    documents = {"": asyncapi} | {f"./{kind}.schema.json": schema for kind, schema in SCHEMAS.items()}
    found = list(references(asyncapi))
    assert len(found) > len(STRUCTS)
    for reference in found:
        assert resolved(reference, documents) is not None


def test_the_asyncapi_document_has_the_fields_that_version_3_requires(asyncapi: dict[str, Any]) -> None:
    assert asyncapi["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= asyncapi["info"].keys()
    for server in asyncapi["servers"].values():
        assert {"host", "protocol"} <= server.keys()
        named = set(re.findall(r"{(\w+)}", server["host"] + server["pathname"]))
        assert named == server["variables"].keys()
    for operation in asyncapi["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolved(operation["channel"]["$ref"], {"": asyncapi})
        assert channel is not None
        # An operation's messages must be some of its channel's.
        own = [f"{operation['channel']['$ref']}/messages/{name}" for name in channel["messages"]]
        assert [each["$ref"] for each in operation["messages"]] == own
    for message in asyncapi["components"]["messages"].values():
        assert {"schemaFormat", "schema"} == message["payload"].keys()
        assert message["examples"]


def test_a_channels_parameters_are_those_of_its_address(asyncapi: dict[str, Any]) -> None:
    for channel in asyncapi["channels"].values():
        assert re.findall(r"{(\w+)}", channel["address"]) == list(channel.get("parameters", {}))


def test_every_channel_stands_on_an_exchange_of_the_topology(asyncapi: dict[str, Any]) -> None:
    kinds = {exchange.name: exchange.kind for exchange in TOPOLOGY.exchanges}
    for channel in asyncapi["channels"].values():
        binding = channel["bindings"]["amqp"]
        assert binding["is"] == "routingKey"
        assert binding["exchange"]["type"] == kinds[binding["exchange"]["name"]] == "topic"


def test_what_upstreams_may_send_reaches_a_gate_with_and_without_a_partition(asyncapi: dict[str, Any]) -> None:
    taken = [each for each in asyncapi["operations"].values() if each["action"] == "receive"]
    channels = [resolved(each["channel"]["$ref"], {"": asyncapi}) or {} for each in taken]
    assert {name for channel in channels for name in channel["messages"]} == set(TYPES)
    gates = ("receiving", "aftercare")
    keys = [each.key for each in TOPOLOGY.bindings if each.exchange == "stock.intake" and each.queue in gates]
    for channel in channels:
        for address in (channel["address"].replace("{partition}", "p07"), channel["address"].rpartition(".")[0]):
            assert [key for key in keys if matches(key, address)]


def test_what_is_told_is_told_under_the_address_that_the_services_use(asyncapi: dict[str, Any]) -> None:
    told = [each for each in asyncapi["operations"].values() if each["action"] == "send"]
    addresses = {(resolved(each["channel"]["$ref"], {"": asyncapi}) or {})["address"] for each in told}
    routes = [route for each in ROUTES.values() for route in each if route.exchange is Exchange.EVENTS]
    assert addresses == {f"{route.key}.{{source}}" if route.by_source else route.key for route in routes}


def test_a_listener_is_shown_the_frames_that_the_services_send() -> None:
    single = write_event(
        "outcome.accepted.v1", "receiving", "f-1", masters.BatchReleased(company="A", item="i", batch="b")
    )
    with pytest.raises(ValidationError, match="movements"):
        validate(json.loads(single))


def references(value: Any) -> Iterator[str]:
    """Every `$ref` inside; examples are data and have none."""
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for name, each in value.items():
            if name != "examples":
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(reference: str, documents: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a reference points to, by JSON Pointer; None for nothing."""
    document, _, pointer = reference.partition("#")
    value: Any = documents.get(document)
    for part in pointer.split("/")[1:]:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, dict) else None
