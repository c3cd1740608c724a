"""The code on the page about publishing does what the page says, on a real RabbitMQ; its movements do, in a process."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from kombu.connection import Connection

from services.desk.events import Event, make_event, read_event
from services.desk.listening import Listener, Outcome
from services.desk.pipeline import Pipeline
from shared.broker import Broker, Message, connect
from shared.broker.topology import AFTERCARE_TYPES, EVENTS, INTAKE_TYPES, RECEIVING, UNROUTED
from shared.contracts.codec import write
from shared.contracts.envelope import frame, read_envelope, write_event
from shared.contracts.outcome import Allocated, OutcomeAccepted, OutcomeRejected, Refusal
from shared.contracts.registry import MOVEMENT_REQUESTED, OUTCOME_ACCEPTED, OUTCOME_REJECTED
from shared.contracts.trial import OutcomeTried
from shared.db import query, transaction
from shared.quantities import Quantity
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "publishing.md").read_text("utf-8")
KOMBU_ADDRESS = "amqp://guest:guest@127.0.0.1//"
AMQP_ADDRESS = '"127.0.0.1:5672", userid="guest", password="guest", virtual_host="/"'
NOW = datetime(2026, 1, 17, 9, 12, 31, tzinfo=UTC)


@pytest.fixture
def broker(vhost_url: str) -> Iterator[Broker]:
    """The broker with the topology declared, as the workers leave it."""
    broker = connect(vhost_url)
    broker.declare()
    yield broker
    broker.close()


def block(language: str, about: str) -> str:
    """The one code block of the page that has these words in it."""
    found = [each for each in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if about in each]
    assert len(found) == 1
    return str(found[0])


def addressed(code: str, url: str) -> str:
    """A code block that talks to the broker at `url` instead of the one that it names."""
    parts = urlsplit(url)
    vhost = unquote(parts.path.removeprefix("/")) or "/"
    given = f'"{parts.hostname}:{parts.port}", userid="{parts.username}", password="{parts.password}"'
    assert KOMBU_ADDRESS in code or AMQP_ADDRESS in code
    return code.replace(KOMBU_ADDRESS, url).replace(AMQP_ADDRESS, f'{given}, virtual_host="{vhost}"')


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def taken(broker: Broker, count: int) -> list[bytes]:
    """The messages that wait for receiving: `count`, and no more."""
    consumer = broker.consumer(RECEIVING, prefetch=0)
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += [delivery.body for delivery in consumer.drain(1_000, timeout=0.5)]
    consumer.close()
    assert len(found) == count
    assert broker.depth(UNROUTED) == 0
    return found


def types(bodies: list[bytes]) -> set[str]:
    return {read_envelope(body).type for body in bodies}


def test_the_page_names_every_type_that_can_be_sent() -> None:
    told = set(re.findall(r"`(\w+\.\w+\.v1)`", PAGE.partition("Types that can be sent:")[2].partition(".\n")[0]))
    assert told == {*INTAKE_TYPES, *AFTERCARE_TYPES}


def test_the_python_publisher_puts_its_event_before_receiving(broker: Broker, vhost_url: str) -> None:
    run(addressed(block("python", "confirm_publish"), vhost_url))
    (body,) = taken(broker, 1)
    envelope = read_envelope(body)
    assert (envelope.source, envelope.type) == ("till-1", "movement.requested.v1")


def test_the_raw_amqp_publisher_puts_all_its_events_before_receiving(broker: Broker, vhost_url: str) -> None:
    run(addressed(block("python", "confirm_select"), vhost_url))
    bodies = taken(broker, 100)
    assert len({read_envelope(body).id for body in bodies}) == 100
    assert types(bodies) == {"movement.requested.v1"}


def test_the_commands_publish_from_a_file_and_from_a_pipe(broker: Broker, vhost_url: str, tmp_path: Path) -> None:
    (tmp_path / "movements.jsonl").write_bytes((ROOT / "examples" / "skincare" / "2-movements.jsonl").read_bytes())
    events = (tmp_path / "movements.jsonl").read_bytes().count(b"\n")
    export = tmp_path / "some-export"
    export.write_text("#!/bin/sh\ncat movements.jsonl\n")
    export.chmod(0o755)
    commands = re.findall(r"^    (.*stockbook publish.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "STOCKBOOK_BROKER_URL": vhost_url, "PATH": path}
    for command in commands:
        subprocess.run(
            ["/bin/sh", "-c", command], check=True, cwd=tmp_path, env=environment, timeout=60, capture_output=True
        )
    taken(broker, 2 * events)  # the third only checks


def test_the_python_listener_hears_the_outcomes_of_its_own_source_alone(broker: Broker, vhost_url: str) -> None:
    listener = subprocess.Popen(
        [sys.executable, "-u", "-c", addressed(block("python", "def hear"), vhost_url)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        publisher = broker.publisher()
        wait_until(lambda: listens(vhost_url, "till-1.outcomes"), "the listener", seconds=20)
        publisher.publish([accepted("till-2", "other"), accepted("till-1", "T-1"), refused("till-1", "T-2")])
        publisher.close()
        heard = lines(listener, 2, seconds=20)
    finally:
        listener.kill()
        listener.wait()
    assert heard == [
        "T-1 2 CASE None ['C-1', 'C-2']\n",
        "T-2 refused: insufficient_stock 1 {'available': '1'}\n",
    ]


def listens(url: str, queue: str) -> bool:
    """Whether somebody consumes a queue, which is what a listener does last."""
    with Connection(url) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).consumer_count) > 0


def lines(process: subprocess.Popen[str], count: int, seconds: float) -> list[str]:
    """The first lines that a process writes; fewer where it is silent too long."""
    assert process.stdout is not None
    found: list[str] = []
    reader = threading.Thread(target=lambda out: found.extend(islice(out, count)), args=[process.stdout], daemon=True)
    reader.start()
    reader.join(seconds)
    return found


def accepted(source: str, identifier: str) -> Message:
    part = Allocated(line=1, item="CASE", warehouse="FLOOR", quantity=Quantity("2"), serials=["C-1", "C-2"])
    outcome = OutcomeAccepted(
        source=source, id=identifier, kind="movement.requested", recorded_at=NOW, allocated=[part]
    )
    return told(OUTCOME_ACCEPTED, source, write(outcome))


def refused(source: str, identifier: str) -> Message:
    reason = Refusal(code="insufficient_stock", line=1, facts={"available": "1"})
    outcome = OutcomeRejected(
        source=source, id=identifier, kind="movement.requested", recorded_at=NOW, reasons=[reason]
    )
    return told(OUTCOME_REJECTED, source, write(outcome))


def told(kind: str, source: str, outcome: bytes) -> Message:
    body = write_event(kind, "receiving", f"{source}-{kind}", frame([outcome]))
    return Message(EVENTS, f"{kind}.{source}", body, f"{source}-{kind}")


def test_the_json_on_the_page_is_an_event_that_can_be_sent() -> None:
    event = json.loads(block("json", "specversion"))
    made: Event = make_event(event["type"], event["source"], event["data"])
    assert made.keys == [("till-1", "T1-000481")]


# --- the movements of the page ----------------------------------------------------------------------------------------

OFFICE, TILL = "volt-office", "volt-till-1"
LATER = datetime(2026, 3, 1, tzinfo=UTC)
SAID = {
    "T1-000490": {"CASE": "1 for 4.25"},
    "T1-000491": {"CABLE": "-3 for -8.70", "CASE": "1 for 4.25"},
    "WO-31": {"CASE": "-10 for -42.50", "CABLE": "-10 for -29.00", "GIFT-SET": "10 for 79.50"},
    "CNT-12": {"PHONE-PRO": "-1 for -598.00", "CASE": "-3 for -12.75"},
    "LC-7": {"PHONE-X2": "0 for 25.00"},
    "X-3": {"CABLE": "2 for 5.80"},
}
"""What each does to stock."""


@pytest.fixture
def shop(database: str) -> Iterator[Pipeline]:
    """The shop of the examples after its day, with an item that it makes."""
    files = sorted((ROOT / "examples" / "electronics").glob("[12]-*.jsonl"))
    events = [read_event(line, "desk", LATER) for file in files for line in file.read_bytes().splitlines()]
    made = make_event("item.defined.v1", OFFICE, {"company": "VOLT", "item": "GIFT-SET"})
    with Pipeline(database, clock=lambda: LATER) as shop:
        shop.publish([*events, made])
        shop.settle()
        yield shop


def movements_on_the_page() -> list[dict[str, Any]]:
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    return [each for each in map(json.loads, blocks) if "purpose" in each]


def answer(shop: Pipeline, listener: Listener, movement: dict[str, Any]) -> Outcome:
    """What its source is told of a movement; the till numbers its tickets T1."""
    shop.publish([make_event(MOVEMENT_REQUESTED, TILL if movement["id"].startswith("T1-") else OFFICE, movement)])
    shop.settle()
    (told,) = listener.hear(0)
    return told


def posted(shop: Pipeline, identifier: str) -> dict[str, str]:
    """What a movement did to stock, by item."""
    statement = "SELECT item, quantity, value FROM ledger.stock_ledger WHERE id = :id"
    with transaction(shop.engine) as connection:
        return by_item(query(connection, statement, id=identifier))


def by_item(entries: Iterable[Any]) -> dict[str, str]:
    return {each.item: f"{each.quantity:f} for {each.value:.2f}" for each in entries}


def test_the_movements_on_the_page_are_taken_and_do_to_stock_what_it_says(shop: Pipeline) -> None:
    listener = Listener(shop.broker, [OFFICE, TILL])
    for movement in movements_on_the_page():
        assert isinstance(answer(shop, listener, movement), OutcomeAccepted), movement["id"]
    assert {identifier: posted(shop, identifier) for identifier in SAID} == SAID
    assert {each["id"] for each in movements_on_the_page()} == SAID.keys()


def test_each_movement_on_the_page_can_be_tried_first(shop: Pipeline) -> None:
    listener = Listener(shop.broker, [OFFICE, TILL])
    for movement in movements_on_the_page():
        tried = answer(shop, listener, movement | {"dry_run": True})
        assert isinstance(tried, OutcomeTried), movement["id"]
        assert posted(shop, movement["id"]) == {}
        answer(shop, listener, movement)
        assert by_item(tried.entries) == posted(shop, movement["id"])
