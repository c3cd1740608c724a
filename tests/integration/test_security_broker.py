"""What each account may do on the broker, and what it may not: the lines B1 to B20 of docs/security.md, one by one."""

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu.connection import Connection

from shared.broker import BrokerUnavailable, connect
from shared.broker.accounts import Source, definitions_file
from shared.broker.lanes import intake_of, lane_of, takes_from_lanes
from shared.broker.topology import (
    AFTERCARE,
    AFTERCARE_TYPES,
    DEAD,
    EVENTS,
    INTAKE,
    RECEIVING,
    SERVICES,
    TOPOLOGY,
    UNROUTED,
    WORK,
)
from shared.errors import Fatal
from tests import servers
from tests.brokers import delete_queue
from tests.secured import GuardedBroker, guarded, source

ROOT = Path(__file__).resolve().parents[2]
TILL, OTHER_TILL, OFFICE = "till-of-tests", "till-of-others", "office-of-tests"
TILL_OF_THE_PAGE = "till-1"
LANES = LANED, OTHER_LANED = "till-with-lane", "till-with-another"
NOBODY_S = Source("till-without-password")
OWN, OTHERS = f"{TILL}.outcomes", f"{OTHER_TILL}.outcomes"
ACCOUNTS = [f"stockbook-{service}" for service in SERVICES]
QUEUES = [queue.name for queue in TOPOLOGY.queues]
FORBIDDEN = 403
NO_SUCH_USER_ID = 406
ADDRESS = "amqp://guest:guest@127.0.0.1//"
MASTERS = ("item.defined.v1", "company.defined.v1", "source.defined.v1", "warehouse.defined.v1", "batch.held.v1")
CLOSINGS = ("period.closed.v1", "period.reopened.v1")
pytestmark = pytest.mark.rabbitmq

Act = Callable[[Any], object]


@pytest.fixture(scope="module")
def site(rabbitmq: servers.Broker) -> GuardedBroker:
    tills = map(source, (TILL, OTHER_TILL, TILL_OF_THE_PAGE))
    laned = map(source, (LANED, OTHER_LANED))
    made = guarded(rabbitmq, *tills, *laned, source(OFFICE, defines=True), NOBODY_S, lanes=(LANED, OTHER_LANED))
    connect(made.url("stockbook")).declare()
    return made


@pytest.mark.parametrize(
    ("account", "password"),
    [
        ("stockbook-ledger", "wrong"),
        ("stockbook-ledger", ""),
        (TILL, "wrong"),
        (NOBODY_S.name, ""),
        (NOBODY_S.name, "any"),
        ("nobody", "nobody"),
    ],
)
def test_b1_nobody_is_let_in_without_an_account_and_its_password(
    site: GuardedBroker, account: str, password: str
) -> None:
    stranger = GuardedBroker(site.root, {account: password})
    with pytest.raises(Fatal, match=r"ACCESS_REFUSED|Login was refused"):
        connect(stranger.url(account)).consumer("ledger", 1)


@pytest.mark.parametrize(
    "key", ["movement.requested.v1", "movement.requested.v1.p07", "source.manifest.v1", "claim.opened.v1"]
)
@pytest.mark.parametrize("account", [TILL, OFFICE])
def test_b2_a_till_publishes_movements(site: GuardedBroker, account: str, key: str) -> None:
    assert code(site, account, publishing(INTAKE, key)) is None


@pytest.mark.parametrize("key", [*MASTERS, *CLOSINGS, "item.defined.v1.p07", "movement.requested.v1.p07.x", "x", ""])
def test_b3_a_till_defines_and_closes_nothing(site: GuardedBroker, key: str) -> None:
    assert code(site, TILL, publishing(INTAKE, key)) == FORBIDDEN


@pytest.mark.parametrize("account", [TILL, OFFICE])
@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (WORK, "ledger"),
        (WORK, "accounting"),
        (EVENTS, f"outcome.accepted.v1.{OTHER_TILL}"),
        (EVENTS, "movement.posted.v1"),
        (DEAD, "ledger"),
        (UNROUTED, ""),
        ("amq.topic", "x"),
        ("amq.fanout", "x"),
        ("", "ledger"),  # the exchange that knows each queue by its name
        ("", "receiving"),
        ("", OTHERS),
    ],
)
def test_b4_a_till_publishes_nowhere_else(site: GuardedBroker, account: str, exchange: str, key: str) -> None:
    assert code(site, account, publishing(exchange, key)) == FORBIDDEN


def test_b2_a_till_publishes_with_the_code_that_the_page_for_publishers_shows(site: GuardedBroker) -> None:
    before = connect(site.root).depth("receiving")
    code_of_the_page = _shown("confirm_publish").replace(ADDRESS, site.url(TILL_OF_THE_PAGE))
    subprocess.run([sys.executable, "-c", code_of_the_page], check=True, timeout=60, capture_output=True)
    assert connect(site.root).depth("receiving") == before + 1


def test_b5_a_till_hears_with_the_code_that_the_page_for_publishers_shows(site: GuardedBroker) -> None:
    code_of_the_page = _shown("def hear").replace(ADDRESS, site.url(TILL_OF_THE_PAGE))
    refusal = {"id": "T-9", "reasons": [{"code": "unknown_item"}]}
    with subprocess.Popen([sys.executable, "-u", "-c", code_of_the_page], stdout=subprocess.PIPE) as listener:
        try:
            broker = connect(site.root)
            servers.wait_until(lambda: broker.depth(f"{TILL_OF_THE_PAGE}.outcomes") == 0, "the till's queue")
            time.sleep(0.5)  # bound right after it was made
            body = json.dumps({"data": {"movements": [refusal]}}).encode()
            act = publishing(EVENTS, f"outcome.rejected.v1.{TILL_OF_THE_PAGE}", body=body)
            assert code(site, "stockbook-receiving", act) is None
            assert listener.stdout is not None
            assert b"T-9 refused: unknown_item" in listener.stdout.readline()
        finally:
            listener.kill()


@pytest.mark.parametrize("queue", [OWN, ""], ids=["its own queue", "one of its connection"])
@pytest.mark.parametrize("kind", ["accepted", "rejected", "tried", "reconciled"])
def test_b5_a_till_hears_its_own_outcomes(site: GuardedBroker, queue: str, kind: str) -> None:
    with Connection(site.url(TILL)) as connection:
        channel = connection.default_channel
        name = channel.queue_declare(queue, durable=bool(queue), exclusive=not queue, auto_delete=False).queue
        channel.queue_bind(name, EVENTS, f"outcome.{kind}.v1.{TILL}")
        assert code(site, "stockbook", publishing(EVENTS, f"outcome.{kind}.v1.{TILL}")) is None
        _until(lambda: channel.basic_get(name, no_ack=True) is not None)


@pytest.mark.parametrize(
    "pattern",
    [
        "#",
        "*.*.*.*",
        f"outcome.accepted.v1.{OTHER_TILL}",
        "outcome.accepted.v1.*",
        "outcome.#",
        f"outcome.*.v1.{TILL}",
        f"#.{TILL}",
        "movement.posted.v1",
        "journal.posted.v1",
        "",
    ],
)
@pytest.mark.parametrize("account", [TILL, OFFICE])
def test_b6_a_till_hears_nothing_of_others(site: GuardedBroker, account: str, pattern: str) -> None:
    def listen(channel: Any) -> None:
        name = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(name, EVENTS, pattern)

    assert code(site, account, listen) == FORBIDDEN


@pytest.mark.parametrize("exchange", [INTAKE, WORK, DEAD, UNROUTED, "amq.topic", "amq.rabbitmq.trace"])
def test_b6_a_till_listens_to_no_other_exchange(site: GuardedBroker, exchange: str) -> None:
    def listen(channel: Any) -> None:
        name = channel.queue_declare("", exclusive=True).queue
        channel.queue_bind(name, exchange, "#")

    assert code(site, TILL, listen) == FORBIDDEN


TOUCHES: dict[str, Callable[[Any, str], object]] = {
    "take": lambda channel, queue: channel.basic_get(queue),
    "consume": lambda channel, queue: channel.basic_consume(queue),
    "empty": lambda channel, queue: channel.queue_purge(queue),
    "delete": lambda channel, queue: channel.queue_delete(queue),
    "bind": lambda channel, queue: channel.queue_bind(queue, EVENTS, f"outcome.accepted.v1.{TILL}"),
}


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("queue", [*QUEUES, OTHERS])
def test_b7_a_till_touches_no_queue_of_others(site: GuardedBroker, queue: str, touch: str) -> None:
    with Connection(site.url(OTHER_TILL)) as connection:
        connection.default_channel.queue_declare(OTHERS, durable=True, auto_delete=False)
    assert code(site, TILL, touching(touch, queue)) == FORBIDDEN


@pytest.mark.parametrize("queue", ["mine", f"{TILL}.more", f"{TILL}-x.outcomes", "amq.mine", *QUEUES])
def test_b8_a_till_makes_no_queue_but_its_own(site: GuardedBroker, queue: str) -> None:
    assert code(site, TILL, lambda channel: channel.queue_declare(queue)) == FORBIDDEN


@pytest.mark.parametrize("exchange", ["mine", OWN + ".x", INTAKE, EVENTS])
def test_b8_a_till_makes_and_deletes_no_exchange(site: GuardedBroker, exchange: str) -> None:
    assert code(site, TILL, making(exchange)) == FORBIDDEN
    assert code(site, TILL, unmaking(exchange)) == FORBIDDEN


@pytest.mark.parametrize("name", [OTHER_TILL, "stockbook", "stockbook-receiving", "nobody"])
def test_b9_a_till_cannot_say_that_it_is_another(site: GuardedBroker, name: str) -> None:
    assert code(site, TILL, publishing(INTAKE, "movement.requested.v1", user_id=name)) == NO_SUCH_USER_ID
    assert code(site, TILL, publishing(INTAKE, "movement.requested.v1", user_id=TILL)) is None


@pytest.mark.parametrize("key", [*MASTERS, *CLOSINGS, "item.defined.v1.p07"])
def test_b10_an_office_publishes_masters_and_closings(site: GuardedBroker, key: str) -> None:
    assert code(site, OFFICE, publishing(INTAKE, key)) is None


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("queue", [*QUEUES, OTHERS])
def test_b10_an_office_touches_no_queue_of_others(site: GuardedBroker, queue: str, touch: str) -> None:
    assert code(site, OFFICE, touching(touch, queue)) == FORBIDDEN


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("queue", QUEUES)
def test_b11_a_service_takes_from_its_own_queue_alone(site: GuardedBroker, service: str, queue: str) -> None:
    took = code(site, f"stockbook-{service}", touching("take", queue))
    own = (service, f"{service}.dead")
    assert took == (None if queue in own else FORBIDDEN)


TOLD = {
    "receiving": {"outcome.accepted.v1.x", "outcome.rejected.v1.x", "outcome.tried.v1.x"},
    "ledger": {"movement.posted.v1", "stock.revalued.v1"},
    "accounting": {"journal.posted.v1", "journal.revalued.v1", "period.locked.v1", "outcome.tried.v1.x"},
    "aftercare": {"outcome.accepted.v1.x", "outcome.rejected.v1.x", "coverage.changed.v1"},
}


@pytest.mark.parametrize("service", SERVICES)
def test_b12_a_service_publishes_only_what_is_its_own_to_tell(site: GuardedBroker, service: str) -> None:
    account = f"stockbook-{service}"
    assert code(site, account, publishing(INTAKE, "movement.requested.v1")) == FORBIDDEN
    assert code(site, account, publishing("", "receiving")) == FORBIDDEN
    to_services = code(site, account, publishing(WORK, "nowhere"))
    assert to_services == (FORBIDDEN if service in ("accounting", "aftercare") else None)
    for key in set().union(*TOLD.values()):
        assert code(site, account, publishing(EVENTS, key)) == (None if key in TOLD[service] else FORBIDDEN), key


@pytest.mark.parametrize("service", SERVICES)
def test_b13_a_service_makes_its_own_queue_again_and_no_other(site: GuardedBroker, service: str) -> None:
    account = f"stockbook-{service}"
    delete_queue(site.root, service)
    connect(site.url(account), LANES if takes_from_lanes([service]) else ()).declare()
    assert connect(site.root).depth(service) == 0
    connect(site.url("stockbook")).declare()  # by one who compares: it stands as it should
    for queue in (name for name in QUEUES if name.partition(".")[0] != service):
        assert code(site, account, touching("delete", queue)) == FORBIDDEN
    for exchange in (INTAKE, WORK, EVENTS, DEAD, "mine"):
        assert code(site, account, making(exchange)) == FORBIDDEN
        assert code(site, account, unmaking(exchange)) == FORBIDDEN


@pytest.mark.parametrize("missing", [EVENTS, "accounting"])
def test_b14_where_something_is_missing_that_it_may_not_make_a_worker_waits_and_names_it(
    site: GuardedBroker, missing: str
) -> None:
    ledger = connect(site.url("stockbook-ledger"))
    ledger.declare()
    with Connection(site.root) as connection:
        connection.default_channel.exchange_delete(missing)
        connection.default_channel.queue_delete(missing)
    with pytest.raises(BrokerUnavailable, match=rf"may not make it \(missing: {re.escape(missing)}"):
        ledger.declare()
    connect(site.url("stockbook")).declare()
    ledger.declare()
    ledger.consumer("ledger", 1).close()


@pytest.mark.parametrize("queue", QUEUES)
def test_b15_the_desk_takes_from_no_queue(site: GuardedBroker, queue: str) -> None:
    desk = {touch: code(site, "stockbook-desk", touching(touch, queue)) for touch in TOUCHES}
    assert set(desk.values()) == {FORBIDDEN}


def test_b15_the_desk_publishes_to_the_gate_and_the_services_and_hears_outcomes(site: GuardedBroker) -> None:
    for exchange, key in ((INTAKE, "item.defined.v1"), (INTAKE, "movement.requested.v1"), (WORK, "nowhere")):
        assert code(site, "stockbook-desk", publishing(exchange, key)) is None
    for exchange, key in ((EVENTS, "movement.posted.v1"), (DEAD, "ledger"), ("", "ledger")):
        assert code(site, "stockbook-desk", publishing(exchange, key)) == FORBIDDEN
    heard = connect(site.url("stockbook-desk")).bind_temporary(EVENTS, [f"outcome.accepted.v1.{TILL}"])
    heard.close()
    with pytest.raises(Fatal, match="ACCESS_REFUSED"):
        connect(site.url("stockbook-desk")).bind_temporary(EVENTS, ["movement.posted.v1"])


def test_b16_what_a_till_does_not_fetch_is_bounded(site: GuardedBroker, rabbitmq: servers.Broker) -> None:
    assert code(site, TILL, lambda channel: channel.queue_declare(OWN, durable=True, auto_delete=False)) is None
    assert rabbitmq.ctl is not None
    listed = rabbitmq.ctl("list_queues", "-p", site.root.rpartition("/")[2], "name", "policy").splitlines()
    policies = dict(line.split("\t") for line in listed[1:])
    assert policies[OWN] == "outcomes"
    assert {policies[queue] for queue in QUEUES} == {""}
    (policy,) = definitions_file({})["policies"]
    assert policy["name"] == "outcomes"
    assert policy["definition"].keys() == {"max-length-bytes", "expires"}


def test_b16_a_till_has_a_bounded_number_of_connections(site: GuardedBroker) -> None:
    with contextlib.ExitStack() as opened:

        def open_many() -> None:
            for _ in range(25):
                opened.enter_context(Connection(site.url(OTHER_TILL), connect_timeout=5)).connect()

        with pytest.raises(amqp.NotAllowed, match="limit"):
            open_many()


def test_b17_a_service_can_empty_its_own_queue(site: GuardedBroker) -> None:
    for service in SERVICES:
        assert code(site, f"stockbook-{service}", touching("empty", service)) is None


def test_b17_a_ledger_taken_over_can_tell_what_is_not_true(site: GuardedBroker) -> None:
    assert code(site, "stockbook-ledger", publishing(WORK, "accounting")) is None
    assert code(site, "stockbook-receiving", publishing(EVENTS, f"outcome.accepted.v1.{TILL}")) is None


def test_b18_the_definitions_that_are_published_let_nobody_in() -> None:
    written = json.loads((ROOT / "deploy" / "rabbitmq" / "definitions.json").read_text("utf-8"))
    assert written == definitions_file({}), "run `make docs`"
    assert {user["password_hash"] for user in written["users"]} == {""}


@pytest.mark.parametrize(
    "key", ["movement.requested.v1", "movement.requested.v1.p07", "source.manifest.v1", "claim.opened.v1"]
)
def test_b19_a_till_with_a_lane_publishes_to_its_own_and_nowhere_else(site: GuardedBroker, key: str) -> None:
    queue = AFTERCARE if key in AFTERCARE_TYPES else lane_of(LANED)
    before = connect(site.root).depth(queue)
    assert code(site, LANED, publishing(intake_of(LANED), key)) is None
    _until(lambda: connect(site.root).depth(queue) == before + 1)
    for exchange in (INTAKE, intake_of(OTHER_LANED), WORK, DEAD, UNROUTED):
        assert code(site, LANED, publishing(exchange, key)) == FORBIDDEN
    for queue in (RECEIVING, lane_of(LANED)):
        assert code(site, LANED, publishing("", queue)) == FORBIDDEN


@pytest.mark.parametrize("account", [TILL, OFFICE, OTHER_LANED])
def test_b19_nobody_publishes_to_the_lane_of_another(site: GuardedBroker, account: str) -> None:
    assert code(site, account, publishing(intake_of(LANED), "movement.requested.v1")) == FORBIDDEN


@pytest.mark.parametrize("key", [*MASTERS, *CLOSINGS, "x"])
def test_b19_a_till_defines_and_closes_nothing_through_its_lane(site: GuardedBroker, key: str) -> None:
    assert code(site, LANED, publishing(intake_of(LANED), key)) == FORBIDDEN


@pytest.mark.parametrize("touch", TOUCHES)
@pytest.mark.parametrize("account", [TILL, LANED, "stockbook-ledger", "stockbook-accounting", "stockbook-desk"])
def test_b20_nobody_but_receiving_touches_a_lane(site: GuardedBroker, account: str, touch: str) -> None:
    assert code(site, account, touching(touch, lane_of(LANED))) == FORBIDDEN
    assert code(site, account, unmaking(intake_of(LANED))) == FORBIDDEN


def test_b20_receiving_takes_from_a_lane_and_makes_its_queue_again(site: GuardedBroker) -> None:
    receiving = connect(site.url("stockbook-receiving"), [LANED, OTHER_LANED])
    delete_queue(site.root, lane_of(OTHER_LANED))
    receiving.declare()
    assert code(site, OTHER_LANED, publishing(intake_of(OTHER_LANED), "movement.requested.v1")) is None
    consumer = receiving.consumer(RECEIVING, 100)
    _until(lambda: any(each.user is None for each in consumer.drain(100, 0.5)))
    consumer.close()
    assert code(site, "stockbook-receiving", making("stock.intake.another")) == FORBIDDEN


def test_b20_a_lane_that_is_not_defined_yet_is_waited_for_and_named(site: GuardedBroker) -> None:
    receiving = connect(site.url("stockbook-receiving"), ["till-new"])
    with pytest.raises(BrokerUnavailable, match=r"may not make it \(missing: stock\.intake\.till-new"):
        receiving.declare()


def publishing(exchange: str, key: str, body: bytes = b"{}", **properties: str) -> Act:
    message = amqp.Message(body, content_type="application/cloudevents+json", **properties)
    return lambda channel: channel.basic_publish(message, exchange=exchange, routing_key=key)


def _shown(about: str) -> str:
    """The one block of Python on the page for publishers that has these words in it."""
    page = (ROOT / "docs" / "publishing.md").read_text("utf-8")
    (found,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if about in each)
    return str(found)


def touching(touch: str, queue: str) -> Act:
    return lambda channel: TOUCHES[touch](channel, queue)


def making(exchange: str) -> Act:
    return lambda channel: channel.exchange_declare(exchange, "topic")


def unmaking(exchange: str) -> Act:
    return lambda channel: channel.exchange_delete(exchange)


def code(site: GuardedBroker, account: str, act: Act) -> int | None:
    """The code with which the broker refuses it; None: it does not."""
    with Connection(site.url(account), connect_timeout=5, transport_options={"confirm_publish": True}) as connection:
        try:
            act(connection.default_channel)
        except amqp.AMQPError as error:
            return int(error.reply_code)
    return None


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
