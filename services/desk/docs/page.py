"""The page about every message, for people: an index, then each type with its fields in tables and good examples.

Everything on it is taken from the schemas, so the page and they cannot disagree.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.desk.docs.asyncapi import TAKEN, TOLD
from services.desk.docs.samples import Samples
from services.desk.docs.schemas import MANY, MANY_DEFINITIONS, STANDING, Schema, carries_many, file_name
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.movement import MOVEMENTS_LIMIT
from shared.contracts.registry import MASTERS, MOVEMENT_REQUESTED, NAMED_BY_EVENT, ROUTES, STRUCTS

_HEAD = """\
# Messages

<!-- Written by `make docs` from the code, samples and examples; not by hand. -->

Every message is a [CloudEvent](https://cloudevents.io) 1.0 in JSON, structured mode. How to publish and to listen
stands in [publishing.md](../publishing.md); [asyncapi.json](asyncapi.json) has all of this for tools, as AsyncAPI 3.0.

Decimals are strings, times have a zone, unknown fields are ignored. The numbers behind *text* are its length in
characters. Where the default is *none*, a field may be left out or be `null`.
"""
_MEMBERS_IN_A_CELL = 6
_BETWEEN = tuple(kind for kind in STRUCTS if kind not in TAKEN and kind not in TOLD)
_CHAPTERS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("What you send", "To the exchange `stock.intake`, with the type as the routing key.", TAKEN),
    ("What you hear", "From the exchange `stock.events`, through a queue of your own.", tuple(TOLD)),
    ("Between services", "Not for upstreams; here so that nothing is hidden.", _BETWEEN),
)


def page(schemas: Mapping[str, Schema], samples: Samples) -> str:
    """The page as Markdown."""
    shown: set[str] = set()
    text = [_HEAD, *_index(schemas), *_envelope(schemas[MOVEMENT_REQUESTED]), *_standing()]
    for title, remark, kinds in _CHAPTERS:
        text += [f"## {title}\n", f"{remark}\n"]
        for kind in kinds:
            text += _type(kind, schemas[kind], samples[kind], shown)
    return "\n".join(text).rstrip("\n") + "\n"


def _index(schemas: Mapping[str, Schema]) -> Iterator[str]:
    rows = []
    for title, _, kinds in _CHAPTERS:
        for kind in kinds:
            name = f"[`{kind}`](#{anchor(kind)})"
            rows.append((name, title.lower(), _summary(schemas[kind]), f"[schema]({file_name(kind)})"))
    yield from _table(("type", "", "what it says", ""), rows)


def _envelope(schema: Schema) -> Iterator[str]:
    yield "## The envelope\n"
    properties = schema["properties"]
    kind = {"type": "string", "description": properties["type"]["description"]}
    data = {"type": "object", "description": properties["data"]["description"]}
    yield from _fields({**schema, "properties": {**properties, "type": kind, "data": data}}, schema)


def _standing() -> Iterator[str]:
    yield "## Numbers and times\n"
    for name, part in STANDING.items():
        yield f"### {name}\n"
        yield f"{part['description']} Like {' or '.join(f'`{each}`' for each in part['examples'])}.\n"


def _type(kind: str, schema: Schema, samples: Sequence[Any], shown: set[str]) -> Iterator[str]:
    """A type's section; a part that several types have is shown with the first, and linked from the others."""
    yield f"### {kind}\n"
    yield f"{schema['description']}\n"
    yield f"{_whereto(kind)} Schema: [{file_name(kind)}]({file_name(kind)}). {_form(kind)}\n"
    parts = schema["$defs"]
    yield from _fields(parts[STRUCTS[kind].__name__], schema)
    for name, part in parts.items():
        if name != STRUCTS[kind].__name__ and name not in shown and (_is_long(part) or "properties" in part):
            shown.add(name)
            yield f"#### {name}\n"
            yield f"{part['description']}\n"
            yield from _fields(part, schema) if "properties" in part else [_shape(part, parts) + "\n"]
    for sample in samples:
        yield f"```json\n{json.dumps(sample, indent=2, ensure_ascii=False)}\n```\n"


def _whereto(kind: str) -> str:
    if kind in TAKEN:
        return f"Routing key `{kind}`."
    keys = [f"`{route.key}{'.<source>' if route.by_source else ''}` on `{route.exchange}`" for route in ROUTES[kind]]
    return f"Routing key {', '.join(keys)}."


def _form(kind: str) -> str:
    if kind in MASTERS:
        several = f'{{"{MANY_DEFINITIONS}": [{{"id": ..., "data": ...}}, ...]}}'
        return f"`data` is this, or `{several}` with up to {DEFINITIONS_LIMIT:,} of them, each under a name of its own:"
    if kind in NAMED_BY_EVENT:
        return "`data` is:"
    if carries_many(kind):
        return f'`data` is `{{"{MANY}": [...]}}`, one or more of:'
    return f'`data` is one of these, or `{{"{MANY}": [...]}}` with up to {MOVEMENTS_LIMIT:,} of them:'


def _fields(part: Schema, schema: Schema) -> Iterator[str]:
    rows = [
        (
            f"`{name}`",
            _shape(field, schema["$defs"]),
            "yes" if name in part["required"] else "",
            _default(name, field, part),
            _meaning(field),
        )
        for name, field in part["properties"].items()
    ]
    yield from _table(("field", "type", "required", "default", "meaning"), rows)


def _meaning(field: Schema) -> str:
    listed = ", ".join(f"`{each}`" for each in field.get("examples", ()))
    return _cell(field.get("description", "")) + (f" There is {listed}." if listed else "")


def _default(name: str, field: Schema, part: Schema) -> str:
    if name in part["required"]:
        return ""
    default = field.get("default")
    return "*none*" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"


def _shape(field: Schema, parts: Mapping[str, Schema]) -> str:
    """What a field holds, in a few words."""
    if "$ref" in field:
        return _reference(field["$ref"].rpartition("/")[2], parts)
    if "anyOf" in field:
        return " or ".join(_shape(each, parts) for each in field["anyOf"] if each != {"type": "null"})
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return " ".join(f"`{each}`" for each in field["enum"])
    return _SHAPES[field["type"]](field, parts)


def _reference(name: str, parts: Mapping[str, Schema]) -> str:
    if "enum" in parts[name] and not _is_long(parts[name]):
        return _shape(parts[name], parts)
    return f"[{name}](#{anchor(name)})"


def _is_long(part: Schema) -> bool:
    """Whether an enumeration has too many members for a cell of a table."""
    return len(part.get("enum", ())) > _MEMBERS_IN_A_CELL


def _text(field: Schema, parts: Mapping[str, Schema]) -> str:  # noqa: ARG001 - one shape for all
    if "format" in field:
        return str(field["format"])
    if "pattern" in field:
        return f"text like `{field['pattern']}`".replace("|", "\\|")
    least, most = field.get("minLength", 0), field.get("maxLength")
    return "text" + (f", {least} to {most:,}" if most and least else f", up to {most:,}" if most else "")


def _integer(field: Schema, parts: Mapping[str, Schema]) -> str:  # noqa: ARG001 - as above
    bounds = f", {field['minimum']:,} to {field['maximum']:,}" if "maximum" in field else ""
    return f"whole number{bounds}"


def _map(field: Schema, parts: Mapping[str, Schema]) -> str:
    inner = field.get("additionalProperties")
    if inner is None:
        return "object"
    keys = field.get("propertyNames", {})
    return f"map from {_shape({'type': 'string', **keys}, parts)} to {_shape(inner, parts)}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _summary(schema: Schema) -> str:
    return _cell(str(schema["description"]).partition("\n\n")[0])


def anchor(title: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


_SHAPES = {
    "string": _text,
    "integer": _integer,
    "boolean": lambda _field, _parts: "true or false",
    "array": lambda field, parts: f"list of {_shape(field['items'], parts)}",
    "object": _map,
}
