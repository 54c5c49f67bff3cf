"""Byte-range locks of an open file: fcntl's, OFD's and flock's, true for other machines as well.

Coherence is NFS's: what a lock was held over is sent before it is let go, and who gets one sees
what the server has now.  On this machine locks are advisory, as everywhere on Linux; the server
enforces them against others, and refuses writes to what is locked shared, even our own.

While the lease says that nobody else has the file open, the server is not asked at all: what is
locked stays here, and is locked there before the end of that is acknowledged (`push`).

Easily broken: table and server change together, by an errand that ends whatever becomes of the
caller, one at a time behind the door; and who was cancelled meanwhile has got no lock.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import trio

from smbfs.engine.handle import Handle
from smbfs.errors import ConnectionLost, SmbError
from smbfs.fuse.server import LOCK_END, Lock, LockType
from smbfs.vfs.descriptor import Open
from smbfs.vfs.errand import Errand
from smbfs.vfs.lockhandle import LockHandle
from smbfs.vfs.lockplan import Action, Segment, Take, plan
from smbfs.vfs.locktable import FLOCK_BYTE, Held, LockTable, Pending, is_same_owner, segment_of
from smbfs.vfs.lockwait import Obstacle, wait_for_owners, watched
from smbfs.vfs.openfile import KNOWN, File
from smbfs.vfs.volume import Volume

log = logging.getLogger(__name__)
T = TypeVar("T")

IDLE_S = 2.0  # how long the handle is kept that has no lock: programs lock again and again
SHORTEST_S, LONGEST_S = 0.02, 0.5  # between two tries where no request can wait for us


class Locks:
    """The locks of one open file."""

    def __init__(self, volume: Volume, file: File) -> None:
        self.table = LockTable()
        self._volume = volume
        self._file = file
        self._server = LockHandle(volume, file)
        self._door = trio.Lock()
        self._changed = trio.lowlevel.ParkingLot()
        self._serial = 0
        self._used_at_s = 0.0
        self._is_tidying = self._is_retaking = False
        self._closed = trio.Event()
        self._generation = 0  # of the connection under whose lease locks are kept here

    # What the open file asks

    def way(self, opened: Open, offset: int, size: int, *, writes: bool) -> Handle:
        """Name the handle that the server lets at a range."""
        return self._server.way(opened, writes=writes, within=(offset, offset + size))

    def other_way(self, opened: Open, *, writes: bool) -> Handle:
        """Name the handle to try when a range turns out to be locked, maybe by us just now."""
        return self._server.way(opened, writes=writes)

    def keeps(self, handle: Handle) -> bool:
        """Whether a descriptor's handle must outlive it, for it has the locks."""
        return handle is self._server.handle

    def close(self) -> None:
        """Let go of everything: nobody has the file open any more."""
        self._server.close()
        self._closed.set()

    # The operations

    async def get(self, opened: Open, lock: Lock) -> Lock | None:
        """Tell what is in the way of a lock; None for nothing."""
        return await self._alone(partial(self._tested, opened, lock))

    async def set(self, opened: Open, lock: Lock, *, wait: bool) -> None:
        """Lock or unlock a range.

        Raises OSError: EAGAIN if something is in the way, EDEADLK if waiting would never end,
        ENOLCK if its owner's lock was lost over it, or if there are too many.
        """
        if lock.type is LockType.UNLOCK:
            self._must_fit(lock, opened)
            await self._let_go(
                lambda: self.table.of(lock), partial(self.table.set, lock, opened.fh)
            )
            return
        is_shared = any(one.lock.type is LockType.READ for one in self.table.of(lock))
        if lock.is_flock and lock.type is LockType.WRITE and is_shared:
            # As on any Linux filesystem, or two that share it would wait for each other for ever.
            await self.set(opened, replace(lock, type=LockType.UNLOCK), wait=False)
        own: Pending | None = None
        delay_s = SHORTEST_S
        try:
            while obstacle := await self._alone(partial(self._try, opened, lock, own, wait)):
                self._withdraw(own)
                own = obstacle.pending
                if not wait:
                    raise OSError(errno.EAGAIN, "somebody else has locked it")
                wait_on = partial(self._wait, lock, obstacle, delay_s)
                await watched(lambda: self._server.handle, wait_on)
                delay_s = min(2 * delay_s, LONGEST_S)
        finally:
            self._withdraw(own)

    async def drop(self, which: Callable[[], list[Held]]) -> None:
        """Let go what is named, when it comes to it."""
        await self._let_go(which, lambda: self.table.drop(which()))

    async def _let_go(self, which: Callable[[], list[Held]], change: Callable[[], None]) -> None:
        if which():
            await self._alone(partial(self._release, change))

    # Errands: what table and server do together

    async def _alone(self, work: Callable[[Errand[T]], Awaitable[T]]) -> T:
        """Do something behind the door; it comes to its end if the caller is cancelled."""
        errand: Errand[T] = Errand()
        self._file.ground.nursery.start_soon(self._run, errand, work)
        return await errand.outcome()

    async def _run(self, errand: Errand[T], work: Callable[[Errand[T]], Awaitable[T]]) -> None:
        error: Exception | None = OSError(errno.EIO, "it was given up: the mount is ending")
        try:
            async with self._door:
                errand.results.append(await work(errand))
            error = None
        except KNOWN as failure:
            error = failure
        except Exception as bug:
            log.exception("bug: locking ended with %r", bug)
            error = bug
        finally:
            errand.error = error
            errand.done.set()
            self._used_at_s = trio.current_time()
            if self.is_idle and not self._is_tidying and not self._closed.is_set():
                self._is_tidying = True
                self._file.ground.nursery.start_soon(self._tidy)

    async def _try(
        self,
        opened: Open,
        lock: Lock,
        own: Pending | None,
        wait: bool,
        errand: Errand[Obstacle | None],
    ) -> Obstacle | None:
        """Lock a range if nothing is in the way; else tell what is.

        ``own`` is the request that the server has granted meanwhile.
        """
        self._must_fit(lock, opened)
        self._must_be_whole(opened, own)
        if found := self.table.conflicts(lock, own):
            return Obstacle(self._serial, True, frozenset(one.owner for one in found))
        if self._stays:
            self._keep(lock, opened, is_wanted=errand.is_awaited)
            return None
        await self._server.be_open(opened)
        if lock.type is LockType.READ and self.table.of(lock):
            await self._file.sent()  # others may read it now, as after an unlock
        is_known = own is None and self._server.has_exclusive(segment_of(lock))
        if not await self._attempt(self._server.attempt(lambda: self.table.need(lock))):
            await self._settle(lock)
            is_wanted = wait and errand.is_awaited and self._server.may_wait
            if is_wanted and self._plan(lock) == [Take(segment_of(lock))]:
                return Obstacle(self._serial, pending=self._register(Pending(lock, opened.fh)))
            return Obstacle(self._serial)
        if not is_known:
            await self._refresh()
        if not errand.is_awaited:
            self.table.weaken(lock)  # what was exclusive may be shared with others by now
            await self._settle()
            self._note_change()
            return None
        # No await from here on: who is cancelled from now on was told that it is his.
        self.table.set(lock, opened.fh)
        if own is not None:
            self._unregister(own)
        self._note_change()
        return None

    async def _tested(self, opened: Open, lock: Lock, errand: Errand[Lock | None]) -> Lock | None:
        """Find what is in the way by trying, which others may notice; never lose a lock over it."""
        if conflicts := self.table.conflicts(lock):
            return min(conflicts, key=lambda one: one.start)
        self._must_be_whole(opened)
        if self._stays:
            return None
        await self._server.be_open(opened)
        takes = [one.segment for one in self._plan(lock) if isinstance(one, Take)]
        found: Lock | None = None
        for segment in takes:
            if not await self._attempt(self._server.test(segment)):
                found = await self._described(segment, lock)
                break
        await self._settle()
        return found

    async def _described(self, segment: Segment, lock: Lock) -> Lock:
        """Tell of a lock of another machine what can be found out: nobody says whose it is."""
        (start, end), is_shared = segment.span, False
        if segment.is_exclusive:
            is_shared = await self._attempt(self._server.test(replace(segment, is_exclusive=False)))
        kind = LockType.READ if is_shared else LockType.WRITE
        if lock.is_flock:
            start = 0
        return Lock(kind, start, LOCK_END if end >= FLOCK_BYTE else end, 0, 0, lock.is_flock)

    async def _release(self, change: Callable[[], None], errand: Errand[None]) -> None:
        """Let go of locks when everything that was written under them is on the server."""
        if not self._stays:
            await self._file.sent()  # what could not be written stays with the file, as its error
        change()
        await self._settle()
        self._note_change()

    def _plan(self, lock: Lock) -> list[Action]:
        return plan(self._server.held, self.table.need(lock))

    async def _attempt(self, attempt: Awaitable[bool]) -> bool:
        """Ask the server for locks; an error leaves nothing behind."""
        try:
            return await attempt
        except SmbError:
            await self._settle()
            raise

    async def _settle(self, lock: Lock | None = None) -> None:
        """Let the server hold what the table says; raises ENOLCK if ``lock``'s owner lost one."""
        if self._server.handle is None:
            return  # it was asked for none
        lost = self.table.lose(await self._server.settle(self.table.need))
        if lost:
            self._note_change()
        for one in lost:
            kind = "flock" if one.is_flock else f"a lock on {one.start} to {one.end}"
            log.warning("node %d: %s was lost to another client", self._file.inode.node, kind)
        if lock is not None and any(is_same_owner(one, lock) for one in lost):
            raise OSError(errno.ENOLCK, "the lock was lost to another client")
        if self.is_idle and self._server.is_unsure:
            self._server.rest()  # what may be left there goes with the handle

    def _must_fit(self, lock: Lock, opened: Open) -> None:
        """Raise ENOLCK if there would be too many locks: each costs time at every other."""
        if self.table.is_full(lock, opened.fh):
            raise OSError(errno.ENOLCK, f"there are {len(self.table.held)} locks on the file")

    def _must_be_whole(self, opened: Open, own: Pending | None = None) -> None:
        """Raise ConnectionLost if locks were lost with the connection and not let go yet."""
        others = [one for one in self.table.pending if one is not own]
        is_lost = self._server.is_lost
        if self._server.handle is None:
            is_lost = self._generation != opened.handle.generation
        if is_lost and (self.table.held or others or own):
            raise ConnectionLost("the connection was lost while the file was locked")

    async def _refresh(self) -> None:
        """Forget what others may have changed before we got the lock, and have the kernel do so."""
        inode = self._file.inode
        self._file.pages.drop()
        self._volume.inodes.changed(inode)
        await self._volume.dropped(inode)

    # What stays here

    @property
    def _stays(self) -> bool:
        """Whether nobody else has the file open, and none of its locks is on the server."""
        lease = self._file.lease
        is_ours = lease is not None and lease.may_write and not lease.is_oplock
        return is_ours and self._server.handle is None and self._volume.policy.locks_stay

    def go_on(self, generation: int) -> bool:
        """Take that the lease is held on another connection; whether no lock was lost meanwhile."""
        if not self.is_idle and not self._stays:
            return False
        self._generation = generation
        return True

    async def retake(self, opened: Open) -> bool:
        """Lock again what was locked on a connection that is lost; whether all of it is held.

        Not if somebody is about to lock or unlock: he may wait for the very file.
        """
        if self.table.pending or (self._door.locked() and not self._is_retaking):
            return False
        self._is_retaking = True
        try:
            return await self._alone(partial(self._retaken, opened))
        except KNOWN as error:
            log.debug("node %d: locks are lost: %s", self._file.inode.node, error)
            return False
        finally:
            self._is_retaking = False

    async def _retaken(self, opened: Open, errand: Errand[bool]) -> bool:
        return await self._server.retake(opened, self.table.need)

    def _keep(self, lock: Lock, opened: Open, *, is_wanted: bool) -> None:
        """Lock a range here alone, unless who asked has gone away."""
        if is_wanted:
            self._generation = opened.handle.generation
            self.table.set(lock, opened.fh)
            self._note_change()

    async def push(self) -> None:
        """Lock on the server what was locked only here, before others may have the file open.

        Never raises; who locks next finds out what was lost.
        """
        if not self.table.held or self._server.handle is not None:
            return
        try:
            await self._alone(self._pushed)
        except KNOWN as error:
            log.warning("node %d: locks are not known to others: %s", self._file.inode.node, error)

    async def _pushed(self, errand: Errand[None]) -> None:
        opened = next((one for one in self._file.opens if one.is_alive), None)
        if opened is None or not self.table.held:
            return
        await self._server.be_open(opened)
        await self._attempt(self._server.attempt(self.table.need))
        await self._settle()

    # When nothing is locked

    @property
    def is_idle(self) -> bool:
        """Whether nothing is locked, and nothing is asked for."""
        return not self.table.held and not self.table.pending

    async def _tidy(self) -> None:
        """Give up the handle when it was not used for a while; ends with the file.

        As long as it is open, others cannot open the file and forbid what it may do.
        """
        try:
            while self.is_idle and self._server.handle is not None:
                with trio.move_on_at(self._used_at_s + IDLE_S):
                    await self._closed.wait()
                    return
                await self._run(Errand(), self._rest)
        finally:
            self._is_tidying = False

    async def _rest(self, errand: Errand[None]) -> None:
        """Give up the handle if nobody used it while we waited at the door."""
        if self.is_idle and trio.current_time() >= self._used_at_s + IDLE_S:
            await self._settle()
            self._server.rest()

    # Waiting

    async def _wait(self, lock: Lock, obstacle: Obstacle, delay_s: float) -> None:
        """Wait until it makes sense to try again."""
        if obstacle.is_ours:
            if self._serial == obstacle.serial:
                await wait_for_owners(self._volume.waits, lock, obstacle, self._changed.park)
            return
        if (asked := obstacle.pending) is not None:
            await self._server.wait(segment_of(lock), asked.grant)
            if asked.is_granted:
                return
        with trio.move_on_after(delay_s):
            await self._changed.park()

    def _note_change(self) -> None:
        """Wake who waits.  Not after a try that failed: two that try would wake each other."""
        self._serial += 1
        self._changed.unpark_all()

    def _withdraw(self, asked: Pending | None) -> None:
        """Give up a request, and a lock that it brought and nobody has."""
        if asked not in self.table.pending:
            return
        self._unregister(asked)
        self._note_change()
        if asked.is_granted:
            self._file.ground.nursery.start_soon(self._run, Errand(), lambda _: self._settle())

    def _register(self, asked: Pending) -> Pending:
        self.table.pending.append(asked)
        self._volume.patient += 1
        return asked

    def _unregister(self, asked: Pending) -> None:
        self.table.pending.remove(asked)
        self._volume.patient -= 1
