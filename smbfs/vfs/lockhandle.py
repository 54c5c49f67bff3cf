"""The one handle on which a file's locks are taken on the server, and what it holds there.

One handle for all of them: SMB's locks exclude each other by handle, it must outlive the descriptor
that locked first, and Samba (4.17) confuses shared locks that two handles of one client have.
Knows no owners: it is told what is needed.  Every method that asks the server runs alone, behind
the door of `smbfs.vfs.locks`, but for `wait`.

Easily broken: a lock is on the list from the answer on, and off it from the unlock on, with no
``await`` in between, so that nobody plans with what is not true; and a handle that is lost has
lost its locks with it.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable

from smbfs.engine import steps
from smbfs.engine.handle import USABLE, Handle, Posted
from smbfs.engine.locking import lock, unlock
from smbfs.engine.share import How
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.vfs.lockplan import Action, Drop, Segment, Span, Swap, Take, common, minus, plan, union
from smbfs.vfs.openfile import File, Open, must_live
from smbfs.vfs.volume import Volume

log = logging.getLogger(__name__)

TRIES = 2  # to come to what is needed: a server that stacks no locks needs the second


class LockHandle:
    """The handle of one open file's locks, opened with the first."""

    def __init__(self, volume: Volume, file: File) -> None:
        self.handle: Handle | None = None
        self.held: list[Segment] = []
        self._volume = volume
        self._file = file
        self._may_read = self._may_write = False
        self._is_closed = False

    @property
    def is_lost(self) -> bool:
        """Whether it was opened, and the server does not know it any more."""
        return self.handle is not None and self.handle.state not in USABLE

    # Opening and closing

    async def be_open(self, opened: Open) -> None:
        """Open it if it is not: anew, for reading and writing, or else borrow a descriptor's."""
        must_live(opened)
        if self.handle is not None and not self.is_lost:
            return
        self.held.clear()
        self.handle, self._may_read, self._may_write = await self._own(), True, True
        if self.handle is None:
            self.handle = opened.handle
            self._may_read = opened.flags & os.O_ACCMODE != os.O_WRONLY
            self._may_write = opened.may_write
        if self._is_closed:
            self.handle.close_soon()
            raise ConnectionLost("the file was closed while it was being locked")

    async def _own(self) -> Handle | None:
        """Open the file once more; None if it has no name any more or does not let us."""
        volume, inode = self._volume, self._file.inode
        try:
            handle, results = await volume.steady.at(
                lambda: volume.inodes.path(inode),
                lambda path: volume.share.open(path, How.opening(os.O_RDWR), steps.query_all()),
            )
        except (OSError, StatusError) as error:
            log.debug("node %d: locks go by a descriptor's handle: %s", inode.node, error)
            return None
        known, found = inode.information.file_id, results[-1].file_id
        if known and found and known != found:
            handle.close_soon()
            return None
        return handle

    def close(self) -> None:
        """Close it, and with it every lock."""
        self._is_closed = True
        self.held.clear()
        if self.handle is not None:
            self.handle.close_soon()

    # Data

    def way(self, opened: Open, *, writes: bool, within: Span | None = None) -> Handle:
        """Name the handle to read or write by: ours if it may, and alone is let at the range."""
        may = self._may_write if writes else self._may_read
        if self.handle is None or not may or self.is_lost or not opened.is_alive:
            return opened.handle
        exclusive = [one.span for one in self.held if one.is_exclusive]
        is_locked = within is None or bool(common([within], exclusive))
        return self.handle if is_locked else opened.handle

    # Locks

    def has_exclusive(self, segment: Segment) -> bool:
        """Whether nobody else can have written to a range for as long as we hold it."""
        return not minus([segment.span], union(one.span for one in self.held if one.is_exclusive))

    async def attempt(self, need: Callable[[], list[Segment]]) -> bool:
        """Come to hold what is needed; whether nobody was in the way, else it may be half done."""
        for _ in range(TRIES):
            for action in plan(self.held, need()):
                if not await self._does(action) and not self._has(action):
                    return False
        return not plan(self.held, need())

    def _has(self, action: Action) -> bool:
        """Whether only a lock of our own can have been in the way: the server stacks none."""
        spans = union(one.span for one in self.held)
        return isinstance(action, Take) and not minus([action.segment.span], spans)

    async def test(self, segment: Segment) -> bool:
        """Lock a range if nothing is in the way; whoever asks settles afterwards."""
        return await self._does(Take(segment))

    async def settle(self, need: Callable[[], list[Segment]]) -> list[Span]:
        """Come to hold what is needed and no more; answers what could not be kept."""
        try:
            for _ in range(TRIES):
                done = [await self._does(action) for action in plan(self.held, need())]
                if all(done):
                    return []
        except SmbError as error:
            log.debug("node %d: letting go of locks: %s", self._file.inode.node, error)
        if self.is_lost or self._is_closed:
            self.held.clear()
            return []
        wanted = need()
        exclusive = [one.span for one in self.held if one.is_exclusive]
        missing = minus([one.span for one in wanted if one.is_exclusive], exclusive)
        return missing + minus([one.span for one in wanted], [one.span for one in self.held])

    async def wait(self, segment: Segment, granted: Callable[[], None]) -> None:
        """Have the server grant a lock as soon as it can; ``granted`` is called in that moment."""
        assert self.handle is not None
        start, end = segment.span
        step = lock(start, end - start, exclusive=segment.is_exclusive, wait=True)
        posted = await self.handle.post(step)
        if await self.handle.take(posted):
            self.held.append(segment)
            granted()

    async def _does(self, action: Action) -> bool:
        match action:
            case Take(segment):
                return await self._taken(segment, await self._take(segment))
            case Drop(segment):
                await self._dropped(segment, await self._drop(segment))
                return True
            case Swap(drops, takes):
                return await self._swap(drops, takes)

    async def _swap(self, drops: Iterable[Segment], takes: Iterable[Segment]) -> bool:
        """Post all of it back to back: the server does one after the other, with hardly a gap."""
        dropped = [(one, await self._drop(one)) for one in drops]
        asked = deque([(one, await self._take(one)) for one in takes])
        is_granted = True
        try:
            for one, slot in dropped:
                await self._dropped(one, slot)
            while asked:
                is_granted &= await self._taken(*asked[0])
                asked.popleft()
        finally:
            for _, left in asked:
                self._post_to().abandon(left)
        return is_granted

    async def _take(self, segment: Segment) -> Posted[bool]:
        start, end = segment.span
        return await self._post_to().post(lock(start, end - start, exclusive=segment.is_exclusive))

    async def _taken(self, segment: Segment, posted: Posted[bool]) -> bool:
        is_granted = await self._post_to().take(posted)
        if is_granted:
            self.held.append(segment)
        return is_granted

    async def _drop(self, segment: Segment) -> Posted[None]:
        start, end = segment.span
        handle = self._post_to()
        self.held.remove(segment)
        return await handle.post(unlock(start, end - start))

    async def _dropped(self, segment: Segment, posted: Posted[None]) -> None:
        try:
            await self._post_to().take(posted)
        except StatusError as error:
            log.debug("unlock of %d to %d: %s", segment.start, segment.end, error)

    def _post_to(self) -> Handle:
        assert self.handle is not None
        return self.handle
