"""What every room of the filesystem works on: the share, its nodes, and how long to believe.

One per mount, made by `smbfs.vfs.filesystem`.  Knows how a node is shown and for how long the
kernel may believe it; asks the server nothing itself.

Easily broken: belief counts from when the *question* was sent, and what is left of it is all that
the kernel gets, or two caches in a row would believe twice as long as the options say.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import trio

from smbfs.engine.controls import USUAL, Limits
from smbfs.engine.information import Information
from smbfs.engine.share import Share
from smbfs.fuse.server import Attributes, Deaf, Entry, FileHandle, Kernel, Space
from smbfs.vfs.crowd import Crowd
from smbfs.vfs.directory import Directories
from smbfs.vfs.idle import IdleHandles
from smbfs.vfs.inode import LONG_AGO, Inode, Moment, Rush, Shown
from smbfs.vfs.inodes import Inodes
from smbfs.vfs.locktable import WaitGraph
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation
from smbfs.vfs.special import Special
from smbfs.vfs.stat import attributes_of
from smbfs.vfs.steady import Steadiness
from smbfs.vfs.together import Together
from smbfs.vfs.watch import Watches

if TYPE_CHECKING:
    from smbfs.vfs.listing import Listing

log = logging.getLogger(__name__)

WATCHED_S = 60.0  # what is known of the names of a directory that is watched is no older
KERNEL_S = 5.0  # how long the kernel may take to drop its pages before we go on
SILLY = ".smbfs_"  # how the names of deleted but open files begin, as `.nfs` does elsewhere


@dataclass(slots=True, eq=False)
class Volume:
    """One mounted share."""

    share: Share
    presentation: Presentation
    inodes: Inodes
    nursery: trio.Nursery  # what goes on when its caller does not wait
    policy: DataPolicy
    idle: IdleHandles
    directories: Directories = field(init=False)
    watches: Watches = field(init=False)
    together: Together = field(init=False)
    crowd: Crowd = field(init=False)
    steady: Steadiness = field(default_factory=Steadiness)
    listings: dict[FileHandle, Listing] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # what it said no to and is not asked again
    copies: Limits = USUAL  # how much one request copies
    space: Space | None = None
    space_at_s: float = LONG_AGO
    waits: WaitGraph = field(default_factory=WaitGraph)
    mounted_over: Callable[[], Iterable[tuple[bytes, ...]]] = tuple  # names of what hides files
    patient: int = 0  # locks that wait on the server, each with a request of its own
    kernel: Kernel = field(default_factory=Deaf)  # what must hear of changes; a server puts it here
    # Two mounts do not hide each other's names: one that a crash left behind has to be seen.
    silly_prefix: str = field(default_factory=lambda: SILLY + secrets.token_hex(2))
    silly_numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.directories = Directories(self, self.policy.directories)
        self.watches = Watches(self, self.policy.watches)
        self.together = Together(self, self.policy.looks_ahead)
        self.crowd = Crowd(self)

    def moment(self) -> Moment:
        """Mark when a question is sent."""
        return self.inodes.moment(trio.current_time())

    def left_s(self, inode: Inode, seen: Moment) -> float:
        """How long something seen then may still be believed of this file; 0 for not at all."""
        belief_s = self.presentation.belief_s(inode.is_directory)
        left_s = seen.at_s + belief_s - trio.current_time()
        if inode.file is not None and seen.at_s >= inode.file.leased_since_s:
            left_s = max(left_s, seen.at_s + self.policy.close_s - trio.current_time())
        return left_s if left_s > 0 else 0.0

    def name_left_s(self, parent: Inode, inode: Inode, seen: Moment) -> float:
        """How long a name of a directory, seen then, may be believed; for what it leads to."""
        left_s = self.left_s(inode, seen)
        if seen.at_s < self.watches.since_s(parent):
            return left_s
        # We are told of changes, the kernel is not: it asks us again, which costs nothing.
        watched_s = seen.at_s + WATCHED_S - trio.current_time()
        return max(left_s, min(watched_s, self.presentation.belief_s(True)), 0.0)

    def absent_s(self, parent: Inode, name: bytes) -> float:
        """How long it may be believed that a directory has no such name; 0 for not at all.

        Only for who is making names there at this moment, and looks each up before: anybody else
        may have been told by another machine that a new file is there, and must find it.
        """
        listed, rush = parent.listed, parent.rush
        if listed is None or rush is None or not rush.is_on(trio.current_time()):
            return 0.0
        if listed.may_have(name):
            return 0.0
        return self.name_left_s(parent, parent, listed.seen)

    def is_fresh(self, inode: Inode) -> bool:
        """Whether what is known of a file may be told without asking."""
        return self.left_s(inode, inode.seen) > 0 or self.is_past_asking(inode)

    def is_past_asking(self, inode: Inode) -> bool:
        """Whether the file is gone and nothing leads to it, so that what is known is all."""
        return inode.is_unlinked and inode.lend() is None

    def attributes(self, inode: Inode, left_s: float | None = None) -> Attributes:
        """What stat tells of a file, as known now; ``left_s`` is for who asked that already."""
        information = inode.current()
        attributes = attributes_of(
            inode.node,
            information,
            inode.special,
            self.presentation,
            links=inode.links,
            override=inode.override,
        )
        attributes.believe_s = self.left_s(inode, inode.seen) if left_s is None else left_s
        until_s = trio.current_time() + attributes.believe_s
        inode.shown = Shown(information.end_of_file, information.last_write_time, until_s)
        return attributes

    def correct(self, inode: Inode) -> None:
        """Have the kernel forget what it still believes of a file and is not true any more.

        Who opens a file is to see what is in it now, and the kernel lets nobody read beyond the
        size that it knows.
        """
        shown = inode.shown
        if shown is None or shown.until_s <= trio.current_time():
            return
        now = inode.current()
        if (now.end_of_file, now.last_write_time) != (shown.size, shown.write_time):
            inode.shown = None
            self.kernel.attributes_changed(inode.node)

    def entry(self, inode: Inode, seen: Moment) -> Entry:
        """The answer to a lookup; the kernel then holds the node once more."""
        self.inodes.looked_up(inode)
        self.crowd.grew()
        return Entry(self.attributes(inode), believe_s=self.left_s(inode, seen))

    def told(self, inode: Inode, information: Information, asked: Moment) -> None:
        """Note a change of ours, made when ``asked``, and what the server says the file is now."""
        self.inodes.changed(inode)
        self.inodes.learn(inode, information, inode.special, self._since(asked))

    def made(
        self,
        parent: Inode,
        name: bytes,
        information: Information,
        special: Special | None,
        asked: Moment,
    ) -> Inode:
        """Note that we gave a file a name: one that we made just now, or one more link."""
        self.inodes.changed(parent)
        parent.rush = parent.rush or Rush()
        parent.rush.note(asked.at_s, trio.current_time())
        return self.inodes.place(parent, name, information, special, self._since(asked))

    async def dropped(self, inode: Inode) -> None:
        """Have the kernel drop what it has of a file's content, and wait until it did so.

        It may have to wait for a read of that file, which is bounded; so is this.
        """
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def tell() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done.set)

        # The first never waits, and has the kernel look at the file again by itself.
        self.kernel.attributes_changed(inode.node)
        self.kernel.data_changed(inode.node, then=tell)
        with trio.move_on_after(KERNEL_S) as limit:
            await done.wait()
        if limit.cancelled_caught:
            log.warning("node %d: the kernel keeps old data, for a read that lasts", inode.node)

    async def forget_old_targets(self, but: Inode | None = None) -> None:
        """Have the kernel forget where links led that lead elsewhere now, before it is told so.

        Some servers give the id of a link that was removed to the next file at once.
        """
        while self.inodes.relinked:
            if (inode := self.inodes.relinked.pop()) is not but:
                await self.dropped(inode)

    def _since(self, asked: Moment) -> Moment:
        """Mark an answer that tells of our own change: it is to be believed, from ``asked`` on."""
        return self.inodes.moment(asked.at_s)

    def close_listings(self, inode: Inode, *, beneath: bool = False) -> None:
        """Close the server's handles of listings of a directory, or of all beneath it as well.

        A name with an open handle does not go away; a listing that goes on opens another one.
        """
        for listing in self.listings.values():
            if listing.inode is inode or (beneath and listing.inode.is_below(inode)):
                listing.park()

    async def let_go(self, inode: Inode, *, beneath: bool = False) -> None:
        """Close every handle of ours that would keep a directory's name, or be in its way."""
        await self.watches.gone(inode, beneath=beneath)
        self.close_listings(inode, beneath=beneath)
        self.idle.close_beneath(inode)

    def silly_name(self) -> str:
        """Make a hidden name for a file that is deleted but open, in wire form."""
        return f"{self.silly_prefix}{next(self.silly_numbers) & 0xFFFFFFFF:04x}"

    def is_hidden(self, name: str) -> bool:
        """Whether a name in wire form is one that we made for a deleted file."""
        return name.startswith(self.silly_prefix) and len(name) > len(self.silly_prefix)
