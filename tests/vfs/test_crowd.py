"""However many files a program walks over, the mount remembers a bounded number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio
import trio.testing

from smbfs.fuse.server import ROOT, Deaf, Names
from smbfs.vfs import crowd
from smbfs.vfs.listing import BEHIND, CHUNK
from tests.vfs.mounted import WHO, Mounted, mounted

MOST, BATCH = 600, CHUNK + 50


class Forgetful(Deaf):
    """A kernel that lets go of what it is asked to, but for a name that is in use."""

    def __init__(self, m: Mounted, used: bytes = b"") -> None:
        self.m = m
        self.used = used
        self.asked: Counter[bytes] = Counter()

    def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
        self.asked.update(name for _, name in names)
        for parent, name in names:
            known = self.m.inode(parent).children.get(name)
            if known is not None and name != self.used:
                self.m.fs.forget([(known.inode.node, known.inode.lookups)])
        then()


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "MOST", MOST)
    monkeypatch.setattr(crowd, "BATCH", BATCH)


def fill(m: Mounted, number: int) -> None:
    for count in range(number):
        m.share.put(f"file{count:05}")


async def walk(m: Mounted) -> int:
    """Read the root directory and take every entry; tells how many nodes there were at most."""
    fh, after, most = (await m.fs.opendir(WHO, ROOT)).fh, 0, 0
    while items := await m.fs.readdir(WHO, fh, after):
        for item in items:
            if not item.is_name_only:
                m.fs.listed(item.attributes.node)
        after = items[-1].next_id
        most = max(most, len(m.volume.inodes))
        await trio.testing.wait_all_tasks_blocked()
    await m.fs.releasedir(WHO, fh)
    return most


async def test_a_huge_directory_does_not_fill_the_memory() -> None:
    async with mounted() as m:
        fill(m, BEHIND + 10 * CHUNK)
        m.fs.volume.kernel = Forgetful(m)
        assert await walk(m) <= MOST + BATCH + CHUNK


async def test_lookups_fill_it_no_more_than_listings() -> None:
    async with mounted() as m:
        fill(m, MOST + 4)
        m.fs.volume.kernel = kernel = Forgetful(m)
        for count in range(MOST + 3):
            await m.node(f"file{count:05}")
            await trio.testing.wait_all_tasks_blocked()
        assert set(kernel.asked) == {b"file%05d" % count for count in range(BATCH - 1)}, "but root"
        assert len(m.volume.inodes) == MOST + 4 - (BATCH - 1)


async def test_what_is_open_stays_and_so_does_what_the_kernel_keeps() -> None:
    async with mounted() as m:
        fill(m, MOST)
        m.share.mkdir("directory")
        opened, used = await m.open("file00003"), await m.node("file00004")
        m.fs.volume.kernel = kernel = Forgetful(m, b"file00004")
        directory = await m.node("directory")
        for _ in range(4):
            await walk(m)
            m.fs.volume.crowd.grew()
        assert kernel.asked[b"file00004"] >= 1
        assert not kernel.asked[b"file00003"] + kernel.asked[b"directory"]
        assert m.inode(used).lookups
        assert m.inode(directory).lookups
        await m.fs.release(WHO, opened.fh)


async def test_one_batch_is_under_way_at_a_time() -> None:
    class Slow(Deaf):
        def __init__(self) -> None:
            self.calls: list[Callable[[], None]] = []

        def names_unneeded(self, names: Names, then: Callable[[], None]) -> None:
            self.calls.append(then)

    async with mounted() as m:
        fill(m, MOST + 1)
        m.fs.volume.kernel = kernel = Slow()
        await walk(m)
        m.volume.crowd.grew()
        m.volume.crowd.grew()
        assert len(kernel.calls) == 1
        kernel.calls[0]()
        await trio.testing.wait_all_tasks_blocked()
        m.volume.crowd.grew()
        assert len(kernel.calls) == 2


async def test_a_kernel_that_is_too_busy_gets_names_alone() -> None:
    async with mounted() as m:
        fill(m, MOST + 8 * BATCH)
        assert await walk(m) <= MOST + 3 * BATCH + CHUNK, "this one lets go of nothing"
        assert len(m.volume.inodes) <= MOST + 3 * BATCH
        assert (await m.stat(f"file{MOST + 8 * BATCH - 1:05}")).node, "and it is found all the same"


async def test_where_all_is_in_use_nobody_is_asked() -> None:
    async with mounted() as m:
        for count in range(MOST + 1):
            m.share.mkdir(f"directory{count}")
        m.fs.volume.kernel = kernel = Forgetful(m)
        await walk(m)
        assert not kernel.asked


async def test_what_something_is_mounted_on_is_not_asked_back() -> None:
    async with mounted() as m:
        fill(m, MOST + 4)
        m.share.mkdir("folder")
        m.share.put("folder/file")
        await m.node("folder/file")
        hidden = [(b"file00001",), (b"folder", b"file"), (b"absent", b"file")]
        m.fs.volume.mounted_over = lambda: hidden
        m.fs.volume.kernel = kernel = Forgetful(m)
        for count in range(MOST + 3):
            await m.node(f"file{count:05}")
            await trio.testing.wait_all_tasks_blocked()
        assert kernel.asked[b"file00000"] == 1
        assert kernel.asked[b"file00002"] == 1
        assert not kernel.asked[b"file00001"]
        assert not kernel.asked[b"file"]
