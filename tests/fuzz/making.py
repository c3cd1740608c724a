"""Making inputs: messages that were good, or nearly, and what becomes of them on a bad day.

Three ways, mixed: an event is made from the types of its struct, field by field, of few names, so that many of them
are about the same goods; values of it, or of a message once sent, are replaced by odd ones; and its bytes are damaged.
What is around the body (routing key, headers, who sent it) is odd now and then too. Equal seeds make equal inputs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import inspect

from shared.broker.topology import partition
from shared.contracts.registry import (
    COUNT_ACCEPTED,
    COUNT_CANCELLED,
    COUNT_OPENED,
    COUNT_REPORTED,
    MASTERS,
    MOVEMENT_REQUESTED,
    RECALL_CLOSED,
    RECALL_OPENED,
    RECALL_REACHED,
    RESERVATION_RELEASED,
    RESERVATION_REQUESTED,
    STRUCTS,
)
from shared.purposes import PURPOSES, Flow
from tests.fuzz.values import DATES, INTEGERS, NUMBERS, TEXTS, TIMES, nested, odd

Make = Callable[[Random], Any]

SAMPLES = [json.loads(path.read_bytes()) for path in sorted((Path(__file__).parents[1] / "contracts").glob("*.json"))]
KINDS = (
    *[MOVEMENT_REQUESTED] * 12,
    *MASTERS,
    *[RESERVATION_REQUESTED, COUNT_OPENED, COUNT_REPORTED] * 2,
    *(RESERVATION_RELEASED, COUNT_ACCEPTED, COUNT_CANCELLED),
    *(RECALL_OPENED, RECALL_REACHED, RECALL_CLOSED),
)
SENT = [sample for sample in SAMPLES if sample["type"] in KINDS]

NAMES: Mapping[str, Sequence[str]] = {
    "company": ("shop", "shop", "shop", "shop", "twin"),
    "item": ("tea", "phone", "cream", "soap", "lamp"),
    "warehouse": ("north", "south", "quarantine"),
    "source": ("north", "south"),
    "target": ("north", "south"),
    "unit": ("pcs", "box"),
    "batch": ("B1", "B2", " B1 "),
    "serial": ("P1", "P2", "P3"),
    "purpose": tuple(PURPOSES),
    "account": ("cash", "stock", "cost_of_goods_sold", "1400"),
    "id": tuple(f"M{number}" for number in range(30_000)),
    "currency": ("EUR", "EUR", "JPY", "KWD"),
    "time_zone": ("UTC", "Europe/Berlin", "Mars/Olympus"),
    "serial_series": ("S-.####", "#", ".YYYY."),
    "batch_series": ("B-.###",),
    "kind": ("store", "asset", "cash"),
}
SERIALS = ("P1", "P1,P2", "P1-P9", "Q001-Q120", "A1-A3,\nB7", "P1,P1")
GOOD_TIMES = TIMES[:4]
GOOD_NUMBERS = NUMBERS[:4]


@dataclass(frozen=True, slots=True)
class Made:
    """A message as it would be delivered."""

    body: bytes
    routing_key: str = MOVEMENT_REQUESTED
    headers: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None


def make(random: Random) -> Made:
    """The next message."""
    event = _event(random) if random.random() < 0.75 else json.loads(json.dumps(random.choice(SENT)))
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 5))):
        event = _changed(event, random)
    body = _written(event, random)
    for _ in range(random.choice((0, 0, 0, 0, 0, 0, 1, 2))):
        body = random.choice(_DAMAGES)(body, random)
    if random.random() < 0.9:
        return Made(body, _routing_key(event))
    return Made(body, random.choice(TEXTS)[:80], _headers(random), random.choice((None, "guest", "till", "boss")))


# --- events from the types of their structs --------------------------------------------------------------------------


def _event(random: Random) -> Any:
    kind = random.choice(KINDS)
    one = _sensible if kind == MOVEMENT_REQUESTED and random.random() < 0.7 else _MAKERS[kind]
    data = one(random)
    if kind == MOVEMENT_REQUESTED and random.random() < 0.15:
        data = {"movements": [one(random) for _ in range(random.choice((0, 1, 2, 5)))]}
    if kind in MASTERS and random.random() < 0.15:
        data = {"definitions": [_named(one, random) for _ in range(random.choice((0, 1, 2, 5)))]}
    return {
        "specversion": "1.0",
        "id": f"e{random.randrange(10**9)}",
        "source": random.choice(("till", "office", "web")),
        "type": kind,
        "data": data,
    }


def _named(one: Make, random: Random) -> Any:
    """One of several definitions; its name is now and then one that was used, or none."""
    name = f"d{random.randrange(10**9)}" if random.random() < 0.8 else random.choice(("d1", "d2", *TEXTS))
    return {"id": name, "data": one(random)}


def _sensible(random: Random) -> Any:
    """A movement as a shop sends it, with a field more now and then."""
    purpose = random.choice([each for each in PURPOSES.values() if each.flow in _SENSIBLE])
    lines = [_sensible_line(purpose.flow, random) for _ in range(random.choice((1, 1, 1, 2, 4)))]
    movement = {
        "id": random.choice(NAMES["id"]),
        "company": "shop",
        "purpose": purpose.name,
        "posting_at": random.choice(GOOD_TIMES),
        "lines": lines,
    }
    if random.random() < 0.2:
        name, value = random.choice(list(_MAKERS[MOVEMENT_REQUESTED](random).items()) or [("document", "x")])
        movement[name] = value
    return movement


def _sensible_line(flow: Flow, random: Random) -> Any:
    item = random.choice(NAMES["item"])
    line: dict[str, Any] = {"item": item, "quantity": random.choice(("1", "2", "5", "40"))}
    line |= {name: random.choice(("north", "south")) for name in _SENSIBLE[flow]}
    if flow in (Flow.IN, Flow.COUNT):
        line["rate"] = random.choice(("1", "2.5", "0.333333333"))
    if item == "cream" and (flow is not Flow.OUT or random.random() < 0.5):
        line["batch"] = random.choice(NAMES["batch"])
    if item == "lamp" and flow is Flow.IN:
        first = random.randrange(10**6)
        line["serials"] = f"L{first:06d}-L{first + int(line['quantity']) - 1:06d}"
    return line


_SENSIBLE: Mapping[Flow, Sequence[str]] = {
    Flow.IN: ("target",),
    Flow.OUT: ("source",),
    Flow.MOVE: ("source", "target"),
    Flow.COUNT: ("target",),
}


def _of_struct(shape: inspect.StructType) -> Make:
    fields = [(each.encode_name, each.required, _of_type(each.type, each.encode_name)) for each in shape.fields]
    sparse = min(1.0, 8 / max(1, len(fields)))

    def made(random: Random) -> Any:
        return {
            name: value(random)
            for name, required, value in fields
            if (required and random.random() < 0.99) or (not required and random.random() < sparse * 0.6)
        }

    return made


def _of_type(shape: inspect.Type, name: str) -> Make:  # noqa: PLR0911 - a table of types
    if isinstance(shape, inspect.UnionType):
        return _one_of([_of_type(each, name) for each in shape.types if not isinstance(each, inspect.NoneType)])
    if isinstance(shape, inspect.StructType):
        return _of_struct(shape)
    if isinstance(shape, inspect.ListType | inspect.CollectionType):
        return _list_of(_of_type(shape.item_type, name))
    if isinstance(shape, inspect.DictType):
        return _map_of(_of_type(shape.key_type, name), _of_type(shape.value_type, name))
    if isinstance(shape, inspect.LiteralType):
        return lambda random: random.choice(shape.values)
    if isinstance(shape, inspect.EnumType):
        members = [each.value for each in shape.cls]
        return lambda random: random.choice(members)
    if isinstance(shape, inspect.StrType):
        return _text(name)
    return _SIMPLE[type(shape)]


def _one_of(makers: Sequence[Make]) -> Make:
    return lambda random: random.choice(makers)(random)


def _list_of(make_one: Make) -> Make:
    return lambda random: [make_one(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3)))]


def _map_of(make_key: Make, make_value: Make) -> Make:
    return lambda random: {str(make_key(random)): make_value(random) for _ in range(random.choice((0, 1, 2)))}


def _text(name: str) -> Make:
    names = SERIALS if name == "serials" else NAMES.get(name, ("x",))

    def made(random: Random) -> Any:
        return random.choice(names) if random.random() < 0.97 else random.choice(TEXTS)

    return made


def _mostly(good: Sequence[Any], all_: Sequence[Any]) -> Make:
    return lambda random: random.choice(good if random.random() < 0.95 else all_)


_SIMPLE: Mapping[type, Make] = {
    inspect.CustomType: _mostly(GOOD_NUMBERS, NUMBERS),
    inspect.DateTimeType: _mostly(GOOD_TIMES, TIMES),
    inspect.DateType: _mostly(DATES[:4], DATES),
    inspect.IntType: _mostly(INTEGERS[1:5], INTEGERS),
    inspect.BoolType: lambda random: random.random() < 0.2,
    inspect.AnyType: odd,
    inspect.RawType: odd,
    inspect.NoneType: lambda _: None,
}


def _maker(struct: type[msgspec.Struct]) -> Make:
    shape = inspect.type_info(struct)
    assert isinstance(shape, inspect.StructType)
    return _of_struct(shape)


_MAKERS: Mapping[str, Make] = {kind: _maker(STRUCTS[kind]) for kind in dict.fromkeys(KINDS)}


# --- values replaced --------------------------------------------------------------------------------------------------


def _changed(event: Any, random: Random) -> Any:
    """An event with something wrong in it, as a rule in its data."""
    if isinstance(event, dict) and "data" in event and random.random() < 0.9:
        return {**event, "data": _replaced(event["data"], random, whole=0.02)}
    return _replaced(event, random)


def _replaced(value: Any, random: Random, whole: float = 0.1) -> Any:
    """The same value with something in it replaced, left out, added, or put elsewhere."""
    if not isinstance(value, dict | list) or not value or random.random() < whole:
        return odd(random)
    if isinstance(value, dict):
        name = random.choice(list(value))
        choice = random.random()
        if choice < 0.1:
            return {each: inner for each, inner in value.items() if each != name}
        if choice < 0.2:
            return {**value, random.choice(TEXTS): value[name], random.choice(list(value)): value[name]}
        return {**value, name: _replaced(value[name], random)}
    place = random.randrange(len(value))
    if random.random() < 0.2:
        return value * random.choice((0, 2, 20))
    return [*value[:place], _replaced(value[place], random), *value[place + 1 :]]


# --- bytes damaged ----------------------------------------------------------------------------------------------------


def _written(event: Any, random: Random) -> bytes:
    return json.dumps(event, ensure_ascii=random.random() < 0.7).encode("utf-8", "surrogatepass")


def _cut(body: bytes, random: Random) -> bytes:
    return body[: random.randrange(len(body) + 1)]


def _flipped(body: bytes, random: Random) -> bytes:
    damaged = bytearray(body or b"\0")
    for _ in range(random.choice((1, 1, 3, 20))):
        damaged[random.randrange(len(damaged))] = random.randrange(256)
    return bytes(damaged)


def _inserted(body: bytes, random: Random) -> bytes:
    place = random.randrange(len(body) + 1)
    return body[:place] + random.choice(_PIECES) + body[place:]


def _spliced(body: bytes, random: Random) -> bytes:
    other = json.dumps(random.choice(SAMPLES)).encode()
    return body[: random.randrange(len(body) + 1)] + other[random.randrange(len(other)) :]


def _doubled_keys(body: bytes, random: Random) -> bytes:
    key = random.choice(
        (b"id", b"source", b"type", b"data", b"lines", b"quantity", b"movements", b"definitions", b"dry_run")
    )
    value = random.choice((b'"till"', b"null", b"{}", b"[]", b'"M1"', b"true", b'"1"'))
    return body.replace(b"{", b'{"' + key + b'":' + value + b",", random.choice((1, 2, 9)))


def _encoded_otherwise(body: bytes, random: Random) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(
        random.choice(("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig", "cp037", "utf-7")), "replace"
    )


def _wrapped(body: bytes, random: Random) -> bytes:
    depth = random.choice((1, 10, 1_000, 100_000))
    return b"[" * depth + body + b"]" * random.choice((0, depth))


def _filled_up(body: bytes, random: Random) -> bytes:
    place = body.rfind(b"}") if b"}" in body else len(body)
    filler = random.choice((b" ", b"a", b"\\u0041", b"\xc3\xa4", b"[", b'{"a":')) * random.choice((100, 10_000))
    return body[:place] + b',"filler":"' + filler + b'"' + body[place:]


def _deep(body: bytes, random: Random) -> bytes:
    return body.replace(b'"data": ', b'"data": ' + json.dumps(nested(random)).encode() + b', "data": ', 1)


_PIECES = (
    *(b"\0", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800"),
    *(b"\\", b'"', b"}", b"]", b"{", b",", b":", b"null", b"NaN", b"-", b"1e999", b"9" * 400, b"\x1b[2J", b"//", b"\n"),
)
_DAMAGES = (
    *(_cut, _flipped, _inserted, _inserted, _spliced, _doubled_keys, _encoded_otherwise, _wrapped, _filled_up, _deep),
)


# --- around the body --------------------------------------------------------------------------------------------------


def _routing_key(event: Any) -> str:
    kind = event.get("type") if isinstance(event, dict) else None
    return f"{kind}.{partition(kind)}" if isinstance(kind, str) and kind in STRUCTS else MOVEMENT_REQUESTED


def _headers(random: Random) -> Mapping[str, Any]:
    names = ("user", "routing_key", "stockbook-sent-by", "x-death", "x-delivery-count", "traceparent", "", "a" * 200)
    return {random.choice(names): odd(random) for _ in range(random.choice((0, 1, 3)))}
