"""Redriving: what was parked is published once more, to where it came from.

A row leaves its table in the transaction that published it, after the broker's confirm; who redrives at the same time
passes over rows that another one holds. So nothing is lost, and a message goes out twice only where a commit is lost
after its confirm. A message that a worker parks again meanwhile is a new row, and younger than what is redriven.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine

from services.desk.events import parts
from services.desk.sending import PAUSES
from shared.broker import Message, Publisher
from shared.broker.topology import AFTERCARE, AFTERCARE_TYPES, INTAKE, INTAKE_TYPES, RECEIVING, WORK
from shared.contracts.codec import Contract, Malformed, decoder, read, write
from shared.contracts.envelope import (
    NamedDefinition,
    definitions,
    frame,
    read_definition,
    read_envelope,
    write_event,
)
from shared.contracts.registry import MASTERS, MOVEMENT_REQUESTED, NAMED_BY_EVENT, STRUCTS, UNITS_ALLOCATED
from shared.db import transaction
from shared.errors import Retryable, StockbookError
from shared.parked import TOO_LARGE, Choice, Kept, Parked, remove_parked, take_parked
from shared.reading import SENT_BY, USER

PORTION = 100
_WHOLE = (TOO_LARGE, "unknown_type")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast messages are sent: `rate` in a second (None: as fast as it goes), and `limit` in all."""

    rate: float | None = None
    limit: int | None = None

    def portion(self, done: int) -> int:
        """How many to send at once: no more than a second's worth, and no more than what is left."""
        most = PORTION if self.rate is None else max(1, min(PORTION, int(self.rate)))
        return most if self.limit is None else min(most, self.limit - done)

    def pause(self, sent: int, took: float) -> float:
        """How many seconds to wait after a portion that took some already."""
        return 0.0 if self.rate is None else max(0.0, sent / self.rate - took)


def redrive(engine: Engine, publisher: Publisher, service: str, choice: Choice, pace: Pace) -> Iterator[list[Kept]]:
    """Publish the chosen messages of a service again, portion by portion; what was sent, after each.

    What was parked after `choice.until` is left alone: give one, else what fails again is sent without end.
    """
    done = 0
    while (portion := pace.portion(done)) > 0:
        began = time.monotonic()
        sent = _redrive_portion(engine, publisher, service, choice, portion)
        if not sent:
            return
        done += len(sent)
        yield sent
        time.sleep(pace.pause(len(sent), time.monotonic() - began))


def _redrive_portion(engine: Engine, publisher: Publisher, service: str, choice: Choice, limit: int) -> list[Kept]:
    for pause in PAUSES:
        try:
            return _try_portion(engine, publisher, service, choice, limit)
        except Retryable:
            time.sleep(pause)
    return _try_portion(engine, publisher, service, choice, limit)


def _try_portion(engine: Engine, publisher: Publisher, service: str, choice: Choice, limit: int) -> list[Kept]:
    with transaction(engine) as connection:
        taken = take_parked(connection, service, choice, limit)
        if taken:
            publisher.publish([message_of(service, each) for each in taken])
            remove_parked(connection, service, taken)
    return taken


def message_of(service: str, kept: Kept) -> Message:
    """What is published of a parked message: itself if it is a whole one, else an event around it."""
    parked = kept.message
    body = parked.body if is_whole(parked) else wrapped(parked, kept.number.hex)
    headers = {name: text for name, text in parked.headers.items() if not _is_the_brokers(name)}
    if service == RECEIVING or (service == AFTERCARE and _kind_of(parked) != UNITS_ALLOCATED):
        headers[SENT_BY] = parked.headers.get(USER, "")  # it goes out under our name, and is judged as what it was
        return Message(INTAKE, intake_key(parked), body, kept.number.hex, headers=headers)
    return Message(WORK, service, body, kept.number.hex, mandatory=True, headers=headers)


def is_whole(parked: Parked) -> bool:
    """Whether it was parked before it was taken apart: it has no envelope, a strange type, or data that hold nothing.

    A single movement that is malformed has no name, for that stands in what cannot be read.
    """
    return parked.reason in _WHOLE or (parked.reason == "malformed" and (parked.kind is None or parked.id is not None))


def wrapped(parked: Parked, event_id: str) -> bytes:
    """An event around a single movement or definition, as if it were one of several; all else is named by its event."""
    kind, source = parked.kind or "", parked.source or ""
    if kind in MASTERS:
        return write_event(kind, source, event_id, definitions([_named(parked)]))
    if kind in NAMED_BY_EVENT:
        return write_event(kind, source, parked.id or event_id, msgspec.Raw(parked.body))
    return write_event(kind, source, event_id, frame([parked.body]))


def _named(parked: Parked) -> bytes:
    """A definition with its name; one whose name could not be read was kept with it."""
    if parked.id is None:
        return parked.body
    return write(NamedDefinition(id=parked.id, data=msgspec.Raw(parked.body)))


def intake_key(parked: Parked) -> str:
    """The routing key at the gate: the event's type; if the gate knows no such type, the key with which it came."""
    kind = _kind_of(parked)
    is_known = kind in INTAKE_TYPES or kind in AFTERCARE_TYPES
    return kind if kind and is_known else parked.headers.get("routing_key") or kind or MOVEMENT_REQUESTED


def check_body(parked: Parked, body: bytes) -> None:
    """Whether a body may stand in for the parked one: it has to be readable, and of the same type and name.

    StockbookError says what is wrong with it.
    """
    try:
        if is_whole(parked):
            _check_event(body)
        else:
            _check_part(parked, body)
    except Malformed as error:
        raise StockbookError("the new body cannot be worked on either", error=str(error)) from None


def _check_event(body: bytes) -> None:
    envelope = read_envelope(body)
    reader = _reader(envelope.type)
    for raw in parts(envelope):
        read(reader, raw)


def _check_part(parked: Parked, body: bytes) -> None:
    is_named_inside = parked.kind in MASTERS and parked.id is None
    value = read(_reader(parked.kind), read_definition(body).data if is_named_inside else body)
    if parked.kind not in NAMED_BY_EVENT and parked.id is not None and getattr(value, "id", None) != parked.id:
        raise Malformed(f"it is another movement; the parked one has the id {parked.id!r}")


def _reader(kind: str | None) -> msgspec.json.Decoder[Contract]:
    struct = STRUCTS.get(kind or "")
    if struct is None:
        raise Malformed(f"there is no type {kind!r}")
    return decoder(struct)


def _kind_of(parked: Parked) -> str | None:
    if not is_whole(parked):
        return parked.kind
    try:
        return read_envelope(parked.body).type
    except Malformed:
        return parked.kind


def _is_the_brokers(header: str) -> bool:
    """What the broker itself said, such as who sent a message, or how often it was delivered."""
    return header in ("routing_key", USER) or header.startswith("x-")
