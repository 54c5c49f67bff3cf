"""Open files that outlive their connection: claimed back from the server, or opened anew.

What the server kept for us (`smbfs.engine.durable`) is the same open file, and goes on as if
nothing had been.  What it did not keep is opened anew at its path: for a reader if the same file
lies there, for a writer only if it is as it was when it was last seen; else it is stale, and every
call with it says so.  After a loss all that is open is brought back at once, for a server keeps
nothing for long.

Easily broken: nobody's bytes may get into another file, so no id is no proof; a file whose locks
were lost is stale, or its program would write without them; and a descriptor may be closed while
its handle is on its way back.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from functools import partial

import trio

from smbfs.cache.lease import Lease
from smbfs.engine.connection import lost_again
from smbfs.engine.handle import Handle
from smbfs.engine.information import Information
from smbfs.engine.steps import query_all
from smbfs.errors import ConnectionLost, Refused, SmbError, Stale, StatusError, Tampered
from smbfs.vfs.content import Content
from smbfs.vfs.descriptor import Open
from smbfs.vfs.inode import Moment
from smbfs.vfs.leases import Leases, wish_of
from smbfs.vfs.openfile import KNOWN, File
from smbfs.vfs.volume import Volume
from smbfs.wire.status import Status

log = logging.getLogger(__name__)
_State = tuple[int, int, int, int]

AT_ONCE = 16  # files that are brought back at the same time
PAUSE_S = 0.5  # between two rounds while the server is away
NOT_NOW = frozenset(  # what a server says that has not come up yet
    {
        Status.FILE_NOT_AVAILABLE,
        Status.INSUFFICIENT_RESOURCES,
        Status.REQUEST_NOT_ACCEPTED,
        Status.RETRY,
    }
)


class Revival:
    """Who brings back what was open on one mount when the connection was lost."""

    def __init__(self, volume: Volume, content: Content) -> None:
        self._volume = volume
        self._all_open = content.all_open
        content.on_open = self.watch
        self._under_way: dict[Handle, _Return] = {}
        self._was: dict[Handle, _State] = {}  # what files were when their connection was lost
        self._is_rounding = False

    def watch(self, opened: Open) -> None:
        """Look after the handle of a descriptor from now on."""
        opened.handle.reviver = partial(self._back, opened)

    def lost(self) -> None:
        """Bring back everything, for the connection is lost; never waits."""
        # Not later: whoever asks by path meanwhile learns what others made of the file.
        for opened in self._all_open():
            self._was.setdefault(opened.handle, _state(opened.file.inode.information))
        if not self._is_rounding and self._all_open():
            self._is_rounding = True
            self._volume.nursery.start_soon(self._all_back)

    async def _all_back(self) -> None:
        limit = trio.CapacityLimiter(AT_ONCE)

        async def bring(opened: Open) -> None:
            async with limit:
                try:
                    await opened.handle.be_back()
                except SmbError as error:
                    log.debug("%r is not back: %s", opened.handle, error)

        try:
            while away := [one for one in self._all_open() if one.handle.may_come_back]:
                async with trio.open_nursery() as nursery:
                    for opened in away:
                        nursery.start_soon(bring, opened)
                await trio.sleep(PAUSE_S)
        finally:
            self._is_rounding = False
            self._was.clear()

    async def _back(self, opened: Open) -> None:
        """Bring one handle back, with whoever else wants it back.  Raises SmbError."""
        handle = opened.handle
        coming = self._under_way.get(handle)
        if coming is None:
            if not handle.reclaiming():
                return
            coming = self._under_way[handle] = _Return()
            self._volume.nursery.start_soon(self._run, opened, coming)
        await coming.done.wait()
        if coming.error is not None:
            raise lost_again(coming.error)

    async def _run(self, opened: Open, coming: _Return) -> None:
        handle = opened.handle
        coming.error = ConnectionLost("it was given up: the mount is ending")
        try:
            coming.error = await self._came(opened)
        finally:
            handle.not_yet()
            del self._under_way[handle]
            coming.done.set()

    async def _came(self, opened: Open) -> SmbError | None:
        """Bring one handle back: None, or why not, for now or for ever."""
        handle = opened.handle
        reason: Exception
        try:
            await self._bring(opened)
        except (ConnectionLost, Refused, Tampered) as error:
            return error
        except KNOWN as error:
            if isinstance(error, StatusError) and error.status in NOT_NOW:
                return ConnectionLost(str(error))
            reason = error
        except Exception as bug:
            log.exception("bug: a file could not be brought back: %r", bug)
            reason = bug
        else:
            return None
        handle.be_stale()
        log.warning(
            "%s was open when the connection was lost, and is not any more: %s", handle.path, reason
        )
        return Stale(f"{handle.path}: {reason}")

    async def _bring(self, opened: Open) -> None:
        if opened.handle.durable is None or not await self._claimed(opened):
            await self._opened_anew(opened)

    # What the server kept

    async def _claimed(self, opened: Open) -> bool:
        """Claim back what the server kept; False if it did not."""
        handle, file = opened.handle, opened.file
        grant, lease = handle.grant, self._lease(opened)
        if lease is None or grant is None or (not grant.is_oplock and lease.key != grant.key):
            return False
        asked = self._volume.moment()
        lease.asking(asked.at_s)
        try:
            fresh, information = await self._volume.share.reclaim(handle, self._path(opened))
        except BaseException as error:
            self._in_vain(file, lease)
            if isinstance(error, StatusError) and error.status not in NOT_NOW:
                log.debug("%s was not kept: %s", handle.path, error)
                return False
            raise
        file.ground.leases.answered(lease, fresh, opened.may_write)
        if opened.known_id not in (0, information.file_id):
            self._not_that(file, lease, fresh)
            return False
        is_same = lease.may_write or self._state_of(opened) == _state(information)
        if not await self._locked_again(opened, fresh, is_same):
            self._not_that(file, lease, fresh)
            raise Stale("its locks are lost")
        before = handle.generation
        if not self._goes_on(opened, fresh, lease, anew=False):
            return True
        # A server that still knows the open file has forgotten no byte of it either.
        if before in file.unflushed:
            file.unflushed.discard(before)
            file.unflushed.add(handle.generation)
        self._volume.inodes.learn(file.inode, information, file.inode.special, asked)
        return True

    # What it did not keep

    async def _opened_anew(self, opened: Open) -> None:
        """Open a file at its path again.  Raises Stale if it is not proven to be the same."""
        volume, file, handle = self._volume, opened.file, opened.handle
        if not file.inode.places:
            raise Stale("it had been deleted")
        lease = self._lease(opened)
        asked = volume.moment()
        fresh, information = await volume.steady.at(
            lambda: volume.inodes.path(file.inode), lambda path: self._open(opened, path, lease)
        )
        was = self._state_of(opened)
        reason = _other_file(opened, was, information)
        if not reason and not await self._locked_again(opened, None, was == _state(information)):
            reason = "its locks are lost"
        if reason:
            self._not_that(file, lease, fresh)
            raise Stale(reason)
        if self._goes_on(opened, fresh, lease, anew=True):
            log.info("%s was opened anew", handle.path)
            self._learn(file, information, asked)

    async def _open(
        self, opened: Open, path: str, lease: Lease | None
    ) -> tuple[Handle, Information]:
        how, file = opened.handle.how.again(), opened.file
        if lease is not None:
            lease.asking(trio.current_time())
            guid = os.urandom(16) if how.guid else b""
            wished = replace(how, guid=guid, lease=wish_of(lease, opened.may_write))
            try:
                fresh, [*_, information] = await self._volume.share.open(path, wished, query_all())
            except BaseException as error:
                self._in_vain(file, lease)
                if not isinstance(error, StatusError) or error.status != Status.INVALID_PARAMETER:
                    raise
                # The key is bound to another name of the file.
            else:
                file.ground.leases.answered(lease, fresh, opened.may_write)
                return fresh, information
        plain = replace(how, guid=b"", lease=None)
        fresh, [*_, information] = await self._volume.share.open(path, plain, query_all())
        return fresh, information

    def _learn(self, file: File, information: Information, asked: Moment) -> None:
        """Note what the file is; what the kernel has of it is as old as its last word of it."""
        volume, inode = self._volume, file.inode
        is_same = _state(inode.information) == _state(information)
        volume.inodes.learn(inode, information, inode.special, asked)
        if not is_same:
            # Not waited for: the kernel may wait for a read that waits for us.
            volume.kernel.attributes_changed(inode.node)
            volume.kernel.data_changed(inode.node)

    # What both need

    def _state_of(self, opened: Open) -> _State:
        """What a file was when its connection was lost."""
        return self._was.get(opened.handle) or _state(opened.file.inode.information)

    async def _locked_again(self, opened: Open, claimed: Handle | None, is_same: bool) -> bool:
        """Whether the locks of a file hold, as they did or taken again.

        ``is_same`` if nobody can have changed it while they did not.
        """
        locks = opened.file.locks
        if locks is None or locks.is_idle:
            return True
        if claimed is not None and locks.go_on(claimed.generation):
            return True
        return is_same and await locks.retake(opened)

    def _lease(self, opened: Open) -> Lease | None:
        """The lease to ask for: the one that the file had, if it had one."""
        if opened.handle.how.lease is None:
            return None
        return _leases(opened.file).wanted(opened.file)

    def _path(self, opened: Open) -> str:
        try:
            return self._volume.inodes.path(opened.file.inode)
        except OSError:  # it was deleted while it was open
            return opened.handle.path

    def _in_vain(self, file: File, lease: Lease) -> None:
        lease.refused()
        _leases(file).given_up(lease)

    def _not_that(self, file: File, lease: Lease | None, fresh: Handle) -> None:
        """Close what was opened and is not what was wanted."""
        fresh.close_soon()
        if lease is not None and fresh.grant is not None:
            lease.arrived()
            _leases(file).given_up(lease)

    def _goes_on(self, opened: Open, fresh: Handle, lease: Lease | None, *, anew: bool) -> bool:
        """Let a descriptor go on by a fresh handle; False if it was closed meanwhile."""
        handle, file = opened.handle, opened.file
        has_lease = lease is not None and fresh.how.lease is not None
        goes_on = handle.found(fresh, anew=anew)
        if goes_on:
            self._was.pop(handle, None)
            file.took(lease if has_lease else file.lease)
        if lease is not None and has_lease:
            lease.arrived()
            if not goes_on:
                _leases(file).given_up(lease)
        return goes_on


class _Return:
    """One handle on its way back, and what came of it."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: SmbError | None = None


def _leases(file: File) -> Leases:
    return file.ground.leases


def _state(information: Information) -> _State:
    return (
        information.file_id,
        information.end_of_file,
        information.last_write_time,
        information.change_time,
    )


def _other_file(opened: Open, was: _State, now: Information) -> str:
    """Why what lies at a path is not proven to be what was open; "" if it is."""
    if opened.known_id and now.file_id and opened.known_id != now.file_id:
        return "another file has its name now"
    if opened.known_id and not opened.may_write:
        return ""
    if opened.known_id and now.change_time and was == _state(now):
        return ""
    return "it may have been changed meanwhile"
