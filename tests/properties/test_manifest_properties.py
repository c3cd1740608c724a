"""Gaps and answers, whatever was sent and whatever arrived: against sets, which are slow and plain to see."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.receiving.decide.manifests import Arrival, Found, digest_of, expected, faults, reconcile, unused
from services.receiving.decide.spans import Span, merged, owed, size, without
from shared.contracts.manifest import SourceManifest
from tests.manifest_builders import manifest

NOW = datetime(2026, 3, 3, 6, tzinfo=UTC)
MOST = 24

numbers = st.integers(1, MOST)
spans = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=8)
named = st.tuples(numbers, st.sampled_from("abc"))


def all_of(some: list[Span]) -> set[int]:
    """Every number of some spans."""
    return {number for first, last in some for number in range(first, last + 1)}


def spans_of(some: set[int]) -> list[Span]:
    """Numbers as spans, found one by one."""
    done: list[Span] = []
    for number in range(MOST + 1):
        if number in some:
            first = done.pop()[0] if done and done[-1][1] == number - 1 else number
            done.append((first, number))
    return done


@given(some=spans)
def test_merged_spans_have_the_same_numbers_and_never_touch(some: list[Span]) -> None:
    assert merged(sorted(some)) == spans_of(all_of(some))
    assert size(merged(sorted(some))) == len(all_of(some))


@given(some=spans, others=spans)
def test_spans_without_others_have_the_numbers_that_only_they_have(some: list[Span], others: list[Span]) -> None:
    left = list(without(merged(sorted(some)), merged(sorted(others))))
    assert left == spans_of(all_of(some) - all_of(others))


@given(arrived=st.sets(numbers), claimed=spans, unclaimed=spans)
def test_owed_is_each_number_between_the_lowest_and_the_highest_of_which_nothing_came(
    arrived: set[int], claimed: list[Span], unclaimed: list[Span]
) -> None:
    ends = (min(arrived), max(arrived)) if arrived else None
    between = [] if ends is None else spans_of(set(range(ends[0], ends[1] + 1)) - arrived)
    known = arrived | all_of(claimed)
    whole = set(range(min(known), max(known) + 1)) if known else set()
    assert owed(between, ends, claimed, unclaimed) == spans_of(whole - arrived - all_of(unclaimed))


@st.composite
def ranges(draw: st.DrawFn) -> SourceManifest:
    """A manifest that says which numbers were not used."""
    first, last = draw(st.tuples(numbers, numbers).map(sorted))
    skipped = draw(st.sets(st.integers(first, last)))
    return manifest(first, last, unused=draw(st.permutations(spans_of(skipped))))


@st.composite
def lists(draw: st.DrawFn) -> SourceManifest:
    """A manifest that names each movement."""
    told = draw(st.dictionaries(numbers, st.sampled_from("abc"), min_size=1))
    return manifest(1, MOST, listed=draw(st.permutations(list(told.items()))))


@given(said=ranges(), arrived=st.sets(named), unreadable=st.sets(numbers))
def test_of_numbers_the_missing_the_extra_and_the_repeated_are_told_exactly(
    said: SourceManifest, arrived: set[tuple[int, str]], unreadable: set[int]
) -> None:
    assert faults(said) == []
    within = set(range(said.first_number, said.last_number + 1))
    meant = within - all_of([(each.first, each.last) for each in said.unused])
    assert (expected(said), unused(said)) == (spans_of(meant), spans_of(within - meant))
    came = [(number, name) for number, name in arrived if number in within]
    alone = {number for number in unreadable & within if number not in dict(came)}
    answer = reconcile("till", "m", said, found(came, alone), NOW)
    here = {number for number, _ in came} | alone
    assert [(each.first, each.last) for each in answer.missing] == spans_of(meant - here)
    assert answer.missing_count == len(meant - here)
    assert {(each.number, each.id or "") for each in answer.extra} == {
        (number, name) for number, name in [*came, *((each, "") for each in alone)] if number not in meant
    }
    twice = {number for number in here if sum(each == number for each, _ in came) > 1}
    assert {each.number: set(each.ids) for each in answer.repeated} == {
        number: {name for each, name in came if each == number} for number in twice
    }
    assert (answer.result == "agrees") == (here == meant and not twice)


@given(said=lists(), arrived=st.sets(named))
def test_of_a_list_what_arrived_otherwise_is_extra_and_what_it_names_missing(
    said: SourceManifest, arrived: set[tuple[int, str]]
) -> None:
    assert faults(said) == []
    told = {(each.number, each.id) for each in said.listed}
    answer = reconcile("till", "m", said, found(list(arrived), set()), NOW)
    assert [(each.first, each.last) for each in answer.missing] == spans_of({number for number, _ in told - arrived})
    assert {(each.number, each.id) for each in answer.extra} == arrived - told
    assert (answer.result == "agrees") == (arrived == told)


@given(names=st.sets(st.text(min_size=1).filter(lambda text: "\0" not in text and text.isprintable())))
def test_the_digest_does_not_depend_on_the_order_of_ids(names: set[str]) -> None:
    assert digest_of(sorted(names)) == digest_of(sorted(names, reverse=True))


def found(came: list[tuple[int, str]], unreadable: set[int]) -> Found:
    """What arrived, in the order in which it is gone through."""
    ordered = sorted([*came, *((number, "") for number in unreadable)])
    return Found([Arrival(number, name or None) for number, name in ordered])
