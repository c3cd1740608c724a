"""Receiving's handlers: definitions, requested movements, reservations, counts, recalls, manifests, a set at a time.

Each reads what it needs, calls one pure function, writes what that returned, and answers every source. What was refused
only for what may still be on its way waits, and is released when it comes.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from sqlalchemy import Connection

from services.receiving.decide.case import Limits
from services.receiving.handlers import cycle_counts, recalls, reservations
from services.receiving.handlers.answering import read_definitions, read_named
from services.receiving.handlers.asked import take_asked
from services.receiving.handlers.definitions import define
from services.receiving.handlers.gate import NAME, Clock, Gate, Settled, utc_now
from services.receiving.handlers.manifests import answer_due, answer_manifests, read_manifest
from services.receiving.handlers.movements import allocate_movements, read_movements
from services.receiving.handlers.releasing import look_around, release
from shared import outbox, parked
from shared.contracts.movement import MESSAGE_LIMIT
from shared.contracts.registry import MASTERS, MOVEMENT_REQUESTED, SOURCE_MANIFEST
from shared.service import Handled, Handler, Input, Service

__all__ = ["service", "utc_now"]

_Settling = Callable[[Sequence[Input], Connection, Gate], Settled]


def service(
    clock: Clock = utc_now,
    limits: Limits = Limits(),  # noqa: B008 - an immutable value
    administrators: Collection[str] = (),
) -> Service:
    """The receiving service; `clock` gives the time of acceptance, `administrators` alone define sources, if any."""
    gate = Gate(clock, limits, administrators)
    movements = Handler(read_movements, _then_release(allocate_movements, gate))
    definitions = Handler(read_definitions, _then_release(define, gate))
    told = Handler(read_manifest, _then_release(answer_manifests, gate))
    kept = Handler(read_named, _then_release(partial(take_asked, reservations.JUDGES), gate))
    counted = Handler(read_named, _then_tell(partial(take_asked, cycle_counts.JUDGES), gate))
    recalled = Handler(read_named, _then_release(partial(take_asked, recalls.JUDGES), gate))
    handlers = {
        **dict.fromkeys(MASTERS, definitions),
        MOVEMENT_REQUESTED: movements,
        SOURCE_MANIFEST: told,
        **dict.fromkeys(reservations.JUDGES, kept),
        **dict.fromkeys(cycle_counts.JUDGES, counted),
        **dict.fromkeys(recalls.JUDGES, recalled),
    }
    sweeps = (
        release(gate),
        outbox.sweep(NAME),
        look_around(gate),
        parked.sweep(NAME),
        answer_due(gate),
        reservations.expire_due(gate),
    )
    return Service(
        NAME,
        handlers,
        sweeps,
        prefetch=1_000,
        message_limit=MESSAGE_LIMIT,
        asks_who_sent=True,
        administrators=administrators,
    )


def _then_tell(settle: _Settling, gate: Gate) -> Callable[[Sequence[Input], Connection], Handled]:
    """Work on a set, and tell next what it made besides its answers."""

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        settled = settle(inputs, connection, gate)
        then = release(gate) if settled.woke else outbox.sweep(NAME)
        return Handled(settled.outputs, then=then, counts=settled.counts)

    return work


def _then_release(settle: _Settling, gate: Gate) -> Callable[[Sequence[Input], Connection], Handled]:
    """Work on a set; and where it brought what others lacked, try those next."""

    def work(inputs: Sequence[Input], connection: Connection) -> Handled:
        settled = settle(inputs, connection, gate)
        return Handled(settled.outputs, then=release(gate) if settled.woke else None, counts=settled.counts)

    return work
