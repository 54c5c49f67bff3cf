"""Sets of bytes: sorted spans that do not touch each other.

Pure.  Every function takes spans in any order and answers such a set, in one sweep over what it
was given: a file may have thousands of locks, and each call works with all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]  # the first byte and the one behind the last


def union(spans: Iterable[Span]) -> list[Span]:
    """All bytes that are in any of the spans."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            if end > found[-1][1]:
                found[-1] = found[-1][0], end
        elif start < end:
            found.append((start, end))
    return found


def common(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """The bytes that are in both."""
    return list(_met(union(spans), union(others)))


def minus(spans: Iterable[Span], cuts: Iterable[Span]) -> list[Span]:
    """What is left of some spans without others."""
    left: list[Span] = []
    whole = union(spans)
    met = _met(whole, union(cuts))
    cut = next(met, None)
    for start, end in whole:
        while cut is not None and cut[0] < end:
            if start < cut[0]:
                left.append((start, cut[0]))
            start = cut[1]
            cut = next(met, None)
        if start < end:
            left.append((start, end))
    return left


def meeting(span: Span, found: list[Span]) -> list[Span]:
    """What of a set lies in one span, without a look at the rest of the set."""
    start, end = span
    at = max(0, bisect_right(found, (start, start)) - 1)
    parts: list[Span] = []
    while at < len(found) and found[at][0] < end:
        low, high = max(found[at][0], start), min(found[at][1], end)
        if low < high:
            parts.append((low, high))
        at += 1
    return parts


def _met(some: list[Span], others: list[Span]) -> Iterator[Span]:
    """The bytes that are in both of two sets."""
    at = other = 0
    while at < len(some) and other < len(others):
        low, high = max(some[at][0], others[other][0]), min(some[at][1], others[other][1])
        if low < high:
            yield low, high
        if some[at][1] < others[other][1]:
            at += 1
        else:
            other += 1
