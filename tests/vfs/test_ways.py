"""The handle for a range: of the descriptor, of another one, or one made for it."""

from __future__ import annotations

import os

import pytest

from smbfs.errors import ConnectionLost
from smbfs.vfs.ways import may_read, way_of, way_to_read
from tests.vfs.bench import Bench, bench


async def test_a_descriptor_has_its_handle() -> None:
    async with bench(b"x") as made:
        opened = made.content.of(await made.open())
        assert way_of(opened, 0, 1) is opened.handle


@pytest.mark.parametrize(
    ("flags", "may"), [(os.O_RDONLY, True), (os.O_RDWR, True), (os.O_WRONLY, False)]
)
async def test_who_may_read(flags: int, may: bool) -> None:
    async with bench(b"x") as made:
        assert may_read(made.content.of(await made.open(flags))) is may


async def reads_through(made: Bench, fh: int) -> bytes:
    opened = next(one for one in made.content.all_open() if one.fh == fh)
    async with way_to_read(made.fs.volume, opened, 0, 1) as handle:
        assert await handle.read(0, 1) == [b"x"]
        return handle.file_id


async def test_who_may_not_read_gets_another_handle() -> None:
    async with bench(b"x") as made:
        writer = await made.open(os.O_WRONLY)
        own = made.content.of(writer).handle.file_id
        assert await reads_through(made, writer) != own
        await made.settled()
        assert len(made.server.open_handles) == 1
        reader = await made.open(os.O_RDONLY)
        assert await reads_through(made, writer) == made.content.of(reader).handle.file_id
        assert await reads_through(made, reader) == made.content.of(reader).handle.file_id


@pytest.mark.logs("connection lost")
async def test_a_lost_handle_is_no_way() -> None:
    async with bench(b"x") as made:
        opened = made.content.of(await made.open())
        made.server.hang_up()
        await made.settled()
        with pytest.raises(ConnectionLost):
            way_of(opened, 0, 1)
        async with way_to_read(made.fs.volume, opened, 0, 1) as handle:
            assert handle is not opened.handle
