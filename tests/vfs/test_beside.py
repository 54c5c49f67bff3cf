"""Looking at a directory beside a change in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import trio.testing

from smbfs.fuse.server import ROOT, Miss
from smbfs.vfs.beside import Look, _believed
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.mounted import WHO, Mounted, mounted


@pytest.fixture
async def fake() -> AsyncIterator[Mounted]:
    async with mounted() as made:
        made.fs.volume.policy = replace(made.fs.volume.policy, looks_beside=True)
        made.share.put("file")
        made.share.put("other")
        yield made


async def known_now(fake: Mounted) -> bool:
    return not isinstance(fake.fs.getattr_now(WHO, ROOT, None), Miss)


async def test_a_directory_is_known_again_after_a_change(fake: Mounted) -> None:
    await fake.node("file")
    before = (await fake.fs.getattr(WHO, ROOT, None)).mtime_ns
    fake.server.requests.clear()
    await fake.fs.unlink(WHO, ROOT, b"file")
    after = await fake.fs.getattr(WHO, ROOT, None)
    assert after.mtime_ns > before
    assert [frame[1].name for frame in fake.server.requests] == ["SET_INFO", "QUERY_INFO"]


async def test_what_does_not_show_the_change_is_not_believed(fake: Mounted) -> None:
    """A server may do both at once, and the look before the change."""
    volume, root = fake.fs.volume, fake.fs.volume.inodes.root
    asked, look = volume.moment(), Look(root, root.information)
    same, other = replace(root.information), replace(root.information, last_write_time=1)
    assert _believed(volume, look, same, asked) is asked, "nothing was changed after all"
    volume.inodes.changed(root)
    look.tick = root.changed
    assert _believed(volume, look, same, asked) is None
    assert _believed(volume, look, other, asked) is not None
    volume.inodes.changed(root)
    assert _believed(volume, look, other, asked) is None, "something else came in between"


async def test_a_look_that_fails_harms_nobody(fake: Mounted) -> None:
    await fake.node("file")
    fake.server.script.append(Fails(on=Command.QUERY_INFO, status=Status.ACCESS_DENIED, times=1))
    await fake.fs.unlink(WHO, ROOT, b"file")
    await trio.testing.wait_all_tasks_blocked()
    assert not await known_now(fake)
    assert (await fake.fs.getattr(WHO, ROOT, None)).node == ROOT


async def test_two_changes_at_once_look_once(fake: Mounted) -> None:
    await fake.node("file")
    await fake.node("other")
    fake.server.requests.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fake.fs.unlink, WHO, ROOT, b"file")
        nursery.start_soon(fake.fs.unlink, WHO, ROOT, b"other")
    await trio.testing.wait_all_tasks_blocked()
    asked = [frame[1].name for frame in fake.server.requests]
    assert sorted(asked) == ["QUERY_INFO", "SET_INFO", "SET_INFO"]


async def test_nobody_looks_where_the_kernel_does_not_ask() -> None:
    async with mounted() as made:
        made.share.put("file")
        await made.node("file")
        made.server.requests.clear()
        await made.fs.unlink(WHO, ROOT, b"file")
        await trio.testing.wait_all_tasks_blocked()
        assert len(made.server.requests) == 1
