"""Events as an upstream sends them: read from JSON strictly, or made from data, ready to be published.

The idea: what is wrong with an event is said here, with its path, before anything is sent; the services would park
or refuse it later, out of the sender's sight. An event may be given in full (a CloudEvent) or in short,
`{"type": ..., "data": ...}`; then its id, source and time are filled in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from shared.broker.interface import Message
from shared.broker.topology import INTAKE, partition
from shared.contracts.codec import Code, Contract, Malformed, SourceName, decoder, read, write
from shared.contracts.envelope import (
    Envelope,
    definitions,
    raw_definitions,
    raw_movements,
    read_definition,
    read_envelope,
    write_event,
)
from shared.contracts.masters import DEFINITIONS_LIMIT
from shared.contracts.movement import MESSAGE_LIMIT, MOVEMENTS_LIMIT
from shared.contracts.registry import MASTERS, MOVEMENT_REQUESTED, NAMED_BY_EVENT, STRUCTS
from shared.service import Key

_Part = TypeVar("_Part")

TYPES = (*NAMED_BY_EVENT, MOVEMENT_REQUESTED)
"""What an upstream may send."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event ready to go: its bytes, where they go, and what they name: each of `keys` gets an outcome."""

    kind: str
    id: str
    body: bytes
    partition_key: str
    keys: Sequence[Key]

    def message(self) -> Message:
        """The event as a message to the intake."""
        return Message(INTAKE, f"{self.kind}.{partition(self.partition_key)}", self.body, self.id)


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    type: Code
    specversion: str | None = None
    id: Code | None = None
    source: SourceName | None = None
    time: datetime | None = None
    data: msgspec.Raw


class _Named(msgspec.Struct, frozen=True):
    id: str = ""
    company: str | None = None
    lines: tuple[dict[str, Any], ...] = ()


_given = decoder(_Given)
_named = decoder(_Named)
_structs = {kind: decoder(STRUCTS[kind]) for kind in TYPES}


def read_event(text: bytes, source: str, now: datetime) -> Event:
    """One event from JSON, in full or in short; Malformed says what is wrong with it, and where."""
    given = read(_given, text)
    if given.type not in TYPES:
        raise Malformed(f"{given.type!r} is no type that can be sent; there are {', '.join(sorted(TYPES))}")
    if given.specversion is not None:
        read_envelope(text)
    movements = _movements(given) if given.type == MOVEMENT_REQUESTED else []
    names = [each.id for each in movements] if movements else _names(given)
    event_id = given.id or (names[0] if len(names) == 1 else uuid4().hex)
    sender = given.source or source
    body = write_event(given.type, sender, event_id, given.data, given.time or now)
    if len(body) > MESSAGE_LIMIT:
        raise Malformed(f"{len(body)} bytes; a message has {MESSAGE_LIMIT} at most")
    return _event(given.type, sender, event_id, body, names, _partition_key(movements))


def make_event(
    kind: str,
    source: str,
    data: Mapping[str, Any] | Contract,
    event_id: str | None = None,
    time: datetime | None = None,
) -> Event:
    """One event from its data, unchecked: a struct, or what its JSON is to be (decimals as strings)."""
    raw = msgspec.Raw(write(data))
    movements = [read(_named, raw)] if kind == MOVEMENT_REQUESTED else []
    event_id = event_id or (movements[0].id if movements else uuid4().hex)
    body = write_event(kind, source, event_id, raw, time)
    return _event(kind, source, event_id, body, [each.id for each in movements], _partition_key(movements))


def make_frame(kind: str, source: str, names: Sequence[str], named: Sequence[bytes]) -> Event:
    """One event with several definitions, unchecked: their names, and each as an encoded `NamedDefinition`."""
    event_id = uuid4().hex
    return _event(kind, source, event_id, write_event(kind, source, event_id, definitions(named)), names)


def parts(envelope: Envelope) -> list[msgspec.Raw]:
    """What an event carries, each the JSON of its type's struct; Malformed where one of several has no name."""
    if envelope.type not in NAMED_BY_EVENT:
        return raw_movements(envelope.data)
    several = raw_definitions(envelope.data) if envelope.type in MASTERS else None
    return [envelope.data] if several is None else [read_definition(each).data for each in several]


def _movements(given: _Given) -> list[_Named]:
    """Decode movements as their type says; what is needed of them."""
    return _each(raw_movements(given.data), _movement, "movement", MOVEMENTS_LIMIT)


def _names(given: _Given) -> list[str]:
    """Decode what is no movement as its type says; the names of several definitions, none where it is one."""
    several = raw_definitions(given.data) if given.type in MASTERS else None
    if several is None:
        read(_structs[given.type], given.data)
        return []
    return _each(several, partial(_definition, given.type), "definition", DEFINITIONS_LIMIT)


def _each(parts: Sequence[msgspec.Raw], read_one: Callable[[msgspec.Raw], _Part], what: str, limit: int) -> list[_Part]:
    """What an event carries; Malformed where that is nothing, too much, or wrong: then it says which one is."""
    if not 1 <= len(parts) <= limit:
        raise Malformed(f"{len(parts)} {what}s in one event; there must be 1 to {limit}")
    found: list[_Part] = []
    for raw in parts:
        try:
            found.append(read_one(raw))
        except Malformed as error:
            raise Malformed(f"{error} ({what} {len(found) + 1})" if len(parts) > 1 else str(error)) from None
    return found


def _movement(raw: msgspec.Raw) -> _Named:
    read(_structs[MOVEMENT_REQUESTED], raw)
    return read(_named, raw)


def _definition(kind: str, raw: msgspec.Raw) -> str:
    named = read_definition(raw)
    read(_structs[kind], named.data)
    return named.id


def _event(kind: str, source: str, event_id: str, body: bytes, names: Sequence[str], partition_key: str = "") -> Event:
    return Event(kind, event_id, body, partition_key or source, [(source, name) for name in names or [event_id]])


def _partition_key(movements: Sequence[_Named]) -> str:
    """The first line's warehouse, else the company."""
    if not movements:
        return ""
    first = movements[0].lines[0] if movements[0].lines else {}
    return str(first.get("source") or first.get("target") or movements[0].company or "")
