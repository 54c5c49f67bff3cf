"""On the disk, and of another size: fsync, truncation, and opens that empty a file."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from smbfs.errors import Stale, StatusError
from smbfs.fuse.server import ROOT, FileHandle
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.constants import Attributes
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import BOTH, NAME, WHO, bench

READ = os.O_RDONLY
TRUNCATE = BOTH | os.O_TRUNC


# On the disk


async def test_fsync_sends_and_flushes() -> None:
    async with bench() as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"abc")
        await ground.content.fsync(fh)
        assert (ground.data, ground.server.flushed) == (b"abc", 1)
        assert not ground.file.unflushed
        await ground.close(fh)


async def test_fsync_need_not_be_strict() -> None:
    async with bench(policy=DataPolicy(flushes=False)) as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"abc")
        await ground.content.fsync(fh)
        assert (ground.data, ground.server.flushed) == (b"abc", 0)
        await ground.close(fh)


async def test_a_reader_flushes_through_a_writer() -> None:
    async with bench() as ground:
        fh, reader = await ground.open(), await ground.open(READ)
        await ground.write(fh, 0, b"abc")
        await ground.content.fsync(reader)
        assert (ground.data, ground.server.flushed) == (b"abc", 1)
        await ground.close(fh)
        await ground.close(reader)


async def test_a_reader_flushes_after_the_writer_has_gone() -> None:
    async with bench() as ground:
        fh, reader = await ground.open(), await ground.open(READ)
        await ground.write(fh, 0, b"abc")
        await ground.close(fh)
        await ground.settled()
        ground.turns()
        await ground.content.fsync(reader)
        assert ground.server.flushed == 1
        await ground.settled()
        assert ground.turns() == 2, "CREATE with FLUSH, and the CLOSE nobody waits for"
        await ground.close(reader)


async def test_what_nobody_may_write_need_not_be_flushed() -> None:
    async with bench() as ground:
        reader = await ground.open(READ)
        ground.share.node(NAME).attributes = Attributes.READONLY
        await ground.content.fsync(reader)
        ground.share.node(NAME).attributes = 0
        ground.server.script.append(Fails(on=Command.CREATE, status=Status.SHARING_VIOLATION))
        with pytest.raises(StatusError, match="SHARING_VIOLATION"):
            await ground.content.fsync(reader)
        ground.server.script.clear()
        await ground.close(reader)


async def test_what_we_wrote_must_be_flushed_or_told() -> None:
    async with bench() as ground:
        fh, reader = await ground.open(), await ground.open(READ)
        await ground.write(fh, 0, b"abc")
        await ground.close(fh)
        ground.share.node(NAME).attributes = Attributes.READONLY
        with pytest.raises(StatusError, match="ACCESS_DENIED"):
            await ground.content.fsync(reader)
        await ground.close(reader)


async def test_a_file_without_a_name_needs_no_flush_by_name() -> None:
    async with bench() as ground:
        reader = await ground.open(READ)
        await ground.fs.unlink(WHO, ROOT, b"file")
        await ground.content.fsync(reader)
        await ground.close(reader)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_what_was_confirmed_by_a_connection_that_is_lost_is_not_known_to_be_on_disk() -> None:
    """The server may have been started anew since, without what it had in memory."""
    async with bench() as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"abc")
        await ground.content.flush(fh)
        ground.server.hang_up()
        await ground.settled()
        with pytest.raises(Stale):
            await ground.content.fsync(fh)
        reader = await ground.open(READ)
        with pytest.raises(Stale):
            await ground.content.fsync(reader)
        again = await ground.open()
        await ground.write(again, 3, b"def")
        for one in (again, reader, again):
            with pytest.raises(OSError, match="before all was on the disk") as caught:
                await ground.content.fsync(one)
            assert caught.value.errno == errno.EIO
        for one in (fh, reader, again):
            await ground.close(one)
        fh = await ground.open()
        await ground.write(fh, 0, b"x")
        await ground.content.fsync(fh)
        await ground.close(fh)


# Size


async def test_truncation_is_one_turnaround() -> None:
    async with bench(b"music") as ground:
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        ground.turns()
        assert await ground.truncate(3) == 3
        assert (ground.turns(), ground.data) == (1, b"mus")
        fh = await ground.open()
        ground.turns()
        assert await ground.truncate(6, fh) == 6
        assert (ground.turns(), ground.data) == (1, b"mus\0\0\0")
        assert await ground.read(fh) == b"mus\0\0\0"
        await ground.close(fh)


async def test_truncation_goes_after_what_was_written_and_before_what_comes() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.truncate, 2, fh)
            await ground.settled()
            nursery.start_soon(ground.write, fh, 4, b"after")
            await ground.settled()
            held.open()
        assert await ground.size() == 9
        await ground.close(fh)
        assert ground.data == b"be\0\0after"


async def test_who_gives_up_a_truncation_is_not_overtaken() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        held = ground.gate(Command.SET_INFO)
        with trio.move_on_after(0.01) as scope:
            await ground.truncate(0, fh)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, fh, 0, b"later")
            await ground.settled()
            held.open()
        await ground.content.flush(fh)
        assert ground.data == b"later"
        assert await ground.size() == 5
        await ground.close(fh)


async def test_a_read_from_before_a_truncation_is_not_believed() -> None:
    async with bench(b"o" * 500_000) as ground:
        fh = await ground.open()
        held = ground.gate(Command.READ, does=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.read, fh, 0, 100_000)
            await ground.settled()
            await ground.truncate(100, fh)
            held.open()
        assert await ground.read(fh, 0, 1000) == b"o" * 100
        await ground.truncate(1000, fh)
        assert await ground.read(fh, 0, 1000) == b"o" * 100 + bytes(900)
        await ground.close(fh)


async def test_a_file_opened_while_it_is_cut_by_name() -> None:
    async with bench(b"o" * 500_000) as ground:
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        held = ground.gate(Command.CREATE)
        held.times = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.truncate, 100)
            await ground.settled()
            fh = (await ground.fs.open(WHO, node.node, BOTH)).fh
            assert await ground.read(fh, 0, 1000) == b"o" * 1000
            held.open()
        assert await ground.read(fh, 0, 1000) == b"o" * 100
        await ground.close(fh)


async def test_a_truncation_that_fails_is_told() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        ground.server.script.append(Fails(on=Command.SET_INFO, status=Status.DISK_FULL, times=2))
        for target in (fh, None):
            with pytest.raises(StatusError, match="DISK_FULL"):
                await ground.truncate(10, target)
        assert await ground.truncate(10, None) == 10
        await ground.close(fh)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_truncation_by_a_stale_descriptor_fails_and_by_name_works() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        ground.server.hang_up()
        ground.share.put(NAME, b"other")
        await ground.settled()
        with pytest.raises(Stale):
            await ground.truncate(2, fh)
        assert await ground.truncate(2, None) == 2
        reader = await ground.open(READ)
        assert await ground.truncate(1, reader) == 1, "not through a handle that may only read"
        await ground.close(fh)
        await ground.close(reader)


# Emptying by open


async def test_an_emptying_open_takes_its_turn() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"before")
        handles: list[FileHandle] = []

        async def empty() -> None:
            opened = await ground.fs.open(WHO, ground.inode.node, TRUNCATE)
            handles.append(opened.fh)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(empty)
            await ground.settled()
            nursery.start_soon(ground.write, fh, 2, b"after")
            await ground.settled()
            assert not handles
            held.open()
        assert await ground.size() == 7
        await ground.close(fh)
        await ground.close(handles[0])
        assert ground.data == b"\0\0after"


async def test_who_empties_and_gives_up_is_not_overtaken() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        held = ground.gate(Command.CREATE)
        with trio.move_on_after(0.01) as scope:
            await ground.fs.open(WHO, ground.inode.node, TRUNCATE)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, fh, 0, b"later")
            await ground.settled()
            held.open()
        await ground.close(fh)
        assert ground.data == b"later"


async def test_an_emptying_open_does_not_forget_what_was_written_since() -> None:
    """Somebody else opened the file and wrote to it while our open was under way."""
    async with bench(b"music") as ground:
        node = (await ground.fs.lookup(WHO, ROOT, b"file")).attributes
        assert node is not None
        held = ground.gate(Command.CREATE, does=True)
        held.times = 1
        handles: list[FileHandle] = []

        async def empty() -> None:
            handles.append((await ground.fs.open(WHO, node.node, TRUNCATE)).fh)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(empty)
            await ground.settled()
            other = (await ground.fs.open(WHO, node.node, BOTH)).fh
            await ground.write(other, 0, b"since then")
            await ground.content.flush(other)
            held.open()
        assert await ground.size() == 10
        assert await ground.read(handles[0]) == b"since then"
        await ground.close(other)
        await ground.close(handles[0])
