"""Bytes that were taken and then lost: what is read of them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio.testing

from smbfs.fuse.server import FileHandle
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.bench import Bench, bench


@contextmanager
def told() -> Iterator[None]:
    with pytest.raises(OSError, match="an earlier write was lost") as caught:
        yield
    assert caught.value.errno == errno.ENOSPC


async def lose(ground: Bench, fh: FileHandle) -> None:
    """Write what the server has no room for."""
    ground.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
    await ground.write(fh, 4, b"new")
    await trio.testing.wait_all_tasks_blocked()
    ground.server.script.clear()


@pytest.mark.logs("could not be written")
@pytest.mark.parametrize("is_read_before", [False, True])
async def test_lost_bytes_are_not_read_as_what_was_there_before(is_read_before: bool) -> None:
    async with bench(b"0123456789") as ground:
        fh, reader = await ground.open(), await ground.open()
        if is_read_before:
            assert await ground.read(reader) == b"0123456789"
        await lose(ground, fh)
        for one in (fh, reader, fh):
            with told():
                await ground.read(one)
            with told():
                await ground.read(one, 6, 1)
            assert await ground.read(one, 0, 4) == b"0123"
            assert await ground.read(one, 7, 100) == b"789"
        for one in (fh, reader):
            with told():
                await ground.close(one)
        again = await ground.open()
        assert await ground.read(again) == b"0123456789", "from here on it is what there is"
        await ground.close(again)
