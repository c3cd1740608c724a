"""An audit file: the entries of a company with the links that cover them, for somebody who has no access to us.

The one idea: the database makes the very text that was hashed, and it is only written with names. So the file shows
what stands in the tables, and whether that agrees with the links is for its reader to find out. `verifier` has the
format.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from services.desk.audit.verifier import FORMAT, FORMS
from services.desk.store.chains import hash_at, links, standings, unlinked
from shared.chain import Chain, beginning
from shared.errors import StockbookError


@dataclass(frozen=True, slots=True)
class Part:
    """What of a company's chains is exported: all chains, or one from a position to another."""

    company: str
    chain: Chain | None = None
    first: int | None = None
    last: int | None = None


def export(connection: Connection, part: Part) -> Iterator[str]:
    """The lines of an audit file, read as of one moment. StockbookError where there is no such part."""
    whole, count = sha256(), 0
    for value in _values(connection, part):
        line = _line(value)
        whole.update(line.encode())
        count += 1
        yield line
    yield _line({"end": count, "sha256": whole.hexdigest()})


def _values(connection: Connection, part: Part) -> Iterator[dict[str, Any]]:
    reached = {each.chain: each.position for each in standings(connection, part.company)}
    if not reached:
        raise StockbookError("nothing of this company is chained", company=part.company)
    yield {"audit": FORMAT, "company": part.company}
    for chain in [part.chain] if part.chain else Chain:
        yield from _chain(connection, part, chain, reached.get(chain, 0))


def _chain(connection: Connection, part: Part, chain: Chain, reached: int) -> Iterator[dict[str, Any]]:
    first = 1 if part.first is None else part.first
    last = reached if part.last is None else part.last
    if not 1 <= first <= last + 1 or last > reached:
        facts = {"chain": chain.value, "first": first, "last": last, "reached": reached}
        raise StockbookError("the chain has no such part", **facts)
    before = beginning(chain, part.company) if first == 1 else hash_at(connection, chain, part.company, first - 1)
    yield {"chain": chain.value, "first": first, "last": last, "before": before.hex() if before else ""}
    for link in links(connection, chain, part.company, first, last):
        if link.content is not None:
            yield _row(chain, link.content)
        yield {"link": link.position, "covers": link.covers, "digest": link.digest.hex(), "hash": link.hash.hex()}
    if part.first is None and part.last is None:
        for content in unlinked(connection, chain, part.company):
            yield _row(chain, content)


def _row(chain: Chain, content: str) -> dict[str, Any]:
    """A content with names: its fields, then its parts."""
    form = FORMS[chain.value]
    kind, *texts = json.loads(content)
    size, width = len(form.fields), len(form.part)
    parts = [_named(form.part, texts[start : start + width]) for start in range(size, len(texts), width)]
    return {"row": kind, **_named(form.fields, texts[:size]), form.parts: parts}


def _named(names: Sequence[str], texts: Sequence[str | None]) -> dict[str, str | None]:
    return dict(zip(names, texts, strict=True))


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
