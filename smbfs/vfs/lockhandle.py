"""The one handle on which a file's locks are taken on the server, and what it holds there.

One handle for all of them: SMB's locks exclude each other by handle, it must outlive the descriptor
that locked first, and Samba (4.17) confuses shared locks that two handles of one client have.
Knows no owners: it is told what is needed.  Every method that asks the server runs alone, behind
the door of `smbfs.vfs.locks`, but for `wait`.

Easily broken: a lock is on the list from the answer on, and off it from the unlock on, with no
``await`` in between, so that nobody plans with what is not true; an unlock that was refused has
not happened, and one without an answer is in doubt until the handle is closed or an answer comes.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from smbfs.engine.handle import USABLE, Handle, Posted
from smbfs.engine.locking import lock, unlock
from smbfs.engine.share import How
from smbfs.errors import ConnectionLost, SmbError, StatusError
from smbfs.vfs.descriptor import Open, must_live
from smbfs.vfs.lockplan import Action, Drop, Segment, Swap, Take, plan
from smbfs.vfs.openfile import File
from smbfs.vfs.spans import Span, meeting, minus, union
from smbfs.vfs.volume import Volume
from smbfs.vfs.ways import open_again
from smbfs.wire.status import Status

log = logging.getLogger(__name__)

MOST_PATIENT = 64  # requests of a mount that wait on the server until they are granted
TRIES = 2  # to come to what is needed: a server that stacks no locks needs the second


class LockHandle:
    """The handle of one open file's locks, opened with the first."""

    def __init__(self, volume: Volume, file: File) -> None:
        self.handle: Handle | None = None
        self.held: list[Segment] = []
        self._doubtful: list[Segment] = []  # from an unlock until its answer, which may not come
        self._exclusive: list[Span] | None = None  # of what is held, once somebody asked
        self._volume = volume
        self._file = file
        self._may_read = self._may_write = False
        self._lets_wait = True
        self._is_closed = False

    @property
    def is_lost(self) -> bool:
        """Whether it was opened, and the server does not know it any more."""
        return self.handle is not None and self.handle.state not in USABLE

    @property
    def may_wait(self) -> bool:
        """Whether the server may be asked for what it cannot grant now, by one more.

        What waits there may keep its credits for as long as it waits.
        """
        if self.handle is None or not self._lets_wait:
            return False
        return self._volume.patient < min(MOST_PATIENT, self.handle.window // 4)

    # Opening and closing

    async def be_open(self, opened: Open) -> None:
        """Open it if it is not, anew or else by borrowing a descriptor's; or for more rights."""
        must_live(opened)
        if self.is_lost:
            self._forget()
        if self.handle is None:
            if (handle := await self._own(opened)) is not None:
                self._have(handle, may_read=True, may_write=self._is_written)
            else:
                may_read, may_write = opened.may_read, opened.may_write
                self._have(opened.handle, may_read=may_read, may_write=may_write)
        elif self._is_ours and self._is_written and not self._may_write:
            await self._widen(self.handle, opened)
        if self._is_closed:
            self.close()
            raise ConnectionLost("the file was closed while it was being locked")

    async def retake(self, opened: Open, need: Callable[[], list[Segment]]) -> bool:
        """Hold what is needed by a handle of its own, if it is lost; whether all of it is held."""
        if self.handle is not None and not self.is_lost:
            return True
        self._forget()
        if (handle := await self._own(opened)) is None:
            return False
        self._have(handle, may_read=True, may_write=self._is_written)
        if not self._is_closed and await self.attempt(need):
            return True
        self.rest()
        return False

    @property
    def _is_ours(self) -> bool:
        """Whether no descriptor has it any more, or ever had."""
        return all(one.handle is not self.handle for one in self._file.opens)

    @property
    def _is_written(self) -> bool:
        """Whether some descriptor may write: without one, others may go on to forbid writing."""
        return any(one.may_write for one in self._file.opens)

    def _have(self, handle: Handle, *, may_read: bool, may_write: bool) -> None:
        self.handle, self._may_read, self._may_write = handle, may_read, may_write
        self._lets_wait = True
        self._doubtful.clear()

    def _forget(self) -> None:
        """Have none any more, and with it no lock."""
        self.handle = None
        self._change(self.held.clear)
        self._doubtful.clear()

    async def _own(self, opened: Open) -> Handle | None:
        """Open the file once more; None if it has no name any more, or another file has it.

        Who writes gets it for reading too: what it has locked, all descriptors here read by it.
        """
        how = How.opening(os.O_RDWR if self._is_written else os.O_RDONLY)
        try:
            return await open_again(self._volume, opened, how)
        except (OSError, StatusError) as error:
            node = self._file.inode.node
            log.debug("node %d: locks go by a descriptor's handle: %s", node, error)
            return None

    async def _widen(self, old: Handle, opened: Open) -> None:
        """Go over to a handle that may write, with all that is held; if that fails, stay.

        Shared locks may be had twice; an exclusive one, here flock's, would have to be let go.
        """
        if self.exclusive or (wider := await self._own(opened)) is None:
            return
        held = list(self.held)
        try:
            granted = [await wider.take(await _post(wider, one)) for one in held]
        except BaseException:
            wider.close_soon()
            raise
        if not all(granted) or held != self.held or self._is_closed:
            wider.close_soon()
            return
        old.close_soon()
        self._have(wider, may_read=True, may_write=True)

    def rest(self) -> bool:
        """Have no handle any more, as nothing is needed; whether that can be."""
        if self.handle is None:
            return True
        if self._is_ours:
            self.handle.close_soon()
        elif self.is_unsure and not self.is_lost:
            return False
        self._forget()
        return True

    @property
    def is_unsure(self) -> bool:
        """Whether the server may hold something, to be asked when nothing is needed."""
        return bool(self.held or self._doubtful)

    def close(self) -> None:
        """Close it, and with it every lock."""
        self._is_closed = True
        if self.handle is not None:
            self.handle.close_soon()
        self._change(self.held.clear)
        self._doubtful.clear()

    # Data

    def way(self, opened: Open, *, writes: bool, within: Span | None = None) -> Handle:
        """Name the handle to read or write by: ours if it may, and alone is let at the range."""
        may = self._may_write if writes else self._may_read
        if self.handle is None or not may or self.is_lost or not opened.is_alive:
            return opened.handle
        is_locked = within is None or bool(meeting(within, self.exclusive))
        return self.handle if is_locked else opened.handle

    # Locks

    def has_exclusive(self, segment: Segment) -> bool:
        """Whether nobody else can have written to a range for as long as we hold it."""
        return not minus([segment.span], self.exclusive)

    @property
    def exclusive(self) -> list[Span]:
        """The bytes that we have for us alone; asked with every read and write."""
        if self._exclusive is None:
            self._exclusive = union(one.span for one in self.held if one.is_exclusive)
        return self._exclusive

    async def attempt(self, need: Callable[[], list[Segment]]) -> bool:
        """Come to hold what is needed; whether nobody was in the way, else it may be half done."""
        await self._ask_again()
        for _ in range(TRIES):
            # What was refused, but for what only we can have been in the way of.
            left = False
            for action in plan(self.held, need()):
                if not await self._does(action):
                    if not self._is_ours_to_sort(action):
                        return False
                    left = True
            if not left:
                return True
        return all(isinstance(one, Drop) for one in plan(self.held, need()))

    def _is_ours_to_sort(self, action: Action) -> bool:
        """Whether nobody else was in the way: the server stacks none, or would not unlock now."""
        if isinstance(action, Take):
            return not minus([action.segment.span], [one.span for one in self.held])
        return isinstance(action, Drop)

    async def test(self, segment: Segment) -> bool:
        """Lock a range if nothing is in the way; whoever asks settles afterwards."""
        return await self._does(Take(segment))

    async def settle(self, need: Callable[[], list[Segment]]) -> list[Span]:
        """Come to hold what is needed and no more; answers what could not be kept."""
        try:
            await self._ask_again()
            for _ in range(TRIES):
                done = [await self._does(action) for action in plan(self.held, need())]
                if all(done):
                    return []
        except SmbError as error:
            log.debug("node %d: letting go of locks: %s", self._file.inode.node, error)
        if self.is_lost or self._is_closed:
            self._change(self.held.clear)
            return []
        wanted = need()
        missing = minus([one.span for one in wanted if one.is_exclusive], self.exclusive)
        return missing + minus([one.span for one in wanted], [one.span for one in self.held])

    async def wait(self, segment: Segment, granted: Callable[[], None]) -> None:
        """Have the server grant a lock as soon as it can; ``granted`` is called in that moment.

        Returns without it if the server cannot let us wait.
        """
        if (handle := self.handle) is None:
            return
        try:
            is_granted = await handle.take(await _post(handle, segment, wait=True))
        except StatusError as error:
            if handle is not self.handle:
                return  # it went, for one with more rights
            if error.status != Status.INSUFFICIENT_RESOURCES:
                raise
            self._lets_wait = False
            return
        if is_granted and handle is self.handle:
            self._hold(segment)
            granted()

    async def _does(self, action: Action) -> bool:
        match action:
            case Take(segment):
                return await self._taken(segment, await self._take(segment))
            case Drop(segment):
                return await self._dropped(segment, await self._drop(segment))
            case Swap(drops, takes):
                return await self._swap(drops, takes)

    async def _swap(self, drops: Iterable[Segment], takes: Iterable[Segment]) -> bool:
        """Post all of it back to back: the server does one after the other, with hardly a gap.

        If that comes to no end, what was asked is heard all the same, and noted.
        """
        handle, error, is_granted = self._post_to(), None, True
        dropped: deque[tuple[Segment, Posted[None]]] = deque()
        asked: deque[tuple[Segment, Posted[bool]]] = deque()
        try:
            try:
                for one in drops:
                    dropped.append((one, await self._drop(one)))
                for one in takes:
                    asked.append((one, await self._take(one)))
            except SmbError as failure:
                error = failure
            while dropped:
                await self._dropped(*dropped[0])
                dropped.popleft()
            while asked:
                is_granted &= await self._taken(*asked[0])
                asked.popleft()
        finally:
            for _, unlocking in dropped:
                handle.abandon(unlocking)
            for _, locking in asked:
                handle.abandon(locking)
        if error is not None:
            raise error
        return is_granted

    async def _take(self, segment: Segment) -> Posted[bool]:
        return await _post(self._post_to(), segment)

    async def _taken(self, segment: Segment, posted: Posted[bool]) -> bool:
        is_granted = await self._post_to().take(posted)
        if is_granted:
            self._hold(segment)
        return is_granted

    async def _drop(self, segment: Segment) -> Posted[None]:
        start, end = segment.span
        posted = await self._post_to().post(unlock(start, end - start))
        # What was not even sent is held.
        self._change(partial(self.held.remove, segment))
        self._doubtful.append(segment)
        return posted

    async def _dropped(self, segment: Segment, posted: Posted[None]) -> bool:
        """Hear of an unlock: whether the lock is gone; without an answer it stays in doubt."""
        is_gone = True
        try:
            await self._post_to().take(posted)
        except StatusError as error:
            log.debug("unlock of %d to %d: %s", segment.start, segment.end, error)
            is_gone = error.status == Status.RANGE_NOT_LOCKED
        except SmbError:
            if self.is_lost:
                raise
            return False
        if segment in self._doubtful:
            self._doubtful.remove(segment)
            if not is_gone:
                self._hold(segment)
        return is_gone

    async def _ask_again(self) -> None:
        """Let go once more what may be there still, unless another on that range went instead."""
        for segment in list(self._doubtful):
            if all(one.span != segment.span for one in self.held):
                start, end = segment.span
                posted = await self._post_to().post(unlock(start, end - start))
                await self._dropped(segment, posted)

    def _hold(self, segment: Segment) -> None:
        self._change(partial(self.held.append, segment))

    def _change(self, change: Callable[[], None]) -> None:
        """Change what is held."""
        change()
        self._exclusive = None

    def _post_to(self) -> Handle:
        assert self.handle is not None
        return self.handle


async def _post(handle: Handle, segment: Segment, *, wait: bool = False) -> Posted[bool]:
    """Ask a handle for a lock."""
    start, end = segment.span
    return await handle.post(lock(start, end - start, exclusive=segment.is_exclusive, wait=wait))
