"""The handle for a range: of the descriptor, of another one, or one made for it."""

from __future__ import annotations

import errno
import os

import pytest

from smbfs.errors import Stale
from smbfs.vfs.ways import way_of, way_to_read
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.fake.tree import Volume
from tests.vfs.bench import NAME, Bench, bench
from tests.vfs.tables import fails


async def test_a_descriptor_has_its_handle() -> None:
    async with bench(b"x") as made:
        opened = made.content.of(await made.open())
        assert way_of(opened, 0, 1) is opened.handle


@pytest.mark.parametrize(
    ("flags", "may"), [(os.O_RDONLY, True), (os.O_RDWR, True), (os.O_WRONLY, False)]
)
async def test_who_may_read(flags: int, may: bool) -> None:
    async with bench(b"x") as made:
        assert made.content.of(await made.open(flags)).may_read is may


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


async def test_only_the_same_file_is_another_handle() -> None:
    async with bench(b"x") as made:
        writer = await made.open(os.O_WRONLY)
        for _ in range(2):
            made.share.move(NAME, "elsewhere")
            with fails(errno.EOPNOTSUPP):
                await reads_through(made, writer)
            made.share.put(NAME, b"x")
            with fails(errno.EOPNOTSUPP):
                await reads_through(made, writer)
        await made.settled()
        assert len(made.server.open_handles) == 1


async def test_a_file_without_an_id_is_not_proven_to_be_the_same() -> None:
    share = Volume()
    share.put(NAME, b"x").file_id = 0
    async with bench(None, share=share) as made:
        with fails(errno.EOPNOTSUPP):
            await reads_through(made, await made.open(os.O_WRONLY))


async def test_who_may_not_read_at_all_has_no_way() -> None:
    async with bench(b"x") as made:
        writer = await made.open(os.O_WRONLY)
        for status, number in (
            (Status.ACCESS_DENIED, errno.EOPNOTSUPP),
            (Status.INSUFFICIENT_RESOURCES, Status.INSUFFICIENT_RESOURCES.errno),
        ):
            made.server.script[:] = [Fails(on=Command.CREATE, status=status)]
            with fails(number):
                await reads_through(made, writer)


@pytest.mark.logs("connection lost", "it may have been changed")
async def test_a_stale_handle_is_no_way() -> None:
    async with bench(b"x") as made:
        opened = made.content.of(await made.open())
        made.server.hang_up()
        made.share.put(NAME, b"y")
        await made.settled()
        with pytest.raises(Stale):
            way_of(opened, 0, 1)
        with pytest.raises(Stale):
            await reads_through(made, opened.fh)
