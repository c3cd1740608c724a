"""Reading messages strictly: what is refused, with which words, and what may be spelled in several ways.

The files in tests/contracts/ are messages as they were once sent, each named after its type and, where a type has
several, after what it tells. They must be read for ever: one is added for a new type, or when a message gains a field;
none is ever changed.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.events import parts
from shared.contracts.codec import Contract, Malformed, SourceName, decoder, digest, read, write
from shared.contracts.envelope import (
    Envelope,
    raw_definitions,
    raw_movements,
    read_definition,
    read_envelope,
    write_event,
)
from shared.contracts.movement import MovementRequested, RequestedLine
from shared.contracts.registry import MOVEMENT_REQUESTED, ROUTES, STRUCTS, Exchange
from shared.quantities import Money, Quantity, Rate

SAMPLES = sorted((Path(__file__).parent.parent / "contracts").glob("*.json"))
GOOD: Mapping[str, Any] = {
    "id": "R-1",
    "purpose": "material_receipt",
    "posting_at": "2026-03-02T08:00:00Z",
    "lines": [{"item": "tea", "quantity": "2.5", "rate": "1.25", "target": "north"}],
}

_movement = decoder(MovementRequested)


def movement(**changes: Any) -> MovementRequested:
    """The good movement, with other fields."""
    return read(_movement, json.dumps({**GOOD, **changes}).encode())


def line(**changes: Any) -> RequestedLine:
    """The line of the good movement, with other fields."""
    return movement(lines=[{**GOOD["lines"][0], **changes}]).lines[0]


def problem(body: bytes, kind: type[Any] = MovementRequested) -> str:
    """Why these bytes are refused."""
    with pytest.raises(Malformed) as refused:
        read(decoder(kind), body)
    return str(refused.value)


# --- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_what_was_once_sent_is_still_read_to_the_last_field(sample: Path) -> None:
    envelope = read_envelope(sample.read_bytes())
    given_data = json.loads(sample.read_bytes())["data"]
    sent = given_data.get("movements") or [each["data"] for each in given_data.get("definitions", ())] or [given_data]
    values = [read(decoder(STRUCTS[envelope.type]), raw) for raw in parts(envelope)]
    assert [_shape(json.loads(write(value))) for value in values] == [_shape(each) for each in sent]


def test_every_type_has_a_sample() -> None:
    assert {sample.stem for sample in SAMPLES} >= STRUCTS.keys()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_named_after_its_type(sample: Path) -> None:
    assert sample.stem.partition("_")[0] == read_envelope(sample.read_bytes()).type


def test_every_field_of_every_message_stands_in_a_sample() -> None:
    told = {field for sample in SAMPLES for field in _told(read_envelope(sample.read_bytes()))}
    kinds = {kind for kind, _ in told}
    assert kinds >= set(STRUCTS.values())
    silent = [f"{kind.__name__}.{field}" for kind in kinds for field in kind.__struct_fields__]
    assert sorted(set(silent) - {f"{kind.__name__}.{field}" for kind, field in told}) == []


def _told(envelope: Envelope) -> Iterator[tuple[type[Contract], str]]:
    """Which fields of which structs the movements of an event, or its definitions, say something in."""
    for raw in parts(envelope):
        yield from _said(read(decoder(STRUCTS[envelope.type]), raw), json.loads(bytes(raw)))


def _said(value: Any, sent: Any) -> Iterator[tuple[type[Contract], str]]:
    if isinstance(value, Contract):
        for name, each in sent.items():
            yield type(value), name
            yield from _said(getattr(value, name), each)
    elif isinstance(value, list):
        for inner, each in zip(value, sent, strict=True):
            yield from _said(inner, each)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_field_that_a_newer_sender_adds_is_passed_over(sample: Path) -> None:
    event = json.loads(sample.read_bytes())
    newer = json.dumps(_with_additions(event)).encode()
    old, new = read_envelope(sample.read_bytes()), read_envelope(newer)
    assert (old.type, old.source, old.id, old.time) == (new.type, new.source, new.id, new.time)
    reader = decoder(STRUCTS[old.type])
    pairs = zip(parts(old), parts(new), strict=True)
    assert all(read(reader, before) == read(reader, after) for before, after in pairs)


def _shape(value: Any) -> Any:
    """Which fields there are, whatever their values."""
    if isinstance(value, dict):
        return {name: _shape(each) for name, each in value.items()}
    return [_shape(each) for each in value] if isinstance(value, list) else None


def _with_additions(value: Any, inside: str = "") -> Any:
    if isinstance(value, list):
        return [_with_additions(each, inside) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _with_additions(each, name) for name, each in value.items()}
    # Their names are data; a further one would not be a further field.
    free_names = inside in ("attributes", "units", "roles", "accounts", "facts", "readings")
    return changed if free_names and "account" not in value else {**changed, "added_later": {"a": [1, "2", None]}}


# --- where they go ----------------------------------------------------------------------------------------------------


def test_only_services_hear_of_dry_runs_before_they_are_answered() -> None:
    on_their_way = [kind for kind in STRUCTS if kind.startswith("trial.")]
    assert on_their_way == ["trial.allocated.v1", "trial.posted.v1"]
    for kind in on_their_way:
        assert [(route.exchange, route.mandatory) for route in ROUTES[kind]] == [(Exchange.WORK, True)]


# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        *(1, 1.5, True, [], {}),
        *("", " 1", "1 ", "1\n", "+1", "--1", "1,5", ".5", "5.", "1_0", "0x1", "١"),
        *("1e3", "1E+3", "NaN", "Infinity", "-Infinity", "1.0000000001", "1000000000000"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["quantity", "rate"])
def test_a_decimal_is_a_string_of_plain_digits_and_the_error_names_its_path(name: str, number: Any) -> None:
    with pytest.raises(Malformed, match=rf"- at `\$\.lines\[0\]\.{name}`$"):
        line(**{name: number})


def test_the_error_for_a_decimal_shows_what_was_given_and_an_example() -> None:
    with pytest.raises(Malformed, match=r"a quantity is a decimal string like 12\.5, got '1e3'"):
        line(quantity="1e3")


def test_the_error_for_an_endless_number_is_short() -> None:
    assert len(problem(b'"' + b"1" * 1_000_000 + b'"', Quantity)) < 200


def test_the_error_for_an_endless_name_is_short_and_ends_with_its_path() -> None:
    with pytest.raises(Malformed, match=r"spread`$") as refused:
        movement(additional_costs=[{"amount": "1", "spread": "x" * 1_000_000}])
    assert len(str(refused.value)) < 1_000


@pytest.mark.parametrize(
    ("kind", "largest", "too_large"),
    [
        (Quantity, "-999999999999.999999", "0.0000001"),
        (Rate, "999999999999.999999999", "0.0000000001"),
        (Money, "999999999999999.999", "0.0001"),
    ],
)
def test_each_kind_of_number_has_its_own_digits(kind: type[Quantity], largest: str, too_large: str) -> None:
    value = read(decoder(kind), f'"{largest}"'.encode())
    assert type(value) is kind
    assert value == Decimal(largest)
    assert problem(f'"{too_large}"'.encode(), kind)


def test_numbers_are_written_without_exponents_and_without_zeros_behind() -> None:
    written = json.loads(write(RequestedLine(quantity=Quantity("1E+2"), rate=Rate("0.000000010"), net=Money("-0"))))
    assert written == {"quantity": "100", "rate": "0.00000001", "net": "0"}


@given(st.decimals(min_value=-(10**12) + 1, max_value=10**12 - 1, places=6))
def test_a_quantity_comes_back_as_it_was_written(value: Decimal) -> None:
    body = write(RequestedLine(quantity=Quantity(value)))
    assert read(decoder(RequestedLine), body).quantity == value


# --- times, texts, names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", ["2026-03-02T08:00:00", "2026-03-02", "08:00Z", "yesterday", 1772438400, None, ""])
def test_a_time_without_a_zone_or_not_of_rfc_3339_is_refused(time: Any) -> None:
    with pytest.raises(Malformed, match=r"at `\$\.posting_at`$"):
        movement(posting_at=time)


def test_a_time_keeps_its_instant_whatever_its_zone() -> None:
    assert movement(posting_at="2026-03-02T10:00:00.5+02:00").posting_at == datetime(2026, 3, 2, 8, 0, 0, 500_000, UTC)


@pytest.mark.parametrize("text", ["a\0b", "\0", "\\\0"])
def test_a_nul_in_a_text_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="NUL"):
        movement(document=text)


def test_a_backslash_in_front_of_u0000_is_no_nul() -> None:
    assert movement(document=r"C:\u0000").document == r"C:\u0000"


def test_a_text_may_hold_anything_else_that_is_unicode() -> None:
    text = "Ä \u202e ☃ \U0001f9f4 \\ \" \t ' \r\n \x7f"
    assert movement(document=text).document == text


def test_half_of_a_surrogate_pair_is_refused() -> None:
    body = json.dumps(GOOD).replace("R-1", "\\ud800").encode()
    assert problem(body)


@pytest.mark.parametrize("length", [0, 1001])
def test_a_text_that_is_too_long_and_an_empty_id_are_refused(length: int) -> None:
    changes = {"document": "x" * length} if length else {"id": ""}
    with pytest.raises(Malformed, match=r"at `\$\.(document|id)`$"):
        movement(**changes)


@pytest.mark.parametrize("name", ["", "Till", "-till", "till_3", "till.3", "till\n", "kasse-ü", "a" * 64, "*", "#"])
def test_a_source_is_a_name_that_can_stand_in_a_routing_key(name: str) -> None:
    assert "$" in problem(
        json.dumps({"specversion": "1.0", "id": "1", "source": name, "type": "t", "data": {}}).encode(), Envelope
    )
    assert read(decoder(SourceName), b'"till-3"') == "till-3"


# --- what is no message at all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'id': 1}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b\x08\x00",
        b"<event/>",
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode() + b"}",
        json.dumps(GOOD).encode()[:-1],
    ],
)
@pytest.mark.parametrize("kind", [Envelope, MovementRequested])
def test_bytes_that_are_no_json_object_are_malformed(body: bytes, kind: type[Any]) -> None:
    assert problem(body, kind)


def test_invalid_utf_8_inside_a_text_is_malformed() -> None:
    assert "utf-8" in problem(json.dumps(GOOD).encode().replace(b"R-1", b"R-\xff"))


@pytest.mark.parametrize("bomb", [b"[" * 200_000 + b"]" * 200_000, b'{"a":' * 200_000 + b"1" + b"}" * 200_000])
@pytest.mark.parametrize("name", [b"lines", b"unknown"])
def test_a_depth_bomb_is_malformed_wherever_it_is_hidden(name: bytes, bomb: bytes) -> None:
    body = json.dumps(GOOD).encode()[:-1] + b',"' + name + b'":' + bomb + b"}"
    assert problem(body)
    event = b'{"specversion":"1.0","id":"1","source":"till","type":"t","data":' + body + b"}"
    assert problem(event, Envelope)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": 7}, r"\$\.id"),
        ({"purpose": None}, r"\$\.purpose"),
        ({"lines": {}}, r"\$\.lines"),
        ({"lines": [1]}, r"\$\.lines\[0\]"),
        ({"lines": [{"line": 0}]}, r"\$\.lines\[0\]\.line"),
        ({"lines": [{"expires_on": "2026-02-30"}]}, r"\$\.lines\[0\]\.expires_on"),
        ({"lines": [{"serials": [1]}]}, r"\$\.lines\[0\]\.serials\[0\]"),
        ({"money": {"tenders": [{"amount": 5}]}}, r"\$\.money\.tenders\[0\]\.amount"),
        ({"against": {"source": "Till", "id": "1"}}, r"\$\.against\.source"),
        ({"additional_costs": [{"amount": "1", "spread": "evenly"}]}, r"\$\.additional_costs\[0\]\.spread"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed, match=path + "`$"):
        movement(**change)


def test_a_missing_field_is_named() -> None:
    assert "`posting_at`" in problem(b'{"id":"1","purpose":"sale"}')


# --- envelopes -------------------------------------------------------------------------------------------------------


def test_an_envelope_is_read_although_its_data_are_wrong() -> None:
    envelope = read_envelope(b'{"specversion":"1.0","id":"7","source":"till","type":"sale.v9","data":[1,{"x":"\\n"}]}')
    assert (envelope.type, envelope.source, envelope.id) == ("sale.v9", "till", "7")
    assert bytes(envelope.data) == b'[1,{"x":"\\n"}]'


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_an_envelope_without_one_of_its_names_is_malformed(missing: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "till", "type": MOVEMENT_REQUESTED, "data": {}}
    del event[missing]
    assert f"`{missing}`" in problem(json.dumps(event).encode(), Envelope)


def test_another_version_of_the_envelope_is_malformed() -> None:
    event = {"specversion": "0.3", "id": "1", "source": "till", "type": MOVEMENT_REQUESTED, "data": {}}
    assert "`$.specversion`" in problem(json.dumps(event).encode(), Envelope)


def test_movements_are_taken_apart_without_being_read() -> None:
    body = b'{"specversion":"1.0","id":"1","source":"till","type":"t","data":{"movements":[{"id":1}, null ,"x"]}}'
    assert [bytes(each) for each in raw_movements(read_envelope(body).data)] == [b'{"id":1}', b"null", b'"x"']
    assert raw_movements(msgspec.Raw(b'{"movements":[]}')) == []


@pytest.mark.parametrize("spoiled", [b'{"id":"\\u0000"}', b'{"id":"\xff"}', b'{"id":1e999}'])
def test_what_is_wrong_in_one_movement_leaves_its_neighbours_readable(spoiled: bytes) -> None:
    good = write(movement())
    body = b'{"specversion":"1.0","id":"1","source":"till","type":"t","data":{"movements":[%b,%b,%b]}}'
    first, second, third = raw_movements(read_envelope(body % (good, spoiled, good)).data)
    assert read(_movement, first) == read(_movement, third) == movement()
    assert problem(bytes(second))


def test_definitions_are_taken_apart_without_being_read() -> None:
    assert raw_definitions(msgspec.Raw(b'{"definitions":[]}')) == []
    several = raw_definitions(msgspec.Raw(b'{"definitions":[{"id":"a","data":{"x":"\xff"},"y":1}, {"id":"b"}]}'))
    assert several is not None
    named = [read_definition(each) for each in several]
    assert [(each.id, bytes(each.data)) for each in named] == [("a", b'{"x":"\xff"}'), ("b", b"{}")]


@pytest.mark.parametrize("data", [b'{"company":"AMA"}', b'{"definitions":7}', b'{"definitions":null}', b"7", b"[]"])
def test_an_event_without_a_list_of_definitions_is_one(data: bytes) -> None:
    assert raw_definitions(msgspec.Raw(data)) is None


@pytest.mark.parametrize("named", [b"7", b"{}", b'{"id":7}', b'{"id":""}', b'{"id":null}', b'{"id":"\\u0000"}'])
def test_a_definition_without_a_name_among_several_is_malformed(named: bytes) -> None:
    with pytest.raises(Malformed):
        read_definition(named)


@pytest.mark.parametrize("name", ["id", "type", "traceparent"])
def test_a_nul_in_the_envelope_is_refused(name: str) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "till", "type": MOVEMENT_REQUESTED, "data": {}, name: "a\0"}
    with pytest.raises(Malformed, match="NUL"):
        read_envelope(json.dumps(event).encode())


def test_an_event_comes_back_as_it_was_written() -> None:
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    envelope = read_envelope(write_event(MOVEMENT_REQUESTED, "till", "e-1", movement(), at))
    assert (envelope.type, envelope.source, envelope.id, envelope.time) == (MOVEMENT_REQUESTED, "till", "e-1", at)
    assert read(_movement, envelope.data) == movement()


# --- the digest of content -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": [{"target": "north", "rate": "1.250", "quantity": "02.5", "item": "tea"}]},
        {"company": None, "dry_run": False, "additional_costs": []},
        {"posting_at": "2026-03-02T08:00:00.000+00:00"},
        {"a field of a newer version": 1},
    ],
    ids=str,
)
def test_the_same_content_spelled_otherwise_has_the_same_digest(changes: dict[str, Any]) -> None:
    assert digest(movement(**changes)) == digest(movement())


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "R-2"},
        {"purpose": "scrap"},
        {"document": ""},
        {"posting_at": "2026-03-02T08:00:00.000001Z"},
        {"dry_run": True},
        {"lines": []},
        {"lines": [{"item": "tea", "quantity": "2.6", "rate": "1.25", "target": "north"}]},
        {"lines": [*GOOD["lines"], *GOOD["lines"]]},
    ],
    ids=str,
)
def test_other_content_has_another_digest(changes: dict[str, Any]) -> None:
    assert digest(movement(**changes)) != digest(movement())


def test_the_order_of_attributes_does_not_change_the_digest() -> None:
    one, other = (
        movement(lines=[{"attributes": dict(order)}]) for order in ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")])
    )
    assert digest(one) == digest(other)
