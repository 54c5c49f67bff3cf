"""The plan of server locks, carried out on a model of the server's rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.vfs.lockplan import Action, Drop, Segment, Swap, Take, plan
from smbfs.vfs.spans import union

SIZE = 20
NONE, SHARED, EXCLUSIVE = 0, 1, 2


def shared(start: int, end: int) -> Segment:
    return Segment(start, end, False)


def exclusive(start: int, end: int) -> Segment:
    return Segment(start, end, True)


def strength(segments: Sequence[Segment]) -> list[int]:
    """How strongly each byte is locked."""
    found = [NONE] * SIZE
    for one in segments:
        for at in range(one.start, one.end):
            found[at] = max(found[at], EXCLUSIVE if one.is_exclusive else SHARED)
    return found


def needing(marks: Sequence[int]) -> list[Segment]:
    """The same as segments, as long as they can be."""
    spans = {
        kind: union((at, at + 1) for at, mark in enumerate(marks) if mark == kind)
        for kind in (SHARED, EXCLUSIVE)
    }
    return sorted(Segment(*span, kind == EXCLUSIVE) for kind in spans for span in spans[kind])


@dataclass
class Server:
    """One handle of ours, by [MS-FSA]; ``foreign`` is what others have locked."""

    ours: list[Segment] = field(default_factory=list)
    foreign: list[Segment] = field(default_factory=list)

    def takes(self, wanted: Segment) -> bool:
        for held, is_ours in [(one, True) for one in self.ours] + [
            (one, False) for one in self.foreign
        ]:
            stacks = not wanted.is_exclusive and (not held.is_exclusive or is_ours)
            if not stacks and held.start < wanted.end and wanted.start < held.end:
                return False
        self.ours.append(wanted)
        return True

    def drops(self, segment: Segment) -> None:
        same = [one for one in self.ours if one.span == segment.span]
        hit = max(same, key=lambda one: one.is_exclusive)
        assert hit == segment, "an unlock takes another lock than was meant"
        self.ours.remove(hit)

    def does(self, actions: Sequence[Action]) -> Iterator[str]:
        """Do it one by one; tell after each how it went."""
        for action in actions:
            match action:
                case Take(segment):
                    yield "took" if self.takes(segment) else "refused"
                case Drop(segment):
                    self.drops(segment)
                    yield "dropped"
                case Swap(drops, takes):
                    for one in drops:
                        self.drops(one)
                    granted = [self.takes(one) for one in takes]
                    yield "swapped" if all(granted) else "refused"


@pytest.mark.parametrize(
    ("held", "need", "actions"),
    [
        ([], [], []),
        ([], [exclusive(0, 9)], [Take(exclusive(0, 9))]),
        ([exclusive(0, 9)], [], [Drop(exclusive(0, 9))]),
        ([exclusive(0, 9)], [exclusive(0, 9)], []),
        # a downgrade, whole and in part, leaves no gap
        ([exclusive(0, 9)], [shared(0, 9)], [Take(shared(0, 9)), Drop(exclusive(0, 9))]),
        ([exclusive(0, 9)], [shared(3, 5)], [Take(shared(3, 5)), Drop(exclusive(0, 9))]),
        ([shared(0, 9)], [shared(3, 5)], [Take(shared(3, 5)), Drop(shared(0, 9))]),
        # a part of an exclusive lock is not given back
        ([exclusive(0, 9)], [exclusive(3, 5)], []),
        ([exclusive(0, 9)], [exclusive(3, 5), shared(5, 9)], []),
        # but grows
        ([exclusive(0, 9)], [exclusive(3, 12)], [Take(exclusive(9, 12))]),
        # an upgrade
        ([shared(0, 9)], [exclusive(0, 9)], [Swap((shared(0, 9),), (exclusive(0, 9),))]),
        (
            [shared(0, 9)],
            [shared(0, 3), exclusive(3, 5)],
            [Take(shared(0, 3)), Swap((shared(0, 9),), (exclusive(3, 5),))],
        ),
        (
            [shared(0, 9)],
            [exclusive(3, 12)],
            [Take(exclusive(9, 12)), Swap((shared(0, 9),), (exclusive(3, 9),))],
        ),
        # what is held twice
        ([shared(0, 9), shared(2, 4)], [shared(0, 9)], [Drop(shared(2, 4))]),
        ([exclusive(0, 9), shared(0, 9)], [exclusive(0, 9)], []),
        (
            [exclusive(0, 9), shared(0, 9)],
            [],
            [Drop(exclusive(0, 9)), Drop(shared(0, 9))],
        ),
    ],
)
def test_plans(held: list[Segment], need: list[Segment], actions: list[Action]) -> None:
    assert plan(held, need) == actions


marks = st.lists(st.sampled_from([NONE, SHARED, EXCLUSIVE]), min_size=SIZE, max_size=SIZE)


@given(st.lists(marks, max_size=6))
def test_no_step_holds_less_than_is_needed_before_and_after(needs: list[list[int]]) -> None:
    server, before = Server(), [NONE] * SIZE
    for need in [*needs, [NONE] * SIZE]:
        actions = plan(server.ours, needing(need))
        for action, came in zip(actions, server.does(actions), strict=True):
            assert came != "refused"
            now = strength(server.ours)
            assert all(
                has >= min(old, new) for has, old, new in zip(now, before, need, strict=True)
            ), action
        assert all(has >= new for has, new in zip(strength(server.ours), need, strict=True))
        assert not plan(server.ours, needing(need)), "a plan leads to the end at once"
        before = need
    assert not server.ours


@given(st.lists(marks, min_size=1, max_size=4), st.lists(marks, max_size=4))
def test_a_refusal_is_taken_back(needs: list[list[int]], others: list[list[int]]) -> None:
    """Whatever others hold: what was ours before stays ours, and the rest of the try goes."""
    server, before = Server(), [NONE] * SIZE
    for need, foreign in zip(needs, others, strict=False):
        ours = strength(server.ours)
        server.foreign = [
            one
            for one in needing(foreign)
            if not any(ours[at] == EXCLUSIVE for at in range(one.start, one.end))
            and not (one.is_exclusive and any(ours[at] for at in range(one.start, one.end)))
        ]
        if "refused" in server.does(plan(server.ours, needing(need))):
            need = before
            assert "refused" not in list(server.does(plan(server.ours, needing(before))))
        assert all(has >= new for has, new in zip(strength(server.ours), need, strict=True))
        before = need
    server.foreign = []
    list(server.does(plan(server.ours, [])))
    assert not server.ours


# What it costs

MANY = 5_000
LONG_S = 5.0  # for what takes a twentieth of it; when each was compared with each it took minutes


@pytest.mark.parametrize(
    ("held", "need"),
    [
        # as they are, adjacent, in part, weaker, stronger, and under one that was all
        ([exclusive(10 * n, 10 * n + 5) for n in range(MANY)],) * 2,
        ([shared(n, n + 1) for n in range(MANY)], [shared(0, MANY)]),
        ([exclusive(9 * n, 9 * n + 9) for n in range(MANY)], [shared(0, 9 * MANY)]),
        ([shared(9 * n, 9 * n + 8) for n in range(MANY)], [exclusive(0, 9 * MANY)]),
        (
            [exclusive(0, 9 * MANY), *(shared(9 * n, 9 * n + 8) for n in range(MANY))],
            [shared(9 * n, 9 * n + 8) for n in range(MANY)],
        ),
        ([exclusive(0, 9 * MANY)], [shared(9 * n, 9 * n + 8) for n in range(MANY)]),
        ([shared(9 * n, 9 * n + 8) for n in range(MANY)], []),
    ],
    ids=["same", "adjacent", "downgrade", "upgrade", "under", "in part", "none"],
)
def test_many_ranges_are_planned_in_one_sweep(held: list[Segment], need: list[Segment]) -> None:
    began_s = process_time()
    plan(held, need)
    assert process_time() - began_s < LONG_S


def test_what_is_needed_as_it_is_held_stays() -> None:
    held = [shared(0, 9), shared(2, 4)]
    assert plan(held, [shared(2, 4)]) == [Drop(shared(0, 9))]
    assert plan([shared(2, 4), shared(2, 4)], [shared(2, 4)]) == [Drop(shared(2, 4))]
