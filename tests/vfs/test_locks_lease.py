"""Locks that stay on this machine while nobody else has the file open."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator

import pytest
import trio

from smbfs.cache.lease import HANDLE, READ
from smbfs.errors import ConnectionLost
from smbfs.fuse.server import LOCK_END, FileHandle, Lock, LockType
from smbfs.vfs.locks import Locks
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import WHO, Bench, bench

HERE, THERE = 11, 12
STAYING = DataPolicy(leases=True, locks_stay=True)


@pytest.fixture
async def ground() -> AsyncIterator[Bench]:
    async with bench(b"music", policy=STAYING) as made:
        yield made


async def lock(
    ground: Bench,
    fh: FileHandle,
    kind: LockType = LockType.WRITE,
    start: int = 0,
    end: int = LOCK_END,
    *,
    owner: int = HERE,
    flock: bool = False,
) -> None:
    await ground.fs.setlk(WHO, fh, Lock(kind, start, end, owner, is_flock=flock), False)


def on_server(ground: Bench) -> list[tuple[int, int]]:
    locks = ground.share.node("file").locks
    return sorted((one.offset, one.end) for one in locks)


async def broken(ground: Bench, left: int = READ | HANDLE, epoch: int = 2) -> None:
    assert ground.file.lease is not None
    ground.server.break_lease(ground.file.lease.key, left, epoch=epoch)
    await ground.settled()


async def test_the_server_is_not_asked(ground: Bench) -> None:
    fh = await ground.open()
    ground.turns()
    for flock in (False, True):
        await lock(ground, fh, flock=flock)
        await lock(ground, fh, LockType.READ, flock=flock)
        await lock(ground, fh, LockType.UNLOCK, flock=flock)
    assert await ground.fs.getlk(WHO, fh, Lock(LockType.WRITE, 0, 10, HERE)) is None
    assert ground.turns() == 0
    await ground.close(fh)


async def test_two_processes_of_this_machine_exclude_each_other(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh, start=0, end=10)
    with pytest.raises(BlockingIOError):
        await lock(ground, fh, start=5, end=6, owner=THERE)
    found = await ground.fs.getlk(WHO, fh, Lock(LockType.WRITE, 0, 100, THERE))
    assert found is not None
    assert (found.start, found.end) == (0, 10)
    await lock(ground, fh, start=10, end=20, owner=THERE)
    await ground.close(fh)


async def test_who_is_cancelled_meanwhile_has_no_lock(ground: Bench) -> None:
    fh = await ground.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await lock(ground, fh)
    await ground.settled()
    await lock(ground, fh, owner=THERE)
    await ground.close(fh)


async def test_a_break_brings_them_to_the_server_first(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh, start=0, end=10)
    await lock(ground, fh, LockType.READ, 20, 30, owner=THERE)
    assert not on_server(ground)
    gate = ground.gate(Command.LOCK)
    await broken(ground)
    assert not ground.server.acknowledged, "others may not have the file open yet"
    gate.open()
    await ground.settled()
    assert on_server(ground) == [(0, 10), (20, 30)]
    assert ground.server.acknowledged
    ground.turns()
    await lock(ground, fh, LockType.UNLOCK, 0, 10)
    assert on_server(ground) == [(20, 30)], "from now on the server knows of each"
    await ground.close(fh)
    await ground.settled()
    assert not ground.server.open_handles


async def test_a_break_without_locks_asks_for_none(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh)
    await lock(ground, fh, LockType.UNLOCK)
    ground.turns()
    await broken(ground)
    assert ground.server.requests == [(Command.OPLOCK_BREAK,)]
    await ground.close(fh)


async def test_who_asks_between_a_break_and_its_end_waits_for_both(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh, start=0, end=10)
    gate = ground.gate(Command.LOCK)
    await broken(ground)
    async with trio.open_nursery() as nursery:

        async def more() -> None:
            await lock(ground, fh, start=10, end=20)

        nursery.start_soon(more)
        await ground.settled()
        gate.open()
    assert on_server(ground) == [(0, 10), (10, 20)]
    await ground.close(fh)


@pytest.mark.logs("was lost to another client")
async def test_what_the_server_refuses_is_lost_and_told(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh, start=0, end=10)
    ground.server.script.append(Fails(on=Command.LOCK, status=Status.LOCK_NOT_GRANTED))
    await broken(ground)
    assert ground.server.acknowledged, "whoever waits is not kept for ever"
    ground.server.script.clear()
    locks = ground.file.locks
    assert isinstance(locks, Locks)
    assert not locks.table.held
    await ground.close(fh)


@pytest.mark.logs("not known to others")
async def test_a_server_that_is_in_trouble(ground: Bench) -> None:
    fh = await ground.open()
    await lock(ground, fh, start=0, end=10)
    trouble = Fails(on=Command.LOCK, status=Status.INSUFFICIENT_RESOURCES, times=1)
    ground.server.script.append(trouble)
    await broken(ground)
    assert ground.server.acknowledged
    await lock(ground, fh, start=10, end=20)
    assert on_server(ground) == [(0, 10), (10, 20)], "who locks next brings the others along"
    await ground.close(fh)


async def test_without_the_whole_lease_the_server_is_asked(ground: Bench) -> None:
    fh = await ground.open(os.O_RDONLY)
    await lock(ground, fh, LockType.READ, 0, 10)
    assert on_server(ground) == [(0, 10)]
    await ground.close(fh)


async def test_once_on_the_server_they_stay_there_until_it_rests(ground: Bench) -> None:
    fh = await ground.open(os.O_RDONLY)
    await lock(ground, fh, LockType.READ, 0, 10)
    writer = await ground.open(os.O_RDWR)
    await lock(ground, writer, LockType.WRITE, 20, 30)
    assert on_server(ground) == [(0, 10), (20, 30)]
    await ground.close(writer)
    await ground.close(fh)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_a_lost_connection_takes_them_along(ground: Bench) -> None:
    ground.share.keeps = False
    fh = await ground.open()
    await lock(ground, fh)
    ground.server.hang_up()
    ground.share.put("file", b"others had it meanwhile")
    await ground.settled()
    again = await ground.open()
    with pytest.raises((ConnectionLost, OSError)) as caught:
        await lock(ground, again, start=0, end=10, owner=THERE)
    assert getattr(caught.value, "errno", None) != errno.EAGAIN, "nobody holds it any more"
    for one in (fh, again):
        await ground.fs.release(WHO, one)


async def test_they_can_be_kept_from_staying() -> None:
    async with bench(b"music", policy=DataPolicy(leases=True)) as ground:
        fh = await ground.open()
        await lock(ground, fh, start=0, end=10)
        assert on_server(ground) == [(0, 10)]
        assert ground.file.lease is not None
        assert ground.file.lease.may_write, "the handle that locks is no stranger to the server"
        await ground.close(fh)
