"""Files of one directory that are asked for one after the other: all of them are asked at once.

Who goes through a directory that was listed too long ago (`ls -l` of many files on a slow machine,
`git status`) would wait for the server once a file.  After a few of them the whole directory is
listed anew, which takes hardly longer than one file, and all wait for that.

Easily broken: only names that were known count, or a program that looks for some files of a huge
directory would have all of it listed; and a listing tells nothing new of a file that is open here.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

import trio

from smbfs.engine.how import How
from smbfs.engine.information import Listed
from smbfs.engine.steps import list_directory
from smbfs.errors import SmbError
from smbfs.vfs.inode import Inode, Raw
from smbfs.vfs.special import is_plain

if TYPE_CHECKING:
    from smbfs.vfs.volume import Volume

log = logging.getLogger(__name__)

MANY = 8  # names of one directory that were asked for
WITHIN_S = 10.0  # one after the other, within this
LEAST = 3 * MANY  # names that a directory must have to be worth it
MOST = 10_000  # that it may have
DIRECTORIES = 64  # that are looked at, at a time
ENTRY = 200  # bytes of one in a listing, more than most have


class Together:
    """The directories of one mount whose files are asked for at this moment."""

    def __init__(self, volume: Volume, is_wanted: bool) -> None:
        self._volume = volume
        self._is_wanted = is_wanted
        self._asked: OrderedDict[Inode, dict[bytes, float]] = OrderedDict()
        self._under_way: dict[Inode, trio.Event] = {}

    async def asks(self, parent: Inode, name: bytes) -> bool:
        """Note that a known name is to be asked for; whether all of its directory were instead."""
        if self._is_told(parent, name):
            return True
        if (done := self._under_way.get(parent)) is None:
            if not self._is_worth_it(parent, name):
                return False
            done = self._under_way[parent] = trio.Event()
            self._volume.inodes.opened(parent)  # so that the names are noted that we remove
            self._volume.nursery.start_soon(self._run, parent, done)
        await done.wait()
        self._is_told(parent, name)
        return True

    def _is_told(self, parent: Inode, name: bytes) -> bool:
        """Learn what a listing of a moment ago says of one file; whether it says anything.

        Not of all when it comes: on a slow machine that would take as long as it is believed.
        """
        snapshot, belief_s = parent.listed, self._volume.presentation.belief_s(False)
        raw = snapshot.entries.get(name) if snapshot is not None else None
        if raw is None or trio.current_time() - raw.asked.at_s >= belief_s:
            return False
        return self._learn(parent, raw)

    def _is_worth_it(self, parent: Inode, name: bytes) -> bool:
        size = len(parent.children)
        if not self._is_wanted or not LEAST <= size <= MOST or name not in parent.children:
            return False
        if self._volume.presentation.belief_s(False) <= 0:
            return False
        now_s = trio.current_time()
        names = self._asked.setdefault(parent, {})
        self._asked.move_to_end(parent)
        while len(self._asked) > DIRECTORIES:
            self._asked.popitem(last=False)
        names[name] = now_s
        for one in [one for one, at_s in names.items() if now_s - at_s > WITHIN_S]:
            del names[one]
        if len(names) < MANY:
            return False
        del self._asked[parent]
        return True

    async def _run(self, parent: Inode, done: trio.Event) -> None:
        try:
            await self._list(parent)
        except (SmbError, OSError) as error:
            log.debug("node %d was not listed anew: %s", parent.node, error)
        finally:
            del self._under_way[parent]
            done.set()
            self._volume.inodes.closed(parent)

    async def _list(self, parent: Inode) -> None:
        volume = self._volume
        asked = volume.moment()
        size = volume.share.facts.list_size
        pages = [list_directory("*", size)] * (len(parent.children) * ENTRY // size + 2)
        path = volume.inodes.path(parent)
        _, *listed = await volume.share.on(path, How.listing(), *pages)
        if listed[-1] is not None:
            return  # it has grown too much
        found: list[Listed] = [one for page in listed if page for one in page]
        volume.directories.keep_despite_changes(parent, found, asked)

    def _learn(self, parent: Inode, raw: Raw) -> bool:
        """Believe of a known file what its directory says of it, unless we know it better."""
        known, information = parent.children.get(raw.name), raw.listed.information
        if known is None or known.inode.opens or not is_plain(information):
            return False
        inode = known.inode
        is_newer = inode.seen.at_s >= raw.asked.at_s or inode.changed > raw.asked.tick
        if is_newer or known.seen.at_s > raw.asked.at_s:
            return False
        place = self._volume.inodes.place
        place(parent, raw.name, information, None, raw.asked, is_listed=True)
        return True
