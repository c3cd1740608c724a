"""The corpus: of each way in which an input was taken or refused, the smallest one that was seen; `make test` plays it.

A line of the file is an input, its bytes as text of the same numbers, with what it was taken for.
"""

import json
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random

from shared.broker import Delivery
from shared.reading import read_delivery
from tests.fuzz.decoding import GATE, decode
from tests.fuzz.making import Made, make

FILE = Path(__file__).parent / "corpus" / "decoding.jsonl"
LARGEST = 900
"""Inputs of more bytes are left to the fuzzer."""
_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\d+")


@dataclass(frozen=True, slots=True)
class Kept:
    """An input, and what each of its parts was taken for."""

    made: Made
    results: tuple[str, ...]


def kept() -> list[Kept]:
    """The inputs of the corpus."""
    lines = FILE.read_text("ascii").splitlines() if FILE.exists() else []
    return [_read(json.loads(line)) for line in lines]


def gather(seed: int, count: int) -> int:
    """Write the corpus anew, out of so many inputs and what is in it; how many inputs it has."""
    random = Random(seed)
    smallest: dict[str, Made] = {}
    for made in chain((each.made for each in kept()), (make(random) for _ in range(count))):
        way = _way(made)
        if len(made.body) <= LARGEST and (way not in smallest or len(made.body) < len(smallest[way].body)):
            smallest[way] = made
    lines = [_line(made) for _, made in sorted(smallest.items())]
    FILE.write_text("".join(f"{line}\n" for line in lines), "ascii")
    return len(lines)


def _way(made: Made) -> str:
    """How an input is taken: its first results, and the errors without the names and numbers in them."""
    inputs, parked = read_delivery(GATE, Delivery(made.body, made.routing_key, made.headers, 0, False, None, made.user))
    problems = [str(getattr(each.value, "problem", "")) for each in inputs]
    errors = [_NAMES.sub("?", text)[:45] for text in (*problems, *(each.error for each in parked))]
    kinds = {each.kind for each in inputs} if len(parked) == 0 else set()
    return " | ".join([*sorted({*decode(made)}), *sorted(map(str, kinds)), *sorted(set(errors))][:4])


def _line(made: Made) -> str:
    about = {"key": made.routing_key, "headers": made.headers, "user": made.user, "results": decode(made)}
    return json.dumps({"body": made.body.decode("latin-1"), **about})


def _read(line: dict[str, object]) -> Kept:
    body, key, headers, user = (line[name] for name in ("body", "key", "headers", "user"))
    results = line["results"]
    assert isinstance(body, str)
    assert isinstance(key, str)
    assert isinstance(headers, dict)
    assert isinstance(results, list)
    assert user is None or isinstance(user, str)
    return Kept(Made(body.encode("latin-1"), key, headers, user), tuple(map(str, results)))
