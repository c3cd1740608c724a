"""When a worker sweeps and does its chore, and how much of it at once."""

import pytest

from shared.pace import CHORE_REST, CHORE_SECONDS, CHORE_SECONDS_ALONE, CHORE_SIZE, QUIET, Pace


def pace(*, has_chore: bool = True) -> Pace:
    return Pace(100.0, sweep_every=1.0, has_chore=has_chore)


def piece(pace: Pace, began: float, took: float) -> None:
    """A piece that leaves more."""
    pace.begin_piece()
    pace.more_came()
    pace.end_piece(began, began + took)


def test_all_is_due_at_the_beginning() -> None:
    new = pace()
    assert new.sweep_is_due(100.0)
    assert new.chore_is_due(100.0)
    assert new.waits(100.0) == 0


def test_between_sweeps_only_messages_are_waited_for() -> None:
    new = pace(has_chore=False)
    new.swept(100.0, left=False)
    assert not new.sweep_is_due(100.9)
    assert new.waits(100.25) == pytest.approx(0.75)
    assert new.sweep_is_due(101.0)
    assert new.waits(105.0) == 0


def test_a_sweep_that_left_something_is_due_at_once_only_while_no_messages_come() -> None:
    new = pace()
    new.swept(100.0, left=True)
    assert new.sweep_is_due(100.0)
    new.messages_came(100.0)
    new.swept(100.0 + QUIET / 2, left=True)
    assert not new.sweep_is_due(100.0 + QUIET / 2)
    new.swept(100.0 + QUIET, left=True)
    assert new.sweep_is_due(100.0 + QUIET)


def test_a_chore_that_is_done_is_due_again_after_the_next_sweep_or_when_more_comes() -> None:
    new = pace()
    new.begin_piece()
    new.end_piece(100.0, 100.1)
    assert not new.chore_is_due(100.1)
    new.more_came()
    assert new.chore_is_due(100.1)
    new.begin_piece()
    new.end_piece(100.1, 100.2)
    new.swept(101.0, left=False)
    assert new.chore_is_due(101.0)


def test_who_has_no_chore_never_has_more() -> None:
    new = pace(has_chore=False)
    new.more_came()
    new.swept(100.0, left=True)
    assert not new.has_more
    assert not new.chore_is_due(100.0)


def test_while_messages_come_a_chore_rests_after_each_piece() -> None:
    new = pace()
    new.messages_came(100.0)
    piece(new, 100.0, 0.5)
    assert new.has_more
    assert not new.chore_is_due(100.5 + CHORE_REST * 0.5 - 0.01)
    assert new.chore_is_due(100.5 + CHORE_REST * 0.5)


def test_alone_a_chore_does_not_rest() -> None:
    new = pace()
    piece(new, 100.0, 0.5)
    assert new.chore_is_due(100.5)


@pytest.mark.parametrize(("busy", "allowed"), [(True, CHORE_SECONDS), (False, CHORE_SECONDS_ALONE)])
def test_pieces_come_to_take_as_long_as_they_may(*, busy: bool, allowed: float) -> None:
    new, now, each = pace(), 100.0, 0.000_05
    for _ in range(20):
        if busy:
            new.messages_came(now)
        piece(new, now, new.chore_size * each)
        now += 1
    assert new.chore_size * each == pytest.approx(min(allowed, CHORE_SIZE * 64 * each), rel=0.1)


def test_pieces_are_neither_smaller_nor_larger_than_they_may_be() -> None:
    slow, fast = pace(), pace()
    for _ in range(20):
        piece(slow, 100.0, 60.0)
        piece(fast, 100.0, 0.0)
    assert slow.chore_size == CHORE_SIZE
    assert fast.chore_size == CHORE_SIZE * 64


def test_a_chore_that_begins_anew_begins_small() -> None:
    new = pace()
    piece(new, 100.0, 0.001)
    assert new.chore_size > CHORE_SIZE
    new.begin_piece()
    new.end_piece(100.2, 100.3)
    assert new.chore_size == CHORE_SIZE
