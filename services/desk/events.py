"""Events as an upstream sends them: read from JSON strictly, or made from data, ready to be published.

The idea: what is wrong with an event is said here, with its path, before anything is sent; the services would park
or refuse it later, out of the sender's sight. An event may be given in full (a CloudEvent) or in short,
`{"type": ..., "data": ...}`; then its id, source and time are filled in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec

from shared.broker.interface import Message
from shared.broker.topology import INTAKE, partition
from shared.contracts.codec import Code, Contract, Malformed, SourceName, decoder, read, write
from shared.contracts.envelope import raw_movements, read_envelope, write_event
from shared.contracts.movement import MESSAGE_LIMIT, MOVEMENTS_LIMIT
from shared.contracts.registry import MOVEMENT_REQUESTED, NAMED_BY_EVENT, STRUCTS
from shared.service import Key

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
    movements = _check(given)
    single = movements[0].id if len(movements) == 1 else None
    event_id = given.id or single or uuid4().hex
    sender = given.source or source
    body = write_event(given.type, sender, event_id, given.data, given.time or now)
    if len(body) > MESSAGE_LIMIT:
        raise Malformed(f"{len(body)} bytes; a message has {MESSAGE_LIMIT} at most")
    return _event(given.type, sender, event_id, body, movements)


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
    return _event(kind, source, event_id, write_event(kind, source, event_id, raw, time), movements)


def _check(given: _Given) -> list[_Named]:
    """Decode the data as its type says; what is needed of its movements, none for a definition."""
    struct = _structs[given.type]
    if given.type != MOVEMENT_REQUESTED:
        read(struct, given.data)
        return []
    movements = raw_movements(given.data)
    if not 1 <= len(movements) <= MOVEMENTS_LIMIT:
        raise Malformed(f"{len(movements)} movements in one event; there must be 1 to {MOVEMENTS_LIMIT}")
    for place, raw in enumerate(movements):
        try:
            read(struct, raw)
        except Malformed as error:
            raise Malformed(f"{error} (movement {place + 1})" if len(movements) > 1 else str(error)) from None
    return [read(_named, raw) for raw in movements]


def _event(kind: str, source: str, event_id: str, body: bytes, movements: Sequence[_Named]) -> Event:
    keys = [(source, movement.id) for movement in movements] or [(source, event_id)]
    return Event(kind, event_id, body, _partition_key(movements) or source, keys)


def _partition_key(movements: Sequence[_Named]) -> str:
    """The first line's warehouse, else the company."""
    if not movements:
        return ""
    first = movements[0].lines[0] if movements[0].lines else {}
    return str(first.get("source") or first.get("target") or movements[0].company or "")
