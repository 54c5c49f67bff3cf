"""Sets of bytes: sorted spans that do not touch each other.

Pure.  Every function takes spans in any order and answers such a set, and looks at each span
once: a file may have thousands of locks, and each call works with all of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

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
    found = union(others)
    return [part for span in union(spans) for part in meeting(span, found)]


def minus(spans: Iterable[Span], cuts: Iterable[Span]) -> list[Span]:
    """What is left of some spans without others."""
    left: list[Span] = []
    found = union(cuts)
    for start, end in union(spans):
        for low, high in meeting((start, end), found):
            if start < low:
                left.append((start, low))
            start = high
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
