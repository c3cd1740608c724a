"""An import whose process is killed half-way, and that is run again, comes to the same as one that was left alone."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import Raw
from sqlalchemy import Engine

from services.desk.cli import asking
from services.desk.cli.asking import AHEAD, Tally, ask
from services.desk.events import Event, make_frame
from services.desk.importing.staging import FRAME
from services.desk.pipeline import Pipeline
from shared.broker import connect
from shared.broker.topology import RECEIVING
from shared.contracts.codec import write
from shared.contracts.envelope import NamedDefinition
from shared.db import open_engine, query, transaction
from shared.errors import Retryable
from shared.settings import Settings
from tests.commands import environment, invoke, told
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from services.desk.cli import main; main()", "import"]
MASTERS = [
    {"type": "company.defined.v1", "data": {"company": "acme", "currency": "EUR"}},
    {"type": "warehouse.defined.v1", "data": {"company": "acme", "warehouse": "shop"}},
    {"type": "item.defined.v1", "data": {"company": "acme", "item": "tea"}},
    {"type": "item.defined.v1", "data": {"company": "acme", "item": "lamp", "tracking": "serial"}},
]
SERIALS, DOCUMENTS = 2 * AHEAD, 1_500
"""Several transactions of the gate each: the kill comes between some of them; and more than are under way at once."""

UNITS = "SELECT serial, status, supplier, warranty_until FROM receiving.serial ORDER BY serial"
SAID = "SELECT count(*) AS rows FROM receiving.definition WHERE kind = 'serial.defined'"
POSTED = "SELECT count(*), coalesce(sum(quantity), 0), coalesce(sum(value), 0) FROM ledger.entry"
BOOKED = "SELECT coalesce(sum(balance), 0) AS balance FROM accounting.trial_balance WHERE account = 'stock'"


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def env(database: str, tmp_path: Path) -> Mapping[str, str]:
    env = environment(STOCKBOOK_DATABASE_URL=database)
    (tmp_path / "masters.jsonl").write_text("\n".join(map(json.dumps, MASTERS)))
    told("publish", str(tmp_path / "masters.jsonl"), env=env)
    return env


def rows(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with transaction(engine) as connection:
        return [tuple(row) for row in query(connection, statement)]


def count(engine: Engine, statement: str) -> int:
    return int(str(rows(engine, statement)[0][0]))


def serials(folder: Path) -> str:
    file = folder / "serials.csv"
    lines = (f"acme,lamp,{number:05},Lux,2027-01-31\n" for number in range(SERIALS))
    file.write_text("company,item,serial,supplier,warranty_until\n" + "".join(lines))
    return str(file)


def openings(folder: Path) -> str:
    file = folder / "opening.csv"
    lines = (f"acme,O{number},2026-01-01,shop,tea,2,1.5\n" for number in range(DOCUMENTS))
    file.write_text("company,document,posting_at,warehouse,item,quantity,rate\n" + "".join(lines))
    return str(file)


def kill_when(is_half_way: Callable[[], bool], env: Mapping[str, str], *arguments: str) -> None:
    """Run an import in a process of its own, and kill it as soon as it is half-way."""
    with subprocess.Popen([*COMMAND, *arguments], env=dict(env), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait_until(is_half_way, "the import is half-way", 90)
        process.kill()
    assert process.returncode == -9, "it had ended before"


def taken_before(output: str) -> int:
    return int(output.partition("(")[2].split()[0])


def test_serials_killed_half_way_and_imported_again_are_all_there(
    engine: Engine, env: Mapping[str, str], tmp_path: Path
) -> None:
    file = serials(tmp_path)
    kill_when(lambda: count(engine, SAID) >= 500, env, "serials", file)
    assert 500 <= count(engine, SAID) < SERIALS
    output = told("import", "serials", file, env=env)
    assert output.startswith(f"{SERIALS} of {SERIALS} rows taken (")
    assert 500 <= taken_before(output) < SERIALS
    assert [row[0] for row in rows(engine, UNITS)] == [f"{number:05}" for number in range(SERIALS)]
    assert {row[1:3] for row in rows(engine, UNITS)} == {("inactive", "Lux")}
    assert count(engine, SAID) == SERIALS


def test_opening_stock_killed_half_way_and_imported_again_is_there_once(
    engine: Engine, env: Mapping[str, str], tmp_path: Path
) -> None:
    file = openings(tmp_path)
    kill_when(lambda: count(engine, POSTED) >= 300, env, "opening", file)
    assert told("import", "opening", file, env=env).startswith(f"{DOCUMENTS} of {DOCUMENTS} rows taken (")
    assert rows(engine, POSTED) == [(DOCUMENTS, Decimal(2 * DOCUMENTS), Decimal(3 * DOCUMENTS))]
    assert rows(engine, BOOKED) == [(Decimal(3 * DOCUMENTS),)]
    assert invoke("verify", env=env).exit_code == 0


@contextmanager
def working(database: str, broker_url: str) -> Iterator[None]:
    """Workers that go on whatever becomes of those who ask."""
    stop = threading.Event()

    def work() -> None:
        with Pipeline(database, broker_url) as pipeline:
            ready.set()
            while not stop.is_set():
                try:
                    pipeline.turn(0.02)
                except Retryable:
                    continue

    ready = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(30)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_over_rabbitmq_an_import_that_is_killed_and_run_again_hears_of_every_row(
    engine: Engine, env: Mapping[str, str], database: str, vhost_url: str, tmp_path: Path
) -> None:
    file = serials(tmp_path)
    with (tmp_path / "serials.csv").open("a") as lines:
        lines.write("acme,pot,1,,\n")
    asked = {**env, "STOCKBOOK_BROKER_URL": vhost_url}
    with working(database, vhost_url):
        kill_when(lambda: count(engine, SAID) >= 100, asked, "serials", file)
        done = invoke("import", "serials", file, env=asked)
    assert done.exit_code == 1
    assert f"{SERIALS} of {SERIALS + 1} rows taken (" in done.stdout
    assert "unknown_item" in Path(f"{file}.errors.csv").read_text("utf-8-sig")
    assert [row[0] for row in rows(engine, UNITS)] == [f"{number:05}" for number in range(SERIALS)]


def test_over_rabbitmq_rows_that_nobody_answers_are_all_sent_and_told_of(
    env: Mapping[str, str], vhost_url: str, tmp_path: Path
) -> None:
    file = serials(tmp_path)
    asked = {**env, "STOCKBOOK_BROKER_URL": vhost_url}
    done = invoke("import", "serials", file, "--timeout", "0", env=asked)
    assert done.exit_code == 3
    assert f"0 of {SERIALS} rows taken, {SERIALS} with errors" in done.stdout
    broker = connect(vhost_url)
    assert broker.depth(RECEIVING) == SERIALS // FRAME
    broker.close()


class Watched(Tally):
    """Notes how many answers were to come at most."""

    most = 0

    def sent(self, events: Sequence[Event]) -> None:
        super().sent(events)
        self.most = max(self.most, len(self.open))


def frames_of_serials() -> Iterator[Event]:
    for first in range(0, SERIALS, FRAME):
        named = [
            NamedDefinition(id=f"d{number}", data=Raw(b'{"company":"acme","item":"lamp","serial":"%d"}' % number))
            for number in range(first, first + FRAME)
        ]
        yield make_frame("serial.defined.v1", "desk", [each.id for each in named], list(map(write, named)))


@pytest.mark.usefixtures("env")
def test_no_more_is_sent_than_the_gate_keeps_up_with(
    database: str, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CALM", 30.0)  # a gate that is only slow is not taken for one that has stopped
    tally = Watched(is_detailed=False)
    with working(database, vhost_url):
        ask(frames_of_serials(), ["desk"], Settings(broker_url=vhost_url), tally, 60)
    assert (tally.verdicts["accepted"], tally.open) == (SERIALS, {})
    assert tally.most <= AHEAD + FRAME
