"""What is shared by all who have one file open, and what each of them has alone.

A `File` hangs on its inode while somebody has it open: its read-ahead and its unsent writes are
one, so that two descriptors of one file always see each other's bytes.  Writes are sent at once
while nothing is under way and joined to large pieces while something is.  Easily broken: a task
that sends or fetches always ends by waking who waits for it, whatever became of it.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import trio

from smbfs.cache.budget import Budget
from smbfs.cache.dirty import Dirty, DirtyPiece
from smbfs.cache.pages import Pages, Piece
from smbfs.engine.handle import USABLE, Handle
from smbfs.engine.information import Information
from smbfs.errors import SmbError
from smbfs.fuse.server import FileHandle
from smbfs.vfs.inode import Inode
from smbfs.vfs.inodes import Inodes
from smbfs.wire.codec import WireError

log = logging.getLogger(__name__)

WRITES_UNDER_WAY = 8  # pieces of one file


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """How file data is cached, from the mount options."""

    cache_bytes: int = 64 << 20  # read-ahead and unsent writes of the whole mount
    read_ahead_bytes: int = 16 << 20  # the largest window of one stream
    believe_s: float = 1.0  # how long bytes read ahead may be handed out
    is_cached: bool = True  # False for cache=none: every read and write goes to the server
    is_synchronous: bool = False  # the mount option sync
    flushes: bool = True  # False for nostrictsync: fsync does not ask the server to flush


@dataclass(slots=True)
class Ground:
    """What all files of one mount stand on."""

    policy: DataPolicy
    inodes: Inodes
    nursery: trio.Nursery
    read_budget: Budget
    dirty_budget: Budget
    room: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)


@dataclass(slots=True, eq=False)
class Open:
    """One descriptor: its flags and its handle on the server."""

    fh: FileHandle
    file: File
    handle: Handle
    flags: int

    @property
    def may_read(self) -> bool:
        """Whether it was opened for reading."""
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def may_write(self) -> bool:
        """Whether it was opened for writing."""
        return self.flags & os.O_ACCMODE != os.O_RDONLY

    @property
    def is_append(self) -> bool:
        """Whether every write goes to the end of the file."""
        return bool(self.flags & os.O_APPEND)

    @property
    def is_direct(self) -> bool:
        """Whether reads and writes go straight to the server."""
        return bool(self.flags & os.O_DIRECT)

    @property
    def is_synchronous(self) -> bool:
        """Whether a write returns only when the server has it on disk."""
        return bool(self.flags & (os.O_SYNC | os.O_DSYNC))


@dataclass(slots=True, eq=False)
class File:
    """One open file: everything its descriptors share."""

    ground: Ground
    inode: Inode
    pages: Pages
    dirty: Dirty[Open]
    opens: list[Open] = field(default_factory=list)
    is_error_told: bool = False
    _settling: int = 0  # how many wait for writes to be confirmed
    _moved: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)

    @property
    def size(self) -> int:
        """How long the file is with what was not sent yet."""
        return max(self.inode.information.end_of_file, self.dirty.end)

    # What other rooms know of it

    def overlay(self, information: Information) -> Information:
        """Tell what the file is, given what the server says and what it was not yet sent."""
        if self.dirty.end <= information.end_of_file:
            return information
        return replace(information, end_of_file=self.dirty.end)

    def lend(self) -> Handle | None:
        """Name an open handle that the server still knows, one that may write if there is one."""
        alive = [opened for opened in self.opens if opened.handle.state in USABLE]
        alive.sort(key=lambda opened: not opened.may_write)
        return alive[0].handle if alive else None

    def lost_belief(self) -> None:
        """Forget what was read ahead: the file was changed, and not by us."""
        self.pages.drop()

    async def settle(self) -> None:
        """Send what is not sent and wait for the answers; raises the first error."""
        await self.sent()
        self.tell()

    # Writing behind

    def tell(self) -> None:
        """Raise the first lost write, as OSError."""
        if self.dirty.error is None:
            return
        self.is_error_told = True
        number = getattr(self.dirty.error, "errno", None) or errno.EIO
        raise OSError(number, f"an earlier write was lost: {self.dirty.error}")

    def changed(self, end: int) -> None:
        """Note that we write up to ``end``: answers sent for before now are too old."""
        information = self.inode.information
        information.end_of_file = max(information.end_of_file, end)
        self.ground.inodes.changed(self.inode)

    def pump(self) -> None:
        """Send what may be sent: the last piece is held back only while others are under way."""
        while (under_way := self.dirty.under_way) < WRITES_UNDER_WAY:
            piece = self.dirty.next_piece(only_full=bool(under_way) and not self._settling)
            if piece is None:
                return
            self.ground.nursery.start_soon(self._send, piece)

    async def _send(self, piece: DirtyPiece[Open]) -> None:
        error: Exception | None = OSError(errno.EIO, "the write was given up")
        try:
            await piece.writer.handle.write(piece.offset, piece.parts)
            error = None
        except (SmbError, WireError, OSError) as failure:
            error = failure
            where = f"{piece.size} bytes at {piece.offset} of node {self.inode.node}"
            log.warning("%s could not be written: %s", where, failure)
        finally:
            # A stat that was asked before this write and answered after it knows too little; one
            # that the server answered before it was believed, and knows too little as well.
            if error is None:
                self.dirty.done(piece)
                self.changed(piece.end)
            else:
                self.dirty.failed(piece, error)
                self.ground.inodes.changed(self.inode)
            self._moved.unpark_all()
            self.ground.room.unpark_all()
            self.pump()

    async def sent(self) -> None:
        """Wait until every write made so far was confirmed or has failed."""
        before = set(self.dirty.pieces)  # not what is written meanwhile, or this might never end
        await self.until(lambda: before.isdisjoint(self.dirty.pieces))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Send everything at once until something is so."""
        if is_so():
            return
        self._settling += 1
        try:
            self.pump()
            while not is_so():
                await self._moved.park()
        finally:
            self._settling -= 1

    # Reading ahead

    def fetch(self, opened: Open, pieces: list[Piece]) -> None:
        """Start to fetch pieces that the plan named."""
        for piece in pieces:
            piece.done = trio.Event()
            self.ground.nursery.start_soon(self._fetch, opened, piece, piece.done)

    async def _fetch(self, opened: Open, piece: Piece, done: trio.Event) -> None:
        error: Exception = OSError(errno.EIO, "the read was given up")
        had_unsent, tick = bool(self.dirty.pieces), self.inode.changed
        try:
            views = await opened.handle.read(piece.offset, piece.size)
            data = views[0] if len(views) == 1 else memoryview(b"".join(views))
            if len(data) < piece.size and (had_unsent or self.inode.changed != tick):
                return  # the server's end of the file may be from before a write of ours
            self.pages.store(piece, data, trio.current_time())
        except (SmbError, WireError, OSError) as failure:
            error = failure  # the reader asks again by its own handle and hears it then
        finally:
            if piece in self.pages.coming:
                self.pages.fail(piece, error)
            done.set()
