"""The mistakes that lose a movement, or let workers wait for each other in a circle: each is made, and a test sees it.

A mistake is a change of the ledger's (or the worker's) own text, so that it is made exactly where it could be made. A
text that is not there any more fails the test: then the mistake is to be made anew.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from services.ledger import handlers, store
from services.ledger.decide.posting import stamps_of
from shared import outbox, worker
from shared.db import open_engine, transaction
from tests import builders
from tests.builders import Receiving, join
from tests.integration import test_ledger_stamps as stamps
from tests.integration import test_ledger_store as ledger
from tests.unit import test_worker as loop


@dataclass
class Lab:
    """Where a test of another file is carried out."""

    engine: Engine
    pool: ThreadPoolExecutor


Caught = Callable[[Lab], object]
"""A test that must fail."""


@dataclass(frozen=True)
class Mistake:
    """What is replaced in the text of a function or a statement, by what; and the test that sees it."""

    where: ModuleType | type
    name: str
    replaced: Mapping[str, str]
    caught_by: Caught

    def make(self, monkeypatch: pytest.MonkeyPatch) -> None:
        right = getattr(self.where, self.name)
        text = right if isinstance(right, str) else textwrap.dedent(inspect.getsource(right))
        for old, new in self.replaced.items():
            assert old in text, f"{self.name} has no {old!r} any more"
            text = text.replace(old, new)
        wrong = text if isinstance(right, str) else self._compiled(text, right)
        for module in (self.where, builders, stamps, ledger):
            if getattr(module, self.name, None) is right:
                monkeypatch.setattr(module, self.name, wrong)

    def _compiled(self, text: str, right: Any) -> Any:
        names: dict[str, Any] = {}
        exec(compile(text, f"<{self.name} with a mistake>", "exec"), right.__globals__, names)
        return names[self.name]


# --- the tests that see them -----------------------------------------------------------------------------------------


def eight_workers(lab: Lab) -> None:
    stamps.test_eight_workers_make_the_entries_of_one_without_a_gap_and_without_a_deadlock(lab.engine, lab.pool, 1)


def crossing(blocking: stamps.Blocking, lab: Lab) -> None:
    never = stamps.test_workers_in_the_same_rows_that_another_holds_up_halfway_never_deadlock
    never(lab.engine, lab.pool, blocking)


def waiting_join(lab: Lab) -> None:
    released = stamps.test_a_waiting_join_is_released_whichever_of_its_predecessors_commits_last
    released(lab.engine, lab.pool, (0, 1), "after both commits")


def join_in_known_bins(lab: Lab) -> None:
    with transaction(lab.engine) as connection:
        store.create_bins(connection, {key for each in join(Receiving()) for key in stamps_of(each)})
    stamps.test_predecessors_that_come_while_a_join_decides_to_wait_release_it(lab.engine, lab.pool, (0, 1))


def two_releases(lab: Lab) -> None:
    stamps.test_two_workers_that_release_the_same_movement_apply_it_once(lab.engine, lab.pool)


def zombie(lab: Lab) -> None:
    second = stamps.test_a_movement_given_to_two_workers_is_told_by_the_second_when_the_first_dies_after_its_commit
    second(lab.engine, lab.pool)


def dead_after_release(lab: Lab) -> None:
    dead = stamps.test_a_death_between_the_commit_of_a_release_and_its_publishing_is_repaired_from_the_outbox
    dead(lab.engine)


def closed_gap(lab: Lab) -> None:
    ledger.test_a_set_that_closes_a_gap_takes_the_waiting_movement_along(lab.engine)


def told_again(lab: Lab) -> None:
    ledger.test_a_movement_that_comes_again_has_its_stored_output_told_again(lab.engine)


def confirmed_first(_lab: Lab) -> None:
    engine = create_engine("sqlite://")
    loop.test_outputs_that_were_not_confirmed_are_published_again_before_the_acknowledgement(engine)


# --- the mistakes ----------------------------------------------------------------------------------------------------

KEY_ORDER, BIN_ORDER = "ORDER BY source, id", "ORDER BY company, item, warehouse"
MISTAKES = {
    "it must wait: decided without locks": Mistake(store, "_LOCK_BINS", {"FOR NO KEY UPDATE": ""}, eight_workers),
    "waiting rows read in a snapshot that is older than the locks": Mistake(
        handlers,
        "_apply",
        {
            "    state = store.lock_bins(connection, bins)\n": (
                "    known = store.waiters_in(connection, bins)[0]\n    state = store.lock_bins(connection, bins)\n"
            ),
            "store.waiters_within(connection, state.last_stamps)": (
                "{k: v for k, v in store.waiters_within(connection, state.last_stamps).items() if k in known}"
            ),
            "store.has_followers(connection, posting.advanced)": "bool(known)",
        },
        join_in_known_bins,
    ),
    "next in all bins: judged before the commit": Mistake(
        handlers,
        "_apply",
        {
            "store.has_followers(connection, posting.advanced)": (
                "bool(in_order(*store.waiters_in(connection, posting.advanced)))"
            )
        },
        waiting_join,
    ),
    "nobody is released": Mistake(
        handlers, "_apply", {"release(posting.advanced) if more else None": "None"}, waiting_join
    ),
    "the set first, then who waits; the hint does not see those that the set leaves": Mistake(
        handlers,
        "_apply",
        {
            "    order = in_order(stamps, state.last_stamps)\n": (
                "    order = in_order({k: v for k, v in stamps.items() if k in new}, state.last_stamps)\n"
                "    behind = dict(state.last_stamps)\n"
                "    for key in order:\n"
                "        behind.update(stamps[key])\n"
                "    order += in_order({k: v for k, v in stamps.items() if k not in new}, behind)\n"
            ),
            "store.has_followers(connection, posting.advanced)": "False",
        },
        closed_gap,
    ),
    "a release that does not look again under its locks": Mistake(
        handlers,
        "_apply",
        {
            "stamps |= {key: own for key, own in waiters.items() if only is None or key in only}": "stamps |= waiters",
            "in_order(stamps, state.last_stamps)": "list(only or in_order(stamps, state.last_stamps))",
        },
        two_releases,
    ),
    "no outbox for who is released": Mistake(outbox, "add", {"if outputs:": "if False:"}, dead_after_release),
    "a movement that comes again is told nothing": Mistake(
        store, "stored_outputs", {"if keys else ()": "if False else ()"}, told_again
    ),
    "the state of one that comes again is read with the insertion": Mistake(
        handlers,
        "post_allocated",
        {
            "    added = ": "    known = store.stored_outputs(connection, distinct.keys())\n    added = ",
            "store.stored_outputs(connection, distinct.keys() - added)": (
                "{key: body for key, body in known.items() if key not in added}"
            ),
        },
        zombie,
    ),
    "acknowledged before it is published": Mistake(
        worker.Worker,
        "_turn",
        {
            "self._work(portion)\n            consumer.acknowledge(portion)": (
                "consumer.acknowledge(portion)\n            self._work(portion)"
            )
        },
        confirmed_first,
    ),
    "keys in no order": Mistake(
        store, "_ADD_MOVEMENTS", {KEY_ORDER: "ORDER BY random()"}, partial(crossing, stamps.key_taken)
    ),
    "bins created in no order": Mistake(
        store, "_CREATE_BINS", {BIN_ORDER: "ORDER BY random()"}, partial(crossing, stamps.bin_created)
    ),
    "bins locked in no order": Mistake(
        store, "_LOCK_BINS", {BIN_ORDER: "ORDER BY random()"}, partial(crossing, stamps.bin_locked)
    ),
    "movement by movement, in one transaction": Mistake(
        handlers,
        "post_allocated",
        {
            "    distinct: dict[Key, Input] = {}\n": (
                "    if len(inputs) > 1:\n"
                "        parts = [post_allocated([each], connection) for each in inputs]\n"
                "        outputs = [output for part in parts for output in part.outputs]\n"
                "        thens = [part.then for part in parts if part.then]\n"
                "        return Handled(outputs, [k for p in parts for k in p.released], thens[0] if thens else None)\n"
                "    distinct: dict[Key, Input] = {}\n"
            )
        },
        eight_workers,
    ),
    "further bins are taken to release at once": Mistake(
        handlers,
        "_apply",
        {
            "    applied = _outputs(": (
                "    if more:\n"
                "        looked = release(posting.advanced)(connection)\n"
                "        if looked.then:\n"
                "            at_once = looked.then(connection)\n"
                "            released, waited = [*released, *at_once.outputs], [*waited, *at_once.released]\n"
                "    applied = _outputs("
            )
        },
        eight_workers,
    ),
}


@pytest.fixture
def lab(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr("tests.builders.PATIENCE", 3.0)
    engine = open_engine(database)
    with ThreadPoolExecutor(8) as pool:
        yield Lab(engine, pool)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_the_protocol_is_seen_by_a_test(
    lab: Lab, mistake: Mistake, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake.make(monkeypatch)
    assert what_fails(mistake.caught_by, lab) is not None


def test_predecessors_in_bins_that_exist_release_a_join_that_decided_to_wait_meanwhile(lab: Lab) -> None:
    """Without a mistake the only test that stands nowhere else passes."""
    join_in_known_bins(lab)


def what_fails(test: Caught, lab: Lab) -> Exception | None:
    try:
        test(lab)
    except Exception as error:  # noqa: BLE001 - however it fails, it was seen
        return error
    return None
