"""Lookup, attributes, making things."""

import errno
import os
import stat

import pytest
import trio

from smbfs.fuse.server import MISS, ROOT, Change, Entry, Miss, Node
from smbfs.vfs.special import Special
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Delay, Fails
from tests.fake.tree import Volume
from tests.vfs.mounted import BOTH, WHO, mounted
from tests.vfs.tables import fails

SECOND = 10**9


def node_of(entry: Entry | Miss) -> Node:
    assert isinstance(entry, Entry)
    assert entry.attributes is not None
    return entry.attributes.node


# Lookup


async def test_lookup_is_one_turnaround(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        node = m.share.put("dir/file", b"12345")
        directory = await m.node("dir")
        with m.turns(1):
            entry = await m.fs.lookup(WHO, directory, b"file")
        assert node_of(entry) == node.file_id
        assert entry.attributes is not None
        assert entry.attributes.size == 5
        assert entry.believe_s == entry.attributes.believe_s == 1


async def test_lookup_again_is_none_for_a_second(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        m.share.put("file")
        assert m.fs.lookup_now(WHO, ROOT, b"file") is MISS
        node = await m.node("file")
        await trio.sleep(0.25)
        with m.turns(0):
            entry = m.fs.lookup_now(WHO, ROOT, b"file")
        assert node_of(entry) == node
        assert isinstance(entry, Entry)
        assert entry.believe_s == pytest.approx(0.75)
        assert m.inode(node).lookups == 2
        await trio.sleep(0.8)
        assert m.fs.lookup_now(WHO, ROOT, b"file") is MISS


async def test_attributes_may_be_older_than_the_name(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with mounted() as m:
        node = await m.put("file")
        m.volume.inodes.changed(m.inode(node))
        entry = m.fs.lookup_now(WHO, ROOT, b"file")
        assert entry is not MISS
        assert entry.believe_s > 0
        assert entry.attributes is not None
        assert entry.attributes.believe_s == 0, "who wants to know them asks"
        assert m.fs.getattr_now(WHO, node, None) is MISS


async def test_a_name_that_is_not_there() -> None:
    async with mounted() as m:
        with m.turns(1):
            entry = await m.fs.lookup(WHO, ROOT, b"nothing")
        assert entry.attributes is None
        assert 0 < entry.believe_s <= 1


async def test_a_name_that_another_client_removed() -> None:
    async with mounted() as m:
        node = await m.put("file")
        m.share.remove("file")
        assert (await m.fs.lookup(WHO, ROOT, b"file")).attributes is None
        assert not m.inode(node).places


async def test_dot_and_dot_dot() -> None:
    async with mounted() as m:
        directory = await m.mkdir("d")
        assert node_of(await m.fs.lookup(WHO, directory, b".")) == directory
        assert node_of(await m.fs.lookup(WHO, directory, b"..")) == ROOT
        assert node_of(await m.fs.lookup(WHO, ROOT, b"..")) == ROOT


async def test_a_lookup_that_is_refused() -> None:
    async with mounted() as m:
        m.server.script.append(Fails(on=Command.CREATE, status=Status.ACCESS_DENIED, times=1))
        with fails(errno.EACCES):
            await m.fs.lookup(WHO, ROOT, b"file")
        with fails(errno.ENAMETOOLONG):
            await m.fs.lookup(WHO, ROOT, b"x" * 300)


async def test_names_that_windows_cannot_have() -> None:
    async with mounted() as m:
        node = await m.put('a:b*"<>?|\\ .')
        assert m.share.names() == ["a\uf022b\uf021\uf020\uf023\uf024\uf025\uf027\uf026 \uf029"]
        assert (await m.listed())[b'a:b*"<>?|\\ .'].node == node


async def test_other_spellings_are_the_servers_business() -> None:
    async with mounted() as m:
        node = await m.put("Readme")
        assert await m.node("README") == node
    async with mounted(Volume(case_sensitive=True)) as m:
        await m.put("Readme")
        with fails(errno.ENOENT):
            await m.stat("README")


async def test_a_mounted_subdirectory() -> None:
    share = Volume()
    share.put("a/b/file", b"x")
    async with mounted(share, prefix="a\\b") as m:
        assert (await m.stat("file")).size == 1
        await m.rename("file", "other")
        assert share.names("a/b") == ["other"]


# getattr


async def test_getattr(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        m.share.put("file", b"1")
        node = await m.node("file")
        with m.turns(0):
            assert (await m.fs.getattr(WHO, node, None)).size == 1
            assert m.fs.getattr_now(WHO, node, None) is not MISS
        await trio.sleep(1.1)
        m.share.put("file", b"22")
        assert m.fs.getattr_now(WHO, node, None) is MISS
        with m.turns(1):
            assert (await m.fs.getattr(WHO, node, None)).size == 2


async def test_actimeo_0_always_asks() -> None:
    async with mounted(actimeo_s=0) as m:
        node = await m.put("file")
        with m.turns(2):
            await m.fs.getattr(WHO, node, None)
            assert (await m.fs.getattr(WHO, node, None)).believe_s == 0


async def test_an_open_file_is_asked_through_its_handle() -> None:
    async with mounted(actimeo_s=0) as m:
        opened = await m.create("file", b"123")
        node = await m.node("file")
        m.share.move("file", "elsewhere")
        with m.turns(1):
            assert (await m.fs.getattr(WHO, node, None)).size == 3
        assert m.server.requests[-1] == (Command.QUERY_INFO,)
        await m.fs.release(WHO, opened.fh)


async def test_what_is_at_the_path_is_the_file() -> None:
    async with mounted(actimeo_s=0) as m:
        node = await m.put("file")
        m.share.remove("file")
        m.share.put("file", b"new")
        assert (await m.fs.getattr(WHO, node, None)).size == 3
        m.share.remove("file")
        m.share.mkdir("file")
        with fails(errno.ESTALE):
            await m.fs.getattr(WHO, node, None)
        m.share.remove("file")
        with fails(errno.ENOENT):
            await m.fs.getattr(WHO, node, None)


async def test_a_removed_file_is_told_of_without_asking() -> None:
    async with mounted(actimeo_s=0) as m:
        node = await m.put("file", b"1")
        m.volume.inodes.looked_up(m.inode(node))
        await m.unlink("file")
        with m.turns(0):
            assert (await m.fs.getattr(WHO, node, None)).links == 0
            await m.fs.setattr(WHO, node, Change(mtime_ns=1), None)


async def test_a_rename_under_way_hides_nothing() -> None:
    async with mounted(actimeo_s=0) as m:
        node = await m.put("a", b"1")
        m.server.script.append(Delay(on=Command.SET_INFO, seconds=0.05, times=1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.fs.rename, WHO, ROOT, b"a", ROOT, b"b", 0)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await m.fs.getattr(WHO, node, None)).size == 1


async def test_a_directory_that_moves_does_not_take_its_names_along() -> None:
    async with mounted(actimeo_s=0) as m:
        directory = await m.mkdir("d")
        m.share.put("d/file", b"1")
        m.server.script.append(Delay(on=Command.SET_INFO, seconds=0.05, times=1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(m.fs.rename, WHO, ROOT, b"d", ROOT, b"e", 0)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (await m.fs.lookup(WHO, directory, b"file")).attributes is not None


# Making


async def test_mkdir_is_one_turnaround() -> None:
    async with mounted() as m:
        with m.turns(1):
            entry = await m.fs.mkdir(WHO, ROOT, b"d", 0o700)
        assert entry.attributes is not None
        assert entry.attributes.mode == stat.S_IFDIR | 0o755
        with fails(errno.EEXIST):
            await m.fs.mkdir(WHO, ROOT, b"d", 0o700)


async def test_mknod() -> None:
    async with mounted() as m:
        with m.turns(1):
            await m.fs.mknod(WHO, ROOT, b"file", 0o644, 0)
        entry = await m.fs.mknod(WHO, ROOT, b"mine", stat.S_IFREG | 0o444, 0)
        assert entry.attributes is not None
        assert entry.attributes.mode & 0o222 == 0
        with fails(errno.EEXIST):
            await m.fs.mknod(WHO, ROOT, b"file", 0o644, 0)
        entry = await m.fs.mknod(WHO, ROOT, b"tty", stat.S_IFCHR | 0o644, os.makedev(5, 1))
        assert entry.attributes is not None
        assert entry.attributes.rdev == os.makedev(5, 1)
        assert stat.S_IFMT((await m.stat("tty")).mode) == stat.S_IFCHR


async def test_create() -> None:
    async with mounted() as m:
        opened, entry = await m.fs.create(WHO, ROOT, b"file", 0o644, BOTH | os.O_CREAT)
        assert m.inode(node_of(entry)).lookups == 1
        with fails(errno.EEXIST):
            await m.fs.create(WHO, ROOT, b"file", 0o644, BOTH | os.O_CREAT | os.O_EXCL)
        await m.fs.release(WHO, opened.fh)


async def test_a_link_that_became_a_plain_file_is_one() -> None:
    async with mounted(actimeo_s=0) as m:
        node = await m.put("file", b"x")
        m.inode(node).special = Special(stat.S_IFLNK, b"t")
        assert stat.S_ISREG((await m.stat("file")).mode)


# The share


async def test_statfs_is_cached(autojump_clock: trio.testing.MockClock) -> None:
    async with mounted() as m:
        with m.turns(1):
            space = await m.fs.statfs(WHO)
            assert await m.fs.statfs(WHO) is space
        assert space.blocks_free * space.fragment_size == m.share.room
        assert 0 < space.blocks_available <= space.blocks
        await trio.sleep(2)
        with m.turns(1):
            await m.fs.statfs(WHO)


async def test_forget_and_counts() -> None:
    async with mounted() as m:
        node = await m.put("file")  # created and looked up
        assert m.inode(node).lookups == 2
        m.fs.forget([(node, 2)])
        with fails(errno.ESTALE):
            await m.fs.getattr(WHO, node, None)
