"""fallocate: room, zeros and holes, what a server lacks of it, and what stat tells afterwards."""

from __future__ import annotations

import errno

import pytest
import trio

from smbfs.errors import SmbError
from smbfs.fuse.server import FileHandle
from smbfs.vfs.allocation import FILL, KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, zeros
from smbfs.wire.constants import Attributes, Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Drops, Fails
from tests.fake.space import spans
from tests.fake.tree import UNIT, Node, Volume
from tests.vfs.bench import NAME, WHO, Bench, Gate, bench, on_mock_time
from tests.vfs.locking import THERE, beside, errno_from, pair
from tests.vfs.locking import WRITE as LOCKED
from tests.vfs.tables import fails

MIB = 1 << 20
READ, WRITE = 0, 1
PUNCH = PUNCH_HOLE | KEEP_SIZE
BYTES = b"x" * 8 * UNIT


async def allocate(made: Bench, fh: FileHandle, mode: int, offset: int, length: int) -> None:
    await made.fs.fallocate(WHO, fh, mode, offset, length)


async def blocks(made: Bench) -> int:
    return (await made.fs.getattr(WHO, made.inode.node, None)).blocks


def theirs(made: Bench) -> Node:
    return made.share.node(NAME)


def sparse(size: int = 8 * UNIT, share: Volume | None = None) -> Volume:
    """A share with a file that is one hole."""
    share = share or Volume()
    node = share.put(NAME)
    node.attributes |= Attributes.SPARSE_FILE
    node.reach(size)
    return share


# Room


async def test_room_is_reserved_and_the_file_grows() -> None:
    async with bench(b"start") as made:
        fh = await made.open()
        made.turns()
        await allocate(made, fh, 0, 0, 64 * MIB)
        assert made.turns() <= 5
        assert await made.size() == theirs(made).size == 64 * MIB
        assert await blocks(made) == 64 * MIB // 512
        assert theirs(made).allocated == 64 * MIB
        assert made.data[:8] == b"start\0\0\0"
        assert not theirs(made).attributes & Attributes.SPARSE_FILE


async def test_room_is_reserved_and_the_size_is_kept() -> None:
    async with bench(b"start") as made:
        fh = await made.open()
        await allocate(made, fh, KEEP_SIZE, MIB, MIB)
        assert (await made.size(), theirs(made).allocated) == (5, 2 * MIB)
        assert await blocks(made) == 2 * MIB // 512
        await allocate(made, fh, KEEP_SIZE, 0, MIB)
        await allocate(made, fh, 0, 0, 3)
        assert theirs(made).allocated == 2 * MIB, "it never shrinks"
        assert made.data == b"start"


async def test_what_is_unsent_comes_first() -> None:
    async with bench(b"") as made:
        fh = await made.open()
        await made.write(fh, 0, b"x" * 100)
        await allocate(made, fh, 0, 0, 50)
        assert await made.size() == 100
        assert made.data == b"x" * 100


async def test_a_write_after_it_waits() -> None:
    async with bench(b"x" * 100) as made:
        fh = await made.open()
        gate = made.gate(Command.IOCTL)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(allocate, made, fh, ZERO_RANGE, 0, 50)
            await made.settled()
            nursery.start_soon(made.write, fh, 10, b"after")
            await made.settled()
            gate.open()
        assert await made.read(fh) == bytes(10) + b"after" + bytes(35) + b"x" * 50


async def test_no_room() -> None:
    share = Volume(room=MIB)
    async with bench(b"start", share=share) as made:
        fh = await made.open()
        for mode in (0, KEEP_SIZE, ZERO_RANGE):
            with fails(errno.ENOSPC):
                await allocate(made, fh, mode, 10, 8 * MIB)
        assert await made.size() == theirs(made).size == 5


async def test_holes_are_filled_for_a_promise() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open()
        await made.write(fh, 2 * UNIT, b"data")
        await allocate(made, fh, 0, UNIT, 3 * UNIT + 1)
        assert spans(theirs(made), 0, 8 * UNIT) == [(UNIT, 5 * UNIT)]
        assert made.data == bytes(2 * UNIT) + b"data" + bytes(6 * UNIT - 4)
        assert await blocks(made) == 4 * UNIT // 512
        await allocate(made, fh, 0, 7 * UNIT, 2 * UNIT)
        assert await made.size() == 9 * UNIT
        assert spans(theirs(made), 0, 9 * UNIT) == [(UNIT, 5 * UNIT), (7 * UNIT, 9 * UNIT)]


async def test_large_holes_are_filled_in_pieces() -> None:
    async with bench(None, share=sparse(2 * FILL + UNIT)) as made:
        fh = await made.open()
        await allocate(made, fh, KEEP_SIZE, 0, 9 * FILL)
        assert await made.size() == 2 * FILL + UNIT
        assert not theirs(made).holes


async def test_holes_are_filled_by_who_may_not_read() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(WRITE)
        await allocate(made, fh, 0, 0, UNIT)
        assert spans(theirs(made), 0, 8 * UNIT) == [(0, UNIT)]


@pytest.mark.parametrize("tells_some", [True, False])
async def test_data_that_the_server_did_not_tell_of_is_no_hole(tells_some: bool) -> None:
    """An answer that is full says nothing of what is behind its last range."""
    many = 1024
    share = sparse(many * UNIT)
    share.abilities.tells_some, share.abilities.ranges = tells_some, 200
    for at in range(0, many, 2):
        share.node(NAME).data[at * UNIT : (at + 1) * UNIT] = b"D" * UNIT
        share.node(NAME).fill(at * UNIT, (at + 1) * UNIT)
    async with bench(None, share=share) as made:
        await allocate(made, await made.open(), 0, 0, many * UNIT)
        assert made.data == (b"D" * UNIT + bytes(UNIT)) * (many // 2)
        assert not theirs(made).holes


async def test_ranges_that_make_no_sense_are_believed_in_nothing() -> None:
    share = sparse()
    share.abilities.tells_some, share.abilities.ranges = True, 0
    async with bench(BYTES, share=share) as made:
        fh = await made.open()
        with pytest.raises(SmbError, match="no sense"):
            await allocate(made, fh, 0, 0, 8 * UNIT)
        assert made.data == BYTES


@pytest.mark.parametrize("mode", [0, ZERO_RANGE, KEEP_SIZE])
async def test_holes_that_the_server_does_not_tell_are_not_filled(mode: int) -> None:
    share = sparse()
    share.abilities.refused = {Fsctl.QUERY_ALLOCATED_RANGES: Status.NOT_SUPPORTED}
    async with bench(None, share=share) as made:
        fh = await made.open()
        await made.write(fh, 0, BYTES)
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, mode, 0, 20 * UNIT)
        assert made.data == BYTES, "what is refused changes nothing"
        assert not theirs(made).allocated
        await allocate(made, fh, KEEP_SIZE, 8 * UNIT, UNIT)
        assert theirs(made).allocated == 9 * UNIT, "that needs no ranges"


@pytest.mark.parametrize("mode", [0, ZERO_RANGE, KEEP_SIZE])
async def test_another_file_at_the_path_is_not_asked_for_holes(mode: int) -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(WRITE)
        await made.write(fh, 0, BYTES)
        await made.fs.fsync(WHO, fh, False)
        ours = theirs(made)
        made.share.move(NAME, "elsewhere")
        with fails(errno.EOPNOTSUPP):  # nothing lies there
            await allocate(made, fh, mode, 0, 9 * UNIT)
        sparse(share=made.share)
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, mode, 0, 9 * UNIT)
        assert ours.data == BYTES


async def test_a_truncate_between_two_pieces_is_not_undone() -> None:
    async with bench(None, share=sparse(3 * FILL)) as made:
        fh = await made.open()
        gate = made.gate(Command.IOCTL, times=1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(allocate, made, fh, 0, 0, 3 * FILL)
            await made.settled()
            nursery.start_soon(made.truncate, 5)
            await made.settled()
            gate.open()
        assert await made.size() == theirs(made).size == 5


async def test_a_file_that_others_cut_is_not_filled_behind_its_end() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open()
        writes = made.gate(Command.IOCTL, does=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(allocate, made, fh, KEEP_SIZE, 0, 8 * UNIT)
            await made.settled()
            writes.let_go()  # that ranges are told at all
            await made.settled()
            theirs(made).reach(UNIT)
            writes.open()
        assert await made.size() == theirs(made).size == UNIT


async def test_room_that_cannot_be_reserved() -> None:
    async with bench(b"start") as made:
        fh = await made.open()
        made.server.script.append(Fails(on=Command.SET_INFO, status=Status.INVALID_INFO_CLASS))
        for _ in range(2):
            with fails(errno.EOPNOTSUPP):
                await allocate(made, fh, 0, 0, MIB)
        assert theirs(made).size == 5


async def test_room_for_a_file_that_another_machine_appends_to() -> None:
    async with bench(b"start") as made:
        fh = await made.open()
        gate = made.gate(Command.SET_INFO, times=1)
        async with trio.open_nursery() as nursery:
            doing = beside(nursery, lambda: allocate(made, fh, 0, 0, MIB))
            await made.settled()
            made.share.put(NAME, b"start and more")
            gate.open()
        assert await errno_from(doing) == errno.EAGAIN
        assert made.data == b"start and more", "it was not made longer under their hands"
        await allocate(made, fh, 0, 0, MIB)
        assert made.data.startswith(b"start and more\0")
        assert await made.size() == MIB


# Zeros


async def test_a_range_of_zeros() -> None:
    async with bench(BYTES) as made:
        fh = await made.open()
        assert await made.read(fh) == BYTES
        await allocate(made, fh, ZERO_RANGE | KEEP_SIZE, 10, 20)
        assert await made.read(fh) == BYTES[:10] + bytes(20) + BYTES[30:]
        await allocate(made, fh, ZERO_RANGE | KEEP_SIZE, 7 * UNIT, 20 * UNIT)
        assert await made.size() == 8 * UNIT
        await allocate(made, fh, ZERO_RANGE, 8 * UNIT - 1, 11)
        assert await made.size() == 8 * UNIT + 10
        assert made.data == BYTES[:10] + bytes(20) + BYTES[30 : 7 * UNIT] + bytes(UNIT + 10)


async def test_zeros_in_a_sparse_file_have_room() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open()
        await allocate(made, fh, ZERO_RANGE, UNIT, UNIT)
        assert spans(theirs(made), 0, 8 * UNIT) == [(UNIT, 2 * UNIT)]


@pytest.mark.parametrize("is_known", [True, False])
def test_zeros_in_what_is_locked_by_another_descriptor(is_known: bool) -> None:
    async def main() -> None:
        async with pair(b"0123456789") as both:
            other = await both.one.open()
            if is_known:
                await both.one.lock(LOCKED, owner=THERE)
            gate = Gate(on=Command.IOCTL, times=1)
            both.server.script.append(gate)
            zeroing = beside(
                both.nursery,
                lambda: both.one.fs.fallocate(WHO, other, ZERO_RANGE | KEEP_SIZE, 2, 5),
            )
            await both.settled()
            if not is_known:
                await both.one.lock(LOCKED, owner=THERE)
            gate.open()
            await zeroing.done.wait()
            assert zeroing.is_done, zeroing.error
            assert both.server.volume.read("file") == b"01" + bytes(5) + b"789"

    on_mock_time(main)


# Holes


async def test_a_hole() -> None:
    async with bench(BYTES) as made:
        fh = await made.open()
        assert await made.read(fh) == BYTES
        made.turns()
        await allocate(made, fh, PUNCH, UNIT, 2 * UNIT)
        assert made.turns() == 3
        assert theirs(made).attributes & Attributes.SPARSE_FILE
        assert await blocks(made) == 6 * UNIT // 512
        assert await made.read(fh) == BYTES[:UNIT] + bytes(2 * UNIT) + BYTES[3 * UNIT :]
        made.turns()
        await allocate(made, fh, PUNCH, 7 * UNIT, 99 * UNIT)
        assert made.turns() == 2
        assert (await made.size(), await blocks(made)) == (8 * UNIT, 5 * UNIT // 512)


async def test_no_holes_with_nosparse() -> None:
    async with bench(BYTES, sparse=False) as made:
        fh = await made.open()
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, PUNCH, 0, UNIT)
        assert made.data == BYTES


@pytest.mark.parametrize("code", [Fsctl.SET_SPARSE, Fsctl.SET_ZERO_DATA])
async def test_a_server_without_holes_is_asked_once(code: int) -> None:
    share = Volume()
    share.abilities.refused = {code: Status.INVALID_DEVICE_REQUEST}
    async with bench(BYTES, share=share) as made:
        fh = await made.open()
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, PUNCH, 0, UNIT)
        share.abilities.refused.clear()
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, PUNCH, 0, UNIT)
        assert made.data == BYTES


# What is asked for


@pytest.mark.parametrize("mode", [PUNCH_HOLE, 0x08, 0x20, 0x40, PUNCH | ZERO_RANGE, 0x100])
async def test_other_modes(mode: int) -> None:
    async with bench(BYTES) as made:
        fh = await made.open()
        with fails(errno.EOPNOTSUPP):
            await allocate(made, fh, mode, 0, UNIT)
        assert made.data == BYTES


async def test_what_it_needs() -> None:
    async with bench(BYTES) as made:
        reader, fh = await made.open(READ), await made.open()
        with fails(errno.EBADF):
            await allocate(made, reader, 0, 0, 1)
        for offset, length in ((0, 0), (-1, 5), (0, -1)):
            with fails(errno.EINVAL):
                await allocate(made, fh, 0, offset, length)
        with fails(errno.EFBIG):
            await allocate(made, fh, 0, 2**63 - 1, 1)


async def test_a_refusal_is_told() -> None:
    share = Volume()
    share.abilities.refused = {Fsctl.SET_ZERO_DATA: Status.FILE_LOCK_CONFLICT}
    async with bench(BYTES, share=share) as made:
        fh = await made.open()
        with fails(Status.FILE_LOCK_CONFLICT.errno):
            await allocate(made, fh, ZERO_RANGE, 0, 1)
        share.abilities.refused.clear()
        await allocate(made, fh, ZERO_RANGE, 0, 1)


@pytest.mark.logs("connection lost")
def test_the_connection_is_lost() -> None:
    async def main() -> None:
        async with bench(BYTES) as made:
            fh = await made.open()
            made.server.script.append(Drops(on=Command.IOCTL))
            with pytest.raises(SmbError):
                await allocate(made, fh, ZERO_RANGE, 0, 1)
            await allocate(made, fh, 0, 0, 1)

    on_mock_time(main)


@pytest.mark.parametrize("size", [1, MIB, MIB + 5, 3 * MIB])
def test_zeros(size: int) -> None:
    assert b"".join(zeros(size)) == bytes(size)
