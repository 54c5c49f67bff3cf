"""Fetching what a program that walks a tree will want next: directories, and small files.

Who opens one directory after the other gets the next ones listed ahead of him, many in flight; who
reads the small files of a directory in some order gets the next ones opened under a lease and read
in one turnaround each.  It starts on evidence only (`smbfs.cache.guess`), keeps nothing longer
than it would be kept if it had been asked for, and stands back while others wait for credits.

Easily broken: what is fetched ahead must be as true as what is asked for: a listing bears the time
when it was asked, and a file is kept only as its lease allows.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice

import trio

from smbfs.cache.guess import Reader, Walker
from smbfs.engine.how import How
from smbfs.engine.steps import list_directory, query_all
from smbfs.errors import SmbError
from smbfs.vfs.content import Content
from smbfs.vfs.directory import is_file
from smbfs.vfs.inode import Inode
from smbfs.vfs.opening import SMALL
from smbfs.vfs.volume import Volume

Place = tuple[Inode, bytes]  # a name in a directory

WATCHED = 16  # processes, and directories, that are watched at a time
REFUSALS = 3  # leases that were not given, before no more files are opened ahead
PAGE = 64 * 1024  # what a directory may hold to be listed ahead
EXPECTED = 8  # places where a walker may go next, before he is believed


class LookAhead:
    """What one mount fetches before it is asked for."""

    def __init__(self, volume: Volume, content: Content) -> None:
        self._volume = volume
        self._content = content
        self._readers: OrderedDict[Inode, Reader[bytes]] = OrderedDict()
        self._walkers: OrderedDict[int, Walker[Place]] = OrderedDict()
        self._refusals = 0

    # Files

    def opened(self, inode: Inode, flags: int) -> None:
        """Note that somebody opens a file, and fetch those that he will open next."""
        if flags & os.O_ACCMODE != os.O_RDONLY or not inode.places or self._refusals >= REFUSALS:
            return
        parent, name = next(reversed(inode.places))
        reader, now_s = self._reader(parent, name), trio.current_time()
        if reader is None:
            return
        reader.note(name, now_s, self._volume.policy.close_s)
        if self._volume.share.is_crowded:
            return
        for one in reader.ahead(name):
            if (found := self._worth_reading(parent, one)) is not None:
                reader.fetching(one, now_s)
                self._begin(found, self._read)

    def _reader(self, parent: Inode, name: bytes) -> Reader[bytes] | None:
        """Who reads the files of a directory; None if it is not known what is in it."""
        reader = self._readers.get(parent)
        if reader is None or not reader.knows(name):
            files = self._volume.directories.files(parent)
            by_number = [one for one, _ in sorted(files, key=lambda pair: pair[1])]
            reader = Reader([one for one, _ in files], by_number, sorted(one for one, _ in files))
            if not reader.knows(name):
                return None
            self._readers[parent] = reader
            while len(self._readers) > WATCHED:
                self._readers.popitem(last=False)
        self._readers.move_to_end(parent)
        return reader

    def _worth_reading(self, parent: Inode, name: bytes) -> Inode | None:
        inode = self._node(parent, name)
        if inode is None or not is_file(inode) or inode.information.end_of_file > SMALL:
            return None
        return inode if inode.file is None and inode.coming is None else None

    async def _read(self, inode: Inode) -> None:
        if not await self._content.fetch(inode):
            self._refusals += 1

    # Directories

    def listing(self, inode: Inode, pid: int) -> None:
        """Note that a process has opened a directory, and list those where it will go next."""
        walker = self._walkers.get(pid)
        if walker is None:
            walker = self._walkers[pid] = Walker()
            while len(self._walkers) > WATCHED:
                self._walkers.popitem(last=False)
        self._walkers.move_to_end(pid)
        if inode.places:
            walker.note(next(reversed(inode.places)))
        upcoming = list(islice(self._upcoming(inode), max(walker.window, EXPECTED)))
        walker.expects(upcoming)
        if self._volume.share.is_crowded:
            return
        for parent, name in upcoming[: walker.window]:
            one = self._node(parent, name)
            if one is not None and one.coming is None and not self._is_listed(one):
                self._begin(one, self._list)

    def _is_listed(self, inode: Inode) -> bool:
        snapshot = self._volume.directories.fresh(inode)
        return snapshot is not None and snapshot.is_ahead

    def _upcoming(self, inode: Inode) -> Iterator[Place]:
        """The directories that come after one for who goes through a tree in depth."""
        yield from self._beneath(inode)
        here = inode
        while here.places:
            parent, name = next(reversed(here.places))
            names = self._volume.directories.subdirectories(parent)
            if name in names:
                for one in names[names.index(name) + 1 :]:
                    yield parent, one
                    if (known := parent.children.get(one)) is not None:
                        yield from self._beneath(known.inode)
            here = parent

    def _beneath(self, inode: Inode) -> Iterator[Place]:
        for name in self._volume.directories.subdirectories(inode):
            yield inode, name
            if (known := inode.children.get(name)) is not None:
                yield from self._beneath(known.inode)

    async def _list(self, inode: Inode) -> None:
        volume = self._volume
        asked = volume.moment()
        pages = [list_directory("*", PAGE)] * 2
        path = volume.inodes.path(inode)
        _, information, *found = await volume.share.on(path, How.listing(), query_all(), *pages)
        if inode.information.file_id != information.file_id or found[-1] is not None:
            return
        volume.inodes.confirmed(inode, path, asked)
        volume.inodes.learn(inode, information, inode.special, asked)
        entries = [one for page in found if page for one in page]
        volume.directories.keep(inode, entries, asked, is_ahead=True)

    # Both

    def _node(self, parent: Inode, name: bytes) -> Inode | None:
        """The node of a name that was listed, made if the kernel has not asked for it yet."""
        known = parent.children.get(name)
        return known.inode if known is not None else self._volume.directories.found(parent, name)

    def _begin(self, inode: Inode, do: Callable[[Inode], Awaitable[None]]) -> None:
        inode.coming = trio.Event()
        self._volume.inodes.hold(inode)
        self._volume.nursery.start_soon(self._run, inode, do)

    async def _run(self, inode: Inode, do: Callable[[Inode], Awaitable[None]]) -> None:
        done = inode.coming
        assert done is not None
        try:
            await do(inode)
        except (SmbError, OSError):
            return  # who wants it asks, and hears why
        finally:
            inode.coming = None
            done.set()
            self._volume.inodes.let_go(inode)
