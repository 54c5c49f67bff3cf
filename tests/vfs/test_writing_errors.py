"""Writes that fail: whoever must know of it hears it, and nobody else suffers."""

from __future__ import annotations

import errno
import os
from functools import partial

import pytest
import trio

from smbfs.errors import ServerSilent, SmbError, Stale, StatusError
from smbfs.vfs.policy import DataPolicy
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails, Silent
from tests.vfs.bench import BOTH, NAME, Bench, bench

KIB = 1024
MIB = 1 << 20
APPEND = os.O_WRONLY | os.O_APPEND
DIRECT = BOTH | os.O_DIRECT


def writes(ground: Bench) -> int:
    """How many WRITEs came since the last look."""
    count = sum(frame.count(Command.WRITE) for frame in ground.server.requests)
    ground.server.requests.clear()
    return count


# Errors


@pytest.mark.logs("node .*: 3 bytes at 0 could not be written: WRITE file: DISK_FULL")
async def test_the_first_lost_write_is_told_at_every_call_until_all_have_closed() -> None:
    async with bench() as ground:
        fh, other = await ground.open(), await ground.open()
        reader = await ground.open(os.O_RDONLY)
        full = Fails(on=Command.WRITE, status=Status.DISK_FULL)
        ground.server.script.append(full)
        await ground.write(fh, 0, b"abc")
        await ground.settled()
        ground.server.script.remove(full)
        for one in (fh, other):
            for call in (
                partial(ground.write, one, 0, b"x"),
                partial(ground.content.flush, one),
                partial(ground.content.fsync, one),
                partial(ground.truncate, 5, one),
            ):
                with pytest.raises(OSError, match="an earlier write was lost") as caught:
                    await call()
                assert caught.value.errno == errno.ENOSPC
        with pytest.raises(OSError, match="an earlier write was lost"):
            await ground.content.fsync(reader)
        await ground.content.flush(reader)
        for one in (fh, other, reader):
            await ground.content.release(one)
        again = await ground.open()
        await ground.write(again, 0, b"well")
        await ground.close(again)
        assert ground.data == b"well"


@pytest.mark.logs("could not be written")
@pytest.mark.parametrize("waits_for", ["room", "file"])
async def test_who_waits_to_write_hears_of_the_error(waits_for: str) -> None:
    many = 2 if waits_for == "room" else 16
    policy = DataPolicy(cache_bytes=5 * MIB if waits_for == "room" else 256 * MIB)
    async with bench(policy=policy) as ground:
        fh = await ground.open()
        held = ground.gate(Command.WRITE)
        ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
        for number in range(many):
            await ground.write(fh, number * MIB, bytes(MIB - 1000))

        async def write() -> None:
            with pytest.raises(OSError, match="an earlier write was lost"):
                await ground.write(fh, 50 * MIB, bytes(MIB))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await ground.settled()
            held.open()
        assert ground.share.read("file") == b""
        await ground.content.release(fh)


@pytest.mark.parametrize("flags", [DIRECT, BOTH | os.O_SYNC])
async def test_a_write_that_is_waited_for_tells_its_own_error_once(flags: int) -> None:
    async with bench() as ground:
        fh = await ground.open(flags)
        ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL, times=1))
        with pytest.raises(StatusError, match="DISK_FULL"):
            await ground.write(fh, 0, b"abc")
        await ground.write(fh, 0, b"def")
        await ground.close(fh)
        assert ground.data == b"def"


@pytest.mark.logs("could not be written")
@pytest.mark.parametrize("how", ["direct", "append", "truncate"])
async def test_a_change_without_an_answer_stops_all_others(
    how: str, autojump_clock: object
) -> None:
    """It may still land, on top of what is written next: until all have closed nothing is."""
    async with bench() as ground:
        fh = await ground.open(DIRECT if how == "direct" else APPEND)
        other = await ground.open()
        silent = Silent(on=Command.SET_INFO if how == "truncate" else Command.WRITE)
        ground.server.script.append(silent)
        chatter = trio.CancelScope()

        async def chat() -> None:
            """Keep the connection alive, or it would be lost for its silence."""
            with chatter:
                while True:
                    await ground.share_is_there()
                    await trio.sleep(1)

        change = partial(ground.write, fh, 0, b"late")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat)
            with pytest.raises(ServerSilent):
                await (ground.truncate(0, fh) if how == "truncate" else change())
            chatter.cancel()
        ground.server.script.remove(silent)
        with pytest.raises(OSError, match="an earlier write was lost"):
            await ground.write(other, 0, b"new")
        await ground.content.release(fh)
        await ground.content.release(other)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_a_descriptor_without_a_handle_takes_nothing() -> None:
    async with bench() as ground:
        handles = [await ground.open(flags) for flags in (BOTH, DIRECT, APPEND)]
        ground.server.hang_up()
        ground.share.put(NAME, b"other")
        await ground.settled()
        for fh in handles:
            with pytest.raises(Stale):
                await ground.write(fh, 0, b"nowhere")
        assert ground.file.ground.room.budget.used_bytes == 0
        for fh in handles:
            await ground.close(fh)


@pytest.mark.logs("connection lost", "could not be written")
async def test_unsent_bytes_are_lost_with_the_connection_and_told(autojump_clock: object) -> None:
    async with bench() as ground:
        fh = await ground.open()
        ground.gate(Command.WRITE)
        for offset in range(0, 12 * MIB, MIB):
            await ground.write(fh, offset, bytes(MIB))
        ground.server.hang_up()
        with pytest.raises(OSError, match="an earlier write was lost") as caught:
            await ground.content.flush(fh)
        assert caught.value.errno == errno.EHOSTDOWN
        await ground.content.release(fh)


# On the disk


@pytest.mark.parametrize(("flushes", "wanted"), [(True, 1), (False, 0)])
async def test_on_a_synchronous_mount_every_write_is(flushes: bool, wanted: int) -> None:
    policy = DataPolicy(is_synchronous=True, flushes=flushes)
    async with bench(policy=policy) as ground:
        fh = await ground.open()
        await ground.write(fh, 0, b"abc")
        assert (ground.data, ground.server.flushed) == (b"abc", wanted)
        await ground.close(fh)


async def test_a_flush_that_fails_is_told() -> None:
    async with bench() as ground:
        fh = await ground.open(BOTH | os.O_SYNC)
        ground.server.script.append(Fails(on=Command.FLUSH, status=Status.DISK_FULL, times=1))
        with pytest.raises(SmbError, match="FLUSH file: DISK_FULL"):
            await ground.write(fh, 0, b"abc")
        assert ground.file.unflushed
        await ground.close(fh)
