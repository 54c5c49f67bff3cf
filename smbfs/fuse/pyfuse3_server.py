"""The kernel's requests through pyfuse3, translated for a `vfs.Filesystem`.

The only module that imports pyfuse3.  It knows no SMB: values of `smbfs.fuse.server` go in and
out.  Easily broken: any exception but FUSEError kills the mount, so every operation passes
through `guarded`; what the kernel did not get, because the answer could not be put into its
words, is taken back; and a notice about data or names may block for ever in the kernel, so none
is given.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

import pyfuse3
from pyfuse3 import FUSEError

from smbfs.fuse.notices import OnlyAttributes
from smbfs.fuse.overhear import overheard
from smbfs.fuse.server import (
    DATA_PATIENCE,
    Attributes,
    Change,
    DirectoryItem,
    Entry,
    FileHandle,
    Miss,
    Node,
    Opened,
    Request,
    bounded,
    errno_of,
)
from smbfs.vfs.filesystem import Filesystem

T = TypeVar("T")
log = logging.getLogger(__name__)

# The cap on concurrent requests of the whole mount: with the default of 99, as many opens that
# wait would freeze everything else.
MOST_TASKS = 4096
FIRST_TASKS = 8
NEVER_BY_ERROR = {"init", "stacktrace", "forget"}  # what has no reply
UNASKED = Request(0, 0, 0)  # pyfuse3 does not tell who reads, writes or closes


def guarded(cls: type[pyfuse3.Operations]) -> type[pyfuse3.Operations]:
    """Put the one error boundary around every operation of a class."""
    for name, operation in list(vars(cls).items()):
        if name.startswith("_") or name in NEVER_BY_ERROR or not callable(operation):
            continue
        if name in vars(pyfuse3.Operations):
            setattr(cls, name, _guard(operation))
    return cls


def _guard(operation: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    @functools.wraps(operation)
    async def guarded_operation(*args: Any) -> T:
        try:
            return await operation(*args)
        except Exception as error:
            raise FUSEError(errno_of(error)) from error

    return guarded_operation


def _request(ctx: Any) -> Request:
    return Request(ctx.uid, ctx.gid, ctx.pid, ctx.umask)


def _attributes(from_: Attributes) -> Any:
    attr = pyfuse3.EntryAttributes()
    attr.st_ino = from_.node
    attr.generation = from_.generation
    attr.entry_timeout = from_.believe_s
    attr.attr_timeout = from_.believe_s
    attr.st_mode = from_.mode
    attr.st_nlink = from_.links
    attr.st_uid = from_.uid
    attr.st_gid = from_.gid
    attr.st_rdev = from_.rdev
    attr.st_size = from_.size
    attr.st_blksize = from_.block_size
    attr.st_blocks = from_.blocks
    attr.st_atime_ns = from_.atime_ns
    attr.st_mtime_ns = from_.mtime_ns
    attr.st_ctime_ns = from_.ctime_ns
    return attr


def _entry(entry: Entry) -> Any:
    if entry.attributes is None:
        attr = pyfuse3.EntryAttributes()
        attr.st_ino = 0  # known to be absent
    else:
        attr = _attributes(entry.attributes)
    attr.entry_timeout = entry.believe_s
    return attr


def _opened(opened: Opened) -> Any:
    return pyfuse3.FileInfo(fh=opened.fh, direct_io=opened.direct_io, keep_cache=opened.keep_cache)


def _one_buffer(views: Sequence[memoryview]) -> bytes:
    """Answer what pyfuse3 takes: one buffer of any kind, though its types say bytes."""
    return cast(bytes, views[0]) if len(views) == 1 else b"".join(views)


@guarded
class Operations(pyfuse3.Operations):
    """pyfuse3's handlers, each one translation and one call."""

    supports_dot_lookup = False
    enable_writeback_cache = False
    enable_acl = False

    def __init__(self, filesystem: Filesystem, timeout_s: float) -> None:
        super().__init__()
        self._fs = filesystem
        self._timeout_s = timeout_s

    async def _wait(self, request: Request, answer: Awaitable[T]) -> T:
        return await bounded(request, answer, self._timeout_s)

    async def _wait_for_data(self, request: Request, answer: Awaitable[T]) -> T:
        """Wait for a call that moves data, or has to wait until others have moved theirs."""
        return await bounded(request, answer, self._timeout_s * DATA_PATIENCE)

    def _entry(self, entry: Entry) -> Any:
        """Tell a name that was found; what cannot be told the kernel does not hold."""
        with self._taken_back(entry):
            return _entry(entry)

    @contextlib.contextmanager
    def _taken_back(self, entry: Entry) -> Iterator[None]:
        """Take a lookup back if the kernel does not come to know of it."""
        try:
            yield
        except BaseException:
            if entry.attributes is not None:
                self._fs.forget([(entry.attributes.node, 1)])
            raise

    # Names

    async def lookup(self, parent: int, name: bytes, ctx: Any) -> Any:
        request = _request(ctx)
        entry = self._fs.lookup_now(request, Node(parent), name)
        if isinstance(entry, Miss):
            entry = await self._wait(request, self._fs.lookup(request, Node(parent), name))
        return self._entry(entry)

    async def forget(self, inodes: Sequence[tuple[int, int]]) -> None:
        try:
            self._fs.forget([(Node(node), count) for node, count in inodes])
        except Exception:
            log.exception("bug: forget failed")  # it has no reply, and must not raise

    async def getattr(self, inode: int, ctx: Any) -> Any:
        request = _request(ctx)
        attributes = self._fs.getattr_now(request, Node(inode), None)
        if isinstance(attributes, Miss):
            attributes = await self._wait(request, self._fs.getattr(request, Node(inode), None))
        return _attributes(attributes)

    async def setattr(self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any) -> Any:
        change = Change(
            size=attr.st_size if fields.update_size else None,
            mode=attr.st_mode & 0o7777 if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            atime_ns=attr.st_atime_ns if fields.update_atime else None,
            mtime_ns=attr.st_mtime_ns if fields.update_mtime else None,
        )
        request = _request(ctx)
        handle = None if fh is None else FileHandle(fh)
        answer = self._fs.setattr(request, Node(inode), change, handle)
        return _attributes(await self._wait_for_data(request, answer))

    async def readlink(self, inode: int, ctx: Any) -> bytes:
        request = _request(ctx)
        return await self._wait(request, self._fs.readlink(request, Node(inode)))

    async def mknod(self, parent: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.mknod(request, Node(parent), name, mode, rdev)
        return self._entry(await self._wait(request, answer))

    async def mkdir(self, parent: int, name: bytes, mode: int, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.mkdir(request, Node(parent), name, mode)
        return self._entry(await self._wait(request, answer))

    async def unlink(self, parent: int, name: bytes, ctx: Any) -> None:
        request = _request(ctx)
        await self._wait(request, self._fs.unlink(request, Node(parent), name))

    async def rmdir(self, parent: int, name: bytes, ctx: Any) -> None:
        request = _request(ctx)
        await self._wait(request, self._fs.rmdir(request, Node(parent), name))

    async def symlink(self, parent: int, name: bytes, target: bytes, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.symlink(request, Node(parent), name, target)
        return self._entry(await self._wait(request, answer))

    async def rename(
        self, parent: int, name: bytes, new_parent: int, new_name: bytes, flags: int, ctx: Any
    ) -> None:
        request = _request(ctx)
        answer = self._fs.rename(request, Node(parent), name, Node(new_parent), new_name, flags)
        await self._wait(request, answer)

    async def link(self, inode: int, new_parent: int, new_name: bytes, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.link(request, Node(inode), Node(new_parent), new_name)
        return self._entry(await self._wait(request, answer))

    # Files

    async def open(self, inode: int, flags: int, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.open(request, Node(inode), flags)
        return _opened(await self._wait_for_data(request, answer))

    async def create(self, parent: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        request = _request(ctx)
        answer = self._fs.create(request, Node(parent), name, mode, flags)
        opened, entry = await self._wait(request, answer)
        try:
            return _opened(opened), self._entry(entry)
        except BaseException:
            await self._fs.release(request, opened.fh)
            raise

    async def read(self, fh: int, offset: int, size: int) -> bytes:
        views = self._fs.read_now(UNASKED, FileHandle(fh), offset, size)
        if isinstance(views, Miss):
            request = Request(0, 0, 0)
            answer = self._fs.read(request, FileHandle(fh), offset, size)
            views = await self._wait_for_data(request, answer)
        return _one_buffer(views)

    async def write(self, fh: int, offset: int, buf: bytes) -> int:
        request = Request(0, 0, 0)
        answer = self._fs.write(request, FileHandle(fh), offset, buf)
        return await self._wait_for_data(request, answer)

    async def flush(self, fh: int) -> None:
        request = Request(0, 0, 0)
        await self._wait_for_data(request, self._fs.flush(request, FileHandle(fh)))

    async def fsync(self, fh: int, datasync: bool) -> None:
        request = Request(0, 0, 0)
        answer = self._fs.fsync(request, FileHandle(fh), bool(datasync))
        await self._wait_for_data(request, answer)

    async def release(self, fh: int) -> None:
        request = Request(0, 0, 0)
        await self._wait_for_data(request, self._fs.release(request, FileHandle(fh)))

    # Directories

    async def opendir(self, inode: int, ctx: Any) -> int:
        request = _request(ctx)
        opened = await self._wait(request, self._fs.opendir(request, Node(inode)))
        return opened.fh

    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        request = Request(0, 0, 0)
        after = start_id
        for item in self._fs.dots(FileHandle(fh))[after:2]:  # the kernel adds no ``.`` and ``..``
            attr = _attributes(item.attributes)
            if not pyfuse3.readdir_reply(token, item.name, attr, item.next_id):
                return
        while items := await self._items(request, FileHandle(fh), after, after != start_id):
            for item in items:
                if not self._reply(token, item):
                    return
            after = items[-1].next_id

    async def _items(
        self, request: Request, fh: FileHandle, after: int, has_some: bool
    ) -> list[DirectoryItem]:
        """Some entries behind a cookie; none instead of an error if the answer holds some already.

        The kernel comes again with the cookie of the last one and hears the error then.
        """
        items = self._fs.readdir_now(request, fh, after)
        if not isinstance(items, Miss):
            return items
        try:
            return await self._wait(request, self._fs.readdir(request, fh, after))
        except Exception:
            if has_some:
                return []
            raise

    def _reply(self, token: Any, item: DirectoryItem) -> bool:
        """Put one entry into the answer; False if it has no room left."""
        attr = _attributes(item.attributes)
        has_room: bool = pyfuse3.readdir_reply(token, item.name, attr, item.next_id)
        if has_room:
            self._fs.listed(item.attributes.node)
        return has_room

    async def releasedir(self, fh: int) -> None:
        request = Request(0, 0, 0)
        await self._wait(request, self._fs.releasedir(request, FileHandle(fh)))

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        request = Request(0, 0, 0)
        await self._wait(request, self._fs.fsyncdir(request, FileHandle(fh)))

    # The rest

    async def statfs(self, ctx: Any) -> Any:
        request = _request(ctx)
        space = await self._wait(request, self._fs.statfs(request))
        data = pyfuse3.StatvfsData()
        data.f_bsize = space.block_size
        data.f_frsize = space.fragment_size
        data.f_blocks = space.blocks
        data.f_bfree = space.blocks_free
        data.f_bavail = space.blocks_available
        data.f_files = space.files
        data.f_ffree = data.f_favail = space.files_free
        data.f_namemax = space.name_max
        return data

    async def access(self, inode: int, mode: int, ctx: Any) -> bool:
        request = _request(ctx)
        await self._wait(request, self._fs.access(request, Node(inode), mode))
        return True

    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        request = _request(ctx)
        value = self._fs.getxattr_now(request, Node(inode), name)
        if isinstance(value, Miss):
            value = await self._wait(request, self._fs.getxattr(request, Node(inode), name))
        return value

    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        request = _request(ctx)
        answer = self._fs.setxattr(request, Node(inode), name, value, 0)
        await self._wait(request, answer)

    async def listxattr(self, inode: int, ctx: Any) -> Sequence[bytes]:
        request = _request(ctx)
        return await self._wait(request, self._fs.listxattr(request, Node(inode)))

    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        request = _request(ctx)
        await self._wait(request, self._fs.removexattr(request, Node(inode), name))


class Server:
    """One mount served by pyfuse3; there is one in a process, for its state is global."""

    def __init__(self, filesystem: Filesystem, timeout_s: float) -> None:
        self._operations = Operations(filesystem, timeout_s)
        self._notices = OnlyAttributes(functools.partial(pyfuse3.invalidate_inode, attr_only=True))
        filesystem.hear(self._notices)

    def attach(self, mountpoint: str, options: Sequence[str]) -> None:
        """Mount; raises OSError with a sentence if the kernel or fusermount3 refuses."""
        logging.getLogger("pyfuse3").setLevel(logging.INFO)  # below that it tells of every call
        with overheard() as said:
            try:
                # libfuse aborts a mount whose largest read it is told.
                told = {one for one in options if not one.startswith("max_read=")}
                pyfuse3.init(self._operations, os.fspath(mountpoint), told)
            except RuntimeError as error:
                reason = error
            else:
                self._notices.is_open = True
                return
        raise OSError(errno.EIO, "; ".join(said) or str(reason)) from reason

    async def serve(self) -> None:
        """Answer the kernel until the mount is gone or `stop` is called."""
        await pyfuse3.main(min_tasks=FIRST_TASKS, max_tasks=MOST_TASKS)

    def stop(self) -> None:
        """Make `serve` return once running requests are answered."""
        if self._notices.is_open:
            pyfuse3.terminate()

    def detach(self, *, unmount: bool) -> None:
        """Close the kernel's descriptor, and unmount if that was not done yet."""
        if self._notices.is_open:
            self._notices.is_open = False
            pyfuse3.close(unmount=unmount)
