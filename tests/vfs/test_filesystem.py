"""The façade: what no single room is about."""

import errno
import inspect
import os

import pytest

from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, ROOT, Entry
from smbfs.vfs.filesystem import Filesystem
from tests.fake.tree import Volume
from tests.vfs.mounted import WHO, mounted
from tests.vfs.tables import fails

WAIT = "lookup getattr setattr readlink symlink mknod mkdir unlink rmdir rename link open create"
WAIT += " read write flush fsync release opendir readdir releasedir fsyncdir statfs access"
WAIT += " getxattr setxattr listxattr removexattr start stop drain"
NOW = "lookup_now getattr_now read_now readdir_now getxattr_now forget listed"


def test_every_operation_is_there() -> None:
    for name in WAIT.split():
        assert inspect.iscoroutinefunction(getattr(Filesystem, name)), name
    for name in NOW.split():
        assert not inspect.iscoroutinefunction(getattr(Filesystem, name)), name


async def test_a_file_from_end_to_end() -> None:
    async with mounted() as m:
        opened = await m.create("file", b"hello")
        assert b"".join(await m.fs.read(WHO, opened.fh, 1, 3)) == b"ell"
        now = m.fs.read_now(WHO, opened.fh, 0, 5)
        assert now is MISS or b"".join(now) == b"hello"
        await m.fs.write(WHO, opened.fh, 5, b" world")
        await m.fs.fsync(WHO, opened.fh, False)
        assert m.share.read("file") == b"hello world"
        await m.fs.release(WHO, opened.fh)


async def test_create_counts_the_entry_and_the_open() -> None:
    async with mounted() as m:
        opened, entry = await m.fs.create(WHO, ROOT, b"f", 0o444, os.O_WRONLY | os.O_CREAT)
        assert isinstance(entry, Entry)
        assert entry.attributes is not None
        assert entry.attributes.mode & 0o222 == 0
        inode = m.inode(entry.attributes.node)
        assert (inode.lookups, inode.opens) == (1, 1)
        await m.fs.release(WHO, opened.fh)
        m.fs.forget([(inode.node, 1)])
        assert len(m.volume.inodes) == 1


async def test_the_end_sends_what_is_unsent() -> None:
    share = Volume()
    async with mounted(share) as m:
        opened = await m.create("file")
        await m.fs.write(WHO, opened.fh, 0, b"unsent")
        await m.fs.drain()
        assert share.read("file") == b"unsent"
        await m.fs.write(WHO, opened.fh, 6, b", too")
    assert share.read("file") == b"unsent, too"


async def test_a_mount_of_what_is_not_there() -> None:
    with pytest.RaisesGroup(StatusError):
        async with mounted(Volume(), prefix="nothing\\here"):
            raise AssertionError("it mounted")


async def test_nodes_that_nobody_knows() -> None:
    async with mounted() as m:
        with fails(errno.ESTALE):
            m.fs.listed(ROOT + 41)  # type: ignore[arg-type]  # not a Node
