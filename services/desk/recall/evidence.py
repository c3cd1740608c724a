"""The evidence file of a recall: everything that is known of it at a moment, with what shows that nothing was changed.

The one idea: the file's digest travels in the message that closes the recall, and the heads of the chains in the file
cover every entry that it tells of. So neither the file nor the books can be changed later without the other saying so.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from services.desk.recall.finding import Findings
from services.desk.recall.rows import document
from services.desk.store.chains import Standing
from services.desk.store.recalls import Recall
from services.desk.trace.rows import document as traced
from shared.contracts.envelope import write_event
from shared.contracts.movement import Reference
from shared.contracts.recall import RecallClosed
from shared.contracts.registry import RECALL_CLOSED
from shared.errors import StockbookError
from shared.printable import printable_json

FORMAT = "stockbook-recall-evidence.v1"


@dataclass(frozen=True, slots=True)
class Made:
    """When an evidence file was made, by whom, and with which version."""

    at: datetime
    by: str
    version: str


def evidence(found: Findings, seconds: float, heads: Sequence[Standing], made: Made) -> bytes:
    """The content of the file: JSON, always in the same order, for people and programs to read."""
    told = {
        "evidence": FORMAT,
        "made": asdict(made) | {"at": made.at.isoformat()},
        **document(found, seconds),
        "trace": {"came_from": traced(found.up), "went_to": traced(found.down)},
        "heads": [_head(each) for each in heads],
    }
    return (printable_json(json.dumps(told, ensure_ascii=False, indent=1)) + "\n").encode()


def write_new(file: Path, content: bytes) -> None:
    """Write a file that is not there yet; StockbookError where it is, or cannot be written."""
    try:
        with file.open("xb") as out:
            out.write(content)
    except FileExistsError as error:
        raise StockbookError("there is such a file already, and evidence replaces nothing", file=file) from error
    except OSError as error:
        raise StockbookError("the evidence cannot be written", file=file, error=error.strerror) from error


def digest(content: bytes) -> str:
    """The SHA-256 that closes a recall."""
    return sha256(content).hexdigest()


def closing(recall: Recall, evidence: str, actor: str, reason: str, *, release: bool) -> str:
    """The event that closes a recall with a file of this digest, or lets its goods go, on one line."""
    named = Reference(source=recall.source, id=recall.id)
    told = RecallClosed(recall=named, evidence=evidence, actor=actor, reason=reason, release=release)
    name = f"{recall.id}-{'closed' if recall.closed_at is None else 'released'}"
    return write_event(RECALL_CLOSED, recall.source, name, told).decode()


def _head(standing: Standing) -> dict[str, Any]:
    """How far a chain had come; `waiting` entries have no link yet."""
    return {
        "chain": standing.chain.value,
        "position": standing.position,
        "hash": standing.hash.hex() if standing.hash else None,
        "recorded_at": standing.recorded_at.isoformat() if standing.recorded_at else None,
        "waiting": standing.waiting,
    }
