"""Movements that cannot be applied or booked: they stop nothing but what comes after them in their own bins, and an
operator has them tried again when the cause is gone.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from services.desk.pipeline import Pipeline
from services.desk.store.stuck import bins_stuck_by
from services.desk.working import Works
from services.ledger.store import loosen
from shared.broker import Message
from shared.broker.topology import WORK
from shared.contracts.codec import Contract, write
from shared.contracts.envelope import frame, write_event
from shared.contracts.movement import MovementAllocated
from shared.contracts.registry import MOVEMENT_ALLOCATED, MOVEMENT_POSTED
from shared.db import run, transaction
from shared.service import Handled
from shared.settings import Settings
from tests import commands
from tests.builders import SOURCE, Receiving, Session, leg, posted, rows, transfer, until_blocked

ROOM_FOR_A_THOUSAND = "ALTER TABLE ledger.bin ADD CONSTRAINT room_for_a_thousand CHECK (quantity <= 1000)"
PLACES = [f"w{number}" for number in range(20)]


@dataclass
class Desk:
    """The services inside this process, given what another service would have sent; and the command beside them."""

    works: Works
    env: dict[str, str]

    def deliver(self, *movements: MovementAllocated) -> None:
        """Allocated movements in one frame, and all that follows."""
        self.send("ledger", MOVEMENT_ALLOCATED, movements)

    def send(self, service: str, kind: str, movements: Sequence[Contract]) -> None:
        body = write_event(kind, "sender", "e1", frame([write(each) for each in movements]))
        publisher = self.works.broker.publisher()
        publisher.publish([Message(WORK, service, body, "e1", mandatory=True)])
        self.works.settle()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return rows(self.works.engine, statement)

    def change(self, statement: str, **parameters: object) -> None:
        with transaction(self.works.engine) as connection:
            run(connection, statement, **parameters)

    def ids(self, table: str) -> list[str]:
        found = [name for (name,) in self.rows(f"SELECT id FROM {table}")]
        return sorted(found, key=lambda name: int(name.removeprefix("M")))

    def told(self, *arguments: str, given: bytes | None = None) -> str:
        return commands.told(*arguments, env=self.env, given=given)

    def stamps(self, item: str, warehouse: str) -> list[tuple[int, str]]:
        """The entries of a bin in the order in which they were written."""
        found = self.rows("SELECT item, warehouse, stamp, id FROM ledger.entry ORDER BY ctid")
        return [(stamp, name) for *place, stamp, name in found if place == [item, warehouse]]


@pytest.fixture
def desk(database: str) -> Iterator[Desk]:
    with capture_logs(), Pipeline(database, settings=Settings(pause=0.01, sweep_every=0.0)) as pipeline:
        works = Works(pipeline.engine, pipeline.broker, pipeline)
        yield Desk(works, commands.environment(STOCKBOOK_DATABASE_URL=database))


def too_fine(movement: MovementAllocated) -> MovementAllocated:
    """The same in a currency of four places, which no bin can hold once a value is not whole."""
    return msgspec.structs.replace(movement, digits=4)


def numbered(*movements: MovementAllocated) -> list[str]:
    return [each.id for each in movements]


# --- a movement that the tables refuse -------------------------------------------------------------------------------


def beyond_the_limit(desk: Desk) -> list[MovementAllocated]:
    """50 good movements, and among them one that makes a bin hold more than it may; two come after that one there."""
    desk.change(ROOM_FOR_A_THOUSAND)
    receiving = Receiving()
    desk.deliver(receiving.movement(leg(999, 1)))
    others = [receiving.movement(leg(3, 10, item="soap", warehouse=place)) for place in PLACES]
    bad = receiving.movement(leg(2, 1))
    behind = [receiving.movement(leg(1, 1)), receiving.movement(leg(1, 1), leg(1, 1, item="soap", warehouse="w0"))]
    more = [receiving.movement(leg(-1, item="soap", warehouse=place)) for place in PLACES[1:]]
    more += [receiving.movement(leg(1, 1, item=f"item {number}")) for number in range(9)]
    desk.deliver(*others, bad, *behind, *more)
    return [bad, *behind]


def test_a_movement_that_the_tables_refuse_stops_its_bin_and_nothing_else(desk: Desk) -> None:
    held_up = beyond_the_limit(desk)
    (stuck,) = desk.rows("SELECT item, warehouse, id, reason, waiting FROM ledger.stuck_bins")
    assert stuck == ("tea", "north", held_up[0].id, "unprocessable", 3)
    assert desk.ids("ledger.waiting") == numbered(*held_up)
    assert len(desk.ids("ledger.posted")) == 49
    assert desk.ids("ledger.posted") == desk.ids("accounting.movement")
    assert desk.rows("SELECT FROM ledger.parked") == []
    assert desk.works.broker.depth("ledger") == 0


def test_redriven_with_its_cause_still_there_it_is_stuck_as_before(desk: Desk) -> None:
    held_up = beyond_the_limit(desk)
    before = desk.rows("SELECT item, warehouse, id, error, waiting FROM ledger.stuck_bins")
    assert desk.told("stuck", "redrive", "--all") == "1 bin tried again; 1 stuck now\n"
    assert desk.rows("SELECT item, warehouse, id, error, waiting FROM ledger.stuck_bins") == before
    assert desk.ids("ledger.waiting") == numbered(*held_up)


def test_redriven_when_its_cause_is_gone_all_is_posted_in_the_order_of_the_stamps(desk: Desk) -> None:
    held_up = beyond_the_limit(desk)
    desk.change("ALTER TABLE ledger.bin DROP CONSTRAINT room_for_a_thousand")
    assert desk.told("stuck", "redrive", "--all") == "1 bin tried again; 0 stuck now\n"
    assert desk.stamps("tea", "north") == [(1, "M1"), *enumerate(numbered(*held_up), start=2)]
    assert desk.rows("SELECT FROM ledger.waiting") == []
    assert desk.rows("SELECT FROM ledger.outbox") == []
    assert len(desk.ids("accounting.movement")) == 52
    assert desk.ids("accounting.movement") == desk.ids("ledger.movement")


def test_nothing_is_tried_again_before_an_operator_says_so(desk: Desk) -> None:
    beyond_the_limit(desk)
    desk.change("ALTER TABLE ledger.bin DROP CONSTRAINT room_for_a_thousand")
    desk.works.settle()
    assert len(desk.rows("SELECT FROM ledger.stuck")) == 1


def test_a_stuck_bin_is_shown_with_its_movement_its_error_and_who_waits_behind_it(desk: Desk) -> None:
    bad, behind, last = beyond_the_limit(desk)
    (listed,) = json.loads(desk.told("stuck", "list", "--format", "json"))
    assert (listed["item"], listed["warehouse"], listed["id"], listed["waiting"]) == ("tea", "north", bad.id, 3)
    told = desk.told("stuck", "show", "tea", "north")
    assert f"movement {SOURCE} {bad.id}\n  material_receipt" in told
    assert "line 1: +2 tea in north, amount 1 EUR" in told
    assert "room_for_a_thousand" in told
    assert "it has stamp 2, the last one that was applied is 1" in told
    assert f"behind it 3: {SOURCE} {behind.id}\n  behind it 4: {SOURCE} {last.id}" in told


# --- a waiting movement that turns out to be bad ---------------------------------------------------------------------


def bad_waiter(desk: Desk) -> tuple[MovementAllocated, list[MovementAllocated]]:
    """20 movements in bins of their own wait for one that comes into all of these; one of the 20 is bad."""
    desk.change(ROOM_FOR_A_THOUSAND)
    receiving = Receiving()
    opening = receiving.movement(*(leg(3, 10, warehouse=place) for place in PLACES))
    waiters = [receiving.movement(leg(2_000 if place == "w7" else -1, 1, warehouse=place)) for place in PLACES]
    after = receiving.movement(leg(-1, warehouse="w7"))
    desk.deliver(*waiters, after)
    assert desk.ids("ledger.waiting") == numbered(*waiters, after)
    desk.deliver(opening)
    return waiters[7], [each for each in [opening, *waiters] if each is not waiters[7]]


def test_a_bad_movement_among_those_that_are_released_is_isolated(desk: Desk) -> None:
    bad, good = bad_waiter(desk)
    assert desk.rows("SELECT item, warehouse, id, waiting FROM ledger.stuck_bins") == [("tea", "w7", bad.id, 2)]
    assert desk.ids("ledger.posted") == numbered(*good)
    assert desk.ids("accounting.movement") == numbered(*good)


def test_a_waiting_movement_that_was_put_right_is_posted_and_then_those_behind_it(desk: Desk) -> None:
    bad, _ = bad_waiter(desk)
    body = write(msgspec.structs.replace(bad, legs=[leg(2, 1, warehouse="w7")]))
    desk.change("UPDATE ledger.waiting SET body = :body WHERE id = :name", body=body, name=bad.id)
    assert desk.told("stuck", "redrive", "tea", "w7") == "1 bin tried again; 0 stuck now\n"
    assert desk.stamps("tea", "w7") == [(1, "M1"), (2, bad.id), (3, "M22")]
    assert len(desk.ids("accounting.movement")) == 22


def test_one_bin_of_a_movement_that_is_stuck_in_two_redrives_it_in_both(desk: Desk) -> None:
    receiving = Receiving()
    opening = receiving.movement(leg(3, 10, warehouse="a"))
    bad = too_fine(receiving.movement(*transfer(1, "a", "b"), purpose="material_transfer"))
    desk.deliver(opening, bad)
    assert desk.rows("SELECT warehouse FROM ledger.stuck_bins ORDER BY 1") == [("a",), ("b",)]
    desk.change("UPDATE ledger.waiting SET body = :body", body=write(msgspec.structs.replace(bad, digits=2)))
    assert desk.told("stuck", "redrive", "tea", "b") == "2 bins tried again; 0 stuck now\n"
    assert desk.ids("accounting.movement") == numbered(opening, bad)


def test_two_operators_who_redrive_at_once_loosen_each_bin_once(desk: Desk) -> None:
    receiving = Receiving()
    bad = [too_fine(receiving.movement(leg(3, 10, warehouse=place), leg(-1, warehouse=place))) for place in PLACES]
    desk.deliver(*bad)
    keys = [(each.source, each.id) for each in bad]
    loosened: list[int] = []

    def redrive(order: Callable[[Any], Any]) -> Callable[[Any], Handled]:
        def step(connection: Any) -> Handled:
            loosened.append(loosen(connection, list(order(bins_stuck_by(connection, keys)))))
            return Handled()

        return step

    with ThreadPoolExecutor(2) as pool:
        first = Session(desk.works.engine, redrive(list), pool).hold()
        second = Session(desk.works.engine, redrive(reversed), pool)
        until_blocked(desk.works.engine)
        first.commit()
        second.hold().commit()
    assert loosened == [20, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["redrive"], "say which bin"),
        (["redrive", "tea"], "say which bin"),
        (["redrive", "tea", "north", "--all"], "say which bin"),
        (["show", "tea", "nowhere"], "this bin is not stuck"),
    ],
)
def test_a_bin_that_is_not_named_well_is_said_so(desk: Desk, arguments: list[str], message: str) -> None:
    assert message in str(commands.invoke("stuck", *arguments, env=desk.env).exception)


def test_a_bin_that_is_stuck_in_two_companies_needs_its_company_named(desk: Desk) -> None:
    for company in ("shop", "clinic"):
        bad = Receiving(company, source=f"till-{company}").movement(leg(3, 10), leg(-1))
        desk.deliver(too_fine(bad))
    refused = commands.invoke("stuck", "redrive", "tea", "north", env=desk.env)
    assert "say --company" in str(refused.exception)
    assert len(desk.rows("SELECT FROM ledger.stuck")) == 2
    desk.change("UPDATE ledger.waiting SET body = convert_to(replace(convert_from(body, 'UTF8'), :a, :b), 'UTF8')",
                a='"digits":4', b='"digits":2')  # fmt: skip
    assert desk.told("stuck", "redrive", "tea", "north", "--company", "clinic") == "1 bin tried again; 1 stuck now\n"
    assert desk.rows("SELECT company FROM ledger.stuck") == [("shop",)]


# --- a stamp that another movement has -------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["posted", "waiting"])
def test_a_movement_whose_stamp_another_one_has_is_parked_and_nothing_else_is_harmed(desk: Desk, other: str) -> None:
    receiving = Receiving()
    first, second, third = (receiving.movement(leg(1, 1)) for _ in range(3))
    desk.deliver(first, *([second] if other == "posted" else [third]))
    intruder = receiving.movement(leg(5, 5))
    taken = second if other == "posted" else third
    intruder = msgspec.structs.replace(intruder, stamps=taken.stamps)
    neighbours = [receiving.movement(leg(1, 1, item="soap", warehouse=place)) for place in PLACES]
    desk.deliver(*neighbours[:10], intruder, *neighbours[10:])

    ((reason, name, body),) = desk.rows("SELECT reason, id, body FROM ledger.parked")
    assert (reason, name, bytes(body)) == ("invariant_broken", intruder.id, write(intruder))
    assert desk.rows("SELECT FROM ledger.stuck") == []
    desk.deliver(second, third)
    assert desk.ids("ledger.posted") == sorted(numbered(first, second, third, *neighbours), key=lambda m: int(m[1:]))
    assert desk.stamps("tea", "north") == [(1, "M1"), (2, "M2"), (3, "M3")]
    assert desk.ids("accounting.movement") == desk.ids("ledger.posted")
    assert desk.rows("SELECT FROM ledger.movement WHERE outputs IS NULL") == []


# --- accounting ------------------------------------------------------------------------------------------------------


def test_what_cannot_be_booked_is_parked_and_booked_when_it_was_put_right_and_redriven(desk: Desk) -> None:
    receiving = Receiving()
    movements = posted([receiving.movement(leg(1, 1)) for _ in range(20)])
    right, wrong = movements[7], msgspec.structs.replace(movements[7], accounts={})
    desk.send("accounting", MOVEMENT_POSTED, [*movements[:7], wrong, *movements[8:]])
    ((number, reason, name),) = desk.rows("SELECT cast(parked_id AS text), reason, id FROM accounting.parked")
    assert (reason, name) == ("invariant_broken", wrong.id)
    assert len(desk.ids("accounting.movement")) == 19

    why = ("--actor", "ann", "--reason", "the account was missing")
    assert "replaced" in desk.told("parked", "edit", number[:8], "-", *why, given=write(right))
    assert desk.told("parked", "redrive", number[:8]) == "1 sent again to accounting\n0 parked now\n"
    assert desk.rows("SELECT count(*) FROM accounting.journal_entry") == [(20,)]
    ((actor, because, before),) = desk.rows("SELECT actor, because, body_before FROM accounting.parked_edit")
    assert (actor, because, bytes(before)) == ("ann", "the account was missing", write(wrong))
