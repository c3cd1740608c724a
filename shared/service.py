"""What a service is to the worker: handlers by event type, and steps that run between sets.

A handler reads inputs out of an event and works on a set of them inside one transaction. What it returns says what
to publish once the transaction is committed, and what to do after that.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection

from shared.contracts.codec import Contract, Malformed, decoder, read
from shared.contracts.envelope import Envelope, raw_movements

Key = tuple[str, str]
"""What names a movement for ever: its source and its id there."""


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to work on: a movement or a definition, decoded, with the bytes that it came in.

    A `value` that is `Malformed` is not worked on but parked, it alone. `id` is what names it, where that is known.
    `user` is the account that sent it, where the service asks for that and the broker knows.
    """

    source: str
    kind: str
    value: Any
    raw: bytes
    trace: str | None = None
    id: str | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """One movement's message of some type, encoded; the worker puts many of them into one frame."""

    kind: str
    source: str
    id: str
    body: bytes


class Result(StrEnum):
    """What becomes of a movement or a definition in a transaction: counted, never acted upon."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    POSTED = "posted"
    BOOKED = "booked"
    TOLD_AGAIN = "told_again"
    WAITING = "waiting"
    WOKEN = "woken"
    RELEASED = "released"
    PARKED = "parked"
    STUCK = "stuck"
    TRIED = "tried"
    REVALUED = "revalued"


class Level(StrEnum):
    """What stands in a service's tables, as far as somebody should know of it."""

    WAITING = "waiting"
    LONGEST_WAIT = "longest_wait_seconds"
    STUCK_BINS = "stuck_bins"
    DIRTY_BINS = "dirty_bins"
    LONGEST_DIRTY = "longest_dirty_seconds"
    PARKED = "parked"


Counts = Mapping[tuple[Result, str], int]
"""How many of each result, with the code of its reason (empty: it has none)."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What a transaction leaves to do once it is committed.

    `outputs` are published, and confirmed, before the inputs are acknowledged. `released` are the keys of outputs that
    also stand in the outbox, and leave it once they are confirmed. `then` is the next transaction, if there is more;
    `otherwise` says what to do in its place where it fails for good, so that one bad movement does not stop the others.
    `more`: there is some of the service's chore to do, now or when the next messages have been worked on; or of a
    sweep, which comes again at once where no messages do.

    The rest is for whoever watches: `counts` what became of the movements, `levels` what stands in the tables, and
    `oldest` when the first was accepted of all that this transaction posted or booked.
    """

    outputs: Sequence[Output] = ()
    released: Sequence[Key] = ()
    then: "Step | None" = None
    otherwise: "Callable[[Exception], Step] | None" = None
    more: bool = False
    counts: Counts = field(default_factory=dict)
    levels: Mapping[Level, float] = field(default_factory=dict)
    oldest: datetime | None = None


Step = Callable[[Connection], Handled]
"""One transaction's work."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How events of one type are read (Malformed: the event is parked) and worked on, a set of inputs at a time."""

    read: Callable[[Envelope], list[Input]]
    work: Callable[[Sequence[Input], Connection], Handled]


GiveUp = Callable[[Input, Exception, Connection], None]
"""Puts aside, in its transaction, an input that cannot be worked on even alone."""


@dataclass(frozen=True, slots=True)
class Service:
    """A worker service: its name is that of its queue and of its schema.

    `sweeps` are steps that run when a worker starts and every second: they repair what a crash left half done, and do
    what can wait.
    `prefetch` is how many messages a worker holds; those between services are frames of many movements. Messages of
    more than `message_limit` bytes are parked: that is for the gate, what was accepted there is always taken. An input
    that cannot be worked on even alone is parked, unless the service has its own way to `give_up`. `replay` is the step
    that runs when the service's queue vanished, with all that lay in it. `chore` makes a step that does a piece of
    about the given size of what is long to do, and must not keep messages waiting. `asks_who_sent`: its inputs are told
    the account that sent them. `administrators` are accounts that are believed when they send again for another one.
    """

    name: str
    handlers: Mapping[str, Handler]
    sweeps: Sequence[Step] = ()
    prefetch: int = 16
    message_limit: int | None = None
    give_up: GiveUp | None = None
    replay: Step | None = None
    chore: Callable[[int], Step] | None = None
    asks_who_sent: bool = False
    administrators: Collection[str] = ()


def movement_reader(struct: type[Contract]) -> Callable[[Envelope], list[Input]]:
    """A reader of frames from another service: each movement decoded, its own `source` naming it."""
    movements: msgspec.json.Decoder[Any] = decoder(struct)

    def read_movement(envelope: Envelope, raw: msgspec.Raw) -> Input:
        try:
            value = read(movements, raw)
        except Malformed as error:
            return Input(envelope.source, envelope.type, error, bytes(raw))
        return Input(value.source, envelope.type, value, bytes(raw), value.trace, value.id)

    def read_frame(envelope: Envelope) -> list[Input]:
        return [read_movement(envelope, raw) for raw in raw_movements(envelope.data)]

    return read_frame
