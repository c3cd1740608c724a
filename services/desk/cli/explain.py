"""`stockbook explain`: where the value of a movement came from, down to the receipts, openings and counts."""

import json
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import typer
from sqlalchemy import Connection

from services.desk.cli.branches import show
from services.desk.cli.telling import tell
from services.desk.servers import reading
from services.desk.store.movements import Called, Stage, movements_called
from services.ledger.decide.explaining.recorded import Recorded
from services.ledger.decide.explaining.tree import Limits, Node
from services.ledger.store.explaining import Caused, Explanation, explain, hold_still
from shared.contracts.movement import Leg, MovementAllocated
from shared.errors import StockbookError
from shared.printable import printable_json
from shared.quantities import plain
from shared.service import Key
from shared.settings import Settings

LISTED = 20
"""Parts that are listed under one: the largest."""
NODES, NODES_AS_JSON = 1_000, 20_000
DEPTH, DEEPEST = 50, 200

_WHY_NOT = {
    Stage.WAITING: "it waits at the gate for what it lacks: see `stockbook report waiting`",
    Stage.REJECTED: "it was rejected: see `stockbook rejected show`",
    Stage.ACCEPTED: "it was accepted, and the ledger has not posted it yet: see `stockbook status`",
}


def explain_movement(
    movement: str = typer.Argument(metavar="MOVEMENT", help="The movement's id."),
    source: str | None = typer.Option(None, help="Its upstream; needed where several have such a movement."),
    company: str | None = typer.Option(None, help="Only a movement of this company."),
    depth: int = typer.Option(DEPTH, min=1, max=DEEPEST, help="How many movements to go back at most."),
    everything: bool = typer.Option(False, "--all", help="All parts, however many and however small."),
    as_json: bool = typer.Option(False, "--json", help="As JSON, with all parts of each part."),
) -> None:
    """Say where the value of each line came from: receipts, costs, counts, through transfers, making and returns."""
    listed = None if everything or as_json else LISTED
    nodes = None if everything else NODES_AS_JSON if as_json else NODES
    with reading(Settings.from_environment()) as connection:
        hold_still(connection)
        key = _find(connection, movement, source, company)
        found = explain(connection, key, Limits(depth, listed, nodes))
    if as_json:
        sys.stdout.write(printable_json(json.dumps(_as_json(found), ensure_ascii=False, indent=2)) + "\n")
    else:
        show(tell(found))


def _find(connection: Connection, name: str, source: str | None, company: str | None) -> Key:
    """The one movement that is meant, if it is posted."""
    called = [
        each
        for each in movements_called(connection, name)
        if source in (None, each.key[0]) and (company is None or each.company in (None, company))
    ]
    if not called:
        raise StockbookError("there is no such movement", id=name, source=source or "any", company=company or "any")
    if len(called) > 1:
        raise StockbookError("several sources have such a movement: say --source", sources=_sources(called))
    if called[0].stage is not Stage.POSTED:
        raise StockbookError(f"nothing to explain: {_WHY_NOT[called[0].stage]}", source=called[0].key[0], id=name)
    return called[0].key


def _sources(called: Sequence[Called]) -> str:
    return ", ".join(each.key[0] for each in called)


# --- as JSON ---------------------------------------------------------------------------------------------------------


def _as_json(explanation: Explanation) -> dict[str, Any]:
    movement = explanation.movement
    told: dict[str, Any] = {
        "source": movement.source,
        "id": movement.id,
        "company": movement.company,
        "currency": movement.currency,
        "purpose": movement.purpose,
        "posting_date": movement.posting_date.isoformat(),
        "entries": [_entry(each, explanation) for each in explanation.roots],
    }
    if explanation.cancelled_by is not None:
        told["cancelled_by"] = _named(explanation.cancelled_by)
    if explanation.mirrors is not None:
        told["mirrors"] = _named(explanation.mirrors)
    if changed := [leg for leg in movement.legs if leg.corrects is not None]:
        told["found_later"] = [_found_later(leg, explanation) for leg in changed]
    if explanation.provisional:
        told["provisional"] = [
            {"item": item, "warehouse": warehouse, "from_at": from_at.isoformat()}
            for (item, warehouse), from_at in explanation.provisional.items()
        ]
    return told


def _entry(node: Node, explanation: Explanation) -> dict[str, Any]:
    recorded = explanation.entries[node.part.entry or ""]
    own = {"line": recorded.line, **_place(recorded), **_amounts(recorded.quantity, recorded.total)}
    original = explanation.entries.get(recorded.original or "")
    own |= {"original": _of_entry(original)} if original else {}
    later = [_of_entry(each) | {"value": plain(each.total)} for each in explanation.later.get(recorded.entry, ())]
    steps = [_step(each) for each in explanation.steps.get(recorded.entry, ())]
    return own | _below(node, explanation) | ({"later": later} if later else {}) | ({"steps": steps} if steps else {})


def _found_later(leg: Leg, explanation: Explanation) -> dict[str, Any]:
    """How much more, or less, a count finds because of the movement."""
    count = explanation.entries.get(leg.original or "")
    return {"line": leg.line, "quantity": plain(leg.quantity)} | ({"by": _of_entry(count)} if count else {})


def _step(step: Caused) -> dict[str, Any]:
    """What was told at one time: the steps of an entry add up to it."""
    addition = step.addition
    causes = {"because_of": [_named(each) for each in step.causes]} if step.causes else {}
    return {
        "recorded_at": addition.recorded_at.isoformat(),
        "posting_date": addition.posting_date.isoformat(),
        **_amounts(addition.quantity, addition.value),
        **causes,
    }


def _named(movement: MovementAllocated) -> dict[str, str]:
    return {"source": movement.source, "id": movement.id, "purpose": movement.purpose}


def _part(node: Node, explanation: Explanation) -> dict[str, Any]:
    part = node.part
    told: dict[str, Any] = {"kind": part.kind.value, **_amounts(node.quantity, node.value)}
    if part.rate is not None:
        told["rate"] = plain(part.rate)
    if part.account is not None:
        told["account"] = part.account
    if part.serials:
        told["serials"] = list(part.serials)
    if part.entry is not None:
        told |= _of_entry(explanation.entries[part.entry])
    return told | _below(node, explanation)


def _below(node: Node, explanation: Explanation) -> dict[str, Any]:
    if node.closed:
        return {"closed": True}
    return {"parts": [_part(each, explanation) for each in node.parts]} if node.parts else {}


def _of_entry(recorded: Recorded) -> dict[str, Any]:
    whole = {"of": plain(recorded.quantity)} if recorded.quantity else {}
    return whole | {
        "source": recorded.source,
        "id": recorded.id,
        "purpose": recorded.purpose,
        "posting_date": recorded.posting_date.isoformat(),
        "line": recorded.line,
        **_place(recorded),
    }


def _place(recorded: Recorded) -> dict[str, Any]:
    batch = {"batch": recorded.batch} if recorded.batch else {}
    return {"entry": recorded.entry, "item": recorded.item, "warehouse": recorded.warehouse, **batch}


def _amounts(quantity: Decimal, value: Decimal) -> Mapping[str, str]:
    return {"quantity": plain(quantity), "value": plain(value)}
