"""A reaction to a cream, from the customer's delivery note to the closed recall, told in commands and messages.

A small maker of skincare buys oil and butter, makes a cream of them, packs some of it into gift boxes, and sells both.
A guest of one of the customers gets a rash. The same story is told twice: with the services inside each command, and
with workers in processes of their own behind RabbitMQ.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.commands import environment, invoke, told

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "salve-office"
TODAY = datetime.now(UTC).replace(microsecond=0)


def day(days_ago: int) -> str:
    """A day before the complaint."""
    return (TODAY - timedelta(days=days_ago)).date().isoformat()


Event = dict[str, Any]


def event(kind: str, name: str | None = None, /, **data: Any) -> Event:
    """A message of the office."""
    return {"type": f"{kind}.v1", "source": SOURCE, "data": data} | ({"id": name} if name else {})


def movement(purpose: str, name: str, days_ago: int, *lines: dict[str, str], **data: Any) -> Event:
    """A movement; it happened at noon of that day, or just now."""
    moment = f"{day(days_ago)}T12:00:00Z" if days_ago else datetime.now(UTC).isoformat()
    about = {"id": name, "purpose": purpose, "posting_at": moment, "document": name, "lines": lines, **data}
    return event("movement.requested", company="SALVE", **about)


@dataclass(frozen=True, slots=True)
class Office:
    """Whoever sits at the desk: sends messages, and asks."""

    env: Mapping[str, str]

    def send(self, *events: Event) -> tuple[int, str]:
        """Publish messages and wait for the answers: exit code and what was printed."""
        done = invoke("publish", "-", "--wait", env=self.env, given="".join(f"{json.dumps(each)}\n" for each in events))
        return done.exit_code, done.stdout

    def tell(self, *events: Event) -> None:
        """Publish messages that nothing speaks against."""
        code, printed = self.send(*events)
        assert code == 0, printed

    def ask(self, *arguments: str | Path) -> str:
        """What a command prints."""
        return told(*map(str, arguments), env=self.env)

    def recall(self) -> dict[str, Any]:
        """All about the recall."""
        found: dict[str, Any] = json.loads(self.ask("recall", SOURCE, "RC-1", "--format", "json", "--wait", "60"))
        return found


def test_a_reaction_to_a_cream_leads_to_its_oil_and_the_recall_to_everybody_who_has_some(
    database: str, tmp_path: Path
) -> None:
    _story(Office(environment(STOCKBOOK_DATABASE_URL=database)), tmp_path)


@pytest.mark.slow
def test_the_same_with_workers_elsewhere(database: str, vhost_url: str, tmp_path: Path) -> None:
    env = environment(STOCKBOOK_DATABASE_URL=database, STOCKBOOK_BROKER_URL=vhost_url)
    command = [sys.executable, "-c", "from services.desk.cli import main; main()", "run", "all"]
    workers = subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        _story(Office(env), tmp_path)
    finally:
        workers.terminate()
        assert workers.wait(timeout=30) == 0


def _story(office: Office, folder: Path) -> None:
    _make_and_sell(office)
    oil = _find_the_oil(office)
    _recall(office, oil)
    _nothing_leaves_any_more(office)
    _reach_and_take_back(office)
    _close(office, folder)


# --- what happened before ---------------------------------------------------------------------------------------------


def _make_and_sell(office: Office) -> None:
    places = {"STORE": "store", "SHOP": "store", "LOCKER": "quarantine"}
    units = {"MARIGOLD-OIL": "l", "WAX": "kg", "BALM": "pcs", "BOX": "pcs"}
    lots = {
        ("MARIGOLD-OIL", "MO-1"): {"supplier": "Petal Press", "supplier_batch": "PP-771", "manufactured_on": day(60)},
        ("WAX", "WX-4"): {"supplier": "Beekeepers' Union", "supplier_batch": "44", "manufactured_on": day(80)},
        ("BALM", "BALM-7"): {"manufactured_on": day(30), "manufactured_at": "kettle 2"},
        ("BALM", "BALM-8"): {"manufactured_on": day(29), "manufactured_at": "kettle 2"},
        ("BOX", "BOX-1"): {"manufactured_on": day(20)},
    }
    batch_item = {"company": "SALVE", "tracking": "batch", "shelf_life_days": 180}
    office.tell(event("company.defined", company="SALVE", name="Salve & Co", currency="EUR", time_zone="UTC"))
    office.tell(
        *(event("warehouse.defined", company="SALVE", warehouse=name, kind=kind) for name, kind in places.items()),
        *(event("item.defined", item=item, unit=unit, **batch_item) for item, unit in units.items()),
        *(
            event("batch.defined", company="SALVE", item=item, batch=batch, **record)
            for (item, batch), record in lots.items()
        ),
    )
    oil, wax, balm = _from("MARIGOLD-OIL", "1.5", "MO-1"), _from("WAX", "3", "WX-4"), _from("BALM", "6", "BALM-7")
    more_wax, more_balm = _from("WAX", "2", "WX-4"), _from("BALM", "10", "BALM-8")
    for happened in (
        movement("purchase_receipt", "PR-1", 50, _into("MARIGOLD-OIL", "2", "MO-1"), supplier="Petal Press"),
        movement("purchase_receipt", "PR-2", 50, _into("WAX", "5", "WX-4"), supplier="Beekeepers' Union"),
        movement("manufacture", "MK-7", 30, oil, wax, _made("BALM", "60", "BALM-7")),
        movement("manufacture", "MK-8", 29, more_wax, _made("BALM", "40", "BALM-8")),
        movement("delivery", "DN-1", 25, _from("BALM", "24", "BALM-7"), customer="Inn at the Mill"),
        movement("repack", "PK-1", 20, balm, _made("BOX", "3", "BOX-1")),
        movement("delivery", "DN-2", 15, _from("BOX", "2", "BOX-1"), customer="Florist Reyes"),
        movement("delivery", "DN-3", 14, more_balm, customer="Chemist Okafor"),
    ):
        office.tell(happened)


_STANDS = {"MARIGOLD-OIL": "STORE", "WAX": "STORE", "BALM": "SHOP", "BOX": "SHOP"}


def _into(item: str, quantity: str, batch: str) -> dict[str, str]:
    return _made(item, quantity, batch) | {"rate": "20"}


def _made(item: str, quantity: str, batch: str) -> dict[str, str]:
    return {"item": item, "quantity": quantity, "target": _STANDS[item], "batch": batch}


def _from(item: str, quantity: str, batch: str, warehouse: str | None = None) -> dict[str, str]:
    return {"item": item, "quantity": quantity, "source": warehouse or _STANDS[item], "batch": batch}


# --- the complaint ----------------------------------------------------------------------------------------------------


def _find_the_oil(office: Office) -> tuple[str, str]:
    """From the note on which the customer got the balm to the lot that is suspected."""
    lines = office.ask("trace", "--document", "DN-1", "--up").splitlines()
    assert f"BALM, batch BALM-7 (manufactured {day(30)} at kettle 2" in lines[1]
    received = [line.strip() for line in lines if line.strip().startswith("received")]
    assert received == [
        f"received: 2 l by PR-1 ({day(50)}), from Petal Press, its lot PP-771",
        f"received: 5 kg by PR-2 ({day(50)}), from Beekeepers' Union, its lot 44",
    ]
    return "MARIGOLD-OIL", "MO-1"


def _recall(office: Office, oil: tuple[str, str]) -> None:
    """What began with the oil reaches the balm made of it and the boxes packed with that, and no other balm."""
    item, batch = oil
    about = {"company": "SALVE", "document": "Complaint 31", "actor": "ines", "reason": "a guest's skin reacted"}
    office.tell(event("recall.opened", "RC-1", goods=[{"item": item, "batch": batch}], **about))
    found = office.recall()
    assert [(each["batch"], each["named"], each["frozen"]) for each in found["goods"]] == [
        ("MO-1", True, True),
        ("BALM-7", False, True),
        ("BOX-1", False, True),
    ]
    assert [(each["warehouse"], each["batch"], each["quantity"]) for each in found["stock"]] == [
        ("SHOP", "BALM-7", "30"),
        ("SHOP", "BOX-1", "1"),
        ("STORE", "MO-1", "0.5"),
    ]
    assert [(each["supplier"], each["supplier_batch"]) for each in found["suppliers"]] == [("Petal Press", "PP-771")]
    printed = office.ask("recall", SOURCE, "RC-1", "--format", "csv")
    to_reach = [tuple(row[:7]) for row in csv.reader(io.StringIO(printed))][1:]
    assert to_reach == [
        ("Florist Reyes", "", "BOX", "BOX-1", "", "pcs", "2"),
        ("Inn at the Mill", "", "BALM", "BALM-7", "", "pcs", "24"),
    ]


def _nothing_leaves_any_more(office: Office) -> None:
    code, printed = office.send(
        movement("delivery", "DN-4", 0, _from("BALM", "1", "BALM-7"), customer="Chemist Okafor")
    )
    assert (code, "batch_recalled" in printed) == (1, True)
    office.tell(movement("delivery", "DN-5", 0, _from("BALM", "1", "BALM-8"), customer="Chemist Okafor"))


def _reach_and_take_back(office: Office) -> None:
    named = {"recall": {"id": "RC-1"}, "actor": "ines"}
    office.tell(
        event("recall.reached", "RC-1-a", customer="Florist Reyes", answer="both were given away", **named),
        event("recall.reached", "RC-1-b", customer="Inn at the Mill", answer="20 are left, will send them", **named),
    )
    back = {"item": "BALM", "quantity": "20", "target": "LOCKER"}
    apart = _from("BALM", "30", "BALM-7") | {"target": "LOCKER"}
    office.tell(movement("sales_return", "SR-1", 0, back, customer="Inn at the Mill", against={"id": "DN-1"}))
    office.tell(movement("material_transfer", "TR-1", 0, apart))
    office.tell(movement("scrap", "SC-1", 0, _from("BALM", "50", "BALM-7", "LOCKER")))
    found = office.recall()
    inn = next(each for each in found["to_reach"] if each["customer"] == "Inn at the Mill")
    told = ("quantity", "came_back_before", "came_back_since", "still_out", "answer")
    assert tuple(inn[name] for name in told) == ("24", "0", "20", "4", "20 are left, will send them")
    assert [(each["what"], each["id"], each["quantity"]) for each in found["left_since"]] == [
        ("quarantined", "TR-1", "30"),
        ("scrapped", "SC-1", "50"),
    ]
    assert (found["summary"]["customers"], found["summary"]["reached"]) == (2, 2)


# --- the end ----------------------------------------------------------------------------------------------------------


def _close(office: Office, folder: Path) -> None:
    file = folder / "RC-1.json"
    told = office.ask("recall", SOURCE, "RC-1", "--evidence", file, "--actor", "ines", "--wait", "60").splitlines()
    assert told[1] == f"SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
    evidence = json.loads(file.read_text("utf-8"))
    assert evidence["summary"]["complete"] is True
    assert {each["batch"] for each in evidence["balances"] if each["holds"]} == {"MO-1", "BALM-7", "BOX-1"}
    assert {each["chain"] for each in evidence["heads"]} == {"ledger", "journal"}
    closing = folder / "closing.jsonl"
    closing.write_text(told[3] + "\n", "utf-8")
    office.ask("publish", "--wait", closing)
    (row,) = json.loads(office.ask("recalls", "--state", "closed", "--format", "json"))
    assert (row["id"], row["still_out"]) == ("RC-1", "6 pcs")
    assert "is the evidence that closed the recall" in office.ask("recall", SOURCE, "RC-1", "--check", file)
    code, printed = office.send(movement("delivery", "DN-6", 0, _from("BOX", "1", "BOX-1"), customer="Chemist Okafor"))
    assert (code, "batch_recalled" in printed) == (1, True)
    office.ask("verify")
