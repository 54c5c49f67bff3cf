"""Changing size, mode, owner and times."""

import errno
import os
import stat

from smbfs.fuse.server import ROOT, Change
from smbfs.wire.constants import Attributes
from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.fake.script import Fails
from tests.vfs.mounted import READ, WHO, WRITE, mounted
from tests.vfs.tables import fails

SECOND = 10**9


async def test_times_are_exact_and_one_turnaround() -> None:
    async with mounted() as m:
        node = await m.put("file")
        change = Change(atime_ns=5 * SECOND, mtime_ns=1_234_567_890_123_456_700)
        with m.turns(1):
            told = await m.fs.setattr(WHO, node, change, None)
        assert (told.atime_ns, told.mtime_ns) == (change.atime_ns, change.mtime_ns)
        told = await m.fs.setattr(WHO, node, Change(atime_ns=6 * SECOND), None)
        assert (told.atime_ns, told.mtime_ns) == (6 * SECOND, change.mtime_ns)


async def test_times_of_an_open_file_stick() -> None:
    async with mounted(actimeo_s=0) as m:
        opened = await m.create("file")
        node = await m.node("file")
        await m.fs.write(WHO, opened.fh, 0, b"data")
        told = await m.fs.setattr(WHO, node, Change(mtime_ns=7 * SECOND), None)
        assert (told.mtime_ns, told.size) == (7 * SECOND, 4)
        await m.fs.flush(WHO, opened.fh)
        await m.fs.release(WHO, opened.fh)
        assert (await m.fs.getattr(WHO, node, None)).mtime_ns == 7 * SECOND


async def test_chmod_leaves_a_sparse_file_sparse() -> None:
    async with mounted() as m:
        m.share.put("file").attributes |= Attributes.SPARSE_FILE
        node = await m.node("file")
        for mode in (0o444, 0o644):
            with m.turns(1):
                await m.fs.setattr(WHO, node, Change(mode=mode), None)
            assert m.share.node("file").attributes & Attributes.SPARSE_FILE


async def test_times_through_a_handle_that_only_reads() -> None:
    async with mounted() as m:
        node = await m.put("file")
        opened = await m.fs.open(WHO, node, READ)
        told = await m.fs.setattr(WHO, node, Change(mtime_ns=SECOND), None)
        assert told.mtime_ns == SECOND
        await m.fs.release(WHO, opened.fh)


async def test_chmod_of_a_deleted_file_that_is_open() -> None:
    async with mounted() as m:
        node = await m.put("file")
        opened = await m.fs.open(WHO, node, READ)
        await m.unlink("file")
        told = await m.fs.setattr(WHO, node, Change(mode=0o444), None)
        assert told.mode & 0o777 == 0o755  # a handle for reading cannot: stat tells the truth
        with fails(errno.EACCES):
            await m.fs.setattr(WHO, node, Change(mtime_ns=SECOND), None)
        await m.fs.release(WHO, opened.fh)


async def test_chmod_is_readonly_and_chown_nothing() -> None:
    async with mounted() as m:
        node = await m.put("file")
        with m.turns(1):
            told = await m.fs.setattr(WHO, node, Change(mode=0o400), None)
        assert told.mode == stat.S_IFREG | 0o555
        assert m.share.node("file").attributes & Attributes.READONLY
        told = await m.fs.setattr(WHO, node, Change(mode=0o600), None)
        assert told.mode == stat.S_IFREG | 0o755
        with m.turns(0):
            told = await m.fs.setattr(WHO, node, Change(mode=0o640, uid=0, gid=0), None)
        assert (told.mode, told.uid, told.gid) == (stat.S_IFREG | 0o755, 1000, 100)


async def test_chmod_that_the_server_refuses() -> None:
    async with mounted() as m:
        node = await m.put("file")
        m.server.script.append(Fails(on=Command.CREATE, status=Status.ACCESS_DENIED))
        assert (await m.fs.setattr(WHO, node, Change(mode=0o444), None)).mode & 0o200
        with fails(errno.EACCES):
            await m.fs.setattr(WHO, node, Change(mode=0o444, mtime_ns=1), None)
        m.show(ids="strict", file_mode=0o644)
        with fails(errno.EACCES):
            await m.fs.setattr(WHO, node, Change(mode=0o444), None)
        with fails(errno.EPERM):
            await m.fs.setattr(WHO, node, Change(mode=0o600), None)


async def test_dynperm_remembers() -> None:
    async with mounted(dynperm=True) as m:
        node = await m.put("file")
        told = await m.fs.setattr(WHO, node, Change(mode=0o4711, uid=5), None)
        assert (told.mode, told.uid, told.gid) == (stat.S_IFREG | 0o4711, 5, 100)
        told = await m.fs.setattr(WHO, node, Change(gid=6), None)
        assert (told.mode, told.uid, told.gid) == (stat.S_IFREG | 0o4711, 5, 6)


async def test_truncate_by_path_and_by_handle() -> None:
    async with mounted() as m:
        node = await m.put("file", b"12345")
        with m.turns(1):
            assert (await m.fs.setattr(WHO, node, Change(size=2), None)).size == 2
        opened = await m.fs.open(WHO, node, WRITE)
        told = await m.fs.setattr(WHO, node, Change(size=7, mtime_ns=SECOND), opened.fh)
        assert (told.size, told.mtime_ns) == (7, SECOND)
        assert m.share.read("file") == b"12" + bytes(5)
        await m.fs.release(WHO, opened.fh)


async def test_access() -> None:
    async with mounted() as m:
        m.share.put("file", attributes=Attributes.READONLY)
        node = await m.node("file")
        await m.fs.access(WHO, node, os.R_OK)
        await m.fs.access(WHO, ROOT, os.W_OK)
        with fails(errno.EACCES):
            await m.fs.access(WHO, node, os.W_OK)
