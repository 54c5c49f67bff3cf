"""Writing: in order, to its end, and whoever must know of an error hears it."""

from __future__ import annotations

import os
from functools import partial

import pytest
import trio

from smbfs.cache.dirty import room_for
from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, ROOT, FileHandle
from smbfs.vfs import writing
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import BOTH, WHO, Bench, bench, together

KIB = 1024
MIB = 1 << 20
APPEND = os.O_WRONLY | os.O_APPEND
DIRECT = BOTH | os.O_DIRECT


def writes(ground: Bench) -> int:
    """How many WRITEs came since the last look."""
    count = sum(frame.count(Command.WRITE) for frame in ground.server.requests)
    ground.server.requests.clear()
    return count


# Behind


async def test_small_writes_are_sent_in_large_pieces() -> None:
    async with bench() as ground:
        fh = await ground.open()
        for offset in range(0, 2 * MIB, 4096):
            await ground.write(fh, offset, offset.to_bytes(4, "big") * 1024)
        await ground.close(fh)
        assert len(ground.data) == 2 * MIB
        assert all(
            ground.data[offset : offset + 4] == offset.to_bytes(4, "big")
            for offset in range(0, 2 * MIB, 4096)
        )
        assert writes(ground) < 10


async def test_the_first_write_goes_out_at_once() -> None:
    async with bench() as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"now")
        await ground.settled()
        assert ground.data == b"now"
        await ground.close(fh)


async def test_large_writes_are_kept_without_a_copy() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        data = memoryview(bytes(MIB))
        await ground.content.write(fh, 0, data)
        assert ground.file.dirty.under_way[0].parts[0] is data
        held.open()
        await ground.close(fh)


async def test_what_there_is_room_for_is_taken_without_waiting() -> None:
    async with bench(b"music") as ground:
        fh = await ground.open()
        assert ground.fs.write_now(WHO, fh, 1, b"aes") == 3
        await ground.close(fh)
        assert ground.data == b"maesc"


@pytest.mark.parametrize("flags", [DIRECT, APPEND, BOTH | os.O_SYNC])
async def test_what_goes_straight_to_the_server_waits(flags: int) -> None:
    async with bench() as ground:
        fh = await ground.open(flags)
        assert ground.content.write_now(fh, 0, b"x") is MISS
        await ground.close(fh)
        assert ground.data == b""


async def test_nothing_is_taken_without_waiting_that_may_have_to_wait() -> None:
    async with bench(policy=DataPolicy(cache_bytes=2 * MIB)) as ground:
        fh, appending = await ground.open(), await ground.open(APPEND)
        assert ground.content.write_now(fh, 0, b"") is MISS
        assert ground.content.write_now(fh, 1, b"behind a gap") is MISS
        assert ground.content.write_now(FileHandle(99), 0, b"x") is MISS
        held = ground.gate(Command.WRITE)
        assert ground.content.write_now(fh, 0, bytes(700 * KIB)) == 700 * KIB
        assert ground.content.write_now(fh, 0, bytes(700 * KIB)) is MISS  # no room
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, appending, 0, b"appended")
            await ground.settled()
            assert ground.content.write_now(fh, 0, b"x") is MISS  # somebody is in the door
            held.open()
        await ground.close(fh)
        await ground.close(appending)


@pytest.mark.logs("could not be written: WRITE file: DISK_FULL")
async def test_a_lost_write_is_told_by_one_that_waits() -> None:
    async with bench() as ground:
        fh = await ground.open()
        ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
        await ground.write(fh, 0, b"lost")
        await ground.settled()
        assert ground.content.write_now(fh, 0, b"x") is MISS
        with pytest.raises(OSError, match="lost"):
            await ground.content.write(fh, 0, b"x")
        with pytest.raises(OSError, match="lost"):
            await ground.content.flush(fh)


async def test_a_write_of_nothing_changes_nothing() -> None:
    async with bench(b"music") as ground:
        for flags in (BOTH, DIRECT, APPEND, BOTH | os.O_SYNC):
            fh = await ground.open(flags)
            await ground.write(fh, 100, b"")
            await ground.close(fh)
        assert writes(ground) == 0
        assert ground.server.flushed == 0
        assert ground.data == b"music"


async def test_a_write_waits_while_too_much_of_its_file_is_unsent() -> None:
    async with bench() as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        done: list[int] = []

        async def write() -> None:
            for offset in range(0, 20 * MIB, MIB):
                await ground.write(fh, offset, bytes(MIB))
                done.append(offset)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await ground.settled()
            assert ground.file.dirty.room <= writing.FILE_DIRTY_BYTES
            assert 10 < len(done) < 17
            held.open()
        await ground.close(fh)


async def test_a_write_waits_for_room_and_can_give_up() -> None:
    async with bench(policy=DataPolicy(cache_bytes=2 * MIB)) as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        room = ground.file.ground.room
        await ground.write(fh, 0, bytes(700 * KIB))
        for _ in range(2):
            with trio.move_on_after(0.01) as scope:
                await ground.write(fh, 800 * KIB, bytes(700 * KIB))
            assert scope.cancelled_caught
            assert room.budget.used_bytes == room_for(700 * KIB)
        held.open()
        await ground.write(fh, 800 * KIB, b"after that")
        await ground.close(fh)
        assert ground.data == bytes(800 * KIB) + b"after that"


async def test_who_gives_up_at_the_door_leaves_it_free() -> None:
    async with bench() as ground:
        fh, other = await ground.open(), await ground.open(APPEND)
        held = ground.gate(Command.WRITE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, other, 0, b"appended")
            await ground.settled()
            for doing in (
                partial(ground.write, fh, 0, b"x"),
                partial(ground.truncate, 0, fh),
                partial(ground.write, other, 0, b"x"),
            ):
                with trio.move_on_after(0.01) as scope:
                    await doing()
                assert scope.cancelled_caught
            held.open()
        await ground.write(fh, 0, b"now")
        await ground.close(fh)
        await ground.close(other)
        assert ground.data == b"nowended"


async def test_many_writers_stay_within_the_budget() -> None:
    policy = DataPolicy(cache_bytes=4 * MIB)
    async with bench(None, policy=policy) as ground:
        for number in range(12):
            ground.share.put(f"{number}")
        held = ground.gate(Command.WRITE)
        room = ground.fs.content.ground.room
        handles = []

        async def write(number: int) -> None:
            entry = await ground.fs.lookup(WHO, ROOT, b"%d" % number)
            assert entry.attributes is not None
            opened = await ground.fs.open(WHO, entry.attributes.node, BOTH)
            handles.append(opened.fh)
            for offset in range(0, 3 * 512 * KIB, 512 * KIB):
                await ground.write(opened.fh, offset, bytes(512 * KIB))
                assert room.budget.used_bytes <= 2 * MIB

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(write, number)
            await ground.settled()
            assert room.budget.used_bytes > MIB
            held.open()
        for fh in handles:
            await ground.close(fh)
        assert all(len(ground.share.read(f"{number}")) == 3 * 512 * KIB for number in range(12))


# Order


async def test_a_direct_write_waits_for_what_it_overlaps() -> None:
    async with bench() as ground:
        fh, direct = await ground.open(), await ground.open(DIRECT)
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 0, b"buffered")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, direct, 4, b"DIRECT")
            await ground.settled()
            assert len(held.held) == 1
            held.open()
        await ground.close(fh)
        await ground.close(direct)
        assert ground.data == b"buffDIRECT"


async def test_direct_writes_that_do_not_overlap_go_side_by_side() -> None:
    async with bench() as ground:
        fh = await ground.open(DIRECT)
        held = ground.gate(Command.WRITE)
        async with trio.open_nursery() as nursery:
            for number in range(16):
                nursery.start_soon(ground.write, fh, number * 4, b"%04d" % number)
            await ground.settled()
            assert len(held.held) == 16
            held.open()
        await ground.close(fh)
        assert ground.data == b"".join(b"%04d" % number for number in range(16))


async def test_a_buffered_write_waits_for_a_direct_one_under_way() -> None:
    async with bench() as ground:
        fh, direct = await ground.open(), await ground.open(DIRECT)
        held = ground.gate(Command.WRITE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, direct, 0, b"DIRECT")
            await ground.settled()
            await ground.write(fh, 0, b"buf")
            await ground.settled()
            assert len(held.held) == 1
            held.open()
        await ground.close(fh)
        await ground.close(direct)
        assert ground.data == b"bufECT"


@pytest.mark.parametrize("flags", [DIRECT, BOTH | os.O_SYNC, APPEND])
async def test_who_gives_up_a_write_under_way_is_not_overtaken_by_it(flags: int) -> None:
    """The server does what it got, late; what was written after that must stay."""
    async with bench() as ground:
        fh, other = await ground.open(flags), await ground.open()
        held = ground.gate(Command.WRITE)
        with trio.move_on_after(0.01) as scope:
            await ground.write(fh, 0, b"old")
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, other, 0, b"new")
            await ground.settled()
            assert len(held.held) == 1
            held.open()
        await ground.content.fsync(other)
        assert ground.data == b"new"
        await ground.close(fh)
        await ground.close(other)


# At the end


async def test_appends_of_two_descriptors_take_turns() -> None:
    async with bench(b"start ") as ground:
        handles = [await ground.open(APPEND) for _ in range(3)]
        await together(*[partial(ground.write, fh, 0, b"abc ") for fh in handles for _ in range(4)])
        assert ground.data == b"start " + b"abc " * 12
        for fh in handles:
            await ground.close(fh)


async def test_an_append_goes_behind_what_is_unsent() -> None:
    async with bench(b"start ") as ground:
        fh, appending = await ground.open(), await ground.open(APPEND)
        held = ground.gate(Command.WRITE)
        await ground.write(fh, 6, b"unsent ")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, appending, 0, b"appended")
            await ground.settled()
            held.open()
        assert ground.data == b"start unsent appended"
        assert await ground.size() == 21
        await ground.close(fh)
        await ground.close(appending)


async def test_a_write_does_not_slip_into_an_append() -> None:
    """Between the question where the file ends and the bytes put there."""
    async with bench(b"start ") as ground:
        fh, appending = await ground.open(), await ground.open(APPEND)
        held = ground.gate(Command.WRITE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ground.write, appending, 0, b"appended ")
            await ground.settled()
            nursery.start_soon(ground.write, fh, 15, b"written")
            await ground.settled()
            assert not ground.file.dirty
            held.open()
        await ground.close(fh)
        await ground.close(appending)
        assert ground.data == b"start appended written"


async def test_an_append_goes_where_the_file_ends_on_the_server() -> None:
    async with bench(b"start ") as ground:
        fh = await ground.open(BOTH | os.O_APPEND)
        assert await ground.read(fh) == b"start "
        ground.share.put("file", b"start theirs ")
        await ground.write(fh, 6, b"ours")
        assert ground.data == b"start theirs ours"
        assert await ground.read(fh) == b"start theirs ours"
        await ground.close(fh)


async def test_an_append_moves_the_end_that_was_read_ahead() -> None:
    data = bytes(500 * KIB)
    async with bench(data) as ground:
        fh, appending = await ground.open(), await ground.open(APPEND)
        ground.share.put("file", data[: 200 * KIB])
        await ground.read(fh, 0, 100 * KIB)
        await ground.settled()
        await ground.write(appending, 0, b"more")
        wanted = bytes(50 * KIB) + b"more"
        assert await ground.read(fh, 150 * KIB, 100 * KIB) == wanted
        await ground.close(fh)
        await ground.close(appending)


async def test_a_failed_append_is_told_and_forgotten() -> None:
    async with bench(b"start ") as ground:
        fh = await ground.open(APPEND)
        ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL, times=1))
        with pytest.raises(StatusError, match="DISK_FULL"):
            await ground.write(fh, 0, b"too much")
        await ground.write(fh, 0, b"enough")
        await ground.close(fh)
        assert ground.data == b"start enough"
