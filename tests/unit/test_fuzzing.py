"""A little of the fuzzing of decoding (`python -m tests.fuzz` does more): the corpus, some hundreds of inputs, and any
bytes that hypothesis comes upon.
"""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import decoding
from tests.fuzz.corpus import FILE, Kept, kept
from tests.fuzz.decoding import decode
from tests.fuzz.making import Made, make
from tests.fuzz.tally import Tally

KEPT = kept()


@pytest.mark.parametrize("each", KEPT, ids=lambda each: str(KEPT.index(each)))
def test_an_input_of_the_corpus_is_taken_for_what_it_was(each: Kept) -> None:
    assert tuple(decode(each.made)) == each.results


def test_the_corpus_has_every_result_and_is_small() -> None:
    results = {result for each in KEPT for result in each.results}
    assert results == {"read", "rejected malformed", "parked malformed", "parked unknown_type"}
    assert FILE.stat().st_size < 200_000


@given(st.integers(0, 2**64))
def test_ten_inputs_of_any_seed_are_read_refused_or_parked(seed: int) -> None:
    tally = Tally("decoding", seed)
    decoding.run(tally, 10)
    assert tally.findings == []
    assert sum(tally.results.values()) >= tally.inputs == 10


@given(st.binary(max_size=200))
def test_any_bytes_are_parked_or_read(body: bytes) -> None:
    assert decode(Made(body))


def test_equal_seeds_make_equal_inputs() -> None:
    one, other = Random(7), Random(7)
    assert [make(one) for _ in range(50)] == [make(other) for _ in range(50)]
