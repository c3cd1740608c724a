"""JSON Schemas (draft 2020-12) of whole events, envelope and data, made by msgspec from the structs of the contracts.

What msgspec cannot know is put in: the form of our decimals and times, what a field means, and that an event may carry
one movement or definition, or many.
"""

import re
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from services.desk.docs.meanings import description, meanings, summary
from shared.contracts.codec import Contract, Time
from shared.contracts.envelope import Envelope
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.movement import MOVEMENTS_LIMIT, MovementRequested
from shared.contracts.registry import MASTERS, MOVEMENT_REQUESTED, NAMED_BY_EVENT, STRUCTS
from shared.purposes import PURPOSES
from shared.quantities import Money, Quantity, Rate

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MANY = "movements"
MANY_DEFINITIONS = "definitions"
NUMBERS: dict[type[Quantity | Rate | Money], tuple[str, str]] = {
    Quantity: ("12.5", "-3"),
    Rate: ("310", "0.333333333"),
    Money: ("119.99", "-0.05"),
}
"""Our numbers, each with examples."""
_TIME: Schema = {
    "title": "Time",
    "description": "A moment with its time zone, as RFC 3339 writes it.",
    "type": "string",
    "format": "date-time",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
    "examples": ["2026-01-17T10:12:31+01:00", "2026-01-17T09:12:31Z"],
}
_AS_MSGSPEC_SAYS_TIME = {"type": "string", "format": "date-time"}


class Event(Envelope, frozen=True, kw_only=True):
    """A CloudEvent 1.0 in JSON (structured mode); unknown further attributes are ignored.

    `specversion` is always `1.0`. `id` names the event: a definition is known by (`source`, `id`) for ever; for
    movements, and for several definitions, it is transport only, each has an id of its own. `source` is the name of the
    upstream system, or of the service that tells. `type` says what `data` holds. `time` is when the event was made;
    nothing depends on it. `subject` is free, and ignored. `traceparent` is a W3C trace context, carried through to the
    end. `datacontenttype` is `application/json`, or absent. `data` is what is said, in the form that belongs to `type`.
    """

    time: Time | None = None
    data: dict[str, Any]  # type: ignore[assignment]  # raw JSON, where it is decoded


def event_schema(kind: str) -> Schema:
    """The schema of an event of one type."""
    struct = STRUCTS[kind]
    _, made = msgspec.json.schema_components([Event, struct], schema_hook=_number, ref_template="#/$defs/{name}")
    parts = {name: _finished(name, part) for name, part in made.items()}
    envelope = parts.pop(Event.__name__)
    properties = envelope["properties"]
    properties["specversion"] |= {"const": properties["specversion"].pop("enum")[0]}
    properties["type"] = {"const": kind, "description": properties["type"]["description"]}
    properties["data"] |= _data(kind, struct, properties["id"])
    schema = {"$schema": DIALECT, **envelope, "title": kind, "description": parts[struct.__name__]["description"]}
    return {**schema, "$defs": {**parts, **_standing_parts([properties, parts])}}


def file_name(kind: str) -> str:
    """The file of a type's schema."""
    return f"{kind}.schema.json"


def carries_many(kind: str) -> bool:
    """Whether events of a type only ever come as `movements: [...]`: what the services publish does."""
    return kind not in NAMED_BY_EVENT and kind != MOVEMENT_REQUESTED


def _number(kind: type) -> Schema:
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _finished(name: str, part: Schema) -> Schema:
    """A struct's or an enum's schema with what msgspec does not say."""
    part = _portable(part)
    if "properties" not in part:
        return part
    struct = _CLASSES[name]
    part["description"] = summary(struct, part["properties"])
    for field, meaning in meanings(struct, part["properties"]).items():
        part["properties"][field]["description"] = meaning
    for field, key in _enum_keys(struct).items():
        part["properties"][field]["propertyNames"] = {"$ref": f"#/$defs/{key.__name__}"}
    if struct is MovementRequested:
        part["properties"]["purpose"]["examples"] = list(PURPOSES)
    return part


def _portable(schema: Any) -> Any:
    """Patterns as other languages know them, and every time as the one part `Time`."""
    if isinstance(schema, list):
        return [_portable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == _AS_MSGSPEC_SAYS_TIME:
        return {"$ref": "#/$defs/Time"}
    return {key: re.sub(r"\\Z$", "$", value) if key == "pattern" else _portable(value) for key, value in schema.items()}


def _enum_keys(struct: type) -> dict[str, type[Enum]]:
    """The fields that map members of an enumeration to something: msgspec checks such keys, and does not tell."""
    keys = {name: get_args(hint)[0] for name, hint in get_type_hints(struct).items() if get_origin(hint) is dict}
    return {name: key for name, key in keys.items() if isinstance(key, type) and issubclass(key, Enum)}


def _data(kind: str, struct: type[Contract], name: Schema) -> Schema:
    one: Schema = {"$ref": f"#/$defs/{struct.__name__}"}
    if kind in MASTERS:
        # Whatever has a list of `definitions` is read as many.
        listed = {"properties": {MANY_DEFINITIONS: {"type": "array"}}, "required": [MANY_DEFINITIONS]}
        return {"oneOf": [{**one, "not": listed}, _many(MANY_DEFINITIONS, _named(one, name), DEFINITIONS_LIMIT)]}
    if kind in NAMED_BY_EVENT:
        return one
    if carries_many(kind):
        return _many(MANY, one)
    # Whatever has `movements` is read as many.
    return {"oneOf": [{**one, "not": {"required": [MANY]}}, _many(MANY, one, MOVEMENTS_LIMIT)]}


def _many(name: str, one: Schema, limit: int | None = None) -> Schema:
    several: Schema = {"type": "array", "minItems": 1} | ({"maxItems": limit} if limit else {}) | {"items": one}
    return {"type": "object", "properties": {name: several}, "required": [name]}


def _named(one: Schema, name: Schema) -> Schema:
    """One of several definitions; `name` is what the id of an event is."""
    told = {**name, "description": "Its name, by which it is known and answered for ever."}
    return {"type": "object", "properties": {"id": told, "data": one}, "required": ["id", "data"]}


def _below(struct: type) -> list[type]:
    """All structs that are made of this one."""
    direct: list[type] = struct.__subclasses__()
    return [each for own in direct for each in (own, *_below(own))]


def _standing_parts(within: object) -> Schema:
    """The parts that are not msgspec's, of those that are referred to."""
    used = set(re.findall(r"#/\$defs/(\w+)", str(within)))
    return {name: part for name, part in STANDING.items() if name in used}


def _number_schema(kind: type[Quantity | Rate | Money]) -> Schema:
    return {
        "title": kind.__name__,
        "description": description(kind) + " A string, never a JSON number: exact in every language.",
        "type": "string",
        "pattern": f"^{kind._form.pattern}$",
        "examples": list(NUMBERS[kind]),
    }


STANDING: Schema = {"Time": _TIME} | {kind.__name__: _number_schema(kind) for kind in NUMBERS}
"""What fields of many structs hold."""
_CLASSES = {struct.__name__: struct for struct in _below(Contract)}
