"""What the ledger does with its messages: a set of allocated movements is posted, or waits for what comes before it.

The one idea: whoever decides that a movement waits holds its bins until the commit, so whoever applies later what it
waits for sees it, and releases it after that commit. Nothing is woken by a notice that can be lost; the sweep finds
what a death between a commit and its release left standing. A dry run has no part in this: it is only told.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from services.ledger import store
from services.ledger.decide.posting import BinKey, Stamps, in_order, post, stamps_of, try_out
from services.ledger.decide.state import bins_of
from services.ledger.handlers.revaluing import Revaluing
from services.ledger.store.chain import CHAINED
from shared import chaining, outbox, parked, replay
from shared.contracts.codec import write
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_ALLOCATED, MOVEMENT_POSTED, TRIAL_ALLOCATED, TRIAL_POSTED
from shared.errors import InvariantBroken
from shared.service import Handled, Handler, Input, Key, Output, Result, Service, Step, movement_reader

SCHEMA = "ledger"


def service() -> Service:
    """The ledger, as the worker sees it."""
    sweeps = (
        release(None),
        outbox.sweep(SCHEMA),
        replay.sweep(REPLAY),
        look_around,
        parked.sweep(SCHEMA),
        *chaining.sweeps(CHAINED),
    )
    return Service(SCHEMA, HANDLERS, sweeps, give_up=give_up, replay=replay.due(SCHEMA), chore=Revaluing())


def post_allocated(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Post each movement once; one that arrived before has its stored output told again, if it has one yet."""
    distinct: dict[Key, Input] = {}
    for each in inputs:
        distinct.setdefault(_key_of(each), each)
    added = store.add_movements(connection, [each.value for each in distinct.values()])
    told = _outputs(store.stored_outputs(connection, distinct.keys() - added))
    if not added:
        return Handled(told, counts={(Result.TOLD_AGAIN, ""): len(told)})
    new = {key: each for key, each in distinct.items() if key in added}
    bins = {bin_key for each in new.values() for bin_key in stamps_of(each.value)}
    store.create_bins(connection, bins)
    return _apply(connection, bins, new, told)


def try_allocated(inputs: Sequence[Input], connection: Connection) -> Handled:
    """Tell what each dry run would post on what is there just now; nothing is locked, and nothing is written."""
    movements: list[MovementAllocated] = [each.value for each in inputs]
    state = store.read_bins(connection, {bin_key for each in movements for bin_key in bins_of(each)})
    store.read_details(connection, movements, state)
    tried = [try_out(each, state) for each in movements]
    return Handled([Output(TRIAL_POSTED, each.source, each.id, write(each)) for each in tried])


def release(bins: Collection[BinKey] | None) -> Step:
    """A step that looks, without locks, for waiting movements in `bins` (None: in all) that can be applied now.

    Those are looked at again, and applied, by the next step, under the locks of their bins.
    """

    def look(connection: Connection) -> Handled:
        stamps, last_stamps = store.waiters_in(connection, bins)
        candidates = {key: stamps[key] for key in in_order(stamps, last_stamps)}
        return _try_together(candidates) if candidates else Handled()

    return look


def _try_together(candidates: Mapping[Key, Stamps]) -> Handled:
    """Apply waiting movements under the locks of their bins; if that fails for good, find out which of them it is."""
    bins = {bin_key for stamps in candidates.values() for bin_key in stamps}
    return Handled(
        then=lambda connection: _apply(connection, bins, {}, [], candidates.keys()),
        otherwise=lambda error: _isolate(candidates, error),
    )


def _isolate(candidates: Mapping[Key, Stamps], error: Exception) -> Step:
    """Try the earlier half alone: the sweep comes for the others. The bins of one that fails alone are stuck."""
    if len(candidates) > 1:
        half = dict(list(candidates.items())[: len(candidates) // 2])
        return lambda _: _try_together(half)
    ((key, stamps),) = candidates.items()

    def stick(connection: Connection) -> Handled:
        store.stick(connection, key, stamps.keys(), "unprocessable", f"{type(error).__name__}: {error}")
        return Handled(counts={(Result.STUCK, "unprocessable"): 1})

    return stick


def give_up(spoiled: Input, error: Exception, connection: Connection) -> None:
    """Put aside a movement that failed alone: it waits, and the next sweep finds out whether it is to blame.

    It may be innocent: what waited for it was to be applied with it. One whose stamp was taken by another movement can
    never be next, one without any stamp is in nobody's way, and a dry run never waits: those are parked.
    """
    movement = spoiled.value
    key = (movement.source, movement.id)
    if movement.trial is not None:
        raise InvariantBroken("a dry run never waits", movement=key) from error
    stamps = stamps_of(movement)
    if not store.add_movements(connection, [movement]):
        return
    store.create_bins(connection, stamps)
    last_stamps = store.lock_bins(connection, stamps).last_stamps
    if not stamps or any(last_stamps[bin_key] >= stamp for bin_key, stamp in stamps.items()):
        raise InvariantBroken("no stamp of its own is left to wait for", movement=key) from error
    store.add_waiting(connection, {key: spoiled.raw}, {key: stamps})


def _apply(
    connection: Connection,
    bins: Collection[BinKey],
    new: Mapping[Key, Input],
    told: Sequence[Output],
    only: Collection[Key] | None = None,
) -> Handled:
    """Lock bins, and apply whatever is next among the new movements and those that wait in these bins alone.

    Of those that wait, `only` these, if any are named.
    """
    state = store.lock_bins(connection, bins)
    stamps = {key: stamps_of(each.value) for key, each in new.items()}
    waiters = store.waiters_within(connection, state.last_stamps)
    stamps |= {key: own for key, own in waiters.items() if only is None or key in only}
    order = in_order(stamps, state.last_stamps)
    waited = [key for key in order if key not in new]
    movements: dict[Key, MovementAllocated] = {key: each.value for key, each in new.items()}
    movements |= store.waiting_movements(connection, waited)
    ordered = [movements[key] for key in order]
    store.read_details(connection, ordered, state)

    posting = post(ordered, state)

    bodies = {(each.movement.source, each.movement.id): write(each.posted) for each in posting.applied}
    released = _outputs({key: bodies[key] for key in waited})
    store.save_posting(connection, posting)
    revalued = store.save_revaluations(connection, posting.found_later)
    store.save_outputs(connection, bodies)
    store.forget_waiting(connection, waited)
    outbox.add(connection, SCHEMA, [*released, *revalued])
    store.add_waiting(connection, {key: each.raw for key, each in new.items() if key not in bodies}, stamps)
    more = store.has_followers(connection, posting.advanced)
    applied = _outputs({key: body for key, body in bodies.items() if key in new})
    return Handled(
        [*told, *applied, *released, *revalued],
        [*waited, *((each.source, each.id) for each in revalued)],
        release(posting.advanced) if more else None,
        more=bool(posting.marks),
        counts={
            (Result.POSTED, ""): len(order),
            (Result.RELEASED, ""): len(waited),
            (Result.WAITING, ""): len(new) - len(applied),
            (Result.TOLD_AGAIN, ""): len(told),
        },
        oldest=min((each.recorded_at for each in ordered), default=None),
    )


def look_around(connection: Connection) -> Handled:
    """A step that tells how many movements wait, for how long, and how many bins are stuck."""
    return Handled(levels=store.standing(connection))


def _key_of(given: Input) -> Key:
    """What names a movement that takes effect."""
    movement: MovementAllocated = given.value
    if movement.trial is not None:
        raise InvariantBroken("a dry run is never posted", source=movement.source, id=movement.id)
    return (movement.source, movement.id)


def _outputs(bodies: Mapping[Key, bytes]) -> list[Output]:
    return [Output(MOVEMENT_POSTED, *key, body) for key, body in bodies.items()]


HANDLERS = {
    MOVEMENT_ALLOCATED: Handler(movement_reader(MovementAllocated), post_allocated),
    TRIAL_ALLOCATED: Handler(movement_reader(MovementAllocated), try_allocated),
}
REPLAY = replay.Replay(
    SCHEMA,
    (replay.Feed("receiving.allocated", "allocated", MOVEMENT_ALLOCATED, HANDLERS[MOVEMENT_ALLOCATED]),),
    give_up,
)
