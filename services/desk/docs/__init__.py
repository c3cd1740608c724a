"""What an upstream reads, written from the code: JSON Schemas, an AsyncAPI document, and a page about every message.

`render` is the whole of it; `python -m services.desk.docs` (`make docs`) writes what it returns, and a test compares.
Every description is a docstring of `shared.contracts`, so there is nothing to keep in step by hand.
"""

import json
from pathlib import Path
from typing import Any

from services.desk.docs.asyncapi import document
from services.desk.docs.page import page
from services.desk.docs.samples import read_samples
from services.desk.docs.schemas import event_schema, file_name
from shared.contracts.registry import STRUCTS

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("docs/messages")


def render(root: Path = ROOT) -> dict[Path, str]:
    """The text of every generated file, by its path from the repository's root.

    Reads the samples and examples below `root`; ValueError where a type has none.
    """
    samples = read_samples(root)
    schemas = {kind: event_schema(kind) for kind in STRUCTS}
    files = {FOLDER / file_name(kind): _json(schema) for kind, schema in schemas.items()}
    files[FOLDER / "asyncapi.json"] = _json(document(schemas, samples))
    files[FOLDER / "README.md"] = page(schemas, samples)
    return files


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
