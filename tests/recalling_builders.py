"""A floor whose goods are recalled: the messages of a recall, through the gate, and what the command says of it."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from shared.contracts.outcome import OutcomeAccepted, OutcomeRejected
from tests.builders import COMPANY, SOURCE
from tests.commands import environment, invoke
from tests.receiving_builders import EVENING, after, goes, movement
from tests.tracing_builders import Floor, made_cream

SINCE = EVENING + timedelta(hours=2)


def creams(engine: Engine) -> Floor:
    """Oil of two suppliers was made into cream, some of which was delivered, sold to nobody by name, and issued."""
    floor = made_cream(engine)
    floor.tell(
        movement("delivery", goes("cream", 5, batch="C1"), id="D1", at=after(20), customer="Ann", document="note 1"),
        movement("delivery", goes("cream", 3, batch="C1"), id="D2", at=after(21), customer="Bob"),
    )
    return floor


def open_recall(floor: Floor, *goods: dict[str, Any], **fields: Any) -> str:
    """Recall goods; the id of the recall."""
    about = {"company": COMPANY, "actor": "mira", "reason": "a rash", "goods": list(goods), **fields}
    return accepted(floor.gate.define("recall.opened", **about)).id


def reach(floor: Floor, recall: str, customer: str, answer: str = "", **fields: Any) -> None:
    """Note that somebody was told."""
    about = {"recall": {"id": recall}, "customer": customer, "answer": answer, **fields}
    accepted(floor.gate.define("recall.reached", **about))


def close(floor: Floor, recall: str, evidence: str, **fields: Any) -> None:
    """Close a recall."""
    about = {"recall": {"id": recall}, "evidence": evidence, "actor": "mira", "reason": "done", **fields}
    accepted(floor.gate.define("recall.closed", **about))


def accepted(outcome: OutcomeAccepted | OutcomeRejected) -> OutcomeAccepted:
    """An outcome that nothing speaks against."""
    assert isinstance(outcome, OutcomeAccepted), outcome
    return outcome


def ask(floor: Floor, *arguments: str | Path) -> tuple[int, str, str]:
    """Run `stockbook` on the floor's database: exit code, output, error."""
    url = floor.engine.url.render_as_string(hide_password=False)
    done = invoke(*map(str, arguments), env=environment(STOCKBOOK_DATABASE_URL=url))
    return done.exit_code, done.stdout, str(done.exception)


def about(floor: Floor, recall: str, *options: str) -> dict[str, Any]:
    """What the command says of a recall, as JSON."""
    code, told, error = ask(floor, "recall", SOURCE, recall, "--format", "json", *options)
    assert code in (0, 3), error
    found: dict[str, Any] = json.loads(told)
    _assert_agree(found)
    return found


def _assert_agree(found: dict[str, Any]) -> None:
    """Who has what, and what stands where, is what the balances say, which know nothing of either."""
    for item in {each["item"] for each in found["balances"]}:
        of = {
            name: [each for each in found[name] if each["item"] == item] for name in ("balances", "to_reach", "stock")
        }
        told = [_sum(of["to_reach"], "quantity"), _sum(of["to_reach"], "came_back_before", "came_back_since")]
        balances = of["balances"]
        assert told == [_sum(balances, "delivered", "issued"), _sum(balances, "returned")]
        assert _sum(of["stock"], "quantity") == _sum(balances, "on_hand")


def _sum(told: Iterable[dict[str, Any]], *names: str) -> Decimal:
    return sum((Decimal(each.get(name, "0")) for each in told for name in names), Decimal(0))


def lines(floor: Floor, recall: str) -> list[str]:
    """What it says for people to read."""
    _, told, error = ask(floor, "recall", SOURCE, recall)
    assert told, error
    return told.splitlines()


def later(floor: Floor, moment: datetime = SINCE) -> None:
    """Let it be later at the gate."""
    floor.gate.now = moment
