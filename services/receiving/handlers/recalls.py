"""Recalls: opened, holders reached, closed; all recalls of a set are opened under one round of locks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from services.receiving.decide import patience
from services.receiving.decide.recalls import (
    Goods,
    against_closing,
    against_opening,
    against_time,
    against_use,
    read_goods,
)
from services.receiving.decide.stock import MovementKey
from services.receiving.handlers.answering import Outcome, answer
from services.receiving.handlers.asked import Judged, Judges
from services.receiving.handlers.gate import Gate, log
from services.receiving.store import recalls
from services.receiving.store.masters import load_companies, load_items
from services.receiving.store.waiting import Waiter
from shared.contracts.recall import RecallOpened
from shared.contracts.registry import RECALL_CLOSED, RECALL_OPENED, RECALL_REACHED
from shared.errors import Reason
from shared.service import Key

_Asked = Sequence[tuple[Waiter, Any]]


def _open(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:
    outcomes: dict[Key, Outcome] = {}
    begin: dict[MovementKey, tuple[str, Sequence[Goods]]] = {}
    for each, told in asked:
        named, reasons = _goods_of(connection, told, gate)
        if reasons:
            outcomes[each.key] = answer(each, told.company, reasons, now)
        else:
            begin[each.key] = (told.company, named)
    sound = [(each, told) for each, told in asked if each.key in begin]
    earnest = {each.key: begin[each.key] for each, told in sound if not told.mock}
    reached = recalls.lock_goods(connection, earnest)
    reached |= recalls.reached_by(connection, {key: begin[key] for key in begin.keys() - earnest.keys()})
    locked_at = gate.clock()  # behind the locks: whatever left before them was accepted before this moment
    for each, told in sound:
        goods, further = begin[each.key][1], reached[each.key]
        items = {one.item for one in (*goods, *(found.goods for found in further))}
        at = recalls.last_recorded(connection, told.company, items, locked_at)
        recalls.save_recall(connection, each.key, told, goods, further, (each.since, at))
        log.info("recalled", source=each.source, id=each.id, goods=len(goods), reached=len(further), mock=told.mock)
        outcomes[each.key] = answer(each, told.company, [], at)
    # A recall that stops nothing while it waits for a number that is mistyped would be worse than none.
    return Judged(outcomes, [patience.recall_key(*each.key) for each, _ in sound], at_once=True)


def _goods_of(connection: Connection, told: RecallOpened, gate: Gate) -> tuple[list[Goods], list[Reason]]:
    """What a recall begins with, and every reason against it."""
    goods, reasons = read_goods(told, gate.limits)
    if told.company not in load_companies(connection, [told.company], locked=False):
        return goods, [*reasons, Reason("unknown_company", None, {"company": told.company})]
    items = load_items(connection, [(told.company, each.item) for each in told.goods], locked=False)
    known = recalls.known_goods(connection, told.company, goods)
    return goods, [*reasons, *against_opening(goods, {code for _, code in items}, known)]


def _reach(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:  # noqa: ARG001 - one shape for all
    found = recalls.lock_recalls(connection, {_named(*each) for each in asked})
    outcomes: dict[Key, Outcome] = {}
    for each, told in asked:
        key = _named(each, told)
        standing = found.get(key)
        reasons = against_use(key, standing)
        if standing is not None and not reasons:
            reasons = against_time(standing, told.reached_at, now)
        if not reasons:
            recalls.save_reached(connection, key, each.key, told, now)
        outcomes[each.key] = answer(each, standing.company if standing is not None else None, reasons, now)
    return Judged(outcomes)


def _close(connection: Connection, asked: _Asked, gate: Gate, now: datetime) -> Judged:  # noqa: ARG001 - as above
    found = recalls.lock_recalls(connection, {_named(*each) for each in asked})
    outcomes: dict[Key, Outcome] = {}
    for each, told in asked:
        key = _named(each, told)
        standing = found.get(key)
        reasons = against_closing(key, standing, release=told.release)
        if standing is not None and not reasons:
            recalls.close_recall(connection, standing, told, now)
            found[key] = replace(standing, is_closed=True, is_released=standing.is_released or told.release)
        outcomes[each.key] = answer(each, standing.company if standing is not None else None, reasons, now)
    return Judged(outcomes)


def _named(each: Waiter, told: Any) -> MovementKey:
    return (told.recall.source or each.source, told.recall.id)


JUDGES: Judges = {RECALL_OPENED: _open, RECALL_REACHED: _reach, RECALL_CLOSED: _close}
