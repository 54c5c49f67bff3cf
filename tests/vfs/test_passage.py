"""Data of ranges that this machine has locked, by whatever descriptor."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest
import trio

from smbfs.errors import StatusError
from smbfs.fuse.server import ROOT
from smbfs.vfs.passage import past_locks, way
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.reading import ALONE_S
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import WHO, Gate, bench, on_mock_time
from tests.vfs.locking import READ, THERE, UNLOCK, WRITE, beside, errno_from, pair


@pytest.mark.parametrize("flags", [0, os.O_APPEND, os.O_DIRECT, os.O_SYNC])
def test_data_of_a_locked_range_through_another_descriptor(flags: int) -> None:
    async def main() -> None:
        async with pair(b"0123456789") as both:
            await both.one.lock(WRITE)
            other = await both.one.open(os.O_RDWR | flags)
            assert await both.one.read(fh=other) == b"0123456789"
            await both.one.write(b"more", 10, fh=other)
            await both.one.fs.flush(WHO, other)
            assert await both.one.read() == b"0123456789more"
            await both.one.lock(UNLOCK)
            await both.two.lock(READ)
            assert await both.two.read() == b"0123456789more"

    on_mock_time(main)


def test_data_far_from_any_lock_goes_the_usual_way() -> None:
    async def main() -> None:
        async with pair(bytes(100)) as both:
            await both.one.lock(WRITE, 0, 10)
            opened = both.one.fs.content.of(both.one.fh)
            locks = both.one.locks
            assert way(opened, 10, 90) is opened.handle
            assert locks.keeps(way(opened, 9, 1))
            assert locks.keeps(way(opened, 9, 1, writes=True))
            await both.one.lock(READ, 0, 10)
            assert way(opened, 9, 1) is opened.handle

    on_mock_time(main)


@pytest.mark.logs("could not be written")
def test_a_range_locked_shared_cannot_be_written() -> None:
    """SMB refuses it even to the holder; it is told as every lost write is."""

    async def main() -> None:
        async with pair(bytes(100)) as both:
            await both.one.lock(READ, 0, 10)
            await both.one.write(b"no")
            close = partial(both.one.fs.flush, WHO, both.one.fh)
            assert await errno_from(beside(both.nursery, close)) == errno.EACCES

    on_mock_time(main)


def test_a_large_file_is_read_ahead_under_a_lock() -> None:
    async def main() -> None:
        data = bytes(range(256)) * 4096
        async with pair(data, DataPolicy(believe_s=60)) as both:
            await both.one.lock(WRITE, 300_000, 400_000)
            got = b"".join([await both.one.read(65536, at) for at in range(0, len(data), 65536)])
            assert got == data

    on_mock_time(main)


@pytest.mark.parametrize("flags", [0, os.O_APPEND, os.O_DIRECT])
def test_data_under_way_while_the_range_is_locked(flags: int) -> None:
    """The server locks first, and refuses what was sent before anybody here knew of it."""

    async def main() -> None:
        async with pair(b"0123456789") as both:
            await both.one.lock(WRITE, 5000, 6000)
            other = await both.one.open(os.O_RDWR | flags)
            writes, reads = Gate(on=Command.WRITE, times=1), Gate(on=Command.READ, times=1)
            both.server.script[:] = [writes, reads]
            writing = beside(both.nursery, partial(both.one.write, b"new", 10, fh=other))
            await both.settled()
            reading = beside(both.nursery, partial(both.one.read, 5, fh=other))
            await both.settled()
            await both.one.lock(WRITE, 0, 100, owner=THERE)
            writes.open()
            reads.open()
            await writing.done.wait()
            await reading.done.wait()
            await both.one.fs.flush(WHO, other)
            assert writing.is_done
            assert reading.is_done
            assert both.server.volume.read("file") == b"0123456789new"

    on_mock_time(main)


@pytest.mark.parametrize("status", [Status.FILE_LOCK_CONFLICT, Status.DISK_FULL])
@pytest.mark.parametrize("is_locking", [True, False])
def test_what_is_refused_for_good(status: Status, is_locking: bool) -> None:
    async def main() -> None:
        async with pair(b"0123456789") as both:
            if is_locking:
                await both.one.lock(WRITE, 0, 5)
            opened = both.one.fs.content.of(both.one.fh)
            both.server.script.append(Fails(on=Command.READ, status=status))
            for at in (0, 7):
                with pytest.raises(StatusError) as caught:
                    await past_locks(opened, at, 1, lambda handle: handle.read(0, 1))
                assert caught.value.status == status

    on_mock_time(main)


def test_a_record_beside_one_that_is_locked_elsewhere() -> None:
    async def main() -> None:
        async with pair(b"abcdefgh" * 4) as both:
            await both.two.lock(WRITE, 8, 16)
            await both.one.lock(WRITE, 0, 8)
            # More than was asked for is asked first, and refused; then just the record is.
            assert await both.one.read(8, 0) == b"abcdefgh"
            await both.one.write(b"ABCDEFGH", 0)
            await both.one.fs.flush(WHO, both.one.fh)
            before = both.server.turnarounds
            assert await both.one.read(8, 0) == b"ABCDEFGH"
            assert both.server.turnarounds - before == 1  # nothing is read ahead for a while
            with pytest.raises(StatusError) as refused:
                await both.one.read(8, 8)
            assert refused.value.status == Status.FILE_LOCK_CONFLICT
            await both.two.lock(UNLOCK, 8, 16)
            await trio.sleep(ALONE_S)
            assert await both.one.read(16, 0) == b"ABCDEFGHabcdefgh"

    on_mock_time(main)


@pytest.mark.parametrize(
    ("flags", "reads_exactly", "locks", "wanted"),
    [
        (os.O_RDWR, True, True, True),
        (os.O_RDWR, False, True, False),
        (os.O_RDWR, True, False, False),
        (os.O_RDONLY, True, True, False),
        (os.O_WRONLY, True, True, False),
    ],
)
async def test_who_may_change_records_reads_no_pages(
    flags: int, reads_exactly: bool, locks: bool, wanted: bool
) -> None:
    async with bench(policy=DataPolicy(locks=locks)) as ground:
        ground.fs.may_read_exactly(reads_exactly)
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        opened = await ground.fs.open(WHO, node.node, flags)
        assert opened.direct_io is wanted
        await ground.close(opened.fh)
