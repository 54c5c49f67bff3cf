"""What is shared by all who have one file open, and what each of them has alone.

A `File` hangs on its inode while somebody has it open: its read-ahead and its unsent writes are
one, so that two descriptors of one file always see each other's bytes.  Writes are sent at once
while nothing is under way and joined to large pieces while something is.

Easily broken: who changes the file passes its `door`, one after the other; a request that changes
the file is brought to its end by a task of the mount, whatever becomes of the caller, or it might
land after a later one; and every such task ends by waking who waits for it.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from smbfs.cache.dirty import Dirty, DirtyPiece
from smbfs.cache.lease import NEVER_S, READ, Lease
from smbfs.cache.pages import Pages
from smbfs.engine.handle import Handle
from smbfs.engine.information import Information
from smbfs.engine.steps import Step
from smbfs.errors import ServerSilent, SmbError
from smbfs.vfs.errand import Errand
from smbfs.vfs.inode import LONG_AGO, NEVER, Inode, Version
from smbfs.vfs.passage import past_locks
from smbfs.vfs.rider import riding, written
from smbfs.wire.codec import WireError

if TYPE_CHECKING:
    from smbfs.vfs.descriptor import Open
    from smbfs.vfs.ground import Ground
    from smbfs.vfs.idle import Idle
    from smbfs.vfs.locks import Locks

log = logging.getLogger(__name__)
T = TypeVar("T")

WRITES_UNDER_WAY = 8  # pieces of one file
KNOWN = (SmbError, WireError, OSError)  # what a request may end with; anything else is a bug


@dataclass(slots=True, eq=False)
class File:
    """One open file: everything its descriptors share."""

    ground: Ground
    inode: Inode
    pages: Pages
    dirty: Dirty[Open]
    opens: list[Open] = field(default_factory=list)
    is_error_told: bool = False
    unflushed: set[int] = field(default_factory=set)  # connections with writes maybe not on disk
    read_at_s: float = LONG_AGO
    met_lock_at_s: float = LONG_AGO  # when more than was asked for met a lock of somebody else
    locks: Locks | None = None  # from the first lock on
    lease: Lease | None = None  # what the server lets us keep
    idle: Idle | None = None  # a handle that nobody uses
    kernel_since_s: float | None = None  # when the kernel last dropped what it had of the file
    _door: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(1, max_value=1))
    _settling: int = 0  # how many wait for writes to be confirmed
    _moved: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    _confirmed_end: int = 0  # how long the file was when a write was last confirmed
    _confirmed_at_s: float = LONG_AGO

    # How long it is

    @property
    def size(self) -> int:
        """How long the file is with what was not sent yet."""
        return max(self.inode.information.end_of_file, self._least())

    def _least(self) -> int:
        """How long it is at least: a stat asked before a write was confirmed may not know of it."""
        seen = self.inode.seen
        is_older = seen is not NEVER and seen.at_s < self._confirmed_at_s
        return max(self.dirty.end, self._confirmed_end if is_older else 0)

    def is_size_known(self, now_s: float) -> bool:
        """Whether the server told the size a moment ago, but for what was written since."""
        seen_s = self.inode.seen.at_s
        is_leased = seen_s >= self.leased_since_s and now_s - seen_s <= self.ground.policy.close_s
        is_fresh = now_s - seen_s <= self.ground.policy.believe_s or is_leased
        return is_fresh and seen_s >= self._confirmed_at_s

    def resized(self, size: int) -> None:
        """Note that we set the size."""
        self.pages.drop()
        self.inode.information.end_of_file = size
        self._confirmed_at_s = LONG_AGO
        self.ground.inodes.changed(self.inode)

    # What other rooms know of it

    def overlay(self, information: Information) -> Information:
        """Tell what the file is, given what the server says and what it was not yet sent."""
        if (size := self._least()) <= information.end_of_file:
            return information
        return replace(information, end_of_file=size)

    def lend(self) -> Handle | None:
        """Name an open handle that the server still knows, one that may write if there is one."""
        alive = [opened for opened in self.opens if opened.is_alive]
        alive.sort(key=lambda opened: (not opened.is_here, not opened.may_write))
        return alive[0].handle if alive else None

    def lost_belief(self) -> None:
        """Forget what was read ahead: the file was changed, and not by us."""
        self.pages.drop()
        self.kernel_since_s = None

    def be_kept_no_longer(self) -> bool:
        """Do without the server's keeping it if the connection is lost; whether it would have."""
        kept = [opened.handle for opened in self.opens if opened.handle.durable is not None]
        for handle in kept:
            handle.durable = None
        return bool(kept)

    async def settle(self, *steps: Step[Any]) -> list[Any] | None:
        """Send what is not sent and wait for the answers, as `FileState` has it."""
        rider = riding(steps, self.dirty)
        await self.sent()
        self.tell()
        return rider.results

    # Its lease

    @property
    def leased_since_s(self) -> float:
        """Since when nobody else could change bytes or name without our hearing; inf if not so."""
        lease = self.lease
        if lease is None or not (lease.may_read and lease.may_keep_handle):
            return NEVER_S
        return lease.since_s

    @property
    def is_contended(self) -> bool:
        """Whether others who have the file open should see each write at once."""
        lease = self.lease
        return self.ground.policy.is_strict and lease is not None and lease.is_contended

    def took(self, lease: Lease | None) -> None:
        """Take the lease that an open of the file was granted, or go on with none."""
        leases = self.ground.leases
        if lease is not None and lease is not self.lease:
            if self.lease is None:
                self.lease = lease
                leases.own(lease, self)
            else:  # it was opened by another name: two keys are two strangers to the server
                leases.forget(lease)
        self._believe()

    def fell(self, lost: int) -> None:
        """Drop what a part of the lease stood for."""
        if lost & READ:
            self.pages.drop()
            self.kernel_since_s = None
        self._believe()

    def _believe(self) -> None:
        may_read, policy = self.lease is not None and self.lease.may_read, self.ground.policy
        leased_s = policy.close_s if may_read else 0.0
        self.pages.believe_s = NEVER_S if policy.is_alone else max(policy.believe_s, leased_s)
        if not may_read and not self.opens:
            self.pages.drop()

    def kernel_may_keep(self, version: Version | None) -> bool:
        """Whether what the kernel has of the file is still good; who opens it asks once.

        It is if a lease has held since, or if the file has not changed since it was last opened.
        """
        lease, old = self.lease, self.inode.version
        since_s = lease.since_s if lease is not None else NEVER_S
        is_leased = self.kernel_since_s is not None and self.kernel_since_s >= since_s
        self.inode.version = version
        if is_leased or (version is not None and version == old):
            return True
        self.kernel_since_s = trio.current_time()
        return False

    def ended_if_unused(self) -> None:
        """Let everything go if nobody has the file open and nothing is kept of it."""
        if self.opens or self.idle is not None or (self.lease is not None and self.lease.coming):
            return
        self.pages.drop()
        self.ground.files.discard(self)
        if self.inode.file is self:
            self.inode.file = None
        if self.lease is not None:
            lease, self.lease = self.lease, None
            self.ground.leases.forget(lease)

    def name(self) -> str:
        """Where the file is, for people; of one that was deleted, where it was."""
        try:
            wire = self.ground.inodes.path(self.inode)
        except OSError:
            wire = self.opens[0].handle.path if self.opens else "a deleted file"
        return "/".join(wire.split("\\"))

    def unsent(self, error: Exception) -> None:
        """Write down what is not sent, for it never will be."""
        for piece in self.dirty.pieces:
            self._never_sent(piece, error)

    def _never_sent(self, piece: DirtyPiece[Open], error: Exception) -> None:
        name, ground = self.name(), self.ground
        ground.on_lost(name, piece.offset, piece.size, error)
        if ground.on_unsent is not None:
            ground.on_unsent(name, piece.offset, piece.parts, error)

    # Errors

    def tell(self) -> None:
        """Raise the first lost write, as OSError."""
        if self.dirty.error is None:
            return
        self.is_error_told = True
        number = getattr(self.dirty.error, "errno", None) or errno.EIO
        raise OSError(number, f"an earlier write was lost: {self.dirty.error}")

    def lost(self, error: Exception, what: str) -> None:
        """Keep an error until everybody has closed the file, and tell the log of the first."""
        if self.dirty.error is None:
            log.warning("node %d: %s could not be written: %s", self.inode.node, what, error)
        self.dirty.lost(error)

    # Writing

    @property
    def is_entered(self) -> bool:
        """Whether somebody is about to change the file."""
        return not self._door.value

    async def enter(self) -> None:
        """Wait until nobody else is about to change the file; `leave` must follow."""
        try:
            self._door.acquire_nowait()
        except trio.WouldBlock:
            await self._door.acquire()

    def leave(self) -> None:
        """Let the next one in."""
        self._door.release()

    async def alone(
        self, work: Callable[[], Awaitable[T]], undo: Callable[[T], None] | None = None
    ) -> T:
        """Do something after all earlier changes of the file and before all later ones.

        It goes on if the caller is cancelled; its result is then given to ``undo``.
        """
        await self.enter()
        try:
            await self.sent()
        except BaseException:
            self.leave()
            raise
        errand: Errand[T] = Errand()
        self.ground.nursery.start_soon(self._run, errand, work, undo)
        return await errand.outcome()

    async def _run(
        self, errand: Errand[T], work: Callable[[], Awaitable[T]], undo: Callable[[T], None] | None
    ) -> None:
        try:
            await errand.carry(work, undo)
            if isinstance(errand.error, ServerSilent):
                self.lost(errand.error, "what was to be changed")  # see `_failed`
        finally:
            self.leave()
            errand.done.set()

    def through(self, opened: Open, offset: int, data: bytes | memoryview) -> DirtyPiece[Open]:
        """Send bytes at once; the caller is in the door, and nothing unconfirmed overlaps them."""
        piece = self.dirty.through(opened, offset, data)
        piece.done = trio.Event()
        self._begin(piece)
        return piece

    def pump(self, *, at_once: bool = False) -> None:
        """Send what may be sent; a few bytes are held back for a moment, unless ``at_once``."""
        dirty, linger = self.dirty, self.ground.linger
        few = 0 if at_once or self._settling else linger.few
        while len(dirty.under_way) < WRITES_UNDER_WAY:
            least = dirty.piece_bytes if dirty.under_way and not self._settling else few
            if (piece := dirty.next_piece(least)) is None:
                if few and dirty and not dirty.under_way:
                    linger.keep(self)
                return
            self._begin(piece)

    def _begin(self, piece: DirtyPiece[Open]) -> None:
        self.ground.nursery.start_soon(self._send, piece)

    async def _send(self, piece: DirtyPiece[Open]) -> None:
        error: Exception | None = OSError(errno.EIO, "it was given up: the mount is ending")
        writer = piece.writer
        try:
            await past_locks(
                writer,
                piece.offset,
                piece.size,
                lambda handle: written(handle, piece),
                writes=True,
                patience=lambda: self._patience_s(piece),
            )
            error = None
        except KNOWN as failure:
            error = failure
        except Exception as bug:
            log.exception("bug: a write ended with %r", bug)
            error = bug
        finally:
            # Even what failed may have been written in part, and what was fetched meanwhile may
            # be older than it.
            self.pages.drop(piece.offset, piece.size)
            if error is None:
                self.dirty.done(piece)
                self.confirmed(piece.end, writer.handle)
            else:
                self._failed(piece, error)
            if isinstance(piece.done, trio.Event):
                piece.done.set()
            self._moved.unpark_all()
            self.pump(at_once=True)

    def _patience_s(self, piece: DirtyPiece[Open]) -> float:
        """How long a piece waits for a server that is away: who waits for it himself hears of that.

        One wait is enough for all of a file.
        """
        is_vain = piece.is_through or self.dirty.error is not None
        return 0.0 if is_vain else self.ground.patience_s

    def _failed(self, piece: DirtyPiece[Open], error: Exception) -> None:
        # A write nobody answered may still land, after one that the caller makes up for it: that
        # one is refused until the handle was closed.
        if not piece.is_through or isinstance(error, ServerSilent):
            self.lost(error, f"{piece.size} bytes at {piece.offset}")
            self._never_sent(piece, error)
        self.dirty.failed(piece, error)
        self.ground.inodes.changed(self.inode)

    def confirmed(self, end: int, handle: Handle) -> None:
        """Note that the server has what we wrote up to a place."""
        information = self.inode.information
        information.end_of_file = max(information.end_of_file, end)
        self._confirmed_end = information.end_of_file
        self._confirmed_at_s = trio.current_time()
        self.unflushed.add(handle.generation)
        # A stat asked before now may know too little, and so may one that was believed already.
        self.ground.inodes.changed(self.inode)

    # Waiting

    async def sent(self, serial: int | None = None) -> None:
        """Wait until every write made so far, or up to a number, was confirmed or has failed."""
        # Not for what is written meanwhile, or this might never end.
        latest = self.dirty.serial if serial is None else serial
        await self.until(lambda: self.dirty.is_confirmed(latest))

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing that anybody began changes the file any more."""
        return not self.dirty and not self.is_entered

    async def rest(self) -> None:
        """Wait until all that was begun so far has come to its end: changes, then writes."""
        if self.is_entered:
            await self.enter()
            self.leave()
        await self.sent()

    async def clear(self, offset: int, size: int) -> None:
        """Wait until every write made so far to a range was confirmed or has failed."""
        serial, end = self.dirty.serial, offset + size
        await self.until(lambda: self.dirty.is_clear(offset, end, serial))

    async def moved(self) -> None:
        """Wait until a write was confirmed or has failed; some must be unconfirmed."""
        await self._moved.park()

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
