"""Scenarios: what a file holds, which differences are meant, and which scenarios cannot pass yet.

A scenario carries the recorded end state (`expected`). Where we differ on purpose it names the rule, and the sections
that replace the recorded ones; the list of rules is closed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import StockbookError

Rows = Sequence[Mapping[str, Any]]

RULES = {
    "D1": "serials and batches of one transfer line each keep their own cost",
    "D2": "one serial in two lines of one receipt is rejected",
    "D3": "a negative rate is rejected",
    "D4": "a serial's status and coverage are derived: inactive, missing, returned_to_supplier",
    "D5": "a transfer to the same warehouse is rejected",
    "D6": "the posting date decides expiry, not the wall clock",
    "D7": "picking is ordered by first entry into the company since the unit last left",
    "D8": "a return comes back at the cost with which it went out, whatever the method",
    "D9": "a disabled or held batch cannot leave, except by scrap, purchase return or to quarantine",
    "D10": "an item is tracked by serial or by batch, never both",
    "D11": "explicit picking means explicit for every purpose",
    "D12": "the valuation method is fixed once entries exist",
    "D13": "quantities have 6 places",
    "D14": "only new goods are refused for an expired batch",
    "D15": "a journal line names its ledger entry",
    "D16": "a serial number is unique per item",
    "D17": "a stock count brings in no unknown serials and opens no tracked item",
    "D18": "a count without difference is kept, without entries",
    "D19": "no serial of an untracked item; no message deletes a serial or moves it by hand",
    "D20": "there are no fiscal years; nothing is posted in the future",
    "D21": "a value is the rounding of the exact worth: entries may differ by a cent, totals do not",
}
"""The differences that are meant. A further one needs a decision that is written down."""

PENDING = "pending.txt"
DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One recorded history: master data, movements in the order in which they were entered, and what came of them."""

    name: str
    items: Rows
    warehouses: Rows
    movements: Rows
    expected: Mapping[str, Any]
    batches: Rows = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: Sequence[str] = ()


def load(folder: Path) -> list[Scenario]:
    """The scenarios of a folder, by name. StockbookError for a folder without any, or a file that is none."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise StockbookError("there are no scenarios here", folder=folder)
    return [_load(file, folder / DIFFERS / file.name) for file in files]


def load_pending(folder: Path) -> frozenset[str]:
    """The names in `pending.txt`, one a line; what stands behind a `#` is a remark."""
    file = folder / PENDING
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip()))


def unknown_rules(scenario: Scenario) -> list[str]:
    """The rules that a scenario names and that are not in the closed list."""
    return [rule for rule in scenario.rules if rule not in RULES]


def _load(file: Path, separate: Path) -> Scenario:
    try:
        return read_scenario(_differing(json.loads(file.read_text("utf-8")), separate))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StockbookError("this is no scenario", file=file, error=repr(error)) from error


def _differing(raw: dict[str, Any], separate: Path) -> dict[str, Any]:
    """The scenario with its meant differences, which may also stand in a file beside it."""
    if "differs" not in raw and separate.exists():
        return raw | {"differs": json.loads(separate.read_text("utf-8"))["differs"]}
    return raw


def read_scenario(raw: Mapping[str, Any]) -> Scenario:
    """A scenario from its JSON; the sections that differ on purpose already in place of the recorded ones."""
    differs: Rows = raw.get("differs", ())
    expected = dict(raw["expected"])
    for each in differs:
        expected.update(each["expected"])
    return Scenario(
        name=raw["name"],
        items=raw.get("items", ()),
        warehouses=raw.get("warehouses", ()),
        movements=raw["movements"],
        expected=expected,
        batches=raw.get("batches", ()),
        settings=raw.get("settings", {}),
        rules=tuple(dict.fromkeys(each["rule"] for each in differs)),
    )
