"""The bytes of files: open, read, write, flush, truncate, close.

Reads stream ahead and writes stream behind, within one open file.  The contract: a read sees
every earlier write of this mount, and the first lost write is told at every later write, fsync
and close of the file.  Whatever changes the file's size or times first waits until nothing is
unsent (`File.settle`), or a late write would undo it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from itertools import count
from typing import Any

import trio

from smbfs.cache.budget import Budget
from smbfs.cache.dirty import Data, Dirty
from smbfs.cache.pages import Pages
from smbfs.engine import steps
from smbfs.engine.handle import Handle
from smbfs.engine.information import Information
from smbfs.engine.share import How, Share
from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, FileHandle, Miss, Opened
from smbfs.vfs.inode import Inode, Moment
from smbfs.vfs.inodes import Inodes
from smbfs.vfs.openfile import DataPolicy, File, Ground, Open
from smbfs.wire.constants import Access, Attributes, Disposition, Options
from smbfs.wire.status import Status

log = logging.getLogger(__name__)

FILE_DIRTY_BYTES = 16 << 20  # unsent bytes of one file before its writer waits
ATTEMPTS = 4  # to read through the read-ahead before asking the server straight

READING = Access.FILE_READ_DATA | Access.FILE_READ_ATTRIBUTES | Access.SYNCHRONIZE
WRITING = (
    Access.FILE_WRITE_DATA
    | Access.FILE_APPEND_DATA
    | Access.FILE_READ_ATTRIBUTES
    | Access.SYNCHRONIZE
)


class Content:
    """The open files of one mount."""

    def __init__(
        self, share: Share, inodes: Inodes, policy: DataPolicy, nursery: trio.Nursery
    ) -> None:
        half = policy.cache_bytes // 2
        self._share = share
        self._inodes = inodes
        self._policy = policy
        self._ground = Ground(policy, inodes, nursery, Budget(half), Budget(half))
        self._opens: dict[FileHandle, Open] = {}
        self._numbers = count(1)

    def of(self, fh: FileHandle) -> Open:
        """The open file of a number; raises OSError EBADF."""
        opened = self._opens.get(fh)
        if opened is None:
            raise OSError(errno.EBADF, "no such open file")
        return opened

    def all_open(self) -> list[Open]:
        """Everything that is open now."""
        return list(self._opens.values())

    # Opening and closing

    async def open(self, inode: Inode, flags: int) -> Opened:
        """Open an existing file in one turnaround; O_TRUNC is part of it."""
        if isinstance(inode.file, File):
            await inode.file.sent()
        moment = self._inodes.moment(trio.current_time())
        path = self._inodes.path(inode)
        handle, information = await self._open_handle(path, flags, Disposition.OPEN)
        if flags & os.O_TRUNC:
            self._inodes.changed(inode)
            moment = self._inodes.moment(moment.at_s)
        self._inodes.learn(inode, information, inode.special, moment)
        return self._register(inode, handle, flags)

    async def create(
        self,
        path: str,
        flags: int,
        attributes: int,
        found: Callable[[Information, Moment], Inode],
    ) -> tuple[Opened, Inode]:
        """Create a file, or open it if it is there and O_EXCL is not, in one turnaround.

        ``found`` names the inode of what was opened.
        """
        disposition = Disposition.CREATE if flags & os.O_EXCL else Disposition.OPEN_IF
        moment = self._inodes.moment(trio.current_time())
        handle, information = await self._open_handle(path, flags, disposition, attributes)
        try:
            inode = found(information, moment)
        except BaseException:
            handle.close_soon()
            raise
        return self._register(inode, handle, flags), inode

    async def _open_handle(
        self, path: str, flags: int, disposition: int, attributes: int = 0
    ) -> tuple[Handle, Information]:
        mode = flags & os.O_ACCMODE
        access = (READING if mode != os.O_WRONLY else 0) | (WRITING if mode != os.O_RDONLY else 0)
        options = Options.NON_DIRECTORY_FILE
        if flags & (os.O_SYNC | os.O_DSYNC):
            options |= Options.WRITE_THROUGH
        todo: list[steps.Step[Any]] = [steps.query_all()]
        if flags & os.O_TRUNC:
            # Not FILE_OVERWRITE: that would also reset attributes, EAs and streams.
            access |= WRITING
            todo.insert(0, steps.set_end_of_file(0))

        async def attempt(extra: int) -> tuple[Handle, Information]:
            how = How(access | extra, disposition, options, attributes or Attributes.NORMAL)
            handle, results = await self._share.open(path, how, *todo)
            return handle, results[-1]

        if not access & Access.FILE_WRITE_DATA:
            return await attempt(0)
        try:
            # So that times and attributes can be set through the same handle.
            return await attempt(Access.FILE_WRITE_ATTRIBUTES)
        except StatusError as error:
            if error.status != Status.ACCESS_DENIED:
                raise
        return await attempt(0)

    def _register(self, inode: Inode, handle: Handle, flags: int) -> Opened:
        file = inode.file
        if not isinstance(file, File):
            policy, facts = self._policy, self._share.facts
            pages = Pages(
                self._ground.read_budget,
                facts.read_size,
                policy.read_ahead_bytes,
                policy.believe_s,
            )
            dirty: Dirty[Open] = Dirty(self._ground.dirty_budget, facts.write_size)
            file = inode.file = File(self._ground, inode, pages, dirty)
        # Close-to-open: what others wrote before this open has to be seen after it.
        file.pages.drop()
        if not self._policy.is_cached:
            flags |= os.O_DIRECT
        if self._policy.is_synchronous:
            flags |= os.O_SYNC
        opened = Open(FileHandle(next(self._numbers)), file, handle, flags)
        file.opens.append(opened)
        self._opens[opened.fh] = opened
        self._inodes.opened(inode)
        # The kernel takes the place of an append from its own idea of the size: keep its cache out.
        return Opened(opened.fh, direct_io=opened.is_direct or opened.is_append)

    async def release(self, fh: FileHandle) -> None:
        """Give up a descriptor: its writes are sent first, an untold error is logged."""
        opened = self._opens.pop(fh, None)
        if opened is None:
            return
        file = opened.file
        try:
            await file.sent()
        finally:
            file.opens.remove(opened)
            if not file.opens:
                file.pages.drop()
                file.inode.file = None
                if file.dirty.error is not None and not file.is_error_told:
                    log.error("node %d: a write was lost: %s", file.inode.node, file.dirty.error)
            self._inodes.closed(file.inode)
            opened.handle.close_soon()

    # Reading

    def read_now(self, fh: FileHandle, offset: int, size: int) -> list[memoryview] | Miss:
        """The bytes of a range if they are here."""
        opened = self._opens.get(fh)
        if opened is None or opened.is_direct or opened.file.dirty.touches(offset, size):
            return MISS
        views = self._from_pages(opened, offset, size)
        return MISS if views is None else views

    def _from_pages(self, opened: Open, offset: int, size: int) -> list[memoryview] | None:
        file = opened.file
        views = file.pages.lookup(offset, size, trio.current_time())
        if views is not None:
            file.fetch(opened, file.pages.ahead(offset, size, file.size))
        return views

    async def read(self, fh: FileHandle, offset: int, size: int) -> list[memoryview]:
        """The bytes of a range, short only at the end of the file."""
        opened = self.of(fh)
        file = opened.file
        if opened.is_direct:
            await file.sent()
            return await opened.handle.read(offset, size)
        for attempt in range(ATTEMPTS):
            if attempt:
                await file.sent()  # or a write that moves the end of the file is not seen yet
            if file.dirty.touches(offset, size):
                await file.until(lambda: not file.dirty.touches(offset, size))
            views = self._from_pages(opened, offset, size)
            if views is not None:
                return views
            if self._ground.read_budget.room_bytes < size:
                self._expire_all()
            now = trio.current_time()
            file.fetch(opened, file.pages.plan(offset, size, file.size, now))
            for piece in file.pages.covering(offset, size):
                assert isinstance(piece.done, trio.Event)
                await piece.done.wait()
        # Somebody writes or takes what we fetch all the time, or the fetch failed: ask straight.
        await file.sent()
        return await opened.handle.read(offset, size)

    def _expire_all(self) -> None:
        now = trio.current_time()
        for file in {opened.file for opened in self._opens.values()}:
            file.pages.expire(now)

    # Writing

    async def write(self, fh: FileHandle, offset: int, data: Data) -> int:
        """Take bytes to be sent; returns how many.  Raises the file's first lost write."""
        opened = self.of(fh)
        file = opened.file
        file.tell()
        if opened.is_append or opened.is_direct or opened.is_synchronous:
            return await self._write_through(opened, offset, data)
        size = len(data)
        while not self._may_take(file, size):
            await self._ground.room.park()
            file.tell()
        file.pages.drop(offset, size)
        file.dirty.add(opened, offset, data)
        file.changed(offset + size)
        file.pump()
        return size

    def _may_take(self, file: File, size: int) -> bool:
        unsent = sum(piece.size for piece in file.dirty.pieces)
        return not unsent or (
            unsent + size <= FILE_DIRTY_BYTES and self._ground.dirty_budget.room_bytes >= size
        )

    async def _write_through(self, opened: Open, offset: int, data: Data) -> int:
        file = opened.file
        await file.settle()
        if opened.is_append:
            [information] = await opened.handle.do(steps.query_all())
            offset = information.end_of_file
        size = len(data)
        file.pages.drop(offset, size)
        await opened.handle.write(offset, data)
        file.pages.drop(offset, size)  # what was read meanwhile may be older than this write
        file.changed(offset + size)
        if opened.is_synchronous:
            await opened.handle.flush()
        return size

    async def flush(self, fh: FileHandle) -> None:
        """Send everything, as close(2) asks; raises the file's first lost write."""
        opened = self.of(fh)
        if opened.may_write:
            await opened.file.settle()

    async def fsync(self, fh: FileHandle) -> None:
        """Send everything and have the server put it on disk."""
        opened = self.of(fh)
        await opened.file.settle()
        if not self._policy.flushes:
            return
        writers = [one for one in (opened, *opened.file.opens) if one.may_write]
        if writers:
            await writers[0].handle.flush()
            return
        # FLUSH needs a handle that may write; who has none may have closed it a moment ago.
        path = self._inodes.path(opened.file.inode)
        try:
            await self._share.on(path, How(WRITING), steps.flush())
        except StatusError as error:
            if error.status not in (Status.ACCESS_DENIED, Status.MEDIA_WRITE_PROTECTED):
                raise

    # Size

    async def truncate(self, inode: Inode, size: int, fh: FileHandle | None) -> Information:
        """Set the size of a file, open or not, in one turnaround; returns what it is now."""
        file = inode.file if isinstance(inode.file, File) else None
        if file is not None:
            await file.settle()
            file.pages.drop()
        todo = (steps.set_end_of_file(size), steps.query_all())
        writer = _writer(file, fh)
        if writer is not None:
            results = await writer.handle.do(*todo)
        else:
            how = How(WRITING, Disposition.OPEN, Options.NON_DIRECTORY_FILE)
            results = await self._share.on(self._inodes.path(inode), how, *todo)
        self._inodes.changed(inode)
        if file is not None:
            file.pages.drop()
        information = results[-1]
        assert isinstance(information, Information)
        return information

    async def drain(self) -> None:
        """Send everything that is unsent; errors stay with their files."""
        for opened in self.all_open():
            await opened.file.sent()

    async def stop(self) -> None:
        """Send and close everything that the kernel did not."""
        for opened in self.all_open():
            await self.release(opened.fh)


def _writer(file: File | None, fh: FileHandle | None) -> Open | None:
    """The descriptor to set a size through: the one that was named, or any that may write."""
    for opened in file.opens if file is not None else ():
        if opened.may_write and (fh is None or opened.fh == fh):
            return opened
    return None
