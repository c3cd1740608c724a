"""Checks an exported audit file by itself: `python verifier.py FILE [--head HEAD ...]`; nothing but Python is needed.

The file tells the entries of a company, each with the link of a chain that covers it. Every digest and every hash is
worked out again, so each row that was changed, removed, inserted or moved contradicts a link, and is named. Whoever
made all links anew contradicts a head that was published before: give those heads with --head. docs/audit.md of the
project has the format to the byte.

The one idea: rows and links are matched as they come, and only what has no counterpart yet is kept; in a sound file
that is one row at a time.

Exit code 0: sound. 3: it is not, and each finding is a line. 1: this is no such file. 2: wrong arguments.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

FORMAT = "audit.v1"
SOUND, NO_AUDIT_FILE, UNSOUND = 0, 1, 3
FINDINGS = 1_000
"""After so many findings it ends: each may keep a row or a link in memory."""


class Form(NamedTuple):
    """What rows of a kind are made of: their fields, the one that names them, and the parts that stand behind them."""

    kind: str
    fields: Sequence[str]
    name: str
    parts: str
    part: Sequence[str]


_ENTRY = """
company entry source id purpose line item warehouse batch stamp revaluation ordinal quantity value worth quantity_after
value_after rate effective_at recorded_at posting_date dated_at document currency original part_of true_up booked
"""
_JOURNAL = """
company journal_entry year number source id revaluation purpose posting_date effective_at recorded_at document currency
"""
_TRANSFER = "ordinal debit credit amount line entry"
FORMS = {
    "ledger": Form("entry.v1", _ENTRY.split(), "entry", "serials", "serial item cost".split()),
    "journal": Form("journal.v1", _JOURNAL.split(), "journal_entry", "transfers", _TRANSFER.split()),
}
_HEX = re.compile("[0-9a-f]{64}")
_HEAD = re.compile("(ledger|journal):([1-9][0-9]{0,17}):([0-9a-f]{64})")
_AMOUNT = re.compile(r"[0-9]{1,15}(\.[0-9]{1,3})?")


class NoAuditFileError(Exception):
    """This is not a file that the check is for."""


class Finding(NamedTuple):
    """Something wrong: the line of the file, the chain, the position of the link and the row, as far as known."""

    line: int
    chain: str
    position: int | None
    row: str | None
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        """The finding in one line; it says what should be there and what is."""
        place = f" {self.position}" if self.position is not None else ""
        row = f" ({self.row})" if self.row is not None else ""
        return f"line {self.line}: {self.chain}{place}{row}: {self.what}: expected {self.expected}, found {self.found}"


class Head(NamedTuple):
    """What was published of a chain: the hash of the link at a position."""

    company: str | None
    chain: str
    position: int
    hash: str


class Seen(NamedTuple):
    """A row that no link has covered yet: its line, its digest, and how many links had come before it."""

    line: int
    digest: str
    links: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a file, tell what is wrong with it; the exit code."""
    parser = argparse.ArgumentParser(description="Check an exported audit file.")
    parser.add_argument("file", help="the file, as it was exported, or packed by gzip")
    parser.add_argument("--head", action="append", default=[], help="a published head: CHAIN:POSITION:HASH, or a file")
    given = parser.parse_args(arguments)
    return verify(given.file, given.head)


def verify(file: str, heads: Sequence[str] = ()) -> int:
    """Check a file against itself and published heads, and tell it on standard output; the exit code."""
    try:
        known = [head for each in heads for head in read_heads(each)]
        with closing(_opened(file)) as lines:
            check = Check(known)
            for finding in check.findings(lines):
                sys.stdout.write(f"{shown(str(finding))}\n")
    except (NoAuditFileError, OSError, EOFError, zlib.error) as error:
        sys.stderr.write(f"audit: {shown(str(error))}\n")
        return NO_AUDIT_FILE
    for told in check.told:
        sys.stdout.write(f"{shown(told)}\n")
    if check.count:
        sys.stdout.write(f"audit: {check.count} findings\n")
        return UNSOUND
    sys.stdout.write("audit: sound\n")
    return SOUND


def shown(text: str) -> str:
    """A text as one line that no terminal takes for anything else."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


# --- reading ----------------------------------------------------------------------------------------------------------


def _opened(file: str) -> BinaryIO:
    """The file's lines, unpacked where it is packed."""
    raw = Path(file).open("rb")  # noqa: SIM115 - closed by who asked for it
    if raw.peek(2)[:2] != b"\x1f\x8b":
        return raw
    raw.close()
    return cast("BinaryIO", gzip.open(file))


def read_heads(given: str) -> list[Head]:
    """Heads as somebody kept them: one as text, or a file of them, as they were published, a message a line."""
    one = _HEAD.fullmatch(given)
    if one:
        return [Head(None, one[1], int(one[2]), one[3])]
    try:
        text = Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoAuditFileError(f"a head is CHAIN:POSITION:HASH, or a file of heads: {given} ({error})") from None
    heads = [head for line in text.splitlines() if line.strip() for head in _heads_in(_json(line))]
    if not heads:
        raise NoAuditFileError(f"there is no head in {given}")
    return heads


def _heads_in(value: Any) -> Iterator[Head]:
    """The heads in what was published, an event or several, or in a list of them."""
    if isinstance(value, dict) and value.keys() >= {"chain", "position", "hash"}:
        head = Head(value.get("company"), value["chain"], value["position"], value["hash"])
        if head.chain not in FORMS or not _is_position(head.position) or not _is_hash(head.hash):
            raise NoAuditFileError(f"this is no head: {json.dumps(value)[:200]}")
        yield head
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _heads_in(each)


def _json(line: str | bytes) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as error:
        raise NoAuditFileError(f"this is no JSON: {error}") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of two members of one name, readers may believe either."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice in one object")
    return found


def _is_position(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


# --- what is made of what ---------------------------------------------------------------------------------------------


def canonical(texts: Sequence[str | None]) -> bytes:
    """The bytes of a list of texts: JSON without blanks, nothing escaped that need not be."""
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()


def content(row: dict[str, Any], form: Form) -> list[str | None]:
    """The texts that a row consists of, in their order. ValueError where it is no such row."""
    if row.keys() != {"row", *form.fields, form.parts} or row["row"] != form.kind:
        raise ValueError(f"a row {form.kind} has other fields")
    texts = [form.kind, *(row[name] for name in form.fields)]
    for part in row[form.parts]:
        if not isinstance(part, dict) or part.keys() != set(form.part):
            raise ValueError(f"one of its {form.parts} has other fields")
        texts += [part[name] for name in form.part]
    if not all(each is None or isinstance(each, str) for each in texts):
        raise ValueError("every value is a text or null")
    return texts


def beginning(chain: str, company: str) -> str:
    """What stands for the hash before the first link."""
    return sha256(canonical(["chain.v1", chain, company])).hexdigest()


def link_hash(before: str, position: int, digest: str) -> str:
    """The hash of a link, out of that of the one before it."""
    return sha256(bytes.fromhex(before) + position.to_bytes(8, "big") + bytes.fromhex(digest)).hexdigest()


# --- checking ---------------------------------------------------------------------------------------------------------


class Check:
    """The check of one file: `findings` goes through it; then `count` is how many there were, `told` what was there."""

    def __init__(self, heads: Sequence[Head] = ()) -> None:
        self.told: list[str] = []
        self.count = 0
        self._heads = list(heads)
        self._company = ""
        self._chain: ChainCheck | None = None
        self._is_ended = False

    def findings(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """Go through the file and tell what is wrong. NoAuditFileError where it is none."""
        for finding in self._all(lines):
            self.count += 1
            yield finding

    def _all(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        whole, number = sha256(), 0
        for number, line in enumerate(lines, 1):
            yield from self._read(number, line, whole)
            whole.update(line)
            if self.count + (self._chain.open_ends if self._chain else 0) >= FINDINGS:
                self.told.append(f"so much is wrong that the check ended at line {number}")
                yield from self._leave(number)
                return
        if number == 0:
            raise NoAuditFileError("the file is empty")
        yield from self._leave(number)
        if not self._is_ended:
            yield Finding(number, "file", None, None, "the file is cut off", "its last line, with `end`", "none")
        for head in self._heads:
            what = "the file does not reach a published head"
            yield Finding(number, head.chain, head.position, None, what, head.hash, f"nothing of {self._company}")

    def _read(self, number: int, line: bytes, before: Any) -> Iterator[Finding]:
        if number == 1:
            self._company = _company(line)
            return
        try:
            value = _json(line)
            if self._is_ended or not isinstance(value, dict):
                raise ValueError("nothing of the kind belongs here")
            yield from self._take(number, value, before)
        except (NoAuditFileError, ValueError, TypeError, KeyError) as error:
            name = self._chain.name if self._chain else "file"
            found = line[:120].decode("utf-8", "replace").rstrip("\n")
            yield Finding(number, name, None, None, str(error), "a line as it was exported", found)

    def _take(self, number: int, value: dict[str, Any], before: Any) -> Iterator[Finding]:
        if "chain" in value:
            yield from self._leave(number)
            self._chain = ChainCheck(value, self._company, self._heads)
            yield from self._chain.begin(number)
        elif "end" in value:
            yield from self._leave(number)
            self._is_ended = True
            for what, expected in (("end", number - 1), ("sha256", before.hexdigest())):
                if value.get(what) != expected:
                    told = "the file was changed after it was exported"
                    yield Finding(number, "file", None, None, told, str(value.get(what)), str(expected))
        elif self._chain is None:
            raise ValueError("no chain has begun")
        elif "row" in value:
            yield from self._chain.row(number, value)
        else:
            yield from self._chain.link(number, value)

    def _leave(self, number: int) -> Iterator[Finding]:
        """End the chain that is under way."""
        if self._chain is not None:
            yield from self._chain.end(number)
            self.told.append(self._chain.told())
            self._heads = [each for each in self._heads if each not in self._chain.reached]
            self._chain = None


class ChainCheck:
    """One chain of the file. `reached` are the published heads that it was compared with."""

    def __init__(self, value: dict[str, Any], company: str, heads: Sequence[Head]) -> None:
        self.name = str(value["chain"])
        if self.name not in FORMS:
            raise ValueError(f"there is no chain of this name: {self.name}")
        self.reached: list[Head] = []
        self._form = FORMS[self.name]
        self._company = company
        self._heads = [each for each in heads if each.chain == self.name and each.company in (None, company)]
        self._first, self._last, self._before = value["first"], value["last"], value["before"]
        if not (_is_position(self._first) and isinstance(self._last, int) and _is_hash(self._before)):
            raise ValueError("a chain begins otherwise")
        self._hash: str = self._before
        self._position = self._first - 1
        self._seen: dict[str, Seen] = {}
        self._awaited: dict[str, tuple[int, str]] = {}
        self._missing: dict[int, int] = {}
        self._links = self._rows = 0
        self._sums: dict[str, Decimal] = {}

    @property
    def open_ends(self) -> int:
        """How many rows and links have no counterpart so far; one row has none before its link."""
        return len(self._seen) + len(self._awaited) + len(self._missing)

    def begin(self, line: int) -> Iterator[Finding]:
        """Compare with what stands before the first link."""
        expected = beginning(self.name, self._company)
        if self._first == 1 and self._before != expected:
            yield self._wrong(line, 0, None, "the beginning of the chain", expected, self._before)
        yield from self._published(line, self._position, self._before)

    def row(self, line: int, value: dict[str, Any]) -> Iterator[Finding]:
        """Take in a row; the link that covers it comes behind it."""
        texts = content(value, self._form)
        digest = sha256(canonical(texts)).hexdigest()
        name = str(value[self._form.name])
        self._rows += 1
        if value["company"] != self._company:
            yield self._wrong(line, None, name, "a row of another company", self._company, value["company"])
        if self.name == "journal":
            yield from self._balance(line, name, value)
        if name in self._awaited:
            position, expected = self._awaited.pop(name)
            yield self._wrong(line, position, name, "the row was moved", "before its link", "behind it")
            if digest != expected:
                yield self._wrong(line, position, name, "the row was changed", expected, digest)
        elif name in self._seen:
            yield self._wrong(line, None, name, "the row was inserted", "it once", f"line {self._seen[name].line} too")
        else:
            self._seen[name] = Seen(line, digest, self._links)

    def link(self, line: int, value: dict[str, Any]) -> Iterator[Finding]:
        """Take in a link: it follows on the one before it, and covers the row before it."""
        position, name, digest, hashed = value["link"], value["covers"], value["digest"], value["hash"]
        is_link = len(value) == 4 and isinstance(name, str)
        if not (is_link and _is_position(position) and _is_hash(digest) and _is_hash(hashed)):
            raise ValueError("a link has other fields")
        seen, before = self._seen.pop(name, None), self._hash
        follows = position == self._position + 1
        if not follows:
            yield from self._out_of_order(line, position)
        holds = not follows or hashed == link_hash(before, position, digest)
        if seen is None:
            self._awaited[name] = (position, digest)
        elif seen.links != self._links:
            yield self._wrong(line, position, name, "the row was moved", "before its link", "further on")
        if seen is not None and seen.digest != digest:
            if not holds and hashed == link_hash(before, position, seen.digest):
                holds = True
                yield self._wrong(line, position, name, "the link was changed", seen.digest, digest)
            else:
                yield self._wrong(line, position, name, "the row was changed", digest, seen.digest)
        if not holds:
            yield self._wrong(
                line, position, name, "the link does not follow", link_hash(before, position, digest), hashed
            )
        yield from self._published(line, position, hashed)
        if position > self._position:
            self._position, self._hash = position, hashed
        self._links += 1

    def end(self, line: int) -> Iterator[Finding]:
        """Tell what was left over, and compare with what the file says of itself."""
        for position in self._missing:
            yield self._wrong(self._missing[position], position, None, "the link is missing", "a link", "none")
        if self._position != self._last:
            yield self._wrong(line, None, None, "the end of the chain", f"link {self._last}", f"link {self._position}")
        for name, (position, digest) in self._awaited.items():
            yield self._wrong(line, position, name, "the row is missing", f"a row of digest {digest}", "none")
        for name, seen in self._seen.items():
            yield self._wrong(seen.line, None, name, "the row was inserted", "a link that covers it", "none")

    def told(self) -> str:
        """What was there, in one line."""
        text = f"{self.name} of {self._company}: {self._links} links, {self._rows} rows"
        text += f", {self._first} to {self._position}, hash {self._hash}"
        text += "".join(f", debits = credits = {total:,} {name}" for name, total in self._sums.items())
        return text + (f", {len(self.reached)} published heads reached" if self.reached else "")

    def _out_of_order(self, line: int, position: int) -> Iterator[Finding]:
        """A link that is not the next one: others are missing before it, or it comes late, or twice."""
        expected = self._position + 1
        if position in self._missing:
            del self._missing[position]
            yield self._wrong(line, position, None, "the link was moved", f"link {position}", f"link {self._position}")
        elif position <= self._position:
            yield self._wrong(line, position, None, "the link was inserted", f"link {expected}", f"link {position}")
        elif position - self._position > FINDINGS:
            yield self._wrong(line, position, None, "links are missing", f"link {expected}", f"link {position}")
        else:
            self._missing.update(dict.fromkeys(range(expected, position), line))

    def _wrong(
        self, line: int, position: int | None, row: str | None, what: str, expected: object, found: object
    ) -> Finding:
        return Finding(line, self.name, position, row, what, str(expected), str(found))

    def _published(self, line: int, position: int, hashed: str) -> Iterator[Finding]:
        for head in [each for each in self._heads if each.position == position]:
            self.reached.append(head)
            if head.hash != hashed:
                yield self._wrong(line, position, None, "it is not what was published", head.hash, hashed)

    def _balance(self, line: int, name: str, row: dict[str, Any]) -> Iterator[Finding]:
        """Each transfer takes an amount above zero from one account to another: so debits equal credits."""
        for each in row["transfers"]:
            amount, accounts = each["amount"], (each["debit"], each["credit"])
            if not all(accounts) or amount is None or not _AMOUNT.fullmatch(amount) or not Decimal(amount):
                told = ("an amount above zero and two accounts", f"{amount} from {accounts[1]} to {accounts[0]}")
                yield self._wrong(line, None, name, "debits and credits differ", *told)
            else:
                self._sums[row["currency"]] = self._sums.get(row["currency"], Decimal(0)) + Decimal(amount)


def _company(line: bytes) -> str:
    """Whose file it is, by its first line."""
    value = _json(line)
    if not isinstance(value, dict) or value.get("audit") != FORMAT or not isinstance(value.get("company"), str):
        raise NoAuditFileError(f"the first line is not that of an audit file, {FORMAT}")
    return str(value["company"])


if __name__ == "__main__":
    sys.exit(main())
