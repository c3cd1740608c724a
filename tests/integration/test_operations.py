"""What operators do with what was parked or refused, and what they see at a glance: by the command, on a real
PostgreSQL, inside this process or over RabbitMQ.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from services.desk.listening import Listener
from services.desk.pipeline import Pipeline
from services.desk.redriving import PORTION, Pace, redrive
from services.desk.store import is_revaluing
from services.desk.working import Works
from shared.broker import Broker, ConfirmTimeout, Message, Publisher, connect
from shared.broker.topology import INTAKE, LEDGER, UNROUTED, WORK
from shared.contracts.outcome import OutcomeAccepted
from shared.db import open_engine, run, transaction
from shared.errors import Retryable, StockbookError
from shared.parked import TOO_LARGE, Choice, Parked, park, read_parked
from shared.settings import Settings
from tests import commands
from tests.builders import rows

REQUESTED = "movement.requested.v1"
NOW = datetime.now(UTC).isoformat()
WHO = ("--actor", "ann", "--reason", "the till was wrong")
QUICK = Settings(pause=0.01, sweep_every=0.0)


def movement(name: str, purpose: str, quantity: int, place: str = "target", **more: object) -> dict[str, object]:
    line = {"item": "tea", "quantity": str(quantity), place: "north", **({"rate": "2"} if place == "target" else {})}
    return {"id": name, "company": "shop", "purpose": purpose, "posting_at": NOW, "lines": [line], **more}


def receipt(name: str, quantity: int = 10) -> dict[str, object]:
    return movement(name, "purchase_receipt", quantity)


def delivery(name: str, quantity: int = 1) -> dict[str, object]:
    return movement(name, "delivery", quantity, "source")


def event(kind: str, data: object, name: str = "e1") -> bytes:
    return json.dumps({"specversion": "1.0", "id": name, "source": "till", "type": kind, "data": data}).encode()


def file_of(*movements: object) -> str:
    """The masters and these movements, an event a line, as a file to publish."""
    masters = {
        "company.defined.v1": {"company": "shop", "currency": "EUR"},
        "warehouse.defined.v1": {"company": "shop", "warehouse": "north"},
        "item.defined.v1": {"company": "shop", "item": "tea"},
    }
    events = [event(kind, data, kind) for kind, data in masters.items()]
    events += [event(REQUESTED, each) for each in movements]
    return "\n".join(each.decode() for each in events)


@dataclass
class Desk:
    """A database, a broker, and the command that goes to both."""

    engine: Engine
    broker: Broker
    env: dict[str, str]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return rows(self.engine, statement)

    def change(self, statement: str) -> None:
        with transaction(self.engine) as connection:
            run(connection, statement)

    def park(self, service: str, *messages: Parked) -> list[str]:
        """Park messages; their ids, in the same order."""
        with transaction(self.engine) as connection:
            park(connection, service, messages)
        return [str(each.parked_id) for each in messages]

    def parked(self, service: str) -> set[tuple[Any, ...]]:
        statement = f"SELECT parked_id, reason, kind, source, id, body, times FROM {service}.parked"
        return {(*about, bytes(body), times) for *about, body, times in self.rows(statement)}

    def send(self, exchange: str, key: str, *bodies: bytes) -> None:
        publisher = self.broker.publisher()
        publisher.publish([Message(exchange, key, body, str(number)) for number, body in enumerate(bodies)])
        publisher.close()

    def told(self, *arguments: str, given: str | bytes | None = None) -> str:
        return commands.told(*arguments, env=self.env, given=given)

    def failed(self, *arguments: str, given: str | bytes | None = None) -> str:
        """What the command says when it refuses."""
        done = commands.invoke(*arguments, env=self.env, given=given)
        assert isinstance(done.exception, StockbookError), done.output
        return str(done.exception)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.told(*arguments, "--format", "json"))
        return found


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def desk(database: str, engine: Engine) -> Desk:
    """Nobody else takes part: the command plays the services itself, and the broker here stands apart from its own."""
    broker = connect(None)
    broker.declare()
    return Desk(engine, broker, commands.environment(STOCKBOOK_DATABASE_URL=database))


@pytest.fixture
def rabbit(database: str, engine: Engine, vhost_url: str) -> Desk:
    """The same over RabbitMQ, where others work or, unless a test makes them, nobody does."""
    env = commands.environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_BROKER_URL=vhost_url)
    return Desk(engine, connect(vhost_url), env)


@contextmanager
def workers(desk: Desk) -> Iterator[None]:
    """The three services at work over RabbitMQ, in a thread of their own."""
    stop, ready = threading.Event(), threading.Event()
    url, broker_url = desk.env["STOCKBOOK_DATABASE_URL"], desk.env["STOCKBOOK_BROKER_URL"]

    def work() -> None:
        with Pipeline(url, broker_url, settings=QUICK) as pipeline:
            ready.set()
            while not stop.is_set():
                pipeline.turn(0.02)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            assert ready.wait(10)
            yield
        finally:
            stop.set()
            done.result(10)


def part(name: str, reason: str = "unprocessable", kind: str = REQUESTED, source: str = "till") -> Parked:
    """A movement that stands parked, as it came."""
    return Parked(reason, "why", json.dumps(receipt(name)).encode(), kind, source, name)


# --- parked: sending again -------------------------------------------------------------------------------------------


def test_whatever_was_parked_comes_back_to_where_it_was_parked_as_what_it_was(desk: Desk, database: str) -> None:
    lone = b'{"id": "M9", "purpose": 5}'
    with Pipeline(database, settings=QUICK) as pipeline:
        inside = Desk(desk.engine, pipeline.broker, {})
        desk.told("publish", "-", "--source", "till", given=file_of(receipt("M1")))
        inside.send(INTAKE, f"{REQUESTED}.p07", b"no json", event("movement.requested.v9", {}), event(REQUESTED, 7))
        inside.send(INTAKE, REQUESTED, event(REQUESTED, {"movements": [receipt("M2"), {"id": 5}, receipt("M1", 11)]}))
        inside.send(INTAKE, "company.defined.v1", event("company.defined.v1", {"company": "a"}, "company.defined.v1"))
        inside.send(WORK, LEDGER, b"[]", event("movement.allocated.v1", {"movements": [{"id": 5}]}))
        inside.send(WORK, "accounting", event("movement.posted.v1", {"movements": [json.loads(lone)]}))
        Works(pipeline.engine, pipeline.broker, pipeline).settle()
    before = {service: desk.parked(service) for service in ("receiving", "ledger", "accounting")}
    assert sorted(each[1] for each in before["receiving"]) == [
        *["conflicting_duplicate"] * 2,
        *["malformed"] * 3,
        "unknown_type",
    ]
    assert {service: len(found) for service, found in before.items()} == {"receiving": 6, "ledger": 2, "accounting": 1}

    told = desk.told("parked", "redrive", "--all").splitlines()
    assert told == ["6 sent again to receiving", "2 sent again to ledger", "1 sent again to accounting", "9 parked now"]
    assert {service: desk.parked(service) for service in before} == before


def test_what_can_be_worked_on_by_now_is_accepted_posted_and_booked_once(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of())
    desk.park("receiving", part("M1"), part("M2"))
    assert desk.told("parked", "redrive", "--service", "receiving") == "2 sent again to receiving\n0 parked now\n"
    assert desk.rows("SELECT source, id FROM accounting.journal_entry ORDER BY id") == [("till", "M1"), ("till", "M2")]


def test_only_what_is_chosen_is_sent_and_no_more_than_the_limit(desk: Desk) -> None:
    mine = [part("M1"), part("M2", source="shop"), part("M3", reason="invariant_broken"), part("M4", kind="x.v1")]
    desk.park("receiving", *mine)
    desk.park("ledger", part("M5", kind="movement.allocated.v1"))
    desk.change("UPDATE receiving.parked SET first_seen = now() - interval '2 hours' WHERE id IN ('M1', 'M3')")

    def chosen(*options: str) -> list[str]:
        return sorted(each["movement"] for each in desk.listed("parked", "list", *options))

    assert chosen() == ["M1", "M2", "M3", "M4", "M5"]
    assert chosen("--service", "ledger") == ["M5"]
    assert chosen("--source", "shop") == ["M2"]
    assert chosen("--reason", "invariant_broken") == ["M3"]
    assert chosen("--type", "x.v1") == ["M4"]
    assert chosen("--older-than", "90m") == ["M1", "M3"]
    assert chosen("--older-than", "90m", "--reason", "unprocessable") == ["M1"]
    assert chosen("--older-than", "3h") == []

    def sent(*options: str) -> str:
        return desk.told("parked", "redrive", *options).splitlines()[0]

    assert sent("--older-than", "3h") == "nothing to send again"
    assert sent("--older-than", "90m", "--limit", "1") == "1 sent again to receiving"
    assert sent("--source", "shop") == "1 sent again to receiving"
    assert len(chosen("--older-than", "90m")) == 1


def test_a_dry_run_says_what_would_go_where_and_sends_nothing(rabbit: Desk) -> None:
    rabbit.broker.declare()
    rabbit.park("receiving", part("M1"))
    rabbit.park("ledger", part("M2", kind="movement.allocated.v1"))
    told = rabbit.told("parked", "redrive", "--all", "--dry-run")
    assert [name in told for name in ("M1", "stock.intake", REQUESTED, "M2", "stock.work")] == [True] * 5
    assert [rabbit.broker.depth(name) for name in ("receiving", LEDGER)] == [0, 0]
    assert len(rabbit.parked("receiving")) == 1


def test_redriving_everything_has_to_be_said(desk: Desk) -> None:
    desk.park("receiving", part("M1"))
    assert "say which" in desk.failed("parked", "redrive")
    assert len(desk.parked("receiving")) == 1


def test_a_message_is_named_by_how_its_id_begins_if_that_is_clear(desk: Desk) -> None:
    ids = desk.park("receiving", *(part(f"M{number}") for number in range(20)))
    assert "begin so" in desk.failed("parked", "show", "")
    assert "no such parked message" in desk.failed("parked", "show", "not-there")
    assert "no such parked message" in desk.failed("parked", "redrive", ids[0], "%")
    assert desk.told("parked", "show", ids[3]).startswith(ids[3])
    desk.told("parked", "redrive", ids[3], ids[5])
    assert len(desk.parked("receiving")) == 18
    # The same bytes in two services have the same id.
    nothing = Parked("malformed", "", b"[]")
    (number,) = {*desk.park("ledger", nothing), *desk.park("accounting", nothing)}
    assert "begin so" in desk.failed("parked", "discard", number, *WHO)
    desk.told("parked", "discard", number, *WHO, "--service", "ledger")
    assert [each["service"] for each in desk.listed("parked", "list", "--discarded")] == ["ledger"]


def test_what_workers_park_again_at_once_is_neither_lost_nor_sent_without_end(rabbit: Desk) -> None:
    bodies = [b'{"id": %d}' % number for number in range(250)]
    rabbit.park("receiving", *(Parked("malformed", "why", body, REQUESTED, "till") for body in bodies))
    with workers(rabbit):
        assert rabbit.told("parked", "redrive", "--all") == "250 sent again to receiving\n"
        until(lambda: rabbit.rows("SELECT count(*), max(times) FROM receiving.parked") == [(250, 1)])
        until(lambda: rabbit.broker.depth("receiving") == 0)
    assert sorted(bytes(body) for (body,) in rabbit.rows("SELECT body FROM receiving.parked")) == sorted(bodies)


class Unsure:
    """A publisher whose first confirms do not come; `look` is called while a message has not been confirmed."""

    def __init__(self, publisher: Publisher, failures: int, look: Callable[[], object] = lambda: None) -> None:
        self.failures = failures
        self.seen: list[object] = []
        self._publisher = publisher
        self._look = look

    def publish(self, messages: Sequence[Message]) -> None:
        self.seen.append(self._look())
        self._publisher.publish(messages)
        self.failures -= 1
        if self.failures >= 0:
            raise ConfirmTimeout("the broker does not confirm")

    def beat(self) -> None: ...

    def close(self) -> None: ...


def test_two_operators_who_redrive_at_once_send_each_message_once(rabbit: Desk) -> None:
    rabbit.broker.declare()
    rabbit.park("receiving", *(part(f"M{number}") for number in range(450)))
    both = threading.Barrier(2)
    with transaction(rabbit.engine) as connection:
        everything = Choice(until=read_parked(connection, "receiving", Choice(), 1)[0].last_seen)

    def operate() -> int:
        first = iter([True])
        real = connect(rabbit.env["STOCKBOOK_BROKER_URL"]).publisher()
        publisher = Unsure(real, 0, lambda: next(first, False) and both.wait(10))
        sent = sum(map(len, redrive(rabbit.engine, publisher, "receiving", everything, Pace())))
        real.close()
        return sent

    with ThreadPoolExecutor(2) as pool:
        sent = [each.result(30) for each in [pool.submit(operate) for _ in range(2)]]
    assert sum(sent) == 450
    assert min(sent) >= PORTION
    assert rabbit.parked("receiving") == set()
    consumer = rabbit.broker.consumer("receiving", 0)
    bodies = [each.body for each in consumer.drain(1_000, 2.0, 0.5)]
    consumer.close()
    assert len(bodies) == len(set(bodies)) == 450


def test_a_message_leaves_the_list_when_it_is_confirmed_and_not_before(desk: Desk) -> None:
    desk.park("ledger", part("M1"), part("M2"))
    other = open_engine(desk.env["STOCKBOOK_DATABASE_URL"])
    publisher = Unsure(desk.broker.publisher(), 1, lambda: rows(other, "SELECT count(*) FROM ledger.parked"))
    assert [len(part) for part in redrive(desk.engine, publisher, "ledger", Choice(), Pace())] == [2]
    other.dispose()
    assert publisher.seen == [[(2,)], [(2,)]]
    assert desk.parked("ledger") == set()
    assert desk.broker.depth(LEDGER) == 4  # at least once: what was not confirmed was there all the same


def test_a_broker_that_never_confirms_costs_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.desk.redriving.PAUSES", (0.0, 0.0))
    desk.park("ledger", part("M1"))
    before = desk.parked("ledger")
    with pytest.raises(Retryable):
        list(redrive(desk.engine, Unsure(desk.broker.publisher(), 99), "ledger", Choice(), Pace()))
    assert desk.parked("ledger") == before


def test_a_rate_spreads_the_messages_over_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("services.desk.redriving.time.sleep", pauses.append)
    desk.park("ledger", *(part(f"M{number}") for number in range(5)))
    sent = [len(part) for part in redrive(desk.engine, desk.broker.publisher(), "ledger", Choice(), Pace(rate=2.0))]
    assert sent == [2, 2, 1]
    assert [round(pause) for pause in pauses] == [1, 1, 0]


# --- parked: putting right, discarding -------------------------------------------------------------------------------


def test_a_body_is_replaced_only_by_one_that_can_be_worked_on_and_by_somebody_with_a_reason(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of())
    (number,) = desk.park("receiving", Parked("malformed", "why", b'{"id": 5}', REQUESTED, "till"))
    right = json.dumps(receipt("M5"))
    assert "cannot be worked on either" in desk.failed("parked", "edit", number, "-", *WHO, given='{"id": "5"}')
    nobody = ("--actor", " ", "--reason", "because")
    assert "who does it and why" in desk.failed("parked", "edit", number, "-", *nobody, given=right)
    assert commands.invoke("parked", "edit", number, "-", "--actor", "ann", env=desk.env, given=right).exit_code == 2
    assert desk.told("parked", "show", number, "--body") == '{"id": 5}'

    desk.told("parked", "edit", number, "-", *WHO, given=right)
    told = desk.told("parked", "show", number)
    assert "by ann: the till was wrong" in told
    assert '"id": 5' in told
    assert desk.told("parked", "show", number, "--body") == right
    desk.told("parked", "redrive", number)
    assert desk.rows("SELECT source, id FROM accounting.movement") == [("till", "M5")]
    assert desk.rows("SELECT actor, because FROM receiving.parked_edit") == [("ann", "the till was wrong")]


@pytest.mark.parametrize("service", ["receiving", "ledger", "accounting"])
@pytest.mark.parametrize("change", ["UPDATE {} SET actor = 'bob'", "DELETE FROM {}", "TRUNCATE {}"])
def test_who_edited_what_can_never_be_changed(desk: Desk, service: str, change: str) -> None:
    with pytest.raises(Exception, match="append-only"):
        desk.change(change.format(f"{service}.parked_edit"))


def test_a_message_of_which_only_the_beginning_was_kept_is_not_sent_before_it_was_replaced(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of())
    (number,) = desk.park("receiving", Parked(TOO_LARGE, "17000000 bytes", b'{"specversion": "1.0", "id'))
    assert "only its beginning was kept" in desk.told("parked", "redrive", "--all", "--dry-run")
    assert desk.told("parked", "redrive", number) == "nothing to send again\n"
    desk.told("parked", "edit", number, "-", *WHO, given=event(REQUESTED, receipt("M1")))
    assert desk.told("parked", "redrive", number) == "1 sent again to receiving\n0 parked now\n"
    assert desk.rows("SELECT id FROM accounting.movement") == [("M1",)]


def test_what_is_discarded_is_hidden_kept_and_never_sent(desk: Desk) -> None:
    number, _ = desk.park("receiving", part("M1"), part("M2"))
    desk.told("parked", "discard", number, *WHO)
    assert [each["movement"] for each in desk.listed("parked", "list")] == ["M2"]
    (hidden,) = desk.listed("parked", "list", "--discarded")
    assert (hidden["movement"], hidden["actor"], hidden["because"]) == ("M1", "ann", "the till was wrong")
    assert desk.told("parked", "redrive", number) == "nothing to send again\n"
    desk.told("parked", "redrive", "--source", "till")
    assert [str(each[0]) for each in desk.parked("receiving")] == [number]
    assert "discarded before" in desk.failed("parked", "discard", number, *WHO)
    assert "it was discarded" in desk.failed("parked", "edit", number, "-", *WHO, given=part("M1").body)


def test_what_was_discarded_stays_hidden_when_the_same_comes_again(desk: Desk) -> None:
    (number,) = desk.park("receiving", part("M1"))
    desk.told("parked", "discard", number, *WHO)
    desk.park("receiving", part("M1"))
    assert desk.listed("parked", "list") == []
    assert [each["times"] for each in desk.listed("parked", "list", "--discarded")] == [2]


# --- rejected --------------------------------------------------------------------------------------------------------


def refused(desk: Desk) -> None:
    """Two deliveries that were refused for want of stock, and one for want of an item; then the stock comes."""
    unknown = json.loads(json.dumps(delivery("D3")).replace("tea", "nut"))
    given = file_of(delivery("D1", 3), delivery("D2", 4), unknown, receipt("R1", 5))
    assert "1 accepted" not in desk.told("publish", "-", given=given)


def test_refused_movements_are_listed_with_their_codes_and_shown_with_their_facts(desk: Desk) -> None:
    refused(desk)
    assert [(each["id"], each["codes"], each["attempt"]) for each in desk.listed("rejected", "list")] == [
        ("D1", "insufficient_stock", 1),
        ("D2", "insufficient_stock", 1),
        ("D3", "unknown_item", 1),
    ]
    assert [each["id"] for each in desk.listed("rejected", "list", "--code", "unknown_item")] == ["D3"]
    assert desk.listed("rejected", "list", "--source", "desk") == []
    assert desk.listed("rejected", "list", "--older-than", "1h") == []
    told = desk.told("rejected", "show", "till", "D1")
    assert "insufficient_stock in line 1: item tea, warehouse north, wanted 3, available 0" in told
    assert '"purpose": "delivery"' in told
    assert "no such movement" in desk.failed("rejected", "show", "till", "R1")


def test_a_refused_movement_is_judged_again_and_its_outcome_carries_the_next_attempt(desk: Desk) -> None:
    refused(desk)
    told = desk.told("rejected", "retry", "till", "D1")
    assert told == "accepted till D1\n  3 tea in north\n1 of 1 judged again\n"
    assert desk.rows("SELECT outcome ->> 'attempt' FROM receiving.outcome WHERE id = 'D1'") == [("2",)]
    assert desk.rows("SELECT id FROM accounting.movement ORDER BY id") == [("D1",), ("R1",)]


def test_all_that_was_refused_for_one_reason_is_judged_again(desk: Desk) -> None:
    refused(desk)
    before = desk.listed("rejected", "list")
    assert "D2" in desk.told("rejected", "retry", "--code", "insufficient_stock", "--dry-run")
    assert desk.listed("rejected", "list") == before
    told = desk.told("rejected", "retry", "--code", "insufficient_stock")
    assert "accepted till D1" in told
    assert "rejected till D2\n  insufficient_stock in line 1: item tea, warehouse north, wanted 4, available 2" in told
    assert told.endswith("2 of 2 judged again\n")
    assert [(each["id"], each["attempt"]) for each in desk.listed("rejected", "list")] == [("D3", 1), ("D2", 2)]


def test_with_nothing_set_up_a_refused_movement_is_judged_again_in_the_embedded_database() -> None:
    with commands.data_folder() as folder:
        env = commands.environment(STOCKBOOK_DATA=str(folder / "data"))
        given = file_of(delivery("D1", 3), receipt("R1"))
        assert commands.told("publish", "-", env=env, given=given).endswith("4 accepted, 1 rejected\n")
        told = commands.told("rejected", "retry", "till", "D1", env=env)
        assert told == "accepted till D1\n  3 tea in north\n1 of 1 judged again\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which"),
        (["till"], "SOURCE ID"),
        (["till", "D1", "--source", "shop"], "SOURCE ID"),
        (["--older-than", "soon"], "an age looks like"),
    ],
)
def test_what_is_to_be_judged_again_has_to_be_named(desk: Desk, arguments: list[str], message: str) -> None:
    assert message in desk.failed("rejected", "retry", *arguments)


def test_workers_elsewhere_judge_again_what_two_operators_asked_for_and_tell_it_once(rabbit: Desk) -> None:
    with workers(rabbit):
        rabbit.told("publish", "-", given=file_of(delivery("D1"), receipt("R1")))
        until(lambda: rabbit.rows("SELECT count(*) FROM receiving.movement") == [(2,)])
    listener = Listener(rabbit.broker, ["till"])
    asked = [rabbit.told("rejected", "retry", "till", "D1") for _ in range(2)]
    assert asked == ["1 of 1 judged again\n", "0 of 1 judged again\n"]
    assert [each["state"] for each in rabbit.listed("rejected", "list")] == ["is being judged again"]
    with workers(rabbit):
        until(lambda: rabbit.rows("SELECT count(*) FROM accounting.movement") == [(2,)])
        heard = listener.hear(5.0)
    heard += listener.hear(0.2)
    listener.close()
    (outcome,) = heard
    assert isinstance(outcome, OutcomeAccepted)
    assert (outcome.id, outcome.attempt) == ("D1", 2)


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that others do."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if holds():
            return
        pause.wait(0.02)
    raise AssertionError(f"not within {seconds} s")


# --- status ----------------------------------------------------------------------------------------------------------


def status(desk: Desk, *options: str) -> tuple[dict[str, Any], int]:
    done = commands.invoke("status", "--format", "json", *options, env=desk.env)
    return json.loads(done.stdout), done.exit_code


def test_a_day_that_went_well_needs_no_person(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of(receipt("R1"), delivery("D1")))
    told, code = status(desk)
    assert (told["needs_a_person"], code) == ([], 0)
    assert told["newest"]["accepted"] == told["newest"]["posted"] == told["newest"]["booked"]
    shown = desk.told("status")
    assert "nothing needs a person" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_the_status_counts_what_waits_what_is_stuck_and_what_lies_in_the_queues(rabbit: Desk) -> None:
    with workers(rabbit):
        rabbit.told("publish", "-", given=file_of(receipt("R1")))
        until(lambda: rabbit.rows("SELECT count(*) FROM accounting.movement") == [(1,)])
    assert status(rabbit)[1] == 0
    rabbit.send(INTAKE, "nobody.knows.v1", b"{}", b"{}")
    until(lambda: rabbit.broker.depth(UNROUTED) == 2)
    rabbit.send(WORK, LEDGER, b"{}")
    rabbit.park("ledger", part("M1"), part("M2"))
    rabbit.told("parked", "discard", rabbit.park("ledger", part("M3"))[0], *WHO)
    rabbit.change("INSERT INTO ledger.stuck VALUES ('shop', 'tea', 'north', 'till', 'M9', 'unprocessable', 'why')")
    rabbit.change("INSERT INTO ledger.outbox VALUES ('till', 'M8', 'kind', '')")
    rabbit.change("DELETE FROM accounting.movement")
    rabbit.change("UPDATE receiving.movement SET recorded_at = now() - interval '1 hour'")
    rabbit.change("UPDATE ledger.movement SET recorded_at = now() - interval '1 hour'")
    told, code = status(rabbit)
    assert code == 3
    assert told["queues"]["depths"] | {"stock.unrouted": 2, "ledger": 1} == told["queues"]["depths"]
    assert [(each["service"], each["reason"], each["count"]) for each in told["parked"]] == [
        ("ledger", "unprocessable", 2)
    ]
    assert (told["stuck_bins"]["count"], told["outbox"]) == (
        1,
        {
            "receiving": 0,
            "ledger": 1,
            "accounting": 0,
            "aftercare": 0,
        },
    )
    assert (told["not_posted"]["count"], told["not_booked"]["count"]) == (0, 1)
    assert [need.split()[0:2] for need in told["needs_a_person"]] == [
        ["2", "in"],
        ["1", "stuck"],
        ["2", "parked"],
        ["1", "posted"],
    ]
    assert status(rabbit, "--late", "2h")[0]["needs_a_person"] == told["needs_a_person"][:3]
    assert status(rabbit, "--within", "30m")[0]["not_booked"]["count"] == 0


def test_a_movement_that_the_ledger_did_not_get_is_late_after_a_while(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of(receipt("R1"), receipt("R2")))
    desk.change("DELETE FROM ledger.movement WHERE id = 'R2'")
    told, code = status(desk)
    assert (told["not_posted"]["count"], code) == (1, 0)
    told, code = status(desk, "--late", "0s")
    assert (len(told["needs_a_person"]), code) == (1, 3)
    assert "1 accepted but not posted" in told["needs_a_person"][0]


_DIRTY = """
INSERT INTO ledger.dirty (company, item, warehouse, from_at, from_stamp, recorded_at)
VALUES ('shop', 'tea', 'north', now() - interval '9 days', 0, now() - interval '4 minutes'),
    ('shop', 'tea', 'north', now() - interval '8 days', 3, now() - interval '2 minutes'),
    ('shop', 'tea', 'south', now() - interval '7 days', 1, now() - interval '1 minute')
"""
_REVALUED = """
INSERT INTO ledger.revaluation (source, id, company, item, warehouse, number, recorded_at, outputs)
VALUES ('ledger', 'V1', 'shop', 'tea', 'north', 1, now() - interval '3 minutes', '')
"""


def test_bins_to_be_valued_anew_and_revaluations_on_their_way_are_work_until_they_take_too_long(desk: Desk) -> None:
    desk.told("publish", "-", given=file_of(receipt("R1")))
    desk.change(_DIRTY)
    desk.change(_REVALUED)
    told, code = status(desk)
    assert (told["dirty_bins"]["count"], told["not_booked"]["count"], code) == (2, 1, 0)
    told, code = status(desk, "--late", "150s")
    assert code == 3
    assert [need.split(",")[0] for need in told["needs_a_person"]] == [
        "1 posted but not booked",
        "2 to be valued anew (stockbook report dirty-bins)",
    ]
    assert [(row["warehouse"], row["since"] > row["from_at"]) for row in desk.listed("report", "dirty-bins")] == [
        ("north", True),
        ("south", True),
    ]


_BOOKED = "INSERT INTO accounting.movement (source, id, company, recorded_at) VALUES ('ledger', 'V1', 'shop', now())"


def test_the_services_rest_when_no_bin_is_dirty_and_what_was_revalued_is_booked(desk: Desk) -> None:
    def goes_on() -> bool:
        with transaction(desk.engine) as connection:
            return is_revaluing(connection)

    assert not goes_on()
    desk.change(_REVALUED)
    assert goes_on()
    desk.change(_BOOKED)
    assert not goes_on()
    desk.change(_DIRTY)
    assert goes_on()


_OVERDUE = """
INSERT INTO receiving.waiting (source, id, kind, digest, request, attempt, tries, since, due_at, deadline)
SELECT source, id, 'kind', digest, request, 2, 0, now(), now() - interval '6 minutes', now()
FROM receiving.movement WHERE id = 'D1'
"""


def test_a_movement_that_waits_at_the_gate_and_is_not_tried_needs_a_person(desk: Desk) -> None:
    refused(desk)
    desk.change("UPDATE receiving.movement SET recorded_at = now() - interval '1 hour'")
    desk.change(_OVERDUE)
    told, code = status(desk)
    assert (told["waiting_in_receiving"]["count"], code) == (1, 3)
    assert "overdue" in told["needs_a_person"][0]


def test_a_broker_that_is_away_and_one_that_nobody_set_up_need_a_person(rabbit: Desk) -> None:
    told, code = status(rabbit)
    assert code == 3
    assert set(told["queues"]["depths"].values()) == {None}
    rabbit.env["STOCKBOOK_BROKER_URL"] = "amqp://guest:guest@127.0.0.1:1//"
    told, code = status(rabbit)
    assert code == 3
    assert "the broker does not answer" in told["needs_a_person"][0]


# --- publishing, and hearing what came of it -------------------------------------------------------------------------


def test_a_publisher_who_waits_hears_what_each_movement_was_given_or_why_it_was_refused(rabbit: Desk) -> None:
    given = file_of(receipt("R1", 5), delivery("D1", 3), delivery("D2", 4))
    with workers(rabbit):
        done = commands.invoke("publish", "-", "--wait", "--timeout", "20", env=rabbit.env, given=given)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[lines.index("accepted till D1") + 1] == "  3 tea in north"
    assert lines[lines.index("rejected till D2") + 1].startswith("  insufficient_stock in line 1: item tea")
    assert lines[-1] == "5 accepted, 1 rejected"


def test_a_publisher_who_waits_is_told_the_same_without_a_broker(desk: Desk) -> None:
    given = file_of(receipt("R1", 5), delivery("D1", 3), delivery("D2", 4))
    done = commands.invoke("publish", "-", "--wait", "--timeout", "0", env=desk.env, given=given)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[lines.index("accepted till D1") + 1] == "  3 tea in north"
    assert lines[lines.index("rejected till D2") + 1].startswith("  insufficient_stock in line 1: item tea")
    assert lines[-1] == "5 accepted, 1 rejected"


def test_a_file_of_which_everything_is_accepted_ends_well_however_often_it_is_published(rabbit: Desk) -> None:
    given = file_of(*(receipt(f"R{number}") for number in range(30)))
    with workers(rabbit):
        for _ in range(2):
            told = rabbit.told("publish", "-", "--wait", "--timeout", "20", given=given)
            assert told.endswith("33 accepted, 0 rejected\n")
        until(lambda: rabbit.rows("SELECT count(*) FROM accounting.movement") == [(30,)])


def test_what_nobody_answers_is_missing_when_the_time_is_over(rabbit: Desk) -> None:
    # Nobody was ever here: the command itself makes what it listens to.
    done = commands.invoke("publish", "-", "--wait", "--timeout", "0.3", env=rabbit.env, given=file_of(receipt("R1")))
    assert done.exit_code == 1
    assert "no outcome till R1" in done.stdout
    assert done.stdout.endswith("0 accepted, 0 rejected, 4 without an outcome yet\n")
    assert rabbit.broker.depth("receiving") == 4


def test_a_publisher_who_does_not_wait_only_sends(rabbit: Desk) -> None:
    assert rabbit.told("publish", "-", given=file_of(receipt("R1"))) == "4 events published\n"
