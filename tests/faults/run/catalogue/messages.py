"""Messages that come twice, early, wrong, in any order, all at once."""

import json
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial

from services.desk.events import Event, make_event
from shared.broker import Message
from shared.broker.topology import ACCOUNTING, INTAKE, LEDGER, RECEIVING, WORK
from tests.faults.plant import disorder
from tests.faults.run import goods
from tests.faults.run.fault import WORKERS, Fault
from tests.faults.run.goods import Asked
from tests.faults.run.scene import DidNotHappenError, Scene
from tests.faults.victim import Plan

DAY = 26 * 3_600.0
SKEW = 1_200.0
"""Seconds by which clocks of two gates are wrong, one either way: within what the company calls late or early."""
MALFORMED = frozenset({"malformed", "unknown_type", "message_too_large"})


def faults() -> list[Fault]:
    return [
        Fault("every movement twice in its message", _nothing, load=_twice_in_a_message),
        Fault("every message twice, to any worker", _nothing, load=_every_message_twice),
        Fault("everything again after a day", _again_after_a_day),
        Fault("the same ids with other content", _other_content, parkable=frozenset({"conflicting_duplicate"})),
        Fault("any order, also between the services", _disorder, load=_shuffled),
        Fault("returns, cancellations and costs before what they name", _nothing, load=_followers_first),
        Fault("counts, a hold, a recall, closing and reopening in flight", _close_in_flight),
        Fault("one serial received in two places at once", _same_serials_at_once, quick=True),
        Fault("poison between good messages", poison, parkable=MALFORMED, quick=True, repeatable=True),
        Fault("100,000 serials in one line", _many_serials),
        Fault("clocks 20 minutes wrong, and dates in the future", _future, crew=_wrong_clocks),
    ]


def _nothing(_: Scene) -> None:
    """The fault is in the load."""


# --- twice -----------------------------------------------------------------------------------------------------------


def _twice_in_a_message(scene: Scene, count: int) -> Sequence[Event]:
    movements = scene.shopping.draw(count)
    portions = [movements[start : start + 25] for start in range(0, count, 25)]
    events = [goods.sent(scene.chance.sample(each * 2, len(each) * 2)) for each in portions]
    return [*events, goods.item(goods.LATE_ITEM)]


def _every_message_twice(scene: Scene, count: int) -> Sequence[Event]:
    """The second copy some messages later, so that another worker has it."""
    events = scene.shopping.events(scene.shopping.draw(count))
    later = [(place + scene.chance.uniform(0, 6), each) for place, each in enumerate(events)]
    both = [*((float(place), each) for place, each in enumerate(events)), *later]
    return [each for _, each in sorted(both, key=lambda pair: pair[0])]


def _again_after_a_day(scene: Scene) -> None:
    """By then only gates whose clock is a day on are there."""
    known = list(scene.upstream.sent)
    gates = scene.crew.of(RECEIVING)
    for each in gates:
        scene.crew.end(each)
        scene.crew.start_victim(Plan(RECEIVING, skew=DAY))
    before = scene.count("receiving.movement")
    scene.upstream.publish(known)
    scene.until(lambda: scene.broker.depth(RECEIVING) == 0, "all of it was worked on", 120)
    for each in scene.crew.of(RECEIVING):
        scene.crew.end(each)
        scene.crew.start(RECEIVING)
    assert before > 0


def _other_content(scene: Scene) -> None:
    """Ids that are booked come again with another quantity."""
    booked = scene.rows("SELECT id FROM accounting.journal_entry WHERE id LIKE 'M%' AND revaluation IS NULL LIMIT 200")
    line = goods.arriving(goods.FIFO[0], "north", 99, 1.0)
    others = [goods.movement(name, "purchase_receipt", [line]) for (name,) in booked]
    scene.publish(others)
    scene.until(lambda: scene.count("receiving.parked") == len(booked), "each is parked")


# --- in another order ------------------------------------------------------------------------------------------------


def _shuffled(scene: Scene, count: int) -> Sequence[Event]:
    movements = scene.shopping.draw(count)
    scene.chance.shuffle(movements)
    return [goods.item(goods.LATE_ITEM), *scene.shopping.events(movements)]


def _disorder(scene: Scene) -> None:
    """What waits between the gate and the ledger is put back in any order, in other frames, twice."""
    mix_up(scene)
    for _ in range(WORKERS):
        scene.crew.start(LEDGER)


def mix_up(scene: Scene) -> None:
    """The same, and no ledger is there any more."""
    scene.crew.end(*scene.crew.of(LEDGER))
    scene.until(lambda: scene.broker.depth(LEDGER) > 3, "frames wait for the ledger")
    assert disorder(scene.broker, LEDGER, scene.chance, copies=2) > 0


def _followers_first(scene: Scene, count: int) -> Sequence[Event]:
    """All that names another movement comes before the first of these."""
    movements = scene.shopping.draw(count)
    movements.sort(key=lambda each: "against" not in each)
    return [goods.item(goods.LATE_ITEM), *scene.shopping.events(movements)]


# --- closing ---------------------------------------------------------------------------------------------------------


def _close_in_flight(scene: Scene) -> None:
    """Yesterday is closed, opened and closed again, while movements of these days and counts come in.

    A batch is held, another one is recalled, with what is repacked of it; both are free again in the end.
    """
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    batch = {"company": goods.COMPANY, "item": goods.BATCHED[0], "batch": f"{goods.BATCHED[0]}-B0", "actor": "ann"}
    _tell(scene, "batch.held.v1", "hold", {**batch, "reason": "a complaint"})
    recalled = {"goods": [{"item": goods.BATCHED[0], "batch": f"{goods.BATCHED[0]}-B1"}]}
    _tell(scene, "recall.opened.v1", "recall", {**_who(reason="a rash"), **recalled})
    _close(scene, "close 1", yesterday)
    _tell(scene, "period.reopened.v1", "reopen", _who(open_from=yesterday.isoformat()))
    _close(scene, "close 2", yesterday)
    over = {"recall": {"id": "recall"}, "evidence": "0" * 64, "release": True}
    _tell(scene, "recall.closed.v1", "recall over", {**over, "actor": "ann", "reason": "it was nothing"})
    _tell(scene, "batch.released.v1", "release", {**batch, "reason": "it was nothing"})


def _close(scene: Scene, name: str, day: date) -> None:
    _tell(scene, "period.closed.v1", name, _who(through=day.isoformat()))
    locked = f"accounting.period WHERE id = '{name}' AND locked_at IS NOT NULL"
    scene.until(lambda: scene.count(locked) == 1, f"{name} locks the books")


def _who(**fields: str) -> Asked:
    return {"company": goods.COMPANY, "actor": "ann", "reason": "the month is done", **fields}


def _tell(scene: Scene, kind: str, name: str, data: Asked) -> None:
    scene.upstream.publish([make_event(kind, goods.SOURCE, data, name)])
    scene.until(partial(scene.is_done, [(goods.SOURCE, name)]), f"{name} is answered")


# --- at once ---------------------------------------------------------------------------------------------------------


def _same_serials_at_once(scene: Scene) -> None:
    """Two sources of the same hundred serials, in other places: of each, one is accepted and one refused."""
    count, item = 100, goods.SERIALIZED[0]

    def arrivals(place: str) -> list[Asked]:
        return [
            scene.shopping.keep(
                goods.movement(
                    f"{place} {n}",
                    "purchase_receipt",
                    [{**goods.arriving(item, place, 1, 9.0), "serials": [f"SAME-{n}"]}],
                ),
                {(item, place): 1},
            )
            for n in range(count)
        ]

    both = [arrivals("north"), arrivals("south")]
    publishing = [threading.Thread(target=scene.publish, args=(each, 5, goods.HASTY)) for each in both]
    for each in publishing:
        each.start()
    for each in publishing:
        each.join()
    names = [(goods.HASTY, each["id"]) for arriving in both for each in arriving]
    scene.until(lambda: scene.is_done(names), "each is answered")
    stand = scene.count("ledger.serial WHERE serial LIKE 'SAME-%'")
    assert stand == count, f"{stand} of {count} serials stand somewhere"


def _many_serials(scene: Scene) -> None:
    count, item = 100_000, goods.SERIALIZED[1]
    asked = goods.movement("many", "purchase_receipt", [goods.arriving(item, "east", count, 1.25)])
    scene.publish([scene.shopping.keep(asked, {(item, "east"): count})])
    scene.until(lambda: scene.is_done([(goods.SOURCE, "many")]), "the receipt is booked", 120)


# --- wrong -----------------------------------------------------------------------------------------------------------


def poison(scene: Scene) -> None:
    """At the gate, and between the services: all of it is parked, and nobody waits for it."""
    before = _parked(scene)
    at_gate, between = _poison(scene.chance)
    publisher = scene.broker.publisher()
    messages = [Message(INTAKE, "movement.requested.v1", body, f"g{n}") for n, body in enumerate(at_gate)]
    messages += [Message(WORK, queue, body, f"{queue}{n}") for queue in (LEDGER, ACCOUNTING) for n, body in between]
    publisher.publish(messages)
    publisher.close()
    expected = before + len(messages)
    scene.until(lambda: _parked(scene) == expected, f"all of {len(messages)} poisonous messages are parked")


def _parked(scene: Scene) -> int:
    return sum(scene.count(f"{schema}.parked") for schema in (RECEIVING, LEDGER, ACCOUNTING))


def _poison(chance: random.Random) -> tuple[list[bytes], list[tuple[int, bytes]]]:
    """Each with a number of its own: the same again is counted, not parked again."""
    number = chance.randrange(1_000_000_000)
    good = json.dumps({"id": f"P{number}", "purpose": "delivery", "lines": []})
    names = {"specversion": "1.0", "id": f"e{number}", "source": goods.SOURCE, "type": "movement.requested.v1"}

    def event(data: str, **other: object) -> bytes:
        return (json.dumps({**names, **other})[:-1] + f', "data": {data}}}').encode()

    bodies = [
        b"{not json " + str(number).encode(),
        b"\xff\xfe" + str(number).encode(),
        event(good, type="movement.guessed.v1"),
        event(good, type="movement.requested.v7"),
        event(good, source="Nobody!"),
        event(good, specversion=3),
        event('{"movements": 7}'),
        event("[" * 100_000 + "]" * 100_000),
        event(json.dumps({"id": f"too large {number}", "document": "x" * 20 * 1024 * 1024})),
    ]
    return bodies, list(enumerate(bodies[:6]))


# --- clocks ----------------------------------------------------------------------------------------------------------


def _wrong_clocks(scene: Scene) -> None:
    scene.crew.start_all(WORKERS, but=RECEIVING)
    for skew in (SKEW, -SKEW):
        scene.crew.start_victim(Plan(RECEIVING, skew=skew))


def _future(scene: Scene) -> None:
    """What is dated in two days is refused; a clock that is a little wrong refuses nothing."""
    at = datetime.now(UTC) + timedelta(days=2)
    line = goods.arriving(goods.FIFO[1], "west", 1, 1.0)
    asked = [goods.movement(f"future {n}", "purchase_receipt", [line], at) for n in range(100)]
    scene.publish(asked, source=goods.HASTY)
    refused = "receiving.movement WHERE id LIKE 'future %' AND allocated IS NULL"
    with suppress(DidNotHappenError):
        scene.until(lambda: scene.count(refused) == len(asked), "all are refused")
    assert scene.count(refused) == len(asked)
