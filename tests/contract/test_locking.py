"""What a server does with byte-range locks: everything that `smbfs.vfs.lockplan` relies on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from smbfs.engine.exchange import Ask
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.locking import lock, unlock
from smbfs.engine.steps import query_all, read, set_end_of_file, write
from smbfs.errors import StatusError
from smbfs.wire.constants import Access, Disposition, LockFlags, Options
from smbfs.wire.file_messages import LockElement, LockRequest
from smbfs.wire.status import Status
from tests.contract.servers import Bench
from tests.contract.test_waiting import pending, posted, status

BOTH = How(
    Access.FILE_READ_DATA | Access.FILE_WRITE_DATA | Access.FILE_READ_ATTRIBUTES,
    Disposition.OPEN_IF,
    Options.NON_DIRECTORY_FILE,
)
LAST_BYTE = 2**63 - 1


@asynccontextmanager
async def two_handles(bench: Bench) -> AsyncIterator[tuple[Handle, Handle]]:
    """One file, open twice."""
    bench.place.put("file", bytes(100))
    mine, _ = await bench.share.open("file", BOTH)
    other, _ = await bench.share.open("file", BOTH)
    yield mine, other
    await mine.close()
    await other.close()


async def takes(handle: Handle, offset: int, length: int, *, exclusive: bool) -> bool:
    return await handle.take(await handle.post(lock(offset, length, exclusive=exclusive)))


async def drops(handle: Handle, offset: int, length: int) -> None:
    await handle.take(await handle.post(unlock(offset, length)))


async def may_others(other: Handle, offset: int, length: int) -> str:
    """What another handle may lock here: "X" anything, "S" shared, "" nothing."""
    for exclusive, answer in ((True, "X"), (False, "S")):
        if await takes(other, offset, length, exclusive=exclusive):
            await drops(other, offset, length)
            return answer
    return ""


async def test_exclusive_excludes_all(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        assert await may_others(other, 9, 5) == ""
        assert await may_others(other, 10, 5) == "X"
        assert not await takes(mine, 0, 10, exclusive=True)
        assert not await takes(mine, 5, 10, exclusive=True)
        await drops(mine, 0, 10)
        assert await may_others(other, 0, 10) == "X"


async def test_shared_locks_lie_on_each_other(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        for _ in range(2):
            assert await takes(mine, 0, 10, exclusive=False)
        assert await takes(mine, 2, 4, exclusive=False)
        assert not await takes(mine, 2, 4, exclusive=True)
        assert await may_others(other, 0, 10) == "S"
        for _ in range(2):
            await drops(mine, 0, 10)
        assert await may_others(other, 0, 2) == "X"
        assert await may_others(other, 2, 4) == "S"


async def test_a_shared_lock_on_the_own_exclusive_one_outlives_it(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        assert await takes(mine, 0, 10, exclusive=False)
        assert not await takes(other, 0, 10, exclusive=False)
        await drops(mine, 0, 10)
        assert await may_others(other, 0, 10) == "S"
        await drops(mine, 0, 10)
        assert await may_others(other, 0, 10) == "X"


async def test_a_shared_lock_on_a_part_of_the_own_exclusive_one(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        assert await takes(mine, 5, 10, exclusive=False)
        await drops(mine, 0, 10)
        assert await may_others(other, 0, 5) == "X"
        assert await may_others(other, 5, 10) == "S"


async def test_an_unlock_names_a_whole_lock(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        for offset, length in ((0, 5), (0, 11), (5, 5)):
            with pytest.raises(StatusError) as caught:
                await drops(mine, offset, length)
            assert caught.value.status == Status.RANGE_NOT_LOCKED
        with pytest.raises(StatusError):
            await drops(other, 0, 10)


async def test_a_close_lets_go_of_all(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        assert await takes(mine, 20, 10, exclusive=False)
        await mine.close()
        assert await may_others(other, 0, 30) == "X"


async def test_the_last_byte_there_can_be(bench: Bench) -> None:
    """Where flock lives: next to a lock to the end, and within what cifs.ko locks."""
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, LAST_BYTE, 1, exclusive=True)
        assert await may_others(other, LAST_BYTE, 1) == ""
        assert await may_others(other, 0, LAST_BYTE) == "X"
        assert not await takes(other, 0, LAST_BYTE + 1, exclusive=True)
        assert await other.do(write(0, b"a"))
        assert await other.do(read(0, 10))


async def test_all_of_one_request_or_nothing(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(other, 20, 10, exclusive=True)
        flags = LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY
        assert await asked(bench, mine, (0, flags), (20, flags)) in (
            Status.LOCK_NOT_GRANTED,
            Status.FILE_LOCK_CONFLICT,
        )
        assert await may_others(other, 0, 10) == "X"
        mixed = await asked(bench, mine, (0, flags), (0, LockFlags.UNLOCK))
        assert mixed == Status.INVALID_PARAMETER
        assert await may_others(other, 0, 10) == "X"


async def asked(bench: Bench, handle: Handle, *elements: tuple[int, int]) -> Status:
    """Ask for several ranges of ten bytes, by offset and flags, in one request."""
    packed = [LockElement(offset=at, length=10, flags=flags) for at, flags in elements]
    body = LockRequest(file_id=handle.file_id, locks=b"".join(map(bytes, packed)))
    return await status(bench, await posted(bench, Ask(body)))


async def test_data_under_an_exclusive_lock(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=True)
        await mine.do(read(0, 10))
        await mine.do(write(0, b"mine"))
        for step in (read(5, 10), write(5, b"other")):
            with pytest.raises(StatusError) as caught:
                await other.do(step)
            assert caught.value.status == Status.FILE_LOCK_CONFLICT
        await other.do(read(10, 10))
        await other.do(set_end_of_file(0))
        await other.do(set_end_of_file(20))


async def test_data_under_a_shared_lock(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=False)
        await other.do(read(0, 10))
        for handle in (mine, other):
            with pytest.raises(StatusError) as caught:
                await handle.do(write(5, b"other"))
            assert caught.value.status == Status.FILE_LOCK_CONFLICT


async def test_an_upgrade_in_two_requests_at_once(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        assert await takes(mine, 0, 10, exclusive=False)
        first = await mine.post(unlock(0, 10))
        second = await mine.post(lock(0, 10, exclusive=True))
        await mine.take(first)
        assert await mine.take(second)
        assert await may_others(other, 0, 10) == ""


async def test_who_gives_up_a_lock_that_was_granted_leaves_none(bench: Bench) -> None:
    async with two_handles(bench) as (mine, other):
        late = await mine.post(lock(0, 10, exclusive=True, wait=True))
        mine.abandon(late)
        await mine.do(query_all())
        assert await may_others(other, 0, 10) == "X"


async def test_a_lock_that_waits_for_the_own_one(bench: Bench) -> None:
    """A blocking request may stay while other ranges of its handle come and go."""
    async with two_handles(bench) as (mine, other):
        assert await takes(other, 0, 10, exclusive=True)
        waiting = await mine.post(lock(0, 10, exclusive=True, wait=True))
        await pending(bench, waiting.slot)
        assert await takes(mine, 20, 10, exclusive=True)
        await drops(mine, 20, 10)
        await drops(other, 0, 10)
        assert await mine.take(waiting)
