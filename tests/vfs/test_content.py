"""Opening and closing, fsync and truncation: who is told what, and what is left behind."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest
import trio

from smbfs.errors import SmbError, Stale
from smbfs.fuse.server import MISS, ROOT, FileHandle, errno_of
from smbfs.vfs.openfile import File
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import BOTH, NAME, WHO, Bench, bench, together
from tests.vfs.mounted import Denies

READ = os.O_RDONLY
TRUNCATE = BOTH | os.O_TRUNC


async def refused(ground: Bench, flags: int = BOTH) -> str:
    """Open in vain; the name of the error."""
    with pytest.raises((OSError, SmbError)) as caught:
        await ground.open(flags)
    return errno.errorcode[errno_of(caught.value)]


# Opening


async def test_an_open_is_one_turnaround() -> None:
    async with bench(b"music") as ground:
        entry = await ground.fs.lookup(WHO, ROOT, b"file")
        assert entry.attributes is not None
        ground.turns()
        opened = await ground.fs.open(WHO, entry.attributes.node, TRUNCATE)
        assert (ground.turns(), ground.data) == (1, b"")
        assert not opened.direct_io
        await ground.close(opened.fh)


async def test_the_kernel_keeps_out_of_what_it_cannot_know() -> None:
    async with bench() as ground:
        for flags, wanted in ((BOTH, False), (BOTH | os.O_APPEND, True), (os.O_DIRECT, True)):
            node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
            assert node is not None
            opened = await ground.fs.open(WHO, node.node, flags)
            assert opened.direct_io is wanted
            assert not opened.keep_cache
            await ground.close(opened.fh)


async def test_unknown_numbers() -> None:
    async with bench() as ground:
        nobody = FileHandle(99)
        assert ground.content.read_now(nobody, 0, 1) is MISS
        for call in (
            partial(ground.content.read, nobody, 0, 1),
            partial(ground.content.write, nobody, 0, b"x"),
            partial(ground.content.flush, nobody),
            partial(ground.content.fsync, nobody),
        ):
            with pytest.raises(OSError, match="no such open file") as caught:
                await call()
            assert caught.value.errno == errno.EBADF
        await ground.content.release(nobody)


async def test_creating_is_one_turnaround_and_exclusive_if_asked() -> None:
    async with bench(None) as ground:
        ground.turns()
        fh = await ground.create(BOTH | os.O_EXCL)
        assert ground.turns() == 1
        await ground.write(fh, 0, b"music")
        await ground.close(fh)
        with pytest.raises(SmbError) as caught:
            await ground.create(BOTH | os.O_EXCL)
        assert caught.value.errno == errno.EEXIST
        fh = await ground.create(BOTH)
        assert await ground.read(fh) == b"music"
        again = await ground.create(TRUNCATE)
        assert await ground.read(fh) == await ground.read(again) == b""
        assert await ground.size() == 0
        await ground.close(fh)
        await ground.close(again)


@pytest.mark.logs("could not be written", "a write was lost: WRITE file: DISK_FULL")
async def test_an_error_that_nobody_heard_is_in_the_log() -> None:
    async with bench() as ground:
        fh = await ground.open()
        ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
        await ground.write(fh, 0, b"abc")
        await ground.content.release(fh)


async def test_a_synchronous_write_is_on_the_disk() -> None:
    async with bench() as ground:
        fh = await ground.open(BOTH | os.O_DSYNC)
        await ground.write(fh, 0, b"abc")
        assert (ground.data, ground.server.flushed) == (b"abc", 1)
        await ground.close(fh)


async def test_what_cannot_be_placed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(None) as ground:

        def broken(*_: object) -> None:
            raise OSError(errno.ESTALE, "the directory is gone")

        with monkeypatch.context() as patch:
            patch.setattr(ground.fs.volume.inodes, "place", broken)
            with pytest.raises(OSError, match="gone"):
                await ground.create()
        await ground.settled()
        assert not ground.server.open_handles


async def test_an_open_that_is_refused_leaves_nothing() -> None:
    async with bench() as ground:
        fh = await ground.open(READ)
        ground.server.script.append(Fails(on=Command.CREATE, status=Status.SHARING_VIOLATION))
        node = ground.inode.node
        with pytest.raises(SmbError):
            await ground.fs.open(WHO, node, BOTH)
        ground.server.script.clear()
        assert ground.inode.opens == 1
        await ground.close(fh)


async def test_without_the_right_to_set_times_data_can_be_written() -> None:
    async with bench() as ground:
        fh = await ground.open(READ)
        denial = Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, times=1)
        ground.server.script.append(denial)
        writer = await ground.fs.open(WHO, ground.inode.node, BOTH)
        assert denial.struck
        await ground.write(writer.fh, 0, b"music")
        await ground.close(writer.fh)
        await ground.close(fh)


@pytest.mark.parametrize("flags", [READ, BOTH, TRUNCATE])
async def test_who_gives_up_an_open_leaves_nothing(flags: int) -> None:
    async with bench(b"music") as ground:
        fh = await ground.open(READ)
        held = ground.gate(Command.CREATE)
        with trio.move_on_after(0.01) as scope:
            await ground.fs.open(WHO, ground.inode.node, flags)
        assert scope.cancelled_caught
        assert ground.inode.opens == 1
        held.open()
        await ground.settled()
        assert len(ground.server.open_handles) == 1
        await ground.close(fh)


async def test_an_unlink_knows_of_who_is_about_to_open() -> None:
    async with bench(b"music") as ground:
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        held = ground.gate(Command.QUERY_INFO, does=True)
        held.on = Command.CREATE
        held.times = 1
        got: list[bytes] = []

        async def open_and_read() -> None:
            opened = await ground.fs.open(WHO, node.node, READ)
            got.append(await ground.read(opened.fh))
            await ground.close(opened.fh)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_and_read)
            await ground.settled()
            await ground.fs.unlink(WHO, ROOT, b"file")
            assert not ground.share.exists("file"), "the name is free"
            held.open()
        assert got == [b"music"]
        await ground.settled()
        assert ground.share.names() == []


async def test_a_file_that_is_moved_meanwhile_is_opened() -> None:
    async with bench(b"music") as ground:
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        held = ground.gate(Command.SET_INFO, does=True)
        held.on = Command.CREATE
        held.times = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.fs.rename, WHO, ROOT, b"file", ROOT, b"moved", 0)
            await ground.settled()

            async def open_it() -> None:
                opened = await ground.fs.open(WHO, node.node, READ)
                assert await ground.read(opened.fh) == b"music"
                await ground.close(opened.fh)

            nursery.start_soon(open_it)
            await ground.settled()
            held.open()


# Two files at one path, one after the other


async def test_another_file_of_that_name_is_not_taken_for_the_open_one() -> None:
    async with bench(b"old") as ground:
        fh = await ground.open()
        ground.share.put("new", b"new")
        ground.share.move("new", NAME)
        node = ground.inode.node
        for flags in (BOTH, READ):
            with pytest.raises(OSError, match="another file") as caught:
                await ground.fs.open(WHO, node, flags)
            assert caught.value.errno == errno.ESTALE
        again = await ground.open()  # as the kernel does, with a new lookup
        assert await ground.read(again) == b"new"
        assert await ground.read(fh) == b"old"
        await ground.write(fh, 0, b"OLD")
        await ground.close(fh)
        assert await ground.read(again) == b"new"
        await ground.close(again)


async def test_a_server_whose_ids_change_all_the_time() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        ground.share.node(NAME).file_id += 1
        again = await ground.fs.open(WHO, ground.inode.node, BOTH)
        await ground.write(fh, 0, b"M")
        assert await ground.read(again.fh) == b"Music"
        await ground.close(fh)
        await ground.close(again.fh)


@pytest.mark.logs("connection lost", "another file has its name")
async def test_who_lost_his_handle_cannot_mix_anything_up() -> None:
    async with bench(b"old") as ground:
        fh = await ground.open()
        ground.server.hang_up()
        ground.share.put("new", b"new")
        ground.share.move("new", NAME)
        await ground.settled()
        again = await ground.fs.open(WHO, ground.inode.node, BOTH)
        assert await ground.read(again.fh) == b"new"
        with pytest.raises(Stale):
            await ground.read(fh)
        await ground.close(fh)
        await ground.close(again.fh)


# Closing


async def test_a_close_sends_first() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"abc")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.content.release, fh)
            await ground.settled()
            assert ground.server.open_handles
            assert ground.file.opens
            held.open()
        assert (ground.data, ground.inode.file) == (b"abc", None)


async def test_who_gives_up_a_close_loses_nothing() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"abc")
        await ground.write(fh, 100, b"def")
        with trio.move_on_after(0.01) as scope:
            await ground.content.release(fh)
        assert scope.cancelled_caught
        assert ground.server.open_handles
        again = await ground.open()
        held.open()
        assert await ground.read(again) == b"abc" + bytes(97) + b"def"
        await ground.settled()
        assert len(ground.server.open_handles) == 1
        await ground.close(again)
        assert ground.inode.file is None


@pytest.mark.parametrize("is_end", [False, True])
async def test_a_close_waits_for_what_still_changes_the_file(is_end: bool) -> None:
    """Its program was killed; whoever opens the file next is not overwritten by what is late."""
    async with bench(b"12345") as ground:
        fh = await ground.open(BOTH | os.O_APPEND)
        held = ground.gate(Command.WRITE, times=1)
        async with trio.open_nursery() as killed:
            killed.start_soon(ground.write, fh, 0, b"late")
            await ground.settled()
            killed.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.content.stop if is_end else partial(ground.close, fh))
            await ground.settled()
            assert ground.server.open_handles
            if not is_end:
                again = await ground.open()
                nursery.start_soon(ground.write, again, 5, b"new!")
            await ground.settled()
            held.open()
        await ground.content.drain()
        assert ground.data == (b"12345late" if is_end else b"12345new!")


async def test_a_reader_closes_without_waiting_for_writers() -> None:
    async with bench() as ground:
        fh, reader = await ground.open(), await ground.open(READ)
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"abc")
        await ground.content.flush(reader)
        held.open()
        await ground.content.release(reader)
        await ground.close(fh)


async def test_the_end_of_the_mount_sends_and_closes_all() -> None:
    async with bench() as ground:
        handles = [await ground.open(flags) for flags in (BOTH, BOTH, READ)]
        await ground.write(handles[0], 0, b"abc")
        await ground.write(handles[1], 3, b"def")
        assert len(ground.content.all_open()) == 3
        await ground.fs.stop()
        assert ground.data == b"abcdef"
        assert ground.content.all_open() == []


@pytest.mark.logs("bytes that were written are not sent")
async def test_an_end_that_takes_too_long_tells_what_is_lost() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"abc")
        with trio.move_on_after(0.01):
            await ground.content.stop()
        assert ground.content.all_open() == []
        assert ground.inode.file is None
        held.open()
        await ground.settled()


# All at once


async def test_opens_and_closes_at_the_same_time_leave_nothing() -> None:
    async with bench(b"music") as ground:
        entry = await ground.fs.lookup(WHO, ROOT, b"file")
        assert entry.attributes is not None
        node = entry.attributes.node

        async def live(flags: int) -> None:
            for _ in range(5):
                opened = await ground.fs.open(WHO, node, flags)
                await ground.read(opened.fh, 0, 10)
                await ground.close(opened.fh)

        await together(*[partial(live, flags) for flags in (READ, BOTH, BOTH | os.O_DIRECT)])
        assert ground.inode.file is None
        assert ground.inode.opens == 0


async def test_a_second_open_shares_the_file() -> None:
    async with bench(b"music") as ground:
        first, second = await ground.open(), await ground.open(READ)
        assert isinstance(ground.inode.file, File)
        assert ground.content.of(first).file is ground.content.of(second).file
        await ground.close(first)
        assert ground.inode.file is ground.content.of(second).file
        await ground.close(second)


async def test_a_refused_step_of_an_open_is_told() -> None:
    async with bench(b"music") as ground:
        ground.server.script.append(Denies(on=Command.SET_INFO, status=Status.DISK_FULL))
        assert await refused(ground, TRUNCATE) == "ENOSPC"
        await ground.settled()
        assert not ground.server.open_handles
