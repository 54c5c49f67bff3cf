"""The table of locks against one array of bytes for each owner."""

from __future__ import annotations

from time import process_time
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smbfs.fuse.server import LOCK_END, FileHandle, Lock, LockType
from smbfs.vfs.lockplan import Segment
from smbfs.vfs.locktable import (
    FLOCK_BYTE,
    MOST_LOCKS,
    Held,
    LockTable,
    Pending,
    WaitGraph,
    segment_of,
)

SIZE = 30
FH, OTHER_FH = FileHandle(1), FileHandle(2)
READ, WRITE, UNLOCK = LockType.READ, LockType.WRITE, LockType.UNLOCK
Byte = tuple[LockType, FileHandle] | None


def lock(kind: LockType, start: int = 0, end: int = LOCK_END, owner: int = 1) -> Lock:
    return Lock(kind, start, end, owner)


def flock(kind: LockType, owner: int = 1) -> Lock:
    return Lock(kind, 0, LOCK_END, owner, is_flock=True)


# Examples


def test_an_unlock_splits() -> None:
    table = LockTable()
    table.set(lock(WRITE, 0, 10), FH)
    table.set(lock(UNLOCK, 3, 5), FH)
    assert sorted(one.lock.start for one in table.held) == [0, 5]
    assert table.conflicts(lock(READ, 2, 6, owner=2)) == [lock(WRITE, 0, 3), lock(WRITE, 5, 10)]
    assert not table.conflicts(lock(WRITE, 3, 5, owner=2))


def test_neighbours_become_one() -> None:
    table = LockTable()
    for start in (0, 10, 5):
        table.set(lock(READ, start, start + 5), FH)
    assert table.held == [Held(lock(READ, 0, 15), FH)]
    table.set(lock(READ, 15, 20), OTHER_FH)
    assert len(table.held) == 2


def test_a_lock_is_weakened_where_it_is_stronger() -> None:
    table = LockTable()
    table.set(lock(WRITE, 0, 10), FH)
    table.set(lock(READ, 10, 20), OTHER_FH)
    table.weaken(lock(WRITE, 5, 30))
    assert len(table.held) == 2
    table.weaken(lock(READ, 5, 30))
    assert set(table.held) == {
        Held(lock(WRITE, 0, 5), FH),
        Held(lock(READ, 5, 10), FH),
        Held(lock(READ, 10, 20), OTHER_FH),
    }


def test_flock_and_fcntl_do_not_meet() -> None:
    table = LockTable()
    table.set(flock(WRITE), FH)
    assert not table.conflicts(lock(WRITE, owner=2))
    assert table.conflicts(flock(READ, owner=2)) == [flock(WRITE)]
    table.set(lock(READ, owner=2), FH)
    assert table.need() == [
        Segment(0, FLOCK_BYTE, False),
        Segment(FLOCK_BYTE, FLOCK_BYTE + 1, True),
    ]


def test_a_lock_of_the_last_byte_alone_is_our_own_affair() -> None:
    assert segment_of(lock(WRITE, FLOCK_BYTE, LOCK_END)).span == (FLOCK_BYTE, FLOCK_BYTE)
    table = LockTable()
    table.set(lock(WRITE, FLOCK_BYTE, LOCK_END), FH)
    assert not table.need()
    assert not table.lose([(0, LOCK_END)])


def test_what_is_asked_for_is_in_the_way_of_everybody() -> None:
    table = LockTable()
    asked = Pending(lock(WRITE, 0, 10), FH)
    table.pending.append(asked)
    for owner in (1, 2):
        assert table.conflicts(lock(READ, 5, 6, owner)) == [asked.lock]
    assert not table.conflicts(asked.lock, asked)
    assert not table.need()
    asked.is_granted = True
    assert table.need() == [Segment(0, 10, True)]


def test_what_the_server_lost_is_forgotten() -> None:
    table = LockTable()
    table.set(lock(READ, 0, 10), FH)
    table.set(lock(READ, 5, 6, owner=2), FH)
    table.set(lock(READ, 10, 20, owner=3), FH)
    assert len(table.lose([(5, 6)])) == 2
    assert [one.lock.owner for one in table.held] == [3]


def test_there_is_an_end_to_the_locks_of_one_file() -> None:
    table = LockTable([Held(lock(WRITE, 3 * n, 3 * n + 2), FH) for n in range(MOST_LOCKS)])
    assert table.is_full(lock(READ, 0, 2, owner=2), FH)
    assert table.is_full(lock(UNLOCK, 0, 1), FH) is False
    assert table.is_full(lock(READ, 0, 2), FH) is False
    assert table.is_full(lock(WRITE, 2, 3), FH) is False, "it joins two"
    table.drop(table.held[:1])
    assert not table.is_full(lock(READ, 0, 2, owner=2), FH)
    whole = LockTable([*table.held, Held(lock(WRITE, 0, LOCK_END, owner=2), FH)])
    assert whole.is_full(lock(UNLOCK, 5, 6, owner=2), FH), "an unlock may make one of one two"


def test_many_locks_are_worked_with_in_one_sweep() -> None:
    many = [Held(lock(READ, 3 * n, 3 * n + 2, owner=n % 5), FH) for n in range(5_000)]
    table = LockTable(list(many))
    began_s = process_time()
    assert len(table.need(lock(WRITE, 0, LOCK_END, owner=9))) == 1
    table.set(lock(WRITE), FH)
    table.weaken(lock(READ, 5, 50))
    table.lose([(3 * n, 3 * n + 1) for n in range(5_000)])
    table.held = list(many)
    table.drop(many)
    assert process_time() - began_s < 5, "when each was compared with each it took minutes"


def test_deadlocks() -> None:
    graph = WaitGraph()
    assert graph.would_close(1, [1])
    first = graph.begin(1, [2])
    second = graph.begin(2, [3])
    assert graph.would_close(3, [1])
    assert graph.would_close(3, [5, 2])
    assert not graph.would_close(4, [1, 3])
    graph.end(second)
    assert not graph.would_close(3, [1])
    graph.end(first)


def test_a_circle_that_is_there_already_ends_the_search() -> None:
    graph = WaitGraph()
    graph.begin(1, [2])
    graph.begin(2, [1])
    assert not graph.would_close(3, [1])


# Against the model


class Model(RuleBasedStateMachine):
    """Each owner has a row of bytes, one world for fcntl and one for flock."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable()
        self.rows: dict[tuple[int, bool], list[Byte]] = {}

    def row(self, owner: int, is_flock: bool) -> list[Byte]:
        return self.rows.setdefault((owner, is_flock), [None] * SIZE)

    @rule(
        kind=st.sampled_from(LockType),
        start=st.integers(0, SIZE - 1),
        length=st.integers(1, SIZE),
        owner=st.integers(1, 3),
        fh=st.sampled_from([FH, OTHER_FH]),
        is_flock=st.booleans(),
    )
    def try_to(
        self, kind: LockType, start: int, length: int, owner: int, fh: FileHandle, is_flock: bool
    ) -> None:
        start, end = (0, SIZE) if is_flock else (start, min(SIZE, start + length))
        asked = Lock(kind, start, end, owner, is_flock=is_flock)
        if kind is not UNLOCK:
            in_the_way = {
                other
                for (other, world), row in self.rows.items()
                if (world, other != owner) == (is_flock, True)
                for one in row[start:end]
                if one is not None and WRITE in (one[0], kind)
            }
            assert {one.owner for one in self.table.conflicts(asked)} == in_the_way
            if in_the_way:
                return
        self.row(owner, is_flock)[start:end] = [None if kind is UNLOCK else (kind, fh)] * (
            end - start
        )
        self.table.set(asked, fh)

    @rule(owner=st.integers(1, 3))
    def a_process_closes(self, owner: int) -> None:
        self.table.drop(self.table.of_owner(owner))
        self.rows.pop((owner, False), None)

    @rule(fh=st.sampled_from([FH, OTHER_FH]))
    def an_open_file_ends(self, fh: FileHandle) -> None:
        self.table.drop(self.table.of_handle(fh))
        for row in self.rows.values():
            row[:] = [one if one and one[1] != fh else None for one in row]

    @invariant()
    def the_table_tells_the_same(self) -> None:
        told: dict[tuple[int, bool], list[Byte]] = {}
        for held in self.table.held:
            one = held.lock
            row = told.setdefault((one.owner, one.is_flock), [None] * SIZE)
            assert row[one.start : one.end] == [None] * (one.end - one.start), "they overlap"
            row[one.start : one.end] = [(one.type, held.fh)] * (one.end - one.start)
        assert told == {key: row for key, row in self.rows.items() if any(row)}

    @invariant()
    def the_server_needs_the_strongest(self) -> None:
        fcntl = [row for (_, is_flock), row in self.rows.items() if not is_flock]
        wanted: list[Any] = []
        for at in range(SIZE):
            kinds = [one[0] for row in fcntl if (one := row[at]) is not None]
            wanted.append(max(kinds) if kinds else None)
        need: list[Any] = [None] * SIZE
        for segment in self.table.need():
            if segment.start < SIZE:
                kind = WRITE if segment.is_exclusive else READ
                need[segment.start : segment.end] = [kind] * (segment.end - segment.start)
        assert need == wanted


TestModel = Model.TestCase
