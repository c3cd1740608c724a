"""Spans of numbers that follow each other: (first, last), both in it; in order, and no two touch."""

from collections.abc import Iterable, Iterator

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans given in the order of their first numbers, as few as will do; empty ones are dropped."""
    done: list[Span] = []
    for first, last in spans:
        if last < first:
            continue
        if done and first <= done[-1][1] + 1:
            done[-1] = (done[-1][0], max(done[-1][1], last))
        else:
            done.append((first, last))
    return done


def without(spans: Iterable[Span], others: Iterable[Span]) -> Iterator[Span]:
    """What is left of spans without those others; both as `merged` gives them."""
    rest = iter(others)
    other = next(rest, None)
    for first, last in spans:
        left = first
        while other is not None and other[1] < left:
            other = next(rest, None)
        while other is not None and other[0] <= last:
            if left < other[0]:
                yield (left, other[0] - 1)
            left = other[1] + 1
            if other[1] >= last:
                break  # it may reach into the next span
            other = next(rest, None)
        if left <= last:
            yield (left, last)


def owed(between: Iterable[Span], ends: Span | None, claimed: Iterable[Span], no_gaps: Iterable[Span]) -> list[Span]:
    """The numbers that have not arrived, of a sequence without gaps.

    `between` are the gaps between the lowest and the highest that arrived, which are `ends` (None: none did). `claimed`
    are numbers that the sequence is said to have, and `no_gaps` numbers of which nothing is owed.
    """
    said = [each for each in claimed if each[0] <= each[1]]
    first = min([first for first, _ in said] + ([ends[0]] if ends else []), default=1)
    last = max([last for _, last in said] + ([ends[1]] if ends else []), default=0)
    around = [(first, ends[0] - 1), *between, (ends[1] + 1, last)] if ends else [(first, last)]
    return list(without(merged(around), merged(sorted(no_gaps))))


def size(spans: Iterable[Span]) -> int:
    """How many numbers there are in all."""
    return sum(last - first + 1 for first, last in spans)


def told(span: Span) -> str:
    """A span as people write it: `1041–1044`, or `7`."""
    first, last = span
    return str(first) if first == last else f"{first}–{last}"
