"""Room in memory is given in turn, and none of it gets lost."""

from __future__ import annotations

from functools import partial

import trio
from hypothesis import given
from hypothesis import strategies as st

from smbfs.vfs.room import Room
from tests.vfs.bench import on_mock_time


async def test_what_fits_is_taken_at_once() -> None:
    room = Room(10)
    await room.take(4)
    await room.take(6)
    assert room.budget.room_bytes == 0
    room.give(10)
    assert room.budget.used_bytes == 0


async def test_who_came_first_is_served_first() -> None:
    room, got = Room(10), list[int]()

    async def take(size: int) -> None:
        await room.take(size)
        got.append(size)

    await room.take(9)
    async with trio.open_nursery() as nursery:
        for size in (8, 1, 2):
            nursery.start_soon(take, size)
            await trio.testing.wait_all_tasks_blocked()
        assert got == [], "the small ones do not overtake"
        room.give(9)
        await trio.testing.wait_all_tasks_blocked()
        assert set(got) == {8, 1}, "both were let go at once"
        room.give(8)
    assert got[2:] == [2]
    assert room.budget.used_bytes == 3


async def test_more_than_there_is_can_be_had_alone() -> None:
    room = Room(10)
    await room.take(25)
    with trio.move_on_after(0) as scope:
        await room.take(1)
    assert scope.cancelled_caught
    room.give(25)
    await room.take(1)


async def test_who_gives_up_lets_the_next_one_pass() -> None:
    room = Room(10)
    await room.take(5)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            nursery.start_soon(partial(room.take, 3))
            scope.cancel()
            await room.take(9)
    assert scope.cancelled_caught
    assert room.budget.used_bytes == 8


async def test_what_was_granted_to_one_who_gave_up_comes_back() -> None:
    room = Room(10)
    await room.take(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.take, 4)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        room.give(10)
    assert room.budget.used_bytes in (0, 4), "taken or given back, as the moment was"


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 5), st.integers(0, 5)), max_size=20))
def test_nothing_gets_lost(takers: list[tuple[int, int, int]]) -> None:
    async def main() -> None:
        room = Room(10)

        async def live(size: int, patience_s: int, keeps_s: int) -> None:
            with trio.move_on_after(patience_s):
                await room.take(size)
                try:
                    assert room.budget.used_bytes <= 10 or room.budget.used_bytes == size
                    await trio.sleep(keeps_s)
                finally:
                    room.give(size)

        async with trio.open_nursery() as nursery:
            for taker in takers:
                nursery.start_soon(live, *taker)
        assert room.budget.used_bytes == 0
        await room.take(10)

    on_mock_time(main)
