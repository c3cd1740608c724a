"""Good examples of each type of event: samples that must decode for ever, and events of a shop's day."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.desk.docs.schemas import MANY, MANY_DEFINITIONS
from services.desk.events import read_event
from shared.contracts.registry import MOVEMENT_REQUESTED, STRUCTS

Sample = dict[str, Any]
Samples = Mapping[str, Sequence[Sample]]

_MADE_AT = datetime(2026, 1, 17, 9, 12, 40, tzinfo=UTC)
"""When the examples are said to be sent; they do not say it themselves."""


def read_samples(root: Path) -> Samples:
    """Whole events of each type, the best first; of a requested movement both forms, and so of a definition, if it has.

    ValueError for a type without any.
    """
    kept = list(_kept(root))
    days = list(_days(root))
    samples = {kind: [each for each in (*kept, *days) if each["type"] == kind][:1] for kind in STRUCTS}
    one = [each for each in days if each["type"] == MOVEMENT_REQUESTED and MANY not in each["data"]]
    samples[MOVEMENT_REQUESTED] = [*one[:1], *samples[MOVEMENT_REQUESTED]]
    for several in (each for each in kept if MANY_DEFINITIONS in each["data"]):
        samples[several["type"]].append(several)
    missing = [kind for kind, found in samples.items() if not found]
    if missing:
        raise ValueError(f"no sample of {', '.join(missing)} under tests/contracts")
    return samples


def _kept(root: Path) -> Iterator[Sample]:
    for file in sorted((root / "tests" / "contracts").glob("*.json")):
        yield json.loads(file.read_bytes())


def _days(root: Path) -> Iterator[Sample]:
    """The examples, which are events in short; what the command fills in when it publishes them is filled in."""
    for file in sorted((root / "examples").glob("**/*.jsonl")):
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            event = json.loads(read_event(line, "desk", _MADE_AT).body)
            yield event if "id" in json.loads(line) else {**event, "id": f"{file.stem}-{number}"}
