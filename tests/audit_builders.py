"""Builders for audit files: rows of both kinds, chained as the services do, in a file as it is exported."""

import json
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from services.desk.audit.verifier import FORMS, Check, Finding, Head, canonical, content
from shared.chain import SIZE, Chain, beginning, hashes

COMPANY = "shop"
Value = dict[str, Any]


def entry(number: int, **fields: Any) -> Value:
    """A row of a stock ledger entry."""
    form = FORMS["ledger"]
    plain = {name: f"{name} {number}" for name in form.fields}
    serials = [{"serial": f"S{number}", "item": "tea", "cost": "12.5"}]
    named = {"company": COMPANY, "entry": str(UUID(int=number)), "batch": None, "serials": serials}
    return {"row": form.kind, **plain, **named, **fields}


def journal(number: int, **fields: Any) -> Value:
    """A row of a journal entry with two transfers."""
    form = FORMS["journal"]
    plain = {name: f"{name} {number}" for name in form.fields}
    transfers = [transfer(1, "12.34"), transfer(2, "0.5", line=None)]
    named = {"company": COMPANY, "journal_entry": str(UUID(int=number)), "revaluation": None, "currency": "EUR"}
    return {"row": form.kind, **plain, **named, "transfers": transfers, **fields}


def transfer(ordinal: int, amount: str, **fields: Any) -> Value:
    """A part of a journal entry."""
    plain = {"ordinal": str(ordinal), "debit": "stock", "credit": "cash", "amount": amount, "line": "1", "entry": None}
    return {**plain, **fields}


def chained(chain: Chain, rows: Sequence[Value], first: int = 1, before: bytes | None = None) -> list[Value]:
    """What a file tells of rows that were chained in this order, from a position on."""
    before = before or beginning(chain, COMPANY)
    digests = [sha256(canonical(content(row, FORMS[chain.value]))).digest() for row in rows]
    linked = hashes(before, first - 1, b"".join(digests))
    values: list[Value] = [
        {"chain": chain.value, "first": first, "last": first + len(rows) - 1, "before": before.hex()}
    ]
    for place, (row, digest) in enumerate(zip(rows, digests, strict=True)):
        own = linked[place * SIZE : (place + 1) * SIZE]
        name = row[FORMS[chain.value].name]
        values += [row, {"link": first + place, "covers": name, "digest": digest.hex(), "hash": own.hex()}]
    return values


def filed(values: Iterable[Value]) -> list[bytes]:
    """The lines of a file, the first and the last included."""
    lines = [_line(each) for each in ({"audit": "audit.v1", "company": COMPANY}, *values)]
    return [*lines, _line({"end": len(lines), "sha256": sha256(b"".join(lines)).hexdigest()})]


def changed(lines: Sequence[bytes], change: Callable[[list[Value]], None]) -> list[bytes]:
    """A file that somebody changed who also made its last line anew."""
    values = [json.loads(line) for line in lines[1:-1]]
    change(values)
    return filed(values)


def findings(lines: Iterable[bytes], heads: Sequence[Head] = ()) -> list[Finding]:
    """What is wrong with a file."""
    return list(Check(heads).findings(iter(lines)))


def found(lines: Iterable[bytes], heads: Sequence[Head] = ()) -> list[tuple[str, int | None, str | None, str]]:
    """The same in short: chain, position, row, and what."""
    return [(each.chain, each.position, each.row, each.what) for each in findings(lines, heads)]


def head_of(values: Sequence[Value], position: int) -> Head:
    """The head that was published when the chain had come to a position."""
    chain = next(each["chain"] for each in values if "chain" in each)
    return next(Head(COMPANY, chain, position, each["hash"]) for each in values if each.get("link") == position)


def _line(value: Value) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
