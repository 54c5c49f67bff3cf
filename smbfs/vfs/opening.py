"""Opening a file on the server: with which rights, under which lease, and what comes along.

One turnaround brings the handle, what the file is, and all of a small one's bytes.  Every open of
a file that has a lease asks with its key; a server that does not like the key is asked without.

Easily broken: what lies at a path may be another file than the one that is open here; and a lease
that was asked for must hear what became of it, whatever happened.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import trio

from smbfs.cache.lease import Lease
from smbfs.engine import steps
from smbfs.engine.handle import Handle
from smbfs.engine.how import How
from smbfs.engine.information import Information
from smbfs.engine.leasing import Wish
from smbfs.engine.share import Share
from smbfs.errors import SmbError, StatusError
from smbfs.vfs.ground import Ground
from smbfs.vfs.inode import Inode, Moment
from smbfs.vfs.leases import wish_of
from smbfs.vfs.openfile import File
from smbfs.vfs.steady import Steadiness
from smbfs.wire.constants import Access, Attributes
from smbfs.wire.status import Status

SMALL = 64 * 1024  # a file of no more comes with its open: it costs one credit


@dataclass(slots=True)
class Found:
    """What an open brought."""

    handle: Handle
    information: Information
    lease: Lease | None = None  # that it was asked with
    data: memoryview | None = None  # all bytes of a small file
    is_kept: bool = False  # it was open all the time: nothing was asked

    def arrived(self) -> None:
        """Note that the handle is somebody's now, or closed: until then its lease must live."""
        if self.lease is not None and not self.is_kept:
            self.lease.arrived()


class Opening:
    """How files are opened on one mount."""

    def __init__(self, share: Share, ground: Ground, steady: Steadiness) -> None:
        self._share = share
        self._ground = ground
        self._inodes = ground.inodes
        self._steady = steady

    async def kept(self, inode: Inode, flags: int) -> Found | None:
        """A handle that is open already and that nobody uses."""
        file = inode.file if isinstance(inode.file, File) else None
        if file is None or file.idle is None:
            return None
        # A break that has reached us is heard before we go by the lease: the reader gets its turn.
        for _ in range(2):
            await trio.lowlevel.checkpoint()
        idle = self._ground.idle.take(file, flags)
        if idle is None:
            return None
        try:
            information = await self._confirmed(inode, idle.handle)
        except SmbError:
            idle.handle.close_soon()
            file.ended_if_unused()
            return None
        information = replace(information, file_id=idle.known_id)
        return Found(idle.handle, information, file.lease, is_kept=True)

    async def _confirmed(self, inode: Inode, handle: Handle) -> Information:
        """What a file is that is open under a lease, asked anew from time to time.

        The server tells of what its clients change, and not of what happens behind its back.
        """
        asked = self._inodes.moment(trio.current_time())
        if asked.at_s - inode.seen.at_s > self._ground.policy.close_s:
            [information] = await handle.do(steps.query_all())
            self._inodes.learn(inode, information, inode.special, asked)
        return inode.information

    async def at_inode(self, inode: Inode, flags: int) -> Found:
        """Open what lies at a file's path, which must be that file."""
        file = inode.file
        if not (flags & os.O_TRUNC and isinstance(file, File)):
            return await self._and_learn(inode, flags)
        # Or a write of another descriptor might pass it on its way, in either direction.
        work = partial(self._and_learn, inode, flags)
        return await file.alone(work, undo=lambda found: self.undone(found))

    def undone(self, found: Found) -> None:
        """Close what nobody is to use."""
        found.handle.close_soon()
        if found.lease is not None:
            found.arrived()
            self._ground.leases.given_up(found.lease)

    async def _and_learn(self, inode: Inode, flags: int) -> Found:
        how = How.opening(flags & ~(os.O_CREAT | os.O_EXCL), Attributes.NORMAL)
        asked = self._inodes.moment(trio.current_time())
        file = inode.file if isinstance(inode.file, File) else None
        is_small = not flags & os.O_TRUNC and 0 < inode.current().end_of_file <= SMALL
        found = await self._steady.at(
            lambda: self._inodes.path(inode),
            lambda path: self.at_path(path, how, flags, asked, file, is_small=is_small),
        )
        try:
            await _must_be_same(inode, found.information)
        except BaseException:
            self.undone(found)
            raise
        if flags & os.O_TRUNC and asked.tick >= inode.changed:
            if isinstance(inode.file, File):
                inode.file.resized(0)
            self._inodes.changed(inode)
            asked = self._inodes.moment(asked.at_s)
        if asked.tick < inode.changed:
            found.data = None  # it was written to meanwhile
        if found.information.file_id == inode.information.file_id:
            self._inodes.confirmed(inode, found.handle.path, asked)
        told_id = found.information.file_id  # to learn it may put in one that was known before
        self._inodes.learn(inode, found.information, inode.special, asked)
        found.information = replace(found.information, file_id=told_id)
        return found

    async def at_path(
        self,
        path: str,
        how: How,
        flags: int,
        asked: Moment,
        file: File | None = None,
        *,
        is_small: bool = False,
    ) -> Found:
        """Open a path as a file that is open already, or as one that is not."""
        lease = self._lease(file, flags)
        todo: list[steps.Step[Any]] = [steps.query_all()]
        if flags & os.O_TRUNC:
            # Not FILE_OVERWRITE: that would also reset attributes, EAs and streams.
            todo.insert(0, steps.set_end_of_file(0))
        reads = bool(how.access & Access.FILE_READ_DATA)
        if is_small and reads and not flags & os.O_DIRECT and self._ground.policy.believe_s > 0:
            todo.append(steps.try_read(0, SMALL))
        if how.access & Access.FILE_WRITE_DATA:
            # So that times and attributes can be set through the same handle.
            access = how.access | Access.FILE_WRITE_ATTRIBUTES
            # What is written must not be lost with the connection; what is deleted already goes.
            guid = b"" if how.access & Access.DELETE else os.urandom(16)
            how = replace(how, guid=guid)
            try:
                return await self._under(lease, path, replace(how, access=access), todo, asked)
            except StatusError as error:
                if error.status != Status.ACCESS_DENIED:
                    raise
            lease = self._lease(file, flags)
        return await self._under(lease, path, how, todo, asked)

    def _lease(self, file: File | None, flags: int) -> Lease | None:
        """The lease to ask for; who caches nothing asks for none unless others of us have it."""
        if flags & os.O_DIRECT and (file is None or file.lease is None):
            return None
        return self._ground.leases.wanted(file)

    async def _under(
        self,
        lease: Lease | None,
        path: str,
        how: How,
        todo: list[steps.Step[Any]],
        asked: Moment,
    ) -> Found:
        """Open a path under a lease, or without one."""
        leases = self._ground.leases
        if lease is None:
            return _found(*await self._share.open(path, how, *todo))
        lease.asking(asked.at_s)
        writes = bool(how.access & Access.FILE_WRITE_DATA)
        wish = wish_of(lease, writes)
        try:
            handle, results = await self._share.open(path, replace(how, lease=wish), *todo)
        except BaseException as error:
            lease.refused()
            leases.given_up(lease)
            if not isinstance(error, StatusError) or error.status != Status.INVALID_PARAMETER:
                raise
        else:
            leases.answered(lease, handle, writes)
            found = _found(handle, results)
            found.lease = lease
            if writes and lease.is_contended and self._ground.policy.is_strict:
                await self._alone(path, found, wish_of(lease, writes=False))
            return found
        # The key is bound to one name of the file ([MS-SMB2] 3.3.5.9.8): there is another one.
        return _found(*await self._share.open(path, how, *todo))

    async def _alone(self, path: str, found: Found, ours: Wish) -> None:
        """Have others close what they hold idly of a file that is about to be written.

        They would go by it, for the server tells them of a write without waiting for them.  It is
        asked with our own key, or the server would have us close what we hold as well.
        """
        try:
            await self._share.on(path, replace(How.touching(), lease=ours))
        except StatusError:
            return  # for we have it open ourselves; the others were asked first
        except BaseException:
            self.undone(found)
            raise


def _found(handle: Handle, results: list[Any]) -> Found:
    information = next(one for one in reversed(results) if isinstance(one, Information))
    data = results[-1]
    is_whole = isinstance(data, memoryview) and len(data) == information.end_of_file
    return Found(handle, information, data=data if is_whole else None)


async def _must_be_same(inode: Inode, information: Information) -> None:
    """Raise OSError(ESTALE) if another file lies at the path of one that is open.

    The kernel then looks the name up again, and opens what it leads to now.  Some servers give a
    file a new id all the time: there the id of the open file has changed as well.
    """
    known, found = inode.information.file_id, information.file_id
    if not isinstance(inode.file, File) or not known or not found or known == found:
        return
    handle = inode.file.lend()
    if handle is None:
        return  # nothing can be read or written through the old ones any more
    [now] = await handle.do(steps.query_all())
    if now.file_id == known:
        raise OSError(errno.ESTALE, "another file has this name now")
