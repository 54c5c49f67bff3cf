"""Directories that the server watches for us, so that their names are believed for longer.

A directory whose names are asked for again and again gets a handle of its own with a lease, or
where the server leases no directories, an outstanding CHANGE_NOTIFY; then it is listed once more,
and from there on what is known of its names holds until the server tells of a change, or until it
is too old all the same.  A lease says nothing of what has changed: with its break the watch ends.

Easily broken: what happened between two notices is told by the next one, so the handle that began
stays; our own changes are told as well, and what fits what we know is no news; and a handle on a
directory is in the way of whoever renames or removes it, so it is closed before we do.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio

from smbfs.cache.lease import HANDLE, READ, Lease
from smbfs.engine.handle import Handle, HandleState
from smbfs.engine.how import How
from smbfs.engine.information import Listed
from smbfs.engine.leasing import Wish
from smbfs.engine.steps import list_directory, query_all
from smbfs.engine.watching import NameChange, change_notify
from smbfs.errors import SmbError, StatusError
from smbfs.vfs.inode import LONG_AGO, Inode, Moment
from smbfs.wire.constants import CompletionFilter
from smbfs.wire.directory import NotifyAction
from smbfs.wire.status import Status
from smbfs.wire.units import from_wire

if TYPE_CHECKING:
    from smbfs.vfs.leases import Leases
    from smbfs.vfs.volume import Volume

log = logging.getLogger(__name__)

NAMES = CompletionFilter.FILE_NAME | CompletionFilter.DIR_NAME
SIZE = 16 * 1024  # of an answer: some hundred names
MOST = 256  # directories that are watched at a time
ASKED = 3  # times that the server was asked for names of a directory before it is watched
WITHIN_S = 5.0  # so many times within this
BRIEF, BRIEF_S = 8, 1.0  # so many leases that lasted no longer are worth nothing here
IDLE_S = 30.0  # a watch that nobody had any use of ends
PAUSE_S = 0.02  # between two notices: a busy directory must not be answered name by name
LONG_PAUSE_S = 0.2  # between two that told of nothing but what was done here
CALM_S = 0.25  # after names were removed here, and before it is asked what became of the directory
PAGE = 128 * 1024
REFUSALS = 3  # before a server is not asked again
ENDED = frozenset(  # how a watch ends that the server was willing to keep
    {
        Status.CANCELLED,
        Status.DELETE_PENDING,
        Status.FILE_CLOSED,
        Status.NOTIFY_CLEANUP,
        Status.OBJECT_NAME_NOT_FOUND,
        Status.OBJECT_PATH_NOT_FOUND,
    }
)
APPEARED = frozenset({NotifyAction.ADDED})
VANISHED = frozenset({NotifyAction.REMOVED, NotifyAction.RENAMED_OLD_NAME})


@dataclass(slots=True, eq=False)
class Watch:
    """One directory that is watched, or is about to be."""

    inode: Inode
    used_at_s: float
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    handle: Handle | None = None
    opened: trio.Event = field(default_factory=trio.Event)  # or it never will be
    since: Moment | None = None  # what was asked after this is believed
    lease: Lease | None = None
    broken: trio.Event = field(default_factory=trio.Event)

    def fell(self) -> None:
        """Believe no more: the lease does not hold."""
        self.since = None
        self.broken.set()


class Watches:
    """The watched directories of one mount."""

    def __init__(self, volume: Volume, is_wanted: bool) -> None:
        self._volume = volume
        self._is_wanted = is_wanted
        self._asked: OrderedDict[Inode, list[float]] = OrderedDict()
        self._watches: OrderedDict[Inode, Watch] = OrderedDict()
        self._refusals = 0
        self._leases: Leases | None = None  # with which directories are leased
        self._brief = 0  # leases that were broken at once, maybe by ourselves

    def lean_on(self, leases: Leases) -> None:
        """Take who keeps the leases of the mount."""
        self._leases = leases
        self._volume.share.know_directories(self._key_of)

    def _key_of(self, path: str) -> bytes:
        """The key of the lease on a directory, by its path."""
        for watch in self._watches.values():
            lease, handle = watch.lease, watch.handle
            if lease is not None and lease.may_read and handle is not None and handle.path == path:
                return lease.key
        return b""

    def since_s(self, inode: Inode) -> float:
        """Since when the names of a directory are watched without a gap; inf if they are not."""
        watch = self._watches.get(inode)
        if watch is None or watch.since is None:
            return float("inf")
        watch.used_at_s = trio.current_time()
        return watch.since.at_s

    def handle_of(self, inode: Inode) -> Handle | None:
        """The open handle on a directory that is watched; to be asked, not to be closed."""
        watch = self._watches.get(inode)
        handle = None if watch is None else watch.handle
        return handle if handle is not None and handle.state is HandleState.OPEN else None

    def asked(self, inode: Inode) -> None:
        """Note that the server is asked for a name, and watch where that happens often."""
        if not self._is_wanted or inode in self._watches or self._refusals >= REFUSALS:
            return
        now_s = trio.current_time()
        times = self._asked.setdefault(inode, [])
        times[:] = [*[at_s for at_s in times if now_s - at_s < WITHIN_S], now_s]
        self._asked.move_to_end(inode)
        while len(self._asked) > MOST:
            self._asked.popitem(last=False)
        if len(times) >= ASKED and not self._volume.share.is_crowded:
            del self._asked[inode]
            self._begin(inode, now_s)

    def _begin(self, inode: Inode, now_s: float) -> None:
        watch = self._watches[inode] = Watch(inode, now_s)
        while len(self._watches) > MOST:
            self._end(next(iter(self._watches.values())))
        self._volume.inodes.hold(inode)
        self._volume.nursery.start_soon(self._run, watch)

    def close_of(self, inode: Inode, *, beneath: bool = False) -> None:
        """Stop to watch a directory, or all beneath it as well; its handle is closed at once."""
        for watch in list(self._watches.values()):
            if watch.inode is inode or (beneath and watch.inode.is_below(inode)):
                self._end(watch)

    async def gone(self, inode: Inode, *, beneath: bool = False) -> None:
        """Wait until no handle is about to be opened on a directory, or beneath it; then close.

        One that is opened while a directory is removed would keep its name, and that above.
        """
        for watch in list(self._watches.values()):
            if watch.inode is inode or (beneath and watch.inode.is_below(inode)):
                await watch.opened.wait()
        self.close_of(inode, beneath=beneath)

    def close_all(self) -> None:
        """Stop to watch anything, for good."""
        self._is_wanted = False
        for watch in list(self._watches.values()):
            self._end(watch)

    def _end(self, watch: Watch) -> None:
        if self._watches.get(watch.inode) is watch:
            del self._watches[watch.inode]
        watch.since = None
        if watch.handle is not None:
            watch.handle.close_soon()
        if watch.lease is not None and self._leases is not None and not watch.lease.coming:
            self._leases.forget(watch.lease)
        watch.scope.cancel()

    async def _run(self, watch: Watch) -> None:
        try:
            with watch.scope:
                await self._watch(watch)
        except (SmbError, OSError) as error:
            log.debug("node %d is not watched any more: %s", watch.inode.node, error)
            self._refusals += isinstance(error, StatusError) and error.status not in ENDED
        finally:
            watch.opened.set()
            self._end(watch)
            self._volume.inodes.let_go(watch.inode)

    async def _watch(self, watch: Watch) -> None:
        volume, inode = self._volume, watch.inode
        path = volume.inodes.path(inode)
        with trio.CancelScope(shield=True):  # it ends: the connection sees to that
            handle = await self._opened(watch, path)
        watch.handle = handle
        watch.opened.set()
        if watch.lease is not None and watch.lease.may_read:
            await self._while_leased(watch, handle)
            return
        await self._while_notified(watch, handle)

    async def _opened(self, watch: Watch, path: str) -> Handle:
        """Open a directory, under a lease if the server grants one."""
        share, leases = self._volume.share, self._leases
        is_leased = self._volume.policy.leases and share.facts.leases_directories
        if leases is None or not is_leased or self._brief >= BRIEF:
            return (await share.open(path, How.listing()))[0]
        lease = watch.lease = leases.of_directory(watch.fell)
        lease.asking(trio.current_time())
        try:
            how = replace(How.listing(), lease=Wish(lease.key, READ | HANDLE))
            handle, _ = await share.open(path, how)
        except BaseException:
            lease.refused()
            raise
        leases.answered(lease, handle, writes=False)
        lease.arrived()
        return handle

    async def _while_leased(self, watch: Watch, handle: Handle) -> None:
        """Believe what is listed now until the lease is broken, or nobody had any use of it."""
        leased_at_s = trio.current_time()
        await self._listed(watch, handle)
        while not watch.broken.is_set():
            with trio.move_on_after(IDLE_S):
                await watch.broken.wait()
            if trio.current_time() - watch.used_at_s > IDLE_S:
                return
        self._brief += trio.current_time() - leased_at_s < BRIEF_S

    async def _while_notified(self, watch: Watch, handle: Handle) -> None:
        """Believe what is listed now and what the server tells of it."""
        may_be_going, is_to_be_asked = True, False
        while True:
            posted = await handle.post(change_notify(SIZE, NAMES))
            try:
                if may_be_going and await _is_going(handle):
                    handle.abandon(posted)
                    return
                if watch.since is None:
                    await self._listed(watch, handle)
                with trio.move_on_after(CALM_S if is_to_be_asked else IDLE_S) as limit:
                    changes = await handle.take(posted)
            except BaseException:
                handle.abandon(posted)
                raise
            if limit.cancelled_caught:
                if trio.current_time() - watch.used_at_s > IDLE_S:
                    return
                may_be_going, is_to_be_asked = True, False
                continue
            may_be_going, is_news = self._heard(watch, changes)
            # What was removed here is no reason to ask in the middle of it, but at its end.
            is_to_be_asked = not may_be_going and _has_vanished(changes)
            await trio.sleep(PAUSE_S if is_news else self._long_pause_s)

    async def _listed(self, watch: Watch, handle: Handle) -> None:
        """Learn all names; those we know already are believed from now on as well."""
        volume, inode = self._volume, watch.inode
        found: list[Listed] = []
        restart = True
        volume.inodes.opened(inode)  # so that the names are noted that we remove meanwhile
        try:
            asked = volume.moment()
            while (page := (await handle.do(list_directory("*", PAGE, restart)))[0]) is not None:
                found += page
                restart = False
            volume.directories.keep_despite_changes(inode, found, asked)
        finally:
            volume.inodes.closed(inode)
        for one in found:
            known = inode.children.get(from_wire(one.name, volume.presentation.names))
            is_same = known is not None and one.information.file_id == known.inode.node
            if known is not None and is_same and known.seen.at_s < asked.at_s:
                known.seen = asked
        if not watch.broken.is_set():
            watch.since = asked

    @property
    def _long_pause_s(self) -> float:
        """How long what others do may go unheard while we do much there: little of a belief."""
        belief_s = self._volume.presentation.belief_s(True)
        return max(PAUSE_S, min(LONG_PAUSE_S, belief_s / 4))

    def _heard(self, watch: Watch, changes: list[NameChange] | None) -> tuple[bool, bool]:
        """Take in what the server tells; what does not fit what we know is asked again.

        Answers whether a name may have gone that was not removed here, and whether anything was
        not done here.
        """
        inode, others_removed, is_news = watch.inode, False, False
        if changes is None:
            watch.since = None  # and it is listed anew
            return True, True
        snapshot, names = inode.listed, self._volume.presentation.names
        for change in changes:
            name = from_wire(change.name, names)
            is_there = snapshot is not None and name in snapshot.entries
            has_vanished = change.action in VANISHED
            others_removed |= has_vanished and (is_there or snapshot is None)
            if (change.action in APPEARED and is_there) or (has_vanished and not is_there):
                continue
            is_news = True
            if snapshot is not None:
                snapshot.doubt(name)
            if (known := inode.children.get(name)) is not None:
                known.seen = Moment(LONG_AGO, known.seen.tick)
        return others_removed, is_news


def _has_vanished(changes: list[NameChange] | None) -> bool:
    return any(change.action in VANISHED for change in changes or ())


async def _is_going(handle: Handle) -> bool:
    """Whether the directory was removed by others, and goes when we let it go.

    Whoever watches a directory is told of that, but not who begins to do so afterwards.
    """
    [information] = await handle.do(query_all())
    return bool(information.delete_pending)
