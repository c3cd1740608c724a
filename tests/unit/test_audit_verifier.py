"""The check of an audit file: whatever was changed, removed, inserted or moved in it is found, and named."""

import ast
import gzip
import json
import sys
from collections.abc import Sequence
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.desk.audit import verifier
from services.desk.audit.verifier import FINDINGS, Head, NoAuditFileError, read_heads
from shared.chain import Chain, beginning, hashes
from tests.audit_builders import (
    COMPANY,
    Value,
    chained,
    changed,
    entry,
    filed,
    findings,
    found,
    head_of,
    journal,
    transfer,
)

ENTRIES = [entry(number) for number in range(1, 6)]
JOURNAL = [journal(number) for number in range(1, 4)]
LEDGER_PART = chained(Chain.LEDGER, ENTRIES)
SOUND = filed([*LEDGER_PART, *chained(Chain.JOURNAL, JOURNAL)])
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def place(values: Sequence[Value], position: int, *, link: bool, chain: str = "ledger") -> int:
    """Where the row or the link of a position stands."""
    start = next(number for number, each in enumerate(values) if each.get("chain") == chain)
    return start + 2 * position - (0 if link else 1)


def name(position: int) -> str:
    return str(UUID(int=position))


# --- what is made of what --------------------------------------------------------------------------------------------


def test_a_sound_file_has_no_findings_and_says_what_is_there() -> None:
    check = verifier.Check([head_of(LEDGER_PART, 3)])
    assert list(check.findings(SOUND)) == []
    ledger, books = check.told
    assert ledger.startswith(f"ledger of {COMPANY}: 5 links, 5 rows, 1 to 5, hash ")
    assert ledger.endswith(", 1 published heads reached")
    assert books.endswith(", debits = credits = 38.52 EUR")


def test_the_verifier_and_the_services_agree_on_what_a_hash_is_made_of() -> None:
    assert verifier.beginning("ledger", "ä\n") == beginning(Chain.LEDGER, "ä\n").hex()
    digests = [bytes([number]) * 32 for number in range(3)]
    last = beginning(Chain.JOURNAL, "shop")
    expected = []
    for position, digest in enumerate(digests, 256):
        expected.append(verifier.link_hash(last.hex(), position, digest.hex()))
        last = bytes.fromhex(expected[-1])
    assert hashes(beginning(Chain.JOURNAL, "shop"), 255, b"".join(digests)).hex() == "".join(expected)


def test_the_beginning_is_what_the_documentation_says_to_the_byte() -> None:
    told = "5e27d706c7c0523231c507bb1b4ae95c6b9df43307a7fd132d9e417fbc702366"
    assert sha256(b'["chain.v1","ledger","shop"]').hexdigest() == told
    assert beginning(Chain.LEDGER, "shop").hex() == told


def test_the_verifier_imports_nothing_but_the_standard_library() -> None:
    tree = ast.parse(Path(verifier.__file__).read_text("utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {each.partition(".")[0] for each in modules} <= set(sys.stdlib_module_names)


def test_a_chain_without_entries_is_sound_and_a_part_begins_where_it_says() -> None:
    values = chained(Chain.LEDGER, ENTRIES)
    before = bytes.fromhex(head_of(values, 2).hash)
    later = filed(chained(Chain.LEDGER, ENTRIES[2:], first=3, before=before))
    assert found(filed(chained(Chain.JOURNAL, []))) == []
    assert found(later, [head_of(values, 2), head_of(values, 4)]) == []
    forged = [head_of(values, 2)._replace(hash="0" * 64)]
    assert found(later, forged) == [("ledger", 2, None, "it is not what was published")]


# --- what is wrong is named ------------------------------------------------------------------------------------------


@given(st.sampled_from(["ledger", "journal"]), st.integers(1, 3), st.data())
def test_a_row_of_which_any_field_was_changed_is_named(chain: str, position: int, data: st.DataObject) -> None:
    form = verifier.FORMS[chain]
    field = data.draw(st.sampled_from([each for each in form.fields if each not in (form.name, "company")]))
    new = data.draw(TEXTS)

    def change(values: list[Value]) -> None:
        row = values[place(values, position, link=False, chain=chain)]
        row[field] = new if new != row[field] else f"{new}x"

    assert found(changed(SOUND, change)) == [(chain, position, name(position), "the row was changed")]


@pytest.mark.parametrize("field", verifier.FORMS["ledger"].part)
@given(new=TEXTS)
def test_an_entry_of_which_a_serial_was_changed_is_named(field: str, new: str | None) -> None:
    def change(values: list[Value]) -> None:
        serial = values[place(values, 2, link=False)]["serials"][0]
        serial[field] = new if new != serial[field] else f"{new}x"

    assert found(changed(SOUND, change)) == [("ledger", 2, name(2), "the row was changed")]


@pytest.mark.parametrize("parts", [[], [transfer(1, "12.34")], [transfer(2, "0.5", line=None), transfer(1, "12.34")]])
def test_a_journal_entry_that_lost_a_transfer_or_has_them_in_another_order_is_named(parts: list[Value]) -> None:
    def change(values: list[Value]) -> None:
        values[place(values, 2, link=False, chain="journal")]["transfers"] = parts

    assert found(changed(SOUND, change)) == [("journal", 2, name(2), "the row was changed")]


@given(st.integers(1, 5), st.sampled_from(["digest", "hash"]), HEX)
def test_a_link_that_was_changed_is_named(position: int, field: str, new: str) -> None:
    def change(values: list[Value]) -> None:
        values[place(values, position, link=True)][field] = new

    told = found(changed(SOUND, change))
    what = "the link was changed" if field == "digest" else "the link does not follow"
    assert told[0] == ("ledger", position, name(position), what)
    # The next one was made of the hash that is gone.
    assert [each[1] for each in told[1:]] == ([position + 1] if field == "hash" and position < 5 else [])


def test_who_changes_a_row_and_the_digest_in_its_link_contradicts_the_hash() -> None:
    def change(values: list[Value]) -> None:
        values[place(values, 3, link=False)]["value"] = "1000000"
        forged = verifier.content(values[place(values, 3, link=False)], verifier.FORMS["ledger"])
        values[place(values, 3, link=True)]["digest"] = sha256(verifier.canonical(forged)).hexdigest()

    assert found(changed(SOUND, change)) == [("ledger", 3, name(3), "the link does not follow")]


def test_who_makes_all_links_anew_contradicts_what_was_published() -> None:
    rows = deepcopy(ENTRIES)
    rows[2]["value"] = "1000000"
    forged = filed(chained(Chain.LEDGER, rows))
    assert found(forged) == []
    assert found(forged, [head_of(LEDGER_PART, 2)]) == []
    assert found(forged, [head_of(LEDGER_PART, 4)]) == [("ledger", 4, None, "it is not what was published")]


def test_who_leaves_out_the_end_contradicts_what_was_published() -> None:
    shorter = filed(chained(Chain.LEDGER, ENTRIES[:3]))
    head = head_of(LEDGER_PART, 5)
    assert found(shorter, [head]) == [("ledger", 5, None, "the file does not reach a published head")]


@given(st.integers(1, 5))
def test_a_row_that_was_removed_is_named(position: int) -> None:
    def change(values: list[Value]) -> None:
        del values[place(values, position, link=False)]

    assert found(changed(SOUND, change)) == [("ledger", position, name(position), "the row is missing")]


@given(st.integers(1, 4))
def test_a_link_that_was_removed_is_named_and_its_row_too(position: int) -> None:
    def change(values: list[Value]) -> None:
        del values[place(values, position, link=True)]

    assert found(changed(SOUND, change)) == [
        ("ledger", position, None, "the link is missing"),
        ("ledger", None, name(position), "the row was inserted"),
    ]


@given(st.integers(1, 4))
def test_a_row_that_was_removed_with_its_link_is_named_by_its_position(position: int) -> None:
    def change(values: list[Value]) -> None:
        start = place(values, position, link=False)
        del values[start : start + 2]

    assert found(changed(SOUND, change)) == [("ledger", position, None, "the link is missing")]


def test_an_end_that_was_left_out_is_noticed() -> None:
    def change(values: list[Value]) -> None:
        start = place(values, 5, link=False)
        del values[start : start + 2]

    assert found(changed(SOUND, change)) == [("ledger", None, None, "the end of the chain")]


@given(st.integers(1, 5))
def test_a_row_that_was_inserted_is_named(position: int) -> None:
    def change(values: list[Value]) -> None:
        values.insert(place(values, position, link=False), entry(99))

    assert found(changed(SOUND, change)) == [("ledger", None, name(99), "the row was inserted")]


@given(st.integers(1, 5))
def test_a_row_that_was_inserted_with_a_link_is_named(position: int) -> None:
    def change(values: list[Value]) -> None:
        forged = chained(Chain.LEDGER, [entry(99)], first=position)[1:]
        start = place(values, position, link=False)
        values[start:start] = forged

    told = found(changed(SOUND, change))
    assert ("ledger", position, None, "the link was inserted") in told
    assert {each[1] for each in told} <= {position, position + 1}


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_two_rows_or_links_that_changed_places_are_named(one: int, other: int, link: bool) -> None:
    def change(values: list[Value]) -> None:
        here, there = place(values, one, link=link), place(values, other, link=link)
        values[here], values[there] = values[there], values[here]

    told = found(changed(SOUND, change))
    assert (told == []) == (one == other)
    if one != other:
        assert {one, other} <= {each[1] for each in told}
        assert {each[3] for each in told} == (
            {"the row was moved", "the link was moved"} if link else {"the row was moved"}
        )


@given(st.integers(1, len(SOUND) - 3), st.integers(1, len(SOUND) - 3))
def test_any_two_lines_that_changed_places_are_noticed(one: int, other: int) -> None:
    def change(values: list[Value]) -> None:
        values[one], values[other] = values[other], values[one]

    assert bool(findings(changed(SOUND, change))) == (one != other)


@given(st.integers(1, len(SOUND) - 2), st.integers(0, 10_000), st.integers(1, 255))
def test_any_byte_that_was_changed_in_the_file_is_noticed(line: int, place_: int, other: int) -> None:
    lines = list(SOUND)
    body = bytearray(lines[line])
    body[place_ % (len(body) - 1)] ^= other
    lines[line] = bytes(body)
    assert findings(lines) != []


def test_a_file_that_says_the_same_in_other_bytes_was_changed_too() -> None:
    lines = [*SOUND[:3], SOUND[3].replace(b":", b": ", 1), *SOUND[4:]]
    assert found(lines) == [("file", None, None, "the file was changed after it was exported")]


def test_a_name_twice_in_one_row_is_noticed_whichever_of_them_is_true() -> None:
    body = SOUND[2].replace(b'"value":', b'"value":"1000000","value":')
    assert body != SOUND[2]
    assert "a name twice in one object" in findings([*SOUND[:2], body, *SOUND[3:]])[0].what


@given(st.integers(1, len(SOUND) - 1))
def test_a_file_that_was_cut_off_is_noticed(length: int) -> None:
    assert ("file", None, None, "the file is cut off") in found(SOUND[:length])


def test_a_row_of_another_company_is_named_even_if_it_is_linked() -> None:
    foreign = chained(Chain.LEDGER, [entry(1, company="twin")])
    assert found(filed(foreign)) == [("ledger", None, name(1), "a row of another company")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0"},
        {"amount": "-1"},
        {"amount": "1e9"},
        {"amount": "NaN"},
        {"amount": None},
        {"debit": ""},
        {"credit": None},
    ],
)
def test_what_takes_nothing_from_one_account_to_another_does_not_balance(wrong: Value) -> None:
    unbalanced = chained(Chain.JOURNAL, [journal(1, transfers=[transfer(1, "5") | wrong])])
    assert found(filed(unbalanced)) == [("journal", None, name(1), "debits and credits differ")]


def test_a_chain_that_begins_with_another_hash_than_that_of_the_company_is_noticed() -> None:
    forged = chained(Chain.LEDGER, ENTRIES, before=b"\0" * 32)
    assert found(filed(forged)) == [("ledger", 0, None, "the beginning of the chain")]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b'{"row":"entry.v1"}\n',
        b'{"row":"entry.v1","row":"entry.v1"}\n',
        b'{"link":1,"covers":"a","digest":"b","hash":"c"}\n',
        b'{"link":true,"covers":[],"digest":7,"hash":{}}\n',
        b'{"chain":"other"}\n',
        b'{"chain":"ledger","first":"x","last":1,"before":7}\n',
        b'{"chain":"ledger","first":1000000000000000000000,"last":1,"before":"' + b"0" * 64 + b'"}\n',
        b'{"row":"entry.v1","company":"\\ud800"}\n',
        b"\xff\xfe\n",
        b'{"a":' * 5_000 + b"\n",
    ],
    ids=lambda line: line[:20].decode("utf-8", "replace"),
)
def test_a_line_that_is_none_of_ours_is_named_by_its_number(line: bytes) -> None:
    lines = [*SOUND[:4], line, *SOUND[4:]]
    assert 5 in [each.line for each in findings(lines)]


def test_a_file_in_which_everything_is_wrong_is_not_read_to_its_end() -> None:
    endless = (b"nonsense\n" for _ in range(10**9))
    check = verifier.Check()
    assert len(list(check.findings(line for source in (SOUND[:1], endless) for line in source))) == FINDINGS
    assert check.told == [f"so much is wrong that the check ended at line {FINDINGS + 1}"]


@pytest.mark.parametrize("kept", ["row", "link"])
def test_of_a_file_without_counterparts_no_more_is_kept_than_is_told(kept: str) -> None:
    values = chained(Chain.LEDGER, [entry(number) for number in range(3 * FINDINGS)])
    told = findings(filed([values[0], *(each for each in values if kept in each)]))
    assert len(told) <= FINDINGS + 1


@pytest.mark.parametrize("lines", [[], [b"nonsense\n"], [b"{}\n"], [b'{"audit":"audit.v9","company":"shop"}\n']])
def test_what_is_no_audit_file_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(NoAuditFileError):
        findings(lines)


# --- heads, and the command ------------------------------------------------------------------------------------------


def test_heads_are_read_as_text_and_as_they_were_published(tmp_path: Path) -> None:
    head = head_of(LEDGER_PART, 3)
    told = {"company": COMPANY, "chain": "ledger", "position": 3, "hash": head.hash, "source": "ledger"}
    event = {"type": "audit.head.v1", "data": {"movements": [told, told | {"position": 4}]}}
    kept = tmp_path / "heads.jsonl"
    kept.write_text(json.dumps(event) + "\n" + json.dumps(told) + "\n")
    assert read_heads(f"ledger:3:{head.hash}") == [Head(None, "ledger", 3, head.hash)]
    assert [each.position for each in read_heads(str(kept))] == [3, 4, 3]


@pytest.mark.parametrize("given_", ["ledger:3", "other:3:00", "nowhere", "ledger:0:" + "0" * 64])
def test_what_is_no_head_is_refused(given_: str) -> None:
    with pytest.raises(NoAuditFileError):
        read_heads(given_)


def test_a_file_without_a_head_in_it_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "heads.jsonl"
    for text in ("", "{}", '{"chain": "ledger", "position": -1, "hash": "0"}', "no json"):
        kept.write_text(text)
        with pytest.raises(NoAuditFileError):
            read_heads(str(kept))


def test_a_head_of_another_company_is_not_reached() -> None:
    foreign = head_of(LEDGER_PART, 3)._replace(company="twin")
    assert found(SOUND, [foreign]) == [("ledger", 3, None, "the file does not reach a published head")]


def test_the_exit_code_tells_sound_from_unsound_from_no_audit_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(SOUND))
    assert verifier.main([str(file), "--head", f"ledger:3:{head_of(LEDGER_PART, 3).hash}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "audit: sound"
    assert verifier.main([str(file), "--head", f"ledger:3:{'0' * 64}"]) == 3
    assert capsys.readouterr().out.splitlines()[-1] == "audit: 1 findings"
    assert verifier.main([str(tmp_path / "nowhere")]) == 1
    for nothing in (b"", b"\x1f\x8b", gzip.compress(b"".join(SOUND))[:-20], b"\x1f\x8b\x08" + b"\0" * 7 + b"spoiled"):
        file.write_bytes(nothing)
        assert verifier.main([str(file)]) == 1


def test_what_is_told_of_a_hostile_file_is_one_line_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(filed(chained(Chain.LEDGER, [entry(1, company="\x1b[2J\nsound\u202e")]))))
    assert verifier.main([str(file)]) == 3
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert len(told.splitlines()) == 3
