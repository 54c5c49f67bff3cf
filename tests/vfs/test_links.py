"""Symbolic links, hard links, special files."""

import errno
import os
import stat

import pytest

from smbfs.fuse.server import ROOT, Entry
from smbfs.wire.constants import Attributes
from smbfs.wire.header import Command
from smbfs.wire.reparse import MountPoint, Other, PosixLink, ReparseTag, pack_reparse
from smbfs.wire.status import Status
from smbfs.wire.symlink import MFSYMLINK_SIZE, pack_mfsymlink
from tests.fake.script import Drops
from tests.fake.tree import Volume
from tests.vfs.mounted import WHO, Denies, Mounted, mounted
from tests.vfs.tables import fails


async def symlink(m: Mounted, name: str, target: bytes) -> Entry:
    return await m.fs.symlink(WHO, ROOT, name.encode(), target)


def refusing() -> Denies:
    return Denies(on=Command.IOCTL, status=Status.NOT_SUPPORTED)


async def target_of(m: Mounted, path: str) -> bytes:
    m.volume.inodes.changed(m.inode(await m.node(path)))
    return await m.fs.readlink(WHO, await m.node(path))


def is_reparse(m: Mounted, path: str) -> bool:
    return bool(m.share.node(path).shown_attributes & Attributes.REPARSE_POINT)


# Symbolic links


async def test_a_native_link_in_one_turnaround() -> None:
    async with mounted() as m:
        with m.turns(1):
            entry = await symlink(m, "link", b"../over/there")
        assert entry.attributes is not None
        assert entry.attributes.mode == stat.S_IFLNK | 0o777
        assert entry.attributes.size == 13
        with m.turns(0):
            assert await m.fs.readlink(WHO, entry.attributes.node) == b"../over/there"
        assert is_reparse(m, "link")
        assert await target_of(m, "link") == b"../over/there"


@pytest.mark.parametrize(
    "target", [b"/usr/bin/python", b"back\\slash", b"d//e", b"x" * 300, b"a/\xef\x80\xa2"]
)
async def test_what_a_windows_link_cannot_say_goes_into_a_file(target: bytes) -> None:
    async with mounted() as m:
        with m.turns(1):
            await symlink(m, "link", target)
        if not is_reparse(m, "link"):
            assert m.share.read("link") == pack_mfsymlink(target)
        assert await target_of(m, "link") == target


async def test_a_server_that_refuses_is_asked_once() -> None:
    async with mounted() as m:
        m.server.script.append(refusing())
        await symlink(m, "one", b"a")
        with m.turns(1):
            await symlink(m, "two", b"b")
        assert m.share.names() == ["one", "two"]
        assert await target_of(m, "one") == b"a"
        assert await target_of(m, "two") == b"b"


async def test_a_server_without_reparse_points() -> None:
    async with mounted(Volume(reparse=False)) as m:
        with m.turns(1):
            await symlink(m, "link", b"a")
        assert len(m.share.read("link")) == MFSYMLINK_SIZE
        assert await target_of(m, "link") == b"a"


async def test_a_refusal_for_this_once() -> None:
    async with mounted() as m:
        m.server.script.append(Denies(on=Command.IOCTL, status=Status.DISK_FULL, times=1))
        await symlink(m, "one", b"a")
        await symlink(m, "two", b"a")
        assert [is_reparse(m, name) for name in ("one", "two")] == [False, True]


@pytest.mark.parametrize(
    ("style", "tag"),
    [
        ("native", ReparseTag.SYMLINK),
        ("nfs", ReparseTag.NFS),
        ("wsl", ReparseTag.LX_SYMLINK),
        ("mfsymlinks", 0),
    ],
)
async def test_the_option_symlink(style: str, tag: int) -> None:
    async with mounted(symlink=style) as m:
        await symlink(m, "link", b"a/b")
        assert m.share.node("link").reparse_tag == tag
        assert await target_of(m, "link") == b"a/b"
        assert (await m.listed())[b"link"].size == 3


@pytest.mark.parametrize("style", ["native", "nfs", "wsl"])
async def test_a_stated_way_is_not_replaced_by_another(style: str) -> None:
    async with mounted(symlink=style) as m:
        m.server.script.append(refusing())
        with fails(errno.EPERM):
            await symlink(m, "link", b"a/b")
        assert m.share.names() == []


async def test_symlink_none() -> None:
    async with mounted(symlink="none") as m:
        m.share.put("old", pack_mfsymlink(b"t"))
        with m.turns(0), fails(errno.EPERM):
            await symlink(m, "link", b"a")
        assert await target_of(m, "old") == b"t"


async def test_a_name_that_is_taken() -> None:
    async with mounted() as m:
        m.share.put("link", b"precious")
        for style in ("native", "mfsymlinks"):
            m.show(symlink=style)
            with fails(errno.EEXIST):
                await symlink(m, "link", b"a")
        assert m.share.read("link") == b"precious"


async def test_links_made_by_others() -> None:
    async with mounted() as m:
        m.share.link("lx", pack_reparse(PosixLink(ReparseTag.LX_SYMLINK, b"/lx")))
        m.share.link("nfs", pack_reparse(PosixLink(ReparseTag.NFS, b"/nfs")))
        m.share.put("mf", pack_mfsymlink(b"/mf"))
        for name in ("lx", "nfs", "mf"):
            with m.turns(2):
                node = await m.node(name)
            with m.turns(0):
                assert await m.fs.readlink(WHO, node) == b"/" + name.encode()
        m.volume.inodes.changed(m.inode(node))
        with m.turns(1):  # unchanged, so not read again
            assert stat.S_ISLNK((await m.fs.getattr(WHO, node, None)).mode)


async def test_reparse_points_that_are_no_links() -> None:
    async with mounted() as m:
        junction = pack_reparse(MountPoint("\\??\\C:\\x", "C:\\x"))
        m.share.link("junction", junction, is_directory=True)
        m.share.link("cloud", pack_reparse(Other(0x9000001A, b"..")))
        assert stat.S_ISDIR((await m.stat("junction")).mode)
        assert stat.S_ISREG((await m.stat("cloud")).mode)
        with m.turns(1):
            listed = await m.listed()
        assert stat.S_ISDIR(listed[b"junction"].mode)


async def test_a_suspicious_file_that_cannot_be_read() -> None:
    async with mounted() as m:
        m.share.put("odd", bytes(MFSYMLINK_SIZE))
        m.server.script.append(Denies(on=Command.READ, status=Status.FILE_LOCK_CONFLICT, times=1))
        assert stat.S_ISREG((await m.stat("odd")).mode)
        m.share.put("even", bytes(MFSYMLINK_SIZE))
        m.server.script.append(Denies(on=Command.READ, status=Status.DATA_ERROR, times=1))
        with fails(errno.EIO):
            await m.stat("even")


async def test_readlink_of_another_file() -> None:
    async with mounted() as m:
        with fails(errno.EINVAL):
            await m.fs.readlink(WHO, await m.put("file"))


async def test_a_link_to_a_windows_drive() -> None:
    async with mounted(symlinkroot=b"/mnt") as m:
        await symlink(m, "link", b"/mnt/c/x")
        assert is_reparse(m, "link")
        assert await target_of(m, "link") == b"/mnt/c/x"


# Special files


@pytest.mark.parametrize("style", ["default", "nfs", "wsl"])
@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
async def test_fifos_and_sockets(style: str, kind: int) -> None:
    async with mounted(reparse=style) as m:
        with m.turns(1):
            entry = await m.fs.mknod(WHO, ROOT, b"pipe", kind | 0o600, 0)
        assert entry.attributes is not None
        assert stat.S_IFMT(entry.attributes.mode) == kind
        m.volume.inodes.changed(m.inode(entry.attributes.node))
        assert stat.S_IFMT((await m.listed())[b"pipe"].mode) == kind
        await m.unlink("pipe")


async def test_devices() -> None:
    async with mounted() as m:
        number = os.makedev(8, 17)
        entry = await m.fs.mknod(WHO, ROOT, b"disk", stat.S_IFBLK | 0o600, number)
        assert entry.attributes is not None
        assert entry.attributes.rdev == number
        m.show(reparse="wsl")
        with m.turns(0), fails(errno.EPERM):
            await m.fs.mknod(WHO, ROOT, b"disk2", stat.S_IFBLK | 0o600, number)


async def test_no_special_files() -> None:
    async with mounted(reparse="none") as m:
        with m.turns(0), fails(errno.EPERM):
            await m.fs.mknod(WHO, ROOT, b"pipe", stat.S_IFIFO, 0)
        m.show(reparse="default")
        m.server.script.append(refusing())
        with fails(errno.EPERM):
            await m.fs.mknod(WHO, ROOT, b"pipe", stat.S_IFIFO, 0)
        assert m.share.names() == []
        with m.turns(0), fails(errno.EPERM):  # it said never
            await m.fs.mknod(WHO, ROOT, b"pipe", stat.S_IFIFO, 0)
        m.show(reparse="nfs")
        with m.turns(2), fails(errno.EPERM):  # but the option insists
            await m.fs.mknod(WHO, ROOT, b"pipe", stat.S_IFIFO, 0)


# Hard links


async def test_a_hard_link_in_one_turnaround() -> None:
    async with mounted() as m:
        node = await m.put("a", b"x")
        with m.turns(1):
            entry = await m.fs.link(WHO, node, ROOT, b"b")
        assert entry.attributes is not None
        assert (entry.attributes.node, entry.attributes.links) == (node, 2)
        assert (await m.fs.getattr(WHO, node, None)).links == 2
        assert {told.node for told in (await m.listed()).values()} == {node}
        await m.unlink("a")
        assert (await m.fs.getattr(WHO, node, None)).links == 1
        assert m.share.read("b") == b"x"


async def test_hard_links_that_cannot_be() -> None:
    async with mounted() as m:
        node = await m.put("a")
        directory = await m.mkdir("d")
        with m.turns(0), fails(errno.EPERM):
            await m.fs.link(WHO, directory, ROOT, b"e")
        with fails(errno.EEXIST):
            await m.fs.link(WHO, node, ROOT, b"d")
        m.server.script.append(Denies(on=Command.SET_INFO, status=Status.NOT_SUPPORTED, times=1))
        with fails(errno.EPERM):
            await m.fs.link(WHO, node, ROOT, b"b")


@pytest.mark.logs("connection lost")
async def test_a_connection_lost_while_links_are_read() -> None:
    async with mounted() as m:
        for name in ("one", "two"):
            m.share.put(name, pack_mfsymlink(b"t"))
        m.server.script.append(Drops(on=Command.READ, times=2))
        with fails(errno.EHOSTDOWN):
            await m.listed()
