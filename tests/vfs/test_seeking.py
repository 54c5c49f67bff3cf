"""lseek to data and holes: answered at once for most files, by the server for sparse ones."""

from __future__ import annotations

import errno
import os

import pytest
import trio

from smbfs.fuse.server import MISS, ROOT, FileHandle
from smbfs.vfs.seeking import DATA, HOLE, SMALLEST, found
from smbfs.wire.constants import Attributes, Fsctl
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.tree import UNIT, Volume
from tests.vfs.bench import NAME, WHO, Bench, bench, on_mock_time
from tests.vfs.tables import fails

READ, WRITE = os.O_RDONLY, os.O_WRONLY
SPANS = [(UNIT, 2 * UNIT), (4 * UNIT, 5 * UNIT)]
SIZE = 8 * UNIT


def sparse(spans: list[tuple[int, int]] = SPANS, size: int = SIZE) -> Volume:
    share = Volume()
    node = share.put(NAME)
    node.attributes |= Attributes.SPARSE_FILE
    node.reach(size)
    for start, end in spans:
        node.fill(start, end)
    return share


async def seek(made: Bench, fh: FileHandle, offset: int, whence: int) -> int:
    return await made.fs.seek(WHO, fh, offset, whence)


# Where something is, by the spans


@pytest.mark.parametrize(
    ("offset", "data", "hole"),
    [
        (0, UNIT, 0),
        (UNIT, UNIT, 2 * UNIT),
        (UNIT + 5, UNIT + 5, 2 * UNIT),
        (2 * UNIT, 4 * UNIT, 2 * UNIT),
        (4 * UNIT, 4 * UNIT, 5 * UNIT),
    ],
)
async def test_data_and_holes(offset: int, data: int, hole: int) -> None:
    assert found(SPANS, offset, DATA, SIZE) == data
    assert found(SPANS, offset, HOLE, SIZE) == hole
    async with bench(None, share=sparse()) as made:
        fh = await made.open(READ)
        assert await seek(made, fh, offset, DATA) == data
        assert await seek(made, fh, offset, HOLE) == hole


def test_spans_that_touch_are_one() -> None:
    assert found([(0, 5), (5, 9)], 2, HOLE, 20) == 9
    assert found([(0, 20)], 2, HOLE, 20) == 20


async def test_behind_the_last_data() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(READ)
        with fails(errno.ENXIO):
            await seek(made, fh, 5 * UNIT, DATA)
        assert await seek(made, fh, 5 * UNIT, HOLE) == 5 * UNIT
        for whence in (DATA, HOLE):
            with fails(errno.ENXIO):
                await seek(made, fh, SIZE, whence)


# A file that is not sparse


async def test_an_ordinary_file_is_not_asked_for() -> None:
    async with bench(b"x" * 100) as made:
        fh = await made.open()
        made.turns()
        assert made.fs.seek_now(WHO, fh, 10, DATA) == 10
        assert made.fs.seek_now(WHO, fh, 10, HOLE) == 100
        with fails(errno.ENXIO):
            made.fs.seek_now(WHO, fh, 100, HOLE)
        assert made.turns() == 0


async def test_what_is_unsent_is_data() -> None:
    async with bench(b"x" * 100) as made:
        fh = await made.open()
        gate = made.gate(Command.WRITE)
        await made.write(fh, 100, b"more")
        assert made.fs.seek_now(WHO, fh, 10, HOLE) is MISS
        assert await seek(made, fh, 10, HOLE) == 104
        assert await seek(made, fh, 102, DATA) == 102
        gate.open()


def test_what_is_known_too_long_is_asked_again() -> None:
    async def main() -> None:
        async with bench(b"x" * 100) as made:
            fh = await made.open()
            await trio.sleep(5)
            made.share.put(NAME, b"x" * 50)
            assert made.fs.seek_now(WHO, fh, 10, HOLE) is MISS
            assert await seek(made, fh, 10, HOLE) == 50

    on_mock_time(main)


# A sparse file


async def test_a_sparse_file_is_asked_for_in_one_turnaround() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(READ)
        made.turns()
        assert made.fs.seek_now(WHO, fh, 0, DATA) is MISS
        assert await seek(made, fh, 0, DATA) == UNIT
        assert made.turns() == 1


async def test_what_is_unsent_is_sent_first() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open()
        await made.write(fh, 6 * UNIT, b"more")
        assert await seek(made, fh, 5 * UNIT, DATA) == 6 * UNIT
        assert await seek(made, fh, 6 * UNIT, HOLE) == 7 * UNIT


async def test_who_may_not_read_asks_through_another() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(WRITE)
        assert await seek(made, fh, 0, DATA) == UNIT
        await made.open(READ)
        made.turns()
        assert await seek(made, fh, 0, DATA) == UNIT
        assert made.turns() == 1


@pytest.mark.parametrize("tells_some", [False, True])
async def test_more_ranges_than_an_answer_holds(tells_some: bool) -> None:
    many = 10_000
    share = sparse([(2 * n * UNIT, (2 * n + 1) * UNIT) for n in range(many)], 2 * many * UNIT)
    share.abilities.tells_some = tells_some
    async with bench(None, share=share) as made:
        fh = await made.open(READ)
        made.turns()
        assert await seek(made, fh, UNIT, DATA) == 2 * UNIT
        assert made.turns() <= 3
        assert await seek(made, fh, 0, HOLE) == UNIT
        last = 2 * (many - 1) * UNIT
        assert await seek(made, fh, last - UNIT, DATA) == last
        assert await seek(made, fh, last, HOLE) == last + UNIT


async def test_data_longer_than_what_is_asked_for_at_once() -> None:
    spans = [(0, 3 * SMALLEST)]
    share = sparse(spans, 4 * SMALLEST)
    async with bench(None, share=share) as made:
        fh = await made.open(READ)
        assert await seek(made, fh, 5, HOLE) == 3 * SMALLEST


async def test_a_server_that_cannot_tell_has_one_piece_of_data() -> None:
    share = sparse()
    share.abilities.refused = {Fsctl.QUERY_ALLOCATED_RANGES: Status.NOT_SUPPORTED}
    async with bench(None, share=share) as made:
        fh = await made.open(READ)
        assert await seek(made, fh, 5, DATA) == 5
        assert await seek(made, fh, 5, HOLE) == SIZE
        made.turns()
        assert await seek(made, fh, 5, DATA) == 5
        assert made.turns() == 0


@pytest.mark.parametrize("status", [Status.ACCESS_DENIED, Status.BUFFER_TOO_SMALL])
async def test_an_error_is_told(status: Status) -> None:
    share = sparse()
    share.abilities.refused = {Fsctl.QUERY_ALLOCATED_RANGES: status}
    async with bench(None, share=share) as made:
        with fails(status.errno):
            await seek(made, await made.open(READ), 5, DATA)


async def test_a_deleted_file_that_nobody_may_read() -> None:
    async with bench(None, share=sparse()) as made:
        fh = await made.open(WRITE)
        await made.fs.unlink(WHO, ROOT, NAME.encode())
        with fails(errno.ESTALE):
            await seek(made, fh, 5, DATA)


async def test_what_can_be_sought() -> None:
    async with bench(b"x") as made:
        fh = await made.open(READ)
        for whence in (0, 1, 2, 5):
            with fails(errno.EINVAL):
                await seek(made, fh, 0, whence)
        with fails(errno.ENXIO):
            made.fs.seek_now(WHO, fh, -1, DATA)
