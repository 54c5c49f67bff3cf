"""The open files of one mount: open, close, flush, fsync, truncate; reads and writes by number.

The contract: a read sees every earlier write of this mount, and the first lost write is told at
every later write, fsync and close of the file.

Easily broken: a descriptor that is being opened counts as open, or an unlink meanwhile would not
know of it; one that is closed stays with its file until what it began is at its end, whatever
becomes of the caller, or a late request of it might change what others wrote; and two files that
lay at one path, one after the other, never share a `File`.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count

import trio

from smbfs.cache.dirty import Dirty
from smbfs.cache.pages import Pages
from smbfs.engine import steps
from smbfs.engine.handle import Handle
from smbfs.engine.information import Information
from smbfs.engine.share import How, Share
from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, FileHandle, Miss, Opened
from smbfs.vfs import reading, writing
from smbfs.vfs.descriptor import Open
from smbfs.vfs.ground import Ground
from smbfs.vfs.holes import Holes
from smbfs.vfs.idle import IdleHandles
from smbfs.vfs.inode import Inode, Moment, Version
from smbfs.vfs.inodes import Inodes
from smbfs.vfs.leases import Leases
from smbfs.vfs.openfile import File
from smbfs.vfs.opening import Found, Opening
from smbfs.vfs.passage import again
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.steady import Steadiness
from smbfs.vfs.writing import Data
from smbfs.wire.constants import Attributes
from smbfs.wire.status import Status

log = logging.getLogger(__name__)

MAY_NOT_WRITE = frozenset({Status.ACCESS_DENIED, Status.MEDIA_WRITE_PROTECTED})


class Content:
    """The open files of one mount."""

    def __init__(
        self,
        share: Share,
        inodes: Inodes,
        policy: DataPolicy,
        nursery: trio.Nursery,
        steady: Steadiness,
        holes: Holes,
        idle: IdleHandles,
    ) -> None:
        self._share = share
        self._inodes = inodes
        self._policy = policy
        self._steady = steady
        self.leases = Leases(policy.leases and policy.is_cached)
        self._idle = idle
        self.ground = Ground(policy, inodes, nursery, holes, self.leases, idle)
        self.opening = Opening(share, self.ground, steady)
        nursery.start_soon(idle.tidy)
        self._opens: dict[FileHandle, Open] = {}
        self._numbers = count(1)
        self.on_open: Callable[[Open], None] = lambda opened: None  # who looks after it
        self.reads_exactly = False  # the kernel can read bytes, and not pages, of a file

    def of(self, fh: FileHandle) -> Open:
        """The open file of a number; raises OSError EBADF."""
        opened = self._opens.get(fh)
        if opened is None:
            raise OSError(errno.EBADF, "no such open file")
        return opened

    def all_open(self) -> list[Open]:
        """Everything that is open now."""
        return list(self._opens.values())

    # Opening

    async def open(self, inode: Inode, flags: int) -> Opened:
        """Open an existing file in one turnaround; O_TRUNC is part of it."""
        flags = self._in_effect(flags)
        self._inodes.opened(inode)
        try:
            if inode.coming is not None:
                await inode.coming.wait()
            found = await self.opening.kept(inode, flags)
            found = found or await self.opening.at_inode(inode, flags)
        except BaseException:
            self._inodes.closed(inode)
            raise
        return self._register(inode, found, flags)

    async def create(
        self,
        path: str,
        flags: int,
        attributes: int,
        found: Callable[[Information, Moment], Inode],
        access: int = 0,
    ) -> tuple[Opened, Inode]:
        """Create a file, or open it if it is there and O_EXCL is not, in one turnaround.

        ``found`` names the inode of what was opened; ``access`` is more than its flags need.
        """
        flags = self._in_effect(flags)
        moment = self._inodes.moment(trio.current_time())
        how = How.opening(flags | os.O_CREAT, attributes or Attributes.NORMAL)
        how = replace(how, access=how.access | access)
        made = await self.opening.at_path(path, how, flags, moment)
        try:
            inode = found(made.information, moment)
        except BaseException:
            self.opening.undone(made)
            raise
        self._inodes.opened(inode)
        if flags & os.O_TRUNC and isinstance(inode.file, File):
            self._inodes.changed(inode)  # it is open under another name, and maybe written to
        return self._register(inode, made, flags), inode

    def _in_effect(self, flags: int) -> int:
        """The flags of an open with those that the mount adds to each."""
        flags |= 0 if self._policy.is_cached else os.O_DIRECT
        return flags | (os.O_SYNC if self._policy.is_synchronous else 0)

    async def fetch(self, inode: Inode) -> bool:
        """Open a file ahead of its reader, and keep it; whether the server's lease allows that."""
        found = await self.opening.at_inode(inode, os.O_RDONLY)
        if isinstance(inode.file, File) and inode.file.opens:
            self.opening.undone(found)
            return True
        file = self._taken(inode, found)
        if not self._idle.may_keep(file, found.handle):
            found.handle.close_soon()
            file.ended_if_unused()
            return False
        self._idle.keep(file, found.handle, found.information.file_id)
        return True

    def _register(self, inode: Inode, found: Found, flags: int) -> Opened:
        """Give a new handle its number; its inode counts as open already."""
        file = self._taken(inode, found)
        known_id = found.information.file_id
        opened = Open(FileHandle(next(self._numbers)), file, found.handle, flags, known_id)
        file.opens.append(opened)
        self._opens[opened.fh] = opened
        self.on_open(opened)
        if opened.keeps_kernel_out(self.reads_exactly):
            return Opened(opened.fh, direct_io=True)
        version = Version.of(found.information, self._share.server_time())
        may_keep = file.kernel_may_keep(version) or self._policy.is_alone
        return Opened(opened.fh, keep_cache=may_keep)

    def _taken(self, inode: Inode, found: Found) -> File:
        """The file of a new handle, with the lease and the bytes that came with that."""
        file = self._file(inode, found)
        file.took(found.lease)
        found.arrived()
        if file.lease is None or not file.lease.may_read:
            # Close-to-open: what others wrote before this open has to be seen after it.
            file.pages.drop()
        if found.data is not None and not file.dirty:
            file.pages.receive(found.data, trio.current_time())
        return file

    def _file(self, inode: Inode, found: Found) -> File:
        """What all who have the file open share; what is kept of another one is not it."""
        file = inode.file if isinstance(inode.file, File) else None
        if file is not None and not file.opens and found.lease is not file.lease:
            self._idle.close_of(inode)
            file = inode.file if isinstance(inode.file, File) else None
        return file or self._new_file(inode)

    def _new_file(self, inode: Inode) -> File:
        ground, policy, facts = self.ground, self._policy, self._share.facts
        window = policy.read_ahead_bytes
        pages = Pages(ground.read_budget, facts.read_size, window, policy.believe_s)
        dirty: Dirty[Open] = Dirty(facts.write_size, ground.room.give)
        file = inode.file = File(ground, inode, pages, dirty)
        ground.files.add(file)
        return file

    # Closing

    def release_now(self, fh: FileHandle) -> bool:
        """Give up a descriptor if nothing that it began is under way; whether that was so."""
        opened = self._opens.get(fh)
        if opened is None or opened.file.locks is not None or not opened.file.is_at_rest:
            return False
        del self._opens[fh]
        self._close(opened)
        return True

    async def release(self, fh: FileHandle) -> None:
        """Give up a descriptor: what it began ends first, an untold error is logged."""
        opened = self._opens.pop(fh, None)
        if opened is None:
            return
        if opened.file.is_at_rest:
            self._close(opened)
            return
        closed = trio.Event()
        self.ground.nursery.start_soon(self._close_at_rest, opened, closed)
        await closed.wait()

    def release_soon(self, fh: FileHandle) -> None:
        """Give up a descriptor that nobody got to know of."""
        if fh in self._opens:
            self.ground.nursery.start_soon(self.release, fh)

    async def _close_at_rest(self, opened: Open, closed: trio.Event) -> None:
        try:
            await opened.file.rest()
        finally:
            self._close(opened)
            closed.set()

    def _close(self, opened: Open) -> None:
        file, inode = opened.file, opened.file.inode
        file.opens.remove(opened)
        opened.handle.reviver = None
        is_locked = file.locks is not None and file.locks.keeps(opened.handle)
        may_idle = not opened.may_write and not is_locked and not file.dirty.error
        if not file.opens:
            if file.locks is not None:
                file.locks.close()
                file.locks = None
            if file.dirty:
                log.error("node %d: bytes that were written are not sent", inode.node)
                file.unsent(OSError(errno.EIO, "smbfs ended before they were sent"))
            if file.dirty.error is not None and not file.is_error_told:
                log.error("node %d: a write was lost: %s", inode.node, file.dirty.error)
        if may_idle and self._idle.may_keep(file, opened.handle):
            self._idle.keep(file, opened.handle, opened.known_id)
            is_locked = True
        file.ended_if_unused()
        self._inodes.closed(inode)
        if not is_locked:
            opened.handle.close_soon()

    async def drain(self) -> None:
        """Bring all that was begun to its end; errors stay with their files."""
        for file in list(self.ground.files):
            await file.rest()

    async def stop(self) -> None:
        """Send and close everything that the kernel did not."""
        try:
            await self.drain()
        finally:
            for opened in self.all_open():
                del self._opens[opened.fh]
                self._close(opened)
            self._idle.close_all()

    # Reading and writing

    def read_now(self, fh: FileHandle, offset: int, size: int) -> list[memoryview] | Miss:
        """The bytes of a range if they are here."""
        opened = self._opens.get(fh)
        views = reading.read_now(opened, offset, size) if opened is not None else None
        return MISS if views is None else views

    async def read(self, fh: FileHandle, offset: int, size: int) -> list[memoryview]:
        """The bytes of a range, short only at the end of the file."""
        return await reading.read(self.of(fh), offset, size)

    def write_now(self, fh: FileHandle, offset: int, data: Data) -> int | Miss:
        """Take bytes to be sent, kept as they are, if there is nothing to wait for or to tell."""
        opened = self._opens.get(fh)
        if opened is None or not writing.write_now(opened, offset, data):
            return MISS
        return len(data)

    async def write(self, fh: FileHandle, offset: int, data: Data) -> int:
        """Take bytes to be sent; returns how many.  Raises the file's first lost write.

        They are kept as they are: the caller must not change them any more.
        """
        opened = self.of(fh)
        await writing.write(opened, offset, data)
        if opened.is_synchronous and data and self._policy.flushes:
            await self._flush(opened, _flushing(opened.handle))
        return len(data)

    def is_settled(self, fh: FileHandle) -> bool:
        """Whether a flush has nothing to wait for and nothing to tell."""
        opened = self._opens.get(fh)
        if opened is None:
            return False
        return not (opened.may_write and (opened.file.dirty or opened.file.dirty.error))

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
        writers = [one for one in opened.file.opens if one.may_write]
        if opened.may_write:
            await self._flush(opened, _flushing(opened.handle))
        elif writers:
            alive = [one for one in writers if one.is_alive]
            await self._flush(opened, _flushing((alive or writers)[0].handle))
        elif opened.file.inode.places:
            try:
                await self._flush(opened, self._flushing_by_path(opened.file.inode))
            except StatusError as error:
                if error.status not in MAY_NOT_WRITE or opened.file.unflushed:
                    raise

    async def _flush(self, opened: Open, flushing: Awaitable[int]) -> None:
        """Have the server bring to its disk what it confirmed."""
        file = opened.file
        owed, file.unflushed = file.unflushed, set()
        try:
            generation = await flushing
        except BaseException:
            file.unflushed |= owed
            raise
        if older := owed - {generation}:
            # The server may have been started anew and forgotten what was not on its disk yet.
            file.unflushed |= older
            raise OSError(errno.EIO, "the connection was lost before all was on the disk")

    async def _flushing_by_path(self, inode: Inode) -> int:
        """Flush a file that nobody may write any more, but somebody may have until a moment ago."""
        path = self._inodes.path(inode)
        handle, _ = await self._share.open(path, How.writing(), steps.flush())
        handle.close_soon()
        return handle.generation

    # Size

    async def truncate(self, inode: Inode, size: int, fh: FileHandle | None) -> Information:
        """Set the size of a file, open or not, in one turnaround; returns what it is now."""
        file = inode.file
        if not isinstance(file, File):
            information = await self._resize(inode, size, None)
        else:
            file.tell()
            information = await file.alone(lambda: self._resize(inode, size, fh))
            file.tell()
        return information

    async def _resize(self, inode: Inode, size: int, fh: FileHandle | None) -> Information:
        old, holes = inode.information, self.ground.holes
        marking = holes.before_growth(old, old.end_of_file, size)
        todo = (*marking, steps.set_end_of_file(size), steps.query_all())
        handle = _writer(inode, fh)
        try:
            if handle is not None:
                results = await again(handle, lambda: handle.do(*todo), changes=True)
            else:
                self._idle.close_of(inode)
                results = await self._steady.at(
                    lambda: self._inodes.path(inode),
                    lambda path: self._share.on(path, How.resizing(), *todo),
                )
        finally:
            self._inodes.changed(inode)
        information = results[-1]
        assert isinstance(information, Information)
        if marking:
            holes.heard(information)
        if isinstance(inode.file, File):  # it may have been opened since
            inode.file.resized(information.end_of_file)
        return information


def _writer(inode: Inode, fh: FileHandle | None) -> Handle | None:
    """The handle to set a size through: of the descriptor that was named, or any that may write."""
    for opened in inode.file.opens if isinstance(inode.file, File) else ():
        if opened.may_write and (opened.fh == fh if fh is not None else opened.is_alive):
            return opened.handle
    return None


async def _flushing(handle: Handle) -> int:
    await again(handle, handle.flush, changes=False)
    return handle.generation
