"""Manifests: what a manifest expects, when it contradicts itself, and what an answer says."""

import hashlib
import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from services.receiving.decide import manifests
from services.receiving.decide.manifests import (
    NUMBERS_LIMIT,
    SHOWN,
    Arrival,
    Found,
    Refused,
    Sums,
    digest_of,
    expected,
    faults,
    may_still_come,
    reconcile,
    sums_of,
    unused,
)
from services.receiving.decide.spans import merged, owed, size, told, without
from shared.contracts.manifest import SourceReconciled
from shared.contracts.movement import Tax
from shared.quantities import Money, Quantity
from tests.manifest_builders import digest_for, manifest, total
from tests.receiving_builders import line, movement

NOW = datetime(2026, 3, 3, 6, tzinfo=UTC)


def answer(said: Any, *arrived: tuple[int, str | None], **found: Any) -> SourceReconciled:
    """A manifest compared with what arrived."""
    return reconcile("till", "m", said, Found([Arrival(*each) for each in arrived], **found), NOW)


# --- spans -----------------------------------------------------------------------------------------------------------


def test_spans_that_touch_become_one() -> None:
    assert merged([(1, 2), (3, 3), (3, 5), (7, 6), (8, 9)]) == [(1, 5), (8, 9)]


def test_what_is_left_of_spans_is_cut_where_others_begin_and_end() -> None:
    assert list(without([(1, 10), (20, 30)], [(3, 4), (10, 21), (30, 30)])) == [(1, 2), (5, 9), (22, 29)]


def test_a_span_is_told_as_people_write_it() -> None:
    assert [told((1041, 1044)), told((7, 7))] == ["1041–1044", "7"]


@pytest.mark.parametrize(
    ("between", "ends", "claimed", "no_gaps", "owes"),
    [
        ([], None, [], [], []),
        ([], (5, 9), [], [], []),
        ([(6, 7)], (5, 9), [], [], [(6, 7)]),
        ([], (5, 9), [(3, 11)], [], [(3, 4), (10, 11)]),
        ([], None, [(3, 11)], [(4, 5)], [(3, 3), (6, 11)]),
        ([(6, 7)], (5, 9), [(7, 7)], [(7, 7)], [(6, 6)]),
        ([], (5, 9), [(9, 8)], [], []),
        ([], (5, 9), [(12, 12)], [(12, 12)], [(10, 11)]),
    ],
)
def test_a_source_owes_what_lies_between_what_arrived_and_what_it_said(
    between: Any, ends: Any, claimed: Any, no_gaps: Any, owes: Any
) -> None:
    assert owed(between, ends, claimed, no_gaps) == owes


# --- what a manifest expects -----------------------------------------------------------------------------------------


def test_numbers_said_to_be_unused_are_not_expected() -> None:
    said = manifest(1, 9, unused=[(8, 9), (2, 3)])
    assert faults(said) == []
    assert expected(said) == [(1, 1), (4, 7)]
    assert unused(said) == [(2, 3), (8, 9)]


def test_numbers_that_a_list_leaves_out_are_not_expected() -> None:
    said = manifest(1, 9, listed=[(4, "b"), (2, "a"), (3, "c")])
    assert faults(said) == []
    assert expected(said) == [(2, 4)]
    assert unused(said) == [(1, 1), (5, 9)]


@pytest.mark.parametrize(
    ("said", "codes"),
    [
        (manifest(5, 4), []),
        (manifest(5, 3, count=0), ["manifest_backwards"]),
        (manifest(1, NUMBERS_LIMIT), []),
        (manifest(1, NUMBERS_LIMIT + 1), ["manifest_too_long"]),
        (manifest(5, 9, unused=[(4, 5)]), ["manifest_number_outside"]),
        (manifest(5, 9, unused=[(9, 10)]), ["manifest_number_outside"]),
        (manifest(5, 9, unused=[(7, 6)]), ["manifest_number_outside"]),
        (manifest(5, 9, listed=[(10, "a")]), ["manifest_number_outside"]),
        (manifest(5, 9, unused=[(5, 6), (6, 7)]), ["manifest_number_repeated"]),
        (manifest(5, 9, listed=[(5, "a"), (5, "b")]), ["manifest_number_repeated"]),
        (manifest(5, 9, listed=[(5, "a")], unused=[(5, 5)]), ["manifest_number_repeated"]),
        (manifest(5, 9, listed=[(5, "a")], unused=[(6, 9)]), []),
        (manifest(5, 9, count=4), ["manifest_count_wrong"]),
        (manifest(5, 9, count=4, unused=[(5, 5)]), []),
        (manifest(5, 9, count=2, listed=[(5, "a")]), ["manifest_count_wrong"]),
        (manifest(5, 9, listed=[(5, "T-5")], digest=digest_for(5)), []),
        (manifest(5, 9, listed=[(5, "T-5")], digest=digest_for(6)), ["manifest_digest_wrong"]),
        (manifest(1, 0, totals=[total(), total("sale")]), []),
        (manifest(1, 0, totals=[total(), total("sale"), total()]), ["manifest_total_repeated"]),
        (manifest(1, 2, count=3, totals=[total(), total()]), ["manifest_count_wrong", "manifest_total_repeated"]),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(said: Any, codes: list[str]) -> None:
    assert [each.code for each in faults(said)] == codes


def test_the_digest_is_that_of_the_tools_that_everybody_has() -> None:
    ids = ["T-10", "T-9", "ü", "z", "T-1"]
    script = r"printf '%s\0' T-10 T-9 ü z T-1 | LC_ALL=C sort -z | sha256sum"
    assert subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout.split()[
        0
    ].decode() == digest_of(ids)
    assert digest_of(ids) == hashlib.sha256("T-1\0T-10\0T-9\0z\0ü\0".encode()).hexdigest()
    assert digest_of([]) == hashlib.sha256().hexdigest()


def test_a_movement_adds_up_the_fields_of_its_lines_as_they_were_sent() -> None:
    taxed = [Tax(code="VAT", amount=Money("0.19")), Tax(code="CITY", amount=Money("0.01"))]
    sold = movement(
        "sale", line("tea", "1.5", net="2.50", tax=taxed), line("tea", unit="box"), line("bag", -1, net="-1")
    )
    assert sums_of(sold) == Sums(1, Quantity("0.5"), Money("1.50"), Money("0.20"))


# --- answers ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_arrived_under_its_number() -> None:
    said = answer(manifest(1, 2, listed=[(1, "a"), (2, "b")]), (1, None), (2, "b"))
    assert (said.missing, said.extra, said.arrived) == ([], [], 2)


def test_an_answer_that_found_all_but_not_all_accepted_says_so() -> None:
    said = answer(manifest(1, 2), (1, "a"), (2, "b"), refused=[Refused(2, "b", "rejected", ["malformed"])])
    assert (said.result, said.arrived, said.accepted) == ("not_accepted", 2, 1)


def test_only_what_is_missing_or_waits_may_still_come() -> None:
    said = manifest(1, 1)
    assert may_still_come(answer(said))
    assert may_still_come(answer(said, (1, "a"), refused=[Refused(1, "a", "waiting")]))
    assert not may_still_come(answer(said, (1, "a"), refused=[Refused(1, "a", "rejected")]))
    assert not may_still_come(answer(said, (1, "a"), (1, "b")))


def test_an_answer_is_cut_and_says_how_much_there_is() -> None:
    many = range(1, 2 * SHOWN + 2, 2)
    said = manifest(1, 4 * SHOWN, unused=[(number, number) for number in many])
    arrived = [(number, f"T-{number}") for number in many] + [(2 * SHOWN + 2, "a"), (2 * SHOWN + 2, "b")]
    got = answer(said, *arrived, refused=[Refused(number, f"T-{number}", "rejected") for number in many])
    assert (len(got.extra), got.extra_count) == (SHOWN, SHOWN + 1)
    assert (len(got.missing), got.missing_count) == (SHOWN, size(expected(said)) - 1)
    assert (len(got.not_accepted), got.not_accepted_count) == (SHOWN, SHOWN + 1)
    assert (len(got.repeated), got.repeated_count) == (1, 1)
    assert manifests.SHOWN == 1_000  # the contract says so
