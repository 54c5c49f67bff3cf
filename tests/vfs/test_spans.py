"""Sets of bytes against sets of numbers, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from smbfs.vfs.spans import common, meeting, minus, union

SIZE = 20
spans = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).filter(lambda span: span[0] < span[1]),
    max_size=5,
)


def within(found: Sequence[tuple[int, int]]) -> set[int]:
    return {at for start, end in found for at in range(start, end)}


@given(spans, spans)
def test_sets_of_bytes(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> None:
    assert within(union(some)) == within(some)
    assert within(minus(some, others)) == within(some) - within(others)
    assert within(common(some, others)) == within(some) & within(others)
    for found in (union(some), common(some, others), minus(some, others)):
        assert all(one[1] < two[0] for one, two in pairwise(found))
        assert all(start < end for start, end in found)


@given(spans, st.integers(0, SIZE), st.integers(0, SIZE))
def test_what_of_a_set_lies_in_one_span(some: list[tuple[int, int]], start: int, end: int) -> None:
    assert meeting((start, end), union(some)) == common([(start, end)], some)


def test_they_are_swept_once() -> None:
    many = [(10 * at, 10 * at + 5) for at in range(100_000)]
    others = [(start + 3, end + 3) for start, end in many]
    began_s = process_time()
    assert len(common(many, others)) == len(minus(many, others)) == len(many)
    assert process_time() - began_s < 10, "in square it would take an hour"
