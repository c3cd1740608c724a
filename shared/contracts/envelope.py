"""The envelope: a CloudEvents 1.0 event in structured JSON, decoded before its data so that a bad payload has a name.

Several movements may travel in one event, as `data.movements`: an upstream's bulk upload, or a frame between
services. So may several definitions of one type, as `data.definitions`, each with the id that would otherwise be its
event's. They are kept as raw JSON and decoded one by one, so that a bad one does not spoil its neighbours.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from shared.contracts.codec import Code, Contract, Malformed, SourceName, Text, decoder, read_outline, write

CONTENT_TYPE = "application/cloudevents+json"


class Envelope(Contract, frozen=True, kw_only=True):
    """A CloudEvent; `data` is still raw JSON, its struct depends on `type`."""

    specversion: Literal["1.0"]
    id: Code
    source: SourceName
    type: Code
    time: datetime | None = None
    subject: Text | None = None
    traceparent: Text | None = None
    datacontenttype: Text | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class NamedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One of several definitions in an event: its `id` names it for ever; `data` is still raw JSON, what it says."""

    id: Code
    data: msgspec.Raw = msgspec.Raw(b"{}")


class _Bulk(msgspec.Struct):
    movements: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class _Definitions(msgspec.Struct):
    definitions: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_envelopes = decoder(Envelope)
_bulks = decoder(_Bulk)
_several = decoder(_Definitions)
_named = decoder(NamedDefinition)


def read_envelope(body: bytes) -> Envelope:
    """Decode an event's envelope; `Malformed` where it is none."""
    envelope = read_outline(_envelopes, body)
    # What is in the data concerns only the movement that it is in.
    if any(text is not None and "\0" in text for text in (envelope.id, envelope.type, envelope.traceparent)):
        raise Malformed("a text of the envelope contains NUL")
    return envelope


def raw_movements(data: msgspec.Raw) -> list[msgspec.Raw]:
    """The movements of an event's data: those of `movements`, else the data itself as the only one."""
    bulk = read_outline(_bulks, data)
    return [data] if isinstance(bulk.movements, msgspec.UnsetType) else bulk.movements


def raw_definitions(data: msgspec.Raw) -> list[msgspec.Raw] | None:
    """The definitions of an event that carries several, for `read_definition`; None where it is one itself."""
    try:
        several = read_outline(_several, data)
    except Malformed:  # no list of them: then it is one, and whatever is wrong is told of that
        return None
    return None if isinstance(several.definitions, msgspec.UnsetType) else several.definitions


def read_definition(raw: msgspec.Raw | bytes) -> NamedDefinition:
    """One of several definitions; `Malformed` where it has no name by which anybody could be answered."""
    named = read_outline(_named, raw)
    if "\0" in named.id:
        raise Malformed("an id contains NUL")
    return named


def write_event(
    kind: str, source: str, event_id: str, data: msgspec.Raw | Contract, time: datetime | None = None
) -> bytes:
    """Encode one event; `data` is a struct or JSON that was encoded before."""
    raw = data if isinstance(data, msgspec.Raw) else msgspec.Raw(write(data))
    return write(Envelope(specversion="1.0", id=event_id, source=source, type=kind, time=time, data=raw))


def frame(movements: Sequence[bytes]) -> msgspec.Raw:
    """The data of an event that carries several movements, each encoded before."""
    return msgspec.Raw(b'{"movements":[' + b",".join(movements) + b"]}")


def definitions(named: Sequence[bytes]) -> msgspec.Raw:
    """The data of an event that carries several definitions, each a `NamedDefinition` encoded before."""
    return msgspec.Raw(b'{"definitions":[' + b",".join(named) + b"]}")
