"""Copies made by the server: what is copied, how it is asked, and what if it cannot."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from smbfs.engine.controls import Limits
from smbfs.errors import SmbError
from smbfs.vfs import copying
from smbfs.vfs.copying import narrowed, pieces
from smbfs.wire.constants import Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Silent
from tests.fake.tree import Volume
from tests.vfs.bench import BOTH, NAME, Gate, bench, on_mock_time, together
from tests.vfs.copies import (
    COPIES,
    DATA,
    KIB,
    MIB,
    WRITE,
    cloning,
    copy,
    held,
    size_of,
    target_of,
    two,
)
from tests.vfs.tables import fails


async def test_a_copy_is_the_source() -> None:
    async with two() as (made, source, target):
        assert await copy(made, source, target, 10 * MIB) == len(DATA)
        assert held(made) == DATA
        assert await size_of(made) == len(DATA)
        assert await copy(made, source, target, 10 * MIB, len(DATA), len(DATA)) == 0


async def test_a_range_is_copied_to_another_place() -> None:
    async with two() as (made, source, target):
        assert await copy(made, source, target, 1000, 50, 7) == 1000
        assert held(made) == bytes(7) + DATA[50:1050]
        assert await copy(made, source, target, 10, len(DATA) - 4, 0) == 4
        assert held(made)[:7] == DATA[-4:] + bytes(3)
        assert await copy(made, source, target, 10, len(DATA) + 4, 0) == 0


async def test_a_large_copy_costs_few_turnarounds_and_no_bytes() -> None:
    async with two(bytes(70 * MIB)) as (made, source, target):
        assert await copy(made, source, target, 70 * MIB) == 64 * MIB
        assert made.turns() == 1 + 4
        assert await copy(made, source, target, 70 * MIB, 64 * MIB, 64 * MIB) == 6 * MIB
        assert made.turns() <= 1 + 1
        assert made.share.node("target").size == 70 * MIB


def test_a_slow_copy_is_short() -> None:
    async def main() -> None:
        async with two(bytes(20 * MIB)) as (made, source, target):
            slow = Gate(on=Command.IOCTL)
            await copy(made, source, target, 1)  # the key is known now
            made.server.script.append(slow)
            counts: list[int] = []

            async def ours() -> None:
                counts.append(await copy(made, source, target, 20 * MIB))

            async def theirs() -> None:
                await made.settled()
                await trio.sleep(copying.LONG_S + 1)
                slow.let_go()

            await together(ours, theirs)
            assert counts == [16 * MIB]
            slow.open()

    on_mock_time(main)


async def test_what_was_not_sent_is_copied_too() -> None:
    async with bench(b"") as made:
        source, target = await made.open(), await target_of(made)
        gate = made.gate(Command.WRITE)
        await made.write(source, 0, b"first")
        await made.write(source, 100, b"behind a gap")
        counts: list[int] = []

        async def ours() -> None:
            counts.append(await copy(made, source, target, 50))

        async def theirs() -> None:
            await made.settled()
            gate.open()

        await together(ours, theirs)
        assert counts == [50]
        assert held(made) == b"first" + bytes(45)


async def test_a_write_before_is_overwritten_and_one_after_wins() -> None:
    async with two(b"source" * 10, flags=BOTH) as (made, source, target):
        await made.write(target, 0, b"x" * 100)
        gate = made.gate(Command.IOCTL)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(copy, made, source, target, 60)
            await made.settled()
            nursery.start_soon(made.write, target, 10, b"after")
            await made.settled()
            gate.open()
        await made.content.flush(target)
        expected = bytearray(b"source" * 10 + b"x" * 40)
        expected[10:15] = b"after"
        assert held(made) == expected


async def test_what_was_read_before_is_not_what_was_copied() -> None:
    async with two(b"new!", flags=BOTH) as (made, source, target):
        await made.write(target, 0, b"old.")
        await made.content.flush(target)
        assert await made.read(target) == b"old."
        await copy(made, source, target, 4)
        assert await made.read(target) == b"new!"


async def test_within_one_file() -> None:
    async with bench(b"0123456789") as made:
        fh = await made.open()
        assert await copy(made, fh, fh, 5, 0, 5) == 5
        assert made.data == b"0123401234"
        assert await copy(made, fh, fh, 5, 5, 10) == 5
        for start, at in ((0, 4), (4, 0), (3, 3)):
            with fails(errno.EINVAL):
                await copy(made, fh, fh, 5, start, at)


async def test_what_a_copy_needs() -> None:
    async with two() as (made, source, target):
        with fails(errno.EBADF):
            await copy(made, target, target, 1, 0, 5)
        with fails(errno.EBADF):
            await copy(made, source, source, 1, 0, 5)
        with fails(errno.EINVAL):
            await copy(made, source, target, 1, -1, 5)
        appender = await target_of(made, WRITE | os.O_APPEND)
        with fails(errno.EBADF):
            await copy(made, source, appender, 1)


async def test_a_synchronous_target_is_on_the_disk() -> None:
    async with two(flags=WRITE | os.O_SYNC) as (made, source, target):
        await copy(made, source, target, 10)
        assert made.server.flushed == 1


async def test_the_limits_of_the_server_are_learnt_once() -> None:
    share = Volume()
    share.abilities.chunks, share.abilities.chunk_size = 4, 64 * KIB
    share.abilities.copy_size = 128 * KIB
    async with two(bytes(range(256)) * 1024, share=share) as (made, source, target):
        assert await copy(made, source, target, MIB) == 256 * KIB
        assert made.turns() == 1 + 1 + 2
        assert held(made) == bytes(range(256)) * 1024
        assert made.fs.volume.copies == Limits(4, 64 * KIB, 128 * KIB)


async def test_a_server_that_copies_very_little_is_not_asked_to() -> None:
    share = Volume()
    share.abilities.copy_size = 4 * KIB
    async with two(share=share) as (made, source, target):
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, MIB)


async def test_a_server_that_does_not_copy_is_asked_once() -> None:
    share = Volume()
    share.abilities.refused = dict.fromkeys(COPIES, Status.NOT_SUPPORTED)
    async with two(share=share, flags=BOTH) as (made, source, target):
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, 10)
        made.turns()
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, 10)
        assert made.turns() == 0


async def test_a_server_with_the_other_control_code() -> None:
    share = Volume()
    share.abilities.refused = {Fsctl.SRV_COPYCHUNK_WRITE: Status.INVALID_DEVICE_REQUEST}
    async with two(share=share, flags=BOTH) as (made, source, target):
        assert await copy(made, source, target, 10) == 10
        assert made.turns() == 1 + 2
        assert await copy(made, source, target, 10) == 10
        assert made.turns() <= 2
        writer = await target_of(made, WRITE)
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, writer, 10)
        assert await copy(made, source, target, 10) == 10


async def test_an_error_is_told_and_asked_again() -> None:
    share = Volume()
    share.abilities.refused = {Fsctl.SRV_COPYCHUNK_WRITE: Status.ACCESS_DENIED}
    async with two(share=share) as (made, source, target):
        with fails(errno.EACCES):
            await copy(made, source, target, 10)
        share.abilities.refused.clear()
        assert await copy(made, source, target, 10) == 10


async def test_an_error_after_the_beginning_is_the_next_calls() -> None:
    share = Volume()
    async with two(bytes(20 * MIB), share=share) as (made, source, target):
        share.room = 18 * MIB
        assert await copy(made, source, target, 20 * MIB) == 16 * MIB
        with fails(errno.ENOSPC):
            await copy(made, source, target, 4 * MIB, 16 * MIB, 16 * MIB)


async def test_a_source_that_others_cut_meanwhile() -> None:
    async with two() as (made, source, target):
        await copy(made, source, target, 1)
        made.share.put("file", b"short")
        with fails(errno.EOPNOTSUPP):  # read and write then: that tells how it is
            await copy(made, source, target, 10_000)


async def test_a_copy_of_nothing_is_no_end() -> None:
    async with two() as (made, source, target):
        made.share.abilities.takes_none = True
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, 10)


@pytest.mark.logs("connection lost", "is not any more")
async def test_the_connection_is_lost() -> None:
    async with two() as (made, source, target):
        made.server.hang_up()
        await made.settled()
        assert await copy(made, source, target, 10) == 10
        made.server.hang_up()
        made.share.remove(NAME)
        await made.settled()
        with pytest.raises(SmbError):
            await copy(made, source, target, 10)


@pytest.mark.logs("could not be written|a write was lost|connection lost")
def test_a_copy_that_is_never_answered_is_a_lost_write() -> None:
    async def main() -> None:
        async with two() as (made, source, target):
            await copy(made, source, target, 1)
            made.server.script.append(Silent(on=Command.IOCTL))
            with pytest.raises(SmbError):
                await copy(made, source, target, 10)
            with pytest.raises(OSError, match="lost"):
                await made.write(target, 0, b"x")

    on_mock_time(main)


async def test_a_copy_goes_on_when_its_caller_leaves() -> None:
    async with two() as (made, source, target):
        gate = made.gate(Command.IOCTL)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(copy, made, source, target, 100)
                await made.settled()
                scope.cancel()
        gate.open()
        await made.settled()
        assert len(held(made)) == 100
        assert await size_of(made) == 100


# Shared blocks


async def test_whole_blocks_are_shared_and_the_rest_is_copied() -> None:
    async with two(share=cloning()) as (made, source, target):
        assert len(DATA) % 4096
        assert await copy(made, source, target, MIB) == len(DATA)
        assert held(made) == DATA
        assert made.turns() == 1 + 2 + 1
        assert await copy(made, source, target, 8192, 4096, 0) == 8192
        assert held(made)[:8192] == DATA[4096:12288]
        assert await size_of(made) == len(DATA)


async def test_what_does_not_lie_on_blocks_is_copied() -> None:
    share = cloning()
    share.abilities.refused = {Fsctl.DUPLICATE_EXTENTS_TO_FILE: Status.ACCESS_DENIED}
    async with two(share=share) as (made, source, target):
        assert await copy(made, source, target, 8192, 1, 0) == 8192
        assert await copy(made, source, target, 4000, 0, 0) == 4000
        assert made.turns() <= 4


@pytest.mark.parametrize(
    ("status", "is_remembered"),
    [(Status.NOT_SUPPORTED, True), (Status.INVALID_PARAMETER, True), (Status.ACCESS_DENIED, False)],
)
async def test_blocks_that_cannot_be_shared(status: Status, is_remembered: bool) -> None:
    share = cloning()
    share.abilities.refused = {Fsctl.DUPLICATE_EXTENTS_TO_FILE: status}
    async with two(share=share) as (made, source, target):
        assert await copy(made, source, target, MIB) == len(DATA)
        assert held(made) == DATA
        assert (copying.CLONES in made.fs.volume.refused) == is_remembered


async def test_no_room_for_shared_blocks() -> None:
    share = cloning()
    async with two(share=share) as (made, source, target):
        share.room = 4096
        with fails(errno.ENOSPC):
            await copy(made, source, target, MIB)


async def test_shared_blocks_where_nothing_else_is_copied() -> None:
    share = cloning()
    share.abilities.refused = dict.fromkeys(COPIES, Status.NOT_SUPPORTED)
    async with two(share=share, flags=BOTH) as (made, source, target):
        assert await copy(made, source, target, MIB) == len(DATA) // 4096 * 4096
        assert await copy(made, source, target, 8192) == 8192
        with fails(errno.EOPNOTSUPP):
            await copy(made, source, target, 100)


# What is asked


def test_the_chunks_of_a_request() -> None:
    limits = Limits(3, 10, 25)
    assert pieces(100, 200, 5, limits) == [(100, 200, 5)]
    assert pieces(100, 200, 90, limits) == [(100, 200, 10), (110, 210, 10), (120, 220, 5)]
    assert pieces(0, 0, 90, Limits(2, 10, 90)) == [(0, 0, 10), (10, 10, 10)]


def test_limits_become_narrower_or_useless() -> None:
    ours = Limits(16, MIB, 16 * MIB)
    assert narrowed(ours, Limits(256, MIB, 8 * MIB)) == Limits(16, MIB, 8 * MIB)
    for theirs in (ours, Limits(0, 0, 0), Limits(256, 2 * MIB, 99 * MIB), Limits(1, 512, MIB)):
        with fails(errno.EOPNOTSUPP):
            narrowed(ours, theirs)
