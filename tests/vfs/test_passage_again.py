"""Asking again what was asked when the connection was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from smbfs.engine.handle import Handle
from smbfs.errors import ConnectionLost
from smbfs.vfs.passage import TRIES, again
from smbfs.vfs.policy import DataPolicy
from tests.fake.tree import Volume
from tests.vfs.mounted import BOTH, WHO, Mounted, mounted

LEASED = DataPolicy(leases=True, patience_s=15.0)


def told_late(fake: Mounted, handle: Handle, times: int) -> Callable[[], Awaitable[int]]:
    """Something whose caller hears of a loss when somebody else has brought the handle back."""
    calls = 0

    async def do() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            fake.server.hang_up()
            await trio.sleep(2)
            await handle.be_back()
            raise ConnectionLost("the connection was lost over it")
        return calls

    return do


@pytest.mark.logs("connection lost|is away")
@pytest.mark.parametrize("changes", [False, True])
async def test_who_hears_late_asks_again(autojump_clock: object, changes: bool) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", b"text")
        handle = fake.fs.content.of(opened.fh).handle
        assert await again(handle, told_late(fake, handle, 1), changes=changes) == 2
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|is away")
async def test_not_for_ever(autojump_clock: object) -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", b"text")
        handle = fake.fs.content.of(opened.fh).handle
        with pytest.raises(ConnectionLost, match="over it"):
            await again(handle, told_late(fake, handle, TRIES), changes=False)
        await fake.fs.release(WHO, opened.fh)


@pytest.mark.logs("connection lost|is away")
async def test_a_change_is_not_asked_again_of_a_file_opened_anew(autojump_clock: object) -> None:
    async with mounted(Volume(keeps=False), policy=LEASED) as fake:
        fake.share.put("file", b"text")
        opened = await fake.open("file", BOTH)
        handle = fake.fs.content.of(opened.fh).handle
        with pytest.raises(ConnectionLost, match="over it"):
            await again(handle, told_late(fake, handle, 1), changes=True)
        assert await again(handle, told_late(fake, handle, 1), changes=False) == 2
        await fake.fs.release(WHO, opened.fh)


async def test_the_loss_of_what_is_still_there_is_believed() -> None:
    async with mounted(policy=LEASED) as fake:
        opened = await fake.create("file", b"text")
        handle = fake.fs.content.of(opened.fh).handle
        calls = 0

        async def do() -> None:
            nonlocal calls
            calls += 1
            raise ConnectionLost("over something else")

        with pytest.raises(ConnectionLost, match="something else"):
            await again(handle, do, changes=False)
        assert calls == 1
        await fake.fs.release(WHO, opened.fh)
