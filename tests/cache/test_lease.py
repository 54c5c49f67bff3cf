"""A lease: what is held, what breaks take, and which answers are too old to count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smbfs.cache.lease import HANDLE, NEVER_S, READ, WRITE, Lease, is_newer

ALL = READ | HANDLE | WRITE
KEY = bytes(16)


def granted(state: int = ALL, epoch: int | None = 1, asked_s: float = 5.0) -> Lease:
    lease = Lease(KEY)
    lease.asking(asked_s)
    lease.answered(state, epoch)
    return lease


def test_what_is_granted_holds_from_the_question_on() -> None:
    lease = granted()
    assert (lease.may_read, lease.may_keep_handle, lease.may_write) == (True, True, True)
    assert lease.since_s == 5.0
    assert not lease.asked


def test_a_refusal_grants_nothing() -> None:
    lease = Lease(KEY)
    lease.asking(1.0)
    lease.refused()
    assert (lease.state, lease.asked, lease.since_s) == (0, 0, NEVER_S)


def test_an_answer_in_the_midst_of_a_break_changes_nothing() -> None:
    lease = granted()
    lease.asking(6.0)
    lease.unchanged()
    lease.arrived()
    assert (lease.state, lease.asked, lease.coming) == (ALL, 0, 1)
    assert lease.broken(READ, 2, 7.0) == HANDLE | WRITE


def test_a_break_is_a_subtraction() -> None:
    lease = granted()
    assert lease.broken(READ | HANDLE, 2, 6.0) == WRITE
    assert lease.state == READ | HANDLE
    assert lease.since_s == 5.0, "reading went on without a gap"
    assert lease.broken(0, 3, 7.0) == READ | HANDLE
    assert (lease.state, lease.since_s) == (0, NEVER_S)


def test_a_break_that_is_told_twice_counts_once() -> None:
    lease = granted()
    assert lease.broken(READ, 2, 6.0) == HANDLE | WRITE
    assert lease.broken(READ, 2, 7.0) is None
    assert lease.broken(0, 1, 7.0) is None
    assert lease.state == READ


def test_a_break_before_the_answer_that_granted_it() -> None:
    lease = Lease(KEY)
    lease.asking(1.0)
    assert lease.broken(READ, 2, 1.5) == 0
    lease.answered(ALL, 1)
    assert lease.state == 0, "the answer is older than the break"
    lease.asking(2.0)
    lease.answered(READ | HANDLE, 3)
    assert lease.state == READ | HANDLE


def test_the_same_without_epochs() -> None:
    lease = Lease(KEY)
    lease.asking(1.0)
    assert lease.broken(READ, None, 1.5) == 0
    lease.answered(ALL, None)
    assert lease.state == READ
    lease.asking(2.0)
    lease.answered(ALL, None)
    assert lease.state == ALL, "that break was another question's"


def test_a_break_that_was_missed_makes_what_was_read_stale() -> None:
    lease = granted()
    assert lease.broken(READ | HANDLE, 4, 9.0) == WRITE | READ
    assert lease.state == READ | HANDLE
    assert lease.since_s == 9.0


def test_reading_that_comes_back_begins_anew() -> None:
    lease = granted()
    lease.broken(0, 2, 6.0)
    lease.asking(8.0)
    lease.answered(READ | HANDLE, 3)
    assert lease.since_s == 8.0


def test_another_open_with_the_key_keeps_what_there_is() -> None:
    lease = granted()
    lease.asking(9.0)
    lease.answered(ALL, 1)
    assert (lease.state, lease.since_s) == (ALL, 5.0)


def test_epochs_wrap() -> None:
    assert is_newer(0, 65535)
    assert is_newer(5, 65530)
    assert not is_newer(65535, 0)
    assert not is_newer(7, 7)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.integers(0, 20))))
def test_nothing_that_comes_raises_or_gives_more_than_was_granted(
    events: list[tuple[bool, int, int]],
) -> None:
    lease, most = Lease(KEY), 0
    for is_break, state, epoch in events:
        if is_break:
            before = lease.state
            lost = lease.broken(state, epoch, 1.0)
            assert lease.state == (before if lost is None else before & state)
        else:
            lease.asking(0.0)
            lease.answered(state, epoch)
            most |= state
        assert lease.state & ~most == 0
        assert (lease.since_s == NEVER_S) == (not lease.may_read)
